"""What attributes mean: who bills, which prompt, which labels may be kept. Text content is never among them.

Names follow the OpenTelemetry GenAI semantic conventions (development status, all renames so far included) and, where
those have none, the instrumentation libraries in use.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

Attributes = Mapping[str, Any]

#: gen_ai.provider.name, or gen_ai.system before it -> the connector that reads that provider's bill
PROVIDERS = {
    "openai": "openai",
    "anthropic": "anthropic",
    "aws.bedrock": "bedrock",
    "aws_bedrock": "bedrock",
    "bedrock": "bedrock",
    "azure.ai.openai": "azure-openai",
    "az.ai.openai": "azure-openai",
    "azure.ai.inference": "azure-openai",
    "az.ai.inference": "azure-openai",
    "azure": "azure-openai",
    "azure_openai": "azure-openai",
    "gcp.vertex_ai": "vertex",
    "gcp.gen_ai": "vertex",
    "gcp.gemini": "vertex",
    "vertex_ai": "vertex",
    "gemini": "vertex",
    "google": "vertex",
    "oci": "oci",
    "oracle": "oci",
    "x_ai": "xai",
    "mistral_ai": "mistral",
}
PROVIDER = ("gen_ai.provider.name", "gen_ai.system")
MODEL = ("gen_ai.response.model", "gen_ai.request.model")
OPERATION = ("gen_ai.operation.name", "llm.request.type")
REQUEST_ID = ("gen_ai.response.id",)
#: says that a call failed
FAILED = ("error.type", "exception.type")
#: errors of a request that was refused, or never sent, before a model ran: the last word of error.type, lower case, no signs
REFUSED = {
    "400", "401", "403", "404", "405", "413", "415", "422", "invalidrequesterror", "badrequesterror", "badrequest", "authenticationerror",
    "permissionerror", "permissiondeniederror", "notfounderror", "unprocessableentityerror", "requesttoolarge", "validationexception",
    "accessdeniedexception", "resourcenotfoundexception", "invalidargument", "permissiondenied", "notfound", "unauthenticated",
    "typeerror", "valueerror", "keyerror", "attributeerror", "nameerror", "indexerror", "assertionerror", "importerror",
    "notimplementederror", "validationerror",
}  # fmt: skip
USER = ("enduser.id", "user.id", "enduser.pseudo.id")
API_KEY = ("gen_ai.api_key.id", "api_key.id")
PROMPT_NAME = ("gen_ai.prompt.name", "traceloop.prompt.key", "langfuse.prompt.name", "langfuse.observation.prompt.name")
PROMPT_VERSION = (
    "gen_ai.prompt.version", "traceloop.prompt.version", "langfuse.prompt.version", "langfuse.observation.prompt.version",
)  # fmt: skip
TEMPERATURE = ("gen_ai.request.temperature",)
MAX_TOKENS = ("gen_ai.request.max_tokens",)

#: word for an operation -> ours
OPERATIONS = {
    "chat": "chat",
    "generate_content": "chat",
    "text_completion": "chat",
    "completion": "chat",
    "invoke_agent": "chat",
    "embeddings": "embeddings",
    "embedding": "embeddings",
    "rerank": "rerank",
}
#: operations that repeat or only carry what a model call already counted
NO_CALLS = {"fetch_response", "execute_tool", "create_agent", "retrieval", "search_memory"}

#: labels kept as tags: the service, where it runs, the agent and the session. `tag_attributes` adds to them.
LABELS = (
    "service.name", "service.namespace", "service.version", "deployment.environment.name", "deployment.environment",
    "k8s.namespace.name", "gen_ai.agent.name", "gen_ai.agent.id", "gen_ai.conversation.id", "session.id", "tenant.id",
    "team", "product", "feature", "customer.id", "cost_center",
)  # fmt: skip
#: where prompts and answers live: never kept, whatever the settings say
CONTENT = (
    "embedding.embeddings.*", "llm.tools*", "llm.prompt_template.template", "llm.prompt_template.variables",
    "gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.system_instructions", "gen_ai.tool.definitions",
    "gen_ai.tool.call.*", "gen_ai.prompt", "gen_ai.prompt.[0-9]*", "gen_ai.completion", "gen_ai.completion.*",
    "gen_ai.content.*", "gen_ai.retrieval.*", "gen_ai.event.content", "llm.prompts*", "llm.completions*", "llm.input*",
    "llm.output*", "input.value", "output.value", "traceloop.entity.input", "traceloop.entity.output",
    "traceloop.prompt.template*", "gen_ai.prompt.variable.*", "langfuse.observation.input", "langfuse.observation.output", "langfuse.trace.input",
    "langfuse.trace.output", "db.statement", "db.query.*", "exception.*", "http.request.body*", "http.response.body*",
)  # fmt: skip
LONGEST_LABEL = 200


def first(attributes: Attributes, names: Sequence[str]) -> Any:
    """The first of several spellings that states one value."""
    for name in names:
        value = attributes.get(name)
        if value is not None and value != "" and not isinstance(value, Mapping | list):
            return value
    return None


def biller_of(attributes: Attributes) -> str:
    """The provider that bills, as the connector that reads its bill is called; other words stay as they are.

    >>> biller_of({"gen_ai.system": "az.ai.openai"}), biller_of({"gen_ai.provider.name": "groq"}), biller_of({})
    ('azure-openai', 'groq', 'not stated')
    """
    word = str(first(attributes, PROVIDER) or "not stated").lower()
    return PROVIDERS.get(word, word)


def prompt_of(attributes: Attributes) -> str | None:
    """Template name and version.

    >>> prompt_of({"gen_ai.prompt.name": "analyze-code", "gen_ai.prompt.version": "v2"})
    'analyze-code@v2'
    """
    name, version = first(attributes, PROMPT_NAME), first(attributes, PROMPT_VERSION)
    if name is None:
        return None
    return label(f"{name}@{version}" if version is not None else name)


@cache
def is_content(name: str) -> bool:
    """Whether an attribute is one that holds prompts, answers or other text.

    >>> is_content("gen_ai.prompt.0.content"), is_content("gen_ai.prompt.name")
    (True, False)
    """
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in CONTENT)


@cache
def is_label(name: str, patterns: tuple[str, ...]) -> bool:
    """Whether an attribute is kept as a tag."""
    wanted = name in LABELS or any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
    return wanted and not is_content(name)


def tags_of(attributes: Attributes, resource: Attributes, patterns: Sequence[str]) -> list[tuple[str, str]] | None:
    """Labels of a call: those of `LABELS` and of the patterns, from the resource and the call (the call's win)."""
    kept: dict[str, str] = {}
    chosen = tuple(patterns)
    for source in (resource, attributes):
        for name, value in source.items():
            if is_label(name, chosen) and (text := label(value)):
                kept[name] = text
    return sorted(kept.items()) or None


def label(value: Any) -> str | None:
    """A short one-line text, number or truth value as text; anything else could be content and isn't kept."""
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value).strip() if isinstance(value, str | int) else ""
    return text if 0 < len(text) <= LONGEST_LABEL and "\n" not in text else None
