"""The catalogue says everything of every measure, and what it computes is what a person gets by hand."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest

import finops_ai as fa
from finops_ai.engine.fields import columns
from finops_ai.errors import DataError
from finops_ai.figures import aggregates, catalogue, glossary, ingredients, measure, values
from finops_ai.figures.catalogue import KINDS
from finops_ai.figures.computing import CENTS, fields, needed
from finops_ai.figures.dictionary import describe_measures
from finops_ai.tables.showback import MEASURES

D = Decimal


@pytest.mark.parametrize("one", catalogue().values(), ids=list(catalogue()))
def test_every_measure_is_told_whole(one):
    assert one.kind in KINDS
    assert one.about.endswith(".")
    assert all([one.label, one.unknown_when, one.source, one.formula, one.rounding])
    made = [bool(one.sum), bool(one.distinct), bool(one.ratio), bool(one.minus), bool(one.given)]
    assert sum(made) == 1, "one way of making it, no more"
    assert all(name in catalogue() for name in (*one.ratio, *one.minus, *filter(None, [one.part_of])))
    if one.kind in ("rate", "count", "days"):
        assert one.unit
    if one.sum:
        assert one.sum in columns()
        assert set(fields([one.id])) <= set(columns())


def test_the_page_of_measures_is_current_and_says_what_a_token_is():
    page = Path(__file__).parents[2] / "docs" / "measures.md"
    assert page.read_text("utf-8") == describe_measures(), "run `make docs`"
    assert glossary()["Token"].startswith("A piece of text")
    assert len(glossary()) >= len(catalogue())


def test_labels_are_told_apart():
    labels = [m.label for m in catalogue().values()]
    assert len(set(labels)) == len(labels)


def test_the_published_table_of_measures_is_the_catalogue():
    table = fa.measures()
    assert list(table["id"]) == list(catalogue())
    assert not table[["label", "formula", "about", "unknown_when", "rounding", "source"]].eq("").any().any()
    assert set(MEASURES) <= set(catalogue())


def test_unknown_measures_are_refused_by_name():
    with pytest.raises(DataError, match="cost_per_request"):
        measure("cost_per_requests")


def test_a_ratio_needs_its_parts_and_nothing_else():
    assert [m.id for m in needed(["cost_per_request"])] == ["counted_cost", "requests"]
    assert ingredients("token_cost_per_1m_tokens") == ("token_cost", "priced_tokens")
    assert set(aggregates(["cost"], cents="published_cost")) == {"cost", CENTS + "cost"}


def test_a_part_is_0_where_its_whole_is_known_and_unknown_elsewhere():
    known = {"tokens": D(10), "cache_read_tokens": None, "input_tokens": D(8)}
    assert values(known, ["cache_read_tokens", "cache_hit_rate"]) == {"cache_read_tokens": 0, "cache_hit_rate": 0.0}
    unknown = dict.fromkeys(known)
    assert values(unknown, ["cache_read_tokens", "cache_hit_rate"]) == {
        "cache_read_tokens": None,
        "cache_hit_rate": None,
    }


def test_the_cost_of_a_request_leaves_out_sources_that_count_none(frame_of):
    rows = frame_of(
        [
            {"provider": "openai", "meter": "requests", "quantity": D(10), "cost": D(0)},
            {"provider": "openai", "quantity": D(1000), "cost": D(5)},
            {"provider": "vertex", "quantity": D(1000), "cost": D(100), "model": "other"},
        ]
    )
    row = fa.showback(rows).astype(object).iloc[0]
    assert (row["cost"], row["counted_cost"], row["requests"]) == (105, 5, 10)
    assert row["cost_per_request"] == D("0.5")  # 5 / 10, not 105 / 10


def test_idle_capacity_belongs_to_the_requests_of_its_account_and_not_to_token_cost(frame_of):
    rows = frame_of(
        [
            {"meter": "requests", "quantity": D(4), "cost": D(0)},
            {"quantity": D(2_000_000), "cost": D(3)},
            {"meter": "provisioned_hours", "quantity": D(24), "cost": D(7)},
        ]
    )
    row = fa.showback(rows).astype(object).iloc[0]
    assert (row["cost_per_1m_tokens"], row["token_cost_per_1m_tokens"]) == (D(5), D("1.5"))  # 10 / 2M, 3 / 2M
    assert row["cost_per_request"] == D("2.5")  # 10 / 4


def test_failed_calls_are_unknown_until_a_source_tells_how_calls_ended(frame_of):
    plain = fa.kpis(frame_of([{"quantity": D(10), "cost": D(4)}])).set_index("id")
    assert plain.loc["error_share", "value"] is None
    assert plain.loc["error_share", "remark"].startswith("unknown: no source says how calls ended")
    told = frame_of(
        [{"quantity": D(10), "cost": D(4)}, {"quantity": D(10), "cost": D(1)}, {"quantity": D(1), "cost": D(5)}]
    )
    told["outcome"] = told["outcome"].astype(object)
    told.loc[0, "outcome"], told.loc[1, "outcome"] = "ok", "error"
    table = fa.kpis(told).set_index("id")
    assert (table.loc["error_cost", "value"], table.loc["error_share", "value"]) == (
        1,
        0.2,
    )  # 1 of 5; the other 5 tell nothing
    assert table.loc["retry_cost", "value"] == 0


@pytest.mark.long
def test_every_kpi_is_computed_or_says_what_it_takes():
    cost = fa.allocate(fa.price(fa.sample(months=1)), fa.sample.rules())
    table = fa.kpis(cost, month="2026-10", bills=fa.sample.bills())
    assert {m.id for m in catalogue().values() if m.source == "FinOps KPI"} <= set(table["id"])
    for row in table.to_dict("records"):
        assert (row["value"] is not None) or row["remark"].startswith("unknown: ")
    got = table.set_index("id")["value"]
    assert got["captured"] == 1.0  # October's bills hold what October's usage explains
    assert got["idle_share"] == pytest.approx(3878 / 11160)


def test_a_kpi_can_be_done_again_from_the_two_figures_beside_it():
    cost = fa.allocate(fa.price(fa.sample(months=1)), fa.sample.rules())
    past = pd.DataFrame({"p50": [90.0, 130.0], "actual": [D(100), D(120)], "inside": [True, False]})
    table = fa.kpis(cost, month="2026-10", bills=fa.sample.bills(), past_error=past)
    parts = {r["id"]: (r["upper"], r["lower"]) for r in table.to_dict("records") if r["upper"] is not None}
    for row in table.to_dict("records"):
        one = catalogue()[row["id"]]
        if row["value"] is None or one.kind in ("money", "count", "days"):
            continue
        upper, lower = parts[one.id]  # none is without
        assert float(row["value"]) == pytest.approx(float(upper) * one.per / float(lower), rel=1e-4, abs=1e-9)
    assert parts["forecast_error"] == (20, 220)  # 10 and 10 missed of 100 and 120
    assert parts["forecast_bias"] == (0, 220)
    assert parts["interval_coverage"] == (1, 2)
    assert parts["captured"] == (D("28393.34"), D("28393.34"))  # what October's invoices charge for usage
    upper, lower = parts["discount"]
    assert upper - lower == table.set_index("id").loc["discount", "value"]


def test_an_account_without_a_bill_is_no_part_of_what_was_billed():
    cost, bills = fa.allocate(fa.price(fa.sample(months=1)), fa.sample.rules()), fa.sample.bills()
    table = fa.kpis(cost, month="2026-10", bills=bills[(bills["provider"] != "oci").to_numpy(bool)]).set_index("id")
    assert table.loc["captured", "lower"] == D("28393.34") - D("529.05")  # all invoices but Oracle's
    assert table.loc["captured", "value"] == 1.0


def test_the_cached_part_of_a_cost_is_nothing_or_unknown_but_not_mixed_up(frame_of):
    fresh = {"meter": "input", "quantity": D(10), "cost": D(4)}
    table = fa.showback(frame_of([fresh]))
    assert (table["cache_read_cost"][0], table["cache_hit_cost_share"][0]) == (0, 0.0)  # nothing was read from a cache
    table = fa.showback(frame_of([fresh, {"meter": "cache_read", "quantity": D(10), "cost": None}]))
    assert [pd.isna(table[name][0]) for name in ("cache_read_cost", "cache_hit_cost_share")] == [True, True]
    assert table["input_cost"][0] == 4
    table = fa.showback(frame_of([fresh, {"meter": "cache_read", "quantity": D(10), "cost": D(1)}]))
    assert (table["cache_read_cost"][0], table["cache_hit_cost_share"][0]) == (1, 0.2)


def test_cents_of_what_is_cached_are_those_of_its_rows_where_other_groups_have_no_tokens_at_all():
    cost = fa.allocate(fa.price(fa.sample(months=1)), fa.sample.rules())
    grains = ["model", "day", "operation"], ["model"]
    fine, coarse = (
        fa.showback(cost, by, month).published() for by, month in zip(grains, (None, "2026-10"), strict=True)
    )
    assert fine["input_cost"].isna().any()  # idle capacity reads nothing
    for name in ("cost", "input_cost", "cache_read_cost", "comparable_cost"):
        sums = fine.dropna(subset=[name]).groupby("model")[name].sum()
        assert {m: v for m, v in zip(coarse["model"], coarse[name], strict=True) if not pd.isna(v)} == dict(sums), name


def test_a_table_has_what_its_ratios_are_made_of():
    parts = {part for name in MEASURES for part in ingredients(name)}
    assert "listed_tokens" in parts
    assert parts <= set(MEASURES)
