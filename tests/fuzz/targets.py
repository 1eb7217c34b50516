"""Every reader of the product, as a function of a file."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import finops_ai as fa
from finops_ai.answering.known import Known
from finops_ai.answering.understanding import understand
from finops_ai.cli.forecasting import read_series
from finops_ai.config import load_settings, read_toml
from finops_ai.engine import Rules
from finops_ai.engine.lookups import load_lookup
from finops_ai.errors import SettingsError
from finops_ai.forecasting.budgets import entries_of
from finops_ai.forecasting.scenarios import load_scenarios
from finops_ai.identity import Identities
from finops_ai.people.reading import read_pulls
from finops_ai.people.seat_prices import SeatPrices
from finops_ai.prices import PriceBook
from finops_ai.prices.cases import read_cases, run_cases
from finops_ai.prices.currency import Rates
from finops_ai.prices.kept import read_base
from finops_ai.providers.border import bills_of, commits_of, made, seats_of, usage_of
from finops_ai.providers.collecting import ALWAYS, connector
from finops_ai.providers.connector import Connector
from finops_ai.providers.duck import connect
from finops_ai.providers.files import read_bytes, read_csv, read_json_any
from finops_ai.providers.mapping import load_mapping
from finops_ai.saving.states import Decisions
from finops_ai.store.chain import Chain
from finops_ai.tables.focus_check import check_focus
from finops_ai.tables.policy import Policy
from finops_ai.watching.channels import channels_of
from finops_ai.workspace import Workspace

MAPPING = Path(__file__).parent / "mapping.toml"


def _connector(name: str, **settings: object) -> Callable[[Path], object]:
    """Frames of a file: all go through the border, which tells a fault from an error."""
    cls = type(connector(name, files=["any"], **settings))  # whose plugins are found once, not for every input

    connect().execute("SET threads = 1")  # a file of a few rows is read sooner by one

    def read(path: Path) -> object:
        source = made(cls, {"files": [str(path)], **settings}, name)
        frames = [usage_of(source, ALWAYS), bills_of(source, ALWAYS)]
        if cls.seats is not Connector.seats:
            frames.append(seats_of(source, ALWAYS))
        if cls.commits is not Connector.commits:
            frames.append(commits_of(source, ALWAYS))
        return frames

    return read


def _settings(path: Path) -> object:
    """A workspace as its commands open it: rules, prices, connections, and each section that something reads."""
    ws = Workspace(load_settings(path))
    sections = ws.settings.policies
    return (
        ws.rules, ws.book, ws.connections(), Policy.load(sections.get("chargeback", {})), channels_of(sections.get("alerts", [])),
    )  # fmt: skip


def _lookup(path: Path) -> object:
    return load_lookup("teams", {"file": str(path), "key": "team"}, path.parent, "[lookups.teams]").table


def _policy(path: Path) -> object:
    return Policy.load(read_toml(path))


def _channels(path: Path) -> object:
    return channels_of(read_toml(path).get("alerts", []))


def _budgets(path: Path) -> object:
    return entries_of(read_toml(path).get("budgets", []), ("team", "product", "model"))


@cache
def _known() -> Known:
    import tempfile

    return Known(fa.open(fa.sample.write_workspace(tempfile.mkdtemp(prefix="fuzz-"), months=1)))


def _decisions(path: Path) -> object:
    return Decisions(path.parent).states()


def _chain(path: Path) -> object:
    return Chain(path.parent).checked()


def _each_line(path: Path) -> object:
    """Every line a question; one that isn't understood is said, as a whole file that isn't is."""
    understood = 0
    for line in path.read_text("utf-8", "replace").splitlines():
        with contextlib.suppress(SettingsError):
            understood += bool(understand(line, _known()))
    if not understood:
        raise SettingsError("nothing understood")
    return understood


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
    "accounts": Identities.load,
    "seat-prices": SeatPrices.load,
    "lookup": _lookup,
    "policy": _policy,
    "channels": _channels,
    "scenarios": load_scenarios,
    "budgets": _budgets,
    "decisions": _decisions,
    "pulls": lambda path: read_pulls(path, "owner/name"),
    "chain": _chain,
    "price-base": read_base,
    "focus-check": lambda path: check_focus(path),
    "series": lambda path: read_series(str(path)),
    "question": _each_line,
    "log-csv": _connector("csv", mapping=MAPPING),
    "log-jsonl": _connector("jsonl", mapping=MAPPING),
    "log-parquet": _connector("parquet", mapping=MAPPING),
    "table": _connector("table", mapping=MAPPING),
    **{
        name: _connector(name)
        for name in (
            "openai", "anthropic", "azure-openai", "bedrock", "vertex", "oci", "litellm", "otel", "focus", "cursor", "github-copilot",
            "agent-logs", "responses",
        )
    },
}  # fmt: skip
