"""The price book against the open maps, figure by figure: agreed, explained by another source, different, missing.

    python benchmarks/price_comparison.py --litellm WHEEL_OR_JSON [--before WHEEL_OR_JSON] [--at 2026-11-20] [--list N] [--markdown]

Every price of LiteLLM's map and of the installed genai-prices is asked of the book under the map's own names, at the
day of the map. A difference is explained only by evidence, row by row: another map has the book's figure, this
package's own file has it with its source, the map's name has since moved to another model, or the map has two entries
of one model. `--before` is an older map: the models it lacks are the newest ones. Exits 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter, defaultdict
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Any

from price_confirmation import confirmed

from finops_ai.prices import PriceBook
from finops_ai.prices.base import Base
from finops_ai.prices.cards import BASE, MILLION, OWN, plain, read_over
from finops_ai.prices.maps.litellm import figures, seller
from finops_ai.prices.maps.observed import Key
from finops_ai.prices.maps.reading import load
from finops_ai.prices.maps.weighing import agreement
from finops_ai.prices.names import providers

BARS = {"agreed_or_explained": 98, "confirmed_rows": 70, "newest_models_right": 90}
_AZURE = {"us": "DataZoneStandard", "eu": "DataZoneStandard", "apac": "DataZoneStandard", "global": "GlobalStandard"}
_REGION = {"us": "eastus2", "eu": "swedencentral", "apac": "japaneast", "us-gov": "usgovvirginia"}


def asked(book: PriceBook, provider: str, model: str, key: tuple[str, str, str], place: str, at: datetime) -> Any:
    """The book's price of a figure of the map."""
    meter, tier, over = key
    threshold = read_over(over or None)
    where: dict[str, Any] = {}
    if provider == "azure":
        where = {
            "deployment_type": "Standard" if place == "us-gov" else _AZURE.get(place, "GlobalStandard"),
            "region": _REGION.get(place),
        }
    elif provider == "aws" and place:
        region = "-" in place and place != "us-gov"
        where = {"region": place} if region else {"inference_geo": place}
    name = f"publishers/google/models/{model}" if provider == "vertex" and "/" not in model else model
    return book.lookup(
        "google" if provider == "vertex" else provider, name, meter, at, service_tier=tier,
        input_tokens=threshold[0] + 1 if threshold else 1, **where,
    )  # fmt: skip


def compare_litellm(
    book: PriceBook, table: dict[str, Any], at: datetime, newest: set[str]
) -> tuple[Counter, list, dict]:
    """Every figure of LiteLLM's map."""
    count: Counter[str] = Counter()
    rows: list[tuple[str, str, str, str, str]] = []
    by_model: dict[str, list[bool]] = defaultdict(list)
    assert book.maps is not None
    assert isinstance(book.base, Base)
    sellers = {*book.maps.providers(), *book.base.providers(), *providers()}
    free = {n for n, e in table.items() if not any(figures(e, Counter()).values())}
    for name, entry in table.items():
        where = seller(name, entry)
        if where is None or name in free:
            continue
        provider, model, place = where
        if provider not in sellers:
            count["left out"] += len(figures(entry, Counter()))
            continue
        for key, price in figures(entry, Counter()).items():
            if key[0] == "reasoning" and price == figures(entry, Counter()).get(("output", *key[1:])):
                continue
            got = asked(book, provider, model, key, place, at)
            ours = None if got.unit_price is None else got.unit_price * MILLION
            what, why = judge(book, provider, model, key, place, price, ours, got, table, at)
            count[what] += 1
            by_model[name].append(what in ("agreed", "explained"))
            if what != "agreed":
                rows.append((what, name, " ".join(filter(None, key)), f"{plain(price)} / {ours and plain(ours)}", why))
    right = {name: all(found) for name, found in by_model.items() if name in newest}
    return count, rows, right


def judge(
    book: PriceBook, provider: str, model: str, key: tuple[str, str, str], place: str, price: Decimal,
    ours: Decimal | None, got: Any, table: dict[str, Any], at: datetime,
) -> tuple[str, str]:  # fmt: skip
    """agreed, explained, different or missing; and the evidence."""
    if ours is None:
        if got.model and (got.sold_by, got.model) in book.own.replaced:
            return "explained", "this package's own list of the model has no such price"
        return "missing", "; ".join(got.why)
    if abs(ours - price) <= max(abs(price) * Decimal("0.000001"), Decimal("0.0000005")):  # prices have 12 places
        return "agreed", ""
    if provider == "aws" and not place:
        globally = figures(table.get(f"global.{model}") or table.get(f"us.{model}") or {}, Counter()).get(key)
        if globally == price or any(f"{z}.{model}" in table for z in ("us", "eu")):
            return (
                "explained",
                "the map's entry without a place is its global price; a call in the region costs what its geographic profile does",
            )
    if got.model:
        said = book.maps.models(got.sold_by).get(got.model, {}) if book.maps else {}
        sources = (
            said.get(Key(got.sold_by, got.model, *key, place)) or said.get(Key(got.sold_by, got.model, *key)) or {}
        )
        if (also := agreement(ours, sources).confirmed) and set(also) != {"litellm"}:
            return "explained", f"{', '.join(also)} has the book's figure"
        cards = [c for c in book.cards(got.sold_by, got.model) if key[0] in c.prices and c.holds(at)]
        base = got.price_id.partition("*")[0] if got.price_id else ""
        card = next((c for c in cards if c.price_id(key[0]) == base), None)
        if card and card.layer == OWN:
            return "explained", card.source
        if card and card.layer == BASE:
            return (
                ("explained", f"{card.source} (dated by its provider's page)")
                if card.start or card.unsure_from
                else ("disputed", card.source)
            )
        moved = any(n == model for n in book._moved)
        if moved:
            return "explained", "the name means another model now"
    return "different", "; ".join(got.why)


def compare_genai(book: PriceBook, at: datetime) -> Counter:
    """Every price of genai-prices in force, against what the book says."""
    count: Counter[str] = Counter()
    assert isinstance(book.base, Base)
    for provider in book.base.providers():
        for model in book.base.models(provider):
            for card in book.base.cards(provider, model):
                if not card.holds(at) or (provider, model) in book.own.replaced:
                    continue
                for meter, unit in card.prices.items():
                    place = {"inference_geo": card.geography} if card.geography else {}
                    tokens = card.over[0] + 1 if card.over else 1
                    got = book.lookup(
                        provider, model, meter, at, service_tier=card.service_tier, input_tokens=tokens, **place
                    )
                    same = got.unit_price == unit
                    count[
                        "agreed" if same else "missing" if got.unit_price is None else "other, by " + _whose(got)
                    ] += 1
    return count


def _whose(got: Any) -> str:
    return "two other maps" if any("says" in line for line in got.why) else "this package's files or a moved name"


def main() -> int:
    """Compare, print, judge by the bars."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--litellm", required=True)
    parser.add_argument("--before")
    parser.add_argument("--at", default="2026-11-20")
    parser.add_argument("--list", type=int, default=0, help="show so many figures that don't agree")
    parser.add_argument("--markdown", action="store_true", help="the table of docs/prices.md")
    options = parser.parse_args()
    at = datetime.combine(datetime.fromisoformat(options.at), time(12), UTC)
    book, table = PriceBook.default(), load(options.litellm)
    newest = set(table) - set(load(options.before)) if options.before else set()
    count, rows, right = compare_litellm(book, table, at, newest)
    out = count.pop("left out", 0)
    total = sum(count.values())
    good = count["agreed"] + count["explained"]
    everything, by, without = confirmed(book, at)
    also = sum(by.values())
    genai = compare_genai(book, at)
    figures_ = {
        "agreed_or_explained": round(100 * good / total, 1),
        "confirmed_rows": round(100 * also / everything, 1),
        "newest_models_right": round(100 * sum(right.values()) / len(right), 1) if right else None,
    }
    lines = [
        ("LiteLLM price map: figures compared", f"{total:,}"),
        *((f"- {what}", f"{n:,} ({100 * n / total:.1f}%)") for what, n in count.most_common()),
        ("genai-prices: figures compared", f"{sum(genai.values()):,}"),
        *((f"- {what}", f"{n:,} ({100 * n / sum(genai.values()):.1f}%)") for what, n in genai.most_common()),
        ("Rows in force", f"{everything:,}"),
        ("- with a second source", f"{also:,} ({figures_['confirmed_rows']}%)"),
        *((f"- by {what}", f"{n:,}") for what, n in by.most_common()),
        *((f"- without, {what}", f"{n:,}") for what, n in without.most_common(6)),
        ("Figures of sellers that only one map knows, left out", f"{out:,}"),
        ("Models that are new in the map", f"{len(right):,}"),
        ("- every figure right", f"{sum(right.values()):,} ({figures_['newest_models_right']}%)"),
    ]
    if options.markdown:
        print("| compared | figures |\n|---|---|\n" + "\n".join(f"| {a} | {b} |" for a, b in lines))
    else:
        print("\n".join(f"{a:44} {b:>20}" for a, b in lines))
    for row in sorted(rows)[: options.list]:
        print(" | ".join(row))
    missed = [
        f"{name}: {figures_[name]} < {bar}"
        for name, bar in BARS.items()
        if figures_[name] is not None and figures_[name] < bar
    ]
    print("\n".join(f"MISSED {line}" for line in missed))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
