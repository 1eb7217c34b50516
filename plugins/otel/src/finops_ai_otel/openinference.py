"""OpenInference spans (Arize Phoenix and others) in the names of the OpenTelemetry conventions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

KIND = "openinference.span.kind"
COUNTS = "llm.token_count."
#: kinds of spans that are model calls -> the conventions' word for the operation
OPERATIONS = {"LLM": "chat", "EMBEDDING": "embeddings", "RERANKER": "rerank"}
NAMES = {
    "llm.token_count.prompt": "gen_ai.usage.input_tokens",
    "llm.token_count.completion": "gen_ai.usage.output_tokens",
    "llm.token_count.total": "gen_ai.usage.total_tokens",
    "llm.token_count.prompt_details.cache_read": "gen_ai.usage.cache_read.input_tokens",
    "llm.token_count.prompt_details.cache_write": "gen_ai.usage.cache_creation.input_tokens",
    "llm.token_count.prompt_details.audio": "gen_ai.usage.audio.input_tokens",
    "llm.token_count.completion_details.reasoning": "gen_ai.usage.reasoning.output_tokens",
    "llm.token_count.completion_details.audio": "gen_ai.usage.audio.output_tokens",
    "llm.model_name": "gen_ai.response.model",
    "embedding.model_name": "gen_ai.response.model",
    "reranker.model_name": "gen_ai.response.model",
    "llm.prompt_template.version": "gen_ai.prompt.version",
    "session.id": "session.id",
    "user.id": "user.id",
}
#: what of the answer's own JSON is an identity or a price modifier, not text
ANSWER = {"id": "gen_ai.response.id", "service_tier": "openai.response.service_tier"}
PARAMETERS = {
    "temperature": "gen_ai.request.temperature",
    "max_tokens": "gen_ai.request.max_tokens",
    "max_completion_tokens": "gen_ai.request.max_tokens",
    "max_output_tokens": "gen_ai.request.max_tokens",
    "model": "gen_ai.request.model",
}


def is_openinference(names: set[str]) -> bool:
    """Whether attributes of these names are OpenInference's."""
    return KIND in names or any(name.startswith(COUNTS) for name in names)


def translated(attributes: Mapping[str, Any], output: str | None) -> dict[str, Any]:
    """The attributes with what they say in the conventions' names; those already there win.

    Args:
        attributes: flat, without texts.
        output: the answer as JSON text, of which only its id and tier are taken.

    >>> found = translated({"openinference.span.kind": "LLM", "llm.token_count.prompt": 3}, '{"id": "c-1", "text": "..."}')
    >>> found["gen_ai.usage.input_tokens"], found["gen_ai.response.id"], "text" in str(found)
    (3, 'c-1', False)
    """
    said: dict[str, Any] = {}
    for name, value in attributes.items():
        if new := NAMES.get(name):
            said[new] = value
    said["gen_ai.provider.name"] = attributes.get("llm.provider") or attributes.get("llm.system")
    said["gen_ai.operation.name"] = OPERATIONS.get(str(attributes.get(KIND, "")).upper())
    for parameters in (attributes.get("llm.invocation_parameters"), attributes.get("embedding.invocation_parameters")):
        said |= {
            new: v
            for name, new in PARAMETERS.items()
            if isinstance(v := _object(parameters).get(name), int | float | str)
        }
    said |= {new: v for name, new in ANSWER.items() if isinstance(v := _object(output).get(name), str) and len(v) < 200}
    kept = {name: value for name, value in attributes.items() if name not in NAMES or NAMES[name] == name}
    return {name: value for name, value in said.items() if value is not None} | kept


def _object(text: Any) -> dict[str, Any]:
    try:
        found = json.loads(text) if isinstance(text, str) else {}
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
