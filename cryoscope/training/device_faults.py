"""A GPU that is too small or goes away, in words a user can act on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from cryoscope.data import InputError

#: How the messages of a GPU that cannot be used any more begin, or what is in them.
_LOST = ("CUDA error", "CUDA driver error", "cuDNN error", "CUBLAS_STATUS", "CUFFT_", "NCCL error")
_ACCELERATOR_ERROR: type[Exception] | None = getattr(torch, "AcceleratorError", None)


class DeviceLost(InputError):
    """The GPU does not answer any more; nothing on it can be saved."""


@contextmanager
def explained_device_faults() -> Iterator[None]:
    """Say what to do where the GPU has too little memory, or fails.

    Raises
    ------
    InputError
        In place of ``torch.OutOfMemoryError``.
    DeviceLost
        In place of any error of CUDA: what is on the GPU is lost, the last checkpoint is not.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise InputError(
            f"the GPU has too little memory ({_first_sentence(error)})",
            cure="Close other programs that use it, or train with a smaller optimiser.batch_size "
            "or data.box_size_px; what was saved is intact",
        ) from error
    except RuntimeError as error:
        if not is_device_lost(error):
            raise
        raise DeviceLost(
            f"the GPU stopped working ({_first_sentence(error)})",
            cure="Look at it with nvidia-smi, then go on from the last checkpoint with --resume",
        ) from error


def is_device_lost(error: BaseException) -> bool:
    """Whether an error says that the GPU cannot be used any more by this process."""
    if _ACCELERATOR_ERROR is not None and isinstance(error, _ACCELERATOR_ERROR):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error) for word in _LOST)


def _first_sentence(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].split(". ")[0][:200] if lines else type(error).__name__
