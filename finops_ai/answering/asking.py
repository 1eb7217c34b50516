"""Asking a workspace: in words, or with a question that is understood already."""

from __future__ import annotations

import datetime as dt
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

from finops_ai.answering.answer import Answer
from finops_ai.answering.known import Known
from finops_ai.answering.question import Question
from finops_ai.answering.understanding import understand
from finops_ai.errors import SettingsError
from finops_ai.periods import iso

if TYPE_CHECKING:
    from finops_ai.workspace import Workspace

#: what is known of the workspaces asked lately; forgotten with the workspace
_KNOWN: weakref.WeakKeyDictionary[Workspace, Known] = weakref.WeakKeyDictionary()


def ask(workspace: Workspace, question: str, *, now: dt.datetime | None = None) -> Answer:
    """Answer a question in words, without any model: a small grammar over the columns and names of the workspace.

    Args:
        workspace: what `fa.open` returned.
        question: in words, such as "who spent by team in October" or "why did support cost more last week"; the grammar is
            in `docs/how-to/ask-questions.md`.
        now: the moment that "last month" is relative to; by default the present one.

    Returns:
        An answer: its sentence, how the question was understood, the table (`.table`, exact), definition, coverage and
        notes; `.rows()` gives the rows behind it. A question that isn't understood, or can't be asked that way, has
        `.clear` false, and a sentence that names the nearest words or says how to ask.

    Raises:
        DataError: the lake holds nothing of the time asked about.

    Example:
        >>> import tempfile
        >>> import finops_ai as fa
        >>> ws = fa.open(fa.sample.write_workspace(tempfile.mkdtemp(), months=1))
        >>> print(fa.ask(ws, "what is cost_per_request").sentence.split(":")[0])
        cost_per_request
        >>> fa.ask(ws, "who spennt most").clear
        False
    """
    known = _KNOWN.get(workspace)
    if known is None:
        known = _KNOWN[workspace] = Known(workspace)
    if now is not None:
        known = Known(workspace, lambda: now)
    known.fresh()
    try:
        return answer(known, understand(question, known))
    except SettingsError as error:
        return Answer(str(error), clear=False)


def answer(known: Known, question: Question) -> Answer:
    """The answer to a question that is understood.

    Raises:
        SettingsError: it can't be asked this way; says how it can.
        DataError: there is no data for it.
    """
    with known.ws.steady():
        found = _answerer(question.kind)(known, question)
    until = known.until
    return found.with_remarks(question.words(known.timezone), iso(until) if until else "", question.remarks)


def _answerer(kind: str) -> Callable[[Known, Question], Answer]:
    """Who answers a kind of question; imported when it is first asked."""
    import importlib

    module, function = _ANSWERERS[kind]
    found: Callable[[Known, Question], Answer] = getattr(
        importlib.import_module(f"finops_ai.answering.{module}"), function
    )
    return found


_ANSWERERS = {
    "spending": ("spending", "spending"), "change": ("changes", "change"), "tie": ("ties", "tie"),
    "incidents": ("happenings", "happenings"), "budgets": ("planned", "budgets"), "forecast": ("planned", "forecast"),
    "price": ("prices", "price"), "rules": ("tracing", "tracing"), "data": ("holdings", "holdings"),
    "kpis": ("figures", "figures"), "glossary": ("words", "meaning"), "save": ("saving", "saving"),
    "whatif": ("supposed", "supposed"),
}  # fmt: skip
