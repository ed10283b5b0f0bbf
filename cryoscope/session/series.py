"""States as files for other programs: maps, models, a ChimeraX script, a movie."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cryoscope.analysis.landscape import map_threshold
from cryoscope.analysis.motion import residue_motion_A
from cryoscope.analysis.render import Colour, render_surface
from cryoscope.analysis.stopping import ShouldStop, stop_if_asked
from cryoscope.analysis.trajectory import FrameSupport
from cryoscope.data import Trajectory, Volume
from cryoscope.io.atomic import write_text_atomic
from cryoscope.io.chimerax import write_series_script, write_states_script
from cryoscope.io.movie import write_movie
from cryoscope.io.mp4 import find_ffmpeg, write_mp4
from cryoscope.io.mrc import write_volume
from cryoscope.io.structures import write_trajectory
from cryoscope.session.decoded_maps import StateDecoder, in_box

Progress = Callable[[str, int, int], None]
STRUCTURES = "states.pdb"
_VIEW_PX, _MOVIE_FRAMES_PER_S = 320, 8.0


def write_maps(
    decoder: StateDecoder,
    z: NDArray[np.floating],
    folder: Path,
    stem: str,
    progress: Callable[[int, int], None],
    should_stop: ShouldStop,
) -> tuple[list[str], list[Volume]]:
    """Write the map of every (S, d) state; their names, and the maps in at most 64 px."""
    names, small = [], []
    for number, volume in enumerate(decoder.volumes(z), start=1):
        stop_if_asked(should_stop)
        names.append(f"{stem}-{number:0{max(2, len(str(len(z))))}d}.mrc")
        write_volume(folder / names[-1], volume)
        small.append(in_box(volume, 64))
        progress(number, len(z))
    return names, small


def write_structures(decoder: StateDecoder, z: NDArray[np.floating], file: Path) -> str:
    """Write the traces of all states as one multi-model file; its name, or "" without atoms.

    The B-factor column holds the RMS motion of every residue over the states, in A.
    """
    if decoder.bead_count == 0:
        return ""
    write_trajectory(file, structures_with_motion(decoder, z))
    return file.name


def structures_with_motion(decoder: StateDecoder, z: NDArray[np.floating]) -> Trajectory:
    """The traces of (S, d) states; the B-factor is the RMS motion of every residue, in A."""
    coords_A = decoder.coords_A(z)
    trace = decoder.trace_structure
    model = replace(trace, b_factor_A2=residue_motion_A(coords_A, trace))
    return Trajectory(model, coords_A)


def common_level(maps: Sequence[Volume]) -> float:
    """One contour level for maps that are compared: the median of half their high percentile."""
    return float(np.median([map_threshold(one.values) for one in maps]))


def write_path_series(
    decoder: StateDecoder,
    z: NDArray[np.floating],
    support: FrameSupport,
    uid: NDArray[np.str_],
    folder: Path,
    *,
    progress: Progress,
    should_stop: ShouldStop,
    title: str = "",
    structures_name: str = STRUCTURES,
) -> None:
    """Write the states of a path into a new folder.

    states.csv (latents and the particles that support each state), state-NN.mrc, states.pdb (or
    ``structures_name``, .pdb or .cif) where the run has atoms, series.cxc for ChimeraX, and
    movie.gif (seen along the beam and from the side), with ffmpeg also movie.mp4. Progress is told
    of ``title``, by default the name of the folder.
    """
    folder.mkdir(exist_ok=True)
    title = title or folder.name
    what = f"maps of {title}"
    maps, small = write_maps(
        decoder, z, folder, "state", lambda n, of: progress(what, n, of), should_stop
    )
    structures = write_structures(decoder, z, folder / structures_name)
    header = [f"z{i + 1}" for i in range(z.shape[1])]
    lines = [",".join(["state", *header, "nearest_particle", "distance", "particles"])]
    for i, state in enumerate(z):
        near = _quoted(str(uid[support.nearest[i]]))
        figures = [f"{value:.7g}" for value in state]
        tail = [near, f"{support.distance[i]:.5g}", str(support.count[i])]
        lines.append(",".join([str(i + 1), *figures, *tail]))
    write_text_atomic(folder / "states.csv", "\n".join(lines) + "\n")
    level = common_level(small)
    write_series_script(
        folder / "series.cxc", maps, level=level, structures=structures, movie="chimerax.mp4"
    )
    frames = []
    for number, volume in enumerate(small, start=1):
        stop_if_asked(should_stop)
        frames.append(two_views(volume, level))
        progress(f"movie of {title}", number, len(small))
    write_movie(folder / "movie.gif", frames, frames_per_s=_MOVIE_FRAMES_PER_S)
    if find_ffmpeg() is not None:
        write_mp4(folder / "movie.mp4", frames, frames_per_s=_MOVIE_FRAMES_PER_S)


def two_views(volume: Volume, level: float, colour: Colour = (86, 156, 214)) -> NDArray[np.uint8]:
    """(h, 2 h, 3) picture of a map along the beam and from the side."""
    views = [
        render_surface(volume.values, level, side_px=_VIEW_PX, colour=colour, view=view)
        for view in ("front", "side")
    ]
    return np.concatenate(views, axis=1)


def write_group_series(
    decoder: StateDecoder,
    z: NDArray[np.floating],
    colours: Sequence[str],
    folder: Path,
    *,
    progress: Progress,
    should_stop: ShouldStop,
) -> None:
    """Write the states of groups into a new folder: maps, models, clusters.cxc, movie.gif."""
    folder.mkdir()
    maps, small = write_maps(
        decoder,
        z,
        folder,
        "cluster",
        lambda n, of: progress("maps of clusters", n, of),
        should_stop,
    )
    structures = write_structures(decoder, z, folder / "clusters.pdb")
    level = common_level(small)
    write_states_script(folder / "clusters.cxc", maps, colours, level=level, structures=structures)
    frames = [
        two_views(volume, level, rgb(colour)) for volume, colour in zip(small, colours, strict=True)
    ]
    write_movie(folder / "movie.gif", frames, frames_per_s=2.0, there_and_back=False)


def rgb(colour: str) -> Colour:
    """``#rrggbb`` as three numbers from 0 to 255."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _quoted(text: str) -> str:
    """A cell of a CSV table."""
    return '"' + text.replace('"', '""') + '"' if re.search(r'[",\n]', text) else text
