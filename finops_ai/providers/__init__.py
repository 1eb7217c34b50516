"""What a provider plugin needs: the contract, and help with HTTP, files and settings."""

from finops_ai.providers.connector import (
    Connector,
    ConnectorSettings,
    Finding,
    LeftOut,
    LineItem,
    left_out_of,
    read_settings,
    secret,
)
from finops_ai.providers.hookspecs import CONTRACT_VERSION, hookimpl
from finops_ai.providers.http import HttpClient, HttpRefused
from finops_ai.providers.registry import Registry, load_registry, registry

__all__ = [
    "CONTRACT_VERSION",
    "Connector",
    "ConnectorSettings",
    "Finding",
    "HttpClient",
    "HttpRefused",
    "LeftOut",
    "LineItem",
    "Registry",
    "hookimpl",
    "left_out_of",
    "load_registry",
    "read_settings",
    "registry",
    "secret",
]
