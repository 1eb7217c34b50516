"""The plan: month by month to year end, P10, P50 and P90 against budget, with the error of past plans."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from finops_ai.errors import DataError
from finops_ai.forecasting.budgeting import Budget, BudgetLine, budget_lines, budget_of, overrun_probability
from finops_ai.forecasting.history import TOTAL, end_of_data, local_middle, unique_id
from finops_ai.forecasting.making import Months, Plan, decimal_of, make_plan, said, unknown_scope
from finops_ai.forecasting.scenarios import ScenarioLike, one_scenario
from finops_ai.frames.origin import zone_of
from finops_ai.money import minor_units, published, round_to_total
from finops_ai.periods import month_text, months_text
from finops_ai.tables.result import Facts, Table

if TYPE_CHECKING:
    from finops_ai.prices import PriceBook
    from finops_ai.workspace import Workspace

LOW, HIGH = 0.1, 0.9
#: days of history a past plan needs to be checked
SHORTEST = 28


def plan(
    priced: pd.DataFrame,
    budget: Budget = None,
    *,
    by: Sequence[str] = (),
    until: str | None = None,
    scenario: ScenarioLike | None = None,
    book: PriceBook | None = None,
    as_of: str | pd.Timestamp | None = None,
    timezone: str | None = None,
    holidays: Iterable[object] = (),
    lines: Sequence[Mapping[str, Any]] = (),
    overrides: Sequence[Mapping[str, Any]] = (),
    fiscal_start: int = 1,
    quarters: bool = False,
) -> Table:
    """Plan the cost of each month to the end of the year.

    Args:
        priced: priced or allocated rows, at least three days of them.
        budget: one amount a month, a mapping of month (`2026-11`) to amount, the `[[budgets]]` tables of finops.toml
            (`amount`, `month` or `from` and `to`, `for = {dimension = value}`), or a frame with `month`, `amount` and
            a column per dimension. A budget over several months counts evenly.
        by: dimensions (or provider, model, ...) to split by.
        until: last month, `2026-12`; the end of the fiscal year of the first day ahead if not given.
        scenario: what will change; see `finops_ai.forecasting.changes`.
        book: price book, for scenarios and price changes already known.
        as_of: plan as if today were this day; what is later is ignored.
        timezone: reporting zone, whose days and months are meant; by default the one the rows were made for.
        holidays: dates that don't follow their weekday; see `forecast`.
        lines: amounts that are known, as exact lines: `name`, `amount`, `month` or `from` and `to` (excluded; spread
            evenly), `for = {dimension = value}`.
        overrides: an owner's own figure for a month and scope: `amount` or `factor`, `month` or `from` and `to`, `for`,
            `owner`, `note`. The range keeps its relative width.
        fiscal_start: first month of the fiscal year, 1 to 12.
        quarters: add a row for each quarter of the fiscal year.

    Returns:
        One row per month and series, the total first, and rows `year` for the sum: `month, unique_id`, the columns of
        `by`, `actual` (so far), `p10, p50, p90` (actual plus forecast), `p10_part, p90_part`, `budget`,
        `over_budget` (p50 minus budget) and `overrun_probability`. Amounts are decimals rounded once. `p50` is the
        middle path: it adds up over months and parts. `p10` and `p90` are quantiles of each row's own simulated sums
        and don't add up. A `*_part` is what a part adds to the total's P10 or P90. The same month is the same figure
        whatever `by`, `until` or budget is asked for.

    Raises:
        DataError: too little history.
        SettingsError: `until` is past.

    Example:
        >>> import finops_ai as fa
        >>> table = fa.plan(fa.price(fa.sample(months=2)), 30_000)
        >>> table[["month", "actual", "budget"]].head(2)
        Plan 2026-09 to 2026-12
        month       actual     budget
        2026-09  26,478.40  30,000.00
        2026-10  28,393.34  30,000.00
        ...
    """
    timezone = zone_of(priced, timezone=timezone)
    change = None if scenario is None else one_scenario(scenario)
    until = until or year_end_of(priced, timezone, fiscal_start, as_of)
    made = make_plan(
        priced, until=until, keep=by, scenario=change, book=book, as_of=as_of, timezone=timezone, lines=lines,
        overrides=overrides, holidays=holidays,
    )  # fmt: skip
    return plan_table(made, budget, by=by, fiscal_start=fiscal_start, quarters=quarters, sources=(priced,))


def plan_table(
    made: Plan,
    budget: Budget = None,
    *,
    by: Sequence[str] = (),
    fiscal_start: int = 1,
    quarters: bool = False,
    sources: Sequence[pd.DataFrame] = (),
) -> Table:
    """A plan that was made, month by month; see `plan`."""
    by = list(by)
    currency = made.history.currency
    keys, group = made.groups(by)
    keys = [(), *keys] if by else [()]
    whole = made.sums(np.zeros(len(group), dtype=int), 1)
    sums = [whole, made.sums(group, len(keys) - 1)] if by else [whole]
    periods = _periods(made, fiscal_start, quarters)
    rows: list[dict[str, object]] = []
    for name, months in periods:
        rows += _period_rows(sums, keys, by, name, months, minor_units(currency))
    table = pd.DataFrame(rows)
    covers = {name: tuple(months) for name, months in periods if not _is_month(name)}
    named = [name for name, _ in periods if _is_month(name)]
    facts = Facts(
        "Plan",
        currency,
        f"{named[0]} to {named[-1]}",
        "actual, p50, p10_part and p90_part of the parts add up to the total; p50 also over months",
    )
    facts.money = ["actual", "p10", "p50", "p90", "p10_part", "p90_part", "budget", "over_budget"]
    facts.notes = [
        "P10, P50 and P90: one month in ten comes out below the first, one in ten above the last.",
        *_of_whole_days(made),
        *made.notes,
        *said(made.assumptions, currency),
    ]
    if made.history.unpriced:
        share: Any = made.history.unpriced["share"]
        facts.coverage = {"priced": 1 - share}
    paths = table.pop("_paths")
    table = _with_budget(table, budget, by, currency, covers)
    table["overrun_probability"] = [
        np.nan if b is None else overrun_probability(p, b) for p, b in zip(paths, table["budget"], strict=True)
    ]
    facts.notes += _without_budget(table, by)
    return Table.of(table, facts, *sources)


def _of_whole_days(made: Plan) -> list[str]:
    """Which days `actual` is of, where the plan begins within a month."""
    begins = made.history.days[-1] + pd.Timedelta(days=1)
    return [f"What is spent is of the days before {begins:%Y-%m-%d}; the day itself is planned."] * (begins.day != 1)


def year_end_of(
    priced: pd.DataFrame, timezone: str, fiscal_start: int = 1, as_of: str | dt.date | pd.Timestamp | None = None
) -> str:
    """Last month of the fiscal year that the first day ahead lies in."""
    end = end_of_data(priced, timezone) if as_of is None else pd.Timestamp(as_of).tz_localize(None)
    first = _year_start(pd.Period(end, "M"), fiscal_start)
    return str(first + 11)


def _year_start(month: pd.Period, fiscal_start: int) -> pd.Period:
    """First month of the fiscal year a month lies in.

    >>> str(_year_start(pd.Period("2026-11", "M"), 4)), str(_year_start(pd.Period("2027-02", "M"), 4))
    ('2026-04', '2026-04')
    """
    return month - (month.month - fiscal_start) % 12


def _periods(made: Plan, fiscal_start: int, quarters: bool) -> list[tuple[str, list[str]]]:
    """Rows of the plan: each month since the fiscal year began (or the data), its quarters if asked, the sum."""
    end, last = pd.Period(made.history.end, "M"), pd.Period(made.projection.months[-1], "M")
    first = max(_year_start(end, fiscal_start), pd.Period(made.first_month, "M"))
    months = [str(m) for m in pd.period_range(first, last, freq="M")]
    out = [(m, [m]) for m in months]
    if quarters:
        named: dict[str, list[str]] = {}
        for m in months:
            period = pd.Period(m, "M")
            begins = _year_start(period, fiscal_start)
            named.setdefault(f"{(begins + 11).year}-Q{(period - begins).n // 3 + 1}", []).append(m)
        out += [(name, covered) for name, covered in named.items() if len(covered) == 3]
    return [*out, ("year", months)]


def _period_rows(
    sums: Sequence[Months],
    keys: Sequence[tuple[str, ...]],
    by: Sequence[str],
    name: str,
    months: Sequence[str],
    places: int,
) -> list[dict[str, object]]:
    figures: list[Any] = []
    for i in range(len(keys)):
        source, place = (sums[0], 0) if i == 0 else (sums[1], i - 1)
        spent, middle, paths = source.over(months, place)
        whole = float(spent) + paths
        p50 = spent + decimal_of(middle)
        sure = not paths.any() or bool(np.ptp(paths) <= 1e-9 * max(abs(middle), 1e-9))
        low, high = (0.0, 0.0) if sure else map(float, np.quantile(whole, [LOW, HIGH]))
        figures.append(
            (
                spent,
                p50,
                p50 if sure else min(decimal_of(low), p50),
                p50 if sure else max(decimal_of(high), p50),
                whole if not sure else np.full(1, float(p50)),
            )
        )
    parts = list(range(1, len(keys)))
    columns: dict[str, list[Decimal]] = {
        n: [f[k] for f in figures] for k, n in enumerate(("actual", "p50", "p10", "p90"))
    }
    for own, part in (("p10", "p10_part"), ("p90", "p90_part")):
        columns[part] = list(columns[own])
        if parts:
            wide = [abs(columns[own][i] - columns["p50"][i]) for i in parts]
            total = sum(wide, Decimal(0))
            gap = columns[own][0] - columns["p50"][0]
            weight = [w / total for w in wide] if total else [abs(columns["p50"][i]) for i in parts]
            size = sum(weight, Decimal(0))
            for i, w in zip(parts, weight, strict=True):
                columns[part][i] = columns["p50"][i] + (gap * w / size if size else gap / len(parts))
    published = {n: [_rounded(v, places) for v in values] for n, values in columns.items()}
    published["p50"] = _middles(sums, len(keys), months, places)
    published["p10"][0], published["p90"][0] = (
        least(published[n][0], published["p50"][0]) for n, least in (("p10", min), ("p90", max))
    )
    if parts:
        for n in ("actual", "p10_part", "p90_part"):
            rounded = _apportioned([columns[n][i] for i in parts], published[n][0], places)
            published[n] = [published[n][0], *rounded]
        # what is known has no range, not even of a rounded cent
        for i in parts:
            if columns["p10"][i] == columns["p50"][i] == columns["p90"][i]:
                for n in ("p10", "p90", *(("p10_part", "p90_part") if columns["p10"][0] == columns["p90"][0] else ())):
                    published[n][i] = published["p50"][i]
    return [
        {
            "month": name,
            "unique_id": unique_id(key) if key else TOTAL,
            **dict(zip(by, key or [TOTAL] * len(by), strict=True)),
            **{n: published[n][i] for n in ("actual", "p10", "p50", "p90", "p10_part", "p90_part")},
            "_paths": figures[i][4],
        }
        for i, key in enumerate(keys)
    ]


def _middles(sums: Sequence[Months], keys: int, months: Sequence[str], places: int) -> list[Decimal]:
    """What is expected of the total and of each part, published month by month: it adds up over parts and over months."""
    out = [Decimal(0)] * keys
    for month in months:
        whole = _rounded(sums[0].expected(month, 0), places)
        parts = [sums[1].expected(month, i) for i in range(keys - 1)]
        out = [a + b for a, b in zip(out, [whole, *_apportioned(parts, whole, places)], strict=True)]
    return out


def _rounded(value: Decimal, places: int) -> Decimal:
    return round(value, places)


def _apportioned(parts: Sequence[Decimal], total: Decimal, places: int) -> list[Decimal]:
    """Parts rounded so that they add up to a total that is rounded already."""
    rounded = round_to_total(list(parts), places)
    gap = total - sum(rounded, Decimal(0))
    if gap and rounded:
        largest = max(range(len(rounded)), key=lambda i: abs(rounded[i]))
        rounded[largest] += gap
    return rounded


def _without_budget(table: pd.DataFrame, by: Sequence[str]) -> list[str]:
    """A note where the total's budget is the sum of parts and some parts have none."""
    if not by:
        return []
    ahead = table["budget"].notna() & (table["unique_id"] == TOTAL) & (table["p10"] != table["p90"])
    months = table[ahead]["month"]
    inside = table[table["month"].isin(months) & (table["unique_id"] != TOTAL)]
    bare = inside[inside["budget"].isna() & (inside["p50"] != 0)]["unique_id"].unique()
    if not len(bare) or inside["budget"].isna().all():
        return []
    more = f" and {len(bare) - 5} more" if len(bare) > 5 else ""
    return [
        f"No budget for {', '.join(bare[:5])}{more}: what they cost counts against the total's budget all the same."
    ]


def _is_month(name: str) -> bool:
    return name != "year" and "Q" not in name


def _with_budget(
    table: pd.DataFrame, budget: Budget, by: Sequence[str], currency: str, covers: Mapping[str, Sequence[str]]
) -> pd.DataFrame:
    amounts = budget_of(budget, by, currency)
    found: list[Decimal | None] = []
    exact: dict[str, Decimal] = {}
    by_series: dict[tuple[str, str], Decimal | None] = {}
    for row in table.to_dict("records"):
        key, name = tuple(row[c] for c in by), str(row["unique_id"])
        if _is_month(row["month"]):
            amount, so_far = amounts(row["month"], key), exact.get(name, Decimal(0))
            if amount is not None:  # a twelfth of a year has no whole cents: what is due up to a month does
                exact[name] = so_far + amount
                amount = published(exact[name], currency) - published(so_far, currency)
            by_series[name, row["month"]] = amount
            found.append(amount)
        else:
            own = [by_series.get((name, month)) for month in covers[row["month"]]]
            known = [amount for amount in own if amount is not None]
            added = sum(known, Decimal(0)) if known and len(known) == len(own) else None
            stated = amounts(tuple(covers[row["month"]]), key)
            found.append(added if stated is None else published(stated, currency))
    table["budget"] = pd.Series(found, dtype=object)
    table["over_budget"] = pd.Series(
        [None if b is None else p - b for p, b in zip(table["p50"], table["budget"], strict=True)], dtype=object
    )
    return table


def budget_outlook(
    priced: pd.DataFrame,
    budget: Budget,
    *,
    scenario: ScenarioLike | None = None,
    book: PriceBook | None = None,
    as_of: str | pd.Timestamp | None = None,
    timezone: str | None = None,
    holidays: Iterable[object] = (),
    lines: Sequence[Mapping[str, Any]] = (),
    overrides: Sequence[Mapping[str, Any]] = (),
) -> Table:
    """What each budget still open will come to over its own period: a month, a quarter or a year, by any dimension.

    Args:
        priced: priced or allocated rows.
        budget: as in `plan`, but over named months.
        scenario, book, as_of, timezone, holidays, lines, overrides: as in `plan`.

    Returns:
        One row per budget whose period isn't over: `budget` (its name), `until` (its last month), `amount`, `actual`
        (spent so far), `p10, p50, p90`, `over_budget` (p50 minus amount), `overrun_probability`; the likeliest overrun
        first. A budget of something that isn't in use is left out and noted.

    Raises:
        SettingsError: a budget names a column that the rows don't have, or can't be read.

    Example:
        >>> import finops_ai as fa
        >>> from finops_ai.forecasting import budget_outlook
        >>> year = {"name": "2026", "from": "2026-01", "to": "2027-01", "amount": 400_000}
        >>> budget_outlook(fa.price(fa.sample(months=2)), [year])[["budget", "until", "amount", "actual"]]
        Budgets ahead
        budget  until        amount     actual
        2026    2026-12  400,000.00  54,871.75
        ...
    """
    timezone = zone_of(priced, timezone=timezone)
    change = None if scenario is None else one_scenario(scenario)
    end = (end_of_data(priced, timezone) if as_of is None else pd.Timestamp(as_of).tz_localize(None)).normalize()
    currency = currency_of_plan(priced)
    wanted = [line for line in budget_lines(budget, currency) if pd.Period(line.months[-1], "M").end_time >= end]
    made = None
    if wanted:
        made = make_plan(
            priced, until=max(line.months[-1] for line in wanted), scenario=change, book=book, as_of=as_of,
            keep=[name for line in wanted for name in line.dimensions], timezone=timezone, holidays=holidays, lines=lines,
            overrides=overrides,
        )  # fmt: skip
    return outlook_table(made, wanted, currency, priced)


def outlook_table(made: Plan | None, wanted: Sequence[BudgetLine], currency: str, *sources: pd.DataFrame) -> Table:
    """Budgets held against a plan that was made; see `budget_outlook`."""
    facts = Facts("Budgets ahead", currency, money=["amount", "actual", "p10", "p50", "p90", "over_budget"])
    rows: list[dict[str, object]] = []
    for line in wanted:
        if made is None:
            break
        unknown_scope(made, dict(line.scope))
        mask = made.chosen(dict(line.scope))
        if not mask.any():
            facts.notes.append(f"{line.name}: nothing in use has {dict(sorted(line.scope))}; left out.")
            continue
        began = made.history.days[0]
        if pd.Period(line.months[0], "M").start_time < began:
            facts.notes.append(f"{line.name}: the data begins {began:%Y-%m-%d}, so what is spent is at least this.")
        spent, p50, low, high, paths = line_figures(made, line)
        rows.append(
            {
                "budget": line.name,
                "until": line.months[-1],
                "amount": Decimal(line.amount),  # stated, not estimated
                "actual": spent,
                "p10": low,
                "p50": p50,
                "p90": high,
                "over_budget": p50 - Decimal(line.amount),
                "overrun_probability": overrun_probability(paths, line.amount),
            }
        )
    if made is not None:
        facts.notes += [*made.notes, *said(made.assumptions, facts.currency)]
    columns = ["budget", "until", *facts.money, "overrun_probability"]
    rows.sort(key=lambda row: -float(row["overrun_probability"]))  # type: ignore[arg-type]
    return Table.of(pd.DataFrame(rows, columns=columns), facts, *sources)


def line_figures(made: Plan, line: BudgetLine) -> tuple[Decimal, Decimal, Decimal, Decimal, np.ndarray]:
    """Spent, P50, P10, P90 and simulated totals of the months of a budget: the cents of a plan by what the budget names."""
    by, scope = list(line.dimensions), dict(line.scope)
    asked = (*by, *line.months)
    if asked not in made.parts:
        keys, group = made.groups(by)
        sums = [made.sums(np.zeros(len(group), dtype=int), 1), made.sums(group, len(keys))]
        keys = [(), *keys] if by else [()]
        places = minor_units(made.history.currency)
        made.parts[asked] = dict(zip(keys, _period_rows(sums, keys, by, "", line.months, places), strict=True))
    row = made.parts[asked][tuple(str(scope[name]) for name in by)]
    figures: list[Any] = [row[n] for n in ("actual", "p50", "p10", "p90")]
    return figures[0], figures[1], figures[2], figures[3], np.asarray(row["_paths"])


def currency_of_plan(priced: pd.DataFrame) -> str:
    """The currency of priced rows, USD where they say none."""
    known: list[Any] = (
        priced["pricing_currency"].dropna().unique().tolist() if "pricing_currency" in priced.columns else []
    )
    return str(known[0]) if known else "USD"


def past_error(
    priced: pd.DataFrame,
    months: int = 6,
    *,
    by: Sequence[str] = (),
    book: PriceBook | None = None,
    timezone: str | None = None,
) -> pd.DataFrame:
    """What the plan at the start of each of the last complete months said, and what came.

    Returns:
        `month, unique_id`, the columns of `by`, `p10, p50, p90, actual, error` (p50 over actual minus 1) and `inside`
        (whether the actual lay between P10 and P90), newest month first.

    Raises:
        DataError: no complete month has two weeks of history before it.
    """
    timezone = zone_of(priced, timezone=timezone)
    end = end_of_data(priced, timezone)
    newest = pd.Period(end - pd.Timedelta(days=1), "M")
    if end != (newest + 1).start_time:
        newest -= 1
    middle = local_middle(priced, timezone)
    first = middle.min()
    tables = []
    for month in [newest - k for k in range(months)]:
        if (month.start_time - first).days < 14:
            break
        before = priced[(middle < month.start_time).to_numpy()]
        table = plan(before, by=by, until=str(month), as_of=month.start_time, book=book, timezone=timezone)
        table = table[table["month"] == str(month)]
        after = make_actual(priced, month, by, timezone)
        places = minor_units(currency_of_plan(priced))
        actual = [round_to_total([after.get(name, Decimal(0))], places)[0] for name in table["unique_id"]]
        tables.append(
            table[["month", "unique_id", *by, "p10", "p50", "p90"]].assign(
                actual=pd.Series(actual, index=table.index, dtype=object)
            )
        )
    if not tables:
        raise DataError("No complete month has two weeks of history before it: no past forecast to check.")
    out = pd.concat(tables, ignore_index=True)
    out["error"] = [float(p / a - 1) if a else np.nan for p, a in zip(out["p50"], out["actual"], strict=True)]
    out["inside"] = [lo <= a <= hi for lo, a, hi in zip(out["p10"], out["actual"], out["p90"], strict=True)]
    return out


def workspace_past_error(ws: Workspace, month: str, months: int = 13) -> pd.DataFrame:
    """What a workspace's plans said at the start of the months up to one, and what came (see `past_error`).

    Made once for each state of the workspace. Empty where no month has two weeks of history before it.

    Args:
        ws: the workspace.
        month: newest month of the history.
        months: months of history.
    """

    from finops_ai.forecasting.seats import history_with_seats

    def make(_: object) -> pd.DataFrame:
        try:
            return past_error(history_with_seats(ws, month, months), book=ws.book, timezone=ws.timezone)
        except DataError:
            return pd.DataFrame()

    closed = ws.ledger.head()[:12]  # closed months are read as closed, whatever the lake holds by now
    return ws.derived(f"past-error-{months}-{closed}", month, make)


def make_actual(priced: pd.DataFrame, month: pd.Period, by: Sequence[str], timezone: str) -> dict[str, Decimal]:
    """Exact cost of a month by series, the total among them."""
    from finops_ai.forecasting.spending import spending

    history = spending(priced, until=(month + 1).start_time, timezone=timezone, keep=by)
    leaves = Plan.leaves_of(history)
    out: dict[str, Decimal] = {}
    for (leaf, when), amount in history.spent.items():
        if when == str(month):
            names = {TOTAL, unique_id(tuple(str(leaves[c].iloc[leaf]) for c in by)) if by else TOTAL}
            for name in names:
                out[name] = out.get(name, Decimal(0)) + amount
    return out


def plan_in_words(table: pd.DataFrame, errors: pd.DataFrame | None = None, currency: str = "USD") -> list[str]:
    """The plan as a few sentences: the figure, the range, the budget, what weighs most, how good past plans were."""
    total = table[table["unique_id"] == TOTAL]
    year = total[total["month"] == "year"].iloc[0]
    months = total[total["month"] != "year"]["month"]
    said = [
        f"{months_text(months.iloc[0], months.iloc[-1])} is expected to cost {year.p50:,.0f} {currency}, "
        f"of which {year.actual:,.0f} is spent; 8 chances in 10 that it ends between {year.p10:,.0f} and {year.p90:,.0f}."
    ]
    if year.budget is not None and not pd.isna(year.budget):
        side = "over" if year.over_budget > 0 else "under"
        said.append(
            f"That is {abs(year.over_budget):,.0f} {side} the budget of {year.budget:,.0f}; "
            f"the chance of going over it is {year.overrun_probability:.0%}."
        )
    parts = table[(table["month"] == "year") & (table["unique_id"] != TOTAL)]
    if len(parts):
        middle, upper = parts["p50"].astype(float), parts["p90_part"].astype(float)
        names = parts["unique_id"].to_numpy()
        said.append(
            f"{names[middle.argmax()]} is the largest part ({middle.max() / max(float(year.p50), 1e-9):.0%}); "
            f"{names[(upper - middle).argmax()]} adds most to the upper end."
        )
    own = None
    if errors is not None and len(errors):  # months that cost nothing have no error to tell
        own = errors[(errors["unique_id"] == TOTAL) & errors["error"].notna()]
    if own is not None and len(own):
        newest = own.iloc[0]
        inside = int(own["inside"].sum())
        held = f"{inside} of the last {len(own)} months fell into their range"
        if len(own) == 1:
            held = f"the month fell {'into' if inside else 'out of'} its range"
        said.append(
            f"The forecast for {month_text(newest.month)} made at its start was off by {newest.error:+z.1%}; {held}."
        )
    return said
