"""Does the program grow when it is left alone? ``python -m tests.benchmarks.soak [--epochs 2000]``

Trains on a tiny simulated set with the window open, as over a long night: latents and states are
refreshed, the cursor wanders through latent space, and the run is paused and resumed now and then.
Prints memory of the window's process and of the worker's after warm-up and at the end, and threads,
file handles, layers, widgets and objects of OpenGL, as a table. Memory is the median of the samples
of a tenth of the run: that after the warm-up, and the last. Needs a display (Xvfb is enough).

The exit code is 1 if something that is counted has grown, or memory by more than --limit-percent.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.census import Census, census

PARTICLES, BOX_PX, PIXEL_SIZE_A = 192, 32, 3.2
WARM_UP, TENTH = 0.2, 0.1
START_LIMIT_S = 300.0
SAMPLES, SHORTEST_S = 100, 1.0
PAUSE_EVERY = 10


def main(arguments: Sequence[str] | None = None) -> int:
    """Soak, print the table; 0 if nothing has grown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=2000)
    parser.add_argument("--minutes", type=float, default=0.0, help="end it then; 0: by the epochs")
    parser.add_argument("--limit-percent", type=float, default=3.0)
    parser.add_argument("--set", type=Path, help="folder of the simulated set, made if need be")
    parser.add_argument("--json", type=Path, help="write every sample there as well")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="cryoscope-soak-") as scratch:
        folder = (options.set or Path(scratch) / "set").absolute()
        samples = soak(folder, options.epochs, options.minutes)
    if options.json:
        options.json.write_text(json.dumps([{"epoch": at, **asdict(one)} for at, one in samples]))
    return report(samples, options.limit_percent)


def soak(folder: Path, epochs: int, minutes: float) -> list[tuple[int, Census]]:
    """(epoch, what there was) at a hundred moments of a run."""
    from cryoscope.app import startup
    from cryoscope.app.measure import run_events

    startup.begin()
    from cryoscope.app.window import CryoscopeWindow
    from cryoscope.session import Session, actions
    from cryoscope.session.demo import DemoSet

    window = CryoscopeWindow(folder)
    window.show()
    window.main.resize(1280, 800)
    session = Session()
    window.fill(session)
    startup.end(window)
    actions.set_option(session, "optimiser.epochs", epochs)
    actions.set_option(session, "checkpoint_s", 10.0)
    tiny = DemoSet(particles=PARTICLES, box_px=BOX_PX, pixel_size_A=PIXEL_SIZE_A)
    actions.start_demo(session, folder, demo=tiny)
    try:
        if not run_events(lambda: session.run and session.embedding is not None, START_LIMIT_S):
            raise SystemExit(f"the run did not start: {session.notice}")
        return watch(window, epochs, minutes)
    finally:
        gone: list[bool] = []
        window.closed.connect(lambda: gone.append(True))
        window.shut_down()
        run_events(lambda: bool(gone), 60.0)


def watch(window: Any, epochs: int, minutes: float) -> list[tuple[int, Census]]:
    """Count until the run ends; between two counts, do what a user does."""
    from cryoscope.app.measure import run_events

    session, samples = window.session, []
    begin_s, last_epoch = time.monotonic(), 0
    every = max(1, epochs // SAMPLES)
    while session.run.status.active:
        due = last_epoch + every
        run_events(lambda: False, SHORTEST_S)
        run_events(lambda due=due: session.run.epoch >= due or not session.run.status.active, 120.0)
        if not session.run.status.active:
            break
        last_epoch = session.run.epoch
        samples.append((last_epoch, census(window)))
        touch(session, len(samples))
        if minutes and time.monotonic() - begin_s > 60.0 * minutes:
            break
    print(f"{last_epoch} of {epochs} epochs in {(time.monotonic() - begin_s) / 60:.1f} min")
    return samples


def touch(session: Any, turn: int) -> None:
    """Move the cursor across the plot; pause and resume now and then."""
    from cryoscope.app.measure import run_events
    from cryoscope.session import RunStatus, actions

    xy = session.embedding.xy
    actions.move_cursor(session, tuple(float(v) for v in xy[turn % len(xy)]))
    if turn % PAUSE_EVERY == 0:
        actions.pause_training(session)
        run_events(lambda: session.run.status is not RunStatus.RUNNING, 20.0)
        actions.resume_training(session)
        run_events(lambda: session.run.status is not RunStatus.PAUSED, 20.0)


def report(samples: list[tuple[int, Census]], limit_percent: float) -> int:
    """Print the table; 1 if something has grown."""
    tenth = max(1, round(TENTH * len(samples)))
    first = round(WARM_UP * len(samples))
    early, late = samples[first : first + tenth], samples[-tenth:]
    if first + 2 * tenth > len(samples):
        print("too few samples to compare: soak for longer")
        return 1
    print(f"{'':26s} epoch {early[0][0]}-{early[-1][0]}   epoch {late[0][0]}-{late[-1][0]}")
    grown = []
    for name in early[0][1].memory_MB:
        before, after = (
            statistics.median(one.memory_MB[name] for _, one in part) for part in (early, late)
        )
        percent = 100.0 * (after - before) / before if before else 0.0
        print(f"{name:26s} {before:8.1f} MB {after:8.1f} MB  {percent:+6.2f} %")
        if percent > limit_percent:
            grown.append(name)
    for name in late[0][1].counts:
        # The least of several: what comes and goes (a job's thread, a file being read) is no leak.
        before_n, after_n = (
            min(one.counts.get(name, 0) for _, one in part) for part in (early, late)
        )
        print(f"{name:26s} {before_n:8d}    {after_n:8d}")
        if after_n > before_n:
            grown.append(name)
    print("nothing has grown" if not grown else f"has grown: {', '.join(grown)}")
    return 1 if grown else 0


if __name__ == "__main__":
    raise SystemExit(main())
