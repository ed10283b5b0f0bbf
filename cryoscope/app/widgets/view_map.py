"""From where particles are seen: a map of the sphere in bins of equal area."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QRectF
from qtpy.QtGui import QImage, QPainter
from qtpy.QtWidgets import QWidget

from cryoscope.app import theme
from cryoscope.app.widgets.plot_frame import PlotFrame

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
