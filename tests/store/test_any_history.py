"""Any history of loads, restatements, compactions and damage leaves what a plain dictionary would hold."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from finops_ai.periods import Window
from finops_ai.store import Lake, checking, tools

from .test_lake_tools import bills, tokens

MORE = int(os.environ.get("FINOPS_AI_EXAMPLES", "1"))
NAMES = st.sampled_from(["openai", "o'neil", "a/b c", "ä=1"])
DAYS = st.integers(1, 9)


class LakeHistory(RuleBasedStateMachine):
    """The model: connection -> day -> (usage rows, charges) with their number."""

    @initialize()
    def begin(self):
        self.folder = tempfile.mkdtemp()
        self.lake = Lake(f"{self.folder}/lake")
        self.held = {"tokens": {}, "bills": {}}

    @rule(
        name=NAMES,
        first=DAYS,
        length=st.integers(1, 5),
        number=st.integers(1, 3),
        which=st.sampled_from(["both", "tokens", "bills"]),
        empty=st.booleans(),
    )
    def load(self, name, first, length, number, which, empty):
        days = [] if empty else list(range(first, first + length))
        window = Window.of(f"2026-01-{first:02}", f"2026-01-{first + length:02}")
        new = {"tokens": tokens(days, number), "bills": bills(days, str(number))}
        if which != "both":
            new = {which: new[which]}
        loads = self.lake.replace_window(name, window, new)
        for table in new:
            mine = self.held[table].setdefault(name, {})
            before = {d: v for d, v in mine.items() if first <= d < first + length}
            after = dict.fromkeys(days, number)
            assert loads[table].changed == (before != after)
            self.held[table][name] = {d: v for d, v in mine.items() if d not in before} | after

    @rule()
    def compact(self):
        tools.compact(self.lake)

    @rule()
    def reopen(self):
        self.lake = Lake(self.lake.root)

    @rule()
    def copy(self):
        """A lake is its folder: a copy is the same lake."""
        if Path(self.lake.root).exists():
            shutil.copytree(self.lake.root, f"{self.folder}/copy")
            shutil.rmtree(self.lake.root)
            Path(f"{self.folder}/copy").rename(self.lake.root)

    @invariant()
    def holds_what_the_model_holds(self):
        for table, column in (("tokens", "quantity"), ("bills", "billed_cost")):
            rows = self.lake.read_arrow(table, with_connection=True).to_pylist()
            found = sorted((r["connection"], r["charge_period_start"].day, int(r[column])) for r in rows)
            assert found == sorted((n, d, v) for n, days in self.held[table].items() for d, v in days.items())

    @invariant()
    def is_sound(self):
        assert checking.verify(self.lake).damage == []

    def teardown(self):
        shutil.rmtree(self.folder, ignore_errors=True)


TestLakeHistory = pytest.mark.long(LakeHistory.TestCase)
TestLakeHistory.settings = settings(
    max_examples=6 * MORE, stateful_step_count=8, deadline=None, suppress_health_check=list(HealthCheck)
)
