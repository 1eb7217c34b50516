"""What a report notebook says: the answer in a sentence, tables that fit a page, coverage. All text is escaped."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from IPython.display import HTML, display

from finops_ai.money import minor_units, round_to_total
from finops_ai.periods import Window, parse_month, previous_month
from finops_ai.reporting import charts
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
    "captured": ("Captured", "percent"),
}


#: amounts that are changes: written with their sign
SIGNED = ("change", "difference")


def heading(column: str) -> tuple[str, str]:
    """How a measure is headed and read; amounts that COLUMNS doesn't name are money.

    >>> heading("tokens"), heading("not_captured")
    (('Tokens', 'count'), ('Not captured', 'money'))
    """
    return COLUMNS.get(column) or (column.replace("_", " ").capitalize(), "money")


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
    measures = {*COLUMNS, *data.facts.money}
    keys = list(itertools.takewhile(lambda c: c not in measures, data.columns))
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
        if heading(name)[1] == "money":
            _publish([r for _, r in lines], total, name, places)
    head = "".join(f'<th scope="col" class="text">{safe(named(k))}</th>' for k in keys)
    head += "".join(f'<th scope="col">{safe(heading(c)[0])}</th>' for c in columns)
    head += '<th scope="col" class="text">Trend</th>' if trends else ""

    def line(names: list[str], row: dict[str, Any], extra: bool = False) -> str:
        trend = (
            f"<td>{charts.sparkline(trends[names[0]]) if extra and names[0] in trends else ''}</td>" if trends else ""
        )
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


def key_figures(row: Any, currency: str) -> str:
    """The cards of one row of a showback table: cost, change, tokens and unit costs."""
    change = row.get("change")
    before = row.get("previous_cost")
    against = ""
    if not is_unknown(change) and not is_unknown(before) and before:
        against = f"{'+' if change >= 0 else '−'}{percent(abs(change), abs(before))} on the month before"
    items = [
        ("Cost", amount(row["cost"], currency), against),
        (
            "Tokens",
            count(row["tokens"]),
            f"{count(row['requests'])} requests" if not is_unknown(row["requests"]) and row["requests"] else "",
        ),
        (
            "Per million tokens",
            amount(row["cost_per_1m_tokens"], currency),
            f"{percent(row['cache_hit_rate'])} of input from cache" if not is_unknown(row["cache_hit_rate"]) else "",
        ),
    ]
    if not is_unknown(row.get("cost_per_request")):
        items.append(("Per request", amount(row["cost_per_request"], currency), ""))
    return figures(*items)


def cards(data: Any) -> None:
    """Show the key figures of a showback table of one row."""
    if len(data):
        display(HTML(key_figures(data.iloc[0], data.facts.currency)))


def month_before(month: str) -> str:
    """The month before a month, `YYYY-MM`.

    >>> month_before("2026-01")
    '2025-12'
    """
    return f"{previous_month(parse_month(month)):%Y-%m}"


def last_days(frame: Any, days: int, month: str, timezone: str) -> tuple[Any, Any]:
    """The rows of a month's last days, and those of as many days before them."""
    end = Window.month(month, timezone).end
    start = frame["charge_period_start"]
    cuts = [end - dt.timedelta(days=days * i) for i in (0, 1, 2)]
    return frame[(start >= cuts[1]) & (start < cuts[0])], frame[(start >= cuts[2]) & (start < cuts[1])]


def bridge(data: Any, names: tuple[str, str], title: str) -> None:
    """Show what changed the cost as a waterfall, with the same in words below.

    Args:
        data: what `fa.explain` returns for the whole (one row).
        names: what the two periods are called.
        title: what the chart says.
    """
    if not len(data):
        return note("There is nothing to compare: one of the periods holds no cost.")
    row, steps = data.iloc[0], list(data.columns[list(data.columns).index("change") + 1 :])
    shown = [(s.replace("_", " "), row[s]) for s in steps if not is_unknown(row[s]) and abs(row[s]) >= Decimal("0.005")]
    words = [text for text in data.facts.notes if text]
    currency = data.facts.currency
    whole = f"{names[0]} {row['before']:,.0f} {currency}, {names[1]} {row['after']:,.0f} {currency}"
    alt = f"{title}: {whole}. " + ", ".join(f"{name} {value:+,.2f}" for name, value in shown)
    figure = charts.bridge(shown, currency=currency, title=f"{title}\n{whole}")
    charts.show(figure, alt)
    return display(HTML("".join(f"<p>{safe(text)}</p>" for text in words)))


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
        if heading(name)[1] in ("money", "count"):
            values = [r[name] for r in rows if not is_unknown(r.get(name))]
            out[name] = sum(values, Decimal(0)) if values else None
    return out


def _line(names: list[str], row: dict[str, Any], columns: Sequence[str], link: str | None, trend: str) -> str:
    first = f'<a href="{safe(link)}">{safe(names[0])}</a>' if link else safe(names[0])
    cells = f'<th scope="row">{first}</th>' + "".join(f'<td class="text">{safe(n)}</td>' for n in names[1:])
    return f"<tr>{cells}{''.join(f'<td>{_read(row.get(c), heading(c)[1], c)}</td>' for c in columns)}{trend}</tr>"


def _read(value: Any, kind: str, name: str) -> str:
    if is_unknown(value):
        return "–"
    if kind == "money":
        sign = "+" if name in SIGNED and value > 0 else ""
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


def monthly_alt(data: Any, by: str) -> str:
    """Alternative text of columns per month."""
    sums: dict[str, float] = {}
    for month, cost in zip(data["month"], data["cost"], strict=True):
        sums[str(month)] = sums.get(str(month), 0.0) + charts.number(0 if is_unknown(cost) else cost)
    if not sums:
        return "No cost in this period."
    first, last = min(sums), max(sums)
    return f"Stacked columns of cost per month by {named(by)}: {sums[first]:,.0f} in {month_text(first)}, {sums[last]:,.0f} in {month_text(last)}."


def calendar_alt(days: Any) -> str:
    """Alternative text of a calendar of days."""
    known = {str(d): float(c) for d, c in zip(days["day"], days["cost"], strict=True) if not is_unknown(c)}
    if not known:
        return "No cost in this period."
    dearest = sorted(known, key=lambda d: -known[d])[:3]
    return (
        f"Calendar of {len(known)} days; the dearest were "
        + ", ".join(f"{d} with {known[d]:,.0f}" for d in dearest)
        + "."
    )


def lines_alt(data: Any, by: str, value: str) -> str:
    """Alternative text of lines over time: the last figure of each."""
    last: dict[str, Any] = {}
    for name, figure in zip(data[by], data[value], strict=True):
        if not is_unknown(figure):
            last[label(name)] = figure
    ends = ", ".join(f"{name} {_read(v, 'unit', value)}" for name, v in last.items())
    return f"Lines of {named(value)} by {named(by)}; at the end: {ends}." if ends else "No figures in this period."


def unit_sentence(data: Any, month: str) -> None:
    """Say what a million tokens and a request cost, and how that changed since the month before."""
    rows = {str(m): row for m, row in zip(data["month"], data.to_dict("records"), strict=True)}
    own, earlier = rows.get(month), rows.get(month_before(month))
    if own is None or is_unknown(own["cost_per_1m_tokens"]):
        return say(f"No priced tokens were used in {safe(month_text(month))}.")
    currency = data.facts.currency
    text = f"In {safe(month_text(month))} a million tokens cost <strong>{amount(own['cost_per_1m_tokens'], currency)}</strong>"
    if earlier and not is_unknown(earlier["cost_per_1m_tokens"]) and earlier["cost_per_1m_tokens"]:
        change = own["cost_per_1m_tokens"] - earlier["cost_per_1m_tokens"]
        text += f", {percent(abs(change), earlier['cost_per_1m_tokens'])} {'more' if change >= 0 else 'less'} than the month before"
    if not is_unknown(own["cost_per_request"]):
        text += f"; a request {amount(own['cost_per_request'], currency)}"
    return say(text + ".")


def reconcile_sentence(data: Any, month: str) -> None:
    """Say how computed cost and the bill compare."""
    if not len(data):
        return say(f"There is neither usage nor a bill for {safe(month_text(month))}.")
    computed, billed = (sum((v for v in data[c] if not is_unknown(v)), Decimal(0)) for c in ("computed", "billed"))
    currency = data.facts.currency or "in several currencies"
    captured = data.facts.coverage.get("captured")
    text = f"{safe(month_text(month))} was billed <strong>{amount(billed, currency)}</strong>; its usage computes to {amount(computed, currency)}"
    if abs(billed - computed) < Decimal("0.005"):
        text += ", the same to the cent"
    elif billed:
        text += f", {percent(abs(billed - computed), billed)} {'less' if computed < billed else 'more'}"
    return say(
        text + (f". Usage rows explain {percent(captured)} of the billed usage." if captured is not None else ".")
    )


def causes(data: Any) -> None:
    """Show what the difference between bill and computed cost is made of, in words and amounts."""
    from finops_ai.tables.reconcile import CAUSES

    totals = {name: sum((v for v in data[name] if not is_unknown(v)), Decimal(0)) for name in CAUSES if name in data}
    rows = [(name, value) for name, value in totals.items() if abs(value) >= Decimal("0.005")]
    if not rows:
        return note("They agree to the cent.")
    body = "".join(
        f'<tr><th scope="row">{safe(name.replace("_", " ").capitalize())}</th><td>{value:+,.2f}</td><td class="text">{safe(CAUSES[name])}</td></tr>'
        for name, value in sorted(rows, key=lambda row: -abs(row[1]))
    )
    return display(
        HTML(
            f"<table><caption>Amounts in {safe(data.facts.currency or 'the currencies of the bills')}</caption><thead><tr>"
            '<th scope="col" class="text">Cause</th><th scope="col">Amount</th><th scope="col" class="text">What it is</th></tr></thead>'
            f"<tbody>{body}</tbody></table>"
        )
    )


def unpriced(priced: Any) -> None:
    """Show the models and meters whose price isn't known, with their quantities."""
    rows = priced[priced["price_status"] == "unpriced"]
    sums: dict[tuple[str, str, str], Decimal] = {}
    for key in zip(rows["provider"], rows["model"], rows["meter"], rows["quantity"], strict=True):
        sums[key[:3]] = sums.get(key[:3], Decimal(0)) + key[3]
    if not sums:
        return note("Everything has a price.")
    body = "".join(
        f'<tr><th scope="row">{safe(p)}</th><td class="text">{safe(m)}</td><td class="text">{safe(k)}</td><td>{q:,.0f}</td></tr>'
        for (p, m, k), q in sorted(sums.items(), key=lambda item: -item[1])[:40]
    )
    return display(
        HTML(
            '<table><caption>Usage without a known price</caption><thead><tr><th scope="col" class="text">Provider</th><th scope="col" class="text">Model</th>'
            f'<th scope="col" class="text">Meter</th><th scope="col">Quantity</th></tr></thead><tbody>{body}</tbody></table>'
        )
    )


def kinds_of_tokens(priced: Any) -> None:
    """Show, meter by meter, how much was used, what it cost and what a million of it cost on average."""
    from finops_ai.meters import meters
    from finops_ai.tables import showback

    data = showback(priced, by=["meter"])
    rows = []
    for meter, cost in zip(data["meter"], data["cost"], strict=True):
        quantity = sum(priced.loc[priced["meter"] == meter, "quantity"], Decimal(0))
        known = not is_unknown(cost) and quantity
        rate = "–" if not known or meters()[meter].unit != "tokens" else _read(cost * 1_000_000 / quantity, "unit", "")
        rows.append(
            (
                meter,
                meters()[meter].description,
                f"{count(quantity)} {meters()[meter].unit}",
                "–" if is_unknown(cost) else f"{cost:,.2f}",
                rate,
            )
        )
    body = "".join(
        f'<tr><th scope="row">{safe(m)}</th><td class="text">{safe(d)}</td><td>{safe(q)}</td><td>{safe(c)}</td><td>{safe(r)}</td></tr>'
        for m, d, q, c, r in rows
    )
    display(
        HTML(
            f'<table><caption>Amounts in {safe(data.facts.currency)}</caption><thead><tr><th scope="col" class="text">Meter</th><th scope="col" class="text">What it counts</th>'
            f'<th scope="col">Used</th><th scope="col">Cost</th><th scope="col">per 1M tokens</th></tr></thead><tbody>{body}</tbody></table>'
        )
    )
