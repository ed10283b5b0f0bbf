"""How smooth the window stays while something goes on; ``pytest tests/benchmarks -m gui -s``.

Printed beside what was measured before and what must be reached, never asserted: the machine
decides the figures. The lateness of a 10 ms timer of the main thread, with the latent plot redrawn
thirty times a second, is what a user feels; "idle" is the same window with nothing going on, and
says how much of a figure is the machine's.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("napari", reason="the window is not installed (cryoscope[app])")

from qtpy.QtWidgets import QApplication

from cryoscope.app.measure import Lateness, run_events
from cryoscope.data import Latents
from cryoscope.session import Session, actions
from cryoscope.session.demo import DemoSet
from cryoscope.session.follow import show_latents

pytestmark = [pytest.mark.gui, pytest.mark.gl]
MILLION, UMAP_OF, DIMS, LAST_S = 1_000_000, 100_000, 8, 12.0
#: What must be reached, and what was measured first: with the reconstruction in the window's own
#: process, on two cores that others kept busy as well (idle was 70 ms there).
LIMIT_MS = {
    "idle": 50.0,
    "training": 50.0,
    f"UMAP of {UMAP_OF:,}": 50.0,
    "export of a trajectory": 50.0,
    "reconstruction": 50.0,
}
BEFORE_MS = {"idle": 70.0, "reconstruction": 620.0}


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The whole window on a real session, empty."""
    from cryoscope.app.window import CryoscopeWindow

    QApplication.instance() or QApplication([])
    made = CryoscopeWindow(tmp_path_factory.mktemp("demo"))
    made.show()
    made.main.resize(1440, 900)
    session = Session()
    made.fill(session)
    run_events(lambda: False, 1.0)
    yield made
    gone: list[bool] = []
    made.closed.connect(lambda: gone.append(True))
    made.shut_down()
    run_events(lambda: bool(gone), 30)
    actions.close(session)


@pytest.fixture(scope="module")
def trained(window: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The demo, training: real particles and a real model."""
    folder = tmp_path_factory.mktemp("set")
    small = DemoSet(particles=2000, box_px=48, pixel_size_A=2.4)
    actions.start_demo(window.session, folder, demo=small)
    session = window.session
    assert run_events(lambda: session.embedding is not None and session.shown is not None, 240)
    return window


def report(name: str, found: dict[str, float]) -> None:
    before = f"{BEFORE_MS[name]:6.0f} ms" if name in BEFORE_MS else "        -"
    reach = f"< {LIMIT_MS[name]:.0f} ms"
    print(
        f"{'main-thread stall: ' + name:46s} p50 {found['p50']:6.1f}   99 % {found['p99']:7.1f}   "
        f"max {found['max']:7.1f} ms   before {before}   must reach {reach}"
    )


def watch(window: Any, name: str, over: Callable[[], bool] | None = None) -> None:
    """Watch the event loop while something goes on (at most until ``over``)."""
    lateness, parts = Lateness(window), []
    end_s = time.monotonic() + LAST_S
    while time.monotonic() < end_s and (over is None or not over()):
        lateness.watch(1.0)
        parts.append(list(lateness.late_ms))
    late = np.concatenate(parts)
    p50, p99 = np.percentile(late, [50, 99])
    report(name, {"p50": float(p50), "p99": float(p99), "max": float(late.max())})


def process_mb(field: str = "VmRSS") -> float:
    status = Path("/proc/self/status")
    if not status.is_file():
        pytest.skip("reads /proc")
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
    return float(lines[field].split()[0]) / 1024


def particles(count: int) -> Latents:
    rng = np.random.default_rng(0)
    z = (rng.normal(size=(count, DIMS)) * np.linspace(3, 0.5, DIMS)).astype(np.float32)
    z[: count // 3, 0] += 8
    return Latents(z, None, np.char.add(np.arange(count).astype("U7"), "@a.mrcs"), "bench", 1)


def half_plane(place: float) -> dict[str, Any]:
    polygon = [[place, -99.0], [99.0, -99.0], [99.0, 99.0], [place, 99.0]]
    return {"kind": "lasso", "polygon": polygon}


def test_a_million_in_memory_and_under_booleans(window: Any) -> None:
    """Comes first: the window is still empty."""
    session = window.session
    empty_mb = process_mb()
    show_latents(session, particles(MILLION))
    assert run_events(lambda: window.latent.canvas._picture is not None, 60)
    for number in range(10):
        actions.select(session, half_plane(number - 4.0))
    assert run_events(lambda: len(session.selections) == 10, 60)
    run_events(lambda: not session.jobs, 60)
    run_events(lambda: False, 2.0)
    print()
    above_mb, peak_mb = process_mb() - empty_mb, process_mb("VmHWM")
    print(
        f"{'memory: 1 M particles, 8-D, 10 selections':46s} {above_mb:6.0f} MB above the empty "
        f"window ({empty_mb:.0f} MB; peak {peak_mb:.0f} MB)   must reach < 1,200 MB"
    )
    other = session.selections[0].name
    steps: dict[str, Callable[[], Any]] = {
        mode: lambda mode=mode: actions.combine_selections(session, other, mode)
        for mode in ("add", "subtract", "intersect")
    }
    steps["invert"] = lambda: actions.invert_selection(session)
    for name, step in steps.items():
        say_step(name, step)
        say_step(f"undo of {name}", lambda: actions.undo(session))
    for _ in range(10):
        actions.undo(session)


def say_step(name: str, step: Callable[[], Any]) -> None:
    """The verb, and what the main thread then does until it is free again."""
    begin = time.perf_counter()
    step()
    verb = time.perf_counter()
    QApplication.processEvents()
    window_free = time.perf_counter()
    print(
        f"{name + ', 1 M':46s} verb {1e3 * (verb - begin):6.1f} ms   shown on the main thread "
        f"{1e3 * (window_free - verb):6.1f} ms   must reach < 20 ms"
    )
    run_events(lambda: False, 0.3)


def test_idle(window: Any) -> None:
    print()
    watch(window, "idle")


def test_umap(window: Any) -> None:
    session = window.session
    show_latents(session, particles(UMAP_OF))
    actions.view_latents(session, "umap")
    watch(window, f"UMAP of {UMAP_OF:,}", lambda: session.latent_view.kind == "umap")
    actions.cancel_job(session, "UMAP picture")
    assert run_events(lambda: not session.jobs, 30)
    actions.view_latents(session, "pc")
    run_events(lambda: not session.jobs, 30)


def test_training(trained: Any) -> None:
    assert trained.session.run.status.active
    run_events(lambda: False, 4.0)  # the first state makes layers and shaders, once
    watch(trained, "training")


def test_export(trained: Any, tmp_path: Path) -> None:
    session = trained.session
    actions.stop_training(session)
    assert run_events(lambda: not session.run.status.active and session.run.ready, 120)
    actions.make_path(session, "component", frames=10)
    assert run_events(lambda: len(session.trajectories) == 1 and not session.jobs, 120)
    actions.export_path(session, session.trajectories[0].name, tmp_path / "series")
    watch(trained, "export of a trajectory", lambda: (tmp_path / "series").exists())
    assert run_events(lambda: not session.jobs, 240)


def test_reconstruction(trained: Any, tmp_path: Path) -> None:
    session = trained.session
    actions.select(session, half_plane(float(np.median(session.embedding.xy[:, 0]))))
    assert run_events(lambda: len(session.selections) > 0 and not session.jobs, 60)
    torch_before = "torch" in sys.modules
    actions.reconstruct_selection(session, out=tmp_path / "maps")
    done = lambda: session.check is not None and session.check.stage == "done"  # noqa: E731
    watch(trained, "reconstruction", done)
    assert run_events(done, 240)
    assert ("torch" in sys.modules) == torch_before  # it is another process that needs it
    print(f"{'reconstruction':46s} {session.check.verdict}")
