"""What public trackers get wrong about Cursor, one test each, on the contract's samples and on a team that is played."""

from __future__ import annotations

import csv
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from cursor_team import PlayedTeam, event
from finops_ai_cursor import CursorConnector
from finops_ai_cursor.listing import Page, read_growing

from finops_ai.errors import CredentialsError, DataError, ProviderError, ProviderUnavailable
from finops_ai.periods import Window, instant
from finops_ai.testing import PlayedProvider, Reply

OCTOBER = Window.month("2026-10")
PAGES = ["usage_events.page1.json", "usage_events.page2.json"]


def saved(samples: Path, *names: str, **settings: Any) -> CursorConnector:
    return CursorConnector(files=[str(samples / name) for name in names], **settings)


def by_person(usage: pd.DataFrame, basis: str) -> dict[str, Decimal]:
    """Cents per person of one money."""
    rows = usage[(usage["money_basis"] == basis) & (usage["billed_cost"] > 0)]
    return {who: cost * 100 for who, cost in rows.groupby("user_id")["billed_cost"].sum().items()}


def test_included_usage_is_not_cash(samples: Path, expected: dict[str, Any]):
    usage = saved(samples, *PAGES).usage(OCTOBER)
    assert by_person(usage, "cash") == {who: Decimal(cents) for who, cents in expected["on_demand_by_person"].items()}
    assert by_person(usage, "included") == {
        who: Decimal(cents) for who, cents in expected["included_by_person"].items()
    }
    assert sum(by_person(usage, "cash").values()) == Decimal(expected["on_demand_cents"])
    assert sum(by_person(usage, "included").values()) == Decimal(expected["included_cents"])


def test_a_failed_call_costs_nothing_whatever_cents_it_carries(samples: Path):
    usage = saved(samples, *PAGES).usage(OCTOBER)
    failed = usage[usage["outcome"] == "error"]
    assert failed["user_id"].unique().tolist() == ["cy.ember@example.com"]
    assert failed["billed_cost"].sum() == 0
    assert failed.loc[failed["meter"] == "input", "quantity"].sum() == 90_000


def test_on_demand_is_not_added_to_a_total_that_holds_it(samples: Path):
    connector = saved(samples, *PAGES, "spend.json")
    bills = connector.bills(OCTOBER)
    assert bills["billed_cost"].sum() * 100 == Decimal("57.35312") + Decimal("7.58") + Decimal("2.05125")
    assert any("agent-runner@example.com +0.2064862" in note for note in connector.notes), "the difference is said"


def test_cents_are_not_dollars_and_no_fraction_is_rounded_by_row(samples: Path):
    cash = saved(samples, *PAGES).usage(OCTOBER).query("money_basis == 'cash'")["billed_cost"].sum()
    assert cash == Decimal("0.8763299")


def test_the_event_at_the_boundary_is_in_one_window_only(team: PlayedTeam):
    with PlayedProvider(team.answer) as provider:
        connector = CursorConnector(endpoint_url=provider.url)
        days = [Window.of(f"2026-10-0{day}", f"2026-10-0{day + 1}") for day in (1, 2, 3)]
        counts = [connector.usage(day).query("meter == 'requests'")["quantity"].sum() for day in days]
    assert counts == [4, 1, 1]
    asked = [body for path, body in team.asked if path.endswith("events")]
    assert asked[0]["endDate"] == asked[1]["startDate"] - 1


def test_twins_are_two_calls(samples: Path, team: PlayedTeam):
    usage = saved(samples, *PAGES).usage(OCTOBER)
    twins = usage[(usage["user_id"] == "bo.tern@example.com") & (usage["model"] == "composer-demo")]
    assert twins.query("meter == 'requests'")["quantity"].sum() == 2
    assert twins["billed_cost"].sum() * 100 == 1
    assert usage.query("meter == 'requests'")["quantity"].sum() == 12


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("come", [1, 2, 7])
def test_a_listing_that_grows_in_front_while_it_is_paged_gives_every_row_once(team: PlayedTeam, size: int, come: int):
    team.page_size = size
    # equal rows come in front, too: twins of each other and of what is there
    newest = event("2026-10-03T23:30:00Z", "bo@example.com", "0.0625")
    later = event("2026-10-03T23:40:00Z", "cy@example.com", "8")
    team.comes = [newest, later, later, newest, later, later, newest][:come]
    with PlayedProvider(team.answer) as provider:
        usage = CursorConnector(endpoint_url=provider.url).usage(Window.of("2026-10-01", "2026-10-04"))
    held = [e for e in team.events if "2026-10-01" <= str(instant(int(e["timestamp"]) / 1000))[:10] <= "2026-10-03"]
    calls = usage[usage["meter"] == "requests"]
    assert calls["quantity"].sum() == len(held)
    assert calls["billed_cost"].sum() * 100 == sum(e["chargedCents"] for e in held)


def test_a_listing_that_never_stands_still_is_read_to_a_moment():
    rows = [{"n": n} for n in range(40)]

    def ask(number: int) -> Page:
        rows.append({"n": len(rows)})  # before every page, the first included
        newest = rows[::-1][(number - 1) * 4 : number * 4]
        return Page(newest, len(rows), number * 4 < len(rows))

    found = [row["n"] for row in read_growing(ask, "events", [])]
    assert found == list(range(found[0], -1, -1))
    assert found[0] > 41


def test_rows_repeated_although_the_count_stands_still_count_once():
    pages = {1: [{"n": 5}, {"n": 4}, {"n": 4}], 2: [{"n": 4}, {"n": 3}, {"n": 2}], 3: [{"n": 1}]}
    found = read_growing(lambda n: Page(pages[n], 6, n < 3), "events", [])
    assert [row["n"] for row in found] == [5, 4, 4, 3, 2, 1]


def test_a_listing_without_a_count_is_read_until_two_reads_agree(team: PlayedTeam):
    team.counts, team.page_size = False, 2
    team.comes = [event("2026-10-03T23:50:00Z", "cy@example.com", "8")]
    with PlayedProvider(team.answer) as provider:
        usage = CursorConnector(endpoint_url=provider.url).usage(Window.of("2026-10-01", "2026-10-04"))
    assert usage.query("meter == 'requests'")["quantity"].sum() == 7


def test_a_listing_that_loses_rows_while_it_is_read_is_an_error():
    totals = iter(range(100, 0, -1))
    with pytest.raises(ProviderError, match="changed 5 times"):
        read_growing(lambda n: Page([{"n": next(totals)}], next(totals), n < 3), "events", [])


def test_request_units_are_no_money(team: PlayedTeam):
    with PlayedProvider(team.answer) as provider:
        usage = CursorConnector(endpoint_url=provider.url).usage(Window.of("2026-10-01", "2026-10-04"))
    cash = usage.query("money_basis == 'cash'")["billed_cost"].sum()
    assert cash * 100 == Decimal("1.5") + Decimal("0.25") + 3 + Decimal(
        "0.0625"
    )  # 7 request units an event, and none here


def test_the_fee_is_charged_once_and_alone_with_a_key_of_ones_own(team: PlayedTeam):
    fee = {"cursorTokenFee": Decimal("1.18"), "chargedCents": None}
    team.events = [
        event("2026-10-01", "a@example.com", "20.18232", **fee),
        event("2026-10-02", "b@example.com", "40.167", **fee),
        event("2026-10-03", "c@example.com", "99", kind="User API Key", **fee),
        event("2026-10-03", "d@example.com", "5"),  # Cursor's own model: no fee
    ]
    team.events[1]["tokenUsage"]["discountPercentOff"] = 10
    with PlayedProvider(team.answer) as provider:
        usage = CursorConnector(endpoint_url=provider.url).usage(Window.of("2026-10-01", "2026-10-04"))
    assert by_person(usage, "cash") == {
        "a@example.com": Decimal("21.36232"), "b@example.com": Decimal("37.3303"), "c@example.com": Decimal("1.18"),
        "d@example.com": 5,
    }  # fmt: skip


def test_the_cycle_is_not_the_month(team: PlayedTeam):
    def answer(request: Any) -> Reply:
        start = int(instant("2026-10-12").timestamp() * 1000)
        return Reply({"teamMemberSpend": [{"email": "a@x", "spendCents": 100}], "subscriptionCycleStart": start})

    with PlayedProvider(answer) as provider:
        bills = CursorConnector(endpoint_url=provider.url).bills(OCTOBER)
    assert bills["charge_period_start"].tolist() == [pd.Timestamp("2026-10-12", tz="UTC")]
    assert bills["charge_period_end"].tolist() == [pd.Timestamp("2026-11-12", tz="UTC")]


def test_a_late_event_belongs_to_its_utc_day(team: PlayedTeam):
    with PlayedProvider(team.answer) as provider:
        usage = CursorConnector(endpoint_url=provider.url).usage(Window.of("2026-10-03", "2026-10-04"))
    assert usage["charge_period_start"].max() == pd.Timestamp("2026-10-03T23:30Z")


def test_no_activity_is_idle_only_where_every_use_is_heard_of(team: PlayedTeam):
    team.refused = {"teams/daily-usage-data": 403}
    with PlayedProvider(team.answer) as provider:
        connector = CursorConnector(endpoint_url=provider.url)
        seats = connector.seats(Window.of("2026-10-01", "2026-10-04"))
    assert seats["telemetry"].tolist() == ["unknown", "unknown"]
    assert any("idle stays unknown" in n for n in connector.notes)


def test_seats_of_the_sample(samples: Path, expected: dict[str, Any]):
    connector = saved(
        samples, *PAGES, "members.json", "daily_usage.paged.json", plans={"FAY.idle@example.com": "teams-premium"}
    )
    seats = connector.seats(OCTOBER)
    assert len(seats) == expected["seats"]["paid_active_members"]
    idle = seats[seats["last_activity_at"].isna() & (seats["telemetry"] == "on")]
    assert idle["user_id"].tolist() == expected["seats"]["idle_paid"]
    assert idle["plan"].tolist() == ["teams-premium"]
    left = {item.reason.split(":")[0]: item.rows for item in connector.left_out}
    assert left == {"administrators without a seat": 1, "seats of removed members": 1}


def test_usage_belongs_to_the_group_of_its_day_not_to_todays(samples: Path, team: PlayedTeam):
    usage = saved(samples, *PAGES, "groups.json").usage(OCTOBER)
    bo = usage[(usage["user_id"] == "bo.tern@example.com") & (usage["meter"] == "requests")]
    assert bo.groupby("sub_account_name")["billed_cost"].sum().to_dict() == {
        "Kite": Decimal("0.0329"),
        "Pier": Decimal("0.0429"),
    }


def test_upper_case_in_an_e_mail_makes_no_second_person(team: PlayedTeam):
    with PlayedProvider(team.answer) as provider:
        usage = CursorConnector(endpoint_url=provider.url).usage(Window.of("2026-10-01", "2026-10-04"))
    assert set(usage["user_id"]) == {"ada@example.com", "bo@example.com"}


def test_an_unknown_kind_is_named_and_its_money_not_guessed(team: PlayedTeam):
    team.events.append(event("2026-10-03", "z@example.com", "9", kind="Quantum lane", isChargeable=None))
    team.events.append(event("2026-10-03", "y@example.com", "4", kind="Quantum lane", isChargeable=True))
    with PlayedProvider(team.answer) as provider:
        connector = CursorConnector(endpoint_url=provider.url)
        usage = connector.usage(Window.of("2026-10-01", "2026-10-04"))
    rows = usage[usage["user_id"] == "z@example.com"]
    assert rows["money_basis"].isna().all()
    assert rows["billed_cost"].sum() == Decimal("0.09")
    assert by_person(usage, "cash")["y@example.com"] == 4, "what is said to be charged is charged, whatever its kind"
    assert any("'Quantum lane'" in note and "0.09" in note for note in connector.notes)


def test_a_token_count_that_is_not_known_is_named(team: PlayedTeam):
    team.events[1]["tokenUsage"]["thinkingTokens"] = 33
    with PlayedProvider(team.answer) as provider:
        connector = CursorConnector(endpoint_url=provider.url)
        usage = connector.usage(Window.of("2026-10-01", "2026-10-04"))
    assert usage.query("meter == 'unmapped'")["quantity"].sum() == 33
    assert any("thinkingTokens (33)" in note for note in connector.notes)


def test_a_403_that_says_when_to_come_back_is_a_rate_limit(team: PlayedTeam, waits: list[float]):
    with PlayedProvider(team.answer) as provider:
        provider.troubles.append(Reply({"message": "secondary limit"}, 403, {"retry-after": "7"}))
        usage = CursorConnector(endpoint_url=provider.url).usage(Window.of("2026-10-01", "2026-10-04"))
    assert waits == [7.0]
    assert len(usage)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_may_be_the_plan_or_the_key(team: PlayedTeam, waits: list[float], status: int):
    team.refused = {"teams/filtered-usage-events": status}
    with PlayedProvider(team.answer) as provider:
        with pytest.raises(CredentialsError, match="plan"):
            CursorConnector(endpoint_url=provider.url).usage(OCTOBER)
        assert len(provider.requests) == 1
        assert waits == []


def test_a_cut_body_is_asked_for_again(team: PlayedTeam, waits: list[float]):
    window = Window.of("2026-10-01", "2026-10-04")
    with PlayedProvider(team.answer) as provider:
        provider.troubles.extend([Reply({"usageEvents": []}, sent=5), Reply({"error": "busy", "message": "slow"}, 429)])
        assert len(CursorConnector(endpoint_url=provider.url).usage(window))
        provider.troubles.extend([Reply({"usageEvents": []}, sent=5)] * 9)
        with pytest.raises(ProviderUnavailable):
            CursorConnector(endpoint_url=provider.url, max_retries=2).usage(window)


def test_commits_name_their_conversation_and_never_their_message(samples: Path, team: PlayedTeam):
    commits = saved(samples, "ai_commits.json").commits(OCTOBER)
    assert commits[["repository", "branch", "lines_by_agent"]].values.tolist() == [
        ["demo-org/kite", "feature/one", 90], ["demo-org/kite", "main", 0],
    ]  # fmt: skip
    assert not commits.astype(str).apply(lambda column: column.str.contains("KITE-1")).to_numpy().any()


@pytest.mark.parametrize("beside", [False, True])
def test_the_export_says_by_its_totals_whether_writes_hold_the_input(tmp_path: Path, beside: bool):
    header = ["Date", "User", "Kind", "Model", "Max Mode", "Input (w/ Cache Write)", "Input (w/o Cache Write)", "Cache Read",
              "Output Tokens", "Total Tokens", "Cost"]  # fmt: skip
    written = 6000 if beside else 6120
    row = ["2026-10-01T01:00:00.000Z", "A@x", "On-Demand", "m", "No", written, 120, 12000, 400, 18520, "$0.2065"]
    with (tmp_path / "usage.csv").open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows([header, row])
    usage = CursorConnector(files=[str(tmp_path / "usage.csv")]).usage(OCTOBER)
    found = usage.set_index("meter")["quantity"].astype(int).to_dict()
    assert found == {"input": 120, "cache_write": 6000, "cache_read": 12000, "output": 400, "requests": 1}
    assert usage["billed_cost"].sum() == Decimal("0.2065")
    assert set(usage["user_id"]) == {"a@x"}


def test_an_export_whose_counts_fit_no_total_is_refused(tmp_path: Path):
    head = '"Date","Kind","Model","Input (w/ Cache Write)","Input (w/o Cache Write)","Cache Read","Output Tokens","Total Tokens","Cost"'
    (tmp_path / "usage.csv").write_text(f"{head}\n2026-10-01,On-Demand,m,5,3,0,1,100,0.1\n")
    with pytest.raises(DataError, match=r"line 2.*neither"):
        CursorConnector(files=[str(tmp_path / "usage.csv")]).usage(OCTOBER)


def test_the_older_export_has_requests_that_are_no_money(tmp_path: Path):
    head = "Date,Kind,Model,Max Mode,Input (w/ Cache Write),Input (w/o Cache Write),Cache Read,Output Tokens,Total Tokens,Requests"
    (tmp_path / "usage.csv").write_text(f"{head}\n2025-10-01T05:00:00Z,Included in Pro,m,No,10,10,0,5,15,2.4\n")
    connector = CursorConnector(files=[str(tmp_path / "usage.csv")], user="Me@Example.com")
    usage = connector.usage(Window.month("2025-10"))
    assert usage["billed_cost"].isna().all()
    assert set(usage["user_id"]) == {"me@example.com"}
    assert any("not money" in note for note in connector.notes)


def test_the_export_of_september_2026(samples: Path):
    usage = saved(samples, "usage_events_2026-09_header.csv").usage(OCTOBER)
    # its figures are dollars with four decimals; the included rows state no amount
    assert usage.query("money_basis == 'cash'")["billed_cost"].sum() == Decimal("0.8763")
    assert usage.query("money_basis == 'included' and outcome == 'ok'")["billed_cost"].isna().all()
    tokens = usage[usage["unit"] == "tokens"]["quantity"].sum()
    assert tokens == 4200 + 18652 + 2050 + 90000 + 20 + 20 + 1600 + 1600 + 18100 + 18520 + 18520


def test_answers_and_exports_of_the_same_events_are_not_added(samples: Path):
    with pytest.raises(DataError, match="Keep one kind"):
        saved(samples, *PAGES, "usage_events_2026-09_header.csv").usage(OCTOBER)


def test_a_page_that_is_missing_is_said(samples: Path, tmp_path: Path):
    (tmp_path / "p2.json").write_text((samples / PAGES[1]).read_text())
    with pytest.raises(DataError, match="one is missing"):
        CursorConnector(files=[str(tmp_path)]).usage(OCTOBER)


HEADER = (
    "Date,User,Kind,Model,Input (w/ Cache Write),Input (w/o Cache Write),Cache Read,Output Tokens,Total Tokens,Cost\n"
)


def exported(day: int, user: str, cost: str, output: int = 5) -> str:
    return f"2026-10-{day:02d}T10:00:00.000Z,{user},On-Demand,m,0,10,0,{output},{10 + output},{cost}\n"


def test_exports_that_overlap_count_each_event_once(tmp_path: Path):
    first = [exported(1, "ada@x.com", "$1.00"), exported(9, "ada@x.com", "$2.00"), exported(9, "ada@x.com", "$2.00")]
    later = [*first[1:], exported(9, "bo@x.com", "$8.00"), exported(20, "ada@x.com", "$4.00")]
    for name, rows in (("a.csv", first), ("b.csv", later), ("again.csv", later)):
        (tmp_path / name).write_text(HEADER + "".join(rows))
    source = CursorConnector(files=[str(tmp_path)])
    assert source.usage(OCTOBER)["billed_cost"].sum() == Decimal(17)  # 1 + twins of 2 + bo's 8 + 4
    assert sum("counted once" in note for note in source.notes) == 3


def test_exports_that_tell_a_time_differently_are_refused(tmp_path: Path):
    (tmp_path / "a.csv").write_text(HEADER + exported(9, "ada@x.com", "$2.00"))
    (tmp_path / "b.csv").write_text(HEADER + exported(9, "Ada@x.com", "$2.50"))
    with pytest.raises(DataError, match="Keep the newer"):
        CursorConnector(files=[str(tmp_path)]).usage(OCTOBER)
