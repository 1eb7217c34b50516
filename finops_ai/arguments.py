"""What public functions are given, looked at once at the door: the usual mistakes get a sentence with the fix."""

from __future__ import annotations

import datetime as dt
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

#: parameters that take a frame of usage
FRAMES = {"tokens", "priced", "allocated", "before", "after", "history", "frame", "cost", "usage"}
#: annotations of which each is a table or none
TABLES = {"pd.DataFrame", "pa.Table", "None"}
#: what every charge says of itself
BILLED = ("billed_cost", "billing_currency", "charge_category", "charge_description")

#: ten trillion units: the most that a quantity can be (DECIMAL(19,6))
MOST = 10**13

#: those whose result is an estimate: floats lose nothing that it could tell
ESTIMATES = {"forecast", "backtest", "plan", "save_plan", "compare_plans"}


@functools.cache
def careful(function: Callable[..., Any]) -> Callable[..., Any]:
    """A public function that checks what it is given, and accepts what can only mean one thing.

    One name or number where a list is meant, a day or instant where its month is, and any table that speaks Arrow
    (polars, pyarrow, DuckDB) where a frame is.
    """
    from finops_ai.expected import alternatives, complaint, taken

    name, signature = function.__name__, inspect.signature(function)

    @functools.wraps(function)
    def checked(*args: object, **kwargs: object) -> Any:
        from finops_ai.errors import SettingsError

        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise SettingsError(_usage(name, signature, error, kwargs)) from None
        given = bound.arguments
        for key, value in list(given.items()):
            parameter = signature.parameters[key]
            if parameter.kind is parameter.VAR_KEYWORD:
                continue
            kinds = alternatives(parameter.annotation)
            if "pd.DataFrame" in kinds and (TABLES.issuperset(kinds) or _is_table(value)):
                given[key] = value if value is None and "None" in kinds else _frame(name, key, value)
            elif key == "month" and isinstance(value, dt.date):
                given[key] = f"{value:%Y-%m}"
            else:
                given[key] = value = taken(parameter.annotation, value)
                if wrong := complaint(parameter.annotation, value):
                    raise SettingsError(f"fa.{name}: `{key}` {wrong}")
        _has_month(name, given)
        try:
            return function(*bound.args, **bound.kwargs)
        except ModuleNotFoundError as error:
            from finops_ai.extras import missing_extra

            raise missing_extra(error) or error from None

    return checked


def _is_table(value: object) -> bool:
    return hasattr(value, "__arrow_c_stream__")


def _usage(name: str, signature: inspect.Signature, error: TypeError, given: Mapping[str, Any]) -> str:
    from finops_ai.errors import hint

    plain = ", ".join(
        n if p.default is inspect.Parameter.empty else f"{n}={p.default!r}" for n, p in signature.parameters.items()
    )
    unknown = [key for key in given if key not in signature.parameters]
    if unknown and not any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values()):
        return f"fa.{name} has no argument {unknown[0]!r}. {hint(unknown[0], list(signature.parameters))}"
    return f"fa.{name}: {error}. It is called as fa.{name}({plain}); help(fa.{name}) tells what each is."


def _as_table(value: object) -> pd.DataFrame | None:
    """Another kind of table as a frame; None for what is none, such as a single column."""
    if not _is_table(value):
        return None
    import pyarrow as pa

    from finops_ai.frames import to_pandas

    try:
        return to_pandas(pa.table(value))
    except (pa.ArrowInvalid, TypeError, ValueError):
        return None


def _frame(name: str, key: str, value: object) -> Any:
    """The frame itself, or one made of another kind of table.

    Raises:
        FrameError: it is no table, or its columns lost their types; says how to get it right.
    """
    import pandas as pd

    from finops_ai.errors import FrameError

    if not isinstance(value, pd.DataFrame):
        table = _as_table(value)
        if table is None:
            fix = (
                "read a file with fa.read(path, format=...)"
                if isinstance(value, str)
                else "make one with fa.read, fa.collect or fa.sample"
            )
            raise FrameError(f"fa.{name}: `{key}` must be a frame, got {type(value).__name__}; {fix}.")
        value = table
    if key == "bills" and (missing := [c for c in BILLED if c not in value.columns]):
        raise FrameError(
            f"fa.{name}: `bills` lacks {', '.join(missing)}, so it is no bill frame. Take fa.sample.bills(), a connector's "
            "bills(window) or a workspace's ws.bills(month); usage comes first."
        )
    if "charge_period_start" in value.columns and len(value) and key in FRAMES:
        _typed(name, value)
        _once(name, value)
    return value


def _typed(name: str, frame: pd.DataFrame) -> None:
    import pandas as pd

    from finops_ai.errors import FrameError

    start = frame["charge_period_start"].dtype
    if not pd.api.types.is_datetime64_any_dtype(start) and "timestamp" not in str(start):
        raise FrameError(
            f"fa.{name}: charge_period_start is {start}, not a time: a CSV file keeps no types. Keep frames with "
            "frame.to_parquet(path) and pd.read_parquet(path, dtype_backend='pyarrow'), or read an export with fa.read."
        )
    if getattr(start, "tz", None) is None and "tz=" not in str(start):
        raise FrameError(
            f"fa.{name}: charge_period_start has no time zone. Say which it is: "
            "frame.assign(charge_period_start=frame.charge_period_start.dt.tz_localize('UTC'), ...), the same for charge_period_end."
        )
    for column in ("meter", "model", "provider") if "quantity" in frame.columns else ():
        if column in frame.columns and (unknown := frame[column].isna().to_numpy(bool)).any():
            raise FrameError(
                f"fa.{name}: {column} is missing in row {int(unknown.argmax())}, and {int(unknown.sum())} in all. Usage that "
                "names none is of the meter or model 'unmapped'; frame.dropna(subset=[...]) leaves it out."
            )
    if "quantity" in frame.columns:
        if pd.api.types.is_string_dtype(frame["quantity"]) and isinstance(frame["quantity"].iloc[0], str):
            raise FrameError(
                f"fa.{name}: quantity is text, such as {frame['quantity'].iloc[0]!r}. Read the export with fa.read, or make numbers "
                "of it with frame.quantity.map(decimal.Decimal)."
            )
        floats = pd.api.types.is_float_dtype(frame["quantity"]) or (
            frame["quantity"].dtype == object and _holds_floats(frame)
        )
        if floats and name not in ESTIMATES:
            raise FrameError(
                f"fa.{name}: quantity is {frame['quantity'].dtype}, and floats lose digits. Keep the exact decimals of fa.read; "
                "finops_ai.frames.conform({...}) makes a frame of whole numbers or Decimals."
            )
        negative = (frame["quantity"] < 0).fillna(False).to_numpy(bool)
        if negative.any():
            row = int(negative.argmax())
            raise FrameError(
                f"fa.{name}: quantity is {frame['quantity'].iloc[row]} in row {row}: usage is 0 or more. A refund or credit "
                "is a charge of the bill frame."
            )
        beyond = (frame["quantity"] >= MOST).fillna(False).to_numpy(bool)
        if beyond.any():
            row = int(beyond.argmax())
            raise FrameError(
                f"fa.{name}: quantity is {frame['quantity'].iloc[row]} in row {row}, more than any meter counts: was it read "
                "without its decimal point, or a time or id for a count?"
            )


def _holds_floats(frame: pd.DataFrame) -> bool:
    return isinstance(frame["quantity"].iloc[0], float)


#: rows below which standing twice says nothing
_FEW = 100


def _once(name: str, frame: pd.DataFrame) -> None:
    """Rows that stand twice, such as a frame put together with itself."""
    from finops_ai.errors import FrameError

    if len(frame) < _FEW:  # few rows may well be alike
        return
    half = len(frame) // 2
    suspect = frame.index.has_duplicates
    if not suspect and len(frame) % 2 == 0 and half:
        start = frame["charge_period_start"].array
        suspect = start[0] == start[half] and bool((start[:half] == start[half:]).all())
    if not suspect:
        return
    twice = _alike(frame)
    if twice and twice * 2 >= len(frame) * 0.9:
        raise FrameError(
            f"fa.{name}: {twice:,} of {len(frame):,} rows stand twice: the frame seems to be put together with itself. "
            "Put different months together, or take frame[~frame.index.duplicated()]."
        )


def _alike(frame: pd.DataFrame) -> int:
    """How many rows say all that an earlier row says: rows less their different hashes."""
    import duckdb
    import pyarrow as pa

    from finops_ai.frames import to_arrow

    try:
        table = to_arrow(frame)
    except (pa.ArrowException, TypeError, ValueError):  # a column of mixed kinds: who reads it says so better
        return 0
    with duckdb.connect() as con:
        con.register("rows", table)
        ((twice,),) = con.sql("SELECT count(*) - count(DISTINCT hash(t)) FROM rows t").fetchall()
    return int(twice)


def _has_month(name: str, given: Mapping[str, Any]) -> None:
    """A month that the frame holds nothing of.

    Raises:
        DataError: names the months it does hold.
    """
    import pandas as pd

    from finops_ai.errors import DataError
    from finops_ai.periods import parse_month

    month, frame = given.get("month"), next(iter(given.values()), None)
    if not isinstance(month, str) or not isinstance(frame, pd.DataFrame) or "charge_period_start" not in frame:
        return
    first = parse_month(month)
    start = frame["charge_period_start"]
    if frame.empty:
        raise DataError(f"fa.{name}: the frame has no rows, so there is nothing of {month}. Collect the month first.")
    # a day of leeway for time zones
    low, high = start.min().date(), start.max().date()
    begin, end = first - dt.timedelta(days=1), (first.replace(day=28) + dt.timedelta(days=5)).replace(day=2)
    if high < begin or low > end:
        raise DataError(f"fa.{name}: nothing of {month}: the frame holds {low:%Y-%m} to {high:%Y-%m}.")
