"""A cube's cells cost what their rows cost, whatever prices, zones, contracts and splits come after."""

from __future__ import annotations

import datetime as dt
import os
from collections import defaultdict
from decimal import Decimal

import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import finops_ai as fa
from finops_ai.engine.cubing import FINEST, Grain, coarsened, cubed, needs_rows, tier_of
from finops_ai.engine.duck import connect
from finops_ai.engine.rules import Rules
from finops_ai.frames import TokenFrame, check_frame
from finops_ai.prices import PriceBook

EXAMPLES = int(os.environ.get("FINOPS_AI_EXAMPLES", "1"))
START = dt.datetime(2026, 10, 24, 20, tzinfo=dt.UTC)
#: a context tier above 200,000 tokens, prices by the hour, a price that is unknown, one that is the same for all
MODELS = [
    ("vertex", "gemini-2.5-pro"),
    ("deepseek", "deepseek-chat"),
    ("openai", "nobody-knows"),
    ("openai", "gpt-4.1"),
]
row = st.fixed_dictionaries({
    "minutes": st.integers(0, 4 * 24 * 60), "lasts": st.sampled_from([1, 60, 26 * 60]), "who": st.sampled_from(MODELS),
    "meter": st.sampled_from(["input", "output", "cache_read", "requests"]), "quantity": st.integers(0, 10**12),
    "tokens": st.sampled_from([None, 10, 200_000, 200_001, 900_000]), "calls": st.sampled_from([None, 0, 1, 7]),
    "user_id": st.sampled_from(["ann", "bob", None]), "session_id": st.sampled_from(["s1", "s2"]),
    "env": st.sampled_from(["dev", "prod", None]),
})  # fmt: skip


def frame_of(rows, tokens_of):
    return tokens_of([
        {
            "at": START + dt.timedelta(minutes=r["minutes"]), "charge_period_end": START + dt.timedelta(minutes=r["minutes"] + r["lasts"]),
            "provider": r["who"][0], "model": r["who"][1], "meter": r["meter"], "quantity": Decimal(r["quantity"]) / 10**6,
            "slice_input_tokens": r["tokens"], "slice_requests": r["calls"], "user_id": r["user_id"], "session_id": r["session_id"],
            "tags": None if r["env"] is None else {"env": r["env"], "trace": str(number)},
        }
        for number, r in enumerate(rows)
    ])  # fmt: skip


def cells_of(frame, zone, book):
    models = list(frame[["provider", "model"]].drop_duplicates().itertuples(index=False, name=None))
    days = frame["charge_period_start"].dt.date
    parts = book.change_minutes(days.min(), days.max(), models)
    return cubed(frame, timezone=zone, cuts=book.context_cuts, parts=parts, tags=["env"])


def sums(frame, by, zone, values=("quantity", "list_cost", "contracted_cost", "effective_cost")):
    """Exact sums per group, in plain Python, null where nothing is known."""
    day = frame["charge_period_start"].dt.tz_convert(zone).dt.date
    out = defaultdict(lambda: dict.fromkeys(values))
    for when, record in zip(day, frame.to_dict("records"), strict=True):
        tags = dict(record["tags"]) if isinstance(record.get("tags"), list | tuple) else {}
        key = tuple(when if c == "day" else tags.get("env") if c == "env" else str(record[c]) for c in by)
        for value in values:
            if not pd.isna(record[value]):
                out[key][value] = (out[key][value] or Decimal(0)) + record[value]
    return dict(out)


@pytest.mark.long
@settings(
    max_examples=5 * EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(
    st.lists(row, min_size=1, max_size=25),
    st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kolkata", "America/Los_Angeles"]),
)
def test_priced_cells_are_the_sums_of_priced_rows(tokens_of, rows, zone):
    book = PriceBook.default()
    frame = frame_of(rows, tokens_of)
    cells = cells_of(frame, zone, book)
    check_frame(cells, TokenFrame, source="cells")
    one, two = fa.price(frame, book), fa.price(cells, book)
    by = ["day", "model", "meter", "price_id", "price_status", "price_note", "user_id", "session_id", "env"]
    assert sums(two, by, zone) == sums(one, by, zone)
    by_utc = ["day", "model", "meter", "slice_requests"]
    counted = one.assign(slice_requests=[c if pd.isna(c) or c == 1 else 2 for c in one["slice_requests"]])
    counted["slice_requests"] = counted["slice_requests"].astype(two["slice_requests"].dtype)
    assert sums(two, by_utc, "UTC") == sums(counted, by_utc, "UTC")
    again = cells_of(cells, zone, book)
    pd.testing.assert_frame_equal(again, cells)


def test_cells_of_allocated_rows_keep_costs_and_owners(tokens_of, book):
    rules = {
        "dimensions": {"team": {}},
        "rules": [{"name": "ann", "when": {"user_id": "ann"}, "set": {"team": "a"}}, {"name": "bob", "when": {"user_id": "bob"}, "set": {"team": "b"}}],
        "shared": [{"name": "rest", "when": {"team": "unallocated"}, "dimension": "team", "method": "proportional"}],
    }  # fmt: skip
    rows = [
        {"quantity": q, "user_id": u, "model": m}
        for q, u, m in [(3, "ann", "big"), (7, "bob", "small"), (5, None, "big"), (1, None, "small")]
    ]
    allocated = fa.allocate(fa.price(tokens_of(rows * 3), book), rules)
    cells = cubed(allocated, dimensions=["team"])
    assert len(cells) < len(allocated)
    by = ["team", "model", "rule"]
    assert sums(cells, by, "UTC") == sums(allocated, by, "UTC")
    assert sum(cells["published_cost"]) == sum(allocated["published_cost"])
    assert list(cells.columns) == list(allocated.columns)
    assert (cells.dtypes == allocated.dtypes).all()


def test_splitting_cells_gives_what_splitting_rows_gives_to_a_millionth_of_a_millionth(tokens_of, book):
    rules = {
        "dimensions": {"team": {}},
        "rules": [{"name": n, "when": {"user_id": n}, "set": {"team": n}} for n in ("ann", "bob", "cy")],
        "shared": [{"name": "rest", "when": {"team": "unallocated"}, "dimension": "team", "method": "proportional"}],
    }  # fmt: skip
    rows = [
        {"quantity": 1 + 13 * i % 17, "user_id": ["ann", "bob", "cy", None][i % 4], "model": "big"} for i in range(40)
    ]
    priced = fa.price(tokens_of(rows), book)
    rows_of, cells = fa.allocate(priced, rules), fa.allocate(fa.price(cubed(tokens_of(rows)), book), rules)
    assert len(cells) < len(rows_of)
    one, two = (sums(f, ["team"], "UTC", ("effective_cost",)) for f in (rows_of, cells))
    assert one.keys() == two.keys()
    for team, found in one.items():
        assert abs(found["effective_cost"] - two[team]["effective_cost"]) < Decimal("1e-12")
    assert sum(cells["effective_cost"]) == sum(rows_of["effective_cost"]) == sum(priced["effective_cost"])


@pytest.mark.parametrize(
    ("tokens", "cell"),
    [(0, 0), (127_999, 0), (128_000, 128_000), (200_000, 128_000), (200_001, 200_001), (10**9, 200_001), (None, None)],
)
def test_a_call_is_in_the_tier_below_the_next_cut(tokens, cell):
    text = "NULL" if tokens is None else str(tokens)
    with connect() as con:
        assert con.execute(f"SELECT {tier_of(f'CAST({text} AS BIGINT)', [200_001, 128_000])}").fetchall() == [(cell,)]


def test_the_finest_columns_go_first_and_only_as_many_as_it_takes():
    grain = Grain.of("tags.env")
    sizes = [10 * 10**n for n in range(len(FINEST) + 1)]  # 10 cells without any of them, ten times as many with each
    assert coarsened(grain, sizes, 10 ** (len(FINEST) + 1)).left_out == ()
    assert coarsened(grain, sizes, 10**9).left_out == ("session_id", "branch")[: len(FINEST) - 8]
    assert set(coarsened(grain, sizes, 1).left_out) == set(FINEST)
    assert "user_id" not in coarsened(grain, sizes, 1, keep=["user_id"]).left_out


def test_rules_over_figures_of_single_rows_need_the_rows():
    def rules(when):
        return Rules.load({"dimensions": {"team": {}}, "rules": [{"when": when, "set": {"team": "x"}}]})

    assert needs_rows(rules({"quantity": {"at_least": 5}}))
    assert needs_rows(rules({"charge_period_start": {"below": "2026-10-02"}}))
    assert not needs_rows(rules({"request_id": "r1", "tags.env": "dev"}))
