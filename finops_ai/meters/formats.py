"""Declarations of the usage formats: what a source's object counts, and what is inside what. Data, no code per source."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any

from finops_ai.errors import UsageError, hint

Paths = tuple[str, ...]
_LIST = re.compile(r"^(?P<name>[^\[]+)\[(?P<key>[^=\]]*)(?:=(?P<value>[^\]]*))?\]$")
#: leaf names that hold no count although "token" is part of their path
_NO_COUNT = re.compile(r"(cost|price|spend|per_second|_ms$|time|limit|max_|rate|percent|ratio|_id$)", re.IGNORECASE)
#: leaf names in an object of token details that count something else
_OTHER_COUNT = re.compile(r"(_count|seconds|requests|searches|duration|queries|units)$", re.IGNORECASE)


@dataclass(frozen=True)
class Format:
    """One usage format as `formats.toml` declares it.

    Attributes:
        name: such as "openai.chat".
        input, output, total: spellings of the stated totals.
        inside, beside: meter -> spellings of its count, in or next to the stated total.
        split: meter -> spellings of a part of a part.
        also: meter -> spellings of units outside the tokens.
        sums: (total, part, ...) the object itself states.
        requests: "one", "sum" or the path of their number.
        sum: whether the object always adds up several calls.
        facts: price modifier -> paths.
        tiers: service tier -> paths of counts that only a call of that tier has.
        reported: paths of a stated cost, and its units per dollar.
        ignored: patterns of counts that repeat others.
        unbilled: path -> words that say nobody was asked and nothing is billed.
        further: lists inside the object whose elements are usage of their own, next to what the object counts.
        given: the object's keys are meters and its values their quantities.
        flat: keys contain dots, nothing is nested.
        records, inherits: where the object is a list of records: path of the usage in each, and its format.
    """

    name: str
    about: str = ""
    source: str = ""
    input: Paths = ()
    output: Paths = ()
    total: Paths = ()
    inside: Mapping[str, Paths] = field(default_factory=dict)
    beside: Mapping[str, Paths] = field(default_factory=dict)
    split: Mapping[str, Paths] = field(default_factory=dict)
    also: Mapping[str, Paths] = field(default_factory=dict)
    sums: tuple[Paths, ...] = ()
    requests: str = "one"
    sum: bool = False
    facts: Mapping[str, Paths] = field(default_factory=dict)
    tiers: Mapping[str, Paths] = field(default_factory=dict)
    reported: Paths = ()
    reported_per: int = 1
    ignored: Paths = ()
    modalities_of_total: bool = False
    zero_is_unstated: bool = False
    unbilled: Mapping[str, Paths] = field(default_factory=dict)
    further: Paths = ()
    flat: bool = False
    given: bool = False
    records: str = ""
    inherits: str = ""

    def counts(self) -> dict[str, Paths]:
        """Every count the format knows, by meter or by "input", "output", "total", "requests" of its object."""
        named = {"input total": self.input, "output total": self.output, "total": self.total}
        for group in ("inside", "beside", "split", "also"):
            named |= {f"{group} {meter}": paths for meter, paths in getattr(self, group).items()}
        for i, paths in enumerate(self.sums):
            named |= {f"sum {i} {j}": (path,) for j, path in enumerate(paths)}
        if self.requests not in ("one", "sum"):
            named["requests"] = (self.requests,)
        return named

    def known(self, path: str) -> bool:
        """Whether the format knows a count at this path (list elements as name[key=value].field or name[].field)."""
        return path in _known(self.name) or any(p.fullmatch(path) for p in _ignored(self.name))


@cache
def formats() -> dict[str, Format]:
    """All usage formats by name.

    >>> formats()["google.generate_content"].beside["reasoning"]
    ('thoughtsTokenCount',)
    """
    table = tomllib.loads(files("finops_ai.meters").joinpath("formats.toml").read_text("utf-8"))
    return {name: _build(name, row, table) for name, row in table.items()}


def format_named(name: str) -> Format:
    """One format by name.

    Raises:
        UsageError: no format has that name.
    """
    try:
        return formats()[name]
    except KeyError:
        raise UsageError(f"No usage format called {name!r}. {hint(name, formats())}", "unknown_format") from None


def _build(name: str, row: dict[str, Any], table: Mapping[str, dict[str, Any]]) -> Format:
    row = dict(row)
    parent, at = row.pop("inherit", ""), row.pop("inherit_at", "")
    reported = row.pop("reported_cost", {})
    values: dict[str, Any] = {
        "name": name,
        "inherits": parent,
        "reported": tuple(reported.get("paths", ())),
        "reported_per": reported.get("per", 1),
    }
    if parent:
        base = _build(name, table[parent], table)
        prefix = f"{at}." if at else ""

        def moved(paths: Paths) -> Paths:
            return tuple(prefix + path for path in paths)

        for key in ("input", "output", "total", "ignored"):
            values[key] = moved(getattr(base, key)) + tuple(row.pop(key, ()))
        for key in ("inside", "beside", "split", "also", "facts", "tiers"):
            values[key] = {meter: moved(paths) for meter, paths in getattr(base, key).items()}
        values["modalities_of_total"] = base.modalities_of_total
        values["reported"] = values["reported"] or moved(base.reported)
    for key, value in row.items():
        if isinstance(value, dict):
            values[key] = values.get(key, {}) | {meter: tuple(paths) for meter, paths in value.items()}
        elif isinstance(value, list):
            values[key] = tuple(tuple(v) if isinstance(v, list) else v for v in value)
        else:
            values[key] = value
    return Format(**values)


@cache
def _known(name: str) -> frozenset[str]:
    spec = formats()[name]
    paths = {path for spellings in spec.counts().values() for path in spellings}
    return frozenset(paths | set(spec.reported) | {p for group in spec.facts.values() for p in group})


@cache
def _ignored(name: str) -> tuple[re.Pattern[str], ...]:
    spec = formats()[name]
    wild = r".*" if spec.flat else r"[^.]*"
    deep = (re.escape(pattern).replace(r"\*\*", ".*") for pattern in spec.ignored)
    return tuple(re.compile(pattern.replace(r"\*", wild)) for pattern in deep)


def find(usage: Any, path: str, flat: bool = False) -> Any:
    """The value at a path of a usage object; None where it isn't stated. List elements that match are added up.

    >>> find({"cacheDetails": [{"ttl": "1h", "inputTokens": 4}]}, "cacheDetails[ttl=1h].inputTokens")
    4
    >>> find({"a": None}, "a.b") is None
    True
    """
    if flat:
        return usage.get(path)
    step, _, rest = path.partition(".")
    selector = _LIST.match(step)
    if not isinstance(usage, Mapping):
        return None
    if not selector:
        value = usage.get(step)
        return find(value, rest) if rest and value is not None else value
    found = [find(item, rest) for item in elements(usage, step)]
    stated = [value for value in found if value is not None]
    return sum(stated[1:], stated[0]) if stated else None


def elements(usage: Mapping[str, Any], step: str) -> list[Mapping[str, Any]]:
    """The elements of a list that a step like "name[key=value]" picks.

    >>> elements({"iterations": [{"type": "message"}, {"type": "compaction", "n": 1}]}, "iterations[type=compaction]")
    [{'type': 'compaction', 'n': 1}]
    """
    selector = _LIST.match(step)
    if not selector:
        return []
    return [
        item
        for item in usage.get(selector["name"]) or ()
        if isinstance(item, Mapping) and str(item.get(selector["key"], "")).upper() == str(selector["value"]).upper()
    ]


def unknown_token_fields(usage: Mapping[str, Any], spec: Format) -> list[str]:
    """Paths inside a usage object that count tokens above 0 and that the format doesn't know."""
    unknown = []
    for path, aliases, value in _leaves(usage, spec.flat):
        if isinstance(value, bool) or not isinstance(value, int | float | Decimal) or not value > 0:
            continue
        leaf = path.rpartition(".")[2]
        if "token" not in path.lower() or _NO_COUNT.search(leaf):
            continue
        if "token" not in leaf.lower() and _OTHER_COUNT.search(leaf):
            continue
        if not any(spec.known(alias) for alias in aliases):
            unknown.append(path)
    return unknown


def _leaves(
    value: Any, flat: bool, path: str = "", aliases: Sequence[str] = ("",)
) -> Iterator[tuple[str, Sequence[str], Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            dot = "." if path else ""
            yield from _leaves(inner, flat, f"{path}{dot}{key}", [f"{alias}{dot}{key}" for alias in aliases])
    elif isinstance(value, list):
        for item in value:
            names = [f"{alias}[]" for alias in aliases]
            if isinstance(item, Mapping):
                selectors = [f"[{k}={v}]" for k, v in item.items() if isinstance(v, str)]
                names += [alias + selector for alias in aliases for selector in selectors]
            yield from _leaves(item, flat, f"{path}[]", names)
    else:
        yield path, aliases, value
