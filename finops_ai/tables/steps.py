"""The steps of a scenario: what each changes in the rows, checked, with what has to be said about it.

A step takes rows and a condition and gives rows that are to be priced anew. Rows it doesn't touch are given back as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pandas as pd

from finops_ai.engine.conditions import parse_condition
from finops_ai.engine.fields import TAG, columns, kind_of_column
from finops_ai.engine.selecting import matching
from finops_ai.errors import RuleError, hint
from finops_ai.frames import SERVICE_TIERS
from finops_ai.meters import meters
from finops_ai.money import exact
from finops_ai.prices.identity import identity, token_factor
from finops_ai.prices.names import provider_name
from finops_ai.tables import changing
from finops_ai.tables.grouping import dimensions_of

KEYS = {
    "swap": ("when", "to", "provider", "token_factor", "share"),
    "cache": ("when", "hit_rate", "write_meter", "writes"),
    "batch": ("when", "share"),
    "tier": ("when", "to", "share"),
    "geography": ("when", "to", "region", "share"),
    "shorten": ("when", "prompt", "answer", "share"),
    "provisioned": ("when", "units", "price_per_hour", "hours", "tokens_per_hour", "output_weight"),
}
#: which of an estimate's three values a run takes
LOW, USUAL, HIGH = 0, 1, 2
#: tokens written to a cache per token read from it, where nothing in the rows shows it
_WRITTEN = Decimal("0.07")


@dataclass
class Said:
    """What a step has to say, and whether it took an estimate that has a range."""

    notes: list[str] = field(default_factory=list)
    estimated: bool = False


@dataclass(frozen=True)
class Step:
    """One step of a scenario at its place, and which value of an estimate it takes."""

    kind: str
    values: Mapping[str, Any]
    place: str
    pick: int = USUAL

    def chosen(self, rows: pd.DataFrame) -> pd.Series:
        """Which rows its `when` is about; what is bought by the hour and what isn't billed by the call stays out."""
        dims = dimensions_of(rows)

        def kind_of(name: str) -> str | None:
            return "text" if name in dims or name.startswith(TAG) else kind_of_column(name)

        condition = parse_condition(
            self.values.get("when", {}), f"{self.place}: when", kind_of=kind_of, known=[*columns(), *dims]
        )
        by_call = rows["service_tier"].isin(changing.BY_THE_CALL).to_numpy(bool, na_value=False)
        return pd.Series(matching(rows, condition), index=rows.index) & by_call

    def share(self, key: str = "share", default: str = "1") -> Decimal:
        """A share from 0 to 1."""
        value = self._exact(key, default)
        if value is None or not 0 <= value <= 1:
            raise RuleError(f"{self.place}: {key} must be a share from 0 to 1, not {self.values.get(key)!r}.")
        return value

    def number(self, key: str, default: str | None = None) -> Decimal:
        """A number above 0."""
        if key not in self.values and default is None:
            raise RuleError(f"{self.place} needs {key}.")
        value = self._exact(key, default)
        if value is None or value <= 0:
            raise RuleError(f"{self.place}: {key} must be a number above 0, not {self.values.get(key)!r}.")
        return value

    def _exact(self, key: str, default: str | None) -> Decimal | None:
        try:
            value = exact(self.values.get(key, default))
        except (ValueError, ArithmeticError):
            return None
        return value if value.is_finite() else None


def steps_of(scenario: Mapping[str, Any]) -> list[Step]:
    """The steps of a scenario, in the order written.

    Raises:
        RuleError: an unknown step or key; capacity that isn't last.
    """
    out: list[Step] = []
    for kind, value in scenario.items():
        if kind in ("name", "description"):
            continue
        if kind not in KEYS:
            raise RuleError(f"scenario: no step {kind!r}. {hint(kind, KEYS)}")
        for values in value if isinstance(value, list) else [value]:
            if not isinstance(values, Mapping):
                raise RuleError(f"scenario.{kind} must be a table, not {values!r}.")
            for key in values:
                if key not in KEYS[kind]:
                    raise RuleError(f"scenario.{kind}: no key {key!r}. {hint(key, KEYS[kind])}")
            out.append(Step(kind, values, f"scenario step {len(out) + 1} ({kind})"))
    if any(step.kind == "provisioned" for step in out[:-1]):
        raise RuleError("A scenario's `provisioned` step comes last: what it covers is no longer billed by the token.")
    return out


def _put(rows: pd.DataFrame, took: pd.Series, *parts: pd.DataFrame) -> pd.DataFrame:
    """The rows with those that were taken replaced by parts; as they were where nothing is left to change."""
    return pd.concat([rows[~took.to_numpy()], *(part for part in parts if len(part))]).reset_index(drop=True)


def swap(rows: pd.DataFrame, step: Step, said: Said) -> pd.DataFrame:
    """Calls at another model; the tokeniser's factor is given, or estimated where another maker counts otherwise."""
    if "to" not in step.values:
        raise RuleError(f"{step.place} needs `to`: the model to use instead.")
    to, seller = str(step.values["to"]), step.values.get("provider")
    given = step.number("token_factor") if "token_factor" in step.values else None
    took = step.chosen(rows)
    if given is None or given == 1:  # what runs there already is not changed
        there = (rows["model"] == to).to_numpy(bool, na_value=False)
        took &= ~(there if seller is None else there & (rows["provider"] == str(seller)).to_numpy(bool, na_value=False))
    moved, kept = changing.divided(rows[took.to_numpy()], step.share())
    if not len(moved):
        return rows
    pairs = {(str(p), str(m)) for p, m in zip(moved["provider"], moved["model"], strict=True)}
    factors = {pair: _factor(step, pair, str(seller or pair[0]), to, given, said) for pair in sorted(pairs)}
    each = [factors[str(p), str(m)] for p, m in zip(moved["provider"], moved["model"], strict=True)]
    return _put(rows, took, kept, changing.at_model(moved, to, None if seller is None else str(seller), each))


def _factor(
    step: Step, pair: tuple[str, str], seller: str, to: str, given: Decimal | None, said: Said
) -> Decimal:  # fmt: skip
    if given is not None:
        return given
    old, new = identity(provider_name(pair[0]), pair[1]), identity(provider_name(seller), to)
    if old.developer == new.developer:
        found = token_factor(old, new)
        if found and found[LOW] != found[HIGH] and step.pick == USUAL:
            said.notes.append(
                f"{step.place}: tokens are taken as they are; the tokeniser of {to} may count {found[LOW]:.2f} to {found[HIGH]:.2f} "
                f"times those of {pair[1]}. State token_factor if you know it."
            )
        return Decimal(1)
    found = token_factor(old, new)
    if found is None:
        if step.pick == USUAL:
            said.notes.append(
                f"{step.place}: nothing is known of the tokenisers of {pair[1]} and {to}; tokens are taken as they are, which may be "
                "wrong by a factor of 2.65. State token_factor."
            )
        return Decimal(1)
    said.estimated = True
    if step.pick == USUAL:
        said.notes.append(
            f"{step.place}: token_factor isn't given. Estimated for {pair[1]} to {to}: {found[USUAL]:.2f} tokens per token, between "
            f"{found[LOW]:.2f} and {found[HIGH]:.2f}. Count a few of your own prompts with both, and state it."
        )
    return found[step.pick]


def tier(rows: pd.DataFrame, step: Step, said: Said) -> pd.DataFrame:
    """Calls in another service tier."""
    to = str(step.values.get("to", "batch" if step.kind == "batch" else ""))
    if not to or (to not in SERVICE_TIERS or to == "provisioned"):
        raise RuleError(
            f"{step.place} needs `to`: one of {', '.join(t for t in SERVICE_TIERS if t != 'provisioned')}, not {to!r}."
        )
    took = step.chosen(rows)
    if step.kind == "batch":
        took &= (rows["service_tier"] == "standard").to_numpy(bool, na_value=False)
    took &= (rows["service_tier"] != to).to_numpy(bool, na_value=True)
    took &= ~rows["meter"].map(lambda m: meters()[m].tool).to_numpy(bool)
    moved, kept = changing.divided(rows[took.to_numpy()], step.share())
    return _put(rows, took, kept, changing.at_tier(moved, to)) if len(moved) else rows


def geography(rows: pd.DataFrame, step: Step, said: Said) -> pd.DataFrame:
    """Calls processed elsewhere."""
    if "to" not in step.values:
        raise RuleError(f'{step.place} needs `to`: where calls are processed, such as "global", "us" or "eu".')
    to, region = str(step.values["to"]), step.values.get("region")
    took = step.chosen(rows)
    if region is None:
        took &= (rows["inference_geo"] != to).to_numpy(bool, na_value=True)
    moved, kept = changing.divided(rows[took.to_numpy()], step.share())
    if not len(moved):
        return rows
    return _put(rows, took, kept, changing.at_place(moved, to, None if region is None else str(region)))


def shorten(rows: pd.DataFrame, step: Step, said: Said) -> pd.DataFrame:
    """Prompts and answers of another length."""
    prompt, answer = step.number("prompt", "1"), step.number("answer", "1")
    took = step.chosen(rows)
    moved, kept = changing.divided(rows[took.to_numpy()], step.share())
    if not len(moved) or prompt == answer == 1:
        return rows
    return _put(rows, took, kept, changing.at_length(moved, prompt, answer))


def cache(rows: pd.DataFrame, step: Step, said: Said) -> pd.DataFrame:
    """Raise cache reads to the hit rate by turning fresh prompt text into reads, and into the writes they need."""
    rate, took = step.share("hit_rate", "none"), step.chosen(rows)
    mine = rows[took.to_numpy()]
    read, fresh, written = (changing.total(mine, n) for n in (changing.READS, changing.FRESH, changing.WRITES))
    whole = read + fresh + written
    now, plain = (read / whole if whole else Decimal(0)), changing.total(mine, ("input",))
    if step.pick == USUAL:
        said.notes.append(f"Cache hit rate {float(now):.1%} to {float(max(rate, now) if whole else rate):.1%}.")
    missing = rate * whole - read
    if missing <= 0 or not plain:
        return rows
    reads = min(missing / plain, Decimal(1))
    name = str(step.values.get("write_meter", "cache_write_5m"))
    if name not in meters() or meters()[name].cache_action != "write":
        names = [m.name for m in meters().values() if m.cache_action == "write"]
        raise RuleError(f"{step.place}: write_meter {name!r} is no cache write. {hint(name, names)}")
    writes = _writes(step, name, rows, mine, whole, plain, missing, said)
    return _put(rows, took, changing.with_cache(mine, reads, min(writes, 1 - reads), name))


def _writes(
    step: Step, name: str, rows: pd.DataFrame, mine: pd.DataFrame, whole: Decimal, plain: Decimal, missing: Decimal, said: Said
) -> Decimal:  # fmt: skip
    """The share of fresh prompt text that is written: as said, all of it where only its meter is named, else as elsewhere."""
    if "writes" in step.values:
        return step.share("writes") * whole / plain
    if "write_meter" in step.values:
        return Decimal(1)
    others = rows["provider"].isin(list(mine["provider"].unique())).to_numpy(bool, na_value=False)
    read, written = (changing.total(rows[others], n) for n in (changing.READS, changing.WRITES))
    ratio = written / read if read and written else _WRITTEN
    if step.pick == USUAL:
        why = "as its provider's other calls show" if read and written else "which is an assumption"
        said.notes.append(
            f"{step.place}: {float(ratio):.3f} tokens are written to the cache per token read, {why}; state writes, a share of the prompt."
        )
    return ratio * missing / plain


#: step -> what it does to rows; capacity is worked out on costs (see `finops_ai.tables.reserving`)
APPLY: dict[str, Callable[[pd.DataFrame, Step, Said], pd.DataFrame]] = {
    "swap": swap, "cache": cache, "batch": tier, "tier": tier, "geography": geography, "shorten": shorten,
}  # fmt: skip
