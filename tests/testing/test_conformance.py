"""Each rule of the conformance kit fails on a connector broken in just that way, and only there."""

from __future__ import annotations

from pathlib import Path

import pytest

from finops_ai.testing import ConnectorConformance

pytest_plugins = ["pytester"]

TEMPLATE_TESTS = Path(__file__).parents[2] / "plugins" / "template" / "tests" / "test_template_conformance.py"
RULES = {name for name in dir(ConnectorConformance) if name.startswith("test_")}

#: rules that fail -> what is broken: methods of a subclass of the template's connector
BROKEN_CONNECTORS: dict[tuple[str, ...], str] = {
    ("test_the_connector_class_is_complete",): """
    title = ""
""",
    ("test_usage_keeps_its_schema",): """
    def usage(self, window):
        frame = super().usage(window)
        return frame.assign(note="a column of its own") if len(frame) else frame
""",
    ("test_bills_keep_their_schema",): """
    def bills(self, window):
        frame = super().bills(window)
        return frame.assign(note="a column of its own") if len(frame) else frame
""",
    ("test_rows_are_unique",): """
    def usage(self, window):  # the same key in two rows of half the size
        frame = super().usage(window)
        return pd.concat([halved(frame), halved(frame)]) if len(frame) else frame
""",
    ("test_quantities_are_those_of_the_source",): """
    def usage(self, window):
        frame = super().usage(window)
        return frame.assign(meter=frame["meter"].replace("output", "reasoning"))
""",
    ("test_meters_are_disjoint", "test_quantities_are_those_of_the_source"): """
    def usage(self, window):  # the cached tokens are counted in input too
        frame = super().usage(window)
        more = [q + 400 * (m == "input") for q, m in zip(frame["quantity"], frame["meter"])]
        return frame.assign(quantity=like(frame["quantity"], more))
""",
    ("test_meters_are_disjoint",): """
    def usage(self, window):
        frame = super().usage(window)
        return frame.assign(slice_input_tokens=frame["slice_input_tokens"] + 1)
""",
    ("test_nothing_lies_outside_the_window", "test_two_halves_make_the_whole"): """
    def bills(self, window):  # [start, end] instead of [start, end)
        frame = super().bills(window)
        late = frame.assign(charge_period_start=window.end, charge_period_end=window.end + dt.timedelta(1))
        late = late.assign(billed_cost=like(frame["billed_cost"], [0] * len(frame)))
        late = late.astype(frame.dtypes) if len(frame) else frame
        return pd.concat([frame, late])
""",
    ("test_two_halves_make_the_whole",): """
    def usage(self, window):
        frame = super().usage(window)
        return frame if window.start.day == 1 else frame.head(2)
""",
    ("test_reading_twice_gives_the_same",): """
    def usage(self, window):
        self.calls = getattr(self, "calls", 0) + 1
        frame = super().usage(window)
        return frame if self.calls == 1 else frame.head(3)
""",
    ("test_an_empty_window_gives_an_empty_frame",): """
    def usage(self, window):
        frame = super().usage(window)
        return frame if len(frame) else pd.DataFrame()
""",
    ("test_bills_and_usage_agree_on_accounts",): """
    def bills(self, window):
        frame = super().bills(window)
        return frame.assign(billing_account_id="another account") if len(frame) else frame
""",
    ("test_bills_add_up",): """
    def bills(self, window):
        frame = super().bills(window)
        return frame.assign(billed_cost=like(frame["billed_cost"], [round(cost, 2) for cost in frame["billed_cost"]]))
""",
    ("test_the_provider_is_the_connector",): """
    def usage(self, window):
        frame = super().usage(window)
        return frame.assign(provider="Template Incorporated") if len(frame) else frame
""",
    ("test_no_text_of_prompts_is_kept",): """
    def usage(self, window):
        frame = super().usage(window)
        return frame.assign(prompt_id="Dear Sir, write me a poem") if len(frame) else frame
""",
    ("test_times_are_utc_wherever_it_runs",): """
    def usage(self, window):
        frame, shift = super().usage(window), dt.timedelta(seconds=time.localtime().tm_gmtoff)
        moved = {name: frame[name] + shift for name in ("charge_period_start", "charge_period_end")}
        return frame.assign(**moved).astype(frame.dtypes)
""",
    ("test_an_unknown_setting_is_refused",): """
    def __init__(self, **settings):
        super().__init__(**{k: v for k, v in settings.items() if k in self.Settings.model_fields})
""",
    ("test_secrets_are_never_shown",): """
    def __repr__(self):
        return f"<Broken key={os.environ['TEMPLATE_API_KEY']}>"
""",
    ("test_the_doctor_says_how_to_fix_things",): """
    def doctor(self):
        return [Finding("key", ok=False, detail="it is missing")]
""",
    ("test_many_pages_give_what_one_page_gives",): """
    def _client(self):
        client = super()._client()
        get = client.get
        client.get = lambda path, query: get(path, query) | {"next_page": None}
        return client
""",
    ("test_a_busy_provider_is_asked_again",): """
    def __init__(self, **settings):
        super().__init__(max_retries=0, **settings)
""",
    ("test_a_refused_key_is_not_tried_again",): """
    def usage(self, window):
        try:
            return super().usage(window)
        except CredentialsError:
            return super().usage(window)
""",
    ("test_a_damaged_answer_is_an_error",): """
    def usage(self, window):
        try:
            return super().usage(window)
        except CredentialsError:
            raise
        except ProviderError:
            return conform({}, source="nothing")
""",
}
#: rules that fail -> what is wrong with the tests that use the kit
BROKEN_TESTS: dict[tuple[str, ...], str] = {
    ("test_no_rule_is_left_out_in_silence",): """
    def test_rows_are_unique(self):
        pass
""",
    ("test_no_rule_is_left_out_in_silence", "no reason"): """
    excused = {"test_rows_are_unique": " "}
""",
    ("test_no_rule_is_left_out_in_silence", "no such rule"): """
    excused = {"test_rows_are_unequal": "it is a misprint"}
""",
}

HEAD = """
import datetime as dt, os, time
import pandas as pd
from finops_ai.errors import CredentialsError, ProviderError
from finops_ai.frames import conform
from finops_ai.providers import Finding

def like(column, values):
    return pd.Series(values, index=column.index, dtype=column.dtype)

def halved(frame):
    half = [q / 2 for q in frame["quantity"]]
    return frame.assign(quantity=like(frame["quantity"], half))

del TestTemplateFiles
"""
HEAVY = "import oci\nfrom finops_ai_template import TemplateConnector\n\nclass Heavy(TemplateConnector):\n    pass\n"


def broken_suite(pytester) -> dict[str, set[str]]:
    """Write one file with a test class per fault; returns the class names with the rules that must fail there."""
    monkeypatch = pytester._monkeypatch
    monkeypatch.setenv("TZ", "UTC")
    pytester.mkpydir("oci")
    pytester.makepyfile(heavy=HEAVY)
    pytester.syspathinsert()
    pytester.syspathinsert(TEMPLATE_TESTS.parents[1] / "src")
    parts = [TEMPLATE_TESTS.read_text("utf-8"), HEAD]
    expected = {"TestHeavy": {"test_importing_it_loads_no_sdk"}}
    heavy = [parts[0], "from heavy import Heavy\ndel TestTemplateFiles"]
    heavy.append("class TestHeavy(TestTemplateLive):\n    connector = Heavy\ndel TestTemplateLive\n")
    pytester.makepyfile(test_heavy="\n".join(heavy))
    for number, (rules, methods) in enumerate(BROKEN_CONNECTORS.items()):
        parts.append(f"class Broken{number}(TemplateConnector):{methods}")
        parts.append(
            f"class TestBroken{number}(TestTemplateLive):\n    connector = Broken{number}\n    content = 'Dear Sir'\n"
        )
        expected[f"TestBroken{number}"] = set(rules) & RULES
    for number, (rules, methods) in enumerate(BROKEN_TESTS.items()):
        parts.append(f"class TestSilent{number}(TestTemplateLive):{methods}")
        expected[f"TestSilent{number}"] = set(rules) & RULES
    pytester.makepyfile(test_faults="\n".join(parts))
    return expected


def failures(pytester, *nodes: str) -> dict[str, set[str]]:
    """Failed rules by test class."""
    run = pytester.inline_run("-q", "-p", "no:cacheprovider", *nodes)
    found: dict[str, set[str]] = {}
    for report in run.getreports("pytest_runtest_logreport"):
        if report.failed:
            _, name, rule = report.nodeid.split("::")
            found.setdefault(name, set()).add(rule)
    return found


def test_every_rule_has_a_fault():
    planted = {rule for rules in (*BROKEN_CONNECTORS, *BROKEN_TESTS) for rule in rules}
    assert planted | {"test_importing_it_loads_no_sdk"} >= RULES


@pytest.mark.long
def test_each_rule_fails_on_its_fault(pytester):
    expected = broken_suite(pytester)
    nodes = [
        f"test_{'heavy' if name == 'TestHeavy' else 'faults'}.py::{name}::{rule}"
        for name, rules in expected.items()
        for rule in sorted(rules)
    ]
    assert failures(pytester, *nodes) == expected


@pytest.mark.slow
def test_each_fault_breaks_no_other_rule(pytester):
    expected = broken_suite(pytester)
    found = failures(pytester, "test_faults.py", "test_heavy.py", "-k", "not importing or Heavy")
    assert found.pop("TestTemplateLive", set()) == set()
    assert found == expected
