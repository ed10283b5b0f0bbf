"""What the session shows of an open project, and what a project file may say of the view."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cryoscope.data import InputError
from cryoscope.session.contours import Hold
from cryoscope.session.latent_records import ViewKind
from cryoscope.session.scene import BackboneStyle, Layout, SurfaceColour

LAYOUT_LIMIT_BYTES = 1 << 20
_MOST_NAMES = 32
_Name = Annotated[str, Field(max_length=1_000)]
_Finite = Annotated[float, Field(allow_inf_nan=False)]
_Row = Annotated[int, Field(ge=0, le=10**12)]
_Axis = Annotated[int, Field(ge=1, le=4_096)]
_Box = Annotated[int, Field(ge=0, le=65_536)]
_Numbers = Annotated[list[_Finite], Field(max_length=4_096)]


@dataclass(frozen=True, eq=False)
class WindowState:
    """How a window looked: made and understood by the window alone.

    Attributes
    ----------
    layout
        Named opaque bytes, e.g. where the docks are; one MiB in all at most.
    numbers
        Named rows of finite numbers, e.g. where a camera stands.
    """

    layout: Mapping[str, bytes] = field(repr=False)
    numbers: Mapping[str, tuple[float, ...]]

    def __post_init__(self) -> None:
        size = sum(len(data) for data in self.layout.values())
        if size > LAYOUT_LIMIT_BYTES or max(len(self.layout), len(self.numbers)) > _MOST_NAMES:
            raise ValueError("the layout of the window is too large to be kept")
        for name, row in self.numbers.items():
            if len(row) > _MOST_NAMES or not np.isfinite(row).all():
                raise ValueError(f"{name} is no row of finite numbers")

    def same_as(self, other: WindowState | None) -> bool:
        """Whether both say the same."""
        return (
            other is not None
            and dict(self.layout) == dict(other.layout)
            and dict(self.numbers) == dict(other.numbers)
        )


@dataclass(frozen=True, eq=False)
class ProjectView:
    """The open project.

    Attributes
    ----------
    window
        How the window looked when it was saved last, as it was read; None for a new project.
    saved_s
        When it was saved last, in seconds since the epoch; 0 for not since it was opened.
    """

    path: Path
    window: WindowState | None = field(default=None, repr=False)
    saved_s: float = 0.0

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.path.name


@dataclass(frozen=True)
class RecentProject:
    """A project that was open lately; ``there`` says whether it still is where it was."""

    path: Path
    there: bool


class _Plain(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class SavedPicture(_Plain):
    """A linear picture of the latents, so that its axes come back as they were."""

    embedding_id: _Name
    axis_labels: tuple[_Name, _Name]
    centre: _Numbers
    axes: tuple[_Numbers, _Numbers]
    run_id: _Name
    epoch: int


class SavedScene(_Plain):
    """How states are drawn; as :class:`cryoscope.session.scene.Scene`."""

    layout: Layout = "overlay"
    backbone: BackboneStyle = "tube"
    surface: SurfaceColour = "plain"
    against: _Name = ""


class SavedView(_Plain):
    """What of the session is looked at, in a project file."""

    kind: ViewKind = "pc"
    x: _Axis = 1
    y: _Axis = 2
    picture: SavedPicture | None = None
    colouring: _Name = ""
    active_selection: _Name = ""
    cursor_xy: tuple[_Finite, _Finite] | None = None
    iso_sigma: _Finite = 3.0
    #: Whether maps whose kind was given no contour choose their own; before, they did not.
    automatic: bool = False
    contours: Annotated[dict[_Name, tuple[Hold, _Finite]], Field(max_length=16)] = {}
    active_path: _Name = ""
    path_frame: _Row = 0
    path_marks: Annotated[list[_Row], Field(max_length=10_000)] = []
    marked_residue: _Row | None = None
    backbone_colour: _Name = "displacement"
    scene: SavedScene = SavedScene()


class SavedRun(_Plain):
    """A run that was open: its folder, also as seen from the project's."""

    folder: Annotated[str, Field(min_length=1, max_length=4_096, pattern=r"^[^\x00]+$")]
    beside: Annotated[str, Field(max_length=4_096, pattern=r"^[^\x00]*$")] = ""
    run_id: _Name = ""


class SavedCheck(SavedRun):
    """The folder of the reconstruction that was made last, and whether its map was looked at."""

    looking: bool = False


class SavedState(_Plain):
    """A kept state: how it is drawn, where its map came from, and the part with its arrays."""

    name: Annotated[str, Field(min_length=1, max_length=1_000)]
    colour: Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")]
    visible: bool = True
    place: _Name = ""
    part: Annotated[str, Field(max_length=100)] = ""
    label: _Name = ""
    kind: Literal["decoded", "reconstructed", "file"] = "file"
    detail: _Name = ""
    run_id: _Name = ""
    epoch: int = -1
    particle_count: _Row = 0
    z: _Numbers = []
    sigma: _Finite = 0.0
    box_px: _Box = 0
    full_box_px: _Box = 0
    preview_box_px: _Box = 0


class SavedFiles(_Plain):
    """Input files that were open, by kind; each as :class:`SavedRun` has its folder."""

    particles: SavedRun | None = None
    structure: SavedRun | None = None
    consensus_map: SavedRun | None = None


class SavedSession(_Plain):
    """All of ``project.json`` but its head and its parts."""

    run: SavedRun | None = None
    compared: Annotated[list[SavedRun], Field(max_length=100)] = []
    files: SavedFiles = SavedFiles()
    config: dict[str, Any] | None = None
    view: SavedView = SavedView()
    check: SavedCheck | None = None
    #: Each is looked at by itself: :mod:`cryoscope.session.project_states`.
    kept: Any = ()
    window_numbers: Annotated[dict[_Name, tuple[_Finite, ...]], Field(max_length=_MOST_NAMES)] = {}


def read_saved(content: Mapping[str, Any], file: Path) -> tuple[SavedSession, list[InputError]]:
    """What a project file says, field by field; a field that makes no sense is left out.

    Returns
    -------
    What is sound, and one error for every field that was left out.
    """
    kept = {name: content[name] for name in SavedSession.model_fields if name in content}
    view = kept.get("view")
    kept["view"] = dict(view) if isinstance(view, Mapping) else {}
    problems: list[InputError] = []
    if view is not None and not isinstance(view, Mapping):
        problems.append(_damaged("view", file))
    while True:
        try:
            return SavedSession.model_validate(kept), problems
        except ValidationError as error:
            place = [str(part) for part in error.errors()[0]["loc"]]
            inside = place[0] == "view" and len(place) > 1
            holder, name = (kept["view"], place[1]) if inside else (kept, place[0])
            del holder[name]
            problems.append(_damaged(".".join(place), file))


def _damaged(name: str, file: Path) -> InputError:
    return InputError(
        f"{name!r} makes no sense and was left out", file=file, cure="Set it again in the window."
    )
