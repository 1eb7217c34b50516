"""The sample company's engineers: who has which seat, what they used of it, what came of it. Apart from the company's own usage."""

from __future__ import annotations

import datetime as dt
import random
import tempfile
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finops_ai.frames import BillFrame, CommitFrame, SeatFrame, conform
from finops_ai.identity import Identities
from finops_ai.people.seat_prices import SeatPrices
from finops_ai.periods import UTC, Window

if TYPE_CHECKING:
    import pandas as pd

    from finops_ai.workspace import Workspace

FIRST, LAST = dt.date(2026, 9, 12), dt.date(2026, 10, 31)
_MOVED = dt.date(2026, 10, 15)
_TEAMS = ["platform"] * 6 + ["mobile"] * 5 + ["search"] * 3
_CURSOR = {1: "teams-premium", 2: "teams-premium", 3: "teams-standard", 4: "teams-standard", 5: "teams-standard",
           6: "teams-standard", 7: "teams-standard", 8: "teams-standard"}  # fmt: skip
_COPILOT, _CLAUDE = range(5, 15), (3, 4, 9, 10)
#: nobody touched these seats; of the second nobody can tell
_IDLE, _UNHEARD = 8, 12
_REPOS = ["acme/api", "acme/app", "acme/search"]


@dataclass(frozen=True)
class Engineers:
    """Frames of fourteen engineers with seats of Cursor, GitHub Copilot and Claude, 12 September to 31 October 2026.

    Attributes:
        tokens: token frame: Cursor's and Copilot's own figures (included and cash), logs of Claude Code (at list), one cloud agent.
        bills: seats and use on demand as invoiced: Cursor's by cycles from the 12th, the others' by calendar month.
        seats: who holds which seat; one is idle, one may be, one was added on 16 October, one given up on the 20th.
        commits: what came of it, with and without the session's name.
        identities: who is who: engineer06 moved to another team on 15 October.
        prices: seat prices with Cursor's clock.
    """

    tokens: pd.DataFrame
    bills: pd.DataFrame
    seats: pd.DataFrame
    commits: pd.DataFrame
    identities: Identities
    prices: SeatPrices

    @property
    def usage(self) -> pd.DataFrame:
        """The token frame, priced."""
        from finops_ai.engine import price

        return price(self.tokens)


@cache
def engineers() -> Engineers:
    """The sample company's engineers, the same figures every time; `fa.sample()` doesn't have them.

    >>> people = engineers()
    >>> len(people.identities.people()), len(people.seats), str(people.tokens["charge_period_start"].min().date())
    (14, 22, '2026-09-14')
    """
    prices = SeatPrices.default().under([
        {"provider": "cursor", "plan": plan, "clock": 12} for plan in ("teams-standard", "teams-premium")
    ])  # fmt: skip
    rows, commits = _work(random.Random(17))
    tokens = conform({name: [row.get(name) for row in rows] for name in _TOKENS}, source="sample")
    held = _seats()
    made = conform({name: [c.get(name) for c in commits] for name in _COMMITS}, CommitFrame, source="sample")
    return Engineers(tokens, _bills(rows, held, prices), held, made, _who(), prices)


_TOKENS = [
    "charge_period_start", "charge_period_end", "provider", "billing_account_id", "model", "operation", "meter", "quantity", "unit",
    "service_tier", "user_id", "session_id", "agent_name", "tool_name", "repository", "branch", "source", "quantity_basis",
    "money_basis", "billed_cost", "billing_currency",
]  # fmt: skip
_COMMITS = ["repository", "branch", "commit_id", "user_id", "committed_at", "session_id", "tool_name", "agent_name", "merged_at",
            "pull_request", "source"]  # fmt: skip


def _mail(n: int) -> str:
    return f"engineer{n:02}@example.com"


def _login(n: int) -> str:
    return f"engineer-{n:02}"


def _who() -> Identities:
    accounts, teams = _tables()
    return Identities.load(accounts, teams, salt="sample")


def _tables() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    accounts: list[dict[str, Any]] = []
    teams: list[dict[str, Any]] = []
    for n, team in enumerate(_TEAMS, 1):
        name = f"Engineer {n:02}"
        accounts += [
            {"account": _mail(n), "person": name, "kind": "email"},
            {"account": _login(n), "person": name, "kind": "login", "provider": "github-copilot"},
        ]
        if n == 6:
            teams += [
                {"person": name, "team": team, "valid_to": str(_MOVED)},
                {"person": name, "team": "mobile", "valid_from": str(_MOVED)},
            ]
        else:
            teams.append({"person": name, "team": team})
    return accounts, teams


def _at(day: dt.date, hour: int = 0, minute: int = 0) -> dt.datetime:
    return dt.datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC)


def _seats() -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    for n, plan in _CURSOR.items():
        rows.append(
            {
                "provider": "cursor",
                "plan": plan,
                "user_id": _mail(n),
                "seat_start": _at(dt.date(2026, 1, 12)),
                "telemetry": "on",
            }
        )
    for n in _COPILOT:
        start = dt.date(2026, 10, 16) if n == 13 else dt.date(2026, 3, 1)
        rows.append({
            "provider": "github-copilot", "plan": "business", "user_id": _login(n), "seat_start": _at(start),
            "seat_end": _at(dt.date(2026, 10, 20)) if n == 14 else None, "telemetry": "unknown" if n == _UNHEARD else "on",
        })  # fmt: skip
    for n in _CLAUDE:
        rows.append(
            {
                "provider": "anthropic",
                "plan": "team-premium",
                "user_id": _mail(n),
                "seat_start": _at(dt.date(2026, 6, 1)),
                "telemetry": "on",
            }
        )
    names = ["provider", "plan", "user_id", "seat_start", "seat_end", "telemetry"]
    columns = {name: [row.get(name) for row in rows] for name in names}
    return conform(columns | {"source": ["api"] * len(rows)}, SeatFrame, source="sample")


def _work(dice: random.Random) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What was used and committed, day by day."""
    rows: list[dict[str, Any]] = []
    commits: list[dict[str, Any]] = []
    spent: dict[tuple[int, bool], Decimal] = {}
    pool: dict[int, Decimal] = {}
    day = FIRST
    while day <= LAST:
        if day.weekday() < 5:
            _cursor(dice, day, rows, spent)
            _copilot(dice, day, rows, pool)
            _claude(dice, day, rows, commits)
            _cloud_agent(dice, day, rows, commits)
        day += dt.timedelta(days=1)
    return rows, commits


def _slice(start: dt.datetime, minutes: int, **columns: Any) -> dict[str, Any]:
    return {
        "charge_period_start": start, "charge_period_end": start + dt.timedelta(minutes=minutes), "billing_account_id": "acme",
        "operation": "chat", "unit": "tokens", "service_tier": "standard", "quantity_basis": "metered",
    } | columns  # fmt: skip


def _meters(
    start: dt.datetime, minutes: int, counts: dict[str, int], cost: Decimal | None, **columns: Any
) -> list[dict[str, Any]]:
    """A call's rows, its money on the first of them."""
    out = []
    for n, (meter, quantity) in enumerate(counts.items()):
        money = {"billed_cost": cost, "billing_currency": "USD"} if cost is not None and n == 0 else {}
        out.append(_slice(start, minutes, meter=meter, quantity=Decimal(quantity), **money, **columns))
    return out


def _cursor(
    dice: random.Random, day: dt.date, rows: list[dict[str, Any]], spent: dict[tuple[int, bool], Decimal]
) -> None:
    later = day >= dt.date(2026, 10, 12)
    for n, plan in _CURSOR.items():
        if n == _IDLE:
            continue
        heavy = n in (1, 3)
        for call in range(3 if heavy else 1):
            cost = Decimal(dice.randint(9_000, 190_000 if heavy else 60_000)).scaleb(-5)
            used = spent.get((n, later), Decimal(0))
            basis = "included" if used + cost <= (100 if plan == "teams-premium" else 20) else "cash"
            spent[n, later] = used + cost
            start = _at(day, 9 + 2 * call, dice.randint(0, 59))
            rows += _meters(
                start, 20, {"input": int(cost * 40_000), "output": int(cost * 9_000), "cache_read": int(cost * 300_000)}, cost,
                provider="cursor", tool_name="cursor", model="claude-sonnet-5", user_id=_mail(n), money_basis=basis, source="api",
                session_id=f"c-{n:02}-{day:%m%d}", 
            )  # fmt: skip


def _copilot(dice: random.Random, day: dt.date, rows: list[dict[str, Any]], pool: dict[int, Decimal]) -> None:
    """Copilot's own figures: the month's pool is used first come, first served."""
    for n in _COPILOT:
        gone = (n == 14 and day >= dt.date(2026, 10, 20)) or (n == 13 and day < dt.date(2026, 10, 16))
        if n == _UNHEARD or gone:
            continue
        cost = Decimal(dice.randint(20, 150 if n % 2 else 330)).scaleb(-2)
        size = Decimal(19) * (9 if day < dt.date(2026, 10, 16) else 10)
        used = pool.get(day.month, Decimal(0))
        covered = max(min(cost, size - used), Decimal(0))
        pool[day.month] = used + cost
        for basis, amount in (("included", covered), ("cash", cost - covered)):
            if amount:
                rows += _meters(
                    _at(day), 1440, {"input": int(amount * 60_000), "output": int(amount * 12_000)}, amount, provider="github-copilot",
                    tool_name="copilot", model="gpt-5.4", user_id=_login(n), money_basis=basis, source="file",
                )  # fmt: skip


def _claude(dice: random.Random, day: dt.date, rows: list[dict[str, Any]], commits: list[dict[str, Any]]) -> None:
    """Sessions of Claude Code as its logs tell them, and the commits made in, after and without them."""
    for n in _CLAUDE:
        repo, number = _REPOS[n % 3], int(f"{day:%m%d}") * 10 + n
        session, branch, start = f"s-{n:02}-{day:%m%d}", f"feature/{number}", _at(day, 13, dice.randint(0, 50))
        size = dice.randint(30, 140) * 1000
        rows += _meters(
            start, dice.randint(20, 80), {"input": size, "output": size // 8, "cache_read": size * 9}, None, provider="anthropic",
            tool_name="claude-code", model="claude-sonnet-5", user_id=_mail(n) if n != 10 or day.day % 5 else None,
            session_id=session, repository=repo, branch=branch, money_basis="list", source="log",
        )  # fmt: skip
        kind = number % 6
        if kind == 5:  # abandoned
            continue
        merged = _at(day, 17) + dt.timedelta(days=kind) if kind < 4 else None
        said = {
            "repository": repo,
            "user_id": _mail(n),
            "tool_name": "claude-code",
            "source": "git",
            "pull_request": f"{repo}#{number}",
        }
        for i in range(1 + kind % 2):
            hours = 1 if kind < 3 else 6  # the last come long after the session
            commits.append(said | {
                "commit_id": f"{number:05x}{i}".ljust(40, "0"), "committed_at": start + dt.timedelta(hours=hours, minutes=i), "branch": branch,
                "session_id": session if kind == 0 else None, "merged_at": merged,
            })  # fmt: skip


def _cloud_agent(dice: random.Random, day: dt.date, rows: list[dict[str, Any]], commits: list[dict[str, Any]]) -> None:
    """Twice a week a cloud agent works on a branch of its own."""
    if day.weekday() not in (1, 3):
        return
    cost, branch, start = Decimal(dice.randint(40, 400)).scaleb(-2), f"cursor/task-{day:%m%d}", _at(day, 3)
    rows += _meters(
        start, 45, {"input": int(cost * 50_000), "output": int(cost * 9_000)}, cost, provider="cursor", tool_name="cursor",
        model="claude-sonnet-5", user_id="agent-runner@example.com", agent_name="cursor-cloud", session_id=f"bc-{day:%m%d}",
        repository=_REPOS[0], branch=branch, money_basis="cash", source="api",
    )  # fmt: skip
    commits.append({
        "repository": _REPOS[0], "branch": branch, "commit_id": f"a{day:%m%d}".ljust(40, "0"), "committed_at": start + dt.timedelta(hours=1),
        "agent_name": "cursor-cloud", "tool_name": "cursor", "merged_at": start + dt.timedelta(hours=30) if day.weekday() == 1 else None,
        "pull_request": f"{_REPOS[0]}#9{day:%m%d}", "source": "api",
    })  # fmt: skip


def _bills(rows: list[dict[str, Any]], held: pd.DataFrame, prices: SeatPrices) -> pd.DataFrame:
    """Invoices: seats (those of Claude without names), and use on demand as one line per period."""
    from finops_ai.frames import concat

    seats = prices.charges(held, Window.of(FIRST, LAST + dt.timedelta(days=1)))
    named = seats[(seats["provider"] != "anthropic").to_numpy(bool)]
    lines: list[dict[str, Any]] = []
    for month in (9, 10):
        lines.append({
            "provider": "anthropic", "charge_category": "Purchase", "charge_description": "Team premium seats x 4", "billed_cost": Decimal(500),
            "start": dt.date(2026, month, 1), "end": dt.date(2026, month + 1, 1),
        })  # fmt: skip
    periods = {
        "cursor": [(dt.date(2026, 9, 12), dt.date(2026, 10, 12)), (dt.date(2026, 10, 12), dt.date(2026, 11, 12))],
        "github-copilot": [(dt.date(2026, 9, 1), dt.date(2026, 10, 1)), (dt.date(2026, 10, 1), dt.date(2026, 11, 1))],
    }
    for provider, spans in periods.items():
        for start, end in spans:
            cash = sum(
                (r["billed_cost"] for r in rows if r["provider"] == provider and r["money_basis"] == "cash" and r.get("billed_cost")
                 and start <= r["charge_period_start"].date() < end), Decimal(0),
            )  # fmt: skip
            if cash:
                lines.append({
                    "provider": provider, "charge_category": "Usage", "charge_description": "Use beyond what is included", "billed_cost": cash,
                    "start": start, "end": end,
                })  # fmt: skip
    columns: dict[str, list[Any]] = {
        name: [line[name] for line in lines]
        for name in ("provider", "charge_category", "charge_description", "billed_cost")
    }
    for prefix in ("billing", "charge"):
        columns[f"{prefix}_period_start"] = [_at(line["start"]) for line in lines]
        columns[f"{prefix}_period_end"] = [_at(line["end"]) for line in lines]
    n = len(lines)
    columns |= {
        "billing_account_id": ["acme"] * n,
        "meter": ["unmapped"] * n,
        "billing_currency": ["USD"] * n,
        "source": ["file"] * n,
    }
    return concat([named.assign(billing_account_id="acme"), conform(columns, BillFrame, source="sample")], BillFrame)


SETTINGS = """# Fourteen engineers with seats of Cursor, GitHub Copilot and Claude, as collected from their vendors.
[workspace]
name = "Sample engineers"

[people]
accounts = "accounts.csv"              # who is who, by day: account, person, provider, kind, valid_from, valid_to
teams = "teams.csv"                    # person, team, valid_from, valid_to
smallest = 5                           # teams of fewer people are one row
idle_days = 30                         # without any event, a seat is idle
grace_hours = 2                        # a commit belongs to a session this long after it

[[seats]]                              # Cursor's billing cycle begins on the 12th
provider = "cursor"
plan = "teams-standard"
clock = 12

[[seats]]
provider = "cursor"
plan = "teams-premium"
clock = 12

[dimensions.tool]
default = "other"
[[rules]]
name = "the tool"
when = { provider = ["cursor", "github-copilot", "anthropic"] }
set = { tool = "{provider}" }
"""


def write_people(folder: str | Path) -> Path:
    """Write a workspace of the engineers: finops.toml, who is who, a lake that is filled, seats and commits.

    Args:
        folder: where to; made if it isn't there.

    Returns:
        Its finops.toml.

    >>> import tempfile
    >>> import finops_ai as fa
    >>> ws = fa.open(write_people(tempfile.mkdtemp()))
    >>> ws.months(), ws.name
    (['2026-09', '2026-10'], 'Sample engineers')
    """
    from finops_ai.store.beside import keep
    from finops_ai.workspace import open as open_workspace

    root, people = Path(folder), engineers()
    root.mkdir(parents=True, exist_ok=True)
    accounts, teams = _tables()
    for name, rows in (("accounts.csv", accounts), ("teams.csv", teams)):
        heads = list(dict.fromkeys(key for row in rows for key in row))
        lines = [",".join(heads), *(",".join(str(row.get(h, "")) for h in heads) for row in rows)]
        (root / name).write_text("\n".join(lines) + "\n", "utf-8")
    file = root / "finops.toml"
    file.write_text(SETTINGS, "utf-8")
    ws = open_workspace(file)
    for provider in ("cursor", "github-copilot", "anthropic"):
        tokens = people.tokens[(people.tokens["provider"] == provider).to_numpy(bool)]
        bills = people.bills[(people.bills["provider"] == provider).to_numpy(bool)]
        whole = Window.of(dt.date(2026, 1, 1), LAST + dt.timedelta(days=1))
        ws.lake.replace_window(provider, whole, {"tokens": tokens, "bills": bills}, {"fresh_until": str(whole.end)})
    keep(root, "sample", "seats", people.seats)
    keep(root, "sample", "commits", people.commits)
    return file


@cache
def people_workspace() -> Workspace:
    """The engineers' workspace, made once per process in a temporary folder."""
    from finops_ai.workspace import open as open_workspace

    folder = tempfile.TemporaryDirectory(prefix="finops-people-")
    _FOLDERS.append(folder)
    return open_workspace(write_people(folder.name))


_FOLDERS: list[Any] = []

__all__ = ["Engineers", "engineers", "people_workspace", "write_people"]
