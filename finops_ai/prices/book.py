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
from finops_ai.prices.additions import additions
from finops_ai.prices.base import Base
from finops_ai.prices.cards import Card, read_instant
from finops_ai.prices.commitments import Pool, pools_of
from finops_ai.prices.contracts import Contract, check_below_list, contracts_of, read_price_file
from finops_ai.prices.listing import Asked, list_price
from finops_ai.prices.maps.history import Kept
from finops_ai.prices.maps.weighing import cards_of, joined
from finops_ai.prices.names import Named, Names, channel_of, provider_name, providers, take_apart
from finops_ai.prices.own import ANY_MODEL, OwnData, bundled, like_any, stable
from finops_ai.prices.places import deployment_tier, places_of, same_place, stated_place
from finops_ai.prices.price import SAME_RATE, Price, pick, priced, same_name

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
        self,
        base: Base | None = None,
        own: OwnData | None = None,
        contracts: Iterable[Contract] = (),
        maps: Kept | None = None,
    ) -> None:
        self.base = base
        self.maps = maps
        self.own = own or OwnData()
        self.contracts = list(contracts)
        self._names: dict[str, Names] = {}
        self._cards: dict[tuple[str, str], list[Card]] = {}
        self._found: dict[tuple[str, str, datetime | None, str], list[Found]] = {}
        self.proofs: dict[tuple[Any, ...], Decimal | None] = {}

    # -- where books come from

    @classmethod
    def default(cls) -> PriceBook:
        """The bundled book: genai-prices and this repository's price files."""
        return _default()

    @classmethod
    def load(cls, path: str | Path) -> PriceBook:
        """The bundled book with the own list prices and the contracts of a TOML file laid over it.

        Raises:
            PriceError: the file is missing or a row is unusable; the message names file and row.
        """
        table, place = read_price_file(path), Path(path).name
        book = cls.default()
        if rows := table.get("list_prices"):
            book = book.with_list(additions(rows, place))
        return book.under(contracts_of(table.get("contracts", ()), place), place)

    def with_list(self, own: OwnData) -> PriceBook:
        """This book with further list prices over it: models it lacks, figures it has wrong (see `additions`)."""
        both = OwnData()
        both.add(self.own)
        both.cards = {key: list(cards) for key, cards in both.cards.items()}
        both.add(own)
        return PriceBook(self.base, both, self.contracts, self.maps)

    def under(self, contracts: Sequence[Contract], place: str) -> PriceBook:
        """This book with contracts laid over it that are checked against it; `place` names their file in messages.

        Raises:
            PriceError: a contract raises a price above list, or only a context tier is in another currency, or its name is taken.
        """
        if above := check_below_list(self, contracts):
            raise PriceError(
                f"{place}: a contract can't raise a price above list or be in two currencies:\n  " + "\n  ".join(above)
            )
        if taken := {terms.name for terms in self.contracts} & {terms.name for terms in contracts if terms.settles}:
            raise PriceError(
                f"{place}: another contract is called {min(taken)!r}; statements couldn't tell them apart."
            )
        return self.with_contracts(contracts)

    def with_contracts(self, contracts: Iterable[Contract]) -> PriceBook:
        """This book with contracts laid over it; the list layers are shared. Where several fit, the last one decides."""
        book = PriceBook(self.base, self.own, [*self.contracts, *contracts], self.maps)
        book._share(self)
        return book

    def _share(self, other: PriceBook) -> None:
        """Take over what another book with the same list layers has already worked out."""
        self._names, self._cards, self._found, self.proofs = other._names, other._cards, other._found, other.proofs

    def with_credit_left(self, left: Mapping[tuple[str, str], Decimal]) -> PriceBook:
        """This book with what is left of its credits, by contract and credit; the same prices, so the same version."""
        version = self.version
        contracts = [
            replace(t, credits=tuple(replace(c, left=left.get((t.name, c.name), c.left)) for c in t.credits))
            for t in self.contracts
        ]
        book = PriceBook(self.base, self.own, (), self.maps).with_contracts(contracts)
        book._share(self)
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
        base = self.base.as_known(at.date()) if self.base else None
        return PriceBook(base, self.own.as_known(at), (), self.maps.as_known(at.date()) if self.maps else None)

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
            for model in self.maps.models(provider) if self.maps else ():
                if model not in names.whole:
                    names.add(model, model)
            names.stems |= {stem: model for owner, stem, model in self.own.stems if owner == provider}
            self._names[provider] = names
        return self._names[provider]

    def find(self, provider: str, model: str, at: datetime | None = None) -> Found | None:
        """The model a name stands for at an instant, here or at a provider whose list applies; None = unknown."""
        sellers = self.sellers(provider_name(provider), model, at, channel_of(provider, model))
        return sellers[0] if sellers else None

    def sellers(self, provider: str, model: str, at: datetime | None, channel: str = "") -> list[Found]:
        """The model as each list that applies to a seller's bill knows it, its own list first; empty = unknown.

        Args:
            provider: canonical name of who bills.
            model: name as billed.
            at: instant, for names that moved.
            channel: list of its own of one channel of the provider ("vertex").
        """
        moved = at if at and self._moved.intersection(take_apart(provider, model).spellings) else None
        key = (provider, model, moved, channel)
        if key not in self._found:
            self._found[key] = self._sellers(provider, model, at, channel)
        return self._found[key]

    @cached_property
    def _moved(self) -> frozenset[str]:
        """Names that meant different models at different times."""
        return frozenset(name for _, name, _, start, end in self.own.names if start or end)

    def _sellers(self, provider: str, model: str, at: datetime | None, channel: str) -> list[Found]:
        named = take_apart(provider, model)
        lists = providers()[provider].lists if provider in providers() else ()
        found = []
        for seller in dict.fromkeys((*([channel] if channel else []), provider, *lists)):
            names = self.names(seller)
            spellings = named.spellings
            if seller == "vertex":  # its own models are listed without their maker
                bare = spellings[-1].rpartition("/")[2]
                spellings = (*spellings, bare, bare.partition("@")[0])
                google = self.names("google")  # what it calls a model, it calls so on Vertex AI, too
                spellings += tuple(known for name in spellings if (known := google.resolve(name, at)))
            for spelling in spellings:
                if known := names.resolve(spelling, at):
                    found.append(Found(seller, known, named.spellings, named.place, named.region))
                    break
        return found

    def models(self, provider: str) -> list[str]:
        """Canonical names of a provider's models with a price of their own here."""
        own = (model for owner, model in self.own.cards if owner == provider)
        maps = self.maps.models(provider) if self.maps else ()
        return list(dict.fromkeys([*(self.base.models(provider) if self.base else ()), *maps, *own]))

    # -- cards

    def cards(self, provider: str, model: str) -> list[Card]:
        """List cards of a canonical model."""
        key = (provider, model)
        if key not in self._cards:
            free = key not in self.own.replaced
            base = self.base.cards(provider, model) if self.base and free else []
            said = self.maps.models(provider).get(model) if self.maps and free else None
            moves = [at for owner, models, at in self.own.moves if owner == provider and like_any(model, models)]
            own = self.own.cards.get(key, [])
            day = self.base.published if self.base else None
            maps = joined(cards_of(said, base, self.maps, day, moves, own)) if said and self.maps else []
            cards = [*base, *maps, *own]
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
        price = self.price(provider, model, meter, when, tier, place, contract)
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
        channel = channel_of(provider, model, place.get("api_base"))
        provider = provider_name(provider)
        sellers = self.sellers(provider, model, at, channel)
        found = sellers[0] if sellers else None
        named = found or take_apart(provider, model)
        place = {**place, "region": place.get("region") or named.region}
        places = places_of(provider, named=named.place, **place)
        stated = stated_place(provider, named=named.place, **place)
        listed = list_price(self, sellers, Asked(provider, meter, at, tier, places, stated))
        if not (contract and self.contracts):
            return listed
        return self._contracted(provider, found, named, meter, at, tier, places, listed, billed_as, accounts)

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
            bare = named.spellings[-1]
            if found is None and (own := self._at_own_rate(provider, bare, cards, meter, tier, at, places)):
                return own
            share = contract.discounted(spellings, meter)
            if share is not None and listed.unit_price is not None:
                return listed.discounted(share, contract.name)
        return listed

    def contracted(self, provider: str, model: str, at: datetime | None = None) -> bool:
        """Whether a contract has rates of a model, which the lists may not know."""
        provider = provider_name(provider)
        spellings = take_apart(provider, model).spellings
        cards = (c for terms in self.contracts if terms.provider == provider for c in terms.cards)
        return any((at is None or c.holds(at)) and any(same_name(c.model, s) for s in spellings) for c in cards)

    def _at_own_rate(
        self, provider: str, model: str, cards: list[Card], meter: str, tier: str, at: datetime, places: tuple[str, ...]
    ) -> Price | None:
        """A tier's price of a model only a contract knows: its standard rate times the provider's published factor."""
        if tier == "standard" or not meter_named(meter).is_token:
            return None
        rules = [r for r in self.own.rules if r.provider == provider and r.tier == tier and r.applies(model, at)]
        rule = next((r for r in rules if not (r.places or r.meters or r.no_list)), None)
        for name in (meter, *SAME_RATE.get(meter, ())) if rule else ():
            if picked := pick(cards, name, "standard", places):
                return replace(priced(picked, name, [rule], [], at, True, None, None), status="assumed")  # type: ignore[list-item]
        return None

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
            days |= {at.date() for at in self.turns(provider, model)}
        return sorted(day for day in days if first < day <= last)

    def change_minutes(self, first: date, last: date, models: Iterable[tuple[str, str]]) -> list[int]:
        """Minutes after 00:00 UTC at which a price of these (provider, model) pairs may change on some of these days.

        >>> PriceBook.default().change_minutes(date(2025, 3, 1), date(2025, 3, 31), [("deepseek", "deepseek-chat")])
        [30, 990]
        """
        found: set[int] = set()
        for provider, model in models:
            found |= set(self.minutes_of_day(provider, model))
            turns = self.turns(provider, model)
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
        channel, provider = channel_of(provider, model), provider_name(provider)
        own = (card for card in self._own_rates() if card.provider == provider)
        listed = (
            card
            for found in self.sellers(provider, model, None, channel)
            for card in self.cards(found.sold_by, found.model)
        )
        for card in (*listed, *own):
            if card.hours is not None or card.weekdays is not None:
                yield card

    def turns(self, provider: str, model: str) -> list[datetime]:
        """Every instant at which a price of a model may change."""
        instants: set[datetime | None] = set()
        for card in self.listed_cards(provider, model):
            instants |= {card.start, card.end, card.unsure_from}
        provider = provider_name(provider)
        for _, name, _, start, end in self.own.names:
            if (start or end) and name in take_apart(provider, model).spellings:
                instants |= {start, end}
        for contract in self.contracts:
            if contract.provider == provider:
                spans = [(part.start, part.end) for part in (contract, *contract.cards, *contract.capacity)]  # type: ignore[attr-defined]
                instants |= {at for span in spans for at in span}
        for rule in self.own.rules:
            if rule.provider == provider:
                instants |= {rule.start, rule.end}
        return sorted(at for at in instants if at)

    def listed_cards(self, provider: str, model: str) -> Iterable[Card]:
        """Every card of the lists that may price a model, whenever."""
        channel, provider = channel_of(provider, model), provider_name(provider)
        sellers = self.sellers(provider, model, None, channel)
        models = {(found.sold_by, found.model) for found in sellers} | {(provider, ANY_MODEL)}
        for _, name, target, start, end in self.own.names:
            if (start or end) and name in take_apart(provider, model).spellings:
                models |= {(found.sold_by, target) for found in sellers} or {(provider, target)}
        for owner, name in sorted(models):
            yield from self.cards(owner, name)

    def cuts_of(self, models: Iterable[tuple[str, str]]) -> list[int]:
        """Input tokens from which on a call of one of these (provider, model) pairs may be in another context tier."""
        cards = [card for provider, model in models for card in self.listed_cards(provider, model)]
        cards += [card for contract in self.contracts for card in contract.cards]
        return sorted({tokens + (not inclusive) for tokens, inclusive in {c.over for c in cards if c.over}})

    def both(self, key: dict[str, Any], at: datetime) -> tuple[Price, Price]:
        """List and contracted price of one key of a token frame at an instant.

        A list price in another currency than the contract's is no list price of the row: it is unknown there, not converted.
        """
        place = {
            "inference_geo": key.get("inference_geo"),
            "region": key.get("region"),
            "api_base": None,
            "deployment_type": None,
        }
        tier = key.get("service_tier") or "standard"
        listed = self.price(key["provider"], key["model"], key["meter"], at, tier, place, False)
        if not self.contracts:
            return listed, listed
        accounts = (key.get("billing_account_id"), key.get("sub_account_id"))
        agreed = self.price(key["provider"], key["model"], key["meter"], at, tier, place, True, accounts=accounts)
        if agreed.unit_price is not None and listed.currency != agreed.currency:
            listed = replace(listed, unit_price=None, tiers=())
        return listed, agreed

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

    def rows(self, provider: str | None = None, models: Iterable[tuple[str, str]] | None = None) -> pd.DataFrame:
        """The book as a price frame: one row per dated price of a meter, contracts included.

        Args:
            provider: rows of this provider only; None = all (some 20,000 rows).
            models: rows of these (provider, model) pairs only, without contracts.
        """
        from finops_ai.prices.views import price_frame

        wanted = provider_name(provider) if provider else None
        return price_frame(
            [*self._all_cards(wanted)] if models is None else [card for pair in models for card in self.cards(*pair)]
        )

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

    def providers(self) -> list[str]:
        """Sellers with a price of their own here."""
        owners = {owner for owner, _ in self.own.cards} | set(self.base.providers() if self.base else ())
        return sorted(owners | set(self.maps.providers() if self.maps else ()))

    def _all_cards(self, provider: str | None) -> Iterable[Card]:
        for owner in self.providers() if provider is None else [provider]:
            for model in self.models(owner):
                yield from self.cards(owner, model)
        yield from (card for card in self._own_rates() if provider in (None, card.provider))

    def _own_rates(self) -> list[Card]:
        return [card for contract in self.contracts for card in contract.cards]

    @cached_property
    def version(self) -> str:
        """Hash of everything a price depends on: equal books have equal versions."""
        parts = (
            self.base.version if self.base else "",
            self.maps.version if self.maps else "",
            self.own.digest,
            repr(stable(self.contracts)),
        )
        return blake2b("|".join(parts).encode(), digest_size=8).hexdigest()


def _of(found: Found | None) -> tuple[str | None, str | None]:
    return (found.model, found.sold_by) if found else (None, None)


@cache
def _default() -> PriceBook:
    from finops_ai.prices.updating import installed, kept_maps

    return PriceBook(installed(), bundled(), (), kept_maps())
