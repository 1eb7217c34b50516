"""A result table: an exact frame that knows its title, what it conserves and how much of reality it covers."""

from __future__ import annotations

import itertools
import shutil
from dataclasses import MISSING, dataclass, field, fields, replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pandas as pd

from finops_ai.errors import FrameError, hint
from finops_ai.frames.origin import is_charged, provenance_of
from finops_ai.html import render
from finops_ai.tables.plotting import TablePlot
from finops_ai.tables.publishing import publish
from finops_ai.tables.reading import cell_text, columns_that_fit, grain_of, is_number, share_text, sums_of, units_of


@dataclass
class Facts:
    """What a reader must know beside the figures.

    Attributes:
        title: what the table shows.
        currency: ISO 4217 of its amounts; "" where there are several (then a column says which).
        period: the months or window covered, as text.
        conserves: what adds up to what.
        coverage: shares between 0 and 1, such as priced, attributed, captured; None where unknown.
        notes: sentences about doubt: unpriced models, unknown context tiers, estimates.
        money: columns that hold amounts in `currency`.
        provenance: versions and hashes of what it was made from.
        rows: how many rows the whole table has; a part of it then knows that it is one.
        adds: which columns are sums of others, as (whole, parts), a part with a leading minus taken away. Published
            parts add up to the published whole.
        beside: amounts that are published as another column plus their rounded difference from it, so that what is equal
            looks equal.
        total: whether the rows are parts of a whole, so that their sum can stand under them.
        cents: published amounts that were decided elsewhere (see `finops_ai.engine.cents`), by column and row.
        decided: the exact amounts those were decided for.
        charged: amounts are published in minor units however small they are; else those below one unit of currency in all
            keep six places.
    """

    title: str = ""
    currency: str = ""
    period: str = ""
    conserves: str = ""
    coverage: dict[str, float | None] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    money: list[str] = field(default_factory=list)
    provenance: dict[str, Any] = field(default_factory=dict)
    rows: int | None = None
    adds: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    beside: dict[str, str] = field(default_factory=dict)
    total: bool = False
    cents: dict[str, Any] = field(default_factory=dict)
    decided: dict[str, Any] = field(default_factory=dict)
    charged: bool = False

    def copy(self) -> Facts:
        """Facts that can be changed without changing these."""
        lists = {f.name: getattr(self, f.name).copy() for f in fields(self) if f.default is MISSING}
        return replace(self, **lists)


class NoColumn(FrameError, KeyError):
    """A table has no column of that name; a KeyError to whoever asks pandas."""

    __str__ = Exception.__str__


class Table(pd.DataFrame):
    """A DataFrame with `.facts`. Figures are exact; rounding happens when it is shown or written.

    It prints as people read it, in a terminal and in Jupyter; `.explain()` says it in words, `.plot()` draws it,
    `.to_excel()` writes it. Slices, copies, groups and pickles keep the facts; tables put together keep what holds for
    all of them. Column arithmetic is pandas' own.

    Example:
        >>> table = Table.of(pd.DataFrame({"team": ["a", "b"], "cost": [Decimal("1.005"), Decimal(2)]}), Facts("Cost", "USD", money=["cost"]))
        >>> table
        Cost
        team  cost
        a     1.00
        b     2.00
        USD
        >>> print(table.head(1).explain())
        Cost: 1 of 2 rows, one per team.
        Units: cost in USD.
    """

    _metadata = ["_facts_held"]

    @property
    def _constructor(self) -> type[Table]:
        return Table

    @classmethod
    def of(cls, frame: pd.DataFrame, facts: Facts, *sources: pd.DataFrame) -> Table:
        """Make a table of a frame and its facts; `sources` are the frames it was made of, whose versions it states."""
        table = cls(frame)
        new = {n: v for n, v in facts.cents.items() if n in table.columns and not isinstance(v, pd.Series)}
        cents = {name: pd.Series(list(v), index=table.index, dtype=object) for name, v in new.items()}
        decided = {name: pd.Series(list(table[name]), index=table.index, dtype=object) for name in new}
        told = provenance_of(*sources) | facts.provenance
        charged = facts.charged or is_charged(*sources)
        table.facts = replace(
            facts,
            rows=len(table),
            provenance=told,
            cents=facts.cents | cents,
            decided=facts.decided | decided,
            charged=charged,
        )
        return table

    if not TYPE_CHECKING:  # pandas' own types say more of what comes out

        def __getitem__(self, key: Any) -> Any:
            try:
                return super().__getitem__(key)
            except KeyError:
                missing = next((k for k in (key if isinstance(key, list) else [key]) if k not in self.columns), key)
                raise NoColumn(
                    f"The table has no column {missing!r}. {hint(str(missing), list(map(str, self.columns)))}"
                ) from None

    @property
    def facts(self) -> Facts:
        """Title, currency, coverage, notes and provenance; empty where nothing is known."""
        held = self.__dict__.get("_facts_held")
        if held is None:
            held = Facts()
            object.__setattr__(self, "_facts_held", held)
        return held

    @facts.setter
    def facts(self, facts: Facts) -> None:
        object.__setattr__(self, "_facts_held", facts)

    def __finalize__(self, other: object, method: str | None = None, **kwargs: object) -> Self:
        out: Self = super().__finalize__(other, method, **kwargs)  # type: ignore[misc]
        sources = _sources(other)
        if sources:
            out.facts = sources[0].copy() if len(sources) == 1 else _common(sources)
        return out

    def published(self) -> pd.DataFrame:
        """The rows as published: amounts in the currency's minor unit, adding up down and across (see `publishing`).

        Tables whose total is below one unit of currency keep six places, so that small amounts stay visible.
        """
        return publish(pd.DataFrame(self), self.facts)

    def explain(self) -> str:
        """The table in words: what it shows and one row is, units, what adds up, what it covers, rests on and leaves open."""
        facts = self.facts
        count = f"{len(self):,}" if facts.rows in (None, len(self)) else f"{len(self):,} of {facts.rows:,}"
        title = f"{facts.title or 'Table'}{' for ' + facts.period if facts.period else ''}"
        lines = [f"{title}: {count} row{'s' * (count != '1')}{grain_of(self, facts.money)}."]
        if units := units_of(map(str, self.columns), facts.money, facts.currency):
            lines.append(f"Units: {units}.")
        if facts.conserves:
            lines.append(f"Conserves: {facts.conserves}.")
        lines += [
            f"{name.capitalize()}: {'`finops-ai reconcile` tells' if (name, value) == ('captured', None) else share_text(value)}."
            for name, value in facts.coverage.items()
        ]
        lines += facts.notes
        if facts.provenance:
            lines.append("Made with " + ", ".join(f"{k} {v}" for k, v in facts.provenance.items()) + ".")
        return "\n".join(lines)

    def _foot(self) -> list[str]:
        """What belongs under the figures: units, sums and coverage in one line, then each doubt."""
        facts = self.facts
        coverage = [f"{name} {share_text(value)}" for name, value in facts.coverage.items() if value is not None]
        part = f"{len(self):,} of {facts.rows:,} rows" if facts.rows not in (None, len(self)) else ""
        said = [facts.currency, part, facts.conserves and f"conserves {facts.conserves}", *coverage]
        return [text for text in (" · ".join(filter(None, said)), *facts.notes) if text]

    def _readable(self) -> pd.DataFrame:
        """The first rows as published, in words; an index that means something becomes columns."""
        most = pd.get_option("display.max_rows") or len(self)
        if len(self) > most:
            most = pd.get_option("display.min_rows") or most
        shown = self.published().head(most)
        if any(name is not None for name in shown.index.names):
            shown = shown.reset_index(allow_duplicates=True)
        return shown

    def __repr__(self) -> str:
        shown, facts = self._readable(), self.facts
        width = pd.get_option("display.width") if pd.get_option("display.width") else 80
        width = max(width, shutil.get_terminal_size((width, 24)).columns)
        whole = len(shown) == len(self) and facts.rows in (None, len(self))
        body, left_out = columns_that_fit(
            shown, width, sums_of(shown, facts.money) if facts.total and whole else None, facts.money
        )
        rest = f"{len(self) - len(shown):,} more rows" if len(self) > len(shown) else ""
        more = f"{len(left_out)} more columns: {', '.join(left_out)}" if left_out else ""
        head = " ".join(filter(None, [facts.title, facts.period]))
        return "\n".join(filter(None, [head, body, rest, more, *self._foot()]))

    def _repr_html_(self) -> str:
        shown, facts = self._readable(), self.facts
        numeric = [is_number(shown.iloc[:, i]) for i in range(shown.shape[1])]
        side = ["right" if n else "left" for n in numeric]
        rest = [f"{len(self) - len(shown):,} more rows"] if len(self) > len(shown) else []
        return str(
            render(
                "table.html.j2",
                caption=" ".join(filter(None, [facts.title, facts.period])),
                head=[str(c) for c in shown.columns],
                rows=[
                    [cell_text(v, c in facts.money) for c, v in zip(shown.columns, row, strict=True)]
                    for row in shown.astype(object).itertuples(index=False, name=None)
                ],
                sides=side,
                foot=[*rest, *self._foot()],
            )
        )

    def to_excel(self, path: str | Path, *, sheet_name: str = "Table") -> Path:  # type: ignore[override,misc]
        """Write a workbook: amounts as published, numbers as numbers, text as text (never a formula), a sheet "About".

        Args:
            path: the .xlsx file.
            sheet_name: name of the sheet with the figures.

        Returns:
            The path.
        """
        from finops_ai.tables.excel import write_workbook

        about = pd.DataFrame({"about this table": self.explain().splitlines()})
        return write_workbook(path, {sheet_name: self.published(), "About": about}, title=self.facts.title)

    @property
    def plot(self) -> TablePlot:
        """Draw the table: `table.plot()` chooses the chart that fits its shape; `table.plot.line(...)` is pandas' own.

        See `finops_ai.tables.plotting.TablePlot`.
        """
        return TablePlot(self)


def _sources(other: object) -> list[Facts]:
    """Facts of what a frame was made of: one frame, or those of a concat or merge."""
    frames = (
        [other]
        if isinstance(other, pd.DataFrame)
        else getattr(other, "input_objs", None) or getattr(other, "objs", None)
    )
    if frames is None:
        frames = [getattr(other, side, None) for side in ("left", "right")]
    return [f.facts for f in frames if isinstance(f, Table)]


def _common(all_facts: list[Facts]) -> Facts:
    """What holds for tables put together: money only in one currency, no coverage, which belongs to each."""
    first = all_facts[0]

    def same(name: str, otherwise: object) -> Any:
        return getattr(first, name) if all(getattr(f, name) == getattr(first, name) for f in all_facts) else otherwise

    currency = same("currency", "")
    money = list(dict.fromkeys(itertools.chain.from_iterable(f.money for f in all_facts))) if currency else []
    notes = list(dict.fromkeys(itertools.chain.from_iterable(f.notes for f in all_facts)))
    return Facts(
        same("title", ""),
        currency,
        same("period", ""),
        adds=list(same("adds", [])),
        beside=dict(same("beside", {})),
        money=money,
        notes=notes,
        provenance=dict(same("provenance", {})),
        charged=any(f.charged for f in all_facts),
    )


def safe_ratio(top: Decimal | None, bottom: Decimal | None, places: int = 12) -> Decimal | None:
    """An exact quotient rounded half-even to `places`; None where either is unknown or the bottom is 0."""
    if top is None or not bottom:
        return None
    return (Decimal(top) / Decimal(bottom)).quantize(Decimal(1).scaleb(-places))
