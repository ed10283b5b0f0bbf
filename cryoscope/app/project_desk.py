"""The open project in the window: its name, its layout and cameras, and the log of what happens."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QElapsedTimer, QEvent, QObject, Qt, QTimer
from qtpy.QtWidgets import QMessageBox

from cryoscope.app.dock_tabs import hide_spare_tabs
from cryoscope.session import actions
from cryoscope.session.project_records import WindowState

if TYPE_CHECKING:
    from cryoscope.app.window import CryoscopeWindow

#: How often the window is looked at for a project, and how long a saved camera waits for its map.
LOOK_MS, CAMERA_WAITS_MS = 1500, 30_000
LAYOUT_VERSION = 1


class ProjectDesk(QObject):
    """Brings the window back as an opened project had it, and lets the project remember it."""

    def __init__(self, window: CryoscopeWindow) -> None:
        super().__init__(window)
        self._window, self._session = window, window.session
        self._applied: Any = None
        self._camera: dict[str, tuple[float, ...]] = {}
        self._decoded = False
        self._since_opened, self._closed = QElapsedTimer(), False
        self._timer = QTimer(self)
        self._timer.setInterval(LOOK_MS)
        self._timer.timeout.connect(self.keep_window)
        self.log = window.view.panel("log")
        window.docks["log"].widget().layout().addWidget(self.log, 1)
        window.docks["log"].visibilityChanged.connect(lambda _seen: self.log.refresh())
        window.napari_bridge.drawn.connect(self._drawn)
        window.bridge.watch("project", self._show_project)
        window.bridge.watch("particles", lambda _value: self._name_window())
        window.bridge.watch("notice", self._lead_to_log, every=True)
        window.status.message.setCursor(Qt.CursorShape.PointingHandCursor)
        window.status.message.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """A click on the line of messages shows the log."""
        if event.type() == QEvent.Type.MouseButtonRelease:
            self.show_log()
        return super().eventFilter(watched, event)

    def show_log(self) -> None:
        """Show the log, at the last thing that went wrong."""
        dock = self._window.docks["log"]
        dock.show()
        dock.raise_()
        self.log.show_last_problem()

    def keep_window(self) -> None:
        """Let the open project remember how the window looks now."""
        if self._session.project is None or self._closed or self._waiting():
            return
        actions.keep_window(self._session, self.window_state())

    def close(self) -> None:
        """Let the project remember the window for the last time."""
        self.keep_window()
        self._timer.stop()
        self._closed = True

    def window_state(self) -> WindowState:
        """Where the docks and the cameras are."""
        window, canvas = self._window, self._window.latent.canvas
        camera = window.viewer.scene.camera
        numbers: dict[str, tuple[float, ...]] = {
            "camera_angles": tuple(float(value) for value in camera.angles),
            "camera_center": tuple(float(value) for value in camera.center),
            "camera_zoom": (float(camera.zoom),),
            "camera_perspective": (float(camera.perspective),),
            "surfaces": (
                float(window.state.backbone.isChecked()),
                float(window.state.density.isChecked()),
            ),
        }
        if not canvas.follows_data:
            numbers["latent_bounds"] = tuple(float(value) for value in canvas.bounds)
        layout = {
            "state": bytes(window.main.saveState(LAYOUT_VERSION)),
            "geometry": bytes(window.main.saveGeometry()),
        }
        return WindowState(layout, numbers)

    def _show_project(self, project: Any) -> None:
        self._name_window()
        if project is None:
            self._timer.stop()
            return
        if project.window is not None and project.window is not self._applied:
            self._applied = project.window
            self._apply(project.window)
        if not self._timer.isActive() and not self._closed:
            self._timer.start()
            self.keep_window()

    def _name_window(self) -> None:
        project = self._session.project
        if project is not None:
            self._window.viewer.title = f"{project.name} – Cryoscope"
        elif self._session.particles is None:
            self._window.viewer.title = "Cryoscope"
        else:
            self._window.viewer.title = f"{self._session.particles.file} – Cryoscope"

    def _apply(self, state: WindowState) -> None:
        window = self._window
        if geometry := state.layout.get("geometry"):
            window.main.restoreGeometry(geometry)
        if docks := state.layout.get("state"):
            window.main.restoreState(docks, LAYOUT_VERSION)
            hide_spare_tabs(window.main)
        numbers = dict(state.numbers)
        if len(shown := numbers.pop("surfaces", ())) == 2:
            window.state.backbone.setChecked(bool(shown[0]))
            window.state.density.setChecked(bool(shown[1]))
        bounds = numbers.pop("latent_bounds", ())
        if len(bounds) == 4 and bounds[0] < bounds[1] and bounds[2] < bounds[3]:
            canvas = window.latent.canvas
            canvas.follows_data = False
            canvas.set_bounds((bounds[0], bounds[1], bounds[2], bounds[3]))
            canvas.request_picture()
        elif not window.latent.canvas.follows_data:
            window.latent.canvas.fit()
        self._camera = numbers
        self._since_opened.start()
        self._point_camera()
        if self._decoded:
            self._camera = {}

    def _waiting(self) -> bool:
        """Whether the camera of an opened project still waits for what it looks at."""
        if self._camera and self._since_opened.elapsed() > CAMERA_WAITS_MS:
            self._camera = {}
        return bool(self._camera)

    def _drawn(self, state: Any) -> None:
        # The first look at a molecule moves the camera: the saved one comes after it.
        self._decoded = state is not None and (state.request_id > 0 or self._session.run is None)
        if state is None or not self._waiting():
            return
        self._point_camera()
        if self._decoded:
            self._camera = {}

    def _point_camera(self) -> None:
        camera, saved = self._window.viewer.scene.camera, self._camera
        angles, center = saved.get("camera_angles", ()), saved.get("camera_center", ())
        zoom, perspective = saved.get("camera_zoom", ()), saved.get("camera_perspective", ())
        if len(angles) == 3:
            camera.angles = angles
        if len(center) == 3:
            camera.center = center
        if len(zoom) == 1 and math.isfinite(zoom[0]) and zoom[0] > 0:
            camera.zoom = zoom[0]
        if len(perspective) == 1 and 0 <= perspective[0] < 180:
            camera.perspective = perspective[0]

    def _lead_to_log(self, notice: Any) -> None:
        """A dialog about an error has a button to the log."""
        box = self._window.status.error_box
        if notice is None or notice.level != "error" or box is None:
            return
        button = box.addButton("Show log", QMessageBox.ButtonRole.ActionRole)
        button.clicked.connect(lambda _checked=False: self.show_log())
