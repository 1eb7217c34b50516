"""A name that goes away works on, warns, and is gone in the version it named; versions come from one place."""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path

import pytest

import finops_ai
from finops_ai.deprecating import GOING, deprecated, renamed

ROOT = Path(__file__).parents[1]


def parts(version):
    return tuple(int(p) for p in version.split(".")[:3])


@pytest.fixture(autouse=True)
def as_before():
    kept = dict(GOING)
    yield
    GOING.clear()
    GOING.update(kept)


def test_a_function_that_goes_away_works_and_warns_where_it_is_called():
    @deprecated("fa.new(x)", "9.0.0")
    def old(x):
        return x + 1

    with pytest.warns(FutureWarning, match=r"old goes away in finops_ai 9\.0\.0; use fa\.new\(x\)\.") as said:
        assert old(1) == 2
    assert said[0].filename == __file__


def test_an_old_parameter_is_taken_with_a_warning_and_never_beside_the_new_one():
    @renamed("9.0.0", tz="timezone")
    def when(timezone="UTC"):
        return timezone

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert when(timezone="Asia/Tokyo") == "Asia/Tokyo"
    with pytest.warns(FutureWarning, match="tz is called timezone"):
        assert when(tz="Asia/Tokyo") == "Asia/Tokyo"
    with pytest.raises(TypeError, match="give one of them"):
        when(tz="a", timezone="b")


def test_nothing_outlives_the_version_that_takes_it_away():
    for name in finops_ai.__all__:
        getattr(finops_ai, name)
    late = {name: gone for name, gone in GOING.items() if parts(finops_ai.__version__) >= parts(gone)}
    assert late == {}


def version_script():
    spec = importlib.util.spec_from_file_location("version", ROOT / "scripts/version.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


def test_core_and_plugins_carry_one_version():
    script = version_script()
    wrong = [p for p, text in script.files(finops_ai.__version__).items() if p.read_text("utf-8") != text]
    assert wrong == [], "run `python scripts/version.py VERSION`"


def test_a_release_changes_every_version_and_what_plugins_ask_for(tmp_path):
    (tmp_path / "finops_ai").mkdir()
    (tmp_path / "plugins" / "x").mkdir(parents=True)
    (tmp_path / "finops_ai" / "__init__.py").write_text('__version__ = "0.1.0"\n')
    (tmp_path / "plugins" / "x" / "pyproject.toml").write_text(
        '[project]\nversion = "0.1.0"\ndependencies = ["finops-ai-core>=0.1,<0.2", "httpx>=0.28"]\n'
    )
    made = {p.name: text for p, text in version_script().files("0.2.0", tmp_path).items()}
    assert made["__init__.py"] == '__version__ = "0.2.0"\n'
    assert made["pyproject.toml"] == (
        '[project]\nversion = "0.2.0"\ndependencies = ["finops-ai-core>=0.2,<0.3", "httpx>=0.28"]\n'
    )
    assert version_script().needed("1.4.2") == ">=1.4,<2"
