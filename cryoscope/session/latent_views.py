"""Which picture of the latents is shown: principal components, dimensions, volume PCs, UMAP."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import Embedding, InputError, Latents
from cryoscope.session.child_process import run_child
from cryoscope.session.jobs import Job
from cryoscope.session.latent_records import LatentView, ViewKind

if TYPE_CHECKING:
    from cryoscope.session.state import Session

UMAP_JOB = "UMAP picture"
VOLUME_COMPONENTS = "VC"


def view_latents(session: Session, kind: ViewKind = "pc", x: int = 1, y: int = 2) -> None:
    """Show another picture of the latents; a UMAP is made in the background and can be cancelled.

    Parameters
    ----------
    kind
        ``"pc"`` principal components, ``"dims"`` latent dimensions, ``"volume"`` components of the
        decoded maps (after ``cryoscope landscape``), ``"umap"``.
    x, y
        1-based numbers of the components or dimensions along the axes.
    """
    try:
        latents = session.latents
        if latents is None:
            raise InputError("there are no latents yet", cure="Train, or open a run, first.")
        if kind not in get_args(ViewKind):
            raise InputError(
                f"there is no view {kind!r}", cure=f"Choose one of {', '.join(get_args(ViewKind))}."
            )
    except InputError as error:
        session.report(error)
        return
    view = LatentView(kind, int(x), int(y))
    session.pool.cancel(UMAP_JOB)
    if kind == "umap":
        _submit_umap(session, listed=True)
    else:
        session.pool.submit(
            "Latent view", lambda _job: _show(session, view), key="view", quiet=True
        )


def embed(session: Session, latents: Latents) -> Embedding:
    """The picture of new latents in the session's view, aligned with the one before; for jobs.

    A UMAP takes long: the one of before stays until the new one, which is begun here, is done.
    """
    from cryoscope.analysis.reduce import pca_embedding

    view, previous = session.snapshot("latent_view", "embedding")
    fits = previous is not None and len(previous.xy) == len(latents)
    if view.kind == "umap":
        _submit_umap(session, listed=False)
        return previous if fits else pca_embedding(latents.z)
    try:
        return _picture(session, latents, view, previous if fits else None)
    except InputError as error:
        # Other latents may have fewer dimensions than the axes chosen for the last ones.
        session.report(error)
        session.latent_view = LatentView()
        return pca_embedding(latents.z)


def view_axes(session: Session, kind: ViewKind) -> int:
    """How many axes there are to choose from in a view; 0 for UMAP or while there are none."""
    latents = session.latents
    if latents is None or kind == "umap":
        return 0
    if kind == "volume":
        return _volume_components(session)
    return int(latents.z.shape[1])


def show_view(session: Session, view: LatentView, job: Job) -> None:
    """Show another picture of the latents and wait for it; for jobs.

    Raises
    ------
    InputError
        If it cannot be made.
    """
    if view.kind == "umap":
        _show_umap(session, job)
    else:
        _show(session, view)


def _show(session: Session, view: LatentView) -> None:
    latents, old = session.snapshot("latents", "embedding")
    if latents is None:
        return
    new = _picture(session, latents, view, old)
    _adopt(session, latents, replace(view), new)


def _adopt(session: Session, latents: Latents, view: LatentView, new: Embedding) -> None:
    """Show a picture, unless the latents have been replaced by those of other particles."""

    def decide() -> dict[str, Any]:
        if session.latents is None or len(session.latents) != len(latents):
            return {}
        old, cursor = session.embedding, session.cursor_xy
        moved = None if old is None or cursor is None else _carried(old, new, cursor)
        return {"latent_view": view, "embedding": new, "cursor_xy": moved}

    session.revise(decide)


def _carried(
    old: Embedding, new: Embedding, cursor: tuple[float, float]
) -> tuple[float, float] | None:
    """Where the particle nearest to the cursor lies in another picture."""
    row = nearest_row(old.xy, cursor)
    if row is None or len(new.xy) != len(old.xy) or not np.isfinite(new.xy[row]).all():
        return None
    return float(new.xy[row, 0]), float(new.xy[row, 1])


def nearest_row(xy: NDArray[np.floating], point: tuple[float, float]) -> int | None:
    """The row of (N, 2) nearest to a point; None where no row is finite."""
    offset = xy - np.asarray(point, dtype=xy.dtype)
    distance = np.einsum("ij,ij->i", offset, offset)
    if not np.isfinite(distance).any():
        return None
    return int(np.nanargmin(distance))


def _picture(
    session: Session, latents: Latents, view: LatentView, previous: Embedding | None
) -> Embedding:
    from cryoscope.analysis.reduce import components_id, dimension_embedding, pca_embedding

    pair = view.x, view.y
    if view.kind == "dims":
        return dimension_embedding(latents.z, pair)
    if view.kind == "volume":
        return _volume_picture(session, latents, pair)
    same = previous is not None and previous.embedding_id.startswith(components_id(pair))
    return pca_embedding(latents.z, previous if same else None, components=pair)


# UMAP, in a process of its own: it can be ended at any moment and never holds up the window


def _submit_umap(session: Session, *, listed: bool) -> None:
    session.pool.submit(
        UMAP_JOB,
        lambda job: _show_umap(session, job),
        key="umap",
        text="UMAP picture of the latents",
        quiet=False,
        cancel_running=listed,
    )


def _show_umap(session: Session, job: Job) -> None:
    latents, old = session.snapshot("latents", "embedding")
    if latents is None:
        return
    kept = session.kept_umap
    if kept is not None and kept[0] is latents:
        new = kept[1]
    else:
        begin = old if old is not None and old.embedding_id.startswith("umap-") else None
        if begin is None and kept is not None and len(kept[1].xy) == len(latents):
            begin = kept[1]
        job.progress(0, 0, f"UMAP picture of {len(latents):,} particles")
        new = umap_in_process(latents.z, job, None if begin is None else begin.xy)
        session.kept_umap = (latents, new)
    job.check()
    _adopt(session, latents, LatentView("umap"), new)


def umap_in_process(
    z: NDArray[np.floating], job: Job, start_xy: NDArray[np.floating] | None = None
) -> Embedding:
    """A UMAP picture of (N, d) latents, made by a child process that cancelling the job kills.

    Raises
    ------
    InputError
        With the child's last words, if it fails.
    """
    with tempfile.TemporaryDirectory(prefix="cryoscope-umap-") as name:
        folder = Path(name)
        np.save(folder / "z.npy", z)
        if start_xy is not None:
            np.save(folder / "start.npy", start_xy)
        command = [sys.executable, "-m", "cryoscope.session.umap_process", name]
        run_child("the UMAP picture", command, job, lambda _line: None)
        xy = np.load(folder / "xy.npy", allow_pickle=False)
        identity = (folder / "id.txt").read_text("utf-8")
    if xy.shape != (len(z), 2):
        raise InputError("the UMAP picture is not of these particles", cure="Make it again.")
    return Embedding(np.asarray(xy, np.float32), ("UMAP 1", "UMAP 2"), None, None, identity)


# Components of the decoded maps, as cryoscope landscape leaves them in the run


def _volume_table(session: Session) -> Path | None:
    run = session.run
    path = None if run is None else run.folder / "landscape" / "particles.csv"
    return path if path is not None and path.is_file() else None


def _volume_components(session: Session) -> int:
    path = _volume_table(session)
    if path is None:
        return 0
    with path.open(encoding="utf-8", errors="replace") as file:
        columns = file.readline(4096).strip().split(",")
    return sum(column.startswith(VOLUME_COMPONENTS) for column in columns)


def _volume_picture(session: Session, latents: Latents, pair: tuple[int, int]) -> Embedding:
    import pandas as pd

    path, count = _volume_table(session), _volume_components(session)
    if path is None:
        raise InputError(
            "the run has no components of its maps yet",
            cure="Press Analyse in the panel Landscape, or run: cryoscope landscape RUN",
        )
    for number in pair:
        if not 1 <= number <= count:
            raise InputError(f"there is no volume component {number}", cure=f"Choose 1 to {count}.")
    names = [f"{VOLUME_COMPONENTS}{number}" for number in pair]
    try:
        table = pd.read_csv(path, usecols=["particle", *dict.fromkeys(names)])
        scores = table.set_index(table["particle"].astype(str))[names]
        scores = scores[~scores.index.duplicated()].reindex(latents.uid)
        xy = scores.to_numpy(dtype=np.float32)
    except (ValueError, OSError, pd.errors.ParserError) as error:
        raise InputError(
            f"the components of the maps cannot be read ({str(error)[:100]})",
            file=path,
            cure="Make them again in the panel Landscape, or with: cryoscope landscape RUN",
        ) from error
    if not np.isfinite(xy).all(axis=1).any():
        raise InputError("its particles are not those of this run", file=path)
    labels = (f"Volume PC{pair[0]}", f"Volume PC{pair[1]}")
    return Embedding(xy, labels, None, None, f"volume-{pair[0]}-{pair[1]}-{latents.run_id}")
