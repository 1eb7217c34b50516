"""Mutation testing of the code that counts money: `python scripts/mutants.py [MODULE...] [--from N] [--count K]`.

Each mutant has one comparison, sum, constant or condition changed. Its tests run in a process of their own; a mutant that
they don't notice survives, and either a test is missing or the change makes no difference. `tests/survivors.txt` keeps both
kinds, the second with its reason after `#`: what is listed there with a reason isn't tried again.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib.abc
import importlib.util
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
SURVIVORS = ROOT / "tests" / "survivors.txt"
#: module -> the tests that know it
TESTS = {
    "finops_ai.money": ["tests/test_money.py"],
    "finops_ai.engine.cents": ["tests/engine/test_cents.py"],
    "finops_ai.engine.parting": ["tests/engine/test_parting.py"],
    "finops_ai.tables.journal": ["tests/tables/test_chargeback.py", "tests/tables/test_journal_forms.py"],
    "finops_ai.tables.posting": ["tests/tables/test_chargeback.py", "tests/store/test_closing.py"],
}
SWAPPED: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Add: ast.Sub, ast.Sub: ast.Add,
    ast.Mult: ast.Add, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Add, ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip
SECONDS = 240


def mutants(tree: ast.Module) -> Iterator[tuple[int, str, ast.Module]]:
    """Line, what was changed, and the changed module, for every place that can be changed."""
    for number, node in enumerate(ast.walk(tree)):
        for how in _ways(node):
            changed = copy.deepcopy(tree)
            place = next(n for i, n in enumerate(ast.walk(changed)) if i == number)
            before = ast.unparse(place)
            _change(place, how)
            ast.fix_missing_locations(changed)
            yield getattr(node, "lineno", 0), f"{before}  ->  {ast.unparse(place)}", changed


def _ways(node: ast.AST) -> list[int]:
    if isinstance(node, ast.Compare):
        return [i for i, op in enumerate(node.ops) if type(op) in SWAPPED]
    if isinstance(node, ast.BinOp):
        text = any(isinstance(n, ast.JoinedStr) or (isinstance(n, ast.Constant) and isinstance(n.value, str)) for n in ast.walk(node))  # fmt: skip
        return [0] if type(node.op) in SWAPPED and not text else []
    if isinstance(node, ast.BoolOp | ast.IfExp | ast.If) or (
        isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub)
    ):
        return [0]
    return [0] if isinstance(node, ast.Constant) and type(node.value) in (int, bool) else []


def _change(node: ast.AST, how: int) -> None:
    if isinstance(node, ast.Compare):
        node.ops[how] = SWAPPED[type(node.ops[how])]()  # type: ignore[call-overload]
    elif isinstance(node, ast.BinOp | ast.BoolOp):
        node.op = SWAPPED[type(node.op)]()  # type: ignore[assignment]
    elif isinstance(node, ast.If | ast.IfExp):
        node.test = ast.UnaryOp(ast.Not(), node.test)
    elif isinstance(node, ast.UnaryOp):
        node.op = ast.UAdd() if isinstance(node.op, ast.USub) else ast.Not()
        if isinstance(node.op, ast.Not):
            node.operand = ast.Call(ast.Name("bool", ast.Load()), [node.operand], [])
            node.operand = ast.UnaryOp(ast.Not(), node.operand)
    elif isinstance(node, ast.Constant):
        node.value = (not node.value) if isinstance(node.value, bool) else node.value + 1  # type: ignore[operator]


class _Changed(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Loads one module from a changed tree."""

    def __init__(self, name: str, path: Path, tree: ast.Module) -> None:
        self.name, self.path, self.tree = name, path, tree

    def find_spec(self, fullname, path=None, target=None):  # type: ignore[no-untyped-def]
        return importlib.util.spec_from_loader(fullname, self) if fullname == self.name else None

    def create_module(self, spec):  # type: ignore[no-untyped-def]
        return None

    def exec_module(self, module) -> None:  # type: ignore[no-untyped-def]
        module.__file__ = str(self.path)
        exec(compile(self.tree, str(self.path), "exec"), module.__dict__)


def survives(name: str, path: Path, tree: ast.Module) -> bool:
    """Whether the module's tests pass with the change."""
    child = os.fork()
    if child == 0:
        import pytest

        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        sys.meta_path.insert(0, _Changed(name, path, tree))
        os._exit(int(pytest.main(["-x", "-q", "-n0", "-p", "no:cacheprovider", "--no-header", *TESTS[name]])))
    began = time.monotonic()
    while time.monotonic() - began < SECONDS:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.05)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def main() -> int:
    """Try the mutants and print the survivors; exit 1 if any is new."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", choices=[*TESTS, []])
    parser.add_argument("--from", dest="first", type=int, default=0)
    parser.add_argument("--count", type=int, default=10_000)
    options = parser.parse_args()
    os.chdir(ROOT)
    import duckdb  # noqa: F401 - imported once, before the children are made
    import pandas  # noqa: F401
    import pandera.pandas  # noqa: F401
    import pyarrow.dataset  # noqa: F401
    import pytest  # noqa: F401

    known = {line.partition("  #")[0].rstrip() for line in SURVIVORS.read_text().splitlines() if "  #" in line} if SURVIVORS.exists() else set()  # fmt: skip
    new = 0
    for name in options.modules or TESTS:
        path = ROOT / (name.replace(".", "/") + ".py")
        every = list(mutants(ast.parse(path.read_text())))
        chosen = every[options.first : options.first + options.count]
        alive = []
        for line, what, tree in chosen:
            told = f"{name}: {' '.join(what.split())}"
            if told not in known and survives(name, path, tree):
                alive.append(told)
                print(f"  line {line}: {told}", flush=True)
        new += len(alive)
        print(f"{name}: {len(chosen)} of {len(every)} mutants tried, {len(alive)} survive", flush=True)
    return 1 if new else 0


if __name__ == "__main__":
    raise SystemExit(main())
