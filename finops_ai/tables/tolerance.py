"""When a month ties: how much may stay open between computed and billed cost, by provider ([reconcile] in finops.toml)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from finops_ai.errors import SettingsError, hint
from finops_ai.tables.policy import number

_LEVELS = ("warn", "fail")


@dataclass(frozen=True)
class Limit:
    """An amount of the bill's currency and a share of what was billed; the larger of the two decides."""

    amount: Decimal
    share: Decimal

    def allows(self, open_amount: Decimal, billed: Decimal) -> bool:
        """Whether so much may stay open of what was billed."""
        return open_amount <= max(self.amount, self.share * abs(billed))


@dataclass(frozen=True)
class Tolerance:
    """Limits beyond which an account's month warns and fails.

    >>> policy = Tolerance.load({"fail": {"amount": "10"}, "providers": {"oci": {"fail": {"share": "0.02"}}}})
    >>> policy.status("openai", Decimal(8), Decimal(1000)), policy.status("oci", Decimal(15), Decimal(1000))
    ('warn', 'warn')
    """

    warn: Limit
    fail: Limit
    providers: Mapping[str, Tolerance]

    @classmethod
    def load(cls, section: Mapping[str, Any] | None = None) -> Tolerance:
        """Read a `[reconcile]` section: `warn` and `fail` with `amount` and `share`, and the same under `providers.NAME`.

        Raises:
            SettingsError: an unknown key or a value that is no amount; names it.
        """
        base = cls(Limit(Decimal(1), Decimal("0.001")), Limit(Decimal(5), Decimal("0.005")), {})
        own = _read(section or {}, base, "[reconcile]", (*_LEVELS, "providers"))
        providers = (section or {}).get("providers", {})
        if not isinstance(providers, Mapping):
            raise SettingsError(f"[reconcile] providers must be tables by provider, got {providers!r}.")
        return cls(
            own.warn,
            own.fail,
            {name: _read(table, own, f"[reconcile.providers.{name}]", _LEVELS) for name, table in providers.items()},
        )

    def status(self, provider: str, open_amount: Decimal, billed: Decimal) -> str:
        """pass, warn or fail for what is open of a provider's bill."""
        mine = self.providers.get(provider, self)
        if not mine.fail.allows(open_amount, billed):
            return "fail"
        return "pass" if mine.warn.allows(open_amount, billed) else "warn"


def _read(table: object, base: Tolerance, place: str, known: tuple[str, ...]) -> Tolerance:
    if not isinstance(table, Mapping):
        raise SettingsError(f"{place} must be a table, got {table!r}.")
    limits = {"warn": base.warn, "fail": base.fail}
    for name, value in table.items():
        if name not in known:
            raise SettingsError(f"{place}: no setting called {name!r}. {hint(name, known)}")
        if name == "providers":
            continue
        if not isinstance(value, Mapping) or (unknown := [k for k in value if k not in ("amount", "share")]):
            bad = unknown[0] if isinstance(value, Mapping) else value
            raise SettingsError(f'{place} {name}: write {{ amount = "5", share = "0.005" }}, got {bad!r}.')
        given = {k: number(v, f"{place} {name}.{k}") for k, v in value.items()}
        limits[name] = Limit(given.get("amount", limits[name].amount), given.get("share", limits[name].share))
    if limits["fail"].amount < limits["warn"].amount or limits["fail"].share < limits["warn"].share:
        raise SettingsError(f"{place}: fail must allow at least as much as warn.")
    return Tolerance(limits["warn"], limits["fail"], {})
