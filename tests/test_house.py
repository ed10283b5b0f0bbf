"""The rules of the house that a machine can check."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted((ROOT / "cryoscope").rglob("*.py"))
LONGEST_FILE = 400
LONGEST_FUNCTION = 70
VAGUE_NAMES = {"common", "helper", "helpers", "misc", "new", "stuff", "util", "utils"}

_WALK_AND_REPORT = """
import importlib, pkgutil, sys
for name in {roots!r}:
    module = importlib.import_module(name)
    for found in pkgutil.walk_packages(getattr(module, "__path__", ()), name + "."):
        importlib.import_module(found.name)
print(*sorted(set({unwanted!r}) & set(sys.modules)))
"""


def _named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_files_can_be_seen_whole() -> None:
    lengths = {_named(path): path.read_text("utf-8").count("\n") for path in SOURCES}
    assert {name: n for name, n in lengths.items() if n > LONGEST_FILE} == {}


def test_functions_can_be_seen_whole() -> None:
    long = {}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                # A command's options fill its signature: a table, not code.
                lines = (node.end_lineno or node.lineno) - node.body[0].lineno + 1
                if lines > LONGEST_FUNCTION:
                    long[f"{_named(path)}:{node.lineno} {node.name}"] = lines
    assert long == {}


def test_every_module_is_named_for_what_it_holds() -> None:
    vague = [_named(p) for p in SOURCES if VAGUE_NAMES & {*p.stem.split("_"), *p.parent.parts[-1:]}]
    assert vague == []


def test_axes_are_flipped_in_one_place_only() -> None:
    flips = [
        f"{_named(path)}:{number}"
        for path in SOURCES
        if path.name != "conventions.py"
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if "[..., ::-1]" in line
    ]
    assert flips == []


def test_imports_keep_their_direction() -> None:
    pytest.importorskip("importlinter", reason="import-linter is not installed (extra: dev)")
    command = "from importlinter.cli import lint_imports_command as main; main()"
    done = subprocess.run(
        [sys.executable, "-c", command, "--no-cache", "--no-logo"],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("roots", "unwanted"),
    [
        (["cryoscope.conventions", "cryoscope.data", "cryoscope.io"], ["napari", "qtpy", "torch"]),
        (["cryoscope.physics", "cryoscope.models", "cryoscope.training"], ["napari", "qtpy"]),
        (["cryoscope.cli"], ["napari", "qtpy", "torch"]),
    ],
    ids=["records and files", "engine", "command line"],
)
def test_floors_start_light(roots: list[str], unwanted: list[str]) -> None:
    assert _loaded_after_importing(roots, unwanted) == ""


def test_the_window_starts_without_torch() -> None:
    pytest.importorskip("napari", reason="napari is not installed (extra: app)")
    assert _loaded_after_importing(["cryoscope.app"], ["torch"]) == ""


def _loaded_after_importing(roots: list[str], unwanted: list[str]) -> str:
    done = subprocess.run(
        [sys.executable, "-c", _WALK_AND_REPORT.format(roots=roots, unwanted=unwanted)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def _direct_requirements() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    found = [Requirement(line) for group in groups for line in group]
    return [requirement for requirement in found if requirement.name != project["name"]]


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_every_requirement_has_one_tested_version(python: str) -> None:
    pins: dict[str, list[str]] = {}
    for line in (ROOT / "packaging" / "constraints.txt").read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            pin = Requirement(line)
            if _applies(pin, python):
                version = str(pin.specifier).removeprefix("==")
                pins.setdefault(canonicalize_name(pin.name), []).append(version)
    for requirement in filter(lambda one: _applies(one, python), _direct_requirements()):
        versions = pins.get(canonicalize_name(requirement.name), [])
        assert len(versions) == 1, requirement.name
        assert requirement.specifier.contains(versions[0]), requirement.name


def _applies(requirement: Requirement, python: str) -> bool:
    environment = {"python_version": python, "python_full_version": f"{python}.9"}
    return requirement.marker is None or requirement.marker.evaluate(environment)


def test_no_file_names_a_package_host_but_the_one_of_pytorch() -> None:
    hosts = re.findall(
        r"https?://([^/\s\"']+)", (ROOT / "packaging" / "environment.sh").read_text("utf-8")
    )
    assert hosts == ["download.pytorch.org"]


def test_qt_gives_back_what_it_borrows(qapp: object) -> None:
    """PySide6 6.12.0 takes references of None and True away on Python 3.11, until it aborts."""
    if sys.version_info >= (3, 12):
        pytest.skip("None and True are immortal since Python 3.12")
    from qtpy.QtCore import QObject, Signal

    class Sender(QObject):
        sent = Signal(int)

    sender = Sender()
    before = sys.getrefcount(None), sys.getrefcount(True)
    for number in range(300):
        sender.sent.emit(number)
    after = sys.getrefcount(None), sys.getrefcount(True)
    assert after[0] > before[0] - 200
    assert after[1] > before[1] - 200
