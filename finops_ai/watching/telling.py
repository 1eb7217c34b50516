"""Telling events to the channels that want them: each stage of each once, whatever command finds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from finops_ai.tables.result import Table
from finops_ai.watching.channels import Channel, Webhook, checked_url
from finops_ai.watching.events import budget_events
from finops_ai.watching.memory import Event, Memory, Message, memory_of, send_due

if TYPE_CHECKING:
    from finops_ai.workspace import Workspace


def tell(
    memory: Memory, events: Sequence[Event], channels: Mapping[str, Channel], told: Mapping[str, Sequence[str]]
) -> tuple[int, list[Message], list[str]]:
    """Take the events in and send what is due. Call it under `memory.alone()`.

    Args:
        memory: of the workspace.
        events: as they are now.
        channels: name -> channel.
        told: kind of event -> names of channels.

    Returns:
        How many messages fell due, what was sent, and what went wrong in sentences.
    """
    problems = [
        f"{id.rpartition('@')[0]} may have been sent or not: the process ended while it was sent. It isn't sent again."
        for id in memory.recover()
    ]
    due = memory.learn(events, told)
    sent = send_due(
        memory, channels, problem=lambda message, error: problems.append(f"{error} It is tried again at the next look.")
    )
    return due, sent, problems


def tell_budgets(ws: Workspace, table: Table, url: str) -> tuple[int, str]:
    """Tell what is new of the budgets to a webhook.

    Args:
        ws: the workspace, which remembers.
        table: its budgets.
        url: of the webhook.

    Returns:
        How many alerts were sent, and why some are still to be sent, in words.

    Raises:
        SettingsError: the URL isn't http or https.
    """
    channel = Webhook(checked_url(url, "--webhook"))
    memory = memory_of(ws)
    with memory.alone():
        _, sent, problems = tell(memory, budget_events(table), {channel.name: channel}, {"budget": [channel.name]})
    return len(sent), " ".join(problems)
