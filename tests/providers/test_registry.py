"""A plugin that fails is left out with its reason, and costs nobody else anything."""

from __future__ import annotations

import json
import logging
import sys

import pytest
from click.testing import CliRunner

import finops_ai as fa
from finops_ai.errors import PluginError, ProviderNotFound
from finops_ai.providers.registry import load_registry, registry

GOOD = """
from finops_ai.frames import conform
from finops_ai.providers import Connector, hookimpl

class Acme(Connector):
    name = {name!r}
    title = "Acme"
    def usage(self, window):
        return conform({{}}, source="acme")

@hookimpl
def finops_ai_connectors():
    return [Acme]
"""
#: plugin -> (source, what the reason must say)
BROKEN = {
    "aa-imports": ("raise ImportError('no module named acme_sdk')", "ImportError: no module named acme_sdk"),
    "aa-raises": (
        "from finops_ai.providers import hookimpl\n@hookimpl\ndef finops_ai_connectors():\n    raise KeyError('key')",
        "KeyError: 'key'",
    ),
    "aa-misspelt": (
        "from finops_ai.providers import hookimpl\n@hookimpl\ndef finops_ai_connector():\n    return []",
        "there is no hook called 'finops_ai_connector'",
    ),
    "zz-steals": (GOOD.format(name="openai"), "the name 'openai' is already taken by finops-ai-openai"),
    "aa-hookless": ("x = 1", "it has no function 'finops_ai_connectors'"),
    "aa-notclass": (
        "from finops_ai.providers import hookimpl\n@hookimpl\ndef finops_ai_connectors():\n    return ['openai']",
        "must return Connector classes, got 'openai'",
    ),
    "aa-uppercase": (GOOD.format(name="Acme Labs"), "must be lower case without blanks"),
    "aa-oldcontract": (GOOD.format(name="old") + "FINOPS_AI_CONTRACT = '9.0'", "it is written for contract 9.0"),
}


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Plant an installed plugin: a module, and a dist-info folder that names it."""

    def plant(name, source):
        module = "planted_" + name.replace("-", "_")
        (tmp_path / f"{module}.py").write_text(source, encoding="utf-8")
        info = tmp_path / f"{module}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n", encoding="utf-8")
        (info / "entry_points.txt").write_text(f"[finops_ai]\n{name} = {module}\n", encoding="utf-8")

    monkeypatch.syspath_prepend(str(tmp_path))
    registry.cache_clear()
    yield plant
    registry.cache_clear()
    for name in [n for n in sys.modules if n.startswith("planted_")]:
        del sys.modules[name]


def test_every_way_of_failing_is_one_line_and_costs_nobody_anything(plugin, caplog):
    before = set(load_registry().connectors)
    assert {"openai", "focus"} <= before
    for name, (source, _) in BROKEN.items():
        plugin(name, source)
    plugin("ab-works", GOOD.format(name="works"))
    caplog.set_level(logging.WARNING)
    found = load_registry()
    assert set(found.connectors) == before | {"works"}
    assert found.origins["works"] == "ab-works 1"
    for name, (_, said) in BROKEN.items():
        line = next(record.getMessage() for record in caplog.records if repr(name) in record.getMessage())
        assert said in line
        assert "\n" not in line


def test_the_command_lists_what_was_left_out(plugin):
    from finops_ai.cli import group

    for name, (source, _) in BROKEN.items():
        plugin(name, source)
    done = CliRunner().invoke(group, ["providers"])
    assert done.exit_code == 0
    for name, (_, said) in BROKEN.items():
        line = next(line for line in done.output.splitlines() if line.startswith(name))
        assert f"left out: {said}" in line or said in line
    report = json.loads(CliRunner().invoke(group, ["providers", "--format", "json"]).output)
    assert {row["name"] for row in report["left_out"]} >= set(BROKEN)
    assert "openai" in {row["name"] for row in report["providers"]}
    # the command's silence about what it lists itself ends with it
    assert logging.getLogger("finops_ai.providers").getEffectiveLevel() <= logging.WARNING


def test_asking_for_a_broken_plugin_gives_its_reason(plugin):
    plugin("broken", BROKEN["aa-imports"][0])
    with pytest.raises(ProviderNotFound, match="installed but was left out: no module named acme_sdk"):
        fa.collect("broken", "2026-10-01", "2026-10-02")


def test_authors_see_what_their_plugin_raises(plugin):
    plugin("aa-raises", BROKEN["aa-raises"][0])
    with pytest.raises(KeyError):
        load_registry(strict=True)


def test_a_stolen_name_stays_with_its_owner(plugin):
    plugin("zz-steals", BROKEN["zz-steals"][0])
    assert load_registry().connectors["openai"].__module__.startswith("finops_ai_openai")
    with pytest.raises(PluginError, match="already taken"):
        load_registry(strict=True)


def test_a_misspelt_provider_suggests_the_nearest():
    with pytest.raises(ProviderNotFound, match="Did you mean 'openai'"):
        fa.read("x.json", format="opnai")
