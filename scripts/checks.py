"""What ruff, import-linter and mypy don't see: import cycles, functions without types, names without docstring, pages by hand.

python scripts/checks.py            this package and its plugins; exit code 1 with one line per finding
python scripts/checks.py FOLDER     another package folder

Run by `make lint`. Each check takes a folder of sources, so that tests show it a small tree with a fault in it.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1]
Function = ast.FunctionDef | ast.AsyncFunctionDef
#: what a page of its own begins or ends with
BY_HAND = re.compile(r"<!doctype html|</?html\b|</?head>|</?title>|(?<!\?P)</?body\b", re.IGNORECASE)
TYPES_ONLY = ("TYPE_CHECKING", "typing.TYPE_CHECKING")


@cache
def sources(package: Path) -> dict[str, ast.Module]:
    """Module name -> its syntax tree, for every module of a package folder."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        inner = path.relative_to(package.parent).with_suffix("")
        found[".".join(inner.parts).removesuffix(".__init__")] = ast.parse(path.read_text("utf-8"), str(path))
    return found


def import_cycles(package: Path) -> list[str]:
    """Modules that import each other, also inside functions; what only type checkers read doesn't count."""
    modules = sources(package)
    graph = {name: set(_imported(name, tree, modules)) - {name} for name, tree in modules.items()}
    out = []
    while True:
        try:
            TopologicalSorter(graph).prepare()
            return out
        except CycleError as error:
            circle = error.args[1][::-1]
            out.append(f"import cycle: {' > '.join(circle)}")
            graph[circle[0]].discard(circle[1])


def _imported(name: str, tree: ast.Module, modules: dict[str, ast.Module]) -> Iterator[str]:
    for node in _run(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("import_module", "__import__"):
            named = node.args[0] if node.args else None
            if isinstance(named, ast.Constant) and named.value in modules:
                yield str(named.value)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                parts = name.split(".")
                module = ".".join([*parts[: len(parts) - node.level], *filter(None, [module])])
            for alias in node.names:
                inner = f"{module}.{alias.name}"
                yield from [inner] if inner in modules else [module] if module in modules else []


def _run(node: ast.AST) -> Iterator[ast.AST]:
    """Every node that runs: not what stands under `if TYPE_CHECKING`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) in TYPES_ONLY:
            yield from (inner for part in child.orelse for inner in (part, *_run(part)))
            continue
        yield child
        yield from _run(child)


def _public(package: Path) -> Iterator[tuple[str, ast.ClassDef | Function, bool]]:
    """Public functions, classes and methods of public modules with their place; whether each is a method."""
    for module, tree in sources(package).items():
        if not any(part.startswith("_") and part != "__main__" for part in module.split(".")):
            yield from _defined(tree.body, module, "")


def _defined(body: Iterable[ast.AST], module: str, cls: str) -> Iterator[tuple[str, ast.ClassDef | Function, bool]]:
    """What a body defines for others: also in a class of a class, and where a condition or a failed import decides."""
    for node in body:
        if isinstance(node, ast.ClassDef | Function):
            if not node.name.startswith("_") or (cls and node.name.startswith("__")):
                name = f"{cls}.{node.name}" if cls else node.name
                if isinstance(node, Function) or not cls:
                    yield f"{module}:{node.lineno}: {name}", node, bool(cls)
                if isinstance(node, ast.ClassDef):
                    yield from _defined(node.body, module, name)
        elif isinstance(node, ast.If | ast.Try | ast.With | ast.ExceptHandler):
            yield from _defined(ast.iter_child_nodes(node), module, cls)


def untyped_functions(package: Path) -> list[str]:
    """Public functions and methods with a parameter or a result that has no type."""
    out = []
    for place, node, method in _public(package):
        if not isinstance(node, Function):
            continue
        static = any(ast.unparse(d) == "staticmethod" for d in node.decorator_list)
        given = [*node.args.posonlyargs, *node.args.args][int(method and not static) :] + node.args.kwonlyargs
        given += [a for a in (node.args.vararg, node.args.kwarg) if a]
        lacking = [a.arg for a in given if a.annotation is None] + ["its result"] * (node.returns is None)
        if lacking:
            out.append(f"{place}: no type for {', '.join(lacking)}")
    return out


def undocumented_names(package: Path) -> list[str]:
    """Public functions, classes and methods without docstring.

    A method that a class of the package documents may be overridden without one; a test's name is its sentence; overloads
    and setters are told where the name is first defined.
    """
    classes: dict[str, list[ast.ClassDef]] = {}
    for tree in sources(package).values():
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                classes.setdefault(node.name, []).append(node)

    def told(name: str, cls: str) -> bool:
        bases = {ast.unparse(b).split("[")[0].split(".")[-1] for own in classes.get(cls, ()) for b in own.bases}
        mine = [base for base in bases if base in classes and base != cls]
        said = (n for base in mine for own in classes[base] for n in own.body)
        here = any(isinstance(n, Function) and n.name == name and ast.get_docstring(n) for n in said)
        return here or any(told(name, base) for base in mine)

    out = []
    for place, node, method in _public(package):
        marks = {ast.unparse(d).split(".")[-1] for d in node.decorator_list}
        if ast.get_docstring(node) or marks & {"overload", "setter"} or node.name.startswith(("test_", "__")):
            continue
        if not (method and told(node.name, place.rsplit(" ", 1)[1].split(".")[-2])):
            out.append(f"{place}: no docstring")
    return out


def hand_made_pages(package: Path) -> list[str]:
    """Text that makes a page of its own outside the templates."""
    out = []
    for module, tree in sources(package).items():
        docs = {
            id(n.body[0].value)
            for n in ast.walk(tree)
            if isinstance(n, ast.Module | ast.ClassDef | Function) and _is_text(n.body)
        }
        seen: set[int] = set()
        for node in ast.walk(tree):
            text = "" if id(node) in docs | seen else _text_of(node)
            if isinstance(node, ast.BinOp | ast.JoinedStr):  # told as a whole, so not again by its pieces
                seen |= {id(part) for part in ast.walk(node)}
            if found := BY_HAND.search(text):
                out.append(
                    f"{module}:{node.lineno}: {found[0]} by hand: a page is made by finops_ai.html from a template"
                )
    return out


def _text_of(node: ast.AST) -> str:
    """What a literal says: text, pieces that are added up, the fixed parts of an f-string."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _text_of(node.left) + _text_of(node.right)
    if isinstance(node, ast.JoinedStr):
        return "".join(map(_text_of, node.values))
    value = node.value if isinstance(node, ast.Constant) else ""
    return value if isinstance(value, str) else ""


def _is_text(body: list[ast.stmt]) -> bool:
    return bool(body) and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)


CHECKS = (import_cycles, untyped_functions, undocumented_names, hand_made_pages)


def findings(packages: Iterable[Path]) -> list[str]:
    """All that the checks find in some package folders."""
    return [text for package in packages for check in CHECKS for text in check(package)]


def main() -> int:
    """Print what is found."""
    given = [Path(name).resolve() for name in sys.argv[1:]]
    plugins = (p.parent for p in sorted(ROOT.glob("plugins/*/src/*/__init__.py")))
    found = findings(given or [ROOT / "finops_ai", *plugins])
    print(*found, sep="\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
