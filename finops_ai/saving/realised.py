"""What an opportunity that was done really saved: the bridge from the month it was found in to a later one.

Only the effects that the action can have count, and only on the work it was about: a new list price is no part of a saving.
Work that grew saves more in money and is no better an action: what a call costs is compared at the calls of the later month,
which is the money saved, and at those of the month it was found in, which is what was expected; each at its own month's
exchange rates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd
import pyarrow as pa

from finops_ai.engine.converting import ROW_COSTS
from finops_ai.frames import to_pandas
from finops_ai.frames.origin import left_out_of
from finops_ai.frames.types import COST_TYPE
from finops_ai.saving.states import State
from finops_ai.saving.workspace import decisions_of
from finops_ai.tables.bridge import DIGITS, EFFECTS, atoms
from finops_ai.tables.result import Facts, Table
from finops_ai.tables.workloads import Side, Workload, daily, dimensions_in, family_of, money_of, paired, sides

if TYPE_CHECKING:
    from finops_ai.workspace import Workspace

#: kind of opportunity -> effects of the bridge that it can have
BY_EFFECT = {
    "capacity": ("idle", "capacity"), "on_demand": ("idle", "capacity", "tier", "discount"), "buy": ("capacity", "tier", "idle", "discount"),
    "model": ("model",), "caching": ("cache",), "cache_off": ("cache",), "batch": ("tier",), "tier": ("tier",),
    "geography": ("place", "model"), "long_context": ("price", "input_length"), "length": ("input_length", "output_length"),
    "failures": ("volume",), "unused": ("fees", "capacity", "other", "who"),
}  # fmt: skip
#: kinds that change what a call costs: they save more where there are more calls
PER_CALL = ("model", "caching", "cache_off", "batch", "tier", "geography", "long_context", "length")
#: of an opportunity's subject, what names its work; the rest says what was to change
_WORK = ("provider", "sub_account_id", "api_key_id", "operation", "prompt")


class Saved(NamedTuple):
    """What an action saved: at the calls of the later month, and at those of the month it was found in."""

    now: Decimal
    as_found: Decimal


def realised_savings(ws: Workspace, month: str) -> Table:
    """What was done, and what it saved in a month against the month it was found in.

    Args:
        ws: the workspace.
        month: a month after it was done.

    Returns:
        One row per opportunity that is done: `id`, `what`, `done` (day), `found_in`, `expected` with its range, `saved` (in the
        month asked for; null where it isn't after the one it was found in, or has no such work), `saved_as_found` (the same at
        the calls of the month it was found in), `inside` (whether that is within the range).
    """
    rows: list[dict[str, Any]] = []
    done = {id: s for id, s in decisions_of(ws).states().items() if s.state == "done" and s.about}
    frames: dict[str, pd.DataFrame] = {}
    for id, state in done.items():
        found_in = str(state.about["month"])
        for name in (found_in, month):
            if name not in frames:
                frames[name] = ws.cube(name)
        saved = None
        if month > found_in:
            saved = saved_between(frames[found_in], frames[month], state.about, ws.timezone)
        rows.append({"id": id, "state": state, "saved": saved, "found_in": found_in})
    return _table(rows, month, frames)


def saved_between(
    before: pd.DataFrame, after: pd.DataFrame, about: Mapping[str, Any], timezone: str | None = None
) -> Saved | None:
    """What an action saved on its work from one set of rows to another; None where one of them has no such work.

    Args:
        before, after: allocated rows.
        about: `kind` and `subject` of the opportunity.
        timezone: whose days.
    """
    subject, kind = dict(about["subject"]), str(about["kind"])
    then, now = (_of(frame, subject, kind) for frame in (before, after))
    if not len(then) or not len(now):
        return None
    return Saved(
        _between(_at_rates_of(then, now), now, kind, timezone, as_found=False),
        _between(then, _at_rates_of(now, then), kind, timezone, as_found=True),
    )


def _between(then: pd.DataFrame, now: pd.DataFrame, kind: str, timezone: str | None, *, as_found: bool) -> Decimal:
    """What the action's effects come to at the calls of now, or at those of then."""
    dimensions = dimensions_in(then, now)
    folded = {*left_out_of(then), *left_out_of(now)}
    tables = [daily(frame, dimensions, [], timezone, folded) for frame in (then, now)]
    currency = money_of(tables, None, None)
    with localcontext(prec=DIGITS):
        pairs = paired(*(sides(table, dimensions, [], currency, None) for table in tables))
        grown = [(work, a, b, _growth(a, b, kind)) for work, a, b in pairs]
        return _saved(
            [(work, a, b.grown(1 / by)) if as_found else (work, a.grown(by), b) for work, a, b, by in grown], kind
        )


def _at_rates_of(frame: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """The rows with their amounts at the exchange rates of other rows, by currency: a new rate is no part of a saving."""
    if not {"native_currency", "exchange_rate"} <= {*frame.columns} & {*other.columns}:
        return frame
    rates = {}
    told = other[["native_currency", "exchange_rate", "effective_cost"]].dropna()
    for currency, rows in told.groupby("native_currency"):
        native = [Decimal(c) / Decimal(r) for c, r in zip(rows["effective_cost"], rows["exchange_rate"], strict=True)]
        if whole := sum(native):
            rates[currency] = sum(map(Decimal, rows["effective_cost"])) / whole
    out = frame.copy(deep=False)
    for name in (c for c in ROW_COSTS if c in frame.columns):
        values = zip(*(frame[c].astype(object) for c in (name, "native_currency", "exchange_rate")), strict=True)
        turned = [_turned(v, rates.get(c), r) for v, c, r in values]
        out[name] = to_pandas(pa.table({name: pa.array(turned, COST_TYPE, from_pandas=True)}))[name].array
    return out


def _turned(value: Any, rate: Decimal | None, own: Any) -> Any:
    """An amount at another rate than its own; unknown where it is, as it is where no other rate is known."""
    if rate is None or value is None or value is pd.NA:
        return value
    return (Decimal(value) * rate / Decimal(own)).quantize(Decimal(1).scaleb(-COST_TYPE.scale))


def _growth(then: Side, now: Side, kind: str) -> Decimal:
    """How many times as often the work was called; by its tokens where calls aren't counted and the action leaves tokens alone."""
    if kind not in PER_CALL or not then.cells or not now.cells:
        return Decimal(1)
    if then.counted and now.counted:
        one, other = (sum(side.calls.values(), Decimal(0)) for side in (then, now))
    elif kind == "length":
        return Decimal(1)
    else:
        one, other = (
            sum((a.quantity for c, a in side.cells.items() if c.kind.is_token), Decimal(0)) for side in (then, now)
        )
    return other / one if one and other else Decimal(1)


def _saved(pairs: Sequence[tuple[Workload, Side, Side]], kind: str) -> Decimal:
    effects = BY_EFFECT.get(kind, tuple(EFFECTS))
    return -sum((atom.effects.get(name, Decimal(0)) for atom in atoms(pairs) for name in effects), Decimal(0))


def _of(frame: pd.DataFrame, subject: Mapping[str, str], kind: str) -> pd.DataFrame:
    """The rows of an opportunity's work: those that agree with its subject in everything that names work."""
    wanted = {
        k: v for k, v in subject.items() if k in _WORK or (k in frame.columns and k not in ("model", "service_tier"))
    }
    if kind in (
        "capacity",
        "on_demand",
        "buy",
    ):  # all that is bought or called of the provider's model, however it is paid
        wanted = {k: v for k, v in subject.items() if k in ("provider", "model")}
    held = pd.Series(True, index=frame.index)
    for name, value in wanted.items():
        if name == "prompt":
            held &= (frame["prompt_id"].map(family_of, na_action="ignore") == value).fillna(False).to_numpy(bool)
        elif name in frame.columns:
            held &= (frame[name] == value).fillna(False).to_numpy(bool)
    found = frame[held.to_numpy(bool)]
    found.attrs = dict(frame.attrs)
    return found


def _table(rows: list[dict[str, Any]], month: str, frames: Mapping[str, pd.DataFrame]) -> Table:
    from finops_ai.tables.grouping import currency_of

    states: list[State] = [r["state"] for r in rows]
    arrays: dict[str, Any] = {
        "id": pa.array([r["id"] for r in rows], pa.string()),
        "what": pa.array([str(s.about.get("what", "")) for s in states], pa.string()),
        "done": pa.array([s.at.date() if s.at else None for s in states], pa.date32()),
        "found_in": pa.array([r["found_in"] for r in rows], pa.string()),
    }
    amounts = {name: [Decimal(str(s.about[key])) for s in states] for name, key in
               (("expected", "saving"), ("expected_low", "saving_low"), ("expected_high", "saving_high"))}  # fmt: skip
    arrays |= {name: pa.array(values, COST_TYPE) for name, values in amounts.items()}
    saved: list[Saved | None] = [r["saved"] for r in rows]
    arrays["saved"] = pa.array([one and one.now for one in saved], COST_TYPE)
    as_found = [one and one.as_found for one in saved]
    arrays["saved_as_found"] = pa.array(as_found, COST_TYPE)
    ranges = zip(as_found, amounts["expected_low"], amounts["expected_high"], strict=True)
    arrays["inside"] = pa.array([None if s is None else low <= s <= high for s, low, high in ranges], pa.bool_())
    currency = currency_of(frames[month]) if month in frames else ""
    facts = Facts(
        "What was saved", currency, month, money=["expected", "expected_low", "expected_high", "saved", "saved_as_found"],
        notes=[
            "Saved is what the bridge gives to the effects the action can have, on its own work at the month's own calls: not new list "
            "prices or exchange rates. Expected holds for the calls of the month it was found in, and so does saved_as_found, which the range is held against."
        ],
    )  # fmt: skip
    return Table.of(to_pandas(pa.table(arrays)), facts)
