"""From latents to structures and maps, for a model that trains or has trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cryoscope.data import InputError, Optics, Provenance, Structure, Volume
from cryoscope.io.cryodrgn_run import CryodrgnRun
from cryoscope.io.run_folder import RunFolder
from cryoscope.io.structures import read_structure
from cryoscope.models.back_mapping import BackMapping
from cryoscope.models.coarse_grain import Beads, beads_for
from cryoscope.models.interfaces import HeterogeneityModel, Interruptible
from cryoscope.models.registry import make_model, needs_structure
from cryoscope.physics.fourier import make_band
from cryoscope.training.checkpoints import unpack_model
from cryoscope.training.config import TrainConfig, config_from_json

#: Largest boxes of maps that follow the cursor: of beads, and of a network of voxels.
MOST_PREVIEW_PX, MOST_NETWORK_PREVIEW_PX = 128, 48


class Decoder:
    """Decodes states of one model.

    Parameters
    ----------
    beads
        What the model's atomic reference is made of; None in a model without atoms.
    atomic
        The decoder of the run whose latents this one was given (density stage): structures come
        from it, maps from this model.

    Attributes
    ----------
    epoch
        Finished epochs of the model as it is now.
    """

    def __init__(
        self,
        model: HeterogeneityModel,
        optics: Optics,
        beads: Beads | None,
        run_id: str,
        epoch: int = 0,
        *,
        atomic: Decoder | None = None,
    ) -> None:
        self.model, self.optics, self.beads = model, optics, beads
        self.run_id, self.epoch = run_id, epoch
        self._atomic = atomic

    @property
    def has_atoms(self) -> bool:
        """Whether states have a structure."""
        return self._atomic is not None or (self.beads is not None and self.bead_count > 0)

    @property
    def preview_box_px(self) -> int:
        """Box of a map that follows the cursor: a network is asked for every voxel of it."""
        most = MOST_PREVIEW_PX if self.beads is not None else MOST_NETWORK_PREVIEW_PX
        return min(most, self.optics.box_size_px)

    @property
    def trace_structure(self) -> Structure:
        """The atoms of the backbone trace (CA, P or C1') at rest (InputError without atoms)."""
        return self._source._known_beads().structure

    @property
    def atom_structure(self) -> Structure:
        """The heavy atoms of :meth:`atoms_A` at rest (InputError without atoms)."""
        return self._source._known_beads().atoms

    @property
    def bead_count(self) -> int:
        """Residues in the trace; 0 in a model without atoms."""
        return len(self._source.model.reference_A)

    @property
    def reference_A(self) -> NDArray[np.float32]:
        """(residues, 3) trace at rest."""
        return np.asarray(self._source.model.reference_A.cpu().numpy())

    def require_atoms(self) -> None:
        """Refuse, if states of this model have no structure.

        Raises
        ------
        InputError
            Saying so.
        """
        self._source._known_beads()

    def _known_beads(self) -> Beads:
        if self.beads is None or len(self.model.reference_A) == 0:
            raise InputError(
                "this run has no atomic model: its states are maps alone",
                cure="Decode maps, or train a method that deforms a structure",
            )
        return self.beads

    @property
    def _source(self) -> Decoder:
        """Where structures come from."""
        return self if self._atomic is None else self._atomic

    @cached_property
    def _back_mapping(self) -> BackMapping:
        return BackMapping(self._known_beads())

    @torch.no_grad()
    def atoms_A(self, z: NDArray[np.floating], chunk: int = 256) -> NDArray[np.float32]:
        """(states, d) latents -> (states, n, 3) all heavy atoms; errors as :meth:`coords_A`."""
        source = self._source
        states = source._states(z).split(chunk)
        parts = [source.model.positions(part).cpu().numpy() for part in states]
        return np.concatenate([source._back_mapping(part) for part in parts])

    @torch.no_grad()
    def coords_A(self, z: NDArray[np.floating], chunk: int = 1024) -> NDArray[np.float32]:
        """(states, d) latents -> (states, residues, 3) positions of the trace.

        Raises
        ------
        InputError
            When the latents have another dimension than the model's, or are not finite.
        """
        source = self._source
        states = source._states(z).split(chunk)
        return np.concatenate([source.model.anchors(part).cpu().numpy() for part in states])

    @torch.no_grad()
    def volume(
        self,
        z: NDArray[np.floating],
        box_size_px: int = 0,
        check: Callable[[], None] | None = None,
    ) -> Volume:
        """The map of one state (d,); errors as of :meth:`coords_A`.

        Parameters
        ----------
        box_size_px
            Box of the map, as wide as the training box in A: smaller ones are coarser and quicker;
            0 = the training box.
        check
            Called now and then while a large map is made; it may raise to leave it.
        """
        density = self.model.decode(self._states(z)[:1])
        if check is not None and isinstance(density, Interruptible):
            density.check = check
        box_px = box_size_px or self.optics.box_size_px
        voxel_A = self.optics.pixel_size_A * self.optics.box_size_px / box_px
        values = density.voxelize(box_px, voxel_A)
        provenance = Provenance(
            "decoded", run_id=self.run_id, epoch=self.epoch, z=tuple(map(float, np.ravel(z)))
        )
        return Volume.centred(values[0].cpu().numpy(), voxel_A, provenance)

    def volumes(self, z: NDArray[np.floating], box_size_px: int = 0) -> Iterator[Volume]:
        """The maps of (states, d) latents one after the other; see :meth:`volume`."""
        for state in np.atleast_2d(z):
            yield self.volume(state, box_size_px)

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


def load_decoder(run_path: str | Path, step: int | None = None) -> Decoder:
    """The decoder of a run's newest checkpoint, ours or cryoDRGN's; needs none of the particles.

    With ``step`` that of an earlier checkpoint; in runs of cryoDRGN it is the epoch.

    Raises
    ------
    InputError
        When the folder is no run, is of a newer version, or has no checkpoint yet.
    """
    if CryodrgnRun.is_one(run_path):
        from cryoscope.training.cryodrgn_model import load_cryodrgn_decoder

        return load_cryodrgn_decoder(run_path, step)
    run = RunFolder.open(run_path)
    config: TrainConfig = config_from_json(run.config(), file=str(run.path / "config.json"))
    beads = _beads(run, config)
    optics = run.optics()
    # The low-pass that was trained with, which the settings may have left to be found.
    low_pass_A = float(run.info().get("low_pass_A", config.data.low_pass_A))
    band = make_band(optics.box_size_px, optics.pixel_size_A, low_pass_A, with_dc=False)
    arrays, meta = run.load_checkpoint(step)
    model = make_model(config.model, beads, band, torch.ones(len(band)), config)
    unpack_model(arrays, model, str(run.path))
    model.eval()
    epoch = int(meta.get("epoch", -1))
    return Decoder(model, optics, beads, run.run_id, epoch, atomic=atomic_decoder(config))


def atomic_decoder(config: TrainConfig) -> Decoder | None:
    """The decoder of the run whose latents a density stage was given; None elsewhere, or if gone.

    The maps are whole without it, so that a run that was moved away is no error.
    """
    source = Path(config.data.latents_of)
    if config.latent.kind != "given" or not (source / "run.json").is_file():
        return None
    decoder = load_decoder(source)
    return decoder if decoder.has_atoms else None


def _beads(run: RunFolder, config: TrainConfig) -> Beads | None:
    if not run.reference_path.is_file() and not needs_structure(config.model):
        return None
    return beads_for(read_structure(run.reference_path), config.beads, str(run.path))
