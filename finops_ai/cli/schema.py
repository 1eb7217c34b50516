"""A JSON schema of finops.toml, so that editors complete its keys and mark what would be refused."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from pydantic import BaseModel

from finops_ai.answering.masking import IDENTITIES
from finops_ai.config import (
    MAPPING_SECTIONS,
    POLICY_SECTIONS,
    EngineSettings,
    LimitsSettings,
    PluginsSettings,
    WorkspaceSettings,
)
from finops_ai.engine.conditions import OPERATORS
from finops_ai.engine.fields import columns
from finops_ai.engine.lookups import LOOKUP_KEYS
from finops_ai.engine.rules import DIMENSION_KEYS, RULE_KEYS
from finops_ai.engine.shared import EVERY, METHODS, METRICS
from finops_ai.forecasting.terms import LINE_KEYS, OVERRIDE_KEYS, PLAN_KEYS, UNIT_KEYS
from finops_ai.prices.currency import CURRENCY_KEYS
from finops_ai.tables.bill_rules import DIVIDED, POSTED
from finops_ai.tables.closing import GATES
from finops_ai.tables.journal import ACCOUNTS
from finops_ai.tables.policy import CLASSES, INCENTIVES, POLICY_KEYS, TARIFF_KEYS
from finops_ai.tables.policy import METHODS as TARIFF_METHODS
from finops_ai.tables.rule_tests import TEST_KEYS
from finops_ai.watching.channels import FORMS, KINDS
from finops_ai.watching.channels import KEYS as ALERT_KEYS
from finops_ai.watching.delivering import KEYS as DELIVER_KEYS
from finops_ai.watching.delivering import WHAT

DRAFT = "https://json-schema.org/draft/2020-12/schema"
TEXT: dict[str, Any] = {"type": "string"}
TEXTS: dict[str, Any] = {"type": "array", "items": TEXT}
NUMBER: dict[str, Any] = {"type": ["string", "number"], "description": "A number; in quotes it stays exact."}
DAY: dict[str, Any] = {"type": "string", "description": "A day such as 2026-09-16."}
SHARE = NUMBER | {"description": "A share between 0 and 1, such as '0.99'."}


def settings_schema() -> dict[str, Any]:
    """The schema, made from the same lists of keys that reading the file checks.

    >>> sorted(settings_schema()["properties"]["rules"]["items"]["properties"])
    ['from', 'name', 'set', 'to', 'when']
    """
    models: dict[str, type[BaseModel]] = {
        "workspace": WorkspaceSettings,
        "engine": EngineSettings,
        "limits": LimitsSettings,
        "plugins": PluginsSettings,
    }
    sections: dict[str, Any] = {name: model.model_json_schema() for name, model in models.items()}
    sections["providers"] = {"type": "object", "additionalProperties": {"type": "object"}}
    own = {
        "dimensions": _named(_table(DIMENSION_KEYS, values=_named(TEXTS | {"minItems": 1}), others=TEXT)),
        "lookups": _named(
            _table(LOOKUP_KEYS, file=TEXT, key=TEXT, on=TEXT, rows={"type": "array", "items": {"type": "object"}})
        ),
        "rules": _list(_rule()),
        "shared": _list(_shared()),
        "tests": _list(_table(TEST_KEYS, name=TEXT, given={"type": "object"}, day=DAY, expect={"type": "object"})),
        "chargeback": _chargeback(),
        "close": _table((*GATES, "approval"), approval={"type": "boolean"}, others=SHARE),
        "journal": _journal(),
        "bill": _list(_bill()),
        "currency": _table(CURRENCY_KEYS),
        "alerts": _list(_alerts()),
        "answers": _table(("show",), show={"type": "array", "items": {"enum": list(IDENTITIES)}}),
        "deliver": _list(_deliver()),
        "plan": _plan(),
        "business": _table(("file",), file=TEXT),
    }
    for name in (*MAPPING_SECTIONS, *POLICY_SECTIONS):
        sections[name] = own.get(name, {"type": ["object", "array"]})
    return {
        "$schema": DRAFT,
        "title": "finops.toml",
        "description": "Settings of a finops_ai workspace.",
        "type": "object",
        "properties": sections,
        "additionalProperties": False,
        "$defs": {"condition": _condition()},
    }


def _table(keys: Collection[str], *, others: Mapping[str, Any] | None = None, **known: object) -> dict[str, Any]:
    """A table with some keys and no others."""
    given = {key: known.get(key, dict(others or {})) for key in keys}
    return {"type": "object", "properties": given, "additionalProperties": False}


def _list(table: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": table}


def _named(table: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": table}


def _condition() -> dict[str, Any]:
    """What `when` may hold; columns and tags are named freely."""
    again = {"$ref": "#/$defs/condition"}
    plain = {"type": ["string", "number", "boolean"]}
    operators = _table(
        OPERATORS, exists={"type": "boolean"}, prefix=TEXT, regex=TEXT, **{"in": {"type": "array", "minItems": 1}}
    )
    value = {"anyOf": [plain, {"type": "array", "minItems": 1}, operators]}
    nested = {"type": "object", "additionalProperties": value}
    return {
        "type": "object",
        "description": "Columns, tags.<key>, look-up values and dimensions that must all hold; any, all, not.",
        "properties": {
            "any": _list(again),
            "all": _list(again),
            "not": again,
            "tags": nested,
            **dict.fromkeys(columns(), value),
        },
        "additionalProperties": {"anyOf": [*value["anyOf"], nested]},
    }


def _rule() -> dict[str, Any]:
    values = {"type": "object", "minProperties": 1, "additionalProperties": {"type": "string", "minLength": 1}}
    table = _table(RULE_KEYS, name=TEXT, when={"$ref": "#/$defs/condition"}, to=DAY, set=values, **{"from": DAY})
    return table | {"required": ["set"]}


def _shared() -> dict[str, Any]:
    """An entry of shared cost: which keys it has depends on its method."""
    receiver = {"anyOf": [TEXT, {"type": "object", "additionalProperties": TEXT}]}
    tier = _table(("up_to", "method", "metric", "shares"), up_to=NUMBER, metric={"enum": list(METRICS)}, method=TEXT)
    keys = dict.fromkeys([*EVERY, *(key for keys in METHODS.values() for key in keys)])
    table = _table(
        keys, name=TEXT, when={"$ref": "#/$defs/condition"}, dimension=TEXT, method={"enum": list(METHODS)}, to=TEXTS, match=TEXTS,
        shares=_named(NUMBER), metric={"enum": list(METRICS)}, per={"enum": ["month", "day"]}, receiver=receiver,
        tiers=_list(tier), tokens_per_hour=NUMBER, output_weight=NUMBER,
    )  # fmt: skip
    table["required"] = ["when", "dimension"]
    table["allOf"] = [
        {
            "if": {"properties": {"method": {"const": method}}, "required": ["method"]},
            "then": {"propertyNames": {"enum": [*EVERY, *keys]}},
        }
        for method, keys in METHODS.items()
    ]
    return table


def _plan() -> dict[str, Any]:
    when = {"month": TEXT, "from": TEXT, "to": TEXT, "for": _named(TEXT), "name": TEXT, "owner": TEXT, "note": TEXT}
    return _table(
        PLAN_KEYS,
        until=TEXT,
        fiscal_start={"type": "integer", "minimum": 1, "maximum": 12},
        quarters={"type": "boolean"},
        holidays=TEXTS,
        lines=_list(_table(LINE_KEYS, others=NUMBER, **when)),
        overrides=_list(_table(OVERRIDE_KEYS, others=NUMBER, **when)),
        units=_list(_table(UNIT_KEYS, others=NUMBER, **(when | {"metric": TEXT, "months": _named(NUMBER)}))),
    )


def _sending(keys: Collection[str], forms: Collection[str], **known: object) -> dict[str, Any]:
    """An entry that says where something is sent."""
    many = {"anyOf": [TEXT, TEXTS]}
    return _table(
        dict.fromkeys(keys), to={"enum": list(forms)}, port={"type": "integer"}, receivers=many,
        security={"enum": ["starttls", "tls", "none"]}, others=TEXT, **known,
    )  # fmt: skip


def _alerts() -> dict[str, Any]:
    keys = [key for keys in ALERT_KEYS.values() for key in keys]
    events = {"type": "array", "items": {"enum": list(KINDS)}}
    return _sending(keys, FORMS, events=events) | {"required": ["to"]}


def _deliver() -> dict[str, Any]:
    keys = [key for keys in DELIVER_KEYS.values() for key in keys]
    many = {"anyOf": [TEXT, TEXTS]}
    table = _sending(keys, DELIVER_KEYS, what={"enum": list(WHAT)}, addresses=_named(many), **{"for": many})
    return table | {"required": ["what", "to"]}


def _chargeback() -> dict[str, Any]:
    card = _table(CLASSES, others={"anyOf": [NUMBER, _list(_table(("up_to", "rate"), others=NUMBER))]})
    tariff = _table(
        TARIFF_KEYS,
        name=TEXT,
        to=TEXT,
        method={"enum": list(TARIFF_METHODS)},
        card=card,
        others=NUMBER,
        **{"for": TEXTS, "from": TEXT},
    )
    months = {"type": "integer", "minimum": 1, "maximum": 24}
    incentives = _table((*INCENTIVES, "cap", "baseline_months"), baseline_months=months, others=SHARE)
    table = _table(
        POLICY_KEYS, dimension=TEXT, not_charged=TEXTS, description=TEXT, tariffs=_list(tariff), incentives=incentives
    )
    return table | {"required": ["dimension"]}


def _journal() -> dict[str, Any]:
    texts = _named(TEXT)
    entities = _table(("central", "receivers", "accounts"), central=TEXT, others=texts)
    keys = (*ACCOUNTS, "accounts", "providers", "tax_codes", "cost_centres", "entities")
    return _table(
        keys,
        accounts=texts,
        providers=texts,
        tax_codes=texts,
        cost_centres=texts,
        entities=entities,
        others={"type": ["string", "integer"]},
    )


def _bill() -> dict[str, Any]:
    keys = ("name", "when", "to", "divide", "post")
    return _table(
        keys,
        name=TEXT,
        when={"$ref": "#/$defs/condition"},
        to=TEXT,
        divide={"enum": list(DIVIDED)},
        post={"enum": list(POSTED)},
    )
