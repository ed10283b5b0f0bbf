"""Models by name: configurations name them, plugins add to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from cryoscope.data import InputError
from cryoscope.models.atomic_model import AtomicModel
from cryoscope.models.coarse_grain import Beads
from cryoscope.models.interfaces import HeterogeneityModel
from cryoscope.physics.fourier import Band

ModelFactory = Callable[[Beads, Band, Tensor, Any], HeterogeneityModel]

_MODELS: dict[str, ModelFactory] = {"atomic": AtomicModel}


def register_model(name: str, factory: ModelFactory) -> None:
    """Make ``factory(beads, band, noise_power, config)`` known under ``name``.

    Raises
    ------
    ValueError
        When the name is taken.
    """
    if name in _MODELS:
        raise ValueError(f"a model named {name!r} is registered already")
    _MODELS[name] = factory


def make_model(
    name: str, beads: Beads, band: Band, noise_power: Tensor, config: Any
) -> HeterogeneityModel:
    """The model registered under ``name``.

    Parameters
    ----------
    beads
        The coarse-grained reference.
    band, noise_power
        Coefficients that are trained on and their (m,) noise variance, on the model's device.
    config
        A ``training.config.TrainConfig``.

    Raises
    ------
    InputError
        For an unknown name, with the known ones.
    """
    if name not in _MODELS:
        raise InputError(
            f"there is no model {name!r}", cure=f"Choose one of: {', '.join(sorted(_MODELS))}"
        )
    return _MODELS[name](beads, band, noise_power, config)
