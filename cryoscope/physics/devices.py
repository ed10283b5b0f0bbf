"""Devices by name."""

from __future__ import annotations

import torch

from cryoscope.data import InputError


def named_device(name: str) -> torch.device:
    """The device of that name (``cpu``, ``cuda``, ``cuda:1``), tried with one number.

    Raises
    ------
    InputError
        When this machine has no such device.
    """
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"there is no device {name!r} on this machine",
            cure="Choose cpu, or cuda where there is an NVIDIA GPU",
        ) from error
    return device
