"""What OpenAI's organization API offers: one row per endpoint, as data.

Source: `openai` 3.54.0 (admin.organization.usage) and openai/openai-openapi of 2026-08-21.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa

#: the usage format of `finops_ai.meters` that completions results are counted in
TOKEN_FORMAT = "openai.usage_api"

TOKEN_COUNTS = (
    "input_tokens", "input_cached_tokens", "input_cache_write_tokens", "input_cache_write_30m_tokens",
    "input_cache_write_12h_tokens", "input_uncached_tokens", "input_audio_tokens", "input_image_tokens",
    "input_cached_audio_tokens", "input_cached_image_tokens", "output_tokens", "output_audio_tokens",
    "output_image_tokens", "num_model_requests",
)  # fmt: skip

#: buckets one page may hold, and the length of one
WIDTHS = {"1m": (60, 1440), "1h": (3600, 168), "1d": (86400, 31)}
COSTS_PER_PAGE = 180

_BY_CALLER = ("project_id", "user_id", "api_key_id", "model")


@dataclass(frozen=True)
class Endpoint:
    """One usage endpoint.

    Attributes:
        path: last part of `/organization/usage/<path>`.
        result: `<result>` in the answer's `organization.usage.<result>.result`.
        operation: the frame's operation.
        groups: dimensions to group by, finest first; a refused one is left out from the right of `optional`.
        required: counts each result must state.
        counts: meter -> field; empty for the token endpoints, whose fields `TOKEN_FORMAT` takes apart.
        model: stands in where the endpoint names no model.
        tags: dimensions kept as tags.
    """

    path: str
    result: str
    operation: str
    groups: tuple[str, ...]
    required: tuple[str, ...]
    counts: Mapping[str, str] = field(default_factory=dict)
    model: str = "unknown"
    tags: tuple[str, ...] = ()

    @property
    def object(self) -> str:
        """Discriminator of its results."""
        return f"organization.usage.{self.result}.result"

    @property
    def fields(self) -> pa.StructType:
        """Arrow type of one result: what this package reads of it; further fields are ignored."""
        words = ("project_id", "user_id", "api_key_id", "model", "service_tier", "vector_store_id", *self.tags)
        numbers = tuple(self.counts.values()) or TOKEN_COUNTS
        kinds = dict.fromkeys(words, pa.string()) | dict.fromkeys(numbers, pa.int64()) | {"batch": pa.bool_()}
        return pa.struct(kinds.items())


def _completions(path: str, operation: str) -> Endpoint:
    required = ("input_tokens", "output_tokens", "num_model_requests")
    return Endpoint(path, "completions", operation, (*_BY_CALLER, "batch", "service_tier"), required)


def _counted(path: str, operation: str, result: str = "", groups: tuple[str, ...] = _BY_CALLER, **rest) -> Endpoint:
    counts = rest.pop("counts")
    return Endpoint(path, result or path, operation, groups, tuple(counts.values()), counts, **rest)


ENDPOINTS: dict[str, Endpoint] = {
    endpoint.path: endpoint
    for endpoint in (
        _completions("completions", "chat"),
        _completions("decisions", "decisions"),
        _counted("embeddings", "embeddings", counts={"input": "input_tokens", "requests": "num_model_requests"}),
        _counted("moderations", "moderation", counts={"input": "input_tokens", "requests": "num_model_requests"}),
        _counted(
            "images", "image", groups=(*_BY_CALLER, "size", "source"), tags=("size", "source"),
            counts={"images": "images", "requests": "num_model_requests"},
        ),
        _counted("audio_speeches", "audio", counts={"characters": "characters", "requests": "num_model_requests"}),
        _counted("audio_transcriptions", "audio", counts={"audio_seconds": "seconds", "requests": "num_model_requests"}),
        _counted("vector_stores", "storage", groups=("project_id",), model="vector_stores", counts={"storage": "usage_bytes"}),
        _counted(
            "code_interpreter_sessions", "tool", groups=("project_id",), model="code_interpreter",
            counts={"code_sessions": "num_sessions"},
        ),
        _counted(
            "file_search_calls", "tool", "file_searches", model="file_search",
            groups=("project_id", "user_id", "api_key_id", "vector_store_id"), counts={"file_searches": "num_requests"},
        ),
        _counted(
            "web_search_calls", "tool", "web_searches", groups=(*_BY_CALLER, "context_level"),
            tags=("context_level",), counts={"web_searches": "num_requests"},
        ),
    )
}  # fmt: skip

#: dimensions to give up, in this order, where the API refuses a grouping with HTTP 400
OPTIONAL_GROUPS = (
    "context_level",
    "size",
    "source",
    "vector_store_id",
    "user_id",
    "api_key_id",
    "service_tier",
    "batch",
)
COST_LADDER = (("project_id", "line_item", "api_key_id"), ("project_id", "line_item"), ("line_item",))


def ladder(endpoint: Endpoint) -> list[tuple[str, ...]]:
    """Groupings to try, finest first.

    >>> ladder(ENDPOINTS["embeddings"])[1]
    ('project_id', 'api_key_id', 'model')
    """
    rungs = [endpoint.groups]
    for name in OPTIONAL_GROUPS:
        if name in rungs[-1]:
            rungs.append(tuple(group for group in rungs[-1] if group != name))
    return rungs
