"""Regular expressions that mean the same in every engine: the subset that RE2 (DuckDB, BigQuery) and Java (Spark) share."""

from __future__ import annotations

import re
import warnings
from functools import lru_cache

import duckdb

from finops_ai.engine.dialects import DUCKDB

_ESCAPES = set("dDwWsSbBtnrf") | set("\\.+*?()[]{}|^$-/ &~#%@!:;,=<>\"'")


def regex_problem(pattern: str) -> str | None:
    """Why a pattern can't be used on all engines; None if it can.

    Allowed: literals, classes, groups `(...)` and `(?:...)`, a leading `(?i)`, alternatives, greedy and lazy
    repetition up to 1000, `^ $ \\b \\d \\w \\s`. Not allowed: look-around, back-references, possessive or named groups,
    class set operations, Unicode properties.

    >>> regex_problem("^gpt-[45]"), regex_problem("(?!x)y")
    (None, 'look-around, named or special groups "(?!" work on no common engine; use (?:...) or (...)')
    """
    try:
        with warnings.catch_warnings(action="ignore", category=FutureWarning):
            re.compile(pattern)
    except re.error as error:
        return f"not a regular expression: {error}"
    i, in_class = (4 if pattern.startswith("(?i)") else 0), False
    while i < len(pattern):
        ch, rest = pattern[i], pattern[i:]
        if ch == "\\":
            if (nxt := pattern[i + 1]) not in _ESCAPES:
                kind = "back-references" if nxt.isdigit() else "the escape"
                return f'{kind} "\\{nxt}" differ between engines; write the characters out'
            if in_class and nxt in "bB":
                return 'a "\\b" inside a class differs between engines'
            i += 2
            continue
        if in_class:
            if ch == "[" or rest.startswith("&&"):
                return f'"{rest[:2]}" inside a class differs between engines; escape it with a backslash'
            in_class = ch != "]"
        elif ch == "[":
            in_class = True
            i += 1 + (pattern[i + 1 : i + 2] == "^")
            if pattern[i : i + 1] == "]":
                return 'a class starting with "]" differs between engines; write "\\]"'
            continue
        elif rest.startswith("(?") and not rest.startswith("(?:"):
            return f'look-around, named or special groups "{rest[:3]}" work on no common engine; use (?:...) or (...)'
        elif re.match(r"[*+?}]\+", rest):
            return f'possessive repetition "{rest[:2]}" is not in RE2'
        elif ch == "{":
            bounds = re.match(r"\{(\d+)(,(\d*))?\}", rest)
            if not bounds:
                return 'a literal "{" must be escaped: "\\{"'
            if max(int(n) for n in (bounds[1], bounds[3] or "0")) > 1000:
                return "repetition above 1000 is not in RE2"
        i += 1
    return None


@lru_cache(maxsize=100_000)
def found_in(pattern: str, text: str) -> bool:
    """Whether a pattern is found in a text, as the engine finds it: in time that grows with the text's length only.

    >>> found_in("^svc-", "svc-1"), found_in("^(a+)+$", "a" * 40 + "b")
    (True, False)
    """
    with duckdb.connect() as con:
        return bool(con.execute(f"SELECT {DUCKDB.regex.format(x='$1', v='$2')}", [text, pattern]).fetchall()[0][0])
