"""The price book: names match whole, dates decide, modifiers stack in order, unknown is null."""

from __future__ import annotations

import datetime as dt
import tomllib
from decimal import Decimal
from importlib.resources import files

import pyarrow as pa
import pytest

from finops_ai.errors import PriceError
from finops_ai.frames import PriceFrame, check_frame
from finops_ai.prices import Contract, PriceBook
from finops_ai.prices.cards import CONTRACT, Card, check_card, read_hours, read_instant, read_over
from finops_ai.prices.names import provider_name
from finops_ai.prices.own import bundled, check_overlaps, read_own
from finops_ai.prices.price import read_window

BOOK = PriceBook.default()
MILLION = 1_000_000


def per_million(provider, model, meter, at="2026-10-20", **modifiers):
    price = BOOK.lookup(provider, model, meter, at, **modifiers).unit_price
    return None if price is None else price * MILLION


@pytest.mark.parametrize(
    ("provider", "name", "known"),
    [
        ("openai", "gpt-4o", True),
        ("openai", "GPT-4o", True),
        ("openai", "openai/gpt-4o", True),
        ("openai", "gpt-4o-2024-11-20", True),
        ("openai", "gpt-4o-20241120", True),
        ("openai", "gpt-4o-2031-01-01", True),  # a later dated snapshot of a known model
        ("openai", "gpt-4o-2024-13-40", False),  # no date
        ("openai", "gpt-4o-clone", False),
        ("openai", "agpt-4o", False),
        ("openai", "gpt-4", True),
        ("openai", "gpt-4-ultra", False),
        ("openai", "ft:gpt-4o-2024-08-06:acme::id", True),
        ("anthropic", "claude-opus-4-5-20251101", True),
        ("anthropic", "claude-opus-4.5", True),
        ("anthropic", "claude-opus-4-5-turbo", False),
        ("google", "models/gemini-2.5-pro", True),
        ("google", "gemini-2.5-pro-preview-05-06", True),
        ("google", "gemini-2.5-pro-tuned", False),
        ("google", "claude-haiku-4-5@20251001", True),
        ("bedrock", "anthropic.claude-3-5-sonnet-20241022-v2:0", True),
        ("bedrock", "us.meta.llama3-3-70b-instruct-v1:0", True),
        ("bedrock", "xx.meta.llama3-3-70b-instruct-v1:0", False),
        ("azure-openai", "gpt-4o-mini-2024-07-18", True),
        ("mistral", "mistral-large-latest", True),
        ("acme", "gpt-4o", False),
    ],
)
def test_names_match_whole(provider, name, known):
    assert (BOOK.find(provider_name(provider), name) is not None) == known


def test_providers_have_one_name_inside():
    # connector names and case-file names
    for connector, inside in [
        ("azure-openai", "azure"),
        ("bedrock", "aws"),
        ("vertex", "google"),
        ("openai", "openai"),
    ]:
        assert provider_name(connector) == inside
    assert per_million("vertex", "gemini-2.5-flash", "input") == per_million("google", "gemini-2.5-flash", "input")


def test_why_names_row_and_modifiers_in_order():
    price = BOOK.lookup("anthropic", "claude-opus-4-6", "output", "2026-09-01", service_tier="fast", inference_geo="us")
    # 25 x 6 fast x 1.1 place
    assert price.unit_price * MILLION == Decimal("165")
    assert price.why == (
        "anthropic claude-opus-4-6 output 25 per million, from 2026-03-13",
        "x 6 fast mode",
        "x 1.1 inference_geo us",
    )


def test_unknown_is_null_and_says_why():
    for arguments, reason in [
        (("openai", "nobody-1", "input"), "unknown model"),
        (("openai", "gpt-4o", "gpu_hours"), "no price row for gpu_hours"),
    ]:
        price = BOOK.lookup(*arguments, "2026-01-01")
        assert price.unit_price is None
        assert price.status == "unpriced"
        assert reason in price.why[0]
    tier = BOOK.lookup("openai", "gpt-5-nano", "input", "2026-08-01", service_tier="priority")
    assert (tier.unit_price, tier.why) == (None, ("no price row for service tier priority",))
    committed = BOOK.lookup("anthropic", "claude-opus-4-7", "input", "2026-08-01", service_tier="priority")
    assert committed.unit_price is None
    assert committed.why[0].startswith("Priority Tier is committed capacity without a list price")


def test_an_unknown_meter_is_an_error():
    with pytest.raises(Exception, match="No meter called 'tokens'"):
        BOOK.lookup("openai", "gpt-4o", "tokens", "2026-01-01")
    with pytest.raises(PriceError, match="date like 2026-11-01"):
        BOOK.lookup("openai", "gpt-4o", "input", "yesterday")


def test_no_cache_price_is_the_input_price_and_an_assumption():
    price = BOOK.lookup("openai", "gpt-4-turbo", "cache_read", "2026-01-01")
    assert (price.unit_price * MILLION, price.status) == (Decimal(10), "assumed")


def test_tools_are_priced_for_any_model_but_tokens_are_not():
    assert per_million("openai", "gpt-4o", "code_sessions") == Decimal("30000")  # 0.03 each
    assert per_million("azure", "anything", "provisioned_hours", deployment_type="GlobalProvisionedManaged") == MILLION
    assert per_million("openai", "nobody-1", "input") is None


def test_context_window_as_providers_write_it():
    assert read_window("0-200k") == (0, 200_000)
    assert read_window("200k-1M") == (200_000, 1_000_000)
    assert read_window("long context") is None
    at = "2025-12-01"
    assert per_million("anthropic", "claude-sonnet-4-5", "input", at, context_window="200k-1M") == 6
    assert per_million("anthropic", "claude-sonnet-4-5", "input", at, context_window="0-200k") == 3
    assert per_million("anthropic", "claude-sonnet-4-5", "input", at, input_tokens=200_001) == 6


@pytest.mark.parametrize(
    ("geography", "found"), [("us", "1.1"), ("US", "1.1"), ("global", "1"), ("not_available", "1"), (None, "1")]
)
def test_places(geography, found):
    base = per_million("anthropic", "claude-opus-4-7", "input")
    assert per_million("anthropic", "claude-opus-4-7", "input", inference_geo=geography) == base * Decimal(found)


def test_every_row_is_a_price_frame_with_a_stable_id():
    rows = BOOK.rows("deepseek")
    check_frame(rows, PriceFrame, source="test")
    assert len(rows) > 40
    assert set(BOOK.rows("deepseek")["price_id"]) == set(rows["price_id"])
    assert rows["price_id"].is_unique


def test_the_version_is_the_content():
    assert PriceBook.default().version == BOOK.version
    changed = BOOK.with_contracts([Contract("c", "openai", discount=Decimal("0.1"))])
    assert changed.version != BOOK.version


def test_every_bundled_row_has_source_and_date():
    count = 0
    for file in files("finops_ai.prices").joinpath("data").iterdir():
        if not file.name.endswith(".toml"):
            continue
        table = tomllib.loads(file.read_text("utf-8"))
        if file.name in ("providers.toml", "developers.toml", "seats.toml"):
            continue
        data = read_own(table, file.name)  # raises where a source, a date or a known key is missing
        for cards in data.cards.values():
            for card in cards:
                assert card.source
                assert dt.date.fromisoformat(card.checked)
                count += 1
    assert count > 150


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prices": {"input": "1"}}, "checked"),
        ({"prices": {"imput": "1"}, "source": "s", "checked": "2026-01-01"}, "No meter called 'imput'"),
        ({"prices": {"input": "-1"}, "source": "s", "checked": "2026-01-01"}, "0 or more"),
        ({"prices": {}, "source": "s", "checked": "2026-01-01"}, "without prices"),
        ({"prices": {"input": "x"}, "source": "s", "checked": "2026-01-01"}, "decimal in quotes"),
        ({"prices": {"input": "1"}, "tier": "gold", "source": "s", "checked": "2026-01-01"}, "service tier 'gold'"),
        ({"prices": {"input": "1"}, "over": "200k", "source": "s", "checked": "2026-01-01"}, "context tier"),
        ({"prices": {"input": "1"}, "status": "maybe", "source": "s", "checked": "2026-01-01"}, "status 'maybe'"),
        ({"prices": {"input": "1"}, "form": "2026", "source": "s", "checked": "2026-01-01"}, "unknown key 'form'"),
        (
            {
                "prices": {"input": "1"},
                "from": "2026-02-01",
                "to": "2026-01-01",
                "source": "s",
                "checked": "2026-01-01",
            },
            "empty",
        ),
        ({"prices": {"input": "1"}, "from": "soon", "source": "s", "checked": "2026-01-01"}, "date like"),
        ({"prices": {"input": "1"}, "utc_hours": ["25:00", "1"], "source": "s", "checked": "2026-01-01"}, "utc_hours"),
    ],
)
def test_a_bad_row_is_refused_with_its_place(row, message):
    table = {"provider": "acme", "model": [{"id": "acme-1", "cards": [row]}]}
    with pytest.raises(PriceError, match=message):
        read_own(table, "acme.toml")


def card(start=None, end=None, price="1", **kwargs):
    return Card("acme", "acme-1", {"input": Decimal(price)}, start=read_instant(start), end=read_instant(end), **kwargs)


def test_overlapping_rows_are_refused():
    for pair in ([card(), card()], [card("2026-01-01", "2026-03-01"), card("2026-02-01")]):
        with pytest.raises(PriceError, match="hold at the same time"):
            check_overlaps(pair, "acme.toml")
    # a later price supersedes an open one; a tier, a place or an hour is a row of its own
    check_overlaps(
        [card(), card("2026-02-01"), card(service_tier="batch"), card(geography="eu"), card(hours=(0, 60))], "x"
    )


def test_hours_are_half_open_and_may_cross_midnight():
    night = card(hours=read_hours(["22:00", "06:00"]))
    at = [dt.datetime(2026, 1, 1, hour, minute, tzinfo=dt.UTC) for hour, minute in [(21, 59), (22, 0), (5, 59), (6, 0)]]
    assert [night.holds(moment) for moment in at] == [False, True, True, False]


def test_read_over():
    assert (read_over(">200000"), read_over(">=128000"), read_over(None)) == ((200000, False), (128000, True), None)
    with pytest.raises(PriceError):
        read_over("200k")
    with pytest.raises(PriceError, match="0 or more"):
        check_card(card(price="NaN"))


# -- all keys at once


def keys(rows: list[tuple], book: PriceBook) -> pa.Table:
    names = [*book.key_columns, "day", *(["minute"] if any("minute" in row[4] for row in rows) else [])]
    base = {"service_tier": "standard"}
    columns = {name: [] for name in names}
    for provider, model, meter, day, extra in rows:
        row = base | {"provider": provider, "model": model, "meter": meter, "day": day} | extra
        for name in names:
            columns[name].append(row.get(name))
    kinds = {"day": pa.date32(), "minute": pa.int64()}
    return pa.table({name: pa.array(values, kinds.get(name, pa.string())) for name, values in columns.items()})


def test_expand_agrees_with_lookup_on_every_key_and_day():
    days = [dt.date(2026, 7, 28) + dt.timedelta(days=n) for n in range(40)]
    rows = [
        (provider, model, meter, day, {"service_tier": tier} | extra)
        for provider, model, extra in [
            ("openai", "gpt-5.6-luna", {}),
            ("openai", "gpt-4o", {}),
            ("anthropic", "claude-haiku-5-5", {"inference_geo": "us"}),
            ("anthropic", "claude-sonnet-4-6", {"context_tier": "200k-1M"}),
            ("bedrock", "us.openai.gpt-5.6-sol", {}),
            ("vertex", "gemini-2.5-pro", {"region": "us-central1"}),
            ("azure-openai", "gpt-5.4", {"inference_geo": "data-zone"}),
            ("openai", "nobody", {}),
        ]
        for meter in ("input", "cache_read", "cache_write_1h", "reasoning", "requests", "web_searches")
        for tier in ("standard", "batch")
        for day in days[:: 7 if model == "nobody" else 3]
    ]
    table = BOOK.expand(keys(rows, BOOK))
    assert table.num_rows == len(rows)
    for (provider, model, meter, day, extra), found in zip(rows, table.to_pylist(), strict=True):
        where = {name: extra.get(name) for name in ("inference_geo", "region") if extra.get(name)}
        price = BOOK.lookup(provider, model, meter, day.isoformat(), service_tier=extra["service_tier"], **where)
        window = price.in_window(extra.get("context_tier"))
        assert found["list_unit_price"] == (window or price).unit_price, (provider, model, meter, day)
        assert found["price_status"] == price.status
        if price.tiers and window is None:
            (over, rate, price_id), *_ = price.tiers
            assert (found["over_tokens"], found["over_inclusive"], found["list_unit_price_over"]) == (*over, rate)
            assert found["price_id_over"] == price_id


def test_expand_by_the_hour_for_models_priced_by_the_hour():
    day = dt.date(2026, 8, 19)  # a Wednesday
    saturday = dt.date(2026, 8, 29)
    rows = [
        ("deepseek", "deepseek-v4-pro", "input", d, {"minute": h * 60})
        for d in (day, saturday)
        for h in (0, 1, 3, 4, 9, 10)
    ]
    table = BOOK.expand(keys(rows, BOOK))
    cheap, dear = Decimal("0.66"), Decimal("1.32")
    assert [p * MILLION for p in table["list_unit_price"].to_pylist()] == [cheap, dear, dear, cheap, dear, cheap] + [
        cheap
    ] * 6
    assert BOOK.change_minutes(day, saturday, [("openai", "gpt-5")]) == []


def test_every_threshold_has_its_columns():
    rows = [
        ("alibaba", "qwen3-coder-plus", "input", dt.date(2026, 6, 1), {"context_tier": tier})
        for tier in (None, "128k-256k")
    ]
    open_tier, stated = BOOK.expand(keys(rows, BOOK)).to_pylist()
    # 1 per million to 32,000 tokens, then 1.8, from 128,000 on 3, from 256,000 on 6
    tiers = [(open_tier[f"over_tokens{e}"], open_tier[f"list_unit_price_over{e}"] * MILLION) for e in ("", "_2", "_3")]
    assert tiers == [(32_000, Decimal("1.8")), (128_000, 3), (256_000, 6)]
    assert (stated["list_unit_price"] * MILLION, stated["needs_confirmation"]) == (3, False)


def test_expand_keeps_the_order_and_works_on_nothing():
    empty = BOOK.expand(keys([], BOOK))
    assert empty.num_rows == 0
    assert "list_unit_price" in empty.column_names


def test_change_days_are_the_days_a_price_changes():
    first, last = dt.date(2026, 7, 1), dt.date(2026, 9, 1)
    assert BOOK.change_days(first, last, [("openai", "gpt-5.6-luna")]) == [dt.date(2026, 7, 30)]
    assert len(BOOK.change_days(first, last, [("deepseek", "deepseek-v4-pro")])) == 62


def test_status_of_an_own_rate_is_contract():
    terms = Contract("c", "acme", cards=(card(layer=CONTRACT),))
    found = BOOK.with_contracts([terms]).lookup("acme", "acme-1", "input", "2026-01-01")
    assert (found.unit_price, found.status) == (Decimal(1), "contract")


def test_no_model_of_a_price_file_hides_the_names_of_another():
    hidden = []
    for file in files("finops_ai.prices").joinpath("data").iterdir():
        if not file.name.endswith(".toml"):
            continue
        models = [model for model in tomllib.loads(file.read_text("utf-8")).get("model", []) if "id" in model]
        names = {name: model["id"] for model in models for name in model.get("names", ())}
        hidden += [model["id"] for model in models if names.get(model["id"], model["id"]) != model["id"]]
    assert not hidden
    embedding = "amazon.nova-2-multimodal-embeddings-v1:0"
    assert [per_million("aws", embedding, meter) for meter in ("input", "images")] == [Decimal("0.135"), 60]


def test_doubts_only_touch_their_time_and_meter():
    assert {doubt.model for doubt in bundled().doubts} == {
        "o3", "gpt-5.6-sol", "openai.gpt-5.6-sol", "gemini-2.5-pro", "gemini-4-argon", "gpt-4o-transcribe",
        "gpt-4o-mini-transcribe",
    }  # fmt: skip
    assert BOOK.lookup("openai", "o3", "cache_read", "2025-06-09").needs_confirmation
    assert not BOOK.lookup("openai", "o3", "cache_read", "2025-06-10").needs_confirmation
    assert not BOOK.lookup("openai", "o3", "input", "2025-06-09").needs_confirmation


@pytest.mark.long
def test_the_version_is_the_same_in_every_process():
    import os
    import subprocess
    import sys

    code = "from finops_ai.prices import PriceBook; print(PriceBook.default().version)"
    seen = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(seen) == 1


def test_what_two_maps_knew_of_a_price_before_the_lists_first_row():
    # LiteLLM had twice the rate from 2026-07-19 on and Langfuse has it undated; the list's own row begins with the cut
    before, after = (
        BOOK.lookup("openai", "gpt-5.6-sol", "output", day, service_tier="priority")
        for day in ("2026-07-20", "2026-08-22")
    )
    assert [(p.unit_price * 1_000_000, p.status) for p in (before, after)] == [(60, "listed"), (40, "promotional")]


def test_a_price_seen_later_belongs_to_the_period_it_was_seen_in():
    # 12-hour writes were first listed in November at twice the write rate (5 then); before the cut a write cost 6.25
    rates = [BOOK.lookup("openai", "gpt-5.6-sol", "cache_write_12h", day) for day in ("2026-07-20", "2026-11-22")]
    assert [(p.unit_price * 1_000_000, p.status) for p in rates] == [(Decimal("12.5"), "assumed"), (10, "promotional")]


def test_a_snapshot_keeps_a_price_of_its_own():
    audio = [
        BOOK.lookup("openai", f"gpt-4o-realtime-preview-2024-{day}", "input_audio", "2025-01-15")
        for day in ("10-01", "12-17")
    ]
    assert [p.unit_price * 1_000_000 for p in audio] == [100, 40]
