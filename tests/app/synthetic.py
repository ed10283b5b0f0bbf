"""A session with made-up particles and an engine that follows a script: no torch, no files read."""

from __future__ import annotations

import contextlib
import json
import queue
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from cryoscope.data import Latents, Particles, Structure
from cryoscope.data.optics import CTFParams, Optics
from cryoscope.data.particles import ParticleSource
from cryoscope.data.poses import Poses
from cryoscope.io.latents_file import write_latents
from cryoscope.session import ParticlesView, Session, StructureView
from cryoscope.session.thread_runner import ThreadRunner
from cryoscope.training import events

RESIDUES, BOX_PX, VOXEL_A = 214, 48, 2.2
FULL_PX = 72
LIVE_S = 0.5


@dataclass(frozen=True)
class BlobImages:
    """As many images as wanted: noise with a blob whose place depends on the row."""

    count: int
    box_size_px: int = 64

    def __len__(self) -> int:
        return self.count

    def read(self, index: NDArray[np.integer]) -> NDArray[np.float32]:
        y, x = np.indices((self.box_size_px, self.box_size_px)) - self.box_size_px // 2
        images = []
        for row in index:
            rng = np.random.default_rng(int(row))
            dx, dy = 8 * rng.uniform(-1, 1, 2)
            blob = np.exp(-((x - dx) ** 2 / 90 + (y - dy) ** 2 / 30))
            images.append(blob + 0.8 * rng.normal(size=blob.shape))
        return np.array(images, dtype=np.float32)

    def take(self, index: NDArray[np.integer]) -> BlobImages:
        return BlobImages(len(index), self.box_size_px)


def hinge_A(angle_rad: float) -> NDArray[np.float32]:
    """(214, 3) CA positions of two helical arms that close by ``angle_rad``."""
    rise, turn = 1.5, np.deg2rad(100.0)
    i = np.arange(RESIDUES // 2)
    arm = np.stack([2.3 * np.cos(turn * i), 2.3 * np.sin(turn * i), rise * (i % 36)], axis=1)
    arm[:, 0] += 10.0 * (i // 36)
    arm[(i // 36) % 2 == 1, 2] = 36 * rise - arm[(i // 36) % 2 == 1, 2]
    c, s = np.cos(angle_rad), np.sin(angle_rad)
    moved = arm @ np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]]).T
    coords = np.concatenate([arm * [1, 1, -1] + [0, 4, -4], moved])
    return (coords - coords.mean(axis=0)).astype(np.float32)


def structure() -> Structure:
    """The hinge, half open."""
    text = np.full(RESIDUES, "C", dtype="U4")
    return Structure(
        coords_A=hinge_A(0.5).astype(np.float64),
        element=text,
        atom_name=np.full(RESIDUES, "CA", dtype="U4"),
        residue_name=np.full(RESIDUES, "ALA", dtype="U4"),
        residue_id=np.arange(1, RESIDUES + 1),
        chain_id=np.full(RESIDUES, "A", dtype="U4"),
        insertion_code=np.full(RESIDUES, "", dtype="U1"),
        b_factor_A2=np.full(RESIDUES, 30.0),
        occupancy=np.ones(RESIDUES),
        name="hinge",
    )


def particles(count: int, file: Path) -> Particles:
    """``count`` particles that came from ``file``, seen from everywhere."""
    rng = np.random.default_rng(1)
    return Particles(
        images=BlobImages(count),
        optics=(Optics(pixel_size_A=1.6, box_size_px=64),),
        ctf=CTFParams.uniform(count, rng.uniform(8_000.0, 22_000.0, count)),
        poses=Poses(Rotation.random(count, rng).as_matrix(), np.zeros((count, 2))),
        half_set=(1 + np.arange(count) % 2).astype(np.int8),
        uid=np.array([f"{i:06d}@particles.mrcs" for i in range(1, count + 1)]),
        source=ParticleSource(file, np.arange(count)),
    )


def latents(count: int, progress: float, seed: int = 0) -> Latents:
    """Latents of a bent path, more spread out as ``progress`` goes from 0 to 1."""
    rng = np.random.default_rng(seed)
    along = rng.uniform(-1, 1, count)
    z = 0.25 * rng.normal(size=(count, 4))
    z[:, 0] += 3.0 * progress * along
    z[:, 1] += 1.6 * progress * along**2
    uid = np.array([f"{i:06d}@particles.mrcs" for i in range(1, count + 1)])
    return Latents(z.astype(np.float32), None, uid, "run-001", int(30 * progress))


def density(coords_A: NDArray[np.floating], box_px: int = BOX_PX) -> NDArray[np.float32]:
    """(z, y, x) blurred beads, in a box that is as wide whatever its samples are."""
    finer = box_px / BOX_PX
    index = np.round(coords_A / VOXEL_A * finer).astype(int) + box_px // 2
    grid = np.zeros((box_px,) * 3, dtype=np.float32)
    x, y, z = np.clip(index, 0, box_px - 1).T
    np.add.at(grid, (z, y, x), finer**3)
    return gaussian_filter(grid, 1.6 * finer)


class ScriptedEngine:
    """Trains nothing: tells of steps, latents and states as a real engine would."""

    def __init__(self, publish: Any, count: int, total_steps: int = 12_000) -> None:
        self.publish, self.count, self.total_steps = publish, count, total_steps
        self.commands: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self.folder = Path()
        self.step, self.training, self.paused, self.quitting = 0, False, False, False
        self.last_live_s = 0.0

    def submit(self, command: dict[str, Any]) -> None:
        self.commands.put(command)

    def run_forever(self) -> None:
        while not self.quitting:
            working = self.training and not self.paused
            with contextlib.suppress(queue.Empty):
                self.obey(self.commands.get(timeout=0.02 if working else 0.2))
            if working and not self.quitting:
                self.train_a_little()

    def obey(self, command: dict[str, Any]) -> None:
        match command["cmd"]:
            case "train":
                self.begin(Path(command["run"]), command["config"])
            case "serve":
                self.publish(events.ModelReady("run-001", 30, RESIDUES))
            case "pause":
                self.paused = True
                self.publish(events.Paused(self.step))
            case "resume":
                self.paused = False
                self.publish(events.Resumed(self.step))
            case "stop" if self.training:
                self.training = False
                self.publish(events.CheckpointSaved("checkpoints/last", self.step))
                self.publish(events.RunFinished(self.step, "stopped"))
            case "decode":
                self.decode(command)
            case "quit":
                self.quitting = True

    def begin(self, folder: Path, config: dict[str, Any]) -> None:
        self.folder = folder
        (folder / "latents").mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(config))
        for done in range(0, self.count, max(1, self.count // 4)):
            self.publish(events.Progress("reading particles", done, self.count))
            time.sleep(0.03)
        self.training = True
        self.publish(
            events.RunStarted(
                "run-001", self.count, RESIDUES, self.total_steps, 0, "cpu", 1, 64, 1.6
            )
        )

    def train_a_little(self) -> None:
        self.step += 10
        fall = float(np.exp(-self.step / 600))
        noise = float(np.random.default_rng(self.step).normal())
        losses = {
            "data": 2046.0 + 42 * fall + 0.6 * noise,
            "kl": 7.5 * (1 - fall),
            "bonds": 0.02 + 2.5 * fall,
            "elastic": 0.4 + 0.1 * noise * fall,
            "clash": 0.01 * (1 + fall),
        }
        losses["total"] = sum(losses.values())
        left_s = (self.total_steps - self.step) / 400
        self.publish(
            events.StepDone(self.step, self.step // 78, losses, 3.1 * (1 - fall), 2890.0, left_s)
        )
        if self.step >= self.total_steps:
            self.training = False
            self.publish(events.RunFinished(self.step, "completed"))
        if time.monotonic() - self.last_live_s > LIVE_S:
            self.last_live_s = time.monotonic()
            path = self.folder / "latents" / "live.npz"
            write_latents(path, latents(self.count, 1 - fall))
            self.publish(events.LatentsReady("latents/live.npz", 1, self.step, live=True))

    def decode(self, command: dict[str, Any]) -> None:
        z = np.asarray(command["z"], dtype=np.float32)
        coords_A = np.stack([hinge_A(0.5 + 0.22 * one[0]) for one in z])
        arrays: dict[str, Any] = {"coords_A": coords_A, "z": z}
        if command["volume"]:
            asked_px = command.get("box_size_px")
            box_px = BOX_PX if asked_px is None else asked_px or FULL_PX
            arrays |= {"volume": density(coords_A[0], box_px)}
            arrays |= {"voxel_size_A": VOXEL_A * BOX_PX / box_px}
            arrays |= {"full_box_px": FULL_PX, "preview_box_px": BOX_PX}
        with Path(command["path"]).open("wb") as file:
            np.savez(file, **arrays)
        self.publish(events.Decoded(command["request_id"], command["path"]))


def session(folder: Path, count: int = 4000) -> Session:
    """A session with particles and a structure open, ready to train by the scripted engine."""
    made = Session(make_runner=lambda: ThreadRunner(lambda publish: ScriptedEngine(publish, count)))
    reference = structure()
    made.change(
        particles=ParticlesView.of(particles(count, folder / "particles.star")),
        structure=StructureView.of(folder / "hinge.pdb", reference),
    )
    return made


def wait_until(condition: Any, pump: Any, timeout_s: float = 20.0) -> None:
    """Let ``pump`` run the event loop until ``condition`` holds."""
    end_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end_s:
            raise TimeoutError("it did not happen in time")
        pump()


def threads_named(prefix: str) -> list[threading.Thread]:
    """Live threads whose name begins so."""
    return [thread for thread in threading.enumerate() if thread.name.startswith(prefix)]
