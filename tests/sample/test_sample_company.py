"""The sample company is reproducible, conserved at every step, and tells the stories it says it tells."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal

import pytest

import finops_ai as fa
from finops_ai.errors import SettingsError
from finops_ai.frames import duplicates
from finops_ai.sample import company


@pytest.fixture(scope="module")
def slices():
    return fa.sample.slices()


@pytest.fixture(scope="module")
def tokens():
    return fa.sample()


def spent(frame):
    return sum(frame["list_cost"], Decimal(0))


@pytest.mark.long
def test_it_is_callable_and_a_module_whichever_is_touched_first():
    code = "import finops_ai.sample as s, finops_ai as fa; assert len(fa.sample(months=1)) and fa.sample.rules() and s.events"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60)


@pytest.mark.long
def test_a_fresh_process_gives_the_frame_quickly():
    code = "import time, finops_ai as fa; fa.sample(); print(time.process_time())"
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert float(out.stdout) < 2.5  # CPU seconds with all imports; 0.9 measured on a quiet machine


def test_growing_it_again_gives_the_same_company(slices):
    again = company.slices_table.__wrapped__()
    assert again.equals(company.slices_table())
    assert len(slices) == again.num_rows


@pytest.mark.parametrize("meter", company.METERS)
def test_the_token_frame_holds_every_quantity_once(tokens, slices, meter):
    assert sum(tokens.loc[tokens["meter"] == meter, "quantity"], Decimal(0)) == int(slices[meter].sum())
    assert int(slices[meter].sum()) > 0


def test_no_two_rows_would_be_counted_twice(tokens):
    assert duplicates(tokens).empty
    assert duplicates(fa.sample.telemetry()).empty


def test_the_gateway_log_covers_exactly_the_shared_keys_calls(tokens):
    shared = tokens[tokens["api_key_id"] == "key_gateway_shared"]
    log = fa.sample.telemetry()
    keys = ["charge_period_start", "model", "meter"]
    assert shared.groupby(keys)["quantity"].sum().equals(log.groupby(keys)["quantity"].sum())
    assert shared["prompt_id"].isna().all()
    assert log["prompt_id"].notna().all()
    assert shared["tags"].isna().all()


def test_a_slice_costs_what_the_price_list_says(slices):
    # 2026-10-31, Claude Sonnet 5: 2 USD fresh, 0.20 read, 2.50 written, 10 out, per million
    row = slices[(slices["workload"] == "support-answer") & (slices["charge_period_start"] == "2026-10-31")].iloc[0]
    million = Decimal(1_000_000)
    by_hand = (
        2 * int(row["input"]) + Decimal("0.2") * int(row["cache_read"]) + Decimal("2.5") * int(row["cache_write_5m"])
    ) / million
    by_hand += 10 * Decimal(int(row["output"])) / million
    assert row["model"] == "claude-sonnet-5"
    assert row["list_cost"] == by_hand


def test_a_batch_slice_costs_half(slices):
    # 2026-03-03, gpt-4.1-mini in batch: (0.40 in + 1.60 out) / 2 per million
    row = slices[(slices["workload"] == "catalogue-enrichment") & (slices["charge_period_start"] == "2026-03-03")].iloc[
        0
    ]
    assert row["service_tier"] == "batch"
    assert row["list_cost"] == (Decimal("0.2") * int(row["input"]) + Decimal("0.8") * int(row["output"])) / 1_000_000


def test_the_bundled_prices_are_the_public_ones_of_their_dates():
    genai_prices = pytest.importorskip(
        "genai_prices", reason="genai_prices isn't installed: it is in the development group"
    )
    import datetime as dt

    from genai_prices.types import Usage

    home = {
        "openai": "openai",
        "anthropic": "anthropic",
        "bedrock": "aws",
        "vertex": "google",
        "azure-openai": "openai",
    }
    names = {
        "input": "input_tokens",
        "cache_read": "cache_read_tokens",
        "cache_write_5m": "cache_write_tokens",
        "output": "output_tokens",
    }
    compared = 0
    for row in company.company()["prices"]:
        provider, model = row["model"].split("/", 1)
        later = [r["from"] for r in company.company()["prices"] if r["model"] == row["model"] and "from" in r]
        day = dt.date.fromisoformat(row.get("from") or (min(later) if later else "2026-10-01"))
        if "from" not in row and later:
            day -= dt.timedelta(days=1)
        for meter, usd in row["usd"].items():
            if provider not in home or meter not in names or Decimal(usd) == 0:
                continue
            usage = Usage(**{names[meter]: 1000, **({"input_tokens": 1000} if meter.startswith("cache") else {})})
            moment = dt.datetime(day.year, day.month, day.day, 12, tzinfo=dt.UTC)
            price = genai_prices.calc_price(usage, model, provider_id=home[provider], genai_request_timestamp=moment)
            assert price.total_price * 1000 == Decimal(usd), (row["model"], meter, day)
            compared += 1
    assert compared > 80


def test_the_support_assistant_triples_in_the_last_week_and_little_else_moves(slices):
    def week(first, last, rows):
        return spent(rows[(rows["charge_period_start"] >= first) & (rows["charge_period_start"] <= last)])

    support = slices[slices["workload"] == "support-answer"]
    assert (
        Decimal("2.7")
        < week("2026-10-25", "2026-10-31", support) / week("2026-10-18", "2026-10-24", support)
        < Decimal("3.4")
    )
    rest = slices[slices["workload"] != "support-answer"]
    assert (
        Decimal("0.8")
        < week("2026-10-25", "2026-10-31", rest) / week("2026-10-18", "2026-10-24", rest)
        < Decimal("1.2")
    )
    cause = support[support["charge_period_start"] >= "2026-10-25"]["cause"]
    assert set(cause) == {"support-spike"}


def test_the_other_stories_are_in_the_data(slices):
    retired = slices[slices["model"] == "claude-3-7-sonnet-20250219"]
    assert str(retired["charge_period_start"].max().date()) == "2026-02-07"  # 21 days of overlap from 19 January
    cached = slices[(slices["workload"] == "support-answer") & (slices["cache_read"] > 0)]
    assert str(cached["charge_period_start"].min().date()) == "2026-03-16"
    luna = slices[slices["model"] == "gpt-5.6-luna"]
    day = luna["charge_period_start"]
    rate = [spent(luna.loc[day == d]) / int(luna.loc[day == d, "requests"].sum()) for d in ("2026-07-29", "2026-07-30")]
    assert rate[1] / rate[0] < Decimal("0.25")  # minus 80 %
    hours = slices[slices["operation"] == "provisioned"]
    assert set(hours["provisioned_hours"]) == {360}
    assert spent(hours) == 360 * len(hours)
    assert (hours["provisioned_hours_used"] < 360).all()
    assert hours["provisioned_hours_used"].mean() > 150
    untagged = slices[slices["tags"].isna() & slices["sub_account_id"].isin(["100000000019", "proj_default"])]
    assert 0 < spent(untagged) < spent(slices) / 20


def test_late_usage_arrives_only_when_asked_for(tokens, slices):
    early = fa.sample(late=False)
    missing = slices[slices["late"]]
    gone = sum(tokens["quantity"], Decimal(0)) - sum(early["quantity"], Decimal(0))
    assert gone == int(missing[company.METERS].sum().sum()) > 0
    assert {str(d.date()) for d in missing["charge_period_start"]} == {"2026-09-28", "2026-09-29", "2026-09-30"}


@pytest.mark.long
def test_truth_bills_and_slices_agree_to_the_last_digit(slices):
    bills = fa.sample.bills()
    charges = bills.groupby("charge_category")["billed_cost"].sum()
    assert charges["Usage"] == spent(slices) == spent(fa.sample.truth())
    assert charges["Credit"] == Decimal(-150)


def test_every_event_touches_workloads_that_exist():
    frame = fa.sample.events()
    known = {
        "model retired",
        "batch",
        "caching",
        "provisioned",
        "price cut",
        "restatement",
        "credit",
        "prompt change and model switch",
    }
    assert set(frame["kind"]) == known
    assert len(company.company()["teams"]) == 8


@pytest.mark.parametrize("months", [0, 14, "3", True])
def test_an_impossible_number_of_months_is_refused(months):
    with pytest.raises(SettingsError, match="months=1 to 13"):
        fa.sample(months=months)


def test_plan_and_business_figures_cover_every_month():
    assert set(fa.sample.plan()["team"]) == set(company.company()["teams"])
    assert len(set(fa.sample.plan()["month"])) == 13
    assert (fa.sample.business_metrics()["value"] > 0).any()


def test_the_price_book_and_the_truth_agree_to_the_last_digit(tokens, slices):
    priced = fa.price(tokens)
    assert set(priced["price_status"]) <= {"listed", "promotional", "assumed", "not_billed"}
    for provider in company_providers(slices):
        cost = sum(priced.loc[priced["provider"] == provider, "list_cost"].dropna(), Decimal(0))
        assert cost == spent(slices[slices["provider"] == provider]), provider


def company_providers(slices):
    return sorted(slices["provider"].unique())


def test_rules_and_telemetry_find_the_true_teams(slices):
    allocated = fa.allocate(
        fa.price(fa.sample(months=1)), fa.sample.rules(shared=True), telemetry=fa.sample.telemetry(months=1)
    )
    found = {r["team"]: r["cost"] for r in fa.showback(allocated, by=["team"]).to_dict("records")}
    october = slices[slices["charge_period_start"] >= "2026-10-01"]
    true = {team: spent(october[october["team"] == team]) for team in company.company()["teams"]}
    for team in ("support", "data", "platform", "legal", "search"):
        assert found[team] == pytest.approx(true[team], rel=Decimal("1e-9")), team
    assert found["mobile"] + found["idle"] == pytest.approx(true["mobile"], rel=Decimal("1e-9"))
    # nobody can know: scripts in the default project (growth) and untagged Bedrock calls (research)
    hidden = october[october["workload"].isin(["unclaimed-scripts", "sandbox-claude"])]
    assert found["unallocated"] == spent(hidden)
    assert sum(found.values()) == spent(october)
