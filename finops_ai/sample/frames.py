"""The sample company as frames: tokens, gateway telemetry, bills, truth, events, plan and business figures."""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from finops_ai.errors import SettingsError
from finops_ai.frames import BillFrame, conform, to_pandas
from finops_ai.frames.types import COST_TYPE, QUANTITY_TYPE
from finops_ai.meters import meters
from finops_ai.periods import next_month, parse_month
from finops_ai.sample.company import IDENTITY, METERS, TAGS, company, days, exact_decimals, slices_table

if TYPE_CHECKING:
    import pandas as pd

PERIOD = ["charge_period_start", "charge_period_end"]


def tokens(months: int = 13, *, late: bool = True) -> pd.DataFrame:
    """Token frame of the sample company: what its providers' usage APIs and tags tell, down to prompts.

    One row per meter, day, key or resource, user, model, tier and prompt template; UTC days; about 63,000 rows for 13
    months. Calls through the shared gateway key carry no team and no prompt (`telemetry()` tells them apart).

    Args:
        months: how many of the last months to give, 1 to 13; the last is October 2026.
        late: whether usage that a provider reported only after its month was closed is in.

    Raises:
        SettingsError: months outside 1 to 13.

    >>> frame = tokens(months=1)
    >>> int(frame["provider"].nunique()), str(frame["charge_period_start"].min())
    (6, '2026-10-01 00:00:00+00:00')
    """
    table = _last(months)
    if not late:
        table = table.filter(pc.invert(table["late"]))
    shared = table["gateway"]
    table = table.set_column(
        table.schema.get_field_index("prompt_id"),
        "prompt_id",
        pc.if_else(shared, pa.scalar(None, pa.string()), table["prompt_id"]),
    )
    return _tokens(_add_up(_tell_idle(table)), source="api")


def telemetry(months: int = 13) -> pd.DataFrame:
    """Token frame of the gateway's own log: the shared key's calls by team and prompt, `source` "gateway".

    It covers the same calls as the rows of `key_gateway_shared` in `tokens()`: use it to split them, never add it.

    >>> sorted(set(dict(t)["team"] for t in telemetry(months=1)["tags"]))
    ['growth', 'legal', 'mobile', 'support']
    """
    table = _last(months).filter(pc.field("gateway"))
    told = zip(*(table[name].to_pylist() for name in ("cost_centre", "product", "team")), strict=True)
    tags = pa.array([[("cost_centre", c), ("product", p), ("team", t)] for c, p, t in told], type=TAGS)
    table = table.set_column(table.schema.get_field_index("tags"), "tags", tags)
    return _tokens(table, source="gateway")


def slices(months: int = 13) -> pd.DataFrame:
    """The ground truth, wide: one row per day, workload, user, model and tier (columns in `finops_ai.sample.company`).

    >>> frame = slices(months=1)
    >>> sorted(frame["team"].unique())
    ['data', 'growth', 'legal', 'mobile', 'platform', 'research', 'search', 'support']
    """
    return to_pandas(_last(months))


def truth(months: int = 13) -> pd.DataFrame:
    """Who the cost was really for: exact list cost (USD) by day, team, product, prompt, model and cause.

    >>> list(truth(months=1).columns)[:4]
    ['day', 'provider', 'team', 'product']
    """
    table = _last(months)
    day = table["charge_period_start"].cast(pa.timestamp("us")).cast(pa.date32())
    table = table.append_column("day", day)
    keys = [
        "day",
        "provider",
        "team",
        "product",
        "environment",
        "cost_centre",
        "workload",
        "prompt_id",
        "model",
        "service_tier",
        "cause",
    ]
    sums = [("requests", "sum"), ("list_cost", "sum")]
    out = table.group_by(keys, use_threads=False).aggregate(sums)
    return to_pandas(out.rename_columns([*keys, "requests", "list_cost"]).cast(_with(out, keys)))


def _with(table: pa.Table, keys: list[str]) -> pa.Schema:
    fields = [pa.field(k, table.schema.field(k).type) for k in keys]
    return pa.schema([*fields, pa.field("requests", pa.int64()), pa.field("list_cost", COST_TYPE)])


def events() -> pd.DataFrame:
    """Everything that changed, with its date, kind, products and cause: the answer sheet for explain and anomalies.

    >>> events()["id"].tolist()[-1]
    'support-spike'
    """
    rows = []
    for event in sorted(company()["events"], key=lambda e: e["date"]):
        works = [company()["workloads"][w] for w in event["workloads"]]
        rows.append(
            {
                "date": event["date"],
                "last_date": event.get("last_date", event["date"]),
                "id": event["id"],
                "kind": event["kind"],
                "team": works[0]["team"],
                "product": works[0]["product"],
                "text": event["text"],
            }
        )
    return to_pandas(pa.Table.from_pylist(rows))


def bills(months: int = 13) -> pd.DataFrame:
    """Bill frame of the company: its usage at list prices by day, sub-account, model, meter and tier, and the credits.

    >>> bills(months=1)["billed_cost"].sum() > 10_000
    True
    """
    table = _last(months)
    rows: dict[tuple[Any, ...], int] = {}
    quantities: dict[tuple[Any, ...], int] = {}
    priced = _meter_costs(table)
    for key, cost, quantity in priced:
        rows[key] = rows.get(key, 0) + cost
        quantities[key] = quantities.get(key, 0) + quantity
    keys = sorted(rows, key=str)
    start = [k[0] for k in keys]
    columns = {
        "provider": [k[1] for k in keys],
        "billing_account_id": [k[2] for k in keys],
        "sub_account_id": [k[3] for k in keys],
        "sub_account_name": [k[4] for k in keys],
        "region": [k[5] for k in keys],
        "resource_id": [k[6] for k in keys],
        "model": [k[7] for k in keys],
        "meter": [k[8] for k in keys],
        "service_tier": [k[9] for k in keys],
        "charge_description": [f"{k[7]}, {k[8]}" + ("" if k[9] == "standard" else f", {k[9]}") for k in keys],
        "consumed_quantity": [Decimal(quantities[k]) for k in keys],
        "consumed_unit": [meters()[k[8]].unit for k in keys],
        "billed_cost": [Decimal(rows[k]).scaleb(-12) for k in keys],
        "tags": [None if k[10] is None else list(k[10]) for k in keys],
        "charge_category": ["Usage"] * len(keys),
    }
    for event in company()["events"]:
        moment = np.datetime64(event["date"])
        if event["kind"] == "credit" and moment >= _first_day(months):
            channel = next(
                c for c in company()["channels"].values() if c.get("sub_account_id") == event["sub_account_id"]
            )
            start.append(moment.astype("datetime64[us]").item())
            for name, values in columns.items():
                values.append(
                    channel.get(name)
                    if name in ("provider", "billing_account_id", "sub_account_id", "sub_account_name")
                    else None
                )
            columns["charge_description"][-1] = event["text"]
            columns["charge_category"][-1] = "Credit"
            columns["meter"][-1] = "unmapped"
            columns["billed_cost"][-1] = Decimal(event["amount"])
    begin = pa.array([s.replace(tzinfo=None) for s in start], type=pa.timestamp("us")).cast(pa.timestamp("us", "UTC"))
    first = [s.date().replace(day=1) for s in start]
    columns |= {
        "charge_period_start": begin,
        "charge_period_end": pc.add(begin, pa.scalar(86_400_000_000, pa.duration("us"))),
        "billing_period_start": pa.array(first, type=pa.date32())
        .cast(pa.timestamp("us"))
        .cast(pa.timestamp("us", "UTC")),
        "billing_period_end": pa.array([next_month(d) for d in first], type=pa.date32())
        .cast(pa.timestamp("us"))
        .cast(pa.timestamp("us", "UTC")),
        "list_cost": columns["billed_cost"],
        "effective_cost": columns["billed_cost"],
        "contracted_cost": columns["billed_cost"],
        "billing_currency": ["USD"] * len(start),
        "source": ["billing_export"] * len(start),
    }
    return conform(columns, BillFrame, source="the sample company")


def _meter_costs(table: pa.Table) -> list[tuple[tuple[Any, ...], int, int]]:
    """Key of the charge, cost in whole 10**-12 USD and quantity, of every meter of every slice that costs anything."""
    from finops_ai.sample.company import unit_prices

    prices, out = unit_prices(), []
    names = [
        "provider",
        "billing_account_id",
        "sub_account_id",
        "sub_account_name",
        "region",
        "resource_id",
        "model",
        "service_tier",
        "tags",
    ]
    data = {name: table[name].to_pylist() for name in [*PERIOD, *names, *METERS]}
    first = days()[0].item()
    for i in range(table.num_rows):
        tier = data["service_tier"][i]
        price = prices[f"{data['provider'][i]}/{data['model'][i]}"]
        day = (data["charge_period_start"][i].date() - first).days
        tags = data["tags"][i]
        for meter in METERS:
            quantity = data[meter][i]
            if not quantity or meter not in price:
                continue
            whole = quantity * int(price[meter][day])
            cost = (
                whole
                if meter == "provisioned_hours"
                else 0
                if tier == "provisioned"
                else whole // 2
                if tier == "batch"
                else whole
            )
            if cost:
                key = (
                    data["charge_period_start"][i],
                    *(data[n][i] for n in names[:7]),
                    meter,
                    tier,
                    None if tags is None else tuple(tags),
                )
                out.append((key, cost, quantity))
    return out


def plan() -> pd.DataFrame:
    """The year's plan: USD per month and team, made from the first quarter's cost with 3 % growth a month.

    >>> sorted(plan().columns)
    ['amount', 'currency', 'month', 'team']
    """
    table = slices_table()
    start, rows = parse_month(company()["first_month"]), []
    months = [start]
    while len(months) < company()["months"]:
        months.append(next_month(months[-1]))
    base: dict[str, Decimal] = dict.fromkeys(company()["teams"], Decimal(0))
    for team, cost, moment in zip(
        table["team"].to_pylist(), table["list_cost"].to_pylist(), table["charge_period_start"].to_pylist(), strict=True
    ):
        if moment.date() < months[3]:
            base[team] += cost / 3
    for i, month in enumerate(months):
        for team, amount in base.items():
            rows.append(
                {
                    "month": f"{month:%Y-%m}",
                    "team": team,
                    "amount": round(amount * Decimal("1.03") ** i, 2),
                    "currency": "USD",
                }
            )
    return to_pandas(pa.Table.from_pylist(rows))


def business_metrics() -> pd.DataFrame:
    """What the products delivered: `day`, `product`, `metric`, `value` (whole numbers), for unit economics.

    >>> sorted(business_metrics()["metric"].unique())
    ['contracts reviewed', 'conversations resolved', 'documents processed', 'searches answered']
    """
    yields = {
        "support-answer": ("conversations resolved", 0.21),
        "site-search-answer": ("searches answered", 0.93),
        "document-extraction": ("documents processed", 0.88),
        "contract-review": ("contracts reviewed", 0.62),
    }
    table = slices_table()
    sums = (
        table.group_by(["charge_period_start", "workload", "product"], use_threads=False)
        .aggregate([("requests", "sum")])
        .to_pylist()
    )
    rows = [
        {
            "day": r["charge_period_start"].date(),
            "product": r["product"],
            "metric": name,
            "value": round(r["requests_sum"] * share),
        }
        for r in sums
        for workload, (name, share) in yields.items()
        if r["workload"] == workload
    ]
    return to_pandas(pa.Table.from_pylist(rows))


def _first_day(months: int) -> np.datetime64:
    whole = company()["months"]
    if isinstance(months, bool) or not isinstance(months, int) or not 1 <= months <= whole:
        raise SettingsError(f"The sample company has {whole} months; ask for months=1 to {whole}, not {months!r}.")
    first = parse_month(company()["first_month"])
    for _ in range(whole - months):
        first = next_month(first)
    return np.datetime64(first)


@cache
def _last(months: int) -> pa.Table:
    table, first = slices_table(), _first_day(months)
    if months == company()["months"]:
        return table
    return table.filter(
        pc.field("charge_period_start")
        >= pa.scalar(first.astype("datetime64[us]").item(), pa.timestamp("us")).cast(pa.timestamp("us", "UTC"))
    )


def _tell_idle(table: pa.Table) -> pa.Table:
    """Provisioned hours as the connector tells them: those that served calls, and those nobody used."""
    reserved = pc.equal(table["operation"], "provisioned")
    rest, hours = table.filter(pc.invert(reserved)), table.filter(reserved)
    place, kind = (table.schema.get_field_index(name) for name in ("provisioned_hours", "operation"))
    used = hours.set_column(place, "provisioned_hours", hours["provisioned_hours_used"])
    left = pc.subtract(hours["provisioned_hours"], hours["provisioned_hours_used"])
    idle = hours.set_column(place, "provisioned_hours", left)
    idle = idle.set_column(kind, "operation", pa.repeat("provisioned_idle", idle.num_rows))
    return pa.concat_tables([rest, used, idle])


def _add_up(table: pa.Table) -> pa.Table:
    """Slices that look alike to the provider (the gateway's teams, late parts) as one row each."""
    odd = pc.or_(table["gateway"], pc.is_in(table["workload"], pa.array(_restated())))
    rest, alike = table.filter(pc.invert(odd)), table.filter(odd)
    keys = [*PERIOD, *IDENTITY]
    sums = (
        alike.group_by(keys, use_threads=False).aggregate([(m, "sum") for m in METERS]).rename_columns([*keys, *METERS])
    )
    sums = sums.append_column("tags", pa.nulls(sums.num_rows, TAGS))
    names = [*keys, "tags", *METERS]
    return pa.concat_tables([rest.select(names), sums.select(names)])


def _restated() -> list[str]:
    return [w for event in company()["events"] if event["kind"] == "restatement" for w in event["workloads"]]


def _tokens(table: pa.Table, *, source: str) -> pd.DataFrame:
    """Slices as a whole token frame: one row per meter that isn't 0, by day."""
    numbers = {m: table[m].to_numpy() for m in METERS}
    inputs = sum(v for m, v in numbers.items() if meters()[m].direction == "input" and meters()[m].is_token)
    rows = [np.flatnonzero(numbers[m]) for m in METERS]
    position = np.repeat(np.arange(len(METERS)), [len(r) for r in rows])
    row = np.concatenate(rows)
    quantity = np.concatenate([numbers[m][r] for m, r in zip(METERS, rows, strict=True)])
    start = table["charge_period_start"].cast(pa.int64()).to_numpy()
    order = np.lexsort((position, row, start[row]))
    row, position, quantity = row[order], position[order], quantity[order]
    take, which, n = pa.array(row), pa.array(position), len(row)
    long = {name: table[name].take(take) for name in [*PERIOD, *IDENTITY, "tags"]}
    long["meter"] = pa.array(METERS).take(which)
    long["unit"] = pa.array([meters()[m].unit for m in METERS]).take(which)
    long["quantity"] = exact_decimals(quantity * 10**6, 6, QUANTITY_TYPE)
    long["slice_input_tokens"] = pa.array(inputs[row])
    long["slice_requests"] = pa.array(numbers["requests"][row])
    long["source"] = pa.repeat(source, n)
    long["quantity_basis"] = pa.repeat("metered", n)
    return conform(pa.table(long), source="the sample company")


__all__ = ["bills", "business_metrics", "events", "plan", "slices", "telemetry", "tokens", "truth"]
