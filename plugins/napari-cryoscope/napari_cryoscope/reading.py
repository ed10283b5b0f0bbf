"""Readers: particles, runs and projects into the panels; maps and stacks as image layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import mrcfile
from napari import current_viewer

from cryoscope import conventions
from cryoscope.data import InputError
from cryoscope.io.cryodrgn_run import CryodrgnRun
from cryoscope.io.mrc import read_volume
from cryoscope.io.mrc_header import read_header
from cryoscope.io.particles_file import read_any
from cryoscope.io.project_folder import ProjectFolder

Paths = str | Sequence[str]
LayerData = list[tuple[Any, ...]]
#: What a reader answers that has opened a file but makes no layer of it.
NO_LAYER: LayerData = [(None,)]
PARTICLES = (".star", ".cs")
#: Images shown of a particle file where there is no window for the panels.
PREVIEWED = 100


def project_reader(path: Paths) -> Callable[[Paths], LayerData] | None:
    """A reader if every path is particles, a run or a project; else None."""
    return _read_project if all(_is_ours(one) for one in _each(path)) else None


def map_reader(path: Paths) -> Callable[[Paths], LayerData] | None:
    """A reader of maps and image stacks; None where another plugin reads them."""
    paths = [str(one) for one in _each(path)]
    if any(_others_read(one) for one in paths):
        return None
    return _read_maps if all(Path(one).is_file() for one in paths) else None


def _each(path: Paths) -> list[Path]:
    return [Path(path)] if isinstance(path, str) else [Path(one) for one in path]


def _is_ours(path: Path) -> bool:
    if not path.is_dir():
        return path.suffix.lower() in PARTICLES
    ours = (path / "run.json").is_file() or ProjectFolder.is_one(path)
    return ours or CryodrgnRun.is_one(path)


def _others_read(path: str) -> bool:
    """Whether a plugin that says so by the file's name (not by ``*``) reads it too."""
    from npe2 import PluginManager

    return any(
        reader.plugin_name != "napari-cryoscope" and "*" not in reader.filename_patterns
        for reader in PluginManager.instance().iter_compatible_readers([path])
    )


def _read_project(path: Paths) -> LayerData:
    if current_viewer() is None:
        return [layer for one in _each(path) for layer in _preview(one)]
    from cryoscope.session import actions
    from napari_cryoscope.commands import open_panels

    actions.open_files(open_panels().session, _each(path))
    return NO_LAYER


def _preview(path: Path) -> LayerData:
    """The first images of a particle file, for scripts that read without a viewer."""
    if path.is_dir():
        raise InputError(
            "a run or a project opens in Cryoscope's panels", file=path, cure="Open it in a viewer"
        )
    particles = read_any(path)
    images = particles.images.read(range(min(PREVIEWED, len(particles))))
    return [(images, {"name": path.stem, "scale": (1.0, *[particles.pixel_size_A] * 2)}, "image")]


def _read_maps(path: Paths) -> LayerData:
    return [_stack(one) if _is_stack(one) else _map(one) for one in _each(path)]


def _is_stack(path: Path) -> bool:
    return path.suffix.lower() == ".mrcs" or read_header(path).shape[0] == 1


def _map(path: Path) -> tuple[Any, ...]:
    volume = read_volume(path)
    attributes = {
        "name": path.stem,
        "scale": (volume.voxel_size_A,) * 3,
        "translate": tuple(conventions.zyx_from_xyz(volume.origin_A)),
        "units": ("angstrom",) * 3,
        "rendering": "attenuated_mip",
        "metadata": {"file": str(path)},
    }
    return volume.values, attributes, "image"


def _stack(path: Path) -> tuple[Any, ...]:
    """Images as they are on disk: only those that are looked at are read."""
    read_header(path)
    with mrcfile.mmap(path, permissive=True, mode="r") as file:
        pixel_A = float(file.voxel_size.x)
        images = file.data
    scale = (1.0, pixel_A, pixel_A) if pixel_A > 0 else (1.0, 1.0, 1.0)
    units = ("pixel", "angstrom", "angstrom") if pixel_A > 0 else ("pixel",) * 3
    attributes = {"name": path.stem, "scale": scale[-images.ndim :], "units": units[-images.ndim :]}
    return images, attributes, "image"
