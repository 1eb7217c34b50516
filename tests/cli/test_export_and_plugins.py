"""`finops-ai export focus` and `finops-ai new-plugin` as somebody uses them."""

from __future__ import annotations

import csv
from decimal import Decimal

import pytest
from click.testing import CliRunner

from finops_ai.cli import group
from finops_ai.errors import CheckFailed, DataError, SettingsError

SETTINGS = """
[workspace]
name = "Test"
[providers.log]
connector = "csv"
files = ["log.csv"]
mapping = "log.toml"
[dimensions.team]
default = "unallocated"
[[rules]]
name = "team tag"
when = { "tags.team" = { regex = ".+" } }
set = { team = "{tags.team}" }
"""
MAPPING = """
[columns]
charge_period_start = "when"
[constants]
provider = "openai"
billing_account_id = "org"
model = "gpt-4.1"
[tags]
team = "team"
[[usage]]
requests = 1
meters = { input = "in", output = "out" }
"""
# gpt-4.1: 2 USD in, 8 USD out per million: 2 x 2 + 0.5 x 8 = 8.00
LOG = "when,team,in,out\n2026-10-05T10:00:00Z,search,2000000,0\n2026-10-06T10:00:00Z,,0,500000\n"


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FINOPS_AI_PROGRESS", "off")
    for name, text in {"finops.toml": SETTINGS, "log.toml": MAPPING, "log.csv": LOG}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    run("collect", "--month", "2026-10")
    return tmp_path


def run(*arguments):
    done = CliRunner().invoke(group, list(arguments), standalone_mode=False)
    if done.exception:
        raise done.exception
    return done.output


def test_export_focus_writes_the_months_rows_and_checks_them(workspace):
    said = run("export", "focus", "--month", "2026-10")
    assert "focus-2026-10.csv: 4 rows, FOCUS 1.2; 0 of them without a known price" in said
    with (workspace / "focus-2026-10.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert sum(Decimal(row["EffectiveCost"]) for row in rows) == 8
    assert {row["x_Team"] for row in rows} == {"search", "unallocated"}
    run("export", "focus", "--month", "2026-10", "--version", "1.4", "--draft-keys", "-o", "f.parquet")
    assert (workspace / "f.parquet").exists()


def test_an_export_that_breaks_a_rule_is_a_failed_check(workspace, monkeypatch):
    from finops_ai.tables import focus

    whole = focus.to_focus

    def wrong(*args, **kwargs):
        return whole(*args, **kwargs).assign(PricingUnit="1M tokens")

    monkeypatch.setattr(focus, "to_focus", wrong)
    with pytest.raises(CheckFailed, match="units are in the Unit Format: 4 rows, first in row 1"):
        run("export", "focus", "--month", "2026-10")


def test_a_month_without_usage_is_said(workspace):
    with pytest.raises(DataError, match="no usage of 2026-09"):
        run("export", "focus", "--month", "2026-09")


def test_a_new_plugin_speaks_only_of_itself(tmp_path):
    assert "finops-ai-acme-labs" in run("new-plugin", "acme-labs", "--into", str(tmp_path), "--title", "Acme Labs Inc")
    files = [path for path in (tmp_path / "finops-ai-acme-labs").rglob("*") if path.is_file()]
    assert {path.name for path in files} == {
        "pyproject.toml",
        "README.md",
        "__init__.py",
        "py.typed",
        "conftest.py",
        "test_acme_labs_conformance.py",
    }
    for path in files:
        text = path.read_text("utf-8")
        assert "template" not in text.lower(), path
        if path.suffix == ".py":
            compile(text, path.name, "exec")
    source = (tmp_path / "finops-ai-acme-labs" / "src" / "finops_ai_acme_labs" / "__init__.py").read_text("utf-8")
    assert 'name = "acme-labs"' in source
    assert 'title = "Acme Labs Inc"' in source
    assert "class AcmeLabsConnector(Connector)" in source
    assert "ACME_LABS_API_KEY" in source


@pytest.mark.parametrize("name", ["Acme", "acme labs", "../acme", "1acme", "class", "acme_labs"])
def test_a_name_that_cannot_be_one_is_refused(name, tmp_path):
    with pytest.raises(SettingsError, match="lower-case letters, digits and hyphens"):
        run("new-plugin", name, "--into", str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_left_alone(tmp_path):
    run("new-plugin", "acme", "--into", str(tmp_path))
    with pytest.raises(SettingsError, match="is there already"):
        run("new-plugin", "acme", "--into", str(tmp_path))
