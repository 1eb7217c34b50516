"""Names of causes that rest on less than their evidence: what fits an amount as well, and the sentence that says so.

Where bill and usage share no days, tiers or regions, they can't tell some causes apart. The amount gets the nearest name, and is a guess as
long as what the bill does state leaves another: a tier or a region moves the price of all of a model's meters, and a day that is
late or somebody else's leaves part of a month on either side.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

from finops_ai.money import written

if TYPE_CHECKING:
    from finops_ai.tables.causes import Account, Entry, Key

#: what the two may not share -> causes that it would tell from each other
_TELLS = {"tier": "tier", "region": "geography"}
#: cause of a quantity that days would tell from others -> those
_OF_DAYS = {"missing_usage": ("late", "timezone", "double_metering"), "not_billed": ("late", "timezone")}
#: causes of the data's last days, by whether the bill has more
_OF_THE_END = {True: "missing_usage", False: "not_billed"}


def mark(account: Account) -> list[str]:
    """Put beside every entry which causes fit it as well, and say so.

    Args:
        account: one whose differences have their causes.

    Returns:
        A sentence per kind of doubt.
    """
    said: list[str] = []
    if not account.billed:
        return said
    lacks = [a for a in ("day", *_TELLS) if not any(getattr(key, a) for key in account.billed)]
    both, alike = account.usage.keys() & account.billed.keys(), _moved_alike(account)
    for entry in account.entries:
        if entry.line:
            continue
        if entry.cause == "price" and entry.key._replace(meter="") in alike:
            entry.or_else += tuple(cause for lack, cause in _TELLS.items() if lack in lacks)
        elif entry.cause in _OF_DAYS and "day" in lacks and entry.key in both:
            entry.or_else += _OF_DAYS[entry.cause]
    for lack in lacks:
        mine = [entry for entry in account.entries if _would_tell(lack, entry)]
        if mine:
            names = " and ".join(sorted({entry.cause for entry in mine}))
            others = sorted({cause for entry in mine for cause in _would_tell(lack, entry)})
            days = " of some days" if lack == "day" else ""
            said.append(f"Bill and usage share no {lack}: {names} can't be told apart from {_listed(others)}{days}.")
    return said


def _would_tell(lack: str, entry: Entry) -> set[str]:
    """The causes that an entry may be of as well, and that a bill with this would rule out."""
    told = _OF_DAYS.get(entry.cause, ()) if lack == "day" else (_TELLS[lack],)
    return set(told) & set(entry.or_else)


def _moved_alike(account: Account) -> set[Key]:
    """Cells without their meter of which every meter is charged another price, all dearer or all cheaper."""
    changed: dict[Key, Decimal] = {}
    for entry in account.entries:
        if entry.cause == "price":
            changed[entry.key] = changed.get(entry.key, Decimal(0)) + entry.amount
    signs: dict[Key, set[int]] = {}
    for key in account.usage.keys() & account.billed.keys():
        if account.usage[key].cost:
            amount = changed.get(key, Decimal(0))
            signs.setdefault(key._replace(meter=""), set()).add((amount > 0) - (amount < 0))
    return {place for place, found in signs.items() if found in ({1}, {-1})}


def at_the_end(quantity: Decimal) -> tuple[str]:
    """What days at the edge of the data may be as well."""
    return (_OF_THE_END[quantity > 0],)


def guesses(entries: Iterable[Entry]) -> dict[str, tuple[Decimal, str]]:
    """Cause -> what of it is a guess, all signs as amounts, and what fits as well."""
    sums: dict[str, Decimal] = {}
    others: dict[str, set[str]] = {}
    for entry in entries:
        if entry.or_else:
            sums[entry.cause] = sums.get(entry.cause, Decimal(0)) + abs(entry.amount)
            others.setdefault(entry.cause, set()).update(entry.or_else)
    return {cause: (amount, _listed(sorted(others[cause]))) for cause, amount in sums.items()}


def in_words(found: Mapping[str, tuple[Decimal, str]], cause: str, currency: str) -> str:
    """That an amount is a guess, in brackets; nothing where it isn't.

    >>> in_words({"price": (Decimal("1.5"), "tier")}, "price", "USD"), in_words({}, "price", "USD")
    (' (1.50 of it a guess: it may be tier)', '')
    """
    amount, others = found.get(cause, (Decimal(0), ""))
    return f" ({written(amount, currency)} of it a guess: it may be {others})" if amount else ""


def _listed(names: Iterable[str]) -> str:
    *first, last = [name.replace("_", " ") for name in names]
    return f"{', '.join(first)} or {last}" if first else last
