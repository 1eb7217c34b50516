"""What each price map said, and since when: one line per change, kept as files, the ground the book is built on."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import cache, cached_property
from hashlib import blake2b
from importlib.resources import files
from pathlib import Path
from typing import Any

from finops_ai.errors import PriceError
from finops_ai.prices.cards import plain
from finops_ai.prices.maps.observed import Key, Snapshot, models_of

#: day from which, and price per million units; null day = as long as the map has the model, null price = no longer there
Change = tuple[date | None, Decimal | None]
_COLUMNS = ["model", "tier", "over", "place", "source", "day", "prices"]
_GONE = "-"


@dataclass
class History:
    """Changes of every key by source, oldest first, and the last day each source was read.

    `undated` holds the day by which a source's prices without a day were there; later readings don't move it.
    """

    changes: dict[Key, dict[str, list[Change]]] = field(default_factory=dict)
    read: dict[str, tuple[str, date]] = field(default_factory=dict)
    undated: dict[str, date] = field(default_factory=dict)

    def of(self, model: str) -> dict[Key, dict[str, list[Change]]]:
        """The keys of one model."""
        return {key: found for key, found in self.changes.items() if key.model == model}

    def note(self, key: Key, source: str, day: date | None, price: Decimal | None) -> None:
        """Take in what a map says of a key, if it is news."""
        known = self.changes.setdefault(key, {}).setdefault(source, [])
        if known and known[-1][0] is not None and day is not None and day < known[-1][0]:
            raise PriceError(f"What {source} said on {day} is older than what is known of it.")
        if (known[-1][1] if known else None) != price:
            known.append((day if known else None if price is not None and day is None else day, price))

    def take(self, snapshot: Snapshot, *, first: bool = False) -> None:
        """Take in one day of a map. What it no longer has is gone if it still has the model.

        Args:
            snapshot: the map of a day that isn't before the last one of that source.
            first: the map's beginning: nobody knows since when its prices hold.
        """
        day = None if first else snapshot.day
        still = models_of(snapshot.prices)
        for key, price in snapshot.prices.items():
            self.note(key, snapshot.source, snapshot.starts.get(key, day), price)
        for key, found in self.changes.items():
            said = found.get(snapshot.source)
            if said and said[-1][1] is not None and key not in snapshot.prices and key[:2] in still:
                said.append((snapshot.day, None))
        self.read[snapshot.source] = snapshot.version, snapshot.day
        self.undated.setdefault(snapshot.source, snapshot.day)


def text_of(history: History, provider: str) -> str:
    """One provider's part as CSV, in a stable order."""
    rows: dict[tuple[Any, ...], dict[str, Decimal | None]] = {}
    for key, sources in history.changes.items():
        if key.provider == provider:
            for source, changes in sources.items():
                for number, (day, price) in enumerate(changes):
                    row = (key.model, key.tier, key.over, key.place, source, number, day.isoformat() if day else "")
                    rows.setdefault(row, {})[key.meter] = price
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for (*head, _number, day), prices in sorted(rows.items()):
        said = (f"{m}={_GONE if p is None else plain(p)}" for m, p in sorted(prices.items()))
        writer.writerow([*head, day, " ".join(said)])
    return out.getvalue()


def read_text(text: str, provider: str, where: str) -> dict[Key, dict[str, list[Change]]]:
    """One provider's part from CSV.

    Raises:
        PriceError: a line isn't of this form; names it.
    """
    changes: dict[Key, dict[str, list[Change]]] = {}
    for number, row in enumerate(csv.DictReader(io.StringIO(text)), 2):
        try:
            day = date.fromisoformat(row["day"]) if row["day"] else None
            for said in row["prices"].split():
                meter, _, price = said.partition("=")
                key = Key(provider, row["model"], meter, row["tier"], row["over"], row["place"])
                kept = changes.setdefault(key, {}).setdefault(row["source"], [])
                kept.append((day, None if price == _GONE else Decimal(price)))
        except (KeyError, ValueError, ArithmeticError, AttributeError, TypeError):
            raise PriceError(f"{where}, line {number}: not a line of price history.") from None
    for sources in changes.values():
        for source, kept in sources.items():
            sources[source] = sorted(kept, key=lambda change: change[0] or date.min)
    return changes


def folder_of(kept: str | Path | None) -> Any:
    """Where a history is read from: a folder of the user's, else the bundled one."""
    return Path(kept) if kept else files("finops_ai.prices").joinpath("data/maps")


class Kept:
    """A history on disk, read provider by provider when asked."""

    def __init__(self, folder: str | Path | None = None) -> None:
        self.folder = folder_of(folder)
        self._parts: dict[str, dict[str, dict[Key, dict[str, list[Change]]]]] = {}
        self._memory: History | None = None

    @classmethod
    def of(cls, history: History) -> Kept:
        """A history that is in memory only."""
        kept = cls()
        kept._parts = {}
        for key, sources in history.changes.items():
            kept._parts.setdefault(key.provider, {}).setdefault(key.model, {})[key] = sources
        kept._memory = history
        return kept

    @property
    def read(self) -> dict[str, tuple[str, date]]:
        """Version and day of each map that was read last."""
        return self._memory.read if self._memory else _sources(str(self.folder))[0]

    @property
    def undated(self) -> dict[str, date]:
        """The day by which each map's prices without a day were there."""
        return self._memory.undated if self._memory else _sources(str(self.folder))[1]

    @property
    def version(self) -> str:
        """What it was read from, as text."""
        read = ", ".join(f"{source} {version} of {day}" for source, (version, day) in sorted(self.read.items()))
        return f"{read}, {self.mark}"

    @cached_property
    def mark(self) -> str:
        """Hash of what it says."""
        texts = [self._text(provider) for provider in self.providers()]
        return blake2b("".join(texts).encode(), digest_size=6).hexdigest()

    def _text(self, provider: str) -> str:
        if self._memory:
            return text_of(self._memory, provider)
        return str(self.folder.joinpath(f"{provider}.csv").read_text("utf-8"))

    def providers(self) -> list[str]:
        """Sellers that the maps have prices of."""
        if self._memory:
            return sorted(self._parts)
        return sorted(file.name[:-4] for file in self.folder.iterdir() if file.name.endswith(".csv"))

    @cached_property
    def _sellers(self) -> frozenset[str]:
        return frozenset(self.providers())

    def models(self, provider: str) -> dict[str, dict[Key, dict[str, list[Change]]]]:
        """Model -> its keys with what each map said."""
        if provider not in self._parts and self._memory is None:
            file = self.folder.joinpath(f"{provider}.csv")
            found: dict[str, dict[Key, dict[str, list[Change]]]] = {}
            if provider in self._sellers:  # a name from outside is no path
                for key, sources in read_text(file.read_text("utf-8"), provider, f"{provider}.csv").items():
                    found.setdefault(key.model, {})[key] = sources
            self._parts[provider] = found
        return self._parts.get(provider, {})

    def as_known(self, day: date) -> Kept:
        """What was known on a day: changes seen later are left out."""
        return Known(self, day)

    def whole(self) -> History:
        """All of it, to be added to."""
        changes = {k: s for p in self.providers() for found in self.models(p).values() for k, s in found.items()}
        # a history of its own: what is added to it stays out of this one
        apart = {key: {source: list(said) for source, said in sources.items()} for key, sources in changes.items()}
        return History(apart, dict(self.read), dict(self.undated))


class Known(Kept):
    """A history as it was known on a day."""

    def __init__(self, kept: Kept, day: date) -> None:
        super().__init__(kept.folder)
        self._memory, self._whole = kept._memory, kept
        self.day = day

    @property
    def version(self) -> str:
        """What it was read from, as text."""
        return f"{super().version} as known on {self.day}"

    @cached_property
    def _sellers(self) -> frozenset[str]:
        return frozenset(self.providers())

    def models(self, provider: str) -> dict[str, dict[Key, dict[str, list[Change]]]]:
        """Model -> its keys with what each map said until that day."""
        if provider not in self._parts:
            found: dict[str, dict[Key, dict[str, list[Change]]]] = {}
            for model, keys in self._whole.models(provider).items():
                for key, sources in keys.items():
                    kept = {s: [c for c in said if c[0] is None or c[0] <= self.day] for s, said in sources.items()}
                    if kept := {s: said for s, said in kept.items() if said}:
                        found.setdefault(model, {})[key] = kept
            self._parts[provider] = found
        return self._parts[provider]


@cache
def _sources(folder: str) -> tuple[dict[str, tuple[str, date]], dict[str, date]]:
    import tomllib

    table = tomllib.loads(Path(folder, "sources.toml").read_text("utf-8"))
    read = {name: (row["version"], row["day"]) for name, row in table.items()}
    return read, {name: row.get("undated", row["day"]) for name, row in table.items()}


def write(history: History, folder: str | Path, notes: Mapping[str, Iterable[str]] | None = None) -> None:
    """Write a history as files: one per seller, and which maps it was read from."""
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    providers = sorted({key.provider for key in history.changes})
    for old in target.glob("*.csv"):
        if old.stem not in providers:
            old.unlink()
    for provider in providers:
        _replace(target / f"{provider}.csv", text_of(history, provider))
    lines = [
        "# Which open price maps the files beside this one were read from, and the day of the newest; `undated` is the",
        "# day by which prices without a day were there, where that isn't the same.",
    ]
    for source, (version, day) in sorted(history.read.items()):
        lines += ["", f"[{source}]", f'version = "{version}"', f"day = {day}"]
        lines += [f"undated = {history.undated[source]}"] if history.undated.get(source, day) != day else []
        lines += [f"# {note}" for note in (notes or {}).get(source, ())]
    _replace(target / "sources.toml", "\n".join(lines) + "\n")
    _sources.cache_clear()


def _replace(path: Path, text: str) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(text, "utf-8")
    partial.replace(path)
