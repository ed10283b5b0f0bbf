"""How many particles stand behind each state of a trajectory."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QHelpEvent, QMouseEvent, QPainter, QPaintEvent
from qtpy.QtWidgets import QToolTip, QWidget

from cryoscope.app import theme
from cryoscope.app.widgets.plot_frame import small_font

HEIGHT_PX, TEXT_PX, SIDE_PX = 54, 15, 2
#: States with less than this share of the mean number of particles are drawn as poorly supported.
POOR = 0.2


class SupportStrip(QWidget):
    """One bar per state, as high as its particles are many; press or drag to show a state.

    Signals
    -------
    frame_wanted (frame)
        A state was pressed.
    """

    frame_wanted = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.counts: tuple[int, ...] = ()
        self.distances: tuple[float, ...] = ()
        self.kept: tuple[bool, ...] = ()
        self.frame = 0
        self.setFixedHeight(HEIGHT_PX)
        self.setMinimumWidth(160)
        self.setAccessibleName("Particles per state of the trajectory")

    def sizeHint(self) -> QSize:
        """Wide and low."""
        return QSize(300, HEIGHT_PX)

    def set_support(self, counts: Sequence[int], distances: Sequence[float]) -> None:
        """Particles nearest to each state, and how far its nearest particle is."""
        self.counts, self.distances = tuple(counts), tuple(distances)
        self.update()

    def set_frame(self, frame: int) -> None:
        """The state that is shown."""
        self.frame = frame
        self.update()

    def set_kept(self, kept: Sequence[bool]) -> None:
        """Which states are decoded already."""
        if self.kept != tuple(kept):
            self.kept = tuple(kept)
            self.update()

    def poor(self, frame: int) -> bool:
        """Whether few particles stand behind a state."""
        return self.counts[frame] < POOR * sum(self.counts) / len(self.counts)

    def bar(self, frame: int) -> QRectF:
        """The column of a state, at full height."""
        width = (self.width() - 2 * SIDE_PX) / max(len(self.counts), 1)
        return QRectF(SIDE_PX + frame * width, TEXT_PX, width, self.height() - TEXT_PX - 4)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Title, bars, and a line under the states that are decoded."""
        painter = QPainter(self)
        painter.setFont(small_font(self))
        painter.setPen(QColor(theme.MUTED))
        title = QRectF(SIDE_PX, 0, self.width() - 2 * SIDE_PX, TEXT_PX)
        painter.drawText(title, Qt.AlignmentFlag.AlignLeft, self._title())
        top = max(self.counts, default=0)
        if top:
            most = f"highest bar: {top:,} particles"
            painter.drawText(title, Qt.AlignmentFlag.AlignRight, most)
        for frame, count in enumerate(self.counts):
            self._paint_bar(painter, frame, count / top if top else 0.0)
        painter.end()

    def _title(self) -> str:
        poor = sum(self.poor(frame) for frame in range(len(self.counts)))
        if not self.counts:
            return "Particles behind each state"
        if poor:
            states = "1 state" if poor == 1 else f"{poor} states"
            return f"Particles behind each state – {states} with few (red)"
        return "Particles behind each state"

    def _paint_bar(self, painter: QPainter, frame: int, share: float) -> None:
        box = self.bar(frame)
        gap = 1.0 if box.width() > 4 else 0.0
        ground = theme.BAR_CHOSEN if frame == self.frame else theme.PLOT_BACKGROUND
        painter.fillRect(box.adjusted(0, 0, -gap, 0), QColor(ground))
        colour = theme.ERROR if self.poor(frame) else theme.DENSITY
        if frame == self.frame:
            colour = theme.ACCENT
        height = max(share * box.height(), 2.0)
        full = QRectF(box.left(), box.bottom() - height, box.width() - gap, height)
        painter.fillRect(full, QColor(colour))
        if frame < len(self.kept) and self.kept[frame]:
            under = QRectF(box.left(), box.bottom() + 1, box.width() - gap, 2)
            painter.fillRect(under, QColor(theme.AXIS))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Show the state there."""
        self._ask(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Go on through the states."""
        self._ask(event)

    def event(self, event: QHelpEvent) -> bool:
        """The tooltip of a state says its numbers."""
        if event.type() == QHelpEvent.Type.ToolTip and self.counts:
            frame = self._frame_at(event.pos().x())
            text = (
                f"State {frame + 1}: {self.counts[frame]:,} particles are nearer to it than to any "
                f"other state; the nearest is {self.distances[frame]:.3g} latent units away. "
                "The grey line below marks states that are decoded already."
            )
            QToolTip.showText(event.globalPos(), text, self)
            return True
        return super().event(event)

    def _ask(self, event: QMouseEvent) -> None:
        if self.counts and event.buttons() & Qt.MouseButton.LeftButton:
            self.frame_wanted.emit(self._frame_at(event.position().x()))

    def _frame_at(self, x: float) -> int:
        share = (x - SIDE_PX) / max(self.width() - 2 * SIDE_PX, 1)
        return min(max(int(share * len(self.counts)), 0), len(self.counts) - 1)
