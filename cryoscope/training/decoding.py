"""From latents to structures and maps, for a model that trains or has trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cryoscope.data import InputError, Optics, Provenance, Structure, Volume
from cryoscope.io.run_folder import RunFolder
from cryoscope.io.structures import read_structure
from cryoscope.models.coarse_grain import coarse_grain
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
        self, model: Any, optics: Optics, structure: Structure, run_id: str, epoch: int = 0
    ) -> None:
        self.model, self.optics, self.structure = model, optics, structure
        self.run_id, self.epoch = run_id, epoch

    @property
    def latent_dim(self) -> int:
        """Dimensions of the latent."""
        return int(self.model.head.dim)

    @property
    def bead_count(self) -> int:
        """Anchors per structure."""
        return int(self.model.deformer.reference_A.shape[0])

    @torch.no_grad()
    def coords_A(self, z: NDArray[np.floating], chunk: int = 1024) -> NDArray[np.float32]:
        """(states, d) latents -> (states, beads, 3) CA positions.

        Raises
        ------
        InputError
            When the latents have another dimension than the model's, or are not finite.
        """
        rows = np.atleast_2d(np.asarray(z, dtype=np.float32))
        if rows.ndim != 2 or rows.shape[1] != self.latent_dim or not np.isfinite(rows).all():
            raise InputError(
                f"latents of shape {rows.shape} do not fit this model's {self.latent_dim} "
                "dimensions, or are not numbers",
                cure="Use latents of this run",
            )
        device = self.model.deformer.reference_A.device
        parts = [
            self.model.anchors(torch.as_tensor(rows[i : i + chunk], device=device)).cpu().numpy()
            for i in range(0, len(rows), chunk)
        ]
        return np.concatenate(parts)

    @torch.no_grad()
    def volume(self, z: NDArray[np.floating]) -> Volume:
        """The map of one state, at the training box."""
        coords = torch.as_tensor(
            self.coords_A(z)[:1], device=self.model.deformer.reference_A.device
        )
        values = self.model.density_of(coords).voxelize(
            self.optics.box_size_px, self.optics.pixel_size_A
        )
        provenance = Provenance(
            "decoded", run_id=self.run_id, epoch=self.epoch, z=tuple(map(float, np.ravel(z)))
        )
        return Volume.centred(values[0].cpu().numpy(), self.optics.pixel_size_A, provenance)


def load_decoder(run_path: str | Path) -> Decoder:
    """The decoder of a run's newest checkpoint; needs none of the particles.

    Raises
    ------
    InputError
        When the folder is no run, is of a newer version, or has no checkpoint yet.
    """
    run = RunFolder.open(run_path)
    config: TrainConfig = config_from_json(run.config(), file=str(run.path / "config.json"))
    info = run.info()
    structure = read_structure(run.reference_path)
    beads = coarse_grain(
        structure, centre=config.beads.centre, amplitude=config.beads.amplitude, file=str(run.path)
    )
    optics = Optics(float(info["pixel_size_A"]), int(info["box_size_px"]))
    band = make_band(optics.box_size_px, optics.pixel_size_A, config.data.low_pass_A, with_dc=False)
    arrays, meta = run.load_checkpoint()
    model = make_model(config.model, beads, band, torch.ones(len(band)), config)
    unpack_model(arrays, model, str(run.path))
    model.eval()
    return Decoder(model, optics, structure, run.run_id, int(meta.get("epoch", -1)))
