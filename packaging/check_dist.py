"""Looks into built wheels and sdists for what is missing or too much: ``check_dist.py FOLDER``."""

from __future__ import annotations

import configparser
import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
UNWANTED = ("__pycache__", ".pyc", ".venv", "cryoscope-demo", "artefacts", ".git/")
LARGEST_BYTES = 20_000_000


def main(folder: Path) -> int:
    """0 when everything is as it should be."""
    wrong: list[str] = []
    for kind, look in (("cryoscope-*.whl", wheel), ("cryoscope-*.tar.gz", sdist)):
        files = sorted(folder.glob(kind))
        wrong += look(files[-1]) if files else [f"there is no {kind} in {folder}"]
    plugins = {
        "napari_cryoscope-*.whl": ("napari.manifest", "napari_cryoscope/napari.yaml"),
        "cryoscope_hello_model-*.whl": ("cryoscope.models", "hello_model/model.py"),
    }
    for kind, (group, file) in plugins.items():
        for path in sorted(folder.glob(kind))[-1:]:
            wrong += plugin(path, group, file)
    for line in wrong:
        print(line, file=sys.stderr)
    print("the distributions are as they should be" if not wrong else "not to be shipped")
    return 1 if wrong else 0


def wheel(path: Path) -> list[str]:
    """Every module and resource, no test, the command, the licence."""
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        points = entry_points(archive)
    modules = {p.relative_to(ROOT).as_posix() for p in (ROOT / "cryoscope").rglob("*.py")}
    resources = {
        "cryoscope_resources/" + p.relative_to(ROOT / "resources").as_posix()
        for p in (ROOT / "resources").rglob("*")
        if p.is_file()
    }
    needed = modules | resources | {"cryoscope/py.typed"}
    wrong = [f"{path.name} lacks {name}" for name in sorted(needed - names)]
    wrong += [f"{path.name} has {n}" for n in sorted(names) if n.startswith(("tests/", "plugins/"))]
    if not any(name.endswith("licenses/LICENSE") for name in names):
        wrong.append(f"{path.name} lacks its licence")
    if points.get("console_scripts", {}).get("cryoscope") != "cryoscope.cli:main":
        wrong.append(f"{path.name} lacks the command")
    return wrong + general(path, names)


def sdist(path: Path) -> list[str]:
    """What a packager needs: sources, tests, resources, build scripts."""
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    needed = ("pyproject.toml", "LICENSE", "README.md", "CHANGELOG.md", "cryoscope/conventions.py")
    needed += ("tests/conftest.py", "resources/structures/1ake_A.pdb", "packaging/run.sh")
    return [f"{path.name} lacks {n}" for n in needed if n not in names] + general(path, names)


def plugin(path: Path, group: str, file: str) -> list[str]:
    """Its entry point and its file."""
    with zipfile.ZipFile(path) as archive:
        names, points = set(archive.namelist()), entry_points(archive)
    wrong = [] if file in names else [f"{path.name} lacks {file}"]
    return wrong + ([] if points.get(group) else [f"{path.name} lacks the entry point {group}"])


def entry_points(archive: zipfile.ZipFile) -> dict[str, dict[str, str]]:
    """Those of a wheel, by group and name."""
    parser = configparser.ConfigParser(delimiters=("=",))
    for name in archive.namelist():
        if name.endswith(".dist-info/entry_points.txt"):
            parser.read_string(archive.read(name).decode("utf-8"))
    return {section: dict(parser[section]) for section in parser.sections()}


def general(path: Path, names: set[str]) -> list[str]:
    """Leavings of work, and size."""
    wrong = [f"{path.name} has {n}" for n in sorted(names) if any(bad in n for bad in UNWANTED)]
    if path.stat().st_size > LARGEST_BYTES:
        wrong.append(f"{path.name} has {path.stat().st_size / 1e6:.0f} MB")
    return wrong


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1])))
