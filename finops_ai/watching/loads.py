"""What is loaded at a look: the newest part at the source's own finest grain, older parts only where they are missing or differ.

A source's newest part is yesterday and today (UTC). What is older is loaded at the grain of the settings: once when it
leaves the newest part, and again where its totals are no longer what the lake holds: a restatement, however old. Only a day
of UTC in which a month of the reporting zone begins stays fine, as it is a part of two months.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pandas as pd

from finops_ai import loading
from finops_ai.errors import FinopsError
from finops_ai.loading import Outcome
from finops_ai.periods import UTC, Window, zone
from finops_ai.providers.border import bills_of, usage_of
from finops_ai.watching.memory import Memory

if TYPE_CHECKING:
    from finops_ai.providers import Connector
    from finops_ai.workspace import Workspace

_DAY = dt.timedelta(days=1)
#: days back that totals are compared, unless the source may restate longer
COMPARED = 45
#: a comparison that takes longer than this many seconds takes at most this share of the time
CHEAP, SHARE = 2.0, 0.05
#: what tells usage apart when totals are compared
_USE = ("model", "meter", "service_tier", "sub_account_id", "api_key_id", "user_id")
_BILL = ("sub_account_id", "model", "meter", "billing_currency")


def load(
    ws: Workspace,
    memory: Memory,
    now: dt.datetime,
    names: Sequence[str] = (),
    watch: Callable[[Outcome], None] | None = None,
) -> list[Outcome]:
    """Load what may be new.

    Args:
        ws: the workspace.
        memory: what was loaded how far.
        now: the moment of the look.
        names: which connections; none = all.
        watch: called with each outcome.

    Returns:
        One outcome per connection and part.
    """
    made = ws.connections({})
    held = {str(r["connection"]): r for r in ws.lake.freshness().to_dict("records")}
    outcomes: list[Outcome] = []
    chosen = [name for name in made if not names or name in names]
    unknown = [name for name in names if name not in ws.settings.providers]
    if unknown or len(chosen) < len(
        ws.settings.providers
    ):  # a missing plugin or a wrong name is said once, by the loader
        outcomes += [o for o in _collect(ws, Window(now, now), [*unknown], watch) if o.error]
    for name in chosen:
        last = held[name]["last"].to_pydatetime() if name in held else None
        outcomes += _one(ws, memory, name, made[name], last, now, watch)
    return outcomes


def _one(
    ws: Workspace,
    memory: Memory,
    name: str,
    source: Connector,
    last: dt.datetime | None,
    now: dt.datetime,
    watch: Callable[[Outcome], None] | None,
) -> list[Outcome]:
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    recent = midnight - _DAY
    end = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0) + dt.timedelta(hours=1)
    if last is None:
        month = Window.month(f"{now.astimezone(UTC):%Y-%m}", ws.timezone).start
        since = min(recent, month.replace(hour=0, minute=0, second=0, microsecond=0))
    else:
        settled = memory.noted(f"settled {name}")
        past = [last, dt.datetime.fromisoformat(settled)] if settled else [last - source.restated_days * _DAY]
        since = min(*past, recent).astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if not source.live:  # files are read whole anyway
        return _collect(ws, Window(since, end), [name], watch)
    fine = dict(source.finest)
    outcomes = []
    if since < recent:
        outcomes += _settled(ws, Window(since, recent), name, source, watch)
    if not any(o.error for o in outcomes):
        outcomes += _collect(ws, Window(max(since, recent), end), [name], watch, fine)
    if not any(o.error for o in outcomes):
        memory.note(f"settled {name}", recent.isoformat())
        outcomes += _restated(ws, memory, name, source, recent, watch)
    return outcomes


def _settled(
    ws: Workspace, window: Window, name: str, source: Connector, watch: Callable[[Outcome], None] | None
) -> list[Outcome]:
    """Load whole days that are over: at the grain of the settings, and finely where a month of the reporting zone begins in one."""
    outcomes, begun = [], window.start
    for day in (window.start + n * _DAY for n in range(window.days)):
        if _begins_a_month(day, ws.timezone):
            outcomes += _collect(ws, Window(begun, day), [name], watch) if begun < day else []
            begun = day + _DAY
            outcomes += _collect(ws, Window(day, begun), [name], watch, source.finest)
    if begun < window.end:
        outcomes += _collect(ws, Window(begun, window.end), [name], watch)
    return outcomes


def _begins_a_month(day: dt.datetime, timezone: str) -> bool:
    """Whether a month of that zone begins within this day of UTC, not with it."""
    last = (day + _DAY - dt.timedelta(microseconds=1)).astimezone(zone(timezone))
    return Window.month(f"{last:%Y-%m}", timezone).start > day


def _collect(
    ws: Workspace,
    window: Window,
    names: Sequence[str],
    watch: Callable[[Outcome], None] | None,
    more: Mapping[str, Any] | None = None,
) -> list[Outcome]:
    settings = ws.settings
    if more:
        tables = {n: t | dict(more) if n in names else t for n, t in settings.providers.items()}
        settings = settings.model_copy(update={"providers": tables})
    return loading.collect(settings, ws.lake, window, names, watch=watch)


# --- restatements


def _restated(
    ws: Workspace,
    memory: Memory,
    name: str,
    source: Connector,
    recent: dt.datetime,
    watch: Callable[[Outcome], None] | None,
) -> list[Outcome]:
    """Compare the totals of older days with the lake's, and load the days that differ."""
    fresh = {str(r["connection"]): r for r in ws.lake.freshness().to_dict("records")}
    if name not in fresh:
        return []
    first = fresh[name]["first"].to_pydatetime().astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    start = max(first, recent - max(COMPARED, source.restated_days) * _DAY)
    if start >= recent or not _due(memory, name):
        return []
    window, began = Window(start, recent), time.monotonic()
    coarse = loading.connections(
        ws.settings.model_copy(update={"providers": {name: dict(ws.settings.providers[name]) | dict(source.coarsest)}})
    )[name]
    try:
        now_use, now_bills = (
            usage_of(coarse, window, name=name, chosen=ws.settings.limits),
            bills_of(coarse, window, name=name, chosen=ws.settings.limits),
        )
    except FinopsError as error:
        failed = Outcome(name, window, error=error)
        if watch:
            watch(failed)
        return [failed]
    memory.note(f"compared {name}", [time.time(), time.monotonic() - began])
    before = ws.lake.read("tokens", window, [name]), ws.lake.read("bills", window, [name])
    differ = _differing(totals(before[0], "quantity", _USE), totals(now_use, "quantity", _USE))
    differ |= _differing(totals(before[1], "billed_cost", _BILL), totals(now_bills, "billed_cost", _BILL))
    outcomes: list[Outcome] = []
    for part in _stretches(differ):
        again = _settled(ws, part, name, source, watch)
        again[-1].notes.append(f"restated since it was loaded: {part.start:%Y-%m-%d} to {part.end - _DAY:%Y-%m-%d}")
        outcomes += again
    return outcomes


def _due(memory: Memory, name: str) -> bool:
    """Whether comparing again stays within its share of the time; a clock that was set back counts as time passed."""
    at, took = memory.noted(f"compared {name}") or (0.0, 0.0)
    return took <= CHEAP or abs(time.time() - at) >= took / SHARE


def totals(frame: pd.DataFrame, measure: str, apart: Sequence[str]) -> dict[dt.date, dict[tuple[str, ...], Decimal]]:
    """What each UTC day adds up to, told apart by who and what; sums of nothing are left out."""
    if frame.empty:
        return {}
    days = frame["charge_period_start"].dt.date
    kept = [name for name in apart if name in frame.columns]
    keys = [["" if v is None or v is pd.NA else str(v) for v in frame[name].astype(object)] for name in kept]
    out: dict[dt.date, dict[tuple[str, ...], Decimal]] = {}
    for day, value, *key in zip(days, frame[measure].astype(object), *keys, strict=True):
        if isinstance(value, Decimal) and value:
            cells = out.setdefault(day, {})
            cells[tuple(key)] = cells.get(tuple(key), Decimal(0)) + value
    return out


def _differing(before: Mapping[dt.date, Any], now: Mapping[dt.date, Any]) -> set[dt.date]:
    return {day for day in {*before, *now} if before.get(day, {}) != now.get(day, {})}


def _stretches(days: Iterable[dt.date]) -> list[Window]:
    """Days as windows, those next to each other as one."""
    out: list[Window] = []
    for day in sorted(days):
        start = dt.datetime(day.year, day.month, day.day, tzinfo=UTC)
        if out and out[-1].end == start:
            out[-1] = Window(out[-1].start, start + _DAY)
        else:
            out.append(Window(start, start + _DAY))
    return out
