"""A horizontal colour bar with its range and unit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QRectF, QSize, Qt
from qtpy.QtGui import QColor, QImage, QPainter, QPaintEvent
from qtpy.QtWidgets import QWidget

from cryoscope.app import theme
from cryoscope.app.widgets.plot_frame import small_font
from cryoscope.app.widgets.ticks import nice_ticks

BAR_PX, SIDE_PX = 12, 16


class ColourBar(QWidget):
    """Colours from ``minimum``, mostly 0, to ``maximum``; ticks, and a title with the unit."""

    def __init__(
        self, colours: NDArray[np.floating], title: str, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setMinimumSize(170, 46)
        self.set_scale(colours, title, 0.0, 0.0)

    def set_scale(
        self, colours: NDArray[np.floating], title: str, minimum: float, maximum: float
    ) -> None:
        """Other colours, with what they mean from the left end to the right."""
        pixels = (np.asarray(colours)[None, :, :] * 255).round().astype(np.uint8)
        self._pixels = np.ascontiguousarray(pixels)
        self._image = QImage(
            self._pixels.data, len(colours), 1, 4 * len(colours), QImage.Format.Format_RGBA8888
        )
        self.title, self.minimum, self.maximum = title, float(minimum), float(maximum)
        self.update()

    def sizeHint(self) -> QSize:
        """Wide enough for five ticks."""
        return QSize(240, 48)

    def set_maximum(self, maximum: float) -> None:
        """The value at the right end."""
        self.maximum = float(maximum)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Title, bar, ticks."""
        painter = QPainter(self)
        painter.setFont(small_font(self))
        painter.setPen(QColor(theme.TEXT if self.maximum > 0 else theme.MUTED))
        width = self.width() - 2 * SIDE_PX
        top = QRectF(0, 0, self.width(), 16)
        painter.drawText(top, Qt.AlignmentFlag.AlignCenter, self.title)
        bar = QRectF(SIDE_PX, 17, width, BAR_PX)
        painter.setOpacity(1.0 if self.maximum > 0 else 0.3)
        painter.drawImage(bar, self._image)
        painter.setPen(QColor(theme.MUTED))
        span = self.maximum - self.minimum
        for value, text in nice_ticks(self.minimum, self.maximum, max(2, width // 55)):
            x = SIDE_PX + width * (value - self.minimum) / (span or 1.0)
            painter.drawLine(int(x), 17 + BAR_PX, int(x), 20 + BAR_PX)
            box = QRectF(x - 20, 19 + BAR_PX, 40, 14)
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)
        painter.end()
