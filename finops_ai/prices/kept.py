"""The price data that is kept here: the installed list, what an update left, and how old the newest of it is."""

from __future__ import annotations

import json
import os
from datetime import UTC, date, datetime
from decimal import Decimal
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finops_ai.errors import PriceError
from finops_ai.prices.base import PUBLISHED, Base
from finops_ai.prices.maps.history import Kept
from finops_ai.prices.maps.observed import TITLES

if TYPE_CHECKING:
    from finops_ai.prices.book import PriceBook

#: where a refreshed list is looked for: a file, set by environment variable
DATA_VARIABLE = "FINOPS_AI_PRICE_DATA"
#: days after which a price book is called old
OLD_AFTER = 45


def default_file() -> Path:
    """Where refreshed list prices are kept: `FINOPS_AI_PRICE_DATA`, else the user's data folder."""
    home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(os.environ.get(DATA_VARIABLE) or Path(home) / "finops-ai" / "prices.json")


def maps_folder() -> Path:
    """Where what other price maps said is kept after an update, beside the list prices."""
    return default_file().parent / "price-maps"


def installed() -> Base:
    """The base in use: the refreshed file if there is one, else the installed genai-prices package."""
    kept = default_file()
    return read_base(kept) if kept.is_file() else packaged()


def packaged() -> Base:
    """The base of the installed genai-prices package."""
    from importlib.metadata import version

    from genai_prices.data import providers

    installed = version("genai-prices")
    return Base(providers, installed, PUBLISHED.get(installed) or datetime.now(UTC).date())


def kept_maps() -> Kept:
    """What the price maps said: as kept by the last update, unless the bundled history is newer."""
    bundled, folder = Kept(), maps_folder()
    if not (folder / "sources.toml").is_file():
        return bundled
    kept = Kept(folder)
    newest = [max((day for _, day in of.read.values()), default=date.min) for of in (bundled, kept)]
    return kept if newest[1] >= newest[0] else bundled


def read_base(path: str | Path, published: date | None = None) -> Base:
    """A base from genai-prices' JSON data (its list of providers, or what `prices update` kept).

    Args:
        path: the file.
        published: day until which its prices count as known; by default the day the file states, else today.

    Raises:
        PriceError: the file can't be read or isn't that data.
    """
    try:
        text = Path(path).read_text("utf-8")
        raw: Any = json.loads(text, parse_float=Decimal)
        stated = raw.get("published") if isinstance(raw, dict) else None
        day = published or (date.fromisoformat(str(stated)) if stated else datetime.now(UTC).date())
    except OSError as error:
        raise PriceError(f"List prices {path} can't be read: {error.strerror}.") from None
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise PriceError(f"{path} is no genai-prices data: {error}") from None
    return base_of(raw, str(path), day, blake2b(text.encode(), digest_size=6).hexdigest())


def base_of(raw: object, where: str, day: date, mark: str) -> Base:
    """A base from parsed genai-prices data; `where` is named in errors, `mark` in the version."""
    from genai_prices.types import _providers_from_raw

    try:
        providers = _providers_from_raw(raw["providers"] if isinstance(raw, dict) else raw)
    except Exception as error:  # whatever another package's reader stumbles over
        said = str(error).partition("\n")[0] or type(error).__name__
        raise PriceError(f"{where} is no genai-prices data: {said}.") from None
    return Base(providers, f"file {mark}", day)


def age(book: PriceBook, today: date | None = None) -> tuple[int, str]:
    """How many days old the newest map of a book is, and which map that is; of those that users can bring up to date."""
    read = book.maps.read if book.maps else {}
    days: dict[str, date] = {name: read[name][1] for name in ("litellm", "modelsdev") if name in read}
    if book.base:
        days["genai"] = book.base.published
    newest = max(days, key=lambda name: days[name])
    return ((today or datetime.now(UTC).date()) - days[newest]).days, f"{TITLES[newest]} of {days[newest]}"
