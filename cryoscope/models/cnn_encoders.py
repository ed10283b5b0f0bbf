"""Convolutional networks from an image to features: two published ones and our own.

The published ones use batch normalisation. Particles have a signal-to-noise ratio near 0.01, so
that it normalises by the statistics of the noise, mixes the particles of a batch, and behaves
differently in training and in use; group normalisation (:class:`GroupCNN`) does none of that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from cryoscope.data import InputError
from cryoscope.models.encoder_input import BandImages
from cryoscope.models.networks import Encoder, HiddenLayers
from cryoscope.models.whole_batch import WholeBatchNorm2d
from cryoscope.physics.fourier import Band

#: Channels of every block as published, or as we chose them.
VGG_CHANNELS = (32, 64, 128, 256, 512)
CRYOFIRE_CHANNELS = (64, 64, 256, 256, 256)
GROUP_CHANNELS = (32, 64, 128, 128)

#: Convolutions of each CryoFIRE block, and the size of their kernels.
CRYOFIRE_BLOCKS = ((1, 5), (1, 5), (2, 3), (2, 3), (1, 3))


class VGG(nn.Module):
    """The image encoder of Nashed et al. (aNiMAte).

    Per block two 3x3 convolutions, each with batch normalisation and ReLU, then 2x average pooling
    (the paper; its code can take the maximum). The last map, flattened, is the features: 512 per
    32 x 32 px of the image. Sides that are odd round up.

    Batch normalisation at a signal-to-noise ratio of 0.01 normalises noise; kept as published.

    Parameters
    ----------
    side_px
        Side of the images.
    channels
        Channels of every block.
    """

    def __init__(self, side_px: int, channels: Sequence[int] = VGG_CHANNELS) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 1
        for width in channels:
            for fan_in in (before, width):
                layers += [
                    nn.Conv2d(fan_in, width, 3, padding=1, bias=False),
                    WholeBatchNorm2d(width),
                    nn.ReLU(inplace=True),
                ]
            layers.append(nn.AvgPool2d(2, ceil_mode=True))
            before = width
        self.net = nn.Sequential(*layers, nn.Flatten())
        self.feature_count = before * _halved(side_px, len(channels)) ** 2

    def forward(self, image: Tensor, rotation: Tensor) -> Tensor:
        """(B, 1, n, n) -> (B, feature_count); the rotation is not looked at."""
        features: Tensor = self.net(image)
        return features


class CryoFire(nn.Module):
    """The image encoder of Prins et al., after CryoFIRE.

    Two 5x5 convolutions with 64 channels and five 3x3 ones with 256; ReLU, then batch normalisation
    and 2x maximum pooling after the first, second, fourth, sixth and seventh; one fully connected
    layer of 256 with ReLU. Sides that are odd round up.

    Batch normalisation at a signal-to-noise ratio of 0.01 normalises noise; kept as published.

    Parameters
    ----------
    side_px
        Side of the images.
    channels
        Channels of the five blocks; the fully connected layer is as wide as the last.
    """

    def __init__(self, side_px: int, channels: Sequence[int] = CRYOFIRE_CHANNELS) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 1
        for width, (count, kernel_px) in zip(channels, CRYOFIRE_BLOCKS, strict=True):
            for _ in range(count):
                layers += [nn.Conv2d(before, width, kernel_px, padding="same"), nn.ReLU()]
                before = width
            layers += [WholeBatchNorm2d(width), nn.MaxPool2d(2, ceil_mode=True)]
        flat = before * _halved(side_px, len(CRYOFIRE_BLOCKS)) ** 2
        self.net = nn.Sequential(*layers, nn.Flatten(), nn.Linear(flat, before), nn.ReLU())
        self.feature_count = before

    def forward(self, image: Tensor, rotation: Tensor) -> Tensor:
        """(B, 1, n, n) -> (B, feature_count); the rotation is not looked at."""
        features: Tensor = self.net(image)
        return features


class GroupCNN(nn.Module):
    """Our convolutional encoder: strided, group-normalised, told the pose.

    A 6x6 convolution of stride 2 sees about 10 A at once and learns which low-pass the noise wants;
    each further one halves the map. Nothing is pooled before it has been weighed. One residual
    convolution at the coarsest level, whose map keeps its places (the image is centred on the
    particle: a place means something) down to 4 x 4, then fully connected layers on it and on the
    rotation: what a change of shape looks like depends on where it is seen from.

    Parameters
    ----------
    side_px
        Side of the images.
    channels
        Channels of every level.
    widths
        Fully connected layers; none: the flattened map and the rotation are the features.
    """

    def __init__(
        self, side_px: int, channels: Sequence[int] = GROUP_CHANNELS, widths: Sequence[int] = ()
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 1
        for level, width in enumerate(channels):
            kernel_px, padding_px = (6, 2) if level == 0 else (3, 1)
            layers += [
                nn.Conv2d(before, width, kernel_px, stride=2, padding=padding_px, bias=False),
                _group_norm(width),
                nn.SiLU(),
            ]
            before = width
        self.levels = nn.Sequential(*layers)
        self.refine = nn.Sequential(
            nn.Conv2d(before, before, 3, padding=1, bias=False), _group_norm(before), nn.SiLU()
        )
        self.side = min(4, _halved(side_px, len(channels)))
        sizes = [before * self.side**2 + 9, *widths]
        self.dense = HiddenLayers(sizes, "silu")
        self.feature_count = self.dense.output_count

    def forward(self, image: Tensor, rotation: Tensor) -> Tensor:
        """(B, 1, n, n) and (B, 3, 3) -> (B, feature_count)."""
        coarse = self.levels(image)
        coarse = coarse + self.refine(coarse)
        flat = functional.adaptive_avg_pool2d(coarse, self.side).flatten(1)
        features: Tensor = self.dense(torch.cat([flat, rotation.flatten(1)], dim=1))
        return features


class CNNEncoder(Encoder):
    """Coefficients -> pixels at the band-limit -> convolutional network.

    Parameters
    ----------
    images
        Makes the pixels.
    net
        A network with ``feature_count`` on images and rotations.
    """

    def __init__(self, images: BandImages, net: VGG | CryoFire | GroupCNN) -> None:
        super().__init__()
        self.images, self.net = images, net
        self.feature_count = net.feature_count

    def look(self, seen: Tensor, rotation: Tensor) -> Tensor:
        """(B, m) coefficients and (B, 3, 3) rotations -> (B, pixels + 9)."""
        return torch.cat([self.images(seen).flatten(1), rotation.flatten(1)], dim=1)

    def read(self, looked: Tensor) -> Tensor:
        """(B, pixels + 9) -> (B, feature_count)."""
        side = self.images.box_size_px
        image, rotation = looked.split([side**2, 9], dim=1)
        features: Tensor = self.net(image.view(-1, 1, side, side), rotation.view(-1, 3, 3))
        return features


def make_cnn_encoder(
    band: Band, kind: str, channels: Sequence[int], widths: Sequence[int], *, weighted: bool
) -> CNNEncoder:
    """The convolutional encoder of this kind.

    Parameters
    ----------
    band
        The coefficients images come in.
    kind
        ``"vgg"``, ``"cryofire"`` or ``"group-cnn"``.
    channels
        Channels of every block; empty = as published.
    widths
        Fully connected layers of group-cnn.
    weighted
        The input is CTF-weighted.

    Raises
    ------
    InputError
        For a box with less than one pixel left after the pools, or a wrong number of channels.
    """
    if kind == "group-cnn":
        images = BandImages(band, weighted=weighted)
        return CNNEncoder(images, GroupCNN(images.box_size_px, channels or GROUP_CHANNELS, widths))
    chosen = channels or (VGG_CHANNELS if kind == "vgg" else CRYOFIRE_CHANNELS)
    if kind == "cryofire" and len(chosen) != len(CRYOFIRE_BLOCKS):
        raise InputError(
            f"encoder cryofire has {len(CRYOFIRE_BLOCKS)} blocks, not {len(chosen)}",
            cure=f"Give {len(CRYOFIRE_BLOCKS)} encoder.channels, or none",
        )
    least_px = 2 ** len(chosen)
    if band.box_size_px < least_px:
        raise InputError(
            f"encoder {kind} halves the image {len(chosen)} times and needs a box of at least "
            f"{least_px} px, not {band.box_size_px}",
            cure=f"Set data.box_size_px to {least_px} or more, or choose encoder group-cnn",
        )
    images = BandImages(band, weighted=weighted, least_px=least_px)
    network = VGG if kind == "vgg" else CryoFire
    return CNNEncoder(images, network(images.box_size_px, chosen))


def _halved(side: int, times: int) -> int:
    """A side halved so many times, rounded up each time."""
    return math.ceil(side / 2**times)


def _group_norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(math.gcd(8, channels), channels)
