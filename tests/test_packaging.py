"""What is shipped, as far as it can be looked at without building it."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PACKAGING = ROOT / "packaging"
CONDA_NAMES = {"torch": "pytorch", "pyside6-essentials": "pyside6"}


def _project() -> dict[str, object]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def _needed(lines: list[str]) -> dict[str, str]:
    found = {}
    for line in lines:
        one = Requirement(line)
        if one.marker is None or one.marker.evaluate({"python_version": "3.12", "extra": ""}):
            name = canonicalize_name(one.name)
            found[CONDA_NAMES.get(name, name)] = str(one.specifier)
    return found


def _conda(package: str) -> dict[str, str]:
    recipe = yaml.safe_load((PACKAGING / "conda" / "recipe.yaml").read_text("utf-8"))
    (output,) = [o for o in recipe["outputs"] if o["package"]["name"] == package]
    lines = [line for line in output["requirements"]["run"] if "${{" not in line]
    return {line.split()[0]: str(Requirement(line.replace(" ", "", 1)).specifier) for line in lines}


def test_the_conda_recipe_needs_what_the_package_needs() -> None:
    assert _conda("cryoscope") == _needed(_project()["dependencies"])  # type: ignore[arg-type]


def test_the_conda_recipe_of_the_window_needs_what_the_window_needs() -> None:
    extras = _project()["optional-dependencies"]
    wanted = _needed([*extras["app"], *extras["umap"]])  # type: ignore[index]
    conda = _conda("cryoscope-app")
    assert set(conda) == set(wanted)
    # One recipe for all Pythons: it also leaves out what aborts on the oldest.
    assert conda.pop("pyside6").startswith(("!=", ">="))
    assert conda == {name: text for name, text in wanted.items() if name != "pyside6"}


def test_the_recipes_name_the_version_of_the_code() -> None:
    from cryoscope import __version__

    recipe = yaml.safe_load((PACKAGING / "conda" / "recipe.yaml").read_text("utf-8"))
    assert recipe["context"]["version"] == __version__


def test_containers_install_the_tested_torch() -> None:
    script = (PACKAGING / "environment.sh").read_text("utf-8")
    torch = script.partition("torch_version=")[2].split()[0]
    assert f"TORCH_VERSION={torch}" in (PACKAGING / "container" / "Dockerfile").read_text("utf-8")
    assert f"torch=={torch}" in (PACKAGING / "container" / "cryoscope.def").read_text("utf-8")


def test_scripts_are_read_by_sh() -> None:
    for script in [*PACKAGING.glob("*.sh"), *PACKAGING.glob("bundle/*.sh")]:
        done = subprocess.run(["sh", "-n", str(script)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_the_bundle_runs_only_its_own_modules() -> None:
    launch = str(PACKAGING / "bundle" / "launch.py")
    for words, code, said in (
        (["-m", "cryoscope", "--version"], 0, "cryoscope "),
        (["--version"], 0, "cryoscope "),
        (["-m", "http.server"], 1, "not a Python"),
    ):
        done = subprocess.run(
            [sys.executable, launch, *words], capture_output=True, text=True, cwd=ROOT,
            env=_environment(), timeout=120,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        assert said in done.stdout + done.stderr


def _environment() -> dict[str, str]:
    import os

    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def test_licences_are_collected(tmp_path: Path) -> None:
    out = tmp_path / "THIRD_PARTY.txt"
    command = [sys.executable, str(PACKAGING / "licences.py"), "cryoscope", "--headless"]
    done = subprocess.run(
        [*command, "--out", str(out)], capture_output=True, text=True, cwd=tmp_path, timeout=120
    )
    assert done.returncode == 0, done.stderr
    text = out.read_text("utf-8")
    for name in ("numpy", "torch", "gemmi"):
        assert f"\n{name} " in text
    assert "napari" not in text.partition("====")[0]


@pytest.mark.parametrize("name", ["cryoscope.svg", "cryoscope.png"])
def test_there_is_an_icon(name: str) -> None:
    from cryoscope.io.resources import resource_path

    assert resource_path(f"icons/{name}").stat().st_size > 1000


def test_the_desktop_entry_is_complete() -> None:
    text = (PACKAGING / "bundle" / "cryoscope.desktop").read_text("utf-8")
    lines = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    assert {"Type", "Name", "Exec", "Icon", "Categories"} <= set(lines)
