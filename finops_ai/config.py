"""Settings in `finops.toml`: one file beside the data, commented, checked key by key."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from finops_ai.errors import SettingsError, hint
from finops_ai.periods import zone

_Section = TypeVar("_Section", bound=BaseModel)
FILE_NAME = "finops.toml"

#: sections that the module of their name reads and checks; here only their presence is known
MAPPING_SECTIONS = ("dimensions", "rules", "lookups", "shared")
POLICY_SECTIONS = (
    "alerts",
    "answers",
    "bill",
    "chargeback",
    "close",
    "journal",
    "budgets",
    "business",
    "scenario",
    "contracts",
    "currency",
    "deliver",
    "plan",
    "reconcile",
    "incidents",
    "tests",
    "people",
    "seats",
)


class WorkspaceSettings(BaseModel):
    """The `[workspace]` section."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field("AI cost", description="Printed on reports.")
    currency: str = Field("USD", pattern="^[A-Z]{3}$", description="Currency reports are shown in (ISO 4217).")
    timezone: str = Field("UTC", description="Reporting time zone: decides which day and month a call belongs to.")
    lake: str = Field("finops-lake", description="Folder of the lake, or s3://, gs://, abfs://.")
    reports: str = Field("reports", description="Folder reports are written to.")
    prices: str | None = Field(None, description="Your own price and contract file, laid over the bundled price book.")
    storage_options: dict[str, str] = Field(
        default_factory=dict, description="Options of the lake's object store, without secrets."
    )

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        zone(name)
        return name


class LimitsSettings(BaseModel):
    """The `[limits]` section: how much may come in at once. What is larger is refused in words, not read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file_bytes: int = Field(20 * 2**30, ge=1, description="Largest file, as it is stored.")
    unpacked_bytes: int = Field(8 * 2**30, ge=1, description="Most that one file or answer may unpack to.")
    unpack_ratio: int = Field(
        400, ge=1, description="How many times larger content may be unpacked than packed, above 256 MiB."
    )
    answer_bytes: int = Field(2**29, ge=1, description="Largest answer of a provider to one request, unpacked.")
    answer_seconds: int = Field(900, ge=1, description="Longest time that one answer may take to arrive whole.")
    line_bytes: int = Field(2**26, ge=1, description="Longest line or cell of a text file.")
    rows: int = Field(2_000_000_000, ge=1, description="Most rows of one file.")
    columns: int = Field(10_000, ge=1, description="Most columns of one file.")
    depth: int = Field(100, ge=1, le=400, description="How deep JSON may be nested.")
    digits: int = Field(40, ge=1, le=4000, description="Most digits of one number, and its largest exponent.")


class PluginsSettings(BaseModel):
    """The `[plugins]` section: whose code may run."""

    model_config = ConfigDict(extra="forbid")

    allow: list[str] | None = Field(
        None,
        description="Distributions whose connectors may be loaded, such as finops-ai-openai or "
        "finops-ai-openai==0.1.0; without it, those that a connection names.",
    )


class EngineSettings(BaseModel):
    """The `[engine]` section: where the rows of a month are added up."""

    model_config = ConfigDict(extra="forbid")

    name: Literal["duckdb", "spark", "bigquery"] = Field(
        "duckdb", description="duckdb (in this process), spark or bigquery."
    )
    remote: str = Field(
        "",
        description="Spark: sc://host:15002 of a cluster, or databricks for Databricks Connect; empty = a local session.",
    )
    options: dict[str, str] = Field(
        default_factory=dict, description="Options of the Spark session, or of DuckDB, such as memory_limit."
    )
    project: str = Field("", description="BigQuery: the project that runs and pays the queries.")
    dataset: str = Field("", description="BigQuery: data set in which the lake is an external table.")
    location: str = Field("", description="BigQuery: location of the data set, such as EU.")
    endpoint: str = Field("", description="BigQuery: another address of its service, such as an emulator's.")
    cells: int = Field(
        200_000,
        ge=1_000,
        description="Rows a month's cube should stay below: where there were more, its finest columns (sessions, branches, users, "
        "prompts, ...) are left out and asking for them is refused.",
    )


class Settings(BaseModel):
    """A whole finops.toml. `root` is the folder that relative paths belong to."""

    model_config = ConfigDict(extra="forbid")

    root: Path = Path()
    workspace: WorkspaceSettings = WorkspaceSettings()
    limits: LimitsSettings = LimitsSettings()
    plugins: PluginsSettings = PluginsSettings()
    engine: EngineSettings = EngineSettings()
    providers: dict[str, dict[str, Any]] = Field(default_factory=dict)
    mapping: dict[str, Any] = Field(default_factory=dict)
    policies: dict[str, Any] = Field(default_factory=dict)

    def path(self, text: str) -> Path:
        """A path of the file, relative to the file's own folder."""
        return self.root / Path(text).expanduser()

    @property
    def lake(self) -> str:
        """The lake's address: absolute folder or URL."""
        place = self.workspace.lake
        return place if "://" in place else str(self.path(place).resolve())


def load_settings(path: str | Path = FILE_NAME) -> Settings:
    """Read and check a finops.toml.

    Raises:
        SettingsError: the file is missing, not TOML, or has an unknown or impossible setting; names the place.
    """
    path = Path(path)
    if path.is_dir():
        path = path / FILE_NAME
    if not path.exists():
        raise SettingsError(f"There is no {path}. Write one with `finops-ai init`, or name yours with --config FILE.")
    document = read_toml(path)
    return parse_settings(document, root=path.parent, place=str(path))


def read_toml(path: Path, **options: Any) -> dict[str, Any]:
    """A TOML file as a dictionary.

    Args:
        path: the file.
        **options: of `tomllib.loads`, such as `parse_float=Decimal`.

    Raises:
        SettingsError: it is missing, can't be read, is no TOML, or is nested too deep.
    """
    try:
        return tomllib.loads(path.read_text("utf-8-sig"), **options)
    except FileNotFoundError:
        raise SettingsError(f"There is no {path}. Check the path.") from None
    except OSError as error:
        raise SettingsError(f"{path} can't be read ({error.strerror or error}).") from None
    except RecursionError:
        raise SettingsError(f"{path} is nested too deep to be read.") from None
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is no UTF-8 text (byte {error.start}): save it in the encoding UTF-8.") from None
    except (ValueError, ArithmeticError) as error:  # no TOML, a number nobody can count with
        raise SettingsError(f"{path} is not valid TOML: {error}.") from None


def parse_settings(document: dict[str, Any], *, root: Path = Path(), place: str = FILE_NAME) -> Settings:
    """Check an already parsed finops.toml; `place` names it in messages."""
    known = ("workspace", "engine", "providers", "limits", "plugins", *MAPPING_SECTIONS, *POLICY_SECTIONS)
    if unknown := sorted(set(document) - set(known)):
        raise SettingsError(f"{place}: no section called [{unknown[0]}]. {hint(unknown[0], known)}")
    for name, table in document.get("providers", {}).items():
        if not isinstance(table, dict):
            raise SettingsError(f"{place}: [providers.{name}] must be a table of settings, got {table!r}.")
    return Settings(
        root=root,
        workspace=_section(WorkspaceSettings, "workspace", document, place),
        engine=_section(EngineSettings, "engine", document, place),
        limits=_section(LimitsSettings, "limits", document, place),
        plugins=_section(PluginsSettings, "plugins", document, place),
        providers=document.get("providers", {}),
        mapping={key: document[key] for key in MAPPING_SECTIONS if key in document},
        policies={key: document[key] for key in POLICY_SECTIONS if key in document},
    )


def _section(model: type[_Section], name: str, document: dict[str, Any], place: str) -> _Section:
    """A section with the settings of a model, each known and possible."""
    section, fields = document.get(name, {}), model.model_fields
    if not isinstance(section, dict):
        raise SettingsError(f"{place}: [{name}] must be a table of settings, got {section!r}.")
    if unknown := sorted(set(section) - set(fields)):
        raise SettingsError(f"{place}, [{name}]: no setting called {unknown[0]!r}. {hint(unknown[0], fields)}")
    try:
        return model(**section)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        said = (
            "write three capital letters, such as USD" if first["type"] == "string_pattern_mismatch" else first["msg"]
        )
        raise SettingsError(f"{place}, [{name}] {where} = {first.get('input')!r}: {said}.") from None


def texts_in(value: object) -> Iterator[str]:
    """Every text in nested settings."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from texts_in(key)
            yield from texts_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from texts_in(inner)
