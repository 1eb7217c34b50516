"""Settings of the Bedrock connector."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from finops_ai.providers import ConnectorSettings


class BedrockSettings(ConnectorSettings):
    """Where the account's Bedrock usage and bill are. Credentials come from the AWS SDK's own chain."""

    usage_source: Literal["auto", "cur", "cloudwatch", "invocation_logs"] = Field(
        "auto",
        description="What token frames are made of. auto: the cost report where there is one, else logs, else CloudWatch.",
    )
    export_s3_uri: str | None = Field(
        None, description="Cost and Usage Report 2.0 (Data Exports), s3://bucket/prefix/export-name."
    )
    log_s3_uri: str | None = Field(None, description="Model invocation logs in S3, s3://bucket/prefix.")
    log_group: str | None = Field(None, description="Model invocation logs in CloudWatch Logs: the log group.")
    region: str | None = Field(None, description="AWS Region of CloudWatch, the logs and the inference profiles.")
    profile: str | None = Field(None, description="Named profile of the AWS configuration.")
    account_id: str | None = Field(
        None, pattern=r"^\d{12}$", description="Account that pays, where the source doesn't say (logs, CloudWatch)."
    )
    cloudwatch_period: Literal[60, 300, 3600] = Field(
        3600, description="Seconds per slice from CloudWatch, which keeps 60 for 15 days, 300 for 63, 3600 for 455."
    )
    prompt_key: str = Field("prompt_id", description="Key of requestMetadata that names the prompt template.")
    model_names: dict[str, str] = Field(
        default_factory=dict, description="Billing name -> model id, for names this version doesn't know."
    )
    inference_profiles: dict[str, str] = Field(
        default_factory=dict, description="Application inference profile (ARN or id) -> model id."
    )

    @model_validator(mode="after")
    def _source_has_a_place(self) -> BedrockSettings:
        wanted = {"cur": self.export_s3_uri, "invocation_logs": self.log_s3_uri or self.log_group}
        if not self.files and self.usage_source in wanted and not wanted[self.usage_source]:
            place = {"cur": "export_s3_uri", "invocation_logs": "log_s3_uri or log_group"}[self.usage_source]
            raise ValueError(f"usage_source = {self.usage_source!r} needs {place} (or files)")
        return self
