"""What is in a price book: one model's prices, the difference of two books, findings, and what it can't price."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from finops_ai.errors import PriceError, hint
from finops_ai.frames import SERVICE_TIERS, PriceFrame, conform
from finops_ai.meters import meters
from finops_ai.prices.cards import CONTRACT, MAPS, MILLION, Card, over_text, plain, rate, read_instant
from finops_ai.prices.contracts import check_below_list, contract_notes
from finops_ai.prices.kept import OLD_AFTER, age
from finops_ai.prices.maps.weighing import fresh_maps
from finops_ai.prices.names import provider_name, providers
from finops_ai.prices.own import check_overlaps

if TYPE_CHECKING:
    from finops_ai.prices.book import PriceBook

KEY = ["provider", "model", "meter", "service_tier", "context_over", "geography", "currency", "effective_from"]


def price_frame(cards: Iterable[Card]) -> pd.DataFrame:
    """Price cards as a price frame: one row per dated price of a meter."""
    flat = [(card, name) for card in cards for name in card.prices]
    seen: dict[str, tuple[Card, str]] = {}
    for card, name in flat:
        seen.setdefault(card.price_id(name), (card, name))
    columns = {
        "price_id": list(seen),
        "provider": [card.provider for card, _ in seen.values()],
        "model": [card.model for card, _ in seen.values()],
        "meter": [name for _, name in seen.values()],
        "service_tier": [card.service_tier for card, _ in seen.values()],
        "context_over": [over_text(card.over) if card.over else None for card, _ in seen.values()],
        "geography": [card.geography for card, _ in seen.values()],
        "unit_price": [rate(card.prices[name]) for card, name in seen.values()],
        "currency": [card.currency for card, _ in seen.values()],
        "effective_from": [card.start for card, _ in seen.values()],
        "effective_to": [card.end for card, _ in seen.values()],
        "known_since": [card.known_since for card, _ in seen.values()],
        "status": ["contract" if c.layer == CONTRACT and c.status == "listed" else c.status for c, _ in seen.values()],
        "source": [card.source for card, _ in seen.values()],
        "checked": [card.checked for card, _ in seen.values()],
    }
    return conform(columns, PriceFrame, source="the price book")


def prices_of(
    book: PriceBook, provider: str, model: str, at: datetime | str | None = None, **modifiers: Any
) -> list[dict[str, Any]]:
    """Every price of one model at an instant, with the reasons.

    Args:
        book: the price book.
        provider, model: in any spelling.
        at: UTC instant; now if None.
        modifiers: as `PriceBook.lookup` takes them.

    Returns:
        One row per priced meter and context tier: meter, unit, per_million (exact), context, status,
        needs_confirmation, price_id, why.

    Raises:
        PriceError: an unknown provider, model or service tier, or no price there; names what is similar or has one.
    """
    at = read_instant(at) or datetime.now(UTC)
    tier = modifiers.get("service_tier") or "standard"
    if tier not in SERVICE_TIERS:
        raise PriceError(f"No service tier called {tier!r}. {hint(tier, SERVICE_TIERS)}")
    if book.find(provider, model, at) is None and not book.contracted(provider, model, at):
        raise PriceError(f"No price of {model!r} at {provider} on {at:%Y-%m-%d}. {similar(book, provider, model)}")
    rows = []
    for name, kind in meters().items():
        price = book.lookup(provider, model, name, at, **{k: v for k, v in modifiers.items() if v is not None})
        if price.unit_price is None:
            continue
        if any(
            note.startswith(f"{name} at the ") for note in price.why
        ):  # the meter has no row of its own: it would only repeat another line
            continue
        steps = [(price.over, price.unit_price, price.price_id)]
        if modifiers.get("input_tokens") is None:
            steps += price.tiers
        for over, unit_price, price_id in steps:
            rows.append({
                "meter": name, "unit": kind.unit, "per_million": plain(unit_price * MILLION), "currency": price.currency,
                "context": over_text(over) if over else "", "status": price.status_above(over),
                "needs_confirmation": price.needs_confirmation, "price_id": price_id, "why": "; ".join(price.why),
            })  # fmt: skip
    if not any(meters()[str(row["meter"])].is_token for row in rows) and tier != "standard":
        why = book.lookup(provider, model, "input", at, service_tier=tier).why
        raise PriceError(f"No list price of {model!r} at {provider} in the tier {tier}: {'; '.join(why)}.")
    if not rows:
        raise PriceError(f"{model!r} at {provider} has no price on {at:%Y-%m-%d}.")
    return rows


def similar(book: PriceBook, provider: str, model: str) -> str:
    """What may have been meant by a name the book doesn't know, in a sentence.

    >>> from finops_ai.prices import PriceBook
    >>> similar(PriceBook.default(), "openai", "gpt-4o-minni")
    'Similar: gpt-4o-mini, ft:gpt-4o-mini, gpt-5.4-mini.'
    """
    names = book.names(provider_name(provider))
    known = {*names.whole, *names.stems}
    if not known:
        known = {*providers(), *(book.base.providers() if book.base else ())}
        return f"No prices of a provider called {provider!r}. {hint(provider, known)}"
    near = difflib.get_close_matches(model.lower(), known, n=3)
    return (
        f"Similar: {', '.join(near)}." if near else f"The book has {len(known)} names of that provider, none similar."
    )


def diff_books(before: PriceBook, after: PriceBook) -> pd.DataFrame:
    """Prices that one book has and the other hasn't, or that differ.

    Returns:
        One row per price: the key columns, `before` and `after` per million units (null = not there), status of both.
    """
    sides = []
    models = _may_differ(before, after)
    if models == []:
        return pd.DataFrame(columns=[*KEY, "before", "status_before", "after", "status_after"])
    for book, name in ((before, "before"), (after, "after")):
        rows = book.rows(models=models)[[*KEY, "unit_price", "status"]].drop_duplicates(KEY)
        sides.append(rows.rename(columns={"unit_price": name, "status": f"status_{name}"}))
    merged = sides[0].merge(sides[1], on=KEY, how="outer")
    same = (merged["before"] == merged["after"]) & (merged["status_before"] == merged["status_after"])
    changed = merged[~same.fillna(False).astype(bool)].reset_index(drop=True)
    for name in ("before", "after"):
        changed[name] = [None if pd.isna(v) else v * MILLION for v in changed[name]]
    return changed


def _may_differ(before: PriceBook, after: PriceBook) -> list[tuple[str, str]] | None:
    """The models whose prices may differ where two books share this package's files; null = any may."""
    if before.own is not after.own or before.contracts or after.contracts:
        return None
    if before.maps is None or after.maps is None or before.maps.undated != after.maps.undated:
        return None
    days = [book.base.published if book.base else None for book in (before, after)]
    flipped = fresh_maps(before.maps, days[0]) ^ fresh_maps(after.maps, days[1])
    found = []
    for provider in sorted({*before.providers(), *after.providers()}):
        old, new = before.maps.models(provider), after.maps.models(provider)
        same = before.base is after.base
        for model in dict.fromkeys(
            [*old, *new, *([] if same else [*before.models(provider), *after.models(provider)])]
        ):
            said = new.get(model, {})
            if (
                old.get(model, {}) != said
                or (flipped and any(flipped & set(sources) for sources in said.values()))
                or not (same or _base_prices(before, provider, model) == _base_prices(after, provider, model))
            ):
                found.append((provider, model))
    return found


def _base_prices(book: PriceBook, provider: str, model: str) -> list[Card]:
    cards = book.base.cards(provider, model) if book.base else []
    return [replace(card, source="") for card in cards]


def findings(book: PriceBook, today: datetime | None = None) -> pd.DataFrame:
    """What somebody should look at: prices above list, overlapping rows, promotions past their end, disputed prices.

    Returns:
        One row per finding: severity ("error" or "note"), finding, provider, model, detail.
    """
    now = today or datetime.now(UTC)
    rows = [("error", "above list", "", "", text) for text in check_below_list(book, book.contracts)]
    rows += [("note", finding, provider, "", detail) for finding, provider, detail in contract_notes(book, now)]
    days, newest = age(book, now.date()) if book.base or book.maps else (0, "")
    if days > OLD_AFTER:
        detail = f"the newest list, {newest}, is {days} days old: finops-ai prices update"
        rows.append(("note", "old book", "", "", detail))
    for (provider, model), cards in book.own.cards.items():
        try:
            check_overlaps(cards, "price file")
        except PriceError as error:
            rows.append(("error", "overlap", provider, model, str(error)))
    for provider in {owner for owner, _ in book.own.cards} | set(book.base.providers() if book.base else ()):
        for model in book.models(provider):
            for card in book.cards(provider, model):
                if " says " in card.source and card.layer == MAPS:
                    rows.append(
                        (
                            "note",
                            "sources differ",
                            provider,
                            model,
                            f"{card.describe(next(iter(card.prices)))} ({card.source})",
                        )
                    )
                if card.status == "disputed":
                    rows.append(("note", "disputed", provider, model, card.describe(next(iter(card.prices)))))
                elif card.unsure_from and card.unsure_from <= now and (card.end is None or card.end > now):
                    rows.append(
                        (
                            "note",
                            "needs confirmation",
                            provider,
                            model,
                            f"promised until {card.unsure_from:%Y-%m-%d}: {card.describe(next(iter(card.prices)))}",
                        )
                    )
    return pd.DataFrame(sorted(rows), columns=["severity", "finding", "provider", "model", "detail"]).drop_duplicates()


def unpriced(tokens: pd.DataFrame, book: PriceBook) -> pd.DataFrame:
    """What a book can't price in a token frame, biggest first.

    Args:
        tokens: token frame.
        book: the bundled book if None.

    Returns:
        One row per provider, model, meter, unit and service tier without a price: rows, quantity, first and last day.
        A real price of 0 isn't unpriced, nor is a meter that is never billed.
    """
    from finops_ai.frames import to_arrow
    from finops_ai.prices.price import NEVER_BILLED

    keys = [key for key in book.key_columns if key in tokens.columns]
    table = to_arrow(tokens[[*keys, "charge_period_start", "quantity", "unit"]])
    day = table["charge_period_start"].cast(pa.timestamp("us")).cast(pa.date32())
    table = table.drop_columns(["charge_period_start"]).append_column("day", day)
    grouped = table.group_by([*keys, "unit", "day"]).aggregate([("quantity", "sum"), ("quantity", "count")])
    priced = book.expand(grouped)
    frame = priced.filter(pc.is_null(priced["list_unit_price"])).to_pandas(types_mapper=_exact)
    frame = frame[~frame["meter"].isin(NEVER_BILLED)]
    by = ["provider", "model", "meter", "unit", "service_tier"]
    by = [name for name in by if name in frame.columns]
    found = frame.groupby(by, dropna=False, sort=False).agg(
        rows=("quantity_count", "sum"),
        quantity=("quantity_sum", "sum"),
        first_day=("day", "min"),
        last_day=("day", "max"),
    )
    out: pd.DataFrame = found.reset_index().sort_values(
        ["quantity", "model"], ascending=[False, True], ignore_index=True
    )
    return out


def _exact(kind: pa.DataType) -> Any:
    return pd.ArrowDtype(kind) if pa.types.is_decimal(kind) or pa.types.is_date(kind) else None
