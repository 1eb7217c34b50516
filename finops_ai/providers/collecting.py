"""Token frames from files and live sources by name: `fa.read`, `fa.collect`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from finops_ai.errors import DataError, ProviderNotFound
from finops_ai.periods import Window
from finops_ai.providers.border import made, usage_of
from finops_ai.providers.connector import Connector
from finops_ai.providers.registry import find_connector

if TYPE_CHECKING:
    import pandas as pd

#: wide enough for any export
ALWAYS = Window.of("1970-01-01", "2200-01-01")


def connector(name: str, /, **settings: Any) -> Connector:
    """Make the connector or reader of that name with these settings.

    Args:
        name: an installed connector ("openai", "bedrock", ...) or a reader ("table", "csv", "xlsx", "parquet",
            "jsonl", "responses").
        **settings: the connector's own settings; readers need `files`, and all but "responses" a `mapping`.

    Raises:
        ProviderNotFound: nothing of that name is installed; suggests the nearest.
        SettingsError: a setting is unknown, missing or of the wrong kind.

    >>> connector("opnai")
    Traceback (most recent call last):
    ...
    finops_ai.errors.ProviderNotFound: No provider called 'opnai'. Did you mean 'openai'?
    """
    own = readers()
    if name in own:
        return own[name](**settings)
    try:
        cls = find_connector(name)
    except ProviderNotFound as error:
        if error.__cause__ is None:
            raise ProviderNotFound(name, [*error.known, *own]) from None
        raise
    return made(cls, settings, name)


def readers() -> dict[str, type[Connector]]:
    """The readers of files that belong to no provider, by name; they need no plugin."""
    from finops_ai.providers.mapped import CsvFiles, ExcelFiles, JsonLinesFiles, MappedFiles, ParquetFiles
    from finops_ai.providers.responses import ResponseFiles

    return {cls.name: cls for cls in (MappedFiles, CsvFiles, ExcelFiles, ParquetFiles, JsonLinesFiles, ResponseFiles)}


def read(
    path: str | Path | list[str], format: str = "openai", *, start: object = None, end: object = None, **settings: Any
) -> pd.DataFrame:
    """Token frame from saved files.

    Args:
        path: a file, a folder, a glob, an https or s3 address, or a list of them; gzip and zip are unpacked.
        format: a connector's name (its provider's own export format); "responses" for logs of the SDKs' answers; "table" (or
            csv, xlsx, parquet, jsonl) with `mapping="file.toml"` for any other file; "auto" to find out by the content.
        start: first instant to keep, included; default everything.
        end: first instant to leave out; default everything.
        **settings: further settings of the connector or reader.

    Returns:
        Token frame, one row per meter and usage slice: columns, units and types in `docs/columns.md`. Quantities are
        exact decimals in the meter's unit; what a source doesn't tell is null.

    Raises:
        DataError: a file is missing, damaged or holds an impossible value; names file, row, column and value.
        SettingsError: a setting or the mapping file is wrong.

    Example:
        >>> import tempfile
        >>> import finops_ai as fa
        >>> exports = tempfile.mkdtemp()
        >>> files = fa.sample.write_native(exports, months=1)
        >>> fa.read(f"{exports}/openai", format="openai", start="2026-10-31")["meter"].unique().tolist()
        ['input', 'output', 'requests', 'cache_read']

        A request log of your own: `fa.read("requests.parquet", format="parquet", mapping="requests.toml")`.
    """
    files = [str(p) for p in path] if isinstance(path, list | tuple) else [str(path)]
    if format == "auto":
        format = _found_out(files, settings)
    window = Window.of(ALWAYS.start if start is None else start, ALWAYS.end if end is None else end)
    return usage_of(connector(format, files=files, **settings), window)


def _found_out(files: list[str], settings: dict[str, Any]) -> str:
    from finops_ai.providers.files import find_files
    from finops_ai.providers.recognising import recognise

    paths = find_files(files)
    if "mapping" in settings:
        return "table"
    if name := recognise(paths):
        return name
    raise DataError(
        f"{paths[0]}: no known export or log of answers. Say which column is what with mapping=...: "
        f"`finops-ai report --input {paths[0].name}` writes a first mapping file."
    )


def collect(name: str, start: object, end: object, **settings: Any) -> pd.DataFrame:
    """Token frame of `[start, end)` from a provider's live source.

    Args:
        name: an installed connector.
        start: first instant or day, included.
        end: first instant or day left out.
        **settings: the connector's settings; credentials come from the environment.

    Returns:
        Token frame, one row per meter and usage slice that starts in the window (`docs/columns.md`).

    Raises:
        ProviderNotFound: no connector of that name is installed.
        SettingsError: a setting is unknown or missing, a credential isn't there.
        ProviderError: the source refuses or can't be reached; 429 and 5xx were retried, 401 and 403 never.

    Example:
        `fa.collect("openai", "2026-10-01", "2026-11-01")` asks the live source; with `files` it reads saved answers:

        >>> import tempfile
        >>> import finops_ai as fa
        >>> exports = tempfile.mkdtemp()
        >>> files = fa.sample.write_native(exports, months=1)
        >>> len(fa.collect("openai", "2026-10-01", "2026-10-08", files=[f"{exports}/openai"]))
        147
    """
    return usage_of(connector(name, **settings), Window.of(start, end))
