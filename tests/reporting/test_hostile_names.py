"""Names from outside stay text in every page and file, and never become a path, a formula or markup."""

from __future__ import annotations

import csv
import re
from decimal import Decimal
from html.parser import HTMLParser

import openpyxl
import pandas as pd
import pytest

import finops_ai as fa
from finops_ai.reporting import answers
from finops_ai.reporting.downloads import write_tables
from finops_ai.reporting.planning import Report
from finops_ai.reporting.site import finish_site, own_pages

from .conftest import HOSTILE, workspace_at

MANIFEST = {"price_book": "p", "digest": "d", "made_at": "2026-11-01T00:00:00Z"}
#: what the pages are made of; a name that became markup would add another
TAGS = {"img", "iframe", "object", "embed", "b", "link", "base", "form"}


class Reader(HTMLParser):
    """Collects the tags of a page, its attributes that run code, and its text outside scripts."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.handlers, self.text, self._code = set(), [], [], False
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self._code = tag in ("script", "style")
        self.handlers += [a for a, v in attributes if a.startswith("on") or str(v).lower().startswith("javascript:")]

    def handle_endtag(self, tag):
        self._code = False

    def handle_data(self, data):
        if not self._code:
            self.text.append(data)


def test_an_unescaped_name_would_be_seen():
    page = Reader(f"<p>{HOSTILE[0]}</p><script>var a = '<b>';</script>")
    assert page.tags & TAGS == {"img"}
    assert page.handlers == ["onerror"]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    ws = workspace_at(folder, HOSTILE, days=(1, 2), everywhere=True)
    report = Report(folder / "deep" / "out", "2026-10")
    downloads = write_tables(ws.allocated("2026-10"), report.folder / "tables")
    frame = ws.allocated("2026-10")
    finish_site(ws, report, frame, MANIFEST, downloads, own_pages(ws, report, frame))
    return ws, report


@pytest.mark.long
def test_pages_show_names_as_text_and_run_nothing_of_them(site):
    ws, report = site
    written = list(ws.settings.root.rglob("*.html"))
    assert all(report.folder in p.parents for p in written)
    assert len(list(report.folder.glob("team-*.html"))) == len(HOSTILE)
    for file in written:
        page = Reader(file.read_text("utf-8"))
        assert not page.tags & TAGS, file.name
        assert page.handlers == [], file.name
        text = "".join(page.text)
        assert not re.search("[\u202a-\u202e\u2066-\u2069]", text), (
            "a mark that turns the text around is shown as its code"
        )
    overview = "".join(Reader(report.index.read_text("utf-8")).text)
    for name in HOSTILE:
        shown = name.replace("\u202e", "\\u202e").replace("\u202c", "\\u202c")
        assert shown in overview, name


def test_search_and_explorer_hold_names_as_data(site):
    _, report = site
    for file in (report.index, report.folder / "explorer.html"):
        page = file.read_text("utf-8")
        for block in re.findall(r"<script[^>]*>(.*?)</script>", page, re.S):
            assert "<img" not in block, "a name closed the script"
        assert page.count("<script") == page.count("</script>")


def test_downloads_hold_names_as_text_never_as_formulas(site):
    ws, report = site
    folder = report.folder / "tables"
    with (folder / "showback.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    for cell in (cell for row in rows[1:] for cell in row if cell):
        assert cell[0] not in "=+@\t\r", cell
        assert cell[0] != "-" or Decimal(cell), cell
    sheets = openpyxl.load_workbook(folder / "showback.xlsx")
    assert not [c.coordinate for sheet in sheets for row in sheet for c in row if c.data_type == "f"]
    names = set(fa.showback(ws.allocated("2026-10"), ["team"])["team"])
    assert names == set(HOSTILE)
    assert set(pd.read_parquet(folder / "showback.parquet")["team"]) == names  # data files keep names as they are


def test_links_lead_to_files_of_this_folder(site):
    _, report = site
    for file in report.folder.glob("*.html"):
        for href in re.findall(r'href="([^"#]*)', file.read_text("utf-8")):
            assert not href or (report.folder / href).resolve().is_relative_to(report.folder.resolve()), href
            assert not href or href == "manifest.json" or (report.folder / href).is_file(), href


def test_sentences_tables_and_alternative_texts_escape_names(site):
    ws, _ = site
    table = fa.showback(ws.history("2026-10"), ["team"], "2026-10")
    html = answers.showback_words(table, "team", "2026-10") + answers.table_html(
        table, ["cost"], links={HOSTILE[0]: '"><img>'}
    )
    assert "<img" not in html
    assert "<b>" not in html
