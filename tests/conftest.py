"""Shared by all tests: real files, a quiet Qt, OpenGL that is known to work, fixed seeds."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.damage import BOX_PX, PARTICLES
from tests.examples import examples

_ROOT = Path(__file__).resolve().parents[1]
_QT_FIXTURES = {"make_napari_viewer", "qapp", "qtbot"}

settings.register_profile("cryoscope", deadline=None, derandomize=True, max_examples=examples(100))
settings.load_profile("cryoscope")

# An empty path: napari keeps its settings in memory and leaves the user's alone.
os.environ.setdefault("NAPARI_CONFIG", "")
if sys.platform == "linux" and not (os.getenv("DISPLAY") or os.getenv("WAYLAND_DISPLAY")):
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

# GPU builds of torch bring Triton, whose LLVM crashes when it is loaded after that of Mesa's
# software OpenGL. The program never has both in one process; the tests do.
with contextlib.suppress(ImportError):
    import triton  # noqa: F401


@pytest.fixture(scope="session")
def fixtures_dir() -> Path:
    """Real files of other programs, kept beside the checkout; tests that use them skip without."""
    folder = _ROOT.parent / "shared" / "fixtures"
    if not folder.is_dir():
        pytest.skip("no shared/fixtures folder beside the checkout")
    return folder


@pytest.fixture(autouse=True)
def _fixed_seeds() -> None:
    random.seed(0)
    if "torch" in sys.modules:
        import torch

        torch.manual_seed(0)
        torch.set_num_threads(min(2, os.cpu_count() or 1))


@pytest.fixture(scope="session")
def opengl_problem(qapp: object) -> str:
    """Empty when OpenGL works, else why not.

    Asking also fills napari's cache of OpenGL's abilities. Left to the first layer, the question
    may meet a canvas of an earlier test that has no context any more, and fail.
    """
    if os.getenv("QT_QPA_PLATFORM") == "offscreen":
        return "no display: run packaging/test.sh, which starts a virtual one"
    from napari._vispy.utils.gl import get_gl_extensions, get_max_texture_sizes

    try:
        get_gl_extensions()
        get_max_texture_sizes()
    except Exception as error:  # drivers fail in ways of their own
        return f"OpenGL does not work here: {error!r}"
    return ""


@pytest.fixture(autouse=True)
def _drawing_works(request: pytest.FixtureRequest) -> Iterator[None]:
    """Tests with Qt: OpenGL is asked first, and an error while drawing is an error of the test."""
    needs_gl = request.node.get_closest_marker("gl") is not None
    if not needs_gl and not _QT_FIXTURES.intersection(request.fixturenames):
        yield
        return
    problem = request.getfixturevalue("opengl_problem")
    if needs_gl and problem:
        if os.getenv("CRYOSCOPE_REQUIRE_GL"):
            pytest.fail(problem)
        pytest.skip(problem)
    caplog = request.getfixturevalue("caplog")
    yield
    # vispy logs what goes wrong in a draw and carries on.
    records = [*caplog.get_records("setup"), *caplog.get_records("call")]
    errors = [text for text in (r.getMessage() for r in records) if "Error drawing" in text]
    assert not errors, errors[0]


@pytest.fixture(scope="session")
def trained_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small simulated set, and a run that was trained on it; shared: copy it before writing."""
    from cryoscope.cli.entry import run

    folder = tmp_path_factory.mktemp("trained_set") / "set"
    model = _ROOT / "resources" / "structures" / "1ake_A.pdb"
    options = ["--particles", str(PARTICLES), "--box-px", str(BOX_PX), "--pixel-size-A", "3.2"]
    assert run(["simulate", str(folder), "--structure", str(model), *options]) == 0
    paths = [str(folder / name) for name in ("particles.star", "reference.pdb", "run")]
    options = ["--structure", paths[1], "--out", paths[2], "--box-px", str(BOX_PX)]
    options += ["--epochs", "1", "--set", "threads=1", "--device", "cpu"]
    assert run(["train", paths[0], *options]) == 0
    shutil.rmtree(folder / "cryoscope-cache")
    return folder


@pytest.fixture
def here(trained_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: a fresh copy of the set, the run beside it as ``earlier``."""
    folder = tmp_path / "here"
    shutil.copytree(trained_set, folder)
    (folder / "run").rename(folder / "earlier")
    monkeypatch.chdir(folder)
    return folder
