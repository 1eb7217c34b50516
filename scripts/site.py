"""Build the documentation as a site with search, one folder per version: `make site`.

Pages that live beside what they describe (README, plugins, changelog) are staged into one tree with their links turned to it.
What a link points to and is no page (a notebook, a folder) becomes the page that tells of it.
"""

from __future__ import annotations

import html
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
STAGE, BUILT, OUT = ROOT / ".site" / "pages", ROOT / ".site" / "build", ROOT / "site"
FENCE = re.compile(r"(^```.*?^```$)", re.M | re.S)
INSTEAD = {"notebooks": "docs/gallery.md", "docs/decisions": "docs/decisions/index.md", "LICENSE": "index.md"}


def pages() -> dict[str, str]:
    """Path of a page in the project -> its path in the site."""
    found = {"README.md": "index.md", "CHANGELOG.md": "CHANGELOG.md", "CONTRIBUTING.md": "CONTRIBUTING.md"}
    found |= {p: p for f in sorted((ROOT / "docs").rglob("*.md")) for p in [f.relative_to(ROOT).as_posix()]}
    plugins = sorted(f.relative_to(ROOT).as_posix() for f in ROOT.glob("plugins/*/README.md"))
    return found | {p: f"plugins/{Path(p).parent.name}.md" for p in plugins if "template" not in p}


def turned(text: str, source: str, known: dict[str, str]) -> str:
    """A page's text with its links and pictures pointing to where things are in the site."""
    here = Path(known[source]).parent

    def new(target: str) -> str:
        path, mark, anchor = target.partition("#")
        if not path or re.match(r"[a-z]+:", target):
            return target
        full = os.path.normpath(Path(source).parent / path)
        place = known.get(full) or next((page for start, page in INSTEAD.items() if full.startswith(start)), None)
        if place is None and (ROOT / full).is_file() and not full.endswith((".md", ".ipynb")):
            place = full  # a file that a page leads to comes along
            (STAGE / full).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / full, STAGE / full)
        if place is None:
            return target
        return Path(os.path.relpath(place, here)).as_posix() + mark + anchor

    parts = FENCE.split(text)
    for i, part in enumerate(parts):
        if not part.startswith("```"):
            part = re.sub(r"\]\(([^)\s]+)\)", lambda m: f"]({new(m[1])})", part)
            parts[i] = re.sub(r'src="([^"]+)"', lambda m: f'src="{new(m[1])}"', part)
        else:
            parts[i] = re.sub(r"^```(\w+) file=(\S+)$", r'```\1 title="\2"', part, flags=re.M)
    return "".join(parts)


def stage() -> dict[str, str]:
    """Write the tree that the generator reads; returns the pages."""
    shutil.rmtree(STAGE, ignore_errors=True)
    known = pages()
    for source, place in known.items():
        target = STAGE / place
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(turned((ROOT / source).read_text("utf-8"), source, known), encoding="utf-8")
    shutil.copytree(ROOT / "docs" / "images", STAGE / "docs" / "images", dirs_exist_ok=True)
    decisions = sorted(p for p in known.values() if p.startswith("docs/decisions/"))
    lines = [f"- [{(STAGE / p).read_text('utf-8').splitlines()[0].lstrip('# ')}]({Path(p).name})" for p in decisions]
    (STAGE / "docs" / "decisions" / "index.md").write_text(
        "# Decisions\n\n" + "\n".join(lines) + "\n", encoding="utf-8"
    )
    return known


def settings(known: dict[str, str]) -> Path:
    """mkdocs.yml with the lists of pages that the project itself tells."""
    made = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))
    lists = {
        "PLUGINS": sorted(p for p in known.values() if p.startswith("plugins/")),
        "REFERENCE": sorted(
            (p for p in known.values() if p.startswith("docs/reference/")), key=lambda p: ("README" not in p, p)
        ),
        "DECISIONS": ["docs/decisions/index.md"],
    }
    for section in made["nav"]:
        for name, entries in section.items():
            section[name] = [page for entry in entries for page in lists.get(entry, [entry])]
    listed = {page for section in made["nav"] for entries in section.values() for page in entries}
    if forgotten := sorted(p for p in known.values() if p not in listed and not p.startswith("docs/decisions/")):
        raise SystemExit(f"mkdocs.yml doesn't say where {', '.join(forgotten)} stands.")
    made |= {"docs_dir": str(STAGE), "site_dir": str(BUILT)}
    path = STAGE.parent / "mkdocs.yml"
    path.write_text(yaml.safe_dump(made, sort_keys=False), encoding="utf-8")
    return path


#: search runs in a worker, which browsers refuse to pages of a folder: there it runs in a frame instead
FRAME_WORKER = """(function () {
  if (location.protocol !== "file:") return;
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.waiting = [];
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.body.appendChild(frame);
      const inside = (this.inside = frame.contentWindow);
      inside.postMessage = (data) => {
        const event = new MessageEvent("message", { data });
        this.dispatchEvent(event);
        if (this.onmessage) this.onmessage(event);
      };
      inside.importScripts = (...urls) => urls.reduce((done, each) => done.then(() => load(each)), Promise.resolve());
      const load = (each) =>
        new Promise((resolve) => {
          const script = inside.document.createElement("script");
          script.onload = resolve;
          script.src = new URL(each, location.href).href;
          inside.document.body.appendChild(script);
        });
      load(url).then(() => {
        const waiting = this.waiting;
        this.waiting = null;
        waiting.forEach((data) => this.postMessage(data));
      });
    }
    postMessage(data) {
      if (this.waiting) this.waiting.push(data);
      else this.inside.dispatchEvent(new this.inside.MessageEvent("message", { data }));
    }
    terminate() {}
  };
})();
"""


def kept_here() -> None:
    """Pages that load nothing from elsewhere: the one script the theme takes from a server is written beside them."""
    (BUILT / "assets" / "frame-worker.js").write_text(FRAME_WORKER, encoding="utf-8")
    for page in BUILT.rglob("*.html"):
        text = page.read_text("utf-8")
        here = Path(os.path.relpath(BUILT / "assets" / "frame-worker.js", page.parent)).as_posix()
        page.write_text(text.replace("https://unpkg.com/iframe-worker/shim", here), encoding="utf-8")
        if strange := re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="(https?://[^"]+)"', page.read_text("utf-8")):
            raise SystemExit(f"{page}: loads {strange[0]} from elsewhere.")


def versions() -> None:
    """The front page: which versions are here, the newest first."""

    def key(name: str) -> list[int]:
        return [int(n) for n in re.findall(r"\d+", name)]

    names = sorted((p.name for p in OUT.iterdir() if (p / "index.html").is_file()), key=key, reverse=True)
    items = "".join(f'<li><a href="{html.escape(n)}/index.html">{html.escape(n)}</a></li>' for n in names)
    (OUT / "index.html").write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>finops_ai</title><h1>finops_ai</h1><p>Versions</p><ul>{items}</ul></html>\n',
        encoding="utf-8",
    )


def main() -> int:
    """Stage, build, and put the result in site/VERSION."""
    stated = re.search(r'^__version__ = "([^"]+)"', (ROOT / "finops_ai" / "__init__.py").read_text("utf-8"), re.M)
    version = stated[1] if stated else "unreleased"
    config = settings(stage())
    done = subprocess.run([sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-f", str(config)], check=False)
    if done.returncode:
        return done.returncode
    kept_here()
    shutil.rmtree(OUT / version, ignore_errors=True)
    OUT.mkdir(exist_ok=True)
    shutil.move(BUILT, OUT / version)
    versions()
    print(OUT / "index.html")
    return 0


if __name__ == "__main__":
    sys.exit(main())
