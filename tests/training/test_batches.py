"""Batches of images: what is kept between epochs, and fewer at once where memory is short."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cryoscope.io.run_folder import RunFolder
from cryoscope.models.interfaces import Posterior
from cryoscope.training import batches
from cryoscope.training.batches import Kept, encode_set, epoch_order
from cryoscope.training.config import TrainConfig
from cryoscope.training.trainer import Trainer


def test_an_order_is_that_of_its_seed_and_epoch() -> None:
    order = epoch_order(50, seed=3, epoch=2)
    assert sorted(order.tolist()) == list(range(50))
    assert np.array_equal(order, epoch_order(50, seed=3, epoch=2))
    assert not np.array_equal(order, epoch_order(50, seed=3, epoch=1))
    assert not np.array_equal(order, epoch_order(50, seed=4, epoch=2))


def test_what_was_seen_is_kept_row_by_row() -> None:
    kept = Kept(6)
    index = np.array([4, 1])
    kept.put(index, torch.as_tensor(index), (torch.tensor([[4.0], [1.0]]), torch.tensor([40, 10])))
    assert kept.seen(np.arange(6)).tolist() == [False, True, False, False, True, False]
    numbers, tens = kept.get(torch.tensor([1, 4, 1]))
    assert numbers[:, 0].tolist() == [1, 4, 1]
    assert tens.tolist() == [10, 40, 10]
    index = np.array([1, 0])
    kept.put(index, torch.as_tensor(index), (torch.tensor([[7.0], [0.0]]), torch.tensor([70, 0])))
    assert kept.get(torch.tensor([1, 4]))[0][:, 0].tolist() == [7, 4]


class Narrow:
    """A model and its data in one: encodes a particle to its number, at most ``room`` at once."""

    def __init__(self, count: int, room: int) -> None:
        self.count, self.room = count, room
        self.taken: list[int] = []

    def __len__(self) -> int:
        return self.count

    def batch(self, index: np.ndarray) -> Any:
        return index

    def encode(self, index: np.ndarray) -> Posterior:
        if len(index) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.taken.append(len(index))
        mean = torch.as_tensor(index, dtype=torch.float32)[:, None]
        return Posterior(mean, mean + 1)


def test_too_many_at_once_are_taken_in_parts() -> None:
    narrow: Any = Narrow(10, room=3)
    found = encode_set(narrow, narrow, chunk=8)
    assert narrow.taken == [2, 2, 2, 2, 2]  # 8, then 4, then 2
    assert found.mean[:, 0].tolist() == list(range(10))
    assert found.log_var is not None
    assert found.log_var[:, 0].tolist() == list(range(1, 11))
    some = encode_set(narrow, narrow, np.array([7, 0, 3]), chunk=3)
    assert some.mean[:, 0].tolist() == [7, 0, 3]


def test_a_memory_too_small_for_one_particle_is_an_error() -> None:
    narrow: Any = Narrow(4, room=0)
    with pytest.raises(torch.OutOfMemoryError):
        encode_set(narrow, narrow, chunk=4)


def test_without_memory_to_keep_images_the_same_is_trained(
    small_config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = replace(small_config, optimiser=replace(small_config.optimiser, epochs=1))
    for name, room_bytes in (("kept", 1 << 30), ("read-again", 0)):
        monkeypatch.setattr(batches, "RESIDENT_BYTES", room_bytes)
        list(Trainer(once, tmp_path / name).events())
    kept, again = (
        RunFolder.open(tmp_path / name).load_latents() for name in ("kept", "read-again")
    )
    np.testing.assert_allclose(again.z, kept.z, atol=1e-4)
