"""The sample company's own settings: mapping rules, a whole finops.toml, and its providers' native files."""

from __future__ import annotations

import importlib
import pkgutil
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any


def settings_toml() -> str:
    """The company's finops.toml as text."""
    return files("finops_ai.sample").joinpath("finops.toml").read_text("utf-8")


def rules(*, shared: bool = True) -> dict[str, Any]:
    """Its mapping rules, as `fa.allocate` takes them.

    Args:
        shared: with the entries that divide the gateway key's cost by its telemetry, as the workspace does; pass
            `telemetry=fa.sample.telemetry()` to `fa.allocate`. Without telemetry the cost stays in one piece, as "shared".

    >>> list(rules()["dimensions"])
    ['team', 'product', 'environment', 'cost_centre']
    """
    document = tomllib.loads(settings_toml())
    wanted = ("dimensions", "rules", "lookups", *(("shared",) if shared else ()))
    return {key: document[key] for key in wanted if key in document}


def writers() -> dict[str, Any]:
    """Name to `write(slices, folder)` of every `native_<name>` module beside this one."""
    names = sorted(m.name for m in pkgutil.iter_modules([str(Path(__file__).parent)]) if m.name.startswith("native_"))
    return {name.removeprefix("native_"): importlib.import_module(f"finops_ai.sample.{name}").write for name in names}


def write_native(folder: str | Path, months: int = 13, *, late: bool = True) -> dict[str, list[Path]]:
    """Write the files that the company's providers would export, a folder a provider.

    Args:
        folder: where to; made if missing. Each provider's files go to `folder/<provider>`.
        months: how many of the last months, 1 to 13.
        late: whether usage reported only after its month was closed is in.

    Returns:
        Provider to the files written.
    """
    from finops_ai.sample.frames import slices

    frame = slices(months)
    if not late:
        frame = frame[~frame["late"]]
    out = {}
    for name, write in writers().items():
        place = Path(folder) / name.replace("_", "-")
        place.mkdir(parents=True, exist_ok=True)
        out[name.replace("_", "-")] = write(frame, place)
    return out


def write_workspace(folder: str | Path, months: int = 13) -> Path:
    """Write native files, the finops.toml that reads them, and two known bills; returns the path of the finops.toml."""
    folder = Path(folder)
    write_native(folder / "native", months)
    path = folder / "finops.toml"
    path.write_text(settings_toml(), encoding="utf-8")
    known = files("finops_ai.sample").joinpath("bills.json").read_text("utf-8")
    (folder / "bills.json").write_text(known, encoding="utf-8")
    return path
