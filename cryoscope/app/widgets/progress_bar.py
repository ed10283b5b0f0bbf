"""A progress bar that is painted with everything else.

Qt's own bar paints itself at every new value, there and then; beside an OpenGL view that means the
whole window, each time.
"""

from __future__ import annotations

from qtpy.QtCore import QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent
from qtpy.QtWidgets import QSizePolicy, QWidget

from cryoscope.app import theme
from cryoscope.app.widgets.plot_frame import small_font

HEIGHT_PX = 18
BUSY_PART = 0.3


class ProgressBar(QWidget):
    """``done`` of ``total`` with a text; a ``total`` of 0 means that the end is not known."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.done, self.total, self.text = 0, 0, ""
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        """As wide as there is room."""
        return QSize(140, HEIGHT_PX)

    def show_progress(self, done: int, total: int, text: str = "") -> None:
        """Show how far the work is."""
        if (done, total, text) != (self.done, self.total, self.text):
            self.done, self.total, self.text = done, total, text
            self.setAccessibleDescription(text)
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Trough, bar, text."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        trough = QRectF(self.rect())
        painter.setBrush(QColor(theme.PLOT_BACKGROUND))
        painter.drawRoundedRect(trough, 2, 2)
        painter.setBrush(QColor(theme.PROGRESS))
        if self.total > 0:
            part = min(max(self.done / self.total, 0.0), 1.0)
            painter.drawRoundedRect(QRectF(0, 0, part * trough.width(), trough.height()), 2, 2)
        else:
            width = BUSY_PART * trough.width()
            left = (trough.width() - width) * ((self.done % 10) / 10 if self.done else 0.5)
            painter.setOpacity(0.6)
            painter.drawRoundedRect(QRectF(left, 0, width, trough.height()), 2, 2)
            painter.setOpacity(1.0)
        painter.setFont(small_font(self))
        painter.setPen(QColor(theme.TEXT))
        painter.drawText(trough, Qt.AlignmentFlag.AlignCenter, self.text)
        painter.end()
