"""The bridge: known truths on one workload and inside the whole company, exactness, symmetry, and drivers in words."""

from __future__ import annotations

import datetime as dt
import random
import re
from decimal import Decimal

import pandas as pd
import pyarrow as pa
import pytest

import finops_ai as fa
from finops_ai.errors import DataError, FrameError
from finops_ai.frames import to_pandas
from finops_ai.frames.origin import made_with
from finops_ai.frames.types import COST_TYPE, INSTANT_TYPE, QUANTITY_TYPE
from finops_ai.meters import meters
from finops_ai.prices.currency import Rates
from finops_ai.tables.bridge import EFFECTS

D = Decimal
#: dollars per million of the models in these tests
PRICES = {
    "small": {"input": 1, "cache_read": "0.1", "output": 4, "reasoning": 4},
    "big": {"input": 3, "cache_read": "0.3", "output": 15, "reasoning": 15},
    "other": {"input": 2, "output": 9},
}
CALL = {"input": 1000, "output": 200}


def use(
    calls=100, call=None, *, day=1, month=10, team="a", model="small", tier="standard", prompt="chat@v1", key="k", user=None,
    paid="1", price="1", counted=True, currency="USD", provider="openai", operation="chat",
):  # fmt: skip
    """Rows of one day's calls: `call` is what one call uses by meter, `paid` the part of the list price that is paid."""
    rows = []
    for meter, amount in (({"requests": 1} if counted else {}) | (call or CALL)).items():
        unit = D(PRICES[model].get(meter, 0)) / 10**6 * D(price) * (D("0.5") if tier == "batch" else 1)
        quantity = D(amount) * calls
        rows.append({
            "charge_period_start": dt.datetime(2026, month, day, tzinfo=dt.UTC), "provider": provider, "billing_account_id": "acct",
            "sub_account_id": "s", "model": model, "operation": operation, "meter": meter, "quantity": quantity,
            "unit": meters()[meter].unit, "service_tier": tier, "region": None, "inference_geo": None, "api_key_id": key,
            "user_id": user, "prompt_id": prompt, "list_cost": quantity * unit, "effective_cost": quantity * unit * D(paid),
            "price_status": "listed", "pricing_currency": currency, "team": team,
        })  # fmt: skip
    return rows


def frame(*groups):
    """Rows as a priced frame with the dimension team."""
    rows = [row for group in groups for row in group]
    kinds = {
        "charge_period_start": INSTANT_TYPE,
        "quantity": QUANTITY_TYPE,
        "list_cost": COST_TYPE,
        "effective_cost": COST_TYPE,
    }
    names = list(use()[0])
    table = pa.table({n: pa.array([r[n] for r in rows], kinds.get(n, pa.string())) for n in names})
    return made_with(to_pandas(table), pd.DataFrame(), dimensions=["team"], timezone="UTC")


def effects(before, after, **kwargs):
    """The effects of the whole that aren't 0."""
    row = fa.explain(before, after, **kwargs).iloc[0]
    assert sum((row[e] for e in EFFECTS), D(0)) == row["change"] == row["after"] - row["before"]
    return {e: row[e] for e in EFFECTS if row[e]}


ONE = frame(use())  # 100 calls x (1000 x 1 + 200 x 4) / 10**6 = 0.18


def test_each_change_alone_is_itself():
    # by hand, dollars: 100 calls of 1000 in and 200 out on `small` cost 0.10 + 0.08
    cached = {"input": 400, "cache_read": 600, "output": 200}
    thinking = {"input": 1000, "output": 200, "reasoning": 300}
    for after, expected in [
        (use(150), {"volume": "0.09"}),
        (use(call={"input": 1500, "output": 200}), {"input_length": "0.05"}),
        (use(call={"input": 1000, "output": 100}), {"output_length": "-0.04"}),
        (use(call=thinking), {"reasoning": "0.12"}),
        (use(model="big"), {"model": "0.42"}),  # 0.30 + 0.30 - 0.18
        (use(call=cached), {"cache": "-0.054"}),  # 600 x 100 tokens at 0.1 instead of 1
        (use(tier="batch"), {"tier": "-0.09"}),
        (use(price="0.5"), {"price": "-0.09"}),
        (use(paid="0.8"), {"discount": "-0.036"}),
        (use(prompt="chat@v2"), {}),
        ([*use(), *use(50, team="b", key="k2", prompt="new")], {"who": "0.09"}),
        (use(team="b", key="k2"), {}),  # gone and new in one: below
    ]:
        found = effects(ONE, frame(after))
        assert found == {k: D(v) for k, v in expected.items()}, expected
    rows = pd.DataFrame(fa.explain(ONE, frame(use(team="b", key="k2")), by=["team"])).set_index("team")
    assert (rows.loc["a", "who"], rows.loc["b", "who"]) == (D("-0.18"), D("0.18"))


def test_inside_a_company_each_change_stays_alone():
    rng = random.Random(5)
    rest = [
        row
        for n in range(40)
        for row in use(
            rng.randint(10, 500), {"input": rng.randint(100, 5000), "cache_read": rng.randint(0, 3000), "output": rng.randint(10, 900)},
            team=f"t{n % 7}", key=f"k{n}", prompt=f"p{n}@v1", model=rng.choice(["small", "big"]), tier=rng.choice(["standard", "batch"]),
        )
    ]  # fmt: skip
    assert effects(frame(rest, use()), frame(use(model="big"), rest)) == {"model": D("0.42")}
    assert effects(frame(rest), frame(rest)) == {}
    wanted = fa.explain(frame(rest, use()), frame(use(150), rest), by=["team"])
    assert tuple(wanted[["team", "volume", "change"]].iloc[0]) == ("a", D("0.09"), D("0.09"))
    assert not any(r["change"] for r in wanted.to_dict("records")[1:])


def test_two_changes_at_once_share_what_they_have_in_common():
    # volume x 1.5 alone 0.09, model alone 0.42, both together 0.72: what is beyond the sum, 0.21, is halved
    assert effects(ONE, frame(use(150, model="big"))) == {"volume": D("0.195"), "model": D("0.525")}
    # all calls move to batch while every price falls by half, which others show: 0.18 is 0.09 by either, 0.045 by both
    others = {"team": "b", "key": "k2", "prompt": None, "tier": "batch"}
    before, after = (
        frame(use(), use(10, **others)),
        frame(use(price="0.5", tier="batch"), use(10, price="0.5", **others)),
    )
    mine = fa.explain(before, after, by=["team"]).set_index("team").loc["a"]
    assert (mine["tier"], mine["price"]) == (D("-0.0675"), D("-0.0675"))


def test_what_is_called_as_often_as_before_takes_no_part_in_what_moved():
    # the same beside 70 calls of a third model that stay as they are: they neither grew nor became dearer
    stays = use(70, model="other")
    found = effects(frame(use(), stays), frame(use(150, model="big"), stays))
    assert found == {"volume": D("0.195"), "model": D("0.525")}


def test_a_switch_of_part_of_the_calls_is_no_new_work():
    found = effects(ONE, frame(use(60), use(40, model="big")))
    assert found == {"model": D("0.168")}  # 40 calls at 0.006 instead of 0.0018
    to_another = fa.explain(ONE, frame(use(model="big", provider="anthropic", key="other")), by=["provider"])
    assert {r["provider"]: r["model"] for r in to_another.to_dict("records")} == {
        "openai": D("-0.18"),
        "anthropic": D("0.6"),
    }
    # what was there stays and another model is used on top: more calls, not a switch
    assert effects(ONE, frame(use(), use(10, model="big"))) == {"volume": D("0.06")}


def test_calls_that_one_period_does_not_count_never_divide_the_other_sides_tokens():
    found = effects(frame(use(counted=False)), frame(use(150)))
    assert found == {"volume": D("0.09")}
    assert effects(frame(use(150)), frame(use(counted=False))) == {"volume": D("-0.09")}
    table = fa.explain(frame(use(counted=False)), frame(use(call={"input": 1500, "output": 200})))
    assert table["volume"].iloc[0] == D("0.05")
    assert "aren't counted" in table.facts.notes[0]
    # one day of ten without counts is enough
    some = [row for day in range(1, 11) for row in use(10, day=day, counted=day > 1)]
    assert effects(ONE, frame(some)) == {}


def test_capacity_idle_capacity_fees_and_money_without_quantity():
    def hours(n, operation):
        (row,) = (
            r for r in use(1, {"provisioned_hours": n}, operation=operation, prompt=None) if r["meter"] != "requests"
        )
        return [row | {"list_cost": D(n), "effective_cost": D(n)}]

    fee = [
        use(1, {"input": 0}, prompt=None)[1]
        | {"meter": "unmapped", "quantity": D(0), "unit": "units", "effective_cost": D(5)}
    ]
    before = frame(use(), hours(20, "provisioned"), hours(4, "provisioned_idle"))
    after = frame(use(), hours(18, "provisioned"), hours(9, "provisioned_idle"), fee)
    assert effects(before, after) == {"capacity": D(-2), "idle": D(5), "fees": D(5)}
    assert effects(frame(use()), frame(use(), hours(9, "provisioned_idle"))) == {"idle": D(9)}


def test_currency_is_an_effect_of_its_own():
    rates = Rates("EUR", {"USD": {dt.date(2026, 9, 1): D("1.10"), dt.date(2026, 10, 1): D("1.20")}}, "test")
    before, after = frame(use(month=9, currency="EUR")), frame(use(200, month=10, currency="EUR"))
    assert effects(before, after) == {"volume": D("0.18")}  # told in euros, nothing was converted
    # 0.18 EUR = 0.198 USD, then 0.36 EUR = 0.432 USD: twice the calls, each euro 0.10 dearer
    assert effects(before, after, currency="USD", rates=rates) == {"volume": D("0.207"), "currency": D("0.027")}
    with pytest.raises(DataError, match="rates="):
        fa.explain(before, frame(use(currency="USD")))


# ---- properties


def random_side(rng):
    """A few uses of every kind, some without counts, versions, keys or users."""
    return [
        use(
            rng.randint(1, 500), {"input": rng.randint(0, 4000), "cache_read": rng.randint(0, 4000), "output": rng.randint(0, 900)},
            day=rng.randint(1, 20), team=rng.choice("ab"), model=rng.choice(["small", "big"]), tier=rng.choice(["standard", "batch"]),
            prompt=rng.choice(["chat@v1", "chat@v2", None]), key=rng.choice("kl"), user=rng.choice(["u", "v", None]),
            paid=rng.choice(["1", "0.83"]), price=rng.choice(["1", "0.7"]), counted=rng.random() < 0.8,
        )
        for _ in range(rng.randint(1, 9))
    ]  # fmt: skip


GROUPINGS = [
    [],
    ["team"],
    ["model"],
    ["team", "model"],
    ["prompt_id"],
    ["api_key_id", "meter"],
    ["service_tier"],
    ["user_id"],
    ["user_id", "model"],
]


@pytest.mark.long
@pytest.mark.parametrize("seed", range(8))
def test_every_bridge_is_exact_symmetric_and_the_same_at_every_grain(seed):
    rng = random.Random(seed)
    one, two = random_side(rng), random_side(rng)
    before, after = frame(*one), frame(*two)
    whole = fa.explain(before, after).iloc[0]
    back = fa.explain(after, before).iloc[0]
    for by in GROUPINGS:
        names = {e: f"{e}_mix" if e in by else e for e in EFFECTS}
        rows = fa.explain(before, after, by=by).to_dict("records")
        for row in rows:
            assert sum((row[n] for n in names.values()), D(0)) == row["change"] == row["after"] - row["before"]
        for effect, name in names.items():
            assert sum((row[name] for row in rows), D(0)) == whole[effect], (by, effect)
    assert all(whole[e] == -back[e] for e in EFFECTS)
    # splitting and reordering rows changes nothing
    rows = [row for group in one for row in group]
    halves = [
        row | {c: row[c] / 2 for c in ("quantity", "list_cost", "effective_cost")} for row in rows for _ in (0, 1)
    ]
    rng.shuffle(halves)
    assert pd.DataFrame(fa.explain(frame(halves), after)).equals(pd.DataFrame(fa.explain(before, after)))
    assert not any(fa.explain(before, frame(halves))[[*EFFECTS]].iloc[0])


def test_a_price_that_no_list_knows_is_the_stated_cost_per_unit():
    # by hand: 100 calls cost 0.18; twice the money for a unit is 0.36. Without a list price it may be a discount's as well
    def unlisted(rows):
        return [row | {"list_cost": None} for row in rows]

    told = fa.explain(frame(unlisted(use())), frame(unlisted(use(paid="2"))), by=["team"])
    assert told.iloc[0]["price"] == D("0.18") == told.iloc[0]["change"]
    assert any("+0.180000 by a higher cost per unit, as stated" in note for note in told.facts.notes)
    assert any("no list price is known" in note for note in told.facts.notes)
    assert told.drivers(1)["what"].iloc[0] == "stated_price"
    assert "a higher cost per unit, as stated" in told.drivers(1)["sentence"].iloc[0]
    assert "list price" not in told.drivers(1)["sentence"].iloc[0]
    # with a list price it is the list's, or the discount's; each of two teams by its own
    listed = fa.explain(
        frame(use(), unlisted(use(team="b", key="l"))), frame(use(price="1.25"), unlisted(use(team="b", key="l", paid="0.5")))
    )  # fmt: skip
    said = " ".join(listed.drivers(5)["sentence"])
    assert "higher list prices" in said
    assert "a lower cost per unit, as stated" in said


def test_effects_that_come_together_are_said_to_be_divided():
    # by hand: 0.18 becomes 0.10 x 3 + 0.08 x 3.75 = 0.60 on another model in another region, both for the first time
    there = [row | {"region": "eu"} for row in use(model="big")]
    told = fa.explain(ONE, frame(there))
    assert (told.iloc[0]["model"], told.iloc[0]["place"]) == (D("0.21"), D("0.21"))
    assert any("Model and place changed together" in n and "+0.42 is divided equally" in n for n in told.facts.notes)
    small = [row | {"region": "eu"} for row in use(team="b", key="l", prompt="x")]
    also = [*use(team="b", key="l", prompt="x", model="big"), *small]  # another team's calls show either alone
    known = fa.explain(frame(use(), also), frame(there, also))
    assert (known.iloc[0]["model"], known.iloc[0]["place"]) == (D("0.42"), D(0))
    assert not any("together" in n for n in known.facts.notes)


def test_cents_that_were_decided_for_other_costs_are_not_shown():
    # by hand: 10,000 calls cost 18.00; half of it is taken off afterwards, and the rows still carry their cents
    whole, half = frame(use(10_000)), frame(use(10_000, paid="0.5"))
    cents = whole["effective_cost"]
    told = fa.explain(whole.assign(published_cost=cents), half.assign(published_cost=cents))
    assert told.published()["change"].iloc[0] == D("-9")
    assert told.drivers(1)["sentence"].iloc[0].endswith("-9.00 of -9.00 USD.")
    kept = fa.explain(whole.assign(published_cost=cents), whole.assign(published_cost=cents))
    assert kept.published()["before"].iloc[0] == D("18")


# ---- drivers


def days(first, last, month, **kwargs):
    return [row for day in range(first, last + 1) for row in use(day=day, month=month, **kwargs)]


def test_drivers_name_who_models_prompt_day_and_money():
    steady = [*days(1, 30, 9, team="b", key="k2", prompt="other"), *days(1, 30, 9)]
    after = [
        *days(1, 31, 10, team="b", key="k2", prompt="other"), *days(1, 24, 10),
        *days(25, 31, 10, model="big", prompt="chat@v2", call={"input": 1500, "output": 300}),
    ]  # fmt: skip
    table = fa.explain(frame(steady), frame(after))
    told = table.drivers(3)
    assert list(told.columns) == [
        "who",
        "what",
        "model_from",
        "model_to",
        "prompt",
        "key",
        "user",
        "since",
        "amount",
        "share",
        "sentence",
    ]
    first = told.iloc[0]
    assert (first["who"], first["what"], first["model_from"], first["model_to"], first["prompt"]) == (
        "a",
        "switch",
        "small",
        "big",
        "chat@v2",
    )
    assert first["since"] == dt.date(2026, 10, 25)
    # 7 days at 0.90 instead of 0.18, less what the eighth part more days of the month share in it
    assert first["amount"] == sum(table[e].iloc[0] for e in ("model", "input_length", "output_length"))
    assert "a moved from small to big on 25 October with prompt chat v2: +" in first["sentence"]
    assert sum(d for d in table.drivers(99)["amount"]) == table["change"].iloc[0]


def test_drivers_find_the_user_the_new_and_the_stopped():
    before = frame(
        days(1, 14, 9, user="ann"), days(1, 14, 9, user="bob"), days(1, 14, 9, team="gone", key="g", prompt="old")
    )
    after = frame(days(15, 28, 9, user="ann"), days(15, 20, 9, user="bob"), days(21, 28, 9, user="bob", calls=2000),
                  days(22, 28, 9, team="fresh", key="f", prompt="idea", model="big"))  # fmt: skip
    table = fa.explain(before, after).drivers().set_index("what")
    assert (table.loc["volume", "user"], table.loc["volume", "since"]) == ("bob", dt.date(2026, 9, 21))
    assert (table.loc["new", "who"], table.loc["new", "model_to"], table.loc["new", "since"]) == (
        "fresh",
        "big",
        dt.date(2026, 9, 22),
    )
    assert (table.loc["stopped", "who"], table.loc["stopped", "since"]) == ("gone", dt.date(2026, 9, 15))
    assert "fresh has new work (prompt idea) on big since 22 September" in table.loc["new", "sentence"]


def test_the_day_of_a_price_is_the_one_its_unit_breaks_not_the_use():
    # nothing is used from 29 September on; calls go up and down from day to day
    def month(number, **more):
        return [row for day in range(1, 29) for row in use(30 + day * 37 % 90, day=day, month=number, **more)]

    before = frame(month(9))
    for what, after in {
        "price": frame(month(10, price="0.8")),
        "tier": frame(month(10, tier="batch")),
        "cache": frame(month(10, call={"input": 500, "cache_read": 500, "output": 200})),
    }.items():
        told = fa.explain(before, after).drivers(1).iloc[0]
        assert (told["what"], told["since"]) == (what, dt.date(2026, 10, 1))
    half = [row for day in range(1, 29) for row in use(100, day=day, paid="0.7" if day >= 15 else "1")]
    told = fa.explain(before, frame(half)).drivers(9).set_index("what")
    assert told.loc["discount", "since"] == dt.date(2026, 10, 15)  # a contract that begins within the month


def test_the_samples_october_says_the_planted_cause_in_one_sentence():
    cost = fa.allocate(fa.price(fa.sample(months=2)), fa.sample.rules())
    october = (cost["charge_period_start"] >= "2026-10-01").to_numpy()
    sentence = fa.explain(cost[~october], cost[october]).drivers(1)["sentence"].iloc[0]
    assert sentence.startswith(
        "support moved from claude-haiku-4-5 to claude-sonnet-5 on 25 October with prompt support-answer v5: +1,"
    )


def test_rows_without_a_price_are_counted_and_wrong_input_is_refused():
    row = use()[1] | {"effective_cost": None, "price_status": "unpriced", "model": "nobody"}
    table = fa.explain(frame(use(), [row]), frame(use()))
    assert table["change"].iloc[0] == 0
    assert table.facts.notes == ["1 rows have no known price and are not in the bridge."]
    with pytest.raises(FrameError, match="priced rows"):
        fa.explain(ONE.drop(columns="effective_cost"), ONE)
    with pytest.raises(FrameError, match="Did you mean 'team'"):
        fa.explain(ONE, ONE, by=["tem"])
    assert len(fa.explain(ONE.head(0), ONE.head(0)).drivers()) == 0


@pytest.mark.long
def test_the_page_of_causes_adds_up_to_the_change_and_names_the_planted_one(monkeypatch):
    from finops_ai.reporting import answers

    cost = fa.allocate(fa.price(fa.sample(months=2)), fa.sample.rules(), telemetry=fa.sample.telemetry())
    after = cost["charge_period_start"] >= "2026-10-01"
    change, shown = fa.explain(cost[~after], cost[after]), []
    monkeypatch.setattr(answers, "display", lambda html: shown.append(html.data))
    answers.drivers(change, 4, {"idle": "Idle capacity"})
    table = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", line) for line in shown[0].split("<tr")[2:]]
    told, amounts = [row[0] for row in table], [Decimal(row[1].replace(",", "")) for row in table]
    # the sample's company moved support to claude-sonnet-5 on 25 October
    assert "support moved from claude-haiku-4-5 to claude-sonnet-5 on 25 October" in told[0]
    assert "support moved from claude-haiku-4-5 to claude-sonnet-5 on 25 October" in change.explain()
    assert told[-2:] == ["All else", "Change"]
    assert sum(amounts[:-1]) == amounts[-1] == Decimal("1914.94")
    assert not any(text.startswith("idle ") for text in told)
