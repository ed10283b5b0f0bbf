"""Help > Documentation."""

from __future__ import annotations

from typing import Any

import pytest
from gestures import LEFT
from qtpy.QtCore import QUrl
from qtpy.QtGui import QDesktopServices, QImage, QTextDocument
from qtpy.QtTest import QTest

from cryoscope.app import theme
from cryoscope.app.commands import commands_of
from cryoscope.app.documentation import PICTURE_WIDTH_PX, DocumentationWindow, Pages


@pytest.fixture
def opened(qtbot: Any) -> DocumentationWindow:
    made = DocumentationWindow(None)  # type: ignore[arg-type]
    qtbot.addWidget(made)
    made.show()
    return made


def follow(pages: Pages, target: str) -> str:
    pages.go(QUrl(target))
    return pages.toPlainText()


def test_pages_are_shown_and_lead_to_each_other(opened: DocumentationWindow) -> None:
    pages = opened.pages
    assert "latent space" in pages.toPlainText()
    assert "cryoscope-default" in follow(pages, "methods/index.md")
    text = follow(pages, "cryostar.md")
    assert "What it assumes" in text
    assert "generated" not in text
    assert "Checking what you found" in follow(pages, "../checking.md")
    QTest.mouseClick(opened.back, LEFT)
    assert "cryoSTAR" in pages.toPlainText()
    QTest.mouseClick(opened.contents, LEFT)
    assert pages.source().fileName() == "index.md"


def test_pictures_fit_and_pages_made_from_code_say_where_to_look(
    opened: DocumentationWindow,
) -> None:
    pages = opened.pages
    follow(pages, "tutorial.md")
    kind = QTextDocument.ResourceType.ImageResource.value
    picture = pages.loadResource(kind, QUrl("pictures/training.png"))
    assert isinstance(picture, QImage)
    assert picture.width() == PICTURE_WIDTH_PX
    assert "--help" in follow(pages, "commands.md")
    assert "no page" in follow(pages, "nowhere.md")


def test_links_can_be_read(opened: DocumentationWindow) -> None:
    colours = set()
    block = opened.pages.document().begin()
    while block.isValid():
        places = block.begin()
        while not places.atEnd():
            form = places.fragment().charFormat()
            if form.isAnchor():
                colours.add(form.foreground().color().name())
            places += 1
        block = block.next()
    assert colours == {theme.ACCENT}


def test_links_to_elsewhere_leave_the_page(
    opened: DocumentationWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: asked.append(url.toString()))
    follow(opened.pages, "citing.md")
    follow(opened.pages, "https://arxiv.org/abs/2107.01331")
    assert asked == ["https://arxiv.org/abs/2107.01331"]
    assert opened.pages.source().fileName() == "citing.md"


@pytest.mark.gl
def test_the_help_menu_opens_it(window: Any) -> None:
    (command,) = [one for one in commands_of(window) if one.name == "Documentation"]
    command.run()
    (shown,) = window.main.findChildren(DocumentationWindow)
    assert shown.isVisible()
    shown.close()
