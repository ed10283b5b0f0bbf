"""What ``cryoscope decode`` writes: structures, maps and the motion of every residue."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cryoscope.cli.console import StageProgress
from cryoscope.data import InputError, Latents, Structure, Trajectory, Volume

if TYPE_CHECKING:
    from cryoscope.training.decoding import Decoder

_CHUNK = 1024


class StructureFormat(StrEnum):
    """How structures are written."""

    PDB = "pdb"
    CIF = "cif"
    DCD = "dcd"
    NONE = "none"


@dataclass(frozen=True)
class MapLook:
    """How maps are written.

    Attributes
    ----------
    box_size_px
        Even box, as wide in A as the training box; 0 = that one.
    low_pass_A, b_factor_A2
        See ``physics.map_filters.filter_map``.
    flip_hand
        Write the mirror image.
    """

    box_size_px: int = 0
    low_pass_A: float = 0.0
    b_factor_A2: float = 0.0
    flip_hand: bool = False

    def check(self, decoder: Decoder) -> None:
        """Refuse what cannot be done to the maps of a run.

        Raises
        ------
        InputError
            For an odd or tiny box, or the mirror image of a structure.
        """
        if self.box_size_px and (self.box_size_px % 2 or self.box_size_px < 8):
            raise InputError(
                f"maps of {self.box_size_px} px cannot be made",
                cure="Choose an even --box-px of 8 or more",
            )
        if self.flip_hand and decoder.has_atoms:
            raise InputError(
                "the hand of a run with an atomic model is that of the model",
                cure="Leave --flip-hand out, or fit the model into the mirrored map and train anew",
            )

    def of(self, volume: Volume) -> Volume:
        """The map as it is written."""
        if not (self.low_pass_A or self.b_factor_A2 or self.flip_hand):
            return volume
        import torch

        from cryoscope.conventions import other_hand
        from cryoscope.physics.map_filters import filter_map

        values = filter_map(
            torch.as_tensor(volume.values),
            volume.voxel_size_A,
            low_pass_A=self.low_pass_A,
            b_factor_A2=self.b_factor_A2,
        ).numpy()
        return replace(volume, values=other_hand(values) if self.flip_hand else values)


def write_states(
    run: Path,
    z: NDArray[np.floating],
    out: Path,
    *,
    structures: StructureFormat,
    maps: bool,
    atoms: bool = False,
    look: MapLook = MapLook(),
) -> None:
    """Decode (states, d) latents into a new folder and print what was written.

    Raises
    ------
    InputError
        Where structures alone are asked for and the run has none.
    """
    from cryoscope.io.atomic import atomic_folder, write_text_atomic
    from cryoscope.io.mrc import write_volume
    from cryoscope.training.decoding import load_decoder

    decoder = load_decoder(run)
    if atoms or not maps:
        decoder.require_atoms()
    look.check(decoder)
    header = ",".join(["state", *(f"z{i + 1}" for i in range(z.shape[1]))])
    rows = [",".join([str(i + 1), *(f"{v:.7g}" for v in state)]) for i, state in enumerate(z)]
    lines = [f"latents     {out / 'states.csv'}"]
    with atomic_folder(out) as folder, StageProgress() as progress:
        write_text_atomic(folder / "states.csv", "\n".join([header, *rows]) + "\n")
        if decoder.has_atoms:
            lines += _write_structures(decoder, z, folder, out, structures, atoms)
        if maps:
            for number, volume in enumerate(decoder.volumes(z, look.box_size_px), start=1):
                write_volume(folder / f"state-{number:03d}.mrc", look.of(volume))
                progress.update("maps", number, len(z))
            box_px = look.box_size_px or decoder.optics.box_size_px
            lines.append(f"maps        {out / 'state-001.mrc'} to {len(z):03d}, {box_px} px")
    print("\n".join(lines))


def _write_structures(
    decoder: Decoder,
    z: NDArray[np.floating],
    folder: Path,
    out: Path,
    structures: StructureFormat,
    atoms: bool,
) -> list[str]:
    """Write what the residues do; returns the lines that say so, with ``out`` for ``folder``."""
    from cryoscope.analysis.motion import ResidueMotion, motion_table, table_csv
    from cryoscope.io.atomic import write_text_atomic

    coords_A = decoder.coords_A(z)
    motion = table_csv(motion_table(coords_A, decoder.trace_structure), ResidueMotion)
    write_text_atomic(folder / "motion.csv", motion)
    lines = [f"motion      {out / 'motion.csv'} ({decoder.bead_count:,} residues)"]
    if structures is StructureFormat.NONE:
        return lines
    name = f"states.{structures.value}"
    if atoms:
        write_models(decoder.atom_structure, decoder.atoms_A(z), folder / name)
    else:
        write_models(decoder.trace_structure, coords_A, folder / name)
    kept = "heavy atoms" if atoms else "CA or P atoms"
    return [*lines, f"structures  {out / name} ({len(z)} models, {kept})"]


def write_models(structure: Structure, coords_A: NDArray[np.floating], file: Path) -> None:
    """Write (states, n, 3) positions of a structure as .pdb, .cif, or .dcd with its .pdb.

    Chains, residue numbers and insertion codes are those of ``structure``; the B-factor column
    holds each residue's RMS motion in A.
    """
    from cryoscope.analysis.motion import residue_motion_A
    from cryoscope.io.dcd import write_dcd
    from cryoscope.io.structures import write_structure, write_trajectory

    model = replace(structure, b_factor_A2=residue_motion_A(coords_A, structure))
    if file.suffix.lower() == ".dcd":
        write_structure(file.with_suffix(".pdb"), model.with_coords(coords_A[0]))
        write_dcd(file, coords_A)
    else:
        write_trajectory(file, Trajectory(model, coords_A))


def write_per_particle(run: Path, latents: Latents, out: Path) -> None:
    """Write trace positions of every particle as one .npy file, NaN where there is no latent."""
    from cryoscope.io.atomic import atomic_path
    from cryoscope.training.decoding import load_decoder

    if out.suffix.lower() != ".npy":
        raise InputError("coordinates are written as .npy", file=out, cure="Name it so")
    decoder = load_decoder(run)
    decoder.require_atoms()
    shape = (len(latents), decoder.bead_count, 3)
    with (
        StageProgress() as progress,
        atomic_path(out, needed_bytes=12 * shape[0] * shape[1]) as part,
        part.open("wb") as file,
    ):
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for begin in range(0, len(latents), _CHUNK):
            rows = latents.z[begin : begin + _CHUNK]
            file.write(coords_or_nan_A(decoder, rows).tobytes())
            progress.update("decoding particles", begin + len(rows), len(latents))
    print(f"CA or P positions of {shape[0]:,} particles x {shape[1]:,} residues in A: {out}")


def coords_or_nan_A(decoder: Decoder, z: NDArray[np.floating]) -> NDArray[np.float32]:
    """(N, residues, 3) little-endian positions; NaN for the rows of ``z`` that are not finite."""
    from cryoscope.analysis.reduce import finite_rows

    known = finite_rows(z)
    coords_A = np.full((len(z), decoder.bead_count, 3), np.nan, dtype="<f4")
    if known.any():
        coords_A[known] = decoder.coords_A(z[known])
    return coords_A
