"""Budgets: what is spent, what should be by now, where it is heading, and who must be told.

Where a budget is heading is read from the plan, the one that `plan` and `forecast` show; the burn rate is a plain fact of
the last days.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from finops_ai.engine.fields import PUBLISHED
from finops_ai.engine.plan import CHARGED
from finops_ai.errors import CheckFailed, DataError, RuleError, hint
from finops_ai.forecasting.budgeting import BudgetLine
from finops_ai.forecasting.making import Plan, make_plan
from finops_ai.forecasting.planning import line_figures
from finops_ai.forecasting.seats import history_with_seats
from finops_ai.forecasting.terms import workspace_terms
from finops_ai.frames import to_pandas
from finops_ai.frames.origin import zone_of
from finops_ai.frames.types import COST_TYPE
from finops_ai.money import published, written
from finops_ai.periods import Window, instant, next_month, parse_month, zone
from finops_ai.shapes import Shape, misfit
from finops_ai.tables.grouping import TIMES, currency_of, grouped
from finops_ai.tables.policy import number
from finops_ai.tables.result import Facts, Table

if TYPE_CHECKING:
    from finops_ai.prices import PriceBook
    from finops_ai.workspace import Workspace

THRESHOLDS = (Decimal("0.5"), Decimal("0.8"), Decimal(1))
_KEYS = ("name", "month", "from", "to", "amount", "currency", "alerts", "for")
_RECENT = 7
#: months of history a plan of a workspace is made from
HISTORY = 13


def budgets(
    priced: pd.DataFrame,
    plan: Sequence[Mapping[str, Any]] | pd.DataFrame,
    *,
    month: str | None = None,
    as_of: object = None,
    timezone: str | None = None,
    book: PriceBook | None = None,
    lines: Sequence[Mapping[str, Any]] = (),
    overrides: Sequence[Mapping[str, Any]] = (),
    holidays: Iterable[object] = (),
) -> Table:
    """Compare spend with budgets.

    Args:
        priced: priced or allocated rows that cover the budgets' periods up to `as_of`.
        plan: budgets: a list of `[[budgets]]` tables (`amount`, `month` or `from` and `to` as months with `to` excluded, `for`
            = {dimension = value}, `name`, `currency`, `alerts` = shares of the amount), or a frame with `month`, `amount`
            and a column per dimension.
        month: only budgets whose period touches this month.
        as_of: how far the data reaches (instant or day); by default the end of the last row.
        timezone: reporting zone; by default the one the rows were made for.
        book: price book, for price changes already known; as in `plan`.
        lines, overrides, holidays: what is known of the time to come, as in `plan`.

    Returns:
        One row per budget: `budget`, `spent`, `used` (share), `expected` (even pace up to `as_of`), `pacing` (spent over
        expected), `burn_rate` (per day, last 7 days), `projected` (what the plan says the period ends at), `p10, p90`
        (its range), `overrun_probability`, `overrun_date` (day the plan's middle path crosses the budget, null if it
        doesn't), `status` (ok, watch, over) and `alerts` (thresholds reached). Largest share used first. Where the rows
        hold too few days to plan from, what is ahead is null.

    Raises:
        RuleError: a budget can't be used; names it.
        DataError: a budget is in another currency than the costs.

    Example:
        >>> import finops_ai as fa
        >>> cost = fa.allocate(fa.price(fa.sample(months=1)), fa.sample.rules())
        >>> fa.budgets(cost, [{"name": "all", "month": "2026-10", "amount": 30_000}])[["name", "spent", "budget", "status"]]
        Budgets
        name      spent     budget  status
        all   28,393.34  30,000.00  ok
        ...
    """
    entries = entries_of(plan, [str(c) for c in priced.columns])
    currency = currency_of(priced)
    timezone = zone_of(priced, timezone=timezone)
    tz = zone(timezone)
    end = priced["charge_period_end"].max() if len(priced) else None
    now = instant(as_of, timezone) if as_of is not None else (end.to_pydatetime() if end is not None else None)
    if now is None:
        raise DataError("There are no rows to hold against the budgets.")
    dims = sorted({d for e in entries for d in e["for"]})
    first = priced["charge_period_start"].min() if len(priced) else None
    priced = priced[(priced["charge_period_start"] < now).to_numpy()]
    measures = {
        "cost": "sum(effective_cost)",
        "unknown": f"count(*) FILTER (WHERE effective_cost IS NULL AND {CHARGED})",
    }
    needs = ["effective_cost", "price_status"]
    if PUBLISHED in priced.columns:
        measures["cents"], needs = f"sum({PUBLISHED})", [*needs, PUBLISHED]
    days = grouped(priced, [*dims, "day"], measures, timezone=timezone, needs=needs)
    today = now.astimezone(tz).date()
    asked = [e for e in entries if e["from"] <= today]
    known = {"lines": lines, "overrides": overrides, "holidays": holidays}
    made, doubt = _planned(priced, asked, now, timezone, book, dims, known)
    rows = []
    for entry in entries:
        if month and not (entry["from"] <= parse_month(month) < entry["to"]):
            continue
        if entry["currency"] and currency and entry["currency"] != currency:
            raise DataError(
                f"Budget {entry['name']!r} is in {entry['currency']}, the costs are in {currency}; state it in {currency}."
            )
        if entry["from"] > today:
            continue
        daily: dict[dt.date, Decimal] = {}
        cents = Decimal(0)
        for g in days:
            if all(str(g[d]) == v for d, v in entry["for"].items()):
                cost = g["cost"] or Decimal(0)
                cost = Decimal(repr(cost)) if isinstance(cost, float) else cost
                daily[g["day"]] = daily.get(g["day"], Decimal(0)) + cost
                if entry["from"] <= g["day"] < entry["to"]:
                    cents += g.get("cents") or Decimal(0)
        rows.append(_row(entry, daily, now, timezone, made, currency) | {"cents": cents})
    rows.sort(key=lambda r: (-(r["used"] or 0), r["name"]))
    table = to_pandas(pa.table({n: pa.array([r[n] for r in rows], k) for n, k in _COLUMNS.items()}))
    money = ["budget", "spent", "expected", "burn_rate", "projected", "p10", "p90"]
    facts = Facts("Budgets", currency, month or "", money=money)
    facts.notes = [
        f"As of {now.astimezone(tz):%Y-%m-%d %H:%M} {timezone}; the burn rate is the mean of the last {_RECENT} days, "
        "what a period ends at is the plan's."
    ]
    if PUBLISHED in priced.columns:  # what was spent is published as every other table has it
        facts.cents["spent"] = [r["cents"] for r in rows]
        for name in ("projected", "p10", "p90"):
            facts.cents[name] = [_published(r, name, currency) for r in rows]
    facts.notes += doubt
    facts.notes += [r["text"] for r in rows if r["status"] != "ok"]
    if unknown := sum(g["unknown"] for g in days):
        facts.notes.append(f"{unknown:,} rows have no known price; what they cost is in no budget.")
    for r in rows:
        if first is not None and first > instant(r["from"], timezone) + dt.timedelta(days=1):
            since = f"{first.astimezone(tz):%Y-%m-%d}"
            facts.notes.append(f"{r['name']}: there is no data before {since}, so its spend is at least this.")
    return Table.of(table, facts, priced)


def workspace_budgets(ws: Workspace, month: str, as_of: object = None) -> Table | None:
    """The budgets of a workspace's finops.toml that touch a month, with all the months their periods reach back.

    Args:
        ws: the workspace.
        month: `YYYY-MM` of the reporting zone; later months are left out.
        as_of: how far the data reaches, as in `budgets`.

    Returns:
        What `budgets` returns; None where finops.toml has no [[budgets]].
    """
    plan = ws.settings.policies.get("budgets")
    if not plan:
        return None
    now = parse_month(month)
    starts = [parse_month(row.get("month", row.get("from", month))) for row in plan]
    first = min([day for day in starts if day <= now], default=now)
    months = max((now.year - first.year) * 12 + now.month - first.month + 1, HISTORY)
    terms = workspace_terms(ws, month)
    found = ws.recent.once(
        ("budgets", ws.digest(), ws.ledger.head(), month, str(as_of), repr(plan), repr(terms)),
        lambda: budgets(
            history_with_seats(ws, month, months),
            plan,
            month=month,
            as_of=as_of,
            timezone=ws.timezone,
            book=ws.book,
            **terms.known,
        ),
        keep=lambda table: True,
        shared=True,
    )
    return found.copy(deep=False)  # what its reader changes in it is nobody else's


def _published(row: Mapping[str, Any], name: str, currency: str) -> Decimal | None:
    if row[name] is None:
        return None
    if row[name] == row["spent"]:
        out: Decimal | None = row["cents"]
        return out
    return published(row[name], currency or "USD") or round(row[name], 6)  # what is less than a cent is shown, too


_COLUMNS = {
    "name": pa.string(), "from": pa.date32(), "to": pa.date32(), "budget": COST_TYPE, "spent": COST_TYPE, "used": pa.float64(),
    "expected": COST_TYPE, "pacing": pa.float64(), "burn_rate": COST_TYPE, "projected": COST_TYPE, "p10": COST_TYPE,
    "p90": COST_TYPE, "overrun_probability": pa.float64(), "overrun_date": pa.date32(),
    "status": pa.string(), "alerts": pa.string(), "text": pa.string(),
}  # fmt: skip


_SHAPE: Shape = {
    "name": "label", "month": "text", "from": "text", "to": "text", "currency": "text", "alerts": ["number"], "for": {},
}  # fmt: skip


def entries_of(plan: Sequence[Mapping[str, Any]] | pd.DataFrame, columns: Sequence[str]) -> list[dict[str, Any]]:
    """The entries of a plan, checked: name, from and to (first days), amount, currency, alerts in order, and whom they are for.

    Args:
        plan: `[[budgets]]` entries, or a frame with month and amount.
        columns: of the rows that are budgeted.

    Raises:
        RuleError: an entry can't be used; names it.

    >>> entries_of([{"month": "2026-10", "amount": "5", "for": {"team": "a"}}], ["team"])[0]["amount"]
    Decimal('5')
    """
    if isinstance(plan, pd.DataFrame):
        dims = [c for c in plan.columns if c not in ("month", "amount", "currency", "name")]
        records = plan.astype(object).to_dict("records")
        plan = [
            {k: r[k] for k in ("month", "amount", "currency", "name") if k in r} | {"for": {d: r[d] for d in dims}}
            for r in records
        ]
    if not isinstance(plan, list | tuple):
        raise RuleError("budgets must be [[budgets]] entries or a frame with month and amount.")
    if wrong := misfit(plan, [_SHAPE], "budgets"):
        raise RuleError(f"{wrong}.")
    out = []
    for i, row in enumerate(plan, 1):
        name = str(row.get("name") or " ".join(str(v) for v in row.get("for", {}).values()) or f"budget {i}")
        place = f"budgets {i} ({name})"
        for key in row:
            if key not in _KEYS:
                raise RuleError(f"{place}: no key {key!r}. {hint(str(key), _KEYS)}")
        if "amount" not in row or ("month" in row) == ("from" in row):
            raise RuleError(f"{place} needs `amount`, and either `month` or `from` and `to`.")
        since = parse_month(row.get("month", row.get("from")))
        until = next_month(since) if "month" in row else parse_month(row.get("to", ""))
        if until <= since:
            raise RuleError(f"{place}: from {since:%Y-%m} is not before to {until:%Y-%m} (which is excluded).")
        for dimension in row.get("for", {}):
            if dimension not in columns or dimension in TIMES:
                raise RuleError(
                    f"{place}: for.{dimension} is no dimension of the rows. {hint(str(dimension), columns)}"
                )
        alerts = [number(a, f"{place}.alerts") for a in row.get("alerts", THRESHOLDS)]
        amount = number(row["amount"], f"{place}.amount")
        out.append(
            {"name": name, "from": since, "to": until, "amount": amount, "currency": row.get("currency"), "alerts": sorted(alerts),
             "for": {str(k): str(v) for k, v in row.get("for", {}).items()}}
        )  # fmt: skip
    return out


def _planned(
    priced: pd.DataFrame,
    entries: Sequence[Mapping[str, Any]],
    now: dt.datetime,
    timezone: str,
    book: PriceBook | None,
    dims: Sequence[str],
    known: Mapping[str, Any],
) -> tuple[Plan | None, list[str]]:
    """The plan to the end of the last budget, or why there is none; and what it doubts."""
    end = pd.Timestamp(now.astimezone(zone(timezone))).tz_localize(None).normalize()
    last = max((pd.Timestamp(e["to"]) for e in entries), default=None)
    if last is None or last <= end:
        return None, []
    until = str(pd.Period(last - pd.Timedelta(days=1), "M"))
    try:
        made = make_plan(priced, until=until, keep=dims, as_of=end, timezone=timezone, book=book, **known)
    except DataError as error:
        return None, [f"Where the budgets are heading isn't known: {error}"]
    return made, made.notes


def _row(
    entry: Mapping[str, Any],
    daily: Mapping[dt.date, Decimal],
    now: dt.datetime,
    timezone: str,
    made: Plan | None,
    currency: str,
) -> dict[str, Any]:
    window = Window.of(entry["from"], entry["to"], timezone)
    tz = zone(timezone)
    budget: Decimal = entry["amount"]
    seen = min(max(now, window.start), window.end)
    spent = sum((c for day, c in daily.items() if entry["from"] <= day < entry["to"]), Decimal(0))
    passed = Decimal(str((seen - window.start).total_seconds())) / 86_400
    whole = Decimal(str((window.end - window.start).total_seconds())) / 86_400
    last = (seen - dt.timedelta(microseconds=1)).astimezone(tz).date()
    recent = [daily.get(last - dt.timedelta(days=n), Decimal(0)) for n in range(min(_RECENT, max(int(passed), 1)))]
    burn = _round(sum(recent, Decimal(0)) / len(recent))
    ahead = _ahead(entry, made, spent) if passed < whole else (spent, spent, spent, float(spent > budget))
    projected, low, high, chance = ahead
    expected = _round(budget * passed / whole)
    overrun = _crossing(entry, daily, budget, spent, made)
    used = float(spent / budget) if budget else None
    reached = [a for a in entry["alerts"] if spent >= a * budget]
    status = "over" if spent > budget else "watch" if projected is not None and projected > budget else "ok"
    text = (
        f"{entry['name']}: {used or 0:.0%} of {written(budget, currency)} spent after {passed / whole:.0%} of the time"
    )
    if status == "over":
        text += f"; over budget since {overrun}"
    elif status == "watch" and projected is not None:
        when = f"is spent on {overrun}, and the period" if overrun else "period"
        text += f"; by the plan it {when} ends at {written(projected, currency)} ({chance:.0%} that it is more than the budget)"
    return {
        "name": entry["name"], "from": entry["from"], "to": entry["to"], "budget": budget, "spent": spent, "used": used, "expected": expected,
        "pacing": float(spent / expected) if expected else None, "burn_rate": burn, "projected": projected, "p10": low, "p90": high,
        "overrun_probability": chance, "overrun_date": overrun, "status": status,
        "alerts": ", ".join(f"{a:.0%}" for a in reached), "text": text + ".",
    }  # fmt: skip


def _line(entry: Mapping[str, Any]) -> BudgetLine:
    months = pd.period_range(entry["from"], entry["to"] - dt.timedelta(days=1), freq="M")
    return BudgetLine(entry["name"], entry["amount"], tuple(map(str, months)), frozenset(entry["for"].items()))


def _ahead(
    entry: Mapping[str, Any], made: Plan | None, spent: Decimal
) -> tuple[Decimal | None, Decimal | None, Decimal | None, float | None]:
    """What the plan says the period ends at, P10, P90, and the chance that it is more than the budget."""
    if made is None:
        return None, None, None, None
    mask = made.chosen(entry["for"])
    if not mask.any():
        return spent, spent, spent, float(spent > entry["amount"])
    _, p50, low, high, totals = line_figures(made, _line(entry))
    # what was spent on a day that is still running is known already
    return (
        max(p50, spent),
        max(low, spent),
        max(high, spent),
        float((np.maximum(totals, float(spent)) > float(entry["amount"])).mean()),
    )


def _crossing(
    entry: Mapping[str, Any], daily: Mapping[dt.date, Decimal], budget: Decimal, spent: Decimal, made: Plan | None
) -> dt.date | None:
    """The day on which spend passes the budget: found in the data, else on the plan's middle path, else None."""
    running = Decimal(0)
    if spent > budget:
        for day in sorted(d for d in daily if entry["from"] <= d < entry["to"]):
            running += daily[day]
            if running > budget:
                return day
    if made is None:
        return None
    mask = made.chosen(entry["for"])
    days = made.projection.days
    first = days[0].date()
    known = float(sum((c for d, c in daily.items() if entry["from"] <= d < min(entry["to"], first)), Decimal(0)))
    path = made.daily(np.where(mask, 0, -1), 1)[0]
    inside = (days.date >= entry["from"]) & (days.date < entry["to"])
    over = known + np.cumsum(np.where(inside, path, 0.0)) > float(budget) * (1 + 1e-12)
    hit = np.flatnonzero(over & inside)
    return days[hit[0]].date() if len(hit) else None


def _round(value: Decimal) -> Decimal:
    return value.quantize(Decimal(1).scaleb(-12))


def alerts(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Budgets that need attention, as plain JSON values: status watch or over, or a threshold reached."""
    out = []
    told = table.published() if isinstance(table, Table) else table
    for row in told.astype(object).to_dict("records"):
        if row["status"] != "ok" or row["alerts"]:
            out.append(
                {
                    k: _plain(row[k])
                    for k in (
                        "name",
                        "status",
                        "alerts",
                        "budget",
                        "spent",
                        "used",
                        "projected",
                        "overrun_probability",
                        "overrun_date",
                        "text",
                    )
                }
            )
    return out


def _plain(value: object) -> Any:
    if value is None or value is pd.NA or value != value:
        return None
    if isinstance(value, Decimal):
        return f"{value:f}"
    return value.isoformat() if hasattr(value, "isoformat") else value


def require_within(table: pd.DataFrame) -> None:
    """Raise unless every budget is kept and on course.

    Raises:
        CheckFailed: lists the budgets that aren't.
    """
    bad = [r["text"] for r in alerts(table) if r["status"] != "ok"]
    if bad:
        raise CheckFailed("Budgets off course:\n" + "\n".join(f"  {text}" for text in bad))
