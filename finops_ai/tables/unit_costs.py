"""Unit costs: one model compared across the channels that sell it, per million tokens, list and effective."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pandas as pd

from finops_ai.engine.plan import CHARGED
from finops_ai.errors import FrameError
from finops_ai.meters import meters
from finops_ai.prices.identity import tokeniser
from finops_ai.tables.grouping import currency_of, grouped, meter_list, zero
from finops_ai.tables.result import Facts, Table, safe_ratio

MILLION = Decimal(1_000_000)
IDENTITY = ["model_developer", "model_family", "model_version"]
BLENDED = "blended"
_TOKENS = meter_list(is_token=True)
_MEASURES = {
    "tokens": f"sum(quantity) FILTER (WHERE meter IN {_TOKENS})",
    "priced": f"sum(quantity) FILTER (WHERE meter IN {_TOKENS} AND list_cost IS NOT NULL)",
    "list_cost": f"sum(list_cost) FILTER (WHERE meter IN {_TOKENS})",
    "effective_cost": f"sum(effective_cost) FILTER (WHERE meter IN {_TOKENS})",
}


def unit_costs(priced: pd.DataFrame, *, by_tier: bool = False) -> Table:
    """Cost per million tokens by model, channel and class of token, and blended over all of them.

    Args:
        priced: what `fa.price` returns; `fa.allocate`'s frame works too.
        by_tier: one line per service tier as well.

    Returns:
        A table, one row per model identity, `channel` (who bills), class of token (`meter`: fresh_input, cache_read,
        cache_write_5m, ..., output, and `blended` for all together) and, if asked for, service tier: `tokens`,
        `list_per_million` and `effective_per_million` in the pricing currency (null where nothing is priced),
        `vs_cheapest` (effective rate over that of the cheapest channel of the same model and class) and `tokeniser`.
        Rates are over the priced tokens only; the share of those is stated as coverage.

    Raises:
        FrameError: rows that aren't priced.
        DataError: several pricing currencies.

    Example:
        >>> import finops_ai as fa
        >>> table = fa.unit_costs(fa.price(fa.sample(months=1)))
        >>> table[table["model_family"] == "Claude Haiku"][["channel", "meter", "effective_per_million"]].head(3)
        Cost per million tokens by model and channel
        channel    meter        effective_per_million
        anthropic  fresh_input                      1
        bedrock    fresh_input                      1
        anthropic  cache_read                     0.1
        ...
    """
    if "list_cost" not in priced.columns or "model_family" not in priced.columns:
        raise FrameError("fa.unit_costs takes priced rows; call fa.price first.")
    currency = currency_of(priced)
    keys = [*IDENTITY, "provider", *(["service_tier"] if by_tier else [])]
    found = grouped(
        priced,
        [*keys, "model", "meter"],
        _MEASURES,
        needs=("quantity", "list_cost", "effective_cost", "meter", "price_status"),
        where=CHARGED,
    )
    sums: dict[tuple[Any, ...], dict[str, Decimal]] = {}
    for group in found:
        if not group["tokens"]:
            continue
        identity = tuple(group[name] or "" for name in IDENTITY)
        identity = identity if identity[1] else (identity[0], group["model"], "")
        rest = tuple(group[name] for name in keys[len(IDENTITY) :])
        for name in (meters()[group["meter"]].roll_up, BLENDED):
            row = sums.setdefault((*identity, *rest, name), dict.fromkeys(_MEASURES, Decimal(0)))
            for measure in _MEASURES:
                row[measure] += zero(group[measure])
    order = {name: i for i, name in enumerate([*dict.fromkeys(m.roll_up for m in meters().values()), BLENDED])}
    rows = [_row(key, row, by_tier) for key, row in sums.items()]
    rows.sort(
        key=lambda r: (*(r[name] for name in IDENTITY), order[r["meter"]], r["channel"], r.get("service_tier", ""))
    )
    _compare(rows)
    total = sum((row["tokens"] for key, row in sums.items() if key[-1] == BLENDED), Decimal(0))
    known = sum((row["priced"] for key, row in sums.items() if key[-1] == BLENDED), Decimal(0))
    kinds = sorted({r["tokeniser"] for r in rows if r["tokeniser"]})
    notes = ["Rates are per million tokens as each maker counts them."]
    if len(kinds) > 1:
        notes.append(
            f"{len(kinds)} tokenisers ({', '.join(kinds)}): the same text can take up to 2.65 times the tokens of "
            "another, so compare makers by cost per task, and rates only within one tokeniser."
        )
    facts = Facts(
        title="Cost per million tokens by model and channel",
        currency=currency,
        coverage={"priced": float(known / total) if total else None},
        notes=notes,
    )
    return Table.of(pd.DataFrame(rows, columns=_columns(by_tier)), facts, priced)


def _columns(by_tier: bool) -> list[str]:
    tier = ["service_tier"] if by_tier else []
    return [
        *IDENTITY,
        "channel",
        *tier,
        "meter",
        "tokens",
        "list_per_million",
        "effective_per_million",
        "vs_cheapest",
        "tokeniser",
    ]


def _row(key: tuple[Any, ...], row: dict[str, Decimal], by_tier: bool) -> dict[str, Any]:
    developer, family, version, channel, *tier, name = key
    return {
        **dict(zip(IDENTITY, (developer, family, version), strict=True)),
        "channel": channel,
        **({"service_tier": tier[0]} if by_tier else {}),
        "meter": name,
        "tokens": row["tokens"],
        "list_per_million": safe_ratio(row["list_cost"] * MILLION, row["priced"]) if row["priced"] else None,
        "effective_per_million": safe_ratio(row["effective_cost"] * MILLION, row["priced"]) if row["priced"] else None,
        "vs_cheapest": None,
        "tokeniser": tokeniser(developer, family, version),
    }


def _compare(rows: list[dict[str, Any]]) -> None:
    cheapest: dict[tuple[Any, ...], Decimal] = {}
    for row in rows:
        rate, key = row["effective_per_million"], (*(row[name] for name in IDENTITY), row["meter"])
        if rate:
            cheapest[key] = min(rate, cheapest.get(key, rate))
    for row in rows:
        low = cheapest.get((*(row[name] for name in IDENTITY), row["meter"]))
        if row["effective_per_million"] is not None and low:
            row["vs_cheapest"] = safe_ratio(row["effective_per_million"], low, 4)
