#!/bin/sh
# Opens Cryoscope on its built-in demo and trains; without a display, does the same job headless.
# Arguments are those of `cryoscope demo`.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
. "$root/packaging/environment.sh"

make_environment app

if [ "$(uname -s)" = Darwin ]; then
    exec "$venv/bin/cryoscope" demo "$@"
fi
if [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ]; then
    missing=$(missing_packages window | tr '\n' ' ')
    [ -z "$missing" ] || say "the window may need: sudo apt install $missing"
    exec "$venv/bin/cryoscope" demo "$@"
fi
say "no display (DISPLAY and WAYLAND_DISPLAY are unset): running the demo without a window"
exec "$venv/bin/cryoscope" demo --headless "$@"
