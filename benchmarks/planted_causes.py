"""Whether reconciliation names what was planted: every cause alone and in combinations, random amounts, two companies.

    python benchmarks/planted_causes.py [SEEDS=20] [sample | made-up] [CAUSE ...]

With a company and causes only these run, each alone; without, both companies, every cause and combinations of them.
Prints per cause how often it was recovered by name within 1 % of its amount with nothing else named, and the largest
unexplained rest as a share of cost (bars: always, and below 0.5 %). The sample company has daily usage of six providers; the
made-up one hourly usage with regions. Bills come from the priced usage, then one thing, or several, is done to either side.
"""

from __future__ import annotations

import datetime as dt
import random
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal

import pandas as pd
import pyarrow as pa

import finops_ai as fa
from finops_ai.frames import BillFrame, TokenFrame, conform
from finops_ai.frames.types import COST_TYPE, QUANTITY_TYPE
from finops_ai.prices.currency import Rates
from finops_ai.tables.causes import CAUSES

D = Decimal
Frames = tuple[pd.DataFrame, pd.DataFrame]
#: truth: (cause, month) -> amount
Truth = dict[tuple[str, str], Decimal]
PLACES = D(1).scaleb(-18)


class NothingLeft(Exception):
    """Everything that a cause could be done to has something done to it."""


# ---- companies


def sample() -> Frames:
    """September and October of the sample company."""
    return fa.price(fa.sample(months=2)), fa.sample.bills(months=2)


def made_up(seed: int, hours: int = 4) -> Frames:
    """Two months of usage, every few hours, of a few teams on Bedrock and Azure, in regions, priced, and its bill by day."""
    rng = random.Random(seed)
    works = [
        ("bedrock", "global.anthropic.claude-sonnet-4-6", ["us-east-1", "eu-central-1"]), ("bedrock", "amazon.nova-pro-v1:0", ["us-east-1"]),
        ("azure-openai", "gpt-4.1", ["swedencentral"]), ("azure-openai", "gpt-5.4-mini", ["eastus2"]), ("openai", "gpt-5.4", [None]),
    ]  # fmt: skip
    start, rows = dt.datetime(2026, 9, 1, tzinfo=dt.UTC), []
    for n, (provider, model, regions) in enumerate(works):
        for region in regions:
            for sub in ("one", "two"):
                level = rng.randint(2, 9)
                for hour in range(0, 61 * 24, hours):
                    at = start + dt.timedelta(hours=hour)
                    calls = max(1, round(level * rng.uniform(0.6, 1.4) * (2 if 8 <= at.hour < 18 else 1)))
                    use = {
                        "input": calls * rng.randint(3000, 5000),
                        "cache_read": calls * rng.randint(1000, 2500),
                        "output": calls * rng.randint(200, 500),
                    }
                    for meter, quantity in use.items():
                        rows.append({
                            "charge_period_start": at, "charge_period_end": at + dt.timedelta(hours=hours), "provider": provider,
                            "billing_account_id": f"{provider}-acct", "sub_account_id": f"{provider}-{sub}", "region": region, "model": model,
                            "operation": "chat", "meter": meter, "quantity": quantity * 100, "unit": "tokens", "api_key_id": f"key-{sub}-{n}",
                            "service_tier": "batch" if sub == "two" and n == 1 else "standard", "source": "api", "quantity_basis": "metered",
                        })  # fmt: skip
    priced = fa.price(conform({n: [r[n] for r in rows] for n in rows[0]}, TokenFrame, source="made up"))
    keys = ["provider", "billing_account_id", "sub_account_id", "region", "model", "meter", "service_tier"]
    own = priced.assign(day=priced["charge_period_start"].dt.floor("D"))
    lines: dict[tuple, list[Decimal]] = {}
    for *key, quantity, cost in own[[*keys, "day", "quantity", "effective_cost"]].itertuples(index=False, name=None):
        name = tuple(None if pd.isna(v) else v for v in key)
        had = lines.setdefault(name, [D(0), D(0)])
        had[0] += quantity
        had[1] += cost
    day = dt.timedelta(days=1)
    out = [
        dict(zip(keys, key[:-1], strict=True)) | {
            "charge_period_start": key[-1].to_pydatetime(), "charge_period_end": key[-1].to_pydatetime() + day, "consumed_quantity": quantity,
            "consumed_unit": "tokens", "billed_cost": cost, "charge_description": f"{key[4]} {key[5]}", "charge_category": "Usage",
        } for key, (quantity, cost) in lines.items()
    ]  # fmt: skip
    for line in out:
        first = line["charge_period_start"].replace(day=1)
        line |= {
            "billing_period_start": first,
            "billing_period_end": (first + 32 * day).replace(day=1),
            "billing_currency": "USD",
            "source": "billing_export",
        }
    return priced, conform({n: [r[n] for r in out] for n in out[0]}, BillFrame, source="made up")


# ---- what is done to them


def decimals(values: list, like: pd.Series, kind: pa.DataType = COST_TYPE) -> pd.Series:
    """Exact amounts as a column."""
    rounded = [None if v is None else D(v).quantize(D(1).scaleb(-kind.scale)) for v in values]
    return pd.Series(pd.arrays.ArrowExtensionArray(pa.array(rounded, kind)), index=like.index)


def changed(frame: pd.DataFrame, mask: pd.Series, **columns: Callable) -> pd.DataFrame:
    """A frame with exact columns of some rows made anew."""
    out, picked = frame.copy(), list(mask.to_numpy(bool, na_value=False))
    for name, make in columns.items():
        kind = QUANTITY_TYPE if name == "consumed_quantity" else COST_TYPE
        values = [make(v) if m and not pd.isna(v) else v for v, m in zip(frame[name], picked, strict=True)]
        out[name] = decimals([None if pd.isna(v) else v for v in values], frame[name], kind)
    return out


def months_of(frame: pd.DataFrame) -> pd.Series:
    return frame["charge_period_start"].dt.strftime("%Y-%m")


def by_month(cause: str, frame: pd.DataFrame, amounts) -> Truth:
    out: Truth = {}
    for month, amount in zip(months_of(frame), amounts, strict=True):
        if not pd.isna(amount):
            out[cause, month] = out.get((cause, month), D(0)) + amount
    return out


class Plant:
    """One company, on which causes are planted one after the other on different models."""

    def __init__(self, frames: Frames, seed: int) -> None:
        self.priced, self.bills = frames
        self.rng, self.truth, self.used = random.Random(seed), {}, set()
        self.rates: Rates | None = None

    def add(self, truth: Truth) -> None:
        for key, amount in truth.items():
            self.truth[key] = self.truth.get(key, D(0)) + amount

    def pick(self, test=lambda own: True) -> tuple[str, str, str]:
        """A provider, sub-account and model with enough money that nothing was done to yet."""
        found: dict[tuple, list] = {}
        lines = self.bills[(self.bills["charge_category"] == "Usage").to_numpy(bool)]
        for key, own in lines.groupby(["provider", "sub_account_id", "model"]):
            cost = sum(own["billed_cost"])
            if (
                key[:1] + key[2:] not in {(p, m) for p, _, m in self.used}
                and cost > 20
                and "provisioned_hours" not in set(own["meter"])
                and test(own)
            ):
                found[key] = own
        if not found:
            raise NothingLeft
        key = self.rng.choice(sorted(found))
        self.used.add(key)
        return key

    def lines(self, key, **more) -> pd.Series:
        return self._of(self.bills, key, more)

    def rows(self, key, **more) -> pd.Series:
        return self._of(self.priced, key, more) & (self.priced["meter"] != "requests")

    @staticmethod
    def _of(frame, key, more):
        mask = (frame["provider"] == key[0]) & (frame["sub_account_id"] == key[1]) & (frame["model"] == key[2])
        for name, value in more.items():
            mask &= frame[name] == value
        return mask.fillna(False).astype(bool)

    def _bill(self, mask, cause, **columns) -> None:
        old = self.bills
        self.bills = changed(old, mask, **columns)
        change = [a - b for a, b in zip(self.bills["billed_cost"], old["billed_cost"], strict=True)]
        self.add(by_month(cause, old[mask.to_numpy(bool)], [c for c, m in zip(change, mask, strict=True) if m]))

    # -- causes

    def price(self) -> None:
        key, factor = (
            self.pick(),
            D(str(round(self.rng.choice([self.rng.uniform(0.6, 0.9), self.rng.uniform(1.1, 1.7)]), 3))),
        )
        meter = self.rng.choice(sorted(set(self.bills[self.lines(key)]["meter"])))
        self._bill(self.lines(key, meter=meter), "price", billed_cost=lambda v: v * factor)

    def missing_usage(self) -> None:
        key = self.pick()
        mask, days = self.rows(key), None
        if self.rng.random() < 0.5:  # some days in the middle of a month instead of all
            first = self.rng.randint(3, 20)
            days = self.priced["charge_period_start"].dt.day
            mask &= (days >= first) & (days < first + 3)
        own = self.priced[mask]
        self.add(by_month("missing_usage", own, own["effective_cost"]))
        self.priced = self.priced[~mask.to_numpy(bool)].reset_index(drop=True)

    def not_billed(self) -> None:
        mask = self.lines(self.pick())
        own = self.bills[mask]
        self.add(by_month("not_billed", own, [-v for v in own["billed_cost"]]))
        self.bills = self.bills[~mask.to_numpy(bool)].reset_index(drop=True)

    def duplicate_usage(self) -> None:
        own = self.priced[self.rows(self.pick())]
        own = own.sample(frac=self.rng.uniform(0.1, 0.9), random_state=self.rng.randint(0, 10**6))
        self.add(by_month("duplicate_usage", own, [-v for v in own["effective_cost"]]))
        self.priced = pd.concat([self.priced, own], ignore_index=True)

    def duplicate_billing(self) -> None:
        own = self.bills[self.lines(self.pick())]
        own = own.sample(frac=self.rng.uniform(0.1, 0.9), random_state=self.rng.randint(0, 10**6))
        self.add(by_month("duplicate_billing", own, own["billed_cost"]))
        self.bills = pd.concat([self.bills, own], ignore_index=True)

    def timezone(self) -> None:
        """The provider's lines are cut at another hour: hourly usage again by days of that zone, daily ones a day earlier."""
        hourly = (self.priced["charge_period_end"] - self.priced["charge_period_start"]).max() < pd.Timedelta(hours=24)
        provider = self.rng.choice(sorted(set(self.bills["provider"]) - {p for p, *_ in self.used} - {"oci"}))
        mine = (self.bills["provider"] == provider) & (self.bills["charge_category"] == "Usage")
        self.used |= {(provider, "", m) for m in set(self.bills[mine.to_numpy(bool)]["model"].dropna())}
        old = self.bills[mine.to_numpy(bool)]
        if not hourly:
            shift = pd.Timedelta(hours=-self.rng.randint(1, 11))
            new = old.assign(**{c: old[c] + shift for c in ("charge_period_start", "charge_period_end")})
        else:
            hours = self.rng.choice([-8, -4, 4, 8])
            own = self.priced[
                ((self.priced["provider"] == provider) & (self.priced["meter"] != "requests")).to_numpy(bool)
            ]
            day = (own["charge_period_start"] + pd.Timedelta(hours=hours)).dt.floor("D")
            template = {
                k: g.iloc[[0]]
                for k, g in old.groupby(["sub_account_id", "region", "model", "meter", "service_tier"], dropna=False)
            }
            made = []
            sums: dict[tuple, list[Decimal]] = {}
            for *key, at, q, c in zip(
                *(own[n] for n in ("sub_account_id", "region", "model", "meter", "service_tier")),
                day,
                own["quantity"],
                own["effective_cost"],
                strict=True,
            ):
                had = sums.setdefault((*key, at), [D(0), D(0)])
                had[0] += q
                had[1] += c
            for (*key, at), (q, c) in sums.items():
                line = template[tuple(key)]
                made.append(line.assign(
                    charge_period_start=pd.Series([at], index=line.index).astype(line["charge_period_start"].dtype),
                    charge_period_end=pd.Series([at + pd.Timedelta(days=1)], index=line.index).astype(line["charge_period_end"].dtype),
                    consumed_quantity=decimals([q], line["consumed_quantity"], QUANTITY_TYPE), billed_cost=decimals([c], line["billed_cost"]),
                ))  # fmt: skip
            new = pd.concat(made)
        self.add(by_month("timezone", old, [-v for v in old["billed_cost"]]))
        self.add(by_month("timezone", new, new["billed_cost"]))
        self.bills = pd.concat([self.bills[~mine.to_numpy(bool)], new], ignore_index=True)

    def meter_mapping(self) -> None:
        """Cached tokens billed as fresh ones."""
        key = self.pick(lambda own: {"input", "cache_read"} <= set(own["meter"]) and len(set(own["service_tier"])) == 1)
        fresh = self.bills[self.lines(key, meter="input")]
        unit = sum(fresh["billed_cost"]) / sum(fresh["consumed_quantity"])
        mask = self.lines(key, meter="cache_read")
        kept = self.rng.random() < 0.3
        quantities = iter([q for q, m in zip(self.bills["consumed_quantity"], mask, strict=True) if m])
        if not kept:
            self._bill(mask, "meter_mapping", billed_cost=lambda v: next(quantities) * unit)
        self.bills = self.bills.assign(meter=self.bills["meter"].where(~mask, "input"))

    def tier(self) -> None:
        key, factor = self.pick(), D(str(round(self.rng.uniform(1.2, 2.5), 2)))
        mask = self.lines(key)
        self._bill(mask, "tier", billed_cost=lambda v: v * factor)
        self.bills = self.bills.assign(service_tier=self.bills["service_tier"].where(~mask, "priority"))

    def geography(self) -> None:
        key = self.pick(lambda own: own["region"].notna().all())
        mask, factor = self.lines(key), D(str(round(self.rng.uniform(1.05, 1.4), 2)))
        self._bill(mask, "geography", billed_cost=lambda v: v * factor)
        self.bills = self.bills.assign(region=self.bills["region"].where(~mask, "ap-southeast-2"))

    def rounding(self) -> None:
        provider = self.rng.choice(sorted(set(self.bills["provider"]) - {p for p, *_ in self.used} - {"oci"}))
        self.used |= {
            (provider, "", m)
            for m in set(self.bills[(self.bills["provider"] == provider).to_numpy(bool)]["model"].dropna())
        }
        mask = (self.bills["provider"] == provider) & (self.bills["charge_category"] == "Usage")
        self._bill(mask, "rounding", billed_cost=lambda v: round(D(v), 2))

    def late(self) -> None:
        """Part of a model's last days is missing on one side."""
        key, side = self.pick(), self.rng.choice(["usage", "bill"])
        frame, mask = (self.priced, self.rows(key)) if side == "usage" else (self.bills, self.lines(key))
        month = self.rng.choice(["2026-09", "2026-10"])
        last = {"2026-09": 30, "2026-10": 31}[month]
        mask &= (months_of(frame) == month) & (frame["charge_period_start"].dt.day > last - self.rng.randint(1, 3))
        own = frame[mask.to_numpy(bool)]
        if side == "bill":
            self.add(by_month("late", own, [-v for v in own["billed_cost"]]))
            self.bills = self.bills[~mask.to_numpy(bool)].reset_index(drop=True)
        else:
            self.add(by_month("late", own, own["effective_cost"]))
            self.priced = self.priced[~mask.to_numpy(bool)].reset_index(drop=True)

    def double_metering(self) -> None:
        """The input meter carries all input, and the cached part is charged beside it."""
        key = self.pick(
            lambda own: (
                {"input", "cache_read"} <= set(own["meter"])
                and not any(m.startswith("cache_write") for m in own["meter"])
            )
        )
        cached: dict[tuple, Decimal] = {}
        own = self.bills[self.lines(key, meter="cache_read")]
        for at, q, tag, tier, region in zip(
            own["charge_period_start"],
            own["consumed_quantity"],
            own["tags"].astype(str),
            own["service_tier"],
            own["region"],
            strict=True,
        ):
            cached[at, tag, tier, None if pd.isna(region) else region] = q
        mask = self.lines(key, meter="input")
        fresh = self.bills[mask]
        unit = sum(fresh["billed_cost"]) / sum(fresh["consumed_quantity"])
        places = [
            (at, tag, tier, None if pd.isna(region) else region)
            for at, tag, tier, region in zip(
                fresh["charge_period_start"],
                fresh["tags"].astype(str),
                fresh["service_tier"],
                fresh["region"],
                strict=True,
            )
        ]
        more = [cached.get(p, D(0)) for p in places]
        costs, quantities = iter(more), iter(more)
        self._bill(
            mask,
            "double_metering",
            billed_cost=lambda v: v + next(costs) * unit,
            consumed_quantity=lambda v: v + next(quantities),
        )

    def currency_rate(self) -> None:
        """One provider bills in euros, at another rate than the reference."""
        provider = self.rng.choice(sorted(set(self.bills["provider"]) - {p for p, *_ in self.used} - {"oci"}))
        self.used |= {
            (provider, "", m)
            for m in set(self.bills[(self.bills["provider"] == provider).to_numpy(bool)]["model"].dropna())
        }
        rate, factor = D("0.875"), D(str(round(self.rng.uniform(1.005, 1.04), 4)))
        day, days = dt.date(2026, 8, 28), {}
        while day < dt.date(2026, 11, 3):
            days[day], day = rate, day + dt.timedelta(days=1)
        self.rates = Rates("USD", {"EUR": days}, "test")
        mask = self.bills["provider"] == provider
        old = self.bills
        self.bills = changed(old, mask, billed_cost=lambda v: v * rate * factor)
        self.bills = self.bills.assign(billing_currency=self.bills["billing_currency"].where(~mask, "EUR"))
        own = old[(mask & (old["charge_category"] == "Usage")).to_numpy(bool)]
        self.add(by_month("currency_rate", own, [v * rate * (factor - 1) for v in own["billed_cost"]]))

    def _line(self, cause: str, category: str, words: list[str], low: int, high: int) -> None:
        template = self.bills[(self.bills["charge_category"] == "Usage").to_numpy(bool)].sample(
            1, random_state=self.rng.randint(0, 10**6)
        )
        amount = D(self.rng.randint(low, high)) / 100
        line = template.assign(
            charge_category=category, charge_description=self.rng.choice(words), model=None, meter="unmapped", service_tier=None,
            billed_cost=decimals([amount], template["billed_cost"]), consumed_quantity=decimals([None], template["billed_cost"], QUANTITY_TYPE),
        )  # fmt: skip
        for name in ("list_cost", "effective_cost", "contracted_cost"):
            if name in line:
                line[name] = line["billed_cost"]
        line = line.astype(template.dtypes.to_dict())
        self.add(by_month(cause, line, [amount]))
        self.bills = pd.concat([self.bills, line], ignore_index=True)

    def credits(self) -> None:
        self._line("credits", "Credit", ["Goodwill credit", "Promotional credit"], -50_000, -100)

    def discounts(self) -> None:
        self._line(
            "discounts",
            self.rng.choice(["Usage", "Credit", "Adjustment"]),
            ["Enterprise discount", "EDP discount", "Negotiated rate rebate"],
            -50_000,
            -100,
        )

    def tax(self) -> None:
        self._line("tax", "Tax", ["VAT 19%", "Sales tax"], 100, 90_000)

    def purchases(self) -> None:
        self._line(
            "purchases",
            "Purchase",
            ["Provisioned throughput commitment, 1 month", "Reserved capacity, upfront", "Prepaid tokens"],
            100,
            90_000,
        )

    def fees(self) -> None:
        self._line(
            "fees",
            self.rng.choice(["Usage", "Purchase"]),
            ["AWS Marketplace fee", "Business support plan", "Enterprise Support"],
            100,
            90_000,
        )

    def adjustments(self) -> None:
        self._line("adjustments", "Adjustment", ["Correction of August", "Invoice rounding adjustment"], -9_000, 9_000)


ALL = [c for c in CAUSES if hasattr(Plant, c)]
#: what a whole provider is changed by comes first, so that no other cause sits on it
WHOLE = ["timezone", "rounding", "currency_rate"]


def check(plant: Plant) -> tuple[list[str], Decimal, Decimal]:
    """What is wrong with the names, what is unexplained, and the cost."""
    found = fa.reconcile(plant.priced, plant.bills, rates=plant.rates)
    wrong = []
    months = {m for _, m in plant.truth} | set(found["month"])
    for cause in CAUSES:
        for month in sorted(months):
            own = found[(found["month"] == month).to_numpy(bool)]
            got, true = sum(own[cause], D(0)), plant.truth.get((cause, month), D(0))
            if abs(got - true) > max(abs(true) / 100, D("0.005")):
                wrong.append(f"{cause} {month}: {got:,.4f} instead of {true:,.4f}")
    unexplained = sum((abs(v) for v in found["unexplained"]), D(0))
    assert all(sum((r[c] for c in CAUSES), D(0)) == r["difference"] for r in found.to_dict("records"))
    return wrong, unexplained, sum(found["computed"])


def run(frames: Callable[[int], Frames], causes: list[str], seed: int) -> tuple[list[str], Decimal, Decimal]:
    """Plant some causes and look; one that finds nothing left to be done to is left out of a combination."""
    plant = Plant(frames(seed), seed)
    for cause in sorted(causes, key=lambda c: c not in WHOLE):
        with suppress(*[NothingLeft] * (len(causes) > 1)):
            getattr(plant, cause)()
    return check(plant)


def companies() -> dict[str, Callable[[int], Frames]]:
    kept = sample()
    made: dict[int, Frames] = {}
    return {"sample": lambda seed: kept, "made-up": lambda seed: made.setdefault(seed % 4, made_up(seed % 4))}


def alone(frames: Callable[[int], Frames], cause: str, seeds: int) -> tuple[int, Decimal]:
    """How often a cause is told as planted, and the largest share of cost left unexplained."""
    good, worst = 0, D(0)
    for seed in range(seeds):
        wrong, rest, cost = run(frames, [cause], seed)
        good += not wrong
        worst = max(worst, rest / cost)
        if wrong and seeds - good <= 3:
            print(f"    seed {seed}: {'; '.join(wrong[:4])}")
    print(f"  {cause:18} {good}/{seeds}", flush=True)
    return good, worst


def together(frames: Callable[[int], Frames], seeds: int) -> tuple[int, Decimal]:
    """The same of four or five causes at once."""
    misses: Counter[str] = Counter()
    good, worst = 0, D(0)
    for seed in range(seeds):
        rng = random.Random(1000 + seed)
        chosen = rng.sample([c for c in ALL if c not in WHOLE], 4)
        chosen += [rng.choice(WHOLE)] if rng.random() < 0.5 else []
        wrong, rest, cost = run(frames, chosen, seed)
        good += not wrong
        worst = max(worst, rest / cost)
        misses.update(w.split()[0] for w in wrong)
        if wrong:
            print(f"    seed {seed} {chosen}: {'; '.join(wrong[:4])}")
    print(f"  four or five at once {good}/{seeds} {dict(misses)}", flush=True)
    return good, worst


def main(seeds: int = 20, only: str | None = None, *causes: str) -> int:
    bad = 0
    for name, frames in companies().items():
        if only not in (None, name):
            continue
        print(f"{name} company, {seeds} seeds")
        wrong, _, _ = run(frames, [], 0)
        print(f"  {'nothing planted':18} {wrong if wrong else 'ok'}")
        found = [alone(frames, cause, seeds) for cause in causes or ALL]
        found += [] if causes else [together(frames, seeds)]
        bad += sum(good < seeds for good, _ in found) + bool(wrong)
        print(f"  largest unexplained {max(worst for _, worst in found):.4%} of cost", flush=True)
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main(int((sys.argv[1:] or [20])[0]), *sys.argv[2:]))
