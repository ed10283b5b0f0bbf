"""Finished stages of a landscape on disk: taken up where their settings are still the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryoscope.analysis.stopping import ShouldStop, stop_if_asked
from cryoscope.data import InputError, Volume
from cryoscope.io.atomic import explain_os_errors
from cryoscope.io.checkpoint_file import read_checkpoint, write_checkpoint
from cryoscope.io.json_file import plain
from cryoscope.session.decoded_maps import DecodeMaps
from cryoscope.session.series import Progress

_CHUNK = 20
Arrays = dict[str, NDArray[Any]]


def stage_key(before: str, **settings: Any) -> str:
    """A name for everything that a stage's result depends on: the stages before it and these."""
    text = json.dumps([before, settings], sort_keys=True, default=plain)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def digest(array: NDArray[Any]) -> str:
    """A name for the content of an array."""
    content = np.ascontiguousarray(array)
    return hashlib.sha256(content.tobytes() + str(content.shape).encode()).hexdigest()[:24]


class StageFolder:
    """Results by stage, each with the key of what it was made from.

    Parameters
    ----------
    path
        A folder, made if absent.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with explain_os_errors(path):
            path.mkdir(parents=True, exist_ok=True)

    def load(self, name: str, key: str) -> tuple[Arrays, dict[str, Any]] | None:
        """A finished stage; None where there is none, it is damaged, or it has another key."""
        file = self.path / f"{name}.safetensors"
        if not file.is_file():
            return None
        try:
            arrays, meta = read_checkpoint(file)
        except InputError:
            # Made again: nothing in it is needed for that.
            return None
        return (arrays, meta) if meta.get("key") == key else None

    def save(
        self, name: str, key: str, arrays: Arrays, meta: Mapping[str, Any] | None = None
    ) -> None:
        """Keep the result of a stage, whole or not at all."""
        write_checkpoint(self.path / f"{name}.safetensors", arrays, {**(meta or {}), "key": key})


class DecodedChunks:
    """The maps of many states, decoded once and kept in files of twenty.

    Parameters
    ----------
    folder
        Where they are kept.
    z
        (k, d) states.
    decode
        Latents (S, d) to their maps.
    key
        Of everything the maps depend on.
    """

    def __init__(
        self, folder: StageFolder, z: NDArray[np.floating], decode: DecodeMaps, key: str
    ) -> None:
        self._folder, self._z, self._decode, self._key = folder, z, decode, key
        self._starts = range(0, len(z), _CHUNK)

    def make(self, progress: Progress, should_stop: ShouldStop) -> None:
        """Decode what is not there yet; what was decoded before a stop is kept.

        Raises
        ------
        InputError
            If a map is not finite.
        """
        for start in self._starts:
            stop_if_asked(should_stop)
            if self._folder.load(f"maps-{start:06d}", self._key) is None:
                values = self._decoded(start, progress, should_stop)
                self._folder.save(f"maps-{start:06d}", self._key, {"maps": values})
            progress("decoding the sketch", min(start + _CHUNK, len(self._z)), len(self._z))
        for file in self._folder.path.glob("maps-*.safetensors"):
            if int(file.stem.partition("-")[2]) not in self._starts:
                file.unlink(missing_ok=True)

    def _decoded(
        self, start: int, progress: Progress, should_stop: ShouldStop
    ) -> NDArray[np.float32]:
        rows = self._z[start : start + _CHUNK]
        values: NDArray[np.float32] | None = None
        for place, volume in enumerate(self._decode(rows)):
            stop_if_asked(should_stop)
            if values is None:
                values = np.empty((len(rows), *volume.values.shape), dtype=np.float32)
            values[place] = finite_values(volume, start + place)
            progress("decoding the sketch", start + place, len(self._z))
        assert values is not None
        return values

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        """The chunks (S, n, n, n) in order."""
        for start in self._starts:
            found = self._folder.load(f"maps-{start:06d}", self._key)
            if found is None:
                raise InputError(
                    "a file of decoded maps was removed or damaged meanwhile",
                    file=self._folder.path,
                    cure="Start again: it goes on where it is whole",
                )
            yield found[0]["maps"]


def finite_values(volume: Volume, number: int) -> NDArray[np.float32]:
    """The values of a decoded map, which must be numbers (InputError)."""
    if not np.isfinite(volume.values).all():
        raise InputError(
            f"the decoded map {number + 1} holds NaN or infinite samples",
            cure="Train again from an earlier checkpoint",
        )
    return volume.values
