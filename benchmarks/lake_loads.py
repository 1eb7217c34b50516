"""CPU and memory of what a row costs on its way into the lake and through a frame, per million rows.

    python benchmarks/lake_loads.py [ROWS=1000000] [FORM...]

Rows are `engine_rules`' calls and meters, as a whole token frame. Each form runs in a process of its own after a small
warm-up; the memory is what the process holds at most beyond the frame it was given. Forms:

    replace        a first load of rows in order of time
    same           the same rows again: nothing changes
    restated       the same rows with other quantities
    other models   the same rows with other models
    out of order   rows in no order, as a first load
    validation     `check_frame` of the whole frame
    jsonl          `fa.read` of gzip JSON lines, one call each, a meter row per counted kind of token
    allocate       `fa.allocate` of a priced frame with 60 rules

Bars: a replacement 3 CPU s and 400 MB, validation 0.2, jsonl 4.5 per million meter rows, allocate 1.5.
"""

from __future__ import annotations

import gzip
import json
import resource
import subprocess
import sys
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from engine_rules import METERS, make_rules, peak_of_process, pieces, write_rows

import finops_ai as fa
from finops_ai.frames import check_frame, conform
from finops_ai.periods import Window
from finops_ai.store import Lake

BARS = {
    "replace": 3.0, "same": 3.0, "restated": 3.0, "other models": 3.0, "out of order": 3.0, "validation": 0.2, "jsonl": 4.5, "allocate": 1.5,
}  # fmt: skip
YEAR = Window.of("2025-11-01", "2026-11-02")
MAPPING = f"""
[columns]
charge_period_start = "at"
provider = "provider"
model = "model"
api_key_id = "key"
billing_account_id = "account"
request_id = "id"
[time]
lasts = "1s"
[[usage]]
meters = {{ {", ".join(f"{m} = '{m}'" for m in METERS)} }}
"""


def frame_of(folder: Path) -> pd.DataFrame:
    """The rows of a folder as a whole token frame."""
    table = pq.read_table(folder / "rows.parquet")
    count = table.num_rows
    ids = pc.binary_join_element_wise(
        "call-", pa.array(np.repeat(np.arange(-(-count // 4)), 4)[:count].astype(str)), ""
    )
    table = table.append_column(
        "charge_period_end", pc.add(table["charge_period_start"], pa.scalar(1_000_000, pa.duration("us")))
    )
    table = table.append_column("request_id", ids)
    for name, value in (("operation", "chat"), ("source", "log"), ("quantity_basis", "metered")):
        table = table.append_column(name, pa.repeat(value, count))
    return conform(table, source="benchmark")


def write_lines(path: Path, rows: int) -> None:
    """The same calls as gzip JSON lines."""
    number = 0
    with gzip.open(path, "wt", compresslevel=1, encoding="utf-8") as out:
        for table, quantity in pieces(-(-rows // len(METERS))):
            calls = table.select(
                ["charge_period_start", "provider", "model", "api_key_id", "billing_account_id"]
            ).to_pylist()
            for call, counts in zip(calls, quantity.tolist(), strict=True):
                line = {
                    "at": call["charge_period_start"].isoformat(),
                    "provider": call["provider"],
                    "model": call["model"],
                    "key": call["api_key_id"],
                    "account": call["billing_account_id"],
                    "id": f"call-{number}",
                }
                out.write(json.dumps(line | dict(zip(METERS, counts, strict=True))) + "\n")
                number += 1


def prepared(form: str, folder: Path, place: Path) -> Any:
    """What a form is given, and what it then does with it."""
    if form == "jsonl":
        mapping = place / "mapping.toml"
        mapping.write_text(MAPPING, "utf-8")
        path = place / "log.jsonl.gz"
        write_lines(path, pq.read_metadata(folder / "rows.parquet").num_rows)
        return lambda: len(fa.read(path, format="jsonl", mapping=mapping))
    frame = frame_of(folder)
    if form == "validation":
        return lambda: check_frame(frame, source="benchmark")
    if form == "allocate":
        priced, rules = fa.price(frame), make_rules(60)
        return lambda: fa.allocate(priced, rules)
    lake, given = Lake(str(place / "lake")), frame
    if form in ("same", "restated", "other models"):
        lake.replace("tokens", "logs", YEAR, frame)
    if form == "restated":
        given = frame.assign(
            quantity=pd.array(
                pc.add(pa.array(frame["quantity"]), Decimal(1)).cast(pa.decimal128(38, 6)),
                dtype=frame["quantity"].dtype,
            )
        )
    elif form == "other models":
        given = frame.assign(model=frame["model"] + "-b")
    elif form == "out of order":
        given = frame.sample(frac=1, random_state=1, ignore_index=True)
    return lambda: lake.replace("tokens", "logs", YEAR, given)


def run_form(form: str, folder: Path) -> dict[str, float]:
    """Run one form in this process, after a small warm-up; CPU seconds and memory beyond what it was given."""
    with tempfile.TemporaryDirectory() as small, tempfile.TemporaryDirectory() as place:
        prepared(form, folder / "small", Path(small))()
        work = prepared(form, folder, Path(place))
        held = _held()
        before = resource.getrusage(resource.RUSAGE_SELF)
        work()
        after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"cpu": cpu, "memory": max(0.0, peak_of_process() - held)}


def _held() -> float:
    """Resident memory now, and the peak set back to it where the system can."""
    try:
        Path("/proc/self/clear_refs").write_text("5", "ascii")
    except OSError:
        return 0.0
    return peak_of_process()


def main(rows: str = "1e6", *forms: str) -> None:
    """Run the forms and print what a million rows cost."""
    count = int(float(rows))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "small").mkdir()
        write_rows(folder / "small", 4000)
        write_rows(folder, count)
        for form in forms or BARS:
            done = subprocess.run([sys.executable, __file__, "--form", form, str(folder)], capture_output=True, text=True, check=True)  # fmt: skip
            said = json.loads(done.stdout.splitlines()[-1])
            print(f"{form:<13} {said['cpu'] * 1e6 / count:6.2f} CPU s per 1M rows (bar {BARS[form]}), {said['memory']:5.0f} MB beyond the frame", flush=True)  # fmt: skip


if __name__ == "__main__":
    if sys.argv[1:2] == ["--form"]:
        print(json.dumps(run_form(sys.argv[2], Path(sys.argv[3]))))
    else:
        main(*sys.argv[1:])
