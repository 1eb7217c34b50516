"""The README's first five minutes run as written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text("utf-8")


@pytest.mark.long
def test_the_first_five_minutes_run():
    blocks = re.findall(r"```python\n(.*?)```", README, re.S)
    assert len(blocks) >= 2
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    assert len(names["cost"]) > 50_000
    quoted = re.search(r"^> (support moved [^\n]+)", README, re.M)
    assert quoted
    assert names["why"].drivers(1)["sentence"].iloc[0].startswith(quoted[1].strip())


def test_every_command_and_page_it_names_exists():
    from finops_ai.cli import COMMANDS

    for name in re.findall(r"`?finops-ai ([a-z][a-z-]*)", README):
        assert name in COMMANDS, name
    for path in re.findall(r"\]\(([\w/.-]+)\)", README) + re.findall(r'src="([^"]+)"', README):
        assert (Path(__file__).parents[1] / path).exists(), path
    for command in ("make report", "make test"):
        assert command in README
