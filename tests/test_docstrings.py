"""Every example in a docstring runs and prints what it says; every public name tells what its reader needs."""

from __future__ import annotations

import doctest
import importlib
import inspect
import re
from pathlib import Path

import pytest

import finops_ai

PACKAGE = Path(finops_ai.__file__).parent
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
WITH_EXAMPLES = sorted(
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in PACKAGE.rglob("*.py")
    if ">>>" in path.read_text("utf-8") and "plugin_template" not in path.parts
)
PUBLIC = [name for name in finops_ai.__all__ if name != "__version__"]


@pytest.mark.parametrize("module", WITH_EXAMPLES)
def test_examples_print_what_they_say(module, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = doctest.testmod(importlib.import_module(module), optionflags=FLAGS, verbose=False)
    assert not found.failed


def called(name):
    """What a user calls, and its docstring."""
    value = getattr(finops_ai, name)
    function = type(value).__call__ if inspect.ismodule(value) else value
    return function, inspect.getdoc(function) or ""


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_tells_arguments_result_errors_and_an_example(name):
    function, text = called(name)
    if inspect.isclass(function):
        assert ">>>" in text
        return
    given = [p for p in inspect.signature(function).parameters if p != "self"]
    documented = re.findall(r"^    \*{0,2}([\w, ]+): ", text.partition("Args:")[2].partition("\n\n")[0], re.M)
    assert {w.strip() for names in documented for w in names.split(",")} >= set(given)
    for section in ("Returns:", "Raises:", "Example:"):
        assert section in text, f"fa.{name} has no {section}"
    assert ">>>" in text
    assert "+SKIP" not in text


def test_every_public_method_of_what_they_return_has_a_docstring():
    from finops_ai.tables import Facts, Table
    from finops_ai.tables.chargeback import Chargeback
    from finops_ai.workspace import Workspace

    for cls in (Facts, Table, Chargeback, Workspace, finops_ai.PriceBook, finops_ai.Rules):
        for name, value in vars(cls).items():
            if not name.startswith("_") and (callable(value) or isinstance(value, property | classmethod)):
                assert inspect.getdoc(getattr(cls, name)), f"{cls.__name__}.{name}"
