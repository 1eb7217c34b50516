"""Every error this package raises on purpose, sorted by what the reader can do about it.

    FinopsError                    exit code
    ├── CheckFailed                1   a check the user asked for did not hold
    ├── SettingsError              2   fix the command line, finops.toml or an environment variable
    │   └── RuleError              2   fix a mapping rule, policy or scenario
    ├── DataError                  3   fix or fetch the data
    │   ├── FrameError             3   a frame breaks its contract (columns, types, values)
    │   ├── UsageError             3   a usage object can't be split into disjoint meters
    │   ├── PriceError             3   a price or contract row is unusable
    │   ├── StoreError             3   the lake is missing, locked or damaged
    │   └── ClosedPeriodError      3   the month is closed; post a true-up instead
    ├── ProviderError              3   a provider answered badly or not at all
    │   ├── ProviderNotFound       2   no connector of that name
    │   ├── CredentialsError       2   missing or refused credentials
    │   ├── ConnectorFault         3   a connector, its SDK or a plugin failed in a way it didn't mean to
    │   └── ProviderUnavailable    3   still failing after retries: try again later
    └── PluginError                2   tell the plugin's author

The command line has two more: 70 for an error that nobody raised on purpose (please report it; the log file it names holds
the traceback), and 130 for Ctrl-C.

Every message names what was wrong, with which value, where, and the next step. Secrets never appear in one.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection


class FinopsError(Exception):
    """Base of all errors raised on purpose; `exit_code` is what the command line exits with."""

    exit_code = 3


class CheckFailed(FinopsError):
    """A check the user asked for did not hold."""

    exit_code = 1


class SettingsError(FinopsError):
    """A setting is missing, misspelt or impossible."""

    exit_code = 2


class RuleError(SettingsError):
    """A mapping rule, split, policy or scenario can't be used as written."""


class DataError(FinopsError):
    """Input data is missing, stale or unusable."""


class FrameError(DataError):
    """A frame breaks its contract; the message lists column, check and first bad value."""


class UsageError(DataError):
    """A provider's usage object can't be split into disjoint meters.

    `flag` is the machine-readable reason, such as "negative_remainder".
    """

    def __init__(self, message: str, flag: str = "") -> None:
        super().__init__(message)
        self.flag = flag


class PriceError(DataError):
    """A price or contract row is unusable."""


class StoreError(DataError):
    """The lake is missing, locked or damaged."""


class ClosedPeriodError(DataError):
    """The month is closed: its figures never change; a correction is a true-up."""


class ProviderError(FinopsError):
    """A provider answered badly or not at all."""


class ProviderNotFound(ProviderError):
    """No connector or reader of that name is installed."""

    exit_code = 2

    def __init__(self, name: str, known: Collection[str]) -> None:
        self.name, self.known = name, sorted(known)
        super().__init__(f"No provider called {name!r}. {hint(name, known)}")


class CredentialsError(ProviderError):
    """Credentials are missing or were refused."""

    exit_code = 2


class ProviderUnavailable(ProviderError):
    """The provider kept failing after retries."""


class ConnectorFault(ProviderError):
    """A connector, its SDK or a plugin failed in a way it didn't mean to; `connection` is whose load it ended.

    The original error is its `__cause__`.
    """

    def __init__(self, message: str, connection: str = "") -> None:
        super().__init__(message)
        self.connection = connection


class PluginError(FinopsError):
    """A plugin breaks the contract; its author must fix it."""

    exit_code = 2


def hint(name: str, known: Collection[str]) -> str:
    """Say which known name was probably meant, or list them.

    >>> hint("openay", ["openai", "focus"])
    "Did you mean 'openai'?"
    >>> hint("zzz", ["openai", "focus"])
    'Known: focus, openai.'
    """
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(sorted(known)) or 'none'}."
