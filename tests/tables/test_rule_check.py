"""What `rules check` finds and `rules why` traces, against rows whose answer is known."""

from __future__ import annotations

from decimal import Decimal

import pytest

import finops_ai as fa
from finops_ai.errors import FrameError
from finops_ai.tables.rule_check import check_rules, why

D = Decimal
TAGGED = {"name": "tag", "set": {"team": "{tags.team}"}}


def found(table, finding):
    rows = table[(table["finding"] == finding).to_numpy()].astype(object)
    return [(r["rule"], r["other"], r["cost"]) for r in rows.where(rows.notna(), None).to_dict("records")]


def test_an_inherited_value_overlaps_only_where_it_differs(frame_of):
    key = {"name": "key", "when": {"api_key_id": ["k", "l"]}, "set": {"team": "a"}}
    rows = frame_of([
        {"api_key_id": "k", "tags": {"team": "a"}, "cost": D(1)}, {"api_key_id": "l", "tags": {"team": "b"}, "cost": D(2)},
        {"tags": {"team": "c"}, "cost": D(4)},
    ])  # fmt: skip
    table = check_rules(rows, {"dimensions": {"team": {}}, "rules": [key, TAGGED]})
    assert found(table, "overlap") == [("tag", "key", D(2))]  # only l's tag says otherwise


def test_a_finding_says_the_cents_of_its_rows(frame_of):
    # three rows of a third of a dollar: 0.34, 0.33 and 0.33, and the two that are unmapped are whatever is left of 1.00
    cost = D("0.333333333333")
    rows = frame_of(
        [{"tags": {"team": "a"}, "cost": cost}, {"api_key_id": "k", "cost": cost}, {"api_key_id": "l", "cost": cost}]
    )
    rules = {"dimensions": {"team": {}}, "rules": [TAGGED]}
    allocated = fa.allocate(rows, rules)
    shown = fa.showback(allocated, ["team"]).published().set_index("team")["cost"]
    for table in (check_rules(rows, rules), check_rules(rows, rules, allocated=allocated)):
        told = table[(table["finding"] == "unallocated").to_numpy()].published()["cost"].iloc[0]
        assert told == shown["unallocated"]
        keys = table[[o == "api_key_id" for o in table["other"]]].published()["cost"]
        assert sum(keys) == shown["unallocated"]


def test_every_dimension_gets_suggestions_for_what_only_it_lacks(frame_of):
    rows = frame_of([
        {"api_key_id": "k", "cost": D(8)}, {"tags": {"team": "a"}, "cost": D(5)}, {"tags": {"team": "b"}, "cost": D(2)},
    ])  # fmt: skip
    table = check_rules(rows, {"dimensions": {"team": {}, "cc": {}}, "rules": [TAGGED]})
    assert found(table, "unallocated") == [(None, "cc", D(15)), (None, "team", D(8))]
    hints = table[(table["finding"] == "suggestion").to_numpy()]
    hints = list(zip(hints["other"], hints["value"], hints["cost"], strict=True))
    assert hints == sorted(hints, key=lambda h: -h[2])
    assert ("api_key_id", "k", D(8)) in hints
    assert ("team", "a", D(5)) in hints  # its team is known, so its cost centre can follow from that
    assert ("team", "unallocated", D(8)) not in hints


def test_shared_cost_that_nobody_receives_is_told(frame_of):
    shared = [
        {"name": "left", "when": {"team": "it"}, "dimension": "team", "method": "proportional", "to": ["nobody"]},
        {"name": "dead", "when": {"team": "gone"}, "dimension": "team", "method": "even", "to": ["a"]},
        {"name": "done", "when": {"api_key_id": "k"}, "dimension": "team", "method": "even", "to": ["a", "b"]},
    ]
    rows = frame_of([{"tags": {"team": "it"}, "cost": D(3)}, {"api_key_id": "k", "tags": {"team": "a"}, "cost": D(4)}])
    table = check_rules(rows, {"dimensions": {"team": {}}, "rules": [TAGGED], "shared": shared})
    assert found(table, "not divided") == [("left", "team", D(3))]
    assert found(table, "never matches") == [("dead", None, None)]


def test_why_goes_down_to_source_rows(frame_of):
    shared = [{"name": "split", "when": {"team": "it"}, "dimension": "team", "method": "even", "to": ["a", "b"]}]
    rules = fa.Rules.load({"dimensions": {"team": {}}, "rules": [TAGGED], "shared": shared})
    rows = frame_of([
        {"tags": {"team": "a"}, "cost": D(1)}, {"tags": {"team": "it", "app": "x"}, "cost": D(6)}, {"tags": {"team": "b"}, "cost": D(9)},
    ])  # fmt: skip
    allocated = fa.allocate(rows, rules)
    table = why(allocated, {"team": "a"}, rules, rows=True)
    # half of the shared row's 6, then the own row
    assert list(zip(table["request_id"], table["share"], table["cost"], table["rule"], strict=True)) == [
        ("1", D("0.5"), D(3), "tag + split"),
        ("0", D(1), D(1), "tag"),
    ]
    assert """Rule 'split': when {"team": "it"}.""" in table.facts.notes
    assert sum(why(allocated, {"team": "a", "tags.app": "x"})["cost"]) == 3
    with pytest.raises(FrameError, match=r"no column 'teem'\. Did you mean 'team'"):
        why(allocated, {"teem": "a"})
