"""Tables on a page: escaped, aligned by their decimals, rounded once, and adding up to the total below them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from finops_ai.figures import catalogue, ingredients
from finops_ai.html import Html, render, template_of
from finops_ai.reporting import charts
from finops_ai.reporting.text import is_unknown, named, percent, title

if TYPE_CHECKING:
    from finops_ai.tables.result import Table

#: columns whose amounts are written with their sign
DIFFERENCES = {"change", "difference"}
#: kinds of figures that are divided out of others, which then stand beside them
_MADE = ("rate", "share", "ratio")
#: counts from here on are written in millions, so that a column can be compared by eye
MILLIONS = 100_000_000


def heading(column: str) -> tuple[str, str]:
    """How a measure is headed and what kind it is, as the catalogue says; what it doesn't name is money.

    >>> heading("tokens"), heading("not_captured")
    (('Tokens', 'count'), ('Not captured', 'money'))
    """
    one = catalogue().get(column)
    return (one.label, one.kind) if one else (title(column), "money")


def label(value: object) -> str:
    """A group's name for people; a null is said, not shown as nan."""
    return "not captured" if is_unknown(value) else str(value)


def grid(
    heads: Sequence[str],
    lines: Sequence[Sequence[str]],
    *,
    caption: str,
    texts: int | Iterable[int] = 1,
    foot: Sequence[str] = (),
    id: str | None = None,
    name: str = "",
    apart: Iterable[int] = (),
) -> Html:
    """A table as HTML: columns of text to the left, figures to the right; the first cell of a row heads it.

    Args:
        heads: one heading per column.
        lines: rows of cells; text is escaped here, `Html` is not.
        caption: units and what else holds for the whole table.
        texts: how many columns are text, or which, counted from 0.
        foot: the total's row.
        id: HTML id.
        name: what screen readers call the table; the caption, if there is none.
        apart: numbers of the lines that stand apart from the others, such as cost that nobody owns.
    """

    return render(
        "report/grid.html.j2", heads=heads, lines=lines, foot=foot, caption=caption, id=id, name=name or caption,
        apart=set(apart), texts=set(range(texts) if isinstance(texts, int) else texts),
    )  # fmt: skip


def table_html(
    data: Table,
    columns: Sequence[str],
    *,
    top: int = 12,
    id: str | None = None,
    links: Mapping[str, str] | None = None,
    trends: Mapping[str, Sequence[Any]] | None = None,
    whole: Mapping[str, Any] | None = None,
    apart: Mapping[str, str] | None = None,
    period: str = "",
    called: Mapping[str, str] | None = None,
) -> Html:
    """A table's largest rows with a total that counts all rows; the rest is one row, so nothing is hidden.

    Amounts are the table's published ones, so that a name's amount is the same however many rows are shown and rows add
    up to the total. Beside a unit cost or a share stand the figures it is made of.

    Args:
        data: a `Table`; its first columns that aren't measures name the row.
        columns: measures to show.
        top: rows told apart.
        id: HTML id.
        links: name -> page, for the first column.
        trends: name -> values drawn as a small line behind the row.
        whole: the same measures of all rows together, for the total of what can't be added (unit costs, shares).
        apart: names of the first column that are no owner -> what they are called; their lines come last.
        period: which days it is of, where the page is about others too.
        called: measure -> its heading, where it is of other days than the same one beside it.
    """
    moneys = _other_moneys(data) if "cost" in columns else []
    columns = _with_ingredients(data, columns)
    at = max((columns.index(c) + 1 for c in ("cost", "previous_cost", "change") if c in columns), default=0)
    columns[at:at] = [name for name in moneys if name not in columns]
    measures = {*catalogue(), *data.facts.money}
    keys = list(itertools.takewhile(lambda c: c not in measures, data.columns))
    shown = data.published()
    records: list[dict[str, Any]] = [dict(zip(shown.columns, v, strict=True)) for v in shown.itertuples(index=False)]
    nobody = [r for r in records if keys and apart and _owner(r[keys[0]]) in apart]
    rows = [r for r in records if not any(r is n for n in nobody)]
    currency = data.facts.currency
    top += len(rows) <= top + 1
    first, rest = rows[:top], rows[top:]
    lines = [*first, *([_added(rest, columns)] if rest else []), *nobody]
    total = {c: v for c, v in (whole or {}).items() if not _adds_up(c)} | _added(records, columns)
    names = [[label(r[k]) for k in keys] for r in first]
    names += [[f"{len(rest):,} more", *[""] * (len(keys) - 1)]] if rest else []
    words = apart or {}
    names += [[words[_owner(r[keys[0]])], *(label(r[k]) for k in keys[1:])] for r in nobody]
    cells = {c: column([*lines, total], c) for c in columns}
    months = max((len(t) for t in (trends or {}).values()), default=0)
    trends = trends if months > 1 else None  # one point is no way
    out = []
    for i, parts in enumerate(names):
        raw = (
            parts[0]
            if i < len(first)
            else label(nobody[i - len(names) + len(nobody)][keys[0]])
            if i >= len(names) - len(nobody)
            else None
        )
        href = (links or {}).get(raw) if raw is not None and keys else None
        head = render(ANCHOR, href=href, text=parts[0]) if href else parts[0] if parts else "Total"
        drawn = Html(charts.sparkline(trends.get(raw, ()))) if trends and raw is not None else ""
        out.append([head, *parts[1:], *(cells[c][1][i] for c in columns), *([drawn] if trends else [])])
    heads = [*map(title, keys or [""]), *((called or {}).get(c, cells[c][0]) for c in columns)]
    heads += [f"{months} months"] if trends else []
    foot = ["Total", *[""] * (len(keys) - 1), *(cells[c][1][-1] for c in columns), *([""] if trends else [])]
    caption = (
        f"Amounts in {currency or 'the currency named'}"
        + (f", {period}" if period else "")
        + (", all rows counted in the total" if rest else "")
    )
    caption += (
        f"; {' and '.join(heading(c)[0].lower() for c in moneys)}: no cash, no part of the cost" if moneys else ""
    )
    about = f"Table by {', '.join(map(named, keys)) or 'total'}"
    return grid(
        heads, out, caption=caption, texts=max(len(keys), 1), foot=foot if len(records) > 1 else (), id=id, name=about,
        apart=range(len(names) - len(nobody), len(names)),
    )  # fmt: skip


def _other_moneys(data: Table) -> list[str]:
    """Moneys that stand beside the cost and are no part of it, where there are any: a cost of 0 is then no riddle."""
    names = ("included_cost", "list_value")
    return [name for name in names if name in data.columns and any(not is_unknown(v) and v for v in data[name])]


ANCHOR = template_of('<a href="{{ href|href }}">{{ text }}</a>')


def _owner(value: object) -> str:
    return label(value)


def _with_ingredients(data: Table, columns: Sequence[str]) -> list[str]:
    """The columns a table has, with what its unit costs and shares are made of before each, where that tells more."""
    out: list[str] = []
    for name in (c for c in columns if c in data.columns):
        kind = heading(name)[1]
        for part in ingredients(name) if kind in _MADE else ():
            known = part in data.columns and part not in columns and part not in out
            if known and not any(_same(data, part, other) for other in (*out, *columns) if other in data.columns):
                out.append(part)
        out.append(name)
    return out


def _same(data: Table, one: str, other: str) -> bool:
    """Whether a part and its whole say the same in every row, as priced tokens and all tokens mostly do.

    Columns of other things are never the same, however equal their figures are.
    """
    return (other == _whole(one) or one == _whole(other)) and bool(data[one].equals(data[other]))


def _whole(part: str) -> str:
    """What a measure is a part of, so that it says something only where it is less."""
    named = {"token_cost": "cost", "listed_tokens": "tokens"}
    return named.get(part) or re.sub("^(priced|counted|comparable)_", "", part)


def _adds_up(name: str) -> bool:
    return heading(name)[1] in ("money", "count") and name not in ("users",)


def _added(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> dict[str, Any]:
    """Amounts and counts of rows added up; ratios can't be added and stay open."""
    out: dict[str, Any] = {}
    for name in columns:
        if _adds_up(name):
            values = [r[name] for r in rows if not is_unknown(r.get(name))]
            out[name] = sum(values, Decimal(0)) if values else None
            sides = catalogue()[name].minus if name in catalogue() else ()
            if any(is_unknown(r.get(name)) and not all(is_unknown(r.get(s)) for s in sides) for r in rows if sides):
                out[name] = None  # of a row one side is known only: what is left of the difference isn't all of it
    return out


def column(rows: Sequence[Mapping[str, Any]], name: str) -> tuple[str, list[str]]:
    """A column's heading and cells, written alike from top to bottom so that their decimals stand below each other."""
    head, kind = heading(name)
    values = [r.get(name) for r in rows]
    known: list[Any] = [v for v in values if not is_unknown(v)]
    if kind == "count" and max((abs(v) for v in known), default=0) >= MILLIONS:
        return f"{head}, millions", ["–" if is_unknown(v) else _millions(v) for v in values]
    places = 2
    if kind == "rate":
        smallest = min((abs(v) for v in known if v), default=1)
        places = (
            2 if smallest >= 1 else 4 if smallest >= Decimal("0.001") else 6 if smallest >= Decimal("0.00001") else 9
        )
    return head, ["–" if is_unknown(v) else read(v, kind, places, signed=name in DIFFERENCES) for v in values]


def _millions(value: Decimal | float) -> str:
    return "<0.1" if 0 < value < 50_000 else f"{float(value) / 1e6:,.1f}"


def read(value: object, kind: str, places: int = 2, *, signed: bool = False) -> str:
    """A figure as text. Amounts keep the places they were rounded to; minus is the sign that spreadsheets take.

    >>> read(Decimal("1234.50"), "money"), read(Decimal("12"), "rate"), read(0.25, "share"), read(1234567, "count")
    ('1,234.50', '12.00', '25.0%', '1,234,567')
    """
    if kind == "money":
        return f"{value:+,f}" if signed and value else f"{value:,f}"
    if kind == "share":
        return percent(value)
    return format(value, f",.{ {'count': 0, 'days': 0, 'ratio': 3}.get(kind, places) }f")
