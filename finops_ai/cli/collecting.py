"""`finops-ai collect`: load a window into the lake."""

from __future__ import annotations

import sys
from decimal import Decimal
from typing import TYPE_CHECKING

import click

from finops_ai.money import written

if TYPE_CHECKING:
    from finops_ai.loading import Outcome
    from finops_ai.periods import Window
    from finops_ai.workspace import Workspace

config_option = click.option(
    "-c", "--config", default="finops.toml", show_default=True, help="Settings file of the workspace."
)


@click.command()
@click.argument("providers", nargs=-1)
@click.option(
    "--from",
    "start",
    metavar="DATE",
    help="First day or instant, included. Default: what may have been restated since the last load.",
)
@click.option("--to", "end", metavar="DATE", help="End, excluded. Default: now.")
@click.option("--month", metavar="YYYY-MM", help="A whole month of the reporting time zone instead of --from and --to.")
@config_option
def collect(providers: tuple[str, ...], start: str | None, end: str | None, month: str | None, config: str) -> int:
    """Load usage and bills of PROVIDERS (all configured ones if none is named) into the lake.

    The window is half open: [--from, --to). Each load replaces its window in one commit, so a rerun changes nothing
    and a stop at any moment leaves the data whole. One provider that fails costs the others nothing.

    \b
    finops-ai collect --month 2026-10
    finops-ai collect openai --from 2026-10-01 --to 2026-11-01
    """
    import finops_ai as fa

    ws = fa.open(config)
    window = window_of(ws, start, end, month)
    return run_collect(ws, window, providers)


def window_of(ws: Workspace, start: str | None, end: str | None, month: str | None) -> Window:
    """The window a user asked for; by default from what may still be restated up to now."""
    import datetime as dt

    from finops_ai.errors import SettingsError
    from finops_ai.periods import UTC, Window, instant

    if month:
        if start or end:
            raise SettingsError("Give either --month or --from and --to, not both.")
        return Window.month(month, ws.timezone)
    now = dt.datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + dt.timedelta(hours=1)
    if start is None:
        fresh = ws.lake.freshness()
        days = max([c.restated_days for c in ws.connections().values()], default=3)
        last = fresh["last"].min().to_pydatetime() if len(fresh) else now.replace(day=1, hour=0)
        first = (last - dt.timedelta(days=days)).replace(hour=0, minute=0, second=0, microsecond=0)
    else:
        first = instant(start, ws.timezone)
    return Window(first, instant(end, ws.timezone) if end else now)


def balance_lines(outcome: Outcome) -> list[str]:
    """What the source holds, what was kept and what was left out for which reason, by currency or unit."""
    lines = []
    for unit in sorted({*outcome.kept, *(item.unit for item in outcome.left_out)}):
        items = [item for item in outcome.left_out if item.unit == unit]
        if not items:
            continue
        kept = outcome.kept.get(unit)
        left = sum((item.amount or 0 for item in items), Decimal(0))
        if kept is not None or unit.isupper():
            kept = kept or Decimal(0)
            lines.append(
                f"{written(kept + left, unit)} {unit} read = {written(kept, unit)} kept + {written(left, unit)} left out:"
            )
        lines += [f"  left out: {item}" for item in items]
    return lines


def require_connections(ws: Workspace, names: tuple[str, ...] = ()) -> None:
    """Stop where there is nothing to load, or a connection is named that finops.toml doesn't have."""
    from finops_ai.errors import SettingsError, hint

    if not ws.settings.providers:
        raise SettingsError(
            "finops.toml has no [providers.NAME] section, so there is nothing to collect. Uncomment one, or add one: "
            "`finops-ai providers` lists the names."
        )
    for name in names:
        if name not in ws.settings.providers:
            raise SettingsError(f"No [providers.{name}] in finops.toml. {hint(name, ws.settings.providers)}")


def outcome_line(outcome: Outcome) -> None:
    """Say how a connection went."""
    label = f"{outcome.connection:<14} {outcome.window.start:%Y-%m-%d} to {outcome.window.end:%Y-%m-%d}"
    if outcome.error:
        click.echo(f"{label}  failed: {outcome.error}", err=True)
    else:
        state = "loaded" if outcome.changed else "unchanged"
        click.echo(f"{label}  {state}: {outcome.tokens:,} usage rows, {outcome.bills:,} charges", err=True)
    for line in [*balance_lines(outcome), *(f"note: {note}" for note in outcome.notes)]:
        click.echo(f"{'':<14} {line}", err=True)


def run_collect(ws: Workspace, window: Window, providers: tuple[str, ...] = ()) -> int:
    """Collect and say how each connection went: 0 if all did, 2 if the settings of all that failed are wrong, else 3."""
    require_connections(ws)
    failed = [o.error for o in ws.collect(window, providers, watch=outcome_line) if o.error]
    if "people" in ws.settings.policies:
        from finops_ai.people.workspace import collect_people

        for line in collect_people(ws, window, providers):
            click.echo(line, err=True)
    sys.stderr.flush()
    # a connection that finops.toml gets wrong is told apart from one whose data is missing
    return 0 if not failed else 2 if all(e.exit_code == 2 for e in failed) else 3
