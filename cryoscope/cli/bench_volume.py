"""``cryoscope bench volume``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryoscope.cli.bench_cases import run_bench

if TYPE_CHECKING:
    from cryoscope.session.bench_goals import Row
    from cryoscope.session.bench_sets import Progress
    from cryoscope.session.bench_volume import VolumeOutcome


def run_volume(
    out: Path, cases: str, scale: str, peer: Path | None, device: str, json_file: Path | None
) -> int:
    """Run the cases named and print the table (:func:`cryoscope.cli.bench_cases.run_bench`)."""
    from cryoscope.session import bench_volume, bench_volume_report
    from cryoscope.session.bench_runs import machine
    from cryoscope.session.bench_volume_cases import chosen_cases

    chosen = chosen_cases(cases, scale, with_peer=peer is not None)

    def run(
        progress: Progress,
        should_stop: Callable[[], bool],
        after_each: Callable[[dict[str, VolumeOutcome]], None],
    ) -> dict[str, VolumeOutcome]:
        return bench_volume.run(
            chosen,
            scale,
            out,
            peer=peer,
            device=device,
            progress=progress,
            should_stop=should_stop,
            after_each=after_each,
        )

    def tables(outcomes: dict[str, VolumeOutcome]) -> tuple[dict[str, Any], str, list[Row]]:
        about = machine()
        return (
            bench_volume_report.figures_json(outcomes, scale, about),
            bench_volume_report.markdown(outcomes, scale, about),
            bench_volume_report.rows_of(outcomes),
        )

    return run_bench(out, json_file, run, tables, bench_volume_report.MARKS)
