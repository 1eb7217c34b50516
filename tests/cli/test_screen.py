"""What a command prints neither moves the cursor nor hides anything, whatever names are in it, and stays short."""

from __future__ import annotations

import io
import json
import sys

import pandas as pd
import pytest

from finops_ai.cli import ending, main, output
from finops_ai.cli.screen import shown
from finops_ai.errors import DataError

#: a colour, a link, a C1 control, a turned text, nothing wide, and the end of a line as a terminal obeys it
NAME = "\x1b[31mred \x1b]8;;http://evil.example\x07 \x9b2J \u202eback\u200b\r"


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_marks_are_shown_as_their_code(monkeypatch, stream):
    kept = io.StringIO()
    monkeypatch.setattr(sys, stream, kept)
    with shown():
        print(NAME, "é\tß", file=getattr(sys, stream))
    assert kept.getvalue() == (
        "\\u001b[31mred \\u001b]8;;http://evil.example\\u0007 \\u009b2J \\u202eback\\u200b\\u000d é\tß\n"
    )
    assert getattr(sys, stream) is kept


def test_the_last_words_of_a_command_go_that_way(capsys):
    with pytest.raises(SystemExit) as ended:
        main([NAME])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "No command" in said
    assert not set(said) & set("\x1b\x9b\u202e\u200b\r")


def test_json_keeps_a_name_and_shows_no_mark(capsys):
    output.show(pd.DataFrame({NAME: [NAME + "\U000e0041é"]}), "json")
    text = capsys.readouterr().out
    assert not set(text) & set("\x1b\x9b\u202e\u200b\r\U000e0041")
    assert "é" in text
    assert json.loads(text) == [{NAME: NAME + "\U000e0041é"}]


def test_a_statement_goes_into_a_file_to_the_letter(capsysbinary, monkeypatch):
    class Asked:
        def sql(self, month, engine):
            return f"SELECT '{NAME}'"

    monkeypatch.setattr("finops_ai.cli.sql.workspace", lambda config, month: (Asked(), month))
    with pytest.raises(SystemExit):
        main(["sql"])
    assert capsysbinary.readouterr().out == f"SELECT '{NAME}'\n".encode()


def test_a_message_with_a_long_name_keeps_its_next_step(capsys):
    error = DataError(f"team {'A' * 1_000_000!r} is not charged. Correct finops.toml.")
    assert ending.code_of(error, [], verbose=False) == 3
    said = capsys.readouterr().err
    assert len(said) < 4_100
    assert said.startswith("Error: team 'AAAA")
    assert said.endswith("is not charged. Correct finops.toml.\n")
