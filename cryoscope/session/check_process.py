"""``python -m cryoscope.session.check_process FOLDER``: a selection checked in its own process.

Reads what `cryoscope.session.check_handover` left in the folder. Says what it does as lines of JSON
on standard output: ``{"stage": "begun"}``, ``{"progress": [text, done, total]}``, ``{"stage":
"preview"}`` and ``{"stage": "done"}`` when those parts of the answer lie in the folder, or
``{"refused": {...}}`` and exit code 2 for input that cannot be used.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryoscope.data import InputError, Volume
from cryoscope.session.check_handover import (
    CheckRequest,
    leave_answer,
    pick_up,
    wait_for_decoded,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoscope.physics.map_fsc import FSCCurves
    from cryoscope.session.reconstruct import Reconstruction
    from cryoscope.session.view_averages import ViewAverages

PREVIEW, DONE = "preview", "done"
_Arrays = dict[str, "NDArray[Any]"]


def main(folder: Path) -> int:
    """Check; the exit code."""
    _say(stage="begun")
    if hasattr(os, "nice"):
        os.nice(5)  # the window and the training come first
    try:
        _check(pick_up(folder), folder)
    except InputError as error:
        what = {"problem": error.problem, "file": error.file, "row": error.row, "cure": error.cure}
        _say(refused=what)
        return 2
    return 0


def _check(request: CheckRequest, folder: Path) -> None:
    from cryoscope.session.check_measures import latent_associations, views_of
    from cryoscope.session.reconstruct import reconstruct

    particles = request.particles
    preview = reconstruct(
        particles,
        request.few,
        box_size_px=request.preview_px,
        control=False,
        progress=_progress("Preview"),
    )
    views = asdict(views_of(particles, request.rows))
    counts = {name: views.pop(name) for name in ("selected", "everyone")}
    leave_answer(folder, PREVIEW, _maps(preview) | counts, _numbers(preview) | {"views": views})
    _say(stage=PREVIEW)
    found = reconstruct(
        particles,
        request.rows,
        box_size_px=request.box_size_px,
        control=request.control,
        out=request.out,
        progress=_progress("Reconstructing"),
    )
    arrays, record = _maps(found), _numbers(found)
    notes: list[str] = []
    decoded = wait_for_decoded(folder)
    arrays |= _decoded_fsc(found, decoded, notes, record)
    averages = _averages(request, found, decoded, notes)
    if averages is not None:
        arrays |= _of_averages(averages, record)
    followed = latent_associations(particles, request.latents)
    record |= {"notes": notes, "associations": [asdict(one) for one in followed]}
    leave_answer(folder, DONE, arrays, record)
    _say(stage=DONE)


def _maps(found: Reconstruction) -> _Arrays:
    curves = {"fsc": found.fsc, "control": found.control}
    arrays: _Arrays = {"map": found.full.values}
    for name, curve in curves.items():
        if curve is not None:
            arrays |= _of_curves(name, curve)
    return arrays


def _of_curves(name: str, curves: FSCCurves) -> _Arrays:
    return {f"{name}-frequency": curves.frequency_per_A, f"{name}-correlation": curves.corrected}


def _numbers(found: Reconstruction) -> dict[str, Any]:
    return {
        "voxel_size_A": found.full.voxel_size_A,
        "half_counts": found.half_counts,
        "fsc_resolution_A": found.fsc.resolution_A,
        "control_resolution_A": None if found.control is None else found.control.resolution_A,
    }


def _decoded_fsc(
    found: Reconstruction, decoded: Volume | None, notes: list[str], record: dict[str, Any]
) -> _Arrays:
    """The correlation with the decoded map, where there is one."""
    from cryoscope.session.check_measures import map_to_map

    curve = map_to_map(found, decoded, notes)
    if curve is None:
        return {}
    record |= {"decoded_resolution_A": curve.resolution_A, "decoded_threshold": curve.threshold}
    return {
        "decoded-frequency": curve.frequency_per_A,
        "decoded-correlation": curve.correlation,
    }


def _averages(
    request: CheckRequest, found: Reconstruction, decoded: Volume | None, notes: list[str]
) -> ViewAverages | None:
    """Averages by view, written beside the maps; None, and a note, where no view has enough."""
    from cryoscope.session.check_measures import same_field_of_view
    from cryoscope.session.view_average_files import write_view_averages
    from cryoscope.session.view_averages import average_by_view

    maps: dict[str, Volume] = {}
    if decoded is not None and same_field_of_view(found.full, decoded):
        maps["decoded"] = decoded
    maps["reconstructed"] = found.full
    say = _progress("Averages by view")
    try:
        averages = average_by_view(
            request.particles,
            request.rows,
            maps=maps,
            contrast=found.contrast,
            progress=lambda done, total: say("averaging", done, total),
        )
    except InputError as error:
        notes.append(f"No averages by view: {error}")
        return None
    write_view_averages(averages, request.out)
    return averages


def _of_averages(averages: ViewAverages, record: dict[str, Any]) -> _Arrays:
    names = list(averages.projections)
    record |= {"view_maps": names, "view_pixel_size_A": averages.pixel_size_A}
    arrays: _Arrays = {
        f"view-{name}": getattr(averages, name)
        for name in ("images", "counts", "used", "azimuth_deg", "elevation_deg")
    }
    for name in names:
        arrays[f"view-projection-{name}"] = averages.projections[name]
        arrays[f"view-agreement-{name}"] = averages.agreement[name]
    return arrays


def _progress(text: str) -> Callable[[str, int, int], None]:
    return lambda stage, done, total: _say(progress=[f"{text}: {stage}", done, total])


def _say(**line: object) -> None:
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        sys.exit(main(Path(sys.argv[1])))
