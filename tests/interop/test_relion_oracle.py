"""Our forward model against images made by RELION (relion_project) of one point mass."""

from __future__ import annotations

from pathlib import Path

import mrcfile
import numpy as np
import torch

from cryoscope.io.relion_table import read_particle_table
from cryoscope.physics.ctf import ctf_table
from cryoscope.physics.fourier import make_band
from cryoscope.physics.imaging import rotate_to_image, transfer
from cryoscope.physics.projectors import project_dense


def test_poses_shifts_and_ctf_are_relions(fixtures_dir: Path) -> None:
    folder = fixtures_dir / "oracles" / "relion_project"
    table = read_particle_table(folder / "relion_proj_batch.star")
    stack = folder / "relion_proj_batch_pfac3.mrcs"
    with mrcfile.open(stack, permissive=True) as opened:
        theirs = torch.as_tensor(np.array(opened.data, dtype=np.float32))
    optics = table.optics[0]
    assert table.poses is not None
    # the one voxel lies at z, y, x = 32, 32, 49: 17 voxels along x
    point_A = torch.tensor([[[17.0 * optics.pixel_size_A, 0.0, 0.0]]]).expand(len(theirs), 1, 3)
    rotation = torch.as_tensor(table.poses.rotation).float()
    shift_A = torch.as_tensor(table.poses.shift_A).float()
    images = project_dense(
        rotate_to_image(point_A, rotation),
        torch.ones(1),
        torch.tensor([0.45 * optics.pixel_size_A]),
        64,
        optics.pixel_size_A,
    )
    band = make_band(64, optics.pixel_size_A, 2.6 * optics.pixel_size_A, with_dc=False)
    ctf = ctf_table(table.ctf, table.optics)
    ours = band.embed(band.transform(images) * transfer(ctf, shift_A, band)).flatten(1)
    them = band.embed(band.transform(theirs)).flatten(1)
    correlation = torch.nn.functional.cosine_similarity(ours, them)
    assert float(correlation.mean()) > 0.93
    assert float(correlation.min()) > 0.85
