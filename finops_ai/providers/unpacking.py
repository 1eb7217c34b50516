"""What a file is packed in (gzip, bzip2, xz, zstd, zip, tar): unpacked for the time being, within the limits."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from finops_ai.errors import DataError
from finops_ai.providers.files import read_bytes
from finops_ai.providers.limits import check_packed_file, check_unpacked

ZIP = b"PK\x03\x04"
#: files that tell about an archive instead of being its data
ABOUT = {"readme", "license", "licence", "notice", "changelog", "copying", "thumbs"}
STEP = 1 << 20


#: first bytes of a packed file -> what it is packed with, and the ends its name loses
PACKINGS = {
    b"\x1f\x8b": ("gzip", (".gz", ".tgz")),
    b"BZh": ("bz2", (".bz2",)),
    b"\xfd7zXZ\0": ("xz", (".xz",)),
    b"\x28\xb5\x2f\xfd": ("zstd", (".zst",)),
}
_DAMAGE = (OSError, EOFError, zlib.error, lzma.LZMAError, tarfile.TarError, ValueError)


@contextmanager
def members(path: Path) -> Iterator[list[tuple[Path, str]]]:
    """The files of a zip or tar archive, unpacked for the time being, each with the name to show; any other file is itself.

    Raises:
        DataError: the archive is damaged, is locked with a password, holds nothing or is an office document.
    """
    with tempfile.TemporaryDirectory() as folder:
        if _starts_with(path, ZIP) and not _is_workbook(path):
            check_packed_file(path)
            yield _of_zip(path, Path(folder))
        elif packed := _packing(path):
            found = _of_packed(path, packed, Path(folder))
            yield found
        elif _is_tar(path.open("rb")):
            yield _of_tar(path, path, Path(folder))
        else:
            yield [(path, str(path))]


@contextmanager
def plain(path: Path) -> Iterator[Path]:
    """The one file that is in another, unpacked for the time being; an archive of several stays as it is."""
    with members(path) as inside, tempfile.TemporaryDirectory() as folder:
        if len(inside) > 1:
            yield path
        elif packed := _packing(inside[0][0]):
            yield _unpacked(inside[0][0], packed, Path(folder))
        else:
            yield inside[0][0]


def _of_packed(path: Path, packed: bytes, folder: Path) -> list[tuple[Path, str]]:
    """A packed file's tar members; gzip around one file is left to the readers, which know it."""
    if packed == b"\x1f\x8b":
        check_packed_file(path)
        try:
            with gzip.open(path, "rb") as stream:
                if not _is_tar(io.BytesIO(stream.read(512))):
                    return [(path, str(path))]
        except _DAMAGE:
            return [(path, str(path))]  # its reader names the damage
    file = _unpacked(path, packed, folder)
    with file.open("rb") as stream:
        tar = _is_tar(stream)
    return _of_tar(file, path, folder) if tar else [(file, str(path))]


def _unpacked(path: Path, packed: bytes, folder: Path) -> Path:
    """A packed file's content as a file of its own."""
    how, ends = PACKINGS[packed]
    check_packed_file(path)
    name = path.name
    for end in ends:
        name = name.removesuffix(end)
    target, total, size = folder / (name or "file"), 0, path.stat().st_size
    try:
        with _opened(path, how) as source, target.open("wb") as out:
            while block := source.read(STEP):
                total += len(block)
                check_unpacked(total, size, path)
                out.write(block)
    except _DAMAGE as error:
        if packed == b"\x1f\x8b":
            read_bytes(path)  # raises, naming the damage
        raise DataError(
            f"{path}: the packed file is damaged or cut short ({error}). Fetch it again; nothing was stored."
        ) from None
    return target


def _opened(path: Path, how: str) -> Any:
    if how in ("gzip", "bz2", "xz"):
        return {"gzip": gzip, "bz2": bz2, "xz": lzma}[how].open(path, "rb")
    import pyarrow as pa

    return pa.CompressedInputStream(pa.OSFile(str(path), "rb"), how)


def _of_tar(file: Path, path: Path, folder: Path) -> list[tuple[Path, str]]:
    found, total = [], 0
    try:
        with tarfile.open(file, "r:") as archive:
            for number, info in enumerate(archive):
                if not info.isreg() or _is_clutter(info.name):
                    continue
                total += info.size
                check_unpacked(total, path.stat().st_size, path)
                source = archive.extractfile(info)
                assert source is not None
                found.append((_written(source, folder, number, info.name), f"{path}/{info.name}"))
    except _DAMAGE as error:
        raise DataError(
            f"{path}: the tar archive can't be read ({error}). Unpack it yourself, or fetch it again."
        ) from None
    return _some(found, path, "tar")


def _of_zip(path: Path, folder: Path) -> list[tuple[Path, str]]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
            if "mimetype" in names or "[Content_Types].xml" in names:
                raise DataError(
                    f"{path}: a document of an office program that isn't read. Save it as .xlsx or as CSV, then give that."
                )
            inside = [i for i in archive.infolist() if not i.is_dir() and not _is_clutter(i.filename)]
            found = []
            for number, info in enumerate(sorted(inside, key=lambda i: i.filename)):
                with archive.open(info) as source:
                    found.append((_written(source, folder, number, info.filename), f"{path}/{info.filename}"))
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, OSError) as error:
        raise DataError(
            f"{path}: the zip archive can't be read ({error}). Unpack it yourself, or fetch it again."
        ) from None
    return _some(found, path, "zip")


def _written(source: IO[bytes], folder: Path, number: int, name: str) -> Path:
    target = folder / str(number) / Path(name).name
    target.parent.mkdir()
    with target.open("wb") as out:
        while block := source.read(STEP):
            out.write(block)
    return target


def _some(found: list[tuple[Path, str]], path: Path, kind: str) -> list[tuple[Path, str]]:
    if not found:
        raise DataError(f"{path}: the {kind} archive holds no file.")
    return found


def _packing(path: Path) -> bytes | None:
    return next((sign for sign in PACKINGS if _starts_with(path, sign)), None)


def _starts_with(path: Path, sign: bytes) -> bool:
    with path.open("rb") as stream:
        return stream.read(len(sign)) == sign


def _is_workbook(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return "xl/workbook.xml" in archive.namelist()
    except zipfile.BadZipFile:
        return path.name.lower().endswith("xlsx")


def _is_tar(stream: IO[bytes]) -> bool:
    with stream:
        return stream.read(512)[257:262] == b"ustar"


def _is_clutter(name: str) -> bool:
    """What lies in archives beside the data: of the system, and what people and programs write about it."""
    own = Path(name)
    return (
        name.startswith("__MACOSX/")
        or own.name.startswith(".")
        or own.stem.lower() in ABOUT
        or own.suffix.lower() in (".md", ".pdf", ".md5", ".sha256", ".ini")
    )
