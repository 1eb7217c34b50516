"""Whatever the rules: every row gets what a reader of the rules would give it, nothing is lost, twice is as once."""

from __future__ import annotations

import os
import re
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import finops_ai as fa
from finops_ai.engine.allocating import totals

D = Decimal
MANY = int(os.environ.get("FINOPS_AI_EXAMPLES", "1"))


# ---- rules against a reader of them

KEYS, TAGS, MODELS = (
    ["k1", "k2", "K1", None],
    [None, {"env": "prod"}, {"env": "dev", "app": "k1"}, {"app": ""}],
    ["gpt-5", "opus"],
)
GRID = [
    {"api_key_id": k, "tags": t, "model": m, "cost": D(1), "temperature": x}
    for k in KEYS for t in TAGS for m in MODELS for x in (None, 0.5)
]  # fmt: skip
FIELDS = st.sampled_from(["api_key_id", "tags.env", "tags.app", "model"])
TESTS = st.one_of(
    st.sampled_from(["k1", "prod", "", "opus"]),
    st.lists(st.sampled_from(["k1", "k2", "dev", "gpt-5"]), min_size=1, max_size=3),
    st.fixed_dictionaries({"prefix": st.sampled_from(["k", "K", "gpt", "pr"])}),
    st.fixed_dictionaries({"regex": st.sampled_from(["^k", "(?i)k1$", "[pd]", r"\d"])}),
    st.fixed_dictionaries({"exists": st.booleans()}),
)
LEAVES = st.one_of(
    st.dictionaries(FIELDS, TESTS, max_size=2), st.sampled_from([{"temperature": {"below": 1}}, {"temperature": {"at_least": 1}}])
)  # fmt: skip
WHEN = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.fixed_dictionaries({"any": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"all": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"not": inner}),
    ),
    max_leaves=5,
)
SET = st.dictionaries(
    st.sampled_from(["team", "product"]), st.sampled_from(["a", "b", "{tags.env}", "{api_key_id}-x"]), min_size=1
)


def field_of(row, name):
    return (row["tags"] or {}).get(name[5:]) if name.startswith("tags.") else row.get(name)


def meets(row, when):
    """The condition, read as its documentation reads; a missing value meets no test."""
    for key, test in when.items():
        if key in ("any", "all"):
            if not {"any": any, "all": all}[key](meets(row, w) for w in test):
                return False
        elif key == "not":
            if meets(row, test):
                return False
        else:
            value = field_of(row, key)
            test = test if isinstance(test, dict) else {"in": test if isinstance(test, list) else [test]}
            for op, operand in test.items():
                holds = {
                    "in": lambda v, o: v in o, "prefix": lambda v, o: v.startswith(o), "below": lambda v, o: v < o,
                    "regex": lambda v, o: re.search(o, v) is not None, "at_least": lambda v, o: v >= o,
                }  # fmt: skip
                if op == "exists":
                    if (value is not None) != operand:
                        return False
                elif value is None or not holds[op](value, operand):
                    return False
    return True


def mapped(row, rules):
    """Dimensions and rule of a row: per dimension, the first rule that holds and whose inserts exist."""
    out, names = {}, []
    for rule in rules:
        if not meets(row, rule["when"]):
            continue
        for dimension, text in rule["set"].items():
            inserts = re.findall(r"\{(.*?)\}", text)
            if dimension not in out and all(field_of(row, f) for f in inserts):
                out[dimension] = re.sub(r"\{(.*?)\}", lambda m: field_of(row, m[1]), text)
                names.append(rule["name"])
    return out.get("team", "unallocated"), out.get("product", "none"), set(names) or {"default"}


@settings(max_examples=7 * MANY, deadline=None, suppress_health_check=list(HealthCheck))
@given(pairs=st.lists(st.tuples(WHEN, SET), max_size=5))
def test_rules_mean_what_they_say(pairs, frame_of):
    rules = [{"name": f"r{i}", "when": when, "set": values} for i, (when, values) in enumerate(pairs)]
    dimensions = {"team": {}, "product": {"default": "none"}}
    out = fa.allocate(frame_of(GRID), {"dimensions": dimensions, "rules": rules})
    got = [(t, p, set(r.split(" + "))) for t, p, r in zip(out["team"], out["product"], out["rule"], strict=True)]
    assert got == [mapped(row, rules) for row in GRID]


# ---- cascades of shared costs over credits, unknown prices, currencies, accounts and months

TEAMS = ["a", "b", "shared", "it", "lab"]
COSTS = st.one_of(
    st.none(), st.integers(-(10**20), 10**20).map(lambda n: D(n).scaleb(-18)), st.integers(-50, 10**9).map(D)
)
ROWS = st.lists(
    st.fixed_dictionaries({
        "api_key_id": st.sampled_from([*TEAMS, None]), "cost": COSTS, "quantity": st.integers(0, 10**9).map(lambda n: D(n) / 1000),
        "provider": st.sampled_from(["openai", "bedrock"]), "billing_account_id": st.sampled_from(["x", "y"]),
        "pricing_currency": st.sampled_from(["USD", "EUR"]), "meter": st.sampled_from(["input", "output", "requests"]),
        "day": st.integers(0, 60),
    }), min_size=1, max_size=20)  # fmt: skip
METHODS = st.one_of(
    st.just({"method": "even", "to": ["a", "b"]}),
    st.just({"method": "fixed", "shares": {"a": "0.3", "b": "0.7"}}),
    st.just({"method": "fixed", "shares": {"a": "1"}}),
    st.builds(
        lambda metric, per, to: {"method": "proportional", "metric": metric, "per": per} | to,
        st.sampled_from(["cost", "tokens", "requests"]), st.sampled_from(["month", "day"]), st.sampled_from([{}, {"to": ["a"]}]),
    ),
    st.builds(
        lambda top, metric: {
            "method": "tiered", "to": ["a", "b"], "tiers": [{"up_to": top, "method": "even"}, {"metric": metric}],
        },
        st.integers(1, 10**6), st.sampled_from(["cost", "tokens"]),
    ),
    st.sampled_from([{"method": "telemetry"}, {"method": "telemetry", "metric": "tokens", "match": ["meter"]}]),
)  # fmt: skip
CASCADES = st.lists(METHODS, min_size=1, max_size=3).map(
    lambda methods: [
        {"name": f"{team} goes", "when": {"team": team}, "dimension": "team"} | method
        for team, method in zip(["shared", "it", "lab"], methods, strict=False)
    ]
)
SEEN = [
    {"meter": meter, "quantity": D(q), "tags": {"team": team} if team else None, "day": day}
    for meter in ("requests", "input") for q, team, day in ((3, "a", 3), (1, "b", 3), (2, None, 40), (5, "b", 41))
]  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("timezone", ["UTC", "America/New_York"])
@settings(max_examples=3 * MANY, deadline=None, suppress_health_check=list(HealthCheck))
@given(rows=ROWS, cascade=CASCADES)
def test_cascades_lose_nothing_attribute_every_row_once_and_settle(rows, cascade, timezone, frame_of):
    mapping = [{"name": t, "when": {"api_key_id": t}, "set": {"team": t}} for t in TEAMS]
    rules = {"dimensions": {"team": {}}, "rules": mapping, "shared": cascade}
    priced, seen = frame_of(rows), frame_of(SEEN)
    out = fa.allocate(priced, rules, telemetry=seen, timezone=timezone)
    assert totals(out) == totals(priced)
    shares = dict.fromkeys(priced["request_id"], D(0))
    for request, share in zip(out["request_id"], out["share"], strict=True):
        assert 0 < share <= 1
        shares[request] += share
    assert set(shares.values()) == {D(1)}
    assert out["team"].notna().all()
    assert out["effective_cost"].isna().sum() >= priced["effective_cost"].isna().sum()  # unknown stays unknown
    again = fa.allocate(out, rules, telemetry=seen, timezone=timezone)
    assert again.astype(str).equals(out.astype(str))
