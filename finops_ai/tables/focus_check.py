"""What the official FOCUS validator can't see: cost arithmetic, parents, text formats, prefixes, doubled rows."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from finops_ai.errors import DataError
from finops_ai.frames.focus import DRAFT_KEYS, MANDATORY, columns, kind_of
from finops_ai.providers.files import FieldLimit

#: subcategories whose parent is "AI and Machine Learning"
AI_SUBCATEGORIES = {
    "AI Platforms", "Bots", "Generative AI", "Machine Learning", "Natural Language Processing",
    "Other (AI and Machine Learning)",
}  # fmt: skip
#: keys of SkuPriceDetails that FOCUS up to 1.4 defines
DEFINED_KEYS = {
    "CoreCount", "DiskMaxIops", "DiskSpace", "DiskType", "GpuCount", "InstanceType", "InstanceSeries", "MemorySize",
    "NetworkMaxIops", "NetworkMaxThroughput", "OperatingSystem", "Redundancy", "StorageClass",
}  # fmt: skip
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
UNIT = re.compile(r"([1-9]\d* )?[A-Z][A-Za-z]*(-[A-Z][A-Za-z]*)*(/([1-9]\d* )?[A-Z][a-z]+)?")
SPELT_NULLS = {"NULL", "null", "N/A", "n/a", "None", "nan", "NaN"}
TOGETHER = (("PricingQuantity", "PricingUnit"), ("ConsumedQuantity", "ConsumedUnit"), ("RegionId", "RegionName"))
#: least difference that counts: parts of split rows carry quantities of 6 places
TOLERANCE = Decimal("0.000000001")

#: characters of a cell, which may hold a name of any length
LONGEST_FIELD = 2**27

Row = dict[str, Any]


@dataclass(frozen=True)
class Problem:
    """One broken rule: how many rows break it, and the first, counted from 1."""

    rule: str
    rows: int
    first: int
    detail: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.rows} rows, first in row {self.first}: {self.detail}"


def check_focus(path: str | Path, version: str = "1.2", *, draft_keys: bool = False) -> list[Problem]:
    """Check a FOCUS file for what the official validator lets pass.

    Checked: columns of the version present, custom ones prefixed `x_`; no null where none is allowed, null spelt as
    nothing; times as `YYYY-MM-DDTHH:MM:SSZ` in UTC, ends after starts; units in the Unit Format; ListCost and
    ContractedCost = unit price x quantity; quantities and units null together; subcategory under its category;
    SkuPriceDetails keys defined or prefixed, and one description per SkuPriceId; ratios of split rows; doubled rows.

    Args:
        path: a CSV or Parquet file.
        version: the FOCUS version it claims.
        draft_keys: allow the 1.5 draft's keys of SkuPriceDetails.

    Returns:
        One problem per broken rule; empty = none found.

    Raises:
        DataError: the file can't be read.
    """
    path = Path(path)
    rows, names = _rows(path)
    found: dict[str, list[tuple[int, str]]] = {}
    for missing in columns(version).keys() - set(names):
        found.setdefault("a column of the version is missing", []).append((0, missing))
    for name in names:
        if name not in columns(version) and not re.fullmatch(r"x_[A-Z][A-Za-z0-9]{0,47}", name):
            found.setdefault("custom columns start with x_ and a capital", []).append((0, name))
    seen: dict[tuple[Any, ...], int] = {}
    details: dict[str, str] = {}
    for number, row in enumerate(rows, 1):
        for rule, detail in _problems(row, draft_keys, details):
            found.setdefault(rule, []).append((number, detail))
        key = tuple(row.values())
        if key in seen:
            found.setdefault("no row comes twice", []).append((number, f"same as row {seen[key]}"))
        seen[key] = number
    return [Problem(rule, len(hits), *hits[0]) for rule, hits in found.items()]


def _rows(path: Path) -> tuple[list[Row], list[str]]:
    try:
        if path.suffix == ".parquet":
            import pyarrow.parquet as pq

            table = pq.read_table(path)
            return [_as_text(row) for row in table.to_pylist()], table.column_names
        with path.open(encoding="utf-8-sig", newline="") as file, FieldLimit(LONGEST_FIELD):
            reader = csv.DictReader(file)
            rows = []
            for row in reader:
                if None in row:
                    raise ValueError(f"line {reader.line_num} has more fields than the header")
                rows.append({k: v if v != "" else None for k, v in row.items()})
            return rows, list(reader.fieldnames or [])
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{path}: can't be read ({error}).") from None


def _as_text(row: Row) -> Row:
    import datetime as dt

    return {
        k: v.astimezone(dt.UTC).isoformat().replace("+00:00", "Z") if isinstance(v, dt.datetime) and v.tzinfo else v
        for k, v in row.items()
    }


def _problems(row: Row, draft_keys: bool, details: dict[str, str]) -> Iterator[tuple[str, str]]:
    for name, value in row.items():
        if value is None:
            if name in MANDATORY:
                yield "no null where none is allowed", name
        elif isinstance(value, str) and value in SPELT_NULLS:
            yield "null is spelt as nothing", f"{name} = {value!r}"
        elif kind_of(name) == "time" and not TIME.fullmatch(str(value)):
            yield "times are YYYY-MM-DDTHH:MM:SSZ", f"{name} = {value!r}"
    for start, end in (("ChargePeriodStart", "ChargePeriodEnd"), ("BillingPeriodStart", "BillingPeriodEnd")):
        if str(row.get(start)) >= str(row.get(end)):
            yield "periods end after they start", f"{row.get(start)} to {row.get(end)}"
    for name in ("PricingUnit", "ConsumedUnit"):
        if row.get(name) and not UNIT.fullmatch(row[name]):
            yield "units are in the Unit Format", f"{name} = {row[name]!r}"
    for one, other in TOGETHER:
        if (row.get(one) is None) != (row.get(other) is None):
            yield f"{one} and {other} are null together", f"{row.get(one)!r} and {row.get(other)!r}"
    category, sub = row.get("ServiceCategory"), row.get("ServiceSubcategory")
    if sub is not None and (sub in AI_SUBCATEGORIES) != (category == "AI and Machine Learning"):
        yield "a subcategory lies under its category", f"{sub!r} under {category!r}"
    yield from _arithmetic(row)
    yield from _descriptions(row, draft_keys, details)


def _arithmetic(row: Row) -> Iterator[tuple[str, str]]:
    if row.get("ChargeClass") == "Correction":
        return
    for cost, price in (("ListCost", "ListUnitPrice"), ("ContractedCost", "ContractedUnitPrice")):
        values = [row.get(name) for name in (cost, price, "PricingQuantity")]
        if None in values:
            continue
        try:
            amount, unit, quantity = (Decimal(str(value)) for value in values)
        except InvalidOperation:
            yield "numbers are numbers", f"{cost}, {price}, PricingQuantity = {values}"
            continue
        if abs(amount - unit * quantity) > TOLERANCE:
            yield f"{cost} is {price} x PricingQuantity", f"{amount} is not {unit} x {quantity} = {unit * quantity}"
        if unit < 0:
            yield "unit prices are 0 or more", f"{price} = {unit}"


def _descriptions(row: Row, draft_keys: bool, details: dict[str, str]) -> Iterator[tuple[str, str]]:
    known = DEFINED_KEYS | (set(DRAFT_KEYS) if draft_keys else set())
    for name in ("SkuPriceDetails", "Tags", "AllocatedTags", "AllocatedMethodDetails"):
        text = row.get(name)
        if text is None:
            continue
        try:
            parsed = json.loads(text)
        except (TypeError, ValueError, RecursionError):
            yield "JSON columns hold JSON objects", f"{name} = {text!r:.60}"
            continue
        if not isinstance(parsed, dict):
            yield "JSON columns hold JSON objects", f"{name} = {text!r:.60}"
        elif name == "SkuPriceDetails":
            if foreign := [k for k in parsed if k not in known and not k.startswith("x_")]:
                yield "keys of SkuPriceDetails are defined or start with x_", foreign[0]
            if details.setdefault(str(row.get("SkuPriceId")), text) != text:
                yield "one SkuPriceId has one description", str(row.get("SkuPriceId"))
        elif name == "AllocatedMethodDetails":
            ratios = [element.get("AllocatedRatio") for element in parsed.get("Elements", [])]
            if not ratios or not all(isinstance(r, int | float) and 0 <= r <= 1 for r in ratios):
                yield "split rows state ratios between 0 and 1", f"{ratios}"
