"""`finops-ai recommend`: what could have cost less, what was decided of it, and what it really saved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from finops_ai.cli.collecting import config_option
from finops_ai.cli.output import format_options
from finops_ai.cli.tables import cube_of, month_option, say, workspace

if TYPE_CHECKING:
    from finops_ai.tables.result import Table

#: columns of the table on the screen; files hold all
_SHOWN = ["id", "what", "owner", "saving", "saving_low", "saving_high", "counted", "confidence", "state"]


@click.group(invoke_without_command=True)
@month_option
@config_option
@format_options
@click.pass_context
def recommend(context: click.Context, month: str | None, config: str, form: str, output: str | None) -> None:
    """What a month's rows show that could have cost less, ranked; and what became of it.

    \b
    finops-ai recommend --month 2026-10
    finops-ai recommend show 377702ab74
    finops-ai recommend evidence 377702ab74 --format csv
    finops-ai recommend accept 377702ab74
    finops-ai recommend dismiss 377702ab74 --reason "needed for the launch"
    finops-ai recommend done 377702ab74
    finops-ai recommend realised
    """
    if context.invoked_subcommand is None:
        _show(_opportunities(config, month), form, output)


def _show(table: Table, form: str, output: str | None) -> None:
    if form == "table" and not output:
        shown = table[_SHOWN].copy()
        shown.facts = table.facts
        table = shown
    say(table, form, output)


@recommend.command()
@click.argument("id")
@month_option
@config_option
@format_options
def show(id: str, month: str | None, config: str, form: str, output: str | None) -> None:
    """Everything that is known of one opportunity.

    \b
    finops-ai recommend show 377702ab74 --month 2026-10
    """
    from finops_ai.errors import DataError, hint

    table = _opportunities(config, month)
    row = table[(table["id"] == id).to_numpy(bool)]
    if not len(row):
        raise DataError(f"No opportunity {id!r} in {table.facts.period}. {hint(id, list(table['id']))}")
    if form != "table" or output:
        return say(row, form, output)
    for name, value in row.published().astype(object).iloc[0].items():
        click.echo(f"{name:<12} {'–' if value is None or value != value else value}")
    return None


@recommend.command()
@click.argument("id")
@month_option
@config_option
@format_options
def evidence(id: str, month: str | None, config: str, form: str, output: str | None) -> None:
    """The rows an opportunity rests on; their cost adds up to its cost.

    \b
    finops-ai recommend evidence 377702ab74 --format csv
    """
    say(_opportunities(config, month).evidence(id), form, output)


def _decision(name: str, text: str) -> click.Command:
    reason = ' --reason "needed for the launch"' if name == "dismiss" else ""

    @click.command(name, help=f"{text}\n\n\b\nfinops-ai recommend {name} 377702ab74{reason}")
    @click.argument("id")
    @click.option("--reason", default="", help="Why, in a few words; a dismissal needs it.")
    @month_option
    @config_option
    def decide(id: str, reason: str, month: str | None, config: str) -> None:
        from finops_ai.saving.workspace import decide_on

        ws, month = workspace(config, month)
        state = decide_on(ws, month, id, name, reason)
        click.echo(f"{id}: {state.state}{f' ({state.reason})' if state.reason else ''}")

    return decide


for _name, _text in (
    ("accept", "It will be done: its saving still counts."),
    ("dismiss", "It won't be done, for the reason given; it is no longer counted."),
    ("done", "It was done: from now on its real saving is measured."),
    ("reopen", "It is open again."),
):
    recommend.add_command(_decision(_name, _text))


@recommend.command()
@month_option
@config_option
@format_options
def realised(month: str | None, config: str, form: str, output: str | None) -> None:
    """What was done and what it really saved: the bridge from the month it was found in to the month asked for.

    \b
    finops-ai recommend realised --month 2026-11
    """
    from finops_ai.saving.realised import realised_savings

    ws, month = workspace(config, month)
    say(realised_savings(ws, month), form, output)


def _opportunities(config: str, month: str | None) -> Any:
    from finops_ai.saving.workspace import workspace_opportunities

    ws, month = workspace(config, month)
    cube_of(ws, month)
    return workspace_opportunities(ws, month)
