"""`finops-ai showback`, `what-if`, `budgets`: one table each, and what such commands share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from finops_ai.cli.collecting import config_option
from finops_ai.cli.output import format_options, show

if TYPE_CHECKING:
    import pandas as pd

    from finops_ai.tables.result import Table
    from finops_ai.workspace import Workspace

month_option = click.option(
    "--month",
    metavar="YYYY-MM",
    help="Month of the reporting time zone. Default: the last complete one that holds data.",
)
by_option = click.option(
    "--by",
    "-b",
    multiple=True,
    metavar="COLUMN",
    help="Group by this dimension, column or tags.KEY; repeat or separate by commas.",
)

seats_option = click.option(
    "--seats", is_flag=True, help="With the seats of the same days, each by its holder's team of that day."
)


def all_in(ws: Workspace, rows: Any, months: Sequence[Any], seats: bool) -> Any:
    """The rows, with the seats of their months beside them where they are asked for."""
    if not seats:
        return rows
    from finops_ai.people.workspace import all_in as beside

    return beside(ws, rows, months)


def workspace(config: str, month: str | None, *, held: bool = False) -> tuple[Any, str]:
    """The workspace, and the month asked for or the last complete one with data; `held`: it must hold usage or a bill."""
    import finops_ai as fa
    from finops_ai.errors import DataError
    from finops_ai.periods import last_complete_month, parse_month

    ws = fa.open(config)
    if month:
        parse_month(month)
        if held and month not in ws.months() and not ws.closed(month) and not len(ws.bills(month)):
            raise DataError(f"The lake holds neither usage nor a bill of {month}. {_load(ws)}")
        return ws, month
    found = ws.months()
    if not found:
        raise DataError("The lake holds no usage. Load some with `finops-ai collect`.")
    complete = [m for m in found if m <= last_complete_month()]
    return ws, (complete or found)[-1]


def _load(ws: Workspace) -> str:
    return f"It has {', '.join(ws.months()) or 'none'}; load more with `finops-ai collect`."


def cube_of(ws: Workspace, month: str, by: Sequence[str] = ()) -> Any:
    """The month's cube, which must hold something; `by` as in `Workspace.cube`."""
    return _some(ws.cube(month, by), ws, month)


def rows_of(ws: Workspace, month: str, seats: bool = False) -> Any:
    """The month's allocated rows one by one, of which there must be some; with its seats beside them where they are asked for."""
    return _some(all_in(ws, ws.allocated(month), [month], seats), ws, month)


def history_of(ws: Workspace, month: str, by: Sequence[str], seats: bool) -> Any:
    """Cubes of the month, which must hold something, and of the one before; with their seats where they are asked for."""
    if not seats:
        cube_of(ws, month, by)
        return ws.history(month, 2, by)
    from finops_ai.periods import parse_month, previous_month

    before = f"{previous_month(parse_month(month)):%Y-%m}"
    rows = all_in(ws, ws.history(month, 2, by), [before, month], seats)
    begun, window = rows["charge_period_start"], ws.window_of(month)
    _some(begun[((begun >= window.start) & (begun < window.end)).to_numpy(bool)], ws, month)
    return rows


def _some(frame: pd.DataFrame | pd.Series, ws: Workspace, month: str) -> Any:
    from finops_ai.errors import DataError
    from finops_ai.tables.bill_alone import where_billed

    if not len(frame):
        raise DataError(f"The lake holds no usage of {month}. {_load(ws)}" + where_billed(ws, month))
    return frame


def columns_of(by: tuple[str, ...], ws: Workspace) -> list[str]:
    """Groups asked for, by default the first dimension."""
    wanted = [c.strip() for text in by for c in text.split(",") if c.strip()]
    return wanted or list(ws.rules.dimensions[:1]) or ["provider"]


def say(table: Table, form: str, output: str | None) -> None:
    """Show a table; beside a readable one, what it covers and what to doubt."""
    show(table, form, output)
    if form == "table" and not output:
        click.echo(f"\n{table.explain()}", err=True)


@click.command()
@by_option
@month_option
@seats_option
@config_option
@format_options
def showback(by: tuple[str, ...], month: str | None, seats: bool, config: str, form: str, output: str | None) -> None:
    """Cost, tokens and unit costs by any dimension, largest first, with the month before.

    \b
    finops-ai showback --by team --by model
    finops-ai showback --by prompt_id --month 2026-10 --format csv
    finops-ai showback --by team --seats
    """
    import finops_ai as fa
    from finops_ai.tables.bill_alone import bill_alone, only_billed

    ws, month = workspace(config, month)
    wanted = columns_of(by, ws)
    if not seats and not len(ws.cube(month, wanted)) and only_billed(ws, month):
        return say(bill_alone(ws, month, wanted), form, output)
    table = fa.showback(history_of(ws, month, wanted, seats), by=wanted, month=month, timezone=ws.timezone)
    return say(table, form, output)


@click.command("what-if")
@click.argument("scenario", required=False)
@by_option
@month_option
@config_option
@format_options
def what_if(
    scenario: str | None, by: tuple[str, ...], month: str | None, config: str, form: str, output: str | None
) -> None:
    """Reprice the month's traffic under SCENARIO: a [scenario.NAME] of finops.toml, or a TOML file. Without one, each
    scenario of finops.toml is shown.

    \b
    finops-ai what-if
    finops-ai what-if batch-data --month 2026-10
    finops-ai what-if scenario.toml --by team

    \b
    [scenario.batch-data]
    batch = { when = { team = "data" }, share = "0.5" }
    """
    import tomllib
    from pathlib import Path

    import finops_ai as fa
    from finops_ai.errors import RuleError, hint

    ws, month = workspace(config, month)
    known = {k: v for k, v in ws.settings.policies.get("scenario", {}).items() if scenario or "changes" not in v}
    wanted = columns_of(by, ws)
    if scenario is None:
        if not known:
            raise RuleError(f"Which scenario? {config} has no [scenario.NAME]; write one, or name a TOML file.")
        if len(known) > 1 and (form != "table" or output):
            raise RuleError(f"Which scenario? {config} has {', '.join(known)}: name one, a file holds one table.")
        cube = cube_of(ws, month, wanted)
        for name, steps in known.items():
            table = fa.what_if(cube, steps, by=wanted, book=ws.book)
            click.echo(f"Scenario {name}")
            say(table, form, output)
        return
    if scenario in known:
        document = known[scenario]
    elif Path(scenario).is_file():
        try:
            document = tomllib.loads(Path(scenario).read_text("utf-8-sig"))
        except (ValueError, RecursionError) as error:
            raise RuleError(f"{scenario} can't be read as TOML: {error}.") from None
    else:
        raise RuleError(f"No [scenario.{scenario}] in {config}, and no such file. {hint(scenario, known)}")
    say(fa.what_if(cube_of(ws, month, wanted), document, by=wanted, book=ws.book), form, output)


@click.command()
@month_option
@click.option("--as-of", metavar="DATE", help="How far the data reaches. Default: the last row's end.")
@click.option("--check", is_flag=True, help="Exit with 1 if a budget is over or heading over.")
@click.option(
    "--webhook",
    metavar="URL",
    envvar="FINOPS_AI_WEBHOOK",
    help="POST each alert there once, when it opens, gets worse and is over. Default: $FINOPS_AI_WEBHOOK, so that its secret stays out of files.",
)
@config_option
@format_options
def budgets(
    month: str | None, as_of: str | None, check: bool, webhook: str | None, config: str, form: str, output: str | None
) -> int:
    """Budgets of finops.toml ([[budgets]]): spent, pacing, burn rate, where the plan ends, chance and date of an overrun.

    \b
    finops-ai budgets --month 2026-10
    """
    from finops_ai.errors import SettingsError
    from finops_ai.forecasting.budgets import alerts, workspace_budgets

    ws, month = workspace(config, month, held=True)
    table = workspace_budgets(ws, month, as_of)
    if table is None:
        raise SettingsError(
            f"{config} has no [[budgets]]. Add one: [[budgets]] month = '{month}', amount = '1000', for = {{ team = 'search' }}."
        )
    say(table, form, output)
    if webhook:
        from finops_ai.watching.telling import tell_budgets

        sent, waiting = tell_budgets(ws, table, webhook)
        click.echo(f"{sent} alerts sent, each once" + (f"; {waiting}" if waiting else "."), err=True)
        if waiting:
            return 3
    return int(check and any(a["status"] != "ok" for a in alerts(table)))
