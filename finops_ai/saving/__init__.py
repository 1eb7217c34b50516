"""What could cost less: opportunities found in the rows, valued by the engine, decided by people, measured afterwards."""

from finops_ai.saving.recommending import Recommendations, recommend

__all__ = ["Recommendations", "recommend"]
