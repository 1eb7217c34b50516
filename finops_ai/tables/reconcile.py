"""Whether computed cost ties to the bill: three sides by account and month, the difference split into named causes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa

from finops_ai.errors import FrameError, hint
from finops_ai.frames import to_pandas
from finops_ai.frames.origin import zone_of
from finops_ai.frames.types import COST_TYPE, QUANTITY_TYPE
from finops_ai.money import minor_units, published, round_to_total, written
from finops_ai.periods import Window, zone
from finops_ai.store.parting import told_tokens
from finops_ai.tables.both_sides import accounts_of
from finops_ai.tables.causes import CAUSES, Account, Key, summed
from finops_ai.tables.cycles import cycles_of, reaching_into
from finops_ai.tables.doubts import guesses, in_words
from finops_ai.tables.result import Facts, Table
from finops_ai.tables.tolerance import Tolerance

if TYPE_CHECKING:
    from finops_ai.prices.currency import Rates
    from finops_ai.workspace import Workspace

__all__ = ["CAUSES", "Reconciliation", "reconcile", "workspace_reconciliation"]

_ZERO, _DIGITS = Decimal(0), 60
#: cycles are at most this long
_CYCLE = timedelta(days=62)
_ACCOUNT = ("provider", "billing_account_id", "currency")
_DEFAULT = (*_ACCOUNT, "month")
#: rows of a month that are looked at one by one where its cells don't tie, and rows of a result that are kept
ROWS, KEPT = 5_000_000, 50_000
#: causes that only single rows tell apart from each other
_OF_ROWS = ("timezone", "late", "tier", "geography", "meter_mapping", "double_metering", "duplicate_billing", "duplicate_usage",
            "missing_usage", "not_billed", "unexplained")  # fmt: skip
#: column of the result -> part of a cell's key
_CELL = {"sub_account_id": "sub_account", "month": "month", "day": "day", "model": "model", "meter": "meter",
         "service_tier": "tier", "region": "region"}  # fmt: skip


class Reconciliation(Table):
    """Computed against billed cost; `.rows(cause)` gives what a cause is made of."""

    _metadata = [*Table._metadata, "_accounts"]
    _accounts: Mapping[tuple[Any, ...], Account] | None = None

    @property
    def _constructor(self) -> type[Reconciliation]:
        return Reconciliation

    @property
    def status(self) -> str:
        """The worst status of its rows: fail, warn or pass."""
        found = set(self["status"]) if "status" in self.columns else set()
        return next((s for s in ("fail", "warn") if s in found), "pass")

    def guesses(self) -> dict[str, str]:
        """Causes of which some amount is a guess, each with how much and what it may be instead."""
        shown = [(i, set(map(str, self[name]))) for i, name in enumerate(_DEFAULT) if name in self.columns]
        found = guesses(
            entry for account, sides in (self._accounts or {}).items() for entry in sides.entries
            if all(str((*account, entry.key.month)[i]) in values for i, values in shown)
        )  # fmt: skip
        return {cause: in_words(found, cause, self.facts.currency).strip() for cause in found}

    def rows(self, cause: str, **only: str) -> Table:
        """What a cause is made of, cell by cell, largest first.

        Args:
            cause: a name of `finops_ai.tables.causes.CAUSES`.
            only: values of provider, billing_account_id, currency, month or other columns of a cell to look at.

        Returns:
            One row per account, day, sub-account, model, meter, tier and region: `usage_quantity`, `billed_quantity`,
            `computed`, `billed` and `amount`, the cause's part of the cell, and `or_else`: causes that fit it as well, where the
            name is a guess. Amounts add up to the cause.

        Raises:
            FrameError: no such cause or column.
        """
        if cause not in CAUSES:
            raise FrameError(f"No cause called {cause!r}. {hint(cause, CAUSES)}")
        names = [*_ACCOUNT, *_CELL]
        if unknown := [name for name in only if name not in names]:
            raise FrameError(f"Can't look at {unknown[0]!r}. {hint(unknown[0], names)}")
        found: dict[tuple[Any, ...], list[Any]] = {}
        for account, sides in (self._accounts or {}).items():
            for entry in sides.entries:
                place = dict(zip(_ACCOUNT, account, strict=True)) | {c: getattr(entry.key, k) for c, k in _CELL.items()}
                if entry.cause == cause and all(str(place[n]) == str(v) for n, v in only.items()):
                    use, bill = sides.usage.get(entry.key), sides.billed.get(entry.key)
                    row = found.setdefault((*account, entry.key), [place, use, bill, _ZERO, {}])
                    row[3] += entry.amount
                    row[4] |= dict.fromkeys(entry.or_else)
        rows = sorted(found.values(), key=lambda r: (-abs(r[3]), str(r[0])))
        arrays: dict[str, Any] = {
            n: pa.array([None if r[0][n] is None else str(r[0][n]) for r in rows], pa.string()) for n in names
        }
        arrays |= {
            "usage_quantity": pa.array([r[1] and _fit(r[1].quantity, 6) for r in rows], QUANTITY_TYPE),
            "billed_quantity": pa.array([(r[2] and r[2].quantity is not None and _fit(r[2].quantity, 6)) or None for r in rows], QUANTITY_TYPE),
            "computed": pa.array([r[1] and _fit(r[1].cost) for r in rows], COST_TYPE),
            "billed": pa.array([r[2] and _fit(r[2].cost) for r in rows], COST_TYPE),
            "amount": pa.array([_fit(r[3]) for r in rows], COST_TYPE),
            "or_else": pa.array([", ".join(r[4]) or None for r in rows], pa.string()),
        }  # fmt: skip
        what, todo, _ = CAUSES[cause]
        facts = Facts(
            f"{cause.replace('_', ' ').capitalize()}: {what}",
            self.facts.currency,
            money=["computed", "billed", "amount"],
        )
        facts.notes.append(f"What to do: {todo}.")
        return Table.of(to_pandas(pa.table(arrays)), facts)


def reconcile(
    priced: pd.DataFrame,
    bills: pd.DataFrame,
    by: Sequence[str] = _DEFAULT,
    *,
    tolerance: Tolerance | Mapping[str, Any] | None = None,
    rates: Rates | None = None,
    timezone: str | None = None,
    month: str | None = None,
) -> Reconciliation:
    """Compare what usage should cost with what was billed, and name why they differ.

    Compared at day, sub-account, model, meter, tier and region, as far as the bill tells them, and added up.

    Args:
        priced: what `fa.price` returns.
        bills: bill frame of the same period; lines of a cost API beside those of an invoice are the third side.
        by: columns of the result, of provider, billing_account_id, currency, month, day, sub_account_id, model, meter,
            service_tier and region.
        tolerance: what may stay open, as a `[reconcile]` section has it (see `finops_ai.tables.tolerance`).
        rates: exchange rates, where an account is billed in another currency than it is priced in; without them the
            bill's own mean rate is taken, which the notes say.
        timezone: whose days and months; by default those the rows were made for.
        month: only this month is told, `YYYY-MM`; rows and lines around it tell what a billing cycle charges in another month.

    Returns:
        One row per group: `computed` (effective cost; where contracts with credits or capacity were settled, what is
        payable; null where no price is known), `stated` (the provider's own cost, of a cost API or on the usage itself;
        null where none), `billed` (null while the account has no bill of the month), `billed_usage` (what of it is for
        usage), `difference` (billed minus computed,
        what isn't known counting as nothing), one column per cause in `CAUSES` (they add up to the difference exactly),
        `open` (what causes that are faults come to, all signs as amounts), `guessed` (what of the causes has the nearest name
            because the bill tells too little, all signs as amounts; see `or_else` of `.rows`), `captured` (share of billed usage that usage rows
        explain) and `status` (pass, warn or fail by the tolerance; warn where there is no bill). `.rows(cause)` gives the
        cells of a cause; what can't be told apart is in the notes.

    Raises:
        FrameError: rows that aren't priced, or an unknown column in `by`.
        SettingsError: a tolerance that can't be read.

    Example:
        >>> import finops_ai as fa
        >>> table = fa.reconcile(fa.price(fa.sample(months=1)), fa.sample.bills(months=1))
        >>> table[table["month"] == "2026-10"][["provider", "computed", "billed", "status"]].head(2)
        Computed cost against the bill
        provider       computed     billed  status
        anthropic      7,215.64   7,215.64  pass
        azure-openai  12,580.62  12,580.62  pass
        ...
    """
    for frame, column, name in ((priced, "effective_cost", "priced"), (bills, "billed_cost", "bills")):
        if column not in frame.columns:
            raise FrameError(
                f"fa.reconcile: {name} has no column {column!r}; it takes fa.price's rows and a bill frame."
            )
    known = [*_ACCOUNT, *_CELL]
    for name in by:
        if name not in known:
            raise FrameError(f"Can't reconcile by {name!r}. {hint(name, known)}")
    policy = tolerance if isinstance(tolerance, Tolerance) else Tolerance.load(tolerance)
    timezone = zone_of(priced, timezone=timezone)
    with localcontext(prec=_DIGITS):
        accounts, stated, doubts = accounts_of(priced, bills, timezone, rates)
        for account in accounts.values():
            account.explain()
        rows = _rows(accounts, stated, list(by), policy, month)
    return _table(
        rows, list(by), accounts, [*doubts, *sorted({d for a in accounts.values() for d in a.doubts})], priced
    )


def workspace_reconciliation(ws: Workspace, month: str, by: Sequence[str] = _DEFAULT) -> Reconciliation:
    """Whether a workspace's month ties, by the tolerance of its `[reconcile]`: the one answer of commands, pages and gates.

    Made once for each state of the workspace: of the month's cube, and where something is open of its single rows, which
    tell repeated rows and days of another zone apart (up to `ROWS` of them; a note says where cells had to do).

    Args:
        ws: the workspace.
        month: `YYYY-MM` of the reporting zone.
        by: as in `reconcile`.
    """
    policies, head = ws.settings.policies.get("reconcile"), ws.ledger.head()
    with ws.steady():
        found = ws.recent.once(
            ("reconciliation", month, tuple(by), ws.digest(), head, repr(policies)),
            lambda: _of_workspace(ws, month, by, Tolerance.load(policies)),
            keep=lambda table: len(table) <= KEPT,
        )
    return found.copy(deep=False)  # what its reader changes in it is nobody else's


def _of_workspace(ws: Workspace, month: str, by: Sequence[str], tolerance: Tolerance) -> Reconciliation:
    bills, around = _with_cycles(ws, month)

    def told(rows: Callable[[str], pd.DataFrame]) -> Reconciliation:
        frames = [rows(name) for name in around]
        usage = pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]
        usage.attrs = rows(month).attrs if len(frames) > 1 else usage.attrs
        only = month if len(around) > 1 else None
        return reconcile(usage, bills, by, tolerance=tolerance, timezone=ws.timezone, month=only)

    table = told(ws.cube)
    table.facts.notes += _beside(ws, month)
    billed = table[table["billed"].notna().to_numpy(bool)]
    if not any(v for cause in _OF_ROWS for v in billed[cause].dropna()):
        return table
    rows = ws.lake.rows_of("tokens", Window.month(month, ws.timezone))
    if rows <= ROWS:
        table = told(ws.priced)
        table.facts.notes += _beside(ws, month)
        return table
    table.facts.notes.append(
        f"{rows:,} rows are too many to look at one by one: repeated rows and days of another zone aren't told apart."
    )
    return table


def _beside(ws: Workspace, month: str) -> list[str]:
    """What connections tell that others count, in a sentence."""
    found = told_tokens(ws.lake, Window.month(month, ws.timezone))
    if not found:
        return []
    who = ", ".join(f"{name} {tokens:,.0f}" for name, tokens in sorted(found.items()))
    return [
        f"Tokens that another connection counts are beside the usage and in no figure: {who}. `people logs` holds them against what counts."
    ]


def _with_cycles(ws: Workspace, month: str) -> tuple[pd.DataFrame, list[str]]:
    """A month's bill with the lines of cycles that reach into it, and the months whose usage its cycles charge."""
    window, bills = Window.month(month, ws.timezone), ws.bills(month)
    before = reaching_into(ws.bills(Window(window.start - _CYCLE, window.start)), window.start)
    bills = pd.concat([bills, before], ignore_index=True) if len(before) else bills
    months = {
        f"{moment:%Y-%m}" for cycle in cycles_of(bills, ws.timezone) for moment in _months_of(cycle.window, ws.timezone)
    }
    return bills, sorted({month, *(months & set(ws.months()))})


def _months_of(window: Window, timezone: str) -> list[Any]:
    return [moment.astimezone(zone(timezone)) for moment in (window.start, window.end - timedelta(microseconds=1))]


def _rows(
    accounts: Mapping[tuple[Any, ...], Account],
    stated: Mapping[tuple[Any, ...], Decimal],
    by: list[str],
    policy: Tolerance,
    only: str | None = None,
) -> list[dict[str, Any]]:
    groups: dict[tuple[Any, ...], dict[str, Any]] = {}

    def row(account: tuple[Any, ...], key: Key) -> dict[str, Any]:
        place = dict(zip(_ACCOUNT, account, strict=True)) | {c: getattr(key, k) for c, k in _CELL.items()}
        name = tuple(place[c] for c in by)
        return groups.setdefault(name, dict(zip(by, name, strict=True)) | {
            "computed": _ZERO, "stated": None, "billed": _ZERO, "entries": [], "usage": _ZERO, "lines": 0, "provider_": account[0],
            "rows": 0, "priced": 0, "has_bill": False,
        })  # fmt: skip

    for account, sides in accounts.items():
        billed_months = {key.month for key in sides.billed} | {month for month, _ in sides.loose}
        billed_months |= {entry.key.month for entry in sides.entries if entry.line}
        for key, use in sides.computed.items():
            if only and key.month != only:
                continue
            found = row(account, key)
            found["computed"] += use.cost
            found["rows"], found["priced"] = found["rows"] + use.rows, found["priced"] + use.rows - use.unpriced
            found["has_bill"] |= key.month in billed_months
            if use.stated is not None:
                found["stated"] = (found["stated"] or _ZERO) + use.stated
        for key, bill in sides.billed.items():
            if only and key.month != only:
                continue
            found = row(account, key)
            found["has_bill"] = True
            found["billed"] += bill.cost
            found["usage"] += bill.cost
            found["lines"] += bill.lines
        for (month, model), bill in sides.loose.items():
            if only and month != only:
                continue
            found = row(account, Key(month, None, None, model, "unmapped", None, None))
            found["has_bill"] = True
            found["billed"] += bill.cost
            found["usage"] += bill.cost
            found["lines"] += bill.lines
        for entry in sides.entries:
            if only and entry.key.month != only:
                continue
            found = row(account, entry.key)
            found["entries"].append(entry)
            found["has_bill"] |= entry.key.month in billed_months
            if entry.line:
                found["billed"] += entry.amount
                found["lines"] += 1
    for place, amount in stated.items():
        if set(by) <= {*_ACCOUNT, "month"}:
            name = tuple(dict(zip(_DEFAULT, place, strict=True))[c] for c in by)
            if name in groups:
                groups[name]["stated"] = amount
    return [_finished(r, policy) for _, r in sorted(groups.items(), key=lambda item: str(item[0]))]


def _finished(row: dict[str, Any], policy: Tolerance) -> dict[str, Any]:
    computed, billed = _fit(row["computed"]), _fit(row["billed"])
    sums = dict.fromkeys(CAUSES, _ZERO) | summed(row["entries"])
    rest = billed - computed - sum(sums.values(), _ZERO)
    if abs(rest) < Decimal("1e-9"):  # digits beyond the 18th of many cells
        largest = max(sums, key=lambda c: abs(sums[c]))
        sums[largest] += rest
    else:
        sums["unexplained"] += rest
    missed = sum((e.amount for e in row["entries"] if e.cause == "missing_usage"), _ZERO)
    apart: dict[str, Decimal] = {}
    for entry in row["entries"]:
        if CAUSES[entry.cause][2]:
            apart[entry.cause] = apart.get(entry.cause, _ZERO) + abs(entry.amount)
    told = guesses(row["entries"])
    open_amount = sum(apart.values(), _ZERO) + (abs(rest) if abs(rest) >= Decimal("1e-9") else _ZERO)
    status = policy.status(row["provider_"], open_amount, billed) if row["lines"] else "warn" if computed else "pass"
    unknown = {"computed": bool(row["rows"]) and not row["priced"], "billed": not row["has_bill"]}
    return row | sums | {
        "computed": None if unknown["computed"] else computed, "billed": None if unknown["billed"] else billed,
        "difference": billed - computed, "open": _fit(open_amount), "status": status,
        "guessed": _fit(sum((amount for amount, _ in told.values()), _ZERO)),
        "captured": _explained(missed, row["usage"]), "missed": missed,
        "billed_usage": row["usage"] if row["has_bill"] else None,
    }  # fmt: skip


def _explained(missed: Decimal, usage: Decimal) -> float | None:
    """Share of billed usage that usage rows show; what a bill takes back of usage nobody shows makes it no more than all."""
    return float(1 - max(missed, _ZERO) / usage) if usage > 0 else None


def _table(
    rows: list[dict[str, Any]],
    by: list[str],
    accounts: Mapping[tuple[Any, ...], Account],
    doubts: list[str],
    priced: pd.DataFrame,
) -> Reconciliation:
    names = ["computed", "stated", "billed", "billed_usage", "difference", *CAUSES, "open", "guessed"]
    arrays: dict[str, Any] = {k: pa.array([None if r[k] is None else str(r[k]) for r in rows], pa.string()) for k in by}
    arrays |= {k: pa.array([r[k] if r[k] is None else _fit(r[k]) for r in rows], COST_TYPE) for k in names}
    arrays["captured"] = pa.array([r["captured"] for r in rows], pa.float64())
    arrays["status"] = pa.array([r["status"] for r in rows], pa.string())
    currencies = sorted(
        {
            account[2]
            for account, sides in accounts.items()
            if account[2] and (sides.usage or sides.entries or sides.billed)
        }
    )
    facts = Facts("Computed cost against the bill", currencies[0] if len(currencies) == 1 else "", money=names)
    facts.total = len(currencies) == 1
    facts.cents = _in_cents(rows, facts.currency)
    facts.adds = [("difference", tuple(CAUSES))] if facts.cents else []
    facts.conserves = "causes add up to the difference of billed and computed, exactly"
    usage, missed = (sum((r[n] for r in rows), _ZERO) for n in ("usage", "missed"))
    facts.coverage = {"captured": _explained(missed, usage)}
    facts.notes.append(_first_sentence(rows, facts.currency))
    told = guesses(entry for r in rows for entry in r["entries"])
    for cause, (what, todo, _) in CAUSES.items():
        total = sum((r[cause] for r in rows), _ZERO)
        if any(published(r[cause], facts.currency or "USD") for r in rows):
            guess = in_words(told, cause, facts.currency)
            facts.notes.append(
                f"{cause.replace('_', ' ').capitalize()} {written(total, facts.currency, '+')}{guess}: {what}; {todo}."
            )
    facts.notes += doubts
    frame = to_pandas(pa.table(arrays))
    out = Reconciliation(frame)
    out.facts = Table.of(frame, facts, priced).facts
    out._accounts = accounts
    return out


def _in_cents(rows: Sequence[Mapping[str, Any]], currency: str) -> dict[str, list[Decimal | None]]:
    """Both sides in minor units, and what lies between them: each row adds up across.

    What is billed is what is computed and the difference, rounded: where they tie they are the same to the cent, and an
    account's bill is what its journal entries come to. Several currencies, and amounts below one unit in all, are
    published for themselves.
    """
    if not currency or not sum(abs(r[n] or _ZERO) for r in rows for n in ("computed", "billed")) >= 1:
        return {}
    places = minor_units(currency)
    known = iter(round_to_total([r["computed"] for r in rows if r["computed"] is not None], places))
    computed = [None if r["computed"] is None else next(known) for r in rows]
    between: list[Decimal | None] = []
    billed: list[Decimal | None] = []
    for row, one in zip(rows, computed, strict=True):
        if row["billed"] is None:
            billed.append(None)
            between.append(-(one or _ZERO))
        else:
            between.append(round(row["difference"], places))
            billed.append((one or _ZERO) + round(row["difference"], places))
    return {"computed": computed, "billed": billed, "difference": between}


def _first_sentence(rows: Sequence[Mapping[str, Any]], currency: str) -> str:
    """Whether it ties, in a sentence."""
    counts = {s: sum(r["status"] == s for r in rows) for s in ("pass", "warn", "fail")}
    if not rows:
        return "There is neither usage nor a bill."
    billed, computed = (sum((r[n] or _ZERO for r in rows), _ZERO) for n in ("billed", "computed"))
    money = f"billed {written(billed, currency)}, computed {written(computed, currency)} {currency}".rstrip()
    if all(r["computed"] is None for r in rows if r["rows"]) and any(r["rows"] for r in rows):
        bill = (
            f"billed {written(billed, currency)} {currency}".rstrip()
            if any(r["lines"] for r in rows)
            else "there is no bill yet, either"
        )
        return f"No price is known for the usage, so nothing is computed ({bill})."
    if not any(r["lines"] for r in rows):
        return f"No bill is there yet: computed {written(computed, currency)} {currency}".rstrip() + "."
    if counts["fail"]:
        return f"It doesn't tie: {counts['fail']} of {len(rows)} rows are beyond the tolerance ({money})."
    if counts["warn"]:
        return f"It ties with doubts: {counts['warn']} of {len(rows)} rows are near the tolerance or without a bill ({money})."
    return f"It ties: nothing beyond the tolerance is open ({money})."


def _fit(value: Decimal, places: int = 18) -> Decimal:
    return value.quantize(Decimal(1).scaleb(-places))
