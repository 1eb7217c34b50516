"""What is compiled is read by a parser that isn't ours, in each engine's own grammar: one statement, whatever names hold."""

from __future__ import annotations

import datetime as dt
import shutil
from decimal import Decimal

import pytest
import sqlglot
from sqlglot import exp

import finops_ai as fa
from finops_ai.engine.conditions import parse_condition, to_sql
from finops_ai.engine.dialects import DIALECTS
from finops_ai.sample.workspace import sample_workspace

KINDS = {"model": "text", "tags.team": "text", "quantity": "number", "charge_period_start": "instant"}
HOSTILE = [
    "it's", 'a"b', "back\\slash", "\\'; DROP TABLE x; --", "line\nend", "${env:HOME}", "`tick`", "née 数 🙂", "/* */ -- #", "\\u0027",
]  # fmt: skip
CONDITIONS = [
    {"model": "gpt-5"},
    {"model": ["a", "b"], "quantity": {"at_least": Decimal("0.5"), "below": 10}},
    {"model": {"prefix": "gpt-"}, "tags.team": {"regex": "^(a|b)[0-9]+$"}},
    {"any": [{"model": {"exists": True}}, {"not": {"tags.team": {"exists": False}}}]},
    {"all": [{"charge_period_start": {"at_least": dt.date(2026, 10, 1)}}, {"not": {"model": ["x"]}}]},
]


def parsed(sql: str, engine: str) -> exp.Expression:
    """The only statement of a text."""
    found = sqlglot.parse(sql, read=engine, error_level=sqlglot.ErrorLevel.RAISE)
    assert len(found) == 1
    return found[0]


def condition(table: object, engine: str) -> str:
    dialect = DIALECTS[engine]

    def column(name: str) -> str:
        if not name.startswith("tags."):
            return dialect.ident(name)
        return dialect.tag.format(x=dialect.ident("tags"), v=dialect.literal(name[5:]))

    return to_sql(parse_condition(table, "rule", kind_of=KINDS.get, known=list(KINDS)), dialect, column)


@pytest.mark.parametrize("engine", DIALECTS)
@pytest.mark.parametrize("table", CONDITIONS, ids=range(len(CONDITIONS)))
def test_conditions_are_one_predicate(engine, table):
    tree = parsed(f"SELECT 1 FROM t WHERE {condition(table, engine)}", engine)
    columns = {column.name for column in tree.find_all(exp.Column)} - {"value", "key", "key_value"}
    assert {"model", "quantity", "charge_period_start", "tags", "t"} >= columns
    assert not list(tree.find_all(exp.Command, exp.Drop))


@pytest.mark.parametrize("engine", DIALECTS)
@pytest.mark.parametrize("text", HOSTILE)
def test_text_comes_back_as_it_was(engine, text):
    tree = parsed(f"SELECT 1 FROM t WHERE {condition({'model': text}, engine)}", engine)
    (literal,) = [one.this for one in tree.find_all(exp.Literal) if one.is_string]
    if DIALECTS[engine].backslash:  # the parser leaves the escapes of code points as they are
        literal = literal.replace("\\u0024", "$")
    assert literal == text


@pytest.mark.parametrize("engine", DIALECTS)
def test_the_cells_of_a_month_are_one_query(engine, tmp_path):
    source = sample_workspace().settings.root
    shutil.copytree(source / "finops-lake" / "frames", tmp_path / "finops-lake" / "frames")
    text = (source / "finops.toml").read_text("utf-8")
    for zone in ("UTC", "Europe/Berlin"):
        (tmp_path / "finops.toml").write_text(text.replace('timezone = "UTC"', f'timezone = "{zone}"'), "utf-8")
        tree = parsed(fa.open_workspace(tmp_path).sql("2026-10", engine), engine)
        assert isinstance(tree, exp.Query)
        named = {one.output_name for one in tree.expressions}
        assert {"provider", "model", "meter", "quantity"} <= named, named
