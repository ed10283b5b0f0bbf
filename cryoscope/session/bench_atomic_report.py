"""The table of ``cryoscope bench atomic``: Markdown, JSON and a picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cryoscope.analysis.floors import DO_NOTHING, MEAN_STRUCTURE, ORACLE
from cryoscope.session import bench_goals, bench_report
from cryoscope.session.bench_atomic_cases import DATA_SETS
from cryoscope.session.bench_atomic_figures import LABELS
from cryoscope.session.bench_goals import Row
from cryoscope.session.bench_report import number, table

if TYPE_CHECKING:
    from cryoscope.session.bench_atomic import Outcome

_MODE_FITS = "best fit of "
#: Floors in the picture: label by how the name begins.
MARKS = {
    DO_NOTHING: DO_NOTHING,
    MEAN_STRUCTURE: MEAN_STRUCTURE,
    _MODE_FITS: "best mode fit",
    ORACLE: ORACLE,
}
_HEADER = (
    "case", "data", "preset", "figure", "must reach", "measured", "reached", DO_NOTHING,
    MEAN_STRUCTURE, "best mode fit (modes)", ORACLE, "images/s", "epochs", "seconds",
)  # fmt: skip


def rows_of(outcomes: Mapping[str, Outcome]) -> list[Row]:
    """The rows of the table: one for every goal of every case that ran."""
    return bench_goals.rows_of(outcomes, LABELS)


def figures_json(
    outcomes: Mapping[str, Outcome], scale: str, machine: Mapping[str, Any]
) -> dict[str, Any]:
    """Everything the table shows, and all figures, floors and overrides, under stable keys."""
    return bench_report.figures_json("atomic", rows_of(outcomes), outcomes, scale, machine)


def markdown(outcomes: Mapping[str, Outcome], scale: str, machine: Mapping[str, Any]) -> str:
    """The table, what did not run and why, all floors, and every deviation from a preset."""
    return "\n".join(
        [
            *bench_report.title("atomic", scale, machine),
            *table(_HEADER, (_cells(row) for row in rows_of(outcomes))),
            *bench_report.problems(outcomes),
            *_all_floors(outcomes),
            *bench_report.deviations(outcomes),
            *_data(outcomes),
            "",
        ]
    )


def _cells(row: Row) -> tuple[str, ...]:
    fits = {
        name.removeprefix(_MODE_FITS).removesuffix(" modes"): value
        for name, value in row.floors.items()
        if name.startswith(_MODE_FITS)
    }
    return (
        row.case.name,
        row.case.data,
        row.case.preset,
        bench_report.figure_cell(row),
        row.must_reach,
        number(row.measured),
        bench_report.reached_cell(row),
        number(row.floors.get(DO_NOTHING)),
        number(row.floors.get(MEAN_STRUCTURE)),
        ", ".join(f"{number(value)} ({count})" for count, value in fits.items()),
        number(row.floors.get(ORACLE)),
        number(row.speed.get("images_per_s"), ",.0f"),
        str(row.speed.get("epochs", "")),
        number(row.speed.get("seconds"), ",.0f"),
    )


def _all_floors(outcomes: Mapping[str, Outcome]) -> Iterator[str]:
    """Every predictor's figures, once per data set."""
    yield from ("", "## Predictors that see no image, and the oracle that knows the path", "")
    of_data: dict[tuple[str, str], Mapping[str, Mapping[str, float]]] = {}
    for outcome in outcomes.values():
        if outcome.floors:
            of_data.setdefault((outcome.case.data, outcome.case.start), outcome.floors)
    names = dict.fromkeys(
        name for floors in of_data.values() for values in floors.values() for name in values
    )
    yield from table(
        ("data", "figure", *names),
        (
            (
                f"{data}, {start} start" if start else data,
                LABELS[figure][0],
                *(number(values.get(name)) for name in names),
            )
            for (data, start), floors in of_data.items()
            for figure, values in floors.items()
        ),
    )


def _data(outcomes: Mapping[str, Outcome]) -> Iterator[str]:
    used = dict.fromkeys(outcome.case.data for outcome in outcomes.values())
    yield from ("", "## Data", "")
    for data in used:
        settings = ", ".join(f"{key} {value}" for key, value in DATA_SETS[data].settings.items())
        yield f"- `{data}`: {DATA_SETS[data].source}; {settings}"
