"""Training by one process and by two (``torchrun``, gloo), in turn, on the same particles.

``python tests/benchmarks/bench_distributed.py [--particles N] [--epochs E] [--preset P]
[--processes K] [--rounds R] [--threads T] [--cpu]``: a simulated set is trained from a warm cache
with the same settings and the same batch; images/s are medians over the reports after the first
epoch, in which kernels are compiled and images digested. Rounds alternate, so that both see the
same load. Nothing is asserted. A step is shared fairly only where every process has cores (or a
GPU) of its own: with K processes of T threads on fewer than K x T idle cores, what is printed is
how well the processes share a machine (on a busy one, several get more of it than one), not how the
training scales. It prints the cores and the load beside.
``--cpu`` adds what does not depend on the load: the processor time of an image by one process and
by all together (the difference of a run of E epochs and one of a single epoch), and from it the
ratio that cores of their own would allow if waiting for each other cost nothing.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from cryoscope.io.run_folder import RunFolder
from cryoscope.simulation.config import SimulationConfig
from cryoscope.simulation.simulate import simulate

ROOT = Path(__file__).resolve().parents[2]


def usable_cores() -> int:
    """Cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def processor_s() -> float:
    """Processor time of all children so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def images_per_s(run: Path) -> float:
    """Median of the reports after the first epoch."""
    steps = [e for e in RunFolder.open(run).read_events() if e["kind"] == "step_done"]
    later = [e["images_per_s"] for e in steps if e["epoch"] > 0] or [steps[-1]["images_per_s"]]
    return statistics.median(later)


def train(
    folder: Path, run: Path, processes: int, options: argparse.Namespace, epochs: int
) -> tuple[float, float]:
    """Train once by so many processes; images/s, and processor seconds of all of them."""
    command = [sys.executable]
    if processes > 1:
        command += ["-m", "torch.distributed.run", "--standalone"]
        command += ["--nproc-per-node", str(processes)]
    command += ["-m", "cryoscope", "train", str(folder / "set" / "particles.star")]
    command += ["--out", str(run), "--preset", options.preset, "--epochs", str(epochs)]
    if "volume" not in options.preset and "cryodrgn" not in options.preset:
        command += ["--structure", str(folder / "set" / "reference.pdb")]
    command += ["--set", f"optimiser.batch_size={options.batch}", "--device", options.device]
    command += ["--set", f"threads={options.threads}"]
    command += ["--set", f"data.cache_dir={folder / 'cache'}", "--box-px", str(options.box_px)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    before_s = processor_s()
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{processes} processes failed:\n{done.stderr[-3000:]}")
    return images_per_s(run), processor_s() - before_s


def main() -> int:
    """Print images/s of one process and of several."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--particles", type=int, default=1024)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--box-px", type=int, default=64)
    parser.add_argument("--preset", default="cryoscope-default")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1, help="of each process")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--cpu", action="store_true", help="measure processor time too")
    options = parser.parse_args()
    counts = (1, options.processes)
    speeds: dict[int, list[float]] = {count: [] for count in counts}
    cpu_ms: dict[int, list[float]] = {count: [] for count in counts}
    with tempfile.TemporaryDirectory(prefix="bench-distributed-") as name:
        folder = Path(name)
        config = SimulationConfig(
            structures=(str(ROOT / "resources" / "structures" / "1ake_A.pdb"),),
            particles=options.particles,
            box_px=options.box_px,
            pixel_size_A=1.6,
            snr=0.1,
        )
        simulate(config, folder / "set")
        for turn in range(options.rounds):
            for count in counts:
                run = folder / f"run-{turn}-{count}"
                speed, used_s = train(folder, run, count, options, options.epochs)
                speeds[count].append(speed)
                if options.cpu:
                    once_s = train(folder, folder / f"once-{turn}-{count}", count, options, 1)[1]
                    images = options.particles * (options.epochs - 1)
                    cpu_ms[count].append(1e3 * (used_s - once_s) / images)
    one, several = (statistics.median(speeds[count]) for count in counts)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    print(f"{usable_cores()} cores, load {load:.1f}, {options.threads} threads per process")
    for count in counts:
        each = ", ".join(f"{speed:,.0f}" for speed in speeds[count])
        print(f"{count} process{'es' * (count > 1)}: {each} images/s")
    print(f"ratio {several / one:.2f} ({options.preset}, batch {options.batch})")
    if options.cpu:
        alone_ms, together_ms = (statistics.median(cpu_ms[count]) for count in counts)
        allowed = options.processes * alone_ms / together_ms
        print(
            f"processor time {alone_ms:.2f} and {together_ms:.2f} ms/image: {allowed:.2f}x allowed"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
