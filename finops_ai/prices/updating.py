"""List prices from a newer genai-prices data file, without network: read, compare, keep."""

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

if TYPE_CHECKING:
    from finops_ai.prices.book import PriceBook

#: where a refreshed list is looked for: a file, set by environment variable
DATA_VARIABLE = "FINOPS_AI_PRICE_DATA"


def default_file() -> Path:
    """Where refreshed list prices are kept: `FINOPS_AI_PRICE_DATA`, else the user's data folder."""
    home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(os.environ.get(DATA_VARIABLE) or Path(home) / "finops-ai" / "prices.json")


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


def maps_folder() -> Path:
    """Where what other price maps said is kept after an update, beside the list prices."""
    return default_file().parent / "price-maps"


def kept_maps() -> Kept:
    """What the price maps said: as kept by the last update, else as bundled."""
    folder = maps_folder()
    return Kept(folder if (folder / "sources.toml").is_file() else None)


def read_base(path: str | Path, published: date | None = None) -> Base:
    """A base from genai-prices' JSON data (its list of providers, or what `prices update` kept).

    Args:
        path: the file.
        published: day until which its prices count as known; by default the day the file states, else today.

    Raises:
        PriceError: the file can't be read or isn't that data.
    """
    from genai_prices.types import _providers_from_raw

    try:
        text = Path(path).read_text("utf-8")
        raw: Any = json.loads(text, parse_float=Decimal)
        stated = raw.get("published") if isinstance(raw, dict) else None
        providers = _providers_from_raw(raw["providers"] if isinstance(raw, dict) else raw)
    except OSError as error:
        raise PriceError(f"List prices {path} can't be read: {error.strerror}.") from None
    except (ValueError, KeyError, TypeError, AttributeError, AssertionError) as error:
        raise PriceError(f"{path} is no genai-prices data: {str(error).splitlines()[0]}.") from None
    day = published or (date.fromisoformat(stated) if stated else datetime.now(UTC).date())
    return Base(providers, f"file {blake2b(text.encode(), digest_size=6).hexdigest()}", day)


def refresh(
    path: str | Path, target: str | Path | None = None, *, published: date | None = None, dry_run: bool = False
) -> tuple[PriceBook, PriceBook, Path]:
    """Take list prices from a file and keep them for later runs.

    Returns:
        The book before, the book after, and where the file is kept.
    """
    from finops_ai.prices.book import PriceBook
    from finops_ai.prices.own import bundled

    after = read_base(path, published)
    where = Path(target) if target else default_file()
    if not dry_run:
        raw = json.loads(Path(path).read_text("utf-8"))
        providers = raw["providers"] if isinstance(raw, dict) else raw
        where.parent.mkdir(parents=True, exist_ok=True)
        partial = where.with_suffix(".partial")
        partial.write_text(json.dumps({"published": after.published.isoformat(), "providers": providers}), "utf-8")
        partial.replace(where)
    return PriceBook.default(), PriceBook(after, bundled()), where
