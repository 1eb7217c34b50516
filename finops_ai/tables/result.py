"""A result table: an exact frame that knows its title, what it conserves and how much of reality it covers."""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd

from finops_ai.money import minor_units, round_to_total


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
    """

    title: str = ""
    currency: str = ""
    period: str = ""
    conserves: str = ""
    coverage: dict[str, float | None] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    money: list[str] = field(default_factory=list)
    provenance: dict[str, Any] = field(default_factory=dict)


class Table(pd.DataFrame):
    """A DataFrame with `.facts`. Figures are exact; rounding happens when it is shown or written.

    Example:
        >>> table = Table.of(pd.DataFrame({"team": ["a"], "cost": [Decimal("1.005")]}), Facts("Cost", "USD", money=["cost"]))
        >>> table.facts.title
        'Cost'
    """

    _metadata = ["facts"]
    facts: Facts

    @property
    def _constructor(self) -> type[Table]:
        return Table

    @classmethod
    def of(cls, frame: pd.DataFrame, facts: Facts) -> Table:
        """Make a table of a frame and its facts."""
        table = cls(frame)
        table.facts = facts
        return table

    def _facts(self) -> Facts:
        return getattr(self, "facts", None) or Facts()

    def published(self) -> pd.DataFrame:
        """The rows as published: amounts rounded once to the currency's minor unit, adding up to the rounded total.

        Tables whose total is below one unit of currency keep six places, so that small amounts stay visible.
        """
        facts, out = self._facts(), pd.DataFrame(self)
        several = next((c for c in ("pricing_currency", "currency", "billing_currency") if c in out.columns), None)
        currencies = pd.Series(out[several] if several else facts.currency, index=out.index, dtype=object).fillna("")
        for name in facts.money:
            if name not in out.columns:
                continue
            values = pd.Series([None] * len(out), index=out.index, dtype=object)
            for currency in dict.fromkeys(currencies):  # amounts of one currency add up; currencies are never mixed
                known = out[name].notna() & (currencies == currency)
                amounts = [Decimal(v) for v in out.loc[known, name]]
                small = abs(sum(amounts, Decimal(0))) < 1
                values[known] = round_to_total(amounts, 6 if small else minor_units(currency or "USD"))
            out[name] = values
        return out

    def explain(self) -> str:
        """The table in words: what it shows, what it adds up to, what it covers, and what to doubt."""
        facts = self._facts()
        lines = [f"{facts.title or 'Table'}{' for ' + facts.period if facts.period else ''}: {len(self)} rows."]
        if facts.currency:
            lines.append(f"Amounts are in {facts.currency}.")
        if facts.conserves:
            lines.append(f"Conserves: {facts.conserves}.")
        lines += [f"{name.capitalize()}: {share_text(value)}." for name, value in facts.coverage.items()]
        return "\n".join(lines + facts.notes)

    def _repr_html_(self) -> str:
        facts = self._facts()
        shown = self.published().map(cell_text)
        body = shown.to_html(index=False, border=0, max_rows=60, justify="left", na_rep="–")
        coverage = " · ".join(f"{name} {share_text(value)}" for name, value in facts.coverage.items())
        foot = " · ".join(
            filter(None, [facts.currency, facts.conserves and f"conserves {facts.conserves}", coverage, *facts.notes])
        )
        head = " ".join(filter(None, [facts.title, facts.period]))
        return f"<figure><figcaption><strong>{html.escape(head)}</strong></figcaption>{body}<small>{html.escape(foot)}</small></figure>"

    def to_excel(self, path: str | Path, **kwargs: Any) -> None:  # type: ignore[override,misc]
        """Write one sheet: numbers as numbers, text as text (never a formula), amounts as published."""
        from finops_ai.tables.excel import write_workbook

        facts = self._facts()
        write_workbook(path, {kwargs.get("sheet_name", "Table"): self.published()}, title=facts.title)

    def chart(self, value: str | None = None, by: str | None = None) -> Any:
        """A bar chart of one amount by one column, largest first; returns a matplotlib Axes."""
        import matplotlib.pyplot as plt
        import seaborn as sns

        from finops_ai.tables.palette import PALETTE

        facts = self._facts()
        value = value or next(iter(facts.money), str(self.columns[-1]))
        by = by or str(self.columns[0])
        known = [0.0 if v is None or v is pd.NA or v != v else float(v) for v in self[value].astype(object)]
        sums = pd.DataFrame({"name": [str(v).replace("$", r"\$") for v in self[by]], "amount": known})
        top = sums.groupby("name")["amount"].sum().nlargest(20).reset_index()
        with sns.axes_style("whitegrid", {"axes.grid.axis": "x"}):
            _, axes = plt.subplots(figsize=(8, 0.5 + 0.35 * max(len(top), 2)), layout="constrained")
            sns.barplot(top, x="amount", y="name", color=PALETTE[0], ax=axes)
        axes.set(xlabel=f"{value.replace('_', ' ')} {facts.currency}".strip(), ylabel="")
        axes.set_title(facts.title.replace("$", r"\$"), loc="left")
        sns.despine(ax=axes, left=True)
        return axes


def share_text(value: float | None) -> str:
    """A share as percent text; what isn't whole never reads 100%, what isn't nothing never 0%.

    >>> share_text(0.9876), share_text(0.99999), share_text(None)
    ('98.8%', '>99.9%', 'unknown')
    """
    if value is None:
        return "unknown"
    if 0.9995 <= value < 1:
        return ">99.9%"
    return "<0.1%" if 0 < value < 0.0005 else f"{value:.1%}"


def cell_text(value: Any) -> Any:
    """A cell for people: amounts with separators, long fractions cut to what matters, nulls as a dash."""
    if value is None or value is pd.NA or (isinstance(value, float) and value != value):
        return "–"
    if isinstance(value, Decimal):
        if value and abs(value) < Decimal("0.01"):
            return f"{value:.6f}".rstrip("0")
        return (
            f"{value:,.2f}"
            if value != value.to_integral_value() or value.as_tuple().exponent in (-2, -3)
            else f"{value:,.0f}"
        )
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return value


def safe_ratio(top: Decimal | None, bottom: Decimal | None, places: int = 12) -> Decimal | None:
    """An exact quotient rounded half-even to `places`; None where either is unknown or the bottom is 0."""
    if top is None or not bottom:
        return None
    return (Decimal(top) / Decimal(bottom)).quantize(Decimal(1).scaleb(-places))
