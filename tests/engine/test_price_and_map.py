"""Prices and mapping through the plan, against sums done by hand."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

import finops_ai as fa
from finops_ai.engine import aggregate
from finops_ai.errors import FrameError

D = Decimal


def day(d: int, hour: int = 0) -> dt.datetime:
    return dt.datetime(2026, 10, d, hour, tzinfo=dt.UTC)


def test_cost_is_quantity_times_the_price_of_its_day(tokens_of, book):
    tokens = tokens_of(
        [{"quantity": 1_000_000, "at": day(14)}, {"quantity": 1_000_000, "at": day(15)}, {"quantity": 3}]
    )
    priced = fa.price(tokens, book)
    # 1 per million until the 14th, 0.5 from the 15th; 3 tokens at 1e-6; 10% contract discount
    assert list(priced["list_cost"]) == [D(1), D("0.5"), D("0.000003")]
    assert list(priced["effective_cost"]) == [D("0.9"), D("0.45"), D("0.0000027")]
    assert list(priced["price_status"]) == ["listed"] * 3
    assert str(priced["list_cost"].dtype) == "decimal128(38, 18)[pyarrow]"
    assert set(tokens.columns) < set(priced.columns)


def test_unknown_prices_are_null_and_calls_are_not_billed(tokens_of, book):
    priced = fa.price(tokens_of([{"model": "nobody", "quantity": 9}, {"meter": "requests", "quantity": 9}]), book)
    assert priced["list_cost"].isna().tolist() == [True, False]
    assert list(priced["price_status"]) == ["unpriced", "not_billed"]
    assert priced["effective_cost"].iloc[1] == 0


@pytest.mark.parametrize(
    ("tokens_in_slice", "requests", "cost", "note"),
    [
        (200_000, 1, "0.6", None),  # exactly at the threshold: base, 200,000 x 3e-6
        (200_001, 1, "1.200006", None),  # above: 200,001 x 6e-6
        (150_000, 7, "0.45", None),  # the whole slice is below, so each call is
        (300_000, 7, "0.9", "context_tier_unknown"),  # can't be told: base, and said so
        (None, None, "0.3", "context_tier_unknown"),
    ],
)
def test_context_tier_is_chosen_per_request(tokens_of, book, tokens_in_slice, requests, cost, note):
    row = {"model": "big", "quantity": tokens_in_slice or 100_000}
    row |= {"slice_input_tokens": tokens_in_slice, "slice_requests": requests}
    priced = fa.price(tokens_of([row]), book)
    assert priced["list_cost"].iloc[0] == D(cost)
    assert (priced["price_note"].iloc[0] if note else priced["price_note"].isna().iloc[0]) == (note or True)


def test_row_order_index_and_repeated_pricing(tokens_of, book):
    tokens = tokens_of([{"quantity": i + 1} for i in range(500)])
    tokens.index = range(1000, 1500)
    priced = fa.price(tokens, book)
    assert priced.index.tolist() == tokens.index.tolist()
    assert [q * D("0.000001") for q in tokens["quantity"]] == list(priced["list_cost"])
    again = fa.price(priced, book)
    assert list(again.columns) == list(priced.columns)
    assert again["list_cost"].equals(priced["list_cost"])


def test_empty_frame(tokens_of, book):
    priced = fa.price(tokens_of([{}]).iloc[:0], book)
    assert len(fa.allocate(priced, {"dimensions": {"team": {}}})) == 0
    assert len(fa.showback(priced, by=["model"])) == 0


def test_a_frame_without_tokens_is_refused(tokens_of, book):
    with pytest.raises(FrameError, match="quantity"):
        fa.price(tokens_of([{}]).drop(columns="quantity"), book)


RULES = {
    "dimensions": {"team": {"default": "unallocated"}, "product": {"default": "none"}, "env": {}},
    "lookups": {
        "people": {
            "key": "user_id",
            "rows": [
                {"user_id": "ann", "cc": "10", "valid_to": "2026-10-10"},
                {"user_id": "ann", "cc": "20", "valid_from": "2026-10-10"},
            ],
        }
    },
    "rules": [
        {"name": "key", "when": {"api_key_id": "k1", "not": {"tags.env": "dev"}}, "set": {"team": "search"}},
        {"name": "ann", "when": {"user_id": "ann"}, "set": {"team": "cc-{people.cc}"}},
        {"name": "tag", "set": {"team": "{tags.team}", "env": "{tags.env}"}},
        {
            "name": "gpt",
            "when": {"any": [{"model": {"prefix": "gp"}}, {"model": {"regex": "^b.g$"}}]},
            "set": {"team": "gpt"},
        },
        {"name": "web", "when": {"team": ["search", "gpt"]}, "set": {"product": "web of {team}"}},
    ],
}


@pytest.mark.parametrize(
    ("row", "team", "product", "env", "rule"),
    [
        ({"api_key_id": "k1"}, "search", "web of search", "unallocated", "key + web"),
        ({"api_key_id": "k1", "tags": {"env": "dev"}}, "unallocated", "none", "dev", "tag"),
        ({"user_id": "ann", "at": day(9, 23)}, "cc-10", "none", "unallocated", "ann"),
        ({"user_id": "ann", "at": day(10)}, "cc-20", "none", "unallocated", "ann"),
        ({"tags": {"team": "ops", "env": "prod"}}, "ops", "none", "prod", "tag"),
        ({"tags": {"team": "", "env": "prod"}, "model": "big"}, "gpt", "web of gpt", "prod", "gpt + tag + web"),
        ({"model": "gpX"}, "gpt", "web of gpt", "unallocated", "gpt + web"),
        ({"model": "zzz"}, "unallocated", "none", "unallocated", "default"),
    ],
)
def test_first_matching_rule_wins_per_dimension(tokens_of, book, row, team, product, env, rule):
    out = fa.allocate(fa.price(tokens_of([row]), book), RULES).iloc[0]
    assert (out["team"], out["product"], out["env"], out["rule"]) == (team, product, env, rule)
    assert out["share"] == 1


def test_allocating_twice_changes_nothing(tokens_of, book):
    priced = fa.price(tokens_of([{"api_key_id": "k1"}, {"model": "big"}, {"user_id": "ann"}]), book)
    once = fa.allocate(priced, RULES)
    assert fa.allocate(once, RULES).equals(once)


def test_fused_totals_equal_the_rows_added_up(tokens_of, book, tmp_path):
    rows = [
        {"quantity": q, "model": m, "api_key_id": k, "at": day(d, h), "meter": t}
        for q, m, k, d, h, t in [
            (7, "small", "k1", 1, 0, "input"), (11, "small", "k2", 31, 23, "output"), (13, "big", "k1", 31, 22, "input"),
            (17, "nobody", None, 31, 23, "input"), (19, "small", None, 2, 5, "requests"),
        ]
    ]  # fmt: skip
    tokens = tokens_of(rows)
    tokens.to_parquet(tmp_path / "a.parquet", index=False)
    for source in (tokens, tmp_path, tmp_path / "*.parquet", [tmp_path / "a.parquet"]):
        got = aggregate(source, ["month", "team"], book=book, rules=RULES, timezone="Europe/Berlin")
        sums = {(str(r.month)[:7], r.team): r.list_cost for r in got.itertuples()}
        # Berlin: summer time ended on the 25th, so the 31st 23:00 UTC is 1 November there, 22:00 is not
        assert sums == {
            ("2026-10", "search"): D(7) / 1_000_000 + D(39) / 1_000_000,  # 7 x 1 + 13 x 3
            ("2026-10", "unallocated"): D(0),  # calls
            ("2026-11", "unallocated"): D(44) / 1_000_000,  # 11 x 4; the unknown model adds nothing
        }
        assert sum(got["quantity"]) == 7 + 11 + 13 + 17 + 19


def test_hostile_text_stays_text(tokens_of, book):
    evil = "x'); DROP TABLE usage; --"
    rules = {
        "dimensions": {"team": {}},
        "rules": [
            {
                "name": evil,
                "when": {f"tags.{evil}": evil, "model": {"prefix": "sm"}},
                "set": {"team": f"{evil}{{tags.{evil}}}"},
            }
        ],
    }
    out = fa.allocate(fa.price(tokens_of([{"tags": {evil: evil}}, {}]), book), rules)
    assert out["team"].tolist() == [evil + evil, "unallocated"]
