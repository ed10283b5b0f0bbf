"""The folder a simulation writes; the particle file appears last."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryoscope.data import InputError, Structure
from cryoscope.io.atomic import explain_os_errors
from cryoscope.io.json_file import read_json_object, write_json
from cryoscope.io.structures import write_structure
from cryoscope.simulation.config import SimulationConfig

_SETTINGS = "simulation.json"
_KIND = "cryoscope simulation"
_FORMAT = 1
_OURS = ("particles*.mrcs", ".particles*.tmp.mrcs", "reference.*", "truth.npz")


@dataclass(frozen=True)
class OutputFolder:
    """A folder that is being filled; without ``particles.star`` it is not complete."""

    path: Path
    existed: bool = True

    @classmethod
    def prepare(cls, path: Path, config: SimulationConfig) -> OutputFolder:
        """Make the folder, or clear an earlier simulation's files out of it.

        Raises
        ------
        InputError
            Something else is there, or the folder cannot be written.
        """
        folder = cls(path, path.is_dir())
        if path.exists() and not path.is_dir():
            raise InputError(
                "a file stands where the folder should be", file=path, cure="Choose another folder"
            )
        with explain_os_errors(path):
            path.mkdir(parents=True, exist_ok=True)
        with explain_os_errors(folder.settings):
            if any(path.iterdir()):
                folder._check_ours()
            folder._clear()
        try:
            folder.write_settings(config, {})
        except InputError:
            folder.discard()
            raise
        return folder

    def discard(self) -> None:
        """Remove all that was written; the folder too where it was made for that."""
        with suppress(OSError):
            self._clear()
            self.settings.unlink(missing_ok=True)
            if not self.existed:
                self.path.rmdir()

    def _clear(self) -> None:
        self.star.unlink(missing_ok=True)  # first: from here on the set is incomplete
        for pattern in _OURS:
            for old in self.path.glob(pattern):
                old.unlink(missing_ok=True)

    def _check_ours(self) -> None:
        problem = InputError(
            "the folder holds something else than a simulation",
            file=self.path,
            cure="Choose an empty or new folder",
        )
        if not self.settings.is_file():
            raise problem
        if read_json_object(self.settings).get("kind") != _KIND:
            raise problem

    @property
    def star(self) -> Path:
        """The particle file."""
        return self.path / "particles.star"

    @property
    def settings(self) -> Path:
        """Settings and measurements."""
        return self.path / _SETTINGS

    @property
    def truth(self) -> Path:
        """What is known about the particles."""
        return self.path / "truth.npz"

    def stack_files(self, count: int) -> list[Path]:
        """The stack files, in order."""
        if count == 1:
            return [self.path / "particles.mrcs"]
        width = len(str(count))
        return [self.path / f"particles_{i:0{width}d}.mrcs" for i in range(1, count + 1)]

    def write_settings(self, config: SimulationConfig, measured: dict[str, Any]) -> None:
        """Write all settings and whatever was measured."""
        write_json(
            self.settings,
            {
                "kind": _KIND,
                "format": _FORMAT,
                "settings": config.to_json(),
                "measured": measured,
            },
        )

    def write_reference(self, structure: Structure) -> None:
        """Write the first frame as PDB, or as mmCIF when a PDB file cannot hold it."""
        names_fit = max(len(str(name)) for name in structure.chain_id) == 1
        suffix = ".pdb" if names_fit and len(structure) < 100_000 else ".cif"
        write_structure(self.path / f"reference{suffix}", structure)
