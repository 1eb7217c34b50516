"""Mapping rules as data: dimensions, ordered rules, look-ups and shared costs, checked when they are loaded."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from finops_ai.engine.conditions import Condition, Test, fields_of, parse_condition
from finops_ai.engine.fields import IDLE_OPERATION, TAG, columns, kind_of_column
from finops_ai.engine.inserts import Insert
from finops_ai.engine.lookups import Lookup, load_lookup
from finops_ai.engine.shared import IDLE, Shared, giver, parse_shared
from finops_ai.errors import RuleError, hint

SECTIONS = ("dimensions", "rules", "lookups", "shared")
UNALLOCATED = "unallocated"
#: what decides for idle capacity that no other rule maps
IDLE_RULE = "default, idle"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
RULE_KEYS = ("name", "when", "set", "from", "to")
#: names that frames and groupings give a meaning of their own, besides the columns
DIMENSION_KEYS = ("default", "description", "of", "values")
_TAKEN = ("tags", "rule", "share", "day", "week", "month")
_INSERT = re.compile(r"\{([^{}]+)\}")


@dataclass(frozen=True)
class Value:
    """What a rule sets: constant text, or text with inserts that inherit a column, tag or dimension (`Insert`)."""

    text: str

    @cached_property
    def inserts(self) -> tuple[Insert, ...]:
        """What the value inherits."""
        return tuple(piece for piece in self.pieces if isinstance(piece, Insert))

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """Fields the value inherits from."""
        return tuple(insert.field for insert in self.inserts)

    @cached_property
    def pieces(self) -> tuple[str | Insert, ...]:
        """The text and its inserts, in order."""
        parts = enumerate(_INSERT.split(self.text))
        return tuple(Insert.read(part) if i % 2 else part for i, part in parts if part)

    def filled(self, inserted: Mapping[str, str]) -> str:
        """The text with its inserts, as written, replaced.

        >>> Value("{tags.team | lower}-eu").filled({"tags.team | lower": "search"})
        'search-eu'
        """
        return "".join(inserted[piece.text] if isinstance(piece, Insert) else piece for piece in self.pieces)


@dataclass(frozen=True)
class Rule:
    """One ordered rule: where `when` (as written: `text`) holds it sets dimensions that no earlier rule set.

    It holds on days of the reporting zone from `since` up to `until`, which is excluded; None where it is open. One that
    isn't `declared` is what holds without being written: idle capacity that no rule maps is `idle`, not `unallocated`.
    """

    name: str
    when: Condition
    set: Mapping[str, Value]
    text: str = ""
    since: dt.date | None = None
    until: dt.date | None = None
    declared: bool = True

    @cached_property
    def tested(self) -> frozenset[str]:
        """Fields that `when` tests."""
        return frozenset(fields_of(self.when))


@dataclass(frozen=True)
class Rules:
    """A whole mapping. `defaults` names the dimensions in declared order with the value of rows no rule reaches.

    `timezone` is the reporting zone of the finops.toml they were read from; "" where none is stated.

    Example:
        >>> rules = Rules.load({
        ...     "dimensions": {"team": {"default": "unallocated"}},
        ...     "rules": [{"name": "search key", "when": {"api_key_id": "key_1"}, "set": {"team": "search"}}],
        ... })
        >>> rules.dimensions, rules.rules[0].name
        (('team',), 'search key')
    """

    defaults: Mapping[str, str]
    rules: tuple[Rule, ...]
    lookups: Mapping[str, Lookup] = field(default_factory=dict)
    shared: tuple[Shared, ...] = ()
    version: str = ""
    timezone: str = ""

    @property
    def dimensions(self) -> tuple[str, ...]:
        """Dimensions in declared order."""
        return tuple(self.defaults)

    def nature(self) -> dict[str, Any]:
        """What frames mapped by these rules say of themselves: their dimensions, and which values of each are nobody.

        >>> Rules.load({"dimensions": {"team": {"default": "unallocated"}}}).nature()
        {'dimensions': ['team'], 'nobody': {'team': ['unallocated', 'idle']}}
        """
        nobody = {}
        for name, default in self.defaults.items():
            set_to = {r.set[name].text for r in self.rules if name in r.set and not r.set[name].fields} | {default}
            shared = sorted(v for v in set_to if giver(self.shared, name, v))
            nobody[name] = list(dict.fromkeys([UNALLOCATED, IDLE, *shared]))
        return {"dimensions": list(self.dimensions), "nobody": nobody}

    @classmethod
    def load(cls, source: Rules | Mapping[str, Any] | str | Path, *, root: str | Path | None = None) -> Rules:
        """Read rules from a TOML file (other sections are left alone), TOML text, or a plain dict of its sections.

        Args:
            source: path, TOML text (anything with a line break), dict with any of `dimensions`, `rules`, `lookups`,
                `shared`, or rules already loaded.
            root: folder that look-up files are relative to; by default the file's own, else the current one.

        Raises:
            RuleError: names the rule, key and value, and the nearest known name.
        """
        if isinstance(source, Rules):
            return source
        place, timezone = "rules", ""
        if not isinstance(source, Mapping):
            is_text = isinstance(source, str) and "\n" in source
            try:
                text = str(source) if is_text else Path(source).read_text("utf-8-sig")
                document = tomllib.loads(text)
            except OSError as error:
                raise RuleError(f"There is no rules file {source} that can be read: {error.strerror}.") from None
            except (ValueError, RecursionError) as error:
                raise RuleError(f"{'The rules' if is_text else source} can't be read as TOML: {error}.") from None
            if not is_text:
                root, place = root or Path(source).parent, str(source)
            workspace = document.get("workspace", {})
            timezone = str(workspace.get("timezone", "")) if isinstance(workspace, Mapping) else ""
            source = {key: value for key, value in document.items() if key in SECTIONS}
        for key in source:
            if key not in SECTIONS:
                raise RuleError(f"{place}: no section {key!r}. {hint(key, SECTIONS)}")
        return replace(_Loader(place, Path(root or ".")).load(source), timezone=timezone)

    @classmethod
    def none(cls) -> Rules:
        """No dimensions at all: `allocate` then only adds `rule` and `share`."""
        return cls({}, ())

    def as_written(self) -> Rules:
        """These rules without what holds though nobody wrote it."""
        return replace(self, rules=tuple(r for r in self.rules if r.declared))

    def levels(self) -> list[list[str]]:
        """Dimensions in the order they can be computed: a level only needs columns and earlier levels."""
        needs: dict[str, set[str]] = {d: set() for d in self.dimensions}
        for rule in self.rules:
            for name in rule.set:
                needs[name] |= {f for f in self.read_by(rule, name) if f in needs}
        done: set[str] = set()
        out: list[list[str]] = []
        while len(done) < len(needs):
            ready = [d for d in needs if d not in done and needs[d] <= done]
            if not ready:
                left = [d for d in needs if d not in done]
                raise RuleError(
                    f"Dimensions {left} need each other in a circle; let one be set by columns or tags alone."
                )
            out.append(ready)
            done |= set(ready)
        return out

    def needed(self, dimensions: Collection[str]) -> set[str]:
        """These dimensions, and those whose values decide them."""
        wanted, before = set(dimensions), -1
        while len(wanted) != before:
            before = len(wanted)
            wanted |= {
                f for r in self.rules for n in r.set if n in wanted for f in self.read_by(r, n) if f in self.defaults
            }
        return wanted

    def read_by(self, rule: Rule, dimension: str) -> set[str]:
        """Fields that decide whether and what a rule sets for a dimension; a look-up's value brings its key along."""
        used = {*rule.tested, *rule.set[dimension].fields}
        return used | {self.lookups[f.split(".", 1)[0]].on for f in used if f.split(".", 1)[0] in self.lookups}

    def used_fields(self) -> list[str]:
        """Columns, tags and look-up keys the mapping reads, without dimensions and look-up results, sorted."""
        mapped = [self.read_by(r, d) for r in self.rules for d in r.set]
        used = set().union(*mapped, *(fields_of(x.when) for x in self.shared))
        return sorted(f for f in used if f not in self.defaults and f.split(".", 1)[0] not in self.lookups)


def day_of(value: object, place: str) -> dt.date:
    """A day as TOML has it, or as text such as "2026-09-16".

    Raises:
        RuleError: it is none; names the place.
    """
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return value
    try:
        return dt.date.fromisoformat(str(value))
    except ValueError:
        raise RuleError(f"{place} must be a day such as 2026-09-16, not {value!r}.") from None


class _Loader:
    def __init__(self, place: str, root: Path) -> None:
        self.place, self.root = place, root
        self.lookups: dict[str, Lookup] = {}
        self.defaults: dict[str, str] = {}

    def load(self, document: Mapping[str, Any]) -> Rules:
        for name, table in self._tables(document, "dimensions").items():
            self.defaults[name] = self._dimension(name, table)
        for name, table in self._tables(document, "lookups").items():
            self.lookups[name] = load_lookup(name, table, self.root, f"{self.place}, lookups.{name}")
            if self.kind_of(self.lookups[name].on) != "text":
                self._unknown(f"lookups.{name}.on", self.lookups[name].on)
        rules: list[Rule] = []
        rows = document.get("rules", [])
        if not isinstance(rows, list):
            raise RuleError(f"{self.place}: rules must be [[rules]] entries, not {type(rows).__name__}.")
        taken: set[str] = set()
        for number, row in enumerate([*rows, *self._above(document.get("dimensions", {}))], 1):
            rules.append(self._rule(number, row, taken))
            taken.add(rules[-1].name)
        shared = parse_shared(
            document.get("shared", []),
            place=self.place,
            dimensions=self.defaults,
            kind_of=lambda name: None if name.split(".", 1)[0] in self.lookups else self.kind_of(name),
            known=[*columns(), *self.defaults],
            looked_up={f"{k.name}.{value}": k.on for k in self.lookups.values() for value in k.values},
            mapped=[(r.when, {d: v.text for d, v in r.set.items() if not v.fields}) for r in rules]
            + self._by_lookup(rules),
        )
        digest = json.dumps(
            [document, [lookup.text() for lookup in self.lookups.values()]],
            sort_keys=True,
            default=str,
            ensure_ascii=False,
        )
        version = hashlib.sha256(digest.encode()).hexdigest()[:16]
        out = Rules(self.defaults, (*rules, *self._idle(shared)), self.lookups, shared, version)
        out.levels()
        return out

    def _idle(self, shared: Sequence[Shared]) -> list[Rule]:
        """Capacity that served nobody is named so where no rule maps it, unless what is unmapped is divided."""
        names = [n for n, value in self.defaults.items() if value == UNALLOCATED and not giver(shared, n, UNALLOCATED)]
        when = {"operation": IDLE_OPERATION}
        test = parse_condition(when, IDLE_RULE, kind_of=self.kind_of, known=self.known())
        values = {name: Value(IDLE) for name in names}
        return [Rule(IDLE_RULE, test, values, json.dumps(when), declared=False)] if values else []

    def _tables(self, document: Mapping[str, Any], section: str) -> Mapping[str, Mapping[str, Any]]:
        tables = document.get(section, {})
        if not isinstance(tables, Mapping) or not all(isinstance(t, Mapping) for t in tables.values()):
            raise RuleError(f"{self.place}: write [{section}.NAME] tables, not {tables!r}.")
        lower = [str(name).lower() for name in tables]
        for name in tables:
            if not _NAME.fullmatch(name):
                raise RuleError(f"{self.place}: {section}.{name}: a name is a letter, then letters, digits and _.")
            if kind_of_column(name.lower()) or name.lower() in _TAKEN:
                raise RuleError(f"{self.place}: {section}.{name}: {name!r} has the name of a column; choose another.")
            if lower.count(name.lower()) > 1:
                raise RuleError(f"{self.place}: {section}.{name}: the name is there twice, in another case.")
        return tables

    def _dimension(self, name: str, table: Mapping[str, Any]) -> str:
        for key in table:
            if key not in DIMENSION_KEYS:
                known = hint(key, DIMENSION_KEYS)
                raise RuleError(f"{self.place}: dimensions.{name} has no key {key!r}. {known}")
        default = table.get("default", UNALLOCATED)
        if not isinstance(default, str) or not default:
            raise RuleError(f"{self.place}: dimensions.{name}.default must be text, not {default!r}.")
        return default

    def _by_lookup(self, rules: list[Rule]) -> list[tuple[Condition, dict[str, str]]]:
        """What rules set by a look-up on a dimension, such as a team's cost centre, as a condition per key."""
        out: list[tuple[Condition, dict[str, str]]] = []
        for name, inserts in (
            (d, v.inserts) for r in rules for d, v in r.set.items() if len(v.pieces) == len(v.inserts) == 1
        ):
            head, _, column = inserts[0].field.partition(".")
            lookup = self.lookups.get(head)
            if lookup and lookup.on in self.defaults and not inserts[0].steps:
                at = 1 + lookup.values.index(column)
                out += [(Test(lookup.on, "equals", row[0]), {name: row[at]}) for row in lookup.rows if row[at]]
        return out

    def _above(self, dimensions: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Levels of a hierarchy as rules, after all others: a value of a dimension for each value it has below it."""
        out: list[dict[str, Any]] = []
        for name, table in dimensions.items():
            below, values = table.get("of"), table.get("values")
            if below is None and values is None:
                continue
            place = f"{self.place}: dimensions.{name}"
            if below not in self.defaults or below == name:
                raise RuleError(f"{place}.of = {below!r} is no other dimension. {hint(str(below), self.defaults)}")
            if not isinstance(values, Mapping) or not all(isinstance(v, list) and v for v in values.values()):
                raise RuleError(
                    f"{place} needs values = {{ PARENT = ['{below} 1', '{below} 2'] }}, its values and what is below each."
                )
            children = [str(child) for found in values.values() for child in found]
            if double := next((c for c in children if children.count(c) > 1), ""):
                raise RuleError(f"{place}.values: {below} {double!r} is below two values; it would count twice.")
            for value, found in values.items():
                of = {str(below): [str(child) for child in found]}
                out.append({"name": f"{name} {value}", "when": of, "set": {name: str(value)}})
        return out

    def _rule(self, number: int, row: object, taken: set[str]) -> Rule:
        if not isinstance(row, Mapping):
            raise RuleError(f"{self.place}: rule {number} must be a table, not {row!r}.")
        name = row.get("name", f"rule {number}")
        place = f"{self.place}, rule {number} ({name})"
        for key in row:
            if key not in RULE_KEYS:
                raise RuleError(f"{place}: no key {key!r}. {hint(key, RULE_KEYS)}")
        if not isinstance(name, str) or not name or name in taken or name in ("default", IDLE_RULE):
            raise RuleError(
                f"{place}: a rule's name must be text, its own, and not 'default' or '{IDLE_RULE}'; got {name!r}."
            )
        values = row.get("set")
        if not isinstance(values, Mapping) or not values:
            raise RuleError(f"{place}: `set` must name at least one dimension, such as set = {{ team = 'search' }}.")
        out = {}
        for dimension, text in values.items():
            if dimension not in self.defaults:
                raise RuleError(f"{place}: set.{dimension} is no declared dimension. {hint(dimension, self.defaults)}")
            if not isinstance(text, str) or not text:
                raise RuleError(f"{place}: set.{dimension} must be text, not {text!r}.")
            out[dimension] = Value(text)
            try:
                inherited = out[dimension].fields
            except RuleError as error:
                raise RuleError(f"{place}: set.{dimension}: {error}") from None
            for used in inherited:
                if not self.kind_of(used):
                    self._unknown(f"rule {number} ({name}): set.{dimension}", used)
        when = parse_condition(row.get("when", {}), f"{place}: when", kind_of=self.kind_of, known=self.known())
        since, until = (day_of(row[k], f"{place}: {k}") if k in row else None for k in ("from", "to"))
        if since and until and since >= until:
            raise RuleError(f"{place}: from {since} is not before to {until} (which is excluded).")
        told = row.get("when", {})
        told = told | {k: row[k] for k in ("from", "to") if k in row} if isinstance(told, dict) else told
        return Rule(name, when, out, json.dumps(told, default=str, ensure_ascii=False), since, until)

    def kind_of(self, name: str) -> str | None:
        """What a field holds: a column, `tags.<key>`, a dimension, or `<look-up>.<column>`."""
        if name.startswith(TAG) and name != TAG:
            return "text"
        if name in self.defaults:
            return "text"
        head, _, rest = name.partition(".")
        if rest and head in self.lookups:
            return "text" if rest in self.lookups[head].values else None
        return kind_of_column(name)

    def known(self) -> list[str]:
        """Names to suggest when one is misspelt."""
        looked_up = [f"{lookup.name}.{value}" for lookup in self.lookups.values() for value in lookup.values]
        return [*columns(), *self.defaults, *looked_up]

    def _unknown(self, where: str, name: str) -> None:
        raise RuleError(
            f"{self.place}, {where} names an unknown column {name!r}. {hint(name, self.known())} Tags are written tags.<key>."
        )
