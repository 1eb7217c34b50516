"""What was negotiated: discounts, own rates, volume tiers, prepaid credits and provisioned capacity, as data.

A contract lays its terms over the list for its provider, accounts, models, meters and dates. Own rates are partial:
a meter they leave out keeps the list price, and so does its cache, tier and context meaning. A contract may not raise
a price above list; a file that does is refused, unless the contract says `above_list = true`.

Discounts and own rates make a price per unit. What only a whole month or day can tell (how much volume, how much of a
credit, how idle the capacity) is arithmetic of `finops_ai.prices.commitments` that pricing a frame applies.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finops_ai.errors import PriceError
from finops_ai.meters import meters
from finops_ai.prices.cards import CONTRACT, Card, plain, read_instant
from finops_ai.prices.commitments import HOURS, VOLUME_OF, Capacity, Credit
from finops_ai.prices.names import provider_name, take_apart
from finops_ai.prices.own import check_overlaps, expand_roll_up, like, only, price_of, read_card

if TYPE_CHECKING:
    from finops_ai.prices.book import PriceBook
    from finops_ai.prices.price import Price

_KEYS = frozenset({
    "name", "provider", "accounts", "models", "meters", "from", "to", "currency", "discount", "prices", "volume",
    "volume_of", "graduated", "credits", "capacity", "source", "checked", "above_list",
})  # fmt: skip
_LISTS: tuple[tuple[str, type, str], ...] = (
    *((key, str, "names") for key in ("accounts", "models", "meters")),
    *((key, Mapping, "tables") for key in ("prices", "volume", "credits", "capacity")),
)
_VOLUME_KEYS = frozenset({"over", "discount"})
_CREDIT_KEYS = frozenset({"amount", "paid", "from", "to", "name"})
_CAPACITY_KEYS = frozenset({
    "name", "model", "units", "unit", "hourly", "monthly", "upfront", "from", "to", "meter", "resources",
    "tokens_per_hour", "weights",
})  # fmt: skip


@dataclass(frozen=True)
class Contract:
    """Terms with one provider.

    Attributes:
        accounts: billing or sub account ids it is for; empty = all.
        models: canonical names, a trailing * stands for any ending; empty = all.
        meters: meters the discount is for; empty = all.
        discount: share off list, 0.125 = 12.5%; None = own rates only.
        cards: own rates.
        volume: (from this much a month, share off the cost), lowest first.
        graduated: each tier's share is for what lies above its threshold; else the highest reached one is for all.
        volume_of: what the tiers count: "units" of the contract's meters (tokens, if none are named) or "cost".
        credits: prepaid amounts.
        capacity: committed units paid whether used or not.
        currency: of credits, capacity and thresholds of cost.
        above_list: own rates may lie above list.
    """

    name: str
    provider: str
    accounts: frozenset[str] = frozenset()
    models: tuple[str, ...] = ()
    meters: frozenset[str] = frozenset()
    start: datetime | None = None
    end: datetime | None = None
    discount: Decimal | None = None
    cards: tuple[Card, ...] = ()
    volume: tuple[tuple[Decimal, Decimal], ...] = ()
    graduated: bool = True
    volume_of: str = "units"
    credits: tuple[Credit, ...] = ()
    capacity: tuple[Capacity, ...] = ()
    currency: str = "USD"
    above_list: bool = False

    def covers(self, provider: str, accounts: Iterable[str | None], at: datetime) -> bool:
        """Whether the contract is for a provider and one of these accounts at an instant."""
        if self.provider != provider or (self.start and at < self.start) or (self.end and at >= self.end):
            return False
        return not self.accounts or any(account in self.accounts for account in accounts)

    @property
    def settles(self) -> bool:
        """Whether it has terms that whole months or days settle."""
        return bool(self.volume or self.credits or self.capacity)

    def discounted(self, names: Iterable[str], meter: str) -> Decimal | None:
        """The share off list for a model and meter, None if the discount isn't for them."""
        return self.discount if self.discount is not None and self.is_for(names, meter) else None

    def is_for(self, names: Iterable[str], meter: str) -> bool:
        """Whether its discount, tiers and credits are for a model and meter."""
        if self.meters and meter not in self.meters:
            return False
        return not self.models or any(like(name, model) for name in names for model in self.models)

    def counts(self, names: Iterable[str], meter: str) -> bool:
        """Whether a model and meter count for its volume tiers: tokens only, unless it names meters."""
        return bool(self.volume and (self.meters or meters()[meter].is_token) and self.is_for(names, meter))


def read_contracts(path: str | Path) -> list[Contract]:
    """Read the contracts of a price file (`[[contracts]]` in TOML).

    Raises:
        PriceError: the file can't be read, or a row has an unknown key or an impossible value; names file and row.
    """
    return contracts_of(read_price_file(path).get("contracts", ()), Path(path).name)


def read_price_file(path: str | Path) -> dict[str, Any]:
    """The tables of a price file: `contracts` and `list_prices`.

    Raises:
        PriceError: the file can't be read, is no TOML, or has another table.
    """
    file = Path(path)
    try:
        table = tomllib.loads(file.read_text("utf-8-sig"), parse_float=Decimal)
    except (OSError, UnicodeDecodeError) as error:
        raise PriceError(f"Price file {path} can't be read: {getattr(error, 'strerror', None) or error}.") from None
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise PriceError(f"Price file {path} is no TOML: {error}.") from None
    if "workspace" not in table:  # a finops.toml has other sections too
        only(table, frozenset({"contracts", "list_prices"}), file.name)
    return table


def contracts_of(rows: object, place: str) -> list[Contract]:
    """Contracts from the parsed `[[contracts]]` of a file.

    Args:
        rows: the list of tables.
        place: the file's name, for messages.

    Raises:
        PriceError: as `contract`; also if it isn't a list of tables, or two contracts have one name.
    """
    if not isinstance(rows, list | tuple) or not all(isinstance(row, Mapping) for row in rows):
        raise PriceError(f"{place}: contracts are a list of tables; begin each with [[contracts]].")
    found = [contract(row, f"{place}, contract {row.get('name', i + 1)}") for i, row in enumerate(rows)]
    names = [terms.name for row, terms in zip(rows, found, strict=True) if "name" in row]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise PriceError(f"{place}: two contracts are called {twice[0]!r}; statements couldn't tell them apart.")
    return found


def contract(row: Mapping[str, Any], where: str = "contract") -> Contract:
    """One contract from its row.

    Raises:
        PriceError: unknown key, no provider, a discount outside 0 to 100%, overlapping rates.
    """
    only(row, _KEYS, where)
    for key, kind, words in _LISTS:
        if not isinstance(value := row.get(key, ()), list | tuple) or not all(isinstance(v, kind) for v in value):
            raise PriceError(f"{where}: {key} is a list of {words}, not {value!r}.")
    if not row.get("provider"):
        raise PriceError(f"{where}: a contract needs its provider.")
    provider = provider_name(str(row["provider"]))
    start, end = read_instant(row.get("from")), read_instant(row.get("to"))
    default = {
        "source": row.get("source") or row.get("name") or "contract",
        "checked": row.get("checked") or row.get("from") or "-",
    }
    cards: list[Card] = []
    for i, rates in enumerate(row.get("prices", ())):
        place = f"{where}, price {i + 1}"
        if not rates.get("model"):
            raise PriceError(f"{place}: own rates need their model.")
        if not isinstance(rates.get("prices", {}), Mapping):
            raise PriceError(f"{place}: prices is a table of meters, not {rates['prices']!r}.")
        named = take_apart(provider, str(rates["model"]))
        body = {"from": row.get("from"), "to": row.get("to")} | {k: v for k, v in rates.items() if k != "model"}
        if row.get("currency", "USD") != "USD" and "currency" not in rates:
            raise PriceError(
                f"{place}: the contract is in {row['currency']}, but its prices state no currency. Write "
                f'currency = "{row["currency"]}" beside them, or "USD" if that is what they are in.'
            )
        body["prices"] = {name: v for key, v in rates.get("prices", {}).items() for name in expand_roll_up(key)}
        cards.append(
            read_card(
                provider, named.spellings[0], {k: v for k, v in body.items() if v is not None}, place, CONTRACT, default
            )
        )
    models = tuple(str(model).lower() for model in row.get("models", ()))
    counted = frozenset(n for m in row.get("meters", ()) for n in expand_roll_up(m))
    terms = Contract(
        name=str(row.get("name", "contract")), provider=provider, accounts=frozenset(map(str, row.get("accounts", ()))),
        models=models, meters=counted, start=start, end=end, above_list=bool(row.get("above_list", False)),
        discount=_share(row["discount"], where) if "discount" in row else None,
        cards=tuple(check_overlaps(cards, where)), graduated=bool(row.get("graduated", True)),
        volume=_tiers(row.get("volume", ()), where), volume_of=str(row.get("volume_of", VOLUME_OF[0])),
        credits=tuple(_credit(c, i, where) for i, c in enumerate(row.get("credits", ()))),
        capacity=tuple(_capacity(c, where) for c in row.get("capacity", ())),
        currency=str(row.get("currency", "USD")),
    )  # fmt: skip
    _check(terms, where)
    return terms


def _check(terms: Contract, where: str) -> None:
    """Refuse terms that contradict themselves.

    Raises:
        PriceError: names the place, the value and what would do.
    """
    if terms.start and terms.end and terms.start >= terms.end:
        raise PriceError(f"{where}: it ends on {terms.end:%Y-%m-%d}, before it starts on {terms.start:%Y-%m-%d}.")
    if terms.volume_of not in VOLUME_OF:
        raise PriceError(f"{where}: volume_of is one of {', '.join(VOLUME_OF)}, not {terms.volume_of!r}.")
    units = {meters()[name].unit for name in terms.meters}
    if terms.volume and terms.volume_of == "units" and len(units) > 1:
        raise PriceError(
            f"{where}: volume tiers can't add up {' and '.join(sorted(units))}; name meters of one unit, "
            'or count money with volume_of = "cost".'
        )
    names = [credit.name for credit in terms.credits]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise PriceError(f"{where}: two credits are called {twice[0]!r}.")
    parts: tuple[Credit | Capacity, ...] = (*terms.credits, *terms.capacity)
    for part in parts:
        if part.start and part.end and part.start >= part.end:
            raise PriceError(
                f"{where}, {part.name}: it ends on {part.end:%Y-%m-%d}, before it starts on {part.start:%Y-%m-%d}."
            )


def _share(value: object, where: str) -> Decimal:
    percent = price_of(value, f"{where} discount")
    if not 0 <= percent <= 100:
        raise PriceError(
            f"{where}: a discount is 0 to 100 percent, got {plain(percent)}; to charge more, use a margin."
        )
    return percent / 100


def _amount(row: Mapping[str, Any], key: str, where: str, default: object = None, positive: bool = False) -> Any:
    """An amount of 0 or more.

    Raises:
        PriceError: it is missing, no number, or negative.
    """
    if key not in row:
        return default
    value = price_of(row[key], f"{where} {key}")
    if value < 0 or (positive and not value):
        raise PriceError(f"{where}: {key} must be {'above 0' if positive else '0 or more'}, got {plain(value)}.")
    return value


def _tiers(rows: Iterable[Any], where: str) -> tuple[tuple[Decimal, Decimal], ...]:
    found: dict[Decimal, Decimal] = {}
    for row in rows:
        only(row, _VOLUME_KEYS, where)
        over, share = _amount(row, "over", f"{where} volume"), row.get("discount")
        if over is None or share is None:
            raise PriceError(f'{where}: a volume tier is {{ over = "1000000", discount = "5" }}, got {dict(row)}.')
        if over in found:
            raise PriceError(f"{where}: two volume tiers begin at {plain(over)}.")
        found[over] = _share(share, where)
    return tuple(sorted(found.items()))


def _credit(row: Mapping[str, Any], number: int, where: str) -> Credit:
    only(row, _CREDIT_KEYS, where)
    place = f"{where} credit {row.get('name', number + 1)}"
    amount, paid = _amount(row, "amount", place, positive=True), _amount(row, "paid", place)
    if amount is None:
        raise PriceError(f"{place}: a credit needs its `amount`.")
    if paid is not None and paid > amount:
        raise PriceError(f"{place}: {plain(paid)} was paid for {plain(amount)} of credit; it can't cost more.")
    start, end = read_instant(row.get("from")), read_instant(row.get("to"))
    return Credit(str(row.get("name", number + 1)), amount, start, end, paid)


def _capacity(row: Mapping[str, Any], where: str) -> Capacity:
    only(row, _CAPACITY_KEYS, where)
    name = str(row.get("name", row.get("model", "capacity")))
    place, start = f"{where} capacity {name}", read_instant(row.get("from"))
    if start is None or ("hourly" in row and "monthly" in row) or not {"hourly", "monthly", "upfront"} & set(row):
        raise PriceError(f"{place}: capacity needs `from`, and either `hourly` or `monthly`, or `upfront`.")
    end, meter = read_instant(row.get("to")), str(row.get("meter", HOURS[0]))
    if row.get("upfront") and end is None:
        raise PriceError(f"{place}: an upfront payment needs `to`, the end of its term, to be spread.")
    if meter not in HOURS:
        raise PriceError(f"{place}: it is bought in {' or '.join(HOURS)}, not {meter!r}.")
    weights = {
        known: _amount(row["weights"], key, f"{place} weights")
        for key in row.get("weights", {})
        for known in expand_roll_up(key)
    }
    return Capacity(
        name=name, model=str(row.get("model", "")), units=_amount(row, "units", place, Decimal(1), positive=True),
        unit=str(row.get("unit", "unit")), start=start, end=end, hourly=_amount(row, "hourly", place),
        monthly=_amount(row, "monthly", place), upfront=_amount(row, "upfront", place, Decimal(0)), meter=meter,
        resources=frozenset(map(str, row.get("resources", ()))),
        tokens_per_hour=_amount(row, "tokens_per_hour", place, positive=True),
        weights=weights,
    )  # fmt: skip


def check_below_list(book: PriceBook, contracts: Iterable[Contract], today: datetime | None = None) -> list[str]:
    """Own rates above the list price at the start of their period, and context tiers in another currency than what holds
    below them, as one line each.

    A rate without a start is compared with the list of today. Rates of models or meters without a list price in their
    currency can't be compared and aren't named, nor are those of contracts that say `above_list`.
    """
    found = []
    for terms in contracts:
        for card in terms.cards:
            at = card.start or terms.start or today or datetime.now(UTC)
            for name, rate in card.prices.items():
                listed = _listed(book, card, name, at)
                if listed.unit_price is not None and listed.currency != card.currency:
                    if card.over and not any(_below(other, card, name) for other in terms.cards):
                        found.append(
                            f"{terms.name}: {card.describe(name)} is not in {listed.currency} as the price below that context is; "
                            f"state that one in {card.currency}, too"
                        )
                elif listed.unit_price is not None and rate > listed.unit_price and not terms.above_list:
                    found.append(
                        f"{terms.name}: {card.describe(name)} is above list, {plain(listed.unit_price * 1_000_000)}"
                    )
    return found


def _below(card: Card, tier: Card, meter: str) -> bool:
    """Whether a card prices a meter below another's context tier, in its currency."""
    same = (card.model, card.provider, card.service_tier, card.currency) == (
        tier.model, tier.provider, tier.service_tier, tier.currency,
    )  # fmt: skip
    return same and card.over is None and meter in card.prices


def contract_notes(book: PriceBook, today: datetime) -> list[tuple[str, str, str]]:
    """What somebody should look at in a book's contracts: (finding, provider, detail), in their order.

    Contracts, credits and capacity that have ended, and own rates that the list has since fallen below.
    """
    found = []
    for terms in book.contracts:
        parts: tuple[tuple[str, Contract | Credit | Capacity], ...] = (
            ("contract", terms),
            *(("credit", c) for c in terms.credits),
            *(("capacity", c) for c in terms.capacity),
        )
        for kind, part in parts:
            if part.end and part.end <= today:
                name = terms.name if part is terms else f"{terms.name}, {part.name}"
                found.append((f"{kind} ended", terms.provider, f"{name} ended on {part.end:%Y-%m-%d}"))
        for card in terms.cards:
            end = min(filter(None, (card.end, terms.end, today)))
            for name, rate in card.prices.items():
                for at in book.turns(card.provider, card.model):
                    listed = _listed(book, card, name, at) if (card.start or terms.start or at) < at < end else None
                    if listed and listed.unit_price is not None and rate > listed.unit_price and not terms.above_list:
                        since = f"the list is {plain(listed.unit_price * 1_000_000)} since {at:%Y-%m-%d}"
                        found.append(
                            ("list fell below", terms.provider, f"{terms.name}: {card.describe(name)}; {since}")
                        )
                        break
    return found


def _listed(book: PriceBook, card: Card, meter: str, at: datetime) -> Price:
    """The list price that stands beside an own rate."""
    place = dict.fromkeys(("region", "api_base", "deployment_type")) | {"inference_geo": card.geography}
    price = book.price(card.provider, card.model, meter, at, card.service_tier, place, False)
    return price.above(card.over[0] + 1) if card.over else price
