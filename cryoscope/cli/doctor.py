"""``cryoscope doctor``: what this installation can do here, and what to do about the rest."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import typer

from cryoscope import __version__

_NEEDED = ("numpy", "scipy", "torch", "numba", "gemmi", "mrcfile", "pandas", "safetensors")
_WINDOW = ("napari", "vispy", "qtpy", "psutil")
_OPTIONAL = {
    "umap-learn": "UMAP pictures: pip install 'cryoscope[umap]'",
    "prody": ".psf topologies: pip install prody (needs a C++ compiler)",
    "pyarrow": ".parquet tables: pip install pyarrow",
}
_FOR_THE_WINDOW = "for the window: pip install 'cryoscope[app]'"
_ENOUGH_DISK_GB, _ENOUGH_MEMORY_GB, _ENOUGH_GPU_GB = 20, 8, 6
_PROBE_LIMIT_S = 60.0


@dataclass(frozen=True)
class Finding:
    """One line: what was looked at, what was found, and what to do (empty: all is well)."""

    what: str
    found: str
    cure: str = ""


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("doctor")(doctor)


def doctor() -> None:
    """Look at this installation and machine, and say what to do where something is missing."""
    findings = [
        Finding("cryoscope", f"{__version__} in {Path(__file__).resolve().parents[1]}"),
        Finding(
            "Python", f"{platform.python_version()} on {platform.platform()}", _python_trouble()
        ),
        *packages(_NEEDED, "pip install cryoscope again"),
        *_computing(),
        training_process(),
        *machine(Path.cwd()),
        *packages(_WINDOW, _FOR_THE_WINDOW),
        _qt(),
        *_display(),
        *(finding for name, cure in _OPTIONAL.items() for finding in packages((name,), cure)),
        *extensions(),
    ]
    width = max(len(finding.what) for finding in findings)
    for finding in findings:
        print(f"{finding.what:{width}s}  {finding.found}")
    cures = [finding for finding in findings if finding.cure]
    print("\nAll is well." if not cures else "\nWhat to do:")
    for finding in cures:
        print(f"  {finding.what}: {finding.cure}")


def _python_trouble() -> str:
    return "" if (3, 11) <= sys.version_info[:2] <= (3, 13) else "use Python 3.11, 3.12 or 3.13"


def packages(names: tuple[str, ...], cure: str) -> list[Finding]:
    """Versions of packages; where one is missing, the cure."""
    findings = []
    for name in names:
        try:
            findings.append(Finding(name, version(name), _known_trouble(name)))
        except PackageNotFoundError:
            findings.append(Finding(name, "not installed", cure))
    return findings


def _qt() -> Finding:
    """The Qt binding that the window runs on."""
    from cryoscope.session.versions import qt_binding

    (found,) = packages((qt_binding() or "PySide6-Essentials",), _FOR_THE_WINDOW)
    return found


def _known_trouble(name: str) -> str:
    if name == "PySide6-Essentials" and version(name) == "6.12.0" and sys.version_info < (3, 12):
        return "6.12.0 aborts on Python 3.11: pip install PySide6-Essentials==6.11.3"
    return ""


def extensions() -> list[Finding]:
    """What other distributions add, and what of it does not work."""
    from cryoscope.session.extensions import look_at_all

    return [
        Finding(
            f"{one.kind} {one.name}",
            f"{one.distribution}: skipped, {error}" if error else f"{one.distribution} (extension)",
            f"update or remove {one.distribution}" if error else "",
        )
        for one, error in look_at_all()
    ]


def _computing() -> list[Finding]:
    """Torch's devices and threads."""
    try:
        import torch
    except (ImportError, OSError) as error:
        return [Finding("torch", f"cannot be loaded: {error}", "install torch again")]
    devices, cure = [], ""
    for number in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(number)
        devices.append(f"cuda:{number} {about.name}, {about.total_memory / 1e9:.0f} GB")
        if about.total_memory < _ENOUGH_GPU_GB * 1e9:
            cure = "train in a smaller box or batch (--box-px, optimiser.batch_size)"
    if not devices and shutil.which("nvidia-smi"):
        cure = "there is an NVIDIA driver, but torch cannot use it: " + (
            f"update the driver for CUDA {torch.version.cuda}"
            if torch.version.cuda
            else "this torch is built for the CPU; install its CUDA build"
        )
    built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built for the CPU"
    found = "; ".join(devices) or f"CPU only ({built}): training works, an NVIDIA GPU is faster"
    return [
        Finding("device", found, cure),
        Finding("threads", f"{torch.get_num_threads()} of {os.cpu_count()} processors"),
    ]


def training_process(command: Sequence[str] = ()) -> Finding:
    """Whether the process that trains starts: without input it only loads what it needs, and ends.

    Parameters
    ----------
    command
        Program and arguments of it, where they are not the usual ones.
    """
    from cryoscope.session.child_process import cure_of_end, cure_of_start, how_it_ended, last_line
    from cryoscope.session.process_runner import WORKER, worker_environment

    what, again = "training process", "install cryoscope again"
    try:
        child = subprocess.run(
            command or WORKER,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PROBE_LIMIT_S,
            check=False,
            env=worker_environment(),
        )
    except OSError as error:
        return Finding(what, f"cannot be started: {error.strerror or error}", cure_of_start(error))
    except subprocess.TimeoutExpired:
        return Finding(what, f"has not begun after {_PROBE_LIMIT_S:.0f} s", "close other programs")
    if child.returncode == 0:
        return Finding(what, "starts")
    said = last_line(child.stderr.splitlines()) or "it said nothing"
    how = f"does not start ({how_it_ended(child.returncode)}): {said}"
    return Finding(what, how, cure_of_end(child.returncode, "") or again)


def machine(folder: Path) -> list[Finding]:
    """Memory, and free disk space where ``folder`` lies."""
    findings = []
    total_GB = memory_GB()
    if total_GB is not None:
        cure = "" if total_GB >= _ENOUGH_MEMORY_GB else "large particle sets will be slow"
        findings.append(Finding("memory", f"{total_GB:.0f} GB", cure))
    free_GB = shutil.disk_usage(folder).free / 1e9
    cure = (
        ""
        if free_GB >= _ENOUGH_DISK_GB
        else "particle caches need room: free some, or work elsewhere"
    )
    findings.append(Finding("disk", f"{free_GB:,.0f} GB free in {folder}", cure))
    return findings


def memory_GB() -> float | None:
    """Memory of this machine; None where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    except (AttributeError, ValueError, OSError):
        return None


def _display() -> list[Finding]:
    """Display and OpenGL, asked in a child process because a bad driver ends its process."""
    linux = sys.platform.startswith("linux")
    if linux and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        virtual = "xvfb-run is installed" if shutil.which("xvfb-run") else "no xvfb-run either"
        cure = "work without the window, or use ssh -X, VNC or a desktop for it"
        return [Finding("display", f"none ({virtual})", cure)]
    try:
        child = subprocess.run(
            [sys.executable, "-m", "cryoscope.app.opengl"],
            capture_output=True,
            text=True,
            timeout=_PROBE_LIMIT_S,
            check=False,
        )
        found, words = child.stdout.strip(), child.stderr.strip().splitlines()
    except subprocess.TimeoutExpired:
        found, words = "", ["no answer"]
    if found:
        return [Finding("OpenGL", found)]
    reason = words[-1] if words else "the probe crashed"
    return [Finding("OpenGL", f"does not work: {reason}", "install the graphics driver, or Mesa")]
