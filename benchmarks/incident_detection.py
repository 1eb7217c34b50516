"""How well unusual stretches are found, beside a three-line rule, on planted events.

    python benchmarks/incident_detection.py [FOLDER of servegen_hourly.parquet] [SEEDS=5]

Series: the sample company's daily cost by prompt and team over thirteen months, and, where the folder has it, ServeGen's
clients (hourly, two weeks; days are summed hours). Planted, at random places, strengths from 0.6 to 4 times the series'
usual daily cost: spikes, level shifts, leaks (growing), drops, a runaway user. Prints recall, false incidents per series and month, and
incidents per planted event; the three-line rule is: off by more than half of the median of the same weekday of the last four weeks.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import finops_ai as fa
from finops_ai.tables.grouping import grouped
from finops_ai.tables.unusual import DAILY, HOURLY, Grain, Run, unusual

KINDS = ("spike", "shift", "leak", "drop", "runaway")


def three_lines(values: np.ndarray, grain: Grain) -> list[Run]:
    """Off by more than half of the median of the same weekday (or hour) in the last four seasons; neighbours are one."""
    runs: list[Run] = []
    for i in range(grain.least_past, len(values)):
        same = (
            values[max(0, i - 4 * grain.season) : i][::-1][grain.season - 1 :: grain.season]
            if i >= grain.season
            else values[:i]
        )
        expected = float(np.median(same))
        if abs(values[i] - expected) > 0.5 * expected:
            if runs and i - runs[-1].end <= grain.gap:
                runs[-1] = Run(runs[-1].start, i, np.append(runs[-1].expected, expected), True)
            else:
                runs.append(Run(i, i, np.array([expected]), True))
    return runs


def sample_series() -> list[np.ndarray]:
    """Daily cost by prompt and by team; days on which the sample planted something itself are cut off."""
    cost = fa.allocate(fa.price(fa.sample()), fa.sample.rules())
    out = []
    for key in ("team", "prompt_id"):
        rows = grouped(cost, [key, "day"], {"cost": "sum(effective_cost)"}, needs=("effective_cost",))
        first = min(r["day"] for r in rows)
        series: dict[str, np.ndarray] = {}
        for r in rows:
            if r[key] is not None:
                series.setdefault(r[key], np.zeros(396))[(r["day"] - first).days] = float(r["cost"] or 0)
        # quiet stretches of 70 days: without a change of models, prompts or prices in the sample's own events
        out += [v[a : a + 70] for v in series.values() for a in (215, 310) if v[a : a + 70].min() > 0.2]
    return out


def servegen(folder: Path) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Hourly tokens of the larger clients, and their daily sums."""
    import pandas as pd

    frame = pd.read_parquet(folder / "servegen_hourly.parquet")
    frame["tokens"] = frame["input_tokens"] + 4 * frame["output_tokens"]
    table = frame.pivot_table(index="ds", columns=["model", "client"], values="tokens", aggfunc="sum").fillna(0.0)
    table = table.loc[:, (table.sum() > table.sum().quantile(0.5)) & ((table > 0).mean() > 0.95)]
    hourly = [table[c].to_numpy(float) for c in table.columns]
    return hourly, [v[: len(v) // 24 * 24].reshape(-1, 24).sum(axis=1) for v in hourly]


def planted(values: np.ndarray, kind: str, rng: np.random.Generator, grain: Grain) -> tuple[np.ndarray, int, int]:
    """The series with one event, and its first and last place."""
    out, low = values.copy(), min(grain.least_past + grain.season, len(values) * 2 // 3)
    unit = grain.season if grain is HOURLY else 1
    length = {"spike": 1, "runaway": 4, "leak": 8, "drop": 3, "shift": 10}[kind] * unit
    length = min(length, (len(values) - low) // 2)
    start = int(rng.integers(low, len(values) - length))
    usual = float(np.median(values[:start]))
    strength = float(rng.uniform(0.6, 4.0))
    if kind == "drop":
        out[start : start + length] *= 1 - rng.uniform(0.6, 1.0)
    elif kind == "leak":
        out[start : start + length] += usual * strength * np.linspace(0.3, 1.5, length)
    else:
        out[start : start + length] += usual * strength
    return out, start, start + length - 1


def score(name: str, series: list[np.ndarray], grain: Grain, seeds: int) -> None:
    """Recall, false incidents per series and month, incidents per event."""
    month = 30 * (24 if grain is HOURLY else 1)
    detectors = {"finops-ai": lambda v: unusual(v, grain), "three lines": lambda v: three_lines(v, grain)}
    print(f"{name}: {len(series)} series of {int(np.median([len(s) for s in series]))}")
    for label, find in detectors.items():
        quiet = sum(len(find(v)) for v in series) / (sum(len(v) - grain.least_past for v in series) / month)
        text, hits, events, pieces = [], 0, 0, 0
        for kind in KINDS:
            found = total = 0
            for seed in range(seeds):
                rng = np.random.default_rng(seed)
                for values in series:
                    changed, start, end = planted(values, kind, rng, grain)
                    touching = [r for r in find(changed) if r.start <= end and r.end >= start]
                    found += bool(touching)
                    total += 1
                    pieces += len(touching)
            text.append(f"{kind} {found / total:.2f}")
            hits, events = hits + found, events + total
        print(
            f"  {label:12} recall {hits / events:.3f} ({', '.join(text)}); false per series and month {quiet:.2f}; per found event {pieces / max(hits, 1):.2f}",
            flush=True,
        )


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[2] / "shared" / "data"
    seeds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    score("sample company, daily cost", sample_series(), DAILY, seeds)
    if (folder / "servegen_hourly.parquet").exists():
        hourly, daily = servegen(folder)
        score("ServeGen, daily", daily, DAILY, seeds)
        score("ServeGen, hourly", hourly[:40], HOURLY, max(1, seeds // 5))
    else:
        print(f"ServeGen's clients aren't measured: no servegen_hourly.parquet in {folder}.")


if __name__ == "__main__":
    main()
