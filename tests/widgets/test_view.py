"""What the explorer shows is what fa.showback says, for every choice; bad frames are refused."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

import finops_ai as fa
from finops_ai.errors import DataError, FrameError
from finops_ai.periods import Window
from finops_ai.widgets.cube import UNSTATED, Cube
from finops_ai.widgets.view import METRICS, View, alongside, before, board, buckets, code, measure

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
    for row in table.to_dict("records"):
        name = row[by] if isinstance(row[by], str) else UNSTATED
        assert measure(found[name], "cost") == row["cost"]
        assert (measure(found[name], "tokens") or 0) == row["tokens"]
        assert (measure(found[name], "requests") or 0) == row["requests"]


@pytest.mark.parametrize("metric", METRICS)
def test_bars_add_up_to_the_stated_total(cube, metric):
    data = board(cube, View("team", metric, first=OCTOBER[0], last=OCTOBER[1]))
    if data["kind"] == "stack":
        total = sum(v or 0 for g in data["groups"] for v in g["values"])
        assert total == pytest.approx(data["total"], rel=1e-12)
        assert sum(g["total"] or 0 for g in data["groups"]) == pytest.approx(data["total"], rel=1e-12)
    assert len(data["buckets"]) == 31
    assert data["before_text"] == "1 Sep 2026 to 30 Sep 2026"


def test_the_code_shown_gives_the_table_shown(allocated):
    explorer = fa.explore(allocated)
    explorer.only(team="support")
    explorer.drill("support-assistant") if explorer.view.by == "product" else explorer.only(product="support-assistant")
    scope: dict = {"frame": allocated}
    *lines, last = explorer.code.splitlines()
    exec("\n".join(lines), scope)
    table = eval(last, scope)
    assert list(table["cost"]) == list(explorer.table()["cost"])
    assert sum(table["cost"], Decimal(0)) == pytest.approx(Decimal(explorer.board.data["total"]), abs=Decimal("1e-6"))


def test_drilling_goes_where_something_differs_and_back(allocated):
    explorer = fa.explore(allocated)
    explorer.drill("data")  # three products
    assert (explorer.view.by, explorer.view.filters) == ("product", (("team", "data"),))
    explorer.drill("document-extraction", "2026-10-28")  # alike in all else: straight to its meters
    assert explorer.view.by == "meter"
    assert explorer.board.data["rows"]["title"] == "Rows behind data, document-extraction, 28 Oct 2026"
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
    explorer._metric.value, explorer._by.value, explorer._compare.value = "tokens", "model", "none"
    data = explorer.board.data
    assert (data["title"], data["before"]) == ("Tokens by model", None)
    explorer._dimension.value = "provider"
    explorer._value.value = "anthropic"
    assert explorer.view.filters == (("provider", "anthropic"),)
    explorer.between("2026-10-05", "2026-10-11")
    assert explorer.board.data["period_text"] == "5 Oct 2026 to 11 Oct 2026"


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
    assert unknown["notes"] == ["1 rows have no known price: their cost is not in the figures."]


def test_what_can_not_be_explored_says_why(allocated, teams_frame):
    with pytest.raises(FrameError, match=r"call fa\.price"):
        Cube.of(fa.sample(months=1))
    with pytest.raises(FrameError, match="Did you mean 'team'"):
        Cube.of(allocated, dimensions=["taem"])
    with pytest.raises(DataError, match="no rows"):
        fa.explore(allocated.iloc[:0])
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
