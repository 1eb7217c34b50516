"""Why the cost changed: a bridge between any two sets of priced rows whose effects add up to the difference exactly.

The effects are worked out per workload (`finops_ai.tables.workloads`) by the bridge (`finops_ai.tables.bridge`) and added
up, so the effects of the parts of any grouping add up to those of the whole, to the last digit.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa

from finops_ai.engine.fields import PUBLISHED, TAG
from finops_ai.frames import to_pandas
from finops_ai.frames.origin import left_out_of
from finops_ai.frames.types import COST_TYPE
from finops_ai.money import minor_units, written
from finops_ai.tables.bridge import DIGITS, EFFECTS, WORDS, Atom, atoms, price_of
from finops_ai.tables.grouping import grouped
from finops_ai.tables.result import Facts, Table
from finops_ai.tables.workloads import WHO, Workload, check_priced, daily, dimensions_in, money_of, paired, sides

if TYPE_CHECKING:
    from finops_ai.prices.currency import Rates
    from finops_ai.tables.drivers import Story

_ZERO = Decimal(0)
#: cents of many small rows may be this far from their exact sum; more means that they were decided for other costs
_FAR = Decimal(5)
#: columns a bridge can be grouped by straight from its cells: of the workload, of the cell, of the rows' own labels
_CELL: dict[str, Callable[[Atom], Any]] = {
    "provider": lambda a: a.cell.vendor[0], "model": lambda a: a.cell.vendor[1], "service_tier": lambda a: a.cell.tier,
    "region": lambda a: a.cell.place[0], "inference_geo": lambda a: a.cell.place[1], "meter": lambda a: a.cell.meter,
    "unit": lambda a: a.cell.kind.unit, "operation": lambda a: a.work.operation,
}  # fmt: skip
_LABELS = ("sub_account_id", "api_key_id", "prompt_id")


class Explanation(Table):
    """A bridge: one row per group, and who, which model and which prompt did it (`.drivers()`)."""

    _metadata = [*Table._metadata, "_story"]
    _story: Story | None = None

    @property
    def _constructor(self) -> type[Explanation]:
        return Explanation

    def drivers(self, top: int = 5) -> Table:
        """What carries the change: who, from which model to which, with which prompt, since when, how much.

        Args:
            top: how many, largest first.

        Returns:
            One row per driver: `who` (the group, else the first dimension), `what` (switch, version, new, stopped, an
            effect, or `stated_price`, a change of price of which no list price is known), `model_from`, `model_to`, `prompt` (name@version), `key`, `user`, `since` (first day of it; null where it
            came gradually or no day stands out), `amount`, `share` (of the whole change), `sentence` (of the change of that `who`). Amounts are parts of
            the whole change and don't overlap.

        Example:
            >>> import finops_ai as fa
            >>> cost = fa.allocate(fa.price(fa.sample(months=2)), fa.sample.rules())
            >>> in_october = cost["charge_period_start"] >= "2026-10-01"
            >>> print(fa.explain(cost[~in_october], cost[in_october]).drivers(1)["sentence"].iloc[0])
            support moved from claude-haiku-4-5 to claude-sonnet-5 on 25 October with prompt support-answer v5: +1,229.00 of +1,544.46 USD.
        """
        if self._story is None:
            return Table.of(pd.DataFrame(), Facts("What carries the change"))
        with localcontext(prec=DIGITS):
            return self._story.table(top)

    def headline(self, who: str = "The cost") -> str:
        """The change of all rows in one sentence: how much, from what to what, and its largest effects.

        Args:
            who: whose change it is, as the sentence's first words.

        Example:
            >>> import finops_ai as fa
            >>> cost = fa.allocate(fa.price(fa.sample(months=2)), fa.sample.rules())
            >>> in_october = cost["charge_period_start"] >= "2026-10-01"
            >>> fa.explain(cost[~in_october], cost[in_october], by=["team"]).headline()[:75]
            'The cost rose by 1,914.94 USD (7.2%), from 26,478.40 to 28,393.34 USD: +846'
        """
        shown = self.published()
        columns = _columns(self._story.by if self._story else ())
        row = {
            name: sum((v for v in shown[name] if isinstance(v, Decimal)), _ZERO)
            for name in ("before", "after", "change", *columns.values())
            if name in shown
        }
        price = price_of(self._story.atoms) if self._story else "price"
        return _sentence(who, row, columns, self.facts.currency, price)

    def effect_in_words(self, name: str, value: Decimal) -> str:
        """What an effect of the whole means, by its sign and by what is known of its prices."""
        known = self._story is None or name != "price"
        return effect_in_words(name if known else price_of(self._story.atoms), value)  # type: ignore[union-attr]

    def explain(self, top: int = 3) -> str:
        """The bridge in words, and its largest drivers, three unless told."""
        told = [f"- {sentence}" for sentence in self.drivers(top).get("sentence", ())]
        return "\n".join([super().explain(), *(["What carries the change:", *told] if told else [])])


def _folded(columns: Collection[str]) -> list[str]:
    """What a very large month's cube doesn't tell apart, so that its changes count as other changes of the same work."""
    finest = sorted(set(columns) & set(WHO))
    if not finest:
        return []
    return [
        f"Not told apart, because a month has more rows than [engine] cells allows: {', '.join(finest)}. Work that moved "
        "between them counts as volume, length or model."
    ]


def explain(
    before: pd.DataFrame,
    after: pd.DataFrame,
    by: Sequence[str] = (),
    *,
    currency: str | None = None,
    rates: Rates | None = None,
    timezone: str | None = None,
) -> Explanation:
    """Bridge the cost of one set of rows to another's: two months, two weeks, two teams, two regions.

    Args:
        before, after: priced or allocated rows.
        by: groups to explain one by one (any column, dimension or `tags.<key>`); none explains the whole.
        currency: what to tell it in; by default the rows' own, which must then be one.
        rates: exchange rates, where rows are priced in other currencies; their changes are the effect `currency`.
        timezone: whose days `.drivers()` names; by default those the rows were made for.

    Returns:
        One row per group, largest change first: `before`, `after`, `change` and one column per effect in
        `finops_ai.tables.bridge.EFFECTS`, which add up to the change exactly (an effect whose name is also in `by` gets the
        ending `_mix`). Effects of the groups add up to those of the whole; exchanging the periods changes every sign and
        nothing else. `.drivers()` names what carries the change. Rows without a known price are left out and counted in
        the notes, and so are workloads whose calls a period doesn't count: they are compared by tokens.

    Raises:
        FrameError: rows that aren't priced, or a column in `by` that they don't have.
        DataError: several currencies and no rates.

    Example:
        >>> import finops_ai as fa
        >>> cost = fa.allocate(fa.price(fa.sample(months=2)), fa.sample.rules())
        >>> in_october = cost["charge_period_start"] >= "2026-10-01"
        >>> fa.explain(cost[~in_october], cost[in_october])[["before", "after", "change", "volume", "model"]]
        What changed the cost
           before      after    change  volume   model
        26,478.40  28,393.34  1,914.94  846.82  193.40
        ...
    """
    from finops_ai.tables.drivers import Story

    check_priced("fa.explain", before, after)
    by, dimensions = list(by), dimensions_in(before, after)
    extra = [c for c in by if c not in dimensions and c not in _CELL and c not in _LABELS]
    folded = {*left_out_of(before), *left_out_of(after)} - set(by)
    tables = [daily(frame, dimensions, extra, timezone, folded) for frame in (before, after)]
    currency = money_of(tables, currency, rates)
    columns = _columns(by)
    with localcontext(prec=DIGITS):
        whole = _found(tables, dimensions, (), currency, rates)
        parts = whole if not extra else _reconciled(_found(tables, dimensions, extra, currency, rates), whole)
        rows = _rows(parts, by, dimensions, extra, columns)
    names = ["before", "after", "change", *columns.values()]
    arrays: dict[str, Any] = {k: pa.array([None if r[k] is None else str(r[k]) for r in rows], pa.string()) for k in by}
    arrays |= {k: pa.array([r[k] for r in rows], COST_TYPE) for k in names}
    facts = Facts(
        "What changed the cost", currency, conserves="effects add up to after minus before, exactly", money=names,
        notes=[*_folded(folded), *_doubts(tables, whole, currency)],
        total=True,
        adds=[("change", ("after", "-before")), ("change", tuple(columns.values()))],
        cents={} if rates else _cents(rows, by, before, after),
    )  # fmt: skip
    made = Table.of(to_pandas(pa.table(arrays)), facts, before, after)
    amounts = made.published()
    facts.cents = {name: list(amounts[name]) for name in names}  # decided once: a part of the table says the same
    shown: Any = amounts.astype(object).to_dict("records")
    prices = [r["told"] for r in rows]
    facts.notes += in_words(shown, by, currency, columns, prices)
    out = Explanation(made)
    out.facts = Table.of(pd.DataFrame(made), facts, before, after).facts
    change = sum((row["change"] for row in shown), _ZERO)
    out._story = Story(whole, tables, dimensions, by, currency, (before, after), timezone, change)
    return out


def _columns(by: Sequence[str]) -> dict[str, str]:
    """The column of each effect; one that is also a group's has an ending."""
    return {name: f"{name}_mix" if name in by else name for name in EFFECTS}


def _cents(
    rows: Sequence[Mapping[str, Any]], by: Sequence[str], before: pd.DataFrame, after: pd.DataFrame
) -> dict[str, list[Decimal | None]]:
    """What both sides were published as, row by row, where their rows say it."""
    out: dict[str, list[Decimal | None]] = {}
    for name, frame in (("before", before), ("after", after)):
        if PUBLISHED not in frame.columns or any(c not in frame.columns for c in by if not c.startswith(TAG)):
            continue
        found = grouped(frame, by, {"cents": f"sum({PUBLISHED})"}, needs=(PUBLISHED,))
        sums = {tuple(None if g[k] is None else str(g[k]) for k in by): g["cents"] for g in found}
        keys = [tuple(None if r[k] is None else str(r[k]) for k in by) for r in rows]
        out[name] = [sums.get(key) or _ZERO for key in keys]
        if any(abs(cents - row[name]) > _FAR for cents, row in zip(out[name], rows, strict=True)):
            return {}  # costs that were changed since
    return out if len(out) == 2 else {}


def _found(
    tables: Sequence[pa.Table], dimensions: Sequence[str], extra: Sequence[str], currency: str, rates: Rates | None
) -> list[Atom]:
    return atoms(paired(*(sides(t, dimensions, extra, currency, rates) for t in tables)))


def _reconciled(parts: list[Atom], whole: list[Atom]) -> list[Atom]:
    """Parts of workloads by further columns, their effects brought to those of the whole, cell by cell.

    What parts and whole see differently (a mix inside the workload) is spread over the parts by cost: it adds up to 0
    over the effects of a cell, so the change of every part stays as it is.
    """

    def name(atom: Atom) -> tuple[Any, ...]:
        return (atom.work._replace(extra=(), account=None, key=None), atom.cell)

    wanted: dict[tuple[Any, ...], dict[str, Decimal]] = {}
    for atom in whole:
        found = wanted.setdefault(name(atom), {})
        for effect, value in atom.effects.items():
            found[effect] = found.get(effect, _ZERO) + value
    groups: dict[tuple[Any, ...], list[Atom]] = {}
    for atom in parts:
        groups.setdefault(name(atom), []).append(atom)
    for key, group in groups.items():
        gap = dict(wanted.get(key, {}))
        for atom in group:
            for effect, value in atom.effects.items():
                gap[effect] = gap.get(effect, _ZERO) - value
        weights = [abs(a.before) + abs(a.after) for a in group]
        total = sum(weights, _ZERO)
        for effect, value in gap.items():
            if not value or effect == "who":
                continue
            left = value
            for atom, weight in zip(group, weights, strict=True):
                share = (
                    left
                    if atom is group[-1]
                    else (value * weight / total).quantize(Decimal(1).scaleb(-18))
                    if total
                    else _ZERO
                )
                left -= share
                atom.effects[effect] = atom.effects.get(effect, _ZERO) + share
                atom.effects["who"] = atom.effects.get("who", _ZERO) - share
    return parts


def _rows(
    parts: Sequence[Atom],
    by: Sequence[str],
    dimensions: Sequence[str],
    extra: Sequence[str],
    columns: Mapping[str, str],
) -> list[dict[str, Any]]:
    sums: dict[tuple[Any, ...], dict[str, Decimal]] = {}
    cells: dict[tuple[Any, ...], list[Atom]] = {}
    labelled = any(name in _LABELS for name in by)
    for atom in parts:
        for part, label in _by_label(atom) if labelled else [(atom, (None, None, None))]:
            key = tuple(_value(part, name, label, dimensions, extra) for name in by)
            row = sums.setdefault(key, dict.fromkeys(("before", "after", "change", *columns.values()), _ZERO))
            cells.setdefault(key, []).append(part)
            row["before"] += part.before
            row["after"] += part.after
            row["change"] += part.after - part.before
            for effect, value in part.effects.items():
                row[columns[effect]] += value
    if not by and not sums:
        sums[()] = dict.fromkeys(("before", "after", "change", *columns.values()), _ZERO)
    rows: list[dict[str, Any]] = [
        dict(zip(by, key, strict=True)) | row | {"told": price_of(cells.get(key, []))} for key, row in sums.items()
    ]
    return sorted(rows, key=lambda r: (-abs(r["change"]), [str(r[k]) for k in by]))


def _value(atom: Atom, name: str, label: tuple[Any, ...], dimensions: Sequence[str], extra: Sequence[str]) -> Any:
    work: Workload = atom.work
    if name in dimensions:
        return work.dimensions[list(dimensions).index(name)]
    if name in _LABELS:
        return label[_LABELS.index(name)]
    return work.extra[list(extra).index(name)] if name in extra else _CELL[name](atom)


def _by_label(atom: Atom) -> list[tuple[Atom, tuple[Any, ...]]]:
    """One cell by the accounts, keys and prompt versions of its rows.

    What the whole cell says of its effects holds for its versions by their share; that work went from one to another is
    `who`, and adds up to 0.
    """
    if len(atom.labels) == 1:
        return [(atom, next(iter(atom.labels)))]
    out, left = [], dict(atom.effects)
    total = sum((v[2] + v[3] for v in atom.labels.values()), _ZERO)
    for n, (label, (_, _, before, after)) in enumerate(sorted(atom.labels.items(), key=str), 1):
        effects = {}
        for effect, value in atom.effects.items():
            share = (
                left[effect]
                if n == len(atom.labels)
                else (value * (before + after) / total).quantize(Decimal(1).scaleb(-18))
                if total
                else _ZERO
            )
            left[effect] -= share
            effects[effect] = share
        effects["who"] = effects.get("who", _ZERO) + after - before - sum(effects.values(), _ZERO)
        out.append((Atom(atom.work, atom.cell, before, after, effects, listed=atom.listed), label))
    return out


def _doubts(tables: Sequence[pa.Table], whole: Sequence[Atom], currency: str) -> list[str]:
    """What the bridge leaves out or can't tell."""
    out = []
    unpriced = sum(sum(t["unpriced"].to_pylist()) for t in tables)
    if unpriced:
        out.append(f"{unpriced} rows have no known price and are not in the bridge.")
    uncounted = {a.work for a in whole if not a.counted}
    if uncounted:
        cost = sum((a.after - a.before for a in whole if not a.counted), _ZERO)
        what = f"{len(uncounted)} workload{'s' * (len(uncounted) > 1)} ({written(cost, currency, '+')} of the change)"
        out.append(
            f"The calls of {what} aren't counted in both periods: compared by tokens, so longer prompts and answers count as volume."
        )
    joint: dict[tuple[str, ...], Decimal] = {}
    for atom in whole:
        for effects, value in atom.joint.items():
            joint[effects] = joint.get(effects, _ZERO) + value
    for effects, value in joint.items():
        if round(value, minor_units(currency)):
            names = " and ".join([", ".join(effects[:-1]), effects[-1]])
            out.append(
                f"{names.capitalize()} changed together, and no price of one without the other is known: {written(value, currency, '+')} is divided equally "
                "among them."
            )
    stated = [a.effects["price"] for a in whole if not a.listed and a.effects.get("price")]
    if stated:
        out.append(
            f"Of the price's {written(sum(stated, _ZERO), currency, '+')} no list price is known: it is the cost per unit as its source states it, so price "
            "and discount can't be told apart."
        )
    return out


def effect_in_words(name: str, value: Decimal) -> str:
    """What an effect of `finops_ai.tables.bridge.WORDS` means, by its sign.

    >>> effect_in_words("volume", Decimal("-3")), effect_in_words("cache", Decimal(2))
    ('fewer calls', 'less read from a cache')
    """
    return WORDS[name][value < 0]


def in_words(
    rows: Sequence[Mapping[str, Any]], by: Sequence[str], currency: str, columns: Mapping[str, str], prices: Sequence[str],
    top: int = 3,
) -> list[str]:  # fmt: skip
    """The largest changes of published rows as sentences, each with its largest effects; `prices`: what each one's is called."""
    changed = [(row, price) for row, price in zip(rows, prices, strict=True) if row["change"]][:top]
    return [
        _sentence(" / ".join(str(row[k]) for k in by) or "The cost", row, columns, currency, price)
        for row, price in changed
    ]


def _sentence(who: str, row: Mapping[str, Any], columns: Mapping[str, str], currency: str, price: str) -> str:
    """How a published amount changed: by how much, from what to what, by which effects; `price`: what that effect is called."""
    change, before, after = row["change"], row["before"], row["after"]
    if not change:
        return f"{who} stayed at {after:,f} {currency}".rstrip() + "."
    found = [(row[c], s) for s, c in columns.items() if row.get(c)]
    parts = ", ".join(
        f"{value:+,f} by {effect_in_words(price if name == 'price' else name, value)}"
        for value, name in sorted(found, key=lambda x: -abs(x[0]))[:3]
    )
    share = f" ({abs(change) / abs(before):.1%})" if before else ""
    text = f"{who} {'rose' if change > 0 else 'fell'} by {abs(change):,f} {currency}".rstrip()
    return f"{text}{share}, from {before:,f} to {after:,f} {currency}".rstrip() + (f": {parts}." if parts else ".")
