"""Latents a run does not learn itself: those of another run, or none yet."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from cryoscope.data import InputError, Particles
from cryoscope.io.run_folder import RunFolder
from cryoscope.models.interfaces import HeterogeneityModel
from cryoscope.training.config import TrainConfig

#: Kinds of latents that are kept as one vector per particle.
KEPT = ("table", "given")
#: Spread of the vectors an auto-decoder starts with.
_FIRST_SPREAD = 0.1


def given_latents(config: TrainConfig, particles: Particles) -> NDArray[np.float32] | None:
    """(N, d) latents of the run ``data.latents_of``, particle for particle; None if not asked for.

    Particles are matched by their identity, never by order.

    Raises
    ------
    InputError
        Where no run is named, or it has no latents of some particles, or others in number.
    """
    if config.latent.kind != "given":
        return None
    if not config.data.latents_of:
        raise InputError(
            "latent.kind is given, but no run gives the latents",
            cure="Name its folder (--set data.latents_of=RUN)",
        )
    run = RunFolder.open(config.data.latents_of)
    latents = run.load_latents()
    row_of = {str(uid): row for row, uid in enumerate(latents.uid)}
    rows = np.array([row_of.get(str(uid), -1) for uid in particles.uid], dtype=np.int64)
    if (rows < 0).any():
        first = int(np.argmax(rows < 0))
        raise InputError(
            f"the run has no latents of {int((rows < 0).sum()):,} particles, the first of them "
            f"{particles.uid[first]}",
            file=run.path,
            row=int(particles.source.row[first]),
            cure="Give the particles that run was trained on",
        )
    z = np.asarray(latents.z[rows], dtype=np.float32)
    if not np.isfinite(z).all():
        raise InputError(
            "some particles have no latents in that run yet",
            file=run.path,
            cure="Let it finish an epoch first",
        )
    if z.shape[1] != config.latent.dim:
        raise InputError(
            f"that run has {z.shape[1]} latent dimensions, this one {config.latent.dim}",
            file=run.path,
            cure=f"Set latent.dim to {z.shape[1]}",
        )
    return z


def start_latents(
    model: HeterogeneityModel,
    config: TrainConfig,
    count: int,
    given: NDArray[np.float32] | None = None,
) -> None:
    """Give a model that keeps a vector per particle those it begins with; nothing to others.

    Parameters
    ----------
    count
        Number of particles.
    given
        (count, d) latents of another run; None: small random ones, the same for the same seed.
    """
    if config.latent.kind not in KEPT:
        return
    if given is None:
        generator = torch.Generator().manual_seed(config.seed)
        z = _FIRST_SPREAD * torch.randn((count, config.latent.dim), generator=generator)
    else:
        z = torch.as_tensor(given)
    model.start_latents(z)  # type: ignore[attr-defined]
