"""The commit frame: one row = one commit and what made it. Never a message, a diff or a file's name."""

from __future__ import annotations

import pandera.pandas as pa
from pandera.typing import Series

from finops_ai.frames.tokens import _opt, _text
from finops_ai.frames.types import Count, Instant


class CommitFrame(pa.DataFrameModel):
    """One row: one commit, with the session or agent that its source says wrote it."""

    repository: Series[str] = _text(
        "Repository, owner/name where the source says the owner.", "", "vcs.repository.name"
    )
    branch: Series[str] = _opt("Branch it was made on.", "", "vcs.ref.head.name")
    commit_id: Series[str] = _text("Full hash.", "", "vcs.ref.head.revision")
    user_id: Series[str] = _opt("Author: e-mail (lower case) or login.", "", "user.id")
    committed_at: Series[Instant] = _text("When it was committed.", "UTC instant")
    session_id: Series[str] = _opt(
        "Session that the source itself names as its origin: an exact link.", "", "gen_ai.conversation.id"
    )
    tool_name: Series[str] = _opt("Tool it was made with, where the source tells.")
    agent_name: Series[str] = _opt("Agent that made it alone, such as a cloud agent.", "", "gen_ai.agent.name")
    lines_added: Series[Count] = _opt("Lines added; null where the source doesn't count them.", "lines")
    lines_removed: Series[Count] = _opt("Lines removed.", "lines")
    lines_by_agent: Series[Count] = _opt(
        "Of both, those the source attributes to a model. Null where it doesn't tell.", "lines"
    )
    merged_at: Series[Instant] = _opt("When its pull request was merged; null = not, or not known.", "UTC instant")
    pull_request: Series[str] = _opt("Pull request, as repository#number.", "", "vcs.change.id")
    reverted_by: Series[str] = _opt("Hash of the commit that took it back and still stands; null = none, or not known.")
    source: Series[str] = _text("How we know: api, file or git.", "", "", isin=["api", "file", "git"])

    class Config:
        strict = True
        coerce = False
        metadata = {"version": "1.1", "grain": "one commit"}
