"""Loading: the connectors of a finops.toml, and what each of them gives for a window, stored in the lake."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any

from finops_ai.config import Settings
from finops_ai.errors import ConnectorFault, FinopsError, ProviderNotFound, SettingsError, hint
from finops_ai.identity import Identities
from finops_ai.periods import Window, month_pieces
from finops_ai.providers import Connector, LeftOut
from finops_ai.providers.border import bills_of, fault_of, usage_of, without_secrets
from finops_ai.providers.collecting import connector, readers
from finops_ai.providers.registry import allowing, origin_of, owner_of
from finops_ai.store import Lake
from finops_ai.store.parting import Parted, settle
from finops_ai.store.roads import EXPORT, ROADS, Roads

#: settings of a connection that the workspace reads, not its connector
OF_WORKSPACE = ("telemetry", "road", "tool")


@dataclass
class Outcome:
    """What collecting one connection's window came to; `error` is set when it failed and nothing of it was stored.

    `kept` is the billed cost of the stored charges by currency; with the amounts of `left_out` in that currency it is
    what the source holds for the window.
    """

    connection: str
    window: Window
    tokens: int = 0
    bills: int = 0
    changed: bool = False
    notes: list[str] = field(default_factory=list)
    kept: dict[str, Decimal] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)
    fresh_until: dt.datetime | None = None
    error: FinopsError | None = None


def connections(settings: Settings, left_out: dict[str, FinopsError] | None = None) -> dict[str, Connector]:
    """The configured connectors, by the name of their section. Making one opens nothing; no other plugin is imported.

    Args:
        settings: of the workspace.
        left_out: filled with the connections whose plugin is missing, broken or not allowed, and why; by default the
            first of them is an error.

    Raises:
        SettingsError: a section that names no installed connector, or has a wrong setting.
    """
    found = {}
    for name, table in settings.providers.items():
        table = dict(table)
        for key in OF_WORKSPACE:
            table.pop(key, None)
        if table.pop("enabled", True) is False:
            continue
        kind = str(table.pop("connector", name))
        try:
            with allowing(settings.plugins.allow):
                found[name] = connector(kind, **_with_base(settings, table))
        except (ProviderNotFound, ConnectorFault) as error:
            said = SettingsError(f'[providers.{name}]: {error} Install its plugin, or name one with connector = "...".')
            said.__cause__ = error
            problem = said if isinstance(error, ProviderNotFound) else error
            if left_out is None:
                raise problem from error
            left_out[name] = problem
    return found


def plugins(settings: Settings) -> dict[str, str]:
    """Whose code reads each configured connection: distribution and version, "left out" where it is missing or not allowed.

    No connector is made, and no plugin imported whose entry point says whose it is.
    """
    own, found = readers(), {}
    for name, table in settings.providers.items():
        if table.get("enabled", True) is False:
            continue
        kind = str(table.get("connector", name))
        with allowing(settings.plugins.allow):
            found[name] = origin_of(own[kind]) if kind in own else owner_of(kind) or "left out"
    return found


def _with_base(settings: Settings, table: dict[str, Any]) -> dict[str, Any]:
    """Relative paths of finops.toml belong to its folder, not to where the command runs."""
    table = dict(table)
    files = table.get("files")
    if isinstance(files, str | list) and files:  # what else it may be is said by the connector's settings
        patterns = [files] if isinstance(files, str) else files
        table["files"] = [p if "://" in str(p) else str(settings.path(str(p))) for p in patterns]
    if table.get("mapping"):
        table["mapping"] = str(settings.path(str(table["mapping"])))
    return table


def collect(
    settings: Settings,
    lake: Lake,
    window: Window,
    names: Sequence[str] = (),
    *,
    watch: Callable[[Outcome], None] | None = None,
) -> list[Outcome]:
    """Load a window of usage and bills into the lake: a month at a time from live sources, at once from files.

    A connection that fails is reported and costs the others nothing; a rerun changes nothing.

    Args:
        settings: of the workspace.
        lake: where it is stored.
        window: half-open.
        names: which sections of [providers]; none = all.
        watch: called with each outcome as it comes, for progress.

    Returns:
        One outcome per connection and piece of the window.
    """
    left_out: dict[str, FinopsError] = {}
    available = connections(settings, left_out)
    for name in names:
        if name not in available and name not in left_out:
            raise SettingsError(f"No [providers.{name}] in finops.toml. {hint(name, [*available, *left_out])}")
    roads = roads_of(settings, available)
    chosen = {n: source for n, source in available.items() if not names or n in names}
    outcomes = [Outcome(n, window, error=e) for n, e in left_out.items() if not names or n in names]
    for outcome in outcomes:
        if watch:
            watch(outcome)
    for name, source in chosen.items():
        # files are read whole anyway; a live source gives a month at a time, so that a long load can be resumed
        for piece in month_pieces(window) if source.live else [window]:
            outcome = _piece(settings, lake, name, source, piece, roads)
            outcomes.append(outcome)
            if watch:
                watch(outcome)
            if outcome.error:
                break
    return outcomes


def roads_of(settings: Settings, available: Mapping[str, Connector]) -> Roads:
    """By which road each connection that counts tells of use, and who is who.

    Raises:
        SettingsError: a road, an order of roads or a tool that can't be.
    """
    order = people_section(settings).get("roads", list(ROADS))
    if not isinstance(order, list) or sorted(map(str, order)) != sorted(ROADS):
        raise SettingsError(f"[people] roads must name {', '.join(ROADS)} once each, the money first, not {order!r}.")
    of = {}
    for name, table in settings.providers.items():
        if (tool := table.get("tool")) is not None and not (isinstance(tool, str) and tool):
            raise SettingsError(
                f"[providers.{name}] tool must be a coding tool's name, such as claude-code, not {tool!r}."
            )
        road = table.get("road") or (available[name].road if name in available else ROADS[0])
        if road not in ROADS:
            raise SettingsError(f"[providers.{name}] road {road!r} is unknown. {hint(str(road), ROADS)}")
        if table.get("telemetry") is not True:
            of[name] = road
    again = {name for name in of if of[name] == ROADS[0] and _is_export(name, of, available)}
    if again:
        of |= dict.fromkeys(again, EXPORT)
        place = order.index(ROADS[0]) + 1
        order = [*order[:place], EXPORT, *order[place:]]
    return Roads(of, order, identities_of(settings))


def _is_export(name: str, of: Mapping[str, str], available: Mapping[str, Connector]) -> bool:
    """Whether a connection reads saved files of an account that another one asks the vendor about: both tell the same use."""
    mine = available.get(name)
    if mine is None or mine.live:
        return False
    others = (available[other] for other, road in of.items() if road == ROADS[0] and other in available)
    return any(o.live and o.name == mine.name and _account(o) == _account(mine) for o in others)


def _account(connector: Connector) -> tuple[object, ...]:
    return tuple(getattr(connector.settings, name, None) for name in ("account", "team", "enterprise", "organization"))


def people_section(settings: Settings) -> dict[str, Any]:
    """The `[people]` section; empty where there is none.

    Raises:
        SettingsError: it is no table.
    """
    table = settings.policies.get("people", {})
    if not isinstance(table, dict):
        raise SettingsError("[people] must be a table of settings.")
    return table


def identities_of(settings: Settings) -> Identities:
    """Who is who, of the files that `[people]` names.

    Raises:
        DataError: a file is missing or says something impossible.
    """
    table = people_section(settings)
    if "accounts" not in table:
        return Identities()
    teams = settings.path(str(table["teams"])) if "teams" in table else None
    salt = os.environ.get(str(table.get("salt_env", "")), "")
    return Identities.load(settings.path(str(table["accounts"])), teams, salt=salt)


def _piece(settings: Settings, lake: Lake, name: str, connector: Connector, window: Window, roads: Roads) -> Outcome:
    outcome = Outcome(name, window)
    connector.notes, connector.left_out = [], []
    try:
        limits = settings.limits
        tokens = usage_of(connector, window, name=name, chosen=limits)
        if tool := settings.providers[name].get("tool"):
            tokens = tokens.assign(tool_name=tokens["tool_name"].fillna(tool))
        bills = bills_of(connector, window, name=name, chosen=limits)
        outcome.kept = {
            str(unit): sum(part, Decimal(0)) for unit, part in bills.groupby("billing_currency")["billed_cost"]
        }
        parted = Parted.of(lake, name, window, tokens, roads)
        outcome.left_out = [*connector.left_out, *parted.left_out()]
        note = {
            "notes": connector.notes, "fresh_until": connector.fresh_until, "kept": outcome.kept,
            "left_out": [asdict(item) for item in outcome.left_out], "plugin": origin_of(type(connector)),
        }  # fmt: skip
        frames = {"tokens": parted.counted, "bills": bills}
        if len(parted.told) or lake.rows_of("told", window, [name]):
            frames["told"] = parted.told
        loads = lake.replace_window(name, window, frames, note).values()
        outcome.notes += settle(lake, name, window, roads)
    except FinopsError as error:
        outcome.error = error
    except Exception as error:  # the store's own fault costs the other connections nothing either
        outcome.error = fault_of(error, connector, name, "storing")
        outcome.error.__cause__ = error
    else:
        outcome.tokens, outcome.bills = len(parted.counted), len(bills)
        outcome.changed = any(load.changed for load in loads)
        outcome.fresh_until = connector.fresh_until
    outcome.notes += [without_secrets(str(note)) for note in connector.notes]
    return outcome


__all__ = ["OF_WORKSPACE", "Outcome", "collect", "connections", "identities_of", "people_section", "roads_of"]
