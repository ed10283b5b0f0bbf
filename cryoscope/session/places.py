"""Where a state lies, in a few words: on a trajectory, in the latents, or in how many particles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from cryoscope.session.records import ShownState
    from cryoscope.session.state import Session

#: Dimensions of a latent that are named where no picture of the latents can say where it lies.
MOST_DIMENSIONS = 3
_SAME = 1e-5


def place_of(session: Session, shown: ShownState | None) -> str:
    """Where a state lies: ``"path A, state 3 of 10"``, ``"PC1 1.2, PC2 −0.5"``, or particles.

    Examples
    --------
    >>> from cryoscope.session import Session
    >>> place_of(Session(), None)
    ''
    """
    if shown is None:
        return ""
    source = None if shown.density is None else shown.density.provenance
    if source is not None and source.kind == "reconstructed":
        return f"{source.particle_count:,} particles"
    if source is not None and source.of_many:
        return source.detail
    from_file = source is not None and source.kind == "file"
    if from_file or len(shown.z) == 0:
        return ""
    return _on_path(session, shown) or _in_picture(session, shown) or _in_latents(shown)


def _on_path(session: Session, shown: ShownState) -> str:
    paths, name, frame = session.snapshot("trajectories", "active_path", "path_frame")
    path = next((one for one in paths if one.name == name), None)
    if path is None or not 0 <= frame < len(path) or path.frames_z.shape[1] != len(shown.z):
        return ""
    scale = float(np.abs(path.frames_z).max(initial=1.0))
    if np.abs(path.frames_z[frame] - shown.z).max() > _SAME * scale:
        return ""
    return f"{path.name}, state {frame + 1} of {len(path)}"


def _in_picture(session: Session, shown: ShownState) -> str:
    picture = session.embedding
    if picture is None or picture.axes is None or picture.centre is None:
        return ""
    if len(picture.centre) != len(shown.z):
        return ""
    xy = picture.axes @ (np.asarray(shown.z, dtype=np.float64) - picture.centre)
    names = [label.split(" (")[0] for label in picture.axis_labels]
    return ", ".join(f"{name} {_number(value)}" for name, value in zip(names, xy, strict=True))


def _in_latents(shown: ShownState) -> str:
    parts = [f"z{i} {_number(value)}" for i, value in enumerate(shown.z[:MOST_DIMENSIONS], 1)]
    return ", ".join(parts) + (" …" if len(shown.z) > MOST_DIMENSIONS else "")


def _number(value: float) -> str:
    return f"{round(value, 2) + 0.0:.2f}".replace("-", "−")
