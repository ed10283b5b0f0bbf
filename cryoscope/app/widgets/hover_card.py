"""A card beside the pointer: a particle's image, its row and its name."""

from __future__ import annotations

from typing import Any

import numpy as np
from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QImage, QPainter, QPen

from cryoscope.app import theme

SIDE_PX, WIDTH_PX, MARGIN_PX, LINE_PX, AWAY_PX = 112, 190, 6, 15, 18


def paint_card(painter: QPainter, card: Any, at: tuple[float, float], rect: QRectF) -> None:
    """Draw ``card`` (a :class:`ParticleCard`) beside ``at``, where there is room within ``rect``.

    Parameters
    ----------
    at
        Where the particle lies, in pixels.
    """
    metrics = painter.fontMetrics()
    inner = WIDTH_PX - 2 * MARGIN_PX
    lines = [f"Particle {card.file_row:,}", card.name, card.values]
    if card.image is None:
        lines.append(card.remark)
    middle = Qt.TextElideMode.ElideMiddle
    lines = [metrics.elidedText(line, middle, inner) for line in lines if line]
    pictured = 0 if card.image is None else SIDE_PX + MARGIN_PX
    height = 2 * MARGIN_PX + pictured + LINE_PX * len(lines)
    x, y = at
    left = x + AWAY_PX if x + AWAY_PX + WIDTH_PX <= rect.right() else x - AWAY_PX - WIDTH_PX
    top = min(max(y - height / 2, rect.top() + 2), max(rect.top() + 2, rect.bottom() - height - 2))
    box = QRectF(max(left, rect.left() + 2), top, WIDTH_PX, height)
    painter.setPen(QPen(QColor(theme.CURSOR), 1.4))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawEllipse(QPointF(x, y), 5, 5)
    painter.setPen(QPen(QColor(theme.AXIS), 1))
    painter.setBrush(QColor(20, 22, 27, 235))
    painter.drawRoundedRect(box, 4, 4)
    if card.image is not None:
        _paint_image(painter, card.image, box)
    painter.setPen(QColor(theme.TEXT))
    line = QRectF(box.left() + MARGIN_PX, box.top() + MARGIN_PX + pictured, inner, LINE_PX)
    for text in lines:
        painter.drawText(line, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, text)
        painter.setPen(QColor(theme.MUTED))
        line.translate(0, LINE_PX)


def _paint_image(painter: QPainter, image: Any, box: QRectF) -> None:
    pixels = np.ascontiguousarray(image)
    height, width = pixels.shape
    grey = QImage(pixels.data, width, height, width, QImage.Format.Format_Grayscale8)
    left = box.center().x() - SIDE_PX / 2
    painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
    painter.drawImage(QRectF(left, box.top() + MARGIN_PX, SIDE_PX, SIDE_PX), grey)
