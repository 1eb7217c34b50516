"""The report opened in Chromium with the network off: every page, three widths, light, dark and paper."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest

import finops_ai as fa
from finops_ai.reporting.site import make_report
from finops_ai.sample.workspace import sample_workspace
from finops_ai.tables.grouping import NOBODY

from .conftest import HOSTILE, workspace_at

pytestmark = pytest.mark.soak
MONTH = "2026-10"
FIND = "A team, product, model, prompt or page"


@pytest.fixture(scope="module")
def ws():
    return sample_workspace()


@pytest.fixture(scope="module")
def report(ws, tmp_path_factory):
    made = make_report(ws, MONTH, tmp_path_factory.mktemp("reports"), config=str(ws.settings.root / "finops.toml"))
    assert [p.error for p in made.pages if p.error] == []
    return made


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A whole report where team, product, model, prompt, user, accounts, keys and tags bear hostile names."""
    folder = tmp_path_factory.mktemp("hostile")
    made = make_report(
        workspace_at(folder, HOSTILE, days=range(1, 32), everywhere=True),
        MONTH,
        folder / "out",
        config=str(folder / "finops.toml"),
    )
    assert [p.error for p in made.pages if p.error] == []
    return made


@pytest.fixture
def opened(browser):
    """Open a page; at the end of the test nothing may have asked a network, complained, or opened a dialog."""
    contexts, trouble = [], []

    def go(file, width=1440, scheme="light", media="screen"):
        context = browser.new_context(viewport={"width": width, "height": 1000}, color_scheme=scheme, offline=True)
        contexts.append(context)
        page = context.new_page()
        page.on(
            "request", lambda r: trouble.append(r.url) if not r.url.startswith(("file:", "data:", "blob:")) else None
        )
        page.on("console", lambda m: trouble.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda e: trouble.append(str(e)))
        page.on("dialog", lambda d: trouble.append(d.message))
        page.emulate_media(media=media, color_scheme=scheme)
        page.goto(file.as_uri())
        return page

    yield go
    for context in contexts:
        context.close()
    assert trouble == []


def pages(made):
    files = sorted(made.folder.glob("*.html"))
    assert len(files) >= 12
    return files


def width_of(page):
    return page.evaluate("document.documentElement.scrollWidth")


def test_every_page_fits_every_screen(report, opened):
    for file in pages(report):
        for width in (1440, 768, 390):
            page = opened(file, width)
            assert width_of(page) <= width, (file.name, width)
            shown = page.evaluate(
                "[...document.querySelectorAll('svg.chart')].filter(c => c.checkVisibility()).map(c => c.getBoundingClientRect().width)"
            )
            assert all(200 < w <= width for w in shown), (file.name, width, shown)
            page.context.close()


def test_every_page_opens_with_its_answer_and_what_it_covers(report, opened):
    for file in pages(report):
        page = opened(file)
        if file.name.startswith("chargeback"):  # statements have their own letterhead; see test_statements.py
            continue
        assert page.locator("h1").count() == page.locator(".answer").count() == 1, file.name
        if file.name == "glossary.html":
            continue
        assert re.search(r"\d", page.locator(".answer").inner_text()), file.name
        if file.name in ("coverage.html", "kpis.html", "save.html"):  # the first says what the others rest on
            continue
        stamp = page.locator(".stamp")
        assert "of tokens have a price" in stamp.inner_text(), file.name
        assert stamp.get_by_role("link", name="what the figures cover").count() == 1, file.name
        page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_has_a_serious_accessibility_violation(report, opened, scheme):
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="needs axe-playwright-python, which isn't installed"
    )
    for file in pages(report):
        page = opened(file, 1440 if scheme == "light" else 390, scheme)
        found = axe.Axe().run(page).response["violations"]
        serious = [(v["id"], v["nodes"][0]["html"][:200]) for v in found if v["impact"] in ("serious", "critical")]
        assert serious == [], (file.name, scheme)
        page.context.close()


def test_paper_is_white_whole_and_without_what_paper_can_not_do(report, opened):
    for file in pages(report):
        if file.name == "explorer.html":  # for screens
            continue
        page = opened(file, 688, "dark", "print")  # the 182 mm between an A4 page's margins
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)", file.name
        assert page.evaluate("getComputedStyle(document.querySelector('h1')).color") == "rgb(0, 0, 0)", file.name
        assert not page.locator("body > nav").is_visible()
        wide = page.evaluate(
            "[...document.querySelectorAll('table, svg.chart')].filter(e => e.checkVisibility()).map(e => e.getBoundingClientRect().right)"
        )
        assert max(wide, default=0) <= 690, file.name
        page.context.close()


def test_a_chart_is_read_out_once(report, opened):
    for width in (1440, 390):
        page = opened(report.index, width)
        assert page.get_by_role("img", name=re.compile("Stacked columns of cost per day by team")).count() == 1


def test_totals_equal_the_api_s(ws, report, opened):
    table = fa.showback(ws.allocated(MONTH), ["team"])
    total = f"{sum(table['cost'].dropna(), Decimal(0)):,.2f}"
    for name in ("index", "showback", "executive_summary", "explorer"):
        page = opened(report.folder / f"{name}.html")
        assert f"{total} USD" in page.locator(".answer").inner_text()
    page = opened(report.index)
    rows = {
        r[0]: r[1]
        for r in (line.split("\t") for line in page.locator(".scroll table").first.inner_text().splitlines())
        if len(r) > 2
    }
    assert rows["Total"] == total
    named = {t: NOBODY.get(t, t) for t in table["team"]}  # what is nobody's stands under its own words
    assert sum(Decimal(rows[named[t]].replace(",", "")) for t in named) == Decimal(total.replace(",", ""))


def test_a_team_has_one_colour_and_one_amount_on_every_page(report, opened):
    seen = {}
    for name in ("index", "showback", "executive_summary", "allocation_quality"):
        page = opened(report.folder / f"{name}.html")
        first = page.locator(".scroll table").first.locator("tbody tr")
        cost = 2 if name == "executive_summary" else 1  # before, after
        for i in range(4):
            cells = first.nth(i).locator("th, td").all_inner_texts()
            seen.setdefault(cells[0], set()).add(cells[cost])
    assert len(seen) >= 4
    assert all(len(amounts) == 1 for amounts in seen.values()), seen


def test_the_keyboard_reaches_everything_visibly(report, opened):
    page = opened(report.index)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "To the page"
    seen = set()
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement === document.body"):
            break  # past the last one
        seen.add(
            page.evaluate(
                "document.activeElement.tagName + (document.activeElement.id || document.activeElement.className)"
            )
        )
        ring = page.evaluate(
            "(e => { const s = getComputedStyle(e); return s.outlineStyle !== 'none' || s.boxShadow !== 'none' })(document.activeElement)"
        )
        assert ring, page.evaluate("document.activeElement.outerHTML.slice(0, 200)")
    else:
        raise AssertionError("the last stop was never reached")
    assert {"A", "DIVscroll", "INPUTfind"} <= seen


def test_search_and_navigation(report, opened):
    page = opened(report.index)
    page.get_by_label(FIND).fill("claude-haiku")
    page.locator("#found a").first.click()
    assert "explorer.html#model=" in page.url
    assert page.locator(".fx-path strong").inner_text().startswith("model: claude-haiku")
    page.get_by_role("link", name="Who", exact=True).click()
    page.get_by_text("Teams", exact=True).click()
    page.locator("nav details[open] a", has_text="support").click()
    assert page.locator("h1").inner_text() == "support, October 2026"
    page = opened(report.index)
    page.get_by_label(FIND).fill("no such thing")
    assert page.locator("#found").inner_text() == "Nothing found."


def test_downloads_are_the_files_they_name(report, opened):
    page = opened(report.index)
    marks = {"csv": b"", "xlsx": b"PK", "parquet": b"PAR1", "json": b""}
    links = page.locator("a[download]").evaluate_all("all => all.map(a => a.getAttribute('href'))")
    assert {
        "tables/showback.csv",
        "tables/showback.xlsx",
        "tables/showback.parquet",
        "tables/focus-1.2.parquet",
    } <= set(links)
    for link in links:
        content = (report.folder / link).read_bytes()
        assert content.startswith(marks[link.rpartition(".")[2]])
        assert len(content) > 100


def test_the_report_is_small(report):
    assert sum(p.stat().st_size for p in report.folder.rglob("*") if p.suffix != ".ipynb") < 5_000_000


def test_hostile_names_fit_run_nothing_and_are_found(hostile, opened):
    for file in pages(hostile):
        for width in (1440, 390):
            page = opened(file, width)
            assert width_of(page) <= width, (file.name, width)
            assert page.locator("img[src=x], main b").count() == 0, file.name
            text = page.locator("main").inner_text()
            assert not re.search("[\u202a-\u202e\u2066-\u2069]", text), file.name
            page.context.close()
    page = opened(hostile.index)
    for name in HOSTILE[:2]:
        page.get_by_label(FIND).fill(name[:20])
        page.locator("#found a").first.click()
        assert name in page.locator("h1").inner_text()
        page.go_back()


def test_a_hostile_name_can_be_explored(hostile, opened):
    page = opened(hostile.folder / "explorer.html")
    page.get_by_role("button", name=HOSTILE[1]).or_(
        page.locator("table").get_by_text(HOSTILE[1], exact=True)
    ).first.click()
    assert HOSTILE[1] in page.locator(".fx-path").inner_text()
