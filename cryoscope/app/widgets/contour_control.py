"""The level of a surface: a slider in standard deviations, a number, and what is held."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QGridLayout, QLabel, QSlider, QWidget

from cryoscope.app import theme

STEPS_PER_SIGMA = 20
LOWEST_SIGMA, HIGHEST_SIGMA = 0.5, 12.0
SETTLE_MS = 60
SIDE_PX = 100
#: What is held from state to state: key, name, unit, decimals, largest number, step.
HOLDS = (
    ("auto", "auto σ", " σ", 2, 100.0, 0.1),
    ("sigma", "fix σ", " σ", 2, 100.0, 0.1),
    ("value", "fix value", "", 5, 1e9, 0.001),
    ("volume", "fix Å³", " Å³", 0, 1e12, 500.0),
)


class ContourControl(QWidget):
    """Shows and changes the contour of the map in view.

    Signals
    -------
    slid (sigma)
        The slider was moved there, in standard deviations of the map.
    entered (amount)
        A number was typed, in the unit of what is held.
    hold_chosen (hold)
        ``"sigma"``, ``"value"`` or ``"volume"`` shall stay the same from state to state; or
        ``"auto"``, nothing.
    """

    slid = Signal(float)
    entered = Signal(float)
    hold_chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.label = QLabel()
        self.label.setMinimumWidth(140)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(
            round(LOWEST_SIGMA * STEPS_PER_SIGMA), round(HIGHEST_SIGMA * STEPS_PER_SIGMA)
        )
        self.slider.setMinimumWidth(120)
        self.slider.setAccessibleName("Surface level in standard deviations of the map")
        self.slider.valueChanged.connect(self._moved)
        self.number = QDoubleSpinBox()
        self.number.setKeyboardTracking(False)
        self.number.setAccessibleName("Surface level")
        self.number.setToolTip("Level of the surface, in the unit chosen beside it")
        self.number.setFixedWidth(SIDE_PX)
        self.number.valueChanged.connect(lambda value: self.entered.emit(float(value)))
        self.hold = QComboBox()
        for key, name, *_ in HOLDS:
            self.hold.addItem(name, key)
        self.hold.setFixedWidth(SIDE_PX)
        self.hold.setToolTip(
            "What stays the same when another state is shown: the level in standard deviations\n"
            "of each map, the map value, or the volume inside the surface. Auto: a level\n"
            "that suits each map; where a model is open, one that encloses its molecule's volume"
        )
        self.hold.activated.connect(lambda _place: self.hold_chosen.emit(self.hold.currentData()))
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(SETTLE_MS)
        self._settle.timeout.connect(lambda: self.slid.emit(self._sigma()))
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(theme.SPACING_PX)
        grid.setVerticalSpacing(4)
        grid.addWidget(self.label, 0, 0)
        grid.addWidget(self.number, 0, 1)
        grid.addWidget(self.slider, 1, 0)
        grid.addWidget(self.hold, 1, 1)
        grid.setColumnStretch(0, 1)

    def show_contour(self, contour: Any, shown: Any) -> None:
        """Show the contour of the map in a ``ShownState``; None or no map: nothing to set."""
        has_map = shown is not None and shown.density is not None
        for widget in (self.slider, self.number, self.hold):
            widget.setEnabled(has_map)
        tip = "Lower shows more density. σ is the standard deviation of the map"
        self.slider.setToolTip(tip if has_map else "There is no density yet")
        place = [key for key, *_ in HOLDS].index(contour.hold)
        self.hold.setCurrentIndex(place)
        asked = 0.0 if contour.hold == "auto" else contour.amount
        sigma = shown.sigma if has_map else asked
        if not self.slider.isSliderDown() and not self._settle.isActive():
            self._quietly(self.slider, lambda: self.slider.setValue(round(sigma * STEPS_PER_SIGMA)))
        _, _, unit, decimals, largest, step = HOLDS[place]
        amount = sigma if contour.hold == "auto" else contour.amount
        if not self.number.hasFocus() or not self._settle.isActive():
            self._quietly(
                self.number, lambda: self._set_number(amount, unit, decimals, largest, step)
            )
        if not self._settle.isActive():
            self._write(sigma, shown.level if has_map else None)

    def _set_number(
        self, amount: float, unit: str, decimals: int, largest: float, step: float
    ) -> None:
        self.number.setDecimals(decimals)
        self.number.setRange(-largest, largest)
        self.number.setSingleStep(step)
        self.number.setSuffix(unit)
        self.number.setValue(amount)

    def _quietly(self, widget: QWidget, act: Any) -> None:
        blocked = widget.blockSignals(True)
        act()
        widget.blockSignals(blocked)

    def _sigma(self) -> float:
        return self.slider.value() / STEPS_PER_SIGMA

    def _moved(self, _position: int) -> None:
        self._write(self._sigma(), None)
        if not self._settle.isActive():
            self._settle.start()

    def _write(self, sigma: float, level: float | None) -> None:
        absolute = "" if level is None else f"  ({level:.2g})"
        self.label.setText(f"At {sigma:.2f} σ{absolute}")
