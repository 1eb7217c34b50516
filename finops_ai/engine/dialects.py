"""What differs between the SQL engines a plan runs on: quoting, matching, tags, dates. Everything else is shared."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True)
class Dialect:
    """Spelling of one engine. Each text takes `{x}` (an expression) and `{v}` (a literal) where it needs them."""

    name: str
    quote: str
    prefix: str
    regex: str
    tag: str
    to_utc: str
    month: str
    add_seconds: str
    quantity: str
    cost: str
    hash: str
    trim: str
    split: str
    extract: str
    backslash: bool

    def ident(self, name: str) -> str:
        """A quoted column or table name.

        >>> DUCKDB.ident('a"b')
        '"a""b"'
        """
        return self.quote + name.replace(self.quote, self.quote * 2) + self.quote

    def literal(self, value: object) -> str:
        """A value as an SQL literal; text can't end the literal or be expanded by the engine.

        >>> DUCKDB.literal("it's"), SPARK.literal("it's ${x}"), DUCKDB.literal(None)
        ("'it''s'", "'it\\\\'s \\\\u0024{x}'", 'NULL')
        """
        if value is None:
            return "NULL"
        if isinstance(value, bool):
            return "TRUE" if value else "FALSE"
        if isinstance(value, int | Decimal):
            return f"{value:f}" if isinstance(value, Decimal) else str(value)
        if isinstance(value, float):
            return repr(value)
        if isinstance(value, dt.datetime):
            moment = value.astimezone(dt.UTC) if value.tzinfo else value
            return f"TIMESTAMP '{moment:%Y-%m-%d %H:%M:%S.%f}'"
        if isinstance(value, dt.date):
            return f"DATE '{value:%Y-%m-%d}'"
        text = str(value)
        if not self.backslash:
            return "'" + text.replace("'", "''") + "'"
        for raw, escaped in (("\\", "\\\\"), ("'", "\\'"), ("\n", "\\n"), ("\r", "\\r"), ("$", "\\u0024")):
            text = text.replace(raw, escaped)
        return f"'{text}'"

    def one_of(self, expression: str, values: Sequence[object]) -> str:
        """`expression IN (...)`."""
        return f"{expression} IN ({', '.join(self.literal(v) for v in values)})"

    def local_time(self, expression: str, offsets: Sequence[tuple[dt.datetime, int]]) -> str:
        """A UTC instant moved to a reporting zone by its dated offsets (`finops_ai.periods.utc_offsets`)."""
        if not any(seconds for _, seconds in offsets):
            return expression
        text = self.add_seconds.format(x=expression, v=offsets[0][1])
        for since, seconds in offsets[1:]:
            moved = self.add_seconds.format(x=expression, v=seconds)
            text = f"CASE WHEN {expression} >= {self.literal(since)} THEN {moved} ELSE {text} END"
        return text


DUCKDB = Dialect(
    name="duckdb",
    quote='"',
    prefix="starts_with({x}, {v})",
    regex="regexp_matches({x}, {v})",
    tag="{x}[{v}]",
    to_utc="make_timestamp(epoch_us({x}))",
    month="CAST(date_trunc('month', {x}) AS DATE)",
    add_seconds="{x} + INTERVAL ({v}) SECOND",
    quantity="DECIMAL(19,6)",
    cost="DECIMAL(38,18)",
    hash="hash({v})",
    trim="trim({x}, ' ')",
    split="split_part({x}, {v}, {n})",
    extract="regexp_extract({x}, {v}, {n})",
    backslash=False,
)
SPARK = Dialect(
    name="spark",
    quote="`",
    prefix="startswith({x}, {v})",
    regex="{x} RLIKE {v}",
    tag="{x}[{v}]",
    to_utc="{x}",
    month="CAST(date_trunc('MONTH', {x}) AS DATE)",
    add_seconds="timestampadd(SECOND, {v}, {x})",
    quantity="DECIMAL(19,6)",
    cost="DECIMAL(38,18)",
    hash="xxhash64({v})",
    trim="trim({x})",
    split="split_part({x}, {v}, {n})",
    extract="regexp_extract({x}, {v}, {n})",
    backslash=True,
)
BIGQUERY = Dialect(
    name="bigquery",
    quote="`",
    prefix="STARTS_WITH({x}, {v})",
    regex="REGEXP_CONTAINS({x}, {v})",
    tag="(SELECT t.value FROM UNNEST({x}.key_value) AS t WHERE t.key = {v} LIMIT 1)",
    to_utc="{x}",
    month="CAST(TIMESTAMP_TRUNC({x}, MONTH) AS DATE)",
    add_seconds="TIMESTAMP_ADD({x}, INTERVAL {v} SECOND)",
    quantity="NUMERIC",
    cost="BIGNUMERIC",
    hash="FARM_FINGERPRINT(TO_JSON_STRING(STRUCT({v})))",
    trim="TRIM({x}, ' ')",
    split="SPLIT({x}, {v})[SAFE_ORDINAL({n})]",
    extract="REGEXP_EXTRACT({x}, {v})",
    backslash=True,
)
DIALECTS = {d.name: d for d in (DUCKDB, SPARK, BIGQUERY)}
