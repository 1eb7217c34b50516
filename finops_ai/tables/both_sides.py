"""Usage and bill side by side: cells of every account alike on both sides, in few aggregations."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow.compute as pc

from finops_ai.engine.dialects import DUCKDB
from finops_ai.engine.fields import PAYABLE
from finops_ai.engine.plan import CHARGED
from finops_ai.frames.tokens import ROW_KEY
from finops_ai.money import minor_units
from finops_ai.periods import Window
from finops_ai.tables.causes import Account, Billed, Entry, Key, Usage
from finops_ai.tables.cycles import billed_in, cycles_of
from finops_ai.tables.day_starts import DayStarts
from finops_ai.tables.grouping import grouped_table

if TYPE_CHECKING:
    from finops_ai.prices.currency import Rates

_ZERO = Decimal(0)
#: words of lines that are no use of a model, where the line names no meter
_FEE = r"marketplace|support|subscription|platform fee|service fee|seat|licen[sc]e"
_DISCOUNT = r"discount|rebate|negotiated|\bedp\b"
_COMMITMENT = r"commitment|reserv|savings plan|provisioned throughput purchase|prepaid|upfront"
#: decimals that amounts are rounded to, and those of amounts that aren't
_EXACT = 18
_PLACES = " ".join(f"WHEN billed_cost = round(billed_cost, {n}) THEN {n}" for n in (0, 2, 3, 4, 5, 6, 8))
#: what may differ between two lines that are the same charge
_NOT_IDENTITY = {"invoice_id", "billing_period_start", "billing_period_end", "source", "billing_account_name"}


def accounts_of(
    priced: pd.DataFrame, bills: pd.DataFrame, timezone: str, rates: Rates | None
) -> tuple[dict[tuple[Any, ...], Account], dict[tuple[Any, ...], Decimal], list[str]]:
    """Both sides of every account, cells alike on both; what the provider itself states; what had to be assumed."""
    usage, lines = _usage(priced, timezone), _lines(bills, timezone)
    usage = billed_in(usage, cycles_of(bills, timezone), lambda window: _usage(priced, timezone, window))
    names = {(u["provider"], u["billing_account_id"]) for u in usage} | {
        (b["provider"], b["billing_account_id"]) for b in lines
    }
    repeated = _repeated(bills, timezone) if len(bills) else {}
    accounts: dict[tuple[Any, ...], Account] = {}
    stated: dict[tuple[Any, ...], Decimal] = {}
    doubts: list[str] = []
    for provider, account in sorted(names, key=str):
        mine = [u for u in usage if (u["provider"], u["billing_account_id"]) == (provider, account)]
        billed = [b for b in lines if (b["provider"], b["billing_account_id"]) == (provider, account)]
        invoice = {b["month"] for b in billed if b["source"] != "api"}
        for line in billed:  # a cost API beside an invoice is what the provider states, not a second bill
            if line["source"] == "api" and line["month"] in invoice:
                place = (provider, account, line["currency"], line["month"])
                stated[place] = stated.get(place, _ZERO) + line["cost"]
        billed = [b for b in billed if b["source"] != "api" or b["month"] not in invoice]
        currencies = {b["currency"] for b in billed}
        said = {u["currency"] for u in mine if u["cost"]}
        converted = ""
        if len(currencies) == 1 and said and not said & currencies:
            converted = next(iter(currencies))
            doubts += _convert(mine, billed, converted, rates, f"{provider} {account}")
        for currency in sorted({u["currency"] for u in mine} | currencies, key=str):
            own, theirs = ([r for r in rows if r["currency"] == currency] for rows in (mine, billed))
            key = (provider, account, currency)
            accounts[key] = _account(own, theirs, repeated.get(key, {}), bool(converted))
            accounts[key].repeats = partial(_repeats, priced, key, accounts[key], timezone)
            accounts[key].starts = partial(_starts, priced, key, accounts[key], timezone)
    return accounts, stated, doubts


def _usage(priced: pd.DataFrame, timezone: str, window: Window | None = None) -> list[dict[str, Any]]:
    cost = PAYABLE if PAYABLE in priced.columns else "effective_cost"
    own = "billed_cost" in priced.columns
    keys = [
        "provider",
        "billing_account_id",
        "pricing_currency",
        "sub_account_id",
        "model",
        "meter",
        "service_tier",
        "region",
    ]
    keys = [k for k in keys if k in priced.columns]
    table = grouped_table(
        priced, [*keys, "day", "month"],
        {
            "cost": f"coalesce(sum({cost}), 0)", "quantity": "coalesce(sum(quantity), 0)", "rows": "count(*)",
            "unpriced": f"count(*) FILTER (WHERE price_status = 'unpriced' OR {cost} IS NULL)", "stated": "sum(billed_cost)" if own else "NULL",
        },
        timezone=timezone, needs=(cost, "quantity", "price_status", *(["billed_cost"] if own else [])),
        where=f"price_status <> 'not_billed' AND {CHARGED}", window=window,
    )  # fmt: skip
    return [_cased(row) | {"currency": row.get("pricing_currency") or ""} for row in table.to_pylist()]


def _lines(bills: pd.DataFrame, timezone: str) -> list[dict[str, Any]]:
    if not len(bills):
        return []
    keys = ["provider", "billing_account_id", "billing_currency", "sub_account_id", "model", "meter", "service_tier", "region",
            "charge_category", "charge_class", "source"]  # fmt: skip
    paid = "commitment_discount_id IS NOT NULL AND billed_cost = 0"
    table = grouped_table(
        with_kind(bills), [*keys, "kind", "day", "month"],
        {
            "cost": "sum(billed_cost)", "quantity": "sum(consumed_quantity)", "unknown": "count(*) FILTER (WHERE consumed_quantity IS NULL)",
            "lines": "count(*)", "listed": "CASE WHEN count(list_cost) = count(*) THEN sum(list_cost) END",
            "agreed": "CASE WHEN count(contracted_cost) = count(*) THEN sum(contracted_cost) END",
            "covered": f"coalesce(sum(consumed_quantity) FILTER (WHERE {paid}), 0)",
            "long": "bool_or(charge_period_end - charge_period_start > INTERVAL 25 HOURS)",
            "places": f"max(CASE {_PLACES} ELSE {_EXACT} END)",
        },
        timezone=timezone,
        needs=("billed_cost", "consumed_quantity", "list_cost", "contracted_cost", "commitment_discount_id", "charge_period_end"),
    )  # fmt: skip
    return [_cased(row) | {"currency": row["billing_currency"] or ""} for row in table.to_pylist()]


def with_kind(bills: pd.DataFrame) -> pd.DataFrame:
    """The bill with what each line is, by its category, its words and the commitment it names."""
    text_of = (bills["charge_description"].fillna("") + " " + bills["service_name"].fillna("")).str.lower()
    category, meter = bills["charge_category"], bills["meter"]
    loose = ((meter == "unmapped") | (category != "Usage")).to_numpy(bool, na_value=False)

    def said(words: str) -> Any:
        return text_of.str.contains(words, regex=True).to_numpy(bool, na_value=False)

    kind = pd.Series("usage", index=bills.index, dtype=object)
    names = {"Tax": "tax", "Credit": "credits", "Purchase": "purchases", "Adjustment": "adjustments"}
    for name, cause in names.items():
        kind[(category == name).to_numpy(bool, na_value=False)] = cause
    kind[loose & said(_COMMITMENT) & (kind == "usage").to_numpy()] = "purchases"
    kind[loose & said(_FEE) & kind.isin(["usage", "purchases", "adjustments"]).to_numpy()] = "fees"
    kind[loose & said(_DISCOUNT) & (kind != "tax").to_numpy()] = "discounts"
    kind[(bills["charge_class"] == "Correction").to_numpy(bool, na_value=False) & (kind == "usage").to_numpy()] = (
        "adjustments"
    )
    kind[(bills["commitment_discount_status"] == "Unused").to_numpy(bool, na_value=False)] = "purchases"
    return bills.assign(kind=kind.astype("str"))


def _cased(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"model": row["model"].lower() if row.get("model") else None, "tier": row.get("service_tier")}


def _account(
    usage: list[dict[str, Any]],
    lines: list[dict[str, Any]],
    repeated: Mapping[tuple[Any, ...], tuple[Any, ...]],
    converted: bool,
) -> Account:
    """An account's cells: what one of the two sides never tells is dropped from both."""
    charged = [b for b in lines if b["kind"] == "usage" and b["model"] and b["meter"] != "unmapped"]
    told = {
        name: any(b[name] for b in charged) and any(u.get(name) for u in usage)
        for name in ("sub_account_id", "region", "tier")
    }
    by_day = not any(b["long"] for b in charged)

    def key(row: Mapping[str, Any]) -> Key:
        tier = (row["tier"] or "standard") if told["tier"] else None
        return Key(
            row.get("billed_in", row["month"]), row["day"] if by_day else None, row.get("sub_account_id") if told["sub_account_id"] else None, row["model"],
            row["meter"], tier, row.get("region") if told["region"] else None,
        )  # fmt: skip

    account = Account({}, {}, converted=converted)
    account.key_of = key
    cycled = any(row["moved"] for row in usage)
    for row in usage:
        _add(account.usage.setdefault(key(row), Usage()), row)
        if cycled and not row["moved"]:
            _add(account.calendar.setdefault(key(row), Usage()), row)
        if row["moved"] and row["cost"]:
            account.entries.append(Entry(key(row), "billing_cycle", row["cost"]))
    places = max((max(b["places"], minor_units(b["currency"])) for b in charged), default=_EXACT)
    account.unit = Decimal(1).scaleb(-places) if places < _EXACT else None
    for row in lines:
        if row["kind"] != "usage":
            account.entries.append(Entry(key(row), row["kind"], row["cost"], line=True))
            continue
        if row["model"] and row["meter"] != "unmapped":
            bill = account.billed.setdefault(key(row), Billed())
        else:
            bill = account.loose.setdefault((row["month"], row["model"]), Billed())
        bill.cost, bill.lines, bill.covered = (
            bill.cost + row["cost"],
            bill.lines + row["lines"],
            bill.covered + row["covered"],
        )
        known = row["quantity"] is not None and not row["unknown"] and bill.quantity is not None
        bill.quantity = bill.quantity + row["quantity"] if known else None
        first = bill.lines == row["lines"]
        bill.listed, bill.agreed = (
            new if first else None if None in (had, new) else had + new
            for had, new in ((bill.listed, row["listed"]), (bill.agreed, row["agreed"]))
        )  # fmt: skip
    for place, (extra, quantity, cost) in repeated.items():
        found = account.billed.get(key(dict(zip(_REPEATED, place, strict=True))))
        if found is not None:
            found.repeated += extra
            found.repeated_quantity += quantity
            found.repeated_cost += cost
    return account


def _add(use: Usage, row: Mapping[str, Any]) -> None:
    use.quantity, use.cost = use.quantity + row["quantity"], use.cost + row["cost"]
    use.rows, use.unpriced = use.rows + row["rows"], use.unpriced + row["unpriced"]
    if row["stated"] is not None:
        use.stated = (use.stated or _ZERO) + row["stated"]


_REPEATED = ("month", "day", "sub_account_id", "model", "meter", "tier", "region")


def _repeated(
    bills: pd.DataFrame, timezone: str
) -> dict[tuple[Any, ...], dict[tuple[Any, ...], tuple[int, Decimal, Decimal]]]:
    """Usage lines that stand on the bill more than once, by account and cell: how many too many, their quantity and cost."""
    identity = [
        c for c in bills.columns if c not in _NOT_IDENTITY and c not in ("tags", "billed_cost", "consumed_quantity")
    ]
    sums = {"copies": "count(*)", "cost": "any_value(billed_cost)", "quantity": "any_value(consumed_quantity)"}
    own = bills.assign(tagged=bills["tags"].astype(str)) if "tags" in bills.columns else bills.assign(tagged="")
    keys = [*identity, "tagged", "billed_cost", "consumed_quantity"]
    table = grouped_table(own, [*keys, "day", "month"], sums, timezone=timezone, where="charge_category = 'Usage'")
    table = table.filter(pc.greater(table["copies"], 1))
    out: dict[tuple[Any, ...], dict[tuple[Any, ...], tuple[int, Decimal, Decimal]]] = {}
    for row in map(_cased, table.to_pylist()):
        account = (row["provider"], row["billing_account_id"], row["billing_currency"] or "")
        place = tuple(row[name] for name in _REPEATED)
        more = row["copies"] - 1
        had = out.setdefault(account, {}).get(place, (0, _ZERO, _ZERO))
        out[account][place] = (had[0] + more, had[1] + more * (row["quantity"] or _ZERO), had[2] + more * row["cost"])
    return out


#: columns that `_open` looks at
_PLACE = ("provider", "billing_account_id", "model")


def _open(key: tuple[Any, ...], account: Account) -> str:
    """The account's rows of models whose quantities don't tie, as a condition: a month may have millions of them."""
    models = sorted({k.model for k in account.left if k.model is not None})
    tests = [f"lower(model) IN ({', '.join(map(DUCKDB.literal, models))})"] if models else []
    tests += ["model IS NULL"] if any(k.model is None for k in account.left) else []
    return f"provider = {DUCKDB.literal(key[0])} AND billing_account_id = {DUCKDB.literal(key[1])} AND ({' OR '.join(tests) or 'FALSE'})"


def _starts(priced: pd.DataFrame, key: tuple[Any, ...], account: Account, timezone: str) -> DayStarts:
    """The account's usage that doesn't tie, ready to be cut into days that begin at another moment."""
    return DayStarts(priced, account.key_of, timezone, where=_open(key, account), needs=_PLACE)


def _repeats(priced: pd.DataFrame, key: tuple[Any, ...], account: Account, timezone: str) -> dict[Key, Decimal]:
    """Quantity of usage rows that repeat another one in everything but how it was found out."""
    also = ("quantity", "tags", "sub_account_id", "region", "service_tier")
    names = [
        c for c in dict.fromkeys((*ROW_KEY, *also))
        if c in priced.columns and c not in ("source", "quantity_basis") and (c == "quantity" or priced[c].notna().any())
    ]  # fmt: skip
    table = grouped_table(
        priced, [*names, "day", "month"], {"copies": "count(*)"}, timezone=timezone, needs=_PLACE, where=_open(key, account),
        having="count(*) > 1",
    )  # fmt: skip
    out: dict[Key, Decimal] = {}
    for row in map(_cased, table.to_pylist()):
        cell = account.key_of(row)
        out[cell] = out.get(cell, _ZERO) + (row["copies"] - 1) * row["quantity"]
    return out


def _convert(
    usage: list[dict[str, Any]], lines: list[dict[str, Any]], currency: str, rates: Rates | None, name: str
) -> list[str]:
    """Bring computed cost to the bill's currency, at dated rates or at the bill's own mean rate."""
    if rates is not None:
        for row in usage:
            rate = rates.rate(row["currency"], currency, row["day"])[0] if row["currency"] else Decimal(1)
            row["cost"], row["currency"] = row["cost"] * rate, currency
        return []
    computed, billed = (
        sum((r["cost"] for r in rows), _ZERO) for rows in (usage, [b for b in lines if b["kind"] == "usage"])
    )
    rate = billed / computed if computed else Decimal(1)
    for row in usage:
        row["cost"], row["currency"] = row["cost"] * rate, currency
    return [
        f"{name} is billed in {currency} and priced in another currency: without rates= its mean rate of {rate:.6f} is taken, so a wrong rate can't be seen."
    ]
