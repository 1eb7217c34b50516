"""Importing is light, and the public names are the ones promised."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

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


def test_type_checkers_see_the_names_that_are_there():
    spec = importlib.util.spec_from_file_location("static_names", Path(__file__).parents[1] / "scripts/static_names.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    made = script.static_names(finops_ai._PUBLIC, finops_ai.__all__)
    assert script.STUB.read_text("utf-8") == made, "run `make docs`"


def test_a_star_import_leaves_the_builtins_alone():
    import builtins

    assert not set(finops_ai.__all__).intersection(dir(builtins))
    scope = {}
    exec("from finops_ai import *", scope)  # what a user's first cell does
    assert "open" not in scope
    assert scope["open_workspace"] is finops_ai.open is finops_ai.open_workspace


def test_type_information_is_shipped():
    root = Path(__file__).parents[1]
    packages = [root / "finops_ai", *(p for p in root.glob("plugins/*/src/*") if (p / "__init__.py").exists())]
    assert len(packages) > 9
    assert not [p.name for p in packages if not (p / "py.typed").exists()]
