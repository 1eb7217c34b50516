"""What records of the tools' logs look like where they are read."""

from __future__ import annotations

from finops_ai.shapes import Shape

#: what Claude Code's usage object says besides counts
USAGE: Shape = {"service_tier": "text", "speed": "text", "inference_geo": "text", "requestId": "text"}
#: where a record was written
WHENCE: Shape = {"sessionId": "text", "agentName": "text"}
#: a token count of Codex, and the model of a turn
COUNTED: Shape = {"info": {"model": "text"}}
TURN: Shape = {"model": "text"}
SPAWNED: Shape = {"agent_nickname": "text", "agent_role": "text"}
#: an event of Copilot CLI
EVENT: Shape = {"id": "label", "data": {"outputTokens": "whole", "model": "text"}}
FIGURES: Shape = {
    "requests": {"count": "whole"},
    "usage": dict.fromkeys(
        ("inputTokens", "outputTokens", "cacheReadTokens", "cacheWriteTokens", "reasoningTokens"), "whole"
    ),
}
#: a message of Gemini CLI, and one of OpenCode
GEMINI: Shape = {"id": "label", "model": "text", "tokens": {"total": "whole"}}
OPENCODE: Shape = {"time": {"created": "time"}, "modelID": "label", "agent": "text", "mode": "text"}
