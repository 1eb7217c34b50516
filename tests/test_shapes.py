"""What departs from a shape is named by its place; what the shape doesn't name may be anything."""

from __future__ import annotations

from decimal import Decimal

import pytest

from finops_ai.errors import DataError
from finops_ai.providers.parsing import require_shape
from finops_ai.shapes import misfit

PAGE = {"data!": [{"id!": "text", "tokens": "whole", "cost": {"amount": "number"}, "day": "day", "paid": "flag"}]}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"id": 5}, "data[0].id must be text, not 5"),
        ({}, "data[0].id is missing"),
        ({"id": None}, "data[0].id is missing"),
        ({"id": "a", "tokens": True}, "data[0].tokens must be a whole number, not True"),
        ({"id": "a", "tokens": "5"}, "data[0].tokens must be a whole number, not '5'"),
        ({"id": "a", "tokens": 2**63}, "data[0].tokens must be a whole number, not 9223372036854775808"),
        ({"id": "a", "cost": [1]}, "data[0].cost must be a table, not [1]"),
        ({"id": "a", "cost": {"amount": "12,5"}}, "data[0].cost.amount must be a number, not '12,5'"),
        ({"id": "a", "cost": {"amount": Decimal("NaN")}}, "data[0].cost.amount must be a number, not Decimal('NaN')"),
        ({"id": "a", "cost": {"amount": "1e999999"}}, "data[0].cost.amount must be a number, not '1e999999'"),
        ({"id": "a", "day": 20261001}, "data[0].day must be a day or month, not 20261001"),
        ({"id": "a", "paid": 1}, "data[0].paid must be true or false, not 1"),
        (None, "data[0] must be a table, not None"),
        ("x" * 200, "data[0] must be a table, not '" + "x" * 76 + "..."),
    ],
)
def test_what_departs_is_named_by_its_place(row, said):
    assert misfit({"data": [row]}, PAGE) == said


@pytest.mark.parametrize(
    "row",
    [
        {"id": "a"},
        {"id": "a", "tokens": None, "cost": None, "new": [{"nobody": "knows"}]},
        {"id": "", "tokens": -(2**63) + 1, "cost": {"amount": Decimal("0.1")}, "day": "2026-10", "paid": False},
    ],
)
def test_what_is_missing_null_or_new_fits(row):
    assert misfit({"data": [row], "has_more": True}, PAGE) == ""


def test_a_document_that_departs_is_data_to_fix_with_its_file():
    with pytest.raises(DataError, match=r"^may\.json, line 3: data must be a list, not \{\}\. .*Nothing was stored\.$"):
        require_shape({"data": {}}, PAGE, "may.json, line 3")


@pytest.mark.parametrize("sign", ["\u2028", "\u2029", "\x85", "\x0b", "\x1c"])
def test_a_reason_keeps_its_line_whatever_it_holds(tmp_path, sign):
    from finops_ai.saving.states import Decisions

    decisions = Decisions(tmp_path)
    decisions.decide("a1", "dismiss", f"not{sign}now")
    decisions.decide("b2", "accept")
    assert {name: state.reason for name, state in decisions.states().items()} == {"a1": f"not{sign}now", "b2": ""}


@pytest.mark.parametrize("address", ["http://[x", "https://[::1", "http://]/"])
def test_an_address_with_a_torn_bracket_is_a_setting_to_mend(address):
    from finops_ai.errors import SettingsError
    from finops_ai.providers.plain_http import require_https
    from finops_ai.providers.remote import fetched
    from finops_ai.watching.channels import checked_url

    for reader in (fetched, lambda url: require_https(url, "[providers.x]"), lambda url: checked_url(url, "alerts 1")):
        with pytest.raises(SettingsError):
            reader(address)
