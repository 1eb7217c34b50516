"""The columns rules may test: those of a token frame and those that pricing adds, with what they hold."""

from __future__ import annotations

from functools import cache

import pyarrow as pa

from finops_ai.frames import TokenFrame, schema_of
from finops_ai.money import COST, UNIT_PRICE

TAG = "tags."

#: columns that `price` adds, in order
PRICED = {
    "list_cost": pa.decimal128(*COST),
    "contracted_cost": pa.decimal128(*COST),
    "effective_cost": pa.decimal128(*COST),
    "list_unit_price": pa.decimal128(*UNIT_PRICE),
    "price_id": pa.string(),
    "price_status": pa.string(),
    "price_note": pa.string(),
    "pricing_currency": pa.string(),
    "model_developer": pa.string(),
    "model_family": pa.string(),
    "model_version": pa.string(),
}
#: operation of capacity that was paid for and served nobody
IDLE_OPERATION = "provisioned_idle"
#: what is invoiced for a row, contracted cost less what a credit or commitment pays for: added where contracts are settled
PAYABLE = "payable_cost"
#: the row's effective cost in whole minor units, decided once per month (`finops_ai.engine.cents`): added by `allocate`
PUBLISHED = "published_cost"
#: where costs were brought to the group's currency: the currency before, and the group's units for one of it
NATIVE = {"native_currency": pa.string(), "exchange_rate": pa.decimal128(*UNIT_PRICE)}


@cache
def columns() -> dict[str, pa.DataType]:
    """Every column of a priced token frame with its Arrow type; tags are named one by one, as `tags.<key>`."""
    return (
        {f.name: f.type for f in schema_of(TokenFrame) if f.name != "tags"}
        | PRICED
        | {PAYABLE: PRICED["contracted_cost"], PUBLISHED: PRICED["effective_cost"]}
        | NATIVE
    )


def kind_of_column(name: str) -> str | None:
    """What a column holds: "text", "number" or "instant"; None where there is no such column.

    >>> kind_of_column("model"), kind_of_column("charge_period_start"), kind_of_column("modl")
    ('text', 'instant', None)
    """
    kind = columns().get(name)
    if kind is None:
        return None
    if pa.types.is_timestamp(kind):
        return "instant"
    return "text" if pa.types.is_string(kind) else "number"
