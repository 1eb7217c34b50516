"""`finops-ai watch`: near-real-time cost, and `finops-ai explore`: the explorer in JupyterLab."""

from __future__ import annotations

import datetime as dt
import time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from finops_ai.cli.collecting import config_option, run_collect, window_of

if TYPE_CHECKING:
    from finops_ai.workspace import Workspace

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
    help="Month's budget in the workspace's currency, to compare the pace with.",
)
@click.option(
    "--times", type=click.IntRange(min=1), default=None, help="Stop after this many looks. Default: go on until Ctrl-C."
)
@config_option
def watch(providers: tuple[str, ...], every: float, budget: str | None, times: int | None, config: str) -> int:
    """Load what is new every few minutes and show the month's cost, the last day's burn and where it leads.

    \b
    finops-ai watch --budget 25000
    finops-ai watch openai --every 5

    Exits with 1 if the pace leads over the budget when it stops. Ctrl-C stops it at any moment; nothing is half-written.
    """
    from decimal import Decimal, InvalidOperation

    import finops_ai as fa

    try:
        limit = Decimal(budget.replace(",", "")) if budget else None
    except InvalidOperation:
        raise click.UsageError(f"--budget {budget}: not an amount; write 25000 or 25,000.50.") from None
    looks, over = 0, False
    while True:
        ws = fa.open(config)
        code = run_collect(ws, window_of(ws, None, None, None), providers)
        looks += 1
        over = burn(ws, limit)
        if times and looks >= times:
            return code or int(over)
        try:
            time.sleep(every * 60)
        except KeyboardInterrupt:
            click.echo("Stopped.", err=True)
            return int(over)


def burn(ws: Workspace, limit: Decimal | None, now: dt.datetime | None = None) -> bool:
    """Print the month so far, the last 24 hours, and the month's end at that pace; whether that is over the limit."""
    import datetime as dt
    from decimal import Decimal

    from finops_ai.periods import UTC, Window
    from finops_ai.reporting.text import amount, percent

    now = now or dt.datetime.now(UTC)
    month = Window.month(f"{now.astimezone(dt.UTC):%Y-%m}", ws.timezone)
    frame = ws.priced(Window(month.start, min(month.end, now)))
    costs = frame["effective_cost"]
    so_far = sum((c for c in costs.dropna()), Decimal(0))
    recent = frame[frame["charge_period_end"] > now - dt.timedelta(days=1)]["effective_cost"]
    day = sum((c for c in recent.dropna()), Decimal(0))
    left = Decimal(str(max((month.end - now).total_seconds(), 0) / 86400))
    end = so_far + day * left
    currency = ws.settings.workspace.currency
    text = f"{now:%H:%M} UTC  month so far {amount(so_far, currency)}, last day {amount(day, currency)}, month at that pace {amount(end, currency)}"
    unpriced = int(costs.isna().sum())
    if unpriced:
        text += f" ({unpriced:,} rows have no price)"
    if limit is not None:
        text += f", {percent(end, limit)} of the budget of {amount(limit, currency)}"
    click.echo(text)
    return limit is not None and end > limit


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
