"""What Cursor's answers look like where they are read."""

from __future__ import annotations

from finops_ai.shapes import Shape

#: a usage event
EVENT: Shape = {
    "timestamp!": "time", "userEmail": "text", "model": "text", "kind": "text", "chargedCents": "number", "cursorTokenFee": "number",
    "tokenUsage": {"totalCents": "number", "discountPercentOff": "number"}, "conversationId": "label", "serviceAccountId": "label",
    "serviceAccountName": "label", "cloudAgentId": "label", "automationId": "label", "hostingType": "label",
}  # fmt: skip
_MEMBER: Shape = {
    "email": "text",
    "id": "label",
    "userId": "label",
    "joinedAt": "time",
    "leftAt": "time",
    "role": "text",
}
#: a page of a listing
PAGE: Shape = {
    "usageEvents": [{}], "totalUsageEventsCount": "whole", "pagination": {"currentPage": "whole"}, "subscriptionCycleStart": "time",
    "teamMemberSpend": [{**_MEMBER, "spendCents": "number"}], "teamMembers": [_MEMBER], "items": [{
        "commitTs!": "time", "commitHash!": "label", "repoName": "text", "branchName": "text", "userEmail": "text", "userId": "text",
        "conversationIds": ["label"], "conversationId": "label",
        **dict.fromkeys(
            ("totalLinesAdded", "totalLinesDeleted", "tabLinesAdded", "tabLinesDeleted", "composerLinesAdded", "composerLinesDeleted"),
            "whole",
        ),
    }],
    "groups": [{"id": "label", "name": "label", "currentMembers": [_MEMBER], "formerMembers": [_MEMBER]}],
    "unassignedGroup": {"id": "label", "name": "label", "currentMembers": [_MEMBER], "formerMembers": [_MEMBER]},
}  # fmt: skip
