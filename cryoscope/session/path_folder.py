"""Trajectories that were saved with a run."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from cryoscope.data import InputError, Latents
from cryoscope.data.trajectory_path import TrajectoryPath

if TYPE_CHECKING:
    from cryoscope.io.run_folder import RunFolder
    from cryoscope.session.jobs import Job
    from cryoscope.session.state import Session

FILE_NAME = "trajectories.json"
#: The fields of a session without trajectories, and without what hangs on the states of a run.
NO_PATHS: MappingProxyType[str, Any] = MappingProxyType(
    {
        "trajectories": (),
        "active_path": "",
        "path_frame": 0,
        "path_marks": (),
        "marked_residue": None,
        "residue_motion": None,
    }
)


def load_trajectories(session: Session, folder: RunFolder) -> list[TrajectoryPath]:
    """The trajectories of a run folder; a damaged file is reported, and the run opens without."""
    from cryoscope.io.trajectories_file import read_trajectories

    path = folder.path / FILE_NAME
    if not path.is_file():
        return []
    count = folder.info().get("particle_count")
    try:
        return read_trajectories(path, particle_count=count if isinstance(count, int) else None)
    except InputError as error:
        session.report(error)
        return []


def paths_that_fit(paths: Sequence[TrajectoryPath], latents: Latents) -> tuple[TrajectoryPath, ...]:
    """Those of ``paths`` that lead through as many dimensions, by particles that there are."""
    count, dims = latents.z.shape
    return tuple(
        path
        for path in paths
        if path.frames_z.shape[1] == dims
        and int(np.max(path.way_rows, initial=0)) < count
        and int(np.max(path.nearest, initial=0)) < count
    )


def save_trajectories(session: Session) -> None:
    """Write the trajectories to the run folder, in the background."""
    run = session.run
    if run is None:
        return
    folder = run.folder

    def save(_job: Job) -> None:
        from cryoscope.io.trajectories_file import write_trajectories

        if (folder / "run.json").is_file():
            write_trajectories(folder / FILE_NAME, session.trajectories)

    session.pool.submit(
        "Saving trajectories", save, key="trajectories", quiet=True, cancel_running=False
    )
