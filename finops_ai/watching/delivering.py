"""Delivering a closed month: its report and statements to who they are for, each exactly once per close.

    [[deliver]]
    what = "statements"                        # or report
    to = "email"                               # folder, email, webhook, s3
    sender = "finops@example.com"
    host = "mail.example.com"
    user_env = "MAIL_USER"
    password_env = "MAIL_PASSWORD"
    addresses = { support = "support-leads@example.com" }

What was delivered is remembered by the seal of the close: a month that was opened and closed again is delivered again.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow.fs as pafs

from finops_ai.errors import ClosedPeriodError, DataError, FinopsError, ProviderUnavailable, SettingsError, hint
from finops_ai.store.whole import private
from finops_ai.tables.posting import posting
from finops_ai.tables.result import Facts, Table
from finops_ai.watching.channels import KEYS as SENDING
from finops_ai.watching.channels import Email, Handed, Webhook, channel_of, mailer
from finops_ai.watching.documents import Document, Documents
from finops_ai.watching.memory import Memory, Message, memory_of, send_due

if TYPE_CHECKING:
    from finops_ai.workspace import Workspace

WHAT = ("statements", "report")
FORMS = ("folder", "email", "webhook", "s3")
_OWN = ("what", "to", "name", "for")
#: keys of a [[deliver]] entry, by form
KEYS = {
    "folder": (*_OWN, "folder"),
    "email": (*_OWN, *SENDING["email"], "addresses"),
    "webhook": (*_OWN, *SENDING["http"]),
    "s3": (*_OWN, "bucket", "prefix", "region", "endpoint_url"),
}  # fmt: skip
#: most bytes that go with one mail
LARGEST_MAIL = 20 * 2**20
SENT, DUE, UNCONFIRMED = "sent", "due", "unconfirmed"


@dataclass(frozen=True)
class Target:
    """One [[deliver]] entry.

    Attributes:
        what: statements or report.
        form: folder, email, webhook or s3.
        entry: its settings.
        place: what messages call it.
        chosen: receivers it is for; empty = all.
    """

    what: str
    form: str
    entry: Mapping[str, Any]
    place: str
    chosen: tuple[str, ...] = ()


@dataclass(frozen=True)
class Carrier:
    """Takes the document of a message to where it belongs; made for one target and receiver."""

    name: str
    place: Any
    make: Any = field(repr=False)

    def send(self, body: Mapping[str, Any], handed: Handed) -> None:
        """Make the document and take it there."""
        document: Document = self.make()
        if isinstance(self.place, Webhook):
            files = [{"name": n, "type": kind, "base64": base64.b64encode(c).decode()} for n, c, kind in document.files]
            told = {"id": body["id"], "event": body["event"], "kind": body["kind"], "stage": body["stage"]}
            self.place.send(told | {"text": document.sentence, "facts": document.facts, "files": files}, handed)
        elif isinstance(self.place, Email):
            if sum(len(content) for _, content, _ in document.files) > LARGEST_MAIL:
                raise DataError(
                    f"{document.title} has more than {LARGEST_MAIL // 2**20} MiB, too much for a mail: deliver it to a folder or to S3."
                )
            self.place.mail(
                document.title, document.sentence, str(body["id"]), handed, html=document.html,
                files=[file for file in document.files if file[2] != "text/html"],
            )  # fmt: skip
        else:
            self.place(document)


def deliver(
    ws: Workspace, month: str, *, dry_run: bool = False, again: bool = False, reports: Path | None = None
) -> Table:
    """Deliver a closed month as the [[deliver]] entries say.

    Args:
        ws: the workspace.
        month: `YYYY-MM`.
        dry_run: only say what would go where; also of a month that is open.
        again: send once more what may have arrived or not, because the process ended while it was sent.
        reports: folder of reports; by default that of the settings.

    Returns:
        One row per document and target: `what`, `receiver`, `to`, `address`, `due` (of a statement), `state` (sent, due,
        unconfirmed, no address) and `note`.

    Raises:
        SettingsError: there is no [[deliver]] entry, or one can't be used.
        ClosedPeriodError: the month is open.
        CheckFailed: the closed month isn't as it was sealed.
    """
    targets = targets_of(ws.settings.policies.get("deliver"))
    post = posting(ws, month)
    if not dry_run and not post.seal:
        raise ClosedPeriodError(
            f"{month} is open, so its figures may still change: close it with `finops-ai close {month}`, or look with --dry-run."
        )
    documents = Documents(ws, post, reports or ws.settings.path(ws.settings.workspace.reports))
    memory, rows = memory_of(ws), []
    with memory.alone():
        left = set() if dry_run else set(memory.recover())
        for target in targets:
            for receiver in _receivers(target, post.receivers):
                row, carrier = _planned(ws, target, receiver, documents)
                rows.append(row)
                if carrier is not None:
                    _one(memory, target, receiver, documents, carrier, row, dry_run=dry_run, again=again, left=left)
    return _table(rows, post.currency, month)


def targets_of(section: object, place: str = "finops.toml") -> list[Target]:
    """The [[deliver]] entries.

    Raises:
        SettingsError: there is none, or one can't be used; names it.
    """
    if not isinstance(section, list) or not section:
        raise SettingsError(
            f'{place} has no [[deliver]]. Add one: [[deliver]] what = "statements", to = "folder", folder = "outbox".'
        )
    out = []
    for number, entry in enumerate(section, 1):
        where = f"{place}, deliver {entry.get('name') or number}"
        what, form = entry.get("what"), entry.get("to")
        if what not in WHAT:
            raise SettingsError(f"{where}: `what` is {what!r}. {hint(str(what), WHAT)}")
        if form not in FORMS:
            raise SettingsError(f"{where}: `to` is {form!r}. {hint(str(form), FORMS)}")
        if unknown := [key for key in entry if key not in KEYS[form]]:
            raise SettingsError(f"{where}: no key {unknown[0]!r}. {hint(str(unknown[0]), KEYS[form])}")
        needed = {"folder": "folder", "s3": "bucket", "email": "sender"}.get(form)
        if needed and not entry.get(needed):
            raise SettingsError(f"{where} needs `{needed}`.")
        chosen = entry.get("for", [])
        out.append(Target(what, form, entry, where, (chosen,) if isinstance(chosen, str) else tuple(chosen)))
    return out


def _receivers(target: Target, known: Sequence[str]) -> list[str]:
    if target.what == "report":
        return [""]
    if unknown := [name for name in target.chosen if name not in known]:
        raise SettingsError(f"{target.place}: nothing is charged to {unknown[0]!r}. {hint(unknown[0], known)}")
    return list(target.chosen or known)


def _planned(
    ws: Workspace, target: Target, receiver: str, documents: Documents
) -> tuple[dict[str, Any], Carrier | None]:
    """The row of a document, and who takes it there; nobody where there is no address."""
    due = None if target.what == "report" else documents.post.due(receiver)["due"]
    row = {
        "what": target.what.removesuffix("s"),
        "receiver": receiver,
        "to": target.form,
        "address": "",
        "due": due,
        "state": "",
        "note": "",
    }
    entry, place = target.entry, None
    if target.form == "folder":
        folder = ws.settings.path(str(entry["folder"]))
        row["address"] = str(entry["folder"])
        place = _folder(folder)
        name = f"folder:{folder.resolve()}"
    elif target.form == "s3":
        prefix = "/".join(filter(None, [str(entry["bucket"]).strip("/"), str(entry.get("prefix", "")).strip("/")]))
        row["address"] = f"s3://{prefix}"
        place, name = _bucket(entry, prefix), f"s3:{entry.get('endpoint_url', '')}:{prefix}"
    elif target.form == "webhook":
        channel = channel_of(entry, target.place, _OWN, ("webhook",))
        place, name = channel, channel.name
        row["address"] = "webhook"
    else:
        given = (
            entry.get("receivers")
            if target.what == "report"
            else (entry.get("addresses") or {}).get(receiver, entry.get("receivers"))
        )
        addresses = [given] if isinstance(given, str) else list(given or [])
        row["address"] = ", ".join(addresses)
        if not addresses:
            row |= {"state": "no address", "note": f"add it to `addresses` of {target.place}"}
            return row, None
        mail = mailer(entry, target.place, addresses)
        place, name = mail, mail.name
    make = documents.report if target.what == "report" else lambda: documents.statement(receiver)
    return row, Carrier(name, place, make)


def _one(
    memory: Memory, target: Target, receiver: str, documents: Documents, carrier: Carrier, row: dict[str, Any],
    *, dry_run: bool, again: bool, left: set[str],
) -> None:  # fmt: skip
    """Send one document unless it was, and say in its row what became of it."""
    post = documents.post
    event = f"deliver:{target.what}:{post.month}:{post.seal[:16]}:{receiver}"
    id = f"{event}@{carrier.name}"
    state = memory.state_of(id) if post.seal else ""
    if dry_run:
        row["state"] = {"sent": SENT, "handed": UNCONFIRMED}.get(state, state or DUE)
        row["note"] = "" if post.seal else "once the month is closed"
        return
    if state == SENT:
        row["state"] = SENT
        row["note"] = "before"
        return
    if state == UNCONFIRMED or id in left:
        if not again:
            row |= {"state": UNCONFIRMED, "note": "the process ended while it was sent; --again sends it once more"}
            return
        memory.mark(id, DUE)
    body = {"id": event, "event": event, "kind": row["what"], "stage": "delivered"}
    memory.due(Message(id, event, carrier.name, "delivered", body))
    problems: list[str] = []
    try:
        sent = send_due(memory, {carrier.name: carrier}, event, lambda message, error: problems.append(str(error)))
    except FinopsError as error:
        sent, problems = [], [str(error)]
    row["state"] = SENT if sent else DUE
    row["note"] = " ".join(problems)


def _folder(folder: Path) -> Any:
    def put(document: Document) -> None:
        try:
            with private():
                folder.mkdir(parents=True, exist_ok=True)
                for name, content, _ in document.files:
                    partial = folder / f".{name}.{os.getpid()}.partial"
                    partial.write_bytes(content)
                    partial.replace(folder / name)
        except OSError as error:
            raise ProviderUnavailable(f"{folder} can't be written: {error.strerror or error}.") from None

    return put


def _bucket(entry: Mapping[str, Any], prefix: str) -> Any:
    def put(document: Document) -> None:
        endpoint = str(entry.get("endpoint_url", ""))
        scheme, _, host = endpoint.partition("://") if endpoint else ("https", "", "")
        try:
            files = pafs.S3FileSystem(region=entry.get("region"), endpoint_override=host or None, scheme=scheme)
            for name, content, kind in document.files:
                with files.open_output_stream(f"{prefix}/{name}", metadata={"Content-Type": kind}) as stream:
                    stream.write(content)
        except OSError as error:
            said = re.sub(r"\s+", " ", str(error))[:200]
            raise ProviderUnavailable(f"s3://{prefix} can't be written: {said}") from None

    return put


def _table(rows: Sequence[Mapping[str, Any]], currency: str, month: str) -> Table:
    columns = ["what", "receiver", "to", "address", "due", "state", "note"]
    frame = pd.DataFrame([{c: r[c] for c in columns} for r in rows], columns=columns, dtype=object)
    return Table.of(frame, Facts("Delivered", currency, month, money=["due"], charged=True))
