"""Pages to PDF through an installed Chromium; without one the report stays HTML, and says so."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from finops_ai.reporting.site import Report

BROWSERS = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge"]


def find_browser() -> str | None:
    """An installed Chromium-like browser; $FINOPS_AI_BROWSER decides by hand."""
    own = os.environ.get("FINOPS_AI_BROWSER")
    return own or next((path for name in BROWSERS if (path := shutil.which(name))), None)


def print_page(browser: str, page: Path, target: Path, timeout: float = 120) -> None:
    """Print one HTML page to a tagged PDF; the file appears only when it is whole."""
    partial = target.with_name(target.name + ".partial")
    with tempfile.TemporaryDirectory() as profile:
        command = [
            browser, "--headless", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync",
            f"--user-data-dir={profile}", "--no-pdf-header-footer", f"--print-to-pdf={partial}", page.resolve().as_uri(),
        ]  # fmt: skip
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            command.insert(1, "--no-sandbox")
        subprocess.run(command, capture_output=True, timeout=timeout, check=False)
    if not partial.exists():
        raise OSError(f"{browser} wrote no PDF of {page.name}")
    partial.replace(target)


def print_pages(report: Report, *, say: Callable[[str], None]) -> list[Path]:
    """Print the report's pages to PDF beside them; returns the files made."""
    browser = find_browser()
    if browser is None:
        say("No PDF: no Chromium was found. Install Chromium, or print the HTML pages from any browser.")
        return []
    made = []
    for page in report.pages:
        if page.error:
            continue
        source = report.folder / page.file
        try:
            print_page(browser, source, source.with_suffix(".pdf"))
        except (OSError, subprocess.TimeoutExpired) as error:
            say(f"No PDF of {page.title}: {error}")
        else:
            made.append(source.with_suffix(".pdf"))
    return made
