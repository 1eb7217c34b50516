"""Days of a closed month are read as they were sealed, whatever window asks for them; days of open months as they are now."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal as D
from zoneinfo import ZoneInfo

import pytest

import finops_ai as fa
from finops_ai.cli import main
from finops_ai.frames import conform
from finops_ai.periods import Window
from finops_ai.tables.closing import close_month

ZONE = "Europe/Berlin"


def load(folder, quantities):
    """A row per day: day -> tokens, at noon of the reporting zone."""
    rows = [
        {
            "charge_period_start": (start := dt.datetime.fromisoformat(f"{day}T10:00+00:00")),
            "charge_period_end": start + dt.timedelta(hours=1), "provider": "openai", "billing_account_id": "acct", "model": "gpt-4o-mini",
            "operation": "chat", "meter": "input", "quantity": D(millions) * 1_000_000, "unit": "tokens", "service_tier": "standard",
            "source": "api", "quantity_basis": "metered",
        }
        for day, millions in quantities.items()
    ]  # fmt: skip
    frame = conform({name: [row[name] for row in rows] for name in rows[0]}, source="test")
    fa.open(folder).lake.replace("tokens", "openai", Window.of("2026-07-01", "2026-10-01"), frame)
    return fa.open(folder)


@pytest.fixture(scope="module")
def closed(tmp_path_factory):
    tmp_path = tmp_path_factory.mktemp("closed")
    text = f'[workspace]\ntimezone = "{ZONE}"\n[dimensions.team]\ndefault = "crew"\n[chargeback]\ndimension = "team"\nnot_charged = []\n'
    (tmp_path / "finops.toml").write_text(text, encoding="utf-8")
    ws = load(tmp_path, {"2026-07-30": 100, "2026-07-31": 200, "2026-08-01": 300, "2026-08-02": 400})
    close_month(ws, "2026-07")
    # restated afterwards, ten times as much of every day
    return load(tmp_path, {"2026-07-30": 1000, "2026-07-31": 2000, "2026-08-01": 3000, "2026-08-02": 4000})


def days(first, last):
    return Window(at(first), at(last))


def at(day):
    return dt.datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(ZONE)).astimezone(dt.UTC)


@pytest.mark.parametrize("read", ["cube", "allocated", "priced"])
@pytest.mark.parametrize(
    ("first", "last", "millions"),
    [
        ("2026-07-31", "2026-08-02", 200 + 3000),
        ("2026-07-30", "2026-07-31", 100),
        ("2026-07-01", "2026-08-01", 300),
        ("2026-08-01", "2026-08-03", 7000),
        ("2026-06-01", "2026-09-01", 300 + 7000),
        ("2026-07-31T06:00", "2026-08-01", 2000),  # sealed by day: a part of one is as it is in the lake
    ],
)
def test_a_window_reads_sealed_days(closed, read, first, last, millions):
    rows = getattr(closed, read)(days(first, last))
    assert sum(rows["quantity"], D(0)) == D(millions) * 1_000_000
    # gpt-4o-mini takes 0.15 per million tokens
    assert sum(rows["effective_cost"], D(0)) == D(millions) * D("0.15")


def test_explain_of_days_of_a_closed_month_shows_what_was_closed(closed, monkeypatch, capsys):
    monkeypatch.chdir(closed.settings.root)
    asked = ["--from", "2026-07-31", "--to", "2026-07-31", "--against-from", "2026-07-30", "--against-to", "2026-07-30"]
    with pytest.raises(SystemExit) as ended:
        main(["explain", *asked, "--format", "json"])
    assert ended.value.code == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (D(row["before"]), D(row["after"])) == (15, 30)  # 100 and 200 million tokens, as closed
