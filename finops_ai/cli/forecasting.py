"""`finops-ai backtest`, `forecast` and `plan`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from finops_ai.cli.collecting import config_option
from finops_ai.cli.output import format_options, plain, show
from finops_ai.cli.tables import by_option, say
from finops_ai.errors import DataError, RuleError, hint

if TYPE_CHECKING:
    import pandas as pd

    from finops_ai.workspace import Workspace


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
@click.option(
    "--season", type=click.IntRange(1), help="Points of a season: 24 hours, 7 days; by frequency if not given."
)
@click.option("--freq", help="h, D, W or MS; read from the spacing if not given.")
@click.option(
    "--windows", type=click.IntRange(1), help="Origins; by default as many as leave half the history, at most 12."
)
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

    \b
    finops-ai backtest series.parquet --horizon 24 --season 24

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


months_option = click.option(
    "--months", type=click.IntRange(1), default=13, show_default=True, help="Months of history to learn from."
)
scenario_option = click.option(
    "--scenario", metavar="NAME|FILE", help="A [scenario.NAME] of finops.toml with changes, or a TOML file with one."
)


@click.command()
@click.argument("file", type=click.Path(), required=False)
@click.option("--horizon", type=click.IntRange(1), default=30, show_default=True, help="Points ahead.")
@by_option
@click.option("--freq", help="h, D, W or MS of FILE; read from the spacing if not given. Workspaces: D or h.")
@click.option("--season", type=click.IntRange(1), help="Points of a season; by frequency if not given.")
@click.option(
    "--level", "levels", type=float, multiple=True, default=(80.0,), help="Interval level in per cent; repeat."
)
@scenario_option
@months_option
@config_option
@format_options
def forecast(
    file: str | None,
    horizon: int,
    by: tuple[str, ...],
    freq: str | None,
    season: int | None,
    levels: tuple[float, ...],
    scenario: str | None,
    months: int,
    config: str,
    form: str,
    output: str | None,
) -> None:
    """Forecast the workspace's daily cost, or the series of FILE (unique_id, ds, y).

    \b
    finops-ai forecast --by team --horizon 60
    finops-ai forecast series.parquet --horizon 24 --level 80 --level 95
    """
    import finops_ai as fa

    if file:
        done = fa.forecast(read_series(file), horizon, level=levels, freq=freq, season=season)
    else:
        from finops_ai.forecasting.terms import workspace_terms

        ws, history = _history(config, months, hours=freq == "h")
        known = workspace_terms(ws).known
        done = fa.forecast(
            history,
            horizon,
            _scenario(scenario, ws),
            levels,
            by=_columns(by),
            freq=freq,
            season=season,
            book=ws.book,
            timezone=ws.timezone,
            **known,
        )
    say(done, form, output)


@click.command()
@by_option
@click.option("--until", metavar="YYYY-MM", help="Last month of the plan; the end of the fiscal year if not given.")
@click.option("--words", is_flag=True, help="Say it in sentences, with the error of past plans, instead of a table.")
@click.option("--budgets", is_flag=True, help="One row per budget still open, over its own period.")
@click.option("--save", metavar="NAME", help="Keep the plan as it is today under a name.")
@click.option("--saved", is_flag=True, help="List the plans that are kept.")
@click.option("--against", metavar="NAME", help="Bridge a kept plan to what came, by cause.")
@scenario_option
@months_option
@config_option
@format_options
def plan(
    by: tuple[str, ...],
    until: str | None,
    words: bool,
    budgets: bool,
    save: str | None,
    saved: bool,
    against: str | None,
    scenario: str | None,
    months: int,
    config: str,
    form: str,
    output: str | None,
) -> None:
    """Plan each month to year end: low, middle and high (`p10`, `p50`, `p90`) against budgets, chance of overrun.

    \b
    finops-ai plan --by team
    finops-ai plan --until 2027-03 --words
    finops-ai plan --budgets
    finops-ai plan --scenario leaner
    finops-ai plan --save "board plan"
    finops-ai plan --against "board plan" --by team

    \b
    [plan]
    fiscal_start = 4                 # the fiscal year begins in April
    [[plan.lines]]                   # an amount that is known
    name = "pilot"
    month = "2026-12"
    amount = "5000"
    [[plan.overrides]]               # an owner's own figure
    month = "2026-12"
    factor = "0.8"
    owner = "platform"
    for = { team = "search" }
    [[plan.units]]                   # units to come, times what one cost
    metric = "tickets"               # of the file that [business] names
    for = { product = "support-bot" }
    months = { "2026-12" = 12000 }
    """
    from finops_ai.forecasting import plan_in_words
    from finops_ai.forecasting.planning import workspace_past_error
    from finops_ai.forecasting.shelf import held_against, keep_plan, saved_plans
    from finops_ai.forecasting.year import workspace_outlook

    if sum(map(bool, (budgets, words, save, saved, against))) > 1:
        raise click.UsageError("Give one of --words, --budgets, --save, --saved and --against.")
    ws, newest = _opened(config)
    if saved:
        say(saved_plans(ws), form, output)
        return
    if against:
        say(held_against(ws, against, _columns(by)), form, output)
        return
    change = _scenario(scenario, ws)
    if save:
        place = keep_plan(ws, save, until=until, scenario=change, months=months)
        click.echo(f'{place}: kept as {save!r}. `finops-ai plan --against "{save}"` holds it against what comes.')
        return
    if budgets and not ws.settings.policies.get("budgets"):
        raise DataError("finops.toml has no [[budgets]]. Add one with `amount`, and `month` or `from` and `to`.")
    table, ahead = workspace_outlook(ws, newest, _columns(by), until=until, months=months, scenario=change)
    if budgets:
        say(ahead, form, output)
        return
    if not words:
        say(table, form, output)
        return
    errors = workspace_past_error(ws, newest, months)
    click.echo(
        "\n".join(
            [
                *plan_in_words(table, errors, table.facts.currency or ws.settings.workspace.currency),
                *table.facts.notes[1:],
            ]
        )
    )


def _opened(config: str) -> tuple[Workspace, str]:
    """The workspace and the newest month it has usage of."""
    import finops_ai as fa

    ws = fa.open(config)
    found = ws.months()
    if not found:
        raise DataError("The lake holds no usage. Load some with `finops-ai collect`.")
    return ws, found[-1]


def _history(config: str, months: int, *, hours: bool = False) -> tuple[Workspace, pd.DataFrame]:
    import pandas as pd

    from finops_ai.forecasting.seats import history_with_seats

    ws, newest = _opened(config)
    if hours:
        return ws, pd.concat([ws.allocated(name) for name in ws.months_before(newest, months)], ignore_index=True)
    return ws, history_with_seats(ws, newest, months)


def _columns(by: tuple[str, ...]) -> list[str]:
    return [c.strip() for text in by for c in text.split(",") if c.strip()]


def _scenario(name: str | None, ws: Workspace) -> Any:
    """A scenario of the settings by name, or of a file."""
    from finops_ai.forecasting import load_scenarios

    if name is None:
        return None
    known = {k: v for k, v in ws.settings.policies.get("scenario", {}).items() if "changes" in v}
    if name in known:
        return load_scenarios({name: known[name]})[0]
    if not Path(name).exists():
        raise RuleError(f"No scenario {name!r} with changes in finops.toml, and no such file. {hint(name, known)}")
    found = load_scenarios(name)
    if len(found) != 1:
        raise RuleError(
            f"{name} holds {len(found)} scenarios ({', '.join(s.name for s in found)}); put the one into its own file."
        )
    return found[0]
