"""What isn't installed, told as the extra that has it."""

from __future__ import annotations

from importlib.util import find_spec

from finops_ai.errors import SettingsError

#: library -> extra of finops-ai-core
EXTRAS = {
    "matplotlib": "notebook", "seaborn": "notebook", "ipywidgets": "notebook", "anywidget": "notebook", "traitlets": "notebook",
    "IPython": "notebook", "ipykernel": "notebook", "papermill": "report", "nbconvert": "report",
    "nbformat": "report", "nbclient": "report", "jupyter_client": "report", "statsmodels": "forecast", "jupyterlab": "lab",
    "pyspark": "spark", "currency_converter": "ecb", "boto3": "bedrock", "botocore": "bedrock", "mcp": "mcp", "deltalake": "lake",
}  # fmt: skip

#: extra -> the other extras it installs
BRINGS = {"report": ("notebook", "lake"), "lab": ("notebook", "lake"), "mcp": ("lake",)}


class MissingExtra(SettingsError, ImportError):
    """A part of this package needs libraries that aren't installed; says which extra brings them."""


def missing_extra(error: ImportError) -> MissingExtra | None:
    """The sentence for a failed import; None where the module is none of an extra.

    >>> str(missing_extra(ModuleNotFoundError("No module named 'papermill'", name="papermill")))
    "This needs papermill, which isn't installed: pip install 'finops-ai-core[report]'."
    """
    library = (error.name or "").partition(".")[0]
    if library not in EXTRAS:
        return None
    return MissingExtra(
        f"This needs {library}, which isn't installed: pip install 'finops-ai-core[{EXTRAS[library]}]'.", name=library
    )


def require_extra(extra: str) -> None:
    """Stop before any work where what an extra brings isn't all installed.

    Raises:
        MissingExtra: names the first library that is missing, and the extra.

    >>> require_extra("report")
    """
    brought = {extra, *BRINGS.get(extra, ())}
    for library in (name for name, of in EXTRAS.items() if of in brought):
        if find_spec(library) is None:
            raise MissingExtra(
                f"This needs {library}, which isn't installed: pip install 'finops-ai-core[{extra}]'.", name=library
            )
