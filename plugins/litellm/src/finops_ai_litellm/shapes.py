"""What rows of the gateway's tables look like where they are read."""

from __future__ import annotations

from finops_ai.shapes import Shape

_TEXTS = (
    "call_type", "api_key", "model", "model_id", "model_group", "custom_llm_provider", "team_id", "organization_id", "status",
    "user", "user_id", "agent_id", "endpoint",
)  # fmt: skip
#: columns of counts: numbers in a database, texts in a CSV, fractions of nothing in a table with gaps
COUNTS = (
    "total_tokens", "prompt_tokens", "completion_tokens", "api_requests", "cache_read_input_tokens", "cache_creation_input_tokens",
)  # fmt: skip
#: a row of the spend log or of a daily table
ROW: Shape = {
    **dict.fromkeys(_TEXTS, "text"), "request_id": "value", "end_user": "value", "session_id": "value",
    **dict.fromkeys(COUNTS, "digits"),
}  # fmt: skip
#: the parts of its metadata that are read
METADATA: Shape = {
    "user_api_key_alias": "text", "user_api_key_team_alias": "text", "user_api_key_user_id": "text", "user_api_key_project_id": "text",
    "status": "text",
}  # fmt: skip
#: what its usage object says besides counts
USAGE: Shape = {"inference_geo": "text", "service_tier": "text", "speed": "text"}
