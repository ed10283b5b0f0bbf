"""Help > About: what this is, and the versions of everything in it."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtGui import QPixmap
from qtpy.QtWidgets import (
    QApplication,
    QDialog,
    QDialogButtonBox,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QVBoxLayout,
    QWidget,
)

from cryoscope.app import theme
from cryoscope.session.shipped import icon_path
from cryoscope.session.versions import versions, versions_text

WORDS = (
    "Explore heterogeneity in cryo-EM data while the network trains.\n"
    "BSD-3-Clause. The methods are other people's work: the documentation of each names the "
    "paper to cite."
)
SIZE_PX, ICON_PX = (480, 480), 56
SMOOTH = Qt.TransformationMode.SmoothTransformation


class AboutBox(QDialog):
    """Name, purpose and versions; the versions can be copied into a report."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("About Cryoscope")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setStyleSheet(theme.STYLE)
        title = QLabel(f"Cryoscope {dict(versions())['cryoscope']}")
        title.setProperty("role", "heading")
        picture = QLabel()
        picture.setPixmap(QPixmap(str(icon_path())).scaledToHeight(ICON_PX, SMOOTH))
        head = QHBoxLayout()
        head.addWidget(picture)
        head.addWidget(title, 1)
        words = QLabel(WORDS)
        words.setWordWrap(True)
        self.versions = QPlainTextEdit(versions_text())
        self.versions.setReadOnly(True)
        self.versions.setToolTip("Versions: add them when you report a problem")
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        self.copy = self.buttons.addButton("Copy", QDialogButtonBox.ButtonRole.ActionRole)
        self.copy.setToolTip("Copy the versions, to paste them into a report")
        self.copy.clicked.connect(lambda: QApplication.clipboard().setText(versions_text()))
        self.buttons.rejected.connect(self.close)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(*(2 * theme.MARGIN_PX,) * 4)
        layout.setSpacing(theme.MARGIN_PX)
        layout.addLayout(head)
        for widget in (words, self.versions, self.buttons):
            layout.addWidget(widget)
        self.resize(*SIZE_PX)


def show_about(parent: QWidget) -> AboutBox:
    """Open the box beside the work."""
    box = AboutBox(parent)
    box.show()
    return box
