"""Reports: parameterised notebooks rendered into a site that needs no network."""

from finops_ai.reporting.notebooks import (
    NotebookFailed,
    check_parameters,
    notebook_folder,
    parameters_of,
    run_notebook,
    to_html,
)

__all__ = ["NotebookFailed", "check_parameters", "notebook_folder", "parameters_of", "run_notebook", "to_html"]
