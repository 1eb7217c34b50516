"""`finops-ai export focus`: the month's rows in the FinOps Open Cost and Usage Specification."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from finops_ai.cli.collecting import config_option
from finops_ai.cli.tables import month_option, rows_of, seats_option, workspace

if TYPE_CHECKING:
    from finops_ai.workspace import Workspace


@click.group()
def export() -> None:
    """Write the month's rows for other tools.

    \b
    finops-ai export focus --month 2026-10
    """


@export.command()
@month_option
@click.option(
    "--version", type=click.Choice(["1.2", "1.3", "1.4"]), default="1.2", show_default=True, help="FOCUS version."
)
@click.option(
    "--dataset",
    type=click.Choice(["cost-and-usage", "invoice-detail", "billing-period"]),
    default="cost-and-usage",
    show_default=True,
    help="The latter two, of FOCUS 1.4, are what was invoiced, from the month's bill.",
)
@click.option("--draft-keys", is_flag=True, help="Write model and token keys of the 1.5 draft without the x_ prefix.")
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="CSV or Parquet file. Default: focus-MONTH.csv.")
@seats_option
@config_option
def focus(
    month: str | None, version: str, dataset: str, draft_keys: bool, output: str | None, seats: bool, config: str
) -> None:
    """Write priced, allocated rows as FOCUS Cost and Usage and check the file.

    \b
    finops-ai export focus --month 2026-10 --version 1.3 -o focus.parquet
    finops-ai export focus --month 2026-10 --version 1.4 --dataset invoice-detail
    """
    from finops_ai.errors import CheckFailed
    from finops_ai.tables.focus import to_focus, write_focus
    from finops_ai.tables.focus_check import check_focus

    ws, month = workspace(config, month)
    if dataset != "cost-and-usage":
        invoiced(ws, month, version, dataset, output)
        return
    rows = to_focus(rows_of(ws, month, seats), version, draft_keys=draft_keys)
    path = write_focus(rows, output or f"focus-{month}.csv")
    unpriced = int((rows["x_PriceStatus"] == "unpriced").sum())
    click.echo(f"{path}: {len(rows)} rows, FOCUS {version}; {unpriced} of them without a known price (cost 0).")
    if problems := check_focus(path, version, draft_keys=draft_keys):
        raise CheckFailed(f"{path} breaks rules of FOCUS {version}:\n" + "\n".join(f"  {p}" for p in problems))


def invoiced(ws: Workspace, month: str, version: str, dataset: str, output: str | None) -> None:
    """Write a month's bill as one of the data sets of invoices."""
    import datetime as dt

    from finops_ai.errors import DataError, SettingsError
    from finops_ai.tables.focus import write_focus
    from finops_ai.tables.focus_invoices import billing_periods, invoice_detail

    if version != "1.4":
        raise SettingsError(f"{dataset} is a data set of FOCUS 1.4, not of {version}. Add --version 1.4.")
    bills, made = ws.bills(month), dt.datetime.now(dt.UTC).replace(microsecond=0)
    if not len(bills):
        raise DataError(f"There is no bill of {month}. `finops-ai collect` loads it where the source has one.")
    closed = ws.ledger.months()
    table = (
        invoice_detail(bills, made=made)
        if dataset == "invoice-detail"
        else billing_periods(bills, made=made, closed=closed)
    )
    path = write_focus(table, output or f"focus-{dataset}-{month}.csv")
    click.echo(f"{path}: {len(table)} records, FOCUS {version} {dataset}.")
    for note in table.facts.notes:
        click.echo(note, err=True)
