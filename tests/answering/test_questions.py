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
        ("which model grew the most in october", "why did the cost change by model in october"),
        ("did support's cost go up", "why did support cost change"),
        ("why did mobile change between august and october", "why did mobile cost change in october against august"),
        ("compare september and october by team", "why did the cost change by team in october against september"),
        (
            "what did search spend in august, september and october",
            "who spent for search from 2026-08-01 to 2026-10-31",
        ),
        ("did support spend more than search", "cost of support and search by team"),
        ("anthropic vs openai in october", "cost of anthropic and openai by provider in october"),
        ("how much of october is idle capacity", 'who spent for team "idle" in october'),
        ("spend after 15 october", "who spent from 2026-10-16 to 2026-10-31"),
        ("month to date spend", "who spent from 2026-11-01 to 2026-11-20"),
        ("monthly spend by provider", "cost by month by provider from 2026-08-01 to 2026-10-31"),
        ("spend in dollars by team", "who spent by team"),
        ("unexplained difference in october", "does it tie in october"),
    ],
)
def test_what_finance_people_type_is_understood(known, text, same):
    read, told = (understand(words, known) for words in (text, same))
    assert read.words(known.timezone) == told.words(known.timezone)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("how many teams are there", "ask 'by team' and count the rows"),
        ("average cost per day in october", "An average of cost can't be asked for"),
        ("why did tokens increase in october", "not tokens"),
        ("tokens in october against september", "not tokens"),
        ("forecast of requests by team", "not requests"),
        ("spend up to 10 october", "When does it begin?"),
        ("spend before october", "When does it begin?"),
        ("spend in euros by team", "Amounts are in USD"),
        ("spend in july, august and october", "must follow each other"),
        ("spend on 31 november", "November has no day 31"),
        ("discount by provider", "discount isn't known by group"),
    ],
)
def test_what_has_no_answer_is_not_answered_as_something_else(ws, text, said):
    import finops_ai as fa

    found = fa.ask(ws, text, now=NOW)
    assert not found.clear
    assert said in found.sentence
    assert found.table is None


def test_months_beside_each_other_say_what_each_of_them_says(ws):
    import finops_ai as fa

    beside = fa.ask(ws, "spend by month", now=NOW).table
    cents = dict(zip(beside["month"], beside.published()["cost"], strict=True))
    alone = {m: fa.showback(ws.cube(m), month=m).published()["cost"].iloc[0] for m in cents}
    assert cents == alone


def test_a_change_is_said_once_and_its_effects_are_those_of_the_table(ws):
    import finops_ai as fa

    found = fa.ask(ws, "why did support cost more in october", now=NOW)
    table = fa.explain(*(f[(f["team"] == "support").to_numpy(bool)] for f in map(ws.cube, ("2026-09", "2026-10"))))
    assert found.sentence.startswith(table.headline("The cost of team support"))
    assert table.headline() not in found.table.facts.notes
    shown = found.figures().published().iloc[0]  # effects that are nowhere are left out, the others keep their cents
    whole = table.published().iloc[0]
    assert {name: shown[name] for name in shown.index} == {name: whole[name] for name in shown.index}


def test_an_answer_s_table_has_what_it_shows_and_no_more(known):
    found = answer(known, understand("cost per request by model in october", known))
    assert set(found.shown) <= set(found.table.columns)
    assert "cache_hit_rate" not in found.table.columns
