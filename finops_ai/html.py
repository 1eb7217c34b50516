"""HTML of this package is made by templates that escape by themselves: what comes from outside stays text.

A template lies in `finops_ai/templates/` and gets values; whatever it prints is escaped, unless it is `Html` already, such
as what another template made. Data for a script goes through the filter `data`, an address through the filter `href`.

>>> HELLO = template_of("<p title='{{ team }}'>{{ team }}</p>")
>>> render(HELLO, team="<b>R&D</b> $1")
Html("<p title='&lt;b&gt;R&amp;D&lt;/b&gt; &#36;1'>&lt;b&gt;R&amp;D&lt;/b&gt; &#36;1</p>")
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, Self

import jinja2
from markupsafe import Markup

from finops_ai.marks import visible

TEMPLATES = Path(__file__).parent / "templates"
#: addresses that may stand in a link: inside the report, or a page of the web
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:")
_ALLOWED = ("http:", "https:", "mailto:")


#: characters that no name or sentence has; of more a page shows the first, because browsers take minutes over a megabyte
LONGEST, SHOWN = 20_000, 500


def escaped(value: object) -> str:
    """Text from outside as HTML, for element content and quoted attributes; never mathematics, nothing hidden.

    >>> escaped("<i>'$x$'</i>")
    '&lt;i&gt;&#x27;&#36;x&#36;&#x27;&lt;/i&gt;'
    """
    text = str(value)
    if len(text) > LONGEST:
        text = f"{text[:SHOWN]}… ({len(text):,} characters)"
    return html.escape(visible(text), quote=True).replace("$", "&#36;")


class Html(Markup):
    """Text that is HTML already. What is put into it by `%`, `.format`, `.join` or `+` is escaped.

    >>> Html("<b>{}</b>").format("<$>")
    Html('<b>&lt;&#36;&gt;</b>')
    """

    __slots__ = ()

    @classmethod
    def escape(cls, s: object, /) -> Self:
        """The value as HTML; what is HTML already stays as it is."""
        return cls(s.__html__()) if hasattr(s, "__html__") else cls(escaped(s))


def data(value: object) -> Html:
    r"""A value as JSON for a script or a quoted attribute: it can't end either; exact decimals are text.

    >>> data({"team": "</script>&"})
    Html('{"team":"\\u003c/script\\u003e\\u0026"}')
    """
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=True, default=str)
    for sign in "<>&'":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Html(text)


def href(address: object) -> Html:
    """An address for a link: relative, http, https or mailto; any other scheme, such as javascript, leads nowhere.

    >>> href("team-a.html"), href(" javascript:alert(1)")
    (Html('team-a.html'), Html('#'))
    """
    text = str(address)
    # browsers drop blanks and control characters before they look at the scheme
    bare = re.sub(r"[\x00-\x20\x7f-\xa0]", "", text)
    scheme = _SCHEME.match(bare)
    return Html(escaped(text)) if scheme is None or scheme[0].lower() in _ALLOWED else Html("#")


def _finalize(value: object) -> Any:
    return Html.escape(value)


def _join(values: Iterable[Any], by: object = "") -> Html:
    return Html.escape(by).join(values)


@cache
def environment() -> jinja2.Environment:
    """The one environment of all templates: escaping is on everywhere, a missing value is an error."""
    env = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters |= {"data": data, "href": href, "join": _join, "escape": Html.escape, "e": Html.escape}
    del env.filters["safe"]  # a template can't switch escaping off
    return env


@cache
def template_of(source: str) -> jinja2.Template:
    """A template from its text, for pieces too small for a file."""
    return environment().from_string(source)


def render(template: str | jinja2.Template, **values: object) -> Html:
    """Fill a template.

    Args:
        template: name of a file in `finops_ai/templates/`, or what `template_of` gave.
        **values: what it prints; text is escaped, `Html` is not.

    Returns:
        HTML.
    """
    found = environment().get_template(template) if isinstance(template, str) else template
    return Html(visible(found.render(**values)))  # marks that came in through a template's own operators, too


__all__ = ["Html", "data", "environment", "escaped", "href", "render", "template_of"]
