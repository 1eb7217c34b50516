"""Chargeback policies as data: who is charged, at what tariff, from which month on, with which incentives."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any

from finops_ai.errors import RuleError, hint
from finops_ai.meters import meters
from finops_ai.money import exact
from finops_ai.periods import parse_month
from finops_ai.shapes import misfit

METHODS = ("pass_through", "blended", "rate_card", "subscription")
#: methods whose charge doesn't follow what the work really costs, and what it follows instead
APART = {"blended": "the company's averages", "rate_card": "a rate card", "subscription": "a fee"}
INCENTIVES = ("cache", "batch", "model", "prompt", "idle")
#: meter classes a rate card may price: the roll-ups, and "other" for meters outside them
CLASSES = (*dict.fromkeys(m.roll_up for m in meters().values() if m.roll_up), "other")
POLICY_KEYS = ("dimension", "not_charged", "tariffs", "incentives", "description")
TARIFF_KEYS = ("name", "for", "from", "to", "method", "markup", "minimum", "card", "fee", "included_tokens", "overage")


@dataclass(frozen=True)
class Step:
    """One tier of a rate: up to a quantity in the month (None = the rest), in units of the class."""

    up_to: Decimal | None
    rate: Decimal


@dataclass(frozen=True)
class Tariff:
    """How some receivers are charged in some months.

    Attributes:
        name: printed on statements.
        receivers: for whom; none = everybody.
        since, until: first month, and first month no longer ("" = open).
        method: pass_through (cost), blended (the company's average rate per model and meter class), rate_card, subscription.
        markup: stated margin on top of the charge, as a share.
        minimum: least charge of a month.
        card: meter class -> rate per million tokens (or per single request, search, character, ...), in tiers.
        fee, included_tokens, overage: a subscription's fee, what it includes, and the rate per million tokens beyond.
    """

    name: str
    receivers: tuple[str, ...] = ()
    since: str = ""
    until: str = ""
    method: str = "pass_through"
    markup: Decimal = Decimal(0)
    minimum: Decimal = Decimal(0)
    card: Mapping[str, tuple[Step, ...]] = field(default_factory=dict)
    fee: Decimal = Decimal(0)
    included_tokens: Decimal = Decimal(0)
    overage: Decimal = Decimal(0)

    @property
    def follows(self) -> str:
        """What the charge follows instead of what the work really costs, such as "a rate card": then savings earn nothing."""
        return APART.get(self.method, "")

    def applies(self, receiver: str, month: str) -> bool:
        """Whether it is the receiver's tariff in a month."""
        in_time = (not self.since or self.since <= month) and (not self.until or month < self.until)
        return in_time and (not self.receivers or receiver in self.receivers)


@dataclass(frozen=True)
class Incentives:
    """Rewards (shares of measured savings) and the malus on idle capacity, funded in proportion to the charge.

    Whoever is charged by a tariff that doesn't follow real cost takes no part (see `Tariff.follows`).
    `cap` bounds what they can move, as a share of the charge, and `1 - cap` what work can earn, as a share of its cost;
    `baseline_months` is how far back a template's own baseline reaches.
    """

    rates: Mapping[str, Decimal] = field(default_factory=dict)
    cap: Decimal = Decimal("0.1")
    baseline_months: int = 3


@dataclass(frozen=True)
class Policy:
    """A whole chargeback policy."""

    dimension: str
    tariffs: tuple[Tariff, ...] = ()
    not_charged: tuple[str, ...] = ("unallocated", "idle")
    incentives: Incentives = Incentives()

    @classmethod
    def load(cls, table: Policy | Mapping[str, Any]) -> Policy:
        """Read the `[chargeback]` section.

        Raises:
            RuleError: an unknown key, method or class, an impossible number; names the place.

        Example:
            >>> Policy.load({"dimension": "team", "tariffs": [{"method": "pass_through", "markup": "0.02"}]}).tariffs[0].markup
            Decimal('0.02')
        """
        if isinstance(table, Policy):
            return table
        if not isinstance(table, Mapping):
            raise RuleError(f"chargeback must be a table such as {{ dimension = 'team' }}, not {table!r}.")
        _known(table, POLICY_KEYS, "chargeback")
        dimension = table.get("dimension")
        if not isinstance(dimension, str) or not dimension:
            raise RuleError("chargeback needs `dimension`: the dimension whose values are charged, such as 'team'.")
        rows = table.get("tariffs", [{}])
        if not isinstance(rows, list) or not rows:
            raise RuleError("chargeback.tariffs must be [[chargeback.tariffs]] entries.")
        tariffs = tuple(_tariff(row, f"chargeback.tariffs {i}") for i, row in enumerate(rows, 1))
        if wrong := misfit(table, {"not_charged": ["value"]}, "chargeback"):
            raise RuleError(f"{wrong}.")
        spared = tuple(str(v) for v in table.get("not_charged", cls.not_charged))
        return cls(dimension, tariffs, spared, _incentives(table.get("incentives", {})))

    def check_dimension(self, columns: Collection[str]) -> None:
        """Raise unless the rows have the dimension that is charged."""
        if self.dimension not in columns:
            raise RuleError(
                f"chargeback.dimension = {self.dimension!r} is no dimension of the rows. {hint(self.dimension, columns)}"
            )

    def felt(self, receiver: str, month: str, cost: Fraction) -> Fraction:
        """How much of a month's cost the receiver's charge followed: what lies above a minimum, and nothing under a card or a fee.

        >>> policy = Policy.load({"dimension": "team", "tariffs": [{"minimum": "45"}], "incentives": {"cap": "0.1"}})
        >>> policy.felt("a", "2026-10", Fraction(100)), policy.felt("a", "2026-10", Fraction(50))
        (Fraction(9, 20), Fraction(0, 1))
        """
        tariff = next((one for one in self.tariffs if one.applies(receiver, month)), None)
        if tariff is None or not (tariff.minimum or tariff.follows):
            return Fraction(1)
        charge = cost * (1 + Fraction(tariff.markup))
        if tariff.follows or charge <= 0:
            return Fraction(0)
        above = charge * (1 - Fraction(self.incentives.cap)) - Fraction(tariff.minimum)
        return max(above, Fraction(0)) / charge

    def tariff_of(self, receiver: str, month: str) -> Tariff:
        """The first tariff for a receiver and month.

        Raises:
            RuleError: no tariff covers it.
        """
        for tariff in self.tariffs:
            if tariff.applies(receiver, month):
                return tariff
        raise RuleError(
            f"No chargeback tariff covers {receiver!r} in {month}. Add one without `for`, `from` and `to` at the end."
        )


def _tariff(row: object, place: str) -> Tariff:
    if not isinstance(row, Mapping):
        raise RuleError(f"{place} must be a table, not {row!r}.")
    _known(row, TARIFF_KEYS, place)
    method = row.get("method", "pass_through")
    if method not in METHODS:
        raise RuleError(f"{place}: method {method!r} is unknown. {hint(str(method), METHODS)}")
    card = row.get("card", {})
    if not isinstance(card, Mapping) or (method == "rate_card") != bool(card):
        raise RuleError(f"{place}: `card` (meter class = rate) belongs to method 'rate_card', which needs it.")
    _known(card, CLASSES, f"{place}.card")
    steps = {name: _steps(value, f"{place}.card.{name}") for name, value in card.items()}
    fresh, cached = steps.get("fresh_input", ()), steps.get("cache_read", ())
    if fresh and cached and max(s.rate for s in cached) > min(s.rate for s in fresh):
        raise RuleError(f"{place}.card: cache_read is dearer than fresh_input, so that caching would raise a charge.")
    for key in ("from", "to"):
        if key in row:
            parse_month(row[key])
    since, until = row.get("from", ""), row.get("to", "")
    if since and until and since >= until:
        raise RuleError(f"{place}: from {since} is not before to {until} (which is excluded).")
    receivers = row.get("for", [])
    if not isinstance(receivers, list):
        raise RuleError(f"{place}: for must be a list of values of the charged dimension, not {receivers!r}.")
    return Tariff(
        name=str(row.get("name", method.replace("_", " "))),
        receivers=tuple(map(str, receivers)),
        since=since,
        until=until,
        method=method,
        card=steps,
        **{
            k: number(row.get(k, 0), f"{place}.{k}") for k in ("markup", "minimum", "fee", "included_tokens", "overage")
        },
    )


def _steps(value: object, place: str) -> tuple[Step, ...]:
    rows: Sequence[Any] = value if isinstance(value, list) else [{"rate": value}]
    out: list[Step] = []
    for i, row in enumerate(rows, 1):
        if not isinstance(row, Mapping) or set(row) - {"up_to", "rate"} or "rate" not in row:
            raise RuleError(
                f"{place}: a tier is {{ up_to = 1_000_000_000, rate = '2.00' }}; only the last has no up_to."
            )
        up_to = number(row["up_to"], f"{place}.up_to") if "up_to" in row else None
        last = out[-1].up_to if out else Decimal(0)
        if (up_to is None) != (i == len(rows)) or (up_to is not None and last is not None and up_to <= last):
            raise RuleError(f"{place}: up_to must rise from tier to tier, and only the last tier has none.")
        out.append(Step(up_to, number(row["rate"], f"{place}.rate")))
    return tuple(out)


def _incentives(table: object) -> Incentives:
    if not isinstance(table, Mapping):
        raise RuleError("chargeback.incentives must be a table such as { cache = '0.2', cap = '0.1' }.")
    _known(table, (*INCENTIVES, "cap", "baseline_months"), "chargeback.incentives")
    rates = {k: number(table[k], f"chargeback.incentives.{k}") for k in INCENTIVES if k in table}
    cap = number(table.get("cap", "0.1"), "chargeback.incentives.cap")
    for name, rate in rates.items():
        if rate > 1:
            raise RuleError(f"chargeback.incentives.{name} = {rate} is a share of the saving; at most 1.")
    if cap > Decimal("0.5"):
        raise RuleError(f"chargeback.incentives.cap = {cap}: at most 0.5, so that saving money always pays.")
    months = table.get("baseline_months", 3)
    if not isinstance(months, int) or isinstance(months, bool) or not 1 <= months <= 24:
        raise RuleError(f"chargeback.incentives.baseline_months must be a whole number of 1 to 24, not {months!r}.")
    return Incentives(rates, cap, months)


def number(value: object, place: str) -> Decimal:
    """A number of 0 or more from a policy.

    Raises:
        RuleError: it isn't one.
    """
    try:
        out = exact(value)
    except (ValueError, ArithmeticError):
        raise RuleError(f"{place} must be a number, not {value!r}.") from None
    if out < 0:
        raise RuleError(f"{place} must be 0 or more, not {value!r}.")
    return out


def _known(table: Mapping[str, Any], keys: Collection[str], place: str) -> None:
    for key in table:
        if key not in keys:
            raise RuleError(f"{place}: no key {key!r}. {hint(str(key), keys)}")


def policy_or_default(table: Mapping[str, Any] | None, dimensions: Sequence[str]) -> Policy:
    """A workspace's policy; without one, the first dimension is charged at cost.

    Raises:
        RuleError: there is neither a policy nor a dimension.
    """
    if table is None and not dimensions:
        raise RuleError("There is no dimension to charge. Declare one in finops.toml, such as [dimensions.team].")
    return Policy.load({"dimension": dimensions[0]} if table is None else table)
