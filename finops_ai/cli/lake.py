"""`finops-ai lake`: what is in the lake, whether every byte of it is as written, fewer files, a copy elsewhere."""

from __future__ import annotations

from typing import Any

import click

from finops_ai.cli.collecting import config_option
from finops_ai.cli.output import format_options


@click.group()
def lake() -> None:
    """Look after the lake of the workspace.

    \b
    finops-ai lake info                 rows, files and last load of each connection
    finops-ai lake verify               read every byte and compare it with its checksum
    finops-ai lake compact              few files instead of many
    finops-ai lake export backup-2026   all rows as plain Parquet files
    """


def _lake(config: str) -> Any:
    import finops_ai as fa

    return fa.open(config).lake


@lake.command()
@config_option
@format_options
def info(config: str, form: str, output: str | None) -> None:
    """Rows, files, bytes, covered days and last load of each connection.

    \b
    finops-ai lake info
    """
    from finops_ai.cli.output import show
    from finops_ai.store import tools

    show(tools.info(_lake(config)), form, output)


@lake.command()
@config_option
def verify(config: str) -> int:
    """Read every byte of the lake and compare it with its checksum. Exit code 1 if one has changed.

    \b
    finops-ai lake verify
    """
    from finops_ai.store import checking

    place = _lake(config)
    found = checking.verify(place)
    for damage in found.damage:
        click.echo(str(damage), err=True)
    click.echo(f"{found.files:,} files, {found.bytes:,} bytes: {len(found.damage) or 'nothing'} damaged.")
    if found.unrecorded:
        click.echo(
            f"{found.unrecorded:,} of them have no checksum yet and could only be read; the next load gives them one."
        )
    return 1 if found.damage else 0


@lake.command()
@config_option
def compact(config: str) -> None:
    """Put small files together, and delete what no version of the last week needs. Loads do this by themselves, too.

    \b
    finops-ai lake compact
    """
    from finops_ai.store import tools

    done = tools.compact(_lake(config))
    click.echo(f"{done['before']:,} files became {done['after']:,}; {done['deleted']:,} old ones were deleted.")


@lake.command()
@click.argument("folder", type=click.Path(file_okay=False))
@click.option("--month", metavar="YYYY-MM", help="One month of the reporting time zone. Default: everything.")
@config_option
def export(folder: str, month: str | None, config: str) -> None:
    """Write the lake's rows into FOLDER as Parquet, one file per connection, with checksums for `sha256sum -c`.

    \b
    finops-ai lake export backup
    """
    from pathlib import Path

    import finops_ai as fa
    from finops_ai.periods import Window
    from finops_ai.store import tools

    ws = fa.open(config)
    window = Window.month(month, ws.timezone) if month else None
    written = tools.export(ws.lake, Path(folder), window)
    click.echo(f"Wrote {len(written)} files to {folder}.")


@lake.command()
@config_option
def upgrade(config: str) -> None:
    """Bring over a lake of version 0.1, which kept usage and bills in two tables. The old folders stay; delete them then.

    \b
    finops-ai lake upgrade
    """
    from finops_ai.store import tools

    rows = tools.upgrade(_lake(config))
    for table, count in rows.items():
        click.echo(f"{table}: {count:,} rows brought over.")
    if not rows:
        click.echo("There is nothing to bring over.")
