"""Prices: what a meter of a model costs, on which day, under which modifiers, and why."""

from finops_ai.prices.book import Price, PriceBook

__all__ = ["Price", "PriceBook"]
