"""What carries a change: the workloads' effects gathered into few stories with names, dates and money."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from finops_ai.engine.dialects import DUCKDB
from finops_ai.engine.fields import PUBLISHED
from finops_ai.frames import to_pandas
from finops_ai.frames.origin import left_out_of
from finops_ai.frames.types import COST_TYPE
from finops_ai.money import written
from finops_ai.periods import MONTHS
from finops_ai.tables.bridge import EFFECTS, WORDS, Atom, price_of
from finops_ai.tables.grouping import grouped
from finops_ai.tables.result import Facts, Table
from finops_ai.tables.workloads import WHO, Workload, family_of, version_of

_ZERO = Decimal(0)
#: effects that one change of model or prompt can have
_OF_A_CHANGE = ("model", "input_length", "output_length", "reasoning", "cache", "other")
#: effects told by model or meter rather than by who
_OF_PRICES = ("price", "stated_price", "discount", "currency")
#: effects whose day is the one their amount breaks, and those that no day can be told of; the others are of a unit
_OF_AMOUNTS, _UNDATED = ("volume", "capacity", "idle", "seats", "fees"), ("currency",)
#: a part of this much carries a driver alone
_MOST = Decimal("0.5")
_DATED = re.compile(r"-(\d{8}|\d{4}-\d{2}-\d{2})(-v\d+(:\d+)?)?$")
_TEXT = ("who", "what", "model_from", "model_to", "prompt", "key", "user")


@dataclass
class Driver:
    """One story: which workloads, what happened, how much."""

    who: str
    what: str
    model_from: str | None = None
    model_to: str | None = None
    family: str | None = None
    version: str | None = None
    amount: Decimal = _ZERO
    parts: dict[str, Decimal] = field(default_factory=dict)
    works: dict[Workload, Decimal] = field(default_factory=dict)
    keys: dict[str | None, Decimal] = field(default_factory=dict)
    calls: list[Decimal] = field(default_factory=lambda: [_ZERO, _ZERO])
    since: dt.date | None = None
    sudden: bool = True
    user: str | None = None


@dataclass
class Story:
    """What is needed to tell drivers when somebody asks for them."""

    atoms: Sequence[Atom]
    daily: Sequence[pa.Table]
    dimensions: Sequence[str]
    by: Sequence[str]
    currency: str
    frames: tuple[pd.DataFrame, pd.DataFrame]
    timezone: str | None
    #: the whole change, as it is published
    published: Decimal

    def table(self, top: int) -> Table:
        """The largest drivers as rows, each with its sentence."""
        whole = sum((a.after - a.before for a in self.atoms), _ZERO)
        found = self._drivers()
        changes = self._changes()
        rows = []
        for driver in found[:top]:
            self._date(driver)
            self._user(driver)
            key = next(
                (k for k, v in driver.keys.items() if abs(v) >= _MOST * sum(map(abs, driver.keys.values()))), None
            )
            prompt = driver.family and f"{driver.family}@{driver.version}" if driver.version else driver.family
            rows.append({
                "who": driver.who, "what": driver.what, "model_from": driver.model_from, "model_to": driver.model_to,
                "prompt": prompt, "key": key, "user": driver.user, "since": driver.since, "amount": driver.amount,
                "share": float(driver.amount / whole) if whole else None, "sentence": self._sentence(driver, changes.get(driver.who, self.published)),
            })  # fmt: skip
        kinds: dict[str, pa.DataType] = dict.fromkeys(_TEXT, pa.string())
        kinds |= {"since": pa.date32(), "amount": COST_TYPE, "share": pa.float64(), "sentence": pa.string()}
        table = pa.table({name: pa.array([r[name] for r in rows], kind) for name, kind in kinds.items()})
        facts = Facts("What carries the change", self.currency, money=["amount"])
        left = sum((d.amount for d in found[top:]), _ZERO)
        if found[top:]:
            facts.notes.append(
                f"{len(found) - top} smaller drivers come to {written(left, self.currency, '+')} {self.currency} together."
            )
        return Table.of(to_pandas(table), facts, *self.frames)

    def _changes(self) -> dict[str, Decimal]:
        """The change of everybody a driver may be of, as it is published where the rows say so."""
        sums: dict[str, Decimal] = {}
        for atom in self.atoms:
            who = self._who(atom.work)
            sums[who] = sums.get(who, _ZERO) + atom.after - atom.before
        names = list(self.by) or list(self.dimensions[:1])
        if len(names) == 1 and all({PUBLISHED, *names} <= set(frame.columns) for frame in self.frames):
            cents: dict[str, Decimal] = {}
            for frame, sign in zip(self.frames, (-1, 1), strict=True):
                for g in grouped(frame, names, {"cents": f"sum({PUBLISHED})"}, needs=(PUBLISHED,)):
                    cents[str(g[names[0]])] = cents.get(str(g[names[0]]), _ZERO) + sign * (g["cents"] or _ZERO)
            sums |= {who: cents[who] for who in sums.keys() & cents.keys() if abs(sums[who] - cents[who]) < 1}
        return sums

    def _drivers(self) -> list[Driver]:
        by_work: dict[Workload, list[Atom]] = {}
        for atom in self.atoms:
            by_work.setdefault(atom.work, []).append(atom)
        found: dict[tuple[Any, ...], Driver] = {}
        for work, mine in by_work.items():
            for driver in self._of(work, mine):
                name = (driver.who, driver.what, driver.model_from, driver.model_to, driver.family, driver.version)
                kept = found.setdefault(name, Driver(*name))
                kept.amount += driver.amount
                for effect, value in driver.parts.items():
                    kept.parts[effect] = kept.parts.get(effect, _ZERO) + value
                kept.works |= driver.works
                for key, value in driver.keys.items():
                    kept.keys[key] = kept.keys.get(key, _ZERO) + value
                kept.calls = [x + y for x, y in zip(kept.calls, driver.calls, strict=True)]
        return sorted(
            (d for d in found.values() if d.amount), key=lambda d: (-abs(d.amount), d.who, d.what, str(d.family))
        )

    def _of(self, work: Workload, mine: list[Atom]) -> Iterable[Driver]:
        """One workload's drivers; together they are its change."""
        sums: dict[str, Decimal] = {}
        for atom in mine:
            for effect, value in atom.effects.items():
                sums[effect] = sums.get(effect, _ZERO) + value
        who, family = self._who(work), work.prompt
        old, new = _version(mine, 2), _version(mine, 3)
        version = new if new != old else None
        gone, come = _moved(mine)
        keys = {work.key: _ZERO}
        calls = [
            sum((label[i] for a in mine if a.cell.meter == "requests" for label in a.labels.values()), _ZERO)
            for i in (0, 1)
        ]

        def driver(what: str, effects: Iterable[str], **more: Any) -> Driver:
            parts = {e: sums.pop(e) for e in list(effects) if sums.get(e)}
            out = Driver(
                **({"who": who, "what": what, "family": family} | more), amount=sum(parts.values(), _ZERO), parts=parts
            )
            out.works, out.keys, out.calls = {work: out.amount}, dict.fromkeys(keys, out.amount), calls
            return out

        if sums.get("who"):
            new_work = not any(a.before for a in mine)
            model = _largest(mine, new_work)
            yield driver("new" if new_work else "stopped", ["who"], **{"model_to" if new_work else "model_from": model})
        if sums.get("model") and gone and come:
            yield driver("switch", _OF_A_CHANGE, model_from=gone, model_to=come, version=version)
        elif version and any(sums.get(e) for e in _OF_A_CHANGE):
            yield driver("version", _OF_A_CHANGE, version=version)
        for effect in EFFECTS:
            if not sums.get(effect):
                continue
            if effect in _OF_PRICES:
                model = _largest(mine, True) or _largest(mine, False)
                what = price_of(mine) if effect == "price" else effect
                yield driver(what, [effect], who="all" if not self.by else who, family=None, model_to=model)
            else:
                yield driver(effect, [effect])

    def _who(self, work: Workload) -> str:
        """What a reader calls a workload: the groups asked for, else its first dimension that says something, else its key."""
        named = dict(zip(self.dimensions, work.dimensions, strict=True)) | {
            "api_key_id": work.key, "sub_account_id": work.account, "prompt_id": work.prompt, "operation": work.operation,
        }  # fmt: skip
        asked = [str(named[name]) for name in self.by if named.get(name)]
        if asked:
            return " / ".join(asked)
        known = [d for d in work.dimensions[:1] if d not in (None, "unallocated")]
        known += [
            d
            for d in (work.key, work.account, work.prompt, *work.dimensions[1:], *work.dimensions[:1], work.operation)
            if d
        ]
        return str(known[0]) if known else "unnamed use"

    def _days(self, driver: Driver) -> list[dict[str, Any]]:
        """The driver's workloads by day, model and prompt."""
        keys = {(w.dimensions, w.account, w.key, w.prompt, w.operation) for w in driver.works}
        loose = {(w.dimensions, w.prompt, w.operation) for w in driver.works}
        days = []
        for side, table in enumerate(self.daily):
            for row in _shortened(table, self.dimensions, driver):
                dims, prompt = tuple(row[d] for d in self.dimensions), family_of(row["prompt_id"])
                exact = (dims, row["sub_account_id"], row["api_key_id"], prompt, row["operation"]) in keys
                if exact or (driver.what != "volume" and (dims, prompt, row["operation"]) in loose):
                    days.append(row | {"side": side})
        return days

    def _date(self, driver: Driver) -> None:
        """Since which day: the first with the new model, version or work, or the one where the level breaks."""
        days = self._days(driver)
        last = max((r["day"] for r in days), default=None)
        first = min((pc.min(t["day"]).as_py() for t in self.daily if t.num_rows), default=None)
        if driver.what in ("switch", "new", "version"):
            ours = [r for r in days if driver.what == "new" and r["side"] == 1]
            if driver.what == "switch":
                ours = [r for r in days if r["model"] == driver.model_to]
            elif driver.what == "version":
                ours = [r for r in days if version_of(r["prompt_id"]) == driver.version]
            since = min((r["day"] for r in ours), default=None)
            if since == first:  # it was there before: the day its share of the money breaks, if one does
                totals, shares = _by_day(days, "sum_cost"), _by_day(ours, "sum_cost")
                since = broke({d: shares.get(d, _ZERO) / v for d, v in totals.items() if v}, gaps=False)
            elif driver.what != "new" and since is not None:
                alone = [r for r in days if r["day"] == since and r not in ours]
                driver.sudden = sum((r["sum_cost"] or _ZERO for r in alone), _ZERO) <= sum(
                    (r["sum_cost"] or _ZERO for r in ours if r["day"] == since), _ZERO
                )
            driver.since = since
        elif driver.what == "stopped" and last is not None:
            driver.since = last + dt.timedelta(days=1)
        elif driver.what in _OF_AMOUNTS:
            measure = "requests" if driver.what == "volume" and any(r["meter"] == "requests" for r in days) else None
            mine = [r for r in days if measure is None or r["meter"] == measure]
            driver.since = broke(_by_day(mine, "sum_quantity" if measure else "sum_cost"))
        elif driver.what not in _UNDATED:
            driver.since = broke(_of_a_unit(driver.what, days), gaps=False)

    def _user(self, driver: Driver) -> None:
        """The one user that carries most of it, where there is one among several."""
        sums: dict[str | None, Decimal] = {}
        for sign, frame in zip((-1, 1), self.frames, strict=True):
            if "user_id" not in frame.columns or "user_id" in left_out_of(frame) or not len(frame):
                return
            where = " OR ".join(self._test(w, frame) for w in sorted(driver.works, key=str)[:50])
            names = dict.fromkeys([*self.dimensions, *(c for c in WHO if c in frame.columns)])
            found = grouped(
                frame,
                ["user_id"],
                {"cost": "sum(effective_cost)"},
                needs=("effective_cost", *names),
                where=f"({where})",
            )
            for row in found:
                sums[row["user_id"]] = sums.get(row["user_id"], _ZERO) + sign * (row["cost"] or _ZERO)
        total = sum(sums.values(), _ZERO)
        if len(sums) > 1 and total:
            name, value = max(sums.items(), key=lambda item: (item[1] / total, str(item[0])))
            driver.user = name if value / total >= _MOST else None

    def _test(self, work: Workload, frame: pd.DataFrame) -> str:
        pairs = [
            *zip(self.dimensions, work.dimensions, strict=True),
            ("api_key_id", work.key),
            ("sub_account_id", work.account),
        ]
        tests = [_is(n, v) for n, v in pairs if n in frame.columns]
        if "prompt_id" in frame.columns and work.prompt is not None:
            tests.append(f"starts_with(prompt_id, {DUCKDB.literal(work.prompt)})")
        return f"({' AND '.join(tests) or 'TRUE'})"

    def _sentence(self, d: Driver, whole: Decimal) -> str:
        on = "" if d.since is None else f" {day_in_words(d.since)}"
        at = on and (f" on{on}" if d.sudden else f" from{on} on")
        prompt = f"prompt {d.family}" if d.family else ""
        versioned = f"prompt {d.family} {d.version}" if d.family and d.version else ""
        where = f" ({', '.join(filter(None, [prompt, d.user and f'user {d.user}']))})" if prompt or d.user else ""
        money = (
            f"{written(d.amount, self.currency, '+')} of {written(whole, self.currency, '+')} {self.currency}".rstrip()
        )
        if d.what == "switch":
            text = f"{d.who} moved from {short(d.model_from)} to {short(d.model_to)}{at}"
            text += f" with {versioned}" if versioned else f" in {prompt}" if prompt else ""
        elif d.what == "version":
            text = f"{d.who} changed to {versioned}{at} ({_effects_in_words(d.parts, self.currency)})"
        elif d.what == "new":
            text = f"{d.who} has new work{where} on {short(d.model_to)}{on and ' since' + on}"
        elif d.what == "stopped":
            text = f"{d.who} stopped work{where} on {short(d.model_from)}{on and ' on' + on}"
        elif d.what == "volume":
            fell = d.amount < 0
            grew = d.calls[1] / d.calls[0] - 1 if all(d.calls) else _ZERO
            said = f"made {f'{abs(grew):.0%} ' if grew else ''}{EFFECTS['volume'][fell]}"
            if grew and (grew < 0) != fell:  # not all calls are counted, and those that are went the other way
                said = f"used {'less' if fell else 'more'}"
            text = f"{d.who} {said}{where}{on and ' since' + on}"
        elif d.what in _OF_PRICES:
            text = f"{short(d.model_to)} has {WORDS[d.what][d.amount < 0]}{on and ' since' + on}"
        else:
            text = f"{d.who} has {WORDS[d.what][d.amount < 0]}{where}{on and ' since' + on}"
        return f"{text}: {money}."


def _by_day(rows: Iterable[dict[str, Any]], name: str) -> dict[dt.date, Decimal]:
    sums: dict[dt.date, Decimal] = {}
    for row in rows:
        sums[row["day"]] = sums.get(row["day"], _ZERO) + (row[name] or _ZERO)
    return sums


def _of_a_unit(what: str, rows: Sequence[dict[str, Any]]) -> dict[dt.date, Decimal]:
    """By day with use: what is paid of the list price, what is charged of the usual price of each meter, or the cost of a call."""
    top, bottom = "sum_cost", "sum_quantity"
    if what == "discount":
        rows, bottom = [r for r in rows if r["sum_listed"]], "sum_listed"
    elif what in ("price", "stated_price"):
        top = "sum_listed" if what == "price" else top
        sums: dict[tuple[Any, ...], list[Decimal]] = {}
        priced = [r for r in rows if r[top] and r["sum_quantity"]]
        for r in priced:
            had = sums.setdefault((r["model"], r["meter"], r["service_tier"]), [_ZERO, _ZERO])
            had[0], had[1] = had[0] + r[top], had[1] + r["sum_quantity"]
        usual = {name: cost / quantity for name, (cost, quantity) in sums.items()}
        rows = [r | {"usual": usual[r["model"], r["meter"], r["service_tier"]] * r["sum_quantity"]} for r in priced]
        bottom = "usual"
    counted = bottom == "sum_quantity" and any(r["meter"] == "requests" for r in rows)
    amounts = _by_day([r for r in rows if not counted or r["meter"] == "requests"], bottom)
    costs = _by_day(rows, top)
    return {day: costs[day] / amount for day, amount in amounts.items() if amount}


def _is(name: str, value: str | None) -> str:
    return f"{DUCKDB.ident(name)} IS NULL" if value is None else f"{DUCKDB.ident(name)} = {DUCKDB.literal(value)}"


def _effects_in_words(parts: dict[str, Decimal], currency: str) -> str:
    order = sorted(parts.items(), key=lambda item: -abs(item[1]))
    return ", ".join(f"{EFFECTS[e][v < 0]} {written(v, currency, '+')}" for e, v in order[:2])


def _version(mine: Sequence[Atom], place: int) -> str | None:
    """The version of the prompt that most cost of a side is on."""
    sums: dict[str | None, Decimal] = {}
    for atom in mine:
        for (*_, prompt), values in atom.labels.items():
            version = version_of(prompt)
            sums[version] = sums.get(version, _ZERO) + values[place]
    last = [v for v in sums if v is not None and sums[v] > 0]
    if place == 3 and last:  # a version that only came later is the new one, however little of the period it had
        before = {
            v
            for v in last
            if any(values[2] for a in mine for (*_, p), values in a.labels.items() if version_of(p) == v)
        }
        fresh = [v for v in last if v not in before]
        last = fresh or last
    return max(last, key=lambda v: (sums[v], str(v))) if last else None


def _moved(mine: Sequence[Atom]) -> tuple[str | None, str | None]:
    """The model that lost most, and the one that won most, by the bridge's effect of the model."""
    cost: dict[str | None, list[Decimal]] = {}
    for atom in mine:
        sums = cost.setdefault(atom.cell.vendor[1], [_ZERO, _ZERO])
        if atom.cell.kind.is_token:
            sums[0] += sum((v[0] for v in atom.labels.values()), _ZERO)
            sums[1] += sum((v[1] for v in atom.labels.values()), _ZERO)
    totals = [sum((v[i] for v in cost.values()), _ZERO) for i in (0, 1)]
    if not all(totals) or len(cost) < 2:
        return None, None
    shift = {model: v[1] / totals[1] - v[0] / totals[0] for model, v in cost.items()}
    lost, won = min(shift, key=lambda m: (shift[m], str(m))), max(shift, key=lambda m: (shift[m], str(m)))
    return (lost, won) if shift[lost] < 0 < shift[won] else (None, None)


def _largest(mine: Sequence[Atom], after: bool) -> str | None:
    sums: dict[str | None, Decimal] = {}
    for atom in mine:
        sums[atom.cell.vendor[1]] = sums.get(atom.cell.vendor[1], _ZERO) + (atom.after if after else atom.before)
    return max(sums, key=lambda m: (sums[m], str(m))) if any(sums.values()) else None


def _shortened(table: pa.Table, dimensions: Sequence[str], driver: Driver) -> list[dict[str, Any]]:
    """A period's daily cells that may be the driver's."""

    names = [
        "day",
        "model",
        "meter",
        "prompt_id",
        "sub_account_id",
        "api_key_id",
        "operation",
        "service_tier",
        "sum_quantity",
        "sum_cost",
        "sum_listed",
    ]
    mask = None
    columns = [*dimensions, "operation"]
    for i, name in enumerate(columns):
        values = pa.array(
            sorted(
                {
                    str((*w.dimensions, w.operation)[i])
                    for w in driver.works
                    if (*w.dimensions, w.operation)[i] is not None
                }
            ),
            pa.string(),
        )
        test = pc.is_in(table[name].cast(pa.string()), values)
        if any((*w.dimensions, w.operation)[i] is None for w in driver.works):
            test = pc.or_(test, pc.is_null(table[name]))
        mask = test if mask is None else pc.and_(mask, test)
    out: list[dict[str, Any]] = (
        (table if mask is None else table.filter(mask)).select([*dict.fromkeys([*dimensions, *names])]).to_pylist()
    )
    return out


def broke(daily: dict[dt.date, Decimal], *, gaps: bool = True) -> dt.date | None:
    """The day from which the level of a daily series is another one; None where no day stands out.

    Days between that the series lacks are 0 with `gaps`, as of an amount, and aren't there without, as of a ratio.
    The split into two levels of at least three days that leaves the least squares, kept if it explains three quarters of
    the variance.
    """
    if len(daily) < 6:
        return None
    import numpy as np

    first, last = min(daily), max(daily)
    days = [first + dt.timedelta(days=i) for i in range((last - first).days + 1)] if gaps else sorted(daily)
    values = np.array([float(daily.get(d, _ZERO)) for d in days])
    total = float(((values - values.mean()) ** 2).sum())
    if total <= 0:
        return None
    best, at = total, None
    for i in range(3, len(values) - 2):
        left = float(((values[:i] - values[:i].mean()) ** 2).sum() + ((values[i:] - values[i:].mean()) ** 2).sum())
        if left < best:
            best, at = left, i
    return days[at] if at is not None and 1 - best / total >= 0.75 else None


def short(model: str | None) -> str:
    """A model's name without the day of its snapshot.

    >>> short("claude-haiku-4-5-20251001"), short("gpt-5.1-2025-11-13"), short(None)
    ('claude-haiku-4-5', 'gpt-5.1', 'an unnamed model')
    """
    return "an unnamed model" if not model else _DATED.sub("", model)


def day_in_words(day: dt.date) -> str:
    """A day as a sentence says it.

    >>> day_in_words(dt.date(2026, 10, 25))
    '25 October'
    """
    return f"{day.day} {MONTHS[day.month - 1]}"
