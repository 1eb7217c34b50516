"""What public trackers get wrong about Copilot, one test each, on the contract's samples and on a played enterprise."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from finops_ai_github_copilot import GitHubCopilotConnector
from github_enterprise import COLUMNS, PlayedEnterprise, as_csv, item, line, seat

from finops_ai.errors import CredentialsError, DataError, FinopsError, ProviderError
from finops_ai.periods import Window
from finops_ai.testing import PlayedProvider, Reply

OCTOBER = Window.month("2026-10")
REPORT = "ai_credit_report_2026-10.csv"
BILLED = ["billing_usage.enterprise.no_cost_center.json", "billing_usage.enterprise.cost_center_kite.json"]


def saved(samples: Path, *names: str) -> GitHubCopilotConnector:
    return GitHubCopilotConnector(files=[str(samples / name) for name in names], enterprise="demo-ent")


def credits(usage: pd.DataFrame, basis: str | None = None) -> Decimal:
    rows = usage[usage["meter"] == "credits"]
    return (rows if basis is None else rows[rows["money_basis"] == basis])["quantity"].sum()


def test_included_credits_are_not_cash(samples: Path, expected: dict[str, Any]):
    usage = saved(samples, REPORT).usage(OCTOBER)
    assert credits(usage) == Decimal(expected["gross_credits"])
    assert credits(usage, "included") == Decimal(expected["included_credits"])
    assert credits(usage, "cash") == Decimal(expected["additional_credits"])
    assert usage[usage["money_basis"] == "cash"]["billed_cost"].sum() == Decimal(expected["additional_usd"])
    gross = (
        usage[usage["meter"] == "credits"]
        .assign(who=usage["user_id"].fillna("(none)"))
        .groupby("who")["quantity"]
        .sum()
    )
    assert gross.to_dict() == {who: Decimal(q) for who, q in expected["gross_credits_by_user"].items()}


def test_rows_that_differ_in_the_repository_alone_are_two(samples: Path):
    usage = saved(samples, REPORT).usage(OCTOBER)
    agent = usage[(usage["operation"] == "coding_agent") & (usage["meter"] == "credits")]
    assert agent.set_index("repository")["quantity"].to_dict() == dict.fromkeys(
        ["demo-org/kite", "demo-org/pier"], Decimal("900.25")
    )


def test_quantity_and_aic_quantity_are_the_same_credits(tmp_path: Path):
    rows = [
        line("2026-10-01", "ada", "7"),
        line("2026-10-01", "bo", "7", quantity="0", gross_amount="0", discount_amount="0"),
    ]
    (tmp_path / "r.csv").write_bytes(as_csv(rows))
    usage = GitHubCopilotConnector(files=[str(tmp_path)]).usage(OCTOBER)
    assert credits(usage) == 14
    assert usage["billed_cost"].sum() == Decimal("0.14")
    (tmp_path / "r.csv").write_bytes(as_csv([line("2026-10-01", "ada", "7", aic_quantity="8")]))
    with pytest.raises(DataError, match=r"line 2.*same credits"):
        GitHubCopilotConnector(files=[str(tmp_path)]).usage(OCTOBER)


def test_tokens_of_a_line_covered_in_part_add_up(samples: Path):
    usage = saved(samples, REPORT).usage(OCTOBER)
    tokens = usage[usage["unit"] == "tokens"].groupby("meter")["quantity"].sum().astype(int).to_dict()
    assert tokens == {"input": 1_940_000, "output": 252_000, "cache_read": 5_200_000, "cache_write": 260_000}


@pytest.mark.parametrize(
    "columns", [COLUMNS, COLUMNS[:17], COLUMNS[:15], [*COLUMNS[:12], "exceeds_quota", *COLUMNS[12:]]]
)
def test_every_form_of_the_report_is_read(tmp_path: Path, columns: list[str]):
    (tmp_path / "r.csv").write_bytes(as_csv([line("2026-10-01", "ada", "7", net="0.02")], columns))
    usage = GitHubCopilotConnector(files=[str(tmp_path)]).usage(OCTOBER)
    assert credits(usage, "cash") == 2
    assert credits(usage, "included") == 5
    assert bool((usage["meter"] == "input").any()) is (columns[-1] == "cache_write")


def test_premium_requests_are_weighted_and_no_calls(tmp_path: Path):
    row = line("2026-05-03", "ada", "42", sku="copilot_premium_request", unit_type="requests", gross_amount="1.68",
               discount_amount="1.2", net_amount="0.48", aic_quantity="99")  # fmt: skip
    (tmp_path / "r.csv").write_bytes(as_csv([row], COLUMNS[:17]))
    usage = GitHubCopilotConnector(files=[str(tmp_path)]).usage(Window.month("2026-05"))
    assert set(usage["meter"]) == {"premium_requests"}
    assert usage["quantity"].sum() == 42
    assert usage.set_index("money_basis")["billed_cost"].to_dict() == {
        "included": Decimal("1.2"),
        "cash": Decimal("0.48"),
    }


def test_cost_centers_hide_no_rows(samples: Path, enterprise: PlayedEnterprise):
    bills = saved(samples, *BILLED).bills(OCTOBER)
    assert bills["billed_cost"].sum() == Decimal("66.806451") + Decimal("14.5")
    seats = bills[bills["charge_category"] == "Purchase"]
    assert seats["billed_cost"].sum() == Decimal("66.806451")
    assert (seats["charge_period_end"] == pd.Timestamp("2026-11-01", tz="UTC")).all()
    with PlayedProvider(enterprise.answer) as provider:
        live = GitHubCopilotConnector(enterprise="acme", endpoint_url=provider.url).bills(OCTOBER)
    assert live["billed_cost"].sum() == Decimal("67.606451")
    assert live["tags"].astype(str).str.contains("Kite").sum() == 2


def test_seats_billed_day_by_day_have_their_days(enterprise: PlayedEnterprise):
    enterprise.inside = [item(f"2026-10-0{day}", "Copilot Business", "0.064516", "1.225804") for day in (1, 2)]
    with PlayedProvider(enterprise.answer) as provider:
        bills = GitHubCopilotConnector(enterprise="acme", endpoint_url=provider.url).bills(
            Window.of("2026-10-01", "2026-10-03")
        )
    days = bills[bills["tags"].astype(str).str.contains("Kite") & (bills["charge_category"] == "Purchase")]
    assert days["charge_period_start"].dt.day.tolist() == [1, 2]


def test_five_seat_objects_are_four_people(samples: Path, expected: dict[str, Any]):
    seats = saved(samples, "seats.enterprise.json").seats(OCTOBER)
    assert len(seats) == expected["people"]
    assert seats["user_id"].tolist() == ["ada-quill", "bo-tern", "cy-ember", "fay-idle"]


def test_no_activity_may_be_telemetry_that_is_off(samples: Path):
    seats = saved(samples, "seats.enterprise.json").seats(OCTOBER).set_index("user_id")
    assert seats["telemetry"].to_dict() == {"ada-quill": "on", "bo-tern": "on", "cy-ember": "unknown", "fay-idle": "on"}
    assert seats.loc["cy-ember", "seat_start"] == pd.Timestamp("2026-10-16", tz="UTC")
    assert seats.loc["fay-idle", "seat_end"] == pd.Timestamp("2026-11-01", tz="UTC"), "cancelled, and paid to the end"


def test_a_report_names_the_organization_a_seat_is_billed_through(samples: Path):
    alone, both = (
        saved(samples, *names).seats(OCTOBER)
        for names in (["seats.enterprise.json"], [REPORT, "seats.enterprise.json"])
    )
    assert alone.set_index("user_id")["sub_account_id"].isna().to_dict()["ada-quill"]
    assert both.set_index("user_id")["sub_account_id"].to_dict()["ada-quill"] == "demo-org"


@pytest.mark.parametrize("size", [1, 2, 3, 4, 100])
def test_seats_by_page(enterprise: PlayedEnterprise, size: int):
    enterprise.page_size = size
    with PlayedProvider(enterprise.answer) as provider:
        connector = GitHubCopilotConnector(enterprise="acme", endpoint_url=provider.url)
        seats = connector.seats(OCTOBER)
    assert seats["user_id"].tolist() == ["ada", "bo", "cy"]
    assert seats["cost_center"].tolist()[0] == "Kite"
    assert not any("counts" in note for note in connector.notes)


def test_a_seat_that_moves_to_the_next_page_counts_once(enterprise: PlayedEnterprise):
    enterprise.page_size = 2
    whole = enterprise.answer

    def answer(request: Any) -> Reply:
        reply = whole(request)
        if request.first("page") == "1":
            enterprise.seats.insert(0, seat("dee"))
        return reply

    with PlayedProvider(answer) as provider:
        seats = GitHubCopilotConnector(enterprise="acme", endpoint_url=provider.url).seats(OCTOBER)
    assert seats["user_id"].tolist() == ["ada", "bo", "cy"]


def test_minutes_of_a_review_are_a_second_charge(samples: Path, tmp_path: Path):
    connector = saved(samples, *BILLED)
    assert not connector.bills(OCTOBER)["charge_description"].str.contains("Actions").any()
    assert [(item.rows, item.amount) for item in connector.left_out if "reviews" in item.reason] == [
        (1, Decimal("0.0"))
    ]
    common = {"unit_type": "minutes", "product": "actions", "sku": "actions_linux", "quantity": "12", "gross_amount": "0.072",
              "discount_amount": "0", "net_amount": "0.072"}  # fmt: skip
    rows = [
        {**line("2026-10-22", "", "1"), **common, "workflow_path": "dynamic/agents/copilot-pull-request-reviewer"},
        {
            **line("2026-10-22", "", "1"),
            **common,
            "workflow_path": ".github/workflows/ci.yml",
            "net_amount": "9",
            "gross_amount": "9",
        },
    ]
    (tmp_path / "detailed.csv").write_bytes(as_csv(rows, [*COLUMNS[:15], "workflow_path"]))
    detailed = GitHubCopilotConnector(files=[str(tmp_path)])
    assert detailed.bills(OCTOBER)["billed_cost"].sum() == Decimal("0.072"), "the review's minutes, and no other's"
    assert detailed.left_out[0].amount == 9


@pytest.mark.long
def test_sums_by_person_are_the_report_without_repositories(enterprise: PlayedEnterprise):
    window = Window.of("2026-10-01", "2026-10-04")
    with PlayedProvider(enterprise.answer) as provider:
        report = GitHubCopilotConnector(enterprise="acme", endpoint_url=provider.url).usage(window)
        enterprise.no_reports = 404
        connector = GitHubCopilotConnector(enterprise="acme", endpoint_url=provider.url)
        sums = connector.usage(window)
    who = ["user_id", "money_basis"]
    for frame in (report, sums):
        frame["user_id"] = frame["user_id"].fillna("(none)")
    assert sums.groupby(who)["billed_cost"].sum().to_dict() == report.groupby(who)["billed_cost"].sum().to_dict()
    assert any("no report jobs" in note for note in connector.notes)


def test_a_job_is_waited_for_and_one_that_fails_is_an_error(enterprise: PlayedEnterprise, waits: list[float]):
    enterprise.waits = 3
    with PlayedProvider(enterprise.answer) as provider:
        connector = GitHubCopilotConnector(enterprise="acme", endpoint_url=provider.url)
        assert len(connector.usage(OCTOBER))
        assert waits == [5.0] * 4
        enterprise.fate = "failed"
        with pytest.raises(ProviderError, match="failed"):
            connector.usage(OCTOBER)


def test_a_report_that_comes_cut_is_asked_for_again(enterprise: PlayedEnterprise, waits: list[float]):
    whole, cut = enterprise.answer, [True, True]

    def answer(request: Any) -> Reply:
        reply = whole(request)
        if request.path.startswith("/downloads") and cut:
            cut.pop()
            return Reply(reply.content[:-30], headers={"content-type": "text/csv"})
        return reply

    with PlayedProvider(answer) as provider:
        usage = GitHubCopilotConnector(enterprise="acme", endpoint_url=provider.url).usage(
            Window.of("2026-10-01", "2026-10-04")
        )
    assert credits(usage) == Decimal("430.5")


def test_a_403_with_retry_after_is_a_rate_limit_and_without_a_refusal(enterprise: PlayedEnterprise, waits: list[float]):
    with PlayedProvider(enterprise.answer) as provider:
        connector = GitHubCopilotConnector(enterprise="acme", endpoint_url=provider.url)
        provider.troubles.append(Reply({"message": "secondary rate limit"}, 403, {"retry-after": "60"}))
        connector.seats(OCTOBER)
        assert waits == [60.0]
        provider.troubles.append(Reply({"message": "Must have admin rights"}, 403))
        with pytest.raises(CredentialsError, match="admin"):
            connector.seats(OCTOBER)


def test_a_limit_that_says_when_it_is_reset_is_waited_for(enterprise: PlayedEnterprise, waits: list[float]):
    headers = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1790812860", "date": "Thu, 01 Oct 2026 00:00:00 GMT"}
    with PlayedProvider(enterprise.answer) as provider:
        provider.troubles.append(Reply({"message": "API rate limit exceeded"}, 403, headers))
        GitHubCopilotConnector(enterprise="acme", endpoint_url=provider.url).seats(OCTOBER)
    assert waits == [60.0]


def test_amounts_that_do_not_add_up_are_refused(tmp_path: Path):
    (tmp_path / "r.csv").write_bytes(as_csv([line("2026-10-01", "ada", "7", net="0.02", discount_amount="0.06")]))
    with pytest.raises(DataError, match=r"line 2.*is not the net"):
        GitHubCopilotConnector(files=[str(tmp_path)]).usage(OCTOBER)


def test_two_reports_of_one_day_are_not_added(tmp_path: Path):
    (tmp_path / "a.csv").write_bytes(as_csv([line("2026-10-01", "ada", "7")]))
    (tmp_path / "b.csv").write_bytes(as_csv([line("2026-10-01", "ada", "8"), line("2026-10-02", "ada", "7")]))
    with pytest.raises(DataError, match="count twice"):
        GitHubCopilotConnector(files=[str(tmp_path)]).usage(OCTOBER)


def test_nobody_is_billed_without_a_name(enterprise: PlayedEnterprise):
    with pytest.raises(FinopsError, match="neither `enterprise` nor `organization`"):
        GitHubCopilotConnector().usage(OCTOBER)


@pytest.mark.long
def test_prompts_are_never_asked_for(enterprise: PlayedEnterprise):
    with PlayedProvider(enterprise.answer) as provider:
        connector = GitHubCopilotConnector(enterprise="acme", endpoint_url=provider.url)
        for read in (connector.usage, connector.bills, connector.seats):
            read(OCTOBER)
        assert not any("usage-records" in request.path for request in provider.requests)
        written = {request.path for request in provider.requests if request.method != "GET"}
    assert written == {"/enterprises/acme/settings/billing/reports"}, "a report job is all that is started"


def test_reports_that_overlap_count_each_day_once(tmp_path: Path):
    days = {
        day: [line(day, "ada", "7"), line(day, "ada", "7"), line(day, "", "2")] for day in ("2026-10-01", "2026-10-02")
    }
    other = line("2026-10-02", "bo", "5", organization="other-org")  # the report of another organization
    seat_of = line(
        "2026-10-01",
        "ada",
        "1",
        sku="copilot_for_business",
        unit_type="user-months",
        net_amount="19",
        gross_amount="19",
        discount_amount="0",
    )
    (tmp_path / "a.csv").write_bytes(as_csv([*days["2026-10-01"], seat_of]))
    (tmp_path / "b.csv").write_bytes(
        as_csv([*days["2026-10-01"], seat_of, *days["2026-10-02"]])[3:]
    )  # without the byte order mark
    (tmp_path / "c.csv").write_bytes(as_csv([other]))
    source = GitHubCopilotConnector(files=[str(tmp_path)], enterprise="demo-ent")
    assert credits(source.usage(OCTOBER)) == Decimal(37)  # 16 a day, and 5
    assert source.bills(OCTOBER)["billed_cost"].sum() == Decimal(19)
    (tmp_path / "d.csv").write_bytes(as_csv(days["2026-10-02"][:1]))
    with pytest.raises(DataError, match="Keep the newer"):
        GitHubCopilotConnector(files=[str(tmp_path)], enterprise="demo-ent").usage(OCTOBER)


def test_rows_by_team_are_never_summed(samples: Path):
    """Ada is in two teams; what metrics reports tell is that people used their seats, in no frame their credits."""
    names = ["seats.enterprise.json", "users-1-day.2026-10-01.ndjson", "user-teams-1-day.2026-10-01.ndjson", REPORT]
    source, plain = saved(samples, *names), saved(samples, REPORT)
    assert credits(source.usage(OCTOBER)) == credits(plain.usage(OCTOBER)) == Decimal(9050)
    seats = source.seats(OCTOBER).set_index("user_id")
    assert len(seats) == 4
    assert any("1 of 2 people are in several teams" in note for note in source.notes)


def test_a_metrics_report_proves_that_a_seat_is_used(tmp_path: Path):
    import json

    (tmp_path / "seats.json").write_text(
        json.dumps({"total_seats": 3, "seats": [seat(n, last_activity_at=None) for n in ("ada", "bo", "cy")]})
    )
    rows = [
        {"day": "2026-10-20", "user_login": "Ada", "user_initiated_interaction_count": 2}, {"day": "2026-10-07", "user_login": "ada", "used_cli": True},
        {"day": "2026-10-20", "user_login": "bo", "user_initiated_interaction_count": 0, "used_chat": False, "ai_credits_used": 0},
    ]  # fmt: skip
    (tmp_path / "users.ndjson").write_text("\n".join(map(json.dumps, rows)))
    held = GitHubCopilotConnector(files=[str(tmp_path)], enterprise="demo-ent").seats(OCTOBER).set_index("user_id")
    seen = held["last_activity_at"].dropna()
    assert {name: f"{at:%Y-%m-%d}" for name, at in seen.items()} == {"ada": "2026-10-20"}
    assert held["telemetry"].to_dict() == {"ada": "on", "bo": "unknown", "cy": "unknown"}
