"""Importing is light, and the public names are the ones promised."""

from __future__ import annotations

import subprocess
import sys

import pytest

import finops_ai

HEAVY = ["pandas", "matplotlib", "seaborn", "boto3", "google", "azure", "pyspark", "duckdb", "papermill", "ipywidgets"]


def modules_after(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return {name.split(".")[0] for name in done.stdout.split()}


def test_importing_the_package_loads_nothing_heavy():
    assert not modules_after("import finops_ai").intersection(HEAVY)


def test_help_loads_nothing_heavy():
    code = (
        "from finops_ai.cli import group\ntry: group.main(['--help'], standalone_mode=False)\nexcept SystemExit: pass"
    )
    assert not modules_after(code).intersection(HEAVY)


@pytest.mark.parametrize("name", [n for n in finops_ai.__all__ if n != "__version__"])
def test_every_public_name_is_there_and_documented(name):
    value = getattr(finops_ai, name)
    assert value.__doc__, f"{name} has no docstring"


def test_a_misspelt_name_gets_a_hint():
    with pytest.raises(AttributeError, match="Did you mean 'showback'"):
        finops_ai.showbak  # noqa: B018


def test_every_command_of_the_list_exists_and_has_help():
    from finops_ai.cli import COMMANDS, group

    for name, (_, line) in COMMANDS.items():
        command = group.get_command(None, name)
        assert command.help, name
        assert line.endswith("."), name
