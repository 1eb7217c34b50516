"""Rules that hold from a day on, and tests that say so."""

from __future__ import annotations

import datetime as dt

import pytest

import finops_ai as fa
from finops_ai.engine import Rules
from finops_ai.errors import RuleError
from finops_ai.tables.rule_check import check_rules
from finops_ai.tables.rule_tests import run_tests

DAY = dt.date(2026, 9, 16)
DATED = {
    "dimensions": {"team": {}, "centre": {}},
    "rules": [
        {"name": "fraud's", "when": {"api_key_id": "k"}, "set": {"team": "fraud"}, "from": DAY, "to": "2026-10-01"},
        {"name": "shop's", "when": {"api_key_id": "k"}, "set": {"team": "shop"}},
        {"name": "tag", "when": {"tags.env": "prod"}, "set": {"centre": "C-{tags.env}"}},
    ],
}


def test_a_rule_holds_on_its_days_of_the_reporting_zone(tokens_of, book):
    at = [dt.datetime(2026, 9, 15, 21, 30, tzinfo=dt.UTC), dt.datetime(2026, 9, 15, 22, 30, tzinfo=dt.UTC), dt.datetime(2026, 9, 30, 22, 30, tzinfo=dt.UTC)]  # fmt: skip
    rows = fa.price(tokens_of([{"api_key_id": "k", "at": t} for t in at]), book)
    # in Berlin 22:30 UTC is half past midnight of the next day
    assert fa.allocate(rows, DATED, timezone="Europe/Berlin")["team"].tolist() == ["shop", "fraud", "shop"]
    assert fa.allocate(rows, DATED)["team"].tolist() == ["shop", "shop", "fraud"]
    early = check_rules(rows.head(1), DATED)
    assert "fraud's" in set(early[early["finding"] == "never matches"]["rule"])


def test_tests_of_rules_hold_or_say_what_is_found():
    rules = Rules.load(DATED)
    tests = [
        {"name": "from the 16th", "given": {"api_key_id": "k"}, "day": DAY, "expect": {"team": "fraud"}},
        {"name": "before", "given": {"api_key_id": "k"}, "day": "2026-09-15", "expect": {"team": "shop", "centre": "unallocated"}},
        {"name": "tag", "given": {"tags.env": "prod"}, "day": DAY, "expect": {"centre": "C-prod"}},
        {"name": "wrong", "given": {"api_key_id": "k"}, "day": "2026-10-01", "expect": {"team": "fraud"}},
    ]  # fmt: skip
    found = run_tests(tests, rules, timezone="Europe/Berlin")
    assert found["passed"].tolist() == [True, True, True, False]
    assert found["text"].iloc[3] == "team is 'shop', not 'fraud' (rule: shop's)."
    assert run_tests([], rules).empty


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"given": {"api_ky_id": "k"}, "day": DAY, "expect": {"team": "a"}}, "Did you mean 'api_key_id'"),
        ({"given": {}, "day": DAY, "expect": {"teem": "a"}}, "Did you mean 'team'"),
        ({"given": {}, "expect": {"team": "a"}}, "needs given"),
        ({"given": {}, "day": "soon", "expect": {"team": "a"}}, "must be a day"),
        ({"give": {}, "day": DAY, "expect": {"team": "a"}}, "Did you mean 'given'"),
    ],
)
def test_a_test_that_cannot_be_run_is_said(row, words):
    with pytest.raises(RuleError, match=words):
        run_tests([row], Rules.load(DATED))


def test_days_of_a_rule_are_checked():
    one = {"name": "r", "when": {}, "set": {"team": "a"}}
    for more, words in (
        ({"from": "2026-10-01", "to": DAY}, "not before to"),
        ({"from": "then"}, "must be a day"),
        ({"form": DAY}, "Did you mean 'from'"),
    ):
        with pytest.raises(RuleError, match=words):
            Rules.load({"dimensions": {"team": {}}, "rules": [one | more]})
