"""The version, written in one place (`finops_ai/__init__.py`) and carried into every plugin by this script.

python scripts/version.py 0.2.0           write it: the core's, the plugins', and the core that they ask for
python scripts/version.py --check [0.2.0]  only say where it differs; exit code 1 if it does
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
CORE = ROOT / "finops_ai" / "__init__.py"
_CORE = re.compile(r'^__version__ = "([^"]+)"', re.M)
_OWN = re.compile(r'^version = "([^"]+)"', re.M)
_NEEDS = re.compile(r'"finops-ai-core(\[[^]]*\])?>=[^"]*"')


def needed(version: str) -> str:
    """The core that a plugin of a version takes: its minor versions before 1.0, its major version after."""
    major, minor = map(int, version.split(".")[:2])
    return f">={major}.{minor},<0.{minor + 1}" if not major else f">={major}.{minor},<{major + 1}"


def files(version: str, root: Path = ROOT) -> dict[Path, str]:
    """Every file that names the version, as it is to be."""
    core = root / "finops_ai" / "__init__.py"
    out = {core: _CORE.sub(f'__version__ = "{version}"', core.read_text("utf-8"))}
    for path in sorted(root.glob("plugins/*/pyproject.toml")):
        text = _OWN.sub(f'version = "{version}"', path.read_text("utf-8"), count=1)
        out[path] = _NEEDS.sub(lambda m: f'"finops-ai-core{m[1] or ""}{needed(version)}"', text)
    return out


def main() -> int:
    """Write the version, or say where it differs."""
    words = [word for word in sys.argv[1:] if word != "--check"]
    stated = _CORE.search(CORE.read_text("utf-8"))
    now = stated[1] if stated else ""
    version = words[0] if words else now
    if not re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc)\d+)?", version):
        print(f"{version!r} is no version like 0.2.0")
        return 2
    wrong = [path for path, text in files(version).items() if path.read_text("utf-8") != text]
    if "--check" in sys.argv:
        print(*(f"{path.relative_to(ROOT)} isn't {version}" for path in wrong), sep="\n")
        return int(bool(wrong))
    for path in wrong:
        path.write_text(files(version)[path], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
