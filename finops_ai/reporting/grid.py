"""Tables on a page: escaped, aligned by their decimals, rounded once, and adding up to the total below them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from finops_ai.money import minor_units, round_to_total
from finops_ai.reporting import charts
from finops_ai.reporting.text import is_unknown, named, percent, safe, title

#: column -> (heading, how its values read)
COLUMNS = {
    "cost": ("Cost", "money"),
    "list_cost": ("At list prices", "money"),
    "previous_cost": ("Month before", "money"),
    "change": ("Change", "money"),
    "requests": ("Requests", "count"),
    "tokens": ("Tokens", "count"),
    "cost_per_request": ("Per request", "unit"),
    "cost_per_1m_tokens": ("Per 1M tokens", "unit"),
    "input_cost_per_1m": ("Per 1M input", "unit"),
    "output_cost_per_1m": ("Per 1M output", "unit"),
    "cache_hit_rate": ("From cache", "percent"),
    "batch_share": ("In batch", "percent"),
    "output_input_ratio": ("Output / input", "ratio"),
    "effective_vs_list": ("Paid of list", "percent"),
    "priced": ("Priced", "percent"),
    "captured": ("Captured", "percent"),
}
#: a change is written with its sign, and is the difference of two columns as they are shown
DIFFERENCES = {"change": [("cost", "previous_cost"), ("after", "before")], "difference": [("billed", "computed")]}
#: counts from here on are written in millions, so that a column can be compared by eye
MILLIONS = 100_000_000


class Html(str):
    """A cell that is HTML already; every other cell is text and is escaped."""

    __slots__ = ()


def heading(column: str) -> tuple[str, str]:
    """How a measure is headed and read; amounts that COLUMNS doesn't name are money.

    >>> heading("tokens"), heading("not_captured")
    (('Tokens', 'count'), ('Not captured', 'money'))
    """
    return COLUMNS.get(column) or (title(column), "money")


def label(value: Any) -> str:
    """A group's name for people; a null is said, not shown as nan."""
    return "not captured" if is_unknown(value) else str(value)


def grid(
    heads: Sequence[str],
    lines: Sequence[Sequence[str]],
    *,
    caption: str,
    texts: int = 1,
    foot: Sequence[str] = (),
    id: str | None = None,
    name: str = "",
) -> str:
    """A table as HTML: the first `texts` columns are text, the rest figures; the first cell of a row heads it.

    Args:
        heads: one heading per column.
        lines: rows of cells; text is escaped here, `Html` is not.
        caption: units and what else holds for the whole table.
        texts: columns of text.
        foot: the total's row.
        id: HTML id.
        name: what screen readers call the table; the caption, if there is none.
    """

    def row(cells: Sequence[str]) -> str:
        parts = [f'<th scope="row">{_cell(cells[0])}</th>'] + [
            f"<td{' class=text' if i < texts else ''}>{_cell(cell)}</td>" for i, cell in enumerate(cells[1:], 1)
        ]
        return f"<tr>{''.join(parts)}</tr>"

    head = "".join(f'<th scope="col"{" class=text" if i < texts else ""}>{_cell(h)}</th>' for i, h in enumerate(heads))
    end = f"<tfoot>{row(foot)}</tfoot>" if foot else ""
    own = f' id="{safe(id)}"' if id else ""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{safe(name or caption)}">'
        f"<table{own}><caption>{safe(caption)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(map(row, lines))}</tbody>{end}</table></div>"
    )


def _cell(value: str) -> str:
    return value if isinstance(value, Html) else safe(value)


def table_html(
    data: Any,
    columns: Sequence[str],
    *,
    top: int = 12,
    id: str | None = None,
    links: Mapping[str, str] | None = None,
    trends: Mapping[str, Sequence[Any]] | None = None,
    whole: Mapping[str, Any] | None = None,
) -> str:
    """A table's largest rows with a total that counts all rows; the rest is one row, so nothing is hidden.

    Every row is rounded before the small ones are put together, so that a name's amount is the same however many rows
    are shown; rows add up to the total, and a change is the difference of the amounts beside it.

    Args:
        data: a `Table`; its first columns that aren't measures name the row.
        columns: measures to show, from COLUMNS.
        top: rows told apart.
        id: HTML id.
        links: name -> page, for the first column.
        trends: name -> values drawn as a small line behind the row.
        whole: the same measures of all rows together, for the total of what can't be added (unit costs, shares); its
            amounts are what the rows add up to.
    """
    columns = [c for c in columns if c in data.columns]
    measures = {*COLUMNS, *data.facts.money}
    keys = list(itertools.takewhile(lambda c: c not in measures, data.columns))
    rows = [dict(zip(data.columns, values, strict=True)) for values in data.itertuples(index=False)]
    currency = data.facts.currency
    for name in (c for c in columns if heading(c)[1] == "money"):
        _publish(rows, name, minor_units(currency or "USD"), (whole or {}).get(name))
    for name in columns:
        for one, other in DIFFERENCES.get(name, ()):
            if one in columns and other in columns:
                _difference(rows, name, one, other)
    top += len(rows) <= top + 1
    shown, rest = rows[:top], rows[top:]
    lines = [*shown, *([_added(rest, columns)] if rest else [])]
    total = {c: v for c, v in (whole or {}).items() if heading(c)[1] != "money"} | _added(rows, columns)
    names = [[label(r[k]) for k in keys] for r in shown]
    names += [[f"{len(rest):,} more", *[""] * (len(keys) - 1)]] if rest else []
    cells = {c: _column([*lines, total], c) for c in columns}
    out = []
    for i, parts in enumerate(names):
        href = (links or {}).get(parts[0]) if i < len(shown) else None
        first = Html(f'<a href="{safe(href)}">{safe(parts[0])}</a>') if href else parts[0]
        drawn = Html(charts.sparkline(trends.get(parts[0], ()))) if trends and i < len(shown) else ""
        out.append([first, *parts[1:], *(cells[c][1][i] for c in columns), *([drawn] if trends else [])])
    months = max((len(t) for t in (trends or {}).values()), default=0)
    heads = [*map(title, keys), *(cells[c][0] for c in columns), *([f"{months} months"] if trends else [])]
    foot = ["Total", *[""] * (len(keys) - 1), *(cells[c][1][-1] for c in columns), *([""] if trends else [])]
    caption = f"Amounts in {currency or 'the currency named'}" + (", all rows counted in the total" if rest else "")
    about = f"Table by {', '.join(map(named, keys)) or 'total'}"
    return grid(
        heads, out, caption=caption, texts=len(keys), foot=foot if len(rows) > 1 else (), id=id, name=about
    )  # fmt: skip


def _publish(rows: list[dict[str, Any]], name: str, places: int, total: Any = None) -> None:
    """Round an amount of all rows once, so that they add up to the rounded total, or to the total that is given."""
    known = [r for r in rows if not is_unknown(r.get(name))]
    amounts = [Decimal(r[name]) for r in known]
    if sum(map(abs, amounts), Decimal(0)) < 1 and any(amounts):
        places = 6
    if amounts and not is_unknown(total) and abs(total - sum(amounts)) <= Decimal(1).scaleb(-places):
        amounts[max(range(len(amounts)), key=lambda i: abs(amounts[i]))] += total - sum(amounts)
    for r, value in zip(known, round_to_total(amounts, places), strict=True):
        r[name] = value


def _difference(rows: list[dict[str, Any]], name: str, one: str, other: str) -> None:
    for r in rows:
        if not is_unknown(r.get(name)) and not is_unknown(r.get(one)) and not is_unknown(r.get(other)):
            r[name] = r[one] - r[other]


def _added(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> dict[str, Any]:
    """Amounts and counts of rows added up; ratios can't be added and stay open."""
    out: dict[str, Any] = {}
    for name in columns:
        if heading(name)[1] in ("money", "count"):
            values = [r[name] for r in rows if not is_unknown(r.get(name))]
            out[name] = sum(values, Decimal(0)) if values else None
    return out


def _column(rows: Sequence[Mapping[str, Any]], name: str) -> tuple[str, list[str]]:
    """A column's heading and cells, written alike from top to bottom so that their decimals stand below each other."""
    head, kind = heading(name)
    values = [r.get(name) for r in rows]
    known: list[Any] = [v for v in values if not is_unknown(v)]
    if kind == "count" and max((abs(v) for v in known), default=0) >= MILLIONS:
        return f"{head}, millions", ["–" if is_unknown(v) else _millions(v) for v in values]
    places = 2
    if kind == "unit":
        smallest = min((abs(v) for v in known if v), default=1)
        places = 2 if smallest >= 1 else 4 if smallest >= Decimal("0.001") else 6
    return head, ["–" if is_unknown(v) else read(v, kind, places, signed=name in DIFFERENCES) for v in values]


def _millions(value: Any) -> str:
    return "<0.1" if 0 < value < 50_000 else f"{float(value) / 1e6:,.1f}"


def read(value: Any, kind: str, places: int = 2, *, signed: bool = False) -> str:
    """A figure as text. Amounts keep the places they were rounded to; minus is the sign that spreadsheets take.

    >>> read(Decimal("1234.50"), "money"), read(Decimal("12"), "unit"), read(0.25, "percent"), read(1234567, "count")
    ('1,234.50', '12.00', '25.0%', '1,234,567')
    """
    if kind == "money":
        return f"{value:+,f}" if signed and value else f"{value:,f}"
    if kind == "percent":
        return percent(value)
    return format(value, f",.{ {'count': 0, 'ratio': 3}.get(kind, places) }f")
