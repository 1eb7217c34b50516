"""Asking Anthropic: the two generations of usage and cost reports, their pages, and what to do where one is refused.

Two report families answer the same questions:

* analytics (beta of 2026): at most five groupings a query, exact request counts, cost per key and user, nothing
  before 2026-01-01 and nothing older than 365 days;
* legacy (`usage_report/messages`, `cost_report`): no request counts, cost only per workspace, but all dates.

Source of the rules: the provider's reference for both, restated in the connector's README.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from finops_ai.errors import ProviderError
from finops_ai.periods import UTC, Window, iso
from finops_ai.providers import HttpClient, HttpRefused
from finops_ai.providers.amounts import count
from finops_ai.providers.parsing import require_shape
from finops_ai_anthropic.shapes import PAGE_ROW, ROW

ANALYTICS, LEGACY_USAGE, LEGACY_COST = (
    "v1/organizations/analytics",
    "v1/organizations/usage_report/messages",
    "v1/organizations/cost_report",
)
VERSION = "2023-06-01"
ANALYTICS_BETA = "analytics-usage-cost-2026-08-24"
SPEED_BETA = "fast-mode-2026-02-01"

#: first instant the analytics reports cover, and how far back they reach (a day of margin for clocks that differ)
ANALYTICS_FROM = dt.datetime(2026, 1, 1, tzinfo=UTC)
ANALYTICS_REACH = dt.timedelta(days=364)

WIDTHS = {"1m": dt.timedelta(minutes=1), "1h": dt.timedelta(hours=1), "1d": dt.timedelta(days=1)}
DAY = WIDTHS["1d"]
#: longest window one query may ask for, by bucket width
REACH = {"1m": dt.timedelta(hours=24), "1h": dt.timedelta(days=31), "1d": dt.timedelta(days=31)}
LEGACY_LIMIT = {"1m": 1440, "1h": 168, "1d": 31}

#: what a row is about, what decides its price first; five fit into one analytics query
ATTRIBUTION = ["model", "service_tier", "workspace_id", "api_key_id", "actor"]
#: price modifiers that don't fit any more: each of their values is asked for on its own, through this filter
MODIFIERS = {"context_window": "context_windows[]", "inference_geo": "inference_geos[]", "speed": "speeds[]"}
LEGACY_DIMENSIONS = [
    "model", "workspace_id", "api_key_id", "service_tier", "context_window", "inference_geo", "account_id",
    "service_account_id", "speed",
]  # fmt: skip

Row = dict[str, Any]


class Reports:
    """Rows of Anthropic's reports for a window, whichever family has them.

    Args:
        http: client of the API host.
        family: "auto", "analytics" or "legacy".
        width: bucket width of usage: "1m", "1h" or "1d". Cost always comes by day.
        notes: list that gets what a reader must know.
        now: the current instant; tests pass their own.
    """

    def __init__(
        self, http: HttpClient, family: str, width: str, notes: list[str], now: dt.datetime | None = None
    ) -> None:
        self.http, self.family, self.width, self.notes = http, family, width, notes
        self.now = now or dt.datetime.now(UTC)
        self.refreshed: list[str] = []
        self.no_analytics = False

    def usage(self, window: Window) -> Iterator[Row]:
        """Usage rows: bucket, dimensions and counts in one flat mapping."""
        for family, piece in self._pieces(window, self.width):
            yield from self._either(family, piece, self._analytics_usage, self._legacy_usage)

    def costs(self, window: Window) -> Iterator[Row]:
        """Cost rows by day: bucket, dimensions and the amounts in cents, in one flat mapping."""
        for family, piece in self._pieces(window, "1d"):
            yield from self._either(family, piece, self._analytics_costs, self._legacy_costs)

    def _pieces(self, window: Window, width: str) -> Iterator[tuple[str, Window]]:
        """Whole buckets that start in the window, cut to what one query may ask for, each with its report family."""
        step = WIDTHS[width]
        whole = Window(_ceil(window.start, step), _ceil(window.end, step))
        turn = _ceil(
            ANALYTICS_FROM if self.family == "analytics" else max(ANALYTICS_FROM, self.now - ANALYTICS_REACH), DAY
        )
        turn = whole.end if self.family == "legacy" else min(max(turn, whole.start), whole.end)
        before, after = Window(whole.start, turn), Window(turn, whole.end)
        if self.family == "analytics" and before.days:
            self.notes.append(
                f"Anthropic's analytics reports begin on {ANALYTICS_FROM:%Y-%m-%d}: nothing was read of {before}."
            )
            before = Window(turn, turn)
        for family, part in (("legacy", before), ("analytics", after)):
            for piece in part.pieces(REACH[width]):
                yield family, piece

    def _either(
        self,
        family: str,
        piece: Window,
        analytics: Callable[[Window], list[Row]],
        legacy: Callable[[Window], list[Row]],
    ) -> list[Row]:
        if family == "legacy" or self.no_analytics:
            return legacy(piece)
        try:
            return analytics(piece)
        except HttpRefused as error:
            if self.family != "auto" or error.status not in (400, 404):
                raise
            self.no_analytics = True
            self.notes.append(
                f"Anthropic's analytics reports were refused ({error.said or error.status}); the legacy reports were "
                "read instead: they state no request counts, and cost only per workspace."
            )
            return legacy(piece)

    # -- analytics -----------------------------------------------------------------------------------------------

    def _analytics_usage(self, piece: Window) -> list[Row]:
        """Five groupings a query are fewer than the dimensions that decide a price. So the price modifiers are first
        asked for alone; where more than one combination occurs, each is then asked for through filters. The parts
        must add up to the first answer; where filters lose some, the modifiers take groupings instead.

        Raises:
            ProviderError: the parts don't add up either way, although the report was not refreshed in between.
        """
        answer, mark = self._analytics("usage", piece, list(MODIFIERS), bucketed=False)
        overview = [flat(row) for row in answer]
        if not overview:
            return []
        combinations = [{name: row.get(name) for name in MODIFIERS} for row in overview]
        varying = [name for name in MODIFIERS if len({c[name] for c in combinations}) > 1]
        # "none stated" can only be filtered for where the API has a word for it
        grouped = [n for n in varying if n != "inference_geo" and any(c[n] is None for c in combinations)]
        expected = sum(row.get("total_tokens") or 0 for row in overview)
        found = 0
        for plan in (grouped, varying) if grouped != varying else (grouped,):
            rows, last_mark = self._combined(piece, combinations, plan, [n for n in varying if n not in plan])
            found = sum(row.get("total_tokens") or 0 for row in rows)
            if found == expected or last_mark != mark or self.width == "1m":
                if lost := [n for n in ATTRIBUTION if n not in self._dimensions(plan)]:
                    self.notes.append(
                        f"Grouping by {', '.join(plan)} left no room for {', '.join(lost)}: usage lacks them."
                    )
                return rows
        raise ProviderError(
            f"anthropic: the grouped usage of {piece} adds up to {found} tokens, the ungrouped to {expected}. "
            "Nothing of this window was stored; run the same command again."
        )

    def _combined(
        self, piece: Window, combinations: list[Row], grouped: list[str], filtered: list[str]
    ) -> tuple[list[Row], str | None]:
        """Rows of every combination of the filtered modifiers, and the freshness mark of the last answer."""
        rows: list[Row] = []
        mark = None
        for chosen in {tuple(c[n] for n in filtered): c for c in combinations}.values():
            filters = [(MODIFIERS[n], chosen[n] or "not_available") for n in filtered]
            part, mark = self._laddered("usage", piece, self._dimensions(grouped), filters)
            known = {n: chosen[n] for n in MODIFIERS if n not in grouped}
            rows += [flat(row, known) for row in part]
        return rows, mark

    @staticmethod
    def _dimensions(grouped: list[str]) -> list[str]:
        return [*grouped, *ATTRIBUTION][:5]

    def _analytics_costs(self, piece: Window) -> list[Row]:
        rows, _ = self._laddered("cost", piece, ATTRIBUTION, [], always=["cost_type", "token_type"])
        return [flat(row) for row in rows]

    def _laddered(
        self,
        report: str,
        piece: Window,
        dimensions: list[str],
        filters: Sequence[tuple[str, str]],
        always: Sequence[str] = (),
    ) -> tuple[list[Row], str | None]:
        return self._ladder(
            dimensions,
            lambda wanted: self._analytics(report, piece, [*wanted, *always], filters),
            f"analytics/{report}",
        )

    def _analytics(
        self,
        report: str,
        piece: Window,
        dimensions: list[str],
        filters: Sequence[tuple[str, str]] = (),
        bucketed: bool = True,
    ) -> tuple[list[Row], str | None]:
        width = "1d" if report == "cost" else self.width
        params = [("starting_at", iso(piece.start)), ("ending_at", iso(piece.end)), ("limit", "1000")]
        if bucketed:
            params += [("time_bucket_width", width), ("order_by", "time"), ("order", "asc")]
        params += [("group_by[]", name) for name in dimensions] + list(filters)
        pages = self._read(f"{ANALYTICS}/{report}", params, {"anthropic-beta": ANALYTICS_BETA})
        marks = [page["data_refreshed_at"] for page in pages if page.get("data_refreshed_at")]
        self.refreshed += marks
        return [row for page in pages for row in page["data"]], max(marks, default=None)

    # -- legacy --------------------------------------------------------------------------------------------------

    def _legacy_usage(self, piece: Window) -> list[Row]:
        def ask(dimensions: list[str]) -> list[Row]:
            params = [("bucket_width", self.width), ("limit", str(LEGACY_LIMIT[self.width]))]
            beta = {"anthropic-beta": SPEED_BETA} if "speed" in dimensions else {}
            return self._legacy(LEGACY_USAGE, piece, params, dimensions, beta)

        return self._ladder(LEGACY_DIMENSIONS, ask, "usage_report/messages")

    def _legacy_costs(self, piece: Window) -> list[Row]:
        note = "Anthropic's legacy cost report never contains Priority Tier; usage of that tier has no bill rows."
        if note not in self.notes:
            self.notes.append(note)
        params = [("bucket_width", "1d"), ("limit", str(LEGACY_LIMIT["1d"]))]
        return self._legacy(LEGACY_COST, piece, params, ["workspace_id", "description"], {})

    def _legacy(
        self, path: str, piece: Window, params: list[tuple[str, str]], dimensions: list[str], headers: dict[str, str]
    ) -> list[Row]:
        params = [("starting_at", iso(piece.start)), ("ending_at", iso(piece.end)), *params]
        params += [("group_by[]", name) for name in dimensions]
        return [row for page in self._read(path, params, headers) for row in buckets(page)]

    # -- both ----------------------------------------------------------------------------------------------------

    def _ladder(self, dimensions: list[str], ask: Callable[[list[str]], Any], report: str) -> Any:
        """Ask with all groupings; where the API refuses one, leave it out, say so, and ask again."""
        wanted = list(dimensions)
        while True:
            try:
                return ask(wanted)
            except HttpRefused as error:
                named = [name for name in wanted if re.search(rf"\b{name}\b", error.said)]
                if error.status != 400 or not (named or "group_by" in error.said) or len(wanted) == 1:
                    raise
                left_out = named[0] if named else wanted[-1]
                wanted.remove(left_out)
                self.notes.append(f"Anthropic refused to group {report} by {left_out}: those rows lack it.")

    def _read(self, path: str, params: list[tuple[str, str]], headers: dict[str, str]) -> list[Row]:
        """All pages of one query. A page token holds for one run: where it is refused, the query starts over once."""
        for attempt in (1, 2):
            pages: list[Row] = []
            seen: set[str] = set()
            token: str | None = None
            while True:
                asked = [*params, ("page", token)] if token else params
                try:
                    page = self.http.request("GET", path, params=asked, headers=headers)
                except HttpRefused as error:
                    if not token or error.status != 400:
                        raise
                    if attempt == 1:
                        break
                    raise ProviderError(
                        f"{error} The page token was refused twice; run the same command again."
                    ) from None
                if not isinstance(page, dict) or not isinstance(page.get("data"), list):
                    raise ProviderError(
                        f"anthropic: the answer of /{path} has no list called 'data'. Nothing was stored; "
                        "update finops-ai-anthropic if the provider changed its report."
                    )
                pages.append(page)
                if not page.get("has_more"):
                    return pages
                token = page.get("next_page")
                if not token or token in seen:
                    raise ProviderError(
                        f"anthropic: /{path} says there are more pages but {'repeats' if token else 'gives no'} "
                        f"page token after page {len(pages)}. Nothing of this window was stored; run it again later."
                    )
                seen.add(token)
        raise AssertionError("unreachable")

    def names(self, kind: str) -> dict[str, Row]:
        """Workspaces or API keys by id, for names people know. `kind` is "workspaces" or "api_keys"."""
        found: dict[str, Row] = {}
        after: str | None = None
        while True:
            params = [("limit", "100"), *([("include_archived", "true")] if kind == "workspaces" else [])]
            page = self.http.request(
                "GET", f"v1/organizations/{kind}", params=[*params, *([("after_id", after)] if after else [])]
            )
            found |= {item["id"]: item for item in page.get("data", []) if "id" in item}
            if not page.get("has_more") or page.get("last_id") in (None, after):
                return found
            after = page["last_id"]


def flat(row: Row, known: Row | None = None) -> Row:
    """An analytics row as one mapping: bucket, dimensions, and counts or amounts.

    >>> flat({"starting_at": "a", "ending_at": "b", "group": {"model": "m"}, "usage": {"output_tokens": 5}})
    {'starting_at': 'a', 'ending_at': 'b', 'model': 'm', 'output_tokens': 5}
    """
    for key in ("starting_at", "ending_at", "group"):
        if key not in row:
            raise ProviderError(f"anthropic: an analytics row has no {key!r}, only {sorted(row)}. Nothing was stored.")
    measures = row.get("usage", row.get("cost"))
    if not isinstance(measures, dict):
        raise ProviderError(f"anthropic: an analytics row has neither 'usage' nor 'cost': {sorted(row)}.")
    require_shape(row, PAGE_ROW, "anthropic: an analytics row")
    bucket = {"starting_at": row["starting_at"], "ending_at": row["ending_at"]}
    found = {**bucket, **row["group"], **(known or {}), **measures}
    require_shape(found, ROW, "anthropic: an analytics row")
    return found | {"total_tokens": count(found["total_tokens"])} if "total_tokens" in found else found


def buckets(page: Row) -> Iterator[Row]:
    """The results of a legacy page, each with the start and end of its bucket."""
    for bucket in page["data"]:
        if not isinstance(bucket, dict) or not {"starting_at", "ending_at", "results"} <= bucket.keys():
            raise ProviderError(
                "anthropic: a bucket lacks 'starting_at', 'ending_at' or 'results'. Nothing was stored."
            )
        require_shape(bucket, {"results": [{}]}, "anthropic: a bucket")
        for result in bucket["results"]:
            found = {"starting_at": bucket["starting_at"], "ending_at": bucket["ending_at"], **result}
            require_shape(found, ROW, "anthropic: a bucket")
            yield found


def _ceil(moment: dt.datetime, step: dt.timedelta) -> dt.datetime:
    """The first bucket start at or after a moment (buckets are aligned to UTC)."""
    epoch = dt.datetime(1970, 1, 1, tzinfo=UTC)
    return epoch + -(-(moment - epoch) // step) * step
