"""What data there is, how far it reaches, and how much of it is priced, attributed and explained."""

from __future__ import annotations

import pandas as pd

from finops_ai.answering.answer import Answer, name
from finops_ai.answering.known import Known
from finops_ai.answering.question import Question
from finops_ai.periods import UTC, zone
from finops_ai.tables.result import Facts, Table
from finops_ai.tables.showback import showback


def holdings(known: Known, question: Question) -> Answer:
    """One row per connection: what it holds, how far it reaches, how late that is."""
    ws = known.ws
    fresh = ws.lake.freshness()
    now = known._now().astimezone(UTC)
    rows = [
        {"connection": r["connection"], "first": r["first"].to_pydatetime(), "until": r["last"].to_pydatetime(), "rows": int(r["rows"]),
         "hours_ago": round(max((now - r["last"].to_pydatetime()).total_seconds(), 0) / 3600, 1)}
        for r in fresh.to_dict("records")
    ]  # fmt: skip
    missing = [
        n
        for n, t in ws.settings.providers.items()
        if t.get("enabled", True) is not False and n not in {r["connection"] for r in rows}
    ]
    rows += [{"connection": n, "first": None, "until": None, "rows": 0, "hours_ago": None} for n in missing]
    facts = Facts("Data", notes=[f"{n} has sent nothing yet: its cost is unknown, not 0." for n in missing])
    if rows and len(fresh):
        span = question.period or known.clock.default()
        if span.month in known.clock.months:
            month = span.month
            table = known.kept(("held", month), lambda: showback(known.frame(span), month=month, timezone=ws.timezone))
            facts.coverage = dict(table.facts.coverage)
            facts.provenance = dict(table.facts.provenance)
            facts.period = span.month
    text = "There is no data yet. `finops-ai collect` loads some."
    if len(fresh):
        last = max(rows, key=lambda r: r["until"].timestamp() if r["until"] else 0)
        oldest = min((r for r in rows if r["until"]), key=lambda r: r["until"])
        tz = zone(known.timezone)
        text = f"{sum(r['rows'] for r in rows):,} usage rows of {len(fresh)} connections, from {known.clock.months[0]} on. The data reaches {last['until'].astimezone(tz):%Y-%m-%d %H:%M} {known.timezone} ({name(last['connection'])}); "
        text += (
            f"the one furthest behind is {name(oldest['connection'])}, {oldest['until'].astimezone(tz):%Y-%m-%d %H:%M}."
        )
        text += "".join(f" {name(n)} has sent nothing yet." for n in missing)
    columns = ["connection", "first", "until", "rows", "hours_ago"]
    return Answer(
        text, table=Table.of(pd.DataFrame(rows, columns=columns, dtype=object), facts), top=50, period=facts.period,
        definition="Coverage: priced is the share of tokens with a known price, attributed the share of cost with an owner, captured the share of the bill that usage explains.",
    )  # fmt: skip
