# Sourced by run.sh and test.sh: makes .venv in the checkout, as it was tested, and only when needed.
# POSIX sh, Debian/Ubuntu and macOS. Needs: $root, the checkout.

venv=$root/.venv
python=$venv/bin/python
constraints=$root/packaging/constraints.txt
torch_version=2.13.0
torch_cpu_index=https://download.pytorch.org/whl/cpu

say() { printf 'cryoscope: %s\n' "$*"; }
fail() { printf 'cryoscope: %s\n' "$*" >&2; exit 1; }

# Prints the first Python 3.11 to 3.13 that can make environments.
find_python() {
    without_venv=
    for candidate in ${CRYOSCOPE_PYTHON:-} python3.13 python3.12 python3.11 python3 python; do
        "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
            >/dev/null 2>&1 || continue
        if "$candidate" -c 'import ensurepip, venv' >/dev/null 2>&1; then
            printf '%s\n' "$candidate"
            return 0
        fi
        without_venv=$candidate
    done
    [ -z "$without_venv" ] ||
        fail "$without_venv cannot make environments. Run: sudo apt install python3-venv"
    fail "needs Python 3.11, 3.12 or 3.13 and found none. Install one, or set CRYOSCOPE_PYTHON."
}

has_nvidia_gpu() { nvidia-smi -L 2>/dev/null | grep -q GPU; }

# What the environment was made from; a moved checkout counts as another one.
environment_stamp() {
    gpu=no
    ! has_nvidia_gpu || gpu=yes
    "$python" - "$root" "$gpu" <<'PYTHON'
import hashlib, pathlib, platform, sys
root = pathlib.Path(sys.argv[1])
parts = [sys.version, platform.system(), platform.machine(), *sys.argv[1:]]
files = ["pyproject.toml", "packaging/constraints.txt", "packaging/environment.sh"]
parts += [(root / name).read_text(encoding="utf-8") for name in files]
print(hashlib.sha256("\0".join(parts).encode()).hexdigest())
PYTHON
}

pip_install() { "$python" -m pip install --disable-pip-version-check -c "$constraints" "$@"; }

# The default build of PyTorch carries gigabytes of CUDA on Linux: only where there is a GPU.
install_torch() {
    installed=$("$python" -c 'from importlib.metadata import version
print(version("torch"))' 2>/dev/null) || installed=
    if [ "$(uname -s)" != Linux ] || has_nvidia_gpu; then
        # pip takes a CPU build for the version asked for and would leave the GPU idle.
        case $installed in *+cpu) "$python" -m pip uninstall --quiet --yes torch ;; esac
    elif [ "${installed%%+*}" != "$torch_version" ]; then
        say "no NVIDIA GPU found: installing PyTorch for the CPU"
        # Without dependencies: that index does not carry the tested versions of them.
        pip_install --quiet --no-deps --retries 0 --timeout 10 \
            --index-url "$torch_cpu_index" "torch==$torch_version" >/dev/null 2>&1 ||
            say "PyTorch's CPU index did not answer: installing the default build (much larger)"
    fi
    pip_install $quiet "torch==$torch_version" || fail "PyTorch could not be installed."
}

# A right Python, and not moved: the commands in bin/ name their interpreter by its full path.
environment_is_sound() {
    grep -qF "$venv" "$venv/bin/activate" 2>/dev/null && "$python" -c 'import pip, sys
sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1
}

# make_environment app|dev: ready when the stamp matches; dev contains app.
make_environment() {
    kind=$1
    if [ -x "$python" ] && stamp=$(environment_stamp 2>/dev/null); then
        for made in "$kind" dev; do
            [ "$(cat "$venv/cryoscope-$made.stamp" 2>/dev/null)" != "$stamp" ] || return 0
        done
    fi
    quiet=--quiet
    [ ! -t 1 ] || quiet=
    if ! environment_is_sound; then
        base=$(find_python) || exit 1
        [ ! -e "$venv" ] || say "replacing $venv: it was moved, broken or of another Python"
        say "making $venv with $("$base" --version)"
        rm -rf "$venv"
        "$base" -m venv "$venv" || fail "$venv could not be made."
    fi
    rm -f "$venv"/cryoscope-*.stamp
    say "installing (2.4 GB without an NVIDIA GPU, 6.3 GB with one; later starts skip this)"
    extras=app,umap
    [ "$kind" = app ] || extras=$extras,$kind
    install_torch
    pip_install $quiet -e "$root[$extras]" || fail "the installation failed; the lines above say why."
    install_prody
    environment_stamp >"$venv/cryoscope-$kind.stamp.part" &&
        mv "$venv/cryoscope-$kind.stamp.part" "$venv/cryoscope-$kind.stamp"
}

# ProDy comes as source on most systems; only comparisons with its normal modes need it.
install_prody() {
    "$python" -c 'import prody' >/dev/null 2>&1 && return 0
    pip_install --quiet prody >"$venv/prody-install.log" 2>&1 ||
        say "ProDy could not be built here (no C++ compiler?): going on without it"
}

# One line per missing part of the system, as "package" names of Debian and Ubuntu.
# missing_packages window: what a Qt window needs; test: a virtual display as well.
missing_packages() {
    libraries=$( (ldconfig -p || /sbin/ldconfig -p) 2>/dev/null)
    while read -r library package; do
        case $libraries in
        *"$library "*) ;;
        *) printf '%s\n' "$package" ;;
        esac
    done <<'LIBRARIES'
libEGL.so.1 libegl1
libGL.so.1 libgl1
libglib-2.0.so.0 libglib2.0-0
libdbus-1.so.3 libdbus-1-3
libfontconfig.so.1 libfontconfig1
libxkbcommon.so.0 libxkbcommon0
libxkbcommon-x11.so.0 libxkbcommon-x11-0
libxcb-cursor.so.0 libxcb-cursor0
libxcb-icccm.so.4 libxcb-icccm4
libxcb-keysyms.so.1 libxcb-keysyms1
libxcb-shape.so.0 libxcb-shape0
LIBRARIES
    [ "$1" = test ] || return 0
    command -v Xvfb >/dev/null 2>&1 || echo xvfb
    command -v xauth >/dev/null 2>&1 || echo xauth
}
