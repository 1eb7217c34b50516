"""The OCI connector: the Usage API, cost reports or FOCUS reports, live or from saved files."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, field_validator

from finops_ai.errors import CredentialsError, ProviderError
from finops_ai.periods import Window
from finops_ai.providers import Connector, ConnectorSettings, Finding, LineItem, left_out_of
from finops_ai.providers.files import find_files, read_json_any
from finops_ai.providers.retrying import stand_by
from finops_ai_oci import reports, usage_api
from finops_ai_oci.charges import Charge, bill_frame, settle_currency, usage_frame
from finops_ai_oci.client import POLICY, Client, load_config
from finops_ai_oci.skus import read_sku, rules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    import pandas as pd


class OciSettings(ConnectorSettings):
    """Settings of `[providers.oci]`."""

    tenancy_id: str | None = Field(None, description="Tenancy OCID; default: the one of the credentials.")
    compartment_id: list[str] = Field(default_factory=list, description="Read only these compartments (OCIDs).")
    region: str | None = Field(None, description="Home region of the tenancy, where usage is kept.")
    auth: Literal["config", "session_token", "instance_principal", "resource_principal"] = Field(
        "config", description="Where the SDK finds credentials."
    )
    config_file: str | None = Field(None, description="SDK configuration file; default ~/.oci/config.")
    profile: str = Field("DEFAULT", description="Profile in that file.")
    read_from: Literal["usage_api", "cost_reports", "focus_reports"] = Field(
        "usage_api", description="What to read live; never more than one."
    )
    granularity: Literal["HOURLY", "DAILY"] = Field("DAILY", description="Time grain of usage.")
    services: str = Field(
        default_factory=lambda: rules()["names"]["services"],
        description="Regular expression of the services to read; add compute for GPU shapes.",
    )
    tag: str | None = Field(None, description="Cost-tracking tag to group by in the Usage API, namespace.key.")

    @field_validator("compartment_id", mode="before")
    @classmethod
    def _one_or_many_ids(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value


class Oci(Connector):
    """OCI Generative AI.

        finops_ai.collect("oci", "2026-10-01", "2026-11-01", profile="FINOPS")
        finops_ai.read("reports/*.csv.gz", format="oci")

    On-demand chat and embedding are billed by the character (meters `characters`, `input_characters`), newer models by
    the token, dedicated clusters by the unit-hour. The bill knows no caller and no prompt. Usage rows carry their cost.
    """

    name: ClassVar[str] = "oci"
    title: ClassVar[str] = "OCI Generative AI"
    Settings: ClassVar[type[ConnectorSettings]] = OciSettings
    #: lines come up to 24 hours late; corrections until the month is invoiced
    restated_days: ClassVar[int] = 7
    finest: ClassVar[Mapping[str, Any]] = {"granularity": "HOURLY"}
    coarsest: ClassVar[Mapping[str, Any]] = {"granularity": "DAILY"}
    #: SDK configuration and signer, where a caller brings its own
    config: dict[str, Any] | None = None
    signer: Any = None
    _kept: tuple[list[Any], list[Charge], list[str]] | None = None

    def __init__(self, /, **settings: Any) -> None:
        super().__init__(**settings)
        #: charges that were read and aren't wanted: of other services, of other compartments
        self._others: list[Charge] = []
        self._elsewhere: list[Charge] = []

    _handed: tuple[Window, list[Charge]] | None = None
    #: how to wait between retries
    sleep: Callable[[float], Any] = staticmethod(stand_by)

    def usage(self, window: Window) -> pd.DataFrame:
        """Token frame of the slices that start in the window, each with its cost."""
        found = self._charges(window)
        self._handed = (window, found) if self.live else None
        self.fresh_until = max((c.end for c in found), default=self.fresh_until)
        frame = usage_frame(found, window, usage_api.GRAINS[self.settings.granularity], self.notes)
        self.notes[:] = dict.fromkeys(self.notes)
        return frame

    def bills(self, window: Window) -> pd.DataFrame:
        """Bill frame of the charges that start in the window; corrections are rows of their own.

        Usage and bills are the same lines: right after `usage` of the same window they are not fetched again.
        """
        handed, self._handed = self._handed, None
        found = handed[1] if handed and handed[0] == window else self._charges(window)
        frame = bill_frame(found, window, self.notes)
        elsewhere = [(f"another compartment: {c.compartment_name or c.compartment_id}", c) for c in self._elsewhere]
        others = [(f"another service: {c.service or c.sku_name or 'not named'}", c) for c in self._others]
        unwanted = [(why, c) for why, c in (*others, *elsewhere) if c.start in window]
        self.left_out = left_out_of((why, c.currency, 1, c.cost) for why, c in unwanted)
        self.notes[:] = dict.fromkeys(self.notes)
        return frame

    @classmethod
    def line_item(cls, row: Mapping[str, str | None]) -> LineItem | None:
        """OCI's SKU names, by the same table as its own reports."""
        sku = read_sku(row.get("ChargeDescription") or row.get("SkuMeter") or "", row.get("PricingUnit") or "")
        if sku.meter == "unmapped":
            return None
        return LineItem(sku.meter, sku.model, sku.service_tier, sku.operation, sku.block)

    def doctor(self) -> list[Finding]:
        """Credentials and policy; asks once for yesterday's usage."""
        if not self.live:
            return [Finding("files", True, f"{len(find_files(self.settings.files))} files")]
        try:
            client, tenancy = self._client()
        except CredentialsError as error:
            return [Finding("credentials", False, str(error), "oci setup config")]
        today = dt.datetime.now(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        try:
            names = usage_api.services(
                client, tenancy, Window(today - dt.timedelta(days=1), today), self.settings.services
            )
        except CredentialsError as error:
            return [Finding("policy", False, str(error), POLICY)]
        except ProviderError as error:
            return [
                Finding("Usage API", False, str(error), "Check region: usage is kept in the tenancy's home region.")
            ]
        return [
            Finding("policy", True, "the Usage API answers"),
            Finding("services", True, ", ".join(names) or "no charge of a matching service yesterday"),
        ]

    def _charges(self, window: Window) -> list[Charge]:
        if window.start == window.end:
            return []
        if not self.live:
            return self._saved()
        client, tenancy = self._client()
        if self.settings.read_from == "usage_api":
            self._others.clear()
            self._elsewhere.clear()
            wanted: list[Charge] = []
            found = list(usage_api.fetch(client, tenancy, window, self.settings, self.notes, self._others, wanted))
            if self.settings.compartment_id and usage_api.whole(window, usage_api.DAY) == window:
                self._elsewhere += _rest(wanted, found)
        else:
            listed = reports.fetch(client, tenancy, window, self.settings.read_from)
            self._others.clear()
            read = reports.charges(listed, self.settings.services, self.notes, self.settings.read_from, self._others)
            found = self._own(read)
        return settle_currency(list(found))

    def _own(self, found: Iterable[Charge]) -> Iterator[Charge]:
        wanted = set(self.settings.compartment_id)
        self._elsewhere.clear()
        for charge in found:
            if not wanted or charge.compartment_id in wanted:
                yield charge
            else:
                self._elsewhere.append(charge)

    def _client(self) -> tuple[Client, str]:
        config, signer = (self.config, self.signer) if self.config else load_config(self.settings)
        tenancy = self.settings.tenancy_id or config.get("tenancy")
        if not tenancy:
            raise CredentialsError("oci: no tenancy: set `tenancy_id`, or add tenancy to the profile.")
        return Client(config, signer, self.settings, self.sleep), tenancy

    def _saved(self) -> list[Charge]:
        """The charges of all files, read again when one of them has changed; what they lack is noted each time."""
        files = find_files(self.settings.files)
        stamp = [(path, path.stat().st_mtime_ns, path.stat().st_size) for path in files]
        if self._kept is None or self._kept[0] != stamp:
            notes: list[str] = []
            self._kept = (stamp, settle_currency(list(self._own(self._read(files, notes)))), notes)
        self.notes += self._kept[2]
        return self._kept[1]

    def _read(self, files: list[Path], notes: list[str]) -> Iterator[Charge]:
        """Saved answers of the Usage API (JSON), or else reports (CSV, gzipped or not)."""
        self._others.clear()
        answers = [path for path in files if ".json" in path.suffixes]
        tables = [reports.Report(str(path), path.read_bytes) for path in files if path not in answers]
        if answers and tables:
            notes.append("Saved answers and reports were given; only reports were read, so nothing counts twice.")
        if tables:
            yield from reports.charges(tables, self.settings.services, notes, others=self._others)
            return
        for path in answers:
            for _, document in read_json_any(path):
                for place, item in usage_api.saved_items(document, str(path)):
                    for charge in usage_api.charge_of(item, self.settings.tenancy_id or "unknown", None, place):
                        if charge.service is None or re.search(self.settings.services, charge.service, re.I):
                            yield charge
                        else:
                            self._others.append(charge)


def _rest(whole: Iterable[Charge], found: Iterable[Charge]) -> Iterator[Charge]:
    """What services came to beyond the charges found, by currency: the compartments nobody asked for."""
    sums: dict[str, Charge] = {}
    for charge in whole:
        one = sums.setdefault(
            charge.currency, replace(charge, cost=Decimal(0), compartment_name="not named in compartment_id")
        )
        one.cost = (one.cost or Decimal(0)) + (charge.cost or Decimal(0))
    for charge in found:
        if charge.currency in sums:
            one = sums[charge.currency]
            one.cost = (one.cost or Decimal(0)) - (charge.cost or Decimal(0))
    return (charge for charge in sums.values() if charge.cost)
