"""What the tables of all benches have in common: numbers, Markdown, JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cryoscope.session.bench_goals import BenchOutcome, Row


def number(value: float | None, form: str = ".3g") -> str:
    """A figure as the table shows it; empty where there is none."""
    return "" if value is None or math.isnan(value) else format(value, form)


def reached_cell(row: Row) -> str:
    """Whether a goal was reached; a question mark where one side is not known."""
    return {True: "yes", False: "**no**", None: "" if not row.goal.sense else "?"}[row.reached]


def figure_cell(row: Row) -> str:
    """Label and unit."""
    return f"{row.label} ({row.unit})" if row.unit else row.label


def title(bench: str, scale: str, machine: Mapping[str, Any]) -> Iterator[str]:
    """The head of the document."""
    about = "; ".join(f"{key} {value}" for key, value in machine.items() if value)
    yield from (f"# cryoscope bench {bench}", "", f"Scale `{scale}`; {about}", "")


def table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """A Markdown table, line by line."""
    yield "| " + " | ".join(header) + " |"
    yield "|" + "---|" * len(header)
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def problems(outcomes: Mapping[str, BenchOutcome]) -> Iterator[str]:
    """Cases that did not run, and why."""
    found = [(name, o.problem) for name, o in outcomes.items() if o.problem]
    if found:
        yield from ("", "## Not run", "")
        yield from (f"- `{name}`: {problem}" for name, problem in found)


def deviations(outcomes: Mapping[str, BenchOutcome]) -> Iterator[str]:
    """Every setting that is not the preset's."""
    yield from ("", "## Deviations from the presets", "")
    for name, outcome in outcomes.items():
        if outcome.overrides:
            yield f"- `{name}` ({outcome.case.preset}): " + "; ".join(outcome.overrides)


def figures_json(
    bench: str,
    rows: Iterable[Row],
    outcomes: Mapping[str, BenchOutcome],
    scale: str,
    machine: Mapping[str, Any],
) -> dict[str, Any]:
    """Everything the table shows, and all figures, floors and overrides, under stable keys."""
    return {
        "bench": bench,
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
