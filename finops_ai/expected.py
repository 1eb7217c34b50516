"""What a parameter takes, read from its annotation: text and paths, whole numbers, lists, frames, books, rules, workspaces."""

from __future__ import annotations

import inspect
import numbers
import os
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence | set | frozenset) and not isinstance(value, str | bytes)


def _list_of(kind: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: _listed(value) and all(kind(item) for item in value)  # type: ignore[attr-defined]


def _listed(value: object) -> bool:
    """A list, or what pandas and numpy have in its place."""
    return _is_list(value) or (hasattr(value, "tolist") and hasattr(value, "__len__") and not hasattr(value, "columns"))


def _text(value: object) -> bool:
    return isinstance(value, str)


def _whole(value: object) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _number(value: object) -> bool:
    return isinstance(value, numbers.Real | Decimal) and not isinstance(value, bool)


def _has(*names: str) -> Callable[[object], bool]:
    return lambda value: not inspect.isclass(value) and all(hasattr(value, name) for name in names)


_BOOK = (_has("key_columns"), "a price book")
#: what an annotation says -> whether a value is that, and how it is called in a sentence
KINDS: dict[str, tuple[Callable[[object], bool], str]] = {
    "str": (_text, "text"),
    "Path": (lambda value: isinstance(value, os.PathLike), "a path"),
    "int": (_whole, "a whole number"),
    "float": (_number, "a number"),
    "Sequence[str]": (_list_of(_text), "a list of names"),
    "list[str]": (_list_of(lambda v: isinstance(v, str | os.PathLike)), "a list of paths"),
    "Sequence[float]": (_list_of(_number), "a list of numbers"),
    "Sequence[Mapping[str, Any]]": (_list_of(lambda v: isinstance(v, Mapping)), "a list of tables"),
    "Mapping[str, Any]": (lambda value: isinstance(value, Mapping), "a dict"),
    "Mapping[str, pd.DataFrame]": (lambda value: isinstance(value, Mapping), "a dict of frames by name"),
    "pd.DataFrame": (_has("iloc", "columns"), "a frame"),
    "Book": _BOOK,
    "PriceBook": _BOOK,
    "Rules": (_has("dimensions", "rules"), "rules"),
    "Identities": (_has("spans", "kinds"), "identities"),
    "Workspace": (_has("settings", "lake"), "a workspace"),
    "None": (lambda value: value is None, "None"),
}

#: how to get what was meant, by what the annotation names
FIXES = {
    "Book": "Make one with fa.PriceBook.load(path) or fa.PriceBook.default().",
    "PriceBook": "Make one with fa.PriceBook.load(path) or fa.PriceBook.default().",
    "Rules": "Give the path of a TOML file with [dimensions] and [[rules]], the same as a dict, or fa.Rules.load(path).",
    "Identities": "Make them with fa.Identities.load(path).",
    "Workspace": "Open one with fa.open('finops.toml').",
    "Sequence[str]": "Write it as ['team', 'model'].",
    "pd.DataFrame": "Make one with fa.read, fa.collect or fa.sample.",
    "Mapping[str, pd.DataFrame]": "Write it as {'vendor': one, 'logs': other}.",
    "Mapping[str, Any]": "Read a TOML file with tomllib.loads(path.read_text()), or write the table as a dict.",
}  # fmt: skip


def alternatives(annotation: object) -> list[str]:
    """The parts of `A | B[C, D] | None` as an annotation writes them.

    >>> alternatives("Rules | Mapping[str, Any] | None")
    ['Rules', 'Mapping[str, Any]', 'None']
    """
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    return [part for part in re.split(r"\s*\|\s*(?![^\[]*\])", text) if part]


def taken(annotation: object, value: Any) -> Any:
    """The value, or the list of one that a single name or number can only mean where lists are taken.

    >>> taken("Sequence[str]", "team, model"), taken("Sequence[float]", 80), taken("str | None", "team")
    (['team', 'model'], (80,), 'team')
    """
    kinds = alternatives(annotation)
    if "Sequence[str]" in kinds and "str" not in kinds and isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    if "Sequence[float]" in kinds and _number(value):
        return (value,)
    return value


def complaint(annotation: object, value: object) -> str:
    """What is wrong with a value for its annotation, and how to get it right; "" where nothing is, or nothing can be said.

    >>> complaint("int | None", "7")
    "must be a whole number, got '7'. Write 7 without quotation marks."
    >>> complaint("int | None", None), complaint("ScenarioLike", 5)
    ('', '')
    """
    kinds = alternatives(annotation)
    if not kinds or any(kind not in KINDS for kind in kinds) or any(KINDS[kind][0](value) for kind in kinds):
        return ""
    named = [KINDS[kind][1] for kind in kinds if kind != "None"]
    wanted = " or ".join(filter(None, [", ".join(named[:-1]), named[-1]]))
    if isinstance(value, str) and "int" in kinds and value.strip().isdecimal():
        fix = f"Write {value.strip()} without quotation marks."
    elif "Mapping[str, Any]" in kinds and isinstance(value, str):
        fix = FIXES["Mapping[str, Any]"]
    elif "str" in kinds and _number(value):
        fix = f"Write it in quotation marks: '{value}'."
    else:
        fix = next((FIXES[kind] for kind in kinds if kind in FIXES), "")
    return f"must be {wanted}, got {_shown(value)}. {fix}".rstrip()


def _shown(value: object) -> str:
    """A short value as it is, of anything longer its kind."""
    short = isinstance(value, str | numbers.Number | Decimal | None | tuple | list | dict) and len(repr(value)) <= 60
    return repr(value) if short else type(value).__name__
