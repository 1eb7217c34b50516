"""Who is who, by day: accounts to people, people to teams."""

from __future__ import annotations

import datetime as dt

import pytest

from finops_ai.errors import DataError
from finops_ai.identity import Identities

OCT = dt.date(2026, 10, 1)


def test_accounts_compare_in_any_case_and_belong_to_a_connector_where_it_is_named(tmp_path) -> None:
    file = tmp_path / "people.csv"
    file.write_text(
        "account,person,team,provider,kind\n"
        "Cy.Ember@Example.com,Cy,web,,email\nada,Ada of GitHub,web,github-copilot,login\nada,Ada of Kiro,core,,login\n",
        "utf-8",
    )
    who = Identities.load(file)
    assert who.on("cy.ember@example.COM", OCT) == ("Cy", "web")
    assert who.on("ADA", OCT, "github-copilot") == ("Ada of GitHub", "web")
    assert who.on("ada", OCT, "cursor") == ("Ada of Kiro", "core")
    assert who.on("nobody", OCT) == (None, None)


def test_two_devices_of_one_person_are_one_person() -> None:
    who = Identities.load([
        {"account": "ada@example.com", "person": "Ada", "team": "web"},
        {"account": "5f1c", "person": "Ada", "team": "web", "kind": "device"},
        {"account": "77aa", "person": "Ada", "team": "web", "kind": "device"},
    ])  # fmt: skip
    assert who.people() == ["Ada"]
    assert {who.on(a, OCT) for a in ("ada@example.com", "5f1c", "77aa")} == {("Ada", "web")}


def test_an_account_changes_hands_and_its_stretches_cover_all_time() -> None:
    who = Identities.load([
        {"account": "bot", "person": "Ada", "team": "web", "valid_from": "2026-01-01", "valid_to": "2026-06-01"},
        {"account": "bot", "person": "Bo", "team": "core", "valid_from": "2026-07-01"},
    ])  # fmt: skip
    assert who.on("bot", dt.date(2026, 5, 31)) == ("Ada", "web")
    assert who.on("bot", dt.date(2026, 6, 15)) == (None, None)
    assert who.on("bot", dt.date(2026, 7, 1)) == ("Bo", "core")
    spans = [s for s in who.spans if s[1] == "bot"]
    assert all(one[5] == two[4] for one, two in zip(spans, spans[1:], strict=False))
    assert (spans[0][4], spans[-1][5]) == (dt.date.min, dt.date.max)


@pytest.mark.parametrize(
    ("accounts", "teams", "said"),
    [
        ([{"account": "a", "person": "Ada"}, {"account": "A", "person": "Bo"}], None, "two persons"),
        (
            [{"account": "a", "person": "Ada"}],
            [{"person": "Ada", "team": "x"}, {"person": "Ada", "team": "y", "valid_from": "2026-01-01"}],
            "two teams",
        ),
        ([{"account": "a"}], None, "person is missing"),
        ([{"account": "a", "person": "Ada", "valid_from": "soon"}], None, "'soon' is not a day"),
        ([{"account": "a", "person": "Ada", "teem": "x"}], None, "teem"),
    ],
)
def test_a_table_that_says_two_things_is_refused(accounts, teams, said) -> None:
    with pytest.raises(DataError, match=said):
        Identities.load(accounts, teams)
