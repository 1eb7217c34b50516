"""Measure the forecast against its bars: `python benchmarks/forecast_accuracy.py [--data DIR] [--only hourly,speed]`.

Real traffic comes from a folder of Parquet files beside the checkout (`../shared/data`); what isn't there is said and
left out. Exit code 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import sys
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd

from finops_ai.forecasting import (
    CacheAdoption,
    Change,
    ModelSwitch,
    OutputLengths,
    PriceChange,
    Scenario,
    compare_scenarios,
    forecast,
    forecast_cost,
    learn_temperature,
    run_backtest,
    under,
)

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
#: USD per token in and out, illustrative
RATES = {"m-large": (2.5e-6, 10e-6), "m-mid": (0.4e-6, 1.6e-6), "m-next": (2.5e-6 / 4, 10e-6 / 4)}
FEATURES = [
    "input_tokens", "p_chars", "p_words", "p_uniq", "p_digits", "p_lines", "p_questions", "p_avg_word", "p_code",
]  # fmt: skip

Measured = tuple[str, float, float, float]
"""What, figure, lowest and highest allowed."""


def hourly_series(rows: pd.DataFrame) -> pd.DataFrame:
    """Tokens per hour of each model and of the 15 largest clients; a missing hour is 0."""
    rows = rows.assign(y=rows["input_tokens"].astype(float) + rows["output_tokens"])
    hours = pd.date_range(rows["ds"].min(), rows["ds"].max(), freq="h")
    parts = {str(model): part.groupby("ds")["y"].sum() for model, part in rows.groupby("model")}
    largest = rows.groupby(["model", "client"])["y"].sum().nlargest(15).index
    for model, client in largest:
        parts[f"{model}/{client}"] = rows[(rows["model"] == model) & (rows["client"] == client)].set_index("ds")["y"]
    frames = [
        pd.DataFrame({"unique_id": k, "ds": hours, "y": v.reindex(hours).fillna(0.0).to_numpy()})
        for k, v in parts.items()
    ]
    return pd.concat(frames, ignore_index=True)


def hourly(data: Path) -> Iterator[Measured]:
    series = hourly_series(pd.read_parquet(data / "servegen_hourly.parquet"))
    for horizon, windows, bars in ((24, 4, (0.55, 0.81, 0.60, 0.75, 0.88)), (168, 1, (0.53, 0.91, 0.62, 0.75, 0.88))):
        found = run_backtest(series, horizon, 24, windows, 24).figures()
        yield f"hourly {horizon}: relMAE to linear", found["relMAE_linear"], 0, bars[0]
        yield f"hourly {horizon}: relMAE to seasonal naive", found["relMAE_seasonal_naive"], 0, bars[1]
        yield f"hourly {horizon}: relWQL to linear", found["relWQL_linear"], 0, bars[2]
        yield f"hourly {horizon}: coverage of 80 %", found["coverage_80"], bars[3], bars[4]
        yield f"hourly {horizon}: bias of the sum", found["bias"], -0.08, 0.08


def other_cuts(data: Path) -> Iterator[Measured]:
    """Clients and groups of clients that the 17 series leave out, held to the bars for traffic not looked at."""
    rows = pd.read_parquet(data / "servegen_hourly.parquet")
    rows["y"] = rows["input_tokens"].astype(float) + rows["output_tokens"]
    rows["unique_id"] = rows["model"] + "/" + rows["client"].astype(str)
    wide = rows.pivot_table(index="ds", columns="unique_id", values="y", aggfunc="sum").asfreq("h").fillna(0.0)
    order = wide.sum().sort_values(ascending=False).index
    random = np.random.default_rng(1)
    groups = {f"group {k}": wide[random.choice(order[3:150], 8, replace=False)].sum(axis=1) for k in range(24)}
    cuts = {
        "clients 16 to 45": wide[order[15:45]],
        "clients 46 to 90": wide[order[45:90]],
        "groups": pd.DataFrame(groups),
    }
    for name, cut in cuts.items():
        frame = cut.rename_axis("ds").melt(ignore_index=False, var_name="unique_id", value_name="y").reset_index()
        for horizon, windows in ((24, 4), (168, 1)):
            found = run_backtest(frame, horizon, 24, windows, 24).figures()
            yield f"{name}, {horizon}: relMAE to seasonal naive", found["relMAE_seasonal_naive"], 0, 1.0
            yield f"{name}, {horizon}: relWQL to linear", found["relWQL_linear"], 0, 0.80
            yield f"{name}, {horizon}: coverage of 80 %", found["coverage_80"], 0.70, 0.90
            if horizon == 24:
                yield f"{name}, {horizon}: bias of the sum", found["bias"], -0.19, 0.19


def weekdays(data: Path) -> Iterator[Measured]:
    """Made-up hourly series of eight weeks with quiet weekends: the week must be learned."""
    random = np.random.default_rng(2)
    hours = np.arange(56 * 24)
    y = np.exp(
        random.normal(5, 1, (20, 1))
        + random.uniform(0.2, 0.9, (20, 1)) * np.sin(2 * np.pi * (hours - 8) / 24)
        + np.log([1, 1.05, 1.05, 1, 0.95, 0.4, 0.3])[hours // 24 % 7]
        + 0.2 * random.standard_normal((20, len(hours)))
    )
    stamps = pd.date_range("2026-01-05", periods=len(hours), freq="h")
    frame = pd.DataFrame({"unique_id": np.repeat(np.arange(20), len(hours)), "ds": np.tile(stamps, 20), "y": y.ravel()})
    found = run_backtest(frame, 168, 24, 2, 84).figures()
    yield "hours with weekdays, 168: relMAE to seasonal naive", found["relMAE_seasonal_naive"], 0, 0.5
    yield "hours with weekdays, 168: coverage of 80 %", found["coverage_80"], 0.72, 0.90


def web_daily(data: Path) -> Iterator[Measured]:
    series = pd.read_parquet(data / "wiki_daily_peyton_manning.parquet")
    for windows, bar in ((12, 0.50), (6, 0.55)):  # the last six hold one event that decides them
        found = run_backtest(series, 30, 7, windows).figures()
        yield f"web daily 30, {found['windows']} windows: relMAE to linear", found["relMAE_linear"], 0, bar


def cold_start(data: Path) -> Iterator[Measured]:
    rows = pd.read_parquet(data / "servegen_hourly.parquet")
    rows["y"] = sum(
        rows[f"{side}_tokens"].astype(float) * rows["model"].map({m: r[i] for m, r in RATES.items()})
        for i, side in enumerate(("input", "output"))
    )
    daily = rows.assign(ds=rows["ds"].dt.floor("D"), unique_id=rows["model"] + "/" + rows["client"].astype(str))
    wide = daily.pivot_table(index="ds", columns="unique_id", values="y", aggfunc="sum").fillna(0.0)
    frame = wide.stack().rename("y").reset_index()
    found = run_backtest(frame, 7, 7, 1, freq="D").figures()
    yield "cold start, 7 days to 7 days: relMAE to linear", found["relMAE_linear"], 0, 0.70
    yield "cold start: error of the grand total", found["total_APE"], 0, 0.06


class Rates:
    """A price book of the illustrative rates."""

    def lookup(self, provider: str, model: str, meter: str, at: dt.datetime, service_tier: str = "standard") -> Rates:
        self.unit_price = Decimal(repr(RATES[model][meter != "input"])) if model in RATES else None
        return self

    def turns(self, provider: str, model: str) -> list[dt.datetime]:
        return []


def known_change(data: Path) -> Iterator[Measured]:
    rows = pd.read_parquet(data / "servegen_hourly.parquet")
    start = rows["ds"].dt.tz_localize("UTC")
    priced = pd.concat(
        [
            pd.DataFrame(
                {
                    "charge_period_start": start,
                    "charge_period_end": start + pd.Timedelta(hours=1),
                    "provider": "servegen",
                    "model": rows["model"],
                    "client": rows["client"].astype(str),
                    "meter": side,
                    "service_tier": "standard",
                    "quantity": rows[f"{side}_tokens"].astype(float),
                    "effective_cost": rows[f"{side}_tokens"].astype(float)
                    * rows["model"].map({m: r[i] for m, r in RATES.items()}),
                }
            )
            for i, side in enumerate(("input", "output"))
        ],
        ignore_index=True,
    )
    end = rows["ds"].max() + pd.Timedelta(hours=1)
    errors: dict[str, list[float]] = {}
    for origin in range(5):
        cut = end - pd.Timedelta(hours=72 + 24 * origin)
        base = forecast_cost(priced, 72, by=["client"], freq="h", until=cut)
        came = priced[(start_of(priced) >= cut) & (start_of(priced) < cut + pd.Timedelta(hours=72))]
        cost, large, into = came["effective_cost"], came["model"] == "m-large", came["meter"] == "input"
        day = cut.date()
        cases: dict[str, tuple[Change, pd.Series]] = {
            "model switch, a fourth of the price, x1.6 output": (
                ModelSwitch(start=day, from_model="m-large", to_model="m-next", output_factor=1.6),
                cost.where(~large, cost / 4 * np.where(into, 1, 1.6)),
            ),
            "all prices halved": (PriceChange(start=day, factor=0.5), cost / 2),
            "60 % of input cached at a tenth": (
                CacheAdoption(start=day, share=0.6, read_price=0.1),
                cost * np.where(into, 0.46, 1),
            ),
        }
        for name, (change, truth) in cases.items():
            made = under(base, Scenario(name, (change,)), Rates())  # type: ignore[arg-type]
            errors.setdefault(name, []).append(abs(made.prediction.point[0].sum() / truth.sum() - 1))
    for (name, found), bar in zip(errors.items(), (0.15, 0.12, 0.15), strict=True):
        yield f"known change, {name}: error of the total", float(np.mean(found)), 0, bar


def start_of(priced: pd.DataFrame) -> pd.Series:
    return priced["charge_period_start"].dt.tz_localize(None)


def output_length(data: Path) -> Iterator[Measured]:
    rows = pd.read_parquet(data / "castillo_output_lengths.parquet")
    tokens = np.stack(rows["output_tokens"].to_list()).astype(float)
    logs, means = np.log(np.maximum(tokens, 1)).mean(1), tokens.mean(1)
    fold = np.array([int(name[:8], 16) % 5 for name in rows["prompt_id"]])
    scores = []
    for k in range(5):
        learned = OutputLengths(features=FEATURES, kinds=("model", "dataset"), template=None).fit(rows[fold != k])
        made = learned.predict(rows[fold == k])
        y = logs[fold == k]
        r2 = 1 - ((y - np.log(made["median"])) ** 2).sum() / ((y - y.mean()) ** 2).sum()
        scores.append(
            (
                r2,
                *(
                    np.abs(made[c] - means[fold == k]).sum() / means[fold == k].sum()
                    for c in ("median", "output_tokens")
                ),
            )
        )
    r2, median, mean = np.mean(scores, axis=0)
    yield "output tokens, unseen prompts, 5 folds: R2 (log)", float(r2), 0.40, 1
    yield "output tokens: WAPE of the median", float(median), 0, 0.37
    yield "output tokens: WAPE of the mean-keeping figure", float(mean), 0, 0.37


def temperature(data: Path) -> Iterator[Measured]:
    rows = pd.read_parquet(data / "jhu_temperature.parquet")
    prompt = rows["agent"] + "/" + rows["exam"] + "/" + rows["problem_id"].astype(str)
    found = learn_temperature(rows.assign(prompt_id=prompt)).set_index("model")
    yield "temperature: growth of output per +1.0, all models", float(found.loc["(all)", "per_degree"]), 0.0, 0.12


def made_up(count: int, days: int = 180) -> pd.DataFrame:
    random = np.random.default_rng(6)
    week = np.array([1, 1.1, 1.05, 1, 0.9, 0.4, 0.3])[np.arange(days) % 7]
    y = np.exp(random.normal(5, 1, (count, 1))) * week * np.exp(0.2 * random.standard_normal((count, days)))
    stamps = pd.date_range("2026-01-01", periods=days)
    names = np.repeat([f"team-{i // 10}/model-{i % 10}" for i in range(count)], days)
    return pd.DataFrame({"unique_id": names, "ds": np.tile(stamps, count), "y": y.ravel()})


def speed(data: Path) -> Iterator[Measured]:
    forecast(made_up(2), 30)
    for count, bar in ((200, 5.0), (5000, 8.0)):
        frame = made_up(count)
        began = time.process_time()
        forecast(frame, 30, level=(80, 95))
        yield f"{count} series x 180 days, 30 ahead with intervals: CPU seconds", time.process_time() - began, 0, bar


def conservation(data: Path) -> Iterator[Measured]:
    import finops_ai as fa

    priced = fa.price(fa.sample(months=6))
    done = forecast_cost(priced, 30, by=["provider", "model"])
    total = done.prediction.point[0].sum()
    leaves = done.prediction.point[done.leaves].sum()
    yield "parts against total, relative gap", abs(leaves / total - 1), 0, 1e-9
    day = done.outlook.days[5].date()
    changes = (PriceChange(start=day, factor=0.5), CacheAdoption(start=day, share=0.3, read_price=0.1))
    table = compare_scenarios(done.outlook, [Scenario("both", changes)]).set_index(["scenario", "item"])["amount"]
    gap = table["both", "total"] - table["base", "total"] - table["both"].drop("total").sum()
    yield "scenario contributions against the difference, gap", float(abs(gap)), 0, 0


SECTIONS: dict[str, tuple[str | None, Callable[[Path], Iterator[Measured]]]] = {
    "hourly": ("servegen_hourly.parquet", hourly),
    "other-cuts": ("servegen_hourly.parquet", other_cuts),
    "weekdays": (None, weekdays),
    "web-daily": ("wiki_daily_peyton_manning.parquet", web_daily),
    "cold-start": ("servegen_hourly.parquet", cold_start),
    "known-change": ("servegen_hourly.parquet", known_change),
    "output-length": ("castillo_output_lengths.parquet", output_length),
    "temperature": ("jhu_temperature.parquet", temperature),
    "speed": (None, speed),
    "conservation": (None, conservation),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--only", default=",".join(SECTIONS), help=f"of {', '.join(SECTIONS)}")
    options = parser.parse_args()
    os.environ.setdefault("FINOPS_AI_PROGRESS", "off")
    missed = 0
    for name in options.only.split(","):
        needed, measure = SECTIONS[name]
        if needed and not (options.data / needed).exists():
            print(f"left out  {name}: {needed} is not in {options.data}")
            continue
        for what, figure, low, high in measure(options.data):
            good = low <= figure <= high
            missed += not good
            print(f"{'ok    ' if good else 'MISSED'}  {what}: {figure:.4g} (bar {low:g} to {high:g})", flush=True)
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
