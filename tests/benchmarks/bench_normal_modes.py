"""How long normal modes of large structures take, and how near they come to known motions.

``python tests/benchmarks/bench_normal_modes.py``: times and floors; nothing is asserted.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cryoscope.io.resources import resource_path
from cryoscope.io.structures import read_structure
from cryoscope.models.coarse_grain import Beads, coarse_grain
from cryoscope.models.normal_mode_extension import bead_modes
from cryoscope.models.normal_modes import best_mode_fit_A, elastic_modes

RIBOSOME = "6zu5_ribosome_165k_atoms.cif.gz"
#: Mean volume of a residue in a protein.
RESIDUE_A3 = 135.0


def globule_A(residues: int) -> NDArray[np.float64]:
    """(n, 3) a ball as dense as a protein: the most springs that so many residues can have."""
    spacing_A = RESIDUE_A3 ** (1 / 3)
    side = np.arange(-30, 31)
    grid = np.stack(np.meshgrid(side, side, side, indexing="ij"), axis=-1).reshape(-1, 3)
    shaken = grid + np.random.default_rng(0).uniform(-0.35, 0.35, grid.shape)
    nearest = np.argsort(np.linalg.norm(shaken, axis=1))[:residues]
    return np.asarray(shaken[nearest] * spacing_A)


def floors() -> None:
    """Best least-squares fit of modes and a rigid motion between the two ends of the kinase."""
    numbers = (1, 2, 4, 8, 16, 32, 64)
    print("best fit by d modes (ANM, CA, 12 A) and a rigid motion, RMSD in A")
    print(f"{'':16s}" + "".join(f"{'d=' + str(d):>7s}" for d in numbers))
    names = {"open": "4ake_A", "closed": "1ake_A"}
    ends = {k: read_structure(resource_path(f"structures/{v}.pdb")) for k, v in names.items()}
    coords = {k: coarse_grain(v).anchor_A for k, v in ends.items()}
    for start, end in (("open", "closed"), ("closed", "open")):
        _, modes = elastic_modes(coords[start], max(numbers), cutoff_A=12.0)
        fits = [best_mode_fit_A(coords[start], coords[end][None], modes[:, :d]) for d in numbers]
        print(f"{start + ' -> ' + end:16s}" + "".join(f"{float(fit[0]):7.2f}" for fit in fits))


def timed(
    name: str, beads: Beads | None, positions_A: NDArray[np.float64], **options: bool
) -> None:
    """One line: 32 modes of a structure, and the seconds they took."""
    begin = time.perf_counter()
    if beads is None:
        values, modes = elastic_modes(positions_A, 32)
    else:
        values, modes = bead_modes(beads, 32, **options)
    seconds = time.perf_counter() - begin
    print(
        f"{name:44s}{len(modes) // 3:8d} beads{seconds:8.1f} s   "
        f"eigenvalues {values[0]:.2g} to {values[-1]:.2g}"
    )


def main() -> None:
    """Print the tables."""
    floors()
    print()
    timed("dense globule", None, globule_A(10_000))
    root = Path(__file__).resolve().parents[2]
    path = root.parent / "shared" / "fixtures" / "structures" / RIBOSOME
    if not path.is_file():
        print(f"no {RIBOSOME} beside the checkout: the ribosome is left out")
        return
    ribosome = read_structure(path)
    protein = ribosome.take(np.isin(ribosome.residue_name, protein_residues(ribosome)))
    timed("ribosomal proteins", coarse_grain(protein, file=path), protein.coords_A)
    whole = coarse_grain(ribosome, file=path)
    timed("ribosome, proteins and RNA", whole, ribosome.coords_A)
    timed("ribosome, each chain alone", whole, ribosome.coords_A, by_chain=True)
    atoms = coarse_grain(ribosome, kind="atoms", file=path)
    timed("ribosome, carried to all atoms", atoms, ribosome.coords_A)


def protein_residues(structure: object) -> NDArray[np.str_]:
    """Names of the residues that have a CA."""
    names = structure.residue_name[structure.alpha_carbons()]  # type: ignore[attr-defined]
    return np.unique(names)


if __name__ == "__main__":
    main()
