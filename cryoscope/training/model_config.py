"""Settings of the pieces a model is made of; see :mod:`cryoscope.training.config`."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

STRICT = ConfigDict(extra="forbid")

Widths = tuple[Annotated[int, Field(ge=1)], ...]


@dataclass(frozen=True, config=STRICT)
class BeadConfig:
    """How the structure becomes beads, and what a bead looks like."""

    coarse_grain: Literal["CA", "CA+SC", "atoms"] = Field(
        default="CA",
        description="One bead per residue, one more per side chain, or every heavy atom",
    )
    nucleotide: Literal["P", "C1'"] = Field(
        default="P", description="Atom that carries the bead of a nucleotide"
    )
    centre: Literal["CA", "mass", "parts"] = Field(
        default="parts",
        description="What a CA (P) bead carries: its mass in its own place, at the residue's "
        "centre, or at those of backbone and side chain, turning with the local frame",
    )
    side_chain_start: Literal["mass", "CA"] = Field(
        default="mass",
        description="CA+SC: side-chain beads start at their centre of mass, or on the CA "
        "(Cryofold's approximate model; a small random offset breaks the symmetry)",
    )
    amplitude: Literal["electrons", "form-factor"] = Field(
        default="form-factor", description="Bead mass: electrons Z, or electron scattering f_e(0)"
    )
    width: Literal["residue", "prins", "fixed"] = Field(
        default="residue",
        description="Bead width: the residue's own size, Prins' fit per residue type, or sigma_A",
    )
    sigma_A: float = Field(default=2.0, gt=0, description="Width of every bead where it is fixed")
    b_factor_A2: float = Field(
        default=60.0,
        ge=0,
        description="Blur of every atom, exp(-B k^2 / 4), on top of the bead's size",
    )
    learn_blur: bool = Field(default=True, description="Learn the common B-factor")
    learn_width: Literal["none", "tied", "type", "bead"] = Field(
        default="none",
        description="Learn a factor of the widths: one for all, per residue type, or per bead",
    )
    learn_amplitude: Literal["none", "tied", "type", "bead"] = Field(
        default="none",
        description="Learn a factor of the masses: one for all, per residue type, or per bead",
    )
    amplitude_scale: float = Field(
        default=1.0, gt=0, description="First value of the factor common to all masses"
    )


@dataclass(frozen=True, config=STRICT)
class EncoderConfig:
    """Network from image to features."""

    kind: Literal[
        "bead-view",
        "fourier-mlp",
        "image-mlp",
        "residual-mlp",
        "vgg",
        "cryofire",
        "group-cnn",
        "none",
    ] = Field(
        default="bead-view",
        description="bead-view looks at the image at the place of every bead of the reference; "
        "fourier-mlp at Fourier coefficients, image-mlp, residual-mlp (Cryofold) and the "
        "convolutional vgg (Nashed), cryofire (Prins) and group-cnn (GroupNorm) at pixels; "
        "none: one structure for all particles",
    )
    input: Literal["auto", "weighted", "phase-flipped", "raw"] = Field(
        default="auto",
        description="Un-shifted and weighted by CTF / noise, un-shifted and phase-flipped, or as "
        "it is; auto = weighted for bead-view and fourier-mlp, phase-flipped for the others",
    )
    widths: Widths = Field(default=(512, 256, 128), description="Hidden widths")
    channels: Widths = Field(
        default=(), description="Channels of the convolutional encoders; empty = as published"
    )
    residual: bool = Field(
        default=False, description="fourier-mlp: residual links between equal widths"
    )
    head_widths: Widths = Field(
        default=(), description="Hidden widths of each head (latent, shift, pose)"
    )
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
    kind: Literal["gaussian", "deterministic", "table", "given"] = Field(
        default="gaussian",
        description="Gaussian posterior with KL, a plain autoencoder, one free vector per particle "
        "without an encoder (auto-decoder), or those of another run (data.latents_of)",
    )
    table_rate: float = Field(
        default=10.0, gt=0, description="table: learning rate of the vectors, times the networks'"
    )
    free_bits: float = Field(
        default=0.0, ge=0, description="KL below this many nats per dim is free"
    )


@dataclass(frozen=True, config=STRICT)
class VolumeConfig:
    """Volume model: the network from latent and spatial frequency to a map."""

    domain: Literal["fourier", "hartley"] = Field(
        default="fourier",
        description="What the network gives at a frequency: a complex coefficient (of one half of "
        "space; the other follows), or a real Hartley coefficient",
    )
    encoding: Literal["gaussian", "geometric-low", "geometric", "linear-low", "none"] = Field(
        default="gaussian",
        description="Waves a frequency is described by: random directions and lengths, or along "
        "the axes with wavelengths from the box's to the pixel's in geometric or even steps",
    )
    encoding_count: int = Field(
        default=0, ge=0, description="Waves per axis; 0 = half the training box"
    )
    encoding_sigma: float = Field(
        default=0.5, gt=0, description="gaussian: spread of the waves, in half-boxes"
    )
    widths: Widths = Field(default=(256, 256, 256), description="Hidden widths")
    residual: bool = Field(default=True, description="Residual links between equal widths")
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32", description="Arithmetic of the network's layers while it trains"
    )


@dataclass(frozen=True, config=STRICT)
class PoseConfig:
    """Corrections of the given poses, one per image, by the encoder."""

    shift: bool = Field(default=False, description="Learn a residual in-plane shift per image")
    shift_limit_A: float = Field(default=20.0, gt=0, description="Largest residual shift")
    rotation: bool = Field(default=False, description="Learn a residual rotation per image")
    rotation_limit_deg: float = Field(
        default=15.0, gt=0, le=180, description="Largest residual rotation"
    )
    prior_weight: float = Field(
        default=0.0, ge=0, description="Weight of (shift / limit)^2 + (angle / limit)^2"
    )


@dataclass(frozen=True, config=STRICT)
class DeformerConfig:
    """Network from latent to deformation; its parts act in the order listed here."""

    learn_reference: bool = Field(
        default=False, description="Learn the reference itself: one offset per bead for all images"
    )
    kind: Literal["offset-mlp", "field", "modes", "none"] = Field(
        default="offset-mlp",
        description="One offset per bead by a network, by a smooth field asked at the bead's place "
        "(DynaMight), normal modes alone, or nothing",
    )
    modes: int = Field(
        default=32,
        ge=0,
        description="Slow collective modes; with offset-mlp at most, and 0 = free offsets only",
    )
    mode_scale_A: float = Field(
        default=1.0, gt=0, description="offset-mlp: RMS motion of a unit step of the softest mode"
    )
    mode_coefficients: Literal["latent", "mlp"] = Field(
        default="latent",
        description="modes: the latent itself in A of RMSD (Nashed), or a network of it",
    )
    mode_cutoff_A: float = Field(
        default=15.0, gt=0, description="Springs of the elastic network are shorter than this"
    )
    mode_by_chain: bool = Field(default=False, description="modes: every chain moves by itself")
    segments: int = Field(
        default=0, ge=0, description="Rigid segments of equal length along the chain; 0 = none"
    )
    soft_segments: bool = Field(
        default=False, description="Learn where the segments end (cryoSPHERE)"
    )
    rigid_motion: bool = Field(
        default=False, description="One rotation and translation of the whole per state"
    )
    remove_net_motion: bool = Field(
        default=False, description="Project out net translation and rotation of the deformation"
    )
    widths: Widths = Field(default=(256, 512), description="Hidden widths")
    activation: Literal["relu", "silu", "elu"] = Field(
        default="relu", description="Between the layers"
    )
    residual: bool = Field(default=False, description="Residual links between equal widths")

    @model_validator(mode="after")
    def _modes_need_a_number(self) -> Self:
        if self.kind == "modes" and self.modes == 0:
            raise ValueError("normal modes alone need at least one mode")
        if self.soft_segments and self.segments == 0:
            raise ValueError("soft segments need a number of segments")
        return self


@dataclass(frozen=True, config=STRICT)
class RestraintConfig:
    """One pair potential: which pairs, what shape, which weight."""

    pairs: Literal[
        "bonds", "side-chains", "elastic", "geometry", "clash", "clash-static", "repulsion"
    ] = Field(
        default="bonds",
        description="bonds: consecutive residues; side-chains: each to its CA; elastic: near in "
        "the reference; geometry: any two residues; clash: any two that come too close; "
        "clash-static: those 4 to 10 A apart in the reference; repulsion: as clash, linear",
    )
    shape: Literal["quadratic", "robust", "log", "one-sided", "repulsive"] = Field(
        default="quadratic", description="Energy of a pair as a function of its distance"
    )
    weight: float = Field(default=1.0, ge=0, description="Weight against the data term, per A^2")
    schedule: Literal["constant", "ramp", "signal", "gradient-ratio"] = Field(
        default="constant",
        description="Weight as given; rising to it; for images explained by 100 nats, in "
        "proportion to those; or times |data gradient| / |restraint gradient|, measured",
    )
    ramp_steps: int = Field(default=1000, ge=1, description="Steps of the ramp")
    reduce: Literal["sum", "mean"] = Field(default="sum", description="Over the pairs")
    length_A: float = Field(
        default=0.0, ge=0, description="Rest length of every pair; 0 = as in the reference"
    )
    cutoff_A: float = Field(
        default=12.0, gt=0, description="Pairs closer than this (reference; clashes: now)"
    )
    width_A: float = Field(
        default=1.0, gt=0, description="Robust: strain beyond which a pair gives way"
    )
    sample: Literal["all", "random", "nearest"] = Field(
        default="all",
        description="geometry: all pairs, a fresh random share per step, or the nearest neighbours",
    )
    pair_count: int = Field(
        default=20_000, ge=1, description="geometry: pairs per step (random) or neighbours"
    )
    release_fraction: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Elastic: share of the pairs, those that vary most, that is set free",
    )
    release_by: Literal["distance", "error"] = Field(
        default="distance",
        description="Variance of the distance (cryoSTAR, paper) or of its squared error (code)",
    )
    release_per_chain: bool = Field(
        default=False, description="The share is taken within each chain; pairs between chains stay"
    )

    @model_validator(mode="after")
    def _shape_fits_pairs(self) -> Self:
        clashes = self.pairs in ("clash", "clash-static", "repulsion")
        if clashes != (self.shape == "repulsive"):
            raise ValueError("clashes, and only clashes, are repulsive")
        if (self.pairs == "side-chains") != (self.shape == "one-sided"):
            raise ValueError("side chains, and only side chains, are one-sided")
        return self
