"""What GitHub's answers look like where they are read."""

from __future__ import annotations

from finops_ai.shapes import Shape

#: a line of the billing usage API
ITEM: Shape = {
    "date!": "text", "sku!": "text", "quantity!": "number", "grossAmount!": "number", "discountAmount!": "number", "netAmount!": "number",
    "pricePerUnit": "number", "product": "text", "unitType": "text", "organizationName": "text", "repositoryName": "text",
    "workflowPath": "text",
}  # fmt: skip
#: an object of copilot/billing/seats
SEAT: Shape = {
    "created_at!": "time", "pending_cancellation_date": "time", "last_activity_at": "time", "assignee": {"login": "label"},
    "organization": {"login!": "label"}, "plan_type": "text",
}  # fmt: skip
#: a cost center
CENTER: Shape = {"name!": "label", "state": "text", "resources": [{"name!": "label", "type": "text"}]}
#: any answer that is saved
ANSWER: Shape = {"total_seats": "whole", "seats": [SEAT], "costCenters": [CENTER], "usageItems": ["any"]}
