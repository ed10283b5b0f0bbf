"""A tour of the window: a few marks that point at the real buttons while the user presses them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QPoint, QRect, QSize, Qt, QTimer, Signal
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from cryoscope.app import remembered, theme

if TYPE_CHECKING:
    from cryoscope.app.window import CryoscopeWindow

SEEN = "tour"
LOOK_MS, EDGE_PX, AWAY_PX, WIDTH_PX, SPARE_PX = 150, 3, 12, 340, 14


@dataclass(frozen=True)
class Step:
    """One mark of the tour.

    Attributes
    ----------
    title, text
        What it says.
    target
        The widget it points at, of a window.
    dock
        The panel that is raised for it, or empty.
    mark
        What of the session changes when the user has done it; nothing is falsy.
    given
        Whether the program gives it a first value by itself.
    """

    title: str
    text: str
    target: Callable[[Any], QWidget]
    dock: str = ""
    mark: Callable[[Any], Any] = lambda _session: None
    given: bool = False


STEPS = (
    Step(
        "Start with the demo",
        "Press this button. The program makes 10,000 pictures of an enzyme that opens and closes, "
        "and opens them. You can also drop your own files anywhere in the window.",
        lambda window: window.project.demo_button,
        "project",
        lambda session: session.particles is not None or bool(session.jobs),
    ),
    Step(
        "Train",
        "This button starts the training; the demo presses it for you. The network learns where "
        "every particle belongs and what the molecule looks like there. You need not wait until "
        "it ends: look at the particles while it runs.",
        lambda window: window.training.start,
        "project",
        lambda session: session.embedding is not None,
    ),
    Step(
        "Every dot is a particle",
        "Press on the dots and drag. The molecule on the left follows your hand: similar "
        "particles lie close together, and moving from one end to the other shows the motion.",
        lambda window: window.latent.canvas,
        "latent",
        lambda session: session.cursor_xy,
        given=True,
    ),
    Step(
        "Choose some particles",
        "Press this button (or the key L) and draw around some dots. Shift adds to what you have, "
        "Ctrl takes away, Ctrl+Z undoes.",
        lambda window: window.latent.tool_row.tools["lasso"],
        "latent",
        lambda session: len(session.selections),
    ),
    Step(
        "Is it really there?",
        "What you saw so far was made up by the network. This button builds a map from the "
        "pictures you chose, and compares it with as many pictures chosen at random.",
        lambda window: window.checking.start,
        "checking",
        lambda session: session.check is not None and id(session.check),
    ),
    Step(
        "Take it with you",
        "This button writes the particles you chose as a file for RELION or cryoSPARC. States of "
        "the molecule are written from the panel “Trajectories”, for ChimeraX.",
        lambda window: window.selections.export,
        "latent",
    ),
    Step(
        "That is all",
        "F1 lists all keys and what the mouse does. Ctrl+Shift+P finds everything by words: try "
        "“defocus” or “export”. This tour is in the Help menu.",
        lambda window: window.main.menuBar(),
    ),
)


class Tour(QFrame):
    """A bubble with a text beside a frame around the widget that it is about.

    Nothing is covered or locked: the user presses the real button, and the tour goes on by itself.

    Signals
    -------
    ended ()
        It was finished or skipped.
    """

    ended = Signal()

    def __init__(self, window: CryoscopeWindow, steps: tuple[Step, ...] = STEPS) -> None:
        super().__init__(window.main)
        self._window, self._steps, self.number = window, steps, 0
        self._mark: Any = None
        self._look_of = ""
        self.setObjectName("tour")
        self.setAccessibleName("Tour of the window")
        self.setFixedWidth(WIDTH_PX)
        self.title, self.text, self.count = QLabel(), QLabel(), QLabel()
        self.title.setProperty("role", "attention")
        self.count.setProperty("role", "muted")
        self.text.setWordWrap(True)
        self.skip, self.back, self.next = (QPushButton() for _ in range(3))
        self.skip.setText("Skip the tour")
        self.skip.setToolTip("It stays in the Help menu")
        self.back.setText("Back")
        self.next.setProperty("role", "primary")
        self.skip.clicked.connect(self.end)
        self.back.clicked.connect(lambda: self.go_to(self.number - 1))
        self.next.clicked.connect(lambda: self.go_to(self.number + 1))
        head, foot = QHBoxLayout(), QHBoxLayout()
        head.addWidget(self.title, 1)
        head.addWidget(self.count)
        foot.addWidget(self.skip)
        foot.addStretch(1)
        foot.addWidget(self.back)
        foot.addWidget(self.next)
        layout = QVBoxLayout(self)
        layout.addLayout(head)
        layout.addWidget(self.text)
        layout.addLayout(foot)
        self._edges = [QWidget(window.main) for _ in range(4)]
        for edge in self._edges:
            edge.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
            edge.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._look)
        self._timer.start(LOOK_MS)
        self.go_to(0)
        self.show()

    @property
    def step(self) -> Step:
        """The step that is shown."""
        return self._steps[self.number]

    def go_to(self, number: int) -> None:
        """Show a step; after the last one, end."""
        if number >= len(self._steps):
            self.end()
            return
        self.number = max(number, 0)
        step = self.step
        if step.dock:
            self._window.docks[step.dock].show()
            self._window.docks[step.dock].raise_()
        self.title.setText(step.title)
        self.text.setText(step.text)
        self.count.setText(f"{self.number + 1} of {len(self._steps)}")
        last = self.number == len(self._steps) - 1
        self.next.setText("Close" if last else "Next")
        self.skip.setVisible(not last)
        self.back.setEnabled(self.number > 0)
        self._mark = step.mark(self._window.session)
        self._place()

    def end(self) -> None:
        """Close it, and do not show it by itself any more."""
        remembered.remember_seen(SEEN)
        self._timer.stop()
        for widget in (*self._edges, self):
            widget.hide()
            widget.deleteLater()
        self.ended.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Escape skips it."""
        if event.key() == Qt.Key.Key_Escape:
            self.end()
        else:
            super().keyPressEvent(event)

    def _look(self) -> None:
        """Go on when the user has done it; follow the widget when the window changes."""
        mark, before = self.step.mark(self._window.session), self._mark
        self._mark = mark
        if mark and mark != before and (before or not self.step.given):
            self.go_to(self.number + 1)
        else:
            self._place()

    def _place(self) -> None:
        palette = theme.current()
        if self._look_of != palette.name:
            self._look_of = palette.name
            self.setStyleSheet(
                theme.STYLE + f"#tour {{ background: {palette.title_background};"
                f" border: 2px solid {palette.accent}; border-radius: 6px; }}"
                f"#tour QLabel {{ color: {palette.text}; background: transparent; }}"
                f'#tour QLabel[role="attention"] {{ color: {palette.accent}; }}'
            )
            for edge in self._edges:
                edge.setStyleSheet(f"background: {palette.accent};")
        main, step = self._window.main, self.step
        target = step.target(self._window)
        shown = target.isVisible()
        around = QRect(target.mapTo(main, QPoint(0, 0)), target.size())
        if not shown:  # as the demo's button, once something is open
            around = main.menuBar().geometry()
        around = around.adjusted(-EDGE_PX, -EDGE_PX, EDGE_PX, EDGE_PX).intersected(main.rect())
        self._frame(around, shown)
        self.ensurePolished()
        self.layout().activate()
        size = QSize(WIDTH_PX, self.layout().totalHeightForWidth(WIDTH_PX) + SPARE_PX)
        self.resize(size)
        panel = around
        if step.dock and shown:
            dock = self._window.docks[step.dock]
            panel = QRect(dock.mapTo(main, QPoint(0, 0)), dock.size())
        self.move(beside(around, size, main.rect(), panel))
        for widget in (*self._edges, self):
            widget.raise_()

    def _frame(self, around: QRect, shown: bool) -> None:
        x, y, width, height = around.x(), around.y(), around.width(), around.height()
        sides = (
            QRect(x, y, width, EDGE_PX),
            QRect(x, around.bottom() - EDGE_PX + 1, width, EDGE_PX),
            QRect(x, y, EDGE_PX, height),
            QRect(around.right() - EDGE_PX + 1, y, EDGE_PX, height),
        )
        for edge, side in zip(self._edges, sides, strict=True):
            edge.setGeometry(side)
            edge.setVisible(shown)


def beside(around: QRect, size: QSize, room: QRect, panel: QRect) -> QPoint:
    """Where a bubble of that size stands beside a rectangle: where there is room, inside ``room``.

    Right of the panel that the rectangle is in, left of it, below the rectangle, above; over it
    when nothing else fits.
    """
    away, width, height = AWAY_PX, size.width(), size.height()
    level = min(max(around.top(), room.top() + away), room.bottom() - height - away)
    along = min(max(around.left(), room.left() + away), room.right() - width - away)
    places = (
        (QPoint(panel.right() + away, level), panel.right() + away + width <= room.right()),
        (QPoint(panel.left() - away - width, level), panel.left() - away - width >= room.left()),
        (QPoint(along, around.bottom() + away), around.bottom() + away + height <= room.bottom()),
        (QPoint(along, around.top() - away - height), around.top() - away - height >= room.top()),
    )
    for place, fits in places:
        if fits:
            return place
    return QPoint(along, level)


def start_tour(window: CryoscopeWindow) -> Tour:
    """Begin the tour, or begin it again."""
    if window.tour is not None:
        window.tour.end()
    tour = Tour(window)

    def forget() -> None:
        if window.tour is tour:
            window.tour = None

    tour.ended.connect(forget)
    window.tour = tour
    return tour


def offer_tour(window: CryoscopeWindow) -> None:
    """Begin the tour in a window that is opened for the first time."""
    if not remembered.seen(SEEN):
        start_tour(window)
