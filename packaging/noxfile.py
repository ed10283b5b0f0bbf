"""Sessions in fresh environments: ``nox -f packaging/noxfile.py [-s NAME] [-- arguments]``.

For every Python that is found of 3.11, 3.12 and 3.13: ``tests`` (the base package, no Qt) and
``window`` (under a virtual display). Once: ``lint``, ``types``, ``coverage``, ``docs``, ``plugin``,
``build``. What is installed is what was tested (constraints.txt), with PyTorch for the CPU.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import nox

ROOT = Path(__file__).resolve().parents[1]
PACKAGING = ROOT / "packaging"
PYTHONS = ("3.11", "3.12", "3.13")
DISPLAY = ("xvfb-run", "-a", "-s", "-screen 0 1920x1200x24 +extension GLX -noreset")
GL = {"LIBGL_ALWAYS_SOFTWARE": "1", "QT_QPA_PLATFORM": "xcb", "CRYOSCOPE_REQUIRE_GL": "1"}
# Without Qt there is neither the window nor pytest's plugin for it.
NO_QT = ("-p", "no:pytest-qt", "--ignore=tests/app", "-W", "ignore::pytest.PytestConfigWarning")
NEEDS_QT = "tests/test_house.py::test_qt_gives_back_what_it_borrows"

nox.options.envdir = str(ROOT / ".nox")
nox.options.sessions = ("lint", "types", "tests", "window")
nox.options.error_on_missing_interpreters = False


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Everything without a window, on the base package: what a cluster node has."""
    install(session, "test")
    run_tests(session, *NO_QT, "--deselect", NEEDS_QT)


@nox.session(python=PYTHONS)
def window(session: nox.Session) -> None:
    """The window and the plugin, under a virtual display where there is none."""
    install(session, "app,umap,test")
    display = DISPLAY if sys.platform == "linux" and not os.environ.get("DISPLAY") else ()
    session.run(
        *display, "python", "-m", "pytest", "-q", *(session.posargs or ["tests/app"]),
        env=isolated(session) | (GL if sys.platform == "linux" else {}), external=True,
    )  # fmt: skip


@nox.session
def lint(session: nox.Session) -> None:
    """Style, likely mistakes and the direction of imports."""
    install(session, "dev")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports", "--no-logo")


@nox.session
def types(session: nox.Session) -> None:
    """Types, strict outside of the window."""
    install(session, "app,umap,analysis,dev")
    session.run("mypy")


@nox.session
def coverage(session: nox.Session) -> None:
    """How much of the headless core the headless tests run; fails below the limit in pyproject."""
    install(session, "test")
    session.install("coverage>=7.10")
    session.run(
        "sh", "packaging/coverage.sh", *session.posargs,
        env={"CRYOSCOPE_PYTHON": interpreter(session)} | isolated(session), external=True,
    )  # fmt: skip


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation, with the command reference made from the code."""
    install(session, "app,umap")
    session.run("python", "packaging/docs/build.py", *session.posargs, env=isolated(session))


@nox.session(venv_backend="none")
def plugin(session: nox.Session) -> None:
    """napari-cryoscope in a plain napari; makes an environment of its own."""
    session.chdir(ROOT)
    session.run("sh", "packaging/test_plugin.sh", external=True)


@nox.session
def build(session: nox.Session) -> None:
    """Wheels and sdists in dist/, looked into. Publishes nothing."""
    session.chdir(ROOT)
    session.install("build>=1.2")
    session.run(
        "sh", "packaging/build_dist.sh", *session.posargs,
        env={"CRYOSCOPE_PYTHON": interpreter(session)}, external=True,
    )  # fmt: skip


def install(session: nox.Session, extras: str) -> None:
    """The checkout with these extras, as it was tested."""
    session.chdir(ROOT)
    constraints = ("-c", str(PACKAGING / "constraints.txt"))
    version, index = tested_torch()
    if sys.platform == "linux" and shutil.which("nvidia-smi") is None:
        # The default build carries gigabytes of CUDA; that index has PyTorch alone.
        session.install(
            "--no-deps", "--index-url", index, f"torch=={version}", success_codes=[0, 1]
        )
    session.install(*constraints, f"torch=={version}", "-e", f".[{extras}]")


def tested_torch() -> tuple[str, str]:
    """Version of PyTorch that was tested, and the address of its builds for the CPU."""
    text = (PACKAGING / "environment.sh").read_text("utf-8")
    found = dict(re.findall(r"^(torch_version|torch_cpu_index)=(\S+)$", text, re.MULTILINE))
    return found["torch_version"], found["torch_cpu_index"]


def interpreter(session: nox.Session) -> str:
    """The session's Python, for scripts that are told which to use."""
    return str(Path(session.bin) / "python")


def isolated(session: nox.Session) -> dict[str, str]:
    """Settings and caches of the user neither help nor suffer."""
    home = Path(session.create_tmp())
    names = ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")
    return {name: str(home / name.lower()) for name in names} | {"NAPARI_CONFIG": ""}


def run_tests(session: nox.Session, *options: str) -> None:
    """Pytest, with what was given after ``--``."""
    environment = isolated(session) | {"QT_QPA_PLATFORM": "offscreen"}
    session.run("python", "-m", "pytest", "-q", *options, *session.posargs, env=environment)
