"""Templates escape by themselves: whatever comes in stays text, in every place a template can print it."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finops_ai.html import TEMPLATES, Html, data, environment, escaped, href, render, template_of
from finops_ai.marks import HIDDEN, visible

#: every place of a template that prints a value, with every way of putting values together
PLACES = template_of(
    '<main><p title="{{ x }}" data-all=\'{{ x | data }}\'>{{ x }}{{ [x, x] | join(x) }}{{ "%s" | format(x) }}{{ x ~ x }}'
    '{{ x | upper }}{{ x | truncate(30) }}{{ x | replace("a", "b") }}</p><a href="{{ x | href }}">{{ x | title }}</a>'
    '<script type="application/json">{{ {"x": x} | data }}</script></main>'
)


class Seen(HTMLParser):
    """A page's tags, attributes, and what is in its script."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes, self.script = [], [], ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attributes]

    def handle_data(self, text):
        if self.tags and self.tags[-1] == "script":
            self.script += text


NASTY = st.one_of(
    st.text(max_size=40),
    st.lists(
        st.sampled_from(
            ["<", ">", '"', "'", "&", "$", "</script>", "<img src=x onerror=1>", "javascript:", "{{", "}}", "\u202e",
             "\x00", "&lt;", "`", "\n", "]]>", "<!--", "--", "a", " "]
        ),
        max_size=8,
    ).map("".join),
)  # fmt: skip


@given(NASTY)
def test_no_text_becomes_markup_anywhere(text):
    page = str(render(PLACES, x=text))
    seen = Seen(page)
    assert seen.tags == ["main", "p", "a", "script"]
    assert [(tag, name) for tag, name, _ in seen.attributes] == [
        ("p", "title"), ("p", "data-all"), ("a", "href"), ("script", "type"),
    ]  # fmt: skip
    assert not HIDDEN.search(page)
    assert json.loads(seen.script)["x"] == text
    link = {name: value for tag, name, value in seen.attributes if tag == "a"}["href"]
    scheme = re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*:", re.sub(r"[\x00-\x20\x7f-\xa0]", "", link or ""))
    assert scheme is None or scheme[0].lower() in ("http:", "https:", "mailto:")


def test_a_template_that_did_not_escape_would_be_seen():
    careless = jinja2.Environment().from_string("<main>{{ x }}</main>")
    assert Seen(careless.render(x="<img src=x>")).tags == ["main", "img"]


def test_html_stays_html_and_dollars_are_no_mathematics():
    inner = render(template_of("<b>{{ x }}</b>"), x="$1 & more")
    assert render(template_of("<p>{{ x }}</p>"), x=inner) == "<p><b>&#36;1 &amp; more</b></p>"
    assert Html("<i>%s</i>") % "a\u202eb" == "<i>a\\u202eb</i>"
    assert Html("<br>").join(["<", "$"]) == "&lt;<br>&#36;"


@pytest.mark.parametrize(
    ("address", "leads"),
    [
        ("team-a.html#x", "team-a.html#x"),
        ("https://example.com/?a=1&b=2", "https://example.com/?a=1&amp;b=2"),
        ("JaVa\nScript:alert(1)", "#"),
        ("\x01javascript:alert(1)", "#"),
        ("data:text/html,<script>", "#"),
        ("vbscript:x", "#"),
    ],
)
def test_links_lead_only_where_links_may(address, leads):
    assert href(address) == leads


def test_line_ends_and_tabs_stay_all_other_control_characters_are_shown():
    assert visible("a\tb\nc\rd\x7f\u2028") == "a\tb\nc\\u000dd\\u007f\\u2028"
    assert escaped("\x1b[31m") == "\\u001b[31m"


def test_text_without_width_is_shown_and_joiners_stay():
    assert visible("pay\u200broll\xad\u2060") == "pay\\u200broll\\u00ad\\u2060"
    assert visible("a\U000e0069\U000e006e") == "a\\U000e0069\\U000e006e"
    family, word = "\U0001f468\u200d\U0001f469", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"
    assert visible(family + word) == family + word


def test_a_missing_value_is_an_error_and_escaping_cannot_be_switched_off():
    with pytest.raises(jinja2.UndefinedError):
        render(template_of("{{ missing }}"))
    with pytest.raises(jinja2.TemplateAssertionError):
        environment().from_string("{{ x | safe }}")


@pytest.mark.parametrize("path", sorted(TEMPLATES.glob("**/*.j2")), ids=lambda p: p.name)
def test_templates_quote_attributes_and_keep_escaping(path):
    text = path.read_text("utf-8")
    assert "autoescape" not in text
    assert not re.search(r"=\s*\{\{", text), "an attribute without quotes can be broken out of"
    assert not re.search(r"\bon\w+\s*=", text), "no handlers in templates"
    for script in re.findall(r"<script[^>]*>(.*?)</script>", text, re.S):
        assert all("| data" in piece for piece in re.findall(r"\{\{(.*?)\}\}", script)), "values reach scripts as data"
    environment().parse(text)


def test_data_is_exact_and_harmless():
    assert data({"a": "</script>'&"}) == '{"a":"\\u003c/script\\u003e\\u0027\\u0026"}'


def test_a_name_of_a_megabyte_is_shown_by_its_beginning():
    shown = escaped("<" * 1_000_000)
    assert shown == "&lt;" * 500 + "… (1,000,000 characters)"
    assert escaped("a" * 20_000) == "a" * 20_000
