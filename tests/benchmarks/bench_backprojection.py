"""Backprojection of 10,000 particles of 128 px: half-maps and FSC, and the preview at 64 px.

``python tests/benchmarks/bench_backprojection.py [--threads 2] [--peer PYTHON] [--set FOLDER]``:
seconds and the agreement of the maps; nothing is asserted. ``--peer`` is an interpreter with
cryoDRGN, whose ``backproject_voxel`` is timed on the same particles, its start included.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numba
import numpy as np
import torch

from cryoscope.cli.entry import run
from cryoscope.io.mrc import read_volume
from cryoscope.io.relion import read_particles
from cryoscope.physics.fsc import shell_numbers
from cryoscope.session.reconstruct import reconstruct

BOX, PIXEL_A, COUNT = 128, 1.2, 10_000
ROOT = Path(__file__).resolve().parents[2]


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """What the user asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peer", help="interpreter of an environment with cryoDRGN")
    parser.add_argument("--set", type=Path, help="simulated set to use, or to make there")
    return parser.parse_args(words)


def made_set(folder: Path) -> Path:
    """The particle file of the set, simulated where it is absent."""
    star = folder / "particles.star"
    if not star.is_file():
        model = str(ROOT / "resources" / "structures" / "1ake_A.pdb")
        options = ["--particles", str(COUNT), "--box-px", str(BOX), "--pixel-size-A", str(PIXEL_A)]
        assert run(["simulate", str(folder), "--structure", model, *options]) == 0
    return star


def timed(star: Path, box_px: int) -> tuple[float, float, np.ndarray, str]:
    """Seconds from the opened particle file to maps and FSC: by the clock, and of all processors.

    The second number says what a busy machine hides. Then the map, and a summary.
    """
    particles = read_particles(star)
    begin, begin_cpu = time.perf_counter(), time.process_time()
    found = reconstruct(particles, control=False, box_size_px=box_px)
    seconds, cpu = time.perf_counter() - begin, time.process_time() - begin_cpu
    return seconds, cpu, found.full.values, found.summary()


def low_passed(volume: np.ndarray) -> np.ndarray:
    """The map to half of Nyquist."""
    spectrum = torch.fft.rfftn(torch.as_tensor(volume).double())
    spectrum[shell_numbers(len(volume)) > len(volume) // 4] = 0
    return torch.fft.irfftn(spectrum, s=volume.shape).numpy()


def peer(python: str, star: Path, folder: Path, threads: int) -> tuple[float, np.ndarray]:
    """Seconds of cryoDRGN's command, half-maps and FSC included, and its map."""
    command = str(Path(python).parent / "cryodrgn")
    # OpenMP threads are given, BLAS and MKL follow them
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}

    def call(*words: str) -> float:
        begin = time.perf_counter()
        subprocess.run([command, *words], check=True, capture_output=True, env=environment)
        return time.perf_counter() - begin

    size = ["-D", str(BOX), "--Apix", str(PIXEL_A)]
    poses, ctf = str(folder / "pose.pkl"), str(folder / "ctf.pkl")
    call("parse_pose_star", str(star), *size, "-o", poses)
    call("parse_ctf_star", str(star), *size, "-o", ctf)
    files = ["--poses", poses, "--ctf", ctf, "-o", str(folder / "theirs")]
    seconds = call("backproject_voxel", str(star.parent / "particles.mrcs"), *files)
    return seconds, read_volume(folder / "theirs" / "backproject.mrc").values


def main() -> None:
    """Print the table."""
    chosen = arguments()
    numba.set_num_threads(min(chosen.threads, numba.config.NUMBA_NUM_THREADS))
    torch.set_num_threads(chosen.threads)
    with tempfile.TemporaryDirectory() as temporary:
        star = made_set(chosen.set or Path(temporary) / "set")
        timed(star, 64)  # compiles, and reads the images into the page cache
        print(f"threads {chosen.threads}, load {os.getloadavg()[0]:.2f}")
        ours = None
        for box_px, limit_s in ((BOX, 15), (64, 3)):
            seconds, cpu, values, summary = timed(star, box_px)
            ours = values if ours is None else ours
            line = f"{box_px:4d} px{seconds:9.2f} s ({cpu:.2f} s of processors)"
            print(f"{line}   must be below {limit_s} s   {summary}")
        if chosen.peer:
            seconds, theirs = peer(chosen.peer, star, Path(temporary), chosen.threads)
            pair = [low_passed(one).ravel() for one in (ours, theirs)]
            print(f"cryoDRGN{seconds:7.2f} s   backproject_voxel, {BOX} px")
            print(f"correlation to Nyquist / 2: {np.corrcoef(pair[0], pair[1])[0, 1]:.5f}")


if __name__ == "__main__":
    main()
