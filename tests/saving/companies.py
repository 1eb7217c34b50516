"""Random companies with planted opportunities, whose true savings are worked out beside the product, price by price."""

from __future__ import annotations

import datetime as dt
import random
from dataclasses import dataclass, field
from decimal import Decimal as D
from zoneinfo import ZoneInfo

import finops_ai as fa
from finops_ai.frames import TokenFrame, conform, schema_of
from finops_ai.meters import meters
from finops_ai.prices.contracts import contracts_of

DAYS = 14
FIRST = dt.date(2026, 9, 7)
KINDS = ("capacity", "caching", "batch", "model", "tier", "geography")
RULES = {
    "dimensions": {"team": {"default": "unallocated"}, "product": {"default": "unallocated"}},
    "rules": [{"name": "tags", "set": {"team": "{tags.team}", "product": "{tags.product}"}}],
}
#: list prices a million, typed off the providers' pages: prompt, answer, cache read
LIST = {
    ("openai", "gpt-5.4"): ("2.5", "15", "0.25"), ("openai", "gpt-5.4-mini"): ("0.75", "4.5", "0.075"),
    ("openai", "gpt-5.4-nano"): ("0.2", "1.25", "0.02"),
    ("anthropic", "claude-opus-4-6"): ("5", "25", "0.5"), ("anthropic", "claude-sonnet-4-6"): ("3", "15", "0.3"),
    ("anthropic", "claude-haiku-4-5"): ("1", "5", "0.1"), ("azure-openai", "gpt-4.1"): ("2", "8", "0.5"),
}  # fmt: skip
#: an hour of the day -> calls of people at work, and of customers around the clock
OFFICE = [0, 0, 0, 0, 0, 0, 1, 3, 9, 12, 12, 11, 9, 11, 12, 11, 9, 6, 2, 1, 1, 0, 0, 0]
ROUND = [3, 2, 2, 2, 2, 3, 4, 6, 8, 9, 9, 9, 9, 9, 9, 9, 9, 8, 8, 7, 7, 6, 5, 4]
NIGHT = [0, 9, 12, 9, 6] + [0] * 19


@dataclass
class Company:
    """A company's priced rows, and what is planted in it: kind -> (the work's name, the true saving)."""

    frame: object
    planted: dict[str, tuple[str, D]] = field(default_factory=dict)


def price(provider, model, meter):
    prompt, answer, read = (D(v) for v in LIST[provider, model])
    return {"input": prompt, "output": answer, "cache_read": read, "cache_write_5m": prompt * D("1.25")}[
        meter
    ] / 1_000_000


class Maker:
    """Makes a company's rows, hour by hour, or call by call."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.zone = ZoneInfo(self.random.choice(["UTC", "Europe/Berlin", "America/New_York", "Asia/Tokyo"]))
        self.rows: list[dict] = []

    def row(self, work, at, hours, model, meter, quantity, **more):
        provider = more.pop("provider")
        self.rows.append({
            "charge_period_start": at, "charge_period_end": at + dt.timedelta(hours=hours), "provider": provider,
            "billing_account_id": f"acct-{provider}", "sub_account_id": f"{provider}-prod", "model": model, "operation": "chat",
            "meter": meter, "quantity": D(quantity), "unit": meters()[meter].unit, "service_tier": "standard", "source": "api",
            "quantity_basis": "metered", "api_key_id": f"key-{work}", "tags": {"team": f"team-{work[:3]}", "product": work},
        } | more)  # fmt: skip

    def work(self, name, provider, model, shape, calls, prompt, answer, *, cached=D(0), models=None, **more):
        """Hourly sums of a work: calls by the shape of the day, steady lengths with some noise. Gives tokens by model."""
        sums: dict[tuple, D] = {}
        for n in range(DAYS):
            for hour, weight in enumerate(shape):
                count = round(calls * weight / sum(shape) * self.random.uniform(0.8, 1.2))
                if not count:
                    continue
                at = dt.datetime.combine(FIRST + dt.timedelta(n), dt.time(hour), self.zone).astimezone(dt.UTC)
                for used, share in (models(n) if models else {model: 1}).items():
                    made = max(round(count * share), 1)
                    whole = round(made * prompt * self.random.uniform(0.95, 1.05))
                    read = round(whole * cached)
                    amounts = {"input": whole - read, "cache_read": read, "cache_write_5m": round(read * D("0.05")) if provider == "anthropic" else 0,
                               "output": round(made * answer * self.random.uniform(0.95, 1.05))}  # fmt: skip
                    for meter, quantity in amounts.items():
                        if quantity:
                            self.row(name, at, 1, used, meter, quantity, provider=provider, slice_requests=made, **more)
                            sums[used, meter] = sums.get((used, meter), D(0)) + quantity
                    self.row(name, at, 1, used, "requests", made, provider=provider, slice_requests=made, **more)
        return sums

    def calls(self, name, provider, model, lengths, answer, **more):
        """Single calls, a hundred a day, one a minute from nine o'clock on."""
        start = dt.datetime.combine(FIRST, dt.time(9), self.zone).astimezone(dt.UTC)
        for n, length in enumerate(lengths):
            at = start + dt.timedelta(days=n // 100, minutes=n % 100)
            own = {
                "provider": provider,
                "slice_requests": 1,
                "slice_input_tokens": length,
                "request_id": f"{name}-{n}",
            } | more
            for meter, quantity in (("input", length), ("output", answer), ("requests", 1)):
                self.row(name, at, 1, model, meter, quantity, **own)
                self.rows[-1]["charge_period_end"] = at + dt.timedelta(seconds=2)

    def frame(self, contracts):
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        held = {n: [row.get(n) for row in self.rows] for n in names}
        held |= {n: [None] * len(self.rows) for n in schema_of(TokenFrame).names if n not in held}
        tokens = conform(held, TokenFrame, source="company")
        book = (
            fa.PriceBook.default().under(contracts_of(contracts, "company"), "company")
            if contracts
            else fa.PriceBook.default()
        )
        return fa.allocate(fa.price(tokens, book), RULES, timezone=str(self.zone))


def cost(provider, sums, factor=D(1)):
    return sum((q * price(provider, m, k) * factor for (m, k), q in sums.items()), D(0))


def company(seed: int, plants: set[str]) -> Company:
    """A company of nine works; the kinds named are planted, for all others the same work is as it should be."""
    make, planted = Maker(seed), {}
    rnd, size = make.random, make.random.uniform(0.5, 3)

    # a chat that customers use around the clock, and people's own tools: nothing to find
    make.work("chat", "openai", "gpt-5.4-mini", ROUND, 2500 * size, 900, 250, cached=D("0.5"), prompt_id="chat@v3")
    make.work(
        "desk", "anthropic", "claude-sonnet-4-6", OFFICE, 700 * size, 1800, 420, cached=D("0.6"), prompt_id="desk@v1"
    )
    make.work("router", "openai", "gpt-5.4-nano", ROUND, 3000 * size, 400, 12, prompt_id="router@v2")

    # surcharges
    tier = "priority" if "tier" in plants else "standard"
    sums = make.work(
        "alerts",
        "openai",
        "gpt-5.4",
        OFFICE,
        rnd.uniform(400, 900) * size,
        800,
        300,
        cached=D("0.4"),
        service_tier=tier,
    )
    if "tier" in plants:
        planted["tier"] = ("alerts", cost("openai", sums))
    place = "us" if "geography" in plants else "global"
    sums = make.work(
        "claims",
        "anthropic",
        "claude-opus-4-6",
        OFFICE,
        rnd.uniform(900, 1500) * size,
        2200,
        600,
        cached=D("0.5"),
        inference_geo=place,
    )
    if "geography" in plants:
        planted["geography"] = ("claims", cost("anthropic", sums, D("0.1")))

    # work that can wait
    tier = "standard" if "batch" in plants else "batch"
    sums = make.work(
        "index", "openai", "gpt-5.4-mini", NIGHT, rnd.uniform(4000, 8000) * size, 1500, 300, service_tier=tier
    )
    if "batch" in plants:
        planted["batch"] = ("index", cost("openai", sums, D("0.5")))

    # a model that does what a cheaper one did, or does
    calls, way = rnd.uniform(500, 1100) * size, rnd.choice(["switched", "beside", "labels"])
    if way == "labels":
        model, answer = ("gpt-5.4", 8) if "model" in plants else ("gpt-5.4-mini", 260)
        sums = make.work("triage", "openai", model, ROUND, calls * 4, 700, answer, prompt_id="triage@v1")
        gain = cost("openai", sums) - sum((q * price("openai", "gpt-5.4-mini", k) for (_, k), q in sums.items()), D(0))
    else:
        since = rnd.randint(5, 9)
        cheap, dear = "claude-haiku-4-5", "claude-sonnet-4-6"
        shares = {
            "switched": lambda n: {dear if n >= since else cheap: 1},
            "beside": lambda n: {dear: 0.8, cheap: 0.2},
        }[way] if "model" in plants else lambda n: {cheap: 1}  # fmt: skip
        sums = make.work(
            "answer",
            "anthropic",
            cheap,
            ROUND,
            calls * 2,
            1500,
            350,
            cached=D("0.5"),
            models=shares,
            prompt_id="answer@v4",
        )
        theirs = {k: q for k, q in sums.items() if k[0] == dear}
        gain = cost("anthropic", theirs) - sum((q * price("anthropic", cheap, k) for (_, k), q in theirs.items()), D(0))
    if "model" in plants:
        planted["model"] = ("triage" if way == "labels" else "answer", gain)

    # a prompt that is the same but for its end, or that is all its own
    count = 1200
    if "caching" in plants:
        fixed, tail = rnd.randint(5, 14) * 1024, rnd.choice(["exponential", "uniform"])
        lengths = [
            fixed + round(rnd.expovariate(1 / 900) if tail == "exponential" else rnd.uniform(50, 1800))
            for _ in range(count)
        ]
        planted["caching"] = (
            "review",
            count * fixed * (price("openai", "gpt-5.4", "input") - price("openai", "gpt-5.4", "cache_read")),
        )
    else:
        lengths = [round(rnd.lognormvariate(8.6, 0.7)) for _ in range(count)]
    make.calls("review", "openai", "gpt-5.4", lengths, 250, prompt_id="review@v2")

    # reserved units: as many as it takes, or half as many again and more
    return _with_capacity(make, planted, plants, rnd)


def _with_capacity(make, planted, plants, rnd):
    needed, per_unit, hourly = rnd.randint(6, 12), 200_000, D("0.25")
    units = round(needed * rnd.uniform(1.6, 2.4)) if "capacity" in plants else needed
    for n in range(DAYS):
        for hour in range(24):
            at = dt.datetime.combine(FIRST + dt.timedelta(n), dt.time(hour), dt.UTC)
            used = round(needed * per_unit * rnd.uniform(0.93, 0.99))
            for meter, quantity in (
                ("input", round(used * 0.8)),
                ("output", used - round(used * 0.8)),
                ("requests", used // 1000),
            ):
                make.row(
                    "assistant",
                    at,
                    1,
                    "gpt-4.1",
                    meter,
                    quantity,
                    provider="azure-openai",
                    service_tier="provisioned",
                    slice_requests=used // 1000,
                )
    contracts = [{
        "name": "ptu", "provider": "azure-openai", "capacity": [{
            "name": "assistant", "model": "gpt-4.1", "units": str(units), "unit": "PTU", "from": "2026-01-01", "hourly": str(hourly),
            "tokens_per_hour": str(per_unit)}]}]  # fmt: skip
    if rnd.random() < 0.5:
        contracts.append({"name": "anthropic", "provider": "anthropic", "discount": "10"})
        for kind, (work, saving) in list(planted.items()):
            if work in ("claims", "answer"):
                planted[kind] = (work, saving * D("0.9"))
    if "capacity" in plants:
        days = {row["charge_period_start"].date() for row in make.rows}  # of UTC, for which capacity is paid
        planted["capacity"] = ("gpt-4.1", (units - needed) * hourly * 24 * len(days))
    return Company(make.frame(contracts), planted)
