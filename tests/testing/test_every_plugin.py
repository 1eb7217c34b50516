"""Every connector of this repository is held to the kit, and says why where a rule can't hold."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PLUGINS = sorted(p.parent for p in (Path(__file__).parents[2] / "plugins").glob("*/pyproject.toml"))


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda plugin: plugin.name)
def test_a_plugin_runs_the_kit_and_has_a_page(plugin):
    texts = "\n".join(path.read_text("utf-8") for path in (plugin / "tests").glob("*.py"))
    assert re.search(r"^class \w+\(.*ConnectorConformance", texts, re.M), "no test class subclasses the kit"
    assert (plugin / "README.md").exists()
