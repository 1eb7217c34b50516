#!/usr/bin/env bash
# The tests against real counterparts: installs what they need, then runs every test marked slow.
# What can't be installed on this machine is named, and the tests that need it say so when they skip.
set -uo pipefail
cd "$(dirname "$0")/.."
BIN="${VENV:-.venv}/bin"
TOOLS="${FINOPS_AI_TOOLS:-.venv-tools}"
PYTHON="$(command -v "$BIN/python")"

environment() {  # NAME PACKAGE...: an environment of its own, for what can't live beside this project's versions
  local place="$TOOLS/$1"; shift
  if [ ! -f "$place/.ok" ]; then
    "$PYTHON" -m venv "$place" && "$BIN/uv" pip install -q --python "$place/bin/python" "$@" && touch "$place/.ok"
  fi
  [ -f "$place/.ok" ] || echo "could not install: $*"
}

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null && ! command -v chromium >/dev/null; then
  (apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends chromium fonts-dejavu-core) >/dev/null 2>&1 || echo "could not install chromium"
fi
environment spark pyspark pyarrow
export FINOPS_AI_SPARK_PYTHON="$PWD/$TOOLS/spark/bin/python"
export FINOPS_AI_TOOLS="$PWD/$TOOLS"
exec "$BIN/python" -m pytest -q -m slow
