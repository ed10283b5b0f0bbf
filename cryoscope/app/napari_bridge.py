"""The state on display as two napari surfaces, updated in place."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

import numpy as np
from napari.layers import Surface
from napari.utils.colormaps import Colormap
from numpy.typing import NDArray
from qtpy.QtCore import QElapsedTimer, QObject, QTimer, Signal

from cryoscope import conventions
from cryoscope.app import startup, theme
from cryoscope.app.mesh_programs import keep_mesh_programs
from cryoscope.data import Mesh

BACKBONE_LAYER = "backbone (deformed)"
DENSITY_LAYER = "density (decoded)"
DENSITY_OPACITY = 0.18
EMPTY_TEXT = "The structure, and its states while a run trains, appear here"
SMALLEST_RANGE_A = 2.0
FILL = 0.80
ASKED_MS = 2000
LIVE_SHARE = 0.02
LARGEST_COST_MS = 200.0
PAINTED_MS = 30
HEADROOM, MUCH_LESS, SHRINK = 1.1, 0.5, 0.8
#: Part of its box's width that a molecule takes, more or less.
MAP_SHARE = 0.7
UNITS, PIXELS = ("angstrom", "angstrom", "angstrom"), ("pixel", "pixel", "pixel")
FIRST_LOOK_DEG = (0.0, 25.0, 0.0)

SurfaceData = tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.float32]]


class NapariBridge(QObject):
    """Draws ``session.shown`` in a napari viewer.

    The opaque backbone lies below the translucent density in the layer list, so that it is drawn
    first and seen through it. The range of the displacement colours only grows while a model is
    looked at: colours keep their meaning from state to state. When the model has trained on it may
    shrink a little: an early model's wild states must not leave all later ones in one colour.

    Signals
    -------
    range_changed (maximum_A)
        The displacement at the upper end of the colours.
    labelled (text)
        Where the state comes from, to be shown over the view. (As napari's own text overlay every
        other text would draw the scene twice.)
    drawn (state)
        A state, or None, has been drawn: what belongs to it can be drawn too.
    """

    range_changed = Signal(float)
    labelled = Signal(str)
    drawn = Signal(object)

    def __init__(self, viewer: Any, parent: QObject | None = None) -> None:
        super().__init__(parent)
        keep_mesh_programs()
        self.viewer = viewer
        self.show_backbone, self.show_density = True, True
        self._backbone: Surface | None = None
        self._density: Surface | None = None
        self._has_backbone, self._has_density = False, False
        self._offered: Any | None = None
        self._cost_ms = 0.0
        self._since_touch, self._since_draw = QElapsedTimer(), QElapsedTimer()
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.timeout.connect(self._draw_offered)
        self._maximum_A, self._model = 0.0, ""
        self.backbone_mesh: Callable[[Any], Mesh] = _own_backbone
        self.surface_mesh: Callable[[Any], Mesh | None] = _own_surface
        self._surface_scale: tuple[Colormap, float, float] | None = None
        self._legend, self._empty_text = "", EMPTY_TEXT
        self._scale: tuple[Colormap, float] | None = None
        self._drawn: Any | None = None
        self._look: tuple[int, int] | None = None
        self._look_of_map: tuple[Any, ...] = ()
        scale_bar = viewer.canvas.overlays.scale_bar
        scale_bar.position, scale_bar.font_size = "bottom_right", 9
        viewer.layers.events.removed.connect(self._forget)

    def touched(self) -> None:
        """The user asks for a state: what comes now is drawn at once."""
        self._since_touch.start()

    def offer(self, state: Any | None) -> None:
        """Draw a state: at once when asked for, else (a live refresh) when there is time.

        Drawing stops the event loop, for a tenth of a second with software OpenGL. Refreshes that
        nobody asked for take at most :data:`LIVE_SHARE` of the time; the newest is drawn.
        """
        self._offered = state
        recent = self._since_touch.isValid() and self._since_touch.elapsed() < ASKED_MS
        if recent or state is None or self._look is None:
            self._draw_offered()
        elif not self._pause.isActive():
            rest_ms = self._cost_ms / LIVE_SHARE - self._since_draw.elapsed()
            self._pause.start(max(0, int(rest_ms)))

    def close(self) -> None:
        """Draw nothing more."""
        self._pause.stop()
        self.viewer.layers.events.removed.disconnect(self._forget)

    def _draw_offered(self) -> None:
        self._pause.stop()
        self._since_draw.start()
        self.show(self._offered)
        # Qt paints and composes a little later: what holds that up holds up this timer as well.
        QTimer.singleShot(PAINTED_MS, self._note_cost)

    def _note_cost(self) -> None:
        elapsed_ms = float(self._since_draw.elapsed()) - PAINTED_MS
        self._cost_ms = min(max(elapsed_ms, 0.0), LARGEST_COST_MS)

    def show(self, state: Any | None) -> None:
        """Draw a :class:`cryoscope.session.ShownState`, or nothing."""
        self.viewer.canvas.overlays.scale_bar.visible = state is not None
        self._drawn = state
        self._tell_label()
        if state is None:
            for layer in (self._backbone, self._density):
                _set_visible(layer, False)
            self._look = None
            self.reset_range()
            self._tell_drawn(None)
            return
        self._set_range(state.displacement_A, state.label)
        startup.wait_for_units()
        self._draw_backbone(self.backbone_mesh(state))
        self._draw_density(state)
        self._look_once(state)
        self._tell_drawn(state)

    def _tell_drawn(self, state: Any | None) -> None:
        self._drawn = state
        self.drawn.emit(state)

    @property
    def displacement_range_A(self) -> float:
        """The displacement at the upper end of the colours."""
        return self._maximum_A

    def set_backbone_scale(self, colours: Colormap | None, maximum: float) -> None:
        """Colour the values of :attr:`backbone_mesh` from 0 to ``maximum``; None: displacement."""
        self._scale = None if colours is None else (colours, maximum)
        self._apply_scale()

    def redraw_backbone(self) -> None:
        """Draw the backbone again: its colours mean something else."""
        if self._drawn is not None:
            self._draw_backbone(self.backbone_mesh(self._drawn))

    def retint(self) -> None:
        """Colour the map anew: the theme has changed."""
        self._look_of_map = ()
        if self._drawn is not None:
            self._draw_density(self._drawn)

    def set_surface_scale(self, scale: tuple[Colormap, float, float] | None) -> None:
        """Colour the values of :attr:`surface_mesh` between two limits; None: no values."""
        self._surface_scale = scale
        self._look_of_map = ()

    def redraw_density(self) -> None:
        """Draw the surface again: its colours mean something else."""
        if self._drawn is not None:
            self._draw_density(self._drawn)

    def set_legend(self, lines: str) -> None:
        """HTML lines under the label of the shown state: what else is in the view."""
        if lines != self._legend:
            self._legend = lines
            self._tell_label()

    def set_empty_text(self, text: str) -> None:
        """What is said while no state is shown; empty for what one says before anything is open."""
        text = text or EMPTY_TEXT
        if text != self._empty_text:
            self._empty_text = text
            if self._drawn is None:
                self._tell_label()

    @property
    def drawn_state(self) -> Any | None:
        """The state that was drawn last."""
        return self._drawn

    @property
    def layers(self) -> tuple[Surface | None, Surface | None]:
        """The layers of the backbone and of the density, where there are such."""
        return self._backbone, self._density

    @property
    def backbone_look(self) -> tuple[Colormap, float]:
        """Colours of the backbone's values, and the value at their upper end."""
        if self._scale is not None:
            return self._scale
        colours = Colormap(theme.displacement_colours(), name="displacement")
        return colours, max(self._maximum_A, SMALLEST_RANGE_A)

    def _tell_label(self) -> None:
        state = self._drawn
        if state is None:
            self.labelled.emit(self._empty_text)
            return
        box = f" · {state.box_text}" if state.box_text else ""
        mark = ""
        if self._legend and state.density is not None:
            colour = theme.MAP_COLOURS[state.density.provenance.kind]
            mark = f"<span style='color:{colour}'>■</span> "
        self.labelled.emit(f"{mark}{html.escape(state.label)}{box}{self._legend}")

    def _apply_scale(self) -> None:
        layer = self._backbone
        if layer is None:
            return
        colours, maximum = self.backbone_look
        if layer.colormap.name != colours.name:
            layer.colormap = colours
        if tuple(layer.contrast_limits) != (0.0, maximum):
            layer.contrast_limits_range = (0.0, maximum)
            layer.contrast_limits = (0.0, maximum)

    def reset_range(self) -> None:
        """Start the displacement colours afresh (another run is looked at)."""
        self._maximum_A = 0.0
        self.range_changed.emit(0.0)

    def set_visible(self, *, backbone: bool, density: bool) -> None:
        """Show or hide the two surfaces."""
        self.show_backbone, self.show_density = backbone, density
        _set_visible(self._backbone, backbone and self._has_backbone)
        _set_visible(self._density, density and self._has_density)

    def fit_camera(self) -> None:
        """Look at everything, from where the camera stands."""
        angles = self.viewer.scene.camera.angles
        self.viewer.fit_to_view(margin=1 - FILL)
        self.viewer.scene.camera.angles = angles

    def _draw_backbone(self, mesh: Mesh) -> None:
        data = surface_data(mesh)
        self._has_backbone = data is not None
        if data is None:
            _set_visible(self._backbone, False)
            return
        if self._backbone is None:
            self._backbone = Surface(
                data,
                name=BACKBONE_LAYER,
                colormap=Colormap(theme.displacement_colours(), name="displacement"),
                contrast_limits=(0.0, max(self._maximum_A, SMALLEST_RANGE_A)),
                shading="smooth",
                blending="opaque",
                units=units_beside(self.viewer),
            )
            self._apply_scale()
            self.viewer.layers.insert(0, self._backbone)
        else:
            self._backbone.data = data
            _set_visible(self._backbone, self.show_backbone)

    def _draw_density(self, state: Any) -> None:
        mesh = self.surface_mesh(state)
        data = None if mesh is None else surface_data(mesh)
        self._has_density = data is not None
        if data is None:
            _set_visible(self._density, False)
            return
        if self._density is None:
            self._density = Surface(
                data,
                name=DENSITY_LAYER,
                contrast_limits=(0.0, 1.0),
                shading="smooth",
                units=units_beside(self.viewer),
            )
            self._look_of_map = ()
            self._style_density(state)
            self.viewer.layers.append(self._density)
        else:
            self._density.data = data
            self._style_density(state)
            _set_visible(self._density, self.show_density)

    def _style_density(self, state: Any) -> None:
        """A map alone is solid; about a backbone it is a veil. Its colour says where it is from."""
        assert self._density is not None
        kind, alone = state.density.provenance.kind, not self._has_backbone
        scale = self._surface_scale
        if (kind, alone, scale) == self._look_of_map:
            return
        self._look_of_map = (kind, alone, scale)
        colour = [*theme.rgb(theme.MAP_COLOURS[kind]), 1.0]
        colours, low, high = scale or (Colormap([colour, colour], name=f"map {kind}"), 0.0, 1.0)
        self._density.colormap = colours
        self._density.contrast_limits_range = (low, high)
        self._density.contrast_limits = (low, high)
        # Colours of what lies behind must not mix into those that mean something.
        solid = alone or scale is not None
        self._density.opacity = 1.0 if solid else DENSITY_OPACITY
        # Without depth: triangles are not sorted, so with it some of a veil would hide others.
        self._density.blending = "opaque" if solid else "translucent_no_depth"

    def _set_range(self, displacement_A: NDArray[np.floating], model: str) -> None:
        # With some room above, or much below: new limits cost a new shader program.
        largest_A = max(float(np.max(displacement_A, initial=0.0)), SMALLEST_RANGE_A)
        maximum_A = self._maximum_A
        if largest_A > maximum_A:
            maximum_A = HEADROOM * largest_A
        elif model != self._model and largest_A < MUCH_LESS * maximum_A:
            maximum_A *= SHRINK
        self._model = model
        if maximum_A != self._maximum_A:
            self._maximum_A = maximum_A
            if self._scale is None:
                self._apply_scale()
            self.range_changed.emit(self._maximum_A)

    def _look_once(self, state: Any) -> None:
        # Another molecule needs another look; another state of the same one must not move it.
        alone = len(state.coords_A) == 0 and state.density is not None
        look = (len(state.coords_A), round(state.density.width_A) if alone else 0)
        if self._look != look:
            self.viewer.dims.ndisplay = 3
            self.viewer.scene.camera.angles = FIRST_LOOK_DEG
            if alone:
                self._look_at_box(state.density)
            else:
                self.fit_camera()
            self._look = look

    def _look_at_box(self, density: Any) -> None:
        """Look at what a box usually holds: an untrained map's surface may be anywhere in it."""
        camera = self.viewer.scene.camera
        corner_A = conventions.zyx_from_xyz(density.origin_A)
        camera.center = tuple(corner_A + density.width_A / 2)
        camera.zoom = FILL * min(self.viewer.canvas.size) / (MAP_SHARE * density.width_A)

    def _forget(self, event: Any) -> None:
        if event.value is self._backbone:
            self._backbone = None
        elif event.value is self._density:
            self._density = None


def units_beside(viewer: Any) -> tuple[str, str, str]:
    """Å; pixels beside layers that say no length: napari warns of every layer in a mixture."""
    return PIXELS if any(str(one.units[-1]) == "pixel" for one in viewer.layers) else UNITS


def _own_backbone(state: Any) -> Mesh:
    mesh: Mesh = state.backbone
    return mesh


def _own_surface(state: Any) -> Mesh | None:
    mesh: Mesh | None = state.isosurface
    return mesh


def _set_visible(layer: Surface | None, visible: bool) -> None:
    # napari prepares a layer anew even when it is told what it knows.
    if layer is not None and layer.visible != visible:
        layer.visible = visible


def surface_data(mesh: Mesh) -> SurfaceData | None:
    """A mesh as napari's (vertices zyx, faces, values); None for one without faces."""
    if len(mesh.faces) == 0:
        return None
    vertices = np.ascontiguousarray(conventions.zyx_from_xyz(mesh.vertices_A))
    values = mesh.values
    if values is None:
        values = np.ones(len(vertices), dtype=np.float32)
    return vertices, mesh.faces, values
