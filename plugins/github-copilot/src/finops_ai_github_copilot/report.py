"""GitHub's usage reports as CSV, in all their forms: columns are found by name, whatever others there are.

The report of AI credits had 17 columns in June 2026 and 21 since August, the one of premium requests fewer; the detailed report
holds every product, seats and Actions minutes too.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from finops_ai.errors import DataError
from finops_ai.money import exact
from finops_ai.periods import UTC
from finops_ai.providers.files import csv_rows
from finops_ai.providers.parsing import require_shape
from finops_ai_github_copilot.items import TOKENS, Line, Row, is_premium, require
from finops_ai_github_copilot.shapes import ITEM

#: spellings of a column, in lower case without blanks and underscores
NAMES = {
    "date": ("date", "usageat"), "user": ("username", "user"), "product": ("product",), "sku": ("sku",), "model": ("model",),
    "quantity": ("quantity",), "unit": ("unittype", "unit"), "price": ("appliedcostperquantity", "priceperunit", "price"),
    "gross": ("grossamount",), "discount": ("discountamount",), "net": ("netamount",),
    "quota": ("totalmonthlyquota", "monthlyquota"), "organization": ("organization", "organizationname"),
    "repository": ("repository", "repositoryname"), "center": ("costcentername", "costcenter"),
    "credits": ("aicquantity",), "credits_gross": ("aicgrossamount",), "workflow": ("workflowpath", "actionsworkflow", "workflow"),
    "input": ("input", "inputtokens"), "output": ("output", "outputtokens"), "cache_read": ("cacheread", "cachereadtokens"),
    "cache_write": ("cachewrite", "cachewritetokens"),
}  # fmt: skip
NEEDED = ("date", "sku", "quantity", "gross", "net")
#: seats among the SKUs
SEATS = ("copilot for business", "copilot enterprise", "copilot business", "copilot standalone")
#: how paths of Copilot's own workflows begin
AGENTS = "dynamic/agents/"


@dataclass
class Charge:
    """A line that isn't use of credits: a seat, or another product's."""

    day: dt.datetime
    sku: str
    product: str
    quantity: Decimal
    unit: str
    price: Decimal | None
    gross: Decimal
    discount: Decimal
    net: Decimal
    organization: str | None = None
    repository: str | None = None
    cost_center: str | None = None
    user: str | None = None
    workflow: str | None = None


def is_report(header: list[str]) -> bool:
    """Whether a CSV's header is one of GitHub's usage reports."""
    known = {_plain(name) for name in header}
    return all(any(spelling in known for spelling in NAMES[name]) for name in NEEDED)


def read(content: bytes, place: object, notes: list[str]) -> Iterator[Line | Charge]:
    """The lines of a report.

    Raises:
        DataError: a column is missing, a figure is none, or gross less discount isn't the net; names line and value.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{place}: not UTF-8 text ({error.reason} at byte {error.start}). Export it again.") from None
    columns: dict[str, str] = {}
    for number, row in csv_rows(text, place):
        if not columns:
            columns = _columns(list(row), place)
        where = f"{place}, line {number}"
        said = {name: (row[column] or "").strip() for name, column in columns.items()}
        try:
            day = dt.datetime.fromisoformat(said["date"][:10]).replace(tzinfo=UTC)
        except ValueError:
            raise DataError(f"{where}: date is {said['date']!r}, must be a day. Nothing was stored.") from None
        yield _line(said, day, where)
    if not columns:
        notes.append(f"{place}: has no rows.")


def _columns(header: list[str], place: object) -> dict[str, str]:
    plain = {_plain(name): name for name in header}
    found = {what: next((plain[s] for s in spellings if s in plain), "") for what, spellings in NAMES.items()}
    if missing := [what for what in NEEDED if not found[what]]:
        raise DataError(f"{place}: no column for {missing}; it has {header[:40]}. Export GitHub's usage report again.")
    return {what: column for what, column in found.items() if column}


def _line(said: dict[str, str], day: dt.datetime, where: str) -> Line | Charge:
    gross, net, quantity = (_number(said, name, where) for name in ("gross", "net", "quantity"))
    discount = _number(said, "discount", where) if "discount" in said else gross - net
    require(gross - discount == net, where, f"gross {gross} less discount {discount} is not the net {net}.")
    place: Row = {
        "organization": said.get("organization") or None,
        "repository": said.get("repository") or None,
        "cost_center": said.get("center") or None,
    }
    unit, sku = said.get("unit", ""), said["sku"]
    if is_seat(sku) or not is_use(sku, unit):
        price = _number(said, "price", where) if said.get("price") else None
        return Charge(
            day, sku, said.get("product", ""), quantity, unit, price, gross, discount, net, **place,
            user=said.get("user") or None, workflow=said.get("workflow") or None,
        )  # fmt: skip
    premium = is_premium(unit)
    if not premium:  # quantity and aic_quantity are the same credits: either may be 0, and they are never added
        credits = _number(said, "credits", where) if said.get("credits") else Decimal(0)
        value = _number(said, "credits_gross", where) if said.get("credits_gross") else Decimal(0)
        if quantity and credits and quantity != credits:
            raise DataError(f"{where}: quantity {quantity} and aic_quantity {credits} are the same credits and differ.")
        quantity = quantity or credits
        if not gross and not net:
            gross = discount = value
    tokens = {name: int(_number(said, name, where)) for name in TOKENS if said.get(name)}
    return Line(
        day, said.get("user") or None, sku, said.get("model") or "not stated", premium, quantity, gross, discount, net, **place,
        tokens=tokens, quota=said.get("quota") if said.get("quota") not in ("", "0") else None,
    )  # fmt: skip


def is_seat(sku: str) -> bool:
    """Whether a SKU is a seat, in the reports' spelling or the API's.

    >>> is_seat("copilot_for_business"), is_seat("Copilot Enterprise"), is_seat("copilot_ai_credit")
    (True, True, False)
    """
    return sku.lower().replace("_", " ").strip() in SEATS


def is_use(sku: str, unit: str) -> bool:
    """Whether a line counts AI credits or premium requests.

    >>> is_use("code_review_ai_credit", "ai-credits"), is_use("Actions Linux", "minutes")
    (True, False)
    """
    word = sku.lower().replace("_", " ")
    return "ai credit" in word or "premium request" in word or "credit" in unit.lower()


def _number(said: dict[str, str], name: str, where: str) -> Decimal:
    text = said.get(name, "") or "0"
    try:
        value = exact(text.replace(",", ""))
        if not value.is_finite() or (value < 0 and name in TOKENS) or (name in TOKENS and value != int(value)):
            raise ValueError
    except (ValueError, ArithmeticError):
        raise DataError(f"{where}: {name} is {text!r}, must be a number. Nothing was stored.") from None
    return value


def _plain(name: str) -> str:
    return name.strip().strip('"').lower().replace("_", "").replace(" ", "")


def of_item(item: Row, center: str | None) -> Charge:
    """A line of the billing usage API."""
    require_shape(item, ITEM, "github-copilot: a line of the billing usage")
    try:
        day: Any = dt.datetime.fromisoformat(item["date"][:10]).replace(tzinfo=UTC)
    except ValueError:
        raise DataError(f"github-copilot: date is {item['date']!r}, must be a day. Nothing was stored.") from None
    figures = [exact(item[name]) for name in ("quantity", "grossAmount", "discountAmount", "netAmount")]
    price = None if item.get("pricePerUnit") is None else exact(item["pricePerUnit"])
    return Charge(
        day, str(item["sku"]), str(item.get("product") or ""), figures[0], str(item.get("unitType") or ""), price, *figures[1:],
        organization=item.get("organizationName") or None, repository=item.get("repositoryName") or None, cost_center=center,
        workflow=item.get("workflowPath") or None,
    )  # fmt: skip
