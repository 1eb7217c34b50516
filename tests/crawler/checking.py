"""What must hold of every figure that a report publishes: one value, footing, ratios that can be redone, no 0 for unknown."""

from __future__ import annotations

import datetime as dt
import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from .reading import UNKNOWN, Cell, Document, Sheet

#: heading as shown -> what it is; ids as files write them stand for themselves
LABELS = {
    "cost": "cost", "month before": "previous_cost", "change": "change", "requests": "requests", "tokens": "tokens",
    "tokens with a known price": "priced_tokens", "token cost": "token_cost", "cost of counted requests": "counted_cost",
    "cost per request": "cost_per_request", "all-in cost per 1m tokens": "cost_per_1m_tokens",
    "token cost per 1m tokens": "token_cost_per_1m_tokens", "input cost per 1m": "input_cost_per_1m",
    "output cost per 1m": "output_cost_per_1m", "at list prices": "list_cost", "before": "before", "after": "after",
    "computed": "computed", "billed": "billed", "difference": "difference", "incentive": "incentive", "incentives": "incentive", "margin": "margin", "other lines of the bill": "bill_lines",
    "charge": "charge", "true-up": "true_up", "true up": "true_up", "due": "due", "debit": "debit", "credit": "credit",
    "input tokens with a known price": "priced_input_tokens", "output tokens with a known price": "priced_output_tokens",
    "input cost": "input_cost", "output cost": "output_cost", "included": "included_cost",
    "cached input tokens": "cache_read_tokens", "tokens in batch": "batch_tokens", "input tokens": "input_tokens", "output tokens": "output_tokens", "tokens with a price": "listed_tokens",
    "cost of cached input": "cache_read_cost", "cost with a list price": "comparable_cost", "list price of what was paid": "comparable_list_cost",
    "input from cache": "cache_hit_rate", "output / input": "output_input_ratio", "paid of list": "effective_vs_list", "priced": "priced",
}  # fmt: skip
MONEY = {"cost", "previous_cost", "change", "token_cost", "counted_cost", "list_cost", "before", "after", "computed", "billed",
         "difference", "incentive", "margin", "bill_lines", "charge", "true_up", "due", "debit", "credit", "input_cost", "output_cost", "included_cost", "cache_read_cost", "comparable_cost", "comparable_list_cost"}  # fmt: skip
COUNTS = {
    "requests",
    "tokens",
    "priced_tokens",
    "priced_input_tokens",
    "priced_output_tokens",
    "listed_tokens",
    "cache_read_tokens",
    "input_tokens",
    "output_tokens",
    "batch_tokens",
}
#: ratio -> (upper, lower, times); of each the first that stands beside it is taken
RATIOS = {
    "cost_per_request": (("counted_cost", "cost"), ("requests",), 1),
    "cost_per_1m_tokens": (("cost",), ("priced_tokens", "tokens"), 1_000_000),
    "token_cost_per_1m_tokens": (("token_cost", "cost"), ("priced_tokens", "tokens"), 1_000_000),
    "input_cost_per_1m": (("input_cost",), ("priced_input_tokens",), 1_000_000),
    "output_cost_per_1m": (("output_cost",), ("priced_output_tokens",), 1_000_000),
    "cache_hit_rate": (("cache_read_tokens",), ("input_tokens", "priced_input_tokens"), 1),
    "cache_hit_cost_share": (("cache_read_cost",), ("input_cost",), 1),
    "output_input_ratio": (("output_tokens", "priced_output_tokens"), ("input_tokens", "priced_input_tokens"), 1),
    "batch_share": (("batch_tokens",), ("tokens",), 1),
    "effective_vs_list": (("comparable_cost", "cost"), ("comparable_list_cost", "list_cost", "cost"), 1),
    "priced": (("listed_tokens", "tokens"), ("tokens",), 1),
}
#: whole = sum of parts, in each row that has them
ACROSS = [
    ("cost", [("previous_cost", 1), ("change", 1)]),
    ("after", [("before", 1), ("change", 1)]),
    ("billed", [("computed", 1), ("difference", 1)]),
    ("charge", [("cost", 1), ("bill_lines", 1), ("margin", 1), ("incentive", 1)]),
    ("due", [("charge", 1), ("true_up", 1)]),
]
#: pages about a part of the company: their tables are of that part
PARTS = re.compile(r"^(team-|[a-z_]+-[a-z0-9-]+\.html|chargeback_statement-)")


@dataclass(frozen=True)
class Fault:
    """Something a reader could not make sense of."""

    kind: str
    place: str
    what: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.place}: {self.what}"


def check(documents: Iterable[Document]) -> list[Fault]:
    """Every fault of everything a report publishes."""
    documents = list(documents)
    sheets = [s for d in documents for s in d.sheets]
    out = [f for s in sheets for f in (*footing(s), *years(s), *ratios(s), *zeros(s))]
    out += pairs(sheets)
    out += budgets(sheets)
    out += [f for d in documents for f in sentences(d)]
    return out


def measure(head: str) -> tuple[str | None, Decimal]:
    """What a heading stands for, and what its figures are multiplied by."""
    text, times = head.strip().lower(), Decimal(1)
    if text.endswith(", millions"):
        text, times = text.removesuffix(", millions"), Decimal(1_000_000)
    known = {*LABELS.values(), *RATIOS}
    return LABELS.get(text) or (text if text in known else None), times


def columns(sheet: Sheet) -> dict[str, tuple[int, Decimal]]:
    """Measure -> its column and multiplier; a heading that stands twice is left out."""
    found: dict[str, tuple[int, Decimal]] = {}
    for i, head in enumerate(sheet.heads):
        name, times = measure(head)
        if name and name not in found:
            found[name] = (i, times)
    return found


def _at(row: list[Cell], i: int) -> Cell:
    return row[i] if i < len(row) else Cell("")


def footing(sheet: Sheet) -> list[Fault]:
    """Columns add up to the total below them, and rows across, at the digits that are shown."""
    out = []
    cols = columns(sheet)
    if sheet.total:
        for name, (i, _) in cols.items():
            if name not in MONEY | COUNTS:
                continue
            cells = [_at(r, i) for r in sheet.rows if _at(r, i).value is not None]
            whole = _at(sheet.total, i)
            if whole.value is None or not cells:
                continue
            room = Decimal(0) if name in MONEY else sum((c.digit for c in cells), whole.digit) / 2
            room = room if (whole.digit < 1 and name in COUNTS) or name in MONEY else Decimal(len(cells))
            if abs(sum(c.value for c in cells) - whole.value) > room:
                out.append(
                    Fault(
                        "column",
                        sheet.place,
                        f"{name}: rows come to {sum(c.value for c in cells)}, the total says {whole.text}",
                    )
                )
    for row in (*sheet.rows, *([sheet.total] if sheet.total else [])):
        for whole, parts in ACROSS:
            if whole not in cols or not all(
                p in cols for p, _ in parts if p not in ("bill_lines", "margin", "incentive", "true_up")
            ):
                continue
            own = _at(row, cols[whole][0])
            cells = [(_at(row, cols[p][0]), sign) for p, sign in parts if p in cols]
            if own.value is None or any(c.value is None for c, _ in cells):
                continue
            if sum(c.value * s for c, s in cells) != own.value:
                out.append(
                    Fault(
                        "row",
                        sheet.place,
                        f"{row[0].text}: {whole} {own.text} is not {' + '.join(c.text for c, _ in cells)}",
                    )
                )
    return out


def years(sheet: Sheet) -> list[Fault]:
    """A year spent what its months did."""
    heads = [h.strip().lower() for h in sheet.heads]
    lines = [*sheet.rows, *([sheet.total] if sheet.total else [])]
    at = next((i for i, head in enumerate(heads) if head.startswith("spent")), None)
    if heads[:1] != ["month"] or at is None or not lines or lines[-1][0].text != "Year":
        return []
    months = sum((r[at].value for r in lines[:-1] if _at(r, at).value is not None), Decimal(0))
    year = _at(lines[-1], at)
    if year.value is None or year.value == months:
        return []
    return [Fault("column", sheet.place, f"spent: months come to {months}, the year says {year.text}")]


def budgets(sheets: Iterable[Sheet]) -> list[Fault]:
    """What a budget of one name and month says is spent is what that name cost in that month."""
    sheets = list(sheets)
    costs: dict[str, dict[Decimal, str]] = {}
    for sheet in sheets:
        if columns(sheet).get("cost", (0, 0))[0] == 1 and not PARTS.match(sheet.place):
            for row in sheet.rows:
                if _at(row, 1).value is not None and _at(row, 1).digit <= Decimal("0.01"):
                    costs.setdefault(row[0].text, {})[row[1].value] = sheet.place
    out = []
    for sheet in sheets:
        heads = [h.strip().lower() for h in sheet.heads]
        if heads[:1] != ["budget"] or "spent" not in heads:
            continue
        for row in sheet.rows:
            name, spent = re.match(r"(.*?)(?:, \w+ \d{4})?$", row[0].text), _at(row, heads.index("spent"))
            known = costs.get(name[1], {}) if name and name[0] != name[1] else {}
            if known and spent.value is not None and spent.value not in known:
                said = "; ".join(f"{v} in {p}" for v, p in known.items())
                out.append(Fault("pair", sheet.place, f"{row[0].text}: spent {spent.text}, but {said}"))
    return out


def ratios(sheet: Sheet) -> list[Fault]:
    """A person can redo every unit cost from the figures beside it."""
    out = []
    cols = columns(sheet)
    for name, (i, _) in cols.items():
        if name not in RATIOS:
            continue
        uppers, lowers, per = RATIOS[name]
        for row in (*sheet.rows, *([sheet.total] if sheet.total else [])):
            shown = _at(row, i)
            if shown.value is None:
                continue
            tries = [
                (_at(row, cols[u][0]), _at(row, cols[w][0]), cols[u][1], cols[w][1], u in MONEY, w in MONEY)
                for u, w in itertools.product(uppers, lowers)
                if u in cols and w in cols
            ]
            if not tries:
                out.append(Fault("ratio", sheet.place, f"{row[0].text}: nothing beside {name} to redo it from"))
                break
            if not any(_agrees(shown, top, bottom, *scales, per) for top, bottom, *scales in tries):
                beside = "; ".join(f"{t.text} / {b.text}" for t, b, *_ in tries)
                out.append(Fault("ratio", sheet.place, f"{row[0].text}: {name} {shown.text} is not {beside}"))
    return out


def _agrees(
    shown: Cell, top: Cell, bottom: Cell, above: Decimal, below: Decimal, cost: bool, paid: bool, per: int
) -> bool:
    """Whether a quotient of two shown figures can be what is shown, whatever their hidden digits are."""
    per *= 100 if shown.percent else 1
    if top.value is None or bottom.value is None or not (bottom.value or paid):
        return False
    # cents are decided for many small rows together: a small part may be two cents away from its exact cost
    half_top = top.digit * (Decimal("2.5") if cost else Decimal("0.5"))
    half_bottom = bottom.digit * below / 2 if bottom.digit < 1 or below > 1 else Decimal("0.5")
    if paid:
        half_bottom = max(half_bottom, bottom.digit * Decimal("2.5"))
        if abs(bottom.value) <= half_bottom:  # a part of some cents: its share is of what is less than they
            return True
    low = (top.value - half_top) * above * per / (bottom.value * below + half_bottom)
    high = (top.value + half_top) * above * per / max(bottom.value * below - half_bottom, Decimal("1e-9"))
    return min(low, high) - shown.digit <= shown.value <= max(low, high) + shown.digit


def zeros(sheet: Sheet) -> list[Fault]:
    """What isn't known is a dash: no calls counted where there is cost, no month before where none is held."""
    out = []
    cols = columns(sheet)
    for row in sheet.rows:
        cost = _at(row, cols["cost"][0]).value if "cost" in cols else None
        tokens = _at(row, cols["tokens"][0]).value if "tokens" in cols else None
        if "requests" in cols and _at(row, cols["requests"][0]).value == 0 and (cost or tokens):
            out.append(Fault("zero", sheet.place, f"{row[0].text}: 0 requests for a cost of {cost}"))
        if "tokens" in cols and tokens == 0 and cost:
            out.append(Fault("zero", sheet.place, f"{row[0].text}: 0 tokens for a cost of {cost}"))
        if (
            "cost" in cols
            and cost == 0
            and tokens
            and "priced_tokens" in cols
            and _at(row, cols["priced_tokens"][0]).value == 0
            and not ("included_cost" in cols and _at(row, cols["included_cost"][0]).value)  # covered, and said so
        ):
            out.append(Fault("zero", sheet.place, f"{row[0].text}: cost 0 where no token has a price"))
    if "previous_cost" in cols and sheet.rows and not PARTS.match(sheet.place):  # a part may well be new
        before = [_at(r, cols["previous_cost"][0]).value for r in sheet.rows]
        if all(b == 0 for b in before) and any(_at(r, cols["cost"][0]).value for r in sheet.rows):
            out.append(Fault("zero", sheet.place, "the month before is 0 throughout, as if there had been one"))
    return out


def sentences(document: Document) -> list[Fault]:
    """What running text must not say."""
    out = []
    for text in re.findall(r"(?:was billed|billed) 0(?:\.0+)? [A-Z]{3}", document.text):
        out.append(Fault("zero", document.place, f"says {text!r}"))
    for text in re.findall(r"\bP(?:10|50|90)\b", document.text):
        out.append(Fault("word", document.place, f"says {text}"))
    return out


def _month(period: str) -> str:
    return f"{dt.date.fromisoformat(period + '-01'):%B %Y}"


def pairs(sheets: Iterable[Sheet]) -> list[Fault]:
    """The same name, measure and period has one value wherever it stands."""
    seen: dict[tuple, dict[str, list[str]]] = {}

    def note(key: tuple, cell: Cell, place: str) -> None:
        if cell.value is not None and not cell.percent:
            seen.setdefault(key, {}).setdefault(f"{cell.value.normalize():f}", []).append(place)

    sheets = list(sheets)
    for sheet in sheets:
        cols = {n: c for n, c in columns(sheet).items() if n in MONEY | COUNTS}
        if not cols or "cost" not in cols:
            continue
        first = min(i for i, _ in cols.values())
        keys = tuple(h.strip().lower().replace(" ", "_") for h in sheet.heads[:first] if h.strip())
        scope = (
            sheet.place.split(" ")[0]
            if PARTS.match(sheet.place) and not sheet.place.startswith(("chargeback.html",))
            else ""
        )
        if keys and not (set(keys) & {"month", "day", "week"}):
            for row in sheet.rows:
                name = tuple(c.text for c in row[:first])
                if any(t in UNKNOWN for t in name) or re.match(r"^[\d,]+ more$", name[0]):
                    continue
                for measured, (i, times) in cols.items():
                    if measured in MONEY and times == 1:
                        note((scope, sheet.period, keys, name, measured), _at(row, i), sheet.place)
        if sheet.total and not scope and not sheet.place.startswith("chargeback"):  # whose total is of those who pay
            for measured in ("cost", "previous_cost", "change"):
                if measured in cols:
                    note(("", sheet.period, "whole", measured), _at(sheet.total, cols[measured][0]), sheet.place)
    for sheet in sheets:  # what a plan says is spent of the month, unless its heading says of which days
        heads = [h.strip().lower() for h in sheet.heads]
        if heads[:1] == ["month"] and "spent" in heads:
            for row in sheet.rows:
                if row[0].text == _month(sheet.period):
                    note(("", sheet.period, "whole", "cost"), _at(row, heads.index("spent")), sheet.place)
    for sheet in sheets:  # files at a finer grain add up to the tables by one name
        if not sheet.place.startswith("showback.csv"):
            continue
        at = sheet.column("cost")
        for d in range(at or 0):
            sums: dict[str, Decimal] = {}
            for row in sheet.rows:
                if row[at].value is not None:
                    sums[row[d].text] = sums.get(row[d].text, Decimal(0)) + row[at].value
            for name, value in sums.items():
                key = ("", sheet.period, (sheet.heads[d].lower(),), (name,), "cost")
                if key in seen:
                    note(key, Cell(str(value), value), f"{sheet.place} added up")
        whole = sum((r[at].value for r in sheet.rows if r[at].value is not None), Decimal(0))
        note(("", sheet.period, "whole", "cost"), Cell(str(whole), whole), f"{sheet.place} added up")
    out = []
    for key, values in seen.items():
        if len(values) > 1:
            said = "; ".join(f"{v} in {sorted(set(p))[0]}" for v, p in values.items())
            out.append(Fault("pair", str(key[2:]), said))
    return out
