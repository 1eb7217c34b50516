"""Contracts declared in finops.toml, through a workspace: whole months whatever is asked for, credits carried along."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from fractions import Fraction

import pandas as pd
import pytest

import finops_ai as fa
from finops_ai.errors import PriceError
from finops_ai.frames import conform
from finops_ai.meters import tokens_from_slices
from finops_ai.periods import Window

CONTRACTS = """
[[contracts]]
name = "tiers"
provider = "openai"
models = ["gpt-4.1"]
volume = [{ over = "50000000", discount = "50" }]

[[contracts]]
name = "prepaid"
provider = "anthropic"
credits = [{ name = "credit", amount = "100", paid = "50", from = 2026-09-01 }]

[[contracts]]
name = "ptu"
provider = "azure-openai"
capacity = [{ name = "chat", model = "gpt-4.1", units = 1, unit = "PTU", hourly = "1", from = 2026-09-01, tokens_per_hour = 100000 }]
"""
TEXT = """[workspace]
timezone = "{zone}"
[dimensions.team]
default = "nobody"
"""
#: 61 days of September and October
DAYS = [dt.datetime(2026, 9, 1, tzinfo=dt.UTC) + n * dt.timedelta(days=1) for n in range(61)]


def usage(provider: str, model: str, quantity: int, tier: str = "standard") -> pd.DataFrame:
    columns = {
        "charge_period_start": DAYS, "charge_period_end": [day + dt.timedelta(days=1) for day in DAYS], "provider": provider,
        "billing_account_id": "acme", "model": model, "operation": "chat", "service_tier": tier, "source": "api",
        "quantity_basis": "metered",
    }  # fmt: skip
    return conform(tokens_from_slices(columns, {"input": [quantity] * len(DAYS)}), source="test")


@pytest.fixture(scope="module")
def company(tmp_path_factory):
    folder = tmp_path_factory.mktemp("company")

    def at(zone: str, contracts: str = CONTRACTS):
        (folder / "finops.toml").write_text(TEXT.format(zone=zone) + contracts, "utf-8")
        return fa.open(folder)

    lake = at("UTC").lake
    window = Window.of("2026-09-01", "2026-11-01")
    for provider, model, quantity, tier in [
        ("openai", "gpt-4.1", 2_000_000, "standard"),
        ("anthropic", "claude-sonnet-4-6", 1_000_000, "standard"),
        ("azure-openai", "gpt-4.1", 1_200_000, "provisioned"),
    ]:
        lake.replace("tokens", provider, window, usage(provider, model, quantity, tier), {})
    return at


def exact(values: pd.Series) -> Fraction:
    return sum((Fraction(v) for v in values), Fraction(0))


def of(frame: pd.DataFrame, provider: str, column: str) -> Fraction:
    return exact(frame[column][(frame["provider"] == provider).to_numpy(bool)])


@pytest.mark.long
def test_a_month_is_settled_whole_and_a_credit_goes_on(company):
    ws = company("UTC")
    september, october = ws.priced("2026-09"), ws.priced("2026-10")
    # openai: 4 a day; 60 million tokens in September, half off the last 10 million = 10; 62 in October, so 12
    assert (of(september, "openai", "contracted_cost"), of(october, "openai", "contracted_cost")) == (
        120 - 10,
        124 - 12,
    )
    # anthropic: 3 a day, 90 in September; 10 of the credit are left for October, at half
    assert (of(september, "anthropic", "effective_cost"), of(october, "anthropic", "effective_cost")) == (45, 93 - 5)
    assert (of(september, "anthropic", "payable_cost"), of(october, "anthropic", "payable_cost")) == (0, 83)
    # azure: 24 a day, of which 1.2 million tokens take half
    assert of(october, "azure-openai", "effective_cost") == 24 * 31
    idle = october[(october["operation"] == "provisioned_idle").to_numpy()]
    assert (len(idle), exact(idle["effective_cost"])) == (31, 12 * 31)
    statement = ws.commitments("2026-10").set_index("contract")
    assert (statement.loc["prepaid", "opening"], statement.loc["prepaid", "closing"]) == (10, 0)
    assert statement.loc["ptu", "share"] == Decimal("0.5")


@pytest.mark.long
def test_allocation_showback_and_a_scenario_see_effective_beside_contracted(company):
    ws = company("UTC")
    allocated = ws.allocated("2026-10")
    shown = fa.showback(allocated, by=["provider"]).set_index("provider")
    assert {p: Fraction(c) for p, c in shown["cost"].items()} == {"openai": 112, "anthropic": 88, "azure-openai": 744}
    assert Fraction(shown.loc["openai", "list_cost"]) == 124
    same = fa.what_if(
        allocated, {"batch": {"when": {"provider": "openai"}, "share": "1"}}, book=ws.book, by=["provider"]
    )
    found = same.set_index("provider")
    assert Fraction(found.loc["openai", "cost"]) == 112
    assert Fraction(found.loc["openai", "scenario_cost"]) == 56  # half of it: the tiers count batch tokens, too


@pytest.mark.long
@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/Los_Angeles"])
def test_any_window_is_a_part_of_whole_months(company, zone):
    whole = exact(company("UTC").priced(Window.of("2026-09-01", "2026-11-01"))["contracted_cost"])
    ws = company(zone)
    months = [ws.priced(month) for month in ("2026-08", "2026-09", "2026-10", "2026-11")]
    assert sum((exact(frame["contracted_cost"]) for frame in months), Fraction(0)) == whole
    day = ws.priced(Window.of("2026-10-30", "2026-10-31"))
    # one day of October costs its part of what October's 62 million tokens came to: 4 x (1 - 12 / 124)
    assert abs(of(day, "openai", "contracted_cost") - 4 * (1 - Fraction(12, 124))) < Fraction(1, 10**12)


@pytest.mark.long
@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo"])
def test_the_same_rows_at_the_same_prices_cost_the_same_again(company, zone):
    ws = company(zone)
    rows = ws.priced("2026-10")
    again = ws.reprice("2026-10", rows)
    for provider in ("openai", "anthropic", "azure-openai"):
        for column in ("contracted_cost", "effective_cost", "payable_cost"):
            assert of(again, provider, column) == of(rows, provider, column)
    assert len(again) == len(rows)


@pytest.mark.long
def test_the_command_prints_the_statement(company, capsys):
    from finops_ai.cli import main

    where = str(company("UTC").settings.root / "finops.toml")

    def run(*more: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            main(["commitments", "--month", "2026-10", "--config", where, *more])
        return stop.value.code, *capsys.readouterr()

    code, out, _ = run("--format", "csv")
    assert (code, "prepaid,credit,credit,2026-10,USD" in out) == (0, True)
    code, out, err = run()
    assert (code, "prepaid" in out, "even fully used it costs more" in err) == (0, True, True)
    company("UTC", "")
    code, _, err = run()
    assert (code, "No contract" in err) == (2, True)


@pytest.mark.parametrize(
    ("contract", "message"),
    [
        (
            'provider = "openai"\ndiscont = "5"',
            "finops.toml, contract 1: unknown key 'discont'. Did you mean 'discount'",
        ),
        (
            'provider = "openai"\n[[contracts.prices]]\nmodel = "gpt-4.1"\nprices = { input = "2.01" }',
            "finops.toml: a contract can't raise",
        ),
    ],
)
def test_a_bad_contract_names_file_and_row(company, contract, message):
    with pytest.raises(PriceError, match=message):
        _ = company("UTC", f"[[contracts]]\n{contract}\n").book
