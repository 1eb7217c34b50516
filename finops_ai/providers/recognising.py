"""What a file is that came without a word: which connector or reader knows it, by its content."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from finops_ai.errors import DataError
from finops_ai.providers.registry import registry
from finops_ai.providers.responses import is_response_log
from finops_ai.providers.tables import form_of
from finops_ai.providers.texts import SAMPLE, shape_of
from finops_ai.providers.unpacking import members

#: connector -> columns or keys that together tell its files
SIGNS: dict[str, list[set[str]]] = {
    "otel": [{"resourceSpans"}, {"resourceMetrics"}],
    "focus": [{"BilledCost", "ChargePeriodStart"}],
    "litellm": [{"request_id", "startTime", "spend"}],
    "bedrock": [{"schemaType", "modelId", "requestId"}],
    "cursor": [{"usageEvents"}, {"Date", "Kind", "Model", "Total Tokens"}],
    "github-copilot": [{"username", "sku", "gross_amount", "net_amount"}],
    "codex": [{"timestamp", "type", "payload"}],
    "claude-code": [{"sessionId", "type", "uuid", "message"}],
}


def recognise(paths: Sequence[Path]) -> str | None:
    """The connector or reader that knows these files; None where they are a table only its owner can explain.

    Args:
        paths: files of one kind; the first is looked at.
    """
    with members(paths[0]) as inside:
        file, shown = inside[0]
        try:
            form = form_of(file, Path(shown).name)
        except DataError:
            return None
        names = set(shape_of(file).names) if form == "csv" else _keys(file) if form in ("json", "jsonl") else set()
        if form == "parquet":
            names = _parquet_names(file)
    for name, signs in SIGNS.items():
        if name in registry().connectors and any(sign <= names for sign in signs):
            return name
    return "responses" if form in ("json", "jsonl") and is_response_log(paths[0]) else None


def _keys(path: Path) -> set[str]:
    """Keys of the first document, and of the first element of a list in it."""
    from finops_ai.providers.files import read_bytes

    head = read_bytes(path)[:SAMPLE].lstrip(b"\xef\xbb\xbf \n\r\t[")
    decoder: Any = json.JSONDecoder()
    try:
        document, _ = decoder.raw_decode(head.decode("utf-8", "ignore"))
    except ValueError:
        return set()
    first = document.get("data") if isinstance(document, dict) else None
    inner = first[0].keys() if isinstance(first, list) and first and isinstance(first[0], dict) else ()
    return {*(document if isinstance(document, dict) else ()), *inner}


def _parquet_names(path: Path) -> set[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return set(pq.read_schema(path).names)
    except (pa.ArrowException, OSError):
        return set()
