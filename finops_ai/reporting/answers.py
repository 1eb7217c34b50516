"""What a report notebook says: the answer in a sentence, tables that fit a page, coverage. All text is escaped."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from IPython.display import HTML, display

from finops_ai.errors import DataError
from finops_ai.money import published
from finops_ai.periods import Window, parse_month, previous_month
from finops_ai.reporting import charts
from finops_ai.reporting.coverage import coverage, stamp
from finops_ai.reporting.grid import grid, label, read, table_html
from finops_ai.reporting.text import amount, count, is_unknown, named, percent, safe

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


def last_month(ws: Any) -> str:
    """The last month that holds usage.

    Raises:
        DataError: the lake is empty.
    """
    months = ws.months()
    if not months:
        raise DataError(f"The lake of {ws.name} is empty. `finops-ai collect --month YYYY-MM` loads a month.")
    return months[-1]


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


def showback_sentence(table: Any, by: str, month: str) -> None:
    """Say total, change and the largest group in one sentence."""
    say(showback_words(table, by, month))


def showback_words(table: Any, by: str, month: str) -> str:
    """Total, change and the largest group in one sentence of HTML."""
    costs = [c for c in table["cost"] if not is_unknown(c)]
    if not costs or (not sum(costs, Decimal(0)) and (table["priced"] == 0).any()):
        tokens = sum((t for t in table["tokens"] if not is_unknown(t)), Decimal(0))
        return f"The cost of {safe(month_text(month))} is <strong>unknown</strong>: no price is known for its {count(tokens)} tokens."
    total, currency = sum(costs, Decimal(0)), table.facts.currency or "several currencies"
    text = f"{safe(month_text(month))} cost <strong>{amount(total, currency)}</strong>"
    before = [c for c in table["previous_cost"] if not is_unknown(c)] if "previous_cost" in table else []
    if before:
        text += ", " + against(total, sum(before, Decimal(0)), currency)
    if len(table) > 1 and total > 0:
        first = table.iloc[0]
        text += f"; {safe(label(first[by]))} is the largest {safe(named(by))} with {percent(first['cost'], total)}"
    return text + "."


def against(now: Decimal, before: Decimal, currency: str) -> str:
    """How an amount compares with the month before, in words.

    >>> against(Decimal(110), Decimal(100), "USD"), against(Decimal(1), Decimal(0), "USD")
    ('10.00 USD (10.0%) more than the month before', '1.00 USD more than the month before')
    """
    change = published(now, currency) - published(before, currency)
    if not change:
        return "as much as the month before"
    share = f" ({percent(abs(change), abs(before))})" if before else ""
    return f"{amount(abs(change), currency)}{share} {'more' if change > 0 else 'less'} than the month before"


def table(data: Any, columns: Sequence[str], *, top: int = 12, id: str | None = None, **more: Any) -> None:
    """Show a table's largest rows with a total that counts all rows (see `table_html`, which takes `more`)."""
    display(HTML(table_html(data, columns, top=top, id=id, **more)))


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
