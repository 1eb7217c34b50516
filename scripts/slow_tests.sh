#!/usr/bin/env bash
# The tests that take seconds each, then those against real counterparts: installs what they need, runs every test marked slow,
# and the property tests of what conserves money with many more examples.
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

package() {  # COMMAND PACKAGE...: a system package, where this machine lets us install one
  local wanted="$1"; shift
  compgen -G "$wanted" >/dev/null || command -v "$wanted" >/dev/null && return
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    [ -n "${UPDATED:-}" ] || apt-get update -q >/dev/null 2>&1; UPDATED=1
    DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "$@" >/dev/null 2>&1 || echo "could not install: $*"
  else
    echo "not on this machine: $*"
  fi
}

package chromium chromium fonts-dejavu-core
package "/usr/lib/postgresql/*/bin/initdb" postgresql
package java default-jre-headless
package soffice libreoffice-calc
# this package is in it too, as on a cluster's driver
environment spark-engine -e . "pyspark[connect]"
export FINOPS_AI_SPARK_PYTHON="$PWD/$TOOLS/spark-engine/bin/python"
export FINOPS_AI_TOOLS="$PWD/$TOOLS"
code=0
"$BIN/python" -m pytest -q -n auto --dist loadfile -m "long and not slow and not soak" || code=$?
"$BIN/python" -m pytest -q -m slow --durations=15 || code=$?
# what conserves money, over hundreds of random rule sets, splits and policies; FINOPS_AI_EXAMPLES=30 tries thousands
FINOPS_AI_EXAMPLES="${FINOPS_AI_EXAMPLES:-5}" "$BIN/python" -m pytest -q -n auto \
  tests/engine/test_splitting.py tests/engine/test_any_rules.py tests/tables/test_chargeback.py || code=$?
exit "$code"
