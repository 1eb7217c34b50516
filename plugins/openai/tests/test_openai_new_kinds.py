"""A new kind of token is seen, never dropped."""

from __future__ import annotations

import json
from decimal import Decimal as D

from finops_ai_openai.connector import OpenAI

from finops_ai.periods import Window


def test_a_new_kind_of_token_is_unmapped_and_said(tmp_path):
    result = {
        "object": "organization.usage.completions.result", "input_tokens": 10, "output_tokens": 5, "num_model_requests": 1,
        "input_cached_tokens": 0, "model": "gpt-5.4", "dream_tokens": 7,
    }  # fmt: skip
    page = {
        "object": "page",
        "data": [{"object": "bucket", "start_time": 1790812800, "end_time": 1790899200, "results": [result]}],
        "has_more": False,
    }
    (tmp_path / "completions.json").write_text(json.dumps(page))
    connector = OpenAI(files=str(tmp_path / "completions.json"))
    frame = connector.usage(Window.month("2026-10"))
    assert dict(zip(frame["meter"], frame["quantity"], strict=True)) == {
        "input": D(10),
        "output": D(5),
        "requests": D(1),
        "unmapped": D(7),
    }
    assert any("unmapped" in note for note in connector.notes)
