"""CPU seconds to read logs of coding agents: lines of Claude Code and Codex to a checked token frame, and parsing alone.

    python benchmarks/agent_logs.py [--lines 1000000] [--json]

The logs are made here, as long as real ones are on average: half of the lines are what people and tools said, with no usage, and of
the records of calls every third is written twice. The yardstick of the same run is orjson over every line that has usage.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
from finops_ai_agent_logs import ClaudeCodeConnector, CodexConnector

from finops_ai.periods import Window

#: CPU seconds a million lines may take
MOST = 15.0
TEXT = "x" * 600


def claude_lines(lines: int) -> Iterator[bytes]:
    """Records of one session file: questions, answers, and answers written again."""
    for i in range(lines):
        at = f"2026-10-{1 + i * 30 // lines:02d}T{i % 24:02d}:{i % 60:02d}:{i // 7 % 60:02d}.{i % 1000:03d}Z"
        if i % 2:
            record = {"type": "user", "sessionId": "s", "timestamp": at, "message": {"role": "user", "content": TEXT}}
        else:
            call = i - (2 if i % 6 == 4 else 0)
            usage = {
                "input_tokens": 4, "cache_creation_input_tokens": 300, "cache_read_input_tokens": 40_000, "output_tokens": 200 + i % 90,
                "cache_creation": {"ephemeral_5m_input_tokens": 300, "ephemeral_1h_input_tokens": 0}, "service_tier": "standard",
            }  # fmt: skip
            body = {
                "id": f"m{call}",
                "model": "claude-sonnet-4-5",
                "usage": usage,
                "stop_reason": None,
                "content": [{"text": TEXT}],
            }
            record = {
                "type": "assistant", "sessionId": "s", "timestamp": at, "requestId": f"r{call}", "cwd": "/src/kite", "gitBranch": "main",
                "isSidechain": False, "message": body,
            }  # fmt: skip
        yield orjson.dumps(record)


def codex_lines(lines: int) -> Iterator[bytes]:
    """Records of one rollout: answers, totals, and totals written again."""
    yield orjson.dumps({"type": "session_meta", "timestamp": "2026-10-01T00:00:00.000Z", "payload": {"id": "s"}})
    grown = 0
    for i in range(lines - 1):
        at = f"2026-10-{1 + i * 30 // lines:02d}T{i % 24:02d}:{i % 60:02d}:{i // 7 % 60:02d}.{i % 1000:03d}Z"
        if i % 2:
            record = {"type": "response_item", "timestamp": at, "payload": {"type": "message", "content": TEXT}}
        else:
            grown += i % 6 != 4
            usage = {
                "input_tokens": 5000 * grown, "cached_input_tokens": 4000 * grown, "output_tokens": 90 * grown,
                "reasoning_output_tokens": 30 * grown, "total_tokens": 5090 * grown,
            }  # fmt: skip
            info = {"total_token_usage": usage, "last_token_usage": usage, "model_context_window": 272_000}
            record = {
                "type": "event_msg",
                "timestamp": at,
                "payload": {"type": "token_count", "info": info, "rate_limits": None},
            }
        yield orjson.dumps(record)


def measure(lines: int) -> dict[str, float]:
    """CPU seconds per million lines, by tool and beside parsing alone."""
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, make, connector in (
            ("claude_code", claude_lines, ClaudeCodeConnector),
            ("codex", codex_lines, CodexConnector),
        ):
            path = Path(folder) / f"{name}.jsonl"
            path.write_bytes(b"\n".join(make(lines)) + b"\n")
            start = time.process_time()
            for line in path.read_bytes().split(b"\n"):
                if b'"usage"' in line or b'"token_count"' in line:
                    orjson.loads(line)
            parsed = time.process_time() - start
            start = time.process_time()
            frame = connector(files=[str(path)]).usage(Window.month("2026-10"))
            spent = time.process_time() - start
            found[f"{name}_cpu_seconds"] = round(spent * 1e6 / lines, 2)
            found[f"{name}_times_parsing"] = round(spent / parsed, 1)
            found[f"{name}_rows"] = len(frame)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measure(options.lines)
    if options.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name.replace('_', ' '):32} {value:>12,}")
    worst = max(value for name, value in found.items() if name.endswith("cpu_seconds"))
    print(f"at most {MOST:g} CPU seconds a million lines: {'kept' if worst <= MOST else 'MISSED'}")


if __name__ == "__main__":
    main()
