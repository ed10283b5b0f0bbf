"""Cryoscope inside a napari window that is somebody else's: one session per viewer.

The napari plugin is made of this: holders of our panels that napari may dock, close and open again,
and a clean end when the viewer closes. Panels outlive the docks that show them.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from napari.utils import notifications
from napari.utils.theme import get_theme
from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtGui import QTextDocumentFragment
from qtpy.QtWidgets import (
    QApplication,
    QDockWidget,
    QMainWindow,
    QScrollArea,
    QSizePolicy,
    QStyle,
    QVBoxLayout,
    QWidget,
)

from cryoscope.app import dialogs, theme
from cryoscope.app.napari_bridge import EMPTY_TEXT
from cryoscope.app.session_view import SessionView
from cryoscope.app.widgets.job_line import JobLine
from cryoscope.session import Session, actions
from cryoscope.session.extensions import tell_broken

DEMO_FOLDER = "cryoscope-demo"
#: What each widget of the plugin holds (panel and stretch), and where it is docked at first.
WIDGETS: dict[str, tuple[tuple[tuple[str, int], ...], Qt.DockWidgetArea]] = {
    "project": ((("project", 0), ("training", 1)), Qt.DockWidgetArea.LeftDockWidgetArea),
    "latent": ((("latent", 1), ("selections", 0)), Qt.DockWidgetArea.RightDockWidgetArea),
    "state": ((("state", 0),), Qt.DockWidgetArea.BottomDockWidgetArea),
    "trajectories": ((("trajectories", 1),), Qt.DockWidgetArea.BottomDockWidgetArea),
    "structure": ((("structure", 1),), Qt.DockWidgetArea.BottomDockWidgetArea),
    "checking": ((("checking", 1),), Qt.DockWidgetArea.LeftDockWidgetArea),
    "runs": ((("runs", 1),), Qt.DockWidgetArea.LeftDockWidgetArea),
    "landscape": ((("landscape", 1),), Qt.DockWidgetArea.LeftDockWidgetArea),
    "log": ((("log", 1),), Qt.DockWidgetArea.BottomDockWidgetArea),
    "extensions": ((("extensions", 1),), Qt.DockWidgetArea.BottomDockWidgetArea),
}
#: napari's dock whose place our panels share: three below each other have no room.
SHARED_DOCK = "layer controls"
LABEL_PT, LEAST_HEIGHT_PX = 9, 76
#: Part of the window's height for the panels at the bottom, where there is that much.
BOTTOM_SHARE = 0.22
_attachments: dict[int, Attachment] = {}


def attach(viewer: Any) -> Attachment:
    """The session of a viewer with what shows it; begun when first asked for."""
    # Plugins are given a proxy of the viewer, a new one each time.
    viewer = getattr(viewer, "__wrapped__", viewer)
    if id(viewer) not in _attachments:
        _attachments[id(viewer)] = Attachment(viewer)
    return _attachments[id(viewer)]


class PanelHolder(QWidget):
    """Holds panels while it is docked, and gives them back when its dock is closed.

    Parameters
    ----------
    napari_viewer
        The viewer it belongs to.
    name
        One of :data:`WIDGETS`.
    """

    def __init__(self, napari_viewer: Any, name: str) -> None:
        super().__init__()
        self._attachment, self.name = attach(napari_viewer), name
        # Panels are made for a window of their own; beside other docks they may have to scroll.
        scroll, inside = QScrollArea(), QWidget()
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(inside)
        self._layout, outer = QVBoxLayout(inside), QVBoxLayout(self)
        outer.addWidget(scroll)
        for layout in (self._layout, outer):
            layout.setContentsMargins(0, 0, 0, 0)
            layout.setSpacing(0)
        self._inside = inside
        self._docked = False
        self._dock: QDockWidget | None = None
        # Else napari puts an empty stretch below.
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        self._take_panels()

    def event(self, event: QEvent) -> bool:
        """Follow the dock: napari takes a widget out of a dock that it closes."""
        if event.type() == QEvent.Type.ParentChange:
            if self.parent() is not None:
                self._docked = True
                self._take_panels()
            elif self._docked:
                self._docked, self._dock = False, None
                self._attachment.store(self.name)
        elif event.type() == QEvent.Type.Show:
            self._attachment.watch_window_of(self)
            self._watch_dock()
        return bool(super().event(event))

    def dress(self) -> None:
        """Take our style, over that of napari's theme."""
        self.setStyleSheet(theme.STYLE)

    def _watch_dock(self) -> None:
        """A log behind other docks is not kept up to date: it is when it comes to the front."""
        dock = self.parentWidget()
        while dock is not None and not isinstance(dock, QDockWidget):
            dock = dock.parentWidget()
        if self.name == "log" and dock is not None and dock is not self._dock:
            self._dock = dock
            dock.visibilityChanged.connect(self._attachment.refresh_log)

    def _take_panels(self) -> None:
        self.dress()
        for name, stretch in WIDGETS[self.name][0]:
            panel = self._attachment.view.panel(name)
            if panel.parent() is not self._inside:
                self._layout.addWidget(panel, stretch)
                panel.show()
        bar = self.style().pixelMetric(QStyle.PixelMetric.PM_ScrollBarExtent)
        least = self._inside.minimumSizeHint()
        self.setMinimumSize(least.width() + bar, min(least.height(), LEAST_HEIGHT_PX))


class Attachment(QObject):
    """A session, its view in a viewer, and their end.

    Attributes
    ----------
    session, view
        What is open, and what shows it.
    work
        What goes on in the background, in napari's status bar: seen whichever docks are open.
    """

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = viewer
        self._main: QWidget | None = None
        self._closed = False
        self.session = Session()
        self.view = SessionView(self.session, viewer, (Path.cwd() / DEMO_FOLDER).absolute(), self)
        # Panels without a dock wait here, so that they are not windows of their own.
        self._shelf = QWidget()
        self.work = JobLine(self.session, self.view.bridge)
        self.work.setParent(self._shelf)
        self.work.cancelled.connect(lambda text: notifications.show_info(f"Cancelled: {text}"))
        self._follow_theme()
        viewer.events.theme.connect(self._follow_theme)
        self.view.napari_bridge.labelled.connect(self._label)
        self.view.bridge.watch("notice", self._tell, every=True)
        self.view.follow()
        tell_broken(self.session)
        QApplication.instance().aboutToQuit.connect(self.close)

    def watch_window_of(self, widget: QWidget | None) -> None:
        """End with the main window that a widget is in."""
        while widget is not None and not isinstance(widget, QMainWindow):
            widget = widget.parentWidget()
        if self._main is None and widget is not None and not self._closed:
            self._main = widget
            widget.installEventFilter(self)
            widget.statusBar().addPermanentWidget(self.work)
            self.work.show()

    def store(self, widget: str) -> None:
        """Keep the panels of a widget that is no longer docked."""
        if self._closed:
            return
        for name, _stretch in WIDGETS[widget][0]:
            panel = self.view.panel(name)
            panel.hide()
            panel.setParent(self._shelf)

    def refresh_log(self, seen: bool) -> None:
        """Bring the log up to date; its dock has come to the front, or gone behind others."""
        if seen and not self._closed:
            self.view.panel("log").refresh()

    def place(self, widget: str, dock: QDockWidget) -> None:
        """Put a dock that napari has just made where that widget is at home."""
        self.watch_window_of(dock)
        if self._main is None:
            return
        area = WIDGETS[widget][1]
        beside = [
            one
            for one in self._main.findChildren(QDockWidget)
            if one is not dock
            and one.isVisible()
            and (isinstance(one.widget(), PanelHolder) or one.windowTitle() == SHARED_DOCK)
            and self._main.dockWidgetArea(one) == area
        ]
        self._main.addDockWidget(area, dock)
        if beside:
            self._main.tabifyDockWidget(beside[0], dock)
        dock.show()
        if area == Qt.DockWidgetArea.BottomDockWidgetArea and not beside:
            height = round(BOTTOM_SHARE * self._main.height())
            self._main.resizeDocks([dock], [height], Qt.Orientation.Vertical)

    def eventFilter(self, _watched: QObject, event: QEvent) -> bool:
        """Ask before a window with a run closes; end the session before Qt deletes the panels."""
        kind = event.type()
        if self._closed:
            return False
        if kind == QEvent.Type.Close and event.spontaneous() and not self._may_close():
            event.ignore()
            return True
        if kind == QEvent.Type.DeferredDelete:
            self._end()  # which keeps the window's Python object until the event is over
        return False

    def close(self) -> None:
        """End the session, with a checkpoint if it trains, and let go of the viewer; once.

        The checkpoint is written by a thread that the program waits for when it ends.
        """
        self._end()
        # PyQt deletes a window with its Python object, which holders of panels would keep.
        self._main = None

    def _end(self) -> None:
        if self._closed:
            return
        self._closed = True
        _attachments.pop(id(self._viewer), None)
        self._viewer.events.theme.disconnect(self._follow_theme)
        self.view.close()
        session = self.session
        threading.Thread(target=lambda: actions.close(session), name="cryoscope closing").start()
        self.work.deleteLater()
        self._shelf.deleteLater()
        for panel in self.view.panels.values():
            panel.deleteLater()
        self.deleteLater()

    def _may_close(self) -> bool:
        run = self.session.run
        return run is None or not run.status.active or dialogs.confirm_close(self._main)

    def _follow_theme(self, _event: Any = None) -> None:
        theme.use(get_theme(self._viewer.theme).type)
        self.work.setStyleSheet(theme.STYLE)
        for holder in () if self._main is None else self._main.findChildren(PanelHolder):
            holder.dress()
        self.view.napari_bridge.retint()
        self.view.bridge.refresh()

    def _label(self, text: str) -> None:
        """Say over the view where the state comes from, as every map is to be labelled."""
        overlay = self._viewer.canvas.overlays.text
        # napari's overlay knows no HTML.
        plain = QTextDocumentFragment.fromHtml(text).toPlainText()
        overlay.text = "" if text == EMPTY_TEXT else plain
        overlay.position, overlay.font_size = "top_left", LABEL_PT
        overlay.visible = bool(overlay.text)

    def _tell(self, notice: Any) -> None:
        if notice is not None:
            getattr(notifications, f"show_{notice.level}")(notice.text)
