#!/bin/sh
# Makes dist/bundle/Cryoscope.app on a Mac (the architecture it runs on). Not signed: see the last lines.
# Written from PyInstaller's documentation and not run on a Mac yet.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
here=$root/packaging/bundle
out=${1:-$root/dist}
. "$root/packaging/environment.sh"
make_environment app
pip_install --quiet 'pyinstaller>=6.10,<7'

mkdir -p "$out"
"$python" - "$root/resources/icons/cryoscope.png" "$out/cryoscope.icns" <<'PYTHON'
import sys
from PIL import Image
Image.open(sys.argv[1]).save(sys.argv[2])
PYTHON
"$python" "$root/packaging/licences.py" cryoscope napari --out "$out/THIRD_PARTY.txt"
(cd "$here" && "$python" -m PyInstaller cryoscope.spec --noconfirm --log-level WARN \
    --distpath "$out/bundle" --workpath "$out/bundle-work")
"$out/bundle/cryoscope/cryoscope" --version
hdiutil create -volname Cryoscope -srcfolder "$out/bundle/Cryoscope.app" -ov -format UDZO \
    "$out/cryoscope-$(uname -m).dmg"
cat <<'NEXT'
To give it to others, sign and notarise it with your own identity:
  codesign --deep --force --options runtime --sign "Developer ID Application: ..." Cryoscope.app
  xcrun notarytool submit cryoscope-*.dmg --keychain-profile ... --wait && xcrun stapler staple Cryoscope.app
NEXT
