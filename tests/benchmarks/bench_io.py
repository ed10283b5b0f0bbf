"""Reading, writing and caching particles, with the usual readers beside; nothing is asserted.

``python tests/benchmarks/bench_io.py [--rows 1000000] [--images 10000] [--cached 100000]
[--fuzz 20000]`` prints every figure that is asked of input and output, each with its alternative
measured in the same run, and ends in a table. Wall and processor seconds are both printed: on a
machine that others use, only the latter are steady. A figure "on 2 free cores" is projected from
the processor seconds of one. Round trips: ``CRYOSCOPE_EXAMPLES=2000 pytest
-o timeout=0 tests/io/test_round_trips.py``.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import mrcfile
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from cryoscope.data import CTFParams, Optics, Particles, ParticleSource
from cryoscope.io.particle_cache import CacheEstimate, CacheSpec, open_or_build_cache
from cryoscope.io.stack import StackImages, StackWriter
from cryoscope.io.star import read_star, write_star_rows
from tests.mutations import fuzz

TEXT = ("_rlnImageName", "_rlnMicrographName")
WHOLE = ("_rlnOpticsGroup", "_rlnClassNumber", "_rlnRandomSubset")
REAL = (
    *("_rlnCoordinateX", "_rlnCoordinateY", "_rlnDefocusU", "_rlnDefocusV", "_rlnDefocusAngle"),
    *("_rlnPhaseShift", "_rlnCtfBfactor", "_rlnAngleRot", "_rlnAngleTilt", "_rlnAnglePsi"),
    *("_rlnOriginXAngst", "_rlnOriginYAngst", "_rlnNormCorrection", "_rlnLogLikeliContribution"),
    "_rlnMaxValueProbDistribution",
)
# How a child process reads a file: its own peak of memory, and nothing else's.
OURS = """
from cryoscope.io.star import read_star
block = read_star({path!r}).particle_block()
words = [c for c in block.columns if c.endswith("Name")]
block.load(text=words, numbers=[c for c in block.columns if c not in words])
"""
OURS_WITH_TEXT = OURS + "[block.text(c) for c in words]\n"
NEEDED = """
from cryoscope.io.star import read_star
block = read_star({path!r}).particle_block()
kinds = ("Angle", "Origi", "Defoc", "Phase", "Optic", "Rando")
used = [c for c in block.columns if c[4:9] in kinds]
block.load(text=["_rlnImageName"], numbers=used)
"""
THEIRS = "import starfile; starfile.read({path!r}, always_dict=True)"
CHILD = """
import os, resource, time
{warm}
before, begin = os.times(), time.perf_counter()
{code}
wall, after = time.perf_counter() - begin, os.times()
processor = max(after.user + after.system - before.user - before.system, 0.01)
print(wall, processor, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


FIGURES: list[tuple[str, str, str]] = []


def figure(name: str, asked: str, measured: str) -> None:
    """Keep a line of the table at the end."""
    FIGURES.append((name, asked, measured))


def write_table(path: Path, rows: int) -> None:
    """A particle file with 20 columns as RELION writes them."""
    rng = np.random.default_rng(0)
    head = "\n# version 30001\n\ndata_particles\n\nloop_\n"
    head += "".join(f"{name} #{i}\n" for i, name in enumerate((*TEXT, *WHOLE, *REAL), 1))
    with path.open("w", encoding="ascii") as stream:
        stream.write(head)
        for begin in range(0, rows, 10_000):
            count = min(10_000, rows - begin)
            scale = 10.0 ** rng.integers(0, 6, len(REAL))
            numbers = (rng.uniform(-1, 1, (count, len(REAL))) * scale).tolist()
            whole = rng.integers(1, 5, (count, len(WHOLE))).tolist()
            for i, (integers, reals) in enumerate(zip(whole, numbers, strict=True), begin):
                movie = f"job002/Movies/mic_{i // 200:05d}"
                text = f"{i % 200 + 1:06d}@Extract/{movie}.mrcs MotionCorr/{movie}.mrc "
                text += " ".join(f"{value:12d}" for value in integers) + " "
                stream.write(text + " ".join(f"{value:12.6f}" for value in reals) + " \n")


def in_child(code: str, path: Path, small: Path) -> tuple[float, float, float]:
    """Wall and processor seconds, and peak bytes, of a process that has read a small file."""
    warm, code = (code.format(path=str(file)) for file in (small, path))
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", CHILD.format(warm=warm, code=code)],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    wall_s, processor_s, peak_bytes = map(float, done.stdout.split())
    return wall_s, processor_s, peak_bytes


def star(folder: Path, rows: int) -> None:
    """Read all columns; write a tenth of the rows."""
    path, small = folder / "particles.star", folder / "small.star"
    write_table(path, rows)
    write_table(small, 100)
    size = path.stat().st_size
    print(f"\n.star of {rows:,} rows and 20 columns, {size / 1e6:,.0f} MB; all columns read")
    print(
        f"{'':38s}{'wall s':>9s}{'cpu s':>9s}{'peak / file':>13s}{'faster, wall':>14s}{'cpu':>7s}"
    )
    runs = (
        ("starfile", THEIRS),
        ("ours, all 20 columns", OURS),
        ("ours, names as text arrays", OURS_WITH_TEXT),
        ("ours, the columns of poses and CTF", NEEDED),
    )
    base = (0.0, 0.0)
    for name, code in runs:
        best = min(in_child(code, path, small) for _ in range(3))
        base = base if base[0] else best[:2]
        if code is OURS:
            faster = f"{base[0] / best[0]:.1f}x wall, {base[1] / best[1]:.1f}x processor"
            figure(f"read .star, {rows:,} x 20, against starfile", ">= 10x", faster)
            figure("  peak memory over the file", "< 4x", f"{best[2] / size:.2f}x")
        print(
            f"{name:38s}{best[0]:9.2f}{best[1]:9.2f}{best[2] / size:13.2f}"
            f"{base[0] / best[0]:13.1f}x{base[1] / best[1]:6.1f}x"
        )
    same_values(path)
    chosen = np.sort(np.random.default_rng(1).choice(rows, rows // 10, replace=False))
    begin, used = time.perf_counter(), time.process_time()
    source_file = read_star(path)
    read = time.perf_counter() - begin
    write_star_rows(source_file, chosen, folder / "subset.star")
    wall, cpu = time.perf_counter() - begin, time.process_time() - used
    print(
        f"a subset of {len(chosen):,} rows: read {read:.2f} s, write {wall - read:.2f} s;", end=" "
    )
    print(f"together {cpu:.2f} s cpu")
    same = same_rows(path, folder / "subset.star", chosen)
    print(f"rows byte for byte the same: {same}")
    theirs_s = starfile_subset(path, chosen, folder / "theirs.star")
    print(
        f"starfile writes these rows in {theirs_s:.2f} s, {theirs_s / (wall - read):.0f}x as long"
    )
    figure(
        f"write {len(chosen):,} of its rows",
        "< 2 s, the same bytes",
        f"{wall - read:.2f} s, {'the same' if same else 'OTHER'} bytes "
        f"({theirs_s / (wall - read):.0f}x starfile)",
    )


def starfile_subset(path: Path, chosen: np.ndarray, out: Path) -> float:
    """Seconds in which starfile writes some rows."""
    import starfile

    frame = next(iter(starfile.read(path, always_dict=True).values())).iloc[chosen]
    begin = time.perf_counter()
    starfile.write({"particles": frame}, out)
    return time.perf_counter() - begin


def same_rows(path: Path, subset: Path, chosen: np.ndarray) -> bool:
    """Whether the rows of a subset are those of its source, byte for byte."""
    lines = [
        path.read_bytes().splitlines(True),
        subset.read_bytes().splitlines(True),
    ]
    source, copy = ([line for line in part if b"@" in line] for part in lines)
    return [source[i] for i in chosen.tolist()] == copy


def same_values(path: Path) -> None:
    """Compare every value with starfile's."""
    import starfile

    frame = next(iter(starfile.read(path, always_dict=True).values()))
    block = read_star(path).particle_block()
    equal, largest = True, 0.0
    for column in block.columns:
        theirs = frame[column[1:]].to_numpy()
        if theirs.dtype.kind in "if":
            ours = block.numbers(column)
            scale = np.maximum(np.abs(theirs), 1e-300)
            largest = max(largest, float((np.abs(ours - theirs) / scale).max()))
        else:
            equal = equal and bool((block.text(column) == theirs.astype(str)).all())
    print(f"text the same: {equal}; largest relative difference of numbers: {largest:.1e}")


def clocked(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor seconds."""
    begin, used = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - begin, time.process_time() - used


def random_access(folder: Path, count: int) -> Particles:
    """Particles of 200 stacks in random order, against mrcfile opened for each."""
    box, files, each = 128, [folder / f"{i}.mrcs" for i in range(200)], max(count // 100, 1)
    rng = np.random.default_rng(0)
    for file in files:
        with StackWriter(file, box, 1.0) as writer:
            writer.append(rng.normal(size=(each, box, box)).astype(np.float32))
    which, frame = np.repeat(np.arange(200), each), np.tile(np.arange(each), 200)
    images = StackImages.open(files, which, frame, table=folder / "a.star")
    chosen = rng.choice(len(which), min(count, len(which)), replace=False)
    images.read(chosen)
    print(f"\n{len(chosen):,} random particles of 200 stacks, {box} px; images/s by wall, by cpu")
    ours = (0.0, 0.0)
    for batch in (len(chosen), 256, 32):
        wall, cpu = clocked(
            lambda b=batch: [images.read(chosen[i : i + b]) for i in range(0, len(chosen), b)]
        )
        ours = (len(chosen) / wall, len(chosen) / cpu) if batch == len(chosen) else ours
        print(
            f"{f'ours, {batch:,} at once':38s}{len(chosen) / wall:12,.0f}{len(chosen) / cpu:12,.0f}"
        )
    some = chosen[: max(len(chosen) // 10, 1)]
    for name, opened in (("mrcfile.mmap", mrcfile.mmap), ("mrcfile.open", mrcfile.open)):

        def one_by_one(opened: Callable[..., mrcfile.mrcfile.MrcFile] = opened) -> None:
            for i in some.tolist():
                with opened(files[which[i]], permissive=True) as stack:
                    np.array(stack.data[frame[i]], dtype=np.float32)

        wall, cpu = clocked(one_by_one)
        print(f"{name + ' per particle':38s}{len(some) / wall:12,.0f}{len(some) / cpu:12,.0f}")
        figure(
            f"random access of {len(chosen):,}, against {name}",
            ">= 5x",
            f"{ours[0] * wall / len(some):.1f}x wall, {ours[1] * cpu / len(some):.1f}x processor",
        )
    return Particles(
        images=images,
        optics=(Optics(pixel_size_A=1.0, box_size_px=box),),
        ctf=CTFParams.uniform(len(which), 15_000.0),
        poses=None,
        half_set=np.ones(len(which), dtype=np.int8),
        uid=np.arange(len(which)).astype(np.str_),
        source=ParticleSource(folder / "a.star", np.arange(len(which))),
    )


def cache(folder: Path, particles: Particles, count: int) -> None:
    """Fourier-crop 128 px to 64 px, normalise, write; images of the stacks again and again."""
    many = particles.take(np.resize(np.arange(len(particles)), count))
    warm = particles.take(np.arange(min(600, len(particles))))
    open_or_build_cache(warm, CacheSpec(64, 50.0, 1), folder / "warm")
    for float16 in (False, True):
        spec = CacheSpec(64, 50.0, 1, float16=float16)
        told: list[CacheEstimate] = []

        def build(
            where: Path = folder / f"cache-{float16}",
            spec: CacheSpec = spec,
            told: list[CacheEstimate] = told,
        ) -> None:
            open_or_build_cache(many, spec, where, announce=told.append)

        wall, cpu = clocked(build)
        kind = "float16" if float16 else "float32"
        print(
            f"\ncache of {count:,} images, 128 px to 64 px, {kind} ({told[0].words()} said before):"
            f" {count / wall:,.0f} images/s by wall;"
        )
        free = 2 * count / cpu
        print(f"{1e3 * cpu / count:.2f} ms cpu an image, {free:,.0f} images/s on 2 free cores")
        figure(
            f"cache build, {count:,} x 128^2 -> 64^2, {kind}",
            ">= 3,000 images/s",
            f"{count / wall:,.0f} wall, {free:,.0f} on 2 free cores",
        )
        again, _ = clocked(build)
        print(f"opened again, with its content checked, in {1e3 * again:.0f} ms")
        shutil.rmtree(folder / f"cache-{float16}")


def main() -> None:
    """All of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    defaults = (("rows", 1_000_000), ("images", 10_000), ("cached", 100_000), ("fuzz", 20_000))
    for name, default in defaults:
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if asked.rows:
            star(folder, asked.rows)
        if asked.images:
            cache(folder, random_access(folder, asked.images), asked.cached)
        if asked.fuzz:
            begin = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            print(f"\n{asked.fuzz:,} spoilt files: read, refused, slowest s")
            found = fuzz(folder, asked.fuzz, seed=2)
            for kind, (read, refused, slowest_s) in found.items():
                print(f".{kind:6s}{read:9,}{refused:9,}{slowest_s:9.3f}")
            grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - begin
            print(f"peak memory grew by {grown / 1e3:,.0f} MB")
            slowest = max(s for *_, s in found.values())
            figure(
                f"{asked.fuzz:,} spoilt files",
                "no crash, none over 2 s",
                f"all read or refused, slowest {slowest:.2f} s, memory +{grown / 1e3:,.0f} MB",
            )
    print(f"load {os.getloadavg()[0]:.1f}\n")
    for line in (("", "asked", "measured"), *FIGURES):
        print(f"{line[0]:62s}{line[1]:26s}{line[2]}")


if __name__ == "__main__":
    main()
