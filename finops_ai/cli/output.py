"""How a table leaves the command line: readable text, CSV, JSON or Parquet."""

from __future__ import annotations

import json
import math
import shutil
import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from finops_ai.marks import HIDDEN

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd

C = TypeVar("C", bound="Callable[..., object] | click.Command")

FORMATS = ["table", "csv", "json", "parquet"]
EXACT = "finops_ai.exact"


def format_options(command: C) -> C:
    """Add `--format`, `--output` and `--exact` to a command that shows one table."""
    command = click.option(
        "--exact",
        is_flag=True,
        expose_value=False,
        callback=lambda ctx, _, value: ctx.meta.update({EXACT: value}),
        help="Amounts with all their digits, instead of the cents that reports and statements show.",
    )(command)
    command = click.option(
        "-o", "--output", type=click.Path(dir_okay=False), help="Write to this file instead of the screen."
    )(command)
    return click.option(
        "--format", "form", type=click.Choice(FORMATS), default="table", show_default=True, help="Form of the table."
    )(command)


def show(frame: pd.DataFrame, form: str = "table", output: str | None = None) -> None:
    """Write a frame in the form asked for, to the screen or a file. CSV cells can't start a spreadsheet formula.

    Tables are written as published, in every form, unless the command was asked for exact amounts.
    """
    from finops_ai.tables.result import Table

    context = click.get_current_context(silent=True)
    facts = frame.facts if isinstance(frame, Table) else None
    if isinstance(frame, Table) and not (context and context.meta.get(EXACT)):
        frame = frame.published()
    if form == "parquet":
        if not output:
            raise click.UsageError("--format parquet needs --output FILE.")
        frame.to_parquet(output, index=False)  # decimals stay decimals
        return
    if form == "csv":
        from finops_ai.tables.csv import csv_text

        text = csv_text(frame)
    elif form == "json":
        rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
        text = json.dumps(rows, default=plain, indent=1, ensure_ascii=False) + "\n"
        # marks that a screen would obey or hide, as JSON's own codes for them
        text = HIDDEN.sub(lambda mark: json.dumps(mark[0])[1:-1], text)
    else:
        text = _readable(
            frame,
            facts.money if facts else (),
            bool(facts and facts.total),
            on_screen=sys.stdout.isatty() and not output,
        )
    if output:
        Path(output).write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)


def _readable(frame: pd.DataFrame, money: Sequence[str], total: bool, *, on_screen: bool) -> str:
    """A table as text without columns of zeros; on a screen as wide as that is. With a `total`, sums stand under it."""
    from finops_ai.tables.reading import columns_that_fit, only_zeros, sums_of

    sums = sums_of(frame, money) if total else None
    zeros = only_zeros(frame) if len(frame) else []
    width = shutil.get_terminal_size().columns if on_screen else math.inf
    body, left_out = columns_that_fit(frame.drop(columns=zeros), width, sums, money)
    said = [f"{len(left_out)} more columns: {', '.join(left_out)}"] if left_out else []
    said += [f"{len(zeros)} columns hold zeros or nothing: {', '.join(zeros)}"] if zeros else []
    return (body or "(empty)") + "\n" + (f"{'; '.join(said)}. --format csv shows them all.\n" if said else "")


def plain(value: object) -> Any:
    """A JSON value for what JSON doesn't know: exact decimals as text, instants in ISO 8601."""
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
