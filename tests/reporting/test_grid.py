"""Tables on a page: rounded once, alike for any number of rows shown, changes that a reader can check."""

from __future__ import annotations

import html
import re
from decimal import Decimal as D

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finops_ai.reporting.answers import against, prompts, showback_words, together
from finops_ai.reporting.grid import Html, grid, table_html
from finops_ai.tables.result import Facts, Table

CENTS = st.decimals(min_value=0, max_value=10**6, places=6)


def table(rows, columns=("team", "cost", "previous_cost", "change"), currency="USD"):
    frame = pd.DataFrame(rows, columns=list(columns)).astype(object)
    money = [
        c
        for c in columns
        if c in ("cost", "previous_cost", "change", "before", "after", "billed", "computed", "difference")
    ]
    return Table.of(frame, Facts("t", currency, money=money))


def cells(text):
    """Rows of a table as text, the total last."""
    rows = re.findall(r"<tr>(.*?)</tr>", text, re.S)
    return [
        [html.unescape(re.sub("<.*?>", "", c)) for c in re.findall(r"<t[hd].*?</t[hd]>", row, re.S)] for row in rows
    ]


def amount(text):
    return D(text.replace(",", ""))


@given(st.lists(st.tuples(CENTS, CENTS), min_size=2, max_size=12))
@settings(max_examples=60, deadline=None)
def test_rows_add_up_and_changes_are_what_a_reader_computes(pairs):
    data = table([(f"t{i}", a, b, a - b) for i, (a, b) in enumerate(pairs)])
    data.facts.adds = [("change", ("cost", "-previous_cost"))]  # as fa.showback says of its tables
    rows = cells(table_html(data, ["cost", "previous_cost", "change"], top=20))[1:]
    for _, cost, before, change in rows:
        assert amount(cost) - amount(before) == amount(change)
    for column in (1, 2, 3):
        assert sum(amount(r[column]) for r in rows[:-1]) == amount(rows[-1][column])


@given(st.lists(CENTS, min_size=4, max_size=12), st.integers(min_value=1, max_value=12))
@settings(max_examples=40, deadline=None)
def test_a_name_has_the_same_amount_however_many_rows_are_shown(costs, top):
    data = table([(f"t{i}", c) for i, c in enumerate(costs)], ("team", "cost"))
    whole = {r[0]: r[1] for r in cells(table_html(data, ["cost"], top=99))}
    part = {r[0]: r[1] for r in cells(table_html(data, ["cost"], top=top))}
    assert {k: v for k, v in part.items() if k in whole} == {k: whole[k] for k in part if k in whole}


def test_small_rows_become_one_and_nothing_is_hidden():
    text = table_html(table([(f"t{i}", D(10 - i)) for i in range(6)], ("team", "cost")), ["cost"], top=2)
    assert cells(text)[1:] == [["t0", "10.00"], ["t1", "9.00"], ["4 more", "26.00"], ["Total", "45.00"]]  # 8+7+6+5
    assert "all rows counted in the total" in text


def test_the_whole_gives_the_total_what_can_not_be_added():
    data = table([("a", D(1), D("0.5")), ("b", D(2), None)], ("team", "cost", "cost_per_1m_tokens"))
    rows = cells(
        table_html(data, ["cost", "cost_per_1m_tokens"], whole={"cost": D(3), "cost_per_1m_tokens": D("0.75")})
    )
    assert rows[1:] == [["a", "1.00", "0.5000"], ["b", "2.00", "–"], ["Total", "3.00", "0.7500"]]


def test_columns_are_written_alike_from_top_to_bottom():
    data = table([("a", D(2_500_000_000), D(12_345)), ("b", D(40_000), None)], ("team", "tokens", "requests"))
    rows = cells(table_html(data, ["tokens", "requests"]))
    assert rows[0] == ["Team", "Tokens, millions", "Requests"]
    assert rows[1:3] == [["a", "2,500.0", "12,345"], ["b", "<0.1", "–"]]
    unit = cells(
        table_html(table([("a", D("12.5")), ("b", D("0.25"))], ("team", "cost_per_request")), ["cost_per_request"])
    )
    assert [r[1] for r in unit[1:3]] == ["12.5000", "0.2500"]
    yen = table([("a", D("1200.4")), ("b", D("0.6"))], ("team", "cost"), "JPY")
    assert [r[1] for r in cells(table_html(yen, ["cost"]))[1:]] == ["1,200", "1", "1,201"]
    tiny = table([("a", D("0.0004")), ("b", D("0.0001"))], ("team", "cost"))
    assert [r[1] for r in cells(table_html(tiny, ["cost"]))[1:]] == ["0.000400", "0.000100", "0.000500"]


def test_a_grid_escapes_text_and_names_its_rows():
    text = grid(["<b>", "n"], [["<i>", "1"], [Html("<a>x</a>"), "2"]], caption="<u>", foot=["Total", "3"])
    assert "<i>" not in text
    assert "<b>" not in text
    assert "<u>" not in text
    assert "<a>x</a>" in text
    assert text.count('scope="row"') == 3
    assert text.count('scope="col"') == 2


def test_the_answer_never_calls_an_unknown_cost_zero():
    nothing = table([("a", None, D(5000), 0.0)], ("team", "cost", "tokens", "priced"))
    assert showback_words(nothing, "team", "2026-10") == (
        "The cost of October 2026 is <strong>unknown</strong>: no price is known for its 5,000 tokens."
    )
    gone = table([("a", D(0), D(5000), 0.0)], ("team", "cost", "tokens", "priced"))
    assert "unknown" in showback_words(gone, "team", "2026-10")
    free = table([("a", D(0), D(5000), 1.0)], ("team", "cost", "tokens", "priced"))
    assert showback_words(free, "team", "2026-10") == "October 2026 cost <strong>0.00 USD</strong>."


@pytest.mark.parametrize(
    ("now", "before", "said"),
    [
        ("10.004", "9.996", "as much as the month before"),  # both read 10.00
        ("10", "20", "10.00 USD (50.0%) less than the month before"),
        ("10", "0", "10.00 USD more than the month before"),
    ],
)
def test_a_comparison_is_that_of_the_amounts_as_shown(now, before, said):
    assert against(D(now), D(before), "USD") == said


def test_beside_a_share_stand_the_figures_it_is_made_of():
    columns = (
        "team",
        "cost",
        "tokens",
        "listed_tokens",
        "priced",
        "cache_read_tokens",
        "input_tokens",
        "cache_hit_rate",
    )
    rows = [("a", D(5), D(100), D(100), 1.0, D(20), D(80), 0.25), ("b", D(3), D(50), D(50), 1.0, D(0), D(40), 0.0)]
    heads = cells(table_html(table(rows, columns), ["cost", "tokens", "priced", "cache_hit_rate"]))[0]
    # tokens with a price are all tokens here, so they would tell nothing more
    assert heads == ["Team", "Cost", "Tokens", "Priced", "Cached input tokens", "Input tokens", "Input from cache"]
    rows[1] = ("b", D(3), D(50), D(10), 0.2, D(0), D(40), 0.0)
    heads = cells(table_html(table(rows, columns), ["cost", "tokens", "priced"]))[0]
    assert heads == ["Team", "Cost", "Tokens", "Tokens with a price", "Priced"]


def test_channels_of_one_family_stand_together():
    rows = [("GPT", "azure", D(5)), ("Claude", "anthropic", D(4)), ("Claude", "bedrock", D(3)), ("GPT", "openai", D(1))]
    data = together(table(rows, ("family", "provider", "cost")), ["family"])
    assert list(zip(data["family"], data["provider"], strict=True)) == [
        ("Claude", "anthropic"), ("Claude", "bedrock"), ("GPT", "azure"), ("GPT", "openai"),
    ]  # fmt: skip


def test_prompts_say_how_much_cost_names_one(monkeypatch):
    said = []
    monkeypatch.setattr("finops_ai.reporting.answers.display", lambda shown: said.append(shown.data))
    columns = ("prompt_id", "cost", "requests", "tokens", "cost_per_request")
    prompts(table([(None, D(75), None, D(1), None), ("greet@v1", D(25), D(5), D(1), D(5))], columns))
    assert "25.0% of cost names its prompt" in said[0]
    assert cells(said[-1])[1][:2] == ["greet@v1", "25.00"]
    assert '<tr class="apart"><th scope="row">no prompt captured</th><td>75.00</td>' in said[-1]
    said.clear()
    prompts(table([(None, D(75), None, D(1), None)], columns))
    assert "No source names a prompt" in said[0]
