"""Vendors list who holds a seat today: who left, came, came back or changed plan between listings is charged for the days known."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal as D
from typing import Any

import pandas as pd

import finops_ai as fa
from finops_ai.engine.converting import in_group
from finops_ai.frames import SeatFrame, conform
from finops_ai.people.seat_prices import SeatPrices
from finops_ai.people.workspace import People
from finops_ai.periods import UTC
from finops_ai.prices.currency import Conversion
from finops_ai.store.beside import held_through, kept, listing, write


def seats(*holders: str, **more: Any) -> pd.DataFrame:
    n = len(holders)
    columns: dict[str, Any] = {
        "provider": ["cursor"] * n,
        "plan": [h.partition(":")[2] or "teams-standard" for h in holders],
    }
    columns |= {"user_id": [h.partition(":")[0] for h in holders], "telemetry": ["on"] * n, "source": ["api"] * n}
    return conform(
        (columns | {name: [value] * n for name, value in more.items()}) if n else {}, SeatFrame, source="test"
    )


def spans(frame: pd.DataFrame) -> set[tuple[Any, ...]]:
    def day(value: Any) -> str | None:
        return None if value is None or value is pd.NaT else f"{value:%m-%d}"

    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return {(r["user_id"], r["plan"], day(r["seat_start"]), day(r["seat_end"])) for r in rows}


AUGUST, SEPTEMBER, OCTOBER, NOVEMBER = (dt.date(2026, month, 30) for month in (8, 9, 10, 11))


def test_who_left_came_and_came_back():
    found = held_through({
        OCTOBER: seats("ada", "bo", "dee:teams-premium"), AUGUST: seats("ada", "cy", "dee"), SEPTEMBER: seats("ada", "bo"), NOVEMBER: seats("ada", "cy"),
    })  # fmt: skip
    assert spans(found) == {
        ("ada", "teams-standard", None, None), ("bo", "teams-standard", "09-30", "10-31"), ("cy", "teams-standard", None, "08-31"),
        ("cy", "teams-standard", "11-30", None), ("dee", "teams-standard", None, "08-31"), ("dee", "teams-premium", "10-30", "10-31"),
    }  # fmt: skip


def test_what_the_vendor_says_itself_holds():
    start, end = dt.datetime(2026, 3, 1, tzinfo=UTC), dt.datetime(2026, 12, 1, tzinfo=UTC)
    found = held_through(
        {SEPTEMBER: seats("ada", seat_start=start, seat_end=end), OCTOBER: seats("bo", seat_start=start)}
    )
    assert spans(found) == {("ada", "teams-standard", "03-01", "12-01"), ("bo", "teams-standard", "03-01", None)}


def test_an_empty_listing_ends_them_all(tmp_path):
    for day, frame in ((SEPTEMBER, seats("ada")), (OCTOBER, seats())):
        write(listing(tmp_path, "cursor team", day), frame, SeatFrame)
    assert spans(kept(tmp_path, "seats")) == {("ada", "teams-standard", None, "10-01")}


def test_the_charges_of_who_left_end_with_the_period(tmp_path):
    days = {SEPTEMBER: seats("ada", "bo"), OCTOBER: seats("ada"), NOVEMBER: seats("ada")}
    prices = SeatPrices.default().under([{"provider": "cursor", "plan": "teams-standard", "price": "40", "clock": 12}])
    who = fa.Identities.load([{"account": n, "person": n.title(), "team": n} for n in ("ada", "bo")])
    table = fa.people_months(
        who,
        seats=held_through(days),
        prices=prices,
        month=["2026-10", "2026-11"],
        by=["month", "team"],
        privacy=fa.Privacy(smallest=1),
    )
    # Bo's last period is 12 September to 12 October: 11 of its 30 days are October's
    assert {(r["month"], r["team"]): round(r["cost"], 2) for r in table.to_dict("records")} == {
        ("2026-10", "ada"): round(D(40) * 11 / 30 + D(40) * 20 / 31, 2), ("2026-10", "bo"): round(D(40) * 11 / 30, 2),
        ("2026-11", "ada"): round(D(40) * 11 / 31 + D(40) * 19 / 30, 2),
    }  # fmt: skip


def test_seats_at_list_are_in_the_groups_currency(tmp_path):
    """0.90 EUR for a dollar from 12 September, 0.80 from 12 October: 36.00 and 32.00 EUR for the periods that begin then."""
    (tmp_path / "rates.csv").write_text(
        "date,currency,rate\n2026-09-12,USD,1.111111111111111111\n2026-10-12,USD,1.25\n"
    )
    conversion = Conversion.load({"group": "EUR", "rates": "rates.csv"}, tmp_path, "EUR")
    prices = SeatPrices.default().under([{"provider": "cursor", "plan": "teams-standard", "price": "40", "clock": 12}])
    who = fa.Identities.load([{"account": "ada", "person": "Ada", "team": "web"}])
    table = fa.people_months(
        who,
        seats=seats("ada"),
        prices=prices,
        month="2026-10",
        by=["team"],
        privacy=fa.Privacy(smallest=1),
        conversion=conversion,
    )
    assert table.facts.currency == "EUR"
    assert round(table["cost"].iloc[0], 2) == round(D(36) * 11 / 30 + D(32) * 20 / 31, 2)


def test_tables_of_the_price_list_are_in_the_groups_currency(tmp_path):
    """At one rate for all days, every amount is that rate of what it was, and every word the same."""
    days = [f"2026-{month:02d}-{day:02d},USD,1.25\n" for month in range(1, 12) for day in (1, 8, 15, 22, 28)]
    (tmp_path / "rates.csv").write_text("date,currency,rate\n" + "".join(days))
    conversion = Conversion.load({"group": "EUR", "rates": "rates.csv"}, tmp_path, "EUR")
    made = fa.sample.engineers()
    people = People(fa.price(made.tokens), made.bills, made.seats, identities=made.identities, prices=made.prices)
    abroad = replace(people, usage=in_group(people.usage, conversion), conversion=conversion)
    for what in ("idle", "pools", "plans"):
        here, there = (getattr(p, what)("2026-10") for p in (people, abroad))
        assert len(here) == len(there) > 3
        assert there.facts.currency == "EUR" and any("at the rate of" in note for note in there.facts.notes)  # noqa: PT018
        for name in here.columns:
            pairs = list(zip(here[name].astype(object), there[name].astype(object), strict=True))
            if name in here.facts.money:
                assert all(abs(a * D("0.8") - b) < D("1e-6") for a, b in pairs if not pd.isna(a)), name
            elif name not in ("currency", "share_used"):
                assert all(pd.isna(b) if pd.isna(a) else a == b for a, b in pairs), name
