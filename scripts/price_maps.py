"""Make the history of the open price maps that the price book is built from: `finops_ai/prices/data/maps/`.

    python scripts/price_maps.py [--cache FOLDER] [--portkey GIT_FOLDER]

Fetches versions of the packages that carry the maps (litellm, model-prices) through pip, oldest first, and keeps what
changed between them. Portkey's models have no package: give a clone of its repository. A version's day is that of the
files in its wheel; where they carry none, the day of its release is in `DAYS`. genai-prices isn't here: the book reads
the installed package itself. Users bring their book up to date with `finops-ai prices update`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import zipfile
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from finops_ai.prices import PriceBook
from finops_ai.prices.base import Base
from finops_ai.prices.maps.history import History, write
from finops_ai.prices.maps.litellm import read as read_litellm
from finops_ai.prices.maps.others import PORTKEY, history, read_portkey
from finops_ai.prices.maps.reading import canonical_in, wheel_day
from finops_ai.prices.own import bundled
from finops_ai.prices.updating import packaged

TARGET = Path(__file__).resolve().parents[1] / "finops_ai/prices/data/maps"
MAP = "litellm/model_prices_and_context_window_backup.json"
#: versions of litellm, oldest first; about one a week since its wheels carry days, and what came before in larger steps
LITELLM = ["1.67.0", "1.70.0", "1.72.0", "1.75.0", "1.77.1", "1.79.0", "1.80.0", "1.83.10", "1.90.0", "1.92.0", "1.93.0", "1.94.0", "1.95.0", "1.96.0", "1.97.0", "1.98.0", "1.99.0", "1.101.0", "1.102.0", "1.103.0", "1.104.0", "1.105.0", "1.106.2", "1.108.0", "1.110.2"]
#: days of release of versions whose wheels carry none (its release notes; 1.83.10: conda-forge)
DAYS = {
    "1.67.0": date(2025, 4, 19), "1.70.0": date(2025, 5, 17), "1.72.0": date(2025, 5, 31), "1.75.0": date(2025, 8, 3),
    "1.77.1": date(2025, 9, 13), "1.79.0": date(2025, 10, 26), "1.80.0": date(2025, 11, 16),
    "1.83.10": date(2026, 4, 19), "1.90.0": date(2026, 6, 27), "1.110.2": date(2026, 11, 20),
}  # fmt: skip
MODEL_PRICES = "0.0.5"


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


def main() -> int:
    """Fetch, read, write; say how much."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache/finops-ai-price-maps")
    parser.add_argument("--portkey", type=Path, help="git folder of Portkey-AI/models")
    parser.add_argument("--to", type=Path, default=TARGET)
    options = parser.parse_args()
    base = packaged()
    canonical = canonical_in(PriceBook(Base(base._providers.values(), base.version, base.published), bundled()))
    found = History()
    for number, version in enumerate(LITELLM):
        path = wheel("litellm", version, options.cache)
        day = DAYS.get(version) or wheel_day(path)
        if day is None:
            raise SystemExit(f"litellm {version}: its wheel carries no day; add it to DAYS")
        snapshot = read_litellm(inside(path, MAP), version, day, canonical)
        found.take(snapshot, first=number == 0)
        print(f"litellm {version} {day}: {len(snapshot.prices)} prices", flush=True)
    table = inside(wheel("model-prices", MODEL_PRICES, options.cache), "model_prices/snapshot.json")
    for key, day, price in history(table, canonical):
        found.note(key, "modelsdev", day, price)
    found.read["modelsdev"] = f"through model-prices {MODEL_PRICES}", date.fromisoformat(table["updated_at"][:10])
    if options.portkey:
        show = ["git", "-C", str(options.portkey), "show"]
        day = date.fromisoformat(subprocess.check_output([*show, "-s", "--format=%as", "HEAD"], text=True).strip())
        commit = subprocess.check_output([*show, "-s", "--format=%h", "HEAD"], text=True).strip()
        tables = {
            name: json.loads(subprocess.check_output([*show, f"HEAD:pricing/{name}.json"]), parse_float=Decimal)
            for name in PORTKEY
        }
        found.take(read_portkey(tables, commit, day, canonical), first=True)
    write(found, options.to)
    print(f"{len(found.changes)} prices of {len({k[:2] for k in found.changes})} models in {options.to}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
