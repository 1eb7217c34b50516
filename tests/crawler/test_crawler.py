"""Every number of every page, file and table of many reports: one value each, footing, ratios that can be redone, no 0 for unknown."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from finops_ai.cli import group as cli
from finops_ai.money import minor_units
from finops_ai.reporting.site import make_report
from finops_ai.sample.workspace import sample_workspace

from .checking import MONEY, check, columns
from .companies import OTHER, company
from .drawn import check_drawn
from .lasting import LastingKernel, OneKernel
from .reading import read_report, read_text_table
from .stating import check_statements

pytestmark = pytest.mark.soak
ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
COMPANIES = int(os.environ.get("FINOPS_AI_COMPANIES", "20"))
FIRST = int(os.environ.get("FINOPS_AI_FIRST_COMPANY", "0"))
#: own files as people have them: name, content, mapping
OWN = {
    "calls.csv": (
        "when,model,in,out,who\n2026-10-01T08:00:00Z,gpt-4o,1200,300,search\n2026-10-02T09:00:00Z,gpt-4o-mini,90000,12,mobile\n"
        "2026-10-02T10:00:00Z,unknown-model,500,5,\n",
        {"charge_period_start": "when", "model": "model"},
        {"provider": "openai", "billing_account_id": "own", "operation": "chat", "source": "log"},
        {"input": "in", "output": "out"},
    ),
    "one_row.jsonl": (
        '{"t": "2026-10-31T23:59:59Z", "m": "claude-haiku-4-5", "i": 1, "o": 1}\n',
        {"charge_period_start": "t", "model": "m"},
        {"provider": "anthropic", "billing_account_id": "own", "operation": "chat", "source": "log"},
        {"input": "i", "output": "o"},
    ),
    "free.jsonl": (
        "".join(f'{{"t": "2026-09-{d:02}T00:00:00Z", "m": "house-model", "i": {d * 1000}, "o": {d}}}\n' for d in range(1, 29)),
        {"charge_period_start": "t", "model": "m"},
        {"provider": "house", "billing_account_id": "own", "operation": "chat", "source": "log"},
        {"input": "i", "output": "o"},
    ),
    "large.csv": (
        "t,m,i,o\n" + "".join(f"2026-{7 + d % 4:02}-{1 + d % 28:02}T0{d % 9}:00:00Z,gpt-4.1,{d * 7919 % 90001},{d * 31 % 4001}\n" for d in range(3000)),
        {"charge_period_start": "t", "model": "m"},
        {"provider": "openai", "billing_account_id": "own", "operation": "chat", "source": "log"},
        {"input": "i", "output": "o"},
    ),
    "cached.csv": (
        "t,m,i,c,o\n" + "".join(f"2026-10-{1 + d % 31:02}T00:00:00Z,gpt-5,{d * 101 + 2000},{d * 97},{d}\n" for d in range(200)),
        {"charge_period_start": "t", "model": "m"},
        {"provider": "openai", "billing_account_id": "own", "operation": "chat", "source": "log"},
        {"input": "i", "cache_read": "c", "output": "o"},
    ),
}  # fmt: skip
TRACES = {
    "azure_llm_2023_requests.parquet": "azure_llm_2023.toml",
    "dotnet_skills_agent_runs.parquet": "dotnet_skills.toml",
    "mooncake_requests.parquet": "mooncake.toml",
    "servegen_hourly.parquet": "servegen_hourly.toml",
}


def faults(documents):
    documents = list(documents)
    return sorted({str(fault) for fault in (*check(documents), *check_statements(documents), *check_drawn(documents))})


def command(*words, cwd=None, env=None):
    done = subprocess.run(
        [sys.executable, "-m", "finops_ai.cli", *words], capture_output=True, text=True, cwd=cwd, env=env, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def one_kernel():
    with LastingKernel() as kernel:
        yield OneKernel(kernel)


def report_of(data, mapping, out, monkeypatch, one_kernel):
    """`finops-ai report --input`, whose pages are made in a kernel that goes on."""
    monkeypatch.setattr("finops_ai.reporting.site.Renderer", one_kernel)
    done = CliRunner().invoke(cli, ["report", "--input", str(data), "--mapping", str(mapping), "--out", str(out)])
    assert done.exit_code == 0, done.output[-2000:]


def test_the_sample_company(tmp_path):
    ws, month = sample_workspace(), "2026-10"
    config = str(ws.settings.root / "finops.toml")
    made = make_report(ws, month, tmp_path, config=config)
    assert [p.error for p in made.failed] == []
    documents = read_report(made.folder)
    assert sum(len(d.sheets) for d in documents) > 60
    for by in ("team", "model", "provider"):  # what the command line prints is part of the same month
        text = command("showback", "-c", config, "--month", month, "--by", by, "--format", "csv")
        documents.append(read_text_table(text, f"finops-ai showback --by {by}", month))
    assert faults(documents) == []


@pytest.mark.parametrize("trace", TRACES)
def test_a_real_trace(trace, tmp_path, monkeypatch, one_kernel):
    if not (DATA / trace).exists():
        pytest.skip(f"needs {trace} of ../shared/data, which isn't here")
    monkeypatch.setenv("FINOPS_AI_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "out"
    frame = pd.read_parquet(DATA / trace)
    means = frame.select_dtypes("float32").columns.intersection(["requests", "input_tokens", "output_tokens"])
    frame[means] = frame[means].round().astype("int64")  # an hour's total there is a mean times its calls
    frame.to_parquet(tmp_path / trace)
    mapping = ROOT / "examples" / TRACES[trace]
    report_of(tmp_path / trace, mapping, out, monkeypatch, one_kernel)
    (report,) = out.iterdir()
    assert faults(read_report(report)) == []


@pytest.mark.parametrize("name", OWN)
def test_somebody_s_own_file(name, tmp_path, monkeypatch, one_kernel):
    monkeypatch.setenv("FINOPS_AI_CACHE", str(tmp_path / "cache"))
    content, columns, constants, used = OWN[name]
    (tmp_path / name).write_text(content, encoding="utf-8")
    lines = [
        "[columns]",
        *(f'{k} = "{v}"' for k, v in columns.items()),
        "[constants]",
        *(f'{k} = "{v}"' for k, v in constants.items()),
    ]
    meters = ", ".join(f'{k} = "{v}"' for k, v in used.items())
    lines += ["[time]", 'lasts = "1s"', "[[usage]]", f"meters = {{ {meters} }}"]
    if "cache_read" in used:
        lines.append('inside = { cache_read = "input" }')
    (tmp_path / "mapping.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    report_of(tmp_path / name, tmp_path / "mapping.toml", tmp_path / "out", monkeypatch, one_kernel)
    (report,) = (tmp_path / "out").iterdir()
    assert faults(read_report(report)) == []


@pytest.mark.parametrize("seed", range(FIRST, FIRST + COMPANIES))
def test_a_company_made_up(seed, tmp_path, monkeypatch, one_kernel):
    monkeypatch.setattr("finops_ai.reporting.site.Renderer", one_kernel)
    ws, month = company(tmp_path, seed)
    made = make_report(ws, month, tmp_path / "out", config=str(tmp_path / "finops.toml"))
    assert [p.error for p in made.failed] == []
    assert faults(read_report(made.folder)) == []


@pytest.mark.parametrize("currency", OTHER)
def test_a_company_in_a_currency_whose_minor_units_are_not_two(currency, tmp_path, monkeypatch, one_kernel):
    monkeypatch.setattr("finops_ai.reporting.site.Renderer", one_kernel)
    ws, month = company(tmp_path, 5, terms=["volume", "capacity"], currency=currency)
    made = make_report(ws, month, tmp_path / "out", config=str(tmp_path / "finops.toml"))
    assert [p.error for p in made.failed] == []
    documents, digits = read_report(made.folder), Decimal(1).scaleb(-minor_units(currency))
    assert faults(documents) == []
    shown = [
        cell.digit
        for document in documents
        if not document.place.endswith(".xlsx")  # whose cells are numbers, without the zeros that their format adds
        for sheet in document.sheets
        for name, (at, _) in columns(sheet).items()
        if name in MONEY
        for row in (*sheet.rows, *([sheet.total] if sheet.total else []))
        for cell in row[at : at + 1]
        if cell.value is not None
    ]
    assert len(shown) > 300
    assert set(shown) == {digits}
    told = {
        text for d in documents for text in re.findall(r"Amounts in ([A-Z]{3})", " ".join(s.caption for s in d.sheets))
    }
    assert told == {currency}
