"""A distribution of panels, one of which works, as if it were installed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from cryoscope.io import extensions
from tests.extension_installing import write_metadata

CODE = """
from cryoscope.session.extensions import PanelExtension

def make(session, bridge):
    from qtpy.QtWidgets import QLabel
    label = QLabel()
    bridge.watch("particles", lambda particles: label.setText(f"{particles.count:,} of them"))
    return label

def fail(session, bridge):
    raise RuntimeError("no such luck")

PANEL = PanelExtension(title="Counting", make=make, area="left")
FAILING = PanelExtension(title="Failing", make=fail)
NOTHING = PanelExtension(title="Nothing", make=lambda session, bridge: None)
"""


def install_panels(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install it into ``folder``, for one test."""
    target = folder / "installed"
    target.mkdir()
    (target / "more_panels.py").write_text(CODE)
    names = {"counting": "PANEL", "failing": "FAILING", "nothing": "NOTHING"}
    points = {name: f"more_panels:{value}" for name, value in names.items()}
    write_metadata(target, "more-panels", "3.0", {"cryoscope.panels": points})
    monkeypatch.syspath_prepend(str(target))
    for memory in ("_found", "_loaded", "_broken"):
        monkeypatch.setattr(extensions, memory, {})
    monkeypatch.delitem(sys.modules, "more_panels", raising=False)
