"""Where frames come in: whatever a connector, its SDK or a stranger's plugin does becomes a frame or an error in words.

An error of this package passes as it is. Anything else, from a KeyError to `sys.exit()` and a crash of native code that
Python hears of, becomes a `ConnectorFault`: it names the connection, the file last opened, the place in the code, whose code
that is, and the next step; the original stays its cause, which `-v` shows. Only Ctrl-C passes.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from finops_ai.config import LimitsSettings
from finops_ai.errors import ConnectorFault, FinopsError, ProviderError
from finops_ai.frames import BillFrame, CommitFrame, SeatFrame, check_frame
from finops_ai.providers.limits import in_force, limits, watched
from finops_ai.providers.plain_http import plain_http
from finops_ai.providers.registry import origin_of

if TYPE_CHECKING:
    import pandas as pd

    from finops_ai.periods import Window
    from finops_ai.providers.connector import Connector

#: what looks like a credential in the text of somebody else's error
_CREDENTIALS = re.compile(
    r"(?i)(?<![a-z0-9])(?:sk-[\w-]{8,}|AKIA[0-9A-Z]{12,}|ya29\.[\w.-]{8,}|gh[pousr]_\w{16,}|xox[a-z]-[\w-]{8,}"
    r"|eyJ[\w-]{10,}\.[\w-]{10,}(?:\.[\w-]*)?|bearer\s+[\w.~+/=-]{8,}|basic\s+[\w+/=]{8,})"
    r"|(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"
    r"|(?<=sig=)[^&\s'\"]+|(?<=signature=)[^&\s'\"]+|(?i:(?<=key=)|(?<=token=)|(?<=secret=)|(?<=password=))[^&\s'\"]{4,}"
)


def usage_of(
    connector: Connector, window: Window, *, name: str = "", chosen: LimitsSettings | None = None
) -> pd.DataFrame:
    """The connector's token frame of a window, checked.

    Args:
        connector: who reads.
        window: half-open.
        name: the connection, for messages; by default the connector's name.
        chosen: limits to read under; by default those in force.

    Raises:
        FinopsError: what the connector says on purpose; a `ConnectorFault` for everything else.
    """
    name = name or connector.name
    with guarded(connector, name, "usage", chosen):
        return check_frame(_frame(connector.usage(window), "usage"), source=f"{name} usage")


def bills_of(
    connector: Connector, window: Window, *, name: str = "", chosen: LimitsSettings | None = None
) -> pd.DataFrame:
    """The connector's bill frame of a window, checked (see `usage_of`)."""
    name = name or connector.name
    with guarded(connector, name, "bills", chosen):
        return check_frame(_frame(connector.bills(window), "bills"), BillFrame, source=f"{name} bills")


def seats_of(connector: Connector, window: Window, *, name: str = "") -> pd.DataFrame:
    """The connector's seat frame of a window, checked (see `usage_of`)."""
    name = name or connector.name
    with guarded(connector, name, "seats"):
        return check_frame(_frame(connector.seats(window), "seats"), SeatFrame, source=f"{name} seats")


def commits_of(connector: Connector, window: Window, *, name: str = "") -> pd.DataFrame:
    """The connector's commit frame of a window, checked (see `usage_of`)."""
    name = name or connector.name
    with guarded(connector, name, "commits"):
        return check_frame(_frame(connector.commits(window), "commits"), CommitFrame, source=f"{name} commits")


def made(cls: type[Connector], settings: Mapping[str, Any], name: str) -> Connector:
    """A connector of these settings; what its own code raises while it is made becomes a `ConnectorFault`, too."""
    try:
        return cls(**settings)
    except (FinopsError, KeyboardInterrupt):
        raise
    except BaseException as error:
        secrets = [
            str(v)
            for k, v in settings.items()
            if "Secret" in str(getattr(cls.Settings.model_fields.get(k), "annotation", ""))
        ]
        raise ConnectorFault(
            f"{name}: the connector can't be made of its settings: {described(error, secrets)}. This is a fault of "
            f"{origin_of(cls)}: update it, or show its author the output of the same command with -v.",
            name,
        ) from error


def asked(function: Callable[[], Any], connector: Connector, name: str, what: str) -> Any:
    """What a connector answers to any other question, such as `doctor`, under the same protection."""
    with guarded(connector, name, what):
        return function()


@contextmanager
def guarded(connector: Connector, name: str, what: str, chosen: LimitsSettings | None = None) -> Iterator[None]:
    """Run a stranger's code: see the module."""
    allowed = bool(getattr(connector.settings, "allow_plain_http", False))
    with in_force(chosen or limits()), plain_http(allowed), watched() as last:
        try:
            yield
        except (FinopsError, KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:
            raise fault_of(error, connector, name, what, last) from error


def fault_of(
    error: BaseException, connector: Connector, name: str, what: str, files: Iterable[str] = ()
) -> ConnectorFault:
    """The error of a connection for something its code didn't mean to raise."""
    file = next(iter(files), "")
    said = described(error, secrets_of(connector))
    where, owner = _place(error, connector), origin_of(type(connector))
    if file:
        cause = (
            f"Either that isn't as {connector.title} writes it, which a new export cures, or {owner} doesn't understand it yet: "
            "update it, or show its author the output of the same command with -v."
        )
    else:
        cause = f"This is a fault of {owner}: update it, or show its author the output of the same command with -v."
    return ConnectorFault(
        f"{name}: {what} failed{f' while reading {file}' if file else ''}: {said} (in {where}). Nothing of this window was "
        f"stored. {cause}",
        name,
    )


def described(error: BaseException, secrets: Iterable[str] = ()) -> str:
    """Somebody else's error in one line without credentials: its kind, and at most 300 characters of what it says.

    >>> described(KeyError("tokens")), described(ValueError("key=abcdef is refused"))
    ("KeyError: 'tokens'", 'ValueError: key=(hidden) is refused')
    """
    try:
        text = " ".join(str(error).split())
    except Exception:  # an error that can't even be printed
        text = ""
    text = without_secrets(text, secrets)[:300]
    kind = type(error).__name__
    return f"{kind}: {text}" if text else f"{kind} without a message"


def without_secrets(text: str, secrets: Iterable[str] = ()) -> str:
    """Text without the given secrets and without what looks like one.

    >>> without_secrets("GET https://me:pass1234@host/?sig=abc%2F&x=1 Bearer abcdefgh1234")
    'GET https://(hidden)@host/?sig=(hidden)&x=1 (hidden)'
    """
    for secret in secrets:
        if len(secret) >= 6:
            text = text.replace(secret, "(hidden)")
    return _CREDENTIALS.sub("(hidden)", text)


def secrets_of(connector: Connector) -> list[str]:
    """The secrets among a connector's settings, and those of the variables its settings name."""
    import os

    found = []
    for key, value in dict(getattr(connector, "settings", None) or {}).items():
        if isinstance(value, SecretStr):
            found.append(value.get_secret_value())
        elif key.endswith("_env") and isinstance(value, str):
            found.append(os.environ.get(value, ""))
    return found


def _frame(value: object, what: str) -> pd.DataFrame:
    import pandas as pd

    if not isinstance(value, pd.DataFrame):
        raise ProviderError(
            f"`{what}` gave {type(value).__name__} instead of a frame; its author must return `conform(...)`."
        )
    return value


def _place(error: BaseException, connector: Connector) -> str:
    """Where in the code it happened: the innermost line of the connector's own package, else the innermost of all."""
    frames = traceback.extract_tb(error.__traceback__)
    package = type(connector).__module__.partition(".")[0].replace(".", "/")
    own = [f for f in frames if f"/{package}/" in f.filename.replace("\\", "/") or Path(f.filename).stem == package]
    found = own or list(frames)
    if not found:
        return "unknown place"
    path = Path(found[-1].filename)
    return f"{'/'.join(path.parts[-2:])}, line {found[-1].lineno}"


__all__ = [
    "asked",
    "bills_of",
    "commits_of",
    "described",
    "fault_of",
    "guarded",
    "made",
    "seats_of",
    "usage_of",
    "without_secrets",
]
