"""`finops-ai recommend` on a small workspace: found, decided, no longer counted, and measured in a later month."""

from __future__ import annotations

import datetime as dt
import json

import pytest

import finops_ai as fa
from finops_ai.cli import group
from finops_ai.periods import Window
from tests.conftest import make_tokens

TOML = """
[providers.openai]
enabled = false
[dimensions.team]
[[rules]]
name = "all"
set = { team = "sales" }
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Ten days of calls in the priority tier in September, in the standard tier and twice as many in October."""
    (tmp_path / "finops.toml").write_text(TOML)
    lake = fa.open(tmp_path).lake
    rows = []
    for month, tier, many in ((9, "priority", 1), (10, "standard", 2)):
        for day in range(1, 31):
            at = {
                "at": dt.datetime(2026, month, day, tzinfo=dt.UTC),
                "model": "gpt-5.4",
                "service_tier": tier,
                "api_key_id": "k",
                "slice_requests": 100 * many,
            }
            rows += [at | {"quantity": 1_000_000 * many}, at | {"meter": "requests", "quantity": 100 * many}]
    lake.replace("tokens", "openai", Window.of("2026-09-01", "2026-11-01"), make_tokens(rows), {})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*args):
    from click.testing import CliRunner

    result = CliRunner().invoke(group, ["recommend", *args], standalone_mode=False)
    if result.exception:
        raise result.exception
    return result.stdout


def rows(*args):
    return json.loads(run(*args, "--format", "json"))


@pytest.mark.long
def test_found_decided_and_measured(folder):
    found = rows("--month", "2026-09")
    # thirty million tokens at 5 instead of 2.50
    assert [(r["kind"], float(r["saving"]), float(r["saving_high"]), r["owner"]) for r in found] == [
        ("tier", 75.0, 75.0, "sales")
    ]
    id = found[0]["id"]
    assert len(rows("evidence", id, "--month", "2026-09")) == 60
    assert "priority" in run("show", id, "--month", "2026-09")
    run("dismiss", id, "--reason", "a launch", "--month", "2026-09")
    again = rows("--month", "2026-09")[0]
    assert (again["state"], again["reason"], again["counted"]) == ("dismissed", "a launch", False)
    run("reopen", id, "--month", "2026-09")
    run("done", id, "--month", "2026-09")
    assert not rows("--month", "2026-10")
    real = rows("realised", "--month", "2026-10")[0]
    # twice the calls at half the price: sixty million tokens at 2.50 less, thirty of them promised
    assert (float(real["saved"]), float(real["saved_as_found"]), real["inside"]) == (150.0, 75.0, True)
    assert [line["state"] for line in map(json.loads, (folder / "opportunities.jsonl").read_text().splitlines())] == [
        "dismissed",
        "open",
        "done",
    ]
    assert rows("realised", "--month", "2026-09")[0]["saved"] is None
