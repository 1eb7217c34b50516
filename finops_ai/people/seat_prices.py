"""What seats cost: dated prices of plans, and the charges of seats held, each with the period of its own clock."""

from __future__ import annotations

import calendar
import datetime as dt
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from finops_ai.config import read_toml
from finops_ai.engine.duck import connect, register
from finops_ai.engine.weights import amount
from finops_ai.errors import PriceError, hint
from finops_ai.frames import BillFrame, conform
from finops_ai.money import COST, exact
from finops_ai.periods import Window
from finops_ai.prices.currency import Conversion
from finops_ai.shapes import Shape, misfit
from finops_ai.tables.spreading import held_seats

#: a seat's plan where its source doesn't tell
NOT_STATED = "not stated"
_FIRST, _LAST = dt.date(1, 1, 1), dt.date(9999, 12, 31)
_ONE, _PLACES = 10 ** COST[1], Decimal(1).scaleb(-12)


@dataclass(frozen=True)
class SeatPrice:
    """The price of a plan's seat from a day on.

    Attributes:
        provider: connector name of who bills it.
        plan: its name, as seat frames have it.
        price: per seat and period, in `currency`.
        currency: ISO 4217.
        per: "month" or "year".
        clock: day of the month on which a period begins, in UTC; a month too short for it begins one on its last day.
        begins: first day of a contract year, for prices per year; by default 1 January.
        removed: a seat given up is paid to the end of its period ("period end") or for its days ("days").
        included: use the price covers per period, at the vendor's rates; None = limits that are no money, or unknown.
        credits: the same in credits of `credit` each.
        credit: what one credit is worth.
        pool: what is included belongs to the "person", or to all seats of the "account".
        stands_for: also the plan of seats whose source doesn't tell theirs.
        valid_from: first day of the price.
        valid_to: day after the last.
        source: where it is from.
        checked: when that was looked at.
        doubt: what the source leaves open.
    """

    provider: str
    plan: str
    price: Decimal
    currency: str = "USD"
    per: str = "month"
    clock: int = 1
    begins: dt.date | None = None
    removed: str = "period end"
    included: Decimal | None = None
    credits: Decimal | None = None
    credit: Decimal | None = None
    pool: str = "person"
    stands_for: bool = False
    valid_from: dt.date = _FIRST
    valid_to: dt.date = _LAST
    source: str = ""
    checked: dt.date | None = None
    doubt: str = ""

    @property
    def covers(self) -> Decimal | None:
        """Use the price covers per period, in `currency`; None where that is no money, or not known."""
        if self.included is not None:
            return self.included
        return None if self.credits is None or self.credit is None else self.credits * self.credit

    def periods(self, first: dt.date, after: dt.date) -> Iterator[tuple[dt.date, dt.date]]:
        """The billing periods that touch the days from `first` to before `after`, as (first day, day after).

        >>> price = SeatPrice("cursor", "teams-standard", Decimal(40), clock=12)
        >>> [f"{a} {b}" for a, b in price.periods(dt.date(2026, 10, 1), dt.date(2026, 10, 20))]
        ['2026-09-12 2026-10-12', '2026-10-12 2026-11-12']
        """
        if self.per == "year":
            anchor = self.begins or dt.date(first.year, 1, 1)
            start = _year_later(anchor, first.year - anchor.year - 1)
            step = _next_year
        else:
            start = _on_day(first.year, first.month - 1, self.clock)
            step = _next_period
        while start < after:
            end = step(start, self.begins.day if self.per == "year" and self.begins else self.clock)
            if end > first:
                yield start, end
            start = end


def _on_day(year: int, month: int, day: int) -> dt.date:
    year, month = year + (month - 1) // 12, (month - 1) % 12 + 1
    return dt.date(year, month, min(day, calendar.monthrange(year, month)[1]))


def _next_period(start: dt.date, day: int) -> dt.date:
    return _on_day(start.year, start.month + 1, day)


def _year_later(day: dt.date, years: int) -> dt.date:
    return _on_day(day.year + years, day.month, day.day)


def _next_year(start: dt.date, day: int) -> dt.date:
    return _on_day(start.year + 1, start.month, day)


@dataclass(frozen=True)
class SeatPrices:
    """Prices of seats, by plan and day: `SeatPrices.default()` has the bundled ones, `.under(rows)` lays others before them.

    Example:
        >>> prices = SeatPrices.default().under([{"provider": "cursor", "plan": "teams-standard", "price": "32"}])
        >>> [str(p.find("cursor", "teams-standard", dt.date(2026, 10, 1)).price) for p in (prices, SeatPrices.default())]
        ['32', '40']
    """

    rows: tuple[SeatPrice, ...] = ()

    @classmethod
    @cache
    def default(cls) -> SeatPrices:
        """The bundled prices (`finops_ai/prices/data/seats.toml`), each with its source and the day it was checked.

        >>> SeatPrices.default().find("github-copilot", "business", dt.date(2026, 10, 1)).price
        Decimal('19')
        """
        text = files("finops_ai.prices").joinpath("data", "seats.toml").read_text("utf-8")
        return cls(tuple(_read(row, "seats.toml") for row in tomllib.loads(text)["seat"]))

    @classmethod
    def load(cls, path: str | Path) -> SeatPrices:
        """The prices of a TOML file of `[[seat]]` (or `[[seats]]`) tables, before the bundled ones."""
        document = read_toml(Path(path))
        if wrong := misfit(document, {"seat": [{}], "seats": [{}]}):
            raise PriceError(f"{path}: {wrong}.")
        return cls.default().under([*document.get("seat", []), *document.get("seats", [])], str(path))

    def under(self, rows: Iterable[Mapping[str, Any]], where: str = "[[seats]]") -> SeatPrices:
        """These prices with others before them: where both know a plan on a day, the other price holds.

        Args:
            rows: tables of the attributes of `SeatPrice`; what a row leaves out of a plan that is known already it takes from there.
            where: for messages.

        Raises:
            PriceError: an unknown key, a price that is no number, a plan without a price.

        >>> mine = SeatPrices.default().under([{"provider": "cursor", "plan": "teams-standard", "price": "32", "clock": 12}])
        >>> price = mine.find("cursor", "teams-standard", dt.date(2026, 10, 1))
        >>> price.price, price.clock, price.covers
        (Decimal('32'), 12, Decimal('20'))
        """
        made = []
        for row in rows:
            known = next((p for p in self.rows if (p.provider, p.plan) == (row.get("provider"), row.get("plan"))), None)
            made.append(_read(row, where, known))
        return SeatPrices((*made, *self.rows))

    def find(self, provider: str, plan: str, day: dt.date) -> SeatPrice | None:
        """The price of a plan on a day; of a plan that isn't stated, that of the provider's row with `stands_for`."""
        for row in self.rows:
            named = row.plan == plan or (plan == NOT_STATED and row.stands_for)
            if row.provider == provider and named and row.valid_from <= day < row.valid_to:
                return row
        return None

    def plans(self, provider: str, day: dt.date) -> list[SeatPrice]:
        """The plans of a provider that have a price on a day, cheapest first."""
        names = dict.fromkeys(row.plan for row in self.rows if row.provider == provider)
        found = [p for name in names if (p := self.find(provider, name, day))]
        return sorted(found, key=lambda p: (monthly(p), p.plan))

    def charges(self, seats: pd.DataFrame, window: Window) -> pd.DataFrame:
        """What seats cost: one charge per seat and billing period that touches the window.

        A seat that is added within a period is charged from that day on; one that is given up, as `removed` of its plan
        says. The amounts are what the price list says, not what an invoice does.

        Args:
            seats: a seat frame; a seat that was listed several times (same plan, holder and start) is one.
            window: whose periods; a seat without a known start is held since before it.

        Returns:
            A bill frame of Purchase charges, one per seat and period, whole periods also where they reach beyond the
            window; `sku_id` is the plan. Seats without a price are left out (`unpriced` names them).
        """
        first, after = window.start.date(), (window.end - dt.timedelta(microseconds=1)).date() + dt.timedelta(days=1)
        periods = self._periods(seats, first, after)
        if not periods.num_rows:
            return conform({}, BillFrame, source="seats")
        with connect() as con:
            held_seats(con, seats)
            register(con, "periods", periods)
            cost = amount("CAST(price AS HUGEINT) * (after - first) // days", *COST)
            sql = f"""
                WITH charged AS (
                  SELECT h.*, p.*, greatest(coalesce(h.since, p.begins), p.begins) AS first,
                    CASE WHEN p.by_days THEN least(coalesce(h.until, p.ends), p.ends) ELSE p.ends END AS after
                  FROM held h JOIN periods p ON h.provider = p.for_provider AND h.plan = p.for_plan
                    AND (h.since IS NULL OR h.since < p.ends) AND (h.until IS NULL OR h.until > p.begins))
                SELECT provider, coalesce(sub_account_id, provider) AS billing_account_id, sub_account_id,
                  CAST(begins AS TIMESTAMP) AS billing_period_start, CAST(ends AS TIMESTAMP) AS billing_period_end,
                  CAST(first AS TIMESTAMP) AS charge_period_start, CAST(after AS TIMESTAMP) AS charge_period_end,
                  'Purchase' AS charge_category, 'Seat, ' || priced_as AS charge_description, priced_as AS sku_id,
                  'unmapped' AS meter, {cost} AS billed_cost, currency AS billing_currency, user_id, 'file' AS source
                FROM charged ORDER BY provider, user_id, first, sku_id"""
            found = con.sql(sql).to_arrow_table()
        utc = [
            pa.field(f.name, pa.timestamp("us", "UTC") if pa.types.is_timestamp(f.type) else f.type)
            for f in found.schema
        ]
        return conform(found.cast(pa.schema(utc)), BillFrame, source="seats")

    def converted(self, conversion: Conversion, day: dt.date) -> SeatPrices:
        """The prices and what they cover in the group's currency, all at the rate of one day.

        For tables that hold them against use of that currency; charges are converted themselves, each at its own day.

        Raises:
            PriceError: a currency without a rate.
        """
        pairs = [(row.currency, day) for row in self.rows if row.currency != conversion.group]
        rates = {row["currency"]: row["rate"] for row in conversion.table(pairs).to_pylist()} if pairs else {}

        def turned(row: SeatPrice) -> SeatPrice:
            rate = rates.get(row.currency)
            if rate is None:
                return row
            amounts = {name: getattr(row, name) for name in ("price", "included", "credit")}
            known = {name: (value * rate).quantize(_PLACES) for name, value in amounts.items() if value is not None}
            return replace(row, currency=conversion.group, **known)

        return SeatPrices(tuple(map(turned, self.rows)))

    def unpriced(self, seats: pd.DataFrame, day: dt.date) -> list[tuple[str, str]]:
        """Providers and plans of seats that no price is known of."""
        named = seats[["provider", "plan"]].drop_duplicates().itertuples(index=False, name=None)
        return sorted((p, plan) for p, plan in named if self.find(p, plan, day) is None)

    def _periods(self, seats: pd.DataFrame, first: dt.date, after: dt.date) -> pa.Table:
        """Billing periods of the seats' plans with the price of the day each begins."""
        out = []
        for provider, plan in sorted(set(seats[["provider", "plan"]].itertuples(index=False, name=None))):
            start = first
            while start < after and (price := self.find(provider, plan, start)) is not None:
                begins, ends = next(price.periods(start, start + dt.timedelta(days=1)))
                at_start = self.find(provider, plan, begins) or price
                out.append({
                    "for_provider": provider, "for_plan": plan, "priced_as": price.plan, "begins": begins, "ends": ends,
                    "days": (ends - begins).days, "price": at_start.price, "currency": at_start.currency,
                    "by_days": at_start.removed == "days",
                })  # fmt: skip
                start = ends
        kinds = {
            "for_provider": pa.string(), "for_plan": pa.string(), "priced_as": pa.string(), "begins": pa.date32(),
            "ends": pa.date32(), "days": pa.int64(), "price": pa.decimal128(38, 0), "currency": pa.string(), "by_days": pa.bool_(),
        }  # fmt: skip
        for row in out:
            row["price"] = Decimal(int(row["price"] * _ONE))
        return pa.table({name: pa.array([row[name] for row in out], kind) for name, kind in kinds.items()})


def monthly(price: SeatPrice) -> Decimal:
    """What a seat comes to per month."""
    return price.price / 12 if price.per == "year" else price.price


#: what a row's values must be; numbers are read one by one
_SHAPE: Shape = {
    "provider": "text", "plan": "text", "currency": "text", "source": "text", "doubt": "text", "clock": "digits",
    "valid_from": "day", "valid_to": "day", "checked": "day", "begins": "day",
}  # fmt: skip


def _read(row: Mapping[str, Any], where: str, known: SeatPrice | None = None) -> SeatPrice:
    names = [f.name for f in fields(SeatPrice)]
    place = f"{where}, seat {row.get('provider', '?')} {row.get('plan', '?')}"
    if unknown := sorted(set(row) - set(names)):
        raise PriceError(f"{place}: no key {unknown[0]!r}. {hint(unknown[0], names)}")
    if wrong := misfit(row, _SHAPE):
        raise PriceError(f"{place}: {wrong}.")
    values: dict[str, Any] = dict(row)
    for name in ("provider", "plan", *(() if known else ("price",))):
        if not values.get(name):
            raise PriceError(f"{place}: {name} is missing.")
    for name in ("price", "included", "credits", "credit"):
        if name in values:
            try:
                values[name] = exact(values[name])
            except (ValueError, ArithmeticError):
                raise PriceError(f"{place}: {name} {values[name]!r} is not a number.") from None
            if values[name] < 0:
                raise PriceError(f"{place}: {name} {values[name]} is negative.")
    for name, allowed in (
        ("per", ("month", "year")),
        ("removed", ("period end", "days")),
        ("pool", ("person", "account")),
    ):
        if name in values and values[name] not in allowed:
            raise PriceError(f"{place}: {name} {values[name]!r} is unknown. {hint(str(values[name]), allowed)}")
    for name in ("valid_from", "valid_to", "checked", "begins"):
        if isinstance(values.get(name), str):
            try:
                values[name] = dt.date.fromisoformat(values[name])
            except ValueError:
                raise PriceError(f"{place}: {name} {values[name]!r} is not a day; write 2026-10-01.") from None
    if not 1 <= int(values.get("clock", 1)) <= 31:
        raise PriceError(f"{place}: clock is a day of the month, 1 to 31, not {values['clock']!r}.")
    if known is None:
        return SeatPrice(**values)
    undated: dict[str, Any] = {"valid_from": _FIRST, "valid_to": _LAST, "source": "", "doubt": "", "checked": None}
    return replace(known, **(undated | values))


__all__ = ["NOT_STATED", "SeatPrice", "SeatPrices", "monthly"]
