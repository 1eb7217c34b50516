"""The connector: an object that reads one provider for a half-open window and gives frames."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from finops_ai.errors import CredentialsError, PluginError, SettingsError, hint
from finops_ai.frames import BillFrame, CommitFrame, SeatFrame, empty
from finops_ai.money import written
from finops_ai.providers.plain_http import require_https

if TYPE_CHECKING:
    import pandas as pd

    from finops_ai.periods import Window


class ConnectorSettings(BaseModel):
    """Settings every connector understands; a connector adds its own by subclassing.

    Secrets are `SecretStr`: they never show in repr, logs, notebooks or errors. They come from the environment or
    the SDK's own chain; finops.toml may name the variable (`api_key_env`), never hold the value.
    """

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True, validate_default=True)

    endpoint_url: str | None = Field(None, description="Base address, for private endpoints and proxies.")
    timeout: float = Field(60.0, gt=0, le=3600, description="Seconds to wait for one answer.")
    max_retries: int = Field(5, ge=0, le=20, description="Retries of 429, 5xx and dropped connections.")
    allow_plain_http: bool = Field(
        False, description="Send credentials over http:// to another machine; only in a network that is yours alone."
    )
    files: list[str] = Field(
        default_factory=list, description="Saved exports to read instead of the live source (globs)."
    )

    @field_validator("files", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return [str(value)] if isinstance(value, str | Path) else value


@dataclass(frozen=True)
class Finding:
    """One line of `finops-ai doctor`: what was looked at, whether it is fine, and what to do if not."""

    what: str
    ok: bool
    detail: str = ""
    fix: str = ""


@dataclass(frozen=True)
class LeftOut:
    """What a read saw and didn't keep: so that what was kept and this together are what the source holds.

    Attributes:
        reason: why, in a few words: "another service: Amazon EC2", "tax that names no service".
        rows: how many rows.
        amount: how much, exactly: money where `unit` is a currency, else a quantity of that unit; None = not stated.
        unit: ISO 4217 currency, or the unit of a quantity ("tokens").
    """

    reason: str
    rows: int
    amount: Decimal | None = None
    unit: str = ""

    def __str__(self) -> str:
        much = "" if self.amount is None else f"{written(self.amount, self.unit)} {self.unit}: "
        return f"{much}{self.reason} ({self.rows:,} {'row' if self.rows == 1 else 'rows'})"


#: kinds of left-out rows that are listed by name; the smaller ones are added up
LISTED = 12


def left_out_of(found: Iterable[tuple[str, str, int, Decimal | None]]) -> list[LeftOut]:
    """Reasons with their unit, rows and amount as `LeftOut`, the largest amounts first; beyond twelve the rest as one.

    >>> [str(item) for item in left_out_of([("another service: Amazon EC2", "USD", 2, Decimal("12.5"))])]
    ['12.50 USD: another service: Amazon EC2 (2 rows)']
    """
    sums: dict[tuple[str, str], list[Any]] = {}
    for reason, unit, rows, amount in found:
        slot = sums.setdefault((reason, unit), [0, None])
        slot[0] += rows
        slot[1] = slot[1] if amount is None else (slot[1] or Decimal(0)) + amount
    ranked = sorted(sums.items(), key=lambda item: (-abs(item[1][1] or 0), item[0]))
    out = [LeftOut(reason, rows, amount, unit) for (reason, unit), (rows, amount) in ranked[:LISTED]]
    rest: dict[str, list[Any]] = {}
    for (_, unit), (rows, amount) in ranked[LISTED:]:
        slot = rest.setdefault(unit, [0, Decimal(0)])
        slot[0] += rows
        slot[1] += amount or 0
    return out + [LeftOut("smaller kinds of rows", rows, amount, unit) for unit, (rows, amount) in sorted(rest.items())]


@dataclass(frozen=True)
class LineItem:
    """What the text of a charge says, as the connector of who billed it reads it.

    Attributes:
        meter: meter of the registry, "unmapped" where the text names none.
        model: model it names, or None.
        service_tier: tier it names.
        operation: what was done, or None where the text doesn't say.
        block: units of the meter in one pricing unit, or None where the text doesn't say.
    """

    meter: str
    model: str | None = None
    service_tier: str = "standard"
    operation: str | None = None
    block: Decimal | None = None


class Connector:
    """Reads one provider. Subclass it, set `name` and `title`, and write `usage` (and `bills`, if it has any).

    A connector is made with checked settings and must be cheap to make: SDKs are imported and connections opened
    in `usage` and `bills` only.

    Attributes:
        name: short lower-case name users type; also the frames' `provider`.
        title: name people read.
        Settings: pydantic model of its settings.
        restated_days: how far back the provider may still change usage; incremental loads re-read that much.
        promised: how late data may be, by what the provider says; what is later is stale.
        finest: settings by which usage is read as finely as the source has it: what is watched is read so.
        road: how usage gets here: "vendor" (its API, report or bill), "gateway", "telemetry" or "log"; of a coding tool's use that
            several tell of, one counts, in this order.
        coarsest: settings by which totals of days are read with the fewest calls: what is compared is read so.
        notes: what a reader of the result must know (a grouping the API refused, say); filled while reading.
        left_out: what the source holds for the window and the frames don't, with amounts and reasons; filled while
            reading. The bill frame's cost and the left-out amounts of its currency add up to the source's total.
        fresh_until: instant up to which the source had data, if it tells; filled while reading.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    Settings: ClassVar[type[ConnectorSettings]] = ConnectorSettings
    restated_days: ClassVar[int] = 3
    promised: ClassVar[dt.timedelta] = dt.timedelta(days=1)
    road: ClassVar[str] = "vendor"
    finest: ClassVar[Mapping[str, Any]] = {}
    coarsest: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, /, **settings: Any) -> None:
        self.settings = read_settings(self.Settings, settings, place=f"[providers.{self.name}]")
        self.notes: list[str] = []
        self.left_out: list[LeftOut] = []
        self.fresh_until: dt.datetime | None = None

    def note(self, text: str) -> None:
        """Add to `notes`, once."""
        if text not in self.notes:
            self.notes.append(text)

    @property
    def live(self) -> bool:
        """Whether it asks the provider itself rather than saved files."""
        return not self.settings.files

    def usage(self, window: Window) -> pd.DataFrame:
        """Token frame of the window: every slice that starts in `[window.start, window.end)`, and no other."""
        raise PluginError(f"{type(self).__name__} must define usage(window).")

    def bills(self, window: Window) -> pd.DataFrame:
        """Bill frame of the window; empty where the provider gives none."""
        return empty(BillFrame)

    def seats(self, window: Window) -> pd.DataFrame:
        """Seat frame: who holds which seat at any time in the window, as far as the source tells; its money is in `bills`
        where the source states it, else in the seat-price file. Empty where there are no seats."""
        return empty(SeatFrame)

    def commits(self, window: Window) -> pd.DataFrame:
        """Commit frame of the window, where the source says which session or agent made a commit; else empty."""
        return empty(CommitFrame)

    @classmethod
    def line_item(cls, row: Mapping[str, str | None]) -> LineItem | None:
        """What a charge of this provider in somebody else's file says; None where its texts aren't this connector's.

        Args:
            row: texts of a FOCUS row by column: SkuMeter, ChargeDescription, PricingUnit, SkuId, x_SkuMeterName,
                x_SkuMeterCategory, x_SkuMeterSubcategory, x_PricingUnitDescription, ServiceName; null where the file has none.
        """
        return None

    def doctor(self) -> list[Finding]:
        """What is missing to read this provider, and how to get it. Makes at most one cheap call."""
        return []

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} {'live' if self.live else 'files'}>"


def read_settings(model: type[ConnectorSettings], values: dict[str, Any], *, place: str) -> Any:
    """Check settings and say readably what is wrong with them.

    Raises:
        SettingsError: an unknown key (with the nearest known one) or a value of the wrong kind.
    """
    known = {name: field.description for name, field in model.model_fields.items()}
    if unknown := sorted(set(values) - set(known)):
        raise SettingsError(f"{place}: no setting called {unknown[0]!r}. {hint(unknown[0], known)}")
    try:
        settings = model(**values)
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            name = ".".join(str(part) for part in problem["loc"])
            annotation = str(model.model_fields[name.split(".")[0]].annotation) if name.split(".")[0] in known else ""
            got = "" if "Secret" in annotation or problem["type"] == "missing" else f", got {problem.get('input')!r}"
            lines.append(f"  {name}: {problem['msg']}{got} ({known.get(name) or ''})")
        raise SettingsError(f"{place}:\n" + "\n".join(lines)) from None
    for name, value in settings:
        if isinstance(value, str) and "://" in value:
            require_https(value, f"{place} {name}", allowed=settings.allow_plain_http)
    return settings


def secret(value: SecretStr | None, *, variable: str, what: str, how: str) -> str:
    """The text of a secret, from the setting or else the environment variable.

    Raises:
        CredentialsError: neither is there; says which variable to set and how to get the credential.
    """
    import os

    text = value.get_secret_value() if value else os.environ.get(variable, "")
    if not text:
        raise CredentialsError(f"No {what}: set the environment variable {variable}. {how}")
    return text
