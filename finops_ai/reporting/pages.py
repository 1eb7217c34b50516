"""Pages that need no notebook: one per team (or whatever the first dimension is), the explorer, what figures cover."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from finops_ai.engine.fields import PUBLISHED
from finops_ai.errors import DataError
from finops_ai.frames.origin import left_out_of
from finops_ai.html import Html, render
from finops_ai.money import published
from finops_ai.reporting import answers, charts, coverage, owners
from finops_ai.reporting.grid import read
from finops_ai.reporting.navigation import Link
from finops_ai.reporting.notebooks import PAGE_CSS
from finops_ai.reporting.text import UNKNOWN, amount, is_unknown, money, percent, safe, singular, slug
from finops_ai.tables import showback
from finops_ai.tables.grouping import grouped

if TYPE_CHECKING:
    from finops_ai.figures import Measure
    from finops_ai.tables.result import Table
    from finops_ai.workspace import Workspace

#: groups that get a page of their own; the others are in the tables and the explorer
MOST = 60
DETAIL = [
    "cost",
    "previous_cost",
    "change",
    "requests",
    "tokens",
    "token_cost_per_1m_tokens",
    "cost_per_1m_tokens",
]
BREAKDOWNS = [
    ("product", "By product"),
    ("model", "By model"),
    ("prompt_id", "By prompt"),
    ("user_id", "By user"),
    ("provider", "By provider"),
]


def page(title: str, body: str) -> str:
    """A whole page of the report; it asks nothing of any network."""
    return str(render("report/page.html.j2", title=title, body=Html(body), style=Html(PAGE_CSS.read_text("utf-8"))))


def group_pages(ws: Workspace, month: str, dimension: str, folder: Path) -> list[Link]:
    """Write a page for each of the most expensive names of a dimension; returns their links, the largest first."""
    history = ws.history(month, 13)
    every = showback(history, by=[dimension], month=month, timezone=ws.timezone)
    published = every.published()
    nobody = owners.apart(history, dimension)
    names = [str(n) for n in every[dimension] if answers.label(n) not in nobody][:MOST]
    history = history[history[dimension].isin(names)]
    told = set(history.columns) - {dimension, *left_out_of(history)}
    columns = [c for c, _ in BREAKDOWNS if c in told]
    parts = {c: showback(history, by=[dimension, c], month=month, timezone=ws.timezone) for c in columns}
    inner = next((c for c in columns if len(parts[c][c].unique()) > 1), "model")
    daily = showback(history, by=["day", dimension, inner], month=month, timezone=ws.timezone)
    trends = {c: costs_by(history, ["month", dimension, c], ws.timezone) for c in columns}
    every_name = answers.names_of(history, inner)
    foot, until = coverage.stamp_html(every, ws, month), coverage.so_far(ws, month)
    links = []
    for name in names:
        link = Link(f"{slug(dimension)}-{slug(name)}.html", name, group=plural(dimension), question="who")
        own = {c: _own(table, dimension, name) for c, table in parts.items()}
        lines = {c: trend_lines(_own(table, dimension, name), c) for c, table in trends.items()}
        row = dict(published[(every[dimension] == name).to_numpy(bool)].iloc[0])
        body = [
            f"<h1>{safe(name)}, {safe(answers.month_text(month))}</h1>",
            f'<p class="answer">{_group_words(row, name, own, inner, month, every.facts.currency, until)}</p>',
            foot,
            answers.key_figures(row, every.facts.currency),
            *_evidence(row, own, lines, _own(daily, dimension, name), inner, every_name),
            *(
                []
                if is_unknown(row["priced"])
                else [f'<p class="note">{percent(row["priced"])} of these tokens have a price.</p>']
            ),
        ]
        (folder / link.file).write_text(page(f"{name}, {answers.month_text(month)}", "\n".join(body)), encoding="utf-8")
        links.append(link)
    return links


def _own(table: Table, dimension: str, name: str) -> Any:
    return table[table[dimension] == name].drop(columns=[dimension])


def plural(dimension: str) -> str:
    """Heading of a dimension's pages.

    >>> plural("cost_centre")
    'Cost centres'
    """
    return f"{answers.named(dimension).capitalize()}s"


def _group_words(
    row: Mapping[str, Any], name: str, own: dict[str, Any], inner: str, month: str, currency: str, until: str = ""
) -> str:
    """What a group cost, how that changed, and what weighs most in it, in one sentence of HTML."""
    if is_unknown(row["cost"]):
        return f"What {safe(name)} cost in {safe(answers.month_text(month))} is <strong>unknown</strong>: none of its usage has a known price."
    text = f"{safe(name)} cost <strong>{amount(row['cost'], currency)}</strong> in {safe(answers.month_text(month))}{f' up to {until}' if until else ''}"
    if not is_unknown(row["previous_cost"]):
        text += f", {answers.against(row['cost'], row['previous_cost'], currency, until)}"
    parts = own.get(inner)
    if parts is not None and len(parts) > 1 and row["cost"] > 0 and not is_unknown(parts["cost"].iloc[0]):
        first = parts.iloc[0]
        text += f"; {safe(answers.label(first[inner]))} is the largest {safe(answers.named(inner))} with {percent(first['cost'], row['cost'])}"
    return text + "."


def _evidence(
    row: Mapping[str, Any],
    tables: dict[str, Any],
    trends: dict[str, Any],
    daily: pd.DataFrame,
    inner: str,
    among: Sequence[str],
) -> list[str]:
    parts = []
    currency = daily.facts.currency
    if len(daily):
        heading = f"Cost per day by {answers.named(inner)}"
        figure = charts.stacked_days(daily, inner, currency=currency, title=heading, among=among)
        parts.append(charts.boxed(figure, answers.daily_alt(daily, inner)))
    for column, heading in BREAKDOWNS:
        if len(tables.get(column, ())) > 1:
            shown = answers.table_html(tables[column], DETAIL, top=12, whole=dict(row), trends=trends[column])
            parts += [f"<h2>{heading}</h2>", shown]
    return parts


def explorer_of(ws: Workspace, month: str, months: int = 13) -> str:
    """The body of the explorer's page.

    Raises:
        DataError: there is nothing that can be explored, such as costs in two currencies.
    """
    from finops_ai.widgets import static_explorer

    history = ws.history(month, months)
    if history.empty:
        raise DataError("There is nothing to explore.")
    source = f'fa.open("finops.toml").history({month!r})'
    fragment = static_explorer(history, timezone=ws.timezone, month=month, source=source, addressed=True)
    by = answers.first_dimension(ws)
    table = showback(history, by=[by], month=month, timezone=ws.timezone)
    words = answers.showback_words(table, by, month)
    return (
        f'<h1>Explorer</h1><p class="answer">{words}</p>{coverage.stamp_html(table, ws, month)}'
        '<p class="note">Choose what to see; everything is in this page, which needs no network.</p>' + fragment
    )


def coverage_page(ws: Workspace, month: str) -> str:
    """The body of the page that says what all figures of the report cover, once for all of them."""
    by = answers.first_dimension(ws)
    table = showback(ws.cube(month), by=[by], month=month, timezone=ws.timezone)
    return (
        f"<h1>What the figures cover, {safe(answers.month_text(month))}</h1>"
        f'<p class="answer">{coverage.words(table, ws, month)}</p>{coverage.coverage_html(table, ws, month)}'
    )


def save_page(ws: Workspace, month: str) -> str:
    """The body of the page of savings."""
    from finops_ai.reporting.savings import save_body

    return save_body(ws, month)


def kpi_page(ws: Workspace, month: str) -> str:
    """The body of the page of KPIs: each with the month's own figure and what it is made of, or why it is unknown."""
    from finops_ai.figures import catalogue
    from finops_ai.reporting.kpis import workspace_kpis

    table = workspace_kpis(ws, month)
    rows = table.astype(object).to_dict("records")
    lines, unknown = [], 0
    for r in rows:
        one = catalogue()[r["id"]]
        name = r["kpi"] + (f", {r['of']}" if r["of"] else "")
        parts = [answers.heading(part) for part in one.ratio or one.minus] or [(part, "money") for part in one.parts]
        made = [
            f"{_kpi(value, 'count' if isinstance(value, int) else kind, table.facts.currency)} {what[:1].lower()}{what[1:]}"
            for (what, kind), value in zip(
                map(_of_one, parts, (r["upper"], r["lower"])), (r["upper"], r["lower"]), strict=False
            )
            if not is_unknown(value) and not is_unknown(r["value"])
        ]
        unknown += is_unknown(r["value"])
        figure = UNKNOWN if is_unknown(r["value"]) else _kpi(r["value"], one.kind, table.facts.currency)
        unit = "" if one.kind in ("share", "ratio") else r["unit"]
        lines.append(
            [
                name,
                figure,
                unit,
                (" less " if one.kind == "money" else " / ").join(made) or _made_of(one),
                r["about"],
                r["remark"],
            ]
        )
    known = len(rows) - unknown
    said = f"<strong>{known}</strong> of the {len(rows)} KPIs of FinOps for AI can be made of this month’s data; the others say what it would take."
    grid = answers.grid(
        ["KPI", "Figure", "Unit", "Made of", "What it says", "Remark"],
        lines,
        texts=6,
        caption=f"Amounts in {table.facts.currency}",
        name="KPIs",
    )
    return f'<h1>KPIs, {safe(answers.month_text(month))}</h1><p class="answer">{said}</p>{grid}'


#: table -> where a report states it
_STATED = {"showback": "Who", "reconcile": "Invoices", "budgets": "Why", "past_error": "Plan", "recommend": "Save"}


def _made_of(one: Measure) -> str:
    """What a figure is made of, in the words of the figures it is made of; of a plain sum, its sentence says it."""
    if parts := one.ratio or one.minus:
        sign = " / " if one.ratio else " less "
        text = sign.join(answers.heading(part)[0].lower() for part in parts)
        return text[:1].upper() + text[1:] + (f" x {one.per:,}" if one.per > 1 else "")
    return f"The page {_STATED[one.given]}" if one.given in _STATED else ""


def _of_one(part: tuple[str, str], value: object) -> tuple[str, str]:
    """The words of a part of a figure, in the singular where it is a count of one."""
    one = value == 1 and (part[1] == "count" or isinstance(value, int))
    return (singular(part[0]), part[1]) if one else part


def _kpi(value: Decimal, kind: str, currency: str) -> str:
    """A KPI's figure: amounts in minor units, those below one of them as exactly as six places; small rates to four."""
    if kind == "money":
        cents = published(value, currency or "USD")
        return money(cents if cents or not value else round(value, 6), currency)
    return read(value, kind, 2 if abs(value) >= 1 else 4)


def glossary_page() -> str:
    """The body of the glossary, made of the registries of meters and measures: what each word and figure means."""
    from finops_ai.figures import catalogue
    from finops_ai.meters import meters

    token = (
        "A model reads and writes text in pieces called tokens: about four letters, or three quarters of a word, in English. "
        "Providers bill by them. What a token costs depends on the model, on whether it is read or written, on whether it was "
        "read from a cache, and on how fast the answer must come."
    )
    figures = [
        [m.label, m.about, _made_of(m) or m.formula, m.leaves_out or "–", m.unknown_when, m.source]
        for m in catalogue().values()
    ]
    kinds = [[m.name, m.description, m.unit] for m in meters().values()]
    heads = ["Figure", "What it says", "How it is made", "Leaves out", "Unknown when", "Source"]
    every = answers.grid(heads, figures, texts=6, caption="The catalogue of measures")
    meter = ["Meter", "What it counts", "Unit"]
    billed = answers.grid(meter, kinds, texts=3, caption="Meters never overlap, so they can be added up")
    return (
        f'<h1>Glossary</h1><h2>What is a token?</h2><p class="answer">{token}</p><h2>Every figure of this report</h2>{every}'
        f"<h2>Every class of usage that is billed</h2>{billed}"
    )


SEARCH = """
(function(){const box=document.getElementById("find"),list=document.getElementById("found"),data=JSON.parse(document.getElementById("names").textContent);
box.addEventListener("input",()=>{const q=box.value.trim().toLowerCase();list.replaceChildren();if(q.length<2)return;
const hits=data.filter(e=>e[0].toLowerCase().includes(q)).slice(0,12);
for(const [name,kind,href,cost] of hits){const li=document.createElement("li"),a=document.createElement("a"),s=document.createElement("small");a.href=href;a.textContent=name;s.textContent=[kind,cost].filter(Boolean).join(", ");li.append(a,s);list.append(li)}
if(!hits.length){const li=document.createElement("li");li.textContent="Nothing found.";list.append(li)}});})();
"""


def search_entries(
    frame: pd.DataFrame, links: Sequence[Link], dimensions: Sequence[str], currency: str, most: int = 400
) -> list[list[str]]:
    """What the search box finds: pages, then names of every dimension, the most expensive first."""
    from urllib.parse import quote

    pages = {(link.group, link.title): link.file for link in links if link.group}
    out = [[link.title, "page", link.file, ""] for link in links if not link.group]
    for dimension in dimensions:
        if dimension not in frame.columns or dimension in left_out_of(frame):
            continue
        kind = answers.named(dimension)
        for name, cost in dearest(frame, dimension)[:most]:
            if is_unknown(name):
                continue
            own = pages.get((plural(dimension), str(name)))
            href = own or f"explorer.html#{quote(dimension)}={quote(str(name), safe='')}"
            out.append([str(name), kind, href, amount(cost, currency) if not is_unknown(cost) else ""])
    return out


def dearest(frame: pd.DataFrame, by: str) -> list[tuple[str | None, Decimal | None]]:
    """Each name of a column with its published cost, the most expensive first, those of unknown cost last."""
    cost = PUBLISHED if PUBLISHED in frame.columns else "effective_cost"
    rows = grouped(frame, [by], {"cost": f"sum({cost})"}, needs=(cost,))
    return sorted(((r[by], r["cost"]) for r in rows), key=lambda pair: (pair[1] is None, -(pair[1] or 0), str(pair[0])))


def monthly(frame: pd.DataFrame, by: str, timezone: str) -> dict[str, list[Decimal | None]]:
    """Cost per month of each name, oldest first, for the small lines in tables; null where it is unknown."""
    return trend_lines(costs_by(frame, ["month", by], timezone), by)


def costs_by(frame: pd.DataFrame, keys: Sequence[str], timezone: str) -> Any:
    """Exact cost by some keys, for small lines; only what they need."""
    rows = grouped(frame, keys, {"cost": "sum(effective_cost)"}, timezone=timezone, needs=("effective_cost",))
    return pd.DataFrame(rows, columns=[*keys, "cost"], dtype=object)


def trend_lines(table: Table, by: str) -> dict[str, list[Decimal | None]]:
    """A table by month and name as one list per name; a month without a row is a month without cost."""
    months = sorted({str(m) for m in table["month"]})
    out: dict[str, list[Decimal | None]] = {}
    for month, name, cost in zip(table["month"], table[by], table["cost"], strict=True):
        line = out.setdefault(answers.label(name), [Decimal(0)] * len(months))
        line[months.index(str(month))] = None if is_unknown(cost) else cost
    return out
