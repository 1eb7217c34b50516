"""On the sample company allocation finds the truth: every mapped team, the shared key, what nobody claims."""

from __future__ import annotations

from decimal import Decimal

import pytest

import finops_ai as fa

D = Decimal
GATEWAY = {
    "name": "gateway log", "when": {"team": "shared"}, "dimension": "team", "method": "telemetry", "metric": "tokens",
    "receiver": {"team": "tags.team", "product": "tags.product", "prompt_id": "prompt_id"}, "match": ["api_key_id", "model", "meter"],
}  # fmt: skip


@pytest.fixture(scope="module")
def allocated():
    rules = fa.sample.rules()
    rules = {k: v for k, v in rules.items() if k != "shared"} | {"shared": [GATEWAY]}
    return fa.allocate(fa.price(fa.sample(months=3)), rules, telemetry=fa.sample.telemetry(months=3))


def totals(keys, values):
    out = {}
    for key, value in zip(keys, values, strict=True):
        out[key] = out.get(key, D(0)) + (D(value) if value == value and value is not None else D(0))
    return out


def with_owner(found):
    """Idle provisioned units are told apart as `idle`; in truth they are the mobile team's."""
    found = dict(found)
    found["mobile"] += found.pop("idle", D(0))
    return found


@pytest.fixture(scope="module")
def truth():
    return fa.sample.slices(months=3)


def test_every_team_gets_its_true_tokens_and_cost_and_the_rest_is_unallocated(allocated, truth):
    # planted: nobody's key in the default project, and untagged calls in the sandbox account
    owner = truth["team"].where(~truth["workload"].isin(["unclaimed-scripts", "sandbox-claude"]), "unallocated")
    meters = ["input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning"]
    found = with_owner(totals(allocated["team"], allocated["quantity"].where(allocated["meter"].isin(meters), D(0))))
    expected = totals(owner, truth[meters].sum(axis=1).map(int))
    assert found.keys() == expected.keys()
    assert all(
        abs(found[t] - expected[t]) < D("0.01") for t in expected
    )  # the shared key's tokens are divided to 10^-6
    assert found["unallocated"] == expected["unallocated"]
    # cost, for the providers that the price book and the sample price alike
    own, true = (totals(f["provider"], f["list_cost"]) for f in (allocated, truth))
    alike = [p for p in true if abs(own[p] - true[p]) < D("0.000001")]
    assert len(alike) >= 4
    mine, theirs = allocated["provider"].isin(alike).to_numpy(), truth["provider"].isin(alike).to_numpy()
    found = with_owner(totals(allocated["team"][mine], allocated["list_cost"][mine]))
    expected = totals(owner[theirs], truth["list_cost"][theirs])
    assert found.keys() == expected.keys()
    for team, cost in expected.items():
        assert abs(found[team] - cost) < D("0.000001"), team
    assert found["unallocated"] == expected["unallocated"]


def test_the_shared_key_is_split_within_one_percent(allocated, truth):
    shared = allocated[(allocated["api_key_id"] == "key_gateway_shared").to_numpy()]
    found = totals(shared["team"], shared["list_cost"])
    mine = truth[truth["gateway"].to_numpy()]
    expected = totals(mine["team"], mine["list_cost"])
    assert found.keys() == expected.keys()
    for team, cost in expected.items():
        assert abs(found[team] / cost - 1) < D("0.01")


def test_bridge_names_the_planted_cause_of_the_last_week(allocated):
    start = allocated["charge_period_start"]
    team = (allocated["team"] == "support").to_numpy()
    before = allocated[team & ((start >= "2026-10-11") & (start < "2026-10-18")).to_numpy()]
    after = allocated[team & (start >= "2026-10-25").to_numpy()]
    row = fa.explain(before, after).iloc[0]
    assert row["after"] > 2 * row["before"]
    assert row["model"] > row["volume"]  # the switch to a model at twice the price
    assert row["input_length"] > 0  # the prompt that grew by half


def test_the_spike_is_the_first_anomaly_of_october(allocated):
    table = fa.anomalies(allocated, ["team"])
    october = table[[u.month == 10 for u in table["until"]]]
    assert october.iloc[0]["team"] == "support"
    assert str(october.iloc[0]["since"]) == "2026-10-25"
