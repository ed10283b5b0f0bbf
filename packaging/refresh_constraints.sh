#!/bin/sh
# Writes packaging/constraints.txt anew: the newest versions that pyproject.toml allows, for every Python.
# Needs Python 3.11, 3.12 and 3.13 (pythons=... names others) and a package index; installs nothing.
# sh packaging/refresh_constraints.sh [VERSION OF PYTORCH]; test.sh says whether they are any good.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
. "$root/packaging/environment.sh"
scratch=$(mktemp -d "${TMPDIR:-/tmp}/cryoscope-pins.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
wanted=${1:-$torch_version}
for one in ${pythons:-python3.11 python3.12 python3.13}; do
    say "asking what $one would install"
    "$one" -m pip install --quiet --disable-pip-version-check --dry-run --ignore-installed \
        --report "$scratch/$(basename "$one").json" \
        "torch==$wanted" -e "$root[app,umap,parquet,analysis,dev]" || fail "$one: see the lines above."
done
"$one" "$root/packaging/merge_constraints.py" "$scratch"/*.json
[ "$wanted" = "$torch_version" ] ||
    say "now name PyTorch $wanted in environment.sh and in container/ (tests/test_packaging.py looks)"
