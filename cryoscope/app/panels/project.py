"""What is open, and how to open something."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from cryoscope.app import dialogs, theme
from cryoscope.app.qt_bridge import QtBridge
from cryoscope.session import actions

EMPTY_TEXT = (
    "Drop files anywhere in this window:\n"
    "particles (.star), a structure (.pdb, .cif),\n"
    "or the folder of an earlier run."
)


class ProjectPanel(QWidget):
    """Particles, structure and run, one line each; before that, what to do first."""

    def __init__(self, session: Any, bridge: QtBridge, demo_folder: Path) -> None:
        super().__init__()
        self._session, self._demo_folder = session, demo_folder
        self.hint = QLabel(EMPTY_TEXT)
        self.hint.setProperty("role", "drop")
        self.hint.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.lines = {name: QLabel() for name in ("Particles", "Structure", "Run")}
        self.table = QWidget()
        grid = QGridLayout(self.table)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(theme.SPACING_PX * 2)
        grid.setVerticalSpacing(2)
        grid.setColumnStretch(1, 1)
        for row, (name, value) in enumerate(self.lines.items()):
            caption = QLabel(name)
            caption.setProperty("role", "muted")
            grid.addWidget(caption, row, 0, Qt.AlignmentFlag.AlignTop)
            value.setWordWrap(True)
            grid.addWidget(value, row, 1)
        self.open_button = QPushButton("Open files…")
        self.open_button.setToolTip("Particles (.star), a structure (.pdb, .cif) or a map (.mrc)")
        self.open_button.clicked.connect(self.ask_files)
        self.run_button = QPushButton("Open run…")
        self.run_button.setToolTip("The folder of an earlier run: its latents, losses and states")
        self.run_button.clicked.connect(self.ask_run)
        self.demo_button = QPushButton("Try the demo")
        self.demo_button.setToolTip(
            "Simulates adenylate kinase opening and closing (10,000 particles), "
            "then trains on it.\n"
            f"Written to {demo_folder}"
        )
        self.demo_button.clicked.connect(self.start_demo)
        buttons = QHBoxLayout()
        buttons.setSpacing(theme.SPACING_PX)
        for button in (self.open_button, self.run_button):
            buttons.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(theme.MARGIN_PX, theme.MARGIN_PX, theme.MARGIN_PX, 0)
        layout.setSpacing(theme.SPACING_PX)
        layout.addWidget(self.hint)
        layout.addWidget(self.table)
        layout.addLayout(buttons)
        layout.addWidget(self.demo_button)
        for field in ("particles", "structure", "run", "jobs", "config"):
            bridge.watch(field, lambda _value: self.refresh())

    def refresh(self) -> None:
        """Show what is open now."""
        session = self._session
        opened = bool(session.particles or session.structure or session.run)
        self.hint.setVisible(not opened)
        self.table.setVisible(opened)
        self.demo_button.setVisible(not opened)
        # The demo takes a while to be simulated; if that fails it can be tried again.
        self.demo_button.setEnabled(not session.jobs)
        self._show_particles(session.particles)
        self._show_structure(session.structure)
        self._show_run(session.run)

    def ask_files(self) -> None:
        """Let the user choose files, and open them."""
        if paths := dialogs.ask_files(self):
            actions.open_files(self._session, paths)

    def ask_run(self) -> None:
        """Let the user choose a run folder, and open it."""
        folder = dialogs.ask_folder(self, "Open the folder of a run")
        if folder is not None:
            actions.open_files(self._session, [folder])

    def start_demo(self) -> None:
        """Simulate, open and train the demo."""
        actions.start_demo(self._session, self._demo_folder)

    def _show_particles(self, particles: Any) -> None:
        if particles is None:
            self._say("Particles", "none yet: drop a .star file", None)
            return
        poses = "poses known" if particles.has_poses else "no poses in the file"
        groups = particles.optics_groups
        optics = "" if groups == 1 else f" · {groups} optics groups"
        self._say(
            "Particles",
            f"{_short(particles.file)}\n{particles.count:,} · {particles.box_size_px} px · "
            f"{particles.pixel_size_A:.3g} Å/px\n{poses}{optics}",
            particles.file,
        )

    def _show_structure(self, structure: Any) -> None:
        if structure is None:
            needed = self._session.config.model == "atomic"
            why = "none yet: drop a .pdb or .cif file" if needed else "none: this method needs none"
            self._say("Structure", why, None)
            return
        chains = len(structure.chains)
        self._say(
            "Structure",
            f"{_short(structure.path)}\n{structure.residues:,} residues · "
            f"{chains} chain{'s' if chains != 1 else ''}",
            structure.path,
        )

    def _show_run(self, run: Any) -> None:
        if run is None:
            self._say("Run", "none yet", None)
            return
        lines = [_short(run.folder), run.device_text and f"on {run.device_text}", run.contrast_text]
        self._say("Run", "\n".join(line for line in lines if line), run.folder)

    def _say(self, name: str, text: str, path: Path | None) -> None:
        self.lines[name].setText(text)
        self.lines[name].setToolTip("" if path is None else str(path))


def _short(path: Path, longest: int = 34) -> str:
    name = path.name
    return name if len(name) <= longest else f"{name[: longest // 2]}…{name[-longest // 2 + 1 :]}"
