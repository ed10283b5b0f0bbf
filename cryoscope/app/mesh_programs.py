"""Meshes that keep their shader program while only their data change.

vispy 0.17 makes a new colour function for a mesh at every change of its data; the program is then
compiled and linked again, which takes a third of the time of a redraw (35 of 125 ms of CPU for a
backbone and a density under software OpenGL). The function depends on the colour map and its
limits only, so it is kept as long as those stay. Without this the picture is the same, only slower.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from vispy.visuals.mesh import MeshVisual

_METHOD = "_build_color_transform"
_kept: WeakKeyDictionary[Any, tuple[Any, Any]] = WeakKeyDictionary()


def keep_mesh_programs() -> None:
    """Teach vispy's meshes to keep their colour functions; does nothing the second time."""
    build = getattr(MeshVisual, _METHOD, None)
    if build is None or getattr(build, "keeps", False):
        return

    def kept_or_built(visual: Any, colors: Any) -> Any:
        by_value = colors.ndim == 2 and colors.shape[1] == 1
        depends_on = (visual.cmap.glsl_map, tuple(visual._clim_values)) if by_value else ()
        if visual not in _kept or _kept[visual][0] != depends_on:
            _kept[visual] = (depends_on, build(visual, colors))
        return _kept[visual][1]

    kept_or_built.keeps = True  # type: ignore[attr-defined]
    setattr(MeshVisual, _METHOD, kept_or_built)
