"""The one training configuration: nested frozen records, plain JSON, every field documented.

The command line's help and the window's forms are made from these descriptions. A *preset* is one
value of :class:`TrainConfig` (see :mod:`cryoscope.training.presets`). Importing this module does
not import torch.
"""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, TypeAdapter, ValidationError, model_validator
from pydantic.dataclasses import dataclass

from cryoscope.data import InputError
from cryoscope.training.model_config import (
    STRICT,
    BeadConfig,
    DeformerConfig,
    EncoderConfig,
    LatentConfig,
    PoseConfig,
    RestraintConfig,
    VolumeConfig,
)

__all__ = [
    "BeadConfig",
    "DataConfig",
    "DeformerConfig",
    "EncoderConfig",
    "LatentConfig",
    "LossConfig",
    "OptimiserConfig",
    "PhaseConfig",
    "PoseConfig",
    "RestraintConfig",
    "TrainConfig",
    "VolumeConfig",
    "config_from_json",
    "config_to_json",
]


@dataclass(frozen=True, config=STRICT)
class DataConfig:
    """What is trained on, and how it is prepared."""

    particles: str = Field(default="", description="Particle file (.star)")
    structure: str = Field(default="", description="Reference atomic model (.pdb, .cif)")
    consensus_map: str = Field(
        default="", description="Consensus map of these poses (.mrc), for the automatic low-pass"
    )
    subset: Literal["all", "half1", "half2"] = Field(
        default="all", description="Train on all particles, or on one half-set"
    )
    held_out: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Share of the particles that is never trained on, to measure the fit by",
    )
    control: Literal["none", "noise"] = Field(
        default="none",
        description="noise: every image is replaced by noise of the same spectrum; nothing may "
        "then move",
    )
    box_size_px: int = Field(
        default=0,
        ge=0,
        le=1024,
        multiple_of=2,
        description="Training box; images are Fourier-cropped; 0 = automatic (about 1.5 A/px, "
        "128 px at most)",
    )
    particle_radius_A: float = Field(
        default=0.0, ge=0, description="Background starts here; 0 = from the structure"
    )
    contrast: Literal["auto", "bright", "dark"] = Field(
        default="auto", description="Protein bright or dark in the images; auto = detected"
    )
    low_pass_A: float = Field(
        default=0.0,
        ge=0,
        description="Finest resolution trained; 0 = where the FSC between the structure and the "
        "consensus map falls to 0.5, or Nyquist without a map",
    )
    window_radius: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Images fade to 0 from this share of the half-box to its edge; 0 = no window",
    )
    latents_of: str = Field(
        default="",
        description="Run folder whose latents are used as they are, so that this run's maps share "
        "its latent space (density stage)",
    )
    structure_origin: Literal["auto", "centre", "corner"] = Field(
        default="auto",
        description="Where the map that the structure was fitted to has its origin: in the centre "
        "of the box (as after cryoscope simulate) or in its corner (as RELION maps in ChimeraX)",
    )
    cache_dir: str = Field(
        default="",
        description="Folder of the particle cache; empty = cryoscope-cache beside the particles",
    )
    cache_float16: bool = Field(
        default=False,
        description="Keep the particle cache in 16 bits a pixel: half the disk space, values "
        "rounded to one part in 2,000",
    )
    image_folder: str = Field(
        default="", description="A further folder to look for the image stacks in"
    )
    class_number: int = Field(
        default=-1,
        ge=-1,
        description="cryoSPARC particles aligned to several classes (heterogeneous refinement): "
        "take the poses of this class; -1 = the file has one alignment",
    )


@dataclass(frozen=True, config=STRICT)
class LossConfig:
    """Data term, its scale, and the priors."""

    data: Literal["likelihood", "l2-sum", "l2-mean", "ncc"] = Field(
        default="likelihood",
        description="Gaussian log-likelihood in nats, squared differences summed or averaged over "
        "pixels, or cryoSTAR's normalised correlation",
    )
    scale: Literal["image", "global", "none", "model"] = Field(
        default="image",
        description="Intensity of the model: the best for each image, one learned for all, one "
        "for all that stays as it fits the first images, or the model's own",
    )
    data_weight: float = Field(default=1.0, gt=0, description="Weight of the data term")
    whiten: bool = Field(
        default=True, description="Weight each resolution shell by its noise power"
    )
    ctf_envelope_A2: float = Field(
        default=0.0, ge=0, description="B-factor of a CTF envelope, exp(-B k^2 / 4)"
    )
    kl_weight: float = Field(default=1.0, ge=0, description="Weight of the KL divergence in nats")
    kl_warmup_steps: int = Field(
        default=500, ge=0, description="Steps over which the KL weight rises"
    )
    kl_target: float = Field(
        default=0.0,
        ge=0,
        description="Pull the KL divergence towards this many nats, by its squared distance; "
        "0 = the divergence itself is the cost",
    )
    centring_weight: float = Field(
        default=0.0, ge=0, description="Weight of the mean square of the centre's coordinates, A^2"
    )
    mode_prior_weight: float = Field(
        default=0.0, ge=0, description="Weight of (mode coefficient x eigenvalue)^2"
    )
    segment_prior_weight: float = Field(
        default=0.0, ge=0, description="Weight of the prior that keeps soft segments equally long"
    )
    restraints: tuple[RestraintConfig, ...] = Field(default=(), description="Pair potentials")

    @model_validator(mode="after")
    def _signal_is_in_nats(self) -> Self:
        by_signal = any(restraint.schedule == "signal" for restraint in self.restraints)
        if by_signal and self.data != "likelihood":
            raise ValueError("restraints by signal need the likelihood as data term")
        return self

    @model_validator(mode="after")
    def _each_kind_once(self) -> Self:
        kinds = [restraint.pairs for restraint in self.restraints]
        if len(set(kinds)) < len(kinds):
            raise ValueError("each kind of pairs can be restrained once")
        return self


@dataclass(frozen=True, config=STRICT)
class PhaseConfig:
    """A stretch of training before the main one."""

    kind: Literal["zero-init", "warm-up"] = Field(
        default="warm-up",
        description="zero-init: until nothing is deformed; warm-up: everything is trained, then "
        "the coordinates go back to where they began",
    )
    epochs: float = Field(default=1.0, gt=0, description="Length, in passes through the particles")
    tolerance_A2: float = Field(
        default=1e-3, gt=0, description="zero-init: mean square deformation at which it ends early"
    )


@dataclass(frozen=True, config=STRICT)
class OptimiserConfig:
    """How the parameters move, and for how long."""

    kind: Literal["adamw", "adam"] = Field(default="adamw", description="Optimiser")
    learning_rate: float = Field(default=1e-3, gt=0, description="Peak learning rate")
    final_learning_rate: float = Field(
        default=2e-5, ge=0, description="Reached by a cosine at the end"
    )
    warmup_steps: int = Field(default=100, ge=0, description="Linear rise of the learning rate")
    weight_decay: float = Field(default=0.01, ge=0, description="AdamW's decoupled weight decay")
    batch_size: int = Field(default=128, ge=1, description="Images per step")
    epochs: int = Field(default=30, ge=1, description="Passes through the particles")
    minutes: float = Field(
        default=0.0, ge=0, description="Stop after this much training; 0 = epochs"
    )
    gradient_clip: float = Field(default=0.0, ge=0, description="Largest gradient norm; 0 = off")


@dataclass(frozen=True, config=STRICT)
class TrainConfig:
    """Everything a run needs to be made again."""

    preset: str = Field(
        default="cryoscope-default", description="Preset this configuration started from"
    )
    model: str = Field(default="atomic", description="Registered model")
    data: DataConfig = DataConfig()
    beads: BeadConfig = BeadConfig()
    encoder: EncoderConfig = EncoderConfig()
    latent: LatentConfig = LatentConfig()
    pose: PoseConfig = PoseConfig()
    deformer: DeformerConfig = DeformerConfig()
    volume: VolumeConfig = VolumeConfig()
    loss: LossConfig = LossConfig()
    optimiser: OptimiserConfig = OptimiserConfig()
    phases: tuple[PhaseConfig, ...] = Field(default=(), description="Stretches before the main one")
    seed: int = Field(default=0, ge=0, description="Seed of weights, order and latent noise")
    device: str = Field(default="auto", description="auto, cpu, cuda or cuda:N")
    threads: int = Field(default=0, ge=0, description="CPU threads of the trainer; 0 = chosen")
    checkpoint_s: float = Field(default=60.0, gt=0, description="Seconds between checkpoints")
    kept_checkpoints: int = Field(
        default=2,
        ge=1,
        description="How many checkpoints are kept, newest first: the epochs whose states can be "
        "decoded again later",
    )
    live_s: float = Field(
        default=2.0, gt=0, description="Seconds between refreshes of the live latents"
    )


_ADAPTER: TypeAdapter[TrainConfig] = TypeAdapter(TrainConfig)


def config_to_json(config: TrainConfig) -> dict[str, Any]:
    """The configuration as plain JSON values."""
    return _ADAPTER.dump_python(config, mode="json")


def config_from_json(values: Any, *, file: str | None = None) -> TrainConfig:
    """The configuration from plain JSON values.

    Raises
    ------
    InputError
        Naming the first field that is unknown or out of range.
    """
    try:
        return _ADAPTER.validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InputError(
            f"setting {field!r}: {first['msg'].removeprefix('Value error, ')}",
            file=file,
            cure="Correct or remove it; `cryoscope train --help` lists the settings",
        ) from error
