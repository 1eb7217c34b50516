"""The published accuracy on real traffic, where the data folder lies beside the checkout."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("forecast_accuracy", ROOT / "benchmarks" / "forecast_accuracy.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "section",
    [
        "hourly",
        "weekdays",
        pytest.param("other-cuts", marks=pytest.mark.slow),
        "web-daily",
        "cold-start",
        "temperature",
        pytest.param("known-change", marks=pytest.mark.slow),
        pytest.param("output-length", marks=pytest.mark.slow),
        pytest.param("speed", marks=pytest.mark.slow),
        "conservation",
    ],
)
@pytest.mark.long
def test_bars_are_met(bench, section, monkeypatch):
    monkeypatch.setenv("FINOPS_AI_PROGRESS", "off")
    needed, measure = bench.SECTIONS[section]
    if needed and not (DATA / needed).exists():
        pytest.skip(f"the real traffic file {needed} is not beside this checkout, so its accuracy bar is not checked")
    for what, figure, low, high in measure(DATA):
        assert low <= figure <= high, f"{what}: {figure:.4f}, bar {low} to {high}"
