"""Map priced rows to the business and prove that no cost appeared or vanished on the way."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from finops_ai.engine.cents import with_cents
from finops_ai.engine.classes import Classes, by_class, fields_for, local_days
from finops_ai.engine.coded import Coder, batches, instants
from finops_ai.engine.duck import ROW, Scan, connect, offsets_of
from finops_ai.engine.fields import PAYABLE, columns
from finops_ai.engine.plan import COSTS, Plan
from finops_ai.engine.pricing import attach, run
from finops_ai.engine.rules import Rules
from finops_ai.errors import CheckFailed, FrameError
from finops_ai.frames.origin import is_charged, made_with, zone_of

#: what a total is never allowed to change within
CONSERVED_BY = ("provider", "billing_account_id", "pricing_currency", "month")
SHARE_TYPE = pa.decimal128(13, 12)


def allocate(
    priced: pd.DataFrame,
    rules: Rules | Mapping[str, Any] | str | Path,
    *,
    telemetry: pd.DataFrame | None = None,
    timezone: str | None = None,
) -> pd.DataFrame:
    """Add one column per dimension, the deciding `rule` and the row's `share`.

    Rows that a shared-cost entry splits appear once per receiver, with their part of quantity and costs; the parts of a
    row add up to the row exactly, to the last decimal. Rows divided before keep their owner, so that allocating twice
    changes nothing; start from the priced rows to divide anew.

    Args:
        priced: what `fa.price` returns (a token frame without costs is mapped too).
        rules: mapping rules: `Rules`, their dict form, or a TOML file such as finops.toml.
        telemetry: for shared costs split by telemetry: a frame with the receivers' requests or tokens.
        timezone: reporting zone: look-ups are valid on its days, shared costs divided within its months and days. By
            default that of the finops.toml the rules are from, else the one the rows were made for, else UTC.

    Returns:
        The rows with dimensions as text, `rule` (names of the rules that set them, "default" if none) and `share`
        (decimal128(13,12), 1 for whole rows).

    Raises:
        RuleError: the rules can't be used; names rule, key and value.
        CheckFailed: cost is not conserved per provider, billing account, currency and month.
        FrameError: the frame is no token frame.

    Example:
        >>> import finops_ai as fa
        >>> rules = {
        ...     "dimensions": {"team": {"default": "unallocated"}},
        ...     "rules": [{"name": "legal", "when": {"sub_account_id": "wrkspc_legal"}, "set": {"team": "legal"}}],
        ... }
        >>> fa.allocate(fa.price(fa.sample(months=1)), rules)["team"].value_counts().to_dict()
        {'unallocated': 4753, 'legal': 155, 'idle': 31}
    """
    rules = Rules.load(rules)
    timezone = zone_of(priced, timezone=timezone or rules.timezone)
    if rules.shared and {"share", "rule", *rules.dimensions} <= set(priced.columns):
        divided = _divided(priced, rules)
        if divided.any():
            return _allocate_rest(priced, divided, rules, telemetry, timezone)
    mapped = map_rows(priced, rules, timezone)
    if rules.shared:
        from finops_ai.engine.splitting import split_shared

        mapped = split_shared(mapped, rules, telemetry, timezone=timezone)
        check_conserved(priced, mapped, "allocate")
    mapped = with_cents(mapped, rules.dimensions, timezone, finest=not is_charged(priced))
    return made_with(mapped, priced, rules=rules.version, timezone=timezone, **rules.nature())


def _divided(allocated: pd.DataFrame, rules: Rules) -> np.ndarray:
    """Which rows a shared cost has given to somebody, in part or whole."""
    parts = (allocated["share"] != Decimal(1)).to_numpy(bool, na_value=False)
    ends = tuple(f" + {entry.name}" for entry in rules.shared)
    out: np.ndarray = parts | np.array(
        [isinstance(rule, str) and rule.endswith(ends) for rule in allocated["rule"]], bool
    )
    return out


def _allocate_rest(
    priced: pd.DataFrame, divided: np.ndarray, rules: Rules, telemetry: pd.DataFrame | None, timezone: str
) -> pd.DataFrame:
    """Allocate the rows that aren't divided yet; each stays in its place unless it is divided now."""
    rest = allocate(priced[~divided], rules, telemetry=telemetry, timezone=timezone)
    both = pd.concat([rest, priced[divided][list(rest.columns)]], ignore_index=True)
    if len(both) == len(priced):
        places = np.concatenate([np.flatnonzero(~divided), np.flatnonzero(divided)])
        both = both.iloc[np.argsort(places)].reset_index(drop=True)
    return made_with(both, rest)


def map_rows(priced: pd.DataFrame, rules: Rules, timezone: str = "UTC") -> pd.DataFrame:
    """Rows with their dimensions and `rule`, one for one, before shared costs are split."""
    if "charge_period_start" not in priced.columns:
        raise FrameError("fa.allocate takes a priced token frame (what fa.price returns).")
    taken = [d for d in rules.dimensions if d in priced.columns]
    frame = priced.drop(columns=taken)
    offsets = offsets_of(frame["charge_period_start"], timezone)
    if by_class(rules, rules.dimensions):
        added = _mapped_by_class(frame, rules, offsets)
    else:
        with connect() as con:
            fields = [*rules.used_fields(), "charge_period_start"]
            scan = Scan(con, frame, fields, numbered=True)
            plan = Plan().scan([ROW, *fields], read=scan.column, offsets=offsets).map(rules, rule=True)
            added = run(con, plan.rows([*rules.dimensions, "rule"], order=ROW))
    one = pa.array([Decimal(1)], SHARE_TYPE).take(pa.array([0] * len(frame), pa.int32()))
    return attach(frame, added.append_column("share", one))


def _mapped_by_class(frame: pd.DataFrame, rules: Rules, offsets: Sequence[tuple[dt.datetime, int]]) -> pa.Table:
    """Dimensions and `rule` of each row, decided once per class of values."""
    coder = Coder(fields_for(rules, rules.dimensions))
    classes = Classes(rules, rules.dimensions, coder)
    found = [
        classes.outcomes(coder.numbers(batch), local_days(instants(batch), offsets))
        for batch in batches(frame, [*coder.names, "charge_period_start"])
    ]
    return classes.table().take(pa.array(np.concatenate(found) if found else np.zeros(0, np.int32)))


def totals(frame: pd.DataFrame, by: tuple[str, ...] = CONSERVED_BY) -> dict[tuple[Any, ...], dict[str, Decimal]]:
    """Exact totals of every cost and of quantity per group, months in UTC."""
    costs = [c for c in (*COSTS, PAYABLE, "billed_cost", "quantity") if c in frame.columns]
    keys = [c for c in by if c != "month" and (c in frame.columns or c in columns())]
    with connect() as con:
        scan = Scan(con, frame, [*keys, *costs, "charge_period_start"])
        plan = Plan().scan([*keys, *costs, "charge_period_start"], read=scan.column)
        month = plan.dialect.month.format(x="charge_period_start")
        plan.totals([*keys, "month"], costs, computed={"month": month})
        rows = run(con, plan).to_pylist()
    return {tuple(str(r[k]) for k in (*keys, "month")): {c: r[c] or Decimal(0) for c in costs} for r in rows}


def check_conserved(before: pd.DataFrame, after: pd.DataFrame, step: str) -> None:
    """Raise unless every cost and quantity is the same per provider, billing account, currency and month.

    Raises:
        CheckFailed: names the first group, the column and both figures.
    """
    one, two = totals(before), totals(after)
    for group in sorted(one.keys() | two.keys()):
        for column in one.get(group) or two[group]:
            had, has = one.get(group, {}).get(column, Decimal(0)), two.get(group, {}).get(column, Decimal(0))
            if had != has:
                names = ", ".join(f"{k} {v}" for k, v in zip(CONSERVED_BY, group, strict=False))
                raise CheckFailed(f"{step} did not conserve {column} for {names}: {had} before, {has} after.")
