"""Prompt text that is sent again and again and paid in full each time; and caches that cost more than they save.

How much of a prompt repeats is measured where rows show it: on single calls, whose shortest prompts are little more than
what all share; on calls of the same prompt that are cached; on the prompt's own past. Where only sums of long prompts
are known, the shares of the company's own cached prompts give a wide range, and the confidence is low.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from math import exp

import numpy as np

from finops_ai.saving.cells import Cells, Work
from finops_ai.saving.opportunity import Change, Finding, Positions
from finops_ai.saving.practice import Caching, caching_at
from finops_ai.saving.profile import Lengths, Profile
from finops_ai.tables.changing import FRESH, PROMPT, READS, WRITES, with_cache

#: part of a prompt that has to repeat, for caching to be worth the work
_LEAST_SHARE = Decimal("0.35")
#: single calls to see, for their shortest to say something
_LEAST_CALLS = 50
#: the lowest tenth of lengths that begin at an edge, of the way from there to the middle: 0.2 if even, 0.6 if bell-shaped
_EDGE = Decimal("0.35")
#: shortest over mean length of prompts that are nearly all the same
_ALIKE = Decimal("0.8")
#: reads of at most this part of the prompts are no caching
_NONE = Decimal("0.02")
#: tokens that entries are cut to
_BLOCK = 128
#: cached prompts of one's own from which one may conclude on others
_PEERS = 2
#: by which the shares of past days may still be off
_CAREFUL = Decimal("0.9")
_ZERO, _ONE = Decimal(0), Decimal(1)


@dataclass(frozen=True)
class _Repeats:
    """Which share of a prompt repeats, and what says so."""

    low: Decimal
    usual: Decimal
    high: Decimal
    why: str
    confidence: str
    misses: Decimal
    #: first day of which it is true; None for all
    since: dt.date | None = None


def caching(cells: Cells, profile: Profile) -> Iterator[Finding]:
    """Prompts whose repeated beginning isn't cached."""
    peers = _peers(cells)
    for work in cells.works:
        for model, found in cells.values(work.rows, "model").items():
            rows = found[np.isin(cells.tier[found], ("standard", "priority", "fast"))]
            family = _family(cells, rows)
            rule = caching_at(work.who["provider"], family)
            if rule is None or not isinstance(model, str) or not cells.amount(rows, FRESH):
                continue
            repeats = _repeats(cells, profile, work, model, rows, rule, peers)
            if repeats is None:
                continue
            fresh = rows[cells.meter[rows] == "input"]
            if repeats.since is not None:  # before that it was cached: what was fresh then doesn't repeat
                fresh = fresh[cells.day[fresh] >= repeats.since]
            if not len(fresh):
                continue
            yield Finding(
                "caching", {**work.who, "model": model}, f"Cache the fixed part of {work.name}", repeats.why, fresh,
                tuple(_case(share, repeats.misses * (2 if n == 0 else 1 if n == 1 else 0), rule) for n, share in
                      enumerate((repeats.low, repeats.usual, repeats.high))),  # type: ignore[arg-type]
                assumptions=_assumptions(rule, repeats), confidence=repeats.confidence, risk="none for answers",
                terms={"provider": work.who["provider"]},
            )  # fmt: skip


def _assumptions(rule: Caching, repeats: _Repeats) -> tuple[str, ...]:
    said = [
        f"an entry lives {rule.minutes} minutes after its last use; {float(repeats.misses):.1%} of calls write it anew"
    ]
    if rule.automatic:
        said.append("the provider caches by itself, so what is the same in all calls must come first, unchanged")
    if repeats.confidence == "low":
        said.append("as much of it repeats as of the prompts that are cached here")
    return tuple(said)


def _case(share: Decimal, misses: Decimal, rule: Caching) -> Change:
    missed = share * min(misses, _ONE)
    meter = rule.write_meter or "cache_write"
    return lambda frame: with_cache(frame, share - missed, missed if rule.write_meter else _ZERO, meter)


def _family(cells: Cells, rows: Positions) -> str:
    return next(filter(None, cells.text("model_family")[rows]), "")


def _rate(cells: Cells, rows: Positions) -> Decimal:
    whole = cells.amount(rows, PROMPT)
    return cells.amount(rows, READS) / whole if whole else _ZERO


def _repeats(
    cells: Cells, profile: Profile, work: Work, model: str, rows: Positions, rule: Caching, peers: list[Decimal]
) -> _Repeats | None:  # fmt: skip
    rate, lengths = _rate(cells, rows), profile.lengths_of(work, model)
    if lengths is not None and lengths.calls >= _LEAST_CALLS:
        return _measured(lengths, rate, rule)
    return _lost(cells, work, rows, rate) or _by_analogy(cells, work, rows, rate, rule, peers)


def _measured(lengths: Lengths, rate: Decimal, rule: Caching) -> _Repeats | None:
    """The shortest calls are the fixed part and little else; a floor far below the middle is none."""
    floor = _floor(lengths)
    if floor < rule.least or rate > _NONE:
        return None
    blocks = Decimal(int(floor) // _BLOCK * _BLOCK)
    share = blocks / lengths.mean
    if share < _LEAST_SHARE:
        return None
    misses = Decimal(lengths.alone[0]) / lengths.calls
    return _Repeats(
        share * Decimal("0.75"), share, min(lengths.short / lengths.mean, _ONE),
        f"{lengths.calls:,} single calls have {lengths.middle:,} prompt tokens in the middle and hardly ever fewer than "
        f"{floor:,.0f}, and nothing is read from a cache", "medium", misses,
    )  # fmt: skip


def _floor(lengths: Lengths) -> Decimal:
    """Where the lengths of prompts begin: their lower end if they are narrow, else the shift of a skewed distribution.

    Lengths that thin out below as they do above begin nowhere, unless they hardly differ at all.
    """
    narrow = lengths.short / lengths.mean if lengths.mean else _ZERO
    if narrow >= Decimal("0.6"):
        edge = lengths.low - lengths.short <= (lengths.middle - lengths.low) * _EDGE
        return lengths.shortest if edge or narrow >= _ALIKE else _ZERO
    bend = lengths.short + lengths.long - 2 * lengths.middle
    if bend <= lengths.middle / 10:
        return _ZERO
    shift = (lengths.short * lengths.long - lengths.middle**2) / bend
    return max(min(shift, lengths.shortest), _ZERO)


def _lost(cells: Cells, work: Work, rows: Positions, rate: Decimal) -> _Repeats | None:
    """The prompt was read from the cache before, or is where somebody else calls it."""
    days = cells.by_day(_ever(cells, work, rows))
    rates = {day: _rate(cells, found) for day, found in days.items()}
    cached = [day for day, value in rates.items() if value >= _LEAST_SHARE]
    bare = [day for day, value in rates.items() if value <= _NONE]
    if len(cached) < 3 or len(bare) < 3 or max(cached) >= min(bare):
        return None
    before = np.concatenate([days[day] for day in cached])
    read, written = cells.amount(before, READS), cells.amount(before, WRITES)
    had = sorted(rates[day] * (read + written) / read for day in cached)  # what is written is read by the next calls
    first, usual = min(bare), had[len(had) // 2]
    return _Repeats(
        had[0] * _CAREFUL, usual, min(had[-1] / _CAREFUL, _ONE),
        f"until {max(cached).day} {max(cached):%B} {float(read / cells.amount(before, PROMPT)):.0%} of it was read from the cache; since then nothing is",
        "high", written / (read + written), first,
    )  # fmt: skip


def _ever(cells: Cells, work: Work, rows: Positions) -> Positions:
    """The work's rows with the models of some rows, those before the period too."""
    models = set(cells.model[rows])
    return np.concatenate([cells.where(work.past, lambda i: cells.model[i] in models), rows])


def _peers(cells: Cells) -> list[Decimal]:
    """The shares that the company's own cached prompts read from a cache."""
    found = []
    for work in cells.works:
        rate = _rate(cells, work.rows)
        if rate >= Decimal("0.2") and cells.total(work.rows) > 0:
            found.append(rate)
    return sorted(found)


def _by_analogy(
    cells: Cells, work: Work, rows: Positions, rate: Decimal, rule: Caching, peers: list[Decimal]
) -> _Repeats | None:  # fmt: skip
    """A long prompt with a name, called all day, of which nothing is cached, where other prompts are."""
    lengths = cells.per_call(rows)
    if not work.purpose or lengths is None or len(peers) < _PEERS or rate > 0:
        return None
    low, middle, high = (peers[int(part * (len(peers) - 1))] for part in (0.25, 0.5, 1))
    if lengths[0] * low < rule.least:
        return None
    per_hour = float((cells.calls(rows) or 0) / max(len(set(cells.day[rows])), 1)) / 24
    misses = Decimal(str(round(exp(-per_hour * rule.minutes / 60), 4)))
    if misses > Decimal("0.2"):
        return None
    return _Repeats(
        low, middle, high,
        f"its calls have {float(lengths[0]):,.0f} prompt tokens, {per_hour:,.0f} calls come an hour and nothing is read from a cache; of "
        f"the {len(peers)} prompts that are cached here {float(low):.0%} to {float(high):.0%} is", "low", misses,
    )  # fmt: skip


def useless(cells: Cells, profile: Profile) -> Iterator[Finding]:
    """Prompts that are written to a cache and hardly read from it."""
    for work in cells.works:
        for model, rows in cells.values(work.rows, "model").items():
            written, read = (cells.amount(rows, names) for names in (WRITES, READS))
            if not isinstance(model, str) or not written or read >= written / 5:
                continue
            cached = rows[cells.of([*WRITES, *READS])[rows]]
            yield Finding(
                "cache_off", {**work.who, "model": model}, f"Don’t write {work.name} to the cache",
                f"{written:,.0f} tokens were written to the cache at its surcharge and {read:,.0f} read from it", cached,
                (_as_fresh,) * 3, assumptions=("calls stay as far apart as they are",), confidence="high",
                risk="none for answers", terms={"provider": work.who["provider"]},
            )  # fmt: skip


def _as_fresh(frame):  # type: ignore[no-untyped-def]
    from finops_ai.tables.changing import text

    return frame.assign(meter=text(frame, "meter", "input"))
