"""What is missing stands out below the answer: late sources, no bill, cost without an owner."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pandas as pd

import finops_ai as fa
from finops_ai.reporting import coverage
from finops_ai.reporting.coverage import coverage_html, freshness, stamp_html


def words(html):
    return re.sub("<.*?>", "", html)


def test_a_source_that_stops_early_stands_out(make_workspace):
    ws = make_workspace(["search"], days=(1, 2, 3))
    table = fa.showback(ws.allocated("2026-10"), ["team"], "2026-10")
    stamp = stamp_html(table, ws, "2026-10")
    assert "<strong>openai only up to 3 Oct 2026</strong>" in stamp
    assert "no bill to compare usage with" in stamp
    assert words(stamp).startswith("100.0% of tokens have a price · 100.0% of cost has a team")
    assert freshness(make_workspace(["search"], days=range(1, 32)), "2026-10") == (["openai"], [])


def test_a_connection_without_any_data_is_named(make_workspace, tmp_path):
    ws = make_workspace(["search"], days=range(1, 32))
    settings = tmp_path / "finops.toml"
    settings.write_text(
        settings.read_text("utf-8") + '[providers.litellm]\nfiles = ["none/*.jsonl"]\n', encoding="utf-8"
    )
    whole, wrong = freshness(fa.open(tmp_path), "2026-10")
    assert whole == ["openai"]
    assert wrong == ["litellm holds no data"]
    assert ws.settings.root == tmp_path


def test_cost_without_an_owner_and_a_price_is_stated(make_workspace):
    ws = make_workspace(["search", "unallocated"])
    table = fa.showback(ws.allocated("2026-10"), ["team"], "2026-10")
    assert "50.0% of cost has a team" in words(stamp_html(table, ws, "2026-10"))
    page = words(coverage_html(table, ws, "2026-10"))
    assert "openai1 Oct 20263 Oct 20266" in page  # from, up to, rows
    assert "Capturedof the bill is explained by usage that was collectedunknown" in page


def test_a_month_that_no_source_reaches_the_end_of_is_no_whole_one(monkeypatch):
    ws = SimpleNamespace(timezone="UTC")

    def held(*ends):
        rows = [SimpleNamespace(connection=str(i), last=pd.Timestamp(end, tz="UTC")) for i, end in enumerate(ends)]
        monkeypatch.setattr(coverage, "_held", lambda _: iter(rows))
        return coverage.so_far(ws, "2026-12")

    assert held("2026-12-02T00:00", "2026-12-01T09:00") == "1 Dec"  # a half-open end: the last day inside
    assert held("2027-01-01T00:00", "2026-12-01T09:00") == ""
    assert held() == ""
