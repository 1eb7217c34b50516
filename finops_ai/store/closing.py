"""Closed months: files that never change, each hashed, each close and true-up sealed and chained to the one before.

    closed/
      chain.jsonl                  one line per close or true-up: sequence, folder, seal, previous line's seal
      2026-10/                     the month as closed
        manifest.json              month, when, facts (versions of prices, rules, data), sha256 of every file
        rows.parquet, charges.parquet, journal.parquet, ...
      2026-10.true-up-1/           the first correction, posted in a later month, with the state it leads to

A seal is the sha256 of the manifest's bytes. Whoever keeps the head of the chain (the last seal) elsewhere can prove that
nothing before it was changed, added or taken out.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from finops_ai.errors import CheckFailed, ClosedPeriodError, DataError
from finops_ai.frames import to_arrow, to_pandas
from finops_ai.periods import parse_month
from finops_ai.store.whole import private

try:
    import fcntl
except ImportError:  # Windows: two closes at the same moment aren't held apart there
    fcntl = None  # type: ignore[assignment]

CHAIN, MANIFEST, LOCK = "chain.jsonl", "manifest.json", ".lock"
FIRST = "0" * 64
_FOLDER = re.compile(r"(\d{4}-\d{2})(?:\.true-up-(\d+))?")


@dataclass(frozen=True)
class Finding:
    """Something an audit found wrong: where, and what."""

    place: str
    problem: str

    def __str__(self) -> str:
        return f"{self.place}: {self.problem}"


@dataclass(frozen=True)
class Sealed:
    """One closed state: a month as closed, or as a true-up left it."""

    folder: Path
    manifest: Mapping[str, Any]

    @property
    def month(self) -> str:
        """The month it is about."""
        return self.manifest["month"]

    @property
    def facts(self) -> Mapping[str, Any]:
        """What it was made from, as stated when it was sealed."""
        return self.manifest["facts"]

    @property
    def seal(self) -> str:
        """The SHA-256 of its manifest."""
        return _sha256(self.folder / MANIFEST)

    def table(self, name: str) -> pd.DataFrame:
        """One of its tables, exact."""
        path = self.folder / f"{name}.parquet"
        if not path.exists():
            raise DataError(f"{self.folder} has no table {name!r}; it has {sorted(self.manifest['files'])}.")
        return to_pandas(pq.read_table(path))

    def document(self, name: str) -> Any:
        """One of its JSON documents, such as the rules in force."""
        return json.loads((self.folder / f"{name}.json").read_text("utf-8"))


class Ledger:
    """The closed months of a workspace.

    Args:
        folder: where they are kept, such as `closed` beside finops.toml.

    Example:
        >>> import tempfile
        >>> ledger = Ledger(tempfile.mkdtemp())
        >>> sealed = ledger.close("2026-10", {"charges": pd.DataFrame({"team": ["a"]})}, facts={"prices": "v1"})
        >>> ledger.audit(), ledger.months()
        ([], ['2026-10'])
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def months(self) -> list[str]:
        """Months that are closed, oldest first."""
        return sorted({entry["folder"] for entry in self.chain() if "." not in entry["folder"]})

    def chain(self) -> list[dict[str, Any]]:
        """The chain's entries, in order."""
        path = self.folder / CHAIN
        if not path.exists():
            return []
        try:
            entries = [json.loads(line) for line in path.read_text("utf-8").splitlines() if line]
            if strange := [e for e in entries if not isinstance(e, dict) or not isinstance(e.get("folder"), str)]:
                raise ValueError(f"{strange[0]!r} is no entry")
            return entries
        except ValueError as error:
            raise DataError(
                f"{path} is damaged: {error}. Restore it from your backup; `finops-ai audit` then checks it."
            ) from None

    def head(self) -> str:
        """The last seal: keep it elsewhere to prove later that nothing was rewritten."""
        entries = self.chain()
        return entries[-1]["seal"] if entries else FIRST

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
        """
        parse_month(month)
        with self._alone():
            self.require_open(month)
            return self._seal(month, month, tables, documents or {}, facts or {})

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
        """
        parse_month(month), parse_month(posted_in)
        if month not in self.months():
            raise ClosedPeriodError(
                f"{month} is not closed, so there is nothing to true up; `finops-ai close {month}` closes it."
            )
        if posted_in <= month:
            raise ClosedPeriodError(f"A true-up of {month} is posted in a later month, not in {posted_in}.")
        facts = dict(facts or {}) | {"posted_in": posted_in}
        with self._alone():
            self.require_open(posted_in)
            number = sum(e["folder"].startswith(f"{month}.") for e in self.chain()) + 1
            return self._seal(month, f"{month}.true-up-{number}", tables, documents or {}, facts)

    def state(self, month: str) -> Sealed:
        """A closed month's latest state: as closed, or as the last true-up left it."""
        return self._sealed([e["folder"] for e in self._of(month)][-1])

    def closed(self, month: str) -> Sealed:
        """A month as it was closed."""
        return self._sealed(self._of(month)[0]["folder"])

    def true_ups(self, *, month: str | None = None, posted_in: str | None = None) -> list[Sealed]:
        """True-ups of a month, or those posted in one, in order."""
        found = [self._sealed(e["folder"]) for e in self.chain() if "." in e["folder"]]
        return [s for s in found if month in (None, s.month) and posted_in in (None, s.facts["posted_in"])]

    def audit(self, head: str | None = None) -> list[Finding]:
        """Check every file, seal and link.

        Args:
            head: a head of the chain kept elsewhere; it must still be in the chain.

        Returns:
            What is wrong, naming the file; empty if nothing is.
        """
        found: list[Finding] = []
        try:
            entries = self.chain()
        except DataError as error:
            return [Finding(CHAIN, str(error))]
        previous, seen = FIRST, set()
        for number, entry in enumerate(entries, 1):
            place = str(entry.get("folder"))
            if entry.get("sequence") != number or entry.get("previous") != previous or not _FOLDER.fullmatch(place):
                found.append(
                    Finding(f"{CHAIN} line {number}", "the chain is broken: an entry was changed, added or taken out")
                )
            previous = str(entry.get("seal"))
            seen.add(place)
            found += self._audit_folder(place, previous)
        for path in sorted(self.folder.iterdir()) if self.folder.exists() else []:
            if path.is_dir() and path.name not in seen and not path.name.startswith("."):
                found.append(Finding(path.name, "the folder is not in the chain"))
        if head is not None and head != FIRST and head not in {e.get("seal") for e in entries}:
            found.append(Finding(CHAIN, f"the head you kept ({head[:12]}...) is not in the chain: it was rewritten"))
        return found

    def _audit_folder(self, place: str, seal: str) -> list[Finding]:
        folder, found = self.folder / place, []
        path = folder / MANIFEST
        if not path.is_file():
            return [Finding(f"{place}/{MANIFEST}", "the file is missing")]
        if _sha256(path) != seal:
            return [Finding(f"{place}/{MANIFEST}", "the file was changed after it was sealed")]
        listed = json.loads(path.read_text("utf-8"))["files"]
        for name, digest in sorted(listed.items()):
            if not (folder / name).is_file():
                found.append(Finding(f"{place}/{name}", "the file is missing"))
            elif _sha256(folder / name) != digest:
                found.append(Finding(f"{place}/{name}", "the file was changed after the month was closed"))
        extra = {p.name for p in folder.iterdir()} - set(listed) - {MANIFEST}
        return found + [
            Finding(f"{place}/{name}", "the file was added after the month was closed") for name in sorted(extra)
        ]

    def require_sound(self) -> None:
        """Raise unless the audit finds nothing.

        Raises:
            CheckFailed: lists every finding.
        """
        if found := self.audit():
            raise CheckFailed("The closed months don't pass the audit:\n" + "\n".join(f"  {f}" for f in found))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Only one process at a time seals; the others wait, then see what it did. The lock ends with its process."""
        with private():
            self.folder.mkdir(parents=True, exist_ok=True)
        with private(), (self.folder / LOCK).open("w") as handle:
            if fcntl is not None:
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def _of(self, month: str) -> list[dict[str, Any]]:
        entries = [e for e in self.chain() if e["folder"].partition(".")[0] == month]
        if not entries:
            raise ClosedPeriodError(f"{month} is not closed. Closed: {', '.join(self.months()) or 'none'}.")
        return entries

    def _sealed(self, place: str) -> Sealed:
        folder = self.folder / place
        try:
            return Sealed(folder, json.loads((folder / MANIFEST).read_text("utf-8")))
        except (OSError, json.JSONDecodeError) as error:
            raise DataError(f"{folder} can't be read: {error}. Run `finops-ai audit`.") from None

    def _seal(
        self,
        month: str,
        place: str,
        tables: Mapping[str, pd.DataFrame],
        documents: Mapping[str, Any],
        facts: Mapping[str, Any],
    ) -> Sealed:
        """Write beside, move into place, then chain: a kill at any moment leaves either nothing closed or all of it."""
        target, beside = self.folder / place, self.folder / f".{place}.{os.getpid()}"
        if target.exists():
            _remove(target)  # moved into place but never chained: it was not closed
        beside.mkdir()
        try:
            for name, frame in tables.items():
                pq.write_table(to_arrow(pd.DataFrame(frame)), beside / f"{name}.parquet", compression="zstd")
            for name, document in documents.items():
                (beside / f"{name}.json").write_text(_json(document), encoding="utf-8")
            manifest = {
                "month": month,
                "sealed_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
                "facts": dict(facts),
                "files": {p.name: _sha256(p) for p in sorted(beside.iterdir())},
            }
            (beside / MANIFEST).write_text(_json(manifest), encoding="utf-8")
            for path in beside.iterdir():
                path.chmod(0o400)
            beside.rename(target)
        except BaseException:
            _remove(beside)
            raise
        entries = self.chain()
        entry = {
            "sequence": len(entries) + 1,
            "folder": place,
            "seal": _sha256(target / MANIFEST),
            "previous": entries[-1]["seal"] if entries else FIRST,
        }
        with (self.folder / CHAIN).open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(entry) + "\n")
            handle.flush()
            os.fsync(handle.fileno())
        return self._sealed(place)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _json(document: Any) -> str:
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False, default=str) + "\n"


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
