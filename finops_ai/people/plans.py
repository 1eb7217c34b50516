"""Seat or API, and who should change plan: each person's own use held against what each way of paying comes to."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa

from finops_ai.engine.duck import connect
from finops_ai.errors import DataError
from finops_ai.frames import to_pandas
from finops_ai.frames.origin import zone_of
from finops_ai.frames.types import COST_TYPE
from finops_ai.identity import NO_TEAM, Identities
from finops_ai.money import COST
from finops_ai.people.consumption import register_consumed
from finops_ai.people.privacy import Privacy, told
from finops_ai.people.seat_prices import SeatPrice, SeatPrices, monthly
from finops_ai.people.vendors import vendor_of
from finops_ai.periods import Window, next_month, parse_month
from finops_ai.tables.result import Facts, Table
from finops_ai.tables.spreading import held_seats

#: how a person's use is known, the vendor's own figures first; one road counts, they are never added
ROADS = ("vendor", "bill", "logs")
API = "API"


def seat_or_api(
    usage: pd.DataFrame,
    seats: pd.DataFrame,
    identities: Identities | None = None,
    *,
    months: Sequence[str],
    prices: SeatPrices | None = None,
    privacy: Privacy | None = None,
) -> Table:
    """Per person, what the seat comes to against the same use by API, and against every other plan of the vendor.

    A seat pays once what a person uses, at the vendor's rates, is worth more than the seat and what is charged beyond it. Use
    is that of the vendor's own figures (included and charged); where there are none, what was billed by API; else what logs are
    worth at list prices. These are never added. A plan costs its price, and what goes beyond what it includes; a plan whose
    allowance is no money can't be told for its holder's use, so its cost is unknown unless it is the one that is held.

    Args:
        usage: priced rows.
        seats: seat frame; a person without a seat who uses a vendor that sells some is held against its plans, too.
        identities: who is who; without it each account counts for itself.
        months: whole months to look at, `YYYY-MM`; the more, the better the range.
        prices: prices of seats; the bundled ones by default.
        privacy: what may be seen of persons.

    Returns:
        One row per person and vendor: `person`, `team`, `provider`, `plan` (held, or "API"), `road` (how use is known), `months`,
        (those that the seat was held throughout; else the last, in part, from which no change follows), and per month on average: `consumption` (use at the vendor's rates), `paid` (seat and charged beyond), `break_even` (use
        from which on the seat pays: its price), `api_cost` (the same use by API), `best` (the cheapest way that is known),
        `best_cost`, `saving` (paid less best_cost, 0 where nothing is cheaper), `saving_low` and `saving_high` (in the worst and
        the best month; below 0 where the change would have cost more), `advice`: "keep", "change" (it saves in every month),
        "look" (it saves on average, not in every month) or "unknown".

    Raises:
        DataError: no months.

    Example:
        >>> import finops_ai as fa
        >>> people = fa.sample.engineers()
        >>> table = fa.seat_or_api(people.usage, people.seats, people.identities, months=["2026-10"], prices=people.prices)
        >>> sorted(set(table["advice"]))
        ['change', 'keep', 'look', 'unknown']
    """
    if not len(months):
        raise DataError("seat_or_api needs at least one month, such as months=['2026-10'].")
    prices, identities = prices or SeatPrices.default(), identities or Identities()
    privacy, months = told(privacy, identities), sorted(months)
    window = Window.of(parse_month(months[0]), next_month(parse_month(months[-1])))
    with connect() as con:
        register_consumed(con, usage, identities, window, zone_of(usage))
        used = con.execute(
            """SELECT vendor, who, any_value(person), any_value(account), arg_max(team, day), strftime(day, '%Y-%m') AS month, currency,
                 sum(cash), sum(included), sum(billed), sum(logged), bool_or(has_vendor), bool_or(has_logs)
               FROM consumed WHERE account IS NOT NULL GROUP BY vendor, who, month, currency ORDER BY ALL"""
        ).fetchall()
        held_seats(con, seats)
        held = (
            con.sql("SELECT provider, plan, user_id, since, until FROM held ORDER BY ALL").to_arrow_table().to_pylist()
        )
    people = _people(used, held, identities, prices, months)
    rows = [row for key in sorted(people, key=str) if (row := _row(people[key], prices, months, privacy))]
    rows.sort(key=lambda r: ((-(r["saving"] or 0),) if privacy.ranked else (), r["person"], r["provider"]))
    currencies = sorted({r["currency"] for r in rows if r["currency"]})
    facts = Facts(
        "Seat or API",
        currencies[0] if len(currencies) == 1 else "",
        months[0] if len(months) == 1 else f"{months[0]} to {months[-1]}",
        notes=[
            "Consumption is use at the vendor's rates, no cash; paid is cash. A plan of a pool that all share holds for one person "
            "only as far as the others' use stays as it is.",
            *(["One month only: the saving has no range."] if len(months) == 1 else []),
        ],
        money=["consumption", "paid", "break_even", "api_cost", "best_cost", "saving", "saving_low", "saving_high"],
        charged=True,
    )
    return Table.of(_frame(rows, several=len(currencies) > 1), facts, usage)


def _people(
    used: list[tuple[Any, ...]],
    held: list[dict[str, Any]],
    identities: Identities,
    prices: SeatPrices,
    months: Sequence[str],
) -> dict[tuple[str, str], dict[str, Any]]:
    """Everybody with a seat or with use of a vendor that sells seats, with use per month and the seat held last."""
    out: dict[tuple[str, str], dict[str, Any]] = {}
    sells = {vendor_of(row.provider): row.provider for row in prices.rows}
    for (
        vendor,
        who,
        person,
        account,
        team,
        month,
        currency,
        cash,
        included,
        billed,
        logged,
        has_vendor,
        has_logs,
    ) in used:
        if vendor not in sells or month not in months:
            continue
        one = out.setdefault((vendor, who), {"vendor": vendor, "provider": sells[vendor], "person": person, "account": account, "use": {}, "seats": []})  # fmt: skip
        one["team"] = team
        amounts = {name: Decimal(int(v)).scaleb(-COST[1]) for name, v in zip(("cash", "included", "billed", "logged"), (cash, included, billed, logged), strict=True)}  # fmt: skip
        one["use"].setdefault(month, []).append((amounts, has_vendor, has_logs, currency))
    last = next_month(parse_month(months[-1])) - dt.timedelta(days=1)
    for seat in held:
        person, team = identities.on(seat["user_id"], last, seat["provider"])
        key = (vendor_of(seat["provider"]), person or "?" + seat["user_id"])
        one = out.setdefault(key, {"vendor": key[0], "provider": seat["provider"], "person": person, "account": seat["user_id"], "use": {}, "seats": []})  # fmt: skip
        one.setdefault("team", team)
        one["seats"].append(seat)
    return out


def _held_in(one: dict[str, Any], month: str) -> dict[str, Any] | None:
    first, after = parse_month(month), next_month(parse_month(month))
    mine = [s for s in one["seats"] if (s["since"] or first) < after and (s["until"] or after) > first]
    return mine[-1] if mine else None


def _plan(seat: dict[str, Any] | None) -> str:
    return API if seat is None else str(seat["plan"])


def _throughout(month: str, held: dict[str, Any] | None) -> bool:
    """Whether a month's seat was held on all of its days; without a seat, it has all."""
    if held is None:
        return True
    first, after = parse_month(month), next_month(parse_month(month))
    return (held["since"] or first) <= first and (held["until"] or after) >= after


def _row(one: dict[str, Any], prices: SeatPrices, months: Sequence[str], privacy: Privacy) -> dict[str, Any] | None:
    """What one person's ways of paying came to in each month that they used or held anything."""
    known = [m for m in months if m in one["use"] or _held_in(one, m)]
    if not known:
        return None
    seat = _held_in(one, known[-1])
    # of a month in part, or under another plan, its use can't be held against this one's price
    alike = [m for m in known if _plan(_held_in(one, m)) == _plan(seat)]
    whole_months = [m for m in alike if _throughout(m, _held_in(one, m))]
    known = whole_months or alike[-1:]
    uses = {m: _use(one["use"].get(m, [])) for m in known}
    roads = [use["road"] for use in uses.values() if use["road"]]
    road = min(roads, key=ROADS.index) if roads else None
    day = parse_month(known[-1])
    plan = prices.find(one["provider"], seat["plan"], day) if seat else None
    paid = {m: _paid(uses[m], plan, seat) for m in known}
    if road is None:  # no source tells of use: that is not known to be none
        uses = {m: use | {"value": None} for m, use in uses.items()}
    ways: dict[str, dict[str, Decimal | None]] = {API: {m: uses[m]["value"] for m in known}}
    for other in prices.plans(one["provider"], day):
        own = plan is not None and other.plan == plan.plan
        ways[other.plan] = {m: paid[m] if own else _under(other, uses[m]["value"]) for m in known}
    name = plan.plan if plan else (seat["plan"] if seat else API)
    costs = {way: _mean(list(by.values())) for way, by in ways.items()}
    told_, whole = {way: cost for way, cost in costs.items() if cost is not None}, _mean(list(paid.values()))
    currencies = {c for use in uses.values() for c in use["currencies"]} | ({plan.currency} if plan else set())
    best = min(told_, key=lambda way: (told_[way], way != name, way)) if told_ and whole is not None else None
    if len(currencies) > 1 or road is None:  # a price in one currency isn't held against use in another
        best = None
    saving = low = high = None
    if best is not None and whole is not None:
        by_month = [(paid[m] or Decimal(0)) - (ways[best][m] or Decimal(0)) for m in known]
        saving, low, high = whole - told_[best], min(by_month), max(by_month)
    return {
        "person": privacy.name(one["person"], one["account"]), "team": one.get("team") or NO_TEAM, "provider": one["provider"], "plan": name,
        "road": road or "none", "months": len(known), "consumption": _mean([uses[m]["value"] for m in known]), "paid": whole,
        "break_even": monthly(plan) if plan else None, "api_cost": costs[API], "best": best, "best_cost": None if best is None else told_[best],
        "saving": saving, "saving_low": low, "saving_high": high,
        "advice": _advice(best, name, low if whole_months else None if low is None else min(low, Decimal(0)), saving),
        "currency": next(iter(currencies)) if len(currencies) == 1 else None,
    }  # fmt: skip


def _use(found: list[tuple[Any, ...]]) -> dict[str, Any]:
    """A month's use by the first road that knows it."""
    total = {name: sum((f[0][name] for f in found), Decimal(0)) for name in ("cash", "included", "billed", "logged")}
    currencies = {f[3] for f in found if f[3]}
    if any(f[1] for f in found):
        value, road, charged = total["cash"] + total["included"], "vendor", total["cash"]
    elif total["billed"]:
        value, road, charged = total["billed"], "bill", total["billed"]
    elif any(f[2] for f in found):
        value, road, charged = total["logged"], "logs", Decimal(0)
    else:
        value, road, charged = Decimal(0), None, Decimal(0)
    return {"value": value, "road": road, "charged": charged, "currencies": currencies}


def _paid(use: dict[str, Any], plan: SeatPrice | None, seat: dict[str, Any] | None) -> Decimal | None:
    """What a month cost: the seat and what was charged beyond it; by API what was billed, unknown where only logs tell."""
    if seat is not None:
        return None if plan is None else monthly(plan) + use["charged"]
    return None if use["road"] == "logs" else use["charged"]


def _under(plan: SeatPrice, value: Decimal | None) -> Decimal | None:
    """What a month's use would cost under a plan; unknown where use is, or where its allowance is no money."""
    return None if plan.covers is None or value is None else monthly(plan) + max(value - plan.covers, Decimal(0))


def _mean(values: list[Decimal | None]) -> Decimal | None:
    known = [v for v in values if v is not None]
    return (
        (sum(known, Decimal(0)) / len(known)).quantize(Decimal("1e-12"))
        if known and len(known) == len(values)
        else None
    )


def _advice(best: str | None, name: str, low: Decimal | None, saving: Decimal | None) -> str:
    if best is None or low is None or saving is None:
        return "unknown"
    if best == name or saving <= 0:
        return "keep"
    return "change" if low > 0 else "look"


def _frame(rows: list[dict[str, Any]], *, several: bool) -> pd.DataFrame:
    kinds: dict[str, pa.DataType] = dict.fromkeys(("person", "team", "provider", "plan", "road"), pa.string())
    kinds |= {"months": pa.int64()} | dict.fromkeys(("consumption", "paid", "break_even", "api_cost"), COST_TYPE)
    kinds |= {
        "best": pa.string(),
        "best_cost": COST_TYPE,
        "saving": COST_TYPE,
        "saving_low": COST_TYPE,
        "saving_high": COST_TYPE,
    }
    kinds |= {"advice": pa.string()} | ({"currency": pa.string()} if several else {})
    return to_pandas(pa.table({name: pa.array([r[name] for r in rows], kind) for name, kind in kinds.items()}))


__all__ = ["API", "ROADS", "seat_or_api"]
