"""Costs of rows and bills in the group's currency, at dated rates, exact to the last digit of a cost."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import pyarrow as pa

from finops_ai.engine.dialects import DUCKDB
from finops_ai.engine.duck import ROW, Scan, connect, offsets_of, register
from finops_ai.engine.fields import NATIVE, PAYABLE
from finops_ai.engine.plan import COSTS
from finops_ai.engine.weights import WHOLE, amount, units
from finops_ai.errors import PriceError
from finops_ai.frames import to_pandas
from finops_ai.frames.types import COST_TYPE
from finops_ai.prices.currency import Conversion

#: cost columns of priced rows, and of bills
ROW_COSTS, BILL_COSTS = (*COSTS, PAYABLE), ("list_cost", "contracted_cost", "effective_cost", "billed_cost")


def in_group(
    frame: pd.DataFrame, conversion: Conversion, *, costs: Sequence[str] = ROW_COSTS, currency: str = "pricing_currency", timezone: str = "UTC"
) -> pd.DataFrame:  # fmt: skip
    """The frame with its costs in the group's currency, each row at the rate of its day, or as `day` of the section says.

    Each row keeps where it came from: `native_currency`, and `exchange_rate`, the group's units for one of it.

    Args:
        frame: priced rows, or bills.
        conversion: the `[currency]` section.
        costs: columns of amounts.
        currency: the column that says their currency; it says the group's afterwards.
        timezone: whose days and months.

    Raises:
        PriceError: a currency or day without a rate; names it.
    """
    known = [c for c in costs if c in frame.columns]
    if not len(frame):
        none = to_pandas(pa.table({name: pa.array([], kind) for name, kind in NATIVE.items()}))
        return frame.assign(**{name: none[name].array for name in NATIVE})
    with connect() as con:
        scan = Scan(con, frame, [*known, currency, "charge_period_start"], numbered=True)
        local = DUCKDB.local_time(
            scan.column("charge_period_start"), offsets_of(frame["charge_period_start"], timezone)
        )
        picked = ", ".join(scan.column(c) for c in (ROW, *known, currency))
        con.execute(f"CREATE TEMP TABLE mine AS SELECT {picked}, CAST({local} AS DATE) AS _day FROM {scan.name}")
        pairs = con.sql(f"SELECT DISTINCT {currency}, _day FROM mine WHERE {currency} IS NOT NULL").fetchall()
        register(con, "rates", conversion.table(pairs))
        rate = f"CAST(r.rate * CAST({WHOLE} AS DECIMAL(19,0)) AS HUGEINT)"
        made = []
        for name in known:
            whole = units(f"t.{name}", COST_TYPE.scale)
            text = f"(({whole}) // {WHOLE} * {rate} + ({whole}) % {WHOLE} * {rate} // {WHOLE})"
            made.append(f"CASE WHEN t.{currency} = r.currency THEN {amount(text, 38, COST_TYPE.scale)} END AS {name}")
        sql = f"SELECT {', '.join([*made, 'r.rate AS exchange_rate'])} FROM mine t LEFT JOIN rates r ON r.currency = t.{currency} AND r.day = t._day ORDER BY t.{ROW}"
        kinds = [(name, COST_TYPE) for name in known] + [("exchange_rate", NATIVE["exchange_rate"])]
        added = con.sql(sql).to_arrow_table().cast(pa.schema(kinds))
    out = frame.copy(deep=False)
    turned = to_pandas(added)
    for name in known:
        out[name] = pd.Series(turned[name].array, index=frame.index)
    told = frame[currency]
    out["native_currency"] = told.copy()
    out["exchange_rate"] = pd.Series(turned["exchange_rate"].array, index=frame.index)
    out[currency] = told.where(told.isna().to_numpy(), conversion.group).astype(told.dtype)
    out.attrs = dict(frame.attrs)
    if lost := [c for c in known if out[c].isna().sum() != frame[c].isna().sum()]:
        raise PriceError(f"Amounts in {lost[0]} without a currency can't be converted to {conversion.group}.")
    return out
