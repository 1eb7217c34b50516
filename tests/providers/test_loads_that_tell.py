"""Loads survive cut answers and stated waits, and tell what they left out: kept + left out = what the source holds."""

from __future__ import annotations

import base64
import hashlib
from decimal import Decimal as D

import duckdb
import httpx
import pytest

import finops_ai as fa
from finops_ai.cli.collecting import balance_lines
from finops_ai.errors import ProviderUnavailable
from finops_ai.periods import Window
from finops_ai.providers import HttpClient, LeftOut, left_out_of
from finops_ai.providers.http import check_content
from finops_ai.providers.retrying import PATIENCE, retry_after


def client(answers, waits):
    """A client that gets these answers in turn and writes down how long it waits."""
    queue = list(answers)
    return HttpClient(
        "acme", "https://acme.test", transport=httpx.MockTransport(lambda _: queue.pop(0)), sleep=waits.append
    )


def test_a_cut_body_is_asked_for_again():
    waits: list[float] = []
    answers = [httpx.Response(200, content=b'{"data": [1, 2'), httpx.Response(200, json={"data": [1, 2]})]
    assert client(answers, waits).get("usage") == {"data": [1, 2]}
    assert len(waits) == 1


def test_a_body_that_stays_cut_stops_the_load_in_words():
    waits: list[float] = []
    cut = [httpx.Response(200, content=b"{") for _ in range(9)]
    with pytest.raises(ProviderUnavailable, match=r"after 6 tries: the answer is not whole"):
        client(cut, waits).get("usage")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "300"}, 300.0),  # longer than the longest pause of its own
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after": "Thu, 01 Oct 2026 00:02:00 GMT", "date": "Thu, 01 Oct 2026 00:00:00 GMT"}, 120.0),
        ({"x-ms-ratelimit-microsoft.costmanagement-qpu-retry-after": "40", "retry-after": "5"}, 40.0),
        ({"retry-after": "soon"}, None),
    ],
)
def test_any_stated_wait_is_kept_whole(headers, seconds):
    assert retry_after(headers) == seconds
    if seconds:
        waits: list[float] = []
        client([httpx.Response(429, headers=headers), httpx.Response(200, json={})], waits).get("usage")
        assert waits == [seconds]


def test_a_wait_beyond_patience_stops_the_load_and_says_when_to_come_back():
    waits: list[float] = []
    busy = httpx.Response(429, headers={"retry-after": str(int(PATIENCE) + 3600)})
    with pytest.raises(ProviderUnavailable, match=r"asks to wait 4,500 s.*in 75 minutes"):
        client([busy], waits).get("usage")
    assert waits == []


@pytest.mark.parametrize(
    "md5",
    [
        hashlib.md5(b"abc").hexdigest(),
        f'"{hashlib.md5(b"abc").hexdigest()}"',
        base64.b64encode(hashlib.md5(b"abc").digest()).decode(),
    ],
)
def test_a_file_is_held_against_size_and_md5(md5):
    check_content(b"abc", size=3, md5=md5)
    with pytest.raises(ValueError, match="2 of 3 bytes"):
        check_content(b"ab", size=3, md5=md5)
    with pytest.raises(ValueError, match="MD5"):
        check_content(b"abd", size=3, md5=md5)


def test_small_kinds_are_added_up_so_that_nothing_is_lost():
    found = [(f"another service: {n}", "USD", 1, D(n)) for n in range(1, 31)]
    items = left_out_of(found)
    assert len(items) == 13
    assert sum(item.amount for item in items) == D(465)  # 1 + 2 + ... + 30
    assert sum(item.rows for item in items) == 30
    assert items[-1].reason == "smaller kinds of rows"


REPORT = """
SELECT 'AWS' AS bill_billing_entity, TIMESTAMP '2026-10-01' AS bill_billing_period_start_date, '1' AS bill_payer_account_id,
  '1' AS line_item_usage_account_id, kind AS line_item_line_item_type, code AS line_item_product_code, cost AS line_item_unblended_cost,
  100.0 AS line_item_usage_amount, TIMESTAMP '2026-10-05' AS line_item_usage_start_date, TIMESTAMP '2026-10-06' AS line_item_usage_end_date,
  type AS line_item_usage_type, unit AS pricing_unit, 'USD' AS line_item_currency_code
FROM (VALUES ('Usage', 'AmazonBedrock', 12.34, 'USE1-Nova2.0Lite-input-tokens', '1K tokens'),
             ('Tax', 'AmazonBedrock', 1.11, 'USE1-Nova2.0Lite-input-tokens', ''),
             ('Usage', 'AmazonEC2', 200.05, 'BoxUsage', 'Hrs'), ('Usage', 'AmazonEC2', 0.95, 'BoxUsage', 'Hrs'),
             ('Tax', 'AmazonEC2', 38.19, '', ''), ('Credit', NULL, -5.5, '', '')) AS t(kind, code, cost, type, unit)
"""


@pytest.fixture
def workspace(tmp_path):
    duckdb.sql(f"COPY ({REPORT}) TO '{tmp_path / 'cur.parquet'}' (FORMAT parquet)")
    (tmp_path / "finops.toml").write_text('[workspace]\nname = "x"\n[providers.bedrock]\nfiles = ["cur.parquet"]\n')
    return fa.open(tmp_path)


def test_a_load_says_what_it_left_out_and_keeps_it(workspace):
    (outcome,) = workspace.collect(Window.month("2026-10"))
    assert outcome.error is None
    assert outcome.kept == {"USD": D("13.45")}  # 12.34 + 1.11
    left = {(item.reason, item.rows, item.amount) for item in outcome.left_out}
    assert left == {
        ("another service: AmazonEC2", 2, D("201.00")),
        ("Tax of another service: AmazonEC2", 1, D("38.19")),
        ("Credit of another service: not named", 1, D("-5.5")),
    }
    # 12.34 + 1.11 + 200.05 + 0.95 + 38.19 - 5.5
    assert outcome.kept["USD"] + sum(item.amount for item in outcome.left_out) == D("247.14")
    said = balance_lines(outcome)
    assert said[0] == "247.14 USD read = 13.45 kept + 233.69 left out:"
    assert "  left out: 201.00 USD: another service: AmazonEC2 (2 rows)" in said
    stored = workspace.lake.loads("bills").iloc[0]["left_out"]
    assert sum(D(item["amount"]) for item in stored) == D("233.69")
    from finops_ai.reporting.coverage import _left_out

    assert "another service: AmazonEC2" in _left_out(workspace, "2026-10")
    assert _left_out(workspace, "2026-08") == ""


def test_what_states_no_amount_is_said_so():
    assert str(LeftOut("damaged rows", 3)) == "damaged rows (3 rows)"
