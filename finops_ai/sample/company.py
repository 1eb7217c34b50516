"""The sample company's usage: thirteen months grown from `company.toml`, the same on every machine.

**Slices** are the ground truth, and what the writers of provider-native files (`native_<provider>.py`) start from:
one row per day, workload, user, model and tier, wide (a column per meter), as a pandas frame.

| columns | what |
|---|---|
| `charge_period_start`, `charge_period_end` | the UTC day, half open (pandas timestamps, UTC) |
| `provider` ... `inference_geo`, `api_key_id`, `user_id`, `prompt_id`, `tags` | as in the token frame, null where the provider has no such thing; `prompt_id` is the true prompt (`name@version`), also where only a gateway's log could know it; `tags` is a map or null |
| `input`, `cache_read`, `cache_write_5m`, `cache_write_1h`, `output`, `reasoning`, `requests`, `characters`, `provisioned_hours` | whole quantities of the meters (int64, 0 = none); disjoint, so a provider's "input total" is their sum, and its "output total" is `output + reasoning` |
| `workload`, `team`, `product`, `environment`, `cost_centre` | the truth about who it was for |
| `gateway` | whether the call went through the company's gateway, whose log knows team and prompt |
| `late` | whether the provider reported the row only after its month was closed |
| `cause` | the change (an `id` of `events()`) in effect on the row, or `""` |
| `provisioned_hours_used` | of the provisioned unit-hours, those that served calls (int64) |
| `list_cost` | exact cost at public list prices, USD (decimal128(38,18)) |

A writer is a module `finops_ai/sample/native_<x>.py` with `write(slices, folder) -> list[Path]`: it gets all slices,
keeps the rows of its own `provider` (or those with `gateway`), adds them up to the grain its provider really reports,
and returns the files it wrote. Amounts of money in bills are `list_cost`, added up exactly.
"""

from __future__ import annotations

import datetime as dt
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import pyarrow as pa

from finops_ai.periods import next_month, parse_month

IDENTITY = [
    "provider", "billing_account_id", "sub_account_id", "sub_account_name", "region", "resource_id", "model",
    "operation", "service_tier", "context_tier", "inference_geo", "api_key_id", "user_id", "prompt_id",
]  # fmt: skip
METERS = [
    "input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning", "requests", "characters",
    "provisioned_hours",
]  # fmt: skip
TRUTH = ["workload", "team", "product", "environment", "cost_centre", "cause"]
TAGS = pa.map_(pa.string(), pa.string())
DAYS_A_MONTH = 365.25 / 12


@cache
def company() -> dict[str, Any]:
    """The company as data: teams, channels, workloads, events and prices."""
    return tomllib.loads(files("finops_ai.sample").joinpath("company.toml").read_text("utf-8"))


@cache
def days() -> np.ndarray:
    """Every day of the sample, in order (numpy dates)."""
    first = end = parse_month(company()["first_month"])
    for _ in range(company()["months"]):
        end = next_month(end)
    return np.arange(np.datetime64(first), np.datetime64(end))


def exact_decimals(values: np.ndarray, unscaled_digits: int, kind: pa.DataType) -> pa.Array:
    """Whole numbers of a decimal's smallest units (10**-unscaled_digits) as an Arrow decimal column, without floats."""
    words = np.column_stack([values, values >> 63]).astype("<i8")
    plain = pa.Array.from_buffers(
        pa.decimal128(38, unscaled_digits), len(values), [None, pa.py_buffer(words.tobytes())]
    )
    return plain.cast(kind)


def _steps(changes: list[list[Any]], column: int, first: object) -> tuple[np.ndarray, list[Any]]:
    """For every day the position of the latest change that has a value in `column`, and those values."""
    values, position = [first], np.zeros(len(days()), dtype=np.int64)
    for change in changes:
        if len(change) > column:
            position[days() >= np.datetime64(change[0])] = len(values)
            values.append(change[column])
    return position, values


def _daily(changes: list[list[Any]], column: int) -> np.ndarray:
    """A number's value on every day, 0 before its first change."""
    position, values = _steps(changes, column, 0.0)
    out: np.ndarray = np.asarray(values)[position]
    return out


@dataclass
class _Shape:
    """Calls a day of one workload's user, before models divide them."""

    calls: np.ndarray
    tokens: np.ndarray


def _shapes(work: dict[str, Any], rng: np.random.Generator) -> list[_Shape]:
    """Calls and token-length drift a day, one shape a user (one in all where the workload has no users)."""
    people, n = work.get("users", 1), len(days())
    months = np.arange(n) / DAYS_A_MONTH
    weekday = (days().astype("datetime64[D]").astype(int) + 3) % 7
    level = work["requests"] * np.exp(work["growth"] * months) * np.asarray(company()["weeks"][work["week"]])[weekday]
    if work["week"] in ("office", "developer"):
        month_day = np.array([(d.month, d.day) for d in days().astype(dt.date)])
        holiday = ((month_day[:, 0] == 12) & (month_day[:, 1] >= 22)) | (
            (month_day[:, 0] == 1) & (month_day[:, 1] <= 2)
        )
        level = np.where(holiday, level * 0.55, level)
    for move, inside in (("moves_out", False), ("starts", True)):
        if move in work:
            after, share = days() >= np.datetime64(work[move]["from"]), work[move]["share"]
            level = level * (np.where(after, share, 0.0) if inside else np.where(after, 1 - share, 1.0))
    weights = 1 / np.arange(1, people + 1) ** 0.7
    out = []
    for weight in weights / weights.mean():
        shocks = rng.standard_normal((2, n))
        noise = _autoregress(shocks[0], 0.41) * work["noise"]
        calls = level * weight * np.exp(noise - work["noise"] ** 2 / 2)
        if people > 1:
            calls = np.where(rng.random(n) < 0.78, calls, 0.0)
        drift = _autoregress(shocks[1], 0.6) * work["noise"] * 0.35
        out.append(_Shape(np.rint(calls).astype(np.int64), np.exp(drift)))
    return out


def _autoregress(shocks: np.ndarray, memory: float) -> np.ndarray:
    """A stationary AR(1) series of unit variance."""
    fresh = np.sqrt(1 - memory**2)
    out, last = np.empty_like(shocks), float(shocks[0])
    for i, shock in enumerate(shocks.tolist()):
        last = memory * last + fresh * shock if i else last
        out[i] = last
    return out


def _arrivals(work: dict[str, Any]) -> np.ndarray:
    """Share of calls that have reached model k or a later one, (models + 1) x days; falls from 1 to 0 over k."""
    reached = [np.ones(len(days()))]
    for start, *_ in work["models"][1:]:
        overlap = work.get("overlap_days", {}).get(start, 0)
        age = (days() - np.datetime64(start)).astype(int)
        reached.append(np.clip((age + 1) / overlap, 0, 1) if overlap else (age >= 0).astype(float))
    return np.stack([*reached, np.zeros(len(days()))])


def _causes(work: dict[str, Any], model: int, name: str) -> list[str]:
    """For every day the latest change in effect on one model's calls of a workload ('' = none)."""
    changes = [(c[0], c[-1]) for c in work.get("versions", []) if len(c) == 4]
    changes += [(c[0], c[-1]) for c in work.get("cache", []) if len(c) == 5]
    changes += [(c[0], c[-1]) for c in work.get("tiers", [])]
    changes += [(c[0], c[2]) for c in work["models"][: model + 1] if len(c) == 3]
    changes += [
        (e["date"], e["id"]) for e in company()["events"] if e["kind"] == "price cut" and name in e["workloads"]
    ]
    out = [""] * len(days())
    for start, cause in sorted(changes, key=lambda change: change[0]):
        first = int((np.datetime64(start) - days()[0]).astype(int))
        out[max(first, 0) :] = [cause] * (len(out) - max(first, 0))
    return out


def unit_prices() -> dict[str, dict[str, np.ndarray]]:
    """List price of `provider/model` and meter on every day, whole 10**-12 USD a unit."""
    out: dict[str, dict[str, np.ndarray]] = {}
    for row in company()["prices"]:
        since = days() >= np.datetime64(row.get("from", "0001-01-01"))
        table = out.setdefault(row["model"], {})
        for meter, usd in row["usd"].items():
            whole, _, part = usd.partition(".")
            micro = int(whole + part.ljust(6, "0"))
            table[meter] = np.where(since, micro, table.get(meter, np.zeros(len(days()), dtype=np.int64)))
    for table in out.values():  # reasoning is billed as output
        if "output" in table:
            table["reasoning"] = table["output"]
    return out


@dataclass
class _Segment:
    """Days of one workload, user and model."""

    constants: dict[str, Any]
    day: np.ndarray
    daily: dict[str, list[Any]]
    numbers: dict[str, np.ndarray]


def _segments() -> list[_Segment]:
    rng, prices, out = np.random.default_rng(company()["seed"]), unit_prices(), []
    for name, work in company()["workloads"].items():
        channel = company()["channels"][work["channel"]]
        version, versions = _steps(work.get("versions", []), 1, None)
        factor = np.cumprod([1.0, *(v[2] if len(v) > 2 else 1.0 for v in work.get("versions", []))])[version]
        tier, tiers = _steps(work.get("tiers", []), 1, "standard")
        read, write = (_daily(work.get("cache", []), column) for column in (1, 2))
        write_meter = work["cache"][0][3] if work.get("cache") else "cache_write_5m"
        arrivals = _arrivals(work)
        for user, shape in enumerate(_shapes(work, rng)):
            for k, (_, model, *_) in enumerate(work["models"]):
                calls = np.rint(shape.calls * arrivals[k]).astype(np.int64) - np.rint(
                    shape.calls * arrivals[k + 1]
                ).astype(np.int64)
                day = np.flatnonzero(calls > 0)
                calls = calls[day]
                length = shape.tokens[day] * factor[day]
                sent = np.rint(calls * work["input"] * length).astype(np.int64)
                made = np.rint(calls * work["output"] * length).astype(np.int64)
                n = {meter: np.zeros(len(day), dtype=np.int64) for meter in METERS}
                n["requests"] = calls
                if work.get("meter") == "characters":
                    n["characters"] = sent + made
                else:
                    n["cache_read"] = np.floor(sent * read[day]).astype(np.int64)
                    n[write_meter] = np.floor(sent * write[day]).astype(np.int64)
                    n["input"] = sent - n["cache_read"] - n[write_meter]
                    n["reasoning"] = np.floor(made * work.get("reasoning", 0.0)).astype(np.int64)
                    n["output"] = made - n["reasoning"]
                n["provisioned_hours_used"] = np.zeros(len(day), dtype=np.int64)
                n["list_cost"] = _list_cost(
                    n, prices[f"{channel['provider']}/{model}"], day, [tiers[t] for t in tier[day]]
                )
                causes = _causes(work, k, name)
                constants = channel | {
                    "model": model,
                    "operation": work.get("operation", "chat"),
                    "user_id": f"user_{work['team']}_{user + 1:02}" if "users" in work else None,
                    "workload": name,
                    "team": work["team"],
                    "product": work["product"],
                    "environment": work.get("environment", "prod"),
                    "cost_centre": company()["teams"][work["team"]],
                    "gateway": work.get("gateway", False),
                    "late": False,
                }
                prompt = work.get("prompt", name)
                daily = {
                    "service_tier": [tiers[t] for t in tier[day]],
                    "prompt_id": [f"{prompt}@{versions[v]}" if versions[v] else None for v in version[day]],
                    "cause": [causes[d] for d in day],
                }
                out += _held_back(_Segment(constants, day, daily, n), prices[f"{channel['provider']}/{model}"])
    return [*out, _provisioned(out, prices)]


def _list_cost(n: dict[str, np.ndarray], price: dict[str, np.ndarray], day: np.ndarray, tiers: list[str]) -> np.ndarray:
    """Exact list cost in whole 10**-12 USD; a batch call costs half, a provisioned one is paid by the hour."""
    halves = np.asarray([{"batch": 1, "provisioned": 0}.get(t, 2) for t in tiers], dtype=np.int64)
    tokens = sum(n[m] * price[m][day] for m in METERS if m in price and m not in ("requests", "provisioned_hours"))
    out: np.ndarray = (
        tokens * halves // 2
        + n["provisioned_hours"] * price.get("provisioned_hours", np.zeros(len(days()), dtype=np.int64))[day]
    )
    return out


def _held_back(segment: _Segment, price: dict[str, np.ndarray]) -> list[_Segment]:
    """The segment, and the part of it that the provider reports late, if an event says so."""
    for event in company()["events"]:
        if event["kind"] == "restatement" and segment.constants["workload"] in event["workloads"]:
            on = (days()[segment.day] >= np.datetime64(event["date"])) & (
                days()[segment.day] <= np.datetime64(event["last_date"])
            )
            if not on.any():
                continue
            late = {m: np.floor(v[on] * event["share"]).astype(np.int64) for m, v in segment.numbers.items()}
            daily = {key: [v for v, o in zip(values, on, strict=True) if o] for key, values in segment.daily.items()}
            daily["cause"] = [event["id"]] * int(on.sum())
            late["list_cost"] = _list_cost(late, price, segment.day[on], daily["service_tier"])
            for meter, values in late.items():
                segment.numbers[meter][on] -= values
            return [segment, _Segment(segment.constants | {"late": True}, segment.day[on], daily, late)]
    return [segment]


def _provisioned(segments: list[_Segment], prices: dict[str, dict[str, np.ndarray]]) -> _Segment:
    """The hours of the reserved deployment, used or not."""
    plan = company()["provisioned"]
    day = np.flatnonzero(days() >= np.datetime64(plan["from"]))
    load = np.zeros(len(days()))
    for segment in segments:
        if segment.constants["workload"] == plan["workload"]:
            n, base = segment.numbers, segment
            load[segment.day] += n["input"] + plan["output_weight"] * n["output"]
    zero = np.zeros(len(day), dtype=np.int64)
    numbers = {meter: zero.copy() for meter in METERS}
    numbers["provisioned_hours"] = zero + plan["units"] * 24
    used = np.rint(load[day] / plan["tokens_per_unit_hour"]).astype(np.int64)
    numbers["provisioned_hours_used"] = np.minimum(used, numbers["provisioned_hours"])
    price = prices[f"{base.constants['provider']}/{base.constants['model']}"]
    tiers = ["provisioned"] * len(day)
    numbers["list_cost"] = _list_cost(numbers, price, day, tiers)
    daily: dict[str, list[Any]] = {
        "service_tier": tiers,
        "prompt_id": [None] * len(day),
        "cause": ["in-app-ptu"] * len(day),
    }
    return _Segment(base.constants | {"operation": "provisioned"}, day, daily, numbers)


@cache
def slices_table() -> pa.Table:
    """All slices as an Arrow table, by day (columns as the module says)."""
    segments = _segments()
    day = np.concatenate([s.day for s in segments])
    order = np.argsort(day, kind="stable")
    owner = pa.array(np.repeat(np.arange(len(segments)), [len(s.day) for s in segments])[order])
    start = pa.array(days()[day[order]].astype("datetime64[us]"), type=pa.timestamp("us")).cast(
        pa.timestamp("us", "UTC")
    )
    columns: dict[str, Any] = {
        "charge_period_start": start,
        "charge_period_end": pa.array(
            days()[day[order]].astype("datetime64[us]") + np.timedelta64(86_400_000_000, "us"), type=pa.timestamp("us")
        ).cast(pa.timestamp("us", "UTC")),
    }
    take = pa.array(order)
    for name in [*IDENTITY, *TRUTH]:
        if name in segments[0].daily:
            columns[name] = pa.array([v for s in segments for v in s.daily[name]], type=pa.string()).take(take)
        else:
            columns[name] = pa.array([s.constants.get(name) for s in segments], type=pa.string()).take(owner)
    maps = [sorted(s.constants["tags"].items()) if "tags" in s.constants else None for s in segments]
    columns["tags"] = pa.array(maps, type=TAGS).take(owner)
    for name in ("gateway", "late"):
        columns[name] = pa.array([s.constants[name] for s in segments]).take(owner)
    for name in [*METERS, "provisioned_hours_used"]:
        columns[name] = pa.array(np.concatenate([s.numbers[name] for s in segments])[order])
    cost = np.concatenate([s.numbers["list_cost"] for s in segments])[order]
    columns["list_cost"] = exact_decimals(cost, 12, pa.decimal128(38, 18))
    first = ["charge_period_start", "charge_period_end", *IDENTITY, "tags"]
    return pa.table({name: columns[name] for name in [*first, *(c for c in columns if c not in first)]})
