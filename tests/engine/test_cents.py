"""Cents are decided once: whatever is added up, rows and columns foot, and nothing strays from its exact sum."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import finops_ai as fa
from finops_ai.engine.cents import with_cents
from finops_ai.frames.types import COST_TYPE
from finops_ai.money import round_to_total

D = Decimal


def rows_of(cells, currency="USD"):
    """Rows of (account, team, model, cost)."""
    frame = pd.DataFrame(cells, columns=["billing_account_id", "team", "model", "effective_cost"])
    frame["effective_cost"] = pd.array(
        [None if c is None else D(c) for c in frame["effective_cost"]], pd.ArrowDtype(COST_TYPE)
    )
    frame["charge_period_start"] = pd.Timestamp("2026-10-05", tz="UTC")
    return frame.assign(provider="openai", pricing_currency=currency)


cost = st.integers(-(10**19), 10**21).map(lambda n: D(n).scaleb(-18))
cell = st.tuples(st.sampled_from("xyz"), st.sampled_from("abcde"), st.sampled_from("mn"), st.one_of(st.none(), cost))


@pytest.mark.long
@given(st.lists(cell, max_size=40))
def test_every_sum_of_rows_is_in_cents_and_accounts_add_up_to_the_rounded_total(cells):
    frame = with_cents(rows_of(cells), ["team"], "UTC")
    known = frame[frame["effective_cost"].notna()]
    assert frame["published_cost"].isna().tolist() == frame["effective_cost"].isna().tolist()
    if not len(known):
        return
    exact, shown = sum(known["effective_cost"]), sum(known["published_cost"])
    places = 6 if 0 < abs(exact) < 1 else 2
    assert shown == round_to_total([exact], places)[0]
    unit = D(1).scaleb(-places)
    by_account = known.groupby("billing_account_id")
    for _, rows in by_account:
        assert abs(sum(rows["effective_cost"]) - sum(rows["published_cost"])) <= unit
    for value in known["published_cost"]:
        assert value == round(value, places)


@pytest.mark.long
@given(st.lists(cell, min_size=1, max_size=30), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_no_name(cells, random):
    one = with_cents(rows_of(cells), ["team"], "UTC")
    order = list(range(len(cells)))
    random.shuffle(order)
    other = with_cents(rows_of([cells[i] for i in order]), ["team"], "UTC")
    for names in (["team"], ["team", "billing_account_id"], ["model"]):
        sums = [
            f[f["published_cost"].notna()].groupby(names)["published_cost"].agg(lambda v: sum(v, D(0)))
            for f in (one, other)
        ]
        assert dict(sums[0]) == dict(sums[1])


def test_by_hand():
    # 3 x 33.334 = 100.002: 100.00 in all, so two of three keep 33.33 and one gets 33.34
    frame = with_cents(rows_of([("x", team, "m", "33.334") for team in "abc"]), ["team"], "UTC")
    assert sorted(frame["published_cost"]) == [D("33.33"), D("33.33"), D("33.34")]


def test_currencies_and_months_are_decided_apart():
    yen = with_cents(rows_of([("x", "a", "m", "100.4"), ("x", "b", "m", "100.4")], "JPY"), ["team"], "UTC")
    assert sorted(yen["published_cost"]) == [D(100), D(101)]  # 200.8 is 201 yen
    both = rows_of([("x", "a", "m", "1.005"), ("x", "a", "m", "1.005")])
    both.loc[1, "charge_period_start"] = pd.Timestamp("2026-11-05", tz="UTC")
    assert list(with_cents(both, ["team"], "UTC")["published_cost"]) == [
        D("1.00"),
        D("1.00"),
    ]  # half to even, each month


def test_a_month_is_that_of_the_reporting_zone():
    frame = rows_of([("x", "a", "m", "0.006"), ("x", "a", "m", "5.006")])
    frame.loc[0, "charge_period_start"] = pd.Timestamp("2026-10-31 23:30", tz="UTC")  # November in Berlin
    assert list(with_cents(frame, ["team"], "Europe/Berlin")["published_cost"]) == [D("0.006"), D("5.01")]


@pytest.fixture(scope="module")
def october():
    frame = fa.allocate(fa.price(fa.sample(months=1)), fa.sample.rules())
    return frame[frame["charge_period_start"] >= "2026-10-01"]


@pytest.mark.parametrize(
    "name", ["team", "product", "cost_centre", "provider", "model", "prompt_id", "meter", "api_key_id"]
)
def test_names_of_the_sample_stay_close(october, name):
    sums = october.groupby(name, dropna=False)[["effective_cost", "published_cost"]].sum()
    off = np.abs((sums["effective_cost"].astype(float) - sums["published_cost"].astype(float)).to_numpy())
    assert off.max() <= (0.01 if name in ("team", "provider") else 0.02)


def test_one_figure_wherever_it_stands(october):
    """Team, account and total are the same cents in showback, chargeback, statements and journal."""
    teams = fa.showback(october, ["team"], "2026-10").published().set_index("team")["cost"]
    charged = fa.chargeback(october, {"dimension": "team"}, month="2026-10")
    for row in charged.summary.to_dict("records"):
        assert row["cost"] == row["charge"] == teams[row["receiver"]]
        assert sum(charged.statement(row["receiver"])["amount"]) == row["charge"]
    journal = charged.journal()
    accounts = fa.showback(october, ["provider", "billing_account_id"], "2026-10").published()
    credits_ = {
        r["billing_account_id"]: r["credit"] - r["debit"] for r in journal.to_dict("records") if r["billing_account_id"]
    }
    assert credits_ == dict(zip(accounts["billing_account_id"], accounts["cost"], strict=True))
    assert not any("Margin" in text for text in journal["text"])
    wide = fa.showback(october, ["team", "product", "provider", "model"], "2026-10").published()
    assert wide.groupby("team")["cost"].sum().to_dict() == teams.to_dict()
    assert sum(wide["cost"]) == sum(teams) == D("28393.34")


def test_a_part_of_a_table_keeps_its_cents(october):
    table = fa.showback(october, ["team"], "2026-10")
    whole = table.published().set_index("team")["cost"]
    for part in (table.head(3), table[table["team"] == "legal"], table.sort_values("team").tail(2)):
        shown = part.published()
        assert dict(zip(shown["team"], shown["cost"], strict=True)) == {t: whole[t] for t in shown["team"]}
    again = table.copy()
    again["cost"] = again["cost"][::-1].to_numpy()  # no longer the rows whose cents were decided
    assert sum(again.published()["cost"]) == sum(whole)


def test_what_equals_the_list_price_looks_like_it(october):
    shown = fa.showback(october, ["team"], "2026-10").published()
    assert list(shown["list_cost"]) == list(shown["cost"])


def test_a_provider_s_input_and_output_stay_near_their_exact_cost():
    """Both are divided into unit costs, which a reader redoes from the cents."""
    random = np.random.default_rng(31)
    size = 900
    frame = pd.DataFrame(
        {
            "billing_account_id": random.choice(["x", "y"], size),
            "team": random.choice(list("abcde"), size),
            "model": random.choice(list("mno"), size),
            "meter": random.choice(["input", "cache_read", "output"], size),
            "effective_cost": pd.array(
                [D(int(n)).scaleb(-6) for n in random.integers(0, 30_000, size)], pd.ArrowDtype(COST_TYPE)
            ),
            "charge_period_start": pd.Timestamp("2026-10-01", tz="UTC")
            + pd.to_timedelta(random.integers(0, 28, size), unit="D"),
        }
    ).assign(provider=lambda f: "p" + f["model"], pricing_currency="USD")
    sums = with_cents(frame, ["team"], "UTC").groupby(["provider", "meter"])[["effective_cost", "published_cost"]].sum()
    exact, shown = (sums[name].astype(float) for name in ("effective_cost", "published_cost"))
    assert (exact - shown).abs().max() <= 0.02
