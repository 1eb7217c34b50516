"""What goes wrong between here and OCI: nothing is lost, nothing counts twice, and the error says what to do."""

from __future__ import annotations

import gzip

import pytest
from finops_ai_oci.connector import Oci
from oci_world import (
    BILLED,
    COST_FILES,
    FOCUS_LINES,
    QUANTITIES,
    REPORT_BILLED,
    TOKENS,
    World,
    config,
    connector,
    cost_line,
    item,
    zipped_csv,
)

from finops_ai.errors import CredentialsError, DataError, ProviderError, ProviderUnavailable, SettingsError
from finops_ai.meters import token_meters
from finops_ai.money import exact
from finops_ai.periods import Window
from finops_ai.providers import HttpRefused
from finops_ai.testing import PlayedProvider, Reply

OCTOBER = Window.of("2026-10-01", "2026-11-01")
BUSY = {"code": "TooManyRequests", "message": "slow down"}
NAMES = list(COST_FILES)


@pytest.fixture
def world():
    made = World()
    for number, (name, lines) in enumerate(COST_FILES.items()):
        made.objects[name] = (f"2026-11-0{number + 1}T05:00:00Z", zipped_csv(lines))
    return made


@pytest.fixture
def played(world):
    with PlayedProvider(world.answer) as provider:
        yield provider


def tokens(frame):
    return frame[frame["meter"].isin(token_meters())]["quantity"].sum()


TROUBLES = [
    Reply(BUSY, 429, {"retry-after": "1"}),
    Reply(BUSY, 429),
    Reply({"code": "InternalServerError", "message": "oops"}, 500),
    Reply({"code": "Overloaded", "message": "busy"}, 529),
    Reply({"groupBy": [], "items": []}, sent=7),
]
NAMED = ["429 with retry-after", "429 without", "500", "529", "dropped in the middle"]


@pytest.mark.parametrize("trouble", TROUBLES, ids=NAMED)
def test_a_passing_trouble_changes_nothing(played, trouble):
    for read_from, stated in (("usage_api", BILLED), ("cost_reports", REPORT_BILLED)):
        played.troubles.append(trouble)
        assert connector(played.url, read_from=read_from).bills(OCTOBER)["billed_cost"].sum() == exact(stated["USD"])


@pytest.mark.parametrize("trouble", TROUBLES, ids=NAMED)
def test_a_trouble_between_pages_changes_nothing(world, played, trouble):
    world.page_size = 4
    healthy, given = world.answer, []

    def once(request):
        if request.first("page") and not given:
            given.append(1)
            return trouble
        return healthy(request)

    played.answer = once
    assert tokens(connector(played.url).usage(OCTOBER)) == TOKENS
    assert given


def test_retry_after_is_honoured(played):
    played.troubles.append(Reply(BUSY, 429, {"retry-after": "7"}))
    slept = []
    asking = connector(played.url)
    asking.sleep = slept.append
    asking.usage(OCTOBER)
    assert slept == [7]


def test_a_lasting_trouble_ends_with_what_to_do(played):
    played.troubles.extend([Reply(BUSY, 429)] * 20)
    with pytest.raises(ProviderUnavailable, match="Nothing of this window was stored"):
        connector(played.url, max_retries=2).usage(OCTOBER)
    assert len(played.requests) == 3


def test_a_report_dropped_in_the_middle_is_fetched_again(world, played):
    healthy, given = world.answer, []

    def dropping(request):
        reply = healthy(request)
        if "cost-csv" in request.path and not given:
            given.append(1)
            return Reply(reply.body, headers=reply.headers, sent=40)
        return reply

    played.answer = dropping
    assert connector(played.url, read_from="cost_reports").bills(OCTOBER)["billed_cost"].sum() == exact(
        REPORT_BILLED["USD"]
    )
    assert given


def test_a_report_that_ends_too_soon_is_fetched_again(world, played):
    """The listing states no MD5 here, and the answer is as long as it says: only the gzip's own end tells."""
    healthy, given = world.answer, []

    def short(request):
        reply = healthy(request)
        if "cost-csv" in request.path and not given:
            given.append(1)
            return Reply(reply.content[:-20], headers=reply.headers)
        return reply

    played.answer = short
    assert connector(played.url, read_from="cost_reports").bills(OCTOBER)["billed_cost"].sum() == exact(
        REPORT_BILLED["USD"]
    )
    assert given


@pytest.mark.parametrize("read_from", ["usage_api", "cost_reports"])
def test_a_repeated_page_is_an_error(world, played, read_from):
    world.page_size, world.loop = 1, True
    with pytest.raises(ProviderError, match="twice"):
        connector(played.url, read_from=read_from).usage(OCTOBER)


def test_a_refused_page_is_an_error_and_not_half_the_usage(world, played):
    world.page_size = 4
    healthy = world.answer

    def refusing(request):
        if request.first("page"):
            return Reply({"code": "InvalidParameter", "message": "the page is not valid any more"}, 400)
        return healthy(request)

    played.answer = refusing
    with pytest.raises(HttpRefused, match="not valid any more"):
        connector(played.url).usage(OCTOBER)


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (401, "NotAuthenticated", "clock"),
        (403, "NotAllowed", "read usage-report in tenancy"),
        (404, "NotAuthorizedOrNotFound", "read usage-report in tenancy"),
    ],
)
def test_a_refusal_names_the_policy_and_is_not_repeated(played, status, code, said):
    played.troubles.append(Reply({"code": code, "message": "no"}, status))
    with pytest.raises(CredentialsError, match=said):
        connector(played.url).usage(OCTOBER)
    assert len(played.requests) == 1


def test_reports_have_a_policy_of_their_own(played):
    played.troubles.append(Reply({"code": "NotAuthorizedOrNotFound", "message": "no"}, 404))
    with pytest.raises(CredentialsError, match="endorse group"):
        connector(played.url, read_from="cost_reports").usage(OCTOBER)


def test_a_wrong_key_is_refused_by_the_server(played):
    asking = connector(played.url)
    asking.config = config() | {"fingerprint": "00" + config()["fingerprint"][2:]}
    with pytest.raises(CredentialsError, match="unknown key"):
        asking.usage(OCTOBER)


def test_missing_credentials_say_how_to_get_them(tmp_path):
    with pytest.raises(CredentialsError, match="oci setup config"):
        Oci(config_file=str(tmp_path / "none")).usage(OCTOBER)


def test_credentials_come_from_the_sdks_own_file(played, tmp_path):
    from oci_world import pem

    (tmp_path / "key.pem").write_text(pem())
    lines = [f"{k}={v}" for k, v in config().items() if k != "key_content"]
    (tmp_path / "config").write_text("\n".join(["[FINOPS]", *lines, f"key_file={tmp_path / 'key.pem'}"]))
    asking = Oci(endpoint_url=played.url, config_file=str(tmp_path / "config"), profile="FINOPS")
    assert tokens(asking.usage(OCTOBER)) == TOKENS


def test_an_answer_without_its_list_is_an_error(world, played):
    for drop, read_from in (("items", "usage_api"), ("objects", "cost_reports")):
        healthy = world.answer

        def dropping(request, drop=drop, healthy=healthy):
            reply = healthy(request)
            if isinstance(reply.body, dict):
                reply.body.pop(drop, None)
            return reply

        played.answer = dropping
        with pytest.raises(ProviderError, match=f"without '{drop}'"):
            connector(played.url, read_from=read_from).usage(OCTOBER)


def test_an_item_without_its_time_is_an_error(world, played):
    healthy = world.answer

    def dropping(request):
        reply = healthy(request)
        for one in (reply.body if isinstance(reply.body, dict) else {}).get("items", []):
            if one.get("skuName"):
                one["timeUsageStarted"] = None
        return reply

    played.answer = dropping
    with pytest.raises(DataError, match="timeUsageStarted is missing"):
        connector(played.url).usage(OCTOBER)


def test_money_of_an_unnamed_currency_is_an_error(world, played):
    world.items = [item("2026-10-01", "OCI Generative AI - Large Cohere", "10,000 Transactions", 1, 2, currency="")]
    with pytest.raises(DataError, match="unnamed currency"):
        connector(played.url).bills(OCTOBER)


def test_fewer_groupings_are_tried_until_the_api_takes_them(world, played):
    world.limit = 2
    asking = connector(played.url)
    frame = asking.usage(OCTOBER)
    found = dict(frame.groupby("meter")["quantity"].sum().items())
    assert found == QUANTITIES
    assert frame["sub_account_id"].isna().all()
    assert any("compartmentId" in note for note in asking.notes)
    world.limit = 1
    with pytest.raises(HttpRefused, match="groupBy takes 1"):
        connector(played.url).usage(OCTOBER)


def test_with_all_groupings_nothing_is_noted(world, played):
    world.limit = 10
    asking = connector(played.url)
    frame = asking.usage(OCTOBER)
    assert asking.notes == []
    assert set(frame["sub_account_name"]) == {"team", "lab"}
    assert set(frame["region"]) == {"eu-frankfurt-1"}


def damaged(kind):
    lines = COST_FILES[NAMES[0]]
    whole = zipped_csv(lines)
    return {
        "gzip": whole[:-15],
        "row": gzip.compress(gzip.decompress(whole)[:-30]),
        "column": gzip.compress(gzip.decompress(whole).replace(b"cost/myCost", b"cost/mine")),
        "other": gzip.compress(b"hello,world\n1,2\n"),
        "number": zipped_csv([cost_line("n", "2026-10-01T00:00Z", "1", "0,5")]),
    }[kind]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("gzip", "damaged or cut short"),
        ("row", "the file may be cut short"),
        ("column", "'cost/myCost' is missing"),
        ("other", "neither a cost report nor a FOCUS report"),
        ("number", "'0,5' is not a number"),
    ],
)
def test_a_damaged_report_is_told_by_name(tmp_path, kind, said):
    (tmp_path / "report.csv.gz").write_bytes(damaged(kind))
    with pytest.raises(DataError, match=said) as error:
        Oci(files=str(tmp_path)).bills(OCTOBER)
    assert "report.csv.gz" in str(error.value)


def test_focus_tags_that_are_no_json_are_told(tmp_path):
    (tmp_path / "focus.csv").write_bytes(gzip.decompress(zipped_csv([FOCUS_LINES[0] | {"Tags": "{oops"}])))
    with pytest.raises(DataError, match=r"focus.csv, line 2: the tags are not a JSON object"):
        Oci(files=str(tmp_path)).bills(OCTOBER)


def test_settings_are_checked():
    with pytest.raises(SettingsError, match="granularity"):
        Oci(granularity="MINUTES")
    with pytest.raises(SettingsError, match="compartment_id"):
        Oci(compartmentid="x")


def test_the_doctor_tells_each_state_apart(played, tmp_path):
    fine = connector(played.url).doctor()
    assert [f.ok for f in fine] == [True, True]
    nobody = Oci(config_file=str(tmp_path / "none")).doctor()
    assert (nobody[0].what, nobody[0].ok) == ("credentials", False)
    played.troubles.append(Reply({"code": "NotAuthorizedOrNotFound", "message": "no"}, 404))
    refused = connector(played.url).doctor()
    assert (refused[0].what, refused[0].ok) == ("policy", False)
    assert "read usage-report in tenancy" in refused[0].fix
