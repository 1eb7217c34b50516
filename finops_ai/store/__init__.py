"""Where frames are kept: the lake, and the closing of months."""

from finops_ai.store.lake import Lake, Load

__all__ = ["Lake", "Load"]
