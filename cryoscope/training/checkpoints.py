"""The whole state of training as named arrays and plain JSON, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cryoscope.data import InputError
from cryoscope.models.interfaces import HeterogeneityModel

Arrays = dict[str, NDArray[Any]]


def pack_state(
    model: HeterogeneityModel, optimiser: torch.optim.Optimizer, generator: torch.Generator
) -> Arrays:
    """Model, optimiser moments and random state as named arrays."""
    arrays = {f"model.{k}": v.detach().cpu().numpy() for k, v in model.state_dict().items()}
    for index, entries in optimiser.state_dict()["state"].items():
        for name, value in entries.items():
            arrays[f"optimiser.{index}.{name}"] = np.asarray(torch.as_tensor(value).cpu().numpy())
    arrays["random.latent_noise"] = generator.get_state().numpy()
    return arrays


def unpack_model(arrays: Arrays, model: HeterogeneityModel, file: str) -> None:
    """Put a checkpoint's arrays into a model.

    Raises
    ------
    InputError
        When the checkpoint belongs to another model.
    """
    state = {k.removeprefix("model."): v for k, v in arrays.items() if k.startswith("model.")}
    try:
        model.load_state_dict({k: torch.from_numpy(np.array(v)) for k, v in state.items()})
    except RuntimeError as error:
        raise InputError(
            "the checkpoint does not fit this run's particles, structure or settings",
            file=file,
            cure="Restore the files the run was started with",
        ) from error


def unpack_state(
    arrays: Arrays,
    model: HeterogeneityModel,
    optimiser: torch.optim.Optimizer,
    generator: torch.Generator,
    file: str,
) -> None:
    """Put a checkpoint's arrays back, so that training continues with the same numbers.

    Raises
    ------
    InputError
        When the checkpoint belongs to another model, or lacks what training needs.
    """
    unpack_model(arrays, model, file)
    moments: dict[int, dict[str, Any]] = {}
    try:
        for key, value in arrays.items():
            if key.startswith("optimiser."):
                _, index, name = key.split(".", 2)
                moments.setdefault(int(index), {})[name] = torch.from_numpy(np.array(value))
        optimiser.load_state_dict({**optimiser.state_dict(), "state": moments})
        generator.set_state(torch.from_numpy(np.array(arrays["random.latent_noise"])))
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(
            "the checkpoint lacks the state of the optimiser or of the random numbers",
            file=file,
            cure="Remove this checkpoint, so that the one before it is used",
        ) from error
