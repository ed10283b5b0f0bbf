#!/bin/sh
# Makes dist/cryoscope (one folder: copy it anywhere, run ./cryoscope) and a .tar.gz of it; then starts it.
# Uses the environment of run.sh, or the Python in CRYOSCOPE_PYTHON that has cryoscope[app] and pyinstaller.
# The C library of this machine is the oldest that the bundle runs with: build on an old one.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
here=$root/packaging/bundle
out=${1:-$root/dist}

if [ -n "${CRYOSCOPE_PYTHON:-}" ]; then
    python=$CRYOSCOPE_PYTHON
else
    . "$root/packaging/environment.sh"
    make_environment app
    pip_install --quiet 'pyinstaller>=6.10,<7'
fi

mkdir -p "$out/bundle-work"
"$python" "$root/packaging/licences.py" cryoscope napari --out "$out/THIRD_PARTY.txt"
(cd "$here" && "$python" -m PyInstaller cryoscope.spec --noconfirm --log-level WARN \
    --distpath "$out/bundle" --workpath "$out/bundle-work")
folder=$out/bundle/cryoscope
cp "$here/cryoscope.desktop" "$here/install.sh" "$root/resources/icons/cryoscope.png" "$folder/"
cp "$root/LICENSE" "$out/THIRD_PARTY.txt" "$folder/"
chmod +x "$folder/install.sh"

"$folder/cryoscope" --version
sh "$here/check_bundle.sh" "$folder"
version=$("$folder/cryoscope" --version | sed -n '1s/cryoscope //p')
archive=$out/cryoscope-$version-$(uname -s)-$(uname -m).tar.gz
tar -C "$out/bundle" -czf "$archive.part" cryoscope && mv "$archive.part" "$archive"
du -sh "$folder" "$archive"
