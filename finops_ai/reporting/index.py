"""The report's first page: the month in one sentence, the pages, the downloads, and what the figures rest on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from finops_ai.reporting.notebooks import PAGE_CSS
from finops_ai.reporting.text import amount, count, percent, safe

if TYPE_CHECKING:
    from finops_ai.reporting.site import Report
    from finops_ai.workspace import Workspace


def index_page(
    ws: Workspace, report: Report, frame: Any, manifest: dict[str, Any], downloads: list[tuple[str, Path]]
) -> str:
    """The whole index.html, without a script or an address outside its folder."""
    from finops_ai.tables import showback

    table = showback(frame, timezone=ws.timezone)
    covered = table.facts.coverage
    total, tokens = (table.iloc[0][name] if len(table) else None for name in ("cost", "tokens"))
    pages = "\n".join(_page_line(page) for page in report.pages)
    files = "\n".join(
        f'<li><a href="tables/{path.name}" download>{safe(path.name)}</a> {safe(what)}</li>' for what, path in downloads
    )
    failed = "".join(f"<p><strong>{safe(p.title)} is missing:</strong> {safe(p.error)}</p>" for p in report.failed)
    notes = "".join(f"<li>{safe(note)}</li>" for note in report.notes)
    shown = amount(total, table.facts.currency or "in several currencies")
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>AI cost of {safe(ws.name)}, {safe(report.month)}</title>
<style>{PAGE_CSS.read_text("utf-8")}</style></head>
<body><main>
<h1>AI cost of {safe(ws.name)}, {safe(report.month)}</h1>
<p class="answer">{safe(shown)} for {count(tokens)} tokens. {percent(covered.get("priced"))} of tokens have a price,
{percent(covered.get("attributed"))} of cost has an owner.</p>
{failed}
<h2>Pages</h2>
<ul>{pages}</ul>
<h2>Downloads</h2>
<ul>{files}<li><a href="manifest.json">manifest.json</a> what every figure rests on</li></ul>
{f"<h2>Notes</h2><ul>{notes}</ul>" if notes else ""}
<p class="note">Days of {safe(ws.timezone)}. Price book {safe(manifest["price_book"])}, data {safe(manifest["digest"])}. Made {safe(manifest["made_at"])}.</p>
</main></body></html>
"""


def _page_line(page: Any) -> str:
    if page.error:
        return f"<li>{safe(page.title)} (not made: see above)</li>"
    return f'<li><a href="{page.file}">{safe(page.title)}</a></li>'
