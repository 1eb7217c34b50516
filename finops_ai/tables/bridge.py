"""The bridge: what changed a workload's cost between two periods, as effects that add up exactly.

Per workload and class of use (prompt tokens, answer tokens, reasoning tokens, each other unit), cost is

    calls x amount per call x list price of the cell x discount x exchange rate

Amounts move between cells: those of the later period are matched to those of the earlier one, first within the same cell,
then to cells that differ in one thing (meter, place, tier, model), then in more. A matched amount is priced before and
after, and each thing that differs gets its Shapley value: its effect averaged over all orders in which the things could
have changed. So neither the order of effects nor that of the periods matters, and nothing is left over. Where every part
grew, or every part shrank, nothing has moved: each part is compared with itself, and so is one called as often as before.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from functools import cache
from math import factorial
from typing import Any

from finops_ai.tables.workloads import Amount, Cell, Side, Workload, is_capacity, is_idle, is_seat

#: effects in the order they are shown: what raises cost, and what lowers it
EFFECTS = {
    "who": ("new work", "work that stopped"),
    "volume": ("more calls", "fewer calls"),
    "input_length": ("longer prompts", "shorter prompts"),
    "output_length": ("longer answers", "shorter answers"),
    "reasoning": ("more reasoning per call", "less reasoning per call"),
    "model": ("dearer models", "cheaper models"),
    "cache": ("less read from a cache", "more read from a cache"),
    "tier": ("less batch and other cheaper tiers", "more batch and other cheaper tiers"),
    "place": ("dearer regions", "cheaper regions"),
    "price": ("higher list prices", "lower list prices"),
    "discount": ("smaller discounts and commitments", "larger discounts and commitments"),
    "capacity": ("more reserved capacity in use", "less reserved capacity in use"),
    "idle": ("more idle capacity", "less idle capacity"),
    "seats": ("more seats, or held for longer", "fewer seats, or held for shorter"),
    "currency": ("a dearer currency", "a cheaper currency"),
    "fees": ("more fees", "fewer fees"),
    "other": ("more of other units per call, such as characters, images or searches",
              "less of other units per call, such as characters, images or searches"),
}  # fmt: skip
#: how effects are told: a change of price of which no list price is known may be a discount's as well
WORDS = EFFECTS | {"stated_price": ("a higher cost per unit, as stated", "a lower cost per unit, as stated")}
#: digits that amounts are added and multiplied with, so that nothing is lost before it is rounded to 18 places
DIGITS = 60
_ZERO, _PLACES = Decimal(0), Decimal(1).scaleb(-18)
_PARTS = ("vendor", "tier", "place", "meter")
_LENGTHS = {"input": "input_length", "output": "output_length", "reasoning": "reasoning"}
#: which differences are matched, nearest first
_MASKS = sorted(
    (frozenset(m) for n in range(5) for m in itertools.combinations(_PARTS, n)),
    key=lambda m: (len(m), [-_PARTS.index(p) for p in sorted(m, key=_PARTS.index, reverse=True)]),
)


@dataclass
class Atom:
    """One cell of one workload: cost before and after, and what changed it. Effects add up to after minus before."""

    work: Workload
    cell: Cell
    before: Decimal
    after: Decimal
    effects: dict[str, Decimal]
    #: account, key and prompt as the rows name them -> (quantity before, after, cost before, after)
    labels: dict[tuple[Any, ...], list[Decimal]] = field(default_factory=dict)
    counted: bool = True
    #: whether list prices are known, so that price and discount are told apart
    listed: bool = True
    #: effects that came together, no price being known of one without the other -> what is divided equally among them
    joint: dict[tuple[str, ...], Decimal] = field(default_factory=dict)


@dataclass
class _Rate:
    """What one unit of a cell costs on one side: list price as priced, part of it that is paid, exchange rate."""

    price: Decimal
    paid: Decimal = Decimal(1)
    exchange: Decimal = Decimal(1)


def price_of(found: Sequence[Atom]) -> str:
    """What `WORDS` calls the price effect of some cells: by list prices, or by the stated cost where most of it has none."""
    sums = {True: _ZERO, False: _ZERO}
    for atom in found:
        sums[atom.listed] += abs(atom.effects.get("price", _ZERO))
    return "stated_price" if sums[False] > sums[True] else "price"


def atoms(pairs: Sequence[tuple[Workload, Side, Side]]) -> list[Atom]:
    """The effects of every workload's cells, exact to 18 decimals."""
    with localcontext(prec=DIGITS):
        known = _known(pairs)
        shared = set.intersection(*({w.dimensions for w, *both in pairs if both[i].cells} for i in (0, 1)))
        return [atom for pair in pairs for atom in _atoms(*pair, known, pair[0].dimensions in shared)]


@dataclass
class _Known:
    """List prices over all workloads: what a cell that a workload lacks would cost, and how its price changed."""

    mean: dict[Cell, Decimal]
    change: dict[Any, Decimal]


def _known(pairs: Sequence[tuple[Workload, Side, Side]]) -> _Known:
    """A change of price is known where all workloads that have the cell, or its model and meter, in both periods saw the same."""
    sums: dict[Cell, list[Decimal]] = {}
    changes: dict[Any, list[Decimal]] = {}
    for _, *both in pairs:
        units: dict[Cell, list[Decimal]] = {}
        for side in both:
            for cell, a in side.cells.items():
                if a.quantity and a.listed:
                    had = sums.setdefault(cell, [_ZERO, _ZERO])
                    had[0] += a.listed
                    had[1] += a.quantity
                    units.setdefault(cell, []).append(a.listed / a.quantity)
        for cell, prices in units.items():
            if len(prices) == 2:
                for name in (cell, (cell.vendor, cell.meter)):
                    changes.setdefault(name, []).append(prices[1] / prices[0])
    known = {name: found[0] for name, found in changes.items() if max(found) / min(found) - 1 < Decimal("1e-9")}
    return _Known({cell: cost / quantity for cell, (cost, quantity) in sums.items()}, known)


def _atoms(work: Workload, a: Side, b: Side, known: _Known, stays: bool) -> list[Atom]:
    """One workload's cells; `stays`: whether both periods know its dimensions, if not the workload itself."""
    effects: dict[Cell, dict[str, Decimal]] = {cell: {} for cell in a.cells.keys() | b.cells.keys()}
    unlisted: set[Cell] = set()
    joint: dict[Cell, dict[tuple[str, ...], Decimal]] = {}
    counted = (a.counted and b.counted) or all(is_capacity(c) or is_seat(c) or _is_fee(c, a, b) for c in effects)
    if not a.cells or not b.cells:
        counted = True
        for cell, found in effects.items():
            name = (
                "fees"
                if _is_fee(cell, a, b)
                else "idle"
                if is_idle(work)
                else "seats"
                if is_seat(cell)
                else "capacity"
                if is_capacity(cell) and stays
                else "who"
            )
            found[name] = _cost(b, cell) - _cost(a, cell)
    else:
        unit = _Unit(work, a, b, known, effects)
        for groups in _units(a, b, counted):
            unit.explain(groups, counted)
        unlisted, joint = unit.unlisted, unit.joint
    out = []
    for cell in sorted(effects, key=str):
        before, after = _cost(a, cell), _cost(b, cell)
        atom = Atom(work, cell, before, after, _rounded(effects[cell], after - before), counted=counted)
        atom.listed, atom.joint = cell not in unlisted, joint.get(cell, {})
        for side, place in ((a, 0), (b, 1)):
            for label, (quantity, cost) in side.cells[cell].labels.items() if cell in side.cells else ():
                sums = atom.labels.setdefault(label, [_ZERO] * 4)
                sums[place] += quantity
                sums[place + 2] += cost
        out.append(atom)
    return out


def _cost(side: Side, cell: Cell) -> Decimal:
    return side.cells[cell].cost if cell in side.cells else _ZERO


def _is_fee(cell: Cell, a: Side, b: Side) -> bool:
    """Money without a quantity, or that no meter counts."""
    return cell.meter == "unmapped" or not any(cell in s.cells and s.cells[cell].quantity for s in (a, b))


def _rounded(effects: Mapping[str, Decimal], change: Decimal) -> dict[str, Decimal]:
    """Effects to 18 decimals; what rounding leaves goes to the largest, so that they add up to the change."""
    out = {name: value.quantize(_PLACES) for name, value in effects.items()}
    rest = change - sum(out.values(), _ZERO)
    if rest:
        name = max(EFFECTS, key=lambda n: abs(out.get(n, _ZERO)))
        out[name] = out.get(name, _ZERO) + rest
    return {name: value for name, value in out.items() if value}


def _units(a: Side, b: Side, counted: bool) -> list[tuple[set[Any], Callable[[Cell], Any]]]:
    """The parts of a workload that are compared: one by one its models and tiers that were called as often as before, or all
    of them where all grew or all shrank; together those between which calls moved."""

    def whole(cell: Cell) -> Any:
        return cell._replace(meter="")

    def volumes(side: Side, group: Callable[[Cell], Any]) -> dict[Any, Decimal]:
        sums: dict[Any, Decimal] = {}
        for cell, n in (
            side.calls.items() if counted else ((c, x.quantity) for c, x in side.cells.items() if c.kind.is_token)
        ):
            sums[group(cell)] = sums.get(group(cell), _ZERO) + n
        return sums

    def all_counted(side: Side) -> bool:
        return {whole(c) for c, x in side.cells.items() if c.kind.is_token and x.quantity} <= set(side.calls)

    group = whole if not counted or (all_counted(a) and all_counted(b)) else (lambda cell: cell.vendor)
    one, two = volumes(a, group), volumes(b, group)
    moves = {g: two.get(g, _ZERO) - one.get(g, _ZERO) for g in one.keys() | two.keys()}
    names = {group(c) for c in a.cells.keys() | b.cells.keys()}
    if all(m >= 0 for m in moves.values()) or all(m <= 0 for m in moves.values()):
        alone = names
    else:
        alone = {g for g, move in moves.items() if not move}
    rest = [(names - alone, group)] if names - alone else []
    return [*(({g}, group) for g in sorted(alone, key=str)), *rest]


class _Unit:
    """One workload's comparison; writes what it finds into `effects`."""

    def __init__(
        self, work: Workload, a: Side, b: Side, known: _Known, effects: dict[Cell, dict[str, Decimal]]
    ) -> None:
        self.work, self.sides, self.known, self.effects = work, (a, b), known, effects
        self.rates: tuple[dict[Cell, _Rate], dict[Cell, _Rate]] = ({}, {})
        self.unlisted: set[Cell] = set()
        self.joint: dict[Cell, dict[tuple[str, ...], Decimal]] = {}
        for cell in effects:
            self._rate(cell, a.cells.get(cell), b.cells.get(cell))

    def _rate(self, cell: Cell, *amounts: Amount | None) -> None:
        used = [x for x in amounts if x is not None and x.quantity]
        listed = (
            bool(used)
            and all(x.listed or (x.listed is not None and not x.cost) for x in used)
            and any(x.listed for x in used)
        )
        if not listed:
            self.unlisted.add(cell)
        one_money = len({x.currency for x in used}) == 1 and None not in {x.currency for x in used}
        for place, x in zip(self.rates, amounts, strict=True):
            if x is None or not x.quantity:
                continue
            exchange = x.cost / x.local if one_money and x.local else Decimal(1)
            price = (x.listed or _ZERO) if listed else x.cost
            paid = x.cost / price if listed and price else Decimal(1)
            place[cell] = _Rate(price / x.quantity / exchange, paid, exchange)
        (old, new), changes = self.rates, self.known.change
        change = changes.get(cell, changes.get((cell.vendor, cell.meter)))
        if (
            change is not None and listed and (cell in old) != (cell in new)
        ):  # others show what it cost in the other period
            if cell in new:
                old[cell] = _Rate(new[cell].price / change, new[cell].paid, new[cell].exchange)
            else:
                new[cell] = _Rate(old[cell].price * change, old[cell].paid, old[cell].exchange)

    def add(self, cell: Cell, effect: str, value: Decimal) -> None:
        if value:
            found = self.effects[cell]
            found[effect] = found.get(effect, _ZERO) + value

    def explain(self, groups: tuple[set[Any], Callable[[Cell], Any]], counted: bool) -> None:
        names, group = groups
        a, b = self.sides
        cells = [c for c in self.effects if group(c) in names]
        calls = [Decimal(1), Decimal(1)]
        if counted:
            calls = [sum((n for g, n in s.calls.items() if group(g) in names), _ZERO) for s in self.sides]
        streams: dict[str, list[Cell]] = {}
        for cell in cells:
            streams.setdefault(_stream(cell, a, b), []).append(cell)
        for stream in sorted(streams):
            mine = sorted(streams[stream], key=str)
            if stream == "fees":
                for cell in mine:
                    self.add(cell, stream, _cost(b, cell) - _cost(a, cell))
            elif stream in ("capacity", "seats"):
                for cell in mine:
                    self._flow(cell, cell, "idle" if is_idle(self.work) else stream, [Decimal(1)] * 2,
                               [s.cells[cell].quantity if cell in s.cells else _ZERO for s in self.sides])  # fmt: skip
            elif not all(calls):  # this part is new within the workload, or gone
                for cell in mine:
                    self.add(cell, "volume", _cost(b, cell) - _cost(a, cell))
            else:
                effect = _LENGTHS.get(stream, "other") if counted else "volume"
                for one, two, *amounts in self._matched(mine, calls):
                    self._flow(one, two, effect, calls, amounts)

    def _matched(self, cells: Sequence[Cell], calls: Sequence[Decimal]) -> list[tuple[Cell, Cell, Decimal, Decimal]]:
        """Amounts per call that came from one cell and are now in another: (from, to, before, after)."""
        old, new = ({c: s.cells[c].quantity for c in cells if c in s.cells and s.cells[c].quantity} for s in self.sides)
        at = {c: (old.get(c, _ZERO) / calls[0], new.get(c, _ZERO) / calls[1]) for c in cells}
        crossed = [(new.get(c, _ZERO) * calls[0]) - (old.get(c, _ZERO) * calls[1]) for c in cells]
        if not old or not new or all(x >= 0 for x in crossed) or all(x <= 0 for x in crossed):
            return [(c, c, *at[c]) for c in cells if c in old or c in new]
        sums = [sum((v[i] for v in at.values()), _ZERO) for i in (0, 1)]
        left = [{c: v[i] / sums[i] for c, v in at.items() if v[i]} for i in (0, 1)]
        flows: dict[tuple[Cell, Cell], Decimal] = {}
        for mask in _MASKS:
            groups: dict[Any, tuple[list[Cell], list[Cell]]] = {}
            for i in (0, 1):
                for cell in left[i]:
                    name = tuple(getattr(cell, part) for part in _PARTS if part not in mask)
                    groups.setdefault(name, ([], []))[i].append(cell)
            for come, go in groups.values():
                supply, demand = (sum((left[i][c] for c in g), _ZERO) for i, g in ((0, come), (1, go)))
                if not supply or not demand:
                    continue
                most = max(supply, demand)
                parts = {(i, j): left[0][i] * left[1][j] / most for i in come for j in go}
                for (one, two), part in parts.items():
                    flows[one, two] = flows.get((one, two), _ZERO) + part
                    left[0][one] -= part
                    left[1][two] -= part
            for i in (0, 1):  # below what 60 digits can tell
                left[i] = {c: v for c, v in left[i].items() if v > Decimal("1e-40")}
        return [(i, j, part * sums[0], part * sums[1]) for (i, j), part in flows.items()]

    def _flow(self, one: Cell, two: Cell, length: str, calls: Sequence[Decimal], amounts: Sequence[Decimal]) -> None:
        """Explain one matched amount and give each of its two cells its half."""
        parts = [p for p in _PARTS if getattr(one, p) != getattr(two, p)]
        factors: list[tuple[str, ...]] = []
        if calls[0] != calls[1]:
            factors.append(("volume",))
        if amounts[0] != amounts[1]:
            factors.append((length,))
        mixed = self._hybrids(one, two, parts)
        factors += [(p,) for p in parts] if mixed is not None else [tuple(parts)]
        rates = {cell: self._both(cell) for cell in (mixed or {}).values()} | {c: self._both(c) for c in (one, two)}
        for name, attribute in (("price", "price"), ("discount", "paid"), ("currency", "exchange")):
            if any(getattr(x, attribute) != getattr(y, attribute) for x, y in rates.values()):
                factors.append((name,))

        def value(on: frozenset[int]) -> Decimal:
            changed = {name for i in on for name in factors[i]}
            cell = two if changed.issuperset(parts) else one
            if mixed is not None:
                cell = mixed[frozenset(p for p in parts if p in changed)]
            sides = rates[cell]
            unit = (
                sides["price" in changed].price
                * sides["discount" in changed].paid
                * sides["currency" in changed].exchange
            )
            return calls["volume" in changed] * amounts[length in changed] * unit

        found = shapley(len(factors), value)
        start, end = value(frozenset()), value(frozenset(range(len(factors))))
        moved = [n for n, f in enumerate(factors) if f[0] in _PARTS]
        rest = sum((found[n] for n in range(len(factors)) if n not in moved), _ZERO)
        for n, names in enumerate(factors):
            if n not in moved:
                for cell in (one, two):
                    self.add(cell, names[0], found[n] / 2)
                continue
            for cell, own in ((one, -start), (two, end)):
                extra = (own - rest / 2 - (end - start - rest) / 2) / len(moved)
                effects = [_effect_of(name, one, two) for name in names]
                for effect in effects:
                    self.add(cell, effect, (found[n] / 2 + extra) / len(names))
                if len(set(effects)) > 1:
                    sums = self.joint.setdefault(cell, {})
                    place = tuple(dict.fromkeys(effects))
                    sums[place] = sums.get(place, _ZERO) + found[n] / 2 + extra

    def _both(self, cell: Cell) -> tuple[_Rate, _Rate]:
        """A cell's rates before and after; where one period lacks it, those of the other."""
        a, b = (rates.get(cell) for rates in self.rates)
        found = a or b
        if found is None:
            found = _Rate(self.known.mean[cell])
        return a or found, b or found

    def _hybrids(self, one: Cell, two: Cell, parts: Sequence[str]) -> dict[frozenset[str], Cell] | None:
        """The cells between two that differ in several things; None where one of them has no known price."""
        cells = {}
        for n in range(len(parts) + 1):
            for chosen in itertools.combinations(parts, n):
                cell = one._replace(**{p: getattr(two, p) for p in chosen})
                if cell not in self.rates[0] and cell not in self.rates[1] and cell not in self.known.mean:
                    return None
                cells[frozenset(chosen)] = cell
        return cells


def _stream(cell: Cell, a: Side, b: Side) -> str:
    """The class of use a cell's amounts belong to; amounts move within a class only."""
    kind = cell.kind
    if _is_fee(cell, a, b):
        return "fees"
    if is_capacity(cell) or is_seat(cell):
        return "seats" if is_seat(cell) else "capacity"
    if cell.meter == "reasoning":
        return "reasoning"
    return kind.direction if kind.is_token else f"{kind.unit} {kind.direction}"


def _effect_of(part: str, one: Cell, two: Cell) -> str:
    if part == "vendor":
        return "model"
    if part == "meter":
        return (
            "cache"
            if (one.kind.cache_action, one.kind.cache_ttl) != (two.kind.cache_action, two.kind.cache_ttl)
            else "other"
        )
    return part


def shapley(count: int, value: Callable[[frozenset[int]], Decimal]) -> list[Decimal]:
    """What each of some changes contributes to a value: its effect averaged over all orders they could come in.

    >>> shapley(2, lambda on: Decimal(2 if 0 in on else 1) * (5 if 1 in on else 3))
    [Decimal('4'), Decimal('3')]
    """
    values = {on: value(on) for on in _subsets(count)}
    sums = (sum(((values[after] - values[on]) * n for on, after, n in steps), _ZERO) for steps in _orders(count))
    return [total / factorial(count) for total in sums]


@cache
def _orders(count: int) -> tuple[tuple[tuple[frozenset[int], frozenset[int], int], ...], ...]:
    """For each change: what came before it, that with it, and in how many orders so."""
    return tuple(
        tuple(
            (on, on | {i}, factorial(len(on)) * factorial(count - len(on) - 1)) for on in _subsets(count) if i not in on
        )
        for i in range(count)
    )


@cache
def _subsets(count: int) -> tuple[frozenset[int], ...]:
    return tuple(frozenset(s) for n in range(count + 1) for s in itertools.combinations(range(count), n))
