"""`finops-ai ask` and `finops-ai mcp`: answers where people ask."""

from __future__ import annotations

import click

from finops_ai.cli.collecting import config_option
from finops_ai.cli.output import format_options, show


@click.command()
@click.argument("question", nargs=-1, required=True)
@click.option("--rows", is_flag=True, help="The rows behind the answer instead of its table.")
@config_option
@format_options
def ask(question: tuple[str, ...], rows: bool, config: str, form: str, output: str | None) -> int:
    """Answer a QUESTION in words from the workspace's own tables, without any model; says how it understood it.

    \b
    finops-ai ask who spent by team in October
    finops-ai ask "why did support cost more last week"
    finops-ai ask "price of gpt-5.4 with 1000 input and 200 output tokens"
    finops-ai ask "does it tie" --format json

    \b
    what:   who spent, how much, what was MEASURE, why, does it tie, incidents, budgets, forecast, what if, price of MODEL,
            why is TEAM charged, how fresh is the data, kpis, what is WORD
    parts:  by COLUMN, for NAME, for COLUMN "NAME", in October, last week, since 2026-10-05, from A to B, against A, top N

    A word that isn't understood is answered with the nearest ones (exit code 2).
    """
    import finops_ai as fa

    found = fa.ask(fa.open(config), " ".join(question))
    if not found.clear:
        click.echo(found.sentence, err=True)
        return 2
    if rows:
        show(found.rows(), form, output)
    elif form == "table" and not output:
        click.echo(str(found))
    elif found.table is not None:
        show(found.table, form, output)
    else:
        click.echo(found.sentence)
    return 0


@click.command()
@click.option("--http", is_flag=True, help="Streamable HTTP at http://HOST:PORT/mcp instead of stdio.")
@click.option("--host", default="127.0.0.1", show_default=True, help="One of this machine's own addresses.")
@click.option("--port", type=click.IntRange(1, 65535), default=8765, show_default=True)
@config_option
def mcp(http: bool, host: str, port: int, config: str) -> int:
    """Serve the workspace to assistants through the Model Context Protocol: read-only, names of people masked.

    \b
    finops-ai mcp                          for clients that start it themselves (stdio)
    finops-ai mcp --http --port 8765       http://127.0.0.1:8765/mcp

    \b
    [answers]
    show = ["api_key_id"]     # identities that may leave as they are: user_id, api_key_id, session_id, request_id

    Needs the extra mcp: pip install 'finops-ai-core[mcp]'.
    """
    from pathlib import Path

    import finops_ai as fa
    from finops_ai.config import FILE_NAME
    from finops_ai.extras import require_extra

    require_extra("mcp")
    from finops_ai.answering.server import Desk, run

    path = Path(config)
    fa.open(config)  # what is wrong with the settings is said before a client waits for an answer
    run(Desk(lambda: fa.open(config), path / FILE_NAME if path.is_dir() else path), http=http, host=host, port=port)
    return 0
