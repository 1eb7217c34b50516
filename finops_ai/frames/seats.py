"""The seat frame: one row = one seat that a source says somebody holds; its price comes from elsewhere."""

from __future__ import annotations

import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

from finops_ai.frames.tokens import _opt, _text
from finops_ai.frames.types import Instant

#: whether the source hears of a seat's use: where it may not, no activity proves nothing
TELEMETRY = ["on", "unknown"]


class SeatFrame(pa.DataFrameModel):
    """One row: one seat held. A person who holds seats of two plans, or was removed and came back, has two rows.

    A seat that several organizations or teams grant to one person is one row: it is billed once.
    """

    provider: Series[str] = _text("Connector name of who bills the seat.", "", "ServiceProviderName")
    plan: Series[str] = _text(
        "Plan of the seat, in the words of the seat-price file, such as 'business'; 'not stated' where the source doesn't tell."
    )
    user_id: Series[str] = _text(
        "Who holds it: e-mail (lower case) or login, as the source names people.", "", "user.id"
    )
    seat_start: Series[Instant] = _opt(
        "Since when it is held, included; null where the source doesn't tell.", "UTC instant"
    )
    seat_end: Series[Instant] = _opt("Until when it is held, excluded; null = held on.", "UTC instant")
    last_activity_at: Series[Instant] = _opt(
        "Latest use the source knows of; null = none, or none that it hears of (see telemetry).", "UTC instant"
    )
    telemetry: Series[str] = _text(
        "on: the source hears of every use; unknown: it may not, so no activity is no proof of an idle seat.",
        "",
        "",
        isin=TELEMETRY,
    )
    sub_account_id: Series[str] = _opt("Organization or team the seat is billed through.", "", "SubAccountId")
    cost_center: Series[str] = _opt("Cost center the source charges it to.")
    source: Series[str] = _text("How we know: api or file.", "", "", isin=["api", "file"])

    class Config:
        strict = True
        coerce = False
        metadata = {"version": "1.0", "grain": "one seat held"}

    @pa.dataframe_check(name="the seat is held before it ends")
    def _held_before_end(cls, frame: pd.DataFrame) -> pd.Series:
        return frame["seat_start"].isna() | frame["seat_end"].isna() | (frame["seat_start"] < frame["seat_end"])
