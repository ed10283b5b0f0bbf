"""Presets: one configuration per method. Importing this module does not import torch."""

from __future__ import annotations

from cryoscope.data import InputError
from cryoscope.io import extensions
from cryoscope.models.extensions import model_extensions
from cryoscope.training.config import (
    BeadConfig,
    LossConfig,
    RestraintConfig,
    TrainConfig,
    config_from_json,
)
from cryoscope.training.published_presets import PUBLISHED
from cryoscope.training.volume_presets import VOLUME_PRESETS

DEFAULT_PRESET = "cryoscope-default"

_PRESETS: dict[str, tuple[str, TrainConfig]] = {
    DEFAULT_PRESET: (
        "Deforms your atomic model (one bead per residue) to fit every particle; "
        "8-D Gaussian latent, bond, elastic and clash restraints.",
        TrainConfig(
            preset=DEFAULT_PRESET,
            beads=BeadConfig(b_factor_A2=100.0),
            loss=LossConfig(
                restraints=(
                    RestraintConfig(pairs="bonds", weight=0.25, schedule="signal"),
                    RestraintConfig(
                        pairs="elastic",
                        shape="robust",
                        weight=0.005,
                        schedule="signal",
                        release_fraction=0.2,
                    ),
                    RestraintConfig(
                        pairs="clash",
                        shape="repulsive",
                        weight=0.5,
                        schedule="signal",
                        cutoff_A=4.0,
                    ),
                )
            ),
        ),
    ),
    **PUBLISHED,
    **VOLUME_PRESETS,
}


def preset_names() -> tuple[str, ...]:
    """Names of the presets, the default first and those of other distributions last."""
    return (*_PRESETS, *_of_extensions())


def preset_summary(name: str) -> str:
    """What a preset does, in two lines for a biologist."""
    return _find(name)[0]


def preset(name: str) -> TrainConfig:
    """The configuration of a preset.

    Raises
    ------
    InputError
        For a name that is not a preset, with the names that are.
    """
    return _find(name)[1]


def _find(name: str) -> tuple[str, TrainConfig]:
    if name in _PRESETS:
        return _PRESETS[name]
    if name not in _of_extensions():
        raise InputError(
            f"there is no preset {name!r}", cure=f"Choose one of: {', '.join(preset_names())}"
        )
    return _of_extensions()[name]


def _of_extensions() -> dict[str, tuple[str, TrainConfig]]:
    """Presets of models that other distributions bring; one that is wrong is noted and skipped."""
    found: dict[str, tuple[str, TrainConfig]] = {}
    for model, extension in model_extensions().items():
        for name, one in extension.presets.items():
            settings = {**one.settings, "model": model, "preset": name}
            try:
                if name in _PRESETS or name in found:
                    raise InputError(f"there is a preset {name!r} already")
                found[name] = (str(one.summary), config_from_json(settings))
            except InputError as error:
                _note(model, f"preset {name!r}: {error}")
    return found


def _note(model: str, problem: str) -> None:
    for one in extensions.installed(extensions.MODELS):
        if one.name == model:
            extensions.report_broken(one, problem)
