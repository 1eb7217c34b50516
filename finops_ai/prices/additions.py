"""The user's own list prices: a figure of the book corrected, a model it lacks added, as data and not as a contract.

    [[list_prices]]
    provider = "openai"
    model = "gpt-7-nova"
    names = ["gpt-7-nova-preview"]
    prices = { input = "3", output = "15", cache_read = "0.3" }   # per million, or per `per` units
    tiers = { batch = "0.5", flex = "0.5" }                       # factor on all of them; or a table of prices
    over = { ">272000" = { input = "2", output = "1.5" } }        # factors of a context tier; or `all`
    from = 2026-11-01
    source = "the provider's announcement of 2026-10-28"

They are list prices: what they say is `listed`, contracts and discounts come on top, and `prices show` answers for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from finops_ai.errors import PriceError
from finops_ai.prices.cards import MILLION, USER, Card, check_card, rate, read_instant, read_over
from finops_ai.prices.names import provider_name, take_apart
from finops_ai.prices.own import OwnData, check_overlaps, expand_roll_up, known_meter, only, price_of
from finops_ai.shapes import Shape, misfit

_KEYS = frozenset({
    "provider", "model", "names", "prices", "per", "tiers", "over", "geography", "from", "to", "status", "source",
    "checked", "currency", "replaces",
})  # fmt: skip


_SHAPE: Shape = {
    "provider": "text", "model": "text", "names": ["text"], "prices": {}, "over": {}, "tiers": {}, "geography": "text",
    "status": "text", "source": "text", "currency": "text", "from": "day", "to": "day", "checked": "day", "replaces": "flag",
}  # fmt: skip


def additions(rows: object, place: str) -> OwnData:
    """Own list prices from the parsed `[[list_prices]]` of a file.

    Args:
        rows: the list of tables.
        place: the file's name, for messages.

    Raises:
        PriceError: an unknown key or meter, no provider, model or source, two prices for the same instant; names the row.
    """
    if not isinstance(rows, list | tuple) or not all(isinstance(row, Mapping) for row in rows):
        raise PriceError(f"{place}: list prices are a list of tables; begin each with [[list_prices]].")
    data = OwnData()
    for number, row in enumerate(rows):
        where = f"{place}, list price {row.get('model', number + 1)}"
        only(row, _KEYS, where)
        if wrong := misfit(row, _SHAPE):
            raise PriceError(f"{where}: {wrong}.")
        for key in ("provider", "model", "prices", "source"):
            if not row.get(key):
                raise PriceError(
                    f"{where}: `{key}` is missing" + ("; say where the price is from." if key == "source" else ".")
                )
        provider = provider_name(str(row["provider"]))
        model = take_apart(provider, str(row["model"])).spellings[-1]
        cards = list(_cards(row, provider, model, where))
        data.cards.setdefault((provider, model), []).extend(cards)
        check_overlaps(data.cards[provider, model], where)
        if row.get("replaces"):
            data.replaced.add((provider, model))
        data.names += [(provider, str(name).lower(), model, None, None) for name in (model, *row.get("names", ()))]
    return data


def _cards(row: Mapping[str, Any], provider: str, model: str, where: str) -> Iterator[Card]:
    per = price_of(row.get("per", MILLION), where)
    base = {
        name: rate(price_of(value, f"{where} {key}") / per)
        for key, value in row["prices"].items()
        for name in expand_roll_up(key)
    }
    steps: list[tuple[str | None, Mapping[str, Decimal]]] = [(None, base)]
    for over, factors in (row.get("over") or {}).items():
        steps.append((over, _scaled(base, factors, f"{where}, over {over}")))
    tiers: dict[str, Any] = {"standard": {"all": "1"}} | dict(row.get("tiers") or {})
    for tier, factor in tiers.items():
        for over, prices in steps:
            scaled = _scaled(prices, factor, f"{where}, tier {tier}") if tier != "standard" else dict(prices)
            checked = row.get("checked")
            yield check_card(Card(
                provider=provider, model=model, prices=scaled, service_tier=tier, over=read_over(over),
                geography=row.get("geography"), start=_instant(row.get("from")), end=_instant(row.get("to")),
                status=row.get("status", "listed"), source=str(row["source"]),
                checked=str(checked) if checked else None, layer=USER, currency=row.get("currency", "USD"),
            ))  # fmt: skip


def _scaled(prices: Mapping[str, Decimal], factors: object, where: str) -> dict[str, Decimal]:
    """Prices times a factor, one for all or one per meter (`all` for the rest)."""
    if not isinstance(factors, Mapping):
        factors = {"all": factors}
    named = {name: price_of(f, where) for key, f in factors.items() if key != "all" for name in _meters(key, where)}
    rest = price_of(factors.get("all", "1"), where)
    return {name: rate(price * named.get(name, rest)) for name, price in prices.items()}


def _meters(key: str, where: str) -> list[str]:
    return expand_roll_up(key) if key.startswith(("fresh", "cache_write_other")) else [known_meter(key, where)]


def _instant(value: date | datetime | str | None) -> datetime | None:
    found = read_instant(value)
    return found.astimezone(UTC) if found else None
