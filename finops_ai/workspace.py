"""A workspace: settings, connections, lake, price book and rules of one company, opened from its finops.toml."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from finops_ai import __version__, loading
from finops_ai.config import FILE_NAME, Settings, load_settings, texts_in
from finops_ai.errors import FinopsError
from finops_ai.frames.origin import left_out_of, made_with
from finops_ai.loading import Outcome
from finops_ai.periods import Window, next_month, parse_month, whole_months, zone
from finops_ai.providers import Connector
from finops_ai.providers.registry import origin_of
from finops_ai.store import Lake
from finops_ai.store.closing import Ledger, Sealed
from finops_ai.store.keeping import Cubes, Kept, Recent, code_stamp

if TYPE_CHECKING:
    from finops_ai.engine import Rules
    from finops_ai.engine.running import Relation
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
        self._charges = "chargeback" in settings.policies

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
        left_out: dict[str, FinopsError] = {}
        found = {name: origin_of(type(source)) for name, source in self.connections(left_out).items()}
        return found | dict.fromkeys(left_out, "left out")

    def tokens(self, month: str | Window) -> pd.DataFrame:
        """Token frame of a month of the reporting time zone, or of any half-open window; telemetry is left out."""
        return self.lake.read("tokens", self._window(month), self._own_connections())

    def usage_source(self, month: str | Window) -> Any:
        """What DuckDB reads the month's billed usage rows from, for questions that neither frame nor cube answers."""
        return self.lake.source("tokens", self._window(month), self._own_connections())

    def telemetry(self, month: str | Window) -> pd.DataFrame | None:
        """What connections marked `telemetry = true` saw of calls that others bill: it splits shared cost, and is none."""
        seen = self._telemetry_names()
        return self.lake.read("tokens", self._window(month), seen) if seen else None

    def _own_connections(self) -> list[str] | None:
        """Connections whose usage is billed; None = all of the lake."""
        seen = self._telemetry_names()
        return [name for name in self.lake.freshness()["connection"] if name not in seen] if seen else None

    def _telemetry_names(self) -> list[str]:
        return [name for name, table in self.settings.providers.items() if table.get("telemetry") is True]

    def bills(self, month: str | Window) -> pd.DataFrame:
        """Bill frame of a month of the reporting time zone, or of any half-open window; a closed month's as it was closed."""
        if sealed := self.closed(month):
            return sealed.table("bills")
        return self.current_bills(month)

    def current_bills(self, month: str | Window) -> pd.DataFrame:
        """The month's bill frame as it is now, also where the month is closed."""
        return self._in_group(self.lake.read("bills", self._window(month)), "bills")

    def priced(self, month: str | Window) -> pd.DataFrame:
        """The month's token frame with list, contracted and effective cost (see `fa.price`); a closed month's as closed."""
        from finops_ai.engine import price

        if sealed := self.closed(month):
            return self._told(sealed.table("rows"))
        if self.book.has_terms:
            return self.derived("priced", month, lambda window: self._settled_part(window))
        return self.derived("priced", month, lambda window: self._in_group(price(self.tokens(window), self.book)))

    @cached_property
    def conversion(self) -> Conversion | None:
        """The `[currency]` section: the group's currency and the rates; None where amounts stay in their own."""
        from finops_ai.prices.currency import Conversion

        table = self.settings.policies.get("currency")
        return None if table is None else Conversion.load(table, self.settings.root, self.settings.workspace.currency)

    def _in_group(self, frame: pd.DataFrame, kind: str = "rows") -> pd.DataFrame:
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
        from finops_ai.engine.settling import statement_frame

        pieces = whole_months(self._window(month)) if self.book.has_terms else []
        found = [self._settled(piece, cells=True)[1] for piece in pieces]
        return pd.concat(found, ignore_index=True) if found else statement_frame([])

    def reprice(self, month: str | Window, rows: pd.DataFrame) -> pd.DataFrame:
        """Rows of a month at today's prices, such as those it was closed with; what stands around them stays as it is."""
        from finops_ai.engine import price, settled

        if not self.book.has_terms:
            return self._in_group(price(rows, self.book))
        window, frames = self._window(month), []
        for piece in whole_months(window):
            around, mine = self.tokens(piece), _inside(rows, piece)
            both = pd.concat([mine, around[~_mask(around, window)]], ignore_index=True)
            frames.append(_inside(settled(both, self._book_at(piece), period=self._until_now(piece))[0], window))
        return self._in_group(pd.concat(frames, ignore_index=True))

    def _settled_part(self, window: Window, *, cells: bool = False, by: Sequence[str] = ()) -> pd.DataFrame:
        """A window's rows, or cells, out of whole UTC months, which are what contracts are settled by."""
        frames = [self._settled(piece, cells=cells, by=by)[0] for piece in whole_months(window)]
        frame = pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]
        left_out = sorted({name for one in frames for name in left_out_of(one)})
        return made_with(self._in_group(_inside(frame, window)), frames[0], left_out=left_out)

    def _settled(
        self, month: Window, *, cells: bool = False, by: Sequence[str] = ()
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """A whole UTC month priced and settled, and its statement; terms come to the same on rows and on their cells."""
        from finops_ai.engine import settled
        from finops_ai.engine.settling import statement_frame

        made: dict[str, pd.DataFrame] = {}

        def make(kind: str) -> pd.DataFrame:
            if not made:
                tokens = self._token_cells(month, by) if cells else self.tokens(month)
                frame, rows = settled(tokens, self._book_at(month), period=self._until_now(month))
                made.update(settled=frame, commitments=statement_frame(rows))
            return made[kind]

        mark = "-".join(["-cells", *(hashlib.sha256(name.encode()).hexdigest()[:8] for name in by)]) if cells else ""
        frame, statement = (
            self.derived(kind + mark, month, lambda _, k=kind: make(k))  # type: ignore[misc]
            for kind in ("settled", "commitments")
        )
        return frame, statement

    def _until_now(self, month: Window) -> Window:
        """The part of a month that data has come for: capacity is paid to the day, not ahead."""
        fresh = self.lake.freshness()
        last = fresh["last"].max().to_pydatetime() if len(fresh) else month.start
        return Window(month.start, max(min(month.end, last), month.start))

    def _book_at(self, month: Window) -> PriceBook:
        """The price book with what earlier months left of its credits."""
        months = self.months() if any(terms.credits for terms in self.book.contracts) else []
        if not months or month.start <= Window.month(months[0]).start:
            return self.book
        before = month.start - dt.timedelta(days=1)
        _, statement = self._settled(Window.month(f"{before:%Y-%m}"), cells=True)
        credits = statement[(statement["kind"] == "credit").to_numpy(bool)]
        return self.book.with_credit_left(
            dict(zip(zip(credits["contract"], credits["item"], strict=True), credits["closing"], strict=True))
        )

    def allocated(self, month: str | Window) -> pd.DataFrame:
        """The month's priced frame with one column per dimension (see `fa.allocate`); a closed month's as closed."""
        from finops_ai.engine import allocate

        if sealed := self.closed(month):
            return self._told(sealed.table("allocated"))
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
        if self.closed(month):
            return self.allocated(month)
        if by and not self._asks_more(by):
            whole = self.cube(month)
            if not set(by) & set(left_out_of(whole)):
                return whole
        window = self._window(month)
        name = month if isinstance(month, str) else f"{window.start:%Y%m%dT%H%M%S}-{window.end:%Y%m%dT%H%M%S}"
        made_of = self._made_of(window, by)
        digest = hashlib.sha256(json.dumps(made_of, default=str, sort_keys=True).encode()).hexdigest()[:16]
        cubes = Cubes(self.lake)
        if found := self.recent.once((name, digest), lambda: cubes.read(name, digest), keep=_small):
            frame, left_out = found[0], found[1].get("left_out", [])
        else:
            frame = self._make_cube(window, by)
            left_out = left_out_of(frame)
            cubes.write(name, digest, frame, made_of | {"left_out": left_out})
        told = self._told(frame.copy(deep=False), self.digest())
        return made_with(told, told, left_out=left_out, grain="day")

    def _make_cube(self, window: Window, by: Sequence[str]) -> pd.DataFrame:
        from finops_ai.engine import allocate
        from finops_ai.engine.cubing import cubed, needs_rows

        if needs_rows(self.rules):
            rows, wanted = self.allocated(window), self._named_tags(by)
            parts = self._parts(rows)
            return cubed(
                rows, timezone=self.timezone, cuts=self.book.context_cuts, parts=parts, tags=wanted,
                dimensions=self.rules.dimensions,
            )  # fmt: skip
        telemetry = self.telemetry_cells(window)
        return allocate(
            self._told(self._priced_cells(window, by)), self.rules, telemetry=telemetry, timezone=self.timezone
        )

    def token_cells(self, month: str | Window) -> pd.DataFrame:
        """The month's token rows as a cube's cells; the rows themselves where rules test figures of single rows."""
        from finops_ai.engine.cubing import needs_rows

        return self.tokens(month) if needs_rows(self.rules) else self._token_cells(self._window(month))

    def priced_cells(self, month: str | Window) -> pd.DataFrame:
        """The month's priced rows as a cube's cells: what its cube is mapped from. A closed month's rows, as closed."""
        from finops_ai.engine.cubing import needs_rows

        if needs_rows(self.rules) or self.closed(month):
            return self.priced(month)
        return self.derived("priced-cells", month, self._priced_cells)

    def telemetry_cells(self, month: str | Window) -> pd.DataFrame | None:
        """What `telemetry` gives, as cells."""
        seen = self._telemetry_names()
        return self._token_cells(self._window(month), (), seen, bounded=False) if seen else None

    def _priced_cells(self, window: Window, by: Sequence[str] = ()) -> pd.DataFrame:
        from finops_ai.engine import price

        if self.book.has_terms:
            return self._settled_part(window, cells=True, by=by)
        return self._in_group(price(self._token_cells(window, by), self.book))

    def _token_cells(
        self, window: Window, by: Sequence[str] = (), connections: Sequence[str] | None = None, *, bounded: bool = True
    ) -> pd.DataFrame:
        """The cells of the window's token rows: the one step that reads all of them, on the engine of the settings."""
        from finops_ai.engine.cubing import Grain
        from finops_ai.engine.running import token_cells

        fields = self._told_apart(by)
        grain = Grain.of(*fields, timezone=self.timezone)
        with self._usage_rows(window, grain.fields, connections) as rows:
            wanted = self.settings.engine.cells if bounded else None
            return token_cells(rows, grain, window, book=self.book, wanted=wanted, keep=fields)

    def _told_apart(self, by: Sequence[str]) -> list[str]:
        from finops_ai.engine.cubing import fields_of_rules

        return sorted({*fields_of_rules(self.rules), *by, *self._named_fields()})

    def _usage_rows(
        self, window: Window, fields: Sequence[str], connections: Sequence[str] | None = None
    ) -> AbstractContextManager[Relation]:
        """The window's usage rows on the engine of the settings."""
        from finops_ai.engine.choosing import usage_rows

        names = self._own_connections() if connections is None else connections
        return usage_rows(
            self.settings.engine,
            fields,
            source=lambda: self.lake.source("tokens", window, names),
            files=lambda: self.lake.files("tokens", window, names),
            place=self.lake.place,
        )

    def sql(self, month: str | Window, engine: str = "", by: Sequence[str] = ()) -> str:
        """The statement that makes a month's cells: all that an engine is asked for.

        Args:
            month: `YYYY-MM` or a window.
            engine: duckdb, spark or bigquery; that of the settings by default.
            by: see `cube`.
        """
        from finops_ai.engine.cubing import Grain
        from finops_ai.engine.remote import spelled_for
        from finops_ai.engine.running import bounded, compile_cells

        window, fields = self._window(month), self._told_apart(by)
        grain = Grain.of(*fields, timezone=self.timezone)
        with self._usage_rows(window, grain.fields) as rows:
            found = bounded(rows, grain, window, book=self.book, wanted=self.settings.engine.cells, keep=fields)
            files = self.lake.files("tokens", window, self._own_connections())
            return compile_cells(spelled_for(engine or rows.dialect.name, rows, files), found, window)

    def _asks_more(self, by: Sequence[str]) -> bool:
        """Whether a cube leaves out some of these columns and tags by its nature."""
        from finops_ai.engine.cubing import OF_ONE_REQUEST

        tags = {name for name in by if name.startswith("tags.")} - {f"tags.{key}" for key in self._named_tags(())}
        return bool(tags) or bool(set(by) & set(OF_ONE_REQUEST))

    def _named_fields(self) -> list[str]:
        """Tags that settings name, such as what to group a budget by."""
        return sorted({text for text in texts_in(self.settings.policies) if text.startswith("tags.")})

    def _named_tags(self, by: Sequence[str]) -> list[str]:
        from finops_ai.engine.cubing import fields_of_rules

        named = {*fields_of_rules(self.rules), *by, *self._named_fields()}
        return sorted(name.removeprefix("tags.") for name in named if name.startswith("tags."))

    def _parts(self, rows: pd.DataFrame) -> list[int]:
        """Minutes of the UTC day at which prices of the rows' models change."""
        if rows.empty:
            return []
        days, models = rows["charge_period_start"].dt.date, rows[["provider", "model"]].drop_duplicates()
        return self.book.change_minutes(days.min(), days.max(), list(models.itertuples(index=False, name=None)))

    def _made_of(self, window: Window, by: Sequence[str]) -> dict[str, Any]:
        """What a window's cube rests on: the files of its rows, prices, rules, zone, grain and the code."""
        whole = whole_months(window) if self.book.has_terms else [window]
        files = [file for piece in whole for file in self.lake.files("tokens", piece)]
        if any(terms.credits for terms in self.book.contracts):  # what earlier months drew from them
            files = self.lake.files("tokens")
        return {
            "window": [window.start, window.end],
            "files": sorted(dict.fromkeys(files)),
            "until": [self._until_now(piece).end for piece in whole] if self.book.has_terms else [],
            "prices": self.book.version,
            "rules": self.rules.version,
            "charged": self._charges,
            "mapping": self.settings.mapping,
            "lookups": self._lookup_stamps(),
            "rates": self._rate_stamp(),
            "telemetry": self._telemetry_names(),
            "connections": self._own_connections(),
            "timezone": self.timezone,
            "cells": self.settings.engine.cells,
            "by": sorted({*by, *self._named_fields()}),
            "code": [__version__, code_stamp()],
        }

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

    def _window(self, month: str | Window) -> Window:
        return month if isinstance(month, Window) else Window.month(month, self.timezone)

    # --- frames are kept on disk under a digest of everything they rest on

    def digest(self) -> str:
        """Digest of what every derived figure rests on: lake versions, price book, rules, package."""
        versions = [[table, self.lake.state(table)] for table in ("tokens", "bills")]
        parts = [
            versions,
            self.book.version,
            self._charges,
            self.settings.mapping,
            self._telemetry_names(),
            self._lookup_stamps(),
            self._rate_stamp(),
            self.timezone,
            __version__,
            code_stamp(),
        ]
        return hashlib.sha256(json.dumps(parts, default=str, sort_keys=True).encode()).hexdigest()[:16]

    def _lookup_stamps(self) -> list[str]:
        files = [
            str(t["file"])
            for t in self.settings.mapping.get("lookups", {}).values()
            if isinstance(t, dict) and t.get("file")
        ]
        stamps = []
        for name in files:
            path = self.settings.path(name)
            stamps.append(hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "missing")
        return stamps

    def _rate_stamp(self) -> list[str]:
        table = self.settings.policies.get("currency")
        if self.conversion is None or table is None:
            return []
        return [self.conversion.group, self.conversion.day, self.conversion.owed, self.conversion.rates.stamp]

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
        window = self._window(month)
        digest = self.digest()
        name = f"{kind}-{window.start:%Y%m%dT%H%M%S}-{window.end:%Y%m%dT%H%M%S}.parquet"
        path = self.cache_folder / digest / name
        frame = self.kept.read(path)
        if frame is None:
            frame = make(window)
            self.kept.write(frame, path)
        return self._told(frame, digest)

    def _told(self, frame: pd.DataFrame, digest: str = "") -> pd.DataFrame:
        """The frame, which now says its versions, its dimensions and the reporting zone."""
        versions = {"prices": self.book.version, "rules": self.rules.version, "inputs": digest} if digest else {}
        mapped = self.rules.nature() if "rule" in frame.columns else {}
        return made_with(frame, frame, timezone=self.timezone, charged=self._charges, **mapped, **versions)


def _small(found: tuple[pd.DataFrame, Any] | None) -> bool:
    """Whether a cube is kept in memory, too."""
    return found is not None and len(found[0]) <= 50_000


def _mask(frame: pd.DataFrame, window: Window) -> Any:
    start = frame["charge_period_start"]
    return (start >= window.start).to_numpy(bool) & (start < window.end).to_numpy(bool)


def _inside(frame: pd.DataFrame, window: Window) -> pd.DataFrame:
    """The rows that start in a window."""
    inside = _mask(frame, window)
    return frame if inside.all() else frame[inside].reset_index(drop=True)


__all__ = ["Outcome", "Workspace", "open", "open_workspace"]
