"""Looking at a book: show, diff, check, what is unpriced, and refreshed list prices."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal

import pytest
from click.testing import CliRunner

from finops_ai.cli.prices import prices
from finops_ai.errors import PriceError
from finops_ai.frames import conform
from finops_ai.meters import tokens_from_slices
from finops_ai.prices import PriceBook
from finops_ai.prices.kept import read_base
from finops_ai.prices.views import diff_books, findings, prices_of, unpriced

LIST = [{
    "id": "acme", "name": "Acme", "api_pattern": "x",
    "models": [{
        "id": "acme-1", "match": {"equals": "acme-1"},
        "prices": [
            {"prices": {"input_mtok": 1.5, "output_mtok": {"base": 6, "tiers": [{"start": 1000, "price": 8}]}}},
            {"constraint": {"start_date": "2026-06-01"}, "prices": {"input_mtok": 1.25, "output_mtok": 5}},
            {"constraint": {"start_date": "2027-06-01"}, "prices": {"input_mtok": 9, "output_mtok": 9}},
        ],
    }],
}]  # fmt: skip


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "list.json"
    path.write_text(json.dumps(LIST), "utf-8")
    return path


def test_show_names_row_and_tiers():
    rows = prices_of(PriceBook.default(), "openai", "gpt-5.4", "2026-08-01")
    found = {(row["meter"], row["context"]): row["per_million"] for row in rows}
    assert found["input", ""] == "2.5"
    assert found["input", ">272000"] == "5"
    with pytest.raises(PriceError, match=r"Similar: gpt-5\.4"):
        prices_of(PriceBook.default(), "openai", "gpt-5.44", "2026-08-01")


def test_a_list_from_a_file(data):
    book = PriceBook(read_base(data, dt.date(2026, 11, 1)))
    before = book.lookup("acme", "acme-1", "output", "2026-05-31")
    assert (before.unit_price * 1_000_000, before.above(1001).unit_price * 1_000_000) == (6, 8)
    assert book.lookup("acme", "acme-1", "input", "2026-06-01").unit_price * 1_000_000 == Decimal("1.25")
    # announced for after the day the data was known: not applied, and the price before it says so
    later = book.lookup("acme", "acme-1", "input", "2027-06-01")
    assert (later.unit_price * 1_000_000, later.needs_confirmation) == (Decimal("1.25"), True)
    assert not book.lookup("acme", "acme-1", "input", "2027-05-31").needs_confirmation


@pytest.mark.parametrize("text", ["{", "{}", "[1]", '{"providers": 3}'])
def test_a_file_that_is_no_list(tmp_path, text):
    path = tmp_path / "list.json"
    path.write_text(text, "utf-8")
    with pytest.raises(PriceError, match="no genai-prices data"):
        read_base(path)


def test_diff_shows_what_changed(data, tmp_path):
    changed = json.loads(json.dumps(LIST))
    changed[0]["models"][0]["prices"][1]["prices"]["input_mtok"] = 1.3
    other = tmp_path / "other.json"
    other.write_text(json.dumps(changed), "utf-8")
    day = dt.date(2026, 11, 1)
    frame = diff_books(PriceBook(read_base(data, day)), PriceBook(read_base(other, day)))
    assert frame[["meter", "before", "after"]].to_dict("records") == [
        {"meter": "input", "before": Decimal("1.25"), "after": Decimal("1.3")}
    ]
    assert diff_books(PriceBook(read_base(data, day)), PriceBook(read_base(data, day))).empty


def test_findings_name_promotions_and_disputes():
    found = findings(PriceBook.default(), dt.datetime(2026, 11, 23, tzinfo=dt.UTC))
    assert not (found["severity"] == "error").any()
    assert {"o3", "gpt-5.6-sol"} <= set(found["model"])


def frame(models: list[str], quantities: list[int]):
    start = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
    n = len(models)
    columns = {
        "charge_period_start": [start] * n, "charge_period_end": [start + dt.timedelta(hours=1)] * n,
        "provider": ["openai"] * n, "billing_account_id": ["org"] * n, "model": models, "operation": ["chat"] * n,
        "service_tier": ["standard"] * n, "source": ["api"] * n, "quantity_basis": ["metered"] * n,
    }  # fmt: skip
    return conform(tokens_from_slices(columns, {"input": quantities, "requests": [1] * n}), source="test")


def test_unpriced_is_counted_biggest_first():
    found = unpriced(frame(["gpt-5", "nobody-1", "nobody-2", "nobody-2"], [5, 10, 20, 30]), PriceBook.default())
    assert found[["model", "rows", "quantity"]].to_dict("records") == [
        {"model": "nobody-2", "rows": 2, "quantity": 50},
        {"model": "nobody-1", "rows": 1, "quantity": 10},
    ]


def test_commands(data, tmp_path):
    run = CliRunner().invoke
    shown = run(
        prices, ["show", "anthropic", "claude-opus-4-7", "--at", "2026-08-01", "--geo", "us", "--format", "json"]
    )
    assert shown.exit_code == 0
    assert {r["per_million"] for r in json.loads(shown.output) if r["meter"] == "output"} == {"27.5"}
    contracts = tmp_path / "prices.toml"
    contracts.write_text('[[contracts]]\nname="c"\nprovider="openai"\ndiscount="5"\n', "utf-8")
    assert run(prices, ["check", str(contracts)]).exit_code == 0
    tokens = tmp_path / "tokens.parquet"
    frame(["gpt-5", "nobody-1"], [5, 10]).to_parquet(tokens)
    missing = run(prices, ["check", "--tokens", str(tokens), "--format", "csv"])
    assert missing.exit_code == 1
    assert "nobody-1" in missing.output
    assert run(prices, ["diff", str(data), str(data)]).exit_code == 0
    assert run(prices, ["update", str(data), "--dry-run"]).exit_code == 1  # it doesn't say from which day it is


def test_the_book_shows_compares_and_counts():
    book = PriceBook.default()
    assert "why" in book.show("openai", "gpt-5", "2026-08-01").columns
    assert book.diff(book).empty
    assert book.unpriced(frame(["gpt-5", "nobody-1"], [5, 10]))["model"].tolist() == ["nobody-1"]


@pytest.mark.parametrize(
    ("provider", "model", "tier", "message"),
    [
        ("opnai", "gpt-4o", "standard", "No prices of a provider called 'opnai'. Did you mean 'openai'"),
        ("openai", "gpt-4o-clone", "standard", "Similar: .*gpt-4o"),
        ("openai", "gpt-4o", "prioritty", "No service tier called 'prioritty'. Did you mean 'priority'"),
        ("openai", "gpt-5-nano", "fast", "in the tier fast: no price row for service tier fast"),
        ("anthropic", "claude-opus-4-7", "priority", "committed capacity without a list price"),
    ],
)
def test_what_has_no_price_says_what_may_have_been_meant(provider, model, tier, message):
    with pytest.raises(PriceError, match=message):
        prices_of(PriceBook.default(), provider, model, "2026-08-01", service_tier=tier)
