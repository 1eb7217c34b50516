"""What the documentation says exists: pages are current, links lead somewhere, commands have these options, code runs."""

from __future__ import annotations

import datetime as dt
import inspect
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

import finops_ai as fa
from finops_ai.cli import COMMANDS, group

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted(ROOT.glob("plugins/*/README.md")),
]
BLOCK = re.compile(r"^```(\w+)?[^\n]*\n(.*?)^```$", re.M | re.S)


def name_of(page):
    return str(page.relative_to(ROOT))


def blocks(page, *languages):
    return [text for language, text in BLOCK.findall(page.read_text("utf-8")) if language in languages]


@pytest.mark.long
def test_generated_pages_are_current():
    # in a process of its own: click keeps what a command called on its own, outside the group, answers to
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "reference.py", "--check"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, ""), f"run `make docs`: {done.stdout}{done.stderr}"


def anchors(page):
    heads = re.findall(r"^#+ (.+)$", BLOCK.sub("", page.read_text("utf-8")), re.M)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in heads}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", BLOCK.sub("", page.read_text("utf-8"))):
        if re.match(r"https?:|mailto:", target):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), target
        if anchor:
            assert anchor in anchors(found), target


def command_lines():
    """Every command line of the pages and of the help texts, with where it stands."""
    for page in PAGES:
        text = page.read_text("utf-8")
        for line in re.findall(r"^\$? ?(finops-ai [^\n]*)", "\n".join(blocks(page, "bash", "console", "")), re.M):
            yield name_of(page), line
        for line in re.findall(r"`(finops-ai [a-z][^`\n]*)`", BLOCK.sub("", text)):
            yield name_of(page), line
    for name, command in commands():
        for line in re.findall(r"^\s*(finops-ai [^\n]*)", command.help or "", re.M):
            yield f"{name} --help", line


def commands():
    """Every command and subcommand by its words."""
    for name in COMMANDS:
        command = group.get_command(click.Context(group), name)
        yield name, command
        for inner, sub in getattr(command, "commands", {}).items():
            yield f"{name} {inner}", sub


LINES = sorted(set(command_lines()))


@pytest.mark.parametrize(("where", "line"), LINES, ids=[f"{w}: {x[:40]}" for w, x in LINES])
def test_a_command_line_uses_what_the_command_has(where, line):
    line = re.split(r"\s#|\s{2,}[^-\s]|[|>;]|\$\{", line)[0].replace("\\", "")
    _, name, *words = shlex.split(line)
    if not re.fullmatch(r"[a-z-]+", name):
        return  # finops-ai COMMAND
    assert name in COMMANDS
    command = group.get_command(click.Context(group), name)
    if isinstance(command, click.Group) and words and re.fullmatch(r"[a-z][a-z-]*", words[0]):
        command, words = command.commands[words[0]], words[1:]
    known = {o for p in command.params for o in (*p.opts, *p.secondary_opts)} | {"--help"}
    given = words[: words.index("--")] if "--" in words else words
    assert {w.partition("=")[0] for w in given if re.match(r"--?[a-z]", w)} <= known


@pytest.mark.parametrize(("name", "command"), list(commands()), ids=[n for n, _ in commands()])
def test_every_help_text_shows_an_example(name, command):
    assert f"\n    finops-ai {name.split()[0]}" in "\n" + re.sub(r"^\s*", "    ", command.help or "", flags=re.M)


def test_what_a_schedule_installs_can_make_a_report():
    text = (ROOT / "docs" / "scheduling.md").read_text("utf-8")
    installed = re.findall(r'pip install "finops-ai-core\[([a-z,-]+)\]"', text)
    assert installed
    assert all("report" in extras.split(",") for extras in installed)


def test_the_checks_see_what_is_wrong(tmp_path):
    (tmp_path / "page.md").write_text("# Here\n[there](nowhere.md) \n")
    with pytest.raises(AssertionError, match=r"nowhere.md"):
        test_links_lead_somewhere(tmp_path / "page.md")
    (tmp_path / "page.md").write_text("# Here\n[there](#elsewhere)\n")
    with pytest.raises(AssertionError, match="elsewhere"):
        test_links_lead_somewhere(tmp_path / "page.md")
    for wrong in (
        "finops-ai repot",
        "finops-ai report --moth 2026-10",
        "finops-ai prices show openai gpt-5.4 --on today",
    ):
        with pytest.raises(AssertionError):
            test_a_command_line_uses_what_the_command_has("page", wrong)


#: pages whose Python is checked elsewhere: schedules, and how-tos followed literally; the reference holds doctests
ELSEWHERE = ("docs/scheduling.md", "docs/how-to", "docs/reference", "README.md", "docs/decisions")
WITH_CODE = [p for p in PAGES if blocks(p, "python") and not name_of(p).startswith(ELSEWHERE)]


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_CODE, ids=name_of)
def test_python_on_a_page_runs(page, tmp_path, monkeypatch):
    """Names that a page takes for granted are made here; what asks a live source is only checked to fit its signature."""
    import numpy as np
    import pandas as pd
    import pyarrow.parquet as pq

    from finops_ai.frames import to_arrow

    monkeypatch.chdir(tmp_path)
    fa.sample.write_native("exports", months=1)
    for place, files in (("saved/azure", "azure-openai"), ("reports", "oci")):
        Path(place).parent.mkdir(exist_ok=True)
        Path(place).symlink_to((tmp_path / "exports" / files).resolve())
    Path("lake").mkdir()
    tokens = fa.sample(months=3)
    pq.write_table(to_arrow(tokens), "lake/part.parquet")
    Path("finops.toml").write_text('[dimensions.team]\ndefault = "nobody"\n[dimensions.model_group]\ndefault = "any"\n')
    days = pd.date_range(dt.datetime(2026, 1, 1), periods=24 * 30, freq="h")
    series = pd.DataFrame({"unique_id": "a", "ds": days, "y": 100 + 10.0 * np.arange(len(days)) % 24})
    called = inspect.signature(fa.collect)
    monkeypatch.setattr(fa, "collect", lambda *a, **k: called.bind(*a, **k) and tokens, raising=False)
    read = fa.read
    monkeypatch.setattr(
        fa, "read", lambda path, **k: tokens if "reports" in str(path) else read(path, **k), raising=False
    )
    names = {"tokens": tokens, "series": series, "other": fa.PriceBook.default(), "gateway_rows": fa.sample.telemetry()}
    for text in blocks(page, "python"):
        exec(compile(text, name_of(page), "exec"), names)
