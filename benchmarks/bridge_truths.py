"""Whether the bridge tells what was done: known changes inside the whole sample company, and a thousand random pairs.

    python benchmarks/bridge_truths.py [PAIRS=1000] [FIRST=0]

One workload of the sample's October is changed in one known way; the bridge of the whole company from the true October to the
changed one must name that effect alone, to the cent, forwards and backwards. Then random pairs of periods: exact,
forwards = minus backwards, parts add to the whole by a grouping drawn with the pair, and splitting and reordering rows
changes nothing. From another pair than the first on, the known changes aren't looked at again.
"""

from __future__ import annotations

import datetime as dt
import importlib.util
import random
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow as pa

import finops_ai as fa
from finops_ai.frames.types import QUANTITY_TYPE
from finops_ai.prices.currency import Rates
from finops_ai.tables.bridge import EFFECTS

D = Decimal
CENT = D("0.01")
TESTS = Path(__file__).parents[1] / "tests" / "tables" / "test_explain.py"


def scaled(rows: pd.DataFrame, factor: str, meters: set[str] | None = None) -> pd.DataFrame:
    """Token rows with the quantities of some meters (all by default) times a factor; every sum of the slice with them."""
    whole = [q * D(factor) if meters is None or m in meters else q for q, m in zip(rows["quantity"], rows["meter"], strict=True)]  # fmt: skip
    return rows.assign(quantity=column(whole, rows))


def column(values: list, rows: pd.DataFrame) -> pd.Series:
    exact = pa.array([v.quantize(D(1).scaleb(-QUANTITY_TYPE.scale)) for v in values], QUANTITY_TYPE)
    return pd.Series(pd.arrays.ArrowExtensionArray(exact), index=rows.index)


def cached(rows: pd.DataFrame) -> pd.DataFrame:
    """Half of the fresh prompt tokens read from a cache."""
    fresh = rows[(rows["meter"] == "input").to_numpy(bool)]
    half = column([q / 2 for q in fresh["quantity"]], fresh)
    rest = rows[(rows["meter"] != "input").to_numpy(bool)]
    return pd.concat([rest, fresh.assign(quantity=half), fresh.assign(quantity=half, meter="cache_read")])


def priced_by(rows: pd.DataFrame, **factors: str) -> pd.DataFrame:
    """Priced rows with some costs times a factor."""
    out = rows.copy()
    for name, factor in factors.items():
        kind = rows[name].dtype.pyarrow_dtype
        values = [None if pd.isna(v) else (v * D(factor)).quantize(D(1).scaleb(-kind.scale)) for v in rows[name]]
        out[name] = pd.Series(pd.arrays.ArrowExtensionArray(pa.array(values, kind)), index=out.index)
    return out


def without_counts(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[(rows["meter"] != "requests").to_numpy(bool)]


def in_company() -> tuple[int, int]:
    """Every known change of one workload, seen in the bridge of the whole company: how many of how many are right."""
    tokens = fa.sample(months=1)
    mine = ((tokens["api_key_id"] == "apikey_support") & (tokens["prompt_id"] == "support-answer@v4")).to_numpy(bool)
    mine = mine & (tokens["model"] == "claude-haiku-4-5-20251001").to_numpy(bool)
    rest, work, rules = fa.price(tokens[~mine]), tokens[mine], fa.sample.rules()
    before = company(rest, fa.price(work), rules)
    other = "claude-sonnet-4-6"
    cases: dict[str, tuple[Callable[[], pd.DataFrame], str | None]] = {
        "nothing": (lambda: fa.price(work), None),
        "half more calls": (lambda: fa.price(scaled(work, "1.5")), "volume"),
        "prompts twice as long": (lambda: fa.price(scaled(work, "2", prompts(work))), "input_length"),
        "answers half as long": (lambda: fa.price(scaled(work, "0.5", {"output"})), "output_length"),
        "another model": (lambda: fa.price(work.assign(model=other)), "model"),
        "caching on": (lambda: fa.price(cached(work)), "cache"),
        "batch": (lambda: fa.price(work.assign(service_tier="batch")), "tier"),
        "a price cut": (lambda: priced_by(fa.price(work), list_cost="0.8", contracted_cost="0.8", effective_cost="0.8"), "price"),
        "a discount": (lambda: priced_by(fa.price(work), effective_cost="0.9"), "discount"),
        "a new version": (lambda: fa.price(work.assign(prompt_id="support-answer@v9")), None),
        "a new key": (lambda: fa.price(work.assign(api_key_id="apikey_support")), None),
        "no counted calls, more tokens": (lambda: fa.price(without_counts(scaled(work, "1.5"))), "volume"),
    }  # fmt: skip
    good = 0
    for name, (make, effect) in cases.items():
        good += told(name, before, company(rest, make(), rules), effect)
    added = fa.price(work.assign(api_key_id="key_growth_prod", prompt_id="brand-new@v1"))
    good += told(
        "a new prompt of another team", before, company(pd.concat([rest, fa.price(work)]), added, rules), "who"
    )
    kept = rest[(rest["api_key_id"] != "key_growth_prod").fillna(True).to_numpy(bool)]
    good += told("a team's key that is gone", before, company(kept, fa.price(work), rules), "who")
    days = {dt.date(2026, 9, 28) + dt.timedelta(days=i): D("0.9") for i in range(40)}
    rates = Rates("USD", {"EUR": days}, "test")
    good += told("told in euros", before, company(rest, fa.price(scaled(work, "1.5")), rules), "volume", currency="EUR", rates=rates)  # fmt: skip
    # two at once: each has its own, and half of what both share
    money = dict.fromkeys(("quantity", "list_cost", "contracted_cost", "effective_cost"), "1.5")
    moved = priced_by(fa.price(work.assign(model=other)), **money)
    both = fa.explain(before, company(rest, moved, rules)).iloc[0]
    old, new = (sum(fa.price(w)["effective_cost"].dropna(), D(0)) for w in (work, work.assign(model=other)))
    more, dearer, shared = old / 2, new - old, (new - old) / 2
    right = abs(both["volume"] - more - shared / 2) < CENT and abs(both["model"] - dearer - shared / 2) < CENT
    print(
        f"  {'two at once':32} {'ok' if right else 'WRONG'}: volume {both['volume']:+,.2f}, model {both['model']:+,.2f}"
    )
    return good + right, len(cases) + 4


def prompts(rows: pd.DataFrame) -> set[str]:
    return {m for m in rows["meter"].unique() if m.startswith(("input", "cache"))}


def company(rest: pd.DataFrame, work: pd.DataFrame, rules: object) -> pd.DataFrame:
    return fa.allocate(pd.concat([rest, work], ignore_index=True) if len(work) else rest.reset_index(drop=True), rules)


def told(name: str, before: pd.DataFrame, after: pd.DataFrame, effect: str | None, **how: object) -> bool:
    """Whether the whole company's bridge names this effect alone, both ways."""
    row, back = fa.explain(before, after, **how).iloc[0], fa.explain(after, before, **how).iloc[0]
    found = {e: row[e] for e in EFFECTS if abs(row[e]) >= CENT}
    exact = sum((row[e] for e in EFFECTS), D(0)) == row["change"]
    right = exact and all(row[e] == -back[e] for e in EFFECTS) and set(found) == ({effect} if effect else set())
    right = right and (effect is None or abs(row[effect] - row["change"]) < CENT)
    shown = ", ".join(f"{e} {v:+,.2f}" for e, v in found.items()) or "all zero"
    print(f"  {name:32} {'ok' if right else 'WRONG'}: {shown}", flush=True)
    return bool(right)


def random_pairs(pairs: range) -> int:
    """Random pairs of periods; how many are exact, symmetric, additive by a grouping and blind to how rows are cut."""
    spec = importlib.util.spec_from_file_location("explained", TESTS)
    made = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    spec.loader.exec_module(made)  # type: ignore[union-attr]
    good = 0
    for seed in pairs:
        rng = random.Random(seed)
        one, two = made.random_side(rng), made.random_side(rng)
        before, after = made.frame(*one), made.frame(*two)
        whole, back = fa.explain(before, after).iloc[0], fa.explain(after, before).iloc[0]
        by = rng.choice(made.GROUPINGS)
        names = {e: f"{e}_mix" if e in by else e for e in EFFECTS}
        parts = fa.explain(before, after, by=by).to_dict("records")
        rows = [row for group in one for row in group]
        halves = [row | {c: row[c] / 2 for c in ("quantity", "list_cost", "effective_cost")} for row in rows for _ in (0, 1)]  # fmt: skip
        rng.shuffle(halves)
        cut, same = (fa.explain(*pair).iloc[0] for pair in ((made.frame(halves), after), (before, made.frame(halves))))
        good += (
            sum((whole[e] for e in EFFECTS), D(0)) == whole["change"] == whole["after"] - whole["before"]
            and all(whole[e] == -back[e] == cut[e] for e in EFFECTS)
            and all(sum((r[n] for r in parts), D(0)) == whole[e] for e, n in names.items())
            and not any(same[e] for e in EFFECTS)
        )
    return good


def main(pairs: int = 1000, first: int = 0) -> int:
    good = cases = 0
    if not first:
        print("known changes of one workload, told by the whole company's bridge")
        good, cases = in_company()
        print(f"{good} of {cases} to the cent, forwards and backwards")
    exact = random_pairs(range(first, first + pairs))
    print(f"{exact} of {pairs} random pairs exact, symmetric, additive by a random grouping, blind to how rows are cut")
    return int(good < cases or exact < pairs)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:3])))
