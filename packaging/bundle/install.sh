#!/bin/sh
# Lies in the bundle: enters this folder into the user's menu and PATH. `install.sh --remove` undoes it.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
data=${XDG_DATA_HOME:-$HOME/.local/share}
entry=$data/applications/cryoscope.desktop
icon=$data/icons/hicolor/512x512/apps/cryoscope.png
command=$HOME/.local/bin/cryoscope
if [ "${1:-}" = --remove ]; then
    rm -f "$entry" "$icon" "$command"
    echo "removed; delete $here to be rid of the rest"
    exit 0
fi
mkdir -p "$(dirname "$entry")" "$(dirname "$icon")" "$(dirname "$command")"
sed "s|^Exec=cryoscope|Exec=\"$here/cryoscope\"|" "$here/cryoscope.desktop" >"$entry"
cp "$here/cryoscope.png" "$icon"
ln -sf "$here/cryoscope" "$command"
update-desktop-database "$data/applications" >/dev/null 2>&1 || true
echo "Cryoscope is in the menu; the command is $command"
