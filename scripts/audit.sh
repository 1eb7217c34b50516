#!/usr/bin/env bash
# Ask the advisory service about every pinned version. Exit 1 if one is known to be vulnerable; where the service can't be
# reached, say so and go on.
set -uo pipefail
cd "$(dirname "$0")/.."
bin="${VENV:-.venv}/bin"
pins="$(mktemp)"; said="$(mktemp)"
trap 'rm -f "$pins" "$said"' EXIT
grep -E '^[A-Za-z0-9._-]+==' constraints.txt > "$pins"
if ! "$bin/python" -m pip_audit --version >/dev/null 2>&1; then
  "$bin/uv" pip install -q --python "$bin/python" pip-audit || { echo "audit: pip-audit can't be installed here; nothing was checked"; exit 0; }
fi
timeout 300 "$bin/python" -m pip_audit -r "$pins" --no-deps --disable-pip --progress-spinner off > "$said" 2>&1
code=$?
cat "$said"
if [ "$code" -ne 0 ] && ! grep -qE '^(Found|No known)|GHSA-|PYSEC-|CVE-' "$said"; then
  echo "audit: the advisory service can't be reached; nothing was checked"
  exit 0
fi
exit "$code"
