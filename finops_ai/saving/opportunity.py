"""What a recommendation is: what to do to which rows, what it would save and how sure that is."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd

#: positions of rows, or one value for each
Positions: TypeAlias = npt.NDArray[Any]
#: rows as they are -> the same calls otherwise, to be priced anew
Change = Callable[["pd.DataFrame"], "pd.DataFrame"]


@dataclass(frozen=True)
class Range:
    """An amount with its range; low is what surely remains of it, high what it is at most."""

    low: Decimal
    usual: Decimal
    high: Decimal

    def __post_init__(self) -> None:
        ordered = sorted((self.low, self.usual, self.high))
        for name, value in zip(("low", "usual", "high"), ordered, strict=True):
            object.__setattr__(self, name, value)

    def scaled(self, factor: Decimal) -> Range:
        """All three times a factor."""
        return Range(*(v * factor for v in (self.low, self.usual, self.high)))


@dataclass
class Finding:
    """One thing that could be done, as a kind of opportunity finds it.

    Attributes:
        kind: which kind of opportunity (see `practice.toml`).
        subject: what it is about, as column -> value: with the kind it makes the id, so it holds no amount and no month.
        what: in the imperative.
        why: what the rows show.
        rows: positions of the rows of cost it would change; two findings that share some can't both be had in full.
        changes: low, usual and high case; the saving is what the rows cost less what they then cost. Or none, and `saving`.
        saving: worked out already.
        assumptions: what has to hold.
        confidence: high (measured on these very calls), medium (measured, may not go on), low (by analogy).
        owner: who would do it; "" where rows don't tell.
        risk: what may get worse.
        held: what it costs where that is in no row of usage, such as seats.
        days: for how many days of the period it would have saved; None for all.
        terms: words for `practice.toml`'s texts.
    """

    kind: str
    subject: dict[str, str]
    what: str
    why: str
    rows: Positions
    changes: tuple[Change, Change, Change] | None = None
    saving: Range | None = None
    assumptions: Sequence[str] = ()
    confidence: str = "medium"
    owner: str = ""
    risk: str = ""
    held: Decimal | None = None
    days: int | None = None
    terms: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Ten characters that stay the same from month to month."""
        text = repr((self.kind, sorted(self.subject.items())))
        return hashlib.sha256(text.encode()).hexdigest()[:10]
