"""Prices: what a meter of a model costs, on which day, under which modifiers, and why."""

from finops_ai.prices.book import PriceBook
from finops_ai.prices.calls import CallCost, price_call
from finops_ai.prices.commitments import Capacity, Credit, draw_credits, volume_discount
from finops_ai.prices.contracts import Contract
from finops_ai.prices.price import Price

__all__ = [
    "CallCost",
    "Capacity",
    "Contract",
    "Credit",
    "Price",
    "PriceBook",
    "draw_credits",
    "price_call",
    "volume_discount",
]
