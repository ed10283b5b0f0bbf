"""Device, threads and model of a run, before its first step."""

from __future__ import annotations

import torch

from cryoscope.models.interfaces import HeterogeneityModel
from cryoscope.models.registry import make_model
from cryoscope.physics.devices import named_device
from cryoscope.training.config import TrainConfig
from cryoscope.training.given_latents import start_latents
from cryoscope.training.prepare import Prepared


def choose_device(name: str) -> torch.device:
    """The device named, or the best there is for ``"auto"``.

    Raises
    ------
    InputError
        When a device is asked for that is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return named_device(name)


def set_threads(threads: int) -> None:
    """Use so many CPU threads; 0 keeps what the environment or torch chose."""
    if threads > 0:
        import numba

        torch.set_num_threads(threads)
        numba.set_num_threads(min(threads, numba.get_num_threads()))


def start_model(
    config: TrainConfig, prepared: Prepared, device: torch.device, threads: int
) -> HeterogeneityModel:
    """The model as it is before its first step: the same for the same seed.

    Parameters
    ----------
    threads
        CPU threads to use from now on; 0: as they are.
    """
    set_threads(threads)
    torch.manual_seed(config.seed)
    model = make_model(
        config.model,
        prepared.beads,
        prepared.band.to(device),
        prepared.noise_power.to(device),
        config,
    )
    start_latents(model, config, len(prepared.particles), prepared.latents)
    return model
