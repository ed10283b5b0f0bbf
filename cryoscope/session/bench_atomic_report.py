"""The table of ``cryoscope bench atomic``: Markdown, JSON and a picture."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cryoscope.analysis.floors import DO_NOTHING, MEAN_STRUCTURE, ORACLE
from cryoscope.session.bench_atomic_cases import DATA_SETS, Case, Goal
from cryoscope.session.bench_atomic_figures import LABELS

if TYPE_CHECKING:
    from cryoscope.session.bench_atomic import Outcome

_MODE_FITS = "best fit of "
_HEADER = (
    "case", "data", "preset", "figure", "must reach", "measured", "reached", DO_NOTHING,
    MEAN_STRUCTURE, "best mode fit (modes)", ORACLE, "images/s", "epochs", "seconds",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One figure of one case beside what it must reach and beside its floors.

    ``bound`` and ``measured`` are None where they are not known (yet); ``reached`` then is too.
    """

    case: Case
    goal: Goal
    measured: float | None
    bound: float | None
    must_reach: str
    reached: bool | None
    floors: Mapping[str, float]
    speed: Mapping[str, Any]

    @property
    def unit(self) -> str:
        """Of the figure."""
        return LABELS[self.goal.figure][1]


def rows_of(outcomes: Mapping[str, Outcome]) -> list[Row]:
    """The rows of the table: one for every goal of every case that ran."""
    return [
        _row(outcome, goal, outcomes)
        for outcome in outcomes.values()
        if not outcome.problem
        for goal in outcome.case.goals
    ]


def _row(outcome: Outcome, goal: Goal, outcomes: Mapping[str, Outcome]) -> Row:
    floors = outcome.floors.get(goal.figure, {})
    measured = outcome.figures.get(goal.figure)
    bound = _bound(goal, floors, outcomes)
    reached = None
    if goal.sense and measured is not None and bound is not None:
        reached = {
            "<=": measured <= bound,
            "<": measured < bound,
            ">=": measured >= bound,
            ">": measured > bound,
        }[goal.sense]
    must_reach = _must_reach(goal, bound)
    return Row(outcome.case, goal, measured, bound, must_reach, reached, floors, outcome.speed)


def _bound(
    goal: Goal, floors: Mapping[str, float], outcomes: Mapping[str, Outcome]
) -> float | None:
    if not goal.sense:
        return None
    against: float | None = 0.0
    if goal.case:
        other = outcomes.get(goal.case)
        against = other.figures.get(goal.figure) if other is not None else None
    elif goal.floor:
        against = floors.get(goal.floor)
    return None if against is None else goal.value + goal.factor * against


def _must_reach(goal: Goal, bound: float | None) -> str:
    """E.g. ``">= 2.41 (1.3 x cryostar-keep80)"``."""
    if not goal.sense:
        return ""
    number = "?" if bound is None else f"{bound:.3g}"
    other = goal.case or goal.floor
    if not other:
        return f"{goal.sense} {number}"
    factor = "" if goal.factor == 1.0 else f"{goal.factor:g} x "
    plus = "" if goal.value == 0.0 else f" + {goal.value:g}"
    return f"{goal.sense} {number} ({factor}{other}{plus})"


def figures_json(
    outcomes: Mapping[str, Outcome], scale: str, machine: Mapping[str, Any]
) -> dict[str, Any]:
    """Everything the table shows, and all figures, floors and overrides, under stable keys."""
    rows = rows_of(outcomes)
    return {
        "bench": "atomic",
        "scale": scale,
        "machine": dict(machine),
        "rows": [
            {
                "case": row.case.name,
                "data": row.case.data,
                "preset": row.case.preset,
                "figure": row.goal.figure,
                "must_reach": row.must_reach,
                "bound": row.bound,
                "measured": row.measured,
                "reached": row.reached,
            }
            for row in rows
        ],
        "cases": {
            name: {
                "figures": outcome.figures,
                "floors": outcome.floors,
                "speed": outcome.speed,
                "overrides": outcome.overrides,
                "problem": outcome.problem,
            }
            for name, outcome in outcomes.items()
        },
    }


def markdown(outcomes: Mapping[str, Outcome], scale: str, machine: Mapping[str, Any]) -> str:
    """The table, what did not run and why, all floors, and every deviation from a preset."""
    return "\n".join(
        [
            "# cryoscope bench atomic",
            "",
            f"Scale `{scale}`; "
            + "; ".join(f"{key} {value}" for key, value in machine.items() if value),
            "",
            *_table(_HEADER, (_cells(row) for row in rows_of(outcomes))),
            *_problems(outcomes),
            *_all_floors(outcomes),
            *_overrides(outcomes),
            "",
        ]
    )


def _cells(row: Row) -> tuple[str, ...]:
    reached = {True: "yes", False: "**no**", None: "" if not row.goal.sense else "?"}[row.reached]
    label, unit = LABELS[row.goal.figure]
    fits = {
        name.removeprefix(_MODE_FITS).removesuffix(" modes"): value
        for name, value in row.floors.items()
        if name.startswith(_MODE_FITS)
    }
    return (
        row.case.name,
        row.case.data,
        row.case.preset,
        f"{label} ({unit})" if unit else label,
        row.must_reach,
        number(row.measured),
        reached,
        number(row.floors.get(DO_NOTHING)),
        number(row.floors.get(MEAN_STRUCTURE)),
        ", ".join(f"{number(value)} ({count})" for count, value in fits.items()),
        number(row.floors.get(ORACLE)),
        number(row.speed.get("images_per_s"), ",.0f"),
        str(row.speed.get("epochs", "")),
        number(row.speed.get("seconds"), ",.0f"),
    )


def number(value: float | None, form: str = ".3g") -> str:
    """A figure as the table shows it; empty where there is none."""
    return "" if value is None or math.isnan(value) else format(value, form)


def _table(header: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    yield "| " + " | ".join(header) + " |"
    yield "|" + "---|" * len(header)
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def _problems(outcomes: Mapping[str, Outcome]) -> Iterator[str]:
    problems = [(name, o.problem) for name, o in outcomes.items() if o.problem]
    if problems:
        yield from ("", "## Not run", "")
        yield from (f"- `{name}`: {problem}" for name, problem in problems)


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
    yield from _table(
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


def _overrides(outcomes: Mapping[str, Outcome]) -> Iterator[str]:
    yield from ("", "## Deviations from the presets", "")
    for name, outcome in outcomes.items():
        if outcome.overrides:
            yield f"- `{name}` ({outcome.case.preset}): " + "; ".join(outcome.overrides)
    used = dict.fromkeys(outcome.case.data for outcome in outcomes.values())
    yield from ("", "## Data", "")
    for data in used:
        settings = ", ".join(f"{key} {value}" for key, value in DATA_SETS[data].settings.items())
        yield f"- `{data}`: {DATA_SETS[data].source}; {settings}"
