"""`finops-ai watch`: near-real-time cost, and `finops-ai explore`: the explorer in JupyterLab."""

from __future__ import annotations

import datetime as dt
import time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from finops_ai.cli.collecting import config_option, outcome_line, require_connections
from finops_ai.errors import SettingsError

if TYPE_CHECKING:
    pass

#: how the parameter that `finops-ai explore` fills in stands in the notebook
EMPTY = 'config: str = ""'


@click.command()
@click.argument("providers", nargs=-1)
@click.option(
    "--every", type=click.FloatRange(min=0.1), default=15.0, show_default=True, help="Minutes between two looks."
)
@click.option(
    "--budget",
    default=None,
    metavar="AMOUNT",
    help="Month's budget in the workspace's currency, to compare the pace with, beside those of finops.toml.",
)
@click.option(
    "--times", type=click.IntRange(min=1), default=None, help="Stop after this many looks. Default: go on until Ctrl-C."
)
@click.option("--as-of", metavar="INSTANT", help="The moment to look from. Default: now.")
@click.option("-q", "--quiet", is_flag=True, help="Print only what somebody must know; for cron with --times 1.")
@click.option("--no-alerts", is_flag=True, help="Send nothing.")
@config_option
def watch(
    providers: tuple[str, ...], every: float, budget: str | None, times: int | None, as_of: str | None, quiet: bool,
    no_alerts: bool, config: str,
) -> int:  # fmt: skip
    """Load what is new every few minutes; show the pace, budgets left, incidents and late sources; tell each event once.

    \b
    finops-ai watch --budget 25000
    finops-ai watch openai --every 5
    finops-ai watch --times 1 --quiet          one look, from cron

    \b
    [[alerts]]                                 # told once: when it opens, gets worse, is over
    to = "slack"                               # webhook, slack, teams, email
    url_env = "SLACK_URL"
    events = ["budget", "incident", "source"]

    Exits with 1 if the pace leads over --budget when it stops. Ctrl-C stops it at any moment; nothing is half-written.
    """
    from decimal import InvalidOperation

    import finops_ai as fa
    from finops_ai.errors import FinopsError
    from finops_ai.periods import UTC, instant
    from finops_ai.watching.looking import look, said

    try:
        limit = Decimal(budget.replace(",", "")) if budget else None
    except InvalidOperation:
        raise click.UsageError(f"--budget {budget}: not an amount; write 25000 or 25,000.50.") from None
    looks, code, over = 0, 0, False
    while True:
        ws = fa.open(config)
        require_connections(ws, providers)
        now = instant(as_of, ws.timezone) if as_of else dt.datetime.now(UTC)
        looks += 1
        try:
            found = look(ws, now, providers, alert=not no_alerts, watch=None if quiet else outcome_line)
        except FinopsError as error:
            if times is None and not isinstance(error, SettingsError):
                click.echo(f"{now:%H:%M} UTC  {error}", err=True)
            else:
                raise
        else:
            over = limit is not None and found.pace is not None and found.pace.end > limit
            lines = said(found, ws, limit)
            if not quiet or found.news or over:
                click.echo("\n".join(lines))
            failed = [o.error for o in found.outcomes if o.error]
            code = 0 if not failed else 2 if all(error.exit_code == 2 for error in failed) else 3
        if times and looks >= times:
            return code or int(over)
        try:
            time.sleep(every * 60)
        except KeyboardInterrupt:
            click.echo("Stopped.", err=True)
            return int(over)


@click.command(context_settings={"ignore_unknown_options": True})
@config_option
@click.option("--sample", is_flag=True, help="The sample company instead of your own data.")
@click.option("--no-lab", is_flag=True, help="Only write the notebook; open it where you like.")
@click.argument("lab_options", nargs=-1, type=click.UNPROCESSED)
def explore(config: str, sample: bool, no_lab: bool, lab_options: tuple[str, ...]) -> int:
    """Write the explorer notebook for this workspace and open it in JupyterLab.

    \b
    finops-ai explore --sample               the sample company, no credentials
    finops-ai explore                        your workspace (finops.toml)
    finops-ai explore --no-lab               for VS Code or a Jupyter that is running already
    finops-ai explore -- --no-browser        what follows -- goes to JupyterLab

    The notebook is `explore.ipynb` in this folder, or `explore-sample.ipynb`; one that is there is opened as it is, so
    what you changed in it stays. Without a finops.toml it is the sample company.
    """
    import importlib.util
    import subprocess
    import sys
    from pathlib import Path

    from finops_ai.errors import SettingsError

    if not Path(config).exists() and config != "finops.toml":
        raise SettingsError(f"There is no settings file {config}. `finops-ai init` writes one.")
    if not sample and not Path(config).exists():
        click.echo(
            "There is no finops.toml here, so this is the sample company. `finops-ai init` writes one.", err=True
        )
        sample = True
    target = Path("explore-sample.ipynb" if sample else "explore.ipynb")
    if target.exists():
        click.echo(f"{target} is here already and opened as it is.", err=True)
    else:
        write_explorer(target, "" if sample else str(Path(config).resolve()))
        click.echo(f"Wrote {target}.", err=True)
    if no_lab:
        click.echo(str(target))
        return 0
    if importlib.util.find_spec("jupyterlab") is None:
        raise SettingsError(
            f"JupyterLab is not installed here. `pip install jupyterlab` and run this again, or open {target} in any Jupyter."
        )
    return subprocess.call([sys.executable, "-m", "jupyterlab", str(target), *lab_options])


def write_explorer(target: Path, config: str) -> None:
    """The explorer notebook with its `config` parameter filled in, so that it also runs when Jupyter opens it alone."""
    import json

    from finops_ai.reporting import notebook_folder

    notebook = json.loads((notebook_folder() / "explore.ipynb").read_text("utf-8"))
    for cell in notebook["cells"]:
        if "parameters" in cell["metadata"].get("tags", []):
            cell["source"] = [
                f"config: str = {config!r}{line[len(EMPTY) :]}" if line.startswith(EMPTY) else line
                for line in cell["source"]
            ]
    target.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
