"""Allowances that seats pay for: how much of them is used, when they run out, and who pays for what goes beyond."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa

from finops_ai.engine.duck import connect
from finops_ai.errors import DataError
from finops_ai.frames import to_pandas
from finops_ai.frames.origin import zone_of
from finops_ai.frames.types import COST_TYPE
from finops_ai.identity import NO_TEAM, Identities
from finops_ai.money import COST, split_exactly
from finops_ai.people.consumption import register_consumed
from finops_ai.people.privacy import Privacy, told
from finops_ai.people.seat_prices import SeatPrice, SeatPrices
from finops_ai.people.vendors import vendor_of
from finops_ai.periods import Window, next_month, parse_month
from finops_ai.tables.result import Facts, Table
from finops_ai.tables.spreading import held_seats

if TYPE_CHECKING:
    import duckdb

_DAY = dt.timedelta(days=1)


def pools(
    usage: pd.DataFrame,
    seats: pd.DataFrame,
    identities: Identities | None = None,
    *,
    as_of: dt.date | str,
    prices: SeatPrices | None = None,
    privacy: Privacy | None = None,
) -> Table:
    """How much of each allowance is used, and on which day it runs out, in the billing period of a day.

    What is included belongs to each person, or to all seats of the account together, as the plan says; it is counted at the
    vendor's own rates, in the period of the plan's own clock. A seat that is added enlarges the pool on its day, one that is
    given up shrinks it with the next period.

    Args:
        usage: priced rows with the vendor's own figures (`money_basis` included and cash).
        seats: seat frame.
        identities: who is who; without it each account counts for itself.
        as_of: the day after the last one that is known.
        prices: seat prices, which say what is included.
        privacy: what may be seen of persons.

    Returns:
        One row per pool: `provider`, `pool` (a person, or "all seats"), `since` and `until` (its period; the last day is
        included), `seats`, `size`, `used` (up to the size), `beyond` (use past it), `charged` (what the vendor charged beyond),
        `share_used`, `ran_out_on` (the day on which it did), `runs_out_on` (the day on which it will at the pace of the period so
        far; null where it won't), `earliest` and `latest` (at the faster and the slower of that pace and the last seven days').
        Plans whose allowance is no money, or not known, are left out and named.

    Raises:
        FrameError: usage that isn't priced.

    Example:
        >>> import finops_ai as fa
        >>> people = fa.sample.engineers()
        >>> table = fa.pools(people.usage, people.seats, people.identities, as_of="2026-11-01", prices=people.prices)
        >>> set(table["provider"]) <= {"cursor", "github-copilot"}
        True
    """
    after = dt.date.fromisoformat(as_of) if isinstance(as_of, str) else as_of
    last = after - _DAY
    prices, identities = prices or SeatPrices.default(), identities or Identities()
    privacy = told(privacy, identities)
    rows: list[dict[str, Any]] = []
    with connect() as con:
        held_seats(con, seats)
        held = con.sql("SELECT provider, plan, user_id, since, until FROM held").to_arrow_table().to_pylist()
        periods: dict[tuple[str, dt.date, dt.date], dict[str, Any]] = {}
        unknown: set[str] = set()
        for seat in held:
            price = prices.find(seat["provider"], seat["plan"], last)
            if price is None or price.covers is None or not price.covers:
                unknown.add(f"{seat['provider']} {seat['plan']}")
                continue
            since, until = next(price.periods(last, after))
            if (seat["since"] or since) >= min(until, after) or (seat["until"] or until) <= since:
                continue
            found = periods.setdefault((seat["provider"], since, until), {"seats": [], "price": price})
            found["seats"].append((seat, price))
        if periods:
            window = Window.of(min(p[1] for p in periods), after)
            register_consumed(con, usage, identities, window, zone_of(usage))
        for (provider, since, until), found in sorted(periods.items()):
            rows += _of_period(con, provider, since, until, after, found["seats"], identities, privacy)
    currencies = sorted({r["currency"] for r in rows})
    facts = Facts(
        "Use of allowances",
        currencies[0] if len(currencies) == 1 else "",
        f"until {last}",
        conserves="used and beyond are all use at the vendor's rates",
        notes=["Use of allowances is no cash; what is charged beyond them is."],
        money=["size", "used", "beyond", "charged"],
        charged=True,
    )
    if unknown:
        facts.notes.append(f"What these plans include is no money, or not known: {', '.join(sorted(unknown))}.")
    return Table.of(_frame(rows, several=len(currencies) > 1), facts, usage)


def _of_period(
    con: duckdb.DuckDBPyConnection,
    provider: str,
    since: dt.date,
    until: dt.date,
    after: dt.date,
    seats: list[tuple[dict[str, Any], SeatPrice]],
    identities: Identities,
    privacy: Privacy,
) -> list[dict[str, Any]]:
    """The pools of one provider and period."""
    used = con.execute(
        f"""SELECT who, any_value(person), any_value(account), day, sum(cash + included), sum(cash) FROM consumed
            WHERE vendor = ? AND day >= DATE '{since}' AND day < DATE '{min(until, after)}' AND has_vendor GROUP BY who, day ORDER BY day""",
        [vendor_of(provider)],
    ).fetchall()
    together = [(seat, price) for seat, price in seats if price.pool == "account"]
    alone: dict[tuple[str | None, str], list[tuple[dict[str, Any], SeatPrice]]] = {}
    for seat, price in seats:
        if price.pool == "person":
            person = identities.on(seat["user_id"], min(until, after) - _DAY, provider)[0]
            alone.setdefault((person, person or "?" + seat["user_id"]), []).append((seat, price))
    out = []
    if together:
        out.append(_pool(provider, "all seats", since, until, after, together, used))
    for (person, who), mine in sorted(alone.items(), key=str):
        name = privacy.name(person, mine[0][0]["user_id"])
        out.append(_pool(provider, name, since, until, after, mine, [u for u in used if u[0] == who]))
    return out


def _pool(
    provider: str,
    name: str,
    since: dt.date,
    until: dt.date,
    after: dt.date,
    seats: list[tuple[dict[str, Any], SeatPrice]],
    used: list[tuple[Any, ...]],
) -> dict[str, Any]:
    by_day: dict[dt.date, Decimal] = {}
    for *_, day, units, _ in used:
        by_day[day] = by_day.get(day, Decimal(0)) + Decimal(int(units)).scaleb(-COST[1])
    charged = sum((Decimal(int(u[5])) for u in used), Decimal(0)).scaleb(-COST[1])

    def size_on(day: dt.date) -> Decimal:
        mine = [p.covers or Decimal(0) for s, p in seats if (s["since"] or since) <= day]
        return sum(mine, Decimal(0))

    last = min(until, after) - _DAY
    whole, size, ran_out = Decimal(0), size_on(last), None
    for day, amount in sorted(by_day.items()):
        whole += amount
        if ran_out is None and whole >= size_on(day) > 0:
            ran_out = day
    if whole < size:  # a seat that came later enlarged it again
        ran_out = None
    days = (last - since).days + 1
    recent = [d for d in by_day if last - d < 7 * _DAY]
    paces = [Fraction(whole) / days, Fraction(sum((by_day[d] for d in recent), Decimal(0))) / min(7, days)]
    left = max(size - whole, Decimal(0))
    ahead = [_day_at(left, pace, last, until) if ran_out is None else None for pace in paces]
    dated = [day for day in ahead if day]
    return {
        "provider": provider, "pool": name, "since": since, "until": until - _DAY, "seats": len(seats), "size": size,
        "used": min(whole, size), "beyond": max(whole - size, Decimal(0)), "charged": charged,
        "share_used": float(min(whole, size) / size) if size else None, "ran_out_on": ran_out, "runs_out_on": ahead[0],
        "earliest": min(dated) if dated else None, "latest": max(dated) if len(dated) == len(paces) else None,
        "currency": seats[0][1].currency,
    }  # fmt: skip


def _day_at(left: Decimal, pace: Fraction, last: dt.date, until: dt.date) -> dt.date | None:
    """The day on which what is left is used at a pace; None where that isn't within the period."""
    if pace <= 0:
        return None
    days = math.ceil(Fraction(left) / pace)
    return last + days * _DAY if last + days * _DAY < until else None


def _frame(rows: list[dict[str, Any]], *, several: bool) -> pd.DataFrame:
    kinds: dict[str, pa.DataType] = {
        "provider": pa.string(), "pool": pa.string(), "since": pa.date32(), "until": pa.date32(), "seats": pa.int64(),
        "size": COST_TYPE, "used": COST_TYPE, "beyond": COST_TYPE, "charged": COST_TYPE, "share_used": pa.float64(),
        "ran_out_on": pa.date32(), "runs_out_on": pa.date32(), "earliest": pa.date32(), "latest": pa.date32(),
    }  # fmt: skip
    kinds |= {"currency": pa.string()} if several else {}
    return to_pandas(pa.table({name: pa.array([r[name] for r in rows], kind) for name, kind in kinds.items()}))


def fair_net(
    usage: pd.DataFrame,
    identities: Identities | None = None,
    *,
    month: str | Window,
    provider: str = "github-copilot",
    privacy: Privacy | None = None,
    timezone: str | None = None,
) -> Table:
    """What went beyond a shared pool, spread by everybody's share of all use, beside the vendor's own last-come charge.

    A pool is used first come, first served, so what is charged lands on whoever worked last in the month. For a charge that
    is fair, the period's net is divided by gross use instead; both add up to the same.

    Args:
        usage: priced rows with the vendor's own figures.
        identities: who is who; without it each account counts for itself.
        month: `YYYY-MM` of the vendor's clock (UTC), or a window.
        provider: whose pool.
        privacy: what may be seen of persons.
        timezone: whose days; UTC, the vendor's own, by default.

    Returns:
        One row per person: `person`, `team` (of the last day of use), `gross` (all use at the vendor's rates), `vendor_net` (what
        the vendor charged), `fair_net` (the whole net by share of gross, exact to the last digit), `difference`.

    Raises:
        DataError: the provider has no use in the month.

    Example:
        >>> import finops_ai as fa
        >>> people = fa.sample.engineers()
        >>> table = fa.fair_net(people.usage, people.identities, month="2026-10")
        >>> sum(table["vendor_net"]) == sum(table["fair_net"])
        True
    """
    identities = identities or Identities()
    privacy = told(privacy, identities)
    if isinstance(month, str):
        window = Window.of(parse_month(month), next_month(parse_month(month)), timezone or "UTC")
    else:
        window = month
    with connect() as con:
        register_consumed(con, usage, identities, window, timezone or "UTC")
        found = con.execute(
            """SELECT who, any_value(person), any_value(account), arg_max(team, day), currency, sum(cash + included), sum(cash)
               FROM consumed WHERE vendor = ? AND has_vendor GROUP BY who, currency ORDER BY currency, who""",
            [vendor_of(provider)],
        ).fetchall()
    if not found:
        raise DataError(f"{provider} has no use in {month}.")
    rows = []
    for currency in sorted({row[4] for row in found}):
        mine = [row for row in found if row[4] == currency]
        net, gross = int(sum(row[6] for row in mine)), [int(row[5]) for row in mine]
        fair = split_exactly(net, gross) if sum(gross) else [int(row[6]) for row in mine]
        for (_, person, account, team, *_, used, charged), share in zip(mine, fair, strict=True):
            amounts = [Decimal(int(n)).scaleb(-COST[1]) for n in (used, charged, share, share - int(charged))]
            rows.append(
                {"person": privacy.name(person, account), "team": team or NO_TEAM, "currency": currency}
                | dict(zip(("gross", "vendor_net", "fair_net", "difference"), amounts, strict=True))
            )
    rows.sort(key=lambda r: ((-r["gross"],) if privacy.ranked else (), r["person"]))
    currencies = sorted({r["currency"] for r in rows})
    kinds: dict[str, pa.DataType] = {"person": pa.string(), "team": pa.string()}
    kinds |= dict.fromkeys(("gross", "vendor_net", "fair_net", "difference"), COST_TYPE)
    kinds |= {"currency": pa.string()} if len(currencies) > 1 else {}
    facts = Facts(
        f"Net of {provider} by share of use",
        currencies[0] if len(currencies) == 1 else "",
        month if isinstance(month, str) else month.in_words(),
        conserves="the vendor's net, which both columns add up to",
        notes=["Gross is use at the vendor's rates, most of it covered by the pool: no cash."],
        money=["gross", "vendor_net", "fair_net", "difference"],
        adds=[("difference", ("fair_net", "-vendor_net"))],
        total=True,
        charged=True,
    )
    frame = to_pandas(pa.table({name: pa.array([r[name] for r in rows], kind) for name, kind in kinds.items()}))
    return Table.of(frame, facts, usage)


__all__ = ["fair_net", "pools"]
