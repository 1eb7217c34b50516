"""Rules decided per class of values, and rows added up before they are priced, give what row by row gives."""

from __future__ import annotations

import datetime as dt
import random
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

import finops_ai as fa
from finops_ai.engine import Rules, aggregate, aggregating, allocating, coded, summing
from finops_ai.engine.coded import Coder, Tuples, batches
from finops_ai.engine.summing import can_be_summed
from finops_ai.errors import DataError
from finops_ai.frames import to_arrow

RULES = {
    "dimensions": {"team": {}, "product": {"default": "none"}, "env": {}},
    "lookups": {"people": {"key": "user_id", "rows": [{"user_id": "ann", "cc": "10", "valid_to": "2026-10-20"}, {"user_id": "ann", "cc": "20", "valid_from": "2026-10-20"}]}},
    "rules": [
        {"name": "dated", "when": {"api_key_id": {"prefix": "k-1"}}, "set": {"team": "early"}, "to": "2026-10-25"},
        {"name": "regex", "when": {"api_key_id": {"regex": "^k-\\d[a-c]\\.x$"}, "not": {"tags.env": "dev"}}, "set": {"team": "digits"}},
        {"name": "later", "when": {"tags.env": {"exists": True}}, "set": {"env": "tagged"}, "from": "2026-10-30"},
        {"name": "ann", "when": {"user_id": "ann"}, "set": {"team": "cc-{people.cc}"}},
        {"name": "any", "when": {"any": [{"model": {"prefix": "sm"}}, {"api_key_id": ["z", "y"]}]}, "set": {"team": "small", "env": "e"}},
        {"name": "ordered", "when": {"model": {"at_least": "n", "below": "z"}}, "set": {"env": "{tags.env}"}},
        {"name": "second", "when": {"team": ["small", "digits"]}, "set": {"product": "of {team}"}},
    ],
}  # fmt: skip
PLAIN = {
    "dimensions": RULES["dimensions"],
    "rules": [RULES["rules"][i] for i in (0, 1, 2, 4)],
}


def rows(count=600):
    seed = random.Random(2)
    return [
        {
            "model": seed.choice(["small", "big", "nobody"]), "meter": seed.choice(["input", "output", "requests"]),
            "quantity": Decimal(seed.randrange(10**12)) / 1_000_000, "at": dt.datetime(2026, 10, 10, tzinfo=dt.UTC) + dt.timedelta(minutes=67 * i),
            "api_key_id": seed.choice(["k-1a.x", "k-1axx", "k-2b.x", "z", None]), "user_id": seed.choice(["ann", "bob", None]),
            "tags": seed.choice([None, {"env": "dev"}, {"env": ""}, {"env": "prod", "x": "1"}, {"x": "dev"}]),
            "service_tier": seed.choice(["standard", "batch"]), "slice_input_tokens": seed.choice([None, 5, 200_000, 200_001, 900_000]),
            "slice_requests": seed.choice([1, 7, None]),
        }
        for i in range(count)
    ]  # fmt: skip


@pytest.fixture
def row_by_row(monkeypatch):
    def run(work):
        with monkeypatch.context() as patch:
            patch.setattr(aggregating, "can_be_summed", lambda *_: False)
            patch.setattr(allocating, "by_class", lambda *_: False)
            return work()

    return run


def content(frame):
    return sorted(map(str, to_arrow(frame).to_pylist()))


@pytest.mark.parametrize("rules", [RULES, PLAIN], ids=["all kinds", "plain"])
@pytest.mark.parametrize(
    "by", [["month", "team", "model"], ["day", "env", "tags.env"], ["product", "price_id", "team", "env"], []]
)
@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_sums_are_what_row_by_row_gives(tokens_of, book, row_by_row, rules, by, zone):
    tokens = tokens_of(rows())
    assert can_be_summed(by, book, Rules.load(rules))

    def work():
        return aggregate(tokens, by, book=book, rules=rules, timezone=zone)

    assert content(work()) == content(row_by_row(work))


@pytest.mark.parametrize("together", [1, 100])
def test_cells_priced_a_few_at_a_time_are_priced_the_same(tokens_of, book, row_by_row, monkeypatch, together):
    """Keys, times and currencies that turn up late change nothing of what was counted before."""
    monkeypatch.setattr(summing, "_TOGETHER", together)
    monkeypatch.setattr(coded, "BATCH", 70)
    calls = [r | {"meter": meter} for r in rows(60) for meter in ("input", "output", "cache_read")]
    long_ago = [r | {"at": dt.datetime(1969, 7, 20, tzinfo=dt.UTC)} for r in calls[:5]]
    far_off = [r | {"at": dt.datetime(2055, 1, 1, tzinfo=dt.UTC)} for r in calls[5:9]]
    tokens = tokens_of([*calls[40:], *long_ago, *calls[:40], *far_off])

    def work():
        return aggregate(
            tokens, ["day", "meter", "team", "price_status"], book=book, rules=PLAIN, timezone="Asia/Tokyo"
        )

    assert content(work()) == content(row_by_row(work))


TURNS_AT_FOUR = """
[[list_prices]]
provider = "openai"
model = "gpt-7-nova"
prices = { input = "3" }
from = 2026-10-01
source = "an announcement"
[[list_prices]]
provider = "openai"
model = "gpt-7-nova"
prices = { input = "2" }
from = 2026-11-10T16:00:00Z
source = "an announcement"
"""


@pytest.mark.parametrize("others", [[], ["gpt-5.4", "gpt-4.1"]], ids=["alone", "among others"])
def test_a_price_that_turns_within_a_day_stays_turned(tokens_of, tmp_path, others):
    """On the day after, the hours before the turn cost the new price, too."""
    (tmp_path / "prices.toml").write_text(TURNS_AT_FOUR, "utf-8")
    at = [dt.datetime(2026, 11, day, hour, tzinfo=dt.UTC) for day in (9, 10, 11, 12) for hour in (10, 17)]
    calls = [{"model": m, "at": when, "quantity": 1_000_000} for when in at for m in ("gpt-7-nova", *others)]
    book = fa.PriceBook.load(tmp_path / "prices.toml")
    found = aggregate(tokens_of(calls), ["day", "model"], book=book, costs=("list_cost",))
    mine = found[found["model"] == "gpt-7-nova"].sort_values("day")
    assert [int(cost) for cost in mine["list_cost"]] == [3 + 3, 3 + 2, 2 + 2, 2 + 2]
    month = aggregate(tokens_of(calls[:: 1 + len(others)]), ["month"], book=book, costs=("list_cost",))
    assert int(month["list_cost"].iloc[0]) == 6 + 5 + 4 + 4


def test_what_turns_prices_of_one_model_asks_for_no_more_of_another(tokens_of, monkeypatch):
    """Prices are asked for once per stretch and tier of their own model, whatever else is in the rows."""
    asked, plain = [], fa.PriceBook.expand
    monkeypatch.setattr(fa.PriceBook, "expand", lambda self, keys: asked.extend(keys.to_pylist()) or plain(self, keys))
    at = [dt.datetime(2026, 9, 1, tzinfo=dt.UTC) + dt.timedelta(hours=h) for h in range(0, 24 * 60, 5)]
    sizes = [100, 150_000, 300_000]
    calls = [
        {"provider": p, "model": m, "at": when, "slice_requests": 1, "slice_input_tokens": sizes[i % 3]}
        for i, when in enumerate(at) for p, m in (("openai", "gpt-4.1"), ("openai", "gpt-5.4"), ("deepseek", "deepseek-chat"))
    ]  # fmt: skip
    book = fa.PriceBook.default()
    assert not book.change_days(at[0].date(), at[-1].date(), [("openai", "gpt-4.1"), ("openai", "gpt-5.4")])
    assert book.cuts_of([("openai", "gpt-5.4")]) == [272_001]
    aggregate(tokens_of(calls), ["day", "model"])
    count = {m: sum(key["model"] == m for key in asked) for m in ("gpt-4.1", "gpt-5.4", "deepseek-chat")}
    assert count["gpt-4.1"] == 1
    assert count["gpt-5.4"] <= len(sizes)
    assert count["deepseek-chat"] > 1


def test_what_cannot_be_priced_is_said_in_own_words(tokens_of):
    tokens = to_arrow(tokens_of(rows(1)))
    odd = tokens.set_column(tokens.column_names.index("meter"), "meter", pa.array(["inptu"]))
    with pytest.raises(DataError, match=r"^No meter called 'inptu'. Did you mean 'input'"):
        aggregate(odd, ["model"])


def test_rules_that_ask_for_the_meter_are_asked_for_every_meter(tokens_of, book):
    calls = [
        rows(1)[0] | {"meter": meter, "quantity": Decimal(n)}
        for n, meter in enumerate(["input", "output", "output"], 5)
    ]
    rules = {
        "dimensions": {"side": {}},
        "rules": [{"name": "out", "when": {"meter": "output"}, "set": {"side": "out"}}],
    }
    found = aggregate(tokens_of(calls), ["side"], book=book, rules=rules)
    assert {s: int(q) for s, q in zip(found["side"], found["quantity"], strict=True)} == {"unallocated": 5, "out": 13}


@pytest.mark.parametrize("rules", [RULES, PLAIN], ids=["all kinds", "plain"])
@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata"])
def test_rows_are_mapped_as_row_by_row(tokens_of, book, row_by_row, rules, zone):
    priced = fa.price(tokens_of(rows()), book)

    def work():
        return fa.allocate(priced, rules, timezone=zone)

    pd.testing.assert_frame_equal(work(), row_by_row(work))


@pytest.mark.long
def test_the_bundled_book_too(row_by_row):
    tokens = fa.sample(months=2)
    rules = {"dimensions": {"team": {}}, "rules": [{"when": {"tags.team": {"prefix": "s"}}, "set": {"team": "s"}}]}

    def work():
        return aggregate(
            tokens, ["day", "team", "model", "price_id", "price_status"], rules=rules, timezone="Asia/Tokyo"
        )

    assert content(work()) == content(row_by_row(work))


@pytest.mark.long
def test_any_file_layout(tokens_of, book, row_by_row, tmp_path):
    whole = to_arrow(tokens_of(rows()))
    one = whole.slice(0, 200).drop_columns(["tags", "user_id"])  # a file that lacks columns
    pq.write_table(one, tmp_path / "1.parquet", use_dictionary=False)
    place = whole.column_names.index("model")
    large = whole.slice(200, 250).set_column(place, "model", whole["model"].slice(200, 250).cast(pa.large_string()))
    pq.write_table(large, tmp_path / "2.parquet", row_group_size=70)
    pq.write_table(
        whole.slice(450), tmp_path / "3.parquet", dictionary_pagesize_limit=8, data_page_size=64, write_batch_size=8
    )

    def work(source):
        return content(aggregate(source, ["day", "team", "env"], book=book, rules=RULES))

    wanted = row_by_row(lambda: work(tmp_path))
    assert work(tmp_path) == wanted
    assert work(ds.dataset(sorted(map(str, tmp_path.glob("*.parquet"))), schema=whole.schema)) == wanted


def test_a_window_takes_only_its_rows(tokens_of, book):
    from finops_ai.periods import Window

    tokens = tokens_of(rows())
    window = Window.of("2026-10-12", "2026-10-13")
    got = aggregate(tokens, ["model"], book=book, window=window)
    inside = (tokens["charge_period_start"] >= window.start) & (tokens["charge_period_start"] < window.end)
    assert 0 < inside.sum() < len(tokens)
    assert sum(got["quantity"]) == sum(tokens["quantity"][inside])


def test_rules_that_ask_figures_of_rows_are_asked_row_by_row(book):
    rules = Rules.load(
        {"dimensions": {"team": {}}, "rules": [{"when": {"quantity": {"at_least": 5}}, "set": {"team": "x"}}]}
    )
    assert not can_be_summed(["team"], book, rules)
    assert can_be_summed(["model"], book, rules)
    assert not can_be_summed(["price_note"], book, Rules.none())


def test_numbers_stay_when_more_comes():
    seed = np.random.default_rng(3)
    told, seen = Tuples(3), {}
    for top in (2, 50, 3_000, 2**31 - 1, 2**31 - 1):  # the last ones need more bits than a number has
        columns = [seed.integers(0, top, 400) for _ in range(3)]
        for values, number in zip(zip(*columns, strict=True), told.numbers(columns).tolist(), strict=True):
            assert seen.setdefault(tuple(map(int, values)), number) == number
    assert len(told) == len(seen) == len(set(seen.values()))
    assert [tuple(row) for row in told.rows.tolist()] == [v for v, _ in sorted(seen.items(), key=lambda item: item[1])]


def test_text_and_tags_are_numbered_by_what_they_hold():
    first = pa.table(
        {
            "model": ["a", None, "b"],
            "tags": pa.array([[("x", "1"), ("y", "2")], None, [("y", None)]], pa.map_(pa.string(), pa.string())),
        }
    )
    second = pa.table(
        {
            "model": pa.array(["b", "c"]).dictionary_encode(),
            "tags": pa.array([[("y", "1")], []], pa.map_(pa.string(), pa.string())),
        }
    )
    coder = Coder(["model", "tags.y", "region"])
    found = [coder.numbers(b) for t in (first, second) for b in batches(t, ["model", "tags.y"])]
    models = [coder.names["model"].values[int(n)].as_py() for numbers in found for n in numbers["model"]]
    tags = [coder.names["tags.y"].values[int(n)].as_py() for numbers in found for n in numbers["tags.y"]]
    assert models == ["a", None, "b", "b", "c"]
    assert tags == ["2", None, None, "1", None]
    assert not found[0]["region"].any()
    assert pc.all(pc.is_null(coder.names["region"].values)).as_py()
