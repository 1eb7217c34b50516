"""Statements of a case file that one call can't show: days, records, coverage, the order of discount and margin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from finops_ai.errors import FinopsError
from finops_ai.meters import format_named, formats, meters, normalise
from finops_ai.meters.formats import find
from finops_ai.meters.logs import last_records
from finops_ai.prices.book import PriceBook
from finops_ai.prices.calls import price_call
from finops_ai.prices.cards import plain
from finops_ai.prices.cases import CaseResult
from finops_ai.prices.price import Price


@dataclass(frozen=True, slots=True)
class _Run:
    book: PriceBook
    cases: Mapping[str, Mapping[str, Any]]
    inputs: Mapping[str, Any]


def run_invariants(table: Mapping[str, Any], book: PriceBook | None = None) -> Iterator[CaseResult]:
    """Run every statement of a checked file that is of a known kind; the outcome of others is "not run".

    A kind is told by its inputs:
    - `at`, `reporting_timezone`: expected `utc_day`, `local_day`;
    - `case` of a log, `reporting_timezone`: expected `day`, that of the first record of the call kept;
    - `case`: expected `cost`, `unpriced_tokens`, `coverage_below_100pct` of its first call;
    - `list_cost`, `provider_discount`, `margin_pct`: expected `effective_cost`, `charged`;
    - `cases`: expected `same_cost` (true or false), or `order` (ids from the cheapest call to the dearest).
    """
    book = book or PriceBook.default()
    cases = {case["id"]: case for case in table["cases"]}
    for row in table.get("invariants", ()):
        run = _KINDS.get(frozenset(row["inputs"]))
        if run is None or any(key not in _SHOWN[run] for key in row["expected"]):
            yield CaseResult(row["id"], row["title"], "not run", str(row["expected"]), "", "no kind that is known here")
            continue
        try:
            got = run(_Run(book, cases, row["inputs"]))
        except (FinopsError, KeyError, ValueError, ZoneInfoNotFoundError) as error:
            got = {"refused": str(error)}
        wanted = row["expected"]
        right = all(got.get(key) == value for key, value in wanted.items())
        shown = {key: got.get(key) for key in wanted} if "refused" not in got else got
        yield CaseResult(row["id"], row["title"], "pass" if right else "fail", _text(wanted), _text(shown), row["why"])


def _days(run: _Run) -> dict[str, Any]:
    at = datetime.fromisoformat(run.inputs["at"].replace("Z", "+00:00"))
    return {
        "utc_day": f"{at:%Y-%m-%d}",
        "local_day": f"{at.astimezone(ZoneInfo(run.inputs['reporting_timezone'])):%Y-%m-%d}",
    }


def _first_day(run: _Run) -> dict[str, Any]:
    call = run.cases[run.inputs["case"]]["calls"][0]
    if not formats()[call["format"]].records:
        raise ValueError(f"{run.inputs['case']} is no log")
    days = {
        f"{datetime.fromisoformat(r['timestamp'].replace('Z', '+00:00')).astimezone(ZoneInfo(run.inputs['reporting_timezone'])):%Y-%m-%d}"
        for r in last_records(call["usage"])
        if find(r, format_named(call["format"]).records) is not None
    }
    return {"day": min(days)}


def _coverage(run: _Run) -> dict[str, Any]:
    case = run.cases[run.inputs["case"]]
    call = case["calls"][0]
    usage = normalise(call["usage"], call["format"], call.get("context"))
    cost = price_call(
        run.book, usage, provider=call["provider"], model=call["model"], at=call["at"], context=call.get("context")
    )
    without = sum(
        int(q) for name, q in usage.meters.items()
        if meters()[name].is_token and (name not in cost.prices or cost.prices[name].unit_price is None)
    )  # fmt: skip
    paid = None if cost.cost is None else plain(cost.cost)
    return {"cost": paid, "unpriced_tokens": without, "coverage_below_100pct": without > 0}


def _discounted(run: _Run) -> dict[str, Any]:
    listed, discount, margin = (Decimal(str(run.inputs[k])) for k in ("list_cost", "provider_discount", "margin_pct"))
    effective = Price(listed, "row", "listed").discounted(discount, "discount").unit_price
    assert effective is not None
    return {"effective_cost": plain(effective), "charged": plain(effective * (1 + margin))}


def _costs(run: _Run) -> dict[str, Any]:
    cost: dict[str, Decimal | None] = {}
    for name in run.inputs["cases"]:
        call = run.cases[name]["calls"][0]
        usage = normalise(call["usage"], call["format"], call.get("context"))
        cost[name] = price_call(
            run.book, usage, provider=call["provider"], model=call["model"], at=call["at"], context=call.get("context")
        ).cost
    known = {name: value for name, value in cost.items() if value is not None}
    return {
        "same_cost": len(known) == len(cost) and len(set(known.values())) == 1,
        "order": sorted(known, key=lambda name: known[name]) if len(known) == len(cost) else None,
    }


_KINDS = {
    frozenset({"at", "reporting_timezone"}): _days,
    frozenset({"case", "reporting_timezone"}): _first_day,
    frozenset({"case"}): _coverage,
    frozenset({"list_cost", "provider_discount", "margin_pct"}): _discounted,
    frozenset({"cases"}): _costs,
}
_SHOWN = {
    _days: ("utc_day", "local_day"), _first_day: ("day",),
    _coverage: ("cost", "unpriced_tokens", "coverage_below_100pct"), _discounted: ("effective_cost", "charged"),
    _costs: ("same_cost", "order"),
}  # fmt: skip


def _text(values: Mapping[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in values.items())
