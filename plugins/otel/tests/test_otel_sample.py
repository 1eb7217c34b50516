"""The sample company's telemetry read back: every token and call of the ground truth, by team and prompt."""

from __future__ import annotations

from pathlib import Path

import pytest
from finops_ai_otel import OtelConnector

from finops_ai.periods import Window
from finops_ai.sample import frames
from finops_ai.sample.native_otel import write


@pytest.mark.long
def test_the_telemetry_reads_back_exactly(tmp_path: Path) -> None:
    truth = frames.slices()
    connector = OtelConnector(files=[str(p) for p in write(truth, tmp_path)])
    window = Window.month("2026-10")
    frame = connector.usage(window)
    starts = truth["charge_period_start"]
    truth = truth[truth["gateway"] & (starts >= window.start) & (starts < window.end)]
    for meter in ("input", "cache_read", "output", "reasoning", "requests"):
        expected = truth.groupby("prompt_id")[meter].sum()
        found = frame[frame["meter"] == meter].groupby("prompt_id")["quantity"].sum()
        assert {prompt: int(n) for prompt, n in found.items()} == {
            prompt: int(n) for prompt, n in expected.items() if n
        }
    assert {(dict(tags)["team"], dict(tags)["product"]) for tags in frame["tags"]} == set(
        zip(truth["team"], truth["product"], strict=True)
    )
    assert not connector.notes
