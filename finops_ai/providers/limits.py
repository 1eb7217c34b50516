"""How much may come in at once: every reader stops at these limits, with a sentence that names the setting to raise.

The limits in force are those of `[limits]` in finops.toml while a workspace reads, else the defaults:

    with in_force(LimitsSettings(depth=20)):
        fa.read("page.json", format="openai")
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from io import BytesIO
from pathlib import Path
from typing import IO

from finops_ai.config import LimitsSettings
from finops_ai.errors import DataError

DEFAULTS = LimitsSettings()
_in_force: ContextVar[LimitsSettings] = ContextVar("limits", default=DEFAULTS)
#: where a reader is: said when something fails that names no place itself
_reading: ContextVar[list[str] | None] = ContextVar("reading", default=None)

GZIP = b"\x1f\x8b"
STEP = 1 << 20
#: a ratio says nothing about small files
SMALL = 1 << 28


def limits() -> LimitsSettings:
    """The limits in force."""
    return _in_force.get()


@contextmanager
def in_force(chosen: LimitsSettings) -> Iterator[None]:
    """Read under these limits."""
    token = _in_force.set(chosen)
    try:
        yield
    finally:
        _in_force.reset(token)


@contextmanager
def watched() -> Iterator[list[str]]:
    """Remember which file was opened last; the list holds its name once there is one."""
    last: list[str] = []
    token = _reading.set(last)
    try:
        yield last
    finally:
        _reading.reset(token)


def reading(place: object) -> None:
    """Say which file, or line of it, is being read."""
    last = _reading.get()
    if last is not None:
        last[:] = [str(place)]


def require(amount: int, name: str, place: object, what: str) -> None:
    """Stop where an amount is above the limit of that name.

    Raises:
        DataError: names the place, both figures and the setting.
    """
    most = getattr(limits(), name)
    if amount > most:
        raise DataError(
            f"{place}: {what} ({amount:,}) is above the limit of {most:,}. If it is meant to be so large, raise `{name}` under "
            "[limits] in finops.toml; nothing was stored."
        )


def check_file(path: Path) -> None:
    """Stop before a file that is too large is opened.

    Raises:
        DataError: it is larger than `file_bytes`, or can't be looked at.
    """
    reading(path)
    try:
        size = path.stat().st_size
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error.strerror or error}).") from None
    require(size, "file_bytes", path, "its size in bytes")


def unpack(content: bytes, place: object) -> bytes:
    """Content, unzipped where it is gzip (of one or more members), and never more than the limits allow.

    Raises:
        DataError: damaged, cut short, or it unpacks to more than `unpacked_bytes` or `unpack_ratio`.
    """
    if content[:2] != GZIP:
        require(len(content), "unpacked_bytes", place, "its size in bytes")
        return content
    out = BytesIO()
    for piece in unpacked_pieces(content, place):
        out.write(piece)
    return out.getvalue()


def unpacked_pieces(content: bytes, place: object) -> Iterator[bytes]:
    """The unzipped content of a gzip file, about a megabyte at a time (see `unpack`)."""
    total, rest = 0, content
    try:
        while rest:
            member = zlib.decompressobj(wbits=31)
            while not member.eof:
                piece = member.decompress(rest, STEP)
                rest = member.unconsumed_tail
                if not piece and not rest and not member.eof:
                    raise EOFError("it ends in the middle")
                total += len(piece)
                check_unpacked(total, len(content), place)
                yield piece
            rest = member.unused_data.lstrip(b"\0")  # padding after the last member is allowed
    except (EOFError, zlib.error) as error:
        raise DataError(
            f"{place}: the gzip file is damaged or cut short ({error}). Download it again; nothing was stored."
        ) from None


def check_unpacked(unpacked: int, packed: int, place: object) -> None:
    """Stop a file that unpacks to more than the limits allow, such as one made to fill the memory."""
    require(unpacked, "unpacked_bytes", place, "its unpacked size in bytes")
    if unpacked > SMALL:
        require(unpacked // max(packed, 1), "unpack_ratio", place, "how many times larger it is unpacked than packed")


def check_packed_file(path: Path) -> None:
    """Stop before a file is handed to an engine that unpacks by itself: size, and what its content comes to.

    Gzip is counted piece by piece where it could be too much, Parquet by what its footer states.

    Raises:
        DataError: above a limit, or damaged.
    """
    check_file(path)
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(4)
        if head[:2] == GZIP and size * 1032 > min(limits().unpacked_bytes, SMALL):  # gzip's best is 1 to 1032
            file.seek(0)
            total = 0
            for piece in _gzip_pieces(file, path):
                total += piece
                check_unpacked(total, size, path)
    if head == b"PAR1":
        check_parquet(path)
    if head == b"PK\x03\x04":
        check_archive(path)


def check_archive(path: Path) -> None:
    """Stop at a zip archive (a workbook is one, too) whose files come to more than the limits allow.

    Raises:
        DataError: above a limit. What is no whole archive is said where it is read.
    """
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            inside = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError):
        return
    # a file inside is never read further than the size it states here
    check_unpacked(sum(i.file_size for i in inside), max(sum(i.compress_size for i in inside), 1), path)


def _gzip_pieces(file: IO[bytes], path: Path) -> Iterator[int]:
    """Lengths of a gzip file's pieces, without keeping any."""
    import gzip

    try:
        with gzip.open(file) as unzipped:
            while piece := unzipped.read1(STEP):
                yield len(piece)
    except (EOFError, OSError, zlib.error) as error:
        raise DataError(
            f"{path}: the gzip file is damaged or cut short ({error}). Download it again; nothing was stored."
        ) from None


def check_parquet(source: object, place: object = "") -> None:
    """Stop at a Parquet file whose footer states more rows, columns or bytes than the limits allow.

    Raises:
        DataError: above a limit, or no whole Parquet file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    place = place or source
    try:
        footer = pq.ParquetFile(source).metadata
        groups = [footer.row_group(i) for i in range(footer.num_row_groups)]
        unpacked = sum(g.total_byte_size for g in groups)
        columns = footer.num_columns
    except (pa.ArrowException, OSError, ValueError) as error:
        said = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise DataError(f"{place}: not a whole Parquet file ({said}). Export it again; nothing was stored.") from None
    require(footer.num_rows, "rows", place, "its number of rows")
    require(columns, "columns", place, "its number of columns")
    require(unpacked, "unpacked_bytes", place, "its unpacked size in bytes")


__all__ = ["LimitsSettings", "check_file", "in_force", "limits", "reading", "require", "unpack", "watched"]
