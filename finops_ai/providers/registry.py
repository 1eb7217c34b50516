"""Find installed plugins. Each is loaded and called alone, so that one that fails costs nobody else anything."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from finops_ai.errors import PluginError, ProviderNotFound
from finops_ai.providers import hookspecs
from finops_ai.providers.connector import Connector, ConnectorSettings

log = logging.getLogger("finops_ai.providers")

#: this project's own plugins: their names are theirs, whatever else is installed
OFFICIAL = frozenset(
    f"finops-ai-{name}"
    for name in (
        "agent-logs",
        "anthropic",
        "azure-openai",
        "bedrock",
        "cursor",
        "focus",
        "github-copilot",
        "litellm",
        "oci",
        "openai",
        "otel",
        "vertex",
    )
)


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
    """Every installed plugin, loaded once: for lists of what there is. To use one connector, ask `find_connector`."""
    return load_registry()


def find_connector(name: str) -> type[Connector]:
    """The connector of that name; no other plugin is imported.

    A plugin's entry point bears its connector's name. Only for a name that no entry point bears are plugins loaded that may
    offer it besides their own, and only those that the allow list admits.

    Raises:
        ProviderNotFound: none is installed; carries the reason if its plugin is broken or not allowed.
    """
    points = _points()
    if any(point.name == name for point in points):
        found = load_registry(names=(name,))
        if name in found.connectors or name in found.broken:
            return found.connector(name)
    found = registry()
    if name not in found.connectors and name not in found.broken:
        raise ProviderNotFound(name, {*found.connectors, *(point.name for point in points)})
    return found.connector(name)


#: the distributions whose code may run, each "name" or "name==version"; None = those a connection names
_allowed: ContextVar[tuple[str, ...] | None] = ContextVar("allowed", default=None)


@contextmanager
def allowing(distributions: Sequence[str] | None) -> Iterator[None]:
    """Load plugins of these distributions only; None changes nothing."""
    if distributions is None:
        yield
        return
    token = _allowed.set(tuple(distributions))
    registry.cache_clear()
    try:
        yield
    finally:
        _allowed.reset(token)
        registry.cache_clear()


def load_registry(*, strict: bool = False, names: Collection[str] | None = None) -> Registry:
    """Load plugins of the entry-point group `finops_ai`.

    Args:
        strict: raise what a plugin raises instead of leaving it out; for plugin authors.
        names: only the entry points of these names; by default all.
    """
    found = Registry()
    for point in _points():
        if names is not None and point.name not in names:
            continue
        try:
            _require_allowed(point)
            offered = _offered(point)
            if taken := sorted(offered.keys() & found.connectors.keys()):
                owner = found.origins[taken[0]]
                raise PluginError(f"the name {taken[0]!r} is already taken by {owner}; choose another")
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # whatever a stranger's code raises, sys.exit() and crashes of native code too
            if strict:
                raise
            found.broken[point.name] = error if isinstance(error, Exception) else PluginError(describe(error))
            log.warning("Provider plugin %r is left out: %s", point.name, describe(error))
        else:
            found.connectors |= offered
            found.origins |= dict.fromkeys(offered, _origin(point))
            _origins.update(dict.fromkeys(offered.values(), _origin(point)))
    return found


#: connector class -> the distribution it came from
_origins: dict[type[Connector], str] = {}


def origin_of(cls: type[Connector]) -> str:
    """Whose code a connector is: distribution and version, else its module."""
    if found := _origins.get(cls):
        return found
    module = cls.__module__
    if module.startswith("finops_ai."):
        from finops_ai import __version__

        return f"finops-ai-core {__version__}"
    return f"the module {module}"


def owner_of(name: str) -> str | None:
    """Whose code the connector of that name is, without running it; None where it is missing or not allowed."""
    for point in _points():
        if point.name == name:
            try:
                _require_allowed(point)
            except PluginError:
                return None
            return _origin(point)
    try:
        return origin_of(find_connector(name))
    except ProviderNotFound:
        return None


def installed() -> dict[str, str]:
    """Entry points of connector plugins and the distributions they come from; nothing is imported."""
    return {point.name: _origin(point) for point in reversed(_points())}


def _points() -> tuple[EntryPoint, ...]:
    """The entry points, those of this project's own distributions first, so that a stranger can't take their names."""
    return _points_on(tuple((folder, _changed(folder)) for folder in sys.path))


@lru_cache(maxsize=4)
def _points_on(_path: tuple[tuple[str, int], ...]) -> tuple[EntryPoint, ...]:
    """Read again when a folder of the search path changed only: a look reads the metadata of all that is installed."""
    points = entry_points(group=hookspecs.ENTRY_POINT_GROUP)
    return tuple(sorted(points, key=lambda p: (not (p.dist and p.dist.name in OFFICIAL), p.name, p.value)))


def _changed(folder: str) -> int:
    try:
        return os.stat(folder or ".").st_mtime_ns
    except OSError:
        return 0


def _origin(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else point.value


def _require_allowed(point: EntryPoint) -> None:
    allowed = _allowed.get()
    if allowed is None:
        return
    dist = point.dist
    name, version = (dist.name, dist.version) if dist else ("", "")
    wanted = {_spelt(entry.partition("==")[0]): entry.partition("==")[2] for entry in allowed}
    if _spelt(name) not in wanted:
        raise PluginError(
            f"{name or point.value} is not in the allow list ([plugins] allow in finops.toml); its code was not run"
        )
    if wanted[_spelt(name)] not in ("", version):
        raise PluginError(
            f"{name} {version} is installed, but the allow list admits {wanted[_spelt(name)]} ([plugins] allow); its code was not run"
        )


def _spelt(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower().strip()


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


def check_connector(cls: object) -> type[Connector]:
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
