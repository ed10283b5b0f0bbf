from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cryoscope.data import InputError
from cryoscope.io import extensions
from cryoscope.io.particles_file import read_any
from cryoscope.io.reader_extensions import reader_suffixes
from cryoscope.io.structures import read_structure
from cryoscope.models.extensions import model_extensions
from cryoscope.models.registry import make_model, model_names, needs_structure
from cryoscope.session import Session, actions
from cryoscope.session.extensions import look_at_all, panel_extensions, tell_broken
from cryoscope.training.presets import preset, preset_names, preset_summary
from tests.extension_installing import write_metadata

Install = Callable[..., None]

GOOD_MODEL = """
from cryoscope.models.extensions import ModelExtension, PresetExtension
EXTENSION = ModelExtension("no_such_module_here:Factory", structure=False, presets={
    "mine": PresetExtension("What mine does.", {"latent": {"dim": 3}}),
    "wrong": PresetExtension("Has a setting that is not there.", {"latent": {"dimm": 3}}),
    "cryodrgn": PresetExtension("Would take over one of ours."),
})
"""
READER = """
from pathlib import Path

import numpy as np
from cryoscope.data import InputError, Structure
from cryoscope.io.reader_extensions import Reader

def read(path):
    text = Path(path).read_text()
    if text == "refuse":
        raise InputError("a bad line", file=path, row=3)
    if text == "fail":
        raise KeyError("atoms")
    if text == "lie":
        return text
    n = 5
    return Structure(np.arange(3.0 * n).reshape(n, 3), np.array(["C"] * n), np.array(["CA"] * n),
        np.array(["ALA"] * n), np.arange(n), np.array(["A"] * n), np.array([""] * n), np.zeros(n),
        np.ones(n))

READER = Reader((".chain",), "structure", read)
GREEDY = Reader((".star",), "particles", read)
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install a distribution with one module; extensions are looked for anew."""
    target = tmp_path / "installed"
    target.mkdir()
    monkeypatch.syspath_prepend(str(target))
    monkeypatch.setattr(extensions, "_found", {})
    monkeypatch.setattr(extensions, "_loaded", {})
    monkeypatch.setattr(extensions, "_broken", {})
    modules: list[str] = []

    def put(name: str, code: str, entry_points: dict[str, dict[str, str]]) -> None:
        module = name.replace("-", "_")
        (target / f"{module}.py").write_text(code)
        modules.append(module)
        write_metadata(target, name, "1.2", entry_points)
        extensions.forget()

    yield put
    for module in modules:
        sys.modules.pop(module, None)


def test_without_extensions_nothing_is_broken(install: Install) -> None:
    assert look_at_all() == [] or all(not error for _, error in look_at_all())
    assert {"atomic", "volume"} <= set(model_names())


def test_a_model_brings_its_presets(install: Install) -> None:
    install("my-model", GOOD_MODEL, {"cryoscope.models": {"mine": "my_model:EXTENSION"}})
    assert "mine" in preset_names()
    assert preset_names()[0] == "cryoscope-default"
    assert preset_summary("mine") == "What mine does."
    assert (preset("mine").model, preset("mine").latent.dim) == ("mine", 3)
    assert not needs_structure("mine")
    assert "mine" in model_names()


def test_what_is_wrong_with_a_preset_is_noted(install: Install) -> None:
    install("my-model", GOOD_MODEL, {"cryoscope.models": {"mine": "my_model:EXTENSION"}})
    assert "wrong" not in preset_names()
    assert preset("cryodrgn").model == "volume"
    (entry,) = extensions.broken()
    assert "my-model 1.2" in str(entry)
    assert "'wrong'" in entry.error or "already" in entry.error


def test_a_model_whose_code_is_missing_is_named_when_it_is_used(install: Install) -> None:
    install("my-model", GOOD_MODEL, {"cryoscope.models": {"mine": "my_model:EXTENSION"}})
    with pytest.raises(InputError, match=r"'mine' of my-model 1\.2.*no_such_module_here"):
        make_model("mine", None, None, None, None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import there_is_no_such_package", "ModuleNotFoundError"),
        ("raise SystemExit(3)", "SystemExit"),
        ("1 / 0", "ZeroDivisionError"),
        ("this is no python", "SyntaxError"),
        ("x = 1", "AttributeError"),
        ("EXTENSION = 'something else'", "it is a str"),
    ],
)
@pytest.mark.parametrize("group", extensions.GROUPS)
def test_a_broken_extension_is_reported_and_skipped(
    install: Install, caplog: pytest.LogCaptureFixture, code: str, words: str, group: str
) -> None:
    install("bad-one", code, {group: {"bad": "bad_one:EXTENSION"}})
    with caplog.at_level(logging.WARNING):
        found = look_at_all()
    ((extension, error),) = [pair for pair in found if pair[0].name == "bad"]
    assert extension.distribution == "bad-one 1.2"
    assert words in error
    assert "bad-one 1.2" in caplog.text
    assert "bad" not in {*model_extensions(), *panel_extensions()}
    session = Session()
    tell_broken(session)
    assert session.notice is not None
    assert "bad-one 1.2" in session.notice.text
    assert words in session.notice.text
    actions.close(session)


def test_a_name_that_is_taken_stays_with_its_first_owner(install: Install) -> None:
    code = "from cryoscope.models.extensions import ModelExtension\nE = ModelExtension('a:b')"
    install("first-one", code, {"cryoscope.models": {"mine": "first_one:E"}})
    install("second-one", code, {"cryoscope.models": {"mine": "second_one:E", "atomic": "x:y"}})
    assert set(model_extensions()) == {"mine"}
    assert len(extensions.broken()) == 2
    assert all("taken" in entry.error for entry in extensions.broken())


def test_a_reader_reads_one_more_kind_of_file(install: Install, tmp_path: Path) -> None:
    points = {"chain": "my_reader:READER", "greedy": "my_reader:GREEDY"}
    install("my-reader", READER, {"cryoscope.readers": points})
    file = tmp_path / "one.chain"
    file.write_text("fine")
    assert len(read_structure(file)) == 5
    assert reader_suffixes() == {".chain": "structure"}
    with pytest.raises(InputError, match="holds no particles"):
        read_any(file)
    assert "reads .star itself" in extensions.broken()[0].error
    session = Session()
    actions.open_files(session, [file])
    actions.wait(session)
    assert session.structure is not None
    assert session.structure.residues == 5
    actions.close(session)


@pytest.mark.parametrize(
    ("text", "words"), [("refuse", "row 3"), ("fail", "KeyError"), ("lie", "yields a str")]
)
def test_a_reader_that_fails_is_named(
    install: Install, tmp_path: Path, text: str, words: str
) -> None:
    install("my-reader", READER, {"cryoscope.readers": {"chain": "my_reader:READER"}})
    file = tmp_path / "one.chain"
    file.write_text(text)
    with pytest.raises(InputError, match=words):
        read_structure(file)


def test_own_files_are_read_without_looking_for_extensions(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("looked for extensions")

    monkeypatch.setattr(extensions, "installed", refuse)
    preset("cryoscope-default")
    with pytest.raises(InputError):
        read_structure(tmp_path / "missing.pdb")


def test_listing_extensions_does_not_load_torch() -> None:
    code = (
        "import sys; from cryoscope.session.extensions import look_at_all; look_at_all();"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
