"""`finops-ai report --input`: a workspace around files of any kind, and the first mapping file for those that need one."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from finops_ai.errors import SettingsError
from finops_ai.money import written

if TYPE_CHECKING:
    import pandas as pd

#: a token costs less than this in every currency with a unit near the dollar's: ten thousand per million
_DEAREST = Decimal("0.01")


def input_workspace(source: str, mapping: str | None, form: str | None, rules_file: str | None) -> Any:
    """A workspace around files, kept in a cache folder so that a rerun is quick."""
    import finops_ai as fa
    from finops_ai.periods import Window
    from finops_ai.providers.collecting import ALWAYS, connector, readers
    from finops_ai.providers.files import find_files
    from finops_ai.providers.recognising import recognise
    from finops_ai.sample.workspace import cache_home

    paths = find_files([source])
    if mapping:
        form = form or "table"
    elif form is None or (form in readers() and form != "responses"):
        form = recognise(paths) if form is None else None
        if form is None:
            _start_mapping(source, paths[0])
            raise AssertionError("unreachable")
    reader = connector(form, files=[source], **({"mapping": mapping} if mapping else {}))
    tokens = reader.usage(ALWAYS)
    for line in [_read_line(tokens, form, len(paths)), *reader.notes, *_cost_lines(tokens)]:
        click.echo(line, err=True)
    digest = hashlib.sha256(str(Path(source).resolve()).encode()).hexdigest()[:12]
    folder = cache_home() / f"input-{digest}"
    folder.mkdir(parents=True, exist_ok=True)
    name = "".join(ch for ch in Path(source).name if ch.isprintable() and ch not in '"\\')
    text = f'[workspace]\nname = "{name}"\n'
    if rules_file:
        text += Path(rules_file).read_text("utf-8-sig")
    (folder / "finops.toml").write_text(text, encoding="utf-8")
    ws = fa.open(folder)
    if len(tokens):
        ws.lake.replace("tokens", "input", Window.of("1970-01-01", "2200-01-01"), tokens)
    return ws


def _read_line(tokens: pd.DataFrame, form: str, files: int) -> str:
    """What was read, in one line."""
    if not len(tokens):
        return f"Read nothing from {files} {'file' if files == 1 else 'files'} ({form})."
    counted = tokens[(tokens["unit"] == "tokens").to_numpy(bool)]["quantity"].sum()
    calls = tokens[(tokens["meter"] == "requests").to_numpy(bool)]["quantity"].sum()
    first, last = tokens["charge_period_start"].min(), tokens["charge_period_start"].max()
    return (
        f"Read {files} {'file' if files == 1 else 'files'} ({form}): {calls:,.0f} calls, {counted:,.0f} tokens, "
        f"{first:%Y-%m-%d} to {last:%Y-%m-%d} UTC."
    )


def _cost_lines(tokens: pd.DataFrame) -> list[str]:
    """The cost the log itself states against list prices, by currency; only calls that both know are compared."""
    import finops_ai as fa

    stated = tokens[tokens["billed_cost"].notna().to_numpy(bool)]
    if stated.empty:
        return []
    lines = []
    for name, part in stated.groupby("billing_currency"):
        currency = str(name)
        total = sum(part["billed_cost"], Decimal(0))
        said = f"The log states a cost of {written(total, currency)} {currency}"
        calls = set(part["request_id"].dropna())
        same = tokens[tokens["request_id"].isin(calls).to_numpy(bool)] if calls else part.head(0)
        priced = fa.price(same) if len(same) else same
        if (
            not len(priced)
            or priced["list_cost"].isna().to_numpy(bool).any()
            or set(priced["pricing_currency"]) != {currency}
        ):
            lines.append(
                f"{said}; it is kept beside the list cost, which isn't known in {currency} for all of these calls."
                f"{_far_off(total, _DEAREST * _tokens(part, tokens))}"
            )
            continue
        listed = sum(priced["list_cost"], Decimal(0))
        share = f" ({(total - listed) / listed * 100:+z.1f}%)" if listed else ""
        lines.append(
            f"{said}; at list prices these calls come to {written(listed, currency)} {currency}{share}.{_far_off(total, listed)}"
        )
    return lines


def _tokens(part: pd.DataFrame, tokens: pd.DataFrame) -> Decimal:
    """The tokens of the calls whose cost a part of the rows states."""
    same = tokens[tokens["request_id"].isin(set(part["request_id"].dropna())).to_numpy(bool)]
    rows = same if len(same) else tokens
    return sum(rows["quantity"][(rows["unit"] == "tokens").to_numpy(bool)], Decimal(0))


def _far_off(total: Decimal, most: Decimal) -> str:
    """A question where a stated cost is so much more than it can be that its unit must be another: cents, millionths."""
    if most <= 0 or total < most * 30:
        return ""
    places = round((total / most).log10())
    return f" That is about {10**places:,} times as much: if its unit is smaller, say so in the mapping: [cost] per = {10**places}."


def _start_mapping(source: str, path: Path) -> None:
    """Write a first mapping file for a table that came without one, show the first rows as it reads them, and say what to do.

    Raises:
        SettingsError: always: the mapping is its owner's to check.
    """
    from finops_ai.providers.starting import first_mapping, preview

    target = Path(Path(path.name.removesuffix(".gz")).stem + ".toml")
    again = f"finops-ai report --input {source} --mapping {target}"
    if target.exists():
        raise SettingsError(
            f"{source} needs a mapping file that says which column is what. There is {target}: `{again}`."
        )
    guess = first_mapping(path)
    target.write_text(guess.text, encoding="utf-8")
    click.echo(f"The first rows, as {target} reads them:\n\n{preview(path, target)}\n", err=True)
    for doubt in guess.doubts:
        click.echo(f"Not sure: {doubt}", err=True)
    raise SettingsError(
        f"{source} needs a mapping file that says which column is what. Wrote a first one, {target}: check it, then `{again}`."
    )
