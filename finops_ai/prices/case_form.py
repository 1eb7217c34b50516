"""The closed form of case files: what a file of known bills may hold, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from finops_ai.errors import PriceError, SettingsError, hint
from finops_ai.frames import SERVICE_TIERS
from finops_ai.frames.prices import PRICE_STATUSES
from finops_ai.meters import CONTEXT_KEYS, formats, meters
from finops_ai.prices.cards import CONTRACT, MILLION, Card, check_card, read_hours, read_instant, read_over
from finops_ai.prices.names import provider_name, take_apart
from finops_ai.prices.own import check_overlaps, expand_roll_up

PRICED = ("fresh_input", "cache_read", "cache_write_5m", "cache_write_1h", "cache_write_other", "output",
          "web_searches", "characters")  # fmt: skip
ROLL_UPS = frozenset({*PRICED, "reasoning", "total", "requests"})
FORMS = (1, 2)
#: what form 2 adds: formats, context keys; its meters are those of the registry beside the roll-ups
NEW_FORMATS = frozenset({
    "meters", "openai.images", "cohere.billed_units", "mistral.ocr", "perplexity.chat", "aws.rerank",
})  # fmt: skip
NEW_CONTEXT = frozenset({"channel", "quantities"})
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
_EXPECT_2 = (_EXPECT[0], {*_EXPECT[1], "status"})
_ROW = ({"provider", "model", "meter", "usd_per_million"},
        {"service_tier", "context_tier", "geography", "from", "to", "utc_hours", "times"})  # fmt: skip
_INVARIANT: tuple[set[str], set[str]] = ({"id", "title", "statement", "inputs", "expected", "why", "source"}, set())


class CaseFileError(SettingsError):
    """A case file breaks the closed form."""


def check_form(table: dict[str, Any]) -> None:
    """Refuse a file outside the closed form.

    Raises:
        CaseFileError: names the place and what is wrong there.
    """
    _keys(table, {"form", "cases"}, {"invariants"}, "the file")
    if table["form"] not in FORMS or isinstance(table["form"], bool):
        raise CaseFileError(f"The file's form must be 1 or 2, got {table['form']!r}.")
    for case in _list(table["cases"], "cases"):
        _case(case, int(table["form"]))
    for invariant in _list(table.get("invariants", []), "invariants"):
        _keys(invariant, *_INVARIANT, f"invariant {_id(invariant)}")


def _case(case: dict[str, Any], form: int) -> None:
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
        _call(call, form, f"{where}, call {i + 1}")
    for i, expect in enumerate(expects):
        _expect(expect, case["kind"], form, f"{where}, expect {i + 1}")
    for i, row in enumerate(_list(case.get("contract", []), f"{where}, contract")):
        _row(row, form, f"{where}, contract row {i + 1}")
    try:
        contract_cards(case)
    except PriceError as error:
        raise CaseFileError(str(error)) from None


def _call(call: dict[str, Any], form: int, where: str) -> None:
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
    known = [name for name in formats() if form > 1 or name not in NEW_FORMATS]
    _one_of(call["format"], known, f"{where}, format")
    if not isinstance(call["usage"], list if formats()[call["format"]].records else dict):
        raise CaseFileError(f"{where}: usage has the wrong shape for {call['format']}.")
    context = call.get("context", {})
    _keys(context, set(), set(CONTEXT_KEYS) | (NEW_CONTEXT if form > 1 else set()), f"{where}, context")
    if context.get("quantities") is not None:
        _quantities(context["quantities"], f"{where}, context, quantities")
    if call["format"] == "meters":
        _quantities(call["usage"], f"{where}, usage")
    for key, value in context.items():
        if key == "quantities":
            continue
        kind: type = bool if key in ("batch", "aggregated") else int if key == "requests" else str
        wrong = not isinstance(value, kind) or (kind is int and (isinstance(value, bool) or int(str(value)) < 0))
        if value is not None and wrong:
            raise CaseFileError(f"{where}, context: {key} must be {kind.__name__}, got {value!r}.")


def _quantities(value: Any, where: str) -> None:
    _keys(value, set(), set(meters()), where)
    for name, count in value.items():
        _quantity(count, f"{where}: {name}")


def _quantity(value: object, where: str) -> None:
    """A whole number, or a decimal in quotes for units that have fractions."""
    if isinstance(value, bool) or not isinstance(value, int | str) or (isinstance(value, int) and value < 0):
        raise CaseFileError(f"{where} must be a whole number, or a decimal in quotes, got {value!r}.")
    if isinstance(value, str):
        _decimal(value, where)


def _expect(expect: Mapping[str, Any], kind: str, form: int, where: str) -> None:
    if kind == "reject":
        _keys(expect, {"flags"}, set(), where)
    else:
        _keys(expect, *(_EXPECT if form == 1 else _EXPECT_2), where)
        if ("list_cost" in expect) != (kind == "price"):
            raise CaseFileError(f"{where}: list_cost belongs to price cases, and only to them.")
        _keys(expect["meters"], set(), set(ROLL_UPS) | (set(meters()) if form > 1 else set()), f"{where}, meters")
        for name, status in (expect.get("status") or {}).items():
            _one_of(name, meters(), f"{where}, status")
            _one_of(status, [*PRICE_STATUSES, "unpriced"], f"{where}, status of {name}")
        for name, count in expect["meters"].items():
            if form > 1 and name not in ROLL_UPS:
                _quantity(count, f"{where}: {name}")
                continue
            if isinstance(count, bool) or not isinstance(count, int) or count < 0:
                raise CaseFileError(f"{where}: {name} must be a whole number, got {count!r}.")
        for key in ("list_cost", "reported_cost"):
            if expect.get(key) is not None:
                _decimal(expect[key], f"{where}, {key}")
        if expect.get("tolerance") is not None:
            _decimal(expect["tolerance"], f"{where}, tolerance")
    for flag in _list(expect["flags"], f"{where}, flags"):
        _one_of(flag, FLAGS | FREE_FLAGS, f"{where}, flags")


def _row(row: Mapping[str, Any], form: int, where: str) -> None:
    _keys(row, *_ROW, where)
    _one_of(row["meter"], [*PRICED, *(meters() if form > 1 else ())], f"{where}, meter")
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


def _keys(value: object, required: set[str], optional: set[str], where: str) -> None:
    if not isinstance(value, dict):
        raise CaseFileError(f"{where} must be an object, got {type(value).__name__}.")
    if unknown := sorted(set(value) - required - optional):
        raise CaseFileError(f"{where}: unknown key {unknown[0]!r}. {hint(unknown[0], required | optional)}")
    if missing := sorted(required - set(value)):
        raise CaseFileError(f"{where}: key {missing[0]!r} is missing.")


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON, refused if a key stands in it twice."""
    table = dict(pairs)
    if len(table) < len(pairs):
        names = [name for name, _ in pairs]
        raise CaseFileError(f"Key {next(n for n in names if names.count(n) > 1)!r} occurs twice in one object.")
    return table


def _list(value: object, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise CaseFileError(f"{where} must be a list, got {type(value).__name__}.")
    return value


def _text(value: object, where: str) -> None:
    if not isinstance(value, str) or not value:
        raise CaseFileError(f"{where} must be text, got {value!r}.")


def _one_of(value: object, known: Collection[str], where: str) -> None:
    if not isinstance(value, str) or value not in known:
        raise CaseFileError(f"{where}: {value!r} isn't known. {hint(str(value), list(known))}")


def _decimal(value: object, where: str) -> None:
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        number = Decimal("NaN")
    if isinstance(value, bool) or not number.is_finite() or number < 0:
        raise CaseFileError(f"{where} must be a decimal of 0 or more, got {value!r}.")


def _id(case: object) -> str:
    return str(case.get("id", "without id")) if isinstance(case, dict) else repr(case)[:40]


def contract_cards(case: Mapping[str, Any]) -> list[Card]:
    """The contract rows of a case as price cards."""
    cards = []
    # a row of a fine meter beats the roll-up that would cover it
    fine = {
        (row["provider"], row["model"], row["meter"]) for row in case.get("contract", ()) if row["meter"] not in PRICED
    }
    for row in case.get("contract", ()):
        covered = [
            m
            for m in expand_roll_up(row["meter"])
            if row["meter"] == m or (row["provider"], row["model"], m) not in fine
        ]
        rate = Decimal(str(row["usd_per_million"])) / MILLION
        for step in row.get("times", ()):
            rate *= Decimal(str(step["factor"]))
        name = take_apart(provider_name(row["provider"]), row["model"])
        cards.append(check_card(Card(
            provider=provider_name(row["provider"]), model=name.spellings[0],
            prices=dict.fromkeys(covered, rate), service_tier=row.get("service_tier") or "standard",
            over=read_over(row.get("context_tier")), geography=row.get("geography"),
            start=read_instant(row.get("from")), end=read_instant(row.get("to")), hours=read_hours(row.get("utc_hours")),
            status="contract", source=f"contract of case {case['id']}", layer=CONTRACT,
            times=tuple(f"x {step['factor']} {step['why']}" for step in row.get("times", ())),
        )))  # fmt: skip
    return check_overlaps(cards, f"case {case['id']}")
