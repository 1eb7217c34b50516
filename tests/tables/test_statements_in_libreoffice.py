"""Statements as a spreadsheet program reads them: numbers are numbers, names are text, nothing is a formula."""

from __future__ import annotations

import shutil
import subprocess
import xml.etree.ElementTree as ET
from decimal import Decimal

import pytest

import finops_ai as fa

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("soffice") is None, reason="needs LibreOffice (soffice), which isn't installed"),
]
OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
HOSTILE = [
    '=HYPERLINK("http://x","y")',
    "=1+1",
    "+1+1",
    "-1+1",
    "@SUM(1)",
    "'quoted'",
    "</x>",
    "bell\x07",
    "2026-10-01",
    "1e5",
]
RULES = {"dimensions": {"team": {}}, "rules": [{"name": "person", "set": {"team": "{user_id}"}}]}


def opened(path, folder):
    """Sheet name to rows of (type, value) as LibreOffice has them; formulas come as type "formula"."""
    command = ["soffice", f"-env:UserInstallation=file://{folder}/profile", "--headless", "--convert-to", "fods"]
    subprocess.run([*command, "--outdir", str(folder), str(path)], check=True, capture_output=True, timeout=180)
    sheets = {}
    for sheet in ET.parse(folder / f"{path.stem}.fods").iter(f"{TABLE}table"):
        rows = []
        for row in sheet.iter(f"{TABLE}table-row"):
            cells = []
            for cell in row.iter(f"{TABLE}table-cell"):
                kind = cell.get(f"{OFFICE}value-type")
                text = "".join(cell.itertext()).strip()
                value = Decimal(cell.get(f"{OFFICE}value")) if kind == "float" else text
                if kind:
                    shown = ("formula" if cell.get(f"{TABLE}formula") else kind, value)
                    cells += [shown] * int(cell.get(f"{TABLE}number-columns-repeated", 1))
            if cells:
                rows.append(cells)
        sheets[sheet.get(f"{TABLE}name")] = rows
    return sheets


def test_statements_and_journal_open_with_numbers_and_text(tokens_of, book, tmp_path):
    tokens = tokens_of([{"user_id": name, "quantity": 1_000_000 + i} for i, name in enumerate(HOSTILE)])
    rows = fa.allocate(fa.price(tokens, book), RULES)
    made = fa.chargeback(rows, {"dimension": "team"}, month="2026-10", book=book)
    made.write(tmp_path)
    sheets = opened(tmp_path / "statements.xlsx", tmp_path)
    cells = [cell for rows in sheets.values() for row in rows for cell in row]
    assert {kind for kind, _ in cells} == {"float", "string"}
    names = [row[0][1] for row in sheets["Summary"][1:]]
    assert sorted(names) == sorted(name.replace("\x07", "\\u0007") for name in HOSTILE)
    charge = [cell[1] for cell in sheets["Summary"][0]].index("charge")
    # ten teams of about 1,000,000 tokens at 0.90 per million
    assert sum(row[charge][1] for row in sheets["Summary"][1:]) == Decimal("9.00")
    one = sheets[next(name for name in sheets if name.startswith("1 "))]
    assert [value for _, value in one[0]] == ["kind", "text", "quantity", "unit", "rate", "amount"]
    assert [kind for kind, _ in one[1]] == ["string", "string", "float", "string", "float", "float"]
    assert one[-1] == [("string", "total"), ("float", Decimal("0.9"))]
    journal = opened(tmp_path / "journal.xlsx", tmp_path)["Journal"]
    assert {kind for row in journal for kind, _ in row} == {"float", "string", "date"}
    heads = [value for _, value in journal[0]]
    assert "debit" in heads
