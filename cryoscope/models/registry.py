"""Models by name: configurations name them, plugins add to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cryoscope.data import InputError
from cryoscope.models.bead_vae import BeadVAE

_MODELS: dict[str, Callable[..., Any]] = {"bead-vae": BeadVAE}


def register_model(name: str, factory: Callable[..., Any]) -> None:
    """Make ``factory(beads, band, noise_power, config)`` known under ``name``.

    Raises
    ------
    ValueError
        When the name is taken.
    """
    if name in _MODELS:
        raise ValueError(f"a model named {name!r} is registered already")
    _MODELS[name] = factory


def make_model(name: str, *args: Any) -> Any:
    """The model registered under ``name``, made with ``args``.

    Raises
    ------
    InputError
        For an unknown name, with the known ones.
    """
    if name not in _MODELS:
        raise InputError(
            f"there is no model {name!r}", cure=f"Choose one of: {', '.join(sorted(_MODELS))}"
        )
    return _MODELS[name](*args)
