"""Losses against steps: one line per term, or one term with its running mean."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QFontMetricsF, QPainter, QPen, QResizeEvent
from qtpy.QtWidgets import QWidget

from cryoscope.app import theme
from cryoscope.app.loss_terms import term
from cryoscope.app.widgets.plot_frame import PlotFrame, polygon_px, small_font

MOST_POINTS = 600
EMPTY_TEXT = "How training improves appears here."
LEGEND_ROW_PX, SAMPLE_PX = 15, 22
MOST_DECADES = 5.0
MEAN_PARTS = 25
ALL_LABEL = "loss per image (nats)"

Style = tuple[str, tuple[float, ...]]


class LossPlot(PlotFrame):
    """Every loss term on a logarithmic axis, or one term alone on a linear one."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.x_label, self.y_label = "step", ALL_LABEL
        self.empty_text = EMPTY_TEXT
        self.log_y = True
        self.only: str | None = None
        self._step: NDArray[np.float64] = np.zeros(0)
        self._terms: dict[str, NDArray[np.float64]] = {}
        self._above: dict[str, float] = {}

    def set_history(
        self, step: NDArray[np.floating], terms: Mapping[str, NDArray[np.floating]]
    ) -> None:
        """Show ``terms`` (name -> (k,) nats per image) against ``step`` (k,).

        On the logarithmic axis, a term that falls below zero (a log-likelihood may) is drawn as
        what it lies above its lowest value, and its name says so.
        """
        self._step = np.asarray(step, dtype=np.float64)
        self._terms = {name: np.asarray(term, dtype=np.float64) for name, term in terms.items()}
        self._above = {
            name: np.nanmin(term)
            for name, term in self._terms.items()
            if np.nanmin(term, initial=0.0) < 0
        }
        self._refit()

    def clear(self) -> None:
        """Show nothing (a new run begins)."""
        self._step, self._terms, self._above = np.zeros(0), {}, {}
        self.empty_text = EMPTY_TEXT
        self.update()

    def show_only(self, name: str | None) -> None:
        """Show one term on a linear axis, or (None) all on a logarithmic one."""
        self.only = name
        self._refit()

    @property
    def term_names(self) -> tuple[str, ...]:
        """Names of the terms there are."""
        return tuple(self._terms)

    def _shown(self) -> dict[str, NDArray[np.float64]]:
        if self.only in self._terms:
            return {str(self.only): self._terms[str(self.only)]}
        return self._terms

    def _drawn(self, name: str) -> NDArray[np.float64]:
        """The values of a term as they are drawn on the present axis, before any logarithm."""
        if self.log_y:
            return self._terms[name] - self._above.get(name, 0.0)
        return term(name).sign * self._terms[name]

    def _label(self, name: str) -> str:
        if not self.log_y:
            return term(name).alone
        return f"{term(name).name} − best" if name in self._above else term(name).name

    def _refit(self) -> None:
        self.log_y = self.only not in self._terms
        self.y_label = ALL_LABEL if self.log_y else f"{term(str(self.only)).alone} (nats)"
        drawn = [self._drawn(name) for name in self._shown()]
        shown = [term[np.isfinite(term)] for term in drawn]
        values = np.concatenate([*shown, np.zeros(0)])
        if self.log_y:
            values = np.log10(values[values > 0])
        if len(values) == 0 or len(self._step) < 2 or self._step[-1] <= self._step[0]:
            self.update()
            return
        self.empty_text = ""
        self._make_room()
        low, high = float(values.min()), float(values.max())
        if self.log_y:
            low = max(low, high - MOST_DECADES)
        pad = max(0.06 * (high - low), 0.02 if self.log_y else 1e-6 + 1e-3 * abs(high))
        self.set_bounds((float(self._step[0]), float(self._step[-1]), low - pad, high + pad))
        self.make_room_for_ticks()

    def paint_data(self, painter: QPainter, rect: QRectF) -> None:
        """The lines."""
        stride = max(1, len(self._step) // MOST_POINTS)
        for name, style in self._styles().items():
            values = self._drawn(name)[::stride]
            steps = self._step[::stride]
            if self.log_y:
                values = np.log10(np.where(values > 0, values, np.nan))
                # The total lies on its largest term: a wider line shows on both sides of it.
                self._draw_line(
                    painter, steps, values, _pen(style, 3.6 if name == "total" else 1.6)
                )
                continue
            painter.setOpacity(0.35)
            self._draw_line(painter, steps, values, QPen(QColor(style[0]), 1.0))
            painter.setOpacity(1.0)
            mean = running_mean(values, max(1, len(values) // MEAN_PARTS))
            self._draw_line(painter, steps, mean, QPen(QColor(style[0]), 2.0))

    def _draw_line(
        self, painter: QPainter, x: NDArray[np.float64], y: NDArray[np.float64], pen: QPen
    ) -> None:
        painter.setPen(pen)
        finite = np.isfinite(y)
        points = self.to_widget(np.stack([x[finite], y[finite]], axis=1))
        painter.drawPolyline(polygon_px(points))

    def paint_overlay(self, painter: QPainter, rect: QRectF) -> None:
        """The legend above the plot, each name beside a piece of its line."""
        painter.setFont(small_font(self))
        for name, (box, style) in self._legend(rect.width()).items():
            y = box.center().y()
            x = rect.left() + box.left()
            painter.setPen(_pen(style, 2.0))
            painter.drawLine(QPointF(x, y), QPointF(x + SAMPLE_PX, y))
            painter.setPen(QColor(theme.TEXT))
            text = box.translated(rect.left() + SAMPLE_PX + 4, 0)
            painter.drawText(text, Qt.AlignmentFlag.AlignVCenter, self._label(name))

    def _legend(self, width_px: float) -> dict[str, tuple[QRectF, Style]]:
        """Where each entry stands: rows that break where the plot ends."""
        if not self.log_y:
            return {}  # the axis names the only line
        metrics = QFontMetricsF(small_font(self))
        x, y, places = 0.0, 2.0, {}
        for name, style in self._styles().items():
            entry_px = SAMPLE_PX + 4 + metrics.horizontalAdvance(self._label(name))
            if x > 0 and x + entry_px > width_px:
                x, y = 0.0, y + LEGEND_ROW_PX
            places[name] = (QRectF(x, y, entry_px, LEGEND_ROW_PX), style)
            x += entry_px + 12
        return places

    def resizeEvent(self, event: QResizeEvent) -> None:
        """The legend may need another row."""
        super().resizeEvent(event)
        self._make_room()

    def _make_room(self) -> None:
        places = self._legend(self.plot_rect().width())
        self.top_px = int(max((box.bottom() for box, _ in places.values()), default=4) + 4)

    def _styles(self) -> dict[str, Style]:
        unknown = [name for name in self._terms if name not in theme.TERM_STYLES]
        known = [name for name in theme.TERM_STYLES if name in self._terms]
        shown = self._shown()
        return {
            name: theme.term_style(name, unknown.index(name) if name in unknown else 0)
            for name in (*known, *unknown)
            if name in shown
        }


def running_mean(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """The mean of up to ``window`` values before and after each, NaN left out."""
    known = np.isfinite(values)
    sums = np.concatenate([[0.0], np.cumsum(np.where(known, values, 0.0))])
    counts = np.concatenate([[0], np.cumsum(known)])
    index = np.arange(len(values))
    # The same reach to both sides, so that the ends of a curve are not bent.
    reach = np.minimum(window, np.minimum(index, len(values) - 1 - index))
    low, high = index - reach, index + reach + 1
    count = counts[high] - counts[low]
    return np.where(count > 0, (sums[high] - sums[low]) / np.maximum(count, 1), np.nan)


def _pen(style: Style, width_px: float) -> QPen:
    colour, dashes = style
    pen = QPen(QColor(colour), width_px)
    if dashes:
        pen.setDashPattern(list(dashes))
    return pen
