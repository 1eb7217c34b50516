"""Idle seats, in money, and how sure that is."""

from __future__ import annotations

from decimal import Decimal

import pandas as pd

import finops_ai as fa
from finops_ai.frames import SeatFrame, conform
from finops_ai.identity import Identities

WHO = Identities.load([
    {"account": "cy@example.com", "person": "Cy", "team": "web"},
    {"account": "cy-ember", "person": "Cy", "team": "web", "provider": "github-copilot"},
    {"account": "device-1", "person": "Cy", "team": "web", "kind": "device"},
])  # fmt: skip
ALL = fa.Privacy(shown=True)


def at(text: str) -> pd.Timestamp | None:
    return None if text is None else pd.Timestamp(text, tz="UTC")


def seats(*rows: tuple) -> pd.DataFrame:
    """Rows of holder, start, last activity, telemetry."""
    n = len(rows)
    return conform(
        {
            "provider": ["anthropic"] * n, "plan": ["team-standard"] * n, "user_id": [r[0] for r in rows],
            "seat_start": [at(r[1]) for r in rows], "last_activity_at": [at(r[2]) for r in rows], "telemetry": [r[3] for r in rows],
            "source": ["api"] * n,
        },
        SeatFrame,
        source="the test",
    )  # fmt: skip


def event(who: str, day: str, provider: str = "anthropic", tool: str | None = None) -> pd.DataFrame:
    return conform(
        {
            "charge_period_start": [at(day)], "charge_period_end": [at(day) + pd.Timedelta(minutes=1)], "provider": [provider],
            "billing_account_id": ["a"], "model": ["m"], "operation": ["chat"], "meter": ["requests"], "quantity": [Decimal(1)],
            "unit": ["requests"], "service_tier": ["standard"], "user_id": [who], "tool_name": [tool], "source": ["log"],
            "quantity_basis": ["metered"],
        },
        source="the test",
    )  # fmt: skip


def status_of(frame: pd.DataFrame, *usage: pd.DataFrame, **more) -> list[str]:
    return fa.idle_seats(frame, WHO, as_of="2026-11-01", usage=usage, privacy=ALL, **more)["status"].tolist()


def test_idle_is_said_only_where_every_doubt_is_out() -> None:
    frame = seats(
        ("a-old", "2026-01-01", None, "on"),
        ("b-old", "2026-01-01", "2026-09-15", "on"),
        ("c-unheard", "2026-01-01", None, "unknown"),
        ("d-new", "2026-10-16", None, "on"),
        ("e-used", "2026-01-01", "2026-10-10", "unknown"),
        ("f-since-when", None, None, "on"),
    )
    assert status_of(frame) == ["idle", "idle", "unknown", "new", "used", "unknown"]


def test_the_days_without_an_event_are_a_setting_and_end_before_the_day() -> None:
    frame = seats(("a", "2026-01-01", "2026-10-02T23:59", "on"))
    assert status_of(frame) == ["used"]  # 30 days before 1 November begin on 2 October
    assert status_of(frame, days=29) == ["idle"]
    assert status_of(seats(("a", "2026-01-01", "2026-10-01T23:59", "on"))) == ["idle"]


def test_an_event_of_any_road_and_account_of_the_person_is_use() -> None:
    frame = seats(("Cy@Example.com", "2026-01-01", None, "on"))
    assert status_of(frame) == ["idle"]
    assert status_of(frame, event("device-1", "2026-10-20", "claude-code")) == ["used"]
    assert status_of(frame, event("cy@example.com", "2026-10-20", "bedrock", "claude-code")) == ["used"]
    assert status_of(frame, event("cy@example.com", "2026-10-20", "cursor", "cursor")) == [
        "idle"
    ]  # another tool's seat
    assert status_of(frame, event("cy@example.com", "2026-11-02")) == ["idle"]  # after the day


def test_money_of_idle_seats_adds_up_and_unknown_ones_are_not_in_it() -> None:
    frame = seats(
        ("a", "2026-01-01", None, "on"), ("b", "2026-01-01", None, "on"), ("c", "2026-01-01", None, "unknown")
    )
    table = fa.idle_seats(frame, WHO, as_of="2026-11-01", privacy=ALL)
    assert sum(table["idle_cost"]) == Decimal(50)  # two of three at 25
    assert sum(table["cost_per_month"]) == Decimal(75)
    assert any("1 seat may be idle or not" in note for note in table.facts.notes)


def test_a_seat_that_is_given_up_is_no_row() -> None:
    frame = seats(("a", "2026-01-01", None, "on")).assign(
        seat_end=pd.to_datetime(["2026-10-31"], utc=True).as_unit("us")
    )
    assert status_of(frame) == []


def test_the_sample_has_one_idle_seat_and_one_that_nobody_can_tell() -> None:
    people = fa.sample.engineers()
    table = fa.idle_seats(
        people.seats, people.identities, as_of="2026-11-01", usage=[people.tokens], prices=people.prices, privacy=ALL
    )
    found = table[table["status"] != "used"][["person", "provider", "status"]].itertuples(index=False, name=None)
    assert sorted(found) == [
        ("Engineer 08", "cursor", "idle"), ("Engineer 12", "github-copilot", "unknown"),
    ]  # fmt: skip
