"""A person's day with a coding tool counts by one road, in whatever order connections stand, are loaded and are restated."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

import finops_ai as fa
from finops_ai.errors import SettingsError
from finops_ai.periods import Window

OCTOBER = Window.month("2026-10")
MAPPING = """
[columns]
charge_period_start = "time"
user_id = "user"
tool_name = "tool"
session_id = "session"
request_id = "id"
[constants]
provider = "anthropic"
model = "claude-sonnet-5"
billing_account_id = "acme"
[[usage]]
requests = 1
meters = { input = "tokens" }
"""
HEAD = "time,user,tool,session,id,tokens\n"
WHO = "account,person\nada@example.com,Ada\nuser_01,Ada\nbo@example.com,Bo\n"


def workspace(folder: Path, roads: dict[str, tuple[str, str]], more: str = "", people: str = "") -> fa.Workspace:
    """A workspace with a connection per name: (settings of the connection, rows)."""
    (folder / "m.toml").write_text(MAPPING)
    (folder / "accounts.csv").write_text(WHO)
    sections = []
    for name, (settings, rows) in roads.items():
        (folder / f"{name}.csv").write_text(HEAD + rows)
        sections.append(
            f'[providers.{name}]\nconnector = "csv"\nfiles = ["{name}.csv"]\nmapping = "m.toml"\n{settings}\n'
        )
    text = f'[workspace]\n{more}\n[people]\naccounts = "accounts.csv"\n{people}\n' + "".join(sections)
    (folder / "finops.toml").write_text(text + '[dimensions.team]\ndefault = "nobody"\n')
    return fa.open(folder)


def tokens(ws: fa.Workspace, kind: str = "tokens", month: str = "2026-10") -> Decimal:
    frame = ws.lake.read(kind, Window.month(month))
    return sum(frame["quantity"][(frame["unit"] == "tokens").to_numpy(bool)], Decimal(0))


API = ('road = "vendor"', "2026-10-01T00:00Z,user_01,claude-code,,,100\n2026-10-02T00:00Z,user_01,claude-code,,,40\n")
OTEL = (
    'road = "telemetry"',
    "2026-10-01T09:00Z,Ada@Example.com,claude-code,s-1,req_1,98\n2026-10-03T09:00Z,ada@example.com,claude-code,s-3,req_3,7\n",
)
LOG = ('road = "log"', "2026-10-01T09:00Z,ada@example.com,claude-code,s-1,req_1,98\n2026-10-02T09:00Z,ada@example.com,claude-code,s-2,req_2,39\n"
       "2026-10-03T09:00Z,ada@example.com,claude-code,s-3,req_3,7\n2026-10-03T09:00Z,bo@example.com,claude-code,s-4,req_4,5\n")  # fmt: skip
FOUR = {"api": API, "otel": OTEL, "log": LOG}
#: the API's 140 of the 1st and 2nd, telemetry's 7 of the 3rd, the log's 5 of Bo
TRUTH, BESIDE = 152, 98 + 98 + 39 + 7


@pytest.mark.long
@pytest.mark.parametrize("order", [("api", "otel", "log"), ("log", "otel", "api")], ids="-".join)
def test_four_connections_count_once_in_any_order(tmp_path, order):
    ws = workspace(tmp_path, {name: FOUR[name] for name in order})
    outcomes = ws.collect(OCTOBER)
    assert [o.error for o in outcomes] == [None] * 3
    assert (tokens(ws), tokens(ws, "told")) == (TRUTH, BESIDE)
    priced, cube = ws.priced("2026-10"), ws.cube("2026-10")
    assert (
        sum(priced["quantity"][priced["unit"] == "tokens"]) == sum(cube["quantity"][cube["unit"] == "tokens"]) == TRUTH
    )
    assert sum(priced["effective_cost"]) == TRUTH * Decimal("0.000002")
    assert not any(o.changed for o in ws.collect(OCTOBER)), "a rerun changes nothing"
    assert (tokens(ws), tokens(ws, "told")) == (TRUTH, BESIDE)


@pytest.mark.parametrize(
    "order", [("log", "api", "otel"), pytest.param(("otel", "log", "api"), marks=pytest.mark.long)], ids="-".join
)
def test_one_after_the_other_is_the_same_as_all_at_once(tmp_path, order):
    ws = workspace(tmp_path, FOUR)
    for name in order:
        ws.collect(OCTOBER, [name])
    assert (tokens(ws), tokens(ws, "told")) == (TRUTH, BESIDE)


@pytest.mark.long
def test_what_a_road_no_longer_tells_counts_by_the_next(tmp_path):
    ws = workspace(tmp_path, FOUR)
    ws.collect(OCTOBER)
    (tmp_path / "api.csv").write_text(HEAD + API[1].splitlines()[1] + "\n")  # the 1st is gone
    ws.collect(OCTOBER, ["api"])
    assert tokens(ws) == 98 + 40 + 7 + 5
    assert tokens(ws) + tokens(ws, "told") == 40 + 105 + 149


def test_two_machines_of_one_person_add_up_and_their_copies_do_not(tmp_path):
    first = "2026-10-01T09:00Z,ada@example.com,claude-code,s-1,req_011CaaaaaaaaaaaaaaA1,50\n"
    other = "2026-10-01T11:00Z,ada@example.com,claude-code,s-2,req_011CaaaaaaaaaaaaaaB2,20\n"
    ws = workspace(tmp_path, {"laptop": ('road = "log"', first), "desktop": ('road = "log"', other + first)})
    ws.collect(OCTOBER)
    assert (tokens(ws), tokens(ws, "told")) == (70, 50)


@pytest.mark.long
def test_a_company_may_name_another_order(tmp_path):
    ws = workspace(tmp_path, FOUR, people='roads = ["log", "telemetry", "gateway", "vendor"]')
    ws.collect(OCTOBER)
    assert tokens(ws) == 98 + 39 + 7 + 5


@pytest.mark.long
def test_a_cloud_account_is_said_to_be_a_tools(tmp_path):
    cloud = ('tool = "claude-code"', "2026-10-01T00:00Z,,,,,150\n")
    ws = workspace(tmp_path, {"cloud": cloud, "log": LOG, "app": ("", "2026-10-01T00:00Z,,,,,9\n")})
    ws.collect(OCTOBER)
    # the cloud names nobody on the 1st, so it alone counts that day; an application is nobody's tool
    assert tokens(ws) == 150 + 9 + 39 + 7 + 5


def test_telemetry_that_only_divides_cost_is_no_road(tmp_path):
    ws = workspace(tmp_path, {"otel": (OTEL[0] + "\ntelemetry = true", OTEL[1]), "log": LOG})
    ws.collect(OCTOBER)
    frame = ws.tokens("2026-10")
    assert sum(frame["quantity"][frame["unit"] == "tokens"]) == 149


@pytest.mark.long
def test_a_day_is_utcs_and_months_of_a_zone_do_not_cut_it(tmp_path):
    """The API's day of 31 October begins at 01:00 in Berlin; the log's call at 23:30 UTC is in the zone's November."""
    api = ('road = "vendor"', "2026-10-31T00:00Z,user_01,claude-code,,,100\n")
    log = (
        'road = "log"',
        "2026-10-31T23:30Z,ada@example.com,claude-code,s,req,30\n2026-10-31T08:00Z,ada@example.com,claude-code,s,req2,60\n",
    )
    for names in (["api", "log"], ["log", "api"]):
        ws = workspace(tmp_path, {"api": api, "log": log}, 'timezone = "Europe/Berlin"')
        for month in ("2026-11", "2026-10"):
            ws.collect(Window.month(month, "Europe/Berlin"), names[:1])
            ws.collect(Window.month(month, "Europe/Berlin"), names[1:])
        whole = ws.lake.read("tokens")
        assert sum(whole["quantity"][whole["unit"] == "tokens"]) == 100


@pytest.mark.parametrize(("settings", "people", "words"), [
    ('road = "phone"', "", "road 'phone' is unknown"), ("", 'roads = ["vendor", "log"]', "once each"), ("tool = 3", "", "coding tool"),
])  # fmt: skip
def test_what_can_not_be_is_said(tmp_path, settings, people, words):
    ws = workspace(tmp_path, {"api": (settings, API[1])}, people=people)
    with pytest.raises(SettingsError, match=words):
        ws.collect(OCTOBER)


@pytest.mark.long
def test_loads_say_what_another_road_counts(tmp_path):
    ws = workspace(tmp_path, FOUR)
    outcomes = {o.connection: o for o in ws.collect(OCTOBER)}
    (left,) = outcomes["log"].left_out
    assert (left.amount, left.unit, left.rows) == (Decimal(144), "tokens", 6)
    assert left.reason == "days of coding tools that count by the vendor (2) and telemetry (1); kept beside the usage"


@pytest.mark.long
def test_what_stands_beside_is_told_once_and_held_against_what_counts(tmp_path):
    from finops_ai.people.workspace import People
    from finops_ai.tables.reconcile import workspace_reconciliation

    ws = workspace(tmp_path, FOUR)
    ws.collect(OCTOBER)
    people = People.of(ws, "2026-10")
    # telemetry's 98 of the 1st and the log's 39 of the 2nd; the log's own 98 of the 1st is the same use a third time
    assert people.beside is not None
    assert sum(people.beside["quantity"][people.beside["unit"] == "tokens"]) == 98 + 39 + 7
    assert set(people.beside["price_status"]) <= {"estimate"}
    (row,) = people.logs("2026-10", ["provider"]).to_dict("records")
    assert (row["vendor_tokens"], row["logged_tokens"]) == (TRUTH, 98 + 39 + 7)
    assert row["vendor"] == TRUTH * Decimal("0.000002")
    assert sum(row[cause] for cause in ("only_vendor", "only_logs", "tokens", "price")) == row["difference"]
    assert sum(people.months("2026-10", ["month"])["cost"]) == TRUTH * Decimal("0.000002"), "none of it is cash"
    notes = workspace_reconciliation(ws, "2026-10").facts.notes
    assert any("log 144, otel 98" in note for note in notes)


def test_a_connection_whose_every_day_counts_by_another_road_is_not_stale(tmp_path):
    log = ('road = "log"', "2026-10-01T09:00Z,ada@example.com,claude-code,s-1,req_1,98\n")
    ws = workspace(tmp_path, {"api": API, "log": log})
    ws.collect(OCTOBER)
    assert tokens(ws, "told") == 98
    held = {r["connection"]: (str(r["first"].date()), r["rows"]) for r in ws.lake.freshness().to_dict("records")}
    assert held == {"api": ("2026-10-01", 4), "log": ("2026-10-01", 0)}


def test_an_export_beside_its_vendor_s_own_answers_counts_where_these_do_not(tmp_path):
    pytest.importorskip("finops_ai_cursor")
    from finops_ai.loading import roads_of

    (tmp_path / "e.csv").write_text("Date,User,Kind,Model,Output Tokens,Cost\n")
    sections = '[providers.export]\nconnector = "cursor"\nfiles = ["e.csv"]\n[providers.cursor]\n'
    other = '[providers.acquired]\nconnector = "cursor"\nfiles = ["e.csv"]\nteam = "another"\n'
    (tmp_path / "finops.toml").write_text(f"[workspace]\n{sections}{other}")
    ws = fa.open(tmp_path)
    roads = roads_of(ws.settings, ws.connections({}))
    assert roads.of == {"export": "export", "cursor": "vendor", "acquired": "vendor"}
    assert list(roads.order) == ["vendor", "export", "gateway", "telemetry", "log"]
