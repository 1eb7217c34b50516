"""A bridge grouped by a column that shares its name with a step keeps both."""

from __future__ import annotations

from decimal import Decimal

import finops_ai as fa


def test_a_bridge_by_model_names_the_models_and_still_adds_up():
    priced = fa.price(fa.sample(months=2))
    start = priced["charge_period_start"]
    table = fa.explain(priced[start < "2026-10-01"], priced[start >= "2026-10-01"], by=["model"])
    assert "claude-sonnet-5" in set(table["model"])
    assert "model_mix" in table.columns
    steps = list(table.columns[list(table.columns).index("change") + 1 :])
    for row in table.to_dict("records"):
        assert sum((row[s] for s in steps), Decimal(0)) == row["change"] == row["after"] - row["before"]
