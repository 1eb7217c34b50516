"""What the same traffic would cost otherwise: other models, caching, batch, provisioned capacity."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa

from finops_ai.engine import price
from finops_ai.engine.conditions import parse_condition
from finops_ai.engine.fields import PUBLISHED, TAG, columns, kind_of_column
from finops_ai.engine.pricing import Book, default_book
from finops_ai.engine.selecting import matching
from finops_ai.errors import FrameError, RuleError, hint
from finops_ai.frames import to_pandas
from finops_ai.frames.types import COST_TYPE, QUANTITY_TYPE
from finops_ai.meters import meters
from finops_ai.money import exact
from finops_ai.tables.grouping import currency_of, dimensions_of, grouped
from finops_ai.tables.result import Facts, Table, safe_ratio

_KEYS = {
    "swap": ("when", "to", "provider", "token_factor", "share"),
    "cache": ("when", "hit_rate", "write_meter"),
    "batch": ("when", "share"),
    "provisioned": ("when", "units", "price_per_hour", "hours", "tokens_per_hour", "output_weight"),
}
_MICRO = Decimal("0.000001")


def what_if(
    priced: pd.DataFrame, scenario: Mapping[str, Any], *, by: Sequence[str] = (), book: Book | None = None
) -> Table:
    """Reprice real traffic under a scenario.

    Args:
        priced: what `fa.price` or `fa.allocate` returns.
        scenario: steps, taken in the order written, each a table or list of tables (a `[scenario.NAME]` of finops.toml):
            `swap` (when, to = model, provider, token_factor for another tokeniser, share of the traffic),
            `cache` (when, hit_rate the input should reach, write_meter billed once per miss if writes cost),
            `batch` (when, share), `provisioned` (when, units, price_per_hour, hours, tokens_per_hour, output_weight).
        by: groups to show; none shows the whole.
        book: price book; the bundled one by default.

    Returns:
        One row per group: `cost` (as priced now), `scenario_cost`, `saving`, one column per step (they add up to minus
        the saving), tokens before and after. For provisioned capacity the notes state utilisation and break-even.

    Raises:
        RuleError: an unknown step or key, an impossible number, a model without a price.

    Example:
        >>> import finops_ai as fa
        >>> cost = fa.allocate(fa.price(fa.sample(months=1)), fa.sample.rules())
        >>> fa.what_if(cost, {"batch": {"when": {"team": "legal"}, "share": "0.5"}})[["cost", "scenario_cost", "saving"]]
        What if
             cost  scenario_cost  saving
        28,393.34      28,185.12  208.22
        ...
    """
    if "effective_cost" not in priced.columns:
        raise FrameError("fa.what_if takes priced rows; call fa.price first.")
    by, book, currency = list(by), default_book(book), currency_of(priced)
    own = [c for c in priced.columns if c not in _PRICED]
    rows = price(priced[own], book)
    totals: list[tuple[str, dict[tuple[Any, ...], Decimal]]] = [("cost", _totals(rows, by))]
    notes: list[str] = []
    first = rows
    for number, (kind, step) in enumerate(_steps(scenario), 1):
        place = f"scenario step {number} ({kind})"
        chosen = _chosen(rows, step.get("when", {}), place)
        rows, said = _APPLY[kind](rows, chosen, step, place, book, currency)
        if kind != "provisioned":
            rows = price(rows[own], book)
            _refuse_unpriced(first, rows, place)
        notes += said
        totals.append((f"{number} {kind}", _totals(rows, by)))
    return _table(by, totals, currency, notes, first, rows)


_PRICED = ("list_cost", "contracted_cost", "effective_cost", "payable_cost", "list_unit_price", "price_id", "price_status", "price_note", "pricing_currency",
           "model_developer", "model_family", "model_version")  # fmt: skip


def _steps(scenario: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    out = []
    for kind, value in scenario.items():
        if kind in ("name", "description"):
            continue
        if kind not in _KEYS:
            raise RuleError(f"scenario: no step {kind!r}. {hint(kind, _KEYS)}")
        for step in value if isinstance(value, list) else [value]:
            if not isinstance(step, Mapping):
                raise RuleError(f"scenario.{kind} must be a table, not {step!r}.")
            for key in step:
                if key not in _KEYS[kind]:
                    raise RuleError(f"scenario.{kind}: no key {key!r}. {hint(key, _KEYS[kind])}")
            out.append((kind, step))
    if any(kind == "provisioned" for kind, _ in out[:-1]):
        raise RuleError("A scenario's `provisioned` step comes last: what it covers is no longer billed by the token.")
    if not out:
        raise RuleError(f"The scenario has no step. Known: {', '.join(_KEYS)}.")
    return out


def _chosen(rows: pd.DataFrame, when: object, place: str) -> pd.Series:
    dims = dimensions_of(rows)

    def kind_of(name: str) -> str | None:
        return "text" if name in dims or name.startswith(TAG) else kind_of_column(name)

    condition = parse_condition(when, f"{place}: when", kind_of=kind_of, known=[*columns(), *dims])
    return pd.Series(matching(rows, condition), index=rows.index)


def _share(step: Mapping[str, Any], key: str, place: str, default: str = "1") -> Decimal:
    try:
        value = exact(step.get(key, default))
    except (ValueError, ArithmeticError):
        value = Decimal(-1)
    if not 0 <= value <= 1:
        raise RuleError(f"{place}: {key} must be a share from 0 to 1, not {step.get(key)!r}.")
    return value


def _number(step: Mapping[str, Any], key: str, place: str, default: str | None = None) -> Decimal:
    try:
        value = exact(step[key] if default is None else step.get(key, default))
    except KeyError:
        raise RuleError(f"{place} needs {key}.") from None
    except (ValueError, ArithmeticError):
        value = Decimal(-1)
    if value <= 0:
        raise RuleError(f"{place}: {key} must be a number above 0, not {step.get(key)!r}.")
    return value


def _scaled(rows: pd.DataFrame, factor: Decimal) -> pd.Series:
    """Quantities times a factor, rounded to the frame's six places."""
    values = [(Decimal(q) * factor).quantize(_MICRO) for q in rows["quantity"]]
    return _column(values, QUANTITY_TYPE, rows.index)


def _divided(rows: pd.DataFrame, share: Decimal) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows as the part that changes and the part that stays; quantities add up exactly."""
    moved = rows.assign(quantity=_scaled(rows, share))
    left = [Decimal(q) - Decimal(m) for q, m in zip(rows["quantity"], moved["quantity"], strict=True)]
    kept = rows.assign(quantity=_column(left, QUANTITY_TYPE, rows.index))
    return moved, kept[[q > 0 for q in left]]


def _swap(
    rows: pd.DataFrame, chosen: pd.Series, step: Mapping[str, Any], place: str, book: Book, currency: str
) -> tuple[pd.DataFrame, list[str]]:
    if "to" not in step:
        raise RuleError(f"{place} needs `to`: the model to use instead.")
    moved, kept = _divided(rows[chosen.to_numpy()], _share(step, "share", place))
    factor = _number(step, "token_factor", place, "1")
    is_token = moved["meter"].map(lambda m: meters()[m].is_token).to_numpy(bool)
    tokens, rest = moved[is_token], moved[~is_token]
    tokens = tokens.assign(
        quantity=_scaled(tokens, factor), slice_input_tokens=_rounded(tokens["slice_input_tokens"], factor)
    )
    swapped = pd.concat([tokens, rest])
    swapped = swapped.assign(model=_text(swapped, "model", str(step["to"])))
    if "provider" in step:
        swapped = swapped.assign(provider=_text(swapped, "provider", str(step["provider"])))
    return pd.concat([rows[~chosen.to_numpy()], kept, swapped]).reset_index(drop=True), []


def _batch(
    rows: pd.DataFrame, chosen: pd.Series, step: Mapping[str, Any], place: str, book: Book, currency: str
) -> tuple[pd.DataFrame, list[str]]:
    eligible = chosen.to_numpy() & (rows["service_tier"] == "standard").to_numpy()
    moved, kept = _divided(rows[eligible], _share(step, "share", place))
    return pd.concat(
        [rows[~eligible], kept, moved.assign(service_tier=_text(moved, "service_tier", "batch"))]
    ).reset_index(drop=True), []


def _cache(
    rows: pd.DataFrame, chosen: pd.Series, step: Mapping[str, Any], place: str, book: Book, currency: str
) -> tuple[pd.DataFrame, list[str]]:
    """Raise each group's cache reads to the hit rate by turning fresh input into reads (and, if asked, writes)."""
    rate = _share(step, "hit_rate", place)
    took = rows[chosen.to_numpy()]
    sums = {
        kind: sum((Decimal(q) for q, m in zip(took["quantity"], took["meter"], strict=True) if m in names), Decimal(0))
        for kind, names in _INPUTS.items()
    }
    whole = sum(sums.values(), Decimal(0))
    missing = rate * whole - sums["read"]
    note = f"Cache hit rate {float(sums['read'] / whole) if whole else 0:.1%} to {float(max(rate, sums['read'] / whole if whole else rate)):.1%}."
    if missing <= 0 or not sums["fresh"]:
        return rows, [note]
    fresh = chosen.to_numpy() & (rows["meter"] == "input").to_numpy()
    moved, kept = _divided(rows[fresh], min(missing / sums["fresh"], Decimal(1)))
    parts = [rows[~fresh], moved.assign(meter=_text(moved, "meter", "cache_read"))]
    if "write_meter" in step:
        name = str(step["write_meter"])
        if name not in meters() or meters()[name].cache_action != "write":
            raise RuleError(
                f"{place}: write_meter {name!r} is no cache write. {hint(name, [m.name for m in meters().values() if m.cache_action == 'write'])}"
            )
        kept = kept.assign(meter=_text(kept, "meter", name))
    return pd.concat([*parts, kept]).reset_index(drop=True), [note]


_INPUTS = {
    "fresh": [m.name for m in meters().values() if m.roll_up == "fresh_input"],
    "read": [m.name for m in meters().values() if m.cache_action == "read"],
    "write": [m.name for m in meters().values() if m.cache_action == "write"],
}


def _provisioned(
    rows: pd.DataFrame, chosen: pd.Series, step: Mapping[str, Any], place: str, book: Book, currency: str
) -> tuple[pd.DataFrame, list[str]]:
    """Replace the chosen traffic's token cost by that of reserved units, and say from which utilisation on it pays."""
    units, per_hour = _number(step, "units", place), _number(step, "price_per_hour", place)
    capacity, weight = _number(step, "tokens_per_hour", place), _number(step, "output_weight", place, "1")
    took = rows[chosen.to_numpy()]
    start, end = took["charge_period_start"].min(), took["charge_period_end"].max()
    span = Decimal(str((end - start).total_seconds())) / 3600 if len(took) else Decimal(0)
    hours = _number(step, "hours", place, str(span or 1))
    fixed = units * per_hour * hours
    used, paid = Decimal(0), Decimal(0)
    for q, m, c in zip(took["quantity"], took["meter"], took["effective_cost"], strict=True):
        if meters()[m].is_token:
            used += Decimal(q) * (weight if meters()[m].direction == "output" else 1)
            paid += Decimal(c) if c is not pd.NA and c is not None else Decimal(0)
    full = units * capacity * hours
    per_token = safe_ratio(paid, used, 18)
    even = fixed / per_token / full if per_token else None
    notes = [
        f"{units} units for {hours:,.0f} hours cost {fixed:,.2f} {currency}; the traffic uses {float(used / full):.1%} of them and costs {paid:,.2f} by the token.",
        f"Break-even at {float(even):.1%} utilisation."
        if even is not None
        else "The traffic has no known price to compare with.",
    ]
    if used > full:
        notes.append("The traffic doesn't fit: what is above capacity would be billed by the token or refused.")
    token = chosen.to_numpy() & rows["meter"].map(lambda m: meters()[m].is_token).to_numpy(bool)
    weights = [
        Decimal(q) * (weight if meters()[m].direction == "output" else 1)
        for q, m in zip(rows[token]["quantity"], rows[token]["meter"], strict=True)
    ]
    whole = sum(weights, Decimal(0))
    shares, given = [], Decimal(0)
    for i, w in enumerate(weights):
        part = fixed - given if i == len(weights) - 1 else (fixed * w / whole).quantize(Decimal(1).scaleb(-18))
        given += part
        shares.append(part)
    cost = rows["effective_cost"].copy()
    cost[token] = _column(shares, COST_TYPE, rows.index[token])
    return rows.assign(effective_cost=cost), notes


_APPLY: dict[str, Callable[..., tuple[pd.DataFrame, list[str]]]] = {
    "swap": _swap,
    "cache": _cache,
    "batch": _batch,
    "provisioned": _provisioned,
}


def _column(values: Sequence[Any], kind: pa.DataType, index: pd.Index) -> pd.Series:
    return pd.Series(pd.arrays.ArrowExtensionArray(pa.array(values, kind)), index=index)


def _text(frame: pd.DataFrame, column: str, value: str) -> pd.Series:
    return pd.Series([value] * len(frame), index=frame.index).astype(frame[column].dtype)


def _rounded(values: pd.Series, factor: Decimal) -> pd.Series:
    out = [None if v is pd.NA or v is None else int((Decimal(int(v)) * factor).to_integral_value()) for v in values]
    return _column(out, pa.int64(), values.index)


def _refuse_unpriced(before: pd.DataFrame, after: pd.DataFrame, place: str) -> None:
    known = set(before.loc[(before["price_status"] == "unpriced").to_numpy(), "model"])
    lost = after[(after["price_status"] == "unpriced").to_numpy() & ~after["model"].isin(list(known)).to_numpy()]
    if len(lost):
        row = lost.iloc[0]
        raise RuleError(
            f"{place}: there is no price for {row['provider']} {row['model']!r}, meter {row['meter']}, tier {row['service_tier']}. Add it to your price file."
        )


def _totals(rows: pd.DataFrame, by: Sequence[str]) -> dict[tuple[Any, ...], Decimal]:
    found = grouped(rows, by, {"cost": "sum(effective_cost)"}, needs=("effective_cost",))
    return {tuple(g[k] for k in by): g["cost"] or Decimal(0) for g in found}


def _table(
    by: list[str], totals: list[Any], currency: str, notes: list[str], first: pd.DataFrame, last: pd.DataFrame
) -> Table:
    keys = sorted(set().union(*(t for _, t in totals)), key=lambda k: (-totals[0][1].get(k, Decimal(0)), str(k)))
    arrays: dict[str, Any] = {
        name: pa.array([None if k[i] is None else str(k[i]) for k in keys], pa.string()) for i, name in enumerate(by)
    }
    value = [[t.get(k, Decimal(0)) for k in keys] for _, t in totals]
    arrays["cost"] = pa.array(value[0], COST_TYPE)
    arrays["scenario_cost"] = pa.array(value[-1], COST_TYPE)
    arrays["saving"] = pa.array([a - b for a, b in zip(value[0], value[-1], strict=True)], COST_TYPE)
    for i, (name, _) in enumerate(totals[1:], 1):
        arrays[name] = pa.array([b - a for a, b in zip(value[i - 1], value[i], strict=True)], COST_TYPE)
    steps = tuple(f"-{name}" for name, _ in totals[1:])
    facts = Facts(
        "What if",
        currency,
        conserves="steps add up to scenario cost minus cost",
        notes=notes,
        money=list(arrays)[len(by) :],
        adds=[("saving", ("cost", "-scenario_cost")), *([("saving", steps)] if steps else [])],
        beside={"scenario_cost": "cost"},  # what a step leaves alone looks alone
        total=True,
    )
    if PUBLISHED in first.columns:
        sums = grouped(first, by, {"cents": f"sum({PUBLISHED})"}, needs=(PUBLISHED,))
        cents = {tuple(g[k] for k in by): g["cents"] or Decimal(0) for g in sums}
        facts.cents["cost"] = [cents.get(k, Decimal(0)) for k in keys]
    whole, unpriced = len(first), int((first["price_status"] == "unpriced").sum())
    facts.coverage = {"priced": 1 - unpriced / whole if whole else None}
    return Table.of(to_pandas(pa.table(arrays)), facts, first)
