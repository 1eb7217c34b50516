"""The backtest's figures against sums done by hand."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from finops_ai.errors import DataError, SettingsError
from finops_ai.forecasting import backtest, run_backtest
from finops_ai.forecasting.models import _MODELS, register_model


def frame(y, name="a", freq="D"):
    return pd.DataFrame({"unique_id": name, "ds": pd.date_range("2026-01-01", periods=len(y), freq=freq), "y": y})


@pytest.fixture
def always_ten():
    register_model("always_ten", lambda y, h, s: np.full((len(y), h), 10.0), min_seasons=0)
    yield ["always_ten"]
    del _MODELS["always_ten"]


def test_errors_add_up_by_hand(always_ten):
    # history 4, 6, 8, 10 then 12, 10: the line says 12, 14; naive 10, 10; the last season of 2 is 8, 10; ours 10, 10
    done = run_backtest(frame([4.0, 6.0, 8.0, 10.0, 12.0, 10.0]), 2, 2, 1, models=always_ten)
    rows = done.summary.set_index("model")
    mae = done.series.set_index("model")["MAE"]
    assert mae.to_dict() == pytest.approx({"finops_ai": 1.0, "linear": 2.0, "naive": 1.0, "seasonal_naive": 2.0})
    assert rows.loc["finops_ai", "relMAE_linear"] == pytest.approx(0.5)
    assert rows.loc["finops_ai", "relMAE_seasonal_naive"] == pytest.approx(0.5)
    # bias: (10 + 10) - (12 + 10) over 22; total likewise; MASE: 1 over the mean |y - y two before| = 4
    assert rows.loc["finops_ai", "bias"] == pytest.approx(-2 / 22)
    assert rows.loc["finops_ai", "total_APE"] == pytest.approx(2 / 22)
    assert rows.loc["finops_ai", "MASE"] == pytest.approx(1 / 4)
    assert rows.loc["naive", "WAPE"] == pytest.approx(2 / 22)


def test_quantile_loss_of_a_naive_forecast_by_hand(always_ten):
    done = run_backtest(frame([10.0, 12.0, 10.0, 12.0, 10.0, 12.0]), 1, 1, 1, models=always_ten)
    # naive says 10 with sigma 2 (every step is 2): P10 = 10 - 2z, P90 = 10 + 2z, the actual is 12
    z = 1.2815515655446004
    low, high = 10 - 2 * z, 10 + 2 * z
    loss = 0.1 * (12 - low) + 0.5 * (12 - 10) + 0.1 * (high - 12)  # pinball at P10, P50, P90
    found = done.series.set_index("model").loc["naive", "WQL"]
    assert found == pytest.approx(2 / 3 * loss / 12)
    assert done.series.set_index("model").loc["naive", "coverage_80"] == 1.0


def test_ratios_are_averaged_over_origins_then_geometrically_over_series(always_ten):
    # series a: errors of ours 1 and 3 (mean 2); series b: 8 and 8 (mean 8); naive: 4 and 4 on both
    a = frame([5.0, 15.0, 5.0, 9.0, 13.0], "a")
    b = frame([5.0, 5.0, 14.0, 18.0, 22.0], "b")
    found = backtest(pd.concat([a, b]), 1, 1, 2, 1, models=always_ten, detail="series").query("model == 'finops_ai'")
    ours = {"a": (abs(10 - 13) + abs(10 - 9)) / 2, "b": (12 + 8) / 2}
    naive = {"a": 4.0, "b": 4.0}
    assert found.set_index("unique_id")["MAE"].to_dict() == pytest.approx(ours)
    expected = np.sqrt(ours["a"] / naive["a"] * ours["b"] / naive["b"])
    summary = backtest(pd.concat([a, b]), 1, 1, 2, 1, models=always_ten).set_index("model")
    assert summary.loc["finops_ai", "relMAE_naive"] == pytest.approx(expected)


def test_the_future_is_never_seen():
    random = np.random.default_rng(1)
    y = np.abs(random.normal(100, 20, 80))
    changed = y.copy()
    changed[-10:] *= 50
    before, after = (backtest(frame(v), 10, 7, 1, detail="points")["finops_ai"] for v in (y, changed))
    assert before.tolist() == after.tolist()


def test_dead_series_are_left_out_and_said():
    alive, dead = frame(np.abs(np.random.default_rng(0).normal(9, 2, 60)), "alive"), frame(np.zeros(60), "dead")
    done = run_backtest(pd.concat([alive, dead]), 5, 7, 2)
    assert done.settings["series"] == 1
    assert "2 series and origins left out" in done.notes[0]


@pytest.mark.long
def test_default_windows_leave_half_the_history():
    assert run_backtest(frame(np.arange(100.0)), 10, 7).settings["windows"] == 5
    assert run_backtest(frame(np.arange(900.0)), 10, 7).settings["windows"] == 12


def test_what_cannot_be_tested_is_refused():
    with pytest.raises(DataError, match="too few to hold back 30"):
        backtest(frame(np.ones(20)), 30)
    with pytest.raises(DataError, match="Every series is 0"):
        backtest(frame(np.zeros(50)), 5)
    with pytest.raises(SettingsError, match="windows is 0"):
        backtest(frame(np.ones(50)), 5, windows=0)


@pytest.mark.long
def test_the_command_prints_the_figures(tmp_path: Path):
    random = np.random.default_rng(4)
    y = np.tile([5.0, 6, 7, 6, 5, 2, 1], 12) + random.normal(0, 0.3, 84)
    frame(y).to_csv(tmp_path / "series.csv", index=False)
    code = "from finops_ai.cli.forecasting import backtest; backtest(standalone_mode=True)"
    command = [
        sys.executable,
        "-c",
        code,
        str(tmp_path / "series.csv"),
        "--horizon",
        "7",
        "--season",
        "7",
        "--format",
        "json",
    ]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout)
    assert found["series"] == 1
    assert 0 < found["relMAE_linear"] < 0.5
    assert {row["model"] for row in found["models"]} == {"finops_ai", "linear", "naive", "seasonal_naive"}


def test_priced_rows_are_tested_by_dimension():
    days = pd.date_range("2026-01-01", periods=80, tz="UTC")
    rows = pd.DataFrame(
        {
            "charge_period_start": days,
            "charge_period_end": days + pd.Timedelta(days=1),
            "effective_cost": 5.0,
            "team": "a",
        }
    )
    rows = pd.concat([rows, rows.assign(team="b", effective_cost=np.arange(80.0))])
    assert set(backtest(rows, 7, by=["team"], detail="series")["unique_id"]) == {"a", "b"}
