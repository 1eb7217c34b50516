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

from finops_ai.prices import PriceBook
from finops_ai.prices.base import Base
from finops_ai.prices.cards import BASE, MAPS, MILLION, OWN, Card, over_text, plain, read_over
from finops_ai.prices.maps.litellm import figures, seller
from finops_ai.prices.maps.observed import Key
from finops_ai.prices.maps.reading import load
from finops_ai.prices.maps.weighing import agreement
from finops_ai.prices.names import providers

BARS = {"agreed_or_explained": 98, "confirmed_rows": 70, "newest_models_right": 90}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
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


def confirmed(book: PriceBook, at: datetime) -> tuple[int, Counter[str], Counter[str]]:
    """Rows in force; how many of them have which second source; and how many of which seller have none.

    A second source is another map; the maker's own list, where a seller says that it sells at that; or a published
    factor (a rule of the price files, with its source) on a row that a second source has.
    """
    total = 0
    by: Counter[str] = Counter()
    without: Counter[str] = Counter()
    assert book.maps is not None
    for provider in sorted({*book.maps.providers(), *(book.base.providers() if isinstance(book.base, Base) else ())}):
        for model in book.models(provider):
            said = book.maps.models(provider).get(model, {})
            cards = [card for card in book.cards(provider, model) if card.holds(at) and not card.hours]
            rows = {
                Key(provider, model, m, c.service_tier, over_text(c.over) if c.over else "", c.geography or ""): (u * MILLION, c)
                for c in sorted(cards, key=lambda c: (c.layer, c.start or EPOCH)) for m, u in c.prices.items()
            }  # fmt: skip
            found = {key: _second(key, price, card, said.get(key, {})) for key, (price, card) in rows.items()}
            for key, (price, card) in rows.items():
                how = (
                    found[key]
                    or _by_maker(book, key, price, card, at)
                    or _by_rule(book, key, price, card, rows, found, at)
                )
                total += 1
                if how:
                    by[how] += 1
                else:
                    without[provider] += 1
    return total, by, without


def _second(key: Key, price: Decimal, card: Card, said: Any) -> str:
    own = {"litellm"} if card.layer == MAPS and "litellm" in said else set()
    others = set(agreement(price, said).confirmed) - own
    return "another map" if others else ""


def _by_maker(book: PriceBook, key: Key, price: Decimal, card: Card, at: datetime) -> str:
    """Azure and the Claude platforms sell at the maker's list: the same figure there is a source of its own."""
    lists = providers()[key.provider].lists if key.provider in providers() else ()
    for maker in [m for m in lists if m not in ("vertex",)] + (["google"] if key.provider == "vertex" else []):
        model = book.names(maker).resolve(key.model, at)
        for other in book.cards(maker, model) if model and not key.place else ():
            same = other.service_tier == key.tier and (over_text(other.over) if other.over else "") == key.over
            if same and other.holds(at) and other.prices.get(key.meter, -1) * MILLION == price:
                return "the maker's own list"
    return ""


def _by_rule(
    book: PriceBook, key: Key, price: Decimal, card: Card, rows: dict[Key, Any], found: dict[Key, str], at: datetime
) -> str:
    """A published factor on a row that has a second source gives the same figure."""
    for rule in book.own.rules:
        if rule.provider != key.provider or not rule.applies(key.model, at) or rule.no_list:
            continue
        tier_fits = rule.tier == key.tier and rule.places is None and key.tier != "standard"
        place_fits = (
            rule.tier is None
            and rule.places
            and key.place in rule.places | ({"us", "eu"} if "data-zone" in rule.places else set())
        )
        base = key._replace(tier="standard") if tier_fits else key._replace(place="") if place_fits else None
        if base in rows and found.get(base):
            product = rows[base][0] * rule.factor
            if abs(product - price) <= max(
                price * Decimal("0.000001"), Decimal("0.0005") if place_fits else Decimal(0)
            ):
                return "a published factor on a confirmed row"
    return ""


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
