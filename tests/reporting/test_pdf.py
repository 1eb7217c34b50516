"""PDFs appear beside their pages where a Chromium is installed; where none is, the report says what to do."""

from __future__ import annotations

import re
import shutil
import stat
from pathlib import Path

import pytest

from finops_ai.reporting.pdf import BROWSERS, find_browser, print_pages
from finops_ai.reporting.planning import Page, Report
from finops_ai.reporting.site import finish_site, own_pages

from .conftest import HOSTILE, workspace_at

#: writes what it was asked to print where it was asked to, like a browser would
FAKE = """#!/bin/sh
for word in "$@"; do case "$word" in --print-to-pdf=*) echo "%PDF $@" > "${word#--print-to-pdf=}";; esac; done
"""


@pytest.fixture
def report(tmp_path):
    made = Report(tmp_path, "2026-10")
    made.pages = [
        Page("showback", "Showback", Path("showback.ipynb"), {}),
        Page("forecast", "Forecast", Path("forecast.ipynb"), {}, left_out="A plan needs at least 14 days of history."),
        Page("broken", "Broken", Path("broken.ipynb"), {}, error="ValueError"),
    ]
    for name in ("index", "showback"):
        (tmp_path / f"{name}.html").write_text("<p>page</p>", encoding="utf-8")
    return made


def script(path, text):
    path.write_text(text, encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_without_a_browser_it_says_what_to_do(report, monkeypatch):
    monkeypatch.delenv("FINOPS_AI_BROWSER", raising=False)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    said = []
    assert print_pages(report, say=said.append) == []
    assert len(said) == 1
    assert "no Chromium was found. Install Chromium" in said[0]
    assert not list(report.folder.glob("*.pdf"))


def test_pages_that_were_made_are_printed_and_no_others(report, monkeypatch, tmp_path):
    monkeypatch.setenv("FINOPS_AI_BROWSER", script(tmp_path / "browser", FAKE))
    said = []
    assert [p.name for p in print_pages(report, say=said.append)] == ["index.pdf", "showback.pdf"]
    assert said == []
    assert "--disable-background-networking" in (report.folder / "index.pdf").read_text()


@pytest.mark.parametrize(
    ("browser", "reason"),
    [("#!/bin/sh\necho 'no display' >&2\nexit 7\n", r"exit code 7: no display"), (None, "No such file")],
)
def test_a_browser_that_fails_is_quoted_and_leaves_no_old_pdf(report, monkeypatch, tmp_path, browser, reason):
    (report.folder / "index.pdf").write_text("last month's")
    monkeypatch.setenv("FINOPS_AI_BROWSER", script(tmp_path / "b", browser) if browser else str(tmp_path / "missing"))
    said = []
    assert print_pages(report, say=said.append) == []
    assert len(said) == 2
    assert all(re.search(reason, text) for text in said)
    assert not list(report.folder.glob("*.pdf"))


def test_the_browser_is_found_by_its_usual_names(monkeypatch):
    monkeypatch.delenv("FINOPS_AI_BROWSER", raising=False)
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}" if name == BROWSERS[2] else None)
    assert find_browser() == f"/bin/{BROWSERS[2]}"


@pytest.mark.slow
def test_chromium_prints_hostile_names_as_a_tagged_document(tmp_path):
    if find_browser() is None:
        pytest.skip("needs Chromium, which isn't installed")
    ws = workspace_at(tmp_path, HOSTILE, everywhere=True)
    made = Report(tmp_path / "out", "2026-10")
    made.folder.mkdir()
    frame = ws.allocated("2026-10")
    manifest = {"price_book": "p", "digest": "d", "made_at": "2026-11-01T00:00:00Z"}
    finish_site(ws, made, frame, manifest, [], own_pages(ws, made, frame))
    said = []
    (file,) = print_pages(made, say=said.append)
    assert said == []
    content = file.read_bytes()
    assert content.startswith(b"%PDF-")
    assert b"/StructTreeRoot" in content  # readable by screen readers
    pages = len(re.findall(rb"/Type\s*/Page\b", content))
    assert 1 < pages < 9
