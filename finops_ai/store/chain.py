"""The chain of sealed states: which there are, in which order, each linked to the one before; how it is checked and mended.

A state is a folder of files and a manifest that lists their SHA-256, its own place in the chain and the seal before it. Its
seal is the SHA-256 of the manifest, so the last seal proves everything before it. `chain.jsonl` lists the seals; a file
beside the folder (`closed.head`) holds the last one, so that a chain that was cut or put back from an old copy is noticed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from finops_ai.errors import CheckFailed, DataError

CHAIN, MANIFEST, LOCK, STAGED = "chain.jsonl", "manifest.json", ".lock", ".staged"
FIRST = "0" * 64
PLACE = re.compile(r"(?P<month>\d{4}-\d{2})(?:\.(?P<kind>true-up|close|reopen)-(?P<number>[1-9]\d*))?")
RESTORE = (
    "Restore it from your backup and check it with `finops-ai audit`; a chain whose folders are whole is written again "
    "by `finops-ai audit --repair`."
)
#: what was hashed, by path: (what tells that a file was written since, its SHA-256)
_hashed: dict[str, tuple[tuple[int, ...], str]] = {}
#: states found whole, by path: (the entry they were held against, what tells that a file was written, added or removed since)
_found_whole: dict[str, tuple[Entry, frozenset[tuple[object, ...]]]] = {}


@dataclass(frozen=True)
class Finding:
    """Something an audit found wrong: where, and what."""

    place: str
    problem: str

    def __str__(self) -> str:
        return f"{self.place}: {self.problem}"


@dataclass(frozen=True)
class Entry:
    """One line of the chain."""

    sequence: int
    folder: str
    seal: str
    previous: str

    @property
    def month(self) -> str:
        """The month it is about."""
        return self.folder.partition(".")[0]

    @property
    def kind(self) -> str:
        """`close`, `true-up` or `reopen`."""
        found = PLACE.fullmatch(self.folder)
        return (found and found["kind"]) or "close"

    def line(self) -> str:
        """As it stands in the file."""
        names = ("sequence", "folder", "seal", "previous")
        return json.dumps({name: getattr(self, name) for name in names}) + "\n"


class Chain:
    """The chain of one folder of sealed states.

    Args:
        folder: `closed` beside finops.toml.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / CHAIN
        self.head_path = folder.with_name(f"{folder.name}.head")

    def lines(self) -> list[dict[str, Any]]:
        """The file's lines as they are.

        Raises:
            DataError: one can't be read, such as a last line that a power failure cut.
        """
        try:
            text = self.path.read_text("utf-8")
            found = [json.loads(line) for line in text.split("\n") if line]
            if strange := [e for e in found if not isinstance(e, dict) or not isinstance(e.get("folder"), str)]:
                raise ValueError(f"{strange[0]!r} is no entry")
            return found
        except FileNotFoundError:
            return []
        except (OSError, ValueError, RecursionError) as error:
            raise DataError(f"{self.path} is damaged: {error}. {RESTORE}") from None

    def entries(self) -> list[Entry]:
        """The chain, checked: every link, the last seal kept beside it, and every file of every state.

        Raises:
            DataError: the chain's file can't be read.
            CheckFailed: an entry or a file was changed, moved, added or taken out; says how to recover.
        """
        entries, found = self.checked()
        if found:
            raise CheckFailed(f"The closed months can't be trusted:\n{told(found)}\n{RESTORE}")
        return entries

    def checked(self) -> tuple[list[Entry], list[Finding]]:
        """The chain as its lines say, and all that is wrong; looked at again where another process sealed something meanwhile.

        Raises:
            DataError: the chain's file can't be read.
        """
        while True:
            before = self._mark()
            lines = self.lines()
            found = self.findings(lines)
            broken = {finding.place for finding in found}
            entries = []
            for number, line in enumerate(lines, 1):
                entries.append(Entry(number, line["folder"], str(line.get("seal")), str(line.get("previous"))))
                if _line(number) not in broken:
                    found += self.state_findings(entries[-1])
            if not found or self._mark() == before:
                return entries, found

    def _mark(self) -> tuple[bytes, str | None]:
        try:
            return self.path.read_bytes(), self.kept_head()
        except OSError:
            return b"", self.kept_head()

    def findings(self, lines: list[dict[str, Any]]) -> list[Finding]:
        """What is wrong with the chain itself."""
        found: list[Finding] = []
        previous, seen = FIRST, set()
        for number, line in enumerate(lines, 1):
            place, seal = line["folder"], str(line.get("seal"))
            linked = line.get("sequence") == number and line.get("previous") == previous and PLACE.fullmatch(place)
            if not linked or place in seen or not re.fullmatch("[0-9a-f]{64}", seal):
                text = "the chain is broken: an entry was changed, moved, added or taken out"
                found.append(Finding(_line(number), text))
            previous = seal
            seen.add(place)
        found += [
            Finding(path.name, "the folder is not in the chain: the chain was cut, or the folder was added")
            for path in self.folders()
            if path.name not in seen
        ]
        return found or self._head_findings(lines)

    def _head_findings(self, lines: list[dict[str, Any]]) -> list[Finding]:
        seals, kept = [str(line["seal"]) for line in lines], self.kept_head()
        if kept is None:
            written_here = bool(seals) and any(self._told(path, "sequence") for path in self.folders())
            text = "the file that holds the last seal is gone; `finops-ai audit --repair --head SEAL` writes it again"
            return [Finding(self.head_path.name, text)] if written_here else []
        if kept == (seals[-1] if seals else FIRST):
            return []
        if kept in (FIRST, *seals):
            last = Entry(len(lines), lines[-1]["folder"], seals[-1], str(lines[-1]["previous"]))
            if kept == last.previous and self.place_of(last) == self.folder / STAGED:
                return []  # sealing was interrupted: whoever writes next finishes it
            text = f"it holds an earlier seal ({kept[:12]}...) than the chain's last; `finops-ai audit --repair` writes it again"
            return [Finding(self.head_path.name, text)]
        return [Finding(CHAIN, f"the last seal kept in {self.head_path.name} ({kept[:12]}...) is not in the chain")]

    def kept_head(self) -> str | None:
        """The last seal as kept beside the folder; None where there is none."""
        try:
            return self.head_path.read_text("utf-8", errors="replace").strip()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DataError(f"{self.head_path} can't be read: {error.strerror}.") from None

    def folders(self) -> list[Path]:
        """Folders of states that are in place."""
        if not self.folder.exists():
            return []
        with os.scandir(self.folder) as places:
            names = sorted(place.name for place in places if place.is_dir() and not place.name.startswith("."))
        return [self.folder / name for name in names if (self.folder / name / MANIFEST).is_file()]

    def place_of(self, entry: Entry) -> Path:
        """Where a state is: in place, or, where sealing was interrupted after the chain knew it, still beside."""
        folder, staged = self.folder / entry.folder, self.folder / STAGED
        if not folder.exists() and (staged / MANIFEST).is_file() and sha256(staged / MANIFEST) == entry.seal:
            return staged
        return folder

    def state_findings(self, entry: Entry) -> list[Finding]:
        """What is wrong with one state's files; looked at again only if any of them was written since."""
        folder = self.place_of(entry)
        mark = _files_mark(folder)
        if mark and _found_whole.get(str(folder)) == (entry, mark):
            return []
        found = self._findings_in(folder, entry)
        moved = self.place_of(entry)  # by another process, which finished sealing it
        if found and moved != folder:
            return self._findings_in(moved, entry)
        if not found:
            _found_whole[str(folder)] = entry, mark
        return found

    def _manifest_findings(self, folder: Path, entry: Entry) -> list[Finding]:
        place = f"{entry.folder}/{MANIFEST}"
        path = folder / MANIFEST
        if not path.is_file():
            return [Finding(place, "the file is missing")]
        if sha256(path) != entry.seal:
            return [Finding(place, "the file was changed after it was sealed")]
        manifest = json.loads(path.read_text("utf-8"))
        told_ = {"sequence": entry.sequence, "previous": entry.previous, "folder": entry.folder}
        if any(manifest.get(name, value) != value for name, value in told_.items()):
            return [
                Finding(place, "it was sealed for another place in the chain, or what was sealed before it was changed")
            ]
        return []

    def _findings_in(self, folder: Path, entry: Entry) -> list[Finding]:
        if found := self._manifest_findings(folder, entry):
            return found
        place, manifest = entry.folder, json.loads((folder / MANIFEST).read_text("utf-8"))
        found, listed = [], manifest["files"]
        for name, digest in sorted(listed.items()):
            if not (folder / name).is_file():
                found.append(Finding(f"{place}/{name}", "the file is missing"))
            elif sha256(folder / name) != digest:
                found.append(Finding(f"{place}/{name}", "the file was changed after the month was closed"))
        extra = sorted({p.name for p in folder.iterdir()} - set(listed) - {MANIFEST})
        return found + [Finding(f"{place}/{name}", "the file was added after the month was closed") for name in extra]

    def write(self, entries: list[Entry]) -> None:
        """Put the chain's entries in place: the moment from which a state is sealed."""
        write_whole(self.path, "".join(entry.line() for entry in entries).encode())

    def keep_head(self, seal: str) -> None:
        """Keep the last seal beside the folder."""
        write_whole(self.head_path, f"{seal}\n".encode())

    def rebuilt(self) -> list[Entry]:
        """The chain as the manifests tell it, whatever `chain.jsonl` says.

        Raises:
            CheckFailed: the states don't link up, or a file isn't as it was sealed.
        """
        try:
            known = {str(line["folder"]): line for line in self.lines()}
        except DataError:
            known = {}
        made = []
        for path in [*self.folders(), *([self.folder / STAGED] if (self.folder / STAGED / MANIFEST).is_file() else [])]:
            if not (path / MANIFEST).is_file():
                raise CheckFailed(f"{path.name}/{MANIFEST} is missing. Restore the folder from your backup.")
            place = str(self._told(path, "folder") or path.name)
            line = known.get(place, {})
            sequence = self._told(path, "sequence") or line.get("sequence") or 0
            previous = self._told(path, "previous") or line.get("previous") or ""
            made.append(Entry(int(sequence), place, sha256(path / MANIFEST), str(previous)))
        made.sort(key=lambda e: e.sequence)
        previous = FIRST
        for number, entry in enumerate(made, 1):
            if entry.sequence != number or entry.previous != previous:
                raise CheckFailed(
                    f"The folders don't make a whole chain: number {number} is missing or was changed ({entry.folder} says "
                    f"it is number {entry.sequence}). Restore `{self.folder.name}` from your backup."
                )
            previous = entry.seal
        if found := [f for entry in made for f in self.state_findings(entry)]:
            raise CheckFailed(f"Files aren't as they were sealed:\n{told(found)}\nRestore them from your backup.")
        return made

    def _told(self, folder: Path, name: str) -> Any:
        try:
            return json.loads((folder / MANIFEST).read_text("utf-8")).get(name)
        except (OSError, ValueError, AttributeError, RecursionError):
            return None


def sha256(path: Path) -> str:
    """A file's SHA-256; hashed again only if it was written since."""
    mark = _written(path.stat())
    known = _hashed.get(str(path))
    if known is None or known[0] != mark:
        with path.open("rb") as handle:
            known = _hashed[str(path)] = (mark, hashlib.file_digest(handle, "sha256").hexdigest())
    return known[1]


def _written(stat: os.stat_result) -> tuple[int, ...]:
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def _files_mark(folder: Path) -> frozenset[tuple[object, ...]]:
    """What tells that a file of a folder was written, added or removed since; empty where the folder can't be listed."""
    try:
        with os.scandir(folder) as files:
            return frozenset((file.name, *_written(file.stat())) for file in files)
    except OSError:
        return frozenset()


def write_whole(path: Path, content: bytes) -> None:
    """Put a file's new content in place at once: after a power failure it is the old one or the new one."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with partial.open("wb") as handle:
            handle.write(content)
            settle(handle)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    settle_folder(path.parent)


def settle(handle: IO[Any]) -> None:
    """Wait until what was written to a file is on the disk."""
    handle.flush()
    os.fsync(handle.fileno())


def settle_folder(folder: Path) -> None:
    """Wait until a folder's names are on the disk, where the system can."""
    if os.name == "nt":
        return
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _line(number: int) -> str:
    return f"{CHAIN} line {number}"


def told(found: list[Finding]) -> str:
    """Findings as lines."""
    return "\n".join(f"  {finding}" for finding in found)
