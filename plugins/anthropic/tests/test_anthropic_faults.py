"""What the connector does when the provider misbehaves: nothing is lost, nothing doubled, and the error says what to do."""

from __future__ import annotations

import datetime as dt
import gzip
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from finops_ai_anthropic import AnthropicConnector
from finops_ai_anthropic.api import Reports

from finops_ai.errors import CredentialsError, FinopsError, ProviderError, ProviderUnavailable
from finops_ai.periods import Window, instant
from finops_ai.providers import HttpClient
from finops_ai.providers.retrying import retry_after
from finops_ai.testing import PlayedProvider, Reply, Request

WEEK = Window.of("2026-10-01", "2026-10-04")
INPUT = 256_100  # 1000 + 100 + 5000 + 250000


@contextmanager
def played(answer: Callable[[Request], Reply], **settings: Any) -> Iterator[AnthropicConnector]:
    with PlayedProvider(answer) as provider:
        yield AnthropicConnector(endpoint_url=provider.url, **{"reports": "analytics", "names": False, **settings})


def once(organization: Any, fault: Reply, at: int) -> Callable[[Request], Reply]:
    """The organization, whose answer number `at` is the fault."""
    seen: list[Request] = []

    def answer(request: Request) -> Reply:
        seen.append(request)
        return fault if len(seen) == at else organization.answer(request)

    return answer


def total(frame: Any, meter: str = "input") -> int:
    return int(frame.loc[frame["meter"] == meter, "quantity"].sum())


ERROR = {"type": "error", "error": {"type": "x", "message": "m"}}
BODY = gzip.compress(json.dumps({"data": [], "has_more": False}).encode())
FAULTS = {
    "429 with retry-after": (Reply(ERROR, 429, {"retry-after": "5"}), 5.0),
    "429 without": (Reply(ERROR, 429), None),
    "500": (Reply(ERROR, 500), None),
    "529": (Reply(ERROR, 529), None),
    "connection dropped in the answer": (Reply({"data": []}, sent=5), None),
    "gzip damaged": (Reply(BODY[:12] + b"x" * 20, headers={"content-encoding": "gzip"}), None),
}


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("at", [1, 3])
def test_a_passing_fault_changes_nothing(organization: Any, waits: list[float], name: str, at: int) -> None:
    fault, wait = FAULTS[name]
    organization.page_size = 1
    with played(once(organization, fault, at)) as connector:
        frame = connector.usage(WEEK)
    assert total(frame) == INPUT
    assert len(waits) == 1
    assert wait is None or waits[0] == wait


def test_a_gzip_answer_cut_short_is_an_error(waits: list[float]) -> None:
    cut = Reply(BODY[:-12], headers={"content-encoding": "gzip"})
    with played(lambda request: cut) as connector, pytest.raises(FinopsError, match="not whole"):
        connector.usage(WEEK)


def test_a_clock_that_differs_changes_neither_waits_nor_rows(old_organization: Any) -> None:
    skewed = {"date": "Thu, 01 Jan 2026 00:00:00 GMT", "retry-after": "Thu, 01 Jan 2026 00:00:07 GMT"}
    assert retry_after(httpx.Response(429, headers=skewed)) == 7.0
    with PlayedProvider(old_organization.answer) as provider, _client(provider.url) as http:
        for now in ("2026-11-21", "2026-11-23", "2026-11-25"):
            rows = list(Reports(http, "auto", "1d", [], now=instant(now)).usage(Window.of("2025-12-29", "2026-01-03")))
            assert sum(row["uncached_input_tokens"] for row in rows) == 901


def test_a_lasting_fault_says_to_come_back(waits: list[float]) -> None:
    with (
        played(lambda request: Reply(ERROR, 529), max_retries=2) as connector,
        pytest.raises(ProviderUnavailable, match=r"after 3 tries.*529.*later"),
    ):
        connector.usage(WEEK)


def test_a_missing_permission_names_the_key_to_get() -> None:
    with (
        played(lambda request: Reply(ERROR, 403)) as connector,
        pytest.raises(CredentialsError, match=r"Admin key.*read:analytics"),
    ):
        connector.usage(WEEK)


def test_a_page_token_given_again_is_an_error(organization: Any) -> None:
    organization.page_size, organization.repeats = 1, True
    with played(organization.answer) as connector, pytest.raises(ProviderError, match="repeats page token"):
        connector.usage(WEEK)


def test_a_refused_page_token_starts_the_query_over(organization: Any) -> None:
    organization.page_size, organization.forgets = 1, 1
    with played(organization.answer) as connector:
        assert total(connector.usage(WEEK)) == INPUT


def test_a_page_token_refused_again_is_an_error(organization: Any) -> None:
    organization.page_size, organization.forgets = 1, 2
    with (
        played(organization.answer, reports="auto") as connector,
        pytest.raises(ProviderError, match=r"token is not valid.*refused twice"),
    ):
        connector.usage(WEEK)


def changed(change: Callable[[dict[str, Any]], None]) -> Callable[[str, dict[str, Any]], dict[str, Any]]:
    """Apply a change to every usage row."""

    def apply(path: str, body: dict[str, Any]) -> dict[str, Any]:
        for row in body["data"] if path == "analytics/usage" else []:
            change(row)
        return body

    return apply


def test_a_new_dimension_and_word_are_let_through(organization: Any) -> None:
    organization.change = changed(lambda row: (row["group"].update(planet="earth"), row.update(comment="new")))
    with played(organization.answer) as connector:
        assert total(connector.usage(WEEK)) == INPUT


def test_a_new_kind_of_token_is_shown_unmapped(organization: Any) -> None:
    def add(row: dict[str, Any]) -> None:
        row["usage"]["cache_creation"]["ephemeral_12h_input_tokens"] = 11
        row["usage"]["total_tokens"] += 11

    organization.change = changed(add)
    with played(organization.answer) as connector:
        frame = connector.usage(WEEK)
    new = frame[frame["meter"] == "unmapped"]
    assert new["quantity"].tolist() == [11] * 4
    assert {dict(tags)["unmapped"] for tags in new["tags"]} == {"cache_creation.ephemeral_12h_input_tokens"}
    assert any("unmapped" in note for note in connector.notes)
    assert total(frame) == INPUT


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda row: row["usage"].pop("output_tokens"),
            "has no 'output_tokens'.*2026-10-01|2026-10-0.*'output_tokens'",
        ),
        (lambda row: row["usage"].update(output_tokens=-1), "output_tokens is -1"),
        (lambda row: row["usage"].update(total_tokens=row["usage"]["total_tokens"] + 5), "its total_tokens says"),
        (lambda row: row.pop("group"), "no 'group'"),
    ],
)
def test_a_changed_report_is_a_clear_error(organization: Any, change: Any, message: str) -> None:
    organization.change = changed(change)
    with played(organization.answer) as connector, pytest.raises(Exception, match=message) as raised:
        connector.usage(WEEK)
    assert isinstance(raised.value, ProviderError)


def test_rows_lost_between_overview_and_details_are_noticed(organization: Any) -> None:
    def lose(path: str, body: dict[str, Any]) -> dict[str, Any]:
        return {**body, "data": body["data"][1:]} if path == "analytics/usage" and len(organization.asked) > 1 else body

    organization.change = lose
    with (
        played(organization.answer) as connector,
        pytest.raises(ProviderError, match=r"adds up to .* the ungrouped to"),
    ):
        connector.usage(WEEK)


def test_a_refused_grouping_is_left_out_and_named(organization: Any) -> None:
    organization.refused = {"actor"}
    with played(organization.answer) as connector:
        frame = connector.usage(WEEK)
    assert total(frame) == INPUT
    assert frame["user_id"].isna().all()
    assert any("by actor" in note for note in connector.notes)


def test_a_modifier_that_is_sometimes_not_stated_is_grouped_by(organization: Any) -> None:
    for one in organization.facts[:3]:
        organization.facts = [{**f, "speed": None} if f is one else f for f in organization.facts]
    with played(organization.answer) as connector:
        frame = connector.usage(WEEK)
    assert total(frame) == INPUT
    assert any("left no room for actor" in note for note in connector.notes)


def test_where_a_filter_loses_rows_the_modifiers_are_grouped_by(organization: Any) -> None:
    def deaf(path: str, body: dict[str, Any]) -> dict[str, Any]:
        asked = organization.asked[-1]
        return {**body, "data": []} if "not_available" in asked.get("inference_geos[]", []) else body

    organization.change = deaf
    with played(organization.answer) as connector:
        frame = connector.usage(WEEK)
    assert total(frame) == INPUT
    assert set(frame["inference_geo"].dropna()) == {"global", "us"}
    assert any("left no room for workspace_id, api_key_id, actor" in note for note in connector.notes)


def test_every_modifier_reaches_its_rows(organization: Any) -> None:
    with played(organization.answer) as connector:
        frame = connector.usage(WEEK)
    rows = {
        (r.model, r.service_tier): (r.context_tier, r.inference_geo, r.api_key_id, r.user_id, r.slice_requests)
        for r in frame.fillna({"inference_geo": "", "api_key_id": ""}).itertuples()
    }
    assert rows == {
        ("claude-opus-5", "standard"): ("0-200k", "global", "key_1", "user_1", 5),
        ("claude-opus-5", "fast"): ("0-200k", "global", "key_1", "user_1", 1),
        ("claude-sonnet-5", "batch"): ("0-200k", "us", "", "svac_1", 9),
        ("claude-haiku-4-5", "priority"): ("200k-1M", "", "key_2", "aws:role/search", 1),
    }


def test_old_dates_come_from_the_legacy_report(old_organization: Any) -> None:
    notes: list[str] = []
    with PlayedProvider(old_organization.answer) as provider, _client(provider.url) as http:
        reports = Reports(http, "auto", "1d", notes, now=instant("2026-11-23"))
        rows = list(reports.usage(Window.of("2025-12-29", "2026-01-03")))
    assert sum(row["uncached_input_tokens"] for row in rows) == 901  # 400 + 500 legacy, 1 analytics
    assert [row["starting_at"][:10] for row in rows] == ["2025-12-30", "2025-12-31", "2026-01-01"]


def test_an_organization_without_analytics_gets_the_legacy_reports(organization: Any) -> None:
    organization.no_analytics = True
    with PlayedProvider(organization.answer) as provider, _client(provider.url) as http:
        notes: list[str] = []
        reports = Reports(http, "auto", "1d", notes, now=instant("2026-11-23"))
        usage, costs = list(reports.usage(WEEK)), list(reports.costs(WEEK))
    assert sum(row["uncached_input_tokens"] for row in usage) == INPUT
    assert {row["speed"] for row in usage} == {"standard", "fast"}
    assert any("legacy reports were read instead" in note for note in notes)
    assert any("Priority Tier" in note for note in notes)
    assert all("description" in row for row in costs)


def test_hours_and_minutes_are_asked_in_pieces_the_api_allows(organization: Any) -> None:
    organization.facts = []
    for width, longest in (("1h", dt.timedelta(days=31)), ("1m", dt.timedelta(hours=24))):
        organization.asked = []
        with played(organization.answer, bucket_width=width) as connector:
            connector.usage(Window.of("2026-10-01", "2026-10-03"))
        for asked in organization.asked[:-1]:
            start, end = instant(asked["starting_at"][0]), instant(asked["ending_at"][0])
            assert end - start <= longest


@pytest.mark.long
def test_what_is_asked_and_answered_keeps_the_contract(organization: Any, contract: dict[str, Any], waits: Any) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema isn't installed: it is in the development group")
    checked = set()
    validators = {
        path: jsonschema.Draft202012Validator(
            {
                **item["get"]["responses"]["200"]["content"]["application/json"]["schema"],
                "components": contract["components"],
            }
        )
        for path, item in contract["paths"].items()
    }

    def answer(request: Request) -> Reply:
        reply = organization.answer(request)
        operation = contract["paths"].get(request.path, {}).get("get")
        if operation is None:
            return reply
        parameters = {p["name"]: p for p in operation["parameters"]}
        for name, values in request.query.items():
            schema = parameters[name]["schema"]
            for value in values:
                one = schema.get("items", schema)
                jsonschema.validate(int(value) if one.get("type") == "integer" else value, one)
        for name, parameter in parameters.items():
            place = request.headers if parameter["in"] == "header" else request.query
            assert not parameter.get("required") or name in place, f"{request.path} needs {name}"
        validators[request.path].validate(reply.body)
        checked.add(request.path.removeprefix("/v1/organizations/"))
        return reply

    for family in ("analytics", "legacy"):
        with played(answer, reports=family) as connector:
            connector.usage(WEEK)
            connector.bills(WEEK)
    assert checked == {"analytics/usage", "analytics/cost", "usage_report/messages", "cost_report"}


def test_the_doctor_tells_permission_from_absence(organization: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with played(organization.answer) as connector:
        assert [finding.ok for finding in connector.doctor()] == [True]
        organization.no_analytics = True
        (finding,) = connector.doctor()
        assert not finding.ok
        assert "legacy" in finding.fix
        monkeypatch.setenv("ANTHROPIC_ADMIN_KEY", "sk-wrong")
        (finding,) = connector.doctor()
        assert not finding.ok
        assert "Admin key" in finding.fix
        monkeypatch.delenv("ANTHROPIC_ADMIN_KEY")
        (finding,) = connector.doctor()
        assert "ANTHROPIC_ADMIN_KEY" in finding.detail


def _client(url: str) -> HttpClient:
    return HttpClient(
        "anthropic", url, headers={"x-api-key": "sk-ant-admin01-played-secret", "anthropic-version": "2023-06-01"}
    )
