"""The sample company's report opened in Chromium with the network off, at three widths, light and dark."""

from __future__ import annotations

import pytest

from finops_ai.reporting.site import make_report
from finops_ai.sample.workspace import sample_workspace

from .conftest import HOSTILE

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    ws = sample_workspace()
    made = make_report(ws, "2026-10", tmp_path_factory.mktemp("reports"), config=str(ws.settings.root / "finops.toml"))
    assert [p.error for p in made.pages if p.error] == []
    return made


@pytest.fixture
def opened(browser):
    contexts, trouble = [], []

    def go(file, width=1440, scheme="light"):
        context = browser.new_context(viewport={"width": width, "height": 1000}, color_scheme=scheme, offline=True)
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda r: trouble.append(r.url) if not r.url.startswith("file:") else None)
        page.on("console", lambda m: trouble.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda e: trouble.append(str(e)))
        page.on("dialog", lambda d: trouble.append(d.message))
        page.goto(file.as_uri())
        return page

    yield go
    for context in contexts:
        context.close()
    assert trouble == []


def test_every_page_opens_offline_fits_and_has_no_serious_violation(report, opened):
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="needs axe-playwright-python, which isn't installed"
    )
    files = sorted(report.folder.glob("*.html"))
    assert len(files) >= 12
    for i, file in enumerate(files):
        for width, scheme in ((1440, "light"), (768, "dark"), (390, "light")):
            page = opened(file, width, scheme)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (file.name, width)
            if scheme == "dark" or i < 3:
                found = axe.Axe().run(page).response["violations"]
                serious = [
                    (v["id"], v["nodes"][0]["html"][:200]) for v in found if v["impact"] in ("serious", "critical")
                ]
                assert serious == [], (file.name, scheme)
            page.context.close()


def test_the_report_is_small(report):
    html = sum(p.stat().st_size for p in report.folder.rglob("*") if p.suffix != ".ipynb")
    assert html < 5_000_000


def test_search_and_navigation(report, opened):
    page = opened(report.index)
    page.get_by_label("A team, product, model, prompt or page").fill("claude-haiku")
    page.locator("#found a").first.click()
    assert "explorer.html#model=" in page.url
    assert page.locator(".fx-path strong").inner_text().startswith("model: claude-haiku")
    page.get_by_text("Teams", exact=True).click()
    page.locator("nav details a", has_text="support").click()
    assert page.locator("h1").inner_text() == "support, October 2026"


def test_hostile_names_in_a_whole_report(make_workspace, opened, tmp_path):
    ws = make_workspace(HOSTILE)
    made = make_report(
        ws, "2026-10", tmp_path / "out", config=str(tmp_path / "finops.toml"), only=["showback", "executive_summary"]
    )
    assert [p.error for p in made.pages if p.error] == []
    for file in made.folder.glob("*.html"):
        page = opened(file, 390)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, file.name
        assert page.locator("img[src=x]").count() == 0
