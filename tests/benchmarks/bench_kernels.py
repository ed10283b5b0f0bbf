"""Fused kernels against plain torch, and our readers against the usual ones, in one run.

``python tests/benchmarks/bench_kernels.py``: medians and ratios; nothing is asserted.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from timing import median_ms

from cryoscope.models.pair_energies import clash_energy_reference, pair_energy_reference
from cryoscope.models.pair_lists import elastic_pairs
from cryoscope.models.restraints import ClashPotential, PairPotential
from cryoscope.physics.fourier import make_band, rfft2_centred
from cryoscope.physics.projectors import project_dense, project_splat


def row(name: str, ours: float, theirs: float, unit: str = "ms", note: str = "") -> None:
    """One line of the table."""
    print(f"{name:58s}{ours:10.3f} {theirs:10.3f} {unit:6s}{theirs / ours:7.1f}x  {note}".rstrip())


def backward(value: torch.Tensor) -> None:
    """Sum and differentiate."""
    value.sum().backward()


def projectors() -> None:
    """Local splat against the dense separable GEMM, forward and backward, per image.

    Beside the times: the largest difference of images and of gradients, as a share of the largest
    value.
    """
    sizes = ((64, 1.6, 214, 64), (128, 1.0, 214, 32), (128, 3.0, 1000, 16), (128, 3.0, 5000, 4))
    for box, pixel_size_A, count, batch in sizes:
        xy_A = ((torch.rand(batch, count, 2) - 0.5) * box * pixel_size_A * 0.6).requires_grad_()
        mass, sigma_A = torch.ones(count), torch.full((count,), 2.0)
        arguments = (xy_A, mass, sigma_A, box, pixel_size_A)
        fast = median_ms(lambda a=arguments: backward(project_splat(*a)))  # type: ignore[misc]
        dense = median_ms(lambda a=arguments: backward(project_dense(*a)))  # type: ignore[misc]
        name = f"project {count:,} beads, {box} px, {pixel_size_A} A/px, per image"
        image, gradient = projector_differences(xy_A, arguments)
        row(name, fast / batch, dense / batch, note=f"differ by {image:.0e}, {gradient:.0e}")


def projector_differences(xy_A: torch.Tensor, arguments: Any) -> tuple[float, float]:
    """Largest difference of images, and of gradients of a random sum of their pixels."""
    images, gradients = [], []
    weight = torch.randn(len(xy_A), arguments[3], arguments[3])
    for project in (project_splat, project_dense):
        images.append(project(*arguments))
        gradients.append(torch.autograd.grad((images[-1] * weight).sum(), xy_A)[0])
    parts = [abs(a - b).max() / b.abs().max() for a, b in (images, gradients)]
    return float(parts[0]), float(parts[1])


def restraints() -> None:
    """Fused pair energies against plain torch, 64 structures of 214 residues."""
    rng = np.random.default_rng(0)
    anchor_A = rng.normal(size=(214, 3)) * 12
    bonded = np.ones(213, dtype=bool)
    pairs = elastic_pairs(anchor_A, bonded, 12.0)
    length_A = np.linalg.norm(anchor_A[pairs[:, 0]] - anchor_A[pairs[:, 1]], axis=1)
    coords = torch.as_tensor(anchor_A).float() + torch.randn(64, 214, 3)
    coords.requires_grad_()
    elastic = PairPotential(pairs, length_A, shape="robust")
    plain = (elastic.pairs, elastic.d0_A, elastic.gate, "robust", 1.0)
    row(
        f"elastic network, {len(pairs):,} pairs x 64",
        median_ms(lambda: backward(elastic(coords))),
        median_ms(lambda: backward(pair_energy_reference(coords, *plain)[0])),
    )
    clash = ClashPotential(bonded)
    row(
        "clashes, all pairs x 64",
        median_ms(lambda: backward(clash(coords))),
        median_ms(lambda: backward(clash_energy_reference(coords, clash.bonded, 4.0)[0])),
    )


def transforms() -> None:
    """Band-limited transform and its backward against torch's own."""
    band = make_band(64, 1.6, with_dc=False)
    images = torch.randn(128, 64, 64, requires_grad=True)
    row(
        "Fourier transform to the band, 128 x 64 px",
        median_ms(lambda: backward(band.transform(images).abs())),
        median_ms(lambda: backward(rfft2_centred(images).flatten(1)[:, band.index].abs())),
    )


def star_reader(rows: int = 100_000) -> None:
    """Our STAR reader against the starfile package."""
    import starfile

    from cryoscope.io.star import read_star, write_star

    rng = np.random.default_rng(0)
    columns: dict[str, object] = {f"rlnNumber{i}": rng.normal(size=rows) for i in range(18)}
    columns |= {f"rlnName{i}": np.char.add("a@", np.arange(rows).astype(str)) for i in range(2)}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "particles.star"
        write_star(path, {"particles": columns})

        def ours() -> None:
            block = read_star(path).blocks["particles"]
            block.load(
                text=[c for c in block.columns if "Name" in c],
                numbers=[c for c in block.columns if "Number" in c],
            )

        row(
            f"read a .star of {rows:,} rows",
            median_ms(ours),
            median_ms(lambda: starfile.read(path)),
        )


def main() -> None:
    """Print the table."""
    print(f"{'':58s}{'ours':>10s} {'theirs':>10s}")
    projectors()
    restraints()
    transforms()
    star_reader()


if __name__ == "__main__":
    main()
