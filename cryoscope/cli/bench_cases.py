"""What benches of many cases do alike: progress, and the tables after every case."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from cryoscope.cli.console import StageProgress, stop_on_interrupt

if TYPE_CHECKING:
    from cryoscope.session.bench_goals import BenchOutcome, Row
    from cryoscope.session.bench_sets import Progress

    _O = TypeVar("_O", bound=BenchOutcome)

_STOPPED = 130


def run_bench(
    out: Path,
    json_file: Path | None,
    run: Callable[[Progress, Callable[[], bool], Callable[[dict[str, _O]], None]], dict[str, _O]],
    tables: Callable[[dict[str, _O]], tuple[dict[str, Any], str, list[Row]]],
    marks: Mapping[str, str],
) -> int:
    """Run a bench and print its table; ``table.*`` in ``out`` grow with every case.

    Parameters
    ----------
    out, json_file
        Folder of the tables, and another place for the figures.
    run
        Given progress, whether to stop, and what to call after each case.
    tables
        Figures, Markdown and rows of the outcomes so far.
    marks
        See ``session.bench_picture``.

    Returns
    -------
    130 when stopped by the user, 1 when a case failed, else 0.
    """
    from cryoscope.io.atomic import write_text_atomic
    from cryoscope.session.bench_picture import write_picture
    from cryoscope.session.bench_runs import BenchStopped

    stopping = threading.Event()
    files = [out / "table.json", *([json_file] if json_file is not None else [])]

    def write(outcomes: dict[str, _O]) -> None:
        figures, table, rows = tables(outcomes)
        for file in files:
            write_text_atomic(file, json.dumps(figures, indent=1) + "\n")
        write_text_atomic(out / "table.md", table)
        write_picture(rows, out / "table.png", marks)

    with StageProgress() as progress, stop_on_interrupt(stopping.set, "keeping what is done"):
        try:
            outcomes = run(progress.update, stopping.is_set, write)
        except BenchStopped:
            return _STOPPED
    print((out / "table.md").read_text("utf-8"))
    print(
        "\n".join(f"table       {out / name}" for name in ("table.md", "table.json", "table.png"))
    )
    return int(any(outcome.failed for outcome in outcomes.values()))
