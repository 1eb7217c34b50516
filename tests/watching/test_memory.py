"""Each event is told once through its life, whatever stops the process and whatever the clock does."""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finops_ai.errors import ProviderUnavailable, StoreError
from finops_ai.watching.channels import Webhook
from finops_ai.watching.memory import Event, Memory, send_due
from finops_ai.watching.telling import tell


def budget(level, name="search", text="search: spent."):
    return Event(f"budget:{name}:2026-11", "budget", level, text)


@pytest.fixture
def memory(tmp_path):
    return Memory(tmp_path / "state" / "alerts.sqlite")


def tell_hook(memory, hook, *events):
    channel = Webhook(hook.url)
    with memory.alone():
        return tell(
            memory,
            list(events),
            {channel.name: channel},
            {kind: [channel.name] for kind in ("budget", "incident", "source")},
        )


def test_opened_worse_resolved_are_each_told_once(memory, hook):
    for level in (1, 1, 2, 2, 1, 2, 12, 0, 0, 1):
        tell_hook(Memory(memory.path), hook, budget(level))
    key = "budget:search:2026-11"
    assert hook.told() == [(key, "opened"), (key, "worse"), (key, "worse"), (key, "resolved"), (key, "opened")]
    assert len({p["id"] for p in hook.posts}) == 5


def test_what_was_not_looked_at_is_not_over(memory, hook):
    tell_hook(memory, hook, budget(1))
    tell_hook(memory, hook)  # such as after a clock that jumped into another month
    tell_hook(memory, hook, budget(1))
    assert hook.told() == [("budget:search:2026-11", "opened")]


def test_an_event_that_must_double_to_be_worse(memory, hook):
    for level in (30, 40, 59, 60, 100, 119, 120):
        tell_hook(memory, hook, Event("incident:a", "incident", level, "a", step=2.0))
    assert [stage for _, stage in hook.told()] == ["opened", "worse", "worse"]


def test_a_failing_webhook_is_tried_again_until_it_takes_it_once(memory, hook):
    hook.status = 503
    _, sent, problems = tell_hook(memory, hook, budget(1))
    assert not sent
    assert "503" in problems[0]
    assert "hook" not in problems[0].replace("webhook", "")  # the address may hold a secret
    hook.status = 200
    for _ in range(3):
        tell_hook(memory, hook, budget(1))
    assert hook.told() == [("budget:search:2026-11", "opened")]


def test_nobody_there_is_tried_again(memory, hook):
    gone = Webhook("http://127.0.0.1:1/hook")
    with memory.alone():
        assert not tell(memory, [budget(1)], {gone.name: gone}, {"budget": [gone.name]})[1]
        assert memory.state_of(f"budget:search:2026-11#1.opened.1@{gone.name}") == "due"


def test_one_channel_that_fails_costs_the_other_nothing(memory, hook):
    good, bad = Webhook(hook.url), Webhook("http://127.0.0.1:1/hook", "slack")
    both = {c.name: c for c in (bad, good)}
    for _ in range(2):
        with memory.alone():
            tell(memory, [budget(1)], both, {"budget": list(both)})
    assert len(hook.posts) == 1


def test_a_new_channel_is_told_what_goes_on(memory, hook):
    first = Webhook(hook.url)
    with memory.alone():
        tell(memory, [budget(1)], {first.name: first}, {"budget": [first.name]})
    second = Webhook(hook.url, "teams")
    both = {first.name: first, second.name: second}
    with memory.alone():
        tell(memory, [budget(1)], both, {"budget": list(both)})
    assert len(hook.posts) == 2


CHILD = """
import sys
from pathlib import Path
from finops_ai.watching.channels import Webhook
from finops_ai.watching.memory import Event, Memory, send_due
memory, channel = Memory(Path(sys.argv[1])), Webhook(sys.argv[2])
with memory.alone():
    memory.recover()
    memory.learn([Event("budget:search:2026-11", "budget", 1, "over")], {"budget": [channel.name]})
    if sys.argv[3] == "before":
        import os, signal
        os.kill(os.getpid(), signal.SIGKILL)
    send_due(memory, {channel.name: channel})
"""


def child(memory, hook, when):
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(CHILD), str(memory.path), hook.url, when])


@pytest.mark.long
def test_killed_after_it_fell_due_it_is_sent_by_the_next(memory, hook):
    assert child(memory, hook, "before").wait(60) == -signal.SIGKILL
    assert hook.posts == []
    assert child(memory, hook, "").wait(60) == 0
    assert hook.told() == [("budget:search:2026-11", "opened")]


@pytest.mark.long
def test_killed_while_it_is_sent_it_is_not_sent_twice(memory, hook):
    running = []

    def kill(body):
        os.kill(running[0].pid, signal.SIGKILL)
        time.sleep(0.05)

    hook.before_answer = kill
    running.append(child(memory, hook, ""))
    assert running[0].wait(60) == -signal.SIGKILL
    hook.before_answer = lambda body: None
    _, _, problems = tell_hook(memory, hook, budget(1))
    assert len(hook.posts) == 1
    assert "may have been sent or not" in problems[0]
    assert tell_hook(memory, hook, budget(1))[2] == []  # that is told once, too


@pytest.mark.long
def test_killed_at_any_moment_and_started_again_each_event_comes_once(memory, hook):
    """A storm: processes are killed after random times until one has run through; then everything has come once."""
    import random

    chance = random.Random(7)
    for _ in range(12):
        process = child(memory, hook, "")
        try:
            process.wait(chance.uniform(0.3, 1.6))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    child(memory, hook, "").wait(60)
    assert hook.told() == [("budget:search:2026-11", "opened")]


@pytest.mark.long
def test_two_watchers_at_once_tell_it_once(memory, hook):
    children = [child(memory, hook, "") for _ in range(2)]
    assert [c.wait(60) for c in children] == [0, 0]
    assert len(hook.posts) == 1


def test_a_memory_that_cannot_be_read_sends_nothing(tmp_path, hook):
    (tmp_path / "alerts.sqlite").write_bytes(b"no database" * 400)
    with pytest.raises(StoreError, match="nothing is sent"):
        tell_hook(Memory(tmp_path / "alerts.sqlite"), hook, budget(1))
    assert hook.posts == []


@settings(max_examples=15)
@given(st.lists(st.sampled_from([0, 1, 2, 3, 12]), max_size=12))
def test_stages_follow_the_level_whatever_it_does(levels):
    """Opened is followed by worse or resolved, resolved by opened; and worse only rises."""
    import tempfile
    from pathlib import Path

    class Ear:
        name = "ear"

        def __init__(self):
            self.heard = []

        def send(self, body, handed):
            handed()
            self.heard.append(body["stage"])

    ear = Ear()
    with tempfile.TemporaryDirectory() as folder:
        memory = Memory(Path(folder) / "a.sqlite")
        for level in levels:
            memory.learn([budget(level)], {"budget": ["ear"]})
            send_due(memory, {"ear": ear})
    expected, top = [], 0
    for level in levels:
        if level == 0 and top:
            expected.append("resolved")
            top = 0
        elif level > top:
            expected.append("worse" if top else "opened")
            top = level
    assert ear.heard == expected


def test_a_channel_that_raises_stays_due(memory):
    class Broken:
        name = "broken"

        def send(self, body, handed):
            handed()
            raise ProviderUnavailable("no")

    memory.learn([budget(1)], {"budget": ["broken"]})
    assert send_due(memory, {"broken": Broken()}) == []
    assert memory.state_of("budget:search:2026-11#1.opened.1@broken") == "due"


def test_the_memory_is_the_owners_alone(memory):
    memory.learn([budget(1)], {"budget": ["x"]})
    assert memory.path.stat().st_mode & 0o077 == 0
    assert isinstance(dt.datetime.now(dt.UTC), dt.datetime)
