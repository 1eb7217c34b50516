"""Write what is installed here as a CycloneDX 1.6 bill of materials: `python scripts/sbom.py [FILE]`, to the screen by default."""

from __future__ import annotations

import json
import re
import sys
from importlib.metadata import distributions
from pathlib import Path


def components() -> list[dict[str, object]]:
    """One entry per installed distribution: name, version, package URL and licence as its own metadata states them."""
    found = {}
    for dist in distributions():
        name = re.sub(r"[-_.]+", "-", dist.metadata["Name"] or "").lower()
        if not name:
            continue
        part: dict[str, object] = {
            "type": "library",
            "name": name,
            "version": dist.version,
            "purl": f"pkg:pypi/{name}@{dist.version}",
        }
        if licence := dist.metadata.get("License-Expression"):
            part["licenses"] = [{"expression": licence}]
        found[name] = part
    return [found[name] for name in sorted(found)]


def main() -> None:
    """Write the document."""
    document = {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "components": components()}
    text = json.dumps(document, indent=1) + "\n"
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
