"""People of a workspace: the `[people]` section and `[[seats]]`, seats and commits as they were collected, and their tables."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from finops_ai.errors import FinopsError, SettingsError, hint
from finops_ai.frames import BillFrame, CommitFrame, SeatFrame, TokenFrame, concat, empty
from finops_ai.identity import Identities
from finops_ai.loading import identities_of, people_section, roads_of
from finops_ai.people.all_in import with_seats
from finops_ai.people.idle import idle_seats
from finops_ai.people.months import people_months
from finops_ai.people.outcomes import outcome_costs, outcomes
from finops_ai.people.plans import seat_or_api
from finops_ai.people.pools import fair_net, pools
from finops_ai.people.privacy import Privacy
from finops_ai.people.reading import read_commits
from finops_ai.people.roads import vendor_against_logs
from finops_ai.people.seat_prices import SeatPrices
from finops_ai.periods import UTC, Window, month_pieces, next_month, parse_month
from finops_ai.prices.currency import Conversion
from finops_ai.providers.border import commits_of, seats_of
from finops_ai.store.beside import kept, listed, listing, plain, write
from finops_ai.tables.one_road import one_road
from finops_ai.tables.result import Table

if TYPE_CHECKING:
    from finops_ai.workspace import Workspace

#: keys of the `[people]` section: what each must be
KEYS: dict[str, type] = {
    "accounts": str, "teams": str, "dimension": str, "salt_env": str, "shown": bool, "ranked": bool, "smallest": int, "idle_days": int,
    "grace_hours": int, "git": list, "pulls": list, "roads": list,
}  # fmt: skip
#: a charge that began this long ago may still be spread over today: a contract year and a month
_BACK, _DAY = dt.timedelta(days=400), dt.timedelta(days=1)


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
        beside: priced rows of coding tools' use that counts by another road; worth their list value, never cash.
        conversion: to the group's currency, where there is one.
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
    beside: pd.DataFrame | None = None
    conversion: Conversion | None = None

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
            beside = [rows for name in names if len(rows := told_beside(ws, name))]
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
            usage, bills, kept(root, "seats"), concat(commits, CommitFrame), identities_of(ws.settings),
            SeatPrices.default().under(ws.settings.policies.get("seats", [])), privacy_of(table), table.get("idle_days", 30),
            dt.timedelta(hours=table.get("grace_hours", 2)), ws.timezone, parse_month(names[0]), min(last, next_month(parse_month(month))),
            pd.concat(beside, ignore_index=True) if beside else None, ws.conversion,
        )  # fmt: skip

    @property
    def told(self) -> pd.DataFrame:
        """What every road tells: the usage, and beside it what counts by another road, at its list value."""
        if self.beside is None or not len(self.beside):
            return self.usage
        whole = pd.concat([self.usage, self.beside], ignore_index=True)
        whole.attrs = self.usage.attrs
        return whole

    def after(self, month: str) -> dt.date:
        """The day after the last one of a month that is known."""
        end = next_month(parse_month(month))
        return min(end, self.known_until) if self.known_until else end

    def prices_on(self, day: dt.date) -> SeatPrices:
        """Prices of seats in the currency of usage, at the rate of a day."""
        return self.prices if self.conversion is None else self.prices.converted(self.conversion, day)

    def _told(self, table: Table, day: dt.date) -> Table:
        """A table that holds use against the price list, with the rate it took."""
        if self.conversion is not None and any(p.currency != self.conversion.group for p in self.prices.rows):
            table.facts.notes.append(
                f"Prices of seats and what they cover are in {self.conversion.group} at the rate of {day}; vendors hold their own."
            )
        return table

    def months(self, month: str, by: list[str] | tuple[str, ...] = ("team",)) -> Table:
        """True cost of the month (see `fa.people_months`)."""
        return people_months(
            self.identities, usage=self.usage, bills=self.bills, seats=self.seats, prices=self.prices, month=month, by=by,
            privacy=self.privacy, timezone=self.timezone, known_from=self.known_from, conversion=self.conversion,
        )  # fmt: skip

    def idle(self, month: str) -> Table:
        """Idle seats at the end of the month (see `fa.idle_seats`)."""
        after = self.after(month)
        table = idle_seats(
            self.seats, self.identities, as_of=after, usage=[self.told], prices=self.prices_on(after - _DAY), days=self.idle_days,
            privacy=self.privacy,
        )  # fmt: skip
        return self._told(table, after - _DAY)

    def pools(self, month: str) -> Table:
        """Use of allowances at the end of the month (see `fa.pools`)."""
        after = self.after(month)
        prices = self.prices_on(after - _DAY)
        table = pools(self.usage, self.seats, self.identities, as_of=after, prices=prices, privacy=self.privacy)
        return self._told(table, after - _DAY)

    def net(self, month: str, provider: str = "github-copilot") -> Table:
        """The month's net by share of use (see `fa.fair_net`)."""
        return fair_net(self.usage, self.identities, month=month, provider=provider, privacy=self.privacy)

    def plans(self, month: str, months: int = 3) -> Table:
        """Seat or API (see `fa.seat_or_api`), over the months up to this one that usage is known of."""
        known = sorted(set(self.usage["charge_period_start"].dt.strftime("%Y-%m")))
        chosen = [m for m in known if m <= month][-months:] or [month]
        day = self.after(month) - _DAY
        table = seat_or_api(
            self.usage, self.seats, self.identities, months=chosen, prices=self.prices_on(day), privacy=self.privacy
        )
        return self._told(table, day)

    def logs(self, month: str, by: list[str] | tuple[str, ...] = ("provider",)) -> Table:
        """The vendors' figures against logs (see `fa.vendor_against_logs`)."""
        return vendor_against_logs(
            self.told, self.identities, month=month, by=by, privacy=self.privacy, timezone=self.timezone
        )

    def links(self, month: str) -> Table:
        """Sessions of the month and what came of them (see `fa.outcomes`)."""
        window, whole = Window.month(month, self.timezone), self.told
        start = whole["charge_period_start"]
        mine = whole[((start >= window.start) & (start < window.end)).to_numpy(bool)]
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
    table = people_section(ws.settings)
    for name, value in table.items():
        if name not in KEYS:
            raise SettingsError(f"[people]: no setting called {name!r}. {hint(name, KEYS)}")
        number = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        if not isinstance(value, KEYS[name]) or (KEYS[name] is int and not number):
            raise SettingsError(f"[people] {name} must be {_WORDS[KEYS[name]]}, not {value!r}.")
    return table


_WORDS = {str: "text", bool: "true or false", int: "a whole number, 0 or more", list: "a list of paths"}


def all_in(ws: Workspace, rows: pd.DataFrame, months: Sequence[str | Window]) -> pd.DataFrame:
    """A workspace's allocated rows, or cube, of some months with the seats of these months beside them (see `fa.with_seats`).

    Args:
        ws: the workspace.
        rows: the rows, of these months.
        months: `YYYY-MM`, or windows.
    """
    windows = [ws.window_of(month) for month in months]
    reach = Window(min(w.start for w in windows) - _BACK, max(w.end for w in windows))
    settings = ws.settings
    return with_seats(
        rows, identities_of(settings), month=windows, bills=ws.bills(reach), seats=kept(settings.root, "seats"),
        prices=SeatPrices.default().under(settings.policies.get("seats", [])), rules=ws.rules,
        dimension=settings_of(ws).get("dimension", "team"), conversion=ws.conversion,
    )  # fmt: skip


def told_beside(ws: Workspace, month: str) -> pd.DataFrame:
    """A month's rows of coding tools that count by another road, priced: none of it is cash.

    Where several roads stand beside the one that counts, such as telemetry and a log, the first of them is told.
    """
    window = Window.month(month, ws.timezone)
    roads = roads_of(ws.settings, ws.connections({}))
    told = {road: [name for name, own in roads.of.items() if own == road] for road in roads.order}
    frames = {road: ws.lake.read("told", window, names) for road, names in told.items() if names}
    found = {
        road: rows[rows["tool_name"].notna().to_numpy(bool)].reset_index(drop=True) for road, rows in frames.items()
    }
    found = {road: rows for road, rows in found.items() if len(rows)}
    if not found:
        return empty(TokenFrame)
    rows = one_road(found, roads.people, timezone="UTC").tokens if len(found) > 1 else next(iter(found.values()))
    return ws.reprice(
        month, rows.assign(money_basis=rows["money_basis"].where(rows["money_basis"] == "included", "list"))
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
    for name, source in ws.connections({}).items():
        if names and name not in names:
            continue
        for kind, read, model in (("seats", seats_of, SeatFrame), ("commits", commits_of, CommitFrame)):
            for place, piece in _places(ws.settings.root, name, kind, window, live=source.live):
                try:
                    frame = read(source, piece, name=name)
                except FinopsError as error:
                    said.append(f"{name:<14} {kind} failed: {error}")
                    break
                if len(frame):
                    said.append(f"{name:<14} {len(frame):,} {kind}")
                if len(frame) or (source.live and kind == "seats" and listed(ws.settings.root, name)):
                    write(place, frame, model)
                else:
                    place.unlink(missing_ok=True)
    return said


def _places(root: Path, name: str, kind: str, window: Window, *, live: bool) -> list[tuple[Path, Window]]:
    """Where what a source tells is kept, and the window it is asked for: a live listing of seats is today's, whatever the window."""
    now = dt.datetime.now(UTC)
    if live and kind == "seats":
        return [(listing(root, name, now.date()), Window(window.start, max(window.end, now)))]
    pieces = month_pieces(window) if live else [window]
    folder = root / "people"
    return [(folder / f"{plain(name)}.{p.start:%Y%m%d}-{p.end:%Y%m%d}.{kind}.parquet", p) for p in pieces]


__all__ = ["KEYS", "People", "all_in", "collect_people", "settings_of"]
