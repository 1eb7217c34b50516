"""The meter registry: every billed class of usage, with its unit, direction, modality and cache behaviour."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from finops_ai.errors import DataError, hint


@dataclass(frozen=True)
class Meter:
    """One billed class of usage.

    Attributes:
        name: the meter's name in token and price frames.
        unit: FOCUS ConsumedUnit of its quantity ("tokens", "requests", "characters", "unit-hours", ...).
        direction: "input", "output" or "" (FOCUS 1.5-draft TokenDirection).
        modality: "text", "audio", "image", "video" or "".
        cache_action: "read", "write", "storage" or "" (FOCUS 1.5-draft CacheAction).
        cache_ttl: "5m", "30m", "1h", "12h" or "".
        roll_up: coarse class in published tables; "" = not part of one.
        description: what it counts.
        tool: billed beside the model, so neither its service tier nor its place changes the price.
    """

    name: str
    unit: str
    description: str
    direction: str = ""
    modality: str = ""
    cache_action: str = ""
    cache_ttl: str = ""
    roll_up: str = ""
    tool: bool = False

    @property
    def is_token(self) -> bool:
        """Whether it counts tokens that belong in a call's token total."""
        return self.unit == "tokens" and self.direction != ""


@cache
def meters() -> dict[str, Meter]:
    """All meters by name.

    >>> meters()["cache_read"].roll_up, meters()["gpu_hours"].unit
    ('cache_read', 'GPU-hours')
    """
    table = tomllib.loads(files("finops_ai.meters").joinpath("meters.toml").read_text("utf-8"))
    return {name: Meter(name=name, **row) for name, row in table.items()}


def meter(name: str) -> Meter:
    """One meter by name.

    Raises:
        DataError: no meter has that name.
    """
    try:
        return meters()[name]
    except KeyError:
        raise DataError(f"No meter called {name!r}. {hint(name, meters())}") from None


def token_meters() -> list[str]:
    """Names of the meters that make up a call's token total, in registry order."""
    return [m.name for m in meters().values() if m.is_token]
