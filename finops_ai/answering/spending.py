"""Who spent, or used, how much: `fa.showback` of the time and part that is asked about."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pandas as pd

from finops_ai.answering.answer import Answer, name
from finops_ai.answering.known import Known
from finops_ai.answering.question import Question
from finops_ai.errors import SettingsError
from finops_ai.figures import catalogue, ingredients, values
from finops_ai.money import written
from finops_ai.tables.grouping import TIMES
from finops_ai.tables.result import Table
from finops_ai.tables.showback import MEASURES, showback

if TYPE_CHECKING:
    from collections.abc import Iterable

    from finops_ai.periods import Window

#: what is shown beside the groups where the cost is asked
SHOWN = ("cost", "previous_cost", "change", "tokens", "requests", "cost_per_1m_tokens")
#: of these, what only a month has: the one before
COMPARED = ("previous_cost", "change")
#: columns of the rows behind an answer
ROWS = (
    "charge_period_start", "provider", "model", "meter", "quantity", "unit", "service_tier", "operation", "sub_account_name", "region",
    "prompt_id", "api_key_id", "user_id", "agent_name", "rule", "share", "effective_cost", "price_id", "price_status",
)  # fmt: skip


def spending(known: Known, question: Question) -> Answer:
    """Cost, or another measure, by group, largest first."""
    span = question.period
    assert span is not None
    measure = question.measure
    if measure not in MEASURES and measure not in COMPARED:
        raise SettingsError(
            f"{measure} isn't known by group. Ask for the KPIs, or for one of {', '.join(MEASURES[:8])} and the like."
        )
    by = list(question.by)
    wanted = [*by, *(column for column, _ in question.only)]
    months = bool(span.month) and not set(by) & {"month"}
    frame = known.frame(span, wanted, before=months)
    mine = known.chosen(frame, question.only)
    timed = {"month": span.month} if months else {} if span.month else {"window": span.window}
    table = showback(mine, by, timezone=known.timezone, measures=_asked(measure), **timed)
    if set(by) & set(TIMES):  # times are read in their order
        table = table.sort_values(by, kind="stable")
    elif measure != "cost":
        table = table.sort_values(measure, ascending=False, kind="stable", na_position="last")
    shown = (
        (*by, *SHOWN)
        if measure == "cost"
        else (*by, measure, *(m for m in _parts(measure) if m in table.columns), "cost")
    )
    if not months:
        shown = tuple(c for c in shown if c not in COMPARED)
    published = table.published()
    return Answer(
        _sentence(table, published, known, question, mine),
        table=table,
        published=published,
        shown=tuple(dict.fromkeys(shown)),
        top=max(question.top, 366 if set(by) & set(TIMES) else 0),
        definition=definition(measure, table.facts.currency),
        period=span.text(known.timezone),
        currency=table.facts.currency,
        behind=lambda: rows_of(mine, span.window),
    )


def _asked(measure: str) -> tuple[str, ...]:
    """The measures a table is made for: no more than is shown, because a large month's sums are what takes time."""
    return tuple(m for m in SHOWN if m in MEASURES) if measure in ("cost", *COMPARED) else (measure,)


def rows_of(frame: pd.DataFrame, window: Window | None = None) -> pd.DataFrame:
    """The rows of a window, the dearest first, in the columns that say what they are."""
    if window is not None:
        start = frame["charge_period_start"]
        frame = frame[((start >= window.start) & (start < window.end)).to_numpy(bool)]
    shown = frame[[c for c in ROWS if c in frame.columns]]
    return shown.sort_values("effective_cost", ascending=False, kind="stable", na_position="last", ignore_index=True)


def definition(measure: str, currency: str = "") -> str:
    """What a measure says, how it is made and what it leaves out."""
    one = catalogue()[measure]
    unit = one.unit_of(currency)
    left = f" Leaves out {one.leaves_out}." if one.leaves_out else ""
    return f"{one.label}{f' ({unit})' if unit else ''}: {one.about} Formula: {one.formula}.{left}"


def _parts(measure: str) -> tuple[str, ...]:
    one = catalogue()[measure]
    return (*one.ratio, *one.minus)


def _sentence(table: Table, published: pd.DataFrame, known: Known, question: Question, mine: pd.DataFrame) -> str:
    span = question.period
    assert span is not None
    who = " and ".join(f"{c} {name(v)}" for c, v in question.only)
    when = span.words(known.timezone)
    of = f"{who} " if who else ""
    if not len(table):
        return f"There is no usage{f' of {who}' if who else ''} {when}."
    one, currency = _whole(table, published, known, question, mine)
    if question.measure != "cost":
        total = figure(one.get(question.measure), question.measure, currency)
        text = f"{catalogue()[question.measure].label}{f' of {who}' if who else ''} {when}: {total}"
    else:
        total = money(one.get("cost"), currency)
        text = f"{of}cost {total} {when}" if of else f"{total} was spent {when}"
        change, before = one.get("change"), one.get("previous_cost")
        if isinstance(change, Decimal) and isinstance(before, Decimal) and before:
            text += f", {written(abs(change), currency)} ({abs(change) / abs(before):.1%}) {'more' if change >= 0 else 'less'} than the month before"
    if question.by and len(table) > 1 and (len(question.by) == 1 or not set(question.by) & set(TIMES)):
        text += _most(published, question, currency)
    return text[:1].upper() + text[1:] + "."


def _whole(
    table: Table, published: pd.DataFrame, known: Known, question: Question, mine: pd.DataFrame
) -> tuple[dict[str, Any], str]:
    """The published figures of all that is asked about, and their currency: those of the groups, where they add up to it."""
    currency, kind = table.facts.currency, catalogue()[question.measure].kind
    if kind in ("money", "count") and currency:
        names = [n for n in (question.measure, *COMPARED) if n in published.columns]
        return {name: sum_of(published[name]) for name in names}, currency
    if currency and all(name in table.columns for name in ingredients(question.measure)):
        adds = [n for n in MEASURES if n in table.columns and catalogue()[n].kind in ("money", "count")]
        return values({name: sum_of(table[name]) for name in adds}, [question.measure]), currency
    span = question.period
    assert span is not None
    whole = known.kept(
        ("whole", span, question.only, question.measure),
        lambda: showback(mine, timezone=known.timezone, window=span.window, measures=_asked(question.measure)),
    )
    shown = known.kept(("whole in cents", span, question.only, question.measure), whole.published)
    if len(shown) != 1:
        return {}, whole.facts.currency
    return {str(name): shown[name].iloc[0] for name in shown.columns}, whole.facts.currency


def _most(published: pd.DataFrame, question: Question, currency: str) -> str:
    """The largest group that has a name, and before it what is larger and has none."""
    adds = catalogue()[question.measure].kind in ("money", "count")
    named = published[list(question.by)].notna().all(axis=1).to_numpy(bool)
    at = int(named.argmax())
    if not named.any():
        return ""
    if question.by[0] in TIMES:  # rows are in the order of time
        known = [v if isinstance(v, Decimal) else Decimal("-Infinity") for v in published[question.measure]]
        most = max(range(len(known)), key=known.__getitem__)
        value = figure(published[question.measure].iloc[most], question.measure, currency)
        when = {"day": "on", "week": "in the week from"}.get(question.by[0], "in")
        return f"; most {when} {name(published[question.by[0]].iloc[most])}: {value}" if adds else ""
    text = ""
    if at and adds:
        bare = figure(published[question.measure].iloc[0], question.measure, currency)
        text = f"; {bare} without {' and '.join(c for c in question.by if published[c].isna().iloc[0])}"
    first = published.iloc[at]
    value = figure(first[question.measure], question.measure, currency)
    return (
        f"{text}; {'most by' if adds else 'highest for'} {' and '.join(name(first[c]) for c in question.by)}: {value}"
    )


def sum_of(values: Iterable[object]) -> Decimal | None:
    """The sum of what is known; None where nothing is."""
    known = [v for v in values if isinstance(v, Decimal)]
    return sum(known, Decimal(0)) if known else None


def money(value: object, currency: str) -> str:
    """A published amount in words; small ones keep their digits, unknown is said.

    >>> money(Decimal("1234.5"), "USD"), money(Decimal("0.000421"), "USD"), money(None, "USD")
    ('1,234.50 USD', '0.000421 USD', 'an unknown amount')
    """
    if not isinstance(value, Decimal):
        return "an unknown amount"
    return f"{written(value, currency, finest=True)} {currency}".strip()


def figure(value: object, measure: str, currency: str) -> str:
    """A figure in words, by the kind of its measure."""
    one = catalogue()[measure]
    if value is None or type(value).__name__ == "NAType" or value != value:
        return f"unknown ({one.unknown_when})"
    if one.kind in ("money", "rate"):
        shown = f"{Decimal(str(value)):,.6f}".rstrip("0") if one.kind == "rate" else money(Decimal(str(value)), "")
        unit = one.unit_of(currency) or currency
        return f"{shown.rstrip('.').strip()} {unit}"
    if one.kind == "share":
        return f"{Decimal(str(value)):.1%}"
    return f"{value:,.3f}" if one.kind == "ratio" else f"{value:,.0f}"
