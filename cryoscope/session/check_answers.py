"""The parts of a check from the arrays and numbers that the checking process leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from cryoscope.data import Provenance, Volume
from cryoscope.session.check_measures import named_curve
from cryoscope.session.check_records import Curve

if TYPE_CHECKING:
    from cryoscope.analysis.association import Association
    from cryoscope.analysis.views import ViewMap
    from cryoscope.session.view_averages import ViewAverages

_Arrays = dict[str, NDArray[Any]]
_Record = dict[str, Any]


def map_of(arrays: _Arrays, record: _Record, detail: str) -> Volume:
    """The reconstructed map; ``detail`` says what of."""
    provenance = Provenance(
        "reconstructed", detail=detail, particle_count=int(sum(record["half_counts"]))
    )
    return Volume.centred(arrays["map"], float(record["voxel_size_A"]), provenance)


def curve_of(arrays: _Arrays, record: _Record, name: str) -> Curve:
    """The correlation ``fsc``, ``control`` or ``decoded``."""
    return named_curve(
        arrays[f"{name}-frequency"],
        arrays[f"{name}-correlation"],
        float(record[f"{name}_resolution_A"]),
        float(record.get(f"{name}_threshold", 0.143)),
    )


def views_in(arrays: _Arrays, record: _Record) -> ViewMap:
    """The viewing directions."""
    from cryoscope.analysis.views import ViewMap

    return ViewMap(selected=arrays["selected"], everyone=arrays["everyone"], **record["views"])


def associations_in(record: _Record) -> tuple[Association, ...]:
    """What the latents follow."""
    from cryoscope.analysis.association import Association

    return tuple(Association(**one) for one in record["associations"])


def averages_in(arrays: _Arrays, record: _Record) -> ViewAverages | None:
    """The averages by view, where there are any."""
    from cryoscope.session.view_averages import ViewAverages

    if "view_maps" not in record:
        return None
    names = record["view_maps"]
    return ViewAverages(
        images=arrays["view-images"],
        counts=arrays["view-counts"],
        used=arrays["view-used"],
        azimuth_deg=arrays["view-azimuth_deg"],
        elevation_deg=arrays["view-elevation_deg"],
        pixel_size_A=float(record["view_pixel_size_A"]),
        projections={name: arrays[f"view-projection-{name}"] for name in names},
        agreement={name: arrays[f"view-agreement-{name}"] for name in names},
    )
