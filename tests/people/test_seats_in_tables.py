"""`--seats` on the command line: under a volume contract, in a second currency, and in a month without any usage."""

from __future__ import annotations

import json
from decimal import Decimal as D
from pathlib import Path

import pandas as pd
import pytest

import finops_ai as fa
from finops_ai.cli import main
from finops_ai.frames import SeatFrame, conform
from finops_ai.periods import Window
from finops_ai.store.beside import listing, write

SETTINGS = """
[currency]
group = "EUR"
rates = "rates.csv"

[people]
accounts = "accounts.csv"
dimension = "team"

[[seats]]
provider = "cursor"
plan = "teams-standard"
price = "40"
clock = 12

[[contracts]]
name = "volume"
provider = "openai"
volume = [{ over = "0", discount = "10" }]

[providers.app]
connector = "csv"
files = ["use.csv"]
mapping = "m.toml"

[dimensions.team]
default = "nobody"
"""
MAPPING = """
[columns]
charge_period_start = "time"
[constants]
provider = "openai"
model = "gpt-4o"
billing_account_id = "acme"
[[usage]]
requests = 1
meters = { input = "tokens" }
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A million tokens in August, none later; Ada's seat of 40 dollars in cycles from the 12th, web until 15 October, then core."""
    root = tmp_path_factory.mktemp("seats")
    files = {
        "finops.toml": SETTINGS, "m.toml": MAPPING, "use.csv": "time,tokens\n2026-08-03T10:00Z,1000000\n",
        "rates.csv": "date,currency,rate\n2026-07-12,USD,1\n2026-08-03,USD,1\n2026-08-12,USD,1.111111111111111111\n2026-09-12,USD,1.111111111111111111\n2026-10-12,USD,1.25\n",
        "accounts.csv": "account,person,team,valid_from,valid_to\nada,Ada,web,,2026-10-15\nada,Ada,core,2026-10-15,\n",
    }  # fmt: skip
    for name, text in files.items():
        (root / name).write_text(text)
    columns = {
        "provider": ["cursor"], "plan": ["teams-standard"], "user_id": ["ada"], "telemetry": ["on"], "source": ["api"],
        "seat_start": [pd.Timestamp("2026-07-12", tz="UTC")],
    }  # fmt: skip
    write(
        listing(root, "cursor", pd.Timestamp("2026-11-20").date()), conform(columns, SeatFrame, source="t"), SeatFrame
    )
    fa.open(root).collect(Window.of("2026-08-01", "2026-11-01"))
    return root


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, D | None]:
    """What a showback prints, by its group."""
    with pytest.raises(SystemExit) as stopped:
        main(["showback", *words, "--format", "json"])
    assert stopped.value.code == 0
    rows = json.loads(capsys.readouterr().out, parse_float=D)
    return {next(iter(row.values())): row["cost"] and D(str(row["cost"])) for row in rows}


def test_a_month_of_seats_alone_is_shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = ["--month", "2026-10", "-c", str(folder / "finops.toml")]
    # 36 EUR of the cycle from 12 September, 11 of its 30 days; 32 of the one from 12 October, 3 of 31 days web, 17 core
    web, core = D(36) * 11 / 30 + D(32) * 3 / 31, D(32) * 17 / 31
    found = shown(capsys, "--seats", "--by", "team", *config)
    assert {team: round(cost, 2) for team, cost in found.items() if cost} == {
        "web": round(web, 2),
        "core": round(core, 2),
    }
    with pytest.raises(SystemExit) as stopped:
        main(["showback", *config])
    assert stopped.value.code == 3
    assert "no usage of 2026-10" in capsys.readouterr().err


def test_seats_stand_beside_use_under_a_contract_and_change_none_of_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = ["--by", "provider", "--month", "2026-08", "-c", str(folder / "finops.toml")]
    without, found = shown(capsys, *config), shown(capsys, "--seats", *config)
    # a million tokens of gpt-4o at 2.50 dollars, a tenth off, a euro for a dollar
    assert without == {"openai": D("2.25")} == {"openai": found["openai"]}
    assert found["cursor"] == round(D(40) * 11 / 31 + D(36) * 20 / 31, 2)


@pytest.mark.long
def test_the_bridge_and_the_export_are_of_a_month_of_seats(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = ["-c", str(folder / "finops.toml")]
    with pytest.raises(SystemExit) as stopped:
        main(["explain", "--by", "provider", "--month", "2026-10", "--seats", "--format", "json", *config])
    assert stopped.value.code == 0
    row = json.loads(capsys.readouterr().out, parse_float=D)[0]
    assert row["provider"] == "cursor"
    assert round(D(str(row["before"])), 2) == round(D(36) * 11 / 31 + D(36) * 19 / 30, 2)
    assert round(D(str(row["after"])), 2) == round(D(36) * 11 / 30 + D(32) * 20 / 31, 2)
    with pytest.raises(SystemExit) as stopped:
        main(["export", "focus", "--month", "2026-10", "--seats", "-o", str(folder / "focus.csv"), *config])
    assert stopped.value.code == 0
    written = pd.read_csv(folder / "focus.csv", dtype=str)
    assert round(sum(map(D, written["BilledCost"])), 2) == round(D(36) * 11 / 30 + D(32) * 20 / 31, 2)
