"""Prompts and answers that became longer: what the same calls would cost at the length they had."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from finops_ai.saving.cells import Cells, Work
from finops_ai.saving.opportunity import Change, Finding, Positions
from finops_ai.tables.changing import ANSWER, PROMPT, TOKENS, at_length
from finops_ai.tables.workloads import version_of

#: growth of a call's length that is told
_LONGER = 1.25
#: days of either length to see
_DAYS = 3
#: a step is told where it is so many times the usual spread of days
_CLEAR = 4
#: days before a step that say what the length was: it wanders, and older ones say less
_RECENT = 28
#: spreads of days by which either level may be off where the step is as large as it can be
_SPREADS = 2.0
_ONE = Decimal(1)


@dataclass(frozen=True)
class _Step:
    """Since when calls are longer, and what they were as a share of what they are."""

    since: dt.date
    prompt: Decimal
    answer: Decimal
    least: tuple[Decimal, Decimal]
    was: tuple[float, float]
    now: tuple[float, float]


def longer(cells: Cells) -> Iterator[Finding]:
    """Works whose calls became longer within the period, by a step."""
    for work in cells.works:
        rows, step = work.rows, _step(cells, work.ever)
        if step is None:
            continue
        since = rows[(cells.day[rows] >= step.since) & cells.of(_grown(step))[rows]]
        if not len(since):
            continue
        versions = _versions(cells, work, step.since)
        yield Finding(
            "length", {**work.who, "length": versions[1] or "longer"}, f"Bring {work.name}{versions[0]} back to its length", _why(step, versions[1]), since,
            (_case(step.prompt, step.answer, Decimal("0.5")), _case(step.prompt, step.answer), _case(*step.least)),
            assumptions=("what was added to prompt or answer isn’t needed",), confidence="high" if versions[1] else "medium",
            risk="the longer prompt may have been written for better answers", terms={"provider": work.who["provider"]},
        )  # fmt: skip


def _grown(step: _Step) -> frozenset[str]:
    return (PROMPT if step.prompt < 1 else frozenset()) | (ANSWER if step.answer < 1 else frozenset())


def _case(prompt: Decimal, answer: Decimal, share: Decimal = _ONE) -> Change:
    """Some of the added length taken off again."""
    now_prompt, now_answer = (1 - (1 - factor) * share for factor in (prompt, answer))
    return lambda frame: at_length(frame, now_prompt, now_answer)


def _why(step: _Step, version: str) -> str:
    parts = [
        f"its {name} have {now:,.0f} tokens, {now / was - 1:.0%} more than before"
        for name, factor, was, now in (("prompts", step.prompt, step.was[0], step.now[0]), ("answers", step.answer, step.was[1], step.now[1]))
        if factor < 1
    ]  # fmt: skip
    return f"since {step.since.day} {step.since:%B}{f', with {version},' if version else ''} {' and '.join(parts)}"


def _versions(cells: Cells, work: Work, since: dt.date) -> tuple[str, str]:
    """The version of the prompt that came with the step, as an ending and as a word; both "" where rows name none."""
    if "prompt" not in work.who or "prompt_id" not in cells.frame:
        return "", ""
    names = cells.text("prompt_id")
    sides: tuple[set[str], set[str]] = (set(), set())
    for i in work.ever:
        if isinstance(names[i], str):
            sides[cells.day[i] >= since].add(names[i])
    new = sorted(filter(None, map(version_of, sides[1] - sides[0])))
    return (f" {new[-1]}", new[-1]) if new else ("", "")


def _step(cells: Cells, rows: Positions) -> _Step | None:
    """The clearest step up of tokens per call, with steady days on both sides."""
    days, prompts, answers = [], [], []
    for day, found in cells.by_day(rows).items():
        counted = cells.per_call(found[cells.tier[found] != "provisioned"])
        if counted is None or not cells.amount(found, TOKENS):
            return None
        days.append(day)
        prompts.append(float(counted[0]))
        answers.append(float(counted[1]))
    return _clearest(days, (np.array(prompts), np.array(answers)))


def _clearest(days: Sequence[dt.date], lengths: tuple[Positions, Positions]) -> _Step | None:
    best: tuple[float, _Step] | None = None
    for at in range(_DAYS, len(days) - _DAYS + 1):
        factors, least, was, now, clear = [], [], [], [], 0.0
        for values in lengths:
            before, after = values[max(0, at - _RECENT) : at], values[at:]
            old, new = float(np.median(before)), float(np.median(after))
            step = (after.mean() - before.mean()) / (max(before.std(), after.std()) or 1e-9)
            up = old > 0 and new >= old * _LONGER and step >= _CLEAR
            factors.append(_factor(old, new) if up else _ONE)
            least.append(_factor(old / _strays(before, old), new * _strays(after, new)) if up else _ONE)
            was.append(old)
            now.append(new)
            clear += step if up else 0
        if clear and (best is None or clear > best[0]):
            prompt, answer = factors
            best = (clear, _Step(days[at], prompt, answer, (least[0], least[1]), (was[0], was[1]), (now[0], now[1])))
    return best[1] if best else None


def _strays(values: Positions, level: float) -> float:
    """How far a level may be off, as a factor: days stray from it by themselves, together as well as one by one."""
    return float(np.exp(_SPREADS * 1.4826 * np.median(np.abs(np.log(np.maximum(values, 1e-9) / level)))))


def _factor(old: float, new: float) -> Decimal:
    return Decimal(str(round(old / new, 6)))
