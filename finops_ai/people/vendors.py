"""Whose seat a call belongs to: a vendor's tools, whatever connector, log or telemetry tells of them."""

from __future__ import annotations

from finops_ai.engine.dialects import DUCKDB

#: who sells seats, by connector name -> tools and connectors whose calls are use of such a seat
VENDORS: dict[str, tuple[str, ...]] = {
    "cursor": ("cursor",),
    "github-copilot": ("github-copilot", "copilot", "copilot-cli", "copilot-chat"),
    "anthropic": ("anthropic", "claude-code", "claude"),
    "codex": ("codex", "codex-cli", "chatgpt"),
    "kiro": ("kiro", "amazon-q"),
    "gemini-cli": ("gemini-cli", "gemini-code-assist"),
    "opencode": ("opencode",),
}
_OF = {tool: vendor for vendor, tools in VENDORS.items() for tool in tools}


def vendor_of(provider: str, tool: str | None = None) -> str:
    """Who sells the seat that a call is use of: by its tool, else by who bills it.

    >>> vendor_of("openai", "codex"), vendor_of("claude-code"), vendor_of("openai")
    ('codex', 'anthropic', 'openai')
    """
    return _OF.get((tool or "").lower()) or _OF.get(provider.lower()) or provider.lower()


def vendor_sql(provider: str, tool: str | None = None) -> str:
    """`vendor_of` of two columns, as SQL."""
    whens = " ".join(f"WHEN {DUCKDB.literal(name)} THEN {DUCKDB.literal(vendor)}" for name, vendor in _OF.items())
    by_provider = f"coalesce(CASE lower({provider}) {whens} END, lower({provider}))"
    return by_provider if tool is None else f"coalesce(CASE lower({tool}) {whens} END, {by_provider})"


__all__ = ["VENDORS", "vendor_of", "vendor_sql"]
