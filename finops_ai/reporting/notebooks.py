"""Running a parameterised notebook: its parameters are checked first, and its page appears only when it succeeded."""

from __future__ import annotations

import ast
import json
import os
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finops_ai.errors import DataError, FinopsError, SettingsError, hint

if TYPE_CHECKING:
    from jupyter_client.manager import AsyncKernelManager

TEMPLATES = Path(__file__).parent / "template"
PAGE_CSS = TEMPLATES / "finops" / "page.css"


#: what stands after imports, and after a notebook, stays until the kernel ends: the search for garbage passes it by
_UNHURRIED = "__import__('gc').set_threshold(20_000, 20, 20); __import__('gc').freeze()"


class NotebookFailed(FinopsError):
    """A cell of a notebook raised; `cause` is its last line, `page` the notebook as far as it ran."""

    def __init__(self, notebook: str, cause: str, page: Path) -> None:
        super().__init__(f"{notebook} stopped: {cause}. The notebook as far as it ran: {page}")
        self.cause, self.page = cause, page
        self.exit_code = 3 if self.lacks_data else 1

    @property
    def lacks_data(self) -> str:
        """What data the notebook lacked, if that is why it stopped; "" if anything else went wrong."""
        kind, _, reason = self.cause.partition(": ")
        return reason.rstrip(".") + "." if kind == "DataError" else ""


@dataclass(frozen=True)
class Parameter:
    """One parameter of a notebook: its type's name, default and one line of help."""

    name: str
    kind: str
    default: Any
    help: str


KINDS: dict[str, type | tuple[type, ...]] = {
    "str": str,
    "int": int,
    "float": (int, float),
    "bool": bool,
    "list": list,
    "dict": dict,
}


def notebook_folder() -> Path:
    """The folder of the report notebooks: inside the installed package, or the checkout's `notebooks/`."""
    for folder in (Path(str(files("finops_ai") / "notebooks")), Path(__file__).parents[2] / "notebooks"):
        if folder.is_dir() and any(folder.glob("*.ipynb")):
            return folder
    raise DataError("The report notebooks are not installed. Install finops-ai-core again, or run from a checkout.")


def parameters_of(notebook: Path) -> dict[str, Parameter]:
    """Name, type, default and help of each parameter: the annotated assignments of the cell tagged `parameters`.

    Raises:
        SettingsError: the notebook has no such cell, or a parameter lacks a type or a help text.
    """
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    tagged = [c for c in cells if "parameters" in c.get("metadata", {}).get("tags", [])]
    if not tagged:
        raise SettingsError(f"{notebook.name} has no cell tagged 'parameters', so it can't be run with parameters.")
    source = "".join(tagged[0]["source"])
    lines = source.splitlines()
    found = {}
    for node in ast.parse(source).body:
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name) or node.value is None:
            continue
        name, comment = node.target.id, lines[node.end_lineno - 1].partition("#")[2].strip()  # type: ignore[operator]
        found[name] = Parameter(name, ast.unparse(node.annotation), ast.literal_eval(node.value), comment)
    return found


def check_parameters(notebook: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """Refuse parameters that the notebook doesn't have, or of another type; papermill itself would only warn.

    Raises:
        SettingsError: names the parameter, the value and what the notebook takes.
    """
    known = parameters_of(notebook)
    for name, value in given.items():
        if name not in known:
            raise SettingsError(f"{notebook.name} has no parameter {name!r}. {hint(name, known)}")
        kind = KINDS.get(known[name].kind)
        if kind is None:
            raise SettingsError(
                f"{notebook.name}: parameter {name} has the type {known[name].kind!r}; use one of {sorted(KINDS)}."
            )
        if not isinstance(value, kind) or (isinstance(value, bool) and known[name].kind != "bool"):
            raise SettingsError(
                f"{notebook.name}: parameter {name} must be {known[name].kind}, got {value!r} ({type(value).__name__})."
            )
    return dict(given)


class Kernel:
    """A Python kernel that runs notebooks one after another, each in an empty namespace; imports are paid for once.

    Belongs to the thread that made it. A kernel that died is replaced before the next notebook.

    Args:
        surroundings: more environment variables for it.

    Example:
        >>> with Kernel() as kernel:  # doctest: +SKIP
        ...     run_notebook(Path("notebooks/showback.ipynb"), Path("out/showback.ipynb"), {}, kernel=kernel)
    """

    def __init__(self, surroundings: Mapping[str, str] | None = None) -> None:
        self._surroundings = dict(surroundings or {})
        self._sockets: tempfile.TemporaryDirectory[str] | None = None
        self._manager: Any = None
        self._client: Any = None

    def __enter__(self) -> Kernel:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def manager(self) -> Any:
        """The kernel's manager: started where none runs, cleared of what the notebook before left."""
        from jupyter_core.utils import run_sync

        if self._manager is not None and not run_sync(self._manager.is_alive)():
            self._stop()
        if self._manager is None:
            self._start()
        elif self._client is not None:
            run_sync(self._clear)()
        return self._manager

    def warm(self) -> None:
        """Start the kernel and have it import what every notebook does, without waiting for it."""
        from jupyter_core.utils import run_sync

        run_sync(self._warm)(self.manager())

    async def _warm(self, manager: AsyncKernelManager) -> None:
        client = manager.client()
        client.start_channels()
        try:
            await client.wait_for_ready(timeout=60)
            client.execute(f"__import__('finops_ai.reporting.answers'); {_UNHURRIED}", silent=True)
        finally:
            client.stop_channels()
            self._client = None

    def _start(self) -> None:
        from jupyter_client.manager import AsyncKernelManager
        from jupyter_core.utils import run_sync

        os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
        os.environ.setdefault("FINOPS_AI_PAGES", "1")  # widgets in the kernel also show themselves without one
        self._sockets = tempfile.TemporaryDirectory(prefix="finops-", ignore_cleanup_errors=True)
        # sockets in a folder of this run instead of open ports, where the system has them
        own = {"transport": "ipc", "ip": f"{self._sockets.name}/kernel"} if os.name == "posix" else {}
        self._manager = AsyncKernelManager(kernel_name="python3", **own)
        connect = self._manager.client

        def client(**options: object) -> Any:
            self._client = connect(**options)  # whoever runs a notebook leaves its client open: it is closed here
            return self._client

        self._manager.client = client
        quiet = ["--IPKernelApp.log_level=50"]  # its farewell is no news
        # charts go into the notebook, also where a job's surroundings ask for another backend
        env = os.environ | {"MPLBACKEND": "module://matplotlib_inline.backend_inline"} | self._surroundings
        run_sync(self._manager.start_kernel)(extra_arguments=quiet, cwd=str(Path.cwd()), env=env)

    async def _clear(self) -> None:
        await self._client.execute(f"%reset -f\n{_UNHURRIED}", silent=True, reply=True, timeout=60)
        self._client.stop_channels()
        self._client = None

    def _stop(self) -> None:
        from jupyter_core.utils import run_sync

        if self._client is not None:
            self._client.stop_channels()
        if self._manager is not None:
            run_sync(self._manager.shutdown_kernel)(now=True)
        if self._sockets is not None:
            self._sockets.cleanup()
        self._manager = self._client = self._sockets = None


def run_notebook(
    notebook: Path,
    target: Path,
    parameters: Mapping[str, Any],
    *,
    timeout: int = 600,
    kernel: Kernel | None = None,
    title: str = "",
) -> Path:
    """Run a notebook with checked parameters; write it to `target` (.ipynb) and its page beside it (.html).

    Both appear only if every cell succeeded, each in one step; what ran before a failure stays in `*.partial.ipynb`.

    Args:
        notebook: source, never changed.
        target: where the executed notebook goes.
        parameters: values for the notebook's `parameters` cell, no secrets (papermill stores them).
        timeout: seconds a cell may take.
        kernel: to run it in; by default one of its own.
        title: of the page; by default the notebook's first heading.

    Returns:
        The path of the HTML page.

    Raises:
        SettingsError: unknown or mistyped parameter.
        NotebookFailed: a cell raised, or the kernel died.
    """
    import logging
    import warnings

    if kernel is None:
        with Kernel() as own:
            return run_notebook(notebook, target, parameters, timeout=timeout, kernel=own, title=title)
    checked = check_parameters(notebook, parameters)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial.ipynb")
    logging.getLogger("papermill").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import papermill
        from nbclient.exceptions import CellTimeoutError, DeadKernelError

        try:
            papermill.execute_notebook(
                str(notebook),
                str(partial),
                checked,
                progress_bar=False,
                kernel_name="python3",
                execution_timeout=timeout,
                km=kernel.manager(),
            )
        except papermill.PapermillExecutionError as error:
            raise NotebookFailed(notebook.name, f"{error.ename}: {error.evalue}", partial) from None
        except (DeadKernelError, CellTimeoutError) as error:
            raise NotebookFailed(notebook.name, f"{type(error).__name__}: {error}", partial) from None
        executed = json.loads(partial.read_text("utf-8"))
        _forget_paths(executed)
        page = to_html(executed, title=title or title_of(executed) or target.stem)
    html = target.with_suffix(".html")
    scratch = html.with_suffix(".partial.html")
    scratch.write_text(page, encoding="utf-8")
    partial.write_text(json.dumps(executed, indent=1, ensure_ascii=False), encoding="utf-8")
    scratch.replace(html)
    partial.replace(target)
    return html


def _forget_paths(notebook: dict[str, Any]) -> None:
    """Papermill stores paths of the machine it ran on; a report that is handed around shouldn't."""
    papermill = notebook.get("metadata", {}).get("papermill", {})
    for name in ("input_path", "output_path"):
        if papermill.get(name):
            papermill[name] = Path(papermill[name]).name


def title_of(notebook: Mapping[str, Any]) -> str | None:
    """The first Markdown heading."""
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            for line in "".join(cell["source"]).splitlines():
                if line.startswith("# "):
                    return line[2:].strip()
    return None


def to_html(notebook: Mapping[str, Any], *, title: str) -> str:
    """An executed notebook as one page that asks nothing of any network: no code, no prompts, pictures inside."""
    import nbformat

    body: str
    body, _ = _exporter().from_notebook_node(
        nbformat.reads(json.dumps(notebook), as_version=4),
        resources={"metadata": {"name": title}, "finops_css": PAGE_CSS.read_text("utf-8")},
    )
    return body


_exporters = threading.local()


def _exporter() -> Any:
    """The thread's exporter; its templates are compiled once."""
    from nbconvert.exporters import HTMLExporter
    from traitlets.config import Config

    if not hasattr(_exporters, "html"):
        config = Config()
        config.HTMLExporter.exclude_input = True
        config.HTMLExporter.exclude_input_prompt = True
        config.HTMLExporter.exclude_output_prompt = True
        config.TagRemovePreprocessor.enabled = True
        config.TagRemovePreprocessor.remove_cell_tags = ("injected-parameters", "parameters", "hide")
        config.HTMLExporter.preprocessors = ["nbconvert.preprocessors.TagRemovePreprocessor"]
        _exporters.html = HTMLExporter(config=config, template_name="finops", extra_template_basedirs=[str(TEMPLATES)])
    return _exporters.html
