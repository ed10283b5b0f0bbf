"""The whole path with nothing made up: the demo trained, looked at, checked and written out.

A real simulation, a real worker, real mouse events; what is written is read by other people's
libraries (starfile, gemmi, mrcfile).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gemmi
import mrcfile
import numpy as np
import pytest
import starfile
from gestures import LEFT, Until, box, drag
from qtpy.QtTest import QTest

from cryoscope.app import dialogs, particle_dialogs
from cryoscope.app.widgets.latent_canvas import Tool
from cryoscope.app.window import CryoscopeWindow
from cryoscope.session import RunStatus, Session, actions
from cryoscope.session.demo import DemoSet, start_demo

pytestmark = [pytest.mark.gl, pytest.mark.slow]

PARTICLES, EPOCHS, FRAMES = 1500, 25, 6
LONG_MS = 300_000


@pytest.fixture
def window(qtbot: Any, tmp_path: Path) -> Iterator[Any]:
    made = CryoscopeWindow(tmp_path / "demo")
    made.show()
    made.main.resize(1280, 800)
    session = Session()
    made.fill(session)
    gone: list[bool] = []
    made.closed.connect(lambda: gone.append(True))
    yield made
    made.shut_down()
    qtbot.waitUntil(lambda: bool(gone), timeout=30_000)
    actions.close(session)


def far_end(window: Any, t: np.ndarray[Any, Any]) -> list[tuple[float, float]]:
    """A stroke about the third of the particles that lies where the molecules are open."""
    x = window.session.embedding.xy[:, 0]
    left, right = np.quantile(x, (1 / 3, 2 / 3))
    edge = box(window.latent.canvas, 0.01, 0.99)
    low, high = edge[0][1], edge[2][1]
    on_the_right = t[x > right].mean() > t[x < left].mean()
    near, far = (right, edge[1][0]) if on_the_right else (left, edge[0][0])
    return [(near, low), (far, low), (far, high), (near, high)]


def test_demo_to_files(
    window: Any, until: Until, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, demo = window.session, tmp_path / "demo"
    actions.set_option(session, "optimiser.epochs", EPOCHS)
    start_demo(session, demo, demo=DemoSet(particles=PARTICLES))
    until(lambda: session.run is not None, LONG_MS)
    until(lambda: session.run.status is RunStatus.FINISHED and not session.jobs, LONG_MS)
    with np.load(demo / "truth.npz") as truth:
        t = truth["t"]

    canvas = window.latent.canvas
    until(lambda: not canvas.empty_text)
    window.latent.choose(Tool.LASSO)
    drag(canvas, far_end(window, t))
    until(lambda: len(session.selections) == 1)
    mask = session.selections[0].mask
    assert 0.1 * PARTICLES < mask.sum() < 0.5 * PARTICLES
    assert t[mask].mean() > 0.75  # all particles: 0.5
    assert t[mask].mean() - t[~mask].mean() > 0.3

    reconstruct(window, until, tmp_path / "maps", int(mask.sum()))
    star = tmp_path / "far.star"
    monkeypatch.setattr(particle_dialogs, "ask_export", lambda *_: (star, False))
    QTest.mouseClick(window.selections.export, LEFT)
    until(star.exists)
    given = starfile.read(demo / "particles.star")
    taken = starfile.read(star)
    expected = given["particles"][mask].reset_index(drop=True)
    assert taken["particles"].equals(expected)
    assert taken["optics"].equals(given["optics"])

    models = trajectory(window, until, tmp_path / "along.pdb", monkeypatch)
    assert models.shape == (FRAMES, 214, 3)
    moved_A = np.sqrt(((models[0] - models[-1]) ** 2).sum(1).mean())
    assert moved_A > 3.0
    bonds_A = np.linalg.norm(np.diff(models, axis=1), axis=2)
    assert abs(np.median(bonds_A) - 3.8) < 0.2


def reconstruct(window: Any, until: Until, folder: Path, count: int) -> None:
    """Press Reconstruct; the map holds what the model says of these particles."""
    panel, session = window.checking, window.session
    window.docks["checking"].raise_()
    until(lambda: panel.start.isEnabled())
    panel._folder = folder
    QTest.mouseClick(panel.start, LEFT)
    until(lambda: session.check is not None and session.check.stage == "done", LONG_MS)
    until(lambda: f"{count:,} particles give" in panel.verdict.text())
    maps = {file.name: file for file in folder.glob("*.mrc")}
    halves = [file for name, file in maps.items() if "half" in name]
    assert len(halves) >= 2
    with mrcfile.open(halves[0]) as one, mrcfile.open(halves[1]) as other:
        assert one.data.shape == other.data.shape == (64, 64, 64)
        assert float(one.voxel_size.x) == pytest.approx(1.6, abs=1e-3)
        same = np.corrcoef(one.data.ravel(), other.data.ravel())[0, 1]
    assert same > 0.3


def trajectory(
    window: Any, until: Until, path: Path, monkeypatch: pytest.MonkeyPatch
) -> np.ndarray[Any, Any]:
    """(frames, residues, 3) what the exported trajectory holds."""
    monkeypatch.setattr(dialogs, "ask_save", lambda *_: path)
    window.docks["state"].raise_()
    until(lambda: window.state.trajectory.isEnabled())
    window.state.frames.setValue(FRAMES)
    QTest.mouseClick(window.state.trajectory, LEFT)
    until(path.exists)
    return np.array(
        [
            [atom.pos.tolist() for chain in model for residue in chain for atom in residue]
            for model in gemmi.read_structure(str(path))
        ]
    )
