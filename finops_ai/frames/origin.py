"""What a frame was made with: written by the steps that price and map, stated by every table made of the frame."""

from __future__ import annotations

from typing import Any

import pandas as pd

#: key in `DataFrame.attrs`
ORIGIN = "finops_ai"


def made_with(frame: pd.DataFrame, source: pd.DataFrame, **versions: str) -> pd.DataFrame:
    """The frame, which now says what its source says and what was added: `prices`, `rules`, `inputs`.

    >>> made_with(pd.DataFrame(), pd.DataFrame(), prices="a1").attrs
    {'finops_ai': {'prices': 'a1'}}
    """
    frame.attrs[ORIGIN] = {**source.attrs.get(ORIGIN, {}), **{k: v for k, v in versions.items() if v}}
    return frame


def provenance_of(*frames: pd.DataFrame) -> dict[str, Any]:
    """What frames say they were made with; where two differ, both are stated.

    >>> one, two = made_with(pd.DataFrame(), pd.DataFrame(), prices="a1"), made_with(pd.DataFrame(), pd.DataFrame(), prices="b2")
    >>> provenance_of(one, two)
    {'prices': 'a1, b2'}
    """
    out: dict[str, list[str]] = {}
    for frame in frames:
        for name, value in frame.attrs.get(ORIGIN, {}).items():
            if str(value) not in out.setdefault(name, []):
                out[name].append(str(value))
    return {name: ", ".join(values) for name, values in out.items()}
