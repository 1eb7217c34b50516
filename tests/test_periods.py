from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finops_ai.errors import SettingsError
from finops_ai.periods import UTC, Window, instant, iso, last_complete_month, month_pieces, utc_offsets

INSTANTS = st.datetimes(dt.datetime(2024, 1, 1), dt.datetime(2027, 1, 1)).map(
    lambda d: d.replace(tzinfo=UTC, microsecond=0)
)


def test_a_month_belongs_to_the_reporting_time_zone():
    # Berlin is UTC+1 on 1 March and UTC+2 on 1 April 2026
    window = Window.month("2026-03", "Europe/Berlin")
    assert (iso(window.start), iso(window.end)) == ("2026-02-28T23:00:00Z", "2026-03-31T22:00:00Z")


def test_the_end_is_left_out():
    window = Window.of("2026-01-01", "2026-01-02")
    assert window.start in window
    assert window.end not in window


@given(INSTANTS, INSTANTS)
def test_pieces_make_the_whole(a, b):
    window = Window(min(a, b), max(a, b))
    pieces = list(month_pieces(window))
    if window.start == window.end:
        assert pieces == []
    else:
        assert pieces[0].start == window.start
        assert pieces[-1].end == window.end
        assert all(x.end == y.start for x, y in zip(pieces, pieces[1:], strict=False))


@pytest.mark.parametrize("month", ["2026-13", "2026-1", "Oct 2026", "2026-00"])
def test_what_is_no_month_is_refused_with_the_form(month):
    with pytest.raises(SettingsError, match="YYYY-MM"):
        Window.month(month)


def test_windows_need_a_zone_and_an_order():
    with pytest.raises(SettingsError, match="no time zone"):
        Window(dt.datetime(2026, 1, 1), dt.datetime(2026, 1, 2))
    with pytest.raises(SettingsError, match="ends before"):
        Window.of("2026-01-02", "2026-01-01")
    with pytest.raises(SettingsError, match="IANA"):
        instant("2026-01-01", "Berlin")


def test_the_last_complete_month_of_january_is_december():
    assert last_complete_month(dt.datetime(2026, 1, 15, tzinfo=UTC)) == "2025-12"


def test_offsets_follow_the_clock_changes():
    # Berlin 2026: summer time from 29 March 01:00 UTC to 25 October 01:00 UTC
    got = [(iso(t), s) for t, s in utc_offsets(Window.of("2026-01-01", "2027-01-01"), "Europe/Berlin")]
    assert got == [("2026-01-01T00:00:00Z", 3600), ("2026-03-29T01:00:00Z", 7200), ("2026-10-25T01:00:00Z", 3600)]
