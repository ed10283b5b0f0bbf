"""What the cases of a bench must reach, and what came of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from cryoscope.data import InputError

Sense = Literal["<=", "<", ">=", ">", ""]
Options = Mapping[str, Any]
#: Label and unit by figure.
Labels = Mapping[str, tuple[str, str]]


@dataclass(frozen=True)
class Goal:
    """What a figure must reach: ``value + factor * (figure of another case, or a floor)``.

    Without a sense the figure is shown and must reach nothing.
    """

    figure: str
    sense: Sense = ""
    value: float = 0.0
    factor: float = 1.0
    case: str = ""
    floor: str = ""


@dataclass(frozen=True)
class BenchCase:
    """One training run and what it must show.

    Attributes
    ----------
    name
        Also the name of its run folder.
    group
        Cases that can be asked for together.
    data, preset
        Names.
    goals
        One row of the table each.
    options
        Settings that make this case what it is; a restraint's by its pairs
        (``loss.restraints.elastic.weight``).
    """

    name: str
    group: str
    data: str
    preset: str
    goals: tuple[Goal, ...]
    options: Options = field(default_factory=dict)


_C = TypeVar("_C", bound=BenchCase)


@dataclass
class BenchOutcome:
    """What came of one case: figures, floors by figure, speed; or why there are none.

    ``failed``: by an error of ours; without, the case cannot run here.
    """

    case: BenchCase
    figures: dict[str, float] = field(default_factory=dict)
    floors: dict[str, dict[str, float]] = field(default_factory=dict)
    speed: dict[str, Any] = field(default_factory=dict)
    overrides: list[str] = field(default_factory=list)
    problem: str = ""
    failed: bool = False


@dataclass(frozen=True)
class Row:
    """One figure of one case beside what it must reach and beside its floors.

    ``bound`` and ``measured`` are None where they are not known (yet); ``reached`` then is too.
    """

    case: BenchCase
    goal: Goal
    label: str
    unit: str
    measured: float | None
    bound: float | None
    must_reach: str
    reached: bool | None
    floors: Mapping[str, float]
    speed: Mapping[str, Any]


def rows_of(outcomes: Mapping[str, BenchOutcome], labels: Labels) -> list[Row]:
    """The rows of the table: one for every goal of every case that ran."""
    return [
        _row(outcome, goal, outcomes, labels)
        for outcome in outcomes.values()
        if not outcome.problem
        for goal in outcome.case.goals
    ]


def _row(
    outcome: BenchOutcome, goal: Goal, outcomes: Mapping[str, BenchOutcome], labels: Labels
) -> Row:
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
    label, unit = labels[goal.figure]
    return Row(
        outcome.case, goal, label, unit, measured, bound, must_reach, reached, floors, outcome.speed
    )


def _bound(
    goal: Goal, floors: Mapping[str, float], outcomes: Mapping[str, BenchOutcome]
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


def cases_named(cases: Sequence[_C], names: str) -> tuple[_C, ...]:
    """The cases of a comma-separated list of names and groups; all for an empty one.

    Raises
    ------
    InputError
        For a name that is neither.
    """
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    known = {case.name for case in cases} | {case.group for case in cases}
    for name in wanted:
        if name not in known:
            groups = ", ".join(dict.fromkeys(case.group for case in cases))
            raise InputError(
                f"there is no case {name!r}",
                cure=f"Choose of {groups}, or single ones: {', '.join(c.name for c in cases)}",
            )
    return tuple(c for c in cases if not wanted or c.name in wanted or c.group in wanted)
