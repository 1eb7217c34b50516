"""People of a workspace: the `[people]` section and `[[seats]]`, seats and commits as they were collected, and their tables."""

from __future__ import annotations

import datetime as dt
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow.parquet as pq

from finops_ai.errors import FinopsError, SettingsError, hint
from finops_ai.frames import BillFrame, CommitFrame, SeatFrame, concat, empty, schema_of, to_arrow, to_pandas
from finops_ai.people.identity import Identities
from finops_ai.people.idle import idle_seats
from finops_ai.people.months import people_months
from finops_ai.people.outcomes import outcome_costs, outcomes
from finops_ai.people.plans import seat_or_api
from finops_ai.people.pools import fair_net, pools
from finops_ai.people.privacy import Privacy
from finops_ai.people.reading import read_commits
from finops_ai.people.roads import vendor_against_logs
from finops_ai.people.seat_prices import SeatPrices
from finops_ai.periods import Window, month_pieces, next_month, parse_month
from finops_ai.providers.border import commits_of, seats_of
from finops_ai.tables.result import Table

if TYPE_CHECKING:
    from finops_ai.workspace import Workspace

#: keys of the `[people]` section: what each must be
KEYS: dict[str, type] = {
    "accounts": str, "teams": str, "salt_env": str, "shown": bool, "ranked": bool, "smallest": int, "idle_days": int,
    "grace_hours": int, "git": list, "pulls": list,
}  # fmt: skip
#: a charge that began this long ago may still be spread over today: a contract year and a month
_BACK = dt.timedelta(days=400)


@dataclass(frozen=True)
class People:
    """Everything known of the people of a company, and the tables made of it. `People.of(workspace)` reads a workspace's.

    Attributes:
        usage: priced rows.
        bills: bill frame, with lines that began before the months looked at.
        seats: seat frame.
        commits: commit frame.
        identities: who is who.
        prices: prices of seats.
        privacy: what may be seen of persons.
        idle_days: days without an event after which a seat is idle.
        grace: how long after a session a commit belongs to it.
        timezone: the reporting zone.
        known_from: the first day that usage is known of.
        known_until: the day after the last one that usage is known of.
    """

    usage: pd.DataFrame
    bills: pd.DataFrame = field(default_factory=lambda: empty(BillFrame))
    seats: pd.DataFrame = field(default_factory=lambda: empty(SeatFrame))
    commits: pd.DataFrame = field(default_factory=lambda: empty(CommitFrame))
    identities: Identities = field(default_factory=Identities)
    prices: SeatPrices = field(default_factory=SeatPrices.default)
    privacy: Privacy = field(default_factory=Privacy)
    idle_days: int = 30
    grace: dt.timedelta = dt.timedelta(hours=2)
    timezone: str = "UTC"
    known_from: dt.date | None = None
    known_until: dt.date | None = None

    @classmethod
    def of(cls, ws: Workspace, month: str, *, months: int = 3) -> People:
        """People of a workspace, with the usage of a month and the ones before it.

        Args:
            ws: the workspace.
            month: the last month, `YYYY-MM`.
            months: how many months of usage.

        Raises:
            SettingsError: something in `[people]` is wrong.
        """
        table = settings_of(ws)
        following = f"{next_month(parse_month(month)):%Y-%m}"  # a cycle that began in the month is billed with the next one's use
        names = [*(ws.months_before(month, months) or [month]), *([following] if following in ws.months() else [])]
        with ws.steady():
            frames = [ws.priced(name) for name in names]
            window = Window(Window.month(names[0], ws.timezone).start - _BACK, Window.month(names[-1], ws.timezone).end)
            bills = ws.bills(window)
        usage = pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]
        usage.attrs = frames[-1].attrs
        whole = Window(Window.month(names[0], ws.timezone).start, Window.month(month, ws.timezone).end)
        root = ws.settings.root
        commits = [kept(root, "commits")]
        exports = [root / str(name) for name in table.get("pulls", [])]
        for number, place in enumerate(table.get("git", [])):
            pulls = exports[number] if number < len(exports) else None
            commits.append(
                read_commits(root / str(place), pulls=pulls, since=whole.start.date() - dt.timedelta(days=31))
            )
        fresh = ws.lake.freshness()
        last = (
            (fresh["last"].max() - pd.Timedelta(1, "us")).date() + dt.timedelta(days=1)
            if len(fresh)
            else whole.end.date()
        )
        return cls(
            usage, bills, kept(root, "seats"), concat(commits, CommitFrame), identities_of(ws, table),
            SeatPrices.default().under(ws.settings.policies.get("seats", [])), privacy_of(table), table.get("idle_days", 30),
            dt.timedelta(hours=table.get("grace_hours", 2)), ws.timezone, parse_month(names[0]), min(last, next_month(parse_month(month))),
        )  # fmt: skip

    def after(self, month: str) -> dt.date:
        """The day after the last one of a month that is known."""
        end = next_month(parse_month(month))
        return min(end, self.known_until) if self.known_until else end

    def months(self, month: str, by: list[str] | tuple[str, ...] = ("team",)) -> Table:
        """True cost of the month (see `fa.people_months`)."""
        return people_months(
            self.identities, usage=self.usage, bills=self.bills, seats=self.seats, prices=self.prices, month=month, by=by,
            privacy=self.privacy, timezone=self.timezone, known_from=self.known_from,
        )  # fmt: skip

    def idle(self, month: str) -> Table:
        """Idle seats at the end of the month (see `fa.idle_seats`)."""
        return idle_seats(
            self.seats, self.identities, as_of=self.after(month), usage=[self.usage], prices=self.prices, days=self.idle_days,
            privacy=self.privacy,
        )  # fmt: skip

    def pools(self, month: str) -> Table:
        """Use of allowances at the end of the month (see `fa.pools`)."""
        return pools(
            self.usage, self.seats, self.identities, as_of=self.after(month), prices=self.prices, privacy=self.privacy
        )

    def net(self, month: str, provider: str = "github-copilot") -> Table:
        """The month's net by share of use (see `fa.fair_net`)."""
        return fair_net(self.usage, self.identities, month=month, provider=provider, privacy=self.privacy)

    def plans(self, month: str, months: int = 3) -> Table:
        """Seat or API (see `fa.seat_or_api`), over the months up to this one that usage is known of."""
        known = sorted(set(self.usage["charge_period_start"].dt.strftime("%Y-%m")))
        chosen = [m for m in known if m <= month][-months:] or [month]
        return seat_or_api(
            self.usage, self.seats, self.identities, months=chosen, prices=self.prices, privacy=self.privacy
        )

    def logs(self, month: str, by: list[str] | tuple[str, ...] = ("provider",)) -> Table:
        """The vendors' figures against logs (see `fa.vendor_against_logs`)."""
        return vendor_against_logs(
            self.usage, self.identities, month=month, by=by, privacy=self.privacy, timezone=self.timezone
        )

    def links(self, month: str) -> Table:
        """Sessions of the month and what came of them (see `fa.outcomes`)."""
        window = Window.month(month, self.timezone)
        start = self.usage["charge_period_start"]
        mine = self.usage[((start >= window.start) & (start < window.end)).to_numpy(bool)]
        mine.attrs = self.usage.attrs
        told = mine[mine[["session_id", "agent_name", "repository"]].notna().any(axis=1).to_numpy(bool)]
        told.attrs = self.usage.attrs
        return outcomes(
            told, self.commits, self.identities, grace=self.grace, privacy=self.privacy, timezone=self.timezone
        )

    def outcomes(self, month: str, unit: str = "pull_request", by: list[str] | tuple[str, ...] = ()) -> list[Table]:
        """Cost per outcome in each of the three moneys that the month's sessions have (see `fa.outcome_costs`)."""
        links = self.links(month)
        return [outcome_costs(links, unit, by=by, money=money) for money in ("cost", "included_cost", "list_value")]


def settings_of(ws: Workspace) -> dict[str, Any]:
    """The `[people]` section, checked key by key."""
    table = ws.settings.policies.get("people", {})
    if not isinstance(table, dict):
        raise SettingsError("[people] must be a table of settings.")
    for name, value in table.items():
        if name not in KEYS:
            raise SettingsError(f"[people]: no setting called {name!r}. {hint(name, KEYS)}")
        number = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        if not isinstance(value, KEYS[name]) or (KEYS[name] is int and not number):
            raise SettingsError(f"[people] {name} must be {_WORDS[KEYS[name]]}, not {value!r}.")
    return table


_WORDS = {str: "text", bool: "true or false", int: "a whole number, 0 or more", list: "a list of paths"}


def identities_of(ws: Workspace, table: dict[str, Any]) -> Identities:
    """Who is who, of the files the section names."""
    if "accounts" not in table:
        return Identities()
    teams = ws.settings.path(table["teams"]) if "teams" in table else None
    return Identities.load(
        ws.settings.path(table["accounts"]), teams, salt=os.environ.get(table.get("salt_env", ""), "")
    )


def privacy_of(table: dict[str, Any]) -> Privacy:
    """What may be seen of persons, as the section says."""
    return Privacy(table.get("shown", False), table.get("smallest", 5), table.get("ranked", False))


def collect_people(ws: Workspace, window: Window, names: tuple[str, ...] = ()) -> list[str]:
    """Keep the seats and commits that connections tell of, beside the lake: a window again replaces what it gave before.

    Args:
        ws: the workspace.
        window: half-open.
        names: which connections; none = all.

    Returns:
        A line per connection that had some, or failed.
    """
    said = []
    folder = ws.settings.root / "people"
    for name, source in ws.connections({}).items():
        if names and name not in names:
            continue
        for kind, read, model in (("seats", seats_of, SeatFrame), ("commits", commits_of, CommitFrame)):
            for piece in month_pieces(window) if source.live else [window]:
                place = (
                    folder
                    / f"{re.sub(r'[^A-Za-z0-9_-]', '_', name)}.{piece.start:%Y%m%d}-{piece.end:%Y%m%d}.{kind}.parquet"
                )
                try:
                    frame = read(source, piece, name=name)
                except FinopsError as error:
                    said.append(f"{name:<14} {kind} failed: {error}")
                    break
                if len(frame):
                    _write(place, frame, model)
                    said.append(f"{name:<14} {len(frame):,} {kind}")
                else:
                    place.unlink(missing_ok=True)
    return said


def keep(root: Path, name: str, kind: str, frame: pd.DataFrame) -> None:
    """Keep seats or commits that come from elsewhere than a connection, under a name; what was under it goes."""
    _write(root / "people" / f"{name}.{kind}.parquet", frame, SeatFrame if kind == "seats" else CommitFrame)


def _write(place: Path, frame: pd.DataFrame, model: object) -> None:
    """A file that is there whole or not at all."""
    place.parent.mkdir(parents=True, exist_ok=True)
    partial = place.with_suffix(f".{os.getpid()}.partial")
    pq.write_table(to_arrow(frame, schema_of(model)), partial)
    partial.replace(place)


def kept(root: Path, kind: str) -> pd.DataFrame:
    """Seats or commits that were collected."""
    model = SeatFrame if kind == "seats" else CommitFrame
    return concat(
        [to_pandas(pq.read_table(place)) for place in sorted((root / "people").glob(f"*.{kind}.parquet"))], model
    )


__all__ = ["KEYS", "People", "collect_people", "keep", "kept", "settings_of"]
