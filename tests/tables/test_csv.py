"""CSV is written in one way: exact for numbers, harmless for text of every type, readable again by any CSV reader."""

from __future__ import annotations

import ast
import csv
import datetime as dt
import io
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import finops_ai as fa
from finops_ai.formulas import harmless, original
from finops_ai.marks import HIDDEN
from finops_ai.tables.csv import csv_text, write_csv
from finops_ai.tables.focus import write_focus

#: the starts OWASP lists, the wide forms that spreadsheets take for them, and ways to get one past a look at the first sign
EVIL = [
    "=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1+1", "\r=1+1", "\n=1+1", "＝1+1", "＋1", "－1+a", "＠x", " =1+1", "\u00a0=1",
    "'=1+1", '"=1+1', "x;=1+1", "x\t=1+1", "x\n=1+1", "x|=cmd|' /C calc'!A0", "DDE;@x", "=cmd|' /C calc'!A0", "a;b;-2+3",
]  # fmt: skip


def cells_in(text: str, delimiter: str = ",") -> list[str]:
    return [cell for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) for cell in row]


def starts_formula(cell: str) -> bool:
    bare = cell.lstrip(' \t\r\n\u00a0"')
    return bare[:1] in tuple("=+@＝＋－＠") or (bare[:1] == "-" and not _number(bare))


def _number(text: str) -> bool:
    try:
        Decimal(text)
    except ArithmeticError:
        return False
    return True


def every_type(text: str) -> pd.DataFrame:
    arrow = pd.ArrowDtype(pa.string())
    frame = pd.DataFrame(
        {
            "object": pd.Series([text], dtype=object), "string": pd.Series([text], dtype="string"),
            "str": pd.Series([text], dtype="str"), "arrow": pd.Series([text], dtype=arrow),
            "category": pd.Series(pd.Categorical([text])), "list": [[text]], "dict": [{text: text}], "tuple": [(text,)],
            "tags": pd.Series([[(text, text)]], dtype=pd.ArrowDtype(pa.map_(pa.string(), pa.string()))), "bytes": [text.encode()],
        }
    )  # fmt: skip
    frame[text] = [Decimal("-1.50")]
    return frame


@pytest.mark.parametrize("text", EVIL)
def test_no_type_and_no_heading_starts_a_formula(text):
    written = csv_text(every_type(text))
    # read as here and as where a semicolon or a tab ends a cell
    for delimiter in ",;\t":
        for cell in cells_in(written, delimiter):
            assert not starts_formula(cell), (delimiter, cell)


def test_pandas_own_writer_would_be_caught():
    assert any(map(starts_formula, cells_in(every_type("=1+1").to_csv(index=False))))


@given(st.text(max_size=20) | st.lists(st.sampled_from([*"=+-@;|'\"\t\n ax", "＝"]), max_size=8).map("".join))
def test_what_is_put_in_can_be_taken_out(text):
    assert original(harmless(text)) == text


@given(
    st.lists(
        st.text(st.characters(exclude_categories=("Cs",)), max_size=12).filter(lambda t: not HIDDEN.search(t)),
        min_size=1, max_size=5,
    )
)  # fmt: skip
def test_any_csv_reader_gives_the_text_back(texts):
    frame = pd.DataFrame({"name": pd.Series(texts, dtype=object), "n": range(len(texts))})
    rows = list(csv.DictReader(io.StringIO(csv_text(frame), newline="")))
    assert [original(r["name"]) for r in rows] == texts
    assert [int(r["n"]) for r in rows] == list(range(len(texts)))


def test_control_characters_are_in_quotes_or_shown():
    written = csv_text(
        pd.DataFrame({"a": pd.Series(["x\ty", "x\ny", "x\x00y", "x\x1b[2Jy", "x\u202ey", "\ud800"], dtype=object)})
    )
    assert written == 'a\n"x\ty"\n"x\ny"\nx\\u0000y\nx\\u001b[2Jy\nx\\u202ey\n\\ud800\n'
    written.encode("utf-8")


def test_numbers_instants_and_unknown_are_exact(tmp_path):
    frame = pd.DataFrame(
        {
            "money": pd.Series([Decimal("-0.000000000000000001"), Decimal("1E+3"), None], dtype=object),
            "exact": pd.Series(pa.array([Decimal("-1.10"), None, Decimal(0)], pa.decimal128(38, 18)), dtype=pd.ArrowDtype(pa.decimal128(38, 18))),
            "count": pd.Series([-1, 0, None], dtype="Int64"), "float": [-0.1, float("nan"), 1e-9],
            "day": pd.Series([dt.date(2026, 10, 1), None, None], dtype=object),
            "at": pd.to_datetime(["2026-10-01T12:00:00Z", None, None]), "yes": [True, False, True],
        }
    )  # fmt: skip
    path = write_csv(frame, tmp_path / "x.csv")
    assert path.read_text("utf-8").splitlines() == [
        "money,exact,count,float,day,at,yes",
        "-0.000000000000000001,-1.100000000000000000,-1,-0.1,2026-10-01,2026-10-01 12:00:00+00:00,True",
        "1000,,0,,,,False",
        ",0.000000000000000000,,1e-09,,,True",
    ]
    assert [p.name for p in tmp_path.iterdir()] == ["x.csv"]


def test_focus_is_harmless_in_csv_and_comes_back_exactly(tmp_path):
    tokens = fa.sample(months=1).head(len(EVIL)).copy()
    tokens["user_id"] = list(EVIL)
    tokens["model"] = ["=HYPERLINK(1)"] * len(tokens)
    tokens["tags"] = pd.Series(pd.array([[("team", t)] for t in EVIL], dtype=tokens["tags"].dtype), index=tokens.index)
    focus = fa.to_focus(fa.price(tokens))
    path = write_focus(focus, tmp_path / "focus.csv")
    for cell in cells_in(path.read_text("utf-8")):
        assert not starts_formula(cell), cell
    back = fa.from_focus(path)
    assert set(back["model"]) == {"=HYPERLINK(1)"}
    assert {dict(t)["team"] for t in back["tags"]} == set(EVIL)


@pytest.mark.long
def test_nothing_else_writes_csv():
    """Every module that turns a frame into CSV goes through this writer; the sample plays providers, who have their own."""
    package = Path(fa.__file__).parent
    own = []
    for path in [*package.rglob("*.py"), *package.parent.glob("plugins/*/src/**/*.py")]:
        if path.is_relative_to(package / "sample") or path.is_relative_to(package / "testing"):
            continue
        if path.is_relative_to(package / "prices" / "maps"):  # the package's own data files, which no spreadsheet opens
            continue
        if path.match("providers/texts.py"):  # a regular copy of somebody's file in a folder that only its reader sees
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            name = getattr(getattr(node, "func", None), "attr", "")
            if isinstance(node, ast.Call) and (
                name == "to_csv"
                or (
                    name in ("writer", "DictWriter", "write_csv")
                    and getattr(node.func.value, "id", "") in ("csv", "pc", "pyarrow")
                )
            ):
                own.append(f"{path.name}:{node.lineno}")
    assert own == []
