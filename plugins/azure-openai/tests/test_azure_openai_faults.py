"""What goes wrong between here and Azure: nothing is lost, nothing counts twice, and the error says what to do."""

from __future__ import annotations

import datetime as dt
import email.utils

import pytest
from azure_world import BILLED, METRICS, NOW, TOKENS, Azure, connector
from finops_ai_azure_openai import arm
from finops_ai_azure_openai.connector import AzureOpenAI

from finops_ai.errors import CredentialsError, DataError, ProviderError, ProviderUnavailable, SettingsError, UsageError
from finops_ai.meters import token_meters
from finops_ai.money import exact
from finops_ai.periods import Window
from finops_ai.providers import HttpRefused
from finops_ai.testing import PlayedProvider, Reply

OCTOBER = Window.of("2026-10-01", "2026-11-01")
BUSY = {"error": {"code": "429", "message": "Too many requests. Please retry."}}


@pytest.fixture
def azure():
    return Azure()


@pytest.fixture
def played(azure):
    with PlayedProvider(azure.answer) as provider:
        yield provider


def tokens(frame):
    return frame[frame["meter"].isin(token_meters())]["quantity"].sum()


@pytest.mark.parametrize(
    "trouble",
    [
        Reply(BUSY, 429, {"retry-after": "1"}),
        Reply(BUSY, 429),
        Reply({"error": {"code": "InternalServerError"}}, 500),
        Reply({"error": {"code": "Overloaded"}}, 529),
        Reply({"value": [{"name": "cut"}]}, sent=9),
    ],
    ids=["429 with retry-after", "429 without", "500", "529", "dropped in the middle"],
)
def test_a_passing_trouble_changes_nothing(played, trouble):
    # one before the first answer, and one before the second page of the bill
    played.troubles.append(trouble)
    assert tokens(connector(played.url).usage(OCTOBER)) == TOKENS
    played.troubles.append(trouble)
    assert connector(played.url).bills(OCTOBER)["billed_cost"].sum() == exact(BILLED["USD"])


def test_a_lasting_trouble_ends_with_what_to_do(played):
    played.troubles.extend([Reply(BUSY, 429)] * 50)
    with pytest.raises(ProviderUnavailable, match="Nothing of this window was stored"):
        connector(played.url, max_retries=2).usage(OCTOBER)
    assert len(played.requests) == 3


def test_the_longest_of_the_throttling_headers_counts(played):
    prefix = "x-ms-ratelimit-microsoft.costmanagement"
    waits = {
        f"{prefix}-qpu-retry-after": "3",
        f"{prefix}-entity-retry-after": "17",
        f"{prefix}-tenant-retry-after": "5",
    }
    played.troubles.append(Reply(BUSY, 429, waits))
    slept = []
    asking = connector(played.url)
    asking.sleep = slept.append
    asking.bills(OCTOBER)
    assert slept == [17]


def test_a_date_to_wait_until_is_read_by_the_servers_clock(played):
    until = email.utils.format_datetime(dt.datetime.now(dt.UTC) + dt.timedelta(seconds=20), usegmt=True)
    played.troubles.append(Reply(BUSY, 429, {"retry-after": until}))
    slept = []
    asking = connector(played.url)
    asking.sleep = slept.append
    asking.usage(OCTOBER)
    assert len(slept) == 1
    assert 5 <= slept[0] <= 21


def test_a_token_refused_for_a_skewed_clock_is_not_tried_again(played):
    said = {"error": {"code": "ExpiredAuthenticationToken", "message": "The access token expiry is in the past."}}
    played.troubles.append(Reply(said, 401))
    with pytest.raises(CredentialsError, match="expiry is in the past"):
        connector(played.url).usage(OCTOBER)
    assert len(played.requests) == 1


def test_a_repeated_page_link_is_an_error(azure, played):
    azure.page_size, azure.loop = 1, True
    with pytest.raises(ProviderError, match="same page twice"):
        connector(played.url).bills(OCTOBER)


def test_a_refused_page_link_is_an_error_and_not_half_a_bill(azure, played):
    azure.page_size = 1
    healthy = azure.answer

    def refusing(request):
        if request.first("$skiptoken"):
            return Reply({"error": {"code": "BadRequest", "message": "The skiptoken is expired"}}, 400)
        return healthy(request)

    played.answer = refusing
    with pytest.raises(HttpRefused, match="skiptoken is expired"):
        connector(played.url).bills(OCTOBER)


def test_the_token_goes_to_no_other_host(azure, played):
    # the link names management.azure.com: only its path is used, on the address that was set
    azure.page_size = 1
    connector(played.url).bills(OCTOBER)
    assert {r.headers["host"] for r in played.requests} == {played.url.removeprefix("http://")}


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_names_the_role(played, status):
    said = {"error": {"code": "AuthorizationFailed", "message": "no authorization over scope"}}
    played.troubles.append(Reply(said, status))
    with pytest.raises(CredentialsError, match="role Cost Management Reader"):
        connector(played.url).bills(OCTOBER)
    assert len(played.requests) == 1


def test_a_new_field_is_ignored_and_a_missing_one_named(azure, played):
    healthy = azure.answer

    def changed(request, drop=None):
        reply = healthy(request)
        if request.path.endswith("/query"):
            columns, rows = reply.body["properties"]["columns"], reply.body["properties"]["rows"]
            columns.insert(0, {"name": "NewColumn", "type": "String"})
            for row in rows:
                row.insert(0, "new")
            names = [column["name"] for column in columns]
            if drop in names:
                at = names.index(drop)
                columns.pop(at)
                for row in rows:
                    row.pop(at)
        return reply

    played.answer = changed
    assert connector(played.url).bills(OCTOBER)["billed_cost"].sum() == exact(BILLED["USD"])
    for name in ("UsageDate", "Currency", "Cost"):
        played.answer = lambda request, name=name: changed(request, drop=name)
        with pytest.raises(DataError, match="cost column" if name == "Cost" else name):
            connector(played.url).bills(OCTOBER)


def test_a_metric_the_account_lacks_is_noted_and_the_rest_read(azure, played):
    azure.unsupported = {"FineTunedTrainingHours", "InputTokens"}
    asking = connector(played.url)
    frame = asking.usage(OCTOBER)
    # only the older set: chat-prod 218,000 + 51,000 and old-bot 4,500
    assert tokens(frame) == 273_500
    assert any("FineTunedTrainingHours" in note for note in asking.notes)


def test_no_token_metric_at_all_is_an_error(azure, played):
    azure.unsupported = {"InputTokens", "ProcessedPromptTokens"}
    with pytest.raises(HttpRefused, match="Failed to find metric"):
        connector(played.url).usage(OCTOBER)


def test_a_failed_metric_is_an_error(azure, played):
    healthy = azure.answer

    def failing(request):
        reply = healthy(request)
        if "InputTokens" in request.first("metricnames"):
            reply.body["value"][0]["errorCode"] = "InternalError"
        return reply

    played.answer = failing
    with pytest.raises(ProviderError, match="InputTokens of aoai-demo failed"):
        connector(played.url).usage(OCTOBER)


def test_more_cached_than_input_is_an_error_not_a_zero(played, monkeypatch):
    monkeypatch.setitem(
        METRICS, "cacheReadInputTokens", {("claude", "claude-sonnet-4-5", "20250929"): {"2026-10-02": 5000}}
    )
    # total = input + output: the cached tokens are inside the 900, which can't be
    monkeypatch.setitem(METRICS, "TotalTokens", {})
    with pytest.raises(UsageError, match="5100 cached tokens exceed the 900") as error:
        connector(played.url).usage(OCTOBER)
    assert error.value.flag == "negative_remainder"


def test_usage_older_than_the_metrics_is_what_the_bill_states(played):
    asking = connector(played.url)
    asking.clock = lambda: NOW + dt.timedelta(days=60)  # 9 January: 93 days before is 8 October
    frame = asking.usage(OCTOBER)
    # 0.12 million input tokens and 21 thousand output tokens are billed in October
    assert dict(frame[frame["unit"] == "tokens"].groupby("meter")["quantity"].sum().items()) == {
        "input": 120_000,
        "output": 21_000,
    }
    assert set(frame["model"]) == {"gpt-4o-2024-11-20", "Provisioned Managed Data Zone Unit", "Whatever Comes Next"}
    assert any("before 2026-10-08 is what the bill states" in note for note in asking.notes)


def test_metrics_asked_for_by_name_are_refused_where_they_are_forgotten(played):
    # NOW is 10 November: 93 days before is 9 August
    assert NOW - dt.timedelta(days=93) == dt.datetime(2026, 8, 9, 12, tzinfo=dt.UTC)
    with pytest.raises(ProviderError, match="nothing before 2026-08-09"):
        connector(played.url, usage_from="metrics").usage(Window.of("2026-08-01", "2026-09-01"))


def test_without_units_quantities_are_unknown_and_money_whole(azure, played):
    azure.units = False
    asking = connector(played.url)
    bills = asking.bills(OCTOBER)
    assert bills["billed_cost"].sum() == exact(BILLED["USD"])
    assert bills["consumed_quantity"].isna().all()
    assert any("units of measure" in note for note in asking.notes)


def test_a_cut_gateway_answer_is_asked_again_in_halves(azure, played):
    azure.calls = [
        {
            "TimeGenerated": f"2026-10-0{day}T0{hour}:00:00Z",
            "CorrelationId": f"{day}{hour}",
            "PromptTokens": 1,
            "ModelName": "m",
        }
        for day in (1, 2, 3)
        for hour in (0, 3)
    ]
    azure.cut_logs_above = 2
    asking = connector(played.url, usage_from="gateway", workspace_id="w", logs_url=played.url)
    assert tokens(asking.usage(OCTOBER)) == 6


def test_settings_say_what_is_missing(played):
    with pytest.raises(SettingsError, match="subscription_id is missing"):
        connector(played.url, subscription_id=[]).usage(OCTOBER)
    with pytest.raises(SettingsError, match="needs workspace_id"):
        connector(played.url, usage_from="gateway").usage(OCTOBER)
    with pytest.raises(SettingsError, match="export_url"):
        connector(played.url, export_url="nonsense").bills(OCTOBER)
    with pytest.raises(SettingsError, match="interval"):
        AzureOpenAI(interval="P2D")


def test_the_doctor_tells_each_state_apart(played):
    assert [f.ok for f in connector(played.url).doctor()] == [True, True, True]
    assert [(f.what, f.ok) for f in connector(played.url, accounts=["other"]).doctor()][1] == ("accounts", False)
    nameless = connector(played.url, subscription_id=[]).doctor()
    assert (nameless[0].what, nameless[0].ok) == ("subscription_id", False)
    played.troubles.append(Reply({"error": {"message": "no"}}, 403))
    refused = connector(played.url).doctor()
    assert not refused[0].ok
    assert "Reader" in refused[0].fix


def test_the_token_comes_from_azure_identity(played, monkeypatch):
    """azure-identity's real chain, its HTTPS calls played: the token it gets is the one Azure sees."""
    responses = pytest.importorskip("responses", reason="responses isn't installed: Entra can't be played")
    import json

    from azure_world import TOKEN

    monkeypatch.setenv("AZURE_TENANT_ID", "11111111-1111-1111-1111-111111111111")
    monkeypatch.setenv("AZURE_CLIENT_ID", "22222222-2222-2222-2222-222222222222")
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "planted-client-secret")
    login = "https://login.microsoftonline.com/11111111-1111-1111-1111-111111111111"
    with responses.RequestsMock(assert_all_requests_are_fired=False) as entra:
        known = {
            "authorization_endpoint": f"{login}/oauth2/v2.0/authorize",
            "token_endpoint": f"{login}/oauth2/v2.0/token",
            "issuer": f"{login}/v2.0",
            "tenant_discovery_endpoint": f"{login}/v2.0/.well-known/openid-configuration",
            "metadata": [],
        }
        entra.get(f"{login}/v2.0/.well-known/openid-configuration", json=known)
        entra.get("https://login.microsoftonline.com/common/discovery/instance", json=known)
        token = {"token_type": "Bearer", "expires_in": 3599, "access_token": TOKEN}
        entra.post(f"{login}/oauth2/v2.0/token", body=json.dumps(token))
        asking = connector(played.url)
        asking.credential = arm.default_credential()
        assert tokens(asking.usage(OCTOBER)) == TOKENS
    assert "planted-client-secret" not in repr(asking) + str(asking.settings)


def test_no_sign_in_names_the_ways_to_sign_in(played):
    class Nobody:
        def get_token(self, scope):
            raise RuntimeError("secret detail")

    asking = connector(played.url)
    asking.credential = Nobody()
    with pytest.raises(CredentialsError, match="az login") as error:
        asking.usage(OCTOBER)
    assert "secret detail" not in str(error.value)
    assert played.requests == []


def test_only_the_accounts_named_are_read(played):
    assert connector(played.url, accounts="other").usage(OCTOBER).empty
    assert not connector(played.url, accounts="AOAI-demo").usage(OCTOBER).empty
