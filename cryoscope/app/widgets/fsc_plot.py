"""Fourier shell correlations on one pair of axes, each with its resolution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QPainter, QPen
from qtpy.QtWidgets import QWidget

from cryoscope.app import theme
from cryoscope.app.widgets.plot_frame import PlotFrame, polygon_px, small_font
from cryoscope.app.widgets.ticks import nice_ticks

EMPTY_TEXT = "The Fourier shell correlation (FSC) of the selection appears here."
LOWEST, HIGHEST = -0.1, 1.05
ROW_PX, SAMPLE_PX = 15, 20


@dataclass(frozen=True, eq=False)
class FSCLine:
    """One curve: (s,) correlations against (s,) 1/A, its threshold, resolution and style.

    ``said`` is the resolution in words.
    """

    name: str
    frequency_per_A: NDArray[np.float64]
    correlation: NDArray[np.float64]
    threshold: float
    resolution_A: float
    said: str
    colour: str
    dashes: tuple[float, ...] = ()


class FSCPlot(PlotFrame):
    """Correlation against spatial frequency, with the resolution in A along the axis."""

    left_px, top_px = 46, 8

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.x_label, self.y_label = "resolution (Å)", "FSC"
        self.empty_text = EMPTY_TEXT
        self.lines: tuple[FSCLine, ...] = ()
        self.setMinimumHeight(215)

    def set_lines(self, lines: Sequence[FSCLine]) -> None:
        """Show these curves; none: say what will be here."""
        self.lines = tuple(lines)
        self.empty_text = "" if lines else EMPTY_TEXT
        self.top_px = 8 + ROW_PX * len(lines)
        if lines:
            end = max(float(line.frequency_per_A[-1]) for line in lines)
            self.set_bounds((0.0, end, LOWEST, HIGHEST))
        said = [f"{line.name} {line.said}" for line in lines]
        self.setAccessibleDescription("; ".join(said))
        self.update()

    def _ticks(self) -> tuple[list[tuple[float, str]], list[tuple[float, str]]]:
        rect, (low, high, _, _) = self.plot_rect(), self.bounds
        across = nice_ticks(low, high, max(2, int(rect.width() / 48)))
        named = [(at, f"{1 / at:.3g}" if at > 0 else "∞") for at, _ in across]
        return named, [(at, f"{at:g}") for at in (0.0, 0.5, 1.0)]

    def paint_data(self, painter: QPainter, rect: QRectF) -> None:
        """Thresholds, curves, and where they cross."""
        for threshold in dict.fromkeys(line.threshold for line in self.lines):
            height = float(self.to_widget([(0.0, threshold)])[0, 1])
            painter.setPen(QPen(QColor(theme.AXIS), 1, Qt.PenStyle.DotLine))
            painter.drawLine(QPointF(rect.left(), height), QPointF(rect.right(), height))
        for line in reversed(self.lines):
            points = np.stack([line.frequency_per_A, line.correlation], axis=1)
            painter.setPen(line_pen(line, 2.0))
            painter.drawPolyline(polygon_px(self.to_widget(points)))
        for line in self.lines:
            if not np.any(line.correlation[1:] < line.threshold):
                continue  # it never crosses: what is said is the limit of the box
            crossing = self.to_widget([(1 / line.resolution_A, line.threshold)])[0]
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(theme.ink(line.colour)))
            painter.drawEllipse(QPointF(*crossing), 3.5, 3.5)
            painter.setBrush(Qt.BrushStyle.NoBrush)

    def paint_overlay(self, painter: QPainter, rect: QRectF) -> None:
        """The legend above the plot, and the thresholds' numbers."""
        painter.setFont(small_font(self))
        left = rect.left()
        for row, line in enumerate(self.lines):
            text = f"{line.name}: {line.said} at {line.threshold:g}"
            middle = 3 + (row + 0.5) * ROW_PX
            painter.setPen(line_pen(line, 2.5))
            painter.drawLine(QPointF(left, middle), QPointF(left + SAMPLE_PX, middle))
            painter.setPen(QColor(theme.TEXT))
            box = QRectF(left + SAMPLE_PX + 5, middle - ROW_PX / 2, rect.width(), ROW_PX)
            painter.drawText(box, Qt.AlignmentFlag.AlignVCenter, text)
        painter.setPen(QColor(theme.MUTED))
        for threshold in dict.fromkeys(line.threshold for line in self.lines):
            height = float(self.to_widget([(0.0, threshold)])[0, 1])
            painter.drawText(QPointF(rect.left() + 3, height - 2), f"{threshold:g}")


def line_pen(line: FSCLine, width_px: float) -> QPen:
    """The pen of a curve."""
    pen = QPen(QColor(theme.ink(line.colour)), width_px)
    if line.dashes:
        pen.setDashPattern(list(line.dashes))
    return pen
