"""The live connector against a BigQuery and a Monitoring that throttle, drop, repeat, refuse and change."""

from __future__ import annotations

from decimal import Decimal

import pytest
from finops_ai_vertex.connector import Vertex
from vertex_rows import EXPORT, TABLE, TOKENS, PlayedBigQuery, failure, schema

from finops_ai.errors import CredentialsError, DataError, ProviderError, ProviderUnavailable, SettingsError
from finops_ai.meters import token_meters
from finops_ai.periods import Window
from finops_ai.testing import PlayedProvider, Reply

OCTOBER = Window.month("2026-10")


@pytest.fixture
def bigquery():
    """A played BigQuery and its server; faults go into `troubles` or wrap `answer`."""
    played = PlayedBigQuery(EXPORT)
    with PlayedProvider(played.answer) as server:
        played.server = server
        yield played


def connect(bigquery, **settings):
    return Vertex(
        **{
            "endpoint_url": bigquery.server.url,
            "billing_table": TABLE,
            "project_id": "p",
            "max_retries": 3,
            "timeout": 5,
        }
        | settings
    )


def tokens(frame):
    return sum(frame[frame["meter"].isin(token_meters())]["quantity"], Decimal(0))


def trouble_on(bigquery, where: str, *replies: Reply):
    """Answer requests whose path or query holds a text with these replies first."""
    waiting, healthy = list(replies), bigquery.server.answer

    def answer(request):
        text = f"{request.method} {request.path}?" + "&".join(f"{k}={v[0]}" for k, v in request.query.items())
        return waiting.pop(0) if waiting and where in text else healthy(request)

    bigquery.server.answer = answer
    return waiting


FAULTS = {
    "429 with retry-after": failure(429, "rateLimitExceeded", headers={"retry-after": "0"}),
    "429 without": failure(429, "rateLimitExceeded"),
    "500": failure(500, "backendError"),
    "503": failure(503, "backendError"),
    "529": Reply("overloaded", 529),
}


@pytest.mark.parametrize("where", ["/tables/", "POST", "pageToken="])
@pytest.mark.parametrize("fault", FAULTS)
def test_passing_trouble_is_waited_out_and_nothing_counts_twice(bigquery, fault, where):
    bigquery.page = 2
    left = trouble_on(bigquery, where, FAULTS[fault], FAULTS[fault])
    assert tokens(connect(bigquery).usage(OCTOBER)) == TOKENS
    assert left == []


def test_a_connection_dropped_mid_page_is_asked_again(bigquery):
    bigquery.page = 2
    left = trouble_on(bigquery, "pageToken=", Reply({"rows": ["x" * 500]}, sent=40))
    assert tokens(connect(bigquery).usage(OCTOBER)) == TOKENS
    assert left == []


def test_lasting_trouble_is_told(bigquery):
    trouble_on(bigquery, "POST", *[FAULTS["500"]] * 200)
    with pytest.raises(ProviderUnavailable, match=r"still fails.*Nothing of this window was stored"):
        connect(bigquery, timeout=1).usage(OCTOBER)


def test_a_repeated_page_token_is_an_error_not_an_endless_loop(bigquery):
    bigquery.page, bigquery.repeat_token = 2, True
    with pytest.raises(ProviderError, match="same page token twice"):
        connect(bigquery).usage(OCTOBER)


def test_a_refused_page_token_is_told_with_googles_own_words(bigquery):
    bigquery.page = 2
    trouble_on(bigquery, "pageToken=", failure(400, "invalid", "Invalid pageToken"))
    with pytest.raises(ProviderError, match="Invalid pageToken"):
        connect(bigquery).usage(OCTOBER)


def test_rows_lost_on_the_way_are_noticed(bigquery):
    healthy = bigquery.server.answer

    def answer(request):
        reply = healthy(request)
        if "/queries/" in request.path and reply.body.get("rows"):
            return Reply(reply.body | {"rows": reply.body["rows"][:-1]})
        return reply

    bigquery.server.answer = answer
    with pytest.raises(ProviderError, match="has 7 rows and gave 6"):
        connect(bigquery).usage(OCTOBER)


@pytest.mark.parametrize(("reply", "error", "words"), [
    (failure(403, "accessDenied", "Access Denied"), CredentialsError, "roles/bigquery.dataViewer"),
    (failure(401, "authError", "Token issued in the future: check the clock"), CredentialsError, "check the clock"),
    (failure(403, "quotaExceeded", "Quota exceeded"), ProviderUnavailable, "Quota exceeded"),
    (failure(404, "notFound", "Not found: Dataset"), ProviderError, "location"),
    (failure(400, "invalidQuery", "Unrecognized name"), ProviderError, "Unrecognized name"),
])  # fmt: skip
def test_refusals_are_not_retried_and_name_the_next_step(bigquery, reply, error, words):
    trouble_on(bigquery, "POST", *[reply] * 50)
    with pytest.raises(error, match=words):
        connect(bigquery).usage(OCTOBER)
    assert sum(request.method == "POST" for request in bigquery.server.requests) == 1


def test_a_query_that_scans_too_much_is_refused_before_it_runs(bigquery):
    bigquery.scanned = 5 * 2**30
    with pytest.raises(DataError, match=r"5\.0 GiB, more than maximum_gib_billed = 4"):
        connect(bigquery, maximum_gib_billed=4).usage(OCTOBER)
    assert bigquery.queries == []


def test_only_partitions_that_may_hold_the_window_are_scanned_and_few_columns(bigquery):
    connect(bigquery).usage(OCTOBER)
    (query,) = bigquery.queries
    assert "_PARTITIONTIME >= TIMESTAMP_TRUNC(@start, DAY)" in query
    assert "SELECT *" not in query


def test_a_new_column_is_ignored_and_a_missing_optional_one_is_null(bigquery):
    bigquery.fields = schema(without=("cost_at_list", "price.list_price"), more=("brand_new",))
    connector = connect(bigquery)
    assert tokens(connector.usage(OCTOBER)) == TOKENS
    assert connector.bills(OCTOBER)["list_cost"].isna().all()


def test_a_removed_column_is_named(bigquery):
    bigquery.fields = schema(without=("usage.amount",))
    with pytest.raises(DataError, match=r"no column 'usage\.amount'"):
        connect(bigquery).usage(OCTOBER)


def test_the_table_is_found_in_its_dataset(bigquery):
    found = connect(
        bigquery, billing_table=None, billing_dataset="billing.costs", billing_account_id="01ABCD-234567-89ABCD"
    )
    assert tokens(found.usage(OCTOBER)) == TOKENS
    other = connect(
        bigquery, billing_table=None, billing_dataset="billing.costs", billing_account_id="FFFFFF-234567-89ABCD"
    )
    with pytest.raises(DataError, match="holds no billing export"):
        other.usage(OCTOBER)


def test_without_credentials_the_next_step_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    with pytest.raises(CredentialsError, match="gcloud auth application-default login"):
        Vertex(billing_table=TABLE).usage(OCTOBER)
    with pytest.raises(SettingsError, match="nothing to read"):
        Vertex().usage(OCTOBER)


@pytest.mark.parametrize(("page", "words"), [
    ({"timeSeries": [{"metric": {"labels": {"type": "input"}}, "resource": {"labels": {"location": "x"}}, "points": []}]}, "model_version_id"),
    ({"timeSeries": [], "nextPageToken": "again"}, "same page token twice"),
    ([], "no list of time series"),
])  # fmt: skip
def test_monitoring_that_changes_or_repeats_is_told(page, words):
    with PlayedProvider(lambda request: Reply(page)) as server:
        connector = Vertex(endpoint_url=server.url, usage_source="monitoring", project_id="shop", max_retries=1)
        with pytest.raises(ProviderError, match=words):
            connector.usage(OCTOBER)


def test_doctor_says_what_is_missing(bigquery):
    assert [f.ok for f in connect(bigquery).doctor()] == [True, True]
    trouble_on(bigquery, "/tables/", *[failure(403, "accessDenied", "Access Denied")] * 5)
    finding = connect(bigquery).doctor()[-1]
    assert not finding.ok
    assert "roles/bigquery.dataViewer" in finding.fix
    with PlayedProvider(lambda request: Reply({})) as server:
        watching = Vertex(endpoint_url=server.url, usage_source="monitoring", project_id="shop")
        assert [f.ok for f in watching.doctor()] == [True, False, True]  # metrics alone give no bill


def test_a_date_to_wait_until_is_read_by_the_servers_clock(bigquery, monkeypatch):
    waited = []
    monkeypatch.setattr("urllib3.util.retry.time.sleep", waited.append)
    # the server's clock is years behind this machine's; by its own clock the wait is 4 seconds
    dates = {"retry-after": "Fri, 01 Jan 2021 00:00:04 GMT", "date": "Fri, 01 Jan 2021 00:00:00 GMT"}
    trouble_on(bigquery, "/jobs", failure(429, "rateLimitExceeded", headers=dates))
    assert tokens(connect(bigquery).usage(OCTOBER)) == TOKENS
    assert waited == [4.0]


def test_a_wait_of_hours_stops_the_load_in_words(bigquery):
    trouble_on(bigquery, "/jobs", failure(429, "rateLimitExceeded", headers={"retry-after": "7200"}))
    with pytest.raises(ProviderUnavailable, match=r"asks to wait 7,200 s.*again in 120 minutes"):
        connect(bigquery).usage(OCTOBER)
