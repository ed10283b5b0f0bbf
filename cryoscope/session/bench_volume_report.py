"""The table of ``cryoscope bench volume``: Markdown and JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cryoscope.analysis.floors import ORACLE
from cryoscope.session import bench_goals, bench_report
from cryoscope.session.bench_goals import Row
from cryoscope.session.bench_report import number, table
from cryoscope.session.bench_volume_cases import COMMON, DATA_SETS, scale_of
from cryoscope.session.bench_volume_figures import BACKPROJECTED, LABELS, MEAN_MAP, SHUFFLED

if TYPE_CHECKING:
    from cryoscope.session.bench_volume import VolumeOutcome

_FLOORS = (SHUFFLED, MEAN_MAP, BACKPROJECTED, ORACLE)
#: Floors in the picture.
MARKS = {name: name for name in _FLOORS}
_HEADER = (
    "case", "data", "program", "figure", "must reach", "measured", "reached", *_FLOORS,
    "images/s", "epochs", "seconds",
)  # fmt: skip


def rows_of(outcomes: Mapping[str, VolumeOutcome]) -> list[Row]:
    """The rows of the table: one for every goal of every case that ran."""
    return bench_goals.rows_of(outcomes, LABELS)


def figures_json(
    outcomes: Mapping[str, VolumeOutcome], scale: str, machine: Mapping[str, Any]
) -> dict[str, Any]:
    """Everything the table shows, and all figures, floors and overrides, under stable keys."""
    return bench_report.figures_json("volume", rows_of(outcomes), outcomes, scale, machine)


def markdown(outcomes: Mapping[str, VolumeOutcome], scale: str, machine: Mapping[str, Any]) -> str:
    """The table, what did not run and why, every deviation from the preset, and the data."""
    return "\n".join(
        [
            *bench_report.title("volume", scale, machine),
            *table(_HEADER, (_cells(row) for row in rows_of(outcomes))),
            *bench_report.problems(outcomes),
            *bench_report.deviations(outcomes),
            *_data(outcomes, scale),
            "",
        ]
    )


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.case.name,
        row.case.data,
        f"{row.case.preset} {row.speed.get('version', '')}".strip(),
        bench_report.figure_cell(row),
        row.must_reach,
        number(row.measured),
        bench_report.reached_cell(row),
        *(number(row.floors.get(name)) for name in _FLOORS),
        number(row.speed.get("images_per_s"), ",.0f"),
        str(row.speed.get("epochs", "")),
        number(row.speed.get("seconds"), ",.0f"),
    )


def _data(outcomes: Mapping[str, VolumeOutcome], scale: str) -> Iterator[str]:
    yield from ("", "## Data", "")
    shown = {outcome.case.data: outcome.case for outcome in outcomes.values()}
    for data, case in shown.items():
        size, settings = scale_of(case, scale), COMMON | dict(DATA_SETS[data].settings)
        mixed = ", ".join(f"{c.name} {c.share:g}" for c in settings.pop("compositions", ()))
        told = ", ".join(f"{key} {value}" for key, value in settings.items())
        told += f"; shares: {mixed}" if mixed else ""
        yield (
            f"- `{data}`: {size.particles:,} images of {size.box_px} px, {size.pixel_size_A:g} A "
            f"per pixel, N x SNR {size.particles * settings['snr']:,.0f}; {told}"
        )
