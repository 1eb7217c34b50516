"""What a report consists of: which notebooks run, with which parameters, under which question."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finops_ai.errors import SettingsError, hint
from finops_ai.reporting.months import month_with_data
from finops_ai.reporting.notebooks import check_parameters, notebook_folder, parameters_of, title_of
from finops_ai.reporting.text import slug

if TYPE_CHECKING:
    from finops_ai.tables.posting import Posting
    from finops_ai.workspace import Workspace

#: the notebook that makes one statement
NOTEBOOK = "chargeback_statement"
#: heading of the statements' pages, and how many of the largest get one; the others are in the files
STATEMENTS = "Statements"
MOST_STATEMENTS = 60


@dataclass
class Page:
    """One page of the report: the notebook it came from, its parameters, the question it answers, and how it went."""

    name: str
    title: str
    notebook: Path
    parameters: dict[str, Any]
    order: float = 0
    error: str = ""
    group: str = ""
    about: str = ""
    left_out: str = ""
    question: str = ""

    @property
    def file(self) -> str:
        """File name of the HTML page inside the report's folder."""
        return f"{self.name}.html"


@dataclass
class Report:
    """A report: where it is, its pages and what failed."""

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


def report_notebooks(folder: Path | None = None) -> list[tuple[float, Path, dict[str, Any]]]:
    """The notebooks that belong in the monthly report, in order: those whose metadata has `finops_ai.order`."""
    found = []
    for path in sorted((folder or notebook_folder()).glob("*.ipynb")):
        meta = json.loads(path.read_text("utf-8")).get("metadata", {}).get("finops_ai", {})
        if "order" in meta:
            found.append((float(meta["order"]), path, meta))
    return sorted(found, key=lambda item: (item[0], item[1].name))


def statement_file(receiver: str) -> str:
    """File of a receiver's statement inside the report's folder.

    >>> statement_file("search")
    'chargeback_statement-search.html'
    """
    return f"{NOTEBOOK}-{slug(receiver)}.html"


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


def check_month(ws: Workspace, month: str, given: Mapping[str, Any]) -> None:
    """A report is of one month, whatever way it is asked for, and that month holds data.

    Raises:
        DataError: the month, or the one that a parameter asks for, holds no usage; says which months do.
        SettingsError: a parameter asks for another month than the report's.
    """
    asked = given.get("month", month)
    month_with_data(ws, asked)
    month_with_data(ws, month)
    if asked != month:
        raise SettingsError(
            f"The report is of {month}, and the parameter month asks for {asked}. Make that month's report with --month {asked}."
        )


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
        question = meta.get("question", "")
        if meta.get("for_each") == "receiver":
            for name in [given["receiver"]] if "receiver" in given else receivers:
                file = statement_file(name).removesuffix(".html")
                own = {**base, "receiver": name}
                pages.append(Page(file, name, path, own, order, group=STATEMENTS, question=question))
            continue
        if meta.get("needs") == "people" and "people" not in ws.settings.policies:
            continue
        page = Page(path.stem, title, path, base, order, about=meta.get("about", ""), question=question)
        if meta.get("needs") == "dimensions" and not ws.rules.dimensions:
            page.left_out = "finops.toml declares no dimension, such as [dimensions.team]."
        pages.append(page)
    return sorted(pages, key=lambda page: page.group == STATEMENTS)
