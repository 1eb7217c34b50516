"""The pace is true at any hour and width, on the first of a month too; a late source is told and not counted as 0."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pandas as pd
import pytest

from finops_ai.periods import Window
from finops_ai.watching import loads
from finops_ai.watching.looking import look, said
from finops_ai.watching.pace import _last_day, _whole

DAY = dt.timedelta(days=1)


def near(value, truth, share="0.01"):
    return abs(value - truth) <= Decimal(share) * truth


HOURS = ["2026-11-09T10:37", "2026-11-09T23:59", "2026-12-01T00:10", "2026-12-01T05:02"]
MOMENTS = [
    pytest.param(at, width, marks=[] if (at, width) in {(HOURS[0], "1h"), (HOURS[2], "1d")} else [pytest.mark.long])
    for at in HOURS
    for width in ("1m", "1h", "1d")
]


@pytest.mark.long
@pytest.mark.parametrize(("at", "width"), MOMENTS)
def test_a_constant_rate_is_told_at_any_hour_and_width(workspace, provider, width, at):
    # 24,000 tokens a minute at 0.75 a million: 25.92 USD a day
    found = look(workspace(width=width), provider.at(at), alert=False)
    assert near(found.pace.day, Decimal("25.92")), found.pace
    assert near(found.pace.mean, Decimal("25.92")), found.pace
    days = 30 if at < "2026-12" else 31
    assert near(found.pace.end, Decimal("25.92") * days), found.pace


@pytest.mark.long
@pytest.mark.parametrize("width", ["1h", "1d"])
@pytest.mark.parametrize("at", ["2026-11-09T10:37", "2026-12-01T02:45"])
def test_a_rate_that_changes_by_the_hour_is_true_for_the_day_it_names(workspace, provider, width, at):
    provider.rate = lambda second: 48_000 if 8 <= second // 3600 % 24 < 18 else 6_000
    found = look(workspace(width=width), provider.at(at), alert=False)
    until = found.pace.until
    assert near(found.pace.day, provider.cost(until - DAY, until), "0.0001")
    assert found.now - until <= dt.timedelta(minutes=20)


@pytest.mark.long
def test_a_source_that_lags_is_not_told_too_low(workspace, provider):
    provider.lag = 12 * 60
    found = look(workspace(), provider.at("2026-11-09T10:37"), alert=False)
    assert near(found.pace.day, Decimal("25.92"))


@pytest.mark.long
def test_the_pace_is_the_same_when_a_look_is_repeated(workspace, provider):
    ws, now = workspace(), provider.at("2026-11-09T10:37")
    first, again = (look(ws, now, alert=False).pace for _ in range(2))
    assert first == again


@pytest.mark.long
def test_the_month_of_the_reporting_zone_counts(workspace, provider):
    # 00:30 in Tokyo on 1 December is still November in UTC
    found = look(workspace(timezone="Asia/Tokyo"), provider.at("2026-11-30T15:30"), alert=False)
    assert found.pace.month == "2026-12"
    assert near(found.pace.so_far, Decimal("25.92") / 48, "0.02")
    assert near(found.pace.day, Decimal("25.92"))


@pytest.mark.long
@pytest.mark.parametrize("timezone", ["Asia/Tokyo", "Europe/Berlin", "America/New_York"])
def test_a_month_that_begins_within_a_day_of_utc_counts_from_then(workspace, provider, timezone, monkeypatch):
    monkeypatch.setattr(loads, "CHEAP", 600)
    ws, begun = workspace(width="1d", timezone=timezone), Window.month("2026-11", timezone).start
    found = look(ws, provider.at("2026-11-17T03:00"), alert=False)
    assert near(found.pace.so_far, provider.cost(begun, found.pace.until), "0.0001")
    assert near(found.pace.mean, Decimal("25.92"), "0.0001")
    # an hour before it and one after it are restated: the month holds the second alone
    provider.restated = dict.fromkeys(
        (int(begun.timestamp()) + 60 * n for h in (-2, 1) for n in range(60 * h, 60 * h + 60)), 100_000
    )
    again = look(ws, provider.at("2026-11-17T03:00"), alert=False)
    assert again.pace.so_far - found.pace.so_far == Decimal("3.42")


@pytest.mark.long
def test_a_stale_source_is_named_and_its_cost_is_unknown(workspace, provider):
    ws = workspace()
    look(ws, provider.at("2026-11-09T10:00"), alert=False)
    found = look(ws, dt.datetime(2026, 11, 9, 16, tzinfo=dt.UTC), alert=False)  # the provider's clock stands still
    source = found.sources[0]
    assert source.late
    told = "\n".join(said(found, ws))
    assert "openai is stale: nothing since 9 November 10:00 UTC (6 hours ago; it promises 15 minutes)" in told
    assert "unknown" in told
    assert near(found.pace.day, Decimal("25.92"))  # of the day up to what is known


@pytest.mark.long
def test_a_source_that_sleeps_every_night_is_not_stale(workspace, provider):
    provider.rate = lambda second: 24_000 if 7 <= second // 3600 % 24 < 19 else 0
    ws = workspace()
    look(ws, provider.at("2026-11-09T12:00"), alert=False)
    night = look(ws, provider.at("2026-11-10T04:00"), alert=False)
    assert not night.sources[0].late
    morning = look(ws, dt.datetime(2026, 11, 10, 9, tzinfo=dt.UTC), alert=False)
    assert morning.sources[0].late  # longer than any night


def test_a_source_that_never_sent_is_named(workspace, provider):
    provider.rate = lambda second: 0
    ws = workspace()
    found = look(ws, provider.at("2026-11-09T12:00"), alert=False)
    assert "openai has sent nothing yet: what it costs is unknown." in "\n".join(said(found, ws))


@pytest.mark.long
def test_a_source_that_fails_is_named_and_the_rest_is_told(workspace, provider):
    ws = workspace()
    look(ws, provider.at("2026-11-09T10:00"), alert=False)
    provider.broken = True
    found = look(ws, provider.at("2026-11-09T11:00"), alert=False)
    assert any("openai" in text for text in found.problems)
    assert near(found.pace.so_far, Decimal("25.92") * 8 + Decimal("25.92") * 10 / 24)


@pytest.mark.long
def test_only_what_may_have_changed_is_asked_for(workspace, provider):
    ws = workspace(width="1d")
    look(ws, provider.at("2026-11-20T10:00"), alert=False)
    provider.calls.clear()
    look(ws, provider.at("2026-11-20T10:15"), alert=False)
    fine = [c for c in provider.calls if "bucket_width=1m" in c]
    assert fine
    since = min(int(c.split("start_time=")[1].split("&")[0]) for c in fine)
    assert since == int(dt.datetime(2026, 11, 19, tzinfo=dt.UTC).timestamp())
    assert len(provider.calls) < 12


@pytest.mark.long
def test_days_that_are_over_are_kept_at_the_grain_of_the_settings(workspace, provider):
    ws = workspace(width="1d")
    look(ws, provider.at("2026-11-09T10:00"), alert=False)
    look(ws, provider.at("2026-11-12T10:00"), alert=False)
    rows = ws.tokens("2026-11")
    old = rows[(rows["charge_period_start"] < "2026-11-11").to_numpy(bool) & (rows["meter"] == "input").to_numpy(bool)]
    assert len(old) == 10


@pytest.mark.long
@pytest.mark.parametrize("width", ["1h", "1d"])
def test_a_restatement_older_than_the_usual_window_arrives(workspace, provider, width, monkeypatch):
    monkeypatch.setattr(loads, "CHEAP", 600)  # a busy machine compares as often as an idle one
    ws = workspace(width=width)
    look(ws, provider.at("2026-11-20T10:00"), alert=False)
    before = look(ws, provider.at("2026-11-20T10:15"), alert=False).pace.so_far
    hour = int(dt.datetime(2026, 11, 12, 7, tzinfo=dt.UTC).timestamp())  # eight days back
    provider.restated = dict.fromkeys(range(hour, hour + 3600, 60), 100_000)
    found = look(ws, provider.at("2026-11-20T10:15"), alert=False)
    # 60 minutes of 76,000 tokens more at 0.75 a million
    assert found.pace.so_far - before == Decimal("3.42")
    assert any("restated since it was loaded: 2026-11-12 to 2026-11-12" in n for o in found.outcomes for n in o.notes)


@pytest.mark.parametrize("hours", [23, 24, 25])
def test_a_local_day_of_23_or_25_hours_is_a_day(hours):
    # one a day and hour: Berlin's 25 October 2026 has 25 hours, and begins at 22:00 UTC
    first = dt.datetime(2026, 10, 24, 22, tzinfo=dt.UTC)
    spans = [(first - DAY, first, 24), (first, first + dt.timedelta(hours=hours), hours)]
    rows = pd.DataFrame(
        {"charge_period_start": [a for a, _, _ in spans], "charge_period_end": [b for _, b, _ in spans],
         "provider": ["openai"] * 2, "effective_cost": [Decimal(cost) for _, _, cost in spans]}
    )  # fmt: skip
    over = first + dt.timedelta(hours=hours)
    assert sum(_last_day(rows, {"openai": over}, over)[0]) == 24
    # in the middle of it only the day before it is whole
    assert _whole(rows, {"openai": first + dt.timedelta(hours=12)}) == {"openai": first}
    assert sum(_last_day(rows, {"openai": first}, first)[0]) == 24
