"""The connector: OTLP files, as the collector's file exporter writes them or a trace store exports them."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, field_validator

from finops_ai.errors import DataError, SettingsError
from finops_ai.periods import Window
from finops_ai.providers import Connector, ConnectorSettings, Finding
from finops_ai.providers.files import find_files
from finops_ai_otel import attributes, calls, metrics, otlp, tools, usage

if TYPE_CHECKING:
    import pandas as pd

HELP = (
    "Telemetry is pushed, so it is read from files: let the OpenTelemetry collector's file exporter write OTLP JSON "
    "(exporters: file: path: ...), or export spans as Parquet, and set `files` to them."
)


class OtelSettings(ConnectorSettings):
    """Settings of `[providers.otel]`."""

    signal: Literal["auto", "spans", "metrics"] = Field(
        "auto",
        description="What to count: auto takes spans of the services that have any with token counts, metrics of the others.",
    )
    accounts: dict[str, str] = Field(
        default_factory=dict, description="Provider -> billing account id that it bills, such as openai = org-1."
    )
    tag_attributes: list[str] = Field(
        default_factory=list, description="Attribute names or patterns (app.*) kept as tags besides the usual ones."
    )

    @field_validator("tag_attributes")
    @classmethod
    def _no_content(cls, patterns: list[str]) -> list[str]:
        for pattern in patterns:
            if attributes.is_content(pattern) or pattern in ("*", "gen_ai.*"):
                raise ValueError(f"{pattern!r} would keep prompts or answers; name the labels you need")
        return patterns


class OtelConnector(Connector):
    """Model calls as applications report them themselves: service, prompt template and version, temperature, labels.

    `provider` is who bills the call. No message text is ever read into the frame.

    Example:
        connector = OtelConnector(files=["telemetry/*.jsonl"], tag_attributes=["app.team"])
        tokens = connector.usage(Window.month("2026-10"))
    """

    name: ClassVar[str] = "otel"
    title: ClassVar[str] = "OpenTelemetry GenAI spans and metrics"
    Settings: ClassVar[type[ConnectorSettings]] = OtelSettings
    restated_days: ClassVar[int] = 1
    road: ClassVar[str] = "telemetry"
    #: written as calls end
    promised: ClassVar[dt.timedelta] = dt.timedelta(minutes=15)
    _read: tuple[Any, list[metrics.Slice]] | None = None

    @property
    def live(self) -> bool:
        """Never: telemetry comes as files."""
        return False

    def usage(self, window: Window) -> pd.DataFrame:
        """Token frame of the calls (or metric intervals) that start in the window."""
        slices = self._slices()
        self.fresh_until = max((piece.end for piece in slices), default=None)
        return usage.token_frame(
            slices,
            window,
            accounts=self.settings.accounts,
            labels=self.settings.tag_attributes,
            notes=self.notes,
        )

    def _slices(self) -> list[metrics.Slice]:
        """Slices of all files, read again only when a file changed."""
        if not self.settings.files:
            raise SettingsError(f"[providers.otel]: `files` is empty. {HELP}")
        state = [(path, path.stat().st_mtime_ns, path.stat().st_size) for path in find_files(self.settings.files)]
        if self._read is None or self._read[0] != state:
            self._read = (state, self._read_files())
        return self._read[1]

    def _read_files(self) -> list[metrics.Slice]:
        found = otlp.read_otlp(self.settings.files, metrics.METRICS)
        signal = self.settings.signal
        for named in metrics.unknown_metrics(found.unknown):
            self.notes.append(f"A token metric this version doesn't know is in no frame: {named} tokens.")
        if signal == "metrics":
            return metrics.slices_of(found.points, self.notes)
        slices = usage.span_slices(calls.model_calls(found.spans, self.notes), found.spans)
        slices += usage.credit_slices(found.spans)
        if signal == "spans":
            return slices
        # a service that tells of its calls by spans and by metrics tells of them twice
        told = {_teller(piece.resource, piece.tool) for piece in slices}
        points = [point for point in found.points if _teller(point.resource, metrics.tool_of_point(point)) not in told]
        if len(points) < len(found.points):
            self.notes.append(
                "Spans and token metrics of the same service were both there: spans were counted. Where traces are sampled, set "
                'signal = "metrics": metrics count every call.'
            )
        return slices + metrics.slices_of(points, self.notes)

    def doctor(self) -> list[Finding]:
        """Whether there are files, and how to get some."""
        if not self.settings.files:
            return [Finding("telemetry files", False, "`files` is empty", HELP)]
        try:
            return [Finding("telemetry files", True, f"{len(find_files(self.settings.files))} files")]
        except DataError as error:
            return [Finding("telemetry files", False, str(error), HELP)]


def _teller(resource: Any, tool: tools.Tool | None) -> str:
    """Who tells: a coding tool, whatever its service is called, else the service."""
    return tool.name if tool else str(resource.get("service.name"))
