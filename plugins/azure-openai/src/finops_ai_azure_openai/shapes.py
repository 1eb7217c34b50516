"""What answers of Azure's interfaces look like where they are read."""

from __future__ import annotations

from finops_ai.shapes import Shape

_SERIES = {
    "metadatavalues": [{"name": {"value": "text"}, "value": "text"}],
    "data": [{"timeStamp!": "text", "total": "number", "average": "number"}],
}
#: an answer of the metrics interface
METRICS: Shape = {
    "interval": "text", "resourceregion": "text",
    "value!": [{"id": "text", "name": {"value": "text"}, "errorCode": "text", "errorMessage": "text", "timeseries": [_SERIES]}],
}  # fmt: skip
#: lists of subscriptions, accounts and deployments
RESOURCES: Shape = {
    "subscriptionId": "text", "displayName": "text",
    "value": [{
        "id": "text", "name": "label", "location": "text", "tags": {}, "subscriptionId": "text", "displayName": "text", "kind": "text",
        "properties": {"model": {"name": "text", "version": "text"}}, "sku": {"name": "text", "capacity": "whole"},
        "systemData": {"createdAt": "text"},
    }],
}  # fmt: skip
#: an answer of the cost query
COSTS: Shape = {
    "id": "text",
    "name": "text",
    "properties!": {"columns!": [{"name!": "text"}], "rows": [["any"]], "nextLink": "text"},
}
#: a record of the gateway's log
RECORD: Shape = {
    "TimeGenerated": "time", "CorrelationId": "value", "RequestId": "value", "DeploymentName": "text", "ModelName": "text",
    "PromptTokens": "digits", "CompletionTokens": "digits", "TotalTokens": "digits", "_ResourceId": "text", "ResponseCode": "value",
    "ApimSubscriptionId": "text", "UserId": "text", "Region": "text", "ProductId": "value", "ApiId": "value",
}  # fmt: skip
#: an export's manifest
MANIFEST: Shape = {
    "exportConfig!": {"exportName!": "text", "type!": "text"},
    "runInfo!": {"submittedTime!": "text", "startDate!": "text", "endDate!": "text"},
    "blobs": [{"blobName!": "text", "dataRowCount": "digits"}],
}  # fmt: skip
