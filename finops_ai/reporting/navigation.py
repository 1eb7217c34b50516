"""The bar on top of every page: one link per question, and below it the pages that answer the one at hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from finops_ai.html import Html, render

#: the questions a report answers, in the order people ask them; what a page's metadata calls its question
QUESTIONS = {
    "overview": "Overview",
    "who": "Who",
    "why": "Why",
    "invoices": "Invoices",
    "plan": "Plan",
    "save": "Save",
    "statements": "Statements",
    "explore": "Explore",
    "more": "More",
}
#: where the page of what the figures cover is linked, once it is known that there is one
COVERAGE, COVERAGE_FILE = "<!--coverage-->", "coverage.html"


@dataclass
class Link:
    """A page of the report, for navigation.

    Attributes:
        file: its name in the report's folder.
        title: its heading.
        about: one line about it.
        group: heading of the pages it is folded with, such as "Teams".
        question: which question it helps to answer, of QUESTIONS.
    """

    file: str
    title: str
    about: str = ""
    group: str = ""
    question: str = ""

    @property
    def short(self) -> str:
        """The title up to its colon."""
        return self.title.partition(":")[0]

    @property
    def asked(self) -> str:
        """The question, "more" where the page names none of the known ones."""
        return self.question if self.question in QUESTIONS else "more"


def navigation(brand: str, links: Sequence[Link], current: str) -> Html:
    """The bar of one page; pages of a group are folded into a menu of the question they belong to."""
    here = next((link.asked for link in links if link.file == current), "")
    first = {q: next((k for k in links if k.asked == q), None) for q in QUESTIONS}
    inside = [link for link in links if link.asked == here and not link.group]
    names = dict.fromkeys(link.group for link in links if link.asked == here and link.group)
    groups = [(name, [k for k in links if k.group == name and k.asked == here]) for name in names]
    questions = [(QUESTIONS[q], page, q == here) for q, page in first.items() if page]
    return render(
        "report/navigation.html.j2", brand=brand, questions=questions, inside=inside, groups=groups, current=current
    )


def set_navigation(path: Path, bar: str, *, covered: bool = False) -> None:
    """Put the bar, and the way to what the figures cover, into a page that is already written."""
    text = path.read_text("utf-8")
    before, _, rest = text.partition("<!--nav-->")
    _, mark, after = rest.partition("<!--/nav-->")
    if not mark:
        return
    if covered:
        after = after.replace(COVERAGE, f' · <a href="{COVERAGE_FILE}">what the figures cover</a>')
    path.write_text(f"{before}<!--nav-->{bar}<!--/nav-->{after}", encoding="utf-8")
