"""A first mapping file for a log nobody has described yet: what its columns seem to be, to be checked by its owner."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from finops_ai.errors import DataError
from finops_ai.providers.clocks import are_instants, day_formats, is_iso, unit_of
from finops_ai.providers.costs import COSTLIKE, cost_of, currency_of, find_cost
from finops_ai.providers.mapping import load_mapping
from finops_ai.providers.names import (
    BESIDE,
    CLOCK,
    COLUMNS,
    COUNTLIKE,
    COUNTS,
    DAY,
    HOUR,
    KIND,
    MONTH,
    NUMBER,
    REASONING,
    REQUESTS,
    STEMS,
    TAGS,
    TOTALS,
    UNCACHED,
    YEAR,
    bare_name,
    find_name,
    maker_of,
    meter_of,
    times_of,
)
from finops_ai.providers.numbers import NOTHING, Numbers, Unsure, numbers_of, shortened
from finops_ai.providers.numbers import plain as plain_numbers
from finops_ai.providers.tables import load_table
from finops_ai.providers.totals import TOTAL, not_usage
from finops_ai.providers.unpacking import members

#: rows looked at for what their values say
LOOKED_AT = 100_000
SHOWN = 5


@dataclass
class Guess:
    """A first mapping file.

    Attributes:
        text: the file, TOML with remarks.
        doubts: what its owner must decide, one sentence each; where there are none the guess is probably right.
    """

    text: str
    doubts: list[str] = field(default_factory=list)


def first_mapping(path: str | Path, form: str = "") -> Guess:
    """What a log's columns seem to be, as a mapping file with remarks where a decision is needed.

    Args:
        path: the log: CSV, Excel, Parquet or JSON; of a zip archive its first file counts.
        form: "csv", "xlsx", "parquet" or "jsonl"; by the file's content if not given.

    Returns:
        The guess. What wasn't found stands as "?", which reading the log then names as a missing column.

    Raises:
        DataError: the file is missing or damaged.
    """
    with members(Path(path)) as inside:
        table = load_table(inside[0][0], form).slice(0, LOOKED_AT)
    return _Guesser(_flat(table), Path(path).name).guess()


def preview(path: str | Path, mapping: str | Path | Mapping[str, Any], rows: int = SHOWN) -> str:
    """The first rows of a log as a mapping reads them, or the sentence that says why it can't, for people to check."""
    from finops_ai.periods import Window
    from finops_ai.providers.mapped import tokens_of

    checked = load_mapping(mapping)
    try:
        with members(Path(path)) as inside:
            file, shown = inside[0]
            whole = load_table(file, "", checked.source_columns())
            tokens = tokens_of(whole, checked, shown, Window.of("1970-01-01", "2200-01-01")).slice(0, rows * 6)
    except DataError as error:
        return f"Not readable yet: {error}"
    lines: dict[str, dict[str, Any]] = {}
    for row in tokens.to_pylist():
        line = lines.setdefault(str(row.get("request_id") or row["charge_period_start"]), {})
        line |= {"start (UTC)": f"{row['charge_period_start']:%Y-%m-%d %H:%M:%S}", "model": row["model"]}
        line[row["meter"]] = f"{row['quantity'].normalize():,f}"
        if row.get("billed_cost") is not None:
            line["stated cost"] = f"{row['billed_cost'].normalize():f} {row.get('billing_currency') or ''}".strip()
    body = list(lines.values())[:rows]
    names = list(dict.fromkeys(name for line in body for name in line))
    widths = {name: max(len(name), *(len(str(line.get(name, ""))) for line in body)) for name in names}
    table = [
        "  ".join(str(line.get(name, "")).rjust(widths[name]) for name in names)
        for line in [dict(zip(names, names, strict=True)), *body]
    ]
    return "\n".join(table)


class _Guesser:
    """Looks at the names and values of one table."""

    def __init__(self, table: pa.Table, title: str) -> None:
        self.table, self.title, self.names = table, title, table.column_names
        self.doubts: list[str] = []
        self.kinds: dict[str, str] = {}
        self.calls_by_id = False

    def guess(self) -> Guess:
        columns: dict[str, Any] = {
            column: name for column, known in COLUMNS.items() if (name := find_name(self.names, known))
        }
        columns = {"charge_period_start": "?", "model": "?"} | columns
        columns["charge_period_start"] = self._time_column(columns["charge_period_start"])
        if columns["model"] == "?":
            columns["model"] = next((n for n in self.names if self._holds_models(n)), "?")
        self._only_usage(columns)
        counts = self._long(columns) or self._counts(columns)
        if columns.get("charge_period_end") == columns["charge_period_start"]:
            del columns["charge_period_end"]
        self._cost(columns, counts)
        numbers = self._numbers(counts, columns)
        used = {n for c in columns.values() for n in ([c] if isinstance(c, str) else c)} | set(counts.values())
        tags = [n for n in self.names if bare_name(n) in TAGS and n not in used]
        calls = find_name([n for n in self.names if n not in used], REQUESTS)
        free = [n for n in self.names if n not in {*used, *tags, calls}]
        for name in free:
            said = bare_name(name)
            inside = said in (*TOTALS, *REASONING) or re.search(UNCACHED, said)
            if not inside and re.search(COUNTLIKE, said) and not COSTLIKE.search(said) and self._counted(name):
                self.doubts.append(
                    f"{name!r} looks like a count and isn't used: add it to `meters` if it is billed on its own."
                )
            if "billed_cost" not in columns and COSTLIKE.search(said) and self._counted(name):
                self.doubts.append(
                    f"{name!r} looks like a cost and isn't used: name it as `billed_cost` if it is the cost of the row."
                )
        rounded = next((t for n in counts.values() for t in self._texts(n)[:1000] if shortened(t)), None)
        if rounded:
            self.doubts.append(f"Counts such as {rounded!r} are rounded by the file: what they cost is as rough.")
        constants = self._constants(columns, numbers)
        lines = [
            f"# What the columns of {_printable(self.title)} seem to be. Check each line, then use it with --mapping."
        ]
        if free:
            lines.append(f"# Not used: {', '.join(map(_printable, free))}")
        lines += [
            "",
            "[columns]",
            *(f"{name} = {_value(c)}" for name, c in columns.items()),
            "",
            "[constants]",
            *constants,
            "",
        ]
        if tags:
            lines += ["[tags]", *(f"{_key(t)} = {_text(t)}" for t in tags), ""]
        lines += self._time(columns["charge_period_start"])
        if numbers and numbers != Numbers():
            lines += ["[numbers]", f"decimal = {_text(numbers.decimal)}", f"thousands = {_text(numbers.thousands)}", ""]
        if (stated := cost_of(columns.get("billed_cost", ""))) and stated.per > 1:
            self.doubts.append(
                f"The name of {columns['billed_cost']!r} says that {stated.per:,} make one unit of its currency; delete `per` if not."
            )
            lines += ["[cost]", f"per = {stated.per}  # so many make one unit of the currency", ""]
        lines += ["[[usage]]", *self._requests(calls, columns)]
        if self.kinds:
            lines += [f"kind = {_text(counts['kind'])}", f"count = {_text(counts['count'])}"]
            lines.append("kinds = { " + ", ".join(f"{_word(k)} = {_text(m)}" for k, m in self.kinds.items()) + " }")
            lines += self._inside_kinds()
            counts = {}
        else:
            lines.append("meters = { " + ", ".join(f"{m} = {_text(n)}" for m, n in counts.items()) + " }")
            lines += self._times(counts)
            lines += self._inside(counts, columns["model"], numbers)
        for missing in [c for c, n in columns.items() if n == "?"] + [m for m, n in counts.items() if n == "?"]:
            self.doubts.insert(0, f'No column was recognised as {missing}: put its name in the place of the "?".')
        return Guess("\n".join(lines) + "\n", self.doubts)

    # -- times -----------------------------------------------------------------------------------------------------

    def _time_column(self, found: str) -> Any:
        """The column of times; two where day and clock stand apart."""
        day, clock = find_name(self.names, DAY), find_name(self.names, CLOCK)
        year, month, hour = (find_name(self.names, known) for known in (YEAR, MONTH, HOUR))
        if year and month and all(re.fullmatch(r"(19|20)\d\d", v) for v in self._texts(year)[:50]):
            return [year, month, *([day] if day else [])]
        if day and hour and day != hour and all(re.fullmatch(r"[01]?\d|2[0-3]", v) for v in self._texts(hour)[:500]):
            return [day, hour]
        if (
            day
            and clock
            and day != clock
            and all(re.search(r"\d([:h時时시]|\.\d\d$)", v) for v in self._texts(clock)[:50])
        ):
            dated = [v for v in self._texts(day)[:50] if ":" not in v or re.search(r"00:00:00(\.0+)?$", v)]
            if dated:
                return [day, clock]
        if found == "?":  # by what the values are, then
            for name in self.names:
                values = self.table[name]
                texts = [t for t in self._texts(name)[:50] if not TOTAL.fullmatch(t)]
                if pa.types.is_timestamp(values.type) or (texts and (is_iso(texts) or day_formats(texts))):
                    return name
            return next((name for name in self.names if are_instants(self._texts(name)[:50])), found)
        return found

    def _time(self, column: object) -> list[str]:
        if column == "?" or not self.table.num_rows:
            return []
        lines = []
        if isinstance(column, list):
            texts = [" ".join(pair) for pair in zip(*(self._texts(c) for c in column), strict=False)]
        elif pa.types.is_timestamp(self.table[column].type) or pa.types.is_date(self.table[column].type):
            texts = []
        else:
            texts = self._texts(column)
            if unit := unit_of(texts):
                lines.append(f'unit = "{unit}"')
                texts = []
            elif texts and all(re.fullmatch(r"(19|20)\d\d[01]\d[0-3]\d", t) for t in texts[:50]):
                pass  # a day without signs between
            elif texts and re.fullmatch(r"\d{1,8}(\.\d+)?", texts[0]):
                self.doubts.append(
                    f"The times of {column!r} are numbers such as {texts[0]}: say what they count from, and in what unit."
                )
                lines += [
                    'unit = "s"  # or ms, us, ns',
                    'start = "?"  # what they count from: 2026-10-01T00:00:00Z, say',
                ]
                lines[-1] = "# start = 2026-10-01T00:00:00Z  # what they count from: set it"
                texts = []
        if texts:
            formats = day_formats(list(dict.fromkeys(texts))[:5000]) if not is_iso(texts) else []
            if len(formats) > 1:
                self.doubts.append(
                    f"{texts[0]!r} can be read as {formats[0]} and as {formats[1]}: correct `format` in [time] if the first is wrong."
                )
            if formats:
                other = f"  # or {_text(formats[1])}: day and month can't be told apart" if len(formats) > 1 else ""
                lines.append(f"format = {_text(formats[0])}{other}")
            if not any(re.search(r"(Z|UTC|GMT|[+-]\d\d:?\d\d)$", t) for t in texts[:50]) and ":" in texts[0]:
                lines.append('zone = "UTC"  # the times say none: name the zone they are in')
        return ["[time]", *lines, ""] if lines else []

    # -- counts and money ------------------------------------------------------------------------------------------

    def _only_usage(self, columns: Mapping[str, Any]) -> None:
        """Leave out rows of totals and headers, which tell nothing of how the others are written."""
        times, model = columns["charge_period_start"], columns["model"]
        if times != "?":
            keep, _ = not_usage(
                self.table, [times] if isinstance(times, str) else times, None if model == "?" else model
            )
            self.table = self.table.filter(pa.array(keep))

    def _holds_models(self, name: str) -> bool:
        texts = list(dict.fromkeys(self._texts(name)[:200]))
        return bool(texts) and all(maker_of(text) for text in texts)

    def _requests(self, calls: str | None, columns: Mapping[str, Any]) -> list[str]:
        """The line that says how many calls a row is."""
        if self.kinds:
            known = "request_id" in columns
            return (
                ["requests = 1  # rows of one request_id are one call"]
                if known
                else ["# no column tells how many calls a row is"]
            )
        if calls:
            return [f"requests = {_text(calls)}"]
        times = columns["charge_period_start"]
        clocked = (
            times == "?"
            or isinstance(times, list)
            or any(re.search(r":|\d{9}|\dT\d| \d{1,2}[.hH時时시]", t) for t in self._texts(times)[:50])
        )
        if not clocked and "request_id" not in columns:
            self.doubts.append(
                "The times are days without a clock: if a row sums up many calls, name the column of their number as `requests`, or delete "
                "that line; it is read as one call."
            )
        return ["requests = 1  # a row is one call; name a column if it counts several"]

    def _long(self, columns: Mapping[str, Any]) -> dict[str, str]:
        """The columns of kind and number, where a row counts one kind of token; what each kind is goes to `kinds`."""
        taken = {n for c in columns.values() for n in ([c] if isinstance(c, str) else c)}
        kind = find_name([n for n in self.names if n not in taken], KIND)
        count = find_name([n for n in self.names if self._counted(n) and n != kind], NUMBER)
        words = list(dict.fromkeys(self._texts(kind))) if kind and count else []
        if not kind or not count or not words or len(words) > 30:
            return {}
        found = {word: meter_of(word) for word in words}
        if "input" not in found.values() and "output" not in found.values():
            return {}
        self.kinds = {word: meter or "" for word, meter in found.items()}
        for word, meter in found.items():
            if meter is None and bare_name(word) not in TOTALS:
                self.doubts.append(
                    f"{word!r} in {kind!r} is no kind of token that is known: it is left out; name its meter in `kinds` if it is billed."
                )
        if isinstance(columns, dict) and columns.get("billed_cost") == count:
            del columns["billed_cost"]
        return {"kind": kind, "count": count}

    def _inside_kinds(self) -> list[str]:
        cached = [m for m in self.kinds.values() if m.startswith("cache")]
        fresh = any(m == "input" and re.search(UNCACHED, bare_name(word)) for word, m in self.kinds.items())
        if not cached or "input" not in self.kinds.values() or fresh:
            return []
        self.doubts.append(
            "Whether the input includes the cached tokens isn't sure: it is read as if it doesn't, each kind beside the others; take the "
            "remark off `inside` if it does."
        )
        pairs = ", ".join(f'{m} = "input"' for m in dict.fromkeys(cached))
        return [f"# inside = {{ {pairs} }}  # if the input includes the cached tokens"]

    def _times(self, counts: Mapping[str, str]) -> list[str]:
        """A line where the names say that the counts are in thousands or millions."""
        found = {times_of(name) for name in counts.values()}
        if found == {1}:
            return []
        if len(found) > 1:
            self.doubts.append(
                "Some counts seem to be in thousands or millions and some not: set `times`, and a [[usage]] for each."
            )
            return []
        times = found.pop()
        self.doubts.append(
            f"The names say that the counts are in {times:,}s: they are multiplied; delete `times` if not."
        )
        return [f"times = {times}  # one in the file is so many tokens"]

    def _by_place(self, free: Sequence[str]) -> dict[str, str]:
        """The counts of a table without a header, by their order: input, output, with a column between them of cached ones."""
        names = [n for n in free if not any("." in t for t in self._texts(n)[:50])]
        if len(names) not in (2, 3) or not all(n.startswith("column ") for n in self.names):
            return {}
        self.doubts.append(
            f"The file has no header: {', '.join(names)} are read as {'input, cached and output' if len(names) == 3 else 'input and output'} tokens."
        )
        return dict(
            zip(("input", "output") if len(names) == 2 else ("input", "cache_read", "output"), names, strict=True)
        )

    def _counts(self, columns: Mapping[str, Any]) -> dict[str, str]:
        taken = {n for c in columns.values() for n in ([c] if isinstance(c, str) else c)}
        free = [n for n in self.names if n not in taken and self._counted(n)]
        found: dict[str, str] = {}
        for meter, known in COUNTS.items():
            if (name := find_name([n for n in free if n not in found.values()], known)) is not None:
                found[meter] = name
        for meter, stem in STEMS.items():
            rest = [n for n in free if n not in found.values() and bare_name(n) not in (*TOTALS, *REASONING, *REQUESTS)]
            if meter == "cache_read":
                rest = [n for n in rest if not re.search(UNCACHED, bare_name(n))]
            if meter not in found and (name := next((n for n in rest if re.search(stem, bare_name(n))), None)):
                found[meter] = name
        found = {meter: found[meter] for meter in COUNTS if meter in found}
        if not found:
            return self._by_place(free) or {"input": "?", "output": "?"}
        if reasoning := self._reasoning_beside(found, columns["model"]):
            found["reasoning"] = reasoning
        if "input" not in found:
            return {"input": "?"} | found
        if "output" not in found and (rest := [n for n in free if n not in found.values() and self._may_be_counts(n)]):
            self.doubts.append(
                f"No column was recognised as output, and {', '.join(map(repr, rest))} hold{'s' * (len(rest) == 1)} whole numbers: "
                "add it to `meters` if it counts tokens."
            )
        return found

    def _reasoning_beside(self, found: Mapping[str, str], model: str) -> str | None:
        """The count of reasoning tokens where the output leaves them out, as Google and xAI count: its numbers tell, else its name."""
        name = find_name(self.names, REASONING)
        if name is None or not {"input", "output"} <= found.keys() or not self._counted(name):
            return None
        total = find_name(self.names, TOTALS)
        if total:
            try:
                style = numbers_of({n: self._texts(n) for n in (name, total)})
                parts = pc.add(self._exact(found["input"], style), self._exact(found["output"], style))
                stated, thought = self._exact(total, style), self._exact(name, style)
            except (pa.ArrowException, Unsure):
                return None
            some = pc.greater(thought, pa.scalar(0).cast(thought.type))
            if pc.any(some).as_py():
                beside = pc.equal(stated, pc.add(parts, thought)).filter(some)
                inside = pc.equal(stated, parts).filter(some)
                if pc.all(beside).as_py() != pc.all(inside).as_py():
                    return name if pc.all(beside).as_py() else None
        texts = self._texts(model)[:100]
        if "thought" in bare_name(name) or (texts and all(re.match(r"(?i)(models/)?(gemini|grok)", t) for t in texts)):
            self.doubts.append(
                f"{name!r} is read beside the output, as Google and xAI count; delete it from `meters` if the output includes it."
            )
            return name
        return None

    def _counted(self, name: str) -> bool:
        """Whether a column holds numbers."""
        kind = self.table[name].type
        if (
            pa.types.is_integer(kind)
            or pa.types.is_decimal(kind)
            or pa.types.is_floating(kind)
            or pa.types.is_null(kind)
        ):
            return True
        return pa.types.is_string(kind) and all(
            re.search(r"\d", t) and len(t) < 30 for t in self._texts(name)[:20] if t.lower() not in NOTHING
        )

    def _may_be_counts(self, name: str) -> bool:
        """Whether a column of whole numbers has a name that doesn't say it is something else."""
        said = bare_name(name)
        if said in (*TOTALS, *REASONING, *REQUESTS) or re.search(
            r"id$|latency|duration|status|code|port|ms$|seconds|max", said
        ):
            return False
        return all(re.fullmatch(r"\d[\d.,'’ ]*", t) for t in self._texts(name)[:50])

    def _cost(self, columns: dict[str, Any], counts: Mapping[str, str]) -> None:
        taken = {n for m, c in columns.items() if m != "billed_cost" for n in ([c] if isinstance(c, str) else c)}
        cost = find_cost([n for n in self.names if n not in taken and n not in counts.values() and self._counted(n)])
        columns.pop("billed_cost", None)
        if cost is None:
            columns.pop("billing_currency", None)
        else:
            columns["billed_cost"] = cost

    def _numbers(self, counts: Mapping[str, str], columns: Mapping[str, Any]) -> Numbers | None:
        whole = {
            n: self._texts(n)
            for m, n in counts.items()
            if n != "?" and m != "kind" and times_of(n) == 1 and pa.types.is_string(self.table[n].type)
        }
        cost = columns.get("billed_cost")
        money = {cost: self._texts(cost)} if cost and pa.types.is_string(self.table[cost].type) else {}
        try:
            return numbers_of(whole, money)
        except Unsure as error:
            if re.fullmatch(r"\d{1,3}[.,]\d{3}", error.text):  # most files that leave it open group thousands
                by = error.text.strip("0123456789")
                self.doubts.append(
                    f"{error} (column {error.column!r}): it is read as thousands; exchange the signs in [numbers] if not."
                )
                return Numbers("," if by == "." else ".", by)
            self.doubts.append(
                f'{error} (column {error.column!r}). Set [numbers]: decimal = "," and thousands = ".", or the other way round.'
            )
            return None

    def _constants(self, columns: Mapping[str, Any], numbers: Numbers | None) -> list[str]:
        lines = []
        if "provider" not in columns:
            names = [maker_of(v) for v in self._texts(columns["model"])[:1000]] if columns["model"] != "?" else []
            known = [name for name in names if name]
            who = max(sorted(set(known)), key=known.count, default="openai")
            if len(set(known)) > 1 or not known:
                self.doubts.append(
                    "Who bills the calls isn't stated, and the models are of several makers or unknown: check `provider`."
                )
            lines.append(
                f"provider = {_text(who)}  # who bills these calls: openai, anthropic, azure-openai, bedrock, vertex, ..."
            )
        lines.append('billing_account_id = "my-account"  # the account the invoice goes to')
        if "billed_cost" in columns and "billing_currency" not in columns:
            cost = columns["billed_cost"]
            code, doubt = currency_of(cost, self._texts(cost)[:1000], (numbers or Numbers()).decimal)
            if doubt:
                self.doubts.append(f"{doubt} Correct `billing_currency` if not.")
            lines.append(
                f'billing_currency = "{code}"  # of {_printable(cost)}, which is kept and compared with list prices'
            )
        return lines

    def _inside(self, counts: Mapping[str, str], model: str, numbers: Numbers | None) -> list[str]:
        """Whether cached tokens are inside the input: the numbers of the file tell, else the names, else a remark."""
        cached = [m for m in counts if m.startswith("cache") and counts[m] != "?"]
        if not cached or counts.get("input", "?") == "?":
            return []
        if re.search(UNCACHED, bare_name(counts["input"])):
            return []
        verdict, sure = self._by_values(counts, cached, numbers)
        if verdict is None:
            texts = self._texts(model)[:100] if model != "?" else []
            claude = bool(texts) and all("claude" in t.lower() for t in texts)
            verdict = not (claude or all(bare_name(counts[m]) in BESIDE for m in cached))
            sure = all(bare_name(counts[m]) in BESIDE for m in cached)
        if not sure:
            self.doubts.append(
                f"Whether {counts['input']!r} includes the cached tokens isn't sure: "
                + ("it is read as if it does; delete `inside` if not." if verdict else "it is read as if it doesn't.")
            )
        if not verdict:
            return []
        pairs = ", ".join(f'{m} = "input"' for m in cached)
        return [f"inside = {{ {pairs} }}  # delete this line if the input count leaves cached tokens out"]

    def _by_values(
        self, counts: Mapping[str, str], cached: Sequence[str], numbers: Numbers | None
    ) -> tuple[bool | None, bool]:
        if numbers is None:
            return None, False
        try:
            read = {m: self._exact(counts[m], numbers) for m in (*cached, "input", "output") if m in counts}
            parts = read[cached[0]]
            for meter in cached[1:]:
                parts = pc.add(parts, read[meter])
            if pc.any(pc.greater(parts, read["input"])).as_py():
                return False, True
            total = find_name(self.names, TOTALS)
            if total and "output" in read:
                both = pc.add(read["input"], read["output"])
                stated = self._exact(total, numbers)
                some = pc.greater(parts, pa.scalar(0).cast(parts.type))
                if pc.any(some).as_py():
                    if pc.all(pc.equal(stated.filter(some), both.filter(some))).as_py():
                        return True, True
                    if pc.all(pc.equal(stated.filter(some), pc.add(both, parts).filter(some))).as_py():
                        return False, True
        except (pa.ArrowException, KeyError):
            return None, False
        return None, False

    def _exact(self, name: str, numbers: Numbers) -> Any:
        values = self.table[name]
        if pa.types.is_string(values.type):
            values = plain_numbers(values, numbers)
        return pc.fill_null(
            values.cast(pa.string()).cast(pa.decimal128(30, 6)), pa.scalar(0).cast(pa.decimal128(30, 6))
        )

    def _texts(self, name: object) -> list[str]:
        if not isinstance(name, str) or name not in self.names:
            return []
        values = self.table[name]
        if pa.types.is_nested(values.type) or pa.types.is_binary(values.type):
            return []
        if pa.types.is_timestamp(values.type):
            values = pc.strftime(values, "%Y-%m-%d %H:%M:%S")
        texts = pc.drop_null(values.cast(pa.string())).to_pylist()
        return [t.strip() for t in texts if t.strip()]


def _flat(table: pa.Table) -> pa.Table:
    """Fields inside objects as columns of their own, named as `usage.input_tokens`."""
    columns: dict[str, Any] = {}

    def add(name: str, values: pa.Array) -> None:
        if pa.types.is_struct(values.type):
            for inner in values.type:
                add(f"{name}.{inner.name}", pc.struct_field(values, inner.name))
        else:
            columns[name] = values

    for name in table.column_names:
        add(name, table[name])
    return pa.table(columns)


def _word(value: str) -> str:
    return value if re.fullmatch(r"[A-Za-z0-9_-]+", value) else _text(value)


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _value(column: str | Sequence[str]) -> str:
    return _text(column) if isinstance(column, str) else "[" + ", ".join(map(_text, column)) + "]"


def _printable(name: str) -> str:
    return name if name.isprintable() else _text(name)


def _key(name: str) -> str:
    short = name.rpartition(".")[2]
    return short if re.fullmatch(r"[A-Za-z0-9_-]+", short) else _text(short)
