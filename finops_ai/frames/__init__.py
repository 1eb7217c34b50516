"""The frames everything moves in: tokens, bills and prices, seats and commits. Exact types, checked at every border."""

from finops_ai.frames.check import BillFrame, TokenFrame, check_frame, concat, conform, duplicates, empty, schema_of
from finops_ai.frames.commits import CommitFrame
from finops_ai.frames.prices import PriceFrame
from finops_ai.frames.seats import SeatFrame
from finops_ai.frames.tokens import ROW_KEY, SERVICE_TIERS, SLICE_KEY
from finops_ai.frames.types import to_arrow, to_pandas

__all__ = [
    "ROW_KEY",
    "SERVICE_TIERS",
    "SLICE_KEY",
    "BillFrame",
    "CommitFrame",
    "PriceFrame",
    "SeatFrame",
    "TokenFrame",
    "check_frame",
    "concat",
    "conform",
    "duplicates",
    "empty",
    "schema_of",
    "to_arrow",
    "to_pandas",
]
