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
from finops_ai.reporting.folder import beside, publish
from finops_ai.reporting.navigation import Link, navigation, set_navigation
from finops_ai.reporting.pages import group_pages, page, search_entries
from finops_ai.reporting.planning import Report, plan_pages
from finops_ai.reporting.site import finish_site, make_report, own_pages
from finops_ai.reporting.text import slug


def site(ws, folder, month="2026-10"):
    """The report's pages that need no kernel."""
    folder.mkdir(parents=True, exist_ok=True)
    report = Report(folder, month)
    manifest = {"price_book": "p", "digest": "d", "made_at": "2026-11-01T00:00:00Z"}
    frame = ws.allocated(month)
    finish_site(ws, report, frame, manifest, [], own_pages(ws, report, frame))
    return report


def leads_to(file):
    """Where a page's bar leads."""
    bar = file.read_text("utf-8").partition("<!--nav-->")[2].partition("<!--/nav-->")[0]
    return set(re.findall(r'href="([^"#]+)"', bar))


@pytest.mark.long
def test_the_overview_states_the_api_s_total_and_every_page_is_two_steps_from_every_other(make_workspace, tmp_path):
    report = site(make_workspace(["search", "mobile"]), tmp_path / "out")
    assert "0.06 USD" in report.index.read_text("utf-8")  # 2 teams x 3 days x 1000 tokens x 10 USD per million
    own = {"coverage.html", "explorer.html", "glossary.html", "index.html", "kpis.html", "save.html"}
    pages = own | {"team-mobile.html", "team-search.html"}
    files = {p.name: leads_to(p) for p in report.folder.glob("*.html")}
    assert set(files) == pages
    for name, first in files.items():
        assert first.union(*(files[other] for other in first)) == pages, name
        text = (report.folder / name).read_text("utf-8")
        assert text.count('aria-current="page"') == 1
        assert text.count('class="answer"') == 1, name
    for name in ("explorer.html", "team-mobile.html"):
        text = (report.folder / name).read_text("utf-8")
        assert text.count('<p class="stamp">') == text.count("only up to 3 Oct 2026") == 1
        assert '<a href="coverage.html">what the figures cover</a>' in text


@pytest.mark.long
def test_two_thousand_teams_make_a_sensible_report(make_workspace, tmp_path, monkeypatch):
    monkeypatch.setattr("finops_ai.reporting.pages.MOST", 5)
    report = site(make_workspace([f"team {i:05}" for i in range(2_000)], days=(1,)), tmp_path / "out")
    assert len(list(report.folder.glob("team-*.html"))) == 5
    text = report.index.read_text("utf-8")
    assert "1,985 more" in text
    assert "20.00" in text  # 2,000 x 0.01
    assert sum(p.stat().st_size for p in report.folder.rglob("*")) < 8_000_000


@pytest.mark.long
def test_one_row_and_unknown_prices_are_said(make_workspace, tmp_path):
    report = site(make_workspace(["only"], days=(1,), model="no-such-model"), tmp_path / "out")
    text = report.index.read_text("utf-8")
    assert "October up to 1 Oct has no known price and has no invoice yet." in text
    assert "no price is known for the usage" in text
    assert "0.00 USD" not in text
    assert "0.0% of tokens have a price" in text


def test_an_empty_month_is_a_clear_error(make_workspace, tmp_path):
    ws = make_workspace(["search"])
    with pytest.raises(DataError, match=r"There is no usage for 2026-07\. Months with data: 2026-10"):
        make_report(ws, "2026-07", tmp_path / "out", config=str(tmp_path / "finops.toml"))
    assert not (tmp_path / "out" / "2026-07").exists()


@pytest.mark.long
def test_pages_that_lack_data_are_left_out_with_the_reason(make_workspace, tmp_path, monkeypatch):
    ws = make_workspace(["search"])

    def stop(notebook, target, parameters, **_):
        raise NotebookFailed(notebook.name, "DataError: A plan needs at least 14 days of history.", target)

    monkeypatch.setattr("finops_ai.reporting.rendering.run_notebook", stop)
    made = make_report(ws, "2026-10", tmp_path / "out", config=str(tmp_path / "finops.toml"), only=["forecast"])
    assert made.failed == []
    text = made.index.read_text("utf-8")
    assert "Forecast and plan is left out. A plan needs at least 14 days of history." in text
    assert "forecast.html" not in text


@pytest.mark.long
def test_a_broken_notebook_is_named_and_counts_as_failed(make_workspace, tmp_path, monkeypatch):
    ws = make_workspace(["search"])

    def stop(notebook, target, parameters, **_):
        raise NotebookFailed(notebook.name, "ZeroDivisionError: division by zero", target)

    monkeypatch.setattr("finops_ai.reporting.rendering.run_notebook", stop)
    made = make_report(ws, "2026-10", tmp_path / "out", config=str(tmp_path / "finops.toml"), only=["forecast"])
    assert [p.name for p in made.failed] == ["forecast"]
    assert "division by zero" in made.index.read_text("utf-8")


@pytest.mark.long
def test_a_broken_notebook_is_told_on_the_command_line_with_exit_code_1(make_workspace, tmp_path, monkeypatch, capsys):
    make_workspace(["search"])

    def stop(notebook, target, parameters, **_):
        raise NotebookFailed(notebook.name, "ZeroDivisionError: division by zero", target)

    monkeypatch.setattr("finops_ai.reporting.rendering.run_notebook", stop)
    words = ["report", "--month", "2026-10", "--only", "unit_costs", "--no-collect", "-c", str(tmp_path)]
    with pytest.raises(SystemExit) as stopped:
        main([*words, "--out", str(tmp_path / "out")])
    assert stopped.value.code == 1
    assert "Not made: unit_costs.ipynb stopped: ZeroDivisionError: division by zero" in capsys.readouterr().err
    overview = (tmp_path / "out" / "2026-10" / "index.html").read_text("utf-8")
    told = "Unit costs: what a token and a call cost is missing: unit_costs.ipynb stopped: ZeroDivisionError: division by zero"
    assert told in overview
    assert ".building" not in overview


def test_a_workspace_without_rules_is_told_what_it_lacks(make_workspace, tmp_path):
    make_workspace(["search"])
    (tmp_path / "finops.toml").write_text('[workspace]\nname = "plain"\n', encoding="utf-8")
    plain = fa.open(tmp_path)
    pages = plan_pages(plain, None, "2026-10", "finops.toml", ["chargeback", "chargeback_statement"], {})
    assert [page.name for page in pages] == ["chargeback"]
    assert pages[0].left_out == "finops.toml declares no dimension, such as [dimensions.team]."


@pytest.mark.long
def test_group_pages_hold_their_own_cost_only(make_workspace, tmp_path):
    ws = make_workspace(["search", "mobile"])
    links = group_pages(ws, "2026-10", "team", tmp_path)
    assert [link.group for link in links] == ["Teams", "Teams"]
    text = (tmp_path / links[0].file).read_text("utf-8")
    assert "0.03 USD" in text
    assert "0.06 USD" not in text


def test_the_bar_asks_questions_and_marks_where_one_is(tmp_path):
    links = [
        Link("index.html", "Overview", question="overview"),
        Link("showback.html", "Showback: who spent it", question="who"),
        Link("unit.html", "Unit costs: what a call costs", question="who"),
        Link("t.html", "a: b", group="Teams", question="who"),
        Link("own.html", "Somebody's own"),
    ]
    bar = navigation("Brand <x>", links, "showback.html")
    assert '<a href="showback.html" aria-current="true">Who</a>' in bar
    assert '<a href="showback.html" aria-current="page">Showback</a>' in bar
    assert '<a href="unit.html">Unit costs</a>' in bar
    assert '<a href="own.html">More</a>' in bar
    assert "a: b" in bar
    assert "Brand &lt;x&gt;" in bar
    assert "Unit costs" not in navigation("b", links, "index.html")  # belongs to another question
    file = tmp_path / "page.html"
    file.write_text(page("t", "body"), encoding="utf-8")
    set_navigation(file, bar)
    set_navigation(file, bar)
    assert file.read_text("utf-8").count("Somebody") == 0
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


def test_a_report_takes_the_place_of_the_one_before_and_leaves_what_others_put_there(tmp_path):
    target = tmp_path / "2026-10"
    (target / "tables").mkdir(parents=True)
    (target / "manifest.json").write_text(json.dumps({"files": ["team-a.html", "team-gone.html", "tables/old.csv"]}))
    for name in ["team-a.html", "team-gone.html", "team-gone.pdf", "notes.html", "tables/old.csv", "tables/own.csv"]:
        (target / name).write_text("before")
    with beside(target) as folder:
        (folder / "team-a.html").write_text("now")
        publish(folder, target)
    left = {p.relative_to(target).as_posix(): p.read_text() for p in target.rglob("*") if p.is_file()}
    assert left == {"team-a.html": "now", "notes.html": "before", "tables/own.csv": "before"}
    assert [p.name for p in tmp_path.iterdir()] == ["2026-10"]


def test_what_a_killed_run_moved_aside_comes_back(tmp_path):
    (tmp_path / ".2026-10.77.before").mkdir()
    (tmp_path / ".2026-10.77.before" / "index.html").write_text("good")
    with beside(tmp_path / "2026-10"):
        assert (tmp_path / "2026-10" / "index.html").read_text() == "good"
    assert [p.name for p in tmp_path.iterdir()] == ["2026-10"]


#: every stage of a report, from what is posted to the folder's last step
STAGES = [
    *(f"site.{name}" for name in ("_posting", "plan_pages", "write_tables", "write_charges", "own_pages", "manifest_of", "finish_site", "write_manifest", "publish")),
    *(f"pages.{name}" for name in ("explorer_of", "coverage_page", "kpi_page", "glossary_page", "save_page", "group_pages")),
    "index.index_page", "manifest.hash_of", "downloads._csv",
]  # fmt: skip


@pytest.mark.long
def test_a_report_that_fails_half_way_leaves_the_last_good_one(make_workspace, tmp_path, monkeypatch):
    ws, out = make_workspace(["search"]), tmp_path / "out"
    options = {"config": str(tmp_path / "finops.toml"), "only": ["showback"]}
    monkeypatch.setattr("finops_ai.reporting.rendering.run_notebook", lambda *_, **__: None)
    monkeypatch.setattr("finops_ai.reporting.site.set_navigation", lambda *_, **__: None)
    made = make_report(ws, "2026-10", out, **options)
    before = {p: p.read_bytes() for p in made.folder.rglob("*") if p.is_file()}
    assert len(before) > 5

    def stop(*_, **__):
        raise OSError("no space left on device")

    for stage in STAGES:
        with monkeypatch.context() as planted:
            planted.setattr(f"finops_ai.reporting.{stage}", stop)
            with pytest.raises(OSError, match="no space left"):
                make_report(ws, "2026-10", out, **options)
        assert {p: p.read_bytes() for p in made.folder.rglob("*") if p.is_file()} == before, stage
        assert [p.name for p in out.iterdir()] == ["2026-10"], stage


@pytest.mark.long
def test_a_report_with_a_broken_page_is_kept_beside_a_whole_one(make_workspace, tmp_path, monkeypatch):
    ws, out = make_workspace(["search"]), tmp_path / "out"
    options = {"config": str(tmp_path / "finops.toml"), "only": ["showback"]}
    monkeypatch.setattr("finops_ai.reporting.site.set_navigation", lambda *_, **__: None)
    monkeypatch.setattr("finops_ai.reporting.rendering.run_notebook", lambda *_, **__: None)
    good = make_report(ws, "2026-10", out, **options).index.read_bytes()

    def stop(notebook, target, parameters, **_):
        raise NotebookFailed(notebook.name, "ZeroDivisionError: division by zero", target)

    monkeypatch.setattr("finops_ai.reporting.rendering.run_notebook", stop)
    bad = make_report(ws, "2026-10", out, **options)
    assert bad.index == out / "2026-10.failed" / "index.html"
    assert "division by zero" in bad.index.read_text("utf-8")
    assert (out / "2026-10" / "index.html").read_bytes() == good


@pytest.mark.parametrize(
    "words", [["--month", "2031-01"], ["-p", "month=2031-01"], ["--month", "2026-10", "-p", "month=2031-01"]]
)
def test_a_month_without_data_ends_with_3_and_the_months_there_are(make_workspace, tmp_path, capsys, words):
    make_workspace(["search"])
    good = tmp_path / "out" / "2026-10" / "index.html"
    good.parent.mkdir(parents=True)
    good.write_text("good")
    with pytest.raises(SystemExit) as stopped:
        main(["report", "--no-collect", "-c", str(tmp_path), "--out", str(tmp_path / "out"), *words])
    assert stopped.value.code == 3
    assert "There is no usage for 2031-01. Months with data: 2026-10." in capsys.readouterr().err
    assert [p.read_text() for p in (tmp_path / "out").rglob("*") if p.is_file()] == ["good"]


def test_a_parameter_for_another_month_than_the_report_s_is_refused(make_workspace, tmp_path):
    ws = make_workspace(["search"], days=(1,), month=9)
    with pytest.raises(DataError, match="Months with data: 2026-09"):
        make_report(ws, "2026-09", tmp_path / "out", config="finops.toml", parameters={"month": "2026-10"})
