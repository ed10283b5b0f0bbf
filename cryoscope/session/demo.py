"""The built-in demo: simulate a small data set with a known motion, open it and train."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryoscope.data import InputError
from cryoscope.session.child_process import run_child
from cryoscope.session.jobs import Job
from cryoscope.session.opening import load_particles, load_structure, reporting
from cryoscope.session.run_control import next_run_folder, start_training
from cryoscope.session.state import Session

# Adenylate kinase, closed and open: 10,000 particles along the relaxed path between them.
CLOSED, OPEN = "structures/1ake_A.pdb", "structures/4ake_A.pdb"
PROGRAM = (sys.executable, "-m", "cryoscope", "simulate")


@dataclass(frozen=True)
class DemoSet:
    """How large the demo set is, and how noisy."""

    particles: int = 10_000
    box_px: int = 64
    pixel_size_A: float = 1.6
    snr: float = 0.1
    seed: int = 0

    def arguments(self, out: Path, closed: Path, opened: Path) -> list[str]:
        """Arguments of ``cryoscope simulate``."""
        return [
            str(out), "--structure", str(closed), "--to", str(opened),
            "--particles", str(self.particles), "--box-px", str(self.box_px),
            "--pixel-size-A", str(self.pixel_size_A), "--snr", str(self.snr),
            "--distribution", "uniform", "--seed", str(self.seed),
        ]  # fmt: skip


def start_demo(
    session: Session,
    out: str | Path = "cryoscope-demo",
    *,
    demo: DemoSet = DemoSet(),
    program: Sequence[str] = PROGRAM,
) -> None:
    """Train on the demo set, simulating it first if ``out`` does not hold it yet.

    Returns at once. Particles are at ``out/particles.star``, runs at ``out/run-001`` and so on.
    """
    folder = Path(out).expanduser().absolute()

    def prepare(job: Job) -> None:
        from cryoscope.io.resources import resource_path

        star, reference = folder / "particles.star", folder / "reference.pdb"
        if not all(file.is_file() for file in (star, reference, folder / "truth.npz")):
            arguments = demo.arguments(folder, resource_path(CLOSED), resource_path(OPEN))
            simulate([*program, *arguments, "--progress-json"], job)
        job.progress(0, 0, "Opening the demo set")
        load_particles(session, star)
        load_structure(session, reference)
        job.check()
        start_training(session, next_run_folder(folder))

    with reporting(session):
        session.pool.submit(
            "Demo", prepare, key="open", text="Simulating the demo set", cancel_running=False
        )


def simulate(command: Sequence[str], job: Job) -> None:
    """Simulate particles in a child process; cancelling the job kills it.

    Raises
    ------
    InputError
        If the simulation fails.
    """
    run_child("the simulation", command, job, _progress_reader(job))


def _progress_reader(job: Job) -> Callable[[bytes], None]:
    """Turns lines ``{"stage", "done", "total"}`` into the job's progress."""

    def read(line: bytes) -> None:
        try:
            values = json.loads(line)
            stage, done, total = str(values["stage"]), int(values["done"]), int(values["total"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            words = line.decode(errors="replace").strip()[:200]
            raise InputError(f"the simulation said {words!r}, which is no progress") from error
        text = " ".join(stage.split())[:200]
        job.progress(done, total, text[:1].upper() + text[1:])

    return read
