"""`finops-ai init`, `doctor` and `providers`: from nothing to a workspace that works."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from finops_ai.cli.collecting import config_option

if TYPE_CHECKING:
    from finops_ai.providers import Registry

#: connector -> environment variables any one of which shows that credentials may be there
CREDENTIAL_SIGNS = {
    "openai": ["OPENAI_ADMIN_KEY"],
    "anthropic": ["ANTHROPIC_ADMIN_KEY", "ANTHROPIC_ANALYTICS_KEY"],
    "azure-openai": ["AZURE_CLIENT_ID", "AZURE_SUBSCRIPTION_ID"],
    "bedrock": ["AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_ROLE_ARN"],
    "vertex": ["GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT"],
    "oci": ["OCI_CONFIG_FILE", "OCI_CLI_TENANCY"],
    "litellm": ["LITELLM_DATABASE_URL", "LITELLM_MASTER_KEY"],
}

TEMPLATE = """\
# Settings of finops_ai. Secrets don't belong here: they come from the environment or the vendor's own login.

[workspace]
name = "{name}"
currency = "USD"
timezone = "UTC"            # decides which day and month a call belongs to
lake = "finops-lake"        # a folder, or s3://bucket/path, gs://..., abfs://...
reports = "reports"
# prices = "prices.toml"    # your contract: discounts and own rates, laid over the list prices

# One section per connection. `finops-ai providers` lists what is installed, `finops-ai doctor` checks each.
{providers}
# Business dimensions, in order. Every cost gets a value in each; what no rule reaches is "unallocated".
[dimensions.team]
default = "unallocated"

# Ordered rules; per dimension the first that matches decides. Conditions are all-of; a condition is a value, a list,
# {{ prefix = "..." }} or {{ regex = "..." }} on any column or "tags.KEY".
[[rules]]
name = "team tag"
when = {{ "tags.team" = {{ regex = ".+" }} }}
set = {{ team = "{{tags.team}}" }}

# [[rules]]
# name = "search team's key"
# when = {{ provider = "openai", api_key_id = "key_abc" }}
# set = {{ team = "search" }}
"""


@click.command()
@click.argument("folder", default=".", type=click.Path(file_okay=False))
@click.option("--name", default=None, help="Company or team name printed on reports. Default: the folder's name.")
@click.option("--force", is_flag=True, help="Overwrite a finops.toml that is there.")
def init(folder: str, name: str | None, force: bool) -> int:
    """Write a commented finops.toml into FOLDER, with a section for each provider whose credentials are found."""
    import tomllib

    from finops_ai.errors import SettingsError
    from finops_ai.providers import registry

    target = Path(folder) / "finops.toml"
    if target.exists() and not force:
        raise SettingsError(f"{target} is there already. Edit it, or overwrite it with --force.")
    sections = []
    for connector in sorted(registry().connectors):
        signs = [v for v in CREDENTIAL_SIGNS.get(connector, []) if os.environ.get(v)]
        if signs:
            sections.append(f"[providers.{connector}]        # found {', '.join(signs)} in the environment\n")
            click.echo(f"{connector}: credentials found ({', '.join(signs)})")
        else:
            sections.append(
                f'# [providers.{connector}]\n# files = ["exports/{connector}/*"]   # saved exports; leave out to ask the provider itself\n'
            )
    safe = "".join(ch for ch in (name or Path(folder).resolve().name) if ch.isprintable() and ch not in '"\\')
    text = TEMPLATE.format(name=safe, providers="\n".join(sections))
    tomllib.loads(text)
    Path(folder).mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    click.echo(
        f"Wrote {target}. Next: `finops-ai doctor`, then `finops-ai collect --month YYYY-MM` and `finops-ai report`."
    )
    return 0


@click.command()
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
def providers(form: str) -> int:
    """List installed connectors and what they read, and the plugins that were left out with the reason."""
    import json

    from finops_ai.providers import Connector
    from finops_ai.providers.registry import describe

    found = _registry_that_shows_its_failures()
    rows = [
        {
            "name": name,
            "title": cls.title,
            "reads": "usage and bills" if cls.bills is not Connector.bills else "usage",
            "from": found.origins[name],
        }
        for name, cls in sorted(found.connectors.items())
    ]
    broken = [{"name": name, "error": describe(error)} for name, error in sorted(found.broken.items())]
    if form == "json":
        click.echo(json.dumps({"providers": rows, "left_out": broken}, indent=1))
        return 0
    width = max([len(r["name"]) for r in rows] + [8])
    for row in rows:
        click.echo(f"{row['name']:<{width}}  {row['reads']:<15}  {row['title']}  ({row['from']})")
    for row in broken:
        click.echo(f"{row['name']:<{width}}  left out: {row['error']}")
    if not rows and not broken:
        click.echo("No provider plugins are installed. Install one, such as finops-ai-openai.")
    return 0


@click.command()
@config_option
def doctor(config: str) -> int:
    """Check the installation, finops.toml, each connection and the data; say how to fix what is wrong."""
    problems = 0

    def line(ok: bool | None, what: str, detail: str = "", fix: str = "") -> None:
        nonlocal problems
        problems += ok is False
        mark = {True: "ok  ", False: "FIX ", None: "note"}[ok]
        click.echo(f"{mark} {what}{': ' + detail if detail else ''}")
        if fix and ok is not True:
            click.echo(f"     -> {fix}")

    line(sys.version_info >= (3, 11), "Python", sys.version.split()[0], "Use Python 3.11 or newer.")
    _check_names(line)
    browser = next((b for b in ("chromium", "chromium-browser", "google-chrome", "chrome") if shutil.which(b)), None)
    line(
        True if browser else None,
        "Chromium for PDF",
        browser or "not found",
        "Optional: reports are HTML; install Chromium to get PDF too.",
    )
    _check_plugins(line)
    if not Path(config).exists():
        line(None, config, "not there", "`finops-ai init` writes one; `finops-ai report --sample` works without.")
    else:
        _check_workspace(line, config)
    click.echo("Everything needed is there." if not problems else f"{problems} thing{'s' * (problems > 1)} to fix.")
    return 1 if problems else 0


def _check_names(line: Any) -> None:
    """The name `finops-ai` on the public index belongs to strangers whose package also installs `finops_ai`."""
    from importlib.metadata import PackageNotFoundError, distribution, version

    line(True, "finops-ai-core", version("finops-ai-core"))
    try:
        stranger = distribution("finops-ai")
    except PackageNotFoundError:
        return
    line(
        False,
        "the distribution 'finops-ai'",
        f"{stranger.version} is installed and is somebody else's",
        "pip uninstall finops-ai, then install finops-ai-core again.",
    )


def _registry_that_shows_its_failures() -> Registry:
    """The registry, without the warnings about plugins left out: the caller lists them itself."""
    import logging

    from finops_ai.providers import registry

    log = logging.getLogger("finops_ai.providers")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        return registry()
    finally:
        log.setLevel(level)


def _check_plugins(line: Any) -> None:
    from finops_ai.providers.registry import describe

    found = _registry_that_shows_its_failures()
    line(
        bool(found.connectors),
        "provider plugins",
        ", ".join(sorted(found.connectors)) or "none",
        "Install one, such as finops-ai-openai.",
    )
    for name, error in found.broken.items():
        line(False, f"plugin {name}", describe(error), "Tell its author, or uninstall it.")


def _check_workspace(line: Any, config: str) -> None:
    import finops_ai as fa
    from finops_ai.errors import FinopsError

    try:
        ws = fa.open(config)
        line(True, config, ws.name)
        connections = ws.connections()
    except FinopsError as error:
        line(False, config, str(error))
        return
    for what, load in (("mapping rules", lambda: ws.rules), ("price book", lambda: ws.book)):
        try:
            load()
            line(True, what)
        except FinopsError as error:
            line(False, what, str(error))
    for name, connector in connections.items():
        try:
            findings = connector.doctor()
        except FinopsError as error:
            line(False, f"[providers.{name}]", str(error))
            continue
        if not findings:
            line(True, f"[providers.{name}]", "settings are fine")
        for finding in findings:
            line(finding.ok, f"[providers.{name}] {finding.what}", finding.detail, finding.fix)
    try:
        fresh = ws.lake.freshness()
    except FinopsError as error:
        line(False, "lake", str(error))
        return
    if fresh.empty:
        line(None, "lake", "empty", "`finops-ai collect --month YYYY-MM` loads a month.")
    for row in fresh.itertuples():
        line(
            True,
            f"data of {row.connection}",
            f"{row.first:%Y-%m-%d} to {row.last:%Y-%m-%d %H:%M} UTC, {row.rows:,} rows",
        )
