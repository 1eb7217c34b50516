"""What is delivered of a closed month: each receiver's statement, and the report as one archive."""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finops_ai.errors import DataError
from finops_ai.html import Html, render
from finops_ai.money import minor_units
from finops_ai.periods import instant
from finops_ai.reporting.folder import is_whole
from finops_ai.reporting.manifest import NAME
from finops_ai.reporting.months import month_text
from finops_ai.reporting.text import slug
from finops_ai.tables.csv import csv_text
from finops_ai.tables.posting import Posting

if TYPE_CHECKING:
    from finops_ai.workspace import Workspace


@dataclass(frozen=True)
class Document:
    """Something to deliver.

    Attributes:
        receiver: whose it is; "" for the report, which is everybody's.
        title: its subject.
        sentence: what it says first.
        facts: plain JSON values, for a webhook.
        files: name, content and MIME type of each file.
        html: the document itself, for a mail.
    """

    receiver: str
    title: str
    sentence: str
    facts: dict[str, Any]
    files: tuple[tuple[str, bytes, str], ...]
    html: str = ""


class Documents:
    """The documents of one month, made when they are needed.

    Args:
        ws: the workspace.
        post: what the month posts.
        reports: the folder reports are written to.
    """

    def __init__(self, ws: Workspace, post: Posting, reports: Path) -> None:
        self.ws, self.post, self.reports = ws, post, reports

    @property
    def month(self) -> str:
        """`YYYY-MM`."""
        return self.post.month

    def statement(self, receiver: str) -> Document:
        """A receiver's statement: HTML, CSV and Excel; its lines add up to what is due."""
        post = self.post
        table, due = post.statement(receiver), post.due(receiver)["due"]
        money = f"{due:,.{minor_units(post.currency)}f} {post.currency}"
        title = f"{self.ws.name}: statement for {receiver}, {month_text(self.month)}"
        sentence = f"{receiver} owes {money} for {month_text(self.month)}."
        state = (
            f"Closed on {post.closed_at[:10]}, seal {post.seal}." if post.seal else "Provisional: the month is open."
        )
        html = render("document.html.j2", title=title, sentence=sentence, table=Html(table._repr_html_()), state=state)
        name = f"statement-{self.month}-{slug(receiver)}"
        with tempfile.TemporaryDirectory() as folder:
            book = table.to_excel(Path(folder) / "statement.xlsx", sheet_name="Statement").read_bytes()
        files = (
            (f"{name}.html", str(html).encode(), "text/html"),
            (f"{name}.csv", csv_text(table.published()).encode(), "text/csv"),
            (f"{name}.xlsx", book, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        )
        facts = {
            "month": self.month, "receiver": receiver, "due": f"{due:.{minor_units(post.currency)}f}", "currency": post.currency,
            "closed_at": post.closed_at, "seal": post.seal,
            "lines": json.loads(table.published().to_json(orient="records", default_handler=str)),
        }  # fmt: skip
        return Document(receiver, title, sentence, facts, files, str(html))

    @cached_property
    def folder(self) -> Path:
        """The month's report.

        Raises:
            DataError: there is none, a page of it failed, or it was made before the month was closed.
        """
        folder = self.reports / self.month
        again = f"Make it with `finops-ai report --month {self.month} --no-collect`."
        if not is_whole(folder):
            raise DataError(f"There is no whole report in {folder}. {again}")
        made_at = json.loads((folder / NAME).read_text("utf-8"))["made_at"]
        if self.post.closed_at and instant(made_at) < instant(self.post.closed_at).replace(microsecond=0):
            raise DataError(f"The report in {folder} was made before {self.month} was closed. {again}")
        return folder

    def report(self) -> Document:
        """The month's report as one archive, the same bytes for the same files."""
        folder, buffer = self.folder, io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(p for p in folder.rglob("*") if p.is_file()):
                entry = zipfile.ZipInfo(f"{self.month}/{path.relative_to(folder).as_posix()}", (1980, 1, 1, 0, 0, 0))
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, path.read_bytes())
        title = f"{self.ws.name}: cost of AI, {month_text(self.month)}"
        facts = {"month": self.month, "closed_at": self.post.closed_at, "seal": self.post.seal}
        sentence = f"The report of {month_text(self.month)} is attached: unpack it and open {self.month}/index.html."
        file = (f"report-{self.month}.zip", buffer.getvalue(), "application/zip")
        return Document("", title, sentence, facts, (file,))
