"""The rules every connector keeps, as a pytest class that a plugin's tests subclass."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, ClassVar

import pandas as pd
import pytest

from finops_ai.errors import CredentialsError, FinopsError, SettingsError
from finops_ai.frames import SLICE_KEY, BillFrame, TokenFrame, check_frame, duplicates, empty
from finops_ai.meters import meters, token_meters
from finops_ai.money import exact
from finops_ai.periods import Window, instant
from finops_ai.providers import Connector, Finding
from finops_ai.providers.http import HttpClient
from finops_ai.providers.registry import check_connector, registry
from finops_ai.testing.server import PlayedProvider, Reply, Request

#: packages a connector may only import while reading
HEAVY = (
    "boto3",
    "botocore",
    "google.cloud",
    "google.auth",
    "azure",
    "oci",
    "openai",
    "anthropic",
    "psycopg",
    "pyspark",
)
LONGEST_TEXT = 1024


class ConnectorConformance:
    """Subclass it, name your connector, and play its provider or point it at saved files.

    A live connector: write `answer`, which plays the provider for `settings` (the address comes as `endpoint_url`).
    A connector of files: give `settings = {"files": [...]}` and say in `files_only` why no live source is tested here.
    A counterpart that isn't plain HTTP (an emulator, an SDK): override `make` and `troubled`.

    Attributes:
        connector: the class under test.
        settings: settings it is made with.
        environment: environment variables it reads, credentials included.
        secrets: texts that must never show: keys, tokens.
        window: window with usage in it, `(start, end)`, half open; the source should also hold something at its end.
        split: an instant inside the window, at the start of one of its slices, that cuts it in two.
        tokens: tokens in the window by the source's own totals, worked out by hand; None where it counts none.
        quantities: expected quantity by meter, worked out by hand; may be a part of all meters.
        billed: expected sum of billed cost in the window by currency, as text; {} where it has no bills.
        content: a text planted as prompt or response in the source, if it knows such texts.
        files_only: why no live source is tested here; "" where one is.
        excused: rule to the reason why it can't hold for this connector.
        page_size: set by the paging rule; `answer` must give no more than so many items a page. None = one page.
    """

    connector: ClassVar[type[Connector]]
    settings: ClassVar[dict[str, Any]] = {}
    environment: ClassVar[dict[str, str]] = {}
    secrets: ClassVar[tuple[str, ...]] = ()
    window: ClassVar[tuple[object, object]] = ("2026-10-01", "2026-11-01")
    split: ClassVar[object] = "2026-10-02"
    tokens: ClassVar[int | None] = None
    quantities: ClassVar[dict[str, Any]] = {}
    billed: ClassVar[dict[str, str]] = {}
    content: ClassVar[str] = ""
    files_only: ClassVar[str] = ""
    excused: ClassVar[dict[str, str]] = {}
    page_size: int | None = None

    # ------------------------------------------------------------------ what a plugin may replace

    def answer(self, request: Request) -> Reply:
        """Play the provider: one answer to one request."""
        pytest.fail("Write `answer(request)` to play the provider, or set `files_only` and settings['files'].")

    def make(self, **changes: object) -> Connector:
        """A connector on the healthy source."""
        settings = dict(self.settings)
        if not self.files_only:
            settings["endpoint_url"] = self.provider.url
        return self.connector(**settings | changes)

    def troubled(self, *replies: Reply) -> Connector:
        """A connector whose source first gives these replies, then its healthy answers."""
        self.provider.troubles.extend(replies)
        return self.make()

    def requests(self) -> int:
        """Requests the source has received so far."""
        return len(self.provider.requests)

    # ------------------------------------------------------------------ fixtures

    @pytest.fixture(autouse=True)
    def _source(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        reason = self.excused.get(request.node.originalname)
        if reason and reason.strip():
            pytest.skip(f"excused: {reason}")
        for name, value in self.environment.items():
            monkeypatch.setenv(name, value)
        defaults: dict[str, Any] = HttpClient.__init__.__kwdefaults__ or {}
        monkeypatch.setitem(defaults, "sleep", lambda seconds: None)  # retries without the wait between tries
        if self.files_only:
            yield
            return
        with PlayedProvider(self.answer) as self.provider:
            yield

    @property
    def whole(self) -> Window:
        """The window under test."""
        return Window.of(*self.window)

    @pytest.fixture
    def usage(self) -> pd.DataFrame:
        """Usage of the whole window."""
        return self.make().usage(self.whole)

    @pytest.fixture
    def bills(self) -> pd.DataFrame:
        """Bills of the whole window."""
        return self.make().bills(self.whole)

    def _live_only(self) -> None:
        if self.files_only:
            pytest.skip(f"no live source here: {self.files_only}")

    # ------------------------------------------------------------------ rules: the frames

    def test_the_connector_class_is_complete(self) -> None:
        check_connector(self.connector)

    def test_usage_keeps_its_schema(self, usage: pd.DataFrame) -> None:
        assert len(usage), "The window gave no usage: nothing would be tested. Put usage into the source."
        check_frame(usage, TokenFrame, source=self.connector.name)

    def test_bills_keep_their_schema(self, bills: pd.DataFrame) -> None:
        check_frame(bills, BillFrame, source=self.connector.name)

    def test_rows_are_unique(self, usage: pd.DataFrame) -> None:
        twice = duplicates(usage)
        assert twice.empty, f"{len(twice)} rows share a key: totals would count them twice.\n{_shown(twice)}"

    def test_quantities_are_those_of_the_source(self, usage: pd.DataFrame) -> None:
        assert self.quantities, "State `quantities`: meter to quantity in the window, worked out by hand."
        found = dict(usage.groupby("meter")["quantity"].sum().items())
        wrong = {m: (found.get(m, 0), q) for m, q in self.quantities.items() if found.get(m, 0) != q}
        assert not wrong, f"Meter: (found, stated): {wrong}. Usage is lost or counted twice."

    def test_meters_are_disjoint(self, usage: pd.DataFrame) -> None:
        counted = usage[usage["meter"].isin(token_meters())]
        total = counted["quantity"].sum() if len(counted) else 0
        assert total == (self.tokens or 0), (
            f"The token meters add up to {total}, the source's own totals say {self.tokens or 0}: "
            "a token is in two meters (cached inside input?) or in none."
        )
        inputs = counted[counted["meter"].map(lambda m: meters()[m].direction == "input").astype(bool)]
        inputs = inputs[inputs["slice_input_tokens"].notna() & (inputs["slice_input_tokens"] > 0)]
        texts = inputs[[*SLICE_KEY, "tags"]].astype(object).map(repr)  # nulls become text: none may drop out
        for _, rows in inputs.groupby(texts.agg("|".join, axis=1)) if len(inputs) else ():
            said, got = rows["slice_input_tokens"].iloc[0], rows["quantity"].sum()
            assert got == said, f"A slice says {said} input tokens, its meters add up to {got}.\n{_shown(rows)}"

    def test_nothing_lies_outside_the_window(self, usage: pd.DataFrame, bills: pd.DataFrame) -> None:
        for frame in (usage, bills):
            early = frame[frame["charge_period_start"] < self.whole.start]
            late = frame[frame["charge_period_start"] >= self.whole.end]
            assert early.empty, f"{len(early)} rows start before the window: two loads would both hold them."
            assert late.empty, f"{len(late)} rows start at or after the end: two months would both hold them."

    def test_two_halves_make_the_whole(self, usage: pd.DataFrame, bills: pd.DataFrame) -> None:
        middle = instant(self.split)
        assert middle in self.whole, "`split` must lie inside `window`."
        halves = [Window(self.whole.start, middle), Window(middle, self.whole.end)]
        for what, frame in (("usage", usage), ("bills", bills)):
            parts = [getattr(self.make(), what)(half) for half in halves]
            assert _rows(*parts) == _rows(frame), f"The {what} of two half windows differ from those of the whole."
        assert len(self.make().usage(halves[0])) < len(usage), "`split` cuts nothing off: choose a later `split`."

    def test_reading_twice_gives_the_same(self, usage: pd.DataFrame, bills: pd.DataFrame) -> None:
        connector = self.make()
        for what, frame in (("usage", usage), ("bills", bills)):
            again = [_rows(getattr(connector, what)(self.whole)) for _ in range(2)]
            assert again[0] == again[1] == _rows(frame), f"Reading {what} again gives something else."

    def test_an_empty_window_gives_an_empty_frame(self) -> None:
        quiet = Window.of("2001-01-01", "2001-01-03")
        for what, model in (("usage", TokenFrame), ("bills", BillFrame)):
            frame = getattr(self.make(), what)(quiet)
            assert frame.empty, f"{what}: {len(frame)} rows in 2001, long before there was any."
            assert dict(frame.dtypes) == dict(empty(model).dtypes), f"{what}: the empty frame has other column types."

    def test_bills_and_usage_agree_on_accounts(self, usage: pd.DataFrame, bills: pd.DataFrame) -> None:
        used, billed = set(usage["billing_account_id"]), set(bills["billing_account_id"])
        assert billed <= used, f"Billed accounts {sorted(billed - used)} have no usage: they could never be reconciled."

    def test_bills_add_up(self, bills: pd.DataFrame) -> None:
        found = {c: rows["billed_cost"].sum() for c, rows in bills.groupby("billing_currency")}
        stated = {currency: exact(amount) for currency, amount in self.billed.items()}
        assert found == stated, f"Billed {found}, the source says {stated}."

    def test_the_provider_is_the_connector(self, usage: pd.DataFrame, bills: pd.DataFrame) -> None:
        found = set(usage["provider"]) | set(bills["provider"])
        assert found <= {self.connector.name}, (
            f"Rows say provider {sorted(found)}, the connector is {self.connector.name!r}."
        )

    def test_no_text_of_prompts_is_kept(self, usage: pd.DataFrame, bills: pd.DataFrame) -> None:
        for frame in (usage, bills):
            for name in frame.columns:
                texts = frame[name].dropna().astype(str)
                if self.content:
                    assert not texts.str.contains(self.content, regex=False).any(), f"{name} holds text of a prompt."
                assert not (texts.str.len() > LONGEST_TEXT).any(), (
                    f"{name} holds texts of more than {LONGEST_TEXT} characters."
                )

    # ------------------------------------------------------------------ rules: time, settings, secrets

    def test_times_are_utc_wherever_it_runs(self, usage: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
        with monkeypatch.context() as there:
            there.setenv("TZ", "Asia/Tokyo")
            time.tzset()
            elsewhere = self.make()
            frame = elsewhere.usage(self.whole)
        time.tzset()
        assert _rows(frame) == _rows(usage), "On a machine set to Tokyo time the usage is another: local time is used."
        assert elsewhere.fresh_until is None or elsewhere.fresh_until.tzinfo, "fresh_until has no time zone."

    def test_an_unknown_setting_is_refused(self) -> None:
        with pytest.raises(SettingsError, match="fils"):
            self.make(fils="typo")

    def test_secrets_are_never_shown(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        connector = self.make()
        frames = [connector.usage(self.whole), connector.bills(self.whole)]
        shown = [repr(connector), str(connector), repr(connector.settings), str(connector.settings), caplog.text]
        shown += [str(connector.notes), str([repr(finding) for finding in connector.doctor()])]
        shown += [frame.astype(str).to_csv() for frame in frames]
        assert self.secrets or self.files_only, "State `secrets`: the texts of the credentials in `environment`."
        for text in self.secrets:
            assert not any(text in where for where in shown), (
                "A secret shows in repr, settings, logs, notes or a frame."
            )

    def test_importing_it_loads_no_sdk(self) -> None:
        assert not (loaded := _sdks_loaded_by(self.connector.__module__)), (
            f"Importing the connector loads {loaded}: import it in usage()."
        )

    def test_the_doctor_says_how_to_fix_things(self) -> None:
        findings = self.make().doctor()
        assert all(isinstance(finding, Finding) for finding in findings)
        silent = [finding.what for finding in findings if not finding.ok and not finding.fix]
        assert not silent, f"The doctor finds {silent} but says no fix."

    # ------------------------------------------------------------------ rules: the live source

    def test_many_pages_give_what_one_page_gives(self, usage: pd.DataFrame, bills: pd.DataFrame) -> None:
        self._live_only()
        before = self.requests()
        connector = self.make()
        one = (_rows(connector.usage(self.whole)), _rows(connector.bills(self.whole)))
        asked = self.requests() - before
        self.page_size = 1
        before = self.requests()
        connector = self.make()
        many = (_rows(connector.usage(self.whole)), _rows(connector.bills(self.whole)))
        assert many == one, "Read page by page the frames differ: rows are lost or doubled."
        assert self.requests() - before > asked, "`answer` must honour self.page_size: the paging wasn't tried."

    def test_a_busy_provider_is_asked_again(self, usage: pd.DataFrame) -> None:
        self._live_only()
        busy = Reply({"error": {"message": "slow down"}}, 429, {"retry-after": "0"})
        again = self.troubled(busy, busy).usage(self.whole)
        assert _rows(again) == _rows(usage), "After two answers of 429 the usage is another."

    def test_a_refused_key_is_not_tried_again(self) -> None:
        self._live_only()
        refusal = Reply({"error": {"message": "bad key"}}, 401)
        connector = self.troubled(*[refusal] * 20)
        before = self.requests()
        with pytest.raises(CredentialsError) as refused:
            connector.usage(self.whole)
        assert self.requests() - before == 1, (
            f"A refused key was tried {self.requests() - before} times: it may get locked."
        )
        assert not any(text in str(refused.value) for text in self.secrets), "The error shows a secret."

    def test_a_damaged_answer_is_an_error(self) -> None:
        self._live_only()
        with pytest.raises(FinopsError):
            self.troubled(*[Reply(b'{"data": [{"st')] * 20).usage(self.whole)

    # ------------------------------------------------------------------ the kit itself

    def test_no_rule_is_left_out_in_silence(self) -> None:
        kit = {name for name in dir(ConnectorConformance) if name.startswith("test_")}
        replaced = sorted(n for n in kit if getattr(type(self), n) is not getattr(ConnectorConformance, n))
        silent = [name for name in replaced if not self.excused.get(name, "").strip()]
        assert not silent, f"Replaced without a reason: {silent}. Say why in `excused`, or keep the rule."
        empty_reasons = [name for name, reason in self.excused.items() if not reason.strip()]
        assert not empty_reasons, f"`excused` gives no reason for {empty_reasons}."
        unknown = sorted(set(self.excused) - kit)
        assert not unknown, f"`excused` names rules that don't exist: {unknown}."
        assert "test_no_rule_is_left_out_in_silence" not in self.excused, "This rule can't be excused."


def _sdks_loaded_by(module: str) -> str:
    """Vendor packages that importing a module loads, in a fresh interpreter."""
    installed = _sdks_of_installed()
    return installed[module] if module in installed else _imported((module,))[module]


@cache
def _sdks_of_installed() -> dict[str, str]:
    """The same of every installed connector's module that loads none, out of one interpreter for all of them.

    Who is imported after one that loads some can't be told apart from it, so only these answers count.
    """
    found = _imported(tuple(sorted({kind.__module__ for kind in registry().connectors.values()})), broken="?")
    return {module: loaded for module, loaded in found.items() if not loaded}


def _imported(modules: Sequence[str], broken: str = "") -> dict[str, str]:
    code = (
        "import importlib, json, sys\n"
        "found = {}\n"
        f"for name in {list(modules)!r}:\n"
        "    try:\n"
        "        importlib.import_module(name)\n"
        f"        found[name] = ' '.join(n for n in {HEAVY!r} if n in sys.modules)\n"
        "    except Exception:\n"
        f"        found[name] = {broken!r}\n"
        f"        if not {broken!r}: raise\n"
        "print(json.dumps(found))\n"
    )
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path)))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(json.loads(done.stdout))


def _rows(*frames: pd.DataFrame) -> list[str]:
    """Rows as comparable text, in any order."""
    lines: list[str] = []
    for frame in frames:
        texts = frame.astype(object).where(frame.notna(), "").map(str)
        lines += ["|".join(row) for row in texts.itertuples(index=False)]
    return sorted(lines)


def _shown(frame: pd.DataFrame) -> str:
    return frame.dropna(axis=1, how="all").head(4).to_string()
