from __future__ import annotations

import json

import pytest

from finops_ai.errors import SettingsError
from finops_ai.reporting import NotebookFailed, check_parameters, notebook_folder, parameters_of, run_notebook

NOTEBOOKS = sorted(notebook_folder().glob("*.ipynb"))


def cell(kind, source, *tags):
    extra = {"outputs": [], "execution_count": None} if kind == "code" else {}
    return {
        "cell_type": kind,
        "id": f"c{abs(hash(source)) % 10**8}",
        "metadata": {"tags": list(tags)},
        "source": source,
        **extra,
    }


@pytest.fixture
def notebook(tmp_path):
    def write(
        *code,
        parameters='month: str = "2026-10"  # month to show\ntop: int = 3  # rows\nshare: float = 0.5  # part\nflag: bool = False  # on or off',
    ):
        path = tmp_path / "question.ipynb"
        cells = [
            cell("markdown", "# A question"),
            cell("code", parameters, "parameters"),
            *(cell("code", c) for c in code),
        ]
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        path.write_text(json.dumps({"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}))
        return path

    return write


def test_parameters_have_type_default_and_help(notebook):
    known = parameters_of(notebook())
    assert (known["top"].kind, known["top"].default, known["top"].help) == ("int", 3, "rows")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"mnth": "2026-10"}, "no parameter 'mnth'. Did you mean 'month'"),
        ({"top": "3"}, "top must be int, got '3'"),
        ({"top": True}, "top must be int, got True"),
        ({"flag": 1}, "flag must be bool, got 1"),
        ({"month": 202610}, "month must be str, got 202610"),
    ],
)
def test_unknown_and_mistyped_parameters_are_refused(notebook, given, said):
    with pytest.raises(SettingsError, match=said):
        check_parameters(notebook(), given)


def test_a_whole_number_is_a_fine_float(notebook):
    assert check_parameters(notebook(), {"share": 1}) == {"share": 1}


@pytest.mark.long
def test_a_page_asks_no_network_and_shows_no_code(notebook, tmp_path):
    page = run_notebook(
        notebook('print("figure", month, top)'), tmp_path / "out" / "page.ipynb", {"top": 7}
    ).read_text()
    assert "figure 2026-10 7" in page
    assert "print(" not in page
    for call in ("http://", "https://", "//cdn", "<link", "@import", "url("):
        assert call not in page, call
    assert '<html lang="en">' in page
    assert "<title>A question</title>" in page


@pytest.mark.long
def test_a_failing_cell_leaves_the_old_page_and_names_the_cause(notebook, tmp_path):
    target = tmp_path / "page.ipynb"
    run_notebook(notebook('print("first")'), target, {})
    with pytest.raises(NotebookFailed, match="ValueError: no such month"):
        run_notebook(notebook('raise ValueError("no such month")'), target, {})
    assert "first" in target.with_suffix(".html").read_text()
    assert (tmp_path / "page.partial.ipynb").exists()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebooks_are_stored_without_outputs_and_run_data(path):
    document = json.loads(path.read_text("utf-8"))
    assert "papermill" not in document["metadata"]
    for c in document["cells"]:
        if c["cell_type"] == "code":
            assert c["outputs"] == []
            assert c["execution_count"] is None
            assert "papermill" not in c["metadata"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_every_parameter_of_a_notebook_has_a_type_and_a_help_text(path):
    known = parameters_of(path)
    assert known
    for parameter in known.values():
        assert parameter.help, parameter.name
        assert parameter.kind in ("str", "int", "float", "bool", "list", "dict"), parameter.name


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebooks_hold_no_logic(path):
    for c in json.loads(path.read_text("utf-8"))["cells"]:
        source = "".join(c["source"])
        if c["cell_type"] == "code":
            assert "def " not in source, "move the function into the library"
            assert len(source.splitlines()) <= 25, source
