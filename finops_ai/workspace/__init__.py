"""A workspace: settings, connections, lake, price book and rules of one company, opened from its finops.toml."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from finops_ai import loading
from finops_ai.config import FILE_NAME, Settings, load_settings
from finops_ai.errors import FinopsError
from finops_ai.frames.origin import left_out_of, made_with
from finops_ai.loading import Outcome
from finops_ai.periods import Window, next_month, parse_month, zone
from finops_ai.providers import Connector
from finops_ai.store import Lake
from finops_ai.store.closing import Ledger, Sealed
from finops_ai.store.keeping import Kept, Recent
from finops_ai.workspace import cells, cubes, resting, terms, windows

if TYPE_CHECKING:
    from finops_ai.engine import Rules
    from finops_ai.prices import PriceBook
    from finops_ai.prices.currency import Conversion

log = logging.getLogger("finops_ai.workspace")


def open(config: str | Path = FILE_NAME) -> Workspace:
    """Open a workspace by its finops.toml, or the folder that holds one.

    Args:
        config: path of the settings file, or of its folder.

    Returns:
        A Workspace: `ws.tokens(month)`, `ws.bills(month)`, `ws.priced(month)`, `ws.allocated(month)`, `ws.collect(window)`.

    Raises:
        SettingsError: the file is missing or something in it is wrong; nothing is read or written.

    Example:
        >>> import tempfile
        >>> import finops_ai as fa
        >>> ws = fa.open(fa.sample.write_workspace(tempfile.mkdtemp(), months=1))
        >>> ws.name, list(ws.rules.dimensions)[:2], ws.months()
        ('Sample company', ['team', 'product'], [])
    """
    return Workspace(load_settings(config))


#: `fa.open` under a name that a star import can bring without replacing the builtin
open_workspace = open


class Workspace:
    """Settings plus store. Frames of a month are priced and allocated once and kept until anything they rest on changes."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.lake = Lake(settings.lake, settings.workspace.storage_options)
        self.recent = Recent.of(self.lake.root)
        #: whether cost is posted to cost centres, so that what a frame says of itself names it
        self.charged = "chargeback" in settings.policies

    def __repr__(self) -> str:
        return f"<Workspace {self.settings.workspace.name!r} at {self.settings.root.resolve()}>"

    @property
    def name(self) -> str:
        """The company's name, as printed on reports."""
        return self.settings.workspace.name

    @property
    def timezone(self) -> str:
        """The reporting time zone."""
        return self.settings.workspace.timezone

    @cached_property
    def book(self) -> PriceBook:
        """The price book: the bundled list prices, with the company's own file and `[[contracts]]` laid over them."""
        from finops_ai.engine.pricing import remembered
        from finops_ai.prices import PriceBook
        from finops_ai.prices.contracts import contracts_of

        own, rows = self.settings.workspace.prices, self.settings.policies.get("contracts")
        book = PriceBook.load(self.settings.path(own)) if own else PriceBook.default()
        book = book.under(contracts_of(rows, FILE_NAME), FILE_NAME) if rows else book
        remembered(book)
        return book

    @cached_property
    def rules(self) -> Rules:
        """The mapping rules of finops.toml."""
        from finops_ai.engine import Rules

        return Rules.load(self.settings.mapping, root=self.settings.root)

    @property
    def ledger(self) -> Ledger:
        """The closed months: the folder `closed` beside finops.toml."""
        return Ledger(self.settings.root / "closed")

    def closed(self, month: str | Window) -> Sealed | None:
        """A month as it was closed; None while it is open, and for windows that are no month."""
        if isinstance(month, Window) or month not in self.ledger.months():
            return None
        return self.ledger.closed(month)

    def connections(self, left_out: dict[str, FinopsError] | None = None) -> dict[str, Connector]:
        """The configured connectors by the name of their section (see `finops_ai.loading.connections`)."""
        return loading.connections(self.settings, left_out)

    def collect(
        self,
        window: Window,
        connections: Sequence[str] = (),
        *,
        watch: Callable[[Outcome], None] | None = None,
    ) -> list[Outcome]:
        """Load a window of usage and bills into the lake (see `finops_ai.loading.collect`).

        Args:
            window: half-open.
            connections: which sections of [providers]; none = all.
            watch: called with each outcome as it comes, for progress.
        """
        return loading.collect(self.settings, self.lake, window, connections, watch=watch)

    def steady(self) -> AbstractContextManager[object]:
        """All that is read in here is of one state of the lake, whatever is loaded meanwhile: usage fits its bill.

        Example:
            >>> with ws.steady():  # doctest: +SKIP
            ...     table = fa.reconcile(ws.priced("2026-10"), ws.bills("2026-10"))
        """
        return self.lake.steady()

    def plugins(self) -> dict[str, str]:
        """Whose code reads each connection: distribution and version, for manifests."""
        return loading.plugins(self.settings)

    def tokens(self, month: str | Window) -> pd.DataFrame:
        """Token frame of a month of the reporting time zone, or of any half-open window; telemetry is left out."""
        return self.lake.read("tokens", self.window_of(month), self.own_connections())

    def usage_source(self, month: str | Window) -> Any:
        """What DuckDB reads the month's billed usage rows from, for questions that neither frame nor cube answers."""
        return self.lake.source("tokens", self.window_of(month), self.own_connections())

    def telemetry(self, month: str | Window) -> pd.DataFrame | None:
        """What connections marked `telemetry = true` saw of calls that others bill: it splits shared cost, and is none."""
        seen = self.telemetry_names()
        return self.lake.read("tokens", self.window_of(month), seen) if seen else None

    def own_connections(self) -> list[str] | None:
        """Connections whose usage is billed; None = all of the lake."""
        seen = self.telemetry_names()
        return [name for name in self.lake.freshness()["connection"] if name not in seen] if seen else None

    def telemetry_names(self) -> list[str]:
        """Connections marked `telemetry = true`."""
        return [name for name, table in self.settings.providers.items() if table.get("telemetry") is True]

    def bills(self, month: str | Window) -> pd.DataFrame:
        """Bill frame of a month of the reporting time zone, or of any half-open window; closed months' as closed."""
        if sealed := self.closed(month):
            return sealed.table("bills")
        if isinstance(month, Window) and (joined := windows.in_pieces(self, month, self.bills)) is not None:
            return joined
        return self.current_bills(month)

    def current_bills(self, month: str | Window) -> pd.DataFrame:
        """The month's bill frame as it is now, also where the month is closed."""
        return self.in_group(self.lake.read("bills", self.window_of(month)), "bills")

    def priced(self, month: str | Window) -> pd.DataFrame:
        """The month's token frame with list, contracted and effective cost (see `fa.price`); closed months' days as closed."""
        from finops_ai.engine import price

        if sealed := self.closed(month):
            return self.told(sealed.table("rows"))
        if isinstance(month, Window) and (joined := windows.in_pieces(self, month, self.priced)) is not None:
            return joined
        if self.book.has_terms:
            return self.derived("priced", month, lambda window: terms.settled_part(self, window))
        return self.derived("priced", month, lambda window: self.in_group(price(self.tokens(window), self.book)))

    @cached_property
    def conversion(self) -> Conversion | None:
        """The `[currency]` section: the group's currency and the rates; None where amounts stay in their own."""
        from finops_ai.prices.currency import Conversion

        table = self.settings.policies.get("currency")
        return None if table is None else Conversion.load(table, self.settings.root, self.settings.workspace.currency)

    def in_group(self, frame: pd.DataFrame, kind: str = "rows") -> pd.DataFrame:
        """Priced rows, or bills, in the group's currency where there is one."""
        if self.conversion is None:
            return frame
        from finops_ai.engine.converting import BILL_COSTS, ROW_COSTS, in_group

        costs, name = (BILL_COSTS, "billing_currency") if kind == "bills" else (ROW_COSTS, "pricing_currency")
        return in_group(frame, self.conversion, costs=costs, currency=name, timezone=self.timezone)

    def commitments(self, month: str | Window) -> pd.DataFrame:
        """What volume tiers, credits and capacity came to, one row per contract, item and UTC month (see `fa.commitments`).

        A credit's balance counts what every earlier month with usage drew from it.
        """
        return terms.commitments(self, month)

    def reprice(self, month: str | Window, rows: pd.DataFrame) -> pd.DataFrame:
        """Rows of a month at today's prices, such as those it was closed with; what stands around them stays as it is."""
        return terms.reprice(self, month, rows)

    def allocated(self, month: str | Window) -> pd.DataFrame:
        """The month's priced frame with one column per dimension (see `fa.allocate`); closed months' days as closed."""
        from finops_ai.engine import allocate

        if sealed := self.closed(month):
            return self.told(sealed.table("allocated"))
        if isinstance(month, Window) and (joined := windows.in_pieces(self, month, self.allocated)) is not None:
            return joined
        return self.derived(
            "allocated",
            month,
            lambda window: allocate(
                self.priced(window), self.rules, telemetry=self.telemetry(window), timezone=self.timezone
            ),
        )

    def cube(self, month: str | Window, by: Sequence[str] = ()) -> pd.DataFrame:
        """The month's cube: the allocated frame with its rows added up at the grain tables need.

        Made once, on the engine of `[engine]`, and kept in the lake with what it was made of. A cell is told apart by day
        of the reporting zone and by every column but those of single requests (`request_id`, `temperature`,
        `max_output_tokens`), and by the tags that rules and settings name; it costs what its rows cost.

        Args:
            month: `YYYY-MM` of the reporting time zone, or a half-open window.
            by: columns or `tags.<key>` that must be told apart, however many cells that makes.

        Returns:
            Columns and types of `allocated(month)`; columns that were left out because the month had more cells than
            `[engine] cells` allows are null, and named in the frame's `attrs`. A closed month's rows, as it was closed.
        """
        return cubes.cube(self, month, by)

    def token_cells(self, month: str | Window) -> pd.DataFrame:
        """The month's token rows as a cube's cells; the rows themselves where rules test figures of single rows."""
        return cells.token_cells(self, month)

    def priced_cells(self, month: str | Window) -> pd.DataFrame:
        """The month's priced rows as a cube's cells: what its cube is mapped from. A closed month's rows, as closed."""
        return cubes.priced_cells(self, month)

    def telemetry_cells(self, month: str | Window) -> pd.DataFrame | None:
        """What `telemetry` gives, as cells."""
        return cells.telemetry_cells(self, month)

    def sql(self, month: str | Window, engine: str = "", by: Sequence[str] = ()) -> str:
        """The statement that makes a month's cells: all that an engine is asked for.

        Args:
            month: `YYYY-MM` or a window.
            engine: duckdb, spark or bigquery; that of the settings by default.
            by: see `cube`.
        """
        return cells.sql(self, month, engine, by)

    def history(self, month: str, months: int = 13, by: Sequence[str] = ()) -> pd.DataFrame:
        """Cubes of the months up to and including `month`, those that hold data, below each other; `by` as in `cube`."""
        frames = [frame for name in self.months_before(month, months) if len(frame := self.cube(name, by))]
        if not frames:
            return self.cube(month, by)
        whole = made_with(pd.concat(frames, ignore_index=True), frames[-1])
        return made_with(
            whole, whole, grain="day", left_out=sorted({name for frame in frames for name in left_out_of(frame)})
        )

    def months(self) -> list[str]:
        """Months of the reporting time zone that hold usage, `YYYY-MM`, oldest first."""
        fresh = self.lake.freshness()
        if fresh.empty:
            return []
        tz = zone(self.timezone)
        first = fresh["first"].min().tz_convert(tz).date().replace(day=1)
        last = (fresh["last"].max() - pd.Timedelta(1, "us")).tz_convert(tz).date().replace(day=1)
        out = []
        while first <= last:
            out.append(f"{first:%Y-%m}")
            first = next_month(first)
        return out

    def months_before(self, month: str, count: int) -> list[str]:
        """The last `count` months that hold usage, up to and including `month`, oldest first."""
        parse_month(month)
        return [name for name in self.months() if name <= month][-count:]

    def window_of(self, month: str | Window) -> Window:
        """A month of the reporting time zone as a window; a window as it is."""
        return month if isinstance(month, Window) else Window.month(month, self.timezone)

    # --- frames are kept on disk under a digest of everything they rest on

    def digest(self) -> str:
        """Digest of what every derived figure rests on: lake versions, price book, rules, package."""
        return resting.digest_of(self)

    @property
    def cache_folder(self) -> Path:
        """Where derived frames are kept; safe to delete at any time."""
        return self.settings.root / ".finops-cache"

    @property
    def state_folder(self) -> Path:
        """Where it is remembered what was told to whom; not to be deleted."""
        return self.settings.root / ".finops-state"

    @property
    def kept(self) -> Kept:
        """The derived frames that are kept."""
        return Kept(self.cache_folder)

    def derived(self, kind: str, month: str | Window, make: Callable[[Window], pd.DataFrame]) -> pd.DataFrame:
        """A frame of a month, made once for each state of the inputs and kept on disk beside finops.toml.

        Args:
            kind: name of what is made.
            month: `YYYY-MM` or a window.
            make: makes it for the window.
        """
        return resting.derived(self, kind, month, make)

    def told(self, frame: pd.DataFrame, digest: str = "") -> pd.DataFrame:
        """The frame, which now says its versions, its dimensions and the reporting zone."""
        versions = {"prices": self.book.version, "rules": self.rules.version, "inputs": digest} if digest else {}
        mapped = self.rules.nature() if "rule" in frame.columns else {}
        return made_with(frame, frame, timezone=self.timezone, charged=self.charged, **mapped, **versions)


__all__ = ["Outcome", "Workspace", "open", "open_workspace"]
