"""The sample company's daily sums read back: every token of the ground truth, by team."""

from __future__ import annotations

from pathlib import Path

from finops_ai_litellm import LiteLLMConnector

from finops_ai.periods import Window
from finops_ai.sample import frames
from finops_ai.sample.native_litellm import write


def test_the_gateways_sums_read_back_exactly(tmp_path: Path) -> None:
    truth = frames.slices()
    connector = LiteLLMConnector(files=[str(p) for p in write(truth, tmp_path)])
    window = Window.of("2025-10-01", "2026-11-01")
    frame, truth = connector.usage(window), truth[truth["gateway"]]
    meters = {
        "input": ["input"],
        "cache_read": ["cache_read"],
        "output": ["output", "reasoning"],
        "requests": ["requests"],
    }
    for meter, columns in meters.items():
        expected = truth.groupby("team")[columns].sum().sum(axis=1)
        found = frame[frame["meter"] == meter].groupby("sub_account_id")["quantity"].sum()
        assert {team: int(n) for team, n in found.items()} == {team: int(n) for team, n in expected.items() if n}
    assert {dict(tags)["team"] for tags in frame["tags"]} == set(truth["team"])
    assert set(frame["provider"]) == {"openai"}
