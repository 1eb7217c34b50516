"""Reading long frames: what is filled, what is refused and in which words."""

import numpy as np
import pandas as pd
import pytest

from finops_ai.errors import DataError, SettingsError
from finops_ai.forecasting.panel import read_panel, season_of


def long(y, name="a", start="2026-01-01", freq="D"):
    return pd.DataFrame({"unique_id": name, "ds": pd.date_range(start, periods=len(y), freq=freq), "y": y})


def test_series_come_sorted_with_their_own_ends():
    panel = read_panel(pd.concat([long([1.0, 2.0], "b"), long([3.0, 4.0, 5.0], "a")]).sample(frac=1, random_state=1))
    assert panel.ids == ["a", "b"]
    assert [y.tolist() for y in panel.values] == [[3.0, 4.0, 5.0], [1.0, 2.0]]
    assert panel.ends == [pd.Timestamp("2026-01-03"), pd.Timestamp("2026-01-02")]


@pytest.mark.parametrize(("freq", "found"), [("D", "D"), ("h", "h"), ("MS", "MS"), ("W-MON", "W-MON")])
def test_frequency_is_read_from_the_spacing(freq, found):
    assert read_panel(long([1.0] * 5, freq=freq, start="2026-01-05" if freq != "MS" else "2026-01-01")).freq == found


def test_a_small_gap_takes_the_value_of_one_season_before():
    y = np.arange(1.0, 31.0)
    frame = long(y).drop(index=[20])
    panel = read_panel(frame)
    # day 21 is missing; a week before it stood 14
    assert panel.values[0][20] == 14.0
    assert panel.notes == ["1 series had gaps, filled from one season before."]


def test_a_series_with_many_gaps_is_intermittent_and_gaps_are_zero():
    panel = read_panel(long(np.ones(20)).iloc[[0, 5, 9, 19]])
    assert panel.values[0].sum() == 4.0
    assert len(panel.values[0]) == 20
    assert "more than 10%" in panel.notes[0]


def test_null_counts_as_missing_and_is_noted():
    y = np.ones(30)
    y[3] = np.nan
    panel = read_panel(long(y))
    assert panel.values[0].tolist() == [1.0] * 30
    assert "1 rows had no value" in panel.notes[0]


def test_time_zones_are_dropped_as_utc():
    frame = long([1.0, 2.0])
    frame["ds"] = frame["ds"].dt.tz_localize("UTC")
    assert read_panel(frame).ends == [pd.Timestamp("2026-01-02")]


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (long([1.0]).drop(columns="y"), "missing: y"),
        (
            pd.concat([long([1.0, 2.0]), long([5.0])]),
            "repeat a series and instant, first: unique_id 'a', ds 2026-01-01",
        ),
        (long(["x", "y"]), "no number"),
        (long([1.0, np.inf]), "infinite in row 1"),
        (long([np.nan, np.nan]), "nothing to forecast from"),
        (long([1.0]).assign(ds="soon"), "no date"),
        (
            long([1.0, 2.0, 3.0, 4.0]).assign(ds=["2026-01-01", "2026-01-02", "2026-01-03", "2026-01-03 05:00"]),
            "off its D grid",
        ),
    ],
)
def test_what_cannot_be_read_is_refused_in_words(frame, words):
    with pytest.raises(DataError, match=words):
        read_panel(frame)


def test_unknown_frequency_and_season_are_refused():
    with pytest.raises(SettingsError, match="freq is 'often'"):
        read_panel(long([1.0]), "often")
    with pytest.raises(SettingsError, match="season is 0"):
        season_of("D", 0)


def test_many_lengths_are_shortened_to_few_and_every_series_comes_once():
    frame = pd.concat([long(np.ones(30 + 7 * i), f"s{i:02d}") for i in range(40)])
    panel = read_panel(frame)
    blocks = list(panel.blocks(7))
    assert sorted(np.concatenate([where for where, _ in blocks]).tolist()) == list(range(40))
    assert len(blocks) < 20
    for where, matrix in blocks:
        for row, i in enumerate(where):
            full = len(panel.values[i])
            assert full / 1.2 <= matrix.shape[1] <= full
            assert matrix[row].tolist() == panel.values[i][full - matrix.shape[1] :].tolist()
