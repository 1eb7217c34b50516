"""The Azure connector keeps every rule of the kit: metrics and cost query live, saved answers, gateway log."""

from __future__ import annotations

from typing import Any

import pytest
from azure_world import ACCOUNT, BILLED, QUANTITIES, SUB, TOKEN, TOKENS, Azure, connector, saved_answers
from finops_ai_azure_openai.connector import AzureOpenAI

from finops_ai.testing import ConnectorConformance, Reply, Request

#: what needn't be tried again for the same class
ONCE = {"test_importing_it_loads_no_sdk": "the same class is imported in the first test class"}


class TestMetricsAndCostQuery(ConnectorConformance):
    connector = AzureOpenAI
    settings = {"subscription_id": SUB}
    secrets = (TOKEN,)
    tokens = TOKENS
    quantities = QUANTITIES
    billed = BILLED

    @pytest.fixture(autouse=True)
    def _azure(self) -> None:
        self.azure = Azure()

    def answer(self, request: Request) -> Reply:
        self.azure.page_size = self.page_size
        return self.azure.answer(request)

    def make(self, **changes: Any) -> AzureOpenAI:
        return connector(self.provider.url, **self.settings | changes)


class TestSavedAnswers(ConnectorConformance):
    connector = AzureOpenAI
    excused = ONCE
    files_only = "the same answers are asked for live above"
    tokens = TOKENS
    #: the saved metrics end with 1 November, so October's provisioned hours are whole
    quantities = QUANTITIES
    billed = BILLED

    @pytest.fixture(autouse=True)
    def _saved(self, tmp_path) -> None:
        self.settings = {"files": saved_answers(tmp_path)}


def call(number: int, when: str, **changes: Any) -> dict[str, Any]:
    return {
        "TimeGenerated": when,
        "CorrelationId": f"c{number}",
        "RequestId": f"r{number}",
        "DeploymentName": "chat-prod",
        "ModelName": "gpt-4o",
        "PromptTokens": 100,
        "CompletionTokens": 11,
        "TotalTokens": 111,
        "Region": "Sweden Central",
        "ApimSubscriptionId": "team-a",
        "UserId": "ana",
        "ProductId": "desk",
        "_ResourceId": "/subscriptions/gateway-sub/resourcegroups/g/providers/microsoft.apimanagement/service/gw",
    } | changes


CALLS = [
    call(1, "2026-09-30T23:59:59.9999999Z"),
    call(2, "2026-10-01T00:00:00Z"),
    call(
        3,
        "2026-10-05T07:00:00.5Z",
        UserId=None,
        DeploymentName="text-embedding-3-small",
        ModelName="text-embedding-3-small",
        CompletionTokens=0,
    ),
    call(4, "2026-10-31T23:59:59Z"),
    call(5, "2026-11-01T00:00:00Z"),
]


@pytest.mark.slow  # the same calls are read from files below, and live in the fault tests
class TestGatewayLog(ConnectorConformance):
    connector = AzureOpenAI
    excused = ONCE
    settings = {"subscription_id": SUB, "usage_from": "gateway", "workspace_id": "w1"}
    secrets = (TOKEN,)
    #: calls 2, 3 and 4: 3 x 100 in, 2 x 11 out
    tokens = 322
    quantities = {"input": 300, "output": 22, "requests": 3}
    billed = BILLED

    @pytest.fixture(autouse=True)
    def _azure(self) -> None:
        self.azure = Azure()
        self.azure.calls = CALLS

    def answer(self, request: Request) -> Reply:
        self.azure.page_size = self.page_size
        return self.azure.answer(request)

    def make(self, **changes: Any) -> AzureOpenAI:
        return connector(self.provider.url, **self.settings | {"logs_url": self.provider.url} | changes)


class TestGatewayLogFiles(ConnectorConformance):
    connector = AzureOpenAI
    excused = ONCE
    files_only = "the live log is tested above"
    content = "SECRET WORDS"
    tokens = 322
    quantities = {"input": 300, "output": 22, "requests": 3}

    @pytest.fixture(autouse=True)
    def _saved(self, tmp_path) -> None:
        import json

        lines = []
        for c in CALLS:
            own = {k: v for k, v in c.items() if k != "TimeGenerated"}
            for sequence in (0, 1):  # one message in two pieces, tokens on both
                own |= {"SequenceNumber": sequence, "RequestMessages": "SECRET WORDS"}
                lines.append(json.dumps({"time": c["TimeGenerated"], "category": "GatewayLlmLogs", "properties": own}))
        (tmp_path / "log.jsonl").write_text("\n".join(lines))
        self.settings = {"files": [str(tmp_path / "*.jsonl")]}


def test_the_account_id_is_spelt_like_azure_does():
    from finops_ai_azure_openai.arm import resource_id

    assert resource_id(ACCOUNT.upper()).path == ACCOUNT
