"""What a plugin may offer. One hook per thing; each is called once, alone, and may fail without hurting others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from finops_ai.providers.connector import Connector

PROJECT = "finops_ai"
#: entry-point group that plugins register under
ENTRY_POINT_GROUP = "finops_ai"
#: version of this contract; a plugin may state the one it was written for as `FINOPS_AI_CONTRACT = "1.0"`
CONTRACT_VERSION = "1.0"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def finops_ai_connectors() -> Iterable[type[Connector]]:
    """Return the connector classes this plugin offers. Called once, when providers are first listed.

    Don't import the vendor's SDK or open connections here: do it in `usage` and `bills`. A whole plugin:

        from finops_ai.frames import conform
        from finops_ai.providers import Connector, hookimpl

        class Acme(Connector):
            name = "acme"
            title = "Acme Inference"

            def usage(self, window):
                rows = ...                       # fetch [window.start, window.end)
                return conform(rows, source="acme API")

        @hookimpl
        def finops_ai_connectors():
            return [Acme]

    Added in 0.1.
    """
    raise AssertionError("a specification is never called")
