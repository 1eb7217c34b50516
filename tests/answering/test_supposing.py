"""What a question supposes, times in many forms, and misspelt words: read as meant, or answered with the nearest."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal

import pytest

from finops_ai.answering.asking import answer
from finops_ai.answering.spans import Clock
from finops_ai.answering.understanding import Unclear, understand
from finops_ai.errors import RuleError, SettingsError

HAIKU, SONNET = ("model", "claude-haiku-4-5"), ("model", "claude-sonnet-5")
SUPPORT = ("team", "support")
SUPPOSED = [
    ("what if team support moved to claude-haiku-4-5", (SUPPORT,), (HAIKU,)),
    ("how much would we save if support used claude-haiku-4-5 instead of claude-sonnet-5", (SUPPORT, SONNET), (HAIKU,)),
    ("what if we switched from claude-sonnet-5 to claude-haiku-4-5 last week", (SONNET,), (HAIKU,)),
    ('suppose team support ran on "claude-haiku-4-5"', (SUPPORT,), (HAIKU,)),
    ("what would team support cost in batch", (SUPPORT,), (("tier", "batch"),)),
    ("what if half of provider openai ran in flex", (("provider", "openai"),), (("tier", "flex"), ("share", "0.5"))),
    ("what if prompts of team support were 20% shorter", (SUPPORT,), (("prompt", "0.8"),)),
    ("what if team support had 25% longer answers", (SUPPORT,), (("answer", "1.25"),)),
    ("what if answers were half as long for team support", (SUPPORT,), (("answer", "0.5"),)),
    ("what if 60% of the input of team support was cached", (SUPPORT,), (("cache", "0.6"),)),
    ("what if team support had a cache hit rate of 45 percent", (SUPPORT,), (("cache", "0.45"),)),
    ("what if provider anthropic ran at the global endpoint", (("provider", "anthropic"),), (("geography", "global"),)),
]


@pytest.mark.parametrize(("words", "only", "changes"), SUPPOSED, ids=[w for w, _, _ in SUPPOSED])
def test_what_is_supposed_is_read_and_repeated(words, only, changes, known):
    question = understand(words, known)
    assert (question.kind, set(question.only), set(question.changes)) == ("whatif", set(only), set(changes))
    again = understand(question.words(known.timezone), known)
    assert (again.kind, set(again.only), set(again.changes)) == ("whatif", set(only), set(changes))


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("what would be cheaper", "save"), ("how much would a call to gpt-5.4 with 1000 input tokens cost", "price"),
        ("how much does gpt-5.4-mini cost with 10k input and 2k output", "price"), ("do the invoices match in september", "tie"),
        ("anything weird lately", "incidents"), ("what's the outlook for next quarter", "forecast"), ("who is the biggest spender", "spending"),
        ("could you tell me how much support spent on claude-sonnet-5", "spending"), ("could we see the cost by model", "spending"),
    ],
)  # fmt: skip
def test_other_questions_suppose_nothing(words, kind, known):
    assert understand(words, known).kind == kind


def test_a_supposition_that_is_none_is_refused_in_words(known):
    for words in ("what if", "what if team support"):
        with pytest.raises(SettingsError, match="What should be otherwise"):
            answer(known, understand(words, known))
    with pytest.raises(SettingsError, match="in one way"):
        answer(known, understand("what if half of team legal ran on gpt-5.4-mini in batch", known))
    with pytest.raises(Unclear, match="gpt-99"):
        understand("what if team support moved to gpt-99", known)
    with pytest.raises(RuleError):
        answer(known, understand("what if 300% of the input of team support was cached", known))


def test_half_the_price_halves_what_moves_and_the_sentence_says_so(known, ws):
    # every price of Haiku 4.5 is half of Sonnet 5's
    found = answer(known, understand("what if model claude-sonnet-5 moved to claude-haiku-4-5 for team support", known))
    cube = ws.cube("2026-10")
    mine = cube[((cube["team"] == "support") & (cube["model"] == "claude-sonnet-5")).to_numpy(bool)]
    half = sum((Decimal(c) for c in mine["effective_cost"].dropna()), Decimal(0)) / 2
    assert found.table["saving"].iloc[0] == half
    assert f"{round(half, 2):,} USD less (50.0%" in found.sentence


def test_a_model_and_a_tier_at_once(known, ws):
    # half the price of the model, half of that as a batch
    found = answer(known, understand("what if model claude-sonnet-5 moved to claude-haiku-4-5 in batch", known))
    cube = ws.cube("2026-10")
    mine = cube[(cube["model"] == "claude-sonnet-5").to_numpy(bool)]
    whole = sum((Decimal(c) for c in mine["effective_cost"].dropna()), Decimal(0))
    assert abs(found.table["saving"].iloc[0] - whole * 3 / 4) < Decimal("0.01")


def test_what_has_no_price_in_a_tier_stays_and_is_named(known):
    found = answer(known, understand("what if everything ran in batch", known))
    assert "meta.llama-3.3-70b-instruct" in found.notes[0]
    assert found.table["saving"].iloc[0] > 0


CLOCK = Clock("Europe/Berlin", dt.date(2026, 11, 20), dt.date(2026, 10, 31), ["2026-08", "2026-09", "2026-10"])
TIMES = {
    "25.10.2026": "2026-10-25 to 2026-10-25", "2026/10/05": "2026-10-05 to 2026-10-05", "5th of October": "2026-10-05 to 2026-10-05",
    "2026-W43": "2026-10-19 to 2026-10-25", "week 43": "2026-10-19 to 2026-10-25", "last two weeks": "2026-10-18 to 2026-10-31",
    "past 3 months": "2026-08-01 to 2026-10-31", "past quarter": "2026-07-01 to 2026-09-30", "2026": "2026-01-01 to 2026-12-31",
    "lately": "2026-10-18 to 2026-10-31", "from 1.10.2026 to 7.10.2026": "2026-10-01 to 2026-10-07", "next month": "2026-12",
    "next quarter": "2027-01-01 to 2027-03-31", "q3 of 2026": "2026-07-01 to 2026-09-30", "week 53 2026": "2026-12-28 to 2027-01-03",
}  # fmt: skip


@pytest.mark.parametrize("words", TIMES)
def test_times_in_many_forms(words):
    assert CLOCK.read(words).text("Europe/Berlin") == TIMES[words]


def test_what_is_to_come_is_read_ahead():
    ahead = replace(CLOCK, ahead=True)
    read = {words: ahead.read(words).text("Europe/Berlin") for words in ("december", "november", "january", "q1", "q4")}
    assert read == {
        "december": "2026-12", "november": "2026-11", "january": "2027-01", "q1": "2027-01-01 to 2027-03-31",
        "q4": "2026-10-01 to 2026-12-31",
    }  # fmt: skip
    assert CLOCK.read("december").text("Europe/Berlin") == "2025-12"
    for wrong in ("31 september", "13.13.2026", "week 60"):
        with pytest.raises(SettingsError):
            CLOCK.read(wrong)


@pytest.mark.parametrize(
    ("words", "near"),
    [
        ("forcast by team", "forecast"), ("cost by modell", "the column model"), ("cost in octobre", "October"),
        ("supprt cost in october", "the team support"), ("claude sonet 5 cost", "claude-sonnet-5"), ("wy did the cost change", "why"),
    ],
)  # fmt: skip
def test_a_misspelt_word_is_answered_with_the_nearest(words, near, known):
    with pytest.raises(Unclear, match=near):
        understand(words, known)


def test_a_largest_group_without_a_name_is_said_to_be_without(known):
    sentence = answer(known, understand("cost by prompt in october", known)).sentence
    assert "without prompt_id; most by copywriter@v2" in sentence
    assert "nobody" not in sentence
