"""`finops-ai new-plugin NAME`: a connector plugin that passes the conformance kit, to start one's own from."""

from __future__ import annotations

import keyword
import re
from pathlib import Path

import click

#: what the template calls itself -> how the new plugin's name is spelt there
SPELLINGS = {
    "finops_ai_template": "finops_ai_{module}",
    "TEMPLATE_API_KEY": "{upper}_API_KEY",
    "TemplateConnector": "{camel}Connector",
    "TemplateSettings": "{camel}Settings",
    "TestTemplate": "Test{camel}",
    "test_template": "test_{module}",
    "Template": "{title}",
    "template": "{name}",
}


@click.command("new-plugin")
@click.argument("name")
@click.option("--title", default=None, help="Name people read. Default: the name, capitalised.")
@click.option("--into", default=".", type=click.Path(file_okay=False), help="Folder to put finops-ai-NAME into.")
def new_plugin(name: str, title: str | None, into: str) -> None:
    """Write a plugin for the provider NAME (lower case, such as acme) that passes the conformance kit.

    \b
    finops-ai new-plugin acme
    cd finops-ai-acme && pip install -e '.[test]' && pytest
    """
    from finops_ai.errors import SettingsError

    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) or keyword.iskeyword(name):
        raise SettingsError(f"A plugin's name is lower-case letters, digits and hyphens, such as acme; got {name!r}.")
    target = Path(into) / f"finops-ai-{name}"
    if target.exists():
        raise SettingsError(f"{target} is there already. Choose another name or folder.")
    written = copy_template(template_folder(), target, name, title or name.replace("-", " ").title())
    click.echo(f"Wrote {len(written)} files to {target}. Next:")
    click.echo(f"  cd {target} && pip install -e '.[test]' && pytest")
    click.echo(f"  edit src/finops_ai_{name.replace('-', '_')}/__init__.py: addresses, fields and counts of the API")


def template_folder() -> Path:
    """Where the template plugin is: inside the installed package, or beside it in a checkout."""
    import finops_ai
    from finops_ai.errors import DataError

    package = Path(finops_ai.__file__).parent
    for folder in (package / "plugin_template", package.parent / "plugins" / "template"):
        if (folder / "pyproject.toml").is_file():
            return folder
    raise DataError(f"The template plugin is missing beside {package}. Install finops-ai-core again.")


def copy_template(source: Path, target: Path, name: str, title: str) -> list[Path]:
    """Copy the template under a new name.

    Args:
        source: the template's folder.
        target: folder to make.
        name: connector name, lower case.
        title: name people read.

    Returns:
        The files written.
    """
    module = name.replace("-", "_")
    camel = "".join(part.capitalize() for part in name.split("-"))
    words = {"name": name, "title": title, "module": module, "upper": module.upper(), "camel": camel}
    swaps = {old: new.format(**words) for old, new in SPELLINGS.items()}
    old_word = re.compile("|".join(map(re.escape, swaps)))

    def renamed(text: str) -> str:
        return old_word.sub(lambda match: swaps[match[0]], text)

    written = []
    for path in sorted(source.rglob("*")):
        inner = path.relative_to(source)
        if not path.is_file() or any(re.match(r"\.|__pycache__|dist$|build$", part) for part in inner.parts):
            continue
        place = target / renamed(str(inner))
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(renamed(path.read_text("utf-8")), encoding="utf-8")
        written.append(place)
    return written
