"""Companies made up at random: any teams, models, months, currencies' minor units, prices, gaps, bills and budgets."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

import finops_ai as fa
from finops_ai.frames import BillFrame, conform
from finops_ai.periods import Window

MODELS = [
    ("openai", "gpt-4o"),
    ("openai", "gpt-4.1-mini"),
    ("anthropic", "claude-haiku-4-5"),
    ("vertex", "gemini-2.5-flash"),
    ("openai", "house-model-9"),
]
#: contracts as companies have them: a volume's discount, credits that run out, capacity nobody filled, prices in another currency
TERMS = {
    "volume": "[[contracts]]\nname = 'volume'\nprovider = 'openai'\nvolume = [{ over = '0', discount = '7' }, { over = '1000000', discount = '11' }]\n",
    "credits": "[[contracts]]\nname = 'credit'\nprovider = 'anthropic'\ncredits = [{ name = 'c', amount = '300', paid = '250', from = 2026-09-01, to = 2026-11-01 }]\n",
    "capacity": "[[contracts]]\nname = 'reserved'\nprovider = 'vertex'\n[[contracts.capacity]]\nname = 'units'\nmodel = 'gemini-2.5-flash'\nunits = 2\nhourly = '1.50'\nfrom = 2026-08-01\ntokens_per_hour = '1000000'\n",
    "currency": "[currency]\ngroup = 'USD'\nrates = 'rates.csv'\nbase = 'USD'\n[[contracts]]\nname = 'Europe'\nprovider = 'openai'\naccounts = ['openai-1']\ncurrency = 'EUR'\n"
    "prices = [{ model = 'house-model-9', currency = 'EUR', prices = { input = '1.70', output = '5.10', cache_read = '0.17' } }]\n",
}  # fmt: skip
#: currencies whose minor units aren't two, in what one dollar comes to
OTHER = {"JPY": "151.3", "KWD": "0.3071"}
NAMES = ["search", "mobile", "R&D", "=SUM(A1)", "data platform", "légal", "growth", "x" * 60]


def company(
    folder: Path, seed: int, terms: Collection[str] | None = None, currency: str | None = None
) -> tuple[Any, str]:
    """A workspace and the last of its months.

    Some sources count no requests, some models have no price, some rows no owner, some companies a bill, a budget, a
    second dimension, contracts (`terms`, drawn where not given) or a single month. `currency`, one of `OTHER`, is that of
    the group; without it amounts are in dollars, or as the contracts say.
    """
    rng = np.random.default_rng(seed)
    if terms is None:
        terms = [name for i, name in enumerate(TERMS) if np.random.default_rng([seed, i]).random() < 0.4]
    teams = [str(n) for n in rng.choice(NAMES, size=rng.integers(1, len(NAMES)), replace=False)]
    months = [dt.date(2026, 10 - k, 1) for k in range(int(rng.integers(1, 4)))][::-1]
    models = [MODELS[i] for i in rng.choice(len(MODELS), size=int(rng.integers(1, len(MODELS))), replace=False)]
    size = 10.0 ** rng.uniform(2, 8)
    rows: list[dict[str, Any]] = []
    for month in months:
        for day in range(1, 29, int(rng.integers(1, 6))):
            for team in [*teams, None]:
                for provider, model in models:
                    if rng.random() < 0.4:
                        continue
                    start = dt.datetime(month.year, month.month, day, int(rng.integers(0, 24)), tzinfo=dt.UTC)
                    used = {"input": rng.gamma(1, size), "output": rng.gamma(1, size / 5)}
                    if rng.random() < 0.5:
                        used["cache_read"] = rng.gamma(1, size)
                    if provider == "openai":
                        used["requests"] = max(1, size / 900 * rng.random())
                    for meter, quantity in used.items():
                        rows.append(
                            {
                                "start": start,
                                "provider": provider,
                                "model": model,
                                "meter": meter,
                                "quantity": Decimal(int(quantity) + 1),
                                "team": team,
                            }
                        )
    tokens = conform(
        {
            "charge_period_start": [r["start"] for r in rows],
            "charge_period_end": [r["start"] + dt.timedelta(hours=1) for r in rows],
            "provider": [r["provider"] for r in rows],
            "billing_account_id": [f"{r['provider']}-{len(r['model']) % 2}" for r in rows],
            "model": [r["model"] for r in rows],
            "operation": ["chat"] * len(rows),
            "meter": [r["meter"] for r in rows],
            "quantity": [r["quantity"] for r in rows],
            "unit": ["requests" if r["meter"] == "requests" else "tokens" for r in rows],
            "service_tier": ["standard"] * len(rows),
            "user_id": [r["team"] for r in rows],
            "prompt_id": [None if i % 3 else f"prompt-{i % 7}@v1" for i in range(len(rows))],
            "source": ["api"] * len(rows),
            "quantity_basis": ["metered"] * len(rows),
        },
        source="a company made up",
    )
    budget = (
        f"[[budgets]]\nname = 'all'\nmonth = '{months[-1]:%Y-%m}'\namount = '{rng.integers(1, 10**6)}'\n"
        if rng.random() < 0.5
        else ""
    )
    charged = (
        "[chargeback]\ndimension = 'team'\n[chargeback.incentives]\ncache = '0.1'\nprompt = '0.1'\n"
        if rng.random() < 0.7
        else ""
    )
    settings = (
        f"[workspace]\nname = 'Company {seed}'\n[dimensions.team]\ndefault = 'unallocated'\n"
        "[[rules]]\nname = 'user'\nwhen = { user_id = { exists = true } }\nset = { team = '{user_id}' }\n"
        + charged
        + budget
        + "".join(TERMS[name] for name in terms)
    )
    days = "".join(
        f"2026-{m:02}-{d:02},EUR,{Decimal(85 + (m + d) % 9) / 100}\n" for m in range(7, 11) for d in range(1, 31)
    )
    if currency is not None:
        settings += f"[currency]\ngroup = '{currency}'\nrates = 'rates.csv'\nbase = 'USD'\n"
        days += "".join(
            f"2026-{m:02}-{d:02},{currency},{OTHER[currency]}\n" for m in range(7, 11) for d in range(1, 31)
        )
    (folder / "rates.csv").write_text(f"date,currency,rate\n{days}", encoding="utf-8")
    (folder / "finops.toml").write_text(settings, encoding="utf-8")
    ws = fa.open(folder)
    ws.lake.replace("tokens", "made", Window.of("2026-01-01", "2027-01-01"), tokens)
    if rng.random() < 0.5:
        ws.lake.replace("bills", "made", Window.of("2026-01-01", "2027-01-01"), _bills(ws, months, rng))
    return ws, f"{months[-1]:%Y-%m}"


def _month_of(moment: Any) -> tuple[Any, Any]:
    first = moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return first, (first + dt.timedelta(days=32)).replace(day=1)


def _bills(ws: Any, months: list[dt.date], rng: np.random.Generator) -> Any:
    """Bills that charge what usage computes to, with a credit now and then."""
    rows = []
    for month in months:
        priced = ws.priced(f"{month:%Y-%m}")
        for row in priced[priced["effective_cost"].notna()].to_dict("records"):
            rows.append(
                (
                    row["charge_period_start"],
                    row["charge_period_end"],
                    row["provider"],
                    row["billing_account_id"],
                    row["model"],
                    row["meter"],
                    row["quantity"],
                    row["unit"],
                    row["effective_cost"],
                    "Usage",
                )
            )
        if rng.random() < 0.5 and len(priced):
            first = priced.iloc[0]
            rows.append(
                (
                    first["charge_period_start"],
                    first["charge_period_end"],
                    first["provider"],
                    first["billing_account_id"],
                    None,
                    "unmapped",
                    None,
                    None,
                    Decimal("-12.34"),
                    "Credit",
                )
            )
    return conform(
        {
            "charge_period_start": [r[0] for r in rows], "charge_period_end": [r[1] for r in rows],
            "billing_period_start": [_month_of(r[0])[0] for r in rows], "billing_period_end": [_month_of(r[0])[1] for r in rows],
            "charge_description": [r[4] or r[9] for r in rows],
            "provider": [r[2] for r in rows], "billing_account_id": [r[3] for r in rows],
            "model": [r[4] for r in rows], "meter": [r[5] for r in rows], "consumed_quantity": [r[6] for r in rows],
            "consumed_unit": [r[7] for r in rows], "billed_cost": [r[8] for r in rows], "billing_currency": ["USD"] * len(rows),
            "charge_category": [r[9] for r in rows], "source": ["billing_export"] * len(rows),
        },
        BillFrame,
        source="bills made up",
    )  # fmt: skip
