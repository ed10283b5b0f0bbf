"""Shared by all tests: real files, a quiet Qt, OpenGL that is known to work, fixed seeds."""

from __future__ import annotations

import contextlib
import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

_ROOT = Path(__file__).resolve().parents[1]
_QT_FIXTURES = {"make_napari_viewer", "qapp", "qtbot"}

settings.register_profile("cryoscope", deadline=None, derandomize=True)
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
