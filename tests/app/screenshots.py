"""Opens the window, drives it with mouse and keys as a user would, and writes pictures of it.

Run ``python tests/app/screenshots.py [--out FOLDER] [--size 1280x800] [FILES...]``: with files or
a run folder on those, without on a made-up session. Look at the pictures before a change is done.

``python tests/app/screenshots.py --portrait resources/screenshot.png PARTICLES STRUCTURE`` trains
for a minute and makes the picture of the README (on the files that ``cryoscope demo`` leaves).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import synthetic
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from cryoscope.app.main import save_picture
from cryoscope.app.widgets.latent_canvas import LatentCanvas, Tool
from cryoscope.session import RunStatus, Session, actions

PORTRAIT_S = 60.0
CIRCLE = ((1, 0), (0.7, 0.7), (0, 1), (-0.7, 0.7), (-1, 0), (-0.7, -0.7), (0, -1), (0.7, -0.7))


class Driver:
    """A user with patience and a camera."""

    def __init__(self, window: Any, out: Path) -> None:
        self.window, self.out, self.number = window, out, 0
        out.mkdir(parents=True, exist_ok=True)

    def wait(self, seconds: float) -> None:
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            QApplication.processEvents()
            time.sleep(0.005)

    def until(self, condition: Callable[[], bool], timeout_s: float = 60.0) -> bool:
        end_s = time.monotonic() + timeout_s
        while not condition() and time.monotonic() < end_s:
            self.wait(0.05)
        return condition()

    def picture(self, name: str) -> None:
        self.wait(0.5)
        self.number += 1
        path = self.out / f"{self.number:02d}-{name}.png"
        self.window.main.grab().save(str(path))
        print(path)

    def drag(
        self,
        points: list[QPoint],
        keys: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier,
        hold: Callable[[], None] | None = None,
    ) -> None:
        canvas, left = self.window.latent.canvas, Qt.MouseButton.LeftButton
        QTest.mousePress(canvas, left, keys, points[0])
        for point in points[1:]:
            QTest.mouseMove(canvas, point)
            self.wait(0.03)
        if hold is not None:
            self.wait(0.3)
            hold()
        QTest.mouseRelease(canvas, left, keys, points[-1])
        self.wait(0.3)


def place(canvas: LatentCanvas, right: float, up: float) -> QPoint:
    """A point of the plot, in fractions of its width and height."""
    rect = canvas.plot_rect()
    return QPoint(
        round(rect.left() + right * rect.width()), round(rect.bottom() - up * rect.height())
    )


def ring(canvas: LatentCanvas, right: float, up: float, radius: float) -> list[QPoint]:
    """A closed stroke about a point of the plot."""
    return [place(canvas, right + radius * x, up + radius * y) for x, y in (*CIRCLE, CIRCLE[0])]


def tour(driver: Driver, session: Session) -> None:
    """Train, explore, lasso, pause, advanced settings, stop."""
    window, canvas = driver.window, driver.window.latent.canvas
    driver.picture("opened")
    if session.run is None:
        QTest.mouseClick(window.training.start, Qt.MouseButton.LeftButton)
        driver.wait(0.15)
        driver.picture("preparing")
    driver.until(lambda: session.embedding is not None and session.shown is not None)
    driver.wait(2.0)
    driver.picture("training")
    driver.wait(3.0)
    window.latent.choose(Tool.EXPLORE)
    driver.drag(
        [place(canvas, 0.2 + 0.6 * i / 12, 0.35) for i in range(13)],
        hold=lambda: driver.picture("exploring"),
    )
    window.latent.choose(Tool.LASSO)
    driver.drag(ring(canvas, 0.25, 0.5, 0.2), hold=lambda: driver.picture("lasso-drawn"))
    driver.drag(ring(canvas, 0.7, 0.5, 0.2))
    driver.drag(ring(canvas, 0.6, 0.6, 0.1), Qt.KeyboardModifier.ControlModifier)
    driver.picture("selections")
    window.training.terms.setCurrentText("data")
    run = session.run
    if run is not None and run.status is RunStatus.RUNNING:
        QTest.mouseClick(window.training.pause, Qt.MouseButton.LeftButton)
        driver.until(lambda: session.run is not None and session.run.status is RunStatus.PAUSED)
        driver.picture("paused")
    window.training.more.setChecked(True)
    driver.picture("advanced")
    window.training.more.setChecked(False)
    if session.run is not None and session.run.status.active:
        QTest.mouseClick(window.training.stop, Qt.MouseButton.LeftButton)
        driver.until(lambda: session.run is not None and not session.run.status.active)
    session.notify("error", "particles.star, row 17: the stack has 16 images. Check the file.")
    driver.wait(0.3)
    driver.picture("stopped-with-error")
    box = window.status.error_box
    box.grab().save(str(driver.out / "error-dialog.png"))
    box.close()


def _end_px(
    canvas: LatentCanvas, session: Session, low: float, high: float
) -> tuple[tuple[int, int], tuple[float, float]]:
    """The middle of the particles between two percentiles of PC1, and their reach, in pixels."""
    x, y = canvas.to_widget(session.embedding.xy).T
    inside = (x >= np.percentile(x, low)) & (x <= np.percentile(x, high))
    middle = round(float(np.median(x[inside]))), round(float(np.median(y[inside])))
    return middle, (1.4 * float(np.std(x[inside])) + 8, 2.5 * float(np.std(y[inside])) + 10)


def portrait(driver: Driver, session: Session, run: Path, path: Path) -> None:
    """Train for a while, look at one end of PC1, select the other, and take one picture."""
    actions.start_training(session, run)
    driver.until(lambda: session.embedding is not None and session.shown is not None, 120)
    driver.wait(PORTRAIT_S)
    canvas = driver.window.latent.canvas
    driver.drag([QPoint(*end) for end in (_end_px(canvas, session, 0, 10)[0],) * 2])
    driver.window.latent.choose(Tool.LASSO)
    middle, reach = _end_px(canvas, session, 80, 100)
    driver.drag(
        [
            QPoint(round(middle[0] + reach[0] * dx), round(middle[1] - reach[1] * dy))
            for dx, dy in (*CIRCLE, CIRCLE[0])
        ]
    )
    driver.window.latent.choose(Tool.EXPLORE)
    if session.selections:
        actions.rename_selection(session, session.active_selection, "closed")
    driver.window.napari_bridge.fit_camera()
    driver.wait(3.0)
    if not save_picture(driver.window, path):
        raise SystemExit(1)
    print(f"{path}, {path.stat().st_size // 1000} kB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    artefacts = Path(__file__).resolve().parents[1] / "artefacts"
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--out", type=Path, default=artefacts)
    parser.add_argument("--size", default="1440x900")
    parser.add_argument("--portrait", type=Path, metavar="PNG", help="make this one picture")
    options = parser.parse_args()
    from cryoscope.app.window import CryoscopeWindow

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        window = CryoscopeWindow(folder / "demo")
        window.show()
        window.main.resize(*(int(side) for side in options.size.split("x")))
        window.arrange()
        empty = Session()
        driver = Driver(window, options.out)
        driver.wait(0.2)
        session = empty if options.files else synthetic.session(folder)
        window.fill(session)
        if options.files:
            driver.picture("empty")
            window.open_paths(options.files)
            driver.until(lambda: session.particles is not None and not session.jobs)
        if options.portrait is not None:
            portrait(driver, session, folder / "cryoscope-demo" / "run-001", options.portrait)
        else:
            tour(driver, session)
        gone: list[bool] = []
        window.closed.connect(lambda: gone.append(True))
        window.shut_down()
        driver.until(lambda: bool(gone))
        actions.close(session)
        actions.close(empty)


if __name__ == "__main__":
    main()
