"""Bring the price book up to date from files, without network: every layer that comes from a price map, in one step.

A file is recognised by what is in it (genai-prices' data, LiteLLM's map, models.dev, a wheel of one of their packages).
It must say from which day it is, and that day may not be before what the book has: an older map would take prices back.
What it changes is shown before anything is written. What a month was closed with stays: every priced row names the
version of its book, and closed months are never priced again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finops_ai.errors import PriceError
from finops_ai.prices.kept import base_of, default_file, maps_folder
from finops_ai.prices.maps.history import History, Kept, write
from finops_ai.prices.maps.observed import TITLES
from finops_ai.prices.maps.others import history as dated_history
from finops_ai.prices.maps.reading import canonical_in, canonical_on, day_of, kind_of, load, read_map, version_of
from finops_ai.prices.names import providers as provider_names

if TYPE_CHECKING:
    import pandas as pd

    from finops_ai.prices.book import PriceBook


@dataclass
class Update:
    """What some files would change, and the means to keep it.

    Attributes:
        before, after: the books.
        notes: one sentence per file, and what was left out.
        changed: prices that differ (see `PriceBook.diff`).
    """

    before: PriceBook
    after: PriceBook
    notes: list[str] = field(default_factory=list)
    base: tuple[date, list[Any]] | None = None
    maps: History | None = None

    @property
    def changed(self) -> pd.DataFrame:
        """Prices that differ."""
        return self.before.diff(self.after)

    def keep(self) -> list[Path]:
        """Write what was read to the user's data folder; the paths written."""
        written = []
        if self.base is not None:
            day, providers = self.base
            where = default_file()
            where.parent.mkdir(parents=True, exist_ok=True)
            partial = where.with_suffix(".partial")
            partial.write_text(
                json.dumps({"published": day.isoformat(), "providers": providers}, default=float), "utf-8"
            )
            partial.replace(where)
            written.append(where)
        if self.maps is not None:
            write(self.maps, maps_folder())
            written.append(maps_folder())
        return written


def prepare(paths: Sequence[str | Path], *, dated: date | None = None, allow_older: bool = False) -> Update:
    """Read price maps and work out what they change; nothing is written.

    Args:
        paths: files or wheels; none = the price maps among the installed packages (genai-prices, litellm).
        dated: the day the files are from, where they don't say.
        allow_older: take a map although the book has a newer one of its kind.

    Raises:
        PriceError: a file isn't a price map, says no day, or is older than what the book has; the message says how to
            go on.
    """
    from finops_ai.prices.book import PriceBook
    from finops_ai.prices.own import bundled

    before = PriceBook.default()
    update = Update(before, before)
    known_names = PriceBook(before.base, bundled())
    plain_names = canonical_in(known_names)
    base = before.base
    for path in paths or _packages(update):
        table = load(path)
        kind = kind_of(table)
        if not kind:
            raise PriceError(
                f"{path} is no price map that is known here: genai-prices' data, LiteLLM's map, models.dev's api.json "
                "or a model-prices snapshot (each as JSON, or its package's wheel)."
            )
        day = day_of(path, table, dated)
        if day is None:
            raise PriceError(
                f"{path} doesn't say from which day it is, and a price needs one: give it with --dated 2026-11-30."
            )
        if day > datetime.now(UTC).date():
            raise PriceError(f"{path} is dated {day}, which is still to come.")
        canonical = canonical_on(known_names, day, plain_names)
        source = "modelsdev" if kind == "model-prices" else kind
        have = (
            base.published
            if source == "genai" and base
            else (before.maps.read if before.maps else {}).get(source, ("", date.min))[1]
        )
        if day < have and not allow_older:
            raise PriceError(
                f"{path} is of {day}; the book already has {TITLES[source]} of {have}. An older map would take prices "
                "back. If you want that, add --allow-older."
            )
        if source == "genai":
            mark = blake2b(json.dumps(table, default=str, sort_keys=True).encode(), digest_size=6).hexdigest()
            base = base_of(table, str(path), day, mark)
            update.base = day, table["providers"] if isinstance(table, dict) else table
        else:
            update.maps = update.maps or (before.maps.whole() if before.maps else History())
            if kind == "model-prices":
                for key, at, price in dated_history(table, canonical):
                    known = update.maps.changes.get(key, {}).get("modelsdev", [])
                    if not known or (at is not None and (known[-1][0] is None or at > known[-1][0])):
                        update.maps.note(key, "modelsdev", at, price)
                update.maps.read["modelsdev"] = version_of(path), day
            else:
                snapshot = read_map(kind, table, version_of(path), day, canonical)
                sellers = {key.provider for key in update.maps.changes} | set(provider_names())
                told = {key.provider for key in snapshot.prices} - sellers
                prices = {key: price for key, price in snapshot.prices.items() if key.provider not in told}
                update.maps.take(replace(snapshot, prices=prices))
                if told:
                    update.notes.append(f"{path}: {len(told)} sellers that only this map knows are left out.")
                update.notes += [
                    f"{path}: {n} times {what}: no meter for it" for what, n in list(snapshot.left_out.items())[:5]
                ]
        update.notes.append(f"{path}: {TITLES[source]} of {day}; the book had {have if have > date.min else 'none'}.")
    maps = Kept.of(update.maps) if update.maps else before.maps
    update.after = PriceBook(base, bundled(), (), maps)
    return update


def _packages(update: Update) -> list[Path]:
    """The map files of installed packages that are newer than what the book was built from."""
    from importlib.metadata import PackageNotFoundError, version
    from importlib.util import find_spec

    found: list[Path] = []
    try:
        have = update.before.maps.read.get("litellm", ("", None))[0] if update.before.maps else ""
        now = version("litellm")
        spec = find_spec("litellm")
        if now != have and spec and spec.submodule_search_locations:
            found.append(Path(spec.submodule_search_locations[0]) / "model_prices_and_context_window_backup.json")
    except PackageNotFoundError:
        pass
    base = update.before.base
    update.notes.append(
        f"genai-prices {version('genai-prices')} is read as it is installed"
        + (f", list prices of {base.published}." if base else ".")
    )
    if not found:
        update.notes.append("No newer price map is installed (litellm); give files to read, or upgrade the packages.")
    return found


def load_any(path: str | Path) -> PriceBook:
    """A book from a contract file (TOML) or from list-price data (JSON)."""
    from finops_ai.prices.book import PriceBook

    if Path(path).suffix == ".json":
        return prepare([path], allow_older=True, dated=datetime.now(UTC).date()).after  # compared as it is today
    return PriceBook.load(path)
