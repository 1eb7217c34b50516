"""Alerts of a workspace: budgets, incidents and sources, in the form of each receiver, by whichever command finds them."""

from __future__ import annotations

import datetime as dt
import email
import email.policy
import json

import pytest
from click.testing import CliRunner

from finops_ai.cli import group
from finops_ai.errors import CredentialsError, SettingsError
from finops_ai.watching.channels import Email, Webhook, channels_of, shaped
from finops_ai.watching.looking import look

BUDGET = '[[budgets]]\nname = "company"\nmonth = "2026-11"\namount = "{}"\n'
HOOK = '[[alerts]]\nto = "webhook"\nurl_env = "WATCH_HOOK"\nevents = {}\n'


@pytest.fixture
def told(monkeypatch, hook):
    monkeypatch.setenv("WATCH_HOOK", hook.url)
    return hook


@pytest.mark.long
def test_a_source_is_told_stale_once_and_back_once(workspace, provider, told):
    ws = workspace(HOOK.format('["source"]'))
    look(ws, provider.at("2026-11-09T10:00"))
    for hour in (15, 17, 16):  # a clock that steps back, too
        look(ws, dt.datetime(2026, 11, 9, hour, tzinfo=dt.UTC))
    look(ws, provider.at("2026-11-09T18:00"))
    look(ws, provider.at("2026-11-09T18:15"))
    assert told.told() == [("source:openai", "opened"), ("source:openai", "resolved")]
    assert "stale" in told.posts[0]["text"]


@pytest.mark.long
def test_a_budget_is_told_at_each_threshold_once_and_by_any_command(workspace, provider, told, tmp_path):
    # 25.92 a day
    ws = workspace(BUDGET.format("400") + HOOK.format('["budget"]'))
    for at in ("2026-11-05T00:10", "2026-11-09T00:10", "2026-11-09T06:10", "2026-11-14T00:10", "2026-11-18T00:10"):
        for _ in range(2):
            look(ws, provider.at(at))
    stages = [stage for _, stage in told.told()]
    assert stages[0] == "opened"
    assert set(stages[1:]) == {"worse"}
    before = len(told.posts)
    for _ in range(2):
        result = CliRunner().invoke(
            group, ["budgets", "-c", str(tmp_path / "finops.toml"), "--month", "2026-11", "--webhook", told.url]
        )
        assert result.exit_code == 0, result.output
    assert len(told.posts) == before
    assert len({p["id"] for p in told.posts}) == before


@pytest.mark.long
def test_the_budget_command_tells_once(workspace, provider, told, tmp_path):
    ws = workspace(BUDGET.format("100"))
    look(ws, provider.at("2026-11-05T00:10"))
    for _ in range(3):
        CliRunner().invoke(
            group, ["budgets", "-c", str(tmp_path / "finops.toml"), "--month", "2026-11", "--webhook", told.url]
        )
    assert [stage for _, stage in told.told()] == ["opened"]
    assert "company" in told.posts[0]["text"]


@pytest.mark.long
def test_an_incident_is_told_once_though_its_findings_move(workspace, provider, told):
    jump = int(dt.datetime(2026, 11, 20, tzinfo=dt.UTC).timestamp())
    provider.rate = lambda second: 24_000 if second < jump else 120_000
    ws = workspace(HOOK.format('["incident"]'))
    for day in range(20, 26):
        look(ws, provider.at(f"2026-11-{day}T06:00"))
    opened = [p for p in told.posts if p["stage"] == "opened"]
    assert len(opened) == 1
    assert "over expectation" in opened[0]["text"]


@pytest.mark.long
def test_quiet_prints_nothing_when_there_is_nothing_to_say(workspace, provider, tmp_path):
    workspace()
    provider.at("2026-11-09T10:00")
    arguments = ["watch", "-c", str(tmp_path / "finops.toml"), "--times", "1", "--quiet", "--as-of"]
    fresh = CliRunner().invoke(group, [*arguments, "2026-11-09T10:00:00Z"], standalone_mode=False)
    assert (fresh.exit_code, fresh.output) == (0, "")
    late = CliRunner().invoke(group, [*arguments, "2026-11-09T20:00:00Z"], standalone_mode=False)
    assert "stale" in late.output


def test_a_mail_is_plain_text_with_an_id_of_its_own(mail):
    channel = Email("127.0.0.1", mail.port, "none", "finops@example.com", ("a@example.com", "b@example.com"))
    body = {
        "id": "budget:x#1",
        "stage": "opened",
        "text": "x is over\r\nBcc: evil@example.com",
        "facts": {"spent": "12.00"},
    }
    handed = []
    for _ in range(2):
        channel.send(body, lambda: handed.append(len(mail.mails)))
    assert handed == [0, 1]  # before anything leaves
    assert mail.mails[0][1] == ["a@example.com", "b@example.com"]
    first, second = (email.message_from_bytes(m[2], policy=email.policy.default) for m in mail.mails)
    assert first["Bcc"] is None
    assert "spent: 12.00" in first.get_content()
    assert first["Message-ID"] == second["Message-ID"]


def test_a_mail_server_that_refuses_is_told_without_its_password(mail):
    from finops_ai.errors import ProviderUnavailable

    mail.refuse = True
    channel = Email("127.0.0.1", mail.port, "none", "f@example.com", ("a@example.com",), "me", "secret-pass")
    assert "secret-pass" not in repr(channel)
    with pytest.raises(ProviderUnavailable) as error:
        channel.send({"id": "1", "stage": "opened", "text": "x", "facts": {}}, lambda: None)
    assert "secret-pass" not in str(error.value)


def test_in_a_chat_nothing_from_outside_is_a_link_a_mention_or_emphasis(hook):
    text = "<!channel> <@U1> [x](http://evil) & *b* :tada:\nopened: all is paid \u202eback"
    body = {"id": "1", "event": "e", "kind": "budget", "stage": "opened", "text": text, "facts": {}}
    Webhook(hook.url, "slack").send(body, lambda: None)
    Webhook(hook.url, "teams").send(body, lambda: None)
    slack, teams = hook.posts
    shown = "opened: <!channel> <@U1> [x](http://evil) & *b* :tada: opened: all is paid \\u202eback"
    safe = shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # forms that know no markup: plain_text of Slack, a TextRun of an Adaptive Card
    assert slack["blocks"] == [{"type": "section", "text": {"type": "plain_text", "text": safe, "emoji": False}}]
    assert (slack["text"], slack["mrkdwn"], slack["unfurl_links"], slack["unfurl_media"]) == (safe, False, False, False)
    assert teams["attachments"][0]["content"]["body"] == [
        {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": shown}]}
    ]
    assert shaped(body, "webhook") == body
    assert hook.headers[0]["Idempotency-Key"] != hook.headers[1]["Idempotency-Key"]


@pytest.mark.parametrize("name", ["A" * 1_000_000, "<&>" * 20_000])
def test_a_long_name_leaves_the_figures_and_what_a_chat_takes(name):
    body = {"id": "1", "stage": "opened", "text": f"{name} is over its budget of 12.00 USD."}
    slack = shaped(body, "slack")["blocks"][0]["text"]["text"]
    assert len(slack) <= 3000  # Slack refuses more
    assert slack.endswith(" is over its budget of 12.00 USD.")
    assert len(json.dumps(shaped(body, "teams"))) < 28_000  # Teams refuses more


def test_a_mail_has_the_lines_that_are_ours(mail):
    channel = Email("127.0.0.1", mail.port, "none", "finops@example.com", ("a@example.com",))
    name = "x\r\nBcc: evil@example.com\u2028due: 0.00\n\n\x1b[2J" + "A" * 2000
    body = {"id": "1", "stage": "opened", "text": f"{name} is over", "facts": {"budget_name": name, "spent": "12.00"}}
    channel.send(body, lambda: None)
    got = email.message_from_bytes(mail.mails[0][2], policy=email.policy.default)
    assert got["Bcc"] is None
    assert len(got["Subject"]) <= 160
    lines = got.get_content().splitlines()
    assert [line.partition(":")[0][:8] for line in lines] == ["x Bcc", "", "budget n", "spent"]
    assert "\\u001b[2J" in lines[0]
    assert lines[0].endswith(" is over")


@pytest.mark.parametrize(
    ("entry", "match"),
    [
        ({"to": "slak", "url": "http://x"}, "slack"),
        ({"to": "slack"}, "url_env"),
        ({"to": "slack", "url": "ftp://x"}, "http or https"),
        ({"to": "slack", "url": "http://x", "chanel": "c"}, "chanel"),
        ({"to": "slack", "url": "http://x", "events": ["budgets"]}, "budget"),
        ({"to": "email", "sender": "a@b.c"}, "receivers"),
        ({"to": "email", "sender": "a@b.c", "receivers": "x@y.z", "security": "ssl"}, "tls"),
    ],
)
def test_a_wrong_entry_is_refused_in_words(entry, match):
    with pytest.raises(SettingsError, match=match):
        channels_of([entry])


def test_a_password_needs_encryption_and_a_variable_must_be_set(monkeypatch):
    entry = {
        "to": "email",
        "sender": "a@b.c",
        "receivers": "x@y.z",
        "host": "mail.example.com",
        "security": "none",
        "user_env": "MAIL_USER",
    }
    with pytest.raises(CredentialsError, match="MAIL_USER"):
        channels_of([entry])
    monkeypatch.setenv("MAIL_USER", "me")
    with pytest.raises(SettingsError, match="without encryption"):
        channels_of([entry])


def test_messages_are_json(hook):
    assert json.loads(json.dumps(shaped({"text": "x", "stage": "opened"}, "slack")))


def test_the_address_of_a_webhook_is_not_shown():
    from finops_ai.watching.channels import Webhook

    assert "T000" not in repr(Webhook("https://hooks.example.com/services/T000/secret", "slack"))
