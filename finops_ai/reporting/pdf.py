"""Pages to PDF through an installed Chromium; without one the report stays HTML, and says so."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from finops_ai.reporting.planning import Report

BROWSERS = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge"]


def find_browser() -> str | None:
    """An installed Chromium-like browser; $FINOPS_AI_BROWSER decides by hand."""
    own = os.environ.get("FINOPS_AI_BROWSER")
    return own or next((path for name in BROWSERS if (path := shutil.which(name))), None)


def print_page(browser: str, page: Path, target: Path, timeout: float = 120) -> None:
    """Print one HTML page to a tagged PDF; the file appears only when it is whole.

    Raises:
        OSError: the browser can't be started, or wrote nothing; says what it complained about.
        subprocess.TimeoutExpired: it took longer than `timeout` seconds.
    """
    partial = target.with_name(target.name + ".partial")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [
            browser, "--headless", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync",
            f"--user-data-dir={profile}", "--no-pdf-header-footer", f"--print-to-pdf={partial}", page.resolve().as_uri(),
        ]  # fmt: skip
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            command.insert(1, "--no-sandbox")
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=timeout, check=False)
    if not partial.exists():
        complaint = done.stderr.strip().rpartition("\n")[2][:300]
        raise OSError(
            f"{browser} wrote no PDF of {page.name} (exit code {done.returncode}{': ' + complaint if complaint else ''})"
        )
    partial.replace(target)


def print_pages(report: Report, *, say: Callable[[str], None]) -> list[Path]:
    """Print the overview and every page that was made to a PDF beside it; what can't be printed is said, not raised.

    The explorer is for a screen, and a team's page for whoever opens it; both can be printed from any browser.

    Args:
        report: a finished report.
        say: takes one line per thing that went wrong.

    Returns:
        The files made.
    """
    browser = find_browser()
    if browser is None:
        say(
            "No PDF: no Chromium was found. Install Chromium, or name one in FINOPS_AI_BROWSER; "
            "or print the HTML pages from any browser."
        )
        return []
    pages = [report.index] + [report.folder / p.file for p in report.pages if not p.error and not p.left_out]

    def made(page: Path) -> Path | None:
        target = page.with_suffix(".pdf")
        try:
            print_page(browser, page, target)
        except (OSError, subprocess.TimeoutExpired) as error:
            target.unlink(missing_ok=True)  # an older one would pass for this month's figures
            say(f"No PDF of {page.name}: {error}")
            return None
        return target

    with ThreadPoolExecutor(max_workers=2) as pool:
        return [path for path in pool.map(made, pages) if path is not None]
