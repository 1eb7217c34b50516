"""What the same calls would have cost otherwise: `fa.what_if` of the changes that a question supposes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pandas as pd

from finops_ai.answering.answer import Answer, name
from finops_ai.answering.known import Known
from finops_ai.answering.question import LENGTHS, Question, in_words
from finops_ai.answering.spending import money, rows_of, sum_of
from finops_ai.engine import reprice
from finops_ai.errors import SettingsError
from finops_ai.tables.changing import BY_THE_CALL, at_model, at_tier
from finops_ai.tables.grouping import TIMES
from finops_ai.tables.what_if import what_if


def supposed(known: Known, question: Question) -> Answer:
    """The cost of a time as it was and as it would have been, with a range where something had to be estimated."""
    span = question.period
    assert span is not None
    by = [c for c in question.by if c not in TIMES]
    frame = known.frame(span, [*by, *(column for column, _ in question.only)])
    mine = known.chosen(frame, question.only)
    if not len(mine):
        raise SettingsError(f"There is no usage of that {span.words(known.timezone)}.")
    scenario, left = scenario_of(known, question, mine, span.window.end)
    table = known.kept(
        ("what if", span, tuple(by), question.only, question.changes),
        lambda: what_if(frame, scenario, by=by, book=known.ws.book),
    )
    table.facts.period = span.text(known.timezone)
    shown = table.published()
    return Answer(
        _sentence(known, question, shown, mine, table.facts.currency),
        table=table,
        published=shown,
        top=question.top,
        notes=tuple(left),
        definition="The very calls of that time priced again as supposed, at their own day's prices and contracts. "
        "Whether answers would be as good, nothing here knows.",
        period=table.facts.period,
        currency=table.facts.currency,
        behind=lambda: rows_of(mine, span.window),
    )


def _sentence(known: Known, question: Question, shown: pd.DataFrame, mine: pd.DataFrame, currency: str) -> str:
    assert question.period is not None
    cost, then, saved = (sum_of(shown[c]) for c in ("cost", "scenario_cost", "saving"))
    if saved is None or cost is None or then is None:
        return "What that would have cost is unknown."
    text = f"{question.period.words(known.timezone).capitalize()} {money(cost, currency)} would have been "
    if not saved:
        return f"{text}the same."
    who = " and ".join(f"{c} {name(v)}" for c, v in question.only)
    text += f"{money(then, currency)} with {who or 'all that is billed by the call'} {', '.join(in_words(question.changes))}: "
    text += f"{money(abs(saved), currency)} {'less' if saved > 0 else 'more'}"
    own = Decimal(mine["effective_cost"].sum()) if who else Decimal(0)
    text += f" ({abs(saved) / own:.1%} of what {who} cost)" if who and own > 0 else ""
    if "scenario_cost_low" in shown:
        low, high = (sum_of(shown[f"scenario_cost_{end}"]) for end in ("low", "high"))
        text += f"; it may be {money(low, '')} to {money(high, currency)}"
    return f"{text}."


def scenario_of(
    known: Known, question: Question, mine: pd.DataFrame, at: dt.datetime
) -> tuple[dict[str, Any], list[str]]:
    """The steps of `fa.what_if` that a question supposes of some rows, and what it leaves as it is, in sentences.

    Raises:
        SettingsError: nothing is supposed, or a model isn't sold by anybody the price book knows.
    """
    changes, when = dict(question.changes), _when(question.only)
    share = {"share": changes.pop("share")} if "share" in changes else {}
    lengths = {key: changes[key] for key in LENGTHS if key in changes}
    others = changes.keys() - lengths.keys()
    if share and ("cache" in changes or len(others) + bool(lengths) > 1):
        raise SettingsError(
            "A share of the calls can change in one way: suppose one thing of it, and ask again for the next."
        )
    if not changes:
        raise SettingsError(
            "What should be otherwise? Ask, for example: what if team support moved to claude-haiku-4-5; what would legal cost in batch; "
            "what if prompts of search were 20% shorter; what if 60% of the input of search was cached."
        )
    steps: dict[str, Any] = {}
    left: list[str] = []
    swap = {"to": changes["model"], **_seller(known, mine, changes["model"], at)} if "model" in changes else {}
    first = not {"provider", "model"} & set(when)  # else what moved would no longer meet the conditions of later steps
    if swap and first:
        steps["swap"] = {"when": when, **swap, **share}
    if "tier" in changes:
        batch, to = changes["tier"] == "batch", changes["tier"]
        own, left = _in_tier(known, mine, to, swap if first else {})
        steps["batch" if batch else "tier"] = {"when": when | own, **({} if batch else {"to": to}), **share}
    if lengths:
        steps["shorten"] = {"when": when, **lengths, **share}
    if "cache" in changes:
        steps["cache"] = {"when": when, "hit_rate": changes["cache"]}
    if swap and not first:
        steps["swap"] = {"when": when, **swap, **share}
    if "geography" in changes:
        steps["geography"] = {"when": when, "to": changes["geography"], **share}
    return steps, left


def _seller(known: Known, mine: pd.DataFrame, model: str, at: dt.datetime) -> dict[str, str]:
    """Who sells a model, where those who sell the rows' own models don't."""
    book, providers = known.ws.book, {str(p) for p in mine["provider"]}
    if all(book.find(p, model, at) for p in providers):
        return {}
    seller = known.in_book(model, at)
    if seller is None:
        raise SettingsError(f"Nobody's price list has a model {model[:80]!r}.")
    return {"provider": seller}


def _in_tier(known: Known, mine: pd.DataFrame, tier: str, swap: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    """The condition of those rows that have a price in a tier, where some have none; and which stay, in a sentence."""
    called = mine[mine["service_tier"].isin(BY_THE_CALL).to_numpy(bool, na_value=False)]
    each = called.drop_duplicates(["provider", "model", "meter"])
    known_now = (each["price_status"] != "unpriced").to_numpy(bool)
    if swap:
        each = at_model(each, swap["to"], swap.get("provider"))
    bare = (reprice(at_tier(each, tier), known.ws.book)["price_status"] == "unpriced").to_numpy(bool) & known_now
    pairs = list(zip(each["provider"].astype(str), each["model"].astype(str), strict=True))
    unsold = {pair for pair, none in zip(pairs, bare, strict=True) if none}
    sold = sorted(set(pairs) - unsold)
    if not sold or not unsold:
        return {}, []
    names = ", ".join(sorted({model for _, model in unsold}))
    some: list[dict[str, str]] = [{"provider": provider, "model": model} for provider, model in sold]
    return {"any": some}, [f"Left as they are, as no price in the {tier} tier is known: {names}."]


def _when(only: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The condition of `when` that keeps the rows with the values asked for."""
    values: dict[str, list[str]] = {}
    for column, value in only:
        values.setdefault(column, []).append(value)
    flat: Mapping[str, Any] = {c: v[0] if len(v) == 1 else v for c, v in values.items()}
    return dict(flat)
