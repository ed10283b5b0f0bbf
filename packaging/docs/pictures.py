"""Makes the tutorial's pictures: trains on the demo's particles and does what the text says.

``python packaging/docs/pictures.py PARTICLES STRUCTURE`` (the files that ``cryoscope demo`` or
``cryoscope simulate`` leaves) needs a display with OpenGL, real or virtual, and three minutes.
Pictures go to resources/docs/pictures, in 256 colours: all of them together stay below 1.5 MB.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "app"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from PIL import Image
from qtpy.QtCore import QPoint, QSettings, Qt
from qtpy.QtTest import QTest
from screenshots import CIRCLE, Driver, place

from cryoscope.app.widgets.latent_canvas import Tool
from cryoscope.session import Session, actions

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "resources" / "docs" / "pictures"
LEFT = Qt.MouseButton.LeftButton
SIZE_PX, COLOURS, TRAIN_S, FRAMES = (1360, 860), 256, 75.0, 12


class Album(Driver):
    """Pictures under names that stay, small enough to be kept in the tree."""

    def picture(self, name: str) -> None:
        """Write the window as it is now."""
        self.wait(0.6)
        path = self.out / f"{name}.png"
        self.window.main.grab().save(str(path))
        with Image.open(path) as picture:
            small = picture.convert("RGB").quantize(
                COLOURS, Image.Quantize.MEDIANCUT, kmeans=2, dither=Image.Dither.NONE
            )
        small.save(path, optimize=True)
        print(f"{path.name}: {path.stat().st_size // 1000} kB")


def raise_dock(window: Any, name: str) -> None:
    """Bring a panel to the front."""
    window.docks[name].show()
    window.docks[name].raise_()


def train(album: Album, session: Session, folder: Path) -> None:
    """Open, start, and look while it trains."""
    album.picture("opened")
    actions.start_training(session, folder / "cryoscope-demo" / "run-001")
    seen = album.until(lambda: session.embedding is not None and session.shown is not None, 240)
    if not seen:
        raise SystemExit("the training showed nothing")
    album.wait(TRAIN_S)
    album.window.napari_bridge.fit_camera()
    album.wait(2.0)
    album.picture("training")


def explore(album: Album) -> None:
    """Drag through the plot; the molecule follows."""
    canvas = album.window.latent.canvas
    album.window.latent.choose(Tool.EXPLORE)
    album.drag(
        [place(canvas, 0.2 + 0.5 * i / 14, 0.5) for i in range(15)],
        hold=lambda: (album.wait(2.5), album.picture("exploring")),
    )


def select(album: Album, session: Session) -> None:
    """Draw a lasso about one end of PC1."""
    canvas = album.window.latent.canvas
    x, y = canvas.to_widget(session.embedding.xy).T
    inside = x >= np.percentile(x, 80)
    middle = float(np.median(x[inside])), float(np.median(y[inside]))
    reach = 1.4 * float(np.std(x[inside])) + 8, 2.5 * float(np.std(y[inside])) + 10
    album.window.latent.choose(Tool.LASSO)
    album.drag(
        [
            QPoint(round(middle[0] + reach[0] * dx), round(middle[1] - reach[1] * dy))
            for dx, dy in (*CIRCLE, CIRCLE[0])
        ]
    )
    if not session.selections:
        raise SystemExit("the lasso held no particles")
    actions.rename_selection(session, session.active_selection, "one end")
    album.window.latent.choose(Tool.EXPLORE)
    album.picture("lasso")


def follow_path(album: Album, session: Session) -> None:
    """A trajectory along PC1, at one of its states."""
    raise_dock(album.window, "trajectories")
    panel = album.window.trajectories
    album.wait(0.5)
    panel.frames.setValue(FRAMES)
    QTest.mouseClick(panel.makers["PC1"], LEFT)
    album.until(lambda: bool(session.trajectories))
    actions.show_frame(session, session.active_path, 3)
    album.wait(4.0)
    album.picture("trajectory")


def check(album: Album, session: Session) -> None:
    """Reconstruct the selection from its own images."""
    raise_dock(album.window, "checking")
    album.wait(0.3)
    QTest.mouseClick(album.window.checking.start, LEFT)
    album.until(lambda: session.check is not None and not session.jobs, 240)
    album.wait(1.5)
    album.window.status.say("")  # a path of the machine that makes the picture
    album.picture("checked")


def main() -> None:
    """Open the window, take every picture, and close."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs=2, type=Path, metavar="PARTICLES STRUCTURE")
    parser.add_argument("--out", type=Path, default=PICTURES)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # What the window remembers of its user stays out of the pictures.
        scope = QSettings.Scope.UserScope
        QSettings.setPath(QSettings.Format.IniFormat, scope, str(folder / "settings"))
        from cryoscope.app.window import CryoscopeWindow

        window, session, gone = CryoscopeWindow(folder / "demo"), Session(), []
        window.show()
        window.main.resize(*SIZE_PX)
        window.arrange()
        album = Album(window, options.out)
        album.wait(0.3)
        window.fill(session)
        window.open_paths(options.files)
        ready = lambda: session.structure is not None and not session.jobs  # noqa: E731
        if not album.until(ready, 60):
            raise SystemExit("the files could not be opened")
        try:
            train(album, session, folder)
            explore(album)
            select(album, session)
            follow_path(album, session)
            actions.stop_training(session)
            album.until(lambda: not session.run.status.active)
            check(album, session)
        finally:
            window.closed.connect(lambda: gone.append(True))
            window.shut_down()
            album.until(lambda: bool(gone))
            actions.close(session)


if __name__ == "__main__":
    main()
