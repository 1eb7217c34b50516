"""Why a bill differs from computed cost: each cell's difference given to named causes, what is left called unexplained.

A cell is one account's day, sub-account, model, meter, tier and region. Its difference has a part by quantity, valued at
the computed price, and a part by price on everything billed. Quantities are explained by what they look like, strictest
test first: identical lines on either side, input billed again beside its cached part, the same quantity under another
tier, region, meter or model on the same day, days that are somebody else's days, the last days of the data; what is left
of a quantity is usage that one side lacks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

from finops_ai.meters import meters
from finops_ai.tables.doubts import at_the_end, mark

if TYPE_CHECKING:
    from finops_ai.tables.day_starts import DayStarts

#: cause -> (what it is, what to do, whether it is open: a fault somewhere, not a regular part of a bill)
CAUSES: dict[str, tuple[str, str, bool]] = {
    "credits": ("credits on the bill", "nothing: a credit is a regular part of a bill", False),
    "discounts": ("discounts the computed cost doesn't know", "enter the contract in your price file", False),
    "tax": ("tax on the bill", "nothing: tax is a regular part of a bill", False),
    "purchases": ("commitments and other purchases, and usage they pay for", "enter the commitment in your price file", False),
    "fees": ("marketplace, support and other fees", "share them out in [[shared]], if they should be charged", False),
    "adjustments": ("adjustments and corrections on the bill", "check which closed month they belong to", False),
    "currency_rate": ("the bill converts at another rate", "check the contract's rate and your rate file", False),
    "rounding": ("rounding of bill lines", "nothing", False),
    "timezone": ("the bill's days begin at another hour", "nothing at month's end but the hours that change month", False),
    "late": ("usage or charges of the last days that are still to come", "load the last days again, then reconcile", False),
    "billing_cycle": ("use of days that a billing cycle charges in another month", "nothing: the other month has the rest", False),
    "price": ("the bill charges another price", "correct the price file, or ask the provider", True),
    "tier": ("billed at another service tier than the usage states", "check batch and priority calls", True),
    "geography": ("billed in another region than the usage states", "check where deployments run", True),
    "meter_mapping": ("billed as another meter or model than the usage states", "correct the mapping of the bill's line items", True),
    "double_metering": ("tokens billed twice: a meter's total beside its parts", "claim it back from the provider", True),
    "duplicate_billing": ("charges that are on the bill twice", "claim them back from the provider", True),
    "duplicate_usage": ("usage rows that were loaded twice", "find the connection that repeats them", True),
    "missing_usage": ("billed usage that no usage row shows", "collect it, or find the connector that misses it", True),
    "not_billed": ("usage that isn't on the bill", "ask when it will be billed", True),
    "unpriced": ("usage without a known price", "add it to your price file", True),
    "unexplained": ("a difference that no cause fits", "look at its rows", True),
}  # fmt: skip
_ZERO, _PLACES = Decimal(0), Decimal(1).scaleb(-18)
#: days at the end of the data that may still fill up, and days before them that must tie
_TRAILING, _SETTLED = 5, 3
#: lines are rounded to the nearest unit, unless at least so many cells are all cut off, or all raised to the next one
_HALF, _CUT_OFF = Decimal("0.5"), 10
#: quantities are equal within this share, or within one unit
_SAME = Decimal("0.000001")
#: attribute of a cell -> cause of its being another on the bill; tried in this order
_RELABELLED = {"tier": "tier", "region": "geography", "meter": "meter_mapping", "model": "meter_mapping"}
#: meters whose total may be billed again beside these parts
_PARTS_OF = {
    "input": [m.name for m in meters().values() if m.direction == "input" and m.cache_action in ("read", "write") and m.is_token],
    "output": ["reasoning"],
}  # fmt: skip


#: cells of one side that may be one cell of the other
_AT_ONCE = 4


class Key(NamedTuple):
    """A cell of an account; what its bill doesn't state is None for all."""

    month: str
    day: date | None
    sub_account: str | None
    model: str | None
    meter: str
    tier: str | None
    region: str | None


@dataclass
class Usage:
    """What usage rows say of a cell."""

    quantity: Decimal = _ZERO
    cost: Decimal = _ZERO
    stated: Decimal | None = None
    unpriced: int = 0
    rows: int = 0


@dataclass
class Billed:
    """What usage lines of the bill say of a cell; `repeated` is how much of it are lines that are there already."""

    quantity: Decimal | None = _ZERO
    cost: Decimal = _ZERO
    #: cost at list and at agreed prices, where every line states it
    listed: Decimal | None = None
    agreed: Decimal | None = None
    lines: int = 0
    repeated: int = 0
    repeated_quantity: Decimal = _ZERO
    repeated_cost: Decimal = _ZERO
    #: quantity that a commitment pays for, so that the line costs nothing
    covered: Decimal = _ZERO


@dataclass
class Entry:
    """An amount given to a cause."""

    key: Key
    cause: str
    amount: Decimal
    quantity: Decimal | None = None
    #: a line of its own on the bill, which stands beside usage
    line: bool = False
    #: causes that fit it as well, which makes its name a guess
    or_else: tuple[str, ...] = ()


@dataclass
class Account:
    """One provider's account in one currency: both sides by cell, and what is found out about them."""

    usage: dict[Key, Usage]
    billed: dict[Key, Billed]
    #: smallest unit that the bill's lines are rounded to; None where they aren't
    unit: Decimal | None = None
    entries: list[Entry] = field(default_factory=list)
    doubts: set[str] = field(default_factory=set)
    #: lines of usage that name no model or no meter, by month and model
    loose: dict[tuple[str, str | None], Billed] = field(default_factory=dict)
    #: usage by its own month, where cycles bill some of it in another one
    calendar: dict[Key, Usage] = field(default_factory=dict)
    #: part of that unit by which a line may be rounded
    rounded_by: Decimal = _HALF
    #: whether computed cost was converted to the bill's currency
    converted: bool = False
    #: -> quantity of usage rows that repeat another, by cell; asked only where usage exceeds the bill
    repeats: Callable[[], Mapping[Key, Decimal]] = dict
    #: -> its usage, to be cut into days that begin at another moment; asked only where days don't tie
    starts: Callable[[], DayStarts] | None = None
    #: a row's cell, with what either side doesn't tell left out
    key_of: Callable[[Mapping[str, Any]], Key] = field(repr=False, default=None)  # type: ignore[assignment]

    def __post_init__(self) -> None:
        self.computed: dict[Key, Usage] = self.calendar or self.usage
        self._starts: DayStarts | None = None

    def explain(self) -> None:
        """Give every cell's difference to causes; the entries add up to billed minus computed."""
        self.computed, self.price = self.calendar or dict(self.usage), _prices(self.usage)
        self._loose_lines()
        self.left: dict[Key, Decimal] = {}
        paid: dict[Key, Decimal] = {}
        for key in sorted(self.usage.keys() | self.billed.keys(), key=str):
            use, bill = self.usage.get(key, Usage()), self.billed.get(key)
            if bill is None and not use.cost:
                if use.unpriced:
                    self.doubts.add("Usage without a known price isn't on the bill either.")
                continue
            bill = bill or Billed()
            if use.unpriced:
                self._give(key, "unpriced", bill.cost - use.cost)
            elif bill.quantity is None and use.rows and bill.lines:
                self._without_quantity(key, bill.cost - use.cost, bill.lines)
            else:
                quantity = bill.quantity or _ZERO
                unit = self._unit_of(key)
                by_quantity = quantity - use.quantity
                if not use.rows and bill.quantity is None:  # a line of something no usage shows, whatever its quantity
                    self._give(key, "missing_usage", bill.cost)
                    continue
                if by_quantity and not _same(quantity, use.quantity):
                    self.left[key] = by_quantity
                    by_quantity *= unit
                else:
                    by_quantity = _ZERO
                covered = -bill.covered * unit
                self._give(key, "purchases", covered)
                paid[key] = bill.cost - use.cost - by_quantity - covered
        self._duplicates(paid)
        self._double_metering()
        self._other_days(surely=True)  # before small quantities of other days look like another meter's
        for attribute, cause in _RELABELLED.items():
            self._relabelled(attribute, cause, paid)
        self._other_days()
        self._late()
        for key, quantity in self.left.items():
            self._take(key, "missing_usage" if quantity > 0 else "not_billed", quantity, keep=True)
        if self.converted:
            self._rates_paid(paid)
        self._prices_paid(paid)
        self.doubts |= set(mark(self))

    def _loose_lines(self) -> None:
        """Lines without a model or meter stand for the usage that no other line names, if there is any."""
        for (month, model), bill in self.loose.items():
            mine = [k for k in self.usage if k.month == month and k not in self.billed and model in (None, k.model)]
            open_cost = sum((self.usage.pop(k).cost for k in mine), _ZERO)
            key = Key(month, None, None, model, "unmapped", None, None)
            difference = bill.cost - open_cost
            if not open_cost:
                self._give(key, "missing_usage", bill.cost)
            elif abs(difference) <= self._slack(bill.lines):
                self._give(key, "rounding", difference)
            else:
                self._give(key, "unexplained", difference)
                self.doubts.add("Lines that name no model or meter can't be compared with usage one by one.")

    def _rates_paid(self, paid: dict[Key, Decimal]) -> None:
        """An exchange rate of the bill's own: every line of a day differs by the same share."""
        days: dict[date | str, list[Key]] = {}
        for key in paid:
            if key in self.billed and key in self.usage and self.billed[key].cost:
                days.setdefault(key.day or key.month, []).append(key)
        for keys in days.values():
            due = {k: self.billed[k].cost - paid[k] for k in keys}
            total = sum(due.values(), _ZERO)
            if not total:
                continue
            share = sum((self.billed[k].cost for k in keys), _ZERO) / total
            if all(
                abs(self.billed[k].cost - due[k] * share) <= max(self._slack(self.billed[k].lines), abs(due[k]) * _SAME)
                for k in keys
            ):
                for key in keys:
                    amount = due[key] * (share - 1)
                    self._give(key, "currency_rate", amount)
                    paid[key] -= amount

    def _give(
        self, key: Key, cause: str, amount: Decimal, quantity: Decimal | None = None, or_else: tuple[str, ...] = ()
    ) -> None:
        if amount:
            self.entries.append(Entry(key, cause, amount, quantity, or_else=or_else))

    def _take(
        self, key: Key, cause: str, quantity: Decimal, *, keep: bool = False, or_else: tuple[str, ...] = ()
    ) -> None:
        """Explain a quantity of a cell at its price."""
        self._give(key, cause, quantity * self._unit_of(key), quantity, or_else)
        if not keep:
            rest = self.left[key] - quantity
            total = max(abs(quantity), abs(self.left[key]))
            if abs(rest) <= total * _SAME:
                if rest:
                    self._give(key, cause, rest * self._unit_of(key), rest)
                del self.left[key]
            else:
                self.left[key] = rest

    def _unit_of(self, key: Key) -> Decimal:
        """The computed price of a cell; where no usage shows one, what the bill itself charges."""
        use, bill = self.usage.get(key), self.billed.get(key)
        if use is not None and use.quantity:
            return use.cost / use.quantity
        known = self.price.get((key.model, key.meter, key.tier, key.region))
        if (
            known is not None
            and bill is not None
            and bill.quantity
            and abs(bill.cost / bill.quantity - known) > known * Decimal("0.5")
        ):
            known = None  # another thing under the same name
        if known is not None:
            return known
        return bill.cost / bill.quantity if bill is not None and bill.quantity else _ZERO

    def _without_quantity(self, key: Key, difference: Decimal, lines: int) -> None:
        if abs(difference) <= self._slack(lines):
            self._give(key, "rounding", difference)
        else:
            self._give(key, "unexplained", difference)
            self.doubts.add("Lines that state no quantity: price and missing_usage can't be told apart.")

    def _slack(self, lines: int) -> Decimal:
        return (self.unit or _ZERO) * lines * self.rounded_by

    def _rounded(self, paid: Mapping[Key, Decimal]) -> Decimal:
        """Part of its smallest unit that a line is rounded by: half, or all of it where every line is cut off alike."""
        mine = {k: amount for k, amount in paid.items() if k in self.billed and amount}
        one_way = len(mine) >= _CUT_OFF and len({amount > 0 for amount in mine.values()}) == 1
        within = all(abs(v) <= (self.unit or _ZERO) * self.billed[k].lines for k, v in mine.items())
        return Decimal(1) if one_way and within else _HALF

    def _duplicates(self, paid: dict[Key, Decimal]) -> None:
        for key, bill in self.billed.items():
            left = self.left.get(key, _ZERO)
            fits = abs(left - bill.repeated_quantity) < abs(left)
            if bill.repeated and fits and bill.repeated_quantity and key in self.left:
                unit = self._unit_of(key)
                self._take(key, "duplicate_billing", bill.repeated_quantity)
                more = bill.repeated_cost - bill.repeated_quantity * unit  # where the line's price is another one, too
                self._give(key, "duplicate_billing", more)
                paid[key] = paid.get(key, _ZERO) - more
        if any(quantity < 0 for quantity in self.left.values()):
            for key, repeated in self.repeats().items():
                left = self.left.get(key, _ZERO)
                if left < 0 and abs(left + repeated) < abs(left):
                    self._take(key, "duplicate_usage", -repeated)

    def _double_metering(self) -> None:
        for meter, parts in _PARTS_OF.items():
            for key in [k for k, q in self.left.items() if k.meter == meter and q > 0]:
                own = [key._replace(meter=part) for part in parts]
                inside = [k for k in own if k in self.usage and k in self.billed]
                total = sum((self.usage[k].quantity for k in inside), _ZERO)
                if (
                    total
                    and key in self.usage
                    and all(k not in self.left for k in inside)
                    and _same(self.left[key], total, loose=True)
                ):
                    self._take(key, "double_metering", self.left[key])

    def _relabelled(self, attribute: str, cause: str, paid: dict[Key, Decimal]) -> None:
        """The same quantity, short in one cell and over in another that differs in one attribute."""
        groups: dict[tuple[Any, ...], list[Key]] = {}
        for key in self.left:
            groups.setdefault(tuple(v for n, v in key._asdict().items() if n != attribute), []).append(key)
        for group in groups.values():
            short = sorted((k for k in group if self.left[k] < 0), key=str)
            for key in short:
                over = [
                    k for k in group if k in self.left and self.left[k] > 0 and _same(self.left[k], -self.left[key])
                    and (attribute != "model" or (key not in self.billed and k not in self.usage))  # another name for it all
                ]  # fmt: skip
                if not over:
                    continue
                other, quantity = min(over, key=str), -self.left[key]
                one, two = self._unit_of(key), self._unit_of(other)
                self._take(key, cause, -quantity)
                self._take(other, cause, quantity)
                self._kept(quantity * (one - two), cause, paid, (other,), (key, other))
            if attribute != "model":
                self._several(group, cause, paid)

    def _several(self, group: Sequence[Key], cause: str, paid: dict[Key, Decimal]) -> None:
        """Cells of a group that are one on the other side: two regions billed as a third, a tier split in two."""
        for sign in (1, -1):
            for one in sorted((k for k in group if self.left.get(k, _ZERO) * sign > 0), key=str):
                others = sorted((k for k in group if self.left.get(k, _ZERO) * sign < 0), key=str)
                found = next(
                    (
                        chosen for n in range(2, min(len(others), _AT_ONCE) + 1) for chosen in combinations(others, n)
                        if _same(abs(self.left[one]), sum((abs(self.left[k]) for k in chosen), _ZERO))
                    ), (),
                )  # fmt: skip
                if not found:
                    continue
                kept = sum((-self.left[k] * self._unit_of(k) for k in (one, *found)), _ZERO)
                for key in (*found, one):
                    self._take(key, cause, self.left[key])
                self._kept(kept, cause, paid, *([(one,)] if sign > 0 else []), (*found, one))

    def _kept(self, amount: Decimal, cause: str, paid: dict[Key, Decimal], *cells: Sequence[Key]) -> None:
        """Lines that have another name but their old price: what some cells' prices seem to differ by is the name's, too."""
        for mine in cells:
            if amount and abs(sum((paid.get(k, _ZERO) for k in mine), _ZERO) - amount) <= abs(amount) / 1000:
                for key in mine:
                    self._give(key, cause, paid.pop(key, _ZERO))
                return

    def _other_days(self, *, surely: bool = False) -> None:
        """Days that begin at another hour: the same usage, cut otherwise, ties; surely, where it ties to the unit."""
        pending = {k: q for k, q in self.left.items() if k.day is not None}
        if self.starts is None or len({k.day for k in pending}) < 4:
            return
        groups: dict[Key, list[Decimal]] = {}
        for key, quantity in pending.items():
            groups.setdefault(key._replace(day=None, month=""), []).append(quantity)
        swinging = {g for g, values in groups.items() if len(values) > 3 and min(values) < 0 < max(values)}
        mine = {k: q for k, q in pending.items() if k._replace(day=None, month="") in swinging}
        best = self._best_shift(mine) if mine else None
        if best is None:
            return
        days = [k.day for k in pending if k.day is not None]
        first, last = min(days), max(days)
        for key, quantity in pending.items():
            change = self._moved(key, best)
            if surely:
                if change and _same(quantity, change):
                    self._take(key, "timezone", quantity)
            elif _same(quantity, change, loose=True):
                self._take(key, "timezone", quantity)
            elif key in mine and key.day in (first, last):  # the edge: data that wasn't read
                self._take(key, "timezone", quantity, or_else=at_the_end(quantity))
            elif key in mine and change:
                self._take(key, "timezone", change)

    def _best_shift(self, mine: Mapping[Key, Decimal]) -> Mapping[Key, Decimal] | None:
        """Usage with days that begin when it ties most of some differences; None where that ties less than half of them."""
        assert self.starts is not None
        self._starts = self._starts or self.starts()
        units = {k: self._unit_of(k) for k in mine}
        wanted = {k: (q + (self.usage[k].quantity if k in self.usage else _ZERO), units[k]) for k, q in mine.items()}
        minutes, miss = self._starts.nearest(wanted)
        before = sum((abs(q) * units[k] for k, q in mine.items()), _ZERO)
        return None if miss > float(before) / 2 else self._starts.cut(minutes)

    def _moved(self, key: Key, moved: Mapping[Key, Decimal]) -> Decimal:
        """What a cell's quantity changes by when days begin at another hour."""
        return moved.get(key, _ZERO) - (self.usage[key].quantity if key in self.usage else _ZERO)

    def _late(self) -> None:
        """Quantities that differ on the last days only, where the days before tie."""
        groups: dict[Key, dict[date, Decimal]] = {}
        for key, quantity in self.left.items():
            if key.day is not None:
                groups.setdefault(key._replace(day=None, month=""), {})[key.day] = quantity
        if not groups:
            return
        known: dict[Key, set[date]] = {}
        for key in self.usage.keys() & self.billed.keys():
            if key.day is not None and key not in self.left:
                known.setdefault(key._replace(day=None, month=""), set()).add(key.day)
        ends = _ends([k for k in (*self.usage, *self.billed) if k.day is not None])
        for group, days in groups.items():
            months: dict[str, list[date]] = {}
            for day in days:
                months.setdefault(f"{day:%Y-%m}", []).append(day)
            for month, mine in months.items():
                open_from = ends[month] - timedelta(days=_TRAILING - 1)
                settled = [d for d in known.get(group, set()) if d < min(mine)]
                signs = {days[d] > 0 for d in mine}
                if (
                    min(mine) >= open_from
                    and len(settled) >= _SETTLED
                    and len(signs) == 1
                    and _to_the_end(mine, known.get(group, set()))
                    and ends[month] + timedelta(days=1) not in days  # it goes on in the next month
                ):
                    for day in mine:
                        key = group._replace(day=day, month=month)
                        self._take(key, "late", self.left[key], or_else=at_the_end(self.left[key]))
                    self.doubts.add(
                        f"late and {'missing_usage' if signs == {True} else 'not_billed'} can't be told apart in the last days; load them again."
                    )

    def _prices_paid(self, paid: Mapping[Key, Decimal]) -> None:
        """What the bill charges beside the computed price: rounding, a discount, or another price."""
        self.rounded_by = self._rounded(paid)
        groups: dict[tuple[Any, ...], list[Key]] = {}
        for key in paid:
            if paid[key]:
                groups.setdefault((key.model, key.meter, key.tier, key.region), []).append(key)
        shares = {
            (self.billed[k].cost / (self.billed[k].cost - paid[k])).quantize(Decimal("1e-6"))
            for ks in groups.values() for k in ks
            if k in self.billed and self.billed[k].cost != paid[k] and abs(paid[k]) > self._slack(self.billed[k].lines)
        }  # fmt: skip
        priced = {(k.model, k.meter) for k in self.billed if k in self.usage and self.usage[k].cost}
        touched = {
            (k.model, k.meter)
            for ks in groups.values()
            for k in ks
            if abs(paid[k]) > self._slack(self.billed.get(k, Billed()).lines)
        }
        everywhere = (
            len(shares) == 1 and next(iter(shares)) < 1 and len({m for m, _ in priced}) > 1 and touched >= priced
        )
        for keys in groups.values():
            rounded = [k for k in keys if abs(paid[k]) <= self._slack(self.billed.get(k, Billed()).lines)]
            beyond = [k for k in keys if k not in rounded]
            price = self._price_of(beyond) if self.unit is not None else None
            for key in rounded if not beyond or price is None else []:
                self._give(key, "rounding", paid[key])
            for key in beyond if price is None else [*beyond, *rounded]:
                bill, amount = self.billed.get(key, Billed()), paid[key]
                use = self.usage.get(key, Usage())
                if price is not None and bill.quantity:
                    exact = bill.quantity * (price - self._unit_of(key))
                    if abs(amount - exact) <= self._slack(bill.lines):
                        self._give(key, "rounding", amount - exact)
                        amount = exact
                near = max(self._slack(bill.lines), abs(use.cost) * _SAME)
                listed = bill.listed is not None and abs(bill.listed - use.cost) <= near
                agreed = bill.agreed is not None and abs(bill.agreed - bill.cost) <= near
                discount = amount < 0 and (everywhere or (listed and agreed))
                guess = ("price",) if discount and not (listed and agreed) else ()
                self._give(key, "discounts" if discount else "price", amount, or_else=guess)
        if everywhere and not all(b.listed for b in self.billed.values()):
            self.doubts.add("Every line is lower by the same share: discounts and price can't be told apart.")

    def _price_of(self, keys: Sequence[Key]) -> Decimal | None:
        """The shortest price (per million) that all rounded lines of a cell's days agree with; None if none does."""
        low, high = Decimal("-Infinity"), Decimal("Infinity")
        for key in keys:
            bill = self.billed.get(key)
            if bill is None or not bill.quantity:
                return None
            slack = self._slack(bill.lines)
            low = max(low, (bill.cost - slack) / bill.quantity)
            high = min(high, (bill.cost + slack) / bill.quantity)
        if not keys or low > high:
            return None
        low, high = low * 10**6, high * 10**6
        for places in range(-6, 13):
            rounded = ((low + high) / 2).quantize(Decimal(1).scaleb(-places)) if places >= 0 else round(low, places)
            if low <= rounded <= high:
                return rounded / 10**6
        return None


def _prices(usage: Mapping[Key, Usage]) -> dict[tuple[Any, ...], Decimal]:
    sums: dict[tuple[Any, ...], list[Decimal]] = {}
    for key, use in usage.items():
        if use.quantity and use.cost and not use.unpriced:
            had = sums.setdefault((key.model, key.meter, key.tier, key.region), [_ZERO, _ZERO])
            had[0] += use.cost
            had[1] += use.quantity
    return {name: cost / quantity for name, (cost, quantity) in sums.items()}


def _same(one: Decimal, other: Decimal, *, loose: bool = False) -> bool:
    """Whether two quantities are one: to a millionth or a unit; loosely, to a thousandth."""
    most = max(abs(one), abs(other))
    return abs(one - other) <= max(most * (_SAME * 1000 if loose else _SAME), min(Decimal(1), most / 100))


def _ends(keys: Iterable[Key]) -> dict[str, date]:
    """The last day with data of each month."""
    ends: dict[str, date] = {}
    for key in keys:
        if key.day is not None:
            month = f"{key.day:%Y-%m}"
            ends[month] = max(ends.get(month, key.day), key.day)
    return ends


def _to_the_end(days: Sequence[date], tied: set[date]) -> bool:
    """Whether no day after the first that differs ties again."""
    return not any(d > min(days) and d not in days and d.month == min(days).month for d in tied)


def summed(entries: Iterable[Entry]) -> dict[str, Decimal]:
    """Amounts by cause, to 18 places."""
    sums: dict[str, Decimal] = {}
    for entry in entries:
        sums[entry.cause] = sums.get(entry.cause, _ZERO) + entry.amount
    return {cause: value.quantize(_PLACES) for cause, value in sums.items()}
