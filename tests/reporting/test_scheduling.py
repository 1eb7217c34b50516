"""The schedules in docs/scheduling.md really run: the cron line in a shell, the workflow's steps, the DAG's tasks."""

from __future__ import annotations

import datetime as dt
import os
import re
import subprocess
import sys
import types
from pathlib import Path

import jinja2
import pytest

from finops_ai.reporting import check_parameters

PAGE = (Path(__file__).parents[2] / "docs" / "scheduling.md").read_text("utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.S)


@pytest.fixture
def machine(tmp_path):
    """A machine on which finops-ai and mail only write down how they were called; `finops-ai` exits as told."""
    (tmp_path / "bin").mkdir()
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    for name in ("bin/finops-ai", ".venv/bin/finops-ai", "bin/mail"):
        script = tmp_path / name
        record = tmp_path / f"{script.name}.called"
        script.write_text(
            f'#!/bin/sh\nprintf "%s\\n" "$@" >>"{record}"\necho "from {script.name}"\nexit ${{EXIT:-0}}\n'
        )
        script.chmod(0o755)

    def run(command, **environment):
        command = command.replace("/srv/finops", str(tmp_path))
        env = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "HOME": str(tmp_path)} | environment
        done = subprocess.run(
            ["bash", "-e", "-c", command], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
        )
        called = {p.stem: p.read_text().split("\n")[:-1] for p in tmp_path.glob("*.called")}
        return done.returncode, called

    return run


def test_cron_mails_the_exit_code_only_when_something_is_wrong(machine, tmp_path):
    lines = [x for b in blocks("cron") for x in b.strip().splitlines()]
    assert len(lines) == 2
    for line in lines:
        times, command = re.fullmatch(r"((?:[\d*/,-]+ ){5})finops  (.*)", line).groups()
        assert "%" not in command  # cron would take it for a line break
        code, called = machine(command)
        assert code == 0
        assert "mail" not in called
        assert called["finops-ai"][0] in ("report", "collect")
        code, called = machine(command, EXIT="3") if "report" in command else (0, {"mail": ["exit 3"]})
        assert "exit 3" in " ".join(called["mail"])
        assert len(times.split()) == 5
        for record in tmp_path.glob("*.called"):
            record.unlink()
    assert "from finops-ai" in (tmp_path / "report.log").read_text()


def test_the_workflow_passes_the_month_as_data(machine, tmp_path):
    yaml = pytest.importorskip("yaml", reason="needs PyYAML, which isn't installed")
    (text,) = blocks("yaml")
    steps = yaml.safe_load(text)["jobs"]["report"]["steps"]
    runs = [s["run"] for s in steps if "run" in s]
    assert not any("${{" in r for r in runs)  # nothing typed by a person becomes part of a command
    (command,) = [r for r in runs if r.startswith("finops-ai report")]
    assert machine(command, MONTH="")[1]["finops-ai"] == ["report", "--config", "finops.toml", "--out", "reports"]
    (tmp_path / "finops-ai.called").unlink()
    hostile = "2026-10; touch owned"
    called = machine(command, MONTH=hostile)[1]["finops-ai"]
    assert called == ["report", "--config", "finops.toml", "--month", hostile, "--out", "reports"]
    assert not (tmp_path / "owned").exists()


@pytest.fixture
def airflow(monkeypatch):
    """Just enough of Airflow 3 to load a DAG file: operators and timetables keep what they are given."""

    class Kept:
        made: list = []

        def __init__(self, *args, **kwargs):
            self.args, self.given = args, kwargs
            Kept.made.append(self)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def __rshift__(self, other):
            self.before = other

    names = {
        "airflow.providers.papermill.operators.papermill": "PapermillOperator",
        "airflow.providers.standard.operators.bash": "BashOperator",
        "airflow.sdk": "DAG",
        "airflow.timetables.trigger": "CronTriggerTimetable",
    }
    for name, attribute in names.items():
        module = types.ModuleType(name)
        setattr(module, attribute, type(attribute, (Kept,), {}))
        monkeypatch.setitem(sys.modules, name, module)
    Kept.made = []
    return Kept


@pytest.mark.parametrize(("ran", "month"), [((2026, 11, 3, 6, 15), "2026-10"), ((2027, 1, 3, 6, 15), "2026-12")])
def test_the_dag_reports_the_month_before_its_run(airflow, machine, ran, month):
    (text,) = blocks("python")
    exec(compile(text, "docs/scheduling.md", "exec"), {})
    tasks = {k.given["task_id"]: k for k in airflow.made if "task_id" in k.given}
    assert tasks["report"].before is tasks["showback"]

    def render(value):
        if isinstance(value, dict):
            return {k: render(v) for k, v in value.items()}
        macros = types.SimpleNamespace(timedelta=dt.timedelta)
        return jinja2.Template(value).render(logical_date=dt.datetime(*ran, tzinfo=dt.UTC), macros=macros)

    code, called = machine(render(tasks["report"].given["bash_command"]))
    assert code == 0
    assert called["finops-ai"][called["finops-ai"].index("--month") + 1] == month
    notebook = tasks["showback"].given
    given = check_parameters(Path(notebook["input_nb"]), render(notebook["parameters"]))
    assert given["month"] == month
    assert render(notebook["output_nb"]).endswith(f"showback-{month}.ipynb")


def test_exit_codes_are_the_ones_of_the_errors():
    from finops_ai import errors

    codes = {int(c) for c in re.findall(r"^\| (\d) \|", PAGE, re.M)}
    assert codes == {0, errors.CheckFailed.exit_code, errors.SettingsError.exit_code, errors.DataError.exit_code}
