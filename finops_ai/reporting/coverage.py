"""What a page's figures cover and how fresh they are: one line below the answer, and the whole of it at the end."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pandas as pd
from IPython.display import HTML, display

from finops_ai.errors import FinopsError
from finops_ai.money import written
from finops_ai.periods import Window, zone
from finops_ai.reporting.grid import grid
from finops_ai.reporting.navigation import COVERAGE
from finops_ai.reporting.text import is_unknown, named, percent, safe
from finops_ai.tables import showback

if TYPE_CHECKING:
    from finops_ai.tables.result import Table
    from finops_ai.workspace import Workspace

MEANING = {
    "priced": "of tokens have a known price",
    "attributed": "of cost has an owner",
    "captured": "of the bill is explained by usage that was collected",
    "metered": "of tokens were counted by the provider, not estimated",
}


def coverage_of(data: Table, ws: Workspace, month: str) -> dict[str, float | None]:
    """The table's own coverage, and how much of the month's bill its usage explains; None where that is unknown."""
    found = dict(data.facts.coverage)
    if not any(d in data.columns for d in ws.rules.dimensions) and found.get("attributed") is not None:
        found["attributed"] = attributed(ws, month)
    if found.get("captured") is None:
        found["captured"] = captured(ws, month)
    return found


def attributed(ws: Workspace, month: str) -> float | None:
    """Share of the month's cost that has an owner in the first dimension, which is what pages mean where they say no other."""
    by = next(iter(ws.rules.dimensions))
    key = ("attributed", month, ws.digest(), ws.ledger.head(), by)
    return ws.recent.once(
        key,
        lambda: showback(ws.cube(month), [by], month, timezone=ws.timezone).facts.coverage.get("attributed"),
        shared=True,
    )


def captured(ws: Workspace, month: str) -> float | None:
    """Share of the month's bill that usage explains; None without a bill."""
    from finops_ai.tables.reconcile import workspace_reconciliation

    def share() -> float | None:
        try:
            return workspace_reconciliation(ws, month).facts.coverage["captured"]
        except FinopsError:
            return None

    key = ("captured", month, ws.digest(), ws.ledger.head(), repr(ws.settings.policies.get("reconcile")))
    return ws.recent.once(key, share, keep=lambda found: True, shared=True)


def owners(data: Table, ws: Workspace) -> str:
    """What "attributed" means in a table: its own dimensions, or the first there is."""
    own = [named(d) for d in ws.rules.dimensions if d in data.columns] or [named(d) for d in ws.rules.dimensions][:1]
    return " and ".join(filter(None, [", ".join(own[:-1]), *own[-1:]]))


def _held(ws: Workspace) -> Iterator[Any]:
    """What the lake holds, one row per connection."""
    return ws.lake.freshness().itertuples()


def freshness(ws: Workspace, month: str) -> tuple[list[str], list[str]]:
    """Which sources reach the end of the month, and what is wrong with the others, in words."""
    end, tz = Window.month(month, ws.timezone).end, zone(ws.timezone)
    held = {row.connection: row.last for row in _held(ws)}
    whole = [name for name, last in held.items() if last >= end]
    late = [f"{name} only up to {day_text(last, tz)}" for name, last in held.items() if last < end]
    wanted = [name for name, table in ws.settings.providers.items() if table.get("enabled", True)]
    return whole, late + [f"{name} holds no data" for name in wanted if name not in held]


def so_far(ws: Workspace, month: str) -> str:
    """The last day that any source tells of, where none reaches the month's end: such a month is no whole one; else ""."""
    end, tz = Window.month(month, ws.timezone).end, zone(ws.timezone)
    newest = max((row.last for row in _held(ws)), default=end)
    if newest >= end:
        return ""
    return day_text(newest, tz).rsplit(" ", 1)[0]


def stamp_html(data: Table, ws: Workspace, month: str) -> str:
    """Coverage and freshness in one line of small print; what is missing stands out."""
    shares = coverage_of(data, ws, month)
    parts = [f"{percent(shares.get('priced'))} of tokens have a price"] if shares.get("priced") is not None else []
    if shares.get("attributed") is not None and ws.rules.dimensions:
        parts.append(f"{percent(shares['attributed'])} of cost has a {safe(owners(data, ws))}")
    known = shares["captured"] is not None
    parts.append(
        f"usage explains {percent(shares['captured'])} of the bill" if known else "no bill to compare usage with"
    )
    whole, late = freshness(ws, month)
    end, tz = Window.month(month, ws.timezone).end, zone(ws.timezone)
    if whole:
        parts.append(f"{len(whole)} {'source reaches' if len(whole) == 1 else 'sources reach'} {day_text(end, tz)}")
    parts += [f"<strong>{safe(text)}</strong>" for text in late]
    parts.append(f"days of {safe(ws.timezone)}")
    return f'<p class="stamp">{" · ".join(parts)}{COVERAGE}</p>'


def stamp(data: Table, ws: Workspace, month: str) -> None:
    """Show coverage and freshness in one line, below the answer."""
    display(HTML(stamp_html(data, ws, month)))


def words(data: Table, ws: Workspace, month: str) -> str:
    """What the figures cover in one sentence of HTML: the share that has a price, and what the bill says."""
    shares = coverage_of(data, ws, month)
    priced, explained = shares.get("priced"), shares["captured"]
    text = "No token was counted" if priced is None else f"<strong>{percent(priced)}</strong> of tokens have a price"
    known = explained is not None
    return text + (
        f"; usage explains {percent(explained)} of the bill." if known else "; no bill was loaded to compare with."
    )


def coverage(data: Table, ws: Workspace, month: str) -> None:
    """Show all that the figures rest on: shares, doubts, sources and versions."""
    display(HTML(coverage_html(data, ws, month)))


def coverage_html(data: Table, ws: Workspace, month: str) -> str:
    """What the figures cover, what to doubt, and how far each source reaches, as tables."""
    means = MEANING | {"attributed": f"of cost has a {owners(data, ws)}"}
    made = _made(data, ws, month)
    shares = [
        (name.capitalize(), means.get(name, ""), made.get(name, ""), "unknown" if share is None else percent(share))
        for name, share in coverage_of(data, ws, month).items()
        if name != "attributed" or ws.rules.dimensions
    ]
    tz = zone(ws.timezone)
    sources = [
        (row.connection, day_text(row.first, tz, whole=False), day_text(row.last, tz), f"{row.rows:,}")
        for row in _held(ws)
    ]
    notes = "".join(f"<li>{safe(text)}</li>" for text in data.facts.notes)
    heads = ["Coverage", "What it says", "Made of", "Share"]
    said = grid(heads, shares, texts=3, caption="How much of reality the figures hold")
    held = grid(["Source", "From", "Up to", "Rows"], sources, caption="Usage that is stored, days included")
    return (
        f"{said}{f'<ul>{notes}</ul>' if notes else ''}{held}{_left_out(ws, month)}"
        f'<p class="note">Days of {safe(ws.timezone)}. Price book {safe(ws.book.version)}. Data {safe(ws.digest())}.</p>'
    )


def _made(data: Table, ws: Workspace, month: str) -> dict[str, str]:
    """The two figures that each share divides, in words; nothing where there are none."""
    from finops_ai.reporting.owners import apart, split
    from finops_ai.tables.reconcile import workspace_reconciliation

    shown, currency = data.published(), data.facts.currency

    def parted(part: Decimal, whole: Decimal, unit: str, places: int) -> str:
        return f"{part:,.{places}f} of {whole:,.{places}f} {unit}" if whole else ""

    def added(rows: pd.DataFrame, name: str) -> Decimal:
        return sum((v for v in rows[name] if not is_unknown(v)), Decimal(0))

    out = {
        name: parted(added(shown, column), added(shown, "tokens"), "tokens", 0)
        for name, column in (("priced", "listed_tokens"), ("metered", "metered_tokens"))
    }
    if (by := next(iter(ws.rules.dimensions), None)) in data.columns:
        owned, _ = split(data, str(by), apart(ws.cube(month), str(by)))
        out["attributed"] = parted(owned, added(shown, "cost"), currency, 2)
    with contextlib.suppress(FinopsError):
        tied = workspace_reconciliation(ws, month)
        told = tied.published()
        usage = added(told, "billed_usage")
        out["captured"] = parted(usage - max(added(told, "missing_usage"), Decimal(0)), usage, tied.facts.currency, 2)
    return out


def _left_out(ws: Workspace, month: str) -> str:
    """What the last loads of the month read and didn't keep, as a table; nothing where all of it was kept."""
    loads = ws.lake.loads("bills")
    if "left_out" not in loads:
        return ""
    window = Window.month(month, ws.timezone)
    rows = []
    for connection, own in loads.groupby("connection"):
        touching = own[
            [
                pd.Timestamp(s) < window.end and pd.Timestamp(e) > window.start
                for s, e in zip(own["start"], own["end"], strict=True)
            ]
        ]
        if touching.empty:
            continue
        last = touching.sort_values("version").iloc[-1]
        items = last["left_out"] if isinstance(last["left_out"], list) else []
        for item in items:
            amount = (
                "not stated"
                if item["amount"] is None
                else f"{written(Decimal(item['amount']), item['unit'])} {item['unit']}"
            )
            rows.append((str(connection), str(item["reason"]), f"{item['rows']:,}", amount))
    if not rows:
        return ""
    return grid(
        ["Source", "Left out", "Rows", "Amount"], rows, texts=2, caption="What the last load read and did not keep"
    )


def day_text(moment: pd.Timestamp | dt.datetime, tz: dt.tzinfo, *, whole: bool = True) -> str:
    """A day as people read it; of an instant that ends a half-open window, the last day inside."""
    day = (pd.Timestamp(moment) - pd.Timedelta(1 if whole else 0, "us")).tz_convert(tz)
    return f"{day.day} {day:%b %Y}"
