"""The SDK's own client over stdio and Streamable HTTP: the same answers, read-only tools, nothing but loopback."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time

import anyio
import pytest

from finops_ai.errors import SettingsError

from .questions import CASES

mcp = pytest.importorskip("mcp", reason="needs the extra mcp")

#: a few for every run, all sixty for the long one
FEW = [c for c in CASES if c.tool in ("spending", "why_changed", "glossary")][::12]


def command(company):
    return [sys.executable, "-m", "finops_ai", "mcp", "-c", str(company / "finops.toml")]


def dated(told):
    """A server asks the machine what day it is, so that months are named."""
    return told.replace("last month", "2026-10") if isinstance(told, str) else told


async def ask_all(target, cases):
    """Each question as a tool's call and in words."""
    from mcp import Client

    async with Client(target) as client:
        tools = (await client.list_tools()).tools
        told = []
        for case in cases:
            sent = await client.call_tool(case.tool, {name: dated(value) for name, value in case.given.items()})
            words = await client.call_tool("ask", {"question": dated(case.words)})
            told.append((sent.is_error, words.is_error, sent.structured_content, json.loads(sent.content[0].text)))
        return tools, told


def stdio(company):
    from mcp import StdioServerParameters

    program, *arguments = command(company)
    return StdioServerParameters(command=program, args=arguments)


@pytest.fixture
def address(company):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([*command(company), "--http", "--port", str(port)], stderr=subprocess.DEVNULL)
    for _ in range(300):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.1)
    yield f"http://127.0.0.1:{port}/mcp"
    process.terminate()
    process.wait(30)


def check(tools, told):
    assert len(tools) >= 13
    for tool in tools:
        assert tool.annotations.read_only_hint
        assert not tool.annotations.destructive_hint
        assert tool.description
    for failed, unclear, structured, text in told:
        assert not failed
        assert not unclear
        assert structured == text
        assert structured["answer"]


@pytest.mark.long
def test_over_stdio(company):
    check(*anyio.run(ask_all, stdio(company), FEW))


@pytest.mark.long
def test_over_http(address):
    check(*anyio.run(ask_all, address, FEW))


@pytest.mark.long
def test_all_sixty_over_both_transports_are_the_same(company, address):
    first = anyio.run(ask_all, stdio(company), CASES)
    second = anyio.run(ask_all, address, CASES)
    check(*first)
    check(*second)
    without = [
        {k: v for k, v in told[2].items() if k != "rows" or "hours_ago" not in told[2]["columns"]} for told in first[1]
    ]
    again = [
        {k: v for k, v in told[2].items() if k != "rows" or "hours_ago" not in told[2]["columns"]} for told in second[1]
    ]
    assert without == again


@pytest.mark.long
def test_http_answers_only_its_own_host(address):
    import httpx

    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    headers = {
        "Accept": "application/json, text/event-stream",
        "Host": "evil.example.com",
        "Origin": "http://evil.example.com",
    }
    answer = httpx.post(address, json=body, headers=headers)
    assert answer.status_code >= 400
    assert "tools" not in answer.text


def test_only_loopback_is_served(ws):
    from finops_ai.answering.server import Desk, run

    with pytest.raises(SettingsError, match="only this machine's own"):
        run(Desk(lambda: ws), http=True, host="0.0.0.0")


@pytest.mark.long
def test_a_server_sees_what_was_loaded_since(copy):
    """Nothing is kept past the state of the data it was made of."""
    from mcp import Client

    import finops_ai as fa
    from finops_ai.answering.server import Desk, make_server
    from finops_ai.periods import Window

    server = make_server(Desk(lambda: fa.open(copy), copy / "finops.toml"))

    async def cost():
        async with Client(server) as client:
            told = await client.call_tool("spending", {"period": "2026-10", "exact": True})
            return told.structured_content["answer"], told.structured_content["data_until"]

    before = anyio.run(cost)
    ws = fa.open(copy)
    window = Window.of("2026-11-01", "2026-11-02")
    rows = ws.tokens(Window.of("2026-10-31", "2026-11-01"))
    moved = rows.assign(
        charge_period_start=rows["charge_period_start"] + (window.end - window.start),
        charge_period_end=rows["charge_period_end"] + (window.end - window.start),
    )
    ws.lake.replace_window("openai", window, {"tokens": moved})
    after = anyio.run(cost)
    assert before[0] == after[0]
    assert (before[1], after[1]) == ("2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z")
