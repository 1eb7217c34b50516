"""The explorer explains a bar: the bridge of the days behind it, in words, and nothing that could run in the page."""

from __future__ import annotations

import datetime as dt

import pytest

import finops_ai as fa
from finops_ai.errors import DataError
from finops_ai.periods import Window


@pytest.fixture
def explorer(allocated):
    made = fa.explore(allocated)
    made.between("2026-10-01", "2026-10-31")
    return made


def part(frame, first, last):
    window = Window.of(first, last)
    start = frame["charge_period_start"]
    return frame[((start >= window.start) & (start < window.end) & (frame["team"] == "support")).to_numpy(bool)]


def test_the_picked_bar_is_explained_from_the_day_before(explorer, allocated):
    explorer.drill("support", "2026-10-25")
    assert explorer.view.picked == (dt.date(2026, 10, 25), dt.date(2026, 10, 25))
    wanted = fa.explain(*(part(allocated, f"2026-10-{d}", f"2026-10-{d + 1}") for d in (24, 25))).iloc[0]
    found = explorer.explain().iloc[0]
    assert [found[c] for c in ("before", "after", "change", "model")] == [
        wanted[c] for c in ("before", "after", "change", "model")
    ]
    explorer._asked(None)
    assert "moved from claude-haiku-4-5 to claude-sonnet-5" in explorer.why.value
    explorer.back()  # what is said is of what is on show
    assert explorer.why.value == ""


def test_everything_on_show_is_explained_where_no_bar_is_picked(explorer, allocated):
    explorer.only(team="support")
    explorer.between("2026-10-25", "2026-10-31")
    found = explorer.explain()
    wanted = fa.explain(part(allocated, "2026-10-18", "2026-10-25"), part(allocated, "2026-10-25", "2026-11-01"))
    assert found["change"].iloc[0] == wanted["change"].iloc[0]
    assert found.facts.period == "25 Oct 2026 to 31 Oct 2026 against 18 Oct 2026 to 24 Oct 2026"


def test_nothing_to_compare_is_said(explorer, allocated):
    first = allocated["charge_period_start"].min().date()
    explorer.between(str(first), str(first))
    with pytest.raises(DataError, match="nothing to compare"):
        explorer.explain()
    explorer._asked(None)
    assert "nothing to compare" in explorer.why.value
