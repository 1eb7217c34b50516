"""Closed months: files that never change, each hashed, each close, true-up and reopening sealed and chained to the one before.

    closed.head                    the last seal
    closed/
      chain.jsonl                  one line per state: sequence, folder, seal, previous line's seal
      2026-10/                     the month as closed
        manifest.json              month, place in the chain, when, facts (versions of prices, rules, data), sha256 of every file
        rows.parquet, charges.parquet, journal.parquet, ...
      2026-10.true-up-1/           the first correction, posted in a later month, with the state it leads to
      2026-11.reopen-1/            who opened November again, and why; 2026-11.close-2/ is the month as closed again

A seal is the sha256 of the manifest's bytes. Whoever keeps the head of the chain (the last seal) elsewhere can prove that
nothing before it was changed, added or taken out. Every table and document is read through its hash.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import logging
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from finops_ai.errors import CheckFailed, ClosedPeriodError, DataError, StoreError
from finops_ai.frames import to_arrow, to_pandas
from finops_ai.periods import parse_month
from finops_ai.store.chain import (
    FIRST,
    LOCK,
    MANIFEST,
    RESTORE,
    STAGED,
    Chain,
    Entry,
    Finding,
    settle,
    settle_folder,
    sha256,
)
from finops_ai.store.whole import private

try:
    import fcntl
except ImportError:  # Windows: two closes at the same moment aren't held apart there
    fcntl = None  # type: ignore[assignment]

log = logging.getLogger("finops_ai.store")


@dataclass(frozen=True)
class Sealed:
    """One closed state: a month as closed, or as a true-up left it. What is read from it is as it was sealed, or an error."""

    folder: Path
    manifest: Mapping[str, Any]
    entry: Entry

    @property
    def month(self) -> str:
        """The month it is about."""
        out: str = self.manifest["month"]
        return out

    @property
    def facts(self) -> Mapping[str, Any]:
        """What it was made from, as stated when it was sealed."""
        out: Mapping[str, Any] = self.manifest["facts"]
        return out

    @property
    def seal(self) -> str:
        """The SHA-256 of its manifest."""
        return self.entry.seal

    @property
    def files(self) -> Mapping[str, str]:
        """File name -> SHA-256."""
        out: Mapping[str, str] = self.manifest["files"]
        return out

    def has(self, name: str) -> bool:
        """Whether it has a table of that name."""
        return f"{name}.parquet" in self.files

    def table(self, name: str) -> pd.DataFrame:
        """One of its tables, exact.

        Raises:
            DataError: it has none of that name.
            CheckFailed: the file isn't as it was sealed.
        """
        if not self.has(name):
            raise DataError(f"{self.folder} has no table {name!r}; it has {sorted(self.files)}.")
        return to_pandas(pq.read_table(pa.BufferReader(self._read(f"{name}.parquet"))))

    def document(self, name: str) -> Any:
        """One of its JSON documents, such as the rules in force; None where it was sealed without one."""
        return json.loads(self._read(f"{name}.json")) if f"{name}.json" in self.files else None

    def _read(self, name: str) -> bytes:
        return _as_sealed(self.folder, self.entry, name, self.files[name])


class Ledger:
    """The closed months of a workspace.

    Args:
        folder: where they are kept, such as `closed` beside finops.toml.

    Example:
        >>> import tempfile
        >>> ledger = Ledger(tempfile.mkdtemp() + "/closed")
        >>> sealed = ledger.close("2026-10", {"charges": pd.DataFrame({"team": ["a"]})}, facts={"prices": "v1"})
        >>> ledger.audit(), ledger.months()
        ([], ['2026-10'])
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._chain, self._held = Chain(self.folder), False

    def months(self) -> list[str]:
        """Months that are closed, oldest first."""
        return _closed_in(self.chain())

    def chain(self) -> list[Entry]:
        """The chain's entries, in order, every link checked and every file of every state: figures rest on all that was closed.

        Raises:
            DataError: its file can't be read.
            CheckFailed: it was changed, cut or reordered, or a file isn't as it was sealed.
        """
        return self._chain.entries()

    def head(self) -> str:
        """The last seal: keep it elsewhere to prove later that nothing was rewritten."""
        entries = self.chain()
        return entries[-1].seal if entries else FIRST

    def require_open(self, month: str) -> None:
        """Raise if the month is closed.

        Raises:
            ClosedPeriodError: it is; names the next step.
        """
        if month in self.months():
            raise ClosedPeriodError(
                f"{month} is closed: its figures never change. Post the difference with `finops-ai true-up {month}`."
            )

    def close(
        self,
        month: str,
        tables: Mapping[str, pd.DataFrame],
        *,
        documents: Mapping[str, Any] | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> Sealed:
        """Freeze a month.

        Args:
            month: `YYYY-MM`.
            tables: name -> exact frame: inputs and results.
            documents: name -> JSON: rules and policies in force.
            facts: versions and hashes of what the tables were made from.

        Raises:
            ClosedPeriodError: it is closed already; nothing is changed.
            StoreError: it can't be written; nothing is closed.
        """
        parse_month(month)
        with self.alone():
            self.require_open(month)
            before = sum(e.month == month and e.kind == "close" for e in self.chain())
            place = f"{month}.close-{before + 1}" if before else month
            return self._seal(month, place, tables, documents or {}, facts or {})

    def post(
        self,
        month: str,
        posted_in: str,
        tables: Mapping[str, pd.DataFrame],
        *,
        documents: Mapping[str, Any] | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> Sealed:
        """Add a true-up of a closed month, posted in an open one; the closed month itself stays as it is.

        Raises:
            ClosedPeriodError: the month isn't closed, or the month to post in is.
            StoreError: it can't be written; nothing is posted.
        """
        parse_month(month), parse_month(posted_in)
        with self.alone():
            if month not in self.months():
                raise ClosedPeriodError(
                    f"{month} is not closed, so there is nothing to true up; `finops-ai close {month}` closes it."
                )
            if posted_in <= month:
                raise ClosedPeriodError(f"A true-up of {month} is posted in a later month, not in {posted_in}.")
            self.require_open(posted_in)
            facts = dict(facts or {}) | {"posted_in": posted_in}
            return self._seal(month, f"{month}.true-up-{self.next_true_up(month)}", tables, documents or {}, facts)

    def next_true_up(self, month: str) -> int:
        """The number that the month's next true-up has."""
        return 1 + sum(e.month == month and e.kind == "true-up" for e in self.chain())

    def reopen(self, month: str, by: str, reason: str) -> Sealed:
        """Open the last closed month again, as a recorded act; what was closed stays in the chain.

        Raises:
            ClosedPeriodError: it isn't closed, a later month is, or it has been trued up; says what to do instead.
        """
        if not by.strip() or not reason.strip():
            raise ClosedPeriodError(f"Reopening {month} needs a name and a reason: --approved-by NAME --reason TEXT.")
        with self.alone():
            closed = self.months()
            if month not in closed:
                raise ClosedPeriodError(f"{month} is not closed. Closed: {', '.join(closed) or 'none'}.")
            if month != closed[-1]:
                raise ClosedPeriodError(
                    f"{month} can't be reopened: {closed[-1]} is closed after it and rests on it. "
                    f"Post what changed with `finops-ai true-up {month}`, or reopen the later months first."
                )
            if posted := self.true_ups(month=month):
                raise ClosedPeriodError(
                    f"{month} can't be reopened: its correction stands in {posted[0].facts['posted_in']} and would count "
                    f"twice. Post what changed with `finops-ai true-up {month}`."
                )
            number = 1 + sum(e.month == month and e.kind == "reopen" for e in self.chain())
            facts = {"approved_by": by, "reason": reason, "reopens": self._last_close(month).seal}
            return self._seal(month, f"{month}.reopen-{number}", {}, {}, facts)

    def state(self, month: str) -> Sealed:
        """A closed month's latest state: as closed, or as the last true-up left it."""
        return self._sealed([e for e in self._of(month) if e.kind != "reopen"][-1])

    def closed(self, month: str) -> Sealed:
        """A month as it was closed, the last time if it was reopened."""
        return self._sealed(self._last_close(month))

    def true_ups(self, *, month: str | None = None, posted_in: str | None = None) -> list[Sealed]:
        """True-ups of a month, or those posted in one, in order."""
        entries = [e for e in self.chain() if e.kind == "true-up" and month in (None, e.month)]
        if posted_in is not None:
            entries = [e for e in entries if e.month < posted_in]
        return [s for s in map(self._sealed, entries) if posted_in in (None, s.facts["posted_in"])]

    def audit(self, head: str | None = None) -> list[Finding]:
        """Check every file, seal and link.

        Args:
            head: a head of the chain kept elsewhere; it must still be in the chain.

        Returns:
            What is wrong, naming the file; empty if nothing is.
        """
        try:
            entries, found = self._chain.checked()
        except DataError as error:
            return [Finding(self._chain.path.name, str(error))]
        if head is not None and head != FIRST and head not in {entry.seal for entry in entries}:
            text = f"the head you kept ({head[:12]}...) is not in the chain: it was rewritten"
            found.append(Finding(self._chain.path.name, text))
        return found

    def repair(self, head: str | None = None) -> list[Entry]:
        """Write the chain again from its folders, such as after a power failure cut its last line.

        Args:
            head: the last seal, where the file that holds it is gone or wrong, too.

        Raises:
            CheckFailed: the folders don't make a whole chain that ends in the last seal; nothing is changed.
        """
        with self.alone(checked=False):
            entries = self._chain.rebuilt()
            kept, last = head or self._chain.kept_head(), entries[-1].seal if entries else FIRST
            if kept is None or (
                kept != last and not (head is None and kept in [FIRST, *(e.seal for e in entries[:-1])])
            ):
                known = f"{kept[:12]}..." if kept else "not known"
                raise CheckFailed(
                    f"The folders make a whole chain that ends in {last}, but the last seal is {known}. Nothing is changed. "
                    "Restore the missing states from your backup, or name the last seal that you kept with --head SEAL."
                )
            try:
                self._chain.write(entries)
                self._chain.keep_head(last)
            except OSError as error:
                raise _full(error, "mended") from None
            self._finish()
        return entries

    @contextmanager
    def alone(self, *, checked: bool = True) -> Iterator[None]:
        """Only one process at a time is in here; the others wait, then see what it did. The lock ends with its process.

        Computing what to post belongs in here, too: it depends on what others have posted.
        """
        if self._held:
            yield
            return
        try:
            with private():
                self.folder.mkdir(parents=True, exist_ok=True)
                handle = (self.folder / LOCK).open("w")
        except OSError as error:
            raise _full(error, "changed") from None
        with handle, private():
            if fcntl is not None:
                fcntl.flock(handle, fcntl.LOCK_EX)
            self._held = True
            try:
                if checked:
                    self._chain.entries()
                    self._finish()
                yield
            finally:
                self._held = False

    def _finish(self) -> None:
        """Finish what was interrupted after it was sealed, and remove what was before."""
        entries, staged = self._chain.entries(), self.folder / STAGED
        if entries and self._chain.kept_head() != entries[-1].seal:
            self._chain.keep_head(entries[-1].seal)
        if staged.exists():
            if entries and self._chain.place_of(entries[-1]) == staged:
                staged.rename(self.folder / entries[-1].folder)
            else:
                _remove(staged)

    def _of(self, month: str) -> list[Entry]:
        entries = self.chain()
        if month not in (closed := _closed_in(entries)):
            raise ClosedPeriodError(f"{month} is not closed. Closed: {', '.join(closed) or 'none'}.")
        return [e for e in entries if e.month == month]

    def _last_close(self, month: str) -> Entry:
        return [e for e in self._of(month) if e.kind == "close"][-1]

    def _sealed(self, entry: Entry) -> Sealed:
        """A state of the chain, whose files were checked when its entry was read."""
        folder = self._chain.place_of(entry)
        return Sealed(folder, json.loads(_as_sealed(folder, entry, MANIFEST, entry.seal)), entry)

    def _seal(
        self,
        month: str,
        place: str,
        tables: Mapping[str, pd.DataFrame],
        documents: Mapping[str, Any],
        facts: Mapping[str, Any],
    ) -> Sealed:
        """Write beside, chain, then move into place: a kill at any moment leaves either nothing sealed or all of it."""
        entries, staged = self.chain(), self.folder / STAGED
        try:
            _remove(staged)
            staged.mkdir()
            for name, frame in tables.items():
                with (staged / f"{name}.parquet").open("wb") as handle:
                    pq.write_table(to_arrow(pd.DataFrame(frame)), handle, compression="zstd")
                    settle(handle)
            for name, document in documents.items():
                _write(staged / f"{name}.json", _json(document))
            manifest = {
                "month": month,
                "folder": place,
                "sequence": len(entries) + 1,
                "previous": entries[-1].seal if entries else FIRST,
                "sealed_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
                "facts": dict(facts),
                "files": {p.name: sha256(p) for p in sorted(staged.iterdir())},
            }
            _write(staged / MANIFEST, _json(manifest))
            for path in staged.iterdir():
                path.chmod(0o400)
            settle_folder(staged)
            seal = sha256(staged / MANIFEST)
            entry = Entry(len(entries) + 1, place, seal, str(manifest["previous"]))
            self._chain.write([*entries, entry])
        except BaseException as error:
            _remove(staged)
            if isinstance(error, OSError):
                raise _full(error, "sealed") from None
            raise
        try:
            self._chain.keep_head(seal)  # while it is staged: a last seal that lags behind states in place was put back
            _remove(
                self.folder / place
            )  # an empty folder of that name: nothing that was sealed, or it were in the chain
            staged.rename(self.folder / place)
            settle_folder(self.folder)
        except OSError as error:  # sealed already: whoever comes next finishes it
            log.warning("%s is sealed, but not everything could be put in place yet: %s", place, error)
        return self._sealed(entry)


def _closed_in(entries: list[Entry]) -> list[str]:
    """Months that are closed as a chain has it, oldest first."""
    last = {e.month: e.kind for e in entries if e.kind != "true-up"}
    return sorted(month for month, kind in last.items() if kind == "close")


def _as_sealed(folder: Path, entry: Entry, name: str, digest: str) -> bytes:
    """The bytes of a state's file, if they are those that were sealed."""
    content = b""
    for place in (folder, folder.with_name(entry.folder)):  # it may have been put in place since
        with suppress(OSError):
            content = (place / name).read_bytes()
            break
    if hashlib.sha256(content).hexdigest() != digest:
        raise CheckFailed(f"{folder / name} is not as it was sealed. {RESTORE}")
    return content


def _full(error: OSError, done: str) -> StoreError:
    return StoreError(
        f"The closed months can't be written: {error.strerror or error}. Nothing is {done}; what was there is whole. "
        "Make room or give access, then run it again."
    )


def _write(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8") as handle:
        handle.write(text)
        settle(handle)


def _json(document: object) -> str:
    """As text, in the order it is in: the first dimension of the rules stays the first."""
    return json.dumps(document, indent=1, ensure_ascii=False, default=str) + "\n"


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
