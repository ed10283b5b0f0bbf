"""Maps in MRC/CCP4 files."""

from __future__ import annotations

import warnings
from pathlib import Path

import mrcfile
import numpy as np
from numpy.typing import NDArray

from cryoscope.conventions import xyz_from_zyx
from cryoscope.data import InputError, Provenance, Volume
from cryoscope.io.atomic import atomic_path, explain_os_errors
from cryoscope.io.mrc_header import read_header
from cryoscope.io.reader_extensions import read_with_extension

_SAME_VOXEL = 5e-3
_LABEL_LENGTH = 80


def read_volume(path: str | Path, *, voxel_size_A: float | None = None) -> Volume:
    """Read a map.

    The axes may lie in the file in any order (``mapc, mapr, maps``); the map need not be a cube.
    The position of the first sample is the header's ``origin``, or, where that is zero,
    ``nstart`` times the voxel size, as ChimeraX reads it.

    Parameters
    ----------
    path
        An ``.mrc`` or ``.map`` file; a missing ``MAP`` stamp is tolerated.
    voxel_size_A
        Voxel size to use in place of the header's.

    Raises
    ------
    InputError
        Unreadable or truncated file; no voxel size in the header, or different ones along x, y
        and z, and none given; NaN or infinite samples.
    """
    path = Path(path)
    found: Volume | None = read_with_extension(path, "map")
    if found is not None:
        return found
    read_header(path)  # refuses a size that the file does not have before mrcfile allocates it
    with explain_os_errors(path, action="read"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # mrcfile's, about missing stamps
        try:
            with mrcfile.open(path, permissive=True) as file:
                header, data = file.header.copy(), np.array(file.data, dtype=np.float32)
        except (ValueError, TypeError, ZeroDivisionError) as error:
            raise InputError(
                f"cannot be read as a map ({error})", file=path, cure="Write it anew"
            ) from error
    if data.ndim != 3 or not np.isfinite(data).all():
        raise InputError(
            "the map holds NaN or infinite samples" if data.ndim == 3 else "this is not a 3-D map",
            file=path,
            cure="Give a finite 3-D map",
        )
    axes = _axes_zyx(header, path)
    if voxel_size_A is None:
        voxel_size_A = _voxel_size_A(header, path)
    elif not voxel_size_A > 0 or not np.isfinite(voxel_size_A):
        raise InputError(f"a voxel size of {voxel_size_A} A", file=path, cure="Give one above 0")
    values = np.ascontiguousarray(data.transpose(axes))
    origin_A = _origin_A(header, axes, voxel_size_A)
    return Volume(values, float(voxel_size_A), origin_A, Provenance("file", detail=path.name))


def write_volume(path: str | Path, volume: Volume) -> None:
    """Write a map with its voxel size, its origin and a label that says how it was made.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    path = Path(path)
    values = np.ascontiguousarray(volume.values, dtype=np.float32)
    label = f"Cryoscope: {volume.provenance.label()}".encode("ascii", "replace").decode("ascii")
    with (
        atomic_path(path, needed_bytes=values.nbytes) as temporary,
        mrcfile.new(temporary, overwrite=True) as file,
    ):
        file.set_data(values)
        file.set_volume()
        file.voxel_size = volume.voxel_size_A
        header = file.header
        header.origin.x, header.origin.y, header.origin.z = volume.origin_A
        header.label[0] = label[:_LABEL_LENGTH]
        header.nlabl = 1


def _axes_zyx(header: np.recarray, path: Path) -> tuple[int, int, int]:
    """The file's array axes that run along z, y and x."""
    labels = [int(header[name]) for name in ("maps", "mapr", "mapc")]
    if labels == [0, 0, 0]:  # written by programs older than the fields
        return 0, 1, 2
    if sorted(labels) != [1, 2, 3]:
        raise InputError(
            f"the axis order in the header (mapc, mapr, maps = {labels[::-1]}) is no order",
            file=path,
            cure="Write the map anew, e.g. with ChimeraX",
        )
    return labels.index(3), labels.index(2), labels.index(1)


def _voxel_size_A(header: np.recarray, path: Path) -> float:
    cure = "Give the voxel size in A (voxel_size_A)"
    grid = np.array([int(header[name]) for name in ("mx", "my", "mz")])
    cell_A = np.array([float(header["cella"][axis]) for axis in "xyz"])
    angles_deg = np.array([float(header["cellb"][axis]) for axis in ("alpha", "beta", "gamma")])
    if (grid <= 0).any() or not (cell_A > 0).all() or not np.isfinite(cell_A).all():
        raise InputError("the header has no voxel size (it is zero)", file=path, cure=cure)
    sizes_A = cell_A / grid
    if np.ptp(sizes_A) > _SAME_VOXEL * sizes_A.mean():
        text = " x ".join(f"{size:.4g}" for size in sizes_A)
        raise InputError(f"the voxels are no cubes ({text} A)", file=path, cure=cure)
    if (np.abs(angles_deg - 90) > 0.1).any() and angles_deg.any():
        raise InputError(
            "the axes of the map are not at right angles",
            file=path,
            cure="Resample it on a cubic grid, e.g. with ChimeraX",
        )
    return round(float(sizes_A.mean()), 6)


def _origin_A(
    header: np.recarray, axes: tuple[int, int, int], voxel_size_A: float
) -> tuple[float, float, float]:
    origin_A: NDArray[np.floating] = np.array([float(header["origin"][axis]) for axis in "xyz"])
    if not origin_A.any() or not np.isfinite(origin_A).all():
        stored = [int(header[name]) for name in ("nzstart", "nystart", "nxstart")]
        start_zyx = np.array([stored[axis] for axis in axes])
        origin_A = xyz_from_zyx(start_zyx) * voxel_size_A
    x, y, z = origin_A.tolist()
    return x, y, z
