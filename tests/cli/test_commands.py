from __future__ import annotations

import json
import subprocess
import sys

import pytest

from finops_ai.cli import main


def run(*args, capsys):
    try:
        main(list(args))
    except SystemExit as stop:
        code = stop.code or 0
    else:
        code = 0
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_help_teaches_and_names_the_first_step(capsys):
    code, out, _ = run("--help", capsys=capsys)
    assert code == 0
    for word in ("report", "collect", "providers", "doctor", "init", "--sample", "Exit codes"):
        assert word in out


def test_a_misspelt_command_gets_a_hint(capsys):
    code, _, err = run("repot", capsys=capsys)
    assert code == 2
    assert "Did you mean 'report'" in err


def test_init_writes_a_file_that_opens(tmp_path, capsys, monkeypatch):
    import finops_ai as fa

    monkeypatch.setenv("OPENAI_ADMIN_KEY", "sk-admin-not-a-real-one")
    code, out, _ = run("init", str(tmp_path), "--name", 'A "quoted" name', capsys=capsys)
    assert code == 0
    assert "sk-admin" not in (tmp_path / "finops.toml").read_text() + out
    ws = fa.open(tmp_path)
    assert list(ws.connections()) == ["openai"]
    assert ws.rules.dimensions == ("team",)


def test_init_doesnt_overwrite(tmp_path, capsys):
    (tmp_path / "finops.toml").write_text("[workspace]\n")
    code, _, err = run("init", str(tmp_path), capsys=capsys)
    assert code == 2
    assert "--force" in err


@pytest.mark.parametrize(
    ("toml", "code", "said"),
    [
        ("[workspace]\ncurency = 'USD'", 2, "curency"),
        ("[providers.opnai]\n", 2, "Did you mean 'openai'"),
        ("[providers.openai]\nfiels = ['x']\n", 2, "Did you mean 'files'"),
        ("[providers.openai]\nfiles = ['nothing/*.json']\n", 3, "No file matches"),
        ("", 2, "nothing to collect"),
    ],
)
def test_bad_settings_are_one_screen_and_store_nothing(tmp_path, capsys, toml, code, said):
    path = tmp_path / "finops.toml"
    path.write_text(toml)
    got, _, err = run("collect", "--month", "2026-10", "--config", str(path), capsys=capsys)
    assert got == code
    assert said in err
    assert len(err.splitlines()) < 25
    assert not (tmp_path / "finops-lake").exists()


def test_a_cut_page_stores_nothing_and_names_the_place(tmp_path, capsys):
    (tmp_path / "page.json").write_text('{"object": "page", "data": [{"object": "bucket", "start_ti')
    path = tmp_path / "finops.toml"
    path.write_text("[providers.openai]\nfiles = ['page.json']\n")
    code, _, err = run("collect", "--month", "2026-10", "--config", str(path), capsys=capsys)
    assert code == 3
    assert "page.json, line 1, column" in err
    assert not (tmp_path / "finops-lake").exists()


def test_one_provider_that_fails_costs_the_others_nothing(tmp_path, capsys):
    from finops_ai.sample.settings import write_native

    write_native(tmp_path / "native", months=1)
    (tmp_path / "bad.json").write_text("{")
    path = tmp_path / "finops.toml"
    path.write_text(
        "[providers.bad]\nconnector = 'openai'\nfiles = ['bad.json']\n[providers.openai]\nfiles = ['native/openai/*.json']\n"
    )
    code, _, err = run("collect", "--month", "2026-10", "--config", str(path), capsys=capsys)
    assert code == 3
    assert "bad" in err
    assert "openai         2026-10-01 to 2026-11-01  loaded" in err


def test_providers_as_json(capsys):
    code, out, _ = run("providers", "--format", "json", capsys=capsys)
    assert code == 0
    names = [row["name"] for row in json.loads(out)["providers"]]
    assert {"openai", "focus"} <= set(names)


def test_doctor_runs_without_a_workspace(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = run("doctor", capsys=capsys)
    assert "finops-ai init" in out
    assert code in (0, 1)


@pytest.mark.long
def test_verbose_shows_the_traceback(tmp_path):
    command = [sys.executable, "-m", "finops_ai.cli", "-v", "collect", "--config", str(tmp_path / "none.toml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Traceback" in done.stderr
    done = subprocess.run([*command[:3], *command[4:]], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert done.returncode == 2


def test_csv_and_json_of_a_table_are_exact_and_harmless(capsys):
    from decimal import Decimal

    import pandas as pd

    from finops_ai.cli.output import show

    frame = pd.DataFrame({"team": ['=HYPERLINK("x")', "b"], "cost": [Decimal("0.100000000000000001"), None]})
    show(frame, "csv")
    assert "\"'=HYPERLINK" in capsys.readouterr().out
    show(frame, "json")
    assert json.loads(capsys.readouterr().out)[0]["cost"] == "0.100000000000000001"
    show(frame, "table")  # to be read: the digits that matter, unknown as a dash
    assert capsys.readouterr().out.splitlines()[1:] == ['=HYPERLINK("x")   0.1', "b                   –"]
