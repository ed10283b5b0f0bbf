"""Volume networks of ours, written so that cryoDRGN decodes them (see `cryodrgn_model`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import yaml
from torch import Tensor, nn

from cryoscope.data import InputError, Latents, Optics
from cryoscope.io.atomic import atomic_folder, write_text_atomic
from cryoscope.io.cryodrgn_files import box_lengths_A, write_ctf, write_poses, write_z
from cryoscope.io.particles_file import ParticleMetadata
from cryoscope.models.volume_field import VolumeField
from cryoscope.training.cryodrgn_model import ENCODINGS, feature_order
from cryoscope.training.model_config import VolumeConfig


def write_cryodrgn_run(
    out: str | Path,
    field: VolumeField,
    settings: VolumeConfig,
    latents: Latents,
    optics: Optics,
    *,
    particles: str | Path,
    metadata: ParticleMetadata,
) -> None:
    """Write a volume model of ours as a finished cryoDRGN run (a decoder without encoder).

    ``cryodrgn eval_vol`` and ``analyze`` decode it: config.yaml, weights.N.pkl,
    z.N.pkl, weights.pkl, z.pkl, pose.pkl and ctf.pkl; N is the epoch of the latents.

    Parameters
    ----------
    out
        Folder to make.
    field, settings
        The network and the settings that it was made with.
    latents
        Of all particles.
    optics
        Sampling of the trained box.
    particles, metadata
        The particle file, and what it says, in the order of the latents.

    Raises
    ------
    InputError
        The network cannot be expressed in cryoDRGN's; latents that are not finite, or not of
        these particles; `out` holds something or cannot be written.
    """
    out = Path(out)
    named = {ours: theirs for theirs, ours in ENCODINGS.items()}
    if settings.encoding not in named or len(set(settings.widths)) != 1:
        raise InputError(
            "cryoDRGN has no network with this encoding and these widths",
            file=out,
            cure="Train with hidden layers of one width and volume.encoding gaussian, "
            "geometric-low or geometric",
        )
    missing = np.flatnonzero(~np.isfinite(latents.z).all(axis=1))
    if len(missing):
        raise InputError(
            f"{len(missing):,} particles have no latent",
            file=out,
            row=int(missing[0]) + 1,
            cure="Let the run finish its epoch first",
        )
    if not np.array_equal(latents.uid, metadata.uid) or metadata.poses is None:
        raise InputError(
            "these are not the particles of the run, or they have no poses",
            file=particles,
            cure="Give the particle file that the run was trained on",
        )
    encoding = named[settings.encoding]
    config = _config(field, settings, optics, encoding)
    files = {"particles": Path(particles), "poses": out / "pose.pkl", "ctf": out / "ctf.pkl"}
    config["dataset_args"] |= {name: str(file.absolute()) for name, file in files.items()}
    epoch = max(latents.epoch, 1)
    state = {
        "norm": config["dataset_args"]["norm"],
        "epoch": epoch,
        "model_state_dict": _cryodrgn_state(field, encoding),
    }
    with atomic_folder(out) as folder:
        write_text_atomic(folder / "config.yaml", yaml.safe_dump(config, sort_keys=True))
        write_ctf(folder / "ctf.pkl", metadata.ctf, metadata.optics)
        length_A = box_lengths_A(metadata.ctf, metadata.optics)
        write_poses(folder / "pose.pkl", metadata.poses, length_A)
        for name in (f".{epoch}.pkl", ".pkl"):
            torch.save(state, folder / f"weights{name}")
            write_z(folder / f"z{name}", latents.z, latents.log_var)
        write_text_atomic(folder / "run.log", "written by Cryoscope\n")


def _config(
    field: VolumeField, settings: VolumeConfig, optics: Optics, encoding: str
) -> dict[str, Any]:
    """What config.yaml says, but for the input files."""
    deviation = float(field.amplitude) * optics.box_size_px
    return {
        "cmd": ["cryoscope", "convert"],
        "dataset_args": {
            "datadir": None,
            "ind": None,
            "do_pose_sgd": False,
            "invert_data": True,
            "keepreal": False,
            "norm": [0.0, deviation],
            "window": True,
            "window_r": 0.85,
        },
        "lattice_args": {"D": optics.box_size_px + 1, "extent": 0.5, "ignore_DC": True},
        "model_args": {
            "activation": "relu",
            "dim": int(settings.widths[0]),
            "domain": settings.domain,
            "feat_sigma": float(settings.encoding_sigma),
            "layers": len(settings.widths) - 1,
            "pe_dim": len(field.waves) // 3,
            "pe_type": encoding,
            "zdim": field.latent_dim,
        },
        "seed": 0,
        # What eval_vol and analyze look at has been the same since this version.
        "version": "4.3.1",
    }


def _cryodrgn_state(field: VolumeField, encoding: str) -> dict[str, Tensor]:
    """Tensors under cryoDRGN's names."""
    count = len(field.waves)
    order = feature_order(count, encoding)
    first = field.first.weight.detach().clone()
    first[:, order] = field.first.weight.detach()[:, : 2 * count]
    state: dict[str, Tensor] = {}
    if encoding == "gaussian":
        state["rand_freqs"] = field.waves / (field.box_size_px // 2)
    width = len(first)
    if first.shape[1] == width:  # cryoDRGN makes such a layer a residual one
        state["decoder.main.0.linear.weight"] = first - torch.eye(width)
        state["decoder.main.0.linear.bias"] = field.first.bias.detach()
    else:
        state["decoder.main.0.weight"] = first
        state["decoder.main.0.bias"] = field.first.bias.detach()
    for place, (layer, residual) in enumerate(zip(field.hidden, field.residual, strict=True), 1):
        linear = cast(nn.Linear, layer)
        identity = 0.0 if residual else torch.eye(width)
        state[f"decoder.main.{2 * place}.linear.weight"] = linear.weight.detach() - identity
        state[f"decoder.main.{2 * place}.linear.bias"] = linear.bias.detach()
    last = f"decoder.main.{2 * len(field.hidden) + 2}"
    state[f"{last}.weight"] = field.last.weight.detach()
    state[f"{last}.bias"] = field.last.bias.detach()
    return {name: tensor.cpu().contiguous() for name, tensor in state.items()}
