"""What a contributor relies on: forge checks run make targets that exist, every dependency has its reason."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))


def jobs(path):
    return yaml.safe_load(path.read_text("utf-8"))["jobs"]


def runs(path):
    return [step["run"] for job in jobs(path).values() for step in job["steps"] if "run" in step]


def test_the_forge_runs_make_targets_that_exist():
    commands = [line for path in WORKFLOWS for run in runs(path) for line in run.split("&&")]
    wanted = {word for c in commands if c.split()[0] == "make" for word in c.split()[1:] if "=" not in word}
    assert {"lint", "test", "coverage", "test-lowest", "wheels", "site"} <= wanted <= TARGETS
    others = [c.strip() for c in commands if c.split()[0] != "make"]
    assert [c for c in others if c != ".ci/run" and "scripts/version.py --check" not in c] == []


def test_every_python_and_system_is_in_the_matrix():
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["classifiers"]
    said = {c.rsplit(" ", 1)[1] for c in classifiers if re.search(r":: 3\.\d+$", c)}
    matrix = jobs(ROOT / ".github/workflows/checks.yml")["test"]["strategy"]["matrix"]
    assert set(matrix["python"]) == said
    assert {name.split("-")[0] for name in matrix["os"]} == {"ubuntu", "macos", "windows"}


def test_a_release_is_trusted_and_leaves_the_template_out():
    text = (ROOT / ".github/workflows/release.yml").read_text("utf-8")
    publish = jobs(ROOT / ".github/workflows/release.yml")["publish"]
    assert publish["permissions"] == {"id-token": "write"}
    assert "password" not in text
    assert "secrets." not in text
    assert "PLUGINS := $(filter-out plugins/template" in (ROOT / "Makefile").read_text("utf-8")


@pytest.mark.parametrize("path", sorted((ROOT / ".github").rglob("*.yml")), ids=lambda p: p.name)
def test_forge_files_are_read(path):
    assert yaml.safe_load(path.read_text("utf-8"))


def declared():
    out = set()
    for path in [ROOT / "pyproject.toml", *ROOT.glob("plugins/*/pyproject.toml")]:
        data = tomllib.loads(path.read_text("utf-8"))
        lists = [data["project"].get("dependencies", [])]
        lists += [
            *data["project"].get("optional-dependencies", {}).values(),
            *data.get("dependency-groups", {}).values(),
        ]
        out |= {re.match(r"[A-Za-z0-9._-]+", entry)[0] for entries in lists for entry in entries}
    return {name for name in out if not name.startswith("finops-ai")}


def test_every_dependency_has_one_reason_and_every_reason_a_dependency():
    table = (ROOT / "docs" / "dependencies.md").read_text("utf-8")
    named = re.findall(r"^\| ([a-z0-9._-]+) \| [^|]+ \| [^|]{5,} \|$", table, re.M)
    assert sorted(named) == sorted({*named})
    assert set(named) - {"package"} == declared()
