"""docs/providers.md followed literally: its files written, its edits made, its commands run."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs" / "providers.md").read_text("utf-8")
BLOCK = re.compile(r"^```(\w+)?(?: file=(\S+))?\n(.*?)^```$", re.M | re.S)


@dataclass
class Reader:
    """Somebody who follows the tutorial in an empty folder."""

    folder: Path
    path: list[str] = field(default_factory=list)
    own_lines: int = 0
    said: dict[str, str] = field(default_factory=dict)
    runs: set[str] = field(default_factory=set)  # commands to run; empty = all

    def follow(self) -> None:
        for kind, file, text in BLOCK.findall(PAGE[PAGE.index("## Write your own") :]):
            if kind == "diff":
                self.edit(self.folder / file, text)
            elif file:
                (self.folder / file).parent.mkdir(parents=True, exist_ok=True)
                (self.folder / file).write_text(text, encoding="utf-8")
                self.own_lines += len(text.splitlines()) if kind == "toml" else 0
            elif kind == "console":
                for line in text.splitlines():
                    command = line.removeprefix("$ ")
                    if not self.runs or command.startswith(tuple(self.runs)):
                        self.run(command)

    def edit(self, file: Path, diff: str) -> None:
        text = file.read_text("utf-8")
        for old, new in re.findall(r"((?:^-.*\n)+)((?:^\+.*\n)+)", diff, re.M):
            before, after = ("".join(f"{line[1:]}\n" for line in part.splitlines()) for part in (old, new))
            assert text.count(before) == 1, f"{file} holds this {text.count(before)} times, not once:\n{before}"
            text = text.replace(before, after)
            self.own_lines += len(new.splitlines())
        file.write_text(text, encoding="utf-8")

    def run(self, command: str) -> None:
        words = shlex.split(command)
        if words[0] == "cd":
            self.folder /= words[1]
        elif words[:3] == ["pip", "install", "-e"]:
            self.install()
        else:
            programs = {"pytest": ["pytest", "-q", "-p", "no:cacheprovider"], "finops-ai": ["finops_ai.cli"]}
            full = [sys.executable, "-m", *programs[words[0]], *words[1:]]
            environment = os.environ | {
                "PYTHONPATH": os.pathsep.join(self.path), "FINOPS_AI_PROGRESS": "off",
                "PYTHONWARNINGS": "ignore", "FINOPS_AI_CACHE": str(self.folder / "cache"),
            }  # fmt: skip
            done = subprocess.run(full, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"$ {command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
            self.said[command] = done.stdout

    def install(self) -> None:
        """What `pip install -e` does, without the network: the package on the path, its entry points beside it."""
        project = tomllib.loads((self.folder / "pyproject.toml").read_text("utf-8"))["project"]
        info = self.folder / "src" / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n", encoding="utf-8"
        )
        points = [f"{name} = {target}" for name, target in project["entry-points"]["finops_ai"].items()]
        (info / "entry_points.txt").write_text("\n".join(["[finops_ai]", *points, ""]), encoding="utf-8")
        self.path.append(str(self.folder / "src"))


@pytest.mark.slow
def test_the_tutorial_works_as_written(tmp_path):
    reader = Reader(tmp_path)
    reader.follow()
    assert "acme " in reader.said["finops-ai providers"]
    shown = reader.said["finops-ai showback --month 2026-10 --by team"]
    # search: 2M fresh at 2, 1M cached at 0.2, 0.5M out at 8 = 4 + 0.2 + 4; ads: 0.5M at 2 and 0.1M at 8 = 1 + 0.8
    assert re.search(r"^search\b.*\b8\.20\b", shown, re.M), shown
    assert re.search(r"^ads\b.*\b1\.80\b", shown, re.M), shown
    assert (reader.folder / "reports" / "2026-10" / "index.html").exists()


def test_its_files_and_edits_fit_and_take_under_30_lines_of_ones_own(tmp_path):
    reader = Reader(tmp_path, runs={"finops-ai new-plugin", "cd"})
    reader.follow()
    assert reader.own_lines < 30
    compile((reader.folder / "src" / "finops_ai_acme" / "__init__.py").read_text("utf-8"), "acme", "exec")


def test_the_mapping_file_of_the_page_is_one(tmp_path):
    from finops_ai.providers.mapping import load_mapping

    text = next(text for kind, _, text in BLOCK.findall(PAGE) if kind == "toml" and "[[usage]]" in text)
    (tmp_path / "requests.toml").write_text(text, encoding="utf-8")
    assert load_mapping(tmp_path / "requests.toml").time.unit == "ms"


def test_every_connector_of_the_page_is_installed_and_every_one_installed_is_on_it():
    from finops_ai.providers import registry

    named = set(re.findall(r"^\| `([a-z-]+)` \|", PAGE, re.M))
    assert named | {"template"} >= set(registry().connectors) | set(registry().broken)
