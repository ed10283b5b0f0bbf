#!/bin/sh
# Installs Cryoscope and napari-cryoscope into a fresh environment with plain napari, and tests the plugin
# there. Deletes it afterwards. QT chooses the binding: pyside6 (default) or pyqt6.
# Needs a package index; Linux: a display, or Xvfb.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
. "$root/packaging/environment.sh"
scratch=$(mktemp -d "${TMPDIR:-/tmp}/cryoscope-plugin.XXXXXX")
xvfb=
clean_up() {
    [ -z "$xvfb" ] || kill "$xvfb" >/dev/null 2>&1 || true
    rm -rf "$scratch"
}
trap clean_up EXIT
venv=$scratch/venv
python=$venv/bin/python
"$(find_python)" -m venv "$venv"
quiet=--quiet
case ${QT:-pyside6} in
pyside6) binding=$(sed -n "s/^ *\"\(PySide6-Essentials[^\"]*\)\",\{0,1\}/\1/p" "$root/pyproject.toml") ;;
pyqt6) binding=PyQt6 ;;
*) fail "QT is pyside6 or pyqt6" ;;
esac
# The tests come from the checkout, the code from the environment.
mkdir "$scratch/check"
cp -r "$root/tests" "$root/plugins" "$root/resources" "$root/pyproject.toml" "$scratch/check/"
install_torch
# As a user would, but for this checkout in place of the index.
printf '%s\n' "$binding" >"$scratch/binding.txt"
pip_install --quiet "$root" "$root/plugins/napari-cryoscope" -r "$scratch/binding.txt" pytest pytest-qt pytest-timeout hypothesis

cd "$scratch"
"$venv/bin/npe2" validate napari-cryoscope --imports
"$venv/bin/npe2" list
"$venv/bin/cryoscope" doctor || true
if [ -z "${DISPLAY:-}" ] && [ "$(uname -s)" = Linux ]; then
    Xvfb -displayfd 3 -screen 0 1920x1200x24 +extension GLX -noreset 3>"$scratch/display" 2>/dev/null &
    xvfb=$!
    sleep 3
    DISPLAY=:$(cat "$scratch/display")
    export DISPLAY LIBGL_ALWAYS_SOFTWARE=1
fi
cd "$scratch/check"
CRYOSCOPE_PLAIN_NAPARI=1 CRYOSCOPE_REQUIRE_GL=1 NAPARI_CONFIG= PYTEST_QT_API=${QT:-pyside6} \
    "$python" -m pytest -q -o "qt_api=${QT:-pyside6}" tests/app/test_plugin.py
