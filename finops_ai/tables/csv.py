"""CSV that finance can open: text from outside never starts a spreadsheet formula."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

#: first characters that spreadsheets run as a formula (OWASP, CSV injection)
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def defuse(frame: pd.DataFrame) -> pd.DataFrame:
    """Prefix text a spreadsheet would run as a formula with an apostrophe; numbers are left alone."""
    out = pd.DataFrame(frame).copy()
    for name in out.columns:
        if str(out[name].dtype) in ("object", "str", "string"):
            out[name] = out[name].map(lambda v: "'" + v if isinstance(v, str) and v.startswith(FORMULA_STARTS) else v)
    return out


def write_csv(frame: pd.DataFrame, path: str | Path) -> Path:
    """Write a frame as UTF-8 CSV without formulas; returns the path."""
    path = Path(path)
    path.write_text(defuse(frame).to_csv(index=False), encoding="utf-8")
    return path
