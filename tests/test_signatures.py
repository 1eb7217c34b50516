"""Public functions take their arguments in one order: frames, what is asked of them, `by`; all else by name."""

from __future__ import annotations

import inspect
import re

import pandas as pd
import pytest

import finops_ai as fa

#: more than one thing may be given by position, because it always could
BY_POSITION = {
    "showback": ["by", "month"],
    "forecast": ["scenario", "level"],
    "backtest": ["season", "windows", "step"],
}
#: what a parameter is never called, and its name everywhere
NAMES = {"tz": "timezone", "zone": "timezone", "group_by": "by", "groups": "by", "price_book": "book"}
#: what comes first: a frame or table, where to read one from, a workspace, who people are, or a number of months
FIRST = re.compile(r"DataFrame|Table|Path|\bstr\b|Workspace|Months|Identities")
#: what says how, not what: always by name
BY_NAME = {
    "as_of", "currency", "grace", "holidays", "lines", "overrides", "prices", "privacy", "provenance", "rates", "timezone",
    "tolerance", "until", "window",
}  # fmt: skip


def order_of(function):
    """What breaks the order."""
    given = [p for p in inspect.signature(function).parameters.values() if p.kind is not p.VAR_KEYWORD]
    placed = [p for p in given if p.kind is not p.KEYWORD_ONLY]
    asked = [p for p in placed if p.default is p.empty]
    optional = [p.name for p in placed if p.default is not p.empty]
    frames = [bool(re.match(r"pd\.DataFrame|Sequence\[pd\.DataFrame", str(p.annotation))) for p in asked]
    if given and not FIRST.search(str(given[0].annotation)):
        yield f"it begins with {given[0]}"
    yield from (f"{p.name} is called {NAMES[p.name]} elsewhere" for p in given if p.name in NAMES)
    if sorted(frames, reverse=True) != frames:
        yield "a frame stands behind what is asked of it"
    if len(optional) > 1 and optional != BY_POSITION.get(function.__name__):
        yield f"{', '.join(optional)} may be given by position"
    if "by" in optional[1:]:
        yield "by doesn't come first of what is optional"
    for p in placed:
        if p.name in BY_NAME:
            yield f"{p.name} may be given by position"
    for p in given:
        if p.name == "by" and not str(p.annotation).startswith(("Sequence[str]", "str | Sequence[str]")):
            yield f"by is {p.annotation}"


FUNCTIONS = [name for name in fa.__all__ if inspect.isfunction(getattr(fa, name))]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_arguments_come_in_one_order(name):
    assert list(order_of(getattr(fa, name))) == []


def test_another_order_is_found():
    def made(
        least: int, priced: pd.DataFrame, month: str = "", by: str = "", timezone: str = "", *, zone=""
    ) -> None: ...

    assert list(order_of(made)) == [
        "it begins with least: 'int'",
        "zone is called timezone elsewhere",
        "a frame stands behind what is asked of it",
        "month, by, timezone may be given by position",
        "by doesn't come first of what is optional",
        "timezone may be given by position",
        "by is str",
    ]
