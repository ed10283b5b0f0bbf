"""From where particles are seen: a map of the sphere in bins of equal area."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QImage, QPainter
from qtpy.QtWidgets import QWidget

from cryoscope.app import theme
from cryoscope.app.widgets.plot_frame import PlotFrame, small_font

EMPTY_TEXT = "From where the selected particles are seen appears here."
#: Times the mean of all bins at the bright end of the colours.
BRIGHTEST = 3.0
_ELEVATION_DEG = (-90, -30, 0, 30, 90)


class ViewMapPlot(PlotFrame):
    """Azimuth across, elevation up (equal steps of its sine): brighter where views are many."""

    left_px, top_px = 46, 6

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.x_label, self.y_label = "azimuth (°)", "elevation (°)"
        self.bounds = (-180.0, 180.0, -1.0, 1.0)
        self.empty_text = EMPTY_TEXT
        self.setMinimumHeight(140)
        self._pixels: NDArray[np.uint8] | None = None
        self._marks: tuple[tuple[float, float, str], ...] = ()

    def set_marks(self, marks: Sequence[tuple[float, float, str]]) -> None:
        """Write short words at (azimuth, elevation) in degrees."""
        self._marks = tuple(marks)
        self.update()

    def set_counts(self, counts: NDArray[np.integer] | None) -> None:
        """Show (pole to pole, around) counts, the first row at elevation -90; None: nothing."""
        self.empty_text = EMPTY_TEXT if counts is None else ""
        self._pixels = None
        if counts is not None:
            share = counts[::-1] / max(float(counts.mean()), 1e-9) / BRIGHTEST
            place = np.clip(share * 255, 0, 255).astype(np.uint8)
            self._pixels = np.ascontiguousarray(theme.view_colours()[place])
        self.update()

    def _ticks(self) -> tuple[list[tuple[float, str]], list[tuple[float, str]]]:
        across = [(float(at), str(at)) for at in (-180, -90, 0, 90, 180)]
        return across, [(float(np.sin(np.deg2rad(at))), str(at)) for at in _ELEVATION_DEG]

    def paint_data(self, painter: QPainter, rect: QRectF) -> None:
        """The bins."""
        if self._pixels is None:
            return
        height, width, _ = self._pixels.shape
        image = QImage(self._pixels.data, width, height, 4 * width, QImage.Format.Format_RGBA8888)
        painter.drawImage(rect, image)

    def paint_overlay(self, painter: QPainter, rect: QRectF) -> None:
        """The words, readable on bright and dark bins."""
        if self._pixels is None or not self._marks:
            return
        places = [(azimuth, np.sin(np.deg2rad(up))) for azimuth, up, _ in self._marks]
        painter.setFont(small_font(self))
        for (x, y), (_, _, word) in zip(self.to_widget(places), self._marks, strict=True):
            box = QRectF(0, 0, 16, 14)
            box.moveCenter(QPointF(x, y))
            box.moveLeft(min(max(box.left(), rect.left()), rect.right() - box.width()))
            box.moveTop(min(max(box.top(), rect.top()), rect.bottom() - box.height()))
            painter.setPen(Qt.PenStyle.NoPen)
            ground = QColor(theme.PLOT_BACKGROUND)
            ground.setAlpha(190)
            painter.setBrush(ground)
            painter.drawRoundedRect(box, 3, 3)
            painter.setPen(QColor(theme.TEXT))
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, word)
