from __future__ import annotations

from pathlib import Path

import pytest

from cryoscope.data import InputError
from cryoscope.io.run_requests import REQUESTS, leave_request, take_requests


def test_requests_are_taken_once_and_in_order(tmp_path: Path) -> None:
    assert take_requests(tmp_path) == []
    left = [leave_request(tmp_path, name) for name in ("pause", "checkpoint", "resume", "stop")]
    assert all(path.is_file() for path in left)
    assert take_requests(tmp_path) == ["pause", "checkpoint", "resume", "stop"]
    assert not any(path.exists() for path in left)
    assert take_requests(tmp_path) == []
    assert set(REQUESTS) == {"pause", "checkpoint", "resume", "stop"}


def test_what_is_no_request_is_left_alone(tmp_path: Path) -> None:
    leave_request(tmp_path, "pause")
    for name in ("notes.txt", "1-abc-stop", f"{1:019d}-abcdef-format", f"{1:019d}-abcdef-stop.tmp"):
        (tmp_path / "requests" / name).touch()
    assert take_requests(tmp_path) == ["pause"]
    assert len(list((tmp_path / "requests").iterdir())) == 4


def test_a_folder_that_is_gone_is_the_users_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="absent"):
        leave_request(tmp_path / "absent", "stop")
