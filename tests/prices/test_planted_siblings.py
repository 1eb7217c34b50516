"""A seller whose true prices are planted, with rows left out: what is passed off as listed is the truth, always."""

from __future__ import annotations

from decimal import Decimal
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finops_ai.frames import conform
from finops_ai.meters import tokens_from_slices
from finops_ai.prices import PriceBook
from finops_ai.prices.own import read_own

METERS = {"input": "2", "output": "8", "cache_read": "0.2", "cache_write": "2.5", "input_audio": "20"}
TIERS = {"standard": "1", "batch": "0.4", "priority": "1.8"}
LONG = ">200000"
AT = "2026-11-20"


def truth(model: int, meter: str, tier: str, tokens: int, place: str, multiple: str, dearer: str) -> Decimal:
    price = Decimal(METERS[meter]) * (model + 1) * Decimal(TIERS[tier])
    return price * (Decimal(multiple) if tokens > 200_000 else 1) * (Decimal(dearer) if place == "eu" else 1)


def book_of(models: int, left_out: set[tuple], multiple: str, dearer: str) -> PriceBook:
    """So many models with every row of the planted prices, but the last model lacks some."""
    rows = []
    for model in range(models):
        cards = []
        for tier, over, place in product(TIERS, ("", LONG), ("", "eu")):
            lacking = left_out if model == models - 1 else set()
            prices = {
                meter: str(truth(model, meter, tier, 200_001 if over else 1, place, multiple, dearer))
                for meter in METERS if (meter, tier, over, place) not in lacking
            }  # fmt: skip
            if prices:
                card = {"prices": prices, "tier": tier}
                cards.append(card | ({"over": over} if over else {}) | ({"geography": place} if place else {}))
        rows.append({"id": f"m{model}", "cards": cards})
    table = {"provider": "planted", "source": "planted", "checked": "2026-11-01", "model": rows}
    return PriceBook(None, read_own(table, "planted"))


#: what may be missing; every list has at least a model's standard input
KEYS = [key for key in product(METERS, TIERS, ("", LONG), ("", "eu")) if key[:2] != ("input", "standard") or key[3]]


@settings(max_examples=150, deadline=None)
@given(
    st.integers(1, 6), st.sets(st.sampled_from(KEYS), max_size=8), st.sampled_from(["2", "1.5"]),
    st.sampled_from(["1.1", "1.2"]), st.sampled_from([*METERS]), st.sampled_from([*TIERS, "ultrafast"]),
    st.sampled_from([1, 300_000]), st.sampled_from(["", "eu", "mars"]),
)  # fmt: skip
def test_what_is_listed_is_what_was_planted(models, left_out, multiple, dearer, meter, tier, tokens, place):
    book = book_of(models, left_out, multiple, dearer)
    got = book.lookup(
        "planted", f"m{models - 1}", meter, AT, service_tier=tier, input_tokens=tokens, inference_geo=place or None
    )
    if got.unit_price is None:
        assert got.status == "unpriced"
        return
    if got.status == "listed":
        assert place != "mars"
        assert tier in TIERS
        want = truth(models - 1, meter, tier, tokens, place, multiple, dearer)
        assert got.unit_price * 1_000_000 == want
    else:
        assert got.status == "assumed"


@pytest.mark.parametrize(
    ("lacking", "asked", "want"),
    [
        # three siblings prove that batch audio costs 0.4 of standard audio: 20 x 4 x 0.4
        ([("input_audio", "batch", o, p) for o in ("", LONG) for p in ("", "eu")], ("input_audio", "batch", 1, ""), "32"),
        # the model's own standard row says that a long request costs twice as much: 8 x 4 x 0.4 x 2
        ([("output", "batch", LONG, p) for p in ("", "eu")], ("output", "batch", 300_000, ""), "25.6"),
        # past the threshold the cache is at the higher tier, as the input is: 0.2 x 4 x 2
        ([("cache_read", t, LONG, p) for t in TIERS for p in ("", "eu")], ("cache_read", "standard", 300_000, ""), "1.6"),
        # what the input costs more in a place, its cache does too: 0.2 x 4 x 1.1
        ([("cache_read", t, o, "eu") for t in TIERS for o in ("", LONG)], ("cache_read", "standard", 1, "eu"), "0.88"),
        # sold by place, and nobody says what a place costs: what any place costs, as a guess
        ([], ("input", "standard", 1, "mars"), "8"),
    ],
)  # fmt: skip
def test_a_missing_row_is_derived_and_says_so(lacking, asked, want):
    book = book_of(4, set(lacking), "2", "1.1")
    meter, tier, tokens, place = asked
    got = book.lookup("planted", "m3", meter, AT, service_tier=tier, input_tokens=tokens, inference_geo=place or None)
    assert (got.unit_price * 1_000_000, got.status) == (Decimal(want), "assumed")


def test_two_siblings_prove_nothing():
    lacking = {("input_audio", "batch", o, p) for o in ("", LONG) for p in ("", "eu")}
    lacking |= {("input", "batch", o, p) for o in ("", LONG) for p in ("", "eu")}  # nor do the model's own
    got = book_of(2, lacking, "2", "1.1").lookup("planted", "m1", "input_audio", AT, service_tier="batch")
    assert (got.unit_price, got.status) == (None, "unpriced")


@pytest.mark.parametrize(
    ("region", "price", "status"),
    [("us-east-1", "0.3", "listed"), ("eu-west-2", "0.47", "listed"), ("ap-southeast-7", "0.3", "assumed")],
)
def test_a_region_without_a_row_of_a_model_sold_by_region(region, price, status):
    got = PriceBook.default().lookup("aws", "minimax.minimax-m2.5", "input", AT, region=region)
    assert (got.unit_price * 1_000_000, got.status) == (Decimal(price), status)


def test_guesses_of_place_and_size_are_guesses_in_a_frame_too():
    from finops_ai.engine import price

    frame = tokens_from_slices(
        {
            "charge_period_start": ["2026-11-20T10:00:00Z"] * 4, "charge_period_end": ["2026-11-20T11:00:00Z"] * 4,
            "provider": ["aws"] * 3 + ["azure"], "billing_account_id": ["a"] * 4, "operation": ["chat"] * 4,
            "model": ["minimax.minimax-m2.5"] * 3 + ["gpt-5.5"], "service_tier": ["standard"] * 3 + ["flex"],
            "region": ["us-east-1", "ap-southeast-7", "eu-west-2", None], "source": ["api"] * 4,
            "quantity_basis": ["metered"] * 4, "request_id": ["1", "2", "3", "4"],
        },
        {"cache_read": [0, 0, 0, 300_000], "input": [1_000_000, 1_000_000, 1_000_000, 0], "requests": [1] * 4},
    )  # fmt: skip
    priced = price(conform(frame, source="test"), PriceBook.default())
    priced = priced[(priced["quantity"] > 0) & (priced["meter"] != "requests")].sort_values("request_id")
    assert [*priced["price_status"]] == ["listed", "assumed", "listed", "assumed"]
    # 0.5 = the base rate of cached text, 0.25, at the multiple of the input beyond 272,000 tokens
    assert [*priced["list_cost"]] == [Decimal("0.3"), Decimal("0.3"), Decimal("0.47"), Decimal("0.15")]
