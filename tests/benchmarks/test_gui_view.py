"""Figures of the 3-D view while the cursor moves; ``pytest tests/benchmarks -m gui -s``.

Numbers are printed, never asserted. The model is a real one that was not trained: it decodes as
long as a trained one does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("napari", reason="the window is not installed (cryoscope[app])")

from qtpy.QtWidgets import QApplication

from cryoscope.data import Embedding, Latents, Optics, Structure
from cryoscope.session import RunStatus, RunView, Session, actions
from cryoscope.session.shown import ShownState
from cryoscope.session.thread_runner import ThreadRunner
from cryoscope.training.engine import Engine
from cryoscope.training.events import ModelReady

pytestmark = [pytest.mark.gui, pytest.mark.gl]
RESIDUES, MOVES, SPREAD = 1000, 9, 3.0


def trace(count: int = RESIDUES) -> Structure:
    """Helices of 20 residues side by side."""
    rise, turn = 1.5, np.deg2rad(100.0)
    i = np.arange(count)
    rod, place = i // 20, i % 20
    coords = np.stack(
        [
            2.3 * np.cos(turn * place) + 10 * (rod % 7),
            2.3 * np.sin(turn * place) + 10 * (rod // 7),
            rise * np.where(rod % 2, 19 - place, place),
        ],
        axis=1,
    )
    text = np.full(count, "C", dtype="U4")
    return Structure(
        coords_A=coords - coords.mean(axis=0),
        element=text,
        atom_name=np.full(count, "CA", dtype="U4"),
        residue_name=np.full(count, "ALA", dtype="U4"),
        residue_id=np.arange(1, count + 1),
        chain_id=np.full(count, "A", dtype="U4"),
        insertion_code=np.full(count, "", dtype="U1"),
        b_factor_A2=np.full(count, 30.0),
        occupancy=np.ones(count),
    )


class ServedEngine(Engine):
    """The training engine, serving a model that was made here."""

    def __init__(self, publish: Callable[[Any], None], decoder: Any) -> None:
        super().__init__(publish)
        self._decoder = decoder
        publish(ModelReady(decoder.run_id, 0, decoder.bead_count))


def atomic_decoder(box_px: int) -> Any:
    """A model of 1,000 residues and all that the default preset says, with random weights."""
    import torch

    from cryoscope.models.coarse_grain import beads_for
    from cryoscope.models.registry import make_model
    from cryoscope.physics.fourier import make_band
    from cryoscope.training.decoding import Decoder
    from cryoscope.training.presets import preset

    torch.manual_seed(0)
    config = preset("cryoscope-default")
    optics = Optics(pixel_size_A=192.0 / box_px, box_size_px=box_px)
    beads = beads_for(trace(), config.beads, "bench")
    band = make_band(box_px, optics.pixel_size_A, 0.0, with_dc=False)
    model = make_model(config.model, beads, band, torch.ones(len(band)), config)
    return Decoder(model.eval(), optics, beads, "bench")


@pytest.fixture(params=[64, 128])
def view(request: Any, tmp_path: Path) -> Iterator[tuple[Any, Any]]:
    from napari import Viewer

    from cryoscope.app.session_view import SessionView

    QApplication.instance() or QApplication([])
    decoder = atomic_decoder(request.param)
    session = Session(make_runner=lambda: ThreadRunner(lambda p: ServedEngine(p, decoder)))
    viewer = Viewer(ndisplay=3, show=True, show_welcome_screen=False)
    made = SessionView(session, viewer, tmp_path / "demo")
    made.follow()
    serve(session, tmp_path, decoder)
    actions.move_cursor(session, (0.0, 0.0))
    settle(lambda: made.napari_bridge.drawn_state is not None)
    settle(lambda: session.shown.box_text.startswith("full"))
    yield session, made
    made.close()
    viewer.close()
    actions.close(session)


def serve(session: Session, folder: Path, decoder: Any) -> None:
    """What opening a finished run leaves: a runner that decodes, its latents and their picture."""
    rng = np.random.default_rng(0)
    z = (SPREAD * rng.normal(size=(20_000, decoder.model.latent_dim))).astype(np.float32)
    uid = np.char.add(np.arange(len(z)).astype("U7"), "@a.mrcs")
    runner = session.make_runner()
    runner.events.connect(
        lambda event: session.decoder.answered(event) if event.kind == "decoded" else None
    )
    runner.events.connect(
        lambda event: session.decoder.refused(event) if event.kind == "decode_failed" else None
    )
    session.adopt(runner, None)
    runner.start({"cmd": "nothing"})
    settle(lambda: runner.ready)
    session.change(
        run=RunView(folder, "bench", RunStatus.FINISHED, reference=trace(), ready=True),
        latents=Latents(z, None, uid, "bench", 0),
        embedding=Embedding(z[:, :2].copy(), ("z1", "z2"), None, None, "bench"),
    )


def settle(condition: Callable[[], Any], seconds: float = 60.0) -> None:
    end_s = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end_s
        QApplication.processEvents()
        time.sleep(0.001)


def rest(seconds: float) -> None:
    end_s = time.monotonic() + seconds
    settle(lambda: time.monotonic() > end_s)


def say(name: str, times_ms: list[float], cpu_ms: list[float] | None = None) -> None:
    median, worst = np.median(times_ms), np.percentile(times_ms, 99)
    cpu = "" if cpu_ms is None else f"   CPU {np.median(cpu_ms):8.1f} ms"
    print(f"{name:58s} median {median:8.1f} ms   99 % {worst:8.1f} ms{cpu}")


def test_cursor_to_state(view: tuple[Any, Any]) -> None:
    session, made = view
    full_px = session.shown.full_box_px
    made_s: dict[int, float] = {}

    def note(state: ShownState) -> None:
        made_s.setdefault(state.request_id, time.perf_counter())

    session.events.shown.connect(note)
    known, drawn, cpu, boxes = [], [], [], set()
    for xy in np.random.default_rng(1).normal(size=(MOVES, 2)) * SPREAD:
        settle(lambda: made.napari_bridge.drawn_state.box_text == f"full {full_px}³")
        rest(0.2)
        before = session.shown.request_id
        begin_s, used_s = time.perf_counter(), time.process_time()
        actions.move_cursor(session, xy)
        settle(lambda before=before: session.shown.request_id > before)
        cpu.append((time.process_time() - used_s) * 1e3)
        settle(lambda before=before: made.napari_bridge.drawn_state.request_id > before)
        drawn.append((time.perf_counter() - begin_s) * 1e3)
        state = made.napari_bridge.drawn_state
        boxes.add(state.box_text)
        known.append((made_s[state.request_id] - begin_s) * 1e3)
        assert len(state.coords_A) == RESIDUES
        assert state.isosurface is not None
    say(f"cursor to backbone and surface, {boxes.pop()}: made", known, cpu)
    say("the same, until its meshes are napari's", drawn)
    assert not boxes
    settle(lambda: session.shown.box_text == f"full {full_px}³")


def test_parts(view: tuple[Any, Any]) -> None:
    """What the time goes into."""
    from cryoscope.analysis.isosurface import isosurface, sigma_level
    from cryoscope.session.shown import in_style

    session, made = view
    shown, reference = session.shown, session.run.reference
    for name, work in {
        "ribbon of 1,000 residues": lambda: in_style(shown, reference, "ribbon"),
        f"surface of {shown.box_text}": lambda: isosurface(
            shown.density, sigma_level(shown.density, 3.0)
        ),
        "drawing the state again": lambda: made.napari_bridge.show(shown),
    }.items():
        times = []
        for _ in range(7):
            begin_s = time.perf_counter()
            work()
            times.append((time.perf_counter() - begin_s) * 1e3)
        say(name, times)
