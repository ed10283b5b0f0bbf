"""A trained run with its images at hand: latents and data term of any particle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cryoscope.data import Latents
from cryoscope.io.run_folder import RunFolder
from cryoscope.models.interfaces import HeterogeneityModel
from cryoscope.models.registry import make_model
from cryoscope.training.batches import TrainingSet, encode_set, to_latents
from cryoscope.training.checkpoints import unpack_model
from cryoscope.training.config import TrainConfig, config_from_json
from cryoscope.training.decoding import Decoder
from cryoscope.training.given_latents import start_latents
from cryoscope.training.prepare import Prepared, prepare
from cryoscope.training.starting import choose_device, set_threads
from cryoscope.training.subsets import training_rows

_CHUNK = 256


@dataclass(frozen=True, eq=False)
class TrainedRun:
    """The newest checkpoint of a run, and the particles it can be asked about.

    Attributes
    ----------
    config
        Settings the run was trained with.
    prepared
        All particles of the file, prepared as they were for the run.
    """

    run_id: str
    epoch: int
    config: TrainConfig
    prepared: Prepared
    model: HeterogeneityModel
    data: TrainingSet

    @property
    def decoder(self) -> Decoder:
        """From latents to structures and maps."""
        prepared = self.prepared
        return Decoder(self.model, prepared.optics, prepared.beads, self.run_id, self.epoch)

    def rows(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The particles that the run was trained on, and those that it held out."""
        data = self.config.data
        return training_rows(self.prepared.particles, data.subset, data.held_out, self.config.seed)

    def encode(self, rows: NDArray[np.int64] | None = None) -> Latents:
        """Latents of the particles at ``rows`` (None: all), in that order."""
        posterior = encode_set(self.model, self.data, rows)
        uid = self.prepared.particles.uid
        chosen = uid if rows is None else uid[rows]
        return to_latents(posterior, chosen, run_id=self.run_id, epoch=self.epoch)

    @torch.no_grad()
    def data_term(self, rows: NDArray[np.int64], *, seed: int = 0) -> NDArray[np.float64]:
        """(n,) data term of the particles at ``rows``, as in training, for one draw of latents.

        In nats for the likelihood (less than 0: better than an empty image); lower is better.
        """
        generator = torch.Generator().manual_seed(seed)
        parts = [
            self.model.losses(self.data.batch(rows[start : start + _CHUNK]), generator).terms[
                "data"
            ]
            for start in range(0, len(rows), _CHUNK)
        ]
        return torch.cat(parts).double().cpu().numpy()


def load_trained_run(
    run_path: str | Path,
    particles_path: str | Path | None = None,
    *,
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> TrainedRun:
    """A run's newest checkpoint with the particles it was trained on, or with others.

    Parameters
    ----------
    particles_path
        Particle file to read in place of the run's own: one that has moved, or other particles of
        the same box and pixel size.

    Raises
    ------
    InputError
        When the run has no checkpoint, or the particles cannot be prepared as its own were.
    """
    run = RunFolder.open(run_path)
    config = config_from_json(run.config(), file=str(run.path / "config.json"))
    set_threads(config.threads)
    arrays, meta = run.load_checkpoint()
    wanted = as_trained(run, config, particles_path)
    prepared = prepare(wanted, progress=progress, should_stop=should_stop)
    device = choose_device(config.device)
    band = prepared.band.to(device)
    model = make_model(
        config.model, prepared.beads, band, prepared.noise_power.to(device), config
    ).to(device)
    start_latents(model, config, len(prepared.particles), prepared.latents)
    unpack_model(arrays, model, str(run.path))
    model.eval()
    data = TrainingSet(prepared.particles, band, prepared.contrast, device)
    return TrainedRun(run.run_id, int(meta.get("epoch", -1)), config, prepared, model, data)


def encode_particles(
    run_path: str | Path,
    particles_path: str | Path | None = None,
    rows: NDArray[np.int64] | None = None,
) -> Latents:
    """Latents of particles by a run's newest checkpoint, whether it was trained on them or not.

    Arguments and errors as of :func:`load_trained_run`; ``rows`` None encodes all particles.
    """
    return load_trained_run(run_path, particles_path).encode(rows)


def as_trained(
    run: RunFolder, config: TrainConfig, particles_path: str | Path | None = None
) -> TrainConfig:
    """Settings that prepare particles as a run's were, with what it had found out filled in.

    Parameters
    ----------
    config
        The run's own settings.
    particles_path
        Particle file in place of the run's own.
    """
    info, optics = run.info(), run.optics()
    sign = {1: "bright", -1: "dark"}.get(info.get("contrast", 0), config.data.contrast)
    values: dict[str, Any] = {
        "particles": str(particles_path or config.data.particles),
        "structure": str(run.reference_path) if run.reference_path.is_file() else "",
        "structure_origin": "centre",
        "consensus_map": "",
        "low_pass_A": float(info.get("low_pass_A", config.data.low_pass_A)),
        "box_size_px": optics.box_size_px,
        "contrast": sign,
    }
    return replace(config, data=replace(config.data, **values))
