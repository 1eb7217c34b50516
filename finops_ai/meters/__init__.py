"""What is billed: the meter registry, and turning any source's usage into disjoint meters."""

from finops_ai.meters.formats import Format, format_named, formats
from finops_ai.meters.normalise import CONTEXT_KEYS, TIER_WORDS, Normalised, normalise, normalise_columns, service_tier
from finops_ai.meters.originals import Original, Whence, original_calls
from finops_ai.meters.registry import Meter, meter, meters, token_meters
from finops_ai.meters.slices import quantity_array, tokens_from_slices
from finops_ai.meters.usages import disjoint_columns

__all__ = [
    "CONTEXT_KEYS",
    "TIER_WORDS",
    "Format",
    "Meter",
    "Normalised",
    "Original",
    "Whence",
    "disjoint_columns",
    "format_named",
    "formats",
    "meter",
    "meters",
    "normalise",
    "normalise_columns",
    "original_calls",
    "quantity_array",
    "service_tier",
    "token_meters",
    "tokens_from_slices",
]
