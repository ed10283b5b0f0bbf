"""The state in the 3-D view: its surface level, its colours, and trajectories out of it."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSlider,
    QSpinBox,
    QWidget,
)

from cryoscope.app import dialogs, theme
from cryoscope.app.qt_bridge import QtBridge
from cryoscope.app.widgets.colour_bar import ColourBar
from cryoscope.session import actions

STEPS_PER_SIGMA = 20
LOWEST_SIGMA, HIGHEST_SIGMA = 0.5, 12.0
SETTLE_MS = 60


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
        self._make_level()
        self._make_view()
        self._make_trajectory()
        self.colour_bar = ColourBar(theme.displacement_colours(), "displacement (Å)")
        self.colour_bar.setToolTip(
            "Colours of the backbone: how far each residue lies from the reference structure"
        )
        grid = QGridLayout(self)
        grid.setContentsMargins(
            theme.MARGIN_PX, theme.SPACING_PX, theme.MARGIN_PX, theme.SPACING_PX
        )
        grid.setHorizontalSpacing(theme.SPACING_PX * 2)
        grid.setVerticalSpacing(4)
        grid.addWidget(self.backbone, 0, 0)
        grid.addWidget(self.density, 1, 0)
        grid.addWidget(self.slider_label, 0, 1)
        grid.addWidget(self.slider, 1, 1)
        grid.addWidget(self.colour_bar, 0, 2, 2, 1)
        grid.setColumnStretch(1, 3)
        grid.setColumnStretch(2, 2)
        below = QHBoxLayout()
        below.setSpacing(theme.SPACING_PX)
        below.addWidget(self.reset)
        below.addStretch(1)
        for widget in (self.component, self.frames, self.trajectory):
            below.addWidget(widget)
        grid.addLayout(below, 2, 0, 1, 3)
        bridge.watch("iso_sigma", self._refresh_sigma)
        bridge.watch("shown", lambda _value: self._refresh())
        bridge.watch("run", lambda _value: self._refresh())
        bridge.watch("latents", lambda _value: self._refresh())

    def _make_level(self) -> None:
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(
            round(LOWEST_SIGMA * STEPS_PER_SIGMA), round(HIGHEST_SIGMA * STEPS_PER_SIGMA)
        )
        self.slider.setMinimumWidth(120)
        self.slider.setAccessibleName("Surface level in standard deviations of the map")
        self.slider.valueChanged.connect(self._slid)
        self.slider_label = QLabel()
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(SETTLE_MS)
        self._settle.timeout.connect(self._set_sigma)

    def _make_view(self) -> None:
        self.backbone, self.density = QCheckBox("Backbone"), QCheckBox("Density")
        self.backbone.setToolTip("The deformed backbone, coloured by how far it moved")
        self.density.setToolTip("The surface of the density decoded by the model")
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

    def set_displacement_range(self, maximum_A: float) -> None:
        """The displacement at the right end of the colour bar."""
        self.colour_bar.set_maximum(maximum_A)

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

    def _slid(self, _position: int) -> None:
        self._write_level(self.slider.value() / STEPS_PER_SIGMA, None)
        if not self._settle.isActive():
            self._settle.start()

    def _set_sigma(self) -> None:
        actions.set_iso_sigma(self._session, self.slider.value() / STEPS_PER_SIGMA)

    def _refresh_sigma(self, sigma: float) -> None:
        if not self.slider.isSliderDown() and not self._settle.isActive():
            self.slider.blockSignals(True)
            self.slider.setValue(round(sigma * STEPS_PER_SIGMA))
            self.slider.blockSignals(False)
        self._refresh()

    def _write_level(self, sigma: float, level: float | None) -> None:
        absolute = "" if level is None else f"  ({level:.3g})"
        self.slider_label.setText(f"Surface level {sigma:.2f} σ{absolute}")

    def _refresh(self) -> None:
        shown, run = self._session.shown, self._session.run
        has_map = shown is not None and shown.density is not None
        self.slider.setEnabled(has_map)
        tip = "Lower shows more density. σ is the standard deviation of the map"
        self.slider.setToolTip(tip if has_map else "There is no density yet")
        sigma = self.slider.value() / STEPS_PER_SIGMA
        self._write_level(sigma, shown.level if has_map else None)
        for widget in (self.backbone, self.density, self.reset):
            widget.setEnabled(shown is not None)
        latents = self._session.latents
        if latents is not None:
            self.component.setMaximum(latents.z.shape[1])
        why = ""
        if latents is None:
            why = "Available once a run has latents"
        elif run is None or not run.ready:
            why = "Available while a run trains, or after opening one"
        for widget in (self.trajectory, self.component, self.frames):
            widget.setEnabled(not why)
        self.trajectory.setToolTip(
            why or "Write states along a principal component as a multi-model PDB or mmCIF file"
        )
