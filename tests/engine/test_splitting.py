"""Shared costs: exact to the last digit, whatever the split; planted faults are caught."""

from __future__ import annotations

import datetime as dt
import os
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import finops_ai as fa
from finops_ai.engine.allocating import check_conserved, totals
from finops_ai.engine.weights import WHOLE, parts
from finops_ai.errors import CheckFailed, RuleError

D = Decimal
#: FINOPS_AI_EXAMPLES=20 tries twenty times as many examples
MANY = int(os.environ.get("FINOPS_AI_EXAMPLES", "1"))
KEYS = [{"name": k, "when": {"api_key_id": k}, "set": {"team": k}} for k in ("a", "b", "c", "shared", "it")]


def rules(*shared):
    return {"dimensions": {"team": {}}, "rules": KEYS, "shared": list(shared)}


def entry(**kwargs):
    return {"name": "split", "when": {"team": "shared"}, "dimension": "team"} | kwargs


def by_team(frame, column="list_cost"):
    out = {}
    for team, value in zip(frame["team"], frame[column], strict=True):
        out[team] = out.get(team, D(0)) + value
    return out


def rows(**quantities):
    return [{"api_key_id": key, "quantity": q} for key, q in quantities.items()]


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        # 10 tokens at 1e-6 = 0.00001 shared; a has 3, b has 1 of their own
        (entry(method="even", to=["a", "c"]), {"a": "0.000008", "b": "0.000001", "c": "0.000005"}),
        (
            entry(method="fixed", shares={"a": "0.25", "c": "0.75"}),
            {"a": "0.0000055", "b": "0.000001", "c": "0.0000075"},
        ),
        (entry(method="proportional"), {"a": "0.0000105", "b": "0.0000035"}),  # 3:1 of 10
        (entry(method="proportional", to=["b"], metric="tokens"), {"a": "0.000003", "b": "0.000011"}),
        # of the effective 0.000009 the first 0.0000036 (4 tokens' worth) even over a and b, the other 6 tokens' 3:1
        (
            entry(
                method="tiered",
                to=["a", "b"],
                tiers=[{"up_to": "0.0000036", "method": "even"}, {"method": "proportional"}],
            ),
            {"a": "0.0000095", "b": "0.0000045"},
        ),
    ],
)
def test_methods_by_hand(tokens_of, book, split, expected):
    priced = fa.price(tokens_of(rows(a=3, b=1, shared=10)), book)
    out = fa.allocate(priced, rules(split))
    assert by_team(out) == {k: D(v) for k, v in expected.items()}
    assert set(out.loc[out["share"] != 1, "rule"]) <= {"shared + split"}


def test_cascade_runs_in_declared_order(tokens_of, book):
    it = {"name": "it", "when": {"team": "it"}, "dimension": "team", "method": "even", "to": ["shared", "a"]}
    priced = fa.price(tokens_of(rows(a=2, it=4, shared=2)), book)
    # it: 2 to shared, 2 to a; then shared has 4, all to b
    out = fa.allocate(priced, rules(it, entry(method="even", to=["b"])))
    assert by_team(out) == {"a": D("0.000004"), "b": D("0.000004")}
    # the other way round shared's 2 go to b first, and what it gives to shared stays there: order is declared, not guessed
    with pytest.raises(RuleError, match="cycle"):
        fa.allocate(priced, rules(entry(method="even", to=["b"]), it))


def test_telemetry_split_by_day_and_model_else_by_month_else_not(tokens_of, book, caplog):
    def at(d, m=10):
        return dt.datetime(2026, m, d, tzinfo=dt.UTC)

    tokens = tokens_of(
        [{"api_key_id": "shared", "quantity": 100, "at": at(d)} for d in (1, 2)]
        + [{"api_key_id": "shared", "quantity": 100, "at": at(1, 9)}]
    )
    seen = tokens_of([
        {"quantity": 3, "meter": "requests", "tags": {"team": "a"}, "at": at(1), "source": "gateway"},
        {"quantity": 1, "meter": "requests", "tags": {"team": "b"}, "at": at(1), "source": "gateway"},
    ])  # fmt: skip
    priced = fa.price(tokens, book)
    out = fa.allocate(priced, rules(entry(method="telemetry", match=["model"])), telemetry=seen)
    # 1 October by its own telemetry, 2 October by the month's (both 3:1), September had none and stays
    assert by_team(out, "quantity") == {"a": D(150), "b": D(50), "shared": D(100)}
    assert by_team(fa.allocate(priced, rules(entry(method="telemetry"))), "quantity") == {"shared": D(300)}
    assert "is not split: no telemetry" in caplog.text


def test_capacity_leaves_idle_as_its_own_line(tokens_of, book):
    tokens = tokens_of([
        {"model": "big", "meter": "provisioned_hours", "quantity": 24, "service_tier": "provisioned", "resource_id": "ptu", "api_key_id": "shared"},
        {"quantity": 600, "service_tier": "provisioned", "resource_id": "ptu", "api_key_id": "a"},
        {"quantity": 150, "meter": "output", "service_tier": "provisioned", "resource_id": "ptu", "api_key_id": "b"},
    ])  # fmt: skip
    split = entry(method="capacity", match=["resource_id"], tokens_per_hour=100, output_weight=4)
    out = fa.allocate(fa.price(tokens, book), rules(split))
    hours = out[(out["meter"] == "provisioned_hours").to_numpy()]
    # a used 600/100 = 6 hours, b 150 x 4/100 = 6, 12 of 24 are idle
    assert by_team(hours, "quantity") == {"a": D(6), "b": D(6), "idle": D(12)}


def test_dimensions_that_follow_are_set_again(tokens_of, book):
    teams = {"key": "team", "rows": [{"team": "a", "cc": "10"}, {"team": "shared", "cc": "99"}]}
    document = rules(entry(method="even", to=["a"])) | {"lookups": {"teams": teams}}
    document["dimensions"] = {"team": {}, "cc": {}}
    document["rules"] = [*KEYS, {"name": "cc", "set": {"cc": "{teams.cc}"}}]
    out = fa.allocate(fa.price(tokens_of(rows(shared=5)), book), document)
    assert out[["team", "cc"]].to_numpy().tolist() == [["a", "10"]]


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10**15), st.integers(1, 997)), min_size=1, max_size=12))
def test_parts_are_whole_and_complete(weights):
    named = {(str(i),): Fraction(*w) for i, w in enumerate(weights)}
    if not any(named.values()):
        return
    made = parts(named)
    assert sum(made.values()) == WHOLE
    whole = sum(named.values())
    for key, share in made.items():
        assert abs(share - named[key] / whole * WHOLE) <= 1


AMOUNTS = st.integers(0, 10**12).map(lambda n: D(n) / 1000)
SPLITS = st.one_of(
    st.just(entry(method="even", to=["a", "b", "c"])),
    st.just(entry(method="proportional", metric="cost")),
    st.just(entry(method="proportional", metric="tokens", per="day")),
    st.builds(
        lambda n: entry(method="fixed", shares={"a": str(D(n) / 1000), "b": str(1 - D(n) / 1000)}), st.integers(0, 1000)
    ),
    st.builds(
        lambda n: entry(
            method="tiered", to=["a", "b", "c"], tiers=[{"up_to": str(n), "method": "even"}, {"metric": "tokens"}]
        ),
        st.integers(1, 10**6),
    ),
)
ROWS = st.lists(
    st.fixed_dictionaries({
        "api_key_id": st.sampled_from(["a", "b", "c", "shared", "it", None]), "quantity": AMOUNTS,
        "model": st.sampled_from(["small", "big", "nobody"]), "meter": st.sampled_from(["input", "output", "requests"]),
        "billing_account_id": st.sampled_from(["x", "y"]), "provider": st.sampled_from(["openai", "bedrock"]),
        "at": st.integers(0, 60).map(lambda d: dt.datetime(2026, 9, 1, tzinfo=dt.UTC) + dt.timedelta(days=d)),
        "billed_cost": st.integers(-10**6, 10**9).map(lambda n: D(n) / 10**7), "billing_currency": st.just("USD"),
    }), min_size=1, max_size=25)  # fmt: skip


@settings(max_examples=15 * MANY, deadline=None, suppress_health_check=list(HealthCheck))
@given(rows=ROWS, split=SPLITS)
def test_nothing_is_lost_per_provider_account_currency_and_month(rows, split, tokens_of, book):
    priced = fa.price(tokens_of(rows), book)
    out = fa.allocate(priced, rules_of(split))
    assert totals(out) == totals(priced)
    shares = {}
    for request, share in zip(out["request_id"], out["share"], strict=True):
        shares[request] = shares.get(request, D(0)) + share
    assert set(shares.values()) == {D(1)}  # every source row is attributed exactly once
    assert len(shares) == len(rows)
    key = ["request_id", "team", "rule", "share", "quantity"]
    again = fa.allocate(out, rules_of(split))
    assert sorted(again[key].astype(str).to_numpy().tolist()) == sorted(out[key].astype(str).to_numpy().tolist())


rules_of = rules


def test_a_planted_loss_is_caught(tokens_of, book):
    priced = fa.price(tokens_of(rows(a=5, b=7)), book)
    with pytest.raises(CheckFailed, match="did not conserve list_cost for provider openai"):
        check_conserved(priced, priced.iloc[:1], "split")
