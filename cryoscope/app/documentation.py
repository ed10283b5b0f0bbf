"""Help > Documentation: the pages that are shipped, in a window beside the work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt, QUrl
from qtpy.QtGui import (
    QColor,
    QDesktopServices,
    QImage,
    QTextCharFormat,
    QTextCursor,
    QTextDocument,
)
from qtpy.QtWidgets import QDialog, QHBoxLayout, QPushButton, QTextBrowser, QVBoxLayout, QWidget

from cryoscope.app import theme
from cryoscope.session.documentation import (
    FIRST_PAGE,
    documentation_folder,
    documentation_page,
)

SMOOTH = Qt.TransformationMode.SmoothTransformation
SIZE_PX, PAGE_MARGIN_PX, PICTURE_WIDTH_PX = (860, 760), 18, 780


class Pages(QTextBrowser):
    """Markdown pages with pictures that fit; links to elsewhere open where links open."""

    def __init__(self) -> None:
        super().__init__()
        self.setOpenExternalLinks(False)
        self.setOpenLinks(False)
        self.document().setDocumentMargin(PAGE_MARGIN_PX)
        self.anchorClicked.connect(self.go)
        self.sourceChanged.connect(lambda _url: self._colour_links())

    def go(self, target: QUrl) -> None:
        """Open a page, or what a link to elsewhere names."""
        url = self.source().resolved(target)
        if url.isLocalFile():
            self.setSource(url)
        else:
            QDesktopServices.openUrl(url)

    def loadResource(self, kind: int, name: QUrl) -> Any:
        """Pages without the marks of the site, pictures no wider than the text."""
        path = Path(self.source().resolved(name).toLocalFile())
        if path.suffix == ".md":
            return documentation_page(path)
        if kind == QTextDocument.ResourceType.ImageResource.value:
            picture = QImage(str(path))
            wide = picture.width() > PICTURE_WIDTH_PX
            return picture.scaledToWidth(PICTURE_WIDTH_PX, SMOOTH) if wide else picture
        return super().loadResource(kind, name)

    def _colour_links(self) -> None:
        # Qt takes the colour of links from the system, which may be as dark as our ground.
        paint, cursor = QTextCharFormat(), QTextCursor(self.document())
        paint.setForeground(QColor(theme.ACCENT))
        block = self.document().begin()
        while block.isValid():
            places = block.begin()
            while not places.atEnd():
                part = places.fragment()
                if part.charFormat().isAnchor():
                    cursor.setPosition(part.position())
                    end = part.position() + part.length()
                    cursor.setPosition(end, QTextCursor.MoveMode.KeepAnchor)
                    cursor.mergeCharFormat(paint)
                places += 1
            block = block.next()


class DocumentationWindow(QDialog):
    """The pages, with a way back and a way to the first."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Documentation")
        self.setStyleSheet(theme.STYLE)
        self.pages = Pages()
        self.contents, self.back = QPushButton("Contents"), QPushButton("Back")
        self.contents.clicked.connect(self.open_contents)
        self.back.clicked.connect(self.pages.backward)
        self.pages.backwardAvailable.connect(self.back.setEnabled)
        self.back.setEnabled(False)
        row = QHBoxLayout()
        row.addWidget(self.contents)
        row.addWidget(self.back)
        row.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(*(theme.MARGIN_PX,) * 4)
        layout.addLayout(row)
        layout.addWidget(self.pages, 1)
        self.resize(*SIZE_PX)
        self.open_contents()

    def open_contents(self) -> None:
        """Show the first page."""
        self.pages.setSource(QUrl.fromLocalFile(str(documentation_folder() / FIRST_PAGE)))


def show_documentation(parent: QWidget) -> DocumentationWindow:
    """Open the documentation beside the work."""
    window = DocumentationWindow(parent)
    window.show()
    return window
