"""What a window and its worker hold: memory, threads, file handles, layers, objects of OpenGL."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import psutil

WORKER_MODULE = "cryoscope.training.worker"
_MB = 1e6


@dataclass(frozen=True)
class Process:
    """Memory and handles of one process; zeros for one that has ended."""

    rss_MB: float = 0.0
    own_MB: float = 0.0
    threads: int = 0
    handles: int = 0


@dataclass(frozen=True)
class Census:
    """What was there at one moment."""

    window: Process
    worker: Process
    python_threads: tuple[str, ...]
    layers: tuple[str, ...]
    widgets: int
    gl_objects: dict[str, int] = field(default_factory=dict)

    @property
    def counts(self) -> dict[str, int]:
        """Everything that is counted, by name."""
        return {
            "window: threads": self.window.threads,
            "window: file handles": self.window.handles,
            "window: layers": len(self.layers),
            "window: widgets": self.widgets,
            **{f"window: GL {name}": n for name, n in sorted(self.gl_objects.items())},
            "worker: threads": self.worker.threads,
            "worker: file handles": self.worker.handles,
        }

    @property
    def memory_MB(self) -> dict[str, float]:
        """Resident memory and what of it nobody shares, by name."""
        return {
            "window: resident": self.window.rss_MB,
            "window: its own": self.window.own_MB,
            "worker: resident": self.worker.rss_MB,
            "worker: its own": self.worker.own_MB,
        }


def census(window: Any) -> Census:
    """Count what a :class:`cryoscope.app.window.CryoscopeWindow` and its worker hold."""
    from qtpy.QtWidgets import QApplication

    return Census(
        window=process(psutil.Process()),
        worker=process(worker()),
        python_threads=tuple(sorted(thread.name for thread in threading.enumerate())),
        layers=tuple(layer.name for layer in window.viewer.layers),
        widgets=len(QApplication.allWidgets()),
        gl_objects=gl_objects(window.viewer),
    )


def worker() -> psutil.Process | None:
    """The training process of this one, if there is one."""
    for child in psutil.Process().children(recursive=True):
        try:
            if WORKER_MODULE in child.cmdline():
                return child
        except psutil.Error:
            continue
    return None


def process(one: psutil.Process | None) -> Process:
    """Memory and handles of a process."""
    if one is None:
        return Process()
    try:
        memory = one.memory_full_info()
        handles = one.num_handles() if psutil.WINDOWS else one.num_fds()
        return Process(memory.rss / _MB, memory.uss / _MB, one.num_threads(), handles)
    except psutil.Error:
        return Process()


def gl_objects(viewer: Any) -> dict[str, int]:
    """Buffers, textures, shaders and programs that exist in the canvas of a viewer, by kind."""
    # vispy keeps what it made in OpenGL in a table of its interpreter of commands, nowhere public.
    context = viewer.window._qt_viewer.canvas._scene_canvas.context
    table = context.shared.parser._objects
    names = [type(made).__name__ for made in table.values() if hasattr(made, "handle")]
    return dict(Counter(name.removeprefix("Glir") for name in names))
