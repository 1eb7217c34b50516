"""The vendor's figures against local logs: what differs, and why, so that one road can be trusted as the money."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa

from finops_ai.engine.duck import connect
from finops_ai.errors import FrameError, hint
from finops_ai.frames import to_pandas
from finops_ai.frames.origin import zone_of
from finops_ai.frames.types import COST_TYPE
from finops_ai.identity import NO_TEAM, Identities
from finops_ai.money import COST
from finops_ai.people.consumption import register_consumed
from finops_ai.people.privacy import Privacy, told
from finops_ai.periods import Window, next_month, parse_month
from finops_ai.tables.result import Facts, Table

#: why the two differ
CAUSES = ("only_vendor", "only_logs", "tokens", "price")


def vendor_against_logs(
    usage: pd.DataFrame,
    identities: Identities | None = None,
    *,
    month: str | Window,
    by: Sequence[str] = ("person", "provider"),
    privacy: Privacy | None = None,
    timezone: str | None = None,
) -> Table:
    """The vendor's own figures held against local logs, person by person and day by day, with the difference explained.

    Both are what use is worth, at the vendor's rates and at list prices: neither is added to the other, and of the vendor's only
    what was charged is cash.

    Args:
        usage: priced rows of both: the vendor's (`money_basis` cash and included, and a tool's use billed as it is used) and those
            of logs (list).
        identities: who is who; without it each account counts for itself.
        month: `YYYY-MM`, or a window.
        by: of person, provider, team and day.
        privacy: what may be seen of persons.
        timezone: whose days; by default that of the rows.

    Returns:
        One row per group: `vendor` and `logs` (what use is worth by each), `difference` (vendor less logs) and its causes, which
        add up to it exactly: `only_vendor` (days that no log tells of: another machine, the web, a cloud agent), `only_logs` (days
        the vendor doesn't have: another account, an own key), `tokens` (days of both, more or fewer tokens, at the logs' price) and
        `price` (the same tokens at another price); `vendor_tokens` and `logged_tokens`.

    Raises:
        FrameError: usage that isn't priced, or an unknown key.

    Example:
        >>> import finops_ai as fa
        >>> people = fa.sample.engineers()
        >>> row = fa.vendor_against_logs(people.usage, people.identities, month="2026-10", by=[]).iloc[0]
        >>> row["only_vendor"] + row["only_logs"] + row["tokens"] + row["price"] == row["difference"]
        True
    """
    keys = {"person": "who", "provider": "vendor", "team": f"coalesce(team, '{NO_TEAM}')", "day": "day"}
    for key in by:
        if key not in keys:
            raise FrameError(f"vendor_against_logs can't group by {key!r}. {hint(key, list(keys))}")
    identities = identities or Identities()
    privacy, timezone = told(privacy, identities), zone_of(usage, timezone=timezone)
    window = (
        Window.of(parse_month(month), next_month(parse_month(month)), timezone) if isinstance(month, str) else month
    )
    with connect() as con:
        register_consumed(con, usage, identities, window, timezone)
        days = con.sql("""
            WITH told AS (
              SELECT * REPLACE (has_vendor OR by_tool AND billed <> 0 AS has_vendor), CASE WHEN by_tool THEN billed ELSE 0 END AS as_used,
                CASE WHEN by_tool THEN billed_tokens ELSE 0 END AS tokens_as_used FROM consumed)
            SELECT day, vendor, coalesce(team, 'unallocated') AS team, who, any_value(person) AS person, any_value(account) AS account, currency,
              sum(cash + included + as_used) AS at_vendor, sum(logged) AS by_logs, sum(vendor_tokens + tokens_as_used) AS vendor_tokens, sum(logged_tokens) AS logged_tokens,
              bool_or(has_vendor) AS has_vendor, bool_or(has_logs) AS has_logs
            FROM told WHERE has_vendor OR has_logs GROUP BY ALL ORDER BY ALL""").to_arrow_table()
    groups: dict[tuple[Any, ...], dict[str, Decimal]] = {}
    currencies = sorted({c for c in days["currency"].to_pylist() if c})
    several = ["currency"] if len(currencies) > 1 else []
    for row in days.to_pylist():
        shown = {"person": privacy.name(row["person"], row["account"]), "provider": row["vendor"], "team": row["team"], "day": row["day"], "currency": row["currency"]}  # fmt: skip
        group = groups.setdefault(tuple(shown[k] for k in (*by, *several)), dict.fromkeys(_SUMS, Decimal(0)))
        for name, value in _differences(row).items():
            group[name] += value
    kinds: dict[str, pa.DataType] = {k: pa.date32() if k == "day" else pa.string() for k in (*by, *several)}
    kinds |= {name: pa.decimal128(38, 6) if name.endswith("tokens") else COST_TYPE for name in _SUMS}
    rows = [dict(zip((*by, *several), key, strict=True)) | group for key, group in sorted(groups.items(), key=str)]
    facts = Facts(
        "The vendor's figures against logs",
        "" if several else next(iter(currencies), ""),
        month if isinstance(month, str) else month.in_words(timezone),
        conserves="the causes are the difference, exactly",
        notes=["Both are what use is worth: neither is added to the other, and only what the vendor charged is cash."],
        money=["difference", "vendor", "logs", *CAUSES],
        adds=[("difference", CAUSES)],
        charged=True,
    )
    frame = to_pandas(pa.table({name: pa.array([r[name] for r in rows], kind) for name, kind in kinds.items()}))
    return Table.of(frame, facts, usage)


_SUMS = ("vendor", "logs", "difference", *CAUSES, "vendor_tokens", "logged_tokens")


def _differences(row: dict[str, Any]) -> dict[str, Decimal]:
    """A person's day by both roads, and the causes of its difference."""
    vendor, logs = (Decimal(int(row[name])).scaleb(-COST[1]) for name in ("at_vendor", "by_logs"))
    at, by = Decimal(row["vendor_tokens"] or 0), Decimal(row["logged_tokens"] or 0)
    out = dict.fromkeys(_SUMS, Decimal(0))
    out |= {"vendor": vendor, "logs": logs, "difference": vendor - logs, "vendor_tokens": at, "logged_tokens": by}
    if not row["has_logs"]:
        out["only_vendor"] = vendor
    elif not row["has_vendor"]:
        out["only_logs"] = -logs
    else:
        out["tokens"] = ((at - by) * logs / by).quantize(Decimal(1).scaleb(-COST[1])) if by and at else Decimal(0)
        out["price"] = vendor - logs - out["tokens"]
    return out


__all__ = ["CAUSES", "vendor_against_logs"]
