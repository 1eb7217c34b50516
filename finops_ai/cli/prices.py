"""`finops-ai prices`: look prices up, compare two books, see what is unpriced, refresh the list prices."""

from __future__ import annotations

import datetime as dt
from typing import Any

import click

from finops_ai.cli.output import format_options, show

_BOOK = click.option(
    "--book", "contracts", type=click.Path(dir_okay=False), help="Contracts (prices.toml) laid over the list prices."
)


def _load(contracts: str | None) -> Any:
    from finops_ai.prices import PriceBook

    return PriceBook.load(contracts) if contracts else PriceBook.default()


@click.group("prices")
def prices() -> None:
    """Look prices up and see why; compare books; find what is unpriced; refresh the list prices.

    \b
    finops-ai prices show openai gpt-5.4
    finops-ai prices check
    """


@prices.command("show")
@click.argument("provider")
@click.argument("model")
@click.option("--at", default=None, help="UTC date or instant; today if left out.")
@click.option(
    "--tier", "service_tier", default="standard", show_default=True, help="Service tier that serves the call."
)
@click.option("--geo", "inference_geo", default=None, help="Where it runs, as the provider states it.")
@click.option("--region", default=None, help="Cloud region called.")
@click.option("--deployment", "deployment_type", default=None, help="Azure deployment type, such as DataZoneStandard.")
@click.option("--input-tokens", type=int, default=None, help="Input tokens of the request: decides the context tier.")
@_BOOK
@format_options
def show_prices(
    provider: str, model: str, at: str | None, contracts: str | None, form: str, output: str | None, **modifiers: Any
) -> None:
    """Every price of MODEL at PROVIDER at an instant: rate per million units, row and modifiers used.

    \b
    finops-ai prices show openai gpt-5.4
    finops-ai prices show anthropic claude-opus-4-8 --at 2026-09-01
    """
    import pandas as pd

    from finops_ai.prices.views import prices_of

    rows = prices_of(_load(contracts), provider, model, at, **modifiers)
    show(pd.DataFrame(rows), form, output)


@prices.command("diff")
@click.argument("before", type=click.Path(dir_okay=False))
@click.argument("after", type=click.Path(dir_okay=False), required=False)
@format_options
@click.pass_context
def diff(ctx: click.Context, before: str, after: str | None, form: str, output: str | None) -> None:
    """What differs between two books: price files (contracts) or list-price data; AFTER defaults to the book in use.

    \b
    finops-ai prices diff prices-2025.toml prices.toml
    """
    from finops_ai.prices.updating import load_any
    from finops_ai.prices.views import diff_books

    frame = diff_books(load_any(before), load_any(after) if after else _load(None))
    if len(frame):
        show(frame, form, output)
    click.echo(f"{len(frame)} prices differ.", err=True)
    ctx.exit(0)


@prices.command("check")
@click.argument("contracts", type=click.Path(dir_okay=False), required=False)
@click.option(
    "--tokens", type=click.Path(dir_okay=False), help="Parquet file of a token frame: show what is unpriced in it."
)
@format_options
@click.pass_context
def check(ctx: click.Context, contracts: str | None, tokens: str | None, form: str, output: str | None) -> None:
    """Check a book: rows that overlap, contracts above list, promotions past their end, disputed prices.

    \b
    finops-ai prices check

    With --tokens show what is unpriced in that data instead, and which contracts none of it falls under. Exits 1 on an error or if anything is unpriced.
    """
    import pandas as pd

    from finops_ai.prices.views import findings, unpriced
    from finops_ai.tables.unmet import contracts as unmet_contracts

    book = _load(contracts)
    found = findings(book)
    usage = pd.read_parquet(tokens, dtype_backend="pyarrow") if tokens else None
    missing = found.iloc[:0] if usage is None else unpriced(usage, book)
    for name, why in [] if usage is None else unmet_contracts(usage, book):
        click.echo(f"Contract {name}: no row falls under it, because {why}.", err=True)
    table = missing if tokens else found
    if len(table):
        show(table, form, output)
    errors = int((found["severity"] == "error").sum())
    click.echo(
        f"Book {book.version}: {errors} errors, {len(found) - errors} notes"
        + (f"; {len(missing)} kinds of usage have no price." if tokens else "."),
        err=True,
    )
    ctx.exit(1 if errors or len(missing) else 0)


@prices.command("update")
@click.argument("files", nargs=-1, type=click.Path(dir_okay=False))
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
@click.option(
    "--dated", type=click.DateTime(["%Y-%m-%d"]), default=None, help="Day the files are from, if they don't say."
)
@click.option("--allow-older", is_flag=True, help="Take a map that is older than what the book has.")
@format_options
def update(
    files: tuple[str, ...], dry_run: bool, dated: dt.datetime | None, allow_older: bool, form: str, output: str | None
) -> None:
    """Bring the price book up to date from FILES, without network: shows what changes, then keeps it.

    \b
    finops-ai prices update litellm-1.110.2-py3-none-any.whl data.json
    finops-ai prices update model_prices_and_context_window.json --dated 2026-11-28 --dry-run

    FILES are genai-prices' data, LiteLLM's map, models.dev's api.json or a model-prices snapshot, as JSON or as the
    package's wheel; without any, the installed packages are looked at. A file older than the book, or without a day,
    is refused. Prices that start after a file's day are announcements and aren't applied. Closed months stay.
    """
    from finops_ai.prices.updating import prepare

    ready = prepare(files, dated=dated.date() if dated else None, allow_older=allow_older)
    changed = ready.changed
    if len(changed):
        show(changed.head(200), form, output)
    for note in ready.notes:
        click.echo(note, err=True)
    kept = [] if dry_run else ready.keep()
    where = f"Kept in {', '.join(map(str, kept))}." if kept else "Nothing was written."
    click.echo(f"{len(changed)} prices differ. {where}", err=True)
