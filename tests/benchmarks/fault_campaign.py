"""Kill the program at random moments and look at what it left.

``python tests/benchmarks/fault_campaign.py [--moments N] [--seed S] [--only WORK] [--json FILE]``

Five works are begun in turn, each in a process of its own that is killed (SIGKILL) at a random
moment: training, making the particle cache, exporting particles and structures, saving selections
and trajectories, saving a project. Another process then opens what is there, as the program would,
and everything must be whole: as it was before or as it is after, never between, and nothing that
was said to be saved may be missing. Work goes on in the same folders, so that each moment also
begins where the last one was cut off.

Moments are drawn evenly over the time a work takes from its start to its end. A training goes
through many of them until it is complete, then the next run is begun; so that most moments do not
fall into its start, when nothing is at stake, they are drawn over ten times what a training takes
to its first checkpoint. Figures are printed; the exit code is 1 if anything was not consistent. The
processes are forked from this one, which imports everything and computes nothing (POSIX).
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import statistics
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from fault_processes import Ended, Work, begin, in_child, look
from fault_project import SavingProject, prepare_run
from fault_works import (
    CHECKPOINT_S,
    TOTAL_STEPS,
    Caching,
    Exporting,
    Saving,
    Training,
    prepare,
)

from cryoscope.io.json_file import write_json

#: Over how many times the way to a first checkpoint the moments of training are drawn.
TRAINING_SPAN = 10.0

WORKS: dict[str, Work] = {
    work.name: work for work in (Training(), Caching(), Exporting(), Saving(), SavingProject())
}


@dataclass
class Figures:
    """What became of the moments of one work."""

    moments: int = 0
    consistent: int = 0
    after_end: int = 0
    untouched: int = 0
    span_s: float = 0.0
    drawn_s: list[float] = field(default_factory=list)
    lost: list[float] = field(default_factory=list)
    lost_steps: list[int] = field(default_factory=list)
    saved: list[int] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


class Span:
    """The time over which the moments of a work are drawn."""

    def __init__(self, work: Work, whole: Ended) -> None:
        self._trains = isinstance(work, Training)
        self._whole_s = whole.at_s - whole.began_s
        self._first_s: list[float] = []
        self.learn(whole)

    def learn(self, ended: Ended) -> None:
        """Take note of when a process said for the first time that something is saved."""
        if ended.said:
            self._first_s.append(ended.said[0][1] - ended.began_s)

    @property
    def seconds(self) -> float:
        """From the start of a process on."""
        return TRAINING_SPAN * statistics.median(self._first_s) if self._trains else self._whole_s


def moment(work: Work, at: Path, span: Span, chance: random.Random, figures: Figures) -> None:
    """One kill, and what it left."""
    while True:
        figures.span_s = span.seconds
        drawn_s = chance.uniform(0, figures.span_s)
        ended = begin(work, at, drawn_s)
        span.learn(ended)
        if ended.killed:
            break
        figures.after_end += 1  # it was quicker this time: no moment
        if os.WEXITSTATUS(ended.status) != 0:
            figures.moments += 1
            figures.faults.append("it failed by itself, before it was killed")
            return
    figures.moments += 1
    figures.drawn_s.append(drawn_s)
    found = look(work, at)
    saved = max((number for number, _ in ended.said), default=0)
    if isinstance(found, str):
        figures.faults.append(found)
    elif found.number < saved:
        figures.faults.append(f"{saved} was saved, {found.number} is there")
    else:
        figures.consistent += 1
        figures.untouched += not ended.said
        figures.lost_steps.append(found.lost_steps)
        figures.saved.append(found.number)
        if ended.said:
            figures.lost.append(ended.at_s - ended.said[-1][1])


def campaign(folder: Path, moments: int, seed: int, names: list[str]) -> dict[str, Figures]:
    """All moments, the works in turn; progress on standard error."""
    chance = random.Random(seed)
    os.environ["XDG_CONFIG_HOME"] = str(folder / "settings")  # not the user's own recent projects

    def begin_with(_pipe: int) -> None:
        prepare(folder)
        prepare_run(folder)

    with in_child(begin_with) as (child, _):
        if os.waitpid(child, 0)[1] != 0:
            raise SystemExit("the set could not be simulated")
    figures = {name: Figures() for name in names}
    spans: dict[str, Span] = {}
    for number, name in zip(range(moments), itertools.cycle(names), strict=False):
        work = WORKS[name]
        if name not in spans:  # how long it takes when nobody kills it
            whole = begin(work, folder, None)
            if whole.status != 0 or not whole.said:
                raise SystemExit(f"{name} does not work at all")
            spans[name] = Span(work, whole)
        done = figures[name]
        moment(work, folder, spans[name], chance, done)
        print(f"{number + 1}/{moments} {name}: {done.consistent}/{done.moments}", file=sys.stderr)
    return figures


def report(figures: dict[str, Figures]) -> str:
    """The figures as a table."""
    heads = f"{'consistent':>12}{'drawn over, s':>15}{'before a save':>15}{'since a save, s':>19}"
    lines = [f"{'work':<20}{heads}"]
    for name, one in figures.items():
        lost = f"{np.median(one.lost):.2f}, most {max(one.lost):.2f}" if one.lost else "-"
        count = f"{one.consistent}/{one.moments}"
        lines.append(f"{name:<20}{count:>12}{one.span_s:>15.1f}{one.untouched:>15}{lost:>19}")
    total = sum(one.moments for one in figures.values())
    good = sum(one.consistent for one in figures.values())
    lines.append(f"{good} of {total} consistent reopenings; checkpoints every {CHECKPOINT_S} s")
    if Training.name in figures:
        lines += _of_training(figures[Training.name])
    lines += [f"FAULT in {name}: {fault}" for name, one in figures.items() for fault in one.faults]
    return "\n".join(lines)


def _of_training(one: Figures) -> list[str]:
    """Where in a training its moments were."""
    after = one.consistent - one.untouched
    quarters = np.bincount([min(3, 4 * step // TOTAL_STEPS) for step in one.saved], minlength=4)
    drawn = np.percentile(one.drawn_s or [0.0], [0, 25, 50, 75, 100])
    middle = ", ".join(f"{s:.1f}" for s in drawn[1:4])
    return [
        f"training: {after} of {one.moments} moments after the first checkpoint of their process; "
        f"at {drawn[0]:.1f} to {drawn[4]:.1f} s (quartiles {middle})",
        f"checkpoints that were found, by quarter of a run of {TOTAL_STEPS:,} steps: "
        f"{', '.join(map(str, quarters))}",
        f"steps that were reported and are lost: {max(one.lost_steps, default=0)} at most",
    ]


def main() -> int:
    """Run the campaign that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--moments", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=list(WORKS), default=list(WORKS))
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fault-campaign-") as folder:
        figures = campaign(Path(folder), options.moments, options.seed, options.only)
    print(report(figures))
    if options.json is not None:
        write_json(options.json, {name: vars(one) for name, one in figures.items()})
    return 0 if all(one.consistent == one.moments for one in figures.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
