from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cryoscope.data import Latents
from cryoscope.io.run_folder import RunFolder
from cryoscope.session.bench_demo import unreadable_files


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = RunFolder.create(tmp_path / "run", {}, {"particle_count": 3})
    latents = Latents(np.zeros((3, 2), np.float32), None, np.array(["a", "b", "c"]), "r", 1)
    folder.save_latents(latents, live=False)
    folder.save_latents(latents, live=True)
    folder.append_event({"kind": "paused", "step": 1})
    folder.save_checkpoint(1, {"x": np.ones(4)}, {})
    folder.save_checkpoint(2, {"x": np.ones(4)}, {})
    folder.close()
    return folder


def test_a_whole_run_has_nothing_unreadable(run: RunFolder) -> None:
    assert unreadable_files(run.path) == []


@pytest.mark.parametrize(
    "name",
    ["config.json", "latents/epoch-0001.npz", "latents/live.npz",
     "checkpoints/step-00000002.safetensors"],
)  # fmt: skip
def test_each_damaged_file_is_counted(run: RunFolder, name: str) -> None:
    path = run.path / name
    path.write_bytes(path.read_bytes()[: 1 if name == "config.json" else 40])
    assert len(unreadable_files(run.path)) == 1


def test_a_leftover_of_writing_is_counted(run: RunFolder) -> None:
    (run.path / "latents" / ".live.npz.tmp.x").write_bytes(b"")
    assert unreadable_files(run.path) == [".live.npz.tmp.x"]
