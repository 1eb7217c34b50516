"""Settings of the Vertex AI connector."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from finops_ai.providers import ConnectorSettings


class VertexSettings(ConnectorSettings):
    """Where the billing export and the usage are. Credentials are Google's application default credentials."""

    usage_source: Literal["auto", "billing_export", "monitoring", "request_log"] = Field(
        "auto",
        description="What token frames are made of. auto: the billing export where there is one, else the request log, "
        "else Cloud Monitoring.",
    )
    project_id: str | None = Field(None, description="Project that runs the queries, and that Monitoring is asked for.")
    projects: list[str] = Field(default_factory=list, description="Further projects to ask Monitoring for.")
    billing_account_id: str | None = Field(
        None,
        pattern=r"^[0-9A-F]{6}-[0-9A-F]{6}-[0-9A-F]{6}$",
        description="Billing account, such as 01ABCD-234567-89ABCD.",
    )
    billing_dataset: str | None = Field(
        None,
        pattern=r"^[^.]+\.[^.]+$",
        description="Dataset of the billing export, project.dataset; the table is found.",
    )
    billing_table: str | None = Field(
        None, pattern=r"^[^.]+\.[^.]+\.[^.]+$", description="The billing export's table, project.dataset.table."
    )
    request_log_table: str | None = Field(
        None, pattern=r"^[^.]+\.[^.]+\.[^.]+$", description="Table of request-response logging, project.dataset.table."
    )
    location: str | None = Field(None, description="Location of the datasets, such as EU; a wrong one answers 404.")
    sampling_rate: float = Field(1.0, gt=0, le=1, description="Share of calls the request log keeps.")
    maximum_gib_billed: int = Field(100, gt=0, description="A query that would scan more is refused, GiB.")
    prompt_label: str = Field("prompt_id", description="Request label that names the prompt template.")
    services: list[str] = Field(default_factory=list, description="Descriptions of further services to read.")
    model_names: dict[str, str] = Field(
        default_factory=dict, description="SKU's model name -> model id, for names this version doesn't know."
    )

    @model_validator(mode="after")
    def _source_has_a_place(self) -> VertexSettings:
        wanted = {
            "billing_export": (self.billing_table or self.billing_dataset, "billing_table or billing_dataset"),
            "request_log": (self.request_log_table, "request_log_table"),
            "monitoring": (self.project_id or self.projects, "project_id"),
        }
        if not self.files and self.usage_source in wanted and not wanted[self.usage_source][0]:
            raise ValueError(f"usage_source = {self.usage_source!r} needs {wanted[self.usage_source][1]} (or files)")
        return self
