"""finops_ai connectors for local logs of coding agents: Claude Code, Codex, Gemini CLI, Copilot CLI, OpenCode, Kiro."""

from __future__ import annotations

from finops_ai.providers import Connector, hookimpl
from finops_ai_agent_logs.claude_code import ClaudeCodeConnector
from finops_ai_agent_logs.codex import CodexConnector
from finops_ai_agent_logs.connector import AgentLogsConnector
from finops_ai_agent_logs.logs import LogSettings

__all__ = ["AgentLogsConnector", "ClaudeCodeConnector", "CodexConnector", "LogSettings"]

FINOPS_AI_CONTRACT = "1.0"


@hookimpl
def finops_ai_connectors() -> list[type[Connector]]:
    """The connector of whatever logs there are; Claude Code's and Codex's have entry points of their own."""
    return [AgentLogsConnector]
