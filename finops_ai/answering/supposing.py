"""The words of a question that suppose a change: another model, tier, place, length, more read from a cache, of all or of a share.

what if team support moved to claude-haiku-4-5        what would legal cost in batch
what if prompts of support were 20% shorter           what if 60% of the input of search was cached
what if half of provider anthropic ran in flex        what if claude-sonnet-5 ran at the global endpoint
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from finops_ai.answering.known import plain
from finops_ai.answering.question import LENGTHS, digits

if TYPE_CHECKING:
    from finops_ai.answering.known import Known

#: a question that begins so supposes something; one with the other words may
ASKED = re.compile(r"\bwhat if\b|\bsuppos(?:e|ing)\b")
MAY = re.compile(r"\bif\b|\b(?:would|could)\b(?! (?:you|i)\b)(?! we (?!save|pay))")
#: words of such a question that say nothing more
SAID = re.compile(
    r"\b(?:would|could|if|sav(?:e|ed|ing)|happens?|costs?|cheaper|mov(?:e|ed)|switch(?:ed)?|chang(?:e|ed)|migrat(?:e|ed)|r[au]n|went|swap(?:ped)?|served|calls?|requests?|traffic)\b"
)
#: tiers that calls can be moved to
TIERS = ("standard", "batch", "flex", "priority", "fast")
_PERCENT = r"(\d{1,3}(?:\.\d+)?) ?(?:%|per ?cent)"
_WORDS = dict(zip(LENGTHS, (r"prompts?|inputs?", r"answers?|outputs?|completions?|responses?"), strict=True))
_PARTS = {"half": "50", "third": "33.333333", "quarter": "25", "tenth": "10", "fifth": "20"}
_LEAD = re.compile(
    r"\b(?:(?:moved?|switched?|changed?|migrated?|went|swapped|ran|run|were|was|is|are|served|done) )?"
    r"(?:(?:over )?(?:to|onto)|on|with|by|through|used?|using|had|adopted|took)\s+(?:the )?(?:model )?(?=\S)"
)
#: what is spent on a model isn't moved to it
_SPENT = frozenset(
    ["spend", "spends", "spent", "spending", "paid", "pay", "pays", "cost", "costs", "money", "more", "less", "much"]
)
#: what replaces what: the old one is what the question is about
_INSTEAD = re.compile(r"\b(?:instead of|rather than|in place of)\b")


def suppositions(text: str, names: Sequence[str], known: Known) -> tuple[tuple[tuple[str, str], ...], str]:
    """The changes that a question supposes, as (what, to) pairs, and the text without the words that say so.

    Args:
        text: the question in lower case, names in quotes replaced by their number between two `\\x01`.
        names: these names.
        known: the workspace, for its models.
    """
    found: list[tuple[str, str]] = []
    text = _INSTEAD.sub("for", text)
    for what, pattern in _patterns():
        while match := pattern.search(text):
            found.append((what, _value(what, match)))
            text = _without(text, match)
    to, text = _model(text, names, known)
    found += [("model", to)] if to else []
    return tuple(dict(found).items()), text


def _patterns() -> list[tuple[str, re.Pattern[str]]]:
    """What may be supposed -> how it is said; what is told by a longer phrase comes first."""
    be = r"(?:(?:were|was|is|are|be|being|became|become|got|had|have|would be) )?"
    out = [
        ("cache", rf"\bcache hit rate {be}(?:of |at |to )?{_PERCENT}"),
        ("cache", rf"\b{_PERCENT} (?:of (?:the |its |their |all )?(?:prompts?|inputs?|tokens|input tokens) )?(?:(?:of|for) (?P<kept>.{{1,80}}?) )?{be}(?:cached|read from (?:a |the )?cache)\b"),
    ]  # fmt: skip
    for what, words in _WORDS.items():
        out += [
            (what, rf"\b(?:{words})\b(?P<kept>(?: (?:of|for) .{{1,80}}?)?) {be}{_PERCENT} (?P<way>shorter|longer|smaller|larger)\b"),
            (what, rf"\b{_PERCENT} (?P<way>shorter|longer|fewer|more|smaller|larger) (?:{words})(?: tokens)?\b"),
            (what, rf"\b(?:{words})\b(?P<kept>(?: (?:of|for) .{{1,80}}?)?) {be}(?P<part>half|twice) (?:as long|the length)\b"),
        ]  # fmt: skip
    tiers = "|".join(TIERS)
    out += [
        ("tier", rf"\b(?:{_LEAD.pattern[2:-6]})?\b(?:in|on|to|as|through|via|with|at|into|used?|using)\s+(?:the |a )?(?P<tier>{tiers})\b(?: (?:service tier|service|tier|mode|processing|api|jobs?))?"),
        ("tier", rf"\b{be}(?P<tier>batch)ed\b"),
        ("geography", r"\b(?:moved? |ran |run |was |were )?(?:in|to|from|at|through|used?) (?:the )?(?P<place>global|us|eu) (?:endpoint|geography|geo|region|processing)\b"),
        ("share", rf"\b{_PERCENT} of\b(?: it\b)?"),
        ("share", rf"\b(?:a )?(?P<part>{'|'.join(_PARTS)})(?: of\b(?: it\b)?)"),
    ]  # fmt: skip
    return [(what, re.compile(pattern)) for what, pattern in out]


def _value(what: str, match: re.Match[str]) -> str:
    given = match.groupdict()
    if what in ("tier", "geography"):
        return given["tier" if what == "tier" else "place"]
    part = given.get("part")
    if what in LENGTHS:
        if part:
            return "0.5" if part == "half" else "2"
        change = Decimal(_number(match)) / 100
        return digits(1 - change if given["way"] in ("shorter", "fewer", "smaller") else 1 + change)
    return digits(Decimal(_PARTS[part] if part else _number(match)) / 100)


def _number(match: re.Match[str]) -> str:
    return next(g for g in match.groups() if g and g[0].isdigit())


def _without(text: str, match: re.Match[str]) -> str:
    kept = match.groupdict().get("kept") or ""
    return f"{text[: match.start()]} {kept} {text[match.end() :]}"


def _model(text: str, names: Sequence[str], known: Known) -> tuple[str, str]:
    """The model that is moved to: the last name of a model that something leads to."""
    for lead in reversed(list(_LEAD.finditer(text))):
        before = text[: lead.start()].split()
        if before and before[-1] in _SPENT:
            continue
        words = text[lead.end() :].split()
        if quoted := re.fullmatch(r"\x01(\d+)\x01[,;]?", words[0]):
            name = names[int(quoted[1])]
            if found := _named(name, known):
                return found, f"{text[: lead.start()]} {' '.join(words[1:])}"
            continue
        for size in range(min(8, len(words)), 0, -1):
            if found := _named(" ".join(words[:size]).strip(",;"), known):
                return found, f"{text[: lead.start()]} {' '.join(words[size:])}"
    return "", text


def _named(name: str, known: Known) -> str | None:
    """A model as the data, or else the price book, spells it."""
    held = [v for c, v in known.values.get(plain(name), ()) if c == "model"]
    if held:
        return next((v for v in held if v == name), held[0])
    return name if " " not in name and known.in_book(name) else None
