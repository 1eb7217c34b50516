"""What the explorer shows is what fa.showback says, for every choice; bad frames are refused."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from ipywidgets.embed import embed_data

import finops_ai as fa
from finops_ai.errors import DataError, FrameError
from finops_ai.periods import Window
from finops_ai.widgets import static_explorer
from finops_ai.widgets.cube import UNSTATED, Cube
from finops_ai.widgets.spans import alongside, before, buckets, partial
from finops_ai.widgets.view import METRICS, View, board, code, measure

from .conftest import HOSTILE

OCTOBER = (dt.date(2026, 10, 1), dt.date(2026, 10, 31))


@pytest.fixture(scope="module")
def cube(allocated):
    return Cube.of(allocated)


def test_business_dimensions_come_first_then_what_people_drill_into(cube):
    assert cube.dimensions[:6] == ["team", "product", "environment", "cost_centre", "provider", "model"]
    assert cube.levels["team"][0] == "mobile"  # the most expensive: its provisioned units


@pytest.mark.parametrize("by", ["team", "product", "provider", "model", "prompt_id", "service_tier"])
def test_every_grouping_equals_showback_to_the_last_digit(cube, allocated, by):
    found = {r["name"]: r for r in cube.totals(by, cube.where({}, *OCTOBER))}
    table = fa.showback(allocated, by=[by], month="2026-10")
    shown = {
        row[by] if isinstance(row[by], str) else UNSTATED: row["cost"] for row in table.published().to_dict("records")
    }
    for row in table.to_dict("records"):
        name = row[by] if isinstance(row[by], str) else UNSTATED
        if name not in found:  # only used in the month before
            assert not row["cost"]
            continue
        assert found[name]["cost"] == row["cost"]
        assert measure(found[name], "cost") == shown[name]  # in the cents that tables publish
        assert (measure(found[name], "tokens") or 0) == (row["tokens"] or 0)
        assert (measure(found[name], "requests") or 0) == (row["requests"] or 0)


@pytest.mark.parametrize("metric", METRICS)
def test_bars_add_up_to_the_stated_total(cube, metric):
    data = board(cube, View("team", metric, first=OCTOBER[0], last=OCTOBER[1]))
    if data["kind"] == "stack":
        total = sum(v or 0 for g in data["groups"] for v in g["values"])
        assert total == pytest.approx(data["total"], rel=1e-12)
        assert sum(g["total"] or 0 for g in data["groups"]) == pytest.approx(data["total"], rel=1e-12)
    assert len(data["buckets"]) == 31
    assert data["before_text"] == "September 2026"


def test_the_code_shown_gives_the_table_shown(allocated):
    explorer = fa.explore(allocated)
    explorer.only(team="support")
    explorer.drill("support-assistant") if explorer.view.by == "product" else explorer.only(product="support-assistant")
    scope: dict = {"frame": allocated}
    *lines, last = explorer.code.splitlines()
    exec("\n".join(lines), scope)
    table = eval(last, scope)
    assert list(table["cost"]) == list(explorer.table()["cost"])
    assert sum(table.published()["cost"], Decimal(0)) == Decimal(str(explorer.board.data["total"]))


def test_drilling_goes_where_something_differs_and_back(allocated):
    explorer = fa.explore(allocated)
    explorer.drill("data")  # three products
    assert (explorer.view.by, explorer.view.filters) == ("product", (("team", "data"),))
    explorer.drill("document-extraction", "2026-10-28")  # alike in all else: straight to its meters
    assert explorer.view.by == "meter"
    assert explorer.board.data["rows"]["period_text"] == "28 Oct 2026"
    rows = explorer.rows()
    day = allocated[
        (allocated["team"] == "data")
        & (allocated["product"] == "document-extraction")
        & (allocated["charge_period_start"] == "2026-10-28")
    ]
    known = [c for c in rows["cost"] if isinstance(c, Decimal)]
    assert sum(known, Decimal(0)) == sum(day["effective_cost"].dropna(), Decimal(0))
    explorer.back()
    assert (explorer.view.by, explorer.view.filters) == ("product", (("team", "data"),))
    explorer.back(0)
    assert explorer.view.filters == ()


def test_the_rows_behind_a_bar_add_up_to_the_bar(teams_frame):
    # 140 days from 1 October, a Thursday: weeks, of which the first has 4 days; each day costs 0.01
    explorer = fa.explore(teams_frame(["a", "b"], days=140), by="team")
    explorer.between("2026-10-01", "2027-12-31")  # beyond the last day: the weeks are those of the days there are
    data = explorer.board.data
    assert (data["grain"], data["buckets"][0], data["partial"][0]) == ("week", "2026-09-28", "4 of 7 days")
    assert data["groups"][0]["values"][0] == pytest.approx(0.04)
    explorer.drill("a", data["buckets"][0])
    assert sum(explorer.rows()["cost"], Decimal(0)) == Decimal("0.04")


def test_messages_of_the_browser_drill_and_unknown_names_are_ignored(allocated):
    explorer = fa.explore(allocated)
    explorer._heard(None, {"kind": "pick", "name": "support", "bucket": "2026-10-28"}, None)
    assert explorer.view.filters == (("team", "support"),)
    explorer._heard(None, {"kind": "pick", "name": "no such thing"}, None)
    assert explorer.view.filters == (("team", "support"),)
    explorer._heard(None, {"kind": "path", "length": 0}, None)
    assert explorer.view.filters == ()


def test_controls_change_the_view(allocated):
    explorer = fa.explore(allocated)
    explorer.controls["metric"].value, explorer.controls["by"].value, explorer.controls["compare"].value = (
        "tokens",
        "model",
        "none",
    )
    data = explorer.board.data
    assert (data["title"], data["before"]) == ("Tokens by model", None)
    explorer.controls["dimension"].value = "provider"
    explorer.controls["name"].value = "anth"  # the only provider with it in its name
    assert explorer.view.filters == (("provider", "anthropic"),)
    explorer.controls["dimension"].value = "provider"
    explorer.controls["name"].value = "o"  # several
    assert explorer.board.data["message"] == "No single provider is called “o”."
    assert explorer.view.filters == (("provider", "anthropic"),)
    explorer.between("2026-10-05", "2026-10-11")
    assert explorer.board.data["period_text"] == "5 Oct 2026 to 11 Oct 2026"
    assert [explorer.controls[d].value for d in ("from", "to")] == [dt.date(2026, 10, 5), dt.date(2026, 10, 11)]
    assert explorer.controls["period"].value == "other"
    explorer.controls["to"].value = dt.date(2026, 10, 1)  # before the first: taken the right way round
    assert explorer.board.data["period_text"] == "1 Oct 2026 to 5 Oct 2026"
    explorer.controls["period"].value = OCTOBER
    assert explorer.board.data["period_text"] == "October 2026"
    assert {explorer.controls[d].layout.display for d in ("from", "to")} == {"none"}
    explorer.controls["period"].value = "other"  # other days, not said which: as before, now with fields to change them
    assert explorer.board.data["period_text"] == "October 2026"
    assert {explorer.controls[d].layout.display for d in ("from", "to")} == {""}


@pytest.mark.long
def test_hostile_names_stay_names(teams_frame):
    frame = teams_frame(HOSTILE)
    explorer = fa.explore(frame, by="team")
    assert {g["name"] for g in explorer.board.data["groups"]} | {g["name"] for g in explorer.board.data["more"]} >= set(
        HOSTILE
    )
    for name in HOSTILE:
        explorer.only(team=name)
        scope: dict = {"frame": frame}
        *lines, last = explorer.code.splitlines()
        exec("\n".join(lines), scope)
        assert list(eval(last, scope)["cost"]) == [Decimal("0.03")]  # 3 days x 1000 tokens x 10 USD per million


@pytest.mark.long
def test_ten_thousand_teams_are_ranked_and_folded(teams_frame):
    explorer = fa.explore(teams_frame([f"team {i:05}" for i in range(10_000)], days=2), by="team")
    data = explorer.board.data
    assert data["total"] == pytest.approx(200)  # 10,000 teams x 2 days x 0.01
    assert len(data["groups"]) == 9
    assert data["groups"][-1]["name"] == "other"
    assert len(data["more"]) + data["hidden"] == 10_000 - 8


def test_one_row_and_an_unknown_price(teams_frame):
    data = fa.explore(teams_frame(["a"], days=1)).board.data
    assert (data["total"], len(data["buckets"])) == (0.01, 1)
    unknown = fa.explore(teams_frame(["a"], days=1, model="no-such-model")).board.data
    assert unknown["total"] is None
    assert unknown["notes"] == ["Rows without a known price, not in the cost: 1."]


def test_a_frame_without_rows_is_an_explorer_that_says_so(allocated):
    explorer = fa.explore(allocated.iloc[:0])
    data = explorer.board.data
    assert (data["groups"], data["empty"]) == ([], "There is nothing to explore: the frame has no rows.")
    assert len(explorer.table()) == len(explorer.rows()) == 0
    explorer.only(team="search")
    assert explorer.board.data["groups"] == []
    assert "nothing to explore" in static_explorer(allocated.iloc[:0])


def test_a_period_before_the_first_day_is_not_compared(allocated):
    explorer = fa.explore(allocated, by="team")
    explorer.between("2026-09-01", "2026-09-30")
    data = explorer.board.data
    assert (data["compared"], data["before"], data["before_text"]) == (
        False,
        None,
        "not compared: the data begin on 1 Sep 2026",
    )


NOVEMBER = (dt.date(2026, 11, 1), dt.date(2026, 11, 30))


def test_what_is_not_known_of_the_period_before_is_not_zero(teams_frame):
    cube = Cube.of(teams_frame(["a"], days=61))  # tokens and their cost, but nobody counted requests
    data = board(cube, View("team", "requests", first=NOVEMBER[0], last=NOVEMBER[1]))
    assert (data["compared"], data["before"], data["before_text"]) == (True, None, "October 2026")
    assert [(g["total"], g["before"]) for g in data["groups"]] == [(None, None)]
    assert set(data["before_values"]) == {None}
    data = board(cube, View("team", "cost_per_request", first=NOVEMBER[0], last=NOVEMBER[1]))
    assert (data["total"], data["before"], data["groups"][0]["before"]) == (None, None, None)


def test_a_name_that_is_gone_cost_nothing_which_is_known(teams_frame):
    frame = teams_frame(["a", "b"], days=61)
    gone = (frame["user_id"] == "b") & (frame["charge_period_start"] >= "2026-11-01")
    data = board(Cube.of(frame[~gone.to_numpy(bool)]), View("team", first=NOVEMBER[0], last=NOVEMBER[1]))
    assert [(g["name"], g["total"], g["before"]) for g in data["groups"] + data["more"]] == [
        ("a", pytest.approx(0.3), pytest.approx(0.31)),  # 30 and 31 days x 1000 tokens x 10 USD per million
        ("b", 0.0, pytest.approx(0.31)),
    ]


def test_weeks_cut_by_the_chosen_days_say_so(allocated):
    explorer = fa.explore(allocated, by="team")
    data = board(explorer.cube, View("team", first=dt.date(2026, 1, 1), last=dt.date(2026, 12, 31)))
    assert data["grain"] == "day"
    # 1 September 2026 is a Tuesday, 31 October a Saturday
    weeks = buckets(dt.date(2026, 9, 1), dt.date(2026, 10, 31), "week")
    assert partial(weeks, "week", dt.date(2026, 9, 1), dt.date(2026, 10, 31)) == {0: "6 of 7 days", 8: "6 of 7 days"}
    assert partial([dt.date(2026, 10, 1)], "month", *OCTOBER) == {}


def test_the_code_prices_and_keeps_the_zone(allocated):
    tokens = fa.sample(months=1)
    explorer = fa.explore(tokens, timezone="America/New_York", by="provider")
    assert "rows = fa.price(frame)" in explorer.code
    scope: dict = {"frame": tokens}
    *lines, last = explorer.code.splitlines()
    exec("\n".join(lines), scope)
    table = eval(last, scope)
    assert list(table["cost"]) == list(explorer.table()["cost"])
    explorer.between("2026-10-01", "2026-10-31")
    assert sum(explorer.table()["cost"], Decimal(0)) == explorer.rows(10**9)["cost"].sum()


def test_ratios_list_everybody(allocated):
    explorer = fa.explore(allocated, by="team")
    data = board(explorer.cube, View("team", "cost_per_request", first=OCTOBER[0], last=OCTOBER[1]))
    assert len(data["groups"]) + len(data["more"]) == len(fa.showback(allocated, by=["team"], month="2026-10"))


def test_what_can_not_be_explored_says_why(allocated, teams_frame):
    with pytest.raises(FrameError, match=r"call fa\.price"):
        Cube.of(fa.sample(months=1))
    with pytest.raises(FrameError, match="Did you mean 'team'"):
        Cube.of(allocated, dimensions=["taem"])
    with pytest.raises(FrameError, match="Did you mean 'team'"):
        fa.explore(allocated, by="taem")
    two = teams_frame(["a", "b"], days=1)
    two["pricing_currency"] = ["USD", "EUR"]
    with pytest.raises(DataError, match="EUR and USD"):
        fa.explore(two)


def test_the_reporting_zone_decides_the_day(teams_frame):
    # midnight UTC is the evening before in New York
    cube = Cube.of(teams_frame(["a"], days=1), timezone="America/New_York")
    assert cube.first == dt.date(2026, 9, 30)


@pytest.mark.parametrize(
    ("first", "last", "how", "expected"),
    [
        ("2026-03-01", "2026-03-31", "before", ("2026-02-01", "2026-02-28")),
        ("2026-03-02", "2026-03-08", "before", ("2026-02-23", "2026-03-01")),
        ("2028-02-29", "2028-02-29", "year", ("2027-02-28", "2027-02-28")),
    ],
)
def test_the_period_before(first, last, how, expected):
    span = before(dt.date.fromisoformat(first), dt.date.fromisoformat(last), how)
    assert tuple(map(str, span)) == expected


@pytest.mark.parametrize(
    ("until", "expected"),
    [("2026-03-10", ("2026-02-01", "2026-02-10")), ("2026-03-30", ("2026-02-01", "2026-02-28"))],
)
def test_a_month_that_is_not_over_is_set_against_the_same_days(until, expected):
    span = before(dt.date(2026, 3, 1), dt.date(2026, 3, 31), "before", dt.date.fromisoformat(until))
    assert tuple(map(str, span)) == expected


def test_the_dashed_line_keeps_weekdays():
    span, text = alongside(dt.date(2026, 10, 5), dt.date(2026, 10, 11), "day", "before", OCTOBER)
    assert span[0].weekday() == 0
    assert text == "the same weekdays 1 week earlier"


def test_buckets_cover_every_day_once():
    assert buckets(dt.date(2026, 1, 30), dt.date(2026, 3, 1), "month") == [dt.date(2026, m, 1) for m in (1, 2, 3)]
    weeks = buckets(dt.date(2026, 10, 1), dt.date(2026, 10, 31), "week")
    assert all(w.weekday() == 0 for w in weeks)
    assert (weeks[0], weeks[-1]) == (dt.date(2026, 9, 28), dt.date(2026, 10, 26))


def test_code_names_the_window_half_open():
    text = code(View("team", first=OCTOBER[0], last=OCTOBER[1]), *OCTOBER)
    assert "Window.of('2026-10-01', '2026-11-01')" in text
    assert Window.of("2026-10-01", "2026-11-01").days == 31


def test_its_state_can_be_kept_in_a_notebook_or_a_page(allocated):
    explorer = fa.explore(allocated)
    state = embed_data([explorer])["manager_state"]["state"]
    assert state[explorer.board.model_id]["state"]["data"]["title"] == "Cost by team"
