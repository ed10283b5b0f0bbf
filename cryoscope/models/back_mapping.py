"""From beads back to atoms: every residue is carried rigidly by its local frame."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from cryoscope.models.coarse_grain import Beads
from cryoscope.models.local_frames import chain_frames, frame_atoms

#: Atoms of all states that are placed at once; bounds the memory beside the result.
ATOMS_AT_ONCE = 1_000_000


class BackMapping:
    """Heavy atoms of any number of states from the positions of their beads.

    Each residue turns with the frame of trace atoms i-1, i, i+1, as bead centres do in
    :class:`~cryoscope.models.local_frames.CarriedCentres`, and is moved along with its bead; with
    side-chain beads the side chain has its centre of mass on the bead. At the reference this
    gives the reference's atoms (bonds between residues are only as good as the trace elsewhere).

    Parameters
    ----------
    beads
        Of any kind; for ``"atoms"`` the beads are the atoms.
    """

    def __init__(self, beads: Beads) -> None:
        self._bead_count = len(beads)
        self._atom_bead = torch.as_tensor(beads.atom_bead)
        self._is_atoms = np.array_equal(beads.atom_bead, np.arange(len(beads)))
        self._trace = torch.as_tensor(beads.trace)
        home_A = torch.as_tensor(beads.home_A, dtype=torch.float64)
        trace_A = home_A[self._trace]
        self._corners = [
            torch.as_tensor(index) for index in frame_atoms(beads.bonded, trace_A.numpy())
        ]
        frame = torch.arange(len(beads))
        frame[self._trace] = torch.arange(len(beads.trace))
        if len(beads.side_chains):
            backbone, side = torch.as_tensor(beads.side_chains).unbind(1)
            frame[side] = frame[backbone]
        self._frame = frame[self._atom_bead] if not self._is_atoms else frame
        if self._is_atoms:
            return
        frames = chain_frames(trace_A[None], *self._corners)[0][self._frame]
        offset = torch.as_tensor(beads.atoms.coords_A) - home_A[self._atom_bead]
        self._local = torch.einsum("nij,nj->ni", frames, offset)
        # what the axes of an undefined frame do not span stays fixed in space
        self._fixed = offset - torch.einsum("nij,ni->nj", frames, self._local)

    def __call__(self, positions_A: NDArray[np.floating]) -> NDArray[np.float32]:
        """Place the atoms.

        Parameters
        ----------
        positions_A
            (S, N, 3) positions of all beads (their anchors) in S states.

        Returns
        -------
        (S, n, 3) heavy atoms, in the order of ``beads.atoms``.

        Raises
        ------
        ValueError
            If there is not one position for every bead.
        """
        positions_A = np.asarray(positions_A)
        if positions_A.ndim != 3 or positions_A.shape[1:] != (self._bead_count, 3):
            raise ValueError(
                f"positions {positions_A.shape} are not (states, {self._bead_count}, 3)"
            )
        if self._is_atoms:
            return positions_A.astype(np.float32)
        states, atoms = len(positions_A), len(self._atom_bead)
        placed = np.empty((states, atoms, 3), dtype=np.float32)
        step = max(1, ATOMS_AT_ONCE // atoms)
        for first in range(0, states, step):
            some = positions_A[first : first + step].astype(np.float64)
            placed[first : first + step] = self._place(torch.as_tensor(some)).numpy()
        return placed

    def _place(self, positions_A: torch.Tensor) -> torch.Tensor:
        """(s, N, 3) beads -> (s, n, 3) atoms."""
        frames = chain_frames(positions_A[:, self._trace], *self._corners)
        placed = positions_A[:, self._atom_bead] + self._fixed
        for axis in range(3):
            placed += self._local[:, axis, None] * frames[:, :, axis][:, self._frame]
        return placed
