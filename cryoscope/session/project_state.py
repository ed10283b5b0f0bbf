"""From the session to what a project file says, and back."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from cryoscope.data import Embedding, InputError, Latents, Selection
from cryoscope.data.trajectory_path import TrajectoryPath
from cryoscope.session.contours import ANY_KIND, UNASKED_SIGMA, Contour, contour_of
from cryoscope.session.covariates import colour_by, covariate_choices
from cryoscope.session.latent_records import LatentView
from cryoscope.session.latent_views import show_view
from cryoscope.session.path_folder import paths_that_fit
from cryoscope.session.project_records import (
    SavedCheck,
    SavedPicture,
    SavedRun,
    SavedSession,
    SavedView,
)
from cryoscope.session.records import RunView
from cryoscope.session.residues import COLOURS_BY, measure_motion
from cryoscope.session.scene import Scene
from cryoscope.training.config import config_to_json

if TYPE_CHECKING:
    from cryoscope.session.jobs import Job
    from cryoscope.session.state import Session

_Named = TypeVar("_Named", Selection, TrajectoryPath)


def captured(session: Session, folder: Path) -> SavedSession:
    """What a project in ``folder`` shall say of the session now."""
    run, particles, structure, config, comparison = session.snapshot(
        "run", "particles", "structure", "config", "comparison"
    )
    compared = () if comparison is None else comparison.runs
    files = {
        "particles": None if particles is None else place(particles.file, folder),
        "structure": None if structure is None else place(structure.path, folder),
        "consensus_map": place(Path(config.data.consensus_map).absolute(), folder)
        if config.data.consensus_map
        else None,
    }
    return SavedSession.model_validate(
        {
            "run": None if run is None else place(run.folder, folder, run.run_id),
            "compared": [place(one.run.folder, folder) for one in compared],
            "files": files,
            "config": config_to_json(config),
            "check": _captured_check(session, folder),
            "view": _captured_view(session),
        }
    )


def place(path: Path, folder: Path, run_id: str = "") -> SavedRun:
    """Where something lies, absolutely and as seen from a project's folder."""
    try:
        beside = os.path.relpath(path, folder)
    except ValueError:  # on another drive
        beside = ""
    return SavedRun(folder=str(path), beside=beside, run_id=run_id)


def found_at(saved: SavedRun, folder: Path) -> Path:
    """Where something that was open is now: if it moved together with the project, there.

    Raises
    ------
    InputError
        If it is in neither place.
    """
    beside = folder / saved.beside if saved.beside else None
    for path in (beside, Path(saved.folder)):
        if path is not None and path.exists():
            return Path(os.path.normpath(path))
    raise InputError(
        "it was open in this project and is gone",
        file=saved.folder,
        cure="Put it back and open the project again; what the project keeps of it is safe.",
    )


def _captured_view(session: Session) -> dict[str, Any]:
    names = (
        "latents", "embedding", "latent_view", "colouring", "active_selection", "cursor_xy",
        "iso_sigma", "contours", "active_path", "path_frame", "path_marks", "marked_residue",
        "backbone_colour", "scene",
    )  # fmt: skip
    values = dict(zip(names, session.snapshot(*names), strict=True))
    latents, embedding, scene = (values.pop(name) for name in ("latents", "embedding", "scene"))
    view, colouring = values.pop("latent_view"), values.pop("colouring")
    contours = values.pop("contours")
    cursor = values.pop("cursor_xy")
    return {
        **values,
        "kind": view.kind,
        "x": view.x,
        "y": view.y,
        # A difference is one only beside the state that it is to: see ``restore_difference``.
        "scene": {
            "layout": scene.layout,
            "backbone": scene.backbone,
            "surface": "plain" if scene.surface == "difference" else scene.surface,
            "against": scene.against if scene.surface == "difference" else "",
        },
        "picture": _captured_picture(latents, embedding),
        "colouring": "" if colouring is None else colouring.name,
        "automatic": ANY_KIND not in contours and values["iso_sigma"] == UNASKED_SIGMA,
        "contours": {kind: (one.hold, float(one.amount)) for kind, one in contours.items()},
        "cursor_xy": None if cursor is None else tuple(float(value) for value in cursor),
        "path_marks": [int(row) for row in values["path_marks"]],
    }


def _captured_check(session: Session, folder: Path) -> dict[str, Any] | None:
    check, shown = session.snapshot("check", "shown")
    if check is None or check.folder is None or check.stage != "done":
        return None
    looking = shown is not None and shown.density is check.map
    return {**place(check.folder, folder).model_dump(), "looking": looking}


def _captured_picture(
    latents: Latents | None, embedding: Embedding | None
) -> dict[str, Any] | None:
    if latents is None or embedding is None or embedding.axes is None or embedding.centre is None:
        return None
    return {
        "embedding_id": embedding.embedding_id,
        "axis_labels": embedding.axis_labels,
        "centre": embedding.centre.tolist(),
        "axes": embedding.axes.tolist(),
        "run_id": latents.run_id,
        "epoch": latents.epoch,
    }


def restore_contours(session: Session, view: SavedView) -> None:
    """Draw surfaces at the levels that they were drawn at."""
    found = {kind: Contour(hold, amount) for kind, (hold, amount) in view.contours.items()}
    if not view.automatic:
        found.setdefault(ANY_KIND, Contour("sigma", view.iso_sigma))
    session.change(iso_sigma=view.iso_sigma, contours=found)


def restore_check(session: Session, saved: SavedCheck | None, folder: Path) -> bool:
    """Show the last reconstruction again; whether its map is what was looked at. For jobs.

    Raises
    ------
    InputError
        If its files are gone or damaged.
    """
    from cryoscope.session.check_files import read_check
    from cryoscope.session.checking import show_checked

    if saved is None:
        return False
    run = session.run
    check = read_check(
        found_at(saved, folder),
        contour_of(session, "decoded"),
        None if run is None else run.reference,
    )
    session.check = check
    if saved.looking:
        show_checked(session, "reconstructed")
    return saved.looking


def restore_difference(session: Session, against: str) -> None:
    """Colour the surface by the difference to a kept state, if it is there."""
    if any(one.name == against and one.shown.density for one in session.kept_states):
        session.scene = replace(session.scene, surface="difference", against=against)


def restore_view(session: Session, view: SavedView, job: Job, *, decode: bool = True) -> None:
    """Look at the session as it was looked at; what no longer fits is left as it is. For jobs.

    Without ``decode``, the state at the cursor does not take the place of what is shown.
    """
    if view.backbone_colour in COLOURS_BY:
        session.backbone_colour = view.backbone_colour
    scene = view.scene
    session.scene = Scene(scene.layout, scene.backbone, scene.surface)
    if "motion" in (scene.surface, session.backbone_colour):
        _measure_when_ready(session)
    latents = session.latents
    if latents is None:
        return
    restore_picture(session, latents, view, job)
    names = {one.name for one in session.selections}
    if view.active_selection in names or not view.active_selection:
        session.active_selection = view.active_selection
    path = next((one for one in session.trajectories if one.name == view.active_path), None)
    if path is not None:
        session.change(active_path=path.name, path_frame=min(view.path_frame, len(path) - 1))
    session.path_marks = tuple(row for row in view.path_marks if row < len(latents))
    run = session.run
    if view.marked_residue is not None and run is not None and run.reference is not None:
        inside = view.marked_residue < len(run.reference)
        session.marked_residue = view.marked_residue if inside else None
    if view.colouring:
        _restore_colours(session, view.colouring)
    if view.cursor_xy is not None:
        session.cursor_xy = view.cursor_xy
        if decode:
            session.decoder.show(view.cursor_xy)


def _measure_when_ready(session: Session) -> None:
    """Measure the motion that is to be shown, as soon as the model of the run is there."""
    run = session.run
    folder, done = None if run is None else run.folder, threading.Event()

    def look(now: RunView | None) -> None:
        if done.is_set() or now is None or not now.ready:
            return
        done.set()
        if now.folder == folder and session.residue_motion is None:
            measure_motion(session)

    session.events.run.connect(look)
    look(session.run)


def _restore_colours(session: Session, name: str) -> None:
    choice = next((one for one in covariate_choices(session) if one.name == name), None)
    if choice is not None and not choice.why_not:
        colour_by(session, name)
        return
    why = "there is no such covariate any more" if choice is None else choice.why_not
    session.notify("warning", f"The particles were coloured by {name}, but now: {why}")


def restore_picture(session: Session, latents: Latents, view: SavedView, job: Job) -> None:
    """Show the picture of the latents that was shown, on the axes that it had. For jobs."""
    from cryoscope.analysis.reduce import project

    wanted = LatentView(view.kind, view.x, view.y)
    saved = view.picture
    if saved is not None and _fits(saved, latents):
        centre, axes = np.array(saved.centre), np.array(saved.axes)
        same = (saved.run_id, saved.epoch) == (latents.run_id, latents.epoch)
        old = Embedding(
            project(latents.z, centre, axes), saved.axis_labels, centre, axes, saved.embedding_id
        )
        session.change(embedding=old, latent_view=wanted)
        if same:
            return
    elif wanted == session.latent_view:
        return
    try:
        show_view(session, wanted, job)
    except InputError as error:
        session.report(error)


def _fits(saved: SavedPicture, latents: Latents) -> bool:
    dims = latents.z.shape[1]
    return len(saved.centre) == dims and all(len(axis) == dims for axis in saved.axes)


def merged(saved: Sequence[_Named], beside: Sequence[_Named], suffix: str) -> tuple[_Named, ...]:
    """Those of a project, and those of its run folder that the project does not have.

    One of the run folder that has a name of the project's, and is another, gets ``suffix``.
    """
    found = list(saved)
    for one in beside:
        known = {other.name: other for other in found}
        if one.name not in known:
            found.append(one)
        elif not _same(known[one.name], one):
            name = f"{one.name}{suffix}"
            if name not in known:
                found.append(replace(one, name=name))
    return tuple(found)


def _same(one: Selection | TrajectoryPath, other: Selection | TrajectoryPath) -> bool:
    if isinstance(one, Selection) and isinstance(other, Selection):
        return np.array_equal(one.mask, other.mask)
    if isinstance(one, TrajectoryPath) and isinstance(other, TrajectoryPath):
        return np.array_equal(one.frames_z, other.frames_z)
    return False


def selections_that_fit(session: Session, selections: Sequence[Selection]) -> tuple[Selection, ...]:
    """The selections of a project, if they are of the particles that are there."""
    latents = session.latents
    count = 0 if latents is None else len(latents)
    fitting = tuple(one for one in selections if len(one.mask) == count)
    if len(fitting) < len(selections):
        session.notify(
            "warning",
            f"{len(selections) - len(fitting)} selections of the project are of other particles "
            "and were left out",
        )
    return merged(fitting, session.selections, " (run folder)")


def trajectories_that_fit(
    session: Session, trajectories: Sequence[TrajectoryPath]
) -> tuple[TrajectoryPath, ...]:
    """The trajectories of a project, if they lead through the latents that are there."""
    latents = session.latents
    fitting = () if latents is None else paths_that_fit(trajectories, latents)
    return merged(fitting, session.trajectories, " (run folder)")
