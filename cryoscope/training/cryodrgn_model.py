"""Volume networks of cryoDRGN, read into ours.

cryoDRGN's network gives the unnormalised Hartley (or Fourier) transform of the map over the
standard deviation of the images' transforms; ours the orthonormal transform of a projection, which
is the unnormalised one over the box. A coefficient of ours is therefore theirs times
``norm / box``. The features of a random encoding stand in our order; those of an axis-aligned one
go axis by axis, sines before cosines.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from cryoscope.data import InputError, Optics
from cryoscope.io.atomic import explain_os_errors
from cryoscope.io.cryodrgn_run import CryodrgnRun, CryodrgnSettings
from cryoscope.models.interfaces import HeterogeneityModel
from cryoscope.models.volume_density import VolumeDensity
from cryoscope.models.volume_field import VolumeField, encoding_waves
from cryoscope.training.decoding import Decoder
from cryoscope.training.model_config import VolumeConfig

#: cryoDRGN's names of the encodings, and ours.
ENCODINGS = {
    "gaussian": "gaussian",
    "geom_lowf": "geometric-low",
    "geom_ft": "geometric",
    "linear_lowf": "linear-low",
}
_LARGEST_RATIO = 1.05


class CryodrgnVolume(nn.Module):
    """A volume network of cryoDRGN as a model that only decodes.

    Attributes
    ----------
    field
        The network, in our units.
    reference_A
        (0, 3): there are no atoms.
    """

    reference_A: Tensor

    def __init__(self, field: VolumeField, optics: Optics) -> None:
        super().__init__()
        self.field, self.optics = field, optics
        self.register_buffer("reference_A", torch.zeros(0, 3), persistent=False)

    @property
    def latent_dim(self) -> int:
        """Dimensions of the latent; 0 for one map."""
        return self.field.latent_dim

    def positions(self, z: Tensor) -> Tensor:
        """(B, d) -> (B, 0, 3): there are no beads."""
        return z.new_zeros(len(z), 0, 3)

    def anchors(self, z: Tensor) -> Tensor:
        """(B, d) -> (B, 0, 3): there is no backbone."""
        return self.positions(z)

    def decode(self, z: Tensor) -> VolumeDensity:
        """(B, d) -> densities of B states."""
        return VolumeDensity(self.field, z, self.optics.box_size_px, self.optics.pixel_size_A)


@dataclass(frozen=True)
class _Layer:
    """One linear layer of a cryoDRGN network; ``residual`` adds its input to its output."""

    weight: Tensor
    bias: Tensor
    residual: bool


def load_cryodrgn_decoder(
    run: CryodrgnRun | str | Path, epoch: int | None = None, pixel_size_A: float = 0.0
) -> Decoder:
    """The decoder of a cryoDRGN run; needs none of the particles.

    Its maps are those of ``cryodrgn eval_vol``, with the pixel size of the run's ctf.pkl.

    Parameters
    ----------
    epoch
        Number in the name of the weights; None = the newest with whole latents.
    pixel_size_A
        Pixel size of the trained box; 0 = from the run's ctf.pkl, else 1.

    Raises
    ------
    InputError
        No such epoch; damaged weights, or weights of another box size or network.
    """
    run = run if isinstance(run, CryodrgnRun) else CryodrgnRun.open(run)
    epoch = run.newest_epoch() if epoch is None else epoch
    path = run.weights_path(epoch)
    field = read_cryodrgn_field(path, run.settings)
    optics = run.optics() if pixel_size_A <= 0 else Optics(pixel_size_A, run.settings.box_size_px)
    model = CryodrgnVolume(field, optics).eval()
    promised = cast(HeterogeneityModel, model)
    return Decoder(promised, optics, None, run.run_id, -1 if epoch is None else epoch)


def read_cryodrgn_field(path: Path, settings: CryodrgnSettings) -> VolumeField:
    """The volume network of a ``weights.N.pkl``.

    Raises
    ------
    InputError
        The file is damaged, holds more than tensors, or another network than the settings say.
    """
    if settings.kind == "abinit":
        raise InputError(
            "networks of cryodrgn abinit are not read; their latents are",
            file=path,
            cure="Decode with cryodrgn eval_vol, or train on the poses it found (train_vae)",
        )
    for word, known in (
        (settings.activation, ("relu",)),
        (settings.domain, ("fourier", "hartley")),
        (settings.encoding, tuple(ENCODINGS)),
    ):
        if word not in known:
            raise InputError(
                f"a network with {word!r} is not read",
                file=path,
                cure=f"Known: {', '.join(known)}; decode it with cryodrgn eval_vol",
            )
    if abs(settings.norm[0]) > 1e-6 * settings.norm[1]:
        raise InputError("images were scaled by a mean other than 0, which is not read", file=path)
    state = _read_state(path)
    waves = _waves(state, settings, path)
    layers = _layers(state, path)
    return _field(layers, waves, settings, path)


def _read_state(path: Path) -> dict[str, Tensor]:
    """Tensors of the volume network: ``rand_freqs`` and ``main.*``."""
    with explain_os_errors(path, action="read"):
        try:
            with zipfile.ZipFile(path) as archive:
                unpacked = sum(member.file_size for member in archive.infolist())
            if unpacked > _LARGEST_RATIO * path.stat().st_size:
                raise ValueError("it is compressed")
            # Tensors only, mapped: the moments of the optimiser are never read.
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            found = content["model_state_dict"]
            network = {}
            for name, tensor in found.items():
                if name.startswith("encoder."):
                    continue
                short = name.removeprefix("decoder.").removeprefix("decoder.")
                if not isinstance(tensor, Tensor) or not bool(torch.isfinite(tensor).all()):
                    raise ValueError(f"{name} is not finite")
                network[short] = tensor.to(torch.float32).clone()
        except InputError:
            raise
        except OSError:
            raise
        except Exception as error:  # torch and zipfile raise whatever comes to hand
            reason = " ".join(str(error).split())[:200]
            raise InputError(
                f"the weights are damaged, or hold more than numbers ({reason})",
                file=path,
                cure="Take those of another epoch, or copy the file again",
            ) from error
    return network


def _waves(state: dict[str, Tensor], settings: CryodrgnSettings, path: Path) -> Tensor:
    """(F, 3) waves in radians per cycle/px."""
    half = settings.box_size_px // 2
    count = settings.encoding_count or half
    if settings.encoding != "gaussian":
        count = half if settings.encoding == "linear_lowf" else count
        name = ENCODINGS[settings.encoding]
        return encoding_waves(name, settings.box_size_px, count, 1.0, None)
    frequencies = state.get("rand_freqs")
    if frequencies is None or frequencies.ndim != 2 or frequencies.shape[1] != 3:
        raise InputError("the waves of its encoding are missing", file=path)
    if len(frequencies) != 3 * count:
        raise InputError(
            f"the weights are those of a box of {2 * (len(frequencies) // 3)} px; config.yaml "
            f"says {settings.box_size_px} px",
            file=path,
            cure="Put weights and config.yaml of one run together",
        )
    return frequencies * half


def _layers(state: dict[str, Tensor], path: Path) -> list[_Layer]:
    """The layers in order."""
    numbered: dict[int, _Layer] = {}
    for name in state:
        parts = name.split(".")
        if parts[0] == "main" and parts[-1] == "weight" and len(parts) > 2 and parts[1].isdigit():
            stem = name.removesuffix("weight")
            weight, bias = state[name], state.get(f"{stem}bias")
            if weight.ndim != 2 or bias is None or bias.shape != weight.shape[:1]:
                raise InputError(f"{name} has no bias that fits it", file=path)
            numbered[int(parts[1])] = _Layer(weight, bias, "linear" in parts)
    layers = [numbered[number] for number in sorted(numbered)]
    chained = all(a.weight.shape[0] == b.weight.shape[1] for a, b in pairwise(layers))
    if len(layers) < 2 or not chained:
        raise InputError(
            "this is no volume network of cryoDRGN", file=path, cure="Give a weights.N.pkl"
        )
    return layers


def _field(
    layers: list[_Layer], waves: Tensor, settings: CryodrgnSettings, path: Path
) -> VolumeField:
    width = layers[0].weight.shape[0]
    seen, outputs = 2 * len(waves) + settings.latent_dim, 2 if settings.domain == "fourier" else 1
    if layers[0].weight.shape[1] != seen or layers[-1].weight.shape[0] != outputs:
        raise InputError(
            f"the weights take {layers[0].weight.shape[1]} numbers and give "
            f"{layers[-1].weight.shape[0]}; a box of {settings.box_size_px} px with "
            f"{settings.latent_dim} latent dimensions needs {seen} and {outputs}",
            file=path,
            cure="Put weights and config.yaml of one run together (box size, zdim)",
        )
    encoding = cast(Any, ENCODINGS[settings.encoding])
    volume = VolumeConfig(
        domain=cast(Any, settings.domain),
        encoding=encoding,
        encoding_count=max(len(waves) // 3, 1),
        widths=(width,) * (len(layers) - 1),
        residual=True,
    )
    field = VolumeField(settings.box_size_px, settings.latent_dim, volume)
    order = feature_order(len(waves), settings.encoding)
    columns = torch.cat([order, torch.arange(2 * len(waves), seen)])
    with torch.no_grad():
        field.waves.copy_(waves)
        field.amplitude.fill_(settings.norm[1] / settings.box_size_px)
        field.first.weight.copy_(_plain(layers[0])[:, columns])
        field.first.bias.copy_(layers[0].bias)
        for ours, theirs in zip(field.hidden, layers[1:-1], strict=True):
            linear = cast(nn.Linear, ours)
            # Hidden layers are residual in both; one that is not is residual less the identity.
            identity = 0.0 if theirs.residual else torch.eye(width)
            linear.weight.copy_(theirs.weight - identity)
            linear.bias.copy_(theirs.bias)
        field.last.weight.copy_(_plain(layers[-1]))
        field.last.bias.copy_(layers[-1].bias)
    return field


def _plain(layer: _Layer) -> Tensor:
    """Its weight as of a layer without residual link."""
    return layer.weight + torch.eye(len(layer.weight)) if layer.residual else layer.weight


def feature_order(waves: int, encoding: str) -> Tensor:
    """(2 F,) where our features (all sines, all cosines) stand among cryoDRGN's."""
    index = torch.arange(2 * waves)
    if encoding == "gaussian":
        return index
    per_axis = waves // 3
    cosine, wave = index // waves, index % waves
    return (wave // per_axis) * 2 * per_axis + cosine * per_axis + wave % per_axis
