"""One kernel for many notebooks: each begins with nothing, and a kernel that dies takes only its own notebook along."""

from __future__ import annotations

import json

import pytest

from finops_ai.reporting import NotebookFailed, run_notebook
from finops_ai.reporting.notebooks import Kernel


def write(path, *sources):
    def cell(number, source, tags):
        kept = {"cell_type": "code", "outputs": [], "execution_count": None}
        return kept | {"id": f"c{number}", "metadata": {"tags": tags}, "source": source}

    cells = [
        cell(i, source, [] if i else ["parameters"])
        for i, source in enumerate(('month: str = "2026-10"  # month to show', *sources))
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    path.write_text(json.dumps({"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}))
    return path


@pytest.mark.long
def test_notebooks_of_one_kernel_begin_empty_and_survive_each_other(tmp_path, capfd):
    first = write(tmp_path / "first.ipynb", "left = 1\nimport os\nprint('process', os.getpid())")
    second = write(tmp_path / "second.ipynb", "import os\nprint('process', os.getpid(), 'left' in globals(), month)")
    dies = write(tmp_path / "dies.ipynb", "import os\nos._exit(3)")

    def said(path):
        return next(line.split() for line in path.read_text("utf-8").splitlines() if "process" in line)

    with Kernel() as kernel:
        one = said(run_notebook(first, tmp_path / "out" / "first.ipynb", {}, kernel=kernel))
        two = said(run_notebook(second, tmp_path / "out" / "second.ipynb", {"month": "2026-09"}, kernel=kernel))
        assert one[-1] == two[-3]  # one process
        assert two[-2:] == ["False", "2026-09"]
        with pytest.raises(NotebookFailed, match=r"dies\.ipynb stopped: DeadKernelError"):
            run_notebook(dies, tmp_path / "out" / "dies.ipynb", {}, kernel=kernel)
        three = said(run_notebook(second, tmp_path / "out" / "third.ipynb", {}, kernel=kernel, title="A <b>title"))
        assert three[-3] != two[-3]
    assert "<title>A &lt;b&gt;title</title>" in (tmp_path / "out" / "third.html").read_text("utf-8")
    assert not (tmp_path / "out" / "dies.html").exists()
    assert capfd.readouterr().err == ""  # nothing is left open


@pytest.mark.long
def test_every_chart_of_a_kernel_draws(tmp_path):
    table = "\n".join(
        [
            "import pandas as pd",
            "from decimal import Decimal",
            "from finops_ai.tables.result import Facts, Table",
            "costs = pd.DataFrame({'team': ['a', 'b'], 'cost': [Decimal(1), Decimal(2)]})",
            "table = Table.of(costs, Facts('Cost', 'USD', money=['cost']))",
        ]
    )
    into = "import matplotlib.pyplot as plt\ntable.plot(ax=plt.subplots()[1]);"
    notebook = write(tmp_path / "charts.ipynb", table, "table.plot();", "table.plot()", "kept = table.plot()", into)
    with Kernel() as kernel:
        for name in ("one", "two"):  # the second notebook of a kernel as well
            run_notebook(notebook, tmp_path / f"{name}.ipynb", {}, kernel=kernel)
            cells = json.loads((tmp_path / f"{name}.ipynb").read_text("utf-8"))["cells"][-4:]
            drawn = [sum("image/png" in out.get("data", {}) for out in cell["outputs"]) for cell in cells]
            assert drawn == [1, 1, 1, 1]
