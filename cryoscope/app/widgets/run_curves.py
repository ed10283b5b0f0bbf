"""One loss term of several runs on the same axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QFontMetricsF, QPainter, QPen
from qtpy.QtWidgets import QWidget

from cryoscope.app import theme
from cryoscope.app.loss_terms import term
from cryoscope.app.widgets.loss_plot import LEGEND_ROW_PX, MEAN_PARTS, SAMPLE_PX, running_mean
from cryoscope.app.widgets.plot_frame import PlotFrame, polygon_px, small_font

#: Told apart by colour and by dashes.
STYLES: tuple[tuple[str, tuple[float, ...]], ...] = (
    ("#56b4e9", ()),
    ("#e69f00", (6, 2)),
    ("#009e73", (2, 2)),
    ("#cc79a7", (8, 2, 2, 2)),
    ("#f0e442", (4, 4)),
    ("#d55e00", (1, 2)),
)
MOST_POINTS = 400
EMPTY_TEXT = "These runs have no losses yet."


class RunCurves(PlotFrame):
    """Lines of several runs against passes through the particles, with a legend."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.x_label = "passes through the particles"
        self.empty_text = EMPTY_TEXT
        self._lines: list[tuple[str, NDArray[np.float64], NDArray[np.float64]]] = []

    @property
    def names(self) -> tuple[str, ...]:
        """The runs, in the order of the legend."""
        return tuple(name for name, _, _ in self._lines)

    def show_runs(self, runs: Sequence[Any], key: str) -> None:
        """Show the term ``key`` of runs (``name, passes, run.history.terms``)."""
        self._lines = []
        for one in runs:
            values = one.run.history.terms.get(key)
            if values is None:
                values = np.full(len(one.passes), np.nan)
            self._lines.append((one.name, one.passes, term(key).sign * values))
        self.y_label = f"{term(key).alone} (nats)"
        finite = [np.isfinite(values) for _, _, values in self._lines]
        x = np.concatenate([p[ok] for (_, p, _), ok in zip(self._lines, finite, strict=True)])
        y = np.concatenate([v[ok] for (_, _, v), ok in zip(self._lines, finite, strict=True)])
        self.empty_text = "" if len(x) > 1 and x.max() > x.min() else EMPTY_TEXT
        if not self.empty_text:
            # The first steps fall from far away: what is compared is what comes after.
            low, high = np.percentile(y, (1, 99)) if len(y) > 200 else (y.min(), y.max())
            pad = max(0.08 * (high - low), 1e-6 + 1e-3 * abs(high))
            self._make_room()
            self.set_bounds((0.0, float(x.max()), float(low - pad), float(high + pad)))
            self.make_room_for_ticks()
        self.update()

    def paint_data(self, painter: QPainter, rect: QRectF) -> None:
        """The running mean of every run."""
        for number, (_, passes, values) in enumerate(self._lines):
            stride = max(1, len(passes) // MOST_POINTS)
            smooth = running_mean(values, max(1, len(values) // MEAN_PARTS))
            points = np.stack([passes, smooth], axis=1)[::stride]
            painter.setPen(run_pen(number))
            painter.drawPolyline(polygon_px(self.to_widget(points)))

    def paint_overlay(self, painter: QPainter, rect: QRectF) -> None:
        """The legend: a row a run, with its last value."""
        painter.setFont(small_font(self))
        metrics = QFontMetricsF(small_font(self))
        for number, (name, _, values) in enumerate(self._lines):
            y = 2 + (number + 0.5) * LEGEND_ROW_PX
            painter.setPen(run_pen(number))
            painter.drawLine(QPointF(rect.left(), y), QPointF(rect.left() + SAMPLE_PX, y))
            smooth = running_mean(values, max(1, len(values) // MEAN_PARTS))
            known = smooth[np.isfinite(smooth)]
            text = f"{name}  {known[-1]:,.4g}" if len(known) else f"{name}  no such term"
            room = rect.width() - SAMPLE_PX - 4
            painter.setPen(QColor(theme.TEXT))
            place = QRectF(rect.left() + SAMPLE_PX + 4, y - 8, room, 16)
            shown = metrics.elidedText(text, Qt.TextElideMode.ElideMiddle, room)
            painter.drawText(place, Qt.AlignmentFlag.AlignVCenter, shown)

    def _make_room(self) -> None:
        self.top_px = 6 + LEGEND_ROW_PX * len(self._lines)


def run_pen(number: int) -> QPen:
    """The line of the ``number``-th run, from 0."""
    colour, dashes = STYLES[number % len(STYLES)]
    pen = QPen(QColor(theme.ink(colour)), 2.0)
    if dashes:
        pen.setDashPattern(list(dashes))
    return pen
