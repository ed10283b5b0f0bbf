"""The published atomic-model methods as configurations, with the corrections made to them.

Facts are from the papers and, where these leave something open, from the authors' code; Cryofold
(arXiv:2107.01331) has no code. What differs on purpose is said beside each. Common to all:
projection without aliasing, the model (not the data) is shifted, Fourier cropping, float32
throughout, and networks whose last layer starts at zero.
"""

from __future__ import annotations

from dataclasses import replace

from cryoscope.training.config import (
    BeadConfig,
    DataConfig,
    DeformerConfig,
    EncoderConfig,
    LatentConfig,
    LossConfig,
    OptimiserConfig,
    PhaseConfig,
    PoseConfig,
    RestraintConfig,
    TrainConfig,
)


def _constant(kind: str, rate: float, batch_size: int, epochs: int) -> OptimiserConfig:
    """An optimiser without schedule."""
    return OptimiserConfig(
        kind=kind,  # type: ignore[arg-type]
        learning_rate=rate,
        final_learning_rate=rate,
        warmup_steps=0,
        weight_decay=0.01 if kind == "adamw" else 0.0,
        batch_size=batch_size,
        epochs=epochs,
    )


# Cryofold: sigma 3.71 as printed is 1.855 A in the units of a Gaussian's standard deviation (its
# transform is printed with half the width). Side chains start on the CA, moved a little.
_CRYOFOLD_BEADS = BeadConfig(
    coarse_grain="CA+SC",
    side_chain_start="CA",
    centre="CA",
    amplitude="electrons",
    width="fixed",
    sigma_A=1.855,
    b_factor_A2=0.0,
    learn_blur=False,
    learn_width="tied",
    learn_amplitude="tied",
)

CRYOFOLD_HOMO = TrainConfig(
    preset="cryofold-homo",
    beads=_CRYOFOLD_BEADS,
    encoder=EncoderConfig(kind="none"),
    latent=LatentConfig(dim=1, kind="deterministic"),
    deformer=DeformerConfig(kind="none", learn_reference=True),
    loss=LossConfig(
        data="l2-sum",
        scale="none",
        whiten=False,
        kl_weight=0.0,
        restraints=(
            RestraintConfig(pairs="bonds", weight=0.1, length_A=3.8),
            RestraintConfig(pairs="side-chains", shape="one-sided", weight=0.1),
        ),
    ),
    optimiser=_constant("adam", 1e-4, 8, 10),
    phases=(PhaseConfig(kind="warm-up", epochs=1),),
)

CRYOFOLD_HET = replace(
    CRYOFOLD_HOMO,
    preset="cryofold-het",
    encoder=EncoderConfig(kind="residual-mlp", input="raw", widths=(256, 256, 256)),
    latent=LatentConfig(dim=1, kind="gaussian"),
    deformer=DeformerConfig(
        kind="offset-mlp", modes=0, learn_reference=True, widths=(256, 256, 256), residual=True
    ),
    loss=replace(CRYOFOLD_HOMO.loss, kl_weight=1.0),
)

# Nashed: atoms in Fourier space instead of sampled at pixel centres, with a B-factor.
NASHED = TrainConfig(
    preset="nashed",
    beads=BeadConfig(
        coarse_grain="atoms",
        centre="CA",
        amplitude="form-factor",
        b_factor_A2=50.0,
        learn_blur=False,
    ),
    encoder=EncoderConfig(kind="vgg", head_widths=(512, 256)),
    latent=LatentConfig(dim=16, kind="deterministic"),
    pose=PoseConfig(shift=True),
    deformer=DeformerConfig(kind="modes", modes=16, mode_coefficients="latent"),
    loss=LossConfig(data="l2-mean", scale="global", whiten=False, kl_weight=0.0),
    optimiser=_constant("adam", 1e-3, 256, 200),
)

PRINS = TrainConfig(
    preset="prins",
    beads=BeadConfig(
        centre="CA", amplitude="electrons", width="prins", b_factor_A2=0.0, learn_blur=False
    ),
    encoder=EncoderConfig(kind="cryofire"),
    latent=LatentConfig(dim=8, kind="deterministic"),
    deformer=DeformerConfig(modes=0, widths=(350,) * 6, activation="silu"),
    loss=LossConfig(
        data="l2-mean",
        scale="global",
        whiten=False,
        kl_weight=0.0,
        centring_weight=0.1,
        restraints=(
            RestraintConfig(pairs="geometry", shape="log", weight=0.05, reduce="mean"),
            RestraintConfig(pairs="bonds", weight=0.005, length_A=3.8, reduce="mean"),
        ),
    ),
    optimiser=_constant("adam", 1e-5, 128, 400),
)

_CRYOSTAR_ELASTIC = RestraintConfig(
    pairs="elastic", weight=1.0, reduce="mean", release_fraction=0.2
)
_CRYOSTAR_BONDS = RestraintConfig(pairs="bonds", weight=1.0, reduce="mean")

# cryoSTAR's paper: 20 % of the pairs set free (its synthetic set; 5 % on EMPIAR-10180), clashes
# among all pairs. Its KL is divided by the pixels of a 128 px image.
CRYOSTAR = TrainConfig(
    preset="cryostar",
    data=DataConfig(),
    beads=BeadConfig(
        centre="CA",
        nucleotide="P",
        amplitude="electrons",
        width="fixed",
        sigma_A=2.0,
        b_factor_A2=0.0,
        learn_blur=False,
    ),
    encoder=EncoderConfig(kind="image-mlp", input="raw", widths=(512, 256, 128, 64, 32)),
    latent=LatentConfig(dim=8, kind="gaussian"),
    deformer=DeformerConfig(modes=0, widths=(32, 64, 128, 256, 512)),
    loss=LossConfig(
        data="ncc",
        whiten=False,
        kl_weight=1 / 128**2,
        kl_warmup_steps=0,
        restraints=(
            _CRYOSTAR_BONDS,
            _CRYOSTAR_ELASTIC,
            RestraintConfig(
                pairs="clash", shape="repulsive", weight=1.0, cutoff_A=4.0, reduce="mean"
            ),
        ),
    ),
    optimiser=_constant("adamw", 1e-4, 64, 154),
)

# cryoSTAR's code: pairs released by the variance of the squared error within each chain, a fixed
# list of clashing pairs, KL free up to 3 nats per dimension (in effect off), first three epochs
# spent on no deformation (over at once here, where the last layer starts at zero).
CRYOSTAR_CODE = replace(
    CRYOSTAR,
    preset="cryostar-code",
    beads=replace(CRYOSTAR.beads, nucleotide="C1'"),
    latent=LatentConfig(dim=8, kind="gaussian", free_bits=3.0),
    loss=replace(
        CRYOSTAR.loss,
        # 0.5 x the mean over 8 dimensions, over the 11,309 pixels of the mask at 128 px
        kl_weight=0.5 / 8 / 11_309,
        kl_warmup_steps=10_000,
        restraints=(
            _CRYOSTAR_BONDS,
            replace(_CRYOSTAR_ELASTIC, release_by="error", release_per_chain=True),
            RestraintConfig(
                pairs="clash-static", shape="repulsive", weight=1.0, cutoff_A=4.0, reduce="mean"
            ),
        ),
    ),
    phases=(PhaseConfig(kind="zero-init", epochs=3),),
)

CONT = replace(
    CRYOSTAR_CODE,
    preset="cont",
    loss=replace(CRYOSTAR_CODE.loss, restraints=(_CRYOSTAR_BONDS,)),
)

# cryoSTAR's baseline of 16 normal modes and one rigid motion; the modes are scaled to A and the
# rotation is about the centre of mass, without which it cannot leave the reference.
NMA_RIGID = replace(
    CRYOSTAR_CODE,
    preset="nma-rigid",
    deformer=DeformerConfig(
        kind="modes",
        modes=16,
        mode_coefficients="mlp",
        mode_cutoff_A=12.0,
        rigid_motion=True,
        widths=(32, 64, 128, 256, 512),
    ),
    loss=replace(CRYOSTAR_CODE.loss, restraints=()),
)

# DynaMight on an atomic model instead of on pseudo-atoms of a map: beads of backbone and side
# chain, a smooth field, springs between neighbours (1.5 times their mean distance) that weigh 0.9
# times as much as the data by their gradients. Its KL of 0.01 / D^2 against the mean over the
# pixels is 0.01 against their sum; its weights by residual spectrum are here the noise's. Its
# encoder sees images pooled by two; here they are phase-flipped, as large as the training box.
DYNAMIGHT = TrainConfig(
    preset="dynamight",
    beads=BeadConfig(
        coarse_grain="CA+SC",
        amplitude="electrons",
        width="fixed",
        sigma_A=2.0,
        b_factor_A2=0.0,
        learn_blur=False,
        learn_width="type",
        learn_amplitude="tied",
    ),
    encoder=EncoderConfig(kind="image-mlp", widths=(256, 128)),
    latent=LatentConfig(dim=6, kind="gaussian"),
    deformer=DeformerConfig(kind="field", modes=0, widths=(32,) * 8, activation="elu"),
    loss=LossConfig(
        data="likelihood",
        kl_weight=0.01,
        kl_warmup_steps=0,
        restraints=(
            RestraintConfig(
                pairs="elastic",
                weight=0.9,
                schedule="gradient-ratio",
                cutoff_A=5.7,
                reduce="mean",
            ),
            RestraintConfig(pairs="repulsion", shape="repulsive", weight=0.01, cutoff_A=2.5),
        ),
    ),
    optimiser=_constant("adam", 1e-3, 128, 100),
    phases=(PhaseConfig(kind="warm-up", epochs=3),),
)

# cryoSPHERE: as cryoSTAR in what it sees and compares; its segments' distributions are points here.
CRYOSPHERE = replace(
    CRYOSTAR,
    preset="cryosphere",
    encoder=EncoderConfig(kind="image-mlp", input="raw", widths=(512, 256, 64, 64)),
    deformer=DeformerConfig(
        kind="none", segments=20, soft_segments=True, widths=(64, 64, 256, 512)
    ),
    loss=replace(
        CRYOSTAR.loss,
        segment_prior_weight=0.01,
        restraints=(
            replace(_CRYOSTAR_BONDS, weight=0.1),
            RestraintConfig(
                pairs="clash", shape="repulsive", weight=0.1, cutoff_A=4.0, reduce="mean"
            ),
        ),
    ),
    optimiser=_constant("adam", 3e-5, 128, 150),
)

PUBLISHED: dict[str, tuple[str, TrainConfig]] = {
    "cryostar": (
        "cryoSTAR (Li et al. 2024), as in the paper: one bead per residue, elastic network whose "
        "most variable springs are set free, correlation with the image.",
        CRYOSTAR,
    ),
    "cryostar-code": (
        "cryoSTAR as its published program runs: springs released by error, fixed clash list, "
        "KL in effect off.",
        CRYOSTAR_CODE,
    ),
    "cont": ("cryoSTAR's baseline CONT: bonds are the only restraint.", CONT),
    "nma-rigid": (
        "cryoSTAR's baseline NMA: 16 normal modes and one rigid motion, by a network.",
        NMA_RIGID,
    ),
    "nashed": (
        "Normal-mode autoencoder (Nashed et al. 2022): every atom, 16 normal modes, and a "
        "correction of the in-plane shift.",
        NASHED,
    ),
    "prins": (
        "Geometry degradation loss (Prins et al. 2024): one bead per residue; all distances are "
        "kept on a logarithmic scale.",
        PRINS,
    ),
    "cryofold-homo": (
        "Cryofold (Zhong et al. 2021) for one structure: two beads per residue, fitted to all "
        "particles together.",
        CRYOFOLD_HOMO,
    ),
    "cryofold-het": (
        "Cryofold (Zhong et al. 2021) for a motion: two beads per residue, 1-D latent.",
        CRYOFOLD_HET,
    ),
    "dynamight": (
        "DynaMight (Schwab et al. 2024) on an atomic model: a smooth field moves two beads per "
        "residue, held by springs between neighbours.",
        DYNAMIGHT,
    ),
    "cryosphere": (
        "cryoSPHERE (Ducrocq et al. 2025): rigid segments of the chain, whose ends are learned, "
        "turn and shift.",
        CRYOSPHERE,
    ),
}
