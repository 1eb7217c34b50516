"""The same use of a coding tool by several roads (vendor's API, telemetry, logs): one is the money, the others enrich it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa

from finops_ai.errors import FrameError
from finops_ai.frames import TokenFrame, concat, to_pandas
from finops_ai.frames.origin import zone_of
from finops_ai.store.roads import Cell, People, cells_of, owners
from finops_ai.tables.result import Facts, Table

#: what another road may know of a call that the road of the money doesn't
ENRICHED = ("session_id", "agent_name", "repository", "branch")
#: units by which roads are held against each other
COUNTED = {"tokens": "tokens", "requests": "calls", "credits": "credits"}
CELL = ["person", "tool", "day"]


@dataclass(frozen=True)
class OneRoad:
    """Use that counts once.

    Attributes:
        tokens: the rows that count, enriched by what the others know.
        beside: the rows that don't: the same use, told again.
        differences: what the roads say of the same person, tool and day, side by side.
    """

    tokens: pd.DataFrame
    beside: pd.DataFrame
    differences: Table


def one_road(
    roads: Mapping[str, pd.DataFrame], people: People | None = None, *, timezone: str | None = None
) -> OneRoad:
    """Use that several roads tell of, each person's day with a tool counted by one of them.

    The first road that tells of a person's day with a tool is the money there. What the others tell of that day is kept beside, and
    fills in session, agent, repository and branch where the first doesn't say: of the same call where ids agree, else of the day where
    only one is possible. Rows without a tool are no coding tool's and all count.

    A road that names no person for a tool on a day can't be told apart from the others: then only the first of them counts that
    day's use of the tool, whoever's it is.

    Args:
        roads: name -> token frame, the money first: `{"api": ..., "otel": ..., "log": ...}`.
        people: who is who; without it an account is its own person (e-mails in any case).
        timezone: whose days; by default that of the frames, else UTC.

    Returns:
        Rows that count, rows beside, and per person, tool and day that several roads tell of: tokens, calls and credits of the
        `road` that counts, those of the `other`, and their difference.

    Raises:
        FrameError: no road.

    Example:
        >>> import pandas as pd
        >>> from finops_ai.frames import conform
        >>> def use(user, n, **more):
        ...     at = pd.Timestamp("2026-10-01T10:00Z")
        ...     row = {"charge_period_start": at, "charge_period_end": at + pd.Timedelta("1us"), "provider": "codex", "model": "m",
        ...            "billing_account_id": "a", "operation": "chat", "meter": "input", "quantity": n, "unit": "tokens",
        ...            "service_tier": "standard", "source": "log", "quantity_basis": "metered", "tool_name": "codex", "user_id": user}
        ...     return conform({name: [value] for name, value in (row | more).items()}, source="example")
        >>> found = one_road({"api": use("ada@x.com", 100), "log": use("Ada@x.com", 90, session_id="s-1")})
        >>> found.tokens[["user_id", "quantity", "session_id"]].values.tolist()
        [['ada@x.com', Decimal('100.000000'), 's-1']]
        >>> found.differences[["road", "other", "tokens", "other_tokens", "tokens_apart"]].values.tolist()
        [['api', 'log', Decimal('100.000000'), Decimal('90.000000'), Decimal('10.000000')]]
    """
    if not roads:
        raise FrameError("one_road needs at least one road, such as {'api': frame, 'log': frame}.")
    zone = timezone or zone_of(next(iter(roads.values())), timezone=None)
    told = [_cells(frame, people, zone) for frame in roads.values()]
    owner = owners({name: {cell for cell in cells if cell} for name, cells in zip(roads, told, strict=True)})
    kept, beside = [], []
    for name, frame, cells in zip(roads, roads.values(), told, strict=True):
        mine = pd.Series([cell is None or owner[cell] == name for cell in cells], index=frame.index, dtype=bool)
        kept.append((frame[mine], [cell for cell, counts in zip(cells, mine, strict=True) if counts]))
        beside.append((frame[~mine], [cell for cell, counts in zip(cells, mine, strict=True) if not counts]))
    fill = _Filling([(f, c) for f, c in beside if len(f)])
    tokens = concat([fill(frame, cells) for frame, cells in kept], TokenFrame)
    return OneRoad(tokens, concat([f for f, _ in beside], TokenFrame), _differences(roads, told, owner))


def _cells(frame: pd.DataFrame, people: People | None, zone: str) -> list[Cell | None]:
    """Person, tool and day of each row; None of those that are no coding tool's."""
    cells, numbers = cells_of(frame, people, frame["charge_period_start"].dt.tz_convert(zone).dt.date)
    return [cells[number] for number in numbers]


class _Filling:
    """Fills in what the road of the money doesn't say."""

    def __init__(self, others: Sequence[tuple[pd.DataFrame, Sequence[Cell | None]]]) -> None:
        self.by_call: dict[str, dict[str, str]] = {}
        days: dict[Cell | None, dict[str, set[str]]] = {}
        for frame, cells in others:
            values = (
                frame[["request_id", *ENRICHED]].astype(object).where(frame[["request_id", *ENRICHED]].notna(), None)
            )
            for (request, *said), key in zip(values.values.tolist(), cells, strict=True):
                told = {name: value for name, value in zip(ENRICHED, said, strict=True) if value is not None}
                if request is not None:
                    self.by_call.setdefault(request, {}).update(
                        {k: v for k, v in told.items() if k not in self.by_call.get(request, {})}
                    )
                for name, value in told.items():
                    days.setdefault(key, {}).setdefault(name, set()).add(value)
        self.by_day = {key: {n: next(iter(v)) for n, v in found.items() if len(v) == 1} for key, found in days.items()}

    def __call__(self, frame: pd.DataFrame, cells: Sequence[Cell | None]) -> pd.DataFrame:
        if not (self.by_call or self.by_day) or not len(frame):
            return frame
        requests = frame["request_id"].tolist()
        changed: dict[str, pd.Series] = {}
        for name in ENRICHED:
            values = frame[name].astype(object).where(frame[name].notna(), None).tolist()
            if all(value is not None for value in values):
                continue
            filled: list[str | None] = [
                value if value is not None else (self.by_call.get(request) or self.by_day.get(key) or {}).get(name)
                for value, request, key in zip(values, requests, cells, strict=True)
            ]
            changed[name] = pd.Series(filled, index=frame.index, dtype=frame[name].dtype)
        return frame.assign(**changed)


def _differences(
    roads: Mapping[str, pd.DataFrame], told: Sequence[Sequence[Cell | None]], owner: Mapping[Cell, str]
) -> Table:
    sums: dict[Cell, dict[str, dict[str, Decimal]]] = {}
    for name, frame, cells in zip(roads, roads.values(), told, strict=True):
        for key, unit, quantity in zip(cells, frame["unit"].tolist(), frame["quantity"].tolist(), strict=True):
            if key is not None and unit in COUNTED:
                into = sums.setdefault(key, {}).setdefault(name, dict.fromkeys(COUNTED.values(), Decimal(0)))
                into[COUNTED[unit]] += quantity
    rows = []
    for key in sorted(sums, key=str):
        counts = owner[key]
        for other, theirs in sums[key].items():
            if other == counts:
                continue
            ours = sums[key].get(counts, dict.fromkeys(COUNTED.values(), Decimal(0)))
            row: dict[str, Any] = {**dict(zip(CELL, key, strict=True)), "road": counts, "other": other}
            for what in COUNTED.values():
                row |= {what: ours[what], f"other_{what}": theirs[what], f"{what}_apart": ours[what] - theirs[what]}
            rows.append(row)
    quantity = pa.decimal128(38, 6)
    names = [n for what in COUNTED.values() for n in (what, f"other_{what}", f"{what}_apart")]
    schema: dict[str, pa.DataType] = {**dict.fromkeys(["person", "tool"], pa.string()), "day": pa.date32()}
    schema |= {**dict.fromkeys(["road", "other"], pa.string()), **dict.fromkeys(names, quantity)}
    frame = to_pandas(pa.table({name: pa.array([row[name] for row in rows], kind) for name, kind in schema.items()}))
    facts = Facts(
        "Use told by several roads",
        conserves="what counts and what is beside it are all rows of all roads",
        notes=[
            "One road counts a person's day with a tool; the others are beside it and never added.",
            *(
                ["Where a road names no person, one road alone counts that tool's day."]
                if any(k[0] is None for k in sums)
                else []
            ),
        ],
        adds=[(what, (f"other_{what}", f"{what}_apart")) for what in COUNTED.values()],
    )
    return Table.of(frame, facts, *roads.values())
