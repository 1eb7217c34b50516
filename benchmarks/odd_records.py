"""One odd record among a million rows, for each connector's own way of writing rows: nothing lost, nothing guessed.

    python benchmarks/odd_records.py [--rows 1000000] [--source anthropic ...]

Rows are made per source as its connector writes them (seller, model names, tiers and places of its own); one row gets an
odd value: an unknown tier, model, place, seller or meter. Then `fa.price` is run on all. Counted are rows lost, quantity
lost, and fallbacks without a flag: the odd row priced as if it were listed although its tier, model or meter has no row,
or any other row priced otherwise than without the odd one. Exits 1 if a count isn't 0.
"""

from __future__ import annotations

import argparse
import datetime as dt
import sys
from typing import Any

import pandas as pd
import pyarrow as pa

from finops_ai.engine import price
from finops_ai.frames import conform
from finops_ai.meters import tokens_from_slices
from finops_ai.prices import PriceBook

START = dt.datetime(2026, 10, 1, tzinfo=dt.UTC)
#: source -> rows as its connector writes them: seller, model, service tier, place
SOURCES: dict[str, dict[str, Any]] = {
    "openai": {"provider": "openai", "model": "gpt-6-sol", "service_tier": "flex"},
    "anthropic": {"provider": "anthropic", "model": "claude-sonnet-5", "service_tier": "batch", "inference_geo": "us"},
    "azure-openai": {"provider": "azure", "model": "gpt-6-sol", "inference_geo": "DataZoneStandard", "region": "swedencentral"},
    "bedrock": {"provider": "aws", "model": "anthropic.claude-sonnet-4-6", "inference_geo": "eu", "region": "eu-west-1"},
    "vertex": {"provider": "google", "model": "publishers/google/models/gemini-2.5-pro", "region": "europe-west4"},
    "oci": {"provider": "oci", "model": "cohere.command-a-03-2025", "region": "eu-frankfurt-1"},
    "litellm": {"provider": "openai", "model": "gpt-5.4", "service_tier": "priority"},
    "otel": {"provider": "anthropic", "model": "claude-opus-4-8"},
    "focus": {"provider": "azure", "model": "gpt-4.1-mini", "region": "eastus2"},
}  # fmt: skip
#: column -> an odd value, and whether the row may then have no listed price
ODD = {
    "service_tier": ("ultrafast", True), "model": ("gpt-99-nova", True), "provider": ("nobody-ai", True),
    "inference_geo": ("mars", False), "region": ("mars-north-1", False), "meter": ("output_video", False),
}  # fmt: skip


def frame_of(source: str, rows: int) -> pd.DataFrame:
    """So many rows of input and output tokens, as the source writes them."""
    table: dict[str, Any] = {
        "charge_period_start": pa.array([START] * rows), "charge_period_end": pa.array([START + dt.timedelta(hours=1)] * rows),
        "billing_account_id": "org", "operation": "chat", "service_tier": "standard", "source": "api",
        "quantity_basis": "metered", "inference_geo": None, "region": None,
    }  # fmt: skip
    return conform(tokens_from_slices(table | SOURCES[source], {"input": [1000] * rows}), source=source)


def counts(source: str, rows: int, book: PriceBook) -> dict[str, int]:
    """What went wrong, over all kinds of odd values."""
    plain = frame_of(source, rows)
    usual = price(plain.head(1), book).iloc[0]
    found = {"rows lost": 0, "quantity lost": 0, "unflagged": 0, "others changed": 0}
    for number, (column, (value, unlisted)) in enumerate(ODD.items()):
        at = (rows * (2 * number + 1)) // (2 * len(ODD))
        frame = plain.copy(deep=False)
        frame[column] = frame[column].astype("string[pyarrow]").where(pd.Series(range(rows)) != at, value)
        frame = conform(frame, source=source) if column != "meter" else frame
        priced = price(frame, book)
        found["rows lost"] += abs(rows - len(priced))
        found["quantity lost"] += int(sum(frame["quantity"])) - int(sum(priced["quantity"]))
        odd = priced.iloc[at]
        found["unflagged"] += bool(unlisted and odd["price_status"] not in ("unpriced", "assumed"))
        rest = priced.drop(index=priced.index[at])
        found["others changed"] += int((rest["price_status"] != usual["price_status"]).sum())
        found["others changed"] += int((rest["list_unit_price"] != usual["list_unit_price"]).sum())
    return found


def main() -> int:
    """Run, count, judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--source", action="append", choices=SOURCES)
    options = parser.parse_args()
    book, bad = PriceBook.default(), 0
    for source in options.source or SOURCES:
        found = counts(source, options.rows, book)
        bad += sum(found.values())
        print(
            f"{source:14} {options.rows:>9,} rows, {len(ODD)} odd ones: "
            + ", ".join(f"{n} {what}" for what, n in found.items()),
            flush=True,
        )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
