"""A chargeback statement as a document: who owes what and why, its lines, incentives in words, the months before."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pandas as pd
from IPython.display import HTML, display

from finops_ai.errors import DataError, FinopsError
from finops_ai.html import render
from finops_ai.money import minor_units
from finops_ai.periods import parse_month, previous_month
from finops_ai.reporting import answers
from finops_ai.reporting.answers import month_text, named, note, say
from finops_ai.reporting.charging import plain_table
from finops_ai.reporting.planning import statement_file
from finops_ai.reporting.text import amount, percent, safe
from finops_ai.tables.journal import FILES
from finops_ai.tables.posting import TRUE_UP, Posting, posting
from finops_ai.tables.result import Table

if TYPE_CHECKING:
    from finops_ai.workspace import Workspace

#: kind of line -> the part of the statement it stands in, in printing order
PARTS = {
    "usage": "Usage", "fee": "Fees and margin", "markup": "Fees and margin", "minimum": "Fees and margin",
    "bill": "Other lines of the bill", "incentive": "Incentives", "funding": "Incentives", TRUE_UP: "True-ups of earlier months",
}  # fmt: skip
#: usage lines told apart; the smaller ones are one line here and all of them in the files
MOST_LINES = 24
#: true-up differences told apart on the overview
MOST_DIFFERENCES = 60
MONTHS = 6
#: follows the page into dark and onto paper
STYLE = """<style>
.statement table{width:100%}.statement th[scope=row]{max-width:none}.statement th,.statement .source{text-align:left;white-space:normal}.statement thead th:nth-child(n+2){text-align:right}
.statement .part{padding-top:14px;padding-left:0}.statement .source{border:0;padding-left:0;font-weight:400;font-size:13px}
.statement .sum>*{font-weight:650;border-top:1px solid var(--soft,#56616c)}.statement .due>*{font-weight:700;border-top:3px double var(--ink,#1c2126)}
.months td.bar{width:34%;min-width:120px}.months .bar span{display:block;height:12px;background:var(--accent,#0b5cad);print-color-adjust:exact}
.letter{display:grid;grid-template-columns:repeat(auto-fit,minmax(180px,1fr));gap:4px 24px;margin:4px 0 18px;padding:10px 0;border-top:2px solid var(--ink,#1c2126);border-bottom:1px solid var(--line,#d8dee4)}
.letter dt{font-size:13px;color:var(--soft,#56616c)}.letter dd{margin:0 0 6px;overflow-wrap:anywhere}.letter .who{font-size:1.35rem;font-weight:650;line-height:1.25}
@media (max-width:600px){.statement tr>:nth-child(n+2):not(:last-child),.months td.bar{display:none}}
@media print{h1{margin:0 0 .3em}h2{margin:1em 0 .2em}.statement table{font-size:9pt}.statement td,.statement th{padding-top:3px;padding-bottom:3px}.statement table,.statement tbody{break-inside:auto}.statement tr{break-inside:avoid}}
</style>"""


def chosen(post: Posting, receiver: str) -> str:
    """The receiver asked for, else whoever owes most.

    Raises:
        DataError: nobody is charged in the month.
    """
    if not receiver and not post.receivers:
        raise DataError(f"Nobody is charged in {post.month}: all its cost stays with the centre.")
    return receiver or post.receivers[0]


def head(post: Posting, receiver: str, ws: Workspace) -> None:
    """Show the statement's head: for whom, which month, whether it still may change, where it is posted."""
    entry = next((r for r in post.entries.to_dict("records") if r["cost_centre"] == receiver), None)
    items = [
        (named(post.charged.dimension).capitalize(), receiver),
        ("From", ws.name),
        ("Month", month_text(post.month)),
        ("State", state_text(post)),
    ]
    if entry:
        items.append(("Posted as", f"account {entry['account']}, entry {entry['entry']}"))
    cells = "".join(
        f"<div><dt>{safe(what)}</dt><dd{' class=who' if i == 0 else ''}>{safe(text)}</dd></div>"
        for i, (what, text) in enumerate(items)
    )
    display(HTML(f'{STYLE}<dl class="letter">{cells}</dl>'))


def state_text(post: Posting) -> str:
    """Whether a month is open or closed, with the day and the seal."""
    if not post.closed_at:
        return "open: provisional until the month is closed"
    return f"closed on {post.closed_at[:10]}, seal {post.seal[:12]}"


def sentence(post: Posting, receiver: str, ws: Workspace) -> None:
    """Say what is due, how that compares with the month before, and what it is made of."""
    own, lines = post.due(receiver), post.statement(receiver)
    text = (
        f"{safe(receiver)} owes <strong>{amount(own['due'], post.currency)}</strong> for {safe(month_text(post.month))}"
    )
    before = next(
        (p for p in _months(ws, post, 2) if p.month == f"{previous_month(parse_month(post.month)):%Y-%m}"), None
    )
    earlier = before.due(receiver)["due"] if before else Decimal(0)
    if earlier:
        change = own["due"] - earlier
        text += (
            f", {amount(abs(change), post.currency)} ({percent(abs(change), abs(earlier))}) "
            f"{'more' if change >= 0 else 'less'} than the month before"
        )
    sums = _sums(lines)
    if len(sums) > 1:
        told = [f"{amount(sums[part], post.currency)} {safe(_told(part))}" for part in sums]
        text += ": " + ", ".join(told)
    say(text + ".")


def _told(part: str) -> str:
    return {"Incentives": "through incentives"}.get(part, f"for {part.lower()}")


def _sums(lines: pd.DataFrame) -> dict[str, Decimal]:
    """Amount of each part of a statement."""
    out: dict[str, Decimal] = {}
    for part in dict.fromkeys(PARTS.values()):
        found = [a for k, a in zip(lines["kind"], lines["amount"], strict=True) if PARTS[k] == part]
        if found:
            out[part] = sum(found, Decimal(0))
    return out


def body(post: Posting, receiver: str) -> None:
    """Show the statement's lines by part with their sums, and what is due."""
    places = minor_units(post.currency)
    data = pd.DataFrame(post.statement(receiver)).astype(object)
    rows: list[Any] = data.where(data.notna(), None).to_dict("records")
    parts: list[tuple[str, list[tuple[str, list[str]]]]] = []
    for part, total in _sums(data).items():
        mine = [r for r in rows if PARTS[r["kind"]] == part]
        shown, rest = (mine, []) if len(mine) <= MOST_LINES + 1 else (mine[:MOST_LINES], mine[MOST_LINES:])
        lines = [("", [r["text"], _quantity(r), _rate(r), f"{r['amount']:,.{places}f}"]) for r in shown]
        if rest:
            left = sum((r["amount"] for r in rest), Decimal(0))
            lines.append(("", [f"{len(rest):,} smaller lines, each in statements.csv", "", "", f"{left:,.{places}f}"]))
        if len(mine) > 1:
            lines.append(("sum", [f"{part} in all", "", "", f"{total:,.{places}f}"]))
        parts.append((part, lines))
    due = post.due(receiver)["due"]
    parts.append(("To be posted", [("due", [f"Due for {month_text(post.month)}", "", "", f"{due:,.{places}f}"])]))
    made = render(
        "report/statement.html.j2", name=f"Statement for {receiver}", heads=["What", "Quantity", "Rate", "Amount"], parts=parts,
        source=f"Amounts in {post.currency}.",
    )  # fmt: skip
    display(HTML(str(made)))


def _quantity(row: Mapping[str, Any]) -> str:
    if row["quantity"] is None:
        return ""
    number = round(row["quantity"], 2)
    return f"{number:,.{0 if number == int(number) else 2}f} {row['unit'] or ''}".strip()


def _rate(row: Mapping[str, Any]) -> str:
    if row["rate"] is None:
        return ""
    per = f"1M {row['unit']}" if row["unit"] in ("tokens", "characters") else (row["unit"] or "unit").removesuffix("s")
    return f"{row['rate']:,.4f} per {per}"


def incentives(post: Posting, receiver: str) -> None:
    """Show in words and figures what incentives did to the charge."""
    rows = [r for r in post.statement(receiver).to_dict("records") if PARTS[r["kind"]] == "Incentives"]
    if not rows:
        note("No incentive changes this charge.")
        return
    total = sum((r["amount"] for r in rows), Decimal(0))
    word = "raise" if total > 0 else "lower" if total < 0 else "leave"
    said = f"Incentives {word} this charge" + (f" by {amount(abs(total), post.currency)}" if total else " as it is")
    cost = post.due(receiver)["cost"]
    share = f", {percent(abs(total), cost)} of its cost" if total and cost else ""
    items = "".join(
        f"<li><strong>{'+' if r['amount'] > 0 else '-' if r['amount'] else ''}{amount(abs(r['amount']), post.currency)}</strong> {safe(r['text'])}</li>"
        for r in rows
    )
    display(HTML(f"<p>{said}{share}. Over everybody they add up to nothing.</p><ul>{items}</ul>"))


def trend(post: Posting, receiver: str, ws: Workspace) -> None:
    """Show what was due in the last months, as figures and as bars."""
    months = _months(ws, post, MONTHS)
    rows = [(p, p.due(receiver)) for p in months]
    if len(rows) < 2:
        note("There is no earlier month to compare with.")
        return
    places = minor_units(post.currency)
    most = max(max(r["due"] for _, r in rows), Decimal(1))
    amounts = {
        "Usage and fees": [r["charge"] - r["incentive"] for _, r in rows],
        "Incentives": [r["incentive"] for _, r in rows],
        "True-ups": [r["true_up"] for _, r in rows],
        "Due": [r["due"] for _, r in rows],
    }
    heads = [h for h, values in amounts.items() if any(values) or h == "Due"]
    body = ""
    for i, (p, r) in reversed(list(enumerate(rows))):
        width = round(100 * max(r["due"], Decimal(0)) / most)
        body += (
            f'<tr><th scope="row">{month_text(p.month)}{", closed" if p.closed_at else ""}</th>'
            + "".join(f"<td>{amounts[h][i]:,.{places}f}</td>" for h in heads)
            + f'<td class="bar"><span style="width:{width}%"></span></td></tr>'
        )
    display(
        HTML(
            f'<div class="scroll" tabindex="0" role="region" aria-label="Due per month"><table class="months">'
            f"<caption>Amounts in {safe(post.currency)}, latest first</caption>"
            f'<thead><tr><th scope="col" class="text">Month</th>{"".join(f"""<th scope="col">{h}</th>""" for h in heads)}'
            f'<td class="bar"></td></tr></thead><tbody>{body}</tbody></table></div>'
        )
    )


def posted(ws: Workspace, month: str) -> Posting:
    """What a month posts (see `posting`), read once for all statements of a state of the workspace."""
    key = ("posting", month, ws.digest(), ws.ledger.head(), repr(ws.settings.policies))
    return ws.recent.once(key, lambda: posting(ws, month), keep=lambda post: True)


def _months(ws: Workspace, post: Posting, count: int) -> list[Posting]:
    """The postings of the last months up to this one; months that can't be charged are left out."""
    out = []
    for month in ws.months_before(post.month, count):
        if month == post.month:
            out.append(post)
            continue
        try:
            out.append(posted(ws, month))
        except FinopsError:
            continue
    return out


def ranking(post: Posting, ws: Workspace, linked: int = 0) -> None:
    """Show all receivers ranked by what is due, with the last months as a small line.

    Args:
        post: the month.
        ws: its workspace.
        linked: how many of the largest have a statement beside this page.
    """
    months = _months(ws, post, MONTHS)
    dues = [dict(zip(p.overview["receiver"], p.overview["due"], strict=True)) for p in months]
    trends = (
        {name: [d.get(name) for d in dues] for name in post.receivers[: max(linked, 20)]} if len(dues) > 1 else None
    )
    links = {name: statement_file(name) for name in post.receivers[:linked]}
    shown = [
        c
        for c in ("cost", "bill_lines", "margin", "incentive", "charge", "true_up", "due")
        if c in ("cost", "charge") or any(post.overview[c])
    ]
    if not any(post.overview["true_up"]):
        shown = [c for c in shown if c != "due"]
    named_after = Table.of(post.overview.rename(columns={"receiver": post.charged.dimension}), post.overview.facts)
    charged = "of those who are charged"
    display(
        HTML(answers.table_html(named_after, shown, top=max(linked, 20), links=links, trends=trends, period=charged))
    )


def overview_sentence(post: Posting) -> None:
    """Say what is charged to how many, what incentives move, what true-ups add, and whether the month is closed."""
    table, currency = post.overview, post.currency
    charge, cost, true_ups = (sum(table[c], Decimal(0)) for c in ("charge", "cost", "true_up"))
    moved = sum((v for v in table["incentive"] if v > 0), Decimal(0))
    people = f"{len(table):,} {safe(named(post.charged.dimension))}{'' if len(table) == 1 else 's'}"
    text = f"{safe(month_text(post.month))}: <strong>{amount(charge, currency)}</strong> is charged to {people} for {amount(cost, currency)} of cost"
    if moved:
        text += f"; incentives move {amount(moved, currency)} between them and add up to nothing"
    if true_ups or len(post.true_ups):
        text += f"; true-ups of earlier months add {amount(true_ups, currency)}"
    say(text + ".", f"The month is {safe(state_text(post))}.")


def corrections(post: Posting) -> None:
    """Show true-ups posted in this month, and where corrections of this month were posted; closed figures stay."""
    for table, column, caption, empty in (
        (post.true_ups, "month", f"Posted in {month_text(post.month)}, in {post.currency}", "No true-up of an earlier month is posted in this one."),
        (post.corrections, "posted_in", f"Posted since for {month_text(post.month)}, in {post.currency}; the figures above stay as closed", ""),
    ):  # fmt: skip
        rows = sorted(table.to_dict("records"), key=lambda r: -abs(r["difference"]))
        if not rows:
            if empty:
                note(empty)
            continue
        places = minor_units(post.currency)
        lines = [[month_text(r[column]), r["receiver"], r["cause"], f"{r['difference']:+z,.{places}f}"] for r in rows]
        total = sum((r["difference"] for r in rows), Decimal(0))
        if len(lines) > MOST_DIFFERENCES:
            left = sum((r["difference"] for r in rows[MOST_DIFFERENCES:]), Decimal(0))
            told = f"{len(lines) - MOST_DIFFERENCES:,} smaller differences"
            lines = [*lines[:MOST_DIFFERENCES], ["", "", told, f"{left:+z,.{places}f}"]]
        lines.append(["", "", "In all", f"{total:+z,.{places}f}"])
        heads = ["Of" if column == "month" else "In", named(post.charged.dimension).capitalize(), "Cause", "Difference"]
        display(HTML(plain_table(heads, lines, texts=3, caption=caption)))


def downloads(linked: int) -> None:
    """Show where the files are, on a page that belongs to a report."""
    if linked:
        files = "".join(f'<li><a href="tables/{name}" download>{name}</a></li>' for name in FILES)
        display(HTML(f"<p>All statements and the journal, as files:</p><ul>{files}</ul>"))
