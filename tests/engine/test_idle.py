"""Capacity that was paid for and served nobody is idle, not unmapped, unless a rule or a shared cost says whose it is."""

from __future__ import annotations

from decimal import Decimal

import pytest

import finops_ai as fa
from finops_ai.engine.cubing import cubed
from finops_ai.engine.rules import Rules
from finops_ai.errors import RuleError
from finops_ai.tables.rule_check import check_rules

D = Decimal
TEAM = {"dimensions": {"team": {"default": "unallocated"}, "product": {"default": "none"}}}
SEARCH = {"name": "search", "when": {"user_id": "search"}, "set": {"team": "search"}}
#: at 0.9 of 1e-6 a token: search 0.90, web 2.70, nobody's calls 2.70, idle 3.60
ROWS = [
    {"user_id": "search", "quantity": 1_000_000},
    {"user_id": "web", "quantity": 3_000_000},
    {"quantity": 3_000_000},
    {"quantity": 4_000_000, "operation": "provisioned_idle"},
]


def costs(rows, by="team"):
    return {key: sum(of["effective_cost"], D(0)) for key, of in rows.groupby(by)}


@pytest.fixture
def priced(tokens_of, book):
    return fa.price(tokens_of(ROWS), book)


def test_what_no_rule_reaches_is_idle_or_unallocated_by_what_it_is(priced):
    web = {"name": "web", "when": {"user_id": "web"}, "set": {"team": "web", "product": "site"}}
    rows = fa.allocate(priced, {**TEAM, "rules": [SEARCH, web]})
    assert costs(rows) == {"search": D("0.9"), "web": D("2.7"), "unallocated": D("2.7"), "idle": D("3.6")}
    assert costs(rows, "product") == {
        "none": D("7.2"),
        "site": D("2.7"),
    }  # this dimension's default is a name of its own
    assert list(rows["rule"]) == ["search", "web", "default", "default, idle"]
    assert costs(cubed(rows, dimensions=["team", "product"])) == costs(rows)
    assert costs(fa.allocate(cubed(priced), {**TEAM, "rules": [SEARCH, web]})) == costs(rows)


def test_a_rule_of_one_s_own_comes_first(priced):
    own = {"name": "units", "when": {"operation": "provisioned_idle"}, "set": {"team": "platform"}}
    assert costs(fa.allocate(priced, {**TEAM, "rules": [own]})) == {"platform": D("3.6"), "unallocated": D("6.3")}


def test_shared_cost_is_not_given_to_idle_capacity(priced):
    """Calls without a user (2.70) are divided by the cost of search and web, 1 to 3; idle capacity is no receiver."""
    web = {"name": "web", "when": {"user_id": "web"}, "set": {"team": "web"}}
    left = {"name": "left", "when": {"user_id": {"exists": False}, "operation": "chat"}, "set": {"team": "common"}}
    divided = {"name": "common", "dimension": "team", "when": {"team": "common"}}
    rows = fa.allocate(priced, {**TEAM, "rules": [SEARCH, web, left], "shared": [divided]})
    assert costs(rows) == {"search": D("1.575"), "web": D("4.725"), "idle": D("3.6")}


def test_who_divides_what_is_unmapped_divides_idle_capacity_with_it(priced):
    """Unmapped 2.70 and idle 3.60 go to search and web, as they did before idle capacity had its name."""
    web = {"name": "web", "when": {"user_id": "web"}, "set": {"team": "web"}}
    divided = {"name": "all", "dimension": "team", "when": {"team": "unallocated"}}
    rows = fa.allocate(priced, {**TEAM, "rules": [SEARCH, web], "shared": [divided]})
    assert costs(rows) == {"search": D("2.475"), "web": D("7.425")}


def test_nobody_is_told_of_a_rule_that_nobody_wrote(priced):
    busy = priced[priced["operation"] == "chat"]
    found = check_rules(busy, {**TEAM, "rules": [SEARCH]})
    assert "default, idle" not in set(found["rule"])
    unmapped = check_rules(priced, {**TEAM, "rules": [SEARCH]})
    (cost,) = unmapped.loc[unmapped["finding"] == "unallocated", "cost"]
    assert cost == D("5.4")  # web's and nobody's calls; idle capacity has its name


def test_the_name_of_that_rule_is_taken():
    with pytest.raises(RuleError, match="not 'default' or 'default, idle'"):
        Rules.load({**TEAM, "rules": [SEARCH | {"name": "default, idle"}]})
