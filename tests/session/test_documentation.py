"""The shipped pages, without a window."""

from __future__ import annotations

from cryoscope.session.documentation import (
    FIRST_PAGE,
    documentation_folder,
    documentation_page,
)


def test_pages_come_without_the_marks_of_the_site() -> None:
    folder = documentation_folder()
    assert documentation_page(folder / FIRST_PAGE).startswith("# Cryoscope")
    page = documentation_page(folder / "methods" / "cryostar.md")
    assert "When it fails" in page
    assert "<!--" not in page


def test_pages_that_are_not_there_say_where_to_look() -> None:
    folder = documentation_folder()
    assert "--help" in documentation_page(folder / "commands.md")
    assert "nowhere.md" in documentation_page(folder / "nowhere.md")
