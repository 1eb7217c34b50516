"""Why a bar of the explorer is what it is: the bridge from the days it is compared with, and who carries it, in words."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING

from finops_ai.errors import DataError
from finops_ai.html import Html
from finops_ai.periods import Window
from finops_ai.tables.explain import explain
from finops_ai.widgets.cube import UNSTATED
from finops_ai.widgets.spans import before, span_text

if TYPE_CHECKING:
    import pandas as pd

    from finops_ai.tables.explain import Explanation

#: who and what is told of a change
_TOLD = 3


def explained(
    frame: pd.DataFrame, filters: Sequence[tuple[str, str]], first: dt.date, last: dt.date, *, compare: str, timezone: str
) -> Explanation:  # fmt: skip
    """The bridge to some days from those they are compared with, of the rows with these names.

    Raises:
        DataError: one of the two has no rows.
    """
    rows = frame
    for name, value in filters:
        rows = rows[(rows[name].isna() if value == UNSTATED else rows[name] == value).to_numpy(bool, na_value=False)]
    earlier = before(first, last, "before" if compare == "none" else compare)
    assert earlier is not None
    sides, start = [], rows["charge_period_start"]
    for days in (earlier, (first, last)):
        window = Window.of(days[0], days[1] + dt.timedelta(days=1), timezone)
        sides.append(rows[((start >= window.start) & (start < window.end)).to_numpy(bool)])
        if not len(sides[-1]):
            raise DataError(f"Nothing was used in {span_text(*days)} with these filters: there is nothing to compare.")
    table = explain(sides[0], sides[1], timezone=timezone)
    table.facts.period = f"{span_text(first, last)} against {span_text(*earlier)}"
    return table


def in_words(table: Explanation) -> str:
    """A bridge as a paragraph of HTML: the change, then who and what carries it."""
    said = [f"{table.headline()} ({table.facts.period})", *table.drivers(_TOLD).get("sentence", ())]
    return str(Html("<p class='fx-why'>{}</p>").format(" ".join(map(str, said))))
