"""Price files of this repository and of users: cards, aliases and factors as TOML, every row with its source."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from datetime import datetime
from decimal import Decimal
from functools import cache, cached_property
from hashlib import blake2b
from importlib.resources import files
from typing import Any

from finops_ai.errors import PriceError, hint
from finops_ai.meters import meters
from finops_ai.money import exact
from finops_ai.prices.cards import MILLION, OWN, Card, check_card, rate, read_hours, read_instant, read_over
from finops_ai.prices.names import provider_name

#: id of the cards that hold for every model of a provider: tools, storage, capacity
ANY_MODEL = "*"
_CARD_KEYS = frozenset({
    "tier", "over", "geography", "from", "to", "utc_hours", "weekdays", "status", "unsure_from", "known_since",
    "source", "checked", "currency", "per", "prices",
})  # fmt: skip
_MODEL_KEYS = frozenset({"id", "names", "stems", "cards", "replaces", "source", "checked", "note"})
_RULE_KEYS = frozenset(
    {
        "factor",
        "why",
        "tier",
        "geography",
        "models",
        "not_models",
        "meters",
        "from",
        "to",
        "source",
        "checked",
        "status",
    }
)
_DOUBT_KEYS = frozenset({"model", "meters", "from", "to", "status", "unsure_from", "why", "source", "checked"})
_MOVE_KEYS = frozenset({"on", "models", "why", "source", "checked"})
_ALIAS_KEYS = frozenset({"name", "model", "from", "to", "source", "checked"})


@dataclass(frozen=True)
class Rule:
    """A factor on list prices of tokens: a service tier or a place that is sold at a multiple.

    Attributes:
        factor: what the rate is multiplied by.
        tier: service tier it makes a price for, from the standard one; None for a place.
        places: places it applies to; None for a tier.
        models, not_models: canonical models it is for, or not for; None = all. A trailing * stands for any ending.
        no_list: the tier is sold without a list price; `why` says how.
        meters: meters it is for, which have no row of their own in the tier; empty = all.
        source: where the factor is published.
    """

    provider: str
    factor: Decimal
    why: str
    tier: str | None = None
    places: frozenset[str] | None = None
    models: tuple[str, ...] | None = None
    not_models: tuple[str, ...] = ()
    start: datetime | None = None
    end: datetime | None = None
    status: str = "listed"
    no_list: bool = False
    meters: frozenset[str] = frozenset()
    source: str = ""

    def applies(self, model: str, at: datetime) -> bool:
        """Whether the rule is for a model at an instant."""
        if (self.start and at < self.start) or (self.end and at >= self.end):
            return False
        if any(like(model, name) for name in self.not_models):
            return False
        return self.models is None or any(like(model, name) for name in self.models)


@dataclass(frozen=True)
class Doubt:
    """Why a list price isn't sure: disputed for a time, or promotional with an end nobody has confirmed.

    Attributes:
        meters: meters it is about; empty = all.
        start, end: it is about cards whose period begins in this time.
        status: status the prices get.
        unsure_from: instant from which they need confirmation.
    """

    provider: str
    model: str
    meters: frozenset[str]
    start: datetime | None
    end: datetime | None
    status: str
    unsure_from: datetime | None
    why: str

    def applied(self, card: Card) -> list[Card]:
        """The card, split in what the doubt is about and what it isn't."""
        begins_before_end = self.end is None or card.start is None or card.start < self.end
        if (card.provider, card.model) != (self.provider, self.model) or not begins_before_end:
            return [card]
        if self.start and (card.start is None or card.start < self.start):
            return [card]
        about = {name: price for name, price in card.prices.items() if not self.meters or name in self.meters}
        if not about:
            return [card]
        rest = {name: price for name, price in card.prices.items() if name not in about}
        doubtful = replace(card, prices=about, status=self.status, unsure_from=self.unsure_from)
        parts = [replace(card, prices=rest)] if rest else []
        if self.end and (card.end is None or card.end > self.end):
            return [*parts, replace(doubtful, end=self.end), replace(card, prices=about, start=self.end)]
        return [*parts, doubtful]


def like_any(model: str, names: tuple[str, ...]) -> bool:
    """Whether a model is one of some names, a trailing star standing for any ending."""
    return any(like(model, name) for name in names)


def like(model: str, name: str) -> bool:
    """Whether a model is a name, or begins with one that ends in a star."""
    return model.startswith(name[:-1]) if name.endswith("*") else model == name


@dataclass
class OwnData:
    """Cards, names and rules of one or more price files."""

    cards: dict[tuple[str, str], list[Card]] = field(default_factory=dict)
    replaced: set[tuple[str, str]] = field(default_factory=set)
    names: list[tuple[str, str, str, datetime | None, datetime | None]] = field(default_factory=list)
    stems: list[tuple[str, str, str]] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)
    doubts: list[Doubt] = field(default_factory=list)
    #: (provider, models, instant): when prices are known to have moved, for changes that price maps show later
    moves: list[tuple[str, tuple[str, ...], datetime]] = field(default_factory=list)

    @cached_property
    def digest(self) -> str:
        """Hash of every row; taken once, when all files are in."""
        rows = (list(self.cards.values()), self.rules, self.doubts, self.moves, sorted(map(str, self.names)))
        return blake2b(repr(stable(rows)).encode(), digest_size=8).hexdigest()

    def as_known(self, at: datetime) -> OwnData:
        """The same files without the prices that became known after an instant."""
        cards = {
            key: [c for c in cards if c.known_since is None or c.known_since <= at] for key, cards in self.cards.items()
        }
        return replace(self, cards=cards)

    def add(self, other: OwnData) -> None:
        """Take in another file's rows."""
        for key, cards in other.cards.items():
            self.cards.setdefault(key, []).extend(cards)
        self.replaced |= other.replaced
        self.names += other.names
        self.stems += other.stems
        self.rules += other.rules
        self.doubts += other.doubts
        self.moves += other.moves


def stable(value: object) -> Any:
    """A value whose repr is the same in every process: sets in order, records as their fields."""
    if is_dataclass(value) and not isinstance(value, type):
        return type(value).__name__, [stable(getattr(value, f.name)) for f in fields(value)]
    if isinstance(value, set | frozenset):
        return sorted(repr(stable(v)) for v in value)
    if isinstance(value, Mapping):
        return [(stable(k), stable(v)) for k, v in value.items()]
    if isinstance(value, list | tuple):
        return [stable(v) for v in value]
    return repr(value)


@cache
def bundled() -> OwnData:
    """The price files of this repository."""
    data = OwnData()
    for file in sorted(files("finops_ai.prices").joinpath("data").iterdir(), key=lambda f: f.name):
        if file.name.endswith(".toml") and file.name not in ("providers.toml", "developers.toml", "seats.toml"):
            data.add(read_own(tomllib.loads(file.read_text("utf-8-sig")), file.name))
    return data


def read_own(table: Mapping[str, Any], where: str, layer: int = OWN) -> OwnData:
    """Read one price file.

    Args:
        table: the parsed TOML: `provider`, then `model`, `alias` and `rule` lists.
        where: file name, for messages.

    Raises:
        PriceError: an unknown key, meter, tier or status; a price without source or check date; an overlap.
    """
    data = OwnData()
    provider = provider_name(str(table.get("provider", "")))
    default = {key: table.get(key) for key in ("source", "checked")}
    if unknown := sorted(set(table) - {"provider", "source", "checked", "model", "alias", "rule", "doubt", "move"}):
        raise PriceError(f"{where}: unknown key {unknown[0]!r}.")
    for row in table.get("model", ()):
        only(row, _MODEL_KEYS, f"{where}, model {row.get('id')}")
        model = row["id"].lower()
        for name in row.get("names", ()):
            data.names.append((provider, name.lower(), model, None, None))
        data.stems += [(provider, stem.lower(), model) for stem in row.get("stems", ())]
        if row.get("replaces"):
            data.replaced.add((provider, model))
        given = {key: row.get(key, default[key]) for key in default}
        cards = [read_card(provider, model, card, f"{where}, {model}", layer, given) for card in row.get("cards", ())]
        if cards:
            data.cards.setdefault((provider, model), []).extend(check_overlaps(cards, where))
        if model != ANY_MODEL:
            data.names.append((provider, model, model, None, None))
    for row in table.get("alias", ()):
        only(row, _ALIAS_KEYS, f"{where}, alias {row.get('name')}")
        span = read_instant(row.get("from")), read_instant(row.get("to"))
        data.names.append((provider, row["name"].lower(), row["model"].lower(), *span))
    for row in table.get("doubt", ()):
        only(row, _DOUBT_KEYS, f"{where}, doubt {row.get('model')}")
        data.doubts.append(Doubt(
            provider=provider, model=row["model"].lower(), meters=frozenset(known_meter(m) for m in row.get("meters", ())),
            start=read_instant(row.get("from")), end=read_instant(row.get("to")), status=row.get("status", "disputed"),
            unsure_from=read_instant(row.get("unsure_from")), why=row["why"],
        ))  # fmt: skip
    for row in table.get("move", ()):
        only(row, _MOVE_KEYS, f"{where}, move {row.get('on')}")
        moved = read_instant(row["on"])
        assert moved is not None
        data.moves.append((provider, tuple(row["models"]), moved))
    for row in table.get("rule", ()):
        data.rules.append(_rule(row, provider, f"{where}, rule {row.get('why')!r}"))
    return data


def read_card(
    provider: str, model: str, row: Mapping[str, Any], where: str, layer: int, default: Mapping[str, Any]
) -> Card:
    """One card from its TOML row; prices are per million units unless `per` says otherwise.

    Raises:
        PriceError: an unknown key or meter, a bad value, or no source and check date.
    """
    only(row, _CARD_KEYS, where)
    source, checked = row.get("source") or default.get("source"), row.get("checked") or default.get("checked")
    if not source or not checked:
        raise PriceError(f"{where}: a price needs its `source` and the date it was `checked`.")
    per = exact(row.get("per", MILLION))
    prices = {
        known_meter(name, where): rate(price_of(value, f"{where} {name}") / per)
        for name, value in row.get("prices", {}).items()
    }
    days = row.get("weekdays")
    return check_card(Card(
        provider=provider, model=model, prices=prices, service_tier=row.get("tier", "standard"),
        over=read_over(row.get("over")), geography=row.get("geography"), start=read_instant(row.get("from")),
        end=read_instant(row.get("to")), hours=read_hours(row.get("utc_hours")),
        weekdays=frozenset(days) if days is not None else None, status=row.get("status", "listed"),
        unsure_from=read_instant(row.get("unsure_from")), known_since=read_instant(row.get("known_since")),
        source=source, checked=str(checked), layer=layer, currency=row.get("currency", "USD"),
    ))  # fmt: skip


def price_of(value: object, where: str) -> Decimal:
    """An exact price from a file; a TOML or JSON float is refused unless it is short enough to be exact.

    Raises:
        PriceError: no number.
    """
    try:
        return exact(value)
    except (ValueError, ArithmeticError):
        raise PriceError(f'{where}: a price is a decimal in quotes like "2.50", got {value!r}.') from None


def check_overlaps(cards: list[Card], where: str) -> list[Card]:
    """Refuse two cards that both price a meter at the same instant with nothing to choose between them.

    Raises:
        PriceError: names the two rows.
    """
    seen: dict[tuple[Any, ...], list[Card]] = {}
    for card in cards:
        for name in card.prices:
            key = (
                card.provider,
                card.model,
                name,
                card.service_tier,
                card.over,
                card.geography,
                card.hours,
                card.weekdays,
            )
            for other in seen.setdefault(key, []):
                starts = [c.start for c in (card, other)]
                if starts[0] == starts[1] or _stated_overlap(card, other):
                    raise PriceError(
                        f"{where}: two prices of {card.provider} {card.model} {name} hold at the same time:\n"
                        f"  {other.describe(name)}\n  {card.describe(name)}"
                    )
            seen[key].append(card)
    return cards


def _stated_overlap(one: Card, other: Card) -> bool:
    first, second = sorted((one, other), key=lambda c: (c.start is not None, c.start))
    return first.end is not None and second.start is not None and second.start < first.end


def _rule(row: Mapping[str, Any], provider: str, where: str) -> Rule:
    only(row, _RULE_KEYS, where)
    if not row.get("source") or not row.get("checked"):
        raise PriceError(f"{where}: a factor needs its `source` and the date it was `checked`.")
    places = row.get("geography")
    if "factor" not in row and (places or not row.get("tier")):
        raise PriceError(f"{where}: `factor` is missing; only a service tier can be sold without a list price.")
    return Rule(
        provider=provider, factor=price_of(row.get("factor", 1), where), why=row["why"], tier=row.get("tier"),
        no_list="factor" not in row, meters=frozenset(known_meter(m, where) for m in row.get("meters", ())),
        places=frozenset([places] if isinstance(places, str) else places) if places else None,
        models=tuple(row["models"]) if "models" in row else None, not_models=tuple(row.get("not_models", ())),
        start=read_instant(row.get("from")), end=read_instant(row.get("to")), status=row.get("status", "listed"),
        source=str(row["source"]),
    )  # fmt: skip


def only(row: Mapping[str, Any], known: frozenset[str], where: str) -> None:
    """Refuse keys a row doesn't have.

    Raises:
        PriceError: names the key and the nearest known one.
    """
    if unknown := sorted(set(row) - known):
        raise PriceError(f"{where}: unknown key {unknown[0]!r}. {hint(unknown[0], known)}")


def expand_roll_up(name: str) -> list[str]:
    """The registry meters a roll-up of case files stands for; a registry meter stands for itself.

    >>> expand_roll_up("fresh_input")
    ['input', 'input_audio', 'input_image', 'input_video']
    """
    rolled = [m.name for m in meters().values() if m.roll_up == name]
    return rolled or [known_meter(name)]


def known_meter(name: str, where: str = "price") -> str:
    """A meter's name, if there is one.

    Raises:
        PriceError: no meter has that name; names the place.
    """
    if name not in meters():
        raise PriceError(f"{where}: No meter called {name!r}. {hint(name, meters())}")
    return name
