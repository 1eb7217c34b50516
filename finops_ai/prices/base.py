"""The base of the price book: genai-prices' dated list prices, read strictly and turned into cards.

What is read differently from genai-prices itself, and why:
- names match whole (see `names`);
- tier prices that start on the day somebody checked them count from the start of the standard price they belong to;
- a price dated after the data was published is announced, not applied; the price before it then needs confirmation;
- a time-of-day price has no date in that data, so cards in this repository replace those models;
- a fee per request depends on a search setting no usage states (Perplexity), so it isn't taken over.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from finops_ai.prices.cards import BASE, MILLION, Card
from finops_ai.prices.names import _BEDROCK_PLACE, Names, clause_names, providers

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo

THOUSAND, HOUR = Decimal(1_000), Decimal(3600)
#: genai-prices key -> our meter and how many units its price is for
KEYS = {
    "input_mtok": ("input", MILLION), "output_mtok": ("output", MILLION),
    "cache_read_mtok": ("cache_read", MILLION), "cache_write_mtok": ("cache_write", MILLION),
    "cache_write_1h_mtok": ("cache_write_1h", MILLION),
    "input_audio_mtok": ("input_audio", MILLION), "output_audio_mtok": ("output_audio", MILLION),
    "cache_audio_read_mtok": ("cache_read_audio", MILLION), "cache_image_read_mtok": ("cache_read_image", MILLION),
    "input_image_mtok": ("input_image", MILLION), "output_image_mtok": ("output_image", MILLION),
    "input_video_mtok": ("input_video", MILLION), "output_video_mtok": ("output_video", MILLION),
    "output_reasoning_mtok": ("reasoning", MILLION),
    "web_searches_kcount": ("web_searches", THOUSAND), "storage_searches_kcount": ("file_searches", THOUSAND),
    "input_mchars": ("characters", MILLION),
    "audio_hours": ("audio_seconds", HOUR), "input_audio_hours": ("audio_seconds", HOUR),
    "input_document_kpages": ("pages", THOUSAND),
}  # fmt: skip
#: genai-prices request context -> our service tier
TIERS = {
    ("processing", "batch"): "batch", ("service_tier", "flex"): "flex", ("service_tier", "priority"): "priority",
    ("service_tier", "fast"): "fast", ("speed", "fast"): "fast",
}  # fmt: skip


class Base:
    """Models of a genai-prices data set by this package's provider names; cards are made when first asked for."""

    def __init__(self, models: Iterable[Any], version: str, published: date) -> None:
        self.version, self.published = version, published
        self._providers = {provider.id: provider for provider in models}
        self._ids = {info.base: name for name, info in providers().items()}
        self._names: dict[str, Names] = {}
        self._models: dict[str, dict[str, list[Any]]] = {}

    def as_known(self, day: date) -> Base:
        """The same data, where a price that starts after a day is only an announcement."""
        return Base(self._providers.values(), f"{self.version} as known on {day}", min(day, self.published))

    def providers(self) -> list[str]:
        """Names of the providers it has prices of."""
        return sorted(self._ids.get(found, found) for found in self._providers)

    def names(self, provider: str) -> Names:
        """All model names of a provider."""
        if provider not in self._names:
            self._read(provider)
        return self._names[provider]

    def models(self, provider: str) -> list[str]:
        """Canonical model names of a provider."""
        self.names(provider)
        return list(self._models[provider])

    def cards(self, provider: str, model: str) -> list[Card]:
        """The cards of one model, oldest first."""
        self.names(provider)
        known = datetime.combine(self.published + timedelta(days=1), time(), UTC)
        cards = (card for info in self._models[provider].get(model, ()) for card in self._cards(provider, model, info))
        return [card for card in cards if card.known_since is None or card.known_since < known]

    def _read(self, provider: str) -> None:
        known = providers().get(provider)
        source = self._providers.get(known.base if known else provider)
        names = Names()
        models: dict[str, list[Any]] = {}
        for info in source.models if source else ():
            model = _canonical(provider, info.id)
            models.setdefault(model, []).append(info)
            whole, stems, rules = clause_names(info.match)
            for name in whole:
                if name not in names.whole:
                    names.add(name.rpartition("/")[2] if provider == "aws" else name, model)
            for stem in stems:
                names.stems.setdefault(stem, model)
            names.rules += [(rule, model) for rule in rules]
        for model, infos in models.items():
            for name in {model, *(info.id.lower() for info in infos)}:
                if name not in names.whole and name not in names.stems:
                    names.add(name, model)
        self._names[provider], self._models[provider] = names, models

    def _cards(self, provider: str, model: str, info: ModelInfo) -> list[Card]:
        dated = info.prices if isinstance(info.prices, list) else None
        place = "global" if provider == "aws" and info.id.startswith("global.") else None
        source = f"genai-prices {self.version}, {info.id}"
        common = {"provider": provider, "model": model, "geography": place, "source": source}
        standard: list[tuple[datetime | None, Any]] = [(None, info.prices)] if dated is None else [
            (_start(entry.constraint), entry.prices) for entry in dated if not hasattr(entry.constraint, "start_time")
        ]  # fmt: skip
        cards = _periods(standard, self.published, common, "standard")
        starts = [start for start, _ in standard if start is not None]
        by_tier: dict[str, list[tuple[datetime | None, Any]]] = {}
        known: dict[str, datetime] = {}
        for variant in info.price_variants or ():
            tier = TIERS.get(next(iter(variant.when.items()))) if len(variant.when) == 1 else None
            if tier:
                start = _start(variant.constraint)
                if start is not None:  # the day it was checked: it belongs to the standard price in force then
                    known[tier] = min(start, known.get(tier, start))
                    start = max((s for s in starts if s <= start), default=None)
                stays = not any(value is not None for value in variant.prices.__dict__.values())
                by_tier.setdefault(tier, []).append((start, _in_force(standard, start) if stays else variant.prices))
        for tier, prices in by_tier.items():
            cards += _periods(
                sorted(prices, key=lambda p: p[0] or datetime.min.replace(tzinfo=UTC)),
                self.published,
                common | {"known_since": known.get(tier)},
                tier,
            )
        return cards


def _canonical(provider: str, model: str) -> str:
    """One name for the global and the regional entry of a Bedrock model; any other id as it is."""
    model = model.lower()
    if provider == "aws" and model.startswith(("global.", "regional.")):
        model = _BEDROCK_PLACE.sub("", model.removeprefix("regional."))
        stem, found, version = model.rpartition("-v")
        return stem if found and version.replace(":", "").isdigit() else model
    return model


def _in_force(prices: list[tuple[datetime | None, Any]], at: datetime | None) -> Any:
    """The last price that started by an instant: what an empty variant means, "the same as standard"."""
    started = [price for start, price in prices if start is None or (at is not None and start <= at)]
    return (started or [price for _, price in prices])[-1]


def _start(constraint: object) -> datetime | None:
    start = getattr(constraint, "start_date", None)
    return datetime.combine(start, time(), UTC) if start else None


def _periods(
    prices: list[tuple[datetime | None, Any]], published: date, common: dict[str, Any], tier: str
) -> list[Card]:
    """Cards of successive prices; what was announced for after the data's date only ends the sureness of the last one."""
    known = datetime.combine(published + timedelta(days=1), time(), UTC)
    announced = [start for start, _ in prices if start and start >= known]
    applied = [(start, price) for start, price in prices if not start or start < known]
    cards = []
    for i, (start, price) in enumerate(applied):
        last = i == len(applied) - 1
        end = None if last else applied[i + 1][0]
        for over, values in _by_context(price).items():
            cards.append(Card(
                **common, prices=values, service_tier=tier, over=over, start=start, end=end, layer=BASE,
                status="promotional" if last and announced else "listed",
                unsure_from=min(announced) if last and announced else None,
            ))  # fmt: skip
    return cards


def _by_context(price: object) -> dict[tuple[int, bool] | None, dict[str, Decimal]]:
    if not any(value is not None for value in price.__dict__.values()):  # no price at all is how that data says free
        return {None: {"input": Decimal(0), "output": Decimal(0)}}
    cards: dict[tuple[int, bool] | None, dict[str, Decimal]] = {None: {}}
    for key, value in price.__dict__.items():
        if value is None or key not in KEYS:
            continue
        meter, per = KEYS[key]
        if not hasattr(value, "tiers"):
            cards[None][meter] = value / per
            continue
        cards[None][meter] = value.base / per
        for tier in value.tiers:
            # "above 199,999" is how that data writes "from 200,000 on"
            over = (tier.start + 1, True) if tier.start % 10 == 9 else (tier.start, False)
            cards.setdefault(over, {})[meter] = tier.price / per
    return {over: values for over, values in cards.items() if values}


#: version of genai-prices -> day until which its prices count as known; a later start date in it is an announcement.
#: A version that isn't here counts as known until the day it is used.
PUBLISHED = {"0.2.3": date(2026, 11, 20)}
