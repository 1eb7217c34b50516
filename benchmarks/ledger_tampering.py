"""Ways to change closed months behind the ledger's back, and the commands that must not go on afterwards."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import shutil
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from finops_ai.cli import main
from finops_ai.store import chain

FILE_WAYS = ("byte", "cut", "gone", "added", "emptied", "swapped", "copied from another")
CHAIN_WAYS = ("gone", "emptied", "last line cut", "half written", "line changed", "seal changed", "order", "line twice", "folder renamed")  # fmt: skip
HEAD_WAYS = ("gone", "other", "earlier", "first", "emptied")
EDIT_WAYS = ("table only", "table and manifest", "table, manifest and chain", "manifest only", "folder gone")
#: what a cut or damaged chain alone is mended from
MENDED = ("chain: last line cut", "chain: half written", "head: earlier", "head: first")


def commands(month: str, following: str, folder: Path) -> dict[str, list[str]]:
    """Command lines that need a closed month."""
    gl = str(folder / "gl")
    return {
        "close": ["close", following, "--out-of-order", "test"],
        "close --dry-run": ["close", following, "--dry-run"],
        "true-up": ["true-up", month, "--output", os.devnull],
        "true-up --dry-run": ["true-up", month, "--dry-run"],
        "reopen": ["reopen", month, "--approved-by", "A. Finance", "--reason", "test"],
        "chargeback": ["chargeback", "--month", month],
        "statement": ["chargeback", "search", "--month", month],
        "journal": ["chargeback", "--month", month, "--journal"],
        "ties": ["chargeback", "--month", month, "--ties"],
        "statements": ["chargeback", "--month", month, "--out", gl],
        "ledger": ["chargeback", "--month", month, "--out", gl, "--ledger", "xero"],
        "showback": ["showback", "--month", month, "--by", "team"],
        "reconcile": ["reconcile", "--month", month],
        "explain": ["explain", "--month", month, "--against", month, "--by", "team"],
        "explain days": ["explain", "--from", f"{month}-01", "--to", f"{month}-25", "--against-from", f"{month}-04", "--against-to", f"{month}-28"],
        "recommend": ["recommend", "--month", month],
        "kpis": ["kpis", "--month", month],
        "budgets": ["budgets", "--month", month],
        "what-if": ["what-if", "--month", month],
        "ask": ["ask", f"how much did search spend in {month}"],
        "focus": ["export", "focus", "--month", month, "--output", f"{gl}.csv"],
        "invoices": ["export", "focus", "--month", month, "--version", "1.4", "--dataset", "invoice-detail", "--output", f"{gl}2.csv"],
        "rules why": ["rules", "why", "team=search", "--month", month],
        "rules check": ["rules", "check", "--month", month],
        "policy": ["policy", "check", "--month", month, "--months", "1"],
        "deliver": ["deliver", month],
        "deliver --dry-run": ["deliver", month, "--dry-run"],
        "report": ["report", "--month", month, "--out", str(folder / "reports")],
    }  # fmt: skip


def told(config: Path, command: list[str]) -> tuple[int, str, str]:
    """Exit code, output and messages of a command."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([*command, "--config", str(config)])
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
    return code, out.getvalue(), err.getvalue()


def spoil(folder: Path, entry: chain.Entry, choose: random.Random) -> str:
    """Change one thing of a ledger, at a state; says what."""
    part = choose.choice(("file", "file", "chain", "head", "edit"))
    ways = {"file": FILE_WAYS, "chain": CHAIN_WAYS, "head": HEAD_WAYS, "edit": EDIT_WAYS}[part]
    how = choose.choice(ways)
    for file in (folder / entry.folder).iterdir():
        file.chmod(0o644)
    done = {"file": _file, "chain": _chain, "head": _head, "edit": _edit}[part](folder, entry, how, choose)
    return f"{part}: {how}" if done else spoil(folder, entry, choose)


def _file(folder: Path, entry: chain.Entry, how: str, choose: random.Random) -> bool:
    files = sorted((folder / entry.folder).iterdir())
    file, other = choose.sample(files, 2) if len(files) > 1 else (files[0], files[0])
    content, theirs = file.read_bytes(), other.read_bytes()
    if how in ("swapped", "copied from another") and content == theirs:
        return False
    match how:
        case "byte":
            at = choose.randrange(len(content))
            file.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        case "cut":
            file.write_bytes(content[:-1])
        case "gone":
            file.unlink()
        case "added":
            (folder / entry.folder / "note.txt").write_text("x")
        case "emptied":
            file.write_bytes(b"")
        case "swapped":
            file.write_bytes(theirs)
            other.write_bytes(content)
        case "copied from another":
            file.write_bytes(theirs)
    return True


def _chain(folder: Path, entry: chain.Entry, how: str, choose: random.Random) -> bool:
    path = folder / chain.CHAIN
    text = path.read_text("utf-8")
    lines = text.splitlines(keepends=True)
    if len(lines) < 2 and how in ("order", "line twice"):
        return False
    at = choose.randrange(len(lines))
    match how:
        case "gone":
            path.unlink()
        case "emptied":
            path.write_text("")
        case "last line cut":
            path.write_text("".join(lines[:-1]))
        case "half written":
            path.write_text(text[: -choose.randint(2, len(lines[-1]) - 1)])
        case "line changed":
            path.write_text(text.replace('"previous": "', '"previous": "f', 1))
        case "seal changed":
            line = json.loads(lines[at])
            line["seal"] = line["seal"][::-1]
            path.write_text("".join([*lines[:at], json.dumps(line) + "\n", *lines[at + 1 :]]))
        case "order":
            one, two = sorted(choose.sample(range(len(lines)), 2))
            lines[one], lines[two] = lines[two], lines[one]
            path.write_text("".join(lines))
        case "line twice":
            path.write_text("".join([*lines[: at + 1], *lines[at:]]))
        case "folder renamed":
            path.write_text(text.replace(f'"{entry.folder}"', '"2020-01"', 1))
    return path.read_text("utf-8") != text if path.exists() else True


def _head(folder: Path, entry: chain.Entry, how: str, choose: random.Random) -> bool:
    head, path = folder.with_name(f"{folder.name}.head"), folder / chain.CHAIN
    seals = [json.loads(line)["seal"] for line in path.read_text("utf-8").splitlines()]
    if how == "earlier" and len(seals) < 2:
        return False
    match how:
        case "gone":
            head.unlink()
        case "other":
            head.write_text("f" * 64)
        case "earlier":
            head.write_text(choose.choice(seals[:-1]) + "\n")
        case "first":
            head.write_text(chain.FIRST + "\n")
        case "emptied":
            head.write_text("")
    return True


def _edit(folder: Path, entry: chain.Entry, how: str, choose: random.Random) -> bool:
    """A figure changed by somebody who knows the form, with its hash made anew in fewer places than it stands in."""
    state, path = folder / entry.folder, folder / chain.CHAIN
    manifest = state / chain.MANIFEST
    if how == "folder gone":
        shutil.rmtree(state)
        return True
    if how == "manifest only":
        changed = json.loads(manifest.read_text("utf-8"))
        changed["sealed_at"] = "2020-01-01T00:00:00+00:00"
        manifest.write_text(json.dumps(changed))
        return True
    table = state / choose.choice([f.name for f in state.glob("*.parquet")] or [""])
    if table == state or not _edited(table):
        return False
    if how != "table only":
        changed = json.loads(manifest.read_text("utf-8"))
        changed["files"][table.name] = chain.sha256(table)
        manifest.write_text(json.dumps(changed, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if how == "table, manifest and chain":
        path.write_text(path.read_text("utf-8").replace(entry.seal, chain.sha256(manifest)), encoding="utf-8")
    return True


def _edited(table: Path) -> bool:
    """One amount of a table, one unit of its last place more."""
    frame = pq.read_table(table)
    names = [f.name for f in frame.schema if pa.types.is_decimal(f.type) and frame[f.name].null_count < frame.num_rows]
    if not names:
        return False
    column = frame[names[0]].to_pylist()
    at = next(i for i, value in enumerate(column) if value is not None)
    column[at] += Decimal(1).scaleb(-frame.schema.field(names[0]).type.scale)
    frame = frame.set_column(frame.schema.get_field_index(names[0]), names[0], pa.array(column, frame.schema.field(names[0]).type))  # fmt: skip
    pq.write_table(frame, table, compression="zstd")
    return True
