"""A slider over the saved epochs of a run."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QGridLayout, QLabel, QSlider, QToolButton, QWidget

from cryoscope.app import theme

TIP = "Look back: the latents of an earlier epoch, and its states where its checkpoint is kept"
NEWEST_TIP = "Show the newest latents again, and follow the run"
NONE_TEXT = "Earlier epochs can be looked at here once some are saved"


class EpochBar(QWidget):
    """The saved epochs from left to right; the right end follows the run.

    Signals
    -------
    chosen (epoch or None)
        The user wants that epoch, or (None) the newest.
    """

    chosen = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._epochs: tuple[int, ...] = ()
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setPageStep(1)
        self.slider.setToolTip(TIP)
        self.slider.setAccessibleName("Epoch")
        self.slider.valueChanged.connect(self._moved)
        self.newest = QToolButton()
        self.newest.setText("Newest")
        self.newest.setToolTip(NEWEST_TIP)
        self.newest.clicked.connect(lambda: self.slider.setValue(self.slider.maximum()))
        caption = QLabel("Epoch")
        caption.setProperty("role", "muted")
        self.label = QLabel()
        self.label.setWordWrap(True)
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setHorizontalSpacing(theme.SPACING_PX)
        layout.setVerticalSpacing(2)
        layout.setColumnStretch(1, 1)
        layout.addWidget(caption, 0, 0)
        layout.addWidget(self.slider, 0, 1)
        layout.addWidget(self.newest, 0, 2)
        layout.addWidget(self.label, 1, 0, 1, 3)
        self.show_epochs((), None)

    def show_epochs(self, epochs: tuple[int, ...], shown: Any) -> None:
        """Offer ``epochs``; ``shown`` (``epoch, decodes``) is looked at, None the newest."""
        self._epochs = epochs
        place = len(epochs)
        if shown is not None and shown.epoch in epochs:
            place = epochs.index(shown.epoch)
        self.slider.blockSignals(True)
        self.slider.setRange(0, len(epochs))
        self.slider.setValue(place)
        self.slider.blockSignals(False)
        for widget in (self.slider, self.newest):
            widget.setEnabled(bool(epochs))
        self.newest.setEnabled(shown is not None)
        self.label.setText(self._words(shown))
        theme.set_role(self.label, "muted" if shown is None else "attention")

    def _words(self, shown: Any) -> str:
        if not self._epochs:
            return NONE_TEXT
        if shown is None:
            saved = len(self._epochs)
            return f"newest shown · {saved} saved epoch{'s' if saved > 1 else ''}"
        if shown.decodes:
            return f"epoch {shown.epoch}, with its own states"
        return f"epoch {shown.epoch}: latents only, its checkpoint is not kept"

    def _moved(self, place: int) -> None:
        self.chosen.emit(self._epochs[place] if place < len(self._epochs) else None)
