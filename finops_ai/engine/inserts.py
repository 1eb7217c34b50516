"""What a rule's value takes from a row: `{field}`, or `{field | lower | split '-' 1}`, the same on every engine."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from finops_ai.engine.dialects import Dialect
from finops_ai.engine.regex import regex_problem
from finops_ai.errors import RuleError, hint

#: step -> what follows it
STEPS = {"trim": (), "lower": (), "upper": (), "split": (str, int), "extract": (str,)}
_STEP = re.compile(r"\s*\|\s*([A-Za-z]+)((?:\s+(?:'[^']*'|-?\d+))*)\s*")
_OPERAND = re.compile(r"'([^']*)'|(-?\d+)")


@dataclass(frozen=True)
class Insert:
    """One insert of a value.

    Attributes:
        text: as written between the braces.
        field: the column, tag, look-up value or dimension it takes.
        steps: what is done to it, in order: (step, operands).
    """

    text: str
    field: str
    steps: tuple[tuple[str, tuple[Any, ...]], ...] = ()

    @classmethod
    def read(cls, text: str) -> Insert:
        """Read an insert.

        Raises:
            RuleError: an unknown step, or operands it can't use.

        >>> Insert.read("tags.Team | trim | split '-' 1").steps
        (('trim', ()), ('split', ('-', 1)))
        """
        field, bar, rest = text.partition("|")
        rest, steps = bar + rest, []
        while rest:
            found = _STEP.match(rest)
            if not found:
                raise RuleError(f"{{{text}}}: write | and a step with its operands in quotes, such as | split '-' 1.")
            name = found[1]
            operands: list[Any] = [m[1] if m[2] is None else int(m[2]) for m in _OPERAND.finditer(found[2])]
            if name not in STEPS:
                raise RuleError(f"{{{text}}} has an unknown step {name!r}. {hint(name, STEPS)}")
            if tuple(type(o) for o in operands) != STEPS[name]:
                form = {"split": "split '-' 1", "extract": "extract '^([a-z]+)-'"}.get(name, name)
                raise RuleError(f"{{{text}}}: step {name} is written | {form}.")
            if name == "split" and (not operands[0] or operands[1] < 1):
                raise RuleError(f"{{{text}}}: split needs a separator and which part, 1 the first.")
            if name == "extract":
                if problem := regex_problem(operands[0]):
                    raise RuleError(f"{{{text}}}: {operands[0]!r} can't be used: {problem}.")
                if re.compile(operands[0]).groups > 1:
                    raise RuleError(f"{{{text}}}: {operands[0]!r} has several groups; write others as (?:...).")
            steps.append((name, tuple(operands)))
            rest = rest[found.end() :]
        return cls(text, field.strip(), tuple(steps))

    def sql(self, dialect: Dialect, column: Callable[[str], str]) -> str:
        """The insert as an SQL expression; "" or null where there is nothing to take."""
        out = column(self.field)
        for name, operands in self.steps:
            if name == "split":
                out = dialect.split.format(x=out, v=dialect.literal(operands[0]), n=operands[1])
            elif name == "extract":
                group = re.compile(operands[0]).groups
                out = dialect.extract.format(x=out, v=dialect.literal(operands[0]), n=group)
            else:
                out = dialect.trim.format(x=out) if name == "trim" else f"{name}({out})"
        return out
