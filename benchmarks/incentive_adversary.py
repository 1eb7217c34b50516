"""An adversary that knows only what is promised of a chargeback policy: whoever's real cost rises isn't charged less for it, whoever
does the same work for less isn't charged more, and nobody without a net credit is charged less than nothing.

Companies of three teams over several months, each move tried on all of the policies below, for each team and for teams that act
together. Moves: useless tokens (also none but cached, batched or provisioned ones, in any month), calls, keys or prompts cut in
pieces, names changed, work shifted between days, months and teams, caching and batch on or off in part, other models (also
with other counts of tokens), and up to three of these after each other: every one of them is judged after those before it.
Several together may contradict each other, a good habit and a waste of the same size: these are counted apart, because no
reward at all can rule them out (docs/decisions/0157). What the tariff does without incentives is told apart, too.

Hundreds of variants are priced and measured at once, as receivers of their own; some of each lot are charged once more by
`fa.chargeback`, which must come to the same. A finding is one by more than a cent, the unit charges are posted in; smaller ones
are counted apart, and the largest of them is told.

    python benchmarks/incentive_adversary.py --moves 10000
"""

from __future__ import annotations

import argparse
import random
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from itertools import combinations
from typing import Any

import pandas as pd

import finops_ai as fa
from finops_ai.engine.pricing import default_book
from finops_ai.frames import conform
from finops_ai.tables import incentives
from finops_ai.tables.chargeback import _merged, _usage
from finops_ai.tables.incentives import Measured, Month, adjust, measure, plain_shares
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
    "margin and minimum": {"tariffs": [{"markup": "0.1", "minimum": "50"}], "incentives": SAMPLE},
    "company average": {"tariffs": [{"method": "blended"}], "incentives": ALL},
    "card for one": {"tariffs": [ADA | {"method": "rate_card", "card": CARD}, {}], "incentives": ALL},
    "cached input on the card": {"tariffs": [ADA | {"method": "rate_card", "card": {"fresh_input": "2.50", "output": "10", "cache_read": "0.25"}}, {}], "incentives": SAMPLE},
    "part of a card for one": {"tariffs": [ADA | {"method": "rate_card", "card": FLAT}, {}], "incentives": SAMPLE},
    "subscription for one": {"tariffs": [ADA | PLAN, {}], "incentives": SAMPLE | {"model": "0.2"}},
    "several tariffs": {"tariffs": [ADA | {"method": "rate_card", "card": FLAT, "markup": "0.1"}, {"for": ["bell"], "method": "blended"}, {"to": "2026-09", "markup": "0.5"}, {"minimum": "20"}], "incentives": ALL | {"cap": "0.2"}},
}  # fmt: skip
METERS = {"anthropic": ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h"), "openai": ("input", "output", "cache_read")}  # fmt: skip
TINY = Fraction(1, 10**9)
#: charges are posted in cents: what a move changes by no more is told apart
UNIT = Fraction(1, 100)
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

        def how(r: Row) -> Row | None:
            moved = {k: r[k] + by for k in ("charge_period_start", "charge_period_end")}
            return moved if month_of(r | moved) == month_of(r) else None  # of the months that are compared

        self.change("other days", how)

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
    """Variants of one company, priced at once: receiver `number|team` is a team of a variant.

    A team that a move leaves as it is, is the company's own, `0|team`: what it costs and saves is measured once.
    """

    def __init__(self, variants: list[list[Row]]) -> None:
        base, rows = _by_team(variants[0]), list[Row]()
        self.names: list[dict[str, str]] = []
        for number, one in enumerate(variants):
            names = {}
            for team, own in _by_team(one).items():
                same = number and own == base.get(team)
                names[team] = f"{0 if same else number}|{team}"
                rows += [] if same else [r | {"tags": {"team": names[team]}} for r in own]
            self.names.append(names)
        frame = conform({k: [r[k] for r in rows] for k in rows[0]}, source="made here")
        rules = {"dimensions": {"team": {}}, "rules": [{"name": "tag", "set": {"team": "{tags.team}"}}]}
        self.rows = fa.allocate(fa.price(frame), rules)
        self.kept: dict[tuple[Any, ...], Any] = {}
        self.months = self.rows["charge_period_start"].dt.strftime("%Y-%m").to_numpy(object)

    def once(self, what: str, month: str, make: Callable[[], Any]) -> Any:
        """What is the same for every policy, made once."""
        if (what, month) not in self.kept:
            self.kept[what, month] = make()
        return self.kept[what, month]

    def of(self, month: str) -> pd.DataFrame:
        """The rows of a month."""
        return self.once("rows", month, lambda: self.rows[self.months == month])

    def usage(self, month: str) -> dict[str, list[Any]]:
        """Receiver -> usage of a month."""
        out: dict[str, list[Any]] = {}
        for u in _usage(self.of(month), "team", "USD"):
            out.setdefault(u["receiver"], []).append(u)
        return {name: _merged(own) for name, own in out.items()}

    def charged(self, policy: Policy, month: str) -> list[dict[str, tuple[Fraction, Fraction, Fraction]]]:
        """Of each variant, team -> real cost, charge, and charge without incentives."""
        this, book, number = self.of(month), default_book(None), MONTHS.index(month)
        usage = self.once("usage", month, lambda: self.usage(month))
        tariffs = {name: policy.tariff_of(name.partition("|")[2], month) for name in usage}
        plain: dict[str, dict[str, Fraction]] = {}
        if any(needs_plain(tariff) for tariff in tariffs.values()):
            shares = self.once("plain", month, lambda: plain_shares(this, "team", book))
            for (name, kind), share in shares.items():
                plain.setdefault(name, {})[kind] = share
        before = []
        for past in MONTHS[max(0, number - policy.incentives.baseline_months) : number]:
            if len(rows := self.of(past)):
                costs = {n: cost_of(own) for n, own in self.once("usage", past, lambda p=past: self.usage(p)).items()}
                before.append(Month(rows, {n: policy.felt(n.partition("|")[2], past, c) for n, c in costs.items()}))
        with measured_once(self, month):
            found = measure(this, "team", policy.incentives, book, before)
        costs = {name: cost_of(own) for name, own in usage.items()}
        averaged = any(tariff.method == "blended" for tariff in tariffs.values())
        bare: dict[str, Fraction] = {}
        out = []
        for names in self.names:
            mine = {team: name for team, name in names.items() if name in usage}
            averages = averages_of([u for name in mine.values() for u in usage[name]]) if averaged else {}
            for name in mine.values():
                if averaged or name not in bare:
                    lines = tariff_lines(name, usage[name], tariffs[name], averages, plain.get(name))
                    bare[name] = sum((x.exact for x in lines), ZERO)
            part = {name: bare[name] for name in mine.values() if not tariffs[name].follows}
            theirs = Measured(
                *({k: {n: v[n] for n in part if n in v} for k, v in one.items()} for one in (found.saved, found.earned))
            )
            scores = adjust(part, {name: costs[name] for name in part}, theirs, policy.incentives)
            one = {}
            for team, name in mine.items():
                moved = bare[name] + (scores[name].adjustment if name in scores else 0)
                totals = [a + sum(x.exact for x in minimum_line(name, tariffs[name], a)) for a in (moved, bare[name])]
                one[team] = (costs[name], totals[0], totals[1])
            out.append(one)
        return out


def _by_team(rows: list[Row]) -> dict[str, list[Row]]:
    out: dict[str, list[Row]] = {}
    for r in rows:
        out.setdefault(r["tags"]["team"], []).append(r)
    return out


def cost_of(usage: list[dict[str, Any]]) -> Fraction:
    """What usage really costs."""
    return sum((Fraction(u["cost"]) for u in usage), ZERO)


@contextmanager
def measured_once(lot: Lot, month: str) -> Iterator[None]:
    """Let `measure` price and add up what is the same for all policies once; `agrees` compares the outcome with a chargeback."""
    kept = {name: getattr(incentives, name) for name in ("_thrifty", "_templates", "_again", "_main_models")}
    place = {id(lot.of(m)): m for m in MONTHS if ("rows", m) in lot.kept}

    def again(rows: pd.DataFrame, book: Any) -> pd.DataFrame:
        told = pd.util.hash_pandas_object(rows[["provider", "model", "meter", "service_tier"]]).to_numpy().tobytes()
        return lot.once(f"again {told.hex()}", month, lambda: kept["_again"](rows, book))

    def main_models(baseline: Sequence[Month], dimension: str, months: int) -> Any:
        told = [(place[id(one.rows)], sorted((n, f) for n, f in one.felt.items() if f != 1)) for one in baseline]
        return lot.once(f"main {months} {told}", month, lambda: kept["_main_models"](baseline, dimension, months))

    incentives._thrifty = lambda rows, *more: lot.once("thrifty", month, lambda: kept["_thrifty"](rows, *more))
    incentives._templates = lambda rows, *more: lot.once(
        "templates", place[id(rows)], lambda: kept["_templates"](rows, *more)
    )
    incentives._again, incentives._main_models = again, main_models
    try:
        yield
    finally:
        for name, function in kept.items():
            setattr(incentives, name, function)


def agrees(lot: Lot, number: int, policy: Policy, month: str, charged: dict[str, tuple[Fraction, ...]]) -> None:
    """One variant, charged as everybody charges."""
    mine = lot.rows[lot.rows["team"].isin(list(lot.names[number].values())).to_numpy(bool)].reset_index(drop=True)
    kind = mine["team"].dtype
    mine = mine.assign(team=mine["team"].str.partition("|")[2].astype(kind))
    made = fa.chargeback(mine, policy, month=month)
    for name in made.receivers:
        exact = sum(made.lines["exact"][(made.lines["receiver"] == name).to_numpy()], Decimal(0))
        if abs(Fraction(exact) - charged[name][1]) > Fraction(1, 10**8):
            raise AssertionError(f"{name} is charged {exact}, and here {float(charged[name][1])}")


@dataclass
class Findings:
    """What games a policy; what does so within the unit charges are posted in; and what the tariff does by itself."""

    games: list[str] = field(default_factory=list)
    within: list[tuple[Fraction, str]] = field(default_factory=list)
    own: Counter[str] = field(default_factory=Counter)

    def add(self, amount: Fraction, words: str) -> None:
        """A finding, and by how much the charge is off."""
        if amount > UNIT:
            self.games.append(words)
        else:
            self.within.append((amount, words))

    def __len__(self) -> int:
        return len(self.games) + len(self.within) + self.own.total()

    def told(self) -> str:
        """All of them in a sentence, with the largest below the unit."""
        largest = max(self.within, default=(ZERO, ""))
        return (
            f"{len(self.games)} that game a policy by more than {float(UNIT)} USD, {len(self.within)} within it"
            f"{f' (the largest by {float(largest[0]):.9f}: {largest[1]})' if self.within else ''}; "
            f"by the tariff alone, and by several moves together: {dict(self.own)}"
        )


def search(moves: int, seed: int, per_lot: int, only: str, minutes: float = 0) -> tuple[Counter[str], Findings]:
    """Try moves on all policies: how often each policy met one, and what was found."""
    pick, tried, found = random.Random(seed), Counter[str](), Findings()
    policies = {name: Policy.load({"dimension": "team"} | p) for name, p in POLICIES.items() if only in name}
    began = time.monotonic()
    while min((tried[name] for name in policies), default=moves) < moves:
        if minutes and time.monotonic() - began > 60 * minutes:
            break
        rows, past = company(pick), pick.random() < 0.25
        touched = MONTHS[1:] if past else MONTHS[-1:]
        made = [Move(rows, pick, touched) for _ in range(per_lot)]
        lot = Lot([rows, *(stage for m in made for stage in m.stages)])
        known = len(found.games), len(found.within)
        for name, policy in policies.items():
            months = [lot.charged(policy, month) for month in touched]
            if pick.random() < 0.1:
                number = pick.randrange(len(lot.names))
                agrees(lot, number, policy, touched[-1], months[-1][number])
            # whoever is at its minimum pays that whatever it does, so what it and others do together isn't compared
            sizes = (1,) if any(tariff.minimum for tariff in policy.tariffs) else (1, 2, 3)
            groups = [group for size in sizes for group in combinations(TEAMS, size)]
            number = 0
            for move in made:
                for group in (g for g in groups if move.team in g):
                    sums = [_sum(months, n, group) for n in (0, *range(number + 1, number + len(move.stages) + 1))]
                    _judge(name, move, group, sums, found)
                tried[name] += len(move.stages)
                number += len(move.stages)
        small = [f"by {float(amount):.9f} only: {words}" for amount, words in found.within[known[1] :]]
        print(*found.games[known[0] :], *small, f"{sum(tried.values())} moves", sep="\n", flush=True)
    return tried, found


def _sum(months: list[list[dict[str, tuple[Fraction, ...]]]], number: int, group: tuple[str, ...]) -> list[Fraction]:
    values = [one[number].get(team, (ZERO, ZERO, ZERO)) for one in months for team in group]
    return [sum((v[i] for v in values), ZERO) for i in range(3)]


def _judge(name: str, move: Move, group: tuple[str, ...], sums: list[list[Fraction]], found: Findings) -> None:
    """Each move after those before it, then all of them together."""
    single = len(found)
    for number, same in enumerate(move.kept):
        _compare(f"{name}: {move.words[number]}", same, group, sums[number], sums[number + 1], found)
    if len(sums) > 2 and len(found) == single:
        together = Findings()
        _compare(name, all(move.kept), group, sums[0], sums[-1], together)
        found.own["together, none of them alone"] += len(together.games) + len(together.within)


def _compare(
    what: str, same: bool, group: tuple[str, ...], before: list[Fraction], after: list[Fraction], found: Findings
) -> None:
    (cost, charge, bare), (cost2, charge2, bare2), name = before, after, what.partition(":")[0]
    words = f"{what}, for {'+'.join(group)}: cost {float(cost):.6f} -> {float(cost2):.6f}, "
    words += f"charge {float(charge):.6f} -> {float(charge2):.6f} (tariff {float(bare):.6f} -> {float(bare2):.6f})"
    if cost2 > cost and charge2 < charge - TINY:
        if bare2 < bare - TINY:
            found.own[f"{name}: less for more"] += 1
        else:
            found.add(charge - charge2, f"GAMED {words}")
    if same and cost2 < cost and charge2 > charge + TINY:
        if bare2 > bare + TINY:
            found.own[f"{name}: more for less"] += 1
        else:
            found.add(charge2 - charge, f"RAISED {words}")
    if charge2 < -TINY and cost2 >= 0:
        found.add(-charge2, f"BELOW 0 {words}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moves", type=int, default=10_000, help="Per policy.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lot", type=int, default=200, help="Moves that are priced at once.")
    parser.add_argument("--policy", default="", help="Only policies with this in their name.")
    parser.add_argument("--minutes", type=float, default=0, help="Begin no lot after so many minutes.")
    given = parser.parse_args()
    tried_, found_ = search(given.moves, given.seed, given.lot, given.policy, given.minutes)
    used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    print(f"{sum(tried_.values())} moves on {len(tried_)} policies, {used:.0f} CPU s, {found_.told()}")
    raise SystemExit(bool(found_.games))
