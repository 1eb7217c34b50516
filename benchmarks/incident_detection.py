"""How well what is out of the ordinary is found, beside a three-line rule and a change-point library, on planted events.

    python benchmarks/incident_detection.py [FOLDER of servegen_hourly.parquet] [SEEDS=2]

First single series: the sample company's daily cost by prompt and team; ServeGen's clients as they were (two weeks), and made
into ten weeks and two (days) and four weeks (hours): each client's usual week again and again, with ordinary noise and a
wandering level. Planted at random places after two weeks (hours: after one; where there are but two, in their last third), 0.6
to 4 times the series' usual day: spikes, level shifts, leaks (growing), drops of 60 to 100 %, a runaway (four days). The
three-line rule is: off by more than half of the median of the same weekday of the last four weeks.
`ruptures` (PELT with a Gaussian cost on the logarithms without their weekdays; if it is installed) sees the whole
series at once, the others only the past.

Then whole companies through `fa.incidents`: ten ServeGen clients as teams with users, and one event each of a spike, a
shift, a leak, a drop, a runaway user, a token jump, a cache collapse and an error storm. An event is found if an incident of its
team, or of somebody inside it, touches it.

Prints recall, false incidents per series (in companies: per team) and month of data that could be judged, and incidents per
found event. Of the false ones it counts those that hold a value beyond everything before: the series as they were have events of
their own, such as four days at a twentieth of the usual.
"""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import numpy as np

import finops_ai as fa
from finops_ai.frames import TokenFrame, conform
from finops_ai.tables.grouping import grouped
from finops_ai.tables.unusual import DAILY, HOURLY, Grain, Run, unusual

try:
    import ruptures
except ImportError:
    ruptures = None

KINDS = ("spike", "shift", "leak", "drop", "runaway")


def three_lines(values: np.ndarray, grain: Grain) -> list[Run]:
    """Off by more than half of the median of the same weekday (or hour) in the last four seasons; neighbours are one."""
    runs: list[Run] = []
    for i in range(grain.least_past, len(values)):
        same = values[max(0, i - 4 * grain.season) : i][::-1][grain.season - 1 :: grain.season] if i >= grain.season else values[:i]  # fmt: skip
        expected = float(np.median(same))
        if abs(values[i] - expected) > 0.5 * expected:
            if runs and i - runs[-1].end <= 3:
                runs[-1] = Run(runs[-1].start, i, np.append(runs[-1].expected, expected), True)
            else:
                runs.append(Run(i, i, np.array([expected]), True))
    return runs


def change_points(values: np.ndarray, grain: Grain) -> list[Run]:
    """Segments of `ruptures` that are off by half of the median of those before; seen afterwards, the whole series known."""
    season = grain.season
    logs = np.log(values + 0.02 * np.median(values) + 1e-9)
    flat = logs - np.array([np.median(logs[i % season :: season]) for i in range(len(logs))])
    spread = max(1.4826 * float(np.median(np.abs(np.diff(flat)))) / np.sqrt(2), 0.05)
    cuts = ruptures.Pelt(model="l2", min_size=1, jump=1).fit(flat / spread).predict(pen=3 * np.log(len(flat)))
    runs, start = [], 0
    for end in cuts:
        if start >= grain.least_past:
            before = float(np.median(flat[:start]))
            if abs(np.expm1(float(flat[start:end].mean()) - before)) > 0.5 and end - start <= 3 * season:
                runs.append(Run(start, end - 1, np.zeros(end - start), True))
        start = end
    return runs


# ---- series


def sample_series() -> list[np.ndarray]:
    """Daily cost by prompt and by team, in stretches in which the sample planted nothing itself."""
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


def servegen(folder: Path) -> list[np.ndarray]:
    """Hourly tokens (answers weigh four times) of the larger clients."""
    import pandas as pd

    frame = pd.read_parquet(folder / "servegen_hourly.parquet")
    frame["tokens"] = frame["input_tokens"] + 4 * frame["output_tokens"]
    table = frame.pivot_table(index="ds", columns=["model", "client"], values="tokens", aggfunc="sum").fillna(0.0)
    table = table.loc[:, (table.sum() > table.sum().quantile(0.5)) & ((table > 0).mean() > 0.95)]
    return [table[c].to_numpy(float) for c in table.columns]


def by_day(values: np.ndarray) -> np.ndarray:
    return values[: len(values) // 24 * 24].reshape(-1, 24).sum(axis=1)


def shaped(values: np.ndarray, week: int, weeks: int, noise: float, rng: np.random.Generator) -> np.ndarray:
    """A client's usual week, again and again, with noise of every value and a level that wanders by the day."""
    logs = np.log(values[: len(values) // week * week] + 0.02 * np.median(values) + 1e-9)
    usual = np.tile(logs.reshape(-1, week).mean(axis=0), weeks)
    level = np.repeat(np.cumsum(rng.normal(0, 0.015, 7 * weeks)), week // 7)
    return np.exp(usual + level + rng.normal(0, noise, len(usual)))


def planted(values: np.ndarray, kind: str, rng: np.random.Generator, grain: Grain) -> tuple[np.ndarray, int, int]:
    """The series with one event, and its first and last place; a spike of hours has its day's worth in three hours."""
    out, low = values.copy(), min(14 * grain.day if grain is DAILY else 7 * grain.day, len(values) * 2 // 3)
    length = {"spike": 1, "runaway": 4, "leak": 8, "drop": 3, "shift": 10}[kind] * grain.day
    length = 3 if kind == "spike" and grain is HOURLY else min(length, (len(values) - low) // 2)
    start = int(rng.integers(low, len(values) - length))
    usual = float(np.median(values[:start])) if grain is DAILY else float(values[:start].mean())
    strength = float(rng.uniform(0.6, 4.0)) * (8 if kind == "spike" and grain is HOURLY else 1)
    if kind == "drop":
        out[start : start + length] *= 1 - rng.uniform(0.6, 1.0)
    elif kind == "leak":
        out[start : start + length] += usual * strength * np.linspace(0.3, 1.5, length)
    else:
        out[start : start + length] += usual * strength
    return out, start, start + length - 1


def beyond_past(values: np.ndarray, run: Run) -> bool:
    """Whether a stretch holds a value above, or below, everything before it: an event of the data itself rather than a false one."""
    inside, before = values[run.start : run.end + 1], values[: run.start]
    return bool(inside.max() > before.max() if run.up else inside.min() < before.min())


def score(name: str, series: list[np.ndarray], grain: Grain, seeds: int) -> None:
    """Recall, false incidents per series and month, incidents per event."""
    month = 30 * grain.day
    detectors: dict[str, Callable] = {"finops-ai": unusual, "three lines": three_lines}
    if ruptures is not None and grain is DAILY:
        detectors["ruptures"] = change_points
    print(f"{name}: {len(series)} series of {int(np.median([len(s) for s in series]))}")
    for label, find in detectors.items():
        quiet = sum(len(find(v, grain)) for v in series) / (sum(len(v) - grain.least_past for v in series) / month)
        text, hits, events, pieces = [], 0, 0, 0
        beyond = [beyond_past(v, r) for v in series for r in find(v, grain)]
        for kind in KINDS:
            found = total = 0
            for seed in range(seeds):
                rng = np.random.default_rng(seed)
                for values in series:
                    changed, start, end = planted(values, kind, rng, grain)
                    touching = [r for r in find(changed, grain) if r.start <= end and r.end >= start]
                    found += bool(touching)
                    total += 1
                    pieces += len(touching)
            text.append(f"{kind} {found / total:.2f}")
            hits, events = hits + found, events + total
        print(
            f"  {label:12} recall {hits / events:.3f} ({', '.join(text)}); false per series and month {quiet:.2f} ({sum(beyond)} of {len(beyond)} beyond all seen before); per found event {pieces / max(hits, 1):.2f}",
            flush=True,
        )


# ---- whole companies

DAYS, FIRST = 70, dt.datetime(2026, 7, 6, tzinfo=dt.UTC)
#: kind of event -> (days, what it multiplies: calls, fresh input, cached input, output)
EVENTS = {
    "spike": (1, None), "shift": (10, None), "leak": (8, None), "drop": (3, None), "runaway user": (4, None), "token jump": (5, None),
    "cache collapse": (6, None), "error storm": (3, None),
}  # fmt: skip
RULES = {"dimensions": {"team": {}}, "rules": [{"name": "key", "set": {"team": "{api_key_id}"}}]}


def company(shapes: list[np.ndarray], events: list[str], seed: int):
    """Priced rows of ten teams with four users each, and where the events were planted: team, first and last day, kind."""
    rng = np.random.default_rng(seed)
    rows, truth = [], []
    for n in range(10):
        shape = shaped(by_day(shapes[(n * 3 + seed) % len(shapes)]), 7, DAYS // 7, 0.12, rng)
        calls = shape / shape.mean() * rng.uniform(20_000, 60_000)
        kind = events[n] if n < len(events) else None
        at = (0, -1)
        if kind:
            length = EVENTS[kind][0]
            first = int(rng.integers(21, DAYS - length))
            at = (first, first + length - 1)
            truth.append((f"team{n}", *at, kind))
        size = float(rng.uniform(0.8, 3.0))
        for day in range(DAYS):
            inside = at[0] <= day <= at[1]
            more = 1.0
            if inside and kind in ("spike", "shift"):
                more = 1 + size
            elif inside and kind == "leak":
                more = 1 + size * (0.3 + 1.2 * (day - at[0]) / 7)
            elif inside and kind == "drop":
                more = 0.2
            jump = 1 + size if inside and kind == "token jump" else 1.0
            cached = 0.02 if inside and kind == "cache collapse" else 0.7
            for user, part in enumerate((0.4, 0.3, 0.2, 0.1)):
                own = calls[day] * part * more * rng.lognormal(0, 0.15)
                if inside and kind == "runaway user" and user == 2:
                    own *= 1 + 5 * size
                failed = own * (0.3 if inside and kind == "error storm" else 0.01) * rng.lognormal(0, 0.2)
                fresh = 3000 * jump * rng.lognormal(0, 0.05)
                use = {
                    ("requests", "ok"): own, ("requests", "error"): failed, ("input", "ok"): own * fresh * (1 - cached),
                    ("cache_read", "ok"): own * fresh * cached, ("output", "ok"): own * 300 * rng.lognormal(0, 0.05),
                }  # fmt: skip
                begin = FIRST + dt.timedelta(days=day)
                for (meter, outcome), amount in use.items():
                    if int(amount) > 0:
                        rows.append({
                            "charge_period_start": begin, "charge_period_end": begin + dt.timedelta(days=1), "provider": "openai",
                            "billing_account_id": "a", "model": "gpt-5.4-mini", "operation": "chat", "meter": meter, "quantity": Decimal(int(amount)),
                            "unit": "requests" if meter == "requests" else "tokens", "service_tier": "standard", "api_key_id": f"team{n}",
                            "user_id": f"user{n}-{user}", "prompt_id": f"prompt{n}@v1", "outcome": outcome, "source": "log", "quantity_basis": "metered",
                        })  # fmt: skip
    frame = conform({k: [r[k] for r in rows] for k in rows[0]}, TokenFrame, source="made up")
    return fa.allocate(fa.price(frame), RULES), truth


def score_companies(shapes: list[np.ndarray], seeds: int) -> None:
    """fa.incidents over whole companies: one event, one incident, all measures, dimensions, keys, prompts and users watched."""
    kinds = list(EVENTS)
    found = dict.fromkeys(kinds, 0)
    pieces = false = quiet = 0
    for seed in range(seeds):
        rows, truth = company(shapes, kinds, seed)
        table = fa.incidents(rows, most=1000)
        for row in table.to_dict("records"):
            who = str(row["group"] or "").replace("user", "team").replace("prompt", "team").split("-")[0].split("@")[0]
            start, end = ((row[c] - FIRST.date()).days for c in ("start", "end"))
            mine = [t for t in truth if who in (t[0], "") and start <= t[2] + 1 and end >= t[1]]
            pieces += bool(mine)
            false += not mine
        for team, first, last, kind in truth:
            hit = [
                r for r in table.to_dict("records")
                if team == str(r["group"] or "").replace("user", "team").replace("prompt", "team").split("-")[0].split("@")[0]
                and (r["start"] - FIRST.date()).days <= last and (r["end"] - FIRST.date()).days >= first
            ]  # fmt: skip
            found[kind] += bool(hit)
        quiet += len(fa.incidents(company(shapes, [], seed)[0], most=1000))
    hits, months = sum(found.values()), 10 * (DAYS - 7) / 30
    print(f"companies through fa.incidents: {seeds} of ten teams and {DAYS} days, eight events each")
    print(
        f"  recall {hits / (seeds * len(kinds)):.3f} ({', '.join(f'{k} {v / seeds:.2f}' for k, v in found.items())}); false per team and month "
        f"{false / (seeds * months):.2f} beside the events, {quiet / (seeds * months):.2f} without any; per found event {pieces / max(hits, 1):.2f}",
        flush=True,
    )


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[2] / "shared" / "data"
    seeds = int(sys.argv[2]) if len(sys.argv) > 2 else 2
    if ruptures is None:
        print("The change-point library isn't measured: pip install ruptures.")
    score("sample company, daily cost", sample_series(), DAILY, seeds)
    if not (folder / "servegen_hourly.parquet").exists():
        print(f"ServeGen's clients aren't measured: no servegen_hourly.parquet in {folder}.")
        return
    hourly, rng = servegen(folder), np.random.default_rng(3)
    score("ServeGen shapes, daily, ten weeks", [shaped(by_day(v), 7, 10, 0.15, rng) for v in hourly], DAILY, seeds)
    score("ServeGen shapes, daily, two weeks", [shaped(by_day(v), 7, 2, 0.15, rng) for v in hourly], DAILY, seeds)
    score("ServeGen as it was, daily, two weeks", [by_day(v) for v in hourly], DAILY, seeds)
    score("ServeGen shapes, hourly, four weeks", [shaped(v, 168, 4, 0.3, rng) for v in hourly[::3]], HOURLY, 1)
    score_companies(hourly, max(1, seeds))


if __name__ == "__main__":
    main()
