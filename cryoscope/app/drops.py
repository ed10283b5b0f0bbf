"""What is said while files are held over the window."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qtpy.QtCore import QUrl

MOST = 3


def drop_words(urls: Sequence[QUrl]) -> str:
    """One line: what each file would become if it were dropped now."""
    from cryoscope.session.opened import what_it_is

    paths = [Path(url.toLocalFile()) for url in urls if url.isLocalFile()]
    if not paths:
        return "Only files on this computer can be dropped here"
    said = [f"{path.name}: {what_it_is(path)}" for path in paths[:MOST]]
    more = f", and {len(paths) - MOST} more" if len(paths) > MOST else ""
    return f"Drop to open {'; '.join(said)}{more}"
