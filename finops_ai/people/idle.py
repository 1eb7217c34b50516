"""Seats that nobody uses, in money, and how sure that is."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import pandas as pd
import pyarrow as pa

from finops_ai.engine.duck import Scan, connect
from finops_ai.errors import DataError
from finops_ai.frames import to_pandas
from finops_ai.frames.types import COST_TYPE
from finops_ai.identity import NO_TEAM, Identities
from finops_ai.people.privacy import Privacy, told
from finops_ai.people.seat_prices import SeatPrices, monthly
from finops_ai.people.vendors import vendor_sql
from finops_ai.tables.result import Facts, Table
from finops_ai.tables.spreading import held_seats, register_who

#: what a seat is, and why it is said
STATUSES = ("used", "idle", "new", "unknown")


def idle_seats(
    seats: pd.DataFrame,
    identities: Identities,
    *,
    as_of: dt.date | str,
    usage: Sequence[pd.DataFrame] = (),
    prices: SeatPrices | None = None,
    days: int = 30,
    privacy: Privacy | None = None,
) -> Table:
    """Which seats nobody used for so many days, what that costs a month, and how sure it is.

    A seat is **idle** only where every doubt is out: no event of its person in any source within the days, the source that
    lists it hears of every use, and it is older than the days. A seat that is younger is **new**; where the source may not
    hear of use (telemetry is off, or the source doesn't say) it is **unknown**, never idle. Any event of any source, by any
    account of the person and any road (the vendor's own tools, logs, telemetry), makes it **used**.

    Args:
        seats: seat frame.
        identities: who is who; an account that it doesn't know counts for itself.
        as_of: the day after the last one that counts.
        usage: token frames of every source there is, priced or not: each event is a sign of life.
        prices: prices of seats; the bundled ones by default.
        days: without an event for a seat to be idle.
        privacy: what may be seen of persons.

    Returns:
        One row per seat held on the last day: `person`, `team`, `provider`, `plan`, `status`, `confidence` ("proven" for
        used and idle, "not yet" for new, "none" for unknown), `last_seen` (day, null where nothing was ever seen), `why`, and
        `cost_per_month` at the plan's price, null where none is known; `idle_cost` is that of idle seats, 0 for the others, so
        that its sum is what giving them up saves. `currency` where there are several.

    Raises:
        DataError: fewer than one day.

    Example:
        >>> import finops_ai as fa
        >>> from finops_ai.frames import SeatFrame, conform
        >>> seats = conform({"provider": ["cursor"] * 2, "plan": ["teams-standard"] * 2, "user_id": ["ada@example.com", "fay@example.com"],
        ...     "seat_start": pd.to_datetime(["2026-01-01"] * 2, utc=True), "telemetry": ["on", "unknown"], "source": ["api"] * 2},
        ...     SeatFrame, source="me")
        >>> table = fa.idle_seats(seats, fa.Identities(), as_of="2026-11-01", privacy=fa.Privacy(shown=True))
        >>> table[["status", "confidence", "cost_per_month", "idle_cost"]]
        Idle seats 2026-10-31
        status   confidence  cost_per_month  idle_cost
        idle     proven               40.00      40.00
        unknown  none                 40.00       0.00
        ...
    """
    if days < 1:
        raise DataError(f"A seat is idle after at least one day, not {days}.")
    after = dt.date.fromisoformat(as_of) if isinstance(as_of, str) else as_of
    since, last = after - dt.timedelta(days=days), after - dt.timedelta(days=1)
    prices, privacy = prices or SeatPrices.default(), told(privacy, identities)
    with connect() as con:
        register_who(con, identities, [("", last, after)])
        held_seats(con, seats)
        con.execute("CREATE TEMP TABLE seen (provider VARCHAR, vendor VARCHAR, account VARCHAR, day DATE)")
        for number, frame in enumerate(usage):
            scan = Scan(
                con, frame, ["provider", "tool_name", "user_id", "charge_period_start"], name=f"events_{number}"
            )
            start, who = scan.column("charge_period_start"), scan.column("user_id")
            con.execute(
                f"INSERT INTO seen SELECT {scan.column('provider')}, {vendor_sql(scan.column('provider'), scan.column('tool_name'))}, lower(trim({who})), max(CAST({start} AS DATE)) "
                f"FROM {scan.name} WHERE {who} IS NOT NULL AND CAST({start} AS DATE) < DATE '{after}' GROUP BY ALL"
            )
        found = con.sql(f"""
            WITH named AS (
              SELECT s.vendor, coalesce(p.person, '?' || s.account) AS who, max(s.day) AS day FROM seen s
              LEFT JOIN who_keys own ON own.key = lower(s.provider) || '/' || s.account
              LEFT JOIN who_keys any_ ON any_.key = '/' || s.account
              LEFT JOIN who p ON p.key = coalesce(own.key, any_.key) AND s.day >= p.since AND s.day < p.until GROUP BY ALL),
            owned AS (
              SELECT h.*, {vendor_sql("h.provider")} AS vendor, p.person, p.team, coalesce(p.person, '?' || h.user_id) AS who FROM held h
              LEFT JOIN who_keys own ON own.key = lower(h.provider) || '/' || h.user_id
              LEFT JOIN who_keys any_ ON any_.key = '/' || h.user_id
              LEFT JOIN who p ON p.key = coalesce(own.key, any_.key) AND DATE '{last}' >= p.since AND DATE '{last}' < p.until
              WHERE (h.since IS NULL OR h.since <= DATE '{last}') AND (h.until IS NULL OR h.until > DATE '{last}'))
            SELECT o.person, o.user_id, o.team, o.provider, o.plan, o.since, o.heard,
              nullif(greatest(coalesce(n.day, DATE '0001-01-01'), coalesce(CASE WHEN CAST(o.seen AS DATE) < DATE '{after}' THEN CAST(o.seen AS DATE) END,
                DATE '0001-01-01')), DATE '0001-01-01') AS last_seen
            FROM owned o LEFT JOIN named n ON n.vendor = o.vendor AND n.who = o.who ORDER BY ALL""").to_arrow_table()
    rows = [_judged(row, prices, privacy, since, last, days) for row in found.to_pylist()]
    rows.sort(
        key=lambda r: ((-(r["idle_cost"] or 0),) if privacy.ranked else (), r["person"], r["provider"], r["plan"])
    )
    return Table.of(_frame(rows), _facts(rows, last, days, privacy))


def _judged(
    row: dict[str, Any], prices: SeatPrices, privacy: Privacy, since: dt.date, last: dt.date, days: int
) -> dict[str, Any]:
    seen, price = row["last_seen"], prices.find(row["provider"], row["plan"], last)
    if seen is not None and seen >= since:
        status, confidence, why = "used", "proven", f"last used on {seen}"
    elif row["since"] is not None and row["since"] > since:
        status, confidence, why = "new", "not yet", f"held since {row['since']}, less than {days} days"
    elif not row["heard"]:
        status, confidence, why = "unknown", "none", "its source may not hear of use"
    elif row["since"] is None:
        status, confidence, why = "unknown", "none", "its source doesn't tell since when it is held"
    else:
        status, confidence, why = "idle", "proven", f"no event in any source for {days} days"
    cost = None if price is None else monthly(price)
    return {
        "person": privacy.name(row["person"], row["user_id"]), "team": row["team"] or NO_TEAM, "provider": row["provider"],
        "plan": row["plan"], "status": status, "confidence": confidence, "last_seen": seen, "why": why, "cost_per_month": cost,
        "idle_cost": cost if status == "idle" else (None if cost is None else cost * 0),
        "currency": None if price is None else price.currency,
    }  # fmt: skip


def _frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    texts = ("person", "team", "provider", "plan", "status", "confidence", "why")
    kinds: dict[str, pa.DataType] = dict.fromkeys(texts[:6], pa.string())
    kinds |= {"last_seen": pa.date32(), "why": pa.string(), "cost_per_month": COST_TYPE, "idle_cost": COST_TYPE}
    if len({r["currency"] for r in rows if r["currency"]}) > 1:
        kinds["currency"] = pa.string()
    return to_pandas(pa.table({name: pa.array([r[name] for r in rows], kind) for name, kind in kinds.items()}))


def _facts(rows: list[dict[str, Any]], last: dt.date, days: int, privacy: Privacy) -> Facts:
    currencies = sorted({r["currency"] for r in rows if r["currency"]})
    unknown = sum(r["status"] == "unknown" for r in rows)
    notes = [f"Idle: no event in any source for {days} days, a source that hears of every use, and held for longer."]
    if unknown:
        notes.append(
            f"{unknown:,} seats may be idle or not: their source may not hear of use. They are not called idle."
            if unknown > 1
            else "1 seat may be idle or not: its source may not hear of use. It is not called idle."
        )
    if unpriced := sorted({f"{r['provider']} {r['plan']}" for r in rows if r["cost_per_month"] is None}):
        notes.append(f"No price is known of seats of {', '.join(unpriced)}. Enter it in [[seats]].")
    return Facts(
        "Idle seats",
        currencies[0] if len(currencies) == 1 else "",
        f"{last}",
        conserves="every seat held on the day is one row",
        coverage={"known": 1 - unknown / len(rows) if rows else None},
        notes=notes,
        money=["cost_per_month", "idle_cost"],
        total=True,
        charged=True,
    )


__all__ = ["STATUSES", "idle_seats"]
