"""A workspace with engineers: its settings, its commands, its page."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

import finops_ai as fa
from finops_ai.cli import main
from finops_ai.errors import SettingsError
from finops_ai.people.workspace import People, settings_of


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return fa.sample.write_people(tmp_path_factory.mktemp("people"))


@pytest.fixture(scope="module")
def people(config) -> People:
    return People.of(fa.open(config), "2026-10")


def run(capsys, *words: str) -> str:
    with pytest.raises(SystemExit) as stopped:
        main(["people", *words])
    assert stopped.value.code == 0
    return capsys.readouterr().out


def test_months_add_up_to_the_invoices_of_their_clocks(people: People) -> None:
    table = people.months("2026-10", ["provider"]).set_index("provider")
    # Copilot: calendar months, so October's invoice is October's cost, to the cent
    bills = people.bills
    october = bills[(bills["provider"] == "github-copilot") & (bills["billing_period_start"] == "2026-10-01T00:00Z")]
    assert table.loc["github-copilot", "cost"] == sum(october["billed_cost"])
    assert table.loc["github-copilot", "bill_difference"] == 0
    assert table.loc["anthropic", "cost"] == 500
    # Cursor: 6 standard and 2 premium seats of 480 a cycle: eleven of 30 days and twenty of 31
    assert abs(table.loc["cursor", "seat_cost"] - (Decimal(480) * 11 / 30 + Decimal(480) * 20 / 31)) < Decimal("1e-12")
    assert table.loc["cursor", "bill_difference"] == 0


def test_included_use_is_in_no_cash(people: People) -> None:
    rows = people.usage
    cash = sum(rows[rows["price_status"] == "stated"]["effective_cost"])
    assert cash == sum(rows[(rows["money_basis"] == "cash").to_numpy(bool, na_value=False)]["billed_cost"].dropna())
    assert rows[rows["price_status"] == "included"]["effective_cost"].isna().all()


@pytest.mark.long
def test_commands_print_the_tables(config, people: People, capsys) -> None:
    found = json.loads(
        run(capsys, "months", "--by", "provider", "--month", "2026-10", "-c", str(config), "--format", "json")
    )
    rows = found["rows"] if isinstance(found, dict) else found
    assert sum(Decimal(str(row["cost"])) for row in rows) == sum(
        people.months("2026-10", ["provider"]).published()["cost"]
    )
    assert "Engineer" not in run(capsys, "idle", "--month", "2026-10", "-c", str(config))
    assert "Engineer 08" in run(capsys, "idle", "--month", "2026-10", "-c", str(config), "--names")
    for what in ("pools", "net", "plans", "logs", "sessions", "outcomes"):
        assert run(capsys, what, "--month", "2026-10", "-c", str(config)).strip()


def test_settings_are_checked(config, tmp_path) -> None:
    for text, said in (("smalest = 3", "smallest"), ("shown = 1", "true or false"), ("idle_days = -1", "0 or more")):
        file = tmp_path / "finops.toml"
        file.write_text(f"[people]\n{text}\n", "utf-8")
        with pytest.raises(SettingsError, match=said):
            settings_of(fa.open(file))


def test_seats_and_commits_of_connections_are_kept_and_replaced(tmp_path, monkeypatch) -> None:
    from finops_ai.people import workspace
    from finops_ai.periods import Window

    (tmp_path / "finops.toml").write_text("[people]\n", "utf-8")
    ws = fa.open(tmp_path)
    sample = fa.sample.engineers()

    class Source:
        live, settings = True, None
        rows = sample.seats

        def seats(self, window):
            return self.rows

        def commits(self, window):
            return sample.commits.head(3)

    source = Source()
    monkeypatch.setattr(type(ws), "connections", lambda self, left_out=None: {"cursor": source})
    october = Window.month("2026-10")
    assert len(workspace.collect_people(ws, october)) == 2
    assert (len(workspace.kept(tmp_path, "seats")), len(workspace.kept(tmp_path, "commits"))) == (22, 3)
    source.rows = sample.seats.head(5)
    workspace.collect_people(ws, october)
    assert len(workspace.kept(tmp_path, "seats")) == 5


@pytest.mark.slow
def test_the_page_states_the_tables(config, tmp_path) -> None:
    from finops_ai.reporting import notebook_folder, run_notebook

    page = run_notebook(
        notebook_folder() / "people.ipynb", tmp_path / "people.ipynb", {"config": str(config), "month": "2026-10"}
    )
    text = page.read_text("utf-8")
    whole = sum(People.of(fa.open(config), "2026-10").months("2026-10", ["provider"]).published()["cost"])
    assert f"{whole:,.2f} USD" in text
    assert "never added" in text
    assert "Engineer 0" not in text


def test_idle_seats_are_among_what_could_be_saved(config, people: People) -> None:
    from finops_ai.saving.workspace import workspace_opportunities

    idle = people.idle("2026-10")
    idle = idle[(idle["status"] == "idle").to_numpy(bool)]
    found = workspace_opportunities(fa.open(config), "2026-10")
    seats = found[(found["kind"] == "seats").to_numpy(bool)]
    assert len(idle)
    assert sum(seats["saving"]) == sum(idle["cost_per_month"].dropna())
