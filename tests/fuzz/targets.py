"""Every reader of the product, as a function of a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import finops_ai as fa
from finops_ai.config import load_settings
from finops_ai.engine import Rules
from finops_ai.prices import PriceBook
from finops_ai.prices.cases import read_cases, run_cases
from finops_ai.prices.currency import Rates
from finops_ai.providers.border import bills_of
from finops_ai.providers.collecting import ALWAYS, connector
from finops_ai.providers.files import read_bytes, read_csv, read_json_any
from finops_ai.providers.mapping import load_mapping
from finops_ai.workspace import Workspace

MAPPING = Path(__file__).parent / "mapping.toml"


def _connector(name: str, **settings: object) -> Callable[[Path], object]:
    """Usage, and the bill where the file holds one: both go through the border, which tells a fault from an error."""

    def read(path: Path) -> object:
        usage = fa.read(path, format=name, **settings)
        return usage, bills_of(connector(name, files=[str(path)], **settings), ALWAYS)

    return read


def _settings(path: Path) -> object:
    ws = Workspace(load_settings(path))
    return ws.rules, ws.book, ws.connections()


#: reader -> what reads a file of its corpus
TARGETS: dict[str, Callable[[Path], object]] = {
    "json": lambda path: list(read_json_any(path)),
    "csv": lambda path: list(read_csv(path)),
    "gzip": read_bytes,
    "settings": _settings,
    "rules": Rules.load,
    "mapping": load_mapping,
    "prices": PriceBook.load,
    "rates": Rates.from_csv,
    "cases": lambda path: list(run_cases(read_cases(path))),
    "log-csv": _connector("csv", mapping=MAPPING),
    "log-jsonl": _connector("jsonl", mapping=MAPPING),
    "log-parquet": _connector("parquet", mapping=MAPPING),
    **{
        name: _connector(name)
        for name in ("openai", "anthropic", "azure-openai", "bedrock", "vertex", "oci", "litellm", "otel", "focus")
    },
}
