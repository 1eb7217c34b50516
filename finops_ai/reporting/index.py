"""The report's first page: what a month asks to decide, on one screen; below it its owners, a search and the files."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finops_ai.html import Html, data, render
from finops_ai.reporting import answers, charts, coverage, decisions, owners, savings
from finops_ai.reporting.answers import month_before, month_text, named
from finops_ai.reporting.navigation import Link
from finops_ai.reporting.pages import SEARCH, monthly, page, plural, search_entries
from finops_ai.reporting.text import money, safe
from finops_ai.tables import showback

if TYPE_CHECKING:
    import pandas as pd

    from finops_ai.reporting.planning import Report
    from finops_ai.tables.result import Table
    from finops_ai.workspace import Workspace

OWNERS = ["cost", "previous_cost", "change", "tokens", "token_cost_per_1m_tokens", "cost_per_1m_tokens"]
NAMES = ["provider", "model", "prompt_id", "sub_account_name", "user_id"]


def index_page(
    ws: Workspace,
    report: Report,
    frame: pd.DataFrame,
    manifest: Mapping[str, Any],
    downloads: Sequence[tuple[str, Path]],
    links: Sequence[Link],
) -> str:
    """The whole index.html, without an address outside its folder."""
    month, dimensions = report.month, list(ws.rules.dimensions)
    by = dimensions[0] if dimensions else "model"
    history = ws.history(month, 13)
    table = showback(history, by=[by], month=month, timezone=ws.timezone)
    whole = answers.first_row(showback(history, month=month, timezone=ws.timezone))
    currency, words = table.facts.currency, owners.apart(history, by) if dimensions else {}
    parts: list[str] = []
    if whole and currency:
        parts.append(_first_screen(ws, report, frame, history, table, whole, by, words, links))
        own = {link.title: link.file for link in links if link.group == plural(by)}
        trends = monthly(history, by, ws.timezone)
        parts.append(f"<h2>By {safe(named(by))}</h2>")
        parts.append(answers.table_html(table, OWNERS, top=15, links=own, trends=trends, whole=whole, apart=words))
    else:
        parts.append(f"<h1>AI cost of {safe(ws.name)}, {safe(month_text(month))}</h1>")
        parts.append(f'<p class="answer">{answers.showback_words(table, by, month, coverage.so_far(ws, month))}</p>')
        parts.append(coverage.stamp_html(table, ws, month))
        parts += [f'<p class="warn">{safe(text)}</p>' for text in _warnings(report)]
        parts.append(answers.table_html(table, OWNERS, top=15, apart=words))
    parts += _search(frame, links, [*dimensions, *NAMES], currency)
    parts.append("<h2>Downloads</h2>" + _downloads(downloads))
    made = dt.datetime.fromisoformat(manifest["made_at"])
    parts.append(f'<p class="note">Made {made.day} {made:%b %Y, %H:%M} UTC.</p>')
    return page(f"AI cost of {ws.name}, {month_text(month)}", "\n".join(part for part in parts if part))


def _warnings(report: Report) -> list[str]:
    return [f"{p.title} is missing: {p.error}" for p in report.failed] + report.notes


def _first_screen(
    ws: Workspace,
    report: Report,
    frame: pd.DataFrame,
    history: pd.DataFrame,
    table: Table,
    whole: Mapping[str, Any],
    by: str,
    words: Mapping[str, str],
    links: Sequence[Link],
) -> Html:
    """What decides: four answers, the days, the causes, the actions, and one line on what the figures cover."""
    month, currency = report.month, table.facts.currency
    months = showback(history, by=["month"], timezone=ws.timezone)
    files = {link.file for link in links}
    moved, _ = decisions.change(ws, month, by, whole, words)
    todo = savings.to_do(ws, month)
    tiles = [
        decisions.spent(
            ws,
            month,
            whole,
            [c for _, c in sorted(zip(months["month"], months["cost"], strict=True), key=lambda pair: pair[0])],
            currency,
        ),
        decisions.invoices(ws, month),
        decisions.year_end(ws, month, by, history, currency),
    ]
    tiles += [decisions.charged(table, by, words)] if words else []
    tiles = [replace(t, href=t.href if t.href in files else "") for t in tiles]
    daily = showback(frame, by=["day", by], timezone=ws.timezone)
    every = [words.get(name, name) for name in answers.names_of(history, by)]
    figure = charts.stacked_days(owners.worded(daily, by, words), by, currency=currency, among=every, width=7.4)
    return render(
        "report/overview.html.j2",
        headline=_headline(month, tiles, moved, coverage.so_far(ws, month)),
        title=f"AI cost of {ws.name}, {month_text(month)}",
        lead=answers.lead(table, by, words),
        warnings=_warnings(report),
        tiles=tiles,
        chart_title=f"Cost per day by {named(by)}, {currency}",
        chart=Html(charts.boxed(figure, answers.daily_alt(daily, by))),
        why_href="executive_summary.html" if "executive_summary.html" in files else "",
        bars=bridge_bars(moved, month, currency) if moved else [],
        currency=currency,
        no_change="There is no month before to compare with.",
        actions=todo.actions,
        actions_total=todo.count,
        saving=todo.saving,
        stamp=Html(coverage.stamp_html(table, ws, month)),
    )


def _headline(month: str, tiles: Sequence[decisions.Tile], moved: decisions.Change | None, until: str) -> str:
    """The month in one or two sentences: what it cost, whether it ties, what moved it, where the year is heading.

    Of a month that is known `until` some day no cause is said: what it is compared with is a whole one.
    """
    said = [tile.brief for tile in tiles if tile.brief]
    text = f"{month_text(month).split()[0]}{f' up to {until}' if until else ''} {' and '.join(said[:2])}."
    more = []
    if moved and not until and moved.causes and moved.causes[0].amount:
        first, way = moved.causes[0], "rise" if moved.after > moved.before else "fall"
        if (first.amount > 0) == (moved.after > moved.before) and moved.after != moved.before:
            more.append(f"the largest part of the {way} is {first.what}")
    more += said[2:]
    return text + (f" {'; '.join(more)[:1].upper()}{'; '.join(more)[1:]}." if more else "")


def bridge_bars(moved: decisions.Change, month: str, currency: str) -> list[dict[str, str]]:
    """The way from one month's cost to the next as bars on one axis that is cut at both ends.

    The axis begins below the lowest point of the way, so that the steps can be seen; the two ends are marked as cut.
    """
    names = [month_text(m).split()[0] for m in (month_before(month), month)]
    steps = [*moved.causes, *([decisions.Cause("All else", "", moved.rest)] if moved.rest else [])]
    points = [moved.before]
    for step in steps:
        points.append(points[-1] + step.amount)
    low, high = min(points), max(points)
    reach = (high - low) or Decimal(1)
    start = low - reach / 3
    span = high - start

    def place(value: Decimal) -> str:
        return f"{100 * (value - start) / span:.2f}"

    def wide(one: Decimal, other: Decimal) -> str:
        return f"{max(100 * abs(one - other) / span, Decimal('0.6')):.2f}"

    bars = [
        {
            "kind": "end",
            "what": names[0],
            "detail": "",
            "left": "0",
            "width": wide(moved.before, start),
            "amount": money(moved.before, currency),
        }
    ]
    for step, at in zip(steps, points, strict=False):
        kind = "rise" if step.amount > 0 else "fall"
        left = place(min(at, at + step.amount))
        bars.append(
            {
                "kind": kind,
                "what": step.what,
                "detail": step.detail,
                "left": left,
                "width": wide(at, at + step.amount),
                "amount": f"{step.amount:+,f}",
            }
        )
    bars.append(
        {
            "kind": "end",
            "what": names[1],
            "detail": "",
            "left": "0",
            "width": wide(moved.after, start),
            "amount": money(moved.after, currency),
        }
    )
    return bars


def _search(frame: pd.DataFrame, links: Sequence[Link], dimensions: Sequence[str], currency: str) -> list[str]:
    names = data(search_entries(frame, links, dimensions, currency))
    return [
        "<h2>Find</h2>",
        '<div class="search"><label for="find">A team, product, model, prompt or page</label>'
        '<input type="search" id="find" autocomplete="off"><ul id="found" aria-live="polite"></ul></div>'
        f'<script type="application/json" id="names">{names}</script><script>{SEARCH}</script>',
    ]


def _downloads(downloads: Sequence[tuple[str, Path]]) -> str:
    """Files by what they hold, one line each with all its formats."""
    kinds = {".csv": "CSV", ".xlsx": "Excel", ".parquet": "Parquet", ".json": "JSON"}
    lines: dict[str, list[str]] = {}
    for what, path in downloads:
        text = kinds.get(path.suffix, path.suffix)
        anchor = f'<a href="tables/{safe(path.name)}" download aria-label="{safe(path.name)}">{safe(text)}</a>'
        lines.setdefault(what, []).append(anchor)
    lines["What every figure rests on: versions, hashes, parameters"] = ['<a href="manifest.json">manifest.json</a>']
    body = "".join(f"<li>{safe(what)}: {', '.join(files)}</li>" for what, files in lines.items())
    return f"<ul>{body}</ul>"
