"""Coding tools as telemetry tells of them: their services, their own token metrics, and who used them. A device is no person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

Attributes = Mapping[str, Any]

SESSION = ("session.id", "gen_ai.conversation.id", "conversation.id")
AGENT = ("gen_ai.agent.name", "agent.name")
#: what a Copilot span states of the credits it and all inside it took: a thousand million are one credit
CREDITS, PER_CREDIT = "github.copilot.nano_aiu", Decimal(10**9)
#: people, by what a tool knows of them: an e-mail, else an account; never an installation
PEOPLE = ("user.email", "enduser.id", "user.account_id", "user.account_uuid")
#: what names a machine or an installation
DEVICES = ("user.id", "installation.id", "device.id", "host.id")


@dataclass(frozen=True)
class Tool:
    """A coding tool: its name, and who bills what it uses."""

    name: str
    provider: str


CLAUDE = Tool("claude-code", "anthropic")
CODEX = Tool("codex", "codex")
GEMINI = Tool("gemini-cli", "gemini-cli")
COPILOT = Tool("copilot", "github-copilot")
COPILOT_CLI = Tool("copilot-cli", "github-copilot")
#: service.name (lower case) -> tool
SERVICES = {
    "claude-code": CLAUDE, "claude_code": CLAUDE, "codex": CODEX, "codex-cli": CODEX, "codex_cli": CODEX, "codex_cli_rs": CODEX,
    "codex_exec": CODEX, "codex_vscode": CODEX, "codex-tui": CODEX, "codex-app-server": CODEX, "gemini-cli": GEMINI,
    "gemini_cli": GEMINI, "copilot-chat": COPILOT, "github-copilot": COPILOT, "github.copilot": COPILOT, "copilot": COPILOT,
    "copilot-cli": COPILOT_CLI, "github-copilot-cli": COPILOT_CLI,
}  # fmt: skip


@dataclass(frozen=True)
class TokenMetric:
    """A tool's own token metric: the attribute that tells kinds apart, kind -> path in the usage format ("" repeats others)."""

    tool: Tool
    format: str
    word: str
    kinds: Mapping[str, str] = field(default_factory=dict)


OWN_METRICS = {
    "claude_code.token.usage": TokenMetric(
        CLAUDE, "anthropic.messages", "type",
        {"input": "input_tokens", "output": "output_tokens", "cacheRead": "cache_read_input_tokens",
         "cacheCreation": "cache_creation_input_tokens"},
    ),
    "codex.turn.token_usage": TokenMetric(
        CODEX, "codex.rollout", "token_type",
        {"input": "input_tokens", "cached_input": "cached_input_tokens", "output": "output_tokens",
         "reasoning_output": "reasoning_output_tokens", "total": ""},
    ),
    "gemini_cli.token.usage": TokenMetric(
        GEMINI, "gemini_cli.log", "type",
        {"input": "input", "output": "output", "thought": "thoughts", "cache": "cached", "tool": "tool"},
    ),
}  # fmt: skip


def tool_of(resource: Attributes, attributes: Attributes = {}) -> Tool | None:  # noqa: B006 - never changed
    """The coding tool that told of something, by its service; None where it is an application's.

    >>> tool_of({"service.name": "copilot-chat"}).provider, tool_of({"service.name": "answer-service"})
    ('github-copilot', None)
    """
    for source in (resource, attributes):
        if found := SERVICES.get(str(source.get("service.name") or "").lower()):
            return found
    return None


def person_of(attributes: Attributes, resource: Attributes) -> str | None:
    """Who used a tool: an e-mail in lower case, else an account. Two installations of one person are one person.

    >>> person_of({"user.id": "device-1", "user.email": "Ada@Example.com"}, {}), person_of({"user.id": "device-1"}, {})
    ('ada@example.com', None)
    """
    for name in PEOPLE:
        value = attributes.get(name) or resource.get(name)
        if value:
            text = str(value).strip()
            return text.lower() if "@" in text else text
    return None


def device_of(attributes: Attributes, resource: Attributes) -> str | None:
    """The installation that told of something."""
    return next((str(v) for name in DEVICES if (v := attributes.get(name) or resource.get(name))), None)


def is_token_metric(name: str) -> bool:
    """Whether an unknown metric's name says that it counts tokens.

    >>> is_token_metric("acme.token.usage"), is_token_metric("acme.auth.token_refresh.duration")
    (True, False)
    """
    words = name.lower().replace("_", ".").split(".")
    return bool({"token", "tokens"} & set(words)) and bool({"usage", "used", "count", "total", "tokens"} & set(words))
