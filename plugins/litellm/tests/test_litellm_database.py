"""Spend logs straight from a PostgreSQL that holds the gateway's tables."""

from __future__ import annotations

import getpass
import glob
import json
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from finops_ai_litellm import LiteLLMConnector

from finops_ai.errors import CredentialsError, ProviderError, ProviderUnavailable
from finops_ai.periods import Window

pytestmark = pytest.mark.slow
DAYS = Window.of("2026-10-01", "2026-10-04")
PASSWORD = "played-database-password"

TABLES = """
CREATE TABLE "LiteLLM_SpendLogs" (
  request_id text PRIMARY KEY, call_type text NOT NULL, api_key text NOT NULL DEFAULT '', spend double precision NOT NULL,
  total_tokens integer NOT NULL, prompt_tokens integer NOT NULL, completion_tokens integer NOT NULL,
  "startTime" timestamp(3) NOT NULL, "endTime" timestamp(3) NOT NULL, model text NOT NULL DEFAULT '', model_id text,
  model_group text, custom_llm_provider text, "user" text, metadata jsonb, cache_hit text, request_tags jsonb,
  team_id text, organization_id text, end_user text, messages jsonb, response jsonb, proxy_server_request jsonb,
  session_id text, status text);
CREATE TABLE "LiteLLM_DailyTeamSpend" (
  id text PRIMARY KEY, team_id text, date text NOT NULL, api_key text NOT NULL, model text, model_group text,
  custom_llm_provider text, prompt_tokens bigint, completion_tokens bigint, cache_read_input_tokens bigint,
  cache_creation_input_tokens bigint, spend double precision, api_requests bigint);
CREATE TABLE "Strange" (request_id text);
CREATE USER reader PASSWORD 'played-database-password';
GRANT SELECT ON "LiteLLM_SpendLogs", "LiteLLM_DailyTeamSpend", "Strange" TO reader;
CREATE USER stranger PASSWORD 'played-database-password';
INSERT INTO "LiteLLM_DailyTeamSpend" VALUES
  ('1', 'search', '2026-10-01', 'h', 'gpt-5.4', 'g', 'openai', 1000, 200, 600, 100, 0.1, 7),
  ('2', 'search', '2026-10-04', 'h', 'gpt-5.4', 'g', 'openai', 1, 1, 0, 0, 0.1, 1);
"""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Address of a database server on loopback, without user and database."""
    found = [shutil.which("initdb") or "", *sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))]
    programs = [Path(p).parent for p in found if p and (Path(p).parent / "postgres").exists()]
    if not programs:
        pytest.skip("no PostgreSQL server is installed here (apt-get install postgresql)")
    owner = {"user": "postgres"} if getpass.getuser() == "root" else {}
    folder = Path(tempfile.mkdtemp(prefix="finops-pg-"))
    if owner:
        shutil.chown(folder, "postgres")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "Asia/Tokyo"}
    quiet: dict[str, Any] = {
        "stdout": subprocess.DEVNULL,
        "stderr": subprocess.DEVNULL,
        "env": environment,
        "cwd": folder,
        **owner,
    }
    password = folder / "password"
    password.write_text(PASSWORD)
    if owner:
        shutil.chown(password, "postgres")
    make = [
        programs[-1] / "initdb",
        "-D",
        folder / "data",
        "-U",
        "admin",
        "-A",
        "scram-sha-256",
        "--pwfile",
        password,
        "-N",
    ]
    subprocess.run(make, check=True, **quiet)
    options = ["-h", "127.0.0.1", "-p", str(port), "-c", "fsync=off", "-k", str(folder)]
    process = subprocess.Popen([programs[-1] / "postgres", "-D", folder / "data", *options], **quiet)
    try:
        _wait(f"postgresql://admin:{PASSWORD}@127.0.0.1:{port}/postgres")
        yield f"127.0.0.1:{port}/postgres"
    finally:
        process.terminate()
        process.wait(20)
        shutil.rmtree(folder, ignore_errors=True)


def _wait(address: str) -> None:
    import time

    import psycopg

    for _ in range(600):  # a minute: a loaded machine takes its time
        try:
            psycopg.connect(address).close()
            return
        except psycopg.OperationalError:
            time.sleep(0.1)
    raise RuntimeError("the database server doesn't come up")


@pytest.fixture(scope="module")
def tables(server: str) -> str:
    """The server, with the gateway's tables in it."""
    import psycopg

    with psycopg.connect(f"postgresql://admin:{PASSWORD}@{server}", autocommit=True) as connection:
        connection.execute(TABLES)
    return server


@pytest.fixture
def database(tables: str, logs: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> str:
    """The address in the environment, and the usual rows in the table."""
    import psycopg

    with psycopg.connect(f"postgresql://admin:{PASSWORD}@{tables}", autocommit=True) as connection:
        connection.execute('TRUNCATE "LiteLLM_SpendLogs"')
        for row in logs:
            values = {k: json.dumps(v) if isinstance(v, dict | list) else v for k, v in row.items()}
            names = ", ".join(f'"{name}"' for name in values)
            marks = ", ".join(["%s"] * len(values))
            connection.execute(f'INSERT INTO "LiteLLM_SpendLogs" ({names}) VALUES ({marks})', list(values.values()))
    monkeypatch.setenv("LITELLM_DATABASE_URL", f"postgresql://reader:{PASSWORD}@{tables}")
    return tables


def test_the_table_reads_as_the_exported_rows_do(database: str, tmp_path: Path, logs: list[dict[str, Any]]) -> None:
    (tmp_path / "logs.jsonl").write_text("\n".join(json.dumps(row) for row in logs))
    expected = LiteLLMConnector(files=[str(tmp_path / "logs.jsonl")]).usage(DAYS)
    connector = LiteLLMConnector()
    frame = connector.usage(DAYS)
    assert frame.astype(str).equals(expected.astype(str))
    assert frame["billed_cost"].sum() == Decimal("0.0321006")
    assert str(connector.fresh_until) == "2026-10-04 00:00:01+00:00"
    assert "the text of a prompt" not in frame.astype(str).to_csv()
    assert PASSWORD not in repr(connector) + str(connector.settings)


def test_halves_of_a_day_make_the_day(database: str) -> None:
    whole = LiteLLMConnector().usage(DAYS)
    middle = "2026-10-01T12:00:00.5Z"  # the instant of a row: it belongs to the second half
    halves = [LiteLLMConnector().usage(w) for w in (Window.of("2026-10-01", middle), Window.of(middle, "2026-10-04"))]
    assert [half["request_id"].nunique() for half in halves] == [1, 4]
    assert sum(len(half) for half in halves) == len(whole)


def test_many_rows_come_in_batches(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("finops_ai_litellm.sources.FETCH", 2)
    assert LiteLLMConnector().usage(DAYS)["request_id"].nunique() == 5


def test_daily_sums_are_read_from_their_table(database: str) -> None:
    frame = LiteLLMConnector(table="public.LiteLLM_DailyTeamSpend").usage(DAYS)
    found = frame.groupby("meter")["quantity"].sum().to_dict()
    assert found == {"input": 300, "cache_read": 600, "cache_write": 100, "output": 200, "requests": 7}


def test_what_is_missing_is_said(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [f.ok for f in LiteLLMConnector().doctor()] == [True]
    with pytest.raises(ProviderError, match="no table Nowhere"):
        LiteLLMConnector(table="Nowhere").usage(DAYS)
    with pytest.raises(ProviderError, match="no column 'call_type'"):
        LiteLLMConnector(table="Strange").usage(DAYS)
    monkeypatch.setenv("LITELLM_DATABASE_URL", f"postgresql://stranger:{PASSWORD}@{database}")
    (finding,) = LiteLLMConnector().doctor()
    assert "GRANT SELECT" in finding.fix
    assert "may not read" in finding.detail
    monkeypatch.setenv("LITELLM_DATABASE_URL", f"postgresql://reader:wrong-secret@{database}")
    with pytest.raises(CredentialsError, match="refused the log-in") as refused:
        LiteLLMConnector().usage(DAYS)
    assert "wrong-secret" not in str(refused.value)
    monkeypatch.setenv("LITELLM_DATABASE_URL", f"postgresql://reader:{PASSWORD}@127.0.0.1:1/postgres")
    with pytest.raises(ProviderUnavailable, match="can't be reached"):
        LiteLLMConnector(timeout=2).usage(DAYS)


def test_the_read_is_read_only(database: str) -> None:
    import psycopg
    from finops_ai_litellm import sources

    seen = []
    real = psycopg.connect

    def watched(*args: Any, **kwargs: Any) -> Any:
        seen.append(real(*args, **kwargs))
        return seen[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(psycopg, "connect", watched)
        rows = sources.from_database(f"postgresql://admin:{PASSWORD}@{database}", "LiteLLM_SpendLogs", DAYS, 5)
        next(rows)
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            seen[0].execute('DELETE FROM "LiteLLM_SpendLogs"')
        rows.close()
