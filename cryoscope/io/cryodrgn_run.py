"""Run folders of cryoDRGN, finished or still training: settings, epochs, latents, inputs.

::

    config.yaml      how the network was made, and where the inputs are
    z.N.pkl          latents after epoch N (counted from 1, before version 3.5 from 0)
    weights.N.pkl    the network after epoch N
    z.pkl            latents of the finished run; weights.pkl, pose.pkl likewise
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml
from numpy.typing import NDArray

from cryoscope.data import CTFParams, InputError, Latents, Optics, Poses
from cryoscope.io.atomic import explain_os_errors
from cryoscope.io.cryodrgn_files import box_lengths_A, read_ctf, read_indices, read_poses, read_z
from cryoscope.io.particles_file import read_metadata

#: The number of the files without one: those of the finished run.
FINAL = -1
_LARGEST_CONFIG_BYTES = 16 * 1024**2
_LARGEST_BOX_PX = 4096
_LARGEST_LATENT = 1024

Kind = Literal["vae", "decoder", "abinit"]


@dataclass(frozen=True)
class CryodrgnSettings:
    """What ``config.yaml`` says.

    Attributes
    ----------
    kind
        ``vae`` (encoder and decoder), ``decoder`` (decoder alone), ``abinit`` (cryoDRGN-AI).
    latent_dim
        0 for a homogeneous reconstruction.
    box_size_px
        Box that was trained on.
    norm
        Mean and standard deviation that the Hartley transforms of the images were scaled by.
    domain, encoding, encoding_count, activation
        Of the volume network, in cryoDRGN's words; ``encoding_count`` 0 = half the box.
    particles, ctf, poses, ind
        Input files as named there; empty where there is none.
    first_images
        Only so many images were used (an ``ind`` that is a number); 0 = all.
    """

    kind: Kind
    latent_dim: int
    box_size_px: int
    norm: tuple[float, float]
    domain: str
    encoding: str
    encoding_count: int
    activation: str
    particles: str
    ctf: str
    poses: str
    ind: str
    first_images: int


class CryodrgnRun:
    """One run of cryoDRGN on disk; read only.

    Parameters
    ----------
    path
        The folder (use :meth:`open`).
    settings
        Its settings.
    """

    def __init__(self, path: Path, settings: CryodrgnSettings) -> None:
        self.path, self.settings = path, settings
        self._whole: dict[Path, tuple[int, int]] = {}
        self._uid: NDArray[np.str_] | None = None

    @staticmethod
    def is_one(path: str | Path) -> bool:
        """Whether a folder looks like a run of cryoDRGN."""
        path = Path(path)
        named = ("config.yaml", "config.pkl")
        return any((path / name).is_file() for name in named) and not (path / "run.json").exists()

    @classmethod
    def open(cls, path: str | Path) -> CryodrgnRun:
        """Open a run.

        Raises
        ------
        InputError
            There is no ``config.yaml``, or it is damaged or not cryoDRGN's.
        """
        path = Path(path).absolute()
        return cls(path, _settings(_read_config(path), path / "config.yaml"))

    @property
    def run_id(self) -> str:
        """The name of the folder."""
        return self.path.name

    def epochs(self) -> list[int]:
        """Epochs that there are files of, whole or not; [FINAL] where only the final ones stand."""
        name = "z" if self.settings.latent_dim else "weights"
        found = []
        with explain_os_errors(self.path, action="read"):
            for entry in self.path.iterdir():
                if match := re.fullmatch(rf"{name}\.(\d{{1,9}})\.pkl", entry.name):
                    found.append(int(match[1]))
        if not found and (self.path / f"{name}.pkl").is_file():
            return [FINAL]
        return sorted(found)

    def newest_epoch(self) -> int | None:
        """The newest epoch whose latents can be read whole; None before the first.

        Meant to be asked again and again: a file that was whole is looked at again only when its
        size or time has changed.
        """
        for epoch in reversed(self.epochs()):
            if not self.settings.latent_dim:
                return epoch
            path = self._file("z", epoch)
            try:
                state = path.stat()
                stamp = (state.st_size, state.st_mtime_ns)
                if self._whole.get(path) != stamp:
                    self._read_z(path)
                    self._whole[path] = stamp
            except (InputError, OSError):  # being written, or removed by `clean`
                continue
            return epoch
        return None

    def latents(self, epoch: int | None = None) -> Latents:
        """Latents of an epoch (None: the newest whole one), with the names of their particles.

        Raises
        ------
        InputError
            No such epoch; the file is damaged, not finite, or for another number of particles
            than ``ind`` or the particle file.
        """
        if epoch is None:
            epoch = self.newest_epoch()
        if epoch is None or epoch not in self.epochs():
            raise self._no_epoch(epoch)
        path = self._file("z", epoch)
        z, log_var = self._read_z(path)
        uid = self.uids(len(z), path)
        return Latents(z, log_var, uid, self.run_id, epoch)

    def weights_path(self, epoch: int | None = None) -> Path:
        """The network's file of an epoch (None: that of the newest latents).

        Raises
        ------
        InputError
            There is none.
        """
        wanted = self.newest_epoch() if epoch is None else epoch
        path = None if wanted is None else self._file("weights", wanted)
        if path is None or not path.is_file():
            raise self._no_epoch(wanted)
        return path

    def indices(self) -> NDArray[np.int64] | None:
        """The images of the particle file that were trained on; None = all."""
        if self.settings.first_images:
            return np.arange(self.settings.first_images, dtype=np.int64)
        return read_indices(self._input(self.settings.ind)) if self.settings.ind else None

    def inputs(self) -> dict[str, Any]:
        """The run's input files, as `particles_file.read_any` takes them.

        Raises
        ------
        InputError
            One of them is gone.
        """
        named = self.settings
        files = {"path": self._input(named.particles)}
        for key, name in (("pose", named.poses), ("ctf", named.ctf), ("ind", named.ind)):
            if name:
                files[key] = self._input(name)
        return files

    def uids(self, count: int, file: Path) -> NDArray[np.str_]:
        """(count,) names of the particles, in the order of the latents.

        Those of the particle file where it is a .star or .cs that is still there, else
        ``000001@`` and the name of the stack.
        """
        if self._uid is None:
            self._uid = self._names(count)
        if len(self._uid) != count:
            raise InputError(
                f"it is for {count:,} particles, but the run's inputs have {len(self._uid):,}",
                file=file,
                cure="Put back the particle file and ind.pkl that the run was made with",
            )
        return self._uid

    def ctf(self) -> tuple[CTFParams, tuple[Optics, ...]] | None:
        """CTF parameters of the particles that were trained on, in the trained box."""
        if not self.settings.ctf:
            return None
        path = self._input(self.settings.ctf)
        table, optics = read_ctf(path, self.settings.box_size_px)
        index = self._checked_indices(len(table), path)
        return (table if index is None else table.take(index)), optics

    def poses(self) -> Poses | None:
        """Poses of the particles that were trained on; shifts need the run's ctf.pkl too."""
        found = self.ctf()
        if not self.settings.poses or found is None:
            return None
        path = self._input(self.settings.poses)
        poses = read_poses(path, 1.0)
        index = self._checked_indices(len(poses), path)
        poses = poses if index is None else poses.take(index)
        length_A = box_lengths_A(*found)
        if len(length_A) != len(poses):
            raise InputError(
                f"it is for {len(poses):,} particles, but ctf.pkl for {len(length_A):,}", file=path
            )
        return Poses(poses.rotation, poses.shift_A * length_A[:, None])

    def optics(self) -> Optics:
        """Sampling of the trained images; 1 A per pixel without a ctf.pkl, as cryoDRGN assumes."""
        found = self.ctf()
        return Optics(1.0, self.settings.box_size_px) if found is None else found[1][0]

    def _names(self, count: int) -> NDArray[np.str_]:
        index = self.indices()
        named = self.settings.particles
        table = self._find(named)
        if table is not None and table.suffix.lower() in (".star", ".cs"):
            uid = read_metadata(table).uid
            if index is None:
                return uid
            return uid[self._checked_indices(len(uid), table)]
        rows = np.arange(count) if index is None else index
        stack = re.split(r"[\\/]", named)[-1] or "particles"
        return np.array([f"{row + 1:06d}@{stack}" for row in rows.tolist()])

    def _checked_indices(self, count: int, file: Path) -> NDArray[np.int64] | None:
        index = self.indices()
        if index is not None and len(index) and int(index.max()) >= count:
            raise InputError(
                f"ind names particle {int(index.max())}, but there are {count:,}",
                file=file,
                cure="Put back the ind.pkl that the run was made with",
            )
        return index

    def _read_z(self, path: Path) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        z, log_var = read_z(path, with_log_var=True if self.settings.kind == "vae" else None)
        if z.shape[1] != self.settings.latent_dim:
            raise InputError(
                f"it holds {z.shape[1]} dimensions; config.yaml says {self.settings.latent_dim}",
                file=path,
                cure="Put back the config.yaml of this run",
            )
        return z, log_var

    def _file(self, name: str, epoch: int) -> Path:
        return self.path / (f"{name}.pkl" if epoch == FINAL else f"{name}.{epoch}.pkl")

    def _find(self, name: str) -> Path | None:
        """An input where it was, or, in a run that was moved, in its folder or beside it."""
        if not name:
            return None
        bare = re.split(r"[\\/]", name)[-1]
        for place in (self.path / name, self.path / bare, self.path.parent / bare):
            if place.is_file():
                return place
        return None

    def _input(self, name: str) -> Path:
        found = self._find(name)
        if found is None:
            raise InputError(
                "an input of the run is not there any more",
                file=name,
                cure=f"Put it back, or into {self.path}",
            )
        return found

    def _no_epoch(self, epoch: int | None) -> InputError:
        epochs = [e for e in self.epochs() if e != FINAL]
        which = "no whole epoch yet" if epoch is None else f"no epoch {epoch}"
        return InputError(
            f"the run has {which}",
            file=self.path,
            cure=f"Epochs: {', '.join(map(str, epochs[-8:])) or 'none'}",
        )


def _read_config(path: Path) -> dict[str, Any]:
    file = path / "config.yaml"
    if not file.is_file():
        old = (path / "config.pkl").is_file()
        raise InputError(
            "the run was made by a cryoDRGN before 1.1, which kept its settings in config.pkl"
            if old
            else "this is no run of cryoDRGN (config.yaml is missing)",
            file=path,
            cure="Name the folder given to cryodrgn with -o",
        )
    with explain_os_errors(file, action="read"):
        if file.stat().st_size > _LARGEST_CONFIG_BYTES:
            raise InputError("this is too large for a config.yaml", file=file)
        content = file.read_bytes()
    try:
        config = yaml.safe_load(content)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"not readable as settings ({reason})", file=file, cure="Copy the file again"
        ) from error
    if not isinstance(config, dict):
        raise InputError("the file holds no settings", file=file, cure="Copy the file again")
    return config


def _settings(config: dict[str, Any], file: Path) -> CryodrgnSettings:
    try:
        data, model = dict(config.get("dataset_args") or {}), dict(config["model_args"])
        lattice = dict(config.get("lattice_args") or {})
        kind: Kind = "vae" if "players" in model else "decoder"
        norm = data.get("norm")
        if "data_norm_mean" in config:
            kind, norm = "abinit", (config["data_norm_mean"], config["data_norm_std"])
        if norm is None:
            raise KeyError("norm")
        mean, deviation = (float(part) for part in norm)
        box_size_px, latent_dim = int(lattice["D"]) - 1, int(model.get("zdim") or 0)
        sane = 2 <= box_size_px <= _LARGEST_BOX_PX and box_size_px % 2 == 0
        sane &= 0 <= latent_dim <= _LARGEST_LATENT
        if not (sane and math.isfinite(mean) and 0 < deviation < math.inf):
            raise ValueError("a box size, latent dimension or norm that makes no sense")
        ind = data.get("ind")
        return CryodrgnSettings(
            kind=kind,
            latent_dim=latent_dim,
            box_size_px=box_size_px,
            norm=(mean, deviation),
            domain=str(model.get("domain") or "hartley"),
            encoding=str(model.get("pe_type") or "none"),
            encoding_count=int(model.get("pe_dim") or 0),
            activation=str(model.get("activation") or "relu"),
            particles=str(data.get("particles") or ""),
            ctf=str(data.get("ctf") or ""),
            poses=str(data.get("poses") or ""),
            ind=ind if isinstance(ind, str) else "",
            first_images=ind if type(ind) is int and ind > 0 else 0,
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InputError(
            f"these are not the settings of a cryoDRGN run ({error})",
            file=file,
            cure="Copy the file again, or name another folder",
        ) from error
