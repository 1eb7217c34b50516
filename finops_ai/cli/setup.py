"""`finops-ai init`, `doctor` and `providers`: from nothing to a workspace that works."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import click

from finops_ai.cli.collecting import config_option

if TYPE_CHECKING:
    from finops_ai.providers import Registry

#: connector -> variables and files any one of which shows that credentials may be there
CREDENTIAL_SIGNS = {
    "openai": ["OPENAI_ADMIN_KEY"],
    "anthropic": ["ANTHROPIC_ADMIN_KEY", "ANTHROPIC_ANALYTICS_KEY"],
    "azure-openai": ["AZURE_CLIENT_ID", "AZURE_SUBSCRIPTION_ID", "~/.azure/azureProfile.json"],
    "bedrock": ["AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_ROLE_ARN", "~/.aws/credentials", "~/.aws/config"],
    "vertex": [
        "GOOGLE_APPLICATION_CREDENTIALS",
        "GOOGLE_CLOUD_PROJECT",
        "~/.config/gcloud/application_default_credentials.json",
    ],
    "oci": ["OCI_CONFIG_FILE", "OCI_CLI_TENANCY", "~/.oci/config"],
    "litellm": ["LITELLM_DATABASE_URL", "LITELLM_API_KEY", "LITELLM_MASTER_KEY"],
}

#: connector -> settings worth a line: (setting, variables that may hold it, example, what it is); never a secret
STARTERS: dict[str, list[tuple[str, tuple[str, ...], str, str]]] = {
    "openai": [
        ("organization_id", ("OPENAI_ORG_ID", "OPENAI_ORGANIZATION"), "org-...", "billing account of every row")
    ],
    "anthropic": [
        ("organization_id", ("ANTHROPIC_ORGANIZATION_ID",), "...", "billing account of every row"),
        ("api_key_env", (), "ANTHROPIC_ANALYTICS_KEY", "the variable that holds the key, if it has another name"),
    ],
    "azure-openai": [
        ("subscription_id", ("AZURE_SUBSCRIPTION_ID",), "...", "needed; az account show --query id"),
        ("tenant_id", ("AZURE_TENANT_ID",), "...", "where the identity knows several"),
        (
            "export_url",
            (),
            "https://ACCOUNT.blob.core.windows.net/...",
            "a cost export, better than asking Cost Management",
        ),
    ],
    "bedrock": [
        ("region", ("AWS_REGION", "AWS_DEFAULT_REGION"), "us-east-1", "where CloudWatch and the logs are"),
        ("profile", ("AWS_PROFILE",), "...", "of the AWS configuration"),
        ("export_s3_uri", (), "s3://bucket/prefix/export", "Cost and Usage Report 2.0: the bill"),
    ],
    "vertex": [
        ("project_id", ("GOOGLE_CLOUD_PROJECT",), "...", "runs the queries; Cloud Monitoring is asked for it"),
        ("billing_dataset", (), "project.dataset", "of the billing export to BigQuery: the bill"),
    ],
    "oci": [
        ("config_file", ("OCI_CONFIG_FILE",), "~/.oci/config", "of the OCI SDK"),
        ("profile", ("OCI_CLI_PROFILE",), "DEFAULT", "in that file"),
        ("region", ("OCI_CLI_REGION",), "eu-frankfurt-1", "the tenancy's home region"),
    ],
    "litellm": [
        (
            "endpoint_url",
            ("LITELLM_PROXY_URL", "LITELLM_BASE_URL"),
            "https://llm.example.com",
            "the proxy, for its API",
        ),
        ("api_key_env", (), "LITELLM_MASTER_KEY", "the variable that holds the key, if it isn't LITELLM_API_KEY"),
        ("telemetry", (), "true", "if the providers behind it are collected too: it then splits their cost"),
    ],
    "otel": [("telemetry", (), "true", "if the providers that bill these calls are collected too")],
    "focus": [],
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

# Where a month's rows are added up: in this process, or by a cluster that reads the lake where it is. Tables stay the same.
# [engine]
# name = "duckdb"                         # or "spark", "bigquery"; docs/scale.md tells when
# remote = "sc://spark.internal:15002"    # Spark: a cluster, or "databricks"; nothing = a session on this machine
# project = "acme-finops"                 # BigQuery: who runs and pays the queries,
# dataset = "finops"                      # and where the lake is an external table
# cells = 200_000                         # rows a month's cube stays below; finer columns are left out first
# [engine.options]
# memory_limit = "2GB"                    # of DuckDB, or of the Spark session

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
@click.option("--sample", is_flag=True, help="The sample company's workspace, loaded, to try every command in.")
def init(folder: str, name: str | None, force: bool, sample: bool) -> int:
    """Write a commented finops.toml into FOLDER, with a section for each provider whose credentials are found.

    \b
    finops-ai init                       here
    finops-ai init finance --name Acme   in a folder of its own
    finops-ai init --sample              the sample company, thirteen months loaded

    Looks for environment variables and the vendors' own login files; reads no secret and stores none.
    """
    import tomllib

    from finops_ai.errors import SettingsError
    from finops_ai.providers import registry

    target = Path(folder) / "finops.toml"
    if target.exists() and not force:
        raise SettingsError(f"{target} is there already. Edit it, or overwrite it with --force.")
    if sample:
        from finops_ai.sample.workspace import copy_to

        target = copy_to(folder, say=lambda text: click.echo(text, err=True))
        where = "" if folder == "." else f"cd {folder}, then "
        click.echo(f"Wrote {target} and loaded it. Next: {where}`finops-ai showback --by team,model --month 2026-10`.")
        return 0
    connectors = registry().connectors
    found = {c: signs for c in connectors if (signs := credentials_of(c))}
    for connector, signs in sorted(found.items()):
        click.echo(f"{connector}: credentials found ({', '.join(signs)})")
    if not found:
        click.echo("No credentials were found here. Uncomment the sections you need and fill them in.")
    sections = [section(c, found.get(c, [])) for c in sorted(connectors, key=lambda c: (c not in found, c))]
    safe = "".join(ch for ch in (name or Path(folder).resolve().name) if ch.isprintable() and ch not in '"\\')
    text = TEMPLATE.format(name=safe, providers="\n".join(sections))
    tomllib.loads(text)
    Path(folder).mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    click.echo(
        f"Wrote {target}. Next: `finops-ai doctor`, then `finops-ai collect --month YYYY-MM` and `finops-ai report`."
    )
    return 0


def credentials_of(connector: str) -> list[str]:
    """Where credentials of a connector may be: variables that are set and files that are there; no value is read."""
    signs = CREDENTIAL_SIGNS.get(connector, [])
    return [s for s in signs if (Path(s).expanduser().is_file() if s.startswith("~") else os.environ.get(s))]


def section(connector: str, signs: list[str]) -> str:
    """A connection's section: in force where credentials were found, else commented out."""
    import json

    off = "" if signs else "# "
    lines = [f"{off}[providers.{connector}]" + (f"        # found {', '.join(signs)}" if signs else "")]
    if connector == "litellm" and signs == ["LITELLM_MASTER_KEY"]:
        lines.append('api_key_env = "LITELLM_MASTER_KEY"')
    for setting, variables, example, about in STARTERS.get(connector, []):
        held = next((os.environ[v] for v in variables if os.environ.get(v)), "") if signs else ""
        value = json.dumps(held or example) if example != "true" else example
        if not any(line.startswith(f"{setting} =") for line in lines):
            lines.append(f"{'' if held else '# '}{setting} = {value}    # {about}")
    lines.append(f'# files = ["exports/{connector}/*"]    # saved exports instead of asking the provider')
    return "\n".join(lines) + "\n"


@click.command()
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
def providers(form: str) -> int:
    """List installed connectors and what they read, and the plugins that were left out with the reason.

    \b
    finops-ai providers
    finops-ai providers --format json
    """
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
    """Check the installation, finops.toml, each connection and the data; say how to fix what is wrong.

    \b
    finops-ai doctor
    finops-ai doctor --config /srv/finops/finops.toml

    Each connection is asked once, with one cheap call. Exits with 1 if anything is to fix. Secrets are never shown.
    """
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


class Line(Protocol):
    """Prints one line of what was looked at."""

    def __call__(self, ok: bool | None, what: str, detail: str = "", fix: str = "") -> None: ...


def _check_names(line: Line) -> None:
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


def _check_plugins(line: Line) -> None:
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


def _check_workspace(line: Line, config: str) -> None:
    import finops_ai as fa
    from finops_ai.errors import FinopsError
    from finops_ai.providers.border import asked
    from finops_ai.tables.policy import Policy

    left_out: dict[str, FinopsError] = {}
    try:
        ws = fa.open(config)
        line(True, config, ws.name)
        connections = ws.connections(left_out)
    except FinopsError as error:
        line(False, config, str(error))
        return
    for name, reason in left_out.items():
        line(False, f"[providers.{name}]", str(reason))
    loads: dict[str, Callable[[], object]] = {"mapping rules": lambda: ws.rules, "price book": lambda: ws.book}
    if policy := ws.settings.policies.get("chargeback"):
        loads["chargeback policy"] = lambda: Policy.load(policy).check_dimension(ws.rules.dimensions)
    for what, load in loads.items():
        try:
            load()
            line(True, what)
        except FinopsError as error:
            line(False, what, str(error))
    if not connections:
        line(
            None,
            "connections",
            "none is switched on",
            "Uncomment a [providers.NAME] section, or try a file: `finops-ai report --input FILE --mapping FILE`.",
        )
    for name, connector in connections.items():
        connector.settings.max_retries = 0  # somebody is waiting
        try:
            findings = asked(connector.doctor, connector, name, "doctor")
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
