"""Models and presets of other distributions. Importing this module does not import torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from cryoscope.data import InputError
from cryoscope.io import extensions

#: Names of the models that Cryoscope brings; the registry has their factories.
OWN_MODELS = ("atomic", "volume")


@dataclass(frozen=True)
class PresetExtension:
    """A preset: what it does, in two lines for a biologist, and its settings.

    ``settings`` are those of :class:`cryoscope.training.config.TrainConfig` that differ from their
    defaults, as plain JSON: ``{"latent": {"dim": 4}, "optimiser": {"epochs": 10}}``.
    """

    summary: str
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelExtension:
    """What an entry point of ``cryoscope.models`` refers to; the entry point names the model.

    Attributes
    ----------
    factory
        ``"package.module:name"`` of the model's factory (see
        :class:`cryoscope.models.interfaces.HeterogeneityModel`). It is imported, and torch with
        it, only when a run uses the model.
    structure
        Whether the model needs an atomic model.
    presets
        Presets that use it, by name.
    """

    factory: str
    structure: bool = True
    presets: Mapping[str, PresetExtension] = field(default_factory=dict)


def model_extensions() -> dict[str, ModelExtension]:
    """Models of other distributions, by name."""
    return extensions.load(extensions.MODELS, _problem, OWN_MODELS)


def extension_factory(name: str) -> Any:
    """The factory of such a model.

    Raises
    ------
    InputError
        If its code cannot be imported.
    """
    module, _, attribute = model_extensions()[name].factory.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except Exception as error:
        one = next(e for e in extensions.installed(extensions.MODELS) if e.name == name)
        noted = extensions.report_broken(one, error)
        raise InputError(str(noted), cure=f"Update or remove {one.distribution}") from error


def _problem(value: Any) -> str:
    if not isinstance(value, ModelExtension):
        return f"it is a {type(value).__name__}, not a cryoscope.models.extensions.ModelExtension"
    module, colon, attribute = value.factory.partition(":")
    if not (module and colon and attribute):
        return f"its factory {value.factory!r} is not 'package.module:name'"
    wrong = [name for name, one in value.presets.items() if not isinstance(one, PresetExtension)]
    return f"its preset {wrong[0]!r} is not a PresetExtension" if wrong else ""
