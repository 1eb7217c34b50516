"""Known bills: run a case file, a closed JSON form of calls and what they must come to, against a price book."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from finops_ai.errors import FinopsError
from finops_ai.meters import Normalised, meters, normalise
from finops_ai.prices.book import PriceBook
from finops_ai.prices.calls import CallCost, price_call
from finops_ai.prices.cards import plain, read_instant
from finops_ai.prices.case_form import FREE_FLAGS, PRICED, CaseFileError, check_form, contract_cards, once
from finops_ai.prices.contracts import Contract
from finops_ai.prices.names import provider_name


@dataclass(frozen=True, slots=True)
class CaseResult:
    """How one case came out: "pass", "fail" or "unsure"; expected, got and why as text."""

    id: str
    title: str
    outcome: str
    expected: str
    got: str
    why: str


def read_cases(path: str | Path) -> dict[str, Any]:
    """Read and check a case file.

    Raises:
        CaseFileError: it can't be read, is no JSON, or has a key, value, format, meter or flag outside the form; the
            message names the place.
    """
    try:
        text = Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CaseFileError(f"Case file {path} can't be read: {getattr(error, 'strerror', None) or error}.") from None
    try:
        table: dict[str, Any] = json.loads(text, parse_float=Decimal, object_pairs_hook=once)
    except (ValueError, ArithmeticError) as error:  # also a number nobody can count with
        raise CaseFileError(f"Case file {path} is no JSON: {error}.") from None
    except RecursionError:
        raise CaseFileError(f"Case file {path} is nested too deep to be read.") from None
    check_form(table)
    return table


def run_cases(table: Mapping[str, Any], book: PriceBook | None = None) -> Iterator[CaseResult]:
    """Run every case of a checked file, in its order.

    Args:
        table: what `read_cases` returned.
        book: the book to check; the default one if None. A case's contract is laid over it for that case only.
    """
    book = book or PriceBook.default()
    for case in table["cases"]:
        yield _run(case, book.with_contracts(_contracts(case)) if case.get("contract") else book)


def with_quantities(usage: Normalised, context: Mapping[str, Any] | None) -> Normalised:
    """The usage with units the caller counted beside it: images, seconds, pages, searches, hours."""
    beside = (context or {}).get("quantities") or {}
    counted = {name: int(q) if isinstance(q, int) else Decimal(q) for name, q in beside.items()}
    return replace(usage, meters={**usage.meters, **counted}) if counted else usage


def _contracts(case: Mapping[str, Any]) -> list[Contract]:
    cards = contract_cards(case)
    return [
        Contract(name=f"case {case['id']}", provider=owner, cards=tuple(c for c in cards if c.provider == owner))
        for owner in dict.fromkeys(card.provider for card in cards)
    ]


# -- running


def _run(case: Mapping[str, Any], book: PriceBook) -> CaseResult:
    expected, got, why, wrong, unsure = [], [], [], False, False
    for call, expect in zip(case["calls"], case["expect"], strict=True):
        try:
            usage = with_quantities(normalise(call["usage"], call["format"], call.get("context")), call.get("context"))
            cost = None
            if case["kind"] != "normalise":
                cost = price_call(
                    book,
                    usage,
                    provider=call["provider"],
                    model=call["model"],
                    at=call["at"],
                    context=call.get("context"),
                )
        except FinopsError as error:
            flag = getattr(error, "flag", "") or type(error).__name__
            expected.append(_flags_text(expect["flags"]) if case["kind"] == "reject" else _expected_text(case, expect))
            got.append(f"refused: {flag}")
            why.append(str(error))
            wrong |= case["kind"] != "reject"
            continue
        flags = (usage.flags | (cost.flags if cost else frozenset())) - FREE_FLAGS
        why += usage.notes
        if usage.unknown_fields:
            why.append(f"unknown: {', '.join(usage.unknown_fields)}")
        if case["kind"] == "reject":
            expected.append(_flags_text(expect["flags"]))
            got.append(_flags_text(flags))
            wrong |= not flags.intersection(expect["flags"])
            why += cost.why if cost else ()
            continue
        found = _compare(case, expect, usage, cost, flags)
        expected.append(_expected_text(case, expect))
        got.append(found[1])
        why += [*cost.why, *_unknown_name(book, call)] if cost else []
        if not found[0]:
            if case["confidence"] == "medium" and "needs_confirmation" in flags:
                unsure = True
            else:
                wrong = True
    outcome = "fail" if wrong else "unsure" if unsure else "pass"
    return CaseResult(case["id"], case["title"], outcome, " / ".join(expected), " / ".join(got), "; ".join(why))


def _compare(
    case: Mapping[str, Any], expect: Mapping[str, Any], usage: Normalised, cost: CallCost | None, flags: frozenset[str]
) -> tuple[bool, str]:
    rolled = usage.roll_up()
    stated = {name: Decimal(str(count)) for name, count in expect["meters"].items()}
    fine = {name: usage.meters.get(name, 0) for name in stated if name in _fine() and name not in rolled}
    # in a file of form 2 a fine meter outside the roll-ups must be stated; a stated fine one stands for its part
    apart = {n: q for n, q in usage.meters.items() if not meters()[n].roll_up} if set(stated) & _fine() else {}
    implied = {key for name in stated if name in _fine() for key in (meters()[name].roll_up, "total")}
    found = {
        name: count for name, count in rolled.items()
        if name in stated or (count and name not in ("reasoning", "requests") and name not in implied)
    } | fine | apart  # fmt: skip
    right = dict.fromkeys(stated, Decimal(0)) | found == stated | {n: 0 for n in found if n not in stated}
    right &= flags == set(expect["flags"]) - FREE_FLAGS
    if "reported_cost" in expect:
        right &= usage.reported_cost == Decimal(str(expect["reported_cost"]))
    text = [_meters_text(found), _flags_text(flags)]
    if cost is not None:
        right &= _equal(cost.cost, expect["list_cost"], expect.get("tolerance"))
        text.insert(0, f"cost {_money(cost.cost)}")
        status = {
            name: cost.prices[name].status if name in cost.prices else "none" for name in expect.get("status") or {}
        }
        right &= status == dict(expect.get("status") or {})
        text += [f"status {name}={word}" for name, word in status.items()]
    if "reported_cost" in expect:
        text.insert(1, f"reported {_money(usage.reported_cost)}")
    return right, " ".join(filter(None, text))


def _unknown_name(book: PriceBook, call: Mapping[str, Any]) -> list[str]:
    """What may have been meant where the book doesn't know the model."""
    from finops_ai.prices.views import similar

    name = (call.get("context") or {}).get("underlying_model") or call["model"]
    known = book.find(provider_name(call["provider"]), name, read_instant(call["at"]))
    return [] if known else [similar(book, call["provider"], name)]


def _equal(got: Decimal | None, expected: str | None, tolerance: object) -> bool:
    if got is None or expected is None:
        return got is None and expected is None
    wanted = Decimal(str(expected))
    return abs(got - wanted) <= abs(wanted) * Decimal(str(tolerance if tolerance is not None else "1e-9"))


def _expected_text(case: Mapping[str, Any], expect: Mapping[str, Any]) -> str:
    parts = [_meters_text(expect["meters"]), _flags_text(expect["flags"])]
    if "reported_cost" in expect:
        parts.insert(0, f"reported {expect['reported_cost']}")
    parts += [f"status {name}={word}" for name, word in (expect.get("status") or {}).items()]
    if case["kind"] == "price":
        parts.insert(0, f"cost {expect['list_cost'] if expect['list_cost'] is not None else 'none'}")
    return " ".join(filter(None, parts))


def _meters_text(meters: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={count}" for name, count in sorted(meters.items(), key=lambda item: _place(item[0])))


def _place(name: str) -> tuple[int, str]:
    return (_ORDER.index(name), "") if name in _ORDER else (len(_ORDER), name)


@cache
def _fine() -> frozenset[str]:
    """Meters of the registry that aren't roll-ups of the form."""
    return frozenset(meters()) - frozenset(_ORDER)


def _flags_text(flags: Iterable[str]) -> str:
    return f"[{', '.join(sorted(flags))}]" if flags else ""


def _money(cost: Decimal | None) -> str:
    return "none" if cost is None else plain(cost)


_ORDER = (*PRICED, "reasoning", "total", "requests")
