"""What the fault campaign begins and cuts off: training, caching, exporting, saving selections."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
from fault_processes import Left, Say

from cryoscope.data import Particles, Selection, Trajectory
from cryoscope.data.trajectory_path import TrajectoryPath
from cryoscope.io import particle_cache
from cryoscope.io.json_file import read_json_object, write_json
from cryoscope.io.particle_cache import CacheSpec, open_or_build_cache
from cryoscope.io.particle_export import export_rows
from cryoscope.io.particles_file import read_any
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
PARTICLES, BOX_PX, BATCH, EPOCHS, CHECKPOINT_S = 192, 32, 32, 300, 0.25
TOTAL_STEPS = EPOCHS * PARTICLES // BATCH
#: Copies of every particle in the cache that is made, and rounds of the savings.
CACHED_COPIES, ROUNDS = 60, 120


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
        optimiser=replace(chosen.optimiser, batch_size=BATCH, epochs=EPOCHS),
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
