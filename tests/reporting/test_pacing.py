"""The budgets of a page: off course first, with the day they run out; periods longer than the month reach back."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest

import finops_ai as fa
from finops_ai.errors import DataError
from finops_ai.forecasting.budgets import workspace_budgets
from finops_ai.periods import Window
from finops_ai.reporting import pacing
from finops_ai.tables.closing import close_month
from finops_ai.tables.posting import charge_month

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
    assert cells[8:11] == ["100%", "3 Oct 2026", "over"]
    assert cells[11:15] == ["mobile", "Oct 2026", "100.00", "0.03"]
    assert cells[21] == "on course"
    assert note.startswith("As of 2026-10-04 00:00 UTC")


@pytest.mark.long
def test_what_is_spent_is_the_closed_month_s_until_it_is_opened_again(make_workspace, tmp_path):
    make_workspace(["search", "mobile"])
    path = tmp_path / "finops.toml"
    path.write_text(path.read_text("utf-8") + PLAN + '[chargeback]\ndimension = "team"\n', encoding="utf-8")
    ws = fa.open(tmp_path)

    def spent():
        table = workspace_budgets(ws, "2026-10")
        return str(table.set_index("name").loc["mobile", "spent"].normalize())

    assert spent() == "0.03"
    close_month(ws, "2026-10")
    (connection,) = ws.lake.freshness()["connection"]
    rows = ws.tokens("2026-10")
    ws.lake.replace(
        "tokens", connection, Window.month("2026-10", "UTC"), rows.assign(quantity=[q * 2 for q in rows["quantity"]])
    )
    assert spent() == "0.03"
    ws.ledger.reopen("2026-10", "A. Finance", "usage was restated")
    assert spent() == "0.06"


@pytest.mark.long
def test_what_budgets_and_plans_say_was_spent_is_what_showback_says():
    priced = fa.allocate(fa.price(fa.sample(months=3)), fa.sample.rules(), telemetry=fa.sample.telemetry())
    shown = fa.showback(priced, by=["team"], month="2026-10").published()
    known = dict(zip(shown["team"], shown["cost"], strict=True))
    limits = [{"name": n, "month": "2026-10", "amount": 1, "for": {"team": n}} for n in known]
    spent = fa.budgets(priced, limits).published()
    assert dict(zip(spent["name"], spent["spent"], strict=True)) == known
    assert dict(zip(spent["name"], spent["projected"], strict=True)) == known  # the month is over
    plan = fa.plan(priced).published()
    total = plan[plan["unique_id"] == "total"].set_index("month")["actual"]
    months = fa.showback(priced, by=["month"]).published().set_index("month")["cost"]
    assert {m: total[m] for m in months.index} == dict(months)
    assert total["year"] == sum(months)


def test_a_month_below_one_unit_is_whole_cents_where_it_is_charged_and_not_charged_elsewhere(make_workspace, tmp_path):
    ws = make_workspace(["search", "mobile"], days=range(1, 11), model="gpt-4o-mini")  # 0.0006 a day each
    costs = fa.showback(ws.cube("2026-10"), by=["team"]).published()["cost"]
    assert [f"{c:f}" for c in costs] == ["0.006", "0.006"]
    with pytest.raises(DataError, match="nothing is charged"):
        charge_month(ws, "2026-10")
    path = tmp_path / "finops.toml"
    path.write_text(path.read_text("utf-8") + '[chargeback]\ndimension = "team"\n', encoding="utf-8")
    ws = fa.open(tmp_path)
    cube = ws.cube("2026-10")
    cents = fa.showback(cube, by=["team"]).published()
    assert sum(cents["cost"]) == Decimal("0.01")  # 0.012 in all
    charged = charge_month(ws, "2026-10").summary
    assert dict(zip(charged["receiver"], charged["charge"], strict=True)) == dict(
        zip(cents["team"], cents["cost"], strict=True)
    )
