"""Seats held and commits made: what the frames take, and what they refuse."""

from __future__ import annotations

import datetime as dt

import pytest

from finops_ai.errors import FrameError
from finops_ai.frames import CommitFrame, SeatFrame, conform, schema_of

OCT = dt.datetime(2026, 10, 1, tzinfo=dt.UTC)
SEAT = {
    "provider": "github-copilot",
    "plan": "business",
    "user_id": "ada-quill",
    "telemetry": "unknown",
    "source": "api",
}


def seats(**changes):
    return conform({name: [value] for name, value in (SEAT | changes).items()}, SeatFrame, source="test")


def test_a_seat_without_dates_is_held_and_nothing_is_invented():
    held = seats()
    assert held["user_id"].tolist() == ["ada-quill"]
    assert held[["seat_start", "seat_end", "last_activity_at", "sub_account_id", "cost_center"]].isna().all(axis=None)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"telemetry": "off"}, "telemetry"),
        ({"source": "guess"}, "source"),
        ({"seat_start": OCT, "seat_end": OCT}, "the seat is held before it ends"),
    ],
)
def test_what_is_no_seat_is_refused(changes, named):
    with pytest.raises(FrameError, match=named):
        seats(**changes)


def test_a_commit_frame_has_no_place_for_messages_diffs_or_paths():
    names = schema_of(CommitFrame).names
    assert not [n for n in names if any(word in n for word in ("message", "diff", "patch", "path", "file", "title"))]
    commit = {"repository": ["o/r"], "commit_id": ["a" * 40], "committed_at": [OCT], "source": ["git"]}
    assert len(conform(commit, CommitFrame, source="test")) == 1
    with pytest.raises(FrameError, match="message"):
        conform({**commit, "message": ["secret"]}, CommitFrame, source="test")
