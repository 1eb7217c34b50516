"""The commands of allocation, chargeback and closing, over a small lake."""

from __future__ import annotations

import csv
import datetime as dt
import http.server
import io
import json
import re
import shutil
import threading
from pathlib import Path

import pytest

import finops_ai as fa
from finops_ai.cli import main
from finops_ai.periods import Window

TOML = """
[dimensions.team]
[[rules]]
name = "search key"
when = { api_key_id = "key_search" }
set = { team = "search" }
[[rules]]
name = "old key"
when = { api_key_id = "key_gone" }
set = { team = "gone" }
[chargeback]
dimension = "team"
[[chargeback.tariffs]]
markup = "0.1"
[[budgets]]
name = "search budget"
month = "2026-10"
amount = "1"
for = { team = "search" }
[scenario.batch]
batch = { share = "1" }
[providers.openai]
enabled = false
"""


def at(month, day):
    return dt.datetime(2026, month, day, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def company(tmp_path_factory, tokens_of):
    """The folder of the company; only read."""
    folder = tmp_path_factory.mktemp("company")
    (folder / "finops.toml").write_text(TOML)
    with pytest.MonkeyPatch.context() as there:
        there.chdir(folder)
        load(tokens_of, 2_000_000)
    return folder


@pytest.fixture
def commands(capsys):
    """Runs a command: its exit code, and what it said."""

    def call(*args):
        try:
            main(list(args))
            code = 0
        except SystemExit as stop:
            code = stop.code or 0
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def ask(company, commands, monkeypatch):
    """Runs a command that writes nothing, in the company's own folder."""
    monkeypatch.chdir(company)
    return commands


@pytest.fixture
def run(company, commands, tmp_path, monkeypatch):
    """Runs a command in a copy of the company's folder."""
    shutil.copytree(company, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".finops-cache", "cubes"))
    monkeypatch.chdir(tmp_path)
    return commands


def load(tokens_of, quantity):
    """September and October of two keys, gpt-4o-mini at 0.15 per million input tokens."""
    for month, day in ((9, 5), (10, 5)):
        rows = [
            {"model": "gpt-4o-mini", "quantity": q * month, "api_key_id": k, "at": at(month, day)}
            for k, q in (("key_search", quantity), ("key_new", 1_000_000))
        ]
        fa.open(".").lake.replace("tokens", "openai", Window.month(f"2026-{month:02d}"), tokens_of(rows))


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["showback"], 0, ["search", "3.00"]),  # 20M x 0.15
        (["chargeback"], 0, ["search", "3.30"]),
        (["chargeback", "search"], 0, ["Stated margin", "0.30"]),
        (["chargeback", "--journal"], 0, ["2190", "6190", "7190"]),
        (["chargeback", "--ties"], 0, ["accrued", "usage"]),
        (["chargeback", "--out", "gl", "--ledger", "xero"], 0, ["gl/xero-AI2610-"]),
        (["chargeback", "--ledger", "xero"], 2, ["--out"]),
        (["chargeback", "serch"], 3, ["Did you mean 'search'"]),
        (["explain"], 0, ["0.30"]),  # 2M more x 0.15
        (["what-if", "batch"], 0, ["1.50"]),  # half price
        (["what-if", "btch"], 2, ["Did you mean 'batch'"]),
        (["anomalies"], 0, ["empty"]),
        (["incidents"], 0, ["empty"]),
        (["reconcile", "--check"], 0, ["No bill is there yet"]),
        (["budgets"], 0, ["over", "search budget"]),
        (["budgets", "--check"], 1, ["over"]),
        (["rules", "check"], 0, ["never matches", "old key", "key_new"]),
        (["rules", "check", "--strict"], 1, ["never matches"]),
        (["rules", "why", "team=search"], 0, ["search key", "gpt-4o-mini"]),
        (["rules", "why", "team=nobody"], 3, ["No row has team = nobody"]),
        (["showback", "--month", "2026-01"], 3, ["no usage of 2026-01"]),
        (["showback", "--by", "tem"], 3, ["Did you mean 'team'"]),
        (["true-up", "2026-09"], 3, ["2026-09 is not closed"]),
        (["audit"], 0, ["0 closed months"]),
    ],
    ids=lambda x: " ".join(x) if isinstance(x, list) else None,
)  # fmt: skip
def test_every_command_answers(ask, args, code, words):
    got, out, err = ask(
        *args, *(["--month", "2026-10"] if "--month" not in args and args[0] not in ("true-up", "audit") else [])
    )
    assert got == code, out + err
    for word in words:
        assert word in out + err
    assert "Traceback" not in err


@pytest.mark.parametrize(("more", "cost"), [((), "3.00"), (("--exact",), "3.000000000000000000")])
def test_files_are_what_is_published_and_all_digits_on_request(ask, more, cost):
    _, out, _ = ask("showback", "--month", "2026-10", "--format", "csv", *more)
    rows = list(csv.DictReader(io.StringIO(out)))
    assert {r["team"]: r["cost"] for r in rows}["search"] == cost
    _, out, _ = ask("chargeback", "--month", "2026-10", "--format", "json")
    assert {r["receiver"]: r["charge"] for r in json.loads(out)} == {"search": "3.3"}


@pytest.mark.long
def test_usage_that_arrives_during_a_close_closes_nothing(run, tokens_of, tmp_path, monkeypatch):
    from finops_ai.tables import posting

    original = posting.charge_month

    def meanwhile(ws, month):
        made = original(ws, month)
        load(tokens_of, 3_000_000)
        return made

    monkeypatch.setattr(posting, "charge_month", meanwhile)
    code, _, err = run("close", "2026-10")
    assert (code, "Nothing is closed: run it again" in err) == (3, True)
    assert not (tmp_path / "closed" / "2026-10").exists()
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert run("close", "2026-10")[0] == 0


@pytest.mark.long
def test_close_restate_true_up_audit(run, tokens_of, tmp_path):
    assert run("close", "2026-10")[0] == 0
    code, _, err = run("close", "2026-10")
    assert code == 3
    assert "2026-10 is closed" in err
    frozen = {p: p.read_bytes() for p in (tmp_path / "closed" / "2026-10").iterdir()}
    assert "Nothing has changed" in run("true-up", "2026-10")[2]
    load(tokens_of, 3_000_000)  # the provider restates the month: 10M more tokens of the search key
    code, out, err = run("true-up", "2026-10", "--dry-run", "--format", "json")
    assert code == 0
    assert "Nothing was posted" in err
    code, out, _ = run("true-up", "2026-10", "--format", "json")
    entries = json.loads(out)
    assert {e["period"] for e in entries} == {"2026-11"}
    # 10M x 0.15 = 1.50 more cost, 0.15 more margin, 1.65 more charged
    assert {(e["account"], float(e["debit"]) - float(e["credit"])) for e in entries} == {
        ("6100", 1.65),
        ("2190", -1.5),
        ("7190", -0.15),
    }
    assert {p: p.read_bytes() for p in frozen} == frozen
    code, out, _ = run("audit")
    assert code == 0
    assert "1 closed months, 1 true-ups" in out
    path = tmp_path / "closed" / "2026-10" / "charges.parquet"
    path.chmod(0o644)
    path.write_bytes(b"other")
    code, out, _ = run("audit")
    assert code == 1
    assert "2026-10/charges.parquet: the file was changed" in out
    assert run("true-up", "2026-10")[0] == 1


def test_budgets_of_quarters_and_years_are_spent_since_they_began(run, tmp_path):
    """Search spends 18M x 0.15 = 2.70 on 5 September and 20M x 0.15 = 3.00 on 5 October; key_new 1.35 and 1.50."""
    longer = """
[[budgets]]
name = "third and fourth quarter"
from = "2026-07"
to = "2027-01"
amount = "100"
for = { team = "search" }
[[budgets]]
name = "year"
from = "2026-01"
to = "2027-01"
amount = "7"
"""
    path = tmp_path / "finops.toml"
    path.write_text(path.read_text() + longer)
    code, out, err = run("budgets", "--month", "2026-10", "--format", "json")
    assert code == 0
    spent = {r["name"]: (float(r["spent"]), r["status"], r["overrun_date"]) for r in json.loads(out)}
    assert spent["third and fourth quarter"][0] == 5.7
    assert spent["year"] == (8.55, "over", "2026-10-05")
    assert spent["search budget"] == (3.0, "over", "2026-10-05")
    _, _, err = run("budgets", "--month", "2026-10")
    assert "year: there is no data before 2026-09-05, so its spend is at least this." in err
    code, out, _ = run("budgets", "--month", "2026-10", "--as-of", "2026-10-03", "--format", "json")
    early = {r["name"]: float(r["spent"]) for r in json.loads(out)}
    assert early["year"] == 4.05  # 2.70 and 1.35: what came after the 3rd isn't spent yet


@pytest.mark.long
def test_alerts_reach_the_configured_webhook(run, tmp_path, monkeypatch):
    got = []

    class Hook(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            got.append((self.path, json.loads(self.rfile.read(int(self.headers["content-length"])))))
            self.send_response(503 if "down" in self.path else 200)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("FINOPS_AI_WEBHOOK", f"{address}/hook?token=secret")
        code, _, err = run("budgets", "--month", "2026-10", "--check")
        assert code == 1
        assert "1 alerts sent" in err
        path, body = got[0]
        assert path == "/hook?token=secret"
        assert (body["kind"], body["stage"]) == ("budget", "opened")
        assert body["facts"] | {"projected": ""} == {
            "budget_name": "search budget", "status": "over", "alerts": "50%, 80%, 100%", "budget": "1.00", "spent": "3.00", "used": 3.0,
            "projected": "", "overrun_probability": 1.0, "overrun_date": "2026-10-05",
        }  # fmt: skip
        assert "search budget: 300% of 1.00 spent" in body["text"]
        code, out, err = run("budgets", "--month", "2026-10", "--webhook", f"{address}/down?token=secret")
        assert code not in (0, 1)
        assert "answered 503" in err
        assert "secret" not in out + err
    finally:
        server.shutdown()


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        # October 5th: 20M + 10M x 0.15 = 4.50; the 4th and the week before hold nothing
        (["--from", "2026-10-05", "--to", "2026-10-05", "--against-from", "2026-09-05", "--against-to", "2026-09-05"], 0,
         ["2.70", "3.00", "0.30", "2026-09-05 to 2026-09-05"]),
        (["--last-week"], 3, ["no usage of 2026-09-22 to 2026-09-28"]),
        (["--from", "2026-10-01", "--to", "2026-10-31", "--drivers", "--top", "1"], 0, ["search", "volume", "more calls"]),
        (["--from", "2026-10-01"], 2, ["give both --from and --to"]),
        (["--last-week", "--month", "2026-10"], 2, ["one of the three"]),
        (["--against-from", "2026-10-01"], 2, ["belong to --from"]),
        (["--from", "5.10.2026", "--to", "2026-10-31"], 2, ["Write it as YYYY-MM-DD"]),
        (["--from", "2026-10-31", "--to", "2026-10-01"], 2, ["ends before it starts"]),
    ],
    ids=lambda x: " ".join(x) if isinstance(x, list) else None,
)  # fmt: skip
def test_explain_takes_any_two_windows(ask, args, code, words):
    got, out, err = ask("explain", *args)
    assert got == code, out + err
    for word in words:
        assert word in out + err


def test_what_new_rules_would_change_is_told_before(run, tmp_path):
    """Key key_gone's rule gives nothing; the search key's 3.00 would go to a team "find"."""
    (tmp_path / "next.toml").write_text(TOML.replace('set = { team = "search" }', 'set = { team = "find" }'))
    code, out, err = run("rules", "diff", "finops.toml", "next.toml", "--month", "2026-10", "--format", "json")
    rows = {r["receiver"]: r for r in json.loads(out)}
    assert (code, set(rows)) == (0, {"search", "find"})
    assert (rows["search"]["change"], rows["find"]["change"], rows["find"]["rule"]) == ("-3", "3", "search key")
    code, _, err = run("rules", "diff", "finops.toml", "next.toml", "--month", "2026-10")
    assert "find would pay 3.00 USD more." in err
    assert "Nobody would pay more" in run("rules", "diff", "finops.toml", "finops.toml", "--month", "2026-10")[2]


def test_a_policy_is_told_in_words_and_tried_on_past_months(run, tmp_path):
    path = tmp_path / "finops.toml"
    policy = '[[chargeback.tariffs]]\nfor = ["serch"]\nname = "old"\nmethod = "subscription"\nfee = "5"\n'
    path.write_text(path.read_text().replace("[[chargeback.tariffs]]", policy + "[[chargeback.tariffs]]", 1))
    code, out, _ = run("policy", "check", "--month", "2026-10", "--months", "2")
    assert code == 0
    assert "old names 'serch', which is no team of these months. Did you mean 'search'?" in out
    assert "Tariff 1 (old) applies to nobody in these months" in out
    assert "All others are charged what they cost, plus a margin of 10.0%." in out
    # September: 18M x 0.15 = 2.70, charged 2.97; October 3.00 and 3.30
    assert "simulated: 1 receivers, 2.70 USD of cost, 2.97 charged" in out
    assert "simulated: 1 receivers, 3.00 USD of cost, 3.30 charged" in out


def test_tests_of_the_rules_are_run_with_the_check(run):
    path = Path("finops.toml")
    test = '[[tests]]\nname = "search"\ngiven = { api_key_id = "key_search" }\nday = 2026-10-05\nexpect = { team = "TEAM" }\n'
    path.write_text((text := path.read_text()) + test.replace("TEAM", "search"))
    code, _, err = run("rules", "check", "--month", "2026-10")
    assert (code, "holds: search: as expected" in err) == (0, True)
    path.write_text(text + test.replace("TEAM", "legal"))
    code, _, err = run("rules", "check", "--month", "2026-10")
    assert (code, "FAILS: search: team is 'search', not 'legal'" in err) == (1, True)


@pytest.mark.parametrize(
    "args",
    [["showback"], ["chargeback"], ["budgets"], ["reconcile"], ["kpis"], ["explain"], ["recommend"], ["anomalies"],
     ["incidents"], ["people", "months"]],
)  # fmt: skip
def test_a_month_without_data_is_no_empty_table(ask, args):
    code, out, err = ask(*args, "--month", "2027-03")
    assert (code, out) == (3, "")
    assert re.search(r"2027-0[23]", err)
