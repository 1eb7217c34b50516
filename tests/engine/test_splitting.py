"""Shared costs: exact to the last digit, whatever the split; planted faults are caught."""

from __future__ import annotations

import datetime as dt
import os
from decimal import Decimal, localcontext
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


def test_what_an_earlier_entry_gave_is_not_set_again(tokens_of, book):
    document = rules(
        entry(name="first", when={"product": "common"}, dimension="product", method="even", to=["p", "q"]),
        entry(method="even", to=["a", "b"]),
    )
    document["dimensions"] = {"team": {}, "product": {}}
    document["rules"] = [
        *KEYS,
        {"name": "common", "when": {"api_key_id": "shared"}, "set": {"product": "common"}},
        {"name": "own", "set": {"product": "{team}-own"}},
    ]
    out = fa.allocate(fa.price(tokens_of(rows(shared=8)), book), document)
    # 8 tokens: product p and q have 4 each, and of each team a and b 2; the team doesn't decide the product again
    got = sorted(zip(out["team"], out["product"], out["quantity"], strict=True))
    assert got == [("a", "p", 2), ("a", "q", 2), ("b", "p", 2), ("b", "q", 2)]


TIERED = entry(method="tiered", to=["a", "b"], tiers=[{"up_to": 4, "method": "even"}, {"method": "proportional"}])


@pytest.mark.parametrize(
    ("amounts", "expected"),
    [
        # the first 4 of 10 even, the other 6 by 3:1
        ([10], {"a": 3 + 2 + D("4.5"), "b": 1 + 2 + D("1.5")}),
        # a credit is sliced by its size
        ([-10], {"a": 3 - 2 - D("4.5"), "b": 1 - 2 - D("1.5")}),
        # charge and credit cancel: a pool of nothing is in the first slice, even
        ([10, -10], {"a": D(3), "b": D(1)}),
        # unknown cost adds nothing, its quantity goes with the slices of what is known
        ([10, None], {"a": 3 + 2 + D("4.5"), "b": 1 + 2 + D("1.5")}),
        ([None], {"a": D(3), "b": D(1)}),
    ],
)
def test_tiers_of_charges_credits_and_nothing(amounts, expected, frame_of):
    owned = [{"api_key_id": "a", "cost": D(3)}, {"api_key_id": "b", "cost": D(1)}]
    out = fa.allocate(frame_of([*owned, *({"api_key_id": "shared", "cost": x} for x in amounts)]), rules(TIERED))
    assert by_team(out.fillna({"effective_cost": D(0)}), "effective_cost") == expected


def test_tokens_weigh_alike_in_every_currency_cost_only_in_its_own(frame_of):
    given = [
        {"api_key_id": "shared", "cost": D(10)}, {"api_key_id": "a", "cost": D(1), "quantity": D(300)},
        {"api_key_id": "b", "cost": D(9), "quantity": D(100), "pricing_currency": "EUR"},
    ]  # fmt: skip
    for metric, expected in {"tokens": {"a": D("8.5"), "b": D("2.5")}, "cost": {"a": D(11)}}.items():
        out = fa.allocate(frame_of(given), rules(entry(method="proportional", metric=metric)))
        assert by_team(out[(out["pricing_currency"] == "USD").to_numpy()], "effective_cost") == expected


def test_a_value_whose_cost_is_divided_receives_none_of_it(frame_of):
    # only the calls to x are shared; what the team `shared` keeps is no reason to give it any: 10 by 3:1 to a and b
    given = [
        {"api_key_id": k, "cost": D(c), "model": m}
        for k, c, m in (("shared", 10, "x"), ("shared", 6, "y"), ("a", 3, "y"), ("b", 1, "y"))
    ]
    out = fa.allocate(frame_of(given), rules(entry(when={"team": "shared", "model": "x"}, method="proportional")))
    assert by_team(out, "effective_cost") == {"a": D("10.5"), "b": D("3.5"), "shared": D(6)}


def test_months_and_validity_are_those_of_the_reporting_zone(frame_of):
    # 30 September 22:30 in UTC is 1 October in Berlin: one month with b's rows there, another in UTC
    given = [{"api_key_id": k, "cost": D(c), "day": d} for k, c, d in (("shared", 10, 29), ("a", 1, 29), ("b", 3, 40))]
    frame = frame_of(given)
    frame["charge_period_start"] += dt.timedelta(hours=10, minutes=30)
    split = rules(entry(method="proportional"))
    assert by_team(fa.allocate(frame, split), "effective_cost") == {"a": D(11), "b": D(3)}
    berlin = fa.allocate(frame, split, timezone="Europe/Berlin")  # 10 by 1:3
    assert by_team(berlin, "effective_cost") == {"a": D("3.5"), "b": D("10.5")}
    moved = [{"k": "a", "cc": "old", "valid_to": "2026-10-01"}, {"k": "a", "cc": "new", "valid_from": "2026-10-01"}]
    document = {
        "dimensions": {"team": {}}, "lookups": {"people": {"key": "k", "on": "api_key_id", "rows": moved}},
        "rules": [{"name": "moved", "set": {"team": "{people.cc}"}}],
    }  # fmt: skip
    for timezone, team in {"UTC": "old", "Europe/Berlin": "new", "America/New_York": "old"}.items():
        assert fa.allocate(frame, document, timezone=timezone)["team"].to_list()[1] == team


def test_calls_the_telemetry_cannot_tell_stay_unallocated(frame_of):
    seen = frame_of(
        {"meter": "requests", "quantity": D(q), "tags": tags}
        for q, tags in ((3, {"team": "a", "app": "x"}), (1, {"team": "b"}), (1, {"app": "x"}))
    )
    given = frame_of([{"api_key_id": "shared", "cost": D(16), "prompt_id": "own"}])
    receiver = {"team": "tags.team", "prompt_id": "prompt_id"}
    out = fa.allocate(given, rules(entry(method="telemetry", receiver=receiver)), telemetry=seen)
    assert by_team(out, "effective_cost") == {"a": D("9.6"), "b": D("3.2"), "unallocated": D("3.2")}
    assert set(out["prompt_id"]) == {"own"}  # which the telemetry doesn't tell either
    out = fa.allocate(
        frame_of([{"api_key_id": "shared", "cost": D(16), "tags": {"app": "x"}}]),
        rules(entry(method="telemetry", match=["tags.app"])),
        telemetry=seen,
    )
    assert by_team(out, "effective_cost") == {"a": D(12), "unallocated": D(4)}  # of the app's 4 calls, 3 and 1


def test_rows_of_any_size_divide_exactly(frame_of):
    whole = D("9999999999999999999.999999999999999999")  # 37 of the 38 digits of a cost
    for cost in (whole, -whole, D("1E-18"), D("-1E-18")):
        out = fa.allocate(
            frame_of([{"api_key_id": k, "cost": c} for k, c in (("shared", cost), ("a", D(1)), ("b", D(2)))]),
            rules(entry(method="proportional")),
        )
        with localcontext(prec=60):
            assert sum(out["effective_cost"]) == cost + 3


def test_frames_without_optional_columns_are_divided_too(frame_of):
    bare = frame_of([{"api_key_id": k, "quantity": D(q)} for k, q in (("shared", 10), ("a", 3), ("b", 1))])
    bare = bare[["charge_period_start", "provider", "model", "meter", "quantity", "api_key_id"]]
    split = entry(
        method="proportional", metric="tokens", when={"team": "shared", "not": {"region": "x", "tags.y": "z"}}
    )
    assert by_team(fa.allocate(bare, rules(split)), "quantity") == {"a": D("10.5"), "b": D("3.5")}
    # by cost nobody weighs anything, so the row stays
    left = fa.allocate(bare, rules(entry(method="proportional")))
    assert by_team(left, "quantity") == {"shared": D(10), "a": D(3), "b": D(1)}


@settings(max_examples=60 * MANY, deadline=None)
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


@settings(max_examples=5 * MANY, deadline=None, suppress_health_check=list(HealthCheck))
@given(rows=ROWS, split=SPLITS)
@pytest.mark.long
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


def test_circles_are_refused_whatever_column_the_condition_names():
    by_key = {"api_key_id": "shared"}  # which a rule maps to team "shared"
    with pytest.raises(RuleError, match="gives to 'shared', whose own cost it distributes"):
        fa.Rules.load(rules(entry(when=by_key, method="even", to=["shared", "a"])))
    there = entry(when=by_key, method="even", to=["it"])
    back = entry(name="back", when={"team": "it"}, method="even", to=["shared", "a"])
    with pytest.raises(RuleError, match="a cycle: shared 'back' gives to 'shared'"):
        fa.Rules.load(rules(there, back))
    for when in ({"api_key_id": ["shared", "x"]}, {"api_key_id": {"prefix": "sha"}}, {"api_key_id": {"regex": "^sh"}}):
        with pytest.raises(RuleError, match="whose own cost it distributes"):
            fa.Rules.load(rules(entry(when=when, method="fixed", shares={"shared": "0.5", "a": "0.5"})))
    fa.Rules.load(rules(entry(when=by_key, method="even", to=["a", "b"])))  # rows of another key aren't concerned


def test_circles_through_a_level_above_are_refused():
    """The department's cost is given to one of its own teams, whether a rule, a hierarchy or a look-up tells the department."""
    split = entry(when={"department": "Product"}, method="even", to=["a", "b"])
    by_rule = rules(split) | {"dimensions": {"team": {}, "department": {}}}
    by_rule["rules"] = [*KEYS, {"name": "d", "when": {"team": ["a", "c"]}, "set": {"department": "Product"}}]
    by_level = rules(split) | {
        "dimensions": {"team": {}, "department": {"of": "team", "values": {"Product": ["a", "c"]}}}
    }
    by_lookup = by_rule | {
        "lookups": {
            "teams": {
                "key": "team",
                "rows": [{"team": t, "department": d} for t, d in (("a", "Product"), ("b", "Law"))],
            }
        }
    }
    by_lookup["rules"] = [*KEYS, {"name": "d", "set": {"department": "{teams.department}"}}]
    for document in (by_rule, by_level, by_lookup):
        with pytest.raises(RuleError, match="gives to 'a', whose own cost it distributes"):
            fa.Rules.load(document)
        fa.Rules.load(document | {"shared": [split | {"to": ["b"]}]})  # of another department


def test_telemetry_of_other_work_divides_nothing(tokens_of, book, caplog):
    seen = tokens_of([{"quantity": 3, "tags": {"team": "a"}, "model": "big", "source": "gateway"}])
    priced = fa.price(tokens_of([{"api_key_id": "shared", "quantity": 100}]), book)
    out = fa.allocate(
        priced, rules(entry(method="telemetry", metric="tokens", match=["model", "meter"])), telemetry=seen
    )
    assert by_team(out, "quantity") == {"shared": D(100)}
    assert (
        "1 rows of shared cost 'split' are not divided: the telemetry saw nothing of the same model, meter"
        in caplog.text
    )


@pytest.mark.long
def test_pieces_of_one_row_for_one_receiver_are_put_together(tokens_of, book):
    """Ten stages that each keep a half and pass a half on to two pools that meet again: without merging 2^10 pieces."""
    keys = [{"name": "all", "set": {"team": "p0"}}]
    stages = []
    for n in range(10):
        stages += [
            entry(name=f"out {n}", when={"team": f"p{n}"}, method="even", to=[f"x{n}", f"y{n}"]),
            entry(name=f"x {n}", when={"team": f"x{n}"}, method="even", to=["a", f"p{n + 1}"]),
            entry(name=f"y {n}", when={"team": f"y{n}"}, method="even", to=["b", f"p{n + 1}"]),
        ]
    document = {"dimensions": {"team": {}}, "rules": keys, "shared": stages}
    priced = fa.price(tokens_of([{"quantity": 1024}, {"quantity": 2048}]), book)
    out = fa.allocate(priced, document)
    # a and b get a quarter, then an eighth of it, ...: 512 less what is left, 1 of 1024 for p10, and twice that
    assert by_team(out, "quantity") == {"a": D("1534.5"), "b": D("1534.5"), "p10": D(3)}
    assert len(out) == 6
    assert out["rule"][0].startswith("all + out 0 + x 0")
    assert sum(out["share"], D(0)) == 2


def test_an_expression_that_never_ends_elsewhere_does_here():
    slow = {"team": {"regex": "^(a+)+$"}}
    fa.Rules.load(rules(entry(when=slow, method="even", to=["a" * 40 + "b", "b"])))


@pytest.mark.long
def test_a_long_cascade_gives_what_fractions_give(frame_of):
    """Twenty pools, each keeping 9 of 10 for the next: what the last team gets is the product of all shares."""
    stages = [
        entry(name=f"s{n}", when={"team": f"p{n}"}, method="fixed", shares={f"t{n}": "0.1", f"p{n + 1}": "0.9"})
        for n in range(20)
    ]
    document = {"dimensions": {"team": {}}, "rules": [{"name": "all", "set": {"team": "p0"}}], "shared": stages}
    given = [{"cost": D(cost), "request_id": str(n)} for n, cost in enumerate((1000, "-0.03", "123456.789"))]
    out = fa.allocate(frame_of(given), document)
    for n, cost in enumerate((Fraction(1000), Fraction("-0.03"), Fraction("123456.789"))):
        mine = out[(out["request_id"] == str(n)).to_numpy()]
        assert sum(mine["effective_cost"]) == D(cost.numerator) / D(cost.denominator)
        assert sum(mine["share"]) == 1
        got = dict(zip(mine["team"], mine["effective_cost"], strict=True))
        for stage in range(20):
            expected = cost * Fraction(9, 10) ** stage / 10
            assert abs(Fraction(got[f"t{stage}"]) - expected) <= abs(cost) * Fraction(25, 10**18) + Fraction(1, 10**18)


def test_who_gets_less_than_any_digit_has_none_of_it(frame_of):
    stages = [
        entry(name=f"s{n}", when={"team": f"p{n}"}, method="fixed", shares={f"t{n}": "0.99", f"p{n + 1}": "0.01"})
        for n in range(12)
    ]
    document = {"dimensions": {"team": {}}, "rules": [{"name": "all", "set": {"team": "p0"}}], "shared": stages}
    out = fa.allocate(frame_of([{"cost": D(5)}]), document)
    assert list(out["team"]) == [f"t{n}" for n in range(10)]  # 0.01^9 is one unit of a part, which only one receives
    assert sum(out["effective_cost"]) == 5


@pytest.mark.long
@pytest.mark.parametrize("many", [30, 300])
def test_rows_laid_out_by_receiver_say_what_rows_say(many, frame_of):
    """300 rows of one kind are laid out receiver by receiver, 30 row by row: the same rows either way."""
    given = [
        {
            "api_key_id": k,
            "cost": D(n * 7 + 1) / 1000,
            "request_id": f"{k}{n}",
            "quantity": D(n),
            "prompt_id": f"p{n % 7}",
        }
        for n in range(many)
        for k in ("shared", "a")
    ]
    frame = frame_of(given)
    frame["effective_cost"] = frame["effective_cost"].where(frame["request_id"] != "shared3")  # one unknown cost
    out = fa.allocate(frame, rules(entry(method="fixed", shares={"a": "0.25", "b": "0.75"})))
    assert len(out) == 3 * many
    assert list(out["request_id"][out["share"].eq(1).to_numpy()]) == [f"a{n}" for n in range(many)]
    for n in range(many):
        mine = out[(out["request_id"] == f"shared{n}").to_numpy()]
        known = n != 3
        assert list(mine["team"]) == ["a", "b"]
        assert list(mine["effective_cost"].fillna(D(-1))) == (
            [D(n * 7 + 1) / 4000, D(n * 7 + 1) * 3 / 4000] if known else [-1, -1]
        )
        assert list(mine["quantity"]) == [D(n) / 4, D(n) * 3 / 4]
        assert set(mine["prompt_id"]) == {f"p{n % 7}"}
        assert set(mine["rule"]) == {"shared + split"}
    assert set(out["share"]) == {D(1), D("0.25"), D("0.75")}


def test_a_condition_on_an_amount_is_met_by_each_rows_own(frame_of):
    given = [{"api_key_id": "shared", "cost": D(c)} for c in (10, 1, 10, 2)]
    out = fa.allocate(frame_of(given), rules(entry(when={"team": "shared", "effective_cost": {"at_least": 5}}, method="even", to=["a", "b"])))  # fmt: skip
    assert by_team(out, "effective_cost") == {"a": D(10), "b": D(10), "shared": D(3)}


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        # prod's 10 by prod's 3:1, test's 6 by test's 1:2; what runs nowhere has nobody to weigh by and stays
        (entry(method="proportional", match=["env"]), {"a": D("7.5") + 2, "b": D("2.5") + 4, "shared": D(5)}),
        # by cost in euros and dollars alike it is the same; by tags too
        (entry(method="proportional", match=["tags.env"], metric="tokens"), {"a": D("7.5") + 2, "b": D("2.5") + 4, "shared": D(5)}),
        # of each environment the first 4 are even, the rest proportional: prod 2+2 and 6 by 3:1, test 2+2 and 2 by 1:2
        (
            entry(method="tiered", match=["env"], to=["a", "b"], tiers=[{"up_to": 4, "method": "even"}, {"metric": "tokens"}]),
            {"a": 2 + D("4.5") + 2 + D(2) / 3, "b": 2 + D("1.5") + 2 + D(4) / 3, "shared": D(5)},
        ),
    ],
)  # fmt: skip
def test_within_each_environment(split, expected, frame_of):
    given = [
        ("shared", "prod", 10), ("shared", "test", 6), ("shared", "nowhere", 5),
        ("a", "prod", 3), ("b", "prod", 1), ("a", "test", 1), ("b", "test", 2),
    ]  # fmt: skip
    frame = frame_of(
        {"api_key_id": k, "cost": D(c), "quantity": D(c), "tags": {"env": e}, "request_id": f"{k}{e}"}
        for k, e, c in given
    )
    document = rules(split)
    document["dimensions"] = {"team": {}, "env": {}}
    document["rules"] = [*KEYS, {"name": "env", "set": {"env": "{tags.env}"}}]
    out = fa.allocate(frame, document)
    mine = by_team(out[(out["request_id"].str.startswith("shared")).to_numpy()], "effective_cost")
    assert mine.keys() == expected.keys()
    for team, cost in expected.items():
        assert abs(mine[team] - cost) < D("1e-11")  # parts are of 10^12
    assert sum(out["effective_cost"]) == 28


def test_telemetry_tells_the_receiver_through_a_lookup(frame_of):
    """u1 is a's until day 3, then b's; u9 is nobody's: of the shared 8, by 4 calls, 2 each to a and b and 4 to nobody."""
    people = [
        {"who": "u1", "team": "a", "valid_to": "2026-09-04"},
        {"who": "u1", "team": "b", "valid_from": "2026-09-04"},
    ]
    seen = frame_of(
        {"meter": "requests", "quantity": D(1), "user_id": u, "day": d}
        for u, d in (("u1", 1), ("u1", 5), ("u9", 1), ("u9", 5))
    )
    days = sorted(set(seen["charge_period_start"]))
    people[0]["valid_to"] = people[1]["valid_from"] = f"{days[1]:%Y-%m-%d}"
    document = rules(entry(method="telemetry", receiver={"team": "people.team"}, per="month"))
    document["lookups"] = {"people": {"key": "who", "on": "user_id", "rows": people}}
    out = fa.allocate(frame_of([{"api_key_id": "shared", "cost": D(8), "day": 3}]), document, telemetry=seen)
    assert by_team(out, "effective_cost") == {"a": D(2), "b": D(2), "unallocated": D(4)}
    document["lookups"]["people"]["on"] = "team"  # a dimension isn't known of a call
    with pytest.raises(RuleError, match="or a look-up"):
        fa.Rules.load(document)
