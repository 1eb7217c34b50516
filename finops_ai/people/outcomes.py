"""What came of the work of coding tools: each session's cost linked to commits and pull requests, by a method that is said."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa

from finops_ai.engine.dialects import DUCKDB
from finops_ai.engine.duck import Scan, connect, offsets_of
from finops_ai.engine.plan import ESTIMATE, INCLUDED
from finops_ai.engine.weights import units
from finops_ai.errors import CheckFailed, FrameError, hint
from finops_ai.frames import to_pandas
from finops_ai.frames.origin import zone_of
from finops_ai.frames.types import COST_TYPE
from finops_ai.identity import NO_TEAM, Identities
from finops_ai.money import COST
from finops_ai.people.privacy import Privacy, told
from finops_ai.people.vendors import vendor_sql
from finops_ai.periods import instant, zone
from finops_ai.tables.grouping import currency_of
from finops_ai.tables.result import Facts, Table
from finops_ai.tables.spreading import as_cost, register_who

if TYPE_CHECKING:
    import duckdb

#: how a session and a commit are linked, strictest first, and how sure that is
METHODS: dict[str, str] = {
    "exact": "high", "agent": "high", "window": "medium", "person and day": "low", "unmatched": "none", "not joinable": "none",
}  # fmt: skip
MONEYS = ("cost", "included_cost", "list_value")
_TEXTS = ("provider", "tool_name", "user_id", "session_id", "agent_name", "repository", "branch", "price_status")
#: beginnings of branches that cloud agents make, and whose they are
_AGENT_BRANCHES = {"copilot/": "github-copilot", "codex/": "codex", "cursor/": "cursor", "claude/": "anthropic"}


def outcomes(
    usage: pd.DataFrame,
    commits: pd.DataFrame,
    identities: Identities | None = None,
    *,
    as_of: dt.datetime | dt.date | str | None = None,
    grace: dt.timedelta = dt.timedelta(hours=2),
    privacy: Privacy | None = None,
    timezone: str | None = None,
) -> Table:
    """Link the cost of each session to the commits it led to; what leads to none is shown, so that all adds up.

    A session goes to at most one set of commits, by the first method that finds any, and is divided equally among them:

    1. **exact**: a commit names the session;
    2. **agent**: a cloud agent's session, and commits of that agent, or on a branch it made, in the same repository and branch;
    3. **window**: same person, repository and branch, committed within the session or `grace` after it;
    4. **person and day**: same person, same day.

    A commit that names a session of the data belongs to it alone. What no method finds is **unmatched**: work that was
    abandoned, or not committed yet. Use that names no person, agent or known session is **not joinable**.

    Args:
        usage: priced rows with `session_id`, `user_id`, `repository`, `branch` and `agent_name` where known; rows without a
            session are one per person, tool, repository, branch and day.
        commits: commit frame (`fa.read_commits`, or a connector's).
        identities: who is who, so that an e-mail, a login and a device are one person.
        as_of: until when commits are known; by default the latest instant of the data. Sessions whose window isn't over are not final.
        grace: how long after a session a commit still belongs to it.
        privacy: what may be seen of persons.
        timezone: whose days; by default that of the rows.

    Returns:
        One row per session (and repository and branch) and commit: `day` (on which it began), `session_id`, `person`, `team`,
        `tool` (the vendor), `repository`, `branch`, `commit_id`, `pull_request`, `merged_at`, `reverted` (a later commit took it back), `method`, `confidence`, `final`, and
        its part of three moneys that are never added: `cost` (cash), `included_cost`, `list_value`. Each adds up to its total
        exactly. `fa.outcome_costs` sums it up.

    Raises:
        FrameError: usage that isn't priced.
        DataError: costs in several currencies.
        CheckFailed: a part of a session's cost that is in no row.

    Example:
        >>> import finops_ai as fa
        >>> people = fa.sample.engineers()
        >>> links = fa.outcomes(people.usage, people.commits, people.identities)
        >>> sorted(set(links["method"]))
        ['agent', 'exact', 'not joinable', 'person and day', 'unmatched', 'window']
    """
    if "price_status" not in usage.columns:
        raise FrameError("fa.outcomes takes priced rows; call fa.price first.")
    identities = identities or Identities()
    privacy, timezone, currency = told(privacy, identities), zone_of(usage, timezone=timezone), currency_of(usage)
    ends = [s.max() for s in (usage["charge_period_end"], commits["committed_at"]) if len(s)]
    now = (
        instant(as_of, timezone)
        if as_of is not None
        else (max(ends).to_pydatetime() if ends else instant("1970-01-01"))
    )
    with connect() as con:
        register_who(con, identities, [])
        _register_sessions(con, usage, timezone)
        _register_commits(con, commits, timezone)
        found = _linked(con, grace, now, timezone)
        _check(con, found)
    names: dict[tuple[str | None, str | None], str] = {}
    for key in zip(found["person"].to_pylist(), found["account"].to_pylist(), strict=True):
        names.setdefault(key, privacy.name(*key))
    shown = [names[key] for key in zip(found["person"].to_pylist(), found["account"].to_pylist(), strict=True)]
    confidence = [METHODS[method] for method in found["method"].to_pylist()]
    found = found.set_column(found.column_names.index("person"), "person", pa.array(shown, pa.string())).drop_columns(
        ["account"]
    )
    found = found.append_column("confidence", pa.array(confidence, pa.string()))
    order = ["day", "session_id", "person", "team", "tool", "repository", "branch", "commit_id", "pull_request", "merged_at",
             "reverted", "method", "confidence", "final", *MONEYS]  # fmt: skip
    kinds = pa.schema([(n, COST_TYPE if n in MONEYS else pa.timestamp("us", "UTC") if n == "merged_at" else found.schema.field(n).type) for n in order])  # fmt: skip
    facts = Facts(
        "Sessions and what came of them",
        currency,
        conserves="matched, unmatched and not joinable are all that sessions cost, in each of three moneys",
        notes=_notes(found, grace),
        money=list(MONEYS),
        charged=True,
    )
    return Table.of(to_pandas(found.select(order).cast(kinds)), facts, usage)


def _register_sessions(con: duckdb.DuckDBPyConnection, usage: pd.DataFrame, timezone: str) -> None:
    """Make the table `sessions`: pieces of sessions, one per repository and branch, with their span, person and moneys."""
    scan = Scan(
        con, usage, [*_TEXTS, "charge_period_start", "charge_period_end", "effective_cost", "list_cost"], name="rows"
    )
    start, end = scan.column("charge_period_start"), scan.column("charge_period_end")
    texts = ", ".join(f"{scan.column(name)} AS {name}" for name in _TEXTS)
    sums = {
        "cost": f"CASE WHEN coalesce(price_status, '') NOT IN ('{INCLUDED}', '{ESTIMATE}') THEN {units(scan.column('effective_cost'), COST[1])} END",
        "included_cost": f"CASE WHEN price_status = '{INCLUDED}' THEN {units(scan.column('list_cost'), COST[1])} END",
        "list_value": f"CASE WHEN price_status = '{ESTIMATE}' THEN {units(scan.column('list_cost'), COST[1])} END",
    }
    local = DUCKDB.local_time(start, offsets_of(usage["charge_period_start"], timezone))
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE sessions AS
        WITH r AS (
          SELECT {texts}, {start} AS start, {end} AS till, CAST({local} AS DATE) AS day,
            {", ".join(f"{sql} AS {name}" for name, sql in sums.items())} FROM {scan.name}),
        k AS (
          SELECT *, lower(trim(user_id)) AS account, {vendor_sql("provider", "tool_name")} AS vendor,
            lower(regexp_replace(repository, '\\.git$', '')) AS repo FROM r),
        g AS (
          SELECT session_id, CASE WHEN session_id IS NULL THEN day END AS _day, account, vendor, agent_name, repository, repo, branch,
            any_value(provider) AS provider, min(start) AS start, max(till) AS till, min(day) AS day, max(day) AS last_day,
            {", ".join(f"CAST(coalesce(sum({name}), 0) AS HUGEINT) AS {name}" for name in MONEYS)}
          FROM k GROUP BY session_id, _day, account, vendor, agent_name, repository, repo, branch)
        SELECT row_number() OVER (ORDER BY g.start, g.session_id, g.account, g.vendor, g.repo, g.branch, g.agent_name) AS id, g.*, w.person, w.team,
          CASE WHEN g.account IS NOT NULL THEN coalesce(w.person, '?' || g.account) END AS who
        FROM g
          LEFT JOIN who_keys own ON own.key = lower(g.provider) || '/' || g.account
          LEFT JOIN who_keys any_ ON any_.key = '/' || g.account
          LEFT JOIN who w ON w.key = coalesce(own.key, any_.key) AND g.day >= w.since AND g.day < w.until""")


def _register_commits(con: duckdb.DuckDBPyConnection, commits: pd.DataFrame, timezone: str) -> None:
    """Make the table `made`: commits with their person, day and, where a cloud agent made them, whose agent."""
    names = ["repository", "branch", "commit_id", "user_id", "committed_at", "session_id", "tool_name", "agent_name", "merged_at", "pull_request", "reverted_by"]  # fmt: skip
    scan = Scan(con, commits, names, name="listed_commits")
    at, merged = (f"CAST({scan.column(name)} AS TIMESTAMP)" for name in ("committed_at", "merged_at"))
    plain = ", ".join(f"CAST({scan.column(n)} AS VARCHAR) AS {n}" for n in names if not n.endswith("_at"))
    local = DUCKDB.local_time(at, offsets_of(commits["committed_at"], timezone))
    # of a commit that several sources tell of, what any of them knows
    same = ["branch", "user_id", "tool_name", "agent_name", "merged_at", "pull_request", "reverted_by"]
    filled = ", ".join(f"coalesce({n}, max({n}) OVER same) AS {n}" for n in same)
    filled += ", max_by(repository, length(repository)) OVER same AS repository"
    branch = " ".join(f"WHEN branch LIKE '{begin}%' THEN '{vendor}'" for begin, vendor in _AGENT_BRANCHES.items())
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE made AS
        WITH listed AS (
          SELECT {plain}, {at} AS committed_at, {merged} AS merged_at, CAST({local} AS DATE) AS day,
            lower(regexp_extract(regexp_replace(repository, '\\.git$', ''), '[^/]*$')) AS short FROM listed_commits),
        c AS (
          SELECT DISTINCT ON (commit_id, short, session_id) * REPLACE ({filled}) FROM listed
          WINDOW same AS (PARTITION BY commit_id, short)
          QUALIFY session_id IS NOT NULL OR count(session_id) OVER same = 0
          ORDER BY commit_id, short, session_id),
        k AS (
          SELECT *, lower(trim(user_id)) AS account, lower(regexp_replace(repository, '\\.git$', '')) AS repo,
            CASE {branch} WHEN agent_name IS NOT NULL THEN coalesce({vendor_sql("coalesce(tool_name, agent_name)")}, '') END AS agent_of
          FROM c),
        own AS (SELECT substr(key, position('/' IN key) + 1) AS account, min(key) AS key FROM who_keys GROUP BY 1)
        SELECT k.*, w.person, CASE WHEN k.account IS NOT NULL THEN coalesce(w.person, '?' || k.account) END AS who,
          bool_or(k.session_id IS NOT NULL AND k.session_id IN (SELECT session_id FROM sessions WHERE session_id IS NOT NULL))
            OVER (PARTITION BY k.commit_id, k.repo) AS named
        FROM k LEFT JOIN own ON own.account = k.account
          LEFT JOIN who w ON w.key = own.key AND k.day >= w.since AND k.day < w.until""")


#: whether a session's repository and a commit's are one: names without an owner compare with the last part of others
_SAME_REPO = (
    "(s.repo = m.repo OR ((position('/' IN s.repo) = 0 OR position('/' IN m.repo) = 0) "
    "AND regexp_extract(s.repo, '[^/]*$') = regexp_extract(m.repo, '[^/]*$')))"
)
_SAME_BRANCH = "(s.branch IS NULL OR m.branch IS NULL OR s.branch = m.branch)"


def _linked(con: duckdb.DuckDBPyConnection, grace: dt.timedelta, now: dt.datetime, timezone: str) -> pa.Table:
    """Sessions with the commits of the first method that finds any, and their parts."""
    seconds = int(grace.total_seconds())
    within = f"m.committed_at >= s.start AND m.committed_at <= s.till + INTERVAL {seconds} SECOND"
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE links AS
        SELECT s.id, m.commit_id, m.repo, 1 AS rank FROM sessions s JOIN made m ON m.session_id = s.session_id
          WHERE s.repo IS NULL OR {_SAME_REPO}
            OR NOT EXISTS (SELECT 1 FROM sessions o WHERE o.session_id = s.session_id AND o.repo = m.repo)
        UNION ALL
        SELECT s.id, m.commit_id, m.repo, 2 FROM sessions s JOIN made m ON {_SAME_REPO} AND s.agent_name IS NOT NULL AND m.agent_of IS NOT NULL
          AND NOT m.named AND (m.agent_name = s.agent_name OR m.agent_of = s.vendor)
          AND CASE WHEN s.branch IS NOT NULL AND m.branch IS NOT NULL THEN s.branch = m.branch AND m.committed_at >= s.start ELSE {within} END
        UNION ALL
        SELECT s.id, m.commit_id, m.repo, 3 FROM sessions s JOIN made m ON s.who = m.who AND {_SAME_REPO} AND {_SAME_BRANCH} AND NOT m.named AND {within}
        UNION ALL
        SELECT s.id, m.commit_id, m.repo, 4 FROM sessions s JOIN made m ON s.who = m.who AND NOT m.named AND m.day >= s.day AND m.day <= s.last_day""")
    local_now = now.astimezone(zone(timezone)).date()
    methods = " ".join(f"WHEN {n} THEN '{name}'" for n, name in enumerate(list(METHODS)[:4], 1))
    parts = ", ".join(
        f"{as_cost(f'CAST({name} * CAST(n AS HUGEINT) // of_all - {name} * CAST(n - 1 AS HUGEINT) // of_all AS HUGEINT)')} AS {name}"
        for name in MONEYS
    )
    return con.sql(f"""
        WITH best AS (SELECT id, min(rank) AS rank FROM links GROUP BY id),
        chosen AS (SELECT DISTINCT l.* FROM links l JOIN best b USING (id, rank)),
        numbered AS (
          SELECT c.id, c.rank, m.commit_id, m.pull_request, m.merged_at, m.reverted_by IS NOT NULL AS reverted, m.repository AS made_in,
            row_number() OVER (PARTITION BY c.id ORDER BY m.committed_at, m.repo, m.commit_id) AS n, CAST(count(*) OVER (PARTITION BY c.id) AS HUGEINT) AS of_all
          FROM chosen c JOIN (SELECT DISTINCT ON (commit_id, repo) * FROM made ORDER BY commit_id, repo, pull_request NULLS LAST, merged_at NULLS LAST) m
            ON m.commit_id = c.commit_id AND m.repo = c.repo),
        whole AS (
          SELECT s.* EXCLUDE (cost, included_cost, list_value), s.cost, s.included_cost, s.list_value, coalesce(x.n, 1) AS n, coalesce(x.of_all, 1) AS of_all,
            x.rank, x.commit_id, x.pull_request, x.merged_at, x.reverted, x.made_in
          FROM sessions s LEFT JOIN numbered x ON x.id = s.id)
        SELECT day, session_id, person, CASE WHEN person IS NULL THEN account END AS account, coalesce(team, '{NO_TEAM}') AS team, vendor AS tool,
          coalesce(made_in, repository) AS repository, branch, commit_id, pull_request, merged_at, coalesce(reverted, FALSE) AS reverted,
          CASE rank {methods} ELSE CASE WHEN who IS NULL AND agent_name IS NULL THEN 'not joinable' ELSE 'unmatched' END END AS method,
          coalesce(rank = 1, FALSE) OR (till + INTERVAL {seconds} SECOND <= TIMESTAMP '{now:%Y-%m-%d %H:%M:%S.%f}' AND last_day < DATE '{local_now}') AS final,
          {parts}
        FROM whole ORDER BY day, start, id, n""").to_arrow_table()


def _check(con: duckdb.DuckDBPyConnection, found: pa.Table) -> None:
    """Each money of all sessions is in the rows, to the last digit."""
    wanted = con.execute(
        f"SELECT {', '.join(f'coalesce(sum({name}), 0)' for name in MONEYS)} FROM sessions"
    ).fetchall()[0]
    for name, units_ in zip(MONEYS, wanted, strict=True):
        made = sum((v for v in found[name].to_pylist() if v is not None), Decimal(0))
        if made != Decimal(int(units_)).scaleb(-COST[1]):
            raise CheckFailed(
                f"fa.outcomes: {name} of the rows is {made}, that of the sessions {Decimal(int(units_)).scaleb(-COST[1])}."
            )


def _notes(found: pa.Table, grace: dt.timedelta) -> list[str]:
    hours = grace / dt.timedelta(hours=1)
    notes = [
        f"Window: within the session and {hours:g} hours after it. Cash, use of allowances and list value are never added."
    ]
    if open_ := found["final"].to_pylist().count(False):
        notes.append(f"{open_:,} rows are not final: their window isn't over.")
    return notes


def outcome_costs(
    links: pd.DataFrame, unit: str = "pull_request", *, by: Sequence[str] = (), money: str = "cost"
) -> Table:
    """What a merged pull request, a commit or a session costs, with all that came of nothing beside it.

    Args:
        links: what `fa.outcomes` returns.
        unit: "pull_request" (merged ones, each counted once, on the day it was merged), "commit" or "session".
        by: of team, tool, repository and month (that of the merge, else of the session).
        money: which of three moneys: cost (cash), included_cost or list_value; they are never added.

    Returns:
        One row per group: `outcomes` (how many), `matched` (cost that led to them), `unmatched` (to commits of none of them, or to
        nothing: abandoned work and what isn't merged yet), `not_joinable`, `total`, their sum; `mean`, `median` and `p90` (the
        nearest rank) of an outcome's matched cost, `all_in` (total per outcome, abandoned work included), `reverted` (of the matched cost, to commits
        that were taken back since); null where there is no
        outcome; `not_final` (of the total, in windows that aren't over).

    Raises:
        FrameError: an unknown unit, key or money.

    Example:
        >>> import finops_ai as fa
        >>> people = fa.sample.engineers()
        >>> links = fa.outcomes(people.usage, people.commits, people.identities)
        >>> row = fa.outcome_costs(links, money="list_value").iloc[0]
        >>> row["matched"] + row["unmatched"] + row["not_joinable"] == row["total"] == sum(links["list_value"])
        True
    """
    units_ = {"pull_request": "merged pull request", "commit": "commit", "session": "session"}
    keys = ("team", "tool", "repository", "month")
    for value, known in ((unit, units_), (money, MONEYS), *((key, keys) for key in by)):
        if value not in known:
            raise FrameError(f"outcome_costs knows no {value!r}. {hint(value, list(known))}")
    merged_on = {
        row["pull_request"]: row["merged_at"]
        for row in links[["pull_request", "merged_at"]].to_dict("records")
        if isinstance(row["pull_request"], str) and not pd.isna(row["merged_at"])
    }
    groups: dict[tuple[Any, ...], dict[str, Any]] = {}
    names = [*keys[:3], "day", "session_id", "commit_id", "pull_request", "reverted", "method", "final", money]
    for number, row in enumerate(links[names].astype(object).to_dict("records")):
        outcome = _outcome_of(row, unit, merged_on, number)
        month = merged_on.get(row["pull_request"], row["day"]) if unit == "pull_request" and outcome else row["day"]
        row["month"] = f"{month:%Y-%m}"
        group = groups.setdefault(tuple(row[k] for k in by), {"each": {}, "unmatched": Decimal(0), "not_joinable": Decimal(0), "open": Decimal(0), "reverted": Decimal(0)})  # fmt: skip
        amount = row[money] or Decimal(0)
        if outcome:
            group["each"][outcome] = group["each"].get(outcome, Decimal(0)) + amount
        else:
            group["not_joinable" if row["method"] == "not joinable" else "unmatched"] += amount
        group["reverted"] += amount if outcome and row["reverted"] else Decimal(0)
        group["open"] += Decimal(0) if row["final"] else amount
    rows = [dict(zip(by, key, strict=True)) | _figures(group) for key, group in sorted(groups.items(), key=str)]
    kinds: dict[str, pa.DataType] = dict.fromkeys(by, pa.string()) | {"outcomes": pa.int64()}
    kinds |= dict.fromkeys(
        ("matched", "unmatched", "not_joinable", "total", "mean", "median", "p90", "all_in", "reverted", "not_final"),
        COST_TYPE,
    )
    frame = to_pandas(pa.table({name: pa.array([r[name] for r in rows], kind) for name, kind in kinds.items()}))
    said = {
        "cost": "cash",
        "included_cost": "use that allowances cover, no cash",
        "list_value": "list value of logs, no cash",
    }
    currency = links.facts.currency if isinstance(links, Table) else ""
    facts = Facts(
        f"Cost per {units_[unit]}, {said[money]}",
        currency,
        conserves="matched, unmatched and not joinable are the total",
        notes=[
            f"Money: {said[money]}. The mean is of matched cost; all in is the total over all outcomes, abandoned work included; "
            "reverted is the part of the matched cost that a later commit took back."
        ],
        money=[
            "total",
            "matched",
            "unmatched",
            "not_joinable",
            "mean",
            "median",
            "p90",
            "all_in",
            "reverted",
            "not_final",
        ],
        adds=[("total", ("matched", "unmatched", "not_joinable"))],
        charged=True,
    )
    return Table.of(frame, facts, links)


def _outcome_of(row: Mapping[Any, Any], unit: str, merged_on: Mapping[str, Any], number: int) -> str | None:
    """The outcome that a row's cost led to; None where it is none of them."""
    if unit == "session":
        return None if row["method"] == "not joinable" else str(row["session_id"] or f"row {number}")
    if not isinstance(row["commit_id"], str):
        return None
    if unit == "commit":
        return f"{row['repository']} {row['commit_id']}"
    return row["pull_request"] if row["pull_request"] in merged_on else None


def _figures(group: Mapping[str, Any]) -> dict[str, Any]:
    each = sorted(group["each"].values())
    matched, count = sum(each, Decimal(0)), len(each)
    total = matched + group["unmatched"] + group["not_joinable"]
    place = Decimal(1).scaleb(-12)
    known: dict[str, Any] = dict.fromkeys(("mean", "median", "p90", "all_in"))
    if count:
        middle = (each[(count - 1) // 2] + each[count // 2]) / 2
        known = {
            "mean": (matched / count).quantize(place), "median": middle.quantize(place),
            "p90": each[-(-9 * count // 10) - 1].quantize(place), "all_in": (total / count).quantize(place),
        }  # fmt: skip
    return known | {
        "outcomes": count, "matched": matched, "unmatched": group["unmatched"], "not_joinable": group["not_joinable"],
        "total": total, "reverted": group["reverted"], "not_final": group["open"],
    }  # fmt: skip


def outcome_metrics(links: pd.DataFrame, unit: str = "pull_request") -> pd.DataFrame:
    """Outcomes per day and repository as a business metric, for `fa.unit_economics`: `day`, `repository`, `metric`, `value`.

    Args:
        links: what `fa.outcomes` returns.
        unit: "pull_request" (merged, on the day of the merge) or "commit" (on the day its session began).

    Returns:
        One row per day and repository with any.

    Raises:
        FrameError: an unknown unit.

    Example:
        >>> import finops_ai as fa
        >>> people = fa.sample.engineers()
        >>> metrics = fa.outcome_metrics(fa.outcomes(people.usage, people.commits, people.identities))
        >>> fa.unit_economics(people.usage, metrics)["metric"].unique().tolist()
        ['merged pull requests']
    """
    names = {"pull_request": "merged pull requests", "commit": "commits"}
    if unit not in names:
        raise FrameError(f"outcome_metrics knows no {unit!r}. {hint(unit, list(names))}")
    counted: dict[tuple[str, str], set[str]] = {}
    for row in links[["day", "repository", "commit_id", "pull_request", "merged_at"]].astype(object).to_dict("records"):
        if unit == "commit" and isinstance(row["commit_id"], str):
            counted.setdefault((f"{row['day']:%Y-%m-%d}", row["repository"]), set()).add(row["commit_id"])
        elif unit == "pull_request" and isinstance(row["pull_request"], str) and not pd.isna(row["merged_at"]):
            counted.setdefault((f"{row['merged_at']:%Y-%m-%d}", row["repository"]), set()).add(row["pull_request"])
    return pd.DataFrame(
        [(day, repo, names[unit], len(found)) for (day, repo), found in sorted(counted.items())],
        columns=["day", "repository", "metric", "value"],
    )


__all__ = ["METHODS", "MONEYS", "outcome_costs", "outcome_metrics", "outcomes"]
