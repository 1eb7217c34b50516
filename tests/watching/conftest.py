"""A provider, a webhook and a mail server for each test, and a workspace that reads and tells them."""

from __future__ import annotations

import pytest

import finops_ai as fa

from .scripted import Hook, MailServer, Provider


@pytest.fixture
def provider():
    made = Provider()
    yield made
    made.close()


@pytest.fixture
def hook():
    made = Hook()
    yield made
    made.close()


@pytest.fixture
def mail():
    made = MailServer()
    yield made
    made.close()


@pytest.fixture
def workspace(tmp_path, provider, monkeypatch):
    """Writes finops.toml with what is given beside the provider, and opens it."""
    monkeypatch.setenv("OPENAI_ADMIN_KEY", "sk-admin-x")

    def write(more: str = "", width: str = "1h", timezone: str = "UTC"):
        (tmp_path / "finops.toml").write_text(
            f'[workspace]\nname = "W"\ncurrency = "USD"\ntimezone = "{timezone}"\n'
            f'[providers.openai]\nendpoint_url = "{provider.url}"\nendpoints = ["completions"]\nbucket_width = "{width}"\n'
            "max_retries = 0\n" + more,
            "utf-8",
        )
        return fa.open(tmp_path)

    return write
