from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_plot_is_sharp_and_true_at_two_pixels_to_one() -> None:
    """In a process of its own: Qt reads the scale once."""
    script = """
        import sys
        sys.path.insert(0, {root!r})
        import numpy as np
        from qtpy.QtCore import QPoint, Qt
        from qtpy.QtTest import QTest
        from qtpy.QtWidgets import QApplication
        from cryoscope.app.widgets.latent_canvas import LatentCanvas, Tool

        app = QApplication([])
        canvas = LatentCanvas()
        canvas.resize(500, 400)
        asked, places, rules = [], [], []
        canvas.picture_wanted.connect(lambda bounds, shape: asked.append(shape))
        canvas.scrubbed.connect(lambda x, y: places.append((x, y)))
        canvas.stroke_finished.connect(lambda rule, mode: rules.append(rule))
        canvas.show()
        canvas.set_home((0.0, 1.0, 0.0, 1.0))
        QTest.qWait(120)
        assert canvas.devicePixelRatioF() == 2.0
        rect, (height, width) = canvas.plot_rect(), asked[-1]
        assert abs(width - 2 * rect.width()) <= 1 and abs(height - 2 * rect.height()) <= 1
        # One lit pixel of the picture is one pixel of the screen, where its data are.
        picture = np.zeros((height, width, 4), np.uint8)
        row, column = height // 4, 3 * width // 4
        picture[row, column] = 255
        canvas.set_picture(picture, canvas.bounds)
        image = canvas.grab().toImage()
        at = QPoint(round(2 * rect.left()) + column, round(2 * rect.top()) + row)
        near = [image.pixelColor(at.x() + i, at.y() + j).lightness()
                for i in (-1, 0, 1) for j in (-1, 0, 1)]
        assert max(near) > 200 and sorted(near)[-3] < 120, near
        x, y = (column + 0.5) / width, 1 - (row + 0.5) / height
        spot = QPoint(*(round(v) for v in canvas.to_widget([(x, y)])[0]))
        QTest.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=spot)
        assert abs(places[0][0] - x) < 1 / rect.width()
        assert abs(places[0][1] - y) < 1 / rect.height()
        canvas.set_tool(Tool.RECTANGLE)
        QTest.mousePress(canvas, Qt.MouseButton.LeftButton, pos=QPoint(100, 100))
        QTest.mouseMove(canvas, QPoint(200, 300))
        QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=QPoint(200, 300))
        corner = canvas.to_data(QPoint(200, 300).toPointF())
        assert np.abs(np.array(rules[0]["polygon"]) - corner).max(axis=1).min() < 1e-6
        print("right")
    """
    environment = {
        **os.environ,
        "QT_SCALE_FACTOR": "2",
        "QT_QPA_PLATFORM": "offscreen",
    }
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script).replace("{root!r}", repr(str(ROOT)))],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.strip().endswith("right"), done.stderr[-2000:]
