"""`fa.recommend`: every opportunity that a period's rows support, ranked, with its range, its evidence and its state."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa

from finops_ai.engine.pricing import Book, book_of
from finops_ai.errors import DataError, FrameError, hint
from finops_ai.frames import to_pandas
from finops_ai.frames.origin import tells_hours
from finops_ai.frames.types import COST_TYPE
from finops_ai.money import published
from finops_ai.saving import caching, capacity, failures, lengths, models, surcharges, urgency
from finops_ai.saving.cells import Cells
from finops_ai.saving.choosing import best_set
from finops_ai.saving.evaluating import savings
from finops_ai.saving.opportunity import Finding, Range
from finops_ai.saving.outlook import coming, idle_keys
from finops_ai.saving.practice import effort, how
from finops_ai.saving.profile import Profile, profile
from finops_ai.saving.states import OPEN, State
from finops_ai.tables.grouping import currency_of
from finops_ai.tables.result import Facts, Table

_ZERO = Decimal(0)
#: part of a period's cost below which a saving isn't told
_LEAST = Decimal("0.002")
#: part of its own rows' cost that a saving must be
_WORTH = Decimal("0.03")
_MONEY = ("saving_low", "saving", "saving_high", "cost")
#: where two say the same of the same rows: the one that stands for both, by what makes them alternatives
_ONE_OF = ("model", "batch")


class Recommendations(Table):
    """Opportunities, ranked; `.evidence(id)` gives the rows one rests on, `.best` those that can be had together."""

    _metadata = [*Table._metadata, "_rows", "_coming", "_idle_keys", "subjects"]
    _rows: Mapping[str, pd.DataFrame] | None = None
    _coming: Table | None = None
    _idle_keys: Table | None = None
    #: id -> what it is about, as column -> value
    subjects: Mapping[str, dict[str, str]] = {}

    @property
    def _constructor(self) -> type[Recommendations]:
        return Recommendations

    @property
    def best(self) -> Recommendations:
        """The set with the largest saving in which no two share a row of cost."""
        return self[self["counted"].to_numpy(bool)]

    @property
    def coming(self) -> Table:
        """Models in use that end or get dearer within four months: no saving, but a day by which to act."""
        return Table.of(pd.DataFrame(), Facts("What is coming")) if self._coming is None else self._coming

    @property
    def idle_keys(self) -> Table:
        """Keys that made calls before the period and none in it: no saving, but doors that could be shut."""
        return Table.of(pd.DataFrame(), Facts("Keys without a call")) if self._idle_keys is None else self._idle_keys

    def evidence(self, id: str) -> Table:
        """The rows an opportunity rests on, as they are; their cost adds up to its `cost`.

        Args:
            id: of the opportunity.

        Raises:
            DataError: there is none of that name.
        """
        rows = self._rows or {}
        if id not in rows:
            raise DataError(f"No opportunity {id!r}. {hint(id, rows)}")
        facts = Facts(
            f"Evidence for {id}", self.facts.currency, self.facts.period, money=["effective_cost"], total=True
        )
        return Table.of(rows[id], facts)


def recommend(
    allocated: pd.DataFrame,
    *,
    history: pd.DataFrame | None = None,
    book: Book | None = None,
    least: Decimal | int | str | None = None,
    states: Mapping[str, State] | None = None,
    calls: Profile | None = None,
    seats: pd.DataFrame | None = None,
    timezone: str | None = None,
) -> Recommendations:
    """What would have cost less, as far as the rows show it: ranked, each with a range, what it rests on and how it is done.

    Args:
        allocated: what `fa.allocate` (or `fa.price`, or `ws.cube`) returns, usually of a month. Single calls tell most: in
            which hours work runs and how much of its prompts repeats.
        history: rows before that, for work that changed since.
        book: price book; the one the rows were priced with by default.
        least: saving below which an opportunity isn't told; by default a five-hundredth of the cost.
        states: what was decided of earlier ones (see `finops_ai.saving.states`).
        calls: hours and lengths of the single rows (see `finops_ai.saving.profile`), where `allocated` is their cube; by
            default looked for in `allocated`.
        seats: what `fa.idle_seats` returns, for seats to give up.
        timezone: whose days and hours; by default those the rows were made for.

    Returns:
        One row per opportunity, largest saving first: `id` (stays the same from month to month), `kind`, `what`, `owner`,
        `saving` with `saving_low` and `saving_high` (of the period's rows, under their own contracts), `monthly` (the same
        for a month of 30 days in which it holds every day), `cost` (of the rows it changes), `counted` (part of the best
        set that shares no row: their savings add up), `effort`, `confidence`, `why`, `assumptions`, `risk`, `how`,
        `state`, `reason`. The notes state the total of the best set and the cost that remains. None is told that
        the rows don't support; what each kind takes is in docs/savings.md. `.coming` lists models that end or get dearer, `.idle_keys`
        keys that were used in `history` and made no call since.

    Raises:
        FrameError: rows that aren't priced.
        DataError: rows in several currencies.

    Example:
        >>> import finops_ai as fa
        >>> cost = fa.allocate(fa.price(fa.sample(months=1)), fa.sample.rules())
        >>> found = fa.recommend(cost)
        >>> print(found.published().set_index("what")["saving"].filter(like="support-answer").to_string())
        what
        Run support-answer on claude-haiku-4-5 instead of claude-sonnet-5    1012.20
        Bring support-answer v5 back to its length                            646.57
    """
    if "effective_cost" not in allocated.columns:
        raise FrameError("fa.recommend takes priced rows; call fa.price, and fa.allocate for owners.")
    currency = currency_of(allocated)
    cells = Cells(allocated, book_of(allocated, book), timezone, history)
    floor = cells.total() * _LEAST if least is None else Decimal(str(least))
    if calls is None:
        calls = profile(allocated, cells.timezone) if tells_hours(allocated) else Profile()
    more = list(failures.seats(seats)) if seats is not None and len(seats) else []
    found = _kept(cells, [*_findings(cells, calls), *more], floor)
    table = _table(cells, found, states or {}, currency, allocated)
    table.facts.notes += _untold(calls)
    return table


def _findings(cells: Cells, known: Profile) -> Iterator[Finding]:
    """Every kind's findings; of prices nothing is known yet."""
    yield from capacity.capacity(cells, known)
    yield from capacity.buying(cells, known)
    yield from models.models(cells)
    yield from caching.caching(cells, known)
    yield from caching.useless(cells, known)
    yield from urgency.batch(cells, known)
    yield from surcharges.tiers(cells)
    yield from surcharges.places(cells)
    yield from surcharges.long_contexts(cells)
    yield from lengths.longer(cells)
    yield from failures.failures(cells)
    yield from failures.unused(cells)


@dataclass(frozen=True)
class Valued:
    """A finding and what it saves."""

    finding: Finding
    saving: Range
    cost: Decimal


def _kept(cells: Cells, findings: Sequence[Finding], floor: Decimal) -> list[Valued]:
    """Findings with a known saving worth telling; of alternatives for the same work the best supported."""
    out: list[Valued] = []
    for finding, saving in zip(findings, savings(cells, findings), strict=True):
        cost = cells.total(finding.rows) if finding.held is None else finding.held
        if saving is None or saving.usual <= 0 or saving.usual < max(floor, cost * _WORTH):
            continue
        low, high = max(saving.low, _ZERO), min(saving.high, cost)
        out.append(Valued(finding, Range(low, min(saving.usual, high), high), cost))
    return sorted(_one_of_each(out), key=lambda v: (-v.saving.usual, v.finding.id))


def _one_of_each(found: Iterable[Valued]) -> list[Valued]:
    """Of the models that could do a work, and the tiers it could wait in, the best supported; of equals the nearest in price."""
    out: dict[tuple[Any, ...], Valued] = {}
    rank = {"high": 0, "medium": 1, "low": 2}
    for valued in sorted(found, key=lambda v: (rank[v.finding.confidence], v.saving.usual)):
        finding = valued.finding
        apart = (
            {k: v for k, v in finding.subject.items() if k not in ("to", "tier")}
            if finding.kind in _ONE_OF
            else finding.subject
        )
        out.setdefault((finding.kind, *sorted(apart.items())), valued)
    return list(out.values())


def _table(
    cells: Cells, found: Sequence[Valued], states: Mapping[str, State], currency: str, allocated: pd.DataFrame
) -> Recommendations:  # fmt: skip
    open_ones = [n for n, v in enumerate(found) if states.get(v.finding.id, OPEN).counts]
    best = best_set([found[n].finding.rows for n in open_ones], [found[n].saving.usual for n in open_ones])
    counted = {open_ones[k] for k in best}
    texts = {
        "id": [v.finding.id for v in found],
        "kind": [v.finding.kind for v in found],
        "what": [v.finding.what for v in found],
        "owner": [v.finding.owner or cells.owner(v.finding.rows) or None for v in found],
    }
    arrays: dict[str, Any] = {name: pa.array(values, pa.string()) for name, values in texts.items()}
    amounts = {
        "saving_low": [v.saving.low for v in found], "saving": [v.saving.usual for v in found],
        "saving_high": [v.saving.high for v in found], "monthly": [_monthly(cells, v) for v in found], "cost": [v.cost for v in found],
    }  # fmt: skip
    arrays |= {name: pa.array(values, COST_TYPE) for name, values in amounts.items()}
    arrays["counted"] = pa.array([n in counted for n in range(len(found))], pa.bool_())
    provider = [str(v.finding.terms.get("provider", "")) for v in found]
    more = {
        "effort": [effort(v.finding.kind) for v in found],
        "confidence": [v.finding.confidence for v in found],
        "why": [v.finding.why for v in found],
        "assumptions": ["; ".join(v.finding.assumptions) for v in found],
        "risk": [v.finding.risk for v in found],
        "how": [how(v.finding.kind, p) for v, p in zip(found, provider, strict=True)],
        "state": [states.get(v.finding.id, OPEN).state for v in found],
        "reason": [states.get(v.finding.id, OPEN).reason or None for v in found],
    }
    arrays |= {name: pa.array(values, pa.string()) for name, values in more.items()}
    facts = Facts(
        "What could be saved", currency, conserves="savings of the counted rows, which share no row of cost, add up",
        notes=_notes(cells, found, counted, currency), money=[*_MONEY[:3], "monthly", "cost"],
    )  # fmt: skip
    facts.cents |= _cents(found, currency)
    table = Recommendations(Table.of(to_pandas(pa.table(arrays)), facts, allocated))
    table.facts = Table.of(pd.DataFrame(table), facts, allocated).facts
    table.subjects = {v.finding.id: v.finding.subject for v in found}
    table._coming = coming(cells, currency)
    table._idle_keys = idle_keys(cells, currency)
    table.facts.notes += [*_announced(table._coming), *_unused(table._idle_keys)]
    table._rows = {v.finding.id: cells.frame.take(v.finding.rows.tolist()) for v in found}
    return table


def _announced(table: Table) -> list[str]:
    """What is coming, in a sentence each."""
    said = []
    for row in table.published().astype(object).to_dict("records"):
        what = "retires" if row["what"] == "retires" else f"costs {row['more']:,} more a period"
        instead = f"; its maker names {row['instead']}" if isinstance(row["instead"], str) else ""
        said.append(f"{row['model']} at {row['provider']} {what} on {row['on'].day} {row['on']:%B %Y}{instead}.")
    return said


def _unused(keys: Table) -> list[str]:
    """The keys that nobody uses any more, in a sentence."""
    if not len(keys):
        return []
    named = [f"{k} (last on {d.day} {d:%B %Y})" for k, d in zip(keys["api_key_id"], keys["last_used"], strict=True)]
    more = f" and {len(named) - 3} others" if len(named) > 3 else ""
    one = len(named) == 1
    return [
        f"{len(named)} {'key that was' if one else 'keys that were'} used before made no call in this period: {', '.join(named[:3])}{more}. "
        f"{'It saves' if one else 'They save'} nothing; revoke what nobody needs."
    ]


def _untold(calls: Profile) -> list[str]:
    """What the rows are too coarse to show, and what would show it."""
    said = []
    if not calls.hours:
        said.append(
            "No rows of an hour or less: night work that could wait as a batch isn't seen. Load usage by the hour to see it."
        )
    if not calls.lengths:
        said.append(
            "No rows of single calls: how much of a prompt repeats is seen only where some of it is or was read from a cache. Logs or a "
            "gateway tell the rest."
        )
    return said


def _monthly(cells: Cells, valued: Valued) -> Decimal:
    """The saving of a month of 30 days at the pace of the days that the rows are of."""
    days = len(set(cells.day[valued.finding.rows])) if valued.finding.days is None else valued.finding.days
    if not days:
        return valued.saving.usual
    since = min(cells.day[valued.finding.rows]) if len(valued.finding.rows) else None
    last = max(cells.day[cells.past :]) if since else None
    span = (last - since).days + 1 if since and last else days
    return (valued.saving.usual * 30 / span).quantize(Decimal(1).scaleb(-18))


def _notes(cells: Cells, found: Sequence[Valued], counted: set[int], currency: str) -> list[str]:
    whole = cells.total() + sum((v.finding.held or _ZERO for v in found), _ZERO)
    new = models.untested(cells)
    tested = [
        f"Newer versions of {len(new)} model{'s' * (len(new) != 1)} in use are sold, which nothing here has run on yet: {', '.join(new[:4])}"
        f"{' and others' if len(new) > 4 else ''}. `fa.what_if` prices them; a first test would be the evidence."
    ] if new else []  # fmt: skip
    if not found:
        return ["The rows show nothing that would have cost less. What each kind takes is in docs/savings.md.", *tested]
    cents = _cents(found, currency)  # what the sentence says is what the rows below it add up to
    low, usual, high = (sum((cents[name][n] for n in counted), _ZERO) for name in _MONEY[:3])
    said = [
        f"Together {_amount(usual, currency)} ({_amount(low, currency)} to {_amount(high, currency)}) of {_amount(whole, currency)}: "
        f"{_amount(whole - usual, currency)} would remain."
    ]
    if len(counted) < len(found):
        said.append(
            f"{len(found) - len(counted)} of {len(found)} are left out of that sum: they share rows of cost with others, or were decided."
        )
    return said + tested


def _cents(found: Sequence[Valued], currency: str) -> dict[str, list[Decimal]]:
    """The published amount of each saving: cents are decided once, for rows, sentences and the first page.

    What comes to less than one unit in all keeps six places, as everywhere.
    """
    small = sum((v.saving.usual for v in found), _ZERO) < 1
    return {
        name: [round(amount, 6) if small else published(amount, currency or "USD") for amount in amounts]
        for name, amounts in (
            (column, [getattr(v.saving, part) for v in found])
            for column, part in zip(_MONEY[:3], ("low", "usual", "high"), strict=True)
        )
    }


def _amount(value: Decimal, currency: str) -> str:
    return f"{published(value, currency or 'USD'):,} {currency}".strip()
