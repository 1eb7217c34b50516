"""What the reports' rows and records look like where they are read."""

from __future__ import annotations

from finops_ai.shapes import Shape

_CACHE = {"ephemeral_5m_input_tokens": "digits", "ephemeral_1h_input_tokens": "digits"}
_NAMES = (
    "api_key_id", "workspace_id", "model", "service_tier", "inference_geo", "organization_id", "product", "speed", "context_window",
    "account_id", "service_account_id", "currency", "cost_type", "token_type", "description",
)  # fmt: skip
#: a row of usage or cost of either family, dimensions and figures beside each other
ROW: Shape = {
    "starting_at!": "text", "ending_at!": "text", **dict.fromkeys(_NAMES, "text"), "requests": "digits", "total_tokens": "digits", "cache_creation": _CACHE,
    "server_tool_use": {"web_search_requests": "digits"},
    "actor": {
        "type": "text", "user_id": "text", "email_address": "text", "name": "text", "service_account_id": "text", "api_key_id": "text",
        "subject": "text", "provider": "any",
    },
}  # fmt: skip
#: an analytics row as it comes
PAGE_ROW: Shape = {"group!": {}, "usage": {}, "cost": {}}
#: a saved page or a record of a log
PAGE: Shape = {"data_refreshed_at": "text", "message": "any", "type": "any"}
#: a record of the Claude Code report
CODE: Shape = {
    "date!": "text", "actor": {"type": "text", "email_address": "text", "api_key_name": "text"}, "organization_id": "text",
    "customer_type": "text", "terminal_type": "text", "subscription_type": "text",
    "model_breakdown!": [{
        "model": "text", "tokens": {"input": "digits", "output": "digits", "cache_read": "digits", "cache_creation": "digits"},
        "estimated_cost": {"currency": "text", "amount": "number"},
    }],
}  # fmt: skip
