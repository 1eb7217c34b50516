"""What was negotiated: discounts, own rates, volume tiers, prepaid credits and provisioned capacity, as data.

A contract lays its terms over the list for its provider, accounts, models, meters and dates. Own rates are partial:
a meter they leave out keeps the list price, and so does its cache, tier and context meaning. A contract may not raise
a price above list; a file that does is refused, unless the row says `above_list = true`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finops_ai.errors import PriceError
from finops_ai.prices.cards import CONTRACT, Card, plain, read_instant
from finops_ai.prices.names import provider_name, take_apart
from finops_ai.prices.own import check_overlaps, expand_roll_up, like, only, price_of, read_card

if TYPE_CHECKING:
    from finops_ai.prices.book import PriceBook

_KEYS = frozenset({
    "name", "provider", "accounts", "models", "meters", "from", "to", "discount", "prices", "volume", "credits",
    "capacity", "source", "checked", "above_list", "graduated",
})  # fmt: skip
_ROW_KEYS = frozenset({"model"})
_VOLUME_KEYS = frozenset({"over", "discount"})
_CREDIT_KEYS = frozenset({"amount", "from", "to", "name"})
_CAPACITY_KEYS = frozenset(
    {"name", "model", "units", "unit", "hourly", "monthly", "upfront", "from", "to", "requests_per_unit_hour"}
)


@dataclass(frozen=True)
class Contract:
    """Terms with one provider.

    Attributes:
        accounts: billing or sub account ids it is for; empty = all.
        models: canonical names, a trailing * stands for any ending; empty = all.
        meters: meters the discount is for; empty = all.
        discount: share off list, 0.125 = 12.5%; None = own rates only.
        cards: own rates.
        volume: (from this many units a month, share off list), lowest first; settled by `volume_discount`.
        credits: prepaid amounts; settled by `draw_credits`.
        capacity: committed units paid whether used or not.
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
    credits: tuple[Credit, ...] = ()
    capacity: tuple[Capacity, ...] = field(default=())

    def covers(self, provider: str, accounts: Iterable[str | None], at: datetime) -> bool:
        """Whether the contract is for a provider and one of these accounts at an instant."""
        if self.provider != provider or (self.start and at < self.start) or (self.end and at >= self.end):
            return False
        return not self.accounts or any(account in self.accounts for account in accounts)

    def discounted(self, names: Iterable[str], meter: str) -> Decimal | None:
        """The share off list for a model and meter, None if the discount isn't for them."""
        if self.discount is None or (self.meters and meter not in self.meters):
            return None
        if self.models and not any(like(name, model) for name in names for model in self.models):
            return None
        return self.discount


@dataclass(frozen=True)
class Credit:
    """A prepaid amount that pays for usage from one instant to another."""

    name: str
    amount: Decimal
    start: datetime | None
    end: datetime | None


@dataclass(frozen=True)
class Capacity:
    """Committed capacity: PTU, GSU, model units, dedicated units or GPUs, paid by time whether used or not.

    Attributes:
        units: how many units are committed.
        unit: what a unit is ("PTU", "GSU", "model unit", "unit hour", "GPU").
        hourly, monthly: price of one unit; exactly one of them may be given.
        upfront: paid once for the whole term.
    """

    name: str
    model: str
    units: Decimal
    unit: str
    start: datetime
    end: datetime | None
    hourly: Decimal | None = None
    monthly: Decimal | None = None
    upfront: Decimal = Decimal(0)

    def cost(self, start: datetime, end: datetime) -> Decimal:
        """Amortised cost of the part of the commitment inside a window: recurring by time, upfront over the term.

        Raises:
            PriceError: an upfront payment without an end of the term can't be spread.
        """
        hours = self.hours(start, end)
        recurring = hours * (self.hourly if self.hourly is not None else Decimal(0)) * self.units
        if self.monthly is not None:
            recurring += self.monthly * self.units * _months(max(start, self.start), self._end(end))
        if not self.upfront:
            return recurring
        if self.end is None:
            raise PriceError(f"Capacity {self.name}: an upfront payment needs the end of its term to be spread.")
        return recurring + self.upfront * hours / _hours(self.start, self.end)

    def hours(self, start: datetime, end: datetime) -> Decimal:
        """Hours of a window in which the capacity is committed."""
        return max(_hours(max(start, self.start), self._end(end)), Decimal(0))

    def idle(self, start: datetime, end: datetime, used_unit_hours: Decimal) -> tuple[Decimal, Decimal]:
        """Idle share and idle cost of a window, from the unit hours that served calls.

        >>> from datetime import UTC
        >>> ptu = Capacity("c", "gpt-5", Decimal(100), "PTU", datetime(2026, 1, 1, tzinfo=UTC), None, Decimal(1))
        >>> ptu.idle(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC), Decimal(1800))
        (Decimal('0.25'), Decimal('600.00'))
        """
        committed = self.hours(start, end) * self.units
        if committed == 0:
            return Decimal(0), Decimal(0)
        share = max(1 - used_unit_hours / committed, Decimal(0))
        return share, self.cost(start, end) * share

    def break_even(self, start: datetime, end: datetime, on_demand_cost_at_full_use: Decimal) -> Decimal | None:
        """Utilisation at which the capacity costs the same as paying per token; above 1 = it never pays.

        Args:
            on_demand_cost_at_full_use: what the tokens of a fully used window would cost on demand.
        """
        return self.cost(start, end) / on_demand_cost_at_full_use if on_demand_cost_at_full_use else None

    def _end(self, end: datetime) -> datetime:
        return min(end, self.end) if self.end else end


def _hours(start: datetime, end: datetime) -> Decimal:
    seconds = end - start
    return (Decimal(seconds.days) * 86400 + seconds.seconds) / 3600


def _months(start: datetime, end: datetime) -> Decimal:
    """Calendar months of a window; a part of a month counts by its share of that month."""
    months = Decimal(0)
    while start < end:
        first = start.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        following = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
        months += _hours(start, min(end, following)) / _hours(first, following)
        start = following
    return months


def volume_discount(contract: Contract, quantity: Decimal, list_cost: Decimal) -> Decimal:
    """The rebate of a month's volume: what the contract's volume tiers take off the list cost.

    Graduated tiers discount the units above each threshold; others discount all units once a threshold is reached.
    The list cost is spread evenly over the units.

    >>> tiers = ((Decimal(1000), Decimal("0.10")), (Decimal(2000), Decimal("0.20")))
    >>> volume_discount(Contract("v", "openai", volume=tiers), Decimal(3000), Decimal(300))
    Decimal('30.00')
    """
    if not quantity:
        return Decimal(0)
    if not contract.graduated:
        reached = [share for over, share in contract.volume if quantity >= over]
        return list_cost * (reached[-1] if reached else 0)
    bounds = [*[over for over, _ in contract.volume[1:]], None]
    saved = Decimal(0)
    for (over, share), upper in zip(contract.volume, bounds, strict=True):
        units = (min(quantity, upper) if upper is not None else quantity) - over
        saved += max(units, Decimal(0)) * share
    return list_cost * saved / quantity


def draw_credits(credits: Sequence[Credit], costs: Sequence[tuple[datetime, Decimal]]) -> list[dict[str, Any]]:
    """Let prepaid credits pay for costs in time order, the one that expires first paying first.

    Returns:
        One row per cost: at, cost, paid_by_credit, due, and per credit what is left after it. Nothing is lost:
        `paid_by_credit + due = cost` in each row.
    """
    left = {credit.name: credit.amount for credit in credits}
    order = sorted(credits, key=lambda c: (c.end is None, c.end))
    rows = []
    for at, cost in sorted(costs, key=lambda c: c[0]):
        due = cost
        for credit in order:
            if (credit.start is None or at >= credit.start) and (credit.end is None or at < credit.end) and due > 0:
                paid = min(due, left[credit.name])
                left[credit.name] -= paid
                due -= paid
        rows.append({"at": at, "cost": cost, "paid_by_credit": cost - due, "due": due, "left": dict(left)})
    return rows


def read_contracts(path: str | Path) -> list[Contract]:
    """Read a contract file (`[[contracts]]` in TOML).

    Raises:
        PriceError: the file can't be read, or a row has an unknown key or an impossible value; names file and row.
    """
    file = Path(path)
    try:
        table = tomllib.loads(file.read_text("utf-8"), parse_float=Decimal)
    except (OSError, UnicodeDecodeError) as error:
        raise PriceError(f"Price file {path} can't be read: {getattr(error, 'strerror', None) or error}.") from None
    except tomllib.TOMLDecodeError as error:
        raise PriceError(f"Price file {path} is no TOML: {error}.") from None
    only(table, frozenset({"contracts"}), file.name)
    return [
        contract(row, f"{file.name}, contract {row.get('name', i + 1)}")
        for i, row in enumerate(table.get("contracts", ()))
    ]


def contract(row: Mapping[str, Any], where: str = "contract") -> Contract:
    """One contract from its row.

    Raises:
        PriceError: unknown key, no provider, a discount outside 0 to 100%, overlapping rates.
    """
    only(row, _KEYS, where)
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
        named = take_apart(provider, str(rates["model"]))
        body = {"from": row.get("from"), "to": row.get("to")} | {k: v for k, v in rates.items() if k != "model"}
        body["prices"] = {name: v for key, v in rates.get("prices", {}).items() for name in expand_roll_up(key)}
        cards.append(
            read_card(
                provider, named.spellings[0], {k: v for k, v in body.items() if v is not None}, place, CONTRACT, default
            )
        )
    models = tuple(str(model).lower() for model in row.get("models", ()))
    return Contract(
        name=str(row.get("name", "contract")), provider=provider, accounts=frozenset(map(str, row.get("accounts", ()))),
        models=models, meters=frozenset(n for m in row.get("meters", ()) for n in expand_roll_up(m)),
        start=start, end=end, discount=_share(row["discount"], where) if "discount" in row else None,
        cards=tuple(check_overlaps(cards, where)), graduated=bool(row.get("graduated", True)),
        volume=tuple(sorted(_volume(tier, where) for tier in row.get("volume", ()))),
        credits=tuple(_credit(c, i, where) for i, c in enumerate(row.get("credits", ()))),
        capacity=tuple(_capacity(c, where) for c in row.get("capacity", ())),
    )  # fmt: skip


def _share(value: Any, where: str) -> Decimal:
    percent = price_of(value, f"{where} discount")
    if not 0 <= percent <= 100:
        raise PriceError(
            f"{where}: a discount is 0 to 100 percent, got {plain(percent)}; to charge more, use a margin."
        )
    return percent / 100


def _volume(tier: Mapping[str, Any], where: str) -> tuple[Decimal, Decimal]:
    only(tier, _VOLUME_KEYS, where)
    return price_of(tier["over"], f"{where} volume"), _share(tier["discount"], where)


def _credit(row: Mapping[str, Any], number: int, where: str) -> Credit:
    only(row, _CREDIT_KEYS, where)
    return Credit(
        str(row.get("name", number + 1)),
        price_of(row["amount"], f"{where} credit"),
        read_instant(row.get("from")),
        read_instant(row.get("to")),
    )


def _capacity(row: Mapping[str, Any], where: str) -> Capacity:
    only(row, _CAPACITY_KEYS, where)
    start = read_instant(row.get("from"))
    if start is None or ("hourly" in row and "monthly" in row):
        raise PriceError(f"{where}: capacity needs `from`, and either `hourly` or `monthly`.")
    return Capacity(
        name=str(row.get("name", row.get("model", "capacity"))), model=str(row.get("model", "")),
        units=price_of(row.get("units", 1), f"{where} units"), unit=str(row.get("unit", "unit")), start=start,
        end=read_instant(row.get("to")),
        hourly=price_of(row["hourly"], f"{where} hourly") if "hourly" in row else None,
        monthly=price_of(row["monthly"], f"{where} monthly") if "monthly" in row else None,
        upfront=price_of(row.get("upfront", 0), f"{where} upfront"),
    )  # fmt: skip


def check_below_list(book: PriceBook, contracts: Iterable[Contract], allowed: bool = False) -> list[str]:
    """Own rates above the list price at the start of their period, or in another currency, as one line each.

    Rates of models or meters without a list price can't be compared and aren't named.
    """
    found = []
    for terms in contracts:
        for card in terms.cards:
            at = card.start or terms.start
            if at is None:
                continue
            place = dict.fromkeys(("region", "api_base", "deployment_type")) | {"inference_geo": card.geography}
            for name, rate in card.prices.items():
                listed = book.price(card.provider, card.model, name, at, card.service_tier, place, False)
                if card.over:
                    listed = listed.above(card.over[0] + 1)
                if listed.unit_price is not None and listed.currency != card.currency:
                    found.append(
                        f"{terms.name}: {card.describe(name)} is not in {listed.currency} as the list is; convert it"
                    )
                if listed.unit_price is not None and listed.currency == card.currency and rate > listed.unit_price:
                    found.append(
                        f"{terms.name}: {card.describe(name)} is above list, {plain(listed.unit_price * 1_000_000)}"
                    )
    return found
