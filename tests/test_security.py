"""docs/security.md promises nothing without a test, and nothing secret is under version control."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "security.md"

#: credentials as their makers write them; the tests' own are made up and say so
SECRETS = re.compile(
    r"AKIA[0-9A-Z]{16}|ASIA[0-9A-Z]{16}|sk-(?:admin|ant|proj)-[A-Za-z0-9_-]{20,}|sk-[A-Za-z0-9]{40,}|AIza[0-9A-Za-z_-]{35}"
    r"|ya29\.[0-9A-Za-z_-]{20,}|gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{40,}|xox[abprs]-[A-Za-z0-9-]{20,}"
    r"|-----BEGIN (?:RSA |EC |OPENSSH |)PRIVATE KEY-----\n[A-Za-z0-9+/=\n]{200,}|eyJ[A-Za-z0-9_-]{20,}\.eyJ[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{20,}"
    r"|AccountKey=[A-Za-z0-9+/=]{60,}|[?&]sig=[A-Za-z0-9%]{40,}"
)


def secrets_in(text: str) -> list[str]:
    return [
        m for m in SECRETS.findall(text) if not re.search(r"(?i)example|test|fake|secret|0123456789|abcdef|xxxx", m)
    ]


def under_version_control() -> list[Path]:
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs git and a checkout")
    return [ROOT / name for name in listed.split("\0") if name]


def test_no_secret_is_committed():
    found = {}
    for path in under_version_control():
        if (
            path.is_file()
            and path.stat().st_size < 5_000_000
            and (hits := secrets_in(path.read_text("utf-8", "replace")))
        ):
            found[str(path.relative_to(ROOT))] = [hit[:12] for hit in hits]
    assert found == {}


def test_a_secret_would_be_seen():
    assert secrets_in('key = "AKIA' + "QWERTYUIOPASDFGH" + '"')
    assert secrets_in("-----BEGIN PRIVATE KEY-----\n" + "MIIEvQIBADANBgkq" * 20)
    assert not secrets_in("AKIAIOSFODNN7EXAMPLE")


def promises() -> list[tuple[str, str]]:
    """Each line of the page's tables with the test it names."""
    found = []
    for line in PAGE.read_text("utf-8").splitlines():
        if line.startswith("| ") and (named := re.search(r"\| `(tests/[^`]+)` \|$", line)):
            found.append((line.split("|")[1].strip(), named[1]))
    return found


def test_every_line_has_a_proof():
    text = PAGE.read_text("utf-8")
    tables = [t for t in re.split(r"\n\n", text) if t.startswith("| threat |")]
    lines = [line for t in tables for line in t.splitlines()[2:]]
    assert len(lines) == len(promises()) >= 25


@pytest.mark.parametrize(("threat", "proof"), promises())
def test_the_proof_is_there(threat, proof):
    path, _, name = proof.partition("::")
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    tests = {
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }
    assert tests, threat
    assert not name or name in tests, f"{threat}: {proof}"


def test_limits_and_settings_the_page_names_exist():
    from finops_ai.config import LimitsSettings
    from finops_ai.providers import ConnectorSettings

    text = PAGE.read_text("utf-8")
    for name in ("depth", "digits", "answer_bytes", "answer_seconds"):
        assert f"`{name}`" in text or f"[limits] {name}`" in text
        assert name in LimitsSettings.model_fields
    assert "allow_plain_http" in ConnectorSettings.model_fields


def test_the_bill_of_materials_holds_what_is_installed(tmp_path):
    import json
    import sys
    from importlib.metadata import version

    subprocess.run([sys.executable, str(ROOT / "scripts" / "sbom.py"), str(tmp_path / "sbom.json")], check=True)
    parts = {c["name"]: c["version"] for c in json.loads((tmp_path / "sbom.json").read_text())["components"]}
    assert parts["deltalake"] == version("deltalake")
    assert parts["finops-ai-core"] == version("finops-ai-core")
