"""What a cost column's name and cells say, and the cost in cents or millionths that a mapping reads exactly."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

import finops_ai as fa
from finops_ai.errors import SettingsError
from finops_ai.providers.costs import Cost, cost_of, currency_of, find_cost
from finops_ai.providers.starting import first_mapping


@pytest.mark.parametrize(
    ("name", "currency", "per"),
    [
        ("Kosten (€)", "EUR", 1),
        ("Coût (EUR)", "EUR", 1),
        ("Custo (R$)", "BRL", 1),
        ("Kosten CHF", "CHF", 1),
        ("Koszt (zł)", "PLN", 1),
        ("费用（元）", "CNY", 1),
        ("costMicroUSD", "USD", 10**6),
        ("usd_micros", "USD", 10**6),
        ("Total cost (in cents)", "", 100),
        ("Eurocent", "EUR", 100),
        ("usage.cost_in_usd_ticks", "USD", 10**10),
    ],
)
def test_a_name_states_currency_and_size(name: str, currency: str, per: int) -> None:
    assert cost_of(name) == Cost(currency, per)


@pytest.mark.parametrize(
    "name", ["cost_center", "input_cost", "unit price", "price_in", "cost per token", "try", "total", "EUR/USD", ""]
)
def test_what_may_be_another_cost_is_not_taken_for_the_row_s(name: str) -> None:
    assert cost_of(name) is None
    assert find_cost([name]) is None


@pytest.mark.parametrize(
    ("name", "texts", "decimal", "expected"),
    [
        ("cost", ["0.1"], ".", ("USD", "")),
        ("Kosten", ["0,1"], ",", ("USD", "The currency of 'Kosten' isn't stated: it is read as USD.")),
        ("cost", ["0,1"], ",", ("USD", "The currency of 'cost' isn't stated: it is read as USD.")),
        ("cost", ["£0.10"], ".", ("GBP", "")),
        ("Cost (USD)", ["1 €"], ".", ("EUR", "'Cost (USD)' states EUR and USD: it is read as EUR.")),
        ("費用（￥）", ["12"], ".", ("JPY", "'費用（￥）' may be in JPY or CNY: it is read as JPY.")),
        ("Kostnad (kr)", ["12"], ".", ("SEK", "'Kostnad (kr)' may be in SEK or NOK or DKK: it is read as SEK.")),
    ],
)
def test_a_currency_that_nothing_states_is_a_guess_that_says_so(
    name: str, texts: list[str], decimal: str, expected: tuple[str, str]
) -> None:
    assert currency_of(name, texts, decimal) == expected


def _stated(folder: Path, heading: str, *cells: str) -> tuple[list[Decimal], set[str], list[str]]:
    path = folder / "log.csv"
    rows = "".join(f"2026-10-05T08:00:0{n}Z;gpt-4o;10;5;{cell}\n" for n, cell in enumerate(cells))
    path.write_text(f"time;model;input_tokens;output_tokens;{heading}\n{rows}", encoding="utf-8")
    guess = first_mapping(path)
    (folder / "log.toml").write_text(guess.text, encoding="utf-8")
    read = fa.read(str(path), format="csv", mapping=str(folder / "log.toml"))
    return list(read["billed_cost"].dropna()), set(read["billing_currency"].dropna()), guess.doubts


def test_cents_are_read_as_the_currency_they_are_part_of(tmp_path: Path) -> None:
    costs, currencies, doubts = _stated(tmp_path, "cost_cents", "6.1", "0.000000000000000001")
    assert costs == [Decimal("0.061"), Decimal(0)]  # the frame keeps eighteen decimals
    assert currencies == {"USD"}
    assert any("'cost_cents' says that 100 make one unit" in doubt for doubt in doubts)


def test_millionths_of_a_dollar(tmp_path: Path) -> None:
    assert _stated(tmp_path, "cost_micro_usd", "61000", "7")[0] == [Decimal("0.061"), Decimal("0.000007")]


def test_a_cost_in_euro_by_its_sign_alone(tmp_path: Path) -> None:
    costs, currencies, doubts = _stated(tmp_path, "Kosten (€)", "1.234,50", "0,25")
    assert (costs, currencies, doubts) == ([Decimal("1234.5"), Decimal("0.25")], {"EUR"}, [])


def test_a_cost_that_is_not_used_is_named(tmp_path: Path) -> None:
    costs, _, doubts = _stated(tmp_path, "net_cost_after_discount", "0.5")
    assert costs == []
    assert any("'net_cost_after_discount' looks like a cost and isn't used" in doubt for doubt in doubts)


def test_a_part_of_a_currency_is_a_power_of_ten(tmp_path: Path) -> None:
    mapping = {
        "columns": {"charge_period_start": "t", "model": "m", "billed_cost": "c"},
        "constants": {"provider": "openai", "billing_account_id": "a", "billing_currency": "USD"},
        "cost": {"per": 12},
        "usage": [{"meters": {"input": "i"}}],
    }
    (tmp_path / "log.csv").write_text("t,m,i,c\n2026-10-05,gpt-4o,1,2\n", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"cost\.per: write 1, 10, 100"):
        fa.read(str(tmp_path / "log.csv"), format="csv", mapping=mapping)
