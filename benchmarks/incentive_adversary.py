"""An adversary that knows only what is promised of a chargeback policy: whoever's real cost rises isn't charged less for it, whoever
does the same work for less isn't charged more, and nobody without a net credit is charged less than nothing.

Companies of three teams over several months, each move tried on all of the policies below, for each team and for teams that act
together. Moves: useless tokens (also none but cached, batched or provisioned ones, in any month), calls, keys or prompts cut in
pieces, names changed, work shifted between days, months and teams, caching and batch on or off in part, other models (also
with other counts of tokens), and up to three of these after each other: every one of them is judged after those before it.
Several together may contradict each other, a good habit and a waste of the same size: these are counted apart, because no
reward at all can rule them out (docs/decisions/0157). What the tariff does without incentives is told apart, too.

Hundreds of variants are priced and measured at once, as receivers of their own; some of each lot are charged once more by
`fa.chargeback`, which must come to the same.

    python benchmarks/incentive_adversary.py --moves 10000
"""

from __future__ import annotations

import argparse
import random
import resource
import time
from collections import Counter
from decimal import Decimal
from fractions import Fraction
from itertools import combinations
from typing import Any

import pandas as pd

import finops_ai as fa
from finops_ai.engine.pricing import default_book
from finops_ai.frames import conform
from finops_ai.tables.chargeback import _merged, _usage
from finops_ai.tables.grouping import grouped
from finops_ai.tables.incentives import Month, adjust, measure, plain_shares
from finops_ai.tables.policy import Policy
from finops_ai.tables.tariffs import averages_of, minimum_line, needs_plain, tariff_lines

Row = dict[str, Any]
MONTHS = ("2026-06", "2026-07", "2026-08", "2026-09", "2026-10")
TEAMS = ("ada", "bell", "cray")
MODELS = (
    ("anthropic", "claude-sonnet-4-6"), ("anthropic", "claude-haiku-4-5-20251001"), ("anthropic", "claude-opus-4-1"),
    ("openai", "gpt-4.1"), ("openai", "gpt-4.1-nano"), ("openai", "gpt-5.4"), ("openai", "o3"),
)  # fmt: skip
SAMPLE = {"cache": "0.1", "batch": "0.1", "prompt": "0.1", "idle": "0.05", "cap": "0.1"}
ALL = {"cache": "1", "batch": "1", "model": "1", "prompt": "1", "cap": "0.5"}
CARD = {"fresh_input": "2.50", "cache_read": "0.25", "output": [{"up_to": 5_000_000, "rate": "10"}, {"rate": "8"}]}
FLAT = {"fresh_input": "1", "output": "4"}
PLAN = {"method": "subscription", "fee": "30", "included_tokens": 10_000_000, "overage": "4"}
ADA = {"for": ["ada"]}
POLICIES = {
    "the sample company's": {"incentives": SAMPLE},
    "cache alone": {"incentives": {"cache": "0.3", "cap": "0.2"}},
    "batch alone": {"incentives": {"batch": "0.5", "cap": "0.2"}},
    "prompts alone, one month": {"incentives": {"prompt": "1", "cap": "0.5", "baseline_months": 1}},
    "models alone, one month": {"incentives": {"model": "1", "cap": "0.5", "baseline_months": 1}},
    "everything as high as it goes": {"incentives": ALL},
    "everything, two months": {"incentives": ALL | {"cap": "0.3", "baseline_months": 2}},
    "margin": {"tariffs": [{"markup": "0.25"}], "incentives": ALL},
    "minimum": {"tariffs": [{"minimum": "40"}], "incentives": SAMPLE | {"cache": "0.5"}},
    "company average": {"tariffs": [{"method": "blended"}], "incentives": ALL},
    "card for one": {"tariffs": [ADA | {"method": "rate_card", "card": CARD}, {}], "incentives": ALL},
    "part of a card for one": {"tariffs": [ADA | {"method": "rate_card", "card": FLAT}, {}], "incentives": SAMPLE},
    "subscription for one": {"tariffs": [ADA | PLAN, {}], "incentives": SAMPLE | {"model": "0.2"}},
    "several tariffs": {"tariffs": [ADA | {"method": "rate_card", "card": FLAT, "markup": "0.1"}, {"for": ["bell"], "method": "blended"}, {"to": "2026-09", "markup": "0.5"}, {"minimum": "20"}], "incentives": ALL | {"cap": "0.2"}},
}  # fmt: skip
METERS = {"anthropic": ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h"), "openai": ("input", "output", "cache_read")}  # fmt: skip
TINY = Fraction(1, 10**9)
ZERO = Fraction(0)


def row(team: str, month: str, who: tuple[str, str], meter: str, quantity: int, **more: Any) -> Row:
    """One row of usage."""
    day = pd.Timestamp(f"{month}-{more.pop('day', 9):02d}", tz="UTC")
    made = {
        "charge_period_start": day, "charge_period_end": day + pd.Timedelta(days=1), "provider": who[0],
        "billing_account_id": more.pop("account", "acct"), "model": who[1], "operation": "chat", "meter": meter,
        "quantity": Decimal(quantity), "unit": "requests" if meter == "requests" else "tokens", "service_tier": "standard",
        "api_key_id": f"{team}-key", "prompt_id": None, "tags": {"team": team}, "source": "api", "quantity_basis": "metered",
    }  # fmt: skip
    return made | more


def calls(
    team: str, month: str, who: tuple[str, str], prompt: str | None, pick: random.Random, scale: float
) -> list[Row]:
    """A month of one prompt's calls."""
    number = max(1, int(10 ** pick.uniform(0, 4) * scale))
    asked, answered = number * pick.randint(50, 6000), number * pick.randint(5, 900)
    read = int(asked * pick.choice((0, 0, 0.25, 0.9)))
    written = int(asked * 0.05) if who[0] == "anthropic" and read else 0
    tier = pick.choice(("standard", "standard", "batch"))
    parts = {"input": asked - read - written, "cache_read": read, "cache_write_5m": written, "output": answered, "requests": number}  # fmt: skip
    return [row(team, month, who, m, q, prompt_id=prompt, service_tier=tier) for m, q in parts.items() if q]


def company(pick: random.Random) -> list[Row]:
    """Three teams; some have no earlier months, some hardly any."""
    rows = []
    for team in TEAMS:
        for number in range(pick.randint(1, 2)):
            who, prompt = pick.choice(MODELS), pick.choice((f"{team}-{number}@1", f"{team}-{number}@1", None))
            since = pick.choice((0, 0, 0, 4, 3))
            early = pick.choice((1, 1, 1, 0.01))
            for index, month in enumerate(MONTHS[since:], since):
                rows += calls(team, month, who, prompt, pick, early if index < 4 else 1)
    return rows


class Move:
    """What one team, or two, do differently, one to three moves after each other.

    `stages` are the rows after each of them, `words` say what it was and `kept` whether the work stayed the same.
    """

    def __init__(self, rows: list[Row], pick: random.Random, months: tuple[str, ...]) -> None:
        self.rows, self.pick, self.months = list(rows), pick, months
        self.team, self.words = pick.choice(TEAMS), list[str]()
        self.stages, self.kept = list[list[Row]](), list[bool]()
        for _ in range(pick.choice((1, 1, 1, 2, 3))):
            self.same, said = True, len(self.words)
            pick.choice((
                self.pad, self.pad, self.pad_calls, self.cut_keys, self.cut_prompts, self.rename, self.days, self.shift_months,
                self.shift_teams, self.cache, self.cache, self.batch, self.batch, self.model, self.model, self.length,
            ))()  # fmt: skip
            self.words[said:] = [" and ".join(self.words[said:])]
            self.stages.append(list(self.rows))
            self.kept.append(self.same)

    def mine(self) -> list[Row]:
        """The team's rows in the months the move is about, or of one of its prompts."""
        found = [r for r in self.rows if r["tags"]["team"] == self.team and month_of(r) in self.months]
        if found and self.pick.random() < 0.5:
            prompt = self.pick.choice(found)["prompt_id"]
            found = [r for r in found if r["prompt_id"] == prompt]
        return found

    def change(self, words: str, how: Any) -> None:
        """Change a part of some rows."""
        part = Decimal(self.pick.choice(("1", "1", "0.7", "0.2", "0.01")))
        chosen = {id(r) for r in self.mine()}
        out = []
        for r in self.rows:
            new = how(r) if id(r) in chosen else None
            share = r["quantity"] * part // 1 if new else Decimal(0)
            out += [r | {"quantity": r["quantity"] - share}] if share < r["quantity"] else []
            out += [r | {"quantity": share} | new] if share else []
        self.rows = out
        self.words.append(f"{words} ({part} of {self.team})")

    def pad(self) -> None:
        who = self.pick.choice(MODELS)
        if (mine := self.mine()) and self.pick.random() < 0.6:
            like = self.pick.choice(mine)
            who = like["provider"], like["model"]
        prompts = [r["prompt_id"] for r in self.rows if r["tags"]["team"] == self.team] + ["useless@1", None]
        month, prompt = self.pick.choice(self.months), self.pick.choice(prompts)
        tier, number = self.pick.choice(("standard", "batch")), self.pick.choice((1, 1, 2))
        for meter in self.pick.sample(METERS[who[0]], number):
            self.rows.append(row(self.team, month, who, meter, int(10 ** self.pick.uniform(2, 8.7)), service_tier=tier, prompt_id=prompt))  # fmt: skip
            self.words.append(f"pad {meter} {tier} {who[1]} {prompt} in {month} ({self.team})")
        self.same = False

    def pad_calls(self) -> None:
        prompts = [r["prompt_id"] for r in self.mine()] or [None]
        month, who = self.pick.choice(self.months), self.pick.choice(MODELS)
        self.rows.append(row(self.team, month, who, "requests", int(10 ** self.pick.uniform(0, 6)), prompt_id=self.pick.choice(prompts)))  # fmt: skip
        self.words.append(f"calls without tokens in {month} ({self.team})")

    def cut_keys(self) -> None:
        self.change("keys cut", lambda r: {"api_key_id": f"{r['api_key_id']}-2"})

    def cut_prompts(self) -> None:
        self.change("prompts cut", lambda r: {"prompt_id": f"piece-{self.pick.randint(1, 3)}@1"})

    def rename(self) -> None:
        names = [r["prompt_id"] for r in self.rows if r["prompt_id"]] or ["other@1"]
        name = self.pick.choice((*names, "new@1", None))
        self.change(f"renamed {name}", lambda r: {"prompt_id": name})

    def days(self) -> None:
        by = pd.Timedelta(days=self.pick.choice((-7, 3, 12)))
        self.change("other days", lambda r: {k: r[k] + by for k in ("charge_period_start", "charge_period_end")})

    def shift_months(self) -> None:
        if len(self.months) < 2:
            return self.days()
        to = pd.Timestamp(f"{self.pick.choice(self.months)}-11", tz="UTC")
        return self.change(
            f"to {to:%Y-%m}", lambda r: {"charge_period_start": to, "charge_period_end": to + pd.Timedelta(days=1)}
        )

    def shift_teams(self) -> None:
        to = self.pick.choice([t for t in TEAMS if t != self.team])
        self.same = False
        self.change(f"to {to}", lambda r: {"tags": {"team": to}})

    def cache(self) -> None:
        on, written = (
            self.pick.random() < 0.5,
            self.pick.choice(("cache_read", "cache_read", "cache_read", "cache_write_5m")),
        )

        def how(r: Row) -> Row | None:
            if on and r["meter"] == "input":
                return {"meter": written if r["provider"] == "anthropic" else "cache_read"}
            return {"meter": "input"} if not on and r["meter"].startswith("cache") else None

        self.change(f"caching {'on' if on else 'off'}", how)

    def batch(self) -> None:
        tier = self.pick.choice(("batch", "standard"))
        self.change(tier, lambda r: {"service_tier": tier})

    def model(self) -> None:
        who, factor = self.pick.choice(MODELS), Decimal(self.pick.choice(("1", "1", "1.3", "0.8")))

        def how(r: Row) -> Row | None:
            if r["meter"] not in ("requests", *METERS[who[0]]):
                return None
            quantity = r["quantity"] * (1 if r["meter"] == "requests" else factor) // 1 or Decimal(1)
            return {"provider": who[0], "model": who[1], "quantity": quantity}

        chosen = {id(r) for r in self.mine()}
        self.rows = [r | (how(r) or {}) if id(r) in chosen else r for r in self.rows]
        self.words.append(f"{who[1]} with {factor} of the tokens ({self.team})")

    def length(self) -> None:
        factor = Decimal(self.pick.choice(("0.3", "0.8", "1.2", "5")))
        self.same = self.same and factor < 1
        chosen = {id(r) for r in self.mine() if r["meter"] not in ("requests", "output")}
        self.rows = [
            r | {"quantity": r["quantity"] * factor // 1 or Decimal(1)} if id(r) in chosen else r for r in self.rows
        ]
        self.words.append(f"prompts {factor} as long ({self.team})")


def month_of(r: Row) -> str:
    return str(r["charge_period_start"].strftime("%Y-%m"))


class Lot:
    """Variants of one company, priced at once: receiver `number|team` is a team of a variant."""

    def __init__(self, variants: list[list[Row]]) -> None:
        rows = [r | {"tags": {"team": f"{n}|{r['tags']['team']}"}} for n, one in enumerate(variants) for r in one]
        frame = conform({k: [r[k] for r in rows] for k in rows[0]}, source="made here")
        rules = {"dimensions": {"team": {}}, "rules": [{"name": "tag", "set": {"team": "{tags.team}"}}]}
        self.rows = fa.allocate(fa.price(frame), rules)
        self.known: dict[str, dict[str, Fraction]] = {}
        self.months = self.rows["charge_period_start"].dt.strftime("%Y-%m").to_numpy(object)

    def of(self, *months: str) -> pd.DataFrame:
        """The rows of some months."""
        return self.rows[pd.Series(self.months).isin(months).to_numpy()]

    def costs(self, month: str) -> dict[str, Fraction]:
        """What each receiver of a month costs."""
        if month not in self.known:
            found = grouped(self.of(month), ["team"], {"cost": "sum(effective_cost)"}, needs=("effective_cost",))
            self.known[month] = {g["team"]: Fraction(g["cost"] or 0) for g in found}
        return self.known[month]

    def charged(self, policy: Policy, month: str) -> dict[str, tuple[Fraction, Fraction, Fraction]]:
        """Receiver -> real cost, charge, and charge without incentives."""
        this, book, number = self.of(month), default_book(None), MONTHS.index(month)
        usage: dict[str, dict[str, list[Any]]] = {}
        for u in _usage(this, "team", "USD"):
            usage.setdefault(u["receiver"].partition("|")[0], {}).setdefault(u["receiver"], []).append(u)
        averages = {n: averages_of([u for own in teams.values() for u in own]) for n, teams in usage.items()}
        tariffs = {name: policy.tariff_of(name.partition("|")[2], month) for teams in usage.values() for name in teams}
        plain: dict[str, dict[str, Fraction]] = {}
        carded = [name for name, tariff in tariffs.items() if needs_plain(tariff)]
        if carded:
            for (name, kind), share in plain_shares(this[this["team"].isin(carded).to_numpy()], "team", book).items():
                plain.setdefault(name, {})[kind] = share
        before = [
            Month(
                rows, {name: policy.felt(name.partition("|")[2], past, cost) for name, cost in self.costs(past).items()}
            )
            for past in MONTHS[max(0, number - policy.incentives.baseline_months) : number]
            if len(rows := self.of(past))
        ]
        part = [name for name, tariff in tariffs.items() if not tariff.follows]
        found = measure(this[this["team"].isin(part).to_numpy()], "team", policy.incentives, book, before)
        out = {}
        for n, teams in usage.items():
            costs = {name: sum((Fraction(u["cost"]) for u in own), ZERO) for name, own in teams.items()}
            bare = {
                name: sum(
                    (x.exact for x in tariff_lines(name, _merged(own), tariffs[name], averages[n], plain.get(name))),
                    ZERO,
                )
                for name, own in teams.items()
            }
            scores = adjust({k: v for k, v in bare.items() if k in part}, costs, found, policy.incentives)
            for name, amount in bare.items():
                moved = amount + (scores[name].adjustment if name in scores else 0)
                totals = [a + sum(x.exact for x in minimum_line(name, tariffs[name], a)) for a in (moved, amount)]
                out[name] = (costs[name], totals[0], totals[1])
        return out


def agrees(lot: Lot, number: int, policy: Policy, month: str, charged: dict[str, tuple[Fraction, ...]]) -> None:
    """One variant, charged as everybody charges."""
    mine = lot.rows[lot.rows["team"].str.startswith(f"{number}|").to_numpy(bool)].reset_index(drop=True)
    kind = mine["team"].dtype
    mine = mine.assign(team=mine["team"].str.partition("|")[2].astype(kind))
    made = fa.chargeback(mine, policy, month=month)
    for name in made.receivers:
        exact = sum(made.lines["exact"][(made.lines["receiver"] == name).to_numpy()], Decimal(0))
        if abs(Fraction(exact) - charged[f"{number}|{name}"][1]) > Fraction(1, 10**8):
            raise AssertionError(f"{name} is charged {exact}, and here {float(charged[f'{number}|{name}'][1])}")


def search(
    moves: int, seed: int, per_lot: int, only: str, minutes: float = 0
) -> tuple[Counter[str], list[str], Counter[str]]:
    """Try moves on all policies: how often each policy met one, what games it, and what its tariff does by itself."""
    pick, tried, found, own = random.Random(seed), Counter(), [], Counter()
    policies = {name: Policy.load({"dimension": "team"} | p) for name, p in POLICIES.items() if only in name}
    began = time.monotonic()
    while min((tried[name] for name in policies), default=moves) < moves:
        if minutes and time.monotonic() - began > 60 * minutes:
            break
        rows, past = company(pick), pick.random() < 0.25
        touched = MONTHS[1:] if past else MONTHS[-1:]
        made = [Move(rows, pick, touched) for _ in range(per_lot)]
        lot, known = Lot([rows, *(stage for m in made for stage in m.stages)]), len(found)
        for name, policy in policies.items():
            months = [lot.charged(policy, month) for month in touched]
            if pick.random() < 0.1:
                agrees(lot, pick.randrange(per_lot + 1), policy, touched[-1], months[-1])
            # whoever is at its minimum pays that whatever it does, so what it and others do together isn't compared
            sizes = (1,) if any(tariff.minimum for tariff in policy.tariffs) else (1, 2, 3)
            groups = [group for size in sizes for group in combinations(TEAMS, size)]
            number = 0
            for move in made:
                for group in (g for g in groups if move.team in g):
                    sums = [_sum(months, n, group) for n in (0, *range(number + 1, number + len(move.stages) + 1))]
                    _judge(name, move, group, sums, found, own)
                tried[name] += len(move.stages)
                number += len(move.stages)
        print(
            *found[known:],
            f"{sum(tried.values())} moves, {len(found)} findings, apart from these {dict(own)}",
            sep="\n",
            flush=True,
        )
    return tried, found, own


def _sum(months: list[dict[str, tuple[Fraction, ...]]], number: int, group: tuple[str, ...]) -> list[Fraction]:
    values = [one.get(f"{number}|{team}", (ZERO, ZERO, ZERO)) for one in months for team in group]
    return [sum((v[i] for v in values), ZERO) for i in range(3)]


def _judge(name: str, move: Move, group: tuple[str, ...], sums: list[list[Fraction]], found: list[str], own: Counter[str]) -> None:  # fmt: skip
    """Each move after those before it, then all of them together."""
    single = len(found), own.total()
    for number, same in enumerate(move.kept):
        _compare(f"{name}: {move.words[number]}", same, group, sums[number], sums[number + 1], found, own)
    if len(sums) > 2 and (len(found), own.total()) == single:
        together: list[str] = []
        _compare(name, all(move.kept), group, sums[0], sums[-1], together, own)
        own["together, none of them alone"] += len(together)


def _compare(what: str, same: bool, group: tuple[str, ...], before: list[Fraction], after: list[Fraction], found: list[str], own: Counter[str]) -> None:  # fmt: skip
    (cost, charge, bare), (cost2, charge2, bare2), name = before, after, what.partition(":")[0]
    words = f"{what}, for {'+'.join(group)}: cost {float(cost):.6f} -> {float(cost2):.6f}, "
    words += f"charge {float(charge):.6f} -> {float(charge2):.6f} (tariff {float(bare):.6f} -> {float(bare2):.6f})"
    if cost2 > cost and charge2 < charge - TINY:
        if bare2 < bare - TINY:
            own[f"{name}: less for more"] += 1
        else:
            found.append(f"GAMED {words}")
    if same and cost2 < cost and charge2 > charge + TINY:
        if bare2 > bare + TINY:
            own[f"{name}: more for less"] += 1
        else:
            found.append(f"RAISED {words}")
    if charge2 < -TINY and cost2 >= 0:
        found.append(f"BELOW 0 {words}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moves", type=int, default=10_000, help="Per policy.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lot", type=int, default=200, help="Moves that are priced at once.")
    parser.add_argument("--policy", default="", help="Only policies with this in their name.")
    parser.add_argument("--minutes", type=float, default=0, help="Begin no lot after so many minutes.")
    given = parser.parse_args()
    tried_, found_, own_ = search(given.moves, given.seed, given.lot, given.policy, given.minutes)
    used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    print(f"{sum(tried_.values())} moves on {len(tried_)} policies, {len(found_)} that game one, {used:.0f} CPU s")
    print(f"by the tariff alone, and by several moves together: {dict(own_)}")
    raise SystemExit(bool(found_))
