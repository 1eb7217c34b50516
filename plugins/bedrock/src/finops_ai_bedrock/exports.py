"""Which files of a Data Export hold the truth: one execution per billing period, whole, never a half-written one."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from finops_ai.errors import DataError, ProviderUnavailable
from finops_ai.periods import Window, next_month, parse_month
from finops_ai.providers.files import read_json
from finops_ai_bedrock.aws import Aws

_NAMED = re.compile(r"BILLING_PERIOD=(\d{4}-\d{2})")
_PERIOD = re.compile(r"(?:^|/)(?:data|metadata)?/?BILLING_PERIOD=(\d{4}-\d{2})/(.*)$")
DATA_ENDINGS = (".parquet", ".csv.gz", ".csv")


@dataclass(frozen=True)
class Part:
    """One data file: its billing period ("" if its path names none), execution folder, age and address."""

    period: str
    execution: str
    modified: float
    name: str


def parts_of(names: Iterable[tuple[str, float]]) -> list[Part]:
    """Read billing period and execution off the paths of data files; other files are left out.

    >>> parts_of([("x/data/BILLING_PERIOD=2026-10/run-1/a-00001.snappy.parquet", 5.0)])[0]
    Part(period='2026-10', execution='run-1', modified=5.0, name='x/data/BILLING_PERIOD=2026-10/run-1/a-00001.snappy.parquet')
    """
    found = []
    for name, modified in names:
        if not name.lower().endswith(DATA_ENDINGS):
            continue
        match = _PERIOD.search(name)
        folder = match[2].rpartition("/")[0] if match else ""
        found.append(Part(match[1] if match else "", folder, modified, name))
    return found


def newest_execution(parts: Iterable[Part]) -> list[Part]:
    """The parts of the newest execution of each billing period: an export set to keep old reports adds one folder a run.

    Parts whose path names no billing period are all kept.
    """
    by_run: dict[str, dict[str, list[Part]]] = defaultdict(lambda: defaultdict(list))
    for part in parts:
        by_run[part.period][part.execution].append(part)
    kept = []
    for period, runs in by_run.items():
        if period:
            newest = max(runs.values(), key=lambda run: (max(p.modified for p in run), run[0].execution))
            runs = {"": newest}
        kept += [part for run in runs.values() for part in run]
    return sorted(kept, key=lambda part: part.name)


def periods_for(window: Window) -> set[str]:
    """Billing periods that may hold usage of the window: its months, and the next one, which takes late charges.

    >>> sorted(periods_for(Window.of("2026-10-05", "2026-10-06")))
    ['2026-10', '2026-11']
    """
    months = window.months()
    return {*months, f"{next_month(parse_month(months[-1])):%Y-%m}"} if months else set()


def local_parts(paths: Iterable[Path], window: Window) -> list[Path]:
    """The export files on disk to read for a window.

    Raises:
        ProviderUnavailable: a manifest beside them lists files that aren't there.
    """
    paths = list(paths)
    parts = newest_execution(parts_of((path.as_posix(), path.stat().st_mtime) for path in paths))
    wanted = periods_for(window)
    by_period: dict[str, list[Path]] = defaultdict(list)
    for path in paths:
        if _is_manifest(path.name) and (named := _NAMED.search(path.as_posix())):
            by_period[named[1]].append(path)
    for period, manifests in sorted(by_period.items()):
        if period not in wanted:
            continue
        own = [part for part in parts if part.period == period]
        check_whole(((p.as_posix(), read_json(p)) for p in manifests), own, period)
    return [Path(part.name) for part in parts if not part.period or part.period in wanted]


def _is_manifest(name: str) -> bool:
    return name.endswith("Manifest.json")


def fetch(aws: Aws, uri: str, window: Window, folder: Path) -> list[Path]:
    """Download the export files of a window into a folder.

    Raises:
        DataError: there is no export at that address.
        ProviderUnavailable: the manifest lists files that aren't there: the export is being rewritten.
    """
    root = uri.rstrip("/")
    paths: list[Path] = []
    months = sorted(periods_for(window))
    seen = False
    for period in months:
        entries = {e["Key"]: e for e in aws.objects(f"{root}/data/BILLING_PERIOD={period}/")}
        seen = seen or bool(entries)
        parts = newest_execution(parts_of((key, e["LastModified"].timestamp()) for key, e in entries.items()))
        manifests = [e for e in aws.objects(f"{root}/metadata/BILLING_PERIOD={period}/") if _is_manifest(e["Key"])]
        check_whole(((e["Key"], json.loads(aws.content(e))) for e in manifests), parts, period)
        for part in parts:
            paths.append(aws.download(entries[part.name], folder, len(paths)))
    if not seen and not any(e for e in aws.objects(f"{root}/data/")):
        raise DataError(
            f"bedrock: no data below {root}/data/. Check `export_s3_uri` (s3://bucket/prefix/export-name); a new Data "
            "Export delivers its first files within 24 hours."
        )
    return paths


def check_whole(manifests: Iterable[tuple[str, object]], parts: Sequence[Part], period: str) -> None:
    """See that every file a manifest lists is there.

    Args:
        manifests: path and content of the manifests of one billing period.
        parts: the data files kept of that period.
        period: the billing period.

    Raises:
        ProviderUnavailable: one is missing: the export is being rewritten, or was copied halfway.
    """
    have = {part.name.rpartition("/")[2] for part in parts}
    runs = {part.execution for part in parts} - {""}
    for path, manifest in manifests:
        if runs and not any(run in path for run in runs):
            continue  # the manifest of an older execution
        listed = manifest_files(manifest)
        if missing := sorted(listed - have):
            raise ProviderUnavailable(
                f"bedrock: the export of {period} isn't whole: its manifest lists {missing[0]!r}, which isn't there "
                f"({len(missing)} of {len(listed)} files). It is being rewritten, or was copied halfway. Nothing was stored; "
                "try again in some minutes, or copy it again."
            )


def manifest_files(manifest: object) -> set[str]:
    """File names a Data Exports manifest lists (`dataFiles`), without their folders."""
    files = manifest.get("dataFiles") if isinstance(manifest, dict) else None
    return {str(name).rpartition("/")[2] for name in files or []}
