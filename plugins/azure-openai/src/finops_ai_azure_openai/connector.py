"""The Azure OpenAI connector: metrics and gateway logs as usage, Cost Management as bills, live or from saved files."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from finops_ai.errors import CredentialsError, ProviderError, SettingsError
from finops_ai.frames import concat
from finops_ai.periods import UTC, Window, iso
from finops_ai.providers import Connector, ConnectorSettings, Finding, HttpClient, HttpRefused, LineItem
from finops_ai.providers.files import find_files
from finops_ai_azure_openai import (
    arm,
    billed,
    blobs,
    deployments,
    exports,
    gateway,
    line_items,
    metrics,
    provisioned,
    query,
    usage,
)
from finops_ai_azure_openai.deployments import Deployment
from finops_ai_azure_openai.saved import Saved, sort_files
from finops_ai_azure_openai.usage import Identity

if TYPE_CHECKING:
    import pandas as pd

READER_HELP = (
    "The identity needs the role Reader (or Monitoring Reader) on the subscription: az role assignment create --assignee "
    "<its object id> --role Reader --scope /subscriptions/<id>"
)
COST_HELP = (
    "The identity needs the role Cost Management Reader on the scope: az role assignment create --assignee <its object "
    'id> --role "Cost Management Reader" --scope /subscriptions/<id>'
)
LOGS_HELP = "The identity needs the role Log Analytics Reader on the workspace."
BLOB_HELP = "The identity needs the role Storage Blob Data Reader on the storage account of the export."


class AzureOpenAISettings(ConnectorSettings):
    """Settings of `[providers.azure-openai]`."""

    tenant_id: str | None = Field(None, description="Entra tenant, where the identity knows several.")
    subscription_id: list[str] = Field(default_factory=list, description="Subscriptions to read, one or many.")
    resource_group: str | None = Field(None, description="Read only this resource group.")
    accounts: list[str] = Field(default_factory=list, description="Read only these Azure AI accounts (names).")
    billing_account_id: str | None = Field(
        None, description="Billing account of the subscriptions; default: each subscription stands for itself."
    )
    interval: Literal["PT1M", "PT5M", "PT15M", "PT30M", "PT1H", "PT6H", "PT12H", "P1D"] = Field(
        "P1D", description="Time grain of metrics."
    )
    usage_from: Literal["metrics", "gateway", "bill"] | None = Field(
        None,
        description="metrics = all calls per deployment; gateway = API Management's log, per call; bill = billed "
        "quantities per account. Never two of them. Default: metrics, or what the files have.",
    )
    workspace_id: str | None = Field(None, description="Log Analytics workspace with API Management's LLM log.")
    logs_url: str = Field(gateway.LOGS, description="Base address of Log Analytics.")
    export_url: str | None = Field(
        None, description="Folder of a cost export in Blob storage; default: ask Cost Management."
    )
    cost_scope: str | None = Field(None, description="Scope of cost questions; default: each subscription.")
    cost_type: Literal["ActualCost", "AmortizedCost"] = Field(
        "ActualCost", description="What an export is that doesn't say so itself."
    )
    provisioned_cost: bool = Field(
        False, description="Put the cost of provisioned capacity on its hours; live this asks for the bill as well."
    )
    meter_categories: list[str] = Field(
        default_factory=list, description="Meter categories to charge besides Azure AI accounts."
    )
    reservation_ids: list[str] = Field(
        default_factory=list, description="Reservations of provisioned throughput to charge."
    )

    @field_validator("subscription_id", "accounts", "meter_categories", "reservation_ids", mode="before")
    @classmethod
    def _one_or_many_ids(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value


class AzureOpenAI(Connector):
    """Azure OpenAI and Microsoft Foundry models.

        finops_ai.collect("azure-openai", "2026-10-01", "2026-11-01", subscription_id="...")
        finops_ai.read("saved/azure/**", format="azure-openai")

    Usage comes from Azure Monitor metrics (per deployment) or API Management's LLM log (per call), bills from a cost
    export in Blob storage or from Cost Management's query.
    """

    name: ClassVar[str] = "azure-openai"
    title: ClassVar[str] = "Azure OpenAI and Microsoft Foundry"
    Settings: ClassVar[type[ConnectorSettings]] = AzureOpenAISettings
    #: an open month is an estimate, re-rated until the 5th of the next one
    restated_days: ClassVar[int] = 36
    finest: ClassVar[Mapping[str, Any]] = {"interval": "PT5M"}
    coarsest: ClassVar[Mapping[str, Any]] = {"interval": "P1D"}
    #: azure-identity's chain unless a caller brings its own credential
    credential: Any = None
    #: how to wait between retries, and what time it is
    sleep: Any = None
    clock: Any = staticmethod(lambda: dt.datetime.now(UTC))
    _kept: tuple[list[Any], Saved] | None = None

    def usage(self, window: Window) -> pd.DataFrame:
        """Token frame of the slices (or gateway calls) that start in the window.

        Raises:
            SettingsError: nothing says which subscription or workspace to read.
            ProviderError: metrics are asked for by name and the window starts before their 93 days.
        """
        if window.start == window.end:
            return concat([])
        if self._usage_source(window) == "bill":
            frame = billed.usage_of(self._charges(window), self.notes)
        else:
            frame = self._live_usage(window) if self.live else self._saved_usage(window)
        self.notes[:] = dict.fromkeys(self.notes)
        return frame

    def bills(self, window: Window) -> pd.DataFrame:
        """Bill frame of the charges that start in the window."""
        self.left_out = []
        frame = self._charges(window)
        self.notes[:] = dict.fromkeys(self.notes)
        return frame

    @classmethod
    def line_item(cls, row: Mapping[str, str | None]) -> LineItem | None:
        """Azure's meter names, by the same table as its own exports; None for services that are no AI accounts'."""
        if not re.search(
            rf"{line_items.charges_pattern()}|cognitive services|azure ai|\bgpt\b|tokens?\b",
            " ".join(filter(None, row.values())),
            re.I,
        ):
            return None
        text = row.get("x_SkuMeterName") or row.get("SkuMeter") or row.get("ChargeDescription") or ""
        unit = row.get("x_PricingUnitDescription") or row.get("PricingUnit") or ""
        item = line_items.line_item(text, unit, row.get("x_SkuMeterSubcategory") or "")
        operation = usage.operation_of(item.model) if item.model else None
        if item.meter == "provisioned_hours":
            operation = "provisioned"
        block = line_items.block_size(unit or text)
        return LineItem(item.meter, item.model, item.service_tier, operation, block)

    def _charges(self, window: Window) -> pd.DataFrame:
        if not self.live:
            return self._saved_bills(window)
        if self.settings.export_url:
            base, container, folder = blobs.split_url(self.settings.export_url)
            with self._client(base, blobs.SCOPE, BLOB_HELP, {"x-ms-version": blobs.VERSION}) as client:
                parts = exports.newest_runs(blobs.export_files(client, container, folder), window)
                return self._from_exports(parts, window, self._identity({}))
        if window.start == window.end:
            return query.frame([], window, self._identity({}), self.notes)
        with self._arm(COST_HELP) as client:
            answers = [
                answer
                for scope in self._scopes()
                for answer in query.fetch(client, scope, window, self.settings, self.notes)
            ]
        return self._from_answers(answers, window, self._identity({}))

    def _from_answers(self, answers: list[tuple[str, Any]], window: Window, identity: Identity) -> pd.DataFrame:
        frame = query.frame(answers, window, identity, self.notes)
        self.left_out = query.left_out(answers, frame)
        return frame

    def _from_exports(self, parts: list[exports.Part], window: Window, identity: Identity) -> pd.DataFrame:
        frame, self.left_out = exports.frame(parts, window, identity, self.settings.cost_type, self.notes)
        return frame

    def doctor(self) -> list[Finding]:
        """Settings, sign-in and role; asks once for the list of accounts."""
        if not self.live:
            return [Finding("files", True, f"{len(find_files(self.settings.files))} files")]
        try:
            subscriptions = self._subscriptions()
        except SettingsError as error:
            return [Finding("subscription_id", False, str(error), "az account show --query id")]
        try:
            with self._arm(READER_HELP) as client:
                found = self._accounts(client, subscriptions[0])
        except CredentialsError as error:
            return [Finding("sign-in and role", False, str(error), READER_HELP)]
        except ProviderError as error:
            return [Finding("Azure Resource Manager", False, str(error), "Check subscription_id and endpoint_url.")]
        bills_help = BLOB_HELP if self.settings.export_url else COST_HELP
        fix = "Check `accounts` and `resource_group`, or deploy a model first."
        return [
            Finding("sign-in and role", True, f"subscription {subscriptions[0]} can be read"),
            Finding("accounts", bool(found), f"{len(found)} Azure AI accounts", "" if found else fix),
            Finding("bills", True, f"not tried; from {self.settings.export_url or 'the cost query'}. {bills_help}"),
        ]

    def _usage_source(self, window: Window) -> str:
        """Which of the sources that count the same calls is read."""
        if self.settings.usage_from:
            return self.settings.usage_from
        if self.live:
            oldest = self.clock() - metrics.KEPT
            if window.start >= oldest:
                return "metrics"
            self.notes.append(
                f"Azure Monitor keeps metrics for {metrics.KEPT.days} days, so usage that starts before "
                f"{iso(oldest)[:10]} is what the bill states: per account and model, without deployments and calls."
            )
            return "bill"
        saved = self._read_saved()
        return "metrics" if saved.metrics else "gateway" if saved.calls else "bill"

    # ---------------------------------------------------------------- live
    def _live_usage(self, window: Window) -> pd.DataFrame:
        settings = self.settings
        if settings.usage_from == "gateway" and not settings.workspace_id:
            raise SettingsError(
                '[providers.azure-openai]: usage_from = "gateway" needs workspace_id, the Log Analytics workspace of the gateway.'
            )
        if settings.usage_from != "gateway":
            self._check_memory(window)
        names: dict[str, str] = {}
        documents: list[tuple[str, Any]] = []
        table: dict[str, Deployment] = {}
        with self._arm(READER_HELP) as client:
            for subscription in self._subscriptions():
                names |= self._name(client, subscription)
                accounts = self._accounts(client, subscription)
                for account in accounts:
                    own = deployments.parse_deployments(deployments.fetch_deployments(client, account), accounts)
                    table |= own
                    if settings.usage_from != "gateway":
                        reserved = any(d.provisioned for d in own.values())
                        answers = metrics.fetch(client, account, window, settings.interval, self.notes, reserved)
                        documents += [(f"metrics of {account.account}", answer) for answer in answers]
        identity = self._identity(names)
        if settings.usage_from == "gateway":
            with self._client(settings.logs_url, f"{gateway.LOGS}/.default", LOGS_HELP) as client:
                records = list(gateway.fetch(client, settings.workspace_id, window))
            default = self._subscriptions()[0] if len(self._subscriptions()) == 1 else None
            return gateway.frame(gateway.calls(records, "Log Analytics"), window, table, identity, default)
        return self._measured(documents, table, window, identity, self.clock())

    def _check_memory(self, window: Window) -> None:
        oldest = self.clock() - metrics.KEPT
        if window.start < oldest:
            raise ProviderError(
                f"azure-openai: Azure Monitor keeps metrics for {metrics.KEPT.days} days, so nothing before {iso(oldest)[:10]} "
                f"can be read, and {window} starts earlier. Start later, leave usage_from out (older usage is then what the "
                "bill states), or read saved answers (setting `files`)."
            )

    def _measured(
        self,
        documents: Iterable[tuple[str, Any]],
        table: Mapping[str, Deployment],
        window: Window,
        identity: Identity,
        now: dt.datetime | None,
    ) -> pd.DataFrame:
        points = list(metrics.parse(documents))
        seen = max((p.start + p.grain for p in points), default=None)
        self.fresh_until = seen or self.fresh_until
        found = metrics.slices(points, table, window)
        counted = usage.metered(found, identity, self.notes)
        until = now or seen or window.start
        hours = provisioned.unit_hours(table.values(), points, window, identity, until, self.notes)
        if hours.num_rows and (self.settings.provisioned_cost or not self.live):
            hours = provisioned.amortise(hours, self.bills(window), self.notes)
        return usage.token_frame([counted, hours])

    def _subscriptions(self) -> list[str]:
        if not self.settings.subscription_id:
            raise SettingsError(
                "[providers.azure-openai]: subscription_id is missing: name the subscription(s) to read, or `files` with saved answers."
            )
        return [s.lower() for s in self.settings.subscription_id]

    def _scopes(self) -> list[str]:
        if self.settings.cost_scope:
            return [self.settings.cost_scope]
        group = f"/resourceGroups/{self.settings.resource_group}" if self.settings.resource_group else ""
        return [f"subscriptions/{subscription}{group}" for subscription in self._subscriptions()]

    def _accounts(self, client: HttpClient, subscription: str) -> dict[arm.ResourceId, dict[str, Any]]:
        wanted = {name.lower() for name in self.settings.accounts}
        pages = deployments.fetch_accounts(client, subscription, self.settings.resource_group)
        found = deployments.parse_accounts(pages)
        return {account: about for account, about in found.items() if not wanted or account.account in wanted}

    def _name(self, client: HttpClient, subscription: str) -> dict[str, str]:
        try:
            answer = client.get(f"subscriptions/{subscription}", params={"api-version": "2022-12-01"})
        except HttpRefused:
            return {}
        return {subscription: answer["displayName"]} if answer.get("displayName") else {}

    def _identity(self, names: Mapping[str, str]) -> Identity:
        return Identity(self.settings.billing_account_id, names)

    def _arm(self, help_text: str) -> HttpClient:
        base = self.settings.endpoint_url or arm.ARM
        host = urlsplit(base).netloc
        sovereign = host.endswith((".usgovcloudapi.net", ".chinacloudapi.cn"))
        return self._client(base, f"{f'https://{host}' if sovereign else arm.ARM}/.default", help_text)

    def _client(self, base: str, scope: str, help_text: str, headers: Mapping[str, str] | None = None) -> HttpClient:
        self.credential = self.credential or arm.default_credential(self.settings.tenant_id)
        waiting = {"sleep": self.sleep} if self.sleep else {}
        return HttpClient(
            self.name,
            base,
            headers=headers,
            timeout=self.settings.timeout,
            max_retries=self.settings.max_retries,
            permission_help=help_text,
            auth=arm.EntraAuth(self.credential, scope),
            **waiting,
        )

    # ---------------------------------------------------------------- saved files
    def _read_saved(self) -> Saved:
        """What the files hold, read again when one of them has changed."""
        paths = find_files(self.settings.files)
        stamp = [(path, path.stat().st_mtime_ns, path.stat().st_size) for path in paths]
        if self._kept is None or self._kept[0] != stamp:
            self._kept = (stamp, sort_files(paths))
        return self._kept[1]

    def _saved_usage(self, window: Window) -> pd.DataFrame:
        saved = self._read_saved()
        accounts = deployments.parse_accounts(saved.resources)
        table = deployments.parse_deployments(saved.resources, accounts)
        identity = self._identity(dict(_names(saved.resources)))
        wanted = self._usage_source(window)
        if saved.metrics and saved.calls:
            self.notes.append(
                f"Metrics and a gateway log were given; usage is from the {wanted}, so no call counts twice."
            )
        if wanted == "gateway":
            return gateway.frame(saved.calls, window, table, identity, None)
        return self._measured(saved.metrics, table, window, identity, None)

    def _saved_bills(self, window: Window) -> pd.DataFrame:
        saved = self._read_saved()
        identity = self._identity(dict(_names(saved.resources)))
        if not saved.exports:
            return self._from_answers(saved.costs, window, identity)
        if saved.costs:
            self.notes.append(
                "Cost exports and query answers were given; bills are from the exports, so nothing counts twice."
            )
        parts = exports.newest_runs(saved.exports, window)
        return self._from_exports(parts, window, identity)


def _names(documents: Iterable[Any]) -> Iterator[tuple[str, str]]:
    for document in documents:
        for item in document.get("value", [document]):
            if item.get("displayName") and item.get("subscriptionId"):
                yield item["subscriptionId"].lower(), item["displayName"]
