"""What `make lint` refuses beyond style and types: each check finds its planted fault and nothing in a clean tree."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

SPEC = importlib.util.spec_from_file_location("checks", Path(__file__).parents[1] / "scripts/checks.py")
checks = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(checks)

CLEAN = {
    "__init__": '"""A package."""\n',
    "a": '"""A."""\n\nfrom typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    from small import b\n\n\n'
    'def one(x: "b.B", *more: int, **rest: str) -> int:\n    """One; it never makes <html>."""\n    return 1\n',
    "b": '"""B."""\n\nfrom small.a import one\n\n\nclass B:\n    """A class."""\n\n    def run(self) -> int:\n'
    '        """Run it."""\n        return one(self)\n\n\nclass C(B):\n    """Runs otherwise."""\n\n    def run(self) -> int:\n        return 2\n',
}


def tree(folder, **changed):
    package = folder / "small"
    package.mkdir()
    for name, text in (CLEAN | changed).items():
        (package / f"{name}.py").write_text(text)
    return package


def test_a_clean_tree_has_no_findings(tmp_path):
    assert checks.findings([tree(tmp_path)]) == []


@pytest.mark.parametrize(
    ("module", "text", "found"),
    [
        ("a", CLEAN["a"] + "\n\nimport small.b\n", "import cycle: small.a > small.b > small.a"),
        ("a", CLEAN["a"].replace("    return 1", "    from .b import B\n\n    return 1"), "import cycle: small.a > small.b > small.a"),
        ("c", '"""C."""\n\n\ndef two(x) -> int:\n    """Two."""\n    return x\n', "small.c:4: two: no type for x"),
        ("c", '"""C."""\n\n\ndef two(x: int, *, y=1):\n    """Two."""\n    return x\n', "small.c:4: two: no type for y, its result"),
        ("b", CLEAN["b"].replace("def run(self) -> int:\n        \"\"\"Run it", "def run(self):\n        \"\"\"Run it"), "small.b:9: B.run: no type for its result"),
        ("c", '"""C."""\n\n\ndef two(x: int) -> int:\n    return x\n', "small.c:4: two: no docstring"),
        ("c", '"""C."""\n\n\nclass D:\n    """D."""\n\n    def two(self) -> int:\n        return 2\n', "small.c:7: D.two: no docstring"),
        ("c", '"""C."""\n\n\nclass D:\n    x = 1\n', "small.c:4: D: no docstring"),
        ("c", '"""C."""\n\n\ndef page(x: str) -> str:\n    """A page."""\n    return f"<!DOCTYPE html><p>{x}"\n',
         "small.c:6: <!DOCTYPE html by hand: a page is made by finops_ai.html from a template"),
        ("a", CLEAN["a"].replace("    return 1", '    return len(importlib.import_module("small.b").__name__)'), "import cycle: small.a > small.b > small.a"),
        ("a", CLEAN["a"].replace("if TYPE_CHECKING", "if not TYPE_CHECKING"), "import cycle: small.a > small.b > small.a"),
        ("c", '"""C."""\n\n\nclass D:\n    """D."""\n\n    class E:\n        def two(self, x) -> int:\n            """Two."""\n',
         "small.c:8: D.E.two: no type for x"),
        ("c", '"""C."""\n\n\nclass D:\n    """D."""\n\n    def __init__(self, x) -> None:\n        self.x = x\n',
         "small.c:7: D.__init__: no type for x"),
        ("c", '"""C."""\n\ntry:\n    import fast\nexcept ImportError:\n    def two(x: int):\n        """Two."""\n',
         "small.c:6: two: no type for its result"),
        ("c", '"""C."""\n\nif True:\n    async def two(*more) -> None:\n        """Two."""\n', "small.c:4: two: no type for more"),
        ("c", '"""C."""\n\n\ndef page(x: str) -> str:\n    """A page."""\n    return "<ht" + "ml>" + x\n',
         "small.c:6: <html by hand: a page is made by finops_ai.html from a template"),
        ("c", '"""C."""\n\n\ndef page(x: str) -> str:\n    """A page."""\n    return f"<title>{x}</title>{x}"\n',
         "small.c:6: <title> by hand: a page is made by finops_ai.html from a template"),
    ],
)  # fmt: skip
def test_a_planted_fault_is_found(tmp_path, module, text, found):
    assert checks.findings([tree(tmp_path, **{module: text})]) == [found]


def test_lint_runs_the_checks_and_what_it_finds_fails_it(tmp_path, monkeypatch, capsys):
    makefile = (Path(__file__).parents[1] / "Makefile").read_text("utf-8")
    lint = makefile.partition("\nlint:")[2].partition("\n\n")[0]
    assert "scripts/checks.py" in lint
    package = tree(tmp_path, c='"""C."""\n\n\ndef two(x: int) -> int:\n    return x\n')
    monkeypatch.setattr("sys.argv", ["checks.py", str(package)])
    assert checks.main() == 1
    assert "no docstring" in capsys.readouterr().out
