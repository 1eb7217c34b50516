"""The price of a call, or of a model's tokens, with the row of the book that says so."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pandas as pd

from finops_ai.answering.answer import Answer, name
from finops_ai.answering.known import Known
from finops_ai.answering.question import Question
from finops_ai.errors import SettingsError, hint
from finops_ai.meters import Normalised, meters
from finops_ai.periods import UTC
from finops_ai.prices.calls import price_call
from finops_ai.prices.views import prices_of
from finops_ai.tables.result import Facts, Table


def price(known: Known, question: Question) -> Answer:
    """What a call costs at the end of the time asked about, or now; without tokens the model's prices."""
    provider = next((v for c, v in question.only if c == "provider"), None) or _provider(known, question.term)
    now = dt.datetime.now(UTC)
    at = min(question.period.window.end - dt.timedelta(seconds=1), now) if question.period is not None else now
    book = known.ws.book
    if unknown := [m for m in question.tokens if m not in meters()]:
        raise SettingsError(f"No meter {unknown[0]!r}. {hint(unknown[0], meters())}")
    if any(count < 0 for count in question.tokens.values()):
        raise SettingsError("A call has no negative number of tokens.")
    version = {"prices": book.version}
    rows = prices_of(book, provider, question.term, at)
    if not question.tokens:
        table = Table.of(pd.DataFrame(rows), Facts(f"Prices of {question.term} at {provider}", provenance=version))
        first = {r["meter"]: r for r in rows if not r["context"]}
        told = [
            f"{first[m]['per_million']} {first[m]['currency']} a million {m} tokens"
            for m in ("input", "output")
            if m in first
        ]
        text = f"{name(question.term)} at {provider} on {at:%Y-%m-%d}: {', '.join(told) or f'{len(rows)} prices'}."
        shown: tuple[str, ...] = ("meter", "unit", "per_million", "currency", "context", "status", "price_id")
    else:
        usage = Normalised(meters={m: Decimal(n) for m, n in question.tokens.items()})
        call = price_call(book, usage, provider=provider, model=question.term, at=at)
        lines = [
            {"meter": m, "quantity": Decimal(n), "per_million": None if (p := call.prices.get(m)) is None or p.unit_price is None else p.unit_price * 10**6,
             "cost": None if p is None or p.unit_price is None else p.unit_price * n, "price_id": p.price_id if p else None}
            for m, n in question.tokens.items()
        ]  # fmt: skip
        currency = next((p.currency for p in call.prices.values() if p.currency), "")
        table = Table.of(
            pd.DataFrame(lines),
            Facts(f"A call of {question.term} at {provider}", currency or "", notes=list(call.why), provenance=version),
        )
        cost = "an unknown amount (no price)" if call.cost is None else f"{call.cost.normalize():f} {currency}"
        text = f"A call of {name(question.term)} at {provider} on {at:%Y-%m-%d} with {', '.join(f'{n:,} {m}' for m, n in question.tokens.items())} tokens costs {cost}."
        if call.flags:
            text += f" In doubt: {', '.join(sorted(call.flags)).replace('_', ' ')}."
        shown = ("meter", "quantity", "per_million", "cost", "price_id")
    return Answer(
        text, table=table, shown=shown, top=max(question.top, 30), period=f"{at:%Y-%m-%d}", currency=table.facts.currency,
        definition="Prices of the workspace's book, its contracts laid over the list, at that instant; a contract's tiers and credits apply to months, not to a call.",
    )  # fmt: skip


def _provider(known: Known, model: str) -> str:
    """Who bills a model here; else who the book has it from."""
    seen: dict[str, Decimal] = {}
    for month in known.clock.months[-3:]:
        frame = known.ws.cube(month)
        mine = frame[(frame["model"] == model).to_numpy(bool)]
        for provider, cost in zip(mine["provider"], mine["effective_cost"], strict=True):
            seen[provider] = seen.get(provider, Decimal(0)) + (cost if isinstance(cost, Decimal) else 0)
    if seen:
        return max(sorted(seen), key=lambda p: seen[p])
    if provider := known.in_book(model):
        return provider
    raise SettingsError(f"Whose model is {model[:80]!r}? Name the provider, too: for provider openai.")
