"""How long an MCP answer takes from a month of a million rows, once it is loaded: each tool, the SDK's own client.

    python benchmarks/mcp_answers.py [ROWS]

The sample company's month is repeated with request ids and users of its own until it has that many rows, stored in a lake and
asked through the server in this process. Printed: the first answer (which makes and reads the cube), what the server makes ahead
once it runs (`finops-ai mcp` does so beside serving), then the median and the worst of questions that were not asked before, in
milliseconds, and their share of the 300 ms that are the bar.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

import anyio
import pandas as pd

import finops_ai as fa
from finops_ai.periods import Window
from finops_ai.sample.settings import settings_toml

BAR = 300.0
#: how many different sets of users the rows are spread over: it makes the cells of the cube
VARIANTS = 20
QUESTIONS = [
    ("spending", {"by": ["team"]}), ("spending", {"by": ["model"]}), ("spending", {"by": ["provider", "model"]}),
    ("spending", {"by": ["prompt_id"], "only": {"team": "support"}}), ("spending", {"by": ["user_id"], "top": 20}),
    ("spending", {"by": ["day"], "only": {"provider": "anthropic"}}), ("spending", {"measure": "cost_per_request", "by": ["product"]}),
    ("spending", {"only": {"team": "support"}, "period": "2026-10-25 to 2026-10-31", "rows": 5}),
    ("spending", {"by": ["team"], "period": "2026-10-18 to 2026-10-24"}),
    ("why_changed", {"period": "2026-10-25 to 2026-10-31", "only": {"team": "support"}}),
    ("why_changed", {"period": "2026-10-25 to 2026-10-31"}),
    ("rules_why", {"only": {"team": "search"}}), ("data", {}), ("names", {"column": "model"}),
    ("spending", {"by": ["user_id"], "measure": "cost_per_request"}), ("spending", {"by": ["model", "team", "day"]}),
    ("why_changed", {"period": "2026-10-25 to 2026-10-31", "by": ["team", "model"]}),
    ("incidents", {"period": "2026-10"}), ("opportunities", {"month": "2026-10"}), ("ties", {"month": "2026-10"}),
    ("budgets", {"month": "2026-10"}), ("forecast", {}), ("kpis", {"month": "2026-10"}),
    ("what_if", {"tier": "batch", "only": {"team": "search"}, "period": "2026-10"}),
    ("price_of_call", {"model": "gpt-5.4", "usage": {"input": 1000, "output": 200}}), ("glossary", {"term": "cost_per_request"}),
    ("ask", {"question": "how much did search spend by model in october"}),
    ("spending", {"by": ["prompt_id"]}), ("spending", {"by": ["api_key_id"]}), ("spending", {"by": ["user_id", "day"]}),
    ("spending", {"by": ["model", "team"], "measure": "cost_per_request"}), ("spending", {"by": ["week"]}),
    ("spending", {"by": ["day"], "measure": "cache_hit_rate"}), ("spending", {"by": ["model"], "measure": "effective_vs_list"}),
    ("spending", {"by": ["user_id"], "period": "2026-10-25"}),
    ("why_changed", {"period": "2026-10-25 to 2026-10-31", "by": ["user_id"]}),
    ("why_changed", {"period": "2026-10-25 to 2026-10-31", "by": ["prompt_id"]}),
    ("what_if", {"model": "claude-haiku-4-5", "only": {"team": "search"}, "period": "2026-10"}),
    ("what_if", {"model": "gpt-5.4-mini", "only": {"team": "support"}, "period": "2026-10"}),
    ("what_if", {"prompt": 0.8, "period": "2026-10"}), ("what_if", {"cache_hit_rate": 0.6, "only": {"team": "legal"}, "period": "2026-10"}),
    ("rules_why", {"only": {"model": "claude-sonnet-5"}}),
]  # fmt: skip


def fill(ws: fa.workspace.Workspace, rows: int) -> int:
    """October of the sample company, as often as it takes."""
    tokens = fa.sample.tokens(months=1)
    times = -(-rows // len(tokens))
    kind = tokens["user_id"].dtype
    parts = []
    for n in range(times):
        users = pd.Series([f"user_{n % VARIANTS:02}_{i % 7}" for i in range(len(tokens))], index=tokens.index).astype(
            kind
        )
        parts.append(tokens.assign(user_id=users.where(tokens["user_id"].notna(), None).astype(kind)))
    whole = pd.concat(parts, ignore_index=True)
    for name in sorted(set(whole["provider"])):
        own = whole[(whole["provider"] == name).to_numpy(bool)]
        ws.lake.replace_window(str(name), Window.of("2026-10-01", "2026-11-01"), {"tokens": own})
    return len(whole)


async def measured(ws: fa.workspace.Workspace) -> list[tuple[str, float, bool]]:
    from mcp import Client

    from finops_ai.answering.server import Desk, make_server

    out = []
    desk = Desk(lambda: ws)
    async with Client(make_server(desk)) as client:
        for tool, given in [("spending", {"by": ["team"], "period": "2026-10", "top": 3}), *QUESTIONS]:
            given = (
                given
                if "period" in given or tool not in ("spending", "why_changed", "rules_why")
                else given | {"period": "2026-10"}
            )
            began = time.perf_counter()
            told = await client.call_tool(tool, given)
            out.append((f"{tool} {given}", (time.perf_counter() - began) * 1000, told.is_error))
            if len(out) == 1:
                began = time.perf_counter()
                desk.make_ahead()
                out.append(("made ahead", (time.perf_counter() - began) * 1000, False))
    return out


def main() -> None:
    """Print the times."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "finops.toml").write_text(settings_toml(), "utf-8")
        ws = fa.open(folder)
        rows = fill(ws, int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
        found = anyio.run(measured, ws)
        print(
            f"{rows:,} rows, {len(ws.cube('2026-10')):,} cells; the first answer {found[0][1]:,.0f} ms, made ahead in {found[1][1]:,.0f} ms"
        )
        later = found[2:]
        for name, took, failed in sorted(later, key=lambda r: -r[1]):
            print(f"{took:8.0f} ms {took / BAR:5.0%} of the bar  {name}{'  FAILED' if failed else ''}")
        times = [took for _, took, _ in later]
        print(
            f"median {statistics.median(times):.0f} ms, worst {max(times):.0f} ms, {sum(t < BAR for t in times)} of {len(times)} under {BAR:.0f} ms"
        )


if __name__ == "__main__":
    main()
