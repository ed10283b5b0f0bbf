"""A whole training step of the volume model, against cryoDRGN's own where it is installed.

``python tests/benchmarks/bench_volume_step.py [--peer PYTHON] [--threads K] [--repeats R]``: the
same widths, layers, box, batch, poses and CTF, data in memory; forward, backward and Adam. The peer
is the interpreter of an environment with cryoDRGN 4.3.1, whose own ``train_batch`` (its encoder,
slices, CTF, MSE and KLD; no AMP) runs in a process of its own. The programs take turns; medians and
ratios are printed, nothing is asserted. This file runs under both interpreters, so that it imports
what each of them has only when it is needed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

#: Hidden layers of encoder and decoder in cryoDRGN's count: residual ones after the first.
LAYERS, LATENT_DIM, PIXEL_SIZE_A = 3, 8, 3.0
PRECISIONS = ("float32", "bfloat16")


def defoci_A(count: int) -> list[float]:
    """Defocus of each image."""
    return [10_000.0 + 500.0 * (i % 20) for i in range(count)]


def our_step(width: int, box_px: int, batch_size: int, precision: str) -> Callable[[], None]:
    """One step of our model, losses and Adam."""
    import numpy as np
    import torch
    from scipy.spatial.transform import Rotation

    from cryoscope.data import CTFParams, Optics
    from cryoscope.models.interfaces import Batch
    from cryoscope.models.volume_model import VolumeModel
    from cryoscope.physics.ctf import ctf_table
    from cryoscope.physics.fourier import make_band
    from cryoscope.training.config import config_from_json

    widths = [width] * (LAYERS + 1)
    config = config_from_json(
        {
            "model": "volume",
            "encoder": {
                "kind": "fourier-mlp",
                "input": "phase-flipped",
                "resolution_A": 0,
                "widths": widths,
                "residual": True,
            },
            "latent": {"dim": LATENT_DIM},
            "volume": {"widths": widths, "precision": precision},
            "loss": {"data": "l2-sum", "scale": "model"},
        }
    )
    torch.manual_seed(0)
    band = make_band(box_px, PIXEL_SIZE_A, with_dc=False)
    model = VolumeModel(None, band, torch.ones(len(band)), config)
    model.train()
    optics = (Optics(PIXEL_SIZE_A, box_px),)
    ctf = CTFParams.uniform(batch_size, np.array(defoci_A(batch_size)))
    turns = Rotation.random(batch_size, random_state=0).as_matrix()
    batch = Batch(
        band.transform(torch.randn(batch_size, box_px, box_px)),
        torch.as_tensor(turns).float(),
        torch.randn(batch_size, 2),
        ctf_table(ctf, optics),
    )
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)
    generator = torch.Generator().manual_seed(0)

    def step() -> None:
        terms = model.losses(batch, generator).terms
        total = terms["data"].mean() + terms["kl"].mean() / LATENT_DIM
        optimiser.zero_grad(set_to_none=True)
        total.backward()
        optimiser.step()
        float(total.detach())

    return step


def peer_step(width: int, box_px: int, batch_size: int) -> Callable[[], None]:
    """One step of cryoDRGN; called under its interpreter."""
    import torch
    from cryodrgn.commands.train_vae import train_batch
    from cryodrgn.lattice import Lattice
    from cryodrgn.models import HetOnlyVAE

    torch.manual_seed(0)
    lattice = Lattice(box_px + 1, extent=0.5)
    seen = lattice.get_circular_mask(box_px // 2)
    model = HetOnlyVAE(
        lattice,
        *(LAYERS, width) * 2,
        in_dim=int(seen.sum()),
        zdim=LATENT_DIM,
        enc_mask=seen,
        enc_type="gaussian",
        feat_sigma=0.5,
    )
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-4)
    images = torch.randn(batch_size, box_px + 1, box_px + 1)
    turns = torch.linalg.qr(torch.randn(batch_size, 3, 3))[0]
    defocus_A = torch.tensor(defoci_A(batch_size))
    constants = torch.tensor([0.0, 300.0, 2.7, 0.1, 0.0]).expand(batch_size, 5)
    pixel_A = torch.full((batch_size, 1), PIXEL_SIZE_A)
    ctf = torch.cat([pixel_A, defocus_A[:, None], defocus_A[:, None], constants], dim=1)
    shift = torch.randn(batch_size, 2)

    def step() -> None:
        beta = 1 / LATENT_DIM
        train_batch(model, lattice, images, None, turns, shift, optimiser, beta, ctf_params=ctf)

    return step


def timed_s(step: Callable[[], None]) -> float:
    """Time of one call."""
    begin = time.perf_counter()
    step()
    return time.perf_counter() - begin


class Peer:
    """cryoDRGN in its own process, one step whenever asked."""

    def __init__(self, python: str, threads: int, *sizes: int) -> None:
        command = [python, __file__, "--serve", json.dumps(sizes), "--threads", str(threads)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def step_s(self) -> float:
        """Time of one step."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("step\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError("cryoDRGN has stopped; see its error above")
        return float(answer)

    def __enter__(self) -> Peer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.communicate()


def serve(sizes: list[int]) -> None:
    """Answer every line with the time of a step."""
    step = peer_step(*sizes)
    for _ in sys.stdin:
        print(timed_s(step), flush=True)


def compare(chosen: argparse.Namespace, width: int) -> dict[str, float]:
    """Median seconds of a step by name, the programs in turn."""
    sizes = (width, chosen.box, chosen.batch)
    steps: dict[str, Callable[[], float]] = {}
    for precision in PRECISIONS:
        step = our_step(*sizes, precision)
        steps[precision] = lambda step=step: timed_s(step)  # type: ignore[misc]
    times: dict[str, list[float]] = {}

    def turns(steps: dict[str, Callable[[], float]]) -> None:
        for repeat in range(chosen.repeats + 1):
            for name, step_s in steps.items():
                spent_s = step_s()
                if repeat:  # the first is to warm up
                    times.setdefault(name, []).append(spent_s)

    if chosen.peer:
        with Peer(chosen.peer, chosen.threads, *sizes) as peer:
            turns({**steps, "cryoDRGN": peer.step_s})
    else:
        turns(steps)
    return {name: statistics.median(own) for name, own in times.items()}


def main() -> None:
    """Print the table, or serve as the peer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", default="", help="python with cryoDRGN 4.3.1")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--box", type=int, default=64)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--widths", type=int, nargs="+", default=[128, 256, 1024])
    parser.add_argument("--serve", default="", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    import torch

    torch.set_num_threads(chosen.threads)
    if chosen.serve:
        serve(json.loads(chosen.serve))
        return
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    print(f"box {chosen.box}, batch {chosen.batch}, {chosen.threads} threads{load}; images/s")
    for width in chosen.widths:
        found_s: dict[str, Any] = compare(chosen, width)
        line = [f"{name} {chosen.batch / s:9,.1f}" for name, s in found_s.items()]
        peer_s = found_s.pop("cryoDRGN", None)
        if peer_s is not None:
            line += [f"{name} / cryoDRGN {peer_s / s:.2f}x" for name, s in found_s.items()]
        print(f"width {width:5d}: " + ", ".join(line), flush=True)


if __name__ == "__main__":
    main()
