"""Puts a distribution on a path as an installer would: its code, metadata and entry points."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path


def install_source(project: Path, target: Path) -> str:
    """Install a project of plugins/ without a build tool or a network; the name it has then."""
    described = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))
    meta = described["project"]
    for package in described["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]:
        shutil.copytree(
            project / package,
            target / Path(package).name,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
    write_metadata(target, meta["name"], meta["version"], meta.get("entry-points", {}))
    return str(meta["name"])


def write_metadata(
    target: Path, name: str, version: str, entry_points: dict[str, dict[str, str]]
) -> None:
    """The ``.dist-info`` folder of a distribution."""
    folder = target / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = []
    for group, points in entry_points.items():
        lines += [f"[{group}]", *(f"{key} = {value}" for key, value in points.items()), ""]
    (folder / "entry_points.txt").write_text("\n".join(lines))
