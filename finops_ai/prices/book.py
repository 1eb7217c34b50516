"""The price book: which rate was in force for a provider, model, meter, modifiers and instant, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache, cached_property
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finops_ai.errors import PriceError
from finops_ai.meters import meter as meter_named
from finops_ai.prices.base import Base
from finops_ai.prices.cards import CONTRACT, Card, over_text, rate, read_instant
from finops_ai.prices.commitments import Pool, pools_of
from finops_ai.prices.contracts import Contract, check_below_list, read_contracts
from finops_ai.prices.names import Named, Names, provider_name, providers, take_apart
from finops_ai.prices.own import ANY_MODEL, OwnData, Rule, bundled, stable
from finops_ai.prices.places import deployment_tier, places_of, same_place
from finops_ai.prices.price import SAME_RATE, Price, chain, pick, picked_for_place, priced, same_name

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Found:
    """A model name as the book knows it."""

    sold_by: str
    model: str
    spellings: tuple[str, ...]
    place: str | None
    region: str | None


class PriceBook:
    """Dated prices of every provider, with what modifies them.

    Built from three layers: genai-prices, this repository's price files, and the user's contracts. A later layer wins.

    >>> book = PriceBook.default()
    >>> price = book.lookup("openai", "gpt-4o-2024-08-06", "cache_read", "2024-10-14")
    >>> price.unit_price * 1_000_000
    Decimal('1.25000000')
    """

    def __init__(
        self, base: Base | None = None, own: OwnData | None = None, contracts: Iterable[Contract] = ()
    ) -> None:
        self.base = base
        self.own = own or OwnData()
        self.contracts = list(contracts)
        self._names: dict[str, Names] = {}
        self._cards: dict[tuple[str, str], list[Card]] = {}
        self._found: dict[tuple[str, str, datetime | None], Found | None] = {}

    # -- where books come from

    @classmethod
    def default(cls) -> PriceBook:
        """The bundled book: genai-prices and this repository's price files."""
        return _default()

    @classmethod
    def load(cls, path: str | Path) -> PriceBook:
        """The bundled book with the contracts of a TOML file laid over it.

        Raises:
            PriceError: the file is missing or a row is unusable; the message names file and row.
        """
        return cls.default().under(read_contracts(path), Path(path).name)

    def under(self, contracts: Sequence[Contract], place: str) -> PriceBook:
        """This book with contracts laid over it that are checked against it; `place` names their file in messages.

        Raises:
            PriceError: a contract raises a price above list or changes its currency, or its name is taken.
        """
        if above := check_below_list(self, contracts):
            raise PriceError(
                f"{place}: a contract can't raise a price above list or change its currency:\n  " + "\n  ".join(above)
            )
        if taken := {terms.name for terms in self.contracts} & {terms.name for terms in contracts if terms.settles}:
            raise PriceError(
                f"{place}: another contract is called {min(taken)!r}; statements couldn't tell them apart."
            )
        return self.with_contracts(contracts)

    def with_contracts(self, contracts: Iterable[Contract]) -> PriceBook:
        """This book with contracts laid over it; the list layers are shared. Where several fit, the last one decides."""
        book = PriceBook(self.base, self.own, [*self.contracts, *contracts])
        book._names, book._cards, book._found = self._names, self._cards, self._found
        return book

    def with_credit_left(self, left: Mapping[tuple[str, str], Decimal]) -> PriceBook:
        """This book with what is left of its credits, by contract and credit; the same prices, so the same version."""
        version = self.version
        contracts = [
            replace(t, credits=tuple(replace(c, left=left.get((t.name, c.name), c.left)) for c in t.credits))
            for t in self.contracts
        ]
        book = PriceBook(self.base, self.own).with_contracts(contracts)
        book._names, book._cards, book._found = self._names, self._cards, self._found
        book.__dict__["version"] = version
        return book

    def as_known(self, day: date | str) -> PriceBook:
        """The list prices as they were known on a day: later ones are announcements at most, contracts are left out.

        >>> then = PriceBook.default().as_known("2026-08-01")
        >>> price = then.lookup("openai", "gpt-5.6-sol", "input", "2026-09-01")
        >>> price.unit_price * 1_000_000, price.needs_confirmation
        (Decimal('5.000000'), True)
        """
        at = read_instant(day)
        assert at is not None
        return PriceBook(self.base.as_known(at.date()) if self.base else None, self.own.as_known(at))

    # -- names

    def names(self, provider: str) -> Names:
        """All names of a provider's models."""
        if provider not in self._names:
            names = self.base.names(provider).copy() if self.base else Names()
            for owner, name, model, start, end in self.own.names:
                if owner == provider:
                    if start is None and end is None:
                        names.whole.pop(name, None)
                    names.add(name, model, start, end)
            names.stems |= {stem: model for owner, stem, model in self.own.stems if owner == provider}
            self._names[provider] = names
        return self._names[provider]

    def find(self, provider: str, model: str, at: datetime | None = None) -> Found | None:
        """The model a name stands for at an instant, here or at a provider whose list applies; None = unknown."""
        moved = at if at and self._moved.intersection(take_apart(provider, model).spellings) else None
        key = (provider, model, moved)
        if key not in self._found:
            self._found[key] = self._find(provider, model, at)
        return self._found[key]

    @cached_property
    def _moved(self) -> frozenset[str]:
        """Names that meant different models at different times."""
        return frozenset(name for _, name, _, start, end in self.own.names if start or end)

    def _find(self, provider: str, model: str, at: datetime | None) -> Found | None:
        named = take_apart(provider, model)
        for seller in (provider, *(providers()[provider].lists if provider in providers() else ())):
            names = self.names(seller)
            for spelling in named.spellings:
                if found := names.resolve(spelling, at):
                    return Found(seller, found, named.spellings, named.place, named.region)
        return None

    def models(self, provider: str) -> list[str]:
        """Canonical names of a provider's models with a price of their own here."""
        own = (model for owner, model in self.own.cards if owner == provider)
        return list(dict.fromkeys([*(self.base.models(provider) if self.base else ()), *own]))

    # -- cards

    def cards(self, provider: str, model: str) -> list[Card]:
        """List cards of a canonical model."""
        key = (provider, model)
        if key not in self._cards:
            base = self.base.cards(provider, model) if self.base and key not in self.own.replaced else []
            cards = [*base, *self.own.cards.get(key, ())]
            for doubt in self.own.doubts:
                cards = [part for card in cards for part in doubt.applied(card)]
            self._cards[key] = cards
        return self._cards[key]

    # -- prices

    def lookup(
        self,
        provider: str,
        model: str,
        meter: str,
        at: datetime | str,
        *,
        service_tier: str = "standard",
        input_tokens: int | None = None,
        context_window: str | None = None,
        inference_geo: str | None = None,
        region: str | None = None,
        api_base: str | None = None,
        deployment_type: str | None = None,
        contract: bool = True,
    ) -> Price:
        """The rate in force, and why.

        Args:
            provider: who sends the bill, in any known spelling.
            model: model name as billed.
            meter: meter from the registry.
            at: UTC instant.
            service_tier: tier that served the call, in this package's words.
            input_tokens: total input of the single request; None = not known, base rate.
            context_window: context class the provider states, used where `input_tokens` isn't given.
            inference_geo, region, api_base, deployment_type: where it ran, as the provider states it.
            contract: whether the user's contract counts.

        Returns:
            The price; `unit_price` is None where no row fits.
        """
        when = read_instant(at)
        assert when is not None
        place = {
            "inference_geo": inference_geo,
            "region": region,
            "api_base": api_base,
            "deployment_type": deployment_type,
        }
        tier = deployment_tier(deployment_type) or service_tier if provider_name(provider) == "azure" else service_tier
        price = self.price(provider_name(provider), model, meter, when, tier, place, contract)
        if input_tokens is not None:
            return price.above(input_tokens)
        return price.in_window(context_window) or price

    def price(
        self,
        provider: str,
        model: str,
        meter: str,
        at: datetime,
        tier: str,
        place: dict[str, str | None],
        contract: bool = True,
        billed_as: str | None = None,
        accounts: Sequence[str | None] = (),
    ) -> Price:
        """The rate of canonical arguments; `lookup` is the friendly form.

        `place` holds inference_geo, region, api_base and deployment_type; `billed_as` is a further name a contract
        may use (a deployment's), `accounts` the billing and sub account.
        """
        provider = provider_name(provider)
        found = self.find(provider, model, at)
        named = found or take_apart(provider, model)
        place = {**place, "region": place.get("region") or named.region}
        places = places_of(provider, named=named.place, **place)  # type: ignore[arg-type]
        listed = self._listed(provider, found, meter, at, tier, places)
        if not (contract and self.contracts):
            return listed
        return self._contracted(provider, found, named, meter, at, tier, places, listed, billed_as, accounts)

    def _listed(
        self, provider: str, found: Found | None, meter: str, at: datetime, tier: str, places: tuple[str, ...]
    ) -> Price:
        is_token = meter_named(meter).is_token
        anything = [] if is_token else self._fitting(provider, ANY_MODEL, at, places)
        if found is None:
            if picked := pick(anything, meter, "standard", places):
                return priced(picked, meter, [], [], at, False, None, None)
            return Price(None, why=("no price row: unknown model",))
        cards = self._fitting(found.sold_by, found.model, at, places)
        rules = [rule for rule in self.own.rules if rule.provider == provider and rule.applies(found.model, at)]
        has_tier = any(card.service_tier == tier for card in cards)
        factor = None if has_tier else next((r for r in rules if r.tier == tier and r.places is None), None)
        if is_token and tier != "standard" and not has_tier and (factor is None or factor.no_list):
            why = factor.why if factor else f"no price row for service tier {tier}"
            return Price(None, why=(why,), model=found.model, sold_by=found.sold_by)
        for name, assumed in chain(meter):
            for wanted in dict.fromkeys((tier, "standard") if has_tier else ("standard",)):
                picked = pick(cards, name, wanted, places)
                if picked is None:
                    continue
                factors = [factor] if factor and is_token else []
                notes = (
                    [] if name == meter else [f"{meter} at the {name} rate{', no price of its own' if assumed else ''}"]
                )
                if wanted != tier and has_tier:
                    notes.append(f"no {tier} price for {name}: the standard rate stays")
                if (
                    wanted == tier != "standard"
                    and is_token
                    and (ratio := self._place_ratio(cards, name, places, picked))
                ):
                    factors = [*factors, ratio]
                elif is_token and not picked_for_place(picked):
                    factors += [
                        r for r in rules if r.tier is None and r.places and any(same_place(p, places) for p in r.places)
                    ][:1]
                return priced(picked, name, factors, notes, at, assumed, *_of(found))
        if picked := pick(anything, meter, "standard", places):
            return priced(picked, meter, [], [], at, False, *_of(found))
        return Price(None, why=(f"no price row for {meter}",), model=found.model, sold_by=found.sold_by)

    def _place_ratio(
        self, cards: list[Card], meter: str, places: tuple[str, ...], picked: dict[tuple[int, bool] | None, Card]
    ) -> Rule | None:
        """What a place with a standard price of its own adds to a tier's price that is for every place."""
        general = pick([card for card in cards if card.geography is None], meter, "standard", ())
        placed = pick(cards, meter, "standard", places)
        if picked_for_place(picked) or not general or not placed or not picked_for_place(placed):
            return None
        base, here = general[None].prices[meter], placed[None].prices[meter]
        if not base or base == here:
            return None
        return Rule("", rate(here / base), f"{placed[None].geography}, as the standard price there", status="assumed")

    def _fitting(self, provider: str, model: str, at: datetime, places: tuple[str, ...]) -> list[Card]:
        return [
            card
            for card in self.cards(provider, model)
            if card.holds(at) and (card.geography is None or same_place(card.geography, places))
        ]

    def _contracted(
        self, provider: str, found: Found | None, named: Found | Named, meter: str, at: datetime, tier: str,
        places: tuple[str, ...], listed: Price, billed_as: str | None, accounts: Sequence[str | None],
    ) -> Price:  # fmt: skip
        spellings = [*named.spellings, *([found.model] if found else []), *([billed_as.lower()] if billed_as else [])]
        for contract in reversed(self.contracts):
            if not contract.covers(provider, accounts, at):
                continue
            cards = [
                card
                for card in contract.cards
                if card.holds(at)
                and (card.geography is None or same_place(card.geography, places))
                and any(same_name(card.model, spelling) for spelling in spellings)
            ]
            for name in (meter, *SAME_RATE.get(meter, ())):
                if picked := pick(cards, name, tier, places, listed):
                    return priced(picked, name, [], [], at, False, *_of(found), listed)
            share = contract.discounted(spellings, meter)
            if share is not None and listed.unit_price is not None:
                return listed.discounted(share, contract.name)
        return listed

    # -- all keys of a data set at once

    @property
    def key_columns(self) -> tuple[str, ...]:
        """Columns of a token frame that a price can depend on, besides the time.

        >>> PriceBook.default().key_columns[-1]
        'region'
        """
        keys = ["provider", "model", "meter", "service_tier", "context_tier", "inference_geo", "region"]
        if any(contract.accounts for contract in self.contracts):
            keys += ["billing_account_id", "sub_account_id"]
        if any(part.resources for contract in self.contracts for part in contract.capacity):
            keys.append("resource_id")
        return tuple(keys)

    def change_days(self, first: date, last: date, models: Iterable[tuple[str, str]] = ()) -> list[date]:
        """UTC days after the first on which a price of these (provider, model) pairs may change.

        Every day for models with prices by weekday or hour.
        """
        days: set[date] = set()
        for provider, model in models:
            if self.by_time_of_day(provider, model):
                return [first + timedelta(days=n) for n in range(1, (last - first).days + 1)]
            days |= {at.date() for at in self.turns(provider_name(provider), model)}
        return sorted(day for day in days if first < day <= last)

    def change_minutes(self, first: date, last: date, models: Iterable[tuple[str, str]]) -> list[int]:
        """Minutes after 00:00 UTC at which a price of these (provider, model) pairs may change on some of these days.

        >>> PriceBook.default().change_minutes(date(2025, 3, 1), date(2025, 3, 31), [("deepseek", "deepseek-chat")])
        [30, 990]
        """
        found: set[int] = set()
        for provider, model in models:
            found |= set(self.minutes_of_day(provider, model))
            turns = self.turns(provider_name(provider), model)
            found |= {at.hour * 60 + at.minute for at in turns if first <= at.date() <= last}
        return sorted(found - {0})

    def minutes_of_day(self, provider: str, model: str) -> list[int]:
        """Minutes after 00:00 UTC between which a model has prices of their own every day or on some weekdays."""
        return sorted({minute for card in self._timed_cards(provider, model) for minute in card.hours or ()} - {0})

    @cached_property
    def context_cuts(self) -> tuple[int, ...]:
        """Input tokens from which on a call is in another context tier, of any model, lowest first.

        >>> PriceBook.default().context_cuts[:2]
        (32001, 100001)
        """
        cards = [card for found in self.own.cards.values() for card in found]
        cards += [card for contract in self.contracts for card in contract.cards]
        if base := self.base:
            cards += [c for p in base.providers() for m in base.models(p) for c in base.cards(p, m)]
        return tuple(sorted({tokens + (not inclusive) for tokens, inclusive in {c.over for c in cards if c.over}}))

    def by_time_of_day(self, provider: str, model: str) -> bool:
        """Whether a model has prices for some hours or weekdays only."""
        return any(True for _ in self._timed_cards(provider, model))

    def _timed_cards(self, provider: str, model: str) -> Iterable[Card]:
        provider = provider_name(provider)
        found = self.find(provider, model)
        own = (card for card in self._own_rates() if card.provider == provider)
        for card in (*(self.cards(found.sold_by, found.model) if found else ()), *own):
            if card.hours is not None or card.weekdays is not None:
                yield card

    def turns(self, provider: str, model: str) -> list[datetime]:
        """Every instant at which a price of a model may change."""
        found = self.find(provider, model)
        instants: set[datetime | None] = set()
        models = {found.model} if found else set()
        for _, name, target, start, end in self.own.names:
            if (start or end) and name in take_apart(provider, model).spellings:
                instants |= {start, end}
                models.add(target)
        for name in models:
            for card in self.cards(found.sold_by if found else provider, name):
                instants |= {card.start, card.end, card.unsure_from}
        for contract in self.contracts:
            if contract.provider == provider:
                spans = [(part.start, part.end) for part in (contract, *contract.cards, *contract.capacity)]  # type: ignore[attr-defined]
                instants |= {at for span in spans for at in span}
        for rule in self.own.rules:
            if rule.provider == provider:
                instants |= {rule.start, rule.end}
        return sorted(at for at in instants if at)

    def both(self, key: dict, at: datetime) -> tuple[Price, Price]:
        """List and contracted price of one key of a token frame at an instant."""
        place = {
            "inference_geo": key.get("inference_geo"),
            "region": key.get("region"),
            "api_base": None,
            "deployment_type": None,
        }
        tier = key.get("service_tier") or "standard"
        listed = self.price(provider_name(key["provider"]), key["model"], key["meter"], at, tier, place, False)
        if not self.contracts:
            return listed, listed
        accounts = (key.get("billing_account_id"), key.get("sub_account_id"))
        return listed, self.price(key["provider"], key["model"], key["meter"], at, tier, place, True, accounts=accounts)

    @cached_property
    def has_terms(self) -> bool:
        """Whether a contract has terms that whole months or days settle: volume tiers, credits, capacity."""
        return any(contract.settles for contract in self.contracts)

    def above_list(self, provider: str) -> bool:
        """Whether a contract with a provider says that its rates may lie above list."""
        return any(terms.above_list for terms in self.contracts if terms.provider == provider_name(provider))

    @cached_property
    def pools(self) -> list[Pool]:
        """Committed capacity that serves the same traffic, together; `terms_of` gives their numbers."""
        return pools_of(self.contracts)

    def terms_of(self, key: Mapping[str, Any], at: datetime) -> tuple[int | None, int | None, int | None]:
        """Which contract's volume tiers, which one's credits and which pool of capacity a key falls under; the last decides."""
        provider = provider_name(key["provider"])
        accounts = (key.get("billing_account_id"), key.get("sub_account_id"))
        found = self.find(provider, key["model"], at)
        spellings = [*(found or take_apart(provider, key["model"])).spellings, *([found.model] if found else [])]
        pool = next(
            (n for n, p in reversed([*enumerate(self.pools)]) if p.serves(key, provider, accounts, spellings, at)), None
        )
        if pool is not None:
            return None, None, pool
        volume = credit = None
        for number, contract in enumerate(self.contracts):
            if contract.covers(provider, accounts, at):
                volume = number if contract.counts(spellings, key["meter"]) else volume
                credit = number if contract.credits and contract.is_for(spellings, key["meter"]) else credit
        return volume, credit, None

    def expand(self, keys: pa.Table) -> pa.Table:
        """Prices of distinct keys and days, for an equi-join (see `finops_ai.prices.expand`)."""
        from finops_ai.prices.expand import expand

        return expand(self, keys)

    # -- what is inside

    def rows(self, provider: str | None = None) -> pd.DataFrame:
        """The book as a price frame: one row per dated price of a meter, contracts included.

        Args:
            provider: rows of this provider only; None = all (some 20,000 rows).
        """
        from finops_ai.frames import PriceFrame, conform

        wanted = provider_name(provider) if provider else None
        cards = list(self._all_cards(wanted))
        flat = [(card, name) for card in cards for name in card.prices]
        seen: dict[str, tuple[Card, str]] = {}
        for card, name in flat:
            seen.setdefault(card.price_id(name), (card, name))
        columns = {
            "price_id": list(seen),
            "provider": [card.provider for card, _ in seen.values()],
            "model": [card.model for card, _ in seen.values()],
            "meter": [name for _, name in seen.values()],
            "service_tier": [card.service_tier for card, _ in seen.values()],
            "context_over": [over_text(card.over) if card.over else None for card, _ in seen.values()],
            "geography": [card.geography for card, _ in seen.values()],
            "unit_price": [rate(card.prices[name]) for card, name in seen.values()],
            "currency": [card.currency for card, _ in seen.values()],
            "effective_from": [card.start for card, _ in seen.values()],
            "effective_to": [card.end for card, _ in seen.values()],
            "known_since": [card.known_since for card, _ in seen.values()],
            "status": [
                "contract" if c.layer == CONTRACT and c.status == "listed" else c.status for c, _ in seen.values()
            ],
            "source": [card.source for card, _ in seen.values()],
            "checked": [card.checked for card, _ in seen.values()],
        }
        return conform(columns, PriceFrame, source="the price book")

    def show(self, provider: str, model: str, at: datetime | str | None = None, **modifiers: Any) -> pd.DataFrame:
        """Every price of one model at an instant, with row and modifiers (see `finops_ai.prices.views.prices_of`)."""
        import pandas as pd

        from finops_ai.prices.views import prices_of

        return pd.DataFrame(prices_of(self, provider, model, at, **modifiers))

    def diff(self, other: PriceBook) -> pd.DataFrame:
        """What is different in another book (see `finops_ai.prices.views.diff_books`)."""
        from finops_ai.prices.views import diff_books

        return diff_books(self, other)

    def unpriced(self, tokens: pd.DataFrame) -> pd.DataFrame:
        """What this book can't price in a token frame (see `finops_ai.prices.views.unpriced`)."""
        from finops_ai.prices.views import unpriced

        return unpriced(tokens, self)

    def _all_cards(self, provider: str | None) -> Iterable[Card]:
        owners = {owner for owner, _ in self.own.cards} | set(self.base.providers() if self.base else ())
        for owner in sorted(owners if provider is None else {provider}):
            for model in self.models(owner):
                yield from self.cards(owner, model)
        yield from (card for card in self._own_rates() if provider in (None, card.provider))

    def _own_rates(self) -> list[Card]:
        return [card for contract in self.contracts for card in contract.cards]

    @cached_property
    def version(self) -> str:
        """Hash of everything a price depends on: equal books have equal versions."""
        parts = (self.base.version if self.base else "", self.own.digest, repr(stable(self.contracts)))
        return blake2b("|".join(parts).encode(), digest_size=8).hexdigest()


def _of(found: Found | None) -> tuple[str | None, str | None]:
    return (found.model, found.sold_by) if found else (None, None)


@cache
def _default() -> PriceBook:
    from finops_ai.prices.updating import installed

    return PriceBook(installed(), bundled())
