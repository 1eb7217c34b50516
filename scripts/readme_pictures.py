"""Take the README's pictures: the sample company's report and its explorer, in Chromium. Run by `make readme`."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import FloatRect, sync_playwright

from finops_ai.reporting.pdf import find_browser

IMAGES = Path(__file__).parents[1] / "docs" / "images"


def part(height: int) -> FloatRect:
    """The top of a page, down to where something ends."""
    return {"x": 0, "y": 0, "width": 1100, "height": height}


def main() -> None:
    """Render the report and photograph it."""
    browser = find_browser()
    if browser is None:
        sys.exit("The pictures need Chromium; install it and run this again.")
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "finops_ai.cli", "report", "--sample", "--month", "2026-10", "--out", folder]
        subprocess.run(command, check=True)
        report = Path(folder) / "2026-10"
        with sync_playwright() as p:
            chromium = p.chromium.launch(executable_path=browser, args=["--no-sandbox"])
            page = chromium.new_page(viewport={"width": 1100, "height": 860}, device_scale_factor=1.5)
            page.goto((report / "index.html").as_uri())
            page.screenshot(path=IMAGES / "report.png", clip=part(750))
            page.goto((report / "explorer.html").as_uri())
            page.locator('.fx-chart rect[data-group="0"][data-bucket="26"]').hover(force=True)
            page.screenshot(path=IMAGES / "explorer.png", clip=part(782))
            chromium.close()


if __name__ == "__main__":
    main()
