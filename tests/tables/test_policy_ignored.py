"""What of the settings nobody and nothing meets is said: contracts, rules of the bill, names of receivers and accounts."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal as D

import pandas as pd
import pytest

import finops_ai as fa
from finops_ai.cli import main
from finops_ai.frames import BillFrame, conform
from finops_ai.periods import UTC, Window

TOML = """
[workspace]
[dimensions.team]
[[rules]]
name = "key"
when = { api_key_id = "k1" }
set = { team = "search" }
[chargeback]
dimension = "team"
[[chargeback.tariffs]]
for = ["search"]
method = "subscription"
fee = "5"
[[chargeback.tariffs]]
[chargeback.incentives]
cache = "0.1"
[journal]
accounts = { serch = "6110" }
cost_centres = { search = "CC1" }
providers = { "openai/acct" = "2191", anthropic = "2192" }
[[bill]]
name = "tax"
when = { kind = "tax" }
post = "tax"
[[bill]]
name = "support"
when = { charge_description = { regex = "(?i)suport" } }
to = "search"
[[bill]]
name = "credits"
when = { kind = "credits" }
to = "plattform"
[[bill]]
name = "late"
when = { kind = "tax", charge_description = "VAT" }
to = "search"
[[contracts]]
name = "right"
provider = "openai"
accounts = ["acct"]
models = ["gpt-4o*"]
discount = "0.1"
[[contracts]]
name = "misspelt"
provider = "openai"
accounts = ["acct"]
models = ["gpt-40-mini"]
discount = "0.1"
[[contracts]]
name = "elsewhere"
provider = "openai"
accounts = ["acct-7"]
discount = "0.1"
[[contracts]]
name = "over"
provider = "openai"
from = "2025-01-01"
to = "2026-01-01"
discount = "0.1"
[[contracts]]
name = "theirs"
provider = "anthropic"
discount = "0.1"
"""


@pytest.fixture(scope="module")
def company(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unmet")
    (folder / "finops.toml").write_text(TOML, encoding="utf-8")
    day = dt.datetime(2026, 7, 3, tzinfo=UTC)
    place = {"provider": "openai", "billing_account_id": "acct", "charge_period_start": day, "charge_period_end": day + dt.timedelta(days=1)}  # fmt: skip
    use = place | {
        "model": "gpt-4o-mini", "operation": "chat", "meter": "input", "quantity": D(10_000_000), "unit": "tokens", "service_tier": "standard",
        "api_key_id": "k1", "source": "api", "quantity_basis": "metered",
    }  # fmt: skip
    lines = [
        place | {
            "charge_category": kind, "charge_description": text, "meter": "unmapped", "billed_cost": D(cost), "billing_currency": "USD",
            "source": "file", "billing_period_start": dt.datetime(2026, 7, 1, tzinfo=UTC), "billing_period_end": dt.datetime(2026, 8, 1, tzinfo=UTC),
        }
        for kind, text, cost in (("Tax", "VAT", "2"), ("Credit", "sorry", "-1"))
    ]  # fmt: skip
    lake = fa.open(folder).lake
    lake.replace("tokens", "openai", Window.month("2026-07"), conform({k: [v] for k, v in use.items()}, source="test"))
    lake.replace("bills", "openai", Window.month("2026-07"), conform({k: [r[k] for r in lines] for k in lines[0]}, BillFrame, source="test"))  # fmt: skip
    return folder


def said(folder, monkeypatch, capsys, *command):
    monkeypatch.chdir(folder)
    with pytest.raises(SystemExit):
        main(list(command))
    told = capsys.readouterr()
    return [line for line in (told.out + told.err).splitlines() if line]


def test_policy_check_says_what_nobody_meets(company, monkeypatch, capsys):
    ignored = [x for x in said(company, monkeypatch, capsys, "policy", "check", "--month", "2026-07") if x.startswith("ignored")]  # fmt: skip
    assert [text.removeprefix("ignored: ").split(".")[0] for text in ignored if "[[bill]]" in text] == [
        "[[bill]] support: no line of the bill meets it",
        "[[bill]] late: earlier rules decide all 1 lines that meet it",
        "[[bill]] credits names 'plattform', which is no team of these months",
    ]
    for text in (
        "journal.accounts names 'serch', which is no team of these months. Did you mean 'search'?",
        "journal.providers names 'anthropic', of which nothing was used or billed",
        "search: no reward, no malus and no part in funding them. The charge follows a fee",
    ):
        assert any(text in line for line in ignored), text
    assert not any("cost_centres" in line or "names 'openai/acct'" in line for line in ignored)


def test_rules_check_says_which_contracts_nothing_falls_under(company, monkeypatch, capsys):
    lines = said(company, monkeypatch, capsys, "rules", "check", "--month", "2026-07", "--format", "csv")
    found = {line.split(",")[1]: line for line in lines if line.startswith("never matches") and ",contract," in line}
    assert list(found) == ["misspelt", "elsewhere", "over", "theirs"]
    assert "there is no usage of its models gpt-40-mini. Did you mean 'gpt-4o-mini'?" in found["misspelt"]
    assert "there is no usage of its accounts acct-7. Did you mean 'acct'?" in found["elsewhere"]
    assert "there is no usage in its dates" in found["over"]
    assert "there is no usage of anthropic" in found["theirs"]


def test_prices_check_says_it_of_a_file(company, monkeypatch, capsys, tmp_path):
    path = tmp_path / "tokens.parquet"
    pd.DataFrame(fa.open(company).tokens("2026-07")).to_parquet(path)
    lines = said(company, monkeypatch, capsys, "prices", "check", "finops.toml", "--tokens", str(path))
    assert [line.split(":")[0] for line in lines if "no row falls under it" in line] == [
        "Contract misspelt", "Contract elsewhere", "Contract over", "Contract theirs",
    ]  # fmt: skip


def test_a_statement_says_why_a_receiver_takes_no_part(company):
    from finops_ai.tables.posting import posting

    made = posting(fa.open(company), "2026-07")
    statement = made.statement("search")
    (text,) = [t for t, kind in zip(statement["text"], statement["kind"], strict=True) if kind == "incentive"]
    assert (
        text == "No incentives, and no part in funding them: the charge follows a fee, not what the work really costs"
    )
    assert made.overview["incentive"].tolist() == [0] * len(made.overview)
