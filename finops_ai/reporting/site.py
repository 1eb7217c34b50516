"""A month's report as a folder: notebooks rendered to pages, tables to download, an index and a manifest."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import logging
import platform
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from finops_ai.errors import DataError, FinopsError, SettingsError, hint
from finops_ai.periods import iso, parse_month
from finops_ai.progress import track
from finops_ai.reporting.notebooks import (
    Kernel,
    check_parameters,
    notebook_folder,
    parameters_of,
    run_notebook,
    title_of,
)
from finops_ai.reporting.statements import NOTEBOOK, statement_file
from finops_ai.workspace import Workspace

if TYPE_CHECKING:
    from finops_ai.reporting.pages import Link
    from finops_ai.tables.posting import Posting

log = logging.getLogger("finops_ai.reporting")

PACKAGES = [
    "finops-ai-core",
    "pandas",
    "pandera",
    "duckdb",
    "pyarrow",
    "deltalake",
    "genai-prices",
    "numpy",
    "matplotlib",
    "papermill",
]

#: heading of the statements' pages, and how many of the largest get one; the others are in the files
STATEMENTS = "Statements"
MOST_STATEMENTS = 60


@dataclass
class Page:
    """One page of the report: the notebook it came from, its parameters, and how it went."""

    name: str
    title: str
    notebook: Path
    parameters: dict[str, Any]
    order: float = 0
    error: str = ""
    group: str = ""
    about: str = ""
    left_out: str = ""

    @property
    def file(self) -> str:
        """File name of the HTML page inside the report's folder."""
        return f"{self.name}.html"


@dataclass
class Report:
    """A finished report: where it is, its pages and what failed."""

    folder: Path
    month: str
    pages: list[Page] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def index(self) -> Path:
        """The page to open."""
        return self.folder / "index.html"

    @property
    def failed(self) -> list[Page]:
        """Pages whose notebook stopped."""
        return [page for page in self.pages if page.error]


@dataclass
class Side:
    """Links to the pages that need no notebook."""

    explorer: list[Link] = field(default_factory=list)
    groups: list[Link] = field(default_factory=list)


def report_notebooks(folder: Path | None = None) -> list[tuple[float, Path, dict[str, Any]]]:
    """The notebooks that belong in the monthly report, in order: those whose metadata has `finops_ai.order`."""
    found = []
    for path in sorted((folder or notebook_folder()).glob("*.ipynb")):
        meta = json.loads(path.read_text("utf-8")).get("metadata", {}).get("finops_ai", {})
        if "order" in meta:
            found.append((float(meta["order"]), path, meta))
    return sorted(found, key=lambda item: (item[0], item[1].name))


def make_report(
    ws: Workspace,
    month: str,
    out: Path,
    *,
    config: str,
    only: Sequence[str] = (),
    parameters: Mapping[str, Any] | None = None,
    jobs: int = 2,
    notes: Sequence[str] = (),
    watch: Callable[[Page], None] | None = None,
) -> Report:
    """Render the month's report into `out/<month>/`; pages that were there stay until their new version is whole.

    Args:
        ws: the workspace; its month must hold data.
        month: `YYYY-MM` of the reporting time zone.
        out: folder of all reports.
        config: path of the finops.toml, handed to the notebooks.
        only: names of notebooks to render; none = all of the report.
        parameters: more notebook parameters, checked against each notebook that has them.
        jobs: notebooks to run at the same time.
        notes: what a reader must know, such as a provider that is missing; shown on the index.
        watch: called with each page as it is done, for progress.

    Raises:
        DataError: the month holds no usage.
        SettingsError: an unknown notebook or parameter.
    """
    parse_month(month)
    if ws.closed(month):
        ws.ledger.require_sound()
    frame = ws.cube(month)
    report = Report(out / month, month, notes=list(notes))
    if frame.empty:
        have = ", ".join(ws.months()) or "none"
        raise DataError(
            f"There is no usage for {month}. Months with data: {have}. Load it with `finops-ai collect --month {month}`."
        )
    report.folder.mkdir(parents=True, exist_ok=True)
    with Renderer(report.folder, min(jobs, len(only) or jobs), watch) as renderer:
        for name in track(ws.months_before(month, 13), "Price and map months"):
            ws.cube(name)  # once, here; the notebooks find it kept
        post = _posting(ws, month)
        report.pages = plan_pages(ws, post, month, config, only, parameters or {})
        renderer.render(report.pages)
        downloads = write_tables(frame, report.folder / "tables")
        if post:
            downloads += write_charges(post, report.folder / "tables")
            report.notes += state_notes(post, report.pages)
        side = side_pages(ws, report, frame)
    report.notes += [
        f"{page.title.partition(':')[0]} is left out. {page.left_out}" for page in report.pages if page.left_out
    ]
    manifest = manifest_of(ws, report, frame)
    manifest["files"] = finish_site(ws, report, frame, manifest, downloads, side)
    if not only:
        forget_pages(report.folder, manifest["files"])
    _write(report.folder / "manifest.json", json.dumps(manifest, indent=1, ensure_ascii=False, default=str) + "\n")
    return report


def forget_pages(folder: Path, files: Sequence[str]) -> None:
    """Remove pages that the report before had in this folder and this one hasn't, such as a team's that is gone."""
    try:
        before = json.loads((folder / "manifest.json").read_text("utf-8")).get("files", [])
    except (OSError, ValueError):
        return
    for name in set(before) - set(files):
        for path in (folder / name, (folder / name).with_suffix(".ipynb")):
            if path.parent == folder:
                path.unlink(missing_ok=True)


class Renderer:
    """Runs the notebooks of pages, `jobs` at a time, each job in one kernel; a failure is told on its page.

    Kernels are processes of their own. They start when the renderer is entered, so that they are ready by the time the
    figures are; this process does meanwhile what needs none.

    Example:
        >>> with Renderer(folder, jobs=2) as renderer:  # doctest: +SKIP
        ...     renderer.render(pages)
    """

    def __init__(self, folder: Path, jobs: int, watch: Callable[[Page], None] | None = None) -> None:
        self._folder, self._watch, self._count = folder, watch, max(jobs, 1)
        self._waiting: SimpleQueue[Page | None] = SimpleQueue()
        self._pool = ThreadPoolExecutor(self._count)
        self._running: list[Future[None]] = []

    def __enter__(self) -> Renderer:
        self._running = [self._pool.submit(self._work) for _ in range(self._count)]
        return self

    def __exit__(self, kind: object, *error: object) -> None:
        while kind and not self._waiting.empty():
            self._waiting.get()  # what waits isn't wanted any more
        for _ in self._running:
            self._waiting.put(None)
        self._pool.shutdown()
        if not kind:
            for done in self._running:
                done.result()

    def render(self, pages: Sequence[Page]) -> None:
        """Have these pages made, in this order; leaving the renderer waits for them."""
        for page in pages:
            if not page.left_out:
                self._waiting.put(page)

    def _work(self) -> None:
        with Kernel() as kernel:
            kernel.warm()
            while page := self._waiting.get():
                _render(page, self._folder, kernel)
                if self._watch:
                    self._watch(page)


def _render(page: Page, folder: Path, kernel: Kernel) -> None:
    target = folder / f"{page.name}.ipynb"
    try:
        title = f"Statement for {page.title}" if page.group == STATEMENTS else page.title
        run_notebook(page.notebook, target, page.parameters, kernel=kernel, title=title)
    except FinopsError as error:
        if reason := getattr(error, "lacks_data", ""):
            page.left_out = reason
            error.page.unlink(missing_ok=True)  # type: ignore[attr-defined]
        else:
            page.error = str(error)


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
            f"Corrections of it were posted since: {total:+,.2f} {post.currency} in {months}. They don't change it."
        )
    shown = sum(page.group == STATEMENTS for page in pages)
    if 0 < shown < len(post.receivers):
        notes.append(
            f"The {shown} largest of {len(post.receivers):,} statements have a page; all lines are in tables/statements.csv."
        )
    return notes


def side_pages(ws: Workspace, report: Report, frame: Any) -> Side:
    """Write the pages that need no notebook: the explorer, and a page per team."""
    from finops_ai.reporting.pages import Link, explorer_of, group_pages, page

    side = Side()
    try:
        body = explorer_of(ws, report.month)
    except FinopsError as error:
        report.notes.append(f"There is no explorer: {error}")
    else:
        _write(report.folder / "explorer.html", page(f"Explorer, {report.month}", body))
        about = "Every figure by every name: choose, drill, compare, export."
        side.explorer.append(Link("explorer.html", "Explorer", about))
    dimension = next(iter(ws.rules.dimensions), None)
    if dimension is not None and dimension in frame.columns:
        side.groups += group_pages(ws, report.month, dimension, report.folder)
    return side


def finish_site(
    ws: Workspace,
    report: Report,
    frame: Any,
    manifest: dict[str, Any],
    downloads: list[tuple[str, Path]],
    side: Side,
) -> list[str]:
    """Add the index, and the same navigation on every page; returns the names of all pages."""
    from finops_ai.reporting.index import index_page
    from finops_ai.reporting.pages import Link, navigation, set_navigation

    made = [Link(p.file, p.title, p.about, p.group) for p in report.pages if not p.error and not p.left_out]
    links = [Link("index.html", "Overview"), *side.explorer, *made, *side.groups]
    _write(report.index, index_page(ws, report, frame, manifest, downloads, links))
    brand = f"{ws.name}, {report.month}"
    for link in links:
        set_navigation(report.folder / link.file, navigation(brand, links, link.file))
    return sorted(link.file for link in links)


def check_choices(only: Sequence[str], given: Mapping[str, Any]) -> list[tuple[float, Path, dict[str, Any]]]:
    """The report's notebooks, once it is sure that those asked for exist and take the parameters given; quick.

    Raises:
        SettingsError: a notebook or parameter that doesn't exist, or a value of another type.
    """
    notebooks = report_notebooks()
    names = [path.stem for _, path, _ in notebooks]
    for name in only:
        if name not in names:
            raise SettingsError(f"The report has no notebook {name!r}. {hint(name, names)}")
    taken: set[str] = set()
    for _, path, _ in notebooks:
        if not only or path.stem in only:
            own = {k: v for k, v in given.items() if k in parameters_of(path)}
            taken |= set(check_parameters(path, own))
    if unused := sorted(given.keys() - taken):
        every = {name for _, path, _ in notebooks for name in parameters_of(path)}
        raise SettingsError(f"No notebook of the report has a parameter {unused[0]!r}. {hint(unused[0], every)}")
    return notebooks


def plan_pages(
    ws: Workspace, post: Posting | None, month: str, config: str, only: Sequence[str], given: Mapping[str, Any]
) -> list[Page]:
    """Which notebook runs with which parameters; `for_each = "receiver"` makes a page for each of the largest statements.

    Raises:
        SettingsError: a notebook or parameter that doesn't exist.
    """
    notebooks = check_choices(only, given)
    chosen = [path.stem for _, path, meta in notebooks if not only or path.stem in only]
    receivers = post.receivers[:MOST_STATEMENTS] if post and NOTEBOOK in chosen else []
    pages = []
    for order, path, meta in notebooks:
        if path.stem not in chosen:
            continue
        known = parameters_of(path)
        values = {"config": config, "month": month, "statements_beside": len(receivers), **given}
        base = check_parameters(path, {name: value for name, value in values.items() if name in known})
        title = title_of(json.loads(path.read_text("utf-8"))) or path.stem
        if meta.get("for_each") == "receiver":
            who = [given["receiver"]] if "receiver" in given else receivers
            pages += [
                Page(
                    statement_file(name).removesuffix(".html"),
                    name,
                    path,
                    {**base, "receiver": name},
                    order,
                    group=STATEMENTS,
                )
                for name in who
            ]
        elif meta.get("needs") == "dimensions" and not ws.rules.dimensions:
            reason = "finops.toml declares no dimension, such as [dimensions.team]."
            pages.append(Page(path.stem, title, path, base, order, left_out=reason))
        else:
            pages.append(Page(path.stem, title, path, base, order, about=meta.get("about", "")))
    return sorted(pages, key=lambda page: page.group == STATEMENTS)


def write_tables(frame: Any, folder: Path) -> list[tuple[str, Path]]:
    """The month's tables to download, as CSV, Excel, Parquet and FOCUS: (what it is, file)."""
    from finops_ai.tables import showback
    from finops_ai.tables.focus import to_focus, write_focus
    from finops_ai.tables.grouping import dimensions_of

    folder.mkdir(parents=True, exist_ok=True)
    dimensions = dimensions_of(frame)
    files = []
    table = showback(frame, by=[*dimensions, "provider", "model"])
    for suffix, write in (("csv", _csv), ("xlsx", _excel), ("parquet", lambda t, p: t.to_parquet(p, index=False))):
        path = folder / f"showback.{suffix}"
        write(table, path)
        files.append(
            ("Cost and tokens by " + ", ".join([*(d.replace("_", " ") for d in dimensions), "provider", "model"]), path)
        )
    focus = write_focus(to_focus(frame), folder / "focus-1.2.parquet")
    files.append(("Every charge by day in the FinOps Open Cost and Usage Specification (FOCUS) 1.2", focus))
    return files


def write_charges(post: Posting, folder: Path) -> list[tuple[str, Path]]:
    """The month's statements and journal to download: (what it is, file)."""
    about = {
        "statements.xlsx": "Chargeback statements, a sheet each",
        "statements.csv": "Every line of every statement",
        "journal.xlsx": "Double-entry journal, with true-ups posted in the month",
        "journal.csv": "The journal for import",
        "journal.json": "The journal for import, as JSON",
    }
    return [(about[path.name], path) for path in post.write(folder)]


def _csv(table: Any, path: Path) -> None:
    from finops_ai.tables.csv import write_csv

    write_csv(table.published(), path)


def _excel(table: Any, path: Path) -> None:
    table.to_excel(path)


def manifest_of(ws: Workspace, report: Report, frame: Any) -> dict[str, Any]:
    """What the report rests on: data versions and hashes, prices, rules, packages, parameters."""
    loads = {table: ws.lake.version(table) for table in ("tokens", "bills")}
    return {
        "month": report.month,
        "workspace": ws.name,
        "timezone": ws.timezone,
        "made_at": iso(dt.datetime.now(dt.UTC).replace(microsecond=0)),
        "rows": len(frame),
        "digest": ws.digest(),
        "data_sha256": hash_of(frame),
        "lake_versions": loads,
        "price_book": ws.book.version,
        "packages": {name: _version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "pages": [
            {
                "name": p.name,
                "notebook": p.notebook.name,
                "parameters": _portable(p.parameters),
                "error": p.error or None,
            }
            for p in report.pages
        ],
    }


def hash_of(frame: Any) -> str:
    """SHA-256 of a frame's content, the same on every machine."""
    from finops_ai.frames import to_arrow

    digest = hashlib.sha256()
    for name, column in zip(frame.columns, to_arrow(frame).columns, strict=True):
        digest.update(name.encode())
        digest.update(repr(column.to_pylist()).encode())
    return digest.hexdigest()


def _portable(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {name: Path(value).name if name == "config" else value for name, value in parameters.items()}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _write(path: Path, text: str) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
