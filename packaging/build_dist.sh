#!/bin/sh
# Makes wheel and sdist of Cryoscope and of plugins/ in dist/, and looks at what is in them. Publishes nothing.
# Needs the `build` package (pip install build), and a package index for the build backend.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
out=${1:-$root/dist}
python=${CRYOSCOPE_PYTHON:-$root/.venv/bin/python}
[ -x "$python" ] || python=python3
for project in "$root" "$root/plugins/napari-cryoscope" "$root/plugins/hello-model"; do
    "$python" -m build --outdir "$out" "$project" >"$out.log" 2>&1 || { tail -n 20 "$out.log" >&2; exit 1; }
done
rm -f "$out.log"
"$python" "$root/packaging/check_dist.py" "$out"
