"""Result tables read well, keep what is known about them, and draw themselves; pandas stays pandas underneath."""

from __future__ import annotations

import copy
import pickle
from decimal import Decimal as D

import matplotlib.pyplot as plt
import openpyxl
import pandas as pd
import pytest

from finops_ai.errors import FrameError
from finops_ai.tables import Facts, Table
from finops_ai.tables.result import provenance_of


@pytest.fixture(autouse=True)
def no_figures_left():
    yield
    plt.close("all")


@pytest.fixture
def table():
    frame = pd.DataFrame(
        {
            "team": ["search", "<b>ads", "legal"],
            "cost": [D("10.005"), D("2.005"), None],
            "tokens": [3_000_000, 500, 7],
            "cache_hit_rate": [0.5, 0.25, None],
        }
    )
    facts = Facts(
        "Cost by team", "USD", "2026-10", "cost of the rows", {"priced": 0.5, "captured": None}, ["One model has no price."],
        ["cost"], {"prices": "abc"},
    )  # fmt: skip
    return Table.of(frame, facts)


class TestReading:
    def test_in_a_terminal(self, table):
        # 10.005 + 2.005 = 12.01, so the cents are 10.00 + 2.01 or 10.01 + 2.00; never 10.00 + 2.00
        lines = repr(table).splitlines()
        assert lines[0] == "Cost by team 2026-10"
        assert lines[1].split() == ["team", "cost", "tokens", "cache_hit_rate"]
        assert lines[4].split() == ["legal", "–", "7", "–"]
        assert sum(D(line.split()[1]) for line in lines[2:4]) == D("12.01")
        assert lines[5:] == ["USD · conserves cost of the rows · priced 50.0%", "One model has no price."]

    def test_columns_that_do_not_fit_are_named(self, table):
        with pd.option_context("display.width", 40):
            wide = table.assign(**{f"figure_{i}": 1.0 for i in range(30)})
            text = repr(wide)
        assert "more columns: " in text
        assert text.count("figure_29") == 1
        assert max(map(len, text.splitlines()[1:5])) <= 120

    def test_long_tables_show_the_first_rows_and_how_many_follow(self):
        long = Table.of(
            pd.DataFrame({"team": [f"t{i}" for i in range(500)], "cost": [D(1)] * 500}), Facts(money=["cost"])
        )
        assert "490 more rows" in repr(long)
        assert "490 more rows" in long._repr_html_()

    def test_in_jupyter_text_from_outside_stays_text(self, table):
        page = table._repr_html_()
        assert "&lt;b&gt;ads" in page
        assert "<b>ads" not in page
        assert '<td style="text-align:right">3,000,000</td>' in page
        assert "priced 50.0%" in page

    def test_in_words(self, table):
        assert table.explain().splitlines() == [
            "Cost by team for 2026-10: 3 rows, one per team.",
            "Units: cost in USD; cache_hit_rate as shares (1 is the whole).",
            "Conserves: cost of the rows.",
            "Priced: 50.0%.",
            "Captured: `finops-ai reconcile` tells.",
            "One model has no price.",
            "Made with prices abc.",
        ]

    def test_a_control_character_cannot_break_a_line(self):
        assert len(repr(Table.of(pd.DataFrame({"team": ["a\nb\x1b[2J"], "cost": [1.0]}), Facts())).splitlines()) == 2


class TestSurviving:
    @pytest.mark.parametrize(
        "change",
        [
            copy.copy,
            copy.deepcopy,
            lambda t: pickle.loads(pickle.dumps(t)),
            lambda t: t[t["tokens"] > 100],
            lambda t: t.head(1),
            lambda t: t.sort_values("tokens"),
            lambda t: t.drop(columns="tokens"),
            lambda t: t.set_index("team"),
            lambda t: t.groupby("team")[["tokens"]].sum(),
            lambda t: pd.concat([t, t]),
        ],
    )
    def test_the_facts_come_along(self, table, change):
        changed = change(table)
        assert isinstance(changed, Table)
        assert (changed.facts.title, changed.facts.currency, changed.facts.provenance) == (
            "Cost by team",
            "USD",
            {"prices": "abc"},
        )
        assert repr(changed)
        assert changed._repr_html_()
        assert changed.explain()

    def test_a_part_says_that_it_is_one(self, table):
        assert table.head(2).explain().startswith("Cost by team for 2026-10: 2 of 3 rows, one per team.")

    def test_a_note_on_a_part_is_not_a_note_on_the_whole(self, table):
        table.head(1).facts.notes.append("only here")
        assert table.facts.notes == ["One model has no price."]

    def test_what_is_put_together_claims_no_coverage_and_never_mixes_currencies(self, table):
        euros = Table.of(pd.DataFrame({"team": ["x"], "cost": [D(1)]}), Facts("Cost by team", "EUR", money=["cost"]))
        both = pd.concat([table, euros])
        assert (both.facts.title, both.facts.currency, both.facts.coverage, both.facts.money) == (
            "Cost by team",
            "",
            {},
            [],
        )
        assert table.merge(table[["team", "tokens"]], on="team").facts.coverage == {}

    def test_grouped_names_are_shown_though_they_are_an_index(self, table):
        assert "search" in repr(table.groupby("team")[["tokens"]].sum())

    def test_a_transposed_table_prints(self, table):
        assert repr(table.T)
        assert repr(pd.concat([table, table], axis=1))

    def test_provenance_of_two_frames_names_both(self):
        one, two = pd.DataFrame(), pd.DataFrame()
        one.attrs["finops_ai"], two.attrs["finops_ai"] = {"prices": "a"}, {"prices": "b"}
        assert provenance_of(one, two, pd.DataFrame()) == {"prices": "a, b"}


class TestWriting:
    def test_excel_has_published_amounts_and_says_what_it_is(self, table, tmp_path):
        table.to_excel(tmp_path / "t.xlsx", sheet_name="October")
        book = openpyxl.load_workbook(tmp_path / "t.xlsx")
        assert book.sheetnames == ["October", "About"]
        cells = [[c.value for c in row] for row in book["October"].iter_rows()]
        assert cells[0] == ["team", "cost", "tokens", "cache_hit_rate"]
        assert round(cells[1][1] + cells[2][1], 2) == 12.01
        assert cells[3] == ["legal", None, 7, None]
        assert book["About"]["A2"].value == "Cost by team for 2026-10: 3 rows, one per team."

    def test_a_formula_stays_text(self, tmp_path):
        Table.of(pd.DataFrame({"team": ["=1+1"], "cost": [D(1)]}), Facts()).to_excel(tmp_path / "t.xlsx")
        assert openpyxl.load_workbook(tmp_path / "t.xlsx")["Table"]["A2"].data_type == "s"


def names_and_widths(axes):
    """Bars as drawn, from top to bottom."""
    order = zip([t.get_text() for t in axes.get_yticklabels()], [p.get_width() for p in axes.patches], strict=True)
    return list(order)[::-1]


class TestDrawing:
    @pytest.mark.long
    def test_largest_first_with_its_currency(self):
        frame = pd.DataFrame({"team": ["a$b", "big", "unknown"], "cost": [D("1.5"), D("7"), None]})
        axes = Table.of(frame, Facts("Cost by team", "EUR", money=["cost"])).plot()
        assert names_and_widths(axes) == [("big", 7.0), (r"a\$b", 1.5), ("unknown", 0.0)]
        assert axes.get_xlabel() == "cost EUR"
        assert axes.get_title(loc="left") == "Cost by team"

    @pytest.mark.long
    def test_another_column_by_another_name(self, table):
        axes = table.assign(kind=["x", "y", "x"]).plot("tokens", "kind")
        assert names_and_widths(axes) == [("x", 3_000_007.0), ("y", 500.0)]

    def test_time_makes_stacked_columns(self):
        rows = [("2026-10-01", "a", D(2)), ("2026-10-01", "b", D(1)), ("2026-10-02", "a", D(3))]
        table = Table.of(pd.DataFrame(rows, columns=["day", "team", "cost"]), Facts("Cost", "USD", money=["cost"]))
        axes = table.plot()
        assert [p.get_height() for p in axes.patches] == [2.0, 3.0, 1.0, 0.0]
        assert [p.get_y() for p in axes.patches][2:] == [2.0, 3.0]  # b stands on a
        assert [t.get_text() for t in axes.get_legend().get_texts()] == ["a", "b"]

    def test_a_rate_over_time_is_lines_never_stacked(self):
        rows = [("2026-10", "a", 0.5), ("2026-11", "a", 0.6), ("2026-11", "b", 0.2)]
        axes = Table.of(pd.DataFrame(rows, columns=["month", "team", "cache_hit_rate"]), Facts()).plot()
        assert not axes.patches
        assert list(axes.lines[0].get_ydata()) == [0.5, 0.6]

    def test_one_bridge_goes_step_by_step(self):
        steps = {
            "before": [D(10)],
            "after": [D(13)],
            "change": [D(3)],
            "volume": [D(5)],
            "price": [D(-2)],
            "other": [D(0)],
        }
        axes = Table.of(pd.DataFrame(steps), Facts("Why", "USD", money=list(steps))).plot()
        assert [t.get_text() for t in axes.get_yticklabels()] == ["volume", "price", "change"]
        assert [(p.get_x(), p.get_width()) for p in axes.patches] == [(0, 5), (5, -2), (0, 3)]
        assert axes.get_xlabel() == "change from 10.00 to 13.00 USD"

    def test_several_bridges_show_each_change(self):
        rows = {"team": ["a", "b"], "before": [D(1), D(9)], "after": [D(5), D(8)], "change": [D(4), D(-1)]}
        axes = Table.of(pd.DataFrame(rows), Facts(currency="USD", money=["before", "after", "change"])).plot()
        assert names_and_widths(axes) == [("a", 4.0), ("b", -1.0)]

    def test_a_forecast_has_its_fan(self):
        days = pd.date_range("2026-11-01", periods=3)
        frame = pd.DataFrame(
            {"unique_id": "total", "ds": days, "yhat": [1.0, 2, 3], "lo-80": [0.0, 1, 2], "hi-80": [2.0, 3, 4]}
        )
        axes = Table.of(frame, Facts("Forecast", "USD")).plot()
        assert list(axes.lines[0].get_ydata()) == [1, 2, 3]
        assert len(axes.collections) == 1

    def test_a_plan_has_the_known_part_and_the_budget(self):
        rows = {
            "month": ["2026-10", "2026-11", "year"], "unique_id": ["total"] * 3, "actual": [D(5), D(0), D(5)],
            "p10": [D(5), D(3), D(8)], "p50": [D(5), D(4), D(9)], "p90": [D(5), D(6), D(11)], "budget": [D(6), D(6), D(12)],
        }  # fmt: skip
        axes = Table.of(pd.DataFrame(rows), Facts("Plan", "USD")).plot()
        assert [t.get_text() for t in axes.get_xticklabels()] == ["2026-10", "2026-11"]
        assert [p.get_height() for p in axes.patches] == [5, 4, 5, 0]

    def test_budgets_that_are_overrun_stand_out(self):
        rows = {"name": ["all", "ads"], "budget": [D(10), D(10)], "spent": [D(5), D(12)], "projected": [D(9), D(14)]}
        axes = Table.of(pd.DataFrame(rows), Facts("Budgets", "USD", money=["budget", "spent", "projected"])).plot()
        spent = axes.patches[2:]
        assert [p.get_width() for p in spent] == [12, 5]
        assert spent[0].get_facecolor() != spent[1].get_facecolor()

    def test_no_rows_is_said(self, table):
        assert table.head(0).plot().texts[0].get_text() == "no rows"

    def test_a_column_that_is_not_there_gets_a_hint(self, table):
        with pytest.raises(FrameError, match="Did you mean 'tokens'"):
            table.plot("token")

    def test_into_given_axes(self, table):
        _, axes = plt.subplots()
        assert table.plot(ax=axes) is axes

    def test_pandas_own_plots_go_on_working(self, table):
        known = table.dropna(subset="cache_hit_rate")
        assert len(known.plot.bar(x="team", y="cache_hit_rate").patches) == 2
        assert len(known.plot(kind="barh", x="team", y="cache_hit_rate").patches) == 2
        assert known.hist(column="tokens").size == 1
        assert known.boxplot(column="cache_hit_rate") is not None
        assert len(known.groupby("team").plot(y="cache_hit_rate")) == 2


def test_versions_travel_from_prices_and_rules_to_every_table(tokens_of, book):
    import finops_ai as fa

    priced = fa.price(tokens_of([{"quantity": 1000}, {"meter": "output", "quantity": 100}]), book)
    mapped = fa.allocate(priced, {"dimensions": {"team": {"default": "unallocated"}}})
    made = fa.showback(mapped, by=["team"]).facts.provenance
    assert made["prices"] == "tiny"
    assert made["rules"] == fa.Rules.load({"dimensions": {"team": {"default": "unallocated"}}}).version
    assert fa.explain(priced, mapped).facts.provenance == made
    assert fa.unit_costs(priced).facts.provenance == {"prices": "tiny"}


def test_a_forecast_says_what_it_is():
    import finops_ai as fa

    days = pd.date_range("2026-01-01", periods=28)
    table = fa.forecast(pd.DataFrame({"unique_id": "a", "ds": days, "y": 5.0}), horizon=2)
    assert isinstance(table, Table)
    assert table.explain().splitlines()[0] == "Forecast for 2026-01-29 to 2026-01-30: 2 rows, one per unique id and ds."
    assert "USD" not in table.explain()  # nobody said that it is money
    assert list(table.plot().lines[0].get_ydata()) == [5.0, 5.0]


class TestDecidedCents:
    """Cents that were decided for rows stay theirs, in whatever order and under whatever index the rows are shown."""

    @pytest.fixture
    def decided(self):
        names, exact = ["a", "b", "c", "d"], [D("1.004"), D("1.006"), None, D("2.5")]
        facts = Facts("Cost", "USD", money=["cost"], charged=True)
        facts.cents = {"cost": [D("1.01"), D("1.00"), None, D("2.50")]}
        return Table.of(pd.DataFrame({"team": names, "cost": exact}), facts)

    @pytest.mark.parametrize(
        "move",
        [
            lambda t: t,
            lambda t: t.iloc[::-1],
            lambda t: t.iloc[::-1].reset_index(drop=True),
            lambda t: t.sort_values("team", ascending=False, ignore_index=True),
            lambda t: t.iloc[[1, 0]].reset_index(drop=True),
            lambda t: Table.of(t.iloc[::-1].reset_index(drop=True), t.facts),
            lambda t: Table.of(t.rename(columns={"team": "who"}), t.facts),
        ],
    )
    def test_they_stay_with_their_rows(self, decided, move):
        shown = move(decided).published()
        known = {"a": D("1.01"), "b": D("1.00"), "c": None, "d": D("2.50")}
        names = shown.iloc[:, 0].tolist()
        assert shown["cost"].tolist() == [known[name] for name in names]

    def test_another_amount_has_cents_of_its_own(self, decided):
        other = decided.assign(cost=[D("1.004"), D("1.007"), None, D("2.5")])
        assert other.published()["cost"].tolist() == [D("1.00"), D("1.01"), None, D("2.50")]
