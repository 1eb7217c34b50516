"""Tests of mapping rules, written beside them: what a call of a day belongs to.

[[tests]]
name = "the shop's key is fraud's from 16 September"
given = { api_key_id = "key_shop", "tags.env" = "prod" }
day = 2026-09-16
expect = { team = "fraud" }
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import pandas as pd
import pyarrow as pa

from finops_ai.engine.allocating import map_rows
from finops_ai.engine.fields import TAG, columns, kind_of_column
from finops_ai.engine.rules import Rules, day_of
from finops_ai.errors import RuleError, hint
from finops_ai.frames import to_pandas
from finops_ai.frames.types import TAGS_TYPE
from finops_ai.periods import zone
from finops_ai.tables.result import Facts, Table

TEST_KEYS = ("name", "given", "day", "expect")


def run_tests(tests: object, rules: Rules, *, timezone: str = "UTC") -> Table:
    """Run tests of rules.

    Args:
        tests: the `[[tests]]` entries: `given` (columns of text and `tags.<key>` of a call), `day` of the reporting zone, and
            `expect` (dimension = value), before shared costs are divided.
        rules: the mapping.
        timezone: the reporting zone.

    Returns:
        One row per test: `test`, `passed`, `text`.

    Raises:
        RuleError: a test that can't be run; names it.

    >>> rules = Rules.load({"dimensions": {"team": {}}, "rules": [{"when": {"model": "m"}, "set": {"team": "a"}}]})
    >>> run_tests([{"name": "m is a's", "given": {"model": "m"}, "day": "2026-10-01", "expect": {"team": "a"}}], rules)["passed"].tolist()
    [True]
    """
    if not isinstance(tests, list):
        raise RuleError(f"tests: write [[tests]] entries, not {tests!r}.")
    read = [_read(number, row, rules) for number, row in enumerate(tests, 1)]
    found: list[dict[str, Any]] = []
    if read:
        mapped = map_rows(_frame(read, timezone), rules, timezone)
        for one, row in zip(read, mapped.astype(object).to_dict("records"), strict=True):
            wrong = [f"{d} is {row[d]!r}, not {v!r}" for d, v in one["expect"].items() if row[d] != v]
            text = f"{', '.join(wrong)} (rule: {row['rule']})." if wrong else f"as expected (rule: {row['rule']})."
            found.append({"test": one["name"], "passed": not wrong, "text": text})
    kinds = {"test": pa.string(), "passed": pa.bool_(), "text": pa.string()}
    table = pa.table({name: pa.array([f[name] for f in found], kind) for name, kind in kinds.items()})
    return Table.of(to_pandas(table), Facts("Tests of the rules"))


def _read(number: int, row: object, rules: Rules) -> dict[str, Any]:
    if not isinstance(row, Mapping):
        raise RuleError(f"tests, {number} must be a table, not {row!r}.")
    place = f"tests, {number} ({row.get('name', '')})"
    for key in row:
        if key not in TEST_KEYS:
            raise RuleError(f"{place}: no key {key!r}. {hint(key, TEST_KEYS)}")
    given, expect = row.get("given", {}), row.get("expect")
    if not isinstance(given, Mapping) or not isinstance(expect, Mapping) or not expect or "day" not in row:
        raise RuleError(
            f"{place} needs given = {{ column = 'value' }}, day = 2026-10-01 and expect = {{ team = 'search' }}."
        )
    flat = {k: v for key, value in given.items() for k, v in _flat(key, value)}
    for key, value in flat.items():
        if not (key.startswith(TAG) or kind_of_column(key) == "text") or not isinstance(value, str):
            raise RuleError(
                f"{place}: given.{key} is no column of text. {hint(key, columns())} Tags are written tags.<key>."
            )
    for name in expect:
        if name not in rules.defaults:
            raise RuleError(f"{place}: expect.{name} is no declared dimension. {hint(name, rules.defaults)}")
    return {
        "name": str(row.get("name", f"test {number}")),
        "given": flat,
        "day": day_of(row["day"], f"{place}: day"),
        "expect": expect,
    }


def _flat(key: str, value: object) -> list[tuple[str, Any]]:
    if key == "tags" and isinstance(value, Mapping):
        return [(f"{TAG}{k}", v) for k, v in value.items()]
    return [(key, value)]


def _frame(read: list[dict[str, Any]], timezone: str) -> pd.DataFrame:
    """A call at noon of each test's day."""
    noon = [dt.datetime.combine(one["day"], dt.time(12), zone(timezone)).astimezone(dt.UTC) for one in read]
    named = sorted({key for one in read for key in one["given"] if not key.startswith(TAG)})
    arrays = {name: pa.array([one["given"].get(name) for one in read], pa.string()) for name in named}
    tags = [[(k.removeprefix(TAG), v) for k, v in one["given"].items() if k.startswith(TAG)] for one in read]
    arrays |= {"charge_period_start": pa.array(noon, pa.timestamp("us", "UTC")), "tags": pa.array(tags, TAGS_TYPE)}
    return to_pandas(pa.table(arrays))
