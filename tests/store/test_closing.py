"""Closed months: unchanged byte for byte, corrections posted, tampering named."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pandas as pd
import pytest

import finops_ai as fa
from finops_ai.errors import CheckFailed, ClosedPeriodError, DataError
from finops_ai.store.closing import Ledger
from finops_ai.tables.true_up import CAUSES, recompute, summary, true_up

D = Decimal
RULES = {
    "dimensions": {"team": {}},
    "rules": [{"name": t, "when": {"api_key_id": {"prefix": f"{t}-"}}, "set": {"team": t}} for t in ("a", "b")],
}
POLICY = {"dimension": "team", "tariffs": [{"markup": "0.1"}]}


class Dearer:
    """The same prices with 10% on top, as after a price correction."""

    def __init__(self, book):
        self.book, self.key_columns = book, book.key_columns

    def expand(self, keys):
        table = self.book.expand(keys)
        for name in ("list_unit_price", "contracted_unit_price"):
            kind = table.schema.field(name).type
            values = [v if v is None else v * D("1.1") for v in table[name].to_pylist()]
            table = table.set_column(
                table.column_names.index(name), name, pd.array(values, dtype=pd.ArrowDtype(kind)).__arrow_array__()
            )
        return table


def hashes(folder):
    return {
        p.relative_to(folder): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


@pytest.fixture
def closed(tmp_path, tokens_of, book):
    """October closed with two teams: a 9.00, b 0.90 at cost."""
    tokens = tokens_of([{"api_key_id": "a-1", "quantity": 10_000_000}, {"api_key_id": "b-1", "quantity": 1_000_000}])
    priced = fa.price(tokens, book)
    made = fa.chargeback(fa.allocate(priced, RULES), POLICY, month="2026-10", book=book)
    ledger = Ledger(tmp_path / "closed")
    tables = {"rows": priced, "charges": made.summary, "journal": made.journal()}
    ledger.close("2026-10", tables, documents={"policy": POLICY}, facts={"currency": "USD"})
    return ledger, tokens


def test_restated_day_new_price_and_new_rule_are_posted_by_cause(closed, tokens_of, book):
    ledger, tokens = closed
    before = hashes(ledger.folder / "2026-10")
    # since the close: b's key belongs to a, prices rose by 10%, and a million tokens of the 2nd arrived late
    rules = {"dimensions": {"team": {}}, "rules": [{"name": "all", "set": {"team": "a"}}]}
    late = tokens_of(
        [
            {
                "api_key_id": "a-1",
                "quantity": 1_000_000,
                "at": dt.datetime(2026, 10, 2, tzinfo=dt.UTC),
                "request_id": "late",
            }
        ]
    )
    now = fa.Rules.load(rules)
    steps = recompute(
        ledger.state("2026-10").table("rows"), pd.concat([tokens, late], ignore_index=True), closed_rules=RULES, rules=now, book=Dearer(book),
        closed_policy=ledger.state("2026-10").document("policy"), policy=POLICY, month="2026-10",
    )  # fmt: skip
    journals = [(cause, made.journal()) for cause, made, _ in steps]
    entries = true_up(
        ledger.state("2026-10").table("journal"), journals, month="2026-10", posted_in="2026-11", currency="USD"
    )
    assert sum(entries["debit"]) == sum(entries["credit"])
    by_cause = {(r.receiver, r.cause.split()[0]): r.difference for r in summary(entries, "USD", "2026-10").itertuples()}
    # a 9.90 and b 0.99, each x 1.1 = 10.89 and 1.089; rules move b's 1.09 to a; then 0.9 x 1.1 x 1.1 = 1.089 more
    assert by_cause == {
        ("a", "prices"): D("0.99"),
        ("b", "prices"): D("0.10"),
        ("a", "mapping"): D("1.09"),
        ("b", "mapping"): D("-1.09"),
        ("a", "usage"): D("1.09"),
    }
    assert set(entries["period"]) == {"2026-11"}
    posted = ledger.post(
        "2026-10",
        "2026-11",
        {"journal": journals[-1][1], "rows": steps[-1][2], "true_up": entries},
        facts={"currency": "USD"},
    )
    assert hashes(ledger.folder / "2026-10") == before  # byte for byte
    assert ledger.audit() == []
    assert (
        [s.folder.name for s in ledger.true_ups(posted_in="2026-11")] == [posted.folder.name] == ["2026-10.true-up-1"]
    )
    # closed figures plus true-up are today's figures, account by account; a second true-up finds nothing
    again = true_up(
        ledger.state("2026-10").table("journal"), journals[-1:], month="2026-10", posted_in="2026-11", currency="USD"
    )
    assert len(again) == 0
    assert ledger.closed("2026-10").table("charges")["charge"].sum() == D("10.89")


SPLIT = {
    "dimensions": {"team": {}},
    "rules": [{"name": "key", "set": {"team": "{api_key_id}"}}],
    "shared": [{"name": "log", "when": {"team": "shared"}, "dimension": "team", "method": "telemetry"}],
}
REWARDED = {"dimension": "team", "incentives": {"batch": "0.2", "cap": "0.5"}}
CHANGES = {
    "prices": {"book": Dearer},
    "rules": {"rules": SPLIT | {"rules": [{"name": "all", "set": {"team": "b"}}]}},
    "usage": {"telemetry": [{"meter": "requests", "quantity": 1, "tags": {"team": t}} for t in ("a", "b")]},
    "policy": {"policy": REWARDED | {"incentives": {"batch": "0.1"}}},
}


@pytest.mark.long
@pytest.mark.parametrize("cause", CHANGES)
def test_one_change_is_posted_under_its_own_cause_only(tokens_of, book, cause):
    tokens = tokens_of([
        {"api_key_id": "a", "quantity": 10_000_000, "service_tier": "batch"}, {"api_key_id": "b", "quantity": 10_000_000},
        {"api_key_id": "shared", "quantity": 1_000_000},
    ])  # fmt: skip
    seen = tokens_of([{"meter": "requests", "quantity": 3, "tags": {"team": "a"}}])
    priced = fa.price(tokens, book)
    allocated = fa.allocate(priced, SPLIT, telemetry=seen)
    closed = fa.chargeback(allocated, REWARDED, month="2026-10", book=book)
    now = {"rules": SPLIT, "book": book, "policy": REWARDED, "telemetry": seen} | CHANGES[cause]
    now |= {"book": now["book"](book)} if cause == "prices" else {}
    now |= {"telemetry": tokens_of(now["telemetry"])} if cause == "usage" else {}
    steps = recompute(
        priced, tokens, closed_rules=SPLIT, closed_policy=REWARDED, closed_telemetry=seen, month="2026-10",
        **now | {"rules": fa.Rules.load(now["rules"])},
    )  # fmt: skip
    journals = [(name, made.journal()) for name, made, _ in steps]
    entries = true_up(closed.journal(), journals, month="2026-10", posted_in="2026-11", currency="USD")
    assert {text.partition(": ")[2] for text in entries["text"]} == {CAUSES[cause]}


@pytest.mark.parametrize("damage", [b"\xff\xfe", b"5\n", b"[]\n", b'{"seal": "x"}\n'])
def test_a_chain_of_anything_else_is_damaged_not_a_crash(closed, damage):
    ledger, _ = closed
    chain = ledger.folder / "chain.jsonl"
    chain.write_bytes(damage + chain.read_bytes())
    assert [f.place for f in ledger.audit()] == ["chain.jsonl"]
    with pytest.raises(DataError, match="Restore it from your backup"):
        ledger.require_open("2026-11")


def test_a_month_is_closed_once_however_many_try_at_the_same_moment(closed):
    ledger, _ = closed
    rows = {"rows": pd.DataFrame({"a": range(10_000)})}

    def close(_):
        try:
            Ledger(ledger.folder).close("2026-11", rows)
        except ClosedPeriodError:
            return "refused"
        return "closed"

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(close, range(4))) == ["closed", "refused", "refused", "refused"]
    assert ledger.audit() == []
    assert ledger.months() == ["2026-10", "2026-11"]


@pytest.mark.parametrize("fault", ["byte", "manifest", "missing", "extra", "chain", "gone", "head"])
def test_audit_names_what_was_tampered_with(closed, fault):
    ledger, _ = closed
    folder, head = ledger.folder / "2026-10", None
    path = folder / "charges.parquet"
    expected = "2026-10/charges.parquet"
    for p in folder.iterdir():
        p.chmod(0o644)
    if fault == "byte":
        path.write_bytes(path.read_bytes()[:-1] + b"x")
    elif fault == "manifest":
        manifest = folder / "manifest.json"
        path.write_bytes(b"other")
        document = json.loads(manifest.read_text())
        document["files"]["charges.parquet"] = hashlib.sha256(b"other").hexdigest()
        manifest.write_text(json.dumps(document))
        expected = "2026-10/manifest.json"
    elif fault == "missing":
        path.unlink()
    elif fault == "extra":
        (folder / "note.txt").write_text("x")
        expected = "2026-10/note.txt"
    elif fault == "chain":
        chain = ledger.folder / "chain.jsonl"
        chain.write_text(chain.read_text().replace('"sequence": 1', '"sequence": 2'))
        expected = "chain.jsonl line 1"
    elif fault == "gone":
        (ledger.folder / "chain.jsonl").unlink()
        expected = "2026-10"
    else:
        head, expected = "f" * 64, "chain.jsonl"
    found = ledger.audit(head)
    assert [f.place for f in found] == [expected]
    if fault == "byte":
        with pytest.raises(CheckFailed, match=r"charges\.parquet"):
            ledger.chain()


def test_a_last_seal_that_was_put_back_is_noticed_and_mended(closed):
    """Every state in place and an older last seal: only an interrupted seal, which is still staged, may lag behind."""
    ledger, _ = closed
    first = ledger.head()
    ledger.close("2026-11", {"rows": pd.DataFrame({"a": [1]})})
    head = ledger.folder.with_name("closed.head")
    for older in (first, "0" * 64):
        head.write_text(older + "\n")
        assert [f.place for f in ledger.audit()] == ["closed.head"]
        with pytest.raises(CheckFailed, match=r"audit --repair"):
            ledger.months()
        ledger.repair()
        assert ledger.audit() == []
    # interrupted after the chain knew it: the state is staged, the last seal the one before
    (ledger.folder / "2026-11").rename(ledger.folder / ".staged")
    head.write_text(first + "\n")
    assert ledger.audit() == []
    assert ledger.closed("2026-11").table("rows")["a"].tolist() == [1]
    with ledger.alone():
        assert (ledger.folder / "2026-11").is_dir()
    assert head.read_text().strip() == ledger.head() != first


@pytest.mark.parametrize("place", ["2026-10", "2026-10.true-up-1", "2026-10.true-up-2"])
def test_a_month_is_read_only_where_all_that_was_ever_sealed_is_whole(closed, place):
    ledger, _ = closed
    for number in (1, 2):
        ledger.post("2026-10", "2026-11", {"true_up": pd.DataFrame({"number": [number]})})
    ledger.close("2026-12", {"rows": pd.DataFrame({"a": [1]})})
    path = next((ledger.folder / place).glob("*.parquet"))
    path.chmod(0o644)
    path.write_bytes(path.read_bytes() + b"x")
    for read in (ledger.closed, ledger.state):
        for month in ("2026-10", "2026-12"):
            with pytest.raises(CheckFailed, match=rf"can't be trusted.*\n.*{place}/{path.name}"):
                read(month)


def test_a_figure_sealed_anew_in_the_chain_is_told_by_what_was_sealed_after_it(closed):
    """Table, manifest and chain agree with each other, and the last seal is the one that was kept: the next manifest tells."""
    ledger, _ = closed
    seal = ledger.head()
    ledger.close("2026-11", {"rows": pd.DataFrame({"a": [1]})})
    place, chain = ledger.folder / "2026-10", ledger.folder / "chain.jsonl"
    table, manifest = place / "charges.parquet", place / "manifest.json"
    for path in (table, manifest, chain):
        path.chmod(0o644)
    pd.read_parquet(table).head(1).to_parquet(table)
    changed = json.loads(manifest.read_text("utf-8"))
    changed["files"][table.name] = hashlib.sha256(table.read_bytes()).hexdigest()
    manifest.write_text(json.dumps(changed), encoding="utf-8")
    chain.write_text(
        chain.read_text("utf-8").replace(seal, hashlib.sha256(manifest.read_bytes()).hexdigest()), encoding="utf-8"
    )
    for read in (ledger.closed, ledger.state):
        with pytest.raises(CheckFailed, match=r"can't be trusted.*\n.*2026-11/manifest.json.*sealed"):
            read("2026-10")


def test_a_month_is_closed_once_and_nothing_changes(closed):
    ledger, _ = closed
    before = hashes(ledger.folder)
    with pytest.raises(ClosedPeriodError, match="2026-10 is closed"):
        ledger.close("2026-10", {})
    with pytest.raises(ClosedPeriodError, match="2026-09 is not closed"):
        ledger.post("2026-09", "2026-11", {})
    with pytest.raises(ClosedPeriodError, match="in a later month"):
        ledger.post("2026-10", "2026-10", {})
    assert hashes(ledger.folder) == before


def test_a_close_that_fails_midway_leaves_nothing(tmp_path):
    ledger = Ledger(tmp_path / "closed")
    with pytest.raises(Exception):  # noqa: B017 - whatever the disk or a bad table raises
        ledger.close("2026-10", {"good": pd.DataFrame({"a": [1]}), "bad": object()})
    assert ledger.months() == []
    assert not [p for p in ledger.folder.iterdir() if p.is_dir()]
    (ledger.folder / "2026-10").mkdir()  # moved into place but killed before it was chained
    ledger.close("2026-10", {"good": pd.DataFrame({"a": [1]})})
    assert ledger.audit() == []
