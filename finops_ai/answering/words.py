"""What a word means: measures of the catalogue, words of the glossary, meters and columns of frames."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pandas as pd

from finops_ai.answering.answer import Answer
from finops_ai.answering.known import cut, plain, suggestion
from finops_ai.answering.question import Question
from finops_ai.answering.spending import definition
from finops_ai.errors import SettingsError
from finops_ai.figures import catalogue
from finops_ai.figures.catalogue import glossary
from finops_ai.frames import TokenFrame
from finops_ai.meters import meters
from finops_ai.tables.result import Facts, Table

if TYPE_CHECKING:
    from finops_ai.answering.known import Known


@cache
def dictionary() -> dict[str, tuple[str, str]]:
    """Plain word -> the word as it is written, and what it means; a measure's own words come before all others'."""
    columns = TokenFrame.to_schema().columns
    out = {plain(n): (n, f"Column of the token frame: {columns[n].description or n}") for n in columns}
    out |= {
        plain(m.name): (m.name, f"Meter, counted in {m.unit}: {m.description.removesuffix('.')}.")
        for m in meters().values()
    }
    out |= {plain(word): (word, text) for word, text in glossary().items()}
    for measure in catalogue().values():
        out[plain(measure.label)] = out[plain(measure.id)] = (measure.id, definition(measure.id))
    return out


def find(term: str, known: Known | None = None) -> str | None:
    """The word as the dictionary writes it; None where it has none of that name."""
    found = dictionary().get(plain(term)) or dictionary().get(plain(term).removesuffix("s"))
    return found[0] if found else None


def meaning(known: Known, question: Question) -> Answer:
    """What a word means; without one, all the words there are."""
    if not question.term:
        rows = [{"word": written, "meaning": text} for written, text in dict.fromkeys(dictionary().values())]
        table = Table.of(pd.DataFrame(rows), Facts("Words"))
        return Answer(f"There are {len(rows)} words.", table=table, top=question.top)
    word = find(question.term)
    if word is None:
        raise SettingsError(
            f"No word {cut(question.term)!r} in the glossary. {suggestion(question.term, dictionary())}"
        )
    text = dictionary()[plain(word)][1]
    return Answer(
        f"{word}: {text}",
        definition="" if word not in catalogue() else f"Unknown when {catalogue()[word].unknown_when}.",
    )
