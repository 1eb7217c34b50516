"""What came of the work: each session's cost in one set of commits, by a method that is said."""

from __future__ import annotations

from decimal import Decimal

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import finops_ai as fa
from finops_ai.frames import CommitFrame, conform
from finops_ai.identity import Identities

WHO = Identities.load([
    {"account": "ada@example.com", "person": "Ada", "team": "web"},
    {"account": "ada-q", "person": "Ada", "team": "web"},
    {"account": "bo@example.com", "person": "Bo", "team": "core"},
])  # fmt: skip
ALL = fa.Privacy(shown=True)


def at(text: str) -> pd.Timestamp:
    return pd.Timestamp(f"2026-10-{text}", tz="UTC")


def session(
    name, user, start, end, cost, repo="acme/api", branch="fix", agent=None, basis="cash", tool="cursor"
) -> dict:
    return {
        "session_id": name, "user_id": user, "charge_period_start": at(start), "charge_period_end": at(end), "billed_cost": Decimal(str(cost)),
        "repository": repo, "branch": branch, "agent_name": agent, "money_basis": basis, "tool_name": tool,
    }  # fmt: skip


def used(*rows: dict) -> pd.DataFrame:
    n = len(rows)
    columns = {name: [r[name] for r in rows] for name in rows[0]}
    return fa.price(
        conform(
            columns | {
                "provider": ["cursor"] * n, "billing_account_id": ["acme"] * n, "model": ["m"] * n, "operation": ["chat"] * n,
                "meter": ["requests"] * n, "quantity": [Decimal(1)] * n, "unit": ["requests"] * n, "service_tier": ["standard"] * n,
                "source": ["api"] * n, "quantity_basis": ["metered"] * n, "billing_currency": ["USD"] * n,
            },
            source="the test",
        )
    )  # fmt: skip


def commit(number, user, when, repo="acme/api", branch="fix", **more) -> dict:
    return {
        "commit_id": f"{number}".rjust(40, "0"), "user_id": user, "committed_at": at(when), "repository": repo, "branch": branch,
        "session_id": None, "agent_name": None, "tool_name": None, "merged_at": None, "pull_request": None, "source": "git",
    } | more  # fmt: skip


def made(*rows: dict) -> pd.DataFrame:
    names = list(rows[0])
    return conform({name: [r[name] for r in rows] for name in names}, CommitFrame, source="the test")


def linked(usage: pd.DataFrame, commits: pd.DataFrame, **more) -> pd.DataFrame:
    return fa.outcomes(usage, commits, WHO, privacy=ALL, **({"as_of": "2026-11-15"} | more))


def test_methods_are_tried_strictest_first() -> None:
    usage = used(
        session("s1", "ada@example.com", "05T09:00", "05T10:00", 1),
        session("bc", "runner", "05T09:00", "05T10:00", 2, branch="cursor/x", agent="cloud"),
        session("s3", "ADA-q", "06T09:00", "06T10:00", 4),
        session("s4", "bo@example.com", "07T09:00", "07T10:00", 8),
        session("s5", "bo@example.com", "09T09:00", "09T10:00", 16),
        session(None, None, "09T09:00", "09T10:00", 32, repo=None, branch=None),
    )
    commits = made(
        commit(1, "bo@example.com", "20T10:00", session_id="s1"),
        commit(2, None, "05T22:00", branch="cursor/x"),
        commit(3, "ada@example.com", "06T12:00"),  # two hours after, to the minute
        commit(4, "bo@example.com", "07T23:00", branch="other"),
    )
    table = linked(usage, commits).set_index("method")
    assert table["cost"].to_dict() == {
        "exact": 1, "agent": 2, "window": 4, "person and day": 8, "unmatched": 16, "not joinable": 32,
    }  # fmt: skip
    assert table["confidence"].to_dict() == {
        "exact": "high", "agent": "high", "window": "medium", "person and day": "low", "unmatched": "none", "not joinable": "none",
    }  # fmt: skip


def test_two_hours_are_the_end_of_the_window_and_a_setting() -> None:
    usage = used(session("s", "ada@example.com", "06T09:00", "06T10:00", 4))
    late = made(commit(1, "ada@example.com", "06T12:01"))
    assert linked(usage, late)["method"].tolist() == ["person and day"]
    assert linked(usage, late, grace=pd.Timedelta(hours=3).to_pytimedelta())["method"].tolist() == ["window"]
    before = made(commit(1, "ada@example.com", "06T08:59"))
    assert linked(usage, before)["method"].tolist() == ["person and day"]
    elsewhere = made(commit(1, "ada@example.com", "06T09:30", branch="main"))
    assert linked(usage, elsewhere)["method"].tolist() == ["person and day"]
    another = made(commit(1, "bo@example.com", "06T09:30"))
    assert linked(usage, another)["method"].tolist() == ["unmatched"]


def test_a_session_is_divided_equally_and_never_counted_twice() -> None:
    usage = used(session("s", "ada@example.com", "06T09:00", "06T10:00", "0.1"))
    commits = made(*(commit(n, "ada@example.com", f"06T09:{n}0") for n in (1, 2, 3)))
    table = linked(usage, commits)
    assert len(table) == 3
    assert sum(table["cost"]) == Decimal("0.1")
    assert max(table["cost"]) - min(table["cost"]) <= Decimal("1e-18")


def test_a_commit_that_names_its_session_is_no_other_sessions() -> None:
    usage = used(
        session("s1", "ada@example.com", "06T09:00", "06T10:00", 1),
        session("s2", "ada@example.com", "06T09:00", "06T10:00", 2),
    )
    table = linked(usage, made(commit(1, "ada@example.com", "06T09:30", session_id="s1"))).set_index("session_id")
    assert table["method"].to_dict() == {"s1": "exact", "s2": "unmatched"}


def test_repositories_with_and_without_an_owner_are_one() -> None:
    usage = used(session("s", "ada@example.com", "06T09:00", "06T10:00", 1, repo="API.git"))
    assert linked(usage, made(commit(1, "ada@example.com", "06T09:30")))["method"].tolist() == ["window"]


def test_windows_that_are_open_are_not_final() -> None:
    usage = used(session("s", "ada@example.com", "06T09:00", "06T10:00", 1))
    commits = made(commit(1, "ada@example.com", "06T09:30"))
    assert linked(usage, commits, as_of="2026-10-06T11:00Z")["final"].tolist() == [False]
    assert linked(usage, commits, as_of="2026-10-07T00:00Z")["final"].tolist() == [True]
    assert any("not final" in note for note in linked(usage, commits, as_of="2026-10-06T11:00Z").facts.notes)


def test_cost_per_merged_pull_request_with_what_came_of_nothing() -> None:
    usage = used(
        *(
            session(f"s{n}", "ada@example.com", f"{n:02}T09:00", f"{n:02}T10:00", cost)
            for n, cost in enumerate((1, 2, 3, 94, 50), 1)
        )
    )
    merged = {"merged_at": at("20T00:00")}
    commits = made(
        *(commit(n, "ada@example.com", f"{n:02}T09:30", pull_request=f"acme/api#{n}", **merged) for n in (1, 2, 3, 4)),
    )
    row = fa.outcome_costs(linked(usage, commits)).iloc[0]
    assert (row["outcomes"], row["matched"], row["unmatched"], row["not_joinable"], row["total"]) == (
        4,
        100,
        50,
        0,
        150,
    )
    assert (row["mean"], row["median"], row["p90"], row["all_in"]) == (25, Decimal("2.5"), 94, Decimal("37.5"))


def test_a_pull_request_of_two_sessions_counts_once_in_the_month_it_was_merged() -> None:
    usage = used(
        session("a", "ada@example.com", "06T09:00", "06T10:00", 1),
        session("b", "ada@example.com", "07T09:00", "07T10:00", 2),
    )
    said = {"pull_request": "acme/api#1", "merged_at": pd.Timestamp("2026-11-02", tz="UTC")}
    commits = made(commit(1, "ada@example.com", "06T09:30", **said), commit(2, "ada@example.com", "07T09:30", **said))
    table = fa.outcome_costs(linked(usage, commits), by=["month"])
    assert table[["month", "outcomes", "matched"]].values.tolist() == [["2026-11", 1, Decimal(3)]]


def test_no_outcome_has_no_cost_not_a_cost_of_0() -> None:
    usage = used(session("a", "ada@example.com", "06T09:00", "06T10:00", 1))
    row = fa.outcome_costs(linked(usage, made(commit(1, "bo@example.com", "01T09:30")))).iloc[0]
    assert row["outcomes"] == 0
    assert row[["mean", "median", "p90", "all_in"]].isna().all()


def test_moneys_are_linked_alike_and_never_added() -> None:
    usage = used(
        session("s", "ada@example.com", "06T09:00", "06T10:00", 3),
        session("s", "ada@example.com", "06T09:10", "06T09:20", 5, basis="included"),
    )
    row = linked(usage, made(commit(1, "ada@example.com", "06T09:30"))).iloc[0]
    assert (row["cost"], row["included_cost"], row["list_value"]) == (3, 5, 0)


def test_unit_economics_takes_outcomes_as_a_metric() -> None:
    usage = used(
        session("a", "ada@example.com", "06T09:00", "06T10:00", 1),
        session("b", "ada@example.com", "07T09:00", "07T10:00", 5),
    )
    commits = made(
        *(
            commit(n, "ada@example.com", f"0{n + 5}T09:30", pull_request=f"acme/api#{n}", merged_at=at("08T00:00"))
            for n in (1, 2)
        )
    )
    metrics = fa.outcome_metrics(linked(usage, commits))
    assert metrics.values.tolist() == [["2026-10-08", "acme/api", "merged pull requests", 2]]
    table = fa.unit_economics(usage, metrics)
    assert table["cost_per_outcome"].tolist() == [Decimal(3)]


_sessions = st.lists(
    st.tuples(
        st.sampled_from(["s1", "s2", None]), st.sampled_from(["ada@example.com", "bo@example.com", "who", None]), st.integers(1, 9),
        st.sampled_from(["acme/api", "app", None]), st.sampled_from(["fix", "codex/x", None]), st.sampled_from([None, "codex"]),
        st.decimals("0", "99", places=9), st.sampled_from(["cash", "included"]),
    ),
    min_size=1, max_size=8,
)  # fmt: skip
_commits = st.lists(
    st.tuples(
        st.sampled_from(["ada@example.com", "ada-q", "bo@example.com", None]), st.integers(1, 9), st.integers(0, 23),
        st.sampled_from(["acme/api", "acme/app"]), st.sampled_from(["fix", "codex/x", None]), st.sampled_from([None, "s1", "s9"]),
    ),
    min_size=1, max_size=8,
)  # fmt: skip


@pytest.mark.long
@settings(max_examples=15, deadline=None)
@given(_sessions, _commits)
def test_matched_unmatched_and_not_joinable_are_always_the_total(sessions: list[tuple], commits: list[tuple]) -> None:
    usage = used(*(
        session(name, user, f"{day:02}T09:00", f"{day:02}T10:00", cost, repo, branch, agent, basis)
        for name, user, day, repo, branch, agent, cost, basis in sessions
    ))  # fmt: skip
    table = linked(usage, made(*(
        commit(n, user, f"{day:02}T{hour:02}:00", repo, branch, session_id=named, pull_request=f"{repo}#{n % 3}", merged_at=at("20T00:00") if n % 2 else None)
        for n, (user, day, hour, repo, branch, named) in enumerate(commits)
    )))  # fmt: skip
    for money, basis in (("cost", "cash"), ("included_cost", "included")):
        assert sum(table[money]) == sum((s[6] for s in sessions if s[7] == basis), Decimal(0))
        for unit in ("pull_request", "commit", "session"):
            row = fa.outcome_costs(table, unit, money=money).iloc[0]
            assert row["matched"] + row["unmatched"] + row["not_joinable"] == row["total"] == sum(table[money])


def test_a_part_that_is_lost_stops_the_table(monkeypatch) -> None:
    from finops_ai.errors import CheckFailed
    from finops_ai.people import outcomes

    real = outcomes._linked
    monkeypatch.setattr(outcomes, "_linked", lambda *a: real(*a).slice(1))
    with pytest.raises(CheckFailed, match="that of the sessions"):
        linked(
            used(session("s", "ada@example.com", "06T09:00", "06T10:00", 1)),
            made(commit(1, "ada@example.com", "06T09:30")),
        )


def test_two_sessions_that_a_commit_names_both_led_to_it_and_other_sources_say_the_rest() -> None:
    """The clone knows the pull request, the vendor the session: one commit, exact for both sessions, and of the pull request."""
    usage = used(
        session("s-1", "ada@example.com", "05 09:00", "05 10:00", 6),
        session("s-2", "bo@example.com", "05 09:00", "05 10:00", 4),
        session("s-3", "ada@example.com", "05 09:30", "05 10:00", 3),  # in time, but the commit is of others
    )
    merged = {"pull_request": "acme/api#7", "merged_at": at("06 09:00")}
    commits = made(
        commit(1, "ada@example.com", "05 09:50", **merged),
        commit(1, "ada@example.com", "05 09:50", session_id="s-1", repo="API.git"),
        commit(1, "ada@example.com", "05 09:50", session_id="s-2", repo="API.git"),
    )
    links = fa.outcomes(usage, commits, WHO, privacy=ALL)
    assert {r["session_id"]: (r["method"], r["cost"]) for r in links.to_dict("records")} == {
        "s-1": ("exact", 6), "s-2": ("exact", 4), "s-3": ("unmatched", 3),
    }  # fmt: skip
    row = fa.outcome_costs(links).iloc[0]
    assert (row["outcomes"], row["matched"], row["unmatched"], row["total"], row["mean"]) == (1, 10, 3, 13, 10)


def test_the_edges_of_the_window_are_inside() -> None:
    usage = used(*(session(f"s-{n}", "ada@example.com", "05 22:00", "05 23:00", 1, branch=f"b{n}") for n in range(4)))
    commits = made(
        commit(1, "Ada@Example.com", "06 01:00", branch="b0"),  # two hours after, to the second, on the next day
        commit(2, "ada-q", "06 01:00:01", branch="b1"),  # a second later
        commit(3, "ada-q", "05 22:00", branch="b2"),  # as it began
        commit(4, "bo@example.com", "05 22:30", branch="b3"),  # another person's
    )
    links = fa.outcomes(usage, commits, WHO, privacy=ALL)
    method = {r["session_id"]: r["method"] for r in links.to_dict("records")}
    # commit 3 is Ada's of that day, too: what no window finds is low in confidence, or nothing
    assert method == {"s-0": "window", "s-1": "person and day", "s-2": "window", "s-3": "person and day"}


def test_what_was_taken_back_is_told_of_the_matched_cost() -> None:
    usage = used(
        session("s-1", "ada@example.com", "05 09:00", "05 10:00", 6),
        session("s-2", "bo@example.com", "05 09:00", "05 10:00", 4, branch="other"),
    )
    commits = made(
        commit(1, "ada@example.com", "05 09:50", reverted_by="f" * 40, pull_request="acme/api#7", merged_at=at("06 09:00")),
        commit(2, "bo@example.com", "05 09:50", branch="other", reverted_by=None, pull_request="acme/api#8", merged_at=at("06 09:00")),
    )  # fmt: skip
    row = fa.outcome_costs(fa.outcomes(usage, commits, WHO, privacy=ALL)).iloc[0]
    assert (row["outcomes"], row["matched"], row["reverted"], row["all_in"], row["median"]) == (2, 10, 6, 5, 5)
