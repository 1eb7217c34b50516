"""README's commands run as pasted, in order, in an empty folder; their figures are the report's."""

from __future__ import annotations

import csv
import html
import io
import re
import shlex
from decimal import Decimal as D
from pathlib import Path

import pytest

from finops_ai.cli import main

pytestmark = pytest.mark.slow
README = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
LOG = """time,model,user,team,prompt_tokens,cached_tokens,completion_tokens
2026-10-05T09:00:00Z,gpt-4o-mini,ann,search,1200,800,90
2026-10-06T10:00:00Z,gpt-4o,cy,support,3000,2048,400
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """An empty folder with a home and a cache of its own."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "home").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("HOME", str(folder / "home"))
        patch.setenv("FINOPS_AI_CACHE", str(folder / "cache"))
        yield folder


def run(line: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    program, *words = shlex.split(line, comments=True)
    assert program == "finops-ai"
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        main(words)
    out, err = capsys.readouterr()
    return int(stopped.value.code or 0), out, err


def in_block(*starts: str) -> list[str]:
    """The command lines of README's bash blocks, and of its table, that begin so, in order."""
    blocks = "\n".join(re.findall(r"^```bash\n(.*?)^```", README, re.M | re.S))
    lines = re.findall(r"^finops-ai [^\n]*", blocks, re.M)
    tables = [
        line for row in re.findall(r"^\| [^\n]*", README, re.M) for line in re.findall(r"`(finops-ai [^`]+)`", row)
    ]
    return [line for line in (*tables, *lines) if line.startswith(starts)] if starts else [*tables, *lines]


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def total(rows: list[dict[str, str]], column: str) -> D:
    return sum((D(row[column]) for row in rows), D(0))


def words_of(page: Path) -> str:
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", page.read_text("utf-8"))))


def test_the_workspace_and_every_question_of_the_table(home, capsys):
    assert "`finops-ai init --sample`" in README
    assert run("finops-ai init --sample", capsys)[0] == 0
    asked = [
        line for line in in_block() if line.split()[1] not in ("init", "collect", "report") and "new-plugin" not in line
    ]
    assert len(asked) >= 9
    said = {}
    for line in asked:
        code, out, err = run(line, capsys)
        assert code == 0, f"{line}: {err}"
        assert out.strip(), line
        said[line] = out
    quoted = re.search(r"^> (support moved [^\n]+)", README, re.M)
    assert quoted
    for line in in_block("finops-ai collect --month"):
        assert run(line, capsys)[0] == 0
    for line in in_block("finops-ai report --month"):
        code, out, _ = run(line, capsys)
        assert (code, out.strip()) == (0, "reports/2026-10/index.html")

    # the same figures on the command line and in the report, to the cent
    folder = home / "reports" / "2026-10"
    spent = table(run("finops-ai showback --by team,model --month 2026-10 --format csv", capsys)[1])
    reported = table((folder / "tables" / "showback.csv").read_text("utf-8"))
    assert total(spent, "cost") == total(reported, "cost")
    charged = table(run("finops-ai chargeback --month 2026-10 --format csv", capsys)[1])
    billed = table(run("finops-ai reconcile --month 2026-10 --format csv", capsys)[1])
    assert total(billed, "computed") == total(spent, "cost")
    assert f"{total(spent, 'cost'):,.2f}" in words_of(folder / "showback.html")
    assert f"{total(charged, 'due'):,.2f}" in words_of(folder / "chargeback.html")
    for row in charged:
        page = words_of(folder / f"chargeback_statement-{row['receiver']}.html")
        assert f"{D(row['due']):,.2f}" in page, row["receiver"]


def test_a_log_of_ones_own(home, capsys):
    import duckdb

    (home / "log.csv").write_text(LOG)
    duckdb.sql(f"COPY (SELECT * FROM '{home / 'log.csv'}') TO '{home / 'log.parquet'}' (FORMAT parquet)")
    first, second = in_block("finops-ai report --input")
    code, _, err = run(first, capsys)
    assert code == 2
    assert "Wrote a first one, log.toml" in err
    code, out, err = run(second + " --only showback", capsys)
    assert (code, out.strip()) == (0, "reports/2026-10/index.html"), err
    assert "2 calls, 4,690 tokens" in err  # 1200 + 90 + 3000 + 400


def test_init_finds_no_credentials_and_says_so(home, capsys, monkeypatch):
    (home / "empty").mkdir()
    monkeypatch.chdir(home / "empty")
    for line in in_block("finops-ai init "):
        code, _, err = run(line, capsys)
        assert code == 0, err
    assert Path("finops.toml").is_file()
