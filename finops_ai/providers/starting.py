"""A first mapping file for a log nobody has described yet: what its columns seem to be, to be checked by its owner."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from finops_ai.providers.mapped import load_table

#: token-frame column -> names that logs give it, letters and digits only
COLUMNS = {
    "charge_period_start": ("time", "timestamp", "ts", "createdat", "created", "starttime", "startedat", "start", "datetime", "date", "ds"),
    "charge_period_end": ("endtime", "endedat", "end"),
    "model": ("model", "modelname", "modelid", "deployment", "responsemodel", "engine"),
    "provider": ("provider", "vendor", "system"),
    "user_id": ("user", "userid", "username", "enduser", "email"),
    "api_key_id": ("apikeyid", "keyid"),
    "prompt_id": ("promptid", "promptname", "template", "prompttemplate", "templateid"),
    "request_id": ("requestid", "callid", "traceid", "id"),
    "service_tier": ("servicetier", "tier"),
    "sub_account_id": ("project", "projectid", "workspace", "workspaceid"),
}  # fmt: skip
TAGS = (
    "team",
    "product",
    "feature",
    "environment",
    "env",
    "department",
    "app",
    "application",
    "service",
    "customer",
    "costcenter",
)
#: meter -> names of its count
COUNTS = {
    "input": ("inputtokens", "prompttokens", "tokensin", "intokens", "inputtokencount", "prompttokencount", "tokensprompt"),
    "cache_read": ("cachereadtokens", "cachedtokens", "cachereadinputtokens", "cachedinputtokens", "cachedcontenttokencount", "tokenscached"),
    "cache_write_5m": ("cachewritetokens", "cachecreationinputtokens", "cachecreationtokens"),
    "output": ("outputtokens", "completiontokens", "tokensout", "outtokens", "outputtokencount", "candidatestokencount", "tokenscompletion"),
}  # fmt: skip
REQUESTS = ("requests", "calls", "numrequests", "nummodelrequests", "requestcount")
#: beginning of a model's name -> who most likely bills it
MAKERS = {
    "gpt": "openai",
    "o1": "openai",
    "o3": "openai",
    "o4": "openai",
    "claude": "anthropic",
    "gemini": "vertex",
    "cohere": "oci",
}
#: counts named like this stand beside the input, not inside it
BESIDE = ("cachereadinputtokens", "cachecreationinputtokens")


def first_mapping(path: str | Path, form: str = "") -> str:
    """What a log's columns seem to be, as the text of a mapping file with remarks where a decision is needed.

    Args:
        path: the log: CSV, Parquet or JSON Lines.
        form: "csv", "parquet" or "jsonl"; by the file's name if not given.

    Returns:
        TOML. What wasn't found stands as "?", which reading the log then names as a missing column.

    Raises:
        DataError: the file is missing or damaged.
    """
    table = load_table(Path(path), form)
    names = list(_paths(table.schema))
    columns = {column: name for column, known in COLUMNS.items() if (name := _find(names, known))}
    columns = {"charge_period_start": "?", "model": "?"} | columns
    counts = {meter: name for meter, known in COUNTS.items() if (name := _find(names, known))} or {
        "input": "?",
        "output": "?",
    }
    inside = [m for m in counts if m.startswith("cache") and _bare(counts[m]) not in BESIDE]
    taken = {*columns.values(), *counts.values()}
    tags = [n for n in names if _bare(n) in TAGS and n not in taken]
    free = [n for n in names if n not in {*taken, *tags}]
    calls = _find(names, REQUESTS)
    unit = _time_unit(table, columns["charge_period_start"])
    lines = [f"# What the columns of {Path(path).name} seem to be. Check each line, then use it with --mapping."]
    if free:
        lines.append(f"# Not used: {', '.join(n if n.isprintable() else _text(n) for n in free)}")
    lines += ["", "[columns]", *(f"{k} = {_text(v)}" for k, v in columns.items()), "", "[constants]"]
    if "provider" not in columns:
        who = _text(_maker(table, columns["model"]))
        lines.append(
            f"provider = {who}  # who bills these calls: openai, anthropic, azure-openai, bedrock, vertex, ..."
        )
    lines += ['billing_account_id = "my-account"  # the account the invoice goes to', ""]
    if tags:
        lines += ["[tags]", *(f"{_key(t)} = {_text(t)}" for t in tags), ""]
    if unit:
        lines += ["[time]", f'unit = "{unit}"', ""]
    lines += [
        "[[usage]]",
        f"requests = {_text(calls) if calls else '1  # a row is one call; name a column if it counts several'}",
    ]
    lines.append("meters = { " + ", ".join(f"{m} = {_text(n)}" for m, n in counts.items()) + " }")
    if inside and "input" in counts:
        pairs = ", ".join(f'{m} = "input"' for m in inside)
        lines.append(f"inside = {{ {pairs} }}  # delete this line if the input count leaves cached tokens out")
    return "\n".join(lines) + "\n"


def _paths(schema: Any, above: str = "") -> Iterable[str]:
    """Columns, and the fields inside columns as `usage.input`."""
    import pyarrow as pa

    for field in schema:
        if pa.types.is_struct(field.type):
            yield from _paths(field.type, f"{above}{field.name}.")
        else:
            yield f"{above}{field.name}"


def _bare(name: str) -> str:
    """The last part of a name, letters and digits only.

    >>> _bare("usage.Prompt_Tokens")
    'prompttokens'
    """
    return re.sub(r"[^a-z0-9]", "", name.rpartition(".")[2].lower())


def _find(names: Sequence[str], known: Sequence[str]) -> str | None:
    return next((name for word in known for name in names if _bare(name) == word), None)


def _maker(table: Any, column: str) -> str:
    values = table[column].to_pylist()[:1000] if column in table.column_names else []
    names = [MAKERS[m] for v in values for m in MAKERS if str(v).lower().startswith(m)]
    return max(sorted(set(names)), key=names.count, default="openai")


def _time_unit(table: Any, column: str) -> str:
    """s, ms, us or ns where instants are numbers since 1970; "" where they are text or timestamps."""
    if column not in table.column_names or not table.num_rows:
        return ""
    value = str(table[column][0].as_py())
    if not re.fullmatch(r"\d{9,20}(\.\d+)?", value):
        return ""
    digits = len(value.partition(".")[0])
    return "s" if digits < 12 else "ms" if digits < 15 else "us" if digits < 18 else "ns"


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _key(name: str) -> str:
    short = name.rpartition(".")[2]
    return short if re.fullmatch(r"[A-Za-z0-9_-]+", short) else _text(short)
