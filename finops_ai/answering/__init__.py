"""Answers where people ask: one core for `fa.ask`, `finops-ai ask` and the MCP server.

A question is understood (`understanding`), answered by the tables that reports are made of (one module per kind of question),
and handed out as an `Answer`: a sentence, the exact table, its definition, coverage, period and currency.
"""

from finops_ai.answering.answer import Answer
from finops_ai.answering.asking import ask
from finops_ai.answering.question import Question

__all__ = ["Answer", "Question", "ask"]
