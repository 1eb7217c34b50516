"""The OpenAI connector keeps every rule of the kit, live and from files."""

from __future__ import annotations

import gzip
import json
from contextlib import contextmanager
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest
from finops_ai_openai.connector import OpenAI
from finops_ai_openai.endpoints import ENDPOINTS

from finops_ai.errors import CredentialsError, DataError, ProviderError, ProviderUnavailable, SettingsError
from finops_ai.periods import Window
from finops_ai.providers import HttpClient
from finops_ai.testing import ConnectorConformance, PlayedProvider, Reply, Request, exact_json

KEY = "sk-admin-never-shown"
DAY = 86400
OCTOBER = 1790812800  # 2026-10-01T00:00:00Z


def completions(**changes):
    # input 1000 = 500 fresh + 400 cached + 100 written; the fresh 500 = 400 text + 50 audio + 50 image
    return {
        "object": "organization.usage.completions.result",
        "input_tokens": 1000,
        "input_cached_tokens": 400,
        "input_cache_write_tokens": 100,
        "input_uncached_tokens": 500,
        "input_text_tokens": 400,
        "input_audio_tokens": 50,
        "input_image_tokens": 50,
        "output_tokens": 500,
        "output_text_tokens": 500,
        "num_model_requests": 5,
        "project_id": "proj_a",
        "user_id": "user_1",
        "api_key_id": "key_1",
        "model": "gpt-4.1",
        "batch": False,
        "service_tier": "default",
    } | changes


def cost(value, line_item, **changes):
    amount = {"value": Decimal(value), "currency": "usd"}
    return {
        "object": "organization.costs.result",
        "amount": amount,
        "line_item": line_item,
        "project_id": "proj_a",
    } | changes


#: endpoint -> day of October -> results; day 32 is the first of November and belongs to no October window
WORLD = {
    "usage/completions": {
        1: [completions(), completions(batch=True, service_tier=None)],
        3: [completions(user_id=None, model="gpt-5")],
        31: [completions(project_id="proj_b")],
        32: [completions(output_tokens=999)],
    },
    "usage/embeddings": {
        2: [
            {
                "object": "organization.usage.embeddings.result",
                "input_tokens": 70,
                "num_model_requests": 2,
                "project_id": "proj_a",
                "model": "text-embedding-3-small",
            }
        ]
    },
    "usage/vector_stores": {
        2: [{"object": "organization.usage.vector_stores.result", "usage_bytes": 2**31, "project_id": "proj_a"}]
    },
    "usage/web_search_calls": {
        2: [{"object": "organization.usage.web_searches.result", "num_requests": 3, "num_model_requests": 3}]
    },
    "costs": {
        1: [
            cost("0.06", "gpt-4.1, cached input", quantity=12, quantity_unit="1000_tokens"),
            cost("1.25", "gpt-4.1, input"),
        ],
        2: [cost("0.000000000001", "evals | something new"), cost("-1", None)],
        32: [cost("9", "gpt-4.1, input")],
    },
}
PROJECTS = {
    "object": "list",
    "data": [
        {"object": "organization.project", "id": "proj_a", "name": "Search", "created_at": 1, "status": "active"},
        {"object": "organization.project", "id": "proj_b", "name": "Ads", "created_at": 1, "status": "archived"},
    ],
    "first_id": "proj_a",
    "last_id": "proj_b",
    "has_more": False,
}
EXPECTED = {
    # completions: 4 results in October of 400 text, 50 audio, 50 image, 400 cached, 100 written, 500 out; embeddings 70
    "tokens": 4 * 1500 + 70,
    "quantities": {
        "input": 4 * 400 + 70,
        "input_audio": 200,
        "input_image": 200,
        "cache_read": 1600,
        "cache_write": 400,
        "output": 2000,
        "requests": 4 * 5 + 2,
        "storage": 2 * 24,
        "web_searches": 3,
    },
    "billed": {"USD": "0.310000000001"},  # 0.06 + 1.25 + 0.000000000001 - 1
}


def page_of(path, start, end, limit, token=None):
    """One page as the API gives it: every day of the window as a bucket, empty ones too."""
    days = WORLD.get(path, {})
    first = int(token) if token else start
    last = min(first + limit * DAY, end)
    data = [
        {
            "object": "bucket",
            "start_time": at,
            "end_time": at + DAY,
            "results": days.get((at - OCTOBER) // DAY + 1, []),
        }
        for at in range(first, last, DAY)
    ]
    more = last < end
    return {"object": "page", "data": data, "has_more": more, "next_page": str(last) if more else None}


class TestOpenAILive(ConnectorConformance):
    connector = OpenAI
    environment = {"OPENAI_ADMIN_KEY": KEY}
    secrets = (KEY,)
    split = "2026-10-03"
    tokens = EXPECTED["tokens"]
    quantities = EXPECTED["quantities"]
    billed = EXPECTED["billed"]

    def answer(self, request: Request) -> Reply:
        assert request.headers["authorization"] == f"Bearer {KEY}"
        path = request.path.removeprefix("/organization/")
        if path == "projects":
            return Reply(PROJECTS)
        limit = min(int(request.first("limit", "7")), self.page_size or 1000)
        start = int(request.first("start_time"))
        end = int(request.first("end_time") or start + DAY)
        return Reply(page_of(path, start, end, limit, request.first("page") or None))


class TestOpenAIFiles(ConnectorConformance):
    connector = OpenAI
    files_only = "TestOpenAILive tests the API"
    split = "2026-10-03"
    tokens = EXPECTED["tokens"]
    quantities = EXPECTED["quantities"]
    billed = EXPECTED["billed"]

    @pytest.fixture(autouse=True)
    def _saved_pages(self, tmp_path):
        for path in WORLD:
            page = page_of(path, OCTOBER, OCTOBER + 33 * DAY, 33)
            (tmp_path / f"{path.replace('/', '_')}.json").write_text(exact_json(page), encoding="utf-8")
        (tmp_path / "projects.json").write_text(exact_json(PROJECTS), encoding="utf-8")
        self.settings = {"files": [str(tmp_path)]}


# ---------------------------------------------------------------------- faults, one by one

OCTOBER_WINDOW = Window.of("2026-10-01", "2026-11-01")
SMALL = {"endpoints": ["completions"], "project_names": False}


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    """Retries wait 0 seconds: HttpClient is given a sleep that only notes the time."""
    waited.clear()
    monkeypatch.setattr("finops_ai_openai.connector.HttpClient", partial(HttpClient, sleep=waited.append))


waited: list[float] = []


@contextmanager
def openai(answer, *troubles, **settings):
    """A connector on a played provider, and that provider."""
    with PlayedProvider(answer) as provider, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_ADMIN_KEY", KEY)
        provider.troubles.extend(troubles)
        yield OpenAI(endpoint_url=provider.url, **SMALL | settings), provider


def healthy(request, limit=10):
    """Ten days a page."""
    path = request.path.removeprefix("/organization/")
    if path == "projects":
        return Reply(PROJECTS)
    start, end = int(request.first("start_time")), int(request.first("end_time"))
    return Reply(page_of(path, start, end, min(int(request.first("limit")), limit), request.first("page") or None))


def tokens(frame):
    return frame[frame["unit"] == "tokens"]["quantity"].sum()


ALL = 6000  # four results of 1000 in and 500 out


@pytest.mark.parametrize(
    "trouble",
    [
        Reply({"error": {"message": "rate limited"}}, 429, {"retry-after": "7"}),
        Reply({"error": {"message": "rate limited"}}, 429),
        Reply({"error": {"message": "rate limited"}}, 429, {"retry-after-ms": "7000"}),
        Reply("<html>oops</html>", 500),
        Reply({"error": {"type": "overloaded_error"}}, 529),
        Reply({"object": "page", "data": []}, sent=5),
    ],
    ids=["429 retry-after", "429", "429 retry-after-ms", "500", "529", "dropped mid-answer"],
)  # fmt: skip
def test_a_passing_trouble_loses_and_doubles_nothing(trouble):
    with openai(healthy, healthy_first_page(), trouble) as (connector, _):
        assert tokens(connector.usage(OCTOBER_WINDOW)) == ALL
    assert len(waited) == 1
    if set(trouble.headers) & {"retry-after", "retry-after-ms"}:
        assert waited == [7.0]


def healthy_first_page():
    """The first ten days, so that the trouble comes in the middle of the paging."""
    return Reply(page_of("usage/completions", OCTOBER, OCTOBER + 31 * DAY, 10))


def test_a_truncated_gzip_answer_is_asked_for_again():
    cut = gzip.compress(exact_json(page_of("usage/completions", OCTOBER, OCTOBER + 31 * DAY, 31)).encode())[:-40]
    with openai(healthy, Reply(cut, headers={"content-encoding": "gzip"})) as (live, _):
        again = live.usage(OCTOBER_WINDOW)
    with openai(healthy) as (live, _):
        assert again.equals(live.usage(OCTOBER_WINDOW))


def test_retry_after_as_a_date_is_read_by_the_servers_clock():
    # the server's clock is years behind this machine's; by its own clock the wait is 9 seconds
    dates = {"retry-after": "Fri, 01 Jan 2021 00:00:09 GMT", "date": "Fri, 01 Jan 2021 00:00:00 GMT"}
    with openai(healthy, Reply({}, 429, dates)) as (connector, _):
        assert tokens(connector.usage(OCTOBER_WINDOW)) == ALL
    assert waited == [9.0]


def test_a_provider_that_stays_down_is_a_clear_error_after_the_retries():
    with openai(lambda request: Reply("down", 503), max_retries=2) as (connector, provider):
        with pytest.raises(
            ProviderUnavailable, match=r"still fails after 3 tries: HTTP 503.*run the same command again"
        ):
            connector.usage(OCTOBER_WINDOW)
        assert len(provider.requests) == 3


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_without_the_right_is_explained(status):
    refusal = Reply({"error": {"message": f"You have insufficient permissions ({KEY})"}}, status)
    with openai(lambda request: refusal) as (connector, provider):
        with pytest.raises(CredentialsError, match="need an organization admin key") as error:
            connector.usage(OCTOBER_WINDOW)
        assert len(provider.requests) == 1
        assert KEY not in str(error.value)
        finding = connector.doctor()[0]
    assert not finding.ok
    assert "platform.openai.com" in finding.fix


def test_a_missing_key_names_the_variable(monkeypatch):
    monkeypatch.delenv("OPENAI_ADMIN_KEY", raising=False)
    with pytest.raises(CredentialsError, match="set the environment variable OPENAI_ADMIN_KEY"):
        OpenAI().usage(OCTOBER_WINDOW)


def test_a_repeated_page_token_ends_in_asking_for_the_rest():
    def answer(request):
        page = healthy(request).body
        return Reply(page | {"next_page": str(OCTOBER + 10 * DAY)} if page["has_more"] else page)

    with openai(answer) as (connector, _):
        assert tokens(connector.usage(OCTOBER_WINDOW)) == ALL


def test_a_refused_page_token_ends_in_asking_for_the_rest():
    def answer(request):
        if request.first("page"):
            return Reply({"error": {"message": "The page token is invalid"}}, 400)
        return healthy(request)

    with openai(answer) as (connector, provider):
        assert tokens(connector.usage(OCTOBER_WINDOW)) == ALL
    starts = [int(r.first("start_time")) for r in provider.requests if not r.first("page")]
    assert starts == [OCTOBER, OCTOBER + 10 * DAY, OCTOBER + 20 * DAY, OCTOBER + 30 * DAY]


def test_paging_that_leads_nowhere_is_an_error_not_a_loss():
    stuck = Reply({"object": "page", "data": [], "has_more": True, "next_page": "again"})
    with openai(lambda request: stuck) as (connector, _), pytest.raises(ProviderError, match="leads nowhere"):
        connector.usage(OCTOBER_WINDOW)


@pytest.mark.parametrize("refused", ["user_id", "service_tier"])
def test_a_refused_grouping_falls_back_and_is_noted(refused):
    def answer(request):
        if refused in request.query["group_by"]:
            return Reply({"error": {"message": f"Invalid group_by {refused}", "param": "group_by"}}, 400)
        return healthy(request)

    with openai(answer) as (connector, _):
        assert tokens(connector.usage(OCTOBER_WINDOW)) == ALL
    assert refused in connector.notes[0]


def test_costs_fall_back_to_coarser_groups():
    def answer(request):
        if "api_key_id" in request.query["group_by"]:
            return Reply({"error": {"message": "Unsupported group_by"}}, 400)
        return healthy(request)

    with openai(answer) as (connector, _):
        assert connector.bills(OCTOBER_WINDOW)["billed_cost"].sum() == Decimal("0.310000000001")
    assert connector.notes == ["costs: OpenAI refused to group by api_key_id; those columns are unknown."]


def test_a_request_that_is_wrong_in_every_grouping_carries_the_first_reason():
    refusal = Reply({"error": {"message": "start_time is too old"}}, 400)
    with openai(lambda request: refusal) as (connector, _), pytest.raises(ProviderError, match="too old"):
        connector.usage(OCTOBER_WINDOW)


def test_an_endpoint_that_is_not_offered_is_noted():
    def answer(request):
        return Reply({"error": {"message": "Unknown path"}}, 404) if "decisions" in request.path else healthy(request)

    with openai(answer, endpoints=["completions", "decisions"]) as (connector, _):
        assert tokens(connector.usage(OCTOBER_WINDOW)) == ALL
    assert "decisions" in connector.notes[0]


def test_a_wrong_address_is_an_error():
    with openai(lambda request: Reply("no", 404)) as (connector, _), pytest.raises(ProviderError, match="endpoint_url"):
        connector.usage(OCTOBER_WINDOW)


def test_a_schema_addition_changes_nothing():
    def answer(request):
        page = healthy(request).body
        page = json.loads(exact_json(page))
        for bucket in page["data"]:
            bucket["colour"] = "blue"
            for result in bucket["results"]:
                result |= {"input_smell_tokens": 7, "geography": {"of": ["everything"]}, "api_source": "unlabeled"}
        return Reply(page | {"version": 2})

    with openai(answer) as (connector, _):
        assert tokens(connector.usage(OCTOBER_WINDOW)) == ALL


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"input_tokens": None}, "result 1: a result of completions has no 'input_tokens'"),
        ({"input_tokens": "many"}, "input_tokens is 'many', which is no int64"),
        ({"input_tokens": -5}, "input_tokens is -5"),
        ({"input_cached_tokens": 5000, "input_uncached_tokens": None}, "larger than"),
    ],
)
def test_a_result_that_breaks_its_contract_is_named(change, said):
    def answer(request):
        page = healthy(request).body
        data = [b | {"results": [r | change for r in b["results"]]} for b in page["data"]]
        return Reply(page | {"data": data})

    with openai(answer) as (connector, _), pytest.raises(DataError, match=said) as error:
        connector.usage(OCTOBER_WINDOW)
    assert "usage/completions" in str(error.value)


@pytest.mark.parametrize("page", [[], {"data": None}, {"data": [7]}, {"data": [{"start_time": 1}]}])
def test_an_answer_that_is_no_page_is_an_error(page):
    with openai(lambda request: Reply(page)) as (connector, _), pytest.raises(ProviderError, match="usage/completions"):
        connector.usage(OCTOBER_WINDOW)


def test_hours_and_minutes_ask_for_their_own_page_sizes():
    asked = []

    def answer(request):
        asked.append((request.first("bucket_width"), request.first("limit")))
        return Reply({"object": "page", "data": [], "has_more": False, "next_page": None})

    for width in ("1m", "1h", "1d"):
        with openai(answer, bucket_width=width) as (connector, _):
            assert connector.usage(OCTOBER_WINDOW).empty
    assert asked == [("1m", "1440"), ("1h", "168"), ("1d", "31")]


def test_a_window_inside_a_day_asks_for_whole_buckets_and_keeps_those_that_start_in_it():
    window = Window.of("2026-10-01T12:00:00Z", "2026-10-03T12:00:00Z")
    with openai(healthy) as (connector, provider):
        frame = connector.usage(window)
    assert tokens(frame) == 1500  # the third of October; the first started before the window
    assert int(provider.requests[0].first("start_time")) == OCTOBER
    assert int(provider.requests[0].first("end_time")) == OCTOBER + 3 * DAY


def test_only_the_projects_asked_for_are_asked_for():
    with openai(healthy, project_ids=["proj_a", "proj_b"]) as (connector, provider):
        connector.usage(OCTOBER_WINDOW)
    assert provider.requests[0].query["project_ids"] == ["proj_a", "proj_b"]


def test_an_unknown_endpoint_in_the_settings_is_refused():
    with pytest.raises(SettingsError, match="Did you mean 'completions'"):
        OpenAI(endpoints=["completion"])


# ---------------------------------------------------------------------- the published contract, both ways

CONTRACTS = Path(__file__).parents[4] / "shared" / "contracts" / "openai"
needs_contracts = pytest.mark.skipif(
    not CONTRACTS.exists(), reason=f"the published contracts are not beside this checkout ({CONTRACTS})"
)


@pytest.mark.long
@needs_contracts
def test_the_played_answers_and_the_questions_keep_the_published_contract():
    import jsonschema  # takes seconds to import, and every process collects this file

    spec = json.loads((CONTRACTS / "usage_costs.openapi.json").read_text("utf-8"))
    sdk = json.loads((CONTRACTS / "sdk_3.54.0.response-models.schema.json").read_text("utf-8"))
    valid = jsonschema.Draft202012Validator
    page_spec = valid({"$ref": "#/components/schemas/UsageResponse", **spec})
    names_spec = valid({"$ref": "#/components/schemas/ProjectListResponse", **spec})
    page_sdk = valid({"$ref": "#/$defs/UsageCompletionsResponse", "$defs": sdk["$defs"]})
    newer = {"/organization/usage/decisions"}  # in the SDK, not in the specification

    def answer(request):
        reply = healthy(request)
        document = json.loads(exact_json(reply.body))
        if request.path.endswith("projects"):
            names_spec.validate(document)
        else:
            page_spec.validate(document)
            page_sdk.validate(document)
        return reply

    with openai(answer, endpoints=list(ENDPOINTS), project_names=True) as (connector, provider):
        connector.usage(OCTOBER_WINDOW)
        connector.bills(OCTOBER_WINDOW)
    for request in provider.requests:
        if request.path in newer:
            continue
        allowed = {p["name"]: p for p in spec["paths"][request.path]["get"]["parameters"]}
        for name, values in request.query.items():
            kind = allowed[name]["schema"]
            given = [json.loads(v) if kind.get("type") in ("integer", "boolean") else v for v in values]
            jsonschema.validate(given if kind.get("type") == "array" else given[0], kind)


@pytest.mark.long
@needs_contracts
def test_the_official_examples_are_read():
    spec = json.loads((CONTRACTS / "usage_costs.openapi.json").read_text("utf-8"))
    read = 0
    for path, operations in spec["paths"].items():
        content = operations["get"]["responses"]["200"]["content"]["application/json"]
        for example in content.get("examples", {}).values():
            page = example["value"]
            if "/usage/" not in path and "costs" not in path:
                continue
            page = page | {"has_more": False}

            def answer(request, page=page, path=path):
                empty = {"object": "page", "data": [], "has_more": False, "next_page": None}
                return Reply(page if request.path == path else empty)

            whole = Window.of("2020-01-01", "2030-01-01")
            with openai(answer, endpoints=list(ENDPOINTS)) as (connector, _):
                frame = connector.bills(whole) if "costs" in path else connector.usage(whole)
            assert len(frame), f"{path}: the official example gives no row"
            read += 1
    assert read >= 11
