"""What saves nothing and has to be done nonetheless: models in use that end or get dearer, and keys that nobody uses any more.

None of it is an opportunity. A model's end has a day by which something has to be done; an old key is a door left open.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

from finops_ai.engine import reprice
from finops_ai.frames import to_pandas
from finops_ai.frames.types import COST_TYPE
from finops_ai.periods import UTC
from finops_ai.prices.identity import identity
from finops_ai.prices.names import provider_name
from finops_ai.saving.cells import Cells
from finops_ai.saving.opportunity import Positions
from finops_ai.saving.practice import practice
from finops_ai.tables.result import Facts, Table

#: how far ahead is looked
_AHEAD = dt.timedelta(days=120)
#: a price that rises by less isn't told
_LEAST = Decimal("0.01")
#: days without a call after which a key is told
_UNUSED_DAYS = 7


def coming(cells: Cells, currency: str) -> Table:
    """One row per model in use that ends or gets dearer within four months, soonest first.

    Returns:
        `on` (day), `what` (retires or dearer), `provider`, `model`, `cost` (of the period), `more` (what the same use costs
        more from that day on; null for models that end), `instead` (what its maker names as its successor), `owner`.
    """
    rows = sorted([*_retiring(cells), *_dearer(cells)], key=lambda r: (r["on"], r["provider"], r["model"]))
    kinds = {"on": pa.date32(), "what": pa.string(), "provider": pa.string(), "model": pa.string(), "cost": COST_TYPE, "more": COST_TYPE,
             "instead": pa.string(), "owner": pa.string()}  # fmt: skip
    table = pa.table({name: pa.array([r[name] for r in rows], kind) for name, kind in kinds.items()})
    return Table.of(to_pandas(table), Facts("What is coming", currency, money=["cost", "more"]))


def _in_use(cells: Cells) -> dict[tuple[str, str], Positions]:
    """The models of a period's calls, with their rows."""
    out: dict[tuple[str, str], list[int]] = {}
    for i in cells.now.tolist():
        if cells.by_call[i]:
            out.setdefault((str(cells.provider[i]), str(cells.model[i])), []).append(i)
    return {key: np.array(rows) for key, rows in out.items()}


def _row(cells: Cells, key: tuple[str, str], rows: Positions, **more: Any) -> dict[str, Any]:
    told = {"provider": key[0], "model": key[1], "cost": cells.total(rows), "owner": cells.owner(rows) or None}
    return {"more": None, "instead": None} | told | more


def _retiring(cells: Cells) -> list[dict[str, Any]]:
    out = []
    for key, rows in _in_use(cells).items():
        seller, last = provider_name(key[0]), max(cells.day[rows])
        who = identity(seller, key[1])
        for entry in practice()["retiring"]:
            named = [identity(seller, name) for name in entry["models"]]
            if entry["provider"] == seller and who.family and who in named and last < entry["on"] <= last + _AHEAD:
                out.append(_row(cells, key, rows, on=entry["on"], what="retires", instead=entry["instead"]))
    return out


def _dearer(cells: Cells) -> list[dict[str, Any]]:
    """The same rows priced on the next day on which their model's price turns."""
    turns = getattr(cells.book, "turns", None)
    if turns is None:
        return []
    out = []
    for key, rows in _in_use(cells).items():
        last = dt.datetime.combine(max(cells.day[rows]), dt.time(), UTC) + dt.timedelta(days=1)
        ahead = [at for at in turns(*key) if last < at <= last + _AHEAD]
        if not ahead or not cells.total(rows):
            continue
        mine = cells.frame.take(rows.tolist())
        now = _sum(reprice(mine, cells.book))
        for at in ahead:
            length = mine["charge_period_end"] - mine["charge_period_start"]
            then = mine.assign(charge_period_start=at).astype(
                {"charge_period_start": mine["charge_period_start"].dtype}
            )
            then = then.assign(
                charge_period_end=(then["charge_period_start"] + length).astype(mine["charge_period_end"].dtype)
            )
            later = _sum(reprice(then, cells.book))
            if now and later and later > now * (1 + _LEAST):
                more = (cells.total(rows) * (later - now) / now).quantize(Decimal(1).scaleb(-18))
                out.append(_row(cells, key, rows, on=at.date(), what="dearer", more=more))
                break
    return out


def idle_keys(cells: Cells, currency: str) -> Table:
    """One row per key that made calls before the period and none in it, the longest unused first.

    Returns:
        `provider`, `sub_account_id`, `api_key_id`, `last_used` (day), `cost` (of its calls before the period), `owner`. Empty
        where no rows from before are given, or the period is shorter than a week.
    """
    keys = cells.text("api_key_id")
    used = {(cells.provider[i], keys[i]) for i in cells.now.tolist()}
    before: dict[tuple[Any, Any], list[int]] = {}
    for i in range(cells.past if cells.days >= _UNUSED_DAYS else 0):
        if keys[i] is not None and (cells.provider[i], keys[i]) not in used:
            before.setdefault((cells.provider[i], keys[i]), []).append(i)
    accounts = cells.text("sub_account_id")
    rows = [
        {"provider": provider, "sub_account_id": accounts[found[-1]], "api_key_id": key, "last_used": max(cells.day[found]),
         "cost": cells.total(np.array(found)), "owner": cells.owner(np.array(found)) or None}
        for (provider, key), found in before.items()
    ]  # fmt: skip
    rows.sort(key=lambda r: (r["last_used"], str(r["provider"]), str(r["api_key_id"])))
    kinds = {"provider": pa.string(), "sub_account_id": pa.string(), "api_key_id": pa.string(), "last_used": pa.date32(), "cost": COST_TYPE,
             "owner": pa.string()}  # fmt: skip
    table = pa.table({name: pa.array([r[name] for r in rows], kind) for name, kind in kinds.items()})
    return Table.of(to_pandas(table), Facts("Keys without a call", currency, money=["cost"]))


def _sum(frame: Any) -> Decimal:
    return sum((c for c in frame["contracted_cost"].astype(object) if isinstance(c, Decimal)), Decimal(0))
