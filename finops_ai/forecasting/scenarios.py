"""Named scenarios side by side with the base; each change's part of the difference adds up to it exactly."""

from __future__ import annotations

import itertools
import math
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from finops_ai.errors import RuleError, SettingsError, hint
from finops_ai.forecasting.ageing import is_uncertain, resolved, to_come
from finops_ai.forecasting.changes import CacheAdoption, Change, PriceChange, Volume, parse_change
from finops_ai.forecasting.history import NONE
from finops_ai.forecasting.outlook import Outlook
from finops_ai.money import round_to_total
from finops_ai.shapes import misfit

if TYPE_CHECKING:
    from finops_ai.prices import PriceBook

#: up to this many changes share interactions fairly (every order counts); beyond, each counts in the order given
FAIR_UP_TO = 7


@dataclass(frozen=True)
class Scenario:
    """A named list of changes, applied in the order given."""

    name: str
    changes: tuple[Change, ...] = ()
    description: str = ""

    def apply(self, outlook: Outlook, book: PriceBook | None = None) -> Outlook:
        """The outlook with all changes still to come, uncertain ones at the middle of their range."""
        return self.applied(outlook, book)[0]

    def applied(
        self, outlook: Outlook, book: PriceBook | None = None, node: int | None = None
    ) -> tuple[Outlook, list[str]]:
        """The outlook with all changes still to come, and a sentence for each that isn't applied as it stands.

        Args:
            outlook: the days ahead.
            book: prices of models not in use yet.
            node: where uncertain dates and sizes are taken, see `finops_ai.forecasting.ageing`; their middle for None.
        """
        notes = []
        for number, change in enumerate(self.changes):
            outlook, note = _step(change, outlook, book, node, number)
            notes += [note] if note else []
        return outlook, notes

    @property
    def uncertain(self) -> bool:
        """Whether a date or size is given as a range."""
        return any(is_uncertain(change) for change in self.changes)

    def labels(self) -> list[str]:
        """What each change is called, numbered where a name comes twice."""
        names = [change.name for change in self.changes]
        return [
            f"{name} ({names[: i + 1].count(name)})" if names.count(name) > 1 else name for i, name in enumerate(names)
        ]


def _step(
    change: Change, outlook: Outlook, book: PriceBook | None, node: int | None = None, number: int = 0
) -> tuple[Outlook, str]:
    rest, note = to_come(resolved(change, node, number), outlook)
    return (outlook if rest is None else rest.apply(outlook, book)), note


ScenarioLike = Scenario | Mapping[str, Any] | Change | Sequence[Change] | str | Path


def load_scenarios(source: ScenarioLike | Mapping[str, ScenarioLike] | Iterable[Scenario]) -> list[Scenario]:
    """Scenarios from what is at hand.

    Args:
        source: a `Scenario`, changes, a TOML file or text with `[scenario.NAME]` tables, or the dict of such a file
            (`{"scenario": {...}}`, `{NAME: {"changes": [...]}}` or one `{"changes": [...]}`).

    Raises:
        RuleError: names the scenario, key and value that can't be used.

    Example:
        >>> [s.name for s in load_scenarios({"half": {"changes": [
        ...     {"kind": "price_change", "start": "2026-12-01", "factor": 0.5}]}})]
        ['half']
    """
    if isinstance(source, Scenario):
        return [source]
    if isinstance(source, Change):
        return [Scenario(source.name, (source,))]
    if isinstance(source, str | Path):
        return load_scenarios(_read_toml(source))
    if isinstance(source, Mapping):
        tables: Any = source.get("scenario", source)
        if "changes" in tables:
            tables = {str(tables.get("name", "scenario")): {k: v for k, v in tables.items() if k != "name"}}
        return [_parse(str(name), table) for name, table in tables.items()]
    items: list[Any] = list(source)
    if items and all(isinstance(item, Change) for item in items):
        return [Scenario("scenario", tuple(items))]
    return [scenario for item in items for scenario in load_scenarios(item)]


def _read_toml(source: str | Path) -> dict[str, Any]:
    is_text = isinstance(source, str) and "\n" in source
    try:
        return tomllib.loads(str(source) if is_text else Path(source).read_text("utf-8-sig"))
    except FileNotFoundError:
        raise RuleError(f"There is no scenario file {source}.") from None
    except (ValueError, RecursionError) as error:
        raise RuleError(f"{'The scenarios' if is_text else source} can't be read as TOML: {error}.") from None


def _parse(name: str, table: object) -> Scenario:
    place = f"scenario.{name}"
    if isinstance(table, Scenario):
        return table
    if isinstance(table, Sequence):
        table = {"changes": table}
    if not isinstance(table, Mapping):
        raise RuleError(f"{place}: must be a table with changes, got {table!r}.")
    for key in table:
        if key not in ("description", "changes"):
            raise RuleError(f"{place}: no key {key!r}. {hint(key, ['description', 'changes'])}")
    if wrong := misfit(table, {"changes": ["any"], "description": "text"}, place):
        raise RuleError(f"{wrong}.")
    changes = tuple(
        item if isinstance(item, Change) else parse_change(item, f"{place}, change {i}")
        for i, item in enumerate(table.get("changes", ()), 1)
    )
    return Scenario(name, changes, str(table.get("description", "")))


def columns_touched(scenarios: Iterable[Scenario]) -> list[str]:
    """Columns that scenarios choose parts by, so that the outlook keeps them apart.

    >>> columns_touched(load_scenarios({"s": {"changes": [
    ...     {"kind": "volume", "start": "2026-12-01", "factor": 2, "where": {"team": "search"}}]}}))
    ['team']
    """
    found = (name for s in scenarios for change in s.changes for name in (*change.where, *getattr(change, "set", ())))
    return list(dict.fromkeys(found))


def contributions(
    outlook: Outlook, scenario: Scenario, ids: Sequence[str], book: PriceBook | None = None
) -> np.ndarray:
    """How much each change moves the cost, `(changes, series, days)`; over changes it adds up to scenario minus base.

    Up to seven changes, what two changes do together is shared fairly (Shapley value: the mean over all orders of
    leaving changes out); with more, each change is what it adds to those before it.
    """
    count = len(scenario.changes)
    series = list(dict.fromkeys([*ids, *_new_series(scenario, outlook, book, ids)]))

    def cost(chosen: tuple[int, ...]) -> np.ndarray:
        state = outlook
        for i in chosen:
            try:
                state = _step(scenario.changes[i], state, book)[0]
            except RuleError:
                continue  # it acts on what a change left out here would have made
        return state.by_series(series)

    if count > FAIR_UP_TO:
        steps = [cost(tuple(range(i))) for i in range(count + 1)]
        return np.diff(np.array(steps), axis=0)
    known = {chosen: cost(chosen) for size in range(count + 1) for chosen in itertools.combinations(range(count), size)}
    out = np.zeros((count, len(series), len(outlook.days)))
    for i in range(count):
        for chosen, value in known.items():
            if i not in chosen:
                weight = math.factorial(len(chosen)) * math.factorial(count - len(chosen) - 1) / math.factorial(count)
                out[i] += weight * (known[tuple(sorted((*chosen, i)))] - value)
    return out


def _new_series(scenario: Scenario, outlook: Outlook, book: PriceBook | None, ids: Sequence[str]) -> list[str]:
    made = scenario.apply(outlook, book).parts["unique_id"]
    return [name for name in made.unique() if name not in set(ids)]


def compare_scenarios(
    outlook: Outlook, scenarios: Sequence[Scenario], book: PriceBook | None = None, *, places: int = 2
) -> pd.DataFrame:
    """Side by side: the base, each change's part, and each scenario's total over the days forecast.

    Returns:
        `scenario, item, amount, share_of_base`: first the base; then per scenario one row per change and `total`.
        Amounts are exact decimals rounded once; changes plus base add up to the total to the last digit.
    """
    ids = list(outlook.parts["unique_id"].unique())
    base = outlook.by_series(ids).sum()
    base_amount = _amount(base, places)
    rows: list[dict[str, object]] = [{"scenario": "base", "item": "total", "amount": base_amount, "share_of_base": 1.0}]
    for scenario in scenarios:
        parts = contributions(outlook, scenario, ids, book).sum((1, 2)) if scenario.changes else np.zeros(0)
        exact = [Decimal(repr(float(part))) for part in parts]
        amounts = round_to_total(exact, places) if exact else []
        for label, amount in zip(scenario.labels(), amounts, strict=True):
            share = float(amount / base_amount) if base_amount else np.nan
            rows.append({"scenario": scenario.name, "item": label, "amount": amount, "share_of_base": share})
        total = base_amount + sum(amounts, Decimal(0))
        share = float(total / base_amount) if base_amount else np.nan
        rows.append({"scenario": scenario.name, "item": "total", "amount": total, "share_of_base": share})
    return pd.DataFrame(rows)


def _amount(value: float, places: int) -> Decimal:
    return round_to_total([Decimal(repr(float(value)))], places)[0]


def standard_scenarios(outlook: Outlook) -> list[Scenario]:
    """What moves any forecast: a fifth more volume, a fifth off the largest model's price, six tenths of input cached.

    For a plan without scenarios of its own: how sensitive it is, each change from the first day ahead.
    """
    start = outlook.days[0].date()
    out = [Scenario("a fifth more volume", (Volume(start=start, factor=1.2),))]
    cost = outlook.cost.sum(1)
    by_model = {
        name: float(cost[(outlook.parts["model"] == name).to_numpy()].sum()) for name in outlook.parts["model"].unique()
    }
    largest = max((name for name in by_model if name != NONE), key=lambda name: by_model[name], default=None)
    if largest is not None:
        change = PriceChange(start=start, factor=0.8, where={"model": largest})
        out.append(Scenario(f"a fifth off the price of {largest}", (change,)))
    if ((outlook.parts["meter"] == "input").to_numpy() & (outlook.price > 0).any(1)).any():
        change_cache = CacheAdoption(start=start, share=0.6, read_price=0.1)
        out.append(Scenario("six tenths of fresh input cached at a tenth of the price", (change_cache,)))
    return out


def list_prices() -> PriceBook:
    """The bundled list prices, for a scenario that names a model not in use yet."""
    from finops_ai.prices import PriceBook

    return PriceBook.default()


def one_scenario(source: ScenarioLike) -> Scenario:
    """The one scenario that a source holds."""
    found = load_scenarios(source)
    if len(found) != 1:
        names = ", ".join(s.name for s in found) or "none"
        raise SettingsError(f"Give one scenario, got: {names}. Compare several with finops_ai.forecasting.compare.")
    return found[0]
