"""What is understood word by word and still has no answer here: said with how to ask instead, never answered as something else."""

from __future__ import annotations

import re
from collections.abc import Sequence

from finops_ai.figures import catalogue
from finops_ai.tables.showback import MEASURES

_AVERAGE = re.compile(r"\b(?:average|avg|mean|median|typical)\b")
_COUNT = re.compile(r"\b(?:how many|number of|count of)\b")
#: questions that are told of cost alone, and what they tell
_OF_COST = {
    "change": "why the cost changed", "forecast": "what the cost will be", "budgets": "what of the budgets is spent",
    "whatif": "what it would have cost", "save": "what could be saved",
}  # fmt: skip


def unanswerable(text: str, kind: str, measure: str, by: Sequence[str]) -> str:
    """Why a question can't be answered as it was asked; "" where it can.

    Args:
        text: the question in lower case.
        kind: what is asked (`finops_ai.answering.question.KINDS`).
        measure: the figure asked for.
        by: columns it is asked by.

    >>> unanswerable("how many teams are there", "spending", "cost", ["team"])
    "How many there are can't be asked for: ask 'by team' and count the rows."
    """
    one = catalogue()[measure]
    if kind in _OF_COST and measure != "cost" and measure in MEASURES:
        return f"Only {_OF_COST[kind]} can be told, not {one.label.lower()}: ask 'what was {measure}' of each time."
    if kind != "spending" or one.kind not in ("money", "count"):
        return ""
    if _AVERAGE.search(text):
        return f"An average of {one.label.lower()} can't be asked for: ask 'by day' and read its rows, or for cost_per_request and the like."
    if _COUNT.search(text) and measure == "cost" and by:
        return f"How many there are can't be asked for: ask 'by {by[-1]}' and count the rows."
    return ""
