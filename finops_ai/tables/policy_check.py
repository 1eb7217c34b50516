"""What a chargeback policy allows, what of it is ignored or held back, and what it would have charged in the past months."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa

from finops_ai.frames import to_pandas
from finops_ai.frames.types import COST_TYPE
from finops_ai.money import written
from finops_ai.tables import unmet
from finops_ai.tables.chargeback import Chargeback
from finops_ai.tables.incentives import bound
from finops_ai.tables.policy import Policy, Tariff
from finops_ai.tables.result import Facts, Table
from finops_ai.tables.tie_out import Bill, lines_with_kind

#: what a finding can be
FINDINGS = {
    "ignored": "written in the policy, but without any effect in these months",
    "held": "more than the policy may give: it is bounded",
    "allows": "what the policy does",
    "simulated": "what it would have charged in a past month",
}
_METHODS = {
    "pass_through": "are charged what they cost",
    "blended": "are charged the company's average price per model and meter class",
    "rate_card": "are charged by a rate card",
    "subscription": "pay a fee and, beyond what it includes, at most what the tokens cost",
}


def check_policy(
    policy: Policy | Mapping[str, Any],
    months: Sequence[str],
    charge: Callable[[str], Chargeback],
    accounts: Mapping[str, Any] | None = None,
    bill: Bill | None = None,
) -> Table:
    """Say in words what a policy does, and try it on past months.

    Args:
        policy: the `[chargeback]` section.
        months: past months, oldest first.
        charge: charges one of them by the policy.
        accounts: the `[journal]` section.
        bill: all lines of these months with the rules of the `[[bill]]` section.

    Returns:
        One row per finding: `finding` (see `FINDINGS`), `month`, `subject`, `cost`, `charge`, `moved` (by incentives),
        `text`.
    """
    rules = Policy.load(policy)
    made = {month: charge(month) for month in months}
    found = [*_ignored(rules, made, accounts or {}, bill), *_held(rules, made), *_allowed(rules)]
    for month, one in made.items():
        charged = one.summary
        moved = sum((a for a in charged["incentive"] if a > 0), Decimal(0))
        cost, total = (sum(charged[name], Decimal(0)) for name in ("cost", "charge"))
        text = f"{len(charged)} receivers, {written(cost, one.currency)} {one.currency} of cost, {written(total, one.currency)} charged; incentives move {written(moved, one.currency)}."
        if len(charged) and moved:
            most = min(charged.to_dict("records"), key=lambda r: r["incentive"])
            share = f", {-most['incentive'] / most['cost']:.1%} of its cost" if most["cost"] else ""
            text += f" Most goes to {most['receiver']}: {written(-most['incentive'], one.currency)}{share}."
        found.append(_finding("simulated", month=month, cost=cost, charge=total, moved=moved, text=text))
    kinds = dict.fromkeys(("cost", "charge", "moved"), COST_TYPE)
    names = ("finding", "month", "subject", "cost", "charge", "moved", "text")
    frame = pa.table({n: pa.array([f[n] for f in found], kinds.get(n, pa.string())) for n in names})
    currencies = {one.currency for one in made.values()}
    facts = Facts("Check of the chargeback policy", currencies.pop() if len(currencies) == 1 else "", money=list(kinds))
    return Table.of(to_pandas(frame), facts)


def _finding(finding: str, subject: str = "", text: str = "", **figures: object) -> dict[str, Any]:
    empty: dict[str, Any] = dict.fromkeys(("month", "cost", "charge", "moved"))
    return empty | {"finding": finding, "subject": subject or None, "text": text} | figures


def _ignored(
    rules: Policy, made: Mapping[str, Chargeback], accounts: Mapping[str, Any], bill: Bill | None
) -> list[dict[str, Any]]:
    """Names nobody has, tariffs nobody is under, rules that decide no line of the bill."""
    months, dimension = list(made), rules.dimension
    costs = [place for one in made.values() for place in one.costs]
    receivers = sorted({name for *_, name in costs} | {name for one in made.values() for name in one.receivers})
    entities = accounts.get("entities", {})
    named = [(t.name, name) for t in rules.tariffs for name in t.receivers]
    named += [("not_charged", name) for name in rules.not_charged if name not in Policy.not_charged]
    for table in ("accounts", "cost_centres"):
        named += [(f"journal.{table}", str(name)) for name in accounts.get(table, {})]
    named += [("journal.entities.receivers", str(name)) for name in entities.get("receivers", {})]
    seen = {(p.provider, p.account) for one in made.values() for p in one.parts}
    wanted = {
        "journal.providers": accounts.get("providers", {}),
        "journal.entities.accounts": entities.get("accounts", {}),
    }
    found = [*unmet.receivers(named, receivers, dimension), *unmet.places(wanted, seen)]
    if bill is not None:
        lines = lines_with_kind(bill.lines)
        lines = lines.assign(kind=lines["kind"].where(lines["kind"] != "usage", "unpriced"))
        found += [(name, f"[[bill]] {name}: {why}.") for name, why in unmet.bill_rules(lines, bill.rules)]
        set_to = [rule.set[dimension] for rule in bill.mapping.rules if dimension in rule.set]
        known = {*(name for *_, name in costs), *(value.text for value in set_to if not value.fields)}
        given = [(f"[[bill]] {rule.name}", rule.to) for rule in bill.rules if rule.to and rule.to not in known]
        found += [
            (name, f"{text} It would be charged as a receiver of its own.")
            for name, text in unmet.receivers(given, known, dimension)
        ]
    out = [_finding("ignored", name, text) for name, text in found]
    charged = [name for name in receivers if name not in rules.not_charged]
    used = {id(rules.tariff_of(name, month)) for month in months for name in charged}
    for number, tariff in enumerate(rules.tariffs, 1):
        if months and id(tariff) not in used:
            text = f"Tariff {number} ({tariff.name}) applies to nobody in these months: an earlier one covers its receivers, or its months are others."
            out.append(_finding("ignored", tariff.name, text))
    if rules.incentives.rates and not rules.incentives.cap:
        out.append(_finding("ignored", "incentives", "cap = 0: no incentive moves anything."))
    return out


def _held(rules: Policy, made: Mapping[str, Chargeback]) -> list[dict[str, Any]]:
    """Rewards that were held at their bound in the past months."""
    lines = [
        (month, str(r["receiver"]), str(r["text"]))
        for month, one in made.items()
        for r in one.lines.to_dict("records")
        if r["kind"] == "incentive" and "held at" in str(r["text"])
    ]
    if not lines:
        return []
    share = float(bound(rules.incentives))
    month, receiver, text = lines[-1]
    said = (
        f"{len(lines)} rewards were held: work earns at most {share:.0%} of what it costs, and all incentives together move at most "
        f"{float(rules.incentives.cap) / 2:.1%} of a receiver's charge. Such as {receiver} in {month}: {text}."
    )
    return [_finding("held", "incentives", said)]


def _allowed(rules: Policy) -> list[dict[str, Any]]:
    """Tariffs and incentives in words."""
    out = [_finding("allows", t.name, _in_words(t)) for t in rules.tariffs]
    rates = {kind: rate for kind, rate in rules.incentives.rates.items() if rate}
    for tariff in rules.tariffs if rates else ():
        if tariff.follows:
            who = ", ".join(tariff.receivers) or "Whoever is under it"
            text = f"{who}: no reward, no malus and no part in funding them. The charge follows {tariff.follows}, not what the work really costs, so that what it saves is the company's."
            out.append(_finding("ignored", f"incentives under {tariff.name}", text))
    if rates:
        parts = ", ".join(f"{kind} {rate:.0%}" for kind, rate in rates.items())
        months = rules.incentives.baseline_months
        text = (
            f"Of what is saved or wasted comes back or is charged: {parts}. No work earns more than "
            f"{float(bound(rules.incentives)):.0%} of what it costs; nobody's charge changes by more than {float(rules.incentives.cap):.0%} of it."
        )
        if {"model", "prompt"} & set(rates):
            text += f" A baseline of {months} months counts for as much work as they hold in a month."
        if "idle" in rates:
            text += " Traffic that only fills idle capacity lowers what idle is charged: tokens alone don't tell it from work."
        out.append(_finding("allows", "incentives", text))
    return out


def _in_words(tariff: Tariff) -> str:
    who = ", ".join(tariff.receivers) or "All others"
    span = f" from {tariff.since}" * bool(tariff.since) + f" until before {tariff.until}" * bool(tariff.until)
    text = f"{who}{span} {_METHODS[tariff.method]}"
    if tariff.method == "subscription":
        text += f": {tariff.fee:,} for {tariff.included_tokens:,} tokens, then {tariff.overage} per million"
    if tariff.method == "rate_card":
        text += ", whatever the model: one that is cheaper and needs more tokens is charged more"
    text += f", plus a margin of {tariff.markup:.1%}" * bool(tariff.markup)
    return text + f", at least {tariff.minimum:,} a month" * bool(tariff.minimum) + "."
