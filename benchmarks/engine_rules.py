"""CPU of price + map + add up on a million meter rows, as a ratio to merely scanning the same columns.

    python benchmarks/engine_rules.py [ROWS=1000000] [ROUNDS=5]

Prints, per number of rules, CPU seconds and the ratio to the scan (bar: at most 5 with 60 rules), and the ratio of 300 to
60 rules (bar: at most 2.5). CPU seconds of this process, median of the rounds, each round running every form once.
"""

from __future__ import annotations

import datetime as dt
import random
import resource
import statistics
import sys
import tempfile
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from finops_ai.engine import Rules, aggregate
from finops_ai.engine.aggregating import scan_fields
from finops_ai.engine.duck import Scan, connect
from finops_ai.meters import meters

PROVIDERS = ["openai", "anthropic", "azure-openai", "bedrock", "vertex", "oci"]
METERS = ["input", "cache_read", "cache_write_5m", "output"]
KINDS = ["search", "chat", "rag", "agents", "etl", "support", "code", "vision"]
ENVIRONMENTS = ["prod", "staging", "dev"]
FIRST = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


class DatedBook:
    """A price book of 40 models whose prices change each month."""

    key_columns = ("provider", "model", "meter", "service_tier")

    def change_days(self, first: dt.date, last: dt.date, models: object = ()) -> list[dt.date]:
        return [dt.date(y, m, 1) for y in range(first.year, last.year + 1) for m in range(1, 13)]

    def expand(self, keys: pa.Table) -> pa.Table:
        price, text, n = pa.decimal128(18, 12), pa.string(), keys.num_rows
        unit = [
            Decimal(1 + (hash_of(r["model"]) % 50) * (1 + METERS.index(r["meter"])) + r["day"].month).scaleb(-7)
            for r in keys.to_pylist()
        ]
        columns = {
            "list_unit_price": pa.array(unit, price), "over_tokens": pa.nulls(n, pa.int64()), "over_inclusive": pa.nulls(n, pa.bool_()),
            "list_unit_price_over": pa.nulls(n, price), "contracted_unit_price": pa.array(unit, price),
            "contracted_unit_price_over": pa.nulls(n, price), "price_id": keys["model"], "price_id_over": pa.nulls(n, text),
            "price_status": pa.array(["listed"] * n), "needs_confirmation": pa.array([False] * n), "model_developer": pa.nulls(n, text),
            "model_family": pa.nulls(n, text), "model_version": pa.nulls(n, text), "currency": pa.array(["USD"] * n),
        }  # fmt: skip
        for name, values in columns.items():
            keys = keys.append_column(name, values)
        return keys


def hash_of(name: str) -> int:
    """A number that is the same in every run."""
    return sum(ord(c) * (i + 1) for i, c in enumerate(name))


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
        "model": [f"model-{i:02d}" for i in range(40)],
        "region": ["us-east-1", "us-west-2", "eu-west-1", "eu-central-1", "ap-southeast-1", "ap-northeast-1"],
        "team": [f"team-{i:02d}" for i in range(60)],
    }


def write_rows(path: Path, rows: int) -> None:
    """Write request-level token rows: one row per meter, tags on 70% of the keys."""
    u, r = universe(), np.random.default_rng(1)
    calls = -(-rows // len(METERS))
    key = np.minimum((r.pareto(1.2, calls) * 20).astype(int), 199)
    every = np.repeat(np.arange(calls), len(METERS))[:rows]

    def text(index: np.ndarray, names: list[str]) -> pa.Array:
        return pa.DictionaryArray.from_arrays(pa.array(index[every].astype(np.int32)), pa.array(names)).cast(
            pa.string()
        )

    start = np.datetime64("2026-01-01", "us") + np.sort(r.integers(0, 365 * 86_400, calls)).astype("timedelta64[s]")
    environment, feature = r.integers(0, 3, calls), r.integers(0, 30, calls)
    maps = [
        [("env", ENVIRONMENTS[e]), ("feature", f"f{f:02d}")] + ([("team", u["team"][k % 60]), ("cost_center", f"CC{1000 + k % 40}")] if k % 10 < 7 else [])
        for k in range(200) for e in range(3) for f in range(30)
    ]  # fmt: skip
    meter = np.tile(np.arange(len(METERS)), calls)[:rows]
    quantity = np.exp(r.normal(6.5, 1.2, rows)).astype(np.int64) + 1
    tags = pa.array(maps, pa.map_(pa.string(), pa.string())).take(
        pa.array((key * 90 + environment * 30 + feature)[every])
    )
    table = pa.table(
        {
            "charge_period_start": pa.array(start[every], pa.timestamp("us", tz="UTC")),
            "provider": text(key % 6, PROVIDERS), "billing_account_id": text(key % 24, u["account"]),
            "sub_account_id": text(key * 7 % 120, u["project"]), "region": text(r.integers(0, 6, calls), u["region"]),
            "model": text((key % 6 + 6 * r.integers(0, 7, calls)) % 40, u["model"]),
            "meter": pa.array(METERS).take(pa.array(meter)), "quantity": pa.array(quantity).cast(pa.decimal128(19, 0)).cast(pa.decimal128(19, 6)),
            "unit": pa.array([meters()["input"].unit]).take(pa.array(np.zeros(rows, np.int32))),
            "service_tier": text(r.choice(3, calls, p=[0.8, 0.15, 0.05]), ["standard", "batch", "flex"]),
            "api_key_id": text(key, u["key"]), "user_id": text((key * 25 + r.integers(0, 25, calls)) % 5000, u["user"]),
            "prompt_id": text((key * 11 + r.integers(0, 10, calls)) % 500, u["prompt"]), "tags": tags,
            "slice_input_tokens": pa.array(np.full(rows, 1000)), "slice_requests": pa.array(np.ones(rows, np.int64)),
        }
    )  # fmt: skip
    pq.write_table(table, path, compression="zstd", row_group_size=250_000)


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


def cpu(work) -> float:
    """CPU seconds of this process that a call takes, all threads."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    work()
    after = resource.getrusage(resource.RUSAGE_SELF)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def scan_only(path: Path, fields: list[str]) -> None:
    """Read every column the task reads, with the cheapest aggregate of each."""
    with connect() as con:
        scan = Scan(con, path, fields)
        picked = [
            "sum(cardinality(tags))" if c == "tags" else f"max({scan.column(c)})"
            for c in dict.fromkeys("tags" if f.startswith("tags.") else f for f in fields)
        ]
        con.sql(f"SELECT {', '.join(picked)} FROM {scan.name}").fetchall()


def main(rows: int = 1_000_000, rounds: int = 5) -> dict[str, float]:
    """Run all forms and print the figures; returns them by name."""
    book, by = DatedBook(), ["month", "team", "product", "environment", "model"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        write_rows(path, rows)
        rules = {n: make_rules(n) for n in (60, 300)}
        fields = scan_fields(by, book, rules[60])
        forms = {"scan": lambda: scan_only(path, fields)}
        for n in rules:
            forms[f"{n} rules"] = lambda n=n: aggregate(path, by, book=book, rules=rules[n], costs=("effective_cost",))
        times: dict[str, list[float]] = {name: [] for name in forms}
        for _ in range(rounds):
            for name, work in forms.items():
                times[name].append(cpu(work))
    figures = {name: statistics.median(values) for name, values in times.items()}
    for name, seconds in figures.items():
        print(
            f"{name:<10} {seconds:6.2f} CPU s  {seconds / figures['scan']:5.1f} x scan  {rows / seconds / 1e6:5.2f} M rows per CPU s"
        )
    print(f"300 rules cost {figures['300 rules'] / figures['60 rules']:.2f} times 60 rules (bar 2.5)")
    print(f"60 rules cost {figures['60 rules'] / figures['scan']:.2f} times the scan (bar 5)")
    return figures


if __name__ == "__main__":
    main(*(int(float(a)) for a in sys.argv[1:3]))
