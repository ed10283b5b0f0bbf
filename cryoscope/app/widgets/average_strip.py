"""Two-dimensional averages by view, each beside the projection of a map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QEvent, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QHelpEvent, QImage, QPainter, QPaintEvent
from qtpy.QtWidgets import QSizePolicy, QToolTip, QWidget

from cryoscope.app import theme
from cryoscope.app.widgets.plot_frame import small_font

TILE_PX, GAP_PX, BETWEEN_PX, HEAD_PX = 64, 2, 8, 17


class AverageStrip(QWidget):
    """Blocks of an average and a projection, as many beside each other as there is room for."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._tiles: tuple[Any, ...] = ()
        self._images: list[tuple[QImage, QImage | None]] = []
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    def set_tiles(self, tiles: Sequence[Any]) -> None:
        """Show these views: ``title``, ``average``, ``projection`` or None, ``text``, ``tip``."""
        self._tiles = tuple(tiles)
        self._images = [
            (_image(one.average), None if one.projection is None else _image(one.projection))
            for one in tiles
        ]
        said = [f"{one.title} particles, {one.text}" for one in tiles]
        self.setAccessibleDescription("; ".join(said))
        self.updateGeometry()
        self.update()

    def hasHeightForWidth(self) -> bool:
        """The blocks wrap."""
        return True

    def heightForWidth(self, width: int) -> int:
        """Height of the rows that a width makes."""
        rows = -(-len(self._tiles) // self._columns(width))
        return max(rows, 0) * (TILE_PX + HEAD_PX + BETWEEN_PX)

    def sizeHint(self) -> QSize:
        """As wide as two blocks."""
        width = 2 * self._block_px() + BETWEEN_PX
        return QSize(width, self.heightForWidth(max(self.width(), width)))

    def tile_rect(self, number: int) -> QRectF:
        """Where the block of a view (from 0) is drawn."""
        row, column = divmod(number, self._columns(self.width()))
        step = self._block_px() + BETWEEN_PX
        top = row * (TILE_PX + HEAD_PX + BETWEEN_PX)
        return QRectF(column * step, top, self._block_px(), TILE_PX + HEAD_PX)

    def paintEvent(self, _event: QPaintEvent) -> None:
        """The blocks."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.setFont(small_font(self))
        for number, (tile, images) in enumerate(zip(self._tiles, self._images, strict=True)):
            block = self.tile_rect(number)
            head = QRectF(block.left(), block.top(), block.width(), HEAD_PX)
            painter.setPen(QColor(theme.TEXT))
            painter.drawText(head, Qt.AlignmentFlag.AlignLeft, tile.title)
            painter.setPen(QColor(theme.MUTED))
            painter.drawText(head, Qt.AlignmentFlag.AlignRight, tile.text)
            for place, image in enumerate(images):
                if image is not None:
                    left = block.left() + place * (TILE_PX + GAP_PX)
                    painter.drawImage(QRectF(left, head.bottom(), TILE_PX, TILE_PX), image)
        painter.end()

    def event(self, event: QEvent) -> bool:
        """Say what a block is."""
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            for number, tile in enumerate(self._tiles):
                if self.tile_rect(number).contains(event.pos()):
                    QToolTip.showText(event.globalPos(), tile.tip, self)
                    return True
            QToolTip.hideText()
            return True
        return super().event(event)

    def _block_px(self) -> int:
        paired = any(second is not None for _, second in self._images)
        return 2 * TILE_PX + GAP_PX if paired else TILE_PX

    def _columns(self, width: int) -> int:
        return max(1, (width + BETWEEN_PX) // (self._block_px() + BETWEEN_PX))


def _image(grey: NDArray[np.uint8]) -> QImage:
    height, width = grey.shape
    data = np.ascontiguousarray(grey)
    return QImage(data.data, width, height, width, QImage.Format.Format_Grayscale8).copy()
