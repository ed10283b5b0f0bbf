"""A check as it is left in its folder, so that it can be shown again: curves, views, averages.

``check.npz`` holds the small arrays and, as JSON, the numbers; the maps are ``map.mrc`` and
``decoded.mrc`` beside it.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import InputError, Provenance, Structure, Volume
from cryoscope.session.check_answers import associations_in, averages_in, curve_of, views_in
from cryoscope.session.check_records import Check, Curve

if TYPE_CHECKING:
    from cryoscope.session.contours import Contour
    from cryoscope.session.records import ShownState

ARRAYS, MAP, DECODED = "check.npz", "map.mrc", "decoded.mrc"
_CURVES = ("fsc", "control", "decoded")
_VIEWS = ("images", "counts", "used", "azimuth_deg", "elevation_deg")
_MAPS = ("decoded", "reconstructed")
_NAMES = (
    "record",
    *(f"{curve}-{part}" for curve in _CURVES for part in ("frequency", "correlation")),
    *("selected", "everyone", "state-z", "state-coords_A", "state-displacement_A"),
    *(f"view-{name}" for name in _VIEWS),
    *(f"view-{kind}-{name}" for kind in ("projection", "agreement") for name in _MAPS),
)
_CURE = "Press Reconstruct to make it again."
_Arrays = dict[str, NDArray[Any]]


def write_shown_again(check: Check, folder: Path) -> None:
    """Write what :func:`read_check` needs beside the maps (InputError if that fails)."""
    from cryoscope.io.array_archive import write_arrays
    from cryoscope.io.json_file import plain

    views = asdict(check.views)
    arrays: _Arrays = {name: views.pop(name) for name in ("selected", "everyone")}
    record: dict[str, Any] = {
        "selection": check.selection,
        "particle_count": check.particle_count,
        "half_counts": check.half_counts,
        "views": views,
        "associations": [asdict(one) for one in check.associations],
        "notes": check.notes,
    }
    curves = (check.fsc, check.control, check.decoded_fsc)
    for name, curve in zip(_CURVES, curves, strict=True):
        if curve is not None:
            arrays[f"{name}-frequency"] = curve.frequency_per_A
            arrays[f"{name}-correlation"] = curve.correlation
            record |= {f"{name}_resolution_A": curve.resolution_A}
            record |= {f"{name}_threshold": curve.threshold}
    state, averages = check.decoded, check.averages
    if state is not None:
        arrays |= {"state-z": state.z, "state-coords_A": state.coords_A}
        arrays["state-displacement_A"] = state.displacement_A
        source = None if state.density is None else state.density.provenance
        record["state"] = {"label": state.label, "provenance": source and asdict(source)}
    if averages is not None:
        names = [name for name in averages.projections if name in _MAPS]
        record |= {"view_maps": names, "view_pixel_size_A": averages.pixel_size_A}
        arrays |= {f"view-{name}": getattr(averages, name) for name in _VIEWS}
        for name in names:
            arrays[f"view-projection-{name}"] = averages.projections[name]
            arrays[f"view-agreement-{name}"] = averages.agreement[name]
    text = json.dumps(record, default=plain).encode()
    arrays["record"] = np.frombuffer(text, dtype=np.uint8)
    write_arrays(folder / ARRAYS, {name: np.ascontiguousarray(one) for name, one in arrays.items()})


def read_check(folder: Path, contour: Contour, reference: Structure | None) -> Check:
    """The check that was written into a folder.

    Parameters
    ----------
    contour
        At which the decoded state is drawn.
    reference
        One atom per bead of the run, where it is known.

    Raises
    ------
    InputError
        If files of it are gone or damaged.
    """
    from cryoscope.io.array_archive import read_arrays
    from cryoscope.io.mrc import read_volume

    for name in (MAP, ARRAYS):
        if not (folder / name).is_file():
            raise InputError("the files of the last reconstruction are gone", file=folder / name,
                             cure=_CURE)  # fmt: skip
    arrays = read_arrays(folder / ARRAYS, _NAMES, what="reconstruction", cure=_CURE)
    try:
        record = json.loads(arrays.pop("record").tobytes())
        _refuse_odd(arrays)
        selection = str(record["selection"])
        halves = (int(record["half_counts"][0]), int(record["half_counts"][1]))
        source = Provenance("reconstructed", detail=selection, particle_count=sum(halves))
        return Check(
            selection=selection,
            stage="done",
            particle_count=int(record["particle_count"]),
            half_counts=halves,
            map=_map(read_volume(folder / MAP), source),
            fsc=curve_of(arrays, record, "fsc"),
            control=_curve(arrays, record, "control"),
            decoded_fsc=_curve(arrays, record, "decoded"),
            decoded=_decoded(arrays, record, folder, contour, reference),
            views=views_in(arrays, record),
            averages=averages_in(arrays, record),
            associations=associations_in(record),
            notes=tuple(str(note) for note in record["notes"]),
            folder=folder,
        )
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise InputError(
            "the record of the last reconstruction is damaged", file=folder / ARRAYS, cure=_CURE
        ) from error


def _curve(arrays: _Arrays, record: dict[str, Any], name: str) -> Curve | None:
    return curve_of(arrays, record, name) if f"{name}-correlation" in arrays else None


def _map(volume: Volume, source: Provenance) -> Volume:
    return Volume(volume.values, volume.voxel_size_A, volume.origin_A, source)


def _decoded(
    arrays: _Arrays,
    record: dict[str, Any],
    folder: Path,
    contour: Contour,
    reference: Structure | None,
) -> ShownState | None:
    """The state decoded at the centre; without its map where that file is gone."""
    from cryoscope.io.mrc import read_volume
    from cryoscope.session.shown import shown_again

    if "state-z" not in arrays:
        return None
    state, density = record["state"], None
    if state["provenance"] is not None and (folder / DECODED).is_file():
        said = {**state["provenance"], "z": tuple(float(one) for one in arrays["state-z"])}
        density = _map(read_volume(folder / DECODED), Provenance(**said))
    return shown_again(
        arrays["state-z"],
        arrays["state-coords_A"],
        arrays["state-displacement_A"],
        density,
        str(state["label"]),
        reference=reference,
        contour=contour,
    )


def _refuse_odd(arrays: _Arrays) -> None:
    """Raise ValueError for arrays that would not do for drawing."""
    shapes = {name: one.shape for name, one in arrays.items()}
    kinds = {one.dtype.kind for one in arrays.values()}
    curves = [name.removesuffix("-frequency") for name in shapes if name.endswith("-frequency")]
    same = all(
        len(shapes[f"{one}-frequency"]) == 1
        and shapes[f"{one}-frequency"] == shapes[f"{one}-correlation"]
        and shapes[f"{one}-frequency"][0] > 1
        for one in curves
    )
    views = len(shapes["selected"]) == 2 and shapes["selected"] == shapes["everyone"]
    pictures = [shape for name, shape in shapes.items() if name.startswith("view-")]
    count = shapes.get("view-images", (0,))[0]
    square = all(
        len(shape) in (1, 3) and shape[0] == count and shape[1:2] == shape[2:] for shape in pictures
    )
    beads = shapes.get("state-coords_A", (0, 3))
    state = len(beads) == 2 and beads[1] == 3
    state = state and shapes.get("state-displacement_A", (beads[0],)) == (beads[0],)
    finite = all(np.isfinite(arrays[name]).all() for name in shapes if name.startswith("state-"))
    if kinds - set("iuf") or not (same and views and square and state and finite):
        raise ValueError("arrays that do not belong together")
