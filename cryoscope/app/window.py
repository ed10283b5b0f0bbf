"""The window: napari's viewer with our docks, menus, drag and drop, and a clean way out."""

from __future__ import annotations

import threading
from itertools import pairwise
from pathlib import Path
from typing import Any

from napari import Viewer
from napari.settings import get_settings
from qtpy.QtCore import QEvent, QObject, QSize, Qt, Signal
from qtpy.QtGui import QIcon
from qtpy.QtWidgets import (
    QApplication,
    QDockWidget,
    QLabel,
    QMainWindow,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from cryoscope.app import dialogs, theme
from cryoscope.app.appearance import Appearance
from cryoscope.app.dock_tabs import hide_spare_tabs
from cryoscope.app.drops import drop_words
from cryoscope.app.layer_controls import make_when_seen
from cryoscope.app.widgets.scrolling import scrolling
from cryoscope.session.shipped import icon_path

NAPARI_DOCKS = ("layer list", "layer controls")
DOCKS = (
    ("project", "Training", Qt.DockWidgetArea.LeftDockWidgetArea),
    ("checking", "Check data", Qt.DockWidgetArea.LeftDockWidgetArea),
    ("runs", "Runs", Qt.DockWidgetArea.LeftDockWidgetArea),
    ("latent", "Latent space", Qt.DockWidgetArea.RightDockWidgetArea),
    ("state", "State in the 3-D view", Qt.DockWidgetArea.BottomDockWidgetArea),
    ("trajectories", "Trajectories", Qt.DockWidgetArea.BottomDockWidgetArea),
    ("structure", "Structure", Qt.DockWidgetArea.BottomDockWidgetArea),
    ("log", "Log", Qt.DockWidgetArea.BottomDockWidgetArea),
    ("landscape", "Landscape", Qt.DockWidgetArea.LeftDockWidgetArea),
)


class CryoscopeWindow(QObject):
    """An empty window at first, so that it is painted early; :meth:`fill` brings the panels.

    Signals
    -------
    closed ()
        The session has been closed and the window is gone.
    """

    closed = Signal()
    _session_closed = Signal()

    def __init__(self, demo_folder: Path) -> None:
        super().__init__()
        self._demo_folder = demo_folder
        self.session: Any = None
        self._saving, self._done = False, False
        self.palette: Any = None
        self.tour: Any = None
        before = set(QApplication.topLevelWidgets()) if QApplication.instance() else set()
        self.viewer = Viewer(title="Cryoscope", ndisplay=3, show=False, show_welcome_screen=False)
        self.main: QMainWindow = next(
            widget
            for widget in QApplication.topLevelWidgets()
            if isinstance(widget, QMainWindow) and widget not in before
        )
        self.main.setWindowIcon(QIcon(str(icon_path())))
        self._session_closed.connect(self._close_for_good, Qt.ConnectionType.QueuedConnection)
        self._tidy_napari()
        self.docks = {name: self._add_dock(name, title, area) for name, title, area in DOCKS}
        self._tab_docks()
        self.appearance = Appearance(self)
        self.main.installEventFilter(self)

    def show(self) -> None:
        """Show the window: with the size it had last, or one that suits most screens."""
        first = get_settings().application.first_time
        self.viewer.window.show()
        room = self.main.screen().availableGeometry()
        size = QSize(*theme.WINDOW_SIZE_PX) if first else self.main.size()
        # The size of last time may be that of another screen.
        self.main.resize(size.boundedTo(room.size()))
        if not room.contains(self.main.geometry()):
            self.main.move(room.topLeft())
        self.arrange()
        hide_spare_tabs(self.main)

    def arrange(self) -> None:
        """Give the latent plot its share of the window's width."""
        self.main.resizeDocks(
            [self.docks["project"], self.docks["latent"]],
            [theme.LEFT_WIDTH_PX, round(theme.RIGHT_SHARE * self.main.width())],
            Qt.Orientation.Horizontal,
        )

    def fill(self, session: Any) -> None:
        """Make the panels and connect them with ``session``."""
        from cryoscope.app.cell_badges import CellBadges
        from cryoscope.app.extension_panels import add_extension_panels
        from cryoscope.app.menus import add_menus
        from cryoscope.app.project_desk import ProjectDesk
        from cryoscope.app.session_view import SessionView
        from cryoscope.app.status_line import StatusLine

        self.session = session
        self.view = SessionView(session, self.viewer, self._demo_folder, self)
        self.bridge, self.napari_bridge = self.view.bridge, self.view.napari_bridge
        self.project = self.view.panel("project")
        self.training = self.view.panel("training")
        self.latent = self.view.panel("latent")
        self.selections = self.view.panel("selections")
        self.state = self.view.panel("state")
        self.checking = self.view.panel("checking")
        self.trajectories = self.view.panel("trajectories")
        self.structure = self.view.panel("structure")
        self.runs = self.view.panel("runs")
        self.landscape = self.view.panel("landscape")
        self.marker, self.backbone_colours = self.view.marker, self.view.backbone_colours
        self.status = StatusLine(session, self.bridge)
        self.label = QLabel(self.main.centralWidget())
        self.label.setProperty("role", "view")
        self.label.setStyleSheet(theme.STYLE)
        self.label.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.label.move(*theme.VIEW_LABEL_AT_PX)
        self.label.show()
        self.badges = CellBadges(session, self.bridge, self.view.kept_layers, self.label)
        self._put("project", (scrolling(self.project, self.training), 1))
        self._put("latent", (self.latent, 1), self.selections)
        self._put("state", self.state)
        self._put("trajectories", (self.trajectories, 1))
        self._put("structure", (self.structure, 1))
        self._put("checking", (self.checking, 1))
        self.main.statusBar().addWidget(self.status, 1)
        self.napari_bridge.labelled.connect(self._label_view)
        self.view.follow()
        self.bridge.watch("particles", self._name_window)
        self._put("runs", (scrolling(self.runs), 1))
        self._put("landscape", (scrolling(self.landscape), 1))
        add_extension_panels(self)
        self.desk = ProjectDesk(self)
        add_menus(self)

    def add_panel(
        self, name: str, title: str, area: Qt.DockWidgetArea, widget: QWidget, *, beside: str = ""
    ) -> None:
        """Dock one more panel; ``beside`` names the dock whose place it shares, as a tab."""
        dock = self.docks[name] = self._add_dock(name, title, area)
        self._put(name, (widget, 1))
        if beside:
            self.main.tabifyDockWidget(self.docks[beside], dock)
            dock.setTitleBarWidget(QWidget())  # its tab is its title
            self.docks[beside].raise_()

    def open_paths(self, paths: list[Path]) -> None:
        """Open files or run folders."""
        from cryoscope.session import actions

        if paths and self.session is not None:
            actions.open_files(self.session, paths)

    # Closing, and dropping files

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Take dropped files; let the session end well before the window closes."""
        kind = event.type()
        if kind == QEvent.Type.Close:
            return self._closing(event)
        if kind in (QEvent.Type.DragEnter, QEvent.Type.DragMove) and event.mimeData().hasUrls():
            event.acceptProposedAction()
            if kind == QEvent.Type.DragEnter and self.session is not None:
                self.status.say(drop_words(event.mimeData().urls()))
            return True
        if kind == QEvent.Type.Drop and event.mimeData().hasUrls():
            event.acceptProposedAction()
            urls = [url for url in event.mimeData().urls() if url.isLocalFile()]
            self.open_paths([Path(url.toLocalFile()) for url in urls])
            return True
        return super().eventFilter(watched, event)

    def _closing(self, event: QEvent) -> bool:
        if self._done or self.session is None:
            return False
        event.ignore()
        run = self.session.run
        training = run is not None and run.trains_here
        if not self._saving and (not training or dialogs.confirm_close(self.main)):
            self.shut_down()
        return True

    def shut_down(self) -> None:
        """End the session in the background (a checkpoint is saved), then close the window."""
        from cryoscope.session import actions

        self._saving = True
        self.desk.close()
        self.status.say("Saving and closing…")
        self.main.setEnabled(False)

        def end() -> None:
            try:
                actions.close(self.session)
            finally:
                self._session_closed.emit()

        threading.Thread(target=end, name="closing", daemon=True).start()

    def _close_for_good(self) -> None:
        self._done = True
        self.appearance.close()
        self.badges.close()
        self.view.close()
        self.main.removeEventFilter(self)
        self.viewer.close()
        self.closed.emit()

    # Making the window

    def _tidy_napari(self) -> None:
        # Drops go to the main window: napari's own viewer would hand .star files to its readers.
        self.main.setAcceptDrops(True)
        self.main.centralWidget().setAcceptDrops(False)
        for child in self.main.centralWidget().findChildren(QWidget):
            child.setAcceptDrops(False)
        for dock in self.main.findChildren(QDockWidget):
            if dock.objectName() in NAPARI_DOCKS or dock.windowTitle() in NAPARI_DOCKS:
                dock.hide()
                make_when_seen(self.viewer, dock)
        # napari's status line speaks of layers and pixels; ours takes its place.
        bar = self.main.statusBar()
        for child in bar.findChildren(QWidget, options=Qt.FindChildOption.FindDirectChildrenOnly):
            bar.removeWidget(child)
        for corner, area in (
            (Qt.Corner.BottomLeftCorner, Qt.DockWidgetArea.LeftDockWidgetArea),
            (Qt.Corner.BottomRightCorner, Qt.DockWidgetArea.RightDockWidgetArea),
        ):
            self.main.setCorner(corner, area)
        self.main.setMinimumSize(*theme.SMALLEST_WINDOW_PX)

    def _add_dock(self, name: str, title: str, area: Qt.DockWidgetArea) -> QDockWidget:
        # Docks of our own, not napari's: those are deleted by their close button.
        dock = QDockWidget(title, self.main)
        dock.setObjectName(f"cryoscope {name}")
        heading = QLabel(title)
        heading.setProperty("role", "title")
        heading.setStyleSheet(theme.STYLE)
        dock.setTitleBarWidget(heading)
        holder = QWidget()
        holder.setStyleSheet(theme.STYLE)
        layout = QVBoxLayout(holder)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        if area == Qt.DockWidgetArea.LeftDockWidgetArea:
            holder.setMinimumWidth(theme.LEFT_WIDTH_PX)
        elif area == Qt.DockWidgetArea.RightDockWidgetArea:
            holder.setMinimumWidth(theme.RIGHT_WIDTH_PX)
        dock.setWidget(holder)
        self.main.addDockWidget(area, dock)
        return dock

    def _tab_docks(self) -> None:
        """Docks that are used one at a time share one place; their tabs are above them."""
        self.main.setTabPosition(Qt.DockWidgetArea.LeftDockWidgetArea, QTabWidget.TabPosition.North)
        self.main.tabifyDockWidget(self.docks["project"], self.docks["checking"])
        self.main.tabifyDockWidget(self.docks["checking"], self.docks["runs"])
        self.main.tabifyDockWidget(self.docks["runs"], self.docks["landscape"])
        self.docks["project"].raise_()
        self.main.setTabPosition(
            Qt.DockWidgetArea.BottomDockWidgetArea, QTabWidget.TabPosition.North
        )
        below = ("state", "trajectories", "structure", "log")
        for first, second in pairwise(below):
            self.main.tabifyDockWidget(self.docks[first], self.docks[second])
        for name in ("project", "checking", "runs", "landscape", *below):
            self.docks[name].setTitleBarWidget(QWidget())  # its tab is its title
        self.docks["state"].raise_()

    def _put(self, name: str, *widgets: QWidget | tuple[QWidget, int]) -> None:
        layout = self.docks[name].widget().layout()
        for one in widgets:
            widget, stretch = one if isinstance(one, tuple) else (one, 0)
            layout.addWidget(widget, stretch)

    def _label_view(self, text: str) -> None:
        self.label.setText(text)
        self.label.adjustSize()

    def _name_window(self, particles: Any) -> None:
        self.viewer.title = "Cryoscope" if particles is None else f"{particles.file} – Cryoscope"
