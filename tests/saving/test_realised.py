"""What an action saved in a company that counts no calls and whose currency isn't its vendor's."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal as D

import finops_ai as fa
from finops_ai.periods import Window
from finops_ai.saving.realised import realised_savings
from finops_ai.saving.workspace import decisions_of
from tests.conftest import make_tokens

TOML = """
[workspace]
currency = "EUR"
[currency]
group = "EUR"
rates = "rates.csv"
base = "USD"
[providers.anthropic]
enabled = false
"""

RATES = "date,currency,rate\n" + "".join(
    f"2026-{day},EUR,{rate}\n"
    for day, rate in (("09-01", "0.90"), ("09-07", "0.90"), ("10-01", "0.80"), ("10-07", "0.80"))
)


def test_without_counted_calls_and_in_a_second_currency_a_new_rate_saves_nothing(tmp_path):
    """Ten million tokens at 3 dollars, 30, are 27 euros at 0.90; twice as many at 1 dollar, 20, are 16 euros at 0.80.

    Twenty million would have cost 60 dollars: 40 dollars saved, which are 32 euros at the later month's rate. At the tokens and
    the rate of then they are 18.
    """
    (tmp_path / "finops.toml").write_text(TOML, "utf-8")
    (tmp_path / "rates.csv").write_text(RATES, "utf-8")
    ws = fa.open(tmp_path)
    work = {"provider": "anthropic", "api_key_id": "k", "operation": "chat"}
    for month, model, tokens in ((9, "claude-sonnet-4-6", 1_000_000), (10, "claude-haiku-4-5", 2_000_000)):
        at = [dt.datetime(2026, month, 2 + n, tzinfo=dt.UTC) for n in range(10)]
        rows = [work | {"at": day, "model": model, "quantity": tokens} for day in at]
        ws.lake.replace("tokens", "anthropic", Window.month(f"2026-{month:02}"), make_tokens(rows))
    assert [sum(ws.cube(m)["effective_cost"]) for m in ("2026-09", "2026-10")] == [27, 16]
    about = {"kind": "model", "subject": work | {"model": "claude-sonnet-4-6", "to": "claude-haiku-4-5"}, "what": "Haiku",
             "month": "2026-09", "saving": "18", "saving_low": "16", "saving_high": "18"}  # fmt: skip
    decisions_of(ws).decide("a", "accept", "", about)
    decisions_of(ws).decide("a", "done", "", about)
    table = realised_savings(ws, "2026-10")
    row = table.iloc[0]
    assert table.facts.currency == "EUR"
    assert (row["saved"], row["saved_as_found"]) == (D(32), D(18))
    assert row["inside"]
