"""Networks from an image to features, of which heads make latent, shift and pose.

An encoder (:class:`cryoscope.models.networks.Encoder`) takes the (B, m) coefficients that
:mod:`cryoscope.models.encoder_input` hands out and (B, 3, 3) rotations, and gives
(B, feature_count) features, activated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cryoscope.data import InputError
from cryoscope.models.cnn_encoders import make_cnn_encoder
from cryoscope.models.coarse_grain import Beads
from cryoscope.models.encoder_input import BandImages, resolved_input
from cryoscope.models.networks import Encoder, HiddenLayers
from cryoscope.physics.fourier import Band
from cryoscope.physics.imaging import rotate_to_image
from cryoscope.physics.projectors import gather_at_beads


class FourierMLPEncoder(Encoder):
    """MLP on Fourier coefficients, real and imaginary parts side by side.

    A linear first layer on coefficients up to a resolution is one on the low-passed image, with far
    fewer inputs and without an inverse transform.

    Parameters
    ----------
    band
        The coefficients images come in.
    resolution_A
        Finest resolution looked at; 0 is all of the band.
    widths
        Hidden layers.
    residual
        Links between layers of equal width.
    """

    seen: Tensor

    def __init__(
        self, band: Band, resolution_A: float, widths: Sequence[int], *, residual: bool = False
    ) -> None:
        super().__init__()
        limit = 1 / resolution_A if resolution_A > 0 else math.inf
        seen = torch.nonzero(band.k_per_A <= limit).squeeze(1)
        self.register_buffer("seen", seen, persistent=False)
        self.net = HiddenLayers([2 * len(seen), *widths], residual=residual)
        self.feature_count = self.net.output_count

    def look(self, seen: Tensor, rotation: Tensor) -> Tensor:
        """(B, m) coefficients -> (B, numbers); the rotation is not looked at."""
        return torch.view_as_real(seen[:, self.seen]).flatten(1)

    def read(self, looked: Tensor) -> Tensor:
        """(B, numbers) -> (B, feature_count)."""
        result: Tensor = self.net(looked)
        return result


class BeadViewEncoder(Encoder):
    """MLP on what the image shows at the place of every bead of the reference, pose known.

    The matched image (un-shifted, CTF-weighted, whitened) is averaged in a Gaussian window at each
    projected bead; its slope there is turned back into the frame of the map. A bead that has moved
    away leaves a weak average and a slope that points after it, from whatever side it is seen, so
    that the network need not learn what every view of every state looks like.

    Parameters
    ----------
    centres_A
        (N, 3) beads of the reference.
    band
        The coefficients images come in.
    windows_A
        Widths of the Gaussian windows.
    widths
        Hidden layers.
    weighted
        Coefficients come times ``band.weight``, as matched data do.
    """

    centres_A: Tensor

    in_map_frame = True

    def __init__(
        self,
        centres_A: Tensor,
        band: Band,
        windows_A: Sequence[float],
        widths: Sequence[int],
        *,
        weighted: bool = True,
    ) -> None:
        super().__init__()
        self.band, self.windows_A, self.weighted = band, tuple(windows_A), weighted
        self.register_buffer("centres_A", centres_A.float(), persistent=False)
        count = len(centres_A)
        # The layer that follows has scales and offsets of its own.
        self.value_norm = nn.LayerNorm(count * len(self.windows_A), elementwise_affine=False)
        self.slope_norm = nn.LayerNorm(3 * count * len(self.windows_A), elementwise_affine=False)
        self.net = HiddenLayers([4 * count * len(self.windows_A), *widths])
        self.feature_count = self.net.output_count

    def look(self, seen: Tensor, rotation: Tensor) -> Tensor:
        """(B, m) coefficients and (B, 3, 3) rotations -> (B, numbers)."""
        values, slopes = self.views(seen, rotation)
        return torch.cat(
            [self.value_norm(values.flatten(1)), self.slope_norm(slopes.flatten(1))], dim=1
        )

    def read(self, looked: Tensor) -> Tensor:
        """(B, numbers) -> (B, feature_count)."""
        result: Tensor = self.net(looked)
        return result

    def views(self, matched: Tensor, rotation: Tensor) -> tuple[Tensor, Tensor]:
        """(B, windows, N) averages and (B, windows, N, 3) slopes in the frame of the map."""
        images = self.band.embed(matched / self.band.weight if self.weighted else matched)
        xy_A = rotate_to_image(self.centres_A.expand(len(rotation), -1, -1), rotation)
        values, slopes = [], []
        for window_A in self.windows_A:
            value, slope = gather_at_beads(images, xy_A, window_A, self.band.pixel_size_A)
            values.append(value)
            slopes.append(slope @ rotation[:, :2])
        return torch.stack(values, dim=1), torch.stack(slopes, dim=1)


class ImageMLPEncoder(Encoder):
    """MLP on the pixels of the image at its band-limit.

    Widths 512, 256, 128, 64, 32 make the encoder of cryoSTAR (which looks at pixels as they are
    stored, so that its first layer depends on the scale of the file; here noise has variance 1);
    three layers of 256 with residual links that of Cryofold.

    Parameters
    ----------
    images
        Makes the pixels.
    widths
        Hidden layers.
    residual
        Links between layers of equal width.
    """

    def __init__(
        self, images: BandImages, widths: Sequence[int], *, residual: bool = False
    ) -> None:
        super().__init__()
        self.images = images
        self.net = HiddenLayers([images.box_size_px**2, *widths], residual=residual)
        self.feature_count = self.net.output_count

    def look(self, seen: Tensor, rotation: Tensor) -> Tensor:
        """(B, m) coefficients -> (B, pixels); the rotation is not looked at."""
        return self.images(seen).flatten(1)

    def read(self, looked: Tensor) -> Tensor:
        """(B, pixels) -> (B, feature_count)."""
        features: Tensor = self.net(looked)
        return features


class NoEncoder(Encoder):
    """No features: one structure for all particles."""

    feature_count = 0

    def look(self, seen: Tensor, rotation: Tensor) -> Tensor:
        """(B, m) coefficients -> (B, 0)."""
        return rotation.new_zeros(len(seen), 0)

    def read(self, looked: Tensor) -> Tensor:
        """(B, 0) -> (B, 0)."""
        return looked


def make_encoder(beads: Beads | None, band: Band, settings: Any) -> Encoder:
    """The encoder that ``settings`` (``training.config.EncoderConfig``) asks for.

    Parameters
    ----------
    beads
        The reference; only bead-view looks at it, the others do without.
    band
        The coefficients images come in, on the device the model will live on.

    Returns
    -------
    A module with the integer ``feature_count``; see the top of this file.

    Raises
    ------
    InputError
        For bead-view without beads, a box too small for a convolutional encoder, or a wrong number
        of channels.
    """
    kind, widths = settings.kind, settings.widths
    weighted = resolved_input(settings) == "weighted"
    if kind == "none":
        return NoEncoder()
    if kind == "bead-view":
        if beads is None:
            raise InputError(
                "the bead-view encoder looks at the beads of a structure, and there is none",
                cure="Set encoder.kind to fourier-mlp, or to another that looks at the image",
            )
        return BeadViewEncoder(
            torch.as_tensor(beads.mass_centre_A),
            band,
            settings.windows_A,
            widths,
            weighted=weighted,
        )
    if kind == "fourier-mlp":
        return FourierMLPEncoder(band, settings.resolution_A, widths, residual=settings.residual)
    if kind in ("image-mlp", "residual-mlp"):
        images = BandImages(band, weighted=weighted)
        return ImageMLPEncoder(images, widths, residual=kind == "residual-mlp")
    return make_cnn_encoder(band, kind, settings.channels, widths, weighted=weighted)
