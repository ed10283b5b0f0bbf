#!/bin/sh
# How much of the headless core (everything but cryoscope/app) the headless tests run, workers included.
# Arguments: tests to run instead of all. The limit and what is left out: [tool.coverage] in pyproject.toml.
# Needs the `coverage` package (pip install coverage).
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
python=${CRYOSCOPE_PYTHON:-$root/.venv/bin/python}
cd "$root"
limit=
[ $# -eq 0 ] || limit=--fail-under=0
[ $# -gt 0 ] || set -- tests --ignore=tests/app --ignore=tests/benchmarks
QT_QPA_PLATFORM=${QT_QPA_PLATFORM:-offscreen}
export QT_QPA_PLATFORM
# What writes machine code runs only while Numba compiles: with an empty cache it does.
scratch=$(mktemp -d "${TMPDIR:-/tmp}/cryoscope-coverage.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
NUMBA_CACHE_DIR=$scratch
export NUMBA_CACHE_DIR
"$python" -m coverage erase
status=0
"$python" -m coverage run -m pytest -q "$@" || status=$?
"$python" -m coverage combine --quiet
"$python" -m coverage report $limit || status=$?
exit "$status"
