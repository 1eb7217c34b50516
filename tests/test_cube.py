"""A workspace's months as cubes: kept in the lake, made again when anything changes, closed months as they were closed."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal

import pyarrow.parquet as pq
import pytest

import finops_ai as fa
from finops_ai.cli import main as command
from finops_ai.errors import DataError, FrameError
from finops_ai.frames.origin import left_out_of, named_dimensions, zone_of
from finops_ai.periods import Window
from finops_ai.reporting.site import make_report
from finops_ai.store.keeping import Cubes
from finops_ai.workspace import cubes

OCTOBER = Window.of("2026-10-01", "2026-11-01")
TEXT = """[workspace]
name = "acme"
timezone = "{zone}"
[dimensions.team]
[[rules]]
name = "ann"
when = {{ {when} }}
set = {{ team = "search" }}
{more}
"""


def calls(tokens_of, count=600):
    """Calls of six models' days, each with an id, a session and a trace of its own."""
    return tokens_of([
        {
            "at": dt.datetime(2026, 10, 1, tzinfo=dt.UTC) + dt.timedelta(hours=i), "provider": "openai", "model": "gpt-4.1",
            "charge_period_end": dt.datetime(2026, 10, 1, 0, 1, tzinfo=dt.UTC) + dt.timedelta(hours=i),
            "meter": ["input", "output"][i % 2], "quantity": 1000 + i, "user_id": ["ann", "bob", "cy"][i % 3], "slice_requests": 1,
            "slice_input_tokens": 1000, "session_id": f"s{i}", "tags": {"trace": f"t{i}", "env": ["dev", "prod"][i % 2]},
        }
        for i in range(count)
    ])  # fmt: skip


@pytest.fixture
def company(tmp_path, tokens_of):
    def at(*, when='user_id = "ann"', zone="UTC", more="", frame=None):
        (tmp_path / "finops.toml").write_text(TEXT.format(zone=zone, when=when, more=more), "utf-8")
        ws = fa.open(tmp_path)
        if frame is not None or ws.lake.version("tokens") is None:
            ws.lake.replace("tokens", "openai", OCTOBER, calls(tokens_of) if frame is None else frame)
        return ws

    return at


def cost(frame, team):
    return sum(frame["effective_cost"][(frame["team"] == team).to_numpy()], Decimal(0))


@pytest.mark.long
def test_a_cube_has_the_columns_of_the_rows_and_their_sums_by_day(company):
    ws = company(zone="Europe/Berlin")
    cube, rows = ws.cube("2026-10"), ws.allocated("2026-10")
    assert list(cube.columns) == list(rows.columns)
    assert (cube.dtypes == rows.dtypes).all()
    assert (named_dimensions(cube), zone_of(cube)) == (["team"], "Europe/Berlin")
    assert cube["request_id"].isna().all()
    # prices of gpt-4.1: 2 and 8 dollars per million; ann made calls 0, 3, 6, ...: even ones are input, odd ones output
    ann = [i for i in range(600) if i % 3 == 0]
    assert (
        cost(cube, "search")
        == cost(rows, "search")
        == sum(Decimal((1000 + i) * (2 if i % 2 == 0 else 8)) / 10**6 for i in ann)
    )
    for by in (["day"], ["session_id"], ["user_id", "meter"]):
        one, two = (fa.showback(f, by=by).sort_values(by, ignore_index=True) for f in (cube, rows))
        assert one[[*by, "cost", "tokens"]].equals(two[[*by, "cost", "tokens"]])


@pytest.mark.long
def test_a_cube_is_kept_in_the_lake_with_what_it_was_made_of_and_made_again_when_that_changes(
    company, tokens_of, monkeypatch
):
    ws = company()
    first = ws.cube("2026-10")
    (path,) = (ws.settings.root / "finops-lake" / "cubes" / "2026-10").glob("*.parquet")
    told = json.loads(pq.read_schema(path).metadata[b"finops_ai.made_of"])
    assert told["prices"] == ws.book.version
    assert [f.rpartition("/")[2] for f in told["files"]] == [f.rpartition("/")[2] for f in ws.lake.files("tokens")]
    with monkeypatch.context() as m:  # kept: nothing is read again
        m.setattr(cubes, "make_cube", None)
        assert fa.open(ws.settings.root).cube("2026-10").equals(first)
    path.write_bytes(path.read_bytes()[:-100])  # cut short: made again
    assert ws.cube("2026-10").equals(first)
    ws.lake.replace("tokens", "openai", OCTOBER, calls(tokens_of, 10))
    assert sum(ws.cube("2026-10")["quantity"]) == sum(1000 + i for i in range(10))
    changed = company(when='user_id = "bob"')
    assert cost(changed.cube("2026-10"), "search") == cost(changed.allocated("2026-10"), "search") != 0


def test_another_months_load_leaves_a_cube_as_it_is(company, tokens_of, monkeypatch):
    ws = company()
    ws.cube("2026-10")
    later = calls(tokens_of, 5).assign(charge_period_start=lambda f: f["charge_period_start"] + dt.timedelta(days=31))
    later["charge_period_end"] += dt.timedelta(days=31)
    ws.lake.replace("tokens", "openai", Window.of("2026-11-01", "2026-12-01"), later)
    monkeypatch.setattr(cubes, "make_cube", None)
    assert len(ws.cube("2026-10")) > 0


def test_a_rule_may_read_what_only_single_requests_have(company, tokens_of):
    frame = calls(tokens_of)
    ws = company(when='request_id = "7"', frame=frame)
    assert cost(ws.cube("2026-10"), "search") == Decimal(1007 * 8) / 10**6
    ws = company(when="quantity = { at_least = 1590 }")
    # 1590 to 1599: five inputs and five outputs
    wanted = sum(Decimal((1590 + i) * (2 if i % 2 == 0 else 8)) / 10**6 for i in range(10))
    assert cost(ws.cube("2026-10"), "search") == wanted == cost(ws.allocated("2026-10"), "search")


@pytest.mark.long
def test_tags_are_kept_where_rules_or_settings_name_them_or_somebody_asks(company):
    ws = company(when='"tags.env" = "dev"')
    assert {key for tags in ws.cube("2026-10")["tags"] for key, _ in tags} == {"env"}
    traces = ws.cube("2026-10", by=["tags.trace"])
    assert len(fa.showback(traces, by=["tags.trace"])) == 600
    named = company(more='[[budgets]]\namount = 5\nmonth = "2026-10"\nby = "tags.trace"')
    assert len({dict(tags)["trace"] for tags in named.cube("2026-10")["tags"]}) == 600


@pytest.mark.long
def test_what_a_bounded_cube_leaves_out_is_named_refused_and_given_on_demand(company, tokens_of):
    many = calls(tokens_of, 744)
    many = fa.frames.concat(
        [
            many.assign(session_id=[f"{n}-{i}" for i in range(744)], request_id=[f"{n}-{i}" for i in range(744)])
            for n in range(4)
        ]
    )
    ws = company(more="[engine]\ncells = 1000", frame=many)
    cube = ws.cube("2026-10")
    assert left_out_of(cube) == ["session_id"]
    assert len(cube) < 1000
    assert sum(cube["effective_cost"]) == sum(ws.allocated("2026-10")["effective_cost"])
    with pytest.raises(FrameError, match=r"session_id.*by=\['session_id'\]"):
        fa.showback(cube, by=["session_id"])
    with pytest.raises(FrameError, match="session_id"):
        fa.showback(ws.history("2026-10"), by=["session_id"])
    asked = ws.cube("2026-10", by=["session_id"])
    assert len(fa.showback(asked, by=["session_id"])) == 4 * 744
    assert ws.cube("2026-10", by=["user_id"]).equals(cube)


@pytest.mark.long
def test_a_month_without_its_finest_columns_is_explained_and_reported_whole(company, tokens_of, tmp_path):
    many = calls(tokens_of, 744)
    many = fa.frames.concat([many.assign(prompt_id=[f"{n}-{i}" for i in range(744)]) for n in range(2)])
    ws = company(more="[engine]\ncells = 1000", frame=many)
    cube = ws.cube("2026-10")
    assert "prompt_id" in left_out_of(cube)
    late = cube["charge_period_start"].dt.day > 15
    why = fa.explain(cube[~late], cube[late], by=["team"])
    assert sum(why["change"]) == sum(why["after"]) - sum(why["before"])
    assert any(note.startswith("Not told apart") and "prompt_id" in note for note in why.facts.notes)
    assert len(why.drivers(3))
    with pytest.raises(FrameError, match="prompt_id"):
        fa.explain(cube[~late], cube[late], by=["prompt_id"])
    report = make_report(ws, "2026-10", tmp_path / "out", config=str(tmp_path / "finops.toml"))
    assert [p.error for p in report.failed] == []
    assert "not told apart here" in (report.folder / "showback.html").read_text("utf-8")


def test_hours_are_not_asked_of_days(company):
    ws = company()
    with pytest.raises(DataError, match=r"ws\.allocated"):
        fa.forecast(ws.history("2026-10"), 24, freq="h")


@pytest.mark.long
def test_a_closed_month_is_read_from_its_files_and_a_true_up_of_nothing_posts_nothing(company, capsys, tokens_of):
    def main(arguments):
        with pytest.raises(SystemExit) as end:
            command(arguments)
        return end.value.code

    shared = '[[shared]]\nname = "rest"\nwhen = { team = "unallocated" }\ndimension = "team"\nmethod = "even"\nto = ["a", "b", "c"]'
    ws = company(more=shared)
    where = str(ws.settings.root / "finops.toml")
    assert main(["close", "2026-10", "--config", where]) == 0
    sealed = ws.cube("2026-10")
    capsys.readouterr()
    assert main(["true-up", "2026-10", "--dry-run", "--config", where]) == 0
    assert "Nothing has changed" in capsys.readouterr().err
    ws.lake.replace("tokens", "openai", OCTOBER, calls(tokens_of, 300))
    assert ws.cube("2026-10")["effective_cost"].equals(sealed["effective_cost"])
    assert main(["true-up", "2026-10", "--dry-run", "--config", where]) == 0
    assert "Nothing has changed" not in capsys.readouterr().err


def test_a_cube_that_cant_be_kept_is_made_every_time(company, monkeypatch):
    ws = company()

    def full(self):
        raise OSError("no space left")

    monkeypatch.setattr(Cubes, "_filesystem", full)
    assert sum(ws.cube("2026-10")["quantity"]) == sum(1000 + i for i in range(600))
