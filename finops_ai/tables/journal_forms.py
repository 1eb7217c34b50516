"""The journal in the form a general ledger imports: columns, dates, signs, lengths and line limits are data (journal_forms.toml)."""

from __future__ import annotations

import base64
import hashlib
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd

from finops_ai.errors import CheckFailed, DataError, RuleError, hint
from finops_ai.formulas import shown, text_cell
from finops_ai.money import minor_units
from finops_ai.tables.csv import put

#: what a column may hold: fields of an entry, and of the journal it is in
HOLDS = (
    "journal", "title", "number", "line", "date", "period", "entity", "account", "cost_centre", "currency", "debit", "credit",
    "amount", "tax_code", "invoice_id", "provider", "billing_account_id", "text", "entry",
)  # fmt: skip
#: a cell is one line: imports cut files at the ends of lines, whatever is in quotes
_LINES = re.compile(r"[\t\r\n]+")
#: fields that say something to people, and are cut where a ledger has no room for them; all others are refused
CUT = ("title", "text")
#: whose amounts: in the group's currency, one journal; or in each transaction's own, a journal per currency
AMOUNTS = {"group": ("currency", "debit", "credit"), "transaction": ("transaction_currency", "transaction_debit", "transaction_credit")}  # fmt: skip


@dataclass(frozen=True)
class Column:
    """A column of a form: what it holds, or fixed text (where another field isn't empty: `beside`)."""

    name: str
    holds: str = ""
    text: str = ""
    beside: str = ""
    most: int = 0
    required: bool = False


@dataclass(frozen=True)
class Form:
    """A ledger's form (see journal_forms.toml)."""

    name: str
    title: str
    source: str
    date: str
    per: tuple[str, ...]
    columns: tuple[Column, ...]
    header: tuple[Column, ...] = ()
    lines: int = 0
    digits: int = 0
    decimals: int = 0
    alone: bool = False
    defaults: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Journal:
    """One journal of a form: its lines balance."""

    number: str
    lines: tuple[Mapping[str, Any], ...]


@cache
def forms() -> Mapping[str, Form]:
    """The known forms by name.

    >>> sorted(forms())
    ['netsuite', 'neutral', 'quickbooks', 'sap', 'xero']
    """
    text = resources.files("finops_ai.tables").joinpath("journal_forms.toml").read_text("utf-8")
    out = {}
    for name, table in tomllib.loads(text).items():
        columns, header = (tuple(Column(**c) for c in table.pop(key, ())) for key in ("columns", "header"))
        out[name] = Form(name=name, per=tuple(table.pop("per")), columns=columns, header=header, **table)
    return out


def form_of(name: str) -> Form:
    """A form by its name.

    Raises:
        RuleError: there is none.
    """
    if name not in forms():
        raise RuleError(f"No journal form called {name!r}. {hint(name, forms())}")
    return forms()[name]


def journals(
    entries: pd.DataFrame,
    name: str,
    *,
    amounts: str = "group",
    cost_centres: Mapping[str, str] | None = None,
    short_numbers: bool = False,
) -> list[Journal]:
    """The entries as journals of a form: one per legal entity and currency, cut into several where a ledger's limit is reached.

    A journal that is cut has entries of which a part is in the next: each of them balances, and together they are the entries.
    Its number is made of its content: the same entries have the same number, so that a ledger sees what it has already.

    Args:
        entries: the journal, as `Posting.entries` or `Chargeback.journal()` give it.
        name: of a form.
        amounts: "group" for the currency of the charges, "transaction" for a journal per transaction currency; entries without
            an amount in it, such as exchange differences, are no part of these.
        cost_centres: what the ledger calls a receiver, where that isn't its name.
        short_numbers: for a month whose journals were numbered with six digits (`Posting.short_numbers`), and keep these.

    Raises:
        RuleError: no form of that name.
        CheckFailed: the entries don't balance.
    """
    form = form_of(name)
    if amounts not in AMOUNTS:
        raise RuleError(f"No amounts called {amounts!r}. {hint(amounts, AMOUNTS)}")
    currency, debit, credit = AMOUNTS[amounts]
    frame = pd.DataFrame(entries).astype(object)
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in frame.where(frame.notna(), "").to_dict("records"):
        amount = Decimal(row[debit] or 0) - Decimal(row[credit] or 0)
        line = {key: row.get(key, "") for key in HOLDS if key in row} | {"currency": row[currency], "amount": amount}
        if cost_centres and line.get("cost_centre") in cost_centres:
            line["cost_centre"] = cost_centres[line["cost_centre"]]
        if amount:
            groups.setdefault(tuple(str(line.get(k, "")) for k in form.per), []).append(line)
    out = []
    for lines in groups.values():
        for part in _cut(lines, form.lines):
            out.append(Journal(_number(part, short_numbers), tuple(part)))
    return out


def _number(lines: Sequence[Mapping[str, Any]], short: bool) -> str:
    """A journal's number, made of all its lines say: 45 bits of it in the 16 characters that the narrowest ledger has room for."""
    told = repr([sorted((k, str(v)) for k, v in line.items()) for line in lines])
    month, digest = str(lines[0]["period"]).replace("-", ""), hashlib.sha256(told.encode())
    if short:
        return f"AI-{month}-{digest.hexdigest()[:6]}"
    return f"AI{month[2:]}-{base64.b32encode(digest.digest()).decode()[:9]}"


def _cut(lines: Sequence[dict[str, Any]], most: int) -> Iterator[list[dict[str, Any]]]:
    """Lines in pieces of at most `most` that balance: debits are matched with credits in order, a line is divided where it must."""
    if sum((line["amount"] for line in lines), Decimal(0)):
        raise CheckFailed(
            f"The entries of {lines[0]['period']} in {lines[0]['currency']} don't balance, so no ledger takes them."
        )
    if not most or len(lines) <= most:
        yield list(lines)
        return
    sides = [[i for i, line in enumerate(lines) if (line["amount"] > 0) == debit] for debit in (True, False)]
    left, piece = [abs(line["amount"]) for line in lines], dict[int, Decimal]()
    while sides[0] and sides[1]:
        one, two = sides[0][0], sides[1][0]
        if len({*piece, one, two}) > most:
            yield [lines[i] | {"amount": amount} for i, amount in sorted(piece.items())]
            piece = {}
        moved = min(left[one], left[two])
        for place, sign, side in ((one, 1, sides[0]), (two, -1, sides[1])):
            piece[place] = piece.get(place, Decimal(0)) + sign * moved
            left[place] -= moved
            if not left[place]:
                side.pop(0)
    yield [lines[i] | {"amount": amount} for i, amount in sorted(piece.items())]


def write_form(
    entries: pd.DataFrame,
    name: str,
    folder: str | Path,
    *,
    amounts: str = "group",
    cost_centres: Mapping[str, str] | None = None,
    short_numbers: bool = False,
) -> list[Path]:
    """Write the entries as CSV files of a form (see `journals`); returns the files.

    Raises:
        DataError: an entry that the ledger wouldn't take: a column that may not be empty, or too long an account; names it.
    """
    form, place = form_of(name), Path(folder)
    made = journals(entries, name, amounts=amounts, cost_centres=cost_centres, short_numbers=short_numbers)
    texts = [_text(form, [one]) for one in made] if form.alone else [_text(form, made)] if made else []
    place.mkdir(parents=True, exist_ok=True)
    names = [f"{name}-{one.number}.csv" for one in made] if form.alone else [f"{name}.csv"]
    return [put(text, place / file) for file, text in zip(names, texts, strict=False)]


def _text(form: Form, made: Sequence[Journal]) -> str:
    """Journals as the text of a file: a header and its items each where the form has a header, else one table."""
    rows: list[list[str]] = [] if form.header else [[c.name for c in form.columns]]
    for one in made:
        if form.header:
            rows += [["Header"], [c.name for c in form.header], _cells(form, form.header, one, 1, one.lines[0])]
            rows += [["Line Items"], [c.name for c in form.columns]]
        rows += [_cells(form, form.columns, one, number, line) for number, line in enumerate(one.lines, 1)]
        rows += [[]] if form.header else []
    return "".join(",".join(map(text_cell, row)) + "\n" for row in rows)


def _cells(form: Form, columns: Sequence[Column], one: Journal, number: int, line: Mapping[str, Any]) -> list[str]:
    places, amount = minor_units(str(line["currency"])), Decimal(line["amount"])
    fields = {key: str(value) for key, value in line.items()} | {
        "journal": one.number, "number": one.number, "line": str(number), "title": f"AI cost {line['period']}",
        "date": line["date"].strftime(form.date), "amount": f"{amount:.{places}f}",
        "debit": f"{amount:.{places}f}" if amount > 0 else "", "credit": f"{-amount:.{places}f}" if amount < 0 else "",
    }  # fmt: skip
    if form.digits and len(f"{abs(amount):.0f}") > form.digits:
        raise DataError(f"{form.title}: {amount} of entry {line['entry']} has more than {form.digits} digits.")
    if form.decimals and places > form.decimals:
        raise DataError(
            f"{form.title}: it takes {form.decimals} decimals, and {line['currency']} has {places}. Export the group's amounts instead."
        )
    out = []
    for column in columns:
        value = (
            _LINES.sub(" ", fields.get(column.holds, "")) or form.defaults.get(column.holds, "")
            if column.holds
            else column.text
        )
        if column.beside and not fields.get(column.beside):
            value = ""
        if column.most and column.holds in CUT:
            value = _fitting(value, column.most)
        if column.required and not value:
            raise DataError(
                f"{form.title}: entry {line['entry']} has nothing for {column.name!r}; set it in [journal]."
            )
        if column.most and len(shown(value)) > column.most:
            raise DataError(
                f"{form.title}: {column.name} {value!r} of entry {line['entry']} is longer than {column.most} characters; "
                f"give another one in [journal{'.cost_centres' if column.holds == 'cost_centre' else ''}]."
            )
        out.append(value)
    return out


def _fitting(text: str, most: int) -> str:
    """As much of a text as a cell of so many characters shows."""
    while len(shown(text)) > most:
        text = text[: min(len(text) - 1, most)]
    return text
