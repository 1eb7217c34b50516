"""Rows of a table that are no usage: totals it states itself, its header written again, remarks, blank rows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

#: how a row of totals calls itself, in several languages
TOTAL = re.compile(
    r"(?i)\W*(?:grand|sub|zwischen|end|overall|gesamt|column)?[ -]?"
    r"(?:totals?|totalt|totales?|totali|totaal|totaux|summen?|summa|sum|gesamt|insgesamt|somme|somma|suma|soma|razem|łącznie|ogółem|celkem|"
    r"összesen|yhteensä|toplam|всего|итого|итог|усього|合計|小計|総計|总计|合计|小计|總計|합계|총계|averages?|mean|durchschnitt|mittelwert|moyenne|"
    r"promedio|gemiddelde?)\b.*"
)


def not_usage(table: pa.Table, times: Sequence[str], model: str | None) -> tuple[np.ndarray, dict[str, list[int]]]:
    """Which rows are usage, and the numbers (from 0) of the others by what they are: `total`, `header`, `remark`, `blank`.

    A row is told to be none by its time: it has none, or a word for totals, or the name of its column; and its model is
    then missing, too, or such a word. A remark has words in the place of the time and nothing else.

    Args:
        table: the columns that are read.
        times: columns of the time.
        model: the column of the model, if there is one.
    """
    odd: Any = None
    for name in times:
        values = table[name]
        if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
            text = pc.utf8_trim_whitespace(values)
            here = pc.or_(
                pc.fill_null(pc.equal(text, ""), True),
                pc.fill_null(pc.invert(pc.match_substring_regex(text, r"\d")), True),
            )
            if pc.any(begun := pc.fill_null(pc.match_substring_regex(text, r"^\W*\pL"), False)).as_py():
                if len(others := [n for n in table.column_names if n not in times]) > 1:
                    alone = [
                        pc.equal(pc.utf8_trim_whitespace(pc.fill_null(table[n].cast(pa.string()), "")), "")
                        for n in others
                    ]
                    here = pc.or_(here, pc.and_(begun, reduce(pc.and_, alone)))
                words = pc.match_substring_regex(text, f"^(?:{TOTAL.pattern})$")
                here = pc.or_(here, pc.and_(begun, pc.fill_null(words, False)))
        else:
            here = values.is_null()
        odd = here if odd is None else pc.or_(odd, here)
    keep = np.ones(table.num_rows, bool)
    found: dict[str, list[int]] = {"total": [], "header": [], "remark": [], "blank": []}
    if odd is None or not pc.any(odd).as_py():
        return keep, found
    at = np.flatnonzero(odd.to_numpy())
    for number, row in zip(at, table.take(pa.array(at)).to_pylist(), strict=True):
        kind = _kind(row, times, model)
        if kind:
            keep[number] = False
            found[kind].append(int(number))
    return keep, found


def _kind(row: Mapping[str, Any], times: Sequence[str], model: str | None) -> str | None:
    said = {name: "" if value is None else str(value).strip() for name, value in row.items()}
    if not any(said.values()):
        return "blank"
    if all(said[name] in ("", name) for name in said) and any(said[name] == name for name in times):
        return "header"
    words = [said[name] for name in times] + ([said[model]] if model in said else [])
    if all(not word or TOTAL.fullmatch(word) for word in words):
        return "total"
    others = [value for name, value in said.items() if name not in times]
    return "remark" if len(others) > 1 and not any(others) and re.search(r"[^\W\d_]", said[times[0]]) else None


def told(
    table: pa.Table, found: Mapping[str, list[int]], counts: Mapping[str, Sequence[Decimal | None]], name: str
) -> list[str]:
    """What was left out of a file, a sentence each; of a total, whether it agrees with the rows above it.

    Args:
        table: the whole table.
        found: numbers of the rows left out, by what they are.
        counts: column -> its numbers in every row, None where it has none.
        name: the file's name.
    """
    notes = []
    if headers := found["header"]:
        notes.append(f"{name}: its header stands in it {len(headers) + 1} times; counted as one table.")
    if remarks := found["remark"]:
        notes.append(
            f"{name}: {len(remarks)} {'row is a remark' if len(remarks) == 1 else 'rows are remarks'} without model and counts, left out."
        )
    outside = {n for numbers in found.values() for n in numbers}
    for number in found["total"]:
        parts = []
        agrees = True
        for column, values in counts.items():
            stated = values[number]
            if stated is None:
                continue
            rows = sum((v for n, v in enumerate(values) if n not in outside and v is not None), Decimal(0))
            agrees &= stated == rows
            parts.append(
                f"{column} {stated.normalize():,f}"
                + ("" if stated == rows else f" where the rows add up to {rows.normalize():,f}")
            )
        what = "which is what the rows add up to" if agrees else "a part, or rows are missing"
        notes.append(
            f"{name}, row {number + 1}: a total, left out ({', '.join(parts)}: {what})."
            if parts
            else f"{name}, row {number + 1}: a total, left out."
        )
        if len(notes) > 6:
            notes.append(f"{name}: {len(found['total'])} rows of totals are left out.")
            break
    return notes
