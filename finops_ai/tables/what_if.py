"""What the same traffic would cost otherwise: another model, tier, place, length, more caching, reserved capacity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from finops_ai.engine import settled
from finops_ai.engine.fields import NATIVE, PAYABLE, PRICED, PUBLISHED
from finops_ai.engine.pricing import Book, book_of
from finops_ai.errors import FrameError, RuleError
from finops_ai.frames import to_pandas
from finops_ai.frames.types import COST_TYPE
from finops_ai.meters import meters
from finops_ai.money import exact, written
from finops_ai.tables import changing, reserving
from finops_ai.tables.grouping import currency_of, dimensions_of, grouped
from finops_ai.tables.result import Facts, Table, safe_ratio
from finops_ai.tables.steps import APPLY, HIGH, LOW, USUAL, Said, Step, steps_of

_ZERO, _PLACES = Decimal(0), Decimal(1).scaleb(-18)
#: what a step may change of costs: what is used up, and what is invoiced where contracts tell the two apart
_COSTS = {"cost": "effective_cost", "payable_cost": PAYABLE}


def what_if(
    priced: pd.DataFrame, scenario: Mapping[str, Any], *, by: Sequence[str] = (), book: Book | None = None
) -> Table:
    """Reprice real traffic under a scenario, at the prices and contracts it was priced with.

    Args:
        priced: what `fa.price` or `fa.allocate` returns; with contracts that settle months, whole months.
        scenario: steps, taken in the order written, each a table or list of tables (a `[scenario.NAME]` of finops.toml):
            `swap` (when, to = model, provider, share of the traffic, token_factor: tokens of the new tokeniser per token of
            the old; estimated with a range where another maker's isn't given),
            `cache` (when, hit_rate the prompts should reach, writes = share of the prompts written for it, write_meter),
            `batch` (when, share), `tier` (when, to, share), `geography` (when, to, region, share),
            `shorten` (when, prompt, answer = length as a factor of today's, share),
            `provisioned` (when, units, price_per_hour, hours, tokens_per_hour, output_weight); what doesn't fit into the
            capacity, hour by hour, stays billed by the token. No step leaves all as it is.
        by: groups to show; none shows the whole.
        book: price book; the one the rows were priced with by default.

    Returns:
        One row per group: `cost` (what the rows cost, to the last digit), `scenario_cost`, `saving`, one column per step (they
        add up to minus the saving); `scenario_cost_low` and `scenario_cost_high` where a step took an estimate;
        `payable_cost` and `scenario_payable_cost`, what is invoiced, where contracts tell that apart. For provisioned
        capacity the notes state utilisation, overflow and break-even.

    Raises:
        RuleError: an unknown step or key, an impossible number, a model without a price.
        FrameError: the rows were priced with a book that isn't loaded.

    Example:
        >>> import finops_ai as fa
        >>> cost = fa.allocate(fa.price(fa.sample(months=1)), fa.sample.rules())
        >>> fa.what_if(cost, {"batch": {"when": {"team": "legal"}, "share": "0.5"}})[["cost", "scenario_cost", "saving"]]
        What if
             cost  scenario_cost  saving
        28,393.34      28,185.12  208.22
        ...
    """
    if "effective_cost" not in priced.columns:
        raise FrameError("fa.what_if takes priced rows; call fa.price first.")
    steps, by, currency = steps_of(scenario), list(by), currency_of(priced)
    book = book_of(priced, book) if steps else book
    first, mine = _totals(priced, by), _concerned(priced, steps, book)
    today = _Today(mine, book, by)
    usual = _run(mine, steps, today, currency)
    ranges = []
    if usual.said.estimated:
        ranges = [_run(mine, [replace(s, pick=p) for s in steps], today, currency).totals[-1] for p in (LOW, HIGH)]
    return _table(by, first, usual, steps, ranges, currency, priced)


@dataclass
class _Run:
    """What each step changes, per group, against the one before; and what is to be said."""

    totals: list[Sums] = field(default_factory=list)
    said: Said = field(default_factory=Said)


#: group -> amount, by the name of the amount
Sums = dict[str, dict[tuple[Any, ...], Decimal]]


def _concerned(priced: pd.DataFrame, steps: Sequence[Step], book: Book | None) -> pd.DataFrame:
    """The rows that any step is for, where a book prices each row for itself; all where contracts settle whole months."""
    if getattr(book, "has_terms", False) or any(
        step.kind == "cache" for step in steps
    ):  # caching looks at others' calls
        return priced
    chosen = [step.chosen(priced).to_numpy(bool) for step in steps if step.values.get("when")]
    return priced[np.logical_or.reduce(chosen)] if len(chosen) == len(steps) > 0 else priced


class _Today:
    """The rows as they are, at the book's prices: made once, when the first step changes something."""

    def __init__(self, priced: pd.DataFrame, book: Book | None, by: list[str]) -> None:
        self.priced, self.book, self.by = priced, book, by
        self.own = [c for c in priced.columns if c not in (*PRICED, PAYABLE, PUBLISHED)]

    @cached_property
    def rows(self) -> pd.DataFrame:
        return _settled(self.priced, self.own, self.book)

    @cached_property
    def totals(self) -> Sums:
        return _totals(self.rows, self.by)


def _run(priced: pd.DataFrame, steps: Sequence[Step], today: _Today, currency: str) -> _Run:
    """Take the steps. Nothing is priced anew before a step changes something, so that what stays costs what was paid."""
    out = _Run()
    rows, anew = priced.reset_index(drop=True), False
    now: Sums = {}
    start: Sums = {}
    for step in steps:
        if step.kind == "provisioned":
            changed = _provisioned(rows, step, currency, out.said)
        else:
            changed = APPLY[step.kind](rows, step, out.said)
            if changed is not rows:
                if not anew:
                    rows, anew, start = today.rows, True, today.totals
                    if step.pick == USUAL:
                        _say_today(priced, rows, currency, out.said)
                changed = _repriced(rows, changed, today.own, today.book, step.place)
        if changed is not rows:
            start = start or _totals(rows, today.by)
            now = _totals(changed, today.by)
        out.totals.append(_minus(now, start))
        rows = changed
    return out


def _settled(frame: pd.DataFrame, own: Sequence[str], book: Book | None) -> pd.DataFrame:
    """Rows at the book's prices with its contracts settled, in the currency they were in, every line with its owner."""
    rows = frame[list(own)].reset_index(drop=True)
    found = settled(rows, book)[0]
    if "exchange_rate" in rows.columns:
        found = _converted(found, rows)
    if len(found) > len(rows):
        found = _owned(found, frame, len(rows))
    found.attrs = dict(frame.attrs)
    return found


def _converted(found: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Costs times the rate each row was converted at; lines a contract adds take that of another row of their currency."""
    known = rows["exchange_rate"].notna().to_numpy(bool)
    pairs = zip(rows.loc[known, "native_currency"], rows.loc[known, "exchange_rate"], strict=True)
    usual = {str(name): Decimal(rate) for name, rate in pairs}
    rates = [Decimal(r) if r is not pd.NA and r is not None else None for r in rows["exchange_rate"]]
    rates += [None] * (len(found) - len(rows))
    out = found.assign(**{name: rows[name].reindex(found.index) for name in NATIVE})
    names = list(found["pricing_currency"])
    for cost in (c for c in ("list_cost", "contracted_cost", "effective_cost", PAYABLE) if c in found.columns):
        made = [
            v if v is pd.NA or v is None else (Decimal(v) * (r or usual.get(str(n), Decimal(1)))).quantize(_PLACES)
            for v, r, n in zip(found[cost], rates, names, strict=True)
        ]
        out[cost] = changing.column([None if v is pd.NA else v for v in made], COST_TYPE, found.index)
    return out


def _owned(found: pd.DataFrame, frame: pd.DataFrame, rows: int) -> pd.DataFrame:
    """Lines that settling made anew, with the owner that the frame's line of the same contract item has."""
    dims = [d for d in dimensions_of(frame) if d in found.columns]
    if not dims or "price_id" not in frame.columns:
        return found
    keys = ["price_id", "operation", "charge_period_start"]
    old = frame[(frame["source"] == "contract").to_numpy(bool)].drop_duplicates(keys)
    owners = {tuple(row[:3]): row[3:] for row in old[[*keys, *dims]].itertuples(index=False, name=None)}
    made = found.iloc[rows:]
    told = [owners.get(tuple(row)) for row in made[keys].itertuples(index=False, name=None)]
    for i, name in enumerate(dims):
        values = [*found[name].iloc[:rows], *(row[i] if row else None for row in told)]
        found[name] = changing.column(
            [v if isinstance(v, str) else None for v in values], pa.string(), found.index
        ).astype(found[name].dtype)
    return found


def _repriced(
    before: pd.DataFrame, changed: pd.DataFrame, own: Sequence[str], book: Book | None, place: str
) -> pd.DataFrame:
    rows = _settled(changed, own, book)
    bare = (rows["price_status"] == "unpriced").to_numpy(bool)
    if bare.any():
        rows = _settled(
            changing.with_known_meters(changed.reset_index(drop=True), bare[: len(changed)].tolist()), own, book
        )
    known = set(before.loc[(before["price_status"] == "unpriced").to_numpy(bool), "model"])
    lost = rows[(rows["price_status"] == "unpriced").to_numpy(bool) & ~rows["model"].isin(list(known)).to_numpy(bool)]
    if len(lost):
        row = lost.iloc[0]
        raise RuleError(
            f"{place}: there is no price for {row['provider']} {row['model']!r}, meter {row['meter']}, tier {row['service_tier']}. Add it to your price file."
        )
    return rows


def _say_today(priced: pd.DataFrame, rows: pd.DataFrame, currency: str, said: Said) -> None:
    """Say where the rows cost something else at the book's prices, such as those of a closed month."""
    was, now = (_totals(frame, [])["cost"].get((), _ZERO) for frame in (priced, rows))
    if was != now:
        said.notes.append(
            f"At the price book's prices these rows cost {written(now, currency)}, not {written(was, currency)}: what steps change is at those prices."
        )


def _provisioned(rows: pd.DataFrame, step: Step, currency: str, said: Said) -> pd.DataFrame:
    """The chosen traffic on reserved units: what fits is paid by the hour, what doesn't by the token."""
    units, per_hour = step.number("units"), step.number("price_per_hour")
    capacity, weight = step.number("tokens_per_hour"), step.number("output_weight", "1")
    token = rows["meter"].isin(list(changing.TOKENS)).to_numpy(bool)
    took = step.chosen(rows).to_numpy() & token
    mine = rows[took]
    if not len(mine):
        raise RuleError(f"{step.place}: it is for no traffic; nothing that is billed by the call matches its `when`.")
    span = mine["charge_period_end"].max() - mine["charge_period_start"].min()
    hours = step.number("hours", str(Decimal(str(span.total_seconds())) / 3600))
    fee = (units * per_hour * hours).quantize(_PLACES)
    weights = changing.weighed(mine, {m: weight for m in meters() if meters()[m].direction == "output"})
    found = reserving.served(mine, weights, units * capacity)
    full = units * capacity * hours
    made = {}
    for name in ("effective_cost", PAYABLE):
        if name in rows.columns:
            costs = rows[name].copy()
            values = reserving.on_capacity(list(mine[name]), weights, found, fee)
            costs[took] = changing.column(values, COST_TYPE, mine.index)
            made[name] = costs
    if step.pick == USUAL:
        said.notes += _capacity_notes(units, hours, fee, mine, found, full, currency)
    return rows.assign(**made)


def _capacity_notes(
    units: Decimal, hours: Decimal, fee: Decimal, mine: pd.DataFrame, found: reserving.Served, full: Decimal, currency: str
) -> list[str]:  # fmt: skip
    paid = sum((Decimal(c) for c in mine["effective_cost"] if c is not pd.NA and c is not None), _ZERO)
    used, fits = (exact(value.numerator) / value.denominator for value in (found.used, found.fits))
    per_token = safe_ratio(paid, used, 18)
    even = fee / per_token / full if per_token else None
    notes = [
        f"{units} units for {hours:,.0f} hours cost {written(fee, currency)} {currency}; the traffic uses {float(fits / full):.1%} of them and costs {written(paid, currency)} by the token.",
        f"Break-even at {float(even):.1%} utilisation."
        if even is not None
        else "The traffic has no known price to compare with.",
    ]
    if fits < used:
        notes.append(
            f"{float(1 - fits / used):.1%} of the traffic doesn't fit into its {'hour' if found.hourly else 'day'} and stays billed by the token."
        )
    if not found.hourly:
        notes.append("The rows tell days, not hours: peaks within a day overflow more than is counted here.")
    return notes


def _totals(rows: pd.DataFrame, by: Sequence[str]) -> Sums:
    names = {name: column for name, column in _COSTS.items() if column in rows.columns}
    found = grouped(rows, by, {n: f"sum({c})" for n, c in names.items()}, needs=tuple(names.values()))
    return {n: {tuple(g[k] for k in by): g[n] or _ZERO for g in found} for n in names}


def _minus(after: Sums, before: Sums) -> Sums:
    return {
        name: {
            key: after.get(name, {}).get(key, _ZERO) - before.get(name, {}).get(key, _ZERO)
            for key in after.get(name, {}).keys() | before.get(name, {}).keys()
        }
        for name in {*after, *before}
    }


def _table(
    by: list[str], first: Sums, run: _Run, steps: Sequence[Step], ranges: Sequence[Sums], currency: str, priced: pd.DataFrame
) -> Table:  # fmt: skip
    cost = first["cost"]
    keys = sorted(
        {*cost, *(k for t in run.totals for k in t.get("cost", ()))}, key=lambda k: (-cost.get(k, _ZERO), str(k))
    )
    arrays: dict[str, Any] = {
        name: pa.array([None if k[i] is None else str(k[i]) for k in keys], pa.string()) for i, name in enumerate(by)
    }

    def put(name: str, values: Sequence[Decimal]) -> list[Decimal]:
        arrays[name] = pa.array(values, COST_TYPE)
        return list(values)

    def at(change: Sums, name: str = "cost") -> list[Decimal]:
        return [first[name].get(k, _ZERO) + change.get(name, {}).get(k, _ZERO) for k in keys]

    now = put("cost", at({}))
    then = put("scenario_cost", at(run.totals[-1] if run.totals else {}))
    put("saving", [a - b for a, b in zip(now, then, strict=True)])
    names, earlier = [], now
    for number, (step, change) in enumerate(zip(steps, run.totals, strict=True), 1):
        names.append(f"{number} {step.kind}")
        later = at(change)
        put(names[-1], [b - a for a, b in zip(earlier, later, strict=True)])
        earlier = later
    if ranges:
        ends = list(zip(*(at(change) for change in ranges), then, strict=True))
        put("scenario_cost_low", [min(e) for e in ends])
        put("scenario_cost_high", [max(e) for e in ends])
    if "payable_cost" in first:
        put("payable_cost", at({}, "payable_cost"))
        put("scenario_payable_cost", at(run.totals[-1] if run.totals else {}, "payable_cost"))
    steps_lost = tuple(f"-{name}" for name in names)
    facts = Facts(
        "What if",
        currency,
        conserves="steps add up to scenario cost minus cost",
        notes=run.said.notes,
        money=list(arrays)[len(by) :],
        adds=[("saving", ("cost", "-scenario_cost")), *([("saving", steps_lost)] if names else [])],
        beside={"scenario_cost": "cost"},  # what a step leaves alone looks alone
        total=True,
    )
    if PUBLISHED in priced.columns:
        sums = grouped(priced, by, {"cents": f"sum({PUBLISHED})"}, needs=(PUBLISHED,))
        cents = {tuple(g[k] for k in by): g["cents"] or _ZERO for g in sums}
        facts.cents["cost"] = [cents.get(k, _ZERO) for k in keys]
    whole, unpriced = len(priced), int((priced["price_status"] == "unpriced").sum())
    facts.coverage = {"priced": 1 - unpriced / whole if whole else None}
    return Table.of(to_pandas(pa.table(arrays)), facts, priced)
