"""The explorer: in a notebook (`explore`) and on a page that needs neither Python nor a network (`static_explorer`)."""

from finops_ai.widgets.explorer import Explorer, explore
from finops_ai.widgets.static import explorer_page, static_explorer

__all__ = ["Explorer", "explore", "explorer_page", "static_explorer"]
