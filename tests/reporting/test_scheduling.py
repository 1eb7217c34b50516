"""The schedules in docs/scheduling.md use commands, options and notebook parameters that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import click
import pytest

from finops_ai.cli import group
from finops_ai.reporting import check_parameters, notebook_folder

PAGE = (Path(__file__).parents[2] / "docs" / "scheduling.md").read_text("utf-8")
COMMANDS = sorted(set(re.findall(r"finops-ai (?:report|collect)[^\n`\"|>&]*", PAGE)))


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.S)


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_and_option_exists(line):
    _, name, *words = line.split()
    command = group.get_command(click.Context(group), name)
    known = {o for p in command.params for o in (*p.opts, *p.secondary_opts)}
    assert {w for w in words if re.fullmatch(r"--?[a-z-]+", w)} <= known


def test_the_workflow_is_yaml_that_runs_the_report():
    yaml = pytest.importorskip("yaml", reason="needs PyYAML, which isn't installed")
    (text,) = blocks("yaml")
    steps = yaml.safe_load(text)["jobs"]["report"]["steps"]
    runs = [s["run"] for s in steps if "run" in s]
    assert any(r.startswith("finops-ai report") for r in runs)
    assert not any("${{" in r for r in runs)  # nothing typed by a person becomes part of a command


def test_cron_lines_have_five_times_and_a_user():
    lines = [x for b in blocks("cron") for x in b.strip().splitlines()]
    assert len(lines) == 2
    for line in lines:
        assert re.match(r"(\S+ ){5}finops  cd /srv/finops && \.venv/bin/finops-ai ", line)


def test_airflow_examples_parse_and_name_real_parameters():
    for text in blocks("python"):
        call = ast.parse(text).body[-1].value
        arguments = {k.arg: k.value for k in call.keywords}
        if "parameters" in arguments:
            notebook = Path(ast.literal_eval(arguments["input_nb"])).name
            check_parameters(notebook_folder() / notebook, ast.literal_eval(arguments["parameters"]))


def test_exit_codes_are_the_ones_of_the_errors():
    from finops_ai import errors

    codes = {int(c) for c in re.findall(r"^\| (\d) \|", PAGE, re.M)}
    assert codes == {0, errors.CheckFailed.exit_code, errors.SettingsError.exit_code, errors.DataError.exit_code}
