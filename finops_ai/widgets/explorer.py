"""`fa.explore`: choices as ipywidgets, the board as a small widget of its own, both over one exact cube."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import anywidget
import ipywidgets as ui
import traitlets

from finops_ai.frames import to_pandas
from finops_ai.periods import Window, next_month
from finops_ai.tables import showback
from finops_ai.widgets.cube import UNSTATED, Cube, label_of
from finops_ai.widgets.static import static_explorer
from finops_ai.widgets.view import METRICS, View, board, bucket_span, code, grain_of, span_text

if TYPE_CHECKING:
    import pandas as pd

_FILES = files("finops_ai.widgets")
_RENDER = """
export default { render({ model, el }) {
  const root = document.createElement("div"); el.append(root);
  const tell = (message) => model.send(message);
  const on = { pick: (name, bucket, rest) => { if (!rest) tell({ kind: "pick", name, bucket }); }, path: (length) => tell({ kind: "path", length }) };
  const draw = () => { const data = model.get("data"); if (data && data.title) { drawBoard(root, data, on); root.dataset.drawn = String(data.number || 0); } };
  model.on("change:data", draw);
  const watch = new ResizeObserver((entries) => { const width = Math.round(entries[0].contentRect.width); if (width && Math.abs(width - (root.width || 0)) > 8) { root.width = width; draw(); } });
  watch.observe(root); draw();
  return () => watch.disconnect();
} };
"""


class Board(anywidget.AnyWidget):
    """The drawn part: `data` goes to the browser, picks come back as messages."""

    _esm = _FILES.joinpath("board.js").read_text("utf-8") + _RENDER
    _css = _FILES.joinpath("board.css").read_text("utf-8")
    data = traitlets.Dict().tag(sync=True)


def periods(cube: Cube) -> dict[str, tuple[dt.date, dt.date]]:
    """The periods on offer: the last days, every month, and everything."""
    out = {
        f"Last {n} days": (cube.last - dt.timedelta(days=n - 1), cube.last)
        for n in (90, 30, 7)
        if (cube.last - cube.first).days >= n
    }
    month = cube.last.replace(day=1)
    while month >= cube.first.replace(day=1):
        out[f"{month:%B %Y}"] = (month, next_month(month) - dt.timedelta(days=1))
        month = (month - dt.timedelta(days=1)).replace(day=1)
    return out | {"All days": (cube.first, cube.last)}


class Explorer(ui.VBox):
    """The explorer as a widget; every choice is also an attribute.

    Attributes:
        view: the choices in effect (`finops_ai.widgets.view.View`).
        cube: the sums it draws from.

    Example:
        >>> explorer = explore(priced)  # doctest: +SKIP
        >>> explorer.drill("support"); explorer.rows()  # doctest: +SKIP
    """

    def __init__(
        self, frame: pd.DataFrame, *, timezone: str = "UTC", dimensions: Sequence[str] = (), by: str = ""
    ) -> None:
        self.timezone, self.offered = timezone, tuple(dimensions)
        self.frame, self.cube = frame, Cube.of(frame, timezone=timezone, dimensions=dimensions)
        spans = periods(self.cube)
        first, last = next(iter(spans.values()))
        self.view = View(by or self.cube.dimensions[0], first=first, last=last)
        self._quiet, self._number = False, 0
        wide = ui.Layout(width="auto", min_width="90px")

        def choice(label: str, options: Any, value: Any) -> ui.Dropdown:
            return ui.Dropdown(
                options=options, value=value, description=label, layout=wide, style={"description_width": "initial"}
            )

        self._metric = choice("Show", [(v[0], k) for k, v in METRICS.items()], "cost")
        self._by = choice("by", [(label_of(d), d) for d in self.cube.dimensions], self.view.by)
        self._period = choice("in", [*((k, v) for k, v in spans.items()), ("Other days", None)], (first, last))
        self._compare = choice(
            "against", [("the period before", "before"), ("a year before", "year"), ("nothing", "none")], "before"
        )
        self._dimension = choice("Only", [("", ""), *((label_of(d), d) for d in self.cube.dimensions)], "")
        self._value = ui.Combobox(
            placeholder="name", ensure_option=True, layout=ui.Layout(width="220px", display="none")
        )
        self.board = Board()
        bar = ui.Layout(flex_flow="row wrap", align_items="center", grid_gap="2px 12px")
        super().__init__(
            [
                ui.HBox(
                    [self._metric, self._by, self._period, self._compare, self._dimension, self._value], layout=bar
                ),
                self.board,
            ]
        )
        for control in (self._metric, self._by, self._period, self._compare):
            control.observe(self._chosen, "value")
        self._dimension.observe(self._offer, "value")
        self._value.observe(self._filtered, "value")
        self.board.on_msg(self._heard)
        self._draw()

    def _chosen(self, _: Any) -> None:
        if self._quiet:
            return
        first, last = self._period.value or (self.view.first, self.view.last)
        self.view = replace(
            self.view,
            metric=self._metric.value,
            by=self._by.value,
            first=first,
            last=last,
            compare=self._compare.value,
            picked=None,
        )
        self._draw()

    def _offer(self, change: Any) -> None:
        name = change["new"]
        self._value.layout.display = "" if name else "none"
        self._value.options = self.cube.levels[name][:500] if name else []
        self._value.value = ""

    def _filtered(self, change: Any) -> None:
        name, value = self._dimension.value, change["new"]
        if name and value in self.cube.levels[name]:
            self.only(**{name: value})
            self._dimension.value = ""

    def _heard(self, _: Any, content: dict[str, Any], __: Any) -> None:
        if content.get("kind") == "pick" and content.get("name") in self.cube.levels[self.view.by]:
            self.drill(content["name"], content.get("bucket"))
        elif content.get("kind") == "path":
            self.back(int(content.get("length", 0)))

    def drill(self, name: str, bucket: str | dt.date | None = None) -> None:
        """Into one name of the current grouping; with a bucket (its first day), show the rows behind that bar."""
        day = dt.date.fromisoformat(bucket) if isinstance(bucket, str) else bucket
        self.view = self.view.drill(self.cube, name, day)
        self._draw()

    def back(self, length: int | None = None) -> None:
        """One step up, or to the first `length` filters."""
        self.view = self.view.back(max(len(self.view.filters) - 1, 0) if length is None else length)
        self._draw()

    def only(self, **filters: str) -> None:
        """Keep only rows with these names, such as `only(team="search", provider="openai")`."""
        kept = tuple(f for f in self.view.filters if f[0] not in filters)
        self.cube.where(filters)
        self.view = replace(self.view, filters=(*kept, *filters.items()), picked=None)
        self._draw()

    def between(self, first: str | dt.date, last: str | dt.date) -> None:
        """Show the days from first to last, both included."""
        days = [d if isinstance(d, dt.date) else dt.date.fromisoformat(d) for d in (first, last)]
        self.view = replace(self.view, first=days[0], last=days[1], picked=None)
        self._draw()

    def _draw(self) -> None:
        self._quiet = True
        try:
            self._metric.value, self._by.value, self._compare.value = self.view.metric, self.view.by, self.view.compare
            span = (self.view.first, self.view.last)
            self._period.value = span if span in [v for _, v in self._period.options] else None
        finally:
            self._quiet = False
        self._number += 1
        self.board.data = board(self.cube, self.view) | {"number": self._number}

    @property
    def code(self) -> str:
        """The Python that gives the ranked table on show, with `frame` the frame that is explored."""
        return code(self.view, max(self.view.first, self.cube.first), min(self.view.last, self.cube.last))

    def table(self) -> Any:
        """The ranked table on show, exact, as `fa.showback` gives it."""
        rows = self.frame
        for name, value in self.view.filters:
            rows = rows[rows[name].isna() if value == UNSTATED else rows[name] == value]
        end = min(self.view.last, self.cube.last) + dt.timedelta(days=1)
        return showback(rows, by=[self.view.by], window=Window.of(max(self.view.first, self.cube.first), end))

    def rows(self, limit: int = 1000) -> pd.DataFrame:
        """The sums behind the picked bar, or behind everything on show, the most expensive first; exact."""
        first, last = self.view.picked or (max(self.view.first, self.cube.first), min(self.view.last, self.cube.last))
        return to_pandas(self.cube.behind(dict(self.view.filters), first, last, limit)[0])

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any] | None:
        """In a notebook that becomes a page, the explorer that needs no kernel goes along with the widget."""
        bundle = super()._repr_mimebundle_(**kwargs)
        if isinstance(bundle, dict) and os.environ.get("FINOPS_AI_PAGES"):
            bundle["text/html"] = static_explorer(self.frame, timezone=self.timezone, dimensions=self.offered, cap=5000)
        return bundle

    def __repr__(self) -> str:
        return f"<Explorer of {len(self.frame):,} rows, {self.board.data['title']}, {span_text(self.view.first, self.view.last)}>"


def explore(
    frame: pd.DataFrame, *, rules: Any = None, timezone: str = "UTC", dimensions: Sequence[str] = (), by: str = ""
) -> Explorer:
    """Explore cost and usage: group, filter, drill by click or keyboard, compare periods, see the rows, take the code.

    Args:
        frame: token, priced or allocated frame; what isn't priced yet is priced with the bundled list prices.
        rules: mapping rules to allocate with, as `fa.allocate` takes them; none leaves the frame as it is.
        timezone: reporting zone: decides the day of a call.
        dimensions: columns to offer; default: business dimensions, then provider, model, prompt, tier, project, key, user.
        by: dimension to start with.

    Returns:
        An ipywidgets widget. `.drill(name)`, `.only(team=...)`, `.between(first, last)`, `.table()`, `.rows()` and
        `.code` do by name what the mouse does.

    Example:
        >>> import finops_ai as fa
        >>> fa.explore(fa.sample(months=1)).cube.dimensions[0]  # doctest: +SKIP
        'provider'
    """
    from finops_ai.engine import allocate, price

    if "effective_cost" not in frame.columns:
        frame = price(frame)
    if rules is not None:
        frame = allocate(frame, rules)
    return Explorer(frame, timezone=timezone, dimensions=dimensions, by=by)


__all__ = ["Board", "Explorer", "bucket_span", "explore", "grain_of"]
