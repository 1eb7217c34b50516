"""One line of Copilot use, from a report or from sums, and which money its parts are.

GitHub states a line gross, less what the pool of included credits covers, net. The pool goes to whoever comes first in the
month, so the net is whose use came last: right for the invoice, and no measure of who caused it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from finops_ai.errors import DataError, ProviderError
from finops_ai.frames import conform
from finops_ai.frames.types import COST_TYPE, QUANTITY_TYPE, TAGS_TYPE
from finops_ai.meters import disjoint_columns
from finops_ai.meters.slices import tokens_from_slices
from finops_ai.money import exact, split_exactly

if TYPE_CHECKING:
    import pandas as pd

DAY = dt.timedelta(days=1)
ZERO = Decimal(0)
#: stands for no credits where a row must be
LEAST = Decimal("0.000001")
Row = dict[str, Any]
#: sku -> what was done; what isn't listed is chat
OPERATIONS = {
    "coding_agent": "coding_agent",
    "code_review": "code_review",
    "code_quality": "code_quality",
    "spark": "spark",
}
TOKENS = ("input", "output", "cache_read", "cache_write")


@dataclass
class Line:
    """Use of one day by one person (or nobody named), SKU, model, organization, repository and cost center.

    `quantity` is in credits or premium requests; amounts are USD. `tokens` are the four disjoint counts, where told.
    """

    day: dt.datetime
    user: str | None
    sku: str
    model: str
    premium: bool
    quantity: Decimal
    gross: Decimal
    discount: Decimal
    net: Decimal
    organization: str | None = None
    repository: str | None = None
    cost_center: str | None = None
    tokens: Mapping[str, int] = field(default_factory=dict)
    quota: str | None = None

    @property
    def key(self) -> tuple[Any, ...]:
        """What tells lines apart: without the repository, rows of a coding agent would be lost."""
        return (
            self.day, self.user, self.sku, self.model, self.premium, self.organization, self.repository, self.cost_center,
            self.quota,
        )  # fmt: skip


def of_sums(day: dt.datetime, user: str | None, center: str | None, item: Row, owner: str | None) -> Line:
    """A line of the credit usage API: items carry no person, day or repository, so the caller says them."""
    try:
        gross, discount, net = (exact(item[name]) for name in ("grossAmount", "discountAmount", "netAmount"))
        quantity = exact(item["grossQuantity"])
        unit = str(item.get("unitType") or "")
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise ProviderError(f"github-copilot: a usage item can't be read ({type(error).__name__}: {error}).") from None
    return Line(
        day, user, str(item.get("sku") or "not stated"), str(item.get("model") or "not stated"), is_premium(unit),
        quantity, gross, discount, net, organization=owner, cost_center=center,
    )  # fmt: skip


def is_premium(unit: str) -> bool:
    """Whether a line counts premium requests; credits are spelled credits, ai-credits and more.

    >>> is_premium("requests"), is_premium("ai-credits")
    (True, False)
    """
    return "request" in unit.lower()


def minus(total: list[Row], part: list[Row], what: str) -> list[Row]:
    """What items leave of the total, by SKU and model.

    Raises:
        ProviderError: a part is larger than the total it is in.
    """
    names = ("grossQuantity", "grossAmount", "discountAmount", "netAmount", "discountQuantity", "netQuantity")
    rest = {(row.get("sku"), row.get("model"), row.get("unitType")): dict(row) for row in total}
    for row in part:
        left = rest.get((row.get("sku"), row.get("model"), row.get("unitType")))
        if left is None or exact(left["grossQuantity"]) < exact(row["grossQuantity"]):
            raise ProviderError(
                f"github-copilot: /{what} states more than the total. Nothing of this window was stored; run the same "
                "command again."
            )
        for name in names:
            left[name] = exact(left.get(name) or 0) - exact(row.get(name) or 0)
    return [row for row in rest.values() if any(exact(row.get(name) or 0) for name in names)]


def added(lines: Iterable[Line]) -> list[Line]:
    """Lines that agree in all they name, added up: they are sums of a day already."""
    found: dict[Any, Line] = {}
    for line in lines:
        known = found.get(line.key)
        if known is None:
            found[line.key] = line
            continue
        known.quantity, known.gross = known.quantity + line.quantity, known.gross + line.gross
        known.discount, known.net = known.discount + line.discount, known.net + line.net
        known.tokens = {
            name: known.tokens.get(name, 0) + line.tokens.get(name, 0) for name in {*known.tokens, *line.tokens}
        }
    return list(found.values())


def parts(line: Line) -> list[tuple[str, Decimal, Decimal, Mapping[str, int]]]:
    """The parts of a line by money: (basis, quantity, cost, tokens), which add up to it to the last digit.

    >>> day = dt.datetime(2026, 10, 20, tzinfo=dt.UTC)
    >>> line = Line(day, "bo", "s", "m", False, *map(Decimal, ("1000", "10", "2.99", "7.01")), tokens={"input": 1000})
    >>> [(basis, str(quantity), str(cost), tokens) for basis, quantity, cost, tokens in parts(line)]
    [('included', '299.000000', '2.99', {'input': 299}), ('cash', '701.000000', '7.01', {'input': 701})]
    """
    if line.quantity <= 0 or line.net < 0 or line.discount < 0:  # taken back: no row counts less than nothing
        first, second = ("included", line.discount), ("cash", line.net)
        if second[1] > first[1]:
            first, second = second, first
        told = [(*first, max(line.quantity, ZERO), line.tokens), (*second, ZERO, {})]
        return [
            (basis, quantity, cost, tokens)
            for basis, cost, quantity, tokens in told
            if quantity or cost or any(tokens.values())
        ]
    if not line.net:
        return [("included", line.quantity, line.discount or line.gross, line.tokens)]
    if not line.discount:
        return [("cash", line.quantity, line.net, line.tokens)]
    share = (line.quantity * line.net / line.gross).quantize(Decimal("1e-6"))
    weights = [int(line.discount.scaleb(18)), int(line.net.scaleb(18))]
    tokens = {name: split_exactly(count, weights) for name, count in line.tokens.items()}
    covered, charged = ({name: pair[i] for name, pair in tokens.items()} for i in (0, 1))
    return [("included", line.quantity - share, line.discount, covered), ("cash", share, line.net, charged)]


def token_frame(lines: Sequence[Line], *, account: str, source: str, notes: list[str]) -> pd.DataFrame:
    """Token frame of lines: each line's included part and its cash part are slices of their own.

    The cost stands once, on the row of the meter `credits` (or `premium_requests`). Where a line is covered in part, its
    tokens are shared out in proportion: that split of tokens is a convention, their sum is GitHub's.
    """
    whole = added(lines)
    back = [line for line in whole if line.quantity < 0]
    if back:
        credits, money = sum((line.quantity for line in back), ZERO), sum((line.net for line in back), ZERO)
        notes.append(
            f"{len(back)} lines take back {-credits:f} credits ({money:f} USD): their money counts, their credits stay in the use."
        )
    rows = [(line, *part) for line in whole for part in parts(line)]
    if not rows:
        return conform({}, source="github-copilot")
    counted: dict[str, Any] = disjoint_columns(
        [tokens for *_, tokens in rows], "copilot.report", lambda i: f"The line of {rows[i][0].day:%Y-%m-%d}", notes
    )
    quantities = [quantity for _, _, quantity, _, _ in rows]
    premium = [line.premium for line, *_ in rows]
    for meter, wanted in (("credits", False), ("premium_requests", True)):
        if wanted in premium:
            column = [(q or LEAST) if p is wanted else ZERO for q, p in zip(quantities, premium, strict=True)]
            counted[meter] = pa.array(column, QUANTITY_TYPE)
    columns: dict[str, Any] = {
        "charge_period_start": [line.day for line, *_ in rows],
        "charge_period_end": [line.day + DAY for line, *_ in rows],
        "provider": "github-copilot",
        "billing_account_id": account,
        "sub_account_id": pa.array([line.organization for line, *_ in rows], pa.string()),
        "model": [line.model for line, *_ in rows],
        "operation": [operation_of(line.sku) for line, *_ in rows],
        "service_tier": "standard",
        "user_id": pa.array([line.user for line, *_ in rows], pa.string()),
        "agent_name": pa.array(
            ["coding-agent" if "coding_agent" in line.sku else None for line, *_ in rows], pa.string()
        ),
        "tool_name": "copilot",
        "repository": pa.array([line.repository for line, *_ in rows], pa.string()),
        "tags": pa.array([_tags(line) for line, *_ in rows], TAGS_TYPE),
        "source": source,
        "quantity_basis": "metered",
        "money_basis": [basis for _, basis, _, _, _ in rows],
        "slice_requests": pa.array([None if quantity else 0 for quantity in quantities], pa.int64()),
        "billed_cost": pa.array([cost for *_, cost, _ in rows], COST_TYPE),
        "billing_currency": "USD",
    }
    return conform(once(tokens_from_slices(columns, counted), rows), source="github-copilot")


def once(table: pa.Table, rows: Sequence[Any]) -> pa.Table:
    """The cost of each slice on the row of its billed unit only; that of one without a unit on a row of quantity 0."""
    import pyarrow.compute as pc

    billed = pc.is_in(table["meter"], pa.array(["credits", "premium_requests"]))
    cost = pc.if_else(billed, table["billed_cost"], pa.scalar(None, COST_TYPE))
    moneyed = pc.and_(
        billed, pc.is_valid(table["slice_requests"])
    )  # money without credits: its row was kept by the least of them
    for name, values in (
        ("billed_cost", cost),
        ("quantity", pc.if_else(moneyed, pa.scalar(ZERO, QUANTITY_TYPE), table["quantity"])),
        ("slice_requests", pa.nulls(table.num_rows, pa.int64())),
    ):
        table = table.set_column(table.schema.get_field_index(name), name, values)
    return table


def operation_of(sku: str) -> str:
    """What was done, by the SKU.

    >>> operation_of("coding_agent_ai_credit"), operation_of("copilot_ai_credit")
    ('coding_agent', 'chat')
    """
    return next((word for part, word in OPERATIONS.items() if part in sku.lower()), "chat")


def _tags(line: Line) -> list[tuple[str, str]]:
    labels = {"cost_center": line.cost_center, "sku": line.sku, "monthly_quota": line.quota}
    return [(name, value) for name, value in labels.items() if value]


def require(holds: bool, place: str, text: str) -> None:
    """Raises DataError where something doesn't hold."""
    if not holds:
        raise DataError(f"{place}: {text} Nothing was stored; export it again.")
