"""A landscape read back from the run folder, to be shown."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import InputError, Latents
from cryoscope.session.covariates import CATEGORY_COLOURS
from cryoscope.session.landscape_records import (
    LandscapeSettings,
    LandscapeState,
    LandscapeView,
)

if TYPE_CHECKING:
    import pandas as pd

    from cryoscope.session.state import Session

#: In the run folder.
LANDSCAPE_FOLDER = "landscape"
_PICTURE_PX = (480, 480)
_MOST_STATES, _ROW_BYTES, _SMALL_BYTES = 10_000, 1_000, 1 << 20
#: What its files may raise when they are not those of a landscape.
_DAMAGE = (KeyError, TypeError, ValueError, OverflowError, IndexError, OSError)


def load_landscape(session: Session, run_path: Path) -> None:
    """Show the landscape that a run has, if it has one; one that is damaged is told. For jobs."""
    latents = session.latents
    folder = run_path / LANDSCAPE_FOLDER
    if latents is None or not (folder / "summary.json").is_file():
        return
    try:
        found = read_landscape(folder, latents)
    except InputError as error:
        session.notify("warning", str(error))
        return
    session.landscape = found


def read_landscape(folder: Path, latents: Latents) -> LandscapeView:
    """The finished landscape in ``folder``, its particles in the order of ``latents``.

    Raises
    ------
    InputError
        If a file is missing or damaged, or its particles are others.
    """
    from cryoscope.io.json_file import read_json_object

    summary = read_json_object(folder / "summary.json")
    states = _table(folder / "states.csv", _MOST_STATES)
    particles = _table(folder / "particles.csv", len(latents))
    try:
        return _view(folder, latents, summary, states, particles)
    except _DAMAGE as error:
        raise InputError(
            f"the landscape of the run cannot be read ({str(error)[:100]})",
            file=folder,
            cure="Press Analyse in the panel Landscape to make it again.",
        ) from error


def _table(path: Path, most_rows: int) -> pd.DataFrame:
    """A table of at most so many rows, with the names of particles as text."""
    import pandas as pd

    from cryoscope.io.atomic import explain_os_errors

    again = "Press Analyse in the panel Landscape to make it again."
    with explain_os_errors(path, action="read"):
        if path.stat().st_size > _SMALL_BYTES + _ROW_BYTES * most_rows:
            raise InputError("the table is larger than its run", file=path, cure=again)
        try:
            return pd.read_csv(path, nrows=most_rows, dtype={"particle": str})
        except (ValueError, pd.errors.ParserError) as error:
            raise InputError(
                f"the table cannot be read ({str(error)[:100]})", file=path, cure=again
            ) from error


def _view(
    folder: Path,
    latents: Latents,
    summary: dict[str, Any],
    states: pd.DataFrame,
    particles: pd.DataFrame,
) -> LandscapeView:
    from cryoscope.analysis.landscape_map import density_grid
    from cryoscope.session.latent_picture import free_energy_rgba

    particle_state, scores = _of_particles(latents, particles, len(states))
    plane = np.full((len(scores), 2), np.nan, dtype=np.float32)
    known = np.isfinite(scores).all(axis=1)
    plane[known] = 0.0
    plane[known, : scores.shape[1]] = scores[known, :2]
    grid = density_grid(plane)
    box_px, placed_by = int(summary["box_size_px"]), str(summary["particles_placed_by"])
    fraction = tuple(float(one) for one in summary["variance_fraction"])
    r2 = float(summary["r2_network" if placed_by == "network" else "r2_nearest_map"])
    return LandscapeView(
        folder=folder,
        epoch=int(summary.get("epoch", -1)),
        settings=_settings(summary["settings"]),
        maps=int(summary["maps"]),
        box_size_px=box_px,
        voxel_size_A=float(summary["voxel_size_A"]),
        mask_share=int(summary["mask_voxels"]) / box_px**3,
        variance_fraction=fraction,
        r2=r2,
        placed_by=placed_by,
        states=_states(states, len(latents)),
        particle_state=particle_state,
        scores=scores,
        picture=free_energy_rgba(grid, _PICTURE_PX),
        bounds=grid.bounds,
    )


def _settings(found: dict[str, Any]) -> LandscapeSettings:
    known = {one.name for one in fields(LandscapeSettings)}
    settings = LandscapeSettings(**{name: found[name] for name in found if name in known})
    try:
        settings.check()
    except InputError as error:
        raise ValueError(error.problem) from error
    return settings


def _states(table: pd.DataFrame, count: int) -> tuple[LandscapeState, ...]:
    found = []
    for place, row in enumerate(table.to_dict("records")):
        typical = int(row["typical_row"])
        if not 0 <= typical < count:
            raise ValueError(f"there is no particle {typical}")
        found.append(
            LandscapeState(
                number=place + 1,
                colour=CATEGORY_COLOURS[place % len(CATEGORY_COLOURS)],
                particles=int(row["particles"]),
                share=float(row["share"]),
                maps=int(row["maps"]),
                typical_row=typical,
                xy=(float(row["VC1"]), float(row.get("VC2", 0.0))),
            )
        )
    if not found:
        raise ValueError("it has no states")
    return tuple(found)


def _of_particles(
    latents: Latents, table: pd.DataFrame, states: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """(N,) state from 0 and (N, C) components of every particle, found by its name."""
    columns = [name for name in table.columns if name.startswith("VC")]
    if not columns:
        raise ValueError("particles.csv has no components")
    if not np.array_equal(table["particle"].to_numpy(dtype=str), latents.uid):
        named = table.set_index("particle")
        table = named[~named.index.duplicated()].reindex(latents.uid)
    scores = table[columns].to_numpy(dtype=np.float32)
    state = np.nan_to_num(table["state"].to_numpy(dtype=np.float64), nan=-1).astype(np.int64)
    if state.max(initial=-1) > states:
        raise ValueError(f"there is no state {state.max()}")
    if not np.isfinite(scores).all(axis=1).any():
        raise ValueError("its particles are not those of this run")
    return np.where(state >= 1, state - 1, -1), scores
