"""Whether the latents follow what they should not; looked at again as they change."""

from __future__ import annotations

import time
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cryoscope.data import Latents, Particles

if TYPE_CHECKING:
    from cryoscope.analysis.association import Association
    from cryoscope.session.jobs import Job
    from cryoscope.session.state import Session

#: While latents come one after the other, they are looked at this often.
EVERY_S = 30.0
#: What the particles are coloured by to see a covariate.
_COLOURS = {"viewing direction": "tilt", "angle in the image": "in_plane", "defocus": "defocus"}
_CURES = {
    "viewing direction": (
        "Compare both ends of {axis} in the same views (check a selection of each end against the "
        "data: its 2-D averages) before you read it as motion."
    ),
    "angle in the image": (
        "How a particle lies in its image says nothing about the molecule: train longer, or with a "
        "soft mask nearer to the particle, and do not read {axis} as motion."
    ),
    "defocus": (
        "Colour by defocus and select particles of like defocus at both ends of {axis}; if they "
        "look the same, {axis} is the CTF and not motion. Check the defocus and pixel size given."
    ),
}
_last: weakref.WeakKeyDictionary[Session, _Looked] = weakref.WeakKeyDictionary()


@dataclass(frozen=True, eq=False)
class _Looked:
    latents: Latents
    particles: Particles
    when_s: float


@dataclass(frozen=True)
class AxisCaution:
    """What one axis of the latents follows: in words, what to do, and the colours to see it by."""

    text: str
    cure: str
    colour: str


def associate(session: Session, *, every_s: float = EVERY_S) -> None:
    """Look whether the leading axes of the latents follow view or defocus, in the background.

    Sets ``session.associations``. Does nothing where that was done for these latents, or less than
    ``every_s`` ago while a run trains.
    """
    latents, view, run = session.snapshot("latents", "particles", "run")
    if latents is None or view is None or not view.has_poses:
        session.revise(lambda: {"associations": ()} if session.associations else {})
        return
    last = _last.get(session)
    same_set = last is not None and last.particles is view.record
    if last is not None and same_set:
        training = run is not None and run.status.active
        soon = training and time.monotonic() - last.when_s < every_s
        if soon or last.latents is latents:
            return
    _last[session] = _Looked(latents, view.record, time.monotonic())
    session.pool.submit(
        "Associations", lambda job: _look(session, latents, view.record, job),
        key="associations", quiet=True, cancel_running=False,
    )  # fmt: skip


def axis_cautions(session: Session) -> tuple[AxisCaution, ...]:
    """What the latents follow more than by chance, strongest first; see :func:`associate`."""
    return cautions_of(session.associations)


def cautions_of(found: tuple[Association, ...]) -> tuple[AxisCaution, ...]:
    """One caution for every covariate that an axis follows; the strongest axis names it."""
    strongest: dict[str, Association] = {}
    for one in found:
        best = strongest.get(one.covariate)
        if one.follows and (best is None or one.strength > best.strength):
            strongest[one.covariate] = one
    ordered = sorted(strongest.values(), key=lambda one: -one.strength)
    return tuple(
        AxisCaution(
            f"{one.axis} follows the {one.covariate} ({one.strength:.2f}; chance {one.chance:.2f})",
            _CURES[one.covariate].format(axis=one.axis),
            _COLOURS[one.covariate],
        )
        for one in ordered
    )


def _look(session: Session, latents: Latents, particles: Particles, job: Job) -> None:
    from cryoscope.session.check_measures import latent_associations

    found = latent_associations(particles, latents)
    job.check()

    def decide() -> dict[str, Any]:
        latest, view = session.snapshot("latents", "particles")
        fits = view is not None and view.record is particles
        if not fits or latest is None or latest.run_id != latents.run_id:
            return {}
        return {"associations": found}

    session.revise(decide)
