"""What measures there are: `measures.toml` as objects."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from finops_ai.errors import DataError, hint
from finops_ai.meters import meters

KINDS = ("money", "rate", "share", "ratio", "count", "days")
#: how each kind is rounded where it is shown
ROUNDING = {
    "money": "once per month to the minor unit of its currency, for the rows themselves, so that every sum agrees",
    "rate": "shown with two to six decimals, never rounded before",
    "share": "shown as per cent with one decimal; what isn't whole never reads 100%",
    "ratio": "shown with three decimals",
    "count": "shown in full, or in millions",
    "days": "shown in full",
}


@dataclass(frozen=True)
class Measure:
    """One published figure.

    Attributes:
        id: its name as a column.
        label: its name for people.
        kind: money, rate, share, ratio, count or days.
        unit: what it is counted in; `{currency}` stands for the currency of the amounts.
        about: what it says, in a sentence.
        leaves_out: what isn't in it, and why.
        unknown_when: what makes it null.
        source: FOCUS column, FinOps Foundation KPI, OpenTelemetry attribute, or own.
        sum: the column that is added up, over the rows that `meters` and `where` choose.
        distinct: the column whose different values are counted instead.
        ratio: (upper, lower) measures it divides; `per` multiplies it.
        minus: (one, other) measures it subtracts.
        given: the table that says it where no rows of usage do; `needs` tells what that takes, `parts` what it is made of.
        part_of: the measure it is a part of: 0, not null, where that is known and there is nothing of this one.
        strict: of a share: null, not 0, where its upper figure is.
        told_by: the column that must say something for the figure to be known.
    """

    id: str
    label: str
    kind: str
    about: str
    unknown_when: str
    source: str
    unit: str = ""
    leaves_out: str = ""
    sum: str = ""
    meters: Mapping[str, Any] = field(default_factory=dict)
    where: str = ""
    distinct: str = ""
    ratio: tuple[str, ...] = ()
    per: int = 1
    minus: tuple[str, ...] = ()
    given: str = ""
    needs: str = ""
    parts: tuple[str, ...] = ()
    told_by: str = ""
    part_of: str = ""
    strict: bool = False

    @property
    def formula(self) -> str:
        """How it is made, in words that name columns and measures.

        >>> catalogue()["cost_per_1m_tokens"].formula, catalogue()["tokens"].formula
        ('cost / priced_tokens x 1,000,000', 'sum of quantity where the meter counts tokens')
        """
        if self.ratio:
            return " / ".join(self.ratio) + (f" x {self.per:,}" if self.per > 1 else "")
        if self.minus:
            return " - ".join(self.minus)
        if self.given:
            made = f"{self.parts[0]} {'less' if self.kind == 'money' else '/'} {self.parts[1]}, " if self.parts else ""
            return f"{made}as {self.given} says"
        chosen = [*(_in_words(name, value) for name, value in self.meters.items()), self.where]
        what = f"different values of {self.distinct}" if self.distinct else f"sum of {self.sum}"
        return what + ("" if not any(chosen) else f" where {' and '.join(filter(None, chosen))}")

    @property
    def rounding(self) -> str:
        """How it is rounded where it is shown."""
        return ROUNDING[self.kind]

    @property
    def filter(self) -> str:
        """The rows it is made of, as an SQL predicate; "" for all."""
        parts = [f"meter IN {meter_list(**self.meters)}"] if self.meters else []
        parts += [f"({self.where})"] if self.where else []
        return " AND ".join(parts)

    def unit_of(self, currency: str = "") -> str:
        """What it is counted in, with a currency filled in."""
        if self.kind == "money":
            return currency
        return self.unit.format(currency=currency or "the currency of its row")


def _in_words(name: str, value: object) -> str:
    if name == "is_token":
        return "the meter counts tokens" if value else "the meter counts no tokens"
    return f"the meter's {name.replace('_', ' ')} is {value}" if name != "name" else f"the meter is {value}"


@cache
def meter_list(**wanted: object) -> str:
    """Meters with some properties, as an SQL list: `meter_list(roll_up="output")`.

    >>> meter_list(roll_up="cache_write_5m")
    "('cache_write_5m')"
    """
    names = [m.name for m in meters().values() if all(getattr(m, k) == v for k, v in wanted.items())]
    return "({})".format(", ".join(f"'{name}'" for name in names))


@cache
def _file() -> dict[str, Any]:
    return tomllib.loads(files("finops_ai.figures").joinpath("measures.toml").read_text("utf-8"))


def glossary() -> dict[str, str]:
    """Words of the field and every measure, each with what it is, in alphabetical order.

    >>> glossary()["Token"][:42]
    "A piece of text from a model's own list: i"
    """
    words = {name.replace("_", " ").capitalize(): text for name, text in _file()["terms"].items()}
    for one in catalogue().values():
        left = f" Left out: {one.leaves_out}." if one.leaves_out else ""
        words.setdefault(
            one.label, f"{one.about}{left} Unknown where {one.unknown_when}. Made as {one.formula.removeprefix('as ')}."
        )
    return dict(sorted(words.items(), key=lambda item: item[0].lower()))


@cache
def catalogue() -> dict[str, Measure]:
    """All measures by id, in the order of their file."""
    table = {name: row for name, row in _file().items() if name != "terms"}
    rows: dict[str, dict[str, Any]] = {
        name: {k: tuple(v) if isinstance(v, list) else v for k, v in row.items()} for name, row in table.items()
    }
    return {name: Measure(id=name, **row) for name, row in rows.items()}


def measure(name: str) -> Measure:
    """One measure by id.

    Raises:
        DataError: there is none of that id.
    """
    try:
        return catalogue()[name]
    except KeyError:
        raise DataError(f"No measure called {name!r}. {hint(name, catalogue())}") from None
