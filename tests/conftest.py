"""A tiny price book and token frame, so that engine and tables are tested against sums anybody can do by hand."""

from __future__ import annotations

import datetime as dt
import os
import shutil
from decimal import Decimal

import pyarrow as pa
import pytest

from finops_ai.engine.fields import PRICED
from finops_ai.frames import TokenFrame, conform, schema_of, to_pandas
from finops_ai.meters import meters

MICRO = Decimal("0.000001")


class TinyBook:
    """Prices per million by (model, meter), from a day on; `big` costs double above 200,000 input tokens."""

    key_columns = ("provider", "model", "meter", "service_tier")
    version = "tiny"
    prices = {
        ("small", "input"): [(dt.date(2026, 1, 1), "1"), (dt.date(2026, 10, 15), "0.5")],
        ("small", "output"): [(dt.date(2026, 1, 1), "4")],
        ("small", "cache_read"): [(dt.date(2026, 1, 1), "0.1"), (dt.date(2026, 10, 15), "0.05")],
        ("big", "input"): [(dt.date(2026, 1, 1), "3")],
        ("big", "output"): [(dt.date(2026, 1, 1), "15")],
    }

    def expand(self, keys: pa.Table) -> pa.Table:
        rows = []
        for key in keys.to_pylist():
            dated = [p for since, p in self.prices.get((key["model"], key["meter"]), []) if since <= key["day"]]
            unit = Decimal(dated[-1]) * MICRO if dated else None
            if unit is not None and key.get("service_tier") == "batch":
                unit /= 2
            tiered = key["model"] == "big"
            over = unit * 2 if unit is not None and tiered else None
            rows.append(
                key
                | {
                    "list_unit_price": unit, "over_tokens": 200_000 if tiered else None, "over_inclusive": False,
                    "list_unit_price_over": over, "contracted_unit_price": unit and unit * Decimal("0.9"),
                    "contracted_unit_price_over": over and over * Decimal("0.9"),
                    "price_id": f"{key['model']}/{key['meter']}", "price_id_over": f"{key['model']}/{key['meter']}>200k",
                    "price_status": "listed" if unit is not None else "unpriced",
                    "needs_confirmation": key["model"] == "small" and key["meter"] == "output",
                    "model_developer": "acme", "model_family": key["model"], "model_version": "1",
                    "currency": "USD" if unit is not None else None,
                }
            )  # fmt: skip
        price, text = pa.decimal128(18, 12), pa.string()
        added = [
            ("list_unit_price", price), ("over_tokens", pa.int64()), ("over_inclusive", pa.bool_()), ("list_unit_price_over", price),
            ("contracted_unit_price", price), ("contracted_unit_price_over", price), ("price_id", text), ("price_id_over", text),
            ("price_status", text), ("needs_confirmation", pa.bool_()), ("model_developer", text), ("model_family", text),
            ("model_version", text), ("currency", text),
        ]  # fmt: skip
        schema = pa.schema([*[keys.schema.field(n) for n in keys.column_names], *[pa.field(n, t) for n, t in added]])
        return pa.Table.from_pylist(rows, schema=schema)


@pytest.fixture
def book() -> TinyBook:
    return TinyBook()


def make_tokens(rows: list[dict]):
    """A token frame from short rows: day, model, meter, quantity and whatever else matters."""
    out = []
    for i, row in enumerate(rows):
        row = dict(row)
        start = row.pop("at", dt.datetime(2026, 10, 1, tzinfo=dt.UTC))
        base = {
            "charge_period_start": start, "charge_period_end": start + dt.timedelta(days=1), "provider": "openai",
            "billing_account_id": "acct", "model": "small", "operation": "chat", "meter": "input", "quantity": 1,
            "service_tier": "standard", "request_id": str(i), "source": "api", "quantity_basis": "metered",
        }  # fmt: skip
        row = base | row
        row["unit"] = meters()[row["meter"]].unit
        row["quantity"] = Decimal(row["quantity"])
        if isinstance(row.get("tags"), dict):
            row["tags"] = list(row["tags"].items())
        out.append(row)
    names = list(dict.fromkeys(k for row in out for k in row))
    return conform({n: [row.get(n) for row in out] for n in names}, source="test")


COSTED = {f.name: f.type for f in schema_of(TokenFrame)} | PRICED
BASE = {
    "provider": "openai", "billing_account_id": "x", "model": "m", "operation": "chat", "meter": "input", "quantity": Decimal(100),
    "unit": "tokens", "service_tier": "standard", "source": "api", "quantity_basis": "metered", "pricing_currency": "USD",
    "price_status": "listed",
}  # fmt: skip


def make_costed(rows):
    """Priced rows for figures that no price book makes: credits, unknown prices, two currencies.

    `cost` is all three kinds of cost; `day` counts from noon of 1 September 2026 (35 is 6 October).
    """
    out = []
    for number, row in enumerate(rows):
        row = BASE | {"request_id": str(number)} | row
        start = dt.datetime(2026, 9, 1, 12, tzinfo=dt.UTC) + dt.timedelta(days=row.pop("day", 35))
        times = {"charge_period_start": start, "charge_period_end": start + dt.timedelta(hours=1)}
        costs = dict.fromkeys(("list_cost", "contracted_cost", "effective_cost"), row.pop("cost", None))
        out.append(row | times | costs | {"tags": list(row["tags"].items()) if row.get("tags") else None})
    return to_pandas(pa.table({n: pa.array([r.get(n) for r in out], kind) for n, kind in COSTED.items()}))


@pytest.fixture(scope="session")
def frame_of():
    return make_costed


@pytest.fixture(scope="session")
def tokens_of():
    return make_tokens


@pytest.fixture(scope="session")
def browser():
    """Chromium through Playwright, one for the whole run; the tests that need it say so where it is missing."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright, which isn't installed")
    path = os.environ.get("FINOPS_AI_BROWSER") or shutil.which("chromium") or shutil.which("chromium-browser")
    if not path:
        pytest.skip("needs Chromium, which isn't installed")
    with playwright.sync_playwright() as p:
        chromium = p.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()
