"""More than sixty questions, each in words and as a call of a tool, with what the Python API says to it.

`figures` of an answer are compared with the whole table of the API, value by value. Nothing here uses `finops_ai.answering`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pandas as pd

import finops_ai as fa
from finops_ai.forecasting.budgets import workspace_budgets
from finops_ai.periods import Window
from finops_ai.prices.views import prices_of
from finops_ai.reporting.kpis import workspace_kpis
from finops_ai.saving.workspace import workspace_opportunities
from finops_ai.tables.rule_check import why


@dataclass(frozen=True)
class Case:
    """A question in words, the same as a tool's call, and what makes the table it must equal."""

    words: str
    tool: str
    given: dict[str, Any]
    expected: Any
    columns: list[str] = field(default_factory=list)
    heavy: bool = False


def part(frame: pd.DataFrame, **only: str) -> pd.DataFrame:
    """The rows with these values."""
    for column, value in only.items():
        frame = frame[(frame[column] == value).fillna(False).to_numpy(bool)]
    return frame


def month(by=(), at="2026-10", **only):
    return lambda ws: fa.showback(part(ws.history(at, 2, list(by)), **only), list(by), month=at)


def days(by, start, end, **only):
    return lambda ws: fa.showback(part(ws.cube(Window.of(start, end)), **only), list(by), window=Window.of(start, end))


def bridge(before, after, by=(), **only):
    def make(ws):
        frames = [ws.cube(w if isinstance(w, str) else Window.of(*w)) for w in (before, after)]
        return fa.explain(*(part(f, **only) for f in frames), by=list(by))

    return make


def price(provider, model, usage=None, at="2026-11-01"):
    def make(ws):
        from decimal import Decimal

        rows = {r["meter"]: r for r in prices_of(ws.book, provider, model, at) if not r["context"]}
        if usage is None:
            return pd.DataFrame(prices_of(ws.book, provider, model, at))
        return pd.DataFrame(
            {"meter": list(usage), "cost": [Decimal(rows[m]["per_million"]) * n / 10**6 for m, n in usage.items()]}
        )

    return make


def tie(at, **only):
    return lambda ws: part(
        fa.reconcile(ws.cube(at), ws.bills(at), tolerance=ws.settings.policies.get("reconcile"), timezone=ws.timezone),
        **only,
    )


def events(at, start):
    def make(ws):
        import datetime as dt

        found = fa.incidents(ws.history(at, 3), timezone=ws.timezone)
        return found[[end >= dt.date.fromisoformat(start) for end in found["end"]]]

    return make


def otherwise(scenario, by=(), at="2026-10"):
    return lambda ws: fa.what_if(ws.cube(at), scenario, by=list(by), book=ws.book)


WHAT_IF = ["cost", "scenario_cost", "saving"]
COST, WEEK, BEFORE = ["cost", "previous_cost", "change"], ("2026-10-25", "2026-11-01"), ("2026-10-18", "2026-10-25")
EFFECTS = ["before", "after", "change"]

CASES = [
    Case("who spent by team in October", "spending", {"by": ["team"], "period": "October"}, month(["team"]), ["team", *COST]),
    Case("who spent", "spending", {"by": ["team"]}, month(["team"]), ["team", *COST]),
    Case("how much did we spend last month", "spending", {"period": "last month", "by": ["team"]}, month(["team"]), ["team", *COST]),
    Case("how much did support cost in october 2026", "spending", {"only": {"team": "support"}, "period": "2026-10"}, month(team="support"), COST),
    Case("what did team support cost in september", "spending", {"only": {"team": "support"}, "period": "2026-09"}, month(at="2026-09", team="support"), COST),
    Case("cost by model for team search", "spending", {"by": ["model"], "only": {"team": "search"}}, month(["model"], team="search"), ["model", *COST]),
    Case("which models did search use", "spending", {"by": ["model"], "only": {"team": "search"}}, month(["model"], team="search"), ["model", "cost"]),
    Case("what did claude-sonnet-5 cost in september", "spending", {"only": {"model": "claude-sonnet-5"}, "period": "2026-09"}, month(at="2026-09", model="claude-sonnet-5"), COST),
    Case("who used gpt-5.4-mini by team", "spending", {"by": ["team"], "only": {"model": "gpt-5.4-mini"}}, month(["team"], model="gpt-5.4-mini"), ["team", *COST]),
    Case("spend by provider in 2026-10", "spending", {"by": ["provider"], "period": "2026-10"}, month(["provider"]), ["provider", *COST]),
    Case("cost by provider and model in 2026-09", "spending", {"by": ["provider", "model"], "period": "2026-09"}, month(["provider", "model"], "2026-09"), ["provider", "model", *COST]),
    Case("cost by product", "spending", {"by": ["product"]}, month(["product"]), ["product", *COST]),
    Case("cost by prompt", "spending", {"by": ["prompt_id"]}, month(["prompt_id"]), ["prompt_id", "cost"]),
    Case("what did prompt support-answer@v5 cost", "spending", {"only": {"prompt_id": "support-answer@v5"}}, month(prompt_id="support-answer@v5"), COST),
    Case("cost by service tier", "spending", {"by": ["service_tier"]}, month(["service_tier"]), ["service_tier", *COST]),
    Case("cost by meter for provider anthropic", "spending", {"by": ["meter"], "only": {"provider": "anthropic"}}, month(["meter"], provider="anthropic"), ["meter", *COST]),
    Case("cost by cost centre", "spending", {"by": ["cost_centre"]}, month(["cost_centre"]), ["cost_centre", *COST]),
    Case("cost by environment in september 2026", "spending", {"by": ["environment"], "period": "September 2026"}, month(["environment"], "2026-09"), ["environment", *COST]),
    Case("how many tokens by team", "spending", {"by": ["team"], "measure": "tokens"}, month(["team"]), ["team", "tokens"]),
    Case("how many requests by model", "spending", {"by": ["model"], "measure": "requests"}, month(["model"]), ["model", "requests"]),
    Case("what was cost_per_request by product", "spending", {"by": ["product"], "measure": "cost_per_request"}, month(["product"]), ["product", "cost_per_request"]),
    Case("what was cache hit rate by prompt", "spending", {"by": ["prompt_id"], "measure": "cache_hit_rate"}, month(["prompt_id"]), ["prompt_id", "cache_hit_rate"]),
    Case("cost per million tokens by model", "spending", {"by": ["model"], "measure": "cost_per_1m_tokens"}, month(["model"]), ["model", "cost_per_1m_tokens"]),
    Case("what was list cost by provider", "spending", {"by": ["provider"], "measure": "list_cost"}, month(["provider"]), ["provider", "list_cost"]),
    Case("batch share by team", "spending", {"by": ["team"], "measure": "batch_share"}, month(["team"]), ["team", "batch_share"]),
    Case("cost by day for team support from 2026-10-05 to 2026-10-11", "spending", {"by": ["day"], "only": {"team": "support"}, "period": "2026-10-05 to 2026-10-11"}, days(["day"], "2026-10-05", "2026-10-12", team="support"), ["day", "cost"]),
    Case("how much did support spend last week", "spending", {"only": {"team": "support"}, "period": "last week"}, days([], *WEEK, team="support"), ["cost"]),
    Case("who spent by team last 14 days", "spending", {"by": ["team"], "period": "last 14 days"}, days(["team"], "2026-10-18", "2026-11-01"), ["team", "cost"]),
    Case("cost by team on 25 October", "spending", {"by": ["team"], "period": "25 October"}, days(["team"], "2026-10-25", "2026-10-26"), ["team", "cost"]),
    Case("cost by provider since 2026-10-20", "spending", {"by": ["provider"], "period": "since 2026-10-20"}, days(["provider"], "2026-10-20", "2026-11-01"), ["provider", "cost"]),
    Case("cost by week in october", "spending", {"by": ["week"], "period": "october"}, month(["week"]), ["week", "cost"]),
    Case("who spent by team in q4 2026", "spending", {"by": ["team"], "period": "Q4 2026"}, days(["team"], "2026-10-01", "2027-01-01"), ["team", "cost"]),
    Case("cost by region for bedrock", "spending", {"by": ["region"], "only": {"provider": "bedrock"}}, month(["region"], provider="bedrock"), ["region", "cost"]),
    Case("cost by developer", "spending", {"by": ["model_developer"]}, month(["model_developer"]), ["model_developer", *COST]),
    Case("cost for team search and team growth by team", "spending", {"by": ["team"], "only": {"team": ["search", "growth"]}}, lambda ws: (lambda f: fa.showback(f[f["team"].isin(["search", "growth"]).to_numpy(bool)], ["team"], month="2026-10"))(ws.history("2026-10", 2)), ["team", *COST]),
    Case("why did the cost change in October", "why_changed", {"period": "October"}, bridge("2026-09", "2026-10"), EFFECTS),
    Case("why did support cost more last week", "why_changed", {"period": "last week", "only": {"team": "support"}}, bridge(BEFORE, WEEK, team="support"), EFFECTS),
    Case("why did the cost change by team in october against august", "why_changed", {"by": ["team"], "period": "2026-10", "against": "2026-08"}, bridge("2026-08", "2026-10", ["team"]), ["team", *EFFECTS]),
    Case("what changed by product in 2026-10", "why_changed", {"by": ["product"], "period": "2026-10"}, bridge("2026-09", "2026-10", ["product"]), ["product", *EFFECTS]),
    Case("explain product support-assistant last week", "why_changed", {"only": {"product": "support-assistant"}, "period": "last week"}, bridge(BEFORE, WEEK, product="support-assistant"), EFFECTS),
    Case("why did anthropic cost change in september", "why_changed", {"only": {"provider": "anthropic"}, "period": "2026-09"}, bridge("2026-08", "2026-09", provider="anthropic"), EFFECTS),
    Case("what did search cost in october against september", "why_changed", {"only": {"team": "search"}, "period": "2026-10", "against": "2026-09"}, bridge("2026-09", "2026-10", team="search"), EFFECTS),
    Case("does it tie", "ties", {}, tie("2026-10"), ["provider", "status", "computed", "billed", "difference"], heavy=True),
    Case("does openai tie in september", "ties", {"month": "2026-09"}, tie("2026-09"), ["provider", "status", "computed", "billed"], heavy=True),
    Case("incidents in october", "incidents", {"period": "October", "top": 50}, events("2026-10", "2026-10-01"), ["incident", "state", "actual", "expected", "excess"], heavy=True),
    Case("how are the budgets", "budgets", {}, lambda ws: workspace_budgets(ws, "2026-10"), ["name", "budget", "spent", "status"], heavy=True),
    Case("are we over budget in september", "budgets", {"month": "september"}, lambda ws: workspace_budgets(ws, "2026-09"), ["name", "budget", "spent", "status"], heavy=True),
    Case("forecast", "forecast", {}, lambda ws: fa.plan(ws.history("2026-10", 13), ws.settings.policies.get("budgets"), book=ws.book), ["month", "unique_id", "p10", "p50", "p90"], heavy=True),
    Case("forecast by team until 2026-12", "forecast", {"by": ["team"], "until": "2026-12"}, lambda ws: fa.plan(ws.history("2026-10", 13), ws.settings.policies.get("budgets"), by=["team"], until="2026-12", book=ws.book), ["month", "unique_id", "p10", "p50", "p90"], heavy=True),
    Case("price of gpt-5.4 with 1000 input and 200 output tokens in october", "price_of_call", {"model": "gpt-5.4", "usage": {"input": 1000, "output": 200}, "at": "2026-10"}, price("openai", "gpt-5.4", {"input": 1000, "output": 200}, "2026-10-31"), ["meter", "cost"]),
    Case("what does a call to claude-sonnet-5 cost with 5k cached and 1k output tokens in october", "price_of_call", {"model": "claude-sonnet-5", "usage": {"cache_read": 5000, "output": 1000}, "at": "2026-10"}, price("anthropic", "claude-sonnet-5", {"cache_read": 5000, "output": 1000}, "2026-10-31"), ["meter", "cost"]),
    Case("prices of gpt-5.4-mini for provider openai in october", "price_of_call", {"model": "gpt-5.4-mini", "provider": "openai", "at": "2026-10"}, price("openai", "gpt-5.4-mini", None, "2026-10-31"), ["meter", "per_million"]),
    Case("why is team search charged in october", "rules_why", {"only": {"team": "search"}, "period": "october", "top": 100}, lambda ws: why(ws.cube("2026-10"), {"team": "search"}, ws.rules), ["rule", "model", "cost", "rows"]),
    Case("why was product site-search charged", "rules_why", {"only": {"product": "site-search"}, "top": 100}, lambda ws: why(ws.cube("2026-10"), {"product": "site-search"}, ws.rules), ["rule", "model", "cost", "rows"]),
    Case("how fresh is the data", "data", {}, lambda ws: ws.lake.freshness(), ["connection", "rows"]),
    Case("what are the kpis", "kpis", {}, lambda ws: workspace_kpis(ws, "2026-10"), ["id", "value"], heavy=True),
    Case("kpis in september", "kpis", {"month": "2026-09"}, lambda ws: workspace_kpis(ws, "2026-09"), ["id", "value"], heavy=True),
    Case("what is cost_per_request", "glossary", {"term": "cost_per_request"}, None),
    Case("where can we save in october", "opportunities", {"month": "October", "top": 100}, lambda ws: workspace_opportunities(ws, "2026-10"), ["id", "saving", "saving_low", "saving_high"], heavy=True),
    Case("what if team support moved to claude-haiku-4-5", "what_if", {"only": {"team": "support"}, "model": "claude-haiku-4-5"}, otherwise({"swap": {"when": {"team": "support"}, "to": "claude-haiku-4-5", "provider": "anthropic"}}), WHAT_IF, heavy=True),
    Case("what would team legal cost in batch in september", "what_if", {"only": {"team": "legal"}, "tier": "batch", "period": "2026-09"}, otherwise({"batch": {"when": {"team": "legal"}}}, at="2026-09"), WHAT_IF, heavy=True),
    Case("what if prompts of team support were 20% shorter by product", "what_if", {"only": {"team": "support"}, "prompt": 0.8, "by": ["product"]}, otherwise({"shorten": {"when": {"team": "support"}, "prompt": "0.8"}}, ["product"]), ["product", *WHAT_IF], heavy=True),
    Case("forecast for team support until 2026-12", "forecast", {"only": {"team": "support"}, "until": "2026-12"}, lambda ws: part(fa.plan(ws.history("2026-10", 13), ws.settings.policies.get("budgets"), by=["team"], until="2026-12", book=ws.book), team="support"), ["month", "unique_id", "p10", "p50", "p90"], heavy=True),
    Case("define token", "glossary", {"term": "token"}, None),
]  # fmt: skip
