"""Reserved capacity: units that stay idle, reservations dearer than paying by the token, and load that is always there.

Each day, or hour where rows tell hours, has the unit hours that were paid and those that calls took. Fewer units serve
less of the peaks; what they don't serve is priced by the token. The best number of units is the one at which both together
cost least.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np

from finops_ai.engine import reprice
from finops_ai.engine.fields import IDLE_OPERATION
from finops_ai.meters import meters
from finops_ai.money import written
from finops_ai.periods import UTC, zone
from finops_ai.prices.commitments import HOURS
from finops_ai.prices.names import provider_name
from finops_ai.saving.cells import Cells
from finops_ai.saving.opportunity import Finding, Positions, Range
from finops_ai.saving.profile import Profile
from finops_ai.tables.changing import TOKENS, at_tier
from finops_ai.tables.drivers import short
from finops_ai.tables.reserving import money

#: idle part of what is paid from which on it is told
_IDLE = Fraction(1, 10)
#: room above the busiest day that the careful case keeps, where single hours aren't told
_ROOM = Fraction(5, 4)
#: numbers of units that are tried at most
_TRIED = 400
_UNITS = tuple(m.name for m in meters().values() if m.name in HOURS)


@dataclass
class _Day:
    """What was paid and used of a pool on a day."""

    fee: Fraction = Fraction(0)
    idle: Fraction = Fraction(0)
    hours: Fraction = Fraction(0)
    on_demand: Fraction | None = Fraction(0)

    @property
    def used(self) -> Fraction:
        """Unit hours that calls took."""
        return self.hours * (1 - self.idle / self.fee) if self.fee else Fraction(0)


@dataclass
class _Pool:
    """Capacity that serves the same calls: its days, and the positions of its rows."""

    provider: str
    model: str
    days: dict[dt.date, _Day] = field(default_factory=dict)
    hour_rows: list[int] = field(default_factory=list)
    idle_rows: list[int] = field(default_factory=list)
    token_rows: list[int] = field(default_factory=list)
    place: str = ""

    def sum(self, name: str) -> Fraction:
        return sum((getattr(day, name) or Fraction(0) for day in self.days.values()), Fraction(0))


def capacity(cells: Cells, profile: Profile) -> Iterator[Finding]:
    """Pools with idle units, and pools that cost more than paying by the token."""
    for pool in _pools(cells):
        fee, idle = pool.sum("fee"), pool.sum("idle")
        if fee <= 0:
            continue
        subject = {"provider": pool.provider, "model": pool.model, **({"place": pool.place} if pool.place else {})}
        where = f"{short(pool.model)} at {pool.provider}" + (f", {pool.place}" if pool.place else "")
        owner = cells.owner(
            np.array([*pool.token_rows, *(i for i in pool.hour_rows if i not in set(pool.idle_rows))], int)
        )
        shapes = _shapes(cells, profile, pool)
        if idle >= fee * _IDLE and pool.idle_rows:
            found = _resized(pool, shapes)
            if found is not None:
                units, now, saving = found
                yield Finding(
                    "capacity", subject, f"Release or fill idle capacity of {where}",
                    f"{written(float(idle), cells.currency)} of {written(float(fee), cells.currency)} were paid for units that served no call ({float(idle / fee):.1%}); {_units(units)} of {_units(now)} units would have been enough",
                    np.array(pool.idle_rows), saving=saving, confidence="high" if shapes else "medium", owner=owner,
                    assumptions=("calls come as they did; what fewer units don’t serve is billed by the token",
                                 *(() if shapes else ("peaks within a day aren’t told: keep some room",))),
                    risk="calls wait or go on demand at peaks", terms={"provider": pool.provider},
                )  # fmt: skip
        demand = None if any(d.on_demand is None for d in pool.days.values()) else pool.sum("on_demand")
        if demand is not None and demand < fee and pool.token_rows:
            most = money(int((fee - demand) * 10**18))
            yield Finding(
                "on_demand", subject, f"Pay for {where} by the token instead of by the hour",
                f"the calls it served would have cost {written(float(demand), cells.currency)} by the token, {float(demand / fee):.0%} of the "
                f"{written(float(fee), cells.currency)} that were paid, {written(float(idle), cells.currency)} of them for idle units",
                np.array([*pool.hour_rows, *pool.token_rows]),
                saving=Range(most - money(int(demand * 10**17)), most, most), confidence="medium", owner=owner,
                assumptions=("the reservation can end, and its guaranteed speed isn’t needed",),
                risk="no guaranteed throughput; answers may come later at busy times", terms={"provider": pool.provider},
            )  # fmt: skip


def _units(value: Fraction) -> str:
    return f"{float(value):,.0f}" if value.denominator == 1 else f"{float(value):,.1f}"


# -- what there is


def _pools(cells: Cells) -> list[_Pool]:
    """The capacity of a period, its rows put together with the calls it served."""
    pools: dict[tuple[Any, ...], _Pool] = {}
    frame = cells.frame
    columns = {
        c: frame[c].astype(object).to_numpy()
        for c in ("region", "price_status", "price_id", "contracted_cost")
        if c in frame
    }
    utc = [t.date() for t in frame["charge_period_start"]]  # capacity is settled by UTC day
    now = cells.now
    hours = now[cells.of(_UNITS)[now]]
    for i in hours:
        pools.setdefault(
            _key(cells, columns, i),
            _Pool(str(cells.provider[i]), str(cells.model[i]), place=_text(columns, "region", i)),
        ).hour_rows.append(i)
    for pool in pools.values():
        for i in pool.hour_rows:
            day = pool.days.setdefault(utc[i], _Day())
            cost = Fraction(cells.cost[i])
            day.fee += cost
            day.hours += Fraction(cells.quantity[i])
            if cells.operation[i] == IDLE_OPERATION or _text(columns, "price_status", i) == "contract":
                day.idle += cost
                pool.idle_rows.append(i)
    tokens = now[(cells.tier[now] == "provisioned") & cells.of(TOKENS)[now]]
    plain = _by_the_token(cells, tokens)
    for i, price in zip(tokens, plain, strict=True):
        mine = _served_by(cells, columns, pools, i)
        if mine is None:
            continue
        mine.token_rows.append(i)
        day = mine.days.setdefault(utc[i], _Day())
        day.fee += Fraction(cells.cost[i])
        day.on_demand = None if price is None or day.on_demand is None else day.on_demand + Fraction(price)
    return sorted(pools.values(), key=lambda p: (p.provider, p.model, p.place))


def _text(columns: Mapping[str, Any], name: str, i: int) -> str:
    value = columns[name][i] if name in columns else None
    return value if isinstance(value, str) else ""


def _key(cells: Cells, columns: Mapping[str, Any], i: int) -> tuple[Any, ...]:
    """A contract's pool by its name; else what is reserved of a model in a region."""
    if _text(columns, "price_status", i) == "contract":
        return (cells.provider[i], _text(columns, "price_id", i))
    return (cells.provider[i], cells.model[i], _text(columns, "region", i))


def _served_by(
    cells: Cells, columns: Mapping[str, Any], pools: Mapping[tuple[Any, ...], _Pool], i: int
) -> _Pool | None:
    """The pool that served a row's tokens: the contract's, the same model's in the region, or the provider's only one."""
    terms = getattr(cells.book, "terms_of", None)
    if terms is not None and getattr(cells.book, "has_terms", False):
        row = cells.frame.iloc[i]
        number = terms(
            {k: _none(row.get(k)) for k in cells.book.key_columns}, row["charge_period_start"].to_pydatetime()
        )[2]
        if number is not None:
            name = cells.book.pools[number].name  # type: ignore[attr-defined]
            return pools.get((cells.provider[i], name))
    exact = pools.get((cells.provider[i], cells.model[i], _text(columns, "region", i)))
    mine = [pool for key, pool in pools.items() if key[0] == cells.provider[i] and key[1] == cells.model[i]]
    return exact or (mine[0] if len(mine) == 1 else None)


def _none(value: object) -> Any:
    return value if isinstance(value, str) else None


def _by_the_token(cells: Cells, rows: Positions) -> list[Decimal | None]:
    """What served tokens would have cost in the standard tier."""
    if not len(rows):
        return []
    found = reprice(at_tier(cells.frame.take(rows.tolist()), "standard"), cells.book)
    rates = cells.exchange_rates(rows)
    return [
        c * rate if isinstance(c, Decimal) else None
        for c, rate in zip(found["contracted_cost"].astype(object), rates, strict=True)
    ]


# -- what would be best


def _shapes(cells: Cells, profile: Profile, pool: _Pool) -> dict[dt.date, list[Fraction]]:
    """How each day's use divides into hours; empty where rows don't tell hours."""
    out: dict[dt.date, list[Fraction]] = {}
    tz = zone(cells.timezone)
    for (key, tier), hours in profile.hours.items():
        if tier == "provisioned" and dict(key).get("provider") == pool.provider:
            for moment, tokens in hours.items():
                at = moment.replace(tzinfo=tz).astimezone(UTC)
                day = out.setdefault(at.date(), [Fraction(0)] * 24)
                day[at.hour] += Fraction(tokens)
    return {d: [v / sum(shape) for v in shape] for d, shape in out.items() if sum(shape)}


def _resized(pool: _Pool, shapes: Mapping[dt.date, list[Fraction]]) -> tuple[Fraction, Fraction, Range] | None:
    """The number of units that would have cost least, today's, and the saving with its range; None if that is today's."""
    days = [(day, shapes.get(date)) for date, day in pool.days.items() if day.hours]
    now = max((day.hours / 24 for day, _ in days), default=Fraction(0))
    if not days or now <= 0:
        return None
    step = max(Fraction(1), Fraction(int(now) // _TRIED))
    tried = [step * n for n in range(int(now / step) + 1)] if now > 1 else [Fraction(0)]
    savings = {units: _saving(days, units) for units in tried if units < now}
    best = max(savings, key=lambda u: (savings[u], u), default=None)
    if best is None or savings[best] <= 0:
        return None
    careful = [u for u in savings if u >= best and all(_fits(day, shape, u) for day, shape in days)]
    low = max((savings[u] for u in careful), default=savings[best] / 2)
    idle = pool.sum("idle")
    surely = max(min(low, savings[best] * Fraction(4, 5)), Fraction(0))
    least, usual, most = (money(int(v * 10**18)) for v in (surely, savings[best], max(idle, savings[best])))
    return best, now, Range(least, usual, most)


def _saving(days: list[tuple[_Day, list[Fraction] | None]], units: Fraction) -> Fraction:
    """What fewer units would have saved: their fee, less what then goes by the token."""
    out = Fraction(0)
    for day, shape in days:
        held = day.hours / 24
        out += day.fee * (1 - min(units / held, Fraction(1)))
        # what doesn't fit is dearer than on capacity, whatever it costs by the token: whether capacity pays at all is `on_demand`
        out -= max(day.on_demand or Fraction(0), (day.fee - day.idle) * _ROOM) * _overflow(day, shape, units)
    return out


def _overflow(day: _Day, shape: list[Fraction] | None, units: Fraction) -> Fraction:
    """The part of a day's use that so many units don't serve."""
    used = day.used
    if not used:
        return Fraction(0)
    if shape is None:
        return max(1 - units * 24 / used, Fraction(0))
    return sum((max(used * part - units, Fraction(0)) for part in shape), Fraction(0)) / used


def _fits(day: _Day, shape: list[Fraction] | None, units: Fraction) -> bool:
    return _overflow(day, shape, units) == 0 if shape else day.used * _ROOM <= units * 24


def buying(cells: Cells, profile: Profile) -> Iterator[Finding]:
    """More units of a pool whose price by the hour is below that of the load that is always there."""
    for pool in getattr(cells.book, "pools", ()):
        scope = pool.scope
        if not scope.tokens_per_hour or not (scope.hourly or scope.monthly):
            continue
        now, provider = cells.now, pool.contract.provider
        mine = [
            i for i in now
            if cells.by_call[i] and cells.tier[i] == "standard" and cells.meter[i] in TOKENS
            and provider_name(str(cells.provider[i])) == provider and _like(scope.model, str(cells.model[i]))
        ]  # fmt: skip
        if not mine:
            continue
        rows = np.array(mine)
        last = pool.parts[-1]
        rate = Fraction(max(cells.exchange_rates(rows)))  # the load is in the group's currency, the price may not be
        fee = Fraction(last.cost(*_span(cells))) / Fraction(last.units) / cells.days * rate
        days = []
        for _, found in cells.by_day(rows).items():
            weight = sum(
                (Fraction(cells.quantity[i]) * Fraction(scope.weight(cells.meter[i])) for i in found), Fraction(0)
            )
            days.append((weight / Fraction(scope.tokens_per_hour) / 24, Fraction(cells.total(found))))
        days += [(Fraction(0), Fraction(0))] * (cells.days - len(days))
        best, saving = 0, Fraction(0)
        for units in range(1, int(max(need for need, _ in days)) + 2):
            gain = sum(
                (cost * min(Fraction(units) / need, Fraction(1)) if need else Fraction(0) for need, cost in days),
                Fraction(0),
            )
            if gain - fee * units * cells.days > saving:
                best, saving = units, gain - fee * units * cells.days
        if best:
            usual = money(int(saving * 10**18))
            yield Finding(
                "buy", {"provider": str(cells.provider[rows[0]]), "pool": pool.name}, f"Reserve {best} more {scope.unit} of {pool.name}",
                f"by the token the load that is always there costs more than {float(fee / 24):,.4f} an hour and {scope.unit}", rows,
                saving=Range(usual / 2, usual, usual), confidence="medium", owner=cells.owner(rows),
                assumptions=("the load goes on, spread evenly over each day", "the price of the last commitment is offered again"),
                risk="paid whether used or not", terms={"provider": str(cells.provider[rows[0]])},
            )  # fmt: skip


def _like(pattern: str, model: str) -> bool:
    return not pattern or (model.startswith(pattern[:-1]) if pattern.endswith("*") else model == pattern)


def _span(cells: Cells) -> tuple[dt.datetime, dt.datetime]:
    frame = cells.frame.iloc[cells.past :]
    start = frame["charge_period_start"].min().to_pydatetime().replace(hour=0, minute=0, second=0, microsecond=0)
    return start, start + dt.timedelta(days=cells.days)
