"""Each kind of fault planted once in a small report: the crawler finds it, and finds nothing where nothing is wrong."""

from __future__ import annotations

import pytest

from .checking import check
from .drawn import check_drawn
from .reading import read_report
from .stating import check_statements

PAGE = """<html><body><nav><a>9,999.00 USD</a></nav><h1 class="answer">October cost 30.00 USD</h1>
<p>October 2026 was billed 30.00 USD</p>
<table><caption>Amounts in USD</caption><thead><tr><th>Team</th><th>Cost</th><th>Month before</th><th>Change</th><th>Requests</th><th>Tokens</th>
<th>Cost of counted requests</th><th>Cost per request</th><th>All-in cost per 1M tokens</th></tr></thead><tbody>
<tr><th>search<span>a remark</span></th><td>20.00</td><td>15.00</td><td>+5.00</td><td>400</td><td>8,000,000</td><td>20.00</td><td>0.0500</td><td>2.50</td></tr>
<tr><th>mobile</th><td>10.00</td><td>4.00</td><td>+6.00</td><td>–</td><td>2,000,000</td><td>–</td><td>–</td><td>5.00</td></tr>
</tbody><tfoot><tr><th>Total</th><td>30.00</td><td>19.00</td><td>+11.00</td><td>400</td><td>10,000,000</td><td>20.00</td><td>0.0500</td><td>3.00</td></tr></tfoot></table>
</body></html>"""
CSV = "team,model,cost\nsearch,a,12.00\nsearch,b,8.00\nmobile,a,10.00\n"
CHARGES = """<html><body><table><thead><tr><th>Team</th><th>Cost</th><th>Incentive</th><th>Charge</th></tr></thead><tbody>
<tr><th>search</th><td>20.00</td><td>-1.00</td><td>19.00</td></tr><tr><th>mobile</th><td>10.00</td><td>1.00</td><td>11.00</td></tr>
</tbody><tfoot><tr><th>Total</th><td>30.00</td><td>0.00</td><td>30.00</td></tr></tfoot></table></body></html>"""


BUDGETS = """<table><thead><tr><th>Budget</th><th>Spent</th></tr></thead><tbody><tr><th>search, October 2026</th><td>20.00</td></tr></tbody></table>
<table><thead><tr><th>Month</th><th>Spent</th></tr></thead><tbody><tr><th>September 2026</th><td>10.00</td></tr><tr><th>October 2026</th><td>30.00</td></tr>
<tr><th>Year</th><td>40.00</td></tr></tbody></table></body>"""


def crawl(folder, page=PAGE, table=CSV, charges=CHARGES):
    report = folder / "2026-10"
    (report / "tables").mkdir(parents=True)
    (report / "index.html").write_text(page, encoding="utf-8")
    (report / "chargeback.html").write_text(charges, encoding="utf-8")
    (report / "tables" / "showback.csv").write_text(table, encoding="utf-8")
    documents = read_report(report)
    return check(documents) + check_statements(documents)


SAID = """<p>The cost rose by 11.00 USD: more calls.</p><p>97.0% of tokens have a price · 85.4% of cost has a team</p>
<p>Jan to Oct 30.00 of 40.00: 3.33 below an even pace</p>
<p><b>85.4%</b> of 30.00 USD in October 2026 has a team; 4.38 USD is idle capacity.</p>
<table><thead><tr><th>Month</th><th>Budget</th><th>Chance of overrun</th></tr></thead><tbody>
<tr><th>May</th><td>33.33</td><td>3%</td></tr><tr><th>June</th><td>33.34</td><td>5%</td></tr><tr><th>July</th><td>33.33</td><td>5%</td></tr></tbody>
<tfoot><tr><th>Year</th><td>100.00</td><td>9%</td></tr></tfoot></table></body>"""
KPIS = "<table><thead><tr><th>KPI</th><th>Figure</th></tr></thead><tbody><tr><th>Budget variance</th><td>-3.33</td></tr></tbody></table>"


@pytest.mark.parametrize(
    ("kind", "told", "said", "kpis"),
    [
        ("", "", SAID, KPIS),
        ("sentence", "moved by 11.01", SAID.replace("rose by 11.00", "rose by 11.01"), KPIS),
        ("pair", "share that has a team: 85.4% in index.html; 99.0% in index.html", SAID.replace("<b>85.4%", "<b>99.0%"), KPIS),
        ("column", "rows come to 99.99, below them stands 100.00", SAID.replace("33.34", "33.33"), KPIS),
        ("pair", "3.33 in index.html; -3.32 in kpis.html", SAID, KPIS.replace("-3.33", "-3.32")),
    ],
)  # fmt: skip
def test_each_kind_of_false_statement_is_found(tmp_path, kind, told, said, kpis):
    (tmp_path / "2026-10").mkdir()
    (tmp_path / "2026-10" / "kpis.html").write_text(kpis, encoding="utf-8")
    (tmp_path / "2026-10" / "index.html").write_text(PAGE.replace("</body>", said), encoding="utf-8")
    found = check_statements(read_report(tmp_path / "2026-10"))
    assert [f.kind for f in found] == [kind] * bool(kind), [str(f) for f in found]
    assert all(told in str(f) for f in found)


def test_nothing_is_found_where_nothing_is_wrong(tmp_path):
    assert crawl(tmp_path, PAGE.replace("</body>", BUDGETS)) == []


@pytest.mark.parametrize(
    ("kind", "told", "changed"),
    [
        ("pair", "20.01", {"table": CSV.replace("12.00", "12.01").replace("10.00", "9.99")}),
        ("pair", "whole", {"table": CSV.replace("mobile,a,10.00", "mobile,a,10.00\nlegal,a,0.01")}),
        ("pair", "21 in chargeback.html", {"charges": CHARGES.replace("<td>20.00</td><td>-1.00</td><td>19.00", "<td>21.00</td><td>-2.00</td><td>19.00").replace("<td>30.00</td><td>0.00</td>", "<td>31.00</td><td>-1.00</td>")}),
        ("column", "the total says 30.01", {"page": PAGE.replace("<td>30.00</td><td>19.00</td><td>+11.00", "<td>30.01</td><td>19.00</td><td>+11.01")}),
        ("column", "requests", {"page": PAGE.replace("<td>+11.00</td><td>400", "<td>+11.00</td><td>402")}),
        ("row", "charge 19.01", {"charges": CHARGES.replace("<td>19.00", "<td>19.01").replace("<td>11.00", "<td>10.99")}),
        ("row", "20.00 is not 15.00", {"page": PAGE.replace("+5.00", "+5.01").replace("+6.00", "+5.99")}),
        ("ratio", "cost_per_1m_tokens 2.60", {"page": PAGE.replace("<td>2.50", "<td>2.60")}),
        ("ratio", "nothing beside cost_per_request", {"page": PAGE.replace("<th>Requests</th>", "<th>Runs</th>")}),
        ("ratio", "nothing beside cache_hit_rate", {"page": PAGE.replace("<th>Requests</th>", "<th>Input from cache</th>").replace("<td>400", "<td>40.0%")}),
        ("ratio", "cache_hit_rate 0.31 is not 20 / 80", {"table": "team,cost,cache_read_tokens,input_tokens,cache_hit_rate\nsearch,20.00,20,80,0.31\nmobile,10.00,20,80,0.25\n"}),
        ("zero", "0 requests", {"page": PAGE.replace("<td>–</td><td>2,000,000", "<td>0</td><td>2,000,000")}),
        ("zero", "billed 0.00 USD", {"page": PAGE.replace("was billed 30.00", "was billed 0.00")}),
        ("zero", "the month before is 0", {"page": PAGE.replace("<td>15.00</td><td>+5.00", "<td>0.00</td><td>+20.00").replace("<td>4.00</td><td>+6.00", "<td>0.00</td><td>+10.00").replace("<td>19.00</td><td>+11.00", "<td>0.00</td><td>+30.00")}),
        ("pair", "search, October 2026: spent 20.01", {"page": PAGE.replace("</body>", BUDGETS.replace("20.00", "20.01"))}),
        ("column", "months come to 40.00", {"page": PAGE.replace("</body>", BUDGETS.replace("<td>40.00", "<td>40.01"))}),
        ("pair", "29 in index.html", {"page": PAGE.replace("</body>", BUDGETS.replace("<td>30.00", "<td>29.00").replace("<td>40.00", "<td>39.00"))}),
        ("word", "P90", {"page": PAGE.replace("a remark", "a remark").replace("<p>October", "<p>P90 of October")}),
    ],
)  # fmt: skip
def test_each_kind_of_fault_is_found(tmp_path, kind, told, changed):
    found = crawl(tmp_path, **changed)
    assert [f for f in found if f.kind == kind and told in str(f)], [str(f) for f in found]


DRAWN = """<html><body><svg aria-label="Bars of cost by team, largest first: search 20 USD; mobile 10.00 USD. The figures are in the table below."></svg>
<svg aria-label="From last month. September: 19.00 USD, October: 30.00 USD. Volume +5.00, Model +6.00"></svg>
<p>The cost rose by 11.00 USD: +6.00 by dearer models, +5.00 by more calls.</p><p>2 days, 1 day, -0.01 USD, 3 months</p>
<table><thead><tr><th>Team</th><th>Cost</th></tr></thead><tbody><tr><th>search</th><td>20.00</td></tr><tr><th>mobile</th><td>10.00</td></tr>
<tr><th>Unmapped</th><td>4.00</td></tr></tbody><tfoot><tr><th>Total</th><td>30.00</td></tr></tfoot></table>
<table><caption>Amounts in USD, 25 Oct 2026 to 31 Oct 2026 against 18 Oct 2026 to 24 Oct 2026</caption><thead><tr><th>Team</th><th>Seven days before</th>
<th>Last seven days</th></tr></thead><tbody><tr><th>search</th><td>19.00</td><td>20.00</td></tr></tbody><tfoot><tr><th>Total</th><td>19.00</td><td>20.00</td></tr></tfoot></table>
<table><thead><tr><th>Rule or field</th><th>Value</th><th>What to do</th><th>Rows</th><th>Cost</th></tr></thead><tbody>
<tr><td>team</td><td>unallocated</td><td>No rule sets team for these rows.</td><td>2</td><td>4.00</td></tr></tbody></table>
<table><thead><tr><th>Provider</th><th>Computed</th><th>Billed</th></tr></thead><tbody><tr><th>openai</th><td>30.00</td><td>–</td></tr></tbody></table>
</body></html>"""


def drawn(folder, page):
    (folder / "2026-10").mkdir()
    (folder / "2026-10" / "index.html").write_text(page, encoding="utf-8")
    return [str(f) for f in check_drawn(read_report(folder / "2026-10"))]


def test_drawings_that_say_what_tables_say_are_no_fault(tmp_path):
    assert drawn(tmp_path, DRAWN) == []


@pytest.mark.parametrize(
    ("was", "planted", "told"),
    [
        ("mobile 10.00 USD", "mobile 10.01 USD", "a bar says mobile cost 10.01, the table 10.00"),
        ("October: 30.00 USD", "October: 30.01 USD", "a way says 30.01"),
        ("+6.00 by dearer", "+6.01 by dearer", "a sentence says +6.01, no step"),
        ("1 day,", "1 days,", "one of several: '1 days'"),
        ("-0.01 USD", "-0.00 USD", "a nought with a sign"),
        ("3 months", "3e-05", "a power of ten"),
        ("3 months", "None", "a name of Python"),
        ("3 months", "0 of 1 open", "none of one"),
        ("25 Oct 2026 to 31", "24 Oct 2026 to 31", "week: index.html"),
        ("<td>2</td><td>4.00", "<td>2</td><td>4.01", "unmapped team: 4.01; 4.00 elsewhere"),
        ("<td>–</td></tr></tbody></table>\n</body>", "<td>–</td></tr></tbody></table><p>They agree to the cent.</p></body>", "a bill that isn't there"),
    ],
)  # fmt: skip
def test_each_kind_of_false_drawing_is_found(tmp_path, was, planted, told):
    assert was in DRAWN
    found = drawn(tmp_path, DRAWN.replace(was, planted))
    assert len(found) == 1, found
    assert told in found[0]
