"""How a table leaves the command line: readable text, CSV, JSON or Parquet."""

from __future__ import annotations

import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import click

FORMATS = ["table", "csv", "json", "parquet"]


def format_options(command: Any) -> Any:
    """Add `--format` and `--output` to a command that shows one table."""
    command = click.option(
        "-o", "--output", type=click.Path(dir_okay=False), help="Write to this file instead of the screen."
    )(command)
    return click.option(
        "--format", "form", type=click.Choice(FORMATS), default="table", show_default=True, help="Form of the table."
    )(command)


def show(frame: Any, form: str = "table", output: str | None = None) -> None:
    """Write a frame in the form asked for, to the screen or a file. CSV cells can't start a spreadsheet formula."""
    if form == "parquet":
        if not output:
            raise click.UsageError("--format parquet needs --output FILE.")
        frame.to_parquet(output, index=False)
        return
    if form == "csv":
        from finops_ai.tables.csv import defuse

        text = defuse(frame).to_csv(index=False)
    elif form == "json":
        text = (
            json.dumps(
                frame.astype(object).where(frame.notna(), None).to_dict("records"),
                default=plain,
                indent=1,
                ensure_ascii=False,
            )
            + "\n"
        )
    else:
        text = table_text(frame) + "\n"
    if output:
        Path(output).write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)


def plain(value: Any) -> Any:
    """A JSON value for what JSON doesn't know: exact decimals as text, instants in ISO 8601."""
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def table_text(frame: Any) -> str:
    """A frame as aligned text: numbers right, amounts with separators, nulls as a dash."""
    columns = []
    for name in frame.columns:
        numeric = any(isinstance(v, int | float | Decimal) for v in frame[name].head(50))
        cells = [_cell(v) for v in frame[name]]
        width = max([len(str(name)), *map(len, cells)], default=0)
        align = str.rjust if numeric else str.ljust
        columns.append([align(str(name), width), "-" * width, *(align(c, width) for c in cells)])
    return "\n".join("  ".join(row).rstrip() for row in zip(*columns, strict=True)) if columns else "(empty)"


def _cell(value: Any) -> str:
    if value is None or value != value:  # null or NaN
        return "-"
    if isinstance(value, Decimal):
        text = f"{value:,f}"
        return text.rstrip("0").rstrip(".") if "." in text and len(text.split(".")[1]) > 4 else text
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return "".join(ch if ch.isprintable() else "�" for ch in str(value))[:60]
