"""Who caused a row: the reports' actor, service account or account, as one id and readable labels."""

from __future__ import annotations

from typing import Any, NamedTuple

Row = dict[str, Any]


class Actor(NamedTuple):
    """`user_id`: person, service account or cloud identity. `key`: the API key, where that is all there is."""

    user_id: str | None = None
    key: str | None = None
    tags: tuple[tuple[str, str], ...] = ()


NOBODY = Actor()
#: what names a cloud identity that has no subject
PRINCIPAL = ("signed_principal", "subscription_id", "project_number", "issuer", "account_id")


def actor_of(row: Row) -> Actor:
    """The actor of a flat row of either report family.

    >>> actor_of({"actor": {"type": "api_actor", "api_key_id": "apikey_1"}})
    Actor(user_id=None, key='apikey_1', tags=())
    >>> actor_of({"actor": None, "account_id": "user_1"}).user_id
    'user_1'
    """
    actor = row.get("actor")
    if not actor:
        who = row.get("account_id") or row.get("service_account_id")
        return Actor(user_id=who) if who else NOBODY
    kind = actor.get("type")
    if kind == "user_actor":
        labels = (("user_email", actor.get("email_address")), ("user_name", actor.get("name")))
        return Actor(user_id=actor.get("user_id"), tags=tuple((k, v) for k, v in labels if v))
    if kind == "service_account_actor":
        return Actor(user_id=actor.get("service_account_id"))
    if kind == "api_actor":
        return Actor(key=actor.get("api_key_id"))
    provider = actor.get("provider") if isinstance(actor.get("provider"), dict) else {}
    principal = next((value for value in (actor.get("subject"), *map(provider.get, PRINCIPAL)) if value), None)
    return Actor(user_id=":".join(filter(None, [provider.get("type"), principal])) or kind)


def labels_of(row: Row, actor: Actor, key: str | None, api_keys: dict[str, Row]) -> list[tuple[str, str]] | None:
    """Tags of a row: names of its person and key, and the product it was used through."""
    labels = list(actor.tags)
    if key in api_keys and api_keys[key].get("name"):
        labels.append(("api_key_name", api_keys[key]["name"]))
    if row.get("product"):
        labels.append(("product", row["product"]))
    return labels or None
