#!/bin/sh
# Makes a release here: sh packaging/release.sh VERSION. Publishes nothing and pushes nothing.
# Checks that the tree is clean, that version and changelog agree and that every test passes; makes wheels
# and sdists in dist/VERSION from what is committed; then the tag vVERSION with the changelog as message.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
say() { printf 'release: %s\n' "$*"; }
fail() { printf 'release: %s\n' "$*" >&2; exit 1; }
[ $# -eq 1 ] || fail "which version? sh packaging/release.sh 1.2.3"
version=$1
tag=v$version
python=${CRYOSCOPE_PYTHON:-$root/.venv/bin/python}
[ -x "$python" ] || python=python3
cd "$root"

git rev-parse --git-dir >/dev/null 2>&1 || fail "this is no git checkout."
[ -z "$(git status --porcelain)" ] || fail "commit or put away your changes first (git status)."
! git rev-parse -q --verify "refs/tags/$tag" >/dev/null || fail "$tag exists already."
scratch=$(mktemp -d "${TMPDIR:-/tmp}/cryoscope-release.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
"$python" packaging/release_checks.py "$version" >"$scratch/notes" || fail "mend the above first."
commit=$(git rev-parse HEAD)

say "testing $commit"
sh packaging/test.sh >"$scratch/test.log" 2>&1 || {
    tail -n 30 "$scratch/test.log" >&2
    fail "the tests do not pass."
}
tail -n 1 "$scratch/test.log"

# From the commit, not from the folder: nothing that lies about can get in.
mkdir "$scratch/tree"
git archive "$commit" | tar -x -C "$scratch/tree"
say "building"
CRYOSCOPE_PYTHON=$python sh "$scratch/tree/packaging/build_dist.sh" "$scratch/dist"
rm -rf "dist/$version"
mkdir -p dist
mv "$scratch/dist" "dist/$version"

[ "$(git rev-parse HEAD)" = "$commit" ] || fail "HEAD moved while this ran: no tag was made."
git tag --annotate --cleanup=verbatim --file="$scratch/notes" "$tag" "$commit"
say "$tag is made and dist/$version is ready. To publish: git push origin $tag, then upload dist/$version."
