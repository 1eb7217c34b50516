"""What is out of the ordinary: `fa.incidents` of the months up to the one asked about."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from finops_ai.answering.answer import Answer, clean, name
from finops_ai.answering.known import Known
from finops_ai.answering.question import Question
from finops_ai.answering.spending import money
from finops_ai.errors import DataError
from finops_ai.periods import zone
from finops_ai.tables.incidents import incidents
from finops_ai.tables.result import Table

#: months of past that incidents are judged by, as `finops-ai incidents` does
MONTHS = 3


def workspace_incidents(known: Known, month: str) -> Table:
    """The incidents of the months up to one, as `finops-ai incidents` finds them; once per state of the data."""
    ws = known.ws
    told = ws.settings.policies.get("incidents", {}).get("acknowledged", [])
    found: Table = known.kept(
        ("incidents", month),
        lambda: incidents(ws.history(month, MONTHS), acknowledged=map(str, told), timezone=ws.timezone),
    )
    return found


def happenings(known: Known, question: Question) -> Answer:
    """Incidents that touch the time asked about, largest first."""
    span = question.period
    assert span is not None
    month = span.month or f"{(span.window.end.astimezone(zone(known.timezone))):%Y-%m}"
    if not known.clock.months:
        raise DataError("The lake holds no usage. Load some with `finops-ai collect`.")
    table = workspace_incidents(known, min(month, known.clock.months[-1]))
    first, last = (m.astimezone(zone(known.timezone)).date() for m in (span.window.start, span.window.end))
    mine = table[
        [_day(end) >= first and _day(start) < last for start, end in zip(table["start"], table["end"], strict=True)]
    ]
    only = dict(question.only)
    if only:
        mine = mine[[only.get(c) == g for c, g in zip(mine["column"], mine["group"], strict=True)]]
    when, currency = span.text(known.timezone), table.facts.currency
    if not len(mine):
        text = f"Nothing out of the ordinary {span.words(known.timezone)}."
    else:
        shown = mine.published()
        going = sum(state in ("new", "ongoing") for state in mine["state"])
        first_row = shown.iloc[0]
        excess = first_row["excess"]
        text = f"{len(mine)} incident{'s' * (len(mine) > 1)} {span.words(known.timezone)}, {going} of them going on. The largest: "
        who = name(first_row["group"]) if isinstance(first_row["group"], str) else "everything"
        text += f"{first_row['what']} of {who} since {first_row['start']}"
        if isinstance(excess, Decimal):
            text += f", {money(abs(excess), currency)} {'over' if excess >= 0 else 'under'} expectation"
        text += f". {clean(str(first_row['driver'] or ''))}"
    return Answer(
        text.strip(),
        table=mine,
        shown=(
            "incident",
            "state",
            "start",
            "end",
            "column",
            "group",
            "what",
            "times",
            "actual",
            "expected",
            "excess",
            "driver",
        ),
        top=question.top,
        definition="Incident: one event over all series that show it; excess is cost over expectation from the days before.",
        period=when,
        currency=currency,
    )


def _day(moment: dt.date) -> dt.date:
    return moment.date() if isinstance(moment, dt.datetime) else moment
