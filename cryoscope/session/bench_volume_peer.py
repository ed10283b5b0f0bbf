"""cryoDRGN, run as its users run it: its commands, its files, in its own interpreter."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import InputError
from cryoscope.io.atomic import explain_os_errors
from cryoscope.io.json_file import read_json_object, write_json
from cryoscope.io.mrc import read_volume
from cryoscope.io.safe_pickle import read_pickles
from cryoscope.session.bench_runs import BenchStopped
from cryoscope.session.bench_sets import Progress, SimulatedSet, first_folder
from cryoscope.training.config import TrainConfig

_EPOCH = re.compile(
    r"=====> Epoch: (\d+) .*Finished in (?:(\d+) days?, )?(\d+):(\d+):(\d+(?:\.\d+)?)"
)
_VERSION = re.compile(r"cryoDRGN (\d+(?:\.\w+)+)")
_SETTINGS = "bench.json"
_POLL_S = 0.5


@dataclass(frozen=True)
class Peer:
    """An interpreter that has cryoDRGN.

    Attributes
    ----------
    python
        Its path; the program lies beside it.
    threads
        CPU threads it may use, as many as our own training.
    """

    python: Path
    threads: int

    def __post_init__(self) -> None:
        if not self.program.is_file():
            raise InputError(
                "there is no cryodrgn beside this interpreter",
                file=self.python,
                cure="Give --peer the python of an environment with `pip install cryodrgn`",
            )

    @property
    def program(self) -> Path:
        """The command ``cryodrgn``; links of virtual environments are not followed."""
        return self.python.with_name("cryodrgn")

    def trained(
        self,
        name: str,
        config: TrainConfig,
        made: SimulatedSet,
        out: Path,
        progress: Progress,
        should_stop: Callable[[], bool],
    ) -> PeerRun:
        """A run with the sizes, rate and epochs of ``config``, trained to its end.

        Raises
        ------
        InputError
            cryoDRGN failed; its last words are told.
        BenchStopped
            ``should_stop`` said so.
        """
        arguments = _train_arguments(config)
        settings = {"particles": str(made.star.resolve()), "arguments": arguments}
        folder = first_folder(
            out / "runs" / name.replace("/", "-"), lambda path: _settings_in(path) == settings
        )
        run = PeerRun(self, folder, config.optimiser.epochs)
        if run.weights.is_file() and run.latents_file.is_file():
            return run
        with explain_os_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / _SETTINGS, settings)
        star, poses, ctf = str(made.star.resolve()), folder / "pose.pkl", folder / "ctf.pkl"

        told = -1

        def watch() -> None:
            nonlocal told
            done = run.epochs_done()
            if done != told:
                progress(name, done, config.optimiser.epochs)
            told = done

        given = [star, "--poses", str(poses), "--ctf", str(ctf), "-o", str(folder)]
        for command in (
            ["parse_pose_star", star, "-o", str(poses)],
            ["parse_ctf_star", star, "-o", str(ctf)],
            ["train_vae", *given, *arguments],
        ):
            self.run(command, folder, should_stop, watch)
        if not run.weights.is_file():
            raise InputError("cryoDRGN left no weights", file=folder, cure="See its run.log")
        return run

    def run(
        self,
        arguments: Sequence[str],
        folder: Path,
        should_stop: Callable[[], bool] = lambda: False,
        watch: Callable[[], None] = lambda: None,
    ) -> None:
        """One command of cryoDRGN; what it prints goes to ``folder / "output.txt"``.

        Raises
        ------
        InputError
            It failed.
        BenchStopped
            ``should_stop`` said so; the command was ended.
        """
        count = str(self.threads)
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        environment |= dict.fromkeys(names, count)
        printed = folder / "output.txt"
        with explain_os_errors(printed), printed.open("wb") as output:
            process = subprocess.Popen(
                [str(self.program), *arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            try:
                while process.poll() is None:
                    if should_stop():
                        raise BenchStopped
                    watch()
                    time.sleep(_POLL_S)
            finally:
                if process.poll() is None:
                    process.terminate()
                    process.wait(timeout=30)
        if process.returncode:
            lines = printed.read_text("utf-8", errors="replace").strip().splitlines()
            raise InputError(
                f"cryodrgn {arguments[0]} failed: {lines[-1] if lines else 'it said nothing'}",
                file=printed,
                cure="Try the command by hand",
            )


@dataclass(frozen=True)
class PeerRun:
    """A run folder of ``cryodrgn train_vae``."""

    peer: Peer
    folder: Path
    epochs: int

    @property
    def weights(self) -> Path:
        """Of the last epoch."""
        return self.folder / f"weights.{self.epochs}.pkl"

    @property
    def latents_file(self) -> Path:
        """Of the last epoch."""
        return self.folder / f"z.{self.epochs}.pkl"

    def _log(self) -> str:
        file = self.folder / "run.log"
        if not file.is_file():
            return ""
        with explain_os_errors(file, action="read"):
            return file.read_text("utf-8", errors="replace")

    def epoch_seconds(self) -> list[float]:
        """Seconds of training of every epoch so far, evaluation and saving not included."""
        seconds = {}
        for found in _EPOCH.finditer(self._log()):
            days, hours, minutes = (int(part or 0) for part in found.group(2, 3, 4))
            time_taken = timedelta(days, float(found[5]), minutes=minutes, hours=hours)
            seconds[int(found[1])] = time_taken.total_seconds()  # a repeated epoch counts once
        return list(seconds.values())

    def epochs_done(self) -> int:
        """Finished epochs."""
        return len(self.epoch_seconds())

    def speed(self, particles: int) -> dict[str, Any]:
        """As ``bench_runs.speed_of``; images per second by the median epoch."""
        seconds = self.epoch_seconds()
        if len(seconds) != self.epochs:
            raise InputError(
                f"{len(seconds)} of {self.epochs} epochs are in the log",
                file=self.folder / "run.log",
                cure="Remove the folder to train again",
            )
        version = _VERSION.search(self._log())
        return {
            "images_per_s": particles / float(np.median(seconds)),
            "epochs": self.epochs,
            "seconds": float(np.sum(seconds)),
            "run": self.folder.name,
            "version": version[1] if version else "",
        }

    def latents(self) -> NDArray[np.float32]:
        """(N, d) posterior means; the log variances follow them in the file."""
        z = read_pickles(self.latents_file)[0]
        if not (isinstance(z, np.ndarray) and z.ndim == 2 and np.isfinite(z).all()):
            raise InputError("no table of latents", file=self.latents_file, cure="Train again")
        return np.asarray(z, dtype=np.float32)

    def volumes(
        self, z: NDArray[np.floating], pixel_size_A: float, should_stop: Callable[[], bool]
    ) -> Iterator[NDArray[np.float32]]:
        """Maps of (S, d) latents by ``eval_vol``: our frame, origin and contrast as they are."""
        folder = self.folder / "sampled"
        with explain_os_errors(folder):
            folder.mkdir(exist_ok=True)
        table = folder / "z.txt"
        with explain_os_errors(table):
            np.savetxt(table, np.atleast_2d(z))
        command = ["eval_vol", str(self.weights), "-c", str(self.folder / "config.yaml")]
        command += ["-o", str(folder), "--zfile", str(table), "--Apix", f"{pixel_size_A:g}"]
        self.peer.run(command, folder, should_stop)
        for number in range(1, len(z) + 1):
            file = folder / f"vol_{number:03d}.mrc"
            yield read_volume(file).values
            file.unlink()


def _train_arguments(config: TrainConfig) -> list[str]:
    """Options of ``train_vae`` that mean what ``config`` says."""
    sizes = {}
    for name, widths in (("encoder", config.encoder.widths), ("volume", config.volume.widths)):
        if len(set(widths)) != 1 or len(widths) < 2:
            raise InputError(
                f"{name}.widths is {list(widths)}",
                cure="cryoDRGN has hidden layers of one width, two or more",
            )
        sizes[name] = (str(len(widths) - 1), str(widths[0]))
    (enc_layers, enc_dim), (dec_layers, dec_dim) = sizes["encoder"], sizes["volume"]
    epochs = str(config.optimiser.epochs)
    return [
        "--zdim", str(config.latent.dim), "-n", epochs, "-b", str(config.optimiser.batch_size),
        "--lr", f"{config.optimiser.learning_rate:g}", "--beta", f"{config.loss.kl_weight:g}",
        "--enc-layers", enc_layers, "--enc-dim", enc_dim,
        "--dec-layers", dec_layers, "--dec-dim", dec_dim,
        "--seed", str(config.seed), "--checkpoint", epochs, "--no-amp", "--no-analysis",
    ]  # fmt: skip


def _settings_in(folder: Path) -> Any:
    try:
        return read_json_object(folder / _SETTINGS)
    except InputError:
        return None
