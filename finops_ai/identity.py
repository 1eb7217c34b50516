"""Who is who, by day: accounts (e-mails, logins, ids, devices, service accounts) to people, people to teams."""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd
import pyarrow as pa

from finops_ai.errors import DataError, hint

FIRST, LAST = dt.date(1, 1, 1), dt.date(9999, 12, 31)
#: what a person without a team on a day belongs to
NO_TEAM = "unallocated"
#: a file, a frame or a list of rows
Table: TypeAlias = str | Path | pd.DataFrame | Iterable[Mapping[str, Any]]
_COLUMNS = ("account", "person", "team", "provider", "kind", "valid_from", "valid_to")
_KINDS = ("email", "login", "id", "device", "service")


@dataclass(frozen=True)
class Identities:
    """A dated table of who is who. Make one with `Identities.load`; days are half open, names compare in any case.

    Attributes:
        spans: one row per account and stretch of days with one person and one team, without gaps: (provider or None,
            account, person or None, team or None, first day, day after).
        kinds: account -> email, login, id, device or service, where the table says it.
        salt: what masked names are made with.

    Example:
        >>> who = Identities.load([{"account": "Ada@Example.com", "person": "Ada", "team": "web"}])
        >>> who.on("ada@example.com", dt.date(2026, 10, 1))
        ('Ada', 'web')
    """

    spans: tuple[tuple[str | None, str, str | None, str | None, dt.date, dt.date], ...] = ()
    kinds: Mapping[str, str] = field(default_factory=dict)
    salt: str = ""

    @classmethod
    def load(cls, accounts: Table, teams: Table | None = None, *, salt: str = "") -> Identities:
        """Read who is who.

        Args:
            accounts: a CSV, a frame or rows of `account`, `person`, and optionally `team`, `provider` (the account is known
                to that connector alone), `kind` (email, login, id, device, service), `valid_from` and `valid_to` (days, end
                excluded, blank = open). Rows of one account follow each other; e-mails and logins compare in any case.
            teams: the teams of people, where they stand in a table of their own: `person`, `team`, `valid_from`, `valid_to`.
            salt: a secret text that masked names are made with; by default one made of the table, which changes with it.

        Raises:
            DataError: a missing column, a day that is none, an account of two people or a person in two teams on one day.

        Example:
            >>> who = Identities.load(
            ...     [{"account": "Ada@Example.com", "person": "Ada"}, {"account": "ada-q", "person": "Ada", "provider": "github-copilot"}],
            ...     [{"person": "Ada", "team": "web", "valid_to": "2026-10-15"}, {"person": "Ada", "team": "core", "valid_from": "2026-10-15"}])
            >>> [who.on("ADA@example.com", dt.date(2026, 10, day)) for day in (14, 15)]
            [('Ada', 'web'), ('Ada', 'core')]
            >>> who.on("ada-q", dt.date(2026, 10, 1), "cursor")
            (None, None)
        """
        rows = _rows(accounts, "accounts", ("account", "person"))
        places: dict[tuple[str | None, str], list[tuple[dt.date, dt.date, str]]] = {}
        member: dict[str, list[tuple[dt.date, dt.date, str]]] = {}
        kinds: dict[str, str] = {}
        for where, row in rows:
            kind = row.get("kind", "").lower()
            if kind and kind not in _KINDS:
                raise DataError(f"{where}: kind {kind!r} is unknown. {hint(kind, _KINDS)}")
            account, provider = _same(row["account"]), _same(row.get("provider", "")) or None
            since, until = _validity(row, where)
            places.setdefault((provider, account), []).append((since, until, row["person"]))
            if kind:
                kinds[account] = kind
            if row.get("team"):
                member.setdefault(row["person"], []).append((since, until, row["team"]))
        for where, row in _rows(teams, "teams", ("person", "team")) if teams is not None else []:
            member.setdefault(row["person"], []).append((*_validity(row, where), row["team"]))
        people = {name: _apart(stretches, f"person {name!r}", "team") for name, stretches in member.items()}
        spans = [
            (provider, account, *span)
            for (provider, account), stretches in sorted(places.items(), key=str)
            for span in _cut(_apart(stretches, f"account {account!r}", "person"), people)
        ]
        return cls(tuple(spans), kinds, salt or hashlib.sha256(repr(spans).encode()).hexdigest())

    def on(self, account: str, day: dt.date, provider: str | None = None) -> tuple[str | None, str | None]:
        """Person and team of an account on a day; None where the table doesn't say."""
        account = _same(account)
        for place in (_same(provider or "") or None, None):
            found = [s for s in self.spans if s[:2] == (place, account)]
            if found:
                return next(((s[2], s[3]) for s in found if s[4] <= day < s[5]), (None, None))
        return None, None

    def people(self) -> list[str]:
        """Everybody the table names, in alphabetical order."""
        return sorted({s[2] for s in self.spans if s[2]})

    def table(self) -> pa.Table:
        """The stretches as Arrow: `key` (provider, a slash and account; a bare slash before accounts of every provider), `person`, `team`, `since`, `until`."""
        spans = self.spans
        return pa.table({
            "key": pa.array([f"{s[0] or ''}/{s[1]}" for s in spans], pa.string()),
            "person": pa.array([s[2] for s in spans], pa.string()),
            "team": pa.array([s[3] for s in spans], pa.string()),
            "since": pa.array([s[4] for s in spans], pa.date32()),
            "until": pa.array([s[5] for s in spans], pa.date32()),
        })  # fmt: skip


def _same(text: str) -> str:
    """An account as it is compared: e-mails and logins are the same in any case."""
    return str(text).strip().lower()


def _rows(table: Table, what: str, needed: tuple[str, ...]) -> list[tuple[str, dict[str, str]]]:
    """The rows as text, blank where nothing is said, each with where it stands."""
    if isinstance(table, pd.DataFrame):
        records: Iterable[Mapping[str, Any]] = table.astype(object).where(table.notna(), None).to_dict("records")  # type: ignore[assignment]
        place = what
    elif isinstance(table, str | Path):
        place = str(table)
        try:
            with Path(table).expanduser().open(encoding="utf-8-sig", newline="") as handle:
                records = [row for row in csv.DictReader(handle) if any(row.values())]
        except FileNotFoundError:
            raise DataError(f"There is no file {table} of {what}. Check the path.") from None
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise DataError(f"{table} is not a readable CSV in UTF-8: {error}.") from None
    else:
        records, place = list(table), what
    out = []
    for line, record in enumerate(records, 2 if isinstance(table, str | Path) else 1):
        where = f"{place}, line {line}"
        row = {str(k).strip(): "" if v is None else str(v).strip() for k, v in record.items() if k is not None}
        if unknown := [k for k in row if k not in _COLUMNS]:
            raise DataError(f"{where}: no column {unknown[0]!r}. {hint(unknown[0], _COLUMNS)}")
        if missing := [k for k in needed if not row.get(k)]:
            raise DataError(f"{where}: {missing[0]} is missing; rows of {what} need {' and '.join(needed)}.")
        out.append((where, row))
    return out


def _validity(row: Mapping[str, str], where: str) -> tuple[dt.date, dt.date]:
    days = []
    for column, blank in (("valid_from", FIRST), ("valid_to", LAST)):
        text = row.get(column, "")
        try:
            days.append(dt.datetime.fromisoformat(text).date() if text else blank)
        except ValueError:
            raise DataError(f"{where}: {column} {text!r} is not a day; write 2026-10-01.") from None
    if days[0] >= days[1]:
        raise DataError(f"{where}: valid_from {days[0]} is not before valid_to {days[1]} (end excluded).")
    return days[0], days[1]


def _apart(
    stretches: list[tuple[dt.date, dt.date, str]], whose: str, what: str
) -> list[tuple[dt.date, dt.date, str | None]]:
    """Stretches in order that cover all time: those that say the same and touch are one, those between say None."""
    out: list[tuple[dt.date, dt.date, str | None]] = []
    for since, until, value in sorted(stretches):
        if out and since < out[-1][1] and value != out[-1][2]:
            raise DataError(
                f"On {max(since, out[-1][0])}, {whose} has two {what}s, {out[-1][2]!r} and {value!r}. Close the earlier row with valid_to."
            )
        if out and since <= out[-1][1] and value == out[-1][2]:
            out[-1] = (out[-1][0], max(until, out[-1][1]), value)
        else:
            if out and out[-1][1] < since:
                out.append((out[-1][1], since, None))
            out.append((since, until, value))
    if not out:
        return [(FIRST, LAST, None)]
    head = [(FIRST, out[0][0], None)] if out[0][0] > FIRST else []
    tail = [(out[-1][1], LAST, None)] if out[-1][1] < LAST else []
    return [*head, *out, *tail]


def _cut(
    owners: list[tuple[dt.date, dt.date, str | None]], people: Mapping[str, list[tuple[dt.date, dt.date, str | None]]]
) -> Iterable[tuple[str | None, str | None, dt.date, dt.date]]:
    """An account's stretches cut where its person changes team: (person, team, first day, day after)."""
    for since, until, person in owners:
        teams = people.get(person or "", [(FIRST, LAST, None)])
        edges = sorted({since, until, *(edge for team in teams for edge in team[:2] if since < edge < until)})
        for first, after in itertools.pairwise(edges):
            team = next((t[2] for t in teams if t[0] <= first < t[1]), None)
            yield person, team, first, after


__all__ = ["Identities"]
