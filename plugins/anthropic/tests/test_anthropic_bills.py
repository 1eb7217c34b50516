"""Cost rows: cents to dollars, line items to meters, names to ids."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from finops_ai_anthropic import AnthropicConnector
from finops_ai_anthropic.bills import dollars

from finops_ai.errors import ProviderError
from finops_ai.periods import Window
from finops_ai.testing import PlayedProvider

WEEK = Window.of("2026-10-01", "2026-10-04")


def test_a_days_line_items(organization: Any) -> None:
    with PlayedProvider(organization.answer) as provider:
        bills = AnthropicConnector(endpoint_url=provider.url, reports="analytics").bills(WEEK)
    day = bills[bills["charge_period_start"] == "2026-10-01"]
    found = {(r.meter, r.charge_description): (r.list_cost, r.billed_cost) for r in day.itertuples()}
    # list cents by hand: (1000 + 100) x 0.0005 = 0.55; 200 x 0.00005 = 0.01; 50 x 0.000625 = 0.03125;
    # 10 x 0.001 = 0.01; (300 + 40) x 0.0025 = 0.85; two searches 2; code 12.5. Paid: 80 %.
    cents = {
        ("input", "claude-opus-5 tokens uncached_input_tokens"): "0.55",
        ("cache_read", "claude-opus-5 tokens cache_read_input_tokens"): "0.01",
        ("cache_write_5m", "claude-opus-5 tokens cache_creation.ephemeral_5m_input_tokens"): "0.03125",
        ("cache_write_1h", "claude-opus-5 tokens cache_creation.ephemeral_1h_input_tokens"): "0.01",
        ("output", "claude-opus-5 tokens output_tokens"): "0.85",
        ("web_searches", "claude-opus-5 web_search"): "2",
        ("code_hours", "claude-opus-5 code_execution"): "12.5",
    }
    assert found == {item: (Decimal(n) / 100, Decimal(n) * Decimal("0.8") / 100) for item, n in cents.items()}
    row = day.iloc[0]
    assert (row["sub_account_id"], row["sub_account_name"], row["api_key_id"], row["user_id"]) == (
        "ws_a",
        "Alpha",
        "key_1",
        "user_1",
    )
    assert dict(row["tags"]) == {
        "user_email": "user-1@example.com",
        "user_name": "User 1",
        "api_key_name": "alpha-prod",
    }
    assert (str(row["billing_period_start"]), str(row["billing_period_end"])) == (
        "2026-10-01 00:00:00+00:00",
        "2026-11-01 00:00:00+00:00",
    )
    assert set(bills["billing_account_id"]) == {"org_1"}
    assert set(bills["charge_category"]) == {"Usage"}


def test_unknown_line_items_keep_their_text(organization: Any) -> None:
    def rename(path: str, body: dict[str, Any]) -> dict[str, Any]:
        for row in body["data"] if path == "analytics/cost" else []:
            row["group"]["cost_type"] = "teleportation"
        return body

    organization.change = rename
    with PlayedProvider(organization.answer) as provider:
        connector = AnthropicConnector(endpoint_url=provider.url, reports="analytics")
        bills = connector.bills(WEEK)
    assert set(bills["meter"]) == {"unmapped"}
    assert bills["charge_description"].str.contains("teleportation").all()
    assert bills["billed_cost"].sum() == Decimal("1.18161")
    assert "teleportation" in connector.notes[0]


@pytest.mark.parametrize("amount", [None, "", "1.2.3", "NaN", True])
def test_an_impossible_amount_is_named(amount: Any) -> None:
    with pytest.raises(ProviderError, match=r"amount is .* decimal string in cents"):
        dollars({"amount": amount, "starting_at": "2026-10-01T00:00:00Z"}, "amount")


def test_names_that_can_not_be_read_cost_only_the_names(organization: Any) -> None:
    real = organization.answer

    def answer(request: Any) -> Any:
        from finops_ai.testing import Reply

        if request.path.endswith(("workspaces", "api_keys", "me")):
            return Reply({"error": {"message": "no"}}, 403)
        return real(request)

    with PlayedProvider(answer) as provider:
        connector = AnthropicConnector(endpoint_url=provider.url, reports="analytics")
        frame = connector.usage(WEEK)
    assert set(frame["billing_account_id"]) == {"anthropic"}
    assert frame["sub_account_name"].isna().all()
    assert len(connector.notes) == 3
