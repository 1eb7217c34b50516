"""CPU of price + map + add up over meter rows, beside merely scanning them and beside a query written by hand.

    python benchmarks/engine_rules.py [ROWS=1000000] [ROUNDS=3]

Rows are request-level, four meters a call, priced with the bundled book. Each form runs in a process of its own, after a
small warm-up: CPU seconds are the median of the rounds, the peak is the process's resident memory. Forms:

    scan        every column that the rules and prices read, with the cheapest aggregate of each
    by hand     what a DuckDB user writes over one row per call: a CASE of the 60 rules, a join to their outcome, a join to
                a table of prices with one column per meter (`BY_HAND`); its totals are the same to the last digit
    N rules     `finops_ai.engine.aggregate` over the meter rows

Bars: 60 rules at most 3.5 times the scan and 1.5 times the query by hand, 300 rules at most 1.5 times 60, 1,000 at most
twice, 512 MB. `python benchmarks/engine_rules.py 1e6,1e7` also prints the growth exponent (bar 1.05).
"""

from __future__ import annotations

import json
import math
import random
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from finops_ai.engine import Rules, aggregate
from finops_ai.engine.aggregating import scan_fields
from finops_ai.engine.conditions import to_sql
from finops_ai.engine.dialects import DUCKDB
from finops_ai.engine.duck import Scan, connect
from finops_ai.meters import meters
from finops_ai.prices import PriceBook

MODELS = {
    "openai": ["gpt-4.1-mini-2025-04-14", "gpt-4o-2024-08-06", "gpt-4o-mini-2024-07-18", "gpt-5-mini", "gpt-5.1-2025-11-13", "gpt-5.4", "gpt-5.4-mini", "gpt-5.4-nano"],
    "anthropic": ["claude-haiku-4-5-20251001", "claude-opus-4-1-20250805", "claude-opus-4-5-20251101", "claude-opus-4-8", "claude-sonnet-4-5-20250929", "claude-sonnet-4-6", "claude-sonnet-5"],
    "azure-openai": ["gpt-4.1", "gpt-4.1-mini", "gpt-5.4-mini", "gpt-4o", "gpt-4o-mini", "gpt-5"],
    "bedrock": ["amazon.nova-lite-v1:0", "amazon.nova-pro-v1:0", "global.anthropic.claude-haiku-4-5-20251001-v1:0", "global.anthropic.claude-sonnet-4-6"],
    "vertex": ["gemini-2.5-flash", "gemini-2.5-pro", "gemini-3.1-flash-lite"],
    "oci": ["cohere.command-r-plus-08-2024", "meta.llama-3.3-70b-instruct"],
}  # fmt: skip
METERS = ["input", "cache_read", "cache_write_5m", "output"]
KINDS = ["search", "chat", "rag", "agents", "etl", "support", "code", "vision"]
ENVIRONMENTS = ["prod", "staging", "dev"]
RULES = (60, 300, 1000)
BY = ["month", "team", "product", "environment", "model"]
#: calls written at a time
PIECE = 250_000

BY_HAND = """
WITH told AS (SELECT *, CASE {rules} ELSE {none} END AS rule_number FROM calls)
SELECT CAST(date_trunc('month', t.started) AS DATE) AS month, o.team, o.product, o.environment, t.model,
       sum(t.input + t.cache_read + t.cache_write_5m + t.output) AS quantity,
       sum(t.input * p.input + t.cache_read * p.cache_read + t.cache_write_5m * p.cache_write_5m + t.output * p.output) AS effective_cost
FROM told t JOIN outcomes o ON t.rule_number = o.rule_number
JOIN price_list p ON t.provider = p.provider AND t.model = p.model AND t.service_tier = p.service_tier
                 AND t.region = p.region AND CAST(t.started AS DATE) = p.day
GROUP BY ALL
"""


def universe() -> dict[str, list[str]]:
    """Names that rows and rules share."""
    r = random.Random(5)
    return {
        "key": [f"sk-{r.choice(['prd', 'stg', 'dev'])}-{i:04d}" for i in range(200)],
        "project": [f"proj-{KINDS[i % 8]}-{i:03d}" for i in range(120)],
        "user": [f"user{i:05d}@{['corp', 'eu.corp', 'contractor'][i % 3]}.example" for i in range(5000)],
        "prompt": [
            f"tpl/{['summarise', 'extract', 'classify', 'answer', 'plan'][i % 5]}/v{i % 7}/{i:04d}" for i in range(500)
        ],
        "account": [f"acct-{i:03d}" for i in range(24)],
        "region": ["us-east-1", "us-west-2", "eu-west-1", "eu-central-1", "ap-southeast-1", "ap-northeast-1"],
        "team": [f"team-{i:02d}" for i in range(60)],
    }


def pieces(calls: int) -> Any:
    """Calls of a year in order of time, a piece at a time: columns of the call, and its meters' quantities."""
    u, r = universe(), np.random.default_rng(1)
    sold = [(p, m) for p, models in MODELS.items() for m in models]
    maps = [
        [("env", ENVIRONMENTS[e]), ("feature", f"f{f:02d}")] + ([("team", u["team"][k % 60]), ("cost_center", f"CC{1000 + k % 40}")] if k % 10 < 7 else [])
        for k in range(200) for e in range(3) for f in range(30)
    ]  # fmt: skip
    tags = pa.array(maps, pa.map_(pa.string(), pa.string()))
    year, first = 365 * 86_400, np.datetime64("2025-11-01", "us")

    def text(index: np.ndarray, names: list[str]) -> pa.Array:
        return pa.array(names).take(pa.array(index.astype(np.int32)))

    for low in range(0, calls, PIECE):
        n = min(PIECE, calls - low)
        key = np.minimum((r.pareto(1.2, n) * 20).astype(int), 199)
        model = r.integers(0, len(sold), n)
        environment, feature = r.integers(0, 3, n), r.integers(0, 30, n)
        seconds = np.sort(r.integers(low * year // calls, max((low + n) * year // calls, 1), n))
        table = pa.table(
            {
                "charge_period_start": pa.array(first + seconds.astype("timedelta64[s]"), pa.timestamp("us", tz="UTC")),
                "provider": text(model, [p for p, _ in sold]), "billing_account_id": text(key % 24, u["account"]),
                "sub_account_id": text(key * 7 % 120, u["project"]), "region": text(r.integers(0, 6, n), u["region"]),
                "model": text(model, [m for _, m in sold]),
                "service_tier": text(r.choice(3, n, p=[0.8, 0.15, 0.05]), ["standard", "batch", "flex"]),
                "api_key_id": text(key, u["key"]), "user_id": text((key * 25 + r.integers(0, 25, n)) % 5000, u["user"]),
                "prompt_id": text((key * 11 + r.integers(0, 10, n)) % 500, u["prompt"]),
                "tags": tags.take(pa.array(key * 90 + environment * 30 + feature)),
                "slice_input_tokens": pa.array(np.full(n, 1000)), "slice_requests": pa.array(np.ones(n, np.int64)),
            }
        )  # fmt: skip
        yield table, np.exp(r.normal(6.5, 1.2, (n, len(METERS)))).astype(np.int64) + 1


def write_rows(folder: Path, rows: int) -> None:
    """Write the same calls twice: `rows.parquet` has one row per meter, as a token frame, `calls.parquet` one per call."""
    unit, writers = meters()["input"].unit, {}
    for table, quantity in pieces(-(-rows // len(METERS))):
        calls = table.rename_columns(["started", *table.column_names[1:]])
        for i, meter in enumerate(METERS):
            calls = calls.append_column(meter, pa.array(quantity[:, i]))
        every = pa.array(np.repeat(np.arange(table.num_rows), len(METERS)))
        long = table.take(every)
        long = long.append_column(
            "meter", pa.array(METERS).take(pa.array(np.tile(np.arange(len(METERS)), table.num_rows)))
        )
        exact = pa.array(quantity.reshape(-1)).cast(pa.decimal128(19, 0)).cast(pa.decimal128(19, 6))
        long = long.append_column("quantity", exact).append_column("unit", pa.repeat(unit, len(every)))
        for name, made in (("rows", long), ("calls", calls)):
            if name not in writers:
                writers[name] = pq.ParquetWriter(folder / f"{name}.parquet", made.schema, compression="zstd")
            writers[name].write_table(made, row_group_size=250_000)
    for writer in writers.values():
        writer.close()


def make_rules(count: int) -> Rules:
    """Ordered rules of every kind, in the mix a real mapping has; each sets three dimensions."""
    u, r = universe(), random.Random(3)
    made = []
    for i in range(count):
        when = [
            lambda: {"api_key_id": r.choice(u["key"])},
            lambda: {"sub_account_id": r.choice(u["project"])},
            lambda: {"api_key_id": r.sample(u["key"], 8)},
            lambda: {"billing_account_id": r.sample(u["account"], 3), "region": r.choice(u["region"])},
            lambda: {"sub_account_id": {"prefix": f"proj-{r.choice(KINDS)}-{r.randint(0, 1)}"}},
            lambda: {"prompt_id": {"prefix": f"tpl/{r.choice(['summarise', 'extract'])}/v{r.randint(0, 6)}"}},
            lambda: {"sub_account_id": {"regex": f"^proj-(code|vision)-[0-9]*{r.randint(0, 9)}$"}},
            lambda: {"user_id": {"regex": f"^user[0-9]{{3}}{r.randint(0, 9)}[0-4]@(eu\\.)?corp"}, "tags.env": "dev"},
            lambda: {"tags.team": r.choice(u["team"])},
            lambda: {"tags.team": {"prefix": f"team-{r.randint(0, 5)}"}, "tags.env": r.choice(ENVIRONMENTS)},
        ][i % 10]()
        sets = {
            "team": f"T{r.randint(0, 39)}",
            "product": f"P{r.randint(0, 24)}",
            "environment": r.choice(ENVIRONMENTS),
        }
        made.append({"name": f"rule {i}", "when": when, "set": sets})
    return Rules.load({"dimensions": {"team": {}, "product": {}, "environment": {}}, "rules": made})


def scan_only(folder: Path) -> None:
    """Read every column the task reads, with the cheapest aggregate of each."""
    with connect() as con:
        scan = Scan(con, folder / "rows.parquet", scan_fields(BY, PriceBook.default(), make_rules(60)))
        picked = [
            "sum(cardinality(tags))" if c == "tags" else f"max({scan.column(c)})" for c in scan.columns if c != "unit"
        ]
        con.sql(f"SELECT {', '.join(picked)} FROM {scan.name}").fetchall()


def by_hand(folder: Path, rules: Rules, prices: pa.Table) -> pa.Table:
    """The query a DuckDB user writes over one row per call: of rules, those somebody wrote (no call is idle capacity)."""
    rules = rules.as_written()
    with connect() as con:
        con.execute(
            f"CREATE TEMP VIEW calls AS SELECT * REPLACE (make_timestamp(epoch_us(started)) AS started) FROM '{folder / 'calls.parquet'}'"
        )
        con.register("price_list", prices)
        values = [{"rule_number": i, **{d: v.text for d, v in r.set.items()}} for i, r in enumerate(rules.rules)]
        con.register("outcomes", pa.Table.from_pylist([*values, {"rule_number": len(values), **rules.defaults}]))
        column = lambda name: f"tags['{name[5:]}']" if name.startswith("tags.") else name  # noqa: E731
        whens = [f"WHEN {to_sql(r.when, DUCKDB, column)} THEN {i}" for i, r in enumerate(rules.rules)]
        return con.sql(BY_HAND.format(rules=" ".join(whens), none=len(whens))).to_arrow_table()  # fmt: skip


def price_list(folder: Path) -> pa.Table:
    """The bundled book's prices as the query by hand has them: a row per model, tier, region and day, a column per meter."""
    with connect() as con:
        calls = f"'{folder / 'calls.parquet'}'"
        keys = con.sql(
            f"""SELECT provider, model, m.meter, service_tier, CAST(NULL AS VARCHAR) AS context_tier,
                       CAST(NULL AS VARCHAR) AS inference_geo, region, d.day
                FROM (SELECT DISTINCT provider, model, service_tier, region FROM {calls}), (SELECT unnest({METERS}) AS meter) m,
                     (SELECT CAST(unnest(generate_series(DATE '2025-11-01', DATE '2026-10-31', INTERVAL 1 DAY)) AS DATE) AS day) d"""
        ).to_arrow_table()
        con.register("expanded", PriceBook.default().expand(keys))
        return con.sql(
            "PIVOT (SELECT provider, model, service_tier, region, day, meter, contracted_unit_price FROM expanded) "
            "ON meter USING any_value(contracted_unit_price)"
        ).to_arrow_table()


def same(one: pa.Table, two: pa.Table) -> bool:
    """Whether the groups and amounts are equal; a group without a price is null in both."""
    kept = [*BY, "quantity", "effective_cost"]
    sets = [{tuple(str(r[c] if c == "month" or not hasattr(r[c], "normalize") else r[c].normalize()) for c in kept) for r in t.select(kept).to_pylist()} for t in (one, two)]  # fmt: skip
    return sets[0] == sets[1]


def run_form(form: str, folder: Path) -> dict[str, float]:
    """Run one form in this process, after a small warm-up; CPU seconds and peak memory."""
    small = folder / "small"
    prices = {f: pq.read_table(f / "prices.parquet") for f in (small, folder)} if form == "by hand" else {}
    rules = make_rules(int(form.split()[0])) if form.endswith("rules") else make_rules(60)

    def work(place: Path) -> None:
        if form == "scan":
            scan_only(place)
        elif form == "by hand":
            by_hand(place, rules, prices[place])
        else:
            aggregate(place / "rows.parquet", BY, rules=rules, costs=("effective_cost",))

    work(small)
    before = resource.getrusage(resource.RUSAGE_SELF)
    work(folder)
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"cpu": cpu, "peak": peak_of_process()}


def peak_of_process() -> float:
    """Most resident memory of this process in MB; what `ru_maxrss` says begins with the parent's."""
    try:
        told = Path("/proc/self/status").read_text("ascii")
        return int(told.split("VmHWM:")[1].split()[0]) / 1024
    except (OSError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(rows: int, rounds: int) -> dict[str, float]:
    """Run all forms over so many rows and print the figures; CPU seconds by form."""
    forms = ["scan", "by hand", *(f"{n} rules" for n in RULES)]
    with tempfile.TemporaryDirectory() as place:
        folder, small = Path(place), Path(place) / "small"
        small.mkdir()
        for where, count in ((small, 4000), (folder, rows)):
            write_rows(where, count)
            pq.write_table(price_list(where), where / "prices.parquet")
        ours = aggregate(small / "rows.parquet", BY, rules=make_rules(60), costs=("effective_cost",))
        assert same(pa.Table.from_pandas(ours), by_hand(small, make_rules(60), pq.read_table(small / "prices.parquet")))
        said: dict[str, list[dict[str, float]]] = {form: [] for form in forms}
        for _ in range(rounds):
            for form in forms:
                done = subprocess.run(
                    [sys.executable, __file__, "--form", form, str(folder)], capture_output=True, text=True, check=True
                )
                said[form].append(json.loads(done.stdout.splitlines()[-1]))
    cpu = {form: statistics.median(r["cpu"] for r in runs) for form, runs in said.items()}
    print(f"{rows:,} meter rows")
    for form, seconds in cpu.items():
        peak = max(r["peak"] for r in said[form])
        print(f"  {form:<11} {seconds:7.2f} CPU s  {seconds / cpu['scan']:5.2f} x scan  {rows / seconds / 1e6:5.2f} M rows per CPU s  peak {peak:4.0f} MB")  # fmt: skip
    print(f"  60 rules: {cpu['60 rules'] / cpu['scan']:.2f} x scan (bar 3.5), {cpu['60 rules'] / cpu['by hand']:.2f} x by hand (bar 1.5)")  # fmt: skip
    print(f"  300 rules: {cpu['300 rules'] / cpu['60 rules']:.2f} x 60 rules (bar 1.5); 1,000 rules: {cpu['1000 rules'] / cpu['60 rules']:.2f} (bar 2)")  # fmt: skip
    return cpu


def main(rows: str = "1e6", rounds: str = "3") -> None:
    """Measure each number of rows, and how CPU grows with it."""
    sizes = [int(float(n)) for n in rows.split(",")]
    found = [measure(n, int(rounds)) for n in sizes]
    for i in range(1, len(sizes)):
        grown = math.log(found[i]["60 rules"] / found[i - 1]["60 rules"]) / math.log(sizes[i] / sizes[i - 1])
        print(f"{sizes[i - 1]:,} to {sizes[i]:,} rows: growth exponent {grown:.3f} (bar 1.05)")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--form"]:
        print(json.dumps(run_form(sys.argv[2], Path(sys.argv[3]))))
    else:
        main(*sys.argv[1:3])
