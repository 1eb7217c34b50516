"""A month's report as a folder, in one build: plan, notebooks, downloads, own pages, navigation, manifest, publish."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finops_ai.engine.duck import one_of
from finops_ai.errors import FinopsError
from finops_ai.money import written
from finops_ai.progress import track
from finops_ai.reporting.downloads import Download, write_charges, write_tables
from finops_ai.reporting.folder import beside, is_whole, publish, start_from
from finops_ai.reporting.manifest import manifest_of, write_manifest
from finops_ai.reporting.navigation import COVERAGE_FILE, Link, navigation, set_navigation
from finops_ai.reporting.planning import STATEMENTS, Page, Report, check_choices, check_month, plan_pages
from finops_ai.reporting.rendering import Renderer, kernels
from finops_ai.store.keeping import sharing
from finops_ai.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd

    from finops_ai.tables.posting import Posting

log = logging.getLogger("finops_ai.reporting")


def make_report(
    ws: Workspace,
    month: str,
    out: Path,
    *,
    config: str,
    only: Sequence[str] = (),
    parameters: Mapping[str, Any] | None = None,
    jobs: int | None = None,
    notes: Sequence[str] = (),
    watch: Callable[[Page], None] | None = None,
) -> Report:
    """Make the month's report in `out/<month>/`. It is built beside and takes its place when it is whole.

    A report that can't be finished leaves the one before as it was. One whose pages failed in part takes the place only
    where no whole one stands; else it is kept in `out/<month>.failed/`.

    Args:
        ws: the workspace; its month must hold data.
        month: `YYYY-MM` of the reporting time zone.
        out: folder of all reports.
        config: path of the finops.toml, handed to the notebooks.
        only: names of notebooks to render; the other pages stay as they are. None = all of the report.
        parameters: more notebook parameters, checked against each notebook that has them.
        jobs: notebooks to run at the same time; by default see `kernels`.
        notes: what a reader must know, such as a provider that is missing; shown on the first page.
        watch: called with each page as it is done, for progress.

    Raises:
        DataError: the month holds no usage.
        SettingsError: an unknown notebook or parameter, or a parameter that asks for another month.
    """
    given = dict(parameters or {})
    check_choices(only, given)
    check_month(ws, month, given)
    target = out / month
    jobs = jobs or kernels()
    with beside(target) as folder, ws.lake.steady() as steady, sharing() as shared, one_of(jobs + 1) as threads:
        report = Report(folder, month, notes=list(notes))
        if only:
            start_from(folder, target)
        renderer = Renderer(folder, min(jobs, len(only) or jobs), watch, {**steady, **shared, **threads})
        build(ws, report, renderer, config=config, only=only, given=given)
        if report.failed and is_whole(target):
            target = target.with_name(f"{month}.failed")
            shutil.rmtree(target, ignore_errors=True)
        report.folder = publish(folder, target)
    return report


def build(
    ws: Workspace,
    report: Report,
    renderer: Renderer,
    *,
    config: str,
    only: Sequence[str],
    given: Mapping[str, Any],
) -> None:
    """Write everything of a report into its folder."""
    month, folder = report.month, report.folder
    with renderer:
        for name in track(ws.months_before(month, 13), "Price and map months"):
            ws.cube(name)  # once, here; the notebooks find it kept
        post = _posting(ws, month)
        report.pages = plan_pages(ws, post, month, config, only, given)
        renderer.render(report.pages)
        frame = ws.cube(month)
        downloads = write_tables(frame, folder / "tables")
        if post:
            downloads += write_charges(post, folder / "tables")
            report.notes += state_notes(post, report.pages)
        own = own_pages(ws, report, frame)
    report.notes += [f"{p.title.partition(':')[0]} is left out. {p.left_out}" for p in report.pages if p.left_out]
    manifest = manifest_of(ws, report, frame)
    finish_site(ws, report, frame, manifest, downloads, own)
    write_manifest(folder, manifest)


def _posting(ws: Workspace, month: str) -> Posting | None:
    """What the month posts; None where nothing can be charged, which the chargeback page then explains."""
    from finops_ai.tables.posting import posting

    try:
        return posting(ws, month)
    except FinopsError as error:
        log.info("No chargeback of %s: %s", month, error)
        return None


def state_notes(post: Posting, pages: Sequence[Page]) -> list[str]:
    """What a reader of the first page must know of the close, and of statements that have no page."""
    notes = []
    if post.closed_at:
        notes.append(
            f"{post.month} was closed on {post.closed_at[:10]} (seal {post.seal[:12]}): its figures are those it was closed with."
        )
    if len(post.corrections):
        total = sum(post.corrections["difference"], Decimal(0))
        months = ", ".join(dict.fromkeys(post.corrections["posted_in"]))
        notes.append(
            f"Corrections of it were posted since: {written(total, post.currency, '+')} {post.currency} in {months}. They don't change it."
        )
    shown = sum(page.group == STATEMENTS for page in pages)
    if 0 < shown < len(post.receivers):
        notes.append(
            f"The {shown} largest of {len(post.receivers):,} statements have a page; all lines are in tables/statements.csv."
        )
    return notes


def own_pages(ws: Workspace, report: Report, frame: pd.DataFrame) -> list[Link]:
    """Write the pages that need no notebook, such as the explorer and a page per team; their links."""
    from finops_ai.reporting.pages import (
        coverage_page,
        explorer_of,
        glossary_page,
        group_pages,
        kpi_page,
        page,
        save_page,
    )

    links: list[Link] = []

    def write(link: Link, body: str) -> None:
        (report.folder / link.file).write_text(page(f"{link.title}, {report.month}", body), encoding="utf-8")
        links.append(link)

    try:
        body = explorer_of(ws, report.month)
    except FinopsError as error:
        report.notes.append(f"There is no explorer: {error}")
    else:
        about = "Every figure by every name: choose, drill, compare, export."
        write(Link("explorer.html", "Explorer", about, question="explore"), body)
    about = "How much of reality the figures hold, how fresh each source is, what to doubt."
    write(Link(COVERAGE_FILE, "What the figures cover", about, question="overview"), coverage_page(ws, report.month))
    about = "Every KPI of FinOps for AI with the month's figure, or what it would take."
    write(Link("kpis.html", "KPIs", about, question="overview"), kpi_page(ws, report.month))
    about = "What each figure and each class of usage means, and what a token is."
    write(Link("glossary.html", "Glossary", about, question="overview"), glossary_page())
    about = "What would have made it cheaper, with the evidence and who would do it."
    write(Link("save.html", "Save", about, question="save"), save_page(ws, report.month))
    dimension = next(iter(ws.rules.dimensions), None)
    if dimension is not None and dimension in frame.columns:
        links += group_pages(ws, report.month, dimension, report.folder)
    return links


def finish_site(
    ws: Workspace,
    report: Report,
    frame: pd.DataFrame,
    manifest: Mapping[str, Any],
    downloads: Sequence[Download],
    own: Sequence[Link],
) -> None:
    """Add the first page, and the same navigation on every page."""
    from finops_ai.reporting.index import index_page

    made = [Link(p.file, p.title, p.about, p.group, p.question) for p in report.pages if not p.error and not p.left_out]
    links = [Link("index.html", "Overview", question="overview"), *made, *own]
    report.index.write_text(index_page(ws, report, frame, manifest, downloads, links), encoding="utf-8")
    brand = f"{ws.name}, {report.month}"
    covered = any(link.file == COVERAGE_FILE for link in links)
    for link in links:
        set_navigation(report.folder / link.file, navigation(brand, links, link.file), covered=covered)
