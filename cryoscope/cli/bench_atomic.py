"""``cryoscope bench atomic``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryoscope.cli.bench_cases import run_bench

if TYPE_CHECKING:
    from cryoscope.session.bench_atomic import Outcome
    from cryoscope.session.bench_goals import Row
    from cryoscope.session.bench_sets import Progress


def run_atomic(
    out: Path, cases: str, scale: str, fixtures: Path | None, device: str, json_file: Path | None
) -> int:
    """Run the cases named and print the table (:func:`cryoscope.cli.bench_cases.run_bench`)."""
    from cryoscope.session import bench_atomic, bench_atomic_report
    from cryoscope.session.bench_atomic_cases import chosen_cases
    from cryoscope.session.bench_atomic_data import FIXTURES
    from cryoscope.session.bench_runs import machine

    chosen = chosen_cases(cases)

    def run(
        progress: Progress,
        should_stop: Callable[[], bool],
        after_each: Callable[[dict[str, Outcome]], None],
    ) -> dict[str, Outcome]:
        return bench_atomic.run(
            chosen,
            scale,
            out,
            fixtures=fixtures or FIXTURES,
            device=device,
            progress=progress,
            should_stop=should_stop,
            after_each=after_each,
        )

    def tables(outcomes: dict[str, Outcome]) -> tuple[dict[str, Any], str, list[Row]]:
        about = machine()
        return (
            bench_atomic_report.figures_json(outcomes, scale, about),
            bench_atomic_report.markdown(outcomes, scale, about),
            bench_atomic_report.rows_of(outcomes),
        )

    return run_bench(out, json_file, run, tables, bench_atomic_report.MARKS)
