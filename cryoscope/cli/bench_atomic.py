"""``cryoscope bench atomic``: progress, and the table after every case."""

from __future__ import annotations

import json
import threading
from pathlib import Path

from cryoscope.cli.console import StageProgress, stop_on_interrupt

_STOPPED = 130


def run_atomic(
    out: Path, cases: str, scale: str, fixtures: Path | None, device: str, json_file: Path | None
) -> int:
    """Run the cases named and print the table; ``table.*`` in ``out`` grow with every case.

    Returns
    -------
    130 when stopped by the user, 1 when a case failed, else 0.
    """
    from cryoscope.io.atomic import write_text_atomic
    from cryoscope.session import bench_atomic, bench_atomic_report
    from cryoscope.session.bench_atomic_cases import chosen_cases
    from cryoscope.session.bench_atomic_data import FIXTURES
    from cryoscope.session.bench_atomic_picture import write_picture

    chosen = chosen_cases(cases)
    stopping = threading.Event()
    files = [out / "table.json", *([json_file] if json_file is not None else [])]

    def write(outcomes: dict[str, bench_atomic.Outcome]) -> None:
        machine = bench_atomic.machine()
        figures = bench_atomic_report.figures_json(outcomes, scale, machine)
        for file in files:
            write_text_atomic(file, json.dumps(figures, indent=1) + "\n")
        table = bench_atomic_report.markdown(outcomes, scale, machine)
        write_text_atomic(out / "table.md", table)
        write_picture(bench_atomic_report.rows_of(outcomes), out / "table.png")

    with StageProgress() as progress, stop_on_interrupt(stopping.set, "keeping what is done"):
        try:
            outcomes = bench_atomic.run(
                chosen,
                scale,
                out,
                fixtures=fixtures or FIXTURES,
                device=device,
                progress=progress.update,
                should_stop=stopping.is_set,
                after_each=write,
            )
        except bench_atomic.BenchStopped:
            return _STOPPED
    print((out / "table.md").read_text("utf-8"))
    print(
        "\n".join(f"table       {out / name}" for name in ("table.md", "table.json", "table.png"))
    )
    return int(any(outcome.failed for outcome in outcomes.values()))
