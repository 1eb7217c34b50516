"""`init` writes a finops.toml that works with the credentials found, of each provider; `doctor` says what is missing."""

from __future__ import annotations

import logging
import tomllib

import pytest

import finops_ai as fa
from finops_ai.cli import main
from finops_ai.cli.setup import CREDENTIAL_SIGNS, STARTERS, section
from finops_ai.providers import registry

#: what an environment holds -> the section that must work, and settings it must have
ENVIRONMENTS = [
    ({"OPENAI_ADMIN_KEY": "s3cret", "OPENAI_ORG_ID": "org-7"}, "openai", {"organization_id": "org-7"}),
    ({"ANTHROPIC_ADMIN_KEY": "s3cret"}, "anthropic", {}),
    (
        {"AZURE_SUBSCRIPTION_ID": "sub-1", "AZURE_TENANT_ID": "t-1", "AZURE_CLIENT_SECRET": "s3cret"},
        "azure-openai",
        {"subscription_id": ["sub-1"], "tenant_id": "t-1"},
    ),
    (
        {"AWS_PROFILE": "finops", "AWS_REGION": "eu-west-1", "AWS_SECRET_ACCESS_KEY": "s3cret"},
        "bedrock",
        {"profile": "finops", "region": "eu-west-1"},
    ),
    ({"GOOGLE_CLOUD_PROJECT": "our-project"}, "vertex", {"project_id": "our-project"}),
    ({"OCI_CONFIG_FILE": "/somewhere/oci", "OCI_CLI_PROFILE": "FIN"}, "oci", {"profile": "FIN"}),
    (
        {"LITELLM_MASTER_KEY": "s3cret", "LITELLM_PROXY_URL": "http://127.0.0.1:9"},
        "litellm",
        {"api_key_env": "LITELLM_MASTER_KEY", "endpoint_url": "http://127.0.0.1:9"},
    ),
    ({"LITELLM_DATABASE_URL": "postgres://u:s3cret@127.0.0.1:9/db"}, "litellm", {}),
]


@pytest.fixture
def empty_home(tmp_path, monkeypatch):
    """A machine without any credentials, and a folder to work in."""
    for name in {v for signs in CREDENTIAL_SIGNS.values() for v in signs} | {
        v for lines in STARTERS.values() for _, variables, _, _ in lines for v in variables
    }:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def run(*words):
    with pytest.raises(SystemExit) as stopped:
        main(list(words))
    return stopped.value.code


@pytest.mark.parametrize(("environment", "connector", "expected"), ENVIRONMENTS)
def test_init_switches_on_what_the_environment_allows(
    empty_home, monkeypatch, capsys, environment, connector, expected
):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert run("init", "--name", "Acme") == 0
    text = (empty_home / "finops.toml").read_text("utf-8")
    assert "s3cret" not in text + capsys.readouterr().out
    ws = fa.open("finops.toml")
    assert ws.name == "Acme"
    assert list(ws.connections()) == [connector]
    settings = ws.connections()[connector].settings
    assert {name: getattr(settings, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("file", "connector"),
    [
        (".aws/config", "bedrock"),
        (".oci/config", "oci"),
        (".azure/azureProfile.json", "azure-openai"),
        (".config/gcloud/application_default_credentials.json", "vertex"),
    ],
)
def test_init_sees_the_vendors_own_logins(empty_home, tmp_path, file, connector):
    path = tmp_path / "home" / file
    path.parent.mkdir(parents=True)
    path.write_text("anything")
    assert run("init") == 0
    assert list(fa.open(empty_home).connections()) == [connector]


def test_without_credentials_everything_is_commented_and_doctor_says_so(empty_home, capsys):
    assert run("init") == 0
    assert "No credentials were found" in capsys.readouterr().out
    assert fa.open(empty_home).name == "work"
    assert fa.open(empty_home).connections() == {}
    assert run("doctor") == 0
    assert "note connections: none is switched on" in capsys.readouterr().out


@pytest.mark.parametrize("connector", sorted(registry().connectors))
def test_every_commented_setting_is_one_the_connector_has(connector):
    text = "\n".join(line.removeprefix("# ") for line in section(connector, []).splitlines())
    given = tomllib.loads(text)["providers"][connector]
    assert set(given) - {"telemetry"} <= set(registry().connectors[connector].Settings.model_fields)


def test_doctor_asks_each_connection_once_and_fast(empty_home, capsys, monkeypatch):
    (empty_home / "finops.toml").write_text('[providers.openai]\nendpoint_url = "http://127.0.0.1:9"\n')
    monkeypatch.setenv("OPENAI_ADMIN_KEY", "sk-admin-s3cret")
    assert run("doctor") == 1
    said = capsys.readouterr().out
    assert "after 1 try" in said
    assert "s3cret" not in said
    assert "1 thing to fix." in said


def test_vendors_warnings_are_quiet_unless_asked_for(empty_home):
    run("providers")
    assert logging.getLogger("azure").level == logging.ERROR


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--only", "showbak"], "Did you mean 'showback'"),
        (["-p", "tops=3"], "Did you mean 'top'"),
        (["-p", "top=many"], "parameter top must be int"),
        (["--month", "2026-13"], "Not a month: '2026-13'"),
    ],
)
def test_a_report_refuses_a_mistake_before_it_works(empty_home, capsys, monkeypatch, words, said):
    monkeypatch.setattr("finops_ai.cli.reporting._workspace", lambda *_: pytest.fail("the work had begun"))
    assert run("report", "--sample", *words) == 2
    assert said in capsys.readouterr().err
