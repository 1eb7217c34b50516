"""The budgets of a page: off course first, with the day they run out; periods longer than the month reach back."""

from __future__ import annotations

import re

import finops_ai as fa
from finops_ai.reporting import pacing

PLAN = """
[[budgets]]
name = "<b>quarter</b>"
from = "2026-10"
to = "2027-01"
amount = "0.05"
[[budgets]]
name = "mobile"
month = "2026-10"
amount = "100"
for = { team = "mobile" }
"""


def test_budgets_stand_with_state_and_day(make_workspace, tmp_path, monkeypatch):
    make_workspace(["search", "mobile"])  # 0.02 a day on three days: 0.06
    path = tmp_path / "finops.toml"
    ws = fa.open(tmp_path)
    out = []
    monkeypatch.setattr(pacing, "display", lambda html: out.append(html.data))
    monkeypatch.setattr(pacing, "note", out.append)
    pacing.budgets(ws, "2026-10")
    assert out == []  # no plan, no heading
    path.write_text(path.read_text("utf-8") + PLAN, encoding="utf-8")
    pacing.budgets(fa.open(tmp_path), "2026-10")
    head, table, note = out
    assert "1 of 2 budgets is over or heading over" in head
    cells = re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", table.partition("<tbody>")[2])
    assert cells[:5] == ["&lt;b&gt;quarter&lt;/b&gt;", "Oct 2026 to Dec 2026", "0.05", "0.06", "120.0%"]
    assert cells[7:10] == ["100%", "3 Oct 2026", "over"]
    assert cells[10:14] == ["mobile", "Oct 2026", "100.00", "0.03"]
    assert cells[19] == "on course"
    assert note.startswith("As of 2026-10-04 00:00 UTC")
