"""The state in the 3-D view: its surface level, its colours, and trajectories out of it."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QGridLayout,
    QHBoxLayout,
    QPushButton,
    QSpinBox,
    QWidget,
)

from cryoscope.app import dialogs, theme
from cryoscope.app.qt_bridge import QtBridge
from cryoscope.app.widgets.colour_bar import ColourBar
from cryoscope.app.widgets.contour_control import ContourControl
from cryoscope.app.widgets.scene_row import SceneRow
from cryoscope.session import actions


class StatePanel(QWidget):
    """Controls of the 3-D view.

    Signals
    -------
    visibility_changed (backbone, density)
        Which of the two surfaces to show.
    camera_reset ()
        Look at everything again.
    """

    visibility_changed = Signal(bool, bool)
    camera_reset = Signal()

    def __init__(self, session: Any, bridge: QtBridge) -> None:
        super().__init__()
        self._session = session
        self.contour = ContourControl()
        self.slider, self.slider_label = self.contour.slider, self.contour.label
        self.contour.slid.connect(lambda sigma: actions.slide_contour(session, sigma))
        self.contour.entered.connect(self._enter_level)
        self.contour.hold_chosen.connect(lambda hold: actions.hold_contour(session, hold))
        self._make_view()
        self._make_trajectory()
        self.colour_bar = ColourBar(theme.displacement_colours(), "displacement (Å)")
        self.colour_bar.setToolTip(
            "Colours of the backbone: how far each residue lies from the reference structure"
        )
        self.scene = SceneRow(session, bridge)
        grid = QGridLayout(self)
        grid.setContentsMargins(
            theme.MARGIN_PX, theme.SPACING_PX, theme.MARGIN_PX, theme.SPACING_PX
        )
        grid.setHorizontalSpacing(theme.SPACING_PX * 2)
        grid.setVerticalSpacing(4)
        grid.addWidget(self.backbone, 0, 0)
        grid.addWidget(self.density, 1, 0)
        grid.addWidget(self.contour, 0, 1, 2, 1)
        grid.addWidget(self.colour_bar, 0, 2, 2, 1)
        grid.setColumnStretch(1, 3)
        grid.setColumnStretch(2, 2)
        below = QHBoxLayout()
        below.setSpacing(theme.SPACING_PX)
        below.addWidget(self.reset)
        below.addStretch(1)
        for widget in (self.component, self.frames, self.trajectory):
            below.addWidget(widget)
        grid.addWidget(self.scene, 2, 0, 1, 3)
        grid.addLayout(below, 3, 0, 1, 3)
        grid.setRowStretch(4, 1)
        bridge.watch("contours", lambda _value: self._refresh())
        bridge.watch("shown", lambda _value: self._refresh())
        bridge.watch("run", lambda _value: self._refresh())
        bridge.watch("latents", lambda _value: self._refresh())

    def _make_view(self) -> None:
        self.backbone, self.density = QCheckBox("Backbone"), QCheckBox("Density")
        self.backbone.setToolTip("The deformed backbone, coloured by how far it moved")
        self.density.setToolTip(
            "The surface of the map; its colour says whether it was decoded or reconstructed"
        )
        for box in (self.backbone, self.density):
            box.setChecked(True)
            box.toggled.connect(
                lambda _on: self.visibility_changed.emit(
                    self.backbone.isChecked(), self.density.isChecked()
                )
            )
        self.reset = QPushButton("Reset view")
        self.reset.setToolTip("Look at the whole molecule again")
        self.reset.clicked.connect(self.camera_reset)

    def _make_trajectory(self) -> None:
        self.component, self.frames = QSpinBox(), QSpinBox()
        self.component.setPrefix("along PC")
        self.component.setRange(1, 1)
        self.component.setToolTip("Principal component of the latents that the path follows")
        self.frames.setRange(2, 200)
        self.frames.setValue(10)
        self.frames.setSuffix(" frames")
        self.frames.setToolTip("States written, from the 5th to the 95th percentile")
        self.trajectory = QPushButton("Export trajectory…")
        self.trajectory.clicked.connect(self.ask_trajectory)

    def set_backbone_scale(self, title: str, maximum: float) -> None:
        """What the colours of the backbone mean, up to the value at the right end of the bar."""
        self.colour_bar.title = title
        self.colour_bar.set_maximum(maximum)

    def ask_trajectory(self) -> None:
        """Ask where, and write the states along a principal component there."""
        run, component = self._session.run, self.component.value()
        suggestion = f"trajectory-PC{component}.pdb"
        if run is not None:
            suggestion = str(run.folder / suggestion)
        path = dialogs.ask_save(self, "Export trajectory", suggestion, dialogs.TRAJECTORY_FILTER)
        if path is not None:
            actions.export_trajectory(
                self._session, path, component=component, frames=self.frames.value()
            )

    def _enter_level(self, amount: float) -> None:
        held = actions.shown_contour(self._session).hold
        held = "sigma" if held == "auto" else held
        actions.set_contour(self._session, amount, held)

    def _refresh(self) -> None:
        shown, run = self._session.shown, self._session.run
        self.contour.show_contour(actions.shown_contour(self._session), shown)
        for widget in (self.backbone, self.density, self.reset):
            widget.setEnabled(shown is not None)
        maps_only = shown is not None and len(shown.coords_A) == 0
        for widget in (self.backbone, self.colour_bar):
            widget.setVisible(not maps_only)
        latents = self._session.latents
        if latents is not None:
            self.component.setMaximum(latents.z.shape[1])
        why = ""
        if latents is None:
            why = "Available once a run has latents"
        elif not_now := actions.why_not_decode(self._session):
            why = not_now
        elif maps_only and run.reference is None:
            why = "This run has no atoms: its states are maps"
        for widget in (self.trajectory, self.component, self.frames):
            widget.setEnabled(not why)
        self.trajectory.setToolTip(
            why or "Write states along a principal component as a multi-model PDB or mmCIF file"
        )
