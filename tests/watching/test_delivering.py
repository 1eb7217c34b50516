"""A closed month's statements and report reach who they are for, each once per close."""

from __future__ import annotations

import csv
import datetime as dt
import email
import email.policy
import io
import json
import zipfile
from decimal import Decimal

import pytest
from click.testing import CliRunner

import finops_ai as fa
from finops_ai.cli import group
from finops_ai.errors import ClosedPeriodError, SettingsError
from finops_ai.periods import Window
from finops_ai.tables.closing import close_month
from finops_ai.watching.delivering import deliver

TOML = """[workspace]
name = "W"
[dimensions.team]
[[rules]]
name = "person is the team"
set = { team = "{user_id}" }
[chargeback]
dimension = "team"
[[chargeback.tariffs]]
markup = "0.1"
"""


@pytest.fixture
def month(tmp_path, tokens_of):
    """October: 20 million tokens of search and 10 of growth at 0.15 a million, a tenth on top: 3.30 and 1.65."""

    def make(entry):
        (tmp_path / "finops.toml").write_text(TOML + entry, "utf-8")
        ws = fa.open(tmp_path)
        at = dt.datetime(2026, 10, 5, tzinfo=dt.UTC)
        rows = [
            {"model": "gpt-4o-mini", "quantity": n * 10**6, "user_id": who, "at": at}
            for who, n in (("search", 20), ("growth", 10))
        ]
        ws.lake.replace("tokens", "openai", Window.month("2026-10"), tokens_of(rows))
        return ws

    return make


FOLDER = '[[deliver]]\nwhat = "statements"\nto = "folder"\nfolder = "outbox"\n'


def states(table):
    return dict(zip(table["receiver"], table["state"], strict=True))


def test_statements_come_into_a_folder_once_and_add_up(month, tmp_path):
    ws = month(FOLDER)
    close_month(ws, "2026-10")
    assert states(deliver(ws, "2026-10")) == {"search": "sent", "growth": "sent"}
    file = tmp_path / "outbox" / "statement-2026-10-search.csv"
    lines = list(csv.DictReader(io.StringIO(file.read_text("utf-8"))))
    assert sum(Decimal(line["amount"]) for line in lines) == Decimal("3.30")
    assert "search owes 3.30 USD for October 2026." in (
        tmp_path / "outbox" / "statement-2026-10-search.html"
    ).read_text("utf-8")
    stamp = file.stat().st_mtime_ns
    again = deliver(fa.open(tmp_path), "2026-10")
    assert set(again["note"]) == {"before"}
    assert file.stat().st_mtime_ns == stamp
    assert sorted(p.suffix for p in (tmp_path / "outbox").iterdir()) == [
        ".csv",
        ".csv",
        ".html",
        ".html",
        ".xlsx",
        ".xlsx",
    ]


def test_an_open_month_is_only_looked_at(month):
    ws = month(FOLDER)
    looked = deliver(ws, "2026-10", dry_run=True)
    assert set(looked["note"]) == {"once the month is closed"}
    assert dict(zip(looked["receiver"], looked.published()["due"], strict=True)) == {
        "search": Decimal("3.30"),
        "growth": Decimal("1.65"),
    }
    with pytest.raises(ClosedPeriodError, match="finops-ai close 2026-10"):
        deliver(ws, "2026-10")


def test_a_dry_run_sends_nothing(month, tmp_path):
    ws = month(FOLDER)
    close_month(ws, "2026-10")
    assert states(deliver(ws, "2026-10", dry_run=True)) == {"search": "due", "growth": "due"}
    assert not (tmp_path / "outbox").exists()


@pytest.mark.long
def test_a_month_closed_again_is_delivered_again(month):
    ws = month(FOLDER)
    close_month(ws, "2026-10")
    deliver(ws, "2026-10")
    ws.ledger.reopen("2026-10", "A. Finance", "late invoice")
    close_month(ws, "2026-10")
    assert set(deliver(ws, "2026-10")["note"]) == {""}
    assert set(deliver(ws, "2026-10")["note"]) == {"before"}


@pytest.mark.long
def test_mails_go_to_the_receivers_addresses_and_who_has_none_is_said(month, mail):
    ws = month(
        f'[[deliver]]\nwhat = "statements"\nto = "email"\nsender = "finops@example.com"\nhost = "127.0.0.1"\nport = {mail.port}\n'
        'security = "none"\naddresses = { search = "search@example.com" }\n'
    )
    close_month(ws, "2026-10")
    for _ in range(2):
        table = deliver(ws, "2026-10")
    assert states(table) == {"search": "sent", "growth": "no address"}
    assert len(mail.mails) == 1
    sender, receivers, content = mail.mails[0]
    assert (sender, receivers) == ("finops@example.com", ["search@example.com"])
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert message["Subject"] == "W: statement for search, October 2026"
    names = [part.get_filename() for part in message.iter_attachments()]
    assert names == ["statement-2026-10-search.csv", "statement-2026-10-search.xlsx"]


@pytest.mark.long
def test_a_server_that_refuses_leaves_it_due(month, mail):
    ws = month(
        f'[[deliver]]\nwhat = "statements"\nto = "email"\nsender = "f@example.com"\nhost = "127.0.0.1"\nport = {mail.port}\n'
        'security = "none"\nfor = ["search"]\nreceivers = ["all@example.com"]\n'
    )
    close_month(ws, "2026-10")
    mail.refuse = True
    table = deliver(ws, "2026-10")
    assert states(table) == {"search": "due"}
    assert "didn't take the mail" in table["note"].iloc[0]
    mail.refuse = False
    assert states(deliver(ws, "2026-10")) == {"search": "sent"}
    assert len(mail.mails) == 1


@pytest.mark.long
def test_a_webhook_gets_the_lines_and_the_seal_once(month, hook, monkeypatch):
    monkeypatch.setenv("OUT_HOOK", hook.url)
    ws = month('[[deliver]]\nwhat = "statements"\nto = "webhook"\nurl_env = "OUT_HOOK"\nfor = "growth"\n')
    sealed = close_month(ws, "2026-10")[1]
    for _ in range(3):
        deliver(ws, "2026-10")
    assert len(hook.posts) == 1
    facts = hook.posts[0]["facts"]
    assert (facts["receiver"], facts["due"], facts["currency"], facts["seal"]) == ("growth", "1.65", "USD", sealed.seal)
    assert sum(Decimal(str(line["amount"])) for line in facts["lines"]) == Decimal("1.65")
    assert [f["name"] for f in hook.posts[0]["files"]][1] == "statement-2026-10-growth.csv"


@pytest.mark.long
def test_killed_while_it_was_sent_it_is_told_and_sent_again_only_when_asked(month, hook, monkeypatch):
    monkeypatch.setenv("OUT_HOOK", hook.url)
    ws = month('[[deliver]]\nwhat = "statements"\nto = "webhook"\nurl_env = "OUT_HOOK"\nfor = "growth"\n')
    close_month(ws, "2026-10")

    import finops_ai.watching.memory as memory_module

    real = memory_module.Memory.mark

    def mark(self, id, state, said=""):
        if state == "sent":
            raise KeyboardInterrupt  # it was posted, and then the process ended
        real(self, id, state, said)

    monkeypatch.setattr(memory_module.Memory, "mark", mark)
    with pytest.raises(KeyboardInterrupt):
        deliver(ws, "2026-10")
    monkeypatch.setattr(memory_module.Memory, "mark", real)
    assert states(deliver(ws, "2026-10")) == {"growth": "unconfirmed"}
    assert len(hook.posts) == 1
    assert states(deliver(ws, "2026-10", again=True)) == {"growth": "sent"}
    assert len(hook.posts) == 2


def made_report(folder, made_at):
    folder.mkdir(parents=True)
    (folder / "index.html").write_text("<h1>October</h1>", "utf-8")
    (folder / "manifest.json").write_text(json.dumps({"made_at": made_at, "pages": [], "files": []}), "utf-8")


@pytest.mark.long
def test_a_report_is_sent_as_an_archive_if_it_is_of_the_close(month, tmp_path):
    ws = month('[[deliver]]\nwhat = "report"\nto = "folder"\nfolder = "outbox"\n')
    close_month(ws, "2026-10")
    assert "no whole report" in left_due(ws)
    made_report(tmp_path / "reports" / "2026-10", "2026-10-31T00:00:00Z")
    assert "before 2026-10 was closed" in left_due(ws)
    (tmp_path / "reports" / "2026-10" / "manifest.json").write_text(
        json.dumps({"made_at": "2999-01-01T00:00:00Z", "pages": [], "files": []}), "utf-8"
    )
    table = deliver(ws, "2026-10")
    assert list(table["state"]) == ["sent"]
    with zipfile.ZipFile(tmp_path / "outbox" / "report-2026-10.zip") as archive:
        assert sorted(archive.namelist()) == ["2026-10/index.html", "2026-10/manifest.json"]


def left_due(ws):
    """Why the report couldn't be delivered."""
    table = deliver(ws, "2026-10")
    assert list(table["state"]) == ["due"]
    return table["note"].iloc[0]


@pytest.mark.parametrize(
    ("entry", "match"),
    [
        ("", "no \\[\\[deliver\\]\\]"),
        ('[[deliver]]\nwhat = "statment"\nto = "folder"\n', "statements"),
        ('[[deliver]]\nwhat = "report"\nto = "ftp"\n', "Known"),
        ('[[deliver]]\nwhat = "report"\nto = "folder"\n', "needs `folder`"),
        ('[[deliver]]\nwhat = "report"\nto = "folder"\nfolder = "x"\nfolders = "y"\n', "folder"),
        ('[[deliver]]\nwhat = "statements"\nto = "folder"\nfolder = "x"\nfor = ["serch"]\n', "search"),
    ],
)
def test_a_wrong_entry_is_refused_in_words(month, entry, match):
    with pytest.raises(SettingsError, match=match):
        deliver(month(entry), "2026-10", dry_run=True)


@pytest.mark.long
def test_the_command_says_what_went_where(month, tmp_path):
    ws = month(FOLDER)
    close_month(ws, "2026-10")
    arguments = ["deliver", "2026-10", "-c", str(tmp_path / "finops.toml"), "--format", "json"]
    result = CliRunner().invoke(group, arguments, standalone_mode=False)
    assert {row["state"] for row in json.loads(result.stdout)} == {"sent"}
    assert result.return_value == 0


@pytest.mark.slow
def test_statements_come_into_a_bucket(month, monkeypatch):
    moto = pytest.importorskip("moto.server", reason="needs moto's server")
    import boto3

    for name, value in {
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "y",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    server = moto.ThreadedMotoServer(port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        client = boto3.client("s3", endpoint_url=url, region_name="eu-central-1")
        client.create_bucket(Bucket="outbox", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        ws = month(
            f'[[deliver]]\nwhat = "statements"\nto = "s3"\nbucket = "outbox"\nprefix = "ai"\nregion = "eu-central-1"\nendpoint_url = "{url}"\n'
        )
        close_month(ws, "2026-10")
        assert states(deliver(ws, "2026-10")) == {"search": "sent", "growth": "sent"}
        keys = [o["Key"] for o in client.list_objects_v2(Bucket="outbox")["Contents"]]
        assert "ai/statement-2026-10-search.csv" in keys
        assert len(keys) == 6
    finally:
        server.stop()
