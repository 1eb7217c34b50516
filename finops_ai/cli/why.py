"""`finops-ai explain`, `reconcile`, `anomalies`, `incidents`: why it changed, whether it ties, what is out of the ordinary."""

from __future__ import annotations

import datetime as dt
from typing import Any

import click

from finops_ai.cli.collecting import config_option
from finops_ai.cli.output import format_options
from finops_ai.cli.tables import by_option, columns_of, cube_of, month_option, say, workspace


@click.command()
@by_option
@month_option
@click.option("--against", metavar="YYYY-MM", help="Month to compare with. Default: the one before.")
@click.option("--last-week", is_flag=True, help="The last seven days that hold usage, against the seven before.")
@click.option("--from", "start", metavar="DAY", help="First day of any window, instead of a month.")
@click.option("--to", "end", metavar="DAY", help="Its last day.")
@click.option(
    "--against-from",
    "other_start",
    metavar="DAY",
    help="First day of the window to compare with. Default: as many days right before.",
)
@click.option("--against-to", "other_end", metavar="DAY", help="Its last day.")
@click.option(
    "--drivers", "only_drivers", is_flag=True, help="Print what carries the change, as a table, instead of the bridge."
)
@click.option("--top", type=click.IntRange(1, 100), default=5, show_default=True, help="How many drivers.")
@config_option
@format_options
def explain(
    by: tuple[str, ...], month: str | None, against: str | None, last_week: bool, start: str | None, end: str | None,
    other_start: str | None, other_end: str | None, only_drivers: bool, top: int, config: str, form: str, output: str | None,
) -> None:  # fmt: skip
    """Why the cost changed: more calls, longer prompts, other models, cache, tier, price; adds up exactly, with names.

    \b
    finops-ai explain --by team --month 2026-10
    finops-ai explain --last-week
    finops-ai explain --from 2026-10-25 --to 2026-10-31 --against-from 2026-10-11 --against-to 2026-10-17 --by product
    """
    import finops_ai as fa
    from finops_ai.errors import DataError

    before, after, names = windows(config, month, against, last_week, (start, end), (other_start, other_end))
    ws = fa.open(config)
    wanted = columns_of(by, ws)
    frames = [cube_of(ws, w, wanted) if isinstance(w, str) else ws.cube(w, wanted) for w in (before, after)]
    for frame, name in zip(frames, names, strict=True):
        if not len(frame):
            raise DataError(
                f"The lake holds no usage of {name}. It has {', '.join(ws.months()) or 'none'}; load more with `finops-ai collect`."
            )
    table = fa.explain(*frames, by=columns_of(by, ws), timezone=ws.timezone)
    table.facts.period = f"{names[0]} to {names[1]}"
    drivers = table.drivers(top)
    if only_drivers:
        return say(drivers, form, output)
    say(table, form, output)
    if form == "table" and not output:
        click.echo("\n" + "\n".join(drivers["sentence"]), err=True)
    return None


def windows(
    config: str, month: str | None, against: str | None, last_week: bool,
    span: tuple[str | None, str | None], other: tuple[str | None, str | None],
) -> tuple[Any, Any, tuple[str, str]]:  # fmt: skip
    """The two windows asked for (before, after), months as text, and what they are called."""
    import finops_ai as fa
    from finops_ai.errors import DataError, SettingsError
    from finops_ai.periods import Window, parse_month, previous_month

    given = [bool(month or against), last_week, any(span)]
    if sum(given) > 1:
        raise SettingsError("Give a month (--month, --against), --last-week, or days (--from, --to): one of the three.")
    if any(other) and not any(span):
        raise SettingsError("--against-from and --against-to belong to --from and --to.")
    for one, name in ((span, "--from and --to"), (other, "--against-from and --against-to")):
        if any(one) and not all(one):
            raise SettingsError(f"A window has a first and a last day: give both {name}.")
    if not last_week and not any(span):
        _, after = workspace(config, month)
        before = against or f"{previous_month(parse_month(after)):%Y-%m}"
        return before, after, (before, after)
    ws, day = fa.open(config), dt.timedelta(days=1)
    if last_week:
        fresh = ws.lake.freshness()
        if not len(fresh):
            raise DataError("The lake holds no usage. Load some with `finops-ai collect`.")
        latest = (
            (fresh["last"].max().to_pydatetime() - dt.timedelta(microseconds=1)).astimezone(_zone(ws.timezone)).date()
        )
        first, last = latest - 6 * day, latest
    else:
        first, last = (_day(text) for text in span)
    if all(other):
        first_before, last_before = (_day(text) for text in other)
    else:
        first_before, last_before = first - (last - first) - day, first - day
    both = [(first_before, last_before), (first, last)]
    for one, two in both:
        if two < one:
            raise SettingsError(f"The window from {one} to {two} ends before it starts.")
    spans = [Window.of(one, two + day, ws.timezone) for one, two in both]
    return spans[0], spans[1], (f"{first_before} to {last_before}", f"{first} to {last}")


def _zone(name: str) -> dt.tzinfo:
    from finops_ai.periods import zone

    return zone(name)


def _day(text: str | None) -> dt.date:
    from finops_ai.errors import SettingsError

    try:
        return dt.date.fromisoformat(str(text))
    except ValueError:
        raise SettingsError(f"Not a day: {text!r}. Write it as YYYY-MM-DD, such as 2026-10-25.") from None


@click.command()
@month_option
@config_option
@format_options
def reconcile(month: str | None, config: str, form: str, output: str | None) -> None:
    """Computed cost against the bill, the difference by named cause.

    \b
    finops-ai reconcile --month 2026-10
    """
    import finops_ai as fa

    ws, month = workspace(config, month)
    say(fa.reconcile(ws.cube(month), ws.bills(month), timezone=ws.timezone), form, output)


@click.command()
@by_option
@month_option
@click.option("--months", type=click.IntRange(2, 60), default=4, show_default=True, help="How much past to judge by.")
@config_option
@format_options
@click.option("--check", is_flag=True, help="Exit with 1 if the month has an anomaly.")
def anomalies(
    by: tuple[str, ...], month: str | None, months: int, config: str, form: str, output: str | None, check: bool
) -> int:
    """Days out of the ordinary that touch the month, with their likely cause.

    \b
    finops-ai anomalies --month 2026-10
    """
    import finops_ai as fa
    from finops_ai.periods import Window, zone

    ws, month = workspace(config, month)
    window = Window.month(month, ws.timezone)
    wanted = columns_of(by, ws)
    table = fa.anomalies(ws.history(month, months, wanted), wanted, timezone=ws.timezone)
    first = window.start.astimezone(zone(ws.timezone)).date()
    mine = table[[until >= first for until in table["until"]]]
    say(mine, form, output)
    return int(check and len(mine) > 0)
