"""What a scenario can change, each a small record with a start and the parts it touches.

[scenario.leaner]
description = "Support moves to the small model and caches its instructions"

[[scenario.leaner.changes]]
kind = "model_switch"
start = 2026-12-01
from_model = "gpt-4.1"
to_model = "gpt-4.1-mini"
token_factor = 1.0            # tokens of the new tokeniser per token of the old
where = { team = "support" }

[[scenario.leaner.changes]]
kind = "cache_adoption"
start = 2026-12-01
share = 0.6                   # of the input that is not cached today
"""

from __future__ import annotations

import datetime as dt
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from finops_ai.errors import RuleError, hint
from finops_ai.forecasting.outlook import INPUT, OUTPUT, Outlook
from finops_ai.forecasting.temperature import HOT, temperature_factor
from finops_ai.meters import meters
from finops_ai.shapes import misfit

if TYPE_CHECKING:
    from finops_ai.prices import PriceBook

CACHE_READ = "cache_read"
#: meters of capacity that is paid whether used or not
CAPACITY = ("provisioned_hours", "gpu_hours", "hosting_hours", "training_hours", "model_months")


@dataclass(frozen=True, kw_only=True)
class Change:
    """Base of all changes.

    Attributes:
        start: first day in force; two dates where it is uncertain (`["2027-03-01", "2027-05-31"]`). So may sizes be:
            `factor = [0.6, 0.8]` is anywhere between, evenly.
        until: first day no longer in force; None = stays.
        ramp_days: days over which it comes in evenly; 0 = at once.
        where: column -> value or list of values; which parts it touches (dimensions, provider, model, prompt_id, meter).
        label: what the tables call it; by default its kind and what it touches.
    """

    kind: ClassVar[str] = ""
    start: dt.date | tuple[dt.date, dt.date]
    until: dt.date | None = None
    ramp_days: int = 0
    where: Mapping[str, Any] = field(default_factory=dict)
    label: str = ""

    def __post_init__(self) -> None:
        latest = self.start[1] if isinstance(self.start, tuple) else self.start
        if isinstance(self.start, tuple) and self.start[0] > latest:
            raise RuleError(f"{self.name}: start is {self.start[0]} to {latest}; the earlier date comes first.")
        if self.until is not None and self.until <= latest:
            raise RuleError(f"{self.name}: until is {self.until}, must be later than its start, {self.start}.")

    @property
    def name(self) -> str:
        """What the tables call it: its label, else its kind and what it touches."""
        values = [str(v) for w in self.where.values() for v in (w if isinstance(w, list | tuple | set) else [w])]
        return self.label or self.kind.replace("_", " ") + (f" ({', '.join(values)})" if values else "")

    def apply(self, outlook: Outlook, book: PriceBook | None = None) -> Outlook:
        """The outlook with this change."""
        raise TypeError(f"{type(self).__name__} has no effect of its own")

    def _touched(self, outlook: Outlook, **more: object) -> tuple[np.ndarray, np.ndarray]:
        """Parts touched and how far the change is in force each day."""
        mask = outlook.select({**self.where, **more}, self.name)
        return mask, outlook.active(self.start, self.until, self.ramp_days)

    def _scale(self, outlook: Outlook, mask: np.ndarray, factor: np.ndarray | float) -> Outlook:
        quantity, lump = outlook.quantity.copy(), outlook.lump.copy()
        quantity[mask] *= factor
        lump[mask] *= factor
        return replace(outlook, quantity=quantity, lump=lump)

    def _check(self, name: str, low: float, high: float = np.inf) -> None:
        value = getattr(self, name)
        if value is not None and any(not low <= v <= high for v in (value if isinstance(value, tuple) else (value,))):
            limits = f"between {low:g} and {high:g}" if np.isfinite(high) else f"{low:g} or more"
            raise RuleError(f"{self.name}: {name} is {value}, must be {limits}.")


@dataclass(frozen=True, kw_only=True)
class Volume(Change):
    """Planned volume: times a factor, or to a planned number of requests a day."""

    kind = "volume"
    factor: float | None = None
    requests_per_day: float | None = None

    def apply(self, outlook: Outlook, book: PriceBook | None = None) -> Outlook:
        self._check("factor", 0)
        self._check("requests_per_day", 0)
        mask, active = self._touched(outlook)
        if (self.factor is None) == (self.requests_per_day is None):
            raise RuleError(f"{self.name}: give either factor or requests_per_day.")
        if self.factor is not None:
            return self._scale(outlook, mask, 1 + (self.factor - 1) * active)
        requests = outlook.quantity[mask & (outlook.parts["meter"] == "requests").to_numpy()].sum(0)
        if not (requests > 0).all():
            raise RuleError(
                f"{self.name}: there are no requests to scale from; give a factor, or a launch with `like`."
            )
        return self._scale(outlook, mask, 1 + (self.requests_per_day / requests - 1) * active)


@dataclass(frozen=True, kw_only=True)
class Launch(Change):
    """A new product: planned requests a day, each costing what a request of `where` costs; `set` names its dimensions."""

    kind = "launch"
    requests_per_day: float
    input_factor: float = 1.0
    output_factor: float = 1.0
    set: Mapping[str, str] = field(default_factory=dict)

    def apply(self, outlook: Outlook, book: PriceBook | None = None) -> Outlook:
        self._check("requests_per_day", 0)
        mask, active = self._touched(outlook)
        requests = outlook.quantity[mask & (outlook.parts["meter"] == "requests").to_numpy()].sum(0)
        if not (requests > 0).all():
            raise RuleError(f"{self.name}: the product it is like has no requests; choose another `where`.")
        parts = outlook.parts[mask].assign(**{k: str(v) for k, v in self.set.items() if k in outlook.parts.columns})
        unknown = [k for k in self.set if k not in outlook.parts.columns]
        if unknown:
            raise RuleError(f"{self.name}: set names {unknown[0]!r}. {hint(unknown[0], list(outlook.parts.columns))}")
        direction = parts["direction"].to_numpy()[:, None]
        size = np.where(direction == INPUT, self.input_factor, np.where(direction == OUTPUT, self.output_factor, 1.0))
        quantity = outlook.quantity[mask] * (self.requests_per_day / requests * active) * size
        return outlook.added(parts, quantity, outlook.price[mask])


@dataclass(frozen=True, kw_only=True)
class ModelSwitch(Change):
    """Traffic of one model moves to another from a day on.

    `token_factor` is tokens of the new model's tokeniser per token of the old; `output_factor` how much longer its
    answers are besides. The new model costs what it costs in the recent rows, else what the price book says. Capacity
    bought by the hour, and what runs on it, stays with the old model unless `where` names its meter or service tier.
    """

    kind = "model_switch"
    from_model: str
    to_model: str
    to_provider: str | None = None
    token_factor: float = 1.0
    output_factor: float = 1.0
    share: float = 1.0

    def apply(self, outlook: Outlook, book: PriceBook | None = None) -> Outlook:
        self._check("share", 0, 1)
        self._check("token_factor", 0)
        self._check("output_factor", 0)
        mask, active = self._touched(outlook, model=self.from_model)
        free = mask & ~_bought_ahead(outlook)
        if free.any() and not {"meter", "service_tier"} & set(self.where):
            mask = free
        moved = active * self.share
        parts = outlook.parts[mask].assign(model=self.to_model)
        if self.to_provider:
            parts = parts.assign(provider=self.to_provider)
        direction = parts["direction"].to_numpy()[:, None]
        size = np.where(direction != "", self.token_factor, 1.0) * np.where(
            direction == OUTPUT, self.output_factor, 1.0
        )
        quantity = outlook.quantity[mask] * moved * size
        billed = (outlook.price[mask] * quantity > 0).any(1)
        price = np.zeros_like(quantity)
        for row, (part, costs) in enumerate(zip(parts.to_dict("records"), billed, strict=True)):
            if costs:
                price[row] = _new_price(outlook, {str(k): str(v) for k, v in part.items()}, self, book)
        return self._scale(outlook, mask, 1 - moved).added(parts, quantity, price)


def _bought_ahead(outlook: Outlook) -> np.ndarray:
    """Mask of the parts that are capacity bought ahead, or run on it."""
    capacity = outlook.parts["meter"].isin(CAPACITY) | (outlook.parts["service_tier"] == "provisioned")
    return capacity.to_numpy()


def _new_price(outlook: Outlook, part: Mapping[str, str], switch: ModelSwitch, book: PriceBook | None) -> np.ndarray:
    """Unit price of the new model for one part, by day: what it costs us already, else the price book's."""
    same = outlook.parts[["model", "provider", "meter", "service_tier"]].eq(
        [switch.to_model, part["provider"], part["meter"], part["service_tier"]]
    )
    known = same.all(axis=1).to_numpy() & (outlook.price > 0).any(1)
    if known.any():
        weight = outlook.quantity[known]
        total = weight.sum(0)
        mean = outlook.price[known].mean(0)
        out: np.ndarray = np.where(
            total > 0, (outlook.price[known] * weight).sum(0) / np.where(total > 0, total, 1), mean
        )
        return out
    at = _instant(switch.start)
    found = (
        book.lookup(part["provider"], switch.to_model, part["meter"], at, service_tier=part["service_tier"])
        if book
        else None
    )
    if found is None or found.unit_price is None:
        raise RuleError(
            f"{switch.name}: no price for model {switch.to_model!r}, meter {part['meter']} at {part['provider']} "
            f"({part['service_tier']}) on {switch.start}. Check the model's name, give to_provider, or add its price to the price book."
        )
    return np.full(len(outlook.days), float(found.unit_price))


@dataclass(frozen=True, kw_only=True)
class PromptChange(Change):
    """A prompt template gets longer or shorter: input and output tokens of `where = {prompt_id = ...}` times a factor."""

    kind = "prompt_change"
    input_factor: float = 1.0
    output_factor: float = 1.0

    def apply(self, outlook: Outlook, book: PriceBook | None = None) -> Outlook:
        self._check("input_factor", 0)
        self._check("output_factor", 0)
        mask, active = self._touched(outlook)
        direction = outlook.parts["direction"].to_numpy()
        for side, factor in ((INPUT, self.input_factor), (OUTPUT, self.output_factor)):
            outlook = self._scale(outlook, mask & (direction == side), 1 + (factor - 1) * active)
        return outlook


@dataclass(frozen=True, kw_only=True)
class CacheAdoption(Change):
    """A share of the input that is not cached today is read from the cache instead.

    The reading price is that of the model's `cache_read` in use, else the price book's, else `read_price` times the
    input price. Models that have none keep their input as it is, as long as one has.
    """

    kind = "cache_adoption"
    share: float
    read_price: float | None = None

    def apply(self, outlook: Outlook, book: PriceBook | None = None) -> Outlook:
        self._check("share", 0, 1)
        self._check("read_price", 0)
        touched, active = self._touched(outlook, meter="input")
        prices = {int(row): self._price(outlook, int(row), book) for row in np.flatnonzero(touched)}
        rows = [row for row, price in prices.items() if price is not None]
        if not rows:
            models = sorted(set(outlook.parts.loc[touched, "model"]))
            raise RuleError(
                f"{self.name}: no cache price for {', '.join(models[:5])}; give read_price, a share of the input price."
            )
        mask = np.isin(np.arange(len(touched)), rows)
        parts = outlook.parts[mask].assign(meter=CACHE_READ)
        moved = outlook.quantity[mask] * active * self.share
        price = np.array([prices[row] for row in rows])
        return self._scale(outlook, mask, 1 - active * self.share).added(parts, moved, price)

    def _price(self, outlook: Outlook, row: int, book: PriceBook | None) -> np.ndarray | None:
        price, part = outlook.price[row], outlook.parts.iloc[row]
        out: np.ndarray
        if self.read_price is not None:
            out = price * self.read_price
            return out
        keys = ["provider", "model", "service_tier"]
        same = outlook.parts[keys].eq(part[keys]).all(axis=1) & (outlook.parts["meter"] == CACHE_READ)
        reads = same.to_numpy() & (outlook.price > 0).any(1)
        if reads.any():
            out = np.minimum(outlook.price[reads].mean(0), price)
            return out
        if book is None:
            return None
        at = _instant(self.start)
        read, fresh = (
            book.lookup(part["provider"], part["model"], meter, at, service_tier=part["service_tier"]).unit_price
            for meter in (CACHE_READ, "input")
        )
        return price * float(read / fresh) if read is not None and fresh and read < fresh else None


@dataclass(frozen=True, kw_only=True)
class TemperatureChange(Change):
    """Output tokens at another sampling temperature: +5 % per +1.0 up to 1 unless `per_degree` was learned."""

    kind = "temperature"
    to: float
    was: float = 0.7
    per_degree: float | None = None

    def apply(self, outlook: Outlook, book: PriceBook | None = None) -> Outlook:
        self._check("to", 0, 2)
        self._check("was", 0, 2)
        if max(self.to, self.was) > HOT:
            warnings.warn(
                f"{self.name}: above temperature {HOT} answers run away (x2.4 tokens at 1.5 in the one model measured); treat this as a guess.",
                UserWarning,
                stacklevel=2,
            )
        mask, active = self._touched(outlook)
        mask = mask & (outlook.parts["direction"] == OUTPUT).to_numpy()
        factor = temperature_factor(self.to, self.per_degree) / temperature_factor(self.was, self.per_degree)
        return self._scale(outlook, mask, 1 + (factor - 1) * active)


@dataclass(frozen=True, kw_only=True)
class PriceChange(Change):
    """An announced price change: unit prices of `where` times a factor (0.5 halves them)."""

    kind = "price_change"
    factor: float

    def apply(self, outlook: Outlook, book: PriceBook | None = None) -> Outlook:
        self._check("factor", 0)
        mask, active = self._touched(outlook)
        price, lump = outlook.price.copy(), outlook.lump.copy()
        price[mask] *= 1 + (self.factor - 1) * active
        lump[mask] *= 1 + (self.factor - 1) * active
        return replace(outlook, price=price, lump=lump)


@dataclass(frozen=True, kw_only=True)
class Commitment(Change):
    """A commitment starts: `amount_per_day` is paid whether used or not and covers usage at `discount` off.

    A fee of 90 a day at 10 % off covers usage worth 100 at today's prices; the rest is paid as before.
    """

    kind = "commitment"
    amount_per_day: float
    discount: float

    def apply(self, outlook: Outlook, book: PriceBook | None = None) -> Outlook:
        self._check("amount_per_day", 0)
        self._check("discount", 0, 0.99)
        mask, active = self._touched(outlook)
        usage = outlook.cost[mask]
        total = usage.sum(0)
        fee = self.amount_per_day * (active > 0)
        covered = np.minimum(fee / (1 - self.discount), total)
        share = np.divide(covered, total, out=np.zeros_like(total), where=total > 0)
        split = np.where(total > 0, usage / np.where(total > 0, total, 1), 1 / len(usage))
        price, lump = outlook.price.copy(), outlook.lump.copy()
        price[mask] *= 1 - share
        lump[mask] = lump[mask] * (1 - share) + split * fee
        return replace(outlook, price=price, lump=lump)


KINDS: dict[str, type[Change]] = {
    change.kind: change
    for change in (Volume, Launch, ModelSwitch, PromptChange, CacheAdoption, TemperatureChange, PriceChange, Commitment)
}


def parse_change(table: Mapping[str, Any], place: str) -> Change:
    """A change from a TOML table or dict with `kind`, `start` and its own keys.

    Raises:
        RuleError: names the key and the nearest known one.
    """
    if not isinstance(table, Mapping):
        raise RuleError(f"{place} must be a table with `kind` and `start`, not {table!r}.")
    table = dict(table)
    kind = str(table.pop("kind", ""))
    if kind not in KINDS:
        raise RuleError(f"{place}: kind is {kind!r}. {hint(kind, KINDS)}")
    known = KINDS[kind].__dataclass_fields__
    for key in table:
        if key not in known:
            raise RuleError(f"{place}: {kind} has no key {key!r}. {hint(key, known)}")
    if wrong := misfit(table, {"where": {}, "set": {}, "name": "text"}):
        raise RuleError(f"{place}: {wrong}.")
    for key in ("start", "until"):
        if key in table and table[key] is not None:
            table[key] = (
                _dates(table[key], f"{place}: {key}") if key == "start" else _date(table[key], f"{place}: {key}")
            )
    numbers = [k for k, f in known.items() if str(f.type).split(" ")[0] in ("float", "int") and k in table]
    for key in numbers:
        value = table[key]
        if isinstance(value, list | tuple) and len(value) == 2 and all(map(_is_number, value)) and value[0] <= value[1]:
            table[key] = (float(value[0]), float(value[1]))
        elif value is not None and not _is_number(value):
            raise RuleError(f"{place}: {key} is {value!r}, must be a number, or two for a range, the smaller first.")
    try:
        return KINDS[kind](**table)
    except TypeError as error:
        raise RuleError(f"{place}: {kind}: {str(error).split('__init__() ')[-1]}.") from None


def _instant(start: dt.date | tuple[dt.date, dt.date]) -> dt.datetime:
    return dt.datetime.combine(start[0] if isinstance(start, tuple) else start, dt.time(), UTC)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _dates(value: object, what: str) -> dt.date | tuple[dt.date, dt.date]:
    if isinstance(value, list | tuple):
        if len(value) != 2:
            raise RuleError(f"{what} is {value!r}, must be one date or two, the earlier first.")
        return _date(value[0], what), _date(value[1], what)
    return _date(value, what)


def _date(value: Any, what: str) -> dt.date:
    try:
        return pd.Timestamp(value).date()
    except (ValueError, TypeError, OverflowError, NotImplementedError):
        raise RuleError(f"{what} is {value!r}, must be a date like 2026-12-01.") from None


def token_meters() -> list[str]:
    """Meters that count tokens, the ones tokeniser and prompt changes act on."""
    return [name for name, meter in meters().items() if meter.unit == "tokens"]
