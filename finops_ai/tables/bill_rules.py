"""Rules for the lines of a bill that are no use of a model: refunds, credits, tax, support, fees, purchases, idle commitments.

    [[bill]]
    name = "support is the platform's"
    when = { kind = "fees", charge_description = { regex = "(?i)support" } }
    to = "platform"

The first rule that holds decides. `to` charges one receiver; `divide` charges all receivers in proportion to their cost on the
same billing account, of the provider, or of the company; `post` charges nobody and books the line on an account of `[journal]`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import pyarrow as pa

from finops_ai.engine.conditions import Condition, fields_of, parse_condition, to_sql
from finops_ai.engine.dialects import DUCKDB
from finops_ai.engine.duck import ROW, Scan, connect
from finops_ai.errors import RuleError, hint
from finops_ai.frames import schema_of
from finops_ai.frames.bills import BillFrame

#: what a line of a bill is, besides "usage" (see `finops_ai.tables.both_sides`)
KINDS = {
    "credits": "Credit",
    "adjustments": "Refund or correction",
    "discounts": "Discount",
    "fees": "Fee or support",
    "tax": "Tax",
    "purchases": "Purchase or commitment",
    "idle": "Idle part of a commitment",
    "unpriced": "Billed usage without a price of ours",
}
#: whose cost a divided line goes by
DIVIDED = ("account", "provider", "company")
#: accounts of the journal a line may be posted to instead of a receiver
POSTED = ("prepaid", "tax", "central")
#: what happens to lines that no rule of the company's own decides
DEFAULT = ({"name": "prepaid", "when": {"kind": "purchases"}, "post": "prepaid"},)


@dataclass(frozen=True)
class BillRule:
    """One rule: where `when` holds the line goes to a receiver (`to`), is divided (`divide`) or posted (`post`)."""

    name: str
    when: Condition
    to: str = ""
    divide: str = ""
    post: str = ""


#: lines that no rule decides: to whom the mapping rules give them, else divided within their billing account
MAPPED = BillRule("mapping rules", parse_condition({}, "", kind_of=lambda _: None, known=()))


def load_bill_rules(rows: object) -> tuple[BillRule, ...]:
    """Read the `[[bill]]` entries; the defaults come after them.

    Raises:
        RuleError: an unknown key, column or value, or no single thing to do.

    >>> [rule.post for rule in load_bill_rules([{"when": {"kind": "tax"}, "post": "tax"}])]
    ['tax', 'prepaid']
    """
    if not isinstance(rows or [], list):
        raise RuleError(f"bill: write [[bill]] entries, not {rows!r}.")
    return tuple(_rule(number, row) for number, row in enumerate([*(rows or []), *DEFAULT], 1))  # type: ignore[misc]


def _rule(number: int, row: object) -> BillRule:
    if not isinstance(row, Mapping):
        raise RuleError(f"bill, rule {number} must be a table, not {row!r}.")
    keys, place = ("name", "when", "to", "divide", "post"), f"bill, rule {number} ({row.get('name', '')})"
    for key in row:
        if key not in keys:
            raise RuleError(f"{place}: no key {key!r}. {hint(key, keys)}")
    told = {key: row[key] for key in ("to", "divide", "post") if key in row}
    if len(told) != 1 or not isinstance(value := next(iter(told.values())), str) or not value:
        raise RuleError(f"{place} needs one of to = 'RECEIVER', divide = 'account' and post = 'prepaid'.")
    for key, known in (("divide", DIVIDED), ("post", POSTED)):
        if key in told and told[key] not in known:
            raise RuleError(f"{place}: {key} = {told[key]!r} is unknown. {hint(str(told[key]), known)}")
    when = parse_condition(row.get("when", {}), f"{place}: when", kind_of=_kind_of, known=[*_columns(), "kind"])
    return BillRule(str(row.get("name", f"rule {number}")), when, **told)


def _columns() -> dict[str, pa.DataType]:
    return {f.name: f.type for f in schema_of(BillFrame) if f.name != "tags"}


def _kind_of(name: str) -> str | None:
    if name == "kind" or (name.startswith("tags.") and name != "tags."):
        return "text"
    kind = _columns().get(name)
    if kind is None:
        return None
    return "instant" if pa.types.is_timestamp(kind) else "text" if pa.types.is_string(kind) else "number"


def decide(lines: pd.DataFrame, rules: Sequence[BillRule]) -> list[BillRule]:
    """The rule of each line, in order; `MAPPED` where none holds.

    Args:
        lines: lines of a bill, with `kind`.
        rules: what `load_bill_rules` gives.
    """
    if not len(lines) or not rules:
        return [MAPPED] * len(lines)
    with connect() as con:
        fields = sorted(set().union(*(fields_of(rule.when) for rule in rules)) | {"kind"})
        scan = Scan(con, lines, fields, name="lines", numbered=True)

        def column(name: str) -> str:
            if name.startswith("tags."):
                return DUCKDB.tag.format(x=scan.column("tags"), v=DUCKDB.literal(name.removeprefix("tags.")))
            return scan.column(name)

        whens = " ".join(f"WHEN {to_sql(rule.when, DUCKDB, column)} THEN {i}" for i, rule in enumerate(rules))
        found = con.sql(f"SELECT CASE {whens} ELSE -1 END FROM {scan.name} ORDER BY {ROW}").fetchall()
    return [MAPPED if i < 0 else rules[i] for (i,) in found]
