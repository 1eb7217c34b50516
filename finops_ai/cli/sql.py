"""`finops-ai sql`: the statement an engine is asked for."""

from __future__ import annotations

import sys

import click

from finops_ai.cli.collecting import config_option
from finops_ai.cli.tables import month_option, workspace
from finops_ai.marks import visible


@click.command()
@month_option
@click.option("--engine", metavar="NAME", default="", help="duckdb, spark or bigquery. Default: that of finops.toml.")
@config_option
def sql(month: str | None, engine: str, config: str) -> None:
    """Print the statement that adds up a month's rows: all that the engine of finops.toml is asked for.

    \b
    finops-ai sql --month 2026-10
    finops-ai sql --month 2026-10 --engine bigquery
    """
    ws, month = workspace(config, month)
    text = ws.sql(month, engine)
    if sys.stdout.isatty() or visible(text) == text:
        click.echo(text)
    else:  # a file gets it to the letter
        sys.stdout.buffer.write(f"{text}\n".encode())
