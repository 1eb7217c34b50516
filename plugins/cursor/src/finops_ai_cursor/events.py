"""Usage events as token frames: which money each is, and its four disjoint counts."""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from finops_ai.errors import ProviderError
from finops_ai.frames import conform
from finops_ai.frames.types import COST_TYPE, TAGS_TYPE
from finops_ai.meters import disjoint_columns, tokens_from_slices
from finops_ai.money import exact
from finops_ai.periods import Window
from finops_ai.providers.parsing import require_shape
from finops_ai_cursor.api import MILLISECOND, mail, moment
from finops_ai_cursor.groups import Groups
from finops_ai_cursor.listing import Row
from finops_ai_cursor.shapes import EVENT

if TYPE_CHECKING:
    import pandas as pd

#: what says that an event failed: it costs nothing, whatever cents it carries
FAILED = re.compile(r"error|abort|cancel|fail|not charged|no charge", re.IGNORECASE)
#: kinds whose money is known without being told whether they are charged
CHARGED = re.compile(r"usage.based|on.demand|user api key|token.?fee", re.IGNORECASE)
COVERED = re.compile(r"included|free|bonus|promo|trial", re.IGNORECASE)
HUNDRED, SMALLEST = Decimal(100), Decimal("1e-18")


class Event(NamedTuple):
    """One call, from the API or the dashboard's CSV.

    `cost` is in USD, exact; None = not stated. `basis` is cash, included or None (not told). `usage` are the four counts.
    """

    at: dt.datetime
    user: str | None
    model: str
    basis: str | None
    cost: Decimal | None
    failed: bool
    usage: Mapping[str, Any]
    session: str | None = None
    agent: str | None = None
    tags: tuple[tuple[str, str], ...] = ()
    kind: str = ""


def money_of(kind: str, chargeable: Any, cents: Decimal | None) -> tuple[str | None, Decimal | None, bool]:
    """Which money an event is, its cost in USD, and whether it failed.

    >>> money_of("Usage-based", True, Decimal("20.18232")), money_of("Included in Business", False, Decimal(8))
    (('cash', Decimal('0.2018232'), False), ('included', Decimal('0.08'), False))
    >>> money_of("Errored, Not Charged", False, Decimal(27)), money_of("Brand new", None, Decimal(5))
    (('included', Decimal('0'), True), (None, Decimal('0.05'), False))
    """
    cost = None if cents is None else (cents / HUNDRED).quantize(SMALLEST).normalize() + 0
    if chargeable is True:
        return "cash", cost, False
    if FAILED.search(kind):
        return "included", Decimal(0), True
    if chargeable is False or COVERED.search(kind):
        return "included", cost, False
    return ("cash" if CHARGED.search(kind) else None), cost, False


def events_of(rows: Iterable[Row], window: Window, notes: list[str]) -> list[Event]:
    """The API's events that lie in the window.

    Raises:
        ProviderError: an event lacks its time, or a figure is none.
    """
    found: list[Event] = []
    off = 0
    for row in rows:
        require_shape(row, EVENT, "cursor: a usage event")
        try:
            at = moment(row["timestamp"])
            if at not in window:
                continue
            usage = row.get("tokenUsage") or {}
            cents = _cents(row, usage)
            derived = _derived(row, usage)
            off += derived is not None and cents is not None and abs(derived - cents) > Decimal("0.005")
            kind = str(row.get("kind") or "")
            basis, cost, failed = money_of(kind, row.get("isChargeable"), cents)
            counts = {name: count for name, count in usage.items() if name.lower().endswith("tokens")}
        except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
            raise ProviderError(
                f"cursor: a usage event of {row.get('timestamp')} can't be read ({type(error).__name__}: {error}). "
                "Nothing was stored; update finops-ai-cursor if the provider changed its API."
            ) from None
        service = row.get("serviceAccountName") or row.get("serviceAccountId")
        labels = {
            "kind": kind,
            "service_account_id": row.get("serviceAccountId"),
            "cloud_agent_id": row.get("cloudAgentId"),
            "automation_id": row.get("automationId"),
            "hosting_type": row.get("hostingType"),
            "max_mode": "true" if row.get("maxMode") else None,
            "headless": "true" if row.get("isHeadless") else None,
        }
        found.append(
            Event(
                at,
                mail(row.get("userEmail")) or (str(service) if service else None),
                str(row.get("model") or "not stated"),
                basis,
                cost,
                failed,
                counts,
                str(row["conversationId"]) if row.get("conversationId") else None,
                str(service) if service else "cloud-agent" if row.get("cloudAgentId") else None,
                tuple((k, str(v)) for k, v in labels.items() if v),
                kind,
            )
        )
    if off:
        notes.append(
            f"{off} events charge something else than their cents less the discount plus Cursor's fee: what they charge holds."
        )
    return found


def _cents(row: Row, usage: Row) -> Decimal | None:
    """What the event charges in cents: as stated, else made of its parts."""
    if row.get("chargedCents") is not None:
        return exact(row["chargedCents"])
    return _derived(row, usage)


def _derived(row: Row, usage: Row) -> Decimal | None:
    fee = exact(row.get("cursorTokenFee") or 0)
    if str(row.get("kind") or "").lower() == "user api key":  # the model is on the bill of the key's owner
        return fee
    if usage.get("totalCents") is None:
        return fee if row.get("cursorTokenFee") is not None else None
    return exact(usage["totalCents"]) * (1 - exact(usage.get("discountPercentOff") or 0) / HUNDRED) + fee


def token_frame(
    events: Sequence[Event], *, account: str, groups: Groups, source: str, notes: list[str]
) -> pd.DataFrame:
    """Token frame of events, one slice each. Its cost stands once, on the `requests` row.

    Cursor gives events no id, and calls alike in everything are real: `request_id` is an event's time and its number among
    those that are alike, so that twins are two rows. It is no key to join by.
    """
    unknown = sorted({event.kind for event in events if event.basis is None})
    if unknown:
        much = sum((event.cost or Decimal(0) for event in events if event.basis is None), Decimal(0))
        notes.append(
            f"Whether events of the kind {', '.join(map(repr, unknown))} are charged isn't told ({much:f} USD)."
        )
    if not events:
        return conform({}, source="cursor")
    ordered = sorted(events, key=lambda event: (event.at, event.user or "", event.model, str(event)))
    twins: Counter[Any] = Counter()
    ids = []
    for event in ordered:
        alike = (event.at, event.user, event.model, event.session, event.agent, event.tags, event.basis, event.failed)
        twins[alike] += 1
        ids.append(f"{event.at.isoformat(timespec='milliseconds').replace('+00:00', 'Z')}/{twins[alike]}")
    placed = [groups.at(event.user, event.at) for event in ordered]
    counted: dict[str, Any] = disjoint_columns(
        [event.usage for event in ordered], "cursor.event", lambda i: f"The usage event of {ids[i]}", notes
    )
    counted["requests"] = pa.array([1] * len(ordered), pa.int64())
    columns: dict[str, Any] = {
        "charge_period_start": [event.at for event in ordered],
        "charge_period_end": [event.at + MILLISECOND for event in ordered],
        "provider": "cursor",
        "billing_account_id": account,
        "sub_account_id": pa.array([group and group[0] for group in placed], pa.string()),
        "sub_account_name": pa.array([group and group[1] for group in placed], pa.string()),
        "model": [event.model for event in ordered],
        "operation": "chat",
        "service_tier": "standard",
        "user_id": pa.array([event.user for event in ordered], pa.string()),
        "session_id": pa.array([event.session for event in ordered], pa.string()),
        "agent_name": pa.array([event.agent for event in ordered], pa.string()),
        "tool_name": "cursor",
        "tags": pa.array([list(event.tags) or None for event in ordered], TAGS_TYPE),
        "request_id": ids,
        "outcome": ["error" if event.failed else "ok" for event in ordered],
        "source": source,
        "quantity_basis": "metered",
        "money_basis": pa.array([event.basis for event in ordered], pa.string()),
        "billed_cost": pa.array([event.cost for event in ordered], COST_TYPE),
        "billing_currency": "USD",
    }
    table = tokens_from_slices(columns, counted)
    once = pc.if_else(pc.equal(table["meter"], "requests"), table["billed_cost"], pa.scalar(None, COST_TYPE))
    return conform(table.set_column(table.schema.get_field_index("billed_cost"), "billed_cost", once), source="cursor")
