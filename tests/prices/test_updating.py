"""The update drill: what a price book takes, what it refuses, and what stays as it was."""

from __future__ import annotations

import datetime as dt
import json
import zipfile
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from finops_ai.cli.prices import prices
from finops_ai.engine import price
from finops_ai.errors import PriceError
from finops_ai.prices import PriceBook
from finops_ai.prices import book as book_module
from finops_ai.prices.cases import read_cases, run_cases
from finops_ai.prices.maps.history import Kept
from finops_ai.prices.maps.observed import TITLES
from finops_ai.prices.updating import age, prepare
from finops_ai.sample import sample

CASES = Path(__file__).parent / "cases"
ENTRY = {"litellm_provider": "openai", "mode": "chat"}


@pytest.fixture(autouse=True)
def own_data_folder(tmp_path, monkeypatch):
    """A user's data folder of its own; the book is read anew in it."""
    monkeypatch.setenv("FINOPS_AI_PRICE_DATA", str(tmp_path / "kept" / "prices.json"))
    book_module._default.cache_clear()
    yield
    book_module._default.cache_clear()


def litellm(folder: Path, name: str = "map.json", **models: dict) -> Path:
    path = folder / name
    path.write_text(json.dumps({model.replace("_", "-"): ENTRY | entry for model, entry in models.items()}), "utf-8")
    return path


def genai(folder: Path, published: str | None, **prices: str) -> Path:
    models = [
        {
            "id": "acme-1", "match": {"equals": "acme-1"},
            "prices": [
                {"prices": {"input_mtok": 1}},
                *({"constraint": {"start_date": day}, "prices": {"input_mtok": float(value)}} for day, value in prices.items()),
            ],
        }
    ]  # fmt: skip
    data: object = [{"id": "acme", "name": "Acme", "api_pattern": "acme", "models": models}]
    path = folder / "genai.json"
    path.write_text(json.dumps({"published": published, "providers": data} if published else data), "utf-8")
    return path


def run(*arguments: str):
    return CliRunner().invoke(prices, ["update", *arguments], catch_exceptions=False)


def today(days: int = 0) -> str:
    return (dt.datetime.now(dt.UTC).date() + dt.timedelta(days=days)).isoformat()


@pytest.mark.long
def test_a_new_map_is_shown_then_kept(tmp_path):
    path = litellm(tmp_path, nova_9={"input_cost_per_token": 3e-06, "output_cost_per_token": 1.5e-05})
    before = PriceBook.default().version
    dry = run(str(path), "--dated", today(), "--dry-run")
    assert dry.exit_code == 0
    assert "nova-9" in dry.output
    assert "Nothing was written" in dry.output
    book_module._default.cache_clear()
    assert PriceBook.default().version == before
    assert "2 prices differ. Kept in" in run(str(path), "--dated", today()).output
    book_module._default.cache_clear()
    found = PriceBook.default().lookup("openai", "nova-9", "input", today())
    assert (found.unit_price * 1_000_000, found.status) == (3, "listed")


@pytest.mark.long
def test_the_same_file_twice_changes_nothing(tmp_path):
    path = litellm(tmp_path, nova_9={"input_cost_per_token": 3e-06})
    run(str(path), "--dated", today())
    book_module._default.cache_clear()
    version = PriceBook.default().version
    assert "0 prices differ" in run(str(path), "--dated", today()).output
    book_module._default.cache_clear()
    assert PriceBook.default().version == version


@pytest.mark.parametrize("make", [litellm, lambda folder: genai(folder, "2026-01-01")])
def test_an_older_file_is_refused_unless_told(tmp_path, make):
    path = make(tmp_path) if make is not litellm else litellm(tmp_path, nova_9={"input_cost_per_token": 3e-06})
    dated = ["--dated", "2026-01-01"]
    with pytest.raises(PriceError, match=r"is of 2026-01-01; the book already has .* of 2026-11-20.*--allow-older"):
        run(str(path), *dated)
    assert not (tmp_path / "kept").exists()
    if make is not litellm:  # going back to an older list of the base is possible if it is wanted
        assert prepare([path], allow_older=True).after.base.published == dt.date(2026, 1, 1)


def test_an_undated_file_is_refused(tmp_path):
    for path in (litellm(tmp_path, nova_9={"input_cost_per_token": 3e-06}), genai(tmp_path, None)):
        with pytest.raises(PriceError, match=r"doesn't say from which day it is.*--dated"):
            run(str(path))
    with pytest.raises(PriceError, match="still to come"):
        run(str(path), "--dated", today(2))
    assert not (tmp_path / "kept").exists()


@pytest.mark.long
def test_a_wheel_is_dated_by_its_files(tmp_path):
    day = dt.datetime.now(dt.UTC).date()
    wheel = tmp_path / "litellm-9.9.9-py3-none-any.whl"
    text = litellm(tmp_path, nova_9={"input_cost_per_token": 3e-06}).read_text("utf-8")
    with zipfile.ZipFile(wheel, "w") as opened:
        info = zipfile.ZipInfo(
            "litellm/model_prices_and_context_window_backup.json", (day.year, day.month, day.day, 0, 0, 0)
        )
        opened.writestr(info, text)
    ready = prepare([wheel])
    assert ready.after.maps.read["litellm"] == ("9.9.9", day)
    with zipfile.ZipFile(wheel, "w") as opened:
        opened.writestr(zipfile.ZipInfo("litellm/model_prices_and_context_window_backup.json"), text)
    with pytest.raises(PriceError, match="doesn't say from which day"):
        prepare([wheel])


def test_a_cancelled_future_price_is_never_applied(tmp_path):
    announced, start = today(-1), today(30)
    first = prepare([genai(tmp_path, announced, **{start: "0.5"})])
    first.keep()
    late = first.after.lookup("acme", "acme-1", "input", today(60))
    assert (late.unit_price * 1_000_000, late.needs_confirmation) == (1, True)  # announced: the price before it, unsure
    book_module._default.cache_clear()
    second = prepare([genai(tmp_path, today())])  # a day later the announcement is gone
    after = second.after.lookup("acme", "acme-1", "input", today(60))
    assert (after.unit_price * 1_000_000, after.needs_confirmation) == (1, False)


@pytest.mark.long
def test_a_change_holds_from_its_day_and_the_past_stays(tmp_path):
    prepare([litellm(tmp_path, nova_9={"input_cost_per_token": 3e-06})], dated=dt.date(2026, 11, 22)).keep()
    book_module._default.cache_clear()
    ready = prepare([litellm(tmp_path, nova_9={"input_cost_per_token": 2e-06})], dated=dt.date(2026, 11, 25))
    rates = [
        ready.after.lookup("openai", "nova-9", "input", day).unit_price * 1_000_000
        for day in ("2026-11-24", "2026-11-25")
    ]
    assert rates == [3, 2]


@pytest.mark.long
def test_what_was_priced_stays_after_an_update(tmp_path):
    tokens = sample(months=1)
    before = price(tokens, PriceBook.default())
    path = litellm(
        tmp_path,
        nova_9={"input_cost_per_token": 3e-06},
        **{"gpt_5.4": {"input_cost_per_token": 9e-06, "output_cost_per_token": 9e-05}},
    )
    prepare([path], dated=dt.datetime.now(dt.UTC).date()).keep()
    book_module._default.cache_clear()
    after = price(tokens, PriceBook.default())
    pd.testing.assert_series_equal(before["list_cost"], after["list_cost"])
    assert before.attrs != after.attrs  # the version of the book is another one, and said


@pytest.mark.long
def test_all_known_bills_pass_after_an_update(tmp_path):
    prepare([litellm(tmp_path, nova_9={"input_cost_per_token": 3e-06})], dated=dt.datetime.now(dt.UTC).date()).keep()
    book_module._default.cache_clear()
    for name in ("known_bills", "known_bills_2"):
        outcomes = {result.outcome for result in run_cases(read_cases(CASES / f"{name}.json"))}
        assert outcomes == {"pass"}


@pytest.mark.long
def test_the_drill_over_two_closed_months(tmp_path):
    """Undated, old, new, the same again, raised: closed months never move, and every known bill passes after each."""
    tokens = sample(months=2)
    closed = price(tokens, PriceBook.default())["list_cost"]
    dear = {"gpt_5.4": {"input_cost_per_token": 9e-06, "output_cost_per_token": 9e-05}}
    maps = [
        litellm(tmp_path, "one.json", nova_9={"input_cost_per_token": 3e-06}, **dear),
        litellm(tmp_path, "two.json", nova_9={"input_cost_per_token": 4e-06}, **dear),
    ]
    with pytest.raises(PriceError, match="doesn't say from which day"):
        prepare(maps[:1])  # LiteLLM's map says no day of its own
    with pytest.raises(PriceError, match="older"):
        prepare(maps[:1], dated=dt.date(2026, 6, 1))
    differing = []
    for path, day in ((maps[0], 22), (maps[0], 23), (maps[1], 25)):
        book_module._default.cache_clear()
        ready = prepare([path], dated=dt.date(2026, 11, day))
        differing.append(bool(len(ready.changed)))
        ready.keep()
        book_module._default.cache_clear()
        pd.testing.assert_series_equal(price(tokens, PriceBook.default())["list_cost"], closed)
        outcomes = {result.outcome for result in run_cases(read_cases(CASES / "known_bills_2.json"))}
        assert outcomes == {"pass"}
    assert differing == [True, False, True]  # the same file twice changes nothing
    days = ("2026-11-22", "2026-11-24", "2026-11-25")
    rates = [PriceBook.default().lookup("openai", "nova-9", "input", day).unit_price * 1_000_000 for day in days]
    assert rates == [3, 3, 4]  # a change is of the day it was seen, whatever was seen between
    earlier = PriceBook.default().lookup("openai", "gpt-5.4", "input", "2026-11-01").unit_price * 1_000_000
    assert earlier == Decimal("2.5")


def test_what_is_no_price_map_is_refused(tmp_path):
    path = tmp_path / "other.json"
    for text, message in (
        ("{", "is no price map"),
        ("{}", "no price map that is known"),
        ('{"a": {"b": 1}}', "no price map that"),
    ):
        path.write_text(text, "utf-8")
        with pytest.raises(PriceError, match=message):
            prepare([path], dated=dt.date(2026, 11, 29))


def test_without_files_it_says_what_is_installed():
    result = run("--dry-run")
    assert "genai-prices" in result.output
    assert "0 prices differ. Nothing was written." in result.output


def test_an_old_book_is_said():
    from finops_ai.prices.views import findings

    days, newest = age(PriceBook.default(), dt.date(2027, 3, 1))
    assert (days, newest) == (101, "LiteLLM price map of 2026-11-20")
    found = findings(PriceBook(maps=Kept()), dt.datetime(2027, 3, 1, tzinfo=dt.UTC))
    assert "101 days old" in found.loc[found["finding"] == "old book", "detail"].iloc[0]


def test_the_bundled_history_is_what_the_book_says():
    kept = Kept()
    assert set(TITLES) - {"genai"} == set(kept.read)
    keys = kept.models("xai")["grok-4-1-fast-reasoning"]
    over = {key.over: said for key, said in keys.items() if key.meter == "input" and key.tier == "standard"}
    assert over[">128000"]["litellm"][0][1] == Decimal("0.4")
