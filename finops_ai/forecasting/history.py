"""From priced or allocated rows to the long series frame that forecasts are made of."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from finops_ai.errors import DataError, SettingsError, hint
from finops_ai.frames.origin import tells_hours
from finops_ai.periods import zone

#: what a series of all rows together is called
TOTAL = "total"
#: what stands for a dimension that a row doesn't have
NONE = "(none)"


def is_cost_frame(frame: pd.DataFrame) -> bool:
    """Whether a frame holds priced rows (one per meter and usage slice), not series.

    >>> is_cost_frame(pd.DataFrame({"unique_id": [], "ds": [], "y": []}))
    False
    """
    return "charge_period_start" in frame.columns


def cost_history(
    frame: pd.DataFrame,
    by: Sequence[str] = (),
    freq: str = "D",
    *,
    value: str = "effective_cost",
    until: str | pd.Timestamp | None = None,
    timezone: str = "UTC",
) -> pd.DataFrame:
    """Add up priced rows to series: one per combination of `by`, every period from the first to the last there.

    Args:
        frame: priced or allocated rows.
        by: columns to split by, outermost first; nothing for one series, `total`.
        freq: `D` for days, `h` for hours, `MS` for months.
        value: an amount or `quantity`; rows where it is null (unpriced) are left out.
        until: leave out what starts at or after this local instant: a day still running would look like a fall.
        timezone: reporting zone whose days are meant; a slice belongs to the period its middle falls into, so that a
            provider's UTC day stays one day.

    Returns:
        `unique_id, ds, y` and the columns of `by`; `unique_id` joins their values with " / ". `y` is a float: an
        estimate is made from it, no amount is posted from it. A period without rows counts as 0.

    Raises:
        SettingsError: a column of `by` or `value` doesn't exist.
        DataError: no row is left, or the rows are in several currencies.

    Example:
        >>> frame = pd.DataFrame({"charge_period_start": pd.to_datetime(["2026-01-01", "2026-01-03"], utc=True),
        ...                       "team": ["search", "search"], "effective_cost": [2.0, 3.0]})
        >>> cost_history(frame, ["team"])["y"].tolist()
        [2.0, 0.0, 3.0]
    """
    by = list(by)
    for name in [*by, value, "charge_period_start"]:
        if name not in frame.columns:
            raise SettingsError(f"The rows have no column {name!r}. {hint(name, [str(c) for c in frame.columns])}")
    if freq == "h" and not tells_hours(frame):
        raise DataError("These rows are cells of whole days: for hours take the rows themselves, ws.allocated(month).")
    rows = pd.DataFrame({"ds": local_middle(frame, timezone)})
    for name in by:
        rows[name] = frame[name].astype(object).where(frame[name].notna(), NONE).astype(str).to_numpy()
    rows["y"] = frame[value].astype("float64").to_numpy()
    if "cost" in value:
        check_one_currency(frame, value)
    rows = rows[rows["y"].notna()]
    if until is not None:
        rows = rows[rows["ds"] < pd.Timestamp(until).tz_localize(None)]
    if rows.empty:
        raise DataError(f"No row has a {value}: nothing to forecast from. Price the rows, or widen the window.")
    rows["ds"] = _floor(rows["ds"], freq)
    summed = (
        rows.groupby([*by, "ds"], as_index=False)["y"].sum() if by else rows.groupby("ds", as_index=False)["y"].sum()
    )
    grid = pd.date_range(summed["ds"].min(), summed["ds"].max(), freq=freq)
    if not by:
        whole = summed.set_index("ds")["y"].reindex(grid, fill_value=0.0).rename_axis("ds").reset_index()
        out: pd.DataFrame = whole.assign(unique_id=TOTAL)[["unique_id", "ds", "y"]]
        return out
    wide = summed.pivot(index="ds", columns=by, values="y").reindex(grid).fillna(0.0)
    wide.index.name = "ds"
    keys = wide.columns if len(by) > 1 else [(key,) for key in wide.columns]
    parts = [
        pd.DataFrame(
            {
                "unique_id": unique_id(key),
                "ds": grid,
                "y": wide.iloc[:, i].to_numpy(),
                **dict(zip(by, key, strict=True)),
            }
        )
        for i, key in enumerate(keys)
    ]
    return pd.concat(parts, ignore_index=True)


def check_one_currency(frame: pd.DataFrame, value: str = "effective_cost") -> None:
    """Refuse rows in several currencies.

    Raises:
        DataError: names the currencies.
    """
    if "pricing_currency" in frame.columns:
        currencies = sorted(frame.loc[frame[value].notna(), "pricing_currency"].dropna().unique())
        if len(currencies) > 1:
            raise DataError(
                f"The rows are in several currencies ({', '.join(currencies)}): convert them or forecast one at a time."
            )


def unique_id(key: Sequence[str]) -> str:
    """Name of the series of one combination of dimensions.

    >>> unique_id(("search", "gpt-5"))
    'search / gpt-5'
    """
    return " / ".join(key) if key else TOTAL


def local_middle(frame: pd.DataFrame, timezone: str = "UTC") -> pd.Series:
    """The middle of each slice as local time without a zone; its start where there is no end."""
    start = frame["charge_period_start"]
    middle = start + (frame["charge_period_end"] - start) / 2 if "charge_period_end" in frame.columns else start
    return middle.dt.tz_convert(zone(timezone)).dt.tz_localize(None).astype("datetime64[ns]")


def _floor(instants: pd.Series, freq: str) -> pd.Series:
    out: pd.Series
    if freq == "MS":
        out = instants.dt.to_period("M").dt.to_timestamp()
        return out
    try:
        out = instants.dt.floor(freq)
        return out
    except ValueError:
        raise SettingsError(f"freq is {freq!r}: give h (hourly), D (daily) or MS (monthly).") from None


def end_of_data(frame: pd.DataFrame, timezone: str = "UTC") -> pd.Timestamp:
    """Local midnight after the last whole day of the rows (rows may end in the middle of a day).

    The last row of a provider's UTC day closes that day in any zone up to twelve hours away.
    """
    if frame.empty:
        raise DataError("There are no rows: nothing to forecast from.")
    last = frame.iloc[[int(frame["charge_period_end"].argmax())]]
    end: pd.Timestamp = last["charge_period_end"].iloc[0]
    if end - last["charge_period_start"].iloc[0] >= pd.Timedelta(days=1):
        first: pd.Timestamp = local_middle(last, timezone).iloc[0].floor("D")
        return first + pd.Timedelta(days=1)
    return end.tz_convert(zone(timezone)).tz_localize(None).floor("D")
