"""The mapping file: which column of any request log or usage table is what.

Written in TOML; nothing is guessed:

    [columns]                       # token-frame column = column of the file ("usage.input" reaches into JSON)
    charge_period_start = "ts"      # or ["date", "time"], where the file keeps them apart
    model = "model"
    [constants]                     # token-frame column = the same value in every row
    provider = "openai"
    billing_account_id = "my-org"
    [values.service_tier]           # what the file's words mean here
    default = "standard"
    [tags]                          # tag = column of the file
    team = "team_name"
    [time]
    zone = "UTC"                    # of times without one
    unit = "iso"                    # iso for texts and timestamps, or s, ms, us, ns since 1970, or excel (days since 1900)
    format = "%d.%m.%Y"             # of texts, as strptime writes it; left out, it is found out from the values
    start = "2026-10-01T00:00:00Z"  # what numbers count from, where it isn't 1970
    lasts = "1s"                    # length of a slice whose end the file doesn't have: 1us, 1s, 1m, 1h, 1d
    [numbers]                       # left out, it is found out from the values
    decimal = ","
    thousands = "."
    [cost]
    per = 100                       # billed_cost is in cents: so many make one unit of its currency
    [[usage]]                       # one or more sets of counts per row
    requests = 1                    # calls in a row: a number or a column; leave out where unknown
    meters = { input = "prompt", cache_read = "cached", output = "completion" }
    inside = { cache_read = "input" }   # the file's input total includes the cached tokens

A file with a row per kind of token has `kind` (the column of the kind), `count` (the column of the number) and
`kinds = { prompt = "input", completion = "output", total = "" }`, where "" leaves rows out that repeat others. Counts in
thousands have `times = 1000`.

Instead of `meters` and `inside`, `format = "openai-chat"` (any format of `finops_ai.meters.normalise`) with
`fields = { prompt_tokens = "column", ... }` takes the totals apart as that provider counts them.
"""

from __future__ import annotations

import datetime as dt
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from finops_ai.errors import FinopsError, SettingsError, hint
from finops_ai.frames import TokenFrame, schema_of
from finops_ai.meters import meters
from finops_ai.periods import zone

DEFAULTS = {"operation": "chat", "service_tier": "standard", "source": "file", "quantity_basis": "metered"}
#: columns the reader fills from [[usage]] and [tags]
DERIVED = {"meter", "quantity", "unit", "slice_input_tokens", "slice_requests", "tags"}
SETTABLE = [name for name in schema_of(TokenFrame).names if name not in DERIVED]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Time(_Strict):
    """How the file writes instants."""

    zone: str = "UTC"
    unit: Literal["iso", "s", "ms", "us", "ns", "excel"] = "iso"
    format: str = ""
    start: dt.datetime | None = None
    lasts: str = "1s"

    @field_validator("zone")
    @classmethod
    def _is_zone(cls, value: str) -> str:
        try:
            zone(value)
        except FinopsError as error:
            raise ValueError(str(error)) from None
        return value

    @field_validator("format")
    @classmethod
    def _is_format(cls, value: str) -> str:
        if value and not re.search(r"%[dejmbBy]", value):
            raise ValueError('write it as strptime does, such as "%d.%m.%Y %H:%M"')
        return value

    @model_validator(mode="after")
    def _start_has_a_unit(self) -> Time:
        if self.start and self.unit in ("iso", "excel"):
            raise ValueError("`start` needs a `unit` to count in: s, ms, us or ns")
        return self

    @field_validator("lasts")
    @classmethod
    def _is_span(cls, value: str) -> str:
        if not re.fullmatch(r"[1-9]\d*(us|ms|s|m|h|d)", value):
            raise ValueError("write a whole number and us, ms, s, m, h or d, such as 1h")
        return value

    @property
    def microseconds(self) -> int:
        """Length of a slice without an end of its own."""
        number, unit = re.fullmatch(r"(\d+)(\D+)", self.lasts).groups()  # type: ignore[union-attr]
        return int(number) * {"us": 1, "ms": 10**3, "s": 10**6, "m": 6 * 10**7, "h": 36 * 10**8, "d": 864 * 10**8}[unit]


class NumberStyle(_Strict):
    """How the file writes numbers."""

    decimal: Literal[".", ","] = "."
    thousands: Literal["", ".", ",", "'", "’", " ", "_"] = ""

    @model_validator(mode="after")
    def _differ(self) -> NumberStyle:
        if self.decimal == self.thousands:
            raise ValueError("`decimal` and `thousands` must be different signs")
        return self


class StatedCost(_Strict):
    """How the file writes the cost it states itself."""

    per: int = Field(1, ge=1, le=10**12)

    @field_validator("per")
    @classmethod
    def _is_power_of_ten(cls, value: int) -> int:
        if value != 10 ** (len(str(value)) - 1):
            raise ValueError("write 1, 10, 100 and so on: how many of the file's numbers make one unit of the currency")
        return value

    @property
    def places(self) -> int:
        """By how many places the decimal point moves."""
        return len(str(self.per)) - 1


class Usage(_Strict):
    """One set of counts of a row: which column holds which meter, or a named usage format."""

    requests: int | str | None = None
    meters: dict[str, str] = Field(default_factory=dict)
    inside: dict[str, str] = Field(default_factory=dict)
    kind: str = ""
    count: str = ""
    kinds: dict[str, str] = Field(default_factory=dict)
    times: int = Field(1, ge=1, le=1_000_000)
    format: str | None = None
    fields: dict[str, str] = Field(default_factory=dict)
    constants: dict[str, str | int | float] = Field(default_factory=dict)
    tags: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _counts_something(self) -> Usage:
        if [bool(self.format), bool(self.meters), bool(self.kinds)].count(True) != 1:
            raise ValueError(
                "give either `meters` (and `inside`), or `format` (and `fields`), or `kind`, `count` and `kinds`"
            )
        if len({bool(self.kind), bool(self.count), bool(self.kinds)}) != 1:
            raise ValueError("a row per kind of token needs `kind`, `count` and `kinds`")
        if self.kinds and isinstance(self.requests, str):
            raise ValueError(
                "`requests` is 1 or left out where a row is a kind of token: calls are told apart by request_id"
            )
        if bool(self.format) != bool(self.fields):
            raise ValueError("`format` needs `fields`: the format's field = column of the file")
        for name in (*self.meters, *self.inside, *(m for m in self.kinds.values() if m)):
            if name not in meters():
                raise ValueError(f"no meter called {name!r}. {hint(name, meters())}")
        for part, whole in self.inside.items():
            have = self.meters or self.kinds.values()
            if part not in have or whole not in have or part == whole or whole in self.inside:
                raise ValueError(f"inside: {part} = {whole!r} must name two meters of `meters`, and {whole} a total")
        return self


class FileMapping(_Strict):
    """A whole mapping file."""

    columns: dict[str, str | list[str]] = Field(default_factory=dict)
    constants: dict[str, str | int | float] = Field(default_factory=dict)
    values: dict[str, dict[str, str]] = Field(default_factory=dict)
    tags: dict[str, str] = Field(default_factory=dict)
    time: Time = Field(default_factory=Time)
    numbers: NumberStyle | None = None
    cost: StatedCost = Field(default_factory=StatedCost)
    usage: list[Usage] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_are_known(self) -> FileMapping:
        for name in (*self.columns, *self.constants, *self.values, *(n for u in self.usage for n in u.constants)):
            if name not in SETTABLE:
                raise ValueError(f"the token frame has no settable column {name!r}. {hint(name, SETTABLE)}")
        for name in ("charge_period_start", "provider", "billing_account_id", "model"):
            stated = name in self.columns or name in self.constants or all(name in u.constants for u in self.usage)
            if not stated:
                raise ValueError(f"{name} must be in [columns] or [constants]")
        for name, column in self.columns.items():
            if isinstance(column, list) and not name.startswith("charge_period"):
                raise ValueError(f"{name} takes one column; only times may be put together from several")
        if any(usage.kinds for usage in self.usage):
            if len(self.usage) > 1:
                raise ValueError("`kinds` stands in the only [[usage]] there is")
            if self.usage[0].requests and "request_id" not in self.columns:
                raise ValueError(
                    "`requests` needs request_id in [columns] where a row is a kind of token; leave it out if there is none"
                )
        if both := sorted(self.columns.keys() & self.constants.keys()):
            raise ValueError(f"{both[0]} is both in [columns] and in [constants]")
        return self

    @property
    def one_row_is_one_slice(self) -> bool:
        """Whether rows are single calls or runs, told apart by their number, rather than a provider's buckets."""
        if any(usage.kinds for usage in self.usage):
            return False
        return "charge_period_end" not in self.columns or all(usage.requests == 1 for usage in self.usage)

    def source_columns(self) -> list[str]:
        """Every column of the file the mapping reads, each once."""
        names = [n for c in self.columns.values() for n in ([c] if isinstance(c, str) else c)]
        names += self.tags.values()
        for usage in self.usage:
            names += [
                *usage.meters.values(),
                *usage.fields.values(),
                *((usage.kind, usage.count) if usage.kind else ()),
            ]
            names += [usage.requests] if isinstance(usage.requests, str) else []
        return list(dict.fromkeys(names))


def load_mapping(mapping: str | Path | Mapping[str, Any]) -> FileMapping:
    """Read and check a mapping file (or the same as a dict).

    Raises:
        SettingsError: no such file, not TOML, or a key that isn't known; names the key and the nearest known one.
    """
    place = "mapping"
    if not isinstance(mapping, Mapping):
        if not isinstance(mapping, str | Path):
            raise SettingsError(
                f"mapping is a {type(mapping).__name__}: give the path of a TOML file, or the same as a dict with columns, constants "
                "and usage."
            )
        place = str(mapping)
        try:
            mapping = tomllib.loads(Path(mapping).expanduser().read_text("utf-8-sig"))
        except OSError as error:
            raise SettingsError(f"{place}: can't be read ({error.strerror}). Give --mapping a TOML file.") from None
        except (ValueError, RecursionError) as error:
            raise SettingsError(f"{place}: not TOML ({error}).") from None
    try:
        return FileMapping.model_validate(mapping)
    except ValidationError as error:
        raise SettingsError(f"{place}: " + "; ".join(_problem(p) for p in error.errors())) from None


def _problem(problem: Mapping[str, Any]) -> str:
    path = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        part = str(problem["loc"][0]) if len(problem["loc"]) > 1 else ""
        parts: dict[str, type[BaseModel]] = {"time": Time, "usage": Usage, "numbers": NumberStyle, "cost": StatedCost}
        model = parts.get(part, FileMapping)
        return f"no key called {path!r}. {hint(str(problem['loc'][-1]), model.model_fields)}"
    return f"{path or 'file'}: {problem['msg'].removeprefix('Value error, ')}"
