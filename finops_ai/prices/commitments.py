"""The arithmetic of terms that a month or a day settles: volume tiers, prepaid credits, committed capacity.

Everything here is exact: sums are fractions, and what is published is cut at 10^-18 so that the days of a month add up
to the month and the months of a term to the term.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from finops_ai.errors import PriceError
from finops_ai.meters import meters
from finops_ai.money import COST
from finops_ai.prices.own import like

if TYPE_CHECKING:
    from finops_ai.prices.contracts import Contract

#: what volume tiers may count
VOLUME_OF = ("units", "cost")
#: meters that committed capacity is bought in
HOURS = ("provisioned_hours", "gpu_hours")
_PLACES = 10 ** COST[1]


@dataclass(frozen=True)
class Credit:
    """A prepaid amount that pays for usage from one instant to another.

    Attributes:
        amount: what it pays for, at contracted prices.
        start, end: first instant it can pay, and first instant it no longer can; None = open.
        paid: what was paid for it; None = as much as it pays for; 0 = granted.
        left: what is left of it before the first usage that is settled; None = all.
    """

    name: str
    amount: Decimal
    start: datetime | None = None
    end: datetime | None = None
    paid: Decimal | None = None
    left: Decimal | None = None

    @property
    def worth(self) -> Fraction:
        """Effective cost of one unit of currency that it pays for.

        >>> Credit("c", Decimal(100), paid=Decimal(80)).worth
        Fraction(4, 5)
        """
        return Fraction(self.amount if self.paid is None else self.paid) / Fraction(self.amount or 1)

    def valid(self, at: datetime) -> bool:
        """Whether it can pay for usage at an instant."""
        return (self.start is None or at >= self.start) and (self.end is None or at < self.end)


@dataclass(frozen=True)
class Capacity:
    """Committed capacity: PTU, GSU, model units, dedicated units or GPUs, paid by time whether used or not.

    Attributes:
        model: which model's calls it serves, a trailing * for any ending; "" = any of the provider.
        units: how many units are committed.
        unit: what a unit is ("PTU", "GSU", "model unit", "unit hour", "GPU").
        hourly, monthly: price of one unit; exactly one of them may be given.
        upfront: paid once for the whole term.
        meter: what it is bought in: provisioned_hours, or gpu_hours for hardware that serves calls of every tier.
        resources: deployments or endpoints it is for; empty = all.
        tokens_per_hour: tokens one unit serves in an hour, weighted by `weights`; None = how much is used isn't known.
        weights: meter -> how many tokens of throughput one of its tokens takes; 1 for token meters left out.
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
    meter: str = HOURS[0]
    resources: frozenset[str] = frozenset()
    tokens_per_hour: Decimal | None = None
    weights: Mapping[str, Decimal] = field(default_factory=dict)

    def cost(self, start: datetime, end: datetime) -> Decimal:
        """Amortised cost of the part of the commitment inside a window: recurring by time, upfront over the term.

        Windows that meet add up exactly, because each is a difference of what it came to since the start.

        Raises:
            PriceError: an upfront payment without an end of the term can't be spread.
        """
        return _exact(self._until(end) - self._until(start))

    def billed(self, start: datetime, end: datetime) -> Decimal:
        """What is invoiced for a window: the recurring part, and upfront whole where the term starts."""
        upfront = int(self.upfront * _PLACES) if start <= self.start < end else 0
        return _exact(self._until(end, upfront=False) - self._until(start, upfront=False) + upfront)

    def _until(self, at: datetime, upfront: bool = True) -> int:
        """What it came to from its start to an instant, in 10^-18."""
        at = max(min(at, self.end) if self.end else at, self.start)
        hours = _hours(self.start, at)
        total = Fraction(self.units) * (
            hours * Fraction(self.hourly or 0) + Fraction(self.monthly or 0) * _months(self.start, at)
        )
        if self.upfront and upfront:
            if self.end is None:
                raise PriceError(f"Capacity {self.name}: an upfront payment needs the end of its term to be spread.")
            total += Fraction(self.upfront) * hours / _hours(self.start, self.end)
        return int(total * _PLACES)

    def hours(self, start: datetime, end: datetime) -> Fraction:
        """Hours of a window in which the capacity is committed."""
        return max(_hours(max(start, self.start), min(end, self.end) if self.end else end), Fraction(0))

    def idle(self, start: datetime, end: datetime, used_unit_hours: Decimal) -> tuple[Decimal, Decimal]:
        """Idle share and idle cost of a window, from the unit hours that served calls.

        >>> from datetime import UTC
        >>> ptu = Capacity("c", "gpt-5", Decimal(100), "PTU", datetime(2026, 1, 1, tzinfo=UTC), None, Decimal(1))
        >>> share, cost = ptu.idle(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC), Decimal(1800))
        >>> share, f"{cost:.2f}"
        (Decimal('0.25'), '600.00')
        """
        committed = self.hours(start, end) * Fraction(self.units)
        if committed == 0:
            return Decimal(0), Decimal(0)
        share = max(1 - Fraction(used_unit_hours) / committed, Fraction(0))
        rounded = Decimal(share.numerator) / share.denominator
        return rounded, self.cost(start, end) * rounded

    def break_even(self, start: datetime, end: datetime, on_demand_cost_at_full_use: Decimal) -> Decimal | None:
        """Utilisation at which the capacity costs the same as paying per token; above 1 = it never pays.

        Args:
            on_demand_cost_at_full_use: what the tokens of a fully used window would cost on demand.
        """
        return self.cost(start, end) / on_demand_cost_at_full_use if on_demand_cost_at_full_use else None

    def weight(self, meter: str) -> Decimal:
        """Throughput that one unit of a meter takes.

        >>> half = Capacity("c", "m", Decimal(1), "GSU", datetime(2026, 1, 1), None, weights={"cache_read": Decimal("0.5")})
        >>> half.weight("input"), half.weight("cache_read"), half.weight("requests")
        (Decimal('1'), Decimal('0.5'), Decimal('0'))
        """
        return self.weights.get(meter, Decimal(1)) if meters()[meter].is_token else Decimal(0)


@dataclass(frozen=True)
class Pool:
    """Commitments of one contract that serve the same traffic, such as 50 PTU and later 20 more."""

    contract: Contract
    parts: tuple[Capacity, ...]

    @property
    def name(self) -> str:
        """Contract and commitments."""
        return f"{self.contract.name}: {' + '.join(dict.fromkeys(part.name for part in self.parts))}"

    @property
    def scope(self) -> Capacity:
        """The commitment that says what the pool serves."""
        return self.parts[0]

    def serves(
        self, key: Mapping[str, Any], provider: str, accounts: Iterable[str | None], names: Iterable[str], at: datetime
    ) -> bool:
        """Whether rows of a key are the pool's hours, or calls that it served."""
        one = self.scope
        if not self.contract.covers(provider, accounts, at) or not any(p.hours(at, at + _INSTANT) for p in self.parts):
            return False
        if one.resources and key.get("resource_id") not in one.resources:
            return False
        if one.model and not any(like(name, one.model.lower()) for name in names):
            return False
        if key["meter"] == one.meter:
            return True
        served = one.meter != HOURS[0] or key.get("service_tier") == "provisioned"
        return served and meters()[key["meter"]].is_token

    def unit_hours(self, start: datetime, end: datetime) -> Fraction:
        """Committed units times hours of a window."""
        return sum((part.hours(start, end) * Fraction(part.units) for part in self.parts), Fraction(0))


_INSTANT = timedelta(microseconds=1)


def pools_of(contracts: Iterable[Contract]) -> list[Pool]:
    """Committed capacity by what it serves."""
    found: dict[tuple[Any, ...], tuple[Contract, list[Capacity]]] = {}
    for number, contract in enumerate(contracts):
        for part in contract.capacity:
            scope = (number, part.model, part.meter, part.resources, part.tokens_per_hour, tuple(part.weights.items()))
            found.setdefault(scope, (contract, []))[1].append(part)
    return [Pool(contract, tuple(parts)) for contract, parts in found.values()]


def volume_discount(contract: Contract, quantity: Decimal, list_cost: Decimal) -> Decimal:
    """The rebate of a month's volume: what the contract's volume tiers take off the cost.

    Graduated tiers discount the units above each threshold; others discount all units once a threshold is reached.
    The cost is spread evenly over the units, so every unit of the month gets the same, blended share.

    >>> from finops_ai.prices.contracts import Contract
    >>> tiers = ((Decimal(1000), Decimal("0.10")), (Decimal(2000), Decimal("0.20")))
    >>> f'{volume_discount(Contract("v", "openai", volume=tiers), Decimal(3000), Decimal(300)):.2f}'
    '30.00'
    """
    return _exact(int(volume_share(contract, Fraction(quantity)) * Fraction(list_cost) * _PLACES))


def volume_share(contract: Contract, volume: Fraction) -> Fraction:
    """The blended share that a contract's tiers take off a month with so much volume."""
    if volume <= 0:
        return Fraction(0)
    reached = [(Fraction(over), Fraction(share)) for over, share in contract.volume if volume >= over]
    if not contract.graduated:
        return reached[-1][1] if reached else Fraction(0)
    tops = [*(over for over, _ in reached[1:]), volume]
    return sum(((top - over) * share for (over, share), top in zip(reached, tops, strict=False)), Fraction(0)) / volume


def draw_credits(credits: Sequence[Credit], costs: Sequence[tuple[datetime, Decimal]]) -> list[dict[str, Any]]:
    """Let prepaid credits pay for costs in time order, the one that expires first paying first.

    Returns:
        One row per cost: at, cost, paid_by_credit, due, `drawn` per credit, and `left` per credit after it. Nothing is
        lost: `paid_by_credit + due = cost` in each row.
    """
    left = {credit.name: credit.amount for credit in credits}
    order = sorted(credits, key=lambda c: (c.end is None, c.end))
    rows = []
    for at, cost in sorted(costs, key=lambda c: c[0]):
        due, drawn = cost, {}
        for credit in order:
            if credit.valid(at) and due > 0 and (paid := min(due, left[credit.name])):
                left[credit.name] -= paid
                drawn[credit.name] = paid
                due -= paid
        rows.append(
            {"at": at, "cost": cost, "paid_by_credit": cost - due, "due": due, "drawn": drawn, "left": dict(left)}
        )
    return rows


def _exact(units: int) -> Decimal:
    """10^-18 of a currency as a decimal; never rounded."""
    sign, digits, _ = Decimal(units).as_tuple()
    return Decimal((sign, digits, -COST[1]))


def _hours(start: datetime, end: datetime) -> Fraction:
    return Fraction((end - start) // timedelta(microseconds=1), 3_600_000_000)


def _months(start: datetime, end: datetime) -> Fraction:
    """Calendar months of a window; a part of a month counts by its share of that month."""
    months = Fraction(0)
    while start < end:
        first = start.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        following = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
        months += _hours(start, min(end, following)) / _hours(first, following)
        start = following
    return months
