"""A bridge grouped by a column that shares its name with a step keeps both."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import finops_ai as fa


def test_a_bridge_by_model_names_the_models_and_still_adds_up():
    priced = fa.price(fa.sample(months=2))
    start = priced["charge_period_start"]
    table = fa.explain(priced[start < "2026-10-01"], priced[start >= "2026-10-01"], by=["model"])
    assert "claude-sonnet-5" in set(table["model"])
    assert "model_mix" in table.columns
    steps = list(table.columns[list(table.columns).index("change") + 1 :])
    for row in table.to_dict("records"):
        assert sum((row[s] for s in steps), Decimal(0)) == row["change"] == row["after"] - row["before"]


def test_calls_that_went_the_other_way_than_the_money_are_not_said_to_be_its_cause(tokens_of):
    def month(number, calls, uncounted):
        at = dt.datetime(2026, number, 5, tzinfo=dt.UTC)
        both = {"at": at, "user_id": "ana", "prompt_id": "answer@v1"}
        return [
            {"meter": "input", "quantity": 1000 * calls, "model": "gpt-4o-mini", "slice_requests": calls} | both,
            {"meter": "requests", "quantity": calls, "model": "gpt-4o-mini", "slice_requests": calls} | both,
            {"meter": "input", "quantity": uncounted, "model": "gpt-4o"} | both,  # of a source that counts no calls
        ]

    before, after = (fa.price(tokens_of(month(*told))) for told in ((9, 2, 9_000_000), (10, 100, 3_000_000)))
    told = [row["sentence"] for row in fa.explain(before, after, []).drivers().to_dict("records")]
    assert told
    assert not [text for text in told if "fewer calls" in text and "%" in text], told
    assert any("used less" in text for text in told), told
