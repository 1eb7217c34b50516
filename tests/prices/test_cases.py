"""Known bills: every case file passes, every deviation is seen, and the closed form is closed."""

from __future__ import annotations

import copy
import json
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner

from finops_ai.cli.cases import check_cases
from finops_ai.prices import PriceBook
from finops_ai.prices.cases import CaseFileError, check_form, read_cases, run_cases
from finops_ai.prices.invariants import run_invariants

FOLDER = Path(__file__).parent / "cases"
OWN = ["openai", "anthropic", "clouds", "others", "shapes", "stacked", "map_figures", "fine_meters", "public_reports"]
FILES = {path.stem: read_cases(path) for path in sorted(FOLDER.glob("*.json"))}
CASES = [pytest.param(case, id=f"{name}-{case['id']}") for name, table in FILES.items() for case in table["cases"]]
SHARED = Path(__file__).parents[2] / ".." / "shared" / "cases"


def run_one(case: dict) -> str:
    return next(run_cases({"cases": [case]})).outcome


@pytest.mark.parametrize("case", CASES)
def test_known_bill(case):
    result = next(run_cases({"cases": [case]}))
    assert result.outcome == "pass", f"{case['id']}: expected {result.expected}\ngot {result.got}\nwhy {result.why}"
    assert result.why or case["kind"] == "normalise"


def test_at_least_450_own_cases_each_with_a_source():
    own = [case for name in OWN for case in FILES[name]["cases"]]
    assert len(own) >= 450
    assert all(case["source"] and case["why"] for case in own)
    assert len({case["id"] for case in own}) == len(own)


@pytest.mark.parametrize(("shared", "copied"), [("pricing_cases", "known_bills"), ("pricing_cases_2", "known_bills_2")])
def test_the_copied_file_is_the_shared_one(shared, copied):
    path = SHARED / f"{shared}.json"
    if not path.exists():
        pytest.skip("no ../shared/cases beside the checkout: the copy in tests/prices/cases is run instead")
    assert json.loads(path.read_text("utf-8")) == json.loads((FOLDER / f"{copied}.json").read_text("utf-8"))


@pytest.mark.parametrize("case", [c for c in CASES if c.values[0]["kind"] != "reject"])
def test_a_wrong_count_or_flag_is_seen(case):
    wrong = copy.deepcopy(case)
    wrong["expect"][-1]["meters"]["total"] = wrong["expect"][-1]["meters"].get("total", 0) + 1
    assert run_one(wrong) != "pass"
    extra = copy.deepcopy(case)
    flags = extra["expect"][0]["flags"]
    flags.append("total_mismatch") if "total_mismatch" not in flags else flags.remove("total_mismatch")
    assert run_one(extra) != "pass"


@pytest.mark.parametrize("case", [c for c in CASES if c.values[0]["kind"] == "price"])
def test_a_wrong_cost_is_seen_at_the_eighth_digit(case):
    wrong = copy.deepcopy(case)
    cost = wrong["expect"][0]["list_cost"]
    wrong["expect"][0]["list_cost"] = str(Decimal(cost) * Decimal("1.00000001")) if cost and Decimal(cost) else "1"
    assert run_one(wrong) in ("fail", "unsure")


def test_a_refusal_that_comes_back_clean_fails():
    case = copy.deepcopy(FILES["known_bills"]["cases"][-1])
    case["calls"][0]["usage"]["prompt_tokens_details"]["cached_tokens"] = 1200  # now possible
    assert run_one(case) == "fail"


def test_a_medium_case_that_needs_confirmation_is_unsure():
    case = next(c for c in FILES["openai"]["cases"] if c["id"] == "O27")
    wrong = copy.deepcopy(case)
    wrong["expect"][0]["list_cost"] = "0.8"
    assert run_one(wrong) == "unsure"
    wrong["confidence"] = "high"
    assert run_one(wrong) == "fail"


def test_tolerance_is_relative():
    case = copy.deepcopy(FILES["form_examples"]["cases"][0])
    case["expect"][0]["list_cost"] = "0.00158"  # 0.0015784 + 0.1%
    assert run_one(case) == "fail"
    case["expect"][0]["tolerance"] = "0.01"
    assert run_one(case) == "pass"


def broken(path: str, value: object) -> dict:
    table = json.loads((FOLDER / "form_examples.json").read_text("utf-8"))
    *steps, last = path.split("/")
    place = table
    for step in steps:
        place = place[int(step) if step.isdigit() else step]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return table


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("form", 3),
        ("extra", 1),
        ("cases/0/extra", 1),
        ("cases/0/why", ...),
        ("cases/0/kind", "prize"),
        ("cases/0/confidence", "low"),
        ("cases/0/calls/0/format", "openai.chart"),
        ("cases/0/calls/0/at", "2026-02-03"),
        ("cases/0/calls/0/at", "2026-02-31T00:00:00Z"),
        ("cases/0/calls/0/provider", "OpenAI"),
        ("cases/0/calls/0/usage", []),
        ("cases/0/calls/0/extra", 1),
        ("cases/0/calls/0/context/tier", "flex"),
        ("cases/0/calls/0/context/batch", "yes"),
        ("cases/0/calls/0/context/requests", True),
        ("cases/0/expect", []),
        ("cases/0/expect/0/meters/input", 1),
        ("cases/0/expect/0/meters/total", "1750"),
        ("cases/0/expect/0/flags", ["strange"]),
        ("cases/0/expect/0/list_cost", ...),
        ("cases/0/expect/0/list_cost", "much"),
        ("cases/1/expect/0/list_cost", "1"),
        ("cases/20/expect/0/meters", {}),
        ("cases/0/contract/0/meter", "reasoning"),
        ("cases/0/contract/0/service_tier", "gold"),
        ("cases/0/contract/0/usd_per_million", "-1"),
        ("cases/2/contract/3/context_tier", "100000"),
        ("cases/0/contract/0/from", "soon"),
        ("cases/0/contract/0/utc_hours", ["1", "2"]),
        ("cases/0/contract/0/times", [{"factor": "2"}]),
        ("invariants/0/extra", 1),
    ],
)
def test_the_form_is_closed(path, value):
    with pytest.raises(CaseFileError) as error:
        check_form(broken(path, value))
    assert str(error.value)


def test_two_contract_rows_for_the_same_price_are_refused():
    table = broken("invariants", [])
    table["cases"][0]["contract"].append({**table["cases"][0]["contract"][0], "usd_per_million": "2"})
    with pytest.raises(CaseFileError, match="hold at the same time"):
        check_form(table)


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"form": 1, "cases": [], "cases": []}', '{"form": true, "cases": []}']
)
def test_a_file_that_is_no_case_file(tmp_path, text):
    path = tmp_path / "cases.json"
    path.write_text(text, "utf-8")
    with pytest.raises(CaseFileError):
        read_cases(path)
    with pytest.raises(CaseFileError, match="can't be read"):
        read_cases(tmp_path / "absent.json")


def test_exit_codes_and_one_line_per_id(tmp_path):
    good = CliRunner().invoke(check_cases, [str(FOLDER / "form_examples.json")])
    assert good.exit_code == 0
    lines = good.output.splitlines()
    assert len(lines) == 21 + 1 + 1
    assert all("expected" in line and "got" in line and "why" in line for line in lines[:-1])
    assert lines[-1] == "21 passed, 0 failed, 0 unsure; invariants: 1 passed, 0 failed, 0 not run."
    bad = tmp_path / "bad.json"
    bad.write_text(json.dumps(broken("cases/0/expect/0/list_cost", "0.0015785")), "utf-8")
    assert CliRunner().invoke(check_cases, [str(bad)]).exit_code == 1
    bad.write_text(json.dumps(broken("cases/0/kind", "prize")), "utf-8")
    refused = CliRunner().invoke(check_cases, [str(bad)])
    assert refused.exception.exit_code == 2


def test_json_result():
    result = json.loads(
        CliRunner().invoke(check_cases, [str(FOLDER / "form_examples.json"), "--format", "json"]).output
    )
    assert (result["pass"], result["fail"], result["invariants_not_run"]) == (21, 0, 0)
    assert result["results"][0]["id"] == "X01"


def test_control_characters_of_a_file_stay_on_their_line(tmp_path):
    table = broken("cases/0/calls/0/model", "acme\nsmall\x1b[31m")
    path = tmp_path / "cases.json"
    path.write_text(json.dumps(table), "utf-8")
    lines = CliRunner().invoke(check_cases, [str(path)]).output.splitlines()
    assert len(lines) == 23
    assert "\x1b" not in "".join(lines)


def test_a_case_contract_does_not_leak():
    before = PriceBook.default().version
    list(run_cases(FILES["form_examples"]))
    assert PriceBook.default().version == before
    assert (
        PriceBook.default().lookup("openai", "acme-small", "input", "2026-02-03", service_tier="flex").unit_price
        is None
    )


def test_every_statement_about_several_calls_is_run_and_holds():
    outcomes = [r.outcome for table in FILES.values() for r in run_invariants(table)]
    assert outcomes == ["pass"] * 8
    wrong = copy.deepcopy(FILES["fine_meters"])
    wrong["invariants"][0]["expected"]["order"].reverse()
    assert [r.outcome for r in run_invariants(wrong)] == ["fail", "pass", "pass"]
    wrong["invariants"][0]["inputs"] = {"moon": "full"}
    assert next(run_invariants(wrong)).outcome == "not run"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda case: case["expect"][0]["meters"].update(imags=1), "imags"),
        (lambda case: case["calls"][0]["usage"].update(imags=1), "imags"),
        (lambda case: case["calls"][0].update(context={"chanel": "vertex"}), "chanel"),
        (lambda case: case["calls"][0].update(context={"quantities": {"images": 1.5}}), "decimal in quotes"),
        (lambda case: case["expect"][0].update(status={"images": "sure"}), "sure"),
    ],
)
def test_form_2_is_closed_too(change, message):
    table = copy.deepcopy(FILES["fine_meters"])
    change(table["cases"][0])
    with pytest.raises(CaseFileError, match=message):
        check_form(table)


def test_form_1_knows_no_fine_meters():
    table = copy.deepcopy(FILES["fine_meters"]) | {"form": 1}
    with pytest.raises(CaseFileError):
        check_form(table)
