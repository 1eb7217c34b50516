"""Contracts that frames really use: volume tiers by month, committed capacity and prepaid credits by day."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from fractions import Fraction

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import finops_ai as fa
from finops_ai.engine import aggregate, reprice, settled, settling
from finops_ai.errors import CheckFailed, DataError
from finops_ai.frames import BillFrame, conform
from finops_ai.meters import tokens_from_slices
from finops_ai.periods import Window
from finops_ai.prices import PriceBook
from finops_ai.prices.contracts import contracts_of

D = Decimal
DAY = dt.timedelta(days=1)
FIRST = dt.datetime(2026, 10, 1, tzinfo=dt.UTC)
#: gpt-4.1: 2 per million input, 8 per million output, 0.5 per million cached input
MODEL = "gpt-4.1"


def frame(
    meters: dict[str, list[int]], days: list[int] | None = None, span: dt.timedelta = DAY, **more
) -> pd.DataFrame:
    rows = len(next(iter(meters.values())))
    starts = [FIRST + n * DAY for n in (days or range(rows))]
    columns = {
        "charge_period_start": starts, "charge_period_end": [at + span for at in starts], "provider": "openai",
        "billing_account_id": "acme", "model": MODEL, "operation": "chat", "service_tier": "standard", "source": "api",
        "quantity_basis": "metered",
    }  # fmt: skip
    return conform(tokens_from_slices(columns | more, meters), source="test")


def book(**terms) -> PriceBook:
    return PriceBook.default().under(contracts_of([{"name": "deal", "provider": "openai"} | terms], "test"), "test")


def exact(values: pd.Series) -> Fraction:
    return sum((Fraction(v) for v in values if v is not None and v is not pd.NA), Fraction(0))


def cut(value: Fraction) -> Fraction:
    return Fraction(int(value * 10**18), 10**18)


TIERS = [{"over": "2000000", "discount": "10"}, {"over": "5000000", "discount": "20"}]
PTU = {
    "name": "chat", "model": "gpt-4.1*", "units": "2", "unit": "PTU", "hourly": "1", "from": "2026-10-01",
    "tokens_per_hour": "100000", "weights": {"output": "4", "cache_read": "0"},
}  # fmt: skip


# -- volume tiers


def test_graduated_tiers_take_off_what_their_formula_says():
    rows = frame({"input": [2_000_000, 2_000_000, 2_000_000]})
    priced, (line,) = settled(rows, book(volume=TIERS))
    # 6 million tokens for 12: 10% of the 3 million from 2 to 5, 20% of the last million = 0.5 million tokens' worth = 1
    assert exact(priced["contracted_cost"]) == 12 - 1
    assert priced["list_cost"].tolist() == [D(4)] * 3
    assert list(priced["price_status"]) == ["contract"] * 3
    assert exact(priced["effective_cost"]) == exact(priced["payable_cost"]) == 11
    assert (line["quantity"], line["cost"], line["saved"]) == (6_000_000, 12, 1)
    assert max(priced["contracted_cost"]) - min(priced["contracted_cost"]) < D("1e-15")  # every unit has the same share


@pytest.mark.parametrize(
    ("tokens", "saved"),
    [
        (1_999_999, "0"),
        (2_000_000, "0.4"),  # 10% of 4
        (4_999_999, "0.9999998"),  # 10% of 9.999998
        (5_000_000, "2"),  # 20% of 10
    ],
)
def test_a_reached_tier_counts_for_all_units_where_tiers_are_not_graduated(tokens, saved):
    priced = fa.price(frame({"input": [tokens]}), book(volume=TIERS, graduated=False))
    assert exact(priced["list_cost"]) - exact(priced["contracted_cost"]) == Fraction(D(saved))


def test_tiers_by_cost_and_on_top_of_a_discount():
    terms = book(discount="50", volume_of="cost", volume=[{"over": "3", "discount": "10"}])
    priced = fa.price(frame({"input": [2_000_000, 3_000_000]}), terms)
    # list 10, half of it is 5; 10% of what is above 3 = 0.2
    assert (exact(priced["list_cost"]), exact(priced["contracted_cost"])) == (10, Fraction(D("4.8")))


def test_a_month_is_the_unit_of_volume():
    rows = frame({"input": [2_000_000, 2_000_000]}, days=[30, 31])  # the last day of October, the first of November
    priced, statement = settled(rows, book(volume=[{"over": "2000001", "discount": "10"}]))
    assert exact(priced["contracted_cost"]) == 8
    assert [line["month"] for line in statement] == ["2026-10", "2026-11"]


def test_only_what_the_contract_is_for_counts():
    rows = frame(
        {"input": [3_000_000] * 4, "requests": [9_000_000] * 4}, days=[0, 0, 0, 0],
        model=[MODEL, MODEL, "gpt-4.1-mini", MODEL], billing_account_id=["acme", "other", "acme", "acme"],
        service_tier=["standard", "standard", "standard", "batch"],
    )  # fmt: skip
    priced, (line,) = settled(rows, book(accounts=["acme"], models=[MODEL], volume=[{"over": "0", "discount": "50"}]))
    tokens = priced[(priced["meter"] == "input").to_numpy()]
    # list: 6, 6, 1.2 and 3 for batch; half off the first and the last
    assert list(tokens["contracted_cost"]) == [D(3), D(6), D("1.2"), D("1.5")]
    assert line["quantity"] == 6_000_000


def test_rows_in_another_order_cost_the_same():
    rows = frame({"input": [1_234_567, 7, 2_222_222, 3], "output": [11, 999_999, 5, 1_000_001]})
    terms = book(volume=TIERS)
    once = fa.price(rows, terms)
    again = fa.price(rows.iloc[::-1], terms).sort_index()
    for name in ("contracted_cost", "effective_cost", "payable_cost"):
        assert once[name].tolist() == again[name].tolist()


@pytest.mark.long
@settings(max_examples=12, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(1, 10**11), st.integers(0, 10**9)), min_size=1, max_size=8),
    st.lists(st.tuples(st.integers(0, 10**11), st.integers(0, 100)), min_size=1, max_size=4, unique_by=lambda t: t[0]),
    st.booleans(),
)
def test_the_month_comes_to_the_formula_exactly(rows, tiers, graduated):
    days, inputs, outputs = zip(*rows, strict=True)
    terms = [{"over": str(over), "discount": str(share)} for over, share in tiers]
    priced = fa.price(
        frame({"input": [*inputs], "output": [*outputs]}, [*days]), book(volume=terms, graduated=graduated)
    )
    for month in (10, 11):
        mine = [(i, o) for day, i, o in rows if (FIRST + day * DAY).month == month]
        volume = sum(i + o for i, o in mine)
        cost = Fraction(sum(2 * i + 8 * o for i, o in mine), 1_000_000)
        steps = sorted((over, Fraction(share, 100)) for over, share in tiers)
        if graduated:
            tops = [*(over for over, _ in steps[1:]), None]
            off = sum(
                max((min(volume, top) if top is not None else volume) - over, 0) * share
                for (over, share), top in zip(steps, tops, strict=True)
            )
            share = Fraction(off) / volume if volume else Fraction(0)
        else:
            share = ([Fraction(0)] + [share for over, share in steps if volume >= over])[-1]
        found = priced[priced["charge_period_start"].dt.month.to_numpy() == month]
        assert exact(found["contracted_cost"]) == cost - cut(cost * share)
    known = [c is not pd.NA for c in priced["contracted_cost"]]
    assert all(
        a >= b >= c
        for a, b, c in priced[known][["list_cost", "contracted_cost", "effective_cost"]].itertuples(index=False)
    )


# -- committed capacity


def test_the_fee_is_spread_over_the_traffic_and_idle_is_a_line_of_its_own():
    rows = frame(
        {"input": [1_200_000, 0], "output": [300_000, 0], "cache_read": [5_000_000, 7]},
        service_tier=["provisioned"] * 2,
    )
    priced, (line,) = settled(rows, book(capacity=[PTU]))
    # 2 PTU x 24 h x 1 = 48 a day. Day one: 1.2 + 4 x 0.3 = 2.4 million tokens / 100,000 = 24 of 48 unit hours, so 24 of 48
    # is used: 12 for the input, 12 for the output, nothing for cached tokens. Nothing is used on day two.
    costs = {(row.charge_period_start.day, row.meter): row.effective_cost for row in priced.itertuples()}
    assert costs == {
        (1, "input"): 12, (1, "output"): 12, (1, "cache_read"): 0, (1, "provisioned_hours"): 24, (2, "cache_read"): 0,
        (2, "provisioned_hours"): 48,
    }  # fmt: skip
    idle = priced[(priced["operation"] == "provisioned_idle").to_numpy()]
    assert list(idle["quantity"]) == [48, 48]  # what is paid for
    assert (set(idle["source"]), set(idle["billing_account_id"]), set(idle["provider"])) == (
        {"contract"},
        {"acme"},
        {"openai"},
    )
    assert list(idle["payable_cost"]) == [48, 48]
    assert exact(priced["payable_cost"]) == exact(priced["effective_cost"]) == 96
    # on demand the traffic would cost 1.2 x 2 + 0.3 x 8 + 5 x 0.5 = 7.3, and 7 cached tokens
    assert exact(priced["contracted_cost"]) == exact(priced["list_cost"]) == Fraction(D("7.3000035"))
    assert (line["cost"], line["idle_cost"], line["quantity"], line["committed_quantity"], line["share"]) == (
        96,
        72,
        24,
        96,
        D("0.25"),
    )
    # at the same traffic per unit hour, 7.3 per quarter: full use is worth 29.2 where 96 is paid
    assert abs(line["break_even"] - D(96) / D("29.200014")) < D("1e-9")
    assert line["saved"] == D("7.3000035") - 96


def test_capacity_without_throughput_is_all_used_and_says_it_is_unknown():
    terms = {k: v for k, v in PTU.items() if k != "tokens_per_hour"}
    rows = frame({"input": [1, 0], "output": [1, 0], "requests": [1, 1]}, service_tier=["provisioned"] * 2)
    priced, (line,) = settled(rows, book(capacity=[terms]))
    # 48 over 1 + 4 parts on the first day; idle on the second, which had no tokens
    tokens = priced[priced["meter"].isin(["input", "output"]).to_numpy()]
    assert list(tokens["effective_cost"]) == [D("9.6"), D("38.4")]
    assert (line["idle_cost"], line["share"], line["break_even"]) == (48, None, None)
    table = fa.commitments(rows, book(capacity=[terms]))
    assert "tokens_per_hour" in table.facts.notes[0]


def test_more_use_than_capacity_leaves_nothing_idle():
    rows = frame({"input": [9_600_000]}, service_tier=["provisioned"])
    priced, (line,) = settled(rows, book(capacity=[PTU]))
    assert list(priced["effective_cost"]) == [48, 0]
    assert line["share"] == 2  # 96 unit hours of 48


def test_hours_the_source_reports_are_the_line_of_what_is_idle():
    rows = frame({"input": [2_400_000], "provisioned_hours": [48]}, service_tier=["provisioned"])
    priced = fa.price(rows, book(capacity=[PTU]))
    assert len(priced) == 2
    assert list(priced["effective_cost"]) == [24, 24]
    assert list(priced["payable_cost"]) == [0, 48]
    assert list(priced["list_cost"]) == [D("4.8"), 0]


def test_two_commitments_for_the_same_traffic_are_one_pool_and_upfront_is_amortised():
    more = PTU | {
        "name": "more",
        "units": "1",
        "hourly": "0",
        "upfront": "3100",
        "from": "2026-10-02",
        "to": "2026-11-02",
    }
    rows = frame({"input": [0, 7_200_000], "requests": [1, 1]}, service_tier=["provisioned"] * 2)
    priced, (line,) = settled(rows, book(capacity=[PTU, more]))
    # 48, then 48 + 3100 / 31 = 148 for 72 unit hours, all of which serve 7.2 million tokens
    assert (line["cost"], line["committed_quantity"], line["quantity"], line["idle_cost"]) == (196, 120, 72, 48)
    assert exact(priced["payable_cost"]) == 48 + 48 + 3100  # upfront is invoiced once


@pytest.mark.long
def test_days_of_capacity_priced_alone_add_up_to_the_month():
    monthly = PTU | {"monthly": "1000"}
    del monthly["hourly"]
    rows = frame({"input": [n * 77_777 for n in range(1, 32)]}, service_tier=["provisioned"] * 31)
    terms = book(capacity=[monthly])
    whole = fa.price(rows, terms)
    parts = [fa.price(rows.iloc[a:b], terms) for a, b in ((0, 1), (1, 2), (2, 13), (13, 30), (30, 31))]
    assert exact(whole["effective_cost"]) == 2000 == sum(exact(part["effective_cost"]) for part in parts)
    calls = [part["effective_cost"][(part["meter"] == "input").to_numpy()] for part in parts]
    assert whole["effective_cost"].tolist()[:31] == [cost for costs in calls for cost in costs]


def test_capacity_is_paid_in_a_period_without_usage():
    none = frame({"input": [1]}, provider=["anthropic"], model=["claude-opus-5"])
    terms = book(capacity=[PTU | {"resources": ["depl-1"]}])
    assert len(fa.price(none, terms)) == 1  # a frame of somebody else's usage
    paid = fa.price(none, terms, period=Window.of("2026-10-01", "2026-10-04"))
    assert list(paid["effective_cost"])[1:] == [48] * 3
    assert set(paid["resource_id"].iloc[1:]) == {"depl-1"}


def test_a_deployment_serves_only_its_own_calls():
    rows = frame({"input": [2_400_000] * 2}, [0, 0], service_tier=["provisioned"] * 2, resource_id=["depl-1", "depl-2"])
    priced = fa.price(rows, book(capacity=[PTU | {"resources": ["depl-1"]}]))
    assert list(priced["effective_cost"])[:2] == [24, 0]


def test_graphics_cards_serve_calls_of_any_tier():
    gpus = {"name": "h100", "model": "gpt-4.1", "units": "8", "unit": "GPU", "hourly": "2", "from": "2026-10-01",
            "meter": "gpu_hours"}  # fmt: skip
    priced = fa.price(frame({"input": [3], "output": [1]}), book(capacity=[gpus]))
    # 8 x 24 x 2 = 384 over 4 tokens
    assert list(priced["effective_cost"]) == [288, 96, 0]
    assert list(priced["meter"]) == ["input", "output", "gpu_hours"]


@pytest.mark.long
@settings(max_examples=8, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 10), st.integers(0, 10**9), st.integers(0, 10**9)), min_size=1, max_size=8),
    st.integers(1, 10**6), st.integers(1, 10**9), st.integers(1, 10**8),
)  # fmt: skip
def test_what_calls_and_idle_cost_is_the_fee_exactly(rows, units, cents, per_hour):
    days, inputs, outputs = zip(*rows, strict=True)
    terms = PTU | {"units": str(units), "hourly": str(D(cents) / 100), "tokens_per_hour": str(per_hour)}
    priced = fa.price(
        frame(
            {"input": [*inputs], "output": [*outputs], "requests": [1] * len(rows)},
            [*days],
            service_tier=["provisioned"] * len(rows),
        ),
        book(capacity=[terms]),
    )
    paid = (max(days) - min(days) + 1) * 24 * units * Fraction(cents, 100)
    assert exact(priced["effective_cost"]) == exact(priced["payable_cost"]) == paid
    assert all(cost >= 0 for cost in priced["effective_cost"])


# -- prepaid credits


def test_a_credit_bought_below_its_worth_lowers_effective_cost_until_it_is_used_up():
    terms = book(credits=[{"name": "prepaid", "amount": "10", "paid": "8", "from": "2026-10-02"}])
    rows = frame({"input": [2_000_000] * 5})  # 4 a day
    priced, (line,) = settled(rows, terms)
    # nothing on day one; days two and three are paid whole, day four by 2 of 4, then it is used up
    assert list(priced["payable_cost"]) == [4, 0, 0, 2, 4]
    assert list(priced["effective_cost"]) == [4, D("3.2"), D("3.2"), D("3.6"), 4]  # 8 paid for 10: 80%
    assert list(priced["contracted_cost"]) == [4] * 5
    assert (line["opening"], line["drawn"], line["lapsed"], line["closing"], line["cost"]) == (10, 10, 0, 0, 8)


def test_what_is_left_of_a_credit_when_it_ends_is_a_cost_of_its_own():
    terms = book(credits=[{"name": "prepaid", "amount": "100", "paid": "50", "to": "2026-10-03"}])
    priced, (line,) = settled(frame({"input": [2_000_000] * 4}), terms)
    # 4 + 4 are drawn, 92 lapse on the 2nd, of which half was paid
    lapsed = priced.iloc[-1]
    assert (lapsed["operation"], lapsed["effective_cost"], lapsed["charge_period_start"]) == (
        "credit_lapsed",
        46,
        FIRST + DAY,
    )
    assert list(priced["effective_cost"]) == [2, 2, 4, 4, 46]
    assert (line["drawn"], line["lapsed"], line["closing"]) == (8, 92, 0)
    assert exact(priced["effective_cost"]) == 50 + 8  # what was paid, and the days it didn't pay
    assert len(fa.price(priced, terms)) == len(priced)  # pricing again adds no second line


def test_a_granted_credit_costs_nothing_and_a_whole_one_changes_no_effective_cost():
    rows = frame({"input": [2_000_000]})
    assert list(fa.price(rows, book(credits=[{"amount": "3", "paid": "0"}]))["effective_cost"]) == [1]
    priced = fa.price(rows, book(credits=[{"amount": "3"}]))
    assert (list(priced["effective_cost"]), list(priced["payable_cost"])) == ([4], [1])


def test_a_credit_goes_on_where_the_month_before_left_it():
    terms = book(credits=[{"name": "prepaid", "amount": "10", "paid": "5"}]).with_credit_left(
        {("deal", "prepaid"): D(3)}
    )
    priced, (line,) = settled(frame({"input": [2_000_000]}), terms)
    assert (line["opening"], line["drawn"], line["closing"]) == (3, 3, 0)
    assert list(priced["effective_cost"]) == [D("2.5")]  # 3 of 4 at half


@pytest.mark.long
@settings(max_examples=8, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 10**10), st.integers(1, 10**9)), min_size=1, max_size=8),
    st.lists(
        st.tuples(st.decimals("0.01", 20_000, places=2), st.integers(0, 100), st.integers(1, 20)),
        min_size=1,
        max_size=3,
    ),
)
def test_credits_conserve(rows, credits):
    days, inputs, outputs = zip(*rows, strict=True)
    given_ = [
        {"name": str(i), "amount": str(a), "paid": str(a * p / 100), "to": str((FIRST + end * DAY).date())}
        for i, (a, p, end) in enumerate(credits)
    ]
    priced, statement = settled(frame({"input": [*inputs], "output": [*outputs]}, [*days]), book(credits=given_))
    drawn = sum(Fraction(line["drawn"]) for line in statement)
    assert exact(priced["contracted_cost"]) - exact(priced["payable_cost"]) == drawn
    for line in statement:
        assert line["opening"] == line["drawn"] + line["lapsed"] + line["closing"]
    usage = priced[(priced["operation"] != "credit_lapsed").to_numpy()]
    for a, b, c, d in usage[["list_cost", "contracted_cost", "effective_cost", "payable_cost"]].itertuples(index=False):
        assert a >= b >= c >= 0 <= d <= b


# -- together


def test_tiers_then_credit_beside_capacity():
    terms = PriceBook.default().under(contracts_of([
        {"name": "tiers", "provider": "openai", "volume": [{"over": "0", "discount": "25"}]},
        {"name": "credit", "provider": "openai", "credits": [{"amount": "2", "paid": "1"}]},
        {"name": "ptu", "provider": "openai", "capacity": [PTU]},
    ], "test"), "test")  # fmt: skip
    rows = frame({"input": [2_000_000, 4_800_000]}, [0, 0], service_tier=["standard", "provisioned"])
    priced, statement = settled(rows, terms)
    # list 4, less a quarter 3, of which the credit pays 2 that cost 1; the other row takes all 48 unit hours
    figures = [
        tuple(row)
        for row in priced[["list_cost", "contracted_cost", "effective_cost", "payable_cost"]].itertuples(index=False)
    ]
    assert figures == [(4, 3, 2, 1), (D("9.6"), D("9.6"), 48, 0), (0, 0, 0, 48)]
    assert {line["kind"] for line in statement} == {"volume", "credit", "capacity"}
    again = fa.price(priced, terms)
    assert again["effective_cost"].tolist() == priced["effective_cost"].tolist()
    plain = reprice(priced, terms)  # row by row, as if nothing were settled
    assert plain["effective_cost"].tolist()[0] == 4
    assert "payable_cost" not in plain.columns


def test_totals_are_those_of_the_rows(tmp_path):
    rows = frame({"input": [2_000_000, 4_800_000]}, [0, 1], service_tier=["standard", "provisioned"])
    terms = book(volume=TIERS, capacity=[PTU])
    priced = fa.price(rows, terms)
    rows.to_parquet(tmp_path / "usage.parquet")
    for source in (rows, tmp_path / "usage.parquet"):
        found = aggregate(source, ["operation"], book=terms)
        for operation, part in priced.groupby("operation"):
            total = found[(found["operation"] == operation).to_numpy()]
            assert exact(total["effective_cost"]) == exact(part["effective_cost"])


def test_allocated_lines_keep_their_cost(tmp_path):
    rules = {
        "dimensions": {"team": {}},
        "rules": [{"when": {"operation": "provisioned_idle"}, "set": {"team": "idle"}}],
    }
    priced = fa.price(frame({"input": [2_400_000]}, service_tier=["provisioned"]), book(capacity=[PTU]))
    shown = fa.showback(fa.allocate(priced, rules), by=["team"])
    assert dict(zip(shown["team"], shown["cost"], strict=True)) == {"idle": 24, "unallocated": 24}


def test_the_invoice_ties_to_what_is_payable():
    rows = frame({"input": [2_400_000] * 2}, service_tier=["provisioned"] * 2)
    priced = fa.price(rows, book(capacity=[PTU]))
    invoice = {
        "charge_period_start": FIRST, "charge_period_end": FIRST + 2 * DAY, "provider": "openai",
        "billing_account_id": "acme", "charge_category": "Usage", "charge_description": "PTU", "model": MODEL,
        "meter": "provisioned_hours", "service_tier": "provisioned", "billed_cost": D(96), "billing_currency": "USD",
        "consumed_quantity": D(96), "consumed_unit": "unit-hours", "billing_period_start": FIRST, "source": "billing_export",
        "billing_period_end": dt.datetime(2026, 11, 1, tzinfo=dt.UTC),
    }  # fmt: skip
    bills = conform({name: [value] for name, value in invoice.items()}, BillFrame, source="test")
    (line,) = fa.reconcile(priced, bills).to_dict("records")
    assert (line["computed"], line["billed"], line["captured"]) == (96, 96, 1)
    assert [line[cause] for cause in ("difference", "missing_usage", "price", "unexplained")] == [0, 0, 0, 0]


def test_an_export_bills_what_is_payable():
    terms = book(credits=[{"amount": "3", "paid": "2"}])
    priced = fa.price(frame({"input": [2_000_000]}), terms)
    (row,) = fa.to_focus(priced, version="1.2").to_dict("records")
    # list 4, of which a credit pays 3 that cost 2
    assert [row[f"{kind}Cost"] for kind in ("List", "Contracted", "Effective", "Billed")] == [4, 4, 3, 1]


def test_lines_go_when_the_contract_goes():
    rows = frame({"input": [2_400_000, 5]}, service_tier=["provisioned", "standard"])
    both = fa.price(rows, book(capacity=[PTU], credits=[{"amount": "10", "to": "2026-10-02"}]))
    assert list(both["operation"]) == ["chat", "chat", "provisioned_idle", "provisioned_idle", "credit_lapsed"]
    assert len(fa.price(both)) == 2  # the bundled book
    fewer = fa.price(both, book(credits=[{"amount": "10"}]))
    assert list(fewer["operation"]) == ["chat", "chat"]
    assert fewer.index.tolist() == [0, 1]


# -- what goes wrong


def test_amounts_in_another_currency_than_the_prices_are_refused():
    for terms in ({"credits": [{"amount": "1"}]}, {"capacity": [PTU]}, {"volume": TIERS, "volume_of": "cost"}):
        rows = frame({"input": [1]}, service_tier=["provisioned" if "capacity" in terms else "standard"])
        with pytest.raises(DataError, match=r'is in EUR, but prices of the rows .* in USD(?s:.*)currency = "USD"'):
            fa.price(rows, book(currency="EUR", **terms))


def test_an_amount_that_is_lost_on_the_way_is_noticed(monkeypatch):
    honest = settling._spread

    def leaky(con, *args):
        made = honest(con, *args)
        if made:
            con.execute("UPDATE parts SET part = part - 1 WHERE _row = 0 AND part > 0")
        return made

    monkeypatch.setattr(settling, "_spread", leaky)
    with pytest.raises(CheckFailed, match="Settling moved contracted_cost"):
        fa.price(frame({"input": [6_000_000]}), book(volume=TIERS))
    with pytest.raises(CheckFailed, match="Settling moved effective_cost"):
        fa.price(frame({"input": [6_000_000]}, service_tier=["provisioned"]), book(capacity=[PTU]))


def test_an_amount_without_a_row_is_noticed(monkeypatch):
    monkeypatch.setattr(settling, "_used", lambda *_: (Fraction(0), Fraction(1)))
    with pytest.raises(CheckFailed, match="has no row to carry it"):
        fa.price(frame({"requests": [1]}, service_tier=["provisioned"]), book(capacity=[PTU]))


def test_books_without_such_contracts_add_nothing():
    priced, statement = settled(frame({"input": [1]}), book(discount="10"))
    assert statement == []
    assert "payable_cost" not in priced.columns
    assert len(fa.commitments(frame({"input": [1]}))) == 0
