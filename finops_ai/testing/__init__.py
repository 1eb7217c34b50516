"""For plugin authors: a conformance class for pytest, and a provider played on loopback."""

from finops_ai.testing.conformance import ConnectorConformance
from finops_ai.testing.server import PlayedProvider, Reply, Request, exact_json

__all__ = ["ConnectorConformance", "PlayedProvider", "Reply", "Request", "exact_json"]
