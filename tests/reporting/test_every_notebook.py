"""Every notebook there is runs on the sample company and on a real trace, and states the API's figures."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

import finops_ai as fa
from finops_ai.reporting import NotebookFailed, notebook_folder, parameters_of, run_notebook
from finops_ai.sample import people_workspace
from finops_ai.sample.workspace import sample_workspace

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
TRACE = ROOT.parent / "shared" / "data" / "dotnet_skills_agent_runs.parquet"
NOTEBOOKS = sorted(notebook_folder().glob("*.ipynb"))
#: notebooks that state the month's whole cost
TOTAL = {"showback", "executive_summary", "allocation_quality", "provider_coverage"}


def run(notebook, ws, month, tmp_path):
    known = parameters_of(notebook)
    given = {"config": str(ws.settings.root / "finops.toml"), "month": month}
    return run_notebook(notebook, tmp_path / notebook.name, {k: v for k, v in given.items() if k in known}).read_text(
        "utf-8"
    )


def stated(ws, month):
    return f"{sum(fa.showback(ws.allocated(month))['cost'].dropna(), Decimal(0)):,.2f} USD"


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda p: p.stem)
def test_on_the_sample_company(notebook, tmp_path):
    ws = people_workspace() if notebook.stem == "people" else sample_workspace()
    page = run(notebook, ws, "2026-10", tmp_path)
    assert "Traceback" not in page
    if notebook.stem in TOTAL:
        assert stated(ws, "2026-10") in page


@pytest.mark.skipif(not TRACE.exists(), reason="needs the real trace in ../shared/data, which isn't here")
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda p: p.stem)
def test_on_a_real_trace(notebook, tmp_path, monkeypatch):
    from finops_ai.cli.own_data import input_workspace

    monkeypatch.setenv("FINOPS_AI_CACHE", str(tmp_path / "cache"))
    ws = input_workspace(str(TRACE), str(ROOT / "examples" / "dotnet_skills.toml"), None, None)
    month = ws.months()[-1]
    if json.loads(notebook.read_text("utf-8"))["metadata"]["finops_ai"].get("needs") == "dimensions":
        return  # the trace comes without rules; test_site.py says what the report does then
    try:
        page = run(notebook, ws, month, tmp_path)
    except NotebookFailed as stopped:
        if not stopped.lacks_data:
            raise
        return  # too short a history for a plan, say: the overview tells it
    assert "Traceback" not in page
    if notebook.stem in TOTAL - {"allocation_quality", "provider_coverage"}:
        assert stated(ws, month) in page


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda p: p.stem)
def test_stored_without_outputs_or_traces_of_a_run(notebook):
    document = json.loads(notebook.read_text("utf-8"))
    assert all(not c.get("outputs") and c.get("execution_count") is None for c in document["cells"])
    assert "papermill" not in document["metadata"]
