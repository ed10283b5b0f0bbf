"""How much of the differences between volumes lies along each of their components."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QRectF, Qt
from qtpy.QtGui import QColor, QPainter
from qtpy.QtWidgets import QWidget

from cryoscope.app import theme
from cryoscope.app.widgets.plot_frame import PlotFrame, small_font

MOST_BARS, HEIGHT_PX, GAP = 10, 130, 0.18
_HEADROOM = 1.22


class VariancePlot(PlotFrame):
    """A bar a component, with its share in percent above it."""

    left_px, right_px, top_px = 40, 6, 4

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.x_label, self.y_label = "volume PC", "variance (%)"
        self.shares: tuple[float, ...] = ()
        self.setMinimumHeight(HEIGHT_PX)

    def set_shares(self, shares: Sequence[float]) -> None:
        """Show shares from 0 to 1, of the first components."""
        self.shares = tuple(100 * share for share in shares[:MOST_BARS])
        most = max(self.shares, default=1.0)
        self.set_bounds((0.5, len(self.shares) + 0.5, 0.0, max(most, 1e-3) * _HEADROOM))
        self.update()

    def _ticks(self) -> tuple[list[tuple[float, str]], list[tuple[float, str]]]:
        _, up = super()._ticks()
        return [(float(n), str(n)) for n in range(1, len(self.shares) + 1)], up

    def _paint_grid(self, painter: QPainter, rect: QRectF) -> None:
        """No lines: every bar has its number."""

    def paint_data(self, painter: QPainter, rect: QRectF) -> None:
        """The bars and their numbers."""
        painter.setFont(small_font(self))
        for number, share in enumerate(self.shares, start=1):
            left, right = number - 0.5 + GAP, number + 0.5 - GAP
            (x0, y0), (x1, y1) = self.to_widget([(left, share), (right, 0.0)])
            bar = QRectF(x0, y0, x1 - x0, y1 - y0)
            painter.fillRect(bar, QColor(theme.PROGRESS))
            text = f"{share:.0f}" if share >= 0.95 else f"{share:.1f}"
            painter.setPen(QColor(theme.TEXT))
            above = QRectF(bar.center().x() - 20, y0 - 16, 40, 15)
            painter.drawText(above, Qt.AlignmentFlag.AlignCenter, text)
