"""finops_ai connector for OCI Generative AI."""

from __future__ import annotations

from finops_ai.providers import Connector, hookimpl


@hookimpl
def finops_ai_connectors() -> list[type[Connector]]:
    """The connector of this plugin."""
    from finops_ai_oci.connector import Oci

    return [Oci]
