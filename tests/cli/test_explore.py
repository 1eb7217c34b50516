"""`finops-ai explore` writes a notebook that knows its workspace and leaves alone what is there."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from finops_ai.cli import main
from finops_ai.reporting import parameters_of, run_notebook


def run(*words):
    with pytest.raises(SystemExit) as stopped:
        main(["explore", *words])
    return stopped.value.code


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """A workspace in a folder with an awkward name."""
    folder = tmp_path / 'it\'s "ours" \\ é'
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "finops.toml").write_text('[workspace]\nname = "Ours"\n')
    return folder


def test_the_notebook_knows_its_workspace(workspace, capsys):
    assert run("--no-lab") == 0
    assert capsys.readouterr().out == "explore.ipynb\n"
    found = parameters_of(Path("explore.ipynb"))
    assert Path(found["config"].default) == workspace / "finops.toml"
    assert set(found) == {"config", "month", "months", "by"}
    document = json.loads(Path("explore.ipynb").read_text("utf-8"))
    code = ["".join(c["source"]) for c in document["cells"] if c["cell_type"] == "code"]
    assert all(ast.parse(text.rstrip(";")) for text in code)


def test_what_somebody_changed_stays(workspace, capsys):
    Path("explore.ipynb").write_text("mine")
    assert run("--no-lab") == 0
    assert Path("explore.ipynb").read_text() == "mine"
    assert "here already" in capsys.readouterr().err


def test_without_a_workspace_it_is_the_sample_company(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run("--no-lab") == 0
    assert "so this is the sample company" in capsys.readouterr().err
    assert parameters_of(Path("explore-sample.ipynb"))["config"].default == ""
    assert run("--no-lab", "--config", "nowhere.toml") == 2


def test_lab_gets_the_notebook_and_its_own_options(workspace, monkeypatch):
    called = []
    monkeypatch.setattr("subprocess.call", lambda command, **_: called.append(command) or 0)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    assert run("--", "--no-browser", "--port=0") == 0
    assert called[0][1:] == ["-m", "jupyterlab", "explore.ipynb", "--no-browser", "--port=0"]


@pytest.mark.slow
def test_the_written_notebook_runs_on_its_own_data(tmp_path, monkeypatch):
    import finops_ai as fa
    from finops_ai.periods import Window

    fa.sample.write_workspace(tmp_path, months=2)
    monkeypatch.chdir(tmp_path)
    fa.open(tmp_path).collect(Window.of("2026-09-01", "2026-11-01"))
    assert run("--no-lab") == 0
    page = run_notebook(Path("explore.ipynb"), tmp_path / "out" / "explore.ipynb", {"months": 2}).read_text("utf-8")
    assert "October 2026 cost <strong>28,393.34 USD</strong>" in page
    assert "fx-chart" in page


@pytest.mark.slow
def test_an_empty_lake_is_said(workspace):
    from finops_ai.reporting import NotebookFailed

    run("--no-lab")
    with pytest.raises(NotebookFailed, match="The lake of Ours is empty"):
        run_notebook(Path("explore.ipynb"), workspace / "out" / "explore.ipynb", {})
