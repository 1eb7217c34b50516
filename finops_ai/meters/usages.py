"""Many usage objects of one format as columns of disjoint meters: fast where they are sound, exact words where one is odd."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from finops_ai.errors import UsageError
from finops_ai.meters.formats import format_named
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
    known = {path for spellings in spec.counts().values() for path in spellings}
    kinds: dict[str, str] = {}
    columns: dict[str, list[int | None]] = {}
    unmapped: dict[int, int] = {}
    strange: dict[str, int] = {}
    odd = False
    for i, usage in enumerate(usages):
        todo = list(usage.items())
        for path, value in todo:
            if value is None:
                continue
            kind = kinds.get(path, "")
            if not kind:
                counted = "count" if path in known else ""
                unknown = not counted and not spec.known(path) and _is_tokens(path, spec.counts().values())
                kind = kinds[path] = counted or ("strange" if unknown else "other")
            if kind == "count":
                if type(value) is not int:
                    odd = True
                    continue
                column = columns.get(path)
                if column is None:
                    column = columns[path] = [None] * len(usages)
                column[i] = value
            elif isinstance(value, dict):
                todo += [(f"{path}.{name}", inner) for name, inner in value.items()]
            elif isinstance(value, list):
                odd = odd or (bool(spec.further) and bool(value))  # it may hold calls of its own
            elif kind == "strange" and type(value) is int and value > 0:
                unmapped[i] = unmapped.get(i, 0) + value
                strange[path] = strange.get(path, 0) + value
    try:
        if odd:
            raise UsageError("some object can't be read as columns")
        counted_columns = dict(normalise_columns(columns, format)) if columns else {}
    except UsageError:
        counted_columns = _one_by_one(usages, format, place, notes)
    counted_columns.pop("requests", None)
    if unmapped:
        counted_columns["unmapped"] = pa.array([unmapped.get(i, 0) for i in range(len(usages))], pa.int64())
        named = ", ".join(f"{path} ({count:,})" for path, count in sorted(strange.items()))
        notes.append(f"Token counts this version doesn't know are rows of the meter 'unmapped': {named}.")
    return counted_columns


def _is_tokens(path: str, known: Any) -> bool:
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
