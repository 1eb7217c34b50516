from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest

from finops_ai.errors import FrameError
from finops_ai.frames import BillFrame, TokenFrame, check_frame, concat, conform, duplicates, empty, schema_of, to_arrow
from finops_ai.frames.dictionary import describe_frames

DAY = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
ROW = {
    "charge_period_start": DAY,
    "charge_period_end": DAY + dt.timedelta(days=1),
    "provider": "openai",
    "billing_account_id": "org-1",
    "model": "gpt-5.4",
    "operation": "chat",
    "meter": "input",
    "quantity": Decimal("1000"),
    "unit": "tokens",
    "service_tier": "standard",
    "source": "api",
    "quantity_basis": "metered",
    "tags": [("team", "search")],
}


def frame(*changes):
    rows = [{**ROW, **change} for change in changes or ({},)]
    return conform({name: [row[name] for row in rows] for name in ROW}, source="test")


def test_a_frame_has_every_column_and_exact_types():
    f = frame()
    assert list(f.columns) == schema_of(TokenFrame).names
    assert f["quantity"].iloc[0] == Decimal("1000")
    assert "decimal128(19, 6)" in str(f["quantity"].dtype)
    assert f.dtypes.equals(empty().dtypes)


def test_frames_survive_the_way_through_arrow():
    f = frame({}, {"meter": "output", "quantity": Decimal("0.000001"), "tags": None})
    both = concat([f, f])
    assert both.dtypes.equals(f.dtypes)
    assert sum(both["quantity"]) == Decimal("2000.000002")
    assert to_arrow(both).schema.field("quantity").type == schema_of(TokenFrame).field("quantity").type


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"quantity": Decimal(-5)}, r"quantity: .*first in row 0: Decimal\('-5.000000'\)"),
        ({"unit": "characters"}, "the unit is the meter's unit"),
        ({"meter": "inputt"}, "meter: .*'inputt'"),
        ({"charge_period_end": DAY}, "starts before it ends"),
    ],
)
def test_a_broken_rule_names_column_row_and_value(change, said):
    with pytest.raises(FrameError, match=said):
        frame(change)


def test_a_quantity_that_doesnt_fit_is_an_error_not_a_rounding():
    with pytest.raises(FrameError, match="quantity"):
        frame({"quantity": Decimal("0.0000001")})


def test_missing_and_unknown_columns_are_named():
    with pytest.raises(FrameError, match=r"columns \['quantity'\] are missing"):
        conform({name: [value] for name, value in ROW.items() if name != "quantity"}, source="log.csv")
    with pytest.raises(FrameError, match=r"log.csv: unknown columns \['prompt'\]"):
        conform({**{name: [value] for name, value in ROW.items()}, "prompt": ["secret text"]}, source="log.csv")


def test_a_float_quantity_is_refused():
    f = frame()
    f["quantity"] = pd.Series([1000.0])
    with pytest.raises(FrameError, match="quantity: is float64"):
        check_frame(f, source="test")


def test_rows_that_would_count_twice_are_found():
    assert len(duplicates(frame({}, {}))) == 2
    assert duplicates(frame({}, {"tags": [("team", "chat")]})).empty


def test_an_empty_bill_frame_is_typed():
    assert check_frame(empty(BillFrame), BillFrame, source="nothing").empty


def test_the_column_dictionary_is_current():
    page = Path(__file__).parents[2] / "docs" / "columns.md"
    assert page.read_text("utf-8") == describe_frames(), "run `make docs`"


def test_every_column_is_described():
    for model in (TokenFrame, BillFrame):
        assert all(column.description for column in model.to_schema().columns.values())
