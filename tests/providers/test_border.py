"""Whatever comes in: an error of the connection it belongs to, in words, and the others load."""

from __future__ import annotations

import csv
import gzip
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
import zlib
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import finops_ai as fa
from finops_ai.config import LimitsSettings, parse_settings
from finops_ai.errors import (
    ConnectorFault,
    DataError,
    FinopsError,
    PluginError,
    ProviderError,
    ProviderNotFound,
    SettingsError,
)
from finops_ai.frames import conform
from finops_ai.periods import Window
from finops_ai.providers import Connector, HttpClient
from finops_ai.providers.border import usage_of, without_secrets
from finops_ai.providers.files import read_bytes, read_csv, read_json, read_json_lines
from finops_ai.providers.limits import check_packed_file, in_force
from finops_ai.providers.parsing import _depth, parse_json
from finops_ai.providers.registry import allowing, find_connector, load_registry, registry
from finops_ai.sample.settings import write_workspace
from finops_ai.testing.server import PlayedProvider, Reply

OCTOBER = Window.month("2026-10")


# --- limits


def limited(**limits):
    return in_force(LimitsSettings(**limits))


@pytest.mark.parametrize(
    ("limits", "name", "content", "said"),
    [
        ({"file_bytes": 10}, "a.json", b'{"a": "0123456789"}', r"a\.json: its size in bytes \(19\).*limit of 10.*`file_bytes`"),
        ({"unpacked_bytes": 1000}, "a.json.gz", gzip.compress(b" " * 5000 + b"{}", mtime=0), r"unpacked size in bytes.*`unpacked_bytes`"),
        ({"depth": 5}, "a.json", b"[[[[[[1]]]]]]", r"how deep it is nested \(6\).*`depth`"),
        ({"digits": 20}, "a.json", b'{"a": 123456789012345678901}', "at most 20 digits"),
        ({"digits": 20}, "a.json", b'{"a": 1e21}', "at most 20 digits"),
        ({"line_bytes": 10}, "a.jsonl", b'{"a": 12345678901}\n{}', r"line 1: its length.*`line_bytes`"),
    ],
)  # fmt: skip
def test_every_limit_is_a_setting_and_is_said(tmp_path, limits, name, content, said):
    path = tmp_path / name
    path.write_bytes(content)
    read = (lambda: list(read_json_lines(path))) if name.endswith("jsonl") else (lambda: read_json(path))
    read()  # within the defaults
    with limited(**limits), pytest.raises(DataError, match=said):
        read()


@pytest.mark.long
def test_a_bomb_stops_at_the_limit_not_at_the_memory(tmp_path):
    """A gigabyte of blanks in a megabyte."""
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(b" " * (1 << 20)) for _ in range(1024)) + packer.flush()
    assert len(bomb) < 2_000_000
    path = tmp_path / "bomb.json.gz"
    path.write_bytes(bomb)
    code = f"""
        import resource
        from pathlib import Path
        from finops_ai.errors import DataError
        from finops_ai.providers.files import read_json
        from finops_ai.providers.limits import check_packed_file
        for read in (read_json, check_packed_file):
            try:
                read(Path({str(path)!r}))
            except DataError as error:
                print(error)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    first, second, peak = done.stdout.splitlines()
    assert "`unpack_ratio`" in first
    assert "`unpack_ratio`" in second
    assert int(peak) < 800


def test_a_parquet_file_is_measured_by_its_footer(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({f"c{i}": [1, 2, 3] for i in range(20)}), path)
    check_packed_file(path)
    for limits, said in (
        ({"rows": 2}, "number of rows"),
        ({"columns": 19}, "number of columns"),
        ({"unpacked_bytes": 9}, "unpacked size"),
    ):
        with limited(**limits), pytest.raises(DataError, match=said):
            check_packed_file(path)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(DataError, match="not a whole Parquet file"):
        check_packed_file(path)


def test_limits_come_from_finops_toml(tmp_path):
    write_workspace(tmp_path, months=1)
    config = tmp_path / "finops.toml"
    config.write_text(config.read_text() + "\n[limits]\nfile_bytes = 100\n")
    outcomes = fa.open(config).collect(OCTOBER, ["openai"])
    assert "`file_bytes` under [limits]" in str(outcomes[0].error)
    with pytest.raises(SettingsError, match="Did you mean 'file_bytes'"):
        parse_settings({"limits": {"file_byte": 1}})
    with pytest.raises(SettingsError, match=r"\[limits\] depth = 0"):
        parse_settings({"limits": {"depth": 0}})


@given(
    st.recursive(
        st.text(max_size=6) | st.integers(-9, 9) | st.none(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
        max_leaves=20,
    )
)
def test_depth_is_counted_as_json_nests(value):
    def deep(v):
        inner = v.values() if isinstance(v, dict) else v if isinstance(v, list) else None
        return 0 if inner is None else 1 + max(map(deep, inner), default=0)

    assert _depth(json.dumps(value).encode()) == deep(value)


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b"0.1", Decimal("0.1")),
        (b"\xef\xbb\xbf1", 1),
        (b'"\\ud83d\\ude00"', "😀"),
        (b'"a\\ud800b"', "a\ufffdb"),
        (b'{"\\uDFFF": ["\\ud800"]}', {"\ufffd": ["\ufffd"]}),
    ],
)
def test_json_is_exact_and_always_text_that_files_can_hold(content, value):
    assert parse_json(content, "x") == value


@pytest.mark.parametrize(
    "content", [b"NaN", b"-Infinity", b"1e999999999", b"1e99999999999999999999", b"[" * 100_000, b"\xff", b"", b'{"a":']
)
def test_json_nobody_can_count_with_is_refused_in_words(content):
    with pytest.raises(DataError, match=r"^x"):
        parse_json(content, "x")


def test_a_csv_line_that_was_cut_is_named(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a,b\n1,2\n3\n")
    with pytest.raises(DataError, match=r"line 3: fewer fields than the header.*cut short"):
        list(read_csv(path))
    path.write_text("a,b\n1," + "x" * 200 + "\n")
    with limited(line_bytes=100), pytest.raises(DataError, match=r"line \d: not CSV"):
        list(read_csv(path))
    assert csv.field_size_limit() > 100  # the process's own limit is as it was


def test_a_file_that_cannot_be_read_is_a_sentence(tmp_path):
    with pytest.raises(DataError, match="can't be read"):
        read_bytes(tmp_path / "none.json")


# --- a stranger's code


class Rude(Connector):
    name, title, does = "rude", "Rude", staticmethod(lambda window: {}["tokens"])

    def usage(self, window):
        return type(self).does(window)


def leave(window):
    sys.exit("bye")


class Native(BaseException):
    """What crashes of native code come as, such as pyo3's PanicException."""


def panic(window):
    raise Native("the native part has given up")


def secret(window):
    raise RuntimeError("GET https://api.example?api_key=abcd1234 with Bearer sk-abcdefgh12345678 failed")


def deep(window):
    return deep(window)


class Mute(Exception):
    def __str__(self):
        raise ValueError("not even that")


def mute(window):
    raise Mute


RUDE = {
    "KeyError: 'tokens'": lambda window: {}["tokens"],
    "SystemExit: bye": leave,
    "Native: the native part has given up": panic,
    "RecursionError": deep,
    "Mute without a message": mute,
    "MemoryError": lambda window: (_ for _ in ()).throw(MemoryError()),
    "OSError: .Errno 28": lambda window: (_ for _ in ()).throw(OSError(28, "No space left on device")),
    "StopIteration": lambda window: next(iter(())),
    "api_key=\\(hidden\\)": secret,
}


@pytest.mark.parametrize("said", RUDE)
def test_whatever_a_connector_raises_is_an_error_of_its_connection(monkeypatch, said):
    monkeypatch.setattr(Rude, "does", staticmethod(RUDE[said]))
    with pytest.raises(ConnectorFault, match=said) as caught:
        usage_of(Rude(), OCTOBER, name="mine")
    text = str(caught.value)
    assert text.startswith("mine: usage failed: ")
    assert "test_border.py, line" in text
    assert "update it, or show its author" in text
    assert "sk-abcdefgh" not in text
    assert caught.value.__cause__ is not None
    assert caught.value.connection == "mine"


@pytest.mark.parametrize("value", [None, 5, [], "frame", {"a": 1}])
def test_whatever_a_connector_returns_is_checked(monkeypatch, value):
    monkeypatch.setattr(Rude, "does", staticmethod(lambda window: value))
    with pytest.raises(ProviderError, match="instead of a frame"):
        usage_of(Rude(), OCTOBER)


def test_ctrl_c_passes(monkeypatch):
    def stopped(window):
        raise KeyboardInterrupt

    monkeypatch.setattr(Rude, "does", staticmethod(stopped))
    with pytest.raises(KeyboardInterrupt):
        usage_of(Rude(), OCTOBER)


def test_the_file_last_opened_is_named(tmp_path, monkeypatch):
    path = tmp_path / "page.jsonl"
    path.write_text('{"a": 1}\n{"a": 2}\n')

    def halfway(window):
        for _, row in read_json_lines(path):
            if row["a"] == 2:
                raise ValueError("two")

    monkeypatch.setattr(Rude, "does", staticmethod(halfway))
    with pytest.raises(ConnectorFault, match=r"while reading .*page\.jsonl, line 2: ValueError: two"):
        usage_of(Rude(), OCTOBER)


@given(st.text("abcdefgh0123", min_size=8, max_size=30))
def test_no_secret_is_repeated(secret):
    said = without_secrets(
        f"refused Bearer {secret} at https://me:{secret}@host/?sig={secret}&token={secret} and plain {secret}", [secret]
    )
    assert secret not in said


PLUGIN = """
    from finops_ai.frames import conform
    from finops_ai.providers import Connector, hookimpl
    open({mark!r}, "a").write("imported")
    class Planted(Connector):
        name = {name!r}; title = "Planted"
        def usage(self, window):
            {body}
    @hookimpl
    def finops_ai_connectors(): return [Planted]
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Plant an installed plugin; gives the file that says it was imported."""
    folder = tmp_path / "site"
    folder.mkdir()

    def plant(name, body="return conform({}, source='x')", version="1"):
        module = "planted_" + name.replace("-", "_")
        mark = folder / f"{module}.mark"
        source = PLUGIN.format(name=name, mark=str(mark), body=body)
        (folder / f"{module}.py").write_text(textwrap.dedent(source), encoding="utf-8")
        info = folder / f"finops_ai_{module}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: finops-ai-{name}\nVersion: {version}\n", encoding="utf-8"
        )
        (info / "entry_points.txt").write_text(f"[finops_ai]\n{name} = {module}\n", encoding="utf-8")
        return mark

    monkeypatch.syspath_prepend(str(folder))
    registry.cache_clear()
    yield plant
    registry.cache_clear()
    for name in [n for n in sys.modules if n.startswith("planted_")]:
        del sys.modules[name]


def workspace_with(tmp_path, sections):
    folder = tmp_path / "company"
    write_workspace(folder, months=1)
    config = folder / "finops.toml"
    config.write_text(config.read_text() + sections)
    return config


@pytest.mark.long
def test_one_bad_plugin_costs_the_others_nothing(tmp_path, plugin):
    plugin("bad", "return {}['tokens']")
    plugin("gone", "import sys; sys.exit(7)")
    (tmp_path / "site" / "planted_broken.py").write_text("raise ImportError('no sdk')")
    plugin("broken")
    (tmp_path / "site" / "planted_broken.py").write_text("raise ImportError('no sdk')")
    config = workspace_with(tmp_path, "\n[providers.bad]\n[providers.gone]\n[providers.broken]\n[providers.missing]\n")
    outcomes = {o.connection: o for o in fa.open(config).collect(OCTOBER)}
    failed = {name: str(o.error) for name, o in outcomes.items() if o.error}
    assert set(failed) == {"bad", "gone", "broken", "missing"}
    assert "KeyError: 'tokens' (in site/planted_bad.py, line" in failed["bad"]
    assert "a fault of finops-ai-bad 1" in failed["bad"]
    assert "SystemExit: 7" in failed["gone"]
    assert "no sdk" in failed["broken"]
    assert "No provider called 'missing'" in failed["missing"]
    assert {n for n, o in outcomes.items() if o.tokens} >= {"openai", "anthropic", "vertex"}


@pytest.mark.long
def test_the_command_loads_the_others_and_exits_3(tmp_path, plugin):
    from finops_ai.cli import group

    plugin("bad", "return {}['tokens']")
    config = workspace_with(tmp_path, "\n[providers.bad]\n")
    done = CliRunner().invoke(group, ["collect", "--month", "2026-10", "-c", str(config)], standalone_mode=False)
    assert done.return_value == 3
    assert "bad" in done.stderr
    assert "openai         2026-10-01 to 2026-11-01  loaded" in done.stderr


@pytest.mark.long
def test_a_plugin_that_is_not_configured_is_not_imported(tmp_path, plugin):
    mark = plugin("sleeping")
    config = workspace_with(tmp_path, "")
    ws = fa.open(config)
    ws.collect(OCTOBER, ["openai"])
    assert ws.plugins()["openai"].startswith("finops-ai-openai ")
    find_connector("focus")
    assert not mark.exists()
    assert find_connector("sleeping").title == "Planted"
    assert mark.exists()


@pytest.mark.long
def test_the_allow_list_decides_whose_code_runs(tmp_path, plugin):
    mark = plugin("other", version="2")
    for allow, said in (
        (["finops-ai-openai"], "not in the allow list"),
        (["finops-ai-other==1"], "the allow list admits 1"),
    ):
        with allowing(allow), pytest.raises(ProviderNotFound, match=said):
            find_connector("other")
        assert not mark.exists()
        with allowing(allow):
            assert "other" in load_registry().broken
    with allowing(["finops_ai.other==2"]):
        assert find_connector("other").title == "Planted"
    config = workspace_with(tmp_path, "\n[plugins]\nallow = ['finops-ai-openai']\n[providers.other]\n")
    outcomes = {o.connection: o.error for o in fa.open(config).collect(OCTOBER)}
    assert outcomes["openai"] is None
    assert "allow list" in str(outcomes["other"])
    assert "allow list" in str(outcomes["vertex"])


@pytest.mark.long
def test_every_manifest_names_whose_code_read_the_data(tmp_path):
    config = workspace_with(tmp_path, "")
    ws = fa.open(config)
    ws.collect(OCTOBER, ["openai", "oci"])
    loads = ws.lake.loads()
    assert dict(zip(loads["connection"], loads["plugin"], strict=True)) == {
        n: ws.plugins()[n] for n in ("openai", "oci")
    }
    from finops_ai.reporting.site import Report, manifest_of
    from finops_ai.tables.closing import facts_of

    manifest = manifest_of(ws, Report(tmp_path / "r", "2026-10"), ws.allocated("2026-10"))
    assert manifest["plugins"] == ws.plugins()
    assert set(ws.plugins().values()) == {
        f"finops-ai-{n} 0.1.0"
        for n in ("openai", "anthropic", "azure-openai", "bedrock", "vertex", "oci", "litellm", "otel")
    } & set(ws.plugins().values())

    class Made:
        currency = "USD"

    assert facts_of(ws, Made)["plugins"] == ws.plugins()


# --- providers over the network


def client(url, **options):
    return HttpClient("acme", url, headers={"Authorization": "Bearer topsecret1"}, sleep=lambda _: None, **options)


def test_credentials_are_not_sent_over_plain_http():
    with pytest.raises(SettingsError, match=r"http://api\.example is not encrypted.*allow_plain_http"):
        client("http://api.example/v1")
    client("http://127.0.0.1:9/v1")
    client("http://[::1]:9/")
    client("https://api.example/v1")
    with pytest.raises(SettingsError, match="not encrypted"):
        find_connector("openai")(endpoint_url="http://10.0.0.8/v1")
    find_connector("openai")(endpoint_url="http://10.0.0.8/v1", allow_plain_http=True)
    for name in ("openai", "anthropic", "litellm", "azure-openai", "bedrock", "vertex", "oci"):
        with pytest.raises(SettingsError):
            find_connector(name)(endpoint_url="http://proxy.example")


def test_a_setting_that_allows_plain_http_holds_for_its_connection_only(monkeypatch):
    made = []
    monkeypatch.setattr(
        Rude, "does", staticmethod(lambda window: made.append(client("http://10.0.0.8/")) or conform({}, source="x"))
    )
    usage_of(Rude(allow_plain_http=True), OCTOBER)
    assert len(made) == 1
    with pytest.raises(SettingsError, match="not encrypted"):
        usage_of(Rude(), OCTOBER)


def test_a_link_to_another_host_gets_no_credentials():
    with PlayedProvider(lambda request: Reply({"rows": []})) as played, client(played.url) as http:
        assert http.get(f"{played.url}/v1") == {"rows": []}
        for link in (
            "https://evil.example/next",
            "http://localhost:1/next",
            played.url.replace("http", "https") + "/x",
        ):
            with pytest.raises(ProviderError, match="credentials are not sent there"):
                http.get(link)
        assert len(played.requests) == 1


def test_an_answer_is_neither_endless_nor_a_bomb():
    with (
        PlayedProvider(
            lambda request: Reply(gzip.compress(b" " * 5_000_000, mtime=0), headers={"content-encoding": "gzip"})
        ) as played,
        client(played.url) as http,
        limited(answer_bytes=1_000_000),
        pytest.raises(DataError, match="`answer_bytes`"),
    ):
        http.get("v1")
    assert len(played.requests) == 1


def test_an_answer_that_drips_is_given_up(monkeypatch):
    ticks = iter(range(0, 10_000_000, 400))
    with (
        PlayedProvider(lambda request: Reply(b"[" + b"1," * 200_000 + b"1]")) as played,
        client(played.url, max_retries=1) as http,
    ):
        monkeypatch.setattr(time, "monotonic", lambda: next(ticks))
        with pytest.raises(ProviderError, match="no answer in time"):
            http.get("v1")
    assert len(played.requests) == 2


@pytest.mark.parametrize("body", [b"[" * 5000, b'{"a": NaN}', b'{"a": 1e999999999}', b"\xff\xff", b"<html>", b""])
def test_a_lying_provider_is_a_provider_error(body):
    with (
        PlayedProvider(lambda request: Reply(body)) as played,
        client(played.url) as http,
        pytest.raises(FinopsError, match="not whole"),
    ):
        http.get("v1")


# --- how commands end


def command(*words, cwd, env=None, **options):
    return subprocess.run(
        [sys.executable, "-m", "finops_ai.cli", *words], cwd=cwd, capture_output=True, text=True,
        env=os.environ | {"XDG_STATE_HOME": str(cwd / "state")} | (env or {}), **options,
    )  # fmt: skip


@pytest.mark.long
def test_exit_codes_and_last_words(tmp_path):
    assert command("--version", cwd=tmp_path).returncode == 0
    usage = command("colect", cwd=tmp_path)
    assert (usage.returncode, "Did you mean 'collect'" in usage.stderr) == (2, True)
    settings = command("collect", cwd=tmp_path)
    assert (settings.returncode, "finops-ai init" in settings.stderr) == (2, True)
    (tmp_path / "a.csv").write_text("ts\n")
    data = command("backtest", "none.parquet", "--horizon", "2", "--season", "1", cwd=tmp_path)
    assert data.returncode in (2, 3)
    assert "Traceback" not in usage.stderr + settings.stderr + data.stderr
    loud = command("-v", "collect", cwd=tmp_path)
    assert (loud.returncode, "Traceback" in loud.stderr, "Error: There is no" in loud.stderr) == (2, True, True)


FAULTY = """
import sys
import finops_ai.cli.setup as setup
def broken(*a, **k):
    raise {error}
setup._registry_that_shows_its_failures = broken
from finops_ai.cli import main
main({argv!r})
"""


def faulty(tmp_path, error, *argv):
    return subprocess.run(
        [sys.executable, "-c", FAULTY.format(error=error, argv=[*argv, "providers"])], capture_output=True, text=True, cwd=tmp_path,
        env=os.environ | {"XDG_STATE_HOME": str(tmp_path / "state")},
    )  # fmt: skip


@pytest.mark.long
def test_an_unexpected_error_is_70_with_a_log_only_its_owner_reads(tmp_path):
    done = faulty(tmp_path, "ZeroDivisionError('sk-abcdefgh12345678 by zero')")
    assert done.returncode == 70
    assert "Unexpected error: ZeroDivisionError: (hidden) by zero" in done.stderr
    assert "please report it" in done.stderr
    assert "Traceback" not in done.stderr
    logs = list((tmp_path / "state" / "finops-ai").iterdir())
    assert len(logs) == 1
    assert str(logs[0]) in done.stderr
    assert logs[0].stat().st_mode & 0o077 == 0
    text = logs[0].read_text()
    assert "Traceback" in text
    assert "ZeroDivisionError" in text
    assert "finops-ai providers" in text
    assert "sk-abcdefgh" not in text
    loud = faulty(tmp_path, "ZeroDivisionError()", "-v")
    assert (loud.returncode, "Traceback" in loud.stderr) == (70, True)


@pytest.mark.long
@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        ("MemoryError()", 3, "not enough memory"),
        ("__import__('duckdb').OutOfMemoryException('x')", 3, "memory_limit"),
        ("OSError(28, 'No space left on device', '/x')", 3, "the disk is full"),
        ("PermissionError(13, 'Permission denied', '/x')", 2, "/x: Permission denied"),
        ("KeyboardInterrupt()", 130, "nothing is half-written"),
        ("BrokenPipeError()", 0, ""),
        ("SystemExit(5)", 5, ""),
    ],
)
def test_what_the_machine_refuses_is_said(tmp_path, error, code, said):
    done = faulty(tmp_path, error)
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.long
def test_ctrl_c_ends_a_load_with_130_and_leaves_the_lake_whole(tmp_path):
    write_workspace(tmp_path, months=6)
    process = subprocess.Popen(
        [sys.executable, "-m", "finops_ai.cli", "collect", "--from", "2026-05-01", "--to", "2026-11-01"], cwd=tmp_path,
        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it, and so would this
    )  # fmt: skip
    assert "loaded" in process.stderr.readline()  # the first connection is in, the next is being read
    process.send_signal(signal.SIGINT)
    rest = process.stderr.read()
    assert process.wait(60) == 130
    assert "Stopped." in rest
    assert "Traceback" not in rest
    ws = fa.open(tmp_path)
    assert len(ws.lake.freshness()) >= 1
    from finops_ai.store.checking import verify

    assert verify(ws.lake).damage == []


def test_plugin_errors_are_told_apart():
    assert PluginError("x").exit_code == 2
    assert ConnectorFault("x").exit_code == 3
