"""Charts draw what they are given, never fail on empty or unknown figures, and keep outside text as text."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from xml.etree import ElementTree

import pandas as pd
import pytest

from finops_ai.reporting import charts
from finops_ai.tables.palette import GREY, PROVIDERS, colours


def daily(names=("a", "b"), days=5, cost="10"):
    rows = [(dt.date(2026, 10, 1 + d), n, Decimal(cost)) for d in range(days) for n in names]
    return pd.DataFrame(rows, columns=["day", "team", "cost"])


def drawn(figure):
    text = charts.svg(figure, "what it shows")
    assert text.startswith('<svg role="img" aria-label="what it shows"')
    assert "http" not in text.replace("http://www.w3.org", "")
    ElementTree.fromstring(text)
    return text


def columns(figure):
    """Bottom and top of every column of a stacked chart."""
    corners = [patch.get_path().vertices.reshape(-1, 5, 2) for patch in figure.axes[0].patches]
    return [(column[0][1], column[1][1]) for name in corners for column in name]


def test_stacked_days_add_up_and_fold_the_small_ones():
    figure = charts.stacked_days(daily([f"team {i}" for i in range(10)]), "team", top=6, title="Cost")
    axes = figure.axes[0]
    assert len(axes.patches) == 7
    assert sum(top - bottom for bottom, top in columns(figure)) == pytest.approx(10 * 5 * 10)
    assert "other" in drawn(figure)


@pytest.mark.parametrize(
    "figure",
    [
        lambda: charts.stacked_days(daily(days=0), "team"),
        lambda: charts.stacked_days(daily(days=1).assign(cost=None), "team"),
        lambda: charts.ranked_bars(daily(days=0), "team"),
        lambda: charts.ranked_bars(daily(days=1).assign(cost=pd.NA), "team"),
        lambda: charts.lines(daily(days=0), "team", value="cost"),
        lambda: charts.lines(daily(days=3).assign(cost=None), "team", value="cost"),
        lambda: charts.calendar({}),
        lambda: charts.calendar({dt.date(2026, 10, 1): None}),
        lambda: charts.fan([], [], {}),
        lambda: charts.bridge([]),
    ],
)
def test_nothing_and_unknown_are_drawn_as_nothing(figure):
    drawn(figure())


def test_one_day_months_and_a_plan():
    drawn(charts.stacked_days(daily(days=1), "team"))
    months = pd.DataFrame({"month": ["2026-09", "2026-10"], "team": ["a", "a"], "cost": [Decimal(1), Decimal(2)]})
    text = drawn(charts.stacked_days(months, "team", time="month"))
    assert all(f">{word}<" in text for word in ("Sep", "2026", "Oct"))
    days = [(dt.date(2026, 10, d), d) for d in range(1, 29)]
    ahead = [(dt.date(2026, 11, d), 5) for d in range(1, 8)]
    figure = charts.fan(
        days, ahead, {80: [(4, 6)] * 7, 95: [(3, 8)] * 7}, plan=[(dt.date(2026, 10, 1), 9), (dt.date(2026, 11, 7), 9)]
    )
    text = drawn(figure)
    assert all(word in text for word in ("actual", "forecast", "plan", "80% interval", "95% interval"))


def test_a_bridge_says_its_amounts_with_signs():
    text = drawn(charts.bridge([("volume", Decimal(120)), ("price", Decimal("-40.5"))], title="1,000 to 1,079.5"))
    assert "+120" in text
    assert re.search("[-−]40.50", text)


def test_amount_axes_start_at_zero():
    for figure in (charts.stacked_days(daily(), "team"), charts.lines(daily(cost="100"), "team", value="cost")):
        assert figure.axes[0].get_ylim()[0] == 0


def test_outside_text_stays_text():
    name = "</svg><script>$x^2$\u202e"
    text = drawn(charts.stacked_days(daily([name, "b"]), "team", title="t"))
    assert "<script" not in text
    assert "x^2" in text
    assert "<b>" not in charts.svg(charts.ranked_bars(daily([name]), "team"), 'alt "<b>"')


@pytest.mark.long
def test_a_chart_draws_itself_again_for_a_narrow_screen():
    figure = charts.stacked_days(daily(), "team", title="t")
    wide, narrow = figure.get_figwidth(), figure.again().get_figwidth()
    assert narrow < wide / 2
    html = charts.boxed(figure, "what it shows")
    assert html.count('aria-label="what it shows"') == 2
    assert (html.count('class="wide"'), html.count('class="narrow"')) == (1, 1)
    assert charts.stacked_days(daily(), "team").get_figwidth() == wide


def test_a_name_has_one_colour_whatever_is_shown_beside_it():
    teams = ["search", "mobile", "data", "growth", "legal"]
    own = colours(teams)
    assert len(set(own.values())) == 5
    for shown in (["data", "mobile"], ["mobile"], ["legal", "other", "data"]):
        assert {n: c for n, c in colours(shown, teams).items() if n in own} == {n: own[n] for n in shown if n in own}
    # neither order nor who else comes along later in the alphabet changes it
    assert colours(teams[::-1]) == own
    assert {n: c for n, c in colours([*teams, "zeta"]).items() if n in own} == own


def test_names_beside_a_chart_do_not_cover_each_other():
    rows = [
        (dt.date(2026, 10, d), f"t{i}", Decimal("1000") if not i else Decimal("0.01")) for d in (1, 2) for i in range(6)
    ]
    figure = charts.stacked_days(pd.DataFrame(rows, columns=["day", "team", "cost"]), "team")
    spots = sorted(t.get_position()[1] for t in figure.axes[0].texts)
    low, high = figure.axes[0].get_ylim()
    assert len(spots) == 6
    assert min(b - a for a, b in zip(spots, spots[1:], strict=False)) > (high - low) / 20
    assert spots[-1] <= high


def test_credits_hang_below_nothing():
    rows = [(dt.date(2026, 10, 1), "a", Decimal(5)), (dt.date(2026, 10, 1), "b", Decimal(-2))]
    figure = charts.stacked_days(pd.DataFrame(rows, columns=["day", "team", "cost"]), "team")
    assert sorted(columns(figure)) == [(0, -2), (0, 5)]
    low, high = figure.axes[0].get_ylim()
    assert low < -2
    assert high > 5


def test_bars_without_a_name_or_cost_are_no_bars():
    table = pd.DataFrame(
        {
            "prompt_id": ["a", None, "b", "c"],
            "cost": [Decimal(3), Decimal(9), Decimal(0), None],
            "provider": ["openai"] * 4,
        }
    )
    figure = charts.ranked_bars(table, "prompt_id", group="provider")
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["a"]
    assert "openai" in drawn(figure)


def test_a_calendar_frames_and_names_the_dearest_days():
    days = {dt.date(2026, 9, d): Decimal(10) for d in range(1, 31)} | {dt.date(2026, 9, 9): Decimal(250)}
    figure = charts.calendar(days, currency="EUR", marked=1)
    assert "the dearest days: 9 Sep 250 EUR" in drawn(figure)
    frames = [p for p in figure.axes[0].patches if not p.get_fill()]
    assert [p.get_xy() for p in frames] == [(1, 2)]  # the second week's Wednesday; 1 September 2026 is a Tuesday


def test_ink_follows_the_page():
    text = drawn(charts.stacked_days(daily(), "team", title="t"))
    assert "currentColor" in text
    assert charts.INK not in text


def test_the_readers_own_style_is_left_alone():
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    drawn(charts.stacked_days(daily(), "team"))
    assert dict(mpl.rcParams) == before


def test_colours_are_stable_and_told_apart():
    assert colours(["anthropic", "other"]) == {"anthropic": PROVIDERS["anthropic"], "other": GREY}
    many = [f"team {i}" for i in range(24)]
    assert len(set(colours(many).values())) == 24
    everybody = [f"team {i}" for i in range(500)]
    assert len(set(colours(everybody[:8], everybody).values())) == 8  # past 24 colours repeat, but not side by side
    nobody = ["other", "Idle capacity", "Unmapped", "Shared, not divided"]
    assert len(set(colours(nobody).values())) == 4


def test_a_sparkline_needs_two_figures():
    assert charts.sparkline([1]) == ""
    assert charts.sparkline([None, 1, 2]).count(",") == 2
