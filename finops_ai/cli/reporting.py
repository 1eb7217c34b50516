"""`finops-ai report`: the main job."""

from __future__ import annotations

import atexit
import gc
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from finops_ai.cli.collecting import config_option
from finops_ai.extras import require_extra

if TYPE_CHECKING:
    from finops_ai.workspace import Workspace


@click.command()
@click.option(
    "--month",
    metavar="YYYY-MM",
    help="Month of the reporting time zone. Default: the last complete month that holds data.",
)
@click.option(
    "--out", default=None, metavar="FOLDER", help="Where reports go. Default: `reports` of finops.toml, or ./reports."
)
@config_option
@click.option("--sample", is_flag=True, help="The sample company instead of your own data: no credentials, no network.")
@click.option(
    "--input",
    "source",
    type=click.Path(),
    help="Usage instead of a workspace: a log of the SDKs' answers, a provider's export, or any table with --mapping; "
    "a file, folder, glob, zip or address.",
)
@click.option("--mapping", type=click.Path(dir_okay=False), help="Which column of --input is what (TOML).")
@click.option(
    "--input-format",
    default=None,
    help="Format of --input: a connector's name, responses, csv, xlsx, parquet or jsonl. Default: by its content.",
)
@click.option(
    "--rules",
    "rules_file",
    type=click.Path(dir_okay=False),
    help="Mapping rules for --input (TOML with [dimensions] and [[rules]]).",
)
@click.option("--no-collect", is_flag=True, help="Use what the lake holds; ask no provider.")
@click.option("--only", multiple=True, metavar="NOTEBOOK", help="Render only this notebook; repeat for more.")
@click.option(
    "-p",
    "--parameter",
    multiple=True,
    metavar="NAME=VALUE",
    help="A notebook parameter, checked before anything runs; repeat for more.",
)
@click.option(
    "--jobs",
    type=click.IntRange(1, 16),
    default=None,
    help="Notebooks to run at the same time. Default: 2, and 1 on two cores.",
)
@click.option("--pdf", is_flag=True, help="Also print the pages to PDF; needs Chromium.")
def report(
    month: str | None, out: str | None, config: str, sample: bool, source: str | None, mapping: str | None, input_format: str | None,
    rules_file: str | None, no_collect: bool, only: tuple[str, ...], parameter: tuple[str, ...], jobs: int | None, pdf: bool,
) -> int:  # fmt: skip
    """Make a month's report: collect, price, map to the business, render; then print where it is.

    \b
    finops-ai report --sample                          the sample company, no credentials
    finops-ai report --month 2026-10                   your workspace (finops.toml)
    finops-ai report --input log.parquet --mapping log.toml

    Writes FOLDER/<month>/index.html with its pages, tables (CSV, Excel, Parquet) and manifest.json. The same command
    with the same data gives the same figures, so it is safe to schedule and to repeat.
    """
    require_extra("report")
    began = time.monotonic()
    os.environ.setdefault("FINOPS_AI_PROGRESS", "log")
    if sum([sample, bool(source)]) > 1:
        raise click.UsageError("Give either --sample or --input, not both.")
    if (
        source
        and "://" not in source
        and not any(c in source for c in "*?[")
        and not Path(source).expanduser().exists()
    ):
        raise click.UsageError(f"There is no file {source}.")
    if mapping and not source:
        raise click.UsageError("--mapping says which column of a file is what: give the file with --input.")
    from finops_ai.periods import parse_month
    from finops_ai.reporting.planning import check_choices, check_month
    from finops_ai.reporting.site import make_report

    if month:
        parse_month(month)
    given = _parameters(parameter)
    check_choices(only, given)  # a typing mistake is told before minutes of work
    ws, config = _workspace(config, sample, source, mapping, input_format, rules_file)
    if isinstance(asked := given.get("month"), str):  # the same as --month
        parse_month(asked)
        month = month or asked
        if month != asked:
            check_month(ws, month, given)
    month = month or _last_month(ws, sample or bool(source))
    notes: list[str] = []
    code = 0
    if not (sample or source or no_collect) and ws.settings.providers:
        notes, code = _collect(ws, month)
    click.echo(f"Month {month}: pricing and mapping ...", err=True)
    gc.set_threshold(20_000, 20, 20)  # a minute's work whose imports are no garbage
    gc.freeze()
    atexit.register(gc.unfreeze)  # libraries tell of what is left when the process ends
    made = make_report(
        ws, month, Path(out or ws.settings.path(ws.settings.workspace.reports)) if not (sample or source) else Path(out or "reports"),
        config=config, only=only, parameters=given, jobs=jobs, notes=notes,
        watch=lambda page: click.echo(f"  {'failed' if page.error else 'made'}: {page.title}", err=True),
    )  # fmt: skip
    if pdf:
        from finops_ai.reporting.pdf import print_pages

        print_pages(made, say=lambda text: click.echo(text, err=True))
    for page in made.failed:
        click.echo(f"Not made: {page.error}", err=True)
    click.echo(f"Done in {time.monotonic() - began:.0f} s.", err=True)
    click.echo(str(made.index))
    return 1 if made.failed else code


def _workspace(
    config: str, sample: bool, source: str | None, mapping: str | None, form: str | None, rules_file: str | None
) -> tuple[Any, str]:
    import finops_ai as fa

    if sample:
        from finops_ai.sample.workspace import sample_workspace

        ws = sample_workspace(say=lambda text: click.echo(text, err=True))
    elif source:
        from finops_ai.cli.own_data import input_workspace

        ws = input_workspace(source, mapping, form, rules_file)
    else:
        ws = fa.open(config)
        return ws, config
    return ws, str(ws.settings.root / "finops.toml")


def _last_month(ws: Workspace, complete: bool) -> str:
    """The last month that holds data; for live workspaces the last one that is over."""
    from finops_ai.periods import last_complete_month

    months = ws.months()
    if complete and months:
        out: str = months[-1]
        return out
    last = last_complete_month()
    return max([m for m in months if m <= last], default=last)


def _collect(ws: Workspace, month: str) -> tuple[list[str], int]:
    from finops_ai.periods import Window

    notes: list[str] = []
    code = 0
    for outcome in ws.collect(Window.month(month, ws.timezone)):
        if outcome.error:
            code = 3
            notes.append(f"{outcome.connection} is missing or stale: {outcome.error}")
            click.echo(notes[-1], err=True)
        notes += [f"{outcome.connection}: {note}" for note in outcome.notes]
    return notes, code


def _parameters(pairs: tuple[str, ...]) -> dict[str, Any]:
    """NAME=VALUE pairs; values are read as TOML where they are (numbers, true, lists), else as text."""
    import tomllib

    out = {}
    for pair in pairs:
        name, sign, value = pair.partition("=")
        if not sign:
            raise click.UsageError(f"-p {pair}: write NAME=VALUE.")
        try:
            out[name] = tomllib.loads(f"x = {value}")["x"]
        except tomllib.TOMLDecodeError:
            out[name] = value
    return out
