"""Kept and left out are what OCI states: live, from saved answers, and from both kinds of reports."""

from __future__ import annotations

import json
from decimal import Decimal as D

import pytest
from finops_ai_oci.connector import Oci
from oci_world import CHARS, ITEMS, LAB, TEAM, World, connector, item

from finops_ai.periods import Window
from finops_ai.testing import PlayedProvider

OCTOBER = Window.month("2026-10")
MORE = [
    item("2026-10-11", "Tax", "", None, 3.5, service="TAX"),
    item("2026-10-12", "Credit", "", None, -1.25, service="CREDITS"),
    item("2026-10-13", "Object Storage", "GB", 4, 0.75, service="OBJECTSTORE", compartmentId=LAB),
    item("2026-10-14", "A line without a service", "", 1, 2.0, service=None),
]
#: in October: 341.6355001 of AI (oci_world.BILLED); 20 of compute + 3.5 - 1.25 + 0.75 + 2 of others
WHOLE = D("341.6355001") + D("25")


def total(made, bills):
    left = [item.amount for item in made.left_out if item.amount is not None]
    return bills["billed_cost"].sum() + sum(left, D(0))


@pytest.fixture
def played():
    world = World()
    world.items = [*ITEMS, *MORE]
    with PlayedProvider(world.answer) as server:
        yield world, server


def test_live(played):
    made = connector(played[1].url)
    assert total(made, made.bills(OCTOBER)) == WHOLE
    assert D("3.5") in {i.amount for i in made.left_out if "TAX" in i.reason}


def test_live_with_compartments_of_ones_own(played):
    made = connector(played[1].url, compartment_id=[TEAM])
    bills = made.bills(OCTOBER)
    assert total(made, bills) == WHOLE
    assert {i.amount for i in made.left_out if "compartment" in i.reason} == {D("0.003")}  # LAB's embeddings


def test_saved_answers(tmp_path):
    rows = [row for row in (*ITEMS, *MORE) if not row["isForecast"]]
    (tmp_path / "usage.json").write_text(json.dumps({"groupBy": ["service"], "items": rows}))
    made = Oci(files=[str(tmp_path / "usage.json")])
    assert total(made, made.bills(OCTOBER)) == WHOLE


HEAD = [
    "lineItem/referenceNo", "lineItem/tenantId", "lineItem/intervalUsageStart", "lineItem/intervalUsageEnd", "product/service", "product/Description",
    "product/compartmentId", "product/compartmentName", "product/region", "product/resourceId", "usage/billedQuantity", "cost/productSku", "cost/unitPrice",
    "cost/myCost", "cost/currencyCode", "cost/billingUnitReadable", "lineItem/isCorrection",
]  # fmt: skip


def line(number, service, about, cost, quantity="1", **changes):
    values = dict.fromkeys(HEAD, "") | {
        "lineItem/referenceNo": f"V2.{number}", "lineItem/tenantId": "t", "lineItem/intervalUsageStart": "2026-10-05T00:00Z",
        "lineItem/intervalUsageEnd": "2026-10-05T01:00Z", "product/service": service, "product/Description": about, "product/compartmentId": TEAM,
        "usage/billedQuantity": quantity, "cost/myCost": cost, "cost/currencyCode": "USD", "cost/billingUnitReadable": f'"{CHARS}"', "lineItem/isCorrection": "false",
    }  # fmt: skip
    return ",".join({**values, **changes}[name] for name in HEAD)


@pytest.mark.parametrize("compartments", [[], [TEAM]])
def test_cost_reports(tmp_path, compartments):
    lines = [
        line(1, "GENERATIVE_AI", "OCI Generative AI - Large Cohere", "0.195"),
        line(2, "GENERATIVE_AI", "OCI Generative AI - Large Cohere", "0.5", **{"product/compartmentId": LAB}),
        line(3, "COMPUTE", "Compute - GPU", "20"),
        line(4, "TAX", "Tax", "3.25", ""),
        line(5, "", "", "-1.5", ""),
        line(6, "COMPUTE", "Compute - GPU", "", "1"),
        line(3, "COMPUTE", "Compute - GPU", "20"),  # the same line again
    ]
    (tmp_path / "report.csv").write_text("\n".join([",".join(HEAD), *lines]) + "\n")
    made = Oci(files=[str(tmp_path / "report.csv")], **({"compartment_id": compartments} if compartments else {}))
    bills = made.bills(OCTOBER)
    assert bills["billed_cost"].sum() == (D("0.195") if compartments else D("0.695"))
    assert total(made, bills) == D("22.445")  # 0.195 + 0.5 + 20 + 3.25 - 1.5
