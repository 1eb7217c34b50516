"""The command `finops-ai`. Help texts live here, so that `--help` loads nothing heavy."""

from __future__ import annotations

import importlib
import logging
import sys
from typing import Any

import click

from finops_ai.errors import hint

#: command -> (module:function, one line of help), in the order people need them
COMMANDS = {
    "init": ("finops_ai.cli.setup:init", "Write a commented finops.toml from what is found here."),
    "doctor": ("finops_ai.cli.setup:doctor", "Check set-up, credentials and data; say how to fix what is missing."),
    "providers": ("finops_ai.cli.setup:providers", "List connectors, what they read, and plugins left out."),
    "collect": (
        "finops_ai.cli.collecting:collect",
        "Load a window of usage and bills into the lake; a rerun changes nothing.",
    ),
    "watch": ("finops_ai.cli.watching:watch", "Load what is new every few minutes; show burn rate against budget."),
    "report": (
        "finops_ai.cli.reporting:report",
        "Make the month's report: collect, price, allocate, charge, forecast, render.",
    ),
    "showback": ("finops_ai.cli.tables:showback", "Cost, tokens and unit costs by any dimension."),
    "kpis": ("finops_ai.cli.kpis:kpis", "Every KPI of FinOps for AI with your figures, or what it takes to know it."),
    "unit-economics": ("finops_ai.cli.kpis:unit_economics", "Cost per ticket, customer or document you count."),
    "chargeback": (
        "finops_ai.cli.chargeback:chargeback",
        "What each cost centre is charged: summary, statement, journal.",
    ),
    "reconcile": ("finops_ai.cli.why:reconcile", "Computed cost against the bill, the difference by cause."),
    "explain": ("finops_ai.cli.why:explain", "Why the cost changed: volume, length, model, tier, cache, price."),
    "what-if": ("finops_ai.cli.tables:what_if", "Reprice real traffic: other models, caching, batch, provisioned."),
    "people": ("finops_ai.cli.people:people", "Coding tools: true cost of people and teams, idle seats, outcomes."),
    "recommend": ("finops_ai.cli.recommending:recommend", "What could have cost less, ranked; what became of it."),
    "commitments": ("finops_ai.cli.commitments:commitments", "What volume tiers, capacity and credits came to."),
    "anomalies": ("finops_ai.cli.why:anomalies", "Days out of the ordinary, with their likely cause."),
    "incidents": ("finops_ai.cli.why:incidents", "Events: since when, going on or over, money, who drives it."),
    "budgets": ("finops_ai.cli.tables:budgets", "Spent, pacing, projected overrun and its date; alerts."),
    "forecast": ("finops_ai.cli.forecasting:forecast", "Daily cost ahead with intervals, or any series file."),
    "plan": (
        "finops_ai.cli.forecasting:plan",
        "Months to year end: low, middle, high against budget, chance of overrun.",
    ),
    "backtest": ("finops_ai.cli.forecasting:backtest", "Forecast error on a series file against three baselines."),
    "ask": ("finops_ai.cli.asking:ask", "Answer a question in words: who, what, why, how much, forecast, tie."),
    "mcp": ("finops_ai.cli.asking:mcp", "Serve the workspace to assistants (Model Context Protocol), read-only."),
    "rules": (
        "finops_ai.cli.rules:rules",
        "Test the mapping rules, see what a change would change; trace a charge back to its rows.",
    ),
    "policy": ("finops_ai.cli.chargeback:policy", "Look at the chargeback policy before it charges anybody."),
    "close": ("finops_ai.cli.closing:close", "Freeze a month: its figures never change again."),
    "true-up": ("finops_ai.cli.closing:true_up", "Post what changed since a month was closed."),
    "reopen": ("finops_ai.cli.closing:reopen", "Open the last closed month again, on record."),
    "audit": ("finops_ai.cli.closing:audit", "Prove that closed months are as they were."),
    "deliver": ("finops_ai.cli.delivering:deliver", "Send a closed month's report and statements, each once."),
    "explore": ("finops_ai.cli.watching:explore", "Open the explorer notebook in JupyterLab."),
    "prices": ("finops_ai.cli.prices:prices", "Look prices up and see why; compare books; find what is unpriced."),
    "export": ("finops_ai.cli.export:export", "Write the month's rows as FOCUS, and check the file."),
    "lake": ("finops_ai.cli.lake:lake", "Look into the lake, verify every byte of it, compact it, write it elsewhere."),
    "sql": ("finops_ai.cli.sql:sql", "Print the statement that the engine is asked for."),
    "new-plugin": ("finops_ai.cli.plugins:new_plugin", "Start a connector plugin that passes the conformance kit."),
    "check-cases": ("finops_ai.cli.cases:check_cases", "Check the price book against known bills in a JSON file."),
}


class LazyGroup(click.Group):
    """A group that imports a command's module only when that command runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command's name, without importing one."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name, imported now."""
        if cmd_name not in COMMANDS:
            return None
        module, function = COMMANDS[cmd_name][0].split(":")
        out: click.Command | None = getattr(importlib.import_module(module), function)
        return out

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[Any, ...]:
        """The command that the arguments begin with; a misspelt one gets a hint."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise click.UsageError(f"No command {args[0]!r}. {hint(args[0], COMMANDS)}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of `--help`: names and lines, without importing a command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="First time: `finops-ai report --sample` needs no credentials. Exit codes: 0 ok, 1 a check failed, 2 usage or settings, "
    "3 data missing, 70 unexpected, 130 stopped.",
)
@click.version_option(None, "-V", "--version", package_name="finops-ai-core", prog_name="finops-ai")
@click.option("-v", "--verbose", is_flag=True, help="Show what is being done, and the traceback of an error.")
@click.pass_context
def group(ctx: click.Context, verbose: bool) -> None:
    """FinOps for AI: turn token usage of every provider into one managed cost."""
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("finops_ai.progress").setLevel(logging.INFO)
    if not verbose:  # their warnings say at length what our errors say in a line
        for vendor in ("azure", "google", "oci", "botocore"):
            logging.getLogger(vendor).setLevel(logging.ERROR)
    ctx.obj = {"verbose": verbose}
    _asked["verbose"] = verbose


#: whether -v was given, also once the command is over
_asked = {"verbose": False}


def main(argv: list[str] | None = None) -> None:
    """Run the command line. However it ends, the exit code says how, and one screen of text says what to do next."""
    from finops_ai.cli.screen import shown

    with shown():
        code = _run(argv)
    sys.exit(code)


def _run(argv: list[str] | None) -> int:
    from finops_ai.cli import ending

    _asked["verbose"] = False
    try:
        code = group.main(args=argv, prog_name="finops-ai", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        return 2
    except BrokenPipeError:
        return ending.reader_gone()
    except BaseException as error:
        return ending.code_of(error, argv if argv is not None else sys.argv[1:], verbose=_asked["verbose"])
    return code if isinstance(code, int) else 0
