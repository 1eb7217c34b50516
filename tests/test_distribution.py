"""What people install: the wheels work in a clean environment, with the notebooks and data files inside."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]


def run(*command, **kwargs):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False, **kwargs)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    assert uv, "uv is part of the virtual environment that `make setup` makes"
    folder = tmp_path_factory.mktemp("dist")
    source = tmp_path_factory.mktemp("source") / "project"
    tracked = run("git", "ls-files", "-z", cwd=ROOT).split("\0")
    for name in filter(None, tracked):
        target = source / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, target)
    for project in [source, *(p.parent for p in sorted(source.glob("plugins/*/pyproject.toml")))]:
        run(uv, "build", "--wheel", "-q", "-o", folder, project)
    return uv, folder


def test_the_core_wheel_holds_notebooks_data_and_nothing_else_of_the_checkout(wheels):
    _, folder = wheels
    names = zipfile.ZipFile(next(folder.glob("finops_ai_core-*.whl"))).namelist()
    for needed in (
        "finops_ai/meters/meters.toml",
        "finops_ai/sample/company.toml",
        "finops_ai/reporting/template/finops/page.css",
    ):
        assert needed in names
    tracked = {f"finops_ai/notebooks/{p.name}" for p in (ROOT / "notebooks").glob("*.ipynb")}
    assert tracked <= set(names)
    assert {
        "finops_ai/py.typed",
        "finops_ai/__init__.pyi",
        "finops_ai/plugin_template/src/finops_ai_template/py.typed",
    } <= set(names)
    assert not [n for n in names if n.split("/")[0] not in ("finops_ai",) and ".dist-info" not in n]
    assert next(folder.glob("finops_ai_core-*.whl")).stat().st_size < 2_000_000


def test_the_sample_report_from_wheels_in_a_clean_environment(wheels, tmp_path):
    uv, folder = wheels
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv")
    python = tmp_path / "venv" / "bin" / "python"
    install = [uv, "pip", "install", "-q", "--python", python, "-c", ROOT / "constraints.txt"]
    run(*install, *folder.glob("*.whl"))
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "FINOPS_AI_CACHE": str(tmp_path / "cache")}
    environment |= {k: v for k, v in os.environ.items() if k.startswith(("SSL_", "UV_", "PIP_"))}
    command = tmp_path / "venv" / "bin" / "finops-ai"
    assert "left out" not in run(command, "providers", env=environment, cwd=tmp_path)
    words = [command, "report", "--sample", "--only", "showback"]
    lacking = subprocess.run(words, capture_output=True, text=True, check=False, env=environment, cwd=tmp_path)
    assert lacking.returncode == 2
    assert "pip install 'finops-ai-core[report]'" in lacking.stderr
    (core,) = folder.glob("finops_ai_core-*.whl")
    run(*install, f"finops-ai-core[report] @ {core.as_uri()}")
    out = run(*words, env=environment, cwd=tmp_path)
    assert out.strip() == "reports/2026-10/index.html"
    assert (tmp_path / "reports" / "2026-10" / "showback.html").stat().st_size > 10_000
    # a user's typed script prices the sample and shows who spent it; a new plugin passes its own tests
    typed = run(python, ROOT / "tests" / "typing" / "typed_use.py", env=environment, cwd=tmp_path)
    assert sum(float(line.split()[-1].replace(",", "")) for line in typed.splitlines()) > 10_000
    run(command, "new-plugin", "acme", env=environment, cwd=tmp_path)
    run(*install, f"finops-ai-core[testing] @ {core.as_uri()}", tmp_path / "finops-ai-acme")
    tried = run(
        python, "-m", "pytest", "-q", "-p", "no:cacheprovider", env=environment, cwd=tmp_path / "finops-ai-acme"
    )
    assert " passed" in tried
