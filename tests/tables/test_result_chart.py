from __future__ import annotations

from decimal import Decimal

import matplotlib.pyplot as plt
import pandas as pd

from finops_ai.tables import Facts, Table


def test_a_chart_shows_the_largest_first_with_its_currency():
    frame = pd.DataFrame({"team": ["a$b", "big", "unknown"], "cost": [Decimal("1.5"), Decimal("7"), None]})
    axes = Table.of(frame, Facts("Cost by team", "EUR", money=["cost"])).chart()
    assert [label.get_text() for label in axes.get_yticklabels()] == ["big", r"a\$b", "unknown"]
    assert axes.get_xlabel() == "cost EUR"
    assert [bar.get_width() for bar in axes.patches] == [7.0, 1.5, 0.0]
    plt.close("all")
