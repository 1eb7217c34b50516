"""Three moneys (charged, covered by an allowance, worth at list prices) are never added, whatever table shows them."""

from __future__ import annotations

from decimal import Decimal

import pandas as pd
import pytest

import finops_ai as fa
from finops_ai.frames import conform

DAY = pd.Timestamp("2026-10-05", tz="UTC")
#: cents of an on-demand call in Cursor's samples, in dollars
CHARGED, COVERED = Decimal("0.2136232"), Decimal("0.08")


def _rows() -> pd.DataFrame:
    """One call of each money, of 1,000 input tokens each; a charge is stated on the first of its two rows."""
    lines = [
        ("cursor", "gpt-x", "input", 1000, "cash", CHARGED),
        ("cursor", "gpt-x", "output", 100, "cash", None),
        ("cursor", "gpt-x", "input", 1000, "included", COVERED),
        ("openai", "gpt-4o-2024-08-06", "input", 1000, "list", None),
        ("openai", "gpt-4o-2024-08-06", "input", 1000, None, None),
    ]
    return conform(
        {
            "charge_period_start": [DAY + pd.Timedelta(hours=n) for n in range(len(lines))],
            "charge_period_end": [DAY + pd.Timedelta(hours=n + 1) for n in range(len(lines))],
            "provider": [line[0] for line in lines],
            "billing_account_id": ["acme"] * len(lines),
            "model": [line[1] for line in lines],
            "operation": ["chat"] * len(lines),
            "meter": [line[2] for line in lines],
            "quantity": [Decimal(line[3]) for line in lines],
            "unit": ["tokens"] * len(lines),
            "service_tier": ["standard"] * len(lines),
            "user_id": ["ada@example.com"] * len(lines),
            "source": ["api"] * len(lines),
            "quantity_basis": ["metered"] * len(lines),
            "money_basis": [line[4] for line in lines],
            "billed_cost": [line[5] for line in lines],
            "billing_currency": ["USD" if line[5] is not None else None for line in lines],
        },
        source="the test",
    )


#: gpt-4o in August 2024's version: 2.50 USD per million input tokens
LISTED = Decimal("0.0025")


@pytest.fixture(scope="module")
def priced() -> pd.DataFrame:
    return fa.price(_rows())


def test_each_row_costs_what_its_money_says(priced: pd.DataFrame) -> None:
    assert priced["price_status"].tolist() == ["stated", "stated", "included", "estimate", "listed"]
    costs = [None if pd.isna(v) else v for v in priced["effective_cost"]]
    assert costs == [CHARGED, Decimal(0), None, None, LISTED]
    worth = [None if pd.isna(v) else v for v in priced["list_cost"]]
    assert worth == [None, None, COVERED, LISTED, LISTED]


def test_showback_shows_which_money_and_never_adds_them(priced: pd.DataFrame) -> None:
    whole = fa.showback(priced).iloc[0]
    assert whole["cost"] == CHARGED + LISTED
    assert (whole["included_cost"], whole["list_value"], whole["list_cost"]) == (COVERED, LISTED, LISTED)
    assert "never added" in " ".join(fa.showback(priced).facts.notes)
    by = fa.showback(priced, by=["provider", "money_basis"]).set_index(["provider", "money_basis"])
    assert by.loc[("cursor", "included"), "cost"] == 0  # known: an allowance costs nothing more
    assert pd.isna(by.loc[("openai", "list"), "cost"])  # a log doesn't know what was paid


def test_tokens_that_cost_nothing_make_no_token_cheaper(priced: pd.DataFrame) -> None:
    whole = fa.showback(priced).iloc[0]
    assert whole["cost_per_1m_tokens"] == ((CHARGED + LISTED) * 10**6 / 2100).quantize(Decimal("1e-12"))


def test_an_allowance_is_billed_0_in_focus_and_an_estimate_is_not_exported(priced: pd.DataFrame) -> None:
    focus = fa.to_focus(priced)
    assert len(focus) == 4
    assert sum(focus["BilledCost"]) == CHARGED + LISTED
    assert sum(focus["EffectiveCost"]) == CHARGED + LISTED
    covered = focus[focus["x_MoneyBasis"] == "included"].iloc[0]
    assert (covered["BilledCost"], covered["ListCost"]) == (0, COVERED)


def test_the_bridge_chargeback_and_forecast_are_of_charges(priced: pd.DataFrame) -> None:
    later = priced.assign(
        charge_period_start=priced["charge_period_start"] + pd.Timedelta(days=1),
        charge_period_end=priced["charge_period_end"] + pd.Timedelta(days=1),
    )
    bridge = fa.explain(priced, later)
    assert sum(bridge["before"]) == sum(bridge["after"]) == CHARGED + LISTED
    assert not any("no known price" in note for note in bridge.facts.notes)


def test_totals_made_in_one_pass_agree_with_the_rows() -> None:
    from finops_ai.engine import aggregate

    totals = aggregate(_rows(), ["provider"]).set_index("provider")
    assert totals.loc["cursor", "effective_cost"] == CHARGED
    assert totals.loc["cursor", "list_cost"] == COVERED
    assert totals.loc["openai", "effective_cost"] == LISTED


def test_a_frame_that_says_nothing_of_its_money_is_priced_as_ever() -> None:
    plain = _rows().assign(money_basis=pd.array([None] * 5, dtype="str"))
    priced = fa.price(plain)
    assert set(priced["price_status"]) == {"listed", "unpriced"}
    assert "included_cost" not in fa.showback(priced).columns
