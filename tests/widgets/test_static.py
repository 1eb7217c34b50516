"""The page without a kernel holds the exact sums, escapes everything and asks nothing of any network."""

from __future__ import annotations

import json
import re
from decimal import Decimal

import pytest

import finops_ai as fa
from finops_ai.widgets import explorer_page, static_explorer
from finops_ai.widgets.cube import Cube

from .conftest import HOSTILE


def document(html):
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', html, re.S)[1])


def test_its_figures_add_up_to_the_published_total(allocated):
    cube = document(static_explorer(allocated))
    total = sum(fa.showback(allocated)["cost"], Decimal(0))
    assert Decimal(sum(v or 0 for v in cube["sums"]["cost"])).scaleb(-6) == round(total, 6)
    tokens = sum(fa.showback(allocated)["tokens"], Decimal(0))
    assert sum(v or 0 for v in cube["sums"]["tokens"]) == tokens


def test_names_can_not_end_the_script(teams_frame):
    html = static_explorer(teams_frame(HOSTILE))
    assert html.count("</script>") == 2
    assert "<img" not in html
    assert sorted(document(html)["levels"]["team"]) == sorted(HOSTILE)


def test_the_page_asks_no_network(allocated):
    page = explorer_page(allocated, title="A <title>")
    for call in ("https://", "//cdn", "<link", "@import", "url(", "fetch(", "import("):
        assert call not in page, call
    assert [m for m in re.findall(r"http://[^\"' ]+", page) if "www.w3.org" not in m] == []
    assert "<title>A &lt;title&gt;</title>" in page


def test_a_page_never_holds_more_rows_than_asked(teams_frame):
    frame = teams_frame([f"team {i:04}" for i in range(3000)], days=2)
    cube = document(static_explorer(frame, cap=500))
    assert len(cube["day"]) <= 500
    assert cube["levels"]["team"][-1] == "other"
    assert "most expensive are told apart" in cube["notes"][0]
    assert sum(cube["sums"]["cost"]) == 3000 * 2 * 10_000  # 0.01 USD each, in millionths


def test_packing_keeps_the_sums(allocated):
    cube = Cube.of(allocated)
    whole = cube.packed(["team", "model"], cube.first, 10**9)[0]
    small = cube.packed(["team", "model"], cube.first, 100)[0]
    assert small.num_rows < whole.num_rows
    for name in ("cost", "tokens"):
        assert sum(v for v in small[name].to_pylist() if v) == sum(v for v in whole[name].to_pylist() if v)


@pytest.mark.parametrize("months", [1, 2])
def test_it_stays_small(allocated, months):
    frame = allocated[allocated["charge_period_start"] >= ("2026-10-01" if months == 1 else "2026-09-01")]
    assert len(static_explorer(frame)) < 400_000
