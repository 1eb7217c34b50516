"""Workbooks of any text: whole files, in which a name is what it was, or shows what it hides."""

from __future__ import annotations

import xml.etree.ElementTree as ET
import zipfile
from decimal import Decimal

import openpyxl
import pandas as pd
import pytest

from finops_ai.providers.tables import load_table
from finops_ai.tables.excel import CELL, sheet_name, write_workbook

#: name -> what a cell shows of it
SHOWN = {
    "=1+1": "=1+1",
    "'quoted": "'quoted",
    "bell\x07": "bell\\u0007",
    "turned \u202eround": "turned \\u202eround",
    "none \ufffe\uffff": "none \\ufffe\\uffff",
    "a\rb\nc\td": "a\\u000db\nc\td",
    "_x003D_1+1": "_x003D_1+1",  # which Excel would show as =1+1
    "_x005F_x003D_1": "_x005F_x003D_1",
    "</t><script>": "</t><script>",
    "😀": "😀",
}


def whole(path):
    """Every part of a workbook as XML, which ends in an error where it is none."""
    with zipfile.ZipFile(path) as book:
        return {name: ET.fromstring(book.read(name)) for name in book.namelist()}


def test_names_stay_text_in_a_whole_file_and_come_back(tmp_path):
    names = list(SHOWN)
    for n, name in enumerate(names):  # as a heading, a sheet and a title, too
        file = write_workbook(tmp_path / f"{n}.xlsx", {name: pd.DataFrame({name: names, "n": 1})}, title=name)
        whole(file)
        sheet = openpyxl.load_workbook(file).worksheets[0]
        assert {cell.data_type for row in sheet for cell in row} == {"s", "n"}
        assert not set(sheet.title) & set("[]:*?/\\\n")
        table = load_table(file)
        assert table.column_names[0] == SHOWN[name]
        assert table.column(0).to_pylist() == list(SHOWN.values())


@pytest.mark.parametrize("name", ["A" * 40_000, "😀" * 20_000, "é" * 33_000, "=" * 33_000])
def test_no_cell_holds_more_than_excel_does(tmp_path, name):
    file = write_workbook(tmp_path / "long.xlsx", {"s": pd.DataFrame({"a": [name]})})
    shown = openpyxl.load_workbook(file)["s"]["A2"].value
    assert CELL - 1 <= len(shown.encode("utf-16-le")) // 2 <= CELL
    assert name.startswith(shown)


def test_a_sheets_name_is_cut_between_characters():
    assert sheet_name("😀" * 16) == "😀" * 15
    assert sheet_name("a\tb/c\x00") == "a-b-c-u0000"


def test_no_number_is_what_no_spreadsheet_knows(tmp_path):
    odd = [Decimal("NaN"), Decimal("Infinity"), float("inf"), float("nan"), None, Decimal("1.50")]
    file = write_workbook(tmp_path / "odd.xlsx", {"s": pd.DataFrame({"a": pd.Series(odd, dtype=object), "b": 1})})
    whole(file)
    assert [row[0] for row in openpyxl.load_workbook(file)["s"].iter_rows(min_row=2, values_only=True)] == [None] * 5 + [1.5]  # fmt: skip
