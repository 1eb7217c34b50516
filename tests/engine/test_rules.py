"""Rules that can't be used are refused when they are loaded, naming rule, key, value and the nearest name."""

from __future__ import annotations

import csv
import io
import re
from decimal import Decimal

import pytest

import finops_ai as fa
from finops_ai.engine import Rules
from finops_ai.engine.dialects import BIGQUERY, DUCKDB, SPARK
from finops_ai.engine.lookups import load_lookup
from finops_ai.engine.regex import regex_problem
from finops_ai.errors import RuleError

TEAM = {"dimensions": {"team": {}, "product": {}}}


def rule(**kwargs):
    return {"rules": [{"name": "r", "set": {"team": "x"}} | kwargs]}


def shared(**kwargs):
    return {"shared": [{"dimension": "team", "when": {"team": "s"}} | kwargs]}


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"dimension": {}}, "'dimension'. Did you mean 'dimensions'?"),
        (rule(when={"modl": "x"}), "'modl'. Did you mean 'model'?"),
        (rule(when={"model": {"prefx": "x"}}), "no operator 'prefx'. Did you mean 'prefix'?"),
        (rule(when={"model": {"regex": "a(?=b)"}}), "look-around"),
        (rule(when={"model": {"regex": "a(b"}}), "not a regular expression"),
        (rule(when={"model": []}), "at least one value"),
        (rule(when={"any": {}}), "must be a list of tables"),
        (rule(when={"temperature": "hot"}), "'hot' is no number"),
        (rule(when={"charge_period_start": {"at_least": 5}}), "is no instant"),
        (rule(wen={}), "no key 'wen'. Did you mean 'when'?"),
        (rule(set={"tem": "x"}), "set.tem is no declared dimension. Did you mean 'team'?"),
        (rule(set={}), "at least one dimension"),
        (rule(set={"team": 5}), "set.team must be text, not 5"),
        (rule(set={"team": "{tag.team}"}), "'tag.team'"),
        (rule(name="default"), "not 'default'"),
        ({"rules": [{"name": "a", "set": {"team": "x"}}] * 2}, "its own"),
        ({"dimensions": {"model": {}}}, "'model' has the name of a column"),
        ({"dimensions": {"team": {"defualt": "x"}}}, "Did you mean 'default'?"),
        ({"rules": [{"set": {"team": "{product}"}}, {"set": {"product": "{team}"}}]}, "circle"),
        ({"lookups": {"p": {"key": "user_id"}}}, "either `file`"),
        ({"lookups": {"p": {"key": "user_id", "file": "nowhere.csv"}}}, "there is no file"),
        ({"lookups": {"p": {"key": "who", "on": "usr_id", "rows": [{"who": "a", "v": "1"}]}}}, "'usr_id'. Did you mean 'user_id'?"),
        ({"lookups": {"p": {"key": "user_id", "rows": [{"user_id": "a", "valid_from": "yesterday"}]}}}, "not a day"),
        (
            {"lookups": {"p": {"key": "user_id", "rows": [{"user_id": "a", "cc": "1"}, {"user_id": "a", "cc": "2", "valid_from": "2026-01-01"}]}}},
            "key 'a' is valid twice from 2026-01-01",
        ),
        ({"shared": [{"dimension": "team", "method": "fixed", "when": {"team": "s"}, "shares": {"a": "0.6", "b": "0.3"}}]}, "add up to 1, not 0.9"),
        ({"shared": [{"dimension": "tem", "when": {"team": "s"}}]}, "Did you mean 'team'?"),
        ({"shared": [{"dimension": "team", "when": {"team": "s"}, "method": "evn"}]}, "Did you mean 'even'?"),
        ({"shared": [{"dimension": "team", "when": {"team": "s"}, "method": "even"}]}, "needs `to`"),
        ({"shared": [{"dimension": "team", "when": {"team": "s"}, "method": "even", "to": ["s"]}]}, "whose own cost it distributes"),
        (
            {"shared": [
                {"name": "it", "dimension": "team", "when": {"team": "it"}, "method": "even", "to": ["hr"]},
                {"name": "hr", "dimension": "team", "when": {"team": "hr"}, "method": "even", "to": ["it"]},
            ]},
            "a cycle: shared 'hr' gives to 'it', whose cost 'it' has already distributed",
        ),
        ({"shared": [{"dimension": "team", "when": {"team": "s"}, "method": "tiered", "to": ["a"], "tiers": [{"up_to": 5}, {"up_to": 3}]}]}, "up_to must rise"),
        ({"shared": [{"dimension": "team", "when": {"team": "s"}, "method": "capacity"}]}, "tokens_per_hour"),
        ({"dimensions": {"Model": {}}}, "'Model' has the name of a column"),
        ({"dimensions": {"month": {}}}, "'month' has the name of a column"),
        ({"dimensions": {"team": {}, "Team": {}}}, "twice, in another case"),
        ({"dimensions": {"_day": {}}}, "a name is a letter, then"),
        ({"lookups": {"p": {"key": "user_id", "on": ["a"], "rows": [{"user_id": "a"}]}}}, "`on` names one column"),
        ({"lookups": {"p": {"key": "user_id", "rows": [{"user_id": "a", "Cc": "1", "cc": "2"}]}}}, "a name of its own, in any case"),
        ({"lookups": {"p": {"key": "user_id", "rows": [{"user_id": "a", "valid_to": "2026-10-01 or so"}]}}}, "not a day"),
        (shared(when={"team": {"prefix": "s"}}, method="even", to=["a", "support"]), "gives to 'support', whose own cost"),
        (shared(when={"any": [{"team": "s"}, {"team": "it"}]}, method="even", to=["it"]), "gives to 'it', whose own cost"),
        (shared(when={"not": {"team": ["a", "b"]}}, method="even", to=["a", "c"]), "gives to 'c', whose own cost"),
        (shared(when={"team": {"regex": "^s"}}, method="fixed", shares={"a": 1}, to=["b"]), "method 'fixed' has no key 'to'"),
        (shared(method="even", to=["a"], metric="tokens"), "method 'even' has no key 'metric'"),
        (shared(method="even", to="ab"), "`to` must be a list"),
        (shared(method="even", to=["a", "a"]), "names a receiver twice"),
        (shared(method="tiered", to=["a"], tiers=[{"up_to": "lots", "method": "even"}, {}]), "up_to must be a number above 0"),
        (shared(method="capacity", tokens_per_hour=5, output_weight=0), "output_weight must be a number above 0, not 0"),
        (shared(method="telemetry", receiver={"product": "tags.product"}), "receiver must say where 'team' is read"),
        (shared(when={"p.cc": "1"}) | {"lookups": {"p": {"key": "user_id", "rows": [{"user_id": "a", "cc": "1"}]}}}, "'p.cc'"),
    ],
)  # fmt: skip
def test_bad_rules_name_place_and_next_step(document, words):
    with pytest.raises(RuleError) as caught:
        Rules.load(TEAM | document)
    assert words in str(caught.value)
    assert caught.value.exit_code == 2


def test_rules_from_file_text_and_dict_are_the_same(tmp_path):
    text = '[dimensions.team]\n[[rules]]\nname = "a"\nwhen = { tags.env = ["prod"] }\nset = { team = "x" }\n[workspace]\nname = "left alone"\n'
    path = tmp_path / "finops.toml"
    path.write_text(text)
    document = {
        "dimensions": {"team": {}},
        "rules": [{"name": "a", "when": {"tags.env": ["prod"]}, "set": {"team": "x"}}],
    }
    loaded = [Rules.load(path), Rules.load(text), Rules.load(document)]
    assert loaded[0].rules[0].when == loaded[1].rules[0].when == loaded[2].rules[0].when
    with pytest.raises(RuleError, match="no rules file"):
        Rules.load(tmp_path / "none.toml")
    path.write_text("[dimensions")
    with pytest.raises(RuleError, match="TOML"):
        Rules.load(path)


def test_lookup_file_with_validity(tmp_path):
    (tmp_path / "people.csv").write_text("user_id,cc,valid_from,valid_to\nann,1,,2026-02-01\nann,2,2026-02-01,\n")
    rules = Rules.load(
        {"dimensions": {"cc": {}}, "lookups": {"people": {"file": "people.csv", "key": "user_id"}}}, root=tmp_path
    )
    assert [row[:2] for row in rules.lookups["people"].rows] == [("ann", "1"), ("ann", "2")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("user_id,cc\na,1,2\n", "line 2: there are more cells than columns"),
        ("user_id,cc,cc\na,1,2\n", "'cc' needs a name of its own"),
        ("who,cc\na,1\n", "no column 'user_id'"),
        ("user_id,cc\n,1\n", "line 2: the key 'user_id' is blank"),
    ],
)
def test_lookup_files_that_cannot_be_used(tmp_path, text, words):
    (tmp_path / "people.csv").write_text(text)
    with pytest.raises(RuleError, match=words):
        Rules.load({"lookups": {"p": {"key": "user_id", "file": "people.csv"}}}, root=tmp_path)


def test_a_lookup_written_out_reads_the_same(tmp_path):
    text = "user_id,cc,valid_from,valid_to\na,10,,2026-10-01\na,20,2026-10-01,\nb,,,\n"
    for content in (text, text.splitlines()[0] + "\n"):
        (tmp_path / "people.csv").write_text(content)
        document = {"lookups": {"p": {"key": "user_id", "file": "people.csv"}}}
        one = Rules.load(document, root=tmp_path).lookups["p"]
        again = Rules.load({"lookups": {"p": one.plain()}}).lookups["p"]
        assert again.values == one.values
        assert again.rows == one.rows or (not one.rows and again.rows[0][:2] == ("-", None))


def test_a_lookup_of_one_line_or_none_and_any_column_name_maps(frame_of):
    document = {
        "dimensions": {"team": {}, "tag_0": {}},
        "lookups": {
            "p": {"key": "who", "on": "user_id", "rows": [{"who": "u", "key": "x", "cost centre": "7 b"}, {"who": "v"}]}
        },
        "rules": [
            {"name": "a", "when": {"p.key": "x", "tags.env": "prod"}, "set": {"tag_0": "{p.cost centre}"}},
            {"name": "b", "when": {"tag_0": "7 b"}, "set": {"team": "{tags.env}/{p.key}"}},
        ],
    }
    out = fa.allocate(frame_of([{"user_id": u, "tags": {"env": "prod"}} for u in ("u", "v", None)]), document)
    assert out["team"].to_list() == ["prod/x", "unallocated", "unallocated"]
    document["lookups"]["p"]["rows"] = [{"who": "nobody", "key": "x", "cost centre": None}]
    assert set(fa.allocate(frame_of([{"user_id": "u"}]), document)["team"]) == {"unallocated"}


@pytest.mark.parametrize("pattern", ["^a.*b$", "(?i)gpt-[45]", "x{2,5}", "(?:a|b)+?", r"\d\.\w", "[^-a-z]", r"[\[]"])
def test_common_patterns_are_allowed(pattern):
    assert regex_problem(pattern) is None


@pytest.mark.parametrize(
    "pattern", ["(?!x)", "(?<=x)y", r"(a)\1", "a++", "(?>a)", "(?P<n>a)", r"\p{L}", "[a&&b]", "[[a]", "a{1001}", "{", r"\Qa\E", "[]a]", "a{,3}", r"[\b]", "a(?i)b"]
)  # fmt: skip
def test_engine_dependent_patterns_are_refused(pattern):
    assert regex_problem(pattern) is not None


@pytest.mark.parametrize("dialect", [DUCKDB, SPARK, BIGQUERY], ids=lambda d: d.name)
def test_literals_never_end_early(dialect):
    text = dialect.literal("a'b\\c\n${d}")
    body = text[1:-1]
    assert text[0] == text[-1] == "'"
    assert "'" not in body.replace("''", "").replace("\\'", "")
    assert dialect is DUCKDB or "${" not in body


@pytest.mark.parametrize(
    ("value", "tag", "expected"),
    [
        ("{tags.Team | trim | lower}", "  Search ", "search"),
        ("{tags.Team | upper}", "web", "WEB"),
        ("{tags.Team | split '-' 2}", "eu-search-prod", "search"),
        ("{tags.Team | split '-' 4}", "eu-search-prod", "unallocated"),  # there is no fourth part
        ("{tags.Team | split '|' 2 | trim}", "a | b", "b"),
        (r"{tags.Team | extract '/teams/([a-z]+)/'}", "/org/teams/web/x", "web"),
        ("{tags.Team | extract '[0-9]+'}-x", "team 42", "42-x"),
        ("{tags.Team | extract '^([a-z]+)$'}", "42", "unallocated"),  # nothing is extracted
        ("{tags.Team | extract 'it''s'}", "it's", None),  # a quote ends the operand
        ("{tags.Team | trim}", "   ", "unallocated"),
        ("{tags.Team|lower}/{tags.Team}", "Ab", "ab/Ab"),
        ("{tags.Team}", None, "unallocated"),
    ],
)
def test_inherited_values_are_trimmed_and_cut(value, tag, expected, frame_of):
    document = {"dimensions": {"team": {}}, "rules": [{"name": "t", "set": {"team": value}}]}
    if expected is None:
        with pytest.raises(RuleError, match=r"rule 1 \(t\): set.team: .* is written|write \| and a step"):
            fa.Rules.load(document)
        return
    frame = frame_of([{"cost": 1, "tags": {"Team": tag} if tag is not None else {}}])
    assert fa.allocate(frame, document)["team"].tolist() == [expected]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("{tags.Team | trimm}", "unknown step 'trimm'.*trim"),
        ("{tags.Team | split 2}", r"step split is written \| split '-' 1"),
        ("{tags.Team | split '' 1}", "split needs a separator"),
        ("{tags.Team | extract '(?=a)'}", "can't be used"),
        ("{tags.Team | extract '(a)(b)'}", "several groups"),
        ("{modl | lower}", "unknown column 'modl'.*model"),
    ],
)
def test_steps_that_cannot_be_used_are_told(value, message):
    with pytest.raises(RuleError, match=message):
        fa.Rules.load({"dimensions": {"team": {}}, "rules": [{"name": "t", "set": {"team": value}}]})


def hierarchy(**more):
    return {
        "dimensions": {
            "team": {},
            "department": {"of": "team", "values": {"Product": ["search", "web"], "Law": ["legal"]}, "default": "elsewhere"},
            "division": {"of": "department", "values": {"Group": ["Product", "Law"]}},
        }
        | more,
        "rules": [{"name": k, "when": {"api_key_id": k}, "set": {"team": k}} for k in ("search", "web", "legal", "ops", "pool")],
        "shared": [{"name": "pool", "when": {"team": "pool"}, "dimension": "team", "method": "even", "to": ["web", "legal"]}],
    }  # fmt: skip


def test_a_hierarchy_rolls_up_also_what_is_divided(frame_of):
    rows = frame_of(
        {"api_key_id": k, "cost": Decimal(c)}
        for k, c in (("search", 1), ("web", 2), ("legal", 4), ("ops", 8), ("pool", 16))
    )
    out = fa.allocate(rows, hierarchy())

    def by(name):
        return {value: sum(cost, Decimal(0)) for value, cost in out.groupby(name)["effective_cost"]}

    assert by("department") == {"Product": 11, "Law": 12, "elsewhere": 8}  # 1 + 2 + half of 16; 4 + half of 16
    assert by("division") == {"Group": 23, "unallocated": 8}
    table = fa.showback(out, by=["division", "department"])
    assert sum(table["cost"]) == 31


@pytest.mark.parametrize(
    ("level", "message"),
    [
        ({"of": "tem", "values": {"A": ["x"]}}, "of = 'tem' is no other dimension.*team"),
        ({"of": "region_", "values": {"A": ["x"]}}, "is no other dimension"),
        ({"of": "team"}, "needs values"),
        ({"values": {"A": ["x"]}}, "of = None is no other dimension"),
        ({"of": "team", "values": {"A": "x"}}, "needs values"),
        ({"of": "team", "values": {"A": ["x"], "B": ["y", "x"]}}, "team 'x' is below two values"),
        ({"of": "division", "values": {"A": ["x"]}}, "circle"),
    ],
)
def test_levels_that_cannot_be_used_are_told(level, message):
    document = hierarchy(region_=level)
    if level.get("of") == "division":
        document["dimensions"]["team"] = {"of": "region_", "values": {"t": ["A"]}}
    with pytest.raises(RuleError, match=message):
        fa.Rules.load(document)


@pytest.mark.parametrize(
    "text",
    [
        "who,cc\nu1,10\nu2,\n\n  u3 , 3 0 \n",
        "\ufeffwho,cc\r\nu1,10\r\nu2,20\r\n",
        'who,cc\n"u,1","a ""b"""\n"u\n2",x\n',
        "who,cc\nu1\nu2,20\n",  # a cell is missing
        "who,cc,valid_from,valid_to\nu1,10,,2026-10-01\nu1,20,2026-10-01,\nu0,7,0001-01-01,9999-12-31\n",
        'who,cc\nu1,5" pipe\nnull,NA\nü,é\n',
        "who\nu1\nu2\n",
        "who,cc\n",
    ],
)
def test_a_look_up_file_reads_as_its_rows_do(tmp_path, text):
    (tmp_path / "people.csv").write_bytes(text.encode())
    lines = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""))
    header, *cells = [line for line in lines if line]
    rows = [dict(zip(header, (*line, *[""] * (len(header) - len(line))), strict=True)) for line in cells]
    by_file = load_lookup("people", {"file": "people.csv", "key": "who"}, tmp_path, "here")
    if not rows:
        assert (by_file.values, by_file.rows) == (tuple(header[1:]), ())
        return
    by_rows = load_lookup("people", {"rows": rows, "key": "who"}, tmp_path, "here")
    assert (by_file.values, by_file.rows, by_file.text()) == (by_rows.values, by_rows.rows, by_rows.text())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"who,cc\nu1,\xff\n", "not a readable CSV in UTF-8"),
        (b"who,cc\nu1,1,2\n", "line 2: there are more cells than columns"),
        (b"who,cc\nu1,1\n ,2\n", "line 3: the key 'who' is blank"),
        (b"who,valid_from\nu1,soon\n", "line 2: valid_from 'soon' is not a day"),
        (b"who,valid_from,valid_to\nu0,,\nu1,2026-02-01,2026-02-01\n", "line 3: valid_from 2026-02-01 is not before"),
        (b"who,cc\nu1,1\nu1,2\n", "key 'u1' is valid twice"),
        (b"who,Who\nu1,1\n", "needs a name of its own"),
        (b"", "no column 'who'"),
    ],
)
def test_a_look_up_file_that_is_wrong_says_where(tmp_path, text, said):
    (tmp_path / "people.csv").write_bytes(text)
    with pytest.raises(RuleError, match=re.escape(said)):
        load_lookup("people", {"file": "people.csv", "key": "who"}, tmp_path, "here")
