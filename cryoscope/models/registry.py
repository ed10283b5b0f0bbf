"""Models by name: configurations name them, plugins add to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from cryoscope.data import InputError
from cryoscope.models.atomic_model import AtomicModel
from cryoscope.models.coarse_grain import Beads
from cryoscope.models.extensions import extension_factory, model_extensions
from cryoscope.models.interfaces import HeterogeneityModel
from cryoscope.models.volume_model import VolumeModel
from cryoscope.physics.fourier import Band

#: Called with the beads, None where a run has no atomic model, unless the model needs one.
ModelFactory = Callable[[Any, Band, Tensor, Any], HeterogeneityModel]

_MODELS: dict[str, ModelFactory] = {"atomic": AtomicModel, "volume": VolumeModel}
_WITHOUT_STRUCTURE = {"volume"}


def register_model(name: str, factory: ModelFactory, *, structure: bool = True) -> None:
    """Make ``factory(beads, band, noise_power, config)`` known under ``name``.

    Parameters
    ----------
    structure
        Whether the model needs an atomic model; if not, ``beads`` may be None.

    Raises
    ------
    ValueError
        When the name is taken.
    """
    if name in _MODELS:
        raise ValueError(f"a model named {name!r} is registered already")
    _MODELS[name] = factory
    if not structure:
        _WITHOUT_STRUCTURE.add(name)


def needs_structure(name: str) -> bool:
    """Whether the model of that name deforms an atomic model.

    Raises
    ------
    InputError
        For an unknown name.
    """
    if name in _MODELS:
        return name not in _WITHOUT_STRUCTURE
    _require_extension(name)
    return model_extensions()[name].structure


def model_names() -> tuple[str, ...]:
    """Names of all models, those of other distributions included."""
    return tuple(sorted({*_MODELS, *model_extensions()}))


def make_model(
    name: str, beads: Beads | None, band: Band, noise_power: Tensor, config: Any
) -> HeterogeneityModel:
    """The model registered under ``name``.

    Parameters
    ----------
    beads
        The coarse-grained reference; None for a model without atoms.
    band, noise_power
        Coefficients that are trained on and their (m,) noise variance, on the model's device.
    config
        A ``training.config.TrainConfig``.

    Raises
    ------
    InputError
        For an unknown name, with the known ones; for one whose code cannot be imported.
    """
    if name in _MODELS:
        return _MODELS[name](beads, band, noise_power, config)
    _require_extension(name)
    model: HeterogeneityModel = extension_factory(name)(beads, band, noise_power, config)
    return model


def _require_extension(name: str) -> None:
    if name not in model_extensions():
        known = ", ".join(model_names())
        raise InputError(
            f"there is no model {name!r}",
            cure=f"Choose one of: {known}; or install the extension that brings it",
        )
