"""The how-to pages followed literally: their files written, their Python and their commands run, without a network."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from finops_ai.cli import main

pytestmark = pytest.mark.slow
PAGES = sorted((Path(__file__).parents[1] / "docs" / "how-to").glob("*.md"))
BLOCK = re.compile(r"^```(\w+)?(?: file=(\S+))?\n(.*?)^```$", re.M | re.S)
#: what a page's commands must have said at its end
SAID = {
    "own-data": "reports/2026-10/index.html",
    "collect": "gemini",
    "shared-key": "growth",
    "close-a-month": "2026-09",
    "scenario": "saving",
    "coding-tools": "all_in",
    "ask-questions": "Cost per request",
    "watch-and-deliver": "statement  proj_growth   folder  outbox   2,372.21  sent   before",
}


def run(line: str) -> None:
    """One command line; a remark `# exits with N` says which exit code is meant."""
    command, _, remark = line.partition("#")
    expected = int(re.search(r"exits with (\d)", remark).group(1)) if "exits with" in remark else 0
    program, *words = shlex.split(command)
    assert program == "finops-ai"
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == expected, command


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_a_page_runs_as_written(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FINOPS_AI_CACHE", str(tmp_path / "cache"))
    names: dict[str, object] = {}
    for kind, file, text in BLOCK.findall(page.read_text("utf-8")):
        if file:
            Path(file).write_text(text, encoding="utf-8")
        elif kind == "python":
            exec(compile(text, page.name, "exec"), names)
        elif kind == "console":
            for line in text.splitlines():
                run(line.removeprefix("$ "))
                if "init" in line:
                    Path("finops.toml").unlink()
    assert SAID[page.stem] in capsys.readouterr().out
