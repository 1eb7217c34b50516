"""The figures of the first page: spent against budget, ties to the invoice, year end, causes, actions, who is charged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from finops_ai.errors import FinopsError
from finops_ai.forecasting.budgets import workspace_budgets
from finops_ai.html import Html
from finops_ai.money import published
from finops_ai.periods import parse_month
from finops_ai.reporting import owners
from finops_ai.reporting.charts import sparkline
from finops_ai.reporting.coverage import so_far
from finops_ai.reporting.months import month_before, month_text
from finops_ai.reporting.text import UNKNOWN, is_unknown, money, named, percent
from finops_ai.tables import explain
from finops_ai.tables.bridge import WORDS
from finops_ai.tables.drivers import short
from finops_ai.tables.reconcile import workspace_reconciliation

if TYPE_CHECKING:
    import pandas as pd

    from finops_ai.tables.result import Table
    from finops_ai.workspace import Workspace

NOTHING = Html()


@dataclass(frozen=True)
class Tile:
    """One answer: what was asked, the figure, what stands beside it, and the page that tells more.

    Attributes:
        what: the question in a few words.
        figure: the answer; a dash where it isn't known, and the first line then says why.
        lines: (tone, text), tone being "", good or bad.
        href: page with more; "" where there is none.
        drawing: a small drawing of it.
        tone: of the figure.
        brief: the same in a few words, for the headline.
    """

    what: str
    figure: str
    lines: list[tuple[str, str]] = field(default_factory=list)
    href: str = ""
    drawing: Html = NOTHING
    tone: str = ""
    brief: str = ""


@dataclass(frozen=True)
class Cause:
    """One cause of the change: who or what, the details below it, and the amount."""

    what: str
    detail: str
    amount: Decimal


@dataclass(frozen=True)
class Change:
    """From one month's cost to the next, with its largest causes and what is left."""

    before: Decimal
    after: Decimal
    causes: list[Cause]
    rest: Decimal


def spent(ws: Workspace, month: str, row: Mapping[str, Any], months: Sequence[Any], currency: str) -> Tile:
    """What the month cost, against the month before and against the budget that covers everything.

    Args:
        ws: the workspace.
        month: the month.
        row: its published showback of everything, one row.
        months: cost of the months before it and its own, for the small line.
        currency: of the amounts.
    """
    before = row.get("previous_cost")
    if is_unknown(row["cost"]):
        return Tile(
            "Spent", UNKNOWN, [("", "no price is known for what was used")], "showback.html", brief="has no known price"
        )
    change, first = row["cost"] - before if not is_unknown(before) else None, month_text(month_before(month)).split()[0]
    if change is None:
        lines = [("", f"there is no data of {first} to compare with")]
    else:
        share = f" ({'+' if change >= 0 else '-'}{percent(abs(change), abs(before))})" if before else ""
        lines = [
            ("", f"{change:+,f} on the whole of {first}" if so_far(ws, month) else f"{change:+,f}{share} on {first}")
        ]
    return Tile(
        "Spent", f"{money(row['cost'], currency)} {currency}", lines + _budget_lines(ws, month), "showback.html",
        Html(sparkline(months, width=220, height=26)), brief=f"cost {money(row['cost'], currency)} {currency}",
    )  # fmt: skip


def _budget_lines(ws: Workspace, month: str) -> list[tuple[str, str]]:
    """How spending stands against budgets: the company's own first, then how many of the others are over."""
    try:
        table = workspace_budgets(ws, month)
    except FinopsError as error:
        return [("bad", str(error))]
    if table is None or not len(table):
        return [("", "no budget is set for it")]
    general = {
        str(row.get("name") or f"budget {i}")
        for i, row in enumerate(ws.settings.policies["budgets"], 1)
        if not row.get("for")
    }
    rows = table.published().astype(object).to_dict("records")
    lines: list[tuple[str, str]] = []
    currency = table.facts.currency
    own = sorted((r for r in rows if r["name"] in general), key=lambda r: r["to"] - r["from"])
    if own:
        r = own[0]
        over = r["spent"] - r["budget"]
        short = r["from"] == parse_month(month) and (r["to"] - r["from"]).days <= 31
        if short or over > 0:
            lines.append(
                (
                    "bad" if over > 0 else "good",
                    f"{money(abs(over), currency)} {'over' if over > 0 else 'under'} the budget of {money(r['budget'], currency)}",
                )
            )
        else:
            pace = r["spent"] - r["expected"]
            since, until = (f"{day:%b}" for day in (r["from"], parse_month(month)))
            lines.append(
                (
                    "bad" if pace > 0 else "good",
                    f"{since} to {until} {money(r['spent'], currency)} of {money(r['budget'], currency)}: {money(abs(pace), currency)} {'above' if pace > 0 else 'below'} an even pace",
                )
            )
    others = [r for r in rows if r not in own]
    if others:
        over_count = sum(r["status"] == "over" for r in others)
        lines.append(
            (
                "bad" if over_count else "good",
                _over(over_count, len(others), "other " if own else ""),
            )
        )
    return lines


def _over(over: int, all_: int, other: str) -> str:
    """How many budgets are over, in words.

    >>> _over(4, 8, "other "), _over(0, 1, "other "), _over(1, 1, "")
    ('4 of 8 other budgets are over', 'the other budget isn’t over', 'its budget is over')
    """
    if all_ > 1:
        return f"{over} of {all_} {other}budgets are over"
    return f"{'the other' if other else 'its'} budget {'is' if over else 'isn’t'} over"


def invoices(ws: Workspace, month: str) -> Tile:
    """Whether what was computed ties to what the providers billed, in those words."""
    href = "provider_coverage.html"
    try:
        cube = ws.cube(month)
        table = workspace_reconciliation(ws, month)
    except FinopsError as error:
        return Tile("Invoices", UNKNOWN, [("", str(error))], href, brief="can't be compared with the invoices")
    shown, currency = table.published(), table.facts.currency
    if not currency:
        return Tile(
            "Invoices",
            UNKNOWN,
            [("", "amounts are in several currencies; the page compares each")],
            href,
            brief="is billed in several currencies",
        )
    billed, computed, unexplained = (_sum(shown[c]) for c in ("billed", "computed", "unexplained"))
    rows = shown.to_dict("records")
    without = sorted({str(r["provider"]) for r in rows if not _known(r["billed"]) and _known(r["computed"])})
    with_bill = sorted({str(r["provider"]) for r in rows if _known(r["billed"])})
    if not with_bill:
        priced = bool(cube["effective_cost"].notna().any())
        return Tile(
            "Invoices",
            "no invoice yet",
            [
                (
                    "",
                    f"usage computes to {money(computed, currency)} {currency}"
                    if priced
                    else "no price is known for the usage",
                )
            ],
            href,
            brief="has no invoice yet",
        )
    providers = f"{len(with_bill)} provider{'s' if len(with_bill) != 1 else ''}"
    lines = [("", f"{money(billed, currency)} billed by {providers}, {money(unexplained, currency)} unexplained")]
    status = [r["status"] for r in rows if "status" in shown.columns]
    ties = "fail" not in status if status else not unexplained
    if ties:
        figure, tone, brief = ("✓ ties", "good", "ties to the invoices")
        if (difference := billed - computed) and not without:
            lines.append(("", f"{difference:+,f} between bill and usage, by named causes"))
    else:
        figure, tone, brief = ("doesn’t tie", "bad", "doesn’t tie to the invoices")
    if without:
        lines.append(("bad", f"no invoice of {', '.join(without)} yet"))
        if ties:
            figure, tone, brief = ("ties in part", "", "ties to the invoices there are")
    return Tile("Invoices", figure, lines, href, tone=tone, brief=brief)


def year_end(ws: Workspace, month: str, by: str, history: pd.DataFrame, currency: str) -> Tile:
    """What the year is heading for, its range, and the budget of that time."""
    from finops_ai.forecasting.year import workspace_plan

    if not history["effective_cost"].notna().any():
        return Tile("Year end", UNKNOWN, [("", "nothing with a known price to plan from")])
    try:
        table = workspace_plan(ws, month, [by])
    except FinopsError as error:
        return Tile("Year end", UNKNOWN, [("", str(error))])
    found = table[((table["month"] == "year") & (table["unique_id"] == "total")).to_numpy(bool)]
    if not len(found):
        return Tile("Year end", UNKNOWN, [("", "no plan to the year's end can be made")])
    row = dict(found.iloc[0])
    low, middle, high = (Decimal(row[c]) for c in ("p10", "p50", "p90"))
    lines, brief = [("", f"8 in 10: {low:,.0f} to {high:,.0f}")], ""
    budget = row.get("budget")
    if budget is not None and not is_unknown(budget) and budget:
        over, chance = middle - Decimal(budget), row.get("overrun_probability")
        told = "" if is_unknown(chance) else f"; {percent(chance, places=0)} chance of going over"
        lines.append(
            (
                "bad" if over > 0 else "good",
                f"{abs(over):,.0f} {'over' if over > 0 else 'under'} the budget of {Decimal(budget):,.0f}{told}",
            )
        )
        share = percent(abs(over), Decimal(budget), places=0)
        side = "over" if over > 0 else "under"
        brief = f"the year is heading {share} {side} budget" if share != "0%" else "the year is heading for its budget"
    drawing = _range(low, middle, high, None if budget is None or is_unknown(budget) else Decimal(budget))
    return Tile(f"Year end {month[:4]}", f"{middle:,.0f} {currency}", lines, "forecast.html", drawing, brief=brief)


def _range(low: Decimal, middle: Decimal, high: Decimal, budget: Decimal | None) -> Html:
    """The range as a bar with its ends, the likeliest value and the budget."""
    from finops_ai.html import render

    least, most = min(low, budget or low), max(high, budget or high)
    span = (most - least) or Decimal(1)

    def place(value: Decimal) -> str:
        return f"{8 + 204 * (value - least) / span:.1f}"

    return render(
        "report/range.html.j2", low=place(low), middle=place(middle), high=place(high), budget=place(budget) if budget else ""
    )  # fmt: skip


def charged(table: Table, by: str, words: Mapping[str, str]) -> Tile:
    """Which share of the cost is charged to somebody, and what the rest is.

    Args:
        table: showback by one dimension.
        by: that dimension.
        words: its values that are nobody, and what they are called.
    """
    owned, lines = owners.split(table, by, words)
    whole = owned + sum((line.cost for line in lines), Decimal(0))
    if not whole:
        known = any(not is_unknown(cost) for cost in table["cost"])
        why = "what is known comes to no cent" if known else "nothing has a known cost"
        return Tile("Charged to somebody", UNKNOWN, [("", why)], "allocation_quality.html")
    currency = table.facts.currency
    told = [
        ("", f"{percent(line.cost, whole)} {line.words[:1].lower()}{line.words[1:]}: {money(line.cost, currency)}")
        for line in lines
    ]
    return Tile(
        "Charged to somebody", percent(owned, whole), told or [("good", f"every cent has a {named(by)}")],
        "allocation_quality.html", _shares([owned, *(line.cost for line in lines)], whole),
    )  # fmt: skip


def _shares(parts: Sequence[Decimal], whole: Decimal) -> Html:
    from finops_ai.html import render

    starts, at = [], Decimal(0)
    for part in parts:
        width = max(part, Decimal(0)) / whole * 220
        starts.append((f"{at:.1f}", f"{max(width - 1, Decimal('0.5')):.1f}"))
        at += width
    return render("report/shares.html.j2", parts=starts)


def change(
    ws: Workspace, month: str, by: str, row: Mapping[str, Any], words: Mapping[str, str], top: int = 3
) -> tuple[Change | None, list[dict[str, Any]]]:
    """What moved the cost from the month before to this one, and the drivers as rows; None for a first month."""
    before = row.get("previous_cost")
    if before is None or is_unknown(before) or is_unknown(row["cost"]):
        return None, []
    drivers = list(_drivers(ws, month))
    causes = [_of_driver(r, words) for r in drivers[:top]]
    rest = row["cost"] - before - sum((c.amount for c in causes), Decimal(0))
    return Change(before, row["cost"], causes, rest), drivers


def _drivers(ws: Workspace, month: str) -> list[dict[str, Any]]:
    """The largest drivers of the change from the month before, found once for all pages of a state of the data."""

    def found() -> list[dict[str, Any]]:
        try:
            return pd_records(explain(ws.cube(month_before(month)), ws.cube(month)).drivers(8))
        except FinopsError:
            return []

    return ws.recent.once(("drivers", month, ws.digest(), ws.ledger.head()), found, keep=lambda rows: True)


def pd_records(table: Table) -> list[dict[str, Any]]:
    """A table's published rows as dicts."""
    return [{str(k): v for k, v in row.items()} for row in table.published().astype(object).to_dict("records")]


#: kinds of drivers in a few words; the others are effects of the bridge
KINDS = {"switch": "new model", "version": "new prompt", "new": "new work", "stopped": "work that ended"}


def _of_driver(row: Mapping[str, Any], words: Mapping[str, str]) -> Cause:
    """A driver in two lines: who and what, then model from and to, prompt, since when."""
    kind = KINDS.get(row["what"]) or WORDS[row["what"]][row["amount"] < 0]
    models = [short(str(row[c])) for c in ("model_from", "model_to") if not is_unknown(row[c])]
    since = "" if is_unknown(row["since"]) else f"since {row['since'].day} {row['since']:%b}"
    prompt = "" if is_unknown(row["prompt"]) else str(row["prompt"])
    who = "everybody" if is_unknown(row["who"]) else words.get(str(row["who"]), str(row["who"]))
    detail = [" → ".join(dict.fromkeys(models)), prompt, since]
    return Cause(f"{who}: {kind}", ", ".join(filter(None, detail)), row["amount"])


def _sum(values: Iterable[Any]) -> Decimal:
    return sum((v for v in values if not is_unknown(v)), Decimal(0))


def _known(value: object) -> bool:
    return not is_unknown(value) and bool(value)


__all__ = ["Cause", "Change", "Tile", "change", "charged", "invoices", "money", "published", "spent", "year_end"]
