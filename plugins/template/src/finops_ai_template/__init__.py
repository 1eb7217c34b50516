"""Template for finops_ai: usage and bill over HTTP, or from saved answers."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from finops_ai.frames import BillFrame, conform
from finops_ai.meters import normalise_columns, tokens_from_slices
from finops_ai.periods import Window, instant, iso
from finops_ai.providers import Connector, ConnectorSettings, HttpClient, hookimpl, secret
from finops_ai.providers.files import find_files, read_json_any

#: the API's count -> its name in the usage format "openai.usage_api", whose input total includes the cached tokens
COUNTS = {
    "input_tokens": "input_tokens",
    "cached_tokens": "input_cached_tokens",
    "output_tokens": "output_tokens",
    "requests": "num_model_requests",
}


class TemplateSettings(ConnectorSettings):
    """Settings of `[providers.template]`."""

    account_id: str = Field(min_length=1, description="Account the invoice goes to.")


class TemplateConnector(Connector):
    """Hourly usage and daily charges of Template."""

    name = "template"
    title = "Template"
    Settings = TemplateSettings

    def usage(self, window: Window) -> Any:
        """Token frame: one row per meter of each hour, project and model that starts in the window."""
        rows = self._rows("usage", window)
        slices = {
            "charge_period_start": [instant(row["start"]) for row in rows],
            "charge_period_end": [instant(row["end"]) for row in rows],
            "provider": self.name,
            "billing_account_id": self.settings.account_id,
            "sub_account_id": [row["project"] for row in rows],
            "model": [row["model"] for row in rows],
            "operation": "chat",
            "service_tier": "standard",
            "source": "api" if self.live else "file",
            "quantity_basis": "metered",
        }
        counts = {name: [row[theirs] for row in rows] for theirs, name in COUNTS.items()}
        return conform(tokens_from_slices(slices, normalise_columns(counts, "openai.usage_api")), source=self.title)

    def bills(self, window: Window) -> Any:
        """Bill frame: one row per charge that starts in the window."""
        rows = [
            {
                "provider": self.name,
                "billing_account_id": self.settings.account_id,
                "billing_period_start": instant(row["month_start"]),
                "billing_period_end": instant(row["month_end"]),
                "charge_period_start": instant(row["start"]),
                "charge_period_end": instant(row["end"]),
                "charge_category": "Usage",
                "charge_description": row["text"],
                "meter": "unmapped",
                "billed_cost": row["amount"],
                "billing_currency": row["currency"],
                "source": "api" if self.live else "file",
            }
            for row in self._rows("charges", window)
        ]
        return conform({name: [row[name] for row in rows] for name in (rows or [{}])[0]}, BillFrame, source=self.title)

    def _rows(self, what: str, window: Window) -> list[dict[str, Any]]:
        """Rows of the kind that start in the window: from the files, or page by page from the API."""
        if not self.live:
            documents = (d for path in find_files(self.settings.files) for _, d in read_json_any(path))
            rows = [row for row in documents if row["kind"] == what]
        else:
            rows, page = [], "1"
            with self._client() as client:
                while page:
                    query = {"from": iso(window.start), "to": iso(window.end), "page": page}
                    answer = client.get(f"v1/{what}", query)
                    rows += answer["rows"]
                    page = answer["next_page"]
        return [row for row in rows if instant(row["start"]) in window]

    def _client(self) -> HttpClient:
        how = "Make one at https://console.template.example, Settings, API keys."
        key = secret(None, variable="TEMPLATE_API_KEY", what="Template API key", how=how)
        return HttpClient(
            self.name,
            self.settings.endpoint_url or "https://api.template.example",
            headers={"Authorization": f"Bearer {key}"},
            timeout=self.settings.timeout,
            max_retries=self.settings.max_retries,
            permission_help="The key needs the right to read usage and charges.",
        )


@hookimpl
def finops_ai_connectors() -> list[type[Connector]]:
    """The connectors of this plugin."""
    return [TemplateConnector]
