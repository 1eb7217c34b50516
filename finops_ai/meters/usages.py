"""Many usage objects of one format as columns of disjoint meters: fast where they are sound, exact words where one is odd."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from finops_ai.errors import UsageError
from finops_ai.meters.formats import Format, format_named
from finops_ai.meters.normalise import normalise, normalise_columns
from finops_ai.meters.registry import meters


def disjoint_columns(
    usages: Sequence[Mapping[str, Any]], format: str, place: Callable[[int], str], notes: list[str]
) -> dict[str, pa.Array]:
    """Disjoint meters of usage objects, one value each.

    A token count that the format doesn't know is never dropped: it is counted in the meter `unmapped`, and a note names it.

    Args:
        usages: the objects, nested as their source writes them.
        format: name of a declared format.
        place: where the object of that number is from, for messages.
        notes: gets what a reader must know.

    Returns:
        meter -> int64 array; meters that are 0 everywhere are left out.

    Raises:
        UsageError: a part is larger than its total, or a count is none; names the place.

    >>> said: list[str] = []
    >>> counts = {"input_tokens": 10, "cached_input_tokens": 8, "output_tokens": 3, "new_tokens": 5}
    >>> {k: v.to_pylist() for k, v in disjoint_columns([counts], "codex.rollout", str, said).items()}
    {'input': [2], 'cache_read': [8], 'output': [3], 'unmapped': [5]}
    """
    spec = format_named(format)
    read = _Reading(len(usages), spec)
    for i, usage in enumerate(usages):
        read.add(read.root, usage, i)
    columns = read.columns
    try:
        if read.odd:
            raise UsageError("some object can't be read as columns")
        counted_columns = dict(normalise_columns(columns, format)) if columns else {}
    except UsageError:
        counted_columns = _one_by_one(usages, format, place, notes)
    counted_columns.pop("requests", None)
    if read.unmapped:
        counted_columns["unmapped"] = pa.array([read.unmapped.get(i, 0) for i in range(len(usages))], pa.int64())
        named = ", ".join(f"{path} ({count:,})" for path, count in sorted(read.strange.items()))
        notes.append(f"Token counts this version doesn't know are rows of the meter 'unmapped': {named}.")
    return counted_columns


class _Place:
    """What stands at a path: a count of the format (its column), a count it doesn't know, or what lies below."""

    __slots__ = ("below", "column", "path", "strange")

    def __init__(self, path: str, column: list[int | None] | None = None, strange: bool = False) -> None:
        self.path, self.column, self.strange = path, column, strange
        self.below: dict[str, _Place] = {}


class _Reading:
    """Columns of the counts of usage objects, filled object by object; equal paths are looked up once."""

    def __init__(self, rows: int, spec: Format) -> None:
        self.rows, self.spec = rows, spec
        self.counts = list(spec.counts().values())
        self.known = {path for spellings in self.counts for path in spellings}
        self.root = _Place("")
        self.columns: dict[str, list[int | None]] = {}
        self.unmapped: dict[int, int] = {}
        self.strange: dict[str, int] = {}
        self.odd = False

    def add(self, place: _Place, usage: Mapping[str, Any], row: int) -> None:
        """Read one object, or what lies below a path of it."""
        below = place.below
        for name, value in usage.items():
            if value is None:
                continue
            here = below.get(name)
            if here is None:
                here = below[name] = self._place(f"{place.path}.{name}" if place.path else name)
            if type(value) is int:
                if here.column is not None:
                    here.column[row] = value
                elif here.strange and value > 0:
                    self.unmapped[row] = self.unmapped.get(row, 0) + value
                    self.strange[here.path] = self.strange.get(here.path, 0) + value
            elif isinstance(value, dict):
                self.add(here, value, row)
            elif here.column is not None:
                self.odd = True  # a count that is no whole number
            elif isinstance(value, list) and value and self.spec.further:
                self.odd = True  # it may hold calls of its own

    def _place(self, path: str) -> _Place:
        if path in self.known:
            column = self.columns[path] = [None] * self.rows
            return _Place(path, column)
        return _Place(path, strange=not self.spec.known(path) and _is_tokens(path, self.counts))


def _is_tokens(path: str, known: Iterable[Iterable[str]]) -> bool:
    """Whether an unknown number is a count of tokens: it says so, or stands beside counts that don't say so either."""
    plain = not any("token" in spelling.lower() for spellings in known for spelling in spellings)
    return "token" in path.lower() or (plain and "cost" not in path.lower())


def _one_by_one(
    usages: Sequence[Mapping[str, Any]], format: str, place: Callable[[int], str], notes: list[str]
) -> dict[str, pa.Array]:
    """The slow way: says which object is odd, and which odd ones could still be read."""
    found: list[Mapping[str, Any]] = []
    odd: dict[str, list[str]] = {}
    for i, usage in enumerate(usages):
        try:
            call = normalise(usage, format)
        except UsageError as error:
            raise UsageError(f"{place(i)}: {error} Nothing of this window was stored.", error.flag) from None
        for flag in call.flags - {"unknown_token_field"}:
            odd.setdefault(flag, []).append(place(i))
        found.append(call.meters)
    notes.extend(
        f"{flag}: {len(where)} usage objects, first {where[0]}; their split was used."
        for flag, where in sorted(odd.items())
    )
    names = [name for name in meters() if name != "requests" and any(name in call for call in found)]
    return {name: pa.array([int(call.get(name, 0)) for call in found], pa.int64()) for name in names}
