"""Saved files of any kind, sorted by what they are: their content tells, not their name."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from finops_ai.errors import DataError
from finops_ai.providers.files import read_bytes, read_csv, read_json_any
from finops_ai.providers.parsing import require_shape
from finops_ai_azure_openai import gateway, query
from finops_ai_azure_openai.exports import Blob, is_export
from finops_ai_azure_openai.shapes import COSTS, RESOURCES


@dataclass
class Saved:
    """What was found in the files; each document with the place it is from."""

    metrics: list[tuple[str, Any]] = field(default_factory=list)
    resources: list[Any] = field(default_factory=list)
    costs: list[tuple[str, Any]] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)
    exports: list[Blob] = field(default_factory=list)


def sort_files(paths: Iterable[Path]) -> Saved:
    """Read answers and logs; exports stay unread until they are needed.

    Understood: answers of the metrics, accounts, deployments, subscriptions and cost query interfaces and of Log
    Analytics (JSON), diagnostic logs (JSON Lines), Log Analytics tables (CSV), cost exports with their manifests.

    Raises:
        DataError: a file is none of these.
    """
    found, records = Saved(), []
    for path in paths:
        if is_export(path.name):
            if ".csv" in path.name.lower() and {"PromptTokens", "CorrelationId"} <= set(_header(path)):
                records += [gateway.record(row) for _, row in read_csv(path)]
            else:
                found.exports.append(Blob(path.as_posix(), path.read_bytes))
            continue
        for number, document in read_json_any(path):
            records += _place(found, document, f"{path}, document {number}", path.name)
    found.calls = gateway.calls(records, "the gateway log files") if records else []
    return found


def _place(found: Saved, document: Any, place: str, name: str) -> list[dict[str, Any]]:
    if not isinstance(document, dict):
        raise DataError(f"{place}: expected an object, got {type(document).__name__}.")
    if "tables" in document:
        return [gateway.record(row) for row in gateway.answer_rows(document, place)]
    if "properties" in document and "columns" in (
        document["properties"] if isinstance(document["properties"], dict) else ()
    ):
        require_shape(document, COSTS, place)
        found.costs.append((query.kind_of(document, name), document))
    elif "interval" in document and "value" in document:
        found.metrics.append((place, document))
    elif "value" in document or "displayName" in document:
        require_shape(document, RESOURCES, place)
        found.resources.append(document)
    elif "CorrelationId" in document or "category" in document:
        if document.get("category", "GatewayLlmLogs") in ("GatewayLlmLogs", "ApiManagementGatewayLlmLog"):
            return [gateway.record(document)]
    else:
        raise DataError(
            f"{place}: not a saved answer this connector knows (it has {sorted(document)[:6]}). Save answers of the "
            "metrics, deployments or cost query interface, a gateway log, or a cost export."
        )
    return []


def _header(path: Path) -> list[str]:
    with path.open("rb") as stream:
        start = stream.read(2)
        stream.seek(0)
        if start == b"\x1f\x8b":
            try:
                line = gzip.GzipFile(fileobj=stream).readline()
            except (OSError, EOFError):
                read_bytes(path)  # raises, naming the damage
                raise
        else:
            line = stream.readline()
    return next(csv.reader(io.StringIO(line.decode("utf-8-sig", "replace").strip("\r\n"), newline="")), [])
