"""Reconciliation: sums by hand, every cause planted and found by name, what can't be told apart, tolerances and rows."""

from __future__ import annotations

import datetime as dt
import importlib.util
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest

import finops_ai as fa
from finops_ai.errors import FrameError, SettingsError
from finops_ai.frames import BillFrame, conform
from finops_ai.tables.causes import CAUSES
from finops_ai.tables.reconcile import _explained, _in_cents
from finops_ai.tables.tolerance import Tolerance

D = Decimal
ROOT = Path(__file__).parents[2]


def at(month, day, hour=0):
    return dt.datetime(2026, month, day, hour, tzinfo=dt.UTC)


@pytest.fixture
def rows_of(tokens_of, book):
    return lambda rows: fa.price(tokens_of(rows), book)


def bill(**kwargs):
    base = {
        "provider": "openai", "billing_account_id": "acct", "billing_period_start": at(10, 1), "billing_period_end": at(11, 1), "charge_period_start": at(10, 1),
        "charge_period_end": at(10, 2), "charge_category": "Usage", "charge_description": "line", "billed_cost": D(0), "billing_currency": "USD",
        "model": "small", "meter": "input", "service_tier": "standard", "source": "billing_export",
    }  # fmt: skip
    day = kwargs.pop("day", None)
    return (
        base
        | ({"charge_period_start": at(10, day), "charge_period_end": at(10, day) + dt.timedelta(days=1)} if day else {})
        | kwargs
    )


def bills_of(lines):
    names = list(dict.fromkeys(name for line in lines for name in line))
    return conform({n: [line.get(n) for line in lines] for n in names}, BillFrame, source="test")


def causes(row):
    return {c: row[c] for c in CAUSES if row[c]}


def test_a_bill_by_hand(rows_of):
    rows = rows_of([{"quantity": 10_000_000}, {"meter": "output", "quantity": 1_000_000}, {"model": "nobody", "quantity": 5}, {"model": "big", "quantity": 1_000_000,
                    "slice_input_tokens": 9, "slice_requests": 1}])  # fmt: skip
    bills = bills_of([
        bill(billed_cost=D("9.90"), consumed_quantity=D(11_000_000)),  # a million more than counted, at 0.9
        bill(meter="output", billed_cost=D("4.00"), consumed_quantity=D(1_000_000)),  # not at the agreed 3.60
        bill(model="nobody", billed_cost=D("0.50"), consumed_quantity=D(5)),
        bill(model="other", billed_cost=D("7.00"), consumed_quantity=D(70)),
        bill(model=None, meter="unmapped", charge_category="Credit", billed_cost=D("-2.00")),
        bill(model=None, meter="unmapped", charge_category="Tax", billed_cost=D("1.10")),
        bill(model=None, meter="unmapped", charge_description="AWS Marketplace fee", billed_cost=D("3.00")),
    ])  # fmt: skip
    table = fa.reconcile(rows, bills)
    row = table.iloc[0]
    assert (row["computed"], row["billed"], row["difference"]) == (D("15.3"), D("23.5"), D("8.2"))  # 9 + 3.6 + 2.7
    expected = {
        "missing_usage": "7.9",
        "price": "0.4",
        "unpriced": "0.5",
        "credits": "-2",
        "tax": "1.1",
        "fees": "3",
        "not_billed": "-2.7",
    }
    assert causes(row) == {k: D(v) for k, v in expected.items()}
    assert row["open"] == D("11.5")  # 7.9 + 0.4 + 0.5 + 2.7, whatever their signs
    assert (row["status"], table.status) == ("fail", "fail")
    assert table.facts.coverage["captured"] == pytest.approx(1 - 7.9 / 21.4)
    assert (
        table.facts.notes[0]
        == "It doesn't tie: 1 of 1 rows are beyond the tolerance (billed 23.50, computed 15.30 USD)."
    )
    missing = table.rows("missing_usage")
    assert [(r["model"], r["amount"]) for r in missing.to_dict("records")] == [("other", D(7)), ("small", D("0.9"))]
    assert table.rows("missing_usage", model="small")["billed_quantity"].iloc[0] == 11_000_000
    assert "What to do: collect it" in missing.explain()
    by_model = fa.reconcile(rows, bills, by=["model"])
    assert {r["model"]: r["price"] for r in by_model.to_dict("records") if r["price"]} == {"small": D("0.4")}
    assert sum(by_model["difference"]) == row["difference"]


@pytest.fixture
def planted():
    spec = importlib.util.spec_from_file_location("planted_causes", ROOT / "benchmarks" / "planted_causes.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 20, 4))
def test_planted_causes_are_found_by_name_together(planted, first):
    chosen = sorted(planted.ALL, key=lambda c: (planted.ALL.index(c) * 7) % 20)[first : first + 4]
    if len([c for c in chosen if c in planted.WHOLE]) > 1:
        chosen = [c for c in chosen if c not in planted.WHOLE[1:]]
    wrong, unexplained, cost = planted.run(planted.made_up, chosen, first)
    assert not wrong, chosen
    assert unexplained < cost / 200


@pytest.mark.long
def test_few_planted_causes_are_found_by_name(planted):
    few = planted.made_up(3, hours=12)
    for chosen in (["price", "missing_usage", "credits"], ["tier", "duplicate_billing", "fees"]):
        wrong, unexplained, cost = planted.run(lambda seed: few, chosen, 2)
        assert not wrong, chosen
        assert unexplained < cost / 200


@pytest.mark.long
def test_where_nothing_is_planted_nothing_is_named(planted):
    tied(fa.reconcile(*planted.made_up(3, hours=12)))


@pytest.mark.slow
def test_where_nothing_is_planted_in_the_sample_nothing_is_named(planted):
    tied(fa.reconcile(*planted.sample()))


def tied(table):
    assert not any(causes(row) for row in table.to_dict("records"))
    assert set(table["status"]) == {"pass"}
    assert "It ties" in table.facts.notes[0]


def test_late_usage_of_the_sample_is_late(planted):
    _, bills = planted.sample()
    table = fa.reconcile(fa.price(fa.sample(months=2, late=False)), bills)
    held_back = fa.sample.slices(months=2)
    true = sum(held_back["list_cost"][held_back["late"].to_numpy(bool)])
    assert sum(table["late"]) == true > 10
    assert set(table.rows("late")["day"]) == {"2026-09-28", "2026-09-29", "2026-09-30"}
    assert any("can't be told apart" in note for note in table.facts.notes)


def test_three_sides_and_a_month_without_a_bill(rows_of):
    rows = rows_of([{"quantity": 10_000_000, "billed_cost": D("9.01"), "billing_currency": "USD"}])
    line = bill(billed_cost=D(9), consumed_quantity=D(10_000_000))
    invoice, api = (
        bills_of([line]),
        bills_of([line, bill(billed_cost=D("9.02"), consumed_quantity=D(10_000_000), source="api")]),
    )
    assert fa.reconcile(rows, invoice)[["stated", "billed"]].iloc[0].tolist() == [D("9.01"), D(9)]
    both = fa.reconcile(rows, api).iloc[0]  # a cost API beside the invoice is the third side, not a second bill
    assert (both["stated"], both["billed"], causes(both)) == (D("9.02"), D(9), {})
    table = fa.reconcile(rows, invoice.head(0))
    assert (table["status"].iloc[0], table["not_billed"].iloc[0]) == ("warn", D(-9))
    assert table.facts.notes[0] == "No bill is there yet: computed 9.00 USD."
    assert len(fa.reconcile(rows.head(0), invoice.head(0))) == 0


def test_lines_without_model_quantity_or_day(rows_of):
    rows = rows_of([{"quantity": 10_000_000}, {"meter": "output", "quantity": 1_000_000}])  # 9 + 3.6
    whole = bills_of([bill(model=None, meter="unmapped", billed_cost=D("12.60"))])
    assert causes(fa.reconcile(rows, whole).iloc[0]) == {}
    off = fa.reconcile(rows, bills_of([bill(model=None, meter="unmapped", billed_cost=D("13.60"))]))
    assert causes(off.iloc[0]) == {"unexplained": D(1)}
    assert any("can't be compared" in n for n in off.facts.notes)
    vague = fa.reconcile(rows, bills_of([bill(billed_cost=D("10.00")), bill(meter="output", billed_cost=D("3.60"))]))
    assert causes(vague.iloc[0]) == {"unexplained": D(1)}
    assert any("price and missing_usage can't be told apart" in n for n in vague.facts.notes)
    monthly = bill(billed_cost=D(9), consumed_quantity=D(10_000_000), charge_period_end=at(11, 1))
    assert (
        causes(
            fa.reconcile(rows_of([{"quantity": 5_000_000, "at": at(10, d)} for d in (3, 9)]), bills_of([monthly])).iloc[
                0
            ]
        )
        == {}
    )


def test_two_regions_billed_as_a_third_are_geography(rows_of):
    rows = rows_of([{"quantity": 10_000_000, "region": "eu"}, {"quantity": 4_000_000, "region": "us"}])  # 9 + 3.6
    moved = bill(billed_cost=D("13.86"), consumed_quantity=D(14_000_000), region="asia")  # a tenth dearer
    assert causes(fa.reconcile(rows, bills_of([moved])).iloc[0]) == {"geography": D("1.26")}


def test_usage_that_a_commitment_pays_for(rows_of):
    rows = rows_of([{"quantity": 10_000_000}])
    lines = [
        bill(
            billed_cost=D(0),
            consumed_quantity=D(4_000_000),
            commitment_discount_id="c",
            commitment_discount_status="Used",
        ),
        bill(billed_cost=D("5.40"), consumed_quantity=D(6_000_000)),
        bill(charge_category="Purchase", model=None, meter="unmapped", billed_cost=D(3)),
    ]
    assert causes(fa.reconcile(rows, bills_of(lines)).iloc[0]) == {
        "purchases": D("-0.6")
    }  # 3 bought, 3.6 of usage paid by it


def test_a_bill_whose_days_begin_at_half_past_is_cut_again(rows_of):
    # half-hourly use, told by days that begin 18:30 UTC (India): what crosses midnight changes day, and month at its end
    amounts = {
        at(10, day) + dt.timedelta(minutes=30 * n): (37 * day + 11 * n) % 90 + 10
        for day in range(1, 13)
        for n in range(48)
    }
    rows = rows_of([{"quantity": 1_000_000 * q, "at": moment} for moment, q in amounts.items()])
    days = {}
    for moment, q in amounts.items():
        day = (moment + dt.timedelta(hours=5, minutes=30)).day
        days[day] = days.get(day, 0) + q
    lines = [bill(day=d, billed_cost=D("0.9") * q, consumed_quantity=D(1_000_000) * q) for d, q in days.items()]
    table = fa.reconcile(rows, bills_of(lines))
    assert set(causes(table.iloc[0])) <= {"timezone"}
    by_day = fa.reconcile(rows, bills_of(lines), by=["day"]).set_index("day")
    moved = D("0.9") * (days[1] - sum(q for moment, q in amounts.items() if moment.day == 1))
    assert causes(by_day.loc["2026-10-01"]) == {"timezone": moved}
    assert table.status == "pass"


def test_a_day_of_another_zone_at_the_end_of_a_month_is_no_billing_cycle(rows_of):
    rows = rows_of([{"quantity": 1_000_000 * n, "at": at(10, n)} for n in range(1, 9)])
    evening = dt.timedelta(hours=-7)
    lines = [
        bill(billed_cost=D("0.9") * n, consumed_quantity=D(1_000_000) * n, charge_period_start=at(10, n) + evening,
             charge_period_end=at(10, n + 1) + evening) for n in range(1, 9)
    ]  # fmt: skip
    found = {r["month"]: causes(r) for r in fa.reconcile(rows, bills_of(lines)).to_dict("records")}
    assert found == {"2026-09": {"timezone": D("0.9")}, "2026-10": {"timezone": D("-0.9")}}


def test_two_meters_with_each_others_names_and_their_own_money_cancel(rows_of):
    rows = rows_of([{"quantity": 10_000_000}, {"meter": "output", "quantity": 1_000_000}])  # 9 + 3.6
    lines = [
        bill(meter="output", billed_cost=D(9), consumed_quantity=D(10_000_000)),
        bill(billed_cost=D("3.6"), consumed_quantity=D(1_000_000)),
    ]
    assert causes(fa.reconcile(rows, bills_of(lines)).iloc[0]) == {}


@pytest.mark.parametrize("places", [2, 3])
@pytest.mark.parametrize("how", ["ROUND_HALF_EVEN", "ROUND_DOWN"])
def test_lines_rounded_or_cut_off_at_any_place_are_rounding(rows_of, places, how):
    quantities = {day: 1_234_567 * day for day in range(1, 13)}
    rows = rows_of([{"quantity": q, "at": at(10, day)} for day, q in quantities.items()])
    lines = {d: (D("0.0000009") * q).quantize(D(1).scaleb(-places), how) for d, q in quantities.items()}
    bills = bills_of([bill(day=d, billed_cost=v, consumed_quantity=D(quantities[d])) for d, v in lines.items()])
    expected = sum(lines.values()) - D("0.0000009") * sum(quantities.values())
    assert causes(fa.reconcile(rows, bills).iloc[0]) == {"rounding": expected}


def test_a_gap_over_the_end_of_a_month_is_missing_not_late(rows_of):
    days = [at(9, 20) + dt.timedelta(days=n) for n in range(25)]
    gap = days[9:13]  # 29 September to 2 October
    rows = rows_of([{"quantity": 1_000_000, "at": d} for d in days if d not in gap])
    lines = [
        bill(billed_cost=D("0.9"), consumed_quantity=D(1_000_000), charge_period_start=d, charge_period_end=d + dt.timedelta(days=1))
        for d in days
    ]  # fmt: skip
    found = {r["month"]: causes(r) for r in fa.reconcile(rows, bills_of(lines)).to_dict("records")}
    assert found == {month: {"missing_usage": D("1.8")} for month in ("2026-09", "2026-10")}


def test_a_bill_without_tiers_says_what_it_leaves_open(rows_of):
    rows = rows_of([{"quantity": 10_000_000}])
    line = bill(billed_cost=D(10), consumed_quantity=D(10_000_000), service_tier=None)
    table = fa.reconcile(rows, bills_of([line]))
    assert causes(table.iloc[0]) == {"price": D(1)}
    assert any("no tier: price can't be told apart from tier" in note for note in table.facts.notes)


def test_a_name_that_rests_on_less_than_its_evidence_is_a_guess(rows_of):
    # by hand: 10 M of input at 0.9 and 1 M of output at 3.6; the bill says a tenth more of either, or of one of them
    rows = rows_of([{"quantity": 10_000_000}, {"meter": "output", "quantity": 1_000_000}])

    def billed(one, two, **more):
        return bills_of([
            bill(billed_cost=D(one), consumed_quantity=D(10_000_000), **more),
            bill(meter="output", billed_cost=D(two), consumed_quantity=D(1_000_000), **more),
        ])  # fmt: skip

    both = fa.reconcile(rows, billed("9.90", "3.96", service_tier=None))
    assert (both["price"].iloc[0], both["guessed"].iloc[0]) == (D("1.26"), D("1.26"))
    assert list(both.rows("price")["or_else"]) == ["tier, geography"] * 2
    assert any("Price +1.26 (1.26 of it a guess: it may be geography or tier)" in note for note in both.facts.notes)
    assert both.guesses() == {"price": "(1.26 of it a guess: it may be geography or tier)"}
    one = fa.reconcile(rows, billed("9.90", "3.60", service_tier=None))  # a tier moves every meter of a model
    assert (one["price"].iloc[0], one["guessed"].iloc[0]) == (D("0.9"), D(0))
    assert not any("told apart" in note for note in one.facts.notes)


def test_part_of_a_month_without_days_is_a_guess_and_a_whole_meter_is_not(rows_of):
    rows = rows_of([{"quantity": 10_000_000}])
    month = {"charge_period_end": at(11, 1)}
    part = bill(billed_cost=D("10.80"), consumed_quantity=D(12_000_000), **month)  # 2 M more than counted, at 0.9
    table = fa.reconcile(rows, bills_of([part]))
    assert (table["missing_usage"].iloc[0], table["guessed"].iloc[0]) == (D("1.8"), D("1.8"))
    assert table.rows("missing_usage")["or_else"].iloc[0] == "late, timezone, double_metering"
    whole = bill(meter="output", billed_cost=D("3.60"), consumed_quantity=D(1_000_000), **month)
    same = bill(billed_cost=D(9), consumed_quantity=D(10_000_000), **month)
    table = fa.reconcile(rows, bills_of([same, whole]))
    assert (table["missing_usage"].iloc[0], table["guessed"].iloc[0]) == (D("3.6"), D(0))


def test_tolerances_by_provider_and_wrong_ones():
    policy = Tolerance.load(
        {"fail": {"amount": "10", "share": "0.01"}, "providers": {"oci": {"fail": {"share": "0.05"}}}}
    )
    assert [policy.status("openai", D(n), D(500)) for n in (1, 2, 11)] == ["pass", "warn", "fail"]
    assert policy.status("oci", D(20), D(500)) == "warn"
    for wrong, words in [
        ({"warm": {}}, "Did you mean 'warn'"), ({"fail": {"amont": 1}}, "write { amount"), ({"fail": 5}, "write { amount"),
        ({"warn": {"amount": "20"}}, "at least as much as warn"), ({"providers": {"oci": 3}}, "must be a table"),
    ]:  # fmt: skip
        with pytest.raises(SettingsError, match=words):
            Tolerance.load(wrong)


def test_wrong_input_is_refused(rows_of):
    rows, bills = rows_of([{"quantity": 1}]), bills_of([bill()])
    with pytest.raises(FrameError, match="price's rows"):
        fa.reconcile(rows.drop(columns="effective_cost"), bills)
    with pytest.raises(FrameError, match="Did you mean 'model'"):
        fa.reconcile(rows, bills, by=["modl"])
    with pytest.raises(FrameError, match="Did you mean 'missing_usage'"):
        fa.reconcile(rows, bills).rows("missing_use")
    with pytest.raises(FrameError, match="Can't look at"):
        fa.reconcile(rows, bills).rows("price", colour="red")
    assert isinstance(fa.reconcile(rows, bills).head(1), pd.DataFrame)


def test_a_side_that_is_not_known_is_not_zero(rows_of):
    rows = rows_of([
        {"quantity": 10_000_000},  # 9.00, and no bill of its account
        {"billing_account_id": "other", "model": "nobody", "quantity": 5},  # no price, and a bill
    ])  # fmt: skip
    table = fa.reconcile(rows, bills_of([bill(billing_account_id="other", model="nobody", billed_cost=D("2"))]))
    mine, other = (table[table["billing_account_id"] == name].iloc[0] for name in ("acct", "other"))
    assert (mine["computed"], pd.isna(mine["billed"]), causes(mine), mine["status"]) == (
        9,
        True,
        {"not_billed": -9},
        "warn",
    )
    assert (pd.isna(other["computed"]), other["billed"], causes(other)) == (True, 2, {"unpriced": 2})
    assert sum(table["difference"]) == sum(sum(causes(row).values()) for row in (mine, other)) == -7


def test_each_account_adds_up_across_at_the_cents_that_are_shown():
    rows = [
        {"computed": Decimal("2.0793"), "billed": Decimal("-1.0683")},
        {"computed": Decimal("4.9848"), "billed": Decimal("-495.9657")},
        {"computed": Decimal("0.6207"), "billed": Decimal("8.4093")},
        {"computed": Decimal("11.2549"), "billed": Decimal("11.2549")},
        {"computed": Decimal("3.3333"), "billed": None},
        {"computed": None, "billed": Decimal("1.005")},
    ]
    rows = [row | {"difference": (row["billed"] or 0) - (row["computed"] or 0)} for row in rows]
    cents = _in_cents(rows, "USD")
    # by hand: -3.1476 -> -3.15, -500.9505 -> -500.95, 7.7886 -> 7.79; what ties is equal to the cent; half a cent to the even
    assert cents["difference"] == [Decimal(v) for v in ("-3.15", "-500.95", "7.79", "0", "-3.33", "1.00")]
    assert sum(v for v in cents["computed"] if v is not None) == Decimal("22.27")  # 22.273 in all
    for computed, billed, between in zip(*(cents[n] for n in ("computed", "billed", "difference")), strict=True):
        assert billed is None or billed == (computed or 0) + between
    assert _in_cents(rows, "") == {}  # several currencies are never added up


def test_what_a_bill_takes_back_explains_no_more_than_all_of_it():
    assert _explained(Decimal(-1), Decimal(4)) == 1.0
    assert _explained(Decimal(1), Decimal(4)) == 0.75
    assert _explained(Decimal(0), Decimal(0)) is None
