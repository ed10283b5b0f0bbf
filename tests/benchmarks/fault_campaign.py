"""Kill the program at random moments and look at what it left.

``python tests/benchmarks/fault_campaign.py [--moments N] [--seed S] [--only WORK] [--json FILE]``

Five works are begun in turn, each in a process of its own that is killed (SIGKILL) at a random
moment: training, making the particle cache, exporting particles and structures, saving selections
and trajectories, saving a project. Another process then opens what is there, as the program would,
and everything must be whole: as it was before or as it is after, never between, and nothing that
was said to be saved may be missing. Work goes on in the same folders, so that each moment also
begins where the last one was cut off. Figures are printed; the exit code is 1 if anything was not
consistent. The processes are forked from this one, which imports everything and computes nothing
(POSIX).
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import random
import select
import shutil
import signal
import struct
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from cryoscope.data import Particles, Selection, Trajectory
from cryoscope.data.trajectory_path import TrajectoryPath
from cryoscope.io import particle_cache
from cryoscope.io.json_file import read_json_object, write_json
from cryoscope.io.particle_cache import CacheSpec, open_or_build_cache
from cryoscope.io.particle_export import export_rows
from cryoscope.io.particles_file import read_any
from cryoscope.io.project_folder import ProjectFolder
from cryoscope.io.run_folder import RunFolder
from cryoscope.io.selection_import import read_selections_of
from cryoscope.io.selections_file import read_selections, write_selections
from cryoscope.io.structures import read_models, read_structure, write_trajectory
from cryoscope.io.trajectories_file import read_trajectories, write_trajectories
from cryoscope.simulation.config import SimulationConfig
from cryoscope.simulation.simulate import simulate
from cryoscope.training.config import TrainConfig
from cryoscope.training.decoding import load_decoder
from cryoscope.training.events import CheckpointSaved, RunFinished
from cryoscope.training.presets import preset
from cryoscope.training.trainer import Trainer

ROOT = Path(__file__).resolve().parents[2]
PARTICLES, BOX_PX, EPOCHS, CHECKPOINT_S = 192, 32, 60, 0.3
#: Copies of every particle in the cache that is made, and rounds of the savings.
CACHED_COPIES, ROUNDS = 30, 40
_SAID = struct.Struct("=qd")

#: Says that the work has come to a number: what counts as saved from then on.
Say = Callable[[int], None]


@dataclass
class Figures:
    """What became of the moments of one work."""

    moments: int = 0
    consistent: int = 0
    after_end: int = 0
    untouched: int = 0
    lost: list[float] = field(default_factory=list)
    lost_steps: list[int] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Left:
    """What a check found: ``number`` is how far the work is saved, ``note`` what to print."""

    number: int
    lost_steps: int = 0


def parts(folder: Path) -> tuple[Particles, TrainConfig]:
    """The particles and settings everything works on."""
    chosen = preset("cryoscope-default")
    config = replace(
        chosen,
        device="cpu",
        threads=1,
        checkpoint_s=CHECKPOINT_S,
        live_s=0.1,
        data=replace(
            chosen.data,
            particles=str(folder / "set" / "particles.star"),
            structure=str(folder / "set" / "reference.pdb"),
            box_size_px=BOX_PX,
            cache_dir=str(folder / "training-cache"),
        ),
        encoder=replace(chosen.encoder, widths=(32,)),
        deformer=replace(chosen.deformer, widths=(32,)),
        optimiser=replace(chosen.optimiser, batch_size=32, epochs=EPOCHS),
    )
    return read_any(folder / "set" / "particles.star"), config


def prepare(folder: Path) -> None:
    """The simulated set."""
    model = ROOT / "resources" / "structures" / "1ake_A.pdb"
    config = SimulationConfig(
        structures=(str(model),), particles=PARTICLES, box_px=BOX_PX, pixel_size_A=3.2, snr=0.3
    )
    simulate(config, folder / "set")


def mask_of(number: int, count: int) -> np.ndarray:
    """The selection that the ``number``-th save holds."""
    mask = np.random.default_rng(number).random(count) < 0.5
    mask[number % count] = True
    return mask


class Training:
    """Trains in one run folder, resuming it, until it is complete; then in the next."""

    name = "training"

    def folder(self, at: Path) -> Path:
        """The run that is being trained."""
        done = sum(1 for one in at.glob("run-*") if (one / "complete").exists())
        return at / f"run-{done:03d}"

    def begin(self, at: Path, say: Say) -> None:
        """Train to the end."""
        run = self.folder(at)
        _, config = parts(at)
        for event in Trainer(config, run, resume=(run / "run.json").exists()).events():
            if isinstance(event, CheckpointSaved):
                say(event.step)
            if isinstance(event, RunFinished):
                (run / "complete").touch()

    def look(self, at: Path) -> Left:
        """Open the run as the window does."""
        runs = sorted(at.glob("run-*"))
        if not runs:
            return Left(0)
        path = runs[-1]
        if not (path / "run.json").exists():
            RunFolder.check_unused(path)
            return Left(0)
        run = RunFolder.open(path)
        with run.lock():  # of a dead process: taken over
            pass
        events = run.read_events()
        for epoch in run.latent_epochs():
            assert run.load_latents(epoch).z.shape[0] == PARTICLES
        if (path / "latents" / "live.npz").exists():
            run.load_latents(live=True)
        run.load_selections()
        saved = max((e["step"] for e in events if e["kind"] == "checkpoint_saved"), default=0)
        if not run.has_checkpoint():
            assert saved == 0, f"a checkpoint of step {saved} was announced and is not there"
            return Left(0)
        meta = run.load_checkpoint()[1]
        assert not meta["skipped"], meta["skipped"]
        assert meta["step"] >= saved
        load_decoder(path)
        last = max((e["step"] for e in events if e["kind"] == "step_done"), default=0)
        return Left(int(meta["step"]), lost_steps=max(0, last - int(meta["step"])))


class Caching:
    """Makes a cache of many images, going on where it was cut off; when done, from the start."""

    name = "caching"
    spec = CacheSpec(box_size_px=BOX_PX // 2, particle_radius_A=30.0, contrast=1)

    def _many(self, at: Path) -> Particles:
        particles, _ = parts(at)
        return particles.take(np.tile(np.arange(len(particles)), CACHED_COPIES))

    def begin(self, at: Path, say: Say) -> None:
        """Make it."""
        folder = at / "cache"
        particle_cache._PROGRESS_EVERY_S = 0.01
        particle_cache.CHUNK_IMAGES = 64
        many = self._many(at)
        if (folder / "cache.json").exists():
            shutil.rmtree(folder)
        open_or_build_cache(many, self.spec, folder)
        say(1)

    def look(self, at: Path) -> Left:
        """Finish it, and compare it with one that was never cut off."""
        folder, whole = at / "cache", at / "cache-whole"
        finished = (folder / "cache.json").exists()
        if finished:
            assert (folder / "particles.npy").exists()
        many = self._many(at)
        once = open_or_build_cache(many, self.spec, whole).read_all()
        if folder.exists():
            copy = at / "cache-finished"
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(folder, copy)
            assert np.array_equal(open_or_build_cache(many, self.spec, copy).read_all(), once)
        return Left(int(finished))


class Exporting:
    """Overwrites the same exported files, now with one content, now with another."""

    name = "exporting"

    def begin(self, at: Path, say: Say) -> None:
        """Write .star, .txt, .json and .pdb, one after the other."""
        particles, _ = parts(at)
        out = at / "exported"
        out.mkdir(exist_ok=True)
        structure = read_structure(at / "set" / "reference.pdb")
        first = self._last(out) + 1
        for number in range(first, first + ROUNDS):
            mask = mask_of(number, len(particles))
            selection = Selection(f"number {number}", mask)
            for suffix in (".star", ".txt", ".json"):
                export_rows(particles, mask, out / f"chosen{suffix}", selection=selection)
            frames = np.repeat(structure.coords_A[None] + number % 10, 2 + number % 3, axis=0)
            write_trajectory(out / "motion.pdb", Trajectory(structure, frames))
            write_json(out / "last.json", {"number": number})
            say(number)

    def look(self, at: Path) -> Left:
        """Every file is that of the last number that was written, or of the next."""
        particles, _ = parts(at)
        out = at / "exported"
        last = self._last(out)
        allowed = [mask_of(number, len(particles)) for number in (last, last + 1)]
        for suffix in (".star", ".txt", ".json"):
            path = out / f"chosen{suffix}"
            if not path.exists():
                assert last == 0, f"{path.name} is gone"
                continue
            mask = read_selections_of(particles, path)[0].mask
            assert any(np.array_equal(mask, one) for one in allowed), path.name
        if (out / "motion.pdb").exists():
            frames = len(read_models(out / "motion.pdb").coords_A)
            assert frames in [2 + number % 3 for number in (last, last + 1)]
        return Left(last)

    def _last(self, out: Path) -> int:
        path = out / "last.json"
        return int(read_json_object(path)["number"]) if path.exists() else 0


class Saving:
    """Saves selections and trajectories of a run again and again."""

    name = "saving selections"

    def begin(self, at: Path, say: Say) -> None:
        """Save number after number."""
        out = at / "saved"
        out.mkdir(exist_ok=True)
        first = self.look(at).number + 1
        for number in range(first, first + 2 * ROUNDS):
            mask = mask_of(number, 5000)
            write_selections(out / "selections.json", [Selection(f"number {number}", mask)])
            write_trajectories(out / "trajectories.json", [self._path(number)])
            say(number)

    def look(self, at: Path) -> Left:
        """Both files are whole, and of the same number or one apart."""
        out, numbers = at / "saved", []
        if (out / "selections.json").exists():
            (selection,) = read_selections(out / "selections.json", particle_count=5000)
            numbers.append(int(selection.name.split()[1]))
            assert np.array_equal(selection.mask, mask_of(numbers[-1], 5000))
        if (out / "trajectories.json").exists():
            (path,) = read_trajectories(out / "trajectories.json", particle_count=5000)
            numbers.append(int(path.name.split()[1]))
            assert np.array_equal(path.frames_z, self._path(numbers[-1]).frames_z)
            assert numbers[0] - numbers[1] in (0, 1), numbers
        return Left(min(numbers) if len(numbers) == 2 else 0)

    def _path(self, number: int) -> TrajectoryPath:
        z = np.random.default_rng(number).normal(size=(20, 4))
        rows, nothing = np.arange(20), np.full((20, 2), np.nan)
        return TrajectoryPath(
            f"number {number}", "straight", z, rows, nothing, z, rows, np.ones(20), rows
        )


class SavingProject:
    """Saves a project with two parts again and again."""

    name = "saving a project"

    def begin(self, at: Path, say: Say) -> None:
        """Save number after number."""
        project = ProjectFolder(at / "project")
        first = self.look(at).number + 1
        if not ProjectFolder.is_one(project.path):
            project.make()
        with project.lock():
            for number in range(first, first + ROUNDS):
                selections = [Selection(f"number {number}", mask_of(number, 5000))]
                paths = {
                    "selections": project.write_part(
                        "selections", ".json", lambda to, s=selections: write_selections(to, s)
                    ),
                    "numbers": project.write_part(
                        "numbers", ".json", lambda to, n=number: write_json(to, {"number": n})
                    ),
                }
                project.save({"number": number}, paths)
                say(number)

    def look(self, at: Path) -> Left:
        """The newest save can be read, all its parts are its own, and so for the one before."""
        project = ProjectFolder(at / "project")
        if not ProjectFolder.is_one(project.path):
            return Left(0)
        with project.lock():
            saves, problems = project.saves()
        assert not problems, problems
        for save in saves:
            number = int(save.content["number"])
            (selection,) = project.read_part(save.parts["selections"], read_selections)
            assert selection.name == f"number {number}"
            assert project.read_part(save.parts["numbers"], read_json_object)["number"] == number
        return Left(int(saves[0].content["number"]))


WORKS = {
    work.name: work for work in (Training(), Caching(), Exporting(), Saving(), SavingProject())
}


@contextlib.contextmanager
def in_child(work: Callable[[int], None]) -> Iterator[tuple[int, int]]:
    """Run ``work(pipe)`` in a forked process: its number, and the pipe to read from."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(read_end)
            sys.stdout = sys.stderr
            work(write_end)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    os.close(write_end)
    try:
        yield child, read_end
    finally:
        os.close(read_end)


@dataclass(frozen=True)
class Ended:
    """How a process ended: what it had said and when, when it was over, its exit status."""

    said: list[tuple[int, float]]
    at_s: float
    status: int

    @property
    def killed(self) -> bool:
        """Whether it was killed before it had done its work."""
        return os.WIFSIGNALED(self.status)


def begin(work: Any, at: Path, kill_after_s: float | None) -> Ended:
    """Begin a work in a process of its own; kill it after so long (None: never)."""

    def run(pipe: int) -> None:
        work.begin(at, lambda number: os.write(pipe, _SAID.pack(number, time.monotonic())) and None)

    with in_child(run) as (child, pipe):
        due_s = float("inf") if kill_after_s is None else time.monotonic() + kill_after_s
        said = b""
        while (left_s := due_s - time.monotonic()) > 0:
            if select.select([pipe], [], [], min(left_s, 60))[0]:
                if not (more := os.read(pipe, 1 << 16)):
                    break
                said += more
        else:
            os.kill(child, signal.SIGKILL)
        ended_s = time.monotonic()
        status = os.waitpid(child, 0)[1]
        said += b"".join(iter(lambda: os.read(pipe, 1 << 16), b""))
    whole = len(said) // _SAID.size * _SAID.size
    return Ended(list(_SAID.iter_unpack(said[:whole])), ended_s, status)


def look(work: Any, at: Path) -> Left | str:
    """What a fresh process finds, or what was wrong."""

    def run(pipe: int) -> None:
        try:
            found = work.look(at)
            answer = {"number": found.number, "lost_steps": found.lost_steps}
        except Exception as error:
            answer = {"fault": f"{type(error).__name__}: {error} ({traceback.format_exc()[-600:]})"}
        os.write(pipe, json.dumps(answer).encode())

    with in_child(run) as (child, pipe):
        said = b"".join(iter(lambda: os.read(pipe, 1 << 16), b""))
        os.waitpid(child, 0)
    answer = json.loads(said or b'{"fault": "the process that looked has died"}')
    return answer["fault"] if "fault" in answer else Left(**answer)


def moment(work: Any, at: Path, takes_s: float, chance: random.Random, figures: Figures) -> float:
    """One kill, and what it left; how long the work takes, which may turn out to be less."""
    while True:
        start_s = time.monotonic()
        ended = begin(work, at, chance.uniform(0, takes_s))
        if ended.killed:
            break
        figures.after_end += 1  # it was quicker this time: no moment
        takes_s = min(takes_s, ended.at_s - start_s)
        if os.WEXITSTATUS(ended.status) != 0:
            figures.moments += 1
            figures.faults.append("it failed by itself, before it was killed")
            return takes_s
    figures.moments += 1
    found = look(work, at)
    saved = max((number for number, _ in ended.said), default=0)
    if isinstance(found, str):
        figures.faults.append(found)
    elif found.number < saved:
        figures.faults.append(f"{saved} was saved, {found.number} is there")
    else:
        figures.consistent += 1
        figures.untouched += not ended.said
        figures.lost_steps.append(found.lost_steps)
        if ended.said:
            figures.lost.append(ended.at_s - ended.said[-1][1])
    return takes_s


def campaign(folder: Path, moments: int, seed: int, names: list[str]) -> dict[str, Figures]:
    """All moments, the works in turn; progress on standard error."""
    chance = random.Random(seed)
    with in_child(lambda pipe: prepare(folder)) as (child, _):
        if os.waitpid(child, 0)[1] != 0:
            raise SystemExit("the set could not be simulated")
    figures = {name: Figures() for name in names}
    takes_s: dict[str, float] = {}
    for number, name in zip(range(moments), itertools.cycle(names), strict=False):
        work = WORKS[name]
        if name not in takes_s:  # how long it takes when nobody kills it
            start_s = time.monotonic()
            if begin(work, folder, None).status != 0:
                raise SystemExit(f"{name} does not work at all")
            takes_s[name] = time.monotonic() - start_s
        done = figures[name]
        takes_s[name] = moment(work, folder, takes_s[name], chance, done)
        print(f"{number + 1}/{moments} {name}: {done.consistent}/{done.moments}", file=sys.stderr)
    return figures


def report(figures: dict[str, Figures]) -> str:
    """The figures as a table."""
    lines = [f"{'work':<20}{'consistent':>12}{'before a save':>15}{'since a save, s':>19}"]
    for name, one in figures.items():
        lost = f"{np.median(one.lost):.2f}, most {max(one.lost):.2f}" if one.lost else "-"
        count = f"{one.consistent}/{one.moments}"
        lines.append(f"{name:<20}{count:>12}{one.untouched:>15}{lost:>19}")
    total = sum(one.moments for one in figures.values())
    good = sum(one.consistent for one in figures.values())
    lines.append(f"{good} of {total} consistent reopenings; checkpoints every {CHECKPOINT_S} s")
    if steps := [steps for one in figures.values() for steps in one.lost_steps if steps]:
        lines.append(f"steps that were reported and are lost: {max(steps)} at most")
    lines += [f"FAULT in {name}: {fault}" for name, one in figures.items() for fault in one.faults]
    return "\n".join(lines)


def main() -> int:
    """Run the campaign that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--moments", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=list(WORKS), default=list(WORKS))
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fault-campaign-") as folder:
        figures = campaign(Path(folder), options.moments, options.seed, options.only)
    print(report(figures))
    if options.json is not None:
        write_json(options.json, {name: vars(one) for name, one in figures.items()})
    return 0 if all(one.consistent == one.moments for one in figures.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
