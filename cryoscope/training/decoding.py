"""From latents to structures and maps, for a model that trains or has trained."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cryoscope.data import InputError, Optics, Provenance, Structure, Volume
from cryoscope.io.run_folder import RunFolder
from cryoscope.io.structures import read_structure
from cryoscope.models.back_mapping import BackMapping
from cryoscope.models.coarse_grain import Beads, beads_for
from cryoscope.models.interfaces import HeterogeneityModel
from cryoscope.models.registry import make_model
from cryoscope.physics.fourier import make_band
from cryoscope.training.checkpoints import unpack_model
from cryoscope.training.config import TrainConfig, config_from_json


class Decoder:
    """Decodes states of one model.

    Attributes
    ----------
    epoch
        Finished epochs of the model as it is now.
    """

    def __init__(
        self,
        model: HeterogeneityModel,
        optics: Optics,
        beads: Beads,
        run_id: str,
        epoch: int = 0,
    ) -> None:
        self.model, self.optics, self.beads = model, optics, beads
        self.run_id, self.epoch = run_id, epoch

    @property
    def trace_structure(self) -> Structure:
        """The atoms of the backbone trace (CA, P or C1') at rest."""
        return self.beads.structure

    @property
    def atom_structure(self) -> Structure:
        """The heavy atoms of :meth:`atoms_A` at rest."""
        return self.beads.atoms

    @property
    def bead_count(self) -> int:
        """Residues in the trace."""
        return len(self.model.reference_A)

    @property
    def reference_A(self) -> NDArray[np.float32]:
        """(residues, 3) trace at rest."""
        return np.asarray(self.model.reference_A.cpu().numpy())

    @cached_property
    def _back_mapping(self) -> BackMapping:
        return BackMapping(self.beads)

    @torch.no_grad()
    def atoms_A(self, z: NDArray[np.floating]) -> NDArray[np.float32]:
        """(states, d) latents -> (states, n, 3) all heavy atoms; errors as :meth:`coords_A`."""
        return self._back_mapping(self.model.positions(self._states(z)).cpu().numpy())

    @torch.no_grad()
    def coords_A(self, z: NDArray[np.floating], chunk: int = 1024) -> NDArray[np.float32]:
        """(states, d) latents -> (states, residues, 3) positions of the trace.

        Raises
        ------
        InputError
            When the latents have another dimension than the model's, or are not finite.
        """
        parts = [self.model.anchors(part).cpu().numpy() for part in self._states(z).split(chunk)]
        return np.concatenate(parts)

    @torch.no_grad()
    def volume(self, z: NDArray[np.floating]) -> Volume:
        """The map of one state (d,), at the training box; errors as of :meth:`coords_A`."""
        density = self.model.decode(self._states(z)[:1])
        values = density.voxelize(self.optics.box_size_px, self.optics.pixel_size_A)
        provenance = Provenance(
            "decoded", run_id=self.run_id, epoch=self.epoch, z=tuple(map(float, np.ravel(z)))
        )
        return Volume.centred(values[0].cpu().numpy(), self.optics.pixel_size_A, provenance)

    def _states(self, z: NDArray[np.floating]) -> Tensor:
        rows = np.atleast_2d(np.asarray(z, dtype=np.float32))
        dim = self.model.latent_dim
        if rows.ndim != 2 or rows.shape[1] != dim or not np.isfinite(rows).all():
            raise InputError(
                f"latents of shape {rows.shape} do not fit this model's {dim} "
                "dimensions, or are not numbers",
                cure="Use latents of this run",
            )
        return torch.as_tensor(rows, device=self.model.reference_A.device)


def load_decoder(run_path: str | Path) -> Decoder:
    """The decoder of a run's newest checkpoint; needs none of the particles.

    Raises
    ------
    InputError
        When the folder is no run, is of a newer version, or has no checkpoint yet.
    """
    run = RunFolder.open(run_path)
    config: TrainConfig = config_from_json(run.config(), file=str(run.path / "config.json"))
    structure = read_structure(run.reference_path)
    beads = beads_for(structure, config.beads, str(run.path))
    optics = run.optics()
    # The low-pass that was trained with, which the settings may have left to be found.
    low_pass_A = float(run.info().get("low_pass_A", config.data.low_pass_A))
    band = make_band(optics.box_size_px, optics.pixel_size_A, low_pass_A, with_dc=False)
    arrays, meta = run.load_checkpoint()
    model = make_model(config.model, beads, band, torch.ones(len(band)), config)
    unpack_model(arrays, model, str(run.path))
    model.eval()
    return Decoder(model, optics, beads, run.run_id, int(meta.get("epoch", -1)))
