"""Rows priced per CPU second: this book against genai-prices `calc_price` and litellm `cost_per_token`, same rows, one run.

    python benchmarks/pricing.py [--rows 2000000] [--calls 4000] [--litellm PYTHON] [--json]

A row is one meter of one call (input, cache reads, output; rows of 0 don't exist). The peers price a whole call at once,
so their figure is calls times rows per call: the rows are the same on all sides. Ours is what `fa.price` does without
making a frame of it: find the distinct keys and days, look their prices up, join, pick the context tier, multiply
exactly, keep a cost and the number of its price row for every row. Then `fa.price` itself, from a token frame to the
frame it returns, is held against the same peers. `--litellm` names a Python that has litellm, if this one hasn't; it
is run on the same calls in a process of its own and reports its CPU seconds. Exits 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import subprocess
import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from finops_ai.engine import price
from finops_ai.frames import conform
from finops_ai.meters import tokens_from_slices
from finops_ai.prices import PriceBook

BARS = {
    "times_genai_prices": 100, "times_litellm": 100, "meter_rows_per_cpu_second": 2_000_000,
    "fa_price_rows_per_cpu_second": 1_250_000, "fa_price_times_genai_prices": 45, "fa_price_times_litellm": 90,
}  # fmt: skip
MODELS = [
    ("openai", "gpt-4o"), ("openai", "gpt-5"), ("openai", "gpt-5.6-luna"), ("openai", "gpt-4.1-mini"),
    ("openai", "gpt-5.4"), ("anthropic", "claude-sonnet-4-6"), ("anthropic", "claude-haiku-4-5"),
    ("anthropic", "claude-opus-4-7"), ("anthropic", "claude-sonnet-5"), ("anthropic", "claude-opus-5"),
]  # fmt: skip
START = dt.datetime(2026, 5, 1, tzinfo=dt.UTC)
METERS = ("input", "cache_read", "output")

PEER = """
import json, sys, time
from litellm import cost_per_token
calls = json.load(open(sys.argv[1]))
def run(part):
    total = 0.0
    for c in part:
        a, b = cost_per_token(model=c["model"], prompt_tokens=c["input"] + c["cache_read"],
                              completion_tokens=c["output"], cache_read_input_tokens=c["cache_read"],
                              custom_llm_provider=c["provider"])
        total += a + b
    return total
run(calls[:50])
begin = time.process_time()
total = run(calls)
print(json.dumps({"cpu": time.process_time() - begin, "total": total}))
"""


def calls_of(count: int, seed: int = 7) -> dict[str, np.ndarray]:
    """Calls of 180 days over ten models, as columns."""
    rng = np.random.default_rng(seed)
    prompt = rng.integers(200, 90_000, count)
    read = (prompt * rng.choice([0, 0.3, 0.8], count)).astype(np.int64)
    return {
        "which": rng.integers(0, len(MODELS), count),
        "day": rng.integers(0, 180, count),
        "input": prompt - read,
        "cache_read": read,
        "output": rng.integers(1, 4_000, count),
        "requests": np.ones(count, dtype=np.int64),
    }


def rows_of(calls: dict[str, np.ndarray]) -> pa.Table:
    """The calls as rows of a token frame, one per meter."""
    providers, models = (pa.array([pair[i] for pair in MODELS]) for i in (0, 1))
    which = pa.array(calls["which"], pa.int32())
    start = np.datetime64(START.replace(tzinfo=None), "us") + calls["day"].astype("timedelta64[D]")
    slices = {
        "provider": pa.DictionaryArray.from_arrays(which, providers).cast(pa.string()),
        "model": pa.DictionaryArray.from_arrays(which, models).cast(pa.string()),
        "charge_period_start": pa.array(start),
        "service_tier": "standard", "context_tier": None, "inference_geo": None, "region": None,
        "slice_requests": calls["requests"],
    }  # fmt: skip
    return tokens_from_slices(slices, {name: calls[name] for name in METERS})


def own(rows: pa.Table, book: PriceBook) -> tuple[float, Decimal]:
    """CPU seconds to look up, join and multiply exactly; and the total."""
    con = duckdb.connect()
    con.execute("SET threads = 1")
    con.register("arrow_rows", rows)
    con.execute("CREATE TABLE tokens AS SELECT * FROM arrow_rows")  # pricing alone: the rows are already there
    begin = time.process_time()
    keys = con.sql(
        "SELECT DISTINCT provider, model, meter, CAST(charge_period_start AS DATE) AS day FROM tokens"
    ).to_arrow_table()
    for name in ("service_tier", "context_tier", "inference_geo", "region"):  # one value throughout
        keys = keys.append_column(name, pa.repeat(rows[name][0].as_py() or pa.scalar(None, pa.string()), len(keys)))
    prices = book.expand(keys)
    con.register("arrow_prices", prices.append_column("number", pa.array(range(len(prices)), pa.int32())))
    con.execute("CREATE TEMP TABLE prices AS SELECT * FROM arrow_prices")
    con.execute(
        """CREATE TEMP TABLE priced AS
        SELECT p.number, t.quantity * CASE WHEN t.slice_requests = 1 AND t.slice_input_tokens > p.over_tokens
            THEN p.list_unit_price_over ELSE p.list_unit_price END AS list_cost
        FROM tokens t JOIN prices p
            ON t.provider = p.provider AND t.model = p.model AND t.meter = p.meter
            AND CAST(t.charge_period_start AS DATE) = p.day"""
    )
    spent = time.process_time() - begin
    (total,) = con.execute("SELECT sum(list_cost) FROM priced").fetchone() or (None,)
    return spent, total


def frame_of(rows: pa.Table) -> pd.DataFrame:
    """The rows as a token frame, as a connector makes one."""
    start = rows["charge_period_start"].cast(pa.timestamp("us", "UTC"))
    end = pa.array(rows["charge_period_start"].to_numpy() + np.timedelta64(1, "h")).cast(pa.timestamp("us", "UTC"))
    table = rows.drop_columns(["charge_period_start"])
    table = table.append_column("charge_period_start", start).append_column("charge_period_end", end)
    same = {"billing_account_id": "org", "operation": "chat", "source": "api", "quantity_basis": "metered"}
    for name, value in same.items():
        table = table.append_column(name, pa.repeat(value, len(table)))
    return conform(table, source="benchmark")


def whole(frame: pd.DataFrame, book: PriceBook) -> float:
    """CPU seconds of `fa.price`, all threads, from the frame to the frame it returns."""
    begin = time.process_time()
    price(frame, book)
    return time.process_time() - begin


def listed(calls: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    """The calls as the peers take them."""
    return [
        {
            "provider": MODELS[w][0],
            "model": MODELS[w][1],
            "day": int(d),
            "input": int(i),
            "cache_read": int(r),
            "output": int(o),
        }
        for w, d, i, r, o in zip(*(calls[k] for k in ("which", "day", "input", "cache_read", "output")), strict=True)
    ]


def genai(calls: list[dict[str, Any]]) -> tuple[float, Decimal]:
    """CPU seconds and total of genai-prices."""
    from genai_prices import Usage, calc_price

    def run(part: list[dict[str, Any]]) -> Decimal:
        total = Decimal(0)
        for c in part:
            usage = Usage(
                input_tokens=c["input"] + c["cache_read"], cache_read_tokens=c["cache_read"], output_tokens=c["output"]
            )
            at = START + dt.timedelta(days=c["day"])
            total += calc_price(usage, c["model"], provider_id=c["provider"], genai_request_timestamp=at).total_price
        return total

    run(calls[:50])
    begin = time.process_time()
    total = run(calls)
    return time.process_time() - begin, total


def litellm(calls: list[dict[str, Any]], python: str) -> float | None:
    """CPU seconds of litellm in a process of its own; None if it isn't installed there."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "calls.json"
        file.write_text(json.dumps(calls), "utf-8")
        done = subprocess.run(
            [python, "-c", PEER, str(file)], capture_output=True, text=True, check=False,
            env={"LITELLM_LOCAL_MODEL_COST_MAP": "True", "PATH": "/usr/bin:/bin", "HOME": folder},
        )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])["cpu"] if done.returncode == 0 else None


def measure(rows: int, calls: int, python: str) -> dict[str, Any]:
    """All figures of one run."""
    book = PriceBook.default()
    few = calls_of(calls)
    own(rows_of(few), book)  # warm: files read, names known
    peers = listed(few)
    genai_cpu, genai_total = genai(peers)
    _, same = own(rows_of(few), book)
    if abs(same - genai_total) > Decimal("1e-9") * genai_total:
        raise SystemExit(f"the totals differ: {same} and {genai_total}")
    litellm_cpu = litellm(peers, python)
    many = rows_of(calls_of(rows // len(METERS)))
    spent, _ = min(own(many, book) for _ in range(3))
    rate = many.num_rows / spent
    frame = frame_of(many.slice(0, 1_000_000))
    from_frame = len(frame) / min(whole(frame, book) for _ in range(3))
    per_call = rows_of(few).num_rows / calls
    result = {
        "meter_rows": many.num_rows,
        "cpu_seconds": round(spent, 3),
        "meter_rows_per_cpu_second": round(rate),
        "genai_prices_rows_per_cpu_second": round(calls * per_call / genai_cpu),
        "times_genai_prices": round(rate / (calls * per_call / genai_cpu), 1),
        "fa_price_rows_per_cpu_second": round(from_frame),
        "fa_price_cpu_seconds_per_million": round(1_000_000 / from_frame, 3),
        "fa_price_times_genai_prices": round(from_frame / (calls * per_call / genai_cpu), 1),
    }
    if litellm_cpu:
        result["litellm_rows_per_cpu_second"] = round(calls * per_call / litellm_cpu)
        result["times_litellm"] = round(rate / (calls * per_call / litellm_cpu), 1)
        result["fa_price_times_litellm"] = round(from_frame / (calls * per_call / litellm_cpu), 1)
    return result


def main() -> int:
    """Measure, print, compare with the bars."""
    parser = argparse.ArgumentParser(description="Rows priced per CPU second, against two peers.")
    parser.add_argument("--rows", type=int, default=4_000_000)
    parser.add_argument("--calls", type=int, default=4_000)
    parser.add_argument("--litellm", default=sys.executable, help="a Python that has litellm")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = measure(options.rows, options.calls, options.litellm)
    missed = [f"{name}: {result[name]} < {bar}" for name, bar in BARS.items() if name in result and result[name] < bar]
    print(json.dumps(result, indent=1) if options.json else "\n".join(f"{k:36} {v:>14,}" for k, v in result.items()))
    if "times_litellm" not in result:
        print("litellm isn't installed: not compared with it")
    for line in missed:
        print("MISSED", line)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
