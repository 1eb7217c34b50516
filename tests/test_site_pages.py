"""The documentation site: every page has its place, and links are turned to where pages stand in it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
SPEC = importlib.util.spec_from_file_location("site_pages", ROOT / "scripts" / "site.py")
assert SPEC is not None
assert SPEC.loader is not None
site = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(site)


def test_every_page_stands_in_the_navigation(tmp_path, monkeypatch):
    monkeypatch.setattr(site, "STAGE", tmp_path / "pages")
    known = site.stage()
    path = site.settings(known)
    named = {
        page
        for section in yaml.safe_load(path.read_text("utf-8"))["nav"]
        for pages in section.values()
        for page in pages
    }
    assert {
        "index.md",
        "docs/for/finance.md",
        "docs/glossary.md",
        "plugins/openai.md",
        "docs/reference/README.md",
    } <= named
    for page in named:
        assert (tmp_path / "pages" / page).is_file(), page


def test_links_are_turned_to_the_pages_of_the_site():
    known = site.pages()
    assert site.turned("[a](../plugins/oci/README.md#x)", "docs/providers.md", known) == "[a](../plugins/oci.md#x)"
    assert site.turned('[a](docs/prices.md) <img src="docs/images/report.png">', "README.md", known) == (
        '[a](docs/prices.md) <img src="docs/images/report.png">'
    )
    assert site.turned("[a](docs/decisions)", "README.md", known) == "[a](docs/decisions/index.md)"
    assert (
        site.turned("```toml file=a.toml\n[x](y.md)\n```", "docs/prices.md", known)
        == '```toml title="a.toml"\n[x](y.md)\n```'
    )
