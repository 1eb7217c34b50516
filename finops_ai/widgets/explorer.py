"""`fa.explore`: choices as ipywidgets, the board as a small widget of its own, both over one exact cube."""

from __future__ import annotations

import datetime as dt
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import ipywidgets as ui
import traitlets

from finops_ai.errors import DataError, FrameError, hint
from finops_ai.frames import to_pandas
from finops_ai.html import Html
from finops_ai.periods import Window, next_month
from finops_ai.tables.showback import showback
from finops_ai.widgets.cube import UNSTATED, Cube, label_of
from finops_ai.widgets.explaining import explained, in_words
from finops_ai.widgets.spans import month_text, span_text
from finops_ai.widgets.static import static_explorer
from finops_ai.widgets.view import COMPARISONS, METRICS, View, board, code

if TYPE_CHECKING:
    import pandas as pd

    from finops_ai.engine import Rules

_FILES = files("finops_ai.widgets")
#: names of a dimension that are offered while typing; any other can still be typed
OFFERED = 500
OTHER_DAYS = "other"


class Board(anywidget.AnyWidget):
    """The drawn part: `data` goes to the browser, picks come back as messages."""

    _esm = "\n".join(_FILES.joinpath(name).read_text("utf-8") for name in ("board.js", "notebook.js"))
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
        out[month_text(month)] = (month, next_month(month) - dt.timedelta(days=1))
        month = (month - dt.timedelta(days=1)).replace(day=1)
    return out | {"All days": (cube.first, cube.last)}


def _choice(label: str, options: object, value: object) -> ui.Dropdown:
    return ui.Dropdown(options=options, value=value, description=label, layout=ui.Layout(width="auto"))


def _field(control: Any) -> Any:
    control.layout = ui.Layout(width="auto", display="none")
    return control


class Explorer(ui.VBox):
    """The explorer as a widget; every choice is also an attribute.

    Attributes:
        view: the choices in effect (`finops_ai.widgets.view.View`).
        cube: the sums it draws from.
        controls: the widgets of the choices by name; their values may be set from Python.
        why: what "Explain this" said of the bar picked, or of everything on show.

    Example:
        >>> explorer = explore(priced)  # doctest: +SKIP
        >>> explorer.drill("support"); explorer.rows()  # doctest: +SKIP
    """

    def __init__(
        self,
        frame: pd.DataFrame,
        *,
        timezone: str | None = None,
        dimensions: Sequence[str] = (),
        by: str = "",
        source: str = "frame",
    ) -> None:
        self.frame, self.source, self.offered = frame, source, tuple(dimensions)
        self.cube = Cube.of(frame, timezone=timezone, dimensions=dimensions)
        if by and by not in self.cube.levels:
            raise FrameError(f"There is no dimension {by!r} to start with. {hint(by, self.cube.dimensions)}")
        spans = periods(self.cube)
        span = next(iter(spans.values()))
        self.view = View(by or self.cube.dimensions[0], first=span[0], last=span[1])
        self._quiet, self._number = False, 0
        names = [(label_of(d), d) for d in self.cube.dimensions]
        self.controls: dict[str, Any] = {
            "metric": _choice("Show", [(v[0], k) for k, v in METRICS.items()], "cost"),
            "by": _choice("by", names, self.view.by),
            "period": _choice("in", [*spans.items(), ("Other days", OTHER_DAYS)], span),
            "from": _field(ui.DatePicker(description="from")),
            "to": _field(ui.DatePicker(description="to")),
            "compare": _choice("against", COMPARISONS, "before"),
            "dimension": _choice("Only", [("everything", ""), *names], ""),
            "name": _field(ui.Combobox(description="name", placeholder="type or choose", continuous_update=False)),
        }
        self.board, self.why = Board(), ui.HTML()
        asked = ui.Button(description="Explain this", tooltip="Why the picked bar, or everything on show, changed")
        asked.on_click(self._asked)
        bar = ui.HBox([*self.controls.values(), asked])
        bar.add_class("fx-controls")
        super().__init__([bar, self.board, self.why])
        self.add_class("fx-explorer")
        answers = {"from": self._dated, "to": self._dated, "dimension": self._offer, "name": self._named}
        for name, control in self.controls.items():
            control.observe(answers.get(name, self._chosen), "value")
        self.board.on_msg(self._heard)
        self._draw()

    def _chosen(self, _: object) -> None:
        if self._quiet:
            return
        other_days = self.controls["period"].value == OTHER_DAYS
        first, last = (self.view.first, self.view.last) if other_days else self.controls["period"].value
        chosen = {name: self.controls[name].value for name in ("metric", "by", "compare")}
        self.view = replace(self.view, first=first, last=last, picked=None, **chosen)
        self._draw(other_days=other_days)

    def _dated(self, _: object) -> None:
        first, last = self.controls["from"].value, self.controls["to"].value
        if self._quiet or first is None or last is None:
            return
        self.between(min(first, last), max(first, last))

    def _offer(self, change: Mapping[str, Any]) -> None:
        name = change["new"]
        field, self._quiet = self.controls["name"], True
        field.layout.display = "" if name else "none"
        field.options = self.cube.levels[name][:OFFERED] if name else []
        field.value, self._quiet = "", False

    def _named(self, change: Mapping[str, Any]) -> None:
        dimension, text = self.controls["dimension"].value, change["new"]
        if self._quiet or not dimension or not text:
            return
        name = self.cube.find(dimension, text)
        if name is None:
            self._draw(message=f"No single {label_of(dimension)} is called “{text}”.")
        else:
            self.controls["dimension"].value = ""
            self.only(**{dimension: name})

    def _heard(self, _: object, content: dict[str, Any], __: object) -> None:
        if content.get("kind") == "pick" and content.get("name") in self.cube.levels[self.view.by]:
            self.drill(content["name"], content.get("bucket"))
        elif content.get("kind") == "path":
            self.back(int(content.get("length", 0)))
        self.board.send({"kind": "heard"})

    def drill(self, name: str, bucket: str | dt.date | None = None) -> None:
        """Into one name of the current grouping; with a bucket (its first day), show the rows behind that bar."""
        day = dt.date.fromisoformat(bucket) if isinstance(bucket, str) else bucket
        self.view = self.view.drill(self.cube, name, day)
        self._draw()

    def back(self, length: int | None = None) -> None:
        """One step up, or to the first `length` filters."""
        self.view = self.view.back(max(len(self.view.filters) - 1, 0) if length is None else length)
        self._draw()

    def only(self, /, **filters: str) -> None:
        """Keep only rows with these names, such as `only(team="search", provider="openai")`."""
        self.cube.where(filters)
        self.view = self.view.only(self.cube, filters)
        self._draw()

    def between(self, first: str | dt.date, last: str | dt.date) -> None:
        """Show the days from first to last, both included."""
        days = [d if isinstance(d, dt.date) else dt.date.fromisoformat(d) for d in (first, last)]
        self.view = replace(self.view, first=days[0], last=days[1], picked=None)
        self._draw()

    def _draw(self, *, message: str = "", other_days: bool = False) -> None:
        view, controls = self.view, self.controls
        span = (view.first, view.last)
        other_days = other_days or span not in [v for _, v in controls["period"].options]
        period = OTHER_DAYS if other_days else span
        values = {"metric": view.metric, "by": view.by, "compare": view.compare, "period": period}
        self._quiet = True
        try:
            for name, value in (values | dict(zip(("from", "to"), span, strict=True))).items():
                controls[name].value = value
            for name in ("from", "to"):
                controls[name].layout.display = "" if other_days else "none"
        finally:
            self._quiet = False
        self._number += 1
        self.why.value = ""
        data = board(self.cube, self.view, self.source)
        self.board.data = data | {"number": self._number, "message": message}

    @property
    def _shown(self) -> tuple[dt.date, dt.date]:
        return max(self.view.first, self.cube.first), min(self.view.last, self.cube.last)

    @property
    def code(self) -> str:
        """The Python that gives the ranked table on show."""
        return code(self.view, *self._shown, self.source, self.cube.timezone)

    def table(self) -> Any:
        """The ranked table on show, exact, as `fa.showback` gives it."""
        rows = self.frame
        for name, value in self.view.filters:
            rows = rows[rows[name].isna() if value == UNSTATED else rows[name] == value]
        first, last = self._shown
        window = Window.of(first, last + dt.timedelta(days=1), self.cube.timezone)
        return showback(rows, by=[self.view.by], window=window, timezone=self.cube.timezone)

    def rows(self, limit: int = 1000) -> pd.DataFrame:
        """The sums behind the picked bar, or behind everything on show, the most expensive first; exact."""
        found, _ = self.cube.behind(dict(self.view.filters), *(self.view.picked or self._shown), limit)
        return to_pandas(found.drop_columns("published"))

    def explain(self) -> Any:
        """Why the picked bar, or everything on show, cost more or less than the days it is compared with: the bridge of `fa.explain`.

        Raises:
            DataError: there is nothing in one of the two.
        """
        days = self.view.picked or self._shown
        return explained(self.frame, self.view.filters, *days, compare=self.view.compare, timezone=self.cube.timezone)

    def _asked(self, _: object) -> None:
        try:
            self.why.value = in_words(self.explain())
        except DataError as error:
            self.why.value = str(Html("<p class='fx-why'>{}</p>").format(str(error)))

    def _repr_mimebundle_(self, **kwargs: object) -> dict[str, Any] | None:
        """In a notebook that becomes a page, the explorer that needs no kernel goes along with the widget."""
        bundle: dict[str, Any] | None = super()._repr_mimebundle_(**kwargs)
        if isinstance(bundle, dict) and os.environ.get("FINOPS_AI_PAGES"):
            options: dict[str, Any] = {
                "timezone": self.cube.timezone,
                "dimensions": self.offered,
                "source": self.source,
            }
            bundle["text/html"] = static_explorer(self.frame, cap=5000, **options)
        return bundle

    def __repr__(self) -> str:
        return f"<Explorer of {len(self.frame):,} rows, {self.board.data['title']}, {span_text(self.view.first, self.view.last)}>"


def explore(
    frame: pd.DataFrame,
    *,
    rules: Rules | Mapping[str, Any] | str | Path | None = None,
    timezone: str | None = None,
    dimensions: Sequence[str] = (),
    by: str = "",
) -> Explorer:
    """Explore cost and usage: group, filter, drill by click or keyboard, compare periods, see the rows, take the code.

    Args:
        frame: token, priced or allocated frame; what isn't priced yet is priced with the bundled list prices.
        rules: mapping rules to allocate with, as `fa.allocate` takes them; none leaves the frame as it is.
        timezone: reporting zone: decides the day of a call; by default the one the frame was made for.
        dimensions: columns to offer; default: business dimensions, then provider, model, prompt, tier, project, key, user.
        by: dimension to start with.

    Returns:
        An ipywidgets widget. `.drill(name)`, `.only(team=...)`, `.between(first, last)`, `.explain()`, `.table()`, `.rows()`
        and `.code` do by name what the mouse does.

    Raises:
        FrameError: `by` is no dimension of the frame, or the frame is no token frame.

    Example:
        >>> import finops_ai as fa
        >>> explorer = fa.explore(fa.sample(months=1))
        >>> explorer.drill("openai")
        >>> explorer.view.filters
        (('provider', 'openai'),)
    """
    from finops_ai.engine import allocate, price

    source = _name_of(frame, "frame")
    if "effective_cost" not in frame.columns:
        frame, source = price(frame), f"fa.price({source})"
    if rules is not None:
        frame = allocate(frame, rules, timezone=timezone)
        zoned = "" if timezone in (None, "UTC") else f", timezone={timezone!r}"
        source = f"fa.allocate({source}, {_name_of(rules, 'rules')}{zoned})"
    return Explorer(frame, timezone=timezone, dimensions=dimensions, by=by, source=source)


def _name_of(value: object, otherwise: str) -> str:
    """What a notebook calls a value, so that the code shown can be pasted there; a path as itself."""
    if isinstance(value, str | os.PathLike):
        return repr(os.fspath(value))
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    names = getattr(shell, "user_ns", {}).items()
    return next((name for name, v in names if v is value and not name.startswith("_")), otherwise)
