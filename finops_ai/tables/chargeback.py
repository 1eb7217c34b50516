"""Chargeback: what each cost centre is posted for a month, why, and the journal that posts it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from finops_ai.engine.cents import with_cents
from finops_ai.engine.fields import PUBLISHED
from finops_ai.engine.pricing import Book, default_book
from finops_ai.errors import CheckFailed, DataError
from finops_ai.frames import to_pandas
from finops_ai.frames.origin import provenance_of, zone_of
from finops_ai.frames.types import COST_TYPE
from finops_ai.meters import meters
from finops_ai.money import COST, minor_units, round_to_total, written
from finops_ai.periods import Window, parse_month
from finops_ai.tables.grouping import currency_of, grouped
from finops_ai.tables.incentives import WORDS, Month, Score, adjust, bound, measure, plain_shares
from finops_ai.tables.parts import Part, table_of
from finops_ai.tables.policy import Policy, Tariff
from finops_ai.tables.result import Facts, Table
from finops_ai.tables.tariffs import KINDS, MOVED, Line, averages_of, minimum_line, needs_plain, tariff_lines
from finops_ai.tables.tie_out import Bill, left_out, tie_out

#: what a charge is made of
ADDS = ("cost", "bill_lines", "margin", "incentive")


@dataclass
class Chargeback:
    """A month's chargeback.

    Attributes:
        month: `YYYY-MM`.
        currency: of all amounts.
        lines: table of statement lines: receiver, kind, text, quantity, unit, rate, amount (published), exact.
        summary: table per receiver: cost, bill_lines (what else the bill charges or credits it), margin, incentive, charge; the
            first four add up to the charge.
        costs: published cost per (provider, billing account, receiver), the same cents as everywhere.
        not_charged: receivers whose cost stays with the centre.
        parts: how the charges tie to what was billed (see `finops_ai.tables.tie_out`).
    """

    month: str
    currency: str
    dimension: str
    lines: Table
    summary: Table
    costs: Mapping[tuple[str, str, str], Decimal]
    not_charged: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)

    def statement(self, receiver: str) -> Table:
        """One receiver's statement.

        Raises:
            DataError: there is none of that name.
        """
        from finops_ai.errors import hint

        mine = self.lines[(self.lines["receiver"] == receiver).to_numpy()]
        if mine.empty:
            raise DataError(f"No statement for {receiver!r} in {self.month}. {hint(receiver, self.receivers)}")
        shown = pd.DataFrame(mine).drop(columns=["receiver", "exact"]).reset_index(drop=True)
        facts = Facts(
            f"Statement for {receiver}",
            self.currency,
            self.month,
            "its lines add up to its charge",
            money=["amount"],
            charged=True,
        )
        facts.notes = [text for kind, text in zip(mine["kind"], mine["text"], strict=True) if kind == "incentive"]
        facts.provenance = dict(self.provenance)
        return Table.of(shown, facts)

    @property
    def receivers(self) -> list[str]:
        """Who is charged, largest charge first."""
        return list(self.summary["receiver"])

    def tie_out(self) -> Table:
        """How the charges tie to what was billed, item by item (see `finops_ai.tables.tie_out`)."""
        return table_of(self.parts, self.currency, self.month)

    def journal(self, accounts: Mapping[str, Any] | None = None) -> Table:
        """The double-entry journal (see `finops_ai.tables.journal.journal`)."""
        from finops_ai.tables.journal import journal

        return journal(self, accounts)

    def write(self, folder: str | Path, accounts: Mapping[str, Any] | None = None) -> list[Path]:
        """Write statements and journal as CSV, Excel and JSON; returns the files."""
        from finops_ai.tables.journal import write_chargeback

        return write_chargeback(self, Path(folder), accounts)


def chargeback(
    allocated: pd.DataFrame,
    policy: Policy | Mapping[str, Any],
    *,
    month: str,
    timezone: str | None = None,
    book: Book | None = None,
    history: pd.DataFrame | None = None,
    bill: Bill | None = None,
    currency: str = "",
) -> Chargeback:
    """Charge a month's cost to the receivers of a dimension.

    Args:
        allocated: what `fa.allocate` returns; rows outside the month are left out, or serve as the baseline.
        policy: the `[chargeback]` section, as a dict or `Policy`.
        month: `YYYY-MM` of the reporting zone.
        timezone: the reporting zone; by default the one the rows were made for.
        book: price book for the incentives' repricing; the bundled one by default.
        history: allocated rows of earlier months, the baseline of the kinds "model" and "prompt"; by default those in
            `allocated`.
        bill: what the month was billed; its lines that are no use of a model, and billed use without a price, are charged, too.
        currency: what a month is charged in of which nothing is left: nothing, in this currency. By default that is an error.

    Returns:
        A `Chargeback`: charges add up to the cost recovered plus the stated margin, to the cent; incentives add up to 0.

    Raises:
        RuleError: the policy can't be used, or names a dimension the rows don't have.
        DataError: several currencies, or neither priced rows in the month nor a bill.
        CheckFailed: a total is not conserved.

    Example:
        >>> import finops_ai as fa
        >>> cost = fa.allocate(fa.price(fa.sample(months=1)), fa.sample.rules())
        >>> charged = fa.chargeback(cost, {"dimension": "team"}, month="2026-10")
        >>> charged.receivers[:2], charged.statement("legal").facts.title
        (['mobile', 'support'], 'Statement for legal')
    """
    policy = Policy.load(policy)
    policy.check_dimension([str(c) for c in allocated.columns])
    timezone = zone_of(allocated, timezone=timezone)
    window = Window.month(month, timezone)
    rows = _within(allocated, window)
    nothing_in = currency
    currency = currency_of(rows) or currency_of(allocated) or _billed_in(bill) or nothing_in
    if (rows.empty and not _billed_in(bill) and not nothing_in) or not currency:
        several = bill is not None and len(bill.lines)
        why = " and its bill is in several currencies: [currency] in finops.toml brings them to one" if several else ""
        raise DataError(
            f"There are no priced rows in {month} to charge{why}. Collect the month first, or choose another."
        )
    places = minor_units(currency)
    dim = policy.dimension
    usage = _usage(rows, dim, currency)
    costs = _by_receiver(usage)
    charged = [name for name in costs if name not in policy.not_charged]
    averages, tariffs = averages_of(usage), {name: policy.tariff_of(name, month) for name in charged}
    mine: dict[str, list[dict[str, Any]]] = {}
    for u in usage:
        mine.setdefault(u["receiver"], []).append(u)
    plain: dict[str, dict[str, Fraction]] = {}
    if carded := [name for name, tariff in tariffs.items() if needs_plain(tariff)]:
        for (name, kind), share in plain_shares(
            rows[rows[dim].isin(carded).to_numpy()], dim, default_book(book)
        ).items():
            plain.setdefault(name, {})[kind] = share
    lines: list[Line] = []
    for name in charged:
        lines += tariff_lines(name, _merged(mine[name]), tariffs[name], averages, plain.get(name))
    if any(policy.incentives.rates.values()):
        before = baseline_of(allocated if history is None else history, month, policy, timezone, currency)
        lines += _moved(rows, before, lines, mine, tariffs, policy, currency, default_book(book))
    for name in charged:
        lines += minimum_line(name, tariffs[name], sum((x.exact for x in lines if x.receiver == name), Fraction(0)))
    parts = tie_out(rows, dim, _accounts(usage), bill, currency=currency, timezone=timezone)
    added = [p for p in parts if p.receiver and p.item != "usage"]
    charged += [n for n in dict.fromkeys(p.receiver for p in added) if n not in costs and n not in policy.not_charged]
    lines += [
        Line(p.receiver, "bill", p.text, Fraction(p.amount), cents=p.amount) for p in added if p.receiver in charged
    ]
    published = _published(lines, places)
    out = Chargeback(
        month,
        currency,
        dim,
        _lines_table(lines, published, currency, month),
        _summary_table(lines, published, costs, charged, currency, month),
        _accounts(usage),
        tuple(dict.fromkeys(n for n in [*costs, *(p.receiver for p in added)] if n in policy.not_charged)),
        tuple(parts),
    )
    out.summary.facts.notes += left_out(bill, currency)
    out.provenance = provenance_of(rows)
    for table in (out.lines, out.summary):
        table.facts.provenance = dict(out.provenance)
    _check(out, lines, published, costs, charged, places)
    return out


def _within(frame: pd.DataFrame, window: Window) -> pd.DataFrame:
    start = frame["charge_period_start"]
    return frame[((start >= window.start) & (start < window.end)).to_numpy()]


def _billed_in(bill: Bill | None) -> str:
    """The one currency of a bill's lines; of several, or of none, "" is said."""
    found = set() if bill is None else set(bill.lines["billing_currency"].dropna())
    return str(found.pop()) if len(found) == 1 else ""


def baseline_of(frame: pd.DataFrame, month: str, policy: Policy, timezone: str, currency: str) -> list[Month]:
    """The months before one, as far back as a policy's baseline reaches, and how much of each receiver's cost was charged in them.

    What they cost in another currency, such as a closed month's before the group changed its own, is compared with nothing.
    """
    out, last = [], parse_month(month)
    for _ in range(policy.incentives.baseline_months):
        last = (last - timedelta(days=1)).replace(day=1)
        name = f"{last:%Y-%m}"
        rows = _within(frame, Window.month(name, timezone))
        rows = rows[(rows["pricing_currency"].isna() | (rows["pricing_currency"] == currency)).to_numpy(bool)]
        if len(rows):
            costs = grouped(rows, [policy.dimension], {"cost": "sum(effective_cost)"}, needs=("effective_cost",))
            felt = {
                g[policy.dimension]: policy.felt(g[policy.dimension], name, Fraction(g["cost"] or 0)) for g in costs
            }
            out.append(Month(rows, felt))
    return out


def _usage(rows: pd.DataFrame, dim: str, currency: str) -> list[dict[str, Any]]:
    """Cost, its cents and quantity per receiver, account, model and meter class."""
    cents = PUBLISHED in rows.columns and in_minor_units(rows)
    measures = {"quantity": "sum(quantity)", "cost": "sum(effective_cost)"}
    measures |= {"cents": f"sum({PUBLISHED})"} if cents else {}
    keys = ["provider", "billing_account_id", dim, "model", "meter"]
    found = grouped(rows, keys, measures, needs=("quantity", "effective_cost", *([PUBLISHED] if cents else [])))
    if not cents:
        _decide(found, dim, currency)
    out: dict[tuple[Any, ...], dict[str, Any]] = {}
    for g in found:
        kind = meters()[g["meter"]].roll_up or "other"
        unit = meters()[g["meter"]].unit
        key = (g["provider"], g["billing_account_id"], g[dim], g["model"], kind, unit)
        if key not in out:
            names = ("provider", "account", "receiver", "model", "class", "unit")
            out[key] = dict(zip(names, key, strict=True)) | dict.fromkeys(("quantity", "cost", "cents"), Decimal(0))
        for name in ("quantity", "cost", "cents"):
            out[key][name] += g[name] or Decimal(0)
    return list(out.values())


def in_minor_units(rows: pd.DataFrame) -> bool:
    """Whether the published costs of rows can be posted: those of a month below one unit of currency have more places."""
    if PUBLISHED not in rows.columns:
        return True
    each = rows[["pricing_currency", PUBLISHED]].dropna().drop_duplicates().itertuples(index=False)
    return all(cost == round(cost, minor_units(currency)) for currency, cost in each)


def _decide(found: list[dict[str, Any]], dim: str, currency: str) -> None:
    """Cents for rows that have none yet, such as those of a frame with too many of them."""
    frame = pd.DataFrame(found)
    frame["effective_cost"] = pd.array(pa.array(list(frame["cost"]), COST_TYPE), dtype=pd.ArrowDtype(COST_TYPE))
    frame = frame.assign(pricing_currency=currency, charge_period_start=pd.Timestamp("2000-01-01", tz="UTC"))
    for g, value in zip(found, with_cents(frame, [dim], "UTC", finest=False)[PUBLISHED], strict=True):
        g["cents"] = None if value is pd.NA else value


def _merged(usage: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One receiver's usage per model and meter class, whatever account it is on."""
    out: dict[tuple[Any, ...], dict[str, Any]] = {}
    for u in usage:
        key = (u["model"], u["class"], u["unit"])
        kept = out.setdefault(key, u | dict.fromkeys(("quantity", "cost", "cents"), Decimal(0)))
        for name in ("quantity", "cost", "cents"):
            kept[name] += u[name]
    return list(out.values())


def _by_receiver(usage: list[dict[str, Any]]) -> dict[str, Decimal]:
    """Published cost per receiver."""
    out: dict[str, Decimal] = {}
    for u in usage:
        out[u["receiver"]] = out.get(u["receiver"], Decimal(0)) + u["cents"]
    return out


def _moved(
    rows: pd.DataFrame,
    before: list[Month],
    lines: list[Line],
    usage: Mapping[str, list[dict[str, Any]]],
    tariffs: Mapping[str, Tariff],
    policy: Policy,
    currency: str,
    book: Book,
) -> list[Line]:
    """What incentives move between those whose charge follows what their work costs; the others are told why they move nothing."""
    part = [name for name, tariff in tariffs.items() if not tariff.follows]
    out = [Line(name, "incentive", apart(tariff), Fraction(0)) for name, tariff in tariffs.items() if tariff.follows]
    mine = rows[rows[policy.dimension].isin(part).to_numpy()]
    if mine.empty:
        return out
    found = measure(mine, policy.dimension, policy.incentives, book, before)
    charges = {name: sum((x.exact for x in lines if x.receiver == name), Fraction(0)) for name in part}
    exact = {name: sum((Fraction(u["cost"]) for u in usage[name]), Fraction(0)) for name in part}
    return _incentive_lines(adjust(charges, exact, found, policy.incentives), policy, currency) + out


def apart(tariff: Tariff) -> str:
    """Why a receiver takes no part in incentives.

    >>> apart(Tariff("flat", method="subscription"))
    'No incentives, and no part in funding them: the charge follows a fee, not what the work really costs'
    """
    return f"No incentives, and no part in funding them: the charge follows {tariff.follows}, not what the work really costs"


def _incentive_lines(scores: Mapping[str, Score], policy: Policy, currency: str) -> list[Line]:
    """What each kind earned and what everybody's rewards cost a receiver, in words and figures."""
    lines = []
    pool = sum((one.score for one in scores.values()), Fraction(0))
    for name, one in scores.items():
        raw = {k: v * (-1 if k == "idle" else 1) for k, v in one.earned.items()}
        total = sum(raw.values(), Fraction(0))
        for kind, value in raw.items():
            earned = value * one.score / total if total else Fraction(0)
            saving = f"{written(float(one.measured[kind]), currency)} {currency}"
            rate = policy.incentives.rates[kind]
            what = WORDS[kind].format(saving=saving)
            held = one.earned[kind] < Fraction(rate) * one.measured[kind]
            within = f"{float(bound(policy.incentives)):.0%} of what that work cost"
            capped = (
                f", held at {written(float(abs(one.earned[kind])), currency)} {currency}, within {within}"
                if held
                else ""
            )
            capped += f", held at {written(float(one.limit), currency)} {currency} in all" if one.capped else ""
            verb = "charged" if kind == "idle" else "returned"
            text = f"{kind.capitalize()}: {what}; {rate:.0%} of it is {verb}{capped}"
            lines.append(Line(name, "incentive", text, -earned))
        if one.funding:
            part = float(one.funding / pool)
            text = f"Part of everybody's rewards: {part:.1%} of {written(float(pool), currency)} {currency}, in proportion to the charge"
            if pool < 0:
                text = f"Part of what idle capacity is charged: {part:.1%} of {written(float(-pool), currency)} {currency}, in proportion to the charge"
            lines.append(Line(name, "funding", text, one.funding))
    return lines


def _published(lines: list[Line], places: int) -> list[Decimal]:
    """Amounts to publish: the cost itself in its cents, tariffs and incentives each rounded to their own exact total."""
    out = [x.cents or Decimal(0) for x in lines]
    for kinds in (KINDS[: -len(MOVED)], MOVED):
        chosen = [i for i, x in enumerate(lines) if x.kind in kinds and x.cents is None]
        for i, amount in zip(chosen, round_fractions([lines[i].exact for i in chosen], places), strict=True):
            out[i] = amount
    return out


def round_fractions(amounts: list[Fraction], places: int) -> list[Decimal]:
    """Exact fractions rounded to `places`, adding up to their rounded total (largest remainder).

    >>> [str(x) for x in round_fractions([Fraction(1, 3)] * 3, 2)]
    ['0.34', '0.33', '0.33']
    """
    return round_to_total(amounts, places)  # type: ignore[arg-type]


def _decimal(value: Fraction, places: int = 12) -> Decimal:
    return (Decimal(value.numerator) / Decimal(value.denominator)).quantize(Decimal(1).scaleb(-places))


def _lines_table(lines: list[Line], published: list[Decimal], currency: str, month: str) -> Table:
    rows = sorted(
        zip(lines, published, strict=True), key=lambda x: (x[0].receiver, KINDS.index(x[0].kind), -x[0].exact)
    )
    cost, quantity = pa.decimal128(*COST), pa.decimal128(38, 6)
    table = pa.table(
        {
            "receiver": pa.array([x.receiver for x, _ in rows], pa.string()),
            "kind": pa.array([x.kind for x, _ in rows], pa.string()),
            "text": pa.array([x.text for x, _ in rows], pa.string()),
            "quantity": pa.array([x.quantity for x, _ in rows], quantity),
            "unit": pa.array([x.unit or None for x, _ in rows], pa.string()),
            "rate": pa.array([x.rate for x, _ in rows], cost),
            "amount": pa.array([a for _, a in rows], cost),
            "exact": pa.array([_decimal(x.exact, 18) for x, _ in rows], cost),
        }
    )
    conserves = "amounts add up to the cost recovered plus the stated margin; incentives and funding add up to 0"
    return Table.of(
        to_pandas(table), Facts("Chargeback lines", currency, month, conserves, money=["amount", "exact"], charged=True)
    )


def _summary_table(
    lines: list[Line],
    published: list[Decimal],
    costs: Mapping[str, Decimal],
    charged: list[str],
    currency: str,
    month: str,
) -> Table:
    sums = {name: dict.fromkeys(KINDS, Decimal(0)) for name in charged}
    for line, amount in zip(lines, published, strict=True):
        sums[line.receiver][line.kind] += amount
    rows: list[dict[str, Any]] = []
    for name, amounts in sums.items():
        charge = sum(amounts.values(), Decimal(0))
        incentive = amounts["incentive"] + amounts["funding"]
        cost, more = costs.get(name, Decimal(0)), amounts["bill"]
        margin = charge - incentive - cost - more
        row = {"receiver": name, "cost": cost, "bill_lines": more, "margin": margin}
        rows.append(row | {"incentive": incentive, "charge": charge})
    rows.sort(key=lambda r: (-r["charge"], r["receiver"]))
    kind = pa.decimal128(*COST)
    names = ("receiver", *ADDS, "charge")
    table = pa.table({n: pa.array([r[n] for r in rows], pa.string() if n == "receiver" else kind) for n in names})
    return Table.of(to_pandas(table), summary_facts(currency, month))


def summary_facts(currency: str, month: str) -> Facts:
    """What holds for a table of charges per receiver."""
    money = [*ADDS, "charge"]
    conserves = "cost, other lines of the bill, margin and incentive add up to the charge; incentives add up to 0"
    return Facts(
        "Chargeback", currency, month, conserves, money=money, adds=[("charge", ADDS)], total=True, charged=True
    )


def _accounts(usage: list[dict[str, Any]]) -> dict[tuple[str, str, str], Decimal]:
    """Published cost per provider, billing account and receiver."""
    out: dict[tuple[str, str, str], Decimal] = {}
    for u in usage:
        key = (u["provider"], u["account"], u["receiver"])
        out[key] = out.get(key, Decimal(0)) + u["cents"]
    return out


def _check(
    out: Chargeback,
    lines: list[Line],
    published: list[Decimal],
    costs: Mapping[str, Decimal],
    charged: list[str],
    places: int,
) -> None:
    incentives = sum((x.exact for x in lines if x.kind in MOVED), Fraction(0))
    moved = sum((a for x, a in zip(lines, published, strict=True) if x.kind in MOVED), Decimal(0))
    if incentives or moved:
        raise CheckFailed(f"Incentives of {out.month} add up to {moved}, not 0.")
    if sum(out.costs.values(), Decimal(0)) != sum(costs.values(), Decimal(0)):
        raise CheckFailed(f"Cost per account and cost per {out.dimension} differ in {out.month}.")
    exact = sum((x.exact for x in lines if x.cents is None), Fraction(0))
    total = sum((a for x, a in zip(lines, published, strict=True) if x.cents is None), Decimal(0))
    if abs(Fraction(total) - exact) > Fraction(1, 10**places):
        raise CheckFailed(f"Published tariffs of {out.month} add up to {total}, not to {float(exact)}.")
    for row in out.summary.to_dict("records"):
        if sum((row[name] for name in ADDS), Decimal(0)) != row["charge"]:
            raise CheckFailed(f"The charge of {row['receiver']!r} in {out.month} isn't the sum of its parts.")
    missing = set(charged) - {x.receiver for x in lines}
    if any(costs.get(name) for name in missing):
        raise CheckFailed(f"No line for {sorted(missing)} in {out.month}.")
