"""Find installed plugins. Each is loaded and called alone, so that one that fails costs nobody else anything."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from finops_ai.errors import PluginError, ProviderNotFound
from finops_ai.providers import hookspecs
from finops_ai.providers.connector import Connector, ConnectorSettings

log = logging.getLogger("finops_ai.providers")


@dataclass
class Registry:
    """The connectors found, where each came from, and the plugins left out with the reason."""

    connectors: dict[str, type[Connector]] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    broken: dict[str, Exception] = field(default_factory=dict)

    def connector(self, name: str) -> type[Connector]:
        """The connector class of that name.

        Raises:
            ProviderNotFound: none is installed; carries the reason if its plugin is installed but broken.
        """
        try:
            return self.connectors[name]
        except KeyError:
            cause = self.broken.get(name)
            error = ProviderNotFound(name, self.connectors)
            if cause:
                error.args = (f"The plugin {name!r} is installed but was left out: {cause}",)
            raise error from cause


@cache
def registry() -> Registry:
    """The installed plugins, loaded once."""
    return load_registry()


def load_registry(*, strict: bool = False) -> Registry:
    """Load every installed plugin of the entry-point group `finops_ai`.

    Args:
        strict: raise what a plugin raises instead of leaving it out; for plugin authors.
    """
    found = Registry()
    for point in sorted(entry_points(group=hookspecs.ENTRY_POINT_GROUP)):
        try:
            offered = _offered(point)
            if taken := sorted(offered.keys() & found.connectors.keys()):
                owner = found.origins[taken[0]]
                raise PluginError(f"the name {taken[0]!r} is already taken by {owner}; choose another")
        except Exception as error:  # whatever a stranger's code raises
            if strict:
                raise
            found.broken[point.name] = error
            log.warning("Provider plugin %r is left out: %s", point.name, describe(error))
        else:
            found.connectors |= offered
            origin = f"{point.dist.name} {point.dist.version}" if point.dist else point.value
            found.origins |= dict.fromkeys(offered, origin)
    return found


def _offered(point: EntryPoint) -> dict[str, type[Connector]]:
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    plugin = point.load()
    wanted = str(getattr(plugin, "FINOPS_AI_CONTRACT", hookspecs.CONTRACT_VERSION))
    if wanted.split(".")[0] != hookspecs.CONTRACT_VERSION.split(".")[0]:
        raise PluginError(
            f"it is written for contract {wanted}, this is {hookspecs.CONTRACT_VERSION}; update the plugin"
        )
    manager.register(plugin, name=point.name)
    for name in dir(plugin):
        if (
            name.startswith("finops_ai_")
            and not hasattr(hookspecs, name)
            and manager.parse_hookimpl_opts(plugin, name) is not None
        ):
            raise PluginError(f"there is no hook called {name!r}; the hook is 'finops_ai_connectors'")
    manager.check_pending()
    implementations = manager.hook.finops_ai_connectors.get_hookimpls()
    if not implementations:
        raise PluginError("it has no function 'finops_ai_connectors' marked with @hookimpl")
    offered: Any = implementations[0].function()
    return {cls.name: cls for cls in map(check_connector, offered)}


def check_connector(cls: Any) -> type[Connector]:
    """The class itself, if it is a whole connector.

    Raises:
        PluginError: it lacks a name, a title, `usage` or settings of the right kind.
    """
    if not (isinstance(cls, type) and issubclass(cls, Connector)):
        raise PluginError(f"finops_ai_connectors must return Connector classes, got {cls!r}")
    for name in ("name", "title"):
        if not isinstance(getattr(cls, name, None), str) or not getattr(cls, name):
            raise PluginError(f"{cls.__name__} has no `{name}`")
    if cls.name != cls.name.lower() or " " in cls.name:
        raise PluginError(f"{cls.__name__}.name must be lower case without blanks, got {cls.name!r}")
    if cls.usage is Connector.usage:
        raise PluginError(f"{cls.__name__} must define usage(window)")
    if not issubclass(cls.Settings, ConnectorSettings):
        raise PluginError(f"{cls.__name__}.Settings must derive from ConnectorSettings")
    return cls


def describe(error: BaseException) -> str:
    """One line for an error of somebody else's code."""
    text = " ".join(str(error).split()) or "no message"
    return text if isinstance(error, PluginError) else f"{type(error).__name__}: {text}"
