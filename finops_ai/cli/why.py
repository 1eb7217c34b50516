"""`finops-ai explain`, `reconcile`, `anomalies`, `incidents`: why it changed, whether it ties, what is out of the ordinary."""

from __future__ import annotations

import datetime as dt
from typing import Any

import click

from finops_ai.cli.collecting import config_option
from finops_ai.cli.output import format_options, show
from finops_ai.cli.tables import all_in, by_option, columns_of, month_option, say, seats_option, workspace


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
@seats_option
@config_option
@format_options
def explain(
    by: tuple[str, ...], month: str | None, against: str | None, last_week: bool, start: str | None, end: str | None,
    other_start: str | None, other_end: str | None, only_drivers: bool, top: int, seats: bool, config: str, form: str, output: str | None,
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
    frames = [all_in(ws, ws.cube(window, wanted), [window], seats) for window in (before, after)]
    for frame, name in zip(frames, names, strict=True):
        if not len(frame):
            raise DataError(
                f"The lake holds no usage of {name}. It has {', '.join(ws.months()) or 'none'}; load more with `finops-ai collect`."
            )
    table = fa.explain(frames[0], frames[1], by=columns_of(by, ws), timezone=ws.timezone)
    table.facts.period = f"{names[1]} against {names[0]}"
    if only_drivers:
        return say(table.drivers(top), form, output)
    show(table, form, output)
    if form == "table" and not output:
        click.echo(f"\n{table.explain(top)}", err=True)
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
@by_option
@month_option
@click.option("--cause", metavar="CAUSE", help="Print what this cause is made of, cell by cell.")
@click.option("--check", is_flag=True, help="Exit with 1 where a tolerance of [reconcile] fails.")
@config_option
@format_options
def reconcile(
    by: tuple[str, ...], month: str | None, cause: str | None, check: bool, config: str, form: str, output: str | None
) -> int:
    """Whether computed cost ties to the bill, the difference by named cause.

    \b
    finops-ai reconcile --month 2026-10 --check
    finops-ai reconcile --by provider --by model
    finops-ai reconcile --cause missing_usage

    \b
    [reconcile]
    warn = { amount = "1", share = "0.001" }     # the larger of the two decides
    fail = { amount = "5", share = "0.005" }
    providers.oci = { fail = { share = "0.02" } }
    """
    from finops_ai.tables.reconcile import workspace_reconciliation

    ws, month = workspace(config, month, held=True)
    wanted = [c.strip() for text in by for c in text.split(",") if c.strip()]
    table = workspace_reconciliation(ws, month, **({"by": wanted} if wanted else {}))
    say(table.rows(cause) if cause else table, form, output)
    return int(check and table.status == "fail")


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

    ws, month = workspace(config, month, held=True)
    window = Window.month(month, ws.timezone)
    wanted = columns_of(by, ws)
    table = fa.anomalies(ws.history(month, months, wanted), wanted, timezone=ws.timezone)
    first = window.start.astimezone(zone(ws.timezone)).date()
    mine = table[[until >= first for until in table["until"]]]
    say(mine, form, output)
    return int(check and len(mine) > 0)


@click.command()
@by_option
@month_option
@click.option("--months", type=click.IntRange(1, 60), default=3, show_default=True, help="How much past to judge by.")
@click.option("--hourly", is_flag=True, help="Judge hours instead of days, where the source has them.")
@click.option("--check", is_flag=True, help="Exit with 1 if an incident is new or goes on.")
@config_option
@format_options
def incidents(
    by: tuple[str, ...],
    month: str | None,
    months: int,
    hourly: bool,
    check: bool,
    config: str,
    form: str,
    output: str | None,
) -> int:
    """Events that touch the month: what began when, whether it goes on, its money, and what drives it.

    \b
    finops-ai incidents --month 2026-10
    finops-ai incidents --by team --by user_id --hourly

    \b
    [incidents]
    acknowledged = ["543d2b268b"]     # ids of those that somebody knows of
    """
    import finops_ai as fa
    from finops_ai.errors import SettingsError
    from finops_ai.periods import Window, zone

    ws, month = workspace(config, month, held=True)
    section = ws.settings.policies.get("incidents", {})
    known = section.get("acknowledged", [])
    if set(section) - {"acknowledged"} or not isinstance(known, list):
        raise SettingsError(f"{config}, [incidents] takes acknowledged = [ids], got {section!r}.")
    wanted = [c.strip() for text in by for c in text.split(",") if c.strip()] or None
    table = fa.incidents(
        ws.history(month, months),
        wanted,
        grain="hour" if hourly else "day",
        acknowledged=map(str, known),
        timezone=ws.timezone,
    )
    first = Window.month(month, ws.timezone).start.astimezone(zone(ws.timezone)).date()
    mine = table[[(end.date() if hasattr(end, "hour") else end) >= first for end in table["end"]]]
    say(mine, form, output)
    return int(check and any(state in ("new", "ongoing") for state in mine["state"]))
