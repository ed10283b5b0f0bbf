"""Playing a series of states: play, there and back, speed, and a slider."""

from __future__ import annotations

from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QSlider, QToolButton, QWidget

from cryoscope.app import theme

SPEEDS = (2, 5, 10, 20)


class PlayerBar(QWidget):
    """Wants one state after the other to be shown.

    Signals
    -------
    frame_wanted (frame)
        Show this state (from 0).
    """

    frame_wanted = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.count, self.frame = 0, 0
        self._direction, self._filling = 1, False
        self._clock = QTimer(self)
        self._clock.timeout.connect(self.step)
        self.play, self.ping_pong = QToolButton(), QToolButton()
        self.play.setText("▶ Play")
        self.play.setCheckable(True)
        self.play.toggled.connect(self._set_playing)
        self.ping_pong.setText("⇄")
        self.ping_pong.setCheckable(True)
        self.ping_pong.setChecked(True)
        self.ping_pong.setToolTip("Ping-pong: play there and back, instead of jumping to the start")
        self.speed = QComboBox()
        for speed in SPEEDS:
            self.speed.addItem(f"{speed} / s", speed)
        self.speed.setCurrentIndex(1)
        self.speed.setToolTip("States per second")
        self.speed.currentIndexChanged.connect(lambda _row: self._set_pace())
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setMinimumWidth(80)
        self.slider.setAccessibleName("State of the trajectory")
        self.slider.valueChanged.connect(self._slid)
        self.place = QLabel()
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(theme.SPACING_PX)
        for widget in (self.play, self.ping_pong, self.speed):
            layout.addWidget(widget)
        layout.addWidget(self.slider, 1)
        layout.addWidget(self.place)

    def set_states(self, count: int, frame: int) -> None:
        """How many states there are, and which one is shown."""
        self.count, self.frame = count, frame
        self._filling = True
        self.slider.setRange(1, max(count, 1))
        self.slider.setValue(frame + 1)
        self._filling = False
        self.place.setText(f"state {frame + 1} of {count}" if count else "")

    def set_available(self, why_not: str) -> None:
        """Whether states can be shown: ``why_not`` is empty, or says what is missing."""
        for widget in (self.play, self.slider):
            widget.setEnabled(not why_not)
        self.play.setToolTip(why_not or "Show the states one after the other [Space]")
        self.slider.setToolTip(why_not or "State that is shown")
        if why_not:
            self.stop()

    def stop(self) -> None:
        """Play no more."""
        self.play.setChecked(False)

    def step(self) -> None:
        """Want the state that follows."""
        last, following = self.count - 1, self.frame + self._direction
        if last < 1:
            self.stop()
            return
        if not 0 <= following <= last:
            back = self.ping_pong.isChecked()
            self._direction = -self._direction if back else 1
            following = self.frame + self._direction if back else 0
        # Here, not when the session answers: a slow answer must not make it play slower.
        self.frame = min(max(following, 0), last)
        self.frame_wanted.emit(self.frame)

    def _set_playing(self, on: bool) -> None:
        self.play.setText("■ Stop" if on else "▶ Play")
        if on:
            self._set_pace()
            self._clock.start()
        else:
            self._clock.stop()

    def _set_pace(self) -> None:
        self._clock.setInterval(round(1000 / self.speed.currentData()))

    def _slid(self, value: int) -> None:
        if not self._filling:
            self.frame_wanted.emit(value - 1)
