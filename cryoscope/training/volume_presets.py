"""Volume methods as presets: the cryoDRGN family, and the density stage of cryoSTAR.

No torch here.
"""

from __future__ import annotations

from dataclasses import replace

from cryoscope.training.config import (
    DataConfig,
    EncoderConfig,
    LatentConfig,
    LossConfig,
    OptimiserConfig,
    TrainConfig,
    VolumeConfig,
)


def _adam(learning_rate: float, batch_size: int, epochs: int) -> OptimiserConfig:
    return OptimiserConfig(
        kind="adam",
        learning_rate=learning_rate,
        final_learning_rate=learning_rate,
        warmup_steps=0,
        weight_decay=0.0,
        batch_size=batch_size,
        epochs=epochs,
    )


# cryoDRGN 4.3 (thesis, chapters 3 and 4): its loss is the mean square over the pixels of the mask
# plus beta KL / pixels with beta = 1 / dim; times the pixels, that is the sum plus beta KL. Images
# keep their window, and are whitened by one number for all frequencies. It trains in mixed
# precision; here the layers of the volume network do, the rest is in single precision.
CRYODRGN = TrainConfig(
    preset="cryodrgn",
    model="volume",
    data=DataConfig(window_radius=0.85),
    encoder=EncoderConfig(
        kind="fourier-mlp",
        input="phase-flipped",
        widths=(1024, 1024, 1024, 1024),
        residual=True,
        resolution_A=0.0,
    ),
    latent=LatentConfig(dim=8, kind="gaussian"),
    volume=VolumeConfig(widths=(1024, 1024, 1024, 1024), precision="bfloat16"),
    loss=LossConfig(data="l2-sum", scale="model", whiten=False, kl_weight=1 / 8, kl_warmup_steps=0),
    optimiser=_adam(1e-4, 16, 20),
)

CRYODRGN_HOMO = replace(
    CRYODRGN,
    preset="cryodrgn-homo",
    encoder=EncoderConfig(kind="none"),
    latent=LatentConfig(dim=1, kind="deterministic"),
)

CRYODRGN_TABLE = replace(
    CRYODRGN,
    preset="cryodrgn-table",
    encoder=EncoderConfig(kind="none"),
    latent=LatentConfig(dim=8, kind="table"),
    loss=replace(CRYODRGN.loss, kl_weight=0.0),
    optimiser=_adam(1e-4, 8, 20),
)

# cryoSTAR's second stage (Nature Methods 2024): no encoder, latents as the atomic stage left them.
DENSITY_STAGE = replace(
    CRYODRGN,
    preset="density-stage",
    encoder=EncoderConfig(kind="none"),
    latent=LatentConfig(dim=8, kind="given"),
    volume=VolumeConfig(widths=(256, 256, 256, 256), precision="bfloat16"),
    loss=replace(CRYODRGN.loss, kl_weight=0.0),
    optimiser=replace(_adam(1e-3, 32, 10), final_learning_rate=2e-5),
)

# The same model in a size that trains on a workstation's CPU, in nats of whitened images.
VOLUME = replace(
    CRYODRGN,
    preset="cryoscope-volume",
    encoder=replace(CRYODRGN.encoder, widths=(256, 256, 256)),
    volume=VolumeConfig(widths=(256, 256, 256, 256), precision="bfloat16"),
    loss=LossConfig(data="likelihood", scale="model", whiten=True, kl_weight=0.25),
    optimiser=replace(_adam(1e-3, 32, 20), final_learning_rate=2e-5, warmup_steps=100),
)

VOLUME_PRESETS: dict[str, tuple[str, TrainConfig]] = {
    "cryoscope-volume": (
        "Maps instead of structures, no atomic model needed: cryoDRGN's network in a size for a "
        "workstation, with the likelihood of whitened images.",
        VOLUME,
    ),
    "cryodrgn": (
        "cryoDRGN (Zhong et al. 2021) as published: a variational autoencoder over maps, known "
        "poses, networks 1,024 wide (for a GPU).",
        CRYODRGN,
    ),
    "cryodrgn-homo": (
        "cryoDRGN for one map of all particles together (train_nn).",
        CRYODRGN_HOMO,
    ),
    "cryodrgn-table": (
        "cryoDRGN without an encoder (train_dec): one free latent vector per particle.",
        CRYODRGN_TABLE,
    ),
    "density-stage": (
        "Second stage of cryoSTAR: a map network on the latents of an atomic run "
        "(data.latents_of), so that maps and structures share one latent space.",
        DENSITY_STAGE,
    ),
}
