"""The report's own pages: figures of the API, names as text, files inside the folder, whatever the data."""

from __future__ import annotations

import json
import re
from decimal import Decimal

import pytest

import finops_ai as fa
from finops_ai.cli import main
from finops_ai.errors import DataError
from finops_ai.reporting import NotebookFailed, answers
from finops_ai.reporting.pages import Link, group_pages, navigation, page, search_entries, set_navigation
from finops_ai.reporting.site import Report, finish_site, forget_pages, make_report, plan_pages, side_pages
from finops_ai.reporting.text import slug


def site(ws, folder, month="2026-10"):
    """The report's pages that need no kernel."""
    folder.mkdir(parents=True, exist_ok=True)
    report = Report(folder, month)
    manifest = {"price_book": "p", "digest": "d", "made_at": "2026-11-01T00:00:00Z"}
    frame = ws.allocated(month)
    finish_site(ws, report, frame, manifest, [], side_pages(ws, report, frame))
    return report


def test_the_overview_states_the_api_s_total_and_every_page_leads_to_every_other(make_workspace, tmp_path):
    report = site(make_workspace(["search", "mobile"]), tmp_path / "out")
    assert "0.06 USD" in report.index.read_text("utf-8")  # 2 teams x 3 days x 1000 tokens x 10 USD per million
    pages = ["explorer.html", "index.html", "team-mobile.html", "team-search.html"]
    assert sorted(p.name for p in report.folder.glob("*.html")) == pages
    for file in report.folder.glob("*.html"):
        text = file.read_text("utf-8")
        links = re.findall(r'href="([^"#]+)"', text.partition("<!--nav-->")[2].partition("<!--/nav-->")[0])
        assert sorted(links) == pages
        assert text.count('aria-current="page"') == 1
        for mark in ('<p class="answer">', '<p class="stamp">', "only up to 3 Oct 2026"):
            assert text.count(mark) == 1, (file.name, mark)


def test_ten_thousand_teams_make_a_sensible_report(make_workspace, tmp_path, monkeypatch):
    monkeypatch.setattr("finops_ai.reporting.pages.MOST", 5)
    report = site(make_workspace([f"team {i:05}" for i in range(10_000)], days=(1,)), tmp_path / "out")
    assert len(list(report.folder.glob("team-*.html"))) == 5
    text = report.index.read_text("utf-8")
    assert "9,985 more" in text
    assert "100.00" in text  # 10,000 x 0.01
    assert sum(p.stat().st_size for p in report.folder.rglob("*")) < 8_000_000


def test_one_row_and_unknown_prices_are_said(make_workspace, tmp_path):
    report = site(make_workspace(["only"], days=(1,), model="no-such-model"), tmp_path / "out")
    text = report.index.read_text("utf-8")
    assert "unknown" in text
    assert "0.0% of tokens have a price" in text


def test_an_empty_month_is_a_clear_error(make_workspace, tmp_path):
    ws = make_workspace(["search"])
    with pytest.raises(DataError, match=r"There is no usage for 2026-07\. Months with data: 2026-10"):
        make_report(ws, "2026-07", tmp_path / "out", config=str(tmp_path / "finops.toml"))
    assert not (tmp_path / "out" / "2026-07").exists()


def test_pages_that_lack_data_are_left_out_with_the_reason(make_workspace, tmp_path, monkeypatch):
    ws = make_workspace(["search"])

    def stop(notebook, target, parameters, **_):
        raise NotebookFailed(notebook.name, "DataError: A plan needs at least 14 days of history.", target)

    monkeypatch.setattr("finops_ai.reporting.site.run_notebook", stop)
    made = make_report(ws, "2026-10", tmp_path / "out", config=str(tmp_path / "finops.toml"), only=["forecast"])
    assert made.failed == []
    text = made.index.read_text("utf-8")
    assert "Forecast and plan is left out. A plan needs at least 14 days of history." in text
    assert "forecast.html" not in text


def test_a_broken_notebook_is_named_and_counts_as_failed(make_workspace, tmp_path, monkeypatch):
    ws = make_workspace(["search"])

    def stop(notebook, target, parameters, **_):
        raise NotebookFailed(notebook.name, "ZeroDivisionError: division by zero", target)

    monkeypatch.setattr("finops_ai.reporting.site.run_notebook", stop)
    made = make_report(ws, "2026-10", tmp_path / "out", config=str(tmp_path / "finops.toml"), only=["forecast"])
    assert [p.name for p in made.failed] == ["forecast"]
    assert "division by zero" in made.index.read_text("utf-8")


def test_a_broken_notebook_is_told_on_the_command_line_with_exit_code_1(make_workspace, tmp_path, monkeypatch, capsys):
    make_workspace(["search"])

    def stop(notebook, target, parameters, **_):
        raise NotebookFailed(notebook.name, "ZeroDivisionError: division by zero", target)

    monkeypatch.setattr("finops_ai.reporting.site.run_notebook", stop)
    words = ["report", "--month", "2026-10", "--only", "unit_costs", "--no-collect", "-c", str(tmp_path)]
    with pytest.raises(SystemExit) as stopped:
        main([*words, "--out", str(tmp_path / "out")])
    assert stopped.value.code == 1
    assert "Not made: unit_costs.ipynb stopped: ZeroDivisionError: division by zero" in capsys.readouterr().err
    overview = (tmp_path / "out" / "2026-10" / "index.html").read_text("utf-8")
    assert "<strong>Unit costs: what a token and a call cost is missing:</strong>" in overview


def test_a_workspace_without_rules_is_told_what_it_lacks(make_workspace, tmp_path):
    make_workspace(["search"])
    (tmp_path / "finops.toml").write_text('[workspace]\nname = "plain"\n', encoding="utf-8")
    plain = fa.open(tmp_path)
    pages = plan_pages(plain, None, "2026-10", "finops.toml", ["chargeback", "chargeback_statement"], {})
    assert [page.name for page in pages] == ["chargeback"]
    assert pages[0].left_out == "finops.toml declares no dimension, such as [dimensions.team]."


def test_group_pages_hold_their_own_cost_only(make_workspace, tmp_path):
    ws = make_workspace(["search", "mobile"])
    links = group_pages(ws, "2026-10", "team", tmp_path)
    assert [link.group for link in links] == ["Teams", "Teams"]
    text = (tmp_path / links[0].file).read_text("utf-8")
    assert "0.03 USD" in text
    assert "0.06 USD" not in text


def test_the_bar_marks_the_page_and_shortens_titles(tmp_path):
    links = [
        Link("index.html", "Overview"),
        Link("showback.html", "Showback: who spent it"),
        Link("t.html", "a: b", group="Teams"),
    ]
    bar = navigation("Brand <x>", links, "showback.html")
    assert '<a href="showback.html" aria-current="page">Showback</a>' in bar
    assert "a: b" in bar
    assert "Brand &lt;x&gt;" in bar
    file = tmp_path / "page.html"
    file.write_text(page("t", "body"), encoding="utf-8")
    set_navigation(file, bar)
    set_navigation(file, bar)
    assert file.read_text("utf-8").count('aria-current="page"') == 1


def test_search_finds_names_and_leads_to_their_page(make_workspace):
    ws = make_workspace(["search", "mobile"])
    links = [Link("index.html", "Overview"), Link("team-search.html", "search", group="Teams")]
    entries = search_entries(ws.allocated("2026-10"), links, ["team", "model"], "USD")
    assert ["search", "team", "team-search.html", "0.03 USD"] in entries
    assert ["gpt-4o", "model", "explorer.html#model=gpt-4o", "0.06 USD"] in entries
    json.dumps(entries)


@pytest.mark.parametrize("name", ["../../x", "a/b", "CON", "x" * 500, "emoji 🧨", "", "."])
def test_file_names_are_plain_and_distinct(name):
    assert re.fullmatch(r"[a-z0-9-]+", slug(name))
    assert slug(name) != slug(name + "'")


def test_a_table_says_what_it_leaves_out_and_adds_up():
    frame = fa.price(fa.sample(months=1))
    table = fa.showback(frame, by=["model"])
    html = answers.table_html(table, ["cost", "tokens"], top=3)
    cells = [Decimal(c.replace(",", "")) for c in re.findall(r"<td>([\d,]+\.\d\d)</td>", html)]
    assert len(cells) == 5  # three models, the rest, the total
    assert sum(cells[:-1]) == cells[-1]
    assert f"{len(table) - 3} more" in html
    assert round(sum(c for c in table["cost"] if isinstance(c, Decimal)), 2) == cells[-1]


def test_pages_of_the_report_before_that_are_gone_are_removed(tmp_path):
    (tmp_path / "manifest.json").write_text(json.dumps({"files": ["team-a.html", "team-gone.html", "../own.html"]}))
    kept = ["team-a.html", "notes.html", "team-a.ipynb"]
    for name in [*kept, "team-gone.html", "team-gone.ipynb"]:
        (tmp_path / name).write_text("")
    forget_pages(tmp_path, ["team-a.html"])
    # what no report made stays, and so does everything outside the folder
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([*kept, "manifest.json"])
