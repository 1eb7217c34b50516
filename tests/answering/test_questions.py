"""Sixty fixed questions: in words and through MCP, every figure is the Python API's, to the last digit."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import anyio
import pytest

from finops_ai.answering.asking import answer
from finops_ai.answering.known import Known
from finops_ai.answering.understanding import understand

from .conftest import NOW
from .questions import CASES

mcp = pytest.importorskip("mcp", reason="needs the extra mcp")


def plain(value):
    """A value as it can be compared with what came through JSON."""
    if value is None or type(value).__name__ in ("NAType", "NaTType") or value != value:
        return None
    if isinstance(value, bool):
        return value
    if isinstance(value, Decimal | int):
        return Decimal(value)
    if isinstance(value, float):
        return Decimal(str(round(value, 6)))
    if isinstance(value, dt.date | dt.datetime):
        return value.isoformat()
    text = str(value)
    try:
        return Decimal(text)
    except ArithmeticError:
        return text


def lines(table, columns):
    frame = table[columns].astype(object)
    return [tuple(plain(v) for v in row) for row in frame.itertuples(index=False, name=None)]


@pytest.fixture(scope="module")
def client_answers(ws):
    """The answers of all tools, asked by the SDK's own client; made when first needed."""
    from mcp import Client

    from finops_ai.answering.server import Desk, make_server

    server = make_server(Desk(lambda: ws, now=lambda: NOW))

    def ask(tool, given):
        async def call():
            async with Client(server) as client:
                return await client.call_tool(tool, given)

        return anyio.run(call)

    return ask


def everything(case):
    """The call with all digits and room for every row."""
    exact = {
        "spending",
        "why_changed",
        "ties",
        "incidents",
        "budgets",
        "forecast",
        "kpis",
        "rules_why",
        "opportunities",
        "what_if",
    }
    more = {"exact": True, "tokens": 20_000} if case.tool in exact else {}
    top = {"top": 500} if case.tool in ("spending", "why_changed", "what_if") else {}
    return more | top | case.given


#: of the questions that aren't heavy, every fourth is asked at once, the others with the long tests
MARKED = [
    pytest.param(c, id=c.words, marks=[pytest.mark.long] if c.heavy or n % 4 else []) for n, c in enumerate(CASES)
]


def test_there_are_sixty():
    assert len(CASES) == len({c.words for c in CASES}) == 64


@pytest.mark.parametrize("case", MARKED)
def test_every_figure_is_the_python_apis(case, ws, known, client_answers):
    found = answer(known, understand(case.words, known))
    sent = client_answers(case.tool, everything(case))
    assert not sent.is_error, sent.content
    told = sent.structured_content
    if case.expected is None:
        assert found.sentence == told["answer"]
        return
    table = case.expected(ws)
    wanted = lines(table, case.columns)
    if case.tool == "ties" and "openai" in case.words:
        wanted = [row for row in wanted if row[0] == "openai"]
    assert len(wanted)
    assert sorted(lines(found.table, case.columns), key=str) == sorted(wanted, key=str)
    places = [told["columns"].index(c) for c in case.columns]
    came = [tuple(plain(row[p]) for p in places) for row in told["rows"]]
    if case.tool == "ties":
        wanted = lines(table, case.columns)
    assert sorted(came, key=str) == sorted(wanted, key=str)


@pytest.mark.parametrize("case", [pytest.param(c, id=c.words) for c in CASES])
def test_what_is_repeated_is_understood_the_same(case, known):
    question = understand(case.words, known)
    again = understand(question.words(known.timezone), known)
    assert again.words(known.timezone) == question.words(known.timezone)
    assert (again.kind, again.by, again.only, again.period, again.against, again.changes) == (
        question.kind, question.by, question.only, question.period, question.against, question.changes,
    )  # fmt: skip


def test_a_question_is_relative_to_the_day_it_is_asked(ws):
    early = Known(ws, lambda: dt.datetime(2026, 10, 9, tzinfo=dt.UTC)).fresh()
    assert understand("who spent last month", early).period.month == "2026-09"
    assert understand("who spent", early).period.month == "2026-09"


def test_the_most_of_a_measure_is_of_that_measure_and_cents_stay_with_their_row(ws, known):
    import finops_ai as fa

    by_tokens = answer(known, understand("how many tokens by model", known))
    table = fa.showback(ws.history("2026-10", 2), ["model"], month="2026-10")
    largest = max(table.to_dict("records"), key=lambda r: r["tokens"] or 0)
    assert f"most by {largest['model']}: " in by_tokens.sentence
    cents = dict(zip(table["model"], table.published()["cost"], strict=True))
    assert dict(zip(by_tokens.table["model"], by_tokens.table.published()["cost"], strict=True)) == cents
    days = answer(known, understand("cost by day in october", known)).table
    wanted = fa.showback(ws.cube("2026-10"), ["day"], month=None)
    assert dict(zip(days["day"], days.published()["cost"], strict=True)) == dict(
        zip(wanted["day"], wanted.published()["cost"], strict=True)
    )
    assert list(days["day"]) == sorted(days["day"])


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("tokens per team yesterday", "tokens by team yesterday"),  # was read for ever
        ("requests per model", "how many requests by model"),
        ("cost per million tokens per team", "cost per million tokens by team"),
        ("compare october to september", "cost in october against september"),
        ("compare support in october with september", "support in october against september"),
        ("whats driving the increase in cost", "why did the cost change"),
        ("total spend ytd", "who spent year to date"),
        ("forecast for support until year end", "forecast for support"),
        ("will we blow the budget", "how are the budgets"),
        ("how can we cut costs", "where can we save"),
        ("is the invoice right", "does it tie"),
        ("is any data missing", "how fresh is the data"),
    ],
)
def test_what_finance_people_type_is_understood(known, text, same):
    read, told = (understand(words, known) for words in (text, same))
    assert read.words(known.timezone) == told.words(known.timezone)
