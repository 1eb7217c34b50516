"""The report's first page: the month in one sentence, its days and owners, the way to everything else."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finops_ai.reporting import answers, charts, coverage
from finops_ai.reporting.answers import month_text, named
from finops_ai.reporting.navigation import Link
from finops_ai.reporting.pages import SEARCH, monthly, page, plural, search_entries
from finops_ai.reporting.text import safe
from finops_ai.tables import showback

if TYPE_CHECKING:
    from finops_ai.reporting.planning import Report
    from finops_ai.workspace import Workspace

OWNERS = ["cost", "previous_cost", "change", "tokens", "cost_per_1m_tokens"]
NAMES = ["provider", "model", "prompt_id", "sub_account_name", "user_id"]


def index_page(
    ws: Workspace,
    report: Report,
    frame: Any,
    manifest: dict[str, Any],
    downloads: Sequence[tuple[str, Path]],
    links: Sequence[Link],
) -> str:
    """The whole index.html, without an address outside its folder."""
    month, dimensions = report.month, list(ws.rules.dimensions)
    by = dimensions[0] if dimensions else "model"
    history = ws.history(month, 13)
    table = showback(history, by=[by], month=month, timezone=ws.timezone)
    whole = showback(history, month=month, timezone=ws.timezone)
    currency = table.facts.currency
    parts = [f"<h1>AI cost of {safe(ws.name)}, {safe(month_text(month))}</h1>"]
    parts.append(f'<p class="answer">{answers.showback_words(table, by, month)}</p>')
    parts.append(coverage.stamp_html(table, ws, month))
    parts += [
        f'<p class="warn"><strong>{safe(p.title)} is missing:</strong> {safe(p.error)}</p>' for p in report.failed
    ]
    parts += [f'<p class="warn">{safe(note)}</p>' for note in report.notes]
    if len(whole):
        parts.append(answers.key_figures(whole.iloc[0], currency))
        daily = showback(frame, by=["day", by], timezone=ws.timezone)
        figure = charts.stacked_days(
            daily, by, currency=currency, title=f"Cost per day by {named(by)}", among=answers.names_of(history, by)
        )
        parts.append(charts.boxed(figure, answers.daily_alt(daily, by)))
        own = {link.title: link.file for link in links if link.group == plural(by)}
        trends = monthly(history, by, ws.timezone)
        several = len(next(iter(trends.values()), [])) > 1
        parts.append(f"<h2>By {safe(named(by))}</h2>")
        parts.append(
            answers.table_html(
                table, OWNERS, top=15, links=own, trends=trends if several else None, whole=answers.first_row(whole)
            )
        )
    parts += _search(frame, links, [*dimensions, *NAMES], currency)
    parts.append("<h2>Pages</h2>" + _pages(links))
    parts.append("<h2>Downloads</h2>" + _downloads(downloads))
    parts.append("<h2>What the figures cover</h2>" + coverage.coverage_html(table, ws, month))
    made = dt.datetime.fromisoformat(manifest["made_at"])
    parts.append(f'<p class="note">Made {made.day} {made:%b %Y, %H:%M} UTC.</p>')
    return page(f"AI cost of {ws.name}, {month_text(month)}", "\n".join(part for part in parts if part))


def _search(frame: Any, links: Sequence[Link], dimensions: Sequence[str], currency: str) -> list[str]:
    names = json.dumps(search_entries(frame, links, dimensions, currency), ensure_ascii=True)
    for sign in "<>&":
        names = names.replace(sign, f"\\u{ord(sign):04x}")
    return [
        "<h2>Find</h2>",
        '<div class="search"><label for="find">A team, product, model, prompt or page</label>'
        '<input type="search" id="find" autocomplete="off"><ul id="found" aria-live="polite"></ul></div>'
        f'<script type="application/json" id="names">{names}</script><script>{SEARCH}</script>',
    ]


def _pages(links: Sequence[Link]) -> str:
    shown = [link for link in links if not link.group and link.file != "index.html"]
    lines = "".join(f'<li><a href="{safe(k.file)}">{safe(k.title)}</a><span>{safe(k.about)}</span></li>' for k in shown)
    for group in dict.fromkeys(link.group for link in links if link.group):
        inside = ", ".join(f'<a href="{safe(k.file)}">{safe(k.title)}</a>' for k in links if k.group == group)
        lines += f"<li><strong>{safe(group)}</strong><span>{inside}</span></li>"
    return f'<ul class="pages">{lines}</ul>'


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
