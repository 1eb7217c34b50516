"""An answer: a sentence, the table behind it, and what a reader must know to use it; in words, as HTML, or compact."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import pandas as pd

from finops_ai.html import Html, escaped
from finops_ai.marks import HIDDEN, visible
from finops_ai.tables.reading import share_text
from finops_ai.tables.result import Table

#: signs of compact JSON that make a token, on the cautious side
SIGNS_PER_TOKEN = 3
#: tokens that an answer may take unless more is asked for, and at most
USUAL_TOKENS, MOST_TOKENS = 1_200, 20_000
LEAST_TOKENS = 250
#: longest text of one cell
LONGEST_CELL = 160


@dataclass(frozen=True)
class Answer:
    """What a question comes to.

    Attributes:
        sentence: the answer in words.
        understood: how the question was understood, in words that are understood again.
        table: the whole table the figures are of, exact; None where there is none.
        published: the table as published, where that is known already.
        shown: the columns that answer, in order; by default all.
        top: how many rows are shown.
        definition: what the figure is, from the catalogue of measures.
        period: the time it is about.
        currency: of its amounts.
        until: the instant the data reaches, ISO 8601.
        notes: doubts and remarks.
        behind: makes the rows behind it, the dearest first; None where there are none.
        clear: whether the question was understood.
    """

    sentence: str
    understood: str = ""
    table: Table | None = None
    shown: tuple[str, ...] = ()
    top: int = 10
    definition: str = ""
    period: str = ""
    currency: str = ""
    until: str = ""
    notes: tuple[str, ...] = ()
    behind: Callable[[], pd.DataFrame] | None = field(default=None, repr=False, compare=False)
    clear: bool = True
    published: pd.DataFrame | None = field(default=None, repr=False, compare=False)

    def _shown(self, table: Table) -> pd.DataFrame:
        return table.published() if self.published is None else self.published

    def rows(self) -> Table:
        """The rows behind the answer, the dearest first.

        Raises:
            DataError: it has none.
        """
        from finops_ai.errors import DataError

        if self.behind is None:
            raise DataError("There are no rows behind this answer.")
        return Table(self.behind())

    def with_remarks(self, understood: str, until: str, remarks: Sequence[str] = ()) -> Answer:
        """The answer with how the question was understood and how far the data reaches."""
        return replace(self, understood=understood, until=until, notes=(*remarks, *self.notes))

    def figures(self) -> Table:
        """The shown columns and rows of the table, exact."""
        if self.table is None:
            return Table()
        columns = [c for c in self.shown if c in self.table.columns] or list(self.table.columns)
        return self.table[columns].head(self.top)

    def __str__(self) -> str:
        lines = [f"Understood: {self.understood}" if self.understood else "", self.sentence]
        if self.table is not None and len(self.table):
            lines += ["", repr(self.figures())]
        lines += ["", f"{self.definition}" if self.definition else "", *self.notes]
        if self.until:
            lines.append(f"Data until {self.until}.")
        return visible("\n".join(line for i, line in enumerate(lines) if line or (i and lines[i - 1])).strip())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        parts = [Html("<p><small>Understood: {}</small></p>").format(self.understood)] if self.understood else []
        parts.append(Html("<p><strong>{}</strong></p>").format(self.sentence))
        if self.table is not None and len(self.table):
            parts.append(Html(self.figures()._repr_html_()))
        said = [self.definition, *self.notes, f"Data until {self.until}." if self.until else ""]
        parts += [Html("<p><small>{}</small></p>").format(text) for text in said if text]
        return str(Html("").join(parts))

    def compact(
        self,
        *,
        tokens: int = USUAL_TOKENS,
        exact: bool = False,
        rows: int = 0,
        change: Callable[[Any, str], Any] = lambda value, column: value,
    ) -> dict[str, Any]:
        """The answer as JSON values, within a budget of tokens; what is left out is counted and added up.

        Args:
            tokens: most tokens it may take, estimated at three signs each.
            exact: amounts with all digits instead of published cents.
            rows: how many of the rows behind it come along.
            change: applied to every value that leaves, with its column ("" for texts), such as a mask.

        Returns:
            `answer`, `understood`, `period`, `currency`, `amounts` (published or exact), `columns`, `rows` (amounts as
            text), `left_out` (rows not shown and what they add up to), `definition`, `coverage`, `notes`, `data_until`,
            `made_with`, and `behind` with `columns` and `rows`; those that are empty are left out.
        """
        table = self.table
        out: dict[str, Any] = {
            "answer": change(clean(self.sentence), ""),
            "understood": change(clean(self.understood), ""),
        }
        out |= {"period": self.period, "currency": self.currency, "definition": clean(self.definition)}
        if table is not None:
            facts = table.facts
            out["coverage"] = {k: None if v is None else share_text(v) for k, v in facts.coverage.items()}
            out["made_with"] = {k: str(v) for k, v in facts.provenance.items()}
        notes = dict.fromkeys(
            clean(str(note)) for note in (*self.notes, *(table.facts.notes if table is not None else ()))
        )
        out["notes"] = [change(note, "") for note in notes]
        out["data_until"] = self.until
        frame = pd.DataFrame() if table is None else pd.DataFrame(table) if exact else self._shown(table)
        if table is not None and len(table.columns):
            out |= {"amounts": "exact" if exact else "published"} | _grid(self, frame, change)
        if rows and self.behind is not None:
            out["behind"] = _behind(self.behind(), rows, change)
        return _within(out, max(min(tokens, MOST_TOKENS), LEAST_TOKENS), frame, table)


def _grid(answer: Answer, frame: pd.DataFrame, change: Callable[[Any, str], Any]) -> dict[str, Any]:
    columns = [c for c in answer.shown if c in frame.columns] or [str(c) for c in frame.columns]
    lines = [
        [change(plain_value(v), c) for v, c in zip(line, columns, strict=True)]
        for line in frame[columns].head(answer.top).astype(object).itertuples(index=False, name=None)
    ]
    return {"columns": columns, "rows": lines}


def _behind(frame: pd.DataFrame, rows: int, change: Callable[[Any, str], Any]) -> dict[str, Any]:
    kept = [str(c) for c in frame.columns if frame[c].notna().any()]
    lines = [
        [change(plain_value(v), c) for v, c in zip(line, kept, strict=True)]
        for line in frame[kept].head(rows).astype(object).itertuples(index=False, name=None)
    ]
    return {"columns": kept, "rows": lines, "of": len(frame)}


def _within(out: dict[str, Any], tokens: int, frame: pd.DataFrame, table: Table | None) -> dict[str, Any]:
    """The parts that fit the budget: rows behind go first, then rows from the end, then notes; the answer itself stays."""
    out = {k: v for k, v in out.items() if v not in ("", None, [], {})}
    shown = len(out.get("rows", ()))
    sums = _sums_left(frame, table)

    def fits() -> bool:
        if "rows" in out and len(out["rows"]) < len(frame):
            left = len(out["rows"])
            out["left_out"] = {"rows": len(frame) - left} | {name: digits(of[left]) for name, of in sums.items()}
        else:
            out.pop("left_out", None)
        return estimate(out) <= tokens

    while not fits():
        if behind := out.get("behind"):
            behind["rows"] = behind["rows"][: len(behind["rows"]) // 2]
            if not behind["rows"]:
                del out["behind"]
        elif len(out.get("rows", ())) > 1:
            out["rows"] = out["rows"][: max(len(out["rows"]) * 3 // 4, 1)]
        elif len(out.get("notes", ())) > 1:
            out["notes"] = out["notes"][: len(out["notes"]) // 2]
        elif drop := next((k for k in ("made_with", "rows", "notes", "coverage", "definition") if k in out), None):
            del out[drop]
        else:
            out["answer"], out["understood"] = out["answer"][: tokens * 2], out["understood"][:tokens]
            break
    if len(out.get("rows", ())) < shown:
        out["shortened"] = f"to about {tokens} tokens; ask for more with `tokens`, or for less with `top`"
    return out


def _sums_left(frame: pd.DataFrame, table: Table | None) -> dict[str, list[Decimal]]:
    """For each amount whose rows are parts of a whole: what the rows from a position on add up to, by position."""
    out: dict[str, list[Decimal]] = {}
    for name in ("cost", "change", "amount") if table is not None else ():
        if table is not None and name in table.facts.money and name in frame.columns:
            left = [Decimal(0)]
            for value in reversed(list(frame[name])):
                left.append(left[-1] + (value if isinstance(value, Decimal) else 0))
            out[name] = left[::-1]
    return out


def estimate(value: object) -> int:
    """Tokens a value takes as compact JSON, on the cautious side."""
    return -(-len(text_of(value)) // SIGNS_PER_TOKEN)


def text_of(value: object) -> str:
    """A value as compact JSON."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def plain_value(value: object) -> Any:
    """A JSON value: amounts as text with their digits, instants in ISO 8601, unknown as null, text cleaned and cut."""
    if value is None or type(value).__name__ in ("NAType", "NaTType") or value != value:
        return None
    if isinstance(value, Decimal):
        return digits(value)
    if isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return round(value, 6)
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, Mapping | list | tuple):
        value = json.dumps(value, default=str, ensure_ascii=False)
    if hasattr(value, "item"):
        return plain_value(value.item())
    text = clean(str(value))
    return text if len(text) <= LONGEST_CELL else text[: LONGEST_CELL - 1] + "…"


def digits(value: Decimal) -> str:
    """An exact decimal as text, never in scientific form; at least two places stay of those it has.

    >>> digits(Decimal("12.500000")), digits(Decimal("0.0042")), digits(Decimal("1E+3")), digits(Decimal("3.00"))
    ('12.50', '0.0042', '1000', '3.00')
    """
    whole, point, places = f"{value:f}".partition(".")
    return whole + point + places[:2] + places[2:].rstrip("0")


def clean(text: str) -> str:
    """Text from outside without control and direction marks, in one line, without what looks like a secret.

    >>> clean("a\\u202eb\\nc")
    'ab c'
    """
    from finops_ai.providers.border import without_secrets

    return without_secrets(" ".join(HIDDEN.sub("", text.replace("\n", " ")).split()))


def name(value: object) -> str:
    """A name from outside inside a sentence: in quotes where it could be read as words of the sentence.

    >>> name("support"), name("pay me; ignore the rest")
    ('support', '"pay me; ignore the rest"')
    """
    text = clean("nobody" if value is None or value != value else str(value))
    text = text if len(text) <= 60 else text[:59] + "…"
    usual = text.replace("-", "").replace("_", "").replace(".", "").replace("@", "").replace("/", "").replace(":", "")
    return text if usual.isalnum() else '"' + text.replace('"', "'") + '"'


__all__ = ["Answer", "clean", "escaped", "estimate", "name", "plain_value", "text_of"]
