"""The same day of a person by API, telemetry and logs counts once; what differs is said; nothing is lost."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import finops_ai as fa
from finops_ai.errors import FrameError
from finops_ai.frames import concat, conform, empty

FIRST = pd.Timestamp("2026-10-01T00:00Z")


def use(user: str | None, tokens: int, **more: Any) -> pd.DataFrame:
    return uses([{"user_id": user, "quantity": tokens, **more}])


def uses(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """A frame of rows of one call each, in one go."""
    made = []
    for row in rows:
        at = FIRST + pd.Timedelta(days=row.pop("day", 1) - 1, hours=row.pop("hour", 10))
        made.append({
            "charge_period_start": at, "charge_period_end": at + pd.Timedelta("1us"), "provider": "anthropic", "model": "m",
            "billing_account_id": "a", "operation": "chat", "meter": "input", "unit": "tokens", "service_tier": "standard",
            "source": "log", "quantity_basis": "metered", "tool_name": row.pop("tool", "claude-code"), **row,
        })  # fmt: skip
    return conform({name: [row[name] for row in made] for name in made[0]}, source="test") if made else empty()


def total(frame: pd.DataFrame) -> int:
    return int(frame["quantity"].sum()) if len(frame) else 0


def test_a_day_by_three_roads_counts_once_and_is_enriched():
    api = use("ada@x.com", 100)
    otel = use("Ada@X.com", 98, session_id="s-1", hour=11)
    log = concat([use("ada@x.com", 90, repository="kite", branch="main"), use("ada@x.com", 7, day=2)])
    found = fa.one_road({"api": api, "otel": otel, "log": log})
    assert total(found.tokens) == 107  # the log alone tells of the 2nd
    row = found.tokens.iloc[0]
    assert (row["session_id"], row["repository"], row["branch"]) == ("s-1", "kite", "main")
    said = found.differences[["day", "road", "other", "tokens", "other_tokens", "tokens_apart"]].values.tolist()
    assert said == [
        [dt.date(2026, 10, 1), "api", "otel", 100, 98, 2], [dt.date(2026, 10, 1), "api", "log", 100, 90, 10],
    ]  # fmt: skip


def test_a_call_is_enriched_by_its_own_id_before_its_day():
    api = concat([use("a", 1, request_id="req_1"), use("a", 2, request_id="req_2", hour=12)])
    log = concat([use("a", 1, request_id="req_1", session_id="one"), use("a", 2, request_id="req_2", session_id="two")])
    found = fa.one_road({"api": api, "log": log}).tokens
    assert found.set_index("request_id")["session_id"].to_dict() == {"req_1": "one", "req_2": "two"}


def test_two_possible_sessions_of_a_day_are_not_guessed():
    log = concat([use("a", 1, session_id="one"), use("a", 2, session_id="two", hour=12)])
    assert fa.one_road({"api": use("a", 3), "log": log}).tokens["session_id"].isna().all()


def test_other_people_tools_and_applications_are_left_alone():
    log = concat([use("bo", 5), use("ada", 7, tool="codex"), use("ada", 9, tool=None)])
    found = fa.one_road({"api": use("ada", 100), "log": log})
    assert total(found.tokens) == 121
    assert found.beside.empty
    assert found.differences.empty


def test_the_cli_of_a_tool_is_inside_its_vendors_report():
    report = use("ada", 50, tool="copilot", meter="credits", unit="credits")
    found = fa.one_road({"api": report, "log": use("ada", 9, tool="copilot-cli")})
    assert total(found.tokens) == 50
    assert found.differences["credits"].tolist() == [50]


def test_people_are_known_by_their_accounts():
    class Who:
        def on(self, account: str, day: dt.date, provider: str | None = None) -> tuple[str | None, str | None]:
            return {"ada-q": "Ada", "ada@x.com": "Ada"}.get(account), None

    roads = {"api": use("ada@x.com", 100), "log": use("ada-q", 90)}
    assert total(fa.one_road(roads).tokens) == 190, "two accounts that nobody knows to be one"
    assert total(fa.one_road(roads, Who()).tokens) == 100


@pytest.mark.parametrize("swap", [False, True])
def test_a_road_that_names_nobody_is_not_added_to_one_that_does(swap: bool):
    roads = [("api", concat([use("ada", 100), use("bo", 10)])), ("log", use(None, 90))]
    found = fa.one_road(dict(roads[::-1] if swap else roads))
    assert total(found.tokens) == (90 if swap else 110)
    assert total(found.beside) == (110 if swap else 90)


def test_a_row_without_a_person_on_a_road_that_names_people_is_nobodys_and_counts():
    api = concat([use("ada", 100), use(None, 5)])
    found = fa.one_road({"api": api, "log": concat([use("ada", 90), use("bo", 3)])})
    assert total(found.tokens) == 108


def test_a_day_is_a_day_of_the_zone():
    roads = {"api": use("a", 1, hour=23), "log": use("a", 2, day=2, hour=1)}
    assert total(fa.one_road(roads, timezone="UTC").tokens) == 3
    assert total(fa.one_road(roads, timezone="Europe/Berlin").tokens) == 1  # 1:00 and 3:00 of the 2nd


def test_no_road_is_an_error_and_empty_roads_are_not():
    with pytest.raises(FrameError):
        fa.one_road({})
    found = fa.one_road({"api": empty(), "log": use("a", 4)})
    assert total(found.tokens) == 4


ROWS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", None]), st.sampled_from(["t", "u", None]), st.integers(1, 3), st.integers(1, 9)
    ),
    max_size=4,
)


@pytest.mark.long
@settings(max_examples=30, deadline=None)
@given(ROWS, ROWS, ROWS)
def test_nothing_is_lost_and_nobodys_day_counts_twice(x: Any, y: Any, z: Any):
    told = (x, y, z)
    frames = [
        uses([{"user_id": u, "quantity": n, "day": d, "tool": t, "hour": i} for i, (u, t, d, n) in enumerate(rows)])
        for rows in told
    ]
    roads = dict(zip("xyz", frames, strict=True))
    found = fa.one_road(roads)
    assert total(found.tokens) + total(found.beside) == sum(total(frame) for frame in frames)
    by_road = {name: {(u, t, d) for u, t, d, _ in rows if t} for name, rows in zip("xyz", told, strict=True)}
    kept = {
        (None if pd.isna(u) else u, t, at.day)
        for u, t, at in found.tokens.loc[
            found.tokens["tool_name"].notna(), ["user_id", "tool_name", "charge_period_start"]
        ].values
    }
    for cell in kept:  # a cell's sum is that of one road alone
        mine = found.tokens[found.tokens["tool_name"] == cell[1]]
        mine = mine[mine["user_id"].isna() if cell[0] is None else mine["user_id"] == cell[0]]
        quantity = int(mine[mine["charge_period_start"].dt.day == cell[2]]["quantity"].sum())
        assert quantity in {
            sum(n for u, t, d, n in rows if (u, t, d) == cell) for name, rows in zip("xyz", told, strict=True) if cell in by_road[name]
        }  # fmt: skip


def test_figures_are_exact():
    found = fa.one_road({"api": use("a", 3), "log": use("a", 2)}).differences
    assert found["tokens_apart"].tolist() == [Decimal(1)]
