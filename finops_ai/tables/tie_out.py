"""How a month's charges tie to what was billed: per provider, billing account and currency, item by item, to the cent.

Usage at its cost, lines of the bill that are no use of a model (given to receivers or posted by `[[bill]]`), billed usage that has
no price of ours, what is drawn from prepaid commitments, the price difference and rounding add up to what is payable, invoice by
invoice. An account without a bill is accrued: what it will be billed is what its usage comes to.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from finops_ai.engine.allocating import map_rows
from finops_ai.engine.fields import PAYABLE
from finops_ai.engine.rules import Rules
from finops_ai.frames import to_arrow
from finops_ai.money import COST, minor_units, round_to_total, written
from finops_ai.periods import zone
from finops_ai.prices.currency import Conversion
from finops_ai.tables.bill_rules import KINDS, MAPPED, BillRule, decide
from finops_ai.tables.both_sides import with_kind
from finops_ai.tables.grouping import grouped
from finops_ai.tables.parts import STATED, Part, check
from finops_ai.tables.seat_lines import TEAM

_MONEY = pa.decimal128(*COST)
_ZERO = Fraction(0)


@dataclass(frozen=True)
class Bill:
    """What a month was billed, and whose its lines are.

    Attributes:
        lines: the bill frame, in the currency of the charges.
        rules: of the `[[bill]]` section.
        mapping: the mapping rules, for lines that no rule of the bill decides.
        conversion: the `[currency]` section, where there is one.
        timing: per provider and billing account, what of the bill is for use of other months (+), or of the month's use is on the
            bill of others (-); see `finops_ai.tables.timing`.
    """

    lines: pd.DataFrame
    rules: tuple[BillRule, ...]
    mapping: Rules
    conversion: Conversion | None = None
    timing: Mapping[tuple[str, str], Fraction] = field(default_factory=dict)


@dataclass
class _Exact:
    """An amount before it is rounded, in both currencies."""

    item: str
    amount: Fraction
    native: Fraction
    invoice: str = ""
    receiver: str = ""
    text: str = ""


@dataclass
class _Side:
    """One billing account in one currency."""

    usage: dict[str, list[Fraction]] = field(default_factory=dict)  # receiver -> cost, its native amount
    drawn: list[Fraction] = field(default_factory=lambda: [_ZERO, _ZERO])
    difference: list[Fraction] = field(default_factory=lambda: [_ZERO, _ZERO])
    parts: list[_Exact] = field(default_factory=list)
    owed: dict[str, list[Any]] = field(default_factory=dict)  # invoice -> billed, native, end of its period
    billed: bool = False


def lines_with_kind(lines: pd.DataFrame) -> pd.DataFrame:
    """A bill's lines with what each is: as reconciliation tells them, and idle parts of a commitment apart."""
    lines = with_kind(lines)
    idle = (lines["commitment_discount_status"] == "Unused").to_numpy(bool, na_value=False)
    kind = lines["kind"].astype(object)
    kind[idle] = "idle"
    return lines.assign(kind=kind.astype("str"))


class TieOut:
    """Builds the parts of a month (see `tie_out`)."""

    def __init__(
        self, rows: pd.DataFrame, dimension: str, costs: Mapping[tuple[str, str, str], Decimal], bill: Bill | None,
        currency: str, timezone: str,
    ) -> None:  # fmt: skip
        self.dimension, self.costs, self.bill = dimension, costs, bill
        self.currency, self.timezone = currency, timezone
        self.sides: dict[tuple[str, str], dict[str, _Side]] = {}
        self.usage = self._usage(rows)
        self.lines = self._lines()

    def _usage(self, rows: pd.DataFrame) -> dict[tuple[str, str], list[dict[str, Any]]]:
        payable = PAYABLE if PAYABLE in rows.columns else "effective_cost"
        native = ["native_currency", "exchange_rate"] if "exchange_rate" in rows.columns else []
        keys = ["provider", "billing_account_id", self.dimension, "model", "meter", "service_tier", *native]
        measures = {
            "cost": "sum(effective_cost)", "payable": f"sum({payable})",
            "unpriced": "sum(quantity) FILTER (WHERE price_status = 'unpriced')",
        }  # fmt: skip
        found = grouped(rows, keys, measures, needs=("effective_cost", payable, "quantity", "price_status"))
        out: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for g in found:
            g["rate"] = Fraction(g.get("exchange_rate") or 1)
            g["currency"] = g.get("native_currency") or ("" if native else self.currency)
            g["cost"], g["payable"] = Fraction(g["cost"] or 0), Fraction(g["payable"] or 0)
            out.setdefault((g["provider"], g["billing_account_id"]), []).append(g)
        return out

    def _lines(self) -> pd.DataFrame | None:
        """The bill's lines in the currency of the charges, of an invoice where there is one beside a cost API."""
        if self.bill is None or not len(self.bill.lines):
            return None
        lines = lines_with_kind(self.bill.lines)
        lines = lines[(lines["billing_currency"] == self.currency).to_numpy(bool, na_value=False)]
        account = lines["provider"] + "\n" + lines["billing_account_id"]
        api = (lines["source"] == "api").to_numpy(bool, na_value=False)
        lines = lines[~(api & account.isin(set(account[~api])).to_numpy(bool))].reset_index(drop=True)
        if "exchange_rate" not in lines.columns:
            one = pd.Series([Decimal(1)] * len(lines), dtype=pd.ArrowDtype(pa.decimal128(18, 12)), index=lines.index)
            lines = lines.assign(native_currency=lines["billing_currency"], exchange_rate=one)
        return lines

    def parts(self) -> list[Part]:
        """Every item of every account."""
        accounts = dict.fromkeys(self.usage)
        apart: dict[tuple[str, str], set[tuple[Any, ...]]] = {}
        if self.lines is not None and len(self.lines):
            for account, billed in self._billed().items():
                accounts[account] = None
                apart[account] = self._compare(account, billed)
            self._give(apart)
        for account in accounts:
            if account not in self.sides:
                for g in self.usage[account]:
                    side = self._side(account, g["currency"] or self.currency)
                    self._use(side, g, g["rate"])
        for account, amount in (self.bill.timing if self.bill else {}).items():
            self._moved(account, amount)
        out: list[Part] = []
        for account in sorted(self.sides):
            for currency, side in sorted(self.sides[account].items()):
                out += self._rounded(account, currency, side, self._cents(account, currency))
        return out

    def _side(self, account: tuple[str, str], currency: str) -> _Side:
        return self.sides.setdefault(account, {}).setdefault(currency, _Side())

    def _use(self, side: _Side, g: Mapping[str, Any], rate: Fraction) -> None:
        own = side.usage.setdefault(g[self.dimension], [_ZERO, _ZERO])
        own[0] += g["cost"]
        own[1] += g["cost"] / rate
        side.drawn[0] += g["cost"] - g["payable"]
        side.drawn[1] += (g["cost"] - g["payable"]) / rate

    def _moved(self, account: tuple[str, str], amount: Fraction) -> None:
        """Take what a billing cycle moves between months out of the price difference, or out of what is accrued."""
        sides = self.sides.get(account)
        if not sides:
            return
        side = max(sides.values(), key=lambda one: (one.billed, abs(one.difference[0])))
        used = [sum((own[i] for own in side.usage.values()), _ZERO) for i in (0, 1)]
        whole, native = used if all(used) else side.difference
        rate = whole / native if whole and native else Fraction(1)
        side.parts.append(_Exact("billing_cycle", amount, amount / rate, text=STATED["billing_cycle"]))
        side.difference[0] -= amount
        side.difference[1] -= amount / rate

    def _billed(self) -> dict[tuple[str, str], list[dict[str, Any]]]:
        """The bill's lines added up per account, currency, invoice and cell."""
        assert self.lines is not None
        keys = [
            "provider",
            "billing_account_id",
            "native_currency",
            "exchange_rate",
            "invoice_id",
            "kind",
            "model",
            "meter",
        ]
        drawn = "commitment_discount_id IS NOT NULL AND effective_cost IS NOT NULL AND kind = 'usage'"
        measures = {
            "cost": "sum(billed_cost)", "until": "max(billing_period_end)",
            "drawn": f"sum(effective_cost - billed_cost) FILTER (WHERE {drawn})",
        }  # fmt: skip
        needs = ("billed_cost", "effective_cost", "billing_period_end", "commitment_discount_id")
        out: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for b in grouped(self.lines, [*keys, "service_tier"], measures, timezone=self.timezone, needs=needs):
            b["cost"], b["drawn"] = Fraction(b["cost"] or 0), Fraction(b["drawn"] or 0)
            b["rate"] = Fraction(b["exchange_rate"])
            out.setdefault((b["provider"], b["billing_account_id"]), []).append(b)
        return out

    def _compare(self, account: tuple[str, str], billed: list[dict[str, Any]]) -> set[tuple[Any, ...]]:
        """Put usage beside the bill; returns the cells of the bill that are given to receivers line by line."""
        used, charged = self.usage.get(account, []), [b for b in billed if b["kind"] == "usage"]
        currencies = sorted({b["native_currency"] for b in billed})
        whole, native = sum((b["cost"] for b in charged), _ZERO), sum((b["cost"] / b["rate"] for b in charged), _ZERO)
        mean = whole / native if native else Fraction(1)
        tiers = any(b["service_tier"] for b in charged)

        def cell(row: Mapping[str, Any]) -> tuple[Any, ...]:
            model = row["model"].lower() if row["model"] else None
            return (model, row["meter"], (row["service_tier"] or "standard") if tiers else None)

        contracted = any(g["cost"] != g["payable"] for g in used)
        sums: dict[tuple[Any, ...], list[Fraction]] = {}
        for b in billed:
            side = self._side(account, b["native_currency"])
            side.billed = True
            owed = side.owed.setdefault(b["invoice_id"] or "", [_ZERO, _ZERO, b["until"]])
            owed[0], owed[1], owed[2] = owed[0] + b["cost"], owed[1] + b["cost"] / b["rate"], max(owed[2], b["until"])
            if b["kind"] == "usage":
                found = sums.setdefault(cell(b), [_ZERO, _ZERO])
                found[0], found[1] = found[0] + b["cost"], found[1] + b["cost"] / b["rate"]
                drawn = _ZERO if contracted else b["drawn"]
                for i, scale in enumerate((Fraction(1), b["rate"])):
                    side.difference[i] += (b["cost"] + drawn) / scale
                    side.drawn[i] += drawn / scale
        cells: dict[tuple[Any, ...], list[Any]] = {}
        for g in used:
            known = g["currency"] in currencies
            currency, rate = (g["currency"], g["rate"]) if known else (currencies[0], mean)
            side = self._side(account, currency)
            self._use(side, g, rate)
            side.difference[0] -= g["payable"]
            side.difference[1] -= g["payable"] / rate
            mine = cells.setdefault(cell(g), [_ZERO, {}, currency])
            mine[0] += g["payable"]
            if g["unpriced"]:
                mine[1][g[self.dimension]] = mine[1].get(g[self.dimension], Decimal(0)) + g["unpriced"]
        for key, (cost, unpriced, currency) in cells.items():
            more = sums.get(key, [_ZERO, _ZERO])[0] - cost
            if unpriced and more > 0:
                text = f"{key[0]}, {key[1].replace('_', ' ')}: billed, no price of ours"
                self._charge(self._side(account, currency), "unpriced", more, mean, unpriced, text)
        alone = sum((cost for key, (cost, *_) in cells.items() if key not in sums), _ZERO)
        if alone or (self.bill is not None and account in self.bill.timing):
            return set()  # it is for use that is seen, here or in the cycle's other month
        return {(*key, tiers) for key in sums if key not in cells}

    def _charge(
        self, side: _Side, item: str, amount: Fraction, rate: Fraction, weights: Mapping[str, Decimal], text: str, invoice: str = ""
    ) -> None:  # fmt: skip
        """Give an amount to receivers in proportion to weights, none of it lost; usage so charged is no price difference."""
        whole = sum(weights.values(), Decimal(0))
        for receiver, weight in weights.items():
            share = amount * Fraction(weight) / Fraction(whole)
            side.parts.append(_Exact(item, share, share / rate, invoice, receiver, text))
        if item == "unpriced":
            side.difference[0] -= amount
            side.difference[1] -= amount / rate

    def _give(self, apart: Mapping[tuple[str, str], set[tuple[Any, ...]]]) -> None:
        """Lines that are no use of a model, and use that no row shows: by the bill's rules, else by the mapping."""
        assert self.bill is not None
        assert self.lines is not None
        lines = self.lines
        unseen = [
            kind == "usage" and _cell(model, meter, tier, apart.get((p, a), set())) in apart.get((p, a), set())
            for p, a, kind, model, meter, tier in zip(
                *(lines[c] for c in ("provider", "billing_account_id", "kind", "model", "meter", "service_tier")), strict=True
            )
        ]  # fmt: skip
        chosen = lines[pd.Series(unseen, dtype=bool).to_numpy() | (lines["kind"] != "usage").to_numpy()]
        if not len(chosen):
            return
        chosen = chosen.assign(kind=chosen["kind"].where(chosen["kind"] != "usage", "unpriced")).reset_index(drop=True)
        nobody = {*self.bill.mapping.nature()["nobody"].get(self.dimension, []), *self.default}
        mapped = (
            map_rows(chosen, self.bill.mapping, self.timezone)[self.dimension] if self.bill.mapping.defaults else None
        )
        rules, mapped = _of_seats(chosen, decide(chosen, self.bill.rules), mapped, self.bill.rules[-1:])
        for row in _alike(chosen, rules, mapped):
            account, rate = (row["provider"], row["billing_account_id"]), Fraction(row["exchange_rate"])
            side, amount, invoice = (
                self._side(account, row["native_currency"]),
                Fraction(row["amount"]),
                row["invoice_id"] or "",
            )
            if row["drawn"]:
                side.drawn[0] += amount
                side.drawn[1] += amount / rate
            if not amount:
                continue
            text = f"{'Seats' if row['seat'] else KINDS[row['kind']]}: {row['charge_description']}"
            if row["post"]:
                side.parts.append(_Exact(row["post"], amount, amount / rate, invoice, "", text))
                if row["kind"] == "unpriced":
                    side.difference[0] -= amount
                    side.difference[1] -= amount / rate
                continue
            if row["to"] or (row["mapped"] and row["mapped"] not in nobody):
                weights = {row["to"] or row["mapped"]: Decimal(1)}
            else:
                weights = self._weights(account, row["divide"] or "account") or {self._last_default: Decimal(1)}
            self._charge(side, row["kind"], amount, rate, weights, text, invoice)

    @property
    def default(self) -> list[str]:
        """The dimension's value of rows that no rule reaches."""
        return (
            [self.bill.mapping.defaults[self.dimension]]
            if self.bill and self.dimension in self.bill.mapping.defaults
            else []
        )

    @property
    def _last_default(self) -> str:
        return (self.default or ["unallocated"])[0]

    def _weights(self, account: tuple[str, str], scope: str) -> dict[str, Decimal]:
        """Receivers' cost on the account, else of its provider, else of the company."""
        scopes: dict[str, Callable[[str, str], bool]] = {
            "account": lambda p, a: (p, a) == account,
            "provider": lambda p, a: p == account[0],
            "company": lambda p, a: True,
        }
        for name in list(scopes)[list(scopes).index(scope) :]:
            found: dict[str, Decimal] = {}
            for (provider, place, receiver), cost in self.costs.items():
                if scopes[name](provider, place):
                    found[receiver] = found.get(receiver, Decimal(0)) + cost
            if found := {r: c for r, c in sorted(found.items()) if c > 0}:
                return found
        return {}

    def _cents(self, account: tuple[str, str], currency: str) -> dict[str, Decimal]:
        """Published cost of the account's receivers that belongs to a currency."""
        out = {}
        sides = self.sides[account]
        for receiver in sides[currency].usage:
            whole = self.costs.get((*account, receiver), Decimal(0))
            places = [c for c in sorted(sides) if receiver in sides[c].usage]
            largest = max(places, key=lambda c: abs(sides[c].usage[receiver][0]))
            parts = {c: _round([sides[c].usage[receiver][0]], self.currency)[0] for c in places if c != largest}
            parts[largest] = whole - sum(parts.values(), Decimal(0))
            out[receiver] = parts[currency]
        return out

    def _rounded(
        self, account: tuple[str, str], currency: str, side: _Side, cents: Mapping[str, Decimal]
    ) -> list[Part]:
        """The account's items in minor units of both currencies, each adding up to what is owed."""
        same = currency == self.currency
        base = Part(*account, currency, "", Decimal(0), Decimal(0))
        own = list(side.usage)
        natives = [cents[r] for r in own] if same else _round([side.usage[r][1] for r in own], currency)
        out = [
            replace(base, item="usage", receiver=r, amount=cents[r], native=n)
            for r, n in zip(own, natives, strict=True)
        ]
        exact = list(side.parts)
        if any(side.drawn):
            exact.append(_Exact("prepaid", -side.drawn[0], -side.drawn[1], text="Drawn from what was paid ahead"))
        if side.billed and any(side.difference):
            difference, own_difference = side.difference
            exact.append(_Exact("price_difference", difference, own_difference, text=STATED["price_difference"]))
        amounts = _round([x.amount for x in exact], self.currency)
        natives = amounts if same else _round([x.native for x in exact], currency)
        out += [
            replace(base, item=x.item, invoice=x.invoice, receiver=x.receiver, text=x.text, amount=a, native=n)
            for x, a, n in zip(exact, amounts, natives, strict=True)
        ]
        spent = [sum((getattr(p, name) for p in out), Decimal(0)) for name in ("amount", "native")]
        if not side.billed:
            accrued = replace(base, item="accrued", amount=spent[0], native=spent[1])
            return [*_merged(out), *([accrued] if any(spent) else [])]
        owed = sorted(side.owed.items())
        amounts = _round([o[0] for _, o in owed], self.currency)
        natives = amounts if same else _round([o[1] for _, o in owed], currency)
        rest = sum(amounts, Decimal(0)) - spent[0], sum(natives, Decimal(0)) - spent[1]
        if any(rest):
            out.append(replace(base, item="rounding", amount=rest[0], native=rest[1], text=STATED["rounding"]))
        for (invoice, (*_, until)), amount, native in zip(owed, amounts, natives, strict=True):
            booked = self._booked(currency, native, until) if not same else None
            if booked is not None and booked != amount:
                text = STATED["exchange"]
                out.append(replace(base, item="exchange", invoice=invoice, amount=booked - amount, native=Decimal(0), text=text))  # fmt: skip
                amount = booked
            out.append(replace(base, item="payable", invoice=invoice, amount=amount, native=native))
        return _merged(out)

    def _booked(self, currency: str, native: Decimal, until: dt.datetime) -> Decimal | None:
        """What an invoice is booked at; None where it is at the rates of its lines."""
        conversion = self.bill.conversion if self.bill else None
        if conversion is None or conversion.owed != "invoice":
            return None
        last: date = until.astimezone(zone(self.timezone)).date() - timedelta(days=1)
        return _round([Fraction(native) * Fraction(conversion.of_invoice(currency, last))], self.currency)[0]


def tie_out(
    rows: pd.DataFrame,
    dimension: str,
    costs: Mapping[tuple[str, str, str], Decimal],
    bill: Bill | None,
    *,
    currency: str,
    timezone: str,
) -> list[Part]:
    """How the charges of a month tie to what was billed.

    Args:
        rows: the month's allocated rows.
        dimension: that is charged.
        costs: published cost per (provider, billing account, receiver).
        bill: the month's bill; None = everything is accrued.
        currency: of the charges.
        timezone: the reporting zone.

    Returns:
        Parts; per account and currency those of `OWED` are what the others add up to, in both currencies.

    Raises:
        CheckFailed: they don't.
    """
    parts = TieOut(rows, dimension, costs, bill, currency, timezone).parts()
    check(parts)
    return parts


def left_out(bill: Bill | None, currency: str) -> list[str]:
    """What of a bill is not in the charges, for being in another currency: a sentence for each."""
    if bill is None or not len(bill.lines):
        return []
    sums = grouped(
        bill.lines, ["billing_currency"], {"lines": "count(*)", "cost": "sum(billed_cost)"}, needs=("billed_cost",)
    )
    return [
        f"{g['lines']:,} lines of the bill are in {g['billing_currency'] or 'no stated currency'} ({written(g['cost'] or 0, g['billing_currency'])}) and "
        f"aren't charged; their accounts are accrued. [currency] in finops.toml brings them to {currency}."
        for g in sums
        if g["billing_currency"] != currency
    ]


def _cell(model: object, meter: str, tier: object, found: set[tuple[Any, ...]]) -> tuple[Any, ...]:
    tiers = next(iter(found), (None, "", None, False))[3]
    named = model if isinstance(model, str) and model else None
    return (
        named and named.lower(),
        meter,
        (tier if isinstance(tier, str) and tier else "standard") if tiers else None,
        tiers,
    )


def _merged(parts: Sequence[Part]) -> list[Part]:
    """Parts alike in everything but their amounts put together; those that come to nothing left out."""
    out: dict[tuple[Any, ...], Part] = {}
    for p in parts:
        key = (p.currency, p.item, p.invoice, p.receiver, p.text)
        had = out.get(key)
        out[key] = replace(p, amount=p.amount + had.amount, native=p.native + had.native) if had else p
    return [p for p in out.values() if p.amount or p.native]


def _round(amounts: Sequence[Fraction], currency: str) -> list[Decimal]:
    return round_to_total(list(amounts), minor_units(currency))  # type: ignore[arg-type]


def _of_seats(
    lines: pd.DataFrame, rules: list[BillRule], mapped: pd.Series | None, default: Sequence[BillRule]
) -> tuple[list[BillRule], pd.Series | None]:
    """Seats go to the team of each day unless a rule of the company's own decides; they are no commitment that is paid ahead."""
    if TEAM not in lines.columns or not lines[TEAM].notna().any():
        return rules, mapped
    seat, team = lines[TEAM].notna().to_numpy(bool), lines[TEAM].astype(object).fillna("")
    rules = [MAPPED if own and rule in default else rule for own, rule in zip(seat, rules, strict=True)]
    return rules, team.where(team != "", mapped if mapped is not None else "")


def _alike(lines: pd.DataFrame, rules: Sequence[BillRule], mapped: pd.Series | None) -> list[dict[str, Any]]:
    """Lines that are charged alike, put together: a month may have a million lines, but few texts and receivers.

    `amount` is what was billed, or for idle parts that were paid ahead what is drawn of them now, which `drawn` tells.
    """
    same = [
        "provider",
        "billing_account_id",
        "native_currency",
        "exchange_rate",
        "kind",
        "charge_description",
        "invoice_id",
    ]
    plain = to_arrow(lines[[*same, "billed_cost"]])
    effective = (
        to_arrow(lines[["effective_cost"]])["effective_cost"]
        if "effective_cost" in lines
        else pa.nulls(len(lines), _MONEY)
    )
    effective, billed = effective.cast(_MONEY), plain["billed_cost"].cast(_MONEY)
    ahead = pc.and_(pc.equal(plain["kind"], "idle"), pc.and_(pc.equal(billed, Decimal(0)), pc.is_valid(effective)))
    told = {name: pa.array([getattr(rule, name) for rule in rules], pa.string()) for name in ("to", "divide", "post")}
    own = [rule is MAPPED and mapped is not None for rule in rules]
    names = mapped if mapped is not None else [""] * len(rules)
    seat = lines[TEAM].notna().to_numpy(bool) if TEAM in lines.columns else [False] * len(rules)
    told["mapped"] = pa.array([str(name) if mine else "" for name, mine in zip(names, own, strict=True)], pa.string())
    table = pa.table(
        {c: plain[c] for c in same}
        | told
        | {"seat": pa.array(seat), "drawn": ahead, "amount": pc.if_else(ahead, effective, billed)}
    )
    keys = [*same, *told, "seat", "drawn"]
    found = table.group_by(keys, use_threads=False).aggregate([("amount", "sum")]).rename_columns([*keys, "amount"])
    out: list[dict[str, Any]] = found.to_pylist()
    return out
