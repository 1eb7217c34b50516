"""What a report notebook says: the answer in a sentence, tables that fit a page, coverage. All text is escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from IPython.display import HTML, display

from finops_ai.money import minor_units, round_to_total
from finops_ai.reporting.charts import sparkline
from finops_ai.reporting.text import amount, count, is_unknown, percent, safe

#: column -> (heading, how its values read)
COLUMNS = {
    "cost": ("Cost", "money"),
    "list_cost": ("At list prices", "money"),
    "previous_cost": ("Month before", "money"),
    "change": ("Change", "money"),
    "requests": ("Requests", "count"),
    "tokens": ("Tokens", "count"),
    "cost_per_request": ("per request", "unit"),
    "cost_per_1m_tokens": ("per 1M tokens", "unit"),
    "input_cost_per_1m": ("per 1M input", "unit"),
    "output_cost_per_1m": ("per 1M output", "unit"),
    "cache_hit_rate": ("From cache", "percent"),
    "batch_share": ("In batch", "percent"),
    "output_input_ratio": ("Output / input", "ratio"),
    "effective_vs_list": ("Paid of list", "percent"),
    "priced": ("Priced", "percent"),
}


def say(*sentences: str) -> None:
    """The page's answer: HTML sentences whose outside text is already escaped."""
    display(HTML(f'<p class="answer">{" ".join(sentences)}</p>'))


def note(text: str) -> None:
    """A remark in small print; the text is escaped here."""
    display(HTML(f'<p class="note">{safe(text)}</p>'))


def first_dimension(ws: Any) -> str:
    """The first dimension of the workspace's rules; without rules the model."""
    names = list(ws.rules.dimensions)
    return names[0] if names else "model"


def named(column: str) -> str:
    """A column as people read it.

    >>> named("prompt_id"), named("cost_centre"), named("tags.env")
    ('prompt', 'cost centre', 'env')
    """
    known = {
        "prompt_id": "prompt",
        "user_id": "user",
        "api_key_id": "API key",
        "sub_account_name": "project",
        "service_tier": "tier",
    }
    return known.get(column, column.removeprefix("tags.").replace("_", " "))


def month_text(month: str) -> str:
    """A month as people read it.

    >>> month_text("2026-10")
    'October 2026'
    """
    names = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ]
    year, number = month.split("-")
    return f"{names[int(number) - 1]} {year}"


def label(value: Any) -> str:
    """A group's name for people; a null is said, not shown as nan."""
    return "not captured" if is_unknown(value) else str(value)


def showback_sentence(table: Any, by: str, month: str) -> None:
    """Say total, change and the largest group in one sentence."""
    say(showback_words(table, by, month))


def showback_words(table: Any, by: str, month: str) -> str:
    """Total, change and the largest group in one sentence of HTML."""
    total = sum((c for c in table["cost"] if not is_unknown(c)), Decimal(0))
    before = [c for c in table["previous_cost"] if not is_unknown(c)] if "previous_cost" in table else []
    currency = table.facts.currency or "several currencies"
    text = f"{safe(month_text(month))} cost <strong>{amount(total, currency)}</strong>"
    if before:
        earlier = sum(before, Decimal(0))
        word = "more" if total >= earlier else "less"
        text += f", {amount(abs(total - earlier), currency)} ({percent(abs(total - earlier), earlier)}) {word} than the month before"
    if len(table) and total:
        first = table.iloc[0]
        text += f"; {safe(label(first[by]))} is the largest {safe(named(by))} with {percent(first['cost'], total)}"
    return text + "."


def table(data: Any, columns: Sequence[str], *, top: int = 12, id: str | None = None) -> None:
    """Show a table's largest rows with a total that counts all rows (see `table_html`)."""
    display(HTML(table_html(data, columns, top=top, id=id)))


def table_html(
    data: Any,
    columns: Sequence[str],
    *,
    top: int = 12,
    id: str | None = None,
    links: Mapping[str, str] | None = None,
    trends: Mapping[str, Sequence[Any]] | None = None,
) -> str:
    """A table's largest rows with a total that counts all rows; the rest is one row, so nothing is hidden.

    Args:
        data: a `Table`; its first columns that aren't measures name the row.
        columns: measures to show, from COLUMNS.
        top: rows told apart.
        id: HTML id.
        links: name -> page, for the first column.
        trends: name -> values drawn as a small line behind the row.
    """
    columns = [c for c in columns if c in data.columns]
    keys = list(data.columns[: list(data.columns).index("cost")])
    currency = data.facts.currency
    places = minor_units(currency or "USD")
    rows = [dict(zip(data.columns, values, strict=True)) for values in data.itertuples(index=False)]
    if len(rows) <= top + 1:
        top += 1
    shown, rest = rows[:top], rows[top:]
    lines = [([label(r[k]) for k in keys], r) for r in shown]
    if rest:
        lines.append(([f"{len(rest):,} more"] + [""] * (len(keys) - 1), _added(rest, columns)))
    total = _added(rows, columns)
    for name in columns:
        if COLUMNS[name][1] == "money":
            _publish([r for _, r in lines], total, name, places)
    head = "".join(f'<th scope="col" class="text">{safe(named(k))}</th>' for k in keys)
    head += "".join(f'<th scope="col">{safe(COLUMNS[c][0])}</th>' for c in columns)
    head += '<th scope="col" class="text">Trend</th>' if trends else ""

    def line(names: list[str], row: dict[str, Any], extra: bool = False) -> str:
        trend = f"<td>{sparkline(trends[names[0]]) if extra and names[0] in trends else ''}</td>" if trends else ""
        return _line(names, row, columns, (links or {}).get(names[0]) if extra else None, trend)

    body = "".join(line(names, r, extra=i < len(shown)) for i, (names, r) in enumerate(lines))
    foot = line(["Total"] + [""] * (len(keys) - 1), total) if len(rows) > 1 else ""
    caption = f"Amounts in {safe(currency or 'the currency named')}" + (
        ", all rows counted in the total" if rest else ""
    )
    opening = f'<table id="{safe(id)}">' if id else "<table>"
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="Table by {safe(", ".join(map(named, keys)) or "total")}">'
        f"{opening}<caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody><tfoot>{foot}</tfoot></table></div>"
    )


def figures(*items: tuple[str, str, str]) -> str:
    """Key figures as a row of cards: (what, figure, remark), all escaped here."""
    cards = "".join(
        f"<div><dt>{safe(what)}</dt><dd>{safe(figure)}</dd>{f'<dd class=note>{safe(remark)}</dd>' if remark else ''}</div>"
        for what, figure, remark in items
    )
    return f'<dl class="figures">{cards}</dl>'


def _publish(rows: list[dict[str, Any]], total: dict[str, Any], name: str, places: int) -> None:
    """Round a money column once, so that the shown rows add up to the shown total."""
    known = [r for r in rows if not is_unknown(r.get(name))]
    amounts = [Decimal(r[name]) for r in known]
    if sum(map(abs, amounts), Decimal(0)) < 1 and any(amounts):
        places = 6
    for r, value in zip(known, round_to_total(amounts, places), strict=True):
        r[name] = value
    if known:
        total[name] = sum((r[name] for r in known), Decimal(0))


def _added(rows: list[dict[str, Any]], columns: Sequence[str]) -> dict[str, Any]:
    """Amounts and counts of rows added up; ratios can't be added and stay open."""
    out: dict[str, Any] = {}
    for name in columns:
        if COLUMNS[name][1] in ("money", "count"):
            values = [r[name] for r in rows if not is_unknown(r.get(name))]
            out[name] = sum(values, Decimal(0)) if values else None
    return out


def _line(names: list[str], row: dict[str, Any], columns: Sequence[str], link: str | None, trend: str) -> str:
    first = f'<a href="{safe(link)}">{safe(names[0])}</a>' if link else safe(names[0])
    cells = f'<th scope="row">{first}</th>' + "".join(f'<td class="text">{safe(n)}</td>' for n in names[1:])
    return f"<tr>{cells}{''.join(f'<td>{_read(row.get(c), COLUMNS[c][1], c)}</td>' for c in columns)}{trend}</tr>"


def _read(value: Any, kind: str, name: str) -> str:
    if is_unknown(value):
        return "–"
    if kind == "money":
        sign = "+" if name == "change" and value > 0 else ""
        return f"{sign}{value:,f}"
    if kind == "count":
        return count(value)
    if kind == "percent":
        return percent(value)
    if kind == "ratio":
        return f"{value:.3f}"
    return f"{value:,.2f}" if abs(value) >= 1 else f"{value:.4f}"


def coverage(data: Any, ws: Any, month: str) -> None:
    """Show what the figures cover and how fresh they are."""
    display(HTML(coverage_html(data, ws)))


def coverage_html(data: Any, ws: Any) -> str:
    """What the figures cover and how fresh they are, as a list."""
    items = [
        f"{name.capitalize()}: {'unknown' if v is None else percent(v)}" for name, v in data.facts.coverage.items()
    ]
    items += list(data.facts.notes)
    fresh = ws.lake.freshness()
    items += [
        f"{row.connection}: data from {row.first:%Y-%m-%d} up to {row.last:%Y-%m-%d %H:%M} UTC"
        for row in fresh.itertuples()
    ]
    items.append(f"Days of {ws.timezone}. Price book {ws.book.version}. Data {ws.digest()}.")
    return "<ul>" + "".join(f"<li>{safe(item)}</li>" for item in items) + "</ul>"


def daily_alt(daily: Any, by: str) -> str:
    """Alternative text of a chart of cost per day."""
    costs = daily.assign(cost=daily["cost"].astype(float)).groupby("day")["cost"].sum()
    if costs.empty:
        return "No cost in this period."
    peak = costs.idxmax()
    return (
        f"Stacked columns of cost per day by {named(by)}, {len(costs)} days, mean {costs.mean():,.0f}, "
        f"highest {costs.max():,.0f} on {peak}. The figures are in the table below."
    )


def ranked_alt(data: Any, name: str) -> str:
    """Alternative text of ranked bars."""
    rows = [
        f"{label(n)} {0 if is_unknown(c) else float(c):,.0f}"
        for n, c in zip(data[name].head(3), data["cost"].head(3), strict=True)
    ]
    return f"Bars of cost by {named(name)}, largest first: {'; '.join(rows)}. The figures are in the table below."
