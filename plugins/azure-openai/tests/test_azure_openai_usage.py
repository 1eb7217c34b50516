"""What the counted figures become: tiers, models, provisioned capacity, gateway calls, meter names."""

from __future__ import annotations

import datetime as dt
import doctest
from decimal import Decimal

import pytest
from azure_world import ACCOUNT, NOW, SUB, Azure, connector, saved_answers
from finops_ai_azure_openai import arm, blobs, charges, deployments, line_items, metrics, provisioned, usage
from finops_ai_azure_openai.connector import AzureOpenAI
from finops_ai_azure_openai.line_items import line_item
from hypothesis import given, settings
from hypothesis import strategies as st

from finops_ai.frames import BillFrame, conform
from finops_ai.periods import Window
from finops_ai.providers import registry
from finops_ai.testing import PlayedProvider

OCTOBER = Window.of("2026-10-01", "2026-11-01")


@pytest.fixture(scope="module")
def frame():
    with PlayedProvider(Azure().answer) as played:
        made = connector(played.url)
        found = made.usage(OCTOBER)
        found.attrs["notes"] = made.notes
    return found


def rows(frame, name, meter=None):
    found = frame[frame["resource_id"] == f"{ACCOUNT}/deployments/{name}"]
    return found[found["meter"] == meter] if meter else found


def test_it_is_found_as_a_plugin():
    assert registry().connector("azure-openai") is AzureOpenAI


@pytest.mark.parametrize("module", [arm, blobs, charges, deployments, line_items, usage])
def test_examples_in_docstrings_run(module):
    result = doctest.testmod(module)
    assert result.failed == 0


def test_the_tier_is_the_deployments_else_the_calls(frame):
    # 1 October: every answered call was priority (the 429s don't count); 2 October: two tiers, which can't be told apart
    assert dict(rows(frame, "chat-prod", "output").set_index("charge_period_start")["service_tier"].items()) == {
        dt.datetime(2026, 10, 1, tzinfo=dt.UTC): "priority",
        dt.datetime(2026, 10, 2, tzinfo=dt.UTC): "standard",
    }
    assert set(rows(frame, "nightly")["service_tier"]) == {"batch"}
    assert set(rows(frame, "reserved")["service_tier"]) == {"provisioned"}
    assert any("1 slices mix calls of several service tiers" in note for note in frame.attrs["notes"])


def test_refused_calls_are_no_requests(frame):
    assert rows(frame, "chat-prod", "requests")["quantity"].sum() == 40 + 33


def test_names_places_and_tags(frame):
    row = rows(frame, "chat-prod", "output").iloc[0]
    assert row["model"] == "gpt-4o-2024-11-20"
    assert (row["billing_account_id"], row["sub_account_id"], row["sub_account_name"]) == (SUB, SUB, "AI production")
    assert (row["region"], row["inference_geo"]) == ("swedencentral", "global")
    assert dict(row["tags"]) == {
        "team": "support",
        "azure_account": "aoai-demo",
        "azure_resource_group": "rg-ai",
        "azure_deployment": "chat-prod",
    }
    # the older metrics name no model: the deployment does
    assert set(rows(frame, "old-bot")["model"]) == {"gpt-3.5-turbo-0613"}
    assert set(rows(frame, "old-bot")["inference_geo"]) == {"regional"}
    assert set(rows(frame, "reserved")["inference_geo"]) == {"eu"}


def test_audio_is_taken_out_of_the_input_it_is_part_of(frame):
    first = frame[frame["charge_period_start"] == dt.datetime(2026, 10, 1, tzinfo=dt.UTC)]
    assert dict(rows(first, "chat-prod").set_index("meter")["quantity"].items()) == {
        "input": 100_000,
        "input_audio": 20_000,
        "output": 30_000,
        "requests": 40,
    }


def test_the_older_set_counts_only_where_the_newer_is_silent(frame):
    # chat-prod is in both sets; old-bot only in the older
    assert rows(frame, "chat-prod", "output")["quantity"].sum() == 51_000
    assert rows(frame, "old-bot", "output")["quantity"].sum() == 500


def test_a_deployment_that_is_gone_keeps_the_metrics_model(tmp_path):
    paths = saved_answers(tmp_path)
    (tmp_path / "deployments.json").unlink()
    found = AzureOpenAI(files=paths).usage(OCTOBER)
    assert set(rows(found, "chat-prod")["model"]) == {"gpt-4o-2024-11-20"}
    assert set(rows(found, "old-bot")["model"]) == {"old-bot"}


def test_idle_capacity_is_a_line_of_its_own(frame):
    last = rows(frame, "reserved")
    last = last[last["charge_period_start"] == dt.datetime(2026, 10, 31, tzinfo=dt.UTC)]
    # 10 PTUs x 24 h, a quarter of them used
    assert dict(last.set_index("operation")["quantity"].items()) == {"provisioned": 60, "provisioned_idle": 180}
    assert set(last["quantity_basis"]) == {"imputed"}
    assert any("No utilisation of reserved" in note for note in frame.attrs["notes"])


def test_no_capacity_is_counted_ahead_of_time():
    with PlayedProvider(Azure().answer) as played:
        found = connector(played.url).usage(Window.of("2026-11-09", "2026-11-20"))
    hours = found[found["meter"] == "provisioned_hours"]
    # NOW is noon of the 10th: 24 h of the 9th and 12 h of the 10th, 10 PTUs
    assert dt.datetime(2026, 11, 10, 12, tzinfo=dt.UTC) == NOW
    assert hours["quantity"].sum() == 360


def test_the_bill_of_a_reservation_is_spread_over_used_and_idle_hours():
    with PlayedProvider(Azure().answer) as played:
        found = connector(played.url, provisioned_cost=True).usage(OCTOBER)
    last = rows(found, "reserved").dropna(subset=["billed_cost"]).set_index("operation")
    # 24 USD amortised on 31 October, a quarter of the hours used
    assert dict(last["billed_cost"].items()) == {"provisioned": 6, "provisioned_idle": 18}
    assert set(last["billing_currency"]) == {"USD"}


money = st.decimals(min_value=0, max_value=10**9, places=18, allow_nan=False)


@pytest.mark.long
@settings(max_examples=12, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 500), st.integers(0, 100)), min_size=1, max_size=4), money)
def test_no_cost_of_capacity_is_lost(made, cost):
    account = arm.resource_id(ACCOUNT)
    day = Window.of("2026-10-05", "2026-10-06")
    owned = [
        deployments.Deployment(account, f"d{i}", "gpt-5", "ProvisionedManaged", units)
        for i, (units, _) in enumerate(made)
    ]
    points = [
        metrics.Point(
            metrics.UTILISATION,
            account,
            {"modeldeploymentname": f"d{i}"},
            day.start,
            provisioned.DAY,
            Decimal(used),
            None,
        )
        for i, (_, used) in enumerate(made)
    ]
    hours = provisioned.unit_hours(owned, points, day, usage.Identity(None, {}), day.end, [])
    row = charges.bill_row(
        usage.Identity(None, {}), meter_name="Provisioned Managed Regional Unit", unit="1 Hour", resource=ACCOUNT,
        charge_period_start=day.start, charge_period_end=day.end, billed_cost=Decimal(0), effective_cost=cost,
        billing_currency="USD", source="billing_export",
    )  # fmt: skip
    bills = conform({name: [value] for name, value in row.items()}, BillFrame, source="test")
    spread = usage.token_frame([provisioned.amortise(hours, bills, [])])
    assert spread["quantity"].sum() == 24 * sum(units for units, _ in made)
    assert spread["billed_cost"].sum() == cost


counts = st.dictionaries(
    st.sampled_from(["InputTokens", "OutputTokens", "ProcessedPromptTokens", "GeneratedTokens"]), st.integers(0, 10**12)
)


@settings(max_examples=15, deadline=None)
@given(st.lists(counts, min_size=1, max_size=5))
def test_of_two_sets_of_metrics_one_counts(found):
    account = arm.resource_id(ACCOUNT)
    day = Window.of("2026-10-01", "2026-10-02")
    points = [
        metrics.Point(name, account, {"modeldeploymentname": f"d{i}"}, day.start, provisioned.DAY, Decimal(value), None)
        for i, one in enumerate(found)
        for name, value in one.items()
    ]
    table = usage.metered(metrics.slices(points, {}, day), usage.Identity(None, {}), [])
    expected = 0
    for one in found:
        new = one.get("InputTokens", 0) + one.get("OutputTokens", 0)
        expected += new or one.get("ProcessedPromptTokens", 0) + one.get("GeneratedTokens", 0)
    assert sum(table["quantity"].to_pylist() if table.num_rows else []) == expected


def test_calls_of_the_gateway_carry_who_made_them(tmp_path):
    (tmp_path / "log.csv").write_text(
        "TimeGenerated,CorrelationId,RequestId,DeploymentName,ModelName,PromptTokens,CompletionTokens,ApimSubscriptionId,"
        "UserId,ProductId,ResponseCode,RequestMessages\n"
        "2026-10-05T07:00:00Z,c1,r1,chat-prod,gpt-4o,100,11,team-a,ana,desk,200,SECRET WORDS\n"
        "2026-10-05T07:01:00Z,c2,r2,chat-prod,gpt-4o,,,team-a,ana,desk,429,\n"
    )
    frame = AzureOpenAI(files=str(tmp_path / "log.csv")).usage(OCTOBER)
    row = frame.iloc[0]
    assert (row["api_key_id"], row["user_id"], row["request_id"], row["source"]) == ("team-a", "ana", "r1", "gateway")
    assert set(zip(frame["request_id"], frame["outcome"], strict=True)) == {("r1", "ok"), ("r2", "error")}
    assert dict(row["tags"]) == {"azure_deployment": "chat-prod", "apim_product": "desk"}
    assert (row["slice_input_tokens"], row["slice_requests"]) == (100, 1)
    assert not frame.astype(str).apply(lambda c: c.str.contains("SECRET").any()).any()


def test_metrics_and_gateway_log_are_never_added(tmp_path):
    paths = saved_answers(tmp_path)
    (tmp_path / "log.csv").write_text("TimeGenerated,CorrelationId,PromptTokens\n2026-10-05T07:00:00Z,c1,100\n")
    made = AzureOpenAI(files=[*paths, str(tmp_path / "log.csv")])
    assert set(made.usage(OCTOBER)["source"]) == {"api"}
    assert "no call counts twice" in made.notes[0]
    assert set(
        AzureOpenAI(files=[*paths, str(tmp_path / "log.csv")], usage_from="gateway").usage(OCTOBER)["source"]
    ) == {"gateway"}


@pytest.mark.parametrize(
    ("name", "unit", "model", "meter", "tier", "geography"),
    [
        ("gpt 4o 0513 Input global Tokens", "1K", "gpt-4o-2024-05-13", "input", "standard", "global"),
        ("gpt-4o-0806-Batch-Inp-glbl Tokens", "1K", "gpt-4o-2024-08-06", "input", "batch", "global"),
        ("gpt 4.1 mini cached Inp Data Zone", "1M", "gpt-4.1-mini", "cache_read", "standard", "datazone"),
        ("GPT 5.6 Cd Wr Std", "1M", "gpt-5.6", "cache_write", "standard", None),
        ("GPT 5.6 Cd Inp Std", "1M", "gpt-5.6", "cache_read", "standard", None),
        ("GPT 5.6 Outp Std", "1M", "gpt-5.6", "output", "standard", None),
        ("gpt 5 pp Outp glbl", "1M", "gpt-5", "output", "priority", "global"),
        # a bare version, as the newest product lines are spelt
        ("5.4 mini cd Inp Gl", "1M", "gpt-5.4-mini", "cache_read", "standard", "global"),
        ("5.4 longco opt Gl 1M Tokens", "1M", "gpt-5.4", "output", "standard", "global"),
        ("54 mini Inp Flex Gl", "1M", "gpt-5.4-mini", "input", "flex", "global"),
        ("6-sol ShortCo Cd Wr Std Gl", "1M", "gpt-6-sol", "cache_write", "standard", "global"),
        ("6-sol ShortCo Inp PP Gl", "1M", "gpt-6-sol", "input", "priority", "global"),
        ("GPT 5 Mini outpt Glbl 1M Tokens", "1M", "gpt-5-mini", "output", "standard", "global"),
        ("gpt-5-codex-ccchd-inp-glbl Tokens", "1M", "gpt-5-codex", "cache_read", "standard", "global"),
        ("Phi-3.5-Mini-128K-Instruct-Output Tokens", "1K", "phi-3.5-mini-128k-instruct", "output", "standard", None),
        ("K2.6 cached glbl", "1K", "k2.6", "cache_read", "standard", "global"),
        ("Code-Interpreter-global", "1", "code", "code_sessions", "standard", "global"),
        ("Sora 2 pro glbl Second", "1", "sora-2-pro", "video_seconds", "standard", "global"),
        ("text-embedding-3-large-glbl Tokens", "1K", "text-embedding-3-large", "input", "standard", "global"),
        ("gpt 4o rt aud 1217 Inp glbl", "1M", "gpt-4o-rt", "input_audio", "standard", "global"),
        ("Provisioned Managed Global Unit", "1 Hour", None, "provisioned_hours", "provisioned", "global"),
        ("gpt-4o-0806-regnl ft hosting Unit", "1 Hour", "gpt-4o-2024-08-06", "hosting_hours", "standard", "regional"),
        ("GPT-4o-mini-ft-trng Tokens", "1K", "gpt-4o-mini", "training", "standard", None),
        ("o4 mini RFT Training", "1 Hour", "o4-mini-rft", "training_hours", "standard", None),
        ("Text-Davinci Tokens", "1K", None, "unmapped", "standard", None),
        ("Standard Speech To Text", "1 Hour", None, "unmapped", "standard", None),
        ("", "", None, "unmapped", "standard", None),
    ],
)  # fmt: skip
def test_meter_names_are_read(name, unit, model, meter, tier, geography):
    item = line_item(name, unit)
    assert (item.model, item.meter, item.service_tier, item.geography) == (model, meter, tier, geography)


def test_a_bare_version_takes_its_family_from_the_product():
    assert line_item("4.3 Cached Inp Glbl", "1K", "Azure Grok Models").model == "grok-4.3"
    assert line_item("V4 Flash Outp glbl", "1K", "Azure Deepseek Models").model == "deepseek-v4-flash"
    assert line_item("5.4 inp Gl", "1M", "Azure OpenAI GPT5").model == "gpt-5.4"


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=40), st.text(max_size=12))
def test_any_meter_name_is_read_or_unmapped(name, unit):
    item = line_item(name, unit)
    used, used_unit = line_items.consumed(item, Decimal(3), unit)
    assert (used is None) == (used_unit is None)
    assert item.meter != "unmapped" or used is None


def test_a_file_of_another_kind_is_refused_by_name(tmp_path):
    from finops_ai.errors import DataError

    (tmp_path / "other.json").write_text('{"hello": 1}')
    with pytest.raises(DataError, match="not a saved answer this connector knows"):
        AzureOpenAI(files=str(tmp_path / "*.json")).usage(OCTOBER)


@pytest.mark.long
def test_the_sample_companys_files_say_what_its_truth_says(tmp_path):
    from finops_ai.sample import slices
    from finops_ai.sample.native_azure_openai import write

    truth = slices(13)
    truth = truth[truth["provider"] == "azure-openai"]
    write(truth, tmp_path)
    reading = AzureOpenAI(files=str(tmp_path / "**"), billing_account_id="azure-billing-7001")
    whole = Window.of("2025-10-01", "2026-11-01")
    frame, bills = reading.usage(whole), reading.bills(whole)
    found = {str(k): int(v) for k, v in frame.groupby("meter")["quantity"].sum().items()}
    assert found == {
        "input": truth["input"].sum(),
        "output": truth["output"].sum() + truth["reasoning"].sum(),
        "requests": truth["requests"].sum(),
        "provisioned_hours": truth["provisioned_hours"].sum(),
    }
    used = frame[frame["operation"] == "provisioned"]["quantity"].sum()
    assert used == truth["provisioned_hours_used"].sum()
    keys = ["resource_id", "model"]
    tokens = frame[frame["meter"].isin(["input", "output"])]
    got = {tuple(map(str, k)): int(v) for k, v in tokens.groupby(keys)["quantity"].sum().items()}
    want = truth.assign(n=truth["input"] + truth["output"] + truth["reasoning"]).groupby(keys)["n"].sum()
    assert got == {tuple(map(str, k)): int(v) for k, v in want.items() if v}
    assert bills["billed_cost"].sum() == truth["list_cost"].sum()
    assert set(bills["meter"]) == {"input", "output", "provisioned_hours"}
    assert set(bills["billing_account_id"]) == set(frame["billing_account_id"]) == set(truth["billing_account_id"])
    hours = frame[frame["meter"] == "provisioned_hours"]
    assert hours["billed_cost"].sum() == bills[bills["meter"] == "provisioned_hours"]["billed_cost"].sum()
