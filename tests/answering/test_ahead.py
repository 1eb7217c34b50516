"""What takes longest is made ahead for the month asked about by default, once per state of the data, and only while asked."""

from __future__ import annotations

import threading

import pytest

from .conftest import NOW

pytest.importorskip("mcp", reason="needs the extra mcp")


@pytest.fixture
def made(monkeypatch, ws):
    """A desk, and the kinds of question that were answered for it."""
    from finops_ai.answering import server

    kinds = []
    monkeypatch.setattr(server, "answer", lambda known, question: kinds.append(question.kind))
    return server, server.Desk(lambda: ws, now=lambda: NOW), kinds


def test_each_table_is_made_once_until_somebody_asks_of_newer_data(made, monkeypatch, ws):
    server, desk, kinds = made
    desk.make_ahead()
    desk.make_ahead()
    assert kinds == list(server.AHEAD)
    monkeypatch.setattr(type(ws), "digest", lambda self: "loaded since")
    desk.make_ahead()  # nobody asked
    assert kinds == list(server.AHEAD)
    desk.names("", "")
    desk.make_ahead()
    assert kinds == list(server.AHEAD) * 2


def test_it_ends_when_it_is_stopped_and_goes_on_past_what_fails(made, monkeypatch):
    server, desk, kinds = made
    stop = threading.Event()

    def fails(known, question):
        kinds.append(question.kind)
        if len(kinds) == 3:
            stop.set()
        raise ZeroDivisionError

    monkeypatch.setattr(server, "answer", fails)
    desk.make_ahead(stop)
    assert kinds == list(server.AHEAD[:3])
