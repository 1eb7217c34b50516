"""Another model for the same work: the one it ran on before, one it also runs on, a newer version used here, a smaller sibling.

Never by price alone: something in the rows has to say that the other model can do the work. Newer versions that nobody here
has used are named in a note (`untested`), not recommended.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from finops_ai.prices.identity import Identity, identity, token_factor
from finops_ai.prices.names import provider_name
from finops_ai.saving.cells import Cells, Work
from finops_ai.saving.opportunity import Change, Finding, Positions
from finops_ai.tables.changing import PROMPT, TOKENS, at_length, at_model
from finops_ai.tables.drivers import short

#: part of a work's tokens that another model must have, to count as tried
_TRIED = Decimal("0.05")
#: before a switch a model has at most this part of the tokens, after it at least the rest
_SWITCHED = Decimal("0.2")
#: days a model must have run before the switch
_DAYS_BEFORE = 3
#: answers of at most so many tokens are labels, routes and short extracts
_SHORT_ANSWER = 80
#: answers of a model that is not the same may be longer or shorter by this
_LONGER, _SHORTER = Decimal("1.1"), Decimal("0.95")
_NOT_FOR_ALL = re.compile(
    r"preview|exp|beta|codex|chat|search|audio|realtime|transcribe|tts|image|embed|oss|ft:", re.IGNORECASE
)


@dataclass(frozen=True)
class _Option:
    """A model that could do the work, and what says so."""

    model: str
    why: str
    confidence: str
    risk: str
    rows: Positions
    exact: bool = False


def models(cells: Cells) -> Iterator[Finding]:
    """For each work and model in use, the best supported cheaper one: what was tried before what is only related."""
    for work in cells.works:
        for model, rows in cells.values(work.rows, "model").items():
            if not isinstance(model, str) or not cells.amount(rows, TOKENS):
                continue
            for option in [*_earlier(cells, work, model, rows), *_beside(cells, work, model, rows),
                           *_successor(cells, work, model, rows), *_sibling(cells, work, model, rows)]:  # fmt: skip
                yield _finding(cells, work, model, option)


def _finding(cells: Cells, work: Work, model: str, option: _Option) -> Finding:
    provider = work.who["provider"]
    old, new = (identity(provider_name(provider), m) for m in (model, option.model))
    factors = token_factor(old, new) or (Decimal(1),) * 3
    said = (
        [f"the other model takes {factors[0]:.2f} to {factors[2]:.2f} tokens per token"]
        if factors[0] != factors[2]
        else []
    )

    def case(factor: Decimal, answer: Decimal) -> Change:
        def change(frame: pd.DataFrame) -> pd.DataFrame:
            return at_length(at_model(frame, option.model, factor=factor), answer=answer)

        return change

    one = Decimal(1)
    return Finding(
        "model", {**work.who, "model": model, "to": option.model},
        f"Run {work.name} on {short(option.model)} instead of {short(model)}", option.why, option.rows,
        (case(max(factors[2], one), _LONGER), case(factors[1], one), case(min(factors[0], one), _SHORTER)),
        assumptions=("its answers are as good, and within a tenth as long", *said),
        confidence=option.confidence, risk=option.risk, terms={"provider": provider},
    )  # fmt: skip


def _earlier(cells: Cells, work: Work, model: str, rows: Positions) -> Iterator[_Option]:
    """The model that did this work until it was switched."""
    daily = {day: cells.values(found, "model") for day, found in cells.by_day(work.ever).items()}
    shares = {day: found for day, by_model in daily.items() if (found := _shares(cells, by_model))}
    first = next((day for day in shares if shares[day].get(model, Decimal(0)) >= 1 - _SWITCHED), None)
    if first is None:
        return
    before = [day for day in shares if day < first]
    after = [day for day in shares if day >= first]
    if len(before) < _DAYS_BEFORE or any(shares[d].get(model, Decimal(0)) < 1 - _SWITCHED for d in after):
        return
    settled = [d for d in before if shares[d].get(model, Decimal(0)) <= _SWITCHED]
    if len(settled) < _DAYS_BEFORE:
        return
    sums: dict[str, Decimal] = {}
    for day in settled[-14:]:
        for name, share in shares[day].items():
            sums[name] = sums.get(name, Decimal(0)) + share
    name = max(sums, key=lambda n: (sums[n], n))
    if name != model and sums[name] >= (1 - _SWITCHED) * len(settled[-14:]):
        since = np.array([i for i in rows if cells.day[i] >= first])
        yield _Option(
            name, f"the same work ran on {short(name)} until {_on(first - dt.timedelta(days=1))}", "high",
            "whoever changed the model may have had a reason; ask first", since, exact=True,
        )  # fmt: skip


def _shares(cells: Cells, by_model: dict[str | None, Positions]) -> dict[str, Decimal]:
    tokens = {str(name): cells.amount(rows, PROMPT) for name, rows in by_model.items()}
    whole = sum(tokens.values(), Decimal(0))
    return {name: value / whole for name, value in tokens.items()} if whole else {}


def _beside(cells: Cells, work: Work, model: str, rows: Positions) -> Iterator[_Option]:
    """A model that already does part of the same prompt's calls, on the same days."""
    if "prompt" not in work.who:
        return
    mine = set(cells.day[rows])
    shared = work.rows[np.isin(cells.day[work.rows], list(mine))] if mine else work.rows
    by_model = cells.values(shared, "model")
    shares = _shares(cells, by_model)
    for name, share in sorted(shares.items(), key=lambda pair: -pair[1]):
        days = len(set(cells.day[by_model[name]]))
        if name != model and share >= _TRIED and days >= max(_DAYS_BEFORE, len(mine) // 2):
            yield _Option(
                name, f"{float(share):.0%} of the same prompt's tokens already run on {short(name)}", "medium",
                "the calls may have been divided by how hard they are", rows,
            )  # fmt: skip


def _successor(cells: Cells, work: Work, model: str, rows: Positions) -> Iterator[_Option]:
    """A newer version of the same family that other work here already runs on."""
    provider = work.who["provider"]
    me = identity(provider_name(provider), model)
    used = _used(cells)
    for name, other in _relatives(cells, provider, model, me, same_family=True, among=used):
        yield _Option(
            name, f"{short(name)} is a newer {me.family}, costs less, and {used[other]} already runs on it", "medium",
            "a newer version may answer otherwise; test it", rows,
        )  # fmt: skip


def _used(cells: Cells) -> dict[Identity, str]:
    """The models in use, and the dearest work of each."""
    out: dict[Identity, str] = {}
    for work in cells.works:
        for model in set(cells.model[work.rows]):
            out.setdefault(identity(provider_name(work.who["provider"]), str(model)), work.name)
    return out


def untested(cells: Cells) -> list[str]:
    """Models in use of whose family the provider sells a newer version that nobody here has used, as `old to new`."""
    used, found = _used(cells), set()
    for work in cells.works:
        for model in {str(m) for m in cells.model[work.rows]}:
            me = identity(provider_name(work.who["provider"]), model)
            for name, other in _relatives(cells, work.who["provider"], model, me, same_family=True):
                if other not in used:
                    found.add(f"{short(model)} to {short(name)}")
    return sorted(found)


def _sibling(cells: Cells, work: Work, model: str, rows: Positions) -> Iterator[_Option]:
    """A smaller model of the same maker and generation, where answers are as short as labels."""
    standard = rows[cells.tier[rows] != "provisioned"]
    lengths = cells.per_call(standard)
    if not lengths or not 0 < lengths[1] <= _SHORT_ANSWER or cells.amount(standard, ("reasoning",)):
        return
    provider = work.who["provider"]
    me = identity(provider_name(provider), model)
    related = _relatives(cells, provider, model, me, same_family=False)
    for name, other in [r for r in related if r[1].version == me.version] or related:
        yield _Option(
            name, f"its answers have {float(lengths[1]):.0f} tokens on average, as labels and routes have; {short(name)} is the "
            f"{other.family} of the same generation", "low", "a smaller model is worse at what is hard; compare answers first", rows,
        )  # fmt: skip


def _relatives(
    cells: Cells, provider: str, model: str, me: Identity, *, same_family: bool, among: Container[Identity] | None = None
) -> Sequence[tuple[str, Identity]]:  # fmt: skip
    """Models of the same maker that the provider sells: newer versions of the family, or the families of the same version."""
    listed = getattr(cells.book, "models", None)
    if listed is None or not me.family or _version(me.version) is None:
        return []
    found: dict[str, tuple[tuple[Any, ...], str, Identity]] = {}
    for name in listed(provider_name(provider)):
        if _NOT_FOR_ALL.search(name):
            continue
        other = identity(provider_name(provider), name)
        version, mine = _version(other.version), _version(me.version)
        if among is not None and other not in among:
            continue
        if (
            other.developer != me.developer
            or version is None
            or mine is None
            or (other.family == me.family) != same_family
        ):
            continue
        if version > mine if same_family else version[:1] == mine[:1] and _kin(me.family, other.family):
            key = other.family
            if key not in found or (version, -len(name)) > found[key][0]:
                found[key] = ((version, -len(name)), name, other)
    return [(_placed(model, provider, name), other) for _, name, other in sorted(found.values(), key=lambda f: f[1])]


def _placed(model: str, provider: str, name: str) -> str:
    """A list's name of a model as this work would call it: at Bedrock by the profile of the same place."""
    from finops_ai.prices.names import take_apart

    place = take_apart(provider_name(provider), model).place
    return f"{place}.{name}" if place and not name.startswith(f"{place}.") else name


def _kin(one: str, other: str) -> bool:
    """Whether two families are sizes of one line: Claude Opus and Claude Haiku, GPT and GPT mini."""
    return one.split()[0] == other.split()[0]


def _version(text: str) -> tuple[int, ...] | None:
    parts = text.split(".")
    return tuple(int(p) for p in parts) if text and all(p.isdigit() for p in parts) else None


def _on(day: dt.date) -> str:
    return f"{day.day} {day:%B}"
