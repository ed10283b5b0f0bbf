"""A trajectory as files for other programs: maps, models, a ChimeraX script, a movie."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cryoscope.analysis.stopping import Stopped
from cryoscope.data import InputError, Provenance, Structure, Trajectory, Volume
from cryoscope.session.jobs import Cancelled, Job
from cryoscope.session.opening import reporting
from cryoscope.session.state import Session
from cryoscope.session.trajectories import find_path

if TYPE_CHECKING:
    from cryoscope.analysis.trajectory import FrameSupport


class RunnerStates:
    """The session's runner as a :class:`~cryoscope.session.decoded_maps.StateDecoder`; for jobs."""

    def __init__(self, session: Session, job: Job) -> None:
        run, latents = session.snapshot("run", "latents")
        if run is None:
            raise InputError("no run is open", cure="Open a run folder first.")
        self._session, self._job = session, job
        self._reference: Structure | None = None if run.bead_count == 0 else run.reference
        self._run_id, self._epoch = run.folder.name, -1 if latents is None else latents.epoch

    @property
    def bead_count(self) -> int:
        """Residues in the trace; 0 where the run has no atoms."""
        return 0 if self._reference is None else len(self._reference)

    @property
    def trace_structure(self) -> Structure:
        """The trace at rest."""
        if self._reference is None:
            raise InputError("this run has no atomic model")
        return self._reference

    def coords_A(self, z: NDArray[np.floating], chunk: int = 1024) -> NDArray[np.float32]:
        """(S, d) latents to (S, residues, 3) traces."""
        parts = [
            self._session.decoder.states(z[first : first + chunk], self._job).coords_A
            for first in range(0, len(z), chunk)
        ]
        coords_A = np.concatenate(parts)
        if coords_A.shape[1] != self.bead_count:
            raise InputError(
                f"the model has {coords_A.shape[1]:,} beads, but the reference structure has "
                f"{self.bead_count:,} CA atoms",
                cure="Open the structure that the run was trained with.",
            )
        return coords_A

    def volumes(self, z: NDArray[np.floating], box_size_px: int = 0) -> Iterator[Volume]:
        """The maps of (S, d) states in a box over the same field of view; 0: the run's own."""
        for state in z:
            decoded = self._session.decoder.states(
                state[None], self._job, volume=True, box_size_px=box_size_px
            )
            if decoded.volume is None:
                raise InputError("the model decoded no map", cure="Try again.")
            provenance = Provenance(
                "decoded", run_id=self._run_id, epoch=self._epoch, z=tuple(map(float, state))
            )
            yield Volume.centred(decoded.volume, decoded.voxel_size_A, provenance)


def export_path(session: Session, name: str, folder: str | Path) -> None:
    """Write the states of a trajectory into a new folder; returns at once, can be cancelled.

    states.csv (latents and support), state-NN.mrc, series.cxc for ChimeraX, movie.gif, and
    movie.mp4 where there is an ffmpeg to make it; where the run has atoms also states.pdb (if the
    format can hold them), states.cif and states.dcd, with the RMS motion of every residue as
    B-factor.
    """
    target = Path(folder).expanduser()
    with reporting(session):
        path = find_path(session, name)
        latents = session.latents
        if latents is None:
            raise InputError("there are no latents", cure="Train, or open a run, first.")
        uid, z = latents.uid, path.frames_z

        def export(job: Job) -> None:
            from cryoscope.analysis.trajectory import FrameSupport

            support = FrameSupport(path.nearest, path.distance, path.count)
            try:
                _write(RunnerStates(session, job), z, support, uid, target, job)
            except Stopped:
                raise Cancelled from None
            session.notify("info", f"{len(z)} states of {name} written to {target}")

        session.pool.submit("Exporting trajectory", export, text=f"Writing {target.name}")


def _write(
    states: RunnerStates,
    z: NDArray[np.float64],
    support: FrameSupport,
    uid: NDArray[np.str_],
    target: Path,
    job: Job,
) -> None:
    from cryoscope.io.atomic import atomic_folder
    from cryoscope.io.dcd import write_dcd
    from cryoscope.io.structures import pdb_cannot_hold, write_trajectory
    from cryoscope.session.series import STRUCTURES, structures_with_motion, write_path_series

    models: Trajectory | None = None
    name = STRUCTURES
    if states.bead_count:
        models = structures_with_motion(states, z)
        if pdb_cannot_hold(models.structure, models.coords_A):
            name = "states.cif"
    with atomic_folder(target) as folder:
        write_path_series(
            states,
            z,
            support,
            uid,
            folder,
            title=target.name,
            progress=lambda what, done, of: job.progress(done, of, f"Writing {what}"),
            should_stop=lambda: job.cancelled,
            structures_name=name,
        )
        if models is not None:
            write_trajectory(folder / "states.cif", models)
            write_dcd(folder / "states.dcd", models.coords_A)
        job.check()
