"""The run folder: what a training run is, on disk, readable at any moment of it.

::

    run.json             format, run_id, created, program, input files, particle count
    config.json          the TrainConfig
    events.jsonl         one TrainEvent a line
    latents/             epoch-0003.npz for every finished epoch, live.npz during one
    checkpoints/         step-00001234.safetensors
    volumes/             maps made from this run
    selections.json      named sets of particles
    requests/            what other programs ask of the trainer (cryoscope.io.run_requests)
    reference.pdb        the structure the deformations refer to (.cif where .pdb cannot hold it)
    fsc.csv              structure against consensus map, where that set the low-pass

Every file appears whole or not at all, so that a kill at any moment loses at most the work since
the last checkpoint.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from cryoscope import __version__
from cryoscope.data import InputError, Latents, Optics, Selection, Structure
from cryoscope.io.atomic import explain_os_errors, require_writable
from cryoscope.io.checkpoint_file import read_checkpoint, write_checkpoint
from cryoscope.io.event_log import EventLog
from cryoscope.io.json_file import read_json_object, write_json
from cryoscope.io.latents_file import read_latents, write_latents
from cryoscope.io.process_lock import Held, Waiting, process_lock
from cryoscope.io.selections_file import read_selections, write_selections

FORMAT_VERSION = 1
_LARGEST_BOX_PX = 4096
_SUBFOLDERS = ("latents", "checkpoints", "volumes")


class RunFolder:
    """One run on disk; see the module's docstring for what is where.

    Parameters
    ----------
    path
        The folder. Use :meth:`create` or :meth:`open`, which check it.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._log = EventLog(self.path / "events.jsonl")
        self._held: Held | None = None

    @classmethod
    def create(
        cls, path: str | Path, config: Mapping[str, Any], info: Mapping[str, Any]
    ) -> RunFolder:
        """Start a new run in an absent or empty folder.

        Parameters
        ----------
        config
            Plain JSON of the training configuration.
        info
            What the run was made from: input files, particle count. ``run_id`` is made here
            unless given; ``format``, ``created`` and ``program`` are always made here.

        Raises
        ------
        InputError
            If the folder holds a run already, holds anything else, or cannot be written.
        """
        run = cls(path)
        identity = {
            "format": FORMAT_VERSION,
            "run_id": info.get("run_id") or uuid.uuid4().hex[:12],
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "program": f"cryoscope {__version__}",
        }
        run._refuse_if_used()
        with explain_os_errors(run.path):
            run.path.mkdir(parents=True, exist_ok=True)
        # Of two programs that start the same run at once, one is refused.
        with process_lock(run.path / ".create.lock", "run folder"):
            run._refuse_if_used()
            try:
                with explain_os_errors(run.path):
                    for name in _SUBFOLDERS:
                        (run.path / name).mkdir(exist_ok=True)
                write_json(run.path / "config.json", dict(config))
                # run.json makes the folder a run: it comes last.
                write_json(run.path / "run.json", {**info, **identity})
            except InputError:
                run._remove_half_made()
                raise
        return run

    @classmethod
    def check_unused(cls, path: str | Path) -> None:
        """Refuse what :meth:`create` would refuse, before the work that leads up to it."""
        cls(path)._refuse_if_used()
        require_writable(Path(path))

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """Open an existing run.

        Raises
        ------
        InputError
            If the folder is not a run, or one of a newer format.
        """
        run = cls(path)
        info = run.info()
        version = info.get("format")
        if isinstance(version, int) and version > FORMAT_VERSION:
            raise InputError(
                f"the run folder has format {version}, written by "
                f"{str(info.get('program'))[:80]}; cryoscope {__version__} reads up to format "
                f"{FORMAT_VERSION}",
                file=run.path,
                cure="Update Cryoscope.",
            )
        if version != FORMAT_VERSION or not isinstance(info.get("run_id"), str):
            raise InputError(
                "run.json names no run", file=run.path, cure="Restore run.json from a copy."
            )
        return run

    def optics(self) -> Optics:
        """Sampling of the images that the run is trained on (InputError if run.json is damaged)."""
        info = self.info()
        try:
            optics = Optics(float(info["pixel_size_A"]), int(info["box_size_px"]))
            if not (0 < optics.pixel_size_A < 1e3 and 0 < optics.box_size_px <= _LARGEST_BOX_PX):
                raise ValueError
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise InputError(
                "pixel_size_A or box_size_px is missing or makes no sense",
                file=self.path / "run.json",
                cure="Restore run.json from a copy.",
            ) from error
        return optics

    @property
    def reference_path(self) -> Path:
        """Where the structure that the deformations refer to is kept, if the run has one."""
        cif = self.path / "reference.cif"
        return cif if cif.is_file() else self.path / "reference.pdb"

    def write_reference(self, structure: Structure) -> None:
        """Keep the structure that the deformations refer to: as .pdb, or as .cif if it must be."""
        from cryoscope.io.structures import pdb_cannot_hold, write_structure

        suffix = "cif" if pdb_cannot_hold(structure, structure.coords_A[None]) else "pdb"
        write_structure(self.path / f"reference.{suffix}", structure)

    @property
    def volumes_path(self) -> Path:
        """The folder of the maps made from this run."""
        return self.path / "volumes"

    @property
    def run_id(self) -> str:
        """The run's own name, unique among runs."""
        return str(self.info()["run_id"])[:200]

    def config(self) -> dict[str, Any]:
        """Plain JSON of the training configuration."""
        return read_json_object(self.path / "config.json")

    def info(self) -> dict[str, Any]:
        """What ``run.json`` says: format, run_id, created, program, inputs, particle count."""
        path = self.path / "run.json"
        if not path.is_file():
            raise InputError(
                "this is not a run folder (run.json is missing)",
                file=self.path,
                cure="Name the folder that 'cryoscope train --out' made.",
            )
        return read_json_object(path)

    def append_event(self, event: Mapping[str, Any]) -> None:
        """Add one event to the log; whoever reads the log sees it at once."""
        self._require_lock()
        self._log.append(event)

    def read_events(self) -> list[dict[str, Any]]:
        """All whole events, oldest first."""
        return self._log.read()

    def read_events_from(self, offset_bytes: int) -> tuple[list[dict[str, Any]], int]:
        """Whole events after ``offset_bytes``, and the offset to go on from next time."""
        return self._log.read_from(offset_bytes)

    def truncate_events_after(self, step: int) -> None:
        """Drop the events of later steps than ``step``, before a resume from that step."""
        self._require_lock()
        self._log.truncate_after(step)

    def close(self) -> None:
        """Close the event log; appending opens it again."""
        self._log.close()

    def save_latents(self, latents: Latents, *, live: bool) -> Path:
        """Save latents as ``live.npz``, or as those of their finished epoch."""
        self._require_lock()
        name = "live.npz" if live else f"epoch-{latents.epoch:04d}.npz"
        path = self.path / "latents" / name
        write_latents(path, latents)
        return path

    def load_latents(self, epoch: int | None = None, *, live: bool = False) -> Latents:
        """Latents of ``epoch``; None is the newest finished epoch, or the live ones before that.

        Parameters
        ----------
        live
            Prefer the live latents where there are any.
        """
        epochs = self.latent_epochs()
        live_path = self.path / "latents" / "live.npz"
        if epoch is None and live_path.is_file() and (live or not epochs):
            return read_latents(live_path)
        if epoch is None and epochs:
            epoch = epochs[-1]
        if epoch not in epochs:
            which = "no latents yet" if epoch is None else f"no latents of epoch {epoch}"
            raise InputError(
                f"the run has {which}",
                file=self.path,
                cure=f"Finished epochs: {', '.join(map(str, epochs[-8:])) or 'none'}.",
            )
        return read_latents(self.path / "latents" / f"epoch-{epoch:04d}.npz")

    def latent_epochs(self) -> list[int]:
        """Finished epochs with latents, in order."""
        return sorted(_numbered(self.path / "latents", r"epoch-(\d{4,9})\.npz"))

    def save_checkpoint(
        self, step: int, tensors: Mapping[str, NDArray[Any]], meta: Mapping[str, Any], keep: int = 2
    ) -> Path:
        """Save a checkpoint and keep the newest ``keep``.

        Checkpoints of later steps are removed too: training went back before them. Nothing is
        removed before the new one is in place.
        """
        self._require_lock()
        path = self._checkpoint_path(step)
        write_checkpoint(path, tensors, meta)
        steps = self._checkpoint_steps()
        kept = [other for other in steps if other <= step][-max(keep, 1) :]
        for other in steps:
            if other not in kept:
                self._checkpoint_path(other).unlink(missing_ok=True)
        return path

    def load_checkpoint(
        self, step: int | None = None
    ) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Tensors and meta of a checkpoint; None is the newest that can be read.

        Returns
        -------
        The tensors, and the saved meta with two keys added: ``"step"``, and ``"skipped"``, one line
        for every newer checkpoint that was passed over because it is damaged.
        """
        steps = self._checkpoint_steps()
        if step is not None:
            steps = [step]
        skipped: list[str] = []
        for candidate in reversed(steps):
            try:
                tensors, meta = read_checkpoint(self._checkpoint_path(candidate))
            except InputError as error:
                if step is not None:
                    raise
                skipped.append(str(error))
                continue
            return tensors, {**meta, "step": candidate, "skipped": skipped}
        problem = "no checkpoint can be read" if skipped else "the run has no checkpoint yet"
        raise InputError(
            problem, file=self.path, cure="Start the run again with another --out." + _why(skipped)
        )

    def has_checkpoint(self) -> bool:
        """Whether there is anything to resume from."""
        return bool(self._checkpoint_steps())

    def save_selections(self, selections: Sequence[Selection]) -> None:
        """Save the named sets of particles, replacing those saved before."""
        write_selections(self.path / "selections.json", selections)

    def load_selections(self) -> list[Selection]:
        """The saved sets of particles; none where none were saved."""
        path = self.path / "selections.json"
        if not path.exists():
            return []
        count = self.info().get("particle_count")
        return read_selections(path, particle_count=count if isinstance(count, int) else None)

    @contextmanager
    def lock(self, *, take_over: bool = False, waiting: Waiting | None = None) -> Iterator[None]:
        """Hold the run for training; InputError where another program holds it.

        Temporary files that a killed trainer left among latents and checkpoints are removed. While
        it is held, everything that training writes is refused once another program has taken the
        run over (:mod:`cryoscope.io.process_lock`, also for the parameters).
        """
        path = self.path / "run.lock"
        with process_lock(path, "run", take_over=take_over, waiting=waiting) as self._held:
            for name in ("latents", "checkpoints"):
                for leftover in (self.path / name).glob(".*.tmp.*"):
                    leftover.unlink(missing_ok=True)
            try:
                yield
            finally:
                self._held = None

    def _require_lock(self) -> None:
        if self._held is not None:
            self._held.require()

    def _checkpoint_path(self, step: int) -> Path:
        return self.path / "checkpoints" / f"step-{step:08d}.safetensors"

    def _checkpoint_steps(self) -> list[int]:
        return sorted(_numbered(self.path / "checkpoints", r"step-(\d{8,15})\.safetensors"))

    def _refuse_if_used(self) -> None:
        if not self.path.exists():
            return
        if not self.path.is_dir():
            raise InputError(
                "a file stands where the run folder should be",
                file=self.path,
                cure="Choose another --out.",
            )
        if (self.path / "run.json").exists():
            raise InputError(
                "a run folder exists here already",
                file=self.path,
                cure="Go on with --resume, or choose another --out.",
            )
        # What a kill inside create() leaves behind (empty subfolders, then config.json) is no
        # reason to refuse.
        half_made = all(_is_empty_folder(self.path / name) for name in _SUBFOLDERS)
        for entry in self.path.iterdir():
            ours = _is_empty_folder(entry) if entry.name in _SUBFOLDERS else half_made
            if not (ours and entry.name in (*_SUBFOLDERS, "config.json")) and entry.name[0] != ".":
                raise InputError(
                    f"the folder is not empty ({entry.name}) and not a run",
                    file=self.path,
                    cure="Choose another --out.",
                )

    def _remove_half_made(self) -> None:
        """Remove what :meth:`create` began."""
        with suppress(OSError):
            (self.path / "config.json").unlink(missing_ok=True)
            for name in _SUBFOLDERS:
                (self.path / name).rmdir()


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


def _numbered(folder: Path, pattern: str) -> Iterator[int]:
    """Numbers of the files in ``folder`` whose whole name matches ``pattern``."""
    if folder.is_dir():
        for entry in folder.iterdir():
            if match := re.fullmatch(pattern, entry.name):
                yield int(match[1])


def _why(skipped: Sequence[str]) -> str:
    return f" ({skipped[0]})" if skipped else ""
