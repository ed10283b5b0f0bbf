"""What a landscape leaves behind for other programs: maps, lists of particles, tables, pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryoscope.analysis.landscape_map import density_grid
from cryoscope.analysis.reduce import finite_rows
from cryoscope.data import Latents, Provenance, Selection, Volume
from cryoscope.io.atomic import write_text_atomic
from cryoscope.io.chimerax import write_states_script
from cryoscope.io.mrc import write_volume
from cryoscope.io.selections_file import write_selections
from cryoscope.session.analyze import colours, write_csv
from cryoscope.session.decoded_maps import StateDecoder
from cryoscope.session.landscape_records import Landscape
from cryoscope.session.latent_picture import Place, write_free_energy, write_scatter
from cryoscope.session.series import common_level, write_structures

_COMPONENT_MAPS, _COLUMNS = 5, 5
Maps = NDArray[np.float32]


def write_results(
    found: Landscape,
    latents: Latents,
    voxel_size_A: float,
    decoder: StateDecoder | None,
    mask: NDArray[np.bool_],
    mean: Maps,
    spread: Maps,
) -> None:
    """Write everything but ``summary.json`` into the folder of the landscape.

    mask.mrc; component-NN.mrc (axes of the first five components times the spread of the maps
    along them); per state its mean map, the spread of its maps, and its particles (0-based, as
    ``cryoscope export --selection`` reads them); selections.json; states.csv, sketch.csv and
    particles.csv; landscape.png and free-energy.png; states.cxc; states.pdb where the run has
    atoms.
    """
    folder = found.folder
    source = Provenance("decoded", run_id=latents.run_id, epoch=latents.epoch)

    def write(name: str, values: NDArray[Any]) -> Volume:
        volume = Volume.centred(values.astype(np.float32), voxel_size_A, source)
        write_volume(folder / name, volume)
        return volume

    for old in [*folder.glob("state-*"), *folder.glob("component-*.mrc")]:
        old.unlink(missing_ok=True)
    write("mask.mrc", mask)
    for i, axis in enumerate(found.components.axes[:_COMPONENT_MAPS]):
        values = np.zeros(mask.shape, dtype=np.float32)
        values[mask] = axis * found.components.scores[:, i].std()
        write(f"component-{i + 1:02d}.mrc", values)
    names, means = [], []
    for i in range(len(mean)):
        names.append(f"state-{i + 1:02d}-mean.mrc")
        means.append(write(names[-1], mean[i]))
        write(f"state-{i + 1:02d}-std.mrc", spread[i])
    medoid = _medoids(found)
    structures = ""
    if decoder is not None:
        z = latents.z[found.sketched[medoid]]
        structures = write_structures(decoder, z, folder / "states.pdb")
    shade = colours(len(mean))
    level = common_level(means)
    write_states_script(folder / "states.cxc", names, shade, level=level, structures=structures)
    _write_particles(found, folder, shade)
    _write_tables(found, latents, medoid)
    _write_pictures(found, medoid, shade)


def _medoids(found: Landscape) -> NDArray[np.int64]:
    """For each state, its map that is most like the mean of its maps."""
    offsets, medoid = found.components.offsets, []
    for state in range(int(found.sketch_state.max()) + 1):
        rows = np.flatnonzero(found.sketch_state == state)
        middle = np.average(offsets[rows], axis=0, weights=found.weight[rows])
        medoid.append(rows[((offsets[rows] - middle) ** 2).sum(axis=1).argmin()])
    return np.asarray(medoid, dtype=np.int64)


def _write_particles(found: Landscape, folder: Path, shade: list[str]) -> None:
    selections = []
    for state, colour in enumerate(shade):
        held = found.particle_state == state
        selections.append(
            Selection(f"state {state + 1}", held, colour, made_by={"kind": "landscape state"})
        )
        numbers = "".join(f"{row}\n" for row in np.flatnonzero(held))
        write_text_atomic(folder / f"state-{state + 1:02d}.txt", numbers)
    write_selections(folder / "selections.json", selections)


def _write_tables(found: Landscape, latents: Latents, medoid: NDArray[np.int64]) -> None:
    scores = found.components.scores
    states = np.arange(len(medoid))
    held = np.bincount(found.sketch_state, weights=found.weight).astype(np.int64)
    write_csv(
        found.folder / "states.csv",
        {
            "state": states + 1,
            "particles": held,
            "share": held / held.sum(),
            "maps": np.bincount(found.sketch_state),
            "typical_particle": latents.uid[found.sketched[medoid]],
            "typical_row": found.sketched[medoid],
            **_numbered("VC", scores[medoid]),
        },
    )
    write_csv(
        found.folder / "sketch.csv",
        {
            "map": np.arange(1, len(found.sketched) + 1),
            "particle": latents.uid[found.sketched],
            "row": found.sketched,
            "particles": found.weight,
            "state": found.sketch_state + 1,
            **_numbered("z", latents.z[found.sketched]),
            **_numbered("VC", scores),
        },
    )
    known = found.particle_state >= 0
    write_csv(
        found.folder / "particles.csv",
        {
            "particle": latents.uid,
            "state": np.where(known, found.particle_state + 1, -1),
            **_numbered("VC", found.mapped.scores[:, :_COLUMNS]),
        },
    )


def _numbered(name: str, table: NDArray[Any]) -> dict[str, NDArray[Any]]:
    return {f"{name}{i + 1}": table[:, i] for i in range(table.shape[1])}


def _write_pictures(found: Landscape, medoid: NDArray[np.int64], shade: list[str]) -> None:
    scores = found.mapped.scores
    plane = np.zeros((len(scores), 2), dtype=np.float32)
    plane[:, : min(2, scores.shape[1])] = scores[:, :2]
    plane[~finite_rows(scores)] = np.nan
    fraction = [*found.components.fraction, 0.0]
    labels = (
        f"volume component 1 ({fraction[0]:.0%} of the maps' variance)",
        f"volume component 2 ({fraction[1]:.0%})",
    )
    exact = found.components.scores
    places: list[Place] = [
        (float(exact[row, 0]), float(exact[row, 1]) if exact.shape[1] > 1 else 0.0,
         f"state {i + 1}", shade[i])
        for i, row in enumerate(medoid)
    ]  # fmt: skip
    count = int(finite_rows(plane).sum())
    title = f"Landscape of {count:,} particles"
    write_scatter(found.folder / "landscape.png", plane, labels, title=title, places=places)
    write_free_energy(
        found.folder / "free-energy.png",
        density_grid(plane),
        labels,
        title=f"{title}: -log(density), a contour for each unit",
        places=places,
    )
