"""Allocation at the size of a large company: 2,000 rules, 500 teams, a cascade of 50 pools, 10 look-ups of 100,000 rows, on a month
of 5,000 slices.

    python benchmarks/cascade_scale.py [RECEIVERS=10]      # of each pool; 500: every pool is everybody's

Each form runs in a process of its own: CPU seconds of loading the rules and of `fa.allocate`, rows, the process's peak of
memory. Bars: at most 10 CPU seconds and 1 GB, and 50 pools at most 3 times the CPU of 5.
"""

from __future__ import annotations

import random
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import finops_ai as fa

FORMS = {
    "5 pools": (2000, 5, 0),
    "50 pools": (2000, 50, 0),
    "rules and look-ups": (2000, 0, 10),
    "everything": (2000, 50, 10),
}
LOOKED_UP = 100_000


def cpu() -> float:
    """CPU seconds so far."""
    return sum(resource.getrusage(resource.RUSAGE_SELF)[:2])


def settings(folder: Path, rules: int, pools: int, lookups: int, receivers: int, models: list[str]) -> Path:
    """Rules of a large company as a file: every tenth of the use is shared, and flows down the cascade."""
    pick = random.Random(1)
    text = ["[dimensions.team]\n[dimensions.cc]\n"]
    for i in range(lookups):
        lines = "".join(f"user_{j},t{pick.randrange(500)},,\n" for j in range(LOOKED_UP))
        (folder / f"l{i}.csv").write_text(f"who,v,valid_from,valid_to\n{lines}", encoding="utf-8")
        text.append(f'[lookups.l{i}]\nfile = "l{i}.csv"\nkey = "who"\non = "user_id"\n')
    for i in range(rules):
        model, team = pick.choice(models), f"t{i % 500}" if i % 10 else f"pool{i % max(pools, 1)}"
        text.append(f'[[rules]]\nname = "r{i}"\nwhen = {{ user_id = {{ prefix = "user_{i}" }}, model = "{model}" }}\nset = {{ team = "{team}" }}\n')  # fmt: skip
    text.append('[[rules]]\nname = "rest"\nset = { team = "pool0" }\n')
    text += [f'[[rules]]\nname = "k{i}"\nset = {{ cc = "{{l{i}.v}}" }}\n' for i in range(lookups)]
    for i in range(pools):
        names = [f"pool{i + 1}"] * (i < pools - 1) + [f"t{(i * 10 + j) % 500}" for j in range(receivers)]
        to = ", ".join(f'"{name}"' for name in names)
        text.append(
            f'[[shared]]\nname = "s{i}"\nwhen = {{ team = "pool{i}" }}\ndimension = "team"\nmethod = "even"\nto = [{to}]\n'
        )
    path = folder / "rules.toml"
    path.write_text("\n".join(text), encoding="utf-8")
    return path


def measured(name: str, receivers: int) -> str:
    """One form, in this process."""
    rows = fa.price(fa.sample(months=1))
    with tempfile.TemporaryDirectory() as folder:
        path = settings(Path(folder), *FORMS[name], receivers, list(rows["model"].unique()))
        start = cpu()
        rules = fa.Rules.load(str(path))
        loaded = cpu()
        out = fa.allocate(rows, rules)
        done = cpu()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return f"{name}: load {loaded - start:.1f} CPU s, allocate {done - loaded:.1f} CPU s, {len(rows):,} -> {len(out):,} rows, {peak} MB"


if __name__ == "__main__":
    if len(sys.argv) > 2:
        print(measured(sys.argv[2], int(sys.argv[1])))
    else:
        given = sys.argv[1] if len(sys.argv) > 1 else "10"
        for form in FORMS:
            subprocess.run([sys.executable, __file__, given, form], check=True)
