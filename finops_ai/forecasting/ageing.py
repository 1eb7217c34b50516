"""How a change ages: what of it is already in the history, what is still to come, and what can no longer happen."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from finops_ai.forecasting.changes import Change, TemperatureChange
from finops_ai.forecasting.outlook import Outlook

#: fields that multiply what they touch, and those that move a share of it
FACTORS, SHARES = ("factor", "input_factor", "output_factor"), ("share",)
#: fields that may be given as a range `[low, high]`
RANGES = (*FACTORS, *SHARES, "requests_per_day", "amount_per_day", "discount", "to", "token_factor")
#: where uncertain dates and sizes are taken, evenly between their limits
NODES = 9


def to_come(change: Change, outlook: Outlook) -> tuple[Change | None, str]:
    """What of a change is still to be applied to the days ahead, and a sentence where that isn't all of it.

    A change that began before the first day ahead is in the history that the forecast was made from; applying it would
    count it twice. Of one that is still coming in, the rest is applied; one that ends within the days ahead is undone
    from then on.
    """
    first, last = outlook.days[0].date(), outlook.days[-1].date()
    start = earliest(change)
    if start > last:
        return None, f"{change.name} starts on {start}, after the last day planned ({last}): no effect yet."
    change, refused = _possible(change, outlook)
    if start >= first:
        return change, refused
    if change.until is not None and change.until <= first:
        return None, f"{change.name} was over on {change.until}: what it did is past, it isn't applied."
    passed = (first - start).days
    share = min(1.0, passed / max(change.ramp_days, 1))
    said = f"{change.name} is in force since {start}: the history shows it already, so it isn't applied again"
    if share < 1:
        rest = _rest(change, share)
        more = replace(rest, start=first, ramp_days=change.ramp_days - passed)
        return more, f"{said}; only the {1 - share:.0%} of it still to come is."
    if change.until is not None and change.until <= last:
        undone = _undone(change)
        if undone is None:
            return None, f"{said}; that it ends on {change.until} can't be undone from the history and is left out."
        return undone, f"{said}; from {change.until}, when it ends, it is undone."
    return None, f"{said}."


def earliest(change: Change) -> dt.date:
    """The first day a change may be in force."""
    return change.start[0] if isinstance(change.start, tuple) else change.start


def _rest(change: Change, done: float) -> Change:
    more: dict[str, Any] = {}
    for name in FACTORS:
        value = getattr(change, name, None)
        if isinstance(value, int | float):
            more[name] = value / (1 + (value - 1) * done)
    for name in SHARES:
        value = getattr(change, name, None)
        if isinstance(value, int | float):
            more[name] = (1 - done) * value / (1 - done * value) if done * value < 1 else 0.0
    return replace(change, **more)


def _undone(change: Change) -> Change | None:
    found = {n: getattr(change, n) for n in FACTORS if isinstance(getattr(change, n, None), int | float)}
    if change.until is None or not found or hasattr(change, "share") or any(v == 0 for v in found.values()):
        return None
    return replace(change, start=change.until, until=None, ramp_days=0, **{n: 1 / v for n, v in found.items()})


def _possible(change: Change, outlook: Outlook) -> tuple[Change, str]:
    """A temperature can't be set on models that reason: those are left out, and it is said."""
    if not isinstance(change, TemperatureChange) or "model" in change.where:
        return change, ""
    parts = outlook.parts
    fixed = set(parts.loc[parts["meter"] == "reasoning", "model"])
    free = sorted(set(parts.loc[outlook.select(change.where, change.name), "model"]) - fixed)
    if not fixed or not free:
        return change, ""
    return replace(change, where={**change.where, "model": free}), (
        f"{change.name} leaves out {', '.join(sorted(fixed)[:4])}: models that reason set their temperature themselves."
    )


def is_uncertain(change: Change) -> bool:
    """Whether a date or size is given as a range."""
    return isinstance(change.start, tuple) or any(isinstance(getattr(change, name, None), tuple) for name in RANGES)


def resolved(change: Change, node: int | None, number: int = 0) -> Change:
    """A change with its ranges at one of the nodes; at their middle for None.

    >>> from finops_ai.forecasting.changes import PriceChange
    >>> one = PriceChange(start=(dt.date(2027, 3, 1), dt.date(2027, 3, 31)), factor=(0.6, 0.8))
    >>> made = resolved(one, None)
    >>> made.start, made.factor
    (datetime.date(2027, 3, 16), 0.7)
    """
    if not is_uncertain(change):
        return change
    more: dict[str, Any] = {}
    # points spread evenly over dates and sizes together (golden ratio), other changes at other places
    places = (0.5, 0.5) if node is None else (
        ((node + 0.5) / NODES + 0.37 * number) % 1.0,
        (0.5 + 0.6180339887 * (node + 1 + 3 * number)) % 1.0,
    )  # fmt: skip
    if isinstance(change.start, tuple):
        first, last = change.start
        more["start"] = first + dt.timedelta(days=round((last - first).days * places[0]))
    for name in RANGES:
        value = getattr(change, name, None)
        if isinstance(value, tuple):
            more[name] = round(value[0] + (value[1] - value[0]) * places[1], 12)
    return replace(change, **more)


def when(change: Change) -> str:
    """From when to when, in words."""
    start = change.start
    text = f"between {start[0]} and {start[1]}" if isinstance(start, tuple) else f"from {start}"
    if change.until is not None:
        text += f" to before {change.until}"
    return text + (f", coming in over {change.ramp_days} days" if change.ramp_days else "")


def words(change: Change) -> str:
    """A change as one line: what, of what size, when."""
    sizes = []
    for name in RANGES:
        value = getattr(change, name, None)
        if value is None or (name in FACTORS and value == 1.0 and name != "factor"):
            continue
        shown = f"{value[0]:g} to {value[1]:g}" if isinstance(value, tuple) else f"{value:g}"
        sizes.append(f"{name.replace('_', ' ')} {shown}")
    return f"{change.name}, {', '.join(sizes)}, {when(change)}" if sizes else f"{change.name}, {when(change)}"


def dates_in_force(changes: tuple[Change, ...], first: pd.Timestamp) -> list[pd.Timestamp]:
    """When changes that are already in the history began."""
    return [pd.Timestamp(d) for d in (earliest(c) for c in changes) if pd.Timestamp(d) < first]


def spread_of(values: np.ndarray, draws: int) -> np.ndarray:
    """`(nodes, ...)` laid over paths: path `k` takes node `k % nodes`."""
    return values[np.arange(draws) % len(values)]
