"""What the allocation and chargeback pages say: how much found its owner, what to fix, what the journal posts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from IPython.display import HTML, display

from finops_ai.money import written
from finops_ai.reporting import owners
from finops_ai.reporting.answers import label, month_text, named, note, say
from finops_ai.reporting.text import Amount, amount, count, is_unknown, percent, safe

if TYPE_CHECKING:
    from finops_ai.tables.result import Table


def allocation_sentence(table: Table, by: str, month: str, words: Mapping[str, str]) -> None:
    """Say how much of the cost is charged to somebody, and what the rest is.

    Args:
        table: showback by one dimension.
        by: that dimension.
        month: the month shown.
        words: its values that are nobody, and what they are called (see `owners.apart`).
    """
    owned, lines = owners.split(table, by, words)
    total = owned + sum((line.cost for line in lines), Decimal(0))
    if not total:
        say(f"There is no priced usage in {safe(month_text(month))}.")
        return
    currency = table.facts.currency
    text = f"<strong>{percent(owned, total)}</strong> of {amount(total, currency)} in {safe(month_text(month))} has a {safe(named(by))}"
    rest = [
        f"{amount(line.cost, currency)} ({percent(line.cost, total)}) is {safe(line.words[:1].lower() + line.words[1:])}"
        for line in lines
    ]
    say(f"{text}; {', '.join(rest)}." if rest else f"{text}: all of it.")


def findings(table: Table, kinds: Sequence[str], empty: str) -> None:
    """Show the findings of a rule check of some kinds, or say that there are none."""
    rows = [r for r in table.published().to_dict("records") if r["finding"] in kinds]
    if not rows:
        note(empty)
        return
    lines = [
        [label(r["rule"] or r["other"]) if not is_unknown(r["rule"] or r["other"]) else "", _text(r["value"]), _text(r["text"]), _number(r["rows"]), _money(r["cost"], table.facts.currency)]
        for r in ({k: None if is_unknown(v) else v for k, v in row.items()} for row in rows)
    ]  # fmt: skip
    display(
        HTML(
            plain_table(
                ["Rule or field", "Value", "What to do", "Rows", "Cost"],
                lines,
                texts=3,
                caption=f"Amounts in {table.facts.currency}",
            )
        )
    )


def journal_lines(entries: Table, top: int = 200) -> None:
    """Show the journal with its sums: the largest entries, in their order, and the smaller ones as one line."""
    rows, currency = entries.published().to_dict("records"), entries.facts.currency
    shown = rows
    if len(rows) > top:
        by_size = sorted(range(len(rows)), key=lambda i: -max(rows[i]["debit"], rows[i]["credit"]))
        shown = [rows[i] for i in sorted(by_size[:top])]
    sums = [sum((r[k] for r in rows), Decimal(0)) for k in ("debit", "credit")]
    told = [sum((r[k] for r in shown), Decimal(0)) for k in ("debit", "credit")]
    lines = [
        [
            _text(r["account"]),
            _text(r["cost_centre"]),
            _text(r["text"]),
            _money(r["debit"] or None, currency),
            _money(r["credit"] or None, currency),
        ]
        for r in shown
    ]
    if len(shown) < len(rows):
        rest = [whole - part for whole, part in zip(sums, told, strict=True)]
        lines.append(
            [
                "",
                "",
                f"{len(rows) - len(shown):,} smaller entries, each in journal.csv",
                *(_money(v, currency) for v in rest),
            ]
        )
    lines.append(["", "", "Sum", *(_money(v, currency) for v in sums)])
    display(
        HTML(
            plain_table(
                ["Account", "Cost centre", "Text", "Debit", "Credit"],
                lines,
                texts=3,
                caption=f"Amounts in {currency}",
            )
        )
    )


def plain_table(heads: Sequence[str], lines: Sequence[Sequence[str]], *, texts: int, caption: str) -> str:
    """An HTML table: the first `texts` columns are text, the rest figures; cells are escaped here."""
    kind = ['class="text"' if i < texts else "" for i in range(len(heads))]
    head = "".join(f'<th scope="col" {k}>{safe(h)}</th>' for h, k in zip(heads, kind, strict=True))
    body = "".join(
        f"<tr>{''.join(f'<td {k}>{safe(c)}</td>' for c, k in zip(line, kind, strict=True))}</tr>" for line in lines
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{safe(heads[0] or heads[1])}"><table><caption>{safe(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _text(value: object) -> str:
    return "" if is_unknown(value) else str(value)


def _number(value: Amount) -> str:
    return "" if is_unknown(value) else count(value)


def _money(value: Amount, currency: str) -> str:
    return "" if is_unknown(value) else written(value, currency, finest=True)


def _rate(value: object) -> str:
    return "" if is_unknown(value) else f"{value:,.4f}"
