"""Workloads: the finest cells that a change of cost is explained at, read from priced rows in one aggregation.

A workload is who and what for: the frame's dimensions, sub-account, key, prompt family (the prompt's name without its
version) and operation. Inside it lie cells: provider and model, service tier, place and meter, with quantity and cost.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from finops_ai.engine.plan import CHARGED
from finops_ai.errors import DataError, FrameError
from finops_ai.frames.origin import zone_of
from finops_ai.meters import Meter, meters
from finops_ai.tables.grouping import dimensions_of, grouped_table

if TYPE_CHECKING:
    from finops_ai.prices.currency import Rates

#: what tells workloads apart besides the dimensions, and cells within one; a column that a frame lacks counts as unknown
WHO = ("sub_account_id", "api_key_id", "prompt_id", "operation")
PRICED_BY = ("provider", "model", "service_tier", "region", "inference_geo", "meter")
#: share of a workload's tokens that may lie on days without counted requests before calls count as unknown
_UNCOUNTED = Decimal("0.01")
_VERSION = re.compile(r"(@.*|[-_:/. ]v\d+([._]\d+)*)$", re.IGNORECASE)
_IDLE, _CAPACITY = (
    ("provisioned_idle",),
    ("unit-hours", "GPU-hours", "hours", "model-months", "GiB-hours", "token-hours"),
)


def family_of(prompt: str | None) -> str | None:
    """A prompt's name without its version: versions of a prompt are one workload that changes.

    >>> family_of("support-answer@v5"), family_of("summary_v2.1"), family_of("3f9ab0"), family_of(None)
    ('support-answer', 'summary', '3f9ab0', None)
    """
    return None if prompt is None else _VERSION.sub("", prompt) or prompt


def version_of(prompt: str | None) -> str | None:
    """The version in a prompt's name.

    >>> version_of("support-answer@v5"), version_of("summary_v2.1"), version_of("summary")
    ('v5', 'v2.1', None)
    """
    found = None if prompt is None else _VERSION.search(prompt)
    return found[0].lstrip("@-_:/. ") or None if found else None


class Cell(NamedTuple):
    """What a unit's price depends on, within a workload."""

    vendor: tuple[str | None, str | None]  # provider, model
    tier: str | None
    place: tuple[str | None, str | None]  # region, inference geography
    meter: str

    @property
    def kind(self) -> Meter:
        """The meter with its unit and direction."""
        return meters()[self.meter]


class Workload(NamedTuple):
    """Who and what for; `extra` are further columns a caller groups by."""

    dimensions: tuple[str | None, ...]
    account: str | None
    key: str | None
    prompt: str | None
    operation: str | None
    extra: tuple[Any, ...] = ()


@dataclass
class Amount:
    """One cell's quantity and money: cost, and list cost where known, in the bridge's currency and as priced."""

    quantity: Decimal = Decimal(0)
    cost: Decimal = Decimal(0)
    listed: Decimal | None = Decimal(0)
    local: Decimal = Decimal(0)
    currency: str | None = ""
    #: prompt version and the account and key it lies under -> quantity and cost, for questions by prompt, key or account
    labels: dict[tuple[Any, ...], tuple[Decimal, Decimal]] = field(default_factory=dict)

    def add(self, other: Amount) -> None:
        """Put another amount of the same cell to this one."""
        self.currency = other.currency if self.currency in ("", other.currency) else None
        self.quantity, self.cost, self.local = (
            self.quantity + other.quantity, self.cost + other.cost, self.local + other.local,
        )  # fmt: skip
        self.listed = None if self.listed is None or other.listed is None else self.listed + other.listed
        for label, (quantity, cost) in other.labels.items():
            had = self.labels.get(label, (Decimal(0), Decimal(0)))
            self.labels[label] = (had[0] + quantity, had[1] + cost)

    def grown(self, factor: Decimal) -> Amount:
        """So many times as much at the same price."""
        labels = {name: (quantity * factor, cost * factor) for name, (quantity, cost) in self.labels.items()}
        listed = None if self.listed is None else self.listed * factor
        return Amount(self.quantity * factor, self.cost * factor, listed, self.local * factor, self.currency, labels)


@dataclass
class Side:
    """One period of one workload."""

    cells: dict[Cell, Amount] = field(default_factory=dict)
    calls: dict[Cell, Decimal] = field(default_factory=dict)  # by cell without a meter
    uncounted: Decimal = Decimal(0)

    @property
    def counted(self) -> bool:
        """Whether all of its calls are counted."""
        tokens = sum((a.quantity for c, a in self.cells.items() if c.kind.is_token), Decimal(0))
        return sum(self.calls.values(), Decimal(0)) > 0 and self.uncounted <= tokens * _UNCOUNTED

    def add(self, other: Side) -> None:
        """Put what another part of the workload used to this one."""
        for cell, amount in other.cells.items():
            self.cells.setdefault(cell, Amount()).add(amount)
        for cell, calls in other.calls.items():
            self.calls[cell] = self.calls.get(cell, Decimal(0)) + calls
        self.uncounted += other.uncounted

    def grown(self, factor: Decimal) -> Side:
        """The same work called so many times as often; what is bought by time or by seat stays as it is."""
        cells = {c: a if is_capacity(c) or is_seat(c) else a.grown(factor) for c, a in self.cells.items()}
        return Side(cells, {c: calls * factor for c, calls in self.calls.items()}, self.uncounted * factor)


def daily(
    frame: pd.DataFrame,
    dimensions: Sequence[str],
    extra: Sequence[str],
    timezone: str | None,
    folded: Collection[str] = (),
) -> pa.Table:
    """Quantity and cost by workload, cell and day: the one pass over the rows that all else is made of.

    `folded` are columns that workloads aren't told apart by, since one of the frames compared leaves them out.
    """
    listed = "list_cost" if "list_cost" in frame.columns else "NULL"
    needs = [
        c
        for c in ("quantity", "effective_cost", "list_cost", "price_status")
        if c in frame.columns or c == "price_status"
    ]
    names = dict.fromkeys([*dimensions, *WHO, *PRICED_BY, "pricing_currency", *extra])
    asked = {*dimensions, *extra}
    missing = [
        name
        for name in (*WHO, *PRICED_BY, "pricing_currency")
        if name not in frame.columns or (name in folded and name not in asked)
    ]
    table = grouped_table(
        frame,
        [*(n for n in names if n not in missing), "day"],
        {
            "sum_quantity": "sum(quantity) FILTER (WHERE effective_cost IS NOT NULL)",
            "sum_cost": "sum(effective_cost)",
            "sum_listed": f"sum({listed}) FILTER (WHERE effective_cost IS NOT NULL)",
            "unlisted": f"count(*) FILTER (WHERE effective_cost IS NOT NULL AND {listed} IS NULL)",
            "unpriced": f"count(*) FILTER (WHERE effective_cost IS NULL AND {CHARGED})",
        },
        timezone=zone_of(frame, timezone=timezone),
        needs=needs,
    )
    for name in missing:
        table = table.append_column(name, pa.nulls(table.num_rows, pa.string()))
    return table


def dimensions_in(*frames: pd.DataFrame) -> list[str]:
    """The dimensions that all frames have, in the first one's order."""
    names = [dimensions_of(frame) for frame in frames if len(frame)]
    return [d for d in (names[0] if names else []) if all(d in other for other in names)]


def money_of(tables: Sequence[pa.Table], currency: str | None, rates: Rates | None) -> str:
    """The currency a bridge speaks: the one given, else the only one there is.

    Raises:
        DataError: several currencies and no rates to bring them together.
    """
    found = sorted({c for t in tables for c in t["pricing_currency"].unique().to_pylist() if c})
    if currency is None and len(found) > 1:
        raise DataError(
            f"The rows are priced in {', '.join(found)}, and sums never mix currencies. Give currency= and rates= "
            "(finops_ai.prices.currency.Rates), or take the rows of one currency."
        )
    wanted = (currency or (found[0] if found else "")).upper()
    if rates is None and any(c != wanted for c in found):
        raise DataError(f"Rows priced in {', '.join(found)} can't be told in {wanted} without rates=.")
    return wanted


def sides(
    table: pa.Table, dimensions: Sequence[str], extra: Sequence[str], currency: str, rates: Rates | None
) -> dict[Workload, Side]:
    """The workloads of a period, from its daily cells."""
    out: dict[Workload, Side] = {}
    convert = rates is not None and any(
        c not in (None, currency) for c in table["pricing_currency"].unique().to_pylist()
    )
    for row in _rolled(table, [*dimensions, *extra], by_day=convert):
        work = Workload(
            tuple(row[d] for d in dimensions), row["sub_account_id"], row["api_key_id"], family_of(row["prompt_id"]),
            row["operation"], tuple(row[e] for e in extra),
        )  # fmt: skip
        side = out.setdefault(work, Side())
        cell = Cell(
            (row["provider"], row["model"]), row["service_tier"], (row["region"], row["inference_geo"]), row["meter"]
        )
        cost, listed = row["sum_cost"], None if row["unlisted"] else row["sum_listed"]
        if cost is None:  # unpriced throughout: counted elsewhere, not in the bridge
            continue
        rate = Decimal(1)
        if rates is not None and convert and row["pricing_currency"] not in (None, currency):
            rate = rates.rate(row["pricing_currency"], currency, row["day"])[0]
        label = (row["sub_account_id"], row["api_key_id"], row["prompt_id"])
        amount = Amount(
            row["sum_quantity"] or Decimal(0), cost * rate, None if listed is None else listed * rate, cost,
            row["pricing_currency"], {label: (row["sum_quantity"] or Decimal(0), cost * rate)},
        )  # fmt: skip
        side.cells.setdefault(cell, Amount()).add(amount)
        if cell.meter == "requests":
            group = cell._replace(meter="")
            side.calls[group] = side.calls.get(group, Decimal(0)) + amount.quantity
    for row in _uncounted(table, [*dimensions, *extra]):
        work = Workload(
            tuple(row[d] for d in dimensions), row["sub_account_id"], row["api_key_id"], family_of(row["prompt_id"]),
            row["operation"], tuple(row[e] for e in extra),
        )  # fmt: skip
        if work in out:
            out[work].uncounted += row["tokens"] or Decimal(0)
    return {work: side for work, side in out.items() if side.cells}


def _rolled(table: pa.Table, names: Sequence[str], *, by_day: bool) -> list[dict[str, Any]]:
    """Cells without their days."""
    keys = list(dict.fromkeys([*names, *WHO, *PRICED_BY, "pricing_currency", *(["day"] if by_day else [])]))
    sums = ["sum_quantity", "sum_cost", "sum_listed", "unlisted"]
    found = table.group_by(keys, use_threads=False).aggregate([(name, "sum") for name in sums])
    out: list[dict[str, Any]] = found.rename_columns([*keys, *sums]).to_pylist()
    return out


def _uncounted(table: pa.Table, names: Sequence[str]) -> list[dict[str, Any]]:
    """Tokens on days and models of a workload for which no request is counted."""
    keys = list(dict.fromkeys([*names, *WHO]))
    none = pa.scalar(None, table.schema.field("sum_quantity").type)
    token = pc.is_in(table["meter"], pa.array([m.name for m in meters().values() if m.is_token]))
    own = table.select([*dict.fromkeys([*keys, "provider", "model", "day"])])
    own = own.append_column("tokens", pc.if_else(token, table["sum_quantity"], none))
    own = own.append_column("calls", pc.if_else(pc.equal(table["meter"], "requests"), table["sum_quantity"], none))
    names = own.column_names[:-2]
    days = own.group_by(names, use_threads=False).aggregate([("tokens", "sum"), ("calls", "sum")])
    days = days.filter(pc.fill_null(pc.equal(days["calls_sum"].cast(pa.float64()), 0), True))
    out: list[dict[str, Any]] = (
        days.group_by(keys, use_threads=False)
        .aggregate([("tokens_sum", "sum")])
        .rename_columns([*keys, "tokens"])
        .to_pylist()
    )
    return out


def paired(before: Mapping[Workload, Side], after: Mapping[Workload, Side]) -> list[tuple[Workload, Side, Side]]:
    """Workloads of two periods side by side; one that only changed its key or account isn't gone and new.

    What one period lacks is looked for under the same dimensions, prompt family and operation: where the frame names
    neither a dimension nor a prompt, a new key stays a new workload.
    """
    pairs = {work: (work, before[work], after[work]) for work in before.keys() & after.keys()}
    loose: dict[tuple[Any, ...], tuple[list[Workload], list[Workload]]] = {}
    for i, (one, other) in enumerate(((before, after), (after, before))):
        for work in one.keys() - other.keys():
            known = work.prompt is not None or any(d not in (None, "unallocated") for d in work.dimensions)
            name = (work.dimensions, work.prompt, work.operation, work.extra) if known else (work,)
            loose.setdefault(name, ([], []))[i].append(work)
    for gone, new in loose.values():
        groups = [[*gone, *new]] if gone and new else [[work] for work in (*gone, *new)]
        for group in groups:
            sums = (Side(), Side())
            for work in sorted(group, key=str):
                for i, one in enumerate((before, after)):
                    if work in one and (one is before) == (work in gone):
                        sums[i].add(one[work])
            pairs[min(group, key=str)] = (min(group, key=str), *sums)
    return sorted(pairs.values(), key=lambda p: str(p[0]))


def is_idle(work: Workload) -> bool:
    """Whether a workload is capacity that nobody used."""
    return work.operation in _IDLE


def is_capacity(cell: Cell) -> bool:
    """Whether a cell is bought by time, used or not."""
    return cell.kind.unit in _CAPACITY


def is_seat(cell: Cell) -> bool:
    """Whether a cell is somebody's seat."""
    return cell.kind.unit == "seat-months"


def check_priced(name: str, *frames: pd.DataFrame) -> None:
    """Refuse frames without costs."""
    for frame in frames:
        if "effective_cost" not in frame.columns:
            raise FrameError(f"{name} takes priced rows; call fa.price first.")
