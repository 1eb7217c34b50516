"""The lake on an object store: the same promises as on disk, against a real S3 server on loopback."""

from __future__ import annotations

import datetime as dt
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from decimal import Decimal
from pathlib import Path

import pytest

from finops_ai.frames import conform
from finops_ai.periods import Window
from finops_ai.store import Lake

pytestmark = pytest.mark.slow
JANUARY = Window.of("2026-01-01", "2026-02-01")


@pytest.fixture(scope="module")
def options():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = shutil.which("moto_server", path=str(Path(sys.executable).parent))
    assert server, "moto[server] is part of the slow group: `make test-slow` installs it"
    process = subprocess.Popen(
        [server, "-H", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):  # a minute: a loaded machine takes its time
            try:
                urllib.request.urlopen(f"{address}/moto-api/").close()
                break
            except OSError:
                time.sleep(0.1)
        request = urllib.request.Request(f"{address}/lake-bucket", method="PUT")
        urllib.request.urlopen(request).close()
        yield {
            "AWS_ENDPOINT_URL": address,
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "aws_conditional_put": "etag",
        }
    finally:
        process.terminate()
        process.wait()


def frame(days, quantity=1):
    starts = [dt.datetime(2026, 1, day, tzinfo=dt.UTC) for day in days]
    constant = {
        "provider": "openai", "billing_account_id": "org", "model": "m", "operation": "chat", "meter": "input", "unit": "tokens",
        "service_tier": "standard", "source": "api", "quantity_basis": "metered",
    }  # fmt: skip
    rows = {name: [value] * len(days) for name, value in constant.items()}
    ends = [s + dt.timedelta(days=1) for s in starts]
    return conform(
        {"charge_period_start": starts, "charge_period_end": ends, "quantity": [Decimal(quantity)] * len(days), **rows},
        source="test",
    )


def test_replace_rerun_restate_and_read(options):
    lake = Lake("s3://lake-bucket/company", options)
    assert lake.replace("tokens", "openai", JANUARY, frame([1, 2, 3])).changed
    assert not lake.replace("tokens", "openai", JANUARY, frame([3, 2, 1])).changed
    lake.replace("tokens", "openai", Window.of("2026-01-02", "2026-01-03"), frame([2], 50))
    assert sum(lake.read("tokens")["quantity"]) == 52
    assert len(lake.read("tokens", Window.of("2026-01-03", "2026-02-01"))) == 1
    assert lake.freshness()["rows"].tolist() == [3]
