"""A session shown in a napari viewer, whoever's window that is: the one factory of its panels."""

from __future__ import annotations

import html
import textwrap
from pathlib import Path
from typing import Any

from napari import Viewer
from qtpy.QtCore import QObject
from qtpy.QtWidgets import QWidget

from cryoscope.app.extension_panels import ExtensionTabs
from cryoscope.app.kept_layers import KeptLayers
from cryoscope.app.napari_bridge import NapariBridge
from cryoscope.app.panels.checking import CheckingPanel
from cryoscope.app.panels.landscape import LandscapePanel
from cryoscope.app.panels.latent import LatentPanel
from cryoscope.app.panels.log import LogPanel
from cryoscope.app.panels.project import ProjectPanel
from cryoscope.app.panels.runs import RunsPanel
from cryoscope.app.panels.selections import SelectionsPanel
from cryoscope.app.panels.state import StatePanel
from cryoscope.app.panels.structure import StructurePanel
from cryoscope.app.panels.training import TrainingPanel
from cryoscope.app.panels.trajectories import TrajectoriesPanel
from cryoscope.app.qt_bridge import QtBridge
from cryoscope.app.residue_colours import BackboneColours
from cryoscope.app.residue_marker import ResidueMarker
from cryoscope.app.surface_look import SurfaceColours
from cryoscope.session import Session, actions

#: A state that is asked for through one of these fields is drawn at once.
ASKED_THROUGH = ("cursor_xy", "contours", "check", "structure", "landscape")
#: Characters in a line of what an empty view says: it must fit into a narrow one.
EMPTY_WIDTH = 52


class SessionView(QObject):
    """What shows one session in one viewer: layers, marks, and the panels that are asked for.

    A panel is made when it is first asked for and lives as long as the view; where it is docked,
    and whether, is up to the window. Our own window (:mod:`cryoscope.app.window`) and the napari
    plugin both take their panels from here.

    Parameters
    ----------
    viewer
        Any napari viewer; only its public parts are used.
    demo_folder
        Where the demo is written.

    Attributes
    ----------
    bridge
        From the session's events to the main thread.
    napari_bridge, marker, backbone_colours
        The layers of the viewer.
    """

    def __init__(
        self, session: Session, viewer: Viewer, demo_folder: Path, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self.session, self.viewer, self._demo_folder = session, viewer, demo_folder
        self.panels: dict[str, QWidget] = {}
        self._run_id = ""
        self.bridge = QtBridge(session, self)
        self.napari_bridge = NapariBridge(viewer, self)
        self.marker = ResidueMarker(session, self.bridge, self.napari_bridge)
        self.backbone_colours = BackboneColours(session, self.bridge, self.napari_bridge)
        self.surface_colours = SurfaceColours(session, self.bridge, self.napari_bridge)
        self.kept_layers = KeptLayers(session, self.bridge, self.napari_bridge)

    def panel(self, name: str) -> Any:
        """The panel of that name: ``project``, ``training``, ``latent``, ``selections``, ``state``,
        ``checking``, ``runs``, ``landscape``, ``trajectories``, ``structure``, ``log`` or
        ``extensions``; always the same one.
        """  # noqa: D205
        if name not in self.panels:
            self.panels[name] = getattr(self, f"_make_{name}")()
        return self.panels[name]

    def follow(self) -> None:
        """Draw the session in the viewer from now on."""
        for field in ASKED_THROUGH:
            self.bridge.watch(field, lambda _value: self.napari_bridge.touched())
        self.bridge.watch("shown", lambda _value: self._tell_why_empty())
        self.bridge.watch("shown", self.napari_bridge.offer, soon=True)
        self.bridge.watch("run", self._look_at_run)

    def close(self) -> None:
        """Let go of the session and the viewer; the layers stay."""
        self.bridge.close()
        if "latent" in self.panels:
            self.panels["latent"].close_threads()
        self.marker.close()
        self.kept_layers.close()
        self.napari_bridge.close()

    def _look_at_run(self, run: Any) -> None:
        run_id = "" if run is None else run.run_id
        if run_id != self._run_id:
            self._run_id = run_id
            self.napari_bridge.reset_range()
        self._tell_why_empty()

    def _tell_why_empty(self) -> None:
        lines = textwrap.wrap(actions.why_no_state(self.session), EMPTY_WIDTH)
        self.napari_bridge.set_empty_text("<br>".join(html.escape(line) for line in lines))

    def _make_project(self) -> ProjectPanel:
        return ProjectPanel(self.session, self.bridge, self._demo_folder)

    def _make_training(self) -> TrainingPanel:
        return TrainingPanel(self.session, self.bridge)

    def _make_latent(self) -> LatentPanel:
        return LatentPanel(self.session, self.bridge)

    def _make_selections(self) -> SelectionsPanel:
        return SelectionsPanel(self.session, self.bridge)

    def _make_checking(self) -> CheckingPanel:
        return CheckingPanel(self.session, self.bridge)

    def _make_state(self) -> StatePanel:
        panel = StatePanel(self.session, self.bridge)
        self.backbone_colours.scale_changed.connect(panel.set_backbone_scale)
        self.surface_colours.scale_changed.connect(panel.scene.set_surface_scale)
        self.backbone_colours.refresh()
        panel.camera_reset.connect(self.napari_bridge.fit_camera)
        panel.visibility_changed.connect(
            lambda backbone, density: self.napari_bridge.set_visible(
                backbone=backbone, density=density
            )
        )
        return panel

    def _make_runs(self) -> RunsPanel:
        return RunsPanel(self.session, self.bridge)

    def _make_log(self) -> LogPanel:
        return LogPanel(self.session, self.bridge)

    def _make_extensions(self) -> ExtensionTabs:
        return ExtensionTabs(self.session, self.bridge)

    def _make_landscape(self) -> LandscapePanel:
        return LandscapePanel(self.session, self.bridge)

    def _make_trajectories(self) -> TrajectoriesPanel:
        latent = self.panel("latent")
        panel = TrajectoriesPanel(self.session, self.bridge, latent.canvas)
        latent.tool_row.tool_chosen.connect(lambda _tool: panel.put_away())
        return panel

    def _make_structure(self) -> StructurePanel:
        panel = StructurePanel(self.session, self.bridge)
        self.marker.hovered.connect(panel.point_at)
        return panel
