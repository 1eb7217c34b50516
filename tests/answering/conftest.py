"""The sample company's last three months in a lake, once for all tests of answers."""

from __future__ import annotations

import datetime as dt
import shutil

import pytest

import finops_ai as fa
from finops_ai.answering.known import Known
from finops_ai.periods import Window
from finops_ai.sample.settings import settings_toml

#: a moment after the sample's last day, so that "last month" is its last
NOW = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)


@pytest.fixture(scope="session")
def company(tmp_path_factory):
    """A folder with finops.toml and a lake of August to October; nobody writes into it."""
    folder = tmp_path_factory.mktemp("company")
    (folder / "finops.toml").write_text(settings_toml(), "utf-8")
    ws = fa.open(folder)
    window = Window.of("2026-08-01", "2026-11-01")
    usage, charges, seen = fa.sample.tokens(months=3), fa.sample.bills(months=3), fa.sample.telemetry(months=3)
    for name, table in ws.settings.providers.items():
        own = seen if table.get("telemetry") else usage[(usage["provider"] == name).to_numpy(bool)]
        bills = charges[(charges["provider"] == name).to_numpy(bool)]
        ws.lake.replace_window(name, window, {"tokens": own, "bills": bills})
    return folder


@pytest.fixture(scope="session")
def ws(company):
    """The workspace of the folder."""
    return fa.open(company)


@pytest.fixture
def copy(company, tmp_path):
    """A copy that a test may change."""
    return shutil.copytree(company, tmp_path / "copy")


@pytest.fixture(scope="session")
def known(ws):
    """What can be asked about it, at a fixed moment."""
    return Known(ws, lambda: NOW).fresh()
