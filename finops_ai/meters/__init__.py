"""What is billed: the meter registry, and turning any source's usage into disjoint meters."""

from finops_ai.meters.registry import Meter, meter, meters, token_meters

__all__ = ["Meter", "meter", "meters", "token_meters"]
