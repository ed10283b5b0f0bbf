#!/bin/sh
# Checks the code and runs every test, the window's included (Linux: virtual display, software OpenGL).
# With arguments: only pytest, with them.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
. "$root/packaging/environment.sh"

install_system_packages() {
    missing=$(missing_packages test | tr '\n' ' ')
    [ -n "$missing" ] || return 0
    command -v apt-get >/dev/null 2>&1 ||
        fail "the window's tests need these Debian packages' likes, please install: $missing"
    if [ "$(id -u)" = 0 ]; then
        as_root=
    elif sudo -n true >/dev/null 2>&1; then
        as_root='sudo -n'
    else
        fail "run: sudo apt-get install --no-install-recommends $missing"
    fi
    say "installing $missing"
    log=$scratch/apt.log
    { $as_root apt-get update &&
        $as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y --no-install-recommends $missing; } >"$log" 2>&1 || {
        tail -n 5 "$log" >&2
        fail "apt-get failed. Run: sudo apt-get install --no-install-recommends $missing"
    }
}

# The X server picks a free display itself and writes its number to descriptor 3.
start_display() {
    Xvfb -displayfd 3 -screen 0 1920x1200x24 +extension GLX -noreset -nolisten tcp \
        3>"$scratch/display" >"$scratch/xvfb.log" 2>&1 &
    xvfb=$!
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        [ ! -s "$scratch/display" ] || break
        sleep 0.5
    done
    [ -s "$scratch/display" ] || fail "Xvfb did not start: $(tail -n 1 "$scratch/xvfb.log")"
    DISPLAY=:$(cat "$scratch/display")
    LIBGL_ALWAYS_SOFTWARE=1
    QT_QPA_PLATFORM=xcb
    CRYOSCOPE_REQUIRE_GL=1
    export DISPLAY LIBGL_ALWAYS_SOFTWARE QT_QPA_PLATFORM CRYOSCOPE_REQUIRE_GL
    unset WAYLAND_DISPLAY
}

# Settings, plugins and caches of the user neither help nor suffer.
isolate_settings() {
    mkdir -m 700 "$scratch/config" "$scratch/cache" "$scratch/data" "$scratch/state" "$scratch/runtime"
    XDG_CONFIG_HOME=$scratch/config
    XDG_CACHE_HOME=$scratch/cache
    XDG_DATA_HOME=$scratch/data
    XDG_STATE_HOME=$scratch/state
    XDG_RUNTIME_DIR=$scratch/runtime
    NAPARI_CONFIG=$scratch/config/napari.yaml
    export XDG_CONFIG_HOME XDG_CACHE_HOME XDG_DATA_HOME XDG_STATE_HOME XDG_RUNTIME_DIR NAPARI_CONFIG
}

check_code() {
    wrong=
    "$venv/bin/ruff" check . || wrong="$wrong 'ruff check'"
    "$venv/bin/ruff" format --check . || wrong="$wrong 'ruff format'"
    "$venv/bin/mypy" || wrong="$wrong mypy"
    "$venv/bin/lint-imports" --no-logo >"$scratch/imports.log" 2>&1 || {
        cat "$scratch/imports.log"
        wrong="$wrong lint-imports"
    }
    [ -z "$wrong" ] || fail "the tests were not run: first mend$wrong"
}

scratch=$(mktemp -d "${TMPDIR:-/tmp}/cryoscope-test.XXXXXX")
xvfb=
clean_up() {
    [ -z "$xvfb" ] || { kill "$xvfb" && wait "$xvfb"; } >/dev/null 2>&1 || true
    rm -rf "$scratch"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

cd "$root"
make_environment dev
[ "$(uname -s)" != Linux ] || install_system_packages
isolate_settings
[ $# -gt 0 ] || check_code
[ "$(uname -s)" != Linux ] || start_display
status=0
"$python" -m pytest -q "$@" || status=$?
exit "$status"
