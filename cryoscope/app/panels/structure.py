"""The structure: its sequence, how far every residue moves, and the colours of the backbone."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from cryoscope.app import dialogs, theme
from cryoscope.app.qt_bridge import QtBridge
from cryoscope.app.residue_colours import residue_colours
from cryoscope.app.widgets.motion_plot import MotionPlot
from cryoscope.app.widgets.sequence_strip import SequenceStrip
from cryoscope.session import actions, residues

NOTHING = "Open a structure (.pdb or .cif), or a run of one: its sequence and motion appear here."
NO_ATOMS = "This run has no atomic model: its states are maps, and there are no residues to show."
COLOURS = (
    ("displacement", "Displacement", "How far each residue lies from the reference, in Å"),
    ("motion", "RMS motion", "RMS distance from the mean position over the states of the run"),
    ("b_factor", "B-factor", "The B-factors of the opened model, in Å²"),
    ("disagreement", "Half-sets", "How far runs on the two half-sets disagree, where controls ran"),
    ("chain", "Chain", "One colour per chain"),
)


class StructurePanel(QWidget):
    """Sequence and motion per residue, linked with the 3-D view.

    Signals
    -------
    hovered (place)
        The pointer is over a residue (its place from 0) here; -1 for none.
    """

    hovered = Signal(int)

    def __init__(self, session: Any, bridge: QtBridge) -> None:
        super().__init__()
        self._session = session
        self._trace: Any = None
        self.strip, self.plot = SequenceStrip(), MotionPlot()
        self.empty = QLabel(NOTHING)
        self.empty.setProperty("role", "muted")
        self.empty.setWordWrap(True)
        self.empty.setAlignment(Qt.AlignmentFlag.AlignTop)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(
            theme.MARGIN_PX, theme.SPACING_PX, theme.MARGIN_PX, theme.SPACING_PX
        )
        layout.setSpacing(4)
        layout.addLayout(self._make_controls())
        layout.addWidget(self.empty, 1)
        layout.addWidget(self.strip)
        layout.addWidget(self.plot, 1)
        for widget in (self.strip, self.plot):
            widget.picked.connect(lambda place: actions.mark_residue(session, place))
            widget.hovered.connect(self._name)
        self.strip.hovered.connect(self.plot.set_pointed)
        self.plot.hovered.connect(self.strip.set_pointed)
        self.strip.scrolled.connect(self.plot.set_seen)
        for field in ("run", "structure"):
            bridge.watch(field, lambda _value: self._look_at_trace())
        for field in ("shown", "residue_motion", "backbone_colour"):
            bridge.watch(field, lambda _value: self.refresh())
        bridge.watch("marked_residue", self._show_marked)

    def _make_controls(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(theme.SPACING_PX)
        self.colour_label = QLabel("Colour by")
        self.colour = QComboBox()
        for number, (by, text, tip) in enumerate(COLOURS):
            self.colour.addItem(text, by)
            self.colour.setItemData(number, tip, Qt.ItemDataRole.ToolTipRole)
        self.colour.setToolTip("Colours of the backbone in the 3-D view, and of the sequence")
        self.colour.activated.connect(
            lambda _row: actions.colour_backbone(self._session, self.colour.currentData())
        )
        self.measure = QPushButton("Measure motion")
        self.measure.clicked.connect(lambda: actions.measure_motion(self._session))
        self.export = QPushButton("Export table…")
        self.export.clicked.connect(self.ask_export)
        row.addWidget(self.colour_label)
        row.addWidget(self.colour)
        row.addStretch(1)
        row.addWidget(self.measure)
        row.addWidget(self.export)
        return row

    def point_at(self, place: int) -> None:
        """Show the residue that the pointer is over in the 3-D view; -1 for none."""
        self.strip.set_pointed(place if place >= 0 else None)
        self.plot.set_pointed(place)
        self._write(place)

    def ask_export(self) -> None:
        """Ask where, and write the motion of every residue there."""
        run = self._session.run
        suggestion = "residues.csv" if run is None else str(run.folder / "residues.csv")
        path = dialogs.ask_save(self, "Export residues", suggestion, dialogs.CSV_FILTER)
        if path is not None:
            actions.export_residues(self._session, path)

    def _name(self, place: int) -> None:
        self._write(place)
        self.hovered.emit(place)

    def _write(self, place: int) -> None:
        """Name the residue under the pointer, else the marked one, else say what to do."""
        marked = self._session.marked_residue
        chosen = marked if place < 0 else place
        text = "" if chosen is None else residues.residue_text(self._session, chosen, short=True)
        self.plot.set_note(text or "Press a residue here or on the backbone to mark it")

    def _look_at_trace(self) -> None:
        trace = residues.residue_trace(self._session)
        if trace is not self._trace:
            self._trace = trace
            table = residues.residue_table(self._session)
            if table is not None:
                labels = [table.label(place) for place in range(len(table))]
                self.strip.set_residues(
                    table.letter.tolist(), table.chain.tolist(), table.number.tolist(), labels
                )
                self.plot.set_residues(table.number.tolist(), table.chain.tolist())
        self.refresh()

    def refresh(self) -> None:
        """Show the values of the residues."""
        session, there = self._session, self._trace is not None and len(self._trace) > 0
        run = session.run
        maps_only = run is not None and (run.ready or not run.status.active) and not there
        self.empty.setText(NO_ATOMS if maps_only else NOTHING)
        self.empty.setVisible(not there)
        for widget in (self.strip, self.plot, self.colour, self.colour_label):
            widget.setVisible(there)
        self._refresh_buttons(there)
        if not there:
            return
        by = session.backbone_colour
        self.colour.setCurrentIndex(self.colour.findData(by))
        values = residues.residue_values(session, by)
        maximum = residues.colour_range(session, by)
        self.strip.set_colours(residue_colours(values, by, maximum, len(self._trace)))
        curves = {
            "this state": residues.residue_values(session, "displacement"),
            "RMS over the run": residues.residue_values(session, "motion"),
        }
        self.plot.set_curves({name: curve for name, curve in curves.items() if curve is not None})
        self._write(self.strip.pointed)

    def _refresh_buttons(self, there: bool) -> None:
        run, latents = self._session.run, self._session.latents
        ready = there and latents is not None and run is not None and run.ready
        why = "" if ready else "Available once a run of an atomic model has latents"
        if there and latents is not None and not ready:
            why = actions.why_not_decode(self._session)
        for button in (self.measure, self.export):
            button.setVisible(there)
            button.setEnabled(ready)
        self.measure.setToolTip(
            why
            or "Decode the states of up to 200 particles, and measure how far each residue moves"
        )
        self.export.setToolTip(
            why or "Write chain, number, name, RMS motion and displacement of every residue as .csv"
        )

    def _show_marked(self, place: int | None) -> None:
        self.strip.set_marked(place)
        self.plot.set_marked(place)
        self._write(-1)
