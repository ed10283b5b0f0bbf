#!/bin/sh
# check_bundle.sh FOLDER: does a bundle train without a window, and does its window open on the run?
# Needs a display, or xvfb-run. Nothing of this checkout or of a Python on this machine is used.
set -eu
program=$1/cryoscope
scratch=$(mktemp -d "${TMPDIR:-/tmp}/cryoscope-bundle.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
unset PYTHONPATH PYTHONHOME 2>/dev/null || true
export NAPARI_CONFIG="$scratch/napari.yaml"

"$program" doctor
"$program" demo --headless --out "$scratch/demo" --particles 500 --minutes 0.2
set -- view "$scratch/demo/run-001" --screenshot "$scratch/window.png"
if [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ]; then
    "$program" "$@"
else
    LIBGL_ALWAYS_SOFTWARE=1 xvfb-run -a -s '-screen 0 1920x1200x24' "$program" "$@"
fi
[ -s "$scratch/window.png" ] || { echo "the window made no picture" >&2; exit 1; }
[ -z "${KEEP_PICTURE:-}" ] || cp "$scratch/window.png" "$KEEP_PICTURE"
echo "the bundle trains and its window opens"
