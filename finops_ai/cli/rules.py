"""`finops-ai rules check`, `schema`, `diff` and `why`."""

from __future__ import annotations

import click

from finops_ai.cli.collecting import config_option
from finops_ai.cli.output import format_options
from finops_ai.cli.tables import month_option, rows_of, say, workspace


@click.group("rules")
def rules() -> None:
    """Test the mapping rules, and trace a charge back to the rows behind it.

    \b
    finops-ai rules check --month 2026-10
    finops-ai rules why team=search
    """


@rules.command("check")
@month_option
@click.option("--strict", is_flag=True, help="Exit with 1 if a rule never matches or is shadowed.")
@config_option
@format_options
def check(month: str | None, strict: bool, config: str, form: str, output: str | None) -> int:
    """Rules that never match, are shadowed or overlap; cost unallocated or not divided; what to map next, largest first.

    \b
    finops-ai rules check --month 2026-10
    finops-ai rules check --strict             exit 1 if a rule can never decide

    Tests of the rules ([[tests]] of finops.toml) are run, too: exit 1 if one fails.
    """
    from finops_ai.tables.rule_check import check_rules

    ws, month = workspace(config, month)
    table = check_rules(ws.priced(month), ws.rules, telemetry=ws.telemetry(month), timezone=ws.timezone, book=ws.book)
    say(table, form, output)
    if tests := ws.settings.policies.get("tests"):
        from finops_ai.tables.rule_tests import run_tests

        made = run_tests(tests, ws.rules, timezone=ws.timezone)
        for name, passed, text in zip(made["test"], made["passed"], made["text"], strict=True):
            click.echo(f"{'holds' if passed else 'FAILS'}: {name}: {text}", err=True)
        if not made["passed"].all():
            return 1
    return int(strict and table["finding"].isin(["never matches", "shadowed"]).any())


@rules.command("schema")
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="Write to this file instead of the screen.")
def schema(output: str | None) -> None:
    """A JSON schema of finops.toml, by which editors complete its keys and mark mistakes.

    \b
    finops-ai rules schema -o finops.schema.json

    Editors with a TOML language server (Taplo, Even Better TOML) use it where the first line of finops.toml is
    `#:schema finops.schema.json`.
    """
    import json
    from pathlib import Path

    from finops_ai.cli.schema import settings_schema

    text = json.dumps(settings_schema(), indent=1, ensure_ascii=False)
    if output:
        Path(output).write_text(text + "\n", encoding="utf-8")
        click.echo(f"{output}: put `#:schema {output}` into the first line of finops.toml.")
    else:
        click.echo(text)


@rules.command("diff")
@click.argument("old", type=click.Path(exists=True, dir_okay=False))
@click.argument("new", type=click.Path(exists=True, dir_okay=False))
@click.option("--by", "dimension", metavar="DIMENSION", help="Whose values are compared. Default: the first dimension.")
@month_option
@config_option
@format_options
def diff(
    old: str, new: str, dimension: str | None, month: str | None, config: str, form: str, output: str | None
) -> None:
    """Who would pay more or less, by rule, if the rules of NEW (a TOML file) replaced those of OLD; nothing is changed.

    \b
    finops-ai rules diff finops.toml next.toml --month 2026-10
    """
    from finops_ai.errors import DataError
    from finops_ai.tables.rule_diff import diff_rules

    ws, month = workspace(config, month)
    rows = ws.priced(month)  # the new rules may test what the cells of the old ones leave out
    if not len(rows):
        raise DataError(f"The lake holds no usage of {month}. It has {', '.join(ws.months()) or 'none'}.")
    say(
        diff_rules(rows, old, new, dimension=dimension, telemetry=ws.telemetry(month), timezone=ws.timezone),
        form,
        output,
    )


@rules.command("why")
@click.argument("chosen", nargs=-1, required=True, metavar="COLUMN=VALUE...")
@click.option("--rows", is_flag=True, help="The source rows themselves, dearest first.")
@month_option
@config_option
@format_options
def why(chosen: tuple[str, ...], rows: bool, month: str | None, config: str, form: str, output: str | None) -> None:
    """Which rules brought a charge, from which accounts, keys and models: `finops-ai rules why team=search`.

    \b
    finops-ai rules why team=search --month 2026-10
    finops-ai rules why team=search model=gpt-5.4 --rows
    """
    from finops_ai.tables.rule_check import why as trace

    pairs = dict(text.split("=", 1) for text in chosen if "=" in text)
    if len(pairs) != len(chosen):
        raise click.UsageError("Write COLUMN=VALUE, such as team=search.")
    ws, month = workspace(config, month)
    say(trace(rows_of(ws, month), pairs, ws.rules, rows=rows), form, output)
