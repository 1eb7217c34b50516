"""`finops-ai backtest` and `finops-ai forecast`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from finops_ai.cli.output import format_options, plain, show
from finops_ai.errors import DataError

if TYPE_CHECKING:
    import pandas as pd


def read_series(path: str) -> pd.DataFrame:
    """A long series file (`unique_id, ds, y`), Parquet or CSV by its name."""
    import pandas as pd

    place = Path(path)
    if not place.exists():
        raise DataError(f"No file {path}. Give a Parquet or CSV file with the columns unique_id, ds, y.")
    try:
        return pd.read_csv(place) if place.suffix.lower() in (".csv", ".txt") else pd.read_parquet(place)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} can't be read as {place.suffix or 'Parquet'}: {error}") from None


@click.command()
@click.argument("file", type=click.Path())
@click.option("--horizon", type=click.IntRange(1), required=True, help="Points ahead.")
@click.option("--season", type=click.IntRange(1), help="Points of a season: 24 hours, 7 days; by frequency if not given.")
@click.option("--freq", help="h, D, W or MS; read from the spacing if not given.")
@click.option("--windows", type=click.IntRange(1), help="Origins; by default as many as leave half the history, at most 12.")
@click.option("--step", type=click.IntRange(1), help="Points between origins; the horizon if not given.")
@click.option("--model", "models", multiple=True, help="Choose from these models only ('default' for the default set).")
@click.option("--detail", type=click.Choice(["summary", "series", "points"]), default="summary", show_default=True)
@format_options
def backtest(
    file: str,
    horizon: int,
    season: int | None,
    freq: str | None,
    windows: int | None,
    step: int | None,
    models: tuple[str, ...],
    detail: str,
    form: str,
    output: str | None,
) -> None:
    """Measure the forecast on FILE (unique_id, ds, y) at past origins against linear, naive and seasonal naive.

    relMAE and relWQL are geometric means over series of the ratio of errors averaged over origins; below 1 is better.
    """
    from finops_ai.forecasting import run_backtest

    done = run_backtest(read_series(file), horizon, season, windows, step, freq=freq, models=models or None)
    if form == "json" and detail == "summary":
        text = json.dumps(done.figures(), default=plain, indent=1) + "\n"
        if output:
            Path(output).write_text(text, encoding="utf-8")
        else:
            click.echo(text, nl=False)
        return
    show({"summary": done.summary, "series": done.series, "points": done.points}[detail], form, output)
    if form == "table" and detail == "summary":
        settings = ", ".join(f"{name} {value}" for name, value in done.settings.items())
        click.echo("\n".join(["", settings, *done.notes]), err=output is not None)
