"""Known bills: run a case file, a closed JSON form of calls and what they must come to, against a price book."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from finops_ai.errors import FinopsError, PriceError, SettingsError, hint
from finops_ai.frames import SERVICE_TIERS
from finops_ai.meters import CONTEXT_KEYS, Normalised, formats, normalise
from finops_ai.prices.book import PriceBook
from finops_ai.prices.calls import CallCost, price_call
from finops_ai.prices.cards import CONTRACT, MILLION, Card, check_card, plain, read_hours, read_instant, read_over
from finops_ai.prices.contracts import Contract
from finops_ai.prices.names import provider_name, take_apart
from finops_ai.prices.own import check_overlaps, expand_roll_up

PRICED = ("fresh_input", "cache_read", "cache_write_5m", "cache_write_1h", "cache_write_other", "output",
          "web_searches", "characters")  # fmt: skip
METERS = frozenset({*PRICED, "reasoning", "total", "requests"})
FLAGS = frozenset({
    "unpriced", "context_tier_unknown", "breakdown_exceeds_aggregate", "negative_remainder", "total_mismatch",
    "unknown_token_field", "needs_confirmation",
})  # fmt: skip
FREE_FLAGS = frozenset({"cache_ttl_assumed", "duplicates_dropped", "reported_cost_differs"})
_INSTANT = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
_PROVIDER = re.compile(r"^[a-z0-9][a-z0-9._-]*$")
_CASE = ({"id", "title", "kind", "calls", "expect", "why", "source", "confidence"},
         {"contract", "rates_used", "naive", "measured"})  # fmt: skip
_CALL = ({"at", "provider", "model", "format", "usage"}, {"context"})
_EXPECT = ({"meters", "flags"}, {"list_cost", "reported_cost", "priced_as", "tolerance"})
_ROW = ({"provider", "model", "meter", "usd_per_million"},
        {"service_tier", "context_tier", "geography", "from", "to", "utc_hours", "times"})  # fmt: skip
_INVARIANT: tuple[set[str], set[str]] = ({"id", "title", "statement", "inputs", "expected", "why", "source"}, set())


@dataclass(frozen=True, slots=True)
class CaseResult:
    """How one case came out: "pass", "fail" or "unsure"; expected, got and why as text."""

    id: str
    title: str
    outcome: str
    expected: str
    got: str
    why: str


class CaseFileError(SettingsError):
    """A case file breaks the closed form."""


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
        table = json.loads(text, parse_float=Decimal, object_pairs_hook=_once)
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


def contract_cards(case: Mapping[str, Any]) -> list[Card]:
    """The contract rows of a case as price cards."""
    cards = []
    for row in case.get("contract", ()):
        rate = Decimal(str(row["usd_per_million"])) / MILLION
        for step in row.get("times", ()):
            rate *= Decimal(str(step["factor"]))
        name = take_apart(provider_name(row["provider"]), row["model"])
        cards.append(check_card(Card(
            provider=provider_name(row["provider"]), model=name.spellings[0],
            prices=dict.fromkeys(expand_roll_up(row["meter"]), rate), service_tier=row.get("service_tier") or "standard",
            over=read_over(row.get("context_tier")), geography=row.get("geography"),
            start=read_instant(row.get("from")), end=read_instant(row.get("to")), hours=read_hours(row.get("utc_hours")),
            status="contract", source=f"contract of case {case['id']}", layer=CONTRACT,
            times=tuple(f"x {step['factor']} {step['why']}" for step in row.get("times", ())),
        )))  # fmt: skip
    return check_overlaps(cards, f"case {case['id']}")


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
            usage = normalise(call["usage"], call["format"], call.get("context"))
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
    stated = {name: int(count) for name, count in expect["meters"].items()}
    meters = {
        name: count for name, count in rolled.items()
        if name in stated or (count and name not in ("reasoning", "requests"))
    }  # fmt: skip
    right = dict.fromkeys(stated, 0) | meters == stated | {n: 0 for n in meters if n not in stated}
    right &= flags == set(expect["flags"]) - FREE_FLAGS
    if "reported_cost" in expect:
        right &= usage.reported_cost == Decimal(str(expect["reported_cost"]))
    text = [_meters_text(meters), _flags_text(flags)]
    if cost is not None:
        right &= _equal(cost.cost, expect["list_cost"], expect.get("tolerance"))
        text.insert(0, f"cost {_money(cost.cost)}")
    if "reported_cost" in expect:
        text.insert(1, f"reported {_money(usage.reported_cost)}")
    return right, " ".join(filter(None, text))


def _unknown_name(book: PriceBook, call: Mapping[str, Any]) -> list[str]:
    """What may have been meant where the book doesn't know the model."""
    from finops_ai.prices.views import similar

    name = (call.get("context") or {}).get("underlying_model") or call["model"]
    known = book.find(provider_name(call["provider"]), name, read_instant(call["at"]))
    return [] if known else [similar(book, call["provider"], name)]


def _equal(got: Decimal | None, expected: str | None, tolerance: Any) -> bool:
    if got is None or expected is None:
        return got is None and expected is None
    wanted = Decimal(str(expected))
    return abs(got - wanted) <= abs(wanted) * Decimal(str(tolerance if tolerance is not None else "1e-9"))


def _expected_text(case: Mapping[str, Any], expect: Mapping[str, Any]) -> str:
    parts = [_meters_text(expect["meters"]), _flags_text(expect["flags"])]
    if "reported_cost" in expect:
        parts.insert(0, f"reported {expect['reported_cost']}")
    if case["kind"] == "price":
        parts.insert(0, f"cost {expect['list_cost'] if expect['list_cost'] is not None else 'none'}")
    return " ".join(filter(None, parts))


def _meters_text(meters: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={meters[name]}" for name in sorted(meters, key=list(_ORDER).index))


def _flags_text(flags: Any) -> str:
    return f"[{', '.join(sorted(flags))}]" if flags else ""


def _money(cost: Decimal | None) -> str:
    return "none" if cost is None else plain(cost)


_ORDER = (*PRICED, "reasoning", "total", "requests")


# -- the closed form


def check_form(table: Any) -> None:
    """Refuse a file outside the closed form.

    Raises:
        CaseFileError: names the place and what is wrong there.
    """
    _keys(table, {"form", "cases"}, {"invariants"}, "the file")
    if table["form"] != 1 or isinstance(table["form"], bool):
        raise CaseFileError(f"The file's form must be 1, got {table['form']!r}.")
    for case in _list(table["cases"], "cases"):
        _case(case)
    for invariant in _list(table.get("invariants", []), "invariants"):
        _keys(invariant, *_INVARIANT, f"invariant {_id(invariant)}")


def _case(case: Any) -> None:
    where = f"case {_id(case)}"
    _keys(case, *_CASE, where)
    for key in ("id", "title", "why", "source"):
        _text(case[key], f"{where}, {key}")
    _one_of(case["kind"], ("price", "normalise", "reject"), f"{where}, kind")
    _one_of(case["confidence"], ("high", "medium"), f"{where}, confidence")
    calls, expects = _list(case["calls"], f"{where}, calls"), _list(case["expect"], f"{where}, expect")
    if not calls or len(calls) != len(expects):
        raise CaseFileError(f"{where}: {len(calls)} calls but {len(expects)} expectations; there must be one per call.")
    for i, call in enumerate(calls):
        _call(call, f"{where}, call {i + 1}")
    for i, expect in enumerate(expects):
        _expect(expect, case["kind"], f"{where}, expect {i + 1}")
    for i, row in enumerate(_list(case.get("contract", []), f"{where}, contract")):
        _row(row, f"{where}, contract row {i + 1}")
    try:
        contract_cards(case)
    except PriceError as error:
        raise CaseFileError(str(error)) from None


def _call(call: Any, where: str) -> None:
    _keys(call, *_CALL, where)
    if not isinstance(call["at"], str) or not _INSTANT.match(call["at"]):
        raise CaseFileError(f"{where}: at must be an instant like 2026-02-03T12:00:00Z, got {call['at']!r}.")
    try:
        datetime.fromisoformat(call["at"])
    except ValueError:
        raise CaseFileError(f"{where}: at is no date: {call['at']!r}.") from None
    if not isinstance(call["provider"], str) or not _PROVIDER.match(call["provider"]):
        raise CaseFileError(f"{where}: provider must be a lower-case word, got {call['provider']!r}.")
    _text(call["model"], f"{where}, model")
    _one_of(call["format"], formats(), f"{where}, format")
    if not isinstance(call["usage"], list if formats()[call["format"]].records else dict):
        raise CaseFileError(f"{where}: usage has the wrong shape for {call['format']}.")
    context = call.get("context", {})
    _keys(context, set(), set(CONTEXT_KEYS), f"{where}, context")
    for key, value in context.items():
        kind: type = bool if key in ("batch", "aggregated") else int if key == "requests" else str
        wrong = not isinstance(value, kind) or (kind is int and (isinstance(value, bool) or int(str(value)) < 0))
        if value is not None and wrong:
            raise CaseFileError(f"{where}, context: {key} must be {kind.__name__}, got {value!r}.")


def _expect(expect: Any, kind: str, where: str) -> None:
    if kind == "reject":
        _keys(expect, {"flags"}, set(), where)
    else:
        _keys(expect, *_EXPECT, where)
        if ("list_cost" in expect) != (kind == "price"):
            raise CaseFileError(f"{where}: list_cost belongs to price cases, and only to them.")
        _keys(expect["meters"], set(), set(METERS), f"{where}, meters")
        for name, count in expect["meters"].items():
            if isinstance(count, bool) or not isinstance(count, int) or count < 0:
                raise CaseFileError(f"{where}: {name} must be a whole number, got {count!r}.")
        for key in ("list_cost", "reported_cost"):
            if expect.get(key) is not None:
                _decimal(expect[key], f"{where}, {key}")
        if expect.get("tolerance") is not None:
            _decimal(expect["tolerance"], f"{where}, tolerance")
    for flag in _list(expect["flags"], f"{where}, flags"):
        _one_of(flag, FLAGS | FREE_FLAGS, f"{where}, flags")


def _row(row: Any, where: str) -> None:
    _keys(row, *_ROW, where)
    _one_of(row["meter"], PRICED, f"{where}, meter")
    _decimal(row["usd_per_million"], f"{where}, usd_per_million")
    if row.get("service_tier") is not None:
        _one_of(row["service_tier"], SERVICE_TIERS, f"{where}, service_tier")
    for key in ("provider", "model"):
        _text(row[key], f"{where}, {key}")
    for step in _list(row.get("times", []), f"{where}, times"):
        _keys(step, {"factor", "why"}, set(), f"{where}, times")
        _decimal(step["factor"], f"{where}, factor")
    try:
        read_over(row.get("context_tier"))
        read_hours(row.get("utc_hours"))
        for key in ("from", "to"):
            if row.get(key) is not None and not re.match(r"^\d{4}-\d\d-\d\d", str(row[key])):
                raise PriceError(f"{key} must be a date, got {row[key]!r}.")
            read_instant(row.get(key))
    except (PriceError, TypeError) as error:
        raise CaseFileError(f"{where}: {error}") from None


def _keys(value: Any, required: set[str], optional: set[str], where: str) -> None:
    if not isinstance(value, dict):
        raise CaseFileError(f"{where} must be an object, got {type(value).__name__}.")
    if unknown := sorted(set(value) - required - optional):
        raise CaseFileError(f"{where}: unknown key {unknown[0]!r}. {hint(unknown[0], required | optional)}")
    if missing := sorted(required - set(value)):
        raise CaseFileError(f"{where}: key {missing[0]!r} is missing.")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        names = [name for name, _ in pairs]
        raise CaseFileError(f"Key {next(n for n in names if names.count(n) > 1)!r} occurs twice in one object.")
    return table


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise CaseFileError(f"{where} must be a list, got {type(value).__name__}.")
    return value


def _text(value: Any, where: str) -> None:
    if not isinstance(value, str) or not value:
        raise CaseFileError(f"{where} must be text, got {value!r}.")


def _one_of(value: Any, known: Any, where: str) -> None:
    if not isinstance(value, str) or value not in known:
        raise CaseFileError(f"{where}: {value!r} isn't known. {hint(str(value), list(known))}")


def _decimal(value: Any, where: str) -> None:
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        number = Decimal("NaN")
    if isinstance(value, bool) or not number.is_finite() or number < 0:
        raise CaseFileError(f"{where} must be a decimal of 0 or more, got {value!r}.")


def _id(case: Any) -> str:
    return str(case.get("id", "without id")) if isinstance(case, dict) else repr(case)[:40]


__all__ = ["CaseFileError", "CaseResult", "check_form", "contract_cards", "read_cases", "run_cases"]
