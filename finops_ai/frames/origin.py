"""What a frame was made with: written by the steps that price and map, stated by every table made of the frame."""

from __future__ import annotations

from typing import Any

import pandas as pd

#: key in `DataFrame.attrs`
ORIGIN = "finops_ai"


#: what a frame knows about itself that is no version of an input: its business dimensions, which of their values are
#: nobody, the zone of its days, the columns its cells don't tell apart, whether they are of whole days, and whether
#: what it costs is charged to somebody, who pays no part of a cent
NATURE = ("dimensions", "timezone", "nobody", "left_out", "grain", "charged")


class _Told(dict[str, Any]):
    """What a frame says of itself; never changed in place, so that the copies pandas makes of attributes can share it."""

    def __deepcopy__(self, memo: object) -> _Told:
        return self


def made_with(frame: pd.DataFrame, source: pd.DataFrame, **told: object) -> pd.DataFrame:
    """The frame, which now says what its source says and what was added.

    Args:
        frame: the frame that is told, in its `attrs`.
        source: the frame it was made of.
        told: `prices`, `rules`, `inputs` (versions), `dimensions` (list of its dimension columns), `timezone` (the
            reporting zone its days were made for), `nobody` (dimension -> values that are nobody), `left_out`
            (columns a cube leaves out), `grain` ("day" for a cube), `charged` (its workspace has a [chargeback] section);
            what is empty is left as the source has it.

    >>> made_with(pd.DataFrame(), pd.DataFrame(), prices="a1").attrs
    {'finops_ai': {'prices': 'a1'}}
    """
    frame.attrs[ORIGIN] = _Told({**source.attrs.get(ORIGIN, {}), **{k: v for k, v in told.items() if v}})
    return frame


def zone_of(*frames: pd.DataFrame, timezone: str | None = None) -> str:
    """The reporting time zone to use: the one given, else the one a frame was made for, else UTC.

    >>> zone_of(made_with(pd.DataFrame(), pd.DataFrame(), timezone="Asia/Tokyo")), zone_of(pd.DataFrame())
    ('Asia/Tokyo', 'UTC')
    """
    known = (frame.attrs.get(ORIGIN, {}).get("timezone") for frame in frames)
    return timezone or next(filter(None, known), "UTC")


def named_dimensions(frame: pd.DataFrame) -> list[str] | None:
    """The dimensions a frame says it has, those that are still there; None where it says nothing."""
    told = frame.attrs.get(ORIGIN, {}).get("dimensions")
    return None if told is None else [name for name in told if name in frame.columns]


def left_out_of(frame: pd.DataFrame) -> list[str]:
    """Columns that a cube's cells don't tell apart, though the rows they are made of have them."""
    return list(frame.attrs.get(ORIGIN, {}).get("left_out", []))


def tells_hours(frame: pd.DataFrame) -> bool:
    """Whether rows stand at their own hour; the cells of a cube stand at their day."""
    return bool(frame.attrs.get(ORIGIN, {}).get("grain") != "day")


def is_charged(*frames: pd.DataFrame) -> bool:
    """Whether amounts of these frames are published in minor units however small they are, as what is charged is."""
    return any(frame.attrs.get(ORIGIN, {}).get("charged") for frame in frames)


def provenance_of(*frames: pd.DataFrame) -> dict[str, Any]:
    """What frames say they were made with; where two differ, both are stated.

    >>> one, two = made_with(pd.DataFrame(), pd.DataFrame(), prices="a1"), made_with(pd.DataFrame(), pd.DataFrame(), prices="b2")
    >>> provenance_of(one, two)
    {'prices': 'a1, b2'}
    """
    out: dict[str, list[str]] = {}
    for frame in frames:
        for name, value in frame.attrs.get(ORIGIN, {}).items():
            if name in NATURE:
                continue
            if str(value) not in out.setdefault(name, []):
                out[name].append(str(value))
    return {name: ", ".join(values) for name, values in out.items()}
