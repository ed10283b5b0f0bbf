"""The run folder survives kills, refuses what it cannot know, and loses nothing it was given."""

from __future__ import annotations

import errno
import io
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cryoscope.data import InputError, Latents, Selection
from cryoscope.io import event_log
from cryoscope.io.json_file import write_json
from cryoscope.io.run_folder import FORMAT_VERSION, RunFolder

in_one_folder = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "run", {"epochs": 3}, {"particles": "a.star"})


def latents(count: int = 5, epoch: int = 3) -> Latents:
    rng = np.random.default_rng(0)
    z = rng.normal(size=(count, 2)).astype(np.float32)
    uid = np.array([f"{i:06d}@stück.mrcs" for i in range(count)])
    return Latents(z, np.abs(z), uid, "run-1", epoch)


class TestFolder:
    def test_create_then_open(self, run: RunFolder) -> None:
        again = RunFolder.open(run.path)
        assert again.config() == {"epochs": 3}
        info = again.info()
        assert info["format"] == FORMAT_VERSION
        assert info["particles"] == "a.star"
        assert info["program"].startswith("cryoscope ")
        assert again.run_id == info["run_id"]
        assert again.volumes_path.is_dir()
        assert again.reference_path.name == "reference.pdb"

    def test_existing_run_is_not_overwritten(self, run: RunFolder) -> None:
        with pytest.raises(InputError, match="--resume"):
            RunFolder.create(run.path, {}, {})

    @pytest.mark.parametrize("name", ["photo.jpg", "config.json", "latents"])
    def test_foreign_content_is_refused(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).write_text("mine")
        with pytest.raises(InputError, match="not empty"):
            RunFolder.create(tmp_path, {}, {})
        assert (tmp_path / name).read_text() == "mine"

    def test_file_in_place_of_the_folder(self, tmp_path: Path) -> None:
        (tmp_path / "run").write_text("")
        with pytest.raises(InputError, match="a file stands"):
            RunFolder.create(tmp_path / "run", {}, {})

    def test_half_made_folder_is_made_anew(self, run: RunFolder) -> None:
        (run.path / "run.json").unlink()
        assert RunFolder.create(run.path, {"epochs": 4}, {}).config() == {"epochs": 4}

    def test_newer_format_names_both_versions(self, run: RunFolder) -> None:
        info = {**run.info(), "format": FORMAT_VERSION + 7, "program": "cryoscope 9.9"}
        (run.path / "run.json").write_text(json.dumps(info))
        with pytest.raises(InputError, match=r"format 8.*9\.9.*up to format 1.*Update"):
            RunFolder.open(run.path)

    @pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, '{"format": 1}', "{}", "\xff"])
    def test_broken_run_json(self, run: RunFolder, text: str) -> None:
        (run.path / "run.json").write_bytes(text.encode("latin-1"))
        with pytest.raises(InputError, match="copy"):
            RunFolder.open(run.path)

    def test_not_a_run(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="not a run folder"):
            RunFolder.open(tmp_path)
        with pytest.raises(InputError, match="not a run folder"):
            RunFolder.open(tmp_path / "absent")


class TestEvents:
    def test_round_trip(self, run: RunFolder) -> None:
        run.append_event({"kind": "StepDone", "step": 1, "loss": np.float32(0.5)})
        run.append_event({"kind": "StepDone", "step": 2, "loss": math.nan})
        events = RunFolder(run.path).read_events()
        assert events[0] == {"kind": "StepDone", "step": 1, "loss": 0.5}
        assert math.isnan(events[1]["loss"])

    def test_no_log_yet(self, run: RunFolder) -> None:
        assert run.read_events() == []

    def test_reading_goes_on_where_it_stopped(self, run: RunFolder) -> None:
        run.append_event({"step": 1})
        first, offset = run.read_events_from(0)
        run.append_event({"step": 2})
        second, offset = run.read_events_from(offset)
        assert [first, second] == [[{"step": 1}], [{"step": 2}]]
        assert run.read_events_from(offset) == ([], offset)

    @pytest.mark.parametrize("tail", [b'{"step": 2, "lo', b"x" * 200_000, b'{"step": 2}'])
    def test_broken_last_line(self, run: RunFolder, tail: bytes) -> None:
        run.append_event({"step": 1})
        run.close()
        with (run.path / "events.jsonl").open("ab") as file:
            file.write(tail)
        assert run.read_events() == [{"step": 1}]
        run.append_event({"step": 3})
        assert run.read_events() == [{"step": 1}, {"step": 3}]

    def test_full_disk_leaves_no_half_line(
        self, run: RunFolder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class NearlyFull(io.FileIO):
            def write(self, content: Any) -> int:
                if len(content) < 10:
                    raise OSError(errno.ENOSPC, "No space left on device")
                return super().write(bytes(content)[:-5])

        run.append_event({"step": 1})
        run.close()
        path = run.path / "events.jsonl"
        monkeypatch.setattr(event_log, "_open_at_last_newline", lambda _: NearlyFull(path, "a"))
        with pytest.raises(InputError, match="disk is full"):
            run.append_event({"step": 2})
        monkeypatch.undo()
        assert run.read_events() == [{"step": 1}]
        run.append_event({"step": 3})
        assert run.read_events() == [{"step": 1}, {"step": 3}]

    def test_log_without_any_newline(self, run: RunFolder) -> None:
        (run.path / "events.jsonl").write_bytes(b'{"st')
        run.append_event({"step": 3})
        assert run.read_events() == [{"step": 3}]

    @pytest.mark.parametrize("line", ["nonsense", "[1]", '{"step": "five"}'])
    def test_broken_line_in_the_middle(self, run: RunFolder, line: str) -> None:
        (run.path / "events.jsonl").write_text(f'{{"step": 1}}\n{line}\n{{"step": 2}}\n')
        with pytest.raises(InputError, match="row 2"):
            run.read_events()

    def test_truncate_for_resume(self, run: RunFolder) -> None:
        run.append_event({"kind": "RunStarted"})
        for step in range(5):
            run.append_event({"step": step})
        run.truncate_events_after(2)
        run.append_event({"step": 3, "again": True})
        assert run.read_events() == [
            {"kind": "RunStarted"},
            *({"step": step} for step in range(3)),
            {"step": 3, "again": True},
        ]


class TestLatents:
    def test_newest_epoch_before_live(self, run: RunFolder) -> None:
        run.save_latents(replace(latents(), epoch=9), live=True)
        assert run.load_latents().epoch == 9
        for epoch in (2, 11):
            run.save_latents(replace(latents(), epoch=epoch), live=False)
        assert run.latent_epochs() == [2, 11]
        assert run.load_latents().epoch == 11
        assert run.load_latents(2).epoch == 2
        assert run.load_latents(live=True).epoch == 9

    def test_absent(self, run: RunFolder) -> None:
        with pytest.raises(InputError, match="no latents yet"):
            run.load_latents()
        run.save_latents(latents(epoch=4), live=False)
        with pytest.raises(InputError, match=r"no latents of epoch 5.*: 4"):
            run.load_latents(5)

    @in_one_folder
    @given(
        z=hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2, min_side=0)),
        text=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
        with_log_var=st.booleans(),
    )
    def test_round_trip(
        self, tmp_path: Path, z: np.ndarray[Any, Any], text: str, with_log_var: bool
    ) -> None:
        uid = np.array([f"{i}@{text}" for i in range(len(z))], dtype=np.str_)
        given_latents = Latents(z, z + 1 if with_log_var else None, uid, "run", 1)
        run = RunFolder(tmp_path)
        (tmp_path / "latents").mkdir(exist_ok=True)
        path = run.save_latents(given_latents, live=False)
        read = run.load_latents(1)
        np.testing.assert_array_equal(read.z, z)
        np.testing.assert_array_equal(read.uid, uid)
        assert (read.log_var is not None) == with_log_var
        assert (read.run_id, read.epoch, path.name) == ("run", 1, "epoch-0001.npz")

    def test_column_order_arrays(self, run: RunFolder) -> None:
        given_latents = latents()
        turned = replace(given_latents, z=np.asfortranarray(given_latents.z))
        run.save_latents(turned, live=False)
        np.testing.assert_array_equal(run.load_latents().z, given_latents.z)

    @in_one_folder
    @given(position=st.floats(0, 1, exclude_max=True), cut=st.booleans(), byte=st.integers(1, 255))
    def test_damage_is_an_input_error_or_harmless(
        self, tmp_path: Path, position: float, cut: bool, byte: int
    ) -> None:
        run = RunFolder(tmp_path)
        (tmp_path / "latents").mkdir(exist_ok=True)
        path = run.save_latents(latents(), live=True)
        data = bytearray(path.read_bytes())
        where = int(position * len(data))
        if cut:
            del data[where:]
        else:
            data[where] ^= byte
        path.write_bytes(data)
        try:
            run.load_latents()
        except InputError:
            return
        assert not cut

    def test_pickles_are_refused(self, run: RunFolder) -> None:
        path = run.path / "latents" / "live.npz"
        np.savez(path, z=np.array([{}], dtype=object), uid=np.array([]), run_id="", epoch=1)
        with pytest.raises(InputError, match="damaged"):
            run.load_latents()

    def test_compressed_members_are_refused(self, run: RunFolder) -> None:
        np.savez_compressed(run.path / "latents" / "live.npz", z=np.zeros((10**6, 2), np.float32))
        with pytest.raises(InputError, match="damaged"):
            run.load_latents()


class TestCheckpoints:
    tensors: ClassVar = {
        "weight": np.arange(6, dtype=np.float32).reshape(2, 3).T,
        "step": np.array(7, dtype=np.int64),
        "rng": np.arange(16, dtype=np.uint8),
        "empty": np.zeros((0, 3), np.float32),
        "flag": np.array([True, False]),
    }

    def test_round_trip(self, run: RunFolder) -> None:
        assert not run.has_checkpoint()
        path = run.save_checkpoint(1234, self.tensors, {"epoch": 2, "seeds": [1, 2]})
        assert path.name == "step-00001234.safetensors"
        assert run.has_checkpoint()
        tensors, meta = run.load_checkpoint()
        assert meta == {"epoch": 2, "seeds": [1, 2], "step": 1234, "skipped": []}
        assert tensors.keys() == self.tensors.keys()
        for name, tensor in self.tensors.items():
            np.testing.assert_array_equal(tensors[name], tensor)
            assert tensors[name].dtype == tensor.dtype

    def test_keeps_the_newest(self, run: RunFolder) -> None:
        for step in (10, 20, 30, 40):
            run.save_checkpoint(step, self.tensors, {})
        names = sorted(path.name for path in (run.path / "checkpoints").iterdir())
        assert names == ["step-00000030.safetensors", "step-00000040.safetensors"]

    def test_going_back_removes_later_ones(self, run: RunFolder) -> None:
        for step in (10, 20):
            run.save_checkpoint(step, self.tensors, {})
        run.save_checkpoint(15, self.tensors, {"again": True})
        assert run.load_checkpoint()[1] == {"again": True, "step": 15, "skipped": []}
        assert run.load_checkpoint(10)[1]["step"] == 10
        with pytest.raises(InputError, match="step-00000020"):
            run.load_checkpoint(20)

    @pytest.mark.parametrize("damage", ["cut", "empty", "flip"])
    def test_damaged_newest_falls_back(self, run: RunFolder, damage: str) -> None:
        run.save_checkpoint(10, self.tensors, {})
        path = run.save_checkpoint(20, self.tensors, {})
        data = path.read_bytes()
        flipped = data[:-1] + bytes([data[-1] ^ 1])
        path.write_bytes({"cut": data[:-5], "empty": b"", "flip": flipped}[damage])
        _, meta = run.load_checkpoint()
        assert meta["step"] == 10
        assert len(meta["skipped"]) == 1
        assert "step-00000020" in meta["skipped"][0]
        with pytest.raises(InputError, match="damaged"):
            run.load_checkpoint(20)

    def test_nothing_readable(self, run: RunFolder) -> None:
        with pytest.raises(InputError, match="no checkpoint yet"):
            run.load_checkpoint()
        run.save_checkpoint(1, self.tensors, {}).write_bytes(b"")
        with pytest.raises(InputError, match=r"no checkpoint can be read.*damaged"):
            run.load_checkpoint()

    def test_another_programs_safetensors(self, run: RunFolder) -> None:
        from safetensors.numpy import save_file

        path = run.path / "checkpoints" / "step-00000001.safetensors"
        save_file({"a": np.zeros(2, np.float32)}, path)
        with pytest.raises(InputError, match="damaged"):
            run.load_checkpoint(1)

    def test_objects_are_refused(self, run: RunFolder) -> None:
        with pytest.raises(ValueError, match="only numbers"):
            run.save_checkpoint(1, {"a": np.array([None])}, {})
        assert not list((run.path / "checkpoints").iterdir())


class TestSelections:
    @in_one_folder
    @given(
        mask=hnp.arrays(np.bool_, st.integers(0, 40)),
        texts=st.tuples(*[st.text(st.characters(exclude_categories=["Cs"]))] * 3),
    )
    def test_round_trip(
        self, tmp_path: Path, mask: np.ndarray[Any, Any], texts: tuple[str, str, str]
    ) -> None:
        if not (tmp_path / "run.json").exists():
            RunFolder.create(tmp_path, {}, {})
        made_by = {"kind": "lasso", "polygon": [[0.5, 1.0]], "axes": ["PC1", "PC2"]}
        saved = Selection(texts[0], mask, texts[1], texts[2], made_by)
        run = RunFolder(tmp_path)
        run.save_selections([saved, saved])
        for read in run.load_selections():
            np.testing.assert_array_equal(read.mask, mask)
            assert read.made_by == made_by
            assert (read.name, read.colour, read.note) == texts

    def test_none_saved(self, run: RunFolder) -> None:
        assert run.load_selections() == []

    def test_wrong_particle_count(self, tmp_path: Path) -> None:
        run = RunFolder.create(tmp_path, {}, {"particle_count": 4})
        run.save_selections([Selection("a", np.ones(5, dtype=np.bool_))])
        with pytest.raises(InputError, match="5 particles, but there are 4"):
            run.load_selections()

    @pytest.mark.parametrize(
        "change",
        [
            {"particle_count": 10**12},
            {"particle_count": 17},
            {"particle_count": -1},
            {"mask_base64": "?"},
            {"mask_base64": 5},
            {"made_by": []},
            {"name": "x" * 10**6},
        ],
    )
    def test_damaged(self, run: RunFolder, change: dict[str, Any]) -> None:
        run.save_selections([Selection("a", np.ones(5, dtype=np.bool_))])
        path = run.path / "selections.json"
        content = json.loads(path.read_text())
        content["selections"][0].update(change)
        path.write_text(json.dumps(content))
        with pytest.raises(InputError, match="selection 1"):
            run.load_selections()

    def test_newer_format(self, run: RunFolder) -> None:
        (run.path / "selections.json").write_text('{"format": 2, "selections": []}')
        with pytest.raises(InputError, match="Update"):
            run.load_selections()


class TestLeftovers:
    def test_leftovers_of_a_killed_trainer_are_removed(self, run: RunFolder) -> None:
        kept = run.save_latents(latents(), live=True)
        leftover = run.path / "checkpoints" / ".step-00000001.0badcafe.tmp.safetensors"
        leftover.write_text("half")
        with run.lock():
            assert kept.exists()
            assert not leftover.exists()


class TestHalfMade:
    def test_of_two_that_start_at_once_one_is_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "run"

        def second(target: Path, value: object) -> None:
            monkeypatch.undo()
            with pytest.raises(InputError, match="in use"):
                RunFolder.create(path, {"second": True}, {})
            write_json(target, value)

        monkeypatch.setattr("cryoscope.io.run_folder.write_json", second)
        run = RunFolder.create(path, {"first": True}, {})
        assert run.config() == {"first": True}
        assert not list(path.glob(".*"))

    def test_a_failure_leaves_an_empty_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(target: Path, value: object) -> None:
            if target.name == "run.json":
                raise InputError("the disk is full", file=target)
            write_json(target, value)

        monkeypatch.setattr("cryoscope.io.run_folder.write_json", full)
        with pytest.raises(InputError, match="disk is full"):
            RunFolder.create(tmp_path, {}, {})
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "info",
    [{}, {"pixel_size_A": "x", "box_size_px": 64}, {"pixel_size_A": 1.0, "box_size_px": 10**9}],
)
def test_sampling_is_checked(tmp_path: Path, info: dict[str, Any]) -> None:
    run = RunFolder.create(tmp_path / "run", {}, info)
    with pytest.raises(InputError, match=r"run\.json: pixel_size_A or box_size_px"):
        run.optics()


def test_a_reference_that_pdb_cannot_hold_is_kept_as_cif(tmp_path: Path) -> None:
    from cryoscope.io.structures import read_structure

    text = "ATOM      1  CA  ALA A   1       1.000   2.000   3.000  1.00  0.00           C\n"
    (tmp_path / "a.pdb").write_text(text)
    structure = read_structure(tmp_path / "a.pdb")
    long_name = replace(structure, chain_id=np.array(["LONG"]))
    for number, (kept, suffix) in enumerate([(structure, ".pdb"), (long_name, ".cif")]):
        run = RunFolder.create(tmp_path / f"run{number}", {}, {})
        run.write_reference(kept)
        assert run.reference_path.suffix == suffix
        assert read_structure(run.reference_path).chain_id.tolist() == kept.chain_id.tolist()
