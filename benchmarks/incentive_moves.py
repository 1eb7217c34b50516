"""Look for moves that game a chargeback policy: a charge that falls while the real cost rises, or rises while the cost of
the same work falls.

Random companies (six months of three teams on models of several providers), random policies among ordinary and greedy ones, and for
each company many moves of one team: send useless tokens (plain, cached, batched, in the past months), cut calls or keys in
pieces, rename prompts, move work between days or to next month, turn caching or batch on or off, change models.

Charges and costs are compared over all months that the move can touch, because a baseline is paid for before it is used.

    python benchmarks/incentive_moves.py --moves 10000
"""

from __future__ import annotations

import argparse
import random
import time
from decimal import Decimal

import pandas as pd

import finops_ai as fa
from finops_ai.frames import conform

MONTHS = ("2026-07", "2026-08", "2026-09", "2026-10")
MODELS = (
    ("anthropic", "claude-sonnet-4-6"), ("anthropic", "claude-haiku-4-5-20251001"), ("anthropic", "claude-opus-4-6"),
    ("openai", "gpt-4.1"), ("openai", "gpt-4.1-mini"), ("openai", "gpt-4o"), ("openai", "gpt-4o-mini"),
)  # fmt: skip
RULES = {"dimensions": {"team": {}}, "rules": [{"name": "key", "set": {"team": "{tags.team}"}}]}
SAMPLE = {"cache": "0.1", "batch": "0.1", "prompt": "0.1", "idle": "0.05", "cap": "0.1"}
CARD = {"fresh_input": "2.50", "output": "10"}
POLICIES = {
    "sample company's": {"incentives": SAMPLE},
    "cache only": {"incentives": {"cache": "0.2", "cap": "0.1"}},
    "all kinds": {"incentives": SAMPLE | {"model": "0.1"}},
    "greedy": {"incentives": {"cache": "1", "batch": "1", "model": "1", "prompt": "1", "cap": "0.5"}},
    "margin and minimum": {"tariffs": [{"markup": "0.1", "minimum": "50"}], "incentives": SAMPLE},
    "blended": {"tariffs": [{"method": "blended"}], "incentives": SAMPLE},
    "partial card": {"tariffs": [{"for": ["a"], "method": "rate_card", "card": CARD}, {}], "incentives": SAMPLE},
    "whole card": {"tariffs": [{"for": ["a"], "method": "rate_card", "card": CARD | {"cache_read": "0.25"}}, {}], "incentives": SAMPLE},
    "subscription": {"tariffs": [{"for": ["a"], "method": "subscription", "fee": "20", "included_tokens": 20_000_000, "overage": "4"}, {}], "incentives": SAMPLE},
}  # fmt: skip
BOOK = fa.PriceBook.default()


def company(pick: random.Random) -> list[dict]:
    """Rows of three teams, each with a few templates on a few models, cached and batched here and there."""
    rows = []
    for team in "abc":
        for number in range(pick.randint(1, 3)):
            provider, model = pick.choice(MODELS)
            size, answers = pick.randint(200, 5000), pick.randint(20, 800)
            for month in MONTHS:
                calls, tier = pick.randint(100, 20_000), pick.choice(("standard", "standard", "batch"))
                cached = pick.choice((0, 0, 0.3, 0.8))
                total = int(size * calls * pick.uniform(0.5, 1.2))
                parts = {
                    "input": total - int(total * cached),
                    "cache_read": int(total * cached),
                    "output": answers * calls,
                    "requests": calls,
                }
                for meter, quantity in parts.items():
                    if quantity:
                        rows.append(row(team, month, provider, model, meter, quantity, tier, f"{team}{number}@1"))
    return rows


def row(team, month, provider, model, meter, quantity, tier="standard", prompt=None, day=5, key="1") -> dict:
    """One row of usage."""
    start = pd.Timestamp(f"{month}-{day:02d}", tz="UTC")
    return {
        "charge_period_start": start, "charge_period_end": start + pd.Timedelta(days=1), "provider": provider,
        "billing_account_id": "acct", "model": model, "operation": "chat", "meter": meter, "quantity": Decimal(quantity),
        "unit": "requests" if meter == "requests" else "tokens", "service_tier": tier, "api_key_id": f"{team}-{key}",
        "prompt_id": prompt, "tags": {"team": team}, "source": "api", "quantity_basis": "metered",
    }  # fmt: skip


def move(rows: list[dict], pick: random.Random) -> tuple[str, bool, list[dict]]:
    """A random move of team a: its name, whether the work stays the same, and the rows after it."""
    mine = [r for r in rows if r["tags"]["team"] == "a"]
    months = (MONTHS[-1],) if pick.random() < 0.7 else (pick.choice(MONTHS),)
    chosen = [r for r in mine if r["charge_period_start"].strftime("%Y-%m") in months] or mine
    prompt = pick.choice(chosen)["prompt_id"]
    if pick.random() < 0.5:
        chosen = [r for r in chosen if r["prompt_id"] == prompt]
    ids, part = {id(r) for r in chosen}, Decimal(pick.choice(("1", "0.5", "0.1", "0.01")))

    def changed(how) -> list[dict]:
        out = []
        for r in rows:
            if id(r) not in ids or not (new := how(r)):
                out.append(r)
                continue
            share = r["quantity"] * part // 1
            out += [r | {"quantity": r["quantity"] - share}] if share < r["quantity"] else []
            out += [n | {"quantity": share} for n in [r | new] if share]
        return out

    name = pick.choice(
        (
            "pad",
            "pad",
            "pad",
            "split calls",
            "split keys",
            "rename",
            "days",
            "cache",
            "cache",
            "batch",
            "batch",
            "model",
            "model",
            "write",
        )
    )
    month = months[0]
    if name == "pad":
        provider, model = pick.choice([pick.choice(MODELS), (chosen[0]["provider"], chosen[0]["model"])])
        meter = pick.choice(
            ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h")
            if provider == "anthropic"
            else ("input", "output", "cache_read")
        )
        quantity, tier = int(10 ** pick.uniform(3, 8.5)), pick.choice(("standard", "batch"))
        extra = [row("a", month, provider, model, meter, quantity, tier, pick.choice((prompt, None)))]
        extra += (
            [row("a", month, provider, model, "requests", pick.randint(1, 100_000), tier, prompt)]
            if pick.random() < 0.3
            else []
        )
        return f"pad {meter}", False, rows + extra
    if name == "split calls":
        extra = [row("a", month, *pick.choice(MODELS), "requests", pick.randint(1, 100_000), "standard", prompt)]
        return name, True, rows + extra
    if name == "split keys":
        return name, True, changed(lambda r: {"api_key_id": "a-2"})
    if name == "rename":
        return name, True, changed(lambda r: {"prompt_id": pick.choice(("new@1", "a0@2"))})
    if name == "days":
        return (
            name,
            True,
            changed(
                lambda r: {
                    "charge_period_start": r["charge_period_start"] + pd.Timedelta(days=3),
                    "charge_period_end": r["charge_period_end"] + pd.Timedelta(days=3),
                }
            ),
        )
    if name == "cache":
        on = pick.random() < 0.5
        return (
            f"cache {'on' if on else 'off'}",
            True,
            changed(
                lambda r: (
                    {"meter": "cache_read" if on else "input"}
                    if r["meter"] == ("input" if on else "cache_read")
                    else None
                )
            ),
        )
    if name == "write":
        return (
            name,
            True,
            changed(
                lambda r: (
                    {"meter": pick.choice(("cache_write_5m", "cache_read", "cache_read"))}
                    if r["meter"] == "input" and r["provider"] == "anthropic"
                    else None
                )
            ),
        )
    if name == "batch":
        on = pick.random() < 0.5
        return (
            f"batch {'on' if on else 'off'}",
            True,
            changed(lambda r: {"service_tier": "batch" if on else "standard"}),
        )
    provider, model = pick.choice(MODELS)
    return name, True, changed(lambda r: {"provider": provider, "model": model})


def allocated(variants: list[list[dict]]) -> list[pd.DataFrame]:
    """The rows of several courses of events, priced and allocated together."""
    rows = [r | {"sub_account_id": str(number)} for number, variant in enumerate(variants) for r in variant]
    frame = conform({k: [r[k] for r in rows] for k in rows[0]}, source="made here")
    whole = fa.allocate(fa.price(frame, BOOK), RULES)
    return [whole[(whole["sub_account_id"] == str(n)).to_numpy()].reset_index(drop=True) for n in range(len(variants))]


def charges(rows: pd.DataFrame, policy: dict, months: tuple[str, ...], who: str = "a") -> tuple[Decimal, Decimal]:
    """What the team costs and is charged over some months, exact."""
    cost = charge = Decimal(0)
    for month in months:
        made = fa.chargeback(rows, {"dimension": "team"} | policy, month=month, book=BOOK)
        mine = (made.lines["receiver"] == who).to_numpy()
        charge += sum(made.lines["exact"][mine], Decimal(0))
        inside = (rows["team"] == who) & (rows["charge_period_start"].dt.strftime("%Y-%m") == month)
        cost += sum(rows["effective_cost"][inside.to_numpy()].dropna(), Decimal(0))
    return cost, charge


def search(moves: int, seed: int = 0, per_company: int = 25, only: str = "") -> tuple[dict[str, int], list[str]]:
    """Try moves; returns how often each was tried, and those that game a policy."""
    pick, tried, found = random.Random(seed), {}, []
    names = [name for name in POLICIES if only in name]
    while sum(tried.values()) < moves:
        policy, rows = pick.choice(names), company(pick)
        moved = [move(rows, pick) for _ in range(per_company)]
        before, *frames = allocated([rows, *(after for _, _, after in moved)])
        known: dict[tuple[str, ...], tuple[Decimal, Decimal]] = {}
        for (name, same, after), frame in zip(moved, frames, strict=True):
            early = {r["charge_period_start"].strftime("%Y-%m") for r in after if r not in rows}
            months = MONTHS[-1:] if early <= {MONTHS[-1]} else MONTHS
            if months not in known:
                known[months] = charges(before, POLICIES[policy], months)
            (cost, charge), (cost2, charge2) = known[months], charges(frame, POLICIES[policy], months)
            tried[name] = tried.get(name, 0) + 1
            figures = f"{policy}: {name}, cost {cost:.6f} -> {cost2:.6f}, charge {charge:.6f} -> {charge2:.6f}"
            tiny = Decimal("1e-9")
            if cost2 > cost and charge2 < charge - tiny:
                found.append(f"GAMED {figures}")
            if cost2 < cost and charge2 > charge + tiny and same:
                found.append(f"RAISED {figures}")
            if charge2 < 0 <= cost2:
                found.append(f"BELOW 0 {figures}")
    return tried, found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moves", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--policy", default="", help="Only policies with this in their name.")
    given = parser.parse_args()
    began = time.process_time()
    tried_, found_ = search(given.moves, given.seed, only=given.policy)
    print("\n".join(found_))
    print(
        f"{sum(tried_.values())} moves, {len(found_)} that game a policy, {time.process_time() - began:.0f} CPU s: {tried_}"
    )
    raise SystemExit(bool(found_))
