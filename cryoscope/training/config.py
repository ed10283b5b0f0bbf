"""The one training configuration: nested frozen records, plain JSON, every field documented.

The command line's help and the window's forms are made from these descriptions. A *preset* is one
value of :class:`TrainConfig` (see :mod:`cryoscope.training.presets`). Importing this module does
not import torch.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic.dataclasses import dataclass

from cryoscope.data import InputError

STRICT = ConfigDict(extra="forbid")

Widths = tuple[Annotated[int, Field(ge=1)], ...]


@dataclass(frozen=True, config=STRICT)
class DataConfig:
    """What is trained on, and how it is prepared."""

    particles: str = Field(default="", description="Particle file (.star)")
    structure: str = Field(default="", description="Reference atomic model (.pdb, .cif)")
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
        default=0.0, ge=0, description="Finest resolution trained; 0 = Nyquist"
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


@dataclass(frozen=True, config=STRICT)
class BeadConfig:
    """How the structure becomes beads, and what a bead looks like."""

    coarse_grain: Literal["CA"] = Field(default="CA", description="One bead per residue")
    centre: Literal["CA", "mass"] = Field(
        default="mass",
        description="Bead at the CA, or at the residue's centre carried by the CA frame",
    )
    amplitude: Literal["electrons", "form-factor"] = Field(
        default="form-factor", description="Bead mass: electrons Z, or electron scattering f_e(0)"
    )
    b_factor_A2: float = Field(
        default=60.0,
        ge=0,
        description="Blur of every atom, exp(-B k^2 / 4), on top of the residue's size",
    )


@dataclass(frozen=True, config=STRICT)
class EncoderConfig:
    """Network from image to latent."""

    kind: Literal["bead-view", "fourier-mlp"] = Field(
        default="bead-view",
        description="What the encoder sees: bead-view, the image at the place of every bead of the "
        "reference; fourier-mlp, the image's Fourier coefficients whatever the pose",
    )
    widths: Widths = Field(default=(512, 256, 128), description="Hidden widths")
    resolution_A: float = Field(
        default=6.0, ge=0, description="fourier-mlp: finest resolution it sees; 0 = Nyquist"
    )
    windows_A: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        default=(4.0,),
        min_length=1,
        description="bead-view: widths of the windows around each bead",
    )


@dataclass(frozen=True, config=STRICT)
class LatentConfig:
    """The latent variable."""

    dim: int = Field(default=8, ge=1, le=128, description="Number of latent dimensions")
    kind: Literal["gaussian", "deterministic"] = Field(
        default="gaussian", description="Gaussian posterior with KL, or a plain autoencoder"
    )
    free_bits: float = Field(
        default=0.0, ge=0, description="KL below this many nats per dim is free"
    )


@dataclass(frozen=True, config=STRICT)
class DeformerConfig:
    """Network from latent to deformation."""

    kind: Literal["offset-mlp"] = Field(
        default="offset-mlp", description="z -> one offset per bead"
    )
    modes: int = Field(
        default=32, ge=0, description="Slow collective modes added to the free offsets; 0 = none"
    )
    mode_scale_A: float = Field(
        default=1.0, gt=0, description="RMS motion of a unit step along the softest mode"
    )
    widths: Widths = Field(default=(256, 512), description="Hidden widths")
    remove_net_motion: bool = Field(
        default=False, description="Project out net translation and rotation of the deformation"
    )


@dataclass(frozen=True, config=STRICT)
class RestraintConfig:
    """One pair potential: which pairs, what shape, which weight."""

    pairs: Literal["bonds", "elastic", "clash"] = Field(
        default="bonds", description="Which bead pairs"
    )
    shape: Literal["quadratic", "robust", "log", "repulsive"] = Field(
        default="quadratic", description="Energy of a pair as a function of its distance"
    )
    weight: float = Field(
        default=1.0, ge=0, description="Weight against the log-likelihood, per A^2"
    )
    cutoff_A: float = Field(
        default=12.0, gt=0, description="Pairs closer than this in the reference"
    )
    width_A: float = Field(
        default=1.0, gt=0, description="Robust: strain beyond which a pair gives way"
    )
    release_fraction: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Elastic: share of the pairs, those that vary most, that is set free",
    )

    @model_validator(mode="after")
    def _shape_fits_pairs(self) -> Self:
        if (self.pairs == "clash") != (self.shape == "repulsive"):
            raise ValueError("clashes, and only clashes, are repulsive")
        return self


@dataclass(frozen=True, config=STRICT)
class LossConfig:
    """Data term, its scale, and the prior."""

    kl_weight: float = Field(default=1.0, ge=0, description="Weight of the KL divergence in nats")
    kl_warmup_steps: int = Field(
        default=500, ge=0, description="Steps over which the KL weight rises"
    )
    whiten: bool = Field(
        default=True, description="Weight each resolution shell by its noise power"
    )
    restraints: tuple[RestraintConfig, ...] = Field(default=(), description="Pair potentials")

    @model_validator(mode="after")
    def _each_kind_once(self) -> Self:
        kinds = [restraint.pairs for restraint in self.restraints]
        if len(set(kinds)) < len(kinds):
            raise ValueError("each kind of pairs can be restrained once")
        return self


@dataclass(frozen=True, config=STRICT)
class OptimiserConfig:
    """How the parameters move, and for how long."""

    learning_rate: float = Field(default=1e-3, gt=0, description="AdamW's peak learning rate")
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
    model: str = Field(default="bead-vae", description="Registered model")
    data: DataConfig = DataConfig()
    beads: BeadConfig = BeadConfig()
    encoder: EncoderConfig = EncoderConfig()
    latent: LatentConfig = LatentConfig()
    deformer: DeformerConfig = DeformerConfig()
    loss: LossConfig = LossConfig()
    optimiser: OptimiserConfig = OptimiserConfig()
    seed: int = Field(default=0, ge=0, description="Seed of weights, order and latent noise")
    device: str = Field(default="auto", description="auto, cpu, cuda or cuda:N")
    threads: int = Field(default=0, ge=0, description="CPU threads of the trainer; 0 = chosen")
    checkpoint_s: float = Field(default=60.0, gt=0, description="Seconds between checkpoints")
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
