"""Checkpoints: tensors and their JSON in one safetensors file, with a checksum."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
from numpy.typing import NDArray
from safetensors.numpy import save

from cryoscope.data import InputError
from cryoscope.io.atomic import explain_os_errors, write_bytes_atomic
from cryoscope.io.json_file import plain

_META_KEY = "cryoscope"
_CURE = "Resume from an earlier checkpoint: delete this one."


def write_checkpoint(
    path: Path, tensors: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]
) -> None:
    """Write numeric arrays and plain JSON ``meta`` as one file, atomically.

    Raises
    ------
    ValueError
        If a tensor is not a boolean, integer or real array.
    """
    arrays: dict[str, NDArray[Any]] = {}
    for name, tensor in tensors.items():
        array = np.array(tensor, order="C", copy=None)
        if array.dtype.kind not in "biuf":
            raise ValueError(f"tensor {name!r} has dtype {array.dtype}; only numbers can be saved")
        arrays[name] = array
    header = json.dumps({"crc32": _checksum(arrays), "meta": dict(meta)}, default=plain)
    # Written by us, not by safetensors, whose errors do not tell a full disk from others.
    write_bytes_atomic(path, save(arrays, metadata={_META_KEY: header}))


def read_checkpoint(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Tensors and meta of a checkpoint, checked against its checksum.

    Raises
    ------
    InputError
        If the file is missing, cut off or damaged, or not a checkpoint of Cryoscope.
    """
    with explain_os_errors(path, action="read"):
        path.stat()
        try:
            with safetensors.safe_open(path, framework="numpy") as file:
                text = (file.metadata() or {})[_META_KEY]
                arrays = {name: np.asarray(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118
            header = json.loads(text)
            meta, expected = header["meta"], header["crc32"]
        except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"damaged checkpoint ({error})", file=path, cure=_CURE) from error
    if not isinstance(meta, dict) or _checksum(arrays) != expected:
        raise InputError("damaged checkpoint (its checksum differs)", file=path, cure=_CURE)
    return arrays, meta


def _checksum(arrays: Mapping[str, NDArray[Any]]) -> int:
    """CRC-32 over the arrays' names and bytes, in the order of their names."""
    value = 0
    for name in sorted(arrays):
        value = zlib.crc32(name.encode(), value)
        value = zlib.crc32(arrays[name].reshape(-1).view(np.uint8).data, value)
    return value
